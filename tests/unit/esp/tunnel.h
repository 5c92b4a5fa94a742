// SPDX-License-Identifier: Apache-2.0
// An SA with both ends in one process: what one seals the other receives.
#pragma once
#include "rig.h"

static struct box box_a, box_b;
static uint8_t inner_space[65536], outer_space[65536];

static const struct bytes none = {0};

// Seals an inner packet in a; gives a copy of the ESP packet.
static inline struct bytes rig_seal(struct rig *rig, struct bytes inner)
{
    struct packet *packet = box_put(&box_a, inner);
    seal_one(rig->a, packet);
    if (packet->verdict != VERDICT_SEND) return none;
    memcpy(outer_space, packet->at, packet->size);
    return bytes_of(outer_space, packet->size);
}

static inline struct packet *rig_receive(struct rig *rig, struct bytes esp)
{
    struct packet *packet = box_put(&box_b, esp);
    packet->from = rig->spec.path.local;
    open_one(rig->b, packet);
    return packet;
}

static inline void check_delivered(struct rig *rig, struct bytes inner)
{
    struct bytes esp = rig_seal(rig, inner);
    assert_true(esp.size > inner.size);
    struct packet *packet = rig_receive(rig, esp);
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    assert_int_equal(packet->size, inner.size);
    assert_memory_equal(packet->at, inner.at, inner.size);
}

static inline void check_dropped(struct rig *rig, struct bytes esp, enum fault fault)
{
    uint64_t before = plane_stats(rig->b)->dropped[fault];
    struct packet *packet = rig_receive(rig, esp);
    assert_int_equal(packet->verdict, VERDICT_DROP);
    CHECK_FAULT(packet->fault, fault);
    assert_int_equal(plane_stats(rig->b)->dropped[fault], before + 1);
}

static inline struct sa_run *run_out(struct rig *rig)
{
    enum fault fault;
    return sad_find_out(&rig->a->sad, SPI_AB, NULL, &fault);
}
