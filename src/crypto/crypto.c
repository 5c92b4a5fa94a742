// SPDX-License-Identifier: Apache-2.0
// What this OpenSSL can do, fetched once: a fetch by name costs a microsecond and a lock, a
// handshake needs dozens of them.
#include "crypto/curve25519.h"
#include "crypto/internal.h"
#include "crypto/mlkem.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdio.h>

enum { ENCR_METHODS_MAX = 40 };

// The only state of this folder: written once by crypto_start(), read only afterwards.
static struct {
    EVP_MD *md[MD_COUNT];
    EVP_CIPHER *cipher[ENCR_METHODS_MAX];
    EVP_CIPHER *aes128_cbc, *aes128_ecb;
} fetched;
static CRYPTO_ONCE fetched_once = CRYPTO_ONCE_STATIC_INIT;

static const char *const md_names[MD_COUNT] = {
    [MD_MD5] = "MD5",           [MD_SHA1] = "SHA1",         [MD_SHA2_256] = "SHA2-256",
    [MD_SHA2_384] = "SHA2-384", [MD_SHA2_512] = "SHA2-512", [MD_SHA3_256] = "SHA3-256",
    [MD_SHA3_512] = "SHA3-512", [MD_SHAKE128] = "SHAKE128", [MD_SHAKE256] = "SHAKE256",
};

// clang-format off
static const struct encr_method encr_methods[] = {
    {ENCR_NULL,              0,   CIPHER_NULL,   NULL},
    {ENCR_3DES,              0,   CIPHER_CBC,    "DES-EDE3-CBC"},
    {ENCR_AES_CBC,           128, CIPHER_CBC,    "AES-128-CBC"},
    {ENCR_AES_CBC,           192, CIPHER_CBC,    "AES-192-CBC"},
    {ENCR_AES_CBC,           256, CIPHER_CBC,    "AES-256-CBC"},
    {ENCR_AES_CTR,           128, CIPHER_CTR,    "AES-128-CTR"},
    {ENCR_AES_CTR,           192, CIPHER_CTR,    "AES-192-CTR"},
    {ENCR_AES_CTR,           256, CIPHER_CTR,    "AES-256-CTR"},
    {ENCR_AES_CCM_8,         128, CIPHER_CCM,    "AES-128-CCM"},
    {ENCR_AES_CCM_8,         192, CIPHER_CCM,    "AES-192-CCM"},
    {ENCR_AES_CCM_8,         256, CIPHER_CCM,    "AES-256-CCM"},
    {ENCR_AES_CCM_12,        128, CIPHER_CCM,    "AES-128-CCM"},
    {ENCR_AES_CCM_12,        192, CIPHER_CCM,    "AES-192-CCM"},
    {ENCR_AES_CCM_12,        256, CIPHER_CCM,    "AES-256-CCM"},
    {ENCR_AES_CCM_16,        128, CIPHER_CCM,    "AES-128-CCM"},
    {ENCR_AES_CCM_16,        192, CIPHER_CCM,    "AES-192-CCM"},
    {ENCR_AES_CCM_16,        256, CIPHER_CCM,    "AES-256-CCM"},
    {ENCR_AES_GCM_8,         128, CIPHER_GCM,    "AES-128-GCM"},
    {ENCR_AES_GCM_8,         192, CIPHER_GCM,    "AES-192-GCM"},
    {ENCR_AES_GCM_8,         256, CIPHER_GCM,    "AES-256-GCM"},
    {ENCR_AES_GCM_12,        128, CIPHER_GCM,    "AES-128-GCM"},
    {ENCR_AES_GCM_12,        192, CIPHER_GCM,    "AES-192-GCM"},
    {ENCR_AES_GCM_12,        256, CIPHER_GCM,    "AES-256-GCM"},
    {ENCR_AES_GCM_16,        128, CIPHER_GCM,    "AES-128-GCM"},
    {ENCR_AES_GCM_16,        192, CIPHER_GCM,    "AES-192-GCM"},
    {ENCR_AES_GCM_16,        256, CIPHER_GCM,    "AES-256-GCM"},
    {ENCR_NULL_AES_GMAC,     128, CIPHER_GMAC,   "AES-128-GCM"},
    {ENCR_NULL_AES_GMAC,     192, CIPHER_GMAC,   "AES-192-GCM"},
    {ENCR_NULL_AES_GMAC,     256, CIPHER_GMAC,   "AES-256-GCM"},
    {ENCR_CAMELLIA_CBC,      128, CIPHER_CBC,    "CAMELLIA-128-CBC"},
    {ENCR_CAMELLIA_CBC,      192, CIPHER_CBC,    "CAMELLIA-192-CBC"},
    {ENCR_CAMELLIA_CBC,      256, CIPHER_CBC,    "CAMELLIA-256-CBC"},
    {ENCR_CAMELLIA_CTR,      128, CIPHER_CTR,    "CAMELLIA-128-CTR"},
    {ENCR_CAMELLIA_CTR,      192, CIPHER_CTR,    "CAMELLIA-192-CTR"},
    {ENCR_CAMELLIA_CTR,      256, CIPHER_CTR,    "CAMELLIA-256-CTR"},
    {ENCR_CHACHA20_POLY1305, 0,   CIPHER_CHACHA, "ChaCha20-Poly1305"},
};
// clang-format on
enum { ENCR_METHODS = sizeof encr_methods / sizeof encr_methods[0] };
_Static_assert((int)ENCR_METHODS <= (int)ENCR_METHODS_MAX, "one fetched cipher a row");

