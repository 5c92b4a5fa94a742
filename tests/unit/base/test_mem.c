// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"
#include "unit.h"
#include <stdalign.h>

static bool is_zero(const void *at, size_t size)
{
    const uint8_t *bytes = at;
    for (size_t i = 0; i < size; i++)
        if (bytes[i]) return false;
    return true;
}

static void new_memory_is_zero(void **state)
{
    (void)state;
    AUTOFREE_MEM void *one = mem_new(1000);
    AUTOFREE_MEM void *many = mem_array(33, 7);
    AUTOFREE_MEM void *none = mem_new(0);
    assert_true(is_zero(one, 1000));
    assert_true(is_zero(many, 33 * 7));
    assert_non_null(none);
}

static void growing_keeps_what_was_there(void **state)
{
    (void)state;
    uint32_t *at = mem_grow(NULL, 4, sizeof *at);
    for (uint32_t i = 0; i < 4; i++) at[i] = i + 1;
    at = mem_grow(at, 4000, sizeof *at);
    for (uint32_t i = 0; i < 4; i++) assert_int_equal(at[i], i + 1);
    free(at);
}

static void texts_and_bytes_are_copied(void **state)
{
    (void)state;
    char text[] = "abc";
    AUTOFREE_MEM char *a = mem_text(text);
    AUTOFREE_MEM char *b = mem_text_of(BYTES("de\0f"));
    AUTOFREE_MEM char *c = mem_printf("%s-%d", text, 5);
    AUTOFREE_MEM char *empty = mem_text_of(BYTES_NONE);
    struct bytes copy = mem_copy(BYTES_ARRAY(text)), nothing = mem_copy(BYTES_NONE);
    text[0] = 'X';
    assert_string_equal(a, "abc");
    assert_memory_equal(b, "de\0f", 5);
    assert_string_equal(c, "abc-5");
    assert_string_equal(empty, "");
    assert_null(mem_text(NULL));
    check_bytes(copy, BYTES("abc\0"));
    assert_int_equal(nothing.size, 0);
    mem_drop(&copy);
    assert_null(copy.at);
    assert_int_equal(copy.size, 0);
    mem_drop(&copy);
    mem_drop(&nothing);
}

static volatile size_t half = SIZE_MAX / 2;

static void array_overflows(void)
{
    free(mem_array(half, 3));
}
static void grow_overflows(void)
{
    free(mem_grow(NULL, 3, half));
}

static void arena_array_overflows(void)
{
    struct arena arena = {0};
    arena_array(&arena, half, 3);
}

static void arena_size_overflows(void)
{
    struct arena arena = {0};
    arena_new(&arena, half * 2 + 1);
}

static void arena_limit_is_passed(void)
{
    struct arena arena = {.limit = 64};
    arena_new(&arena, 48);
    arena_new(&arena, 17);
}

static void impossible_sizes_end_the_process(void **state)
{
    (void)state;
    assert_true(aborts(array_overflows));
    assert_true(aborts(grow_overflows));
    assert_true(aborts(arena_array_overflows));
    assert_true(aborts(arena_size_overflows));
    assert_true(aborts(arena_limit_is_passed));
}

