// SPDX-License-Identifier: Apache-2.0
#include "model.h"

static struct selector sel(const char *text)
{
    struct selector selector;
    CHECK_FAULT(selector_parse(text, &selector), OK);
    return selector;
}

// Blanks between them; "" is the empty set.
static struct selectors set_of(const char *text)
{
    struct selectors set = {0};
    char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        set.at[set.count++] = sel(word);
    return set;
}

static void check_set(const struct selectors *set, const char *expected)
{
    char space[SELECTORS_MAX * SELECTOR_TEXT + 1];
    struct wr out = wr_over(space, sizeof space - 1);
    selectors_print(set, &out);
    space[out.size] = '\0';
    assert_string_equal(space, expected);
}

static void selectors_read_and_print(void **state)
{
    (void)state;
    static const struct {
        const char *text, *printed;
        uint8_t protocol;
        uint16_t low, high;
    } rows[] = {
        {"10.0.0.0/8", "10.0.0.0/8", 0, 0, 65535},
        {"10.1.2.3/8", "10.0.0.0/8", 0, 0, 65535},
        {"192.0.2.1", "192.0.2.1", 0, 0, 65535},
        {"10.1.0.1-10.1.0.9[tcp/443]", "10.1.0.1-10.1.0.9[tcp/443]", 6, 443, 443},
        {"10.1.0.1..10.1.0.9", "10.1.0.1-10.1.0.9", 0, 0, 65535},
        {"10.0.0.0-10.255.255.255", "10.0.0.0/8", 0, 0, 65535},
        {"::/0", "::/0", 0, 0, 65535},
        {"fe80::/10[ipv6-icmp]", "fe80::/10[ipv6-icmp]", 58, 0, 65535},
        {"fe80::/10[icmpv6/128]", "fe80::/10[ipv6-icmp/128]", 58, 0x8000, 0x80ff},
        {"0.0.0.0/0[udp/1024-2048]", "0.0.0.0/0[udp/1024-2048]", 17, 1024, 2048},
        {"0.0.0.0/0[tcp/http]", "0.0.0.0/0[tcp/80]", 6, 80, 80},
        {"0.0.0.0/0[tcp/ftp-data]", "0.0.0.0/0[tcp/20]", 6, 20, 20},
        {"0.0.0.0/0[tcp/ssh-http]", "0.0.0.0/0[tcp/22-80]", 6, 22, 80},
        {"0.0.0.0/0[TCP]", "0.0.0.0/0[tcp]", 6, 0, 65535},
        {"0.0.0.0/0[udp/%any]", "0.0.0.0/0[udp]", 17, 0, 65535},
        {"0.0.0.0/0[udp/]", "0.0.0.0/0[udp]", 17, 0, 65535},
        {"0.0.0.0/0[%any/%any]", "0.0.0.0/0", 0, 0, 65535},
        {"0.0.0.0/0[]", "0.0.0.0/0", 0, 0, 65535},
        {"0.0.0.0/0[0]", "0.0.0.0/0", 0, 0, 65535},
        {"0.0.0.0/0[any]", "0.0.0.0/0", 0, 0, 65535},
        {"0.0.0.0/0[47]", "0.0.0.0/0[gre]", 47, 0, 65535},
        {"0.0.0.0/0[255]", "0.0.0.0/0[255]", 255, 0, 65535},
        {"0.0.0.0/0[udp/opaque]", "0.0.0.0/0[udp/opaque]", 17, 65535, 0},
        {"0.0.0.0/0[icmp/8]", "0.0.0.0/0[icmp/8]", 1, 0x0800, 0x08ff},
        {"0.0.0.0/0[icmp/0]", "0.0.0.0/0[icmp/0]", 1, 0, 0x00ff},
        {"0.0.0.0/0[icmp/8(0)]", "0.0.0.0/0[icmp/8(0)]", 1, 0x0800, 0x0800},
        {"0.0.0.0/0[icmp/2048]", "0.0.0.0/0[icmp/8(0)]", 1, 2048, 2048},
        {"0.0.0.0/0[icmp/3(4)]", "0.0.0.0/0[icmp/3(4)]", 1, 0x0304, 0x0304},
        {"0.0.0.0/0[icmp/3(1)-3(4)]", "0.0.0.0/0[icmp/3(1)-3(4)]", 1, 0x0301, 0x0304},
        {"0.0.0.0/0[icmp/3-5]", "0.0.0.0/0[icmp/3(0)-5(255)]", 1, 0x0300, 0x05ff},
        {"::/0[mh/5]", "::/0[mobility-header/5]", 135, 0x0500, 0x0500},
        {"dynamic", "dynamic", 0, 0, 65535},
        {"dynamic[tcp/80]", "dynamic[tcp/80]", 6, 80, 80},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[SELECTOR_TEXT];
        print_message("%s\n", rows[i].text);
        struct selector got = sel(rows[i].text);
        assert_int_equal(got.protocol, rows[i].protocol);
        assert_int_equal(got.port_low, rows[i].low);
        assert_int_equal(got.port_high, rows[i].high);
        assert_string_equal(selector_print(&got, text), rows[i].printed);
        struct selector again = sel(text);
        assert_true(selector_equal(&got, &again));
    }
    struct selector dynamic = sel("dynamic");
    assert_int_equal(dynamic.range.low.family, ADDR_NONE);
}