void crypto_must(bool worked)
{
    if (worked) return;
    fprintf(stderr, "cryptographic library failed: ");
    ERR_print_errors_fp(stderr);
    assert(!"OpenSSL failed where only we can be wrong");
    abort();
}

// What is missing is remembered as missing: crypto_has_…() says so.
static void crypto_fetch(void)
{
    ERR_set_mark();
    for (size_t i = 0; i < MD_COUNT; i++) fetched.md[i] = EVP_MD_fetch(NULL, md_names[i], NULL);
    for (size_t i = 0; i < ENCR_METHODS; i++)
        if (encr_methods[i].name)
            fetched.cipher[i] = EVP_CIPHER_fetch(NULL, encr_methods[i].name, NULL);
    fetched.aes128_cbc = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
    fetched.aes128_ecb = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);
    ERR_pop_to_mark();
}

void crypto_start(void)
{
    crypto_must(CRYPTO_THREAD_run_once(&fetched_once, crypto_fetch) == 1);
    curve25519_start();
    (void)mlkem_evp.has(mlkem_of(KE_ML_KEM_768)); // looked for now, not once we are locked in
    crypto_must(fetched.md[MD_SHA1] && fetched.md[MD_SHA2_256] && fetched.aes128_cbc &&
                fetched.aes128_ecb);
}

const EVP_MD *crypto_md(enum md_id id)
{
    assert(fetched.aes128_ecb); // crypto_start() comes first
    return fetched.md[id];
}

const EVP_MD *crypto_md_of_hash(uint16_t hash)
{
    switch (hash) {
    case HASH_SHA1:
        return crypto_md(MD_SHA1);
    case HASH_SHA2_256:
        return crypto_md(MD_SHA2_256);
    case HASH_SHA2_384:
        return crypto_md(MD_SHA2_384);
    case HASH_SHA2_512:
        return crypto_md(MD_SHA2_512);
    default:
        return NULL;
    }
}

const EVP_CIPHER *crypto_aes128_cbc(void)
{
    assert(fetched.aes128_cbc);
    return fetched.aes128_cbc;
}

const EVP_CIPHER *crypto_aes128_ecb(void)
{
    assert(fetched.aes128_ecb);
    return fetched.aes128_ecb;
}

const EVP_CIPHER *encr_method_cipher(const struct encr_method *method)
{
    assert(fetched.aes128_ecb);
    return fetched.cipher[method - encr_methods];
}

// A cipher of one key size is found with no key length and with that length alike.
static bool encr_method_fits(const struct encr_method *method, uint16_t encr, uint16_t key_bits)
{
    return method->encr == encr && (method->key_bits == key_bits || method->key_bits == 0);
}

const struct encr_method *encr_method(uint16_t encr, uint16_t key_bits)
{
    for (size_t i = 0; i < ENCR_METHODS; i++) {
        const struct encr_method *method = &encr_methods[i];
        if (encr_method_fits(method, encr, key_bits))
            return method->kind == CIPHER_NULL || encr_method_cipher(method) ? method : NULL;
    }
    return NULL;
}

bool crypto_has_encr(uint16_t encr, uint16_t key_bits)
{
    struct encr_info info;
    return encr_method(encr, key_bits) && encr_info(encr, key_bits, &info);
}

bool crypto_has_integ(uint16_t integ)
{
    struct integ_info info;
    return mac_has(integ_mac(integ)) && integ_info(integ, &info);
}

bool crypto_has_prf(uint16_t prf)
{
    struct prf_info info;
    return mac_has(prf_mac(prf)) && prf_info(prf, &info);
}

static size_t md_run(const EVP_MD *md, struct bytes_list data, uint8_t *out)
{
    unsigned size = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    crypto_must(ctx && EVP_DigestInit_ex2(ctx, md, NULL));
    for (size_t i = 0; i < data.count; i++)
        crypto_must(EVP_DigestUpdate(ctx, data.at[i].at, data.at[i].size));
    crypto_must(EVP_DigestFinal_ex(ctx, out, &size));
    EVP_MD_CTX_free(ctx);
    return size;
}

void sha1(struct bytes_list data, uint8_t out[20])
{
    md_run(crypto_md(MD_SHA1), data, out);
}

enum fault digest(uint16_t hash, struct bytes_list data, uint8_t out[DIGEST_MAX], size_t *size)
{
    const EVP_MD *md = crypto_md_of_hash(hash);
    if (!md) return FAULT_UNSUPPORTED_HASH;
    *size = md_run(md, data, out);
    return OK;
}
