// SPDX-License-Identifier: Apache-2.0
// Protection of messages: published vectors, round trips of every cipher, and what must be refused.
#include "crypto/legacy.h"
#include "vectors.h"

enum { SPACE = 8192 };

static uint16_t bits_of(uint16_t encr, size_t key_size)
{
    return encr == ENCR_3DES || encr == ENCR_CHACHA20_POLY1305 ? 0 : (uint16_t)(8 * key_size);
}

// Our sealer has salt and IV apart; the vectors give the nonce.
static void aeads_give_the_published_answers(void **state)
{
    (void)state;
    static uint8_t out[SPACE], sealed[SPACE];
    struct vector vector;
    unsigned valid = 0, invalid = 0;
    vectors_open(&vector, "cipher.txt");
    while (vector_next(&vector)) {
        if (strcmp(vector.word, "aead")) continue;
        uint16_t encr = (uint16_t)id_of("ENCR", vector_text(&vector, "encr"));
        struct bytes key = vector_bytes(&vector, "key"), nonce = vector_bytes(&vector, "nonce");
        struct bytes msg = vector_bytes(&vector, "msg"), ct = vector_bytes(&vector, "ct"),
                     tag = vector_bytes(&vector, "tag");
        struct bytes aad = vector_bytes(&vector, "aad"),
                     iv = bytes_of(nonce.at + nonce.size - 8, 8);
        uint8_t salted[40];
        size_t size;
        memcpy(salted, key.at, key.size);
        memcpy(salted + key.size, nonce.at, nonce.size - 8);
        struct sealer sealer = {.encr = encr,
                                .key_bits = bits_of(encr, key.size),
                                .encr_key = bytes_of(salted, key.size + nonce.size - 8)};
        memcpy(sealed, iv.at, 8);
        memcpy(sealed + 8, ct.at, ct.size);
        memcpy(sealed + 8 + ct.size, tag.at, tag.size);
        struct bytes whole = bytes_of(sealed, 8 + ct.size + tag.size);
        bool good = vector_is(&vector, "result", "valid");
        enum fault fault = sealer_open(&sealer, aad, whole, out, &size);
        if (fault != (good ? OK : FAULT_ICV_WRONG))
            fail_msg("%s: %s", vector_text(&vector, "id"), fault_name(fault));
        *(good ? &valid : &invalid) += 1;
        if (!good) continue;
        check_bytes(bytes_of(out, size), msg);
        CHECK_FAULT(sealer_seal(&sealer, aad, iv, msg, out), OK);
        check_bytes(bytes_of(out, whole.size), whole);
    }
    assert_true(valid > 300 && invalid > 100);
}

static void block_ciphers_give_the_published_answers(void **state)
{
    (void)state;
    static uint8_t out[SPACE], integ_key[32];
    struct vector vector;
    unsigned count = 0;
    vectors_open(&vector, "cipher.txt");
    while (vector_next(&vector)) {
        if (strcmp(vector.word, "cipher")) continue;
        uint16_t encr = (uint16_t)id_of("ENCR", vector_text(&vector, "encr"));
        struct bytes key = vector_bytes(&vector, "key"), iv = vector_bytes(&vector, "iv");
        struct bytes msg = vector_bytes(&vector, "msg"), ct = vector_bytes(&vector, "ct");
        uint8_t salted[40];
        size_t salt = encr == ENCR_AES_CTR ? 4 : 0; // the vectors' IV is nonce | IV there
        memcpy(salted, key.at, key.size);
        memcpy(salted + key.size, iv.at, salt);
        struct sealer sealer = {.encr = encr,
                                .key_bits = bits_of(encr, key.size),
                                .integ = INTEG_HMAC_SHA2_256_128,
                                .encr_key = bytes_of(salted, key.size + salt),
                                .integ_key = BYTES_ARRAY(integ_key)};
        CHECK_FAULT(
            sealer_seal(&sealer, BYTES_NONE, bytes_of(iv.at + salt, iv.size - salt), msg, out), OK);
        check_bytes(bytes_of(out + iv.size - salt, ct.size), ct);
        count++;
    }
    assert_true(count > 60);
}

