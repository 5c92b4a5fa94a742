// SPDX-License-Identifier: Apache-2.0
// Devices of route-based tunnels: cygnetN for if_id N. This role makes them and hands their queue
// to the esp role; routes into them are the operator's or a routing protocol's, and no rule or
// guard of ours is about them.
//
// A device is to keep its addresses and routes when the daemon dies: what is routed into it is
// dropped then, not sent elsewhere. So the kernel keeps it, and the next life takes it over. It
// goes when the daemon is told to stop; one with a number of the daemon's own choice goes with its
// child. The same holds for the rules by which marks lead there.
#include "daemon/net.h"
#include "os/tun.h"
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

enum { DEVICES_MAX = 1000, SEALED_PRIORITY = 218, MARK_PRIORITY = 219 };

struct net_device {
    uint32_t if_id;
    int fd;
    unsigned index, users; // users: policies
    unsigned opens;        // those of them that have no device for what goes out
    bool lasting;          // of the configuration: stays without policies
    bool hinted;           // told once that a filter drops what comes out
    struct mark leads;     // packets with it are routed here
    struct mark opened;    // packets out of it get this one
};

struct device_policy {
    uint32_t number, in, out;
};

// The ordinary device's name without its number, and then this one.
static void name_of(const struct net_role *role, uint32_t if_id, char out[64])
{
    const char *tun = role->options->tun_name;
    size_t size = strlen(tun);
    while (size > 0 && tun[size - 1] >= '0' && tun[size - 1] <= '9') size--;
    snprintf(out, 64, "%.*s%u", (int)size, tun, if_id);
}

static struct net_device *device_find(const struct net_role *role, uint32_t if_id)
{
    return map_get(&role->devices, map_key_u32(&if_id));
}

bool net_device_is_ours(const struct net_role *role, unsigned index)
{
    size_t cursor = 0;
    if (index == role->tun) return true;
    for (const struct net_device *device; (device = map_next(&role->devices, &cursor));)
        if (device->index == index) return true;
    return false;
}

static void device_tell(struct net_role *role, const struct net_device *device,
                        enum message_type type)
{
    uint8_t space[64];
    struct device_message message = {.if_id = device->if_id};
    struct wr out = message_begin(space, sizeof space, type, 0);
    device_put(&out, &message);
    link_send_fd(role->esp, &out, type == MESSAGE_DEVICE ? device->fd : -1);
}

static enum fault device_make(struct net_role *role, uint32_t if_id)
{
    char name[64];
    const char *text = NULL;
    int fd;
    name_of(role, if_id, name);
    enum fault fault = if_id == 0 || role->devices.count >= DEVICES_MAX ? FAULT_DEVICES_TOO_MANY
                       : strcmp(name, role->options->tun_name) == 0     ? FAULT_TUN_IN_USE
                                                                    : tun_keep(name, &fd, &text);
    if (fault) {
        role_log(ROLE_NET, IKE_ERROR, fault, "device %s of if_id %u%s%s", name, if_id,
                 text ? ": " : "", text ? text : "");
        return fault;
    }
    struct net_device *device = NEW(struct net_device);
    *device = (struct net_device){.if_id = if_id, .fd = fd, .index = if_nametoindex(name)};
    map_put(&role->devices, map_key_u32(&device->if_id), device);
    device_tell(role, device, MESSAGE_DEVICE);
    net_device_up(role, name, device->index);
    net_filter_devices(role);
    role_log(ROLE_NET, IKE_INFO, OK, "device %s is there for if_id %u", name, if_id);
    return OK;
}

static void device_remove(struct net_role *role, struct net_device *device)
{
    map_remove(&role->devices, map_key_u32(&device->if_id));
    net_filter_devices(role);
    device_tell(role, device, MESSAGE_DEVICE_DEL);
    tun_let_go(device->fd);
    close(device->fd);
    free(device);
}

// --- marks

// One rule a family: what carries the mark looks into a table of the device, whose only route leads
// there. It comes before that of the ordinary device, and has no way past it.
static void rules_set(struct net_role *role, const struct net_device *device, enum rtnl_verb verb)
{
    static const uint8_t families[] = {ADDR_V4, ADDR_V6};
    if (!device->leads.mask) return;
    for (unsigned i = 0; i < 2; i++) {
        struct rtnl_rule rule = {.family = families[i],
                                 .priority = MARK_PRIORITY,
                                 .table = MARK_OF_DAEMON + device->if_id,
                                 .mark = device->leads.value,
                                 .mask = device->leads.mask};
        struct rtnl_route route = {.kind = ROUTE_DEVICE,
                                   .to.addr.family = families[i],
                                   .table = rule.table,
                                   .device = device->index};
        enum fault fault = verb == RTNL_ADD ? rtnl_route(role->rtnl, verb, &route) : OK;
        if (!fault) fault = rtnl_rule(role->rtnl, verb, &rule);
        // A host without IPv6 has no rules for it.
        if (fault && families[i] == ADDR_V4)
            role_log(ROLE_NET, IKE_ERROR, fault,
                     "cannot lead packets with mark 0x%x to if_id %u: %s", device->leads.value,
                     device->if_id, rtnl_reason(role->rtnl));
    }
}

// Sealed packets may carry a mark that leads others into a device: they go on behind these rules.
static void sealed_rules_set(struct net_role *role, enum rtnl_verb verb)
{
    static const uint8_t families[] = {ADDR_V4, ADDR_V6};
    if (role->sealed_rules == (verb == RTNL_ADD)) return;
    role->sealed_rules = verb == RTNL_ADD;
    for (unsigned i = 0; i < 2; i++) {
        struct rtnl_rule rule = {.family = families[i],
                                 .priority = SEALED_PRIORITY,
                                 .target = RULE_PRIORITY,
                                 .mark = ROUTING_MARK,
                                 .mask = ROUTING_MARK_MASK};
        enum fault fault = rtnl_rule(role->rtnl, verb, &rule);
        if (fault && families[i] == ADDR_V4)
            role_log(ROLE_NET, IKE_ERROR, fault, "cannot lead sealed packets past marks: %s",
                     rtnl_reason(role->rtnl));
    }
}

