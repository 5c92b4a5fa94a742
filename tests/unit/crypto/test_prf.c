// SPDX-License-Identifier: Apache-2.0
// PRFs, integrity tags and key expansion against published vectors and against key schedules of
// real daemons.
#include "vectors.h"

static void prfs_give_the_published_answers(void **state)
{
    (void)state;
    struct vector vector;
    unsigned count = 0, invalid = 0;
    vectors_open(&vector, "mac.txt");
    while (vector_next(&vector)) {
        SECRET(out);
        uint16_t id = (uint16_t)id_of("PRF", vector_text(&vector, "prf"));
        struct bytes expected = vector_bytes(&vector, "tag"), msg = vector_bytes(&vector, "msg");
        size_t half = msg.size / 2;
        CHECK_FAULT(prf(id, vector_bytes(&vector, "key"),
                        PIECES(bytes_of(msg.at, half), bytes_of(msg.at + half, msg.size - half)),
                        &out),
                    OK);
        assert_true(expected.size <= out.size);
        bool same = bytes_equal(bytes_of(out.at, expected.size), expected);
        if (same != vector_is(&vector, "result", "valid"))
            fail_msg("%s", vector_text(&vector, "id"));
        count++;
        invalid += !same;
    }
    assert_true(count > 800 && invalid > 300);
}

static const struct {
    uint16_t integ, prf;
} integs[] = {
    {INTEG_HMAC_MD5_96, PRF_HMAC_MD5},
    {INTEG_HMAC_MD5_128, PRF_HMAC_MD5},
    {INTEG_HMAC_SHA1_96, PRF_HMAC_SHA1},
    {INTEG_HMAC_SHA1_160, PRF_HMAC_SHA1},
    {INTEG_AES_XCBC_96, PRF_AES128_XCBC},
    {INTEG_AES_CMAC_96, PRF_AES128_CMAC},
    {INTEG_HMAC_SHA2_256_128, PRF_HMAC_SHA2_256},
    {INTEG_HMAC_SHA2_384_192, PRF_HMAC_SHA2_384},
    {INTEG_HMAC_SHA2_512_256, PRF_HMAC_SHA2_512},
};

static void a_tag_is_the_beginning_of_its_prf(void **state)
{
    (void)state;
    uint8_t key[64], data[300], tag[INTEG_TAG_MAX];
    memset(key, 0x5a, sizeof key);
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < COUNT(integs); i++) {
        SECRET(out);
        struct integ_info info;
        assert_true(integ_info(integs[i].integ, &info));
        struct bytes with = bytes_of(key, info.key);
        for (size_t size = 0; size <= sizeof data; size++) {
            CHECK_FAULT(prf(integs[i].prf, with, PIECES(bytes_of(data, size)), &out), OK);
            CHECK_FAULT(integ_tag(integs[i].integ, with,
                                  PIECES(bytes_of(data, size / 3),
                                         bytes_of(data + size / 3, size - size / 3)),
                                  tag),
                        OK);
            assert_memory_equal(tag, out.at, info.icv);
        }
        CHECK_FAULT(integ_tag(integs[i].integ, bytes_of(key, info.key - 1u),
                              PIECES(bytes_of(data, 5)), tag),
                    FAULT_KEY_WRONG_SIZE);
    }
    CHECK_FAULT(integ_tag(INTEG_NONE, BYTES_NONE, PIECES(BYTES_NONE), tag),
                FAULT_UNSUPPORTED_INTEGRITY);
}

// RFC 7296 2.13 test, RFC 7296 2.14 test, RFC 7296 2.17 test, RFC 8784 3 test
static void recorded_key_schedules_come_out(void **state)
{
    (void)state;
    struct vector vector;
    unsigned prfs = 0, expansions = 0;
    vectors_open(&vector, "schedule.txt");
    while (vector_next(&vector)) {
        SECRET(out);
        uint16_t id = (uint16_t)id_of("PRF", vector_text(&vector, "prf"));
        struct bytes key = vector_bytes(&vector, "key"), expected = vector_bytes(&vector, "out");
        if (strcmp(vector.word, "prf") == 0) {
            CHECK_FAULT(prf(id, key, PIECES(vector_bytes(&vector, "data")), &out), OK);
            prfs++;
        } else {
            CHECK_FAULT(
                prf_plus(id, key, PIECES(vector_bytes(&vector, "seed")), expected.size, &out), OK);
            expansions++;
        }
        check_bytes(secret_bytes(&out), expected);
    }
    assert_true(prfs > 60 && expansions > 140);
}

