// SPDX-License-Identifier: Apache-2.0
#include "unit.h"

struct pair_case {
    struct bytes a, b;
    int order; // the sign of bytes_compare(a, b)
};

static const struct pair_case pairs[] = {
    {{NULL, 0}, {NULL, 0}, 0},
    {{NULL, 0}, {(const uint8_t *)"", 0}, 0},
    {{NULL, 0}, {(const uint8_t *)"\0", 1}, -1},
    {{(const uint8_t *)"a", 1}, {(const uint8_t *)"a", 1}, 0},
    {{(const uint8_t *)"a", 1}, {(const uint8_t *)"b", 1}, -1},
    {{(const uint8_t *)"ab", 2}, {(const uint8_t *)"a", 1}, 1},
    {{(const uint8_t *)"ab", 2}, {(const uint8_t *)"b", 1}, -1},
    {{(const uint8_t *)"\x80", 1}, {(const uint8_t *)"\x7f", 1}, 1},
    {{(const uint8_t *)"a\0b", 3}, {(const uint8_t *)"a\0c", 3}, -1},
};

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void order_and_equality_agree_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        const struct pair_case *p = &pairs[i];
        assert_int_equal(sign(bytes_compare(p->a, p->b)), p->order);
        assert_int_equal(sign(bytes_compare(p->b, p->a)), -p->order);
        assert_int_equal(bytes_equal(p->a, p->b), p->order == 0);
        assert_int_equal(bytes_equal_secret(p->a, p->b), p->order == 0);
        assert_int_equal(bytes_equal_secret(p->b, p->a), p->order == 0);
    }
}

static void secret_comparison_sees_every_bit(void **state)
{
    (void)state;
    uint8_t a[37], b[37];
    for (size_t i = 0; i < sizeof a; i++) a[i] = b[i] = (uint8_t)(i * 7);
    for (size_t bit = 0; bit < sizeof a * 8; bit++) {
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(bytes_equal_secret(BYTES_ARRAY(a), BYTES_ARRAY(b)));
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(bytes_equal_secret(BYTES_ARRAY(a), BYTES_ARRAY(b)));
}

static void views_have_the_size_of_what_they_show(void **state)
{
    (void)state;
    uint16_t array[3] = {0};
    assert_int_equal(BYTES("abc").size, 3);
    assert_int_equal(BYTES_ARRAY(array).size, 6);
    assert_int_equal(BYTES_NONE.size, 0);
    assert_int_equal(bytes_of_text("four").size, 4);
    assert_int_equal(bytes_of_text(NULL).size, 0);
}

static void hexadecimal_stops_at_whole_bytes(void **state)
{
    static const struct {
        size_t room;
        const char *text;
    } cases[] = {{1, ""},     {2, ""},     {3, "00"},     {4, "00"},
                 {5, "009f"}, {6, "009f"}, {7, "009fff"}, {9, "009fff"}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[10];
        memset(out, '#', sizeof out);
        assert_ptr_equal(bytes_hex(BYTES("\x00\x9f\xff"), out, cases[i].room), out);
        assert_string_equal(out, cases[i].text);
        for (size_t j = cases[i].room; j < sizeof out; j++) assert_int_equal(out[j], '#');
    }
    char untouched = '#';
    bytes_hex(BYTES("\x01"), &untouched, 0);
    assert_int_equal(untouched, '#');
    char empty[1] = {'#'};
    assert_string_equal(bytes_hex(BYTES_NONE, empty, sizeof empty), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_equality_agree_both_ways),
        cmocka_unit_test(secret_comparison_sees_every_bit),
        cmocka_unit_test(views_have_the_size_of_what_they_show),
        cmocka_unit_test(hexadecimal_stops_at_whole_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
