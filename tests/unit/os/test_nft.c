// SPDX-License-Identifier: Apache-2.0
// The guard as commands of nftables, and in a kernel.
#include "namespace.h"
#include "os/nft.h"
#include <time.h>

static const struct nft_settings settings = {
    .table = "cygnet_swan0", .tun = "swan0", .mark = 0x43590000, .port = 500, .port_nat = 4500};

static struct box box_of(const char *local, const char *remote)
{
    struct box box = {.protocol_high = 255, .local_port_high = 65535, .remote_port_high = 65535};
    CHECK_FAULT(range_parse(local, &box.local), OK);
    CHECK_FAULT(range_parse(remote, &box.remote), OK);
    return box;
}

static void add(struct guard *guard, enum guard_kind kind, struct box box,
                enum guard_verdict verdict, uint64_t precedence)
{
    CHECK_FAULT(guard_add(guard, kind, &box, verdict, precedence), OK);
}

// Of the commands those that touch elements, for the others only how many there are.
static void check_commands(struct guard *guard, unsigned *levels, const char *expected,
                           unsigned others)
{
    AUTOFREE_BUF struct buf all = BUF(1000000), elements = BUF(1000000);
    nft_write_changes(&settings, guard, levels, &all);
    unsigned count = 0;
    for (char *at = (char *)(uintptr_t)buf_text(&all), *line; (line = strsep(&at, "\n"));) {
        if (!*line) continue;
        if (strstr(line, " element "))
            buf_printf(&elements, "%s\n", line);
        else
            count++;
    }
    assert_string_equal(buf_text(&elements), expected);
    assert_int_equal(count, others);
    guard_settled(guard);
}

// families * (maps + directions * rules + fronts * (set + directions * (chain + jump)))
enum { COMMANDS_A_LEVEL = 2 * (3 + 2 * 4 + GUARD_FRONTS_MAX * (1 + 2 * 2)) };
enum { COMMANDS_A_FRONT = 2 * 2 }; // directions * (flush + rule)

static void changes_are_written_as_the_difference(void **state)
{
    (void)state;
    struct guard guard;
    unsigned levels = 0;
    guard_init(&guard, 1, 2);
    add(&guard, GUARD_PAIR, box_of("10.1.0.0/16", "10.2.0.0-10.2.0.9"), GUARD_DROP, 9);
    check_commands(
        &guard, &levels,
        "add element inet cygnet_swan0 p4_0 { 10.1.0.0/16 . 10.2.0.0-10.2.0.9 : drop }\n",
        COMMANDS_A_LEVEL);
    assert_int_equal(levels, 1);
    check_commands(&guard, &levels, "", 0);

    add(&guard, GUARD_PAIR, box_of("2001:db8::1/128", "::/0"), GUARD_PASS, 9);
    check_commands(&guard, &levels,
                   "add element inet cygnet_swan0 p6_0 { 2001:db8::1/128 . ::/0 : return }\n", 0);

    // What takes precedence pushes the first pair one level down.
    struct box web = box_of("10.1.0.0/16", "10.2.0.1/32");
    web.protocol_low = web.protocol_high = 6;
    web.remote_port_low = web.remote_port_high = 443;
    add(&guard, GUARD_FLOW, web, GUARD_PASS, 1);
    check_commands(
        &guard, &levels,
        "delete element inet cygnet_swan0 p4_0 { 10.1.0.0/16 . 10.2.0.0-10.2.0.9 : drop }\n"
        "add element inet cygnet_swan0 p4_1 { 10.1.0.0/16 . 10.2.0.0-10.2.0.9 : drop }\n"
        "add element inet cygnet_swan0 f4_0 { 10.1.0.0/16 . 10.2.0.1/32 . 6 . 0-65535 . 443 : "
        "return }\n",
        COMMANDS_A_LEVEL);
    assert_int_equal(levels, 2);

    guard_del(&guard, GUARD_FLOW, &web, GUARD_PASS, 1);
    check_commands(&guard, &levels,
                   "delete element inet cygnet_swan0 f4_0 { 10.1.0.0/16 . 10.2.0.1/32 . 6 . "
                   "0-65535 . 443 : return }\n",
                   0);
    guard_wipe(&guard);
}

