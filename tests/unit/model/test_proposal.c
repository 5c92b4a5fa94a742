// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#define COMMA ,

// --- Sizes

static void sizes_are_those_of_the_documents(void **state)
{
    (void)state;
    static const struct {
        uint16_t encr, bits;
        struct encr_info info;
    } ciphers[] = {
        {ENCR_AES_CBC, 128, {16, 0, 16, 16, 0, false, false}},
        {ENCR_AES_CBC, 256, {32, 0, 16, 16, 0, false, false}},
        {ENCR_AES_CTR, 192, {24, 4, 8, 1, 0, false, true}},    // RFC 3686 5.1 test
        {ENCR_AES_CCM_12, 128, {16, 3, 8, 1, 12, true, true}}, // RFC 4309 7.1 test
        {ENCR_AES_GCM_16, 256, {32, 4, 8, 1, 16, true, true}}, // RFC 4106 8.1 test
        {ENCR_NULL_AES_GMAC, 192, {24, 4, 8, 1, 16, true, true}},
        {ENCR_CHACHA20_POLY1305, 0, {32, 4, 8, 1, 16, true, true}}, // RFC 7634 2 test
        {ENCR_3DES, 0, {24, 0, 8, 8, 0, false, false}},
        {ENCR_NULL, 0, {0, 0, 0, 1, 0, false, true}},
        {ENCR_CAMELLIA_CBC, 192, {24, 0, 16, 16, 0, false, false}},
    };
    for (size_t i = 0; i < COUNT(ciphers); i++) {
        struct encr_info info;
        assert_true(encr_info(ciphers[i].encr, ciphers[i].bits, &info));
        assert_int_equal(info.key, ciphers[i].info.key);
        assert_int_equal(info.salt, ciphers[i].info.salt);
        assert_int_equal(info.iv, ciphers[i].info.iv);
        assert_int_equal(info.block, ciphers[i].info.block);
        assert_int_equal(info.icv, ciphers[i].info.icv);
        assert_int_equal(info.aead, ciphers[i].info.aead);
        assert_int_equal(info.stream, ciphers[i].info.stream);
    }
    struct integ_info integ;
    assert_true(integ_info(INTEG_HMAC_SHA2_512_256, &integ));
    assert_int_equal(integ.key, 64);
    assert_int_equal(integ.icv, 32);
    assert_true(integ_info(INTEG_AES_256_GMAC, &integ));
    assert_int_equal(integ.key, 36);
    assert_true(integ_info(INTEG_NONE, &integ));
    assert_int_equal(integ.key + integ.icv, 0);
    struct prf_info prf;
    assert_true(prf_info(PRF_HMAC_SHA2_384, &prf));
    assert_int_equal(prf.key, 48);
    assert_int_equal(prf.output, 48);
    assert_false(prf.fixed_key);
    assert_true(prf_info(PRF_AES128_CMAC, &prf));
    assert_true(prf.fixed_key);
    struct ke_info ke;
    assert_true(ke_info(KE_ECP_521, &ke));
    assert_int_equal(ke.public_size, 132);
    assert_int_equal(ke.shared_size, 66);
    assert_true(ke_info(KE_ML_KEM_768, &ke));
    assert_int_equal(ke.public_size, 1184);
    assert_int_equal(ke.answer_size, 1088);
    assert_true(ke.kem);
}

static void what_is_unknown_has_no_size(void **state)
{
    (void)state;
    struct encr_info encr;
    struct integ_info integ;
    struct prf_info prf;
    struct ke_info ke;
    assert_false(encr_info(ENCR_AES_CBC, 0, &encr));
    assert_false(encr_info(ENCR_AES_CBC, 129, &encr));
    assert_false(encr_info(ENCR_CHACHA20_POLY1305, 256, &encr));
    assert_false(encr_info(ENCR_NONE, 0, &encr));
    assert_false(encr_info(5000, 128, &encr));
    assert_false(integ_info(99, &integ));
    assert_false(prf_info(PRF_NONE, &prf));
    assert_false(ke_info(KE_NONE, &ke));
    assert_false(ke_info(3, &ke));
}

// --- Choosing

struct choice_row {
    enum iana_protocol protocol;
    const char *mine, *offered;
    enum proposal_ke with_ke;
    uint16_t preferred;
    const char *suite; // NULL: nothing fits
    size_t index;
};

