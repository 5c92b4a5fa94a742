// SPDX-License-Identifier: Apache-2.0
// What the ike role finds out for the core of path MTUs: that of the way out of this host to the
// peer of each SA, and what routers say. What of that is to be believed the core knows.
#include "daemon/ike.h"
#include "os/rtnl.h"
#include <event2/event.h>
#include <sys/socket.h>

enum {
    ICMP_SIZE = 1500,
    ICMP_AT_ONCE = 16, // anybody can send them
};

uint16_t ike_mtu_ask(struct ike_role *role, uint32_t spi, const struct path *path, uint32_t mark)
{
    if (!role->rtnl) role->rtnl = rtnl_new();
    if (!role->rtnl) return 0;
    uint16_t mtu = rtnl_mtu(role->rtnl, &path->remote.addr, ROUTING_MARK | mark, role_now());
    if (!mtu) return 0;
    if (role->mtu_count == role->mtu_room) {
        role->mtu_room = role->mtu_room ? role->mtu_room * 2 : 16;
        role->mtus = mem_grow(role->mtus, role->mtu_room, sizeof *role->mtus);
    }
    role->mtus[role->mtu_count++] = (struct mtu_news){spi, path->remote.addr, mtu};
    return mtu;
}

// Each step may bring more.
void ike_mtu_tell(struct ike_role *role)
{
    while (role->mtu_count) {
        struct mtu_news news = role->mtus[--role->mtu_count];
        struct ike_in in = {.kind = IKE_IN_PATH_MTU};
        in.path_mtu.spi = news.spi;
        in.path_mtu.remote = news.remote;
        in.path_mtu.mtu = news.mtu;
        ike_role_step(role, &in);
    }
}

static void icmp_readable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct ike_role *role = context;
    uint8_t space[ICMP_SIZE];
    for (unsigned i = 0; i < ICMP_AT_ONCE; i++) {
        ssize_t size = recv(fd, space, sizeof space, MSG_DONTWAIT);
        if (size <= 0) return;
        struct ike_in in = {.kind = IKE_IN_ICMP};
        in.icmp.family = fd == role->options->icmp6 ? ADDR_V6 : ADDR_V4;
        in.icmp.bytes = bytes_of(space, (size_t)size);
        ike_role_step(role, &in);
    }
}

void ike_mtu_watch(struct ike_role *role)
{
    const int fds[] = {role->options->icmp4, role->options->icmp6};
    for (unsigned i = 0; i < 2; i++)
        if (fds[i] >= 0)
            event_add(event_new(role->base, fds[i], EV_READ | EV_PERSIST, icmp_readable, role),
                      NULL);
}
