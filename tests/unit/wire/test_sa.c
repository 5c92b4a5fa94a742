// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

// One ESP proposal with one transform: AES-GCM-16 with 128 bits.
#define SMALLEST "00 00 0018 01 03 04 01 c0ffee01   00 00 000c 01 00 0014 800e 0080"
// The same without the SPI and the attribute.
#define BARE "00 00 0010 01 01 00 01   00 00 0008 01 00 0014"

// RFC 7296 3.3.1, 3.3.2, 3.3.5 test
static void a_proposal_is_decoded(void **state)
{
    (void)state;
    struct proposals p;
    CHECK_FAULT(sa_read(HEX(SMALLEST), &p), OK);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.at[0].number, 1);
    assert_int_equal(p.at[0].protocol, PROTOCOL_ESP);
    check_bytes(bytes_of(p.at[0].spi, p.at[0].spi_size), HEX("c0ffee01"));
    assert_int_equal(p.at[0].count, 1);
    assert_int_equal(p.at[0].at[0].type, TRANSFORM_ENCR);
    assert_int_equal(p.at[0].at[0].id, 20);
    assert_int_equal(p.at[0].at[0].key_bits, 128);
}

static void truncations_and_changes_do_no_harm(void **state)
{
    (void)state;
    struct bytes smallest = HEX(SMALLEST), bare = HEX(BARE);
    check_robust(PAYLOAD_SA, smallest, smallest.size);
    check_robust(PAYLOAD_SA, bare, bare.size);
    struct bytes two =
        HEX("02 00 0010 01 01 00 01   00 00 0008 01 00 0014"
            "00 00 001c 02 01 00 02   03 00 000c 01 00 000c 800e 0100"
            "                         00 00 0008 02 00 0005");
    check_robust(PAYLOAD_SA, two, two.size);
}

// clang-format off
static const struct body_case cases[] = {
    // RFC 7296 3.3 test: an SA payload has proposals, and proposals have transforms.
    {"nothing",                         "",                                                         FAULT_SA_EMPTY},
    {"no transforms",                   "00 00 0008 01 01 00 00",                                   FAULT_SA_EMPTY},
    // RFC 7296 3.3 test: lengths and counts must agree.
    {"proposal shorter than its head",  "00 00 0007 01 01 00 01",                                   FAULT_SA_LENGTH},
    {"proposal length 0",               "00 00 0000 01 01 00 01 00 00 0008 01 00 0014",             FAULT_SA_LENGTH},
    {"proposal beyond the payload",     "00 00 0011 01 01 00 01 00 00 0008 01 00 0014",             FAULT_SA_LENGTH},
    {"proposal ends before the payload", BARE "00",                                                 FAULT_SA_CHAIN},
    {"SPI beyond the proposal",         "00 00 000c 01 01 08 01 01020304",                          FAULT_TRUNCATED},
    {"more transforms than counted",    "00 00 0018 01 01 00 01 00 00 0008 01 00 0014 00 00 0008 01 00 0014", FAULT_SA_LENGTH},
    {"fewer transforms than counted",   "00 00 0010 01 01 00 02 03 00 0008 01 00 0014",             FAULT_TRUNCATED},
    {"transform shorter than its head", "00 00 0010 01 01 00 01 00 00 0007 01 00 0014",             FAULT_SA_LENGTH},
    {"transform beyond the proposal",   "00 00 0010 01 01 00 01 00 00 0009 01 00 0014",             FAULT_SA_LENGTH},
    {"attribute cut in two",            "00 00 0012 01 01 00 01 00 00 000a 01 00 0014 800e",        FAULT_TRUNCATED},
    {"attribute value beyond",          "00 00 0015 01 01 00 01 00 00 000d 01 00 0014 0001 0002 aa", FAULT_TRUNCATED},
    // RFC 7296 3.3.1, 3.3.2 test: what the last substructure is, is said twice.
    {"last proposal says there is more", "02 00 0010 01 01 00 01 00 00 0008 01 00 0014",            FAULT_SA_CHAIN},
    {"first of two says it is the last", BARE "00 00 0010 02 01 00 01 00 00 0008 01 00 0014",       FAULT_SA_CHAIN},
    {"last transform says there is more", "00 00 0010 01 01 00 01 03 00 0008 01 00 0014",           FAULT_SA_CHAIN},
    {"first of two transforms says last", "00 00 0018 01 01 00 02 00 00 0008 01 00 0014 00 00 0008 01 00 0014", FAULT_SA_CHAIN},
    {"a mark that means nothing",       "01 00 0010 01 01 00 01 00 00 0008 01 00 0014",             FAULT_SA_CHAIN},
    // RFC 7296 3.3.1 test: numbers begin with 1 and have no gaps; an answer's is that of the offer.
    {"number 0",                        "00 00 0010 00 01 00 01 00 00 0008 01 00 0014",             FAULT_SA_NUMBER},
    {"one proposal with number 7",      "00 00 0010 07 01 00 01 00 00 0008 01 00 0014",             OK},
    {"numbers from 2",                  "02 00 0010 02 01 00 01 00 00 0008 01 00 0014"
                                        "00 00 0010 03 01 00 01 00 00 0008 01 00 0014",             FAULT_SA_NUMBER},
    {"numbers with a gap",              "02 00 0010 01 01 00 01 00 00 0008 01 00 0014"
                                        "00 00 0010 03 01 00 01 00 00 0008 01 00 0014",             FAULT_SA_NUMBER},
    {"a number twice",                  "02 00 0010 01 01 00 01 00 00 0008 01 00 0014"
                                        "00 00 0010 01 01 00 01 00 00 0008 01 00 0014",             FAULT_SA_NUMBER},
    {"SPI of 9 bytes",                  "00 00 0019 01 03 09 01 010203040506070809 00 00 0008 01 00 0014", FAULT_SA_SPI_SIZE},
    // RFC 7296 3.3.1, 3.3.2 test: reserved bytes are ignored.
    {"reserved bytes are set",          "00 ff 0010 01 01 00 01 00 ff 0008 01 ff 0014",             OK},
    // RFC 7296 3.3.6 test: unknown protocols and types of transform are not a fault.
    {"unknown protocol and type",       "00 00 0010 01 fe 00 01 00 00 0008 fe 00 0014",             OK},
};
// clang-format on

