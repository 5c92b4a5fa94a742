// SPDX-License-Identifier: Apache-2.0
// ML-KEM as a key exchange: published vectors on every maker that this machine has, their agreement
// with each other, and keys and ciphertexts that are none.
#include "crypto/mlkem.h"
#include "vectors.h"
#include <openssl/evp.h>

static const uint16_t sets[] = {KE_ML_KEM_512, KE_ML_KEM_768, KE_ML_KEM_1024};
static const struct mlkem_maker *const makers[] = {&mlkem_own, &mlkem_evp};

static const struct mlkem *set_of(const struct vector *vector)
{
    return mlkem_of((uint16_t)id_of("KE", vector_text(vector, "ke")));
}

static void check_sha256(struct bytes got, struct bytes expected)
{
    uint8_t hash[DIGEST_MAX];
    size_t size;
    CHECK_FAULT(digest(HASH_SHA2_256, PIECES(got), hash, &size), OK);
    check_bytes(bytes_of(hash, size), expected);
}

static void check_keygen(const struct mlkem_maker *maker, struct vector *vector)
{
    const struct mlkem *set = set_of(vector);
    struct bytes seed = vector_bytes(vector, "seed");
    uint8_t ek[MLKEM_EK_MAX], dk[MLKEM_DK_MAX];
    assert_int_equal(seed.size, MLKEM_SEED);
    maker->make(set, seed.at, ek);
    check_sha256(bytes_of(ek, set->ek_size), vector_bytes(vector, "ek_sha256"));
    mlkem_expand(set, seed.at, ek, dk);
    check_sha256(bytes_of(dk, set->dk_size), vector_bytes(vector, "dk_sha256"));
}

static void check_encaps(const struct mlkem_maker *maker, struct vector *vector)
{
    const struct mlkem *set = set_of(vector);
    struct bytes ek = vector_bytes(vector, "ek"), m = vector_bytes(vector, "m");
    uint8_t ct[MLKEM_CT_MAX], shared[MLKEM_SHARED];
    bool valid = vector_is(vector, "result", "valid");
    if (ek.size != set->ek_size) {
        assert_false(valid);
        return; // what calls the makers sees to sizes: see check_exchange()
    }
    assert_int_equal(m.size, MLKEM_MESSAGE);
    assert_int_equal(maker->answer(set, ek.at, m.at, ct, shared), valid);
    if (!valid) return;
    check_sha256(bytes_of(ct, set->ct_size), vector_bytes(vector, "ct_sha256"));
    check_bytes(BYTES_ARRAY(shared), vector_bytes(vector, "shared"));
}

static void check_decaps(const struct mlkem_maker *maker, struct vector *vector)
{
    const struct mlkem *set = set_of(vector);
    struct bytes seed = vector_bytes(vector, "seed"), ct = vector_bytes(vector, "ct");
    uint8_t ek[MLKEM_EK_MAX], shared[MLKEM_SHARED];
    if (ct.size != set->ct_size) {
        assert_true(vector_is(vector, "result", "invalid"));
        return;
    }
    assert_int_equal(seed.size, MLKEM_SEED);
    maker->make(set, seed.at, ek);
    check_sha256(bytes_of(ek, set->ek_size), vector_bytes(vector, "ek_sha256"));
    maker->share(set, seed.at, ct.at, shared);
    check_bytes(BYTES_ARRAY(shared), vector_bytes(vector, "shared"));
}

static void check_expanded(struct vector *vector)
{
    const struct mlkem *set = set_of(vector);
    struct bytes dk = vector_bytes(vector, "dk"), ct = vector_bytes(vector, "ct");
    uint8_t shared[MLKEM_SHARED];
    assert_int_equal(dk.size, set->dk_size);
    assert_int_equal(ct.size, set->ct_size);
    mlkem_decapsulate(set, dk.at, ct.at, shared);
    check_bytes(BYTES_ARRAY(shared), vector_bytes(vector, "shared"));
}