static void a_buffer_grows_and_keeps_its_bytes(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf buf = BUF(100000);
    for (int i = 0; i < 10000; i++) {
        uint8_t pair[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        buf_add(&buf, BYTES_ARRAY(pair));
    }
    assert_false(buf.failed);
    struct bytes all = buf_bytes(&buf);
    assert_int_equal(all.size, 20000);
    for (int i = 0; i < 10000; i++) assert_int_equal(all.at[2 * i] << 8 | all.at[2 * i + 1], i);
}

static void a_buffer_is_a_text_when_asked(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf buf = BUF(100);
    assert_string_equal(buf_text(&buf), "");
    buf_add_text(&buf, "one");
    buf_printf(&buf, " %s %d", "two", 3);
    assert_string_equal(buf_text(&buf), "one two 3");
    assert_int_equal(buf.size, 9);
    buf_add_text(&buf, "!");
    assert_string_equal(buf_text(&buf), "one two 3!");
    buf_clear(&buf);
    assert_string_equal(buf_text(&buf), "");
}

static void a_buffer_latches_at_its_maximum(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf buf = BUF(5);
    buf_add_text(&buf, "12345");
    assert_false(buf.failed);
    buf_add(&buf, BYTES_NONE);
    assert_false(buf.failed);
    buf_add_text(&buf, "6");
    assert_true(buf.failed);
    assert_string_equal(buf_text(&buf), "12345");
    buf_add(&buf, BYTES_NONE);
    buf_printf(&buf, "%d", 1);
    assert_null(buf_space(&buf, 0));
    assert_int_equal(buf.size, 5);
    buf_clear(&buf);
    assert_false(buf.failed);
    buf_printf(&buf, "%s", "abcde");
    assert_string_equal(buf_text(&buf), "abcde");
    buf_printf(&buf, "%s", "f");
    assert_true(buf.failed);
    assert_string_equal(buf_text(&buf), "abcde");
}

static void a_buffer_never_wraps(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf buf = BUF(10);
    buf_add_text(&buf, "ab");
    assert_null(buf_space(&buf, SIZE_MAX));
    assert_true(buf.failed);
    assert_int_equal(buf.size, 2);
    AUTOFREE_BUF struct buf none = BUF(0);
    buf_add(&none, BYTES_NONE);
    assert_false(none.failed);
    buf_add_text(&none, "x");
    assert_true(none.failed);
    assert_string_equal(buf_text(&none), "");
}

static void a_hole_is_zero_even_in_used_memory(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf buf = BUF(100);
    buf_add_text(&buf, "used before");
    buf_clear(&buf);
    uint8_t *hole = buf_space(&buf, 8);
    assert_non_null(hole);
    assert_true(is_zero(hole, 8));
    assert_int_equal(buf.size, 8);
}

static void a_freed_buffer_can_be_used_again(void **state)
{
    (void)state;
    struct buf buf = BUF(10);
    buf_add_text(&buf, "abc");
    buf_free(&buf);
    assert_null(buf.at);
    assert_int_equal(buf.size, 0);
    assert_int_equal(buf.max, 10);
    buf_add_text(&buf, "de");
    assert_string_equal(buf_text(&buf), "de");
    buf_free(&buf);
    buf_free(&buf);
}

// Sizes around those of a block; every piece keeps its pattern while others are made and written.
static void pieces_of_an_arena_are_zero_aligned_and_apart(void **state)
{
    static const size_t sizes[] = {0,    1,    15,   16,   17,    100, 2047, 2048, 2049,
                                   4000, 8191, 8192, 8193, 65536, 3,   5000, 24};
    (void)state;
    struct arena arena = {0};
    for (int round = 0; round < 3; round++) {
        uint8_t *pieces[COUNT(sizes)];
        for (size_t i = 0; i < COUNT(sizes); i++) {
            pieces[i] = arena_new(&arena, sizes[i]);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
            assert_true(is_zero(pieces[i], sizes[i]));
            memset(pieces[i], (int)i + 1, sizes[i]);
        }
        for (size_t i = 0; i < COUNT(sizes); i++)
            for (size_t j = 0; j < sizes[i]; j++) assert_int_equal(pieces[i][j], i + 1);
        arena_reset(&arena);
        assert_int_equal(arena.used, 0);
    }
    arena_free(&arena);
    assert_null(arena.blocks);
}

static void an_arena_copies_texts_and_bytes(void **state)
{
    (void)state;
    struct arena arena = {0};
    check_bytes(arena_copy(&arena, BYTES("a\0b")), BYTES("a\0b"));
    assert_int_equal(arena_copy(&arena, BYTES_NONE).size, 0);
    assert_string_equal(arena_text(&arena, BYTES("text")), "text");
    assert_string_equal(arena_text(&arena, BYTES_NONE), "");
    assert_string_equal(arena_printf(&arena, "%s %d", "number", 7), "number 7");
    uint16_t *array = arena_array(&arena, 10, sizeof *array);
    assert_true(is_zero(array, 10 * sizeof *array));
    arena_free(&arena);
    arena_free(&arena);
}

static void an_arena_may_be_used_up_to_its_limit(void **state)
{
    (void)state;
    struct arena arena = {.limit = 64};
    for (int round = 0; round < 2; round++) {
        arena_new(&arena, 48);
        arena_new(&arena, 16);
        assert_int_equal(arena.used, 64);
        arena_reset(&arena);
    }
    arena_free(&arena);
}

static void a_reset_arena_serves_from_the_block_it_kept(void **state)
{
    (void)state;
    struct arena arena = {0};
    arena_new(&arena, 10);
    arena_new(&arena, 100000);
    arena_reset(&arena);
    assert_non_null(arena.blocks);
    struct arena_block *kept = arena.blocks;
    arena_new(&arena, 8192);
    assert_ptr_equal(arena.blocks, kept);
    arena_free(&arena);

    arena_new(&arena, 100000);
    arena_reset(&arena);
    assert_null(arena.blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zero),
        cmocka_unit_test(growing_keeps_what_was_there),
        cmocka_unit_test(texts_and_bytes_are_copied),
        cmocka_unit_test(impossible_sizes_end_the_process),
        cmocka_unit_test(a_buffer_grows_and_keeps_its_bytes),
        cmocka_unit_test(a_buffer_is_a_text_when_asked),
        cmocka_unit_test(a_buffer_latches_at_its_maximum),
        cmocka_unit_test(a_buffer_never_wraps),
        cmocka_unit_test(a_hole_is_zero_even_in_used_memory),
        cmocka_unit_test(a_freed_buffer_can_be_used_again),
        cmocka_unit_test(pieces_of_an_arena_are_zero_aligned_and_apart),
        cmocka_unit_test(an_arena_copies_texts_and_bytes),
        cmocka_unit_test(an_arena_may_be_used_up_to_its_limit),
        cmocka_unit_test(a_reset_arena_serves_from_the_block_it_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
