// SPDX-License-Identifier: Apache-2.0
// ESP transforms with ipsec-mb: a run of packets goes to the library as one burst of jobs and is
// complete when the call returns, so the library's queue is empty between calls and keys may come
// and go. AES-GCM, which does without jobs, has a file of its own (batch_gcm.c).
//
// A key holds what all its packets have in common and, behind that, only as much of key schedules
// as its cipher needs: there may be 200,000 keys. What is not in the tables below is left to the
// other back end.
#include "crypto/batch_mb.h"
#include <assert.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

struct mb_hmac { // the two halves after the key
    alignas(16) uint8_t inner[64];
    alignas(16) uint8_t outer[64];
};

struct mb_aes {
    alignas(16) uint32_t encrypt[60];
    alignas(16) uint32_t decrypt[60];
};

struct mb_key {
    struct batch_iv_key iv;
    uint16_t size;          // of all of this, a multiple of a line
    uint16_t decrypt, hmac; // where these begin in `schedules`; to encrypt: at its start
    uint8_t cipher_mode, hash, direction, order;
    uint8_t cipher_key_size, iv_size;
    bool aead;
    alignas(64) uint8_t schedules[];
};
_Static_assert(offsetof(struct mb_key, schedules) == 64, "a key begins with one cache line");

static inline IMB_MGR *mb_mgr(const struct mb_key *key)
{
    return ((const struct mb_backend *)key->iv.key.backend)->mgr;
}

static inline struct mb_hmac *mb_hmac(const struct mb_key *key)
{
    return (struct mb_hmac *)(uintptr_t)(key->schedules + key->hmac);
}

enum { MB_HASH_BLOCK_MAX = 128 };

static const struct mb_cipher {
    uint16_t encr;
    IMB_CIPHER_MODE mode;
    IMB_HASH_ALG hash; // of an AEAD
} mb_ciphers[] = {
    {ENCR_AES_GCM_16, IMB_CIPHER_GCM, IMB_AUTH_AES_GMAC},
    {ENCR_AES_GCM_12, IMB_CIPHER_GCM, IMB_AUTH_AES_GMAC},
    {ENCR_AES_GCM_8, IMB_CIPHER_GCM, IMB_AUTH_AES_GMAC},
    {ENCR_CHACHA20_POLY1305, IMB_CIPHER_CHACHA20_POLY1305, IMB_AUTH_CHACHA20_POLY1305},
    {ENCR_AES_CBC, IMB_CIPHER_CBC, IMB_AUTH_NULL},
    {ENCR_AES_CTR, IMB_CIPHER_CNTR, IMB_AUTH_NULL},
    {ENCR_NULL, IMB_CIPHER_NULL, IMB_AUTH_NULL},
};

static const struct mb_mac {
    enum mac_kind kind;
    IMB_HASH_ALG hash;
    uint8_t block;
} mb_macs[] = {
    {MAC_HMAC_SHA1, IMB_AUTH_HMAC_SHA_1, 64},
    {MAC_HMAC_SHA2_256, IMB_AUTH_HMAC_SHA_256, 64},
    {MAC_HMAC_SHA2_384, IMB_AUTH_HMAC_SHA_384, 128},
    {MAC_HMAC_SHA2_512, IMB_AUTH_HMAC_SHA_512, 128},
};

static const struct mb_cipher *mb_cipher_of(uint16_t encr)
{
    for (size_t i = 0; i < sizeof mb_ciphers / sizeof mb_ciphers[0]; i++)
        if (mb_ciphers[i].encr == encr) return &mb_ciphers[i];
    return NULL;
}

static const struct mb_mac *mb_mac_of(uint16_t integ)
{
    enum mac_kind kind = integ_mac(integ);
    for (size_t i = 0; i < sizeof mb_macs / sizeof mb_macs[0]; i++)
        if (mb_macs[i].kind == kind) return &mb_macs[i];
    return NULL;
}

// --- keys

static void mb_aes_expand(struct mb_key *key, const uint8_t *bytes, size_t size)
{
    struct mb_aes *aes = (struct mb_aes *)(void *)key->schedules;
    switch (size) {
    case 16:
        IMB_AES_KEYEXP_128(mb_mgr(key), bytes, aes->encrypt, aes->decrypt);
        break;
    case 24:
        IMB_AES_KEYEXP_192(mb_mgr(key), bytes, aes->encrypt, aes->decrypt);
        break;
    default:
        IMB_AES_KEYEXP_256(mb_mgr(key), bytes, aes->encrypt, aes->decrypt);
        break;
    }
    key->decrypt = offsetof(struct mb_aes, decrypt);
}

