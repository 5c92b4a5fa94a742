// SPDX-License-Identifier: Apache-2.0
// What policies want of the kernel: routes and guards.
#include "base/unit.h"
#include "daemon/net.h"

static struct net_role *role_new(void)
{
    static const struct role_options options;
    struct net_role *role = NEW(struct net_role);
    role->options = &options;
    role->tun = 5;
    guard_init(&role->guard, 1, 2);
    map_init(&role->policies, 3, 4);
    map_init(&role->routes, 5, 6);
    return role;
}

static void role_free(struct net_role **role)
{
    net_wipe(*role);
    free(*role);
}

#define ROLE(name) __attribute__((cleanup(role_free))) struct net_role *name = role_new()

static struct addr addr_of(const char *text)
{
    struct addr addr;
    CHECK_FAULT(addr_parse(text, &addr), OK);
    return addr;
}

static void address(struct net_role *role, const char *text, bool came)
{
    struct addr addr = addr_of(text);
    assert_true(net_address_note(role, 2, &addr, came));
}

static struct selectors selectors_of(const char *text)
{
    struct selectors selectors = {0};
    AUTOFREE_MEM char *copy = mem_text(text);
    for (char *at = copy, *word; (word = strsep(&at, " "));) {
        struct selector selector;
        CHECK_FAULT(selector_parse(word, &selector), OK);
        assert_true(selectors_add(&selectors, &selector));
    }
    return selectors;
}

static void policy(struct net_role *role, uint32_t number, const char *local, const char *remote,
                   enum policy_action action)
{
    struct policy_spec spec = {.number = number,
                               .action = (uint8_t)action,
                               .local = selectors_of(local),
                               .remote = selectors_of(remote)};
    CHECK_FAULT(net_policy_add(role, &spec), OK);
}

static int text_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void join_sorted(char **lines, size_t count, struct buf *out)
{
    qsort(lines, count, sizeof *lines, text_compare);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s%s", i ? "; " : "", lines[i]);
        free(lines[i]);
    }
}

// Does what the role would do, and tells it: "+10.2.0.0/16 via 10.1.0.1; -…", sorted.
static void check_routes(struct net_role *role, const char *expected)
{
    char *lines[64];
    size_t count = 0;
    AUTOFREE_BUF struct buf text = BUF(10000);
    while (role->dirty) {
        struct net_route *route = role->dirty;
        enum rtnl_verb verb = net_route_sync_verb(route);
        struct rtnl_route message;
        char to[ADDR_TEXT], source[ADDR_TEXT];
        net_route_message(role, route, verb, &message);
        bool via = verb == RTNL_ADD && message.source.family != ADDR_NONE;
        assert_int_equal(message.device, message.kind == ROUTE_DEVICE ? 5 : 0);
        lines[count++] = mem_printf(
            "%s%s%s/%u%s%s", verb == RTNL_ADD ? "+" : "-",
            message.kind == ROUTE_THROW ? "throw " : "", addr_print(&message.to.addr, to),
            message.to.bits, via ? " from " : "", via ? addr_print(&message.source, source) : "");
        role->dirty = route->next_dirty;
        net_route_synced(role, route);
    }
    join_sorted(lines, count, &text);
    assert_string_equal(buf_text(&text), expected);
}

static void check_guards(struct net_role *role, const char *expected)
{
    char *lines[64];
    AUTOFREE_BUF struct buf text = BUF(10000);
    for (size_t i = 0; i < role->guard.count; i++) {
        const struct guard_item *item = role->guard.at[i];
        const struct box *box = &item->box;
        char local[RANGE_TEXT], remote[RANGE_TEXT], flow[64] = "";
        if (item->kind == GUARD_FLOW)
            snprintf(flow, sizeof flow, " %u-%u %u-%u %u-%u", box->protocol_low, box->protocol_high,
                     box->local_port_low, box->local_port_high, box->remote_port_low,
                     box->remote_port_high);
        lines[i] = mem_printf(
            "%d %s%s %s %s%s", item->level, item->verdict == GUARD_DROP ? "drop" : "pass",
            item->kind == GUARD_FRAGMENT ? " fragments" : "", range_print(&box->local, local),
            range_print(&box->remote, remote), flow);
    }
    join_sorted(lines, role->guard.count, &text);
    assert_string_equal(buf_text(&text), expected);
}

