// SPDX-License-Identifier: Apache-2.0
// AES-GCM with ipsec-mb. One packet keeps all lanes of the processor busy, so packets are done one
// after the other and jobs would only be written and read.
//
// A machine may have 200,000 keys that are used at random. Then what a packet costs is how many
// cache lines it needs from memory, so a key is laid out for that:
//
//   | round keys, 11 to 15 | powers of the hash key, H^48 … H^2 H^1 | struct batch_key |
//   0                     240                                     1008              1024
//
// A short packet reads three or four lines at the beginning, and at the end one for every four
// blocks; the last of them has the salt, too.
#include "crypto/batch_mb.h"
#include <assert.h>
#include <stddef.h>

enum {
    GCM_END =
        offsetof(struct gcm_key_data, ghash_keys) + sizeof(((struct gcm_key_data *)0)->ghash_keys),
    GCM_KEY_SIZE = GCM_END + sizeof(struct batch_key),
    GCM_ICV_MAX = 16,
};
_Static_assert(GCM_END % 16 == 0, "what all keys have is aligned behind the schedule");
static inline struct gcm_key_data *gcm_schedule(const struct batch_key *key)
{
    return (struct gcm_key_data *)((uintptr_t)key - GCM_END);
}

static inline struct mb_backend *gcm_backend(const struct batch_key *key)
{
    return (struct mb_backend *)key->backend;
}

static inline const struct mb_gcm *gcm_of(const struct batch_key *key)
{
    return &gcm_backend(key)->gcm[key->eights - 2];
}

void gcm_backend_init(struct mb_backend *backend)
{
    IMB_MGR *mgr = backend->mgr;
    backend->gcm[0] = (struct mb_gcm){mgr->gcm128_pre, mgr->gcm128_enc, mgr->gcm128_dec};
    backend->gcm[1] = (struct mb_gcm){mgr->gcm192_pre, mgr->gcm192_enc, mgr->gcm192_dec};
    backend->gcm[2] = (struct mb_gcm){mgr->gcm256_pre, mgr->gcm256_enc, mgr->gcm256_dec};
    slab_init(&backend->gcm_keys, GCM_KEY_SIZE);
}

void gcm_backend_wipe(struct mb_backend *backend)
{
    memory_wipe(&backend->scratch, sizeof backend->scratch);
    slab_wipe(&backend->gcm_keys);
}

struct batch_key *gcm_key_new(const struct batch_wanted *wanted, struct bytes encr_key)
{
    size_t size = encr_key.size - wanted->salt_size;
    struct mb_backend *backend = (struct mb_backend *)wanted->key.backend;
    uint8_t *at = slab_take(&backend->gcm_keys);
    struct batch_key *key = (struct batch_key *)(void *)(at + GCM_END);
    *key = wanted->key;
    assert(size == 16 || size == 24 || size == 32);
    key->eights = (size / 8) & 7;
    gcm_of(key)->expand(encr_key.at, gcm_schedule(key));
    return key;
}

void gcm_key_free(struct batch_key *key)
{
    struct slab *slab = &gcm_backend(key)->gcm_keys;
    void *at = gcm_schedule(key);
    memory_wipe(at, GCM_KEY_SIZE);
    slab_give(slab, at);
}

uint8_t gcm_key_shape(const struct batch_key *key)
{
    if ((size_t)GCM_END != BATCH_GCM_SCHEDULE) return 1;
    if (!gcm_backend(key)->many_powers) return BATCH_SHAPE_BEFORE;
    return key->eights == 2 ? BATCH_SHAPE_GCM_3 : BATCH_SHAPE_GCM_4;
}

// RFC 4106 4: the nonce is salt and IV. It is written in one piece, since it is read in one.
static inline void gcm_nonce(const struct batch_key *key, const struct batch_packet *packet,
                             uint8_t nonce[16])
{
    typedef uint32_t words __attribute__((vector_size(16)));
    uint32_t salt, iv[2];
    memcpy(&salt, key->salt, 4);
    memcpy(iv, packet->esp + ESP_HEADER_SIZE, 8);
    words all = {salt, iv[0], iv[1], 0};
    memcpy(nonce, &all, sizeof all);
}

// Without ESN the associated data are the packet's own header.
static inline void gcm_run(aes_gcm_enc_dec_t run, struct batch_key *key,
                           const struct batch_packet *packet, uint8_t *tag, size_t tag_size)
{
    uint8_t nonce[16], room[BATCH_AAD_MAX], *payload = packet->esp + ESP_HEADER_SIZE + 8;
    const uint8_t *associated = packet->esp;
    size_t associated_size = ESP_HEADER_SIZE;
    if (packet->esn) {
        associated_size = batch_associated(packet, room);
        associated = room;
    }
    gcm_nonce(key, packet, nonce);
    run(gcm_schedule(key), &gcm_backend(key)->scratch, payload, payload, packet->payload_size,
        nonce, associated, associated_size, tag, tag_size);
}

void gcm_seal(struct batch_key *key, struct batch_packet *packets, size_t count)
{
    aes_gcm_enc_dec_t seal = gcm_of(key)->seal;
    for (size_t i = 0; i < count; i++) {
        uint8_t *icv = packets[i].esp + ESP_HEADER_SIZE + 8 + packets[i].payload_size;
        gcm_run(seal, key, &packets[i], icv, key->icv_size);
    }
}

void gcm_open(struct batch_key *key, struct batch_packet *packets, size_t count)
{
    aes_gcm_enc_dec_t open = gcm_of(key)->open;
    for (size_t i = 0; i < count; i++) {
        if (!packets[i].good) continue;
        uint8_t tag[GCM_ICV_MAX];
        gcm_run(open, key, &packets[i], tag, key->icv_size);
        const uint8_t *icv = packets[i].esp + ESP_HEADER_SIZE + 8 + packets[i].payload_size;
        packets[i].good = tags_equal(tag, icv, key->icv_size);
    }
}
