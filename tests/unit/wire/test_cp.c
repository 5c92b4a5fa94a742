// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

#define SMALLEST "01 000000"
#define REQUEST "01 000000 0001 0000 0003 0000"
#define REPLY                                                                                      \
    "02 000000 0001 0004 0a030001 0008 0011 20010db8000000000000000000000001 40 7000 0003 616263"

// RFC 7296 3.15.1 test
static void attributes_are_decoded(void **state)
{
    (void)state;
    struct cp_payload cp;
    CHECK_FAULT(cp_read(HEX(REPLY), &cp), OK);
    assert_int_equal(cp.type, CFG_REPLY);
    assert_int_equal(cp.count, 3);
    assert_int_equal(cp.at[0].type, ATTR_INTERNAL_IP4_ADDRESS);
    check_bytes(cp.at[0].value, HEX("0a030001"));
    assert_int_equal(cp.at[1].type, ATTR_INTERNAL_IP6_ADDRESS);
    assert_int_equal(cp.at[1].value.size, 17);
    assert_int_equal(cp.at[2].type, 0x7000);
    check_bytes(cp.at[2].value, BYTES("abc"));
}

static void truncations_and_changes_do_no_harm(void **state)
{
    (void)state;
    check_robust(PAYLOAD_CP, HEX(SMALLEST), 4);
    check_robust(PAYLOAD_CP, HEX(REQUEST), 4);
    check_robust(PAYLOAD_CP, HEX(REPLY), 4);
}

// clang-format off
static const struct body_case cases[] = {
    {"nothing",                    "",                                                      FAULT_TRUNCATED},
    {"reserved bytes are set",     "01 ffffff",                                             OK},
    {"an attribute cut in two",    "01 000000 0001 00",                                     FAULT_TRUNCATED},
    {"a value beyond the payload", "01 000000 7000 0004 616263",                            FAULT_TRUNCATED},
    // RFC 7296 3.15.1 test: an attribute is empty or has the size of its type.
    {"IPv4 address of 3 bytes",    "02 000000 0001 0003 0a0300",                            FAULT_CP_ATTRIBUTE_SIZE},
    {"netmask",                    "02 000000 0002 0004 ffffff00",                          OK},
    {"netmask of 5 bytes",         "02 000000 0002 0005 ffffff0000",                        FAULT_CP_ATTRIBUTE_SIZE},
    {"DNS server of 16 bytes",     "02 000000 0003 0010 20010db8000000000000000000000001",  FAULT_CP_ATTRIBUTE_SIZE},
    {"NBNS server",                "02 000000 0004 0004 0a030001",                          OK},
    {"NBNS server of 1 byte",      "02 000000 0004 0001 0a",                                FAULT_CP_ATTRIBUTE_SIZE},
    {"IPv6 address without bits",  "02 000000 0008 0010 20010db8000000000000000000000001",  FAULT_CP_ATTRIBUTE_SIZE},
    {"IPv6 DNS server",            "02 000000 000a 0010 20010db8000000000000000000000001",  OK},
    {"IPv6 DNS server with bits",  "02 000000 000a 0011 20010db800000000000000000000000140", FAULT_CP_ATTRIBUTE_SIZE},
    {"an unknown attribute",       "02 000000 7abc 0001 00",                                OK},
};
// clang-format on

static void bodies_are_judged_by_these_rules(void **state)
{
    (void)state;
    check_cases(PAYLOAD_CP, cases, COUNT(cases));
}

// RFC 7296 3.15.1 test
static void the_reserved_bit_of_attributes_is_ignored(void **state)
{
    (void)state;
    check_rewritten(PAYLOAD_CP, HEX("01 000000 8001 0000"), HEX("01 000000 0001 0000"));
}

static struct bytes many_attributes(unsigned count, uint8_t *space, size_t limit)
{
    struct wr out = wr_over(space, limit);
    wr_bytes(&out, HEX("01 000000"));
    for (unsigned i = 0; i < count; i++) {
        wr_u16(&out, (uint16_t)(0x7000 + i));
        wr_u16(&out, 0);
    }
    return wr_done(&out);
}

static void attributes_beyond_the_maximum_are_left_out(void **state)
{
    (void)state;
    uint8_t space[4096];
    struct bytes most = many_attributes(CP_ATTRIBUTES_MAX, space, sizeof space);
    check_rewritten(PAYLOAD_CP, most, most);
    struct bytes more = many_attributes(1000, space, sizeof space);
    check_rewritten(PAYLOAD_CP, more, bytes_of(more.at, 4 + 4 * CP_ATTRIBUTES_MAX));
    // They are looked at all the same.
    CHECK_FAULT(body_read(PAYLOAD_CP, bytes_of(more.at, more.size - 1)), FAULT_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_are_decoded),
        cmocka_unit_test(truncations_and_changes_do_no_harm),
        cmocka_unit_test(bodies_are_judged_by_these_rules),
        cmocka_unit_test(the_reserved_bit_of_attributes_is_ignored),
        cmocka_unit_test(attributes_beyond_the_maximum_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
