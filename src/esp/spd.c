// SPDX-License-Identifier: Apache-2.0
// The policies of one plane, and the cache that spares most packets the search through them.
//
//   flow -> cache -> (policy, SA)            one cache line; nearly always enough
//        -> index -> policy                  else: tuple-space search (index.c)
//                    -> newest SA whose selectors have the flow; where SAs are for single
//                       resources (RFC 9611) the one that the flow's hash leads to
#include "esp/internal.h"

enum { FLOWS_MIN = 1024, FLOWS_MAX = 262144 };

void spd_init(struct spd *spd, size_t policies_max, struct rng *rng)
{
    size_t flows = FLOWS_MIN;
    while (flows < FLOWS_MAX && flows < 2 * policies_max) flows *= 2;
    *spd = (struct spd){
        .policies_max = policies_max, .flow_mask = (uint32_t)(flows - FLOW_WAYS), .generation = 1};
    uint64_t seed = rng_u64(rng);
    map_init(&spd->policies, seed, rng_u64(rng));
    spd->index_seed = rng_u64(rng);
    spd->flow_seed = rng_u64(rng);
    spd->flows = pages_new(flows * sizeof *spd->flows);
}

static size_t flows_size(const struct spd *spd)
{
    return (spd->flow_mask + (size_t)FLOW_WAYS) * sizeof *spd->flows;
}

void spd_widen(struct spd *spd)
{
    pages_widen(spd->flows, flows_size(spd));
}

// After 2^32 changes an entry of the first would look fresh again.
void spd_changed(struct spd *spd)
{
    if (++spd->generation) return;
    memset(spd->flows, 0, flows_size(spd));
    spd->generation = 1;
}

// Devices ------------------------------------------------------------------------------------------
// Each has an index of its own, so that one with many neighbours searches no longer than one alone.

static struct policy_index *index_of(struct spd *spd, uint16_t device)
{
    if (spd->indexes[device]) return spd->indexes[device];
    spd->indexes[device] = NEW(struct policy_index);
    policy_index_init(spd->indexes[device], spd->index_seed);
    return spd->indexes[device];
}

static void index_leave(struct spd *spd, struct policy *policy)
{
    struct policy_index **index = &spd->indexes[policy->device];
    if (!policy->entries) return; // its selectors have nothing in common
    policy_index_remove(*index, policy);
    if ((*index)->count) return;
    policy_index_wipe(*index);
    free(*index);
    *index = NULL;
}

static size_t indexes_memory(const struct spd *spd)
{
    size_t memory = 0;
    for (size_t device = 0; device < PLANE_DEVICES_MAX; device++)
        if (spd->indexes[device]) memory += policy_index_memory(spd->indexes[device]);
    return memory;
}

// Policies and the SAs that serve them ------------------------------------------------------------

struct policy *spd_policy(struct spd *spd, uint32_t number)
{
    struct policy *policy = map_get(&spd->policies, map_key_u32(&number));
    if (policy) return policy;
    policy = NEW(struct policy);
    policy->number = number;
    map_put(&spd->policies, map_key_u32(&number), policy);
    return policy;
}

static void policy_undefine(struct plane *plane, struct policy *policy)
{
    if (!policy->defined) return;
    index_leave(&plane->spd, policy);
    free(policy->traffic);
    policy->traffic = NULL;
    policy->defined = false;
    policy->run = NULL;
    plane->spd.defined--;
    plane->stats.policies--;
    spd_changed(&plane->spd);
}

void spd_policy_done(struct plane *plane, struct policy *policy)
{
    if (policy->defined || policy->newest) return;
    hold_drop_all(plane, policy, FAULT_SA_MISSING);
    map_remove(&plane->spd.policies, map_key_u32(&policy->number));
    free(policy);
}

static void policy_set_run(struct policy *policy)
{
    struct sa *sa = policy->newest;
    policy->resources = 0;
    for (const struct sa *at = sa; at; at = at->older)
        if (at->resources > policy->resources) policy->resources = at->resources;
    bool has_all = policy->defined && sa && traffic_within(policy->traffic, sa->traffic);
    policy->run = has_all && !policy->resources ? sa->run : NULL;
}

