// SPDX-License-Identifier: Apache-2.0
// Signature schemes: a row each, with the exact bytes that go into an AUTH payload.
#include "crypto/scheme.h"
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

// clang-format off
// RFC 7427 A.1, A.3, A.4; RFC 8420 A for the last two.
// RFC 4055 3.1: whoever signs leaves out the trailer field, whose value is the default. RFC 7427 A.4.3
// shows it with the field, which is not DER; there are peers that compare octets.
#define OID_PKCS1 "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01"
#define OID_ECDSA_SHA2 "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03"
#define DIGEST_SHA2(n) "\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02" n "\x05\x00"
#define DER(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}
#define RSA_PKCS1(n) DER("\x30\x0d" OID_PKCS1 n "\x05\x00")
#define ECDSA_SHA2(n) DER("\x30\x0a" OID_ECDSA_SHA2 n)
#define RSA_PSS(n, salt)                                                        \
    DER("\x30\x41" OID_PKCS1 "\x0a\x30\x34"                                     \
        "\xa0\x0f" DIGEST_SHA2(n)                                               \
        "\xa1\x1c\x30\x1a" OID_PKCS1 "\x08" DIGEST_SHA2(n)                      \
        "\xa2\x03\x02\x01" salt)
#define ROW(kind, hash, name, ...) {SCHEME_##kind, HASH_##hash, name, __VA_ARGS__}
static const struct scheme schemes[] = {
    ROW(RSA_PKCS1, SHA1,     "RSA_EMSA_PKCS1_SHA1",     RSA_PKCS1("\x05")),
    ROW(RSA_PKCS1, SHA2_256, "RSA_EMSA_PKCS1_SHA2_256", RSA_PKCS1("\x0b")),
    ROW(RSA_PKCS1, SHA2_384, "RSA_EMSA_PKCS1_SHA2_384", RSA_PKCS1("\x0c")),
    ROW(RSA_PKCS1, SHA2_512, "RSA_EMSA_PKCS1_SHA2_512", RSA_PKCS1("\x0d")),
    ROW(RSA_PSS,   SHA2_256, "RSA_EMSA_PSS_SHA2_256",   RSA_PSS("\x01", "\x20")),
    ROW(RSA_PSS,   SHA2_384, "RSA_EMSA_PSS_SHA2_384",   RSA_PSS("\x02", "\x30")),
    ROW(RSA_PSS,   SHA2_512, "RSA_EMSA_PSS_SHA2_512",   RSA_PSS("\x03", "\x40")),
    ROW(ECDSA,     SHA1,     "ECDSA_WITH_SHA1_DER",
        DER("\x30\x09\x06\x07\x2a\x86\x48\xce\x3d\x04\x01")),
    ROW(ECDSA,     SHA2_256, "ECDSA_WITH_SHA256_DER",   ECDSA_SHA2("\x02")),
    ROW(ECDSA,     SHA2_384, "ECDSA_WITH_SHA384_DER",   ECDSA_SHA2("\x03")),
    ROW(ECDSA,     SHA2_512, "ECDSA_WITH_SHA512_DER",   ECDSA_SHA2("\x04")),
    ROW(ED25519,   IDENTITY, "ED25519",                 DER("\x30\x05\x06\x03\x2b\x65\x70")),
    ROW(ED448,     IDENTITY, "ED448",                   DER("\x30\x05\x06\x03\x2b\x65\x71")),
};

static const struct {
    int nid;
    enum scheme_kind kind;
    uint16_t hash;
} scheme_nids[] = {
    {NID_sha1WithRSAEncryption,   SCHEME_RSA_PKCS1, HASH_SHA1},
    {NID_sha256WithRSAEncryption, SCHEME_RSA_PKCS1, HASH_SHA2_256},
    {NID_sha384WithRSAEncryption, SCHEME_RSA_PKCS1, HASH_SHA2_384},
    {NID_sha512WithRSAEncryption, SCHEME_RSA_PKCS1, HASH_SHA2_512},
    {NID_ecdsa_with_SHA1,         SCHEME_ECDSA,     HASH_SHA1},
    {NID_ecdsa_with_SHA256,       SCHEME_ECDSA,     HASH_SHA2_256},
    {NID_ecdsa_with_SHA384,       SCHEME_ECDSA,     HASH_SHA2_384},
    {NID_ecdsa_with_SHA512,       SCHEME_ECDSA,     HASH_SHA2_512},
    {NID_ED25519,                 SCHEME_ED25519,   HASH_IDENTITY},
    {NID_ED448,                   SCHEME_ED448,     HASH_IDENTITY},
};

