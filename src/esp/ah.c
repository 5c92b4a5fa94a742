// SPDX-License-Identifier: Apache-2.0
// AH (RFC 4302): the whole packet is authenticated, its headers in front as far as the way leaves
// them as they are, and nothing is hidden.
//
//   transport  header | AH | TCP …
//   tunnel     outer header | AH | inner header | TCP …
//
// What may change on the way is zero for the check, or has the value that it will have at the end:
// a copy of the headers is made so (headers_mask), and the rest is taken as it lies there.
#include "esp/internal.h"

enum {
    HEADERS_MAX = 1024, // before AH: longer ones have no sane reason
    ROUTING_TYPE_0 = 0,
    ROUTING_TYPE_2 = 2, // RFC 6275 6.4
    OPTION_END = 0,
    OPTION_NOP = 1,
    OPTION_LOOSE_ROUTE = 131,
    OPTION_STRICT_ROUTE = 137,
    OPTION6_PAD1 = 0,
    OPTION6_CHANGES = 0x20, // RFC 8200 4.2
};

enum way { WAY_SEAL, WAY_OPEN };

// RFC 4302 2.6: a multiple of 4 bytes over IPv4, of 8 over IPv6.
uint32_t ah_size(uint32_t icv_size, uint8_t family)
{
    uint32_t unit = family == ADDR_V6 ? 8 : 4;
    return (AH_FIXED + icv_size + unit - 1) / unit * unit;
}

// What changes on the way
// --------------------------------------------------------------------------

// RFC 4302 A1: these are for the end; all others are zero for the check.
static bool option_stays(uint8_t type)
{
    static const uint8_t stay[] = {130, 133, 134, 148, 149};
    return memchr(stay, type, sizeof stay);
}

// RFC 4302 3.3.3.1.1.1: at the end of a source route the destination is the route's last address.
static void ipv4_route_end(uint8_t *ip, const uint8_t *option)
{
    uint32_t size = option[1], pointer = size > 2 ? option[2] : 0;
    if (size >= 7 && pointer >= 4 && pointer + 3 <= size) memcpy(ip + 16, option + size - 4, 4);
}

static enum fault ipv4_options_mask(uint8_t *ip, uint32_t head, enum way way)
{
    for (uint32_t at = IPV4_HEADER, size; at < head; at += size) {
        uint8_t type = ip[at];
        size = 1;
        if (type == OPTION_END) break;
        if (type == OPTION_NOP) continue;
        if (at + 2 > head || ip[at + 1] < 2 || at + ip[at + 1] > head) return FAULT_AH_HEADERS;
        size = ip[at + 1];
        if (option_stays(type)) continue;
        bool route = type == OPTION_LOOSE_ROUTE || type == OPTION_STRICT_ROUTE;
        if (route && way == WAY_SEAL) ipv4_route_end(ip, ip + at);
        memset(ip + at, 0, size);
    }
    return OK;
}

// RFC 4302 3.3.3.1.1.1: TOS, flags, offset, TTL and checksum.
static enum fault ipv4_mask(uint8_t *ip, uint32_t head, enum way way)
{
    if (get_u16(ip + 6) & IPV4_IS_FRAGMENT) return FAULT_MODE_FRAGMENT; // RFC 4302 3.4.1
    ip[1] = 0;
    put_u16(ip + 6, 0);
    ip[8] = 0;
    put_u16(ip + 10, 0);
    return ipv4_options_mask(ip, head, way);
}

// RFC 4302 3.3.3.1.2.2: an option says itself whether it changes; its type and length do not.
static enum fault ipv6_options_mask(uint8_t *header, uint32_t size)
{
    for (uint32_t at = 2, length; at < size; at += length) {
        length = 1;
        if (header[at] == OPTION6_PAD1) continue;
        if (at + 2 > size || at + 2 + header[at + 1] > size) return FAULT_AH_HEADERS;
        length = 2 + header[at + 1];
        if (header[at] & OPTION6_CHANGES) memset(header + at + 2, 0, header[at + 1]);
    }
    return OK;
}

