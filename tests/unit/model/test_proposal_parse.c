// SPDX-License-Identifier: Apache-2.0
#include "model.h"

// What is written, and what it means written out in full.
static void a_proposal_means_this_in_full(void **state)
{
    (void)state;
    static const struct {
        enum iana_protocol protocol;
        const char *text, *full;
    } rows[] = {
        {PROTOCOL_IKE, "aes256gcm16-prfsha384-x25519", "aes256gcm16-prfsha384-curve25519"},
        {PROTOCOL_IKE, "aes128-sha256-modp2048", "aes128-sha256-prfsha256-modp2048"},
        {PROTOCOL_IKE, "aes-sha2_256-ecp256", "aes128-sha256-prfsha256-ecp256"},
        {PROTOCOL_IKE, "modp2048-sha256-aes128", "aes128-sha256-prfsha256-modp2048"},
        {PROTOCOL_IKE, "AES128CBC-SHA-MODP1024", "aes128-sha1-prfsha1-modp1024"},
        {PROTOCOL_IKE, "aes128-aes256-sha1-sha512-modp2048-modp3072",
         "aes128-aes256-sha1-sha512-prfsha1-prfsha512-modp2048-modp3072"},
        {PROTOCOL_IKE, "aes128-sha1-prfsha256-modp2048", "aes128-sha1-prfsha256-modp2048"},
        {PROTOCOL_IKE, "aes128-aesxcbc-modp2048", "aes128-aesxcbc-prfaesxcbc-modp2048"},
        {PROTOCOL_IKE, "aes128-aescmac-modp2048", "aes128-aescmac-prfaescmac-modp2048"},
        {PROTOCOL_IKE, "3des-md5-modp1536", "3des-md5-prfmd5-modp1536"},
        // An integrity beside a combined-mode cipher names the PRF, unless there is one.
        {PROTOCOL_IKE, "aes128gcm-sha256-ecp256", "aes128gcm16-prfsha256-ecp256"},
        {PROTOCOL_IKE, "aes128gcm128-sha256-prfsha384-ecp256", "aes128gcm16-prfsha384-ecp256"},
        {PROTOCOL_IKE, "chacha20poly1305-prfsha512-x448", "chacha20poly1305-prfsha512-curve448"},
        {PROTOCOL_IKE, "aes256gcm16-sha384-x25519-ke1_mlkem768-ke2_none",
         "aes256gcm16-prfsha384-curve25519-ke1_mlkem768-ke2_none"},
        {PROTOCOL_IKE, "aes256-aes256-sha256-sha256-modp2048", "aes256-sha256-prfsha256-modp2048"},
        {PROTOCOL_ESP, "aes128gcm16", "aes128gcm16-noesn"},
        {PROTOCOL_ESP, "aes128gcm16-esn", "aes128gcm16-esn"},
        {PROTOCOL_ESP, "aes128gcm16-esn-noesn", "aes128gcm16-esn-noesn"},
        {PROTOCOL_ESP, "aes128gcm16-sha256-prfsha256-modp2048", "aes128gcm16-modp2048-noesn"},
        {PROTOCOL_ESP, "aes128-sha256", "aes128-sha256-noesn"},
        {PROTOCOL_ESP, "aes128-sha256-ecp256-none", "aes128-sha256-ecp256-none-noesn"},
        {PROTOCOL_ESP, "aes128-sha256-modpnone", "aes128-sha256-none-noesn"},
        {PROTOCOL_ESP, "null-sha256", "null-sha256-noesn"},
        {PROTOCOL_ESP, "aes128gmac", "aes128gmac-noesn"},
        {PROTOCOL_ESP, "camellia256ccm64", "camellia256ccm8-noesn"},
        {PROTOCOL_ESP, " aes128ctr-sha1\t", "aes128ctr-sha1-noesn"},
        {PROTOCOL_ESP, "aes128gcm16-x25519-ke1_mlkem768-ke1_none",
         "aes128gcm16-curve25519-ke1_mlkem768-ke1_none-noesn"},
        {PROTOCOL_AH, "sha256", "sha256-noesn"},
        {PROTOCOL_AH, "aes256gmac-modp3072-esn", "aes256gmac-modp3072-esn"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct proposal proposal, again;
        struct bytes bad = BYTES("untouched");
        char text[512];
        print_message("%s\n", rows[i].text);
        CHECK_FAULT(proposal_parse(rows[i].text, rows[i].protocol, &proposal, &bad), OK);
        check_bytes(bad, BYTES("untouched"));
        assert_int_equal(proposal.protocol, rows[i].protocol);
        assert_int_equal(proposal.number, 0);
        assert_string_equal(proposal_print(&proposal, text, sizeof text), rows[i].full);
        CHECK_FAULT(proposal_parse(text, rows[i].protocol, &again, &bad), OK);
        check_transforms(&again, &proposal);
    }
}

static void what_is_wrong_is_named_and_pointed_at(void **state)
{
    (void)state;
    static const struct {
        enum iana_protocol protocol;
        const char *text;
        enum fault fault;
        const char *bad;
    } rows[] = {
        {PROTOCOL_IKE, "", FAULT_PROPOSAL_KEYWORD, ""},
        {PROTOCOL_IKE, "aes129-sha256-modp2048", FAULT_PROPOSAL_KEYWORD, "aes129"},
        {PROTOCOL_IKE, "aes128-sha256-", FAULT_PROPOSAL_KEYWORD, ""},
        {PROTOCOL_IKE, "aes128--modp2048", FAULT_PROPOSAL_KEYWORD, ""},
        {PROTOCOL_IKE, "default", FAULT_PROPOSAL_KEYWORD, "default"},
        {PROTOCOL_IKE, "aes128 -sha256-modp2048", FAULT_PROPOSAL_KEYWORD, "aes128 "},
        {PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519-ke8_mlkem768", FAULT_PROPOSAL_KEYWORD,
         "ke8_mlkem768"},
        {PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519-ke0_mlkem768", FAULT_PROPOSAL_KEYWORD,
         "ke0_mlkem768"},
        {PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519-ke1_aes128", FAULT_PROPOSAL_KEYWORD,
         "ke1_aes128"},
        {PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519-ke1_", FAULT_PROPOSAL_KEYWORD, "ke1_"},
        {PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519-none", FAULT_PROPOSAL_MISPLACED, "none"},
        {PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519-esn", FAULT_PROPOSAL_MISPLACED, "esn"},
        {PROTOCOL_IKE, "null-sha256-modp2048", FAULT_PROPOSAL_MISPLACED, "null"},
        {PROTOCOL_IKE, "aes128gmac-prfsha256-modp2048", FAULT_PROPOSAL_MISPLACED, "aes128gmac"},
        {PROTOCOL_AH, "aes128-sha256", FAULT_PROPOSAL_MISPLACED, "aes128"},
        {PROTOCOL_IKE, "aes128-aes128gcm16-sha256-modp2048", FAULT_PROPOSAL_MIXES_AEAD,
         "aes128-aes128gcm16-sha256-modp2048"},
        {PROTOCOL_ESP, "chacha20poly1305-null-sha256", FAULT_PROPOSAL_MIXES_AEAD,
         "chacha20poly1305-null-sha256"},
        {PROTOCOL_IKE, "sha256-modp2048", FAULT_PROPOSAL_NO_ENCR, "sha256-modp2048"},
        {PROTOCOL_ESP, "sha256", FAULT_PROPOSAL_NO_ENCR, "sha256"},
        {PROTOCOL_ESP, "aes128", FAULT_PROPOSAL_NO_INTEG, "aes128"},
        {PROTOCOL_ESP, "null", FAULT_PROPOSAL_NO_INTEG, "null"},
        {PROTOCOL_IKE, "aes128-prfsha256-modp2048", FAULT_PROPOSAL_NO_INTEG,
         "aes128-prfsha256-modp2048"},
        {PROTOCOL_AH, "noesn", FAULT_PROPOSAL_NO_INTEG, "noesn"},
        {PROTOCOL_IKE, "aes128gcm16-modp2048", FAULT_PROPOSAL_NO_PRF, "aes128gcm16-modp2048"},
        {PROTOCOL_IKE, "aes128-sha256", FAULT_PROPOSAL_NO_KE, "aes128-sha256"},
        {PROTOCOL_ESP, "aes128gcm16-ke1_mlkem768", FAULT_PROPOSAL_NO_KE,
         "aes128gcm16-ke1_mlkem768"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct proposal proposal = {.number = 77};
        struct bytes bad = BYTES_NONE;
        print_message("%s\n", rows[i].text);
        CHECK_FAULT(proposal_parse(rows[i].text, rows[i].protocol, &proposal, &bad), rows[i].fault);
        check_bytes(bad, bytes_of_text(rows[i].bad));
        assert_int_equal(proposal.number, 77);
        if (bad.size) {
            assert_true(bad.at >= (const uint8_t *)rows[i].text);
            assert_true(bad.at + bad.size <= (const uint8_t *)rows[i].text + strlen(rows[i].text));
        }
    }
}

static void a_proposal_of_more_than_64_algorithms_is_too_long(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf text = BUF(4096);
    struct proposal proposal;
    struct bytes bad;
    static const char *const ciphers[] = {
        "aes128gcm8",  "aes192gcm8",  "aes256gcm8",  "aes128gcm12",
        "aes192gcm12", "aes256gcm12", "aes128gcm16", "aes192gcm16",
    };
    buf_add_text(&text, "aes256ccm8");
    for (size_t i = 0; i < COUNT(ciphers); i++) buf_printf(&text, "-%s", ciphers[i]);
    static const char *const methods[] = {"modp2048", "modp3072", "modp4096", "ecp256",
                                          "ecp384",   "ecp521",   "curve448", "none"};
    buf_add_text(&text, "-curve25519-noesn");
    for (unsigned ke = 1; ke <= 7; ke++)
        for (size_t i = 0; i < COUNT(methods) - (ke == 7); i++)
            buf_printf(&text, "-ke%u_%s", ke, methods[i]);
    CHECK_FAULT(proposal_parse(buf_text(&text), PROTOCOL_ESP, &proposal, &bad),
                FAULT_PROPOSAL_TOO_LONG);
    assert_true(bad.size > 0);
}

static void every_keyword_and_alias_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct transform transform;
    } rows[] = {
        {"aes128ccm64", {TRANSFORM_ENCR, ENCR_AES_CCM_8, 128}},
        {"aes192ccm96", {TRANSFORM_ENCR, ENCR_AES_CCM_12, 192}},
        {"aes256ccm128", {TRANSFORM_ENCR, ENCR_AES_CCM_16, 256}},
        {"aes256ccm", {TRANSFORM_ENCR, ENCR_AES_CCM_16, 256}},
        {"aes128gcm8", {TRANSFORM_ENCR, ENCR_AES_GCM_8, 128}},
        {"aes192gcm96", {TRANSFORM_ENCR, ENCR_AES_GCM_12, 192}},
        {"aes256gcm", {TRANSFORM_ENCR, ENCR_AES_GCM_16, 256}},
        {"chacha20poly1305", {TRANSFORM_ENCR, ENCR_CHACHA20_POLY1305, 0}},
        {"camellia256ccm96", {TRANSFORM_ENCR, ENCR_CAMELLIA_CCM_12, 256}},
        {"aes192gmac", {TRANSFORM_ENCR, ENCR_NULL_AES_GMAC, 192}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct proposal proposal;
        struct bytes bad;
        CHECK_FAULT(proposal_parse(rows[i].text, PROTOCOL_ESP, &proposal, &bad), OK);
        assert_int_equal(proposal.at[0].type, rows[i].transform.type);
        assert_int_equal(proposal.at[0].id, rows[i].transform.id);
        assert_int_equal(proposal.at[0].key_bits, rows[i].transform.key_bits);
    }
}

static void transforms_have_their_keywords(void **state)
{
    (void)state;
    assert_string_equal(transform_keyword((struct transform){TRANSFORM_ENCR, ENCR_AES_GCM_16, 256}),
                        "aes256gcm16");
    assert_string_equal(transform_keyword((struct transform){TRANSFORM_ADDKE3, KE_ML_KEM_768, 0}),
                        "mlkem768");
    assert_null(transform_keyword((struct transform){TRANSFORM_ENCR, ENCR_AES_CBC, 0}));
    assert_null(transform_keyword((struct transform){TRANSFORM_ENCR, ENCR_AES_CBC, 512}));
    assert_null(transform_keyword((struct transform){TRANSFORM_KE, KE_MODP_2048, 2048}));
    assert_null(transform_keyword((struct transform){TRANSFORM_INTEG, INTEG_NONE, 0}));
    assert_null(transform_keyword((struct transform){99, 1, 0}));
}

static void legacy_is_known_as_weak(void **state)
{
    (void)state;
    static const struct {
        struct transform transform;
        bool weak;
    } rows[] = {
        {{TRANSFORM_ENCR, ENCR_3DES, 0}, true},
        {{TRANSFORM_ENCR, ENCR_DES, 0}, true},
        {{TRANSFORM_ENCR, ENCR_NULL, 0}, true},
        {{TRANSFORM_ENCR, ENCR_AES_CBC, 128}, false},
        {{TRANSFORM_INTEG, INTEG_HMAC_MD5_96, 0}, true},
        {{TRANSFORM_INTEG, INTEG_HMAC_SHA1_96, 0}, true},
        {{TRANSFORM_INTEG, INTEG_NONE, 0}, false},
        {{TRANSFORM_PRF, PRF_HMAC_SHA1, 0}, true},
        {{TRANSFORM_PRF, PRF_HMAC_SHA2_256, 0}, false},
        {{TRANSFORM_KE, KE_MODP_1536, 0}, true},
        {{TRANSFORM_KE, KE_MODP_2048_256, 0}, true},
        {{TRANSFORM_KE, KE_MODP_2048, 0}, false},
        {{TRANSFORM_ADDKE1, KE_MODP_1024, 0}, true},
        {{TRANSFORM_KE, KE_NONE, 0}, false},
        {{TRANSFORM_ENCR, 999, 0}, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(transform_is_weak(rows[i].transform), rows[i].weak);
}

static void the_defaults_are_sound_and_without_legacy(void **state)
{
    (void)state;
    static const struct {
        enum iana_protocol protocol;
        size_t count;
    } rows[] = {{PROTOCOL_IKE, 3}, {PROTOCOL_ESP, 2}, {PROTOCOL_AH, 1}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct proposals set;
        proposals_default(rows[i].protocol, &set);
        assert_int_equal(set.count, rows[i].count);
        for (size_t j = 0; j < set.count; j++) {
            assert_int_equal(set.at[j].protocol, rows[i].protocol);
            for (size_t k = 0; k < set.at[j].count; k++) {
                assert_false(transform_is_weak(set.at[j].at[k]));
                if (rows[i].protocol != PROTOCOL_IKE)
                    assert_int_not_equal(set.at[j].at[k].type, TRANSFORM_KE);
            }
        }
    }
}

static void what_has_no_keyword_prints_with_its_numbers(void **state)
{
    (void)state;
    struct proposal proposal = {.count = 5,
                                .at = {{TRANSFORM_ENCR, ENCR_AES_GCM_16, 384},
                                       {TRANSFORM_ENCR, 1234, 0},
                                       {TRANSFORM_INTEG, INTEG_NONE, 0},
                                       {TRANSFORM_ADDKE2, 4000, 0},
                                       {200, 3, 7}}};
    char text[512], small[8];
    assert_string_equal(proposal_print(&proposal, text, sizeof text),
                        "encr:AES_GCM_16/384-encr:1234-integ:none-ke2:4000-type 200:3/7");
    assert_string_equal(proposal_print(&proposal, small, sizeof small), "encr:AE");
    assert_string_equal(proposal_print(&proposal, small, 1), "");
}

static void random_texts_are_read_or_refused_but_never_otherwise(void **state)
{
    (void)state;
    static const char *const words[] = {
        "aes128", "aes256gcm16", "sha256", "prfsha256",    "modp2048",     "x25519",
        "none",   "esn",         "noesn",  "ke1_mlkem768", "ke2_none",     "null",
        "md5",    "aes128gmac",  "",       "foo",          "KE1_modp1024", "3des"};
    struct rng_seeded rng = seeded(20240611);
    size_t good = 0;
    for (int i = 0; i < 20000; i++) {
        AUTOFREE_BUF struct buf text = BUF(4096);
        uint64_t count = 1 + rng_below(&rng.rng, 6);
        for (uint64_t j = 0; j < count; j++)
            buf_printf(&text, "%s%s", j ? "-" : "", words[rng_below(&rng.rng, COUNT(words))]);
        enum iana_protocol protocol = (enum iana_protocol)(1 + rng_below(&rng.rng, 3));
        struct proposal proposal, again;
        struct bytes bad;
        char printed[512];
        if (proposal_parse(buf_text(&text), protocol, &proposal, &bad)) continue;
        good++;
        proposal_print(&proposal, printed, sizeof printed);
        CHECK_FAULT(proposal_parse(printed, protocol, &again, &bad), OK);
        check_transforms(&again, &proposal);
    }
    assert_true(good > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proposal_means_this_in_full),
        cmocka_unit_test(what_is_wrong_is_named_and_pointed_at),
        cmocka_unit_test(a_proposal_of_more_than_64_algorithms_is_too_long),
        cmocka_unit_test(every_keyword_and_alias_is_read),
        cmocka_unit_test(transforms_have_their_keywords),
        cmocka_unit_test(legacy_is_known_as_weak),
        cmocka_unit_test(the_defaults_are_sound_and_without_legacy),
        cmocka_unit_test(what_has_no_keyword_prints_with_its_numbers),
        cmocka_unit_test(random_texts_are_read_or_refused_but_never_otherwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
