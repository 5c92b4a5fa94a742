// SPDX-License-Identifier: Apache-2.0
// Cutting frames of the TUN device into packets, and joining packets to frames.
//
// The virtio header (VIRTIO 1.2 5.1.6, in the machine's byte order):
//
//     flags | type | header size (2) | segment size (2) | checksum start (2) | checksum offset (2)
#include "esp/gso.h"
#include "esp/octets.h"
#include "model/iana.h"
#include <assert.h>

enum {
    VIRTIO_NEEDS_CHECKSUM = 1,
    VIRTIO_NONE = 0,
    VIRTIO_TCP4 = 1,
    VIRTIO_TCP6 = 4,
    VIRTIO_UDP = 5,
    VIRTIO_ECN = 0x80, // CWR is set, for the first segment only

    IPV4_SIZE = 20,
    IPV6_SIZE = 40,
    TCP_SIZE = 20,
    UDP_SIZE = 8,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    TCP_CHECKSUM = 16, // offsets in the headers
    UDP_CHECKSUM = 6,
    UDP_LENGTH = 4,
    TCP_SEQUENCE = 4,
    TCP_FLAGS = 13,
    TCP_FIN = 0x01,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    TCP_CWR = 0x80,
    IPV4_DF = 0x4000,
    IPV4_FRAGMENT = 0x3fff, // more fragments, and the offset
};

struct virtio {
    uint8_t flags, type;
    uint16_t header, segment, start, offset;
};

static struct virtio virtio_read(const uint8_t *at)
{
    struct virtio out = {.flags = at[0], .type = at[1]};
    memcpy(&out.header, at + 2, 2);
    memcpy(&out.segment, at + 4, 2);
    memcpy(&out.start, at + 6, 2);
    memcpy(&out.offset, at + 8, 2);
    return out;
}

static void virtio_write(uint8_t *at, const struct virtio *in)
{
    at[0] = in->flags;
    at[1] = in->type;
    memcpy(at + 2, &in->header, 2);
    memcpy(at + 4, &in->segment, 2);
    memcpy(at + 6, &in->start, 2);
    memcpy(at + 8, &in->offset, 2);
}

// --- checksums

// RFC 1071: a ones' complement sum does not depend on the byte order in which it is made, so words
// are added as they lie in memory, and wide ones: 2^32 = 1 modulo 2^16 - 1. Every byte of TCP and
// UDP passes here, so the loop exists once more for processors with wider registers.
// The thread sanitizer cannot be asked before it has begun.
#if defined __x86_64__ && defined __gnu_linux__ && !defined __SANITIZE_THREAD__
#define WIDE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE_CLONES
#endif

enum { LANES = 8, BLOCK = LANES * 8 };
typedef uint64_t lanes __attribute__((vector_size(BLOCK)));

// The sum of whole blocks.
WIDE_CLONES static uint64_t blocks_sum(const uint8_t *at, size_t blocks)
{
    lanes low = {0}, high = {0};
    for (; blocks > 0; blocks--, at += BLOCK) {
        lanes word;
        memcpy(&word, at, sizeof word);
        low += word & UINT32_MAX;
        high += word >> 32;
    }
    uint64_t sum = 0;
    low += high;
    for (unsigned i = 0; i < LANES; i++) sum += low[i];
    return sum;
}

// The same, and they are copied on the way.
WIDE_CLONES static uint64_t blocks_copy(uint8_t *out, const uint8_t *at, size_t blocks)
{
    lanes low = {0}, high = {0};
    for (; blocks > 0; blocks--, at += BLOCK, out += BLOCK) {
        lanes word;
        memcpy(&word, at, sizeof word);
        memcpy(out, &word, sizeof word);
        low += word & UINT32_MAX;
        high += word >> 32;
    }
    uint64_t sum = 0;
    low += high;
    for (unsigned i = 0; i < LANES; i++) sum += low[i];
    return sum;
}

