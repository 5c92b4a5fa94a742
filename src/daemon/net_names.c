// SPDX-License-Identifier: Apache-2.0
// Name servers that peers tell a client of: as long as the tunnel is up they are at the top of resolv.conf.
#include "daemon/net.h"
#include "os/resolv.h"
#include <errno.h>

static void names_set(struct net_role *role)
{
    const struct role_options *options = role->options;
    struct addr servers[NAME_SERVERS_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < NAME_SERVERS_MAX; i++)
        if (role->servers[i].count) servers[count++] = role->servers[i].addr;
    if (strcmp(options->resolv_conf, "none") == 0) return;
    if (options->resolv_fd < 0) {
        if (count) role_log(ROLE_NET, IKE_ERROR, FAULT_RESOLV_REFUSED, "%s is not a file that may be written to", options->resolv_conf);
        return;
    }
    enum fault fault = resolv_set(options->resolv_fd, options->resolv_conf, servers, count);
    if (fault) role_log(ROLE_NET, IKE_ERROR, fault, "%s: %s", options->resolv_conf, fault == FAULT_RESOLV_REFUSED ? strerror(errno) : "left alone");
}

void net_names_start(struct net_role *role) { names_set(role); }

void net_names_change(struct net_role *role, const struct addr *server, enum rtnl_verb verb)
{
    if (net_count(role->servers, NAME_SERVERS_MAX, server, verb)) names_set(role);
}

void net_names_end(struct net_role *role)
{
    memset(role->servers, 0, sizeof role->servers);
    names_set(role);
}
