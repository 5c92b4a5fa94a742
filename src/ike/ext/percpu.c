// SPDX-License-Identifier: Apache-2.0
// Children for single resources, such as processors (RFC 9611): several children with the same
// selectors, so that no processor waits for another one's SA.
//
//     HDR, SK{…, SA, TSi, TSr, N(SA_RESOURCE_INFO)}  -->    first the child for any resource,
//                                <--  HDR, SK{…, SA, TSi, TSr, N(SA_RESOURCE_INFO)}
//     HDR, SK{SA, Ni, TSi, TSr, N(SA_RESOURCE_INFO, which)}  -->   then, when a packet calls, those
//                                                                  for single ones
//                                <--  HDR, SK{SA, Nr, TSi, TSr, N(SA_RESOURCE_INFO, which)}
//                                or   HDR, SK{N(TS_MAX_QUEUE)}     no more of them
//
// The data plane leads each flow to the SA of one resource, and to the first child while that is
// not there. Each is rekeyed and deleted by itself. What a peer calls its resources is its own
// matter: an SA that it has asked for gets the lowest number here that is free.
#include "ike/internal.h"

enum { RESOURCE_AGAIN_SECONDS = 60 };

static bool is_in_use(const struct child *child)
{
    bool installed = child->state == CHILD_INSTALLED || child->state == CHILD_REKEYING;
    return installed && child->per_resource && !child->replaced_by && !child->doomed;
}

unsigned percpu_spread(const struct child *child)
{
    unsigned resources = child->sa->ike->settings.resources;
    if (!child->per_resource || resources < 2) return 0;
    return resources < RESOURCES_MAX ? resources : RESOURCES_MAX;
}

// --- the children of one policy

static struct child *child_of(const struct sa *sa, uint32_t policy)
{
    LIST_EACH (struct child, link, child, &sa->children)
        if (is_in_use(child) && child->policy->number == policy) return child;
    return NULL;
}

static unsigned count_of(const struct sa *sa, uint32_t policy)
{
    unsigned count = 0;
    LIST_EACH (const struct child, link, child, &sa->children)
        count += is_in_use(child) && child->policy->number == policy;
    return count;
}

static bool task_is_for(const struct task *task, uint32_t policy, uint16_t resource)
{
    return task && task->kind == TASK_CHILD && task->policy == policy && task->resource == resource;
}

static bool is_there(const struct sa *sa, uint32_t policy, uint16_t resource)
{
    LIST_EACH (const struct child, link, child, &sa->children)
        if (is_in_use(child) && child->policy->number == policy && child->resource == resource)
            return true;
    return false;
}

static bool is_being_asked(const struct sa *sa, uint32_t policy, uint16_t resource)
{
    return sa->asking && task_is_for(sa->asking->task, policy, resource);
}

static bool is_wanted(const struct sa *sa, uint32_t policy, uint16_t resource)
{
    LIST_EACH (const struct task, link, task, &sa->tasks)
        if (task_is_for(task, policy, resource)) return true;
    return is_being_asked(sa, policy, resource);
}

// What the peer has asked for serves what is only wanted here as well. With so many children it
// ends at the latest with the next number.
static uint16_t lowest_free(const struct sa *sa, uint32_t policy)
{
    uint16_t resource = 1;
    while (is_there(sa, policy, resource) || is_being_asked(sa, policy, resource)) resource++;
    return resource;
}

bool percpu_is_needed(const struct child *child)
{
    return child->per_resource && !child->resource &&
           count_of(child->sa, child->policy->number) > 1;
}

// RFC 9611 3: all have the same properties as the first one.
static bool is_alike(const struct exchange *x, const struct child *first)
{
    const struct suite *one = &x->suite, *other = &first->suite;
    struct selectors local, remote;
    policy_sides(first->policy, &local, &remote);
    return one->protocol == other->protocol && one->encr == other->encr &&
           one->key_bits == other->key_bits && one->integ == other->integ && one->sn == other->sn &&
           x->mode == first->mode && !x->cpi_out == !first->cpi_out &&
           selectors_equal(&local, x->local) && selectors_equal(&remote, x->remote);
}

// --- ask

// A flow has no SA of its resource.
void percpu_acquire(struct ike *ike, uint32_t number, uint16_t resource)
{
    struct policy *policy = map_get(&ike->policies, map_key_u32(&number));
    if (!policy || policy->resources_full || ike->now < policy->resource_at) return;
    LIST_EACH (struct sa, link, sa, &ike->sas) {
        const struct child *first = child_of(sa, number);
        if (!first || sa->state != ESTABLISHED || sa->replaced_by || sa->bits & REAUTH_ASKED)
            continue;
        if (!resource || resource > percpu_spread(first) || is_there(sa, number, resource) ||
            is_wanted(sa, number, resource))
            return;
        if (sa->task_count >= TASKS_MAX) return;
        struct task *task = task_add(sa, TASK_CHILD);
        task->conf = first->conf;
        task->conn = conn_hold(first->conn);
        task->policy = number;
        task->resource = resource;
        sa_pump(sa);
        return;
    }
}

