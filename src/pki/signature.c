// SPDX-License-Identifier: Apache-2.0
// The last step of verifying a chain: from the anchor down to the peer, each certificate is in date and signed by the one above.
//
// OpenSSL does the same, and is left to do it but where all signatures are Ed25519 and a faster library for these is there.
#include "crypto/curve25519.h"
#include "pki/internal.h"

// RFC 5280 4.1.1.3: what is signed is the first part of the certificate, as it came.
static struct bytes signed_part_of(const unsigned char *der, long size)
{
    long length;
    int tag, class;
    const unsigned char *at = der;
    if (ASN1_get_object(&at, &length, &tag, &class, size) & 0x80) return BYTES_NONE;
    const unsigned char *part = at;
    if (ASN1_get_object(&at, &length, &tag, &class, size - (at - der)) & 0x80) return BYTES_NONE;
    return bytes_of(part, (size_t)(at - part + length));
}

// RFC 8410 3, RFC 5280 4.1.1.2: the algorithm is named twice alike and has no parameters.
static bool is_ed25519(const X509 *x509, const ASN1_BIT_STRING *signature, const X509_ALGOR *algorithm)
{
    const ASN1_OBJECT *kind;
    int parameters;
    X509_ALGOR_get0(&kind, &parameters, NULL, algorithm);
    return OBJ_obj2nid(kind) == NID_ED25519 && parameters == V_ASN1_UNDEF && !(signature->flags & 7) &&
           X509_ALGOR_cmp(algorithm, X509_get0_tbs_sigalg(x509)) == 0;
}

bool chain_is_ed25519(X509_STORE_CTX *ctx)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    for (int i = 0; i + 1 < sk_X509_num(chain); i++) {
        const ASN1_BIT_STRING *signature;
        const X509_ALGOR *algorithm;
        EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(chain, i + 1));
        X509_get0_signature(&signature, &algorithm, sk_X509_value(chain, i));
        if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519 || !is_ed25519(sk_X509_value(chain, i), signature, algorithm))
            return false;
    }
    return curve25519() != NULL;
}

static bool is_signed_by(X509 *x509, const EVP_PKEY *key)
{
    const ASN1_BIT_STRING *signature;
    const X509_ALGOR *algorithm;
    uint8_t public[CURVE25519_KEY];
    size_t public_size = sizeof public;
    unsigned char *der = NULL;
    X509_get0_signature(&signature, &algorithm, x509);
    int size = i2d_X509(x509, &der);
    if (size <= 0) return false;
    struct bytes part = signed_part_of(der, size);
    bool good = part.size && EVP_PKEY_get_raw_public_key(key, public, &public_size) == 1 &&
                curve25519()->verify(public, part,
                                     bytes_of(ASN1_STRING_get0_data(signature), (size_t)ASN1_STRING_length(signature)));
    OPENSSL_free(der);
    return good;
}

// False: the chain is refused. The callback may pass over what is wrong.
static bool wrong(X509_STORE_CTX *ctx, X509 *at, int depth, int error)
{
    X509_STORE_CTX_set_error_depth(ctx, depth);
    X509_STORE_CTX_set_current_cert(ctx, at);
    X509_STORE_CTX_set_error(ctx, error);
    return X509_STORE_CTX_get_verify_cb(ctx)(0, ctx) != 0;
}

// RFC 5280 4.2.1.3: with key usage a CA needs keyCertSign.
static bool signature_check(X509_STORE_CTX *ctx, X509 *issuer, X509 *subject, int depth)
{
    if (!(X509_get_key_usage(issuer) & KU_KEY_CERT_SIGN) && !wrong(ctx, issuer, depth + 1, X509_V_ERR_KEYUSAGE_NO_CERTSIGN))
        return false;
    return is_signed_by(subject, X509_get0_pubkey(issuer)) || wrong(ctx, subject, depth, X509_V_ERR_CERT_SIGNATURE_FAILURE);
}

static bool dates_check(X509_STORE_CTX *ctx, X509 *x509, int depth, time_t now)
{
    int begun = X509_cmp_time(X509_get0_notBefore(x509), &now), ended = X509_cmp_time(X509_get0_notAfter(x509), &now);
    if (begun == 0 && !wrong(ctx, x509, depth, X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD)) return false;
    if (begun > 0 && !wrong(ctx, x509, depth, X509_V_ERR_CERT_NOT_YET_VALID)) return false;
    if (ended == 0 && !wrong(ctx, x509, depth, X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD)) return false;
    return ended >= 0 || wrong(ctx, x509, depth, X509_V_ERR_CERT_HAS_EXPIRED);
}

// RFC 5280 6.1.3: the anchor's own signature says nothing and is not looked at.
bool chain_signatures(X509_STORE_CTX *ctx, int64_t now)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    int count = sk_X509_num(chain);
    for (int i = count - 1; i >= 0; i--) {
        X509 *at = sk_X509_value(chain, i);
        if (i + 1 < count && !signature_check(ctx, sk_X509_value(chain, i + 1), at, i)) return false;
        if (!dates_check(ctx, at, i, (time_t)now)) return false;
        X509_STORE_CTX_set_error_depth(ctx, i);
        X509_STORE_CTX_set_current_cert(ctx, at);
        if (!X509_STORE_CTX_get_verify_cb(ctx)(1, ctx)) return false;
    }
    return count > 0;
}
