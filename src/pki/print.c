// SPDX-License-Identifier: Apache-2.0
// A certificate for people and for programs. Both come from one gathering of its facts.
#include "pki/internal.h"
#include <openssl/evp.h>
#include <stddef.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { URIS_MAX = 16, PURPOSE_TEXT = 80 };

// --- facts

static const struct purpose {
    const char *oid, *name;
} purposes[] = {
    {"1.3.6.1.5.5.7.3.1", "serverAuth"},       {"1.3.6.1.5.5.7.3.2", "clientAuth"},
    {"1.3.6.1.5.5.7.3.17", "ipsecIKE"},        {"1.3.6.1.5.5.8.2.2", "ikeIntermediate"},
    {"1.3.6.1.5.5.7.3.9", "ocspSigning"},      {"1.3.6.1.5.5.7.3.3", "codeSigning"},
    {"1.3.6.1.5.5.7.3.4", "emailProtection"},  {"2.5.29.37.0", "anyPurpose"},
};

static const struct usage {
    uint32_t bit;
    const char *name;
} usages[] = {
    {KU_DIGITAL_SIGNATURE, "digitalSignature"}, {KU_NON_REPUDIATION, "nonRepudiation"},
    {KU_KEY_ENCIPHERMENT, "keyEncipherment"},   {KU_DATA_ENCIPHERMENT, "dataEncipherment"},
    {KU_KEY_AGREEMENT, "keyAgreement"},         {KU_KEY_CERT_SIGN, "keyCertSign"},
    {KU_CRL_SIGN, "cRLSign"},
};

// Calls `each` for every word of a list.
typedef void (*word_fn)(void *context, const char *word);

static void flags_each(const struct cert *cert, word_fn each, void *context)
{
    X509 *x509 = cert->x509;
    if (cert_is_ca(cert)) each(context, "CA");
    if (cert_is_self_signed(cert)) each(context, "self-signed");
    uint32_t usage = X509_get_key_usage(x509);
    for (size_t i = 0; usage != UINT32_MAX && i < COUNT(usages); i++)
        if (usage & usages[i].bit) each(context, usages[i].name);
}

static void purposes_each(const struct cert *cert, word_fn each, void *context)
{
    EXTENDED_KEY_USAGE *extended = X509_get_ext_d2i(cert->x509, NID_ext_key_usage, NULL, NULL);
    for (int i = 0; i < sk_ASN1_OBJECT_num(extended); i++) {
        char oid[PURPOSE_TEXT];
        OBJ_obj2txt(oid, sizeof oid, sk_ASN1_OBJECT_value(extended, i), 1);
        const char *name = oid;
        for (size_t j = 0; j < COUNT(purposes); j++)
            if (strcmp(oid, purposes[j].oid) == 0) name = purposes[j].name;
        each(context, name);
    }
    EXTENDED_KEY_USAGE_free(extended);
}

static void names_each(const struct cert *cert, word_fn each, void *context)
{
    char name[IDENTITY_TEXT];
    for (size_t i = 0; i < cert->name_count; i++) each(context, identity_print(&cert->names[i], name, sizeof name));
}

// A URI comes from whoever made the certificate: what is not visible ASCII is not shown.
static void uri_give(const GENERAL_NAME *name, word_fn each, void *context)
{
    int kind;
    const ASN1_STRING *uri = GENERAL_NAME_get0_value(name, &kind);
    if (kind != GEN_URI) return;
    AUTOFREE_MEM char *text = mem_text_of(bytes_of(ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri)));
    for (char *at = text; *at; at++)
        if (*at <= ' ' || *at > '~') *at = '?';
    each(context, text);
}

