// SPDX-License-Identifier: Apache-2.0
// Does ML-KEM take a time that depends on a secret? Valgrind's memcheck reports each branch and
// each address that depends on undefined memory, so secrets are declared undefined and nothing may
// be reported. What the code itself publishes it names by MLKEM_PUBLIC. A leak made on purpose
// shows that the method works. Run it below valgrind; elsewhere it says that it is skipped (77).
#if defined __has_include
#if __has_include(<valgrind/memcheck.h>)
#define HAVE_MEMCHECK 1
#endif
#endif

#ifdef HAVE_MEMCHECK
#include <valgrind/memcheck.h>
#define MLKEM_PUBLIC(at, size) ((void)VALGRIND_MAKE_MEM_DEFINED(at, size))
#define SECRET_FROM_HERE(at, size) ((void)VALGRIND_MAKE_MEM_UNDEFINED(at, size))
#include "crypto/mlkem.c"
#include "vectors.h"

static const uint16_t sets[] = {KE_ML_KEM_512, KE_ML_KEM_768, KE_ML_KEM_1024};
static volatile unsigned branch_taken;

// New reports since the last call.
static unsigned reports(void)
{
    static unsigned seen;
    unsigned now = (unsigned)VALGRIND_COUNT_ERRORS, fresh = now - seen;
    seen = now;
    return fresh;
}

static void a_leak_is_seen(void **state)
{
    (void)state;
    uint8_t secret[2] = {1, 0};
    static const uint8_t table[2] = {7, 9};
    reports();
    SECRET_FROM_HERE(secret, sizeof secret);
    if (secret[0]) branch_taken++;
    assert_true(reports() >= 1);
    branch_taken += table[secret[1] & 1];
    assert_true(reports() >= 1);
}

static void making_a_key_does_not_leak(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sets); i++) {
        const struct mlkem *set = mlkem_of(sets[i]);
        uint8_t seed[MLKEM_SEED], ek[MLKEM_EK_MAX], dk[MLKEM_DK_MAX];
        memset(seed, 0x5a, sizeof seed);
        reports();
        SECRET_FROM_HERE(seed, sizeof seed);
        mlkem_expand(set, seed, ek, dk);
        assert_int_equal(reports(), 0);
        // The key is public now, what it was made of is not.
        assert_int_equal(VALGRIND_CHECK_MEM_IS_DEFINED(ek, set->ek_size), 0);
        assert_int_not_equal(VALGRIND_CHECK_MEM_IS_DEFINED(dk, POLY_SIZE), 0);
        reports();
    }
}

static void answering_does_not_leak(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sets); i++) {
        const struct mlkem *set = mlkem_of(sets[i]);
        uint8_t seed[MLKEM_SEED] = {1}, ek[MLKEM_EK_MAX], message[MLKEM_MESSAGE] = {2};
        uint8_t ct[MLKEM_CT_MAX], shared[MLKEM_SHARED];
        mlkem_own.make(set, seed, ek);
        reports();
        SECRET_FROM_HERE(message, sizeof message);
        assert_true(mlkem_own.answer(set, ek, message, ct, shared));
        assert_int_equal(reports(), 0);
        assert_int_not_equal(VALGRIND_CHECK_MEM_IS_DEFINED(shared, sizeof shared), 0);
        reports();
    }
}

// FIPS 203 3.3 test: not even whether the ciphertext was rejected.
static void opening_does_not_leak(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * COUNT(sets); i++) {
        const struct mlkem *set = mlkem_of(sets[i / 2]);
        uint8_t seed[MLKEM_SEED] = {1}, ek[MLKEM_EK_MAX], message[MLKEM_MESSAGE] = {2};
        uint8_t ct[MLKEM_CT_MAX], shared[MLKEM_SHARED], taken[MLKEM_SHARED];
        mlkem_own.make(set, seed, ek);
        assert_true(mlkem_own.answer(set, ek, message, ct, shared));
        ct[100] ^= (uint8_t)(i % 2);
        reports();
        SECRET_FROM_HERE(seed, sizeof seed);
        mlkem_own.share(set, seed, ct, taken);
        assert_int_equal(reports(), 0);
        assert_int_not_equal(VALGRIND_CHECK_MEM_IS_DEFINED(taken, sizeof taken), 0);
        VALGRIND_MAKE_MEM_DEFINED(taken, sizeof taken);
        reports();
        assert_int_equal(memcmp(taken, shared, sizeof shared) == 0, i % 2 == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leak_is_seen),
        cmocka_unit_test(making_a_key_does_not_leak),
        cmocka_unit_test(answering_does_not_leak),
        cmocka_unit_test(opening_does_not_leak),
    };
    if (!RUNNING_ON_VALGRIND) {
        puts("skipped: constant time is only seen below valgrind (valgrind TEST)");
        return 77;
    }
    return cmocka_run_group_tests(tests, crypto_setup, NULL);
}
#else
#include <stdio.h>

int main(void)
{
    puts("skipped: constant time is only seen with valgrind, and valgrind/memcheck.h is not there");
    return 77;
}
#endif
