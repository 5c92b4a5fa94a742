// SPDX-License-Identifier: Apache-2.0
// The guard as commands of nftables, and in a kernel.
#include "namespace.h"
#include "os/nft.h"

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

enum { COMMANDS_A_LEVEL = 2 * (3 + 2 * 4) }; // families * (maps + directions * rules)

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
    CHECK_FAULT(nft_sync(nft, &settings, &guard, &levels, &restored), OK);
    assert_null(guard.dirty);
    guard_del(&guard, GUARD_FLOW, &flow, GUARD_DROP, 5);
    guard_del(&guard, GUARD_FLOW, &flow6, GUARD_PASS, 5);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_written_as_the_difference),
        cmocka_unit_test(what_comes_and_goes_between_two_writings_is_not_written),
        cmocka_unit_test(the_kernel_takes_it_all),
    };
    return cmocka_run_group_tests(tests, namespace_make, NULL);
}
