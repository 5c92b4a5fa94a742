// SPDX-License-Identifier: Apache-2.0
// CREATE_CHILD_SA that rekeys the IKE SA (RFC 7296 1.3.2, 2.8, 2.8.2, 2.18):
//
//     HDR, SK{SA, Ni, KEi}  -->
//                           <--  HDR, SK{SA, Nr, KEr}
//     HDR, SK{D}  -->                     the end that rekeyed deletes the old IKE SA
//
// The new IKE SA inherits all children. When both ends rekey at once there are two new ones for a
// moment; the nonces say which inherits.
#include "ike/internal.h"

static enum fault spi_get(const struct proposal *proposal, uint64_t *spi)
{
    struct rd in = rd_over(bytes_of(proposal->spi, proposal->spi_size));
    *spi = rd_u64(&in);
    return rd_end(&in) != OK || *spi == 0 ? FAULT_SPI_WRONG : OK;
}

// RFC 7296 3.3.1: here an IKE proposal has an SPI, the new one.
static void spi_set(struct proposals *proposals, uint64_t spi)
{
    for (unsigned i = 0; i < proposals->count; i++) {
        struct wr out = wr_over(proposals->at[i].spi, IKE_SPI_SIZE);
        wr_u64(&out, spi);
        proposals->at[i].spi_size = IKE_SPI_SIZE;
    }
}

static void payloads_write(struct exchange *x, struct draft *draft,
                           const struct proposals *proposals, struct bytes nonce, uint16_t ke)
{
    draft_begin(x->sa->ike, draft);
    sa_write(draft_open(draft, PAYLOAD_SA), proposals);
    draft_close(draft);
    draft_bytes(draft, PAYLOAD_NONCE, nonce);
    ke_write(draft_open(draft, PAYLOAD_KE), ke, x->ke_public);
    draft_close(draft);
}

// The new IKE SA can be used: its keys are there.
static enum fault fresh_make(struct exchange *x, bool initiator, uint64_t peer_spi)
{
    struct sa *sa = x->sa;
    if (!x->fresh) x->fresh = sa_new(sa->ike, NULL, initiator);
    struct sa *fresh = x->fresh;
    *(initiator ? &fresh->spi_r : &fresh->spi_i) = peer_spi;
    fresh->suite = x->suite;
    TRY(keymat_ike(x, fresh, exchange_ni(x), exchange_nr(x), &x->ke_shared, sa));
    secret_later(sa->ike, &x->ke_shared);
    secret_later(sa->ike, &x->ke_more);
    sa_inherit(fresh, sa);
    if (x->ppk_d.size) ppk_used(fresh, x->ppk_taken);
    return OK;
}

// The new one takes over; the old one waits to be deleted.
static void take_over(struct sa *old, struct sa *fresh)
{
    struct ike *ike = old->ike;
    parked_drop(old);
    sa_move_children(old, fresh);
    if (old->state == ESTABLISHED) sa_set_state(old, REKEYED);
    count(ike, fresh, fresh->initiator ? COUNT_IKE_REKEY_INIT : COUNT_IKE_REKEY_RESP);
    report(ike, ABOUT_SA(fresh), IKE_INFO, OK, "IKE SA rekeyed (%s), it replaces %u",
           suite_text(ike, &fresh->suite), old->id);
    event(ike, (struct ike_event){
                   .kind = IKE_EVENT_IKE_REKEYED, .ike_id = fresh->id, .old_ike_id = old->id});
}

static struct sa *rival_sa(const struct sa *sa)
{
    struct sa *theirs = sa->rival ? sa_by_id(sa->ike, sa->rival->id) : NULL;
    return theirs && theirs->state != DEAD ? theirs : NULL;
}

// --- ask

static enum fault ike_begin(struct exchange *x)
{
    x->fresh = sa_new(x->sa->ike, NULL, true);
    return OK;
}

