// SPDX-License-Identifier: Apache-2.0
// Integrity of AH packets: MACs that stand alone, and AES-GMAC, which is GCM over nothing with all
// data associated.
#include "crypto/icv.h"
#include "crypto/internal.h"
#include <assert.h>

enum { GMAC_IV = 8, GMAC_SALT = 4, GMAC_TAG = 16 };

struct icv_key {
    size_t size; // of the field
    struct mac mac;
    EVP_CIPHER_CTX *gmac; // NULL with a MAC
    uint8_t salt[GMAC_SALT];
};

// RFC 4543 5.3: every key size has a number of its own.
static uint16_t gmac_key_bits(uint16_t integ)
{
    switch (integ) {
    case INTEG_AES_128_GMAC:
        return 128;
    case INTEG_AES_192_GMAC:
        return 192;
    case INTEG_AES_256_GMAC:
        return 256;
    default:
        return 0;
    }
}

static enum fault gmac_init(struct icv_key *key, uint16_t bits, struct bytes bytes)
{
    const struct encr_method *method = encr_method(ENCR_AES_GCM_16, bits);
    if (!method) return FAULT_UNSUPPORTED_INTEGRITY;
    EVP_CIPHER_CTX *ctx = key->gmac = EVP_CIPHER_CTX_new();
    crypto_must(ctx && EVP_EncryptInit_ex2(ctx, encr_method_cipher(method), bytes.at, NULL, NULL));
    memcpy(key->salt, bytes.at + bits / 8, GMAC_SALT);
    return OK;
}

enum fault icv_key_new(uint16_t integ, struct bytes bytes, struct icv_key **out)
{
    struct integ_info info;
    uint16_t bits = gmac_key_bits(integ);
    enum mac_kind kind = integ_mac(integ);
    if (integ == INTEG_NONE || !integ_info(integ, &info)) return FAULT_UNSUPPORTED_INTEGRITY;
    if (!bits && (kind == MAC_NONE || !mac_has(kind))) return FAULT_UNSUPPORTED_INTEGRITY;
    if (bytes.size != info.key) return FAULT_KEY_WRONG_SIZE;
    struct icv_key *key = NEW(struct icv_key);
    key->size = bits ? GMAC_IV + GMAC_TAG : info.icv;
    assert(key->size <= ICV_FIELD_MAX);
    enum fault fault = OK;
    if (bits)
        fault = gmac_init(key, bits, bytes);
    else
        mac_init(&key->mac, kind, MAC_MANY, bytes);
    if (fault)
        icv_key_free(key);
    else
        *out = key;
    return fault;
}

void icv_key_free(struct icv_key *key)
{
    if (!key) return;
    EVP_CIPHER_CTX_free(key->gmac);
    mac_wipe(&key->mac);
    memory_wipe(key, sizeof *key);
    free(key);
}

size_t icv_key_size(const struct icv_key *key)
{
    return key->size;
}

// RFC 4543 3.2, 4: the nonce is salt and IV; all that AH protects is associated data.
static void gmac_tag(struct icv_key *key, const uint8_t iv[GMAC_IV], struct bytes_list data,
                     uint8_t tag[GMAC_TAG])
{
    uint8_t nonce[GMAC_SALT + GMAC_IV];
    int done;
    memcpy(nonce, key->salt, GMAC_SALT);
    memcpy(nonce + GMAC_SALT, iv, GMAC_IV);
    crypto_must(EVP_EncryptInit_ex2(key->gmac, NULL, NULL, nonce, NULL) == 1);
    for (size_t i = 0; i < data.count; i++) {
        if (!data.at[i].size) continue;
        assert(data.at[i].size <= INT32_MAX);
        crypto_must(
            EVP_EncryptUpdate(key->gmac, NULL, &done, data.at[i].at, (int)data.at[i].size) == 1);
    }
    crypto_must(EVP_EncryptFinal_ex(key->gmac, tag, &done) == 1 &&
                EVP_CIPHER_CTX_ctrl(key->gmac, EVP_CTRL_AEAD_GET_TAG, GMAC_TAG, tag) == 1);
}

static void mac_tag(struct icv_key *key, struct bytes_list data, uint8_t tag[PRF_OUTPUT_MAX])
{
    mac_begin(&key->mac);
    for (size_t i = 0; i < data.count; i++) mac_add(&key->mac, data.at[i]);
    mac_end(&key->mac, tag);
}

void icv_make(struct icv_key *key, uint64_t sequence, struct bytes_list data,
              uint8_t field[ICV_FIELD_MAX])
{
    uint8_t tag[PRF_OUTPUT_MAX], iv[GMAC_IV];
    for (size_t i = 0; i < GMAC_IV; i++) iv[i] = (uint8_t)(sequence >> (56 - 8 * i));
    if (key->gmac) {
        gmac_tag(key, iv, data, tag); // the field may be part of the data: it is written last
        memcpy(field, iv, GMAC_IV);
        memcpy(field + GMAC_IV, tag, GMAC_TAG);
    } else {
        mac_tag(key, data, tag);
        memcpy(field, tag, key->size);
    }
}

bool icv_right(struct icv_key *key, struct bytes_list data, const uint8_t *field)
{
    uint8_t tag[PRF_OUTPUT_MAX];
    if (key->gmac) {
        gmac_tag(key, field, data, tag);
        return bytes_equal_secret(bytes_of(tag, GMAC_TAG), bytes_of(field + GMAC_IV, GMAC_TAG));
    }
    mac_tag(key, data, tag);
    return bytes_equal_secret(bytes_of(tag, key->size), bytes_of(field, key->size));
}
