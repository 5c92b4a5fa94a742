// SPDX-License-Identifier: Apache-2.0
// The net role: it makes the kernel bring packets to the TUN device, and guards what must not go
// elsewhere.
//
//     rule 220:  not fwmark 0x43590000/0x7fff0000  lookup table 220
//     table 220: remote selectors          -> TUN device, preferred source: an address of ours
//     within the local selectors
//                local selectors in those  -> throw: what is near stays near
//
// Between gateways in transport mode there is more (net_transit.c).
//
// Only one rule: what carries the mark goes on to the rules and tables behind, so multi-homed hosts
// keep their own policy routing, and a sealed packet without any other route is refused instead of
// coming back into the TUN device. Opened packets take the same way as any other, so a hub passes
// them on into the next tunnel. Neighbours on connected networks are reached directly only where a
// policy leaves them out: the policy decides, not the routing table.
//
// The packet filter outlives this process on purpose: it is removed only when the daemon is told to
// stop. A new life makes a second table and removes the former one's after GRACE_SECONDS, when
// policies have had time to come back.
#include "daemon/net.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

enum { GRACE_SECONDS = 20, LOOK_SECONDS = 5, LINGER_MS = 300, WAYS_MS = 200,
       GUARD_SHARE = 40, ROUTES_AT_ONCE = 64, GUARD_WAIT_MAX_MS = 1000 };

// --- telling

static void refused_log(struct net_role *role, enum fault fault, const char *what)
{
    if (!fault) return;
    const char *reason =
        fault == FAULT_NFT_REFUSED ? nft_reason(role->nft) : rtnl_reason(role->rtnl);
    role_log(ROLE_NET, IKE_ERROR, fault, "%s: %s", what, reason);
}

static void address_tell(struct net_role *role, const struct addr *addr, bool came)
{
    struct address_message message = {.addr = *addr, .came = came};
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_ADDRESS, 0);
    address_put(&out, &message);
    link_send(role->ike, &out);
}

static void failure_tell(struct net_role *role, uint32_t policy, enum fault fault)
{
    struct plane_message message = {
        .event = {.kind = IKE_PLANE_FAILED, .policy = policy, .fault = fault}};
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_PLANE, 0);
    plane_put(&out, &message);
    link_send(role->ike, &out);
    role_log(ROLE_NET, IKE_ERROR, fault, "policy %u is not taken", policy);
}

// --- bringing the kernel up to date

static void routes_send(struct net_role *role, enum rtnl_verb verb, const struct rtnl_route *routes, size_t count)
{
    refused_log(role, rtnl_routes(role->rtnl, verb, routes, count),
                verb == RTNL_ADD ? "cannot add a route" : "cannot delete a route");
}

static void routes_sync(struct net_role *role, enum rtnl_verb verb)
{
    struct rtnl_route routes[ROUTES_AT_ONCE];
    size_t count = 0;
    for (struct net_route **at = &role->dirty; *at;) {
        struct net_route *route = *at;
        if (net_route_sync_verb(route) != verb) {
            at = &route->next_dirty;
            continue;
        }
        net_route_message(role, route, verb, &routes[count++]);
        *at = route->next_dirty;
        net_route_synced(role, route);
        if (count == ROUTES_AT_ONCE) {
            routes_send(role, verb, routes, count);
            count = 0;
        }
    }
    if (count) routes_send(role, verb, routes, count);
}

static void filter_sync(struct net_role *role)
{
    bool restored = false;
    if (!role->nft) return;
    enum fault fault = nft_sync(role->nft, &role->filter, &role->guard, &role->levels, &restored);
    refused_log(role, fault, "cannot guard policies");
    // The library takes kilobytes for each box while it works and leaves holes.
    malloc_trim(0);
    if (restored && !fault) net_sealed_lost(role);
    if (restored && !fault)
        role_log(ROLE_NET, IKE_AUDIT, OK, "somebody removed packet filter table %s; it is back",
                 role->table);
}

