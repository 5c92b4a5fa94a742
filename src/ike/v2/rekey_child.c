// SPDX-License-Identifier: Apache-2.0
// CREATE_CHILD_SA that rekeys a child (RFC 7296 1.3.3, 2.8):
//
//     HDR, SK{N(REKEY_SA), SA, Ni, [KEi,] TSi, TSr}  -->
//                                                    <--  HDR, SK{SA, Nr, [KEr,] TSi, TSr}
//     HDR, SK{D}  -->                           the end that rekeyed deletes the old child
//
// Not a packet is lost: see child.c for what is installed when.
#include "ike/v2/child_steps.h"

static struct child *old_child(const struct exchange *x)
{
    struct child *child = child_by_id(x->sa->ike, x->old_id);
    return child && child->state != CHILD_GONE && child->sa == x->sa ? child : NULL;
}

// --- ask

static enum fault rekey_begin(struct exchange *x)
{
    x->old_id = x->task->child_id;
    struct child *old = old_child(x);
    if (!old || old->state != CHILD_INSTALLED) {
        exchange_give_up(x);
        return OK;
    }
    // The peer asked for this child and may not have our answer yet: it would not know what is to
    // be rekeyed.
    if (old->keys_out.at) {
        task_again(x->sa, x->task, NSEC_PER_SECOND);
        x->task = NULL;
        exchange_give_up(x);
        return OK;
    }
    old->state = CHILD_REKEYING;
    x->child = child_new(x->sa, old->conn, old->conf);
    x->child->protocol = old->protocol;
    x->child->replaces = old->id;
    return OK;
}

// The peer may have rekeyed or deleted the child while our key was made.
static enum fault rekey_ask(struct exchange *x)
{
    struct child *old = old_child(x);
    struct draft draft;
    if (!old || old->state != CHILD_REKEYING) {
        if (x->old_closed == OLD_CLOSED)
            child_act_closed(x->sa->ike, x->child->conn, x->child->conf);
        exchange_give_up(x);
        return OK;
    }
    uint8_t spi[4];
    struct wr out = wr_over(spi, sizeof spi);
    wr_u32(&out, old->spi_in);
    draft_begin(x->sa->ike, &draft);
    // RFC 7296 1.3.3: the SPI is the one that we receive with.
    draft_notify_spi(&draft, old->protocol, wr_done(&out), NOTIFY_REKEY_SA, BYTES_NONE);
    child_offer(x, &draft, NULL, PROPOSAL_WITH_KE);
    ppk_names_write(x, &draft);
    request(x, &draft);
    return OK;
}

static const struct step rekey_ask_steps[] = {
    STEP(rekey_begin),
    WAIT(child_make_key, ke_make_done),           // waits: KE_MAKE, with PFS
    WAIT(ppk_rekey_confirm, ppk_names_confirmed), // waits: PPK, where keys are mixed in here, too
    STEP(rekey_ask),
    END,
};

// --- conclude

static enum fault rekey_heed(struct exchange *x)
{
    return child_heed(x, &rekey_ask_steps[1]);
}

static void delete_later(struct child *child)
{
    if (!task_find(child->sa, TASK_DELETE_CHILD, child->id))
        task_add(child->sa, TASK_DELETE_CHILD)->child_id = child->id;
}

// The peer's rekeying is the one that stands.
static void rekey_superseded(struct child *old)
{
    struct child *theirs = child_by_id(old->sa->ike, old->rival->id);
    if (!theirs || theirs->state == CHILD_GONE) return;
    child_replaced(old, theirs);
    child_rival_settled(theirs);
}

// Ours has the lowest nonce: it is deleted before it is used, and the peer's child is the one that
// goes on.
static void rekey_lost(struct exchange *x, struct child *old)
{
    report(x->sa->ike, ABOUT_CHILD(old), IKE_DETAIL, OK,
           "rekeying crossed the peer's, which stands");
    child_abandon(x);
    rekey_superseded(old);
}

static void rekey_won(struct exchange *x, struct child *old, struct secret *keymat)
{
    struct child *child = x->child;
    struct child *theirs = old->rival ? child_by_id(x->sa->ike, old->rival->id) : NULL;
    if (theirs && theirs->state != CHILD_GONE) {
        report(x->sa->ike, ABOUT_CHILD(old), IKE_DETAIL, OK,
               "rekeying crossed the peer's; ours stands");
        theirs->doomed = true; // the peer deletes it
        theirs->replaced_by = child->id;
    }
    child_install(x, keymat, INSTALL_BOTH);
    child_replaced(old, child);
    delete_later(old);
    child_deleted_early(x, child);
}