static uint64_t resource_bit(unsigned resource)
{
    return resource && resource <= RESOURCES_MAX ? UINT64_C(1) << (resource - 1) : 0;
}

void policy_sa_add(struct policy *policy, struct sa *sa)
{
    sa->older = policy->newest;
    if (sa->older) sa->older->newer = sa;
    policy->newest = sa;
    policy->acquiring = false;
    policy->resources_asked &= ~resource_bit(sa->resource);
    policy_set_run(policy);
}

void policy_sa_remove(struct policy *policy, struct sa *sa)
{
    if (sa->newer)
        sa->newer->older = sa->older;
    else
        policy->newest = sa->older;
    if (sa->older) sa->older->newer = sa->newer;
    sa->older = sa->newer = NULL;
    policy->resources_asked &= ~resource_bit(sa->resource);
    policy_set_run(policy);
}

static enum fault policy_spec_check(const struct policy_spec *spec)
{
    if (spec->action < POLICY_PROTECT || spec->action > POLICY_DISCARD) return FAULT_SA_PARAMETERS;
    if (spec->local.count > SELECTORS_MAX || spec->remote.count > SELECTORS_MAX)
        return FAULT_SA_PARAMETERS;
    if (spec->if_id_out >= PLANE_DEVICES_MAX) return FAULT_SA_PARAMETERS;
    return spec->local.count && spec->remote.count ? OK : FAULT_SELECTORS_EMPTY;
}

static void memory_count(struct plane *plane)
{
    struct spd *spd = &plane->spd;
    size_t now = indexes_memory(spd) + spd->policies.count * sizeof(struct policy);
    plane->stats.bytes_memory += now - spd->memory;
    spd->memory = now;
}

enum fault plane_policy_add(struct plane *plane, const struct policy_spec *spec)
{
    struct spd *spd = &plane->spd;
    TRY(policy_spec_check(spec));
    struct policy *policy = map_get(&spd->policies, map_key_u32(&spec->number));
    if (!(policy && policy->defined) && spd->defined >= spd->policies_max)
        return FAULT_POLICIES_TOO_MANY;
    policy = spd_policy(spd, spec->number);
    policy_undefine(plane, policy);

    policy->defined = true;
    policy->action = spec->action;
    policy->trap = spec->trap;
    policy->device = (uint16_t)spec->if_id_out;
    policy->priority = spec->priority;
    policy->traffic = traffic_new(&spec->local, &spec->remote);
    if (traffic_ports(policy->traffic, ADDR_NONE) == PORTS_SOME) reassembly_room(plane);
    if (!policy->serial) policy->serial = ++spd->serial;
    policy_set_run(policy);
    policy_index_add(index_of(spd, policy->device), policy);
    spd->defined++;
    plane->stats.policies++;
    spd_changed(spd);
    policy->acquiring = false;
    hold_ready(plane, policy); // what waits may be for another policy now
    memory_count(plane);
    return OK;
}

enum fault plane_policy_del(struct plane *plane, uint32_t number)
{
    struct policy *policy = map_get(&plane->spd.policies, map_key_u32(&number));
    if (!policy || !policy->defined) return FAULT_SA_UNKNOWN;
    policy_undefine(plane, policy);
    hold_drop_all(plane, policy, FAULT_SA_MISSING);
    spd_policy_done(plane, policy);
    memory_count(plane);
    return OK;
}

void spd_wipe(struct plane *plane)
{
    struct spd *spd = &plane->spd;
    struct policy *policy;
    for (size_t cursor = 0; (policy = map_next(&spd->policies, &cursor));) {
        policy_undefine(plane, policy);
        spd_policy_done(plane, policy);
    }
    map_wipe(&spd->policies);
    pages_free(spd->flows, flows_size(spd));
}

// Look-up -----------------------------------------------------------------------------------------

