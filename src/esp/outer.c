// SPDX-License-Identifier: Apache-2.0
// Where a sealed packet goes and what it weighs. The outer IP and UDP headers are the kernel's to
// write: a packet leaves with its destination, TOS and DF, as the payload of a UDP or of a raw
// socket.
#include "esp/internal.h"
#include "model/proposal.h"

void outer_set(const struct sa_run *run, struct packet *packet)
{
    packet->verdict = VERDICT_SEND;
    packet->outer = run->flags & SA_ENCAP ? OUTER_UDP : OUTER_RAW;
    packet->from = run->out.local;
    packet->to = run->out.remote;
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

void ecn_set(uint8_t *ip, uint8_t ecn)
{
    if (ip[0] >> 4 == 4) {
        ipv4_set_tos(ip, (uint8_t)((ip[1] & ~3u) | ecn));
    } else {
        ip[1] = (uint8_t)((ip[1] & ~0x30u) | (uint32_t)ecn << 4);
    }
}

// What the headers and the cipher of an SA add.
struct sizes {
    size_t outer, iv, icv, align;
};

static struct sizes spec_sizes(const struct sa_spec *spec)
{
    struct encr_info encr = {0};
    struct integ_info integ = {0};
    bool known = encr_info(spec->encr, spec->key_bits, &encr);
    if (!known || !encr.icv) (void)integ_info(spec->integ, &integ);
    bool v6 = spec->path.remote.addr.family == ADDR_V6;
    return (struct sizes){
        .outer = (v6 ? IPV6_HEADER : IPV4_HEADER) + (spec->path.encap ? UDP_HEADER : 0),
        .iv = encr.iv,
        .icv = encr.icv ? encr.icv : integ.icv,
        .align = encr.block > 4 && !encr.stream && !encr.aead ? encr.block : 4,
    };
}

size_t plane_overhead(const struct sa_spec *spec, size_t inner_size)
{
    struct sizes sizes = spec_sizes(spec);
    size_t payload = (inner_size + ESP_TRAILER + sizes.align - 1) / sizes.align * sizes.align;
    return sizes.outer + ESP_HEADER + sizes.iv + (payload - inner_size) + sizes.icv;
}
