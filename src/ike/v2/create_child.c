// SPDX-License-Identifier: Apache-2.0
// CREATE_CHILD_SA for a further child (RFC 7296 1.3.1):
//
//     HDR, SK{SA, Ni, [KEi,] TSi, TSr}  -->
//                                       <--  HDR, SK{SA, Nr, [KEr,] TSi, TSr}
//
// The steps that rekeying a child has in common with it are here, too.
#include "ike/v2/child_steps.h"

// --- ask

enum fault child_make_key(struct exchange *x)
{
    const struct proposals *proposals = conf_proposals(x->child->conf);
    x->ke = x->task->ke ? x->task->ke : proposals_first_ke(proposals);
    if (x->ke != KE_NONE) exchange_wait(x, IKE_OP_KE_MAKE)->ke = x->ke;
    return OK;
}

static enum fault child_begin(struct exchange *x)
{
    x->child = child_new(x->sa, x->task->conn, x->task->conf);
    return OK;
}

static enum fault child_ask(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    child_offer(x, &draft, x->task->flow, PROPOSAL_WITH_KE);
    ppk_names_write(x, &draft);
    request(x, &draft);
    return OK;
}

static const struct step child_ask_steps[] = {
    STEP(child_begin),
    WAIT(child_make_key, ke_make_done),            // waits: KE_MAKE, with PFS
    WAIT(ppk_rekey_confirm, ppk_names_confirmed),  // waits: PPK, where keys are mixed in here, too
    STEP(child_ask),
    END,
};

// --- conclude

// RFC 7296 1.3: INVALID_KE_PAYLOAD names the group that the peer takes, and the request is made
// again with it.
enum fault child_heed(struct exchange *x, const struct step *make_key)
{
    struct notify notify;
    if (!message_error(&x->in, &notify)) {
        bool complete = message_first(&x->in, PAYLOAD_TSI) && message_first(&x->in, PAYLOAD_TSR);
        return complete ? OK : FAULT_PAYLOAD_MISSING;
    }
    if (notify.type == NOTIFY_INVALID_KE_PAYLOAD) {
        struct rd in = rd_over(notify.data);
        uint16_t group = rd_u16(&in);
        if (rd_end(&in) != OK || group == x->ke ||
            !proposals_offer_ke(conf_proposals(x->child->conf), group))
            return FAULT_KE_GROUP_NOT_OFFERED;
        if (++x->retries > EXCHANGE_RETRIES_MAX) return FAULT_RETRIES_TOO_MANY;
        x->task->ke = group;
        exchange_restart(x, make_key);
        return OK;
    }
    const char *name = iana_notify_name(notify.type);
    return exchange_why(x, notify_fault(notify.type), "it answers %s (%u)",
                        name ? name : "an error", notify.type);
}

static enum fault child_heed_new(struct exchange *x)
{
    return child_heed(x, &child_ask_steps[1]);
}

enum fault child_take_answer(struct exchange *x)
{
    TRY(exchange_read_nonce(x, false));
    uint16_t asked = x->ke;
    TRY(exchange_read_ke(x));
    TRY(child_agree(x, PROPOSAL_WITH_KE));
    if (x->suite.ke != KE_NONE && (x->ke != x->suite.ke || asked != x->suite.ke))
        return exchange_why(x, FAULT_PROPOSAL_NOT_OFFERED,
                            "its key exchange value is not of the method that it chose");
    return OK;
}

enum fault child_keys(struct exchange *x, struct secret *keymat)
{
    struct bytes d = x->ppk_d.size ? secret_bytes(&x->ppk_d) : sk_d(x->sa);
    TRY(keymat_child(x->sa, &x->suite, d, secret_bytes(&x->ke_shared), exchange_ni(x),
                     exchange_nr(x), secret_bytes(&x->ke_more), keymat));
    x->child->ppk = x->ppk_d.size;
    secret_later(x->sa->ike, &x->ke_shared);
    secret_later(x->sa->ike, &x->ke_more);
    return OK;
}

static enum fault child_conclude(struct exchange *x)
{
    SECRET(keymat);
    TRY(child_keys(x, &keymat));
    struct child *child = x->child;
    child_install(x, &keymat, INSTALL_BOTH);
    x->sa->troubled_since = 0;
    task_done(x->sa, x->task);
    child_deleted_early(x, child);
    return OK;
}

