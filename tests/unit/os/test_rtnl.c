// SPDX-License-Identifier: Apache-2.0
// Rtnetlink messages byte by byte, and against a kernel.
#include "base/mem.h"
#include "namespace.h"
#include <endian.h>
#include <linux/rtnetlink.h>

union message_space {
    struct nlmsghdr head;
    uint8_t at[RTNL_MESSAGE_MAX];
};

static struct addr addr_of(const char *text)
{
    struct addr addr;
    CHECK_FAULT(addr_parse(text, &addr), OK);
    return addr;
}

static struct prefix prefix_of(const char *text)
{
    struct prefix prefix;
    CHECK_FAULT(prefix_parse(text, &prefix), OK);
    return prefix;
}

// Netlink is in host byte order: the bytes below are those of a little-endian machine.
static void check_hex(const struct nlmsghdr *message, const char *expected)
{
    if (BYTE_ORDER != LITTLE_ENDIAN) skip();
    char hex[2 * RTNL_MESSAGE_MAX + 1];
    bytes_hex(bytes_of(message, message->nlmsg_len), hex, sizeof hex);
    AUTOFREE_BUF struct buf bare = BUF(4096);
    for (; *expected; expected++)
        if (*expected != ' ') buf_add(&bare, bytes_of(expected, 1));
    assert_string_equal(hex, buf_text(&bare));
}

static void routes_are_these_bytes(void **state)
{
    (void)state;
    union message_space space;
    struct rtnl_route v4 = {.kind = ROUTE_DEVICE,
                            .to = prefix_of("10.2.0.0/16"),
                            .table = 220,
                            .device = 5,
                            .source = addr_of("10.1.0.1")};
    struct rtnl_route v6 = {
        .kind = ROUTE_DEVICE, .to = prefix_of("2001:db8:2::/64"), .table = 1000, .device = 5};
    struct rtnl_route near = {.kind = ROUTE_THROW, .to = prefix_of("10.1.0.0/16"), .table = 220};
    struct rtnl_route all = {
        .kind = ROUTE_DEVICE, .to = prefix_of("0.0.0.0/0"), .table = 220, .device = 5};
    // header: length, type, flags (REQUEST ACK REPLACE CREATE), sequence, port; rtmsg; TABLE, DST,
    // OIF, PREFSRC
    check_hex(rtnl_route_encode(&space, RTNL_ADD, &v4),
              "3c000000 1800 0505 00000000 00000000 02 10 00 00 dc 43 fd 01 00000000"
              "0800 0f00 dc000000 0800 0100 0a020000 0800 0400 05000000 0800 0700 0a010001");
    check_hex(rtnl_route_encode(&space, RTNL_DEL, &v4),
              "34000000 1900 0500 00000000 00000000 02 10 00 00 dc 43 fd 01 00000000"
              "0800 0f00 dc000000 0800 0100 0a020000 0800 0400 05000000");
    check_hex(rtnl_route_encode(&space, RTNL_ADD, &v6),
              "40000000 1800 0505 00000000 00000000 0a 40 00 00 00 43 00 01 00000000"
              "0800 0f00 e8030000 1400 0100 20010db8000200000000000000000000 0800 0400 05000000");
    check_hex(rtnl_route_encode(&space, RTNL_ADD, &near),
              "2c000000 1800 0505 00000000 00000000 02 10 00 00 dc 43 00 09 00000000"
              "0800 0f00 dc000000 0800 0100 0a010000");
    check_hex(rtnl_route_encode(&space, RTNL_ADD, &all),
              "2c000000 1800 0505 00000000 00000000 02 00 00 00 dc 43 fd 01 00000000"
              "0800 0f00 dc000000 0800 0400 05000000");
}

static void rules_are_these_bytes(void **state)
{
    (void)state;
    union message_space space;
    struct rtnl_rule rule = {.family = ADDR_V6,
                             .priority = 220,
                             .table = 220,
                             .mark = 0x43590000,
                             .mask = 0x7fff0000,
                             .invert = true};
    // fib_rule_hdr: family, lengths, tos, table, action TO_TBL, flags INVERT; PRIORITY, TABLE,
    // FWMARK, FWMASK, PROTOCOL
    check_hex(rtnl_rule_encode(&space, RTNL_ADD, &rule),
              "44000000 2000 0506 00000000 00000000 0a 00 00 00 dc 00 00 01 02000000"
              "0800 0600 dc000000 0800 0f00 dc000000 0800 0a00 00005943 0800 1000 0000ff7f 0500 "
              "1500 43000000");
    rule = (struct rtnl_rule){.family = ADDR_V4, .priority = 7, .table = 254};
    check_hex(rtnl_rule_encode(&space, RTNL_DEL, &rule),
              "34000000 2100 0500 00000000 00000000 02 00 00 00 fe 00 00 01 00000000"
              "0800 0600 07000000 0800 0f00 fe000000 0500 1500 43000000");
    // action GOTO; PRIORITY, GOTO, PROTOCOL
    rule = (struct rtnl_rule){.family = ADDR_V4, .priority = 7, .target = 9};
    check_hex(rtnl_rule_encode(&space, RTNL_DEL, &rule),
              "34000000 2100 0500 00000000 00000000 02 00 00 00 00 00 00 02 00000000"
              "0800 0600 07000000 0800 0400 09000000 0500 1500 43000000");
}

