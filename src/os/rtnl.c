// SPDX-License-Identifier: Apache-2.0
// Rtnetlink: messages are put together here, libmnl frames and walks them.
#include "os/rtnl.h"
#include "base/mem.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RECEIVE_MAX = 65536,
    MONITOR_BUFFER = 1024 * 1024,
    BATCH_MAX = 64, // requests sent at once: all may be refused, and their answers have to fit the socket
    WAYS_AT_ONCE = 256,
    SIZE_HOLDS_NS = 50 * 1000 * 1000, // shorter than what passes until a change is told
    RULE_GROUPS = 1 << (RTNLGRP_IPV4_RULE - 1) | 1 << (RTNLGRP_IPV6_RULE - 1),
};

struct rtnl {
    struct mnl_socket *socket;
    unsigned sequence;
    int error;
    struct device_size { // of the last device that was asked about
        unsigned device, mtu;
        nsec until;
    } size;
    int ioctl_fd;
    uint8_t space[RECEIVE_MAX] __attribute__((aligned(8)));
};

// --- encoding

static uint8_t kernel_family(uint8_t family)
{
    return family == ADDR_V6 ? AF_INET6 : AF_INET;
}

static struct nlmsghdr *message_start(void *space, enum rtnl_verb verb, uint16_t add, uint16_t del,
                                      uint16_t add_flags)
{
    memset(space, 0, RTNL_MESSAGE_MAX);
    struct nlmsghdr *message = mnl_nlmsg_put_header(space);
    message->nlmsg_type = verb == RTNL_ADD ? add : del;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | (verb == RTNL_ADD ? add_flags : 0);
    return message;
}

static void put_addr(struct nlmsghdr *message, uint16_t type, const struct addr *addr)
{
    mnl_attr_put(message, type, addr_size(addr), addr->at);
}

// Locked: the route's MTU holds even where it is larger than the device's.
static void put_mtu(struct nlmsghdr *message, uint32_t mtu)
{
    struct nlattr *metrics = mnl_attr_nest_start(message, RTA_METRICS);
    mnl_attr_put_u32(message, RTAX_LOCK, 1U << RTAX_MTU);
    mnl_attr_put_u32(message, RTAX_MTU, mtu);
    mnl_attr_nest_end(message, metrics);
}

