// SPDX-License-Identifier: Apache-2.0
// Transport mode between gateways: sealed packets carry the addresses of the hosts behind us and
// would pass us by. While there is a policy of that kind ESP is brought to the TUN device:
//
//     rule 219:  ipproto esp, without our mark  lookup table 221
//     table 221: local selectors -> TUN device
//
// What is not for one of our SAs the worker sends on as it came; its mark keeps it out of the rule.
#include "daemon/net.h"
#include "model/iana.h"

enum {
    TRANSIT_PRIORITY = 219,
    TRANSITS_MAX = 4096,
    TRANSIT_MTU = 65535,
    MARK_BIT = ROUTING_MARK & 0x40000000, // one bit is enough to tell ours
};

size_t net_transit_wanted(struct net_role *role, struct prefix *out, size_t room)
{
    size_t cursor = 0, count = 0;
    for (const struct net_policy *policy; (policy = map_next(&role->policies, &cursor));) {
        if (policy->mode != MODE_GATEWAY_TRANSPORT || policy->action != POLICY_PROTECT) continue;
        for (unsigned i = 0; i < policy->local_count; i++) {
            struct prefix some[PREFIXES_MAX];
            size_t more = range_prefixes(&policy->at[i].range, some, PREFIXES_MAX);
            for (size_t j = 0; j < more && j < PREFIXES_MAX && count < room; j++)
                out[count++] = some[j];
        }
    }
    return count;
}

static void refused(const struct net_role *role, enum fault fault)
{
    if (fault)
        role_log(ROLE_NET, IKE_ERROR, fault, "cannot bring ESP in transit here: %s",
                 rtnl_reason(role->rtnl));
}

static bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
    return a->bits == b->bits && addr_equal(&a->addr, &b->addr);
}

static void rules_set(struct net_role *role, enum rtnl_verb verb)
{
    static const uint8_t families[] = {ADDR_V4, ADDR_V6};
    for (unsigned i = 0; i < 2; i++) {
        struct rtnl_rule rule = {.family = families[i],
                                 .priority = TRANSIT_PRIORITY,
                                 .table = TRANSIT_TABLE,
                                 .mask = MARK_BIT,
                                 .protocol = IPPROTO_NUMBER_ESP};
        enum fault fault = rtnl_rule(role->rtnl, verb, &rule);
        if (families[i] == ADDR_V4) refused(role, fault); // a host without IPv6 has no rules for it
    }
}

static void route_set(struct net_role *role, const struct prefix *to, enum rtnl_verb verb)
{
    // The device's own size is for packets before they are sealed; these are, and read as they
    // come.
    struct rtnl_route route = {.kind = ROUTE_DEVICE,
                               .to = *to,
                               .table = TRANSIT_TABLE,
                               .device = role->tun,
                               .mtu = TRANSIT_MTU};
    refused(role, rtnl_route(role->rtnl, verb, &route));
}

static bool transit_mark(struct net_role *role, const struct prefix *to)
{
    for (size_t i = 0; i < role->transit_count; i++) {
        if (!prefix_equal(&role->transits[i].to, to)) continue;
        role->transits[i].wanted = true;
        return true;
    }
    return false;
}

static void transit_add(struct net_role *role, const struct prefix *to)
{
    if (transit_mark(role, to)) return;
    if (role->transit_count == role->transit_room) {
        role->transit_room = role->transit_room ? role->transit_room * 2 : 8;
        role->transits = mem_grow(role->transits, role->transit_room, sizeof *role->transits);
    }
    role->transits[role->transit_count++] = (struct net_transit_route){*to, true};
    route_set(role, to, RTNL_ADD);
}

void net_transit_sync(struct net_role *role)
{
    if (!role->transit_changed) return;
    role->transit_changed = false;
    struct prefix *wanted = mem_array(TRANSITS_MAX, sizeof *wanted);
    size_t count = net_transit_wanted(role, wanted, TRANSITS_MAX);
    bool had = role->transit_count > 0;
    for (size_t i = 0; i < role->transit_count; i++) role->transits[i].wanted = false;
    for (size_t i = 0; i < count; i++) transit_add(role, &wanted[i]);
    for (size_t i = role->transit_count; i-- > 0;) {
        if (role->transits[i].wanted) continue;
        route_set(role, &role->transits[i].to, RTNL_DEL);
        role->transits[i] = role->transits[--role->transit_count];
    }
    bool has = role->transit_count > 0;
    if (has != had) rules_set(role, has ? RTNL_ADD : RTNL_DEL);
    free(wanted);
}

void net_transit_remove(struct net_role *role)
{
    rules_set(role, RTNL_DEL);
    refused(role, rtnl_routes_flush(role->rtnl, TRANSIT_TABLE));
    role->transit_count = 0;
}
