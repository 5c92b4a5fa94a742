// SPDX-License-Identifier: Apache-2.0
// What a back end of the data plane's ciphers has to give. batch.c dispatches and makes the IVs,
// the same for all.
#pragma once
#include "crypto/batch.h"
#include "crypto/internal.h"

enum { BATCH_RUN = 64 }; // packets that are worked on at once

struct batch_ops {
    const char *name;
    enum fault (*key_new)(struct batch_backend *backend, const struct batch_key *wanted,
                          struct bytes encr_key, struct bytes integ_key, struct batch_key **out);
    void (*key_free)(struct batch_key *key);
    bool (*takes)(const struct batch_key *wanted); // would key_new? NULL: keys are expanded at once
    // At most BATCH_RUN packets with `good` set; others in between are left alone.
    void (*seal)(struct batch_key *key, struct batch_packet *packets, size_t count);
    void (*open)(struct batch_key *key, struct batch_packet *packets, size_t count);
    void (*prefetch)(const struct batch_key *key, size_t payload_size);
    void (*backend_free)(struct batch_backend *backend);
};

struct batch_backend {
    const struct batch_ops *ops;
};

// The part of a key that all back ends have, at the start of theirs.
struct batch_key {
    const struct batch_ops *ops;
    struct batch_backend *backend;
    EVP_CIPHER_CTX *iv_maker; // CBC, seal: encrypts sequence numbers
    uint8_t salt[4];
    uint16_t encr, key_bits, integ;
    uint8_t kind; // enum cipher_kind
    bool seal;
    uint8_t salt_size, iv_size, icv_size, align;
};

enum { ESP_HEADER_SIZE = 8, BATCH_AAD_MAX = 12 };
// RFC 4106 5, RFC 4309 5, RFC 7634 2.1: SPI | sequence number, with ESN the whole 64 bits of it.
// Returns its size.
static inline size_t batch_associated(const struct batch_packet *packet, uint8_t out[BATCH_AAD_MAX])
{
    if (!packet->esn) {
        memcpy(out, packet->esp, ESP_HEADER_SIZE);
        return ESP_HEADER_SIZE;
    }
    uint32_t high = __builtin_bswap32(packet->seq_high);
    memcpy(out, packet->esp, 4);
    memcpy(out + 4, &high, 4);
    memcpy(out + 8, packet->esp + 4, 4);
    return BATCH_AAD_MAX;
}

static inline uint8_t *batch_payload(const struct batch_key *key, const struct batch_packet *packet)
{
    return packet->esp + ESP_HEADER_SIZE + key->iv_size;
}

struct batch_backend *batch_evp_backend(void);
struct batch_backend *batch_mb_backend(void); // NULL when this machine lacks what it needs