static void sites_get_a_route_and_a_guard(void **state)
{
    (void)state;
    ROLE(role);
    address(role, "127.0.0.1", true);
    address(role, "192.0.2.1", true);
    address(role, "10.1.0.1", true);
    policy(role, 1, "10.1.0.0/16 2001:db8:1::/64", "10.2.0.0/16 2001:db8:2::/64", POLICY_PROTECT);
    check_routes(role, "+10.2.0.0/16 from 10.1.0.1; +2001:db8:2::/64");
    check_guards(role, "0 drop 10.1.0.0/16 10.2.0.0/16; 0 drop 2001:db8:1::/64 2001:db8:2::/64");
    net_policy_del(role, 1);
    check_routes(role, "-10.2.0.0/16; -2001:db8:2::/64");
    check_guards(role, "");
    net_policy_del(role, 1);
    check_routes(role, "");
}

static void what_is_near_stays_near(void **state)
{
    (void)state;
    ROLE(role);
    address(role, "10.1.0.1", true);
    policy(role, 1, "10.1.0.0/16", "0.0.0.0/0", POLICY_PROTECT);
    check_routes(role, "+0.0.0.0/0 from 10.1.0.1; +throw 10.1.0.0/16");
    check_guards(role, "0 pass 10.1.0.0/16 10.1.0.0/16; 1 drop 10.1.0.0/16 0.0.0.0/0");
    net_policy_del(role, 1);
    check_routes(role, "-0.0.0.0/0; -throw 10.1.0.0/16");
    check_guards(role, "");
}

static void the_same_on_both_sides_is_not_near(void **state)
{
    (void)state;
    ROLE(role);
    address(role, "10.1.0.1", true);
    policy(role, 1, "0.0.0.0/0", "0.0.0.0/0", POLICY_PROTECT);
    check_routes(role, "+0.0.0.0/0"); // and no preferred source: the policy has all
    check_guards(role, "0 drop 0.0.0.0/0 0.0.0.0/0");
}

static void routes_are_shared_and_counted(void **state)
{
    (void)state;
    ROLE(role);
    policy(role, 1, "10.1.0.0/16", "10.2.0.0/16", POLICY_PROTECT);
    check_routes(role, "+10.2.0.0/16");
    policy(role, 2, "10.3.0.0/16", "10.2.0.0/16", POLICY_PROTECT);
    check_routes(role, "");
    net_policy_del(role, 1);
    check_routes(role, "");
    check_guards(role, "0 drop 10.3.0.0/16 10.2.0.0/16");
    net_policy_del(role, 2);
    check_routes(role, "-10.2.0.0/16");
}

static void a_policy_of_the_same_number_is_replaced(void **state)
{
    (void)state;
    ROLE(role);
    policy(role, 1, "10.1.0.0/16", "10.2.0.0/16", POLICY_PROTECT);
    check_routes(role, "+10.2.0.0/16");
    policy(role, 1, "10.1.0.0/16", "10.2.0.0/17", POLICY_PROTECT);
    check_routes(role, "+10.2.0.0/17; -10.2.0.0/16");
    check_guards(role, "0 drop 10.1.0.0/16 10.2.0.0/17");
}

static void one_that_goes_and_comes_changes_nothing(void **state)
{
    (void)state;
    ROLE(role);
    policy(role, 1, "10.1.0.0/16", "10.2.0.0/16", POLICY_PROTECT);
    check_routes(role, "+10.2.0.0/16");
    net_policy_del(role, 1);
    policy(role, 2, "10.1.0.0/16", "10.2.0.0/16", POLICY_PROTECT);
    check_routes(role, "+10.2.0.0/16"); // said again, which replaces it
}

