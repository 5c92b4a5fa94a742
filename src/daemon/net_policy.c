// SPDX-License-Identifier: Apache-2.0
// What policies want of the kernel: routes, counted by prefix because policies share them, and
// boxes of the guard.
#include "daemon/net.h"
#include "model/iana.h"
#include <assert.h>

// --- ranges

static bool range_within(const struct range *inner, const struct range *outer)
{
    return inner->low.family == outer->low.family && addr_compare(&inner->low, &outer->low) >= 0 &&
           addr_compare(&inner->high, &outer->high) <= 0;
}

static bool range_equal(const struct range *a, const struct range *b)
{
    return addr_equal(&a->low, &b->low) && addr_equal(&a->high, &b->high);
}

static bool range_is_all(const struct range *range)
{
    struct prefix prefix;
    return range_is_prefix(range, &prefix) && prefix.bits == 0;
}

// A local selector that lies in a remote one, and is not the same, is near and not behind the peer.
static bool is_near(const struct policy_spec *spec, const struct range *local)
{
    for (unsigned i = 0; i < spec->remote.count; i++) {
        const struct range *remote = &spec->remote.at[i].range;
        if (range_within(local, remote) && !range_equal(local, remote)) return true;
    }
    return false;
}

// --- preferred source

static bool is_usable_source(const struct addr *addr)
{
    if (addr->family == ADDR_V4) return addr->at[0] != 127;
    static const struct prefix link_local = {{ADDR_V6, {0xfe, 0x80}}, 10};
    static const struct addr loopback = {ADDR_V6, {[15] = 1}};
    return !prefix_has(&link_local, addr) && !addr_equal(addr, &loopback);
}

// An address of this host within the local selectors, so that its own packets match the policy;
// none where the selectors hold all.
static struct addr source_choose(const struct net_role *role, const struct policy_spec *spec,
                                 uint8_t family)
{
    for (unsigned i = 0; i < spec->local.count; i++) {
        const struct range *local = &spec->local.at[i].range;
        if (local->low.family != family || range_is_all(local)) continue;
        for (size_t j = 0; j < role->address_count; j++) {
            const struct addr *addr = &role->addresses[j].addr;
            if (range_has(local, addr) && is_usable_source(addr)) return *addr;
        }
    }
    return (struct addr){0};
}

// --- routes

static uint8_t route_wants(const struct net_route *route)
{
    return route->device_count ? ROUTE_DEVICE : route->throw_count ? ROUTE_THROW : 0;
}

static void route_touch(struct net_role *role, struct net_route *route)
{
    if (route->dirty) return;
    route->dirty = true;
    route->next_dirty = role->dirty;
    role->dirty = route;
}

static struct bytes route_key(const struct prefix *to, uint8_t space[18])
{
    space[0] = to->addr.family;
    space[1] = to->bits;
    memcpy(space + 2, to->addr.at, 16);
    return bytes_of(space, 18);
}

static struct net_route *route_get(struct net_role *role, const struct prefix *to)
{
    uint8_t space[18];
    struct bytes key = route_key(to, space);
    struct net_route *route = map_get(&role->routes, key);
    if (route) return route;
    route = NEW(struct net_route);
    route->to = *to;
    map_put(&role->routes, key, route);
    return route;
}

enum rtnl_verb net_route_sync_verb(const struct net_route *route)
{
    return route_wants(route) ? RTNL_ADD : RTNL_DEL;
}

void net_route_message(const struct net_role *role, const struct net_route *route,
                       enum rtnl_verb verb, struct rtnl_route *out)
{
    uint8_t kind = verb == RTNL_ADD ? route_wants(route) : route->installed;
    *out = (struct rtnl_route){.kind = kind,
                               .to = route->to,
                               .table = ROUTING_TABLE,
                               .device = kind == ROUTE_DEVICE ? role->tun : 0,
                               .source = route->source};
}

