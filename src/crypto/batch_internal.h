// SPDX-License-Identifier: Apache-2.0
// What a back end of the data plane's ciphers has to give. batch.c dispatches and makes the IVs,
// the same for all.
#pragma once
#include "crypto/batch.h"
#include "crypto/internal.h"

enum { BATCH_RUN = 64 }; // packets that are worked on at once

// The part of a key that all back ends have, and all that AES-GCM needs besides its schedule: it
// stands in the line in which that ends.
struct batch_key {
    struct batch_backend *backend;
    uint8_t salt[4];
    uint8_t kind : 4; // enum cipher_kind
    uint8_t seal : 1;
    uint8_t kept : 1; // not expanded yet
    uint8_t iv_size, icv_size;
    uint8_t align : 5;
    uint8_t eights : 3; // bytes of an AES-GCM key, by eights
};
_Static_assert(sizeof(struct batch_key) == 16, "a key fits the end of a line");

// Where there may be CBC it begins so.
struct batch_iv_key {
    struct batch_key key;
    EVP_CIPHER_CTX *iv_maker; // CBC, seal: encrypts sequence numbers
};

struct batch_wanted {
    struct batch_key key; // as the new one begins
    uint16_t encr, key_bits, integ;
    uint8_t salt_size;
};

struct batch_ops {
    const char *name;
    enum fault (*key_new)(const struct batch_wanted *wanted, struct bytes encr_key,
                          struct bytes integ_key, struct batch_key **out);
    void (*key_free)(struct batch_key *key);
    bool (*takes)(
        const struct batch_wanted *wanted);        // would key_new? NULL: keys are expanded at once
    uint8_t (*shape)(const struct batch_key *key); // enum batch_shape
    // At most BATCH_RUN packets with `good` set; others in between are left alone.
    void (*seal)(struct batch_key *key, struct batch_packet *packets, size_t count);
    void (*open)(struct batch_key *key, struct batch_packet *packets, size_t count);
    void (*backend_free)(struct batch_backend *backend);
};

struct batch_backend {
    const struct batch_ops *ops;
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

// In a time that depends on the size alone; all ICV sizes are multiples of four.
static inline bool tags_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    uint32_t difference = 0;
    for (size_t i = 0; i < size; i += 4) {
        uint32_t x, y;
        memcpy(&x, a + i, 4);
        memcpy(&y, b + i, 4);
        difference |= x ^ y;
    }
    return difference == 0;
}

struct batch_backend *batch_evp_backend(void);
struct batch_backend *batch_mb_backend(void); // NULL when this machine lacks what it needs