struct nlmsghdr *rtnl_route_encode(void *space, enum rtnl_verb verb, const struct rtnl_route *route)
{
    struct nlmsghdr *message =
        message_start(space, verb, RTM_NEWROUTE, RTM_DELROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    struct rtmsg *body = mnl_nlmsg_put_extra_header(message, sizeof *body);
    body->rtm_family = kernel_family(route->to.addr.family);
    body->rtm_dst_len = route->to.bits;
    body->rtm_table = route->table < 256 ? (uint8_t)route->table : RT_TABLE_UNSPEC;
    body->rtm_protocol = RTNL_PROTOCOL;
    body->rtm_type = route->kind == ROUTE_THROW ? RTN_THROW : RTN_UNICAST;
    // The kernel compares the scope of IPv4 routes on deletion; a device route reaches its link.
    body->rtm_scope = route->kind == ROUTE_THROW || route->to.addr.family == ADDR_V6
                          ? RT_SCOPE_UNIVERSE
                          : RT_SCOPE_LINK;
    mnl_attr_put_u32(message, RTA_TABLE, route->table);
    if (route->to.bits) put_addr(message, RTA_DST, &route->to.addr);
    if (route->kind == ROUTE_DEVICE) mnl_attr_put_u32(message, RTA_OIF, route->device);
    // A preferred source is no part of what is deleted: it may be gone already.
    if (verb == RTNL_ADD && route->source.family != ADDR_NONE)
        put_addr(message, RTA_PREFSRC, &route->source);
    if (verb == RTNL_ADD && route->mtu) put_mtu(message, route->mtu);
    return message;
}

struct nlmsghdr *rtnl_rule_encode(void *space, enum rtnl_verb verb, const struct rtnl_rule *rule)
{
    struct nlmsghdr *message =
        message_start(space, verb, RTM_NEWRULE, RTM_DELRULE, NLM_F_CREATE | NLM_F_EXCL);
    struct fib_rule_hdr *body = mnl_nlmsg_put_extra_header(message, sizeof *body);
    body->family = kernel_family(rule->family);
    body->table = rule->table < 256 ? (uint8_t)rule->table : RT_TABLE_UNSPEC;
    body->action = rule->target ? FR_ACT_GOTO : FR_ACT_TO_TBL;
    body->flags = rule->invert ? FIB_RULE_INVERT : 0;
    mnl_attr_put_u32(message, FRA_PRIORITY, rule->priority);
    if (rule->target)
        mnl_attr_put_u32(message, FRA_GOTO, rule->target);
    else
        mnl_attr_put_u32(message, FRA_TABLE, rule->table);
    if (rule->mask) {
        mnl_attr_put_u32(message, FRA_FWMARK, rule->mark);
        mnl_attr_put_u32(message, FRA_FWMASK, rule->mask);
    }
    if (rule->protocol) mnl_attr_put_u8(message, FRA_IP_PROTO, rule->protocol);
    mnl_attr_put_u8(message, FRA_PROTOCOL, RTNL_PROTOCOL);
    return message;
}

struct nlmsghdr *rtnl_address_encode(void *space, enum rtnl_verb verb, unsigned device,
                                     const struct addr *addr)
{
    struct nlmsghdr *message =
        message_start(space, verb, RTM_NEWADDR, RTM_DELADDR, NLM_F_CREATE | NLM_F_REPLACE);
    struct ifaddrmsg *body = mnl_nlmsg_put_extra_header(message, sizeof *body);
    body->ifa_family = kernel_family(addr->family);
    body->ifa_prefixlen = (uint8_t)(addr_size(addr) * 8);
    // Nobody else is on a TUN device, so a duplicate need not be looked for, and the address is
    // usable at once.
    body->ifa_flags = addr->family == ADDR_V6 ? IFA_F_NODAD : 0;
    body->ifa_scope = RT_SCOPE_UNIVERSE;
    body->ifa_index = device;
    put_addr(message, IFA_LOCAL, addr);
    put_addr(message, IFA_ADDRESS, addr);
    return message;
}

struct nlmsghdr *rtnl_link_encode(void *space, unsigned device, bool up, unsigned mtu)
{
    struct nlmsghdr *message = message_start(space, RTNL_ADD, RTM_NEWLINK, RTM_NEWLINK, 0);
    struct ifinfomsg *body = mnl_nlmsg_put_extra_header(message, sizeof *body);
    body->ifi_family = AF_UNSPEC;
    body->ifi_index = (int)device;
    body->ifi_change = IFF_UP;
    body->ifi_flags = up ? IFF_UP : 0;
    if (mtu) mnl_attr_put_u32(message, IFLA_MTU, mtu);
    return message;
}

// --- talking with the kernel

struct rtnl *rtnl_new(void)
{
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!socket) return NULL;
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        mnl_socket_close(socket);
        return NULL;
    }
    struct rtnl *rtnl = NEW(struct rtnl);
    rtnl->socket = socket;
    rtnl->ioctl_fd = -1;
    return rtnl;
}

void rtnl_free(struct rtnl *rtnl)
{
    if (!rtnl) return;
    mnl_socket_close(rtnl->socket);
    if (rtnl->ioctl_fd >= 0) close(rtnl->ioctl_fd);
    free(rtnl);
}

const char *rtnl_reason(const struct rtnl *rtnl)
{
    return strerror(rtnl->error);
}