void net_route_synced(struct net_role *role, struct net_route *route)
{
    route->dirty = false;
    route->next_dirty = NULL;
    route->installed = route_wants(route);
    route->source_installed = route->source;
    if (route->installed) return;
    uint8_t space[18];
    map_remove(&role->routes, route_key(&route->to, space));
    free(route);
}

static size_t policy_prefixes(const struct selectors *selectors,
                              bool (*wanted)(const struct policy_spec *, const struct range *),
                              const struct policy_spec *spec, struct prefix *out)
{
    size_t count = 0;
    for (unsigned i = 0; i < selectors->count; i++) {
        struct prefix some[PREFIXES_MAX];
        const struct range *range = &selectors->at[i].range;
        if (wanted && !wanted(spec, range)) continue;
        size_t more = range_prefixes(range, some, PREFIXES_MAX);
        for (size_t j = 0; j < more && j < PREFIXES_MAX && count < ROUTES_PER_POLICY_MAX; j++)
            out[count++] = some[j];
    }
    return count;
}

enum { COUNT_UP = 1, COUNT_DOWN = -1 };

static void policy_routes(struct net_role *role, const struct policy_spec *spec, int step)
{
    if (spec->action != POLICY_PROTECT) return;
    struct prefix *prefixes = mem_array(ROUTES_PER_POLICY_MAX, sizeof *prefixes);
    size_t count = policy_prefixes(&spec->remote, NULL, spec, prefixes);
    for (size_t i = 0; i < count; i++) {
        struct net_route *route = route_get(role, &prefixes[i]);
        route->device_count += (unsigned)step;
        if (step == COUNT_UP && route->source.family == ADDR_NONE)
            route->source = source_choose(role, spec, route->to.addr.family);
        if (route_wants(route) != route->installed ||
            !addr_equal(&route->source, &route->source_installed))
            route_touch(role, route);
    }
    count = policy_prefixes(&spec->local, is_near, spec, prefixes);
    for (size_t i = 0; i < count; i++) {
        struct net_route *route = route_get(role, &prefixes[i]);
        route->throw_count += (unsigned)step;
        if (route_wants(route) != route->installed) route_touch(role, route);
    }
    free(prefixes);
}

void net_sources_refresh(struct net_role *role)
{
    size_t cursor = 0;
    struct net_route *route;
    const struct net_policy *policy;
    struct prefix *prefixes = mem_array(ROUTES_PER_POLICY_MAX, sizeof *prefixes);
    while ((route = map_next(&role->routes, &cursor))) route->source = (struct addr){0};
    cursor = 0;
    while ((policy = map_next(&role->policies, &cursor))) {
        if (policy->action != POLICY_PROTECT) continue;
        struct policy_spec spec;
        net_policy_unpack(policy, &spec);
        size_t count = policy_prefixes(&spec.remote, NULL, &spec, prefixes);
        for (size_t i = 0; i < count; i++) {
            route = route_get(role, &prefixes[i]);
            if (route->source.family == ADDR_NONE)
                route->source = source_choose(role, &spec, route->to.addr.family);
        }
    }
    cursor = 0;
    while ((route = map_next(&role->routes, &cursor)))
        if (route_wants(route) != route->installed ||
            !addr_equal(&route->source, &route->source_installed))
            route_touch(role, route);
    free(prefixes);
}

// --- the guard

static unsigned range_common_bits(const struct range *range)
{
    unsigned bits = 0, size = (unsigned)addr_size(&range->low) * 8;
    while (bits < size &&
           !((range->low.at[bits / 8] ^ range->high.at[bits / 8]) >> (7 - bits % 8) & 1))
        bits++;
    return bits;
}