// Is there still something to do when its turn comes?
bool percpu_makes_sense(const struct sa *sa, const struct task *task)
{
    return !task->resource ||
           (child_of(sa, task->policy) && !is_there(sa, task->policy, task->resource));
}

const struct child *percpu_first(const struct exchange *x)
{
    return x->task && x->task->resource ? child_of(x->sa, x->task->policy) : NULL;
}

void percpu_offer(struct exchange *x, const struct child_conf *conf, const struct child *old)
{
    x->per_resource = old ? old->per_resource : conf->per_cpu != PER_CPU_NO;
    x->resource = old ? old->resource : x->task->resource;
}

// RFC 9611 5.1: what is in it is for people who look for faults.
void percpu_write(const struct exchange *x, struct draft *draft)
{
    uint8_t space[2];
    struct wr out = wr_over(space, sizeof space);
    if (x->resource) wr_u16(&out, x->resource);
    if (x->per_resource) draft_notify(draft, NOTIFY_SA_RESOURCE_INFO, wr_done(&out));
}

// --- conclude

// RFC 9611 3: with the answer to the first one the peer says whether it takes further ones; a
// rekeyed one stays what it was with or without the notify.
enum fault percpu_agree(struct exchange *x)
{
    struct notify notify;
    const struct child *first = percpu_first(x);
    if (!x->per_resource || x->old_id) return OK;
    if (!x->resource) {
        x->per_resource = message_notify(&x->in, NOTIFY_SA_RESOURCE_INFO, &notify);
        return OK;
    }
    return first && is_alike(x, first) ? OK : FAULT_RESOURCE_OTHER;
}

// RFC 9611 5.2: the peer has enough of them, which says nothing about other children.
void percpu_failed(const struct exchange *x, enum fault fault)
{
    struct policy *policy = x->task && x->task->resource
                                ? map_get(&x->sa->ike->policies, map_key_u32(&x->task->policy))
                                : NULL;
    if (!policy) return;
    if (fault == FAULT_PEER_RESOURCES) policy->resources_full = true;
    policy->resource_at = x->sa->ike->now + nsec_seconds(RESOURCE_AGAIN_SECONDS);
}

// --- answer

static const struct child *first_alike(const struct exchange *x, const struct child_conf *conf)
{
    LIST_EACH (const struct child, link, child, &x->sa->children) {
        struct selectors local, remote;
        if (!is_in_use(child) || strcmp(child->conf->name, conf->name) != 0) continue;
        policy_sides(child->policy, &local, &remote);
        if (selectors_equal(&local, x->local) && selectors_equal(&remote, x->remote)) return child;
    }
    return NULL;
}

enum fault percpu_choose(struct exchange *x, const struct child_conf *conf, const struct child *old)
{
    struct notify notify;
    x->per_resource = old && old->per_resource;
    x->resource = old ? old->resource : 0;
    bool asked = message_notify(&x->in, NOTIFY_SA_RESOURCE_INFO, &notify);
    if (old || !asked || conf->per_cpu == PER_CPU_NO) return OK;
    x->per_resource = true;
    const struct child *first = first_alike(x, conf);
    if (!first) return OK;
    if (!is_alike(x, first)) return FAULT_RESOURCE_OTHER;
    // RFC 9611 6: NO_ADDITIONAL_SAS would say that no other child may be, either.
    if (count_of(x->sa, first->policy->number) > x->sa->ike->settings.resource_sas_max)
        return FAULT_RESOURCES_TOO_MANY;
    x->resource = lowest_free(x->sa, first->policy->number);
    return OK;
}

// --- both

void percpu_announce(const struct child *child)
{
    struct ike *ike = child->sa->ike;
    if (child->conf->per_cpu == PER_CPU_NO) return;
    if (!child->per_resource)
        report(ike, ABOUT_CHILD(child), IKE_INFO, OK,
               "the peer takes no children for single processors: there is this one for all");
    else if (child->resource)
        report(ike, ABOUT_CHILD(child), IKE_DETAIL, OK, "the child is for processor %u",
               child->resource - 1);
}

// One that the peer deletes was idle for it; a packet of ours may call for it again, but not at
// once, or the two ends would never stop.
void percpu_gone(struct child *child)
{
    if (!child->resource || child->replaced_by) return;
    child->policy->resources_full = false;
    child->policy->resource_at = child->sa->ike->now + nsec_seconds(RESOURCE_AGAIN_SECONDS);
}
