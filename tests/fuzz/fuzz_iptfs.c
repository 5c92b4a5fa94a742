// SPDX-License-Identifier: Apache-2.0
// AGGFRAG payloads in any order. The first byte is the reorder window; then, of each payload: how
// far its number is from the one before (signed), two bytes of length, the payload.
//
// Must reach: every fault, packets whose lengths come in pieces, slots that are kept and given up.
// Holds: what comes out is as long as it says itself; all is taken in a bounded number of steps.
#include "base/mem.h"
#include "esp/ip.h"
#include "esp/iptfs.h"
#include "fuzz.h"
#include <assert.h>

static void take_all(struct iptfs_in *in, struct packet *packet, size_t most)
{
    enum fault fault = OK;
    enum iptfs_taken taken;
    for (size_t steps = 0; (taken = iptfs_take(in, packet, &fault)); steps++) {
        assert(steps <= most);
        if (taken == IPTFS_FAULT)
            assert(fault != OK);
        else
            assert(packet->size >= IPV4_HEADER && packet->size == ip_total(packet->at));
    }
    assert(!in->came.sequence && !in->walk_size && !in->complete);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct iptfs_in in;
    struct packet packet = {.space = mem_new(IPTFS_BUFFER), .room = IPTFS_BUFFER};
    uint64_t sequence = 0;
    if (!size) {
        free(packet.space);
        return 0;
    }
    iptfs_in_init(&in, data[0] % (IPTFS_WINDOW_MAX + 1));
    for (size_t at = 1; at + 3 < size;) {
        int64_t step = (int8_t)data[at];
        size_t length = get_u16(data + at + 1);
        at += 3;
        if (length > size - at) length = size - at;
        sequence = step < 0 && (uint64_t)-step >= sequence ? 1 : sequence + (uint64_t)step;
        if (!sequence) sequence = 1;
        iptfs_put(&in, sequence, bytes_of(data + at, length));
        take_all(&in, &packet, size);
        at += length;
    }
    iptfs_give_up(&in);
    take_all(&in, &packet, size);
    free(packet.space);
    iptfs_in_wipe(&in);
    return 0;
}