static void single_remote_addresses_go_to_sets_before_their_front(void **state)
{
    (void)state;
    struct guard guard;
    unsigned levels = 0;
    guard_init(&guard, 1, 2);
    add(&guard, GUARD_PAIR, box_of("10.1.0.0/16", "10.2.0.1/32"), GUARD_DROP, 9);
    add(&guard, GUARD_PAIR, box_of("10.1.0.0/16", "10.2.0.2/32"), GUARD_DROP, 9);
    add(&guard, GUARD_PAIR, box_of("::/0", "2001:db8::1/128"), GUARD_DROP, 9);
    check_commands(&guard, &levels,
                   "add element inet cygnet_swan0 s4_0_0 { 10.2.0.2, 10.2.0.1 }\n"
                   "add element inet cygnet_swan0 s6_0_0 { 2001:db8::1 }\n",
                   COMMANDS_A_LEVEL + 2 * COMMANDS_A_FRONT);
    // The front is known; another local range is another front; what passes is no matter of sets.
    struct box third = box_of("10.1.0.0/16", "10.2.0.3/32"),
               other = box_of("10.9.0.0/16", "10.2.0.3/32");
    add(&guard, GUARD_PAIR, third, GUARD_DROP, 9);
    add(&guard, GUARD_PAIR, other, GUARD_DROP, 9);
    add(&guard, GUARD_PAIR, box_of("10.1.0.0/16", "10.2.0.4/32"), GUARD_PASS, 9);
    check_commands(
        &guard, &levels,
        "add element inet cygnet_swan0 p4_0 { 10.1.0.0/16 . 10.2.0.4/32 : return }\n"
        "add element inet cygnet_swan0 s4_0_0 { 10.2.0.3 }\n"
        "add element inet cygnet_swan0 s4_0_1 { 10.2.0.3 }\n",
        COMMANDS_A_FRONT);
    // What overlaps with another verdict stands on another level, in a set as in a map.
    struct box wide = box_of("10.1.0.0/16", "10.2.0.0/24");
    add(&guard, GUARD_PAIR, wide, GUARD_PASS, 1);
    check_commands(
        &guard, &levels,
        "delete element inet cygnet_swan0 p4_0 { 10.1.0.0/16 . 10.2.0.4/32 : return }\n"
        "delete element inet cygnet_swan0 s4_0_0 { 10.2.0.3, 10.2.0.2, 10.2.0.1 }\n"
        "add element inet cygnet_swan0 p4_1 { 10.1.0.0/16 . 10.2.0.4/32 : return }\n"
        "add element inet cygnet_swan0 p4_0 { 10.1.0.0/16 . 10.2.0.0/24 : return }\n"
        "add element inet cygnet_swan0 s4_1_0 { 10.2.0.3, 10.2.0.2, 10.2.0.1 }\n",
        COMMANDS_A_LEVEL + COMMANDS_A_FRONT);
    guard_wipe(&guard);
}

