// SPDX-License-Identifier: Apache-2.0
// What is offered is there, gives its known answers, and digests are those of their standards.
#include "crypto/legacy.h"
#include "vectors.h"

static void known_answers_are_given(void **state)
{
    (void)state;
    const char *which = NULL;
    enum fault fault = crypto_self_test(&which);
    if (fault) fail_msg("%s: %s", fault_name(fault), which);
    assert_string_equal(which, "");
}

static const struct {
    uint16_t encr, key_bits;
} ciphers_wanted[] = {
    {ENCR_3DES, 0},           {ENCR_NULL, 0},           {ENCR_CHACHA20_POLY1305, 0},
    {ENCR_AES_CBC, 128},      {ENCR_AES_CBC, 192},      {ENCR_AES_CBC, 256},
    {ENCR_AES_CTR, 128},      {ENCR_AES_CTR, 256},      {ENCR_AES_CCM_8, 128},
    {ENCR_AES_CCM_12, 192},   {ENCR_AES_CCM_16, 256},   {ENCR_AES_GCM_8, 128},
    {ENCR_AES_GCM_12, 192},   {ENCR_AES_GCM_16, 256},   {ENCR_NULL_AES_GMAC, 128},
    {ENCR_CAMELLIA_CBC, 128}, {ENCR_CAMELLIA_CBC, 192}, {ENCR_CAMELLIA_CBC, 256},
    {ENCR_CAMELLIA_CTR, 256},
};
static const uint16_t kes_wanted[] = {1,  2,  5,  14, 15, 16, 17, 18, 19, 20, 21,
                                      22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};
static const uint16_t integs_wanted[] = {1, 2, 5, 6, 7, 8, 12, 13, 14};
static const uint16_t prfs_wanted[] = {1, 2, 4, 5, 6, 7, 8};

static void algorithms_of_the_table_are_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ciphers_wanted); i++)
        assert_true(crypto_has_encr(ciphers_wanted[i].encr, ciphers_wanted[i].key_bits));
    for (size_t i = 0; i < COUNT(kes_wanted); i++) assert_true(crypto_has_ke(kes_wanted[i]));
    for (size_t i = 0; i < COUNT(integs_wanted); i++)
        assert_true(crypto_has_integ(integs_wanted[i]));
    for (size_t i = 0; i < COUNT(prfs_wanted); i++) assert_true(crypto_has_prf(prfs_wanted[i]));
}

static void what_is_not_there_is_said_so(void **state)
{
    (void)state;
    assert_false(crypto_has_encr(ENCR_DES, 0));
    assert_false(crypto_has_encr(ENCR_AES_CBC, 0));
    assert_false(crypto_has_encr(ENCR_AES_GCM_16, 64));
    assert_false(crypto_has_encr(1024, 128));
    assert_false(crypto_has_integ(INTEG_NONE));
    assert_false(crypto_has_prf(PRF_NONE));
    assert_false(crypto_has_ke(KE_NONE));
}