static const struct {
    uint16_t encr, key_bits, integ;
} pairs[] = {
    {ENCR_3DES, 0, INTEG_HMAC_MD5_96},
    {ENCR_AES_CBC, 128, INTEG_HMAC_SHA1_96},
    {ENCR_AES_CBC, 192, INTEG_AES_XCBC_96},
    {ENCR_AES_CBC, 256, INTEG_HMAC_SHA2_256_128},
    {ENCR_AES_CTR, 128, INTEG_HMAC_SHA2_384_192},
    {ENCR_AES_CTR, 192, INTEG_AES_CMAC_96},
    {ENCR_AES_CTR, 256, INTEG_HMAC_SHA2_512_256},
    {ENCR_CAMELLIA_CBC, 128, INTEG_HMAC_SHA1_160},
    {ENCR_CAMELLIA_CBC, 256, INTEG_HMAC_MD5_128},
    {ENCR_CAMELLIA_CTR, 192, INTEG_HMAC_SHA2_256_128},
    {ENCR_AES_GCM_8, 128, INTEG_NONE},
    {ENCR_AES_GCM_12, 192, INTEG_NONE},
    {ENCR_AES_GCM_16, 256, INTEG_NONE},
    {ENCR_AES_CCM_8, 128, INTEG_NONE},
    {ENCR_AES_CCM_12, 192, INTEG_NONE},
    {ENCR_AES_CCM_16, 256, INTEG_NONE},
    {ENCR_CHACHA20_POLY1305, 0, INTEG_NONE},
};

static void sealer_make(size_t i, uint8_t keys[128], struct sealer *sealer)
{
    struct encr_info encr;
    struct integ_info integ = {0};
    for (size_t k = 0; k < 128; k++) keys[k] = (uint8_t)(k * 11 + i);
    assert_true(encr_info(pairs[i].encr, pairs[i].key_bits, &encr));
    if (pairs[i].integ) assert_true(integ_info(pairs[i].integ, &integ));
    *sealer = (struct sealer){pairs[i].encr, pairs[i].key_bits, pairs[i].integ,
                              bytes_of(keys, (size_t)encr.key + encr.salt),
                              bytes_of(keys + 64, integ.key)};
}

// RFC 7296 3.14 test: every bit of header, IV, ciphertext and tag counts.
static void one_changed_bit_is_found(void **state)
{
    (void)state;
    uint8_t keys[128], plain[64], out[256], opened[256], associated[32] = {9};
    size_t size;
    memset(plain, 0x61, sizeof plain);
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct sealer sealer;
        sealer_make(i, keys, &sealer);
        struct bytes iv = bytes_of(keys + 100, sealer_iv_size(&sealer)),
                     aad = BYTES_ARRAY(associated);
        size_t whole = iv.size + sizeof plain + sealer_icv_size(&sealer);
        CHECK_FAULT(sealer_seal(&sealer, aad, iv, BYTES_ARRAY(plain), out), OK);
        CHECK_FAULT(sealer_open(&sealer, aad, bytes_of(out, whole), opened, &size), OK);
        check_bytes(bytes_of(opened, size), BYTES_ARRAY(plain));
        for (size_t bit = 0; bit < 8 * whole; bit++) {
            out[bit / 8] ^= (uint8_t)(1 << bit % 8);
            CHECK_FAULT(sealer_open(&sealer, aad, bytes_of(out, whole), opened, &size),
                        FAULT_ICV_WRONG);
            out[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t bit = 0; bit < 8 * sizeof associated; bit += 7) {
            associated[bit / 8] ^= (uint8_t)(1 << bit % 8);
            CHECK_FAULT(sealer_open(&sealer, aad, bytes_of(out, whole), opened, &size),
                        FAULT_ICV_WRONG);
            associated[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        CHECK_FAULT(
            sealer_open(&sealer, bytes_of(associated, 31), bytes_of(out, whole), opened, &size),
            FAULT_ICV_WRONG);
    }
}

static void a_forged_message_shows_nothing(void **state)
{
    (void)state;
    uint8_t keys[128], plain[32], out[128], opened[128];
    size_t size;
    memset(plain, 0x61, sizeof plain);
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct sealer sealer;
        sealer_make(i, keys, &sealer);
        struct bytes iv = bytes_of(keys + 100, sealer_iv_size(&sealer));
        size_t whole = iv.size + sizeof plain + sealer_icv_size(&sealer);
        CHECK_FAULT(sealer_seal(&sealer, BYTES_NONE, iv, BYTES_ARRAY(plain), out), OK);
        out[whole - 1] ^= 1;
        memset(opened, 0, sizeof opened);
        CHECK_FAULT(sealer_open(&sealer, BYTES_NONE, bytes_of(out, whole), opened, &size),
                    FAULT_ICV_WRONG);
        for (size_t k = 0; k < sizeof plain; k++) assert_int_equal(opened[k], 0);
    }
}

// RFC 7296 3.14 test
static void sizes_that_cannot_be_are_refused(void **state)
{
    (void)state;
    uint8_t keys[128], sealed[256] = {0}, opened[256];
    size_t size;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct sealer sealer;
        sealer_make(i, keys, &sealer);
        size_t around = sealer_iv_size(&sealer) + sealer_icv_size(&sealer),
               block = sealer_block_size(&sealer);
        for (size_t whole = 0; whole < 128; whole++) {
            bool possible = whole > around && (whole - around) % block == 0;
            CHECK_FAULT(sealer_open(&sealer, BYTES_NONE, bytes_of(sealed, whole), opened, &size),
                        possible ? FAULT_ICV_WRONG : FAULT_SEALED_WRONG_SIZE);
        }
    }
}

