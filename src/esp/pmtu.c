// SPDX-License-Identifier: Apache-2.0
// What becomes of a packet that is too large for the path once it is sealed.
//
//     it must not be cut (DF, IPv6)     its sender is told (RFC 1191, RFC 4443), and it is dropped
//     it may be cut                     cut before it is sealed, or the sealed one is cut
//     copy_df = no                      the sealed one is cut: the operator wants it so
//     it came in fragments              it may be cut: its sender cuts already
//                                       (where no policy is for it: it is cut again as it came)
//     IPv6 of at most 1280 bytes        the sealed one is cut: its sender cannot make it smaller
//
// Nothing here trusts a packet: sizes are those that flow_key_read() has checked.
#include "esp/internal.h"

enum {
    ICMP_HEADER = 8,
    ICMP_V4_SIZE = 576,  // RFC 1812 4.3.2.3: as much of the packet as fits
    ICMP_V6_SIZE = 1280, // RFC 4443 2.4 (c)
    ICMP_V4_UNREACHABLE = 3,
    ICMP_V4_TOO_BIG = 4, // code: fragmentation needed and DF set
    ICMP_V6_TOO_BIG = 2,
    ICMP_V6_INFORMATIONAL = 128, // RFC 4443 2.1: types from here on are no errors
    ICMP_A_SECOND = 256,
    TOS_NETWORK_CONTROL = 0xc0, // RFC 1812 4.3.2.5
    TCP_HEADER = 20,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_CHECKSUM = 16,
    TCP_OPTION_END = 0,
    TCP_OPTION_NOP = 1,
    TCP_OPTION_MSS = 2,
    TCP_OPTION_AO = 29,
    MSS_SIZE = 4,
    IPV4_MORE_FRAGMENTS = 0x2000,
    IPV4_OFFSET = 0x1fff,
    IPV4_OPTION_COPIED = 0x80,
    FRAGMENT_UNIT = 8,
    FRAGMENT_HEADER = 8, // of IPv6
};

// TCP ---------------------------------------------------------------------------------------------

// Where TCP begins; 0: there is no whole TCP header.
static uint32_t tcp_place(const uint8_t *ip, uint32_t size)
{
    uint32_t at = 0;
    if (ip[0] >> 4 == 4) {
        if (ip[9] != IPPROTO_NUMBER_TCP || get_u16(ip + 6) & IPV4_OFFSET) return 0;
        at = (ip[0] & 0xfu) * 4;
    } else if (ip[6] == IPPROTO_NUMBER_TCP) {
        at = IPV6_HEADER;
    }
    return at && at + TCP_HEADER <= size ? at : 0;
}

bool tcp_is_syn(const uint8_t *ip, uint32_t size)
{
    uint32_t at = tcp_place(ip, size);
    return at && (ip[at + 13] & (TCP_SYN | TCP_RST)) == TCP_SYN;
}

// RFC 1624 3, for a word that stands at any place: one at an odd place is added in halves that have
// changed sides.
static void checksum_change(uint8_t *field, uint16_t from, uint16_t to, bool odd)
{
    if (odd) {
        from = (uint16_t)(from << 8 | from >> 8);
        to = (uint16_t)(to << 8 | to >> 8);
    }
    uint32_t sum = (uint16_t)~get_u16(field) + (uint32_t)(uint16_t)~from + to;
    put_u16(field, sum_end(sum));
}

// RFC 9293 3.1: options. The place of the one that says how large segments may be; 0: there is
// none, or none that may be changed.
static uint32_t mss_place(const uint8_t *tcp, uint32_t header)
{
    uint32_t found = 0;
    for (uint32_t at = TCP_HEADER; at < header;) {
        uint8_t kind = tcp[at];
        if (kind == TCP_OPTION_END) break;
        if (kind == TCP_OPTION_NOP) {
            at++;
            continue;
        }
        if (at + 1 >= header || tcp[at + 1] < 2 || at + tcp[at + 1] > header) return 0;
        if (kind == TCP_OPTION_AO) return 0;
        if (kind == TCP_OPTION_MSS && tcp[at + 1] == MSS_SIZE && !found) found = at + 2;
        at += tcp[at + 1];
    }
    return found;
}