void net_filter_devices(struct net_role *role)
{
    size_t cursor = 0, count = 0;
    role->named = mem_grow(role->named, role->devices.count + 1, sizeof *role->named);
    for (const struct net_device *device; (device = map_next(&role->devices, &cursor));) {
        char name[64];
        name_of(role, device->if_id, name);
        struct nft_device *named = &role->named[count++];
        named->mark = device->opened.value;
        role->filter.marked |= named->mark != 0;
        named->opens = device->opens > 0;
        role->filter.opened |= named->opens;
        snprintf(named->name, sizeof named->name, "%.15s", name);
    }
    role->filter.devices = role->named;
    role->filter.device_count = count;
    if (!role->filter.marked && !role->filter.guarded && !role->filter.opened) return;
    if (role->nft && nft_sync_devices(role->nft, &role->filter, &role->openers_ruled) != OK)
        role_log(ROLE_NET, IKE_ERROR, FAULT_NFT_REFUSED,
                 "packets get no mark, networks of guard are not guarded, and what devices open may be dropped: %s",
                 nft_reason(role->nft));
}

static bool mark_equal(const struct mark *a, const struct mark *b)
{
    return a->value == b->value && a->mask == b->mask;
}

void net_device_wanted(struct net_role *role, const struct device_message *message)
{
    if (!device_find(role, message->if_id) && device_make(role, message->if_id) != OK) return;
    struct net_device *device = device_find(role, message->if_id);
    device->lasting = true;
    if (message->leads.mask && !mark_equal(&message->leads, &device->leads)) {
        rules_set(role, device, RTNL_DEL);
        sealed_rules_set(role, RTNL_ADD);
        device->leads = message->leads;
        rules_set(role, device, RTNL_ADD);
    }
    if (message->opened.mask && !mark_equal(&message->opened, &device->opened)) {
        device->opened = message->opened;
        net_filter_devices(role);
    }
}

// --- policies that use them

static enum fault device_use(struct net_role *role, uint32_t if_id, bool unique)
{
    if (!if_id) return OK;
    if (!device_find(role, if_id)) TRY(device_make(role, if_id));
    struct net_device *device = device_find(role, if_id);
    device->users++;
    device->lasting |= !unique;
    return OK;
}

static void device_release(struct net_role *role, uint32_t if_id)
{
    struct net_device *device = if_id ? device_find(role, if_id) : NULL;
    if (device && --device->users == 0 && !device->lasting) device_remove(role, device);
}

static void opens_change(struct net_role *role, const struct device_policy *policy, int step)
{
    struct net_device *device = policy->out ? NULL : device_find(role, policy->in);
    if (!device) return;
    device->opens += (unsigned)step;
    if (device->opens == (step > 0)) net_filter_devices(role);
}

enum fault net_device_policy_add(struct net_role *role, const struct policy_spec *spec)
{
    if (!spec->if_id_in && !spec->if_id_out) return OK;
    TRY(device_use(role, spec->if_id_in, spec->if_unique));
    enum fault fault = device_use(role, spec->if_id_out, spec->if_unique);
    if (fault) {
        device_release(role, spec->if_id_in);
        return fault;
    }
    net_device_policy_del(role, spec->number); // after the other, so that the device stays
    struct device_policy *policy = NEW(struct device_policy);
    *policy = (struct device_policy){spec->number, spec->if_id_in, spec->if_id_out};
    map_put(&role->device_policies, map_key_u32(&policy->number), policy);
    opens_change(role, policy, 1);
    return OK;
}

void net_device_policy_del(struct net_role *role, uint32_t number)
{
    struct device_policy *policy = map_remove(&role->device_policies, map_key_u32(&number));
    if (!policy) return;
    opens_change(role, policy, -1);
    device_release(role, policy->in);
    device_release(role, policy->out);
    free(policy);
}

unsigned net_device_one_way(const struct net_role *role, const struct policy_spec *spec, bool *marked)
{
    const struct net_device *device = device_find(role, spec->if_id_in);
    bool crossed = spec->if_id_in != spec->if_id_out;
    *marked = !crossed && device && device->leads.mask &&
              (device->opened.value & device->leads.mask) != device->leads.value;
    return !crossed && !*marked ? 0 : device ? device->index : role->tun;
}

bool net_device_tell_once(struct net_role *role, uint32_t if_id)
{
    struct net_device *device = device_find(role, if_id);
    bool *hinted = device ? &device->hinted : &role->hinted_tun, first = !*hinted;
    *hinted = true;
    return first;
}

void net_device_rules_remove(struct net_role *role)
{
    size_t cursor = 0;
    for (const struct net_device *device; (device = map_next(&role->devices, &cursor));)
        rules_set(role, device, RTNL_DEL);
    sealed_rules_set(role, RTNL_DEL);
}

void net_devices_end(struct net_role *role)
{
    size_t cursor = 0;
    for (struct net_device *device; (device = map_next(&role->devices, &cursor));) {
        if (role_stop_ordered()) tun_let_go(device->fd);
        close(device->fd);
        free(device);
    }
    cursor = 0;
    for (void *policy; (policy = map_next(&role->device_policies, &cursor));) free(policy);
    free(role->named);
    map_wipe(&role->devices);
    map_wipe(&role->device_policies);
}
