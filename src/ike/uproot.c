// SPDX-License-Identifier: Apache-2.0
// Children that cannot move along with their IKE SA (RFC 4555 1.3): their selectors are addresses
// of the two hosts themselves, as in transport mode. The end that decides makes them anew:
//
//     the SA's path changes --> delete the child --> CREATE_CHILD_SA for the address of now
//
// The old one goes first, so that a trap, which follows, holds the packets meanwhile.
#include "ike/internal.h"

static bool is_in_use(const struct child *child)
{
    bool installed = child->state == CHILD_INSTALLED || child->state == CHILD_REKEYING;
    return installed && !child->replaced_by && !child->doomed && !child->resource;
}

// Do its selectors depend on addresses that a path has?
static bool is_bound(const struct child *child)
{
    const struct sa *sa = child->sa;
    const struct child_conf *conf = child->conf;
    return (conf->local_dynamic && !sa->vip_count) || (conf->remote_dynamic && !sa->lease_count);
}

static void make_anew(struct child *child, const struct selectors *local,
                      const struct selectors *remote)
{
    struct sa *sa = child->sa;
    const struct child_conf *conf = child->conf;
    report(sa->ike, ABOUT_CHILD(child), IKE_INFO, OK,
           "the child is of the former addresses and cannot move; it is made anew for %s === %s",
           selectors_text(sa->ike, local), selectors_text(sa->ike, remote));
    policy_follow(child->policy, local, remote);
    task_add(sa, TASK_DELETE_CHILD)->child_id = child->id;
    if (!task_find_conf(sa, conf->name))
        task_child(sa, child->conn, conf, 0, NULL)->wish = child_is_to_be_up(conf);
}

// One that is being rekeyed, by whichever end, has an heir with the same selectors: so it is looked
// again until there is none.
void children_uproot(struct sa *sa)
{
    bool again = false;
    if (sa->state != ESTABLISHED || !sa->mobility->uproots) return;
    LIST_EACH (struct child, link, child, &sa->children) {
        struct selectors local, remote, local_now, remote_now;
        if (!is_in_use(child) || !child->policy || !is_bound(child)) continue;
        policy_sides(child->policy, &local, &remote);
        conf_selectors(sa, child->conf, &local_now, &remote_now);
        if (selectors_within(&local, &local_now) && selectors_within(&remote, &remote_now))
            continue;
        again = true;
        bool waits = child->state != CHILD_INSTALLED || sa->task_count + 2 > TASKS_MAX ||
                     task_find(sa, TASK_DELETE_CHILD, child->id);
        if (!waits) make_anew(child, &local_now, &remote_now);
    }
    sa->mobility->uproots = again;
}