static unsigned check_vectors_of(const struct mlkem_maker *maker)
{
    struct vector vector;
    unsigned count = 0;
    vectors_open(&vector, "mlkem.txt");
    while (vector_next(&vector)) {
        if (strcmp(vector.word, "recorded") == 0 || !maker->has(set_of(&vector))) continue;
        if (strcmp(vector.word, "keygen") == 0)
            check_keygen(maker, &vector);
        else if (strcmp(vector.word, "encaps") == 0)
            check_encaps(maker, &vector);
        else if (strcmp(vector.word, "decaps") == 0)
            check_decaps(maker, &vector);
        else if (strcmp(vector.word, "expanded") == 0)
            check_expanded(&vector);
        else
            fail_msg("what is %s?", vector.word);
        count++;
    }
    return count;
}

static void own_code_gives_the_published_answers(void **state)
{
    (void)state;
    assert_true(check_vectors_of(&mlkem_own) > 300);
}

static void openssl_gives_the_published_answers_where_it_has_them(void **state)
{
    (void)state;
    if (!mlkem_evp.has(mlkem_of(KE_ML_KEM_768))) {
        print_message("OpenSSL has no ML-KEM here, only our own code is tested\n");
        skip();
    }
    assert_true(check_vectors_of(&mlkem_evp) > 300);
}

static void check_refused(struct vector *vector, uint16_t ke)
{
    bool encaps = strcmp(vector->word, "encaps") == 0;
    struct bytes peer = vector_bytes(vector, encaps ? "ek" : "ct");
    SECRET(private);
    SECRET(shared);
    AUTOFREE_BUF struct buf public = BUF(2048);
    struct ke_info info;
    struct rng_seeded rng;
    rng_seed(&rng, 4);
    assert_true(ke_info(ke, &info));
    CHECK_FAULT(ke_make(ke, &rng.rng, &private, &public), OK);
    bool fits = peer.size == (encaps ? info.public_size : info.answer_size);
    enum fault fault = encaps ? ke_answer(ke, &rng.rng, peer, &public, &shared)
                              : ke_share(ke, &private, peer, &shared);
    CHECK_FAULT(fault, fits ? FAULT_KE_VALUE_INVALID : FAULT_KE_VALUE_WRONG_SIZE);
    assert_int_equal(shared.size, 0);
    if (encaps && fits) assert_int_equal(public.size, 0);
}

// draft-ietf-ipsecme-ikev2-mlkem 2.3 test: both checks of FIPS 203 on the way in.
static void published_bad_values_are_refused(void **state)
{
    (void)state;
    struct vector vector;
    unsigned count = 0;
    vectors_open(&vector, "mlkem.txt");
    while (vector_next(&vector)) {
        if (!vector_is(&vector, "result", "invalid")) continue;
        check_refused(&vector, (uint16_t)id_of("KE", vector_text(&vector, "ke")));
        count++;
    }
    assert_true(count >= 90);
}

static void keys_of_recorded_exchanges_are_taken(void **state)
{
    (void)state;
    struct vector vector;
    unsigned count = 0;
    struct rng_seeded rng;
    rng_seed(&rng, 11);
    vectors_open(&vector, "mlkem.txt");
    while (vector_next(&vector)) {
        if (strcmp(vector.word, "recorded") != 0) continue;
        SECRET(shared);
        AUTOFREE_BUF struct buf answer = BUF(2048);
        uint16_t ke = (uint16_t)id_of("KE", vector_text(&vector, "ke"));
        CHECK_FAULT(ke_answer(ke, &rng.rng, vector_bytes(&vector, "ek"), &answer, &shared), OK);
        assert_int_equal(answer.size, vector_bytes(&vector, "ct").size);
        count++;
    }
    assert_true(count >= 10);
}