static void addresses_and_links_are_these_bytes(void **state)
{
    (void)state;
    union message_space space;
    struct addr v4 = addr_of("10.99.0.1"), v6 = addr_of("2001:db8::1");
    check_hex(rtnl_address_encode(&space, RTNL_ADD, 5, &v4),
              "28000000 1400 0505 00000000 00000000 02 20 00 00 05000000"
              "0800 0200 0a630001 0800 0100 0a630001");
    // IPv6: NODAD
    check_hex(rtnl_address_encode(&space, RTNL_DEL, 5, &v6),
              "40000000 1500 0500 00000000 00000000 0a 80 02 00 05000000"
              "1400 0200 20010db8000000000000000000000001"
              "1400 0100 20010db8000000000000000000000001");
    check_hex(rtnl_link_encode(&space, 5, true, 1400),
              "28000000 1000 0500 00000000 00000000 00 00 0000 05000000 01000000 01000000"
              "0800 0400 78050000");
    check_hex(rtnl_link_encode(&space, 5, false, 0),
              "20000000 1000 0500 00000000 00000000 00 00 0000 05000000 00000000 01000000");
}

// --- with a kernel

struct seen {
    unsigned count;
    bool loopback4, loopback6, came;
    struct addr last;
};

static void note(void *context, unsigned device, const struct addr *addr, bool came)
{
    struct seen *seen = context;
    struct addr v4 = addr_v4(127, 0, 0, 1), v6 = addr_of("::1");
    seen->count++;
    seen->loopback4 |= device == 1 && addr_equal(addr, &v4);
    seen->loopback6 |= device == 1 && addr_equal(addr, &v6);
    seen->came = came;
    seen->last = *addr;
}

static void addresses_are_listed(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    struct rtnl *rtnl = rtnl_new();
    struct seen seen = {0};
    struct rtnl_watch watch = {&seen, note};
    CHECK_FAULT(rtnl_addresses(rtnl, &watch), OK);
    assert_true(seen.loopback4);
    assert_true(seen.loopback6);
    assert_int_equal(seen.count, 2);
    rtnl_free(rtnl);
}

static void news_of_addresses_come(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    struct rtnl *rtnl = rtnl_new();
    struct seen seen = {0};
    struct rtnl_watch watch = {&seen, note};
    struct addr addr = addr_of("10.77.0.1");
    int monitor = rtnl_monitor_open();
    assert_true(monitor >= 0);
    assert_true(rtnl_monitor_read(monitor, &watch));
    assert_int_equal(seen.count, 0);
    CHECK_FAULT(rtnl_address(rtnl, RTNL_ADD, 1, &addr), OK);
    assert_true(rtnl_monitor_read(monitor, &watch));
    assert_int_equal(seen.count, 1);
    assert_true(seen.came && addr_equal(&seen.last, &addr));
    CHECK_FAULT(rtnl_address(rtnl, RTNL_DEL, 1, &addr), OK);
    assert_true(rtnl_monitor_read(monitor, &watch));
    assert_int_equal(seen.count, 2);
    assert_false(seen.came);
    close(monitor);
    rtnl_free(rtnl);
}

