// SPDX-License-Identifier: Apache-2.0
// UDP sockets for IKE and for ESP in UDP.
//
//                               +--> ike_nat   first four bytes zero: IKE behind the non-ESP marker
//     port 4500, reuseport group|
//     and classic filter        +--> esp[n]    all others, n = SPI modulo workers; shorter than
//     four bytes: esp[0] port 500 ------------------> ike
//
// The kernel shows a filter of a reuseport group the UDP payload, beginning at its first byte, and
// takes the returned number as the place in the group: sockets are there in the order in which they
// were bound.
//
// The kernel may have joined datagrams of one sender before it asks the filter (UDP_GRO), which then
// sees the first only: a run of ESP can end with an IKE message, and the other way round. So readers
// of esp[n] look at each; ike_nat is given them one by one and drops what is not IKE.
#include "os/udp.h"
#include "base/mem.h"
#include "os/rtnl.h"
#include "os/sockaddr.h"
#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <unistd.h>

enum {
    BUFFER_BYTES = 4 * 1024 * 1024,
    PROCESSES_MAX = 65536,
    IPV6_LEAST = 1280, // RFC 8200 5: every link takes that
};

// --- who has the port

// The inode of the socket that is bound to the port, from /proc/net/udp or udp6; 0: none found.
static unsigned long port_inode(const char *table, uint16_t port)
{
    FILE *file = fopen(table, "re");
    if (!file) return 0;
    char line[512];
    unsigned long found = 0;
    while (!found && fgets(line, sizeof line, file)) {
        unsigned local = 0;
        unsigned long inode = 0;
        if (sscanf(line, "%*d: %*[0-9A-Fa-f]:%x %*s %*s %*s %*s %*s %*s %*s %lu", &local, &inode) ==
                2 &&
            local == port)
            found = inode;
    }
    fclose(file);
    return found;
}

static bool process_holds(const char *pid, const char *wanted)
{
    char path[300], target[64];
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *dir = opendir(path);
    if (!dir) return false;
    bool holds = false;
    for (struct dirent *entry; !holds && (entry = readdir(dir));) {
        ssize_t size = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);
        if (size <= 0) continue;
        target[size] = 0;
        holds = strcmp(target, wanted) == 0;
    }
    closedir(dir);
    return holds;
}

static bool process_of_inode(unsigned long inode, char *out, size_t room)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    DIR *dir = opendir("/proc");
    if (!dir) return false;
    bool found = false;
    unsigned looked = 0;
    for (struct dirent *entry; !found && looked < PROCESSES_MAX && (entry = readdir(dir));) {
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        looked++;
        if (!process_holds(entry->d_name, wanted)) continue;
        char path[300], name[64] = "?";
        snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file && fgets(name, sizeof name, file)) name[strcspn(name, "\n")] = 0;
        if (file) fclose(file);
        snprintf(out, room, "%s, process %.16s", name, entry->d_name);
        found = true;
    }
    closedir(dir);
    return found;
}

static const char *port_user(uint16_t port)
{
    static char text[160];
    char who[120];
    unsigned long inode = port_inode("/proc/net/udp", port);
    if (!inode) inode = port_inode("/proc/net/udp6", port);
    if (inode && process_of_inode(inode, who, sizeof who))
        snprintf(text, sizeof text, "UDP port %u is in use by %s", port, who);
    else
        snprintf(text, sizeof text, "UDP port %u is in use", port);
    return text;
}

// --- opening

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static bool options_set(int fd, enum addr_family family, uint32_t mark)
{
    set(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
    set(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES);
    if (!set(fd, SOL_SOCKET, SO_MARK, (int)mark)) return false;
    if (family == ADDR_V6)
        return set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) &&
               set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
               set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) &&
               set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    return set(fd, IPPROTO_IP, IP_PKTINFO, 1) && set(fd, IPPROTO_IP, IP_RECVTOS, 1) &&
           set(fd, IPPROTO_IP, IP_RECVTTL, 1) &&
           // RFC 7296 2: IKE must not depend on path MTU discovery; routers may cut its datagrams.
           set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
}

enum sharing { PORT_ALONE, PORT_SHARED };

