// SPDX-License-Identifier: Apache-2.0
// The arithmetic inside ML-KEM against its definitions in FIPS 203, which are slow and plain.
#include "crypto/mlkem.c"
#include "vectors.h"

static const unsigned depths[] = {1, 4, 5, 10, 11};

static void the_quotient_is_exact_up_to_its_limit(void **state)
{
    (void)state;
    for (uint32_t x = 0; x < REDUCE_LIMIT; x += x < 1 << 24 ? 1 : 1009) {
        if (quotient(x) != x / Q) fail_msg("%u", (unsigned)x);
        if (reduce(x) != x % Q) fail_msg("%u", (unsigned)x);
    }
    for (uint32_t x = Q; x < REDUCE_LIMIT; x += Q) {
        if (reduce(x - 1) != Q - 1 || reduce(x) != 0) fail_msg("%u", (unsigned)x);
    }
}

// FIPS 203 4.2.1 test
static void compression_rounds_to_the_nearest(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(depths); i++) {
        uint32_t d = depths[i], end = 1u << d;
        for (uint32_t x = 0; x < Q; x++) {
            assert_int_equal(compress(x, d), (x * end * 2 + Q) / (2 * Q) % end);
            uint32_t back = decompress(compress(x, d), d), far = back > x ? back - x : x - back;
            far = far > Q / 2 ? Q - far : far;
            assert_true(far <= (Q + end) / (2 * end));
        }
        for (uint32_t y = 0; y < end; y++) assert_int_equal(compress(decompress(y, d), d), y);
    }
}

static void poly_random(struct poly *f, struct rng *rng)
{
    for (size_t i = 0; i < N; i++) f->at[i] = (uint16_t)rng_below(rng, Q);
}

static void the_zetas_are_powers_of_17(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 128; i++) {
        unsigned power = 0, value = 1;
        for (unsigned bit = 0; bit < 7; bit++) power |= (i >> bit & 1) << (6 - bit);
        while (power--) value = value * 17 % Q;
        assert_int_equal(zetas[i], value);
    }
}

static void transforming_back_gives_the_polynomial(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seed(&rng, 1);
    for (size_t run = 0; run < 200; run++) {
        struct poly f, g;
        poly_random(&f, &rng.rng);
        if (run == 0)
            for (size_t i = 0; i < N; i++) f.at[i] = Q - 1;
        g = f;
        poly_transform(&g);
        for (size_t i = 0; i < N; i++) assert_true(g.at[i] < Q);
        poly_transform_back(&g);
        assert_memory_equal(&f, &g, sizeof f);
    }
}

// Multiplied coefficient by coefficient modulo x^256 + 1.
static void products_are_those_of_polynomials(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seed(&rng, 2);
    for (size_t run = 0; run < 50; run++) {
        struct poly a[MLKEM_K_MAX], b[MLKEM_K_MAX], out;
        uint64_t expected[N] = {0};
        size_t k = 1 + run % MLKEM_K_MAX;
        for (size_t i = 0; i < k; i++) {
            poly_random(&a[i], &rng.rng);
            poly_random(&b[i], &rng.rng);
            for (size_t x = 0; x < N; x++)
                for (size_t y = 0; y < N; y++) {
                    uint64_t product = (uint64_t)a[i].at[x] * b[i].at[y] % Q;
                    expected[(x + y) % N] += x + y < N ? product : Q - product;
                }
            poly_transform(&a[i]);
            poly_transform(&b[i]);
        }
        vector_multiply(a, b, k, &out);
        poly_transform_back(&out);
        for (size_t i = 0; i < N; i++) assert_int_equal(out.at[i], expected[i] % Q);
    }
}

