// SPDX-License-Identifier: Apache-2.0
// Keyed MACs: HMAC over OpenSSL's digests, and the two AES-CBC-MACs of IPsec, which differ only in
// how three subkeys are made.
//
// HMAC is assembled here out of the digests because OpenSSL's own costs three times as much to set
// up (parameters are parsed and the digest is fetched again for each key), and a handshake computes
// some thirty of them with nearly as many keys.
#include "crypto/internal.h"
#include <assert.h>

static const struct mac_row {
    enum md_id md;
    uint8_t size, block;
} mac_rows[MAC_KIND_COUNT] = {
    [MAC_HMAC_MD5] = {MD_MD5, 16, 64},
    [MAC_HMAC_SHA1] = {MD_SHA1, 20, 64},
    [MAC_HMAC_SHA2_256] = {MD_SHA2_256, 32, 64},
    [MAC_HMAC_SHA2_384] = {MD_SHA2_384, 48, 128},
    [MAC_HMAC_SHA2_512] = {MD_SHA2_512, 64, 128},
    [MAC_AES_XCBC] = {MD_COUNT, 16, 16},
    [MAC_AES_CMAC] = {MD_COUNT, 16, 16},
};

static bool mac_is_hmac(enum mac_kind kind)
{
    return kind >= MAC_HMAC_MD5 && kind <= MAC_HMAC_SHA2_512;
}

bool mac_has(enum mac_kind kind)
{
    if (kind == MAC_NONE) return false;
    return !mac_is_hmac(kind) || crypto_md(mac_rows[kind].md);
}

// RFC 2104 2: a key longer than the digest's block is replaced by its digest; both pads are
// absorbed as a whole block.
static void hmac_key_block(const struct mac_row *row, struct bytes key, uint8_t *block)
{
    unsigned size;
    memset(block, 0, row->block);
    if (key.size > row->block)
        crypto_must(EVP_Digest(key.at, key.size, block, &size, crypto_md(row->md), NULL));
    else if (key.size)
        memcpy(block, key.at, key.size);
}

static EVP_MD_CTX *hmac_half(const struct mac_row *row, const uint8_t *block, uint8_t pad)
{
    uint8_t padded[128];
    for (size_t i = 0; i < row->block; i++) padded[i] = block[i] ^ pad;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    crypto_must(ctx && EVP_DigestInit_ex2(ctx, crypto_md(row->md), NULL) &&
                EVP_DigestUpdate(ctx, padded, row->block));
    memory_wipe(padded, sizeof padded);
    return ctx;
}

static void hmac_init(struct mac *mac, const struct mac_row *row, struct bytes key)
{
    uint8_t block[128];
    hmac_key_block(row, key, block);
    mac->inner = hmac_half(row, block, 0x36);
    mac->outer = hmac_half(row, block, 0x5c);
    memory_wipe(block, sizeof block);
    if (mac->use == MAC_ONCE) return;
    for (size_t i = 0; i < 2; i++) crypto_must((mac->work[i] = EVP_MD_CTX_new()) != NULL);
}

// With MAC_ONCE the keyed context itself takes the data.
static EVP_MD_CTX *hmac_work(struct mac *mac, size_t half)
{
    return mac->use == MAC_ONCE ? (half ? mac->outer : mac->inner) : mac->work[half];
}

static void hmac_end(struct mac *mac, uint8_t *tag)
{
    unsigned size;
    EVP_MD_CTX *outer = hmac_work(mac, 1);
    if (mac->use == MAC_MANY) crypto_must(EVP_MD_CTX_copy_ex(outer, mac->outer));
    crypto_must(EVP_DigestFinal_ex(hmac_work(mac, 0), tag, &size) &&
                EVP_DigestUpdate(outer, tag, size) && EVP_DigestFinal_ex(outer, tag, &size));
}

static EVP_CIPHER_CTX *aes_ctx(const EVP_CIPHER *cipher, const uint8_t key[16])
{
    static const uint8_t zero_iv[16];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    crypto_must(ctx && EVP_EncryptInit_ex2(ctx, cipher, key, zero_iv, NULL) &&
                EVP_CIPHER_CTX_set_padding(ctx, 0));
    return ctx;
}

static void aes_blocks(EVP_CIPHER_CTX *ctx, const uint8_t *in, size_t size, uint8_t *out)
{
    int done;
    crypto_must(EVP_EncryptUpdate(ctx, out, &done, in, (int)size) && done == (int)size);
}

