// SPDX-License-Identifier: Apache-2.0
// Integrity of AH: AES-GMAC against Project Wycheproof's answers (aes_gmac_test.json, Apache-2.0),
// the MACs against integ_tag(), which has its own vectors.
#include "crypto/icv.h"
#include "vectors.h"

// The IV of 12 bytes is salt and IV of the packet.
static const struct gmac_row {
    uint16_t integ;
    const char *key, *iv, *data, *tag;
} gmac_rows[] = {
    {INTEG_AES_128_GMAC, "fe3f266f5f236669582bd80618760543", "014313723d1860bf8f4b11fd",
     "dc25f04acfbdbc986a107043286eae", "60392ad41debec0db43d97dfb3798c91"},
    {INTEG_AES_128_GMAC, "1d4a92394c7356a6f528cfb3adb8f253", "02194ece3bc50c51c52bdd83",
     "19b69d4178d49c20b4ee5846cb440c99", "3790b32d5cda9f8ef72b643d701077d3"},
    {INTEG_AES_192_GMAC, "9c426c09c0a0c519a554841eb769886aa3d82725e01b2505",
     "8f6441ffb977de176c4f5336", "e65680b9aeeb43bb4144900800f3bd",
     "0f392a50fe0f183ad9411a6165d54bda"},
    {INTEG_AES_256_GMAC, "30f10609fcf8ae398fa50fb2807e0b605fe1f5962f7cd7d663fa2c50bb0ed537",
     "f251345f8011b4f7fdd59aa2", "c66f86fbee5eda6a0ac4f64d7ef4b8",
     "b7e5ecd235a406152edd4909f1635206"},
    {INTEG_AES_256_GMAC, "b5ca16877137e3595d056001b182eb1651e4ae6af080ce7ee0a0c5651a094603",
     "1fc2128cf247fecb746859fc", "ea94e062b10e5dfd2ea993cb6a103d98",
     "21439fb407247ac0a98a302d6cff4b0f"},
};

static size_t unhex(const char *text, uint8_t *out)
{
    size_t size = strlen(text) / 2;
    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return size;
}

// RFC 4543 3.2, 4 test: salt | IV is the nonce, and the field is IV | tag.
static void gmac_gives_its_known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(gmac_rows); i++) {
        const struct gmac_row *row = &gmac_rows[i];
        uint8_t key[36], iv[12], data[64], tag[16], field[ICV_FIELD_MAX];
        size_t key_size = unhex(row->key, key), size = unhex(row->data, data);
        assert_int_equal(unhex(row->iv, iv), 12);
        assert_int_equal(unhex(row->tag, tag), 16);
        memcpy(key + key_size, iv, 4);
        struct icv_key *icv;
        CHECK_FAULT(icv_key_new(row->integ, bytes_of(key, key_size + 4), &icv), OK);
        assert_int_equal(icv_key_size(icv), 24);
        uint64_t sequence = 0;
        for (size_t n = 4; n < 12; n++) sequence = sequence << 8 | iv[n];
        for (size_t cut = 0; cut <= size; cut++) {
            struct bytes_list list = PIECES(bytes_of(data, cut), bytes_of(data + cut, size - cut));
            icv_make(icv, sequence, list, field);
            assert_memory_equal(field, iv + 4, 8);
            assert_memory_equal(field + 8, tag, 16);
            assert_true(icv_right(icv, list, field));
        }
        icv_key_free(icv);
    }
}

static void every_field_is_checked_whole(void **state)
{
    (void)state;
    static const uint16_t integs[] = {INTEG_HMAC_MD5_96,       INTEG_HMAC_SHA1_96,
                                      INTEG_HMAC_SHA2_256_128, INTEG_HMAC_SHA2_384_192,
                                      INTEG_HMAC_SHA2_512_256, INTEG_AES_XCBC_96,
                                      INTEG_AES_CMAC_96,       INTEG_AES_128_GMAC,
                                      INTEG_AES_192_GMAC,      INTEG_AES_256_GMAC};
    static const uint8_t bytes[64] = {9, 8, 7, 6, 5, 4, 3, 2, 1};
    for (size_t i = 0; i < COUNT(integs); i++) {
        struct integ_info info;
        assert_true(integ_info(integs[i], &info));
        struct bytes key = bytes_of(bytes, info.key);
        struct icv_key *icv;
        CHECK_FAULT(icv_key_new(integs[i], bytes_of(bytes, info.key - 1u), &icv),
                    FAULT_KEY_WRONG_SIZE);
        CHECK_FAULT(icv_key_new(integs[i], key, &icv), OK);
        bool gmac = integs[i] >= INTEG_AES_128_GMAC && integs[i] <= INTEG_AES_256_GMAC;
        for (uint64_t sequence = 1; sequence < 40; sequence++) {
            uint8_t field[ICV_FIELD_MAX], tag[INTEG_TAG_MAX];
            struct bytes_list list = PIECES(bytes_of(bytes, (size_t)sequence));
            icv_make(icv, sequence, list, field);
            if (!gmac) {
                CHECK_FAULT(integ_tag(integs[i], key, list, tag), OK);
                assert_memory_equal(field, tag, icv_key_size(icv));
            }
            assert_true(icv_right(icv, list, field));
            for (size_t at = 0; at < icv_key_size(icv); at++) {
                field[at] ^= 1;
                assert_false(icv_right(icv, list, field));
                field[at] ^= 1;
            }
        }
        icv_key_free(icv);
    }
}

static void what_is_no_integrity_algorithm_is_refused(void **state)
{
    (void)state;
    struct icv_key *icv;
    static const uint8_t key[64];
    CHECK_FAULT(icv_key_new(INTEG_NONE, bytes_of(key, 0), &icv), FAULT_UNSUPPORTED_INTEGRITY);
    CHECK_FAULT(icv_key_new(0xfff0, bytes_of(key, 16), &icv), FAULT_UNSUPPORTED_INTEGRITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gmac_gives_its_known_answers),
        cmocka_unit_test(every_field_is_checked_whole),
        cmocka_unit_test(what_is_no_integrity_algorithm_is_refused),
    };
    crypto_start();
    return cmocka_run_group_tests_name("icv", tests, NULL, NULL);
}