static void both_ends_get_the_same_secret(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seed(&rng, 7);
    for (size_t i = 0; i < 50 * COUNT(sets); i++) {
        uint16_t ke = sets[i % COUNT(sets)];
        SECRET(private);
        SECRET(mine);
        SECRET(theirs);
        AUTOFREE_BUF struct buf offer = BUF(2048);
        AUTOFREE_BUF struct buf answer = BUF(2048);
        struct ke_info info;
        assert_true(ke_info(ke, &info) && info.kem && crypto_has_ke(ke));
        CHECK_FAULT(ke_make(ke, &rng.rng, &private, &offer), OK);
        CHECK_FAULT(ke_answer(ke, &rng.rng, buf_bytes(&offer), &answer, &theirs), OK);
        CHECK_FAULT(ke_share(ke, &private, buf_bytes(&answer), &mine), OK);
        assert_int_equal(offer.size, info.public_size);
        assert_int_equal(answer.size, info.answer_size);
        assert_int_equal(mine.size, info.shared_size);
        check_bytes(secret_bytes(&mine), secret_bytes(&theirs));
    }
}

// Each is the other's oracle, for answers and for tampered ciphertexts alike.
static void all_makers_agree(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seed(&rng, 21);
    if (!mlkem_evp.has(mlkem_of(KE_ML_KEM_768))) skip();
    for (size_t i = 0; i < 100 * COUNT(sets); i++) {
        const struct mlkem *set = mlkem_of(sets[i % COUNT(sets)]);
        uint8_t seed[MLKEM_SEED], m[MLKEM_MESSAGE], ek[2][MLKEM_EK_MAX], ct[2][MLKEM_CT_MAX];
        uint8_t shared[2][MLKEM_SHARED], taken[2][MLKEM_SHARED];
        rng_fill(&rng.rng, seed, sizeof seed);
        rng_fill(&rng.rng, m, sizeof m);
        for (size_t k = 0; k < 2; k++) {
            makers[k]->make(set, seed, ek[k]);
            assert_true(makers[k]->answer(set, ek[0], m, ct[k], shared[k]));
        }
        assert_memory_equal(ct[0], ct[1], set->ct_size);
        if (i % 2) ct[0][rng_below(&rng.rng, set->ct_size)] ^= (uint8_t)(1 << i % 8);
        for (size_t k = 0; k < 2; k++) makers[k]->share(set, seed, ct[0], taken[k]);
        assert_memory_equal(ek[0], ek[1], set->ek_size);
        assert_memory_equal(shared[0], shared[1], MLKEM_SHARED);
        assert_memory_equal(taken[0], taken[1], MLKEM_SHARED);
    }
}

static void exchange(uint16_t ke, uint64_t seed, uint64_t answer_seed, struct buf *offer,
                     struct buf *answer)
{
    SECRET(private);
    SECRET(shared);
    struct rng_seeded rng;
    rng_seed(&rng, seed);
    CHECK_FAULT(ke_make(ke, &rng.rng, &private, offer), OK);
    rng_seed(&rng, answer_seed);
    CHECK_FAULT(ke_answer(ke, &rng.rng, buf_bytes(offer), answer, &shared), OK);
}

static void the_same_randomness_gives_the_same_exchange(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sets); i++) {
        AUTOFREE_BUF struct buf offer = BUF(2048);
        AUTOFREE_BUF struct buf answer = BUF(2048);
        AUTOFREE_BUF struct buf other_offer = BUF(2048);
        AUTOFREE_BUF struct buf other_answer = BUF(2048);
        exchange(sets[i], 1, 2, &offer, &answer);
        exchange(sets[i], 1, 2, &other_offer, &other_answer);
        check_bytes(buf_bytes(&other_offer), buf_bytes(&offer));
        check_bytes(buf_bytes(&other_answer), buf_bytes(&answer));
        exchange(sets[i], 1, 3, &other_offer, &other_answer);
        check_bytes(buf_bytes(&other_offer), buf_bytes(&offer));
        assert_false(bytes_equal(buf_bytes(&other_answer), buf_bytes(&answer)));
        exchange(sets[i], 4, 2, &other_offer, &other_answer);
        assert_false(bytes_equal(buf_bytes(&other_offer), buf_bytes(&offer)));
    }
}