// One acquire for each resource until its SA comes; again when none has come for long.
static void resource_acquire(struct plane *plane, nsec now, struct policy *policy,
                             unsigned resource, const struct flow *flow)
{
    struct plane_event event = {.kind = PLANE_ACQUIRE,
                                .policy = policy->number,
                                .flow = *flow,
                                .resource = (uint16_t)resource};
    if (now - policy->resources_asked_at >= ACQUIRE_AGAIN) policy->resources_asked = 0;
    if (policy->resources_asked & resource_bit(resource)) return;
    if (!plane_event_add(plane, &event)) return;
    policy->resources_asked |= resource_bit(resource);
    policy->resources_asked_at = now;
}

// RFC 9611 4: a flow has the SA of its resource, so that its packets stay in order, and an SA that
// is for any while that one is not there.
static struct sa_run *resource_sa(struct plane *plane, nsec now, struct policy *policy,
                                  const struct flow *flow, uint64_t hash)
{
    unsigned wanted = 1 + (unsigned)((hash >> 40) % policy->resources);
    struct sa_run *general = NULL, *other = NULL;
    for (const struct sa *sa = policy->newest; sa; sa = sa->older) {
        if (!traffic_match(sa->traffic, flow)) continue;
        if (sa->resource == wanted) return sa->run;
        if (!sa->resource && !general) general = sa->run;
        if (!other) other = sa->run;
    }
    if (other) resource_acquire(plane, now, policy, wanted, flow);
    return general ? general : other;
}

// RFC 4301 4.4.1.2: the negotiated selectors may be narrower than the policy's; what lies outside
// them needs another SA.
static struct sa_run *policy_sa(struct plane *plane, nsec now, struct policy *policy,
                                const struct flow *flow, uint64_t hash)
{
    if (policy->run) return policy->run;
    if (policy->resources) return resource_sa(plane, now, policy, flow, hash);
    for (struct sa *sa = policy->newest; sa; sa = sa->older)
        if (traffic_match(sa->traffic, flow)) return sa->run;
    return NULL;
}

static void flow_slot_fill(struct plane *plane, nsec now, struct flow_slot *slot,
                           const struct flow_key *key, uint64_t hash)
{
    struct spd *spd = &plane->spd;
    struct flow flow;
    flow_of_key(key, &flow);
    slot->key = *key;
    const struct policy_index *index = spd->indexes[flow_key_device(key)];
    struct policy *policy = index ? policy_index_find(index, &flow) : NULL;
    slot->run = policy && policy->action == POLICY_PROTECT
                    ? policy_sa(plane, now, policy, &flow, hash)
                    : NULL;
    slot->number = policy ? policy->number : 0;
    if (!slot->run)
        slot->policy = policy;
    else
        slot->near = run_expand_key(plane, slot->run);
    slot->generation = spd->generation;
}

static bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
    uint64_t differ = 0;
    for (size_t i = 0; i < 5; i++) differ |= a->word[i] ^ b->word[i];
    return differ == 0;
}

static bool flow_slot_is(const struct spd *spd, const struct flow_slot *slot,
                         const struct flow_key *key)
{
    return slot->generation == spd->generation && flow_key_equal(&slot->key, key);
}

// A new flow takes the first slot of its set that is out of date, else any: with half as many flows
// as slots few lose their place to another.
const struct flow_slot *spd_find(struct plane *plane, nsec now, const struct flow_key *key,
                                 uint64_t hash)
{
    struct spd *spd = &plane->spd;
    struct flow_slot *victim = NULL;
    for (size_t way = 0; way < FLOW_WAYS; way++) {
        struct flow_slot *slot = flow_slot_at(spd, hash, way);
        if (flow_slot_is(spd, slot, key)) return slot;
        if (!victim && slot->generation != spd->generation) victim = slot;
    }
    if (!victim) victim = flow_slot_at(spd, hash, 0);
    flow_slot_fill(plane, now, victim, key, hash);
    return victim;
}