static const struct step child_conclude_steps[] = {
    STEP(child_heed_new),                                         // INVALID_KE_PAYLOAD: asks again
    STEP(child_take_answer), WAIT(ppk_rekey_agree, ppk_rekey_mixed), // waits: PPK
    WAIT(ke_share_start, ke_share_done),                          // waits: KE_SHARE, with PFS
    STEP(followup_begin), STEP(child_conclude), END,
};

static const struct step child_followup_steps[] = {
    STEP(followup_heed), STEP(followup_read),
    WAIT(followup_share, followup_shared), // waits: KE_SHARE
    STEP(followup_more), STEP(child_conclude), END,
};

static void child_failed(struct exchange *x, enum fault fault)
{
    percpu_failed(x, fault);
    child_abandon(x);
}

static const struct plan plan_child_followup = {
    .exchange = EXCHANGE_IKE_FOLLOWUP_KE,
    .ask = {"IKE_FOLLOWUP_KE", FAILURE_STAYS, followup_ask_steps, child_failed},
    .conclude = {"IKE_FOLLOWUP_KE", FAILURE_STAYS, child_followup_steps, child_failed},
};

const struct plan plan_child = {
    .exchange = EXCHANGE_CREATE_CHILD_SA,
    .ask = {"CREATE_CHILD_SA", FAILURE_STAYS, child_ask_steps, child_failed},
    .conclude = {"CREATE_CHILD_SA", FAILURE_STAYS, child_conclude_steps, child_failed},
    .followup = &plan_child_followup,
};

// --- answer

static enum fault child_admit(struct exchange *x)
{
    TRY(child_may_create(x));
    if (x->sa->conn->childless == CHILDLESS_FORCE && x->sa->conn->child_count == 0)
        return FAULT_CHILD_UNWANTED;
    return OK;
}

enum fault child_read_request(struct exchange *x)
{
    TRY(exchange_read_nonce(x, true));
    return exchange_read_ke(x);
}

static enum fault child_choose_new(struct exchange *x)
{
    return child_choose(x, NULL, PROPOSAL_WITH_KE);
}

enum fault child_answer_nonce(struct exchange *x)
{
    exchange_nonce(x, false);
    return OK;
}

static const struct recipe child_resume;

// RFC 9370 2.2.4: with additional key exchanges the child is there only after the last of them.
enum fault child_answer_first(struct exchange *x, const struct recipe *resume)
{
    struct draft draft;
    if (!suite_has_rounds(&x->suite)) return OK;
    draft_begin(x->sa->ike, &draft);
    child_write_answer(x, &draft);
    ppk_taken_write(x, &draft);
    followup_park(x, &draft, resume);
    return OK;
}

static enum fault child_answer_begin(struct exchange *x)
{
    return child_answer_first(x, &child_resume);
}

void child_answer_last(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    if (x->round) {
        followup_write(x, &draft);
    } else {
        child_write_answer(x, &draft);
        ppk_taken_write(x, &draft);
    }
    respond(x, &draft);
    sa_unconfirmed(x->sa);
}

static enum fault child_answer_write(struct exchange *x)
{
    SECRET(keymat);
    TRY(child_may_create(x));
    TRY(child_keys(x, &keymat));
    child_answer_last(x);
    child_install(x, &keymat, INSTALL_BOTH);
    return OK;
}

static const struct step child_answer_steps[] = {
    STEP(child_admit),
    STEP(child_read_request),
    STEP(child_choose_new),
    WAIT(ppk_rekey_choose, ppk_rekey_chosen), // waits: PPK, if the peer names some
    WAIT(ke_answer_start, ke_answer_done),    // waits: KE_ANSWER, with PFS
    STEP(child_answer_nonce),
    STEP(child_answer_begin), // with additional key exchanges: until the next request
    STEP(child_answer_write),
    END,
};
const struct recipe child_answer = {"CREATE_CHILD_SA", FAILURE_STAYS, child_answer_steps,
                                    child_failed};

static const struct step child_resume_steps[] = {
    WAIT(followup_answer_start, followup_answer_done), // waits: KE_ANSWER
    STEP(followup_answer_more),
    STEP(child_answer_write),
    END,
};
static const struct recipe child_resume = {"IKE_FOLLOWUP_KE", FAILURE_STAYS, child_resume_steps,
                                           child_failed};