void tcp_clamp(uint8_t *ip, uint32_t size, uint16_t mss)
{
    uint32_t place = tcp_place(ip, size);
    if (!place) return;
    uint8_t *tcp = ip + place;
    uint32_t header = (tcp[12] >> 4) * 4u;
    if (header < TCP_HEADER || place + header > size) return;
    uint32_t at = mss_place(tcp, header);
    uint16_t offered = at ? get_u16(tcp + at) : 0;
    if (!at || offered <= mss) return;
    put_u16(tcp + at, mss);
    checksum_change(tcp + TCP_CHECKSUM, offered, mss, at & 1);
}

// ICMP --------------------------------------------------------------------------------------------

// RFC 1122 3.2.2: never in answer to an ICMP error, to a group, or to any but the first fragment.
static bool v4_answerable(const uint8_t *ip, uint32_t size)
{
    static const uint8_t errors[] = {3, 4, 5, 11, 12};
    uint32_t header = (ip[0] & 0xfu) * 4;
    uint8_t source = ip[12], destination = ip[16];
    if (source == 0 || source == 127 || source >= 224 || destination >= 224) return false;
    if (get_u16(ip + 6) & IPV4_OFFSET) return false;
    if (ip[9] != IPPROTO_NUMBER_ICMP) return true;
    for (size_t i = 0; i < sizeof errors; i++)
        if (header >= size || ip[header] == errors[i]) return false;
    return true;
}

// RFC 4443 2.4 (e). A fragment header is looked into: what follows it in the first one is known.
static bool v6_answerable(const uint8_t *ip, uint32_t size)
{
    static const uint8_t none[16];
    if (ip[8] == 0xff || ip[24] == 0xff || memcmp(ip + 8, none, sizeof none) == 0) return false;
    struct ip_place place = ip_upper(ip, size);
    uint8_t protocol = ip[place.next];
    if (protocol == IPPROTO_NUMBER_IPV6_FRAG) {
        if (place.head + 8 >= size || get_u16(ip + place.head + 2) >> 3) return false;
        protocol = ip[place.head];
        place.head += 8;
    }
    if (protocol != IPPROTO_NUMBER_ICMPV6) return true;
    return place.head < size && ip[place.head] >= ICMP_V6_INFORMATIONAL;
}

// `quote` is what the message carries of the packet; the headers go before it.
static void icmp_write(uint8_t *ip, const uint8_t *quote, uint32_t quoted, uint32_t mtu)
{
    bool v4 = quote[0] >> 4 == 4;
    struct addr source, destination;
    ip_addrs(quote, &source, &destination);
    uint32_t header = ip_header_size(source.family);
    uint8_t *icmp = ip + header;
    memset(icmp, 0, ICMP_HEADER);
    icmp[0] = v4 ? ICMP_V4_UNREACHABLE : ICMP_V6_TOO_BIG;
    icmp[1] = v4 ? ICMP_V4_TOO_BIG : 0;
    put_u32(icmp + 4, mtu); // RFC 1191 4: the lower half of the word; RFC 4443 3.2: all of it
    const struct ip_fields fields = {.source = &destination,
                                     .destination = &source,
                                     .protocol = v4 ? IPPROTO_NUMBER_ICMP : IPPROTO_NUMBER_ICMPV6,
                                     .tos = TOS_NETWORK_CONTROL,
                                     .df = true};
    uint32_t size = ICMP_HEADER + quoted;
    ip_make(ip, &fields, header + size, 0);
    uint32_t sum = v4 ? 0 : ip_pseudo_sum(ip, IPPROTO_NUMBER_ICMPV6, size);
    put_u16(icmp + 2, sum_end(sum_add(sum, icmp, size)));
}

