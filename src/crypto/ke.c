// SPDX-License-Identifier: Apache-2.0
// Key exchange: MODP groups, elliptic curves over prime fields, X25519, X448 and ML-KEM. Private
// values come out of the given source of randomness by rules that use nothing else, so that the
// same source gives the same exchange.
//
// What a struct secret `private` holds: MODP the exponent, curves the scalar (both big endian, of
// fixed size); X25519 and X448 the private key and behind it the public one, which OpenSSL would
// compute again otherwise; ML-KEM the seed that the key pair is made of.
#include "crypto/curve25519.h"
#include "crypto/internal.h"
#include "crypto/mlkem.h"
#include <assert.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/dh.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <stdatomic.h>

enum { KE_TRIES = 256, MONTGOMERY_MAX = 56 };

enum ke_kind { KE_MODP, KE_MODP_SUBGROUP, KE_CURVE, KE_MONTGOMERY };

// exponent: bytes of the private value. For MODP groups with a safe prime twice the strength that
// RFC 3526 8 credits them with at most; for the others the size of the subgroup's order.
static const struct ke_method {
    uint16_t ke;
    enum ke_kind kind;
    uint16_t size, exponent; // bytes of the prime, of the private value
    int nid;                 // the curve's; a subgroup's number in RFC 5114 2
    BIGNUM *(*prime)(BIGNUM *);
    const char *name;
} ke_methods[] = {
    // clang-format off
    {KE_MODP_768,      KE_MODP,           96, 32, 0, BN_get_rfc2409_prime_768,  NULL},
    {KE_MODP_1024,     KE_MODP,          128, 32, 0, BN_get_rfc2409_prime_1024, NULL},
    {KE_MODP_1536,     KE_MODP,          192, 32, 0, BN_get_rfc3526_prime_1536, NULL},
    {KE_MODP_2048,     KE_MODP,          256, 40, 0, BN_get_rfc3526_prime_2048, NULL},
    {KE_MODP_3072,     KE_MODP,          384, 54, 0, BN_get_rfc3526_prime_3072, NULL},
    {KE_MODP_4096,     KE_MODP,          512, 60, 0, BN_get_rfc3526_prime_4096, NULL},
    {KE_MODP_6144,     KE_MODP,          768, 68, 0, BN_get_rfc3526_prime_6144, NULL},
    {KE_MODP_8192,     KE_MODP,         1024, 78, 0, BN_get_rfc3526_prime_8192, NULL},
    {KE_ECP_256,       KE_CURVE,          32, 32, NID_X9_62_prime256v1, NULL, NULL},
    {KE_ECP_384,       KE_CURVE,          48, 48, NID_secp384r1, NULL, NULL},
    {KE_ECP_521,       KE_CURVE,          66, 66, NID_secp521r1, NULL, NULL},
    {KE_MODP_1024_160, KE_MODP_SUBGROUP, 128, 20, 1, NULL, NULL},
    {KE_MODP_2048_224, KE_MODP_SUBGROUP, 256, 28, 2, NULL, NULL},
    {KE_MODP_2048_256, KE_MODP_SUBGROUP, 256, 32, 3, NULL, NULL},
    {KE_ECP_192,       KE_CURVE,          24, 24, NID_X9_62_prime192v1, NULL, NULL},
    {KE_ECP_224,       KE_CURVE,          28, 28, NID_secp224r1, NULL, NULL},
    {KE_ECP_224_BP,    KE_CURVE,          28, 28, NID_brainpoolP224r1, NULL, NULL},
    {KE_ECP_256_BP,    KE_CURVE,          32, 32, NID_brainpoolP256r1, NULL, NULL},
    {KE_ECP_384_BP,    KE_CURVE,          48, 48, NID_brainpoolP384r1, NULL, NULL},
    {KE_ECP_512_BP,    KE_CURVE,          64, 64, NID_brainpoolP512r1, NULL, NULL},
    {KE_CURVE_25519,   KE_MONTGOMERY,     32, 32, 0, NULL, "X25519"},
    {KE_CURVE_448,     KE_MONTGOMERY,     56, 56, 0, NULL, "X448"},
    // clang-format on
};
enum { KE_METHODS = sizeof ke_methods / sizeof ke_methods[0] };

