// SPDX-License-Identifier: Apache-2.0
// What a packet costs in the data plane, in process: nanoseconds to seal and to open, beside the
// ciphers alone.
//
//   bare     ipsec-mb jobs in bursts of 32, nothing around them
//   batch    crypto/batch.h with ipsec-mb: IVs, associated data and the check of the ICV as well
//   plane    plane_seal() and plane_open() with ipsec-mb: policy, SA, sequence, window, padding
//   openssl  the same with OpenSSL
//
// The second table has the modes: AES-128-GCM, and HMAC-SHA-256 with AH. Then comes what a packet
// costs that is cut from a frame of the TUN device, sealed, opened, and joined to a frame.
//
// Each figure is the median of rounds; rounds of all columns take turns, so that what else the
// machine does hits all alike. Packets are made ready outside of the time that is taken. The last
// table has 1 and 100,000 SAs.
#include "crypto/crypto.h"
#include "esp/gso.h"
#include "esp/internal.h"
#include <stdio.h>
#include <time.h>
#ifdef HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif

enum {
    RUN = 32,        // packets in a burst
    ROUND = 8 * RUN, // packets that are measured at once
    ROUNDS = 301,
    BOX_ROOM = 2048,
    MANY = 100000,
    ACTIVE = 64,
};

static const struct suite_row {
    const char *name;
    uint16_t encr, key_bits, integ;
    uint8_t key_size, integ_size;
} suites[] = {
    {"AES-128-GCM", ENCR_AES_GCM_16, 128, INTEG_NONE, 20, 0},
    {"ChaCha20-Poly1305", ENCR_CHACHA20_POLY1305, 0, INTEG_NONE, 36, 0},
    {"AES-128-CBC SHA-256", ENCR_AES_CBC, 128, INTEG_HMAC_SHA2_256_128, 16, 32},
};
static const size_t sizes[] = {64, 1400};
static const uint8_t key_bytes[64] = {1,  2,  3,  5,  7,  11, 13, 17, 19, 23, 29,
                                      31, 37, 41, 43, 47, 53, 59, 61, 67, 71};

// One table of packets for all; 64-byte lines so that nothing depends on chance.
struct work {
    uint8_t (*space)[BOX_ROOM];
    struct packet packets[ROUND];
    struct packet *order[ROUND];
};

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

// Packets -----------------------------------------------------------------------------------------

// An SA of number n is for 10.x.y.z, the number in its lower three bytes.
static void packet_make(struct work *work, size_t which, uint32_t number, size_t size)
{
    struct packet *packet = &work->packets[which];
    *packet =
        (struct packet){.space = work->space[which], .room = BOX_ROOM, .size = (uint32_t)size};
    packet->at = packet->space + PACKET_HEAD;
    uint8_t *ip = packet->at;
    memset(ip, 0, 28);
    ip[0] = 0x45;
    put_u16(ip + 2, (uint16_t)size);
    ip[8] = 64;
    ip[9] = IPPROTO_NUMBER_UDP;
    put_u32(ip + 12, 0xc0a80001);
    put_u32(ip + 16, 0x0a000000 | number);
    put_u16(ip + 20, 1000);
    put_u16(ip + 22, 2000);
    packet->from.addr = addr_v4(192, 0, 2, 1);
    work->order[which] = packet;
}

static struct sa_spec spec_make(const struct suite_row *suite, enum sa_direction direction,
                                uint32_t number)
{
    struct sa_spec spec = {
        .spi = 0x10000 + number * 2654435761u % 0xfff00000u,
        .direction = (uint8_t)direction,
        .protocol = PROTOCOL_ESP,
        .mode = MODE_TUNNEL,
        .encr = suite->encr,
        .key_bits = suite->key_bits,
        .integ = suite->integ,
        .policy = number + 1,
        .replay_window = 64,
        .path = {.local.addr = addr_v4(192, 0, 2, 1), .remote.addr = addr_v4(192, 0, 2, 2)},
        .encr_key = bytes_of(key_bytes, suite->key_size),
        .integ_key = bytes_of(key_bytes, suite->integ_size),
    };
    struct addr host =
        addr_v4(10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number);
    struct selector here = selector_any(ADDR_V4), there = selector_of_addr(&host);
    spec.local = (struct selectors){1, {direction == SA_OUT ? here : there}};
    spec.remote = (struct selectors){1, {direction == SA_OUT ? there : here}};
    return spec;
}