bool icmp_too_big(uint8_t **ip, uint32_t *size, uint32_t head, uint32_t mtu)
{
    bool v4 = (*ip)[0] >> 4 == 4;
    if (!(v4 ? v4_answerable(*ip, *size) : v6_answerable(*ip, *size))) return false;
    uint32_t before = ip_header_size(v4 ? ADDR_V4 : ADDR_V6) + ICMP_HEADER;
    uint32_t most = (v4 ? ICMP_V4_SIZE : ICMP_V6_SIZE) - before;
    uint32_t quoted = *size < most ? *size : most;
    if (head < before) return false;
    icmp_write(*ip - before, *ip, quoted, mtu);
    *ip -= before;
    *size = before + quoted;
    return true;
}

static bool budget_allows(struct icmp_budget *budget, nsec now)
{
    if (now - budget->since >= NSEC_PER_SECOND) *budget = (struct icmp_budget){.since = now};
    return budget->spent++ < ICMP_A_SECOND;
}

// Fragments ---------------------------------------------------------------------------------------

// RFC 791 3.2: of options only those that are marked so go with every fragment. In the others they
// give way to padding of the same size.
static void options_thin(uint8_t *ip, uint32_t header)
{
    for (uint32_t at = IPV4_HEADER; at < header;) {
        uint8_t kind = ip[at];
        uint32_t size = kind == TCP_OPTION_NOP ? 1 : 2;
        if (kind == TCP_OPTION_END) return;
        if (kind != TCP_OPTION_NOP) {
            if (at + 1 >= header || ip[at + 1] < 2 || at + ip[at + 1] > header) return;
            size = ip[at + 1];
        }
        if (!(kind & IPV4_OPTION_COPIED)) memset(ip + at, TCP_OPTION_NOP, size);
        at += size;
    }
}

// RFC 8200 4.5: the headers that routers read go with each fragment.
static bool ipv6_start(struct fragmenting *at, uint32_t mtu, uint32_t id)
{
    struct ip_place place = ip_fragmentable(at->ip, at->size);
    uint32_t before = place.head + FRAGMENT_HEADER;
    if (mtu < before + FRAGMENT_UNIT || at->ip[place.next] == IPPROTO_NUMBER_IPV6_FRAG)
        return false;
    at->header = at->next = place.head;
    at->named = place.next;
    at->id = id;
    at->payload = (mtu - before) / FRAGMENT_UNIT * FRAGMENT_UNIT;
    return true;
}

static bool ipv4_start(struct fragmenting *at, uint32_t mtu, uint32_t id)
{
    uint32_t header = (at->ip[0] & 0xfu) * 4;
    uint16_t own = get_u16(at->ip + 4);
    if (get_u16(at->ip + 6) & IPV4_DONT_FRAGMENT || mtu < header + FRAGMENT_UNIT) return false;
    at->header = at->next = header;
    // With none the kernel would give each fragment another one.
    at->id = own ? own : id % UINT16_MAX + 1;
    at->payload = (mtu - header) / FRAGMENT_UNIT * FRAGMENT_UNIT;
    return true;
}

bool fragment_start(struct fragmenting *at, const uint8_t *ip, uint32_t size, uint32_t mtu,
                    uint32_t id)
{
    *at = (struct fragmenting){.ip = ip, .size = size};
    return ip[0] >> 4 == 4 ? ipv4_start(at, mtu, id) : ipv6_start(at, mtu, id);
}

static uint32_t ipv4_piece(const struct fragmenting *at, uint8_t *out, uint32_t payload, bool last)
{
    uint16_t field = get_u16(at->ip + 6);
    bool more = field & IPV4_MORE_FRAGMENTS || !last;
    uint32_t offset = (field & IPV4_OFFSET) + (at->next - at->header) / FRAGMENT_UNIT;
    if (at->next > at->header) options_thin(out, at->header);
    memcpy(out + at->header, at->ip + at->next, payload);
    put_u16(out + 4, (uint16_t)at->id);
    put_u16(out + 6, (uint16_t)((more ? IPV4_MORE_FRAGMENTS : 0) | (offset & IPV4_OFFSET)));
    return at->header + payload;
}

