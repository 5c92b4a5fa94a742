// SPDX-License-Identifier: Apache-2.0
// The data plane's ciphers: choice of the back end, checks that are the same for all, and IVs.
#include "crypto/batch_internal.h"
#include <assert.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "IVs are written with a byte swap");

struct batch_backend *batch_backend_new(enum batch_kind kind)
{
    switch (kind) {
    case BATCH_EVP:
        return batch_evp_backend();
#ifdef HAVE_IPSEC_MB
    case BATCH_MB:
        return batch_mb_backend();
#else
    case BATCH_MB:
        return NULL;
#endif
    }
    return NULL;
}

struct batch_backend *batch_backend_best(void)
{
    struct batch_backend *backend = batch_backend_new(BATCH_MB);
    return backend ? backend : batch_backend_new(BATCH_EVP);
}

const char *batch_backend_name(const struct batch_backend *backend)
{
    return backend->ops->name;
}

void batch_backend_free(struct batch_backend *backend)
{
    if (backend) backend->ops->backend_free(backend);
}

// RFC 3602 3: an IV of CBC must not be known before its packet. The sequence number, encrypted
// under a key that nobody else has, is not; that key comes from the cipher's own by a one-way step,
// so nothing more needs to be agreed or drawn.
static EVP_CIPHER_CTX *iv_maker_new(struct bytes encr_key)
{
    uint8_t hash[DIGEST_MAX];
    size_t size;
    crypto_must(digest(HASH_SHA2_256, PIECES(BYTES("ESP CBC IV"), encr_key), hash, &size) == OK);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    crypto_must(ctx && EVP_EncryptInit_ex2(ctx, crypto_aes128_ecb(), hash, NULL, NULL) &&
                EVP_CIPHER_CTX_set_padding(ctx, 0));
    memory_wipe(hash, sizeof hash);
    return ctx;
}

// RFC 4303 2: integrity comes from the AEAD, or from an algorithm of its own; there is no ESP
// without.
static enum fault key_sizes(struct batch_wanted *wanted, const struct encr_method *method)
{
    struct encr_info encr;
    struct integ_info integ = {0};
    if (!method || !encr_info(wanted->encr, wanted->key_bits, &encr))
        return FAULT_UNSUPPORTED_CIPHER;
    bool aead = method->kind >= CIPHER_GCM;
    if (aead != (wanted->integ == INTEG_NONE)) return FAULT_UNSUPPORTED_INTEGRITY;
    if (!aead && (!crypto_has_integ(wanted->integ) || !integ_info(wanted->integ, &integ)))
        return FAULT_UNSUPPORTED_INTEGRITY;
    size_t block = method->kind == CIPHER_CBC ? encr.block : 1;
    struct batch_key *key = &wanted->key;
    key->kind = method->kind & 15;
    key->iv_size = (uint8_t)encr.iv;
    key->icv_size = (uint8_t)(aead ? encr.icv : integ.icv);
    key->align = (block > 4 ? block : 4) & 31;
    wanted->salt_size = (uint8_t)encr.salt;
    return OK;
}

static enum fault key_check(const struct batch_wanted *wanted, struct bytes encr_key,
                            struct bytes integ_key)
{
    struct encr_info encr = {0};
    struct integ_info integ = {0};
    bool known = encr_info(wanted->encr, wanted->key_bits, &encr);
    if (wanted->integ != INTEG_NONE) known = known && integ_info(wanted->integ, &integ);
    assert(known);
    bool right = encr_key.size == (size_t)encr.key + encr.salt && integ_key.size == integ.key;
    return right ? OK : FAULT_KEY_WRONG_SIZE;
}

static enum fault key_want(struct batch_wanted *wanted, struct bytes encr_key,
                           struct bytes integ_key)
{
    struct batch_key *key = &wanted->key;
    TRY(key_sizes(wanted, encr_method(wanted->encr, wanted->key_bits)));
    TRY(key_check(wanted, encr_key, integ_key));
    assert(wanted->salt_size <= sizeof key->salt);
    if (wanted->salt_size)
        memcpy(key->salt, encr_key.at + encr_key.size - wanted->salt_size, wanted->salt_size);
    return OK;
}

static struct batch_wanted wanted_of(struct batch_backend *backend, uint16_t encr,
                                     uint16_t key_bits, uint16_t integ, bool seal)
{
    return (struct batch_wanted){.key.backend = backend,
                                 .key.seal = seal,
                                 .encr = encr,
                                 .key_bits = key_bits,
                                 .integ = integ};
}

static enum fault key_expand(const struct batch_wanted *wanted, struct bytes encr_key,
                             struct bytes integ_key, struct batch_key **out)
{
    TRY(wanted->key.backend->ops->key_new(wanted, encr_key, integ_key, out));
    if (wanted->key.seal && wanted->key.kind == CIPHER_CBC)
        ((struct batch_iv_key *)*out)->iv_maker = iv_maker_new(encr_key);
    return OK;
}

enum fault batch_key_new(struct batch_backend *backend, uint16_t encr, uint16_t key_bits,
                         uint16_t integ, struct bytes encr_key, struct bytes integ_key, bool seal,
                         struct batch_key **out)
{
    struct batch_wanted wanted = wanted_of(backend, encr, key_bits, integ, seal);
    TRY(key_want(&wanted, encr_key, integ_key));
    return key_expand(&wanted, encr_key, integ_key, out);
}

// --- keys that are not expanded yet

struct kept_key {
    struct batch_key key;
    struct batch_wanted wanted;
    uint8_t encr_size, integ_size;
    uint8_t at[];
};