// RFC 5282 8 test
static void pairs_that_do_not_protect_are_refused(void **state)
{
    (void)state;
    uint8_t key[64] = {0}, plain[16] = {0}, out[128];
    struct sealer sealer = {
        .encr = ENCR_NULL, .integ = INTEG_HMAC_SHA2_256_128, .integ_key = bytes_of(key, 32)};
    CHECK_FAULT(sealer_seal(&sealer, BYTES_NONE, BYTES_NONE, BYTES_ARRAY(plain), out),
                FAULT_UNSUPPORTED_CIPHER);
    sealer =
        (struct sealer){.encr = ENCR_NULL_AES_GMAC, .key_bits = 128, .encr_key = bytes_of(key, 20)};
    CHECK_FAULT(sealer_seal(&sealer, BYTES_NONE, bytes_of(key, 8), BYTES_ARRAY(plain), out),
                FAULT_UNSUPPORTED_CIPHER);
    sealer = (struct sealer){.encr = ENCR_AES_CBC, .key_bits = 128, .encr_key = bytes_of(key, 16)};
    CHECK_FAULT(sealer_seal(&sealer, BYTES_NONE, bytes_of(key, 16), BYTES_ARRAY(plain), out),
                FAULT_UNSUPPORTED_INTEGRITY);
    sealer = (struct sealer){.encr = ENCR_AES_GCM_16,
                             .key_bits = 128,
                             .integ = INTEG_HMAC_SHA1_96,
                             .encr_key = bytes_of(key, 20)};
    CHECK_FAULT(sealer_seal(&sealer, BYTES_NONE, bytes_of(key, 8), BYTES_ARRAY(plain), out),
                FAULT_UNSUPPORTED_INTEGRITY);
    sealer =
        (struct sealer){.encr = ENCR_AES_GCM_16, .key_bits = 128, .encr_key = bytes_of(key, 16)};
    CHECK_FAULT(sealer_seal(&sealer, BYTES_NONE, bytes_of(key, 8), BYTES_ARRAY(plain), out),
                FAULT_KEY_WRONG_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aeads_give_the_published_answers),
        cmocka_unit_test(block_ciphers_give_the_published_answers),
        cmocka_unit_test(one_changed_bit_is_found),
        cmocka_unit_test(a_forged_message_shows_nothing),
        cmocka_unit_test(sizes_that_cannot_be_are_refused),
        cmocka_unit_test(pairs_that_do_not_protect_are_refused),
    };
    return cmocka_run_group_tests(tests, crypto_setup, NULL);
}
