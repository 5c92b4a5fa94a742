// SPDX-License-Identifier: Apache-2.0
// Where a sealed packet goes and what it weighs. The outer IP and UDP headers are the kernel's to
// write: a packet leaves with its destination, TOS and DF, as the payload of a UDP or of a raw
// socket.
#include "esp/internal.h"
#include "model/proposal.h"

void outer_set(const struct sa_run *run, struct packet *packet)
{
    packet->verdict = VERDICT_SEND;
    packet->outer = run->flags & SA_STREAM ? OUTER_STREAM : run->flags & SA_ENCAP ? OUTER_UDP : OUTER_RAW;
    packet->from = run->out.local;
    packet->to = run->out.remote;
}

void outer_set_whole(struct packet *packet)
{
    packet->verdict = VERDICT_SEND;
    packet->outer = OUTER_WHOLE;
    packet->head = 0;
    packet->from.port = packet->to.port = 0;
    ip_addrs(packet->at, &packet->from.addr, &packet->to.addr);
}

// RFC 6040 4.2 Figure 4: rows are what the inner header says, columns the outer: Not-ECT, ECT(1),
// ECT(0), CE as numbers 0 to 3. Congestion that the ends would not understand is told by dropping.
uint8_t ecn_combine(uint8_t inner, uint8_t outer, bool *drop)
{
    enum { NOT = 0, ONE = 1, ZERO = 2, CE = 3, DROP = 4 };
    static const uint8_t table[4][4] = {
        [NOT] = {NOT, NOT, NOT, DROP},
        [ONE] = {ONE, ONE, ONE, CE},
        [ZERO] = {ZERO, ONE, ZERO, CE},
        [CE] = {CE, CE, CE, CE},
    };
    uint8_t result = table[inner & 3][outer & 3];
    *drop = result == DROP;
    return *drop ? inner & 3 : result;
}

// RFC 1624 3: the checksum is corrected by the difference of the one word that changes.
static void ipv4_set_tos(uint8_t *ip, uint8_t tos)
{
    uint32_t sum = (uint16_t)~get_u16(ip + 10);
    sum += (uint16_t)~get_u16(ip);
    ip[1] = tos;
    sum += get_u16(ip);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    put_u16(ip + 10, (uint16_t)~sum);
}

void tos_set(uint8_t *ip, uint8_t tos)
{
    if (ip[0] >> 4 == 4)
        ipv4_set_tos(ip, tos);
    else
        put_u16(ip, (uint16_t)((get_u16(ip) & 0xf00f) | (uint32_t)tos << 4));
}

void ecn_set(uint8_t *ip, uint8_t ecn)
{
    tos_set(ip, (uint8_t)((tos_get(ip) & ~3u) | ecn));
}

// What the headers and the cipher of an SA add.
struct sizes {
    size_t outer; // headers before ESP
    size_t inner; // the inner packet's own header, where ESP does not carry it
    size_t iv, icv, align;
};

static size_t spec_inner(const struct sa_spec *spec)
{
    switch (spec->mode) {
    case MODE_TRANSPORT:
    case MODE_GATEWAY_TRANSPORT:
    case MODE_BEET:
        return ip_header_size(spec->remote.at[0].range.low.family);
    default:
        return 0;
    }
}

static size_t spec_outer(const struct sa_spec *spec)
{
    size_t udp = spec->path.encap ? UDP_HEADER : 0;
    if (spec->mode == MODE_TRANSPORT || spec->mode == MODE_GATEWAY_TRANSPORT)
        return udp + spec_inner(spec);
    return udp + ip_header_size(spec->path.remote.addr.family);
}

static struct sizes spec_sizes(const struct sa_spec *spec)
{
    struct encr_info encr = {0};
    struct integ_info integ = {0};
    bool known = encr_info(spec->encr, spec->key_bits, &encr);
    if (!known || !encr.icv) (void)integ_info(spec->integ, &integ);
    return (struct sizes){
        .outer = spec_outer(spec),
        .inner = spec_inner(spec),
        .iv = encr.iv,
        .icv = encr.icv ? encr.icv : integ.icv,
        .align = encr.block > 4 && !encr.stream && !encr.aead ? encr.block : 4,
    };
}

// RFC 4543 4: the field of AES-GMAC has its IV in it.
static size_t ah_overhead(const struct sa_spec *spec)
{
    struct integ_info integ = {0};
    bool gmac = spec->integ >= INTEG_AES_128_GMAC && spec->integ <= INTEG_AES_256_GMAC;
    bool tunnel = spec->mode == MODE_TUNNEL;
    (void)integ_info(spec->integ, &integ);
    uint8_t family = tunnel ? spec->path.remote.addr.family : spec->remote.at[0].range.low.family;
    return (tunnel ? ip_header_size(family) : 0) + ah_size(integ.icv + (gmac ? 8u : 0), family);
}

size_t plane_overhead(const struct sa_spec *spec, size_t inner_size)
{
    if (spec->protocol == PROTOCOL_AH) return ah_overhead(spec);
    struct sizes sizes = spec_sizes(spec);
    size_t carried = inner_size > sizes.inner ? inner_size - sizes.inner : 0;
    if (carried < spec->tfc_padding) carried = spec->tfc_padding;
    size_t payload = (carried + ESP_TRAILER + sizes.align - 1) / sizes.align * sizes.align;
    return sizes.outer + ESP_HEADER + sizes.iv + payload + sizes.icv - inner_size;
}
