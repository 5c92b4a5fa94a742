// SPDX-License-Identifier: Apache-2.0
// Signatures of AUTH payloads: method 14 with any scheme (RFC 7427, RFC 8420), and the older
// methods 1, 9, 10, 11 (RFC 7296 3.8, RFC 4754).
//
// A signer takes what the peer announced, what the configuration allows and what fits the strength
// of its key, in this order.
#include "crypto/curve25519.h"
#include "crypto/internal.h"
#include "crypto/key.h"
#include "crypto/scheme.h"
#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

enum { SIGNATURE_MAX = 2048, RSA_BITS_LEAST = 2048, FIELD_MAX = 66 };

// RFC 4754 1: each method is one curve with one hash.
static const struct ecdsa_method {
    uint8_t method;
    uint16_t hash;
    uint8_t field; // bytes of r and of s
    const char *group, *name;
} ecdsa_methods[] = {
    {AUTH_ECDSA_256, HASH_SHA2_256, 32, "prime256v1", "ECDSA-256"},
    {AUTH_ECDSA_384, HASH_SHA2_384, 48, "secp384r1", "ECDSA-384"},
    {AUTH_ECDSA_521, HASH_SHA2_512, 66, "secp521r1", "ECDSA-521"},
};

static const struct ecdsa_method *ecdsa_method_of(uint8_t method)
{
    for (size_t i = 0; i < sizeof ecdsa_methods / sizeof ecdsa_methods[0]; i++)
        if (ecdsa_methods[i].method == method) return &ecdsa_methods[i];
    return NULL;
}

static const struct ecdsa_method *ecdsa_method_for(EVP_PKEY *pkey)
{
    char name[64];
    size_t size;
    if (EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof name,
                                       &size) != 1)
        return NULL;
    for (size_t i = 0; i < sizeof ecdsa_methods / sizeof ecdsa_methods[0]; i++)
        if (strcmp(ecdsa_methods[i].group, name) == 0) return &ecdsa_methods[i];
    return NULL;
}

static bool scheme_fits_key(const struct scheme *scheme, EVP_PKEY *pkey)
{
    switch (EVP_PKEY_get_base_id(pkey)) {
    case EVP_PKEY_RSA:
        return scheme->kind == SCHEME_RSA_PKCS1 || scheme->kind == SCHEME_RSA_PSS;
    case EVP_PKEY_RSA_PSS:
        return scheme->kind == SCHEME_RSA_PSS;
    case EVP_PKEY_EC:
        return scheme->kind == SCHEME_ECDSA;
    case EVP_PKEY_ED25519:
        return scheme->kind == SCHEME_ED25519;
    case EVP_PKEY_ED448:
        return scheme->kind == SCHEME_ED448;
    default:
        return false;
    }
}

static EVP_PKEY_CTX *pkey_ctx(EVP_PKEY *pkey, const struct scheme *scheme, int salt_size, bool sign)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    crypto_must(ctx != NULL);
    bool good = (sign ? EVP_PKEY_sign_init(ctx) : EVP_PKEY_verify_init(ctx)) == 1;
    if (good && scheme->kind == SCHEME_RSA_PKCS1)
        good = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    if (good && scheme->kind == SCHEME_RSA_PSS)
        good = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1;
    if (good) good = EVP_PKEY_CTX_set_signature_md(ctx, crypto_md_of_hash(scheme->hash)) == 1;
    if (good && scheme->kind == SCHEME_RSA_PSS)
        good = EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, crypto_md_of_hash(scheme->hash)) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt_size) == 1;
    if (good) return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

// EdDSA takes the message itself, in one piece.
static struct bytes octets_join(struct bytes_list octets)
{
    size_t size = 0;
    for (size_t i = 0; i < octets.count; i++) size += octets.at[i].size;
    uint8_t *all = mem_new(size ? size : 1), *at = all;
    for (size_t i = 0; i < octets.count; i++) {
        if (octets.at[i].size) memcpy(at, octets.at[i].at, octets.at[i].size);
        at += octets.at[i].size;
    }
    return bytes_of(all, size);
}

// False where it is not the library's to do.
static bool ed25519_sign(EVP_PKEY *pkey, struct bytes octets, uint8_t out[ED25519_SIGNATURE])
{
    uint8_t seed[CURVE25519_KEY], public[CURVE25519_KEY];
    size_t seed_size = sizeof seed, public_size = sizeof public;
    bool ours = curve25519() && EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519 &&
                EVP_PKEY_get_raw_private_key(pkey, seed, &seed_size) == 1 &&
                EVP_PKEY_get_raw_public_key(pkey, public, &public_size) == 1;
    if (ours) curve25519()->sign(seed, public, octets, out);
    memory_wipe(seed, sizeof seed);
    return ours;
}