// RFC 7296 2.7 test
static const struct choice_row choices[] = {
    {PROTOCOL_IKE, "aes128-sha256-modp2048", "aes128-sha256-modp2048", PROPOSAL_WITH_KE, 0,
     "aes128-sha256-prfsha256-modp2048", 0},
    // Ours decides the order.
    {PROTOCOL_IKE, "aes256-aes128-sha512-sha256-modp3072-modp2048",
     "aes128-aes256-sha256-sha512-modp2048-modp3072", PROPOSAL_WITH_KE, 0,
     "aes256-sha512-prfsha512-modp3072", 0},
    // A group whose value has come already wins.
    {PROTOCOL_IKE, "aes256-sha256-modp3072-modp2048", "aes256-sha256-modp2048-modp3072",
     PROPOSAL_WITH_KE, KE_MODP_2048, "aes256-sha256-prfsha256-modp2048", 0},
    {PROTOCOL_IKE, "aes256-sha256-modp3072", "aes256-sha256-modp2048-modp3072", PROPOSAL_WITH_KE,
     KE_MODP_2048, "aes256-sha256-prfsha256-modp3072", 0},
    {PROTOCOL_IKE, "aes256-sha256-modp3072-modp2048", "aes256-sha256-modp3072", PROPOSAL_WITH_KE,
     KE_MODP_2048, "aes256-sha256-prfsha256-modp3072", 0},
    // Our first proposal is looked for in all of theirs before our second one.
    {PROTOCOL_IKE, "aes256gcm16-prfsha256-x25519,aes128-sha256-modp2048",
     "aes128-sha256-modp2048,aes256gcm16-prfsha256-x25519", PROPOSAL_WITH_KE, KE_MODP_2048,
     "aes256gcm16-prfsha256-curve25519", 1},
    {PROTOCOL_IKE, "aes128-sha256-modp2048", "aes256-sha256-modp2048", PROPOSAL_WITH_KE, 0, NULL,
     0},
    {PROTOCOL_IKE, "aes128-sha256-modp2048", "aes128-sha1-prfsha256-modp2048", PROPOSAL_WITH_KE, 0,
     NULL, 0},
    {PROTOCOL_IKE, "aes128-sha256-modp2048", "aes128-sha256-modp3072", PROPOSAL_WITH_KE, 0, NULL,
     0},
    {PROTOCOL_IKE, "aes128-sha256-prfsha384-modp2048", "aes128-sha256-modp2048", PROPOSAL_WITH_KE,
     0, NULL, 0},
    {PROTOCOL_IKE, "aes128gcm16-prfsha256-modp2048", "aes128-sha256-modp2048", PROPOSAL_WITH_KE, 0,
     NULL, 0},
    // Children.
    {PROTOCOL_ESP, "aes128gcm16", "aes128gcm16-aes256gcm16", PROPOSAL_WITH_KE, 0,
     "aes128gcm16-noesn", 0},
    {PROTOCOL_ESP, "aes128gcm16-esn-noesn", "aes128gcm16-noesn-esn", PROPOSAL_WITH_KE, 0,
     "aes128gcm16-esn", 0},
    {PROTOCOL_ESP, "aes128gcm16-esn", "aes128gcm16", PROPOSAL_WITH_KE, 0, NULL, 0},
    {PROTOCOL_ESP, "aes128gcm16-x25519", "aes128gcm16-x25519", PROPOSAL_WITH_KE, 0,
     "aes128gcm16-curve25519-noesn", 0},
    {PROTOCOL_ESP, "aes128gcm16-x25519", "aes128gcm16-x25519", PROPOSAL_WITHOUT_KE, 0,
     "aes128gcm16-noesn", 0},
    {PROTOCOL_ESP, "aes128gcm16-x25519", "aes128gcm16", PROPOSAL_WITHOUT_KE, 0, "aes128gcm16-noesn",
     0},
    {PROTOCOL_ESP, "aes128gcm16-x25519", "aes128gcm16", PROPOSAL_WITH_KE, 0, NULL, 0},
    {PROTOCOL_ESP, "aes128gcm16", "aes128gcm16-x25519", PROPOSAL_WITH_KE, 0, NULL, 0},
    {PROTOCOL_ESP, "aes128gcm16-x25519-none", "aes128gcm16", PROPOSAL_WITH_KE, 0,
     "aes128gcm16-noesn", 0},
    {PROTOCOL_ESP, "aes128gcm16", "aes128gcm16-x25519-none", PROPOSAL_WITH_KE, 0,
     "aes128gcm16-noesn", 0},
    {PROTOCOL_ESP, "aes128gcm16-none-x25519", "aes128gcm16-x25519-none", PROPOSAL_WITH_KE, 0,
     "aes128gcm16-noesn", 0},
    {PROTOCOL_ESP, "aes128gcm16-none-x25519", "aes128gcm16-x25519-none", PROPOSAL_WITH_KE,
     KE_CURVE_25519, "aes128gcm16-curve25519-noesn", 0},
    {PROTOCOL_AH, "sha256-sha512", "sha512", PROPOSAL_WITH_KE, 0, "sha512-noesn", 0},
    // RFC 9370 2.2.2 test
    {PROTOCOL_IKE, "aes128gcm16-sha256-x25519-ke1_mlkem768",
     "aes128gcm16-sha256-x25519-ke1_mlkem768", PROPOSAL_WITH_KE, 0,
     "aes128gcm16-prfsha256-curve25519-ke1_mlkem768", 0},
    {PROTOCOL_IKE, "aes128gcm16-sha256-x25519", "aes128gcm16-sha256-x25519-ke1_mlkem768",
     PROPOSAL_WITH_KE, 0, NULL, 0},
    {PROTOCOL_IKE, "aes128gcm16-sha256-x25519", "aes128gcm16-sha256-x25519-ke1_mlkem768-ke1_none",
     PROPOSAL_WITH_KE, 0, "aes128gcm16-prfsha256-curve25519", 0},
    {PROTOCOL_IKE, "aes128gcm16-sha256-x25519-ke1_mlkem768-ke1_none", "aes128gcm16-sha256-x25519",
     PROPOSAL_WITH_KE, 0, "aes128gcm16-prfsha256-curve25519", 0},
    {PROTOCOL_IKE, "aes128gcm16-sha256-x25519-ke1_mlkem768", "aes128gcm16-sha256-x25519",
     PROPOSAL_WITH_KE, 0, NULL, 0},
    {PROTOCOL_IKE, "aes128gcm16-sha256-x25519-ke1_ecp256-ke1_ecp384-ke2_ecp256",
     "aes128gcm16-sha256-x25519-ke1_ecp256-ke1_ecp384-ke2_ecp256", PROPOSAL_WITH_KE, 0,
     "aes128gcm16-prfsha256-curve25519-ke1_ecp384-ke2_ecp256", 0},
    {PROTOCOL_IKE, "aes128gcm16-sha256-x25519-ke1_ecp256-ke2_ecp256",
     "aes128gcm16-sha256-x25519-ke1_ecp256-ke2_ecp256", PROPOSAL_WITH_KE, 0, NULL, 0},
    {PROTOCOL_IKE, "aes128gcm16-sha256-x25519-ke1_ecp256-ke2_ecp256-ke2_none",
     "aes128gcm16-sha256-x25519-ke1_ecp256-ke2_none-ke2_ecp256", PROPOSAL_WITH_KE, 0,
     "aes128gcm16-prfsha256-curve25519-ke1_ecp256", 0},
    {PROTOCOL_IKE, "aes128gcm16-sha256-x25519-ke3_ecp256",
     "aes128gcm16-sha256-x25519-ke3_ecp256-ke1_none", PROPOSAL_WITH_KE, 0,
     "aes128gcm16-prfsha256-curve25519-ke3_ecp256", 0},
};

