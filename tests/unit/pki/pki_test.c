// SPDX-License-Identifier: Apache-2.0
// Helpers of the tests of this folder.
#include "pki_test.h"
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

struct buf file_of(const char *name)
{
    struct buf out = BUF(1 << 22);
    AUTOFREE_MEM char *path = mem_printf("%s/%s", VECTORS, name);
    FILE *file = fopen(path, "rb");
    uint8_t piece[4096];
    size_t size;
    if (!file) fail_msg("%s cannot be opened", path);
    while ((size = fread(piece, 1, sizeof piece, file)) > 0) buf_add(&out, bytes_of(piece, size));
    fclose(file);
    assert_true(out.size > 0 && !out.failed);
    return out;
}

struct cert *cert_of_file(const char *name)
{
    AUTOFREE_BUF struct buf content = file_of(name);
    struct cert *cert = NULL;
    CHECK_FAULT(cert_parse(buf_bytes(&content), &cert), OK);
    return cert;
}

static struct arena texts;

struct identity id_of(const char *text)
{
    struct identity id = {0};
    CHECK_FAULT(identity_parse(text, &texts, &id), OK);
    return id;
}

static void name_set(X509_NAME *name, const char *text)
{
    if (!*text) return;
    struct identity id = id_of(text);
    const unsigned char *at = id.bytes.at;
    X509_NAME *parsed = d2i_X509_NAME(NULL, &at, (long)id.bytes.size);
    assert_non_null(parsed);
    for (int i = 0; i < X509_NAME_entry_count(parsed); i++) X509_NAME_add_entry(name, X509_NAME_get_entry(parsed, i), -1, 0);
    X509_NAME_free(parsed);
}

static void extensions_make(X509 *x509, X509 *issuer, const struct made_spec *spec)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x509, NULL, NULL, 0);
    for (size_t i = 0; i < COUNT(spec->extensions) && spec->extensions[i]; i++) {
        char name[64];
        const char *value = strchr(spec->extensions[i], '=');
        snprintf(name, sizeof name, "%.*s", (int)(value - spec->extensions[i]), spec->extensions[i]);
        X509_EXTENSION *extension = X509V3_EXT_conf(NULL, &ctx, name, value + 1);
        if (!extension) fail_msg("no extension: %s", spec->extensions[i]);
        assert_int_equal(X509_add_ext(x509, extension, -1), 1);
        X509_EXTENSION_free(extension);
    }
    if (!spec->unknown_critical) return;
    ASN1_OBJECT *kind = OBJ_txt2obj(spec->unknown_critical, 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(value, (const uint8_t *)"\x05\x00", 2);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, kind, 1, value);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(kind);
}

enum key_type made_kind = KEY_ECDSA;

// RFC 8410 3: Ed25519 has its own.
static const EVP_MD *digest_of(const EVP_PKEY *signer, const EVP_MD *wanted)
{
    if (EVP_PKEY_is_a(signer, "ED25519")) return NULL;
    return wanted ? wanted : EVP_sha256();
}

struct made make(const struct made_spec *spec)
{
    struct made made = {.x509 = X509_new(), .key = spec->key};
    if (made.key) EVP_PKEY_up_ref(made.key);
    else made.key = made_kind == KEY_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_EC_gen("P-256");
    X509 *issuer = spec->issuer ? spec->issuer->x509 : made.x509;
    X509_set_version(made.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.x509), spec->serial ? spec->serial : 1);
    ASN1_TIME_adj(X509_getm_notBefore(made.x509), spec->begin ? spec->begin : NOW - 365 * DAY, 0, 0);
    ASN1_TIME_adj(X509_getm_notAfter(made.x509), spec->end ? spec->end : NOW + 365 * DAY, 0, 0);
    name_set(X509_get_subject_name(made.x509), spec->subject);
    X509_set_issuer_name(made.x509, X509_get_subject_name(issuer));
    X509_set_pubkey(made.x509, made.key);
    extensions_make(made.x509, issuer, spec);
    EVP_PKEY *signer = spec->issuer ? spec->issuer->key : made.key;
    assert_true(X509_sign(made.x509, signer, digest_of(signer, spec->md)) > 0);
    unsigned char *der = NULL;
    int size = i2d_X509(made.x509, &der);
    made.der = mem_copy(bytes_of(der, (size_t)size));
    OPENSSL_free(der);
    made.fault = cert_parse(made.der, &made.cert);
    return made;
}

void made_free(struct made *made)
{
    EVP_PKEY_free(made->key);
    X509_free(made->x509);
    cert_free(made->cert);
    mem_drop(&made->der);
}

struct buf make_crl(const struct made_crl *spec)
{
    struct buf out = BUF(65536);
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *update = ASN1_TIME_adj(NULL, spec->update ? spec->update : NOW - DAY, 0, 0);
    ASN1_TIME *next = ASN1_TIME_adj(NULL, spec->next ? spec->next : NOW + DAY, 0, 0);
    ASN1_TIME *when = ASN1_TIME_adj(NULL, NOW - 10 * DAY, 0, 0);
    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(spec->issuer->x509));
    X509_CRL_set1_lastUpdate(crl, update);
    X509_CRL_set1_nextUpdate(crl, next);
    for (size_t i = 0; i < COUNT(spec->serials) && spec->serials[i]; i++) {
        X509_REVOKED *revoked = X509_REVOKED_new();
        ASN1_INTEGER *serial = ASN1_INTEGER_new();
        ASN1_INTEGER_set(serial, spec->serials[i]);
        X509_REVOKED_set_serialNumber(revoked, serial);
        X509_REVOKED_set_revocationDate(revoked, when);
        X509_CRL_add0_revoked(crl, revoked);
        ASN1_INTEGER_free(serial);
    }
    EVP_PKEY *signer = spec->key ? spec->key : spec->issuer->key;
    assert_true(X509_CRL_sign(crl, signer, digest_of(signer, NULL)) > 0);
    unsigned char *der = NULL;
    int size = i2d_X509_CRL(crl, &der);
    buf_add(&out, bytes_of(der, (size_t)size));
    OPENSSL_free(der);
    ASN1_TIME_free(update);
    ASN1_TIME_free(next);
    ASN1_TIME_free(when);
    X509_CRL_free(crl);
    return out;
}

struct judged judge(const struct trust_store *store, const struct bytes *certs, size_t count, const char *id,
                    const struct auth_conf *conf)
{
    static const struct auth_conf usual = {.auth = AUTH_CLASS_PUBKEY};
    AUTOFREE_BUF struct buf text = BUF(65536);
    struct judged judged = {.fault = OK};
    struct judge_input in = {.certs = certs, .cert_count = count, .auth = conf ? conf : &usual, .now = NOW, .chain_only = !*id};
    if (*id) in.id = id_of(id);
    judged.fault = trust_judge(store, &in, &judged.peer, &text);
    snprintf(judged.text, sizeof judged.text, "%s", text.size ? buf_text(&text) : "");
    assert_int_equal(judged.fault == OK, judged.peer != NULL);
    return judged;
}