static void what_is_no_selector_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum fault fault;
    } rows[] = {
        {"", FAULT_SELECTOR_SYNTAX},
        {"[tcp]", FAULT_SELECTOR_SYNTAX},
        {"10.0.0.0/8[tcp", FAULT_SELECTOR_SYNTAX},
        {"10.0.0.0/8[", FAULT_SELECTOR_SYNTAX},
        {"10.0.0.0/8[tcp]x", FAULT_SELECTOR_SYNTAX},
        {"%any", FAULT_ADDRESS_SYNTAX},
        {"host.example.org", FAULT_ADDRESS_SYNTAX},
        {"10.0.0.0/33", FAULT_PREFIX_SYNTAX},
        {"10.0.0.9-10.0.0.1", FAULT_RANGE_ORDER},
        {"10.0.0.1-::1", FAULT_RANGE_ORDER},
        {"10.0.0.0/8[foo]", FAULT_SELECTOR_PROTOCOL},
        {"10.0.0.0/8[256]", FAULT_SELECTOR_PROTOCOL},
        {"10.0.0.0/8[-1]", FAULT_SELECTOR_PROTOCOL},
        {"10.0.0.0/8[hopopt]", FAULT_SELECTOR_PROTOCOL},
        {"10.0.0.0/8[tcp/65536]", FAULT_SELECTOR_PORT},
        {"10.0.0.0/8[tcp/99999999999]", FAULT_SELECTOR_PORT},
        {"10.0.0.0/8[tcp/443-80]", FAULT_SELECTOR_PORT},
        {"10.0.0.0/8[tcp/gopher]", FAULT_SELECTOR_PORT},
        {"10.0.0.0/8[tcp/80-]", FAULT_SELECTOR_PORT},
        {"10.0.0.0/8[tcp/-80]", FAULT_SELECTOR_PORT},
        {"10.0.0.0/8[icmp/8(256)]", FAULT_SELECTOR_PORT},
        {"10.0.0.0/8[icmp/8(0]", FAULT_SELECTOR_PORT},
        {"10.0.0.0/8[icmp/(0)]", FAULT_SELECTOR_PORT},
        {"10.0.0.0/8[icmp/256(0)]", FAULT_SELECTOR_PORT},
        // RFC 7296 3.13.1 test
        {"10.0.0.0/8[/53]", FAULT_SELECTOR_PORT},
        {"10.0.0.0/8[%any/opaque]", FAULT_SELECTOR_PORT},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct selector selector = {.protocol = 99};
        print_message("%s\n", rows[i].text);
        CHECK_FAULT(selector_parse(rows[i].text, &selector), rows[i].fault);
        assert_int_equal(selector.protocol, 99);
    }
}

