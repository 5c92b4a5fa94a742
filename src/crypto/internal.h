// SPDX-License-Identifier: Apache-2.0
// What the files of this folder share: algorithms fetched once, keyed MACs, keyed ciphers. Not for
// other folders.
#pragma once
#include "crypto/crypto.h"
#include <openssl/evp.h>

// --- crypto.c: fetched by crypto_start(); NULL when this OpenSSL lacks it
enum md_id {
    MD_MD5,
    MD_SHA1,
    MD_SHA2_256,
    MD_SHA2_384,
    MD_SHA2_512,
    MD_SHA3_256,
    MD_SHA3_512,
    MD_SHAKE128,
    MD_SHAKE256,
    MD_COUNT
};
const EVP_MD *crypto_md(enum md_id id);
const EVP_MD *
crypto_md_of_hash(uint16_t hash); // enum iana_hash; NULL for IDENTITY and unknown ones
const EVP_CIPHER *crypto_aes128_cbc(void);
const EVP_CIPHER *crypto_aes128_ecb(void);

// How a cipher is used: who makes the counter, who makes the tag.
enum cipher_kind {
    CIPHER_NULL,
    CIPHER_CBC,
    CIPHER_CTR,
    CIPHER_GCM,
    CIPHER_CCM,
    CIPHER_CHACHA,
    CIPHER_GMAC
};
struct encr_method {
    uint16_t encr, key_bits;
    enum cipher_kind kind;
    const char *name; // OpenSSL's
};
const struct encr_method *encr_method(uint16_t encr,
                                      uint16_t key_bits); // NULL when it is not to be had
const EVP_CIPHER *encr_method_cipher(const struct encr_method *method); // NULL for CIPHER_NULL

// --- mac.c: HMAC (RFC 2104), AES-XCBC-MAC (RFC 3566), AES-CMAC (RFC 4493) behind one face
enum mac_kind {
    MAC_NONE,
    MAC_HMAC_MD5,
    MAC_HMAC_SHA1,
    MAC_HMAC_SHA2_256,
    MAC_HMAC_SHA2_384,
    MAC_HMAC_SHA2_512,
    MAC_AES_XCBC,
    MAC_AES_CMAC,
    MAC_KIND_COUNT
};
enum mac_use { MAC_ONCE, MAC_MANY }; // one tag, or as many as wanted with one key
struct mac {
    enum mac_kind kind;
    enum mac_use use;
    size_t size; // bytes of the whole tag
    EVP_MD_CTX *inner, *outer,
        *work[2];        // HMAC: contexts that have absorbed the key, and copies that take the data
    EVP_CIPHER_CTX *cbc; // the others: AES-CBC under the MAC's key
    uint8_t full[16], padded[16]; // mixed into the last block, by whether it is whole
    uint8_t held[16];             // the last block waits here
    size_t held_size;
};
bool mac_has(enum mac_kind kind);
void mac_init(struct mac *mac, enum mac_kind kind, enum mac_use use, struct bytes key);
void mac_begin(struct mac *mac);
void mac_add(struct mac *mac, struct bytes data);
void mac_end(struct mac *mac, uint8_t tag[PRF_OUTPUT_MAX]);
void mac_wipe(struct mac *mac);
enum mac_kind integ_mac(uint16_t integ); // MAC_NONE when it is no MAC that stands alone
enum mac_kind prf_mac(uint16_t prf);

// --- cipher.c: one keyed cipher in one direction
enum cipher_way { CIPHER_SEAL, CIPHER_OPEN };
struct cipher {
    EVP_CIPHER_CTX *ctx;
    enum cipher_kind kind;
    struct encr_info info;
    uint8_t salt[4];
};
// `key` has the salt at its end.
CHECKED enum fault cipher_init(struct cipher *cipher, uint16_t encr, uint16_t key_bits,
                               struct bytes key, enum cipher_way way);
void cipher_wipe(struct cipher *cipher);
size_t cipher_align(const struct cipher *cipher);
// CBC, CTR and NULL: from in to out, which may be the same place. `iv` has the cipher's IV size.
void cipher_crypt(struct cipher *cipher, const uint8_t *iv, const uint8_t *in, size_t size,
                  uint8_t *out);
// GCM, CCM, ChaCha20-Poly1305, GMAC.
void cipher_seal(struct cipher *cipher, const uint8_t *iv, struct bytes associated,
                 const uint8_t *in, size_t size, uint8_t *out, uint8_t *tag);
CHECKED bool cipher_open(struct cipher *cipher, const uint8_t *iv, struct bytes associated,
                         const uint8_t *in, size_t size, uint8_t *out, const uint8_t *tag);

// An OpenSSL call that can only fail for lack of memory or by our own mistake.
void crypto_must(bool worked);
