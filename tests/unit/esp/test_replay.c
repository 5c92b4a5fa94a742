// SPDX-License-Identifier: Apache-2.0
// RFC 4303 3.4.3 test: the window agrees with a model that remembers every number. RFC 4303 A2.2
// test: the guessed upper half agrees with the RFC's pseudo-code, and across the wrap of the lower
// half.
#include "rig.h"

// The model: a set of numbers, and the highest.
struct model {
    uint64_t base, top;
    uint32_t window;
    uint8_t *seen; // for numbers from base on
};

static enum fault model_check(const struct model *model, uint64_t number)
{
    if (model->window == 0) return OK;
    if (number == 0) return FAULT_REPLAY_OLD;
    if (number > model->top) return OK;
    if (model->top - number >= model->window) return FAULT_REPLAY_OLD;
    return number >= model->base && model->seen[number - model->base] ? FAULT_REPLAY_SEEN : OK;
}

static void model_commit(struct model *model, uint64_t number)
{
    if (number > model->top) model->top = number;
    if (number >= model->base) model->seen[number - model->base] = 1;
}

static void both_take(struct replay *replay, struct model *model, uint64_t number)
{
    enum fault expected = model_check(model, number);
    CHECK_FAULT(replay_check(replay, number), expected);
    CHECK_FAULT(replay_commit(replay, number), expected);
    if (!expected) model_commit(model, number);
    assert_int_equal(replay->top, model->top);
}

// Every sequence of five numbers below 12, for every window up to 8.
static void small_windows_agree_with_the_model_on_every_sequence(void **state)
{
    (void)state;
    enum { NUMBERS = 12, STEPS = 5 };
    for (uint32_t window = 0; window <= 8; window++) {
        for (uint32_t run = 0; run < NUMBERS * NUMBERS * NUMBERS * NUMBERS * NUMBERS; run++) {
            uint64_t ring[REPLAY_SMALL_WORDS];
            uint8_t seen[NUMBERS] = {0};
            struct replay replay;
            struct model model = {.window = window, .seen = seen};
            replay_init(&replay, window, ring);
            for (uint32_t step = 0, rest = run; step < STEPS; step++, rest /= NUMBERS) {
                uint64_t number = rest % NUMBERS;
                enum fault expected = model_check(&model, number);
                assert_true(replay_check(&replay, number) == expected);
                assert_true(replay_commit(&replay, number) == expected);
                if (!expected) model_commit(&model, number);
                assert_true(replay.top == model.top);
            }
        }
    }
}

static void walk(uint32_t window, uint64_t start, uint64_t spread, uint64_t seed)
{
    enum { STEPS = 4000, SPACE = 1 << 22 };
    uint64_t *ring = mem_array(replay_words(window), sizeof *ring);
    struct model model = {.base = start, .window = window, .seen = mem_array(SPACE, 1)};
    struct replay replay;
    struct rng_seeded rng;
    rng_seed(&rng, seed);
    replay_init(&replay, window, ring);
    both_take(&replay, &model, start + 1);
    for (int i = 0; i < STEPS; i++) {
        uint64_t back = rng_below(&rng.rng, spread),
                 ahead = rng_below(&rng.rng, 8) ? 1 : rng_below(&rng.rng, spread / 4 + 1);
        uint64_t number = model.top + ahead > back + start ? model.top + ahead - back : start + 1;
        if (number - start >= SPACE) break;
        both_take(&replay, &model, number);
    }
    free(model.seen);
    free(ring);
}

static void large_windows_agree_with_the_model_on_random_walks(void **state)
{
    (void)state;
    static const uint32_t windows[] = {1,   31,   32,   63,   64,    65,   127,
                                       128, 1000, 1024, 4096, 65535, 65536};
    static const uint64_t starts[] = {0, 1, 63, UINT64_C(0xffffff00), UINT64_C(0x1fffffff0)};
    for (size_t i = 0; i < COUNT(windows); i++)
        for (size_t j = 0; j < COUNT(starts); j++)
            for (uint64_t seed = 1; seed <= 4; seed++)
                walk(windows[i], starts[j],
                     seed < 3 ? windows[i] + 2 : windows[i] * UINT64_C(3) + 2, seed);
}