static enum fault rekey_conclude(struct exchange *x)
{
    SECRET(keymat);
    struct child *old = old_child(x);
    TRY(child_keys(x, &keymat));
    x->sa->troubled_since = 0;
    if (!old && x->old_closed > OLD_CLOSED) {
        x->child->replaces = 0;
        child_abandon(x);
    } else if (!old) {
        // RFC 7296 2.25.1: the peer deleted the old one while it was rekeyed, after it had answered,
        // or it would have refused. So the new one stands.
        struct child *child = x->child;
        child->replaces = 0;
        child_install(x, &keymat, INSTALL_BOTH);
        child_deleted_early(x, child);
    } else if (old->rival && nonces_lose(x, old->rival)) {
        rekey_lost(x, old);
    } else {
        rekey_won(x, old, &keymat);
    }
    return OK;
}

// RFC 9370 2.2.4: of two requests that crossed the one with the lowest nonce ends here; nothing has
// been made of it.
static enum fault rekey_followup(struct exchange *x)
{
    struct child *old = old_child(x);
    bool lost = old && suite_has_rounds(&x->suite) &&
                ((old->rival && nonces_lose(x, old->rival)) || parked_wins(x));
    if (!lost) return followup_begin(x);
    exchange_skip_rest(x);
    child_end(x->child, OK);
    x->child = NULL;
    if (old->rival)
        rekey_superseded(old);
    else
        old->state = CHILD_INSTALLED; // the peer goes on
    return OK;
}

static const struct step rekey_conclude_steps[] = {
    STEP(rekey_heed),                                             // INVALID_KE_PAYLOAD: asks again
    STEP(child_take_answer), WAIT(ppk_rekey_agree, ppk_rekey_mixed), // waits: PPK
    WAIT(ke_share_start, ke_share_done),                          // waits: KE_SHARE, with PFS
    STEP(rekey_followup), STEP(rekey_conclude), END,
};

static const struct step rekey_followup_steps[] = {
    STEP(followup_heed), STEP(followup_read),
    WAIT(followup_share, followup_shared), // waits: KE_SHARE
    STEP(followup_more), STEP(rekey_conclude), END,
};

// RFC 7296 2.25: the peer does not have the child. If it has rekeyed it itself that is as it should
// be; else the child is of no use, and a new one is made from scratch.
static void child_unknown_to_peer(struct exchange *x, struct child *old)
{
    struct sa *sa = x->sa;
    if (!old->resource) {
        struct task *task = task_add(sa, TASK_CHILD);
        task->conf = old->conf;
        task->conn = conn_hold(old->conn);
    }
    child_end(old, OK);
}

static void rekey_failed(struct exchange *x, enum fault fault)
{
    struct child *old = old_child(x), *fresh = x->child;
    bool lost = fresh && x->old_closed == OLD_CLOSED;
    const struct child_conf *conf = fresh ? fresh->conf : NULL;
    const struct conn *conn = fresh ? fresh->conn : NULL;
    child_abandon(x);
    if (lost) child_act_closed(x->sa->ike, conn, conf);
    if (!old) return;
    if (old->rival) {
        struct child *theirs = child_by_id(x->sa->ike, old->rival->id);
        if (theirs && theirs->state != CHILD_GONE) {
            child_replaced(old, theirs);
            child_rival_settled(theirs);
            return;
        }
    }
    if (fault == FAULT_PEER_CHILD_GONE)
        child_unknown_to_peer(x, old);
    else if (old->state == CHILD_REKEYING)
        old->state = CHILD_INSTALLED;
}

static const struct plan plan_rekey_followup = {
    .exchange = EXCHANGE_IKE_FOLLOWUP_KE,
    .ask = {"IKE_FOLLOWUP_KE (rekey)", FAILURE_STAYS, followup_ask_steps, rekey_failed},
    .conclude = {"IKE_FOLLOWUP_KE (rekey)", FAILURE_STAYS, rekey_followup_steps, rekey_failed},
};