// FIPS 203 6.3 test: SHAKE256 of z and the ciphertext, whatever was changed in it.
static void a_changed_ciphertext_gives_the_rejection_secret(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sets); i++) {
        SECRET(private);
        SECRET(shared);
        SECRET(theirs);
        AUTOFREE_BUF struct buf offer = BUF(2048);
        AUTOFREE_BUF struct buf answer = BUF(2048);
        struct rng_seeded rng;
        rng_seed(&rng, 31);
        CHECK_FAULT(ke_make(sets[i], &rng.rng, &private, &offer), OK);
        CHECK_FAULT(ke_answer(sets[i], &rng.rng, buf_bytes(&offer), &answer, &theirs), OK);
        for (size_t at = 0; at < answer.size; at++) {
            uint8_t expected[MLKEM_SHARED], bit = (uint8_t)(1 << at % 8);
            answer.at[at] ^= bit;
            EVP_MD_CTX *ctx = EVP_MD_CTX_new();
            assert_int_equal(EVP_DigestInit_ex(ctx, EVP_shake256(), NULL), 1);
            assert_int_equal(EVP_DigestUpdate(ctx, private.at + 32, 32), 1);
            assert_int_equal(EVP_DigestUpdate(ctx, answer.at, answer.size), 1);
            assert_int_equal(EVP_DigestFinalXOF(ctx, expected, sizeof expected), 1);
            EVP_MD_CTX_free(ctx);
            CHECK_FAULT(ke_share(sets[i], &private, buf_bytes(&answer), &shared), OK);
            check_bytes(secret_bytes(&shared), BYTES_ARRAY(expected));
            assert_false(bytes_equal(secret_bytes(&shared), secret_bytes(&theirs)));
            answer.at[at] ^= bit;
        }
    }
}

static void coefficient_set(uint8_t *ek, size_t index, unsigned value)
{
    uint8_t *at = ek + index / 2 * 3;
    if (index % 2 == 0) {
        at[0] = (uint8_t)value;
        at[1] = (uint8_t)((at[1] & 0xf0) | value >> 8);
    } else {
        at[1] = (uint8_t)((at[1] & 0x0f) | value << 4);
        at[2] = (uint8_t)(value >> 4);
    }
}

// FIPS 203 7.2 test: the modulus check, on every coefficient.
static void keys_with_a_coefficient_that_is_not_reduced_are_refused(void **state)
{
    (void)state;
    static const unsigned bad[] = {3329, 3330, 3583, 3584, 4095};
    for (size_t i = 0; i < COUNT(sets); i++) {
        const struct mlkem *set = mlkem_of(sets[i]);
        SECRET(private);
        SECRET(shared);
        AUTOFREE_BUF struct buf offer = BUF(2048);
        AUTOFREE_BUF struct buf answer = BUF(2048);
        struct rng_seeded rng;
        rng_seed(&rng, 41);
        CHECK_FAULT(ke_make(sets[i], &rng.rng, &private, &offer), OK);
        for (size_t at = 0; at < 256u * set->k; at++) {
            uint8_t ek[MLKEM_EK_MAX];
            struct bytes changed = bytes_of(ek, offer.size);
            memcpy(ek, offer.at, offer.size);
            coefficient_set(ek, at, bad[at % COUNT(bad)]);
            CHECK_FAULT(ke_answer(sets[i], &rng.rng, changed, &answer, &shared),
                        FAULT_KE_VALUE_INVALID);
            assert_int_equal(answer.size, 0);
            assert_int_equal(shared.size, 0);
            if (at % 16) continue;
            coefficient_set(ek, at, 3328);
            CHECK_FAULT(ke_answer(sets[i], &rng.rng, changed, &answer, &shared), OK);
        }
    }
}

