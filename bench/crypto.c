// SPDX-License-Identifier: Apache-2.0
// What cryptography costs on one core: nanoseconds a packet for both back ends, beside ipsec-mb
// called bare; microseconds an operation of the control plane. Medians of several rounds; compare
// within one run only.
#include "crypto/crypto.h"
#include "crypto/batch.h"
#include "crypto/sig.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#ifdef HAVE_IPSEC_MB
#define NO_COMPAT_IMB_API_053
#include <intel-ipsec-mb.h>
#endif

enum { BURST = 32, PACKETS = 64, ROOM = 2048, ROUNDS = 9 };

static uint8_t space[PACKETS][ROOM];

static double now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Calls run(of, count) so often that a round takes some milliseconds; gives the median of ns per
// unit of count.
static double measure(void (*run)(void *of, size_t count), void *of)
{
    double rounds[ROUNDS], start = now_ns();
    run(of, BURST);
    double once = now_ns() - start;
    size_t count = (size_t)(4e6 / (once / BURST) / BURST + 1) * BURST;
    for (size_t i = 0; i < ROUNDS; i++) {
        start = now_ns();
        run(of, count);
        rounds[i] = (now_ns() - start) / (double)count;
    }
    qsort(rounds, ROUNDS, sizeof rounds[0], by_size);
    return rounds[ROUNDS / 2];
}

struct job {
    struct batch_key *seal, *open;
    uint32_t size;
};

static void packets_set(struct batch_packet *packets, size_t first, uint32_t size)
{
    for (size_t i = 0; i < BURST; i++) {
        packets[i] =
            (struct batch_packet){.esp = space[(first + i) % PACKETS], .payload_size = size};
        uint32_t sequence = (uint32_t)(first + i);
        memcpy(packets[i].esp + 4, &sequence, 4);
    }
}

static void run_seal(void *of, size_t count)
{
    struct job *job = of;
    struct batch_packet packets[BURST];
    for (size_t i = 0; i < count; i += BURST) {
        packets_set(packets, i, job->size);
        batch_seal(job->seal, packets, BURST);
    }
}

// Packets are sealed anew before each opening, which is subtracted.
static void run_both(void *of, size_t count)
{
    struct job *job = of;
    struct batch_packet packets[BURST];
    for (size_t i = 0; i < count; i += BURST) {
        packets_set(packets, i, job->size);
        batch_seal(job->seal, packets, BURST);
        batch_open(job->open, packets, BURST);
        for (size_t k = 0; k < BURST; k++)
            if (!packets[k].good) abort();
    }
}

static const struct {
    const char *name;
    uint16_t encr, key_bits, integ;
    size_t encr_size, integ_size;
} suites[] = {
    {"aes128gcm16", ENCR_AES_GCM_16, 128, INTEG_NONE, 20, 0},
    {"aes256gcm16", ENCR_AES_GCM_16, 256, INTEG_NONE, 36, 0},
    {"chacha20poly1305", ENCR_CHACHA20_POLY1305, 0, INTEG_NONE, 36, 0},
    {"aes128-sha256", ENCR_AES_CBC, 128, INTEG_HMAC_SHA2_256_128, 16, 32},
    {"aes256ctr-sha512", ENCR_AES_CTR, 256, INTEG_HMAC_SHA2_512_256, 36, 64},
};

static void packets_measure(struct batch_backend *backend)
{
    static const uint32_t sizes[] = {64, 1408};
    static const uint8_t key[64] = {1, 2, 3};
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        for (size_t k = 0; k < 2; k++) {
            struct job job = {.size = sizes[k]};
            struct bytes encr_key = bytes_of(key, suites[i].encr_size),
                         integ_key = bytes_of(key, suites[i].integ_size);
            if (batch_key_new(backend, suites[i].encr, suites[i].key_bits, suites[i].integ,
                              encr_key, integ_key, true, &job.seal) ||
                batch_key_new(backend, suites[i].encr, suites[i].key_bits, suites[i].integ,
                              encr_key, integ_key, false, &job.open))
                continue;
            double seal = measure(run_seal, &job), both = measure(run_both, &job);
            printf("%-9s %-17s %5u B  seal %7.1f ns  open %7.1f ns\n", batch_backend_name(backend),
                   suites[i].name, sizes[k], seal, both - seal);
            batch_key_free(job.seal);
            batch_key_free(job.open);
        }
    }
}

#ifdef HAVE_IPSEC_MB
struct bare {
    IMB_MGR *mgr;
    _Alignas(64) struct gcm_key_data key;
    uint32_t size;
};

static void bare_job(const struct bare *bare, IMB_JOB *job, uint8_t *packet, uint8_t nonce[16],
                     uint64_t sequence)
{
    memcpy(nonce + 4, &sequence, 8);
    job->cipher_mode = IMB_CIPHER_GCM;
    job->hash_alg = IMB_AUTH_AES_GMAC;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_CIPHER_HASH;
    job->enc_keys = job->dec_keys = &bare->key;
    job->key_len_in_bytes = 16;
    job->src = job->dst = packet + 16;
    job->cipher_start_src_offset_in_bytes = job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_cipher_in_bytes = job->msg_len_to_hash_in_bytes = bare->size;
    job->iv = nonce;
    job->iv_len_in_bytes = 12;
    job->auth_tag_output = packet + 16 + bare->size;
    job->auth_tag_output_len_in_bytes = 16;
    job->u.GCM.aad = packet;
    job->u.GCM.aad_len_in_bytes = 8;
}