static void must(enum fault fault)
{
    if (!fault) return;
    fprintf(stderr, "%s: %s\n", fault_name(fault), fault_sentence(fault));
    exit(1);
}

// Both directions in one plane: what it seals it opens again.
static struct plane *plane_make(struct batch_backend *backend, const struct suite_row *suite,
                                uint32_t sas)
{
    struct rng_seeded rng;
    rng_seed(&rng, 1);
    struct plane *plane =
        plane_new(backend, &rng.rng, &(struct plane_limits){2 * (size_t)sas, sas});
    for (uint32_t i = 0; i < sas; i++) {
        struct sa_spec out = spec_make(suite, SA_OUT, i), in = spec_make(suite, SA_IN, i);
        struct policy_spec policy = {.number = i + 1,
                                     .action = POLICY_PROTECT,
                                     .trap = POLICY_BLOCK,
                                     .local = out.local,
                                     .remote = out.remote};
        must(plane_policy_add(plane, &policy));
        must(plane_sa_add(plane, &out));
        must(plane_sa_add(plane, &in));
    }
    return plane;
}

// Measures ----------------------------------------------------------------------------------------

struct cost {
    double seal[ROUNDS], open[ROUNDS];
};

static void packets_delivered(const struct packet *packets, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        if (packets[i].verdict == VERDICT_DELIVER && packets[i].size == size) continue;
        fprintf(stderr, "a packet was lost: %s\n", fault_name(packets[i].fault));
        exit(1);
    }
}

// numbers: which SA each packet of a round belongs to. A burst is made when its turn comes, as the
// kernel hands over what it has just copied.
static void plane_round(struct plane *plane, struct work *work, const uint32_t *numbers,
                        size_t size, size_t run, struct cost *cost, size_t round)
{
    double seal = 0, open = 0;
    for (size_t first = 0; first < ROUND; first += run) {
        for (size_t i = first; i < first + run; i++) packet_make(work, i, numbers[i], size);
        double begin = now_ns();
        plane_seal(plane, 1, work->order + first, run);
        double between = now_ns();
        plane_open(plane, 1, work->order + first, run);
        open += now_ns() - between;
        seal += between - begin;
        packets_delivered(work->packets + first, run, size);
    }
    cost->seal[round] = seal / ROUND;
    cost->open[round] = open / ROUND;
}

static uint32_t payload_of(const struct batch_key *key, size_t size)
{
    size_t align = batch_key_align(key);
    return (uint32_t)((size + ESP_TRAILER + align - 1) / align * align);
}

struct batch_pair {
    struct batch_key *seal, *open;
    uint64_t sequence;
};

static void batch_round(struct batch_pair *pair, struct work *work, size_t size, struct cost *cost,
                        size_t round)
{
    struct batch_packet batch[ROUND];
    for (size_t i = 0; i < ROUND; i++) {
        packet_make(work, i, 0, size);
        batch[i] = (struct batch_packet){.esp = work->packets[i].at,
                                         .payload_size = payload_of(pair->seal, size)};
        put_u32(batch[i].esp + 4, (uint32_t)++pair->sequence);
    }
    double begin = now_ns();
    for (size_t i = 0; i < ROUND; i += RUN) batch_seal(pair->seal, batch + i, RUN);
    cost->seal[round] = (now_ns() - begin) / ROUND;
    begin = now_ns();
    for (size_t i = 0; i < ROUND; i += RUN) batch_open(pair->open, batch + i, RUN);
    cost->open[round] = (now_ns() - begin) / ROUND;
    for (size_t i = 0; i < ROUND; i++) assert(batch[i].good);
}

#ifdef HAVE_IPSEC_MB
struct bare {
    IMB_MGR *mgr;
    IMB_JOB seal, open;
    struct gcm_key_data gcm __attribute__((aligned(64)));
    uint32_t encrypt[60] __attribute__((aligned(16))), decrypt[60] __attribute__((aligned(16)));
    uint8_t inner[32], outer[32], chacha[32];
};