// RFC 4302 A2: as the header will be at the end of its route. Every address of it that is still to
// come takes the place of the one before, the first one that of the destination.
static enum fault ipv6_route_mask(uint8_t *ip, uint8_t *header, uint32_t size, enum way way)
{
    uint32_t count = (size - 8) / 16, left = header[3];
    if (left == 0) return OK;
    bool known = header[2] == ROUTING_TYPE_0 || header[2] == ROUTING_TYPE_2;
    if (way == WAY_OPEN || !known || left > count) return FAULT_AH_HEADERS;
    uint8_t *next = header + 8 + (count - left) * 16, *last = header + 8 + (count - 1) * 16,
            end[16];
    memcpy(end, last, sizeof end);
    memmove(next + 16, next, (size_t)(last - next));
    memcpy(next, ip + 24, 16);
    memcpy(ip + 24, end, 16);
    header[3] = 0;
    return OK;
}

static enum fault ipv6_mask(uint8_t *ip, uint32_t head, enum way way)
{
    put_u32(ip, UINT32_C(6) << 28);
    ip[7] = 0;
    uint8_t protocol = ip[6];
    for (uint32_t at = IPV6_HEADER, size; at < head; at += size) {
        size = 8 + ip[at + 1] * 8u; // ip_place_of() and ip_insertion() have seen that all is there
        TRY(protocol == IPPROTO_NUMBER_IPV6_ROUTE ? ipv6_route_mask(ip, ip + at, size, way)
                                                  : ipv6_options_mask(ip + at, size));
        protocol = ip[at];
    }
    return OK;
}

static enum fault headers_mask(uint8_t *copy, const uint8_t *ip, uint32_t head, enum way way)
{
    if (head > HEADERS_MAX) return FAULT_AH_HEADERS;
    memcpy(copy, ip, head);
    return ip[0] >> 4 == 4 ? ipv4_mask(copy, head, way) : ipv6_mask(copy, head, way);
}

// RFC 4302 3.3.3.2.2: with ESN the upper half of the sequence number follows the packet.
struct covered {
    struct bytes at[3];
    uint8_t headers[HEADERS_MAX], high[4];
};

static struct bytes_list covered_list(struct covered *covered, uint32_t head, struct bytes rest,
                                      uint64_t sequence, bool esn)
{
    put_u32(covered->high, (uint32_t)(sequence >> 32));
    covered->at[0] = bytes_of(covered->headers, head);
    covered->at[1] = rest;
    covered->at[2] = bytes_of(covered->high, sizeof covered->high);
    return (struct bytes_list){covered->at, esn ? 3 : 2};
}

// Outbound ----------------------------------------------------------------------------------------

// A packet while AH is put into it: where AH stands from its beginning, and what it is followed by.
struct frame {
    uint32_t head, ah;
    uint8_t next_header;
};

static enum fault frame_room(struct plane *plane, struct sa_run *run, const struct packet *packet,
                             uint32_t more)
{
    if (packet->size + more > IP_SIZE_MAX) return FAULT_PACKET_TOO_LARGE;
    if ((size_t)(packet->at - packet->space) < more) return FAULT_NO_ROOM;
    return sequence_next(plane, run);
}

// The identification is protected and must not be the kernel's to choose, which it does with zero.
static uint16_t id_of(const struct sa_run *run)
{
    return (uint16_t)(run->out.sequence % UINT16_MAX + 1);
}

static enum fault transport_frame(struct plane *plane, struct sa_run *run, struct packet *packet,
                                  struct frame *frame)
{
    struct ip_place place;
    uint8_t *ip = packet->at;
    TRY(ip_insertion(ip, packet->size, &place));
    *frame = (struct frame){place.head, ah_size(run->icv_size, ip[0] >> 4 == 4 ? ADDR_V4 : ADDR_V6),
                            ip[place.next]};
    TRY(frame_room(plane, run, packet, frame->ah));
    packet->tos = tos_get(ip);
    packet->ttl = ip_ttl(ip);
    packet->df = ip[0] >> 4 == 6 || get_u16(ip + 6) & IPV4_DONT_FRAGMENT;
    ip[place.next] = IPPROTO_NUMBER_AH;
    if (ip[0] >> 4 == 4 && get_u16(ip + 4) == 0) put_u16(ip + 4, id_of(run));
    memmove(ip - frame->ah, ip, place.head);
    packet->at -= frame->ah;
    packet->size += frame->ah;
    return OK;
}

