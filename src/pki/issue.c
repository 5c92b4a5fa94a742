// SPDX-License-Identifier: Apache-2.0
// Issuing: certificates and requests for them, in the shape that RFC 5280 and RFC 4945 ask for.
#include "crypto/key.h"
#include "pki/internal.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

enum { SERIAL_SIZE = 20, REQUEST_SIZE_MAX = 65536, RSA_LONG = 3072 };
#define YEAR_10000 INT64_C(253402300800)

// What can only fail for lack of memory.
static void must(bool worked)
{
    if (!worked) abort();
}

// --- names

static X509_NAME *name_of_identity(const struct identity *subject)
{
    const unsigned char *at = subject->bytes.at;
    if (subject->type != ID_DER_ASN1_DN || subject->regex || subject->bytes.size == 0) return NULL;
    X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)subject->bytes.size);
    ERR_clear_error();
    if (name && at == subject->bytes.at + subject->bytes.size) return name;
    X509_NAME_free(name);
    return NULL;
}

// RFC 4945 5.1.3.6.1: no wildcards. RFC 5280 4.2.1.6: an IA5String.
static bool name_is_issuable(const struct identity *name)
{
    if (name->type != ID_FQDN && name->type != ID_RFC822_ADDR) return false;
    for (size_t i = 0; i < name->bytes.size; i++)
        if (name->bytes.at[i] <= ' ' || name->bytes.at[i] > '~' || name->bytes.at[i] == '*') return false;
    return name->bytes.size > 0;
}

static GENERAL_NAME *general_of_identity(const struct identity *identity)
{
    bool address = identity->type == ID_IPV4_ADDR || identity->type == ID_IPV6_ADDR;
    if (identity->regex) return NULL;
    if (identity->type == ID_DER_ASN1_DN) {
        X509_NAME *name = name_of_identity(identity);
        if (!name) return NULL;
        GENERAL_NAME *general = GENERAL_NAME_new();
        must(general != NULL);
        GENERAL_NAME_set0_value(general, GEN_DIRNAME, name);
        return general;
    }
    if (!address && !name_is_issuable(identity)) return NULL;
    ASN1_STRING *string = address ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    GENERAL_NAME *general = GENERAL_NAME_new();
    must(string && general && ASN1_STRING_set(string, identity->bytes.at, (int)identity->bytes.size) == 1);
    GENERAL_NAME_set0_value(general, address ? GEN_IPADD : identity->type == ID_FQDN ? GEN_DNS : GEN_EMAIL, string);
    return general;
}

// RFC 4945 5.1.3.6: host names, addresses and e-mail addresses; RFC 5280 4.2.1.6 for directory names.
static enum fault names_of_identities(const struct identity *identities, size_t count, GENERAL_NAMES **out)
{
    *out = GENERAL_NAMES_new();
    must(*out != NULL);
    for (size_t i = 0; i < count; i++) {
        GENERAL_NAME *general = general_of_identity(&identities[i]);
        if (!general) return FAULT_ISSUE_NAME;
        must(sk_GENERAL_NAME_push(*out, general) > 0);
    }
    return OK;
}

// --- extensions

enum critical { NOT_CRITICAL, IS_CRITICAL };

static void extension_add(X509 *x509, int kind, void *value, enum critical critical)
{
    must(X509_add1_ext_i2d(x509, kind, value, critical == IS_CRITICAL, X509V3_ADD_APPEND) == 1);
}

static void basic_constraints_add(X509 *x509, int path_length)
{
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
    must(constraints != NULL);
    constraints->ca = 0xff;
    if (path_length >= 0) {
        constraints->pathlen = ASN1_INTEGER_new();
        must(constraints->pathlen && ASN1_INTEGER_set(constraints->pathlen, path_length) == 1);
    }
    extension_add(x509, NID_basic_constraints, constraints, IS_CRITICAL);
    BASIC_CONSTRAINTS_free(constraints);
}

