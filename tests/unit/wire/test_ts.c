// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

#define SMALLEST "01 000000  07 00 0010 0000 ffff 0a000000 0affffff"
#define SMALLEST_V6                                                                                \
    "01 000000  08 06 0028 0050 0050 20010db8000000000000000000000000 "                            \
    "20010db80000000000000000000000ff"

// RFC 7296 3.13.1 test
static void a_range_of_addresses_is_decoded(void **state)
{
    (void)state;
    struct selectors s;
    char text[RANGE_TEXT];
    CHECK_FAULT(ts_read(HEX(SMALLEST), &s), OK);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.at[0].protocol, 0);
    assert_int_equal(s.at[0].port_low, 0);
    assert_int_equal(s.at[0].port_high, 65535);
    assert_string_equal(range_print(&s.at[0].range, text), "10.0.0.0/8");

    CHECK_FAULT(ts_read(HEX(SMALLEST_V6), &s), OK);
    assert_int_equal(s.at[0].protocol, 6);
    assert_int_equal(s.at[0].port_low, 80);
    assert_int_equal(s.at[0].port_high, 80);
    assert_string_equal(range_print(&s.at[0].range, text), "2001:db8::/120");
}

static void truncations_and_changes_do_no_harm(void **state)
{
    (void)state;
    struct bytes v4 = HEX(SMALLEST), v6 = HEX(SMALLEST_V6);
    check_robust(PAYLOAD_TSI, v4, v4.size);
    check_robust(PAYLOAD_TSR, v6, v6.size);
}

// clang-format off
static const struct body_case cases[] = {
    // RFC 7296 3.13 test: one or more selectors, and as many as counted.
    {"nothing",                    "",                                                             FAULT_TRUNCATED},
    {"no selectors",               "00 000000",                                                    FAULT_TS_EMPTY},
    {"fewer than counted",         "02 000000 07 00 0010 0000 ffff 0a000000 0affffff",             FAULT_TRUNCATED},
    {"more than counted",          "01 000000 07 00 0010 0000 ffff 0a000000 0affffff"
                                   "          07 00 0010 0000 ffff 0a000000 0affffff",             FAULT_TRAILING_BYTES},
    {"reserved bytes are set",     "01 ffffff 07 00 0010 0000 ffff 0a000000 0affffff",             OK},
    // RFC 7296 3.13.1 test: the length is that of the type.
    {"a length of 0",              "01 000000 07 00 0000 0000 ffff 0a000000 0affffff",             FAULT_TS_LENGTH},
    {"a length of 3",              "01 000000 07 00 0003 0000 ffff 0a000000 0affffff",             FAULT_TS_LENGTH},
    {"too short for IPv4",         "01 000000 07 00 000f 0000 ffff 0a000000 0affff",               FAULT_TS_LENGTH},
    {"too long for IPv4",          "01 000000 07 00 0011 0000 ffff 0a000000 0affffff 00",          FAULT_TS_LENGTH},
    {"IPv4 with IPv6's length",    "01 000000 07 06 0028 0050 0050 20010db8000000000000000000000000"
                                   "20010db80000000000000000000000ff",                             FAULT_TS_LENGTH},
    {"IPv6 with IPv4's length",    "01 000000 08 00 0010 0000 ffff 0a000000 0affffff",             FAULT_TS_LENGTH},
    {"beyond the payload",         "01 000000 07 00 0011 0000 ffff 0a000000 0affffff",             FAULT_TS_LENGTH},
    // RFC 7296 3.13.1 test: starting address and port are the smallest.
    {"addresses in wrong order",   "01 000000 07 00 0010 0000 ffff 0a000001 0a000000",             FAULT_TS_RANGE},
    {"one address",                "01 000000 07 00 0010 0000 ffff 0a000001 0a000001",             OK},
    {"IPv6 in wrong order",        "01 000000 08 06 0028 0050 0050 20010db80000000000000000000000ff"
                                   "20010db8000000000000000000000000",                             FAULT_TS_RANGE},
    {"ports in wrong order",       "01 000000 07 06 0010 0051 0050 0a000000 0affffff",             FAULT_TS_PORTS},
    {"OPAQUE",                     "01 000000 07 06 0010 ffff 0000 0a000000 0affffff",             OK},
    {"nearly OPAQUE",              "01 000000 07 06 0010 ffff 0001 0a000000 0affffff",             FAULT_TS_PORTS},
    {"ICMP echo",                  "01 000000 07 01 0010 0800 08ff 0a000000 0affffff",             OK},
    // RFC 7296 3.13.1 test: without a protocol there are no ports.
    {"a port without a protocol",  "01 000000 07 00 0010 0050 0050 0a000000 0affffff",             FAULT_TS_PORTS},
    {"OPAQUE without a protocol",  "01 000000 07 00 0010 ffff 0000 0a000000 0affffff",             FAULT_TS_PORTS},
    {"an unknown type alone",      "01 000000 c8 00 0004",                                         OK},
    {"a label alone",              "01 000000 0a 00 0005 61",                                      OK},
    {"an unknown type, too short", "01 000000 c8 00 0003",                                         FAULT_TS_LENGTH},
    {"an unknown type, beyond",    "01 000000 c8 00 0005",                                         FAULT_TS_LENGTH},
};
// clang-format on

