// SPDX-License-Identifier: Apache-2.0
// RFC 4303 3.3.4, RFC 4302 3.3.4: what keeps its header is protected whole, so packets that were cut
// before they came here are put together first (RFC 791 3.2, RFC 8200 4.5).
//
// A packet has one of a fixed number of places, where its bytes are laid down at their offsets and a
// bit says of each unit of 8 bytes that it is there. Nobody can make us keep more than that or for
// longer than REASSEMBLY_SECONDS. What overlaps is a sign of an attack or of an identification that
// came round: nothing of such a packet goes on (RFC 5722 4).
#include "esp/reassemble.h"
#include "base/mem.h"
#include "esp/flow.h"
#include "esp/octets.h"
#include "model/iana.h"

enum {
    HEAD_MAX = 256, // headers before what is cut: IPv4 has at most 60 bytes
    FRAGMENT_HEADER = 8,
    PACKET_BYTES_MAX = 65535,
    UNIT = 8,
    UNITS = (PACKET_BYTES_MAX + UNIT) / UNIT,
    IPV4_OFFSET = 0x1fff,
    IPV4_MORE = 0x2000,
    IPV6_OFFSET = 0xfff8,
    IPV6_MORE = 1,
    ECN_CE = 3,
};

// RFC 791 3.2, RFC 8200 4.5: what belongs together has these in common.
struct fragment_key {
    uint8_t addrs[32];
    uint32_t id;
    uint8_t family, protocol; // IPv6 does not tell them apart by protocol
};

struct fragment { // what one says of itself
    struct fragment_key key;
    uint32_t head;    // bytes before what is cut, without IPv6's fragment header
    uint32_t next;    // where in the head what follows is named
    uint8_t protocol; // what follows
    uint32_t at;      // where in the packet its bytes begin
    uint32_t offset, size;
    bool more;
    uint8_t ecn;
};

struct partial {
    struct fragment_key key; // family 0: the place is empty
    nsec begun;
    bool refused;            // what else comes of it is dropped until its time is over
    uint8_t ecn_seen;        // a bit for each value
    uint32_t head_size, next;
    uint8_t protocol;
    uint32_t total, got; // of what is cut; total 0: not known yet
    uint32_t highest;    // where the furthest fragment ends
    uint32_t largest;    // of the fragments, with their headers
    uint64_t there[(UNITS + 63) / 64];
    uint8_t head[HEAD_MAX];
    uint8_t data[UNITS * UNIT];
};

struct reassembler {
    struct partial at[REASSEMBLIES_MAX];
};

struct reassembler *reassembler_new(void)
{
    return NEW(struct reassembler);
}

void reassembler_free(struct reassembler *reassembly)
{
    free(reassembly);
}

// Reading -----------------------------------------------------------------------------------------

// Steps over what routers read; true when a fragment header stands there, whole.
static bool ipv6_fragment_place(const uint8_t *ip, uint32_t size, struct ip_place *place)
{
    return ip_place_of(ip, size, IPPROTO_NUMBER_IPV6_FRAG, place) == OK &&
           place->head + FRAGMENT_HEADER <= size;
}

bool is_fragment(const uint8_t *ip, uint32_t size)
{
    struct ip_place place;
    if (ip[0] >> 4 == 4) return get_u16(ip + 6) & IPV4_IS_FRAGMENT;
    return ipv6_fragment_place(ip, size, &place);
}

static void ipv4_read(const uint8_t *ip, uint32_t size, struct fragment *out)
{
    uint32_t head = (ip[0] & 0xfu) * 4, cut = get_u16(ip + 6);
    *out = (struct fragment){.head = head,
                             .next = 9,
                             .protocol = ip[9],
                             .at = head,
                             .offset = (cut & IPV4_OFFSET) * UNIT,
                             .size = size - head,
                             .more = cut & IPV4_MORE};
    out->key.id = get_u16(ip + 4);
    out->key.family = ADDR_V4;
    out->key.protocol = ip[9];
    memcpy(out->key.addrs, ip + 12, 8);
}

static enum fault ipv6_read(const uint8_t *ip, uint32_t size, struct fragment *out)
{
    struct ip_place place;
    if (!ipv6_fragment_place(ip, size, &place)) return FAULT_INNER_FRAGMENT;
    const uint8_t *header = ip + place.head;
    uint32_t cut = get_u16(header + 2);
    *out = (struct fragment){.head = place.head,
                             .next = place.next,
                             .protocol = header[0],
                             .at = place.head + FRAGMENT_HEADER,
                             .offset = cut & IPV6_OFFSET,
                             .size = size - place.head - FRAGMENT_HEADER,
                             .more = cut & IPV6_MORE};
    out->key.id = get_u32(header + 4);
    out->key.family = ADDR_V6;
    memcpy(out->key.addrs, ip + 8, 32);
    return OK;
}

// RFC 8200 4.5: all but the last are whole units, and together they do not go beyond a packet.
static enum fault fragment_read(const struct packet *packet, struct fragment *out)
{
    const uint8_t *ip = packet->at;
    if (ip[0] >> 4 == 4)
        ipv4_read(ip, packet->size, out);
    else
        TRY(ipv6_read(ip, packet->size, out));
    out->ecn = tos_get(ip) & 3;
    bool fits = out->head <= HEAD_MAX && out->size > 0 && !(out->more && out->size % UNIT) &&
                out->head + out->offset + out->size <= PACKET_BYTES_MAX;
    return fits ? OK : FAULT_INNER_FRAGMENT;
}

