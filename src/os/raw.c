// SPDX-License-Identifier: Apache-2.0
// Raw sockets for ESP and for packets that are to bypass protection.
#include "os/raw.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 4 * 1024 * 1024 };

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static bool socket_open(int family, int protocol, uint32_t mark, int *out)
{
    *out = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (*out < 0) return false;
    set(*out, SOL_SOCKET, SO_RCVBUFFORCE, protocol == IPPROTO_RAW ? 0 : BUFFER_BYTES);
    set(*out, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES);
    if (!set(*out, SOL_SOCKET, SO_MARK, (int)mark)) return false;
    if (protocol == IPPROTO_RAW) return true;
    if (family == AF_INET6)
        return set(*out, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
               set(*out, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    return set(*out, IPPROTO_IP, IP_PKTINFO, 1) &&
           set(*out, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
}

enum fault raw_open(uint32_t mark, uint32_t bypass_mark, struct raw_sockets *out, const char **text)
{
    *text = NULL;
    *out = (struct raw_sockets){-1, -1, -1, -1};
    bool v4 = socket_open(AF_INET, IPPROTO_ESP, mark, &out->esp4) &&
              socket_open(AF_INET, IPPROTO_RAW, bypass_mark, &out->bypass4);
    bool v6 = v4 && socket_open(AF_INET6, IPPROTO_ESP, mark, &out->esp6) &&
              socket_open(AF_INET6, IPPROTO_RAW, bypass_mark, &out->bypass6);
    if (v6 || (v4 && errno == EAFNOSUPPORT)) return OK;
    *text = strerror(errno);
    int *all[] = {&out->esp4, &out->esp6, &out->bypass4, &out->bypass6};
    for (unsigned i = 0; i < 4; i++) {
        if (*all[i] >= 0) close(*all[i]);
        *all[i] = -1;
    }
    return FAULT_SOCKET_REFUSED;
}
