// SPDX-License-Identifier: Apache-2.0
#include "base/rd.h"
#include "base/wr.h"
#include "unit.h"

static const char expected[] =
    "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12"
    "bytes\0\0\0text-17hole"
    "\x00\x06\x61\x62\x00\x00\x00\x03\x63\x64\x65";

static void everything_write(struct wr *out)
{
    wr_u8(out, 0xff);
    wr_u16(out, 0x0203);
    wr_u24(out, 0x040506);
    wr_u32(out, 0x0708090a);
    wr_u64(out, UINT64_C(0x0b0c0d0e0f101112));
    wr_bytes(out, BYTES("bytes"));
    wr_zeros(out, 3);
    wr_text(out, "text");
    wr_printf(out, "-%d", 17);
    uint8_t *hole = wr_space(out, 4);
    if (hole) memcpy(hole, "hole", 4);
    size_t mark = wr_mark_u16(out);
    wr_text(out, "ab");
    wr_fill_u16(out, mark, 4);
    mark = wr_mark_u32(out);
    wr_text(out, "cde");
    wr_fill_u32(out, mark, 0);
    wr_patch_u8(out, 0, 0x01);
}

static void every_kind_of_write_is_in_network_order(void **state)
{
    (void)state;
    uint8_t space[128];
    struct wr out = wr_over(space, sizeof space);
    everything_write(&out);
    CHECK_FAULT(wr_end(&out), OK);
    check_bytes(wr_done(&out), BYTES(expected));
}

// Each limit is that of its own allocation, so that a sanitizer sees a write beyond it.
static void every_smaller_limit_latches(void **state)
{
    (void)state;
    for (size_t limit = 0; limit < sizeof expected - 1; limit++) {
        uint8_t *space = malloc(limit ? limit : 1);
        struct wr out = wr_over(space, limit);
        everything_write(&out);
        CHECK_FAULT(wr_end(&out), FAULT_NO_ROOM);
        assert_int_equal(wr_done(&out).size, 0);
        free(space);
    }
    uint8_t *space = malloc(sizeof expected - 1);
    struct wr out = wr_over(space, sizeof expected - 1);
    everything_write(&out);
    CHECK_FAULT(wr_end(&out), OK);
    check_bytes(wr_done(&out), BYTES(expected));
    free(space);
}

static void after_a_failure_nothing_is_written(void **state)
{
    (void)state;
    uint8_t space[4] = {9, 9, 9, 9};
    struct wr out = wr_over(space, 3);
    wr_u8(&out, 1);
    wr_u32(&out, 0);
    assert_true(out.failed);
    wr_u8(&out, 2);
    wr_patch_u8(&out, 0, 7);
    assert_null(wr_space(&out, 1));
    assert_null(wr_space(&out, 0));
    wr_fill_u16(&out, wr_mark_u16(&out), 0);
    wr_fill_u32(&out, wr_mark_u32(&out), 0);
    assert_memory_equal(space, "\x01\x09\x09\x09", 4);
    assert_int_equal(out.size, 1);
    CHECK_FAULT(wr_end(&out), FAULT_NO_ROOM);
}

static void huge_sizes_do_not_wrap(void **state)
{
    (void)state;
    uint8_t space[4];
    static const size_t sizes[] = {4, SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct wr out = wr_over(space, sizeof space);
        wr_u8(&out, 1);
        assert_null(wr_space(&out, sizes[i]));
        CHECK_FAULT(wr_end(&out), FAULT_NO_ROOM);
    }
}

static void a_length_too_large_for_its_field_latches(void **state)
{
    static const struct {
        size_t after, extra;
        bool fits;
    } cases[] = {{65535, 0, true}, {65531, 4, true},  {65532, 4, false},   {65536, 0, false},
                 {0, 65535, true}, {0, 65536, false}, {2, SIZE_MAX, false}};
    (void)state;
    static uint8_t space[70000];
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct wr out = wr_over(space, sizeof space);
        size_t mark = wr_mark_u16(&out);
        wr_zeros(&out, cases[i].after);
        wr_fill_u16(&out, mark, cases[i].extra);
        CHECK_FAULT(wr_end(&out), cases[i].fits ? OK : FAULT_NO_ROOM);
        struct rd in = rd_over(wr_done(&out));
        if (cases[i].fits) assert_int_equal(rd_u16(&in), cases[i].after + cases[i].extra);
    }
}