// Runs a callback over all of the answer; errno of the kernel or of ours in rtnl->error.
static bool exchange(struct rtnl *rtnl, struct nlmsghdr *message, mnl_cb_t each, void *context)
{
    unsigned port = mnl_socket_get_portid(rtnl->socket);
    message->nlmsg_seq = ++rtnl->sequence;
    rtnl->error = 0;
    if (mnl_socket_sendto(rtnl->socket, message, message->nlmsg_len) < 0) {
        rtnl->error = errno;
        return false;
    }
    for (;;) {
        ssize_t size = mnl_socket_recvfrom(rtnl->socket, rtnl->space, sizeof rtnl->space);
        if (size < 0 && errno == EINTR) continue;
        const struct nlmsghdr *first = (const void *)rtnl->space;
        // What belongs to an earlier question that was given up.
        if (size >= (ssize_t)sizeof *first && first->nlmsg_seq != rtnl->sequence) continue;
        int more = size < 0
                       ? -1
                       : mnl_cb_run(rtnl->space, (size_t)size, rtnl->sequence, port, each, context);
        if (more > 0) continue;
        if (more == 0) return true;
        rtnl->error = errno;
        return false;
    }
}

static bool is_done_already(uint16_t type, int error)
{
    switch (type) {
    case RTM_NEWROUTE:
    case RTM_NEWRULE:
    case RTM_NEWADDR:
        return error == EEXIST;
    case RTM_DELROUTE:
        return error == ESRCH || error == ENODEV;
    case RTM_DELRULE:
        return error == ENOENT || error == EAFNOSUPPORT;
    case RTM_DELADDR:
        return error == EADDRNOTAVAIL || error == ENODEV;
    default:
        return false;
    }
}

enum fault rtnl_do(struct rtnl *rtnl, struct nlmsghdr *message)
{
    if (exchange(rtnl, message, NULL, NULL)) return OK;
    if (is_done_already(message->nlmsg_type, rtnl->error)) return OK;
    return FAULT_NETLINK_REFUSED;
}

union message_space {
    struct nlmsghdr head;
    uint8_t at[RTNL_MESSAGE_MAX];
};

enum fault rtnl_route(struct rtnl *rtnl, enum rtnl_verb verb, const struct rtnl_route *route)
{
    union message_space space;
    return rtnl_do(rtnl, rtnl_route_encode(&space, verb, route));
}

// Reads answers up to that of the last one sent. Only refusals and the last one are answered.
static int batch_answers(struct rtnl *rtnl, enum rtnl_verb verb)
{
    int refusal = 0;
    for (;;) {
        ssize_t size = mnl_socket_recvfrom(rtnl->socket, rtnl->space, sizeof rtnl->space);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return errno;
        const struct nlmsghdr *at = (const void *)rtnl->space;
        int left = (int)size;
        for (; mnl_nlmsg_ok(at, left); at = mnl_nlmsg_next(at, &left)) {
            if (at->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(at) < sizeof(struct nlmsgerr)) continue;
            const struct nlmsgerr *answer = mnl_nlmsg_get_payload(at);
            if (answer->error && !is_done_already(verb == RTNL_ADD ? RTM_NEWROUTE : RTM_DELROUTE, -answer->error))
                refusal = -answer->error;
            if (at->nlmsg_seq == rtnl->sequence) return refusal;
        }
    }
}

enum fault rtnl_routes(struct rtnl *rtnl, enum rtnl_verb verb, const struct rtnl_route *routes, size_t count)
{
    enum fault fault = OK;
    for (size_t i = 0; i < count;) {
        union message_space space;
        uint8_t batch[BATCH_MAX * RTNL_MESSAGE_MAX];
        size_t size = 0, end = count - i < BATCH_MAX ? count : i + BATCH_MAX;
        for (; i < end; i++) {
            struct nlmsghdr *message = rtnl_route_encode(&space, verb, &routes[i]);
            if (i + 1 < end) message->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
            message->nlmsg_seq = ++rtnl->sequence;
            memcpy(batch + size, message, message->nlmsg_len);
            size += NLMSG_ALIGN(message->nlmsg_len);
        }
        rtnl->error = mnl_socket_sendto(rtnl->socket, batch, size) < 0 ? errno : batch_answers(rtnl, verb);
        if (rtnl->error) fault = FAULT_NETLINK_REFUSED;
    }
    return fault;
}

