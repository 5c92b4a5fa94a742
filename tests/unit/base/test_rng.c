// SPDX-License-Identifier: Apache-2.0
#include "base/rng.h"
#include "unit.h"

// The state 1, 2, 3, 4 and what follows from it can be worked out by hand from the generator's
// definition.
static void the_seeded_source_is_xoshiro256(void **state)
{
    (void)state;
    struct rng_seeded seeded;
    rng_seed(&seeded, 0);
    for (uint64_t i = 0; i < 4; i++) seeded.state[i] = i + 1;
    assert_true(rng_u64(&seeded.rng) == 11520);
    assert_true(rng_u64(&seeded.rng) == 0);
    assert_true(rng_u64(&seeded.rng) == UINT64_C(1509978240));
    assert_true(rng_u64(&seeded.rng) == UINT64_C(1215971899390074240));
}

static void the_same_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    struct rng_seeded a, b, c;
    uint8_t x[1001], y[1001], z[1001];
    rng_seed(&a, 42);
    rng_seed(&b, 42);
    rng_seed(&c, 43);
    rng_fill(&a.rng, x, sizeof x);
    rng_fill(&b.rng, y, sizeof y);
    rng_fill(&c.rng, z, sizeof z);
    assert_memory_equal(x, y, sizeof x);
    assert_memory_not_equal(x, z, sizeof x);
    rng_fill(&a.rng, NULL, 0);
    assert_true(rng_u64(&a.rng) == rng_u64(&b.rng));
}

static void all_bytes_are_filled_and_none_beyond(void **state)
{
    (void)state;
    struct rng_seeded seeded;
    rng_seed(&seeded, 7);
    for (size_t size = 0; size <= 33; size++) {
        uint8_t seen[40] = {0};
        for (int round = 0; round < 20; round++) {
            uint8_t at[40] = {0};
            rng_fill(&seeded.rng, at, size);
            for (size_t i = 0; i < sizeof at; i++) seen[i] |= at[i];
        }
        for (size_t i = 0; i < sizeof seen; i++) assert_int_equal(seen[i] != 0, i < size);
    }
}

static void below_stays_below_and_reaches_everything(void **state)
{
    (void)state;
    struct rng_seeded seeded;
    rng_seed(&seeded, 1);
    for (uint64_t limit = 1; limit <= 20; limit++) {
        unsigned counts[20] = {0};
        for (int i = 0; i < 20000; i++) {
            uint64_t value = rng_below(&seeded.rng, limit);
            assert_true(value < limit);
            counts[value]++;
        }
        for (uint64_t i = 0; i < limit; i++)
            assert_in_range(counts[i], 20000 / limit * 7 / 10, 20000 / limit * 13 / 10);
    }
    for (int i = 0; i < 1000; i++) assert_true(rng_below(&seeded.rng, UINT64_MAX) < UINT64_MAX);
}

// A source that counts: only its first values lie in the part that is drawn again.
static void count_up(struct rng *rng, void *out, size_t size)
{
    struct rng_seeded *counter = (struct rng_seeded *)(void *)rng;
    uint8_t *at = out;
    for (size_t i = 0; i < size; i++) at[i] = i < 8 ? (uint8_t)(counter->state[0] >> (8 * i)) : 0;
    counter->state[0]++;
}

static void below_draws_again_where_values_would_be_uneven(void **state)
{
    (void)state;
    struct rng_seeded counter = {.rng.fill = count_up};
    // 2^64 mod 10 is 6: 0 to 5 are drawn again.
    assert_int_equal(rng_below(&counter.rng, 10), 6);
    assert_int_equal(counter.state[0], 7);
    counter.state[0] = 0;
    assert_int_equal(rng_below(&counter.rng, 16), 0);
    assert_int_equal(counter.state[0], 1);
}

static void numbers_are_little_endian_on_every_machine(void **state)
{
    (void)state;
    struct rng_seeded counter = {.rng.fill = count_up, .state = {UINT64_C(0x0102030405060708)}};
    assert_true(rng_u64(&counter.rng) == UINT64_C(0x0102030405060708));
    assert_int_equal(rng_u32(&counter.rng), 0x05060709);
}

static void below_nothing(void)
{
    struct rng_seeded seeded;
    rng_seed(&seeded, 1);
    rng_below(&seeded.rng, 0);
}

static void there_is_nothing_below_zero(void **state)
{
    (void)state;
    assert_true(aborts(below_nothing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seeded_source_is_xoshiro256),
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(all_bytes_are_filled_and_none_beyond),
        cmocka_unit_test(below_stays_below_and_reaches_everything),
        cmocka_unit_test(below_draws_again_where_values_would_be_uneven),
        cmocka_unit_test(numbers_are_little_endian_on_every_machine),
        cmocka_unit_test(there_is_nothing_below_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