// One transaction takes longer the more the filter holds, so that under a load of new policies many
// of them share one: what it took is waited GUARD_SHARE times before the next. A change that comes alone is
// made at once.
static void filter_soon(struct net_role *role)
{
    nsec now = role_now(), wait = role->filter_next - now;
    if (wait > 0) {
        if (event_pending(role->filter_later, EV_TIMEOUT, NULL)) return;
        struct timeval later = {.tv_sec = wait / NSEC_PER_SECOND,
                                .tv_usec = wait % NSEC_PER_SECOND / 1000 + 1};
        evtimer_add(role->filter_later, &later);
        return;
    }
    filter_sync(role);
    nsec end = role_now();
    wait = (end - now) * GUARD_SHARE;
    role->filter_next = end + (wait < GUARD_WAIT_MAX_MS * NSEC_PER_MS ? wait
                                                                     : GUARD_WAIT_MAX_MS * NSEC_PER_MS);
}

static void filter_later(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    filter_soon(context);
}

// Where somebody has removed the table it is made again first.
static void sealed_sync(struct net_role *role)
{
    role->sealed_news = false;
    enum fault fault = net_sealed_sync(role);
    if (fault) {
        filter_sync(role);
        fault = net_sealed_sync(role);
    }
    refused_log(role, fault, "sealed packets get no mark (set_mark_out)");
}

// Routes first, since they are quick: the first packets of a new child are on their way already, and the ike role waits for
// them before it tells a peer that an SA is there: from then on the first answer to a packet of the peer's would leave in the
// clear if its route were missing. The guard comes after them and goes after them, so what it stops is what the routes have missed.
static void turn_ended(void *context)
{
    struct net_role *role = context;
    uint8_t space[64];
    if (role->changed) {
        routes_sync(role, RTNL_DEL);
        routes_sync(role, RTNL_ADD);
        net_transit_sync(role);
    }
    if (role->sealed_news) sealed_sync(role);
    if (role->sync) {
        struct wr out = message_begin(space, sizeof space, MESSAGE_SYNC, role->sync);
        link_send(role->ike, &out);
        role->sync = 0;
        links_flush();
    }
    if (role->changed) filter_soon(role);
    role->changed = false;
}

// --- from the ike role

static void leave_timer_set(struct net_role *role)
{
    if (!role->leaving) return;
    nsec left = role->leaving->at - role_now();
    if (left < 0) left = 0;
    struct timeval wait = {.tv_sec = left / NSEC_PER_SECOND,
                           .tv_usec = left % NSEC_PER_SECOND / 1000};
    evtimer_add(role->leave, &wait);
}

static void leaving_drop(struct net_role *role, struct net_leaving **at)
{
    struct net_leaving *leaving = *at;
    *at = leaving->next;
    if (!*at) role->leaving_last = at;
    free(leaving);
}

static void policies_leave(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct net_role *role = context;
    nsec now = role_now();
    while (role->leaving && role->leaving->at <= now) {
        net_policy_del(role, role->leaving->number);
        net_device_policy_del(role, role->leaving->number);
        leaving_drop(role, &role->leaving);
    }
    leave_timer_set(role);
    role->changed = true;
}

// The number is in use again.
static void leaving_cancel(struct net_role *role, uint32_t number)
{
    for (struct net_leaving **at = &role->leaving; *at;) {
        if ((*at)->number == number)
            leaving_drop(role, at);
        else
            at = &(*at)->next;
    }
}

// Route and guard stay for a moment: a peer that comes anew brings a policy like the one that goes,
// and between the two nothing shall leave unprotected.
static void policy_del(struct net_role *role, struct rd *fields, struct arena *arena)
{
    struct policy_del_message message;
    if (policy_del_get(fields, arena, &message) != OK) return;
    bool first = !role->leaving;
    struct net_leaving *leaving = NEW(struct net_leaving);
    *leaving =
        (struct net_leaving){.number = message.number, .at = role_now() + LINGER_MS * NSEC_PER_MS};
    *role->leaving_last = leaving;
    role->leaving_last = &leaving->next;
    if (first) leave_timer_set(role);
}

static void policy_add(struct net_role *role, struct rd *fields, struct arena *arena)
{
    struct policy_message message;
    if (policy_get(fields, arena, &message) != OK) return;
    leaving_cancel(role, message.spec.number);
    enum fault fault = net_device_policy_add(role, &message.spec);
    // What is routed into a device of its own is the operator's choice: no routes, nothing to guard.
    bool routed = message.spec.if_id_out;
    if (!fault && !routed) fault = net_policy_add(role, &message.spec);
    if (fault) failure_tell(role, message.spec.number, fault);
    role->changed = true;
    if (message.spec.action == POLICY_PROTECT) net_hints(role, &message);
}