static void bare_hmac(struct bare *bare)
{
    uint8_t inner[64], outer[64];
    memset(inner, 0x36, sizeof inner);
    memset(outer, 0x5c, sizeof outer);
    for (size_t i = 0; i < 32; i++) {
        inner[i] ^= key_bytes[i];
        outer[i] ^= key_bytes[i];
    }
    IMB_SHA256_ONE_BLOCK(bare->mgr, inner, bare->inner);
    IMB_SHA256_ONE_BLOCK(bare->mgr, outer, bare->outer);
    bare->seal.hash_alg = IMB_AUTH_HMAC_SHA_256;
    bare->seal.u.HMAC._hashed_auth_key_xor_ipad = bare->inner;
    bare->seal.u.HMAC._hashed_auth_key_xor_opad = bare->outer;
}

static void bare_init(struct bare *bare, const struct suite_row *suite)
{
    bare->mgr = alloc_mb_mgr(0);
    init_mb_mgr_auto(bare->mgr, NULL);
    IMB_JOB *job = &bare->seal;
    *job = (IMB_JOB){.cipher_direction = IMB_DIR_ENCRYPT,
                     .chain_order = IMB_ORDER_CIPHER_HASH,
                     .iv_len_in_bytes = 12,
                     .auth_tag_output_len_in_bytes = 16,
                     .key_len_in_bytes = 16};
    if (suite->encr == ENCR_AES_GCM_16) {
        IMB_AES128_GCM_PRE(bare->mgr, key_bytes, &bare->gcm);
        job->cipher_mode = IMB_CIPHER_GCM;
        job->hash_alg = IMB_AUTH_AES_GMAC;
        job->enc_keys = job->dec_keys = &bare->gcm;
        job->u.GCM.aad_len_in_bytes = 8;
    } else if (suite->encr == ENCR_CHACHA20_POLY1305) {
        job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
        job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
        job->key_len_in_bytes = 32;
        job->enc_keys = job->dec_keys = bare->chacha;
        job->u.CHACHA20_POLY1305.aad_len_in_bytes = 8;
    } else {
        IMB_AES_KEYEXP_128(bare->mgr, key_bytes, bare->encrypt, bare->decrypt);
        job->cipher_mode = IMB_CIPHER_CBC;
        job->enc_keys = bare->encrypt;
        job->dec_keys = bare->decrypt;
        job->iv_len_in_bytes = 16;
        bare_hmac(bare);
    }
    bare->open = *job;
    bare->open.cipher_direction = IMB_DIR_DECRYPT;
    bare->open.chain_order = IMB_ORDER_HASH_CIPHER;
}

// A burst as the library's own examples fill it: the template, and places. Tags go into the packet
// both ways.
static void bare_burst(struct bare *bare, const IMB_JOB *job, struct packet *const *packets,
                       uint32_t payload)
{
    IMB_JOB *jobs[RUN];
    uint32_t head = job->cipher_mode == IMB_CIPHER_CBC ? 24 : 16;
    IMB_GET_NEXT_BURST(bare->mgr, RUN, jobs);
    for (size_t i = 0; i < RUN; i++) {
        uint8_t *esp = packets[i]->at;
        *jobs[i] = *job;
        jobs[i]->src = esp;
        jobs[i]->dst = esp + head;
        jobs[i]->cipher_start_src_offset_in_bytes = head;
        jobs[i]->hash_start_src_offset_in_bytes = job->cipher_mode == IMB_CIPHER_CBC ? 0 : head;
        jobs[i]->msg_len_to_cipher_in_bytes = payload;
        jobs[i]->msg_len_to_hash_in_bytes =
            job->cipher_mode == IMB_CIPHER_CBC ? payload + head : payload;
        jobs[i]->iv = esp;
        jobs[i]->auth_tag_output = esp + head + payload;
        if (job->cipher_mode == IMB_CIPHER_GCM) jobs[i]->u.GCM.aad = esp;
        if (job->cipher_mode == IMB_CIPHER_CHACHA20_POLY1305)
            jobs[i]->u.CHACHA20_POLY1305.aad = esp;
    }
    uint32_t done = IMB_SUBMIT_BURST_NOCHECK(bare->mgr, RUN, jobs);
    while (done < RUN) done += IMB_FLUSH_BURST(bare->mgr, RUN - done, jobs);
}

