// SPDX-License-Identifier: Apache-2.0
// IP headers: the walk to where ESP and AH stand, and what changes when they come or go.
#include "esp/ip.h"
#include "base/mem.h"
#include "model/iana.h"
#include <assert.h>
#include <stdbool.h>

enum { TTL_USUAL = 64 };

// Ones' complement arithmetic ---------------------------------------------------------------------

// No more than 65,575 bytes come in at a time: 64 bits hold the sum of 32-bit words, and the order
// of bytes within them does not matter until the end.
uint32_t sum_add(uint32_t sum, const uint8_t *at, size_t size)
{
    uint64_t wide = sum;
    for (; size >= 4; at += 4, size -= 4) wide += get_u32(at);
    if (size >= 2) {
        wide += (uint64_t)get_u16(at) << 16;
        at += 2;
        size -= 2;
    } else if (size) {
        wide += (uint64_t)at[0] << 24;
        size = 0;
    }
    if (size) wide += (uint64_t)at[0] << 8;
    wide = (wide & UINT32_MAX) + (wide >> 32);
    wide = (wide & UINT32_MAX) + (wide >> 32);
    return (uint32_t)wide;
}

uint16_t sum_end(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void ipv4_sum_set(uint8_t *ip, uint32_t header)
{
    put_u16(ip + 10, 0);
    put_u16(ip + 10, sum_end(sum_add(0, ip, header)));
}

uint32_t ip_pseudo_sum(const uint8_t *ip, uint8_t protocol, uint32_t size)
{
    uint32_t sum = ip[0] >> 4 == 4 ? sum_add(0, ip + 12, 8) : sum_add(0, ip + 8, 32);
    uint8_t rest[8] = {[7] = protocol};
    put_u32(rest, size);
    return sum_add(sum, rest, sizeof rest);
}

// Extension headers -------------------------------------------------------------------------------

// The size of an extension header that is not a fragment's; 0 when it is none, or is cut.
static uint32_t extension_size(const uint8_t *ip, uint32_t size, const struct ip_place *at)
{
    uint8_t protocol = ip[at->next];
    if (protocol != IPV6_EXTENSION_HOP_BY_HOP && protocol != IPPROTO_NUMBER_IPV6_ROUTE &&
        protocol != IPPROTO_NUMBER_IPV6_OPTS)
        return 0;
    if (at->head + 8 > size) return 0;
    uint32_t length = 8 + ip[at->head + 1] * 8u;
    return at->head + length <= size ? length : 0;
}

// RFC 4303 3.1.1, RFC 4302 3.1.1: what routers on the way read stays before ESP and AH: hop-by-hop
// options, a routing header, and the destination options that belong to one. Destination options
// for the final end go behind.
static bool extension_stays(const uint8_t *ip, const struct ip_place *at)
{
    return ip[at->next] != IPPROTO_NUMBER_IPV6_OPTS || ip[at->head] == IPPROTO_NUMBER_IPV6_ROUTE;
}

static void extensions_skip(const uint8_t *ip, uint32_t size, struct ip_place *at)
{
    uint32_t length;
    for (int i = 0; i < EXTENSIONS_MAX && (length = extension_size(ip, size, at)); i++)
        *at = (struct ip_place){.head = at->head + length, .next = at->head};
}

struct ip_place ip_upper(const uint8_t *ip, uint32_t size)
{
    if (ip[0] >> 4 == 4) return (struct ip_place){.head = (ip[0] & 0xfu) * 4, .next = 9};
    struct ip_place place = {.head = IPV6_HEADER, .next = 6};
    extensions_skip(ip, size, &place);
    return place;
}

// RFC 4303 3.1.1: ESP, and RFC 4302 3.3.4: AH is for whole datagrams only.
static bool ipv6_is_fragment(const uint8_t *ip, uint32_t size, struct ip_place at)
{
    extensions_skip(ip, size, &at);
    return ip[at.next] == IPPROTO_NUMBER_IPV6_FRAG;
}

struct ip_place ip_fragmentable(const uint8_t *ip, uint32_t size)
{
    if (ip[0] >> 4 == 4) return (struct ip_place){.head = (ip[0] & 0xfu) * 4, .next = 9};
    struct ip_place place = {.head = IPV6_HEADER, .next = 6};
    for (int i = 0; i < EXTENSIONS_MAX; i++) {
        uint32_t length = extension_size(ip, size, &place);
        if (!length || !extension_stays(ip, &place)) break;
        place = (struct ip_place){.head = place.head + length, .next = place.head};
    }
    return place;
}

enum fault ip_insertion(const uint8_t *ip, uint32_t size, struct ip_place *place)
{
    *place = ip_fragmentable(ip, size);
    if (ip[0] >> 4 == 4) return get_u16(ip + 6) & IPV4_IS_FRAGMENT ? FAULT_MODE_FRAGMENT : OK;
    return ipv6_is_fragment(ip, size, *place) ? FAULT_MODE_FRAGMENT : OK;
}

enum fault ip_place_of(const uint8_t *ip, uint32_t size, uint8_t protocol, struct ip_place *place)
{
    if (size < IPV4_HEADER) return FAULT_INNER_LENGTH;
    if (ip[0] >> 4 == 4) {
        *place = (struct ip_place){.head = (ip[0] & 0xfu) * 4, .next = 9};
        bool here = place->head >= IPV4_HEADER && place->head <= size && ip[9] == protocol;
        return here ? OK : FAULT_INNER_LENGTH;
    }
    if (ip[0] >> 4 != 6 || size < IPV6_HEADER) return FAULT_INNER_LENGTH;
    *place = (struct ip_place){.head = IPV6_HEADER, .next = 6};
    for (int i = 0; i < EXTENSIONS_MAX && ip[place->next] != protocol; i++) {
        uint32_t length = extension_size(ip, size, place);
        if (!length) break;
        *place = (struct ip_place){.head = place->head + length, .next = place->head};
    }
    return ip[place->next] == protocol ? OK : FAULT_INNER_LENGTH;
}

// Fields ------------------------------------------------------------------------------------------

void ip_set_size(uint8_t *ip, uint32_t size)
{
    if (ip[0] >> 4 == 4) {
        put_u16(ip + 2, (uint16_t)size);
        ipv4_sum_set(ip, (ip[0] & 0xfu) * 4);
    } else {
        put_u16(ip + 4, (uint16_t)(size - IPV6_HEADER));
    }
}

void ip_make(uint8_t *ip, const struct ip_fields *fields, uint32_t size, uint32_t options)
{
    uint8_t ttl = fields->ttl ? fields->ttl : TTL_USUAL;
    assert(fields->source->family == fields->destination->family);
    if (fields->source->family == ADDR_V4) {
        ip[0] = (uint8_t)(0x40 | (IPV4_HEADER + options) / 4);
        ip[1] = fields->tos;
        put_u16(ip + 4, fields->id);
        put_u16(ip + 6, fields->df ? IPV4_DONT_FRAGMENT : 0);
        ip[8] = ttl;
        ip[9] = fields->protocol;
        memcpy(ip + 12, fields->source->at, 4);
        memcpy(ip + 16, fields->destination->at, 4);
    } else {
        put_u32(ip, UINT32_C(6) << 28 | (uint32_t)fields->tos << 20);
        ip[6] = fields->protocol;
        ip[7] = ttl;
        memcpy(ip + 8, fields->source->at, 16);
        memcpy(ip + 24, fields->destination->at, 16);
    }
    ip_set_size(ip, size);
}

void ip_addrs(const uint8_t *ip, struct addr *source, struct addr *destination)
{
    bool v4 = ip[0] >> 4 == 4;
    size_t size = v4 ? 4 : 16;
    const uint8_t *at = ip + (v4 ? 12 : 8);
    *source = *destination = (struct addr){.family = v4 ? ADDR_V4 : ADDR_V6};
    memcpy(source->at, at, size);
    memcpy(destination->at, at + size, size);
}

uint8_t ip_ttl(const uint8_t *ip)
{
    return ip[0] >> 4 == 4 ? ip[8] : ip[7];
}