static void bodies_are_judged_by_these_rules(void **state)
{
    (void)state;
    check_cases(PAYLOAD_SA, cases, COUNT(cases));
}

// clang-format off
static const struct {
    const char *name, *hex;
    uint16_t key_bits;
} attribute_cases[] = {
    {"none",                          "00 00 0010 01 01 00 01 00 00 0008 01 00 0014",                                0},
    {"a key length",                  "00 00 0014 01 01 00 01 00 00 000c 01 00 0014 800e 0100",                      256},
    {"a key length of 0",             "00 00 0014 01 01 00 01 00 00 000c 01 00 0014 800e 0000",                      TRANSFORM_UNUSABLE},
    {"a key length twice",            "00 00 0018 01 01 00 01 00 00 0010 01 00 0014 800e 0100 800e 0100",            TRANSFORM_UNUSABLE},
    {"a key length in the long form", "00 00 0016 01 01 00 01 00 00 000e 01 00 0014 000e 0002 0100",                 TRANSFORM_UNUSABLE},
    {"an unknown short one",          "00 00 0014 01 01 00 01 00 00 000c 01 00 0014 800f 0100",                      TRANSFORM_UNUSABLE},
    {"an unknown long one",           "00 00 0015 01 01 00 01 00 00 000d 01 00 0014 0001 0001 aa",                   TRANSFORM_UNUSABLE},
    {"an unknown empty one",          "00 00 0014 01 01 00 01 00 00 000c 01 00 0014 0001 0000",                      TRANSFORM_UNUSABLE},
    {"unknown, then a key length",    "00 00 0018 01 01 00 01 00 00 0010 01 00 0014 8011 0001 800e 0100",            TRANSFORM_UNUSABLE},
    {"a key length, then unknown",    "00 00 0018 01 01 00 01 00 00 0010 01 00 0014 800e 0100 8011 0001",            TRANSFORM_UNUSABLE},
};
// clang-format on

