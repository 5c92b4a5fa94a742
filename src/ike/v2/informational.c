// SPDX-License-Identifier: Apache-2.0
// INFORMATIONAL (RFC 7296 1.4, 1.4.1, 2.4): deletions both ways, liveness checks, what a peer has
// to say.
//
//     HDR, SK{[N,] [D, …]}  -->
//                           <--  HDR, SK{[D, …]}
//
// A child is a pair: whoever deletes one names its inbound SPIs, and the answer names the other
// halves.
#include "ike/internal.h"
#include "ike/roam.h"

// --- ask: delete a child

static void delete_put(struct draft *draft, uint8_t protocol, const uint32_t *spis, size_t count)
{
    struct delete_payload delete = {.protocol = protocol, .count = (uint16_t)count};
    for (size_t i = 0; i < count; i++) delete.spis[i] = spis[i];
    delete_write(draft_open(draft, PAYLOAD_DELETE), &delete);
    draft_close(draft);
}

enum { DELETE_TRIES_MAX = 10 };

static enum fault delete_child_ask(struct exchange *x)
{
    struct draft draft;
    struct child *child = child_by_id(x->sa->ike, x->task->child_id);
    if (!child || child->state == CHILD_GONE || child->state == CHILD_DELETING) {
        exchange_give_up(x);
        return OK;
    }
    // The peer asked for this child and may not have our answer yet: it would not know what is to
    // be deleted.
    if (child->keys_out.at && x->task->tries < DELETE_TRIES_MAX) {
        task_again(x->sa, x->task, NSEC_PER_SECOND);
        x->task = NULL;
        exchange_give_up(x);
        return OK;
    }
    x->old_id = child->id;
    child_deleting(child);
    draft_begin(x->sa->ike, &draft);
    delete_put(&draft, child->protocol, &child->spi_in, 1);
    request(x, &draft);
    return OK;
}

static enum fault delete_child_conclude(struct exchange *x)
{
    struct child *child = child_by_id(x->sa->ike, x->old_id);
    if (!child || child->state == CHILD_GONE) return OK;
    if (child->replaced_by)
        child_linger(child);
    else
        child_deleted(child);
    return OK;
}

// Whatever came back: for us it is deleted.
static void delete_child_failed(struct exchange *x, enum fault fault)
{
    struct child *child = child_by_id(x->sa->ike, x->old_id);
    if (child && child->state != CHILD_GONE) child_end(child, fault);
}

static const struct step delete_child_ask_steps[] = {STEP(delete_child_ask), END};
static const struct step delete_child_conclude_steps[] = {STEP(delete_child_conclude), END};
const struct plan plan_delete_child = {
    .exchange = EXCHANGE_INFORMATIONAL,
    .ask = {"deleting a child", FAILURE_STAYS, delete_child_ask_steps, delete_child_failed},
    .conclude = {"deleting a child", FAILURE_STAYS, delete_child_conclude_steps,
                 delete_child_failed},
};

// --- ask: delete a child that only the peer has

static enum fault delete_spi_ask(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    delete_put(&draft, x->task->protocol, &x->task->spi, 1);
    request(x, &draft);
    return OK;
}

static enum fault nothing_to_conclude(struct exchange *x)
{
    x->sa->last_heard = x->sa->ike->now;
    return OK;
}

static const struct step delete_spi_ask_steps[] = {STEP(delete_spi_ask), END};
static const struct step nothing_steps[] = {STEP(nothing_to_conclude), END};
const struct plan plan_delete_spi = {
    .exchange = EXCHANGE_INFORMATIONAL,
    .ask = {"deleting a child", FAILURE_STAYS, delete_spi_ask_steps, NULL},
    .conclude = {"deleting a child", FAILURE_STAYS, nothing_steps, NULL},
};

// --- ask: delete the IKE SA

static enum fault delete_ike_ask(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct draft draft;
    sa_set_state(sa, DELETING);
    draft_begin(sa->ike, &draft);
    delete_put(&draft, PROTOCOL_IKE, NULL, 0);
    request(x, &draft);
    return OK;
}