static void a_front_makes_room_when_its_last_address_is_gone(void **state)
{
    (void)state;
    struct guard guard;
    unsigned levels = 0;
    AUTOFREE_BUF struct buf first = BUF(1000000), text = BUF(1000000);
    guard_init(&guard, 1, 2);
    struct box boxes[GUARD_FRONTS_MAX + 2];
    for (unsigned i = 0; i < GUARD_FRONTS_MAX + 2; i++) {
        char local[32];
        snprintf(local, sizeof local, "10.%u.0.0/16", i);
        boxes[i] = box_of(local, "10.200.0.1/32");
        if (i <= GUARD_FRONTS_MAX) add(&guard, GUARD_PAIR, boxes[i], GUARD_DROP, 9);
    }
    nft_write_changes(&settings, &guard, &levels, &first);
    guard_settled(&guard);
    // One more than there are fronts: it is in the map of boxes.
    assert_non_null(strstr(buf_text(&first), "p4_0 { 10.4.0.0/16 . 10.200.0.1/32 : drop }"));
    guard_del(&guard, GUARD_PAIR, &boxes[2], GUARD_DROP, 9);
    check_commands(&guard, &levels, "delete element inet cygnet_swan0 s4_0_2 { 10.200.0.1 }\n", 0);
    add(&guard, GUARD_PAIR, boxes[GUARD_FRONTS_MAX + 1], GUARD_DROP, 9);
    nft_write_changes(&settings, &guard, &levels, &text);
    guard_settled(&guard);
    assert_string_equal(buf_text(&text),
                        "flush chain inet cygnet_swan0 s4_0_2_out\n"
                        "add rule inet cygnet_swan0 s4_0_2_out ip saddr 10.5.0.0/16 ip daddr @s4_0_2 drop\n"
                        "flush chain inet cygnet_swan0 s4_0_2_in\n"
                        "add rule inet cygnet_swan0 s4_0_2_in ip daddr 10.5.0.0/16 ip saddr @s4_0_2 drop\n"
                        "add element inet cygnet_swan0 s4_0_2 { 10.200.0.1 }\n");
    guard_wipe(&guard);
}

static void what_comes_and_goes_between_two_writings_is_not_written(void **state)
{
    (void)state;
    struct guard guard;
    unsigned levels = 0;
    struct box box = box_of("10.1.0.0/16", "10.2.0.0/16");
    guard_init(&guard, 1, 2);
    add(&guard, GUARD_PAIR, box, GUARD_DROP, 1);
    guard_del(&guard, GUARD_PAIR, &box, GUARD_DROP, 1);
    check_commands(&guard, &levels, "", 0);
    guard_wipe(&guard);
}

static void the_kernel_takes_it_all(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    bool restored;
    struct nft *nft = nft_new();
    struct guard guard;
    unsigned levels = 0;
    guard_init(&guard, 1, 2);
    assert_non_null(nft);
    assert_false(nft_has_table(nft, settings.table));
    enum fault fault = nft_make_table(nft, &settings);
    if (fault) {
        print_message("skipped: no nf_tables here: %s\n", nft_reason(nft));
        skip();
    }
    assert_true(nft_has_table(nft, settings.table));
    assert_false(nft_has_table(nft, "cygnet_swan"));
    struct box flow = box_of("0.0.0.0/0", "10.2.0.0/16"),
               flow6 = box_of("::/0", "2001:db8:2::5-2001:db8:2::77");
    flow.protocol_low = flow.protocol_high = 17;
    flow.local_port_low = 1024;
    flow6.protocol_low = flow6.protocol_high = 58;
    flow6.local_port_low = flow6.local_port_high = 0x8000;
    add(&guard, GUARD_PAIR, box_of("10.1.0.0/16", "0.0.0.0/0"), GUARD_DROP, 9);
    add(&guard, GUARD_PAIR, box_of("10.1.0.0/16", "10.1.0.0/16"), GUARD_PASS, 8);
    add(&guard, GUARD_PAIR, box_of("::/0", "::/0"), GUARD_DROP, 9);
    add(&guard, GUARD_FLOW, flow, GUARD_DROP, 5);
    add(&guard, GUARD_FLOW, flow6, GUARD_PASS, 5);
    add(&guard, GUARD_FRAGMENT, box_of("0.0.0.0/0", "10.2.0.0/16"), GUARD_DROP, 0);
    struct box single = box_of("10.1.0.0-10.1.0.9", "192.0.2.1/32");
    add(&guard, GUARD_PAIR, single, GUARD_DROP, 9);
    add(&guard, GUARD_PAIR, box_of("0.0.0.0/0", "192.0.2.2/32"), GUARD_DROP, 9);
    add(&guard, GUARD_PAIR, box_of("2001:db8::/32", "2001:db9::1/128"), GUARD_DROP, 9);
    CHECK_FAULT(nft_sync(nft, &settings, &guard, &levels, &restored), OK);
    assert_null(guard.dirty);
    guard_del(&guard, GUARD_FLOW, &flow, GUARD_DROP, 5);
    guard_del(&guard, GUARD_FLOW, &flow6, GUARD_PASS, 5);
    guard_del(&guard, GUARD_PAIR, &single, GUARD_DROP, 9);
    CHECK_FAULT(nft_sync(nft, &settings, &guard, &levels, &restored), OK);
    assert_false(restored);
    // Somebody flushes all rules.
    CHECK_FAULT(nft_delete_table(nft, settings.table), OK);
    CHECK_FAULT(nft_sync(nft, &settings, &guard, &levels, &restored), OK);
    assert_true(restored);
    assert_true(nft_has_table(nft, settings.table));
    CHECK_FAULT(nft_sync(nft, &settings, &guard, &levels, &restored), OK);
    assert_false(restored);
    // A table of a former life is replaced, elements and all.
    CHECK_FAULT(nft_make_table(nft, &settings), OK);
    CHECK_FAULT(nft_delete_table(nft, settings.table), OK);
    CHECK_FAULT(nft_delete_table(nft, settings.table), OK);
    assert_false(nft_has_table(nft, settings.table));
    guard_wipe(&guard);
    nft_free(nft);
}

