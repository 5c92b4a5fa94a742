// SPDX-License-Identifier: Apache-2.0
// Between the kernel's socket addresses and ours.
#pragma once
#include "base/addr.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

union sockaddr_any {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static inline socklen_t sockaddr_of(const struct endpoint *endpoint, union sockaddr_any *out)
{
    memset(out, 0, sizeof *out);
    if (endpoint->addr.family == ADDR_V6) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(endpoint->port);
        memcpy(&out->v6.sin6_addr, endpoint->addr.at, 16);
        return sizeof out->v6;
    }
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(endpoint->port);
    memcpy(&out->v4.sin_addr, endpoint->addr.at, 4);
    return sizeof out->v4;
}

static inline struct endpoint sockaddr_endpoint(const union sockaddr_any *in)
{
    struct endpoint out = {0};
    if (in->any.sa_family == AF_INET6) {
        out.addr.family = ADDR_V6;
        memcpy(out.addr.at, &in->v6.sin6_addr, 16);
        out.port = ntohs(in->v6.sin6_port);
    } else if (in->any.sa_family == AF_INET) {
        out.addr.family = ADDR_V4;
        memcpy(out.addr.at, &in->v4.sin_addr, 4);
        out.port = ntohs(in->v4.sin_port);
    }
    return out;
}

// Room for a packet information, a traffic class and a time to live, either family, and the size of
// segments.
union pktinfo_control {
    uint64_t align;
    uint8_t space[CMSG_SPACE(sizeof(struct in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int)) + 64];
};

// Fills a control buffer for sending from `local` (none when any) with that traffic class; sets
// controllen.
void control_write(struct msghdr *head, union pktinfo_control *control, const struct addr *local,
                   uint8_t tos);
// Reads the address a packet was sent to and its traffic class.
void control_read(struct msghdr *head, struct addr *local, uint8_t *tos);
// After control_write: the time to live or hop limit of its IP header.
void control_write_ttl(struct msghdr *head, union pktinfo_control *control, uint8_t family, uint8_t ttl);
// The time to live or hop limit that a socket tells; 0: none.
uint8_t control_read_hop_limit(struct msghdr *head);
// After control_write: the message is datagrams of that many bytes each, the last may be shorter.
void control_write_segment(struct msghdr *head, union pktinfo_control *control, uint16_t size);
// The size of the datagrams that the kernel joined to this message; 0: it is one.
uint16_t control_read_segment(struct msghdr *head);
