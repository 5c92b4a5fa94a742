// SPDX-License-Identifier: Apache-2.0
#include "daemon/order.h"
#include "base/secret.h"

struct order *order_new(unsigned type)
{
    struct order *order = NEW(struct order);
    order->type = type;
    atomic_init(&order->holders, 1);
    return order;
}

struct order *order_hold(struct order *order)
{
    atomic_fetch_add_explicit(&order->holders, 1, memory_order_relaxed);
    return order;
}

void order_free(struct order *order)
{
    if (atomic_fetch_sub_explicit(&order->holders, 1, memory_order_acq_rel) != 1) return;
    uint8_t *keys = (uint8_t *)(uintptr_t)order->bytes.at;
    if (keys) memory_wipe(keys, order->bytes.size);
    free(keys);
    arena_free(&order->arena);
    free(order);
}

static enum fault fields_get(struct order *order, struct rd *in)
{
    struct arena *arena = &order->arena;
    switch (order->type) {
    case MESSAGE_SA_ADD:
        return sa_get(in, arena, &order->sa);
    case MESSAGE_SA_MOVE:
        return sa_move_get(in, arena, &order->sa_move);
    case MESSAGE_SA_DEL:
        return sa_del_get(in, arena, &order->sa_del);
    case MESSAGE_SA_SKIP:
        return sa_skip_get(in, arena, &order->sa_skip);
    case MESSAGE_SA_MTU:
        return sa_mtu_get(in, arena, &order->sa_mtu);
    case MESSAGE_POLICY_ADD:
        return policy_get(in, arena, &order->policy);
    case MESSAGE_POLICY_DEL:
        return policy_del_get(in, arena, &order->policy_del);
    case MESSAGE_USAGE_ASK:
        return OK;
    default:
        return FAULT_MESSAGE_MALFORMED;
    }
}

// What is read borrows from the message, so that is kept, too.
struct order *order_read(const struct message_head *head, struct rd *fields)
{
    struct order *order = order_new(head->type);
    order->number = head->number;
    struct bytes borrowed = rd_bytes(fields, fields->left);
    uint8_t *own = mem_new(borrowed.size + 1);
    if (borrowed.size) memcpy(own, borrowed.at, borrowed.size);
    order->bytes = bytes_of(own, borrowed.size);
    struct rd in = rd_over(order->bytes);
    if (fields_get(order, &in) == OK) return order;
    order_free(order);
    return NULL;
}

bool order_is_inbound(const struct order *order, uint32_t *spi)
{
    switch (order->type) {
    case MESSAGE_SA_ADD:
        *spi = order->sa.spec.spi;
        return order->sa.spec.direction == SA_IN;
    case MESSAGE_SA_MOVE:
        *spi = order->sa_move.spi;
        return order->sa_move.direction == SA_IN;
    case MESSAGE_SA_DEL:
        *spi = order->sa_del.spi;
        return order->sa_del.direction == SA_IN;
    case MESSAGE_SA_MTU:
        *spi = order->sa_mtu.spi;
        return order->sa_mtu.direction == SA_IN;
    default:
        return false;
    }
}
