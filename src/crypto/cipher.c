// SPDX-License-Identifier: Apache-2.0
// One keyed cipher in one direction, ready to take message after message: only the IV changes
// between them. The nonce of the counter modes is salt | IV, as IPsec has it; a counter, where the
// mode wants one, begins at 1.
#include "crypto/internal.h"
#include <assert.h>
#include <openssl/err.h>

static int cipher_nonce_size(const struct cipher *cipher)
{
    return cipher->info.salt + cipher->info.iv;
}

// RFC 4106 8.1, RFC 4309 7.1, RFC 3686 5.1, RFC 7634 2: what follows the key is the salt, the same
// for a whole SA.
enum fault cipher_init(struct cipher *cipher, uint16_t encr, uint16_t key_bits, struct bytes key,
                       enum cipher_way way)
{
    const struct encr_method *method = encr_method(encr, key_bits);
    *cipher = (struct cipher){0};
    if (!method || !encr_info(encr, key_bits, &cipher->info)) return FAULT_UNSUPPORTED_CIPHER;
    if (key.size != (size_t)cipher->info.key + cipher->info.salt) return FAULT_KEY_WRONG_SIZE;
    cipher->kind = method->kind;
    assert(cipher->info.salt <= sizeof cipher->salt);
    if (cipher->info.salt) memcpy(cipher->salt, key.at + cipher->info.key, cipher->info.salt);
    if (method->kind == CIPHER_NULL) return OK;

    EVP_CIPHER_CTX *ctx = cipher->ctx = EVP_CIPHER_CTX_new();
    int seal = way == CIPHER_SEAL;
    crypto_must(ctx && EVP_CipherInit_ex2(ctx, encr_method_cipher(method), NULL, NULL, seal, NULL));
    if (method->kind >= CIPHER_GCM)
        crypto_must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, cipher_nonce_size(cipher),
                                        NULL) == 1);
    if (method->kind == CIPHER_CCM)
        crypto_must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, cipher->info.icv, NULL) == 1);
    crypto_must(EVP_CIPHER_CTX_get_key_length(ctx) == cipher->info.key &&
                EVP_CipherInit_ex2(ctx, NULL, key.at, NULL, seal, NULL));
    EVP_CIPHER_CTX_set_padding(ctx, 0);
    return OK;
}

void cipher_wipe(struct cipher *cipher)
{
    EVP_CIPHER_CTX_free(cipher->ctx);
    memory_wipe(cipher, sizeof *cipher);
}

size_t cipher_align(const struct cipher *cipher)
{
    return cipher->kind == CIPHER_CBC ? cipher->info.block : 1;
}

static void cipher_update(struct cipher *cipher, uint8_t *out, const uint8_t *in, size_t size)
{
    int done;
    assert(size <= INT32_MAX);
    crypto_must(EVP_CipherUpdate(cipher->ctx, out, &done, in, (int)size) == 1);
}

// Gives the nonce's bytes: salt | IV, and for RFC 3686 4 a block counter of 1 behind them.
static void cipher_set_iv(struct cipher *cipher, const uint8_t *iv)
{
    uint8_t block[16] = {[15] = 1};
    memcpy(block, cipher->salt, cipher->info.salt);
    memcpy(block + cipher->info.salt, iv, cipher->info.iv);
    crypto_must(EVP_CipherInit_ex2(cipher->ctx, NULL, NULL, block, -1, NULL));
}

void cipher_crypt(struct cipher *cipher, const uint8_t *iv, const uint8_t *in, size_t size,
                  uint8_t *out)
{
    if (cipher->kind == CIPHER_NULL) {
        if (in != out && size) memmove(out, in, size);
        return;
    }
    assert(size % cipher_align(cipher) == 0);
    if (size == 0) return;
    cipher_set_iv(cipher, iv);
    cipher_update(cipher, out, in, size);
}

// What goes in before the data. RFC 4543 3.3: with GMAC the IV and the data in clear are associated
// data too.
static void cipher_begin(struct cipher *cipher, const uint8_t *iv, struct bytes associated,
                         const uint8_t *in, size_t size)
{
    if (cipher->kind == CIPHER_CCM) cipher_update(cipher, NULL, NULL, size);
    if (associated.size) cipher_update(cipher, NULL, associated.at, associated.size);
    if (cipher->kind != CIPHER_GMAC) return;
    cipher_update(cipher, NULL, iv, cipher->info.iv);
    cipher_update(cipher, NULL, in, size);
}

void cipher_seal(struct cipher *cipher, const uint8_t *iv, struct bytes associated,
                 const uint8_t *in, size_t size, uint8_t *out, uint8_t *tag)
{
    int rest;
    cipher_set_iv(cipher, iv);
    cipher_begin(cipher, iv, associated, in, size);
    if (cipher->kind != CIPHER_GMAC)
        cipher_update(cipher, out, in, size);
    else if (in != out)
        memmove(out, in, size);
    crypto_must(EVP_CipherFinal_ex(cipher->ctx, out + size, &rest) == 1 &&
                EVP_CIPHER_CTX_ctrl(cipher->ctx, EVP_CTRL_AEAD_GET_TAG, cipher->info.icv, tag) ==
                    1);
}

// CCM says already when it takes the data whether the tag is right, the others at the end.
static bool cipher_finish(struct cipher *cipher, const uint8_t *in, size_t size, uint8_t *out)
{
    int done, rest;
    if (cipher->kind == CIPHER_CCM)
        return EVP_CipherUpdate(cipher->ctx, out, &done, in, (int)size) == 1;
    if (cipher->kind != CIPHER_GMAC)
        cipher_update(cipher, out, in, size);
    else if (in != out)
        memmove(out, in, size);
    return EVP_CipherFinal_ex(cipher->ctx, out + size, &rest) == 1;
}

bool cipher_open(struct cipher *cipher, const uint8_t *iv, struct bytes associated,
                 const uint8_t *in, size_t size, uint8_t *out, const uint8_t *tag)
{
    uint8_t expected[16]; // OpenSSL only reads it, but its parameter is not const
    memcpy(expected, tag, cipher->info.icv);
    cipher_set_iv(cipher, iv);
    crypto_must(
        EVP_CIPHER_CTX_ctrl(cipher->ctx, EVP_CTRL_AEAD_SET_TAG, cipher->info.icv, expected) == 1);
    cipher_begin(cipher, iv, associated, in, size);
    if (cipher_finish(cipher, in, size, out)) return true;
    ERR_clear_error();
    return false;
}