// A virtual address may be wanted by several children.
static void virtual_address(struct net_role *role, struct rd *fields, struct arena *arena,
                            enum rtnl_verb verb)
{
    struct address_message message;
    if (address_get(fields, arena, &message) != OK || message.addr.family == ADDR_NONE) return;
    if (!net_count(role->virtuals, VIRTUAL_MAX, &message.addr, verb)) return;
    refused_log(role, rtnl_address(role->rtnl, verb, role->tun, &message.addr),
                verb == RTNL_ADD ? "cannot add a virtual address"
                                 : "cannot delete a virtual address");
}

static void name_server(struct net_role *role, struct rd *fields, struct arena *arena)
{
    struct address_message message;
    if (address_get(fields, arena, &message) != OK || message.addr.family == ADDR_NONE) return;
    net_names_change(role, &message.addr, message.came ? RTNL_ADD : RTNL_DEL);
}

static void device_wanted(struct net_role *role, struct rd *fields, struct arena *arena)
{
    struct device_message message;
    if (device_get(fields, arena, &message) == OK) net_device_wanted(role, &message);
}

static void guard_take(struct net_role *role, struct rd *fields, struct arena *arena)
{
    struct guard_message message;
    if (guard_get(fields, arena, &message) == OK) net_guard_take(role, &message);
}

static void sealed_change(struct net_role *role, struct rd *fields, struct arena *arena,
                          void (*change)(struct net_role *role,
                                         const struct sa_mark_message *message))
{
    struct sa_mark_message message;
    if (sa_mark_get(fields, arena, &message) == OK && message.remote.family != ADDR_NONE)
        change(role, &message);
}

static void from_ike(void *context, const struct message_head *head, struct rd *fields)
{
    struct net_role *role = context;
    struct arena arena = {0};
    switch (head->type) {
    case MESSAGE_POLICY_ADD:
        policy_add(role, fields, &arena);
        break;
    case MESSAGE_DEVICE:
        device_wanted(role, fields, &arena);
        break;
    case MESSAGE_GUARD:
        guard_take(role, fields, &arena);
        break;
    case MESSAGE_POLICY_DEL:
        policy_del(role, fields, &arena);
        break;
    case MESSAGE_ADDRESS_ADD:
        virtual_address(role, fields, &arena, RTNL_ADD);
        break;
    case MESSAGE_ADDRESS_DEL:
        virtual_address(role, fields, &arena, RTNL_DEL);
        break;
    case MESSAGE_NAME_SERVER:
        name_server(role, fields, &arena);
        break;
    case MESSAGE_SA_MARK:
        sealed_change(role, fields, &arena, net_sealed_mark);
        break;
    case MESSAGE_SA_UNMARK:
        sealed_change(role, fields, &arena, net_sealed_unmark);
        break;
    case MESSAGE_SYNC:
        role->sync = head->number;   // answers for all before
        break;
    }
    arena_free(&arena);
}

// --- addresses of this host

static void address_news(void *context, unsigned device, const struct addr *addr, bool came)
{
    struct net_role *role = context;
    if (!net_address_note(role, device, addr, came) || net_device_is_ours(role, device)) return;
    // What goes from one device may have come to another one.
    if (came == net_address_there(role, addr)) address_tell(role, addr, came);
}

// News were lost: what is not in a fresh list is gone.
static void addresses_list(struct net_role *role)
{
    struct rtnl_watch watch = {role, address_news};
    for (size_t i = 0; i < role->address_count; i++) role->addresses[i].seen = false;
    refused_log(role, rtnl_addresses(role->rtnl, &watch), "cannot list addresses");
    for (size_t i = role->address_count; i-- > 0;) {
        struct net_address gone = role->addresses[i];
        if (!gone.seen) address_news(role, gone.device, &gone.addr, false);
    }
}

static void monitor_readable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct net_role *role = context;
    struct rtnl_watch watch = {role, address_news};
    if (!rtnl_monitor_read(fd, &watch)) addresses_list(role);
    // The kernel removes routes whose preferred source goes, and a better source may have come.
    net_sources_refresh(role);
    role->changed = true;
}