enum fault rtnl_rule(struct rtnl *rtnl, enum rtnl_verb verb, const struct rtnl_rule *rule)
{
    union message_space space;
    return rtnl_do(rtnl, rtnl_rule_encode(&space, verb, rule));
}

enum fault rtnl_address(struct rtnl *rtnl, enum rtnl_verb verb, unsigned device,
                        const struct addr *addr)
{
    union message_space space;
    return rtnl_do(rtnl, rtnl_address_encode(&space, verb, device, addr));
}

enum fault rtnl_link(struct rtnl *rtnl, unsigned device, bool up, unsigned mtu)
{
    union message_space space;
    return rtnl_do(rtnl, rtnl_link_encode(&space, device, up, mtu));
}

// --- listing

static struct nlmsghdr *dump_start(union message_space *space, uint16_t type, size_t body_size)
{
    memset(space, 0, sizeof *space);
    struct nlmsghdr *message = mnl_nlmsg_put_header(space);
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    mnl_nlmsg_put_extra_header(message, body_size);
    return message;
}

// Copies an address attribute of 4 or 16 bytes; false when it is neither.
static bool attr_addr(const struct nlattr *attr, struct addr *out)
{
    if (!attr) return false;
    return addr_from_bytes(bytes_of(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr)),
                           out) == OK;
}

static const struct nlattr *attr_find(const struct nlmsghdr *message, size_t body_size,
                                      uint16_t type)
{
    const char *end = mnl_nlmsg_get_payload_tail(message);
    const struct nlattr *attr = mnl_nlmsg_get_payload_offset(message, body_size);
    for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr))
        if (mnl_attr_get_type(attr) == type) return attr;
    return NULL;
}

static uint32_t attr_u32(const struct nlmsghdr *message, size_t body_size, uint16_t type,
                         uint32_t otherwise)
{
    const struct nlattr *attr = attr_find(message, body_size, type);
    return attr && mnl_attr_get_payload_len(attr) >= sizeof(uint32_t) ? mnl_attr_get_u32(attr)
                                                                      : otherwise;
}

struct route_list {
    uint32_t table;
    struct rtnl_route *at;
    size_t count, room;
};

static int route_note(const struct nlmsghdr *message, void *context)
{
    struct route_list *list = context;
    const struct rtmsg *body = mnl_nlmsg_get_payload(message);
    if (message->nlmsg_type != RTM_NEWROUTE || body->rtm_protocol != RTNL_PROTOCOL)
        return MNL_CB_OK;
    if (attr_u32(message, sizeof *body, RTA_TABLE, body->rtm_table) != list->table)
        return MNL_CB_OK;
    struct rtnl_route route = {.table = list->table};
    route.kind = body->rtm_type == RTN_THROW ? ROUTE_THROW : ROUTE_DEVICE;
    route.to.bits = body->rtm_dst_len;
    if (!attr_addr(attr_find(message, sizeof *body, RTA_DST), &route.to.addr))
        route.to.addr = addr_any(body->rtm_family == AF_INET6 ? ADDR_V6 : ADDR_V4);
    route.device = attr_u32(message, sizeof *body, RTA_OIF, 0);
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 64;
        list->at = mem_grow(list->at, list->room, sizeof *list->at);
    }
    list->at[list->count++] = route;
    return MNL_CB_OK;
}

