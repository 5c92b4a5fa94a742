// SPDX-License-Identifier: Apache-2.0
// BEET mode (RFC 7402 Appendix B): on the wire like transport mode, in meaning like a tunnel
// between two fixed inner addresses, which the SA knows and packets do not carry.
//
//   inner  header | options | TCP …
//   sent   outer header | ESP | pseudo header | options | TCP … | trailer
//
// The pseudo header comes only with options of IPv4. It and its padding take the place where the
// inner header ended, so nothing is moved. DSCP, ECN, TTL and DF travel in the outer header.
#include "esp/internal.h"

enum {
    PSEUDO_HEADER = 4,
    PSEUDO_UNIT = 8,
    OPTIONS_MAX = 40,
    OPTION_NOP = 1,
};

static void options_wrap(struct packet *packet, uint32_t options, uint8_t *next_header)
{
    uint32_t pad = (PSEUDO_UNIT - (PSEUDO_HEADER + options) % PSEUDO_UNIT) % PSEUDO_UNIT;
    packet->at -= PSEUDO_HEADER + pad;
    packet->size += PSEUDO_HEADER + pad;
    packet->at[0] = *next_header;
    packet->at[1] = (uint8_t)((PSEUDO_HEADER + pad + options) / PSEUDO_UNIT - 1);
    packet->at[2] = (uint8_t)pad;
    packet->at[3] = 0;
    memset(packet->at + PSEUDO_HEADER, OPTION_NOP, pad);
    *next_header = IPPROTO_NUMBER_BEETPH;
}

// RFC 7402 B.1.5: the fields of the inner header are a hint for the outer one. A fragment of IPv4
// would lose where it belongs; those of IPv6 say it in a header of their own.
static enum fault beet_wrap(const struct sa_run *run, struct packet *packet, uint8_t *next_header)
{
    uint8_t *ip = packet->at;
    bool v4 = ip[0] >> 4 == 4;
    if (v4 && get_u16(ip + 6) & IPV4_IS_FRAGMENT) return FAULT_MODE_FRAGMENT;
    tunnel_outer(run, packet);
    packet->ttl = ip_ttl(ip);
    *next_header = v4 ? ip[9] : ip[6];
    uint32_t header = v4 ? IPV4_HEADER : IPV6_HEADER;
    uint32_t options = v4 ? (ip[0] & 0xfu) * 4 - IPV4_HEADER : 0;
    packet->at += header;
    packet->size -= header;
    if (options) options_wrap(packet, options, next_header);
    return OK;
}

// Leaves at on the options, and says how long they are.
static enum fault options_unwrap(struct packet *packet, uint8_t *next_header, uint32_t *options)
{
    const uint8_t *pseudo = packet->at;
    if (packet->size < PSEUDO_UNIT) return FAULT_BEET_HEADER;
    uint32_t size = (pseudo[1] + 1u) * PSEUDO_UNIT, pad = pseudo[2];
    if (size > packet->size || (pad != 0 && pad != 4)) return FAULT_BEET_HEADER;
    *options = size - PSEUDO_HEADER - pad;
    if (*options > OPTIONS_MAX) return FAULT_BEET_HEADER; // what is reserved some leave as it was
    *next_header = pseudo[0];
    packet->at += PSEUDO_HEADER + pad;
    packet->size -= PSEUDO_HEADER + pad;
    return OK;
}

// RFC 7402 B.1.6: the inner header is made of the SA's addresses and of what the outer one says.
static enum fault beet_unwrap(const struct sa_run *run, struct packet *packet, uint8_t next_header)
{
    const struct traffic *traffic = run->sa->traffic;
    const struct addr *local = &traffic->at[0].range.low,
                      *remote = &traffic->at[traffic->local_count].range.low;
    uint16_t id = get_u16(packet->at - run->iv_size - 2); // the sequence number's lower half
    uint32_t header = ip_header_size(local->family), options = 0;
    if (next_header == IPPROTO_NUMBER_BEETPH) {
        if (local->family != ADDR_V4) return FAULT_ESP_NEXT_HEADER;
        TRY(options_unwrap(packet, &next_header, &options));
    }
    if ((size_t)(packet->at - packet->space) < header) return FAULT_NO_ROOM;
    packet->at -= header;
    packet->size += header;
    if (packet->size > IP_SIZE_MAX) return FAULT_PACKET_TOO_LARGE;
    const struct ip_fields fields = {.source = remote,
                                     .destination = local,
                                     .protocol = next_header,
                                     .tos = packet->tos,
                                     .ttl = packet->ttl,
                                     .df = packet->df,
                                     .id = id};
    ip_make(packet->at, &fields, packet->size, options);
    return inner_check(run, packet);
}

static bool selectors_are(const struct selectors *set, const struct addr *addr)
{
    for (size_t i = 0; i < set->count; i++)
        if (!addr_equal(&set->at[i].range.low, addr) || !addr_equal(&set->at[i].range.high, addr))
            return false;
    return true;
}

// RFC 7402 B.1.1: one address on each side, of one family.
static enum fault beet_check(const struct sa_spec *spec)
{
    const struct addr *local = &spec->local.at[0].range.low,
                      *remote = &spec->remote.at[0].range.low;
    bool pair = local->family == remote->family && selectors_are(&spec->local, local) &&
                selectors_are(&spec->remote, remote);
    return pair ? OK : FAULT_SA_PARAMETERS;
}

const struct esp_mode beet_mode = {.wrap = beet_wrap, .unwrap = beet_unwrap, .check = beet_check};