static void the_choice_is_this(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(choices); i++) {
        const struct choice_row *row = &choices[i];
        struct proposals mine = proposals_of(row->protocol, row->mine),
                         offered = proposals_of(row->protocol, row->offered);
        struct suite suite;
        size_t index = 99;
        char text[256];
        print_message("%s from %s\n", row->mine, row->offered);
        enum fault fault =
            proposals_choose(&mine, &offered, row->with_ke, row->preferred, &suite, &index);
        CHECK_FAULT(fault, row->suite ? OK : FAULT_NO_PROPOSAL_CHOSEN);
        if (!row->suite) continue;
        assert_string_equal(suite_print(&suite, text, sizeof text), row->suite);
        assert_int_equal(index, row->index);
        assert_int_equal(suite.proposal_number, row->index + 1);
        assert_int_equal(suite.protocol, row->protocol);
    }
}

// What the responder answers the initiator accepts, and both have the same suite.
static void what_is_chosen_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(choices); i++) {
        const struct choice_row *row = &choices[i];
        struct proposals mine = proposals_of(row->protocol, row->mine),
                         offered = proposals_of(row->protocol, row->offered);
        struct suite chosen, agreed;
        size_t index, index_again;
        if (!row->suite) continue;
        CHECK_FAULT(
            proposals_choose(&mine, &offered, row->with_ke, row->preferred, &chosen, &index), OK);
        struct proposals answer = {.count = 1};
        suite_proposal(&chosen, &answer.at[0]);
        CHECK_FAULT(proposals_accept(&offered, &answer, row->with_ke, &agreed, &index_again), OK);
        assert_int_equal(index, index_again);
        char a[256], b[256];
        assert_string_equal(suite_print(&chosen, a, sizeof a), suite_print(&agreed, b, sizeof b));
        assert_int_equal(chosen.nones, agreed.nones);
    }
}

static void key_lengths_must_be_the_same(void **state)
{
    (void)state;
    struct proposals mine = proposals_of(PROTOCOL_ESP, "aes128gcm16"), offered = mine;
    struct suite suite;
    size_t index;
    offered.at[0].at[0].key_bits = 0;
    CHECK_FAULT(proposals_choose(&mine, &offered, PROPOSAL_WITH_KE, 0, &suite, &index),
                FAULT_NO_PROPOSAL_CHOSEN);
    offered.at[0].at[0].key_bits = 0xffff;
    CHECK_FAULT(proposals_choose(&mine, &offered, PROPOSAL_WITH_KE, 0, &suite, &index),
                FAULT_NO_PROPOSAL_CHOSEN);
    offered.at[0].at[0].key_bits = 128;
    CHECK_FAULT(proposals_choose(&mine, &offered, PROPOSAL_WITH_KE, 0, &suite, &index), OK);
    assert_int_equal(suite.key_bits, 128);
}