static const struct { int nid; uint16_t hash; } digest_nids[] = {
    {NID_sha256, HASH_SHA2_256}, {NID_sha384, HASH_SHA2_384}, {NID_sha512, HASH_SHA2_512},
};
// clang-format on
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

const struct scheme *scheme_find(enum scheme_kind kind, uint16_t hash)
{
    for (size_t i = 0; i < COUNT(schemes); i++)
        if (schemes[i].kind == kind && schemes[i].hash == hash) return &schemes[i];
    return NULL;
}

static uint16_t digest_read(const X509_ALGOR *algorithm)
{
    const ASN1_OBJECT *object;
    if (!algorithm) return 0; // absent is SHA-1, which is not for PSS
    X509_ALGOR_get0(&object, NULL, NULL, algorithm);
    for (size_t i = 0; i < COUNT(digest_nids); i++)
        if (digest_nids[i].nid == OBJ_obj2nid(object)) return digest_nids[i].hash;
    return 0;
}

// RFC 4055 3.1: the mask generation function is MGF1 with a digest of its own, which has to be the
// signature's.
static uint16_t mask_digest_read(const X509_ALGOR *mask)
{
    const ASN1_OBJECT *object;
    const void *value;
    int type;
    if (!mask) return 0;
    X509_ALGOR_get0(&object, &type, &value, mask);
    if (OBJ_obj2nid(object) != NID_mgf1 || type != V_ASN1_SEQUENCE) return 0;
    X509_ALGOR *algorithm = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(X509_ALGOR), mask->parameter);
    uint16_t hash = digest_read(algorithm);
    X509_ALGOR_free(algorithm);
    return hash;
}

static const struct scheme *pss_read(const X509_ALGOR *algorithm, int *salt_size)
{
    if (!algorithm->parameter) return NULL;
    RSA_PSS_PARAMS *pss =
        ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS), algorithm->parameter);
    if (!pss) return NULL;
    uint16_t hash = digest_read(pss->hashAlgorithm);
    bool same = hash && mask_digest_read(pss->maskGenAlgorithm) == hash;
    long salt = pss->saltLength ? ASN1_INTEGER_get(pss->saltLength) : 20;
    bool trailer = !pss->trailerField || ASN1_INTEGER_get(pss->trailerField) == 1;
    RSA_PSS_PARAMS_free(pss);
    if (!same || !trailer || salt < 0 || salt > 1024) return NULL;
    *salt_size = (int)salt;
    return scheme_find(SCHEME_RSA_PSS, hash);
}

static const struct scheme *algorithm_read(const X509_ALGOR *algorithm, int *salt_size)
{
    const ASN1_OBJECT *object;
    X509_ALGOR_get0(&object, NULL, NULL, algorithm);
    int nid = OBJ_obj2nid(object);
    if (nid == NID_rsassaPss) return pss_read(algorithm, salt_size);
    for (size_t i = 0; i < COUNT(scheme_nids); i++)
        if (scheme_nids[i].nid == nid) return scheme_find(scheme_nids[i].kind, scheme_nids[i].hash);
    return NULL;
}

// RFC 4055 5, RFC 7427 3: parameters may be absent or NULL, PSS parameters leave out what is the
// default; so the structure is read instead of compared.
enum fault scheme_read(struct bytes algorithm, const struct scheme **scheme, int *salt_size)
{
    const unsigned char *at = algorithm.at;
    X509_ALGOR *decoded = d2i_X509_ALGOR(NULL, &at, (long)algorithm.size);
    *scheme =
        decoded && at == algorithm.at + algorithm.size ? algorithm_read(decoded, salt_size) : NULL;
    X509_ALGOR_free(decoded);
    ERR_clear_error();
    return *scheme ? OK : FAULT_SIGNATURE_ALGORITHM;
}

