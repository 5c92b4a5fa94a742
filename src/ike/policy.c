// SPDX-License-Identifier: Apache-2.0
// Policies: what the data plane protects. A policy has one number for its life, which the SAs that
// come and go for it share:
//
//     a trap (start_action = trap, start):  from the loading of its connection until it is
//                                           unloaded; a packet calls for an SA
//     of a child without a trap:            as long as the child; without an SA packets are blocked
//
// When a peer narrows the selectors of a trap, the trap's policy takes the narrower ones and a
// second one, the guard, blocks the rest, so that nothing leaves unprotected.
#include "ike/internal.h"
#include <assert.h>

enum { RESOLVE_RETRY_SECONDS = 10, ACQUIRE_HOLD_SECONDS = 5, ADDRESS_SETTLE_MS = 100 };

// --- selectors of both sides, packed

static struct packed_sides *sides_pack(const struct selectors *local,
                                       const struct selectors *remote)
{
    size_t local_size = local->count * sizeof local->at[0],
           remote_size = remote->count * sizeof remote->at[0];
    struct packed_sides *sides = mem_new(sizeof *sides + local_size + remote_size);
    sides->local_count = local->count;
    sides->remote_count = remote->count;
    memcpy(sides->at, local->at, local_size);
    memcpy(sides->at + local->count, remote->at, remote_size);
    return sides;
}

static void sides_unpack(const struct packed_sides *sides, struct selectors *local,
                         struct selectors *remote)
{
    *local = *remote = (struct selectors){0};
    if (!sides) return;
    local->count = sides->local_count;
    remote->count = sides->remote_count;
    memcpy(local->at, sides->at, local->count * sizeof local->at[0]);
    memcpy(remote->at, sides->at + local->count, remote->count * sizeof remote->at[0]);
}

static bool sides_equal(const struct packed_sides *sides, const struct selectors *local,
                        const struct selectors *remote)
{
    struct selectors own_local, own_remote;
    sides_unpack(sides, &own_local, &own_remote);
    return selectors_equal(&own_local, local) && selectors_equal(&own_remote, remote);
}

void policy_sides(const struct policy *policy, struct selectors *local, struct selectors *remote)
{
    sides_unpack(policy->sides, local, remote);
}

// --- outputs

static void policy_put(const struct policy *policy, uint32_t number,
                       const struct packed_sides *sides, enum policy_trap trap, uint32_t priority)
{
    struct ike_out *out = out_new(policy->ike, IKE_OUT_POLICY_ADD);
    out->policy.spec.number = number;
    out->policy.spec.action = policy->conf->action ? policy->conf->action : POLICY_PROTECT;
    out->policy.spec.trap = (uint8_t)trap;
    out->policy.spec.mode = policy->mode;
    out->policy.spec.priority = priority;
    out->policy.spec.if_id_in = policy->if_id_in;
    out->policy.spec.if_id_out = policy->if_id_out;
    out->policy.spec.if_unique = policy->unique;
    sides_unpack(sides, &out->policy.spec.local, &out->policy.spec.remote);
    out->policy.child = policy->conf;
    out->policy.path = policy->path;
}

static void policy_take(const struct policy *policy, uint32_t number)
{
    out_new(policy->ike, IKE_OUT_POLICY_DEL)->policy.spec.number = number;
}

static void install(struct policy *policy)
{
    policy->installed = true;
    policy_claim(policy);
    uint32_t priority = policy->conf->priority;
    bool beside = policy->trap && priority && mode_is_on_demand(policy->conf);
    policy_put(policy, policy->number, policy->sides, policy->trap ? POLICY_TRAP : POLICY_BLOCK,
               priority + beside); // those of its pairs of addresses come first
}

static void guard_put(struct policy *policy)
{
    if (!policy->guard) policy->guard = ++policy->ike->last_policy;
    uint32_t priority = policy->conf->priority ? policy->conf->priority + 1 : 0;
    policy_put(policy, policy->guard, policy->trap_sides, POLICY_BLOCK, priority);
}

static void guard_take(struct policy *policy)
{
    if (policy->guard) policy_take(policy, policy->guard);
    policy->guard = 0;
}

// --- making and finding

static struct bytes key_make(struct ike *ike, const struct conn *conn,
                             const struct child_conf *conf, const struct selectors *local,
                             const struct selectors *remote, const struct identity *peer,
                             uint8_t out[20])
{
    uint8_t digest[20] = {0};
    uint32_t devices[] = {conf->if_id_in, conf->if_id_out};
    if (devices_are_unique(conf)) devices_peer_key(peer, digest);
    sha1(PIECES(bytes_of_text(conn->name), BYTES("/"), bytes_of_text(conf->name), BYTES("/"),
                bytes_of_text(selectors_text(ike, local)), BYTES("/"),
                bytes_of_text(selectors_text(ike, remote)), bytes_of(devices, sizeof devices),
                BYTES_ARRAY(digest)),
         out);
    return bytes_of(out, 20);
}

