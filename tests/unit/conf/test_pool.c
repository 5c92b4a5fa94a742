// SPDX-License-Identifier: Apache-2.0
// Sections of pools into ranges and attributes of configuration payloads.
#include "conf.h"
#include "conf/options.h"

struct taken {
    struct arena arena;
    struct complaints complaints;
    struct pool_conf pool;
    bool good;
};

static struct taken take(const char *lines)
{
    struct taken taken = {0};
    AUTOFREE_MEM char *text = mem_printf("lab {\n%s\n}\n", lines);
    struct tree *root = settings_parse("test.conf", bytes_of_text(text), &taken.arena, &taken.complaints);
    assert_non_null(root);
    taken.good = options_pool(root->first, &taken.arena, &taken.pool, &taken.complaints);
    return taken;
}

static void drop(struct taken *taken)
{
    complaints_free(&taken->complaints);
    arena_free(&taken->arena);
}

static const struct {
    const char *addrs, *base, *low, *high;
} ranges[] = {
    {"10.3.0.0/28", "10.3.0.0", "10.3.0.1", "10.3.0.14"},
    {"10.3.0.0/31", "10.3.0.0", "10.3.0.0", "10.3.0.1"},
    {"10.3.0.7/32", "10.3.0.7", "10.3.0.7", "10.3.0.7"},
    {"10.3.0.7", "10.3.0.7", "10.3.0.7", "10.3.0.7"},
    {"10.3.0.0-10.3.0.255", "10.3.0.0", "10.3.0.0", "10.3.0.255"},
    {"fd03::/64", "fd03::", "fd03::1", "fd03::ffff:ffff:ffff:fffe"},
};

static void first_and_last_address_of_a_prefix_are_left_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        AUTOFREE_MEM char *line = mem_printf("addrs = %s", ranges[i].addrs);
        struct taken taken = take(line);
        char text[ADDR_TEXT];
        assert_true(taken.good);
        assert_string_equal(addr_print(&taken.pool.base, text), ranges[i].base);
        assert_string_equal(addr_print(&taken.pool.range.low, text), ranges[i].low);
        assert_string_equal(addr_print(&taken.pool.range.high, text), ranges[i].high);
        drop(&taken);
    }
}

// RFC 7296 3.15.1 test
static const struct {
    const char *line;
    uint16_t type;
    const char *hex;
} attributes[] = {
    {"dns = 10.0.0.53", 3, "0a000035"},
    {"dns = fd00::53", 10, "fd000000000000000000000000000053"},
    {"nbns = 10.0.0.60", 4, "0a00003c"},
    {"dhcp = 10.0.0.61", 6, "0a00003d"},
    {"netmask = 255.255.255.0", 2, "ffffff00"},
    {"subnet = 10.1.0.0/16", 13, "0a010000ffff0000"},
    {"subnet = 0.0.0.0/0", 13, "0000000000000000"},
    {"subnet = fd01::/64", 15, "fd01000000000000000000000000000040"},
    {"split_include = 10.0.0.0/8", 28676, "0a000000ff000000000000000000"},
    {"split_exclude = 192.168.0.0/16", 28679, "c0a80000ffff0000000000000000"},
    {"28673 = 0x1234", 28673, "1234"},
    {"28674 = office.example", 28674, "6f66666963652e6578616d706c65"},
    {"20 = 10.0.0.7", 20, "0a000007"},
};

static void attributes_are_encoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        AUTOFREE_MEM char *lines = mem_printf("addrs = 10.3.0.0/24\n%s", attributes[i].line);
        struct taken taken = take(lines);
        char hex[128];
        assert_true(taken.good);
        assert_int_equal(taken.pool.attribute_count, 1);
        assert_int_equal(taken.pool.attributes[0].type, attributes[i].type);
        assert_string_equal(bytes_hex(taken.pool.attributes[0].value, hex, sizeof hex), attributes[i].hex);
        drop(&taken);
    }
}

static const char *const refused[] = {
    "dns = 10.0.0.53",
    "addrs = 10.3.0.0/24\ndns = 10.0.0.0/8",
    "addrs = 10.3.0.0/24\ndns = server",
    "addrs = 10.3.0.0/24\nsubnet = everything",
    "addrs = 10.3.0.0/24\nsplit_include = fd00::/8",
    "addrs = 10.3.0.0/24\n32768 = x",
    "addrs = 10.3.0.0/24\nnonsense = x",
    "addrs = 10.3.0.9-10.3.0.1",
};

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct taken taken = take(refused[i]);
        assert_false(taken.good);
        assert_non_null(taken.complaints.first);
        drop(&taken);
    }
}

static void a_pool_has_so_many_attributes_and_no_more(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf lines = BUF(4096);
    buf_add_text(&lines, "addrs = 10.3.0.0/24\ndns = 10.0.0.0");
    for (unsigned i = 1; i <= POOL_ATTRIBUTES_MAX; i++) buf_printf(&lines, ", 10.0.0.%u", i);
    struct taken taken = take(buf_text(&lines));
    assert_false(taken.good);
    drop(&taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_and_last_address_of_a_prefix_are_left_out),
        cmocka_unit_test(attributes_are_encoded),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(a_pool_has_so_many_attributes_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