static void marks_are_written_whole(void **state)
{
    (void)state;
    static const struct nft_device devices[] = {{"swan7", 0}, {"swan42", 0x2a}, {"swan43", 0x10000}};
    struct nft_settings with = settings;
    with.devices = devices;
    with.device_count = 3;
    with.marked = true;
    AUTOFREE_BUF struct buf out = BUF(100000), table = BUF(100000);
    nft_write_marks(&with, &out);
    assert_string_equal(buf_text(&out),
                        "add chain inet cygnet_swan0 marks { type filter hook prerouting priority -150; policy accept; }\n"
                        "flush chain inet cygnet_swan0 marks\n"
                        "add rule inet cygnet_swan0 marks iifname \"swan42\" meta mark set 0x0000002a\n"
                        "add rule inet cygnet_swan0 marks iifname \"swan43\" meta mark set 0x00010000\n");
    nft_write_table(&with, &table); // one that is made anew has them, too
    assert_non_null(strstr(buf_text(&table), buf_text(&out)));
}

static void networks_are_guarded_by_chains_of_their_own(void **state)
{
    (void)state;
    static const struct nft_device devices[] = {{"swan7", 0}};
    static const char *const texts[] = {"10.0.0.0/8", "10.1.0.0/24", "2001:db8:2::5-2001:db8:2::77", "10.0.0.0/9"};
    struct nft_guarded guarded[4];
    for (unsigned i = 0; i < 4; i++) {
        guarded[i].spared = i == 1;
        CHECK_FAULT(range_parse(texts[i], &guarded[i].range), OK);
    }
    struct nft_settings with = settings;
    with.devices = devices;
    with.device_count = 1;
    with.guarded = guarded;
    with.guarded_count = 4;
    AUTOFREE_BUF struct buf out = BUF(100000), table = BUF(100000);
    nft_write_guarded(&with, &out);
    static const char *const lines[] = {
        "add element inet cygnet_swan0 tunnels { \"lo\", \"swan0\", \"swan7\" }\n",
        "add element inet cygnet_swan0 guarded4 { 10.0.0.0/8, 10.0.0.0/9 }\n",
        "add element inet cygnet_swan0 spared4 { 10.1.0.0/24 }\n",
        "add element inet cygnet_swan0 guarded6 { 2001:db8:2::5-2001:db8:2::77 }\n",
        "add rule inet cygnet_swan0 guarded_to oifname @tunnels return\n"
        "add rule inet cygnet_swan0 guarded_to ip daddr @spared4 return\n"
        "add rule inet cygnet_swan0 guarded_to ip6 daddr @spared6 return\n"
        "add rule inet cygnet_swan0 guarded_to ip daddr @guarded4 drop\n"
        "add rule inet cygnet_swan0 guarded_to ip6 daddr @guarded6 drop\n",
        "add rule inet cygnet_swan0 guarded_from ip saddr @guarded4 drop\n",
        "add rule inet cygnet_swan0 guarded_postrouting jump guarded_to\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) assert_non_null(strstr(buf_text(&out), lines[i]));
    assert_null(strstr(buf_text(&out), "element inet cygnet_swan0 spared6"));
    nft_write_table(&with, &table); // one that is made anew has them, too
    assert_non_null(strstr(buf_text(&table), buf_text(&out)));
    NEEDS_NAMESPACE();
    struct nft *nft = nft_new();
    bool ruled = false;
    if (nft_make_table(nft, &settings)) skip();
    CHECK_FAULT(nft_sync_devices(nft, &with, &ruled), OK);
    static const struct range all = {{ADDR_V4, {0}}, {ADDR_V4, {255, 255, 255, 255}}};
    guarded[0].range = all;
    CHECK_FAULT(nft_sync_devices(nft, &with, &ruled), OK);
    with.guarded_count = 0; // all goes, also twice
    for (unsigned i = 0; i < 2; i++) CHECK_FAULT(nft_sync_devices(nft, &with, &ruled), OK);
    CHECK_FAULT(nft_delete_table(nft, settings.table), OK);
    nft_free(nft);
}

static struct nft_sealed sealed_of(uint32_t spi, const char *remote, uint32_t mark)
{
    struct nft_sealed sealed = {.spi = spi, .mark = mark};
    CHECK_FAULT(addr_parse(remote, &sealed.remote), OK);
    return sealed;
}

static void marks_of_sealed_packets_are_elements(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf out = BUF(10000);
    struct nft_sealed v4 = sealed_of(0xc0000001, "192.0.2.1", 42), v6 = sealed_of(256, "2001:db8::1", 65535);
    nft_write_sealed(&settings, &v4, true, &out);
    nft_write_sealed(&settings, &v6, true, &out);
    nft_write_sealed(&settings, &v4, false, &out);
    assert_string_equal(buf_text(&out),
                        "add element inet cygnet_swan0 sealed4 { 192.0.2.1 . 0xc0000001 : 0x4359002a }\n"
                        "add element inet cygnet_swan0 sealed6 { 2001:db8::1 . 0x00000100 : 0x4359ffff }\n"
                        "delete element inet cygnet_swan0 sealed4 { 192.0.2.1 . 0xc0000001 }\n");
}

static void the_kernel_takes_marks_of_sealed_packets(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    struct nft *nft = nft_new();
    AUTOFREE_BUF struct buf out = BUF(10000), again = BUF(1000), unknown = BUF(1000);
    struct nft_sealed v4 = sealed_of(0xc0000001, "192.0.2.1", 42), v6 = sealed_of(256, "2001:db8::1", 65535);
    CHECK_FAULT(nft_make_table(nft, &settings), OK);
    nft_write_sealed_chain(&settings, &out);
    nft_write_sealed(&settings, &v4, true, &out);
    nft_write_sealed(&settings, &v6, true, &out);
    CHECK_FAULT(nft_commands(nft, &out), OK);
    nft_write_sealed(&settings, &v4, false, &again);
    CHECK_FAULT(nft_commands(nft, &again), OK);
    nft_write_sealed(&settings, &v4, false, &unknown); // it is gone
    CHECK_FAULT(nft_commands(nft, &unknown), FAULT_NFT_REFUSED);
    CHECK_FAULT(nft_delete_table(nft, settings.table), OK);
    nft_free(nft);
}

static double change_seconds(struct nft *nft, uint32_t spi)
{
    double least = 1e9;
    for (unsigned i = 0; i < 20; i++) {
        AUTOFREE_BUF struct buf out = BUF(1000);
        struct nft_sealed sealed = sealed_of(spi + i, "192.0.2.1", 42);
        struct timespec begin, end;
        nft_write_sealed(&settings, &sealed, true, &out);
        clock_gettime(CLOCK_MONOTONIC, &begin);
        CHECK_FAULT(nft_commands(nft, &out), OK);
        clock_gettime(CLOCK_MONOTONIC, &end);
        double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
        if (seconds < least) least = seconds;
    }
    return least;
}

static void ten_thousand_marks_make_no_change_slower(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    struct nft *nft = nft_new();
    AUTOFREE_BUF struct buf out = BUF(4000000);
    CHECK_FAULT(nft_make_table(nft, &settings), OK);
    nft_write_sealed_chain(&settings, &out);
    CHECK_FAULT(nft_commands(nft, &out), OK);
    double one = change_seconds(nft, 1000);
    AUTOFREE_BUF struct buf many = BUF(4000000);
    for (uint32_t i = 0; i < 10000; i++) {
        struct nft_sealed sealed = sealed_of(100000 + i, "198.51.100.1", 42);
        nft_write_sealed(&settings, &sealed, true, &many);
    }
    CHECK_FAULT(nft_commands(nft, &many), OK);
    double ten_thousand = change_seconds(nft, 2000);
    print_message("a change among 20: %.2f ms, among 10,000: %.2f ms\n", one * 1e3, ten_thousand * 1e3);
    assert_true(ten_thousand < one * 5);
    CHECK_FAULT(nft_delete_table(nft, settings.table), OK);
    nft_free(nft);
}

// The rule for what devices open is written once, and ahead of all levels.
static void what_devices_open_is_let_in(void **state)
{
    (void)state;
    static const struct nft_device devices[] = {{"swan7", 0, true}, {"swan8", 0, false}};
    struct nft_settings with = settings;
    with.devices = devices;
    with.device_count = 2;
    with.opened = true;
    AUTOFREE_BUF struct buf table = BUF(100000);
    nft_write_table(&with, &table);
    assert_non_null(strstr(buf_text(&table), "add element inet cygnet_swan0 openers { \"swan7\" }\n"
                                             "add rule inet cygnet_swan0 check_in iifname @openers return\n"));
    NEEDS_NAMESPACE();
    struct nft *nft = nft_new();
    bool ruled = false;
    if (nft_make_table(nft, &settings)) skip();
    CHECK_FAULT(nft_sync_devices(nft, &with, &ruled), OK);
    assert_true(ruled);
    with.device_count = 0;
    CHECK_FAULT(nft_sync_devices(nft, &with, &ruled), OK);
    CHECK_FAULT(nft_delete_table(nft, settings.table), OK);
    nft_free(nft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_written_as_the_difference),
        cmocka_unit_test(single_remote_addresses_go_to_sets_before_their_front),
        cmocka_unit_test(a_front_makes_room_when_its_last_address_is_gone),
        cmocka_unit_test(what_comes_and_goes_between_two_writings_is_not_written),
        cmocka_unit_test(marks_are_written_whole),
        cmocka_unit_test(networks_are_guarded_by_chains_of_their_own),
        cmocka_unit_test(what_devices_open_is_let_in),
        cmocka_unit_test(the_kernel_takes_it_all),
        cmocka_unit_test(marks_of_sealed_packets_are_elements),
        cmocka_unit_test(the_kernel_takes_marks_of_sealed_packets),
        cmocka_unit_test(ten_thousand_marks_make_no_change_slower),
    };
    return cmocka_run_group_tests(tests, namespace_make, NULL);
}