static enum fault socket_open(enum addr_family family, uint16_t port, uint32_t mark,
                              enum sharing sharing, int *out)
{
    int fd = socket(family == ADDR_V6 ? AF_INET6 : AF_INET,
                    SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return FAULT_SOCKET_REFUSED;
    struct endpoint endpoint = {.addr = addr_any(family), .port = port};
    union sockaddr_any at;
    socklen_t size = sockaddr_of(&endpoint, &at);
    enum fault fault = OK;
    if (!options_set(fd, family, mark) ||
        (sharing == PORT_SHARED && !set(fd, SOL_SOCKET, SO_REUSEPORT, 1)))
        fault = FAULT_SOCKET_REFUSED;
    else if (bind(fd, &at.any, size) < 0)
        fault = errno == EADDRINUSE ? FAULT_PORT_IN_USE : FAULT_SOCKET_REFUSED;
    if (fault)
        close(fd);
    else
        *out = fd;
    return fault;
}

// Another daemon that shares its port as we do would let us into its group, and each would get half
// of the datagrams: the port must be free for a socket that does not share before ours are bound.
static enum fault port_is_free(enum addr_family family, uint16_t port, uint32_t mark)
{
    int fd;
    TRY(socket_open(family, port, mark, PORT_ALONE, &fd));
    close(fd);
    return OK;
}

static bool filter_attach(int fd, unsigned workers)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 4, 0, 5), // shorter: a keepalive, for worker 0
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),        // the SPI, or the non-ESP marker
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 4, 0),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, workers),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 1),
        BPF_STMT(BPF_RET | BPF_A, 0),
        BPF_STMT(BPF_RET | BPF_K, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0;
}

static enum fault nat_open(enum addr_family family, uint16_t port, unsigned workers, uint32_t mark,
                           struct udp_ports *out)
{
    TRY(port_is_free(family, port, mark));
    TRY(socket_open(family, port, mark, PORT_SHARED, &out->ike_nat));
    // The filter is there before the second socket: no datagram ever goes to the wrong one.
    if (!filter_attach(out->ike_nat, workers)) return FAULT_SOCKET_REFUSED;
    for (unsigned i = 0; i < workers; i++) {
        TRY(socket_open(family, port, mark, PORT_SHARED, &out->esp[i]));
        // Only for these: whoever does not ask for joined datagrams gets them one by one. Kernels
        // before 5.0 cannot join, which costs speed and nothing else.
        set(out->esp[i], SOL_UDP, UDP_GRO, 1);
        // What the path takes the SA knows; the kernel would cut what it takes for too large.
        if (family == ADDR_V6)
            set(out->esp[i], IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    }
    return OK;
}

static void ports_close(struct udp_ports *ports)
{
    int *all[] = {&ports->ike, &ports->ike_nat};
    for (unsigned i = 0; i < 2; i++) {
        if (*all[i] >= 0) close(*all[i]);
        *all[i] = -1;
    }
    for (unsigned i = 0; i < 16; i++) {
        if (ports->esp[i] >= 0) close(ports->esp[i]);
        ports->esp[i] = -1;
    }
}

enum fault udp_open(enum addr_family family, uint16_t port, uint16_t port_nat, unsigned workers,
                    uint32_t mark, struct udp_ports *out, const char **text)
{
    assert(workers >= 1 && workers <= 16);
    *text = NULL;
    out->ike = out->ike_nat = -1;
    for (unsigned i = 0; i < 16; i++) out->esp[i] = -1;
    uint16_t failed = port;
    enum fault fault = socket_open(family, port, mark, PORT_ALONE, &out->ike);
    if (!fault) {
        failed = port_nat;
        fault = nat_open(family, port_nat, workers, mark, out);
    }
    if (!fault && family == ADDR_V6) {
        // What this host does not cut nobody will.
        set(out->ike, IPPROTO_IPV6, IPV6_MTU, IPV6_LEAST);
        set(out->ike_nat, IPPROTO_IPV6, IPV6_MTU, IPV6_LEAST);
    }
    if (!fault) return OK;
    *text = fault == FAULT_PORT_IN_USE ? port_user(failed) : strerror(errno);
    ports_close(out);
    return fault;
}

// --- datagrams

void control_write(struct msghdr *head, union pktinfo_control *control, const struct addr *local,
                   uint8_t tos)
{
    memset(control, 0, sizeof *control);
    head->msg_control = control;
    head->msg_controllen = sizeof control->space;
    struct cmsghdr *item = CMSG_FIRSTHDR(head);
    bool v6 = local->family == ADDR_V6;
    size_t used = 0;
    if (!addr_is_any(local)) {
        item->cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
        item->cmsg_type = v6 ? IPV6_PKTINFO : IP_PKTINFO;
        if (v6) {
            item->cmsg_len = CMSG_LEN(sizeof(struct in6_pktinfo));
            memcpy(CMSG_DATA(item) + offsetof(struct in6_pktinfo, ipi6_addr), local->at, 16);
            used = CMSG_SPACE(sizeof(struct in6_pktinfo));
        } else {
            item->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
            memcpy(CMSG_DATA(item) + offsetof(struct in_pktinfo, ipi_spec_dst), local->at, 4);
            used = CMSG_SPACE(sizeof(struct in_pktinfo));
        }
        item = CMSG_NXTHDR(head, item);
    }
    if (tos) {
        int value = tos;
        item->cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
        item->cmsg_type = v6 ? IPV6_TCLASS : IP_TOS;
        item->cmsg_len = CMSG_LEN(sizeof value);
        memcpy(CMSG_DATA(item), &value, sizeof value);
        used += CMSG_SPACE(sizeof value);
    }
    head->msg_controllen = used;
    if (!used) head->msg_control = NULL;
}

static void control_item(const struct cmsghdr *item, struct addr *local, uint8_t *tos)
{
    const uint8_t *data = CMSG_DATA(item);
    size_t size = item->cmsg_len - CMSG_LEN(0);
    if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO &&
        size >= sizeof(struct in_pktinfo)) {
        local->family = ADDR_V4;
        memcpy(local->at, data + offsetof(struct in_pktinfo, ipi_addr), 4);
    } else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO &&
               size >= sizeof(struct in6_pktinfo)) {
        local->family = ADDR_V6;
        memcpy(local->at, data + offsetof(struct in6_pktinfo, ipi6_addr), 16);
    } else if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_TOS && size >= 1) {
        *tos = data[0];
    } else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_TCLASS &&
               size >= sizeof(int)) {
        int value;
        memcpy(&value, data, sizeof value);
        *tos = (uint8_t)value;
    }
}

