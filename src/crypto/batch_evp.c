// SPDX-License-Identifier: Apache-2.0
// ESP transforms with OpenSSL: one context a key, initialised once; a packet changes the IV only.
#include "crypto/batch_internal.h"

struct evp_key {
    struct batch_iv_key iv;
    struct cipher cipher;
    struct mac mac;
    bool aead;
};

static inline const struct batch_key *evp_base(const struct evp_key *key)
{
    return &key->iv.key;
}

static const struct batch_ops evp_ops;

static enum fault evp_key_new(const struct batch_wanted *wanted, struct bytes encr_key,
                              struct bytes integ_key, struct batch_key **out)
{
    struct cipher cipher;
    enum cipher_way way = wanted->key.seal ? CIPHER_SEAL : CIPHER_OPEN;
    TRY(cipher_init(&cipher, wanted->encr, wanted->key_bits, encr_key, way));
    struct evp_key *key = NEW(struct evp_key);
    key->iv.key = wanted->key;
    key->aead = wanted->integ == INTEG_NONE;
    key->cipher = cipher;
    if (wanted->integ != INTEG_NONE)
        mac_init(&key->mac, integ_mac(wanted->integ), MAC_MANY, integ_key);
    memory_wipe(&cipher, sizeof cipher);
    *out = &key->iv.key;
    return OK;
}

static void evp_key_free(struct batch_key *base)
{
    struct evp_key *key = (struct evp_key *)base;
    cipher_wipe(&key->cipher);
    mac_wipe(&key->mac);
    memory_wipe(key, sizeof *key);
    free(key);
}

// RFC 4303 2.8.1: header, IV and ciphertext, and with ESN the high half of the sequence number,
// which is not sent.
static void evp_tag(struct evp_key *key, const struct batch_packet *packet,
                    uint8_t tag[PRF_OUTPUT_MAX])
{
    uint32_t high = __builtin_bswap32(packet->seq_high);
    size_t size = ESP_HEADER_SIZE + evp_base(key)->iv_size + (size_t)packet->payload_size;
    mac_begin(&key->mac);
    mac_add(&key->mac, bytes_of(packet->esp, size));
    if (packet->esn) mac_add(&key->mac, bytes_of(&high, 4));
    mac_end(&key->mac, tag);
}

static void evp_seal_one(struct evp_key *key, const struct batch_packet *packet)
{
    uint8_t associated[BATCH_AAD_MAX], tag[PRF_OUTPUT_MAX];
    uint8_t *iv = packet->esp + ESP_HEADER_SIZE, *payload = batch_payload(evp_base(key), packet);
    uint8_t *icv = payload + packet->payload_size;
    if (key->aead) {
        struct bytes aad = bytes_of(associated, batch_associated(packet, associated));
        cipher_seal(&key->cipher, iv, aad, payload, packet->payload_size, payload, icv);
        return;
    }
    cipher_crypt(&key->cipher, iv, payload, packet->payload_size, payload);
    evp_tag(key, packet, tag);
    memcpy(icv, tag, evp_base(key)->icv_size);
}

static bool evp_open_one(struct evp_key *key, const struct batch_packet *packet)
{
    uint8_t associated[BATCH_AAD_MAX], tag[PRF_OUTPUT_MAX];
    uint8_t *iv = packet->esp + ESP_HEADER_SIZE, *payload = batch_payload(evp_base(key), packet);
    uint8_t *icv = payload + packet->payload_size;
    if (key->aead) {
        struct bytes aad = bytes_of(associated, batch_associated(packet, associated));
        return cipher_open(&key->cipher, iv, aad, payload, packet->payload_size, payload, icv);
    }
    evp_tag(key, packet, tag);
    if (!bytes_equal_secret(bytes_of(tag, evp_base(key)->icv_size), bytes_of(icv, evp_base(key)->icv_size)))
        return false;
    cipher_crypt(&key->cipher, iv, payload, packet->payload_size, payload);
    return true;
}

static void evp_seal(struct batch_key *base, struct batch_packet *packets, size_t count)
{
    for (size_t i = 0; i < count; i++) evp_seal_one((struct evp_key *)base, &packets[i]);
}

static void evp_open(struct batch_key *base, struct batch_packet *packets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (packets[i].good) packets[i].good = evp_open_one((struct evp_key *)base, &packets[i]);
}

// What lies behind a context is OpenSSL's own.
static uint8_t evp_shape(const struct batch_key *key)
{
    (void)key;
    return 1;
}

static void evp_backend_free(struct batch_backend *backend)
{
    free(backend);
}

static const struct batch_ops evp_ops = {
    .name = "openssl",
    .key_new = evp_key_new,
    .key_free = evp_key_free,
    .seal = evp_seal,
    .open = evp_open,
    .shape = evp_shape,
    .backend_free = evp_backend_free,
};

struct batch_backend *batch_evp_backend(void)
{
    struct batch_backend *backend = NEW(struct batch_backend);
    backend->ops = &evp_ops;
    return backend;
}