// Without a priority of its own a policy takes precedence by how narrow it is. Odd numbers are for
// what is near.
static uint64_t precedence_of(const struct policy_spec *spec, const struct box *box)
{
    if (spec->priority) return (uint64_t)spec->priority * 2;
    unsigned wide = 2 * (unsigned)addr_size(&box->local.low) * 8 - range_common_bits(&box->local) -
                    range_common_bits(&box->remote);
    bool any_protocol = box->protocol_low != box->protocol_high;
    bool any_port = box->local_port_high - box->local_port_low == 65535 &&
                    box->remote_port_high - box->remote_port_low == 65535;
    return ((UINT64_C(1) << 33) + wide * 4 + any_protocol * 2 + any_port) * 2;
}

// RFC 7296 3.13.1.
static bool is_opaque(const struct selector *selector)
{
    return selector->port_low > selector->port_high;
}

// RFC 4301 4.4.1.1: of protocols that have ports, what shows none is later fragments. Of others it
// is all.
static bool is_for_fragments(const struct selector *local, const struct selector *remote)
{
    static const uint8_t with_ports[] = {
        IPPROTO_NUMBER_TCP,  IPPROTO_NUMBER_UDP,  IPPROTO_NUMBER_ICMP,   IPPROTO_NUMBER_ICMPV6,
        IPPROTO_NUMBER_SCTP, IPPROTO_NUMBER_DCCP, IPPROTO_NUMBER_UDPLITE};
    uint8_t protocol = local->protocol ? local->protocol : remote->protocol;
    return (is_opaque(local) || is_opaque(remote)) &&
           memchr(with_ports, protocol, sizeof with_ports);
}

static void ports_of(const struct selector *selector, uint16_t *low, uint16_t *high)
{
    *low = is_opaque(selector) ? 0 : selector->port_low;
    *high = is_opaque(selector) ? 65535 : selector->port_high;
}

// False when no packet can match both.
static bool box_of(const struct selector *local, const struct selector *remote, struct box *box)
{
    if (local->range.low.family != remote->range.low.family) return false;
    if (local->protocol && remote->protocol && local->protocol != remote->protocol) return false;
    uint8_t protocol = local->protocol ? local->protocol : remote->protocol;
    *box = (struct box){.local = local->range,
                        .remote = remote->range,
                        .protocol_low = protocol,
                        .protocol_high = protocol ? protocol : 255};
    ports_of(local, &box->local_port_low, &box->local_port_high);
    ports_of(remote, &box->remote_port_low, &box->remote_port_high);
    return true;
}

static enum guard_kind box_kind(const struct box *box)
{
    bool any_port = box->local_port_low == 0 && box->local_port_high == 65535 &&
                    box->remote_port_low == 0 && box->remote_port_high == 65535;
    return any_port && box->protocol_low == 0 && box->protocol_high == 255 ? GUARD_PAIR
                                                                           : GUARD_FLOW;
}

static enum fault guard_count(struct net_role *role, enum guard_kind kind, const struct box *box,
                              enum guard_verdict verdict, uint64_t precedence, int step)
{
    if (step == COUNT_UP) return guard_add(&role->guard, kind, box, verdict, precedence);
    guard_del(&role->guard, kind, box, verdict, precedence);
    return OK;
}

// Fragments behind the first show no ports. Those of the policy's protocol are stopped all between
// its hosts; of IPv6 those, too, that have headers before it: they name the first of these.
static enum fault guard_fragments(struct net_role *role, const struct box *box, int step)
{
    const uint8_t hiding[] = {box->protocol_low, IPPROTO_NUMBER_AH, IPPROTO_NUMBER_IPV6_OPTS};
    bool v6 = box->local.low.family == ADDR_V6 && box->protocol_low == box->protocol_high;
    for (unsigned i = 0; i < (v6 ? sizeof hiding : 1); i++) {
        struct box bare = {.local = box->local,
                           .remote = box->remote,
                           .protocol_low = hiding[i],
                           .protocol_high = i ? hiding[i] : box->protocol_high,
                           .local_port_high = 65535,
                           .remote_port_high = 65535};
        enum fault fault = guard_count(role, GUARD_FRAGMENT, &bare, GUARD_DROP, 0, step);
        if (!fault) continue;
        while (i--) {
            bare.protocol_low = hiding[i];
            bare.protocol_high = i ? hiding[i] : box->protocol_high;
            guard_del(&role->guard, GUARD_FRAGMENT, &bare, GUARD_DROP, 0);
        }
        return fault;
    }
    return OK;
}

