// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

#define NONCE_16 "000102030405060708090a0b0c0d0e0f"

static const struct {
    const char *name;
    uint8_t type;
    const char *hex;
    size_t least;  // bytes without which there is no such payload
} smallest[] = {
    {"KE", PAYLOAD_KE, "001f 0000 a1a2a3", 4},
    {"IDi, a name", PAYLOAD_IDI, "02 000000 6162", 5},
    {"IDr, IPv4", PAYLOAD_IDR, "01 000000 0a000001", 8},
    {"IDr, IPv6", PAYLOAD_IDR, "05 000000 20010db8000000000000000000000001", 20},
    {"IDi, NULL", PAYLOAD_IDI, "0d 000000", 4},
    {"AUTH", PAYLOAD_AUTH, "0e 000000 a1a2", 4},
    {"CERT", PAYLOAD_CERT, "04 3082", 1},
    {"CERTREQ", PAYLOAD_CERTREQ, "04", 1},
    {"Nonce", PAYLOAD_NONCE, NONCE_16, 16},
    {"SKF", PAYLOAD_SKF, "0001 0002 a1a2", 4},
};

static void truncations_and_changes_do_no_harm(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(smallest); i++) {
        uint8_t space[64];
        struct bytes good = hex_into(smallest[i].hex, strlen(smallest[i].hex), space);
        check_robust(smallest[i].type, good, smallest[i].least);
    }
}

// RFC 7296 3.4 test
static void a_key_exchange_has_a_group_and_a_value(void **state)
{
    (void)state;
    struct ke_payload ke;
    CHECK_FAULT(ke_read(HEX("0013 ffff a1a2a3"), &ke), OK);  // reserved bytes are ignored
    assert_int_equal(ke.group, 19);
    check_bytes(ke.value, HEX("a1a2a3"));
    check_rewritten(PAYLOAD_KE, HEX("0013 ffff a1a2a3"), HEX("0013 0000 a1a2a3"));
}

// clang-format off
static const struct body_case id_cases[] = {
    // RFC 7296 3.5 test
    {"reserved bytes are set",       "02 ffffff 61",         OK},
    {"IPv4 with 3 bytes",            "01 000000 0a0000",     FAULT_ID_LENGTH},
    {"IPv4 with 5 bytes",            "01 000000 0a00000101", FAULT_ID_LENGTH},
    {"IPv6 with 4 bytes",            "05 000000 0a000001",   FAULT_ID_LENGTH},
    {"a name with a NUL inside",     "02 000000 610062",     FAULT_ID_TERMINATOR},
    {"a name that ends in a NUL",    "02 000000 6100",       FAULT_ID_TERMINATOR},
    {"a name with CR",               "02 000000 610d",       FAULT_ID_TERMINATOR},
    {"an address with LF",           "03 000000 610a62",     FAULT_ID_TERMINATOR},
    {"an address in UTF-8",          "03 000000 c3a440c3b6", OK},
    {"a key id with a NUL",          "0b 000000 6100",       OK},
    {"an empty name",                "02 000000",            FAULT_ID_LENGTH},
    {"an empty DN",                  "09 000000",            FAULT_ID_LENGTH},
    {"an empty key id",              "0b 000000",            FAULT_ID_LENGTH},
    {"an unknown type",              "c8 000000 61",         OK},
    {"our pattern for any identity", "00 000000 61",         FAULT_ID_TYPE},
    {"the same, empty",              "00 000000",            FAULT_ID_TYPE},
    // RFC 7619 2.2 test
    {"NULL",                         "0d 000000",            OK},
    {"NULL with data",               "0d 000000 61",         FAULT_ID_LENGTH},
};
// clang-format on

static void identities_are_judged_by_these_rules(void **state)
{
    (void)state;
    check_cases(PAYLOAD_IDI, id_cases, COUNT(id_cases));
    check_cases(PAYLOAD_IDR, id_cases, COUNT(id_cases));
}

