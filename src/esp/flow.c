// SPDX-License-Identifier: Apache-2.0
// Reading an IP packet's flow. This runs for every packet, so it looks at bytes in place: each step
// first makes sure that what it looks at lies inside `size`, and the walk over extension headers
// has a hard end.
//
//   word 4 of a key:   destination port | source port | device | protocol | ports known | family
//                      63            48  47         32 31    16  15      8             4  3    0
#include "esp/flow.h"
#include "esp/octets.h"
#include "model/iana.h"

enum {
    HEADER_HOP_BY_HOP = 0,
    HEADER_ROUTING = 43,
    HEADER_FRAGMENT = 44,
    HEADER_OPTIONS = 60,
    HEADER_DCCP = 33,
    HEADER_SCTP = 132,
    HEADER_MOBILITY = 135,
    HEADER_UDP_LITE = 136,
    IPV4_OFFSET_MASK = 0x1fff,
    IPV6_OFFSET_MASK = 0xfff8,
};

// Where the transport header begins, if this packet has its beginning.
struct transport {
    uint8_t protocol;
    bool here;
    uint32_t offset;
};

enum fault ip_check(const uint8_t *at, uint32_t size, uint32_t *total)
{
    if (size < IPV4_HEADER) return FAULT_INNER_LENGTH;
    if (at[0] >> 4 == 4) {
        uint32_t header = (at[0] & 0xfu) * 4;
        *total = get_u16(at + 2);
        return header >= IPV4_HEADER && *total >= header && *total <= size ? OK
                                                                           : FAULT_INNER_LENGTH;
    }
    if (at[0] >> 4 != 6) return FAULT_INNER_NOT_IP;
    if (size < IPV6_HEADER) return FAULT_INNER_LENGTH;
    *total = IPV6_HEADER + (uint32_t)get_u16(at + 4);
    return *total <= size ? OK : FAULT_INNER_LENGTH;
}

static struct transport ipv4_transport(const uint8_t *at)
{
    return (struct transport){
        .protocol = at[9],
        .here = (get_u16(at + 6) & IPV4_OFFSET_MASK) == 0,
        .offset = (at[0] & 0xfu) * 4,
    };
}

// Steps over one extension header; false when `header` is none, or the packet ends inside it.
static bool extension_skip(const uint8_t *at, uint32_t size, struct transport *found)
{
    uint32_t offset = found->offset;
    if (offset + 8 > size) return false;
    uint32_t length = 8;
    switch (found->protocol) {
    case HEADER_HOP_BY_HOP:
    case HEADER_ROUTING:
    case HEADER_OPTIONS:
        length += at[offset + 1] * 8u;
        break;
    case HEADER_FRAGMENT:
        if (get_u16(at + offset + 2) & IPV6_OFFSET_MASK) found->here = false;
        break;
    case IPPROTO_NUMBER_AH: // RFC 4302 2.2: counted in 32-bit words, less two
        length += at[offset + 1] * 4u;
        break;
    default:
        return false;
    }
    found->protocol = at[offset];
    found->offset = offset + length;
    return found->here;
}

// What lies behind EXTENSIONS_MAX headers counts as unknown.
static struct transport ipv6_transport(const uint8_t *at, uint32_t size)
{
    struct transport found = {.protocol = at[6], .here = true, .offset = IPV6_HEADER};
    for (int i = 0; i < EXTENSIONS_MAX; i++)
        if (!extension_skip(at, size, &found)) break;
    return found;
}

// RFC 4301 4.4.1.1: ports, the ICMP type and code, or the type of a Mobility Header, are what the
// "port" selectors mean.
static bool transport_ports(const uint8_t *at, uint32_t size, const struct transport *found,
                            uint16_t ports[2])
{
    uint32_t left = found->here && found->offset <= size ? size - found->offset : 0;
    const uint8_t *header = at + found->offset;
    ports[0] = ports[1] = 0;
    switch (found->protocol) {
    case IPPROTO_NUMBER_TCP:
    case IPPROTO_NUMBER_UDP:
    case HEADER_UDP_LITE:
    case HEADER_SCTP:
    case HEADER_DCCP:
        if (left < 4) return false;
        ports[0] = get_u16(header);
        ports[1] = get_u16(header + 2);
        return true;
    case IPPROTO_NUMBER_ICMP:
    case IPPROTO_NUMBER_ICMPV6:
        if (left < 2) return false;
        ports[0] = ports[1] = get_u16(header);
        return true;
    case HEADER_MOBILITY:
        if (left < 3) return false;
        ports[0] = ports[1] = (uint16_t)(header[2] << 8);
        return true;
    default:
        return false;
    }
}

static struct transport transport_of(const uint8_t *at, uint32_t size)
{
    return at[0] >> 4 == 4 ? ipv4_transport(at) : ipv6_transport(at, size);
}

bool flow_transport(const uint8_t *at, uint32_t size, uint8_t *protocol, uint32_t *offset)
{
    struct transport found = transport_of(at, size);
    *protocol = found.protocol;
    *offset = found.offset;
    return found.here && found.offset <= size;
}

static void key_fill(const uint8_t *at, uint32_t size, struct flow_key *key)
{
    *key = (struct flow_key){0};
    unsigned family = at[0] >> 4;
    struct transport found = transport_of(at, size);
    if (family == ADDR_V4)
        memcpy(key->word, at + 12, 8);
    else
        memcpy(key->word, at + 8, 32);
    uint16_t ports[2];
    bool known = transport_ports(at, size, &found, ports);
    key->word[4] = family | (uint64_t)known << 4 | (uint64_t)found.protocol << 8 |
                   (uint64_t)ports[0] << 32 | (uint64_t)ports[1] << 48;
}

enum fault flow_key_read(const uint8_t *at, uint32_t size, struct flow_key *key, uint32_t *total)
{
    TRY(ip_check(at, size, total));
    key_fill(at, *total, key);
    return OK;
}

bool flow_key_read_part(const uint8_t *at, uint32_t size, struct flow_key *key)
{
    unsigned version = size ? at[0] >> 4 : 0;
    if (version == 4 ? size < IPV4_HEADER || (at[0] & 0xfu) * 4 < IPV4_HEADER
                     : version != 6 || size < IPV6_HEADER)
        return false;
    key_fill(at, size, key);
    return true;
}

void flow_of_key(const struct flow_key *key, struct flow *flow)
{
    const uint8_t *addrs = (const uint8_t *)key->word;
    uint64_t rest = key->word[4];
    uint8_t family = rest & 15;
    size_t size = family == ADDR_V4 ? 4 : 16;
    *flow = (struct flow){
        .source.family = family,
        .destination.family = family,
        .ports_known = rest >> 4 & 1,
        .protocol = (uint8_t)(rest >> 8),
        .source_port = (uint16_t)(rest >> 32),
        .destination_port = (uint16_t)(rest >> 48),
    };
    memcpy(flow->source.at, addrs, size);
    memcpy(flow->destination.at, addrs + size, size);
}

enum fault flow_read(struct bytes packet, struct flow *flow)
{
    struct flow_key key;
    uint32_t total;
    uint32_t size = packet.size > UINT32_MAX ? UINT32_MAX : (uint32_t)packet.size;
    TRY(flow_key_read(packet.at, size, &key, &total));
    flow_of_key(&key, flow);
    return OK;
}