enum fault rtnl_routes_flush(struct rtnl *rtnl, uint32_t table)
{
    struct route_list list = {.table = table};
    union message_space space;
    enum fault fault = OK;
    if (!exchange(rtnl, dump_start(&space, RTM_GETROUTE, sizeof(struct rtmsg)), route_note, &list))
        fault = FAULT_NETLINK_REFUSED;
    for (size_t i = 0; i < list.count && !fault; i++)
        fault = rtnl_route(rtnl, RTNL_DEL, &list.at[i]);
    free(list.at);
    return fault;
}

static int address_note(const struct nlmsghdr *message, void *context)
{
    const struct rtnl_watch *watch = context;
    bool came = message->nlmsg_type == RTM_NEWADDR;
    if (!came && message->nlmsg_type != RTM_DELADDR) return MNL_CB_OK;
    const struct ifaddrmsg *body = mnl_nlmsg_get_payload(message);
    // What is still being checked for duplicates cannot be sent from; the kernel tells again when
    // it is done.
    uint32_t flags = attr_u32(message, sizeof *body, IFA_FLAGS, body->ifa_flags);
    if (came && flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) return MNL_CB_OK;
    struct addr addr;
    if (attr_addr(attr_find(message, sizeof *body, IFA_LOCAL), &addr) ||
        attr_addr(attr_find(message, sizeof *body, IFA_ADDRESS), &addr))
        watch->address(watch->context, body->ifa_index, &addr, came);
    return MNL_CB_OK;
}

enum fault rtnl_addresses(struct rtnl *rtnl, const struct rtnl_watch *watch)
{
    union message_space space;
    struct nlmsghdr *message = dump_start(&space, RTM_GETADDR, sizeof(struct ifaddrmsg));
    return exchange(rtnl, message, address_note, (void *)(uintptr_t)watch) ? OK
                                                                           : FAULT_NETLINK_REFUSED;
}

// --- news

int rtnl_monitor_open(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0) return -1;
    struct sockaddr_nl at = {.nl_family = AF_NETLINK,
                             .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    int buffer = MONITOR_BUFFER;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0) return fd;
    close(fd);
    return -1;
}

bool rtnl_monitor_read(int fd, const struct rtnl_watch *watch)
{
    static uint8_t space[RECEIVE_MAX] __attribute__((aligned(8)));
    for (;;) {
        ssize_t size = recv(fd, space, sizeof space, MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return errno != ENOBUFS;
        mnl_cb_run(space, (size_t)size, 0, 0, address_note, (void *)(uintptr_t)watch);
    }
}

// --- ways: what is up, and which routes there are

int rtnl_ways_open(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0) return -1;
    struct sockaddr_nl at = {.nl_family = AF_NETLINK,
                             .nl_groups =
                                 RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RULE_GROUPS};
    if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0) return fd;
    close(fd);
    return -1;
}

static int way_note(const struct nlmsghdr *message, void *context)
{
    bool *changed = context;
    const struct rtmsg *body = mnl_nlmsg_get_payload(message);
    switch (message->nlmsg_type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        *changed |= body->rtm_protocol != RTNL_PROTOCOL && !(body->rtm_flags & RTM_F_CLONED);
        break;
    case RTM_NEWLINK:
    case RTM_DELLINK:
    case RTM_NEWRULE:
    case RTM_DELRULE:
        *changed = true;
        break;
    }
    return MNL_CB_OK;
}

