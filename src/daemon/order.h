// SPDX-License-Identifier: Apache-2.0
// What the ike role says to the data plane, read once and carried out by every worker that it
// concerns; the last one frees it.
#pragma once
#include "daemon/role.h"
#include <stdatomic.h>

enum { ORDER_STOP = 0x10000, ORDER_DEVICE }; // beside enum message_type: from worker 0 itself

struct order {
    _Atomic unsigned holders;
    unsigned type; // enum message_type, ORDER_…
    uint64_t number;
    unsigned awaited; // USAGE_ASK: workers that have not told all; worker 0 counts
    uint16_t device;  // ORDER_DEVICE: number, and a descriptor for the one who carries it out
    int fd;
    struct bytes bytes;
    struct arena arena;
    union {
        struct sa_message sa;
        struct sa_move_message sa_move;
        struct sa_del_message sa_del;
        struct sa_skip_message sa_skip;
        struct sa_mtu_message sa_mtu;
        struct policy_message policy;
        struct policy_del_message policy_del;
    };
};

// NULL when the message is malformed or is no order.
struct order *order_read(const struct message_head *head, struct rd *fields);
struct order *order_new(unsigned type);
struct order *order_hold(struct order *order);
void order_free(struct order *order); // one holder less

// Whose it is, when it is about one inbound SA.
bool order_is_inbound(const struct order *order, uint32_t *spi);