// --- the option's words
enum {
    KINDS_RSA = 1 << SCHEME_RSA_PKCS1 | 1 << SCHEME_RSA_PSS,
    KINDS_ALL = (1 << SCHEME_KINDS) - 1
};
static const struct {
    const char *word;
    unsigned kinds;
} kind_words[] = {
    {"rsa", KINDS_RSA},
    {"rsa/pkcs1", 1 << SCHEME_RSA_PKCS1},
    {"rsa/pss", 1 << SCHEME_RSA_PSS},
    {"ecdsa", 1 << SCHEME_ECDSA},
    {"ed25519", 1 << SCHEME_ED25519},
    {"ed448", 1 << SCHEME_ED448},
};
static const struct {
    const char *word;
    uint16_t hash;
} hash_words[] = {
    {"sha1", HASH_SHA1},         {"sha256", HASH_SHA2_256},   {"sha384", HASH_SHA2_384},
    {"sha512", HASH_SHA2_512},   {"sha2_256", HASH_SHA2_256}, {"sha2_384", HASH_SHA2_384},
    {"sha2_512", HASH_SHA2_512}, {"identity", HASH_IDENTITY},
};

static bool word_is(struct bytes word, const char *text)
{
    return bytes_equal(word, bytes_of_text(text));
}

static bool word_number(struct bytes word, unsigned *number)
{
    *number = 0;
    for (size_t i = 0; i < word.size; i++) {
        if (word.at[i] < '0' || word.at[i] > '9' || *number > 65535) return false;
        *number = *number * 10 + (unsigned)(word.at[i] - '0');
    }
    return word.size != 0;
}

// A word about hashes or sizes belongs to the kinds named last.
static bool rules_take(struct scheme_rules *rules, struct bytes word, unsigned *current)
{
    unsigned bits = 0;
    uint32_t hashes = 0;
    for (size_t i = 0; i < COUNT(kind_words); i++) {
        if (!word_is(word, kind_words[i].word)) continue;
        *current = kind_words[i].kinds;
        for (size_t k = 0; k < SCHEME_KINDS; k++) rules->kind_named[k] |= *current >> k & 1;
        return true;
    }
    for (size_t i = 0; i < COUNT(hash_words); i++)
        if (word_is(word, hash_words[i].word)) hashes = UINT32_C(1) << hash_words[i].hash;
    if (!hashes && !word_number(word, &bits)) return false;
    for (size_t k = 0; k < SCHEME_KINDS; k++) {
        if (!(*current >> k & 1)) continue;
        rules->hashes[k] |= hashes;
        if (bits) rules->bits[k] = bits;
    }
    return true;
}

static struct bytes word_next(struct bytes *text)
{
    static const char separators[] = "-:, ";
    struct bytes word = bytes_of(text->at, 0);
    while (word.size < text->size && !memchr(separators, word.at[word.size], sizeof separators - 1))
        word.size++;
    size_t used = word.size + (word.size < text->size);
    *text = bytes_of(text->at + used, text->size - used);
    return word;
}

// Words before "ike" are about the certificates' signatures when "ike" is there, so it begins anew.
enum fault scheme_rules_read(struct bytes text, struct scheme_rules *rules)
{
    unsigned current = KINDS_ALL;
    *rules = (struct scheme_rules){0};
    while (text.size) {
        struct bytes word = word_next(&text);
        if (word.size == 0) continue;
        if (word_is(word, "ike")) {
            *rules = (struct scheme_rules){0};
            current = KINDS_ALL;
        } else if (word_is(word, "pubkey")) {
            current = KINDS_ALL;
        } else if (!rules_take(rules, word, &current)) {
            return FAULT_SIGNATURE_SCHEMES;
        }
    }
    return OK;
}

bool scheme_rules_name_hash(const struct scheme_rules *rules, enum scheme_kind kind, uint16_t hash)
{
    return rules->hashes[kind] >> hash & 1;
}

// RFC 8247 3.2: SHA-1 is not used for signatures, unless it is named.
bool scheme_rules_allow(const struct scheme_rules *rules, enum scheme_kind kind, uint16_t hash)
{
    bool any_named = false;
    for (size_t k = 0; k < SCHEME_KINDS; k++) any_named |= rules->kind_named[k];
    if (any_named && !rules->kind_named[kind]) return false;
    if (hash == HASH_IDENTITY) return true; // the scheme itself is its hash
    if (rules->hashes[kind] == 0) return hash != HASH_SHA1;
    return scheme_rules_name_hash(rules, kind, hash);
}