// Links and routes change in bursts; afterwards the ike role looks how peers can be reached.
static void ways_readable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct net_role *role = context;
    if (!rtnl_ways_read(fd) || evtimer_pending(role->ways, NULL)) return;
    evtimer_add(role->ways, &(struct timeval){.tv_usec = WAYS_MS * 1000});
}

static void ways_tell(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    static const struct addr none;
    address_tell(context, &none, false);
}

// --- the device

static void sysctl_write(const char *device, const char *family, const char *name,
                         const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/%s/conf/%s/%s", family, device, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, value, strlen(value)) > 0;
    if (!good && errno != ENOENT)
        role_log(ROLE_NET, IKE_DETAIL, OK, "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
}

static void address_drop(void *context, unsigned device, const struct addr *addr, bool came)
{
    struct net_role *role = context;
    if (came && device == role->tun)
        refused_log(role, rtnl_address(role->rtnl, RTNL_DEL, device, addr),
                    "cannot drop an address");
}

// After a former life the device may be there with its addresses.
static void tun_addresses_drop(struct net_role *role)
{
    struct rtnl *lister = rtnl_new();
    struct rtnl_watch watch = {role, address_drop};
    if (lister && rtnl_addresses(lister, &watch) != OK)
        role_log(ROLE_NET, IKE_DETAIL, OK, "cannot list addresses");
    rtnl_free(lister);
}

void net_device_up(struct net_role *role, const char *device, unsigned index)
{
    static const struct {
        const char *family, *name, *value;
    } wanted[] = {
        {"ipv4", "rp_filter", "0"}, // what is opened comes from wherever the peer's policy allows
        {"ipv4", "src_valid_mark", "1"}, // where all have a filter: by the mark that set_mark_in gives
        {"ipv4", "send_redirects", "0"}, // a hub sends out by the device a packet came from
        {"ipv6", "addr_gen_mode", "1"},  // no link-local address: nobody is on this link
        {"ipv6", "accept_ra", "0"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        sysctl_write(device, wanted[i].family, wanted[i].name, wanted[i].value);
    refused_log(role, rtnl_link(role->rtnl, index, true, role->options->mtu),
                "cannot set the TUN device up");
}

// --- rules and tables

static void rules_set(struct net_role *role, enum rtnl_verb verb)
{
    static const uint8_t families[] = {ADDR_V4, ADDR_V6};
    for (unsigned i = 0; i < 2; i++) {
        struct rtnl_rule rule = {.family = families[i],
                                 .priority = RULE_PRIORITY,
                                 .table = ROUTING_TABLE,
                                 .mark = ROUTING_MARK,
                                 .mask = ROUTING_MARK_MASK,
                                 .invert = true};
        enum fault fault = rtnl_rule(role->rtnl, verb, &rule);
        // A host without IPv6 has no rules for it.
        if (families[i] == ADDR_V4 || fault == OK)
            refused_log(role, fault, "cannot change routing rules");
    }
}

static void filter_former_drop(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct net_role *role = context;
    refused_log(role, nft_delete_table(role->nft, role->former),
                "cannot delete the former packet filter table");
    role_log(ROLE_NET, IKE_DETAIL, OK, "the former life's packet filter table is deleted");
    role->former[0] = 0;
}

// Other programs may flush all rules, as the nftables service does when it is reloaded.
static void filter_look(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    filter_sync(context);
}

static void filter_start(struct net_role *role)
{
    char second[TABLE_NAME_MAX];
    snprintf(role->table, sizeof role->table, "cygnet_%s", role->options->tun_name);
    snprintf(second, sizeof second, "cygnet_%s_2", role->options->tun_name);
    role->filter = (struct nft_settings){.table = role->table,
                                         .tun = role->options->tun_name,
                                         .mark = ROUTING_MARK,
                                         .port = role->options->port,
                                         .port_nat = role->options->port_nat};
    role->nft = nft_new();
    if (!role->nft) {
        role_log(ROLE_NET, IKE_ERROR, FAULT_NFT_REFUSED, "nothing is guarded");
        return;
    }
    if (nft_has_table(role->nft, role->table)) {
        memcpy(role->former, role->table, sizeof role->former);
        memcpy(role->table, second, sizeof role->table);
    } else if (nft_has_table(role->nft, second)) {
        memcpy(role->former, second, sizeof role->former);
    }
    enum fault fault = nft_make_table(role->nft, &role->filter);
    refused_log(role, fault, "nothing is guarded");
    if (fault) {
        nft_free(role->nft);
        role->nft = NULL;
        return;
    }
    role->look = event_new(role->base, -1, EV_PERSIST, filter_look, role);
    event_add(role->look, &(struct timeval){.tv_sec = LOOK_SECONDS});
    if (!role->former[0]) return;
    role_log(ROLE_NET, IKE_INFO, OK, "a former life's packet filter stays for %d s", GRACE_SECONDS);
    role->grace = evtimer_new(role->base, filter_former_drop, role);
    evtimer_add(role->grace, &(struct timeval){.tv_sec = GRACE_SECONDS});
}

static void all_remove(struct net_role *role)
{
    refused_log(role, rtnl_routes_flush(role->rtnl, ROUTING_TABLE), "cannot remove routes");
    net_transit_remove(role);
    rules_set(role, RTNL_DEL);
    net_device_rules_remove(role);
    if (!role->nft) return;
    refused_log(role, nft_delete_table(role->nft, role->table),
                "cannot remove the packet filter table");
    if (role->former[0])
        refused_log(role, nft_delete_table(role->nft, role->former),
                    "cannot remove the former packet filter table");
}

// It only listens.
static void from_esp(void *context, const struct message_head *head, struct rd *fields)
{
    (void)context, (void)head, (void)fields;
}

int role_net(const struct role_options *options)
{
    struct net_role *role = NEW(struct net_role);
    role->options = options;
    role->base = event_base_new();
    role->space = mem_new(IPC_MESSAGE_MAX);
    role->rtnl = rtnl_new();
    role->tun = if_nametoindex(options->tun_name);
    int monitor = rtnl_monitor_open();
    if (!role->rtnl || !role->tun || monitor < 0) {
        role_log(ROLE_NET, IKE_ERROR, FAULT_NETLINK_REFUSED, "%s: %s", options->tun_name,
                 strerror(errno));
        return 1;
    }
    struct rng *rng = role_rng();
    guard_init(&role->guard, rng_u64(rng), rng_u64(rng));
    map_init(&role->policies, rng_u64(rng), rng_u64(rng));
    map_init(&role->routes, rng_u64(rng), rng_u64(rng));
    map_init(&role->devices, rng_u64(rng), rng_u64(rng));
    map_init(&role->guards, rng_u64(rng), rng_u64(rng));
    map_init(&role->sealed, rng_u64(rng), rng_u64(rng));
    role->sealed_timer = evtimer_new(role->base, net_sealed_leave, role);
    map_init(&role->device_policies, rng_u64(rng), rng_u64(rng));
    role->ike =
        link_new(role->base, options->channel[ROLE_IKE], ROLE_NET, ROLE_IKE, from_ike, role);
    role->esp = link_new(role->base, options->channel[ROLE_ESP], ROLE_NET, ROLE_ESP, from_esp, role);
    role->leaving_last = &role->leaving;
    role->leave = evtimer_new(role->base, policies_leave, role);
    role->filter_later = evtimer_new(role->base, filter_later, role);
    role_on_turn(turn_ended, role);
    event_add(event_new(role->base, monitor, EV_READ | EV_PERSIST, monitor_readable, role), NULL);
    int ways = rtnl_ways_open();
    role->ways = evtimer_new(role->base, ways_tell, role);
    if (ways >= 0)
        event_add(event_new(role->base, ways, EV_READ | EV_PERSIST, ways_readable, role), NULL);
    filter_start(role);
    refused_log(role, rtnl_routes_flush(role->rtnl, ROUTING_TABLE),
                "cannot remove routes of a former life");
    net_transit_remove(role);
    rules_set(role, RTNL_ADD);
    tun_addresses_drop(role);
    net_device_up(role, options->tun_name, role->tun);
    net_names_start(role);
    addresses_list(role);
    int code = role_loop(role->base, options->alive);
    net_names_end(role);
    if (role_stop_ordered()) all_remove(role);
    nft_free(role->nft);
    rtnl_free(role->rtnl);
    while (role->leaving) leaving_drop(role, &role->leaving);
    net_devices_end(role);
    net_guards_end(role);
    net_sealed_end(role);
    net_wipe(role);
    return code;
}