// What a method needs of OpenSSL, made at its first use and constant from then on.
struct ke_group {
    BIGNUM *prime, *generator, *order; // order: of a curve's or subgroup's generator
    BN_MONT_CTX *mont;
    EC_GROUP *curve;
    EVP_PKEY *base; // RFC 7748: the point whose products are public keys
};
static struct ke_group *_Atomic ke_groups[KE_METHODS];

static const struct ke_method *ke_method(uint16_t ke)
{
    for (size_t i = 0; i < KE_METHODS; i++)
        if (ke_methods[i].ke == ke) return &ke_methods[i];
    return NULL;
}

// OpenSSL knows the groups of RFC 5114 as named parameters.
static void subgroup_read(struct ke_group *group, int number)
{
    EVP_PKEY *parameters = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DHX", NULL);
    crypto_must(ctx && EVP_PKEY_paramgen_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_dh_rfc5114(ctx, number) == 1 &&
                EVP_PKEY_paramgen(ctx, &parameters) == 1 &&
                EVP_PKEY_get_bn_param(parameters, OSSL_PKEY_PARAM_FFC_P, &group->prime) &&
                EVP_PKEY_get_bn_param(parameters, OSSL_PKEY_PARAM_FFC_G, &group->generator) &&
                EVP_PKEY_get_bn_param(parameters, OSSL_PKEY_PARAM_FFC_Q, &group->order));
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(parameters);
}

static void modp_new(struct ke_group *group, const struct ke_method *method, BN_CTX *ctx)
{
    if (method->kind == KE_MODP_SUBGROUP) {
        subgroup_read(group, method->nid);
    } else {
        crypto_must((group->prime = method->prime(NULL)) && (group->generator = BN_new()) &&
                    BN_set_word(group->generator, 2));
    }
    crypto_must((group->mont = BN_MONT_CTX_new()) &&
                BN_MONT_CTX_set(group->mont, group->prime, ctx));
    assert(BN_num_bytes(group->prime) == method->size);
}

static void curve_new(struct ke_group *group, const struct ke_method *method)
{
    crypto_must((group->curve = EC_GROUP_new_by_curve_name(method->nid)) &&
                (group->order = BN_dup(EC_GROUP_get0_order(group->curve))));
    assert((EC_GROUP_get_degree(group->curve) + 7) / 8 == method->size);
}

// RFC 7748 6.1, 6.2: u = 9 and u = 5.
static void montgomery_new(struct ke_group *group, const struct ke_method *method)
{
    uint8_t base[MONTGOMERY_MAX] = {method->ke == KE_CURVE_25519 ? 9 : 5};
    group->base = EVP_PKEY_new_raw_public_key_ex(NULL, method->name, NULL, base, method->size);
    crypto_must(group->base != NULL);
}

static void group_free(struct ke_group *group)
{
    BN_free(group->prime);
    BN_free(group->generator);
    BN_free(group->order);
    BN_MONT_CTX_free(group->mont);
    EC_GROUP_free(group->curve);
    EVP_PKEY_free(group->base);
    free(group);
}

// Two threads may make the same group at once: the later one drops its own.
static const struct ke_group *ke_group(const struct ke_method *method, BN_CTX *ctx)
{
    struct ke_group *_Atomic *place = &ke_groups[method - ke_methods];
    struct ke_group *group = atomic_load(place), *none = NULL;
    if (group) return group;
    group = NEW(struct ke_group);
    if (method->kind == KE_MONTGOMERY)
        montgomery_new(group, method);
    else if (method->kind == KE_CURVE)
        curve_new(group, method);
    else
        modp_new(group, method, ctx);
    if (atomic_compare_exchange_strong(place, &none, group)) return group;
    group_free(group);
    return none;
}