static void crl_uris_each(const struct cert *cert, word_fn each, void *context)
{
    CRL_DIST_POINTS *points = X509_get_ext_d2i(cert->x509, NID_crl_distribution_points, NULL, NULL);
    for (int i = 0; i < sk_DIST_POINT_num(points) && i < URIS_MAX; i++) {
        const DIST_POINT *point = sk_DIST_POINT_value(points, i);
        if (!point->distpoint || point->distpoint->type != 0) continue;
        const GENERAL_NAMES *names = point->distpoint->name.fullname;
        for (int j = 0; j < sk_GENERAL_NAME_num(names) && j < URIS_MAX; j++)
            uri_give(sk_GENERAL_NAME_value(names, j), each, context);
    }
    CRL_DIST_POINTS_free(points);
}

static void ocsp_uris_each(const struct cert *cert, word_fn each, void *context)
{
    AUTHORITY_INFO_ACCESS *info = X509_get_ext_d2i(cert->x509, NID_info_access, NULL, NULL);
    for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(info) && i < URIS_MAX; i++) {
        const ACCESS_DESCRIPTION *access = sk_ACCESS_DESCRIPTION_value(info, i);
        if (OBJ_obj2nid(access->method) == NID_ad_OCSP) uri_give(access->location, each, context);
    }
    AUTHORITY_INFO_ACCESS_free(info);
}

static void key_text(const struct cert *cert, char *out, size_t size)
{
    static const char *const names[] = {[KEY_RSA] = "RSA", [KEY_ECDSA] = "ECDSA", [KEY_ED25519] = "Ed25519", [KEY_ED448] = "Ed448"};
    ASN1_OBJECT *algorithm = NULL;
    if (cert->key) {
        snprintf(out, size, "%s %u bits", names[public_key_type(cert->key)], public_key_bits(cert->key));
        return;
    }
    X509_PUBKEY_get0_param(&algorithm, NULL, NULL, NULL, X509_get_X509_PUBKEY(cert->x509));
    OBJ_obj2txt(out, (int)size, algorithm, 0);
}

enum { HEX_TEXT = 129 };

static const char *octets_hex(const ASN1_OCTET_STRING *octets, char out[HEX_TEXT])
{
    size_t size = octets ? (size_t)ASN1_STRING_length(octets) : 0;
    return bytes_hex(bytes_of(octets ? ASN1_STRING_get0_data(octets) : NULL, size < 64 ? size : 64), out, HEX_TEXT);
}

static void fingerprint_hex(const struct cert *cert, char out[HEX_TEXT])
{
    uint8_t hash[DIGEST_MAX];
    size_t size = 0;
    out[0] = '\0';
    if (digest(HASH_SHA2_256, PIECES(cert->der), hash, &size) == OK) bytes_hex(bytes_of(hash, size), out, HEX_TEXT);
}

struct facts {
    char subject[IDENTITY_TEXT], issuer[IDENTITY_TEXT], serial[SERIAL_TEXT], not_before[TIME_TEXT], not_after[TIME_TEXT];
    char key[PURPOSE_TEXT], signature[PURPOSE_TEXT], key_id[HEX_TEXT], spki_hash[HEX_TEXT], subject_key_id[HEX_TEXT];
    char authority_key_id[HEX_TEXT], fingerprint[HEX_TEXT];
    long path_length;
};

static void facts_gather(const struct cert *cert, struct facts *facts)
{
    uint8_t id[20];
    subject_text(cert->x509, facts->subject);
    issuer_text(cert->x509, facts->issuer);
    serial_text(X509_get0_serialNumber(cert->x509), facts->serial);
    time_text(cert->not_before, facts->not_before);
    time_text(cert->not_after, facts->not_after);
    key_text(cert, facts->key, sizeof facts->key);
    int signature = X509_get_signature_nid(cert->x509);
    snprintf(facts->signature, sizeof facts->signature, "%s", signature ? OBJ_nid2ln(signature) : "unknown");
    cert_key_id(cert, id);
    bytes_hex(BYTES_ARRAY(id), facts->key_id, sizeof facts->key_id);
    cert_spki_hash(cert, id);
    bytes_hex(BYTES_ARRAY(id), facts->spki_hash, sizeof facts->spki_hash);
    octets_hex(X509_get0_subject_key_id(cert->x509), facts->subject_key_id);
    octets_hex(X509_get0_authority_key_id(cert->x509), facts->authority_key_id);
    fingerprint_hex(cert, facts->fingerprint);
    facts->path_length = X509_get_pathlen(cert->x509);
}

