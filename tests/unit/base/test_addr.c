// SPDX-License-Identifier: Apache-2.0
#include "base/addr.h"
#include "base/rng.h"
#include "unit.h"

static struct addr addr_of(const char *text)
{
    struct addr addr;
    CHECK_FAULT(addr_parse(text, &addr), OK);
    return addr;
}

static struct range range_of(const char *text)
{
    struct range range;
    CHECK_FAULT(range_parse(text, &range), OK);
    return range;
}

static struct prefix prefix_of(const char *text)
{
    struct prefix prefix;
    CHECK_FAULT(prefix_parse(text, &prefix), OK);
    return prefix;
}

// --- Addresses

struct text_case {
    const char *in, *out;
};

static void addresses_print_in_one_form(void **state)
{
    static const struct text_case cases[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"2001:DB8::1", "2001:db8::1"},
        {"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"1::", "1::"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    (void)state; // RFC 5952 4 test
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct addr addr = addr_of(cases[i].in), again;
        char text[ADDR_TEXT];
        assert_string_equal(addr_print(&addr, text), cases[i].out);
        again = addr_of(text);
        assert_memory_equal(&again, &addr, sizeof addr);
    }
    char text[ADDR_TEXT];
    struct addr none = addr_any(ADDR_NONE);
    assert_string_equal(addr_print(&none, text), "%any");
}

static void what_is_no_address_is_rejected(void **state)
{
    // clang-format off
    static const char *const cases[] = {
        NULL, "", " ", "1", "1.2.3", "1.2.3.", "1.2.3.4.", "1.2.3.4.5", ".1.2.3.4", "256.1.1.1",
        "1.2.3.999", "1.2.3.-4", "1.2.3.4 ", " 1.2.3.4", "1..2.3", "01.2.3.4", "1.2.3.04",
        "0x1.2.3.4", "1.2.3.4x", "1,2,3,4", "1.2.3.4/32", "1.2.3.4:500", ":", ":::", "::1::",
        "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::12345", "::g",
        "[::1]", "::1/128", "::1 ", " ::1", "fe80::1%eth0", "::1.2.3", "::1.2.3.256", "1.2.3.4::",
        "%any", "localhost", "10.0.0.1-10.0.0.2",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
    };
    // clang-format on
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct addr addr = addr_v4(9, 9, 9, 9);
        if (addr_parse(cases[i], &addr) != FAULT_ADDRESS_SYNTAX)
            fail_msg("accepted \"%s\"", cases[i] ? cases[i] : "NULL");
        assert_int_equal(addr.family, ADDR_NONE);
    }
}

static void addresses_come_from_four_or_sixteen_bytes(void **state)
{
    (void)state;
    uint8_t at[32];
    for (uint8_t i = 0; i < sizeof at; i++) at[i] = (uint8_t)(i + 1);
    for (size_t size = 0; size <= sizeof at; size++) {
        struct addr addr = addr_v4(9, 9, 9, 9);
        bool good = size == 4 || size == 16;
        CHECK_FAULT(addr_from_bytes(bytes_of(at, size), &addr), good ? OK : FAULT_ADDRESS_SYNTAX);
        check_bytes(addr_bytes(&addr), good ? bytes_of(at, size) : BYTES_NONE);
        for (size_t i = good ? size : 0; i < 16; i++) assert_int_equal(addr.at[i], 0);
    }
    struct addr addr;
    CHECK_FAULT(addr_from_bytes(BYTES_NONE, &addr), FAULT_ADDRESS_SYNTAX);
}