// A key that was changed on its way is refused or leaves both ends with different secrets.
static void changed_keys_give_no_common_secret(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sets); i++) {
        SECRET(private);
        SECRET(mine);
        SECRET(theirs);
        AUTOFREE_BUF struct buf offer = BUF(2048);
        AUTOFREE_BUF struct buf answer = BUF(2048);
        struct rng_seeded rng;
        rng_seed(&rng, 51);
        CHECK_FAULT(ke_make(sets[i], &rng.rng, &private, &offer), OK);
        for (size_t at = 0; at < offer.size; at += 3) {
            uint8_t bit = (uint8_t)(1 << at % 8);
            offer.at[at] ^= bit;
            enum fault fault = ke_answer(sets[i], &rng.rng, buf_bytes(&offer), &answer, &theirs);
            offer.at[at] ^= bit;
            if (fault) {
                CHECK_FAULT(fault, FAULT_KE_VALUE_INVALID);
                continue;
            }
            CHECK_FAULT(ke_share(sets[i], &private, buf_bytes(&answer), &mine), OK);
            assert_false(bytes_equal(secret_bytes(&mine), secret_bytes(&theirs)));
        }
    }
}

static void values_of_every_other_size_are_refused(void **state)
{
    (void)state;
    static uint8_t zeros[2 * MLKEM_EK_MAX];
    for (size_t i = 0; i < COUNT(sets); i++) {
        const struct mlkem *set = mlkem_of(sets[i]);
        SECRET(private);
        SECRET(shared);
        AUTOFREE_BUF struct buf public = BUF(2048);
        struct rng_seeded rng;
        rng_seed(&rng, 61);
        CHECK_FAULT(ke_make(sets[i], &rng.rng, &private, &public), OK);
        for (size_t size = 0; size <= sizeof zeros; size++) {
            struct bytes peer = bytes_of(zeros, size);
            if (size != set->ct_size)
                CHECK_FAULT(ke_share(sets[i], &private, peer, &shared), FAULT_KE_VALUE_WRONG_SIZE);
            if (size != set->ek_size)
                CHECK_FAULT(ke_answer(sets[i], &rng.rng, peer, &public, &shared),
                            FAULT_KE_VALUE_WRONG_SIZE);
            assert_int_equal(shared.size, 0);
        }
        CHECK_FAULT(ke_share(sets[i], &shared, bytes_of(zeros, set->ct_size), &shared),
                    FAULT_KEY_WRONG_SIZE);
        AUTOFREE_BUF struct buf small = BUF(set->ct_size - 1);
        CHECK_FAULT(ke_make(sets[i], &rng.rng, &private, &small), FAULT_NO_ROOM);
        AUTOFREE_BUF struct buf smaller = BUF(16);
        CHECK_FAULT(ke_answer(sets[i], &rng.rng, bytes_of(zeros, set->ek_size), &smaller, &shared),
                    FAULT_NO_ROOM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_code_gives_the_published_answers),
        cmocka_unit_test(openssl_gives_the_published_answers_where_it_has_them),
        cmocka_unit_test(published_bad_values_are_refused),
        cmocka_unit_test(keys_of_recorded_exchanges_are_taken),
        cmocka_unit_test(both_ends_get_the_same_secret),
        cmocka_unit_test(all_makers_agree),
        cmocka_unit_test(the_same_randomness_gives_the_same_exchange),
        cmocka_unit_test(a_changed_ciphertext_gives_the_rejection_secret),
        cmocka_unit_test(keys_with_a_coefficient_that_is_not_reduced_are_refused),
        cmocka_unit_test(changed_keys_give_no_common_secret),
        cmocka_unit_test(values_of_every_other_size_are_refused),
    };
    return cmocka_run_group_tests(tests, crypto_setup, NULL);
}