// RFC 7296 3.3.5, 3.3.6 test
static void a_transform_with_a_strange_attribute_is_unusable_but_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(attribute_cases); i++) {
        uint8_t space[64];
        struct proposals p;
        const char *hex = attribute_cases[i].hex;
        CHECK_FAULT(sa_read(hex_into(hex, strlen(hex), space), &p), OK);
        assert_int_equal(p.at[0].count, 1);
        if (p.at[0].at[0].key_bits != attribute_cases[i].key_bits)
            fail_msg("%s: %u", attribute_cases[i].name, p.at[0].at[0].key_bits);
    }
}

// RFC 7296 3.3.6 test: such a transform is not chosen, and it is not as if its type had not been
// asked for.
static void a_proposal_with_an_unusable_type_is_not_chosen(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum fault fault;
    } offers[] = {
        {"00 00 0020 01 03 04 02 c0ffee01 03 00 000c 01 00 0014 800e 0080"
         "00 00 0008 05 00 0000",
         OK},
        {"00 00 0024 01 03 04 02 c0ffee01 03 00 0010 01 00 0014 800e 0080 8011 0001"
         "00 00 0008 05 00 0000",
         FAULT_NO_PROPOSAL_CHOSEN},
        {"00 00 002c 01 03 04 03 c0ffee01 03 00 000c 01 00 0014 800e 0080"
         "03 00 0008 05 00 0000 00 00 000c 06 00 0024 8011 0001",
         FAULT_NO_PROPOSAL_CHOSEN},
    };
    struct proposals mine = {.count = 1}, offered;
    struct bytes bad;
    CHECK_FAULT(proposal_parse("aes128gcm16-noesn", PROTOCOL_ESP, &mine.at[0], &bad), OK);
    for (size_t i = 0; i < COUNT(offers); i++) {
        uint8_t space[64];
        struct suite suite;
        size_t index;
        CHECK_FAULT(sa_read(hex_into(offers[i].hex, strlen(offers[i].hex), space), &offered), OK);
        CHECK_FAULT(proposals_choose(&mine, &offered, PROPOSAL_WITH_KE, 0, &suite, &index),
                    offers[i].fault);
    }
}

// Writes `count` proposals with one transform each.
static struct bytes many_proposals(unsigned count, uint8_t *space, size_t limit)
{
    struct wr out = wr_over(space, limit);
    for (unsigned i = 1; i <= count; i++) {
        wr_bytes(&out, i < count ? HEX("02 00 0010") : HEX("00 00 0010"));
        wr_u8(&out, (uint8_t)i);
        wr_bytes(&out, HEX("01 00 01 00 00 0008 01 00 0014"));
    }
    return wr_done(&out);
}

static void proposals_beyond_the_maximum_are_left_out(void **state)
{
    (void)state;
    static const unsigned counts[] = {PROPOSALS_MAX, PROPOSALS_MAX + 1, 255};
    for (size_t i = 0; i < COUNT(counts); i++) {
        uint8_t space[8192];
        struct proposals p;
        struct bytes body = many_proposals(counts[i], space, sizeof space);
        CHECK_FAULT(sa_read(body, &p), OK);
        assert_int_equal(p.count, PROPOSALS_MAX);
        assert_int_equal(p.at[PROPOSALS_MAX - 1].number, PROPOSALS_MAX);
        check_sane(PAYLOAD_SA, body);
        // They are looked at all the same.
        space[body.size - 8] = 9;
        CHECK_FAULT(sa_read(body, &p), FAULT_SA_CHAIN);
    }
    uint8_t space[8192];
    struct proposals p;
    // The number after 255 would have to be 256.
    CHECK_FAULT(sa_read(many_proposals(256, space, sizeof space), &p), FAULT_SA_NUMBER);
}

// A proposal with `count` transforms of type 1 and one of the type `last`.
static struct bytes many_transforms(unsigned count, uint8_t last, uint8_t *space, size_t limit)
{
    struct wr out = wr_over(space, limit);
    wr_bytes(&out, HEX("00 00"));
    wr_u16(&out, (uint16_t)(8 + 8 * (count + 1)));
    wr_bytes(&out, HEX("01 01 00"));
    wr_u8(&out, (uint8_t)(count + 1));
    for (unsigned i = 0; i < count; i++) wr_bytes(&out, HEX("03 00 0008 01 00 0014"));
    wr_bytes(&out, HEX("00 00 0008"));
    wr_u8(&out, last);
    wr_bytes(&out, HEX("00 0005"));
    return wr_done(&out);
}