static void addresses_are_ordered_by_family_then_number(void **state)
{
    static const char *const order[] = {
        "0.0.0.0",   "0.0.0.1",         "0.0.1.0", "10.0.0.1", "127.255.255.255",
        "128.0.0.0", "255.255.255.255", "::",      "::1",      "::1:0",
        "7fff::",    "8000::",          "ffff::"};
    (void)state;
    struct addr none = addr_any(ADDR_NONE);
    for (size_t i = 0; i < COUNT(order); i++) {
        struct addr a = addr_of(order[i]);
        assert_true(addr_compare(&none, &a) < 0);
        for (size_t j = 0; j < COUNT(order); j++) {
            struct addr b = addr_of(order[j]);
            int got = addr_compare(&a, &b);
            assert_int_equal((got > 0) - (got < 0), (i > j) - (i < j));
            assert_int_equal(addr_equal(&a, &b), i == j);
        }
    }
}

static void any_is_zero_in_each_family(void **state)
{
    (void)state;
    static const enum addr_family families[] = {ADDR_NONE, ADDR_V4, ADDR_V6};
    for (size_t i = 0; i < COUNT(families); i++) {
        struct addr any = addr_any(families[i]);
        assert_true(addr_is_any(&any));
        assert_int_equal(any.family, families[i]);
    }
    struct addr v4 = addr_v4(0, 0, 0, 1), v6 = addr_of("::1"), high = addr_of("8000::");
    assert_false(addr_is_any(&v4));
    assert_false(addr_is_any(&v6));
    assert_false(addr_is_any(&high));
}

