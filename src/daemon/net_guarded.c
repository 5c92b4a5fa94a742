// SPDX-License-Identifier: Apache-2.0
// Networks that connections guard: packets leave to them, and come from them, by devices of tunnels
// only. A connection names them when it is loaded, child by child; when the last has come they take
// the place of those that it had.
#include "daemon/net.h"

struct net_guard {
    size_t count;
    struct guarded *at;
};

static void guard_free(struct net_guard *guard)
{
    if (guard) free(guard->at);
    free(guard);
}

static void filter_follow(struct net_role *role)
{
    size_t cursor = 0, count = 0;
    for (const struct net_guard *guard; (guard = map_next(&role->guards, &cursor));)
        count += guard->count;
    role->guarded = mem_grow(role->guarded, count + 1, sizeof *role->guarded);
    role->filter.guarded = role->guarded;
    role->filter.guarded_count = 0;
    cursor = 0;
    for (const struct net_guard *guard; (guard = map_next(&role->guards, &cursor));)
        for (size_t i = 0; i < guard->count; i++)
            role->guarded[role->filter.guarded_count++] =
                (struct nft_guarded){guard->at[i].range, guard->at[i].spared};
    net_filter_devices(role);
}

void net_guard_take(struct net_role *role, const struct guard_message *message)
{
    if (!message->conn) return;
    struct net_guard *coming = role->coming ? role->coming : NEW(struct net_guard);
    role->coming = coming;
    coming->at = mem_grow(coming->at, coming->count + message->count + 1, sizeof *coming->at);
    memcpy(coming->at + coming->count, message->at, message->count * sizeof *coming->at);
    coming->count += message->count;
    if (!message->last) return;
    struct bytes conn = bytes_of_text(message->conn);
    bool some = coming->count > 0;
    struct net_guard *former =
        some ? map_put(&role->guards, conn, coming) : map_remove(&role->guards, conn);
    if (!some) guard_free(coming);
    role->coming = NULL;
    if (some || former) filter_follow(role);
    guard_free(former);
}

void net_guards_end(struct net_role *role)
{
    size_t cursor = 0;
    for (struct net_guard *guard; (guard = map_next(&role->guards, &cursor));) guard_free(guard);
    map_wipe(&role->guards);
    guard_free(role->coming);
    free(role->guarded);
}