// Where news were lost there were many.
bool rtnl_ways_read(int fd)
{
    static uint8_t space[RECEIVE_MAX] __attribute__((aligned(8)));
    bool changed = false;
    for (unsigned i = 0; i < WAYS_AT_ONCE; i++) {
        ssize_t size = recv(fd, space, sizeof space, MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return changed || errno == ENOBUFS;
        mnl_cb_run(space, (size_t)size, 0, 0, way_note, &changed);
    }
    return changed;
}

// --- which address would be used

static int source_note(const struct nlmsghdr *message, void *context)
{
    if (message->nlmsg_type == RTM_NEWROUTE)
        attr_addr(attr_find(message, sizeof(struct rtmsg), RTA_PREFSRC), context);
    return MNL_CB_STOP;
}

// Asks for the route to `remote`, as it is configured or as it is used now.
static bool route_ask(struct rtnl *rtnl, const struct addr *remote, uint32_t mark, unsigned flags,
                      mnl_cb_t note, void *context)
{
    union message_space space;
    memset(&space, 0, sizeof space);
    struct nlmsghdr *message = mnl_nlmsg_put_header(&space);
    message->nlmsg_type = RTM_GETROUTE;
    message->nlmsg_flags = NLM_F_REQUEST;
    struct rtmsg *body = mnl_nlmsg_put_extra_header(message, sizeof *body);
    body->rtm_family = kernel_family(remote->family);
    body->rtm_dst_len = (uint8_t)(addr_size(remote) * 8);
    body->rtm_flags = flags;
    put_addr(message, RTA_DST, remote);
    mnl_attr_put_u32(message, RTA_MARK, mark);
    return exchange(rtnl, message, note, context);
}

enum fault rtnl_source(const struct addr *remote, uint32_t mark, struct addr *source)
{
    *source = (struct addr){0};
    struct rtnl *rtnl = rtnl_new();
    bool answered = rtnl && route_ask(rtnl, remote, mark, 0, source_note, source);
    rtnl_free(rtnl);
    return !answered || source->family == ADDR_NONE ? FAULT_NO_ROUTE : OK;
}

// --- how large packets may be

struct way {
    unsigned device, mtu; // mtu of the route; 0: as the device
};

static int metric_note(const struct nlattr *attr, void *context)
{
    struct way *way = context;
    if (mnl_attr_get_type(attr) == RTAX_MTU && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
        way->mtu = mnl_attr_get_u32(attr);
    return MNL_CB_OK;
}

static int mtu_note(const struct nlmsghdr *message, void *context)
{
    struct way *way = context;
    if (message->nlmsg_type != RTM_NEWROUTE) return MNL_CB_STOP;
    way->device = attr_u32(message, sizeof(struct rtmsg), RTA_OIF, 0);
    const struct nlattr *metrics = attr_find(message, sizeof(struct rtmsg), RTA_METRICS);
    if (metrics) mnl_attr_parse_nested(metrics, metric_note, way);
    return MNL_CB_STOP;
}

static unsigned device_mtu(struct rtnl *rtnl, unsigned device)
{
    struct ifreq request = {.ifr_ifindex = (int)device};
    if (rtnl->ioctl_fd < 0) rtnl->ioctl_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (rtnl->ioctl_fd < 0) return 0;
    bool good = ioctl(rtnl->ioctl_fd, SIOCGIFNAME, &request) == 0 &&
                ioctl(rtnl->ioctl_fd, SIOCGIFMTU, &request) == 0;
    return good && request.ifr_mtu > 0 ? (unsigned)request.ifr_mtu : 0;
}

// Many peers come at once, all by the same device.
static unsigned device_mtu_recent(struct rtnl *rtnl, unsigned device, nsec now)
{
    struct device_size *size = &rtnl->size;
    if (size->device != device || now >= size->until)
        *size = (struct device_size){device, device_mtu(rtnl, device), now + SIZE_HOLDS_NS};
    return size->mtu;
}

uint16_t rtnl_mtu(struct rtnl *rtnl, const struct addr *remote, uint32_t mark, nsec now)
{
    struct way way = {0};
    if (!route_ask(rtnl, remote, mark, RTM_F_FIB_MATCH, mtu_note, &way) || !way.device) return 0;
    unsigned mtu = device_mtu_recent(rtnl, way.device, now);
    if (way.mtu && way.mtu < mtu) mtu = way.mtu;
    return (uint16_t)(mtu > UINT16_MAX ? UINT16_MAX : mtu);
}