static void a_ring_is_longer_than_its_window(void **state)
{
    (void)state;
    for (uint32_t window = 0; window <= REPLAY_WINDOW_MAX; window++)
        assert_true(replay_words(window) * UINT64_C(64) >= window + UINT64_C(64));
    assert_int_equal(replay_words(64), REPLAY_SMALL_WORDS);
}

// Appendix A2.3's pseudo-code as it stands there.
static uint32_t rfc_high(uint32_t tl, uint32_t th, uint32_t w, uint32_t low)
{
    if (tl >= w - 1) return low >= tl - w + 1 ? th : th + 1;
    return low >= tl - w + 1 ? th - 1 : th;
}

static void the_upper_half_is_guessed_as_the_rfc_says(void **state)
{
    (void)state;
    static const uint32_t interesting[] = {
        0,          1,          31,         32,         63,         64,         1000,
        0x7fffffff, 0x80000000, 0xfffffc00, 0xffffffc0, 0xffffffe0, 0xfffffffe, 0xffffffff};
    static const uint32_t windows[] = {1, 32, 64, 1024, 65536};
    uint64_t ring[2048];
    for (size_t w = 0; w < COUNT(windows); w++)
        for (size_t t = 0; t < COUNT(interesting); t++)
            for (size_t l = 0; l < COUNT(interesting); l++) {
                struct replay replay;
                replay_init(&replay, windows[w], ring);
                replay.top = UINT64_C(5) << 32 | interesting[t];
                uint64_t sequence;
                CHECK_FAULT(replay_infer(&replay, interesting[l], &sequence), OK);
                assert_int_equal(sequence >> 32,
                                 rfc_high(interesting[t], 5, windows[w], interesting[l]));
                assert_int_equal((uint32_t)sequence, interesting[l]);
            }
}

static void nothing_lies_before_the_first_or_behind_the_last_number(void **state)
{
    (void)state;
    uint64_t ring[2], sequence;
    struct replay replay;
    replay_init(&replay, 64, ring);
    CHECK_FAULT(replay_infer(&replay, 0xfffffff0, &sequence), FAULT_REPLAY_OLD);
    CHECK_FAULT(replay_infer(&replay, 1, &sequence), OK);
    assert_int_equal(sequence, 1);
    replay.top = UINT64_MAX - 10;
    CHECK_FAULT(replay_infer(&replay, 5, &sequence), FAULT_REPLAY_OLD);
    CHECK_FAULT(replay_infer(&replay, UINT32_MAX, &sequence), OK);
    assert_true(sequence == UINT64_MAX);
}

// Numbers on both sides of a multiple of 2^32, in disorder, are all understood and each is taken
// once.
static void a_window_crosses_the_wrap_of_the_lower_half(void **state)
{
    (void)state;
    uint64_t ring[2], middle = UINT64_C(4) << 32;
    struct replay replay;
    replay_init(&replay, 64, ring);
    replay.top = middle - 40;
    static const int order[] = {-39, -20, 3, -1, 0, -7, 1, 20, -2, 2, -30};
    for (size_t i = 0; i < COUNT(order); i++) {
        uint64_t number = middle + (uint64_t)(int64_t)order[i], guessed;
        CHECK_FAULT(replay_infer(&replay, (uint32_t)number, &guessed), OK);
        assert_true(guessed == number);
        CHECK_FAULT(replay_commit(&replay, guessed), OK);
        CHECK_FAULT(replay_commit(&replay, guessed), FAULT_REPLAY_SEEN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_windows_agree_with_the_model_on_every_sequence),
        cmocka_unit_test(large_windows_agree_with_the_model_on_random_walks),
        cmocka_unit_test(a_ring_is_longer_than_its_window),
        cmocka_unit_test(the_upper_half_is_guessed_as_the_rfc_says),
        cmocka_unit_test(nothing_lies_before_the_first_or_behind_the_last_number),
        cmocka_unit_test(a_window_crosses_the_wrap_of_the_lower_half),
    };
    return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
