// SPDX-License-Identifier: Apache-2.0
// The library for X25519 and Ed25519 beside OpenSSL: the same keys, secrets and signatures to the last bit, the same judgement of what was changed.
// Without the library there is nothing to compare, and it says so.
#include "crypto/curve25519.h"
#include "vectors.h"
#include <openssl/evp.h>

enum { SEED = 25519, ROUNDS = 200, MESSAGE_MAX = 300 };

static struct rng_seeded seeded;

static int setup(void **state)
{
    rng_seed(&seeded, SEED);
    print_message("seed %d\n", SEED);
    return crypto_setup(state);
}

static const struct curve25519 *library(void)
{
    if (!curve25519()) {
        print_message("skipped: built without libsodium\n");
        skip();
    }
    return curve25519();
}

static EVP_PKEY *pair_make(int kind, uint8_t private[CURVE25519_KEY], uint8_t public[CURVE25519_KEY])
{
    size_t size = CURVE25519_KEY;
    rng_fill(&seeded.rng, private, CURVE25519_KEY);
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(kind, NULL, private, CURVE25519_KEY);
    assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, public, &size), 1);
    return pkey;
}

static void keys_and_secrets_of_x25519_are_openssls(void **state)
{
    (void)state;
    const struct curve25519 *ours = library();
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t private[2][CURVE25519_KEY], public[2][CURVE25519_KEY], got[CURVE25519_KEY], shared[CURVE25519_KEY];
        size_t size = sizeof shared;
        EVP_PKEY *here = pair_make(EVP_PKEY_X25519, private[0], public[0]), *there = pair_make(EVP_PKEY_X25519, private[1], public[1]);
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(here, NULL);
        assert_true(EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, there) == 1 && EVP_PKEY_derive(ctx, shared, &size) == 1);
        ours->make_public(private[0], got);
        assert_memory_equal(got, public[0], sizeof got);
        assert_true(ours->share(private[0], public[1], got));
        assert_memory_equal(got, shared, sizeof got);
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(here);
        EVP_PKEY_free(there);
    }
}

// RFC 8031 2 test
static void a_secret_of_zeros_is_refused(void **state)
{
    (void)state;
    uint8_t private[CURVE25519_KEY] = {8}, out[CURVE25519_KEY];
    static const uint8_t small[][CURVE25519_KEY] = {{0}, {1}};
    for (size_t i = 0; i < COUNT(small); i++) assert_false(library()->share(private, small[i], out));
}

static bool openssl_verify(const uint8_t *public, struct bytes octets, struct bytes signature)
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, CURVE25519_KEY);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = pkey && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                EVP_DigestVerify(ctx, signature.at, signature.size, octets.at, octets.size) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return good;
}

// RFC 8032 5.1.6, 5.1.7 test
static void signatures_are_openssls_and_any_changed_bit_is_seen(void **state)
{
    (void)state;
    const struct curve25519 *ours = library();
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t seed[CURVE25519_KEY], public[CURVE25519_KEY], signature[ED25519_SIGNATURE], theirs[ED25519_SIGNATURE], text[MESSAGE_MAX];
        struct bytes message = bytes_of(text, (size_t)rng_below(&seeded.rng, MESSAGE_MAX) + 1);
        size_t size = sizeof theirs;
        rng_fill(&seeded.rng, text, sizeof text);
        EVP_PKEY *pkey = pair_make(EVP_PKEY_ED25519, seed, public);
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        assert_true(EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 && EVP_DigestSign(ctx, theirs, &size, message.at, message.size) == 1);
        ours->sign(seed, public, message, signature);
        assert_memory_equal(signature, theirs, sizeof theirs);
        assert_true(ours->verify(public, message, BYTES_ARRAY(signature)));
        for (size_t short_by = 1; short_by <= ED25519_SIGNATURE; short_by++)
            assert_false(ours->verify(public, message, bytes_of(signature, ED25519_SIGNATURE - short_by)));
        struct bytes parts[] = {BYTES_ARRAY(signature), BYTES_ARRAY(public), message};
        struct bytes part = parts[rng_below(&seeded.rng, COUNT(parts))];
        ((uint8_t *)(uintptr_t)part.at)[rng_below(&seeded.rng, part.size)] ^= (uint8_t)(1 << rng_below(&seeded.rng, 8));
        assert_false(ours->verify(public, message, BYTES_ARRAY(signature)));
        assert_false(openssl_verify(public, message, BYTES_ARRAY(signature)));
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(pkey);
    }
}

// With the identity as key everybody can sign everything.
static void keys_of_small_order_are_refused(void **state)
{
    (void)state;
    static const uint8_t identity[CURVE25519_KEY] = {1};
    uint8_t signature[ED25519_SIGNATURE] = {1};
    assert_true(openssl_verify(identity, BYTES("any text"), BYTES_ARRAY(signature)));
    assert_false(library()->verify(identity, BYTES("any text"), BYTES_ARRAY(signature)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_secrets_of_x25519_are_openssls),
        cmocka_unit_test(a_secret_of_zeros_is_refused),
        cmocka_unit_test(signatures_are_openssls_and_any_changed_bit_is_seen),
        cmocka_unit_test(keys_of_small_order_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