static uint32_t ipv6_piece(const struct fragmenting *at, uint8_t *out, uint32_t payload, bool last)
{
    uint8_t *header = out + at->header;
    header[0] = out[at->named];
    header[1] = 0;
    put_u16(header + 2, (uint16_t)((at->next - at->header) | (last ? 0 : 1)));
    put_u32(header + 4, at->id);
    out[at->named] = IPPROTO_NUMBER_IPV6_FRAG;
    memcpy(header + FRAGMENT_HEADER, at->ip + at->next, payload);
    return at->header + FRAGMENT_HEADER + payload;
}

uint32_t fragment_next(struct fragmenting *at, uint8_t *out)
{
    uint32_t left = at->size - at->next;
    if (!left) return 0;
    uint32_t payload = left < at->payload ? left : at->payload;
    memcpy(out, at->ip, at->header);
    uint32_t size =
        (at->ip[0] >> 4 == 4 ? ipv4_piece : ipv6_piece)(at, out, payload, payload == left);
    ip_set_size(out, size);
    at->next += payload;
    return size;
}

// The choice --------------------------------------------------------------------------------------

// Fragments behind the first show no ports.
static bool inner_is_cut(const struct sa_run *run, const struct packet *packet)
{
    uint8_t family = packet->at[0] >> 4 == 6 ? ADDR_V6 : ADDR_V4;
    return run->mode == MODE_TUNNEL && run->sa->fragments == FRAGMENTS_INNER &&
           traffic_ports(run->sa->traffic, family) == PORTS_ANY && packet->size <= MTU_BUFFER;
}

// RFC 8200 5: no sender of IPv6 can be asked for packets of less than 1280 bytes.
static uint32_t mtu_told(const struct sa_run *run, bool v6)
{
    return v6 && run->out.mtu < MTU_LEAST_V6 ? MTU_LEAST_V6 : run->out.mtu;
}

// RFC 4301 8.2.1: the sender is told, by an ICMP message that comes out of the tunnel.
static void sender_tell(struct plane *plane, nsec now, const struct sa_run *run,
                        struct packet *packet)
{
    bool v6 = packet->at[0] >> 4 == 6;
    uint32_t head = (uint32_t)(packet->at - packet->space);
    packet_drop(plane, packet, FAULT_PATH_MTU);
    if (!budget_allows(&plane->icmp, now)) return;
    if (icmp_too_big(&packet->at, &packet->size, head, mtu_told(run, v6)))
        packet->verdict = VERDICT_DELIVER;
}

bool mtu_admits(struct plane *plane, nsec now, const struct sa_run *run, struct packet *packet)
{
    packet_spread(packet);
    bool v6 = packet->at[0] >> 4 == 6;
    bool whole = !packet->joined && (v6 || get_u16(packet->at + 6) & IPV4_DONT_FRAGMENT);
    bool wanted = run->mode != MODE_TRANSPORT && run->mode != MODE_GATEWAY_TRANSPORT &&
                  copy_df(run->copy) == DF_CLEAR;
    packet->oversize =
        wanted || (v6 && packet->size <= MTU_LEAST_V6) || (!whole && !inner_is_cut(run, packet));
    if (packet->oversize) return true;
    if (whole) {
        sender_tell(plane, now, run, packet);
        return false;
    }
    packet->verdict = VERDICT_FRAGMENT;
    packet->limit = run->out.mtu;
    return false;
}

// The kernel cuts what it writes the header of. What leaves with a header of its own is cut by us,
// as the path needs it.
//
// RFC 8200 5: what comes out of a gateway's transport mode goes on in links of any size, and no
// router there may cut it. So IPv6 that came in fragments leaves in fragments, and the other
// gateway knows.
void whole_limit(const struct sa_run *run, struct packet *packet)
{
    uint16_t path = run->sa->path_mtu, came = packet->limit;
    bool as_it_came =
        packet->joined && run->mode == MODE_GATEWAY_TRANSPORT && packet->at[0] >> 4 == 6;
    packet->limit = packet->oversize ? path : 0;
    if (!as_it_came) return;
    if (came < MTU_LEAST_V6) came = MTU_LEAST_V6;
    packet->limit = path && path < came ? path : came;
}
