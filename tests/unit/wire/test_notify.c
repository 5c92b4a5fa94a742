// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

static void truncations_and_changes_do_no_harm(void **state)
{
    (void)state;
    check_robust(PAYLOAD_NOTIFY, HEX("00 00 4014"), 4);
    check_robust(PAYLOAD_NOTIFY, HEX("03 04 4009 c0ffee01"), 8);
    check_robust(PAYLOAD_NOTIFY, HEX("00 00 0011 0013"), 6);
    check_robust(PAYLOAD_NOTIFY, HEX("00 00 402f 0002 0003"), 6);
    check_robust(PAYLOAD_DELETE, HEX("01 00 0000"), 4);
    check_robust(PAYLOAD_DELETE, HEX("03 04 0002 c0ffee01 c0ffee02"), 12);
}

// RFC 7296 3.10 test
static void a_notification_has_an_spi_a_type_and_data(void **state)
{
    (void)state;
    struct notify n;
    CHECK_FAULT(notify_read(HEX("03 04 4009 c0ffee01 a1a2"), &n), OK);
    assert_int_equal(n.protocol, PROTOCOL_ESP);
    assert_int_equal(n.type, NOTIFY_REKEY_SA);
    check_bytes(n.spi, HEX("c0ffee01"));
    check_bytes(n.data, HEX("a1a2"));
}

// RFC 7296 3.10 test: it is sent as zero too.
static void without_an_spi_the_protocol_is_ignored(void **state)
{
    (void)state;
    struct notify n;
    CHECK_FAULT(notify_read(HEX("01 00 4014"), &n), OK);
    assert_int_equal(n.protocol, PROTOCOL_NONE);
    check_rewritten(PAYLOAD_NOTIFY, HEX("01 00 4014"), HEX("00 00 4014"));
    uint8_t space[8];
    struct wr out = wr_over(space, sizeof space);
    notify_write(&out, &(struct notify){.protocol = PROTOCOL_ESP, .type = NOTIFY_INVALID_SYNTAX});
    check_bytes(wr_done(&out), HEX("00 00 0007"));
}

// clang-format off
static const struct body_case notify_cases[] = {
    {"an SPI beyond the payload",       "03 04 4009 c0ffee",              FAULT_TRUNCATED},
    {"an SPI of 255 bytes, beyond",     "00 ff 4009",                     FAULT_TRUNCATED},
    // RFC 7296 3.10 test: an SPI has the size that its protocol says, and an IKE SA is not named by one.
    {"an ESP SPI of 3 bytes",           "03 03 4009 c0ffee",              FAULT_NOTIFY_SPI_SIZE},
    {"an AH SPI of 8 bytes",            "02 08 4009 0102030405060708",    FAULT_NOTIFY_SPI_SIZE},
    {"an IKE SPI",                      "01 08 000b 0102030405060708",    FAULT_NOTIFY_SPI_SIZE},
    {"an SPI of an unknown protocol",   "c8 02 9c40 a1a2",                OK},
    {"an unknown error",                "00 00 2000 a1a2",                OK},
    {"an unknown status",               "00 00 9c40",                     OK},
    // RFC 7296 2.6 test
    {"an empty cookie",                 "00 00 4006",                     FAULT_NOTIFY_DATA_SIZE},
    {"a cookie of one byte",            "00 00 4006 a1",                  OK},
    // RFC 7296 1.2 test
    {"a wanted group",                  "00 00 0011 0013",                OK},
    {"a wanted group of one byte",      "00 00 0011 13",                  FAULT_NOTIFY_DATA_SIZE},
    {"a wanted group of three bytes",   "00 00 0011 001300",              FAULT_NOTIFY_DATA_SIZE},
    {"no wanted group",                 "00 00 0011",                     FAULT_NOTIFY_DATA_SIZE},
    // RFC 7296 2.5 test
    {"the critical payload",            "00 00 0001 c8",                  OK},
    {"no critical payload",             "00 00 0001",                     FAULT_NOTIFY_DATA_SIZE},
    {"two critical payloads",           "00 00 0001 c8c9",                FAULT_NOTIFY_DATA_SIZE},
    // RFC 7296 2.3 test
    {"a window",                        "00 00 4001 00000001",            OK},
    {"a window of two bytes",           "00 00 4001 0001",                FAULT_NOTIFY_DATA_SIZE},
    // RFC 7296 2.22 test
    {"IPComp with a CPI and algorithm", "00 00 4003 abcd02",              OK},
    {"IPComp without an algorithm",     "00 00 4003 abcd",                FAULT_NOTIFY_DATA_SIZE},
    // RFC 7427 4 test
    {"two hash algorithms",             "00 00 402f 00020003",            OK},
    {"one and a half",                  "00 00 402f 000200",              FAULT_NOTIFY_DATA_SIZE},
    {"no hash algorithm",               "00 00 402f",                     FAULT_NOTIFY_DATA_SIZE},
};

