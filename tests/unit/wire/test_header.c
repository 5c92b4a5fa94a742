// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

#define SMALLEST "0102030405060708 1112131415161718 21 20 22 08 00000007 0000001c"

// RFC 7296 3.1 test
static void a_header_has_these_fields_in_this_order(void **state)
{
    (void)state;
    struct ike_header h;
    CHECK_FAULT(ike_header_read(HEX(SMALLEST), &h), OK);
    assert_true(h.spi_i == UINT64_C(0x0102030405060708));
    assert_true(h.spi_r == UINT64_C(0x1112131415161718));
    assert_int_equal(h.next, PAYLOAD_SA);
    assert_int_equal(h.major, 2);
    assert_int_equal(h.minor, 0);
    assert_int_equal(h.exchange, EXCHANGE_IKE_SA_INIT);
    assert_int_equal(h.flags, FLAG_INITIATOR);
    assert_int_equal(h.message_id, 7);
    assert_int_equal(h.length, IKE_HEADER_SIZE);

    uint8_t space[IKE_HEADER_SIZE];
    struct wr out = wr_over(space, sizeof space);
    ike_header_write(&out, &h);
    check_bytes(wr_done(&out), HEX(SMALLEST));
}

static void every_truncation_is_a_fault(void **state)
{
    (void)state;
    struct bytes good = HEX(SMALLEST);
    for (size_t size = 0; size < good.size; size++) {
        struct bytes cut = exact_copy(bytes_of(good.at, size));
        struct ike_header h;
        CHECK_FAULT(ike_header_read(cut, &h), FAULT_TRUNCATED);
        exact_drop(cut);
    }
}

// RFC 7296 3.1 test
static void the_length_must_be_that_of_the_message(void **state)
{
    (void)state;
    struct ike_header h;
    uint8_t message[40] = {0};
    memcpy(message, HEX(SMALLEST).at, IKE_HEADER_SIZE);
    for (unsigned length = 0; length < 256; length++) {
        message[27] = (uint8_t)length;
        enum fault expected = length == sizeof message ? OK : FAULT_HEADER_LENGTH;
        CHECK_FAULT(ike_header_read(BYTES_ARRAY(message), &h), expected);
    }
    message[24] = 1;
    message[27] = sizeof message;
    CHECK_FAULT(ike_header_read(BYTES_ARRAY(message), &h), FAULT_HEADER_LENGTH);
}

// RFC 7296 3.1 test
static void flags_without_meaning_are_ignored(void **state)
{
    (void)state;
    struct ike_header h;
    CHECK_FAULT(
        ike_header_read(HEX("0102030405060708 1112131415161718 21 20 22 ff 00000007 0000001c"), &h),
        OK);
    assert_int_equal(h.flags, FLAG_INITIATOR | FLAG_VERSION | FLAG_RESPONSE);
}

static void the_flags_of_version_1_are_kept(void **state)
{
    (void)state;
    struct ike_header h;
    CHECK_FAULT(
        ike_header_read(HEX("0102030405060708 1112131415161718 01 10 02 07 00000007 0000001c"), &h),
        OK);
    assert_int_equal(h.major, 1);
    assert_int_equal(h.flags, 7);
}

// RFC 7296 2.5 test: the minor version is ignored, a higher major version is for the caller to
// answer.
static void other_versions_are_read(void **state)
{
    (void)state;
    struct ike_header h;
    CHECK_FAULT(
        ike_header_read(HEX("0102030405060708 1112131415161718 21 3f 22 08 00000007 0000001c"), &h),
        OK);
    assert_int_equal(h.major, 3);
    assert_int_equal(h.minor, 15);
}

static void every_changed_byte_is_written_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < IKE_HEADER_SIZE * 256; i++) {
        uint8_t message[IKE_HEADER_SIZE], space[IKE_HEADER_SIZE];
        memcpy(message, HEX(SMALLEST).at, sizeof message);
        message[i / 256] = (uint8_t)i;
        struct ike_header h, again;
        if (ike_header_read(BYTES_ARRAY(message), &h) != OK) continue;
        struct wr out = wr_over(space, sizeof space);
        ike_header_write(&out, &h);
        CHECK_FAULT(ike_header_read(wr_done(&out), &again), OK);
        uint8_t twice[IKE_HEADER_SIZE];
        struct wr out_twice = wr_over(twice, sizeof twice);
        ike_header_write(&out_twice, &again);
        check_bytes(wr_done(&out_twice), BYTES_ARRAY(space));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_has_these_fields_in_this_order),
        cmocka_unit_test(every_truncation_is_a_fault),
        cmocka_unit_test(the_length_must_be_that_of_the_message),
        cmocka_unit_test(flags_without_meaning_are_ignored),
        cmocka_unit_test(the_flags_of_version_1_are_kept),
        cmocka_unit_test(other_versions_are_read),
        cmocka_unit_test(every_changed_byte_is_written_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