static void mb_hash_block(IMB_MGR *mgr, IMB_HASH_ALG hash, const uint8_t *block, uint8_t *state)
{
    switch (hash) {
    case IMB_AUTH_HMAC_SHA_1:
        IMB_SHA1_ONE_BLOCK(mgr, block, state);
        break;
    case IMB_AUTH_HMAC_SHA_256:
        IMB_SHA256_ONE_BLOCK(mgr, block, state);
        break;
    case IMB_AUTH_HMAC_SHA_384:
        IMB_SHA384_ONE_BLOCK(mgr, block, state);
        break;
    case IMB_AUTH_HMAC_SHA_512:
        IMB_SHA512_ONE_BLOCK(mgr, block, state);
        break;
    default:
        assert(!"no row of mb_macs");
    }
}

static void mb_hmac_expand(struct mb_key *key, const struct mb_mac *mac, struct bytes bytes)
{
    uint8_t inner[MB_HASH_BLOCK_MAX], outer[MB_HASH_BLOCK_MAX];
    assert(bytes.size <= mac->block);
    memset(inner, 0x36, sizeof inner);
    memset(outer, 0x5c, sizeof outer);
    for (size_t i = 0; i < bytes.size; i++) {
        inner[i] ^= bytes.at[i];
        outer[i] ^= bytes.at[i];
    }
    mb_hash_block(mb_mgr(key), mac->hash, inner, mb_hmac(key)->inner);
    mb_hash_block(mb_mgr(key), mac->hash, outer, mb_hmac(key)->outer);
    memory_wipe(inner, sizeof inner);
    memory_wipe(outer, sizeof outer);
    key->hash = (uint8_t)mac->hash;
}

static void mb_key_expand(struct mb_key *key, const struct mb_cipher *cipher,
                          const struct batch_wanted *wanted, struct bytes encr_key)
{
    size_t size = encr_key.size - wanted->salt_size;
    bool seal = wanted->key.seal;
    key->cipher_mode = (uint8_t)cipher->mode;
    key->hash = (uint8_t)cipher->hash;
    key->aead = wanted->integ == INTEG_NONE;
    key->direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
    key->order = seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    key->cipher_key_size = (uint8_t)size;
    key->iv_size = cipher->mode == IMB_CIPHER_CBC ? 16 : MB_NONCE_SIZE;
    if (cipher->mode == IMB_CIPHER_CBC || cipher->mode == IMB_CIPHER_CNTR)
        mb_aes_expand(key, encr_key.at, size);
    if (cipher->mode == IMB_CIPHER_CHACHA20_POLY1305) memcpy(key->schedules, encr_key.at, size);
}

static size_t mb_schedules_size(IMB_CIPHER_MODE mode)
{
    switch (mode) {
    case IMB_CIPHER_CHACHA20_POLY1305:
        return 32;
    case IMB_CIPHER_NULL:
        return 0;
    default:
        return sizeof(struct mb_aes);
    }
}

static enum fault mb_key_new(const struct batch_wanted *wanted, struct bytes encr_key,
                             struct bytes integ_key, struct batch_key **out)
{
    const struct mb_cipher *cipher = mb_cipher_of(wanted->encr);
    const struct mb_mac *mac = mb_mac_of(wanted->integ);
    if (!cipher || (wanted->integ != INTEG_NONE && !mac)) return FAULT_UNSUPPORTED_CIPHER;
    if (cipher->mode == IMB_CIPHER_GCM) {
        *out = gcm_key_new(wanted, encr_key);
        return OK;
    }
    size_t schedules = mb_schedules_size(cipher->mode);
    size_t size = sizeof(struct mb_key) + schedules + (mac ? sizeof(struct mb_hmac) : 0);
    size = (size + MB_LINE - 1) / MB_LINE * MB_LINE;
    struct mb_key *key = aligned_alloc(MB_LINE, size);
    crypto_must(key != NULL);
    memset(key, 0, size);
    key->iv.key = wanted->key;
    key->size = (uint16_t)size;
    key->hmac = (uint16_t)schedules;
    mb_key_expand(key, cipher, wanted, encr_key);
    if (mac) mb_hmac_expand(key, mac, integ_key);
    *out = &key->iv.key;
    return OK;
}

