// SPDX-License-Identifier: Apache-2.0
// Packets that another worker is to handle: those of its SAs, and those to which only worker 0 has
// an answer, or a connection.
#include "daemon/streams.h"

// Between two workers' knowledge of SAs there is at most what worker 0 has just told; a packet that
// goes round more often than that is lost.
enum { HANDS_MAX = 8 };

void worker_hand(struct worker *worker, struct packet *packet, unsigned to, enum hand kind)
{
    bool good =
        packet->hands++ < HANDS_MAX && post_hand(worker->posts[to], worker->index, packet, kind);
    if (!good) worker->dropped[FAULT_WORKER_BUSY]++;
    worker->called |= 1u << to;
}

void worker_hand_copy(struct worker *worker, const struct packet *packet, unsigned to,
                      enum hand kind)
{
    if (!post_hand_copy(worker->posts[to], worker->index, packet, kind))
        worker->dropped[FAULT_WORKER_BUSY]++;
    worker->called |= 1u << to;
}

void worker_hand_done(struct worker *worker)
{
    for (unsigned to = 0; worker->called; to++, worker->called >>= 1)
        if (worker->called & 1) post_call(worker->posts[to]);
}

static void handed_from(struct worker *worker, unsigned from)
{
    enum hand kind = HAND_SEAL;
    unsigned count;
    for (unsigned bursts = 0; bursts < HANDED_MAX / BURST_MAX; bursts++) {
        count = post_packets(worker->posts[worker->index], from, BURST_MAX, worker->packets, &kind);
        if (!count) return;
        worker_handed_burst(worker, kind, count);
    }
}

void worker_handed(struct worker *worker)
{
    for (unsigned from = 0; from < worker->workers; from++)
        if (from != worker->index) handed_from(worker, from);
}