static void run_bare(void *of, size_t count)
{
    struct bare *bare = of;
    IMB_JOB *jobs[BURST];
    uint8_t nonces[BURST][16];
    for (size_t i = 0; i < count; i += BURST) {
        if (IMB_GET_NEXT_BURST(bare->mgr, BURST, jobs) != BURST) abort();
        for (size_t k = 0; k < BURST; k++)
            bare_job(bare, jobs[k], space[(i + k) % PACKETS], nonces[k], i + k);
        if (IMB_SUBMIT_BURST_NOCHECK(bare->mgr, BURST, jobs) != BURST) abort();
    }
}

static void bare_measure(void)
{
    static const uint32_t sizes[] = {64, 1408};
    static const uint8_t key[16] = {1, 2, 3};
    static struct bare bare;
    bare.mgr = alloc_mb_mgr(0);
    if (!bare.mgr) return;
    init_mb_mgr_auto(bare.mgr, NULL);
    IMB_AES128_GCM_PRE(bare.mgr, key, &bare.key);
    for (size_t k = 0; k < 2; k++) {
        bare.size = sizes[k];
        printf("%-9s %-17s %5u B  seal %7.1f ns\n", "bare", "aes128gcm16", sizes[k],
               measure(run_bare, &bare));
    }
    free_mb_mgr(bare.mgr);
}
#endif

struct exchange {
    uint16_t ke;
    struct rng_seeded rng;
    struct buf offer;
};

static void run_answer(void *of, size_t count)
{
    struct exchange *exchange = of;
    struct buf answer = BUF(4096);
    struct secret shared = {0};
    for (size_t i = 0; i < count; i++)
        if (ke_answer(exchange->ke, &exchange->rng.rng, buf_bytes(&exchange->offer), &answer,
                      &shared))
            abort();
    secret_wipe(&shared);
    buf_free(&answer);
}

static void run_prf(void *of, size_t count)
{
    struct secret out = {0};
    for (size_t i = 0; i < count; i++)
        if (prf(*(uint16_t *)of, BYTES("0123456789abcdef0123456789abcdef"),
                PIECES(bytes_of(space, 100)), &out))
            abort();
    secret_wipe(&out);
}

static void run_keymat(void *of, size_t count)
{
    struct secret out = {0};
    for (size_t i = 0; i < count; i++)
        if (prf_plus(*(uint16_t *)of, BYTES("0123456789abcdef0123456789abcdef"),
                     PIECES(bytes_of(space, 80)), 264, &out))
            abort();
    secret_wipe(&out);
}

static void run_message(void *of, size_t count)
{
    uint8_t out[512], plain[512];
    size_t size;
    struct sealer *sealer = of;
    for (size_t i = 0; i < count; i++)
        if (sealer_seal(sealer, bytes_of(space, 32), bytes_of(space, sealer_iv_size(sealer)),
                        bytes_of(space, 256), out) ||
            sealer_open(sealer, bytes_of(space, 32),
                        bytes_of(out, 256 + sealer_iv_size(sealer) + sealer_icv_size(sealer)),
                        plain, &size))
            abort();
}

static void control_measure(void)
{
    static const uint16_t kes[] = {KE_CURVE_25519, KE_ECP_256,   KE_ECP_384,
                                   KE_MODP_2048,   KE_MODP_3072, KE_CURVE_448};
    static const uint8_t key[64];
    for (size_t i = 0; i < sizeof kes / sizeof kes[0]; i++) {
        struct exchange exchange = {.ke = kes[i], .offer = BUF(4096)};
        struct secret private = {0};
        rng_seed(&exchange.rng, 1);
        if (ke_make(kes[i], &exchange.rng.rng, &private, &exchange.offer)) abort();
        printf("%-27s answer %8.1f us\n", iana_ke_name(kes[i]),
               measure(run_answer, &exchange) / 1e3);
        secret_wipe(&private);
        buf_free(&exchange.offer);
    }
    uint16_t sha256 = PRF_HMAC_SHA2_256;
    struct sealer gcm = {ENCR_AES_GCM_16, 256, INTEG_NONE, bytes_of(key, 36), BYTES_NONE};
    struct sealer cbc = {ENCR_AES_CBC, 128, INTEG_HMAC_SHA2_256_128, bytes_of(key, 16),
                         bytes_of(key, 32)};
    printf("%-27s 100 B  %8.2f us\n", "prf HMAC_SHA2_256", measure(run_prf, &sha256) / 1e3);
    printf("%-27s 264 B  %8.2f us\n", "prf+ HMAC_SHA2_256", measure(run_keymat, &sha256) / 1e3);
    printf("%-27s both   %8.2f us\n", "message AES_GCM_16", measure(run_message, &gcm) / 1e3);
    printf("%-27s both   %8.2f us\n", "message AES_CBC and HMAC", measure(run_message, &cbc) / 1e3);
}

int main(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(1, &one);
    if (sched_setaffinity(0, sizeof one, &one)) fprintf(stderr, "not bound to one processor\n");
    crypto_start();
    memset(space, 7, sizeof space);
#ifdef HAVE_IPSEC_MB
    bare_measure();
#endif
    for (enum batch_kind kind = BATCH_MB; kind >= BATCH_EVP; kind--) {
        struct batch_backend *backend = batch_backend_new(kind);
        if (backend) packets_measure(backend);
        batch_backend_free(backend);
    }
    control_measure();
}