static void offer_transform(struct proposals *set, uint8_t type, uint16_t id, uint16_t bits)
{
    struct proposal *proposal = &set->at[0];
    proposal->at[proposal->count++] = (struct transform){type, id, bits};
}

// RFC 7296 3.3.6 test
static void an_unknown_type_spoils_its_proposal_only(void **state)
{
    (void)state;
    struct proposals mine = proposals_of(PROTOCOL_ESP, "aes128gcm16");
    struct proposals offered = proposals_of(PROTOCOL_ESP, "aes128gcm16,aes128gcm16");
    static const uint8_t types[] = {0, 13, 14, 200, 241, 255};
    for (size_t i = 0; i < COUNT(types); i++) {
        struct suite suite;
        size_t index;
        struct proposals changed = offered;
        offer_transform(&changed, types[i], 1, 0);
        CHECK_FAULT(proposals_choose(&mine, &changed, PROPOSAL_WITH_KE, 0, &suite, &index), OK);
        assert_int_equal(index, 1);
        changed.count = 1;
        CHECK_FAULT(proposals_choose(&mine, &changed, PROPOSAL_WITH_KE, 0, &suite, &index),
                    FAULT_NO_PROPOSAL_CHOSEN);
    }
}

// RFC 7296 3.3.6 test
static void an_unknown_number_is_just_not_taken(void **state)
{
    (void)state;
    struct proposals mine = proposals_of(PROTOCOL_ESP, "aes128gcm16"), offered = mine;
    struct suite suite;
    size_t index;
    offer_transform(&offered, TRANSFORM_ENCR, 1234, 128);
    offer_transform(&offered, TRANSFORM_SN, 77, 0);
    CHECK_FAULT(proposals_choose(&mine, &offered, PROPOSAL_WITH_KE, 0, &suite, &index), OK);
    assert_int_equal(suite.encr, ENCR_AES_GCM_16);
    assert_int_equal(suite.sn, SN_32_BIT);
}

