// SPDX-License-Identifier: Apache-2.0
#include "base/rd.h"
#include "unit.h"

// One of each kind: 1 + 2 + 3 + 4 + 8 + 3 bytes, 2 skipped, 2 copied, 2 in a reader of their own.
static const uint8_t record[] = {
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e,
    0x0f, 0x10, 0x11, 0x12, 'x',  'y',  'z',  0xee, 0xee, 'c',  'd',  0x21, 0x22,
};

struct fields {
    uint8_t u8;
    uint16_t u16;
    uint32_t u24, u32;
    uint64_t u64;
    struct bytes name;
    char copy[2];
    uint16_t inner;
};

static enum fault fields_read(struct bytes body, struct fields *out)
{
    struct rd in = rd_over(body);
    out->u8 = rd_u8(&in);
    out->u16 = rd_u16(&in);
    out->u24 = rd_u24(&in);
    out->u32 = rd_u32(&in);
    out->u64 = rd_u64(&in);
    out->name = rd_bytes(&in, 3);
    rd_skip(&in, 2);
    rd_copy(&in, out->copy, 2);
    struct rd inner = rd_sub(&in, 2);
    out->inner = rd_u16(&inner);
    TRY(rd_end(&inner));
    return rd_end(&in);
}

static void numbers_are_in_network_order(void **state)
{
    (void)state;
    struct fields f;
    CHECK_FAULT(fields_read(BYTES_ARRAY(record), &f), OK);
    assert_int_equal(f.u8, 0x01);
    assert_int_equal(f.u16, 0x0203);
    assert_int_equal(f.u24, 0x040506);
    assert_int_equal(f.u32, 0x0708090a);
    assert_true(f.u64 == UINT64_C(0x0b0c0d0e0f101112));
    check_bytes(f.name, BYTES("xyz"));
    assert_ptr_equal(f.name.at, record + 18);
    assert_memory_equal(f.copy, "cd", 2);
    assert_int_equal(f.inner, 0x2122);
}

// Each truncation lies in memory of its own size, so that a sanitizer sees a read beyond it.
static void every_truncation_is_a_fault(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof record; size++) {
        uint8_t *cut = malloc(size ? size : 1);
        if (size) memcpy(cut, record, size);
        struct fields f;
        CHECK_FAULT(fields_read(bytes_of(cut, size), &f), FAULT_TRUNCATED);
        free(cut);
    }
    struct fields f;
    CHECK_FAULT(fields_read(BYTES_NONE, &f), FAULT_TRUNCATED);
}

static void a_byte_too_many_is_a_fault(void **state)
{
    (void)state;
    uint8_t longer[sizeof record + 1] = {0};
    memcpy(longer, record, sizeof record);
    struct fields f;
    CHECK_FAULT(fields_read(BYTES_ARRAY(longer), &f), FAULT_TRAILING_BYTES);
}

static void after_a_failure_nothing_is_read(void **state)
{
    (void)state;
    struct rd in = rd_over(BYTES("\x11\x22\x33"));
    CHECK_FAULT(rd_so_far(&in), OK);
    assert_int_equal(rd_u32(&in), 0);
    CHECK_FAULT(rd_so_far(&in), FAULT_TRUNCATED);
    CHECK_FAULT(rd_end(&in), FAULT_TRUNCATED);
    assert_int_equal(in.left, 0);

    assert_int_equal(rd_u8(&in), 0);
    assert_int_equal(rd_u16(&in), 0);
    assert_int_equal(rd_u24(&in), 0);
    assert_true(rd_u64(&in) == 0);
    assert_null(rd_bytes(&in, 1).at);
    assert_int_equal(rd_bytes(&in, 0).size, 0);
    assert_int_equal(rd_rest(&in).size, 0);
    uint8_t copy[2] = {7, 7};
    rd_copy(&in, copy, 2);
    assert_memory_equal(copy, "\0\0", 2);
    struct rd inner = rd_sub(&in, 0);
    CHECK_FAULT(rd_end(&inner), FAULT_TRUNCATED);
    CHECK_FAULT(rd_end(&in), FAULT_TRUNCATED);
}

static void each_kind_of_read_latches(void **state)
{
    (void)state;
    for (int kind = 0; kind < 8; kind++) {
        struct rd in = rd_over(BYTES_NONE);
        uint8_t copy[1];
        struct rd inner;
        // clang-format off
        switch (kind) {
        case 0: rd_u8(&in); break;
        case 1: rd_u16(&in); break;
        case 2: rd_u24(&in); break;
        case 3: rd_u32(&in); break;
        case 4: rd_u64(&in); break;
        case 5: rd_skip(&in, 1); break;
        case 6: rd_copy(&in, copy, 1); break;
        case 7:
            inner = rd_sub(&in, 1);
            assert_true(inner.failed);
            break;
        }
        // clang-format on
        CHECK_FAULT(rd_end(&in), FAULT_TRUNCATED);
    }
}

static void huge_sizes_do_not_wrap(void **state)
{
    (void)state;
    static const size_t sizes[] = {4, SIZE_MAX, SIZE_MAX - 2, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct rd in = rd_over(BYTES("abc"));
        assert_int_equal(rd_bytes(&in, sizes[i]).size, 0);
        CHECK_FAULT(rd_so_far(&in), FAULT_TRUNCATED);
    }
}

static void nothing_can_be_read_from_nothing(void **state)
{
    (void)state;
    struct rd in = rd_over(BYTES_NONE);
    assert_int_equal(rd_bytes(&in, 0).size, 0);
    rd_skip(&in, 0);
    rd_copy(&in, NULL, 0);
    struct rd inner = rd_sub(&in, 0);
    CHECK_FAULT(rd_end(&inner), OK);
    assert_int_equal(rd_rest(&in).size, 0);
    CHECK_FAULT(rd_end(&in), OK);
}

static void the_rest_is_all_that_is_left(void **state)
{
    (void)state;
    struct rd in = rd_over(BYTES("abcd"));
    rd_u8(&in);
    check_bytes(rd_rest(&in), BYTES("bcd"));
    CHECK_FAULT(rd_end(&in), OK);
    assert_int_equal(rd_rest(&in).size, 0);
    CHECK_FAULT(rd_end(&in), OK);
}

static void an_inner_reader_ends_where_its_size_says(void **state)
{
    (void)state;
    struct rd in = rd_over(BYTES("abcd"));
    struct rd inner = rd_sub(&in, 2);
    assert_int_equal(rd_u24(&inner), 0);
    CHECK_FAULT(rd_end(&inner), FAULT_TRUNCATED);
    CHECK_FAULT(rd_so_far(&in), OK);
    check_bytes(rd_rest(&in), BYTES("cd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_in_network_order),
        cmocka_unit_test(every_truncation_is_a_fault),
        cmocka_unit_test(a_byte_too_many_is_a_fault),
        cmocka_unit_test(after_a_failure_nothing_is_read),
        cmocka_unit_test(each_kind_of_read_latches),
        cmocka_unit_test(huge_sizes_do_not_wrap),
        cmocka_unit_test(nothing_can_be_read_from_nothing),
        cmocka_unit_test(the_rest_is_all_that_is_left),
        cmocka_unit_test(an_inner_reader_ends_where_its_size_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