static void the_largest_coefficients_do_not_overflow(void **state)
{
    (void)state;
    struct poly a[MLKEM_K_MAX], out;
    for (size_t i = 0; i < MLKEM_K_MAX * N; i++) a[i / N].at[i % N] = Q - 1;
    vector_multiply(a, a, MLKEM_K_MAX, &out);
    for (size_t i = 0; i < N; i += 2) {
        uint64_t zeta = zetas[64 + i / 4], g = i % 4 ? Q - zeta : zeta;
        assert_int_equal(out.at[i], MLKEM_K_MAX * (1 + g) % Q);
        assert_int_equal(out.at[i + 1], MLKEM_K_MAX * 2 % Q);
    }
}

static void polynomials_are_read_as_they_were_written(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seed(&rng, 3);
    for (unsigned d = 1; d <= 12; d++) {
        uint8_t octets[POLY_SIZE], again[POLY_SIZE];
        struct poly f, g;
        rng_fill(&rng.rng, octets, sizeof octets);
        poly_read(&f, d, octets);
        for (size_t i = 0; i < N; i++) { // FIPS 203 algorithm 4: bit by bit
            uint32_t value = 0;
            for (size_t bit = i * d, k = 0; k < d; bit++, k++)
                value |= (uint32_t)(octets[bit / 8] >> bit % 8 & 1) << k;
            assert_int_equal(f.at[i], decompress(value, d));
        }
        poly_write(&f, d, again);
        assert_memory_equal(octets, again, 32 * d);
        poly_read(&g, d, again);
        assert_memory_equal(&f, &g, sizeof f);
    }
}

// FIPS 203 algorithm 8 test
static void noise_is_the_difference_of_two_sums_of_bits(void **state)
{
    (void)state;
    static const uint8_t seed[SYMBOL] = {1, 2, 3};
    struct work work;
    work_begin(&work, mlkem_of(KE_ML_KEM_512));
    for (unsigned eta = 2; eta <= 3; eta++) {
        struct poly f;
        poly_noise(&work, seed, (uint8_t)eta, eta, &f);
        for (size_t i = 0; i < N; i++) {
            unsigned sums[2] = {0, 0};
            for (size_t bit = 2 * i * eta, k = 0; k < 2 * eta; bit++, k++)
                sums[k / eta] += work.random[bit / 8] >> bit % 8 & 1;
            assert_int_equal(f.at[i], (Q + sums[0] - sums[1]) % Q);
        }
    }
    work_end(&work);
}

// FIPS 203 algorithm 7 test
static void values_of_q_and_above_are_passed_over(void **state)
{
    (void)state;
    uint8_t stream[STREAM_USUAL] = {0};
    struct poly f;
    for (size_t i = 0; i < STREAM_USUAL; i += 3) { // q - 1 and q, packed
        stream[i] = (uint8_t)(Q - 1);
        stream[i + 1] = (uint8_t)((Q - 1) >> 8 | (Q & 0xf) << 4);
        stream[i + 2] = (uint8_t)(Q >> 4);
    }
    assert_false(poly_sample(&f, stream, STREAM_USUAL));
    for (size_t i = 0; i < STREAM_USUAL / 3; i++) assert_int_equal(f.at[i], Q - 1);
    memset(stream, 0, sizeof stream);
    assert_false(poly_sample(&f, stream, 3 * N / 2 - 1));
    assert_true(poly_sample(&f, stream, 3 * N / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_quotient_is_exact_up_to_its_limit),
        cmocka_unit_test(compression_rounds_to_the_nearest),
        cmocka_unit_test(the_zetas_are_powers_of_17),
        cmocka_unit_test(transforming_back_gives_the_polynomial),
        cmocka_unit_test(products_are_those_of_polynomials),
        cmocka_unit_test(the_largest_coefficients_do_not_overflow),
        cmocka_unit_test(polynomials_are_read_as_they_were_written),
        cmocka_unit_test(noise_is_the_difference_of_two_sums_of_bits),
        cmocka_unit_test(values_of_q_and_above_are_passed_over),
    };
    return cmocka_run_group_tests(tests, crypto_setup, NULL);
}
