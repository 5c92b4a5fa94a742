// SPDX-License-Identifier: Apache-2.0
// What the operator may have forgotten: switches of the kernel with which packets vanish without a
// word.
#include "daemon/net.h"
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

enum { FILTER_STRICT = 1 }; // 2 is a loose one, 0 none

static int sysctl_number(const char *path)
{
    char text[16];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (size <= 0) return -1;
    text[size] = 0;
    return atoi(text);
}

// RFC 3704 2.2: a strict filter drops what comes in by another device than the way back goes out
// by. The kernel goes by the greater of two numbers, of all devices and of one.
static int filter_of(const char *device, char name[64])
{
    char path[96];
    const char *const which[] = {"all", device};
    int greatest = 0;
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/rp_filter", which[i]);
        int number = device || i == 0 ? sysctl_number(path) : 0;
        if (number <= greatest) continue;
        greatest = number;
        snprintf(name, 64, "net.ipv4.conf.%s.rp_filter", which[i]);
    }
    return greatest;
}

static const char *device_with(const struct net_role *role, const struct addr *addr,
                               char name[IF_NAMESIZE])
{
    for (size_t i = 0; i < role->address_count; i++)
        if (addr_equal(&role->addresses[i].addr, addr))
            return if_indextoname(role->addresses[i].device, name);
    return NULL;
}

// Where the peer lies within the policy the way back is the TUN device, and sealed packets from it
// are dropped before we see them.
static void hint_peer(struct net_role *role, const struct policy_message *message)
{
    const struct addr *peer = &message->path.remote.addr;
    char name[64], device[IF_NAMESIZE];
    bool covered = message->spec.mode == MODE_GATEWAY_TRANSPORT;
    for (unsigned i = 0; i < message->spec.remote.count; i++)
        covered |= range_has(&message->spec.remote.at[i].range, peer);
    if (role->hinted_filter || peer->family != ADDR_V4 || !covered) return;
    if (filter_of(device_with(role, &message->path.local.addr, device), name) != FILTER_STRICT)
        return;
    role->hinted_filter = true;
    role_log(ROLE_NET, IKE_AUDIT, OK,
             "%s is 1 and the peer's packets come with addresses that lie "
             "within the policy: they will be dropped; set it to 2",
             name);
}

// A gateway's selectors hold more than its own addresses.
static void hint_forwarding(struct net_role *role, const struct policy_spec *spec)
{
    static const struct {
        const char *path, *name;
    } switches[] = {
        {"/proc/sys/net/ipv4/ip_forward", "net.ipv4.ip_forward"},
        {"/proc/sys/net/ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding"},
    };
    for (unsigned i = 0; i < spec->local.count; i++) {
        const struct range *local = &spec->local.at[i].range;
        unsigned which = local->low.family == ADDR_V6;
        if (role->hinted_forwarding[which] || addr_equal(&local->low, &local->high)) continue;
        if (sysctl_number(switches[which].path) != 0) continue;
        role->hinted_forwarding[which] = true;
        role_log(ROLE_NET, IKE_INFO, OK,
                 "%s is 0: packets of hosts behind this one are not passed on; set it to 1",
                 switches[which].name);
    }
}

static bool has_address(const struct net_role *role, unsigned device)
{
    for (size_t i = 0; i < role->address_count; i++)
        if (role->addresses[i].device == device && role->addresses[i].addr.family == ADDR_V4)
            return true;
    return false;
}

// What comes out of one device and goes into another one, or by a mark that it does not have on its
// way out. A device without an address is not even let off by a loose filter.
static void hint_device(struct net_role *role, const struct policy_spec *spec)
{
    char name[64], device[IF_NAMESIZE];
    bool marked;
    unsigned index = net_device_one_way(role, spec, &marked);
    if (!index || !if_indextoname(index, device)) return;
    int filter = filter_of(device, name);
    if (filter != FILTER_STRICT && (!filter || has_address(role, index))) return;
    if (!net_device_tell_once(role, spec->if_id_in)) return;
    role_log(
        ROLE_NET, IKE_AUDIT, OK,
        "%s is %d, and the way back to what comes out of device %s does not lead into it%s: such "
        "packets will be dropped; set it to 0%s",
        name, filter, device, marked ? " without the mark" : "",
        marked ? ", or set_mark_in of the child to its mark_out" : "");
}

void net_hints(struct net_role *role, const struct policy_message *message)
{
    hint_device(role, &message->spec);
    if (message->spec.if_id_out) return;
    hint_peer(role, message);
    hint_forwarding(role, &message->spec);
}