// RFC 5280 4.2.1.3: bit 0 is digitalSignature, 5 keyCertSign, 6 cRLSign.
static void key_usage_add(X509 *x509, bool ca)
{
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    must(usage != NULL);
    if (ca) must(ASN1_BIT_STRING_set_bit(usage, 5, 1) && ASN1_BIT_STRING_set_bit(usage, 6, 1));
    else must(ASN1_BIT_STRING_set_bit(usage, 0, 1));
    extension_add(x509, NID_key_usage, usage, IS_CRITICAL);
    ASN1_BIT_STRING_free(usage);
}

// RFC 4945 5.1.3.12: a certificate that names purposes names IKE among them.
static void purposes_add(X509 *x509, const struct issue_request *request)
{
    const struct {
        bool wanted;
        const char *oid;
    } purposes[] = {
        {request->server_auth, "1.3.6.1.5.5.7.3.1"},
        {request->client_auth, "1.3.6.1.5.5.7.3.2"},
        {request->ike_intermediate, "1.3.6.1.5.5.8.2.2"},
        {true, "1.3.6.1.5.5.7.3.17"},
    };
    if (!request->server_auth && !request->client_auth && !request->ike_intermediate) return;
    EXTENDED_KEY_USAGE *usage = EXTENDED_KEY_USAGE_new();
    must(usage != NULL);
    for (size_t i = 0; i < sizeof purposes / sizeof *purposes; i++)
        if (purposes[i].wanted) must(sk_ASN1_OBJECT_push(usage, OBJ_txt2obj(purposes[i].oid, 1)) > 0);
    extension_add(x509, NID_ext_key_usage, usage, NOT_CRITICAL);
    EXTENDED_KEY_USAGE_free(usage);
}

// RFC 5280 4.2.1.1, 4.2.1.2: the SHA-1 of the subject's key, and the issuer's as its own certificate has it.
static void key_ids_add(X509 *x509, const struct issue_request *request)
{
    uint8_t id[20];
    ASN1_OCTET_STRING *key = ASN1_OCTET_STRING_new();
    AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
    must(key && authority);
    public_key_id(request->subject_key, id);
    must(ASN1_OCTET_STRING_set(key, id, sizeof id) == 1);
    extension_add(x509, NID_subject_key_identifier, key, NOT_CRITICAL);
    const ASN1_OCTET_STRING *issuer = request->issuer ? X509_get0_subject_key_id(request->issuer->x509) : key;
    if (!issuer) {
        cert_key_id(request->issuer, id);
        must(ASN1_OCTET_STRING_set(key, id, sizeof id) == 1);
        issuer = key;
    }
    authority->keyid = ASN1_OCTET_STRING_dup(issuer);
    extension_add(x509, NID_authority_key_identifier, authority, NOT_CRITICAL);
    ASN1_OCTET_STRING_free(key);
    AUTHORITY_KEYID_free(authority);
}

static GENERAL_NAME *general_of_uri(const char *uri)
{
    GENERAL_NAME *general = GENERAL_NAME_new();
    ASN1_IA5STRING *string = ASN1_IA5STRING_new();
    must(general && string && ASN1_STRING_set(string, uri, -1) == 1);
    GENERAL_NAME_set0_value(general, GEN_URI, string);
    return general;
}

static void crl_uri_add(X509 *x509, const char *uri)
{
    DIST_POINT *point = DIST_POINT_new();
    CRL_DIST_POINTS *points = CRL_DIST_POINTS_new();
    must(point && points && (point->distpoint = DIST_POINT_NAME_new()) && (point->distpoint->name.fullname = GENERAL_NAMES_new()));
    point->distpoint->type = 0;  // fullName
    must(sk_GENERAL_NAME_push(point->distpoint->name.fullname, general_of_uri(uri)) > 0 && sk_DIST_POINT_push(points, point) > 0);
    extension_add(x509, NID_crl_distribution_points, points, NOT_CRITICAL);
    CRL_DIST_POINTS_free(points);
}

static void ocsp_uri_add(X509 *x509, const char *uri)
{
    ACCESS_DESCRIPTION *access = ACCESS_DESCRIPTION_new();
    AUTHORITY_INFO_ACCESS *info = AUTHORITY_INFO_ACCESS_new();
    must(access && info);
    ASN1_OBJECT_free(access->method);
    access->method = OBJ_nid2obj(NID_ad_OCSP);
    GENERAL_NAME_free(access->location);
    access->location = general_of_uri(uri);
    must(sk_ACCESS_DESCRIPTION_push(info, access) > 0);
    extension_add(x509, NID_info_access, info, NOT_CRITICAL);
    AUTHORITY_INFO_ACCESS_free(info);
}

