// SPDX-License-Identifier: Apache-2.0
// What the esp role is told keeps its order, and some of it waits for the net role: an SA whose sealed packets are to carry a mark
// must not be used before the kernel knows of the mark, or its first packets would take another way.
#include "daemon/ike.h"

static void hold(struct ike_role *role, const struct wr *message, uint64_t number)
{
    struct held *held = NEW(struct held);
    *held = (struct held){.number = number, .message = mem_copy(wr_done(message))};
    *role->held_last = held;
    role->held_last = &held->next;
}

void ike_esp_send(struct ike_role *role, const struct wr *message)
{
    if (role->held) hold(role, message, 0);
    else link_send(role->esp, message);
}

void ike_esp_send_behind_net(struct ike_role *role, const struct wr *message)
{
    hold(role, message, role->last_sync + 1);
    role->sync_wanted = true;
}

static void held_free(struct ike_role *role)
{
    struct held *first = role->held;
    role->held = first->next;
    if (!role->held) role->held_last = &role->held;
    memory_wipe((void *)(uintptr_t)first->message.at, first->message.size);
    mem_drop(&first->message);
    free(first);
}

void ike_esp_release(struct ike_role *role)
{
    while (role->held && role->held->number <= role->net_synced) {
        struct bytes message = role->held->message;
        struct wr out = wr_over((void *)(uintptr_t)message.at, message.size);
        out.size = message.size;
        link_send(role->esp, &out);
        held_free(role);
    }
}

void ike_esp_drop(struct ike_role *role)
{
    while (role->held) held_free(role);
}
