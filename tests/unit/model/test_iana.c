// SPDX-License-Identifier: Apache-2.0
#include "model.h"

static void numbers_are_those_of_the_registries(void **state)
{
    (void)state;
    static const struct {
        unsigned symbol, number;
    } rows[] = {
        {PAYLOAD_SA, 33},
        {PAYLOAD_SKF, 53},
        {PAYLOAD_PS, 54},
        {EXCHANGE_IKE_SA_INIT, 34},
        {EXCHANGE_IKE_FOLLOWUP_KE, 44},
        {PROTOCOL_ESP, 3},
        {TRANSFORM_ADDKE7, 12},
        {ENCR_AES_CBC, 12},
        {ENCR_AES_GCM_16, 20},
        {ENCR_CHACHA20_POLY1305, 28},
        {PRF_HMAC_SHA2_512, 7},
        {INTEG_HMAC_SHA2_256_128, 12},
        {KE_MODP_2048, 14},
        {KE_CURVE_25519, 31},
        {KE_ML_KEM_1024, 37},
        {SN_EXTENDED, 1},
        {NOTIFY_TS_MAX_QUEUE, 48},
        {NOTIFY_STATE_NOT_FOUND, 47},
        {NOTIFY_MOBIKE_SUPPORTED, 16396},
        {NOTIFY_REDIRECT, 16407},
        {NOTIFY_TICKET_OPAQUE, 16413},
        {NOTIFY_QUICK_CRASH_DETECTION, 16419},
        {NOTIFY_IKEV2_MESSAGE_ID_SYNC, 16422},
        {NOTIFY_SIGNATURE_HASH_ALGORITHMS, 16431},
        {NOTIFY_USE_PPK, 16435},
        {NOTIFY_INTERMEDIATE_EXCHANGE_SUPPORTED, 16438},
        {NOTIFY_ADDITIONAL_KEY_EXCHANGE, 16441},
        {NOTIFY_SA_RESOURCE_INFO, 16444},
        {NOTIFY_PPK_IDENTITY_KEY, 16446},
        {NOTIFY_USE_BEET_MODE, 40961},
        {ID_KEY_ID, 11},
        {AUTH_SIGNATURE, 14},
        {CERT_X509_SIGNATURE, 4},
        {HASH_IDENTITY, 5},
        {TS_IPV6_RANGE, 8},
        {CFG_ACK, 4},
        {ATTR_INTERNAL_IP6_SUBNET, 15},
        {ATTR_ENCDNS_DIGEST_INFO, 29},
        {IPPROTO_NUMBER_ICMPV6, 58},
        {IPPROTO_NUMBER_AGGFRAG, 144},
    };
    for (size_t i = 0; i < COUNT(rows); i++) assert_int_equal(rows[i].symbol, rows[i].number);
}

static void names_are_those_of_the_documents(void **state)
{
    (void)state;
    assert_string_equal(iana_payload_name(41), "N");
    assert_string_equal(iana_exchange_name(36), "CREATE_CHILD_SA");
    assert_string_equal(iana_protocol_name(2), "AH");
    assert_string_equal(iana_transform_name(4), "key exchange");
    assert_string_equal(iana_encr_name(20), "AES_GCM_16");
    assert_string_equal(iana_prf_name(5), "HMAC_SHA2_256");
    assert_string_equal(iana_integ_name(8), "AES_CMAC_96");
    assert_string_equal(iana_ke_name(31), "CURVE_25519");
    assert_string_equal(iana_sn_name(1), "EXT_SEQ");
    assert_string_equal(iana_notify_name(14), "NO_PROPOSAL_CHOSEN");
    assert_string_equal(iana_id_name(9), "DER_ASN1_DN");
    assert_string_equal(iana_auth_name(14), "DIGITAL_SIGNATURE");
    assert_string_equal(iana_cert_name(12), "HASH_AND_URL");
    assert_string_equal(iana_hash_name(2), "SHA2_256");
    assert_string_equal(iana_ts_name(7), "IPV4_ADDR_RANGE");
    assert_string_equal(iana_cfg_name(1), "REQUEST");
    assert_string_equal(iana_attr_name(25), "INTERNAL_DNS_DOMAIN");
    assert_string_equal(iana_ipproto_name(17), "udp");
}

typedef const char *name_function(unsigned value);

static void unknown_numbers_have_no_name(void **state)
{
    (void)state;
    static name_function *const functions[] = {
        iana_payload_name, iana_exchange_name, iana_protocol_name, iana_transform_name,
        iana_encr_name,    iana_prf_name,      iana_integ_name,    iana_ke_name,
        iana_sn_name,      iana_notify_name,   iana_id_name,       iana_auth_name,
        iana_cert_name,    iana_hash_name,     iana_ts_name,       iana_cfg_name,
        iana_attr_name,    iana_ipproto_name,
    };
    for (size_t i = 0; i < COUNT(functions); i++) {
        assert_null(functions[i](99999));
        assert_null(functions[i](UINT32_MAX));
    }
    assert_null(iana_encr_name(10));
    assert_null(iana_notify_name(16447));
}

// All status and error types are there without a gap, as the registry has them.
static void notify_types_have_no_gap(void **state)
{
    (void)state;
    for (unsigned value = 34; value <= 49; value++) assert_non_null(iana_notify_name(value));
    for (unsigned value = 16384; value <= 16446; value++) assert_non_null(iana_notify_name(value));
}

static void names_of_one_registry_differ(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 16500; a++) {
        const char *name = iana_notify_name(a);
        if (!name) continue;
        for (unsigned b = 0; b < a; b++) {
            const char *other = iana_notify_name(b);
            if (other) assert_string_not_equal(name, other);
        }
        if (a == 60) a = 16380;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_the_registries),
        cmocka_unit_test(names_are_those_of_the_documents),
        cmocka_unit_test(unknown_numbers_have_no_name),
        cmocka_unit_test(notify_types_have_no_gap),
        cmocka_unit_test(names_of_one_registry_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
