// SPDX-License-Identifier: Apache-2.0
// set_mark_out: the kernel gives packets of an SA a mark when they leave sealed, and asks for their
// way again. The esp role has no right to do so.
//
// A mark is there before its SA is used (the ike role waits for our answer) and stays for a moment
// when the SA is gone, for the packets that it has sealed last.
#include "daemon/net.h"
#include <event2/event.h>

enum { SEALED_LINGER_MS = 1000, SEALED_COMMANDS_MAX = 64 * 1024 * 1024 };

struct net_sealed {
    uint32_t spi;
    struct addr remote;
    uint32_t wanted, written; // marks; 0: none
    nsec leaves;              // 0: it stays
    bool dirty, waits;        // in which list it is
    struct net_sealed *next_dirty, *next_leaving;
};

static struct bytes sealed_key(uint32_t spi, const struct addr *remote, uint8_t space[21])
{
    memcpy(space, &spi, 4);
    space[4] = remote->family;
    memcpy(space + 5, remote->at, 16);
    return bytes_of(space, 21);
}

static void sealed_touch(struct net_role *role, struct net_sealed *sealed)
{
    role->sealed_news = true;
    if (sealed->dirty) return;
    sealed->dirty = true;
    sealed->next_dirty = role->sealed_dirty;
    role->sealed_dirty = sealed;
}

void net_sealed_mark(struct net_role *role, const struct sa_mark_message *message)
{
    uint8_t space[21];
    struct bytes key = sealed_key(message->spi, &message->remote, space);
    struct net_sealed *sealed = map_get(&role->sealed, key);
    if (!sealed) {
        sealed = NEW(struct net_sealed);
        *sealed = (struct net_sealed){.spi = message->spi, .remote = message->remote};
        map_put(&role->sealed, key, sealed);
    }
    sealed->leaves = 0;
    sealed->wanted = message->mark & MARK_FREE_BITS;
    if (sealed->wanted != sealed->written) sealed_touch(role, sealed);
}

static void leave_timer_set(struct net_role *role)
{
    if (!role->sealed_leaving || event_pending(role->sealed_timer, EV_TIMEOUT, NULL)) return;
    struct timeval wait = {.tv_sec = SEALED_LINGER_MS / 1000, .tv_usec = SEALED_LINGER_MS % 1000 * 1000};
    evtimer_add(role->sealed_timer, &wait);
}

void net_sealed_unmark(struct net_role *role, const struct sa_mark_message *message)
{
    uint8_t space[21];
    struct net_sealed *sealed =
        map_get(&role->sealed, sealed_key(message->spi, &message->remote, space));
    if (!sealed) return;
    sealed->leaves = role_now() + SEALED_LINGER_MS * NSEC_PER_MS;
    if (!sealed->waits) {
        sealed->waits = true;
        sealed->next_leaving = role->sealed_leaving;
        role->sealed_leaving = sealed;
    }
    leave_timer_set(role);
}

// One that is wanted again meanwhile stays.
void net_sealed_leave(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct net_role *role = context;
    nsec now = role_now();
    for (struct net_sealed **at = &role->sealed_leaving; *at;) {
        struct net_sealed *sealed = *at;
        if (sealed->leaves > now) {
            at = &sealed->next_leaving;
            continue;
        }
        *at = sealed->next_leaving;
        sealed->waits = false;
        if (!sealed->leaves) continue;
        sealed->wanted = 0;
        sealed_touch(role, sealed);
    }
    leave_timer_set(role);
}

static void sealed_write(const struct net_role *role, const struct net_sealed *sealed,
                         struct buf *out)
{
    struct nft_sealed element = {sealed->spi, sealed->remote, sealed->wanted};
    if (sealed->written) nft_write_sealed(&role->filter, &element, false, out);
    if (sealed->wanted) nft_write_sealed(&role->filter, &element, true, out);
}

static void sealed_settled(struct net_role *role)
{
    while (role->sealed_dirty) {
        struct net_sealed *sealed = role->sealed_dirty;
        role->sealed_dirty = sealed->next_dirty;
        sealed->dirty = false;
        sealed->written = sealed->wanted;
        if (sealed->wanted || sealed->waits) continue;
        uint8_t space[21];
        map_remove(&role->sealed, sealed_key(sealed->spi, &sealed->remote, space));
        free(sealed);
    }
}

enum fault net_sealed_sync(struct net_role *role)
{
    if (!role->sealed_dirty) return OK;
    if (!role->nft) {
        role_log(ROLE_NET, IKE_ERROR, FAULT_NFT_REFUSED, "sealed packets get no mark (set_mark_out)");
        sealed_settled(role);
        return OK;
    }
    AUTOFREE_BUF struct buf commands = BUF(SEALED_COMMANDS_MAX);
    if (!role->sealed_chain) nft_write_sealed_chain(&role->filter, &commands);
    for (const struct net_sealed *at = role->sealed_dirty; at; at = at->next_dirty)
        sealed_write(role, at, &commands);
    TRY(nft_commands(role->nft, &commands));
    if (!role->sealed_chain)
        role_log(ROLE_NET, IKE_INFO, OK,
                 "sealed packets get marks (set_mark_out): rules are to ask for their lower half, "
                 "as in: ip rule add fwmark 0x%x/0xffff ...",
                 role->sealed_dirty->wanted ? role->sealed_dirty->wanted : 42);
    role->sealed_chain = true;
    sealed_settled(role);
    return OK;
}

void net_sealed_lost(struct net_role *role)
{
    size_t cursor = 0;
    role->sealed_chain = false;
    for (struct net_sealed *at; (at = map_next(&role->sealed, &cursor));) {
        at->written = 0;
        sealed_touch(role, at);
    }
}

void net_sealed_end(struct net_role *role)
{
    size_t cursor = 0;
    for (void *at; (at = map_next(&role->sealed, &cursor));) free(at);
    map_wipe(&role->sealed);
}