bool crypto_has_ke(uint16_t ke)
{
    struct ke_info info;
    const struct mlkem *set = mlkem_of(ke);
    return (set ? mlkem_maker(set) != NULL : ke_method(ke) != NULL) && ke_info(ke, &info);
}

static BIGNUM *number_secret(struct bytes value)
{
    BIGNUM *number = BN_new();
    crypto_must(number && BN_bin2bn(value.at, (int)value.size, number));
    BN_set_flags(number, BN_FLG_CONSTTIME);
    return number;
}

// Uniform in 1 … order - 1: values outside are drawn again, since reducing them would favour the
// small ones.
static void scalar_make(struct rng *rng, const BIGNUM *order, struct secret *out)
{
    unsigned spare = (unsigned)(8 * out->size) - (unsigned)BN_num_bits(order);
    for (int tries = 0; tries < KE_TRIES; tries++) {
        rng_fill(rng, out->at, out->size);
        out->at[0] &= (uint8_t)(0xff >> spare);
        BIGNUM *number = number_secret(secret_bytes(out));
        bool fits = !BN_is_zero(number) && BN_cmp(number, order) < 0;
        BN_clear_free(number);
        if (fits) return;
    }
    assert(!"the source of randomness is broken");
    abort();
}

// The highest bit is set, so that all exponents of a group take the same time.
static void private_make(const struct ke_method *method, const struct ke_group *group,
                         struct rng *rng, struct secret *out)
{
    secret_new(out, method->exponent);
    if (group->order) {
        scalar_make(rng, group->order, out);
        return;
    }
    rng_fill(rng, out->at, out->size);
    out->at[0] |= 0x80;
}

static void modp_power(const struct ke_group *group, const BIGNUM *base, struct bytes private,
                       BN_CTX *ctx, uint8_t *out, size_t size)
{
    BIGNUM *exponent = number_secret(private), *result = BN_new();
    crypto_must(result &&
                BN_mod_exp_mont_consttime(result, base, exponent, group->prime, ctx, group->mont) &&
                BN_bn2binpad(result, out, (int)size) == (int)size);
    BN_clear_free(exponent);
    BN_clear_free(result);
}

// RFC 6989 2.1: 1 < r < p - 1. RFC 6989 2.2: in a group with small subgroups also r^q = 1.
static bool modp_value_good(const struct ke_group *group, const BIGNUM *value, BN_CTX *ctx)
{
    BIGNUM *work = BN_new();
    crypto_must(work && BN_sub(work, group->prime, BN_value_one()));
    bool good = BN_cmp(value, BN_value_one()) > 0 && BN_cmp(value, work) < 0;
    if (good && group->order) {
        crypto_must(BN_mod_exp_mont(work, value, group->order, group->prime, ctx, group->mont));
        good = BN_is_one(work);
    }
    BN_free(work);
    return good;
}

static enum fault modp_share(const struct ke_method *method, const struct ke_group *group,
                             struct bytes private, struct bytes peer, BN_CTX *ctx,
                             struct secret *shared)
{
    BIGNUM *value = BN_bin2bn(peer.at, (int)peer.size, NULL);
    crypto_must(value != NULL);
    bool good = modp_value_good(group, value, ctx);
    if (good) {
        secret_new(shared, method->size);
        modp_power(group, value, private, ctx, shared->at, shared->size);
    }
    BN_free(value);
    return good ? OK : FAULT_KE_VALUE_INVALID;
}

// RFC 5903 7: a public value is x | y, each as long as the prime.
static void curve_public(const struct ke_method *method, const struct ke_group *group,
                         struct bytes private, BN_CTX *ctx, uint8_t *out)
{
    uint8_t octets[1 + 2 * 66];
    size_t size = 1 + 2 * (size_t)method->size;
    BIGNUM *scalar = number_secret(private);
    EC_POINT *point = EC_POINT_new(group->curve);
    crypto_must(point && EC_POINT_mul(group->curve, point, scalar, NULL, NULL, ctx) &&
                EC_POINT_point2oct(group->curve, point, POINT_CONVERSION_UNCOMPRESSED, octets, size,
                                   ctx) == size);
    memcpy(out, octets + 1, size - 1);
    EC_POINT_free(point);
    BN_clear_free(scalar);
}

