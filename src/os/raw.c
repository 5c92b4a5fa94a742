// SPDX-License-Identifier: Apache-2.0
// Raw sockets for ESP, for AH and for whole packets.
#include "os/raw.h"
#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 4 * 1024 * 1024 };

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

// Nothing but what may be about a packet that was too large.
static bool icmp_choose(int fd, int family)
{
    if (family == AF_INET) {
        struct icmp_filter filter = {.data = ~(1U << ICMP_DEST_UNREACH)};
        return setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof filter) == 0;
    }
    struct icmp6_filter filter;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &filter);
    return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) == 0;
}

static bool socket_open(int family, int protocol, uint32_t mark, int *out)
{
    *out = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (*out < 0) return false;
    set(*out, SOL_SOCKET, SO_RCVBUFFORCE, protocol == IPPROTO_RAW ? 0 : BUFFER_BYTES);
    set(*out, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES);
    if (!set(*out, SOL_SOCKET, SO_MARK, (int)mark)) return false;
    if (protocol == IPPROTO_RAW) return true;
    if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) return icmp_choose(*out, family);
    if (family == AF_INET6)
        return set(*out, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
               set(*out, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) &&
               set(*out, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE) &&
               set(*out, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    return set(*out, IPPROTO_IP, IP_PKTINFO, 1) &&
           set(*out, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
}

enum fault raw_open(uint32_t mark, uint32_t bypass_mark, struct raw_sockets *out, const char **text)
{
    *text = NULL;
    const struct {
        int protocol, protocol6;
        uint32_t mark;
        int *v4, *v6;
    } rows[] = {
        {IPPROTO_ESP, IPPROTO_ESP, mark, &out->esp4, &out->esp6},
        {IPPROTO_AH, IPPROTO_AH, mark, &out->ah4, &out->ah6},
        {IPPROTO_RAW, IPPROTO_RAW, mark, &out->whole4, &out->whole6},
        {IPPROTO_RAW, IPPROTO_RAW, bypass_mark, &out->bypass4, &out->bypass6},
        {IPPROTO_ICMP, IPPROTO_ICMPV6, mark, &out->icmp4, &out->icmp6},
    };
    enum { ROWS = sizeof rows / sizeof *rows };
    bool v4 = true, v6 = true;
    *out = (struct raw_sockets){-1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    for (unsigned i = 0; i < ROWS && v4; i++)
        v4 = socket_open(AF_INET, rows[i].protocol, rows[i].mark, rows[i].v4);
    for (unsigned i = 0; i < ROWS && v4 && v6; i++)
        v6 = socket_open(AF_INET6, rows[i].protocol6, rows[i].mark, rows[i].v6);
    if (v4 && (v6 || errno == EAFNOSUPPORT)) return OK;
    *text = strerror(errno);
    for (unsigned i = 0; i < ROWS; i++) {
        if (*rows[i].v4 >= 0) close(*rows[i].v4);
        if (*rows[i].v6 >= 0) close(*rows[i].v6);
        *rows[i].v4 = *rows[i].v6 = -1;
    }
    return FAULT_SOCKET_REFUSED;
}
