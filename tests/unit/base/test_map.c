// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"
#include "base/rng.h"
#include "unit.h"

// The example of the SipHash paper (appendix A) and the empty input under the same key.
static void the_hash_is_siphash_2_4(void **state)
{
    (void)state;
    uint8_t in[15];
    for (uint8_t i = 0; i < sizeof in; i++) in[i] = i;
    struct map map;
    map_init(&map, UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908));
    assert_true(map_hash(&map, BYTES_ARRAY(in)) == UINT64_C(0xa129ca6149be45e5));
    assert_true(map_hash(&map, BYTES_NONE) == UINT64_C(0x726fdb47dd0e0e31));
}

static void the_hash_depends_on_every_bit_of_key_and_seed(void **state)
{
    (void)state;
    struct map map;
    for (size_t size = 1; size <= 17; size++) {
        uint8_t key[17] = {0};
        map_init(&map, 1, 2);
        uint64_t plain = map_hash(&map, bytes_of(key, size));
        for (size_t bit = 0; bit < size * 8; bit++) {
            key[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_true(map_hash(&map, bytes_of(key, size)) != plain);
            key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (unsigned bit = 0; bit < 128; bit++) {
            map_init(&map, 1, 2);
            map.seed[bit / 64] ^= UINT64_C(1) << bit % 64;
            assert_true(map_hash(&map, bytes_of(key, size)) != plain);
        }
    }
}

static void an_empty_map_holds_nothing(void **state)
{
    (void)state;
    struct map map;
    map_init(&map, 1, 2);
    size_t cursor = 0;
    assert_null(map_get(&map, BYTES("a")));
    assert_null(map_remove(&map, BYTES("a")));
    assert_null(map_next(&map, &cursor));
    map_wipe(&map);
    map_wipe(&map);
}

static void putting_again_replaces_and_returns_the_former(void **state)
{
    (void)state;
    struct map map;
    int one, two;
    map_init(&map, 1, 2);
    assert_null(map_put(&map, BYTES("a"), &one));
    assert_ptr_equal(map_put(&map, BYTES("a"), &two), &one);
    assert_int_equal(map.count, 1);
    assert_ptr_equal(map_get(&map, BYTES("a")), &two);
    assert_ptr_equal(map_remove(&map, BYTES("a")), &two);
    assert_null(map_get(&map, BYTES("a")));
    assert_null(map_remove(&map, BYTES("a")));
    assert_int_equal(map.count, 0);
    map_wipe(&map);
}

// A key is copied, differs from its prefixes, and may be of any size, also none.
static void keys_of_all_sizes_live_together(void **state)
{
    (void)state;
    struct map map;
    char key[100], values[100];
    memset(key, 'k', sizeof key);
    map_init(&map, 3, 4);
    for (size_t size = 0; size < sizeof key; size++)
        assert_null(map_put(&map, bytes_of(key, size), &values[size]));
    memset(key, 'x', sizeof key);
    assert_null(map_get(&map, bytes_of(key, 50)));
    memset(key, 'k', sizeof key);
    for (size_t size = 0; size < sizeof key; size++)
        assert_ptr_equal(map_get(&map, bytes_of(key, size)), &values[size]);
    for (size_t size = 0; size < sizeof key; size += 2)
        assert_ptr_equal(map_remove(&map, bytes_of(key, size)), &values[size]);
    for (size_t size = 0; size < sizeof key; size++)
        assert_ptr_equal(map_get(&map, bytes_of(key, size)), size % 2 ? &values[size] : NULL);
    map_wipe(&map);
}

static void put_nothing(void)
{
    struct map map;
    map_init(&map, 1, 2);
    map_put(&map, BYTES("a"), NULL);
}

static void a_value_is_never_null(void **state)
{
    (void)state;
    assert_true(aborts(put_nothing));
}

// The model is an array: key i is present when model[i] is not NULL.
enum { KEYS = 1500 };

struct model {
    struct map map;
    char *values[KEYS];
    size_t count;
    char cells[KEYS * 2];
};

static void model_check(const struct model *model)
{
    bool seen[KEYS] = {false};
    size_t cursor = 0, count = 0;
    assert_int_equal(model->map.count, model->count);
    for (const char *value; (value = map_next(&model->map, &cursor)); count++) {
        size_t key = (size_t)(value - model->cells) / 2;
        assert_ptr_equal(model->values[key], value);
        assert_false(seen[key]);
        seen[key] = true;
    }
    assert_int_equal(count, model->count);
    for (uint32_t key = 0; key < KEYS; key++)
        assert_ptr_equal(map_get(&model->map, map_key_u32(&key)), model->values[key]);
    // Without an empty slot a search for an absent key would never end.
    assert_true(model->map.room == 0 || model->map.count + model->map.removed < model->map.room);
}

static void model_step(struct model *model, struct rng *rng, unsigned puts_of_eight)
{
    uint32_t key = (uint32_t)rng_below(rng, KEYS);
    char *former = model->values[key];
    if (rng_below(rng, 8) < puts_of_eight) {
        char *value = &model->cells[key * 2 + rng_below(rng, 2)];
        assert_ptr_equal(map_put(&model->map, map_key_u32(&key), value), former);
        model->values[key] = value;
        model->count += !former;
    } else {
        assert_ptr_equal(map_remove(&model->map, map_key_u32(&key)), former);
        model->values[key] = NULL;
        model->count -= former != NULL;
    }
}

// A mark stands only where a key may be behind it, so none is left when there are no keys.
static void model_empty(struct model *model)
{
    for (uint32_t key = 0; key < KEYS; key++)
        assert_ptr_equal(map_remove(&model->map, map_key_u32(&key)), model->values[key]);
    assert_int_equal(model->map.count, 0);
    assert_int_equal(model->map.removed, 0);
}

static void thousands_of_random_changes_agree_with_an_array(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct rng_seeded seeded;
        static struct model model;
        print_message("seed %u\n", (unsigned)seed);
        rng_seed(&seeded, seed);
        memset(&model, 0, sizeof model);
        map_init(&model.map, rng_u64(&seeded.rng), rng_u64(&seeded.rng));
        for (int phase = 0; phase < 12; phase++) {
            unsigned puts_of_eight = (unsigned)rng_below(&seeded.rng, 9);
            for (int i = 0; i < 2000; i++) model_step(&model, &seeded.rng, puts_of_eight);
            model_check(&model);
        }
        model_empty(&model);
        map_wipe(&model.map);
    }
}

// What a flood of short-lived entries does: the room must follow the count, not the number of
// changes.
static void a_busy_small_map_stays_small(void **state)
{
    (void)state;
    struct map map;
    int value;
    map_init(&map, 5, 6);
    for (uint64_t i = 0; i < 100000; i++) {
        map_put(&map, map_key_u64(&i), &value);
        uint64_t old = i - 4;
        if (i >= 4) assert_ptr_equal(map_remove(&map, map_key_u64(&old)), &value);
        assert_in_range(map.room, 0, 16);
    }
    map_wipe(&map);
}

static void a_map_shrinks_after_a_flood(void **state)
{
    (void)state;
    struct map map;
    int value;
    map_init(&map, 5, 6);
    for (uint64_t i = 0; i < 10000; i++) map_put(&map, map_key_u64(&i), &value);
    size_t most = map.room;
    for (uint64_t i = 0; i < 10000; i++) map_remove(&map, map_key_u64(&i));
    assert_int_equal(map.count, 0);
    assert_int_equal(map.room, most);
    map_put(&map, BYTES("one more"), &value);
    assert_in_range(map.room, 1, 16);
    map_wipe(&map);
}

static void the_current_element_may_be_removed_while_walking(void **state)
{
    (void)state;
    struct map map;
    uint64_t keys[500];
    map_init(&map, 7, 8);
    for (uint64_t i = 0; i < COUNT(keys); i++) {
        keys[i] = i;
        map_put(&map, map_key_u64(&keys[i]), &keys[i]);
    }
    size_t cursor = 0, walked = 0;
    for (uint64_t *key; (key = map_next(&map, &cursor)); walked++)
        if (*key % 3) assert_ptr_equal(map_remove(&map, map_key_u64(key)), key);
    assert_int_equal(walked, COUNT(keys));
    for (uint64_t i = 0; i < COUNT(keys); i++)
        assert_ptr_equal(map_get(&map, map_key_u64(&i)), i % 3 ? NULL : &keys[i]);
    map_wipe(&map);
}

static void a_wiped_map_keeps_its_seed_and_can_be_used_again(void **state)
{
    (void)state;
    struct map map;
    int value;
    map_init(&map, 9, 10);
    map_put(&map, BYTES("a key that is longer than any address"), &value);
    uint64_t hash = map_hash(&map, BYTES("a"));
    map_wipe(&map);
    assert_null(map.slots);
    assert_int_equal(map.count, 0);
    assert_true(map_hash(&map, BYTES("a")) == hash);
    assert_null(map_put(&map, BYTES("a"), &value));
    assert_ptr_equal(map_get(&map, BYTES("a")), &value);
    map_wipe(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_siphash_2_4),
        cmocka_unit_test(the_hash_depends_on_every_bit_of_key_and_seed),
        cmocka_unit_test(an_empty_map_holds_nothing),
        cmocka_unit_test(putting_again_replaces_and_returns_the_former),
        cmocka_unit_test(keys_of_all_sizes_live_together),
        cmocka_unit_test(a_value_is_never_null),
        cmocka_unit_test(thousands_of_random_changes_agree_with_an_array),
        cmocka_unit_test(a_busy_small_map_stays_small),
        cmocka_unit_test(a_map_shrinks_after_a_flood),
        cmocka_unit_test(the_current_element_may_be_removed_while_walking),
        cmocka_unit_test(a_wiped_map_keeps_its_seed_and_can_be_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