// The group in use is known to be good for both, so no round trip is lost.
static enum fault ike_make_key(struct exchange *x)
{
    const struct sa *sa = x->sa;
    const struct proposals *proposals = &sa->conn->ike;
    x->ke = x->task->ke                                   ? x->task->ke
            : proposals_offer_ke(proposals, sa->suite.ke) ? sa->suite.ke
                                                          : proposals_first_ke(proposals);
    exchange_wait(x, IKE_OP_KE_MAKE)->ke = x->ke;
    return OK;
}

static enum fault ike_ask(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct draft draft;
    if (sa->replaced_by) { // the peer was quicker
        exchange_give_up(x);
        return OK;
    }
    x->offered = arena_new(&x->arena, sizeof *x->offered);
    *x->offered = sa->conn->ike;
    spi_set(x->offered, x->fresh->spi_i);
    payloads_write(x, &draft, x->offered, exchange_ni(x), x->ke);
    ppk_names_write(x, &draft);
    request(x, &draft);
    return OK;
}

static const struct step ike_ask_steps[] = {
    STEP(ike_begin),
    WAIT(ike_make_key, ke_make_done),             // waits: KE_MAKE
    WAIT(ppk_rekey_confirm, ppk_names_confirmed), // waits: PPK, where keys are mixed in here, too
    STEP(ike_ask),
    END,
};

// --- conclude

static enum fault ike_heed(struct exchange *x)
{
    struct notify notify;
    if (!message_error(&x->in, &notify))
        return message_first(&x->in, PAYLOAD_KE) ? OK : FAULT_PAYLOAD_MISSING;
    if (notify.type == NOTIFY_INVALID_KE_PAYLOAD) {
        struct rd in = rd_over(notify.data);
        uint16_t group = rd_u16(&in);
        if (rd_end(&in) != OK || group == x->ke || !proposals_offer_ke(&x->sa->conn->ike, group))
            return FAULT_KE_GROUP_NOT_OFFERED;
        if (++x->retries > EXCHANGE_RETRIES_MAX) return FAULT_RETRIES_TOO_MANY;
        x->task->ke = group;
        exchange_restart(x, &ike_ask_steps[1]);
        return OK;
    }
    const char *name = iana_notify_name(notify.type);
    return exchange_why(x, notify_fault(notify.type), "it answers %s (%u)",
                        name ? name : "an error", notify.type);
}

static enum fault ike_agree(struct exchange *x)
{
    size_t index;
    uint16_t asked = x->ke;
    uint64_t spi;
    struct proposals *answer = arena_new(&x->arena, sizeof *answer);
    TRY(sa_read(message_first(&x->in, PAYLOAD_SA)->body, answer));
    TRY(proposals_accept(x->offered, answer, PROPOSAL_WITH_KE, &x->suite, &index));
    TRY(exchange_read_nonce(x, false));
    TRY(exchange_read_ke(x));
    if (x->ke != x->suite.ke || x->ke != asked)
        return exchange_why(x, FAULT_PROPOSAL_NOT_OFFERED,
                            "its key exchange value is not of the method that we began with");
    TRY(spi_get(&answer->at[0], &spi));
    x->fresh->spi_r = spi;
    return OK;
}

static enum fault ike_conclude(struct exchange *x)
{
    struct sa *old = x->sa, *theirs = rival_sa(old);
    TRY(fresh_make(x, true, x->fresh->spi_r));
    struct sa *fresh = x->fresh;
    bool lost = theirs && nonces_lose(x, old->rival);
    x->fresh = NULL;
    old->troubled_since = 0;
    sa_established(fresh);
    if (theirs)
        report(old->ike, ABOUT_SA(old), IKE_DETAIL, OK, "rekeying crossed the peer's; %s stands",
               lost ? "the peer's" : "ours");
    if (lost) {
        // RFC 7296 2.8.2: the one with the lowest nonce is deleted by the end that made it.
        fresh->replaced_by = theirs->id;
        task_add(fresh, TASK_DELETE_IKE);
        take_over(old, theirs);
        sa_pump(fresh);
        return OK;
    }
    if (theirs) { // the peer deletes it, if it learns of it at all before the old one goes
        sa_set_state(theirs, REKEYED);
        sa_linger(theirs, fresh);
    }
    qcd_take(fresh, &x->in);
    qcd_renew(fresh);
    take_over(old, fresh);
    task_add(old, TASK_DELETE_IKE);
    ppk_rekey_close(x, fresh);
    sa_pump(fresh);
    return OK;
}