static enum fault extensions_add(X509 *x509, const struct issue_request *request)
{
    GENERAL_NAMES *names;
    bool empty_subject = X509_NAME_entry_count(X509_get_subject_name(x509)) == 0;
    if (request->ca) basic_constraints_add(x509, request->path_length);
    key_usage_add(x509, request->ca);
    purposes_add(x509, request);
    enum fault fault = names_of_identities(request->alt_names, request->alt_name_count, &names);
    // RFC 5280 4.2.1.6: critical where there is no subject.
    if (!fault && request->alt_name_count)
        extension_add(x509, NID_subject_alt_name, names, empty_subject ? IS_CRITICAL : NOT_CRITICAL);
    GENERAL_NAMES_free(names);
    TRY(fault);
    key_ids_add(x509, request);
    if (request->crl_uri) crl_uri_add(x509, request->crl_uri);
    if (request->ocsp_uri) ocsp_uri_add(x509, request->ocsp_uri);
    return OK;
}

// --- signing

// RFC 8247 3.2: SHA-256 or longer; the curve's own strength for ECDSA. EdDSA has its hash inside.
static enum fault hash_choose(const struct private_key *key, uint16_t wanted, const EVP_MD **md)
{
    enum key_type type = private_key_type(key);
    unsigned bits = private_key_bits(key);
    *md = NULL;
    if (type == KEY_ED25519 || type == KEY_ED448) return wanted && wanted != HASH_IDENTITY ? FAULT_ISSUE_HASH : OK;
    if (!wanted && type == KEY_ECDSA) wanted = bits > 384 ? HASH_SHA2_512 : bits > 256 ? HASH_SHA2_384 : HASH_SHA2_256;
    if (!wanted) wanted = bits > RSA_LONG ? HASH_SHA2_384 : HASH_SHA2_256;
    *md = wanted == HASH_SHA2_256 ? EVP_sha256() : wanted == HASH_SHA2_384 ? EVP_sha384() : wanted == HASH_SHA2_512 ? EVP_sha512() : NULL;
    return *md ? OK : FAULT_ISSUE_HASH;
}

// RFC 5280 4.1.2.2: positive, at most 20 bytes; random ones cannot be foreseen.
static enum fault serial_set(X509 *x509, struct bytes wanted)
{
    uint8_t random[SERIAL_SIZE];
    if (wanted.size == 0) {
        must(RAND_bytes(random, sizeof random) == 1);
        random[0] = (uint8_t)((random[0] & 0x7f) | 0x40);  // positive, and of full length
        wanted = BYTES_ARRAY(random);
    }
    BIGNUM *number = BN_bin2bn(wanted.at, (int)wanted.size, NULL);
    must(number != NULL);
    // With the sign's bit it may need a byte more.
    bool fits = wanted.size <= SERIAL_SIZE && !BN_is_zero(number) && BN_num_bits(number) < 8 * SERIAL_SIZE;
    if (fits) must(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != NULL);
    BN_free(number);
    return fits ? OK : FAULT_ISSUE_SERIAL;
}

static enum fault dates_set(X509 *x509, const struct issue_request *request)
{
    if (request->not_after <= request->not_before || request->not_after >= YEAR_10000 || request->not_before < 0)
        return FAULT_ISSUE_DATES;
    must(ASN1_TIME_adj(X509_getm_notBefore(x509), (time_t)request->not_before, 0, 0) != NULL);
    must(ASN1_TIME_adj(X509_getm_notAfter(x509), (time_t)request->not_after, 0, 0) != NULL);
    return OK;
}

static enum fault subject_set(X509 *x509, const struct issue_request *request)
{
    X509_NAME *subject = request->subject.bytes.size ? name_of_identity(&request->subject) : X509_NAME_new();
    if (!subject) return FAULT_ISSUE_SUBJECT;
    bool empty = X509_NAME_entry_count(subject) == 0;
    must(X509_set_subject_name(x509, subject) == 1);
    X509_NAME_free(subject);
    // RFC 5280 4.1.2.6: a CA, and thus every issuer, has a name.
    if (empty && (request->ca || !request->issuer || request->alt_name_count == 0)) return FAULT_ISSUE_SUBJECT;
    must(X509_set_issuer_name(x509, request->issuer ? X509_get_subject_name(request->issuer->x509) : X509_get_subject_name(x509)) == 1);
    return OK;
}