static void bare_round(struct bare *bare, struct work *work, uint32_t payload, struct cost *cost,
                       size_t round)
{
    for (size_t i = 0; i < ROUND; i++) packet_make(work, i, 0, 64);
    double begin = now_ns();
    for (size_t i = 0; i < ROUND; i += RUN) bare_burst(bare, &bare->seal, work->order + i, payload);
    cost->seal[round] = (now_ns() - begin) / ROUND;
    begin = now_ns();
    for (size_t i = 0; i < ROUND; i += RUN) bare_burst(bare, &bare->open, work->order + i, payload);
    cost->open[round] = (now_ns() - begin) / ROUND;
}
#endif

// Tables ------------------------------------------------------------------------------------------

static struct batch_key *key_make(struct batch_backend *backend, const struct suite_row *suite,
                                  bool seal)
{
    struct batch_key *key;
    must(batch_key_new(backend, suite->encr, suite->key_bits, suite->integ,
                       bytes_of(key_bytes, suite->key_size), bytes_of(key_bytes, suite->integ_size),
                       seal, &key));
    return key;
}

static void suite_print_row(const char *name, size_t size, const char *what, const double values[4])
{
    printf("%-20s %5zu B  %-5s %8.1f %8.1f %8.1f %8.1f   %5.2f\n", name, size, what, values[0],
           values[1], values[2], values[3], values[0] > 0 ? values[2] / values[0] : 0.0);
}

static void suite_measure(struct work *work, struct batch_backend *mb, struct batch_backend *evp,
                          const struct suite_row *suite, size_t size)
{
    static struct cost costs[4];
    static const uint32_t numbers[ROUND];
    struct batch_backend *fast = mb ? mb : evp;
    struct batch_pair pair = {key_make(fast, suite, true), key_make(fast, suite, false), 0};
    struct plane *plane = plane_make(fast, suite, 1), *slow = plane_make(evp, suite, 1);
#ifdef HAVE_IPSEC_MB
    static struct bare bare;
    if (mb) bare_init(&bare, suite);
#endif
    for (size_t round = 0; round < ROUNDS; round++) {
#ifdef HAVE_IPSEC_MB
        if (mb) bare_round(&bare, work, payload_of(pair.seal, size), &costs[0], round);
#endif
        batch_round(&pair, work, size, &costs[1], round);
        plane_round(plane, work, numbers, size, RUN, &costs[2], round);
        plane_round(slow, work, numbers, size, RUN, &costs[3], round);
    }
    double seal[4], open[4];
    for (size_t i = 0; i < 4; i++) {
        seal[i] = median(costs[i].seal, ROUNDS);
        open[i] = median(costs[i].open, ROUNDS);
    }
    suite_print_row(suite->name, size, "seal", seal);
    suite_print_row(suite->name, size, "open", open);
#ifdef HAVE_IPSEC_MB
    if (mb) free_mb_mgr(bare.mgr);
#endif
    batch_key_free(pair.seal);
    batch_key_free(pair.open);
    plane_free(plane);
    plane_free(slow);
}

static size_t memory_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long whole = 0, resident = 0;
    if (file && fscanf(file, "%lu %lu", &whole, &resident) != 2) resident = 0;
    if (file) fclose(file);
    return resident * 4;
}

static const struct mode_row {
    const char *name;
    uint8_t protocol, mode;
} modes[] = {
    {"tunnel", PROTOCOL_ESP, MODE_TUNNEL},
    {"transport", PROTOCOL_ESP, MODE_TRANSPORT},
    {"transport, gateways", PROTOCOL_ESP, MODE_GATEWAY_TRANSPORT},
    {"BEET", PROTOCOL_ESP, MODE_BEET},
    {"AH tunnel", PROTOCOL_AH, MODE_TUNNEL},
    {"AH transport", PROTOCOL_AH, MODE_TRANSPORT},
};