static void transforms_beyond_the_maximum_are_left_out(void **state)
{
    (void)state;
    uint8_t space[4096];
    struct proposals p;
    struct bytes body = many_transforms(PROPOSAL_TRANSFORMS_MAX - 1, 1, space, sizeof space);
    CHECK_FAULT(sa_read(body, &p), OK);
    assert_int_equal(p.at[0].count, PROPOSAL_TRANSFORMS_MAX);
    assert_int_equal(p.at[0].at[PROPOSAL_TRANSFORMS_MAX - 1].id, 5);

    body = many_transforms(PROPOSAL_TRANSFORMS_MAX, 1, space, sizeof space);
    CHECK_FAULT(sa_read(body, &p), OK);
    assert_int_equal(p.at[0].count, PROPOSAL_TRANSFORMS_MAX);
    assert_int_equal(p.at[0].at[PROPOSAL_TRANSFORMS_MAX - 1].id, 20);
    assert_int_equal(p.at[0].at[PROPOSAL_TRANSFORMS_MAX - 1].key_bits, 0);

    body = many_transforms(254, 1, space, sizeof space);
    CHECK_FAULT(sa_read(body, &p), OK);
    assert_int_equal(p.at[0].count, PROPOSAL_TRANSFORMS_MAX);
    check_sane(PAYLOAD_SA, body);
}

// A type that is asked for only beyond the maximum must not pass for one that is not asked for.
static void a_type_beyond_the_maximum_makes_the_proposal_unusable(void **state)
{
    (void)state;
    uint8_t space[4096];
    struct proposals p;
    struct bytes body =
        many_transforms(PROPOSAL_TRANSFORMS_MAX, TRANSFORM_ADDKE1, space, sizeof space);
    CHECK_FAULT(sa_read(body, &p), OK);
    assert_int_equal(p.at[0].count, PROPOSAL_TRANSFORMS_MAX);
    struct transform last = p.at[0].at[PROPOSAL_TRANSFORMS_MAX - 1];
    assert_int_equal(last.type, TRANSFORM_ADDKE1);
    assert_int_equal(last.key_bits, TRANSFORM_UNUSABLE);
    check_sane(PAYLOAD_SA, body);
}

static void proposals_without_a_number_get_their_place(void **state)
{
    (void)state;
    struct proposals p = {.count = 2};
    for (size_t i = 0; i < 2; i++)
        p.at[i] = (struct proposal){.protocol = PROTOCOL_IKE, .count = 1, .at = {{1, 20, 0}}};
    uint8_t space[64];
    struct wr out = wr_over(space, sizeof space);
    sa_write(&out, &p);
    check_bytes(wr_done(&out), HEX("02 00 0010 01 01 00 01 00 00 0008 01 00 0014"
                                   "00 00 0010 02 01 00 01 00 00 0008 01 00 0014"));
}

static void an_sa_that_does_not_fit_latches(void **state)
{
    (void)state;
    struct proposals p;
    struct bytes good = HEX(SMALLEST);
    CHECK_FAULT(sa_read(good, &p), OK);
    for (size_t limit = 0; limit < good.size; limit++) {
        uint8_t space[64];
        struct wr out = wr_over(space, limit);
        sa_write(&out, &p);
        CHECK_FAULT(wr_end(&out), FAULT_NO_ROOM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proposal_is_decoded),
        cmocka_unit_test(truncations_and_changes_do_no_harm),
        cmocka_unit_test(bodies_are_judged_by_these_rules),
        cmocka_unit_test(a_transform_with_a_strange_attribute_is_unusable_but_there),
        cmocka_unit_test(a_proposal_with_an_unusable_type_is_not_chosen),
        cmocka_unit_test(proposals_beyond_the_maximum_are_left_out),
        cmocka_unit_test(transforms_beyond_the_maximum_are_left_out),
        cmocka_unit_test(a_type_beyond_the_maximum_makes_the_proposal_unusable),
        cmocka_unit_test(proposals_without_a_number_get_their_place),
        cmocka_unit_test(an_sa_that_does_not_fit_latches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