static void an_identity_has_at_most_so_many_bytes(void **state)
{
    (void)state;
    uint8_t body[4 + IDENTITY_SIZE_MAX + 1] = {ID_KEY_ID};
    CHECK_FAULT(body_read(PAYLOAD_IDI, bytes_of(body, sizeof body - 1)), OK);
    CHECK_FAULT(body_read(PAYLOAD_IDI, bytes_of(body, sizeof body)), FAULT_ID_TOO_LONG);
}

static void a_read_identity_is_no_pattern(void **state)
{
    (void)state;
    struct identity id = {.regex = true};
    CHECK_FAULT(id_read(HEX("02 000000 5e2e2a24"), &id), OK);
    assert_int_equal(id.type, ID_FQDN);
    assert_false(id.regex);
    check_bytes(id.bytes, BYTES("^.*$"));
}

// RFC 7296 3.8 test
static void an_authentication_has_a_method_and_data(void **state)
{
    (void)state;
    uint8_t method;
    struct bytes data;
    CHECK_FAULT(auth_read_payload(HEX("02 ffffff a1a2"), &method, &data), OK);
    assert_int_equal(method, AUTH_PSK);
    check_bytes(data, HEX("a1a2"));
    check_rewritten(PAYLOAD_AUTH, HEX("02 ffffff a1a2"), HEX("02 000000 a1a2"));
}

// RFC 7296 3.6 test
static void a_certificate_has_an_encoding_and_data(void **state)
{
    (void)state;
    uint8_t encoding;
    struct bytes data;
    CHECK_FAULT(cert_read(HEX("04 3082"), &encoding, &data), OK);
    assert_int_equal(encoding, CERT_X509_SIGNATURE);
    check_bytes(data, HEX("3082"));
}

// RFC 7296 3.9 test
static void a_nonce_has_16_to_256_bytes(void **state)
{
    (void)state;
    uint8_t body[300] = {0};
    for (size_t size = 0; size < sizeof body; size++) {
        struct bytes nonce;
        enum fault expected = size >= 16 && size <= 256 ? OK : FAULT_NONCE_SIZE;
        CHECK_FAULT(nonce_read(bytes_of(body, size), &nonce), expected);
        assert_int_equal(nonce.size, size);
    }
}

// clang-format off
// RFC 7383 2.5 test
static const struct body_case fragment_cases[] = {
    {"one of one",         "0001 0001 aa", OK},
    {"two of three",       "0002 0003 aa", OK},
    {"the most there are", "ffff ffff aa", OK},
    {"none of one",        "0000 0001 aa", FAULT_FRAGMENT_NUMBER},
    {"none of none",       "0000 0000 aa", FAULT_FRAGMENT_NUMBER},
    {"one of none",        "0001 0000 aa", FAULT_FRAGMENT_NUMBER},
    {"three of two",       "0003 0002 aa", FAULT_FRAGMENT_NUMBER},
};
// clang-format on

static void fragments_are_judged_by_these_rules(void **state)
{
    (void)state;
    check_cases(PAYLOAD_SKF, fragment_cases, COUNT(fragment_cases));
}

static void a_fragment_has_a_number_a_total_and_what_is_sealed(void **state)
{
    (void)state;
    uint16_t number, total;
    struct bytes sealed;
    CHECK_FAULT(skf_read(HEX("0102 0304 a1a2"), &number, &total, &sealed), OK);
    assert_int_equal(number, 0x0102);
    assert_int_equal(total, 0x0304);
    check_bytes(sealed, HEX("a1a2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncations_and_changes_do_no_harm),
        cmocka_unit_test(a_key_exchange_has_a_group_and_a_value),
        cmocka_unit_test(identities_are_judged_by_these_rules),
        cmocka_unit_test(an_identity_has_at_most_so_many_bytes),
        cmocka_unit_test(a_read_identity_is_no_pattern),
        cmocka_unit_test(an_authentication_has_a_method_and_data),
        cmocka_unit_test(a_certificate_has_an_encoding_and_data),
        cmocka_unit_test(a_nonce_has_16_to_256_bytes),
        cmocka_unit_test(fragments_are_judged_by_these_rules),
        cmocka_unit_test(a_fragment_has_a_number_a_total_and_what_is_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