static enum fault delete_ike_conclude(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (!sa->replaced_by) report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "IKE SA is closed");
    sa_end(sa, OK, NULL);
    return OK;
}

static void delete_ike_failed(struct exchange *x, enum fault fault)
{
    sa_end(x->sa, fault, NULL);
}

static const struct step delete_ike_ask_steps[] = {STEP(delete_ike_ask), END};
static const struct step delete_ike_conclude_steps[] = {STEP(delete_ike_conclude), END};
const struct plan plan_delete_ike = {
    .exchange = EXCHANGE_INFORMATIONAL,
    .ask = {"closing the IKE SA", FAILURE_STAYS, delete_ike_ask_steps, delete_ike_failed},
    .conclude = {"closing the IKE SA", FAILURE_STAYS, delete_ike_conclude_steps, delete_ike_failed},
};

// --- ask: does the peer live?

// RFC 7296 1.4: an empty request that the peer must answer.
static enum fault liveness_ask(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    mobike_liveness_write(x, &draft);
    request(x, &draft);
    return OK;
}

static enum fault liveness_conclude(struct exchange *x)
{
    mobike_liveness_heed(x);
    return OK;
}

static const struct step liveness_ask_steps[] = {STEP(liveness_ask), END};
static const struct step liveness_conclude_steps[] = {STEP(liveness_conclude), END};
const struct plan plan_liveness = {
    .exchange = EXCHANGE_INFORMATIONAL,
    .ask = {"liveness check", FAILURE_STAYS, liveness_ask_steps, NULL},
    .conclude = {"liveness check", FAILURE_STAYS, liveness_conclude_steps, NULL},
};

// --- answer

struct deletions {
    struct child *children[DELETE_SPIS_MAX];
    size_t count;
    bool ike;
};

// RFC 7296 2.25: our request for a child is open; its answer may be lost, and the child deleted
// already.
static void early_note(struct exchange *ours, uint32_t spi)
{
    if (!ours || !ours->child) return;
    if (ours->gone_count == GONE_MAX)
        memmove(ours->gone, ours->gone + 1, --ours->gone_count * sizeof *ours->gone);
    ours->gone[ours->gone_count++] = spi;
}

static void deletion_add(struct exchange *x, struct deletions *all, uint8_t protocol, uint32_t spi)
{
    struct child *child = child_by_spi_out(x->sa, protocol, spi);
    if (!child) early_note(x->sa->asking, spi);
    // RFC 7296 1.4.1: what we are deleting, too, or do not have, is left out of the answer.
    if (!child || child->state == CHILD_DELETING || child->state == CHILD_GONE ||
        all->count == DELETE_SPIS_MAX)
        return;
    for (size_t i = 0; i < all->count; i++)
        if (all->children[i] == child) return;
    all->children[all->count++] = child;
}

static enum fault deletions_read(struct exchange *x, struct deletions *all)
{
    struct delete_payload *delete = arena_new(&x->arena, sizeof *delete);
    for (size_t i = 0; i < x->in.payloads->count; i++) {
        const struct payload *payload = &x->in.payloads->at[i];
        if (payload->type != PAYLOAD_DELETE) continue;
        TRY(delete_read(payload->body, delete));
        if (delete->protocol == PROTOCOL_IKE) all->ike = true;
        for (unsigned j = 0; j < delete->count; j++)
            deletion_add(x, all, delete->protocol, delete->spis[j]);
    }
    return OK;
}

static void answer_write(struct exchange *x, const struct deletions *all)
{
    static const uint8_t protocols[] = {PROTOCOL_ESP, PROTOCOL_AH};
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    for (unsigned i = 0; i < sizeof protocols && !all->ike; i++) {
        uint32_t spis[DELETE_SPIS_MAX];
        size_t count = 0;
        for (size_t j = 0; j < all->count; j++)
            if (all->children[j]->protocol == protocols[i])
                spis[count++] = all->children[j]->spi_in;
        if (count) delete_put(&draft, protocols[i], spis, count);
    }
    config_inform(x, &draft);
    mobike_answer(x, &draft);
    if (!all->ike) ticket_answer(x, &draft);
    respond(x, &draft);
    auth_lifetime_heed(x->sa, &x->in);
}

