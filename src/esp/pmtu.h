// SPDX-License-Identifier: Apache-2.0
// Path MTU: how large a packet may be so that it fits the way to the peer once it is sealed (mtu.c), and what becomes of one that
// is larger (pmtu.c): its sender is told, or it is cut; TCP is kept from making such packets in the first place.
#pragma once
#include "base/nsec.h"
#include "model/sa.h"

enum {
    MTU_LEAST_V4 = 576,  // what is never gone below, whoever says so: RFC 791 3.1
    MTU_LEAST_V6 = 1280, // RFC 8200 5
    MTU_BUFFER = 9300,   // a packet that is not larger than this can be cut
};

// What of the path's MTU is left for an inner packet, part by part; bytes.
struct mtu_parts {
    uint8_t ip, udp;     // outer headers
    uint8_t header;      // ESP's; AH with its ICV
    uint8_t iv, trailer, icv;
    uint8_t align;       // what is encrypted is a multiple of it
    uint8_t kept;        // the packet's own header where it becomes, or is made again of, the outer one
    uint8_t family_kept; // transport mode: the outer header is the packet's own, of this family; 0: it is the path's
};
struct mtu_parts mtu_parts(const struct sa_spec *spec);
void mtu_parts_path(struct mtu_parts *parts, const struct path *path);
// The largest inner packet; at least 68 (RFC 791 3.2), whatever the path.
uint32_t mtu_inner(const struct mtu_parts *parts, uint32_t path_mtu);
// What remains of it for a TCP segment in a packet without options.
uint32_t mtu_mss(uint32_t inner, uint8_t family);

// --- TCP: the first packets of a connection say how large segments may be

// A packet that offers a maximum segment size.
bool tcp_is_syn(const uint8_t *ip, uint32_t size);
// What most packets are asked: is there TCP right behind the IP header? A whole IP packet is wanted.
static inline bool ip_is_tcp(const uint8_t *ip) { return ip[ip[0] >> 4 == 4 ? 9 : 6] == 6; }
// Lowers what it offers (RFC 9293 3.7.1) and mends the checksum. A segment whose options are signed (RFC 5925) stays as it is.
void tcp_clamp(uint8_t *ip, uint32_t size, uint16_t mss);

// --- ICMP: the sender of a packet is told

struct icmp_budget { // RFC 1812 4.3.2.8, RFC 4443 2.4 (f): so many a second, and no more
    nsec since;
    uint32_t spent;
};
// Makes of the packet the message that tells its sender of the MTU: "fragmentation needed" (RFC 1191 4) or "packet too big" (RFC 4443
// 3.2), as if the packet's destination had sent it. False: the packet is not one that may be answered. `head`: room before it.
bool icmp_too_big(uint8_t **ip, uint32_t *size, uint32_t head, uint32_t mtu);

// --- fragments of a packet

struct fragmenting {
    const uint8_t *ip; // borrowed
    uint32_t size, header;
    uint32_t named;    // IPv6: where in the header it is named what follows
    uint32_t id;       // what the fragments have in common
    uint32_t next;     // payload that comes next
    uint32_t payload;  // of each but the last
};
// False when the packet may not be cut. `id`: for IPv6, and for IPv4 where the packet has none.
bool fragment_start(struct fragmenting *at, const uint8_t *ip, uint32_t size, uint32_t mtu, uint32_t id);
// The next one, of at most mtu bytes, into `out`; its size, 0 when there is none left.
uint32_t fragment_next(struct fragmenting *at, uint8_t *out);