static struct plane *mode_plane(struct batch_backend *backend, const struct mode_row *row)
{
    struct rng_seeded rng;
    rng_seed(&rng, 1);
    struct plane *plane = plane_new(backend, &rng.rng, &(struct plane_limits){2, 1});
    struct addr here = addr_v4(192, 168, 0, 1), there = addr_v4(10, 0, 0, 0);
    for (int in = 0; in < 2; in++) {
        struct sa_spec spec = spec_make(&suites[0], in ? SA_IN : SA_OUT, 0);
        spec.protocol = row->protocol;
        spec.mode = row->mode;
        spec.local.at[0] = selector_of_addr(in ? &there : &here);
        spec.remote.at[0] = selector_of_addr(in ? &here : &there);
        if (row->protocol == PROTOCOL_AH) {
            spec.encr_key.size = 0;
            spec.integ = INTEG_HMAC_SHA2_256_128;
            spec.integ_key = bytes_of(key_bytes, 32);
        }
        struct policy_spec policy = {
            .number = 1, .action = POLICY_PROTECT, .local = spec.local, .remote = spec.remote};
        if (!in) must(plane_policy_add(plane, &policy));
        must(plane_sa_add(plane, &spec));
    }
    return plane;
}

static void mode_round(struct plane *plane, struct work *work, bool transit, size_t size,
                       struct cost *cost, size_t round)
{
    for (size_t i = 0; i < ROUND; i++) packet_make(work, i, 0, size);
    double begin = now_ns();
    for (size_t i = 0; i < ROUND; i += RUN) plane_seal(plane, 1, work->order + i, RUN);
    cost->seal[round] = (now_ns() - begin) / ROUND;
    for (size_t i = 0; i < ROUND; i++) {
        struct packet *packet = &work->packets[i];
        if (packet->outer == OUTER_WHOLE) must(packet_split(packet));
        packet->transit = transit;
    }
    begin = now_ns();
    for (size_t i = 0; i < ROUND; i += RUN) plane_open(plane, 1, work->order + i, RUN);
    cost->open[round] = (now_ns() - begin) / ROUND;
    for (size_t i = 0; i < ROUND; i++) assert(work->packets[i].verdict == VERDICT_DELIVER);
}

static void modes_measure(struct work *work, struct batch_backend *backend)
{
    static struct cost cost;
    printf("\n%-20s", batch_backend_name(backend));
    for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++)
        printf("  seal %4zu B  open %4zu B", sizes[j], sizes[j]);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct plane *plane = mode_plane(backend, &modes[i]);
        printf("\n%-20s", modes[i].name);
        for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
            for (size_t round = 0; round < ROUNDS; round++)
                mode_round(plane, work, modes[i].mode == MODE_GATEWAY_TRANSPORT, sizes[j], &cost,
                           round);
            printf("  %11.1f  %11.1f", median(cost.seal, ROUNDS), median(cost.open, ROUNDS));
        }
        plane_free(plane);
    }
    printf("\n");
}

// Frames ------------------------------------------------------------------------------------------

// A frame as the TUN device gives it: TCP data in segments that fill packets of 1,400 bytes.
enum { FRAME_SEGMENTS = 45, FRAME_HEADERS = 52, FRAME_PACKET = 1400 };

static size_t frame_make(uint8_t *frame)
{
    uint16_t segment = FRAME_PACKET - FRAME_HEADERS, header = FRAME_HEADERS, start = 20, offset = 16;
    uint32_t size = FRAME_HEADERS + FRAME_SEGMENTS * (uint32_t)segment;
    memset(frame, 0, GSO_HEAD + FRAME_HEADERS);
    frame[0] = frame[1] = 1; // the checksum is missing; TCP over IPv4
    memcpy(frame + 2, &header, 2);
    memcpy(frame + 4, &segment, 2);
    memcpy(frame + 6, &start, 2);
    memcpy(frame + 8, &offset, 2);
    uint8_t *ip = frame + GSO_HEAD, *tcp = ip + 20;
    ip[0] = 0x45;
    put_u16(ip + 2, (uint16_t)size);
    ip[6] = 0x40; // not to be fragmented
    ip[8] = 64;
    ip[9] = IPPROTO_NUMBER_TCP;
    put_u32(ip + 12, 0xc0a80001);
    put_u32(ip + 16, 0x0a000000);
    put_u16(tcp, 1000);
    put_u16(tcp + 2, 2000);
    tcp[12] = 8 << 4; // timestamps
    tcp[13] = 0x10;
    memcpy(tcp + 20, "\1\1\10\12", 4);
    uint32_t sum = 0xc0a8 + 1 + 0x0a00 + 0 + IPPROTO_NUMBER_TCP + (size - 20);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    put_u16(tcp + 16, (uint16_t)sum);
    for (uint32_t i = FRAME_HEADERS; i < size; i++) ip[i] = (uint8_t)(i * 7 + i / 251);
    return GSO_HEAD + size;
}