typedef void list_fn(const struct cert *cert, word_fn each, void *context);

// What a certificate says behind its names and validity, in this order for people and for programs: a list, a text of `facts`,
// or, with neither, the length of the path.
static const struct shown {
    const char *title, *member, *between;
    list_fn *list;
    size_t text;
} shown[] = {
    {"altNames:", "alt_names", ", ", names_each, 0},
    {"flags:", "flags", " ", flags_each, 0},
    {"purposes:", "purposes", " ", purposes_each, 0},
    {"pathlen:", "path_length", NULL, NULL, 0},
    {"CRL URIs:", "crl_uris", "\n             ", crl_uris_each, 0},
    {"OCSP URIs:", "ocsp_uris", "\n             ", ocsp_uris_each, 0},
    {"authkeyId:", "authority_key_id", NULL, NULL, offsetof(struct facts, authority_key_id)},
    {"subjkeyId:", "subject_key_id", NULL, NULL, offsetof(struct facts, subject_key_id)},
    {"pubkey:", "public_key", NULL, NULL, offsetof(struct facts, key)},
    {"keyid:", "spki_sha1", NULL, NULL, offsetof(struct facts, spki_hash)},
    {"subjkey:", "key_sha1", NULL, NULL, offsetof(struct facts, key_id)},
    {"signature:", "signature", NULL, NULL, offsetof(struct facts, signature)},
    {"sha256:", "sha256", NULL, NULL, offsetof(struct facts, fingerprint)},
};

static const char *shown_text(const struct shown *row, const struct facts *facts)
{
    return (const char *)facts + row->text;
}

// --- for people

struct words {
    struct buf *out;
    const char *title, *between;
    unsigned count;
};

static void word_print(void *context, const char *word)
{
    struct words *words = context;
    if (words->count++ == 0) buf_printf(words->out, "  %-11s%s", words->title, word);
    else buf_printf(words->out, "%s%s", words->between, word);
}

static void words_print(const struct cert *cert, const struct shown *row, struct buf *out)
{
    struct words words = {out, row->title, row->between, 0};
    row->list(cert, word_print, &words);
    if (words.count) buf_add_text(out, "\n");
}

static void fact_print(const char *title, const char *value, struct buf *out)
{
    if (*value) buf_printf(out, "  %-11s%s\n", title, value);
}

void cert_print(const struct cert *cert, struct buf *out)
{
    struct facts *facts = NEW(struct facts);
    facts_gather(cert, facts);
    buf_printf(out, "  subject:   \"%s\"\n  issuer:    \"%s\"\n", facts->subject, facts->issuer);
    buf_printf(out, "  validity:  not before %s\n             not after  %s\n", facts->not_before, facts->not_after);
    fact_print("serial:", facts->serial, out);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        if (shown[i].list) words_print(cert, &shown[i], out);
        else if (shown[i].text) fact_print(shown[i].title, shown_text(&shown[i], facts), out);
        else if (facts->path_length >= 0) buf_printf(out, "  %-11s%ld\n", shown[i].title, facts->path_length);
    }
    free(facts);
}

// --- for programs

// RFC 8259 7: quotation mark, backslash and control characters are escaped; our texts are UTF-8.
static void json_text(const char *text, struct buf *out)
{
    buf_add_text(out, "\"");
    for (const char *at = text; *at; at++) {
        if (*at == '"' || *at == '\\') buf_printf(out, "\\%c", *at);
        else if ((unsigned char)*at < ' ') buf_printf(out, "\\u%04x", (unsigned)*at);
        else buf_add(out, bytes_of(at, 1));
    }
    buf_add_text(out, "\"");
}