static bool eddsa_pkey_sign(EVP_PKEY *pkey, struct bytes octets, uint8_t *out, size_t *size)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, pkey, NULL) == 1 &&
                EVP_DigestSign(ctx, out, size, octets.at, octets.size) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static bool eddsa_sign(EVP_PKEY *pkey, struct bytes_list octets, uint8_t *out, size_t *size)
{
    struct bytes all = octets_join(octets);
    bool good = ed25519_sign(pkey, all, out);
    if (good)
        *size = ED25519_SIGNATURE;
    else
        good = eddsa_pkey_sign(pkey, all, out, size);
    mem_drop(&all);
    return good;
}

static bool eddsa_pkey_verify(EVP_PKEY *pkey, struct bytes octets, struct bytes signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, pkey, NULL) == 1 &&
                EVP_DigestVerify(ctx, signature.at, signature.size, octets.at, octets.size) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static bool eddsa_verify(EVP_PKEY *pkey, struct bytes_list octets, struct bytes signature)
{
    uint8_t public[CURVE25519_KEY];
    size_t size = sizeof public;
    struct bytes all = octets_join(octets);
    bool fast = curve25519() && EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519 &&
                EVP_PKEY_get_raw_public_key(pkey, public, &size) == 1;
    bool good = fast ? curve25519()->verify(public, all, signature) : eddsa_pkey_verify(pkey, all, signature);
    mem_drop(&all);
    return good;
}

static bool scheme_sign(EVP_PKEY *pkey, const struct scheme *scheme, struct bytes_list octets,
                        uint8_t out[SIGNATURE_MAX], size_t *size)
{
    uint8_t hash[DIGEST_MAX];
    size_t hash_size;
    *size = SIGNATURE_MAX;
    if (scheme->hash == HASH_IDENTITY) return eddsa_sign(pkey, octets, out, size);
    if (digest(scheme->hash, octets, hash, &hash_size)) return false;
    EVP_PKEY_CTX *ctx = pkey_ctx(pkey, scheme, RSA_PSS_SALTLEN_DIGEST, true);
    bool good = ctx && EVP_PKEY_sign(ctx, out, size, hash, hash_size) == 1;
    EVP_PKEY_CTX_free(ctx);
    return good;
}

static bool scheme_verify(EVP_PKEY *pkey, const struct scheme *scheme, int salt_size,
                          struct bytes_list octets, struct bytes signature)
{
    uint8_t hash[DIGEST_MAX];
    size_t hash_size;
    if (scheme->hash == HASH_IDENTITY) return eddsa_verify(pkey, octets, signature);
    if (digest(scheme->hash, octets, hash, &hash_size)) return false;
    EVP_PKEY_CTX *ctx = pkey_ctx(pkey, scheme, salt_size, false);
    bool good = ctx && EVP_PKEY_verify(ctx, signature.at, signature.size, hash, hash_size) == 1;
    EVP_PKEY_CTX_free(ctx);
    return good;
}

// --- signing

// Hashes by the strength of the key: the one that fits, the stronger ones, the weaker ones.
static const uint16_t hash_orders[3][4] = {
    {HASH_SHA2_256, HASH_SHA2_384, HASH_SHA2_512, HASH_SHA1},
    {HASH_SHA2_384, HASH_SHA2_512, HASH_SHA2_256, HASH_SHA1},
    {HASH_SHA2_512, HASH_SHA2_384, HASH_SHA2_256, HASH_SHA1},
};

static const uint16_t *hash_order(EVP_PKEY *pkey)
{
    int bits = EVP_PKEY_get_bits(pkey);
    bool curve = EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC;
    size_t strong = curve ? (bits > 256) + (bits > 384) : (bits > 3072) + (bits > 7680);
    return hash_orders[strong];
}

static const struct scheme *scheme_choose_kind(EVP_PKEY *pkey, enum scheme_kind kind,
                                               uint32_t hashes, const struct scheme_rules *rules)
{
    const uint16_t *order = hash_order(pkey);
    for (size_t i = 0; i < 4; i++) {
        const struct scheme *scheme = scheme_find(kind, order[i]);
        if (scheme && scheme_fits_key(scheme, pkey) && hashes >> order[i] & 1 &&
            scheme_rules_allow(rules, kind, order[i]))
            return scheme;
    }
    const struct scheme *pure = scheme_find(kind, HASH_IDENTITY);
    bool fits = pure && scheme_fits_key(pure, pkey) && hashes >> HASH_IDENTITY & 1;
    return fits && scheme_rules_allow(rules, kind, HASH_IDENTITY) ? pure : NULL;
}