static void an_element_of_der_has_the_shortest_length(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        const char *head;
        size_t head_size;
    } rows[] = {{0, "\x30\x00", 2},         {127, "\x30\x7f", 2},
                {128, "\x30\x81\x80", 3},    {255, "\x30\x81\xff", 3},
                {256, "\x30\x82\x01\x00", 4}, {65535, "\x30\x82\xff\xff", 4}};
    static uint8_t content[65536], space[65600];
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct wr out = wr_over(space, sizeof space);
        wr_der(&out, 0x30, bytes_of(content, rows[i].size));
        assert_int_equal(wr_end(&out), OK);
        assert_int_equal(out.size, rows[i].head_size + rows[i].size);
        assert_memory_equal(space, rows[i].head, rows[i].head_size);
    }
    struct wr out = wr_over(space, sizeof space);
    wr_der(&out, 0x30, bytes_of(content, sizeof content));
    assert_int_equal(wr_end(&out), FAULT_NO_ROOM);
}

static void marks_nest(void **state)
{
    (void)state;
    uint8_t space[16];
    struct wr out = wr_over(space, sizeof space);
    size_t outer = wr_mark_u16(&out), inner = wr_mark_u16(&out);
    wr_u8(&out, 7);
    wr_fill_u16(&out, inner, 2);
    wr_fill_u16(&out, outer, 2);
    check_bytes(wr_done(&out), BYTES("\x00\x05\x00\x03\x07"));
}

static void a_printed_text_may_fill_the_last_byte(void **state)
{
    (void)state;
    uint8_t space[6] = {0, 0, 0, 0, 0, 9};
    struct wr out = wr_over(space, 5);
    wr_printf(&out, "%s%d", "abc", 12);
    check_bytes(wr_done(&out), BYTES("abc12"));
    assert_int_equal(space[5], 9);
    wr_printf(&out, "%s", "");
    CHECK_FAULT(wr_end(&out), OK);
    wr_printf(&out, "x");
    CHECK_FAULT(wr_end(&out), FAULT_NO_ROOM);
}

static void nothing_can_be_written_into_nothing(void **state)
{
    (void)state;
    struct wr out = wr_over(NULL, 0);
    wr_bytes(&out, BYTES_NONE);
    wr_zeros(&out, 0);
    wr_text(&out, "");
    CHECK_FAULT(wr_end(&out), OK);
    assert_int_equal(wr_done(&out).size, 0);
    wr_u8(&out, 0);
    CHECK_FAULT(wr_end(&out), FAULT_NO_ROOM);
}

static void patch_beyond_the_written(void)
{
    uint8_t space[2] = {0};
    struct wr out = wr_over(space, sizeof space);
    wr_u8(&out, 1);
    wr_patch_u8(&out, 1, 1);
}

static void write_25_bits_in_24(void)
{
    uint8_t space[4];
    struct wr out = wr_over(space, sizeof space);
    wr_u24(&out, 1u << 24);
}

static void fill_a_mark_that_is_none(void)
{
    uint8_t space[4] = {0};
    struct wr out = wr_over(space, sizeof space);
    wr_u8(&out, 1);
    wr_fill_u16(&out, 0, 0);
}

static void our_own_mistakes_end_the_process(void **state)
{
    (void)state;
    assert_true(aborts(patch_beyond_the_written));
    assert_true(aborts(write_25_bits_in_24));
    assert_true(aborts(fill_a_mark_that_is_none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_write_is_in_network_order),
        cmocka_unit_test(every_smaller_limit_latches),
        cmocka_unit_test(after_a_failure_nothing_is_written),
        cmocka_unit_test(huge_sizes_do_not_wrap),
        cmocka_unit_test(a_length_too_large_for_its_field_latches),
        cmocka_unit_test(an_element_of_der_has_the_shortest_length),
        cmocka_unit_test(marks_nest),
        cmocka_unit_test(a_printed_text_may_fill_the_last_byte),
        cmocka_unit_test(nothing_can_be_written_into_nothing),
        cmocka_unit_test(our_own_mistakes_end_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