static enum fault issuer_check(const struct issue_request *request)
{
    const EVP_PKEY *wanted = request->issuer ? X509_get0_pubkey(request->issuer->x509) : request->subject_key->pkey;
    if (!wanted || EVP_PKEY_eq(wanted, request->issuer_key->pkey) != 1) return FAULT_ISSUER_KEY;
    return request->issuer && !cert_is_ca(request->issuer) ? FAULT_ISSUER_NOT_CA : OK;
}

static enum fault x509_fill(X509 *x509, const struct issue_request *request)
{
    const EVP_MD *md;
    TRY(issuer_check(request));
    TRY(hash_choose(request->issuer_key, request->hash, &md));
    must(X509_set_version(x509, X509_VERSION_3) == 1 && X509_set_pubkey(x509, request->subject_key->pkey) == 1);
    TRY(serial_set(x509, request->serial));
    TRY(dates_set(x509, request));
    TRY(subject_set(x509, request));
    TRY(extensions_add(x509, request));
    // A key too short for the hash's padding is all that can be wrong here.
    return X509_sign(x509, request->issuer_key->pkey, md) > 0 ? OK : FAULT_ISSUE_HASH;
}

enum fault cert_issue(const struct issue_request *request, struct cert **out)
{
    X509 *x509 = X509_new();
    must(x509 != NULL);
    enum fault fault = x509_fill(x509, request);
    ERR_clear_error();
    if (!fault) return cert_of_x509(x509, out);
    X509_free(x509);
    return fault;
}

static enum fault bio_drain(BIO *bio, struct buf *out)
{
    char *at;
    long size = BIO_get_mem_data(bio, &at);
    buf_add(out, bytes_of(at, (size_t)size));
    BIO_free(bio);
    return out->failed ? FAULT_NO_ROOM : OK;
}

enum fault cert_pem(const struct cert *cert, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    must(bio && PEM_write_bio_X509(bio, cert->x509) == 1);
    return bio_drain(bio, out);
}

// --- requests (RFC 2986)

static enum fault request_fill(X509_REQ *req, const struct csr_request *request)
{
    const EVP_MD *md;
    GENERAL_NAMES *names;
    TRY(hash_choose(request->key, 0, &md));
    X509_NAME *subject = request->subject.bytes.size ? name_of_identity(&request->subject) : X509_NAME_new();
    if (!subject) return FAULT_ISSUE_SUBJECT;
    bool empty = X509_NAME_entry_count(subject) == 0;
    must(X509_REQ_set_subject_name(req, subject) == 1 && X509_REQ_set_pubkey(req, request->key->pkey) == 1);
    X509_NAME_free(subject);
    if (empty && request->alt_name_count == 0) return FAULT_ISSUE_SUBJECT;
    enum fault fault = names_of_identities(request->alt_names, request->alt_name_count, &names);
    if (!fault && request->alt_name_count) {
        STACK_OF(X509_EXTENSION) *extensions = NULL;
        must(X509V3_add1_i2d(&extensions, NID_subject_alt_name, names, empty, X509V3_ADD_APPEND) == 1);
        must(X509_REQ_add_extensions(req, extensions) == 1);
        sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    }
    GENERAL_NAMES_free(names);
    TRY(fault);
    return X509_REQ_sign(req, request->key->pkey, md) > 0 ? OK : FAULT_ISSUE_HASH;
}

enum fault csr_make(const struct csr_request *request, bool pem, struct buf *out)
{
    X509_REQ *req = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());
    must(req && bio);
    enum fault fault = request_fill(req, request);
    ERR_clear_error();
    if (!fault) must((pem ? PEM_write_bio_X509_REQ(bio, req) : i2d_X509_REQ_bio(bio, req)) == 1);
    X509_REQ_free(req);
    if (!fault) return bio_drain(bio, out);
    BIO_free(bio);
    return fault;
}

