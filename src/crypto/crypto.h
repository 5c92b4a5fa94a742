// SPDX-License-Identifier: Apache-2.0
// Cryptography of the control plane: PRF and key expansion, protection of IKE messages, key exchange. OpenSSL (>= 3.0) is
// behind it and is seen nowhere else but in pki. Algorithms are named by their IANA numbers; sizes come from model/proposal.h.
// Randomness comes in as a parameter, so that the same input gives the same output everywhere.
#pragma once
#include "base/fault.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/secret.h"
#include "model/proposal.h"

// Fetches what is used once. Call before anything else in a process; safe to call again. Asserts that OpenSSL works.
void crypto_start(void);
bool crypto_has_encr(uint16_t encr, uint16_t key_bits);
bool crypto_has_integ(uint16_t integ);
bool crypto_has_prf(uint16_t prf);
bool crypto_has_ke(uint16_t ke);
// Known answers of every algorithm offered; FAULT_SELF_TEST names the first that fails in *which.
CHECKED enum fault crypto_self_test(const char **which);

// --- prf (RFC 7296 2.13; RFC 4434, RFC 4615 for the AES ones)
enum { PRF_OUTPUT_MAX = 64, INTEG_TAG_MAX = 32, DIGEST_MAX = 64 };
struct bytes_list {          // several pieces taken as one
    const struct bytes *at;
    size_t count;
};
#define PIECES(...)                                                                       \
    ((struct bytes_list){(const struct bytes[]){__VA_ARGS__},                             \
                         sizeof((const struct bytes[]){__VA_ARGS__}) / sizeof(struct bytes)})
CHECKED enum fault prf(uint16_t prf, struct bytes key, struct bytes_list data, struct secret *out);
// prf+(key, seed), RFC 7296 2.13: at most 255 blocks.
CHECKED enum fault prf_plus(uint16_t prf, struct bytes key, struct bytes_list seed, size_t size, struct secret *out);

// --- digests
void sha1(struct bytes_list data, uint8_t out[20]);
CHECKED enum fault digest(uint16_t hash, struct bytes_list data, uint8_t out[DIGEST_MAX], size_t *size);  // enum iana_hash

// --- integrity
CHECKED enum fault integ_tag(uint16_t integ, struct bytes key, struct bytes_list data, uint8_t tag[INTEG_TAG_MAX]);

// --- protection of one IKE message (SK payload): AEAD, or cipher and HMAC. Layout on the wire: IV | ciphertext | tag.
// `plain` includes padding and pad length. seal writes iv|ciphertext|tag into out (room for iv + plain + icv).
// associated: all bytes from the IKE header up to the IV (AEAD, RFC 5282 5.1). For encrypt-then-MAC the tag covers associated|iv|ciphertext.
struct sealer {
    uint16_t encr, key_bits, integ;
    struct bytes encr_key;   // with salt
    struct bytes integ_key;
};
CHECKED enum fault sealer_seal(const struct sealer *key, struct bytes associated, struct bytes iv, struct bytes plain, uint8_t *out);
CHECKED enum fault sealer_open(const struct sealer *key, struct bytes associated, struct bytes sealed, uint8_t *plain, size_t *plain_size);
size_t sealer_iv_size(const struct sealer *key);
size_t sealer_icv_size(const struct sealer *key);
size_t sealer_block_size(const struct sealer *key);   // plain must be a multiple of it

// --- key exchange
// Makes a key pair for the method; a KEM's initiator likewise. `private` is opaque.
CHECKED enum fault ke_make(uint16_t ke, struct rng *rng, struct secret *private, struct buf *public);
// The initiator's and, for Diffie-Hellman, the responder's shared secret. RFC 7296 2.2 of group checks: a peer's value that is not on
// the curve, out of range, or gives zeros is a fault (RFC 6989, RFC 8031).
CHECKED enum fault ke_share(uint16_t ke, const struct secret *private, struct bytes peer_public, struct secret *shared);
// The responder of either kind in one step: makes its public value (or ciphertext) and the shared secret.
CHECKED enum fault ke_answer(uint16_t ke, struct rng *rng, struct bytes peer_public, struct buf *public, struct secret *shared);
