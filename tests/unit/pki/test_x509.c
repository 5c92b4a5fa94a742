// SPDX-License-Identifier: Apache-2.0
// RFC 5280 4.1, 4.2, RFC 4945 3.1 test: reading certificates, their names, and everything that is cut or changed.
#include "pki_test.h"
#include "base/rng.h"
#include <openssl/x509v3.h>

// --- files

struct heap_list {
    struct cert *certs[8];
    size_t count;
};

static void list_add(void *context, struct cert *cert)
{
    struct heap_list *list = context;
    assert_true(list->count < COUNT(list->certs));
    list->certs[list->count++] = cert;
}

static enum fault list_parse(struct bytes in, size_t *count)
{
    struct heap_list list = {.count = 0};
    enum fault fault = certs_parse(in, list_add, &list);
    *count = list.count;
    while (list.count) cert_free(list.certs[--list.count]);
    return fault;
}

static void pem_and_der_give_the_same_certificate(void **state)
{
    (void)state;
    struct cert *pem = cert_of_file("openssl/p256-ee.crt"), *der = cert_of_file("openssl/p256-ee.der.crt");
    check_bytes(cert_der(pem), cert_der(der));
    cert_free(pem);
    cert_free(der);
}

static void a_bundle_gives_all_of_its_certificates(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf bundle = BUF(1 << 20), one = file_of("openssl/p256-ee.crt"), two = file_of("openssl/p256-ca.crt");
    AUTOFREE_BUF struct buf der = file_of("openssl/p256-ee.der.crt"), crl = file_of("openssl/p256-ca.crl.pem");
    size_t count;
    buf_add_text(&bundle, "subject=CN=first\n");
    buf_add(&bundle, buf_bytes(&one));
    buf_add(&bundle, buf_bytes(&crl));
    buf_add(&bundle, buf_bytes(&two));
    CHECK_FAULT(list_parse(buf_bytes(&bundle), &count), OK);
    assert_int_equal(count, 2);
    CHECK_FAULT(list_parse(buf_bytes(&der), &count), OK);
    assert_int_equal(count, 1);
    struct cert *first;
    CHECK_FAULT(cert_parse(buf_bytes(&bundle), &first), OK);
    char text[IDENTITY_TEXT];
    struct identity subject = cert_subject(first);
    assert_string_equal(identity_print(&subject, text, sizeof text), "C=XX, O=Test data, CN=p256.example");
    cert_free(first);
}