static X509_REQ *request_decode(struct bytes in)
{
    static const char *const labels[] = {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST", NULL};
    struct pem_found found;
    struct bytes der = pem_or_der(in, REQUEST_SIZE_MAX, labels, &found);
    if (!der.size) return NULL;
    const unsigned char *at = der.at;
    X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)der.size);
    bool whole = at == der.at + der.size;
    OPENSSL_free(found.der);
    if (req && whole) return req;
    X509_REQ_free(req);
    return NULL;
}

static enum fault request_key(X509_REQ *req, struct public_key **key)
{
    unsigned char *der = NULL;
    int size = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(req), &der);
    if (size <= 0) return FAULT_REQUEST_SYNTAX;
    enum fault fault = public_key_read_spki(bytes_of(der, (size_t)size), key);
    OPENSSL_free(der);
    TRY(fault);
    // RFC 2986 3: the signature proves that who asks has the private key.
    if (X509_REQ_verify(req, (*key)->pkey) == 1) return OK;
    public_key_free(*key);
    *key = NULL;
    return FAULT_REQUEST_SIGNATURE;
}

static enum fault request_names(X509_REQ *req, struct identity *out, size_t limit, size_t *count, struct arena *arena)
{
    struct identity *names;
    int critical;
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
    GENERAL_NAMES *general = X509V3_get_d2i(extensions, NID_subject_alt_name, &critical, NULL);
    bool broken = extensions && !general && critical != -1;
    enum fault fault = broken ? FAULT_REQUEST_SYNTAX : names_read(general, arena, &names, count);
    GENERAL_NAMES_free(general);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    TRY(fault);
    if (*count > limit) return FAULT_CERT_TOO_MANY;
    if (*count) memcpy(out, names, *count * sizeof *out);
    return OK;
}

enum fault csr_read(struct bytes in, struct public_key **key, struct identity *subject, struct identity *alt_names,
                    size_t limit, size_t *count, struct arena *arena)
{
    *key = NULL;
    *count = 0;
    X509_REQ *req = request_decode(in);
    ERR_clear_error();
    if (!req) return FAULT_REQUEST_SYNTAX;
    enum fault fault = request_key(req, key);
    if (!fault) fault = request_names(req, alt_names, limit, count, arena);
    *subject = identity_of_name(X509_REQ_get_subject_name(req));
    subject->bytes = arena_copy(arena, subject->bytes);
    X509_REQ_free(req);
    ERR_clear_error();
    if (fault) {
        public_key_free(*key);
        *key = NULL;
    }
    return fault;
}

// --- public keys

enum fault public_key_find(struct bytes in, struct public_key **out)
{
    static const char *const labels[] = {"PUBLIC KEY", NULL};
    struct pem_found found = {.der = NULL};
    struct arena arena = {0};
    struct identity subject, names[CERT_NAMES_MAX];
    struct cert *cert;
    size_t count;
    if (in.size == 0 || in.size > INT32_MAX) return FAULT_KEY_UNREADABLE;
    BIO *bio = BIO_new_mem_buf(in.at, (int)in.size);
    bool any = bytes_are_pem(in) && pem_next(bio, labels, &found);
    BIO_free(bio);
    enum fault fault = public_key_read_spki(any ? bytes_of(found.der, (size_t)found.size) : in, out);
    OPENSSL_free(found.der);
    if (fault != FAULT_KEY_UNREADABLE) return fault;
    if (cert_parse(in, &cert) == OK) {
        unsigned char *der = NULL;
        int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert->x509), &der);
        fault = public_key_read_spki(bytes_of(der, size > 0 ? (size_t)size : 0), out);
        OPENSSL_free(der);
        cert_free(cert);
        return fault;
    }
    fault = csr_read(in, out, &subject, names, CERT_NAMES_MAX, &count, &arena);
    arena_free(&arena);
    return fault == FAULT_REQUEST_SYNTAX ? FAULT_KEY_UNREADABLE : fault;
}

enum fault public_key_pem(const struct public_key *key, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    must(bio && PEM_write_bio_PUBKEY(bio, key->pkey) == 1);
    return bio_drain(bio, out);
}