static size_t frame_cut(struct work *work, uint8_t *frame, size_t size)
{
    struct gso_cut cut;
    size_t count = 0;
    must(gso_cut_start(&cut, frame, size));
    for (;; count++) {
        struct packet *packet = &work->packets[count];
        *packet = (struct packet){.space = work->space[count], .room = BOX_ROOM};
        packet->at = packet->space + PACKET_HEAD;
        packet->size = gso_cut_next(&cut, packet->at);
        if (!packet->size) return count;
        packet->from.addr = addr_v4(192, 0, 2, 1);
        work->order[count] = packet;
    }
}

enum frame_step { STEP_CUT, STEP_SEAL, STEP_OPEN, STEP_JOIN, STEP_COUNT };

static void frame_round(struct plane *plane, struct work *work, double took[STEP_COUNT])
{
    static uint8_t frame[GSO_FRAME_MAX];
    static struct gso_join join;
    size_t size = frame_make(frame);
    double at[STEP_COUNT + 1] = {now_ns()};
    size_t count = frame_cut(work, frame, size);
    at[1] = now_ns();
    plane_seal(plane, 1, work->order, count);
    at[2] = now_ns();
    plane_open(plane, 1, work->order, count);
    at[3] = now_ns();
    gso_join(&join, work->order, count, GSO_TAKES_TCP);
    at[4] = now_ns();
    packets_delivered(work->packets, count, FRAME_PACKET);
    if (count != FRAME_SEGMENTS || join.count != 1) {
        fprintf(stderr, "%zu packets, %u frames\n", count, join.count);
        exit(1);
    }
    for (int i = 0; i < STEP_COUNT; i++) took[i] = at[i + 1] - at[i];
}

static void frames_measure(struct work *work, struct batch_backend *backend)
{
    static double took[STEP_COUNT][ROUNDS];
    struct plane *plane = plane_make(backend, &suites[0], 1);
    for (size_t round = 0; round < ROUNDS; round++) {
        double one[STEP_COUNT];
        frame_round(plane, work, one);
        for (int i = 0; i < STEP_COUNT; i++) took[i][round] = one[i] / FRAME_SEGMENTS;
    }
    printf("\na frame of %d segments in packets of %d bytes, ns per packet: cut %.1f  seal %.1f  "
           "open %.1f  join %.1f\n",
           FRAME_SEGMENTS, FRAME_PACKET, median(took[STEP_CUT], ROUNDS),
           median(took[STEP_SEAL], ROUNDS), median(took[STEP_OPEN], ROUNDS),
           median(took[STEP_JOIN], ROUNDS));
    plane_free(plane);
}

enum spread { SPREAD_ONE, SPREAD_ACTIVE, SPREAD_MIXED, SPREAD_BURSTS, SPREAD_ALL };
static const char *const spread_names[] = {
    "one SA",
    "64 of them are in use, a burst for each",
    "64 of them are in use, each packet for a random one",
    "all in use, each burst for a random one",
    "all in use, each packet for a random one",
};

static void numbers_choose(struct rng *rng, enum spread spread, uint32_t sas,
                           uint32_t numbers[ROUND])
{
    bool few = spread == SPREAD_ACTIVE || spread == SPREAD_MIXED,
         each = spread == SPREAD_MIXED || spread == SPREAD_ALL;
    uint32_t range = spread == SPREAD_ONE ? 1 : few ? ACTIVE : sas;
    for (size_t i = 0; i < ROUND; i++)
        numbers[i] = each || i % BURST_MAX == 0 ? (uint32_t)(rng_below(rng, range) * (sas / range))
                                          : numbers[i - 1];
}