static void what_has_no_certificate_is_said_so(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf crl = file_of("openssl/p256-ca.crl.pem");
    static const struct {
        const char *text;
        enum fault fault;
    } rows[] = {
        {"", FAULT_NO_CERTIFICATE},
        {"hello", FAULT_CERT_SYNTAX},
        {"-----BEGIN CERTIFICATE-----\n", FAULT_NO_CERTIFICATE},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", FAULT_CERT_SYNTAX},
        {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", FAULT_NO_CERTIFICATE},
    };
    size_t count;
    struct cert *cert;
    for (size_t i = 0; i < COUNT(rows); i++) {
        CHECK_FAULT(cert_parse(bytes_of_text(rows[i].text), &cert), rows[i].fault);
        CHECK_FAULT(list_parse(bytes_of_text(rows[i].text), &count), rows[i].fault);
    }
    CHECK_FAULT(list_parse(buf_bytes(&crl), &count), FAULT_NO_CERTIFICATE);
}

// --- what it says of itself

static void facts_are_those_of_the_certificate(void **state)
{
    (void)state;
    struct cert *ca = cert_of_file("openssl/p256-ca.crt"), *ee = cert_of_file("openssl/p256-ee.crt");
    struct arena arena = {0};
    struct identity names[8];
    char text[IDENTITY_TEXT], hex[41];
    uint8_t id[20], other[20];
    struct identity issuer = cert_issuer(ee);
    assert_string_equal(identity_print(&issuer, text, sizeof text), "C=XX, O=Test data, CN=CA p256");
    assert_true(cert_is_ca(ca) && cert_is_self_signed(ca) && !cert_is_ca(ee) && !cert_is_self_signed(ee));
    assert_int_equal(cert_not_before(ee), 1577836800);
    assert_int_equal(cert_not_after(ee), 4733510399);
    assert_int_equal(cert_alt_names(ee, names, 8, &arena), 4);
    static const char *const expected[] = {"p256.example", "p256@example", "192.0.2.1", "2001:db8::1"};
    for (size_t i = 0; i < 4; i++) assert_string_equal(identity_print(&names[i], text, sizeof text), expected[i]);
    assert_int_equal(cert_alt_names(ee, names, 2, &arena), 2);
    cert_key_id(ca, id);  // the CA's subjectKeyIdentifier, as the CRL's issuer names it
    assert_string_equal(bytes_hex(BYTES_ARRAY(id), hex, sizeof hex), "63df5557036561744137ec56b38892c8a097f45b");
    public_key_id(cert_public_key(ca), other);
    assert_memory_equal(id, other, 20);
    AUTOFREE_BUF struct buf spki = BUF(4096);
    CHECK_FAULT(public_key_write_spki(cert_public_key(ca), &spki), OK);
    sha1(PIECES(buf_bytes(&spki)), other);
    cert_spki_hash(ca, id);
    assert_memory_equal(id, other, 20);
    arena_free(&arena);
    cert_free(ca);
    cert_free(ee);
}

// --- identities

// RFC 4945 3.1.1 test
// RFC 4945 3.1.2 test
// RFC 4945 3.1.3 test
// RFC 4945 3.1.5 test
// RFC 4945 3.1.9 test
static void an_identity_is_looked_for_in_its_own_field_only(void **state)
{
    (void)state;
    struct made made = make(&(struct made_spec){
        .subject = "C=CH, O=Lab, CN=moon.example.org",
        .extensions = {"subjectAltName=DNS:gate.example.org,DNS:*.wild.example.org,email:admin@example.org,IP:192.0.2.1,"
                       "IP:2001:db8::1,URI:http://uri.example.org/,RID:1.2.3.4"}});
    static const struct {
        const char *id;
        bool has;
    } rows[] = {
        {"C=CH, O=Lab, CN=moon.example.org", true},
        {"c=ch, o=lab, cn=MOON.example.org", true},
        {"/C=CH/O=Lab/CN=moon.example.org", true},
        {"CN=moon.example.org", false},
        {"O=Lab, C=CH, CN=moon.example.org", false},
        {"C=CH, O=*, CN=moon.example.org", false},
        {"gate.example.org", true},
        {"GATE.Example.Org", true},
        {"moon.example.org", false},         // RFC 4945 3.1.9: the subject's CN is no host name
        {"a.wild.example.org", false},
        {"*.wild.example.org", false},
        {"*", false},
        {"%any", false},
        {"gate.example.org.", false},
        {"example.org", false},
        {"admin@example.org", true},
        {"ADMIN@example.org", true},
        {"other@example.org", false},
        {"fqdn:admin@example.org", false},
        {"email:gate.example.org", false},
        {"192.0.2.1", true},
        {"192.0.2.2", false},
        {"2001:db8::1", true},
        {"2001:db8::2", false},
        {"fqdn:192.0.2.1", false},
        {"192.0.2.0/24", false},
        {"keyid:moon", false},
        {"uri.example.org", false},
    };
    assert_non_null(made.cert);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct identity id = id_of(rows[i].id);
        if (cert_has_identity(made.cert, &id) != rows[i].has) fail_msg("%s", rows[i].id);
    }
    made_free(&made);
}

static void a_name_is_the_same_in_any_encoding(void **state)
{
    (void)state;
    static const int types[] = {V_ASN1_PRINTABLESTRING, V_ASN1_UTF8STRING, V_ASN1_T61STRING, V_ASN1_IA5STRING};
    struct identity id = id_of("C=CH, O=Lab, CN=moon");
    for (size_t i = 0; i < COUNT(types); i++) {
        struct made made = make(&(struct made_spec){.subject = "C=CH"});
        X509_NAME *name = X509_get_subject_name(made.x509);
        X509_NAME_add_entry_by_txt(name, "O", types[i], (const uint8_t *)"Lab", -1, -1, 0);
        X509_NAME_add_entry_by_txt(name, "CN", types[i], (const uint8_t *)"Moon", -1, -1, 0);
        X509_sign(made.x509, made.key, EVP_sha256());
        unsigned char *der = NULL;
        int size = i2d_X509(made.x509, &der);
        struct cert *cert;
        CHECK_FAULT(cert_parse(bytes_of(der, (size_t)size), &cert), OK);
        assert_true(cert_has_identity(cert, &id));
        cert_free(cert);
        OPENSSL_free(der);
        made_free(&made);
    }
}