static void json_member(const char *name, const char *value, struct buf *out)
{
    if (!*value) return;
    buf_printf(out, ",\n  \"%s\": ", name);
    json_text(value, out);
}

static void json_word(void *context, const char *word)
{
    struct words *words = context;
    buf_add_text(words->out, words->count++ ? ", " : "");
    json_text(word, words->out);
}

static void json_words(const struct cert *cert, const struct shown *row, struct buf *out)
{
    struct words words = {.out = out};
    buf_printf(out, ",\n  \"%s\": [", row->member);
    row->list(cert, json_word, &words);
    buf_add_text(out, "]");
}

void cert_json(const struct cert *cert, struct buf *out)
{
    struct facts *facts = NEW(struct facts);
    facts_gather(cert, facts);
    buf_add_text(out, "{\n  \"subject\": ");
    json_text(facts->subject, out);
    json_member("issuer", facts->issuer, out);
    json_member("serial", facts->serial, out);
    json_member("not_before", facts->not_before, out);
    json_member("not_after", facts->not_after, out);
    buf_printf(out, ",\n  \"not_before_seconds\": %lld,\n  \"not_after_seconds\": %lld", (long long)cert->not_before,
               (long long)cert->not_after);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        if (shown[i].list) json_words(cert, &shown[i], out);
        else if (shown[i].text) json_member(shown[i].member, shown_text(&shown[i], facts), out);
        else if (facts->path_length >= 0) buf_printf(out, ",\n  \"%s\": %ld", shown[i].member, facts->path_length);
    }
    buf_add_text(out, "\n}\n");
    free(facts);
}

// --- revocation lists

static const char *const reasons[] = {
    [0] = "unspecified", [1] = "key compromise", [2] = "CA compromise", [3] = "affiliation changed", [4] = "superseded",
    [5] = "cessation of operation", [6] = "certificate hold", [8] = "removed from CRL", [9] = "privilege withdrawn",
    [10] = "attribute authority compromise",
};

static void revoked_print(const X509_REVOKED *revoked, struct buf *out)
{
    char serial[SERIAL_TEXT], date[TIME_TEXT];
    ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(revoked, NID_crl_reason, NULL, NULL);
    long number = reason ? ASN1_ENUMERATED_get(reason) : -1;
    buf_printf(out, "    %s  %s", serial_text(X509_REVOKED_get0_serialNumber(revoked), serial),
               time_text(time_of_asn1(X509_REVOKED_get0_revocationDate(revoked)), date));
    if (number >= 0 && (size_t)number < COUNT(reasons) && reasons[number]) buf_printf(out, ", %s", reasons[number]);
    buf_add_text(out, "\n");
    ASN1_ENUMERATED_free(reason);
}

enum fault crl_print(struct bytes in, struct buf *out)
{
    char name[IDENTITY_TEXT], date[TIME_TEXT], serial[SERIAL_TEXT];
    X509_CRL *crl = crl_read(in);
    if (!crl) return FAULT_CRL_SYNTAX;
    struct identity issuer = identity_of_name(X509_CRL_get_issuer(crl));
    buf_printf(out, "  issuer:    \"%s\"\n", identity_print(&issuer, name, sizeof name));
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    if (number) fact_print("number:", serial_text(number, serial), out);
    ASN1_INTEGER_free(number);
    fact_print("update:", time_text(time_of_asn1(X509_CRL_get0_lastUpdate(crl)), date), out);
    if (X509_CRL_get0_nextUpdate(crl)) fact_print("next:", time_text(time_of_asn1(X509_CRL_get0_nextUpdate(crl)), date), out);
    STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(crl);
    int count = revoked ? sk_X509_REVOKED_num(revoked) : 0;
    buf_printf(out, "  revoked:   %d\n", count);
    for (int i = 0; i < count; i++) revoked_print(sk_X509_REVOKED_value(revoked, i), out);
    X509_CRL_free(crl);
    return OK;
}