// RFC 7296 2.13 test
static void prf_plus_stops_at_255_blocks(void **state)
{
    (void)state;
    static const uint16_t prfs[] = {PRF_HMAC_MD5,      PRF_HMAC_SHA1,     PRF_AES128_XCBC,
                                    PRF_HMAC_SHA2_256, PRF_HMAC_SHA2_384, PRF_HMAC_SHA2_512,
                                    PRF_AES128_CMAC};
    for (size_t i = 0; i < COUNT(prfs); i++) {
        struct prf_info info;
        SECRET(all);
        SECRET(some);
        assert_true(prf_info(prfs[i], &info));
        CHECK_FAULT(prf_plus(prfs[i], BYTES("key"), PIECES(BYTES("se"), BYTES("ed")),
                             255u * info.output, &all),
                    OK);
        CHECK_FAULT(
            prf_plus(prfs[i], BYTES("key"), PIECES(BYTES("seed")), 255u * info.output + 1, &some),
            FAULT_PRF_TOO_LONG);
        assert_int_equal(some.size, 0);
        for (size_t size = 1; size <= 3u * info.output + 1;
             size++) { // shorter outputs are beginnings
            CHECK_FAULT(prf_plus(prfs[i], BYTES("key"), PIECES(BYTES("seed")), size, &some), OK);
            check_bytes(secret_bytes(&some), bytes_of(all.at, size));
        }
    }
}

// RFC 4434 2 test, RFC 4615 3 test
static void aes_prfs_take_keys_of_any_size(void **state)
{
    (void)state;
    uint8_t key[40] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    SECRET(a);
    SECRET(b);
    // A short key of XCBC is one with zeros behind it; for CMAC it is not.
    CHECK_FAULT(prf(PRF_AES128_XCBC, bytes_of(key, 9), PIECES(BYTES("x")), &a), OK);
    CHECK_FAULT(prf(PRF_AES128_XCBC, bytes_of(key, 16), PIECES(BYTES("x")), &b), OK);
    check_bytes(secret_bytes(&a), secret_bytes(&b));
    CHECK_FAULT(prf(PRF_AES128_CMAC, bytes_of(key, 9), PIECES(BYTES("x")), &a), OK);
    CHECK_FAULT(prf(PRF_AES128_CMAC, bytes_of(key, 16), PIECES(BYTES("x")), &b), OK);
    assert_false(bytes_equal(secret_bytes(&a), secret_bytes(&b)));
    for (size_t size = 0; size <= sizeof key; size++) {
        CHECK_FAULT(prf(PRF_AES128_XCBC, bytes_of(key, size), PIECES(BYTES("x")), &a), OK);
        assert_int_equal(a.size, 16);
    }
}

static void the_output_may_replace_its_own_key(void **state)
{
    (void)state;
    SECRET(first);
    SECRET(chained);
    CHECK_FAULT(prf(PRF_HMAC_SHA2_256, BYTES("key"), PIECES(BYTES("a")), &chained), OK);
    CHECK_FAULT(prf(PRF_HMAC_SHA2_256, secret_bytes(&chained),
                    PIECES(BYTES("b"), secret_bytes(&chained)), &first),
                OK);
    CHECK_FAULT(prf(PRF_HMAC_SHA2_256, secret_bytes(&chained),
                    PIECES(BYTES("b"), secret_bytes(&chained)), &chained),
                OK);
    check_bytes(secret_bytes(&first), secret_bytes(&chained));
    CHECK_FAULT(prf(PRF_NONE, BYTES("key"), PIECES(BYTES("a")), &first), FAULT_UNSUPPORTED_PRF);
    CHECK_FAULT(prf_plus(99, BYTES("key"), PIECES(BYTES("a")), 1, &first), FAULT_UNSUPPORTED_PRF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prfs_give_the_published_answers),
        cmocka_unit_test(a_tag_is_the_beginning_of_its_prf),
        cmocka_unit_test(recorded_key_schedules_come_out),
        cmocka_unit_test(prf_plus_stops_at_255_blocks),
        cmocka_unit_test(aes_prfs_take_keys_of_any_size),
        cmocka_unit_test(the_output_may_replace_its_own_key),
    };
    return cmocka_run_group_tests(tests, crypto_setup, NULL);
}