static void an_empty_subject_is_nobody(void **state)
{
    (void)state;
    struct made ca = make(&(struct made_spec){.subject = "CN=CA", .extensions = {CA_EXTENSIONS}});
    struct made made = make(&(struct made_spec){.subject = "", .issuer = &ca, .extensions = {"subjectAltName=critical,DNS:x"}});
    struct identity empty = {.type = ID_DER_ASN1_DN, .bytes = BYTES("\x30\x00")};
    CHECK_FAULT(made.fault, OK);
    assert_false(cert_has_identity(made.cert, &empty));
    made_free(&made);
    made_free(&ca);
}

// --- wrong ones

static void a_critical_name(X509 *x509, int kind, const void *bytes, size_t size)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *string = ASN1_STRING_type_new(kind == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    ASN1_STRING_set(string, bytes, (int)size);
    GENERAL_NAME_set0_value(name, kind, string);
    sk_GENERAL_NAME_push(names, name);
    X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND);
    GENERAL_NAMES_free(names);
}

static enum fault parse_signed(struct made *made)
{
    unsigned char *der = NULL;
    struct cert *cert = NULL;
    X509_sign(made->x509, made->key, EVP_sha256());
    int size = i2d_X509(made->x509, &der);
    enum fault fault = cert_parse(bytes_of(der, (size_t)size), &cert);
    OPENSSL_free(der);
    cert_free(cert);
    return fault;
}

static void names_that_are_not_what_they_say_are_refused(void **state)
{
    (void)state;
    static const struct {
        int kind;
        struct bytes content;
        enum fault fault;
    } rows[] = {
        {GEN_DNS, {(const uint8_t *)"good.example", 12}, OK},
        {GEN_DNS, {(const uint8_t *)"good.example\0.evil.example", 26}, FAULT_CERT_NAME},
        {GEN_DNS, {(const uint8_t *)"", 0}, FAULT_CERT_NAME},
        {GEN_DNS, {(const uint8_t *)"new\nline", 8}, FAULT_CERT_NAME},
        {GEN_DNS, {(const uint8_t *)"a b", 3}, FAULT_CERT_NAME},
        {GEN_DNS, {(const uint8_t *)"f\xc3\xbc", 3}, FAULT_CERT_NAME},
        {GEN_EMAIL, {(const uint8_t *)"a@b\0c", 5}, FAULT_CERT_NAME},
        {GEN_IPADD, {(const uint8_t *)"\xc0\x00\x02\x01", 4}, OK},
        {GEN_IPADD, {(const uint8_t *)"\xc0\x00\x02\x01\xff\xff\xff\xff", 8}, FAULT_CERT_NAME},
        {GEN_IPADD, {(const uint8_t *)"\xc0", 1}, FAULT_CERT_NAME},
        {GEN_IPADD, {(const uint8_t *)"", 0}, FAULT_CERT_NAME},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct made made = make(&(struct made_spec){.subject = "CN=x"});
        a_critical_name(made.x509, rows[i].kind, rows[i].content.at, rows[i].content.size);
        CHECK_FAULT(parse_signed(&made), rows[i].fault);
        made_free(&made);
    }
}

static void extensions_that_are_broken_or_repeated_are_refused(void **state)
{
    (void)state;
    static const struct {
        int kind;
        struct bytes value;
    } rows[] = {
        {NID_basic_constraints, {(const uint8_t *)"\x01", 1}},
        {NID_key_usage, {(const uint8_t *)"\x30\x00", 2}},
        {NID_subject_alt_name, {(const uint8_t *)"\x05\x00", 2}},
        {NID_info_access, {(const uint8_t *)"\x05\x00", 2}},
        {NID_name_constraints, {(const uint8_t *)"\x04\x00", 2}},
        {NID_ext_key_usage, {(const uint8_t *)"\x02\x01\x01", 3}},
        {NID_crl_distribution_points, {(const uint8_t *)"\x30\x01", 2}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct made made = make(&(struct made_spec){.subject = "CN=x"});
        ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
        ASN1_OCTET_STRING_set(value, rows[i].value.at, (int)rows[i].value.size);
        X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, rows[i].kind, 0, value);
        X509_add_ext(made.x509, extension, -1);
        CHECK_FAULT(parse_signed(&made), FAULT_CERT_EXTENSION);
        X509_EXTENSION_free(extension);
        ASN1_OCTET_STRING_free(value);
        made_free(&made);
    }
    struct made twice = make(&(struct made_spec){.subject = "CN=x", .extensions = {"nsComment=a", "nsComment=b"}});
    CHECK_FAULT(twice.fault, FAULT_CERT_EXTENSION);
    made_free(&twice);
}

