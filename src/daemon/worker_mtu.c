// SPDX-License-Identifier: Apache-2.0
// Packets that are too large for the path of their SA and may be cut: each becomes fragments, which
// are sealed and sent as any packet is. There are few of them, and they need buffers of their own:
// the burst that they were found in is still in the worker's hands.
#include "daemon/worker_send.h"
#include "esp/pmtu.h"

enum { PIECES = 16, BUFFER_SIZE = PACKET_HEAD + MTU_BUFFER + PACKET_TAIL };

struct cutting {
    uint8_t space[PIECES][BUFFER_SIZE];
    struct packet packets[PIECES];
    struct packet *list[PIECES];
};

void worker_cut_free(struct worker *worker)
{
    if (worker->cutting) memory_wipe(worker->cutting, sizeof *worker->cutting);
    free(worker->cutting);
}

// A fragment is sent or lost: it is too small to be cut again, and nobody can be told of it.
static void pieces_send(struct worker *worker, unsigned count)
{
    struct cutting *cutting = worker->cutting;
    if (!count) return;
    plane_seal(worker->plane, role_now(), cutting->list, count);
    for (unsigned i = 0; i < count; i++) {
        struct packet *packet = cutting->list[i];
        if (packet->verdict != VERDICT_SEND) continue;
        if (packet->outer == OUTER_WHOLE)
            worker_send_whole(worker, packet);
        else
            sending_add(worker, packet);
    }
    sending_flush(worker);
}

void worker_cut(struct worker *worker, const struct packet *whole)
{
    struct fragmenting at;
    unsigned count = 0;
    if (!fragment_start(&at, whole->at, whole->size, whole->limit)) {
        worker->dropped[FAULT_PATH_MTU]++;
        return;
    }
    if (!worker->cutting) worker->cutting = NEW(struct cutting);
    struct cutting *cutting = worker->cutting;
    for (;;) {
        struct packet *piece = &cutting->packets[count];
        *piece = (struct packet){.space = cutting->space[count],
                                 .at = cutting->space[count] + PACKET_HEAD,
                                 .room = BUFFER_SIZE,
                                 .device = whole->device,
                                 .piece = true};
        piece->size = fragment_next(&at, piece->at);
        if (!piece->size) break;
        cutting->list[count++] = piece;
        if (count < PIECES) continue;
        pieces_send(worker, count);
        count = 0;
    }
    pieces_send(worker, count);
}
