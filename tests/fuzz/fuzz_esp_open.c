// SPDX-License-Identifier: Apache-2.0
// The data plane, from both sides. The first byte of the input chooses what the rest is:
//
//   bits 0-1   0: ESP packets as they come from the network
//              1: what ESP carries; it is sealed with the right key first, as a hostile peer could
//              2, 3: inner packets to be sealed
//   bit 2      extended sequence numbers
//   bit 3      AES-CBC with HMAC instead of AES-GCM
//   bits 4-5   outer ECN
//
// then come up to eight packets, each with two bytes of length before it. Must reach: every fault
// of open() but those of the window's left side, flow_key_read() with all extension headers, the
// ECN table, padding and TFC. Holds: what is delivered is one whole IP packet inside its buffer and
// within the SA's selectors; what is sealed opens to the same.
#include "crypto/crypto.h"
#include "esp/internal.h"
#include "fuzz.h"

enum {
    PACKETS_MAX = 8,
    SIZE_MAX_HERE = 2048,
    ROOM = PACKET_HEAD + SIZE_MAX_HERE + PACKET_TAIL,
    SPI = 0x1000
};

static const uint8_t key_bytes[64] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                      11, 12, 13, 14, 15, 16, 17, 18, 19, 20};

struct bench {
    struct plane *plane;   // has both directions of one SA
    struct batch_key *key; // to forge with
    bool cbc, esn;
    uint64_t forged;
    uint8_t ecn;
};

static struct batch_backend *backend(void)
{
    static struct batch_backend *one;
    if (!one) {
        crypto_start();
        one = batch_backend_new(BATCH_EVP);
    }
    return one;
}

static struct selectors selectors_two(const char *v4, const char *v6)
{
    struct selectors set = {.count = 2};
    assert(selector_parse(v4, &set.at[0]) == OK && selector_parse(v6, &set.at[1]) == OK);
    return set;
}

static struct sa_spec spec_make(const struct bench *bench, enum sa_direction direction)
{
    struct sa_spec spec = {
        .spi = SPI,
        .direction = (uint8_t)direction,
        .protocol = PROTOCOL_ESP,
        .mode = MODE_TUNNEL,
        .esn = bench->esn,
        .encr = bench->cbc ? ENCR_AES_CBC : ENCR_AES_GCM_16,
        .key_bits = 128,
        .integ = bench->cbc ? INTEG_HMAC_SHA2_256_128 : INTEG_NONE,
        .policy = 1,
        .replay_window = 32,
        .path = {.remote.addr = addr_v4(192, 0, 2, 1), .encap = true},
        .encr_key = bytes_of(key_bytes, bench->cbc ? 16 : 20),
        .integ_key = bytes_of(key_bytes, bench->cbc ? 32 : 0),
    };
    struct selectors here = selectors_two("10.1.0.0/16", "2001:db8:1::/48");
    struct selectors there = selectors_two("10.2.0.0/16", "2001:db8:2::/48[udp/53-2000]");
    spec.local = direction == SA_OUT ? here : there;
    spec.remote = direction == SA_OUT ? there : here;
    return spec;
}

static void bench_start(struct bench *bench, uint8_t choice)
{
    struct rng_seeded rng;
    rng_seed(&rng, 1);
    *bench = (struct bench){.cbc = choice & 8, .esn = choice & 4, .ecn = choice >> 4 & 3};
    bench->plane = plane_new(backend(), &rng.rng, &(struct plane_limits){4, 4});
    struct sa_spec out = spec_make(bench, SA_OUT), in = spec_make(bench, SA_IN);
    struct policy_spec policy = {
        .number = 1, .action = POLICY_PROTECT, .local = out.local, .remote = out.remote};
    enum fault fault = plane_policy_add(bench->plane, &policy);
    if (!fault) fault = plane_sa_add(bench->plane, &out);
    if (!fault) fault = plane_sa_add(bench->plane, &in);
    if (!fault)
        fault = batch_key_new(backend(), out.encr, out.key_bits, out.integ, out.encr_key,
                              out.integ_key, true, &bench->key);
    assert(!fault);
}

static void packet_put(struct packet *packet, uint8_t *space, struct bytes bytes)
{
    *packet = (struct packet){
        .space = space, .room = ROOM, .at = space + PACKET_HEAD, .size = (uint32_t)bytes.size};
    if (bytes.size) memcpy(packet->at, bytes.at, bytes.size);
}

static void packet_check(const struct packet *packet)
{
    if (packet->verdict == VERDICT_DROP) {
        assert(packet->fault != OK);
        return;
    }
    assert(packet->verdict == VERDICT_DELIVER && packet->fault == OK);
    assert(packet->at >= packet->space &&
           packet->at + packet->size <= packet->space + packet->room);
    uint32_t total;
    assert(ip_check(packet->at, packet->size, &total) == OK && total == packet->size);
    static const uint8_t remote_v4[] = {10, 1}, remote_v6[] = {0x20, 1, 0xd, 0xb8, 0, 1};
    if (packet->at[0] >> 4 == 4)
        assert(memcmp(packet->at + 12, remote_v4, 2) == 0);
    else
        assert(memcmp(packet->at + 8, remote_v6, 6) == 0);
}

static void open_checked(struct bench *bench, struct packet *packet)
{
    packet->tos = bench->ecn;
    plane_open(bench->plane, 1, &packet, 1);
    packet_check(packet);
}

static void forge_and_open(struct bench *bench, struct packet *packet)
{
    uint32_t align = (uint32_t)batch_key_align(bench->key),
             head = (uint32_t)batch_key_iv_size(bench->key) + ESP_HEADER;
    uint32_t payload = packet->size / align * align;
    if (!payload) return;
    packet->at -= head;
    packet->size = head + payload + (uint32_t)batch_key_icv_size(bench->key);
    put_u32(packet->at, SPI);
    put_u32(packet->at + 4, (uint32_t)++bench->forged);
    struct batch_packet batch = {.esp = packet->at, .payload_size = payload, .esn = bench->esn};
    batch_seal(bench->key, &batch, 1);
    open_checked(bench, packet);
    assert(packet->fault != FAULT_ESP_ICV);
}

static void seal_and_open(struct bench *bench, struct packet *packet, struct bytes inner)
{
    plane_seal(bench->plane, 1, &packet, 1);
    if (packet->verdict != VERDICT_SEND) return;
    uint32_t total;
    assert(ip_check(inner.at, (uint32_t)inner.size, &total) == OK);
    bench->ecn = packet->tos;
    open_checked(bench, packet);
    assert(packet->verdict == VERDICT_DELIVER && packet->size == total &&
           memcmp(packet->at, inner.at, total) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t space[ROOM];
    if (!size) return 0;
    struct bench bench;
    bench_start(&bench, data[0]);
    size_t at = 1;
    for (int i = 0; i < PACKETS_MAX && at + 2 <= size; i++) {
        size_t length = (size_t)data[at] << 8 | data[at + 1];
        at += 2;
        if (length > size - at) length = size - at;
        if (length > SIZE_MAX_HERE) length = SIZE_MAX_HERE;
        struct bytes bytes = bytes_of(data + at, length);
        struct packet packet;
        packet_put(&packet, space, bytes);
        if ((data[0] & 3) == 0)
            open_checked(&bench, &packet);
        else if ((data[0] & 3) == 1)
            forge_and_open(&bench, &packet);
        else
            seal_and_open(&bench, &packet, bytes);
        at += length;
    }
    struct plane_event event;
    while (plane_event(bench.plane, &event)) assert(event.kind);
    batch_key_free(bench.key);
    plane_free(bench.plane);
    return 0;
}
