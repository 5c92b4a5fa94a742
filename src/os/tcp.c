// SPDX-License-Identifier: Apache-2.0
#include "os/tcp.h"
#include "os/sockaddr.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { SEND_BUFFER = 256 * 1024, SILENCE_MS = 120000 };

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

// Small packets must not wait for each other; a peer that is gone is found out while something is
// unanswered.
static void connection_tune(int fd)
{
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, SILENCE_MS);
    set(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER);
}

int tcp_make(enum addr_family family, uint32_t mark)
{
    int fd = socket(family == ADDR_V6 ? AF_INET6 : AF_INET,
                    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    bool good = set(fd, SOL_SOCKET, SO_MARK, (int)mark) &&
                (family != ADDR_V6 || set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
    if (good) return fd;
    close(fd);
    return -1;
}

enum fault tcp_listen(enum addr_family family, uint16_t port, uint32_t mark, int *out)
{
    struct endpoint endpoint = {.addr = addr_any(family), .port = port};
    union sockaddr_any at;
    socklen_t size = sockaddr_of(&endpoint, &at);
    int fd = tcp_make(family, mark);
    if (fd < 0) return FAULT_SOCKET_REFUSED;
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(fd, &at.any, size) == 0 && listen(fd, TCP_BACKLOG) == 0) {
        *out = fd;
        return OK;
    }
    int error = errno;
    close(fd);
    errno = error;
    return error == EADDRINUSE ? FAULT_PORT_IN_USE : FAULT_SOCKET_REFUSED;
}

enum fault tcp_connect(int fd, const struct addr *local, const struct endpoint *remote)
{
    struct endpoint from = {.addr = *local};
    union sockaddr_any at;
    socklen_t size = sockaddr_of(&from, &at);
    set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    // An address that has gone is no reason to stay away: the kernel takes another.
    if (!addr_is_any(local) && bind(fd, &at.any, size) < 0 && errno != EADDRNOTAVAIL)
        return FAULT_SOCKET_REFUSED;
    connection_tune(fd);
    size = sockaddr_of(remote, &at);
    return connect(fd, &at.any, size) == 0 || errno == EINPROGRESS ? OK : FAULT_SOCKET_REFUSED;
}

int tcp_error(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

void tcp_reset(int fd)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    (void)connect(fd, &none, sizeof none);
}

static struct endpoint name_of(int fd, int (*which)(int, struct sockaddr *, socklen_t *))
{
    union sockaddr_any at = {0};
    socklen_t size = sizeof at;
    return which(fd, &at.any, &size) == 0 ? sockaddr_endpoint(&at) : (struct endpoint){0};
}

int tcp_accept(int listening, struct endpoint *local, struct endpoint *remote)
{
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return -1;
    connection_tune(fd);
    *local = name_of(fd, getsockname);
    *remote = name_of(fd, getpeername);
    return fd;
}
