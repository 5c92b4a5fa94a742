// SPDX-License-Identifier: Apache-2.0
// What the two files share that use ipsec-mb: batch_mb.c gives it bursts of jobs, batch_gcm.c calls
// its AES-GCM for one packet after the other, which needs no jobs.
#pragma once
#define NO_COMPAT_IMB_API_053
#include "base/pages.h"
#include "crypto/batch_internal.h"
#include <intel-ipsec-mb.h>

enum { MB_NONCE_SIZE = 12, MB_LINE = 64, MB_GCM_SIZES = 3 };

struct mb_backend {
    struct batch_backend backend;
    IMB_MGR *mgr;
    bool many_powers; // GCM with VAES and AVX-512: 48 powers of the hash key in a schedule
    struct mb_gcm {   // by size of the key
        aes_gcm_pre_t expand;
        aes_gcm_enc_dec_t seal, open;
    } gcm[MB_GCM_SIZES];
    struct slab gcm_keys;
    struct gcm_context_data scratch;
};

// --- batch_gcm.c
void gcm_backend_init(struct mb_backend *backend);
void gcm_backend_wipe(struct mb_backend *backend);
struct batch_key *gcm_key_new(const struct batch_wanted *wanted, struct bytes encr_key);
void gcm_key_free(struct batch_key *key);
uint8_t gcm_key_shape(const struct batch_key *key);
void gcm_seal(struct batch_key *key, struct batch_packet *packets, size_t count);
void gcm_open(struct batch_key *key, struct batch_packet *packets, size_t count);