static uint64_t sum_of(const uint8_t *at, size_t size)
{
    uint64_t sum = 0;
    if (size >= BLOCK) {
        sum = blocks_sum(at, size / BLOCK);
        at += size / BLOCK * BLOCK;
        size %= BLOCK;
    }
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        sum += (word & UINT32_MAX) + (word >> 32);
    }
    for (; size >= 2; at += 2, size -= 2) {
        uint16_t word;
        memcpy(&word, at, 2);
        sum += word;
    }
    if (size) {
        uint16_t word = 0;
        memcpy(&word, at, 1);
        sum += word;
    }
    return sum;
}

static uint64_t sum_copy(uint8_t *out, const uint8_t *at, size_t size)
{
    size_t whole = size / BLOCK * BLOCK;
    uint64_t sum = whole ? blocks_copy(out, at, size / BLOCK) : 0;
    memcpy(out + whole, at + whole, size - whole);
    return sum + sum_of(at + whole, size - whole);
}

static uint16_t sum_fold(uint64_t sum)
{
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static uint16_t sum_load(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static void sum_store(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, sizeof value);
}

// RFC 768, RFC 8200 8.1: a UDP checksum that comes out as zero is sent as ones.
static void checksum_store(uint8_t *at, uint64_t sum, bool udp)
{
    uint16_t checksum = (uint16_t)~sum_fold(sum);
    sum_store(at, udp && !checksum ? 0xffff : checksum);
}

static bool is_v6(const uint8_t *packet)
{
    return packet[0] >> 4 == 6;
}

// RFC 9293 3.1, RFC 8200 8.1: addresses, protocol and length of what follows.
static uint64_t pseudo_sum(const uint8_t *packet, bool udp, uint32_t length)
{
    uint64_t sum = is_v6(packet) ? sum_of(packet + 8, 32) : sum_of(packet + 12, 8);
    return sum + htobe16(udp ? PROTOCOL_UDP : PROTOCOL_TCP) + htobe16((uint16_t)length);
}

static void ipv4_checksum(uint8_t *packet)
{
    sum_store(packet + 10, 0);
    checksum_store(packet + 10, sum_of(packet, (packet[0] & 15u) * 4), false);
}

// The IP header of a packet whose size has changed.
static void ip_resize(uint8_t *packet, uint32_t size)
{
    if (is_v6(packet)) {
        put_u16(packet + 4, (uint16_t)(size - IPV6_SIZE));
        return;
    }
    put_u16(packet + 2, (uint16_t)size);
    ipv4_checksum(packet);
}

// --- cutting

static enum fault checksum_complete(uint8_t *packet, size_t size, const struct virtio *virtio)
{
    size_t at = (size_t)virtio->start + virtio->offset;
    if (at + 2 > size) return FAULT_GSO_FRAME;
    // The field holds the sum over the pseudo header already.
    uint64_t sum = sum_of(packet + virtio->start, size - virtio->start);
    checksum_store(packet + at, sum, virtio->offset == UDP_CHECKSUM);
    return OK;
}

static bool kind_fits(const uint8_t *packet, uint8_t type)
{
    uint8_t version = packet[0] >> 4;
    switch (type) {
    case VIRTIO_TCP4:
        return version == 4;
    case VIRTIO_TCP6:
        return version == 6;
    case VIRTIO_UDP:
        return version == 4 || version == 6;
    default:
        return false;
    }
}

// Where TCP or UDP and the payload begin. With IPv6 there may be extension headers before them.
static enum fault headers_find(struct gso_cut *cut, const struct virtio *virtio)
{
    const uint8_t *packet = cut->at;
    uint32_t ip = is_v6(packet) ? IPV6_SIZE : (packet[0] & 15u) * 4;
    uint32_t least = cut->udp ? UDP_SIZE : TCP_SIZE;
    cut->l4 = virtio->start;
    if (ip < IPV4_SIZE || cut->l4 < ip || (!is_v6(packet) && cut->l4 != ip) ||
        cut->l4 + least > cut->size || virtio->offset != (cut->udp ? UDP_CHECKSUM : TCP_CHECKSUM))
        return FAULT_GSO_FRAME;
    uint32_t l4_size = cut->udp ? UDP_SIZE : (packet[cut->l4 + 12] >> 4) * 4u;
    cut->header = cut->next = cut->l4 + l4_size;
    return l4_size < least || cut->header > cut->size ? FAULT_GSO_FRAME : OK;
}

// A field that is taken out of a sum: minus is not.
static uint16_t sum_minus(const uint8_t *field)
{
    return (uint16_t)~sum_load(field);
}

// The checksum field holds the sum over the pseudo header with the length of it all. The length is
// taken out; the rest, which knows of routing headers too, serves for every packet. So are the
// fields that differ.
static void sums_begin(struct gso_cut *cut)
{
    const uint8_t *l4 = cut->at + cut->l4;
    uint16_t length = htobe16((uint16_t)(cut->size - cut->l4));
    uint64_t sum = sum_of(l4, cut->header - cut->l4) + (uint16_t)~length;
    if (cut->udp)
        sum += sum_minus(l4 + UDP_LENGTH);
    else
        sum += sum_minus(l4 + TCP_SEQUENCE) + (uint64_t)sum_minus(l4 + TCP_SEQUENCE + 2) +
               sum_minus(l4 + TCP_FLAGS - 1);
    cut->l4_sum = sum_fold(sum);
    if (is_v6(cut->at)) return;
    sum = sum_of(cut->at, (cut->at[0] & 15u) * 4) + sum_minus(cut->at + 2) + sum_minus(cut->at + 4) +
          sum_minus(cut->at + 10);
    cut->ip_sum = sum_fold(sum);
}

enum fault gso_cut_start(struct gso_cut *cut, uint8_t *frame, size_t size)
{
    *cut = (struct gso_cut){0};
    if (size <= GSO_HEAD || size > GSO_FRAME_MAX) return FAULT_GSO_FRAME;
    struct virtio virtio = virtio_read(frame);
    uint8_t type = virtio.type & (uint8_t)~VIRTIO_ECN;
    uint8_t *packet = frame + GSO_HEAD;
    *cut = (struct gso_cut){
        .at = packet, .size = (uint32_t)(size - GSO_HEAD), .udp = type == VIRTIO_UDP};
    bool missing = virtio.flags & VIRTIO_NEEDS_CHECKSUM;
    if (type == VIRTIO_NONE) {
        cut->segment = cut->size;
        return missing ? checksum_complete(packet, cut->size, &virtio) : OK;
    }
    if (!missing || !virtio.segment || !kind_fits(packet, type)) return FAULT_GSO_FRAME;
    TRY(headers_find(cut, &virtio));
    cut->segment = virtio.segment;
    sums_begin(cut);
    return OK;
}

void gso_cut_limit(struct gso_cut *cut, uint32_t mtu)
{
    bool segments = cut->header && !cut->udp && mtu > cut->header;
    if (segments && cut->header + cut->segment > mtu) cut->segment = mtu - cut->header;
}

// RFC 6864 4.2: packets that may be fragmented have identifications of their own.
static void ip_adapt(const struct gso_cut *cut, uint8_t *packet, uint32_t size)
{
    if (is_v6(packet)) {
        put_u16(packet + 4, (uint16_t)(size - IPV6_SIZE));
        return;
    }
    uint16_t id = (uint16_t)(get_u16(cut->at + 4) + cut->count);
    put_u16(packet + 2, (uint16_t)size);
    put_u16(packet + 4, id);
    checksum_store(packet + 10, (uint64_t)cut->ip_sum + htobe16((uint16_t)size) + htobe16(id),
                   false);
}

// RFC 9293 3.1: sequence numbers count bytes. RFC 3168 6.1.2: CWR is in the first packet only; what
// ends the data is in the last. Returns the sum of what it has written.
static uint64_t tcp_adapt(const struct gso_cut *cut, uint8_t *tcp, uint32_t payload)
{
    const uint8_t *first = cut->at + cut->l4;
    uint32_t sequence = htobe32(get_u32(first + TCP_SEQUENCE) + (cut->next - cut->header));
    uint8_t flags[2] = {first[TCP_FLAGS - 1], first[TCP_FLAGS]};
    if (cut->count) flags[1] &= (uint8_t)~TCP_CWR;
    if (cut->next + payload < cut->size) flags[1] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    memcpy(tcp + TCP_SEQUENCE, &sequence, 4);
    tcp[TCP_FLAGS] = flags[1];
    return (uint64_t)sequence + sum_load(flags);
}

// What has just been written is not read again: the processor would wait for it.
static void segment_finish(const struct gso_cut *cut, uint8_t *packet, uint32_t payload,
                           uint64_t sum)
{
    uint16_t length = htobe16((uint16_t)(cut->header + payload - cut->l4));
    uint8_t *l4 = packet + cut->l4;
    ip_adapt(cut, packet, cut->header + payload);
    sum += (uint64_t)cut->l4_sum + length;
    if (cut->udp) {
        sum_store(l4 + UDP_LENGTH, length);
        sum += length;
    } else {
        sum += tcp_adapt(cut, l4, payload);
    }
    checksum_store(l4 + (cut->udp ? UDP_CHECKSUM : TCP_CHECKSUM), sum, cut->udp);
}

static uint32_t payload_next(const struct gso_cut *cut)
{
    uint32_t left = cut->size - cut->next;
    return left < cut->segment ? left : cut->segment;
}

uint32_t gso_cut_size(const struct gso_cut *cut)
{
    return cut->next == cut->size && cut->count ? 0 : cut->header + payload_next(cut);
}

uint32_t gso_cut_next(struct gso_cut *cut, uint8_t *out)
{
    if (!gso_cut_size(cut)) return 0;
    uint32_t payload = payload_next(cut);
    memcpy(out, cut->at, cut->header);
    if (cut->header) {
        uint64_t sum = sum_copy(out + cut->header, cut->at + cut->next, payload);
        segment_finish(cut, out, payload, sum);
    } else {
        memcpy(out, cut->at + cut->next, payload);
    }
    cut->next += payload;
    cut->count++;
    return cut->header + payload;
}

// --- joining

static uint32_t flow_hash(const uint8_t *packet, uint8_t l4)
{
    uint64_t addresses = is_v6(packet) ? mix(get_u64(packet + 16) ^ get_u64(packet + 8),
                                             get_u64(packet + 32) ^ get_u64(packet + 24))
                                       : get_u64(packet + 12);
    return (uint32_t)mix(addresses, get_u32(packet + l4));
}

// Where TCP or UDP begins; 0 when the packet has neither, is a fragment, or has options or
// extension headers.
static uint8_t l4_find(const struct packet *packet)
{
    const uint8_t *at = packet->at;
    uint8_t protocol, l4;
    if (packet->size < IPV4_SIZE + UDP_SIZE) return 0;
    if (at[0] == 0x45) {
        if (get_u16(at + 2) != packet->size || get_u16(at + 6) & IPV4_FRAGMENT) return 0;
        protocol = at[9];
        l4 = IPV4_SIZE;
    } else if (is_v6(at) && packet->size >= IPV6_SIZE + UDP_SIZE) {
        if (get_u16(at + 4) != packet->size - IPV6_SIZE) return 0;
        protocol = at[6];
        l4 = IPV6_SIZE;
    } else {
        return 0;
    }
    if (protocol == PROTOCOL_TCP) return packet->size >= l4 + (uint32_t)TCP_SIZE ? l4 : 0;
    return protocol == PROTOCOL_UDP ? l4 : 0;
}

static bool is_udp(const uint8_t *packet)
{
    return packet[is_v6(packet) ? 6 : 9] == PROTOCOL_UDP;
}

static void frame_read(struct gso_frame *frame, const struct packet *packet)
{
    const uint8_t *at = packet->at;
    frame->size = packet->size;
    frame->count = 1;
    frame->l4 = l4_find(packet);
    if (!frame->l4) return;
    frame->flow = true;
    frame->udp = is_udp(at);
    frame->hash = flow_hash(at, frame->l4);
    uint32_t l4_size = frame->udp ? UDP_SIZE : (at[frame->l4 + 12] >> 4) * 4u;
    frame->header = (uint8_t)(frame->l4 + l4_size);
    if (frame->udp || l4_size < TCP_SIZE || frame->header >= frame->size) return;
    frame->sequence = get_u32(at + frame->l4 + 4) + (frame->size - frame->header);
}

// Could the packet be a segment of something larger? Whoever joins vouches for the checksum.
static bool frame_joins(const struct gso_frame *frame, const uint8_t *packet, unsigned takes)
{
    const uint8_t *l4 = packet + frame->l4;
    uint32_t length = frame->size - frame->l4;
    if (!frame->flow || !(takes & (frame->udp ? GSO_TAKES_UDP : GSO_TAKES_TCP))) return false;
    if (frame->header >= frame->size) return false;
    if (frame->udp && (get_u16(l4 + 4) != length || !get_u16(l4 + UDP_CHECKSUM))) return false;
    if (!frame->udp && (l4[TCP_FLAGS] & ~TCP_PSH) != TCP_ACK) return false;
    // The bits between the size of the header and the flags are reserved, or ECN's newest.
    if (!frame->udp && (frame->header < frame->l4 + TCP_SIZE || l4[12] & 15)) return false;
    if (!is_v6(packet) && sum_fold(sum_of(packet, IPV4_SIZE)) != 0xffff) return false;
    return sum_fold(pseudo_sum(packet, frame->udp, length) + sum_of(l4, length)) == 0xffff;
}

static bool same_flow(const uint8_t *a, const uint8_t *b, uint8_t l4)
{
    if (a[0] >> 4 != b[0] >> 4 || is_udp(a) != is_udp(b)) return false;
    if (memcmp(a + l4, b + l4, 4) != 0) return false; // ports
    return is_v6(a) ? memcmp(a + 8, b + 8, 32) == 0 : memcmp(a + 12, b + 12, 8) == 0;
}

// The newest frame of the flow, the only one that its next packet may join.
static struct gso_frame *frame_find(struct gso_join *join, struct packet *const *packets,
                                    const struct gso_frame *of, const uint8_t *packet)
{
    for (unsigned i = join->count; i-- > 0;) {
        struct gso_frame *frame = &join->frames[i];
        if (frame->hash == of->hash && frame->l4 == of->l4 && frame->flow &&
            same_flow(packets[frame->first]->at, packet, of->l4))
            return frame;
    }
    return NULL;
}

// What the kernel copies from the first header into all must be the same in all.
static bool same_header(const struct gso_frame *frame, const uint8_t *first, const uint8_t *packet)
{
    if (is_v6(first)) {
        if (memcmp(first, packet, 4) != 0 || first[7] != packet[7]) return false;
    } else {
        // RFC 6864 4.1: with DF the identification means nothing; without, the kernel will count
        // up.
        uint16_t id = (uint16_t)(get_u16(first + 4) + frame->count);
        if (first[1] != packet[1] || first[8] != packet[8] || first[6] != packet[6] ||
            (!(get_u16(first + 6) & IPV4_DF) && get_u16(packet + 4) != id))
            return false;
    }
    if (frame->udp) return true;
    const uint8_t *a = first + frame->l4, *b = packet + frame->l4;
    return memcmp(a + 8, b + 8, 4) == 0 &&   // acknowledgement
           memcmp(a + 14, b + 14, 2) == 0 && // window
           memcmp(a + 18, b + 18, 2) == 0 && // urgent pointer
           memcmp(a + TCP_SIZE, b + TCP_SIZE, (size_t)(frame->header - frame->l4 - TCP_SIZE)) == 0;
}

static bool frame_takes(const struct gso_frame *frame, const uint8_t *first,
                        const struct gso_frame *more, const uint8_t *packet)
{
    uint32_t payload = more->size - more->header;
    if (!frame->open || frame->header != more->header || payload > frame->segment ||
        frame->size + payload > PACKET_MAX)
        return false;
    if (!frame->udp && get_u32(packet + frame->l4 + 4) != frame->sequence) return false;
    return same_header(frame, first, packet);
}

static void frame_add(struct gso_join *join, struct gso_frame *frame, uint8_t *first,
                      const struct gso_frame *more, const uint8_t *packet, uint8_t place)
{
    uint32_t payload = more->size - more->header;
    join->next[frame->last] = place;
    frame->last = place;
    frame->count++;
    frame->size += payload;
    frame->sequence += payload;
    bool pushed = !frame->udp && packet[frame->l4 + TCP_FLAGS] & TCP_PSH;
    if (pushed) first[frame->l4 + TCP_FLAGS] |= TCP_PSH;
    if (pushed || payload < frame->segment) frame->open = false;
}

// One whole packet: its header with the sum over the pseudo header in place of the checksum.
static void frame_finish(struct gso_frame *frame, uint8_t *first)
{
    if (frame->count == 1) return;
    uint8_t offset = frame->udp ? UDP_CHECKSUM : TCP_CHECKSUM;
    uint8_t *l4 = first + frame->l4;
    uint32_t length = frame->size - frame->l4;
    ip_resize(first, frame->size);
    if (frame->udp) put_u16(l4 + 4, (uint16_t)length);
    sum_store(l4 + offset, sum_fold(pseudo_sum(first, frame->udp, length)));
    struct virtio virtio = {
        .flags = VIRTIO_NEEDS_CHECKSUM,
        .type = frame->udp ? VIRTIO_UDP : (is_v6(first) ? VIRTIO_TCP6 : VIRTIO_TCP4),
        .header = frame->header,
        .segment = (uint16_t)frame->segment,
        .start = frame->l4,
        .offset = offset,
    };
    virtio_write(frame->head, &virtio);
}

static void frames_close(struct gso_join *join)
{
    for (unsigned i = 0; i < join->count; i++) join->frames[i].open = false;
}

void gso_join(struct gso_join *join, struct packet *const *packets, size_t count, unsigned takes)
{
    assert(count <= BURST_MAX);
    join->count = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t *at = packets[i]->at;
        struct gso_frame one = {.first = (uint8_t)i, .last = (uint8_t)i};
        frame_read(&one, packets[i]);
        bool joins = frame_joins(&one, at, takes);
        // Whose flow cannot be seen may belong to any: nothing that comes later may overtake it.
        if (!one.flow) frames_close(join);
        struct gso_frame *frame = one.flow ? frame_find(join, packets, &one, at) : NULL;
        if (frame && joins && frame_takes(frame, packets[frame->first]->at, &one, at)) {
            frame_add(join, frame, packets[frame->first]->at, &one, at, (uint8_t)i);
            continue;
        }
        one.segment = joins ? one.size - one.header : 0;
        one.open = joins && (one.udp || !(at[one.l4 + TCP_FLAGS] & TCP_PSH));
        join->frames[join->count++] = one;
    }
    for (unsigned i = 0; i < join->count; i++)
        frame_finish(&join->frames[i], packets[join->frames[i].first]->at);
}

unsigned gso_parts(const struct gso_join *join, const struct gso_frame *frame,
                   struct packet *const *packets, struct bytes parts[BURST_MAX])
{
    uint8_t place = frame->first;
    parts[0] = bytes_of(packets[place]->at, packets[place]->size);
    for (unsigned i = 1; i < frame->count; i++) {
        place = join->next[place];
        parts[i] =
            bytes_of(packets[place]->at + frame->header, packets[place]->size - frame->header);
    }
    return frame->count;
}
