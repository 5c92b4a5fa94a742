// SPDX-License-Identifier: Apache-2.0
// Does signing, or making a public key of X25519, take a time that depends on a secret? Valgrind's memcheck reports each branch and
// each address that depends on undefined memory, so secrets are declared undefined and nothing may be reported. A leak
// made on purpose shows that the method works. Run it below valgrind; elsewhere it says that it is skipped (77).
#if defined __has_include
#if __has_include(<valgrind/memcheck.h>)
#define HAVE_MEMCHECK 1
#endif
#endif

#ifdef HAVE_MEMCHECK
#include <valgrind/memcheck.h>
#define ED25519_PUBLIC(at, size) ((void)VALGRIND_MAKE_MEM_DEFINED(at, size))
#define SECRET_FROM_HERE(at, size) ((void)VALGRIND_MAKE_MEM_UNDEFINED(at, size))
#include "crypto/ed25519.c"
#include "vectors.h"

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
    uint64_t scalar[SCALAR_WORDS] = {5};
    struct point out;
    reports();
    SECRET_FROM_HERE(scalar, sizeof scalar);
    // What verification does with a scalar, which is public there.
    products_sum(&out, scalar, &point_base, scalar, &point_base);
    assert_true(reports() >= 1);
    branch_taken++;
}

static void a_public_key_tells_nothing_but_itself(void **state)
{
    (void)state;
    uint8_t private[32], public[32];
    memset(private, 0x5a, sizeof private);
    (void)comb_of_base();
    reports();
    SECRET_FROM_HERE(private, sizeof private);
    x25519_public(private, public);
    assert_int_equal(reports(), 0);
    assert_int_equal(VALGRIND_CHECK_MEM_IS_DEFINED(public, sizeof public), 0);
    assert_int_not_equal(VALGRIND_CHECK_MEM_IS_DEFINED(private, sizeof private), 0);
    reports();
}

static void a_signature_tells_nothing_but_itself(void **state)
{
    (void)state;
    uint8_t seed[ED25519_KEY], key[ED25519_KEY] = {1}, signature[ED25519_SIGNATURE], text[100] = {7};
    memset(seed, 0xa5, sizeof seed);
    (void)comb_of_base();
    reports();
    SECRET_FROM_HERE(seed, sizeof seed);
    ed25519_sign(seed, key, PIECES(BYTES_ARRAY(text)), signature);
    assert_int_equal(reports(), 0);
    assert_int_equal(VALGRIND_CHECK_MEM_IS_DEFINED(signature, sizeof signature), 0);
}

int main(void)
{
    if (!RUNNING_ON_VALGRIND) {
        print_message("skipped: run it below valgrind\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leak_is_seen),
        cmocka_unit_test(a_public_key_tells_nothing_but_itself),
        cmocka_unit_test(a_signature_tells_nothing_but_itself),
    };
    return cmocka_run_group_tests(tests, crypto_setup, NULL);
}
#else
#include <stdio.h>
int main(void)
{
    puts("skipped: valgrind's header is not here");
    return 77;
}
#endif