static void the_longest_text_fits(void **state)
{
    (void)state;
    struct selector longest = {
        .protocol = IPPROTO_NUMBER_MH, .port_low = 65533, .port_high = 65534};
    char text[SELECTOR_TEXT];
    longest.range.low.family = longest.range.high.family = ADDR_V6;
    memset(longest.range.low.at, 0xee, 16);
    memset(longest.range.high.at, 0xef, 16);
    const char *address =
        "eeee:eeee:eeee:eeee:eeee:eeee:eeee:eeee-efef:efef:efef:efef:efef:efef:efef:efef";
    selector_print(&longest, text);
    assert_int_equal(strncmp(text, address, strlen(address)), 0);
    assert_string_equal(text + strlen(address), "[mobility-header/65533-65534]");
}

static void within_and_intersect_go_by_range_protocol_and_port(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *both; // NULL: nothing
        bool a_in_b, b_in_a;
    } rows[] = {
        {"10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/16", false, true},
        {"10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", true, true},
        {"10.0.0.0/8", "11.0.0.0/8", NULL, false, false},
        {"10.0.0.0-10.0.0.20", "10.0.0.10-10.0.0.30", "10.0.0.10-10.0.0.20", false, false},
        {"10.0.0.0/8", "::/0", NULL, false, false},
        {"10.0.0.0/8[tcp]", "10.0.0.0/8", "10.0.0.0/8[tcp]", true, false},
        {"10.0.0.0/8[tcp]", "10.0.0.0/8[udp]", NULL, false, false},
        {"10.0.0.0/8[tcp]", "10.1.0.0/16", "10.1.0.0/16[tcp]", false, false},
        {"10.0.0.0/8[tcp/80]", "10.0.0.0/8[tcp]", "10.0.0.0/8[tcp/80]", true, false},
        {"10.0.0.0/8[tcp/80]", "10.0.0.0/8", "10.0.0.0/8[tcp/80]", true, false},
        {"10.0.0.0/8[tcp/80-90]", "10.0.0.0/8[tcp/85-99]", "10.0.0.0/8[tcp/85-90]", false, false},
        {"10.0.0.0/8[tcp/80-90]", "10.0.0.0/8[tcp/91]", NULL, false, false},
        {"10.0.0.0/8[icmp/8(0)]", "10.0.0.0/8[icmp/8]", "10.0.0.0/8[icmp/8(0)]", true, false},
        // RFC 4301 4.4.1.1 test
        {"10.0.0.0/8[tcp/opaque]", "10.0.0.0/8[tcp]", "10.0.0.0/8[tcp/opaque]", true, false},
        {"10.0.0.0/8[tcp/opaque]", "10.0.0.0/8", "10.0.0.0/8[tcp/opaque]", true, false},
        {"10.0.0.0/8[tcp/opaque]", "10.0.0.0/8[tcp/opaque]", "10.0.0.0/8[tcp/opaque]", true, true},
        {"10.0.0.0/8[tcp/opaque]", "10.0.0.0/8[tcp/1-65535]", NULL, false, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct selector a = sel(rows[i].a), b = sel(rows[i].b), both;
        char text[SELECTOR_TEXT];
        print_message("%s %s\n", rows[i].a, rows[i].b);
        assert_int_equal(selector_within(&a, &b), rows[i].a_in_b);
        assert_int_equal(selector_within(&b, &a), rows[i].b_in_a);
        assert_int_equal(selector_intersect(&a, &b, &both), rows[i].both != NULL);
        if (rows[i].both) assert_string_equal(selector_print(&both, text), rows[i].both);
    }
}

static void a_set_takes_what_it_does_not_have_yet(void **state)
{
    (void)state;
    struct selectors set = {0};
    struct selector wide = sel("10.0.0.0/8"), narrow = sel("10.1.0.0/16");
    assert_true(selectors_add(&set, &wide));
    assert_true(selectors_add(&set, &narrow));
    assert_int_equal(set.count, 1);
    for (uint8_t i = 1; i < SELECTORS_MAX; i++) {
        struct addr addr = addr_v4(192, 0, 2, i);
        struct selector one = selector_of_addr(&addr);
        assert_true(selectors_add(&set, &one));
    }
    struct selector any = selector_any(ADDR_V6);
    assert_int_equal(set.count, SELECTORS_MAX);
    assert_false(selectors_add(&set, &any));
    assert_true(selectors_add(&set, &narrow));
}

