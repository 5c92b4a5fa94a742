// SPDX-License-Identifier: Apache-2.0
// What commands of updown are told.
#include "model/model.h"
#include "cli/hooks.h"

struct rig {
    struct arena arena;
    struct tree *sa, *child;
    struct hook hook;
    struct hook_words words;
};

static void rig_start(struct rig *rig)
{
    *rig = (struct rig){0};
    struct tree *root = tree_new(&rig->arena);
    rig->sa = tree_add_section(&rig->arena, root, "gw");
    rig->child = tree_add_section(&rig->arena, root, "net-1");
    tree_add_text(&rig->arena, rig->sa, "uniqueid", "7");
    tree_add_text(&rig->arena, rig->child, "name", "net");
    rig->hook = (struct hook){rig->sa, rig->child, true, false, "eth0"};
}

static void rig_hosts(struct rig *rig, const char *local, const char *remote)
{
    tree_add_text(&rig->arena, rig->sa, "local-host", local);
    tree_add_text(&rig->arena, rig->sa, "remote-host", remote);
}

static void list_add(struct rig *rig, const char *name, const char *one, const char *two)
{
    struct tree *list = tree_add_list(&rig->arena, rig->sa, name);
    tree_add_item(&rig->arena, list, bytes_of_text(one));
    if (two) tree_add_item(&rig->arena, list, bytes_of_text(two));
}

static void tell(struct rig *rig, const char *local, const char *remote)
{
    struct selector mine, theirs;
    CHECK_FAULT(selector_parse(local, &mine), OK);
    CHECK_FAULT(selector_parse(remote, &theirs), OK);
    hook_environment(&rig->hook, &mine, &theirs, &rig->arena, &rig->words);
}

static const char *told(const struct rig *rig, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < rig->words.count; i++)
        if (strncmp(rig->words.at[i], name, size) == 0 && rig->words.at[i][size] == '=')
            return rig->words.at[i] + size + 1;
    return "(not told)";
}

static void check_verb(const char *host, const char *local, bool up, const char *verb)
{
    struct rig rig;
    rig_start(&rig);
    rig_hosts(&rig, host, "192.0.2.2");
    rig.hook.up = up;
    tell(&rig, local, strchr(local, ':') ? "2001:db8::/32" : "10.2.0.0/16");
    assert_string_equal(told(&rig, "PLUTO_VERB"), verb);
    arena_free(&rig.arena);
}

static void the_verb_says_what_happens_to_what(void **state)
{
    (void)state;
    check_verb("192.0.2.1", "10.1.0.0/16", true, "up-client");
    check_verb("192.0.2.1", "10.1.0.0/16", false, "down-client");
    check_verb("192.0.2.1", "192.0.2.1", true, "up-host");
    check_verb("2001:db8::1", "2001:db8::1", true, "up-host-v6");
    check_verb("2001:db8::1", "2001:db8:1::/48", false, "down-client-v6");
}

static void networks_protocols_and_ports(void **state)
{
    (void)state;
    static const struct {
        const char *local, *remote, *my_client, *my_port, *my_protocol, *peer_port;
    } rows[] = {
        {"10.1.0.0/16", "10.2.0.1", "10.1.0.0/16", "0", "0", "0"},
        {"10.1.0.3[tcp/80]", "10.2.0.1[tcp]", "10.1.0.3/32", "80", "6", "0"},
        {"10.1.0.3[udp/1000-2000]", "10.2.0.1[udp/53]", "10.1.0.3/32", "1000:2000", "17", "53"},
        {"10.1.0.5-10.1.0.9", "10.2.0.1", "10.1.0.0/28", "0", "0", "0"},
        {"10.1.0.0/16[icmp/8(1)]", "10.2.0.1[icmp/8(1)]", "10.1.0.0/16", "8", "1", "1"},
        {"10.1.0.0/16[udp/opaque]", "10.2.0.1", "10.1.0.0/16", "0", "17", "0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig rig;
        rig_start(&rig);
        tell(&rig, rows[i].local, rows[i].remote);
        assert_string_equal(told(&rig, "PLUTO_MY_CLIENT"), rows[i].my_client);
        assert_string_equal(told(&rig, "PLUTO_MY_PORT"), rows[i].my_port);
        assert_string_equal(told(&rig, "PLUTO_MY_PROTOCOL"), rows[i].my_protocol);
        assert_string_equal(told(&rig, "PLUTO_PEER_PORT"), rows[i].peer_port);
        arena_free(&rig.arena);
    }
}

static void addresses_are_counted_by_family(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig);
    list_add(&rig, "local-vips", "2001:db8::5", "10.9.0.1");
    list_add(&rig, "dns", "10.9.0.53", "10.9.0.54");
    list_add(&rig, "remote-vips", "no address; rm -rf /", "10.8.0.1");
    tell(&rig, "10.1.0.0/16", "10.2.0.0/16");
    assert_string_equal(told(&rig, "PLUTO_MY_SOURCEIP"), "2001:db8::5");
    assert_string_equal(told(&rig, "PLUTO_MY_SOURCEIP6_1"), "2001:db8::5");
    assert_string_equal(told(&rig, "PLUTO_MY_SOURCEIP4_1"), "10.9.0.1");
    assert_string_equal(told(&rig, "PLUTO_DNS4_2"), "10.9.0.54");
    assert_string_equal(told(&rig, "PLUTO_PEER_SOURCEIP"), "10.8.0.1");
    assert_string_equal(told(&rig, "PLUTO_PEER_SOURCEIP4_1"), "10.8.0.1");
    arena_free(&rig.arena);
}