static void a_device_route_beats_a_throw(void **state)
{
    (void)state;
    ROLE(role);
    policy(role, 1, "10.1.0.0/16", "10.0.0.0/8", POLICY_PROTECT);
    check_routes(role, "+10.0.0.0/8; +throw 10.1.0.0/16");
    policy(role, 2, "10.5.0.0/16", "10.1.0.0/16", POLICY_PROTECT);
    check_routes(role, "+10.1.0.0/16");
    net_policy_del(role, 2);
    check_routes(role, "+throw 10.1.0.0/16");
}

static void a_range_becomes_prefixes(void **state)
{
    (void)state;
    ROLE(role);
    policy(role, 1, "10.1.0.0/16", "10.2.0.1-10.2.0.4", POLICY_PROTECT);
    check_routes(role, "+10.2.0.1/32; +10.2.0.2/31; +10.2.0.4/32");
    check_guards(role, "0 drop 10.1.0.0/16 10.2.0.1-10.2.0.4");
}

static void ports_are_guarded_with_fragments(void **state)
{
    (void)state;
    ROLE(role);
    policy(role, 1, "192.0.2.1[tcp]", "192.0.2.2[tcp/443]", POLICY_PROTECT);
    check_routes(role, "+192.0.2.2/32");
    check_guards(
        role,
        "0 drop 192.0.2.1 192.0.2.2 6-6 0-65535 443-443; 0 drop fragments 192.0.2.1 192.0.2.2");
    net_policy_del(role, 1);
    check_guards(role, "");
}

static void protocols_that_never_meet_guard_nothing(void **state)
{
    (void)state;
    ROLE(role);
    policy(role, 1, "192.0.2.1[tcp]", "192.0.2.2[udp]", POLICY_PROTECT);
    check_guards(role, "");
}

static void bypass_and_discard_have_guards_and_no_routes(void **state)
{
    (void)state;
    ROLE(role);
    policy(role, 1, "10.1.0.0/16", "10.2.0.0/16", POLICY_PROTECT);
    policy(role, 2, "10.1.0.5", "10.2.0.5", POLICY_BYPASS);
    policy(role, 3, "10.1.0.6", "10.9.0.0/16", POLICY_DISCARD);
    check_routes(role, "+10.2.0.0/16");
    check_guards(
        role,
        "0 drop 10.1.0.6 10.9.0.0/16; 0 pass 10.1.0.5 10.2.0.5; 1 drop 10.1.0.0/16 10.2.0.0/16");
}

static void a_source_that_comes_or_goes_changes_routes(void **state)
{
    (void)state;
    ROLE(role);
    policy(role, 1, "10.1.0.0/16", "10.2.0.0/16", POLICY_PROTECT);
    check_routes(role, "+10.2.0.0/16");
    address(role, "10.1.0.1", true);
    net_sources_refresh(role);
    check_routes(role, "+10.2.0.0/16 from 10.1.0.1");
    address(role, "10.1.0.2", true);
    net_sources_refresh(role);
    check_routes(role, "");
    // The kernel took the route away with its source; also when the source is back before we look.
    address(role, "10.1.0.1", false);
    net_sources_refresh(role);
    check_routes(role, "+10.2.0.0/16 from 10.1.0.2");
    address(role, "10.1.0.2", false);
    address(role, "10.1.0.2", true);
    net_sources_refresh(role);
    check_routes(role, "+10.2.0.0/16 from 10.1.0.2");
}