// RFC 5903 7, 9: the shared secret is x alone.
static void curve_secret(const struct ke_method *method, const struct ke_group *group,
                         struct bytes private, EC_POINT *point, BN_CTX *ctx, struct secret *shared)
{
    BIGNUM *scalar = number_secret(private), *x = BN_new();
    crypto_must(x && EC_POINT_mul(group->curve, point, NULL, point, scalar, ctx) &&
                EC_POINT_get_affine_coordinates(group->curve, point, x, NULL, ctx));
    secret_new(shared, method->size);
    crypto_must(BN_bn2binpad(x, shared->at, method->size) == method->size);
    BN_clear_free(scalar);
    BN_clear_free(x);
}

// RFC 6989 2.3: the peer's point must be on the curve, which reading it checks. All these curves
// have cofactor 1, so there are no small subgroups to fall into, and the point at infinity cannot
// be written.
static enum fault curve_share(const struct ke_method *method, const struct ke_group *group,
                              struct bytes private, struct bytes peer, BN_CTX *ctx,
                              struct secret *shared)
{
    uint8_t octets[1 + 2 * 66] = {POINT_CONVERSION_UNCOMPRESSED};
    memcpy(octets + 1, peer.at, peer.size);
    EC_POINT *point = EC_POINT_new(group->curve);
    crypto_must(point != NULL);
    bool good = EC_POINT_oct2point(group->curve, point, octets, 1 + peer.size, ctx) == 1;
    if (good) curve_secret(method, group, private, point, ctx, shared);
    EC_POINT_clear_free(point);
    ERR_clear_error();
    return good ? OK : FAULT_KE_VALUE_INVALID;
}

// Ready for products with our private key. With both halves of a key given OpenSSL computes
// nothing, and for products it does not look at the public one: any will do where it is not known.
static EVP_PKEY_CTX *montgomery_ctx(const struct ke_method *method, const uint8_t *private,
                                    const uint8_t *public)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t) public, method->size),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)(uintptr_t) private,
                                method->size),
        OSSL_PARAM_END};
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, method->name, NULL);
    crypto_must(maker && EVP_PKEY_fromdata_init(maker) == 1 &&
                EVP_PKEY_fromdata(maker, &key, EVP_PKEY_KEYPAIR, parameters) == 1);
    EVP_PKEY_CTX_free(maker);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    crypto_must(ctx && EVP_PKEY_derive_init(ctx) == 1);
    EVP_PKEY_free(key);
    return ctx;
}

static bool montgomery_product(const struct ke_method *method, EVP_PKEY_CTX *ctx, EVP_PKEY *point,
                               uint8_t *out)
{
    size_t size = method->size;
    crypto_must(EVP_PKEY_derive_set_peer_ex(ctx, point, 0) == 1);
    return EVP_PKEY_derive(ctx, out, &size) == 1 && size == method->size;
}

// The public key as a product: OpenSSL's own way to make it takes longer.
static EVP_PKEY_CTX *montgomery_make(const struct ke_method *method, struct rng *rng,
                                     struct secret *private)
{
    secret_new(private, 2 * (size_t)method->size);
    rng_fill(rng, private->at, method->size);
    uint8_t *public = private->at + method->size;
    EVP_PKEY_CTX *ctx = montgomery_ctx(method, private->at, public);
    bool good = montgomery_product(method, ctx, ke_group(method, NULL)->base, public);
    crypto_must(good);
    return ctx;
}

