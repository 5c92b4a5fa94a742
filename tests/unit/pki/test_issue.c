// SPDX-License-Identifier: Apache-2.0
// RFC 5280 4, RFC 2986, RFC 4945 5.1 test: what is issued is what was asked for, is good, and wrong wishes are refused.
#include "pki_test.h"
#include <openssl/x509v3.h>

static struct private_key *ca_key, *key, *other_key;
static struct public_key *ca_public, *public;
static struct cert *ca;

static struct issue_request request_usual(void)
{
    return (struct issue_request){.issuer_key = ca_key, .issuer = ca, .subject_key = public, .subject = id_of("C=CH, O=Lab, CN=moon"),
                                  .path_length = -1, .not_before = NOW, .not_after = NOW + 100 * DAY};
}

static int world_make(void **state)
{
    (void)state;
    crypto_start();
    CHECK_FAULT(private_key_make(KEY_ED25519, 0, &ca_key), OK);
    CHECK_FAULT(private_key_make(KEY_ECDSA, 256, &key), OK);
    CHECK_FAULT(private_key_make(KEY_ECDSA, 256, &other_key), OK);
    ca_public = private_key_public(ca_key);
    public = private_key_public(key);
    struct issue_request request = {.issuer_key = ca_key, .subject_key = ca_public, .subject = id_of("C=CH, O=Lab, CN=CA"), .ca = true,
                                    .path_length = 1, .not_before = NOW - DAY, .not_after = NOW + 1000 * DAY};
    CHECK_FAULT(cert_issue(&request, &ca), OK);
    return 0;
}

static int world_free(void **state)
{
    (void)state;
    private_key_free(ca_key);
    private_key_free(key);
    private_key_free(other_key);
    public_key_free(ca_public);
    public_key_free(public);
    cert_free(ca);
    return 0;
}

static X509 *x509_of(const struct cert *cert)
{
    struct bytes der = cert_der(cert);
    const unsigned char *at = der.at;
    X509 *x509 = d2i_X509(NULL, &at, (long)der.size);
    assert_non_null(x509);
    return x509;
}

static void check_good(const struct cert *cert, const char *id)
{
    struct trust_store *store = trust_store_new();
    trust_store_add(store, cert_hold(ca), true);
    struct bytes der = cert_der(cert);
    struct judged judged = judge(store, &der, 1, id, NULL);
    if (judged.fault) printf("%s\n", judged.text);
    CHECK_FAULT(judged.fault, OK);
    cert_free(judged.peer);
    trust_store_free(store);
}

static void a_ca_certificate_is_one(void **state)
{
    (void)state;
    assert_true(cert_is_ca(ca) && cert_is_self_signed(ca));
    X509 *x509 = x509_of(ca);
    assert_int_equal(X509_get_pathlen(x509), 1);
    assert_int_equal(X509_get_key_usage(x509), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_int_equal(X509_get_version(x509), X509_VERSION_3);
    X509_free(x509);
}

static void every_wish_is_in_the_certificate(void **state)
{
    (void)state;
    struct identity names[] = {id_of("moon.example.org"), id_of("192.0.2.1"), id_of("2001:db8::1"), id_of("a@example.org"), id_of("CN=alias")};
    struct issue_request request = request_usual();
    struct cert *cert;
    request.alt_names = names;
    request.alt_name_count = COUNT(names);
    request.server_auth = request.client_auth = request.ike_intermediate = true;
    request.crl_uri = "http://crl.example.org/ca.crl";
    request.ocsp_uri = "http://ocsp.example.org/";
    request.serial = BYTES("\x01\x02\x03");
    CHECK_FAULT(cert_issue(&request, &cert), OK);
    for (size_t i = 0; i + 1 < COUNT(names); i++) assert_true(cert_has_identity(cert, &names[i]));
    check_good(cert, "C=CH, O=Lab, CN=moon");
    AUTOFREE_BUF struct buf text = BUF(65536);
    cert_print(cert, &text);
    static const char *const lines[] = {
        "  subject:   \"C=CH, O=Lab, CN=moon\"\n  issuer:    \"C=CH, O=Lab, CN=CA\"\n",
        "  validity:  not before 2027-01-15 08:00:00 UTC\n             not after  2027-04-25 08:00:00 UTC\n",
        "  serial:    01:02:03\n",
        "  altNames:  moon.example.org, 192.0.2.1, 2001:db8::1, a@example.org, CN=alias\n",
        "  flags:     digitalSignature\n",
        "  purposes:  serverAuth clientAuth ikeIntermediate ipsecIKE\n",
        "  CRL URIs:  http://crl.example.org/ca.crl\n",
        "  OCSP URIs: http://ocsp.example.org/\n",
        "  pubkey:    ECDSA 256 bits\n",
        "  signature: ED25519\n",
    };
    for (size_t i = 0; i < COUNT(lines); i++)
        if (!strstr(buf_text(&text), lines[i])) fail_msg("missing: %sin:\n%s", lines[i], buf_text(&text));
    cert_free(cert);
}

// RFC 5280 4.1.2.2 test
static void serial_numbers_are_random_and_positive(void **state)
{
    (void)state;
    struct issue_request request = request_usual();
    struct cert *certs[2];
    X509 *x509[2];
    for (size_t i = 0; i < 2; i++) {
        CHECK_FAULT(cert_issue(&request, &certs[i]), OK);
        x509[i] = x509_of(certs[i]);
        assert_int_equal(ASN1_STRING_type(X509_get0_serialNumber(x509[i])), V_ASN1_INTEGER);
        assert_int_equal(ASN1_STRING_length(X509_get0_serialNumber(x509[i])), 20);
    }
    assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(x509[0]), X509_get0_serialNumber(x509[1])), 0);
    for (size_t i = 0; i < 2; i++) {
        X509_free(x509[i]);
        cert_free(certs[i]);
    }
}

