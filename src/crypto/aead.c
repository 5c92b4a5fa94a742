// SPDX-License-Identifier: Apache-2.0
// Protection of IKE messages: an AEAD cipher, or a cipher followed by a MAC over everything up to
// the tag.
#include "crypto/internal.h"
#include <assert.h>

static struct encr_info sealer_encr_info(const struct sealer *key)
{
    struct encr_info info = {0};
    bool known = encr_info(key->encr, key->key_bits, &info);
    assert(known);
    return info;
}

size_t sealer_iv_size(const struct sealer *key)
{
    return sealer_encr_info(key).iv;
}

size_t sealer_icv_size(const struct sealer *key)
{
    struct encr_info info = sealer_encr_info(key);
    struct integ_info integ = {0};
    if (info.aead) return info.icv;
    bool known = integ_info(key->integ, &integ);
    assert(known);
    return integ.icv;
}

size_t sealer_block_size(const struct sealer *key)
{
    const struct encr_method *method = encr_method(key->encr, key->key_bits);
    return method && method->kind == CIPHER_CBC ? sealer_encr_info(key).block : 1;
}

// RFC 5282 8: an AEAD comes without an integrity algorithm, any other cipher with one. What does
// not encrypt protects no IKE SA.
static enum fault sealer_check(const struct sealer *key)
{
    const struct encr_method *method = encr_method(key->encr, key->key_bits);
    if (!method || method->kind == CIPHER_NULL || method->kind == CIPHER_GMAC)
        return FAULT_UNSUPPORTED_CIPHER;
    if (method->kind >= CIPHER_GCM)
        return key->integ == INTEG_NONE ? OK : FAULT_UNSUPPORTED_INTEGRITY;
    return crypto_has_integ(key->integ) ? OK : FAULT_UNSUPPORTED_INTEGRITY;
}

// RFC 7296 3.14: the tag covers the whole message before it, the encrypted part included.
static enum fault sealer_tag(const struct sealer *key, struct bytes associated, struct bytes sealed,
                             uint8_t *tag)
{
    return integ_tag(key->integ, key->integ_key, PIECES(associated, sealed), tag);
}

enum fault sealer_seal(const struct sealer *key, struct bytes associated, struct bytes iv,
                       struct bytes plain, uint8_t *out)
{
    struct cipher cipher;
    enum fault fault = OK;
    uint8_t tag[INTEG_TAG_MAX];
    TRY(sealer_check(key));
    assert(iv.size == sealer_iv_size(key) && plain.size &&
           plain.size % sealer_block_size(key) == 0);
    TRY(cipher_init(&cipher, key->encr, key->key_bits, key->encr_key, CIPHER_SEAL));
    memcpy(out, iv.at, iv.size);
    uint8_t *data = out + iv.size;
    if (cipher.info.aead) {
        cipher_seal(&cipher, out, associated, plain.at, plain.size, data, tag);
    } else {
        cipher_crypt(&cipher, out, plain.at, plain.size, data);
        fault = sealer_tag(key, associated, bytes_of(out, iv.size + plain.size), tag);
    }
    cipher_wipe(&cipher);
    if (!fault) memcpy(data + plain.size, tag, sealer_icv_size(key));
    return fault;
}

static enum fault sealer_open_data(struct cipher *cipher, const struct sealer *key,
                                   struct bytes associated, struct bytes sealed, size_t icv_size,
                                   uint8_t *plain)
{
    struct bytes before_tag = bytes_of(sealed.at, sealed.size - icv_size);
    const uint8_t *data = sealed.at + cipher->info.iv, *icv = sealed.at + before_tag.size;
    size_t size = before_tag.size - cipher->info.iv;
    if (cipher->info.aead) {
        if (cipher_open(cipher, sealed.at, associated, data, size, plain, icv)) return OK;
        memory_wipe(plain, size); // what is not genuine is not shown to anybody
        return FAULT_ICV_WRONG;
    }
    uint8_t tag[INTEG_TAG_MAX];
    TRY(sealer_tag(key, associated, before_tag, tag));
    if (!bytes_equal_secret(bytes_of(tag, icv_size), bytes_of(icv, icv_size)))
        return FAULT_ICV_WRONG;
    cipher_crypt(cipher, sealed.at, data, size, plain);
    return OK;
}

// RFC 7296 3.14: there is at least the pad length inside, and whole blocks of a block cipher.
enum fault sealer_open(const struct sealer *key, struct bytes associated, struct bytes sealed,
                       uint8_t *plain, size_t *plain_size)
{
    TRY(sealer_check(key));
    size_t around = sealer_iv_size(key) + sealer_icv_size(key);
    if (sealed.size <= around || (sealed.size - around) % sealer_block_size(key))
        return FAULT_SEALED_WRONG_SIZE;
    struct cipher cipher;
    TRY(cipher_init(&cipher, key->encr, key->key_bits, key->encr_key, CIPHER_OPEN));
    enum fault fault =
        sealer_open_data(&cipher, key, associated, sealed, sealer_icv_size(key), plain);
    cipher_wipe(&cipher);
    if (!fault) *plain_size = sealed.size - around;
    return fault;
}