// RFC 7748 6.1, RFC 8031 2: a result of zeros comes from a point of small order and is refused.
static enum fault montgomery_share(const struct ke_method *method, EVP_PKEY_CTX *ctx,
                                   struct bytes peer, struct secret *shared)
{
    static const uint8_t zeros[MONTGOMERY_MAX];
    EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key_ex(NULL, method->name, NULL, peer.at, peer.size);
    crypto_must(theirs != NULL);
    secret_new(shared, method->size);
    bool good = montgomery_product(method, ctx, theirs, shared->at) &&
                !bytes_equal_secret(secret_bytes(shared), bytes_of(zeros, method->size));
    EVP_PKEY_free(theirs);
    ERR_clear_error();
    if (good) return OK;
    secret_wipe(shared);
    return FAULT_KE_VALUE_INVALID;
}

// X25519 by a library of its own; NULL where OpenSSL does it.
static const struct curve25519 *x25519_of(const struct ke_method *method)
{
    return method->ke == KE_CURVE_25519 ? curve25519() : NULL;
}

static void x25519_make(const struct curve25519 *x25519, struct rng *rng, struct secret *private)
{
    secret_new(private, (size_t)2 * CURVE25519_KEY);
    rng_fill(rng, private->at, CURVE25519_KEY);
    x25519->make_public(private->at, private->at + CURVE25519_KEY);
}

static enum fault x25519_share(const struct curve25519 *x25519, const uint8_t *private, struct bytes peer,
                               struct secret *shared)
{
    secret_new(shared, CURVE25519_KEY);
    if (x25519->share(private, peer.at, shared->at)) return OK;
    secret_wipe(shared);
    return FAULT_KE_VALUE_INVALID;
}

static enum fault kem_make(const struct mlkem *set, struct rng *rng, struct secret *private,
                           struct buf *public)
{
    const struct mlkem_maker *maker = mlkem_maker(set);
    if (!maker) return FAULT_UNSUPPORTED_KE;
    buf_clear(public);
    uint8_t *ek = buf_space(public, set->ek_size);
    if (!ek) return FAULT_NO_ROOM;
    secret_new(private, MLKEM_SEED);
    rng_fill(rng, private->at, private->size);
    maker->make(set, private->at, ek);
    return OK;
}

static enum fault kem_share(const struct mlkem *set, const struct secret *private, struct bytes ct,
                            struct secret *shared)
{
    const struct mlkem_maker *maker = mlkem_maker(set);
    if (!maker) return FAULT_UNSUPPORTED_KE;
    // FIPS 203 7.3: the ciphertext's length is checked before anything is computed with it.
    if (ct.size != set->ct_size) return FAULT_KE_VALUE_WRONG_SIZE;
    if (private->size != MLKEM_SEED) return FAULT_KEY_WRONG_SIZE;
    secret_new(shared, MLKEM_SHARED);
    maker->share(set, private->at, ct.at, shared->at);
    return OK;
}

static enum fault kem_answer(const struct mlkem *set, struct rng *rng, struct bytes ek,
                             struct buf *public, struct secret *shared)
{
    const struct mlkem_maker *maker = mlkem_maker(set);
    if (!maker) return FAULT_UNSUPPORTED_KE;
    // FIPS 203 7.2: length here, modulus where it is answered.
    if (ek.size != set->ek_size) return FAULT_KE_VALUE_WRONG_SIZE;
    buf_clear(public);
    uint8_t *ct = buf_space(public, set->ct_size);
    if (!ct) return FAULT_NO_ROOM;
    SECRET(message);
    secret_new(&message, MLKEM_MESSAGE);
    rng_fill(rng, message.at, message.size);
    secret_new(shared, MLKEM_SHARED);
    if (maker->answer(set, ek.at, message.at, ct, shared->at)) return OK;
    buf_clear(public);
    secret_wipe(shared);
    return FAULT_KE_VALUE_INVALID;
}

static size_t ke_public_size(const struct ke_method *method)
{
    return method->kind == KE_CURVE ? 2 * (size_t)method->size : method->size;
}

