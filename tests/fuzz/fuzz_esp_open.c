// SPDX-License-Identifier: Apache-2.0
// The data plane, from both sides. The first byte of the input chooses what the rest is:
//
//   bits 0-1   0: ESP packets as they come from the network
//              1: what ESP carries; it is sealed with the right key first, as a hostile peer could
//              2, 3: inner packets to be sealed
//   bit 2      extended sequence numbers
//   bit 3      AES-CBC with HMAC instead of AES-GCM
//   bits 4-5   outer ECN
//   bits 6-7   tunnel, transport, BEET or AH in transport mode; with bit 3, for 2 and 3: between
//              gateways, AH in tunnel mode
//
// then come up to eight packets, each with two bytes of length before it. What an SA of AH or
// between gateways opens begins with its IP header; to forge, the rest is what it carries. Must
// reach: every fault of open() but those of the window's left side, flow_key_read() with all
// extension headers, the ECN table, padding and TFC. Holds: what is delivered is one whole IP
// packet inside its buffer and within the SA's selectors; what is sealed opens to the same.
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
    struct icv_key *icv;
    uint64_t forged;
    uint8_t ecn, protocol, mode;
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
    bool ah = bench->protocol == PROTOCOL_AH;
    struct sa_spec spec = {
        .spi = SPI,
        .direction = (uint8_t)direction,
        .protocol = bench->protocol,
        .mode = bench->mode,
        .esn = bench->esn,
        .encr = bench->cbc ? ENCR_AES_CBC : ENCR_AES_GCM_16,
        .key_bits = 128,
        .integ = bench->cbc ? INTEG_HMAC_SHA2_256_128 : INTEG_NONE,
        .policy = 1,
        .replay_window = 32,
        .path = {.local = {addr_v4(192, 0, 2, 2), 4500},
                 .remote = {addr_v4(192, 0, 2, 1), 4500},
                 .encap = !ah && bench->mode != MODE_GATEWAY_TRANSPORT},
        .encr_key = bytes_of(key_bytes, bench->cbc ? 16 : 20),
        .integ_key = bytes_of(key_bytes, bench->cbc ? 32 : 0),
    };
    if (ah) {
        spec.encr_key.size = 0;
        spec.integ = INTEG_HMAC_SHA2_256_128;
        spec.integ_key = bytes_of(key_bytes, 32);
    }
    struct selectors here = selectors_two("10.1.0.0/16", "2001:db8:1::/48");
    struct selectors there = selectors_two("10.2.0.0/16", "2001:db8:2::/48[udp/53-2000]");
    if (bench->mode == MODE_BEET) {
        here = there = (struct selectors){.count = 1};
        assert(selector_parse("10.1.0.5/32", &here.at[0]) == OK);
        assert(selector_parse("10.2.0.9/32", &there.at[0]) == OK);
    }
    spec.local = direction == SA_OUT ? here : there;
    spec.remote = direction == SA_OUT ? there : here;
    return spec;
}