struct policy *policy_new(struct ike *ike, struct conn *conn, const struct child_conf *conf,
                          const struct identity *peer)
{
    struct policy *policy = NEW(struct policy);
    policy->ike = ike;
    policy->number = ++ike->last_policy;
    policy->conn = conn_hold(conn);
    policy->conf = conf;
    policy->alarm.owner = ALARM_POLICY;
    policy->waiter.kind = WAITER_POLICY;
    list_init(&policy->link);
    map_put(&ike->policies, map_key_u32(&policy->number), policy);
    policy_devices(policy, peer);
    return policy;
}

static void policy_bury(struct policy *policy)
{
    struct ike *ike = policy->ike;
    if (policy->installed) policy_take(policy, policy->number);
    guard_take(policy);
    policy->installed = false;
    policy_disclaim(policy);
    waiter_forget(ike, &policy->waiter);
    heap_set(&ike->alarms, &policy->alarm.item, NSEC_NEVER);
    map_remove(&ike->policies, map_key_u32(&policy->number));
    if (map_get(&ike->policies_by_key, BYTES_ARRAY(policy->key)) == policy)
        map_remove(&ike->policies_by_key, BYTES_ARRAY(policy->key));
    list_remove(&policy->link);
    list_append(&ike->buried_policies, &policy->link);
}

void policy_free(struct policy *policy)
{
    list_remove(&policy->link);
    conn_release(policy->conn);
    free(policy->sides);
    free(policy->trap_sides);
    free(policy);
}

struct policy *policy_find_trap(const struct loaded *loaded, const char *child)
{
    LIST_EACH (struct policy, link, policy, &loaded->policies)
        if (strcmp(policy->conf->name, child) == 0) return policy;
    return NULL;
}

// The policy that a new child serves: its connection's trap when it fits, one with the same
// selectors, or a new one.
struct policy *policy_for(struct sa *sa, struct conn *conn, const struct child_conf *conf,
                          const struct selectors *local, const struct selectors *remote)
{
    struct ike *ike = sa->ike;
    struct loaded *loaded = loaded_find(ike, conn->name);
    struct policy *trap = loaded ? policy_find_trap(loaded, conf->name) : NULL;
    if (trap && trap->installed) {
        struct selectors trap_local, trap_remote;
        policy_sides(trap, &trap_local, &trap_remote);
        bool same = sides_equal(trap->sides, local, remote);
        bool within =
            selectors_within(local, &trap_local) && selectors_within(remote, &trap_remote);
        if (same || (trap->users == 0 && within && !mode_is_on_demand(conf))) return trap;
    }
    uint8_t space[20];
    struct bytes key = key_make(ike, conn, conf, local, remote, &sa->remote_id, space);
    struct policy *policy = map_get(&ike->policies_by_key, key);
    if (policy) return policy;
    policy = policy_new(ike, conn, conf, &sa->remote_id);
    memcpy(policy->key, key.at, key.size);
    map_put(&ike->policies_by_key, key, policy);
    return policy;
}

void policy_waken(const struct policy *policy)
{
    const struct loaded *loaded = loaded_find(policy->ike, policy->conn->name);
    struct policy *trap = loaded ? policy_find_trap(loaded, policy->conf->name) : NULL;
    if (trap && trap != policy && trap->installed) install(trap);
}

// --- children come and go

void policy_use(struct policy *policy, const struct selectors *local,
                const struct selectors *remote, const struct path *path, uint8_t mode)
{
    // Between gateways the kernel has to bring packets in transit, too; all others want the same.
    bool same_mode = (policy->mode == MODE_GATEWAY_TRANSPORT) == (mode == MODE_GATEWAY_TRANSPORT);
    policy->users++;
    policy->path = *path;
    policy->mode = mode;
    if (same_mode && policy->installed && sides_equal(policy->sides, local, remote)) return;
    if (policy->trap && !policy->trap_sides) {
        policy->trap_sides = policy->sides;
        policy->sides = NULL;
    }
    if (policy->trap) guard_put(policy);
    free(policy->sides);
    policy->sides = sides_pack(local, remote);
    install(policy);
}

static void trap_restore(struct policy *policy)
{
    if (!policy->trap_sides) return;
    free(policy->sides);
    policy->sides = policy->trap_sides;
    policy->trap_sides = NULL;
    install(policy);
    guard_take(policy);
}

void policy_follow(struct policy *policy, const struct selectors *local,
                   const struct selectors *remote)
{
    if (!policy->trap) return;
    free(policy->trap_sides);
    policy->trap_sides = sides_pack(local, remote);
}

void policy_release(struct policy *policy)
{
    assert(policy->users);
    if (--policy->users) return;
    if (policy->trap)
        trap_restore(policy);
    else
        policy_bury(policy);
}

// --- traps

