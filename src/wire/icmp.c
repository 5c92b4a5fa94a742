// SPDX-License-Identifier: Apache-2.0
// Routers' messages about packets that were too large, and what they quote of them.
//
//     IPv4   IP header | 3, 4, checksum, unused, MTU | the packet's header | …     (RFC 1191 4)
//     IPv6               2, 0, checksum, MTU         | the packet's header | …     (RFC 4443 3.2)
//     quoted behind its IP header: ESP, AH, or UDP with ESP or IKE in it
#include "wire/icmp.h"
#include "base/rd.h"
#include "model/iana.h"

enum {
    IPV4_SIZE = 20,
    IPV6_SIZE = 40,
    V4_UNREACHABLE = 3,
    V4_TOO_BIG = 4,
    V6_TOO_BIG = 2,
    PORT_IKE = 500,
};

// RFC 1191 5: a router that says nothing of the size is older than the rule; then it is the next
// one below what it refused.
static uint32_t plateau(uint32_t refused)
{
    static const uint16_t plateaus[] = {17914, 8166, 4352, 2002, 1492, 1006, 576};
    for (unsigned i = 0; i < sizeof plateaus / sizeof *plateaus; i++)
        if (plateaus[i] < refused) return plateaus[i];
    return 0;
}

// The quoted packet's header; its size, and the protocol behind it.
static uint32_t header_read(struct rd *in, uint8_t family, struct icmp_quote *out,
                            uint8_t *protocol)
{
    bool v4 = family == ADDR_V4;
    uint32_t size = 0;
    uint8_t first = rd_u8(in);
    if (first >> 4 != (v4 ? 4 : 6)) return 0;
    if (v4) {
        rd_skip(in, 1);
        size = rd_u16(in);
        rd_skip(in, 2);
        uint16_t fragment = rd_u16(in);
        rd_skip(in, 1);
        *protocol = rd_u8(in);
        rd_skip(in, 2);
        if (fragment & 0x1fff || (first & 15) < 5) return 0;
    } else {
        rd_skip(in, 3);
        size = rd_u16(in) + (uint32_t)IPV6_SIZE;
        *protocol = rd_u8(in);
        rd_skip(in, 1);
    }
    out->local.family = out->remote.family = family;
    rd_copy(in, out->local.at, v4 ? 4 : 16);
    rd_copy(in, out->remote.at, v4 ? 4 : 16);
    if (v4) rd_skip(in, (first & 15u) * 4 - IPV4_SIZE);
    return size;
}

static void ike_read(struct rd *in, struct icmp_quote *out)
{
    out->ike = true;
    out->spi_i = rd_u64(in);
    out->spi_r = rd_u64(in);
}

static void udp_read(struct rd *in, struct icmp_quote *out)
{
    uint16_t local_port = rd_u16(in);
    out->remote_port = rd_u16(in);
    rd_skip(in, 4);
    if (local_port == PORT_IKE || out->remote_port == PORT_IKE) {
        ike_read(in, out);
        return;
    }
    out->spi = rd_u32(in); // RFC 3948 2.2: zero is the mark of IKE
    if (!out->spi) ike_read(in, out);
}

bool icmp_quote_read(uint8_t family, struct bytes message, struct icmp_quote *out)
{
    *out = (struct icmp_quote){0};
    struct rd in = rd_over(message);
    uint8_t protocol = 0;
    if (family == ADDR_V4) {
        uint8_t first = rd_u8(&in);
        if (first >> 4 != 4 || (first & 15) < 5) return false;
        rd_skip(&in, (first & 15u) * 4 - 1);
    }
    uint8_t type = rd_u8(&in), code = rd_u8(&in);
    rd_skip(&in, 2);
    uint32_t mtu = rd_u32(&in);
    if (family == ADDR_V4) mtu &= 0xffff;
    bool told = family == ADDR_V4 ? type == V4_UNREACHABLE && code == V4_TOO_BIG
                                  : type == V6_TOO_BIG && code == 0;
    uint32_t size = told ? header_read(&in, family, out, &protocol) : 0;
    if (!size) return false;
    if (protocol == IPPROTO_NUMBER_UDP) {
        udp_read(&in, out);
    } else if (protocol == IPPROTO_NUMBER_ESP) {
        out->spi = rd_u32(&in);
    } else if (protocol == IPPROTO_NUMBER_AH) {
        rd_skip(&in, 4);
        out->spi = rd_u32(&in);
    } else {
        return false;
    }
    if (mtu == 0 && family == ADDR_V4) mtu = plateau(size);
    // A router has no reason to refuse what it could take.
    if (rd_so_far(&in) != OK || mtu == 0 || mtu >= size) return false;
    out->mtu = (uint16_t)mtu;
    return true;
}
