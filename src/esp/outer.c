// SPDX-License-Identifier: Apache-2.0
// Where a sealed packet goes. The outer IP and UDP headers are the kernel's to
// write: a packet leaves with its destination, TOS and DF, as the payload of a UDP or of a raw
// socket.
#include "esp/internal.h"

void outer_set(const struct sa_run *run, struct packet *packet)
{
    packet->verdict = VERDICT_SEND;
    packet->outer = run->flags & SA_STREAM ? OUTER_STREAM : run->flags & SA_ENCAP ? OUTER_UDP : OUTER_RAW;
    packet->from = run->out.local;
    packet->to = run->out.remote;
    packet->way = (uint32_t)((uintptr_t)run / sizeof *run);
    if (!packet->oversize) return;
    packet->df = false;
    packet->limit = run->sa->path_mtu;
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