static void trap_install(struct policy *policy, const struct path *path)
{
    struct sa somewhere = {.ike = policy->ike, .path = *path};
    struct selectors local, remote;
    policy->path = *path;
    conf_selectors(&somewhere, policy->conf, &local, &remote);
    if (local.count == 0 || remote.count == 0) {
        report(policy->ike, (struct subject){.conn = policy->conn, .child = policy->conf->name},
               IKE_ERROR, FAULT_SELECTORS_EMPTY, "trap is not installed: %s",
               fault_sentence(FAULT_SELECTORS_EMPTY));
        return;
    }
    free(policy->sides);
    policy->sides = sides_pack(&local, &remote);
    install(policy);
    report(policy->ike, (struct subject){.conn = policy->conn, .child = policy->conf->name},
           IKE_INFO, OK,
           policy->conf->action == POLICY_BYPASS ? "traffic is let pass unprotected: %s === %s"
           : policy->conf->action == POLICY_DISCARD
               ? "traffic is dropped: %s === %s"
               : "traffic calls for protection from now on: %s === %s",
           selectors_text(policy->ike, &local), selectors_text(policy->ike, &remote));
}

// "dynamic" selectors are the addresses in use, which are asked for first.
static void trap_resolve(struct policy *policy)
{
    if (policy->waiter.number) return;
    struct ike_operation *operation = operation_new(policy->ike, &policy->waiter, IKE_OP_RESOLVE);
    operation_resolve(operation, policy->conn);
}

void policy_answered(struct policy *policy, const struct ike_answer *answer)
{
    bool moves = policy->installed && !policy->users && !answer->fault &&
                 !addr_equal(&policy->path.local.addr, &answer->path.local.addr);
    if (!policy->trap || (policy->installed && !moves)) return;
    if (!answer->fault) {
        trap_install(policy, &answer->path);
        return;
    }
    report(policy->ike, (struct subject){.conn = policy->conn, .child = policy->conf->name},
           IKE_ERROR, answer->fault, "trap waits for an address: %s%s%s",
           fault_sentence(answer->fault), answer->text ? ": " : "",
           answer->text ? answer->text : "");
    heap_set(&policy->ike->alarms, &policy->alarm.item,
             policy->ike->now + nsec_seconds(RESOLVE_RETRY_SECONDS));
}

// A trap for our own address: packets from another one would not call for protection.
static bool follows_address(const struct policy *policy)
{
    return policy->trap && !policy->users && policy->conf->local_dynamic &&
           !policy->conn->vip_count;
}

void policy_timer_fired(struct policy *policy)
{
    heap_set(&policy->ike->alarms, &policy->alarm.item, NSEC_NEVER);
    if (policy->trap && (!policy->installed || follows_address(policy))) trap_resolve(policy);
}

void policies_heed_address(struct ike *ike)
{
    LIST_EACH (struct loaded, link, loaded, &ike->loaded)
        LIST_EACH (struct policy, link, policy, &loaded->policies)
            if (policy->installed && follows_address(policy))
                heap_set(&ike->alarms, &policy->alarm.item, ike->now + nsec_ms(ADDRESS_SETTLE_MS));
}

void policy_trap(struct ike *ike, struct loaded *loaded, const struct child_conf *conf)
{
    if (policy_find_trap(loaded, conf->name)) return;
    struct policy *policy = policy_new(ike, loaded->conn, conf, NULL);
    policy->trap = true;
    list_append(&loaded->policies, &policy->link);
    if (conf->local_dynamic || conf->remote_dynamic)
        trap_resolve(policy);
    else
        trap_install(policy, &(struct path){0});
}

void policy_untrap(struct policy *policy)
{
    list_remove(&policy->link);
    list_init(&policy->link);
    if (policy->users == 0) {
        policy_bury(policy);
        return;
    }
    // Its children go on; it lives as long as they do.
    policy->trap = false;
    guard_take(policy);
    install(policy);
}

// --- a packet calls

void policy_acquire(struct ike *ike, uint32_t number, const struct flow *flow)
{
    struct policy *policy = map_get(&ike->policies, map_key_u32(&number));
    if (!policy || !policy->trap || ike->now < policy->retry_at) return;
    struct loaded *loaded = loaded_find(ike, policy->conn->name);
    if (!loaded) return;
    policy->retry_at = ike->now + nsec_seconds(ACQUIRE_HOLD_SECONDS);
    char from[ADDR_TEXT], to[ADDR_TEXT];
    report(ike, (struct subject){.conn = policy->conn, .child = policy->conf->name}, IKE_DETAIL, OK,
           "a packet from %s to %s calls for an SA", addr_print(&flow->source, from),
           addr_print(&flow->destination, to));
    initiate(ike, loaded->conn, policy->conf, 0, flow);
}

void policy_settled(struct policy *policy, bool success)
{
    policy->retry_at = success ? 0 : policy->ike->now + nsec_seconds(ACQUIRE_HOLD_SECONDS);
}