static void an_issuer_without_a_name_is_refused(void **state)
{
    (void)state;
    struct made made = make(&(struct made_spec){.subject = "", .extensions = {"subjectAltName=DNS:x"}});
    CHECK_FAULT(made.fault, FAULT_CERT_SYNTAX);
    made_free(&made);
}

static void more_than_anybody_needs_is_refused(void **state)
{
    (void)state;
    struct made many = make(&(struct made_spec){.subject = "CN=x"});
    for (int i = 0; i < 65; i++) {
        char oid[40];
        snprintf(oid, sizeof oid, "1.3.6.1.4.1.99999.%d", i);
        ASN1_OBJECT *kind = OBJ_txt2obj(oid, 1);
        ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
        X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, kind, 0, value);
        X509_add_ext(many.x509, extension, -1);
        X509_EXTENSION_free(extension);
        ASN1_OCTET_STRING_free(value);
        ASN1_OBJECT_free(kind);
        CHECK_FAULT(parse_signed(&many), i < 64 ? OK : FAULT_CERT_TOO_MANY);
    }
    made_free(&many);
    AUTOFREE_BUF struct buf names = BUF(65536);
    for (int i = 0; i < 257; i++) buf_printf(&names, "%sDNS:n%d", i ? "," : "subjectAltName=", i);
    struct made named = make(&(struct made_spec){.subject = "CN=x", .extensions = {buf_text(&names)}});
    CHECK_FAULT(named.fault, FAULT_CERT_TOO_MANY);
    made_free(&named);
    AUTOFREE_MEM uint8_t *large = mem_new(65537);
    struct cert *cert;
    CHECK_FAULT(cert_parse(bytes_of(large, 65537), &cert), FAULT_CERT_TOO_MANY);
}

// --- cut and changed

static const char *const files[] = {"openssl/p256-ee.crt", "openssl/p256-ca.crt", "openssl/rsa3072pss-ee.crt", "openssl/ed448-ca.crt"};

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t f = 0; f < COUNT(files); f++) {
        struct cert *whole = cert_of_file(files[f]), *cert;
        struct bytes der = cert_der(whole);
        for (size_t size = 0; size < der.size; size++) {
            AUTOFREE_MEM uint8_t *exact = size ? mem_new(size) : NULL;  // so that reading beyond its end is noticed
            if (size) memcpy(exact, der.at, size);
            CHECK_FAULT(cert_parse(bytes_of(exact, size), &cert), size ? FAULT_CERT_SYNTAX : FAULT_NO_CERTIFICATE);
        }
        AUTOFREE_MEM uint8_t *longer = mem_new(der.size + 1);
        memcpy(longer, der.at, der.size);
        CHECK_FAULT(cert_parse(bytes_of(longer, der.size + 1), &cert), FAULT_CERT_SYNTAX);
        cert_free(whole);
    }
}

// What is accepted has to be usable, and no changed certificate may be judged good: the signature covers it.
static void use(struct cert *cert, const struct trust_store *store)
{
    AUTOFREE_BUF struct buf text = BUF(1 << 20), json = BUF(1 << 20);
    uint8_t id[20];
    cert_print(cert, &text);
    cert_json(cert, &json);
    cert_key_id(cert, id);
    cert_spki_hash(cert, id);
    struct bytes der = cert_der(cert);
    struct judged judged = judge(store, &der, 1, "", NULL);
    cert_free(judged.peer);
    assert_int_not_equal(judged.fault, OK);
}

static void no_single_changed_byte_passes(void **state)
{
    (void)state;
    struct trust_store *store = trust_store_new();
    trust_store_add(store, cert_of_file("openssl/p256-ca.crt"), true);
    struct cert *whole = cert_of_file("openssl/p256-ee.crt"), *cert;
    struct bytes der = cert_der(whole);
    AUTOFREE_MEM uint8_t *copy = mem_new(der.size);
    static const uint8_t changes[] = {0x01, 0x80, 0xff, 0x20};
    for (size_t i = 0; i < der.size; i++) {
        for (size_t c = 0; c < COUNT(changes); c++) {
            memcpy(copy, der.at, der.size);
            copy[i] ^= changes[c];
            if (cert_parse(bytes_of(copy, der.size), &cert)) continue;
            use(cert, store);
            cert_free(cert);
        }
    }
    cert_free(whole);
    trust_store_free(store);
}

