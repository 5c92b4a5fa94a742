// SPDX-License-Identifier: Apache-2.0
// Transport mode: a packet keeps its header, ESP goes in behind it (RFC 4303 3.1.1).
//
//   IPv4   header | ESP | TCP …                                     | trailer
//   IPv6   header | hop-by-hop, routing | ESP | options | TCP …     | trailer
//   in UDP header | UDP | ESP | TCP …                               | trailer
//
// The same between gateways: packets of the hosts behind them keep those hosts' addresses. The
// receiving gateway picks such packets up on their way, finds the SA by SPI, and takes only what is
// between addresses of that SA's selectors.
#include "esp/internal.h"

static uint32_t shift_of(const struct sa_run *run)
{
    return ESP_HEADER + run->iv_size + (run->flags & SA_ENCAP ? UDP_HEADER : 0u);
}

// The header moves forward by what will stand behind it.
static enum fault transport_wrap(const struct sa_run *run, struct packet *packet,
                                 uint8_t *next_header)
{
    struct ip_place place;
    uint8_t *ip = packet->at;
    TRY(ip_insertion(ip, packet->size, &place));
    uint32_t shift = shift_of(run);
    if ((size_t)(ip - packet->space) < shift) return FAULT_NO_ROOM;
    packet->tos = tos_get(ip);
    packet->ttl = ip_ttl(ip);
    packet->df = ip[0] >> 4 == 6 || get_u16(ip + 6) & IPV4_DONT_FRAGMENT;
    packet->head = (uint16_t)place.head;
    *next_header = ip[place.next];
    ip[place.next] = run->flags & SA_ENCAP ? IPPROTO_NUMBER_UDP : IPPROTO_NUMBER_ESP;
    memmove(ip - shift, ip, place.head);
    packet->at += place.head;
    packet->size -= place.head;
    return OK;
}

static void checksum_put(uint8_t *ip, uint8_t *field, uint8_t protocol, const uint8_t *at,
                         uint32_t size)
{
    put_u16(field, 0);
    uint16_t sum = sum_end(sum_add(ip_pseudo_sum(ip, protocol, size), at, size));
    // RFC 768: a UDP checksum of zero means that there is none.
    put_u16(field, sum == 0 && protocol == IPPROTO_NUMBER_UDP ? UINT16_MAX : sum);
}

// RFC 3948 2.1: the ports are those of IKE; over IPv4 there is no checksum. RFC 8200 8.1: over IPv6
// there is one.
static void udp_write(const struct sa_run *run, struct packet *packet, uint32_t head)
{
    uint8_t *udp = packet->at + head, *ip = packet->at;
    uint32_t size = packet->size - head;
    put_u16(udp, run->out.local.port);
    put_u16(udp + 2, run->out.remote.port);
    put_u16(udp + 4, (uint16_t)size);
    put_u16(udp + 6, 0);
    if (ip[0] >> 4 == 6) checksum_put(ip, udp + 6, IPPROTO_NUMBER_UDP, udp, size);
}

// Nothing in the header but what any socket of ours would write.
static bool is_plain(const struct sa_run *run, const struct packet *packet, uint32_t head)
{
    return head == ip_header_size(packet->to.addr.family) &&
           addr_equal(&packet->from.addr, &run->out.local.addr) &&
           addr_equal(&packet->to.addr, &run->out.remote.addr);
}

// The header leads to a host; the way there is by the gateway before it.
static void gateway_way(const struct sa_run *run, struct packet *packet)
{
    if (run->out.remote.addr.family == packet->to.addr.family)
        packet->to.addr = run->out.remote.addr;
}

static void transport_finish(const struct sa_run *run, struct packet *packet)
{
    uint32_t head = packet->head, before = head + (run->flags & SA_ENCAP ? UDP_HEADER : 0u);
    packet->at -= before;
    packet->size += before;
    ip_set_size(packet->at, packet->size);
    if (run->flags & SA_ENCAP) udp_write(run, packet, head);
    outer_set_whole(packet);
    if (run->mode == MODE_GATEWAY_TRANSPORT)
        gateway_way(run, packet);
    else if (is_plain(run, packet, head))
        packet->head = (uint16_t)before;
    whole_limit(run, packet);
}

// Inbound -----------------------------------------------------------------------------------------

static enum fault header_restore(struct packet *packet, uint32_t gap, uint8_t protocol,
                                 uint8_t next_header)
{
    uint32_t head = packet->head;
    uint8_t *ip = packet->at - head;
    struct ip_place place;
    assert((size_t)(packet->at - packet->space) >= gap + head);
    memmove(ip, ip - gap, head);
    if (ip_place_of(ip, head, protocol, &place) || place.head != head) return FAULT_INNER_LENGTH;
    ip[place.next] = next_header;
    return OK;
}