static const struct body_case delete_cases[] = {
    // RFC 7296 3.11 test: protocol 1, 2 or 3, with the SPI size that belongs to it.
    {"the IKE SA",                   "01 00 0000",                   OK},
    {"an IKE SA by its SPI",         "01 08 0001 0102030405060708",  FAULT_DELETE_SPI_SIZE},
    {"the IKE SA, counted",          "01 00 0001",                   FAULT_DELETE_SPI_SIZE},
    {"the IKE SA with an SPI size",  "01 04 0000",                   FAULT_DELETE_SPI_SIZE},
    {"the IKE SA and more",          "01 00 0000 00",                FAULT_TRAILING_BYTES},
    {"an ESP SA",                    "03 04 0001 c0ffee01",          OK},
    {"an AH SA",                     "02 04 0001 c0ffee01",          OK},
    {"no ESP SA",                    "03 04 0000",                   OK},
    {"an ESP SPI of 8 bytes",        "03 08 0001 0102030405060708",  FAULT_DELETE_SPI_SIZE},
    {"an ESP SPI of 0 bytes",        "03 00 0001",                   FAULT_DELETE_SPI_SIZE},
    {"fewer SPIs than counted",      "03 04 0002 c0ffee01",          FAULT_TRUNCATED},
    {"more SPIs than counted",       "03 04 0001 c0ffee01 c0ffee02", FAULT_TRAILING_BYTES},
    {"protocol 0",                   "00 00 0000",                   FAULT_DELETE_PROTOCOL},
    {"protocol 4",                   "04 04 0001 c0ffee01",          FAULT_DELETE_PROTOCOL},
};
// clang-format on

static void notifications_are_judged_by_these_rules(void **state)
{
    (void)state;
    check_cases(PAYLOAD_NOTIFY, notify_cases, COUNT(notify_cases));
}

static void deletions_are_judged_by_these_rules(void **state)
{
    (void)state;
    check_cases(PAYLOAD_DELETE, delete_cases, COUNT(delete_cases));
}

// RFC 7296 2.6 test
static void a_cookie_has_at_most_64_bytes(void **state)
{
    (void)state;
    uint8_t body[4 + COOKIE_SIZE_MAX + 1] = {0, 0, NOTIFY_COOKIE >> 8, NOTIFY_COOKIE & 0xff};
    CHECK_FAULT(body_read(PAYLOAD_NOTIFY, bytes_of(body, sizeof body - 1)), OK);
    CHECK_FAULT(body_read(PAYLOAD_NOTIFY, bytes_of(body, sizeof body)), FAULT_NOTIFY_DATA_SIZE);
}

static void deleted_spis_are_in_host_order(void **state)
{
    (void)state;
    struct delete_payload d;
    CHECK_FAULT(delete_read(HEX("03 04 0002 c0ffee01 00000002"), &d), OK);
    assert_int_equal(d.protocol, PROTOCOL_ESP);
    assert_int_equal(d.count, 2);
    assert_true(d.spis[0] == 0xc0ffee01 && d.spis[1] == 2);
}

static struct bytes many_spis(unsigned count, uint8_t *space, size_t limit)
{
    struct wr out = wr_over(space, limit);
    wr_bytes(&out, HEX("03 04"));
    wr_u16(&out, (uint16_t)count);
    for (unsigned i = 0; i < count; i++) wr_u32(&out, 0xc0000000 + i);
    return wr_done(&out);
}

static void more_deleted_spis_than_the_maximum_are_a_fault(void **state)
{
    (void)state;
    uint8_t space[4096];
    struct bytes most = many_spis(DELETE_SPIS_MAX, space, sizeof space);
    check_rewritten(PAYLOAD_DELETE, most, most);
    struct bytes more = many_spis(DELETE_SPIS_MAX + 1, space, sizeof space);
    CHECK_FAULT(body_read(PAYLOAD_DELETE, more), FAULT_DELETE_TOO_MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncations_and_changes_do_no_harm),
        cmocka_unit_test(a_notification_has_an_spi_a_type_and_data),
        cmocka_unit_test(without_an_spi_the_protocol_is_ignored),
        cmocka_unit_test(notifications_are_judged_by_these_rules),
        cmocka_unit_test(deletions_are_judged_by_these_rules),
        cmocka_unit_test(a_cookie_has_at_most_64_bytes),
        cmocka_unit_test(deleted_spis_are_in_host_order),
        cmocka_unit_test(more_deleted_spis_than_the_maximum_are_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