static enum fault guard_pair(struct net_role *role, const struct policy_spec *spec,
                             const struct box *box, bool fragments, int step)
{
    enum guard_verdict verdict = spec->action == POLICY_BYPASS ? GUARD_PASS : GUARD_DROP;
    enum guard_kind kind = box_kind(box);
    if (fragments) return verdict == GUARD_PASS ? OK : guard_fragments(role, box, step);
    TRY(guard_count(role, kind, box, verdict, precedence_of(spec, box), step));
    if (kind == GUARD_PAIR || verdict == GUARD_PASS) return OK;
    enum fault fault = guard_fragments(role, box, step);
    if (fault) guard_del(&role->guard, kind, box, verdict, precedence_of(spec, box));
    return fault;
}

static enum fault guard_near(struct net_role *role, const struct policy_spec *spec,
                             const struct range *a, const struct range *b, int step)
{
    struct box box = {.local = *a,
                      .remote = *b,
                      .protocol_high = 255,
                      .local_port_high = 65535,
                      .remote_port_high = 65535};
    return guard_count(role, GUARD_PAIR, &box, GUARD_PASS, precedence_of(spec, &box) - 1, step);
}

// Counts all boxes of a policy up or down, at most *done of them on the way down; *done tells how
// many were counted up.
static enum fault policy_guards(struct net_role *role, const struct policy_spec *spec, int step,
                                unsigned *done)
{
    unsigned count = 0, limit = step == COUNT_UP ? UINT32_MAX : *done;
    enum fault fault = OK;
    for (unsigned i = 0; i < spec->local.count; i++) {
        for (unsigned j = 0; j < spec->remote.count && !fault && count < limit; j++) {
            struct box box;
            const struct selector *local = &spec->local.at[i], *remote = &spec->remote.at[j];
            if (!box_of(local, remote, &box)) continue;
            fault = guard_pair(role, spec, &box, is_for_fragments(local, remote), step);
            if (!fault) count++;
        }
        for (unsigned j = 0;
             j < spec->local.count && !fault && count < limit && spec->action == POLICY_PROTECT;
             j++) {
            const struct range *a = &spec->local.at[i].range, *b = &spec->local.at[j].range;
            if (a->low.family != b->low.family || !is_near(spec, b)) continue;
            fault = guard_near(role, spec, a, b, step);
            if (!fault) count++;
        }
    }
    *done = count;
    return fault;
}

// --- policies

static struct net_policy *policy_pack(const struct policy_spec *spec)
{
    size_t locals = spec->local.count, remotes = spec->remote.count;
    struct net_policy *policy = mem_new(sizeof *policy + (locals + remotes) * sizeof policy->at[0]);
    policy->number = spec->number;
    policy->action = spec->action;
    policy->trap = spec->trap;
    policy->mode = spec->mode;
    policy->priority = spec->priority;
    policy->local_count = spec->local.count;
    policy->remote_count = spec->remote.count;
    memcpy(policy->at, spec->local.at, locals * sizeof policy->at[0]);
    memcpy(policy->at + locals, spec->remote.at, remotes * sizeof policy->at[0]);
    return policy;
}

void net_policy_unpack(const struct net_policy *policy, struct policy_spec *out)
{
    *out = (struct policy_spec){.number = policy->number,
                                .action = policy->action,
                                .trap = policy->trap,
                                .mode = policy->mode,
                                .priority = policy->priority,
                                .local.count = policy->local_count,
                                .remote.count = policy->remote_count};
    memcpy(out->local.at, policy->at, policy->local_count * sizeof policy->at[0]);
    memcpy(out->remote.at, policy->at + policy->local_count,
           policy->remote_count * sizeof policy->at[0]);
}

