// SPDX-License-Identifier: Apache-2.0
// Key exchange: published vectors, agreement of both ends, and values that are no members of their
// group.
#include "vectors.h"
#include <openssl/bn.h>

static const uint16_t methods[] = {1,  2,  5,  14, 15, 16, 17, 18, 19, 20, 21,
                                   22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};

static void exchanges_give_the_published_answers(void **state)
{
    (void)state;
    struct vector vector;
    unsigned valid = 0, refused = 0;
    vectors_open(&vector, "ke.txt");
    while (vector_next(&vector)) {
        SECRET(private);
        SECRET(shared);
        AUTOFREE_BUF struct buf public = BUF(2048);
        struct rng_fixed rng;
        uint16_t ke = (uint16_t)id_of("KE", vector_text(&vector, "ke"));
        struct bytes peer = vector_bytes(&vector, "peer");
        rng_fix(&rng, vector_bytes(&vector, "private"));
        CHECK_FAULT(ke_make(ke, &rng.rng, &private, &public), OK);
        if (*vector_text(&vector, "public"))
            check_bytes(buf_bytes(&public), vector_bytes(&vector, "public"));
        bool bad = vector_is(&vector, "result", "invalid") || vector_is(&vector, "zero", "1");
        enum fault fault = ke_share(ke, &private, peer, &shared);
        if ((fault != OK) != bad) fail_msg("%s: %s", vector_text(&vector, "id"), fault_name(fault));
        if (!fault) check_bytes(secret_bytes(&shared), vector_bytes(&vector, "shared"));
        if (fault) assert_int_equal(shared.size, 0);
        *(bad ? &refused : &valid) += 1;
    }
    assert_true(valid > 3000 && refused > 40);
}

static void both_ends_get_the_same_secret(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seed(&rng, 7);
    for (size_t i = 0; i < COUNT(methods); i++) {
        SECRET(private);
        SECRET(mine);
        SECRET(theirs);
        AUTOFREE_BUF struct buf offer = BUF(2048);
        AUTOFREE_BUF struct buf answer = BUF(2048);
        struct ke_info info;
        assert_true(ke_info(methods[i], &info));
        CHECK_FAULT(ke_make(methods[i], &rng.rng, &private, &offer), OK);
        CHECK_FAULT(ke_answer(methods[i], &rng.rng, buf_bytes(&offer), &answer, &theirs), OK);
        CHECK_FAULT(ke_share(methods[i], &private, buf_bytes(&answer), &mine), OK);
        assert_int_equal(offer.size, info.public_size);
        assert_int_equal(answer.size, info.answer_size);
        assert_int_equal(mine.size, info.shared_size);
        check_bytes(secret_bytes(&mine), secret_bytes(&theirs));
    }
}

static void the_same_randomness_gives_the_same_exchange(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(methods); i++) {
        SECRET(a);
        SECRET(b);
        AUTOFREE_BUF struct buf first = BUF(2048);
        AUTOFREE_BUF struct buf second = BUF(2048);
        struct rng_seeded rng;
        rng_seed(&rng, 99 + i);
        CHECK_FAULT(ke_make(methods[i], &rng.rng, &a, &first), OK);
        rng_seed(&rng, 99 + i);
        CHECK_FAULT(ke_make(methods[i], &rng.rng, &b, &second), OK);
        check_bytes(buf_bytes(&first), buf_bytes(&second));
        CHECK_FAULT(ke_make(methods[i], &rng.rng, &b, &second), OK);
        assert_false(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    }
}

// RFC 7296 3.4 test
static void values_of_a_wrong_size_are_refused(void **state)
{
    (void)state;
    static uint8_t zeros[2048];
    struct rng_seeded rng;
    rng_seed(&rng, 3);
    for (size_t i = 0; i < COUNT(methods); i++) {
        SECRET(private);
        SECRET(shared);
        AUTOFREE_BUF struct buf public = BUF(2048);
        CHECK_FAULT(ke_make(methods[i], &rng.rng, &private, &public), OK);
        const size_t sizes[] = {0, 1, public.size - 1, public.size + 1, 2 * public.size};
        for (size_t k = 0; k < COUNT(sizes); k++) {
            AUTOFREE_BUF struct buf answer = BUF(2048);
            CHECK_FAULT(ke_share(methods[i], &private, bytes_of(zeros, sizes[k]), &shared),
                        FAULT_KE_VALUE_WRONG_SIZE);
            CHECK_FAULT(
                ke_answer(methods[i], &rng.rng, bytes_of(zeros, sizes[k]), &answer, &shared),
                FAULT_KE_VALUE_WRONG_SIZE);
        }
        CHECK_FAULT(ke_share(methods[i], &shared, buf_bytes(&public), &shared),
                    FAULT_KEY_WRONG_SIZE);
        // Zeros are no member of any group: no number in range, no point, a point of small order.
        CHECK_FAULT(ke_share(methods[i], &private, bytes_of(zeros, public.size), &shared),
                    FAULT_KE_VALUE_INVALID);
        assert_int_equal(shared.size, 0);
    }
}

static BIGNUM *(*const primes[])(BIGNUM *) = {
    BN_get_rfc2409_prime_768,  BN_get_rfc2409_prime_1024, BN_get_rfc3526_prime_1536,
    BN_get_rfc3526_prime_2048, BN_get_rfc3526_prime_3072, BN_get_rfc3526_prime_4096,
    BN_get_rfc3526_prime_6144, BN_get_rfc3526_prime_8192,
};