// RFC 7296 2.9 test
static void narrowing_gives_this(void **state)
{
    (void)state;
    static const struct {
        const char *mine, *offered, *narrowed;
    } rows[] = {
        {"10.0.0.0/8", "0.0.0.0/0", "10.0.0.0/8"},
        {"0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/8"},
        {"10.0.0.0/8", "11.0.0.0/8", ""},
        {"10.0.0.0/8", "", ""},
        {"", "10.0.0.0/8", ""},
        {"10.0.0.0/8 fd00::/8", "0.0.0.0/0 ::/0", "10.0.0.0/8 fd00::/8"},
        // The triggering packet comes first; what holds it takes its place.
        {"198.51.100.0/24", "198.51.100.66[udp/100] 198.51.100.0/24[udp]", "198.51.100.0/24[udp]"},
        {"198.51.100.0/26 198.51.100.64/26", "198.51.100.66[udp/100] 198.51.100.0/24",
         "198.51.100.64/26 198.51.100.0/26"},
        {"10.0.0.0/24 10.0.2.0/24", "10.0.0.0/16", "10.0.0.0/24 10.0.2.0/24"},
        {"10.0.0.0/8[tcp] 10.0.0.0/8[udp]", "10.1.0.0/16", "10.1.0.0/16[tcp] 10.1.0.0/16[udp]"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct selectors mine = set_of(rows[i].mine), offered = set_of(rows[i].offered), out;
        assert_int_equal(selectors_narrow(&mine, &offered, &out), rows[i].narrowed[0] != 0);
        check_set(&out, rows[i].narrowed);
    }
}

// RFC 7296 2.9 test
static void narrowing_keeps_the_first_selector_when_there_is_no_room_for_all(void **state)
{
    (void)state;
    struct selectors mine = {0}, offered = {0}, out;
    for (uint8_t i = 0; i < SELECTORS_MAX; i++) {
        char text[SELECTOR_TEXT];
        snprintf(text, sizeof text, "10.0.%u.0/24", i);
        mine.at[mine.count++] = sel(text);
    }
    offered.at[offered.count++] = sel("10.0.15.7[tcp/443]");
    offered.at[offered.count++] = sel("10.0.0.0/16[tcp]");
    offered.at[offered.count++] = sel("10.0.0.0/16[udp]");
    assert_true(selectors_narrow(&mine, &offered, &out));
    assert_int_equal(out.count, SELECTORS_MAX);
    struct selector packet = sel("10.0.15.7[tcp/443]");
    assert_true(selector_within(&packet, &out.at[0]));
}

static void packets_match_by_both_sides(void **state)
{
    (void)state;
    struct selectors local = set_of("10.0.0.0/24[tcp/443] 10.0.0.0/24[icmp]"),
                     remote = set_of("192.0.2.0/24");
    struct flow flow = {.source = addr_v4(10, 0, 0, 1),
                        .destination = addr_v4(192, 0, 2, 1),
                        .protocol = 6,
                        .source_port = 443,
                        .destination_port = 5000,
                        .ports_known = true};
    assert_true(selectors_match(&local, &remote, &flow));
    flow.source_port = 444;
    assert_false(selectors_match(&local, &remote, &flow));
    flow.source_port = 443;
    flow.ports_known = false;
    assert_false(selectors_match(&local, &remote, &flow));
    flow.protocol = 1;
    assert_true(selectors_match(&local, &remote, &flow));
    flow.protocol = 17;
    assert_false(selectors_match(&local, &remote, &flow));
    flow.protocol = 1;
    flow.destination = addr_v4(192, 0, 3, 1);
    assert_false(selectors_match(&local, &remote, &flow));
    flow.destination = flow.source;
    assert_false(selectors_match(&remote, &local, &flow));
}

static void packets_without_ports_match_any_and_opaque_only(void **state)
{
    (void)state;
    struct selectors any = set_of("0.0.0.0/0"), opaque = set_of("0.0.0.0/0[udp/opaque]"),
                     all = set_of("0.0.0.0/0[udp/0-65534]");
    struct flow flow = {
        .source = addr_v4(10, 0, 0, 1), .destination = addr_v4(10, 0, 0, 2), .protocol = 17};
    assert_true(selectors_match(&any, &any, &flow));
    assert_true(selectors_match(&opaque, &any, &flow));
    assert_false(selectors_match(&all, &any, &flow));
    flow.ports_known = true;
    assert_true(selectors_match(&any, &any, &flow));
    assert_false(selectors_match(&opaque, &any, &flow));
    assert_true(selectors_match(&all, &any, &flow));
}

static struct selector random_selector(struct rng *rng)
{
    struct selector out = {.port_high = 65535};
    uint8_t family = rng_below(rng, 4) ? ADDR_V4 : ADDR_V6;
    out.range.low.family = out.range.high.family = family;
    size_t size = addr_size(&out.range.low);
    // Few different values, so that there is overlap.
    uint8_t low = (uint8_t)rng_below(rng, 8), high = (uint8_t)rng_below(rng, 8);
    out.range.low.at[size - 1] = low < high ? low : high;
    out.range.high.at[size - 1] = low < high ? high : low;
    static const uint8_t protocols[] = {0, 1, 6, 17, 58};
    out.protocol = protocols[rng_below(rng, COUNT(protocols))];
    if (!out.protocol || !rng_below(rng, 3)) return out;
    if (!rng_below(rng, 4)) {
        out.port_low = 65535;
        out.port_high = 0;
        return out;
    }
    out.port_low = (uint16_t)rng_below(rng, 6);
    out.port_high = (uint16_t)(out.port_low + rng_below(rng, 4));
    return out;
}

static void properties_of_sets_hold(void **state)
{
    (void)state;
    struct rng_seeded rng = seeded(4242);
    for (int round = 0; round < 30000; round++) {
        struct selector a = random_selector(&rng.rng), b = random_selector(&rng.rng), ab, ba;
        bool overlap = selector_intersect(&a, &b, &ab);
        assert_int_equal(selector_intersect(&b, &a, &ba), overlap);
        assert_true(selector_within(&a, &a));
        if (overlap) {
            assert_true(selector_equal(&ab, &ba));
            assert_true(selector_within(&ab, &a) && selector_within(&ab, &b));
        }
        if (selector_within(&a, &b)) {
            assert_true(overlap && selector_equal(&ab, &a));
            if (selector_within(&b, &a)) assert_true(selector_equal(&a, &b));
        }
        char text[SELECTOR_TEXT];
        struct selector again;
        CHECK_FAULT(selector_parse(selector_print(&a, text), &again), OK);
        assert_true(selector_equal(&a, &again));
    }
}

static bool set_matches(const struct selectors *set, const struct flow *flow)
{
    struct selectors both = {.count = 2, .at = {selector_any(ADDR_V4), selector_any(ADDR_V6)}};
    return selectors_match(set, &both, flow);
}

// Within the room there is, a packet matches the narrowed set exactly when it matches both sides.
static void narrowing_is_the_intersection(void **state)
{
    (void)state;
    struct rng_seeded rng = seeded(77);
    for (int round = 0; round < 5000; round++) {
        struct selectors mine = {0}, offered = {0}, out, other;
        for (uint64_t i = rng_below(&rng.rng, 5); i; i--)
            mine.at[mine.count++] = random_selector(&rng.rng);
        for (uint64_t i = rng_below(&rng.rng, 5); i; i--)
            offered.at[offered.count++] = random_selector(&rng.rng);
        bool left = selectors_narrow(&mine, &offered, &out);
        assert_int_equal(left, out.count > 0);
        assert_true(selectors_within(&out, &mine));
        assert_true(selectors_within(&out, &offered));
        assert_int_equal(selectors_narrow(&offered, &mine, &other), left);
        assert_true(selectors_within(&out, &other) && selectors_within(&other, &out));
        for (int packet = 0; packet < 20; packet++) {
            struct selector at = random_selector(&rng.rng);
            struct flow flow = {.source = at.range.low,
                                .destination = at.range.high,
                                .protocol = at.protocol,
                                .source_port = at.port_low,
                                .ports_known = at.port_low <= at.port_high};
            assert_int_equal(set_matches(&out, &flow),
                             set_matches(&mine, &flow) && set_matches(&offered, &flow));
        }
    }
}

static void sets_compare_in_order(void **state)
{
    (void)state;
    struct selectors a = set_of("10.0.0.0/8 11.0.0.0/8"), b = set_of("11.0.0.0/8 10.0.0.0/8"),
                     c = set_of("10.0.0.0/8");
    assert_true(selectors_equal(&a, &a));
    assert_false(selectors_equal(&a, &b));
    assert_false(selectors_equal(&a, &c));
    assert_true(selectors_within(&a, &b));
    assert_true(selectors_within(&c, &a));
    assert_false(selectors_within(&a, &c));
}

static const char *explained(const char *mine, const char *offered, char *space)
{
    struct selectors a = set_of(mine), b = set_of(offered);
    struct wr out = wr_over(space, SELECTORS_EXPLAIN_MAX);
    selectors_explain(&a, &b, &out);
    CHECK_FAULT(wr_end(&out), OK);
    space[out.size] = '\0';
    return space;
}

static void the_explanation_goes_pair_by_pair(void **state)
{
    (void)state;
    static char space[SELECTORS_EXPLAIN_MAX + 1];
    assert_string_equal(explained("10.0.0.0/8 fd00::/8", "10.0.0.0/8[tcp] 11.0.0.0/8", space),
                        "the peer's 10.0.0.0/8[tcp] and our 10.0.0.0/8: they overlap\n"
                        "the peer's 10.0.0.0/8[tcp] and our fd00::/8: one is IPv4, the other IPv6\n"
                        "the peer's 11.0.0.0/8 and our 10.0.0.0/8: the addresses do not overlap\n"
                        "the peer's 11.0.0.0/8 and our fd00::/8: one is IPv4, the other IPv6\n");
    assert_string_equal(
        explained("10.0.0.0/8[tcp]", "10.0.0.0/8[udp]", space),
        "the peer's 10.0.0.0/8[udp] and our 10.0.0.0/8[tcp]: the protocols differ\n");
    assert_string_equal(
        explained("10.0.0.0/8[tcp/80]", "10.0.0.0/8[tcp/81]", space),
        "the peer's 10.0.0.0/8[tcp/81] and our 10.0.0.0/8[tcp/80]: the ports do not overlap\n");
    assert_non_null(strstr(explained("", "10.0.0.0/8", space), "We have no traffic selector"));
    assert_non_null(
        strstr(explained("10.0.0.0/8", "", space), "The peer offers no traffic selector"));
    const char *many = "10.0.0.0/24 10.0.1.0/24 10.0.2.0/24 10.0.3.0/24 10.0.4.0/24";
    assert_non_null(strstr(explained(many, many, space), "and 9 pairs more\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selectors_read_and_print),
        cmocka_unit_test(what_is_no_selector_is_refused),
        cmocka_unit_test(the_longest_text_fits),
        cmocka_unit_test(within_and_intersect_go_by_range_protocol_and_port),
        cmocka_unit_test(a_set_takes_what_it_does_not_have_yet),
        cmocka_unit_test(narrowing_gives_this),
        cmocka_unit_test(narrowing_keeps_the_first_selector_when_there_is_no_room_for_all),
        cmocka_unit_test(packets_match_by_both_sides),
        cmocka_unit_test(packets_without_ports_match_any_and_opaque_only),
        cmocka_unit_test(properties_of_sets_hold),
        cmocka_unit_test(narrowing_is_the_intersection),
        cmocka_unit_test(sets_compare_in_order),
        cmocka_unit_test(the_explanation_goes_pair_by_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
