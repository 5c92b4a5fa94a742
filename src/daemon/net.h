// SPDX-License-Identifier: Apache-2.0
// The net role from inside. net_policy.c works out what routes and guards the policies want; net.c
// tells the kernel.
#pragma once
#include "base/map.h"
#include "base/rng.h"
#include "daemon/role.h"
#include "os/nft.h"
#include "os/rtnl.h"
#include <event2/event.h>

enum { RULE_PRIORITY = 220, TABLE_NAME_MAX = 40, PREFIXES_MAX = 254, ROUTES_PER_POLICY_MAX = 1024, VIRTUAL_MAX = 64, NAME_SERVERS_MAX = 16 };

struct net_route {
    struct prefix to;
    unsigned device_count, throw_count; // policies that want it so; the device wins
    uint8_t installed;                  // enum route_kind; 0: not in the kernel
    struct addr source, source_installed;
    bool dirty;
    struct net_route *next_dirty;
};

// A policy as it is kept: with the selectors that it has, for there may be many policies.
struct net_policy {
    uint32_t number;
    uint8_t action, trap, mode;
    uint32_t priority;
    uint8_t local_count, remote_count;
    struct selector at[]; // local ones, then remote ones
};
void net_policy_unpack(const struct net_policy *policy, struct policy_spec *out);

struct net_address {
    unsigned device;
    struct addr addr;
    bool seen;
};

// A policy that is to go. It lingers, for often another takes its place at once.
struct net_leaving {
    uint32_t number;
    nsec at;
    struct net_leaving *next;
};

// A network behind us that a policy of transport mode between gateways is for.
struct net_transit_route {
    struct prefix to;
    bool wanted;
};

struct net_counted { // several SAs may want the same
    struct addr addr;
    unsigned count;
};

struct net_role {
    const struct role_options *options;
    struct event_base *base;
    struct link *ike, *esp;
    struct event *grace, *look, *leave, *filter_later, *ways;
    nsec filter_next; // no sooner shall the guard be brought up to date again
    struct rtnl *rtnl;
    struct nft *nft;
    struct nft_settings filter;
    char table[TABLE_NAME_MAX],
        former[TABLE_NAME_MAX]; // former: of an earlier life, deleted after a while
    unsigned levels;
    unsigned tun; // index of the device
    struct guard guard;
    struct map devices;         // if_id -> struct net_device
    struct nft_device *named;   // the devices, for the filter
    bool openers_ruled;
    struct map guards;          // connection -> struct net_guard
    struct net_guard *coming;   // of a connection whose last message has not come yet
    struct nft_guarded *guarded; // all of them, for the filter
    bool sealed_rules;          // sealed packets pass the rules of marks by
    struct map device_policies; // number -> struct device_policy
    struct map policies; // number -> struct net_policy
    struct map routes;   // prefix -> struct net_route
    struct net_route *dirty;
    struct map sealed;   // SPI and peer -> struct net_sealed
    struct net_sealed *sealed_dirty, *sealed_leaving;
    struct event *sealed_timer;
    bool sealed_news;    // since the kernel was told the last time, or refused
    bool sealed_chain;   // the packet filter has what marks sealed packets
    bool changed;  // in this turn: routes and guard are to follow
    uint64_t sync; // to be answered at its end; 0: none
    struct net_leaving *leaving, **leaving_last;
    struct net_address *addresses;
    size_t address_count, address_room;
    struct net_counted virtuals[VIRTUAL_MAX], servers[NAME_SERVERS_MAX];
    struct net_transit_route *transits; // in the kernel
    size_t transit_count, transit_room;
    bool transit_changed; // a policy between gateways came or went
    bool hinted_filter, hinted_tun, hinted_forwarding[2]; // told once
    uint8_t *space;
};

// Replaces one of the same number.
CHECKED enum fault net_policy_add(struct net_role *role, const struct policy_spec *spec);
void net_policy_del(struct net_role *role, uint32_t number);

// All policies, routes and addresses, of us and not of the kernel.
void net_wipe(struct net_role *role);

// What is to be done for a dirty route: RTNL_ADD, RTNL_DEL; and the message for it.
enum rtnl_verb net_route_sync_verb(const struct net_route *route);
void net_route_message(const struct net_role *role, const struct net_route *route,
                       enum rtnl_verb verb, struct rtnl_route *out);
void net_route_synced(struct net_role *role,
                      struct net_route *route); // clean now; freed when nobody wants it

// --- net_transit.c
// Brings the kernel's rules and routes for ESP in transit up to date.
void net_transit_sync(struct net_role *role);
void net_transit_remove(struct net_role *role); // of this life and of a former one
// The networks that policies between gateways want ESP for; returns how many, at most `room`.
size_t net_transit_wanted(struct net_role *role, struct prefix *out, size_t room);

bool net_address_there(const struct net_role *role, const struct addr *addr); // on any device
// True when that is news.
bool net_address_note(struct net_role *role, unsigned device, const struct addr *addr, bool came);
void net_sources_refresh(struct net_role *role);
// True at the first that wants the address and at the last that has it.
bool net_count(struct net_counted *all, unsigned room, const struct addr *addr, enum rtnl_verb verb);

// --- net_device.c: devices of route-based tunnels
// A connection names it, and may say which mark leads into it, and which one packets come out with.
void net_device_wanted(struct net_role *role, const struct device_message *message);
CHECKED enum fault net_device_policy_add(struct net_role *role, const struct policy_spec *spec);
void net_device_policy_del(struct net_role *role, uint32_t number);
void net_filter_devices(struct net_role *role); // the filter learns of devices, their marks, and what is guarded
bool net_device_is_ours(const struct net_role *role, unsigned index);
void net_device_rules_remove(struct net_role *role); // those by which marks lead to devices
void net_devices_end(struct net_role *role);
// The device that packets of a policy come out of where the way back to them does not lead into it, or does so by a mark only; 0: none.
unsigned net_device_one_way(const struct net_role *role, const struct policy_spec *spec, bool *marked);
bool net_device_tell_once(struct net_role *role, uint32_t if_id); // true the first time

// net_hints.c
void net_hints(struct net_role *role, const struct policy_message *message);

// net_guarded.c: networks that only devices of tunnels lead to
void net_guard_take(struct net_role *role, const struct guard_message *message);
void net_guards_end(struct net_role *role);

void net_device_up(struct net_role *role, const char *name, unsigned index); // net.c

// --- net_sealed.c: marks of sealed packets
void net_sealed_mark(struct net_role *role, const struct sa_mark_message *message);
void net_sealed_unmark(struct net_role *role, const struct sa_mark_message *message);
void net_sealed_leave(evutil_socket_t fd, short what, void *context);
CHECKED enum fault net_sealed_sync(struct net_role *role);
void net_sealed_lost(struct net_role *role); // the packet filter is new
void net_sealed_end(struct net_role *role);

// net_names.c: name servers in resolv.conf
void net_names_start(struct net_role *role); // what a former life left there goes
void net_names_change(struct net_role *role, const struct addr *server, enum rtnl_verb verb);
void net_names_end(struct net_role *role);