// In the order of scheme_kind: an RSA key signs with PKCS#1 unless the rules or the key ask for
// PSS, as other implementations do.
static const struct scheme *scheme_choose(EVP_PKEY *pkey, uint32_t hashes,
                                          const struct scheme_rules *rules)
{
    bool pss_asked = rules->kind_named[SCHEME_RSA_PSS] && !rules->kind_named[SCHEME_RSA_PKCS1];
    for (int kind = pss_asked ? SCHEME_RSA_PSS : 0; kind < SCHEME_KINDS; kind++) {
        const struct scheme *scheme =
            scheme_choose_kind(pkey, (enum scheme_kind)kind, hashes, rules);
        if (scheme) return scheme;
    }
    return NULL;
}

// RFC 7427 3: one octet of length, the AlgorithmIdentifier, the signature.
static enum fault sign_method_14(EVP_PKEY *pkey, const struct scheme *scheme,
                                 struct bytes_list octets, uint8_t *method, struct buf *data)
{
    uint8_t signature[SIGNATURE_MAX], length = (uint8_t)scheme->algorithm.size;
    size_t size;
    if (!scheme_sign(pkey, scheme, octets, signature, &size)) return FAULT_SIGNATURE_NOT_ALLOWED;
    *method = AUTH_SIGNATURE;
    buf_add(data, bytes_of(&length, 1));
    buf_add(data, scheme->algorithm);
    buf_add(data, bytes_of(signature, size));
    return data->failed ? FAULT_NO_ROOM : OK;
}

// RFC 4754 3: r and s side by side, each filled up to the field's size.
static enum fault sign_ecdsa_raw(EVP_PKEY *pkey, const struct ecdsa_method *way,
                                 struct bytes_list octets, uint8_t *method, struct buf *data)
{
    uint8_t der[SIGNATURE_MAX], raw[2 * FIELD_MAX];
    size_t size;
    const unsigned char *at = der;
    if (!scheme_sign(pkey, scheme_find(SCHEME_ECDSA, way->hash), octets, der, &size))
        return FAULT_SIGNATURE_NOT_ALLOWED;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)size);
    crypto_must(
        signature && BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, way->field) == way->field &&
        BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + way->field, way->field) == way->field);
    ECDSA_SIG_free(signature);
    *method = way->method;
    buf_add(data, bytes_of(raw, 2u * way->field));
    return data->failed ? FAULT_NO_ROOM : OK;
}

// RFC 7296 3.8: method 1 is PKCS#1 v1.5, as a rule with SHA-1, which has to be asked for; another
// hash may be named instead.
static enum fault sign_rsa_old(EVP_PKEY *pkey, const struct scheme_rules *rules,
                               struct bytes_list octets, uint8_t *method, struct buf *data)
{
    uint8_t signature[SIGNATURE_MAX];
    size_t size;
    uint32_t named = rules->hashes[SCHEME_RSA_PKCS1];
    const struct scheme *scheme = named >> HASH_SHA1 & 1
                                      ? scheme_find(SCHEME_RSA_PKCS1, HASH_SHA1)
                                      : scheme_choose_kind(pkey, SCHEME_RSA_PKCS1, named, rules);
    if (!scheme || !scheme_rules_allow(rules, scheme->kind, scheme->hash))
        return FAULT_HASH_NOT_COMMON;
    if (!scheme_sign(pkey, scheme, octets, signature, &size)) return FAULT_SIGNATURE_NOT_ALLOWED;
    *method = AUTH_RSA;
    buf_add(data, bytes_of(signature, size));
    return data->failed ? FAULT_NO_ROOM : OK;
}

// RFC 7427 4: method 14 only for a peer that announced hashes, and with one of them; the older
// methods otherwise.
enum fault auth_sign(const struct private_key *key, uint32_t hashes, struct bytes schemes,
                     struct bytes_list octets, uint8_t *method, struct buf *data)
{
    struct scheme_rules rules;
    EVP_PKEY *pkey = key->pkey;
    TRY(scheme_rules_read(schemes, &rules));
    buf_clear(data);
    enum fault fault = FAULT_HASH_NOT_COMMON;
    const struct scheme *scheme = hashes ? scheme_choose(pkey, hashes, &rules) : NULL;
    const struct ecdsa_method *way =
        EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC ? ecdsa_method_for(pkey) : NULL;
    if (scheme)
        fault = sign_method_14(pkey, scheme, octets, method, data);
    else if (way && scheme_rules_allow(&rules, SCHEME_ECDSA, way->hash))
        fault = sign_ecdsa_raw(pkey, way, octets, method, data);
    else if (!hashes && EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA)
        fault = sign_rsa_old(pkey, &rules, octets, method, data);
    ERR_clear_error();
    return fault;
}

// --- verifying