static void the_hash_follows_the_key(void **state)
{
    (void)state;
    static const struct {
        enum key_type type;
        unsigned bits;
        uint16_t hash;
        int signature;   // 0: refused
    } rows[] = {
        {KEY_ED25519, 0, 0, NID_ED25519},
        {KEY_ED448, 0, 0, NID_ED448},
        {KEY_ECDSA, 256, 0, NID_ecdsa_with_SHA256},
        {KEY_ECDSA, 384, 0, NID_ecdsa_with_SHA384},
        {KEY_ECDSA, 521, 0, NID_ecdsa_with_SHA512},
        {KEY_RSA, 2048, 0, NID_sha256WithRSAEncryption},
        {KEY_RSA, 2048, HASH_SHA2_512, NID_sha512WithRSAEncryption},
        {KEY_RSA, 2048, HASH_SHA1, 0},
        {KEY_ECDSA, 256, HASH_SHA1, 0},
        {KEY_ED25519, 0, HASH_SHA2_256, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct private_key *own;
        struct cert *cert = NULL;
        CHECK_FAULT(private_key_make(rows[i].type, rows[i].bits, &own), OK);
        struct public_key *own_public = private_key_public(own);
        struct issue_request request = {.issuer_key = own, .subject_key = own_public, .subject = id_of("CN=self"), .path_length = -1,
                                        .not_before = NOW - 1, .not_after = NOW + DAY, .hash = rows[i].hash};
        CHECK_FAULT(cert_issue(&request, &cert), rows[i].signature ? OK : FAULT_ISSUE_HASH);
        if (cert) {
            X509 *x509 = x509_of(cert);
            assert_int_equal(X509_get_signature_nid(x509), rows[i].signature);
            assert_true(cert_is_self_signed(cert) && !cert_is_ca(cert));
            X509_free(x509);
            cert_free(cert);
        }
        public_key_free(own_public);
        private_key_free(own);
    }
}

static void wrong_wishes_are_refused(void **state)
{
    (void)state;
    struct cert *cert = NULL, *leaf;
    struct issue_request request = request_usual();
    CHECK_FAULT(cert_issue(&request, &leaf), OK);

    request.not_after = request.not_before;
    CHECK_FAULT(cert_issue(&request, &cert), FAULT_ISSUE_DATES);
    request.not_after = INT64_C(253402300800);
    CHECK_FAULT(cert_issue(&request, &cert), FAULT_ISSUE_DATES);
    request.not_after = INT64_C(253402300799);
    CHECK_FAULT(cert_issue(&request, &cert), OK);
    assert_int_equal(cert_not_after(cert), INT64_C(253402300799));
    cert_free(cert);

    request = request_usual();
    request.subject = id_of("moon.example.org");
    CHECK_FAULT(cert_issue(&request, &cert), FAULT_ISSUE_SUBJECT);
    request.subject = (struct identity){0};
    CHECK_FAULT(cert_issue(&request, &cert), FAULT_ISSUE_SUBJECT);
    request.ca = true;
    CHECK_FAULT(cert_issue(&request, &cert), FAULT_ISSUE_SUBJECT);

    request = request_usual();
    request.serial = BYTES("\0\0");
    CHECK_FAULT(cert_issue(&request, &cert), FAULT_ISSUE_SERIAL);
    request.serial = BYTES("123456789012345678901");
    CHECK_FAULT(cert_issue(&request, &cert), FAULT_ISSUE_SERIAL);
    request.serial = BYTES("\xff" "2345678901234567890");
    CHECK_FAULT(cert_issue(&request, &cert), FAULT_ISSUE_SERIAL);

    request = request_usual();
    request.issuer_key = other_key;
    CHECK_FAULT(cert_issue(&request, &cert), FAULT_ISSUER_KEY);
    request.issuer_key = key;
    request.issuer = leaf;
    CHECK_FAULT(cert_issue(&request, &cert), FAULT_ISSUER_NOT_CA);
    cert_free(leaf);
}

// RFC 4945 5.1.3.6.1 test
static void only_names_that_ike_knows_are_issued(void **state)
{
    (void)state;
    static const char *const wrong[] = {"*.example.org", "%any", "keyid:moon", "10.0.0.0/8", "*@example.org"};
    struct issue_request request = request_usual();
    struct cert *cert;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct identity name = id_of(wrong[i]);
        request.alt_names = &name;
        request.alt_name_count = 1;
        CHECK_FAULT(cert_issue(&request, &cert), FAULT_ISSUE_NAME);
    }
}

