// SPDX-License-Identifier: Apache-2.0
// The TUN device.
#include "namespace.h"
#include "os/tun.h"
#include <net/if.h>
#include <netinet/in.h>

static void names_that_cannot_be_are_refused(void **state)
{
    (void)state;
    const char *text;
    int fd;
    CHECK_FAULT(tun_open("", 1, &fd, &text), FAULT_TUN_REFUSED);
    CHECK_FAULT(tun_open("sixteen-letters-", 1, &fd, &text), FAULT_TUN_REFUSED);
    assert_non_null(text);
}

static void the_device_lives_as_long_as_its_queues(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    const char *text;
    int fds[2], other[2] = {-1, -1};
    CHECK_FAULT(tun_open("swan0", 2, fds, &text), OK);
    assert_true(if_nametoindex("swan0") > 0);
    close(fds[0]);
    assert_true(if_nametoindex("swan0") > 0);
    // Its queues are for one daemon: a second one must not become another reader.
    CHECK_FAULT(tun_open("swan0", 1, other, &text), FAULT_TUN_IN_USE);
    CHECK_FAULT(tun_open("lo", 1, other, &text), FAULT_TUN_IN_USE);
    close(fds[1]);
    assert_int_equal(if_nametoindex("swan0"), 0);
}

static void a_kept_device_is_taken_over_when_nobody_has_it(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    const char *text;
    int fd, other;
    CHECK_FAULT(tun_keep("sixteen-letters-", &fd, &text), FAULT_TUN_REFUSED);
    CHECK_FAULT(tun_keep("swan7", &fd, &text), OK);
    unsigned index = if_nametoindex("swan7");
    assert_true(index > 0);
    struct rtnl *rtnl = rtnl_new();
    CHECK_FAULT(rtnl_link(rtnl, index, true, 1400), OK);
    rtnl_free(rtnl);
    CHECK_FAULT(tun_keep("swan7", &other, &text), FAULT_TUN_IN_USE);
    CHECK_FAULT(tun_keep("lo", &other, &text), FAULT_TUN_IN_USE);
    close(fd);
    assert_int_equal(if_nametoindex("swan7"), index);
    CHECK_FAULT(tun_keep("swan7", &fd, &text), OK);
    assert_int_equal(if_nametoindex("swan7"), index);
    tun_let_go(fd);
    close(fd);
    assert_int_equal(if_nametoindex("swan7"), 0);
}

static void offload_is_what_was_asked_for_or_less(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    const char *text;
    int fd;
    CHECK_FAULT(tun_open("swan0", 1, &fd, &text), OK);
    assert_int_equal(tun_offload(fd, TUN_NO_OFFLOAD), TUN_NO_OFFLOAD);
    assert_int_equal(tun_offload(fd, TUN_OFFLOAD_TCP), TUN_OFFLOAD_TCP);
    assert_true(tun_offload(fd, TUN_OFFLOAD_UDP) >= TUN_OFFLOAD_TCP);
    close(fd);
}

static void draining_empties_the_queue(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    const char *text;
    int fd;
    uint8_t packet[2048];
    CHECK_FAULT(tun_open("swan0", 1, &fd, &text), OK);
    struct rtnl *rtnl = rtnl_new();
    unsigned device = if_nametoindex("swan0");
    struct addr address = addr_v4(10, 9, 0, 1);
    CHECK_FAULT(rtnl_link(rtnl, device, true, 1400), OK);
    CHECK_FAULT(rtnl_address(rtnl, RTNL_ADD, device, &address), OK);
    CHECK_FAULT(rtnl_address(rtnl, RTNL_ADD, device, &address), OK); // is there already
    struct rtnl_route route = {
        .kind = ROUTE_DEVICE, .to = {addr_v4(10, 8, 0, 0), 16}, .table = 254, .device = device};
    CHECK_FAULT(rtnl_route(rtnl, RTNL_ADD, &route), OK);
    int client = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = 9, .sin_addr.s_addr = 0x0100080a};
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(sendto(client, "x", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
    assert_true(tun_drain(&fd, 1) >= 5);
    assert_true(read(fd, packet, sizeof packet) < 0);
    CHECK_FAULT(rtnl_route(rtnl, RTNL_DEL, &route), OK);
    CHECK_FAULT(rtnl_route(rtnl, RTNL_DEL, &route), OK); // is gone already
    CHECK_FAULT(rtnl_address(rtnl, RTNL_DEL, device, &address), OK);
    CHECK_FAULT(rtnl_address(rtnl, RTNL_DEL, device, &address), OK);
    close(client);
    close(fd);
    rtnl_free(rtnl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_cannot_be_are_refused),
        cmocka_unit_test(the_device_lives_as_long_as_its_queues),
        cmocka_unit_test(a_kept_device_is_taken_over_when_nobody_has_it),
        cmocka_unit_test(offload_is_what_was_asked_for_or_less),
        cmocka_unit_test(draining_empties_the_queue),
    };
    return cmocka_run_group_tests(tests, namespace_make, NULL);
}