// RFC 8247 4.1: RSA keys below 2048 bits are too weak, unless the rules say from which size on.
static enum fault key_strong_enough(EVP_PKEY *pkey, enum scheme_kind kind,
                                    const struct scheme_rules *rules)
{
    unsigned least = rules->bits[kind];
    bool rsa = kind == SCHEME_RSA_PKCS1 || kind == SCHEME_RSA_PSS;
    if (least == 0 && rsa) least = RSA_BITS_LEAST;
    return (unsigned)EVP_PKEY_get_bits(pkey) >= least ? OK : FAULT_KEY_TOO_WEAK;
}

static enum fault verify_method_14(EVP_PKEY *pkey, struct bytes data,
                                   const struct scheme_rules *rules, struct bytes_list octets,
                                   const char **name)
{
    const struct scheme *scheme;
    int salt_size = 0;
    if (data.size == 0 || data.size < 1u + data.at[0]) return FAULT_SIGNATURE_ALGORITHM;
    size_t start = 1u + data.at[0];
    TRY(scheme_read(bytes_of(data.at + 1, data.at[0]), &scheme, &salt_size));
    *name = scheme->name;
    if (!scheme_fits_key(scheme, pkey)) return FAULT_SIGNATURE_OTHER_KEY;
    if (!scheme_rules_allow(rules, scheme->kind, scheme->hash)) return FAULT_SIGNATURE_NOT_ALLOWED;
    TRY(key_strong_enough(pkey, scheme->kind, rules));
    bool good = scheme_verify(pkey, scheme, salt_size, octets,
                              bytes_of(data.at + start, data.size - start));
    return good ? OK : FAULT_SIGNATURE_WRONG;
}

static enum fault verify_ecdsa_raw(EVP_PKEY *pkey, const struct ecdsa_method *way,
                                   struct bytes data, const struct scheme_rules *rules,
                                   struct bytes_list octets, const char **name)
{
    *name = way->name;
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC || ecdsa_method_for(pkey) != way)
        return FAULT_SIGNATURE_OTHER_KEY;
    if (!scheme_rules_allow(rules, SCHEME_ECDSA, way->hash)) return FAULT_SIGNATURE_NOT_ALLOWED;
    TRY(key_strong_enough(pkey, SCHEME_ECDSA, rules));
    if (data.size != 2u * way->field) return FAULT_SIGNATURE_WRONG;
    unsigned char *der = NULL;
    ECDSA_SIG *signature = ECDSA_SIG_new();
    crypto_must(signature && ECDSA_SIG_set0(signature, BN_bin2bn(data.at, way->field, NULL),
                                            BN_bin2bn(data.at + way->field, way->field, NULL)));
    int size = i2d_ECDSA_SIG(signature, &der);
    ECDSA_SIG_free(signature);
    crypto_must(size > 0);
    bool good = scheme_verify(pkey, scheme_find(SCHEME_ECDSA, way->hash), 0, octets,
                              bytes_of(der, (size_t)size));
    OPENSSL_free(der);
    return good ? OK : FAULT_SIGNATURE_WRONG;
}

// RFC 7296 3.8: method 1 does not say which hash it is; those that are allowed are tried.
static enum fault verify_rsa_old(EVP_PKEY *pkey, struct bytes data,
                                 const struct scheme_rules *rules, struct bytes_list octets,
                                 const char **name)
{
    static const uint16_t hashes[] = {HASH_SHA2_256, HASH_SHA2_384, HASH_SHA2_512, HASH_SHA1};
    *name = "RSA_EMSA_PKCS1";
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA) return FAULT_SIGNATURE_OTHER_KEY;
    TRY(key_strong_enough(pkey, SCHEME_RSA_PKCS1, rules));
    bool tried = false;
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
        const struct scheme *scheme = scheme_find(SCHEME_RSA_PKCS1, hashes[i]);
        if (!scheme_rules_allow(rules, scheme->kind, scheme->hash)) continue;
        tried = true;
        if (!scheme_verify(pkey, scheme, 0, octets, data)) continue;
        *name = scheme->name;
        return OK;
    }
    return tried ? FAULT_SIGNATURE_WRONG : FAULT_SIGNATURE_NOT_ALLOWED;
}

enum fault auth_verify(const struct public_key *key, uint8_t method, struct bytes data,
                       struct bytes schemes, struct bytes_list octets, const char **scheme_name)
{
    struct scheme_rules rules;
    const struct ecdsa_method *way = ecdsa_method_of(method);
    enum fault fault = FAULT_SIGNATURE_METHOD;
    *scheme_name = "";
    TRY(scheme_rules_read(schemes, &rules));
    if (method == AUTH_SIGNATURE)
        fault = verify_method_14(key->pkey, data, &rules, octets, scheme_name);
    else if (way)
        fault = verify_ecdsa_raw(key->pkey, way, data, &rules, octets, scheme_name);
    else if (method == AUTH_RSA)
        fault = verify_rsa_old(key->pkey, data, &rules, octets, scheme_name);
    ERR_clear_error();
    return fault;
}