// RFC 5280 4.2.1.6 test
static void without_a_subject_the_names_are_critical(void **state)
{
    (void)state;
    struct identity name = id_of("moon.example.org");
    struct issue_request request = request_usual();
    struct cert *cert;
    request.subject = (struct identity){0};
    request.alt_names = &name;
    request.alt_name_count = 1;
    CHECK_FAULT(cert_issue(&request, &cert), OK);
    X509 *x509 = x509_of(cert);
    assert_int_equal(X509_EXTENSION_get_critical(X509_get_ext(x509, X509_get_ext_by_NID(x509, NID_subject_alt_name, -1))), 1);
    check_good(cert, "moon.example.org");
    X509_free(x509);
    cert_free(cert);
}

static void pem_reads_back(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf pem = BUF(65536), small = BUF(10);
    struct cert *again;
    CHECK_FAULT(cert_pem(ca, &pem), OK);
    CHECK_FAULT(cert_parse(buf_bytes(&pem), &again), OK);
    check_bytes(cert_der(again), cert_der(ca));
    CHECK_FAULT(cert_pem(ca, &small), FAULT_NO_ROOM);
    cert_free(again);
}

// --- requests

static void a_request_reads_back(void **state)
{
    (void)state;
    struct identity names[] = {id_of("moon.example.org"), id_of("192.0.2.1")}, subject, got[4];
    struct csr_request request = {key, id_of("CN=moon"), names, COUNT(names)};
    for (int pem = 0; pem < 2; pem++) {
        AUTOFREE_BUF struct buf encoded = BUF(65536);
        struct arena arena = {0};
        struct public_key *got_key;
        size_t count;
        uint8_t id[20], expected[20];
        CHECK_FAULT(csr_make(&request, pem, &encoded), OK);
        CHECK_FAULT(csr_read(buf_bytes(&encoded), &got_key, &subject, got, COUNT(got), &count, &arena), OK);
        assert_true(identity_equal(&subject, &request.subject));
        assert_int_equal(count, 2);
        for (size_t i = 0; i < 2; i++) assert_true(identity_equal(&got[i], &names[i]));
        public_key_id(got_key, id);
        public_key_id(public, expected);
        assert_memory_equal(id, expected, 20);
        public_key_free(got_key);
        CHECK_FAULT(csr_read(buf_bytes(&encoded), &got_key, &subject, got, 1, &count, &arena), FAULT_CERT_TOO_MANY);
        assert_null(got_key);
        arena_free(&arena);
    }
}

static void a_changed_request_is_refused(void **state)
{
    (void)state;
    struct csr_request request = {key, id_of("CN=moon"), NULL, 0};
    AUTOFREE_BUF struct buf encoded = BUF(65536);
    struct identity subject, names[4];
    struct public_key *got_key;
    unsigned wrong_signatures = 0;
    CHECK_FAULT(csr_make(&request, false, &encoded), OK);
    for (size_t i = 0; i < encoded.size; i++) {
        struct arena arena = {0};
        size_t count;
        encoded.at[i] ^= 1;
        enum fault fault = csr_read(buf_bytes(&encoded), &got_key, &subject, names, 4, &count, &arena);
        if (fault == FAULT_REQUEST_SIGNATURE) wrong_signatures++;
        assert_true(fault != OK && got_key == NULL);
        encoded.at[i] ^= 1;
        CHECK_FAULT(csr_read(bytes_of(encoded.at, i), &got_key, &subject, names, 4, &count, &arena), FAULT_REQUEST_SYNTAX);
        arena_free(&arena);
    }
    assert_true(wrong_signatures > 30);
    struct csr_request nobody = {key, {0}, NULL, 0};
    CHECK_FAULT(csr_make(&nobody, true, &encoded), FAULT_ISSUE_SUBJECT);
}