static bool mb_takes(const struct batch_wanted *wanted)
{
    return mb_cipher_of(wanted->encr) && (wanted->integ == INTEG_NONE || mb_mac_of(wanted->integ));
}

static void mb_key_free(struct batch_key *base)
{
    if (base->kind == CIPHER_GCM) {
        gcm_key_free(base);
        return;
    }
    memory_wipe(base, ((struct mb_key *)base)->size);
    free(base);
}

static uint8_t mb_key_shape(const struct batch_key *base)
{
    if (base->kind == CIPHER_GCM) return gcm_key_shape(base);
    size_t lines = ((const struct mb_key *)base)->size / MB_LINE;
    return (uint8_t)(lines < BATCH_SHAPE_LINES_MAX ? lines : BATCH_SHAPE_LINES_MAX);
}

// --- runs

// Nonce, associated data and tag of each packet of a run.
struct mb_room {
    alignas(64) uint8_t nonce[BATCH_RUN][16];
    uint8_t associated[BATCH_RUN][16];
    uint8_t tag[BATCH_RUN][64];
    uint8_t received[BATCH_RUN][INTEG_TAG_MAX];
};

static inline void mb_nonce(const struct mb_key *key, const struct batch_packet *packet,
                            uint8_t nonce[16])
{
    memcpy(nonce, key->iv.key.salt, 4);
    memcpy(nonce + 4, packet->esp + ESP_HEADER_SIZE, 8);
}

static inline void mb_job_common(const struct mb_key *key, IMB_JOB *job)
{
    job->enc_keys = key->schedules;
    job->dec_keys = key->schedules + key->decrypt;
    job->key_len_in_bytes = key->cipher_key_size;
    job->iv_len_in_bytes = key->iv_size;
    job->auth_tag_output_len_in_bytes = key->iv.key.icv_size;
    job->cipher_mode = key->cipher_mode;
    job->cipher_direction = key->direction;
    job->hash_alg = key->hash;
    job->chain_order = key->order;
}

// Only what an AEAD reads is written, since a job as a whole is four cache lines. Without ESN the
// associated data are the packet's own header.
static inline void mb_job_aead(const struct mb_key *key, const struct batch_packet *packet,
                               IMB_JOB *job, uint8_t *nonce, uint8_t *associated, uint8_t *tag)
{
    uint8_t *payload = packet->esp + ESP_HEADER_SIZE + 8;
    uint64_t associated_size = ESP_HEADER_SIZE;
    if (packet->esn)
        associated_size = batch_associated(packet, associated);
    else
        associated = packet->esp;
    mb_nonce(key, packet, nonce);
    mb_job_common(key, job);
    job->src = payload;
    job->dst = payload;
    job->cipher_start_src_offset_in_bytes = 0;
    job->msg_len_to_cipher_in_bytes = packet->payload_size;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = packet->payload_size;
    job->iv = nonce;
    job->auth_tag_output = tag;
    job->u.CHACHA20_POLY1305.aad = associated;
    job->u.CHACHA20_POLY1305.aad_len_in_bytes = associated_size;
}

// RFC 4303 2.8.1: with ESN the high half of the sequence number is hashed behind the ciphertext; it
// stands for that long where the ICV is, which comes out last.
static inline void mb_job_hmac(const struct mb_key *key, const struct batch_packet *packet,
                               IMB_JOB *job, uint8_t *nonce, uint8_t *tag)
{
    uint8_t *payload = batch_payload(&key->iv.key, packet);
    mb_job_common(key, job);
    job->src = packet->esp;
    job->dst = payload;
    job->cipher_start_src_offset_in_bytes = (uint64_t)(payload - packet->esp);
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_cipher_in_bytes = packet->payload_size;
    job->msg_len_to_hash_in_bytes = (uint64_t)(payload - packet->esp) + packet->payload_size;
    job->iv = packet->esp + ESP_HEADER_SIZE;
    job->auth_tag_output = tag;
    job->u.HMAC._hashed_auth_key_xor_ipad = mb_hmac(key)->inner;
    job->u.HMAC._hashed_auth_key_xor_opad = mb_hmac(key)->outer;
    if (key->cipher_mode == IMB_CIPHER_CNTR) {
        mb_nonce(key, packet, nonce);
        job->iv = nonce;
    }
    if (packet->esn) {
        uint32_t high = __builtin_bswap32(packet->seq_high);
        memcpy(payload + packet->payload_size, &high, 4);
        job->msg_len_to_hash_in_bytes += 4;
    }
}