// Every SA once, so that no page is touched for the first time while time is taken.
static void many_warm(struct work *work, struct plane *plane, uint32_t sas)
{
    static struct cost cost;
    uint32_t numbers[ROUND];
    for (uint32_t first = 0; first < sas; first += ROUND) {
        for (uint32_t i = 0; i < ROUND; i++) numbers[i] = (first + i) % sas;
        plane_round(plane, work, numbers, 64, BURST_MAX, &cost, 0);
    }
}

// One row of the table: a plane and how its SAs are used.
struct many_row {
    struct plane *plane;
    uint32_t sas;
    enum spread spread;
    struct rng_seeded rng;
    struct cost cost;
};

// The rows take turns, so that what else the machine does hits all alike.
static void many_measure(struct work *work, struct many_row *rows, size_t count, size_t size)
{
    uint32_t numbers[ROUND];
    for (size_t i = 0; i < count; i++) rng_seed(&rows[i].rng, 7);
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < count; i++) {
            struct many_row *row = &rows[i];
            for (int warm = 1; warm >= 0; warm--) {
                numbers_choose(&row->rng.rng, row->spread, row->sas, numbers);
                plane_round(row->plane, work, numbers, size, BURST_MAX, &row->cost, round);
            }
        }
    }
    double base[2] = {0};
    for (size_t i = 0; i < count; i++) {
        double seal = median(rows[i].cost.seal, ROUNDS), open = median(rows[i].cost.open, ROUNDS);
        if (i == 0) base[0] = seal, base[1] = open;
        printf("%7u SAs %5zu B  seal %7.1f (%4.2f)  open %7.1f (%4.2f)  %s\n", rows[i].sas, size,
               seal, seal / base[0], open, open / base[1], spread_names[rows[i].spread]);
    }
}

static void many_sas(struct work *work, struct batch_backend *backend)
{
    printf("\n%s, AES-128-GCM, ns per packet (ratio to one SA)\n", batch_backend_name(backend));
    struct plane *one = plane_make(backend, &suites[0], 1);
    size_t before = memory_kib();
    double begin = now_ns();
    struct plane *many = plane_make(backend, &suites[0], MANY);
    double pair_us = (now_ns() - begin) / 1e3 / MANY;
    many_warm(work, many, MANY);
    static struct many_row rows[] = {{.sas = 1, .spread = SPREAD_ONE},
                                     {.sas = MANY, .spread = SPREAD_ONE},
                                     {.sas = MANY, .spread = SPREAD_ACTIVE},
                                     {.sas = MANY, .spread = SPREAD_MIXED},
                                     {.sas = MANY, .spread = SPREAD_BURSTS},
                                     {.sas = MANY, .spread = SPREAD_ALL}};
    size_t row_count = sizeof rows / sizeof rows[0];
    for (size_t i = 0; i < row_count; i++) rows[i].plane = i ? many : one;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        many_measure(work, rows, row_count, sizes[i]);
    double kib = (double)(memory_kib() - before) / MANY;
    printf(
        "a pair of SAs and its policy: %.2f KiB, of them %.2f outside the back end; %.1f us to "
        "make\n",
        kib, (double)plane_stats(many)->bytes_memory / 1024 / MANY, pair_us);
    plane_free(one);
    plane_free(many);
}

int main(int count, char **words)
{
    bool many = count == 2 && strcmp(words[1], "--many") == 0;
    bool frames = count == 2 && strcmp(words[1], "--frames") == 0;
    static struct work work;
    crypto_start();
    work.space = pages_new((size_t)ROUND * BOX_ROOM);
    struct batch_backend *mb = batch_backend_new(BATCH_MB), *evp = batch_backend_new(BATCH_EVP);
    if (many || frames) {
        (many ? many_sas : frames_measure)(&work, mb ? mb : evp);
        return 0;
    }
    printf("ns per packet, bursts of %d, medians of %d rounds\n", RUN, ROUNDS);
    printf("%-20s %7s  %-5s %8s %8s %8s %8s   %s\n", "", "inner", "", "bare", "batch", "plane",
           "openssl", "plane/bare");
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++)
            suite_measure(&work, mb, evp, &suites[i], sizes[j]);
    modes_measure(&work, mb ? mb : evp);
    frames_measure(&work, mb ? mb : evp);
    many_sas(&work, mb ? mb : evp);
    batch_backend_free(mb);
    batch_backend_free(evp);
    return 0;
}
