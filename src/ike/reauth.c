// SPDX-License-Identifier: Apache-2.0
// Reauthentication (RFC 7296 2.8.3): an IKE SA with the same children is made from the beginning.
//
//     make_before_break = yes   the old one goes when all children are there anew: no packet is lost
//     make_before_break = no    the old one goes first: for peers that keep one IKE SA of an identity
//
// What the old one's traps and policies guard stays guarded in between.
#include "ike/internal.h"

enum { REAUTH_AGAIN_SECONDS = 60 };

static struct sa *heir_make(struct sa *sa)
{
    struct sa *fresh = sa_new(sa->ike, sa->conn, true);
    if (sa->bits & BY_PEER) {
        fresh->path = sa->path;
        fresh->handshake->path_known = true;
    }
    LIST_EACH (struct child, link, child, &sa->children) {
        bool in_use = child->state == CHILD_INSTALLED || child->state == CHILD_REKEYING;
        bool pair = child->mode == MODE_BEET && mode_is_on_demand(child->conf);
        struct flow flow = pair ? mode_pair_flow(child) : (struct flow){0};
        if (!in_use || child->replaced_by || child->resource) continue;
        task_child(fresh, child->conn, child->conf, 0, pair ? &flow : NULL)->wish =
            child_is_to_be_up(child->conf);
    }
    return fresh;
}

static bool has_child_to_be_up(const struct sa *sa)
{
    LIST_EACH (const struct child, link, child, &sa->children)
        if (child->state == CHILD_INSTALLED && child_is_to_be_up(child->conf)) return true;
    return false;
}

void sa_replace(struct sa *sa)
{
    if (task_find(sa, TASK_DELETE_IKE, 0)) return;
    if (!(sa->bits & REAUTH_ASKED) && loaded_find(sa->ike, sa->conn->name) &&
        has_child_to_be_up(sa)) {
        sa->bits |= REAUTH_ASKED;
        sa->then_begins = heir_make(sa)->id;
    }
    task_add(sa, TASK_DELETE_IKE);
    sa_pump(sa);
}

struct sa *sa_successor(struct sa *sa)
{
    if (sa->state != ESTABLISHED || sa->bits & REAUTH_ASKED ||
        !loaded_find(sa->ike, sa->conn->name))
        return NULL;
    sa->bits |= REAUTH_ASKED;
    struct sa *fresh = heir_make(sa);
    fresh->reauth_of = sa->id;
    return fresh;
}

void reauthenticate(struct sa *sa)
{
    struct ike *ike = sa->ike;
    if (sa->state != ESTABLISHED || sa->bits & REAUTH_ASKED || !loaded_find(ike, sa->conn->name))
        return;
    // RFC 4478 3: whoever has a virtual address of ours must ask for it again, and was told when.
    if (sa->bits & BY_PEER && sa->lease_count) {
        report(ike, ABOUT_SA(sa), IKE_INFO, OK,
               "IKE SA is left to the peer to be authenticated anew, as it has an address of ours");
        return;
    }
    sa->bits |= REAUTH_ASKED;
    struct sa *fresh = heir_make(sa);
    if (sa->conn->break_before_make) {
        report(ike, ABOUT_SA(sa), IKE_INFO, OK, "IKE SA is closed, to be authenticated anew");
        sa->then_begins = fresh->id;
        task_add(sa, TASK_DELETE_IKE);
        sa_pump(sa);
        return;
    }
    report(ike, ABOUT_SA(sa), IKE_INFO, OK, "IKE SA is authenticated anew");
    fresh->reauth_of = sa->id;
    exchange_ask(fresh, first_plan(fresh), NULL);
}

void reauthentication_begins(const struct sa *ended)
{
    struct sa *fresh = ended->then_begins ? sa_by_id(ended->ike, ended->then_begins) : NULL;
    if (fresh) sa_set_timer(fresh, TIMER_START, ended->ike->now);
}

// All children are there anew.
void reauthenticated(struct sa *sa)
{
    struct sa *old = sa_by_id(sa->ike, sa->reauth_of);
    sa->reauth_of = 0;
    if (!old || old->state != ESTABLISHED) return;
    old->replaced_by = sa->id;
    LIST_EACH (struct child, link, child, &old->children) {
        struct child *fresh = child_by_name(sa, child->conf->name);
        if (fresh && !child->replaced_by) child_replaced(child, fresh);
    }
    event(sa->ike, (struct ike_event){
                       .kind = IKE_EVENT_IKE_REKEYED, .ike_id = sa->id, .old_ike_id = old->id});
    if (!task_find(old, TASK_DELETE_IKE, 0)) task_add(old, TASK_DELETE_IKE);
    sa_pump(old);
}

// The old SA stays, and is tried to be replaced again in a while.
void reauthentication_failed(const struct sa *sa)
{
    struct sa *old = sa_by_id(sa->ike, sa->reauth_of);
    if (!old || old->state != ESTABLISHED) return;
    old->bits &= ~(uint32_t)REAUTH_ASKED;
    if (sa->redirects.count != old->redirects.count) return; // to another gateway, which did not take us
    sa_set_timer(old, TIMER_REAUTH, sa->ike->now + nsec_seconds(REAUTH_AGAIN_SECONDS));
}