void control_read(struct msghdr *head, struct addr *local, uint8_t *tos)
{
    *local = (struct addr){0};
    *tos = 0;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(head); item; item = CMSG_NXTHDR(head, item))
        control_item(item, local, tos);
}

void control_write_ttl(struct msghdr *head, union pktinfo_control *control, uint8_t family,
                       uint8_t ttl)
{
    size_t used = head->msg_control ? head->msg_controllen : 0;
    int value = ttl;
    assert(used + CMSG_SPACE(sizeof value) <= sizeof control->space);
    struct cmsghdr *item = (struct cmsghdr *)(void *)(control->space + used);
    item->cmsg_level = family == ADDR_V6 ? IPPROTO_IPV6 : IPPROTO_IP;
    item->cmsg_type = family == ADDR_V6 ? IPV6_HOPLIMIT : IP_TTL;
    item->cmsg_len = CMSG_LEN(sizeof value);
    memcpy(CMSG_DATA(item), &value, sizeof value);
    head->msg_control = control;
    head->msg_controllen = used + CMSG_SPACE(sizeof value);
}

static bool is_hop_limit(const struct cmsghdr *item)
{
    return (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_HOPLIMIT) ||
           (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_TTL);
}

uint8_t control_read_hop_limit(struct msghdr *head)
{
    for (struct cmsghdr *item = CMSG_FIRSTHDR(head); item; item = CMSG_NXTHDR(head, item)) {
        int value;
        if (!is_hop_limit(item) || item->cmsg_len < CMSG_LEN(sizeof value)) continue;
        memcpy(&value, CMSG_DATA(item), sizeof value);
        return value > 0 && value <= UINT8_MAX ? (uint8_t)value : 0;
    }
    return 0;
}