static void what_is_optional_is_told_when_it_is_there(void **state)
{
    (void)state;
    static const char *const names[] = {"PLUTO_MARK_IN", "PLUTO_MARK_OUT", "PLUTO_IF_ID_IN", "PLUTO_UDP_ENC", "PLUTO_IPCOMP", "PLUTO_HOST_ACCESS"};
    static const char *const values[] = {"42/0xffffffff", "43/0x000000ff", "26", "4501", "1", "1"};
    struct rig rig;
    rig_start(&rig);
    tell(&rig, "10.1.0.0/16", "10.2.0.0/16");
    for (unsigned i = 0; i < 6; i++) assert_string_equal(told(&rig, names[i]), "(not told)");
    tree_add_text(&rig.arena, rig.child, "mark-in", "0000002a");
    tree_add_text(&rig.arena, rig.child, "mark-mask-in", "ffffffff");
    tree_add_text(&rig.arena, rig.child, "mark-out", "0000002b");
    tree_add_text(&rig.arena, rig.child, "mark-mask-out", "000000ff");
    tree_add_text(&rig.arena, rig.child, "if-id-in", "0000001a");
    tree_add_text(&rig.arena, rig.child, "encap", "yes");
    tree_add_text(&rig.arena, rig.sa, "remote-port", "4501");
    tree_add_text(&rig.arena, rig.child, "cpi-out", "1234");
    rig.hook.hostaccess = true;
    tell(&rig, "10.1.0.0/16", "10.2.0.0/16");
    for (unsigned i = 0; i < 6; i++) assert_string_equal(told(&rig, names[i]), values[i]);
    arena_free(&rig.arena);
}

// Whatever a peer, or who has taken over the process that reads peers, puts there.
static void nothing_breaks_a_line_or_passes_for_a_number(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig);
    rig_hosts(&rig, "192.0.2.1\nLD_PRELOAD=/x", "$(id)");
    tree_add_text(&rig.arena, rig.sa, "remote-id", "a\nb\x1b[2J\x7f`id`");
    tree_add_text(&rig.arena, rig.child, "reqid", "9; reboot");
    char *space = arena_new(&rig.arena, 100000);
    memset(space, 'x', 99999);
    tree_add_text(&rig.arena, rig.sa, "local-id", space);
    tell(&rig, "10.1.0.0/16", "10.2.0.0/16");
    assert_string_equal(told(&rig, "PLUTO_ME"), "(not told)");
    assert_string_equal(told(&rig, "PLUTO_PEER"), "(not told)");
    assert_string_equal(told(&rig, "PLUTO_REQID"), "9");
    assert_string_equal(told(&rig, "PLUTO_PEER_ID"), "a?b?[2J?`id`");
    assert_int_equal(strlen(told(&rig, "PLUTO_MY_ID")), 1024);
    for (size_t i = 0; i < rig.words.count; i++) assert_null(strchr(rig.words.at[i], '\n'));
    // More lists than there is room for are cut.
    struct tree *list = tree_add_list(&rig.arena, rig.sa, "dns");
    for (unsigned i = 0; i < 1000; i++) tree_add_item(&rig.arena, list, bytes_of_text("192.0.2.9"));
    tell(&rig, "10.1.0.0/16", "10.2.0.0/16");
    assert_int_equal(rig.words.count, HOOK_WORDS_MAX);
    assert_null(rig.words.at[HOOK_WORDS_MAX]);
    arena_free(&rig.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_verb_says_what_happens_to_what),
        cmocka_unit_test(networks_protocols_and_ports),
        cmocka_unit_test(addresses_are_counted_by_family),
        cmocka_unit_test(what_is_optional_is_told_when_it_is_there),
        cmocka_unit_test(nothing_breaks_a_line_or_passes_for_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