static void the_next_address_carries_and_ends_with_its_family(void **state)
{
    static const struct text_case cases[] = {
        {"10.0.0.1", "10.0.0.2"},
        {"10.0.0.255", "10.0.1.0"},
        {"10.255.255.255", "11.0.0.0"},
        {"127.255.255.255", "128.0.0.0"},
        {"255.255.255.254", "255.255.255.255"},
        {"255.255.255.255", NULL},
        {"::", "::1"},
        {"::ff", "::100"},
        {"1:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2::"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct addr addr = addr_of(cases[i].in);
        bool more = addr_next(&addr);
        assert_int_equal(more, cases[i].out != NULL);
        struct addr expected = addr_of(more ? cases[i].out : cases[i].in);
        assert_memory_equal(&addr, &expected, sizeof addr);
    }
    struct addr none = addr_any(ADDR_NONE);
    assert_false(addr_next(&none));
}

// --- Prefixes

static void prefixes_cover_from_low_to_high(void **state)
{
    static const struct {
        const char *in, *low, *high;
    } cases[] = {
        {"10.0.0.0/8", "10.0.0.0", "10.255.255.255"},
        {"10.1.2.3/8", "10.0.0.0", "10.255.255.255"},
        {"0.0.0.0/0", "0.0.0.0", "255.255.255.255"},
        {"192.0.2.1", "192.0.2.1", "192.0.2.1"},
        {"192.0.2.1/32", "192.0.2.1", "192.0.2.1"},
        {"192.0.2.1/31", "192.0.2.0", "192.0.2.1"},
        {"192.0.2.200/25", "192.0.2.128", "192.0.2.255"},
        {"::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"2001:db8::5/127", "2001:db8::4", "2001:db8::5"},
        {"2001:db8::5", "2001:db8::5", "2001:db8::5"},
        {"8000::/1", "8000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct prefix prefix = prefix_of(cases[i].in);
        struct range range = prefix_range(&prefix);
        struct addr low = addr_of(cases[i].low), high = addr_of(cases[i].high);
        assert_memory_equal(&range.low, &low, sizeof low);
        assert_memory_equal(&range.high, &high, sizeof high);
        assert_true(prefix_has(&prefix, &low));
        assert_true(prefix_has(&prefix, &high));
        if (addr_next(&high)) assert_false(prefix_has(&prefix, &high));
    }
}

static void a_prefix_keeps_the_address_it_was_written_with(void **state)
{
    (void)state;
    struct prefix prefix = prefix_of("10.1.2.3/8");
    struct addr addr = addr_v4(10, 1, 2, 3);
    assert_true(addr_equal(&prefix.addr, &addr));
    assert_int_equal(prefix.bits, 8);
}

static void a_prefix_has_no_address_of_the_other_family(void **state)
{
    (void)state;
    struct prefix all4 = prefix_of("0.0.0.0/0"), all6 = prefix_of("::/0");
    struct addr v4 = addr_of("0.0.0.0"), v6 = addr_of("::");
    assert_true(prefix_has(&all4, &v4));
    assert_true(prefix_has(&all6, &v6));
    assert_false(prefix_has(&all4, &v6));
    assert_false(prefix_has(&all6, &v4));
}

struct reject_case {
    const char *in;
    enum fault fault;
};

static void what_is_no_prefix_is_rejected(void **state)
{
    static const struct reject_case cases[] = {
        {NULL, FAULT_ADDRESS_SYNTAX},
        {"", FAULT_ADDRESS_SYNTAX},
        {"/", FAULT_ADDRESS_SYNTAX},
        {"/8", FAULT_ADDRESS_SYNTAX},
        {"10.0.0/8", FAULT_ADDRESS_SYNTAX},
        {"10.0.0.0 /8", FAULT_ADDRESS_SYNTAX},
        {"10.0.0.0/", FAULT_PREFIX_SYNTAX},
        {"10.0.0.0/33", FAULT_PREFIX_SYNTAX},
        {"10.0.0.0/08", FAULT_PREFIX_SYNTAX},
        {"10.0.0.0/00", FAULT_PREFIX_SYNTAX},
        {"10.0.0.0/-1", FAULT_PREFIX_SYNTAX},
        {"10.0.0.0/+8", FAULT_PREFIX_SYNTAX},
        {"10.0.0.0/ 8", FAULT_PREFIX_SYNTAX},
        {"10.0.0.0/8 ", FAULT_PREFIX_SYNTAX},
        {"10.0.0.0/8/8", FAULT_PREFIX_SYNTAX},
        {"10.0.0.0/255.0.0.0", FAULT_PREFIX_SYNTAX},
        {"10.0.0.0/4294967304", FAULT_PREFIX_SYNTAX},
        {"::/129", FAULT_PREFIX_SYNTAX},
        {"::/x", FAULT_PREFIX_SYNTAX},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa/64", FAULT_ADDRESS_SYNTAX},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct prefix prefix = {.bits = 9};
        CHECK_FAULT(prefix_parse(cases[i].in, &prefix), cases[i].fault);
        assert_int_equal(prefix.addr.family, ADDR_NONE);
        assert_int_equal(prefix.bits, 0);
    }
}

// --- Ranges

static void ranges_print_as_short_as_they_can(void **state)
{
    static const struct text_case cases[] = {
        {"10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"},
        {"10.0.0.0-10.0.0.255", "10.0.0.0/24"},
        {"10.0.0.7/24", "10.0.0.0/24"},
        {"10.0.0.7", "10.0.0.7"},
        {"10.0.0.7-10.0.0.7", "10.0.0.7"},
        {"0.0.0.0-255.255.255.255", "0.0.0.0/0"},
        {"::/0", "::/0"},
        {"::1-ffff::", "::1-ffff::"},
        {"2001:db8::-2001:db8::1", "2001:db8::/127"},
        {"2001:db8::1-2001:db8::2", "2001:db8::1-2001:db8::2"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff2",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff2"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct range range = range_of(cases[i].in), again;
        char text[RANGE_TEXT];
        assert_string_equal(range_print(&range, text), cases[i].out);
        again = range_of(text);
        assert_memory_equal(&again, &range, sizeof range);
    }
}

static void what_is_no_range_is_rejected(void **state)
{
    static const struct reject_case cases[] = {
        {NULL, FAULT_ADDRESS_SYNTAX},
        {"", FAULT_ADDRESS_SYNTAX},
        {"-", FAULT_ADDRESS_SYNTAX},
        {"10.0.0.1-", FAULT_ADDRESS_SYNTAX},
        {"-10.0.0.1", FAULT_ADDRESS_SYNTAX},
        {"10.0.0.1 - 10.0.0.2", FAULT_ADDRESS_SYNTAX},
        {"10.0.0.1-10.0.0.2-10.0.0.3", FAULT_ADDRESS_SYNTAX},
        {"10.0.0.0/24-10.0.1.0", FAULT_ADDRESS_SYNTAX},
        {"10.0.0.0-10.0.1.0/24", FAULT_ADDRESS_SYNTAX},
        {"10.0.0.0/40", FAULT_PREFIX_SYNTAX},
        {"10.0.0.2-10.0.0.1", FAULT_RANGE_ORDER},
        {"ffff::-::1", FAULT_RANGE_ORDER},
        {"10.0.0.1-::1", FAULT_RANGE_ORDER},
        {"::1-10.0.0.1", FAULT_RANGE_ORDER},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct range range;
        CHECK_FAULT(range_parse(cases[i].in, &range), cases[i].fault);
        assert_int_equal(range.low.family, ADDR_NONE);
    }
}

static void a_range_has_its_ends_and_nothing_beyond(void **state)
{
    static const struct {
        const char *range, *addr;
        bool has;
    } cases[] = {
        {"10.0.0.1-10.0.0.9", "10.0.0.0", false},
        {"10.0.0.1-10.0.0.9", "10.0.0.1", true},
        {"10.0.0.1-10.0.0.9", "10.0.0.5", true},
        {"10.0.0.1-10.0.0.9", "10.0.0.9", true},
        {"10.0.0.1-10.0.0.9", "10.0.0.10", false},
        {"0.0.0.0/0", "::", false},
        {"::/0", "0.0.0.0", false},
        {"::/0", "ffff::", true},
        {"::1", "::2", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct range range = range_of(cases[i].range);
        struct addr addr = addr_of(cases[i].addr);
        assert_int_equal(range_has(&range, &addr), cases[i].has);
    }
}

static void a_range_is_a_prefix_only_when_exactly_one(void **state)
{
    static const struct {
        const char *in;
        int bits; // -1: none
    } cases[] = {
        {"10.0.0.0-10.0.0.255", 24},
        {"10.0.0.0-10.0.0.254", -1},
        {"10.0.0.1-10.0.0.255", -1},
        {"10.0.0.1-10.0.0.2", -1},
        {"10.0.0.1-10.0.0.1", 32},
        {"0.0.0.0/0", 0},
        {"::/0", 0},
        {"::/1", 1},
        {"::-::1", 127},
        {"::5", 128},
        {"::1-::1:0", -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct range range = range_of(cases[i].in);
        struct prefix prefix = {.bits = 99};
        assert_int_equal(range_is_prefix(&range, &prefix), cases[i].bits >= 0);
        assert_int_equal(prefix.bits, cases[i].bits >= 0 ? cases[i].bits : 99);
        if (cases[i].bits >= 0) assert_true(addr_equal(&prefix.addr, &range.low));
    }
}

// --- Cutting ranges into prefixes

enum { PREFIXES_MOST = 254 };

// The prefixes follow each other without gap or overlap from the low end to the high one.
static void check_tiling(const struct range *range, const struct prefix *prefixes, size_t count)
{
    assert_in_range(count, 1, range->low.family == ADDR_V4 ? 62 : PREFIXES_MOST);
    struct addr at = range->low;
    for (size_t i = 0; i < count; i++) {
        struct range part = prefix_range(&prefixes[i]);
        assert_memory_equal(&prefixes[i].addr, &part.low, sizeof at);
        assert_memory_equal(&part.low, &at, sizeof at);
        at = part.high;
        if (i + 1 < count) assert_true(addr_next(&at));
    }
    assert_memory_equal(&at, &range->high, sizeof at);
}

// No two neighbours are the halves of one prefix. A tiling of which that is true is the only one
// with the fewest.
static void check_fewest(const struct prefix *prefixes, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++) {
        struct range both = {prefix_range(&prefixes[i]).low, prefix_range(&prefixes[i + 1]).high};
        struct prefix joined;
        assert_false(range_is_prefix(&both, &joined));
    }
}

static void check_cut(const struct range *range)
{
    struct prefix prefixes[PREFIXES_MOST];
    size_t count = range_prefixes(range, prefixes, COUNT(prefixes));
    check_tiling(range, prefixes, count);
    check_fewest(prefixes, count);
}

static void every_small_range_is_cut_into_the_fewest(void **state)
{
    static const struct addr bases[] = {
        {ADDR_V4, {10, 0, 0, 0}},
        {ADDR_V4, {255, 255, 255, 192}},
        {ADDR_V6, {0x20, 1, 0xd, 0xb8}},
        {ADDR_V6, {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 192}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bases); i++)
        for (uint8_t low = 0; low < 64; low++)
            for (uint8_t high = low; high < 64; high++) {
                struct range range = {bases[i], bases[i]};
                size_t last = addr_size(&bases[i]) - 1;
                range.low.at[last] = range.low.at[last] + low;
                range.high.at[last] = range.high.at[last] + high;
                check_cut(&range);
            }
}

// Random ends that share a random number of bits and often end in runs of zeros and ones, where the
// corners are.
static struct addr random_end(struct rng *rng, struct addr addr, unsigned from)
{
    unsigned width = (unsigned)addr_size(&addr) * 8;
    unsigned run = from + (unsigned)rng_below(rng, width - from + 1);
    bool ones = rng_below(rng, 2);
    for (unsigned bit = from; bit < width; bit++) {
        bool set = bit < run ? rng_below(rng, 2) : ones;
        uint8_t mask = (uint8_t)(0x80 >> bit % 8);
        addr.at[bit / 8] = set ? addr.at[bit / 8] | mask : addr.at[bit / 8] & (uint8_t)~mask;
    }
    return addr;
}

static void random_ranges_are_cut_into_the_fewest(void **state)
{
    (void)state;
    struct rng_seeded seeded;
    print_message("seed 11\n");
    rng_seed(&seeded, 11);
    for (int i = 0; i < 6000; i++) {
        enum addr_family family = i % 2 ? ADDR_V4 : ADDR_V6;
        struct addr base = random_end(&seeded.rng, addr_any(family), 0);
        unsigned shared = (unsigned)rng_below(&seeded.rng, family == ADDR_V4 ? 33 : 129);
        struct addr a = random_end(&seeded.rng, base, shared);
        struct addr b = random_end(&seeded.rng, base, shared);
        bool ordered = addr_compare(&a, &b) <= 0;
        struct range range = {ordered ? a : b, ordered ? b : a};
        check_cut(&range);
    }
}

static void every_prefix_is_cut_into_itself(void **state)
{
    (void)state;
    struct rng_seeded seeded;
    print_message("seed 12\n");
    rng_seed(&seeded, 12);
    for (unsigned bits = 0; bits <= 128; bits++)
        for (int i = 0; i < 20; i++) {
            enum addr_family family = i % 2 && bits <= 32 ? ADDR_V4 : ADDR_V6;
            struct prefix in = {random_end(&seeded.rng, addr_any(family), 0), (uint8_t)bits}, out;
            struct range range = prefix_range(&in);
            assert_int_equal(range_prefixes(&range, &out, 1), 1);
            assert_int_equal(out.bits, bits);
            assert_true(addr_equal(&out.addr, &range.low));
        }
}

static void the_worst_ranges_need_exactly_the_maximum(void **state)
{
    (void)state;
    struct range v4 = range_of("0.0.0.1-255.255.255.254");
    struct range v6 = range_of("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
    struct prefix prefixes[PREFIXES_MOST];
    assert_int_equal(range_prefixes(&v4, prefixes, COUNT(prefixes)), 62);
    check_cut(&v4);
    assert_int_equal(range_prefixes(&v6, prefixes, COUNT(prefixes)), PREFIXES_MOST);
    check_cut(&v6);
}

static void cutting_writes_no_more_than_its_limit(void **state)
{
    (void)state;
    struct range range = range_of("10.0.0.1-10.0.0.9"); // .1, .2/31, .4/30, .8/31
    for (size_t limit = 0; limit <= 6; limit++) {
        struct prefix out[6];
        memset(out, 0xee, sizeof out);
        assert_int_equal(range_prefixes(&range, out, limit), 4);
        for (size_t i = 0; i < COUNT(out); i++)
            assert_int_equal(out[i].bits != 0xee, i < limit && i < 4);
    }
    assert_int_equal(range_prefixes(&range, NULL, 0), 4);
    struct range none = {0};
    assert_int_equal(range_prefixes(&none, NULL, 0), 0);
}

// --- Endpoints and paths

static void endpoints_print_with_brackets_around_ipv6(void **state)
{
    static const struct {
        const char *addr;
        uint16_t port;
        const char *text;
    } cases[] = {
        {"192.0.2.1", 500, "192.0.2.1:500"},
        {"2001:db8::1", 4500, "[2001:db8::1]:4500"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        {"0.0.0.0", 0, "0.0.0.0:0"},
    };
    (void)state;
    char text[ENDPOINT_TEXT];
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct endpoint endpoint = {addr_of(cases[i].addr), cases[i].port};
        assert_string_equal(endpoint_print(&endpoint, text), cases[i].text);
    }
    struct endpoint none = {.port = 500};
    assert_string_equal(endpoint_print(&none, text), "%any:500");
}

static void paths_are_equal_when_all_their_parts_are(void **state)
{
    (void)state;
    struct path path = {{addr_v4(192, 0, 2, 1), 500}, {addr_v4(192, 0, 2, 2), 500}, false};
    struct path changed[5] = {path, path, path, path, path};
    changed[0].local.addr.at[3]++;
    changed[1].local.port++;
    changed[2].remote.addr.family = ADDR_V6;
    changed[3].remote.port++;
    changed[4].encap = true;
    assert_true(path_equal(&path, &path));
    assert_true(endpoint_equal(&path.local, &path.local));
    for (size_t i = 0; i < COUNT(changed); i++) {
        assert_false(path_equal(&path, &changed[i]));
        assert_int_equal(endpoint_equal(&path.local, &changed[i].local), i >= 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_print_in_one_form),
        cmocka_unit_test(what_is_no_address_is_rejected),
        cmocka_unit_test(addresses_come_from_four_or_sixteen_bytes),
        cmocka_unit_test(addresses_are_ordered_by_family_then_number),
        cmocka_unit_test(any_is_zero_in_each_family),
        cmocka_unit_test(the_next_address_carries_and_ends_with_its_family),
        cmocka_unit_test(prefixes_cover_from_low_to_high),
        cmocka_unit_test(a_prefix_keeps_the_address_it_was_written_with),
        cmocka_unit_test(a_prefix_has_no_address_of_the_other_family),
        cmocka_unit_test(what_is_no_prefix_is_rejected),
        cmocka_unit_test(ranges_print_as_short_as_they_can),
        cmocka_unit_test(what_is_no_range_is_rejected),
        cmocka_unit_test(a_range_has_its_ends_and_nothing_beyond),
        cmocka_unit_test(a_range_is_a_prefix_only_when_exactly_one),
        cmocka_unit_test(every_small_range_is_cut_into_the_fewest),
        cmocka_unit_test(random_ranges_are_cut_into_the_fewest),
        cmocka_unit_test(every_prefix_is_cut_into_itself),
        cmocka_unit_test(the_worst_ranges_need_exactly_the_maximum),
        cmocka_unit_test(cutting_writes_no_more_than_its_limit),
        cmocka_unit_test(endpoints_print_with_brackets_around_ipv6),
        cmocka_unit_test(paths_are_equal_when_all_their_parts_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
