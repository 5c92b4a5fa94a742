// SPDX-License-Identifier: Apache-2.0
// ESP transforms over arrays of packets: the one interface of the data plane to cryptography, with two implementations,
// batch_mb (ipsec-mb bursts: the fast path on x86-64) and batch_evp (OpenSSL: portable, and the oracle in tests).
// One call serves a run of packets of one key. Nothing here allocates once the key is made.
#pragma once
#include "base/fault.h"
#include "base/secret.h"
#include "model/proposal.h"

enum batch_kind { BATCH_EVP = 1, BATCH_MB };

struct batch_backend;  // one a thread: holds the multi-buffer manager or EVP contexts
struct batch_key;      // expanded key of one SA and direction; used by the thread that made it

// NULL when the kind is not built in or the machine lacks it. BATCH_EVP never fails.
struct batch_backend *batch_backend_new(enum batch_kind kind);
struct batch_backend *batch_backend_best(void);
const char *batch_backend_name(const struct batch_backend *backend);
void batch_backend_free(struct batch_backend *backend);

// encr_key with salt at its end, as KEYMAT gives it (RFC 4106 8.1, RFC 3686 5.1, RFC 7634 2). FAULT_UNSUPPORTED_CIPHER if the back end
// lacks the pair.
CHECKED enum fault batch_key_new(struct batch_backend *backend, uint16_t encr, uint16_t key_bits, uint16_t integ,
                                 struct bytes encr_key, struct bytes integ_key, bool seal, struct batch_key **out);
// The same, but expanded when it is first asked for: an expanded key takes up to 2 KB, and many SAs are idle. *out is good for nothing but
// batch_key_expanded(), the questions for sizes, and batch_key_free().
CHECKED enum fault batch_key_keep(struct batch_backend *backend, uint16_t encr, uint16_t key_bits, uint16_t integ,
                                  struct bytes encr_key, struct bytes integ_key, bool seal, struct batch_key **out);
struct batch_key *batch_key_expanded(struct batch_key *kept);   // takes it; as it is when that has been done already
void batch_key_free(struct batch_key *key);

// One packet as ESP lays it out in memory:  header (SPI, sequence) | IV | payload … padding, next header | ICV
// With ESN and an AEAD the associated data are SPI | seq_high | seq_low (RFC 4106 5); with an HMAC seq_high follows what is
// authenticated (RFC 4303 2.8.1). `esn` says which; the caller sets all fields, the batch the IV (only for seal), payload and ICV.
struct batch_packet {
    uint8_t *esp;          // start of the ESP header
    uint32_t payload_size; // bytes between IV and ICV, a multiple of the block size
    uint32_t seq_high;
    bool esn;
    bool good;             // open: was the ICV right? seal: done
};
// For counter modes and AEADs the IV is the 64-bit sequence number (unique by construction, RFC 4106 3.1); for CBC it is made of
// the sequence number encrypted under a per-SA key (unpredictable, RFC 3602 3).
void batch_seal(struct batch_key *key, struct batch_packet *packets, size_t count);
// Decrypts in place. A packet that is not good holds nothing to be used: its payload and ICV may have been written over.
void batch_open(struct batch_key *key, struct batch_packet *packets, size_t count);

// Where a key is and how much of it sealing and opening will read, so that the memory can be asked for it ahead of time
// without looking at the key itself: its address with a shape in the lowest bits. 0: there is nothing to be asked for. It stays
// the same as long as the key does.
typedef uintptr_t batch_near;
enum batch_shape {
    BATCH_SHAPE_LINES_MAX = 12, // so many lines from the key on, at least one
    BATCH_SHAPE_BEFORE,         // lines before it
    BATCH_SHAPE_GCM_3,          // round keys in three lines, then powers for so many blocks as there are, up to the key
    BATCH_SHAPE_GCM_4,
    BATCH_SHAPE_MASK = 15,
};
enum { BATCH_GCM_SCHEDULE = 1008 }; // bytes before the key
batch_near batch_key_near(const struct batch_key *key);

// For a packet that comes. The compiler drops calls of functions that only prefetch: this one must not be called.
__attribute__((always_inline)) static inline void batch_prefetch(batch_near near, size_t payload_size)
{
    enum { LINE = 64, BLOCK = 16, BLOCKS_AROUND = 3, POWERS = 48, ALL = 8 };
    unsigned shape = near & BATCH_SHAPE_MASK;
    const char *at = (const char *)(near - shape), *end = at + 1;
    if (shape <= BATCH_SHAPE_LINES_MAX) {
        end = at + (size_t)shape * LINE;
    } else {
        const char *start = at - BATCH_GCM_SCHEDULE;
        unsigned round_keys = shape == BATCH_SHAPE_BEFORE ? ALL : shape == BATCH_SHAPE_GCM_3 ? 3 : 4;
        size_t blocks = payload_size / BLOCK + BLOCKS_AROUND;
        for (unsigned i = 0; i < round_keys; i++) __builtin_prefetch(start + i * LINE);
        if (shape != BATCH_SHAPE_BEFORE) at -= (blocks < POWERS ? blocks : POWERS) * BLOCK;
        at = (const char *)((uintptr_t)at & ~(uintptr_t)(LINE - 1));
    }
    for (; at < end; at += LINE) __builtin_prefetch(at);
}

size_t batch_key_iv_size(const struct batch_key *key);
size_t batch_key_icv_size(const struct batch_key *key);
size_t batch_key_align(const struct batch_key *key);   // payload is padded to a multiple of this (at least 4, RFC 4303 2.4)
