// SPDX-License-Identifier: Apache-2.0
// IP headers as the modes handle them: where ESP and AH go in, how a header is made, changed and read. Sizes that come from a packet
// have been checked by ip_check() or are checked here.
#pragma once
#include "base/addr.h"
#include "base/fault.h"
#include "esp/octets.h"

enum {
    IPV4_HEADER = 20,
    IPV6_HEADER = 40,
    UDP_HEADER = 8,
    IPV4_DONT_FRAGMENT = 0x4000,
    IPV4_IS_FRAGMENT = 0x3fff, // more fragments, or an offset
    IPV6_EXTENSION_HOP_BY_HOP = 0,
    EXTENSIONS_MAX = 8, // more than any sane packet has
};

// A place between two headers: so many bytes stand before it, and the byte at `next` names what follows.
struct ip_place {
    uint32_t head, next;
};
// Where ESP or AH is inserted into a whole packet. FAULT_MODE_FRAGMENT, FAULT_INNER_LENGTH.
CHECKED enum fault ip_insertion(const uint8_t *ip, uint32_t size, struct ip_place *place);
// Steps over all headers before `protocol` (ESP or AH). FAULT_INNER_LENGTH when it does not come.
CHECKED enum fault ip_place_of(const uint8_t *ip, uint32_t size, uint8_t protocol, struct ip_place *place);
// Steps over all extension headers of a whole packet: what stands there is TCP, UDP … or unknown.
struct ip_place ip_upper(const uint8_t *ip, uint32_t size);
// RFC 8200 4.5: what stands behind this place is cut, and what stands before it goes with each fragment.
struct ip_place ip_fragmentable(const uint8_t *ip, uint32_t size);
// The total size, and with IPv4 the header's checksum.
void ip_set_size(uint8_t *ip, uint32_t size);
struct ip_fields {
    const struct addr *source, *destination; // of one family
    uint8_t protocol, tos, ttl;              // ttl 0: the usual one
    bool df;                                 // IPv4
    uint16_t id;                             // IPv4
};
static inline uint32_t ip_header_size(uint8_t family) { return family == ADDR_V4 ? IPV4_HEADER : IPV6_HEADER; }
// Writes a header without options before what makes up the rest of `size`. The checksum is that of `options` bytes more, which stand
// behind the header already.
void ip_make(uint8_t *ip, const struct ip_fields *fields, uint32_t size, uint32_t options);
void ip_addrs(const uint8_t *ip, struct addr *source, struct addr *destination);
// What a sound packet says of its own length.
static inline uint32_t ip_total(const uint8_t *ip)
{
    return ip[0] >> 4 == 4 ? get_u16(ip + 2) : (uint32_t)IPV6_HEADER + get_u16(ip + 4);
}
uint8_t ip_ttl(const uint8_t *ip);
static inline uint8_t tos_get(const uint8_t *ip)  // DSCP and ECN, the traffic class
{
    return ip[0] >> 4 == 4 ? ip[1] : (uint8_t)(get_u16(ip) >> 4);
}
// RFC 1071: ones' complement sum, to be folded and inverted.
uint32_t sum_add(uint32_t sum, const uint8_t *at, size_t size);
uint16_t sum_end(uint32_t sum);
// The sum of the pseudo header (RFC 793 3.1, RFC 8200 8.1).
uint32_t ip_pseudo_sum(const uint8_t *ip, uint8_t protocol, uint32_t size);