static void kept_free(struct kept_key *kept)
{
    memory_wipe(kept, sizeof *kept + kept->encr_size + kept->integ_size);
    free(kept);
}

enum fault batch_key_keep(struct batch_backend *backend, uint16_t encr, uint16_t key_bits,
                          uint16_t integ, struct bytes encr_key, struct bytes integ_key, bool seal,
                          struct batch_key **out)
{
    struct batch_wanted wanted = wanted_of(backend, encr, key_bits, integ, seal);
    TRY(key_want(&wanted, encr_key, integ_key));
    if (!backend->ops->takes) return key_expand(&wanted, encr_key, integ_key, out);
    if (!backend->ops->takes(&wanted)) return FAULT_UNSUPPORTED_CIPHER;
    struct kept_key *kept = mem_new(sizeof *kept + encr_key.size + integ_key.size);
    kept->wanted = wanted;
    kept->key = wanted.key;
    kept->key.kept = true;
    kept->encr_size = (uint8_t)encr_key.size;
    kept->integ_size = (uint8_t)integ_key.size;
    memcpy(kept->at, encr_key.at, encr_key.size);
    if (integ_key.size) memcpy(kept->at + encr_key.size, integ_key.at, integ_key.size);
    *out = &kept->key;
    return OK;
}

struct batch_key *batch_key_expanded(struct batch_key *key)
{
    if (!key->kept) return key;
    struct kept_key *kept = (struct kept_key *)key;
    struct batch_key *expanded;
    enum fault fault = key_expand(&kept->wanted, bytes_of(kept->at, kept->encr_size),
                                  bytes_of(kept->at + kept->encr_size, kept->integ_size), &expanded);
    crypto_must(fault == OK);
    kept_free(kept);
    return expanded;
}

void batch_key_free(struct batch_key *key)
{
    if (!key) return;
    if (key->kept) {
        kept_free((struct kept_key *)key);
        return;
    }
    if (key->kind == CIPHER_CBC) EVP_CIPHER_CTX_free(((struct batch_iv_key *)key)->iv_maker);
    key->backend->ops->key_free(key);
}

size_t batch_key_iv_size(const struct batch_key *key)
{
    return key->iv_size;
}

size_t batch_key_icv_size(const struct batch_key *key)
{
    return key->icv_size;
}

size_t batch_key_align(const struct batch_key *key)
{
    return key->align;
}

batch_near batch_key_near(const struct batch_key *key)
{
    if (key->kept) return 0;
    assert(((uintptr_t)key & BATCH_SHAPE_MASK) == 0);
    return (uintptr_t)key | key->backend->ops->shape(key);
}

// In one piece: whoever reads it back at once would have to wait for several.
static inline void sequence_write(const struct batch_packet *packet, uint8_t *out)
{
    uint32_t high = packet->esn ? __builtin_bswap32(packet->seq_high) : 0, low;
    memcpy(&low, packet->esp + 4, 4);
    uint64_t sequence = (uint64_t)low << 32 | high;
    memcpy(out, &sequence, 8);
}

// RFC 4106 3.1, RFC 3686 3.1, RFC 7634 2: the IV of a counter mode has only to be new, which a
// sequence number is.
static void ivs_write_counter(struct batch_packet *packets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sequence_write(&packets[i], packets[i].esp + ESP_HEADER_SIZE);
}

static void ivs_write_cbc(struct batch_key *key, struct batch_packet *packets, size_t count)
{
    EVP_CIPHER_CTX *maker = ((struct batch_iv_key *)key)->iv_maker;
    uint8_t blocks[BATCH_RUN * 16] = {0};
    int done;
    for (size_t i = 0; i < count; i++) {
        memset(blocks + 16 * i, 0, 8);
        sequence_write(&packets[i], blocks + 16 * i + 8);
    }
    crypto_must(EVP_EncryptUpdate(maker, blocks, &done, blocks, (int)(16 * count)) == 1);
    for (size_t i = 0; i < count; i++)
        memcpy(packets[i].esp + ESP_HEADER_SIZE, blocks + 16 * i, key->iv_size);
}

static inline bool payload_fits(const struct batch_key *key, const struct batch_packet *packet)
{
    return packet->payload_size && (packet->payload_size & (key->align - 1u)) == 0;
}

void batch_seal(struct batch_key *key, struct batch_packet *packets, size_t count)
{
    assert(key->seal);
    for (size_t start = 0, run; start < count; start += run) {
        run = count - start < BATCH_RUN ? count - start : BATCH_RUN;
        struct batch_packet *at = packets + start;
        for (size_t i = 0; i < run; i++) {
            assert(payload_fits(key, &at[i]));
            at[i].good = true;
        }
        if (key->kind == CIPHER_CBC)
            ivs_write_cbc(key, at, run);
        else if (key->iv_size)
            ivs_write_counter(at, run);
        key->backend->ops->seal(key, at, run);
    }
}

// RFC 4303 3.4.4: a payload that is no whole number of blocks cannot come from this cipher.
void batch_open(struct batch_key *key, struct batch_packet *packets, size_t count)
{
    assert(!key->seal);
    for (size_t start = 0, run; start < count; start += run) {
        run = count - start < BATCH_RUN ? count - start : BATCH_RUN;
        struct batch_packet *at = packets + start;
        for (size_t i = 0; i < run; i++)
            at[i].good = payload_fits(key, &at[i]);
        key->backend->ops->open(key, at, run);
    }
}