// RFC 6989 2.1 test: 0, 1, p - 1, p and p + 1 are not taken; 2 and p - 2 are.
static void modp_values_out_of_range_are_refused(void **state)
{
    (void)state;
    static const struct {
        int offset; // from p, or from 0 when small
        bool small, good;
    } rows[] = {{0, true, false},   {1, true, false},  {2, true, true},  {-2, false, true},
                {-1, false, false}, {0, false, false}, {1, false, false}};
    struct rng_seeded rng;
    rng_seed(&rng, 5);
    for (size_t i = 0; i < COUNT(primes); i++) {
        SECRET(private);
        AUTOFREE_BUF struct buf public = BUF(2048);
        CHECK_FAULT(ke_make(methods[i], &rng.rng, &private, &public), OK);
        for (size_t k = 0; k < COUNT(rows); k++) {
            uint8_t value[1024];
            SECRET(shared);
            BIGNUM *number = rows[k].small ? BN_new() : primes[i](NULL);
            if (rows[k].offset < 0)
                BN_sub_word(number, (BN_ULONG)-rows[k].offset);
            else
                BN_add_word(number, (BN_ULONG)rows[k].offset);
            assert_int_equal(BN_bn2binpad(number, value, (int)public.size), public.size);
            BN_free(number);
            CHECK_FAULT(ke_share(methods[i], &private, bytes_of(value, public.size), &shared),
                        rows[k].good ? OK : FAULT_KE_VALUE_INVALID);
        }
    }
}

// RFC 6989 2.2 test: 2 and p - 2 are in range, but generate more than the subgroup.
static void modp_values_outside_the_subgroup_are_refused(void **state)
{
    (void)state;
    static const uint16_t groups[] = {KE_MODP_1024_160, KE_MODP_2048_224, KE_MODP_2048_256};
    struct rng_seeded rng;
    rng_seed(&rng, 6);
    for (size_t i = 0; i < COUNT(groups); i++) {
        SECRET(private);
        SECRET(shared);
        AUTOFREE_BUF struct buf public = BUF(2048);
        uint8_t value[256] = {0};
        CHECK_FAULT(ke_make(groups[i], &rng.rng, &private, &public), OK);
        value[public.size - 1] = 2;
        CHECK_FAULT(ke_share(groups[i], &private, bytes_of(value, public.size), &shared),
                    FAULT_KE_VALUE_INVALID);
    }
}

// RFC 6989 2.3 test: one bit beside the curve is not on it.
static void points_beside_the_curve_are_refused(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seed(&rng, 8);
    for (uint16_t ke = KE_ECP_256; ke <= KE_ECP_512_BP; ke++) {
        if (ke >= KE_MODP_1024_160 && ke <= KE_MODP_2048_256) continue;
        SECRET(private);
        SECRET(shared);
        AUTOFREE_BUF struct buf public = BUF(2048);
        CHECK_FAULT(ke_make(ke, &rng.rng, &private, &public), OK);
        for (size_t bit = 0; bit < 8 * public.size; bit += 13) {
            public.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
            CHECK_FAULT(ke_share(ke, &private, buf_bytes(&public), &shared),
                        FAULT_KE_VALUE_INVALID);
            public.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

// Values beyond the order are drawn again rather than reduced: the source gives one such first.
static void scalars_beyond_the_order_are_drawn_again(void **state)
{
    (void)state;
    uint8_t drawn[64];
    SECRET(private);
    AUTOFREE_BUF struct buf public = BUF(2048);
    struct rng_fixed rng;
    memset(drawn, 0xff, 32);
    memset(drawn + 32, 0x11, 32);
    rng_fix(&rng, BYTES_ARRAY(drawn));
    CHECK_FAULT(ke_make(KE_ECP_256, &rng.rng, &private, &public), OK);
    check_bytes(secret_bytes(&private), bytes_of(drawn + 32, 32));
    memset(drawn, 0, 32);
    rng_fix(&rng, BYTES_ARRAY(drawn));
    CHECK_FAULT(ke_make(KE_ECP_256_BP, &rng.rng, &private, &public), OK);
    check_bytes(secret_bytes(&private), bytes_of(drawn + 32, 32));
}

static void unknown_methods_are_refused(void **state)
{
    (void)state;
    SECRET(private);
    SECRET(shared);
    AUTOFREE_BUF struct buf public = BUF(2048);
    struct rng_seeded rng;
    rng_seed(&rng, 1);
    CHECK_FAULT(ke_make(KE_NONE, &rng.rng, &private, &public), FAULT_UNSUPPORTED_KE);
    CHECK_FAULT(ke_share(1000, &private, BYTES("x"), &shared), FAULT_UNSUPPORTED_KE);
    CHECK_FAULT(ke_answer(1000, &rng.rng, BYTES("x"), &public, &shared), FAULT_UNSUPPORTED_KE);
    AUTOFREE_BUF struct buf small = BUF(16);
    CHECK_FAULT(ke_make(KE_CURVE_25519, &rng.rng, &private, &small), FAULT_NO_ROOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges_give_the_published_answers),
        cmocka_unit_test(both_ends_get_the_same_secret),
        cmocka_unit_test(the_same_randomness_gives_the_same_exchange),
        cmocka_unit_test(values_of_a_wrong_size_are_refused),
        cmocka_unit_test(modp_values_out_of_range_are_refused),
        cmocka_unit_test(modp_values_outside_the_subgroup_are_refused),
        cmocka_unit_test(points_beside_the_curve_are_refused),
        cmocka_unit_test(scalars_beyond_the_order_are_drawn_again),
        cmocka_unit_test(unknown_methods_are_refused),
    };
    return cmocka_run_group_tests(tests, crypto_setup, NULL);
}