static void bodies_are_judged_by_these_rules(void **state)
{
    (void)state;
    check_cases(PAYLOAD_TSI, cases, COUNT(cases));
}

static void selectors_of_unknown_type_are_passed_over(void **state)
{
    (void)state;
    struct selectors s;
    CHECK_FAULT(ts_read(HEX("03 000000 0a 00 0006 6162"
                            "07 00 0010 0000 ffff 0a000000 0affffff c8 00 0004"),
                        &s),
                OK);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.at[0].range.low.at[0], 10);
    CHECK_FAULT(ts_read(HEX("01 000000 0a 00 0005 61"), &s), OK);
    assert_int_equal(s.count, 0);
}

// RFC 9478 2.1 test: labels stand beside addresses; an empty one says nothing.
static void labels_are_found_among_selectors(void **state)
{
    (void)state;
    struct ts_labels labels;
    struct selectors s = {.count = 1, .at[0] = selector_any(ADDR_V4)};
    CHECK_FAULT(ts_labels_read(HEX("04 000000 0a 00 0006 6162"
                                   "07 00 0010 0000 ffff 0a000000 0affffff 0a 00 0004 0a ff 0005 63"),
                               &labels),
                OK);
    assert_int_equal(labels.count, 2);
    assert_true(bytes_equal(labels.at[0], BYTES("ab")));
    assert_true(bytes_equal(labels.at[1], BYTES("c")));
    CHECK_FAULT(ts_labels_read(HEX("01 000000 0a 00 0003 61"), &labels), FAULT_TS_LENGTH);
    CHECK_FAULT(ts_labels_read(HEX("01 000000 0a 00 0006 61"), &labels), FAULT_TS_LENGTH);
    CHECK_FAULT(ts_labels_read(HEX("02 000000 0a 00 0005 61"), &labels), FAULT_TRUNCATED);

    uint8_t space[100];
    struct wr out = wr_over(space, sizeof space);
    ts_write_labelled(&out, &s, bytes_of("x:y", 4));
    struct bytes body = wr_done(&out);
    assert_true(bytes_equal(body, HEX("02 000000 07 00 0010 0000 ffff 00000000 ffffffff 0a 00 0008 783a7900")));
    CHECK_FAULT(ts_labels_read(body, &labels), OK);
    assert_int_equal(labels.count, 1);
    CHECK_FAULT(ts_read(body, &s), OK);
    assert_int_equal(s.count, 1);
}

// Many of them do not run over.
static void labels_beyond_the_maximum_are_left_out(void **state)
{
    (void)state;
    uint8_t space[2048];
    struct ts_labels labels;
    struct wr out = wr_over(space, sizeof space);
    wr_u8(&out, 255);
    wr_zeros(&out, 3);
    for (unsigned i = 0; i < 255; i++) wr_bytes(&out, HEX("0a 00 0005 61"));
    CHECK_FAULT(ts_labels_read(wr_done(&out), &labels), OK);
    assert_int_equal(labels.count, TS_LABELS_MAX);
}

static struct bytes many_selectors(unsigned count, uint8_t *space, size_t limit)
{
    struct wr out = wr_over(space, limit);
    wr_u8(&out, (uint8_t)count);
    wr_zeros(&out, 3);
    for (unsigned i = 0; i < count; i++) {
        wr_bytes(&out, HEX("07 00 0010 0000 ffff 0a000000 0a0000"));
        wr_u8(&out, (uint8_t)i);
    }
    return wr_done(&out);
}

static void selectors_beyond_the_maximum_are_left_out(void **state)
{
    (void)state;
    static const unsigned counts[] = {SELECTORS_MAX, SELECTORS_MAX + 1, 255};
    for (size_t i = 0; i < COUNT(counts); i++) {
        uint8_t space[8192];
        struct selectors s;
        struct bytes body = many_selectors(counts[i], space, sizeof space);
        CHECK_FAULT(ts_read(body, &s), OK);
        assert_int_equal(s.count, SELECTORS_MAX);
        assert_int_equal(s.at[SELECTORS_MAX - 1].range.high.at[3], SELECTORS_MAX - 1);
        check_sane(PAYLOAD_TSI, body);
        // They are looked at all the same.
        space[body.size - 8] = 11;
        CHECK_FAULT(ts_read(body, &s), FAULT_TS_RANGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_of_addresses_is_decoded),
        cmocka_unit_test(truncations_and_changes_do_no_harm),
        cmocka_unit_test(bodies_are_judged_by_these_rules),
        cmocka_unit_test(selectors_of_unknown_type_are_passed_over),
        cmocka_unit_test(labels_are_found_among_selectors),
        cmocka_unit_test(labels_beyond_the_maximum_are_left_out),
        cmocka_unit_test(selectors_beyond_the_maximum_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