static const struct {
    uint16_t hash;
    const char *out;
} digests[] = {
    // FIPS 180-4 of "abc"
    {HASH_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
    {HASH_SHA2_256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {HASH_SHA2_384,
     "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c82"
     "5a7"},
    {HASH_SHA2_512,
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
};

static void digests_take_pieces_as_one(void **state)
{
    (void)state;
    struct arena arena = {0};
    uint8_t out[DIGEST_MAX];
    size_t size;
    for (size_t i = 0; i < COUNT(digests); i++) {
        CHECK_FAULT(
            digest(digests[i].hash, PIECES(BYTES("a"), BYTES_NONE, BYTES("bc")), out, &size), OK);
        check_bytes(bytes_of(out, size), hex_bytes(&arena, digests[i].out));
    }
    sha1(PIECES(BYTES("ab"), BYTES("c")), out);
    check_bytes(bytes_of(out, 20), hex_bytes(&arena, digests[0].out));
    CHECK_FAULT(digest(HASH_IDENTITY, PIECES(BYTES("abc")), out, &size), FAULT_UNSUPPORTED_HASH);
    CHECK_FAULT(digest(99, PIECES(BYTES("abc")), out, &size), FAULT_UNSUPPORTED_HASH);
    arena_free(&arena);
}

static void md4_is_that_of_rfc_1320(void **state)
{
    (void)state;
    struct arena arena = {0};
    uint8_t out[16];
    legacy_md4(PIECES(BYTES("")), out);
    check_bytes(BYTES_ARRAY(out), hex_bytes(&arena, "31d6cfe0d16ae931b73c59d7e0c089c0"));
    legacy_md4(PIECES(BYTES("message "), BYTES("digest")), out);
    check_bytes(BYTES_ARRAY(out), hex_bytes(&arena, "d9130a8164549fe818874806e1c7014b"));
    arena_free(&arena);
}

// RFC 2759 9.2: a challenge of eight octets under the three DES keys of a password hash.
static void des_is_that_of_mschapv2(void **state)
{
    (void)state;
    struct arena arena = {0};
    uint8_t out[8];
    struct bytes key = hex_bytes(&arena, "133457799bbcdff1"),
                 in = hex_bytes(&arena, "0123456789abcdef");
    legacy_des_block(key.at, in.at, out); // the worked example known from textbooks
    check_bytes(BYTES_ARRAY(out), hex_bytes(&arena, "85e813540f0ab405"));
    arena_free(&arena);
}

static void cbc_goes_on_from_the_last_block(void **state)
{
    (void)state;
    uint8_t key[16] = {1, 2, 3}, iv[16] = {7}, whole_iv[16] = {7}, data[64], whole[64], parts[64];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)i;
    CHECK_FAULT(legacy_cbc(ENCR_AES_CBC, 128, BYTES_ARRAY(key), LEGACY_ENCRYPT, whole_iv,
                           BYTES_ARRAY(data), whole),
                OK);
    CHECK_FAULT(legacy_cbc(ENCR_AES_CBC, 128, BYTES_ARRAY(key), LEGACY_ENCRYPT, iv,
                           bytes_of(data, 16), parts),
                OK);
    CHECK_FAULT(legacy_cbc(ENCR_AES_CBC, 128, BYTES_ARRAY(key), LEGACY_ENCRYPT, iv,
                           bytes_of(data + 16, 48), parts + 16),
                OK);
    assert_memory_equal(whole, parts, sizeof whole);
    assert_memory_equal(iv, whole_iv, 16);
    memset(iv, 0, 16);
    iv[0] = 7;
    CHECK_FAULT(legacy_cbc(ENCR_AES_CBC, 128, BYTES_ARRAY(key), LEGACY_DECRYPT, iv,
                           bytes_of(parts, 32), parts),
                OK);
    CHECK_FAULT(legacy_cbc(ENCR_AES_CBC, 128, BYTES_ARRAY(key), LEGACY_DECRYPT, iv,
                           bytes_of(parts + 32, 32), parts + 32),
                OK);
    assert_memory_equal(parts, data, sizeof data);
    CHECK_FAULT(legacy_cbc(ENCR_AES_CBC, 128, BYTES_ARRAY(key), LEGACY_DECRYPT, iv,
                           bytes_of(parts, 15), parts),
                FAULT_SEALED_WRONG_SIZE);
    CHECK_FAULT(legacy_cbc(ENCR_AES_CBC, 128, bytes_of(key, 15), LEGACY_DECRYPT, iv,
                           bytes_of(parts, 16), parts),
                FAULT_KEY_WRONG_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers_are_given),
        cmocka_unit_test(algorithms_of_the_table_are_there),
        cmocka_unit_test(what_is_not_there_is_said_so),
        cmocka_unit_test(digests_take_pieces_as_one),
        cmocka_unit_test(md4_is_that_of_rfc_1320),
        cmocka_unit_test(des_is_that_of_mschapv2),
        cmocka_unit_test(cbc_goes_on_from_the_last_block),
    };
    return cmocka_run_group_tests(tests, crypto_setup, NULL);
}