// RFC 5282 8 test
static void integrity_none_may_stand_beside_a_combined_cipher(void **state)
{
    (void)state;
    struct proposals mine = proposals_of(PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519"),
                     offered = mine;
    struct suite suite;
    size_t index;
    struct proposals answer = {.count = 1};
    offer_transform(&offered, TRANSFORM_INTEG, INTEG_NONE, 0);
    CHECK_FAULT(proposals_choose(&mine, &offered, PROPOSAL_WITH_KE, 0, &suite, &index), OK);
    assert_int_equal(suite.integ, INTEG_NONE);
    suite_proposal(&suite, &answer.at[0]);
    assert_int_equal(answer.at[0].count, 4);
    // And an answer may say NONE where nothing was offered.
    CHECK_FAULT(proposals_accept(&mine, &answer, PROPOSAL_WITH_KE, &suite, &index), OK);
}

// RFC 5282 8 test
static void integrity_beside_a_combined_cipher_is_refused(void **state)
{
    (void)state;
    struct proposals mine = proposals_of(PROTOCOL_ESP, "aes128gcm16"), offered = mine;
    struct suite suite;
    size_t index;
    offer_transform(&offered, TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0);
    CHECK_FAULT(proposals_choose(&mine, &offered, PROPOSAL_WITH_KE, 0, &suite, &index),
                FAULT_NO_PROPOSAL_CHOSEN);
}

static void a_missing_type_is_not_guessed(void **state)
{
    (void)state;
    struct proposals mine = proposals_of(PROTOCOL_ESP, "aes128-sha256");
    for (size_t left_out = 0; left_out < 3; left_out++) {
        struct proposals offered = mine;
        struct suite suite;
        size_t index;
        offered.at[0].at[left_out] = offered.at[0].at[--offered.at[0].count];
        CHECK_FAULT(proposals_choose(&mine, &offered, PROPOSAL_WITH_KE, 0, &suite, &index),
                    FAULT_NO_PROPOSAL_CHOSEN);
    }
}

// RFC 7296 2.18 test
static void an_ike_sa_never_does_without_a_key_exchange(void **state)
{
    (void)state;
    struct proposals mine = proposals_of(PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519");
    struct suite suite;
    size_t index;
    mine.at[0].at[2].id = KE_NONE;
    CHECK_FAULT(proposals_choose(&mine, &mine, PROPOSAL_WITH_KE, 0, &suite, &index),
                FAULT_NO_PROPOSAL_CHOSEN);
    CHECK_FAULT(proposals_accept(&mine, &mine, PROPOSAL_WITH_KE, &suite, &index),
                FAULT_PROPOSAL_NOT_OFFERED);
}

static void protocols_do_not_mix(void **state)
{
    (void)state;
    struct proposals mine = proposals_of(PROTOCOL_ESP, "aes128gcm16"), offered = mine, none = {0};
    struct suite suite;
    size_t index;
    offered.at[0].protocol = PROTOCOL_AH;
    CHECK_FAULT(proposals_choose(&mine, &offered, PROPOSAL_WITH_KE, 0, &suite, &index),
                FAULT_NO_PROPOSAL_CHOSEN);
    CHECK_FAULT(proposals_choose(&mine, &none, PROPOSAL_WITH_KE, 0, &suite, &index),
                FAULT_NO_PROPOSAL_CHOSEN);
    CHECK_FAULT(proposals_choose(&none, &mine, PROPOSAL_WITH_KE, 0, &suite, &index),
                FAULT_NO_PROPOSAL_CHOSEN);
}

static void none_in_so_many_words_is_answered_so(void **state)
{
    (void)state;
    struct proposals mine = proposals_of(PROTOCOL_IKE, "aes128gcm16-sha256-x25519");
    struct proposals offered =
        proposals_of(PROTOCOL_IKE, "aes128gcm16-sha256-x25519-ke1_mlkem768-ke1_none");
    struct suite suite;
    size_t index;
    struct proposal answer;
    CHECK_FAULT(proposals_choose(&mine, &offered, PROPOSAL_WITH_KE, 0, &suite, &index), OK);
    suite_proposal(&suite, &answer);
    assert_int_equal(answer.count, 4);
    assert_int_equal(answer.at[3].type, TRANSFORM_ADDKE1);
    assert_int_equal(answer.at[3].id, KE_NONE);
    CHECK_FAULT(proposals_choose(&mine, &mine, PROPOSAL_WITH_KE, 0, &suite, &index), OK);
    suite_proposal(&suite, &answer);
    assert_int_equal(answer.count, 3);
}

// Seven types that want the same few methods: the search ends, whatever it finds.
static void the_search_among_additional_exchanges_is_bounded(void **state)
{
    (void)state;
    struct proposals mine = proposals_of(PROTOCOL_IKE, "aes128gcm16-sha256-x25519");
    for (uint8_t type = TRANSFORM_ADDKE1; type <= TRANSFORM_ADDKE5; type++)
        for (uint16_t id = 14; id < 14 + 11; id++) offer_transform(&mine, type, id, 0);
    offer_transform(&mine, TRANSFORM_ADDKE6, 40, 0);
    offer_transform(&mine, TRANSFORM_ADDKE7, 40, 0);
    struct suite suite;
    size_t index;
    CHECK_FAULT(proposals_choose(&mine, &mine, PROPOSAL_WITH_KE, 0, &suite, &index),
                FAULT_NO_PROPOSAL_CHOSEN);
    mine.at[0].at[mine.at[0].count - 1].id = 41;
    CHECK_FAULT(proposals_choose(&mine, &mine, PROPOSAL_WITH_KE, 0, &suite, &index), OK);
    for (size_t i = 0; i < 7; i++)
        for (size_t j = 0; j < i; j++) assert_int_not_equal(suite.addke[i], suite.addke[j]);
}

// --- Accepting

// RFC 7296 3.3.6 test
static void an_answer_must_be_one_complete_choice_out_of_the_offer(void **state)
{
    (void)state;
    struct proposals offered = proposals_of(
        PROTOCOL_IKE, "aes256gcm16-prfsha256-x25519,aes128-aes256-sha256-modp2048-modp3072");
    struct proposals good = {.count = 1};
    struct suite suite;
    size_t index;
    good.at[0] = (struct proposal){.number = 2,
                                   .protocol = PROTOCOL_IKE,
                                   .count = 4,
                                   .at = {{TRANSFORM_ENCR, ENCR_AES_CBC, 256},
                                          {TRANSFORM_PRF, PRF_HMAC_SHA2_256, 0},
                                          {TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0},
                                          {TRANSFORM_KE, KE_MODP_3072, 0}}};
    CHECK_FAULT(proposals_accept(&offered, &good, PROPOSAL_WITH_KE, &suite, &index), OK);
    assert_int_equal(index, 1);
    assert_int_equal(suite.encr, ENCR_AES_CBC);
    assert_int_equal(suite.key_bits, 256);
    assert_int_equal(suite.prf, PRF_HMAC_SHA2_256);
    assert_int_equal(suite.integ, INTEG_HMAC_SHA2_256_128);
    assert_int_equal(suite.ke, KE_MODP_3072);

#define REFUSED(change)                                                                            \
    do {                                                                                           \
        struct proposals answer = good;                                                            \
        struct proposal *p = &answer.at[0];                                                        \
        change;                                                                                    \
        (void)p;                                                                                   \
        CHECK_FAULT(proposals_accept(&offered, &answer, PROPOSAL_WITH_KE, &suite, &index),         \
                    FAULT_PROPOSAL_NOT_OFFERED);                                                   \
    } while (0)
    REFUSED(answer.count = 0);
    REFUSED(answer.count = 2; answer.at[1] = *p);
    REFUSED(p->number = 1);
    REFUSED(p->number = 0);
    REFUSED(p->number = 3);
    REFUSED(p->protocol = PROTOCOL_ESP);
    REFUSED(p->count = 3);
    REFUSED(p->count = 0);
    REFUSED(p->at[0].key_bits = 192);
    REFUSED(p->at[0].key_bits = 0);
    REFUSED(p->at[0].id = ENCR_AES_CTR);
    REFUSED(p->at[3].id = KE_MODP_4096);
    REFUSED(p->at[3].id = KE_NONE);
    REFUSED(p->at[2].id = INTEG_NONE);
    REFUSED(p->at[p->count++] = (struct transform){TRANSFORM_KE COMMA KE_MODP_2048 COMMA 0});
    REFUSED(p->at[p->count++] = p->at[3]);
    REFUSED(p->at[p->count++] = (struct transform){TRANSFORM_SN COMMA 0 COMMA 0});
    REFUSED(p->at[p->count++] = (struct transform){99 COMMA 0 COMMA 0});
    REFUSED(p->at[p->count++] = (struct transform){TRANSFORM_ADDKE1 COMMA KE_ML_KEM_768 COMMA 0});
#undef REFUSED
}

static void the_first_child_accepts_no_key_exchange(void **state)
{
    (void)state;
    struct proposals offered = proposals_of(PROTOCOL_ESP, "aes128gcm16-x25519"), answer = offered;
    struct suite suite;
    size_t index;
    CHECK_FAULT(proposals_accept(&offered, &answer, PROPOSAL_WITH_KE, &suite, &index), OK);
    CHECK_FAULT(proposals_accept(&offered, &answer, PROPOSAL_WITHOUT_KE, &suite, &index),
                FAULT_PROPOSAL_NOT_OFFERED);
    answer.at[0].at[1].id = KE_NONE;
    CHECK_FAULT(proposals_accept(&offered, &answer, PROPOSAL_WITHOUT_KE, &suite, &index), OK);
    answer = proposals_of(PROTOCOL_ESP, "aes128gcm16");
    CHECK_FAULT(proposals_accept(&offered, &answer, PROPOSAL_WITHOUT_KE, &suite, &index), OK);
    assert_int_equal(suite.ke, KE_NONE);
    CHECK_FAULT(proposals_accept(&offered, &answer, PROPOSAL_WITH_KE, &suite, &index),
                FAULT_PROPOSAL_NOT_OFFERED);
}

// RFC 9370 2.2.2 test
static void an_answer_with_one_method_twice_is_refused(void **state)
{
    (void)state;
    struct proposals offered =
        proposals_of(PROTOCOL_IKE, "aes128gcm16-sha256-x25519-ke1_ecp256-ke1_ecp384-ke2_ecp256");
    struct proposals answer =
        proposals_of(PROTOCOL_IKE, "aes128gcm16-sha256-x25519-ke1_ecp384-ke2_ecp256");
    struct suite suite;
    size_t index;
    CHECK_FAULT(proposals_accept(&offered, &answer, PROPOSAL_WITH_KE, &suite, &index), OK);
    answer = proposals_of(PROTOCOL_IKE, "aes128gcm16-sha256-x25519-ke1_ecp256-ke2_ecp256");
    CHECK_FAULT(proposals_accept(&offered, &answer, PROPOSAL_WITH_KE, &suite, &index),
                FAULT_PROPOSAL_NOT_OFFERED);
}

// Two random sides: when they agree, both hold the same suite, and each part of it is one of both
// sides'.
static void random_sides_agree_on_the_same_or_on_nothing(void **state)
{
    (void)state;
    static const uint8_t types[] = {TRANSFORM_ENCR, TRANSFORM_PRF,    TRANSFORM_INTEG,
                                    TRANSFORM_KE,   TRANSFORM_ADDKE1, TRANSFORM_ADDKE2};
    static const uint16_t ids[][4] = {{ENCR_AES_CBC, ENCR_AES_GCM_16, ENCR_AES_CTR, 77},
                                      {PRF_HMAC_SHA1, PRF_HMAC_SHA2_256, 5, 7},
                                      {INTEG_NONE, INTEG_HMAC_SHA1_96, INTEG_HMAC_SHA2_256_128, 99},
                                      {KE_NONE, KE_MODP_2048, KE_ECP_256, 31},
                                      {KE_NONE, 35, 36, 37},
                                      {KE_NONE, 36, 37, 14}};
    struct rng_seeded rng = seeded(7);
    size_t agreed = 0;
    for (int round = 0; round < 20000; round++) {
        struct proposals side[2] = {{.count = 2}, {.count = 2}};
        for (int s = 0; s < 2; s++) {
            for (uint8_t p = 0; p < 2; p++) {
                struct proposal *at = &side[s].at[p];
                *at = (struct proposal){.number = (uint8_t)(p + 1), .protocol = PROTOCOL_IKE};
                uint64_t count = 4 + rng_below(&rng.rng, 12);
                for (uint64_t i = 0; i < count; i++) {
                    uint64_t type = rng_below(&rng.rng, COUNT(types));
                    uint16_t id = ids[type][rng_below(&rng.rng, 4)];
                    at->at[at->count++] = (struct transform){types[type], id, type ? 0 : 128};
                }
            }
        }
        struct suite chosen, accepted;
        size_t index, index_again;
        enum proposal_ke with_ke = round % 2 ? PROPOSAL_WITH_KE : PROPOSAL_WITHOUT_KE;
        if (proposals_choose(&side[0], &side[1], with_ke, KE_ECP_256, &chosen, &index)) continue;
        agreed++;
        struct proposals answer = {.count = 1};
        suite_proposal(&chosen, &answer.at[0]);
        CHECK_FAULT(proposals_accept(&side[1], &answer, with_ke, &accepted, &index_again), OK);
        char a[256], b[256];
        assert_string_equal(suite_print(&chosen, a, sizeof a), suite_print(&accepted, b, sizeof b));
        struct encr_info info;
        assert_true(encr_info(chosen.encr, chosen.key_bits, &info));
        assert_int_equal(info.aead, chosen.integ == INTEG_NONE);
        if (chosen.addke[0]) assert_int_not_equal(chosen.addke[0], chosen.addke[1]);
    }
    print_message("%zu agreed\n", agreed);
    assert_true(agreed > 100);
}

// --- Explaining

static const char *explain(const char *mine, const char *offered, enum iana_protocol protocol,
                           char *space)
{
    struct proposals a = proposals_of(protocol, mine), b = proposals_of(protocol, offered);
    struct wr out = wr_over(space, PROPOSALS_EXPLAIN_MAX);
    proposals_explain(&a, &b, PROPOSAL_WITH_KE, &out);
    CHECK_FAULT(wr_end(&out), OK);
    space[out.size] = '\0';
    print_message("%s", space);
    return space;
}

static void the_explanation_names_what_is_missing_and_where(void **state)
{
    (void)state;
    static char space[PROPOSALS_EXPLAIN_MAX + 1];
    static const struct {
        enum iana_protocol protocol;
        const char *mine, *offered, *says;
    } rows[] = {
        {PROTOCOL_IKE, "aes128-sha256-modp3072", "aes128-sha256-modp2048",
         "add modp2048 to \"proposals\" here, or modp3072 on the peer"},
        {PROTOCOL_ESP, "aes256gcm16", "aes128gcm16",
         "add aes128gcm16 to \"esp_proposals\" here, or aes256gcm16 on the peer"},
        {PROTOCOL_AH, "sha512", "sha256",
         "add sha256 to \"ah_proposals\" here, or sha512 on the peer"},
        {PROTOCOL_ESP, "aes128-sha256", "aes128-sha1",
         "add sha1 to \"esp_proposals\" here, or sha256 on the peer. What the peer offers is "
         "legacy"},
        {PROTOCOL_ESP, "aes128gcm16", "aes128gcm16-modp2048",
         "add modp2048 to \"esp_proposals\" here.\n"},
        {PROTOCOL_ESP, "aes128gcm16-modp2048", "aes128gcm16",
         "add modp2048 on the peer, or take key exchange out of \"esp_proposals\" here"},
        {PROTOCOL_ESP, "aes128gcm16", "aes256-sha256",
         "add the proposal aes256-sha256-noesn to \"esp_proposals\" here"},
        {PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519", "3des-sha1-modp1024",
         "add the proposal 3des-sha1-prfsha1-modp1024 to"},
        {PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519",
         "3des-sha1-modp1024,aes128gcm16-prfsha256-ecp256",
         "the peer's number 2 of 2 and our number 1 of 1"},
        {PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519-ke1_mlkem768",
         "aes128gcm16-prfsha256-x25519-ke1_mlkem512",
         "add ke1_mlkem512 to \"proposals\" here, or ke1_mlkem768 on the peer"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_non_null(
            strstr(explain(rows[i].mine, rows[i].offered, rows[i].protocol, space), rows[i].says));
}

static void the_explanation_shows_both_sides(void **state)
{
    (void)state;
    static char space[PROPOSALS_EXPLAIN_MAX + 1];
    explain("aes128-aes256-sha256-modp3072", "aes256-sha256-modp2048-modp1024", PROTOCOL_IKE,
            space);
    assert_string_equal(
        space,
        "No IKE proposal in common. The closest are the peer's number 1 of 1 and our number 1 of "
        "1:\n"
        "  encryption\n"
        "    peer offers  aes256\n"
        "    we accept    aes128, aes256\n"
        "    in common    aes256\n"
        "  integrity\n"
        "    peer offers  sha256\n"
        "    we accept    sha256\n"
        "    in common    sha256\n"
        "  PRF\n"
        "    peer offers  prfsha256\n"
        "    we accept    prfsha256\n"
        "    in common    prfsha256\n"
        "  key exchange - does not fit\n"
        "    peer offers  modp2048, modp1024\n"
        "    we accept    modp3072\n"
        "    in common    nothing\n"
        "To make it fit, add modp2048 to \"proposals\" here, or modp3072 on the peer.\n");
}

static void odd_offers_are_explained_too(void **state)
{
    (void)state;
    static char space[PROPOSALS_EXPLAIN_MAX + 1];
    struct proposals esp = proposals_of(PROTOCOL_ESP, "aes128gcm16"), none = {0}, odd = esp;
    const struct {
        const struct proposals *mine, *offered;
        const char *says;
    } rows[] = {{&esp, &none, "offers no proposal"},
                {&none, &esp, "no proposal configured"},
                {&esp, &odd, "for AH, ours for ESP"}};
    odd.at[0].protocol = PROTOCOL_AH;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct wr out = wr_over(space, PROPOSALS_EXPLAIN_MAX);
        proposals_explain(rows[i].mine, rows[i].offered, PROPOSAL_WITH_KE, &out);
        space[out.size] = '\0';
        assert_non_null(strstr(space, rows[i].says));
    }
    odd = esp;
    offer_transform(&odd, 241, 1, 0);
    struct wr out = wr_over(space, PROPOSALS_EXPLAIN_MAX);
    proposals_explain(&esp, &odd, PROPOSAL_WITH_KE, &out);
    space[out.size] = '\0';
    assert_non_null(strstr(space, "unknown type 241"));
    odd = esp;
    odd.at[0].at[0].id = 1234;
    out = wr_over(space, PROPOSALS_EXPLAIN_MAX);
    proposals_explain(&esp, &odd, PROPOSAL_WITH_KE, &out);
    space[out.size] = '\0';
    assert_non_null(strstr(space, "offers nothing for encryption that is known here"));
}

// However odd the offers, the explanation has room.
static void the_longest_explanation_fits(void **state)
{
    (void)state;
    static char space[PROPOSALS_EXPLAIN_MAX + 1];
    struct rng_seeded rng = seeded(99);
    for (int round = 0; round < 500; round++) {
        struct proposals side[2] = {{.count = 3}, {.count = 3}};
        for (int s = 0; s < 2; s++) {
            for (uint8_t p = 0; p < 3; p++) {
                struct proposal *at = &side[s].at[p];
                *at = (struct proposal){.number = (uint8_t)(p + 1), .protocol = PROTOCOL_ESP};
                while (at->count < PROPOSAL_TRANSFORMS_MAX)
                    at->at[at->count++] =
                        (struct transform){(uint8_t)(1 + rng_below(&rng.rng, round % 2 ? 12 : 1)),
                                           (uint16_t)(round % 3 ? 34 : 2 + rng_below(&rng.rng, 37)),
                                           (uint16_t)(round % 5 ? 65535 : 0)};
            }
        }
        struct wr out = wr_over(space, PROPOSALS_EXPLAIN_MAX);
        proposals_explain(&side[0], &side[1], round % 2 ? PROPOSAL_WITH_KE : PROPOSAL_WITHOUT_KE,
                          &out);
        CHECK_FAULT(wr_end(&out), OK);
        assert_true(out.size > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_the_documents),
        cmocka_unit_test(what_is_unknown_has_no_size),
        cmocka_unit_test(the_choice_is_this),
        cmocka_unit_test(what_is_chosen_is_accepted),
        cmocka_unit_test(key_lengths_must_be_the_same),
        cmocka_unit_test(an_unknown_type_spoils_its_proposal_only),
        cmocka_unit_test(an_unknown_number_is_just_not_taken),
        cmocka_unit_test(integrity_none_may_stand_beside_a_combined_cipher),
        cmocka_unit_test(integrity_beside_a_combined_cipher_is_refused),
        cmocka_unit_test(a_missing_type_is_not_guessed),
        cmocka_unit_test(an_ike_sa_never_does_without_a_key_exchange),
        cmocka_unit_test(protocols_do_not_mix),
        cmocka_unit_test(none_in_so_many_words_is_answered_so),
        cmocka_unit_test(the_search_among_additional_exchanges_is_bounded),
        cmocka_unit_test(an_answer_must_be_one_complete_choice_out_of_the_offer),
        cmocka_unit_test(the_first_child_accepts_no_key_exchange),
        cmocka_unit_test(an_answer_with_one_method_twice_is_refused),
        cmocka_unit_test(random_sides_agree_on_the_same_or_on_nothing),
        cmocka_unit_test(the_explanation_names_what_is_missing_and_where),
        cmocka_unit_test(the_explanation_shows_both_sides),
        cmocka_unit_test(odd_offers_are_explained_too),
        cmocka_unit_test(the_longest_explanation_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