const struct plan plan_rekey_child = {
    .exchange = EXCHANGE_CREATE_CHILD_SA,
    .ask = {"CREATE_CHILD_SA (rekey)", FAILURE_STAYS, rekey_ask_steps, rekey_failed},
    .conclude = {"CREATE_CHILD_SA (rekey)", FAILURE_STAYS, rekey_conclude_steps, rekey_failed},
    .followup = &plan_rekey_followup,
};

// --- answer

// Have we asked for a child and have no answer yet?
static bool child_is_coming(const struct sa *sa)
{
    const struct exchange *ours = sa->asking;
    return ours && ours->is_sent && (ours->plan == &plan_rekey_child || ours->plan == &plan_child);
}

static enum fault rekey_find(struct exchange *x)
{
    struct notify notify;
    message_notify(&x->in, NOTIFY_REKEY_SA, &notify);
    struct rd in = rd_over(notify.spi);
    uint32_t spi = rd_u32(&in);
    TRY(rd_end(&in));
    x->notify_spi = notify.spi;
    struct child *old = child_by_spi_out(x->sa, notify.protocol, spi);
    // RFC 7296 2.25: the answer that makes it may be on its way to us, overtaken by this request.
    if (!old && child_is_coming(x->sa))
        return exchange_why(x, FAULT_BUSY, "a child is being created");
    // One that both ends have deleted is only kept for packets that are still under way.
    if (!old || old->state == CHILD_GONE || old->timers[CHILD_TIMER_GONE] != NSEC_NEVER)
        return exchange_why(x, FAULT_CHILD_NOT_FOUND, "SPI %08x", spi);
    TRY(child_may_rekey(x, old));
    x->old_id = old->id;
    return OK;
}

static enum fault rekey_choose(struct exchange *x)
{
    struct child *old = old_child(x);
    if (!old) return FAULT_CHILD_NOT_FOUND;
    TRY(child_choose(x, old, PROPOSAL_WITH_KE));
    x->child->replaces = old->id;
    return OK;
}

// Is our own request to rekey the same child on its way?
static bool crosses(const struct exchange *x)
{
    const struct exchange *ours = x->sa->asking;
    return ours && ours->plan == &plan_rekey_child && ours->old_id == x->old_id && ours->is_sent;
}

static const struct recipe rekey_resume;

static enum fault rekey_answer_begin(struct exchange *x)
{
    struct child *old = old_child(x);
    if (!old) return FAULT_CHILD_NOT_FOUND;
    TRY(child_may_rekey(x, old));
    return child_answer_first(x, &rekey_resume);
}

static enum fault rekey_answer_write(struct exchange *x)
{
    SECRET(keymat);
    struct child *old = old_child(x), *child = x->child;
    if (!old) return FAULT_CHILD_NOT_FOUND;
    TRY(child_may_rekey(x, old)); // much may have happened while the key exchange was computed
    TRY(child_keys(x, &keymat));
    child_answer_last(x);
    if (crosses(x)) {
        free(old->rival);
        old->rival = rival_new(child->id, x);
        child->awaits_rival = true;
    }
    child_install(x, &keymat, INSTALL_INBOUND);
    if (!old->rival) child_replaced(old, child);
    return OK;
}

static void rekey_answer_failed(struct exchange *x, enum fault fault)
{
    (void)fault;
    child_abandon(x);
}

static const struct step rekey_answer_steps[] = {
    STEP(rekey_find),
    STEP(child_read_request),
    STEP(rekey_choose),
    WAIT(ppk_rekey_choose, ppk_rekey_chosen), // waits: PPK, if the peer names some
    WAIT(ke_answer_start, ke_answer_done),    // waits: KE_ANSWER, with PFS
    STEP(child_answer_nonce),
    STEP(rekey_answer_begin), // with additional key exchanges: until the next request
    STEP(rekey_answer_write),
    END,
};
const struct recipe rekey_child_answer = {"CREATE_CHILD_SA (rekey)", FAILURE_STAYS,
                                          rekey_answer_steps, rekey_answer_failed};

static const struct step rekey_resume_steps[] = {
    WAIT(followup_answer_start, followup_answer_done), // waits: KE_ANSWER
    STEP(followup_answer_more),
    STEP(rekey_answer_write),
    END,
};
static const struct recipe rekey_resume = {"IKE_FOLLOWUP_KE (rekey)", FAILURE_STAYS,
                                           rekey_resume_steps, rekey_answer_failed};