static void rules_routes_and_refusals(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    struct rtnl *rtnl = rtnl_new();
    struct rtnl_rule rule = {.family = ADDR_V4,
                             .priority = 220,
                             .table = 220,
                             .mark = 0x43590000,
                             .mask = 0x7fff0000,
                             .invert = true};
    struct rtnl_route route = {.kind = ROUTE_DEVICE,
                               .to = prefix_of("192.0.2.0/24"),
                               .table = 220,
                               .device = 1,
                               .source = addr_v4(127, 0, 0, 1)};
    struct rtnl_route near = {.kind = ROUTE_THROW, .to = prefix_of("192.0.2.128/25"), .table = 220};
    struct rtnl_route others = {.kind = ROUTE_DEVICE,
                                .to = prefix_of("198.51.100.0/24"),
                                .table = 221,
                                .device = 1,
                                .source = addr_v4(127, 0, 0, 1)};
    struct addr far = addr_of("192.0.2.1"), nearer = addr_of("192.0.2.129"),
                elsewhere = addr_of("198.51.100.1"), source;
    CHECK_FAULT(rtnl_rule(rtnl, RTNL_ADD, &rule), OK);
    CHECK_FAULT(rtnl_rule(rtnl, RTNL_ADD, &rule), OK);
    CHECK_FAULT(rtnl_route(rtnl, RTNL_ADD, &route), OK);
    CHECK_FAULT(rtnl_route(rtnl, RTNL_ADD, &near), OK);
    CHECK_FAULT(rtnl_route(rtnl, RTNL_ADD, &others), OK);
    // What carries the mark does not see the table, nor does what is near, and another table's
    // routes are none of its.
    CHECK_FAULT(rtnl_source(&far, 0, &source), OK);
    CHECK_FAULT(rtnl_source(&far, 0x43590000, &source), FAULT_NO_ROUTE);
    CHECK_FAULT(rtnl_source(&nearer, 0, &source), FAULT_NO_ROUTE);
    CHECK_FAULT(rtnl_source(&elsewhere, 0, &source), FAULT_NO_ROUTE);
    route.device = 999;
    CHECK_FAULT(rtnl_route(rtnl, RTNL_ADD, &route), FAULT_NETLINK_REFUSED);
    assert_non_null(rtnl_reason(rtnl));
    CHECK_FAULT(rtnl_routes_flush(rtnl, 220), OK);
    CHECK_FAULT(rtnl_source(&far, 0, &source), FAULT_NO_ROUTE);
    CHECK_FAULT(rtnl_rule(rtnl, RTNL_DEL, &rule), OK);
    CHECK_FAULT(rtnl_rule(rtnl, RTNL_DEL, &rule), OK);
    CHECK_FAULT(rtnl_routes_flush(rtnl, 221), OK);
    rtnl_free(rtnl);
}

static void many_routes_go_at_once_and_a_refusal_keeps_none_back(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    struct rtnl *rtnl = rtnl_new();
    struct rtnl_rule rule = {.family = ADDR_V4, .priority = 100, .table = 220};
    struct rtnl_route routes[300];
    struct addr source;
    CHECK_FAULT(rtnl_rule(rtnl, RTNL_ADD, &rule), OK);
    for (unsigned i = 0; i < COUNT(routes); i++)
        routes[i] = (struct rtnl_route){.kind = ROUTE_DEVICE,
                                        .to = {addr_v4(10, 9, (uint8_t)(i >> 8), (uint8_t)i), 32},
                                        .table = 220,
                                        .device = 1,
                                        .source = addr_v4(127, 0, 0, 1)};
    routes[7].device = 999;
    CHECK_FAULT(rtnl_routes(rtnl, RTNL_ADD, routes, COUNT(routes)), FAULT_NETLINK_REFUSED);
    for (unsigned i = 0; i < COUNT(routes); i++)
        CHECK_FAULT(rtnl_source(&routes[i].to.addr, 0, &source), i == 7 ? FAULT_NO_ROUTE : OK);
    // Adding what is there and deleting what is not are no refusals.
    routes[7].device = 1;
    CHECK_FAULT(rtnl_routes(rtnl, RTNL_ADD, routes, COUNT(routes)), OK);
    CHECK_FAULT(rtnl_routes(rtnl, RTNL_DEL, routes, COUNT(routes)), OK);
    CHECK_FAULT(rtnl_routes(rtnl, RTNL_DEL, routes, COUNT(routes)), OK);
    for (unsigned i = 0; i < COUNT(routes); i++)
        CHECK_FAULT(rtnl_source(&routes[i].to.addr, 0, &source), FAULT_NO_ROUTE);
    rtnl_free(rtnl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_these_bytes),
        cmocka_unit_test(rules_are_these_bytes),
        cmocka_unit_test(addresses_and_links_are_these_bytes),
        cmocka_unit_test(addresses_are_listed),
        cmocka_unit_test(news_of_addresses_come),
        cmocka_unit_test(rules_routes_and_refusals),
        cmocka_unit_test(many_routes_go_at_once_and_a_refusal_keeps_none_back),
    };
    return cmocka_run_group_tests(tests, namespace_make, NULL);
}
