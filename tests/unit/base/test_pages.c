// SPDX-License-Identifier: Apache-2.0
// Pages, and pieces of one size in them.
#include "base/mem.h"
#include "base/pages.h"
#include "base/rng.h"
#include "unit.h"
#include <sys/mman.h>

enum { PIECE = 1024, LINE = 64, COUNT = 5000 }; // more than two chunks

static void pages_are_zero_and_begin_where_large_ones_may(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 3 * (size_t)PAGES_WIDE; size += PAGES_WIDE - 1) {
        uint8_t *at = pages_new(size);
        assert_int_equal((uintptr_t)at % PAGES_WIDE, 0);
        for (size_t i = 0; i < size; i += 4096) assert_int_equal(at[i], 0);
        at[0] = at[size - 1] = 1;
        pages_widen(at, size);
        assert_int_equal(at[0], 1);
        assert_int_equal(at[size - 1], 1);
        pages_free(at, size);
    }
    pages_free(NULL, 0);
}

static size_t pages_there(void *at, size_t size)
{
    unsigned char there[4 * PAGES_WIDE / 4096] = {0};
    size_t count = 0;
    assert_int_equal(mincore(at, size, there), 0);
    for (size_t i = 0; i < sizeof there; i++) count += there[i] & 1;
    return count;
}

static void what_is_empty_takes_no_memory_when_it_is_widened(void **state)
{
    (void)state;
    uint8_t *at = pages_new(4 * (size_t)PAGES_WIDE);
    at[5] = at[2 * (size_t)PAGES_WIDE] = 1;
    pages_widen(at, 4 * (size_t)PAGES_WIDE);
    assert_int_equal(pages_there(at + PAGES_WIDE, PAGES_WIDE), 0);
    assert_int_equal(pages_there(at + 3 * (size_t)PAGES_WIDE, PAGES_WIDE), 0);
    assert_true(pages_there(at, PAGES_WIDE) > 0);
    assert_int_equal(at[5] + at[2 * (size_t)PAGES_WIDE], 2);
    pages_free(at, 4 * (size_t)PAGES_WIDE);
}

static void pieces_lie_on_lines_of_their_own(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 63, 64, 65, 1000, PIECE, 100000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct slab slab;
        slab_init(&slab, sizes[s]);
        uint8_t *first = slab_take(&slab), *second = slab_take(&slab);
        assert_int_equal((uintptr_t)first % LINE, 0);
        assert_int_equal((uintptr_t)second % LINE, 0);
        assert_true(second >= first + sizes[s] || first >= second + sizes[s]);
        slab_give(&slab, first);
        slab_give(&slab, second);
        slab_wipe(&slab);
    }
}

// Each piece has its own number at both ends, as long as it is taken.
static void piece_mark(uint8_t *piece, uint32_t number)
{
    memcpy(piece, &number, sizeof number);
    memcpy(piece + PIECE - sizeof number, &number, sizeof number);
}

static void piece_check(const uint8_t *piece, uint32_t number)
{
    assert_memory_equal(piece, &number, sizeof number);
    assert_memory_equal(piece + PIECE - sizeof number, &number, sizeof number);
}

static void pieces_come_and_go_in_any_order(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seed(&rng, 5);
    struct slab slab;
    slab_init(&slab, PIECE);
    uint8_t **pieces = mem_array(COUNT, sizeof *pieces);
    for (uint32_t step = 0; step < 20 * COUNT; step++) {
        uint32_t which = (uint32_t)rng_below(&rng.rng, COUNT);
        bool grows = step < 10 * COUNT;
        if (pieces[which]) {
            piece_check(pieces[which], which);
            if (grows && rng_below(&rng.rng, 4)) continue;
            slab_give(&slab, pieces[which]);
            pieces[which] = NULL;
        } else if (grows || rng_below(&rng.rng, 4) == 0) {
            pieces[which] = slab_take(&slab);
            piece_mark(pieces[which], which);
        }
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        if (!pieces[i]) continue;
        piece_check(pieces[i], i);
        slab_give(&slab, pieces[i]);
    }
    assert_true(slab.chunk_count <= 1);
    slab_wipe(&slab);
    free(pieces);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_zero_and_begin_where_large_ones_may),
        cmocka_unit_test(what_is_empty_takes_no_memory_when_it_is_widened),
        cmocka_unit_test(pieces_lie_on_lines_of_their_own),
        cmocka_unit_test(pieces_come_and_go_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