static enum fault tunnel_frame(struct plane *plane, struct sa_run *run, struct packet *packet,
                               struct frame *frame)
{
    uint8_t family = run->out.remote.addr.family;
    bool v4 = packet->at[0] >> 4 == 4;
    *frame = (struct frame){ip_header_size(family), ah_size(run->icv_size, family),
                            v4 ? IPPROTO_NUMBER_IPIP : IPPROTO_NUMBER_IPV6};
    uint32_t more = frame->head + frame->ah;
    TRY(frame_room(plane, run, packet, more));
    tunnel_outer(run, packet);
    packet->at -= more;
    packet->size += more;
    const struct ip_fields fields = {.source = &run->out.local.addr,
                                     .destination = &run->out.remote.addr,
                                     .protocol = IPPROTO_NUMBER_AH,
                                     .tos = packet->tos,
                                     .df = packet->df && !packet->oversize,
                                     .id = id_of(run)};
    ip_make(packet->at, &fields, packet->size, 0);
    packet->ttl = ip_ttl(packet->at);
    return OK;
}

static enum fault packet_seal(struct plane *plane, struct sa_run *run, struct packet *packet)
{
    struct frame frame;
    TRY(run->mode == MODE_TUNNEL ? tunnel_frame(plane, run, packet, &frame)
                                 : transport_frame(plane, run, packet, &frame));
    uint8_t *ah = packet->at + frame.head;
    ip_set_size(packet->at, packet->size);
    memset(ah, 0, frame.ah);
    ah[0] = frame.next_header;
    ah[1] = (uint8_t)(frame.ah / 4 - 2); // RFC 4302 2.2
    put_u32(ah + 4, run->spi);
    put_u32(ah + 8, (uint32_t)run->out.sequence);

    struct covered covered;
    TRY(headers_mask(covered.headers, packet->at, frame.head, WAY_SEAL));
    struct bytes rest = bytes_of(ah, packet->size - frame.head);
    icv_make(run->sa->icv, run->out.sequence,
             covered_list(&covered, frame.head, rest, run->out.sequence, run->flags & SA_ESN),
             ah + AH_FIXED);
    outer_set_whole(packet);
    whole_limit(run, packet);
    return OK;
}

void ah_group_seal(struct plane *plane, nsec now, const struct group *group,
                   struct packet *const *packets)
{
    struct sa_run *run = group->run;
    uint64_t bytes = 0, sealed = 0;
    for (unsigned i = 0, number = group->first; i < group->count;
         i++, number = plane->burst.next[number]) {
        struct packet *packet = packets[number];
        uint32_t size = packet->size;
        packet->spi = run->spi;
        if (!seal_admits(plane, now, run, packet)) continue;
        enum fault fault = packet_seal(plane, run, packet);
        if (fault) {
            packet_drop(plane, packet, fault);
            continue;
        }
        bytes += size;
        sealed++;
    }
    group_sealed(plane, now, run, bytes, sealed);
}

// Inbound -----------------------------------------------------------------------------------------

static uint8_t outer_family(const struct packet *packet)
{
    if (!packet->head) return packet->from.addr.family;
    return packet->at[-(ptrdiff_t)packet->head] >> 4 == 4 ? ADDR_V4 : ADDR_V6;
}

enum fault ah_sizes(const struct sa_run *run, const struct packet *packet)
{
    uint32_t size = ah_size(run->icv_size, outer_family(packet));
    if (packet->size < size) return FAULT_ESP_TOO_SHORT;
    if (packet->size > IP_SIZE_MAX) return FAULT_PACKET_TOO_LARGE;
    return (packet->at[1] + 2u) * 4 == size ? OK : FAULT_ESP_LENGTH;
}