static void bench_start(struct bench *bench, uint8_t choice)
{
    struct rng_seeded rng;
    rng_seed(&rng, 1);
    static const uint8_t modes[2][4] = {
        {MODE_TUNNEL, MODE_TRANSPORT, MODE_BEET, MODE_TRANSPORT},
        {MODE_TUNNEL, MODE_TRANSPORT, MODE_GATEWAY_TRANSPORT, MODE_TUNNEL}};
    *bench = (struct bench){.cbc = choice & 8, .esn = choice & 4, .ecn = choice >> 4 & 3};
    bench->mode = modes[bench->cbc][choice >> 6];
    bench->protocol = choice >> 6 == 3 ? PROTOCOL_AH : PROTOCOL_ESP;
    bench->plane = plane_new(backend(), &rng.rng, &(struct plane_limits){4, 4});
    struct sa_spec out = spec_make(bench, SA_OUT), in = spec_make(bench, SA_IN);
    struct policy_spec policy = {
        .number = 1, .action = POLICY_PROTECT, .local = out.local, .remote = out.remote};
    enum fault fault = plane_policy_add(bench->plane, &policy);
    if (!fault) fault = plane_sa_add(bench->plane, &out);
    if (!fault) fault = plane_sa_add(bench->plane, &in);
    if (!fault && bench->protocol == PROTOCOL_AH)
        fault = icv_key_new(out.integ, out.integ_key, &bench->icv);
    else if (!fault)
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

// Modes that need the header have it from the packet itself.
static bool needs_header(const struct bench *bench)
{
    return bench->protocol == PROTOCOL_AH || bench->mode == MODE_GATEWAY_TRANSPORT;
}

static void open_checked(struct bench *bench, struct packet *packet)
{
    packet->tos = bench->ecn;
    packet->transit = bench->mode == MODE_GATEWAY_TRANSPORT;
    const uint8_t *at = packet->at - packet->head;
    uint32_t size = packet->size + packet->head;
    plane_open(bench->plane, 1, &packet, 1);
    if (packet->verdict == VERDICT_BYPASS) {
        assert(packet->transit && packet->at == at && packet->size == size);
        return;
    }
    packet_check(packet);
}

// As a socket shows a packet without its header.
static void packet_place(struct packet *packet)
{
    packet->from = (struct endpoint){addr_v4(10, 1, 0, 5), 4500};
    packet->to = (struct endpoint){addr_v4(10, 2, 0, 9), 4500};
}

static void open_raw(struct bench *bench, struct packet *packet)
{
    packet_place(packet);
    if (needs_header(bench) && packet_split(packet) != OK) return;
    open_checked(bench, packet);
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
    packet_place(packet);
    if (bench->mode == MODE_GATEWAY_TRANSPORT) {
        const struct ip_fields fields = {.source = &packet->from.addr,
                                         .destination = &packet->to.addr,
                                         .protocol = IPPROTO_NUMBER_ESP};
        packet->head = IPV4_HEADER;
        ip_make(packet->at - IPV4_HEADER, &fields, IPV4_HEADER + packet->size, 0);
    }
    open_checked(bench, packet);
    assert(packet->fault != FAULT_ESP_ICV);
}

// The input is a packet with AH in it, of which only the ICV and what SA it is of are put right.
static void forge_ah(struct bench *bench, struct packet *packet)
{
    if (packet_split(packet) != OK || packet->protocol != PROTOCOL_AH) return;
    if (packet->size < AH_FIXED + 16) return;
    uint8_t *ah = packet->at;
    put_u32(ah + 4, SPI);
    put_u32(ah + 8, (uint32_t)++bench->forged);
    memset(ah + AH_FIXED, 0, 16);
    static const uint8_t high[4];
    uint8_t header[IPV4_HEADER];
    if (packet->head != IPV4_HEADER) return;
    memcpy(header, ah - IPV4_HEADER, sizeof header);
    header[1] = header[8] = 0;
    put_u16(header + 6, 0);
    put_u16(header + 10, 0);
    struct bytes_list list =
        PIECES(bytes_of(header, sizeof header), bytes_of(ah, packet->size), bytes_of(high, 4));
    list.count = bench->esn ? 3 : 2;
    icv_make(bench->icv, bench->forged, list, ah + AH_FIXED);
    open_checked(bench, packet);
    assert(packet->fault != FAULT_ESP_ICV);
}

// AH is made for the end of a source route, where this packet is not yet.
static bool may_be_routed(struct bytes inner)
{
    if (inner.at[0] >> 4 == 4) return (inner.at[0] & 0xf) > 5;
    return inner.at[6] == IPV6_EXTENSION_HOP_BY_HOP || inner.at[6] == IPPROTO_NUMBER_IPV6_ROUTE ||
           inner.at[6] == IPPROTO_NUMBER_IPV6_OPTS;
}

static void seal_and_open(struct bench *bench, struct packet *packet, struct bytes inner)
{
    plane_seal(bench->plane, 1, &packet, 1);
    if (packet->verdict != VERDICT_SEND) return;
    uint32_t total;
    assert(ip_check(inner.at, (uint32_t)inner.size, &total) == OK);
    bench->ecn = packet->tos;
    packet->transit = false;
    if (packet->outer == OUTER_WHOLE) {
        uint32_t head = packet->at[0] >> 4 == 4 ? (packet->at[0] & 0xfu) * 4 : IPV6_HEADER;
        if (needs_header(bench)) {
            assert(packet_split(packet) == OK);
        } else { // in UDP; what stands before that is not shown
            if (packet->at[packet->at[0] >> 4 == 4 ? 9 : 6] != IPPROTO_NUMBER_UDP) return;
            packet->at += head + UDP_HEADER;
            packet->size -= head + UDP_HEADER;
        }
    }
    open_checked(bench, packet);
    if (packet->fault == FAULT_ESP_DUMMY) return; // nothing followed the header
    bool same = bench->mode == MODE_TUNNEL || bench->mode == MODE_GATEWAY_TRANSPORT ||
                bench->protocol == PROTOCOL_AH;
    if (!same) return; // a header or a checksum was made anew
    bool refused = packet->fault == FAULT_AH_HEADERS || packet->fault == FAULT_ESP_ICV;
    if (refused && bench->protocol == PROTOCOL_AH && bench->mode == MODE_TRANSPORT &&
        may_be_routed(inner))
        return;
    assert(packet->verdict == VERDICT_DELIVER);
    // What keeps its header, or is for ports, is put together first; one piece that is all loses its
    // fragment header.
    if (is_fragment(inner.at, total)) return;
    assert(packet->size == total);
    // what was wrong in a header that is kept has been put right
    uint32_t from = bench->mode == MODE_TUNNEL ? 0 : inner.at[0] >> 4 == 4 ? 12 : 0;
    assert(memcmp(packet->at + from, inner.at + from, total - from) == 0);
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
            open_raw(&bench, &packet);
        else if ((data[0] & 3) == 1 && bench.icv)
            forge_ah(&bench, &packet);
        else if ((data[0] & 3) == 1)
            forge_and_open(&bench, &packet);
        else
            seal_and_open(&bench, &packet, bytes);
        at += length;
    }
    struct plane_event event;
    while (plane_event(bench.plane, &event)) assert(event.kind);
    batch_key_free(bench.key);
    icv_key_free(bench.icv);
    plane_free(bench.plane);
    return 0;
}