// With the peer's rekeying done ours is not needed (RFC 7296 2.25.2).
static void ike_failed(struct exchange *x, enum fault fault)
{
    (void)fault;
    struct sa *fresh = x->fresh, *theirs = rival_sa(x->sa);
    x->fresh = NULL;
    if (fresh) sa_end(fresh, OK, NULL);
    if (theirs && !x->sa->replaced_by) take_over(x->sa, theirs);
}

// RFC 9370 2.2.4: of two requests that crossed the one with the lowest nonce ends here; nothing has
// been made of it.
static enum fault ike_followup(struct exchange *x)
{
    struct sa *sa = x->sa;
    bool stands = rival_sa(sa) && nonces_lose(x, sa->rival);
    bool lost = suite_has_rounds(&x->suite) && (stands || parked_wins(x));
    if (!lost) return followup_begin(x);
    exchange_skip_rest(x);
    ike_failed(x, OK);
    return OK;
}

static const struct step ike_conclude_steps[] = {
    STEP(ike_heed),                                          // INVALID_KE_PAYLOAD: asks again
    STEP(ike_agree),    WAIT(ppk_rekey_agree, ppk_rekey_mixed), // waits: PPK
    WAIT(ke_share_start, ke_share_done),                     // waits: KE_SHARE
    STEP(ike_followup), STEP(ike_conclude), END,
};

static const struct step ike_followup_steps[] = {
    STEP(followup_heed), STEP(followup_read),
    WAIT(followup_share, followup_shared), // waits: KE_SHARE
    STEP(followup_more), STEP(ike_conclude), END,
};

static const struct plan plan_ike_followup = {
    .exchange = EXCHANGE_IKE_FOLLOWUP_KE,
    .ask = {"IKE_FOLLOWUP_KE (rekey IKE)", FAILURE_STAYS, followup_ask_steps, ike_failed},
    .conclude = {"IKE_FOLLOWUP_KE (rekey IKE)", FAILURE_STAYS, ike_followup_steps, ike_failed},
};

const struct plan plan_rekey_ike = {
    .exchange = EXCHANGE_CREATE_CHILD_SA,
    .ask = {"CREATE_CHILD_SA (rekey IKE)", FAILURE_STAYS, ike_ask_steps, ike_failed},
    .conclude = {"CREATE_CHILD_SA (rekey IKE)", FAILURE_STAYS, ike_conclude_steps, ike_failed},
    .followup = &plan_ike_followup,
};

// --- answer

static enum fault ike_admit(struct exchange *x)
{
    TRY(ike_may_rekey(x));
    parked_drop(x->sa); // the peer begins anew
    x->sa->bits |= REKEY_ANSWERING;
    return OK;
}

static enum fault ike_choose(struct exchange *x)
{
    struct sa *sa = x->sa;
    size_t index;
    uint64_t spi;
    struct proposals *offered = arena_new(&x->arena, sizeof *offered);
    TRY(exchange_read_nonce(x, true));
    TRY(exchange_read_ke(x));
    TRY(sa_read(message_first(&x->in, PAYLOAD_SA)->body, offered));
    enum fault fault =
        proposals_choose(&sa->conn->ike, offered, PROPOSAL_WITH_KE, x->ke, &x->suite, &index);
    if (fault == FAULT_NO_PROPOSAL_CHOSEN) {
        char *text = arena_new(&x->arena, 4097);
        struct wr out = wr_over(text, 4096);
        proposals_explain(&sa->conn->ike, offered, PROPOSAL_WITH_KE, &out);
        x->why = text;
    }
    TRY(fault);
    x->group_wanted = x->suite.ke;
    if (x->suite.ke != x->ke) return FAULT_KE_GROUP_OTHER;
    TRY(spi_get(&offered->at[index], &spi));
    x->offered = offered;
    offered->at[0] = offered->at[index]; // the SPI of the one that is taken
    return OK;
}

