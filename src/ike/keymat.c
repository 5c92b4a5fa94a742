// SPDX-License-Identifier: Apache-2.0
// Keys out of shared secrets and nonces (RFC 7296 2.14, 2.17, 2.18).
//
//     SKEYSEED = prf(Ni | Nr, g^ir), when rekeying prf(SK_d of the old SA, g^ir | Ni | Nr | more)
//     SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr)
//     KEYMAT = prf+(SK_d, [g^ir |] Ni | Nr | more)
//
// more: the secrets of additional key exchanges (RFC 9370 2.2.4). Those of the first IKE SA are
// mixed in one after the other, each as if the SA were rekeyed in its place (RFC 9370 2.2.2). What
// post-quantum pre-shared keys do to SK_d and SKEYSEED is in ext/ppk.c and ext/ppk_int.c.
#include "ike/internal.h"
#include <assert.h>

struct bytes sk_d(const struct sa *sa)
{
    return bytes_of(sa->keys.all.at, sa->keys.d);
}

// RFC 7296 2.14: with AES-XCBC and AES-CMAC only the first 64 bits of each nonce are taken here.
static enum fault skeyseed_first(uint16_t prf_id, struct bytes ni, struct bytes nr,
                                 const struct secret *shared, struct secret *out)
{
    struct prf_info info;
    if (!prf_info(prf_id, &info)) return FAULT_UNSUPPORTED_PRF;
    if (info.fixed_key) {
        ni.size = 8;
        nr.size = 8;
    }
    uint8_t key[2 * NONCE_SIZE_MAX];
    memcpy(key, ni.at, ni.size);
    memcpy(key + ni.size, nr.at, nr.size);
    return prf(prf_id, bytes_of(key, ni.size + nr.size), PIECES(secret_bytes(shared)), out);
}

// Sizes of the keys of a suite; false when it has an algorithm that we do not know.
static bool key_sizes(const struct suite *suite, size_t *a, size_t *e, size_t *d)
{
    struct encr_info encr;
    struct prf_info prf_of;
    struct integ_info integ = {0};
    if (!encr_info(suite->encr, suite->key_bits, &encr)) return false;
    if (suite->integ != INTEG_NONE && !integ_info(suite->integ, &integ)) return false;
    *e = (size_t)encr.key + encr.salt;
    *a = integ.key;
    *d = 0;
    if (suite->prf == PRF_NONE) return true;
    if (!prf_info(suite->prf, &prf_of)) return false;
    *d = prf_of.key;
    return true;
}

// RFC 7296 2.18: the seed is made with the PRF of the old SA, all else with the new one. RFC 9867
// 3.2: with a post-quantum pre-shared key the SK_d is the one that it went into.
enum fault keymat_seed(const struct exchange *x, const struct sa *old, struct bytes ni,
                       struct bytes nr, const struct secret *shared, struct secret *seed)
{
    struct bytes d = x->ppk_d.size ? secret_bytes(&x->ppk_d) : sk_d(old);
    return prf(old->suite.prf, d, PIECES(secret_bytes(shared), ni, nr, secret_bytes(&x->ke_more)),
               seed);
}

enum fault keymat_expand(const struct sa *sa, struct bytes ni, struct bytes nr,
                         const struct secret *seed, struct secret *all)
{
    size_t a, e, d;
    uint8_t spis[16];
    struct wr out = wr_over(spis, sizeof spis);
    if (!key_sizes(&sa->suite, &a, &e, &d)) return FAULT_UNSUPPORTED_CIPHER;
    wr_u64(&out, sa->spi_i);
    wr_u64(&out, sa->spi_r);
    return prf_plus(sa->suite.prf, secret_bytes(seed), PIECES(ni, nr, wr_done(&out)),
                    3 * d + 2 * a + 2 * e, all);
}

enum fault keymat_take(struct sa *sa, const struct secret *all)
{
    size_t a, e, d;
    if (!key_sizes(&sa->suite, &a, &e, &d)) return FAULT_UNSUPPORTED_CIPHER;
    size_t kept = d + 2 * a + 2 * e;
    secret_set(&sa->keys.all, bytes_of(all->at, kept));
    sa->keys.d = (uint16_t)d;
    sa->keys.a = (uint16_t)a;
    sa->keys.e = (uint16_t)e;
    if (sa->handshake) {
        secret_set(&sa->handshake->sk_pi, bytes_of(all->at + kept, d));
        secret_set(&sa->handshake->sk_pr, bytes_of(all->at + kept + d, d));
    }
    rng_fill(sa->ike->rng, &sa->iv_counter, sizeof sa->iv_counter);
    keylog_ike(sa);
    return OK;
}

enum fault keymat_ike(struct exchange *x, struct sa *sa, struct bytes ni, struct bytes nr,
                      const struct secret *shared, const struct sa *old)
{
    SECRET(seed);
    SECRET(all);
    if (old)
        TRY(keymat_seed(x, old, ni, nr, shared, &seed));
    else
        TRY(skeyseed_first(sa->suite.prf, ni, nr, shared, &seed));
    TRY(keymat_expand(sa, ni, nr, &seed, &all));
    return keymat_take(sa, &all);
}

void keymat_child_sizes(const struct suite *suite, size_t *encr, size_t *integ)
{
    struct suite without_prf = *suite;
    without_prf.prf = PRF_NONE;
    if (suite->protocol == PROTOCOL_AH) without_prf.encr = ENCR_NULL; // which has no key either
    size_t none;
    bool known = key_sizes(&without_prf, integ, encr, &none);
    assert(known); // chosen out of what we offer
}

// RFC 7296 2.17: keys of what the exchange's initiator sends come first; in each half the cipher's
// before the integrity's.
enum fault keymat_child(const struct sa *sa, const struct suite *suite, struct bytes d,
                        struct bytes shared, struct bytes ni, struct bytes nr, struct bytes more,
                        struct secret *out)
{
    size_t encr, integ;
    keymat_child_sizes(suite, &encr, &integ);
    return prf_plus(sa->suite.prf, d, PIECES(shared, ni, nr, more), 2 * (encr + integ), out);
}