static void mb_jobs_take(IMB_MGR *mgr, IMB_JOB **jobs, uint32_t count)
{
    uint32_t given = IMB_GET_NEXT_BURST(mgr, count, jobs);
    assert(given == count); // the queue is empty between calls and four times as long as a run
}

static void mb_jobs_run(IMB_MGR *mgr, IMB_JOB **jobs, uint32_t count)
{
    uint32_t done = IMB_SUBMIT_BURST_NOCHECK(mgr, count, jobs);
    while (done < count) {
        uint32_t more = IMB_FLUSH_BURST(mgr, count - done, jobs);
        assert(more);
        done += more;
    }
}

static void mb_seal(struct batch_key *base, struct batch_packet *packets, size_t count)
{
    if (base->kind == CIPHER_GCM) {
        gcm_seal(base, packets, count);
        return;
    }
    struct mb_key *key = (struct mb_key *)base;
    struct mb_room room;
    IMB_JOB *jobs[BATCH_RUN];
    bool aead = key->aead;
    mb_jobs_take(mb_mgr(key), jobs, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        uint8_t *icv = batch_payload(base, &packets[i]) + packets[i].payload_size;
        if (aead)
            mb_job_aead(key, &packets[i], jobs[i], room.nonce[i], room.associated[i], icv);
        else
            mb_job_hmac(key, &packets[i], jobs[i], room.nonce[i], icv);
    }
    mb_jobs_run(mb_mgr(key), jobs, (uint32_t)count);
}

static void mb_open(struct batch_key *base, struct batch_packet *packets, size_t count)
{
    if (base->kind == CIPHER_GCM) {
        gcm_open(base, packets, count);
        return;
    }
    struct mb_key *key = (struct mb_key *)base;
    struct mb_room room;
    IMB_JOB *jobs[BATCH_RUN];
    bool aead = key->aead;
    size_t icv_size = base->icv_size;
    uint32_t wanted = 0, job = 0;
    for (size_t i = 0; i < count; i++) wanted += packets[i].good;
    if (wanted == 0) return;
    mb_jobs_take(mb_mgr(key), jobs, wanted);
    for (size_t i = 0; i < count; i++) {
        if (!packets[i].good) continue;
        const uint8_t *icv = batch_payload(base, &packets[i]) + packets[i].payload_size;
        if (aead) {
            mb_job_aead(key, &packets[i], jobs[job++], room.nonce[i], room.associated[i],
                        room.tag[i]);
            continue;
        }
        memcpy(room.received[i], icv, icv_size); // ESN writes over it
        mb_job_hmac(key, &packets[i], jobs[job++], room.nonce[i], room.tag[i]);
    }
    mb_jobs_run(mb_mgr(key), jobs, wanted);
    for (size_t i = 0; i < count; i++) {
        if (!packets[i].good) continue;
        const uint8_t *icv = batch_payload(base, &packets[i]) + packets[i].payload_size;
        packets[i].good = tags_equal(room.tag[i], aead ? icv : room.received[i], icv_size);
    }
}

static void mb_backend_free(struct batch_backend *backend)
{
    struct mb_backend *mb = (struct mb_backend *)backend;
    gcm_backend_wipe(mb);
    free_mb_mgr(mb->mgr);
    free(mb);
}

static const struct batch_ops mb_ops = {
    .name = "ipsec-mb",
    .key_new = mb_key_new,
    .takes = mb_takes,
    .key_free = mb_key_free,
    .seal = mb_seal,
    .open = mb_open,
    .shape = mb_key_shape,
    .backend_free = mb_backend_free,
};

// Without AES instructions the library only emulates them: OpenSSL does better then. The library
// tests itself when it starts.
struct batch_backend *batch_mb_backend(void)
{
    IMB_ARCH arch = IMB_ARCH_NONE;
    IMB_MGR *mgr = alloc_mb_mgr(0);
    if (!mgr) return NULL;
    init_mb_mgr_auto(mgr, &arch);
    if (arch < IMB_ARCH_SSE || imb_get_errno(mgr)) {
        free_mb_mgr(mgr);
        return NULL;
    }
    struct mb_backend *backend = NEW(struct mb_backend);
    backend->backend.ops = &mb_ops;
    backend->mgr = mgr;
    backend->many_powers = arch == IMB_ARCH_AVX512 && mgr->features & IMB_FEATURE_VAES;
    gcm_backend_init(backend);
    return &backend->backend;
}
