// SPDX-License-Identifier: Apache-2.0
// Looking at the core from outside: IKE SAs and children by number, in the order in which they were
// made.
#include "ike/internal.h"

static const struct sa *next_sa(const struct ike *ike, uint32_t id)
{
    struct sa *at = sa_by_id(ike, id);
    if (at && at->state != DEAD) {
        struct list *next = at->link.next;
        return next == &ike->sas ? NULL : LIST_OWNER(struct sa, link, next);
    }
    LIST_EACH (const struct sa, link, sa, &ike->sas)
        if (sa->id > id) return sa;
    return NULL;
}

uint32_t ike_sa_after(const struct ike *ike, uint32_t id)
{
    const struct sa *sa = next_sa(ike, id);
    while (sa && !sa->conn) sa = next_sa(ike, sa->id); // one that a rekey is about to make
    return sa ? sa->id : 0;
}

static nsec shown(nsec at)
{
    return at == NSEC_NEVER ? 0 : at;
}

bool ike_sa_info(const struct ike *ike, uint32_t id, struct ike_sa_info *out)
{
    const struct sa *sa = sa_by_id(ike, id);
    if (!sa || !sa->conn) return false;
    *out = (struct ike_sa_info){
        .id = sa->id,
        .conn = sa->conn,
        .state = sa_state_text(sa),
        .initiator = sa->initiator,
        .cluster_peer = sa->bits & (PEER_SYNCS_IDS | PEER_SYNCS_REPLAY),
        .ppk = sa->bits & PPK_USED,
        .ppk_early = sa->bits & PPK_EARLY,
        .ppk_name = sa->ppk_name.size ? ppk_text(sa, sa->ppk_name) : NULL,
        .spi_i = sa->spi_i,
        .spi_r = sa->spi_r,
        .path = sa->path,
        .local_id = &sa->local_id,
        .remote_id = &sa->remote_id,
        .nat_local = sa->bits & NAT_LOCAL,
        .nat_remote = sa->bits & NAT_REMOTE,
        .nat_any = nat_encap(sa) && !sa->path.stream,
        .suite = sa->suite,
        .established = sa->established,
        .rekey_at = shown(sa->timers[TIMER_REKEY]),
        .reauth_at = shown(sa->timers[TIMER_REAUTH]),
        .vip_count = sa->vip_count,
        .vips = sa->vips,
        .remote_vip_count = sa->lease_count,
        .remote_vips = sa->remote_vips,
        .dns_count = sa->dns_count,
        .dns = sa->dns,
        .domains = sa->domains,
        .peer_scheme = *sa->peer_scheme ? sa->peer_scheme : NULL,
        .children = sa->child_count,
        .attempts = sa->handshake ? sa->handshake->attempts : 0,
        .last_failure = sa->handshake ? sa->handshake->last_fault : OK,
        .next_attempt = sa_is_waiting(sa) ? sa->timers[TIMER_START] : 0,
    };
    return true;
}

uint32_t ike_child_after(const struct ike *ike, uint32_t ike_id, uint32_t child_id)
{
    const struct sa *sa = sa_by_id(ike, ike_id);
    uint32_t least = 0;
    if (!sa) return 0;
    LIST_EACH (const struct child, link, child, &sa->children)
        if (child->id > child_id && (!least || child->id < least)) least = child->id;
    return least;
}

const char *ike_waiting_child(const struct ike *ike, uint32_t ike_id, unsigned nth)
{
    const struct sa *sa = sa_by_id(ike, ike_id);
    if (!sa) return NULL;
    const struct task *running = sa->asking ? sa->asking->task : NULL;
    if (running && running->kind == TASK_CHILD && !nth--) return running->conf->name;
    LIST_EACH (const struct task, link, task, &sa->tasks)
        if (task->kind == TASK_CHILD && !nth--) return task->conf->name;
    return NULL;
}

bool ike_policy_info(const struct ike *ike, const char *conn, unsigned nth,
                     struct ike_policy_info *out)
{
    const struct loaded *loaded = loaded_find(ike, conn);
    if (!loaded) return false;
    LIST_EACH (const struct policy, link, policy, &loaded->policies) {
        if (!policy->installed || nth--) continue;
        policy_sides(policy, &ike->shown[0], &ike->shown[1]);
        *out = (struct ike_policy_info){.number = policy->number,
                                        .conn = policy->conn,
                                        .child = policy->conf,
                                        .local = &ike->shown[0],
                                        .remote = &ike->shown[1]};
        return true;
    }
    return false;
}

bool ike_child_info(const struct ike *ike, uint32_t ike_id, uint32_t child_id,
                    struct ike_child_info *out)
{
    const struct child *child = child_by_id(ike, child_id);
    if (!child || !child->policy || (ike_id && child->sa->id != ike_id)) return false;
    policy_sides(child->policy, &ike->shown[0], &ike->shown[1]);
    const struct path_mtu *pmtu = &child->sa->pmtu;
    *out = (struct ike_child_info){
        .id = child->id,
        .spi_in = child->spi_in,
        .spi_out = child->spi_out,
        .policy = child->policy->number,
        .if_id_in = child->policy->if_id_in,
        .if_id_out = child->policy->if_id_out,
        .name = child->conf->name,
        .state = child_state_text(child),
        .mode = child->mode,
        .protocol = child->protocol,
        .mode_asked = child->mode_why ? child->conf->mode : child->mode,
        .mode_why = child->mode_why,
        .encap = nat_encap(child->sa),
        .cpi_in = child->cpi_in,
        .cpi_out = child->cpi_out,
        .ppk = child->ppk,
        .per_resource = child->per_resource,
        .resource = child->resource,
        .esn = child->suite.sn == SN_EXTENDED,
        .suite = child->suite,
        .path_mtu = pmtu->current,
        .device_mtu = pmtu->device,
        .mtu_source = pmtu->source,
        .mtu_learned = pmtu->learned,
        .mtu_probed = pmtu->device && child->sa->conn->path_mtu_probes,
        .installed = child->installed,
        .rekey_at = shown(child->timers[CHILD_TIMER_REKEY]),
        .life_ends = shown(child->timers[CHILD_TIMER_EXPIRE]),
        .in = child->in,
        .out = child->out,
        .local = &ike->shown[0],
        .remote = &ike->shown[1],
        .conf = child->conf,
    };
    policy_child_path(child, &out->path);
    return true;
}
