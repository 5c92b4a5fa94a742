// SPDX-License-Identifier: Apache-2.0
// Routes, rules, addresses and links of the network namespace by way of rtnetlink. What is sent is
// made by pure functions (rtnl_*_encode) that tests compare with golden bytes; sending is separate.
// Routes and rules of ours carry a protocol number of our own, so that we find what a former life
// left behind and never touch what others made.
#pragma once
#include "base/addr.h"
#include "base/fault.h"
#include "base/nsec.h"

struct nlmsghdr;
struct rtnl;

enum { RTNL_MESSAGE_MAX = 512, RTNL_PROTOCOL = 0x43 };
enum route_kind { ROUTE_DEVICE = 1, ROUTE_THROW }; // throw: look on in the next table
enum rtnl_verb { RTNL_ADD = 1, RTNL_DEL };

struct rtnl_route {
    uint8_t kind; // enum route_kind
    struct prefix to;
    uint32_t table;
    unsigned device;    // index, DEVICE only
    struct addr source; // preferred source; family ADDR_NONE: none
    uint32_t mtu;       // whatever the device says; 0: as the device
};
struct rtnl_rule {
    uint8_t family; // enum addr_family
    uint32_t priority, table;
    uint32_t mark, mask; // 0/0: any; 0/mask: none of these bits
    bool invert;         // for all that does not carry the mark
    uint8_t protocol;    // of IP; 0: any
    uint32_t target;     // priority of a later rule to go on with; 0: a table is looked into
};

// Each writes one message and returns its header, which is `space`. Room: RTNL_MESSAGE_MAX, aligned
// as malloc aligns.
struct nlmsghdr *rtnl_route_encode(void *space, enum rtnl_verb verb,
                                   const struct rtnl_route *route);
struct nlmsghdr *rtnl_rule_encode(void *space, enum rtnl_verb verb, const struct rtnl_rule *rule);
struct nlmsghdr *rtnl_address_encode(void *space, enum rtnl_verb verb, unsigned device,
                                     const struct addr *addr);
struct nlmsghdr *rtnl_link_encode(void *space, unsigned device, bool up,
                                  unsigned mtu); // mtu 0: as it is

// NULL when the kernel gives no socket.
struct rtnl *rtnl_new(void);
void rtnl_free(struct rtnl *rtnl);
// Sends one message and waits for the kernel's answer. Adding what is there and deleting what is
// not count as done. After FAULT_NETLINK_REFUSED rtnl_reason() has the kernel's words.
CHECKED enum fault rtnl_do(struct rtnl *rtnl, struct nlmsghdr *message);
const char *rtnl_reason(const struct rtnl *rtnl);

CHECKED enum fault rtnl_route(struct rtnl *rtnl, enum rtnl_verb verb,
                              const struct rtnl_route *route);
// Several at once, which is quicker; what one is refused for does not keep the others back, and is what is returned.
CHECKED enum fault rtnl_routes(struct rtnl *rtnl, enum rtnl_verb verb, const struct rtnl_route *routes, size_t count);
CHECKED enum fault rtnl_rule(struct rtnl *rtnl, enum rtnl_verb verb, const struct rtnl_rule *rule);
CHECKED enum fault rtnl_address(struct rtnl *rtnl, enum rtnl_verb verb, unsigned device,
                                const struct addr *addr);
CHECKED enum fault rtnl_link(struct rtnl *rtnl, unsigned device, bool up, unsigned mtu);
// Deletes all routes of our protocol in that table.
CHECKED enum fault rtnl_routes_flush(struct rtnl *rtnl, uint32_t table);

struct rtnl_watch { // who wants to know of addresses
    void *context;
    void (*address)(void *context, unsigned device, const struct addr *addr, bool came);
};
// Calls for every address that is usable now.
CHECKED enum fault rtnl_addresses(struct rtnl *rtnl, const struct rtnl_watch *watch);
// A socket that becomes readable when addresses change; read by rtnl_monitor_read(), which returns
// false when news were lost and the caller has to list all addresses again.
int rtnl_monitor_open(void);
bool rtnl_monitor_read(int fd, const struct rtnl_watch *watch);

// A socket that becomes readable when links, routes or rules change. rtnl_ways_read() empties it:
// may the way to some host be another one now? Routes of our own do not count.
int rtnl_ways_open(void);
bool rtnl_ways_read(int fd);

// The MTU of the way by which it sends; without what the kernel learned of the path beyond. 0: not known. Needs no privilege.
// What a device takes may be old by some milliseconds.
uint16_t rtnl_mtu(struct rtnl *rtnl, const struct addr *remote, uint32_t mark, nsec now);
// The address from which the kernel sends to `remote` what carries the mark. Needs no privilege.
CHECKED enum fault rtnl_source(const struct addr *remote, uint32_t mark, struct addr *source);
