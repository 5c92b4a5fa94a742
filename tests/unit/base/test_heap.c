// SPDX-License-Identifier: Apache-2.0
#include "base/heap.h"
#include "base/rng.h"
#include "unit.h"

enum { ITEMS = 300 };

// The model is the items themselves: the least deadline of those that are not NSEC_NEVER.
static nsec least(const struct heap_item items[ITEMS])
{
    nsec at = NSEC_NEVER;
    for (size_t i = 0; i < ITEMS; i++)
        if (items[i].at < at) at = items[i].at;
    return at;
}

static void check_shape(const struct heap *heap, const struct heap_item items[ITEMS])
{
    size_t inside = 0;
    for (size_t place = 1; place <= heap->count; place++) {
        assert_int_equal(heap->items[place - 1]->place, place);
        if (place > 1) assert_true(heap->items[place / 2 - 1]->at <= heap->items[place - 1]->at);
    }
    for (size_t i = 0; i < ITEMS; i++) {
        inside += items[i].place != 0;
        assert_int_equal(items[i].place != 0, items[i].at != NSEC_NEVER);
    }
    assert_int_equal(inside, heap->count);
}

static void random_changes_agree_with_a_search(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct rng_seeded seeded;
        struct heap heap = {0};
        struct heap_item items[ITEMS];
        print_message("seed %u\n", (unsigned)seed);
        rng_seed(&seeded, seed);
        for (size_t i = 0; i < ITEMS; i++) items[i] = (struct heap_item){.at = NSEC_NEVER};
        for (int step = 0; step < 6000; step++) {
            struct heap_item *item = &items[rng_below(&seeded.rng, ITEMS)];
            bool remove = rng_below(&seeded.rng, 1 + seed) == 0;
            nsec at = remove ? NSEC_NEVER : (nsec)rng_below(&seeded.rng, 1000) - 500;
            heap_set(&heap, item, at);
            assert_true(item->at == at);
            const struct heap_item *first = heap_first(&heap);
            assert_true((first ? first->at : NSEC_NEVER) == least(items));
            if (step % 50 == 0) check_shape(&heap, items);
        }
        check_shape(&heap, items);
        heap_wipe(&heap);
    }
}

static void taking_the_first_again_and_again_sorts(void **state)
{
    (void)state;
    struct rng_seeded seeded;
    struct heap heap = {0};
    struct heap_item items[ITEMS] = {{0}};
    rng_seed(&seeded, 3);
    for (size_t i = 0; i < ITEMS; i++)
        heap_set(&heap, &items[i], (nsec)rng_below(&seeded.rng, 100));
    nsec last = 0;
    for (size_t i = 0; i < ITEMS; i++) {
        struct heap_item *first = heap_first(&heap);
        assert_non_null(first);
        assert_true(first->at >= last);
        last = first->at;
        heap_set(&heap, first, NSEC_NEVER);
        assert_int_equal(first->place, 0);
    }
    assert_null(heap_first(&heap));
    heap_wipe(&heap);
}

static void an_item_outside_can_be_removed_without_harm(void **state)
{
    (void)state;
    struct heap heap = {0};
    struct heap_item item = {0};
    assert_null(heap_first(&heap));
    heap_set(&heap, &item, NSEC_NEVER);
    assert_true(item.at == NSEC_NEVER);
    assert_null(heap_first(&heap));
    heap_set(&heap, &item, INT64_MIN);
    assert_ptr_equal(heap_first(&heap), &item);
    heap_set(&heap, &item, NSEC_NEVER);
    heap_set(&heap, &item, NSEC_NEVER);
    assert_null(heap_first(&heap));
    heap_wipe(&heap);
    heap_wipe(&heap);
}

static void use_an_item_in_two_heaps(void)
{
    struct heap a = {0}, b = {0};
    struct heap_item item = {0}, other = {0};
    heap_set(&b, &other, 1);
    heap_set(&a, &item, 1);
    heap_set(&b, &item, 2);
}

static void an_item_is_in_one_heap_only(void **state)
{
    (void)state;
    assert_true(aborts(use_an_item_in_two_heaps));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_agree_with_a_search),
        cmocka_unit_test(taking_the_first_again_and_again_sorts),
        cmocka_unit_test(an_item_outside_can_be_removed_without_harm),
        cmocka_unit_test(an_item_is_in_one_heap_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