enum fault ke_make(uint16_t ke, struct rng *rng, struct secret *private, struct buf *public)
{
    const struct mlkem *set = mlkem_of(ke);
    if (set) return kem_make(set, rng, private, public);
    const struct ke_method *method = ke_method(ke);
    if (!method) return FAULT_UNSUPPORTED_KE;
    buf_clear(public);
    uint8_t *out = buf_space(public, ke_public_size(method));
    if (!out) return FAULT_NO_ROOM;
    if (method->kind == KE_MONTGOMERY) {
        const struct curve25519 *x25519 = x25519_of(method);
        if (x25519)
            x25519_make(x25519, rng, private);
        else
            EVP_PKEY_CTX_free(montgomery_make(method, rng, private));
        memcpy(out, private->at + method->size, method->size);
        return OK;
    }
    BN_CTX *ctx = BN_CTX_new();
    crypto_must(ctx != NULL);
    const struct ke_group *group = ke_group(method, ctx);
    private_make(method, group, rng, private);
    if (method->kind == KE_CURVE)
        curve_public(method, group, secret_bytes(private), ctx, out);
    else
        modp_power(group, group->generator, secret_bytes(private), ctx, out, method->size);
    BN_CTX_free(ctx);
    return OK;
}

enum fault ke_share(uint16_t ke, const struct secret *private, struct bytes peer_public,
                    struct secret *shared)
{
    const struct mlkem *set = mlkem_of(ke);
    if (set) return kem_share(set, private, peer_public, shared);
    const struct ke_method *method = ke_method(ke);
    if (!method) return FAULT_UNSUPPORTED_KE;
    if (peer_public.size != ke_public_size(method)) return FAULT_KE_VALUE_WRONG_SIZE;
    if (private->size != (method->kind == KE_MONTGOMERY ? 2u * method->size : method->exponent))
        return FAULT_KEY_WRONG_SIZE;
    const struct curve25519 *x25519 = x25519_of(method);
    if (x25519) return x25519_share(x25519, private->at, peer_public, shared);
    if (method->kind == KE_MONTGOMERY) {
        EVP_PKEY_CTX *ready = montgomery_ctx(method, private->at, private->at + method->size);
        enum fault fault = montgomery_share(method, ready, peer_public, shared);
        EVP_PKEY_CTX_free(ready);
        return fault;
    }
    BN_CTX *ctx = BN_CTX_new();
    crypto_must(ctx != NULL);
    const struct ke_group *group = ke_group(method, ctx);
    enum fault fault =
        method->kind == KE_CURVE
            ? curve_share(method, group, secret_bytes(private), peer_public, ctx, shared)
            : modp_share(method, group, secret_bytes(private), peer_public, ctx, shared);
    BN_CTX_free(ctx);
    return fault;
}

static enum fault montgomery_answer(const struct ke_method *method, struct rng *rng,
                                    struct bytes peer_public, struct buf *public,
                                    struct secret *shared)
{
    SECRET(private);
    buf_clear(public);
    uint8_t *out = buf_space(public, method->size);
    if (!out) return FAULT_NO_ROOM;
    const struct curve25519 *x25519 = x25519_of(method);
    if (x25519) {
        x25519_make(x25519, rng, &private);
        memcpy(out, private.at + method->size, method->size);
        return x25519_share(x25519, private.at, peer_public, shared);
    }
    EVP_PKEY_CTX *ctx = montgomery_make(method, rng, &private);
    memcpy(out, private.at + method->size, method->size);
    enum fault fault = montgomery_share(method, ctx, peer_public, shared);
    EVP_PKEY_CTX_free(ctx);
    return fault;
}

enum fault ke_answer(uint16_t ke, struct rng *rng, struct bytes peer_public, struct buf *public,
                     struct secret *shared)
{
    const struct mlkem *set = mlkem_of(ke);
    if (set) return kem_answer(set, rng, peer_public, public, shared);
    const struct ke_method *method = ke_method(ke);
    if (!method) return FAULT_UNSUPPORTED_KE;
    if (peer_public.size != ke_public_size(method)) return FAULT_KE_VALUE_WRONG_SIZE;
    if (method->kind == KE_MONTGOMERY)
        return montgomery_answer(method, rng, peer_public, public, shared);
    SECRET(private);
    TRY(ke_make(ke, rng, &private, public));
    return ke_share(ke, &private, peer_public, shared);
}