static void a_public_key_is_found_in_whatever_has_one(void **state)
{
    (void)state;
    struct csr_request csr = {key, id_of("CN=moon"), NULL, 0};
    struct issue_request issue = request_usual();
    struct cert *cert;
    AUTOFREE_BUF struct buf request = BUF(65536), pem = BUF(65536), spki = BUF(65536), spki_pem = BUF(65536);
    uint8_t id[20], expected[20];
    CHECK_FAULT(cert_issue(&issue, &cert), OK);
    CHECK_FAULT(csr_make(&csr, true, &request), OK);
    CHECK_FAULT(cert_pem(cert, &pem), OK);
    CHECK_FAULT(public_key_write_spki(public, &spki), OK);
    CHECK_FAULT(public_key_pem(public, &spki_pem), OK);
    const struct bytes all[] = {buf_bytes(&request), buf_bytes(&pem), cert_der(cert), buf_bytes(&spki), buf_bytes(&spki_pem)};
    public_key_id(public, expected);
    for (size_t i = 0; i < COUNT(all); i++) {
        struct public_key *found;
        CHECK_FAULT(public_key_find(all[i], &found), OK);
        public_key_id(found, id);
        assert_memory_equal(id, expected, 20);
        public_key_free(found);
    }
    struct public_key *found;
    CHECK_FAULT(public_key_find(BYTES("nothing"), &found), FAULT_KEY_UNREADABLE);
    CHECK_FAULT(public_key_find(BYTES_NONE, &found), FAULT_KEY_UNREADABLE);
    cert_free(cert);
}

static void a_revocation_list_is_printed(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf crl = file_of("openssl/p256-ca.crl.pem"), text = BUF(65536);
    CHECK_FAULT(crl_print(buf_bytes(&crl), &text), OK);
    assert_string_equal(buf_text(&text), "  issuer:    \"C=XX, O=Test data, CN=CA p256\"\n  number:    01\n"
                                         "  update:    2020-01-01 00:00:00 UTC\n  next:      2119-12-31 23:59:59 UTC\n"
                                         "  revoked:   1\n    10:02  2025-01-01 00:00:00 UTC, key compromise\n");
    CHECK_FAULT(crl_print(cert_der(ca), &text), FAULT_CRL_SYNTAX);
}

// RFC 8259 7 test
static void json_is_escaped(void **state)
{
    (void)state;
    struct made made = make(&(struct made_spec){.subject = "CN=a\\\"b\\\\c"});
    AUTOFREE_BUF struct buf json = BUF(65536);
    assert_non_null(made.cert);
    cert_json(made.cert, &json);
    if (!strstr(buf_text(&json), "{\n  \"subject\": \"CN=a\\\\\\\"b\\\\\\\\c\",\n")) fail_msg("%s", buf_text(&json));
    assert_non_null(strstr(buf_text(&json), "\"flags\": [\"self-signed\"]"));
    assert_non_null(strstr(buf_text(&json), "\"not_after_seconds\": 1831536000"));
    made_free(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ca_certificate_is_one),
        cmocka_unit_test(every_wish_is_in_the_certificate),
        cmocka_unit_test(serial_numbers_are_random_and_positive),
        cmocka_unit_test(the_hash_follows_the_key),
        cmocka_unit_test(wrong_wishes_are_refused),
        cmocka_unit_test(only_names_that_ike_knows_are_issued),
        cmocka_unit_test(without_a_subject_the_names_are_critical),
        cmocka_unit_test(pem_reads_back),
        cmocka_unit_test(a_request_reads_back),
        cmocka_unit_test(a_changed_request_is_refused),
        cmocka_unit_test(a_public_key_is_found_in_whatever_has_one),
        cmocka_unit_test(a_revocation_list_is_printed),
        cmocka_unit_test(json_is_escaped),
    };
    return cmocka_run_group_tests(tests, world_make, world_free);
}