// RFC 6864 4.1: an identification is of use only where the packet may be fragmented; the sequence
// number's lower half repeats as late as anything that fits.
static enum fault header_build(struct packet *packet, uint8_t next_header, uint16_t id)
{
    uint32_t head = ip_header_size(packet->from.addr.family);
    if (packet->from.addr.family == ADDR_NONE || packet->from.addr.family != packet->to.addr.family)
        return FAULT_INNER_NOT_IP;
    if ((size_t)(packet->at - packet->space) < head) return FAULT_NO_ROOM;
    const struct ip_fields fields = {.source = &packet->from.addr,
                                     .destination = &packet->to.addr,
                                     .protocol = next_header,
                                     .tos = packet->tos,
                                     .ttl = packet->ttl,
                                     .df = packet->df,
                                     .id = id};
    ip_make(packet->at - head, &fields, head + packet->size, 0);
    packet->head = (uint16_t)head;
    return OK;
}

enum fault header_return(struct packet *packet, uint32_t gap, uint8_t protocol, uint8_t next_header,
                         uint16_t id)
{
    if (packet->head + packet->size > IP_SIZE_MAX) return FAULT_PACKET_TOO_LARGE;
    TRY(packet->head ? header_restore(packet, gap, protocol, next_header)
                     : header_build(packet, next_header, id));
    packet->at -= packet->head;
    packet->size += packet->head;
    packet->head = 0;
    ip_set_size(packet->at, packet->size);
    return OK;
}

// RFC 3948 3.1.2: behind a NAT an address has changed of which the checksum was made. ESP has shown
// that the packet is what its sender sent, so the checksum is made anew.
static void checksum_fix(uint8_t *ip, uint32_t size)
{
    struct ip_place place = ip_upper(ip, size);
    uint8_t *upper = ip + place.head;
    uint32_t left = size - place.head;
    switch (ip[place.next]) {
    case IPPROTO_NUMBER_TCP:
        if (left >= 20) checksum_put(ip, upper + 16, IPPROTO_NUMBER_TCP, upper, left);
        break;
    case IPPROTO_NUMBER_UDP:
        if (left < UDP_HEADER || get_u16(upper + 4) > left || get_u16(upper + 4) < UDP_HEADER)
            break;
        if (get_u16(upper + 6))
            checksum_put(ip, upper + 6, IPPROTO_NUMBER_UDP, upper, get_u16(upper + 4));
        break;
    case IPPROTO_NUMBER_ICMPV6:
        if (left >= 4) checksum_put(ip, upper + 2, IPPROTO_NUMBER_ICMPV6, upper, left);
        break;
    default: // others have no pseudo header, or are for NATs to break
        break;
    }
}

static enum fault transport_unwrap(const struct sa_run *run, struct packet *packet,
                                   uint8_t next_header)
{
    uint32_t gap = ESP_HEADER + run->iv_size;
    uint16_t id = get_u16(packet->at - gap + 6);
    TRY(header_return(packet, gap, IPPROTO_NUMBER_ESP, next_header, id));
    uint32_t total;
    TRY(ip_check(packet->at, packet->size, &total));
    if (run->flags & SA_ENCAP) checksum_fix(packet->at, packet->size);
    return inner_check(run, packet);
}

// What came in fragments was sent so because no router may cut IPv6, and that is no less true
// behind us. Every link takes 1280 bytes.
static enum fault gateway_unwrap(const struct sa_run *run, struct packet *packet,
                                 uint8_t next_header)
{
    TRY(transport_unwrap(run, packet, next_header));
    packet->limit = packet->joined && packet->at[0] >> 4 == 6 ? MTU_LEAST_V6 : 0;
    return OK;
}

bool gateway_takes(const struct sa_run *run, const struct packet *packet)
{
    const struct traffic *traffic = run->sa->traffic;
    struct addr source, destination;
    bool to_local = false, from_remote = false;
    source = packet->from.addr, destination = packet->to.addr; // as an IPv6 socket tells
    if (packet->head) ip_addrs(packet->at - packet->head, &source, &destination);
    for (size_t i = 0; i < traffic->local_count; i++)
        to_local |= range_has(&traffic->at[i].range, &destination);
    for (size_t i = 0; i < traffic->remote_count; i++)
        from_remote |= range_has(&traffic->at[traffic->local_count + i].range, &source);
    return to_local && from_remote;
}

// The ports are written by us.
static enum fault transport_check(const struct sa_spec *spec)
{
    bool ports = spec->path.local.port && spec->path.remote.port;
    return spec->direction == SA_OUT && spec->path.encap && !ports ? FAULT_SA_PARAMETERS : OK;
}

// The packet shows no gateway that UDP could lead to.
static enum fault gateway_check(const struct sa_spec *spec)
{
    return spec->path.encap ? FAULT_SA_PARAMETERS : OK;
}

const struct esp_mode transport_mode = {.wrap = transport_wrap,
                                        .finish = transport_finish,
                                        .unwrap = transport_unwrap,
                                        .check = transport_check};
const struct esp_mode gateway_mode = {.wrap = transport_wrap,
                                      .finish = transport_finish,
                                      .unwrap = gateway_unwrap,
                                      .check = gateway_check};