// Places ------------------------------------------------------------------------------------------

// The one of its packet, or the emptiest: empty, too old, or the oldest.
static struct partial *partial_of(struct reassembler *reassembly, nsec now,
                                  const struct fragment_key *key)
{
    struct partial *oldest = &reassembly->at[0];
    for (size_t i = 0; i < REASSEMBLIES_MAX; i++) {
        struct partial *partial = &reassembly->at[i];
        if (partial->key.family && now - partial->begun > nsec_seconds(REASSEMBLY_SECONDS))
            partial->key.family = ADDR_NONE;
        if (memcmp(&partial->key, key, sizeof *key) == 0) return partial;
        bool older = oldest->key.family && partial->begun < oldest->begun;
        if (older || (!partial->key.family && oldest->key.family)) oldest = partial;
    }
    memset(oldest, 0, offsetof(struct partial, head));
    oldest->key = *key;
    oldest->begun = now;
    return oldest;
}

static bool unit_take(struct partial *partial, uint32_t unit)
{
    uint64_t bit = UINT64_C(1) << unit % 64, *word = &partial->there[unit / 64];
    bool free = !(*word & bit);
    *word |= bit;
    return free;
}

// RFC 5722 4: one unit that is there already refuses the whole packet.
static bool units_take(struct partial *partial, const struct fragment *fragment)
{
    uint32_t end = (fragment->offset + fragment->size + UNIT - 1) / UNIT;
    for (uint32_t unit = fragment->offset / UNIT; unit < end; unit++)
        if (!unit_take(partial, unit)) return false;
    return true;
}

// There is one last fragment, and nothing lies behind it.
static bool end_agrees(struct partial *partial, const struct fragment *fragment)
{
    uint32_t end = fragment->offset + fragment->size;
    if (!fragment->more) {
        if (partial->total) return false;
        partial->total = end;
    }
    if (partial->highest < end) partial->highest = end;
    return !partial->total || partial->highest <= partial->total;
}

static bool partial_add(struct partial *partial, const struct fragment *fragment, const uint8_t *ip)
{
    if (!units_take(partial, fragment) || !end_agrees(partial, fragment)) return false;
    memcpy(partial->data + fragment->offset, ip + fragment->at, fragment->size);
    partial->got += fragment->size;
    if (partial->largest < fragment->at + fragment->size)
        partial->largest = fragment->at + fragment->size;
    partial->ecn_seen |= (uint8_t)(1u << fragment->ecn);
    if (fragment->offset) return true;
    memcpy(partial->head, ip, fragment->head);
    partial->head_size = fragment->head;
    partial->next = fragment->next;
    partial->protocol = fragment->protocol;
    return true;
}

// The whole ---------------------------------------------------------------------------------------

static void head_mend(uint8_t *ip, uint32_t size, uint32_t next, uint8_t protocol)
{
    if (ip[0] >> 4 == 4) put_u16(ip + 6, 0);
    ip[next] = protocol;
    ip_set_size(ip, size);
}

// RFC 3168 5.3: congestion that one fragment met the whole has met.
static enum fault ecn_join(const struct partial *partial, uint8_t *ip)
{
    if (!(partial->ecn_seen & 1u << ECN_CE)) return OK;
    if (partial->ecn_seen & 1u) return FAULT_INNER_ECN;
    uint8_t tos = tos_get(ip) | ECN_CE;
    if (ip[0] >> 4 == 4)
        ip[1] = tos;
    else
        put_u16(ip, (uint16_t)((get_u16(ip) & 0xf00f) | (uint32_t)tos << 4));
    return OK;
}

static enum fault whole_make(const struct partial *partial, struct packet *packet)
{
    uint32_t size = partial->head_size + partial->total;
    if (size > PACKET_BYTES_MAX) return FAULT_INNER_FRAGMENT;
    if (packet->room < PACKET_HEAD + size + PACKET_TAIL) return FAULT_NO_ROOM;
    packet->at = packet->space + PACKET_HEAD;
    packet->size = size;
    memcpy(packet->at, partial->head, partial->head_size);
    memcpy(packet->at + partial->head_size, partial->data, partial->total);
    TRY(ecn_join(partial, packet->at));
    packet->joined = true;
    packet->limit = (uint16_t)partial->largest;
    packet->fragment_id = partial->key.id;
    head_mend(packet->at, size, partial->next, partial->protocol);
    return OK;
}

// RFC 6946 4: a packet in one fragment has nothing to do with others of the same identification.
static void lone_make(const struct fragment *fragment, struct packet *packet)
{
    uint32_t gap = fragment->at - fragment->head;
    memmove(packet->at + gap, packet->at, fragment->head);
    packet->at += gap;
    packet->size -= gap;
    head_mend(packet->at, packet->size, fragment->next, fragment->protocol);
}

enum fault reassembler_take(struct reassembler *reassembly, nsec now, struct packet *packet,
                           bool *whole)
{
    struct fragment fragment;
    *whole = false;
    TRY(fragment_read(packet, &fragment));
    if (!fragment.offset && !fragment.more) {
        lone_make(&fragment, packet);
        *whole = true;
        return OK;
    }
    struct partial *partial = partial_of(reassembly, now, &fragment.key);
    if (partial->refused || !partial_add(partial, &fragment, packet->at)) {
        partial->refused = true;
        return FAULT_INNER_FRAGMENT;
    }
    if (!partial->total || partial->got != partial->total) return OK;
    *whole = true;
    enum fault fault = whole_make(partial, packet);
    partial->key.family = ADDR_NONE;
    return fault;
}