enum fault net_policy_add(struct net_role *role, const struct policy_spec *spec)
{
    net_policy_del(role, spec->number);
    struct prefix *prefixes = mem_array(ROUTES_PER_POLICY_MAX, sizeof *prefixes);
    bool too_many = policy_prefixes(&spec->remote, NULL, spec, prefixes) == ROUTES_PER_POLICY_MAX;
    free(prefixes);
    if (too_many) return FAULT_PLANE_ROUTES;
    unsigned done = 0, undone;
    enum fault fault = policy_guards(role, spec, COUNT_UP, &done);
    if (fault) {
        undone = done;
        enum fault none = policy_guards(role, spec, COUNT_DOWN, &undone);
        assert(none == OK);
        return fault;
    }
    map_put(&role->policies, map_key_u32(&spec->number), policy_pack(spec));
    role->transit_changed |= spec->mode == MODE_GATEWAY_TRANSPORT;
    policy_routes(role, spec, COUNT_UP);
    return OK;
}

void net_policy_del(struct net_role *role, uint32_t number)
{
    struct net_policy *policy = map_remove(&role->policies, map_key_u32(&number));
    if (!policy) return;
    struct policy_spec spec;
    unsigned all = UINT32_MAX;
    net_policy_unpack(policy, &spec);
    free(policy);
    policy_routes(role, &spec, COUNT_DOWN);
    enum fault none = policy_guards(role, &spec, COUNT_DOWN, &all);
    assert(none == OK);
    role->transit_changed |= spec.mode == MODE_GATEWAY_TRANSPORT;
}

void net_wipe(struct net_role *role)
{
    size_t cursor = 0;
    for (void *policy; (policy = map_next(&role->policies, &cursor));) free(policy);
    cursor = 0;
    for (void *route; (route = map_next(&role->routes, &cursor));) free(route);
    map_wipe(&role->policies);
    map_wipe(&role->routes);
    guard_wipe(&role->guard);
    free(role->addresses);
    free(role->transits);
}

// --- addresses

// The kernel removes routes together with their preferred source.
static void routes_lose(struct net_role *role, const struct addr *source)
{
    size_t cursor = 0;
    for (struct net_route *route; (route = map_next(&role->routes, &cursor));)
        if (addr_equal(&route->source_installed, source)) route->installed = 0;
}

bool net_address_there(const struct net_role *role, const struct addr *addr)
{
    for (size_t i = 0; i < role->address_count; i++)
        if (role->addresses[i].device != role->tun && addr_equal(&role->addresses[i].addr, addr))
            return true;
    return false;
}

bool net_address_note(struct net_role *role, unsigned device, const struct addr *addr, bool came)
{
    for (size_t i = 0; i < role->address_count; i++) {
        struct net_address *known = &role->addresses[i];
        if (known->device != device || !addr_equal(&known->addr, addr)) continue;
        known->seen = true;
        if (came) return false;
        *known = role->addresses[--role->address_count];
        routes_lose(role, addr);
        return true;
    }
    if (!came) return false;
    if (role->address_count == role->address_room) {
        role->address_room = role->address_room ? role->address_room * 2 : 16;
        role->addresses = mem_grow(role->addresses, role->address_room, sizeof *role->addresses);
    }
    role->addresses[role->address_count++] = (struct net_address){device, *addr, true};
    return true;
}

bool net_count(struct net_counted *all, unsigned room, const struct addr *addr, enum rtnl_verb verb)
{
    struct net_counted *empty = NULL;
    for (unsigned i = room; i-- > 0;) {
        struct net_counted *at = &all[i];
        if (!at->count) empty = at;
        if (!at->count || !addr_equal(&at->addr, addr)) continue;
        if (verb == RTNL_ADD)
            at->count++;
        else
            at->count--;
        return at->count == 0;
    }
    if (verb == RTNL_DEL || !empty) return false;
    *empty = (struct net_counted){*addr, 1};
    return true;
}