// RFC 3566 4: three keys out of one; the first does the chaining.
static void xcbc_init(struct mac *mac, const uint8_t key[16])
{
    uint8_t in[48], out[48];
    for (size_t i = 0; i < 3; i++) memset(in + 16 * i, (int)i + 1, 16);
    EVP_CIPHER_CTX *ecb = aes_ctx(crypto_aes128_ecb(), key);
    aes_blocks(ecb, in, sizeof in, out);
    EVP_CIPHER_CTX_free(ecb);
    mac->cbc = aes_ctx(crypto_aes128_cbc(), out);
    memcpy(mac->full, out + 16, 16);
    memcpy(mac->padded, out + 32, 16);
    memory_wipe(out, sizeof out);
}

// Times x in the field of RFC 4493 2.3, with no branch on the secret.
static void cmac_double(const uint8_t in[16], uint8_t out[16])
{
    uint8_t carry = (uint8_t)(-(in[0] >> 7) & 0x87);
    for (size_t i = 0; i < 15; i++) out[i] = (uint8_t)(in[i] << 1 | in[i + 1] >> 7);
    out[15] = (uint8_t)(in[15] << 1) ^ carry;
}

static void cmac_init(struct mac *mac, const uint8_t key[16])
{
    static const uint8_t zeros[16];
    uint8_t l[16];
    mac->cbc = aes_ctx(crypto_aes128_cbc(), key);
    aes_blocks(mac->cbc, zeros, 16, l);
    cmac_double(l, mac->full);
    cmac_double(mac->full, mac->padded);
    memory_wipe(l, sizeof l);
}

void mac_init(struct mac *mac, enum mac_kind kind, enum mac_use use, struct bytes key)
{
    assert(mac_has(kind));
    *mac = (struct mac){.kind = kind, .use = use, .size = mac_rows[kind].size};
    if (mac_is_hmac(kind)) {
        hmac_init(mac, &mac_rows[kind], key);
        return;
    }
    assert(key.size == 16);
    if (kind == MAC_AES_XCBC)
        xcbc_init(mac, key.at);
    else
        cmac_init(mac, key.at);
}

void mac_begin(struct mac *mac)
{
    static const uint8_t zero_iv[16];
    if (mac->cbc) {
        mac->held_size = 0;
        crypto_must(EVP_EncryptInit_ex2(mac->cbc, NULL, NULL, zero_iv, NULL));
    } else if (mac->use == MAC_MANY) {
        crypto_must(EVP_MD_CTX_copy_ex(mac->work[0], mac->inner));
    }
}

static void cbc_hold(struct mac *mac, struct bytes *data)
{
    size_t room = sizeof mac->held - mac->held_size, size = data->size < room ? data->size : room;
    memcpy(mac->held + mac->held_size, data->at, size);
    mac->held_size += size;
    *data = bytes_of(data->at + size, data->size - size);
}

// A block is encrypted only when more follows, since the last one is treated differently.
static void cbc_add(struct mac *mac, struct bytes data)
{
    uint8_t scratch[512];
    while (data.size) {
        if (mac->held_size == 0 && data.size > 16) {
            size_t size = (data.size - 1) / 16 * 16;
            if (size > sizeof scratch) size = sizeof scratch;
            aes_blocks(mac->cbc, data.at, size, scratch);
            data = bytes_of(data.at + size, data.size - size);
            continue;
        }
        if (mac->held_size == 16) {
            aes_blocks(mac->cbc, mac->held, 16, scratch);
            mac->held_size = 0;
            continue;
        }
        cbc_hold(mac, &data);
    }
}

void mac_add(struct mac *mac, struct bytes data)
{
    if (data.size == 0) return;
    if (mac->cbc)
        cbc_add(mac, data);
    else
        crypto_must(EVP_DigestUpdate(hmac_work(mac, 0), data.at, data.size));
}

static void cbc_end(struct mac *mac, uint8_t tag[16])
{
    const uint8_t *mask = mac->held_size == 16 ? mac->full : mac->padded;
    if (mac->held_size < 16) {
        memset(mac->held + mac->held_size, 0, 16 - mac->held_size);
        mac->held[mac->held_size] = 0x80;
    }
    for (size_t i = 0; i < 16; i++) mac->held[i] ^= mask[i];
    aes_blocks(mac->cbc, mac->held, 16, tag);
}

void mac_end(struct mac *mac, uint8_t tag[PRF_OUTPUT_MAX])
{
    if (mac->cbc)
        cbc_end(mac, tag);
    else
        hmac_end(mac, tag);
}

void mac_wipe(struct mac *mac)
{
    EVP_MD_CTX_free(mac->inner);
    EVP_MD_CTX_free(mac->outer);
    EVP_MD_CTX_free(mac->work[0]);
    EVP_MD_CTX_free(mac->work[1]);
    EVP_CIPHER_CTX_free(mac->cbc);
    memory_wipe(mac, sizeof *mac);
}
