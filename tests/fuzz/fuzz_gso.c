// SPDX-License-Identifier: Apache-2.0
// Segmentation offload, from both sides. The first byte of the input chooses what the rest is:
//
//   even  one frame of the TUN device, virtio header first
//   odd   up to eight packets to be joined, each with two bytes of length before it; bit 1: their
//         checksums are made right first
//
// Must reach: each refusal of gso_cut_start(), TCP and UDP over IPv4 and IPv6, frames of several
// packets. Holds: the pieces of a frame are no larger than it says and their payloads are its
// payload; joined packets come out again when they are cut, each as it was but for its
// identification.
#include "esp/gso.h"
#include "esp/octets.h"
#include "fuzz.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PACKETS_MAX = 8, SIZE_HERE = 4096 };

static uint8_t out[PACKET_MAX];

static void frame_try(const uint8_t *data, size_t size)
{
    static uint8_t frame[GSO_FRAME_MAX];
    struct gso_cut cut;
    if (size > sizeof frame) size = sizeof frame;
    memcpy(frame, data, size);
    if (gso_cut_start(&cut, frame, size) != OK) return;
    uint32_t payload = 0;
    for (uint32_t told; (told = gso_cut_size(&cut));) {
        // What lies behind the packet is its neighbour's.
        uint8_t *exact = malloc(told);
        assert(exact);
        uint32_t got = gso_cut_next(&cut, exact);
        assert(got == told && got >= cut.header && got - cut.header <= cut.segment);
        assert(memcmp(exact + cut.header, frame + GSO_HEAD + cut.header + payload,
                      got - cut.header) == 0);
        payload += got - cut.header;
        free(exact);
    }
    assert(payload == cut.size - cut.header && gso_cut_next(&cut, out) == 0);
}

static uint32_t sum(uint32_t start, const uint8_t *at, size_t size)
{
    for (size_t i = 0; i < size; i++) start += (uint32_t)at[i] << (i % 2 ? 0 : 8);
    while (start >> 16) start = (start & 0xffff) + (start >> 16);
    return start;
}

// Makes TCP's or UDP's checksum right in what looks like a packet with either.
static void checksums_make(uint8_t *at, uint32_t size)
{
    if (size < 60) return;
    bool v6 = at[0] >> 4 == 6;
    uint32_t ip = v6 ? 40 : 20;
    uint8_t protocol = at[v6 ? 6 : 9];
    uint8_t tail[4] = {0, protocol, (uint8_t)((size - ip) >> 8), (uint8_t)(size - ip)};
    uint8_t *field = at + ip + (protocol == 17 ? 6 : 16);
    put_u16(at + (v6 ? 4 : 2), (uint16_t)(v6 ? size - ip : size));
    if (protocol == 17) put_u16(at + ip + 4, (uint16_t)(size - ip));
    put_u16(field, 0);
    uint32_t pseudo = sum(v6 ? sum(0, at + 8, 32) : sum(0, at + 12, 8), tail, 4);
    uint16_t value = (uint16_t)~sum(pseudo, at + ip, size - ip);
    put_u16(field, value ? value : 0xffff);
    if (v6) return;
    put_u16(at + 10, 0);
    put_u16(at + 10, (uint16_t)~sum(0, at, 20));
}

// Equal but for what cutting may write anew: identification and checksums of packets that were
// right.
static void same(const uint8_t *a, const uint8_t *b, uint32_t size, const struct gso_frame *frame)
{
    uint8_t x[SIZE_HERE], y[SIZE_HERE];
    memcpy(x, a, size);
    memcpy(y, b, size);
    if (frame->count > 1) {
        uint8_t *both[] = {x, y};
        for (unsigned i = 0; i < 2; i++) {
            put_u16(both[i] + frame->l4 + (frame->udp ? 6 : 16), 0);
            if (frame->l4 == 20) put_u16(both[i] + 4, 0);
            if (frame->l4 == 20) put_u16(both[i] + 10, 0);
        }
    }
    assert(memcmp(x, y, size) == 0);
}

static void frame_check(const struct gso_join *join, const struct gso_frame *frame,
                        struct packet *const *packets, uint8_t (*before)[SIZE_HERE], unsigned *seen)
{
    static uint8_t bytes[GSO_FRAME_MAX];
    struct bytes parts[BURST_MAX];
    unsigned count = gso_parts(join, frame, packets, parts);
    size_t size = GSO_HEAD;
    memcpy(bytes, frame->head, GSO_HEAD);
    for (unsigned i = 0; i < count; i++) {
        assert(size + parts[i].size <= sizeof bytes);
        memcpy(bytes + size, parts[i].at, parts[i].size);
        size += parts[i].size;
    }
    struct gso_cut cut;
    enum fault fault = gso_cut_start(&cut, bytes, size);
    assert(fault == OK);
    uint8_t place = frame->first;
    for (unsigned i = 0; i < count; i++) {
        uint32_t got = gso_cut_next(&cut, out);
        assert(got == packets[place]->size);
        same(out, before[place], got, frame);
        *seen |= 1u << place;
        place = join->next[place];
    }
    assert(gso_cut_next(&cut, out) == 0);
}

static void packets_try(const uint8_t *data, size_t size, bool repair)
{
    static uint8_t spaces[PACKETS_MAX][SIZE_HERE], before[PACKETS_MAX][SIZE_HERE];
    static struct gso_join join;
    struct packet packets[PACKETS_MAX] = {0}, *list[PACKETS_MAX] = {0};
    unsigned count = 0, seen = 0;
    for (size_t at = 0; count < PACKETS_MAX && at + 2 < size; count++) {
        size_t length = (size_t)data[at] << 8 | data[at + 1];
        at += 2;
        if (length > size - at) length = size - at;
        if (length > SIZE_HERE) length = SIZE_HERE;
        if (!length) break; // the plane delivers no empty packets
        memcpy(spaces[count], data + at, length);
        if (repair) checksums_make(spaces[count], (uint32_t)length);
        memcpy(before[count], spaces[count], length);
        packets[count] = (struct packet){.at = spaces[count], .size = (uint32_t)length};
        list[count] = &packets[count];
        at += length;
    }
    gso_join(&join, list, count, GSO_TAKES_TCP | GSO_TAKES_UDP);
    for (unsigned i = 0; i < join.count; i++)
        frame_check(&join, &join.frames[i], list, before, &seen);
    assert(seen == (1u << count) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    if (data[0] & 1)
        packets_try(data + 1, size - 1, data[0] & 2);
    else
        frame_try(data + 1, size - 1);
    return 0;
}