// An IPv6 socket gives no header; without extensions all that counts in it is known nevertheless.
static enum fault headers_read(const struct packet *packet, uint8_t *copy, uint32_t *head)
{
    *head = packet->head;
    if (packet->head) {
        const uint8_t *ip = packet->at - packet->head;
        struct ip_place place;
        if (packet->head > HEADERS_MAX ||
            ip_place_of(ip, packet->head, IPPROTO_NUMBER_AH, &place) || place.head != packet->head)
            return FAULT_AH_HEADERS;
        return headers_mask(copy, ip, packet->head, WAY_OPEN);
    }
    if (packet->from.addr.family != ADDR_V6 || packet->to.addr.family != ADDR_V6)
        return FAULT_AH_HEADERS;
    *head = IPV6_HEADER;
    const struct ip_fields fields = {.source = &packet->from.addr,
                                     .destination = &packet->to.addr,
                                     .protocol = IPPROTO_NUMBER_AH};
    ip_make(copy, &fields, IPV6_HEADER + packet->size, 0);
    return ipv6_mask(copy, IPV6_HEADER, WAY_OPEN);
}

static enum fault icv_check(const struct sa_run *run, struct packet *packet, uint64_t sequence)
{
    struct covered covered;
    uint8_t field[ICV_FIELD_MAX];
    uint32_t head;
    TRY(headers_read(packet, covered.headers, &head));
    memcpy(field, packet->at + AH_FIXED, run->icv_size);
    memset(packet->at + AH_FIXED, 0, run->icv_size);
    struct bytes_list data = covered_list(&covered, head, bytes_of(packet->at, packet->size),
                                          sequence, run->flags & SA_ESN);
    return icv_right(run->sa->icv, data, field) ? OK : FAULT_ESP_ICV;
}

static enum fault packet_open(struct plane *plane, struct sa_run *run, struct packet *packet,
                              uint64_t sequence, bool *alive)
{
    TRY(icv_check(run, packet, sequence));
    *alive = true;
    TRY(packet_commit(plane, run, packet, sequence));
    uint32_t size = ah_size(run->icv_size, outer_family(packet));
    uint8_t next_header = packet->at[0];
    packet->at += size;
    packet->size -= size;
    if (run->mode == MODE_TUNNEL) return tunnel_unwrap(run, packet, next_header);
    TRY(header_return(packet, size, IPPROTO_NUMBER_AH, next_header, 0));
    uint32_t total;
    TRY(ip_check(packet->at, packet->size, &total));
    return inner_check(run, packet);
}

void ah_group_open(struct plane *plane, nsec now, const struct group *group,
                   struct packet *const *packets)
{
    const struct burst *burst = &plane->burst;
    struct sa_run *run = group->run;
    uint64_t bytes = 0, opened = 0;
    bool alive = false;
    for (unsigned i = 0, number = group->first; i < group->count;
         i++, number = burst->next[number]) {
        struct packet *packet = packets[number];
        enum fault fault = packet_open(plane, run, packet, burst->sequence[number], &alive);
        if (fault) {
            packet_refuse(plane, run, packet, fault);
            continue;
        }
        bytes += packet->size;
        opened++;
    }
    group_opened(plane, now, run, bytes, opened, alive);
}

// RFC 3948 1: AH does not go through NATs. We write the outer header, so both addresses must be
// known.
enum fault ah_check(const struct sa_spec *spec)
{
    if (spec->mode != MODE_TUNNEL && spec->mode != MODE_TRANSPORT) return FAULT_SA_MODE;
    bool tunnel_out = spec->mode == MODE_TUNNEL && spec->direction == SA_OUT;
    if (spec->path.encap || spec->encr_key.size) return FAULT_SA_PARAMETERS;
    return tunnel_out && spec->path.local.addr.family == ADDR_NONE ? FAULT_SA_PARAMETERS : OK;
}
