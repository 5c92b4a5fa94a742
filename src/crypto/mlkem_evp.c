// SPDX-License-Identifier: Apache-2.0
// ML-KEM by OpenSSL, which has it from 3.5 on. Nothing newer than 3.0 is needed to build this:
// algorithms and parameters go by name, so that a program built on an old system takes the faster
// code of a new one.
#include "crypto/internal.h"
#include "crypto/mlkem.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

// EVP_KEM-ML-KEM(7), EVP_PKEY-ML-KEM(7)
#define PARAMETER_SEED "seed"
#define PARAMETER_MESSAGE "ikme"

enum { SETS = KE_ML_KEM_1024 - KE_ML_KEM_512 + 1 };
static bool evp_found[SETS]; // written once
static CRYPTO_ONCE evp_once = CRYPTO_ONCE_STATIC_INIT;

static void evp_find(void)
{
    ERR_set_mark();
    for (size_t i = 0; i < SETS; i++) {
        EVP_KEM *kem = EVP_KEM_fetch(NULL, mlkem_of((uint16_t)(KE_ML_KEM_512 + i))->name, NULL);
        evp_found[i] = kem != NULL;
        EVP_KEM_free(kem);
    }
    ERR_pop_to_mark();
}

static bool evp_has(const struct mlkem *set)
{
    crypto_must(CRYPTO_THREAD_run_once(&evp_once, evp_find) == 1);
    return evp_found[set->ke - KE_ML_KEM_512];
}

// NULL when the octets are no such key.
static EVP_PKEY *evp_key(const struct mlkem *set, const char *name, int selection,
                         struct bytes octets)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_octet_string(name, (void *)(uintptr_t)octets.at, octets.size),
        OSSL_PARAM_END,
    };
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, set->name, NULL);
    crypto_must(ctx && EVP_PKEY_fromdata_init(ctx) == 1);
    if (EVP_PKEY_fromdata(ctx, &key, selection, parameters) != 1) key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *evp_key_of_seed(const struct mlkem *set, const uint8_t *seed)
{
    EVP_PKEY *key = evp_key(set, PARAMETER_SEED, EVP_PKEY_KEYPAIR, bytes_of(seed, MLKEM_SEED));
    crypto_must(key != NULL);
    return key;
}

static void evp_make(const struct mlkem *set, const uint8_t seed[MLKEM_SEED], uint8_t *ek)
{
    size_t size = set->ek_size;
    EVP_PKEY *key = evp_key_of_seed(set, seed);
    crypto_must(EVP_PKEY_get_raw_public_key(key, ek, &size) == 1 && size == set->ek_size);
    EVP_PKEY_free(key);
}

static bool evp_answer(const struct mlkem *set, const uint8_t *ek,
                       const uint8_t message[MLKEM_MESSAGE], uint8_t *ct,
                       uint8_t shared[MLKEM_SHARED])
{
    size_t ct_size = set->ct_size, shared_size = MLKEM_SHARED;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_octet_string(PARAMETER_MESSAGE, (void *)(uintptr_t)message, MLKEM_MESSAGE),
        OSSL_PARAM_END,
    };
    ERR_set_mark();
    EVP_PKEY *key =
        evp_key(set, OSSL_PKEY_PARAM_PUB_KEY, EVP_PKEY_PUBLIC_KEY, bytes_of(ek, set->ek_size));
    ERR_pop_to_mark();
    if (!key) return false;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    crypto_must(ctx && EVP_PKEY_encapsulate_init(ctx, parameters) == 1 &&
                EVP_PKEY_encapsulate(ctx, ct, &ct_size, shared, &shared_size) == 1 &&
                ct_size == set->ct_size && shared_size == MLKEM_SHARED);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return true;
}

static void evp_share(const struct mlkem *set, const uint8_t seed[MLKEM_SEED], const uint8_t *ct,
                      uint8_t shared[MLKEM_SHARED])
{
    size_t size = MLKEM_SHARED;
    EVP_PKEY *key = evp_key_of_seed(set, seed);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    crypto_must(ctx && EVP_PKEY_decapsulate_init(ctx, NULL) == 1 &&
                EVP_PKEY_decapsulate(ctx, shared, &size, ct, set->ct_size) == 1 &&
                size == MLKEM_SHARED);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
}

const struct mlkem_maker mlkem_evp = {"OpenSSL", evp_has, evp_make, evp_answer, evp_share};