// RFC 7296 2.25.1: the peer deletes a child that we rekey, or that lost a collision, or just a
// child.
static void child_deleted_by_peer(struct child *child)
{
    struct child *theirs = child->rival ? child_by_id(child->sa->ike, child->rival->id) : NULL;
    if (theirs && theirs->state != CHILD_GONE && !child->replaced_by) {
        struct exchange *ours = child->sa->asking;
        if (ours && ours->old_id == child->id) ours->old_closed = OLD_REPLACED;
        child_replaced(child, theirs);
        child_rival_settled(theirs);
    }
    if (child->replaced_by && !child->doomed) {
        child_linger(child);
        return;
    }
    if (!child->doomed)
        report(child->sa->ike, ABOUT_CHILD(child), IKE_INFO, OK, "child is closed by the peer");
    child_closed(child);
}

// The child of our exchange, just installed.
void child_deleted_early(const struct exchange *x, struct child *child)
{
    for (unsigned i = 0; i < x->gone_count && child->state != CHILD_GONE; i++)
        if (x->gone[i] == child->spi_out) child_deleted_by_peer(child);
}

// RFC 7296 2.8.2: who deletes the old IKE SA has finished its rekeying and did not see ours, so its
// new one inherits.
static void ike_deleted_by_peer(struct sa *sa)
{
    struct sa *theirs = sa->rival ? sa_by_id(sa->ike, sa->rival->id) : NULL;
    struct sa *fresh = sa_by_id(sa->ike, sa->replaced_by);
    if (theirs && theirs->state != DEAD && !sa->replaced_by) {
        fresh = theirs;
        sa_move_children(sa, theirs);
        event(sa->ike, (struct ike_event){.kind = IKE_EVENT_IKE_REKEYED,
                                          .ike_id = theirs->id,
                                          .old_ike_id = sa->id});
    }
    if (fresh && fresh->state != DEAD) sa_confirmed(fresh);
    sa_gone(sa, FAULT_PEER_CLOSED, NULL);
}

// RFC 7296 2.21.2: right behind IKE_AUTH the initiator may say that it does not accept us; then
// nothing is left.
static bool is_refused(const struct exchange *x, struct notify *notify)
{
    const struct sa *sa = x->sa;
    if (sa->initiator || !sa->after_auth ||
        x->in.header.message_id != sa->after_auth || !message_error(&x->in, notify))
        return false;
    return notify->type == NOTIFY_AUTHENTICATION_FAILED || notify->type == NOTIFY_INVALID_SYNTAX ||
           notify->type == NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD;
}

static enum fault informational_take(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct notify notify;
    struct deletions *all = arena_new(&x->arena, sizeof *all);
    TRY(deletions_read(x, all));
    TRY(mobike_read(x));
    TRY(counter_sync_heed(x));
    answer_write(x, all);
    if (is_refused(x, &notify)) {
        report(sa->ike, ABOUT_SA(sa), IKE_ERROR, notify_fault(notify.type),
               "the peer does not accept us: %s", fault_sentence(notify_fault(notify.type)));
        sa_end(sa, notify_fault(notify.type), NULL);
        return OK;
    }
    mobike_act(x);
    if (sa->state == DEAD) return OK;
    qcd_take(sa, &x->in);
    invalid_spi_heed(x);
    redirect_heed(x);
    if (all->ike) {
        ike_deleted_by_peer(sa);
        return OK;
    }
    for (size_t i = 0; i < all->count && sa->state != DEAD; i++)
        child_deleted_by_peer(all->children[i]);
    return OK;
}

static const struct step informational_steps[] = {STEP(informational_take), END};
const struct recipe informational_answer = {"INFORMATIONAL", FAILURE_STAYS, informational_steps,
                                            NULL};
