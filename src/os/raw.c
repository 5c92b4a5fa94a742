// SPDX-License-Identifier: Apache-2.0
// Raw sockets for ESP, for AH and for whole packets.
#include "os/raw.h"
#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
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
    return set(*out, IPPROTO_IP, IP_PKTINFO, 1) && set(*out, IPPROTO_IP, IP_RECVTOS, 1) &&
           set(*out, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
}

// A raw socket gets a copy of every packet of its protocol, IPv4 with the IP header, IPv6 without.
static bool share_attach(int fd, int family, unsigned spi_at, unsigned worker, unsigned workers)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LDX | BPF_IMM, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, spi_at), // a packet that is too short is not let in
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, workers),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, worker, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    if (family == AF_INET)
        code[0] = (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0); // RFC 791 3.1: IHL
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

static bool shared_open(int family, int protocol, uint32_t mark, unsigned workers, int *out)
{
    enum { ESP_SPI = 0, AH_SPI = 4 };
    unsigned spi_at = protocol == IPPROTO_AH ? AH_SPI : ESP_SPI;
    for (unsigned i = 0; i < workers; i++)
        if (!socket_open(family, protocol, mark, &out[i]) ||
            (workers > 1 && !share_attach(out[i], family, spi_at, i, workers)))
            return false;
    return true;
}

static bool family_open(int family, uint32_t mark, uint32_t bypass_mark, unsigned workers,
                        struct raw_sockets *out)
{
    bool v6 = family == AF_INET6;
    return shared_open(family, IPPROTO_ESP, mark, workers, v6 ? out->esp6 : out->esp4) &&
           shared_open(family, IPPROTO_AH, mark, workers, v6 ? out->ah6 : out->ah4) &&
           socket_open(family, IPPROTO_RAW, mark, v6 ? &out->whole6 : &out->whole4) &&
           socket_open(family, IPPROTO_RAW, bypass_mark, v6 ? &out->bypass6 : &out->bypass4) &&
           socket_open(family, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, mark,
                       v6 ? &out->icmp6 : &out->icmp4);
}

// All members are descriptors.
enum { FDS = sizeof(struct raw_sockets) / sizeof(int) };

enum fault raw_open(uint32_t mark, uint32_t bypass_mark, unsigned workers, struct raw_sockets *out,
                    const char **text)
{
    assert(workers >= 1 && workers <= RAW_WORKERS_MAX);
    int *fds = (int *)(void *)out;
    *text = NULL;
    for (unsigned i = 0; i < FDS; i++) fds[i] = -1;
    if (family_open(AF_INET, mark, bypass_mark, workers, out) &&
        (family_open(AF_INET6, mark, bypass_mark, workers, out) || errno == EAFNOSUPPORT))
        return OK;
    *text = strerror(errno);
    for (unsigned i = 0; i < FDS; i++) {
        if (fds[i] >= 0) close(fds[i]);
        fds[i] = -1;
    }
    return FAULT_SOCKET_REFUSED;
}