static void sources_that_reach_nobody_are_not_taken(void **state)
{
    (void)state;
    ROLE(role);
    address(role, "127.0.0.1", true);
    address(role, "::1", true);
    address(role, "fe80::1", true);
    policy(role, 1, "126.0.0.0-128.0.0.0 ::-ffff::", "10.2.0.0/16 2001:db8:2::/64", POLICY_PROTECT);
    check_routes(role, "+10.2.0.0/16; +2001:db8:2::/64");
}

static void too_many_routes_are_refused_whole(void **state)
{
    (void)state;
    ROLE(role);
    struct policy_spec spec = {
        .number = 1, .action = POLICY_PROTECT, .local = selectors_of("::/0")};
    for (unsigned i = 0; i < 8; i++) {
        char text[80];
        struct selector selector;
        snprintf(text, sizeof text, "%x::1-%x:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 0x2000 + i * 2,
                 0x2001 + i * 2);
        CHECK_FAULT(selector_parse(text, &selector), OK);
        assert_true(selectors_add(&spec.remote, &selector));
    }
    CHECK_FAULT(net_policy_add(role, &spec), FAULT_PLANE_ROUTES);
    check_routes(role, "");
    check_guards(role, "");
}

static void what_cannot_be_guarded_is_refused_whole(void **state)
{
    (void)state;
    ROLE(role);
    char remote[40];
    for (unsigned i = 0; i < GUARD_LEVELS_MAX; i++) {
        snprintf(remote, sizeof remote, "10.2.0.%u-10.2.0.200", i);
        policy(role, i + 1, "10.1.0.0/16", remote, POLICY_PROTECT);
    }
    size_t before = role->guard.count;
    struct policy_spec spec = {.number = 1000,
                               .action = POLICY_PROTECT,
                               .local = selectors_of("10.1.0.0/16"),
                               .remote = selectors_of("10.7.0.0/16 10.2.0.77-10.2.0.99")};
    CHECK_FAULT(net_policy_add(role, &spec), FAULT_GUARD_FULL);
    assert_int_equal(role->guard.count, before);
    assert_null(map_get(&role->policies, map_key_u32(&spec.number)));
}

static void virtual_addresses_are_counted(void **state)
{
    (void)state;
    ROLE(role);
    struct addr vip = addr_of("10.3.0.1"), other = addr_of("10.3.0.2");
    assert_true(net_count(role->virtuals, VIRTUAL_MAX, &vip, RTNL_ADD));
    assert_false(net_count(role->virtuals, VIRTUAL_MAX, &vip, RTNL_ADD));
    assert_true(net_count(role->virtuals, VIRTUAL_MAX, &other, RTNL_ADD));
    assert_false(net_count(role->virtuals, VIRTUAL_MAX, &vip, RTNL_DEL));
    assert_true(net_count(role->virtuals, VIRTUAL_MAX, &vip, RTNL_DEL));
    assert_false(net_count(role->virtuals, VIRTUAL_MAX, &vip, RTNL_DEL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sites_get_a_route_and_a_guard),
        cmocka_unit_test(what_is_near_stays_near),
        cmocka_unit_test(the_same_on_both_sides_is_not_near),
        cmocka_unit_test(routes_are_shared_and_counted),
        cmocka_unit_test(a_policy_of_the_same_number_is_replaced),
        cmocka_unit_test(one_that_goes_and_comes_changes_nothing),
        cmocka_unit_test(a_device_route_beats_a_throw),
        cmocka_unit_test(a_range_becomes_prefixes),
        cmocka_unit_test(ports_are_guarded_with_fragments),
        cmocka_unit_test(protocols_that_never_meet_guard_nothing),
        cmocka_unit_test(bypass_and_discard_have_guards_and_no_routes),
        cmocka_unit_test(a_source_that_comes_or_goes_changes_routes),
        cmocka_unit_test(sources_that_reach_nobody_are_not_taken),
        cmocka_unit_test(too_many_routes_are_refused_whole),
        cmocka_unit_test(what_cannot_be_guarded_is_refused_whole),
        cmocka_unit_test(virtual_addresses_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