void control_write_segment(struct msghdr *head, union pktinfo_control *control, uint16_t size)
{
    size_t used = head->msg_control ? head->msg_controllen : 0;
    assert(used + CMSG_SPACE(sizeof size) <= sizeof control->space);
    struct cmsghdr *item = (struct cmsghdr *)(void *)(control->space + used);
    item->cmsg_level = SOL_UDP;
    item->cmsg_type = UDP_SEGMENT;
    item->cmsg_len = CMSG_LEN(sizeof size);
    memcpy(CMSG_DATA(item), &size, sizeof size);
    head->msg_control = control;
    head->msg_controllen = used + CMSG_SPACE(sizeof size);
}

uint16_t control_read_segment(struct msghdr *head)
{
    for (struct cmsghdr *item = CMSG_FIRSTHDR(head); item; item = CMSG_NXTHDR(head, item)) {
        int size;
        if (item->cmsg_level != SOL_UDP || item->cmsg_type != UDP_GRO ||
            item->cmsg_len < CMSG_LEN(sizeof size))
            continue;
        memcpy(&size, CMSG_DATA(item), sizeof size);
        return size > 0 && size <= UINT16_MAX ? (uint16_t)size : 0;
    }
    return 0;
}

bool udp_receive(int fd, uint16_t local_port, void *space, size_t room, struct datagram *out)
{
    union sockaddr_any from;
    union pktinfo_control control;
    struct iovec vector = {.iov_base = space, .iov_len = room};
    // An error that an earlier datagram of ours met is handed out once in place of a datagram; the
    // next call goes on.
    for (unsigned tries = 0; tries < UDP_BATCH_MAX; tries++) {
        struct msghdr head = {.msg_name = &from,
                              .msg_namelen = sizeof from,
                              .msg_iov = &vector,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof control};
        ssize_t size = recvmsg(fd, &head, MSG_DONTWAIT);
        if (size < 0 && errno == EAGAIN) return false;
        if (size < 0 || head.msg_flags & MSG_TRUNC) continue;
        out->remote = sockaddr_endpoint(&from);
        control_read(&head, &out->local.addr, &out->tos);
        out->local.port = local_port;
        out->size = (size_t)size;
        return true;
    }
    return false;
}

enum fault udp_send(int fd, const struct endpoint *local, const struct endpoint *remote,
                    uint8_t tos, struct bytes bytes)
{
    union sockaddr_any to;
    union pktinfo_control control;
    struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes.at, .iov_len = bytes.size};
    struct msghdr head = {.msg_name = &to, .msg_iov = &vector, .msg_iovlen = 1};
    head.msg_namelen = sockaddr_of(remote, &to);
    struct addr from = local->addr;
    if (from.family == ADDR_NONE) from = addr_any((enum addr_family)remote->addr.family);
    control_write(&head, &control, &from, tos);
    for (;;) {
        if (sendmsg(fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return OK;
        switch (errno) {
        case EINTR:
            continue;
        case EMSGSIZE:
            return FAULT_SEND_TOO_LARGE;
        case ENETUNREACH:
        case EHOSTUNREACH:
        case ENETDOWN:
            return FAULT_NO_ROUTE;
        default:
            return FAULT_SEND_REFUSED;
        }
    }
}

enum fault udp_send_uncut(int fd, const struct endpoint *local, const struct endpoint *remote,
                          uint8_t tos, struct bytes bytes)
{
    bool v6 = remote->addr.family == ADDR_V6;
    int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    int option = v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER;
    if (!set(fd, level, option, v6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE))
        return FAULT_SEND_REFUSED;
    if (v6) set(fd, level, IPV6_MTU, 0);
    if (v6) set(fd, level, IPV6_DONTFRAG, 1);
    enum fault fault = udp_send(fd, local, remote, tos, bytes);
    if (v6) set(fd, level, IPV6_DONTFRAG, 0);
    if (v6) set(fd, level, IPV6_MTU, IPV6_LEAST);
    set(fd, level, option, v6 ? IPV6_PMTUDISC_WANT : IP_PMTUDISC_DONT);
    return fault;
}

enum fault udp_source(const struct addr *remote, uint32_t mark, struct addr *source)
{
    return rtnl_source(remote, mark, source);
}