// Several changes at once, of the kinds that hostile certificates are made of: lengths, tags, parts cut out or doubled.
static void mutate(struct rng *rng, uint8_t *at, size_t *size, size_t room)
{
    size_t place = (size_t)rng_below(rng, *size), part = 1 + (size_t)rng_below(rng, 40);
    if (part > *size - place) part = *size - place;
    switch (rng_below(rng, 5)) {
    case 0: at[place] = (uint8_t)rng_u32(rng); break;
    case 1: at[place] = (const uint8_t[]){0x00, 0x7f, 0x80, 0x81, 0x84, 0xff, 0x30, 0xa3}[rng_below(rng, 8)]; break;
    case 2:
        if (*size > part) {
            memmove(at + place, at + place + part, *size - place - part);
            *size -= part;
        }
        break;
    case 3:
        if (*size + part <= room) {
            memmove(at + place + part, at + place, *size - place);
            *size += part;
        }
        break;
    default: memset(at + place, at[place], part);
    }
}

static void mutations_do_no_harm(void **state)
{
    (void)state;
    enum { ROOM = 8192, ROUNDS = 3000, SEED = 20261121 };
    struct rng_seeded seeded;
    struct trust_store *store = trust_store_new();
    struct made ca = make(&(struct made_spec){.subject = "CN=CA", .extensions = {CA_EXTENSIONS, "nameConstraints=permitted;DNS:example.org"}});
    struct made rich = make(&(struct made_spec){
        .subject = "C=CH, O=Lab, OU=Tests, CN=moon", .issuer = &ca,
        .extensions = {"subjectAltName=DNS:moon.example.org,email:a@example.org,IP:192.0.2.1,URI:http://x/", "keyUsage=digitalSignature",
                       "extendedKeyUsage=serverAuth,1.3.6.1.5.5.7.3.17", "crlDistributionPoints=URI:http://x/y.crl",
                       "authorityInfoAccess=OCSP;URI:http://o/", "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"}});
    AUTOFREE_MEM uint8_t *work = mem_new(ROOM);
    unsigned accepted = 0;
    assert_non_null(rich.cert);
    trust_store_add(store, cert_hold(ca.cert), true);
    printf("seed %d\n", SEED);
    rng_seed(&seeded, SEED);
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t size = rich.der.size;
        memcpy(work, rich.der.at, size);
        for (uint64_t n = 1 + rng_below(&seeded.rng, 4); n > 0; n--) mutate(&seeded.rng, work, &size, ROOM);
        if (bytes_equal(bytes_of(work, size), rich.der)) continue;
        AUTOFREE_MEM uint8_t *exact = mem_new(size);
        memcpy(exact, work, size);
        struct cert *cert;
        if (cert_parse(bytes_of(exact, size), &cert)) continue;
        accepted++;
        use(cert, store);
        cert_free(cert);
    }
    assert_true(accepted > ROUNDS / 50);  // else nothing behind the decoder was tried
    made_free(&rich);
    made_free(&ca);
    trust_store_free(store);
}

static int start(void **state)
{
    (void)state;
    crypto_start();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pem_and_der_give_the_same_certificate),
        cmocka_unit_test(a_bundle_gives_all_of_its_certificates),
        cmocka_unit_test(what_has_no_certificate_is_said_so),
        cmocka_unit_test(facts_are_those_of_the_certificate),
        cmocka_unit_test(an_identity_is_looked_for_in_its_own_field_only),
        cmocka_unit_test(a_name_is_the_same_in_any_encoding),
        cmocka_unit_test(an_empty_subject_is_nobody),
        cmocka_unit_test(names_that_are_not_what_they_say_are_refused),
        cmocka_unit_test(extensions_that_are_broken_or_repeated_are_refused),
        cmocka_unit_test(an_issuer_without_a_name_is_refused),
        cmocka_unit_test(more_than_anybody_needs_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(no_single_changed_byte_passes),
        cmocka_unit_test(mutations_do_no_harm),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
