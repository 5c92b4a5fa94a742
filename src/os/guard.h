// SPDX-License-Identifier: Apache-2.0
// Which plain packets the kernel's packet filter has to stop, arranged so that nftables can look
// them up in constant time.
//
// A policy is a box in five dimensions: local and remote range, protocol, local and remote ports.
// nftables has maps over such boxes, but none may overlap within one map. So boxes are spread over
// levels, maps that are asked one after the other: boxes of one level do not overlap, and where two
// boxes with different verdicts overlap, the one that takes precedence is in an earlier level.
// Nearly all configurations need one level. This file is pure; os/nft.c writes the difference to
// the kernel.
#pragma once
#include "base/addr.h"
#include "base/fault.h"
#include "base/map.h"

//
// Most peers of a gateway have one address each behind it, all before the same few local networks.
// Inserting into a map of boxes costs the kernel the more the map holds, so pairs of a local range
// with one remote address that are to be dropped go to a hashed set of addresses: a level has one
// for each of the first few local ranges, its *fronts*.
enum { GUARD_LEVELS_MAX = 64, GUARD_FRONTS_MAX = 4 };
enum guard_verdict { GUARD_DROP = 1, GUARD_PASS };
// Pairs look at addresses only; flows at protocol and ports too; fragments at addresses of packets
// that show no ports.
enum guard_kind { GUARD_PAIR = 1, GUARD_FLOW, GUARD_FRAGMENT };

struct box {                    // as outbound packets see it; inbound the sides are swapped
    struct range local, remote; // one family
    uint8_t protocol_low, protocol_high;
    uint16_t local_port_low, local_port_high, remote_port_low, remote_port_high;
};

struct guard_item {
    struct box box;
    uint64_t precedence; // lower wins
    uint8_t kind, verdict;
    unsigned references;
    int8_t level, placed; // where it should be and where the kernel has it; -1: nowhere
    int8_t front;         // whose set it is in; -1: in the map of boxes
    bool dirty;
    struct guard_item *next_dirty;
    size_t place; // in the array
    // guard_index.c
    uint64_t serial, weight;
    struct guard_item *left, *right;
    const struct addr *reach; // the highest remote address here and below
};

struct guard_front { // a local range with single remote addresses
    struct range local;
    size_t count;     // items, those included that the kernel is to forget yet
    uint64_t written; // levels in which the kernel knows of the range
};

struct guard {
    struct map items; // by content
    struct guard_front fronts[2][GUARD_FRONTS_MAX]; // IPv4, IPv6
    struct guard_item **at;
    size_t count, room;
    struct guard_item *index; // by remote range
    uint64_t serial;
    struct guard_item *dirty; // whose level is not where the kernel has them
};

void guard_init(struct guard *guard, uint64_t seed0, uint64_t seed1);
void guard_wipe(struct guard *guard);
// Counts one reference more or makes the item. FAULT_GUARD_FULL leaves everything as it was.
CHECKED enum fault guard_add(struct guard *guard, enum guard_kind kind, const struct box *box,
                             enum guard_verdict verdict, uint64_t precedence);
void guard_del(struct guard *guard, enum guard_kind kind, const struct box *box,
               enum guard_verdict verdict, uint64_t precedence);
// After the kernel has taken the difference: dirty items are clean, those that are nowhere are
// freed.
void guard_settled(struct guard *guard);
// The kernel has lost everything: all items are to be written again.
void guard_lost(struct guard *guard);

struct guard_front *guard_front_of(struct guard *guard, const struct guard_item *item); // NULL: none

// guard_index.c: calls for each item whose remote range meets `remote`.
void guard_index_add(struct guard_item **root, struct guard_item *item);
void guard_index_remove(struct guard_item **root, struct guard_item *item);
void guard_index_visit(const struct guard_item *root, const struct range *remote,
                       void (*visit)(void *context, const struct guard_item *item), void *context);