static bool crosses(const struct sa *sa)
{
    return sa->asking && sa->asking->plan == &plan_rekey_ike && sa->asking->is_sent;
}

static const struct recipe ike_resume;

// The answer to CREATE_CHILD_SA itself.
static void ike_answer_draft(struct exchange *x, struct draft *draft)
{
    struct proposals *answer = arena_new(&x->arena, sizeof *answer);
    answer->count = 1;
    suite_proposal(&x->suite, &answer->at[0]);
    spi_set(answer, x->fresh->spi_r);
    payloads_write(x, draft, answer, exchange_nr(x), x->suite.ke);
    ppk_taken_write(x, draft);
}

// RFC 9370 2.2.4: with additional key exchanges the new SA is there only after the last of them.
static enum fault ike_answer_begin(struct exchange *x)
{
    struct draft draft;
    TRY(ike_may_rekey(x));
    exchange_nonce(x, false);
    x->fresh = sa_new(x->sa->ike, NULL, false);
    if (!suite_has_rounds(&x->suite)) return OK;
    ike_answer_draft(x, &draft);
    followup_park(x, &draft, &ike_resume);
    return OK;
}

static enum fault ike_answer_write(struct exchange *x)
{
    struct sa *old = x->sa, *fresh = x->fresh;
    struct draft draft;
    uint64_t peer_spi;
    TRY(ike_may_rekey(x));
    TRY(spi_get(&x->offered->at[0], &peer_spi));
    TRY(fresh_make(x, false, peer_spi));
    if (x->round) {
        draft_begin(old->ike, &draft);
        followup_write(x, &draft);
    } else {
        ike_answer_draft(x, &draft);
    }
    qcd_offer(fresh, &draft);
    respond(x, &draft);

    x->fresh = NULL;
    old->bits &= ~(uint32_t)REKEY_ANSWERING;
    sa_established(fresh);
    fresh->bits |= UNCONFIRMED;
    sa_unconfirmed(fresh);
    if (crosses(old)) {
        free(old->rival);
        old->rival = rival_new(fresh->id, x);
    } else {
        take_over(old, fresh);
    }
    return OK;
}

static void ike_answer_failed(struct exchange *x, enum fault fault)
{
    (void)fault;
    struct sa *fresh = x->fresh;
    x->sa->bits &= ~(uint32_t)REKEY_ANSWERING;
    x->fresh = NULL;
    if (fresh) sa_end(fresh, OK, NULL);
}

static const struct step ike_answer_steps[] = {
    STEP(ike_admit),
    STEP(ike_choose),
    WAIT(ppk_rekey_choose, ppk_rekey_chosen), // waits: PPK, if the peer names some
    WAIT(ke_answer_start, ke_answer_done),    // waits: KE_ANSWER
    STEP(ike_answer_begin), // with additional key exchanges: until the next request
    STEP(ike_answer_write),
    END,
};
static const struct step ike_resume_steps[] = {
    WAIT(followup_answer_start, followup_answer_done), // waits: KE_ANSWER
    STEP(followup_answer_more),
    STEP(ike_answer_write),
    END,
};
static const struct recipe ike_resume = {"IKE_FOLLOWUP_KE (rekey IKE)", FAILURE_STAYS,
                                         ike_resume_steps, ike_answer_failed};
const struct recipe rekey_ike_answer = {"CREATE_CHILD_SA (rekey IKE)", FAILURE_STAYS,
                                        ike_answer_steps, ike_answer_failed};
