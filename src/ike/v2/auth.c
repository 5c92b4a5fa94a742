// SPDX-License-Identifier: Apache-2.0
// IKE_AUTH (RFC 7296 1.2): both ends prove who they are, and the first child is made with it.
//
//     initiator                                                            responder
//     HDR, SK{IDi, [CERT,] [CERTREQ,] [IDr,] AUTH, [CP,] SAi2, TSi, TSr}  -->
//                                   <--  HDR, SK{IDr, [CERT,] AUTH, [CP,] SAr2, TSi, TSr}
//
// With several rounds (RFC 4739) each end says N(ANOTHER_AUTH_FOLLOWS) beside an AUTH that is not
// its last one, and what concerns the child is answered when both are through:
//
//     HDR, SK{IDi, AUTH, N(ANOTHER_AUTH_FOLLOWS), SAi2, TSi, TSr}  -->
//                                   <--  HDR, SK{IDr, AUTH}
//     HDR, SK{IDi, AUTH}  -->
//                                   <--  HDR, SK{SAr2, TSi, TSr}
#include "ike/v2/auth.h"
#include "ike/internal.h"
#include "ike/roam.h"

// Both ends are proved: from here on the SA is there, whatever becomes of the child.
static void established(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct ike *ike = sa->ike;
    uint32_t command = sa->handshake->command;
    sa->handshake->command = 0;
    attempt_succeeded(sa);
    sa_established(sa);
    report(ike, (struct subject){.sa = sa, .command = command}, IKE_INFO, OK,
           "IKE SA established with %s [%s] (%s), authenticated by %s%s%s",
           endpoint_text(ike, &sa->path.remote), identity_text(ike, &sa->remote_id),
           suite_text(ike, &sa->suite), sa->peer_scheme,
           sa->bits & PPK_USED ? ", with a post-quantum pre-shared key" : "",
           sa->bits & PEER_UNKNOWN ? ": nobody knows who the peer is" : "");
    event(ike, (struct ike_event){.kind = IKE_EVENT_IKE_UP, .ike_id = sa->id});
    command_done(ike, command, OK, NULL);
}

// --- ask

// RFC 7296 2.4: this host knows of no other SA with the peer, so the peer may drop what it still
// has.
static void initial_contact_write(struct sa *sa, struct draft *draft)
{
    const struct identity *remote = &sa->conn->remote[0].id;
    if (sa->conn->unique == UNIQUE_NEVER || sa->reauth_of || !identity_is_one(remote)) return;
    struct sa alike = {.ike = sa->ike, .local_id = sa->local_id, .remote_id = *remote};
    if (ids_find(&alike)) return;
    sa->bits |= INITIAL_CONTACT_SENT;
    draft_notify(draft, NOTIFY_INITIAL_CONTACT, BYTES_NONE);
}

static enum fault auth_ask(struct exchange *x)
{
    struct sa *sa = x->sa;
    const struct identity *remote = &sa->conn->remote[0].id;
    struct draft draft;
    draft_begin(sa->ike, &draft);
    proof_write(x, &draft, PAYLOAD_IDI);
    initial_contact_write(sa, &draft);
    if (!is_resumed(sa)) certreq_write(sa, &draft, 4096);
    // Whom we want to speak to is only said when it is one identity and not a pattern.
    if (identity_is_one(remote)) {
        id_write(draft_open(&draft, PAYLOAD_IDR), remote);
        draft_close(&draft);
    }
    x->asks_eap = eap_is_due(sa);
    if (!x->asks_eap) {
        proof_write_auth(x, &draft);
        ppk_write(sa, &draft);
    }
    qcd_offer(sa, &draft);
    eap_offer(sa, &draft);
    ticket_request(sa, &draft);
    if (sa->bits & PEER_ROUNDS) draft_notify(&draft, NOTIFY_MULTIPLE_AUTH_SUPPORTED, BYTES_NONE);
    config_offer(x, &draft);
    mobike_offer(sa, &draft);
    counter_sync_offer(sa, &draft);
    if (x->child) child_offer(x, &draft, x->task->flow, PROPOSAL_WITHOUT_KE);
    request(x, &draft);
    return OK;
}

// RFC 4739 2.5: whoever has nothing more to prove himself asks for the peer's next round with an
// empty request.
static enum fault auth_ask_round(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct draft draft;
    draft_begin(sa->ike, &draft);
    x->asks_eap = eap_is_due(sa);
    if (local_is_due(sa)) {
        proof_write(x, &draft, PAYLOAD_IDI);
        if (!x->asks_eap) proof_write_auth(x, &draft);
    }
    request(x, &draft);
    return OK;
}

static enum fault auth_ask_after_eap(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    proof_write_auth(x, &draft);
    if (x->sa->handshake->local_done == 1) ppk_write(x->sa, &draft);
    request(x, &draft);
    return OK;
}

// Once with the keys as they are, before a post-quantum pre-shared key goes into them.
static enum fault auth_prove_without(struct exchange *x)
{
    if (eap_is_due(x->sa) || !ppk_wants_two_proofs(x->sa)) return OK;
    TRY(auth_prove(x));
    return x->waiter.number ? OK : ppk_proved_without(x); // NULL authentication asks nobody
}

static enum fault auth_proved_without(struct exchange *x, struct ike_answer *answer)
{
    TRY(auth_proved(x, answer));
    return ppk_proved_without(x);
}

// RFC 8784 3: the key is named in the request with our first AUTH, which comes behind EAP.
static enum fault auth_mix_ppk(struct exchange *x)
{
    return eap_is_due(x->sa) ? OK : ppk_ask_mix(x);
}

static const struct step auth_ask_steps[] = {
    WAIT(auth_prove_without, auth_proved_without), // waits: PROVE, where a PPK is optional
    WAIT(auth_mix_ppk, ppk_ask_mixed),             // waits: PPK
    WAIT(auth_prove, auth_proved),                 // waits: PROVE
    STEP(auth_take_child),
    STEP(auth_ask),
    END,
};
static const struct step auth_ask_round_steps[] = {
    WAIT(auth_prove, auth_proved), // waits: PROVE, if a round of ours is due
    STEP(auth_ask_round),
    END,
};

static const struct step eap_ask_steps[] = {STEP(eap_ask), END};
static const struct step eap_auth_ask_steps[] = {
    WAIT(auth_prove_without, auth_proved_without),
    WAIT(auth_mix_ppk, ppk_ask_mixed), // waits: PPK
    STEP(eap_prove),
    STEP(auth_ask_after_eap),
    END,
};

// --- conclude

// RFC 7296 2.21.2: these say that there is no child, and the IKE SA may stand all the same.
static bool is_of_child(uint16_t notify)
{
    switch (notify) {
    case NOTIFY_NO_PROPOSAL_CHOSEN:
    case NOTIFY_SINGLE_PAIR_REQUIRED:
    case NOTIFY_NO_ADDITIONAL_SAS:
    case NOTIFY_INTERNAL_ADDRESS_FAILURE:
    case NOTIFY_FAILED_CP_REQUIRED:
    case NOTIFY_TS_UNACCEPTABLE:
        return true;
    default:
        return false;
    }
}

static enum fault auth_heed(struct exchange *x)
{
    const struct sa *sa = x->sa;
    struct notify notify;
    if (!message_error(&x->in, &notify) || message_first(&x->in, PAYLOAD_AUTH)) return OK;
    bool is_last = sa->handshake->remote_stops && !local_is_due(sa);
    if (is_last && is_of_child(notify.type)) return OK;
    const char *name = iana_notify_name(notify.type);
    return exchange_why(x, notify_fault(notify.type), "it answers %s (%u)",
                        name ? name : "an error", notify.type);
}

static enum fault auth_read_answer(struct exchange *x)
{
    const struct sa *sa = x->sa;
    x->auth_method = AUTH_NONE;
    TRY(eap_read_first(x));
    if (sa->handshake->remote_stops)
        return message_first(&x->in, PAYLOAD_AUTH) ? FAULT_AUTH_ROUND_UNASKED : OK;
    TRY(proof_read(x, PAYLOAD_IDR));
    const struct auth_conf *round = remote_round(sa);
    const struct identity *pattern = &round->id;
    if (x->auth_method == AUTH_NULL && round->auth != AUTH_CLASS_NULL)
        return FAULT_NULL_AUTH_UNWANTED;
    // RFC 7619 2.2: an identity without proof is not looked at.
    if (round->auth == AUTH_CLASS_NULL || identity_matches(pattern, &sa->remote_id)) return OK;
    const char *hint = identity_hint(pattern, &sa->remote_id);
    return exchange_why(x, FAULT_IDENTITY_OTHER, "it is %s, not %s%s%s",
                        identity_text(sa->ike, &sa->remote_id), identity_text(sa->ike, pattern),
                        *hint ? "; " : "", hint);
}

static enum fault auth_next_round(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (!local_is_due(sa) && sa->handshake->remote_stops) return OK;
    sa_set_state(sa, EXPECT_ROUND);
    exchange_restart(x, auth_ask_round_steps);
    return OK;
}

static enum fault auth_go_on(struct exchange *x)
{
    struct sa *sa = x->sa;
    SECRET(keymat);
    TRY(mobike_agree(x));
    counter_sync_agree(sa, &x->in);
    if (x->child && !x->child_fault) x->child_fault = first_child_keys(x, &keymat);
    established(x);
    auth_lifetime_heed(sa, &x->in);
    qcd_take(sa, &x->in);
    ticket_take(x);
    if (x->child && x->child_fault) {
        first_child_failed(x);
        child_abandon(x);
        if (wish_again(sa, x->task, x->child_fault, x->child_why))
            x->task = NULL;
        else
            task_failed(sa, x->task, x->child_fault, x->child_why);
    } else if (x->child) {
        child_install(x, &keymat, INSTALL_BOTH);
        task_done(sa, x->task);
    }
    if (sa->conn->vip_count && !sa->vip_count) close_without_address(sa);
    return OK;
}

// Behind each message of a login comes another one, or AUTH.
static enum fault auth_after_eap(struct exchange *x)
{
    if (!message_first(&x->in, PAYLOAD_EAP)) return OK;
    exchange_restart(x, eap_is_through(x->sa) ? eap_auth_ask_steps : eap_ask_steps);
    return OK;
}

static enum fault auth_end_eap(struct exchange *x)
{
    eap_end(x->sa);
    return OK;
}

#define AUTH_CONCLUDE_STEPS                                                                        \
    STEP(auth_next_round), /* until both ends are through */                                       \
        STEP(auth_agree_child), STEP(auth_go_on), END
static const struct step eap_conclude_steps[] = {
    WAIT(eap_relay, eap_relayed), // waits: LOGIN, unless it is AUTH
    STEP(auth_after_eap),
    STEP(ppk_heed),
    STEP(auth_judge_peer), // by the login's key
    STEP(auth_end_eap),
    STEP(redirect_heed_auth), // the gateway sends us elsewhere
    AUTH_CONCLUDE_STEPS,
};

static enum fault auth_branch(struct exchange *x)
{
    if (x->sa->state == EXPECT_EAP) x->next = eap_conclude_steps;
    return OK;
}

// The peer has been judged, as far as it has shown itself, and our login begins.
static enum fault auth_enter_eap(struct exchange *x)
{
    if (!x->asks_eap) return OK;
    if (!message_first(&x->in, PAYLOAD_EAP)) return FAULT_EAP_REFUSED;
    sa_set_state(x->sa, EXPECT_EAP);
    x->next = eap_conclude_steps;
    return OK;
}

static const struct step auth_conclude_steps[] = {
    STEP(auth_heed),
    STEP(auth_branch),
    STEP(ppk_heed),
    STEP(auth_read_answer),                  // all payloads decoded, none believed yet
    HEAR(auth_judge_peer, auth_peer_judged), // waits: JUDGE, or PROVE for a PSK's MAC
    STEP(redirect_heed_auth),                // the gateway sends us elsewhere
    STEP(auth_enter_eap),
    AUTH_CONCLUDE_STEPS,
};

const struct plan plan_auth = {
    .exchange = EXCHANGE_IKE_AUTH,
    .ask = {"IKE_AUTH", FAILURE_ENDS_SA, auth_ask_steps, NULL},
    .conclude = {"IKE_AUTH", FAILURE_ENDS_SA, auth_conclude_steps, NULL},
};

// --- answer

static enum fault auth_read(struct exchange *x)
{
    const struct payload *wanted = message_first(&x->in, PAYLOAD_IDR);
    struct notify notify;
    if (intermediate_rounds_left(x->sa)) return FAULT_KE_ROUND;
    x->sa->path = x->in.path; // RFC 7296 2.23: the initiator may have changed ports
    certreqs_heed(x->sa, &x->in);
    if (message_notify(&x->in, NOTIFY_MULTIPLE_AUTH_SUPPORTED, &notify)) x->sa->bits |= PEER_ROUNDS;
    if (wanted) TRY(id_read(wanted->body, &x->wanted_id));
    return proof_read(x, PAYLOAD_IDI);
}

static enum fault auth_read_round(struct exchange *x)
{
    x->auth_method = AUTH_NONE;
    if (x->sa->handshake->remote_stops)
        return message_first(&x->in, PAYLOAD_AUTH) ? FAULT_AUTH_ROUND_UNASKED : OK;
    return proof_read(x, PAYLOAD_IDI);
}

static enum fault auth_find_connection(struct exchange *x)
{
    bool is_due = x->auth_method != AUTH_NONE || x->wants_eap;
    return !is_due || is_resumed(x->sa) ? OK : conn_by_identities(x);
}

// RFC 8784 3: named beside the peer's first AUTH. That it was not agreed on is told before EAP.
static enum fault auth_choose_ppk(struct exchange *x)
{
    const struct handshake *handshake = x->sa->handshake;
    if (handshake->remote_done) return OK;
    return x->wants_eap && handshake->ppk.state == PPK_AGREED ? OK : ppk_choose(x);
}

// The first request asks for the child, and waits for that until all rounds are done.
static void first_request_keep(struct exchange *x)
{
    struct handshake *handshake = x->sa->handshake;
    if (handshake->first.payloads) return;
    handshake->first = x->in;
    handshake->first_arena = x->arena;
    x->arena = (struct arena){0};
}

static void first_request_take(struct exchange *x)
{
    struct handshake *handshake = x->sa->handshake;
    if (!handshake->first.payloads) return;
    struct path path = x->in.path;
    struct ike_header header = x->in.header;
    x->in = handshake->first;
    x->in.path = path;
    x->in.header = header;
    x->message_arena = handshake->first_arena;
    handshake->first_arena = (struct arena){0};
}

// Our proof, with the peer's: of the round that is due, or with the key of the login.
static void round_write(struct exchange *x, struct draft *draft)
{
    if (eap_is_through(x->sa)) {
        eap_write_auth(x, draft);
        eap_end(x->sa);
    } else if (local_is_due(x->sa)) {
        proof_write(x, draft, PAYLOAD_IDR);
        if (local_round(x->sa)->auth != AUTH_CLASS_EAP) proof_write_auth(x, draft);
    }
    // RFC 8784 3: in the response to the request that names it.
    if (x->ppk_id.size) ppk_answer(x->sa, draft);
}

static void eap_answer_begin(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    round_write(x, &draft);
    eap_write(x, &draft);
    respond(x, &draft);
    first_request_keep(x);
    sa_set_state(x->sa, EXPECT_EAP);
    exchange_skip_rest(x);
}

static enum fault auth_answer_round(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (x->wants_eap) {
        eap_answer_begin(x);
        return OK;
    }
    bool is_last =
        sa->handshake->remote_stops && sa->handshake->local_done + 1u >= sa->conn->local_rounds;
    if (is_last) {
        first_request_take(x);
        return OK;
    }
    struct draft draft;
    draft_begin(sa->ike, &draft);
    round_write(x, &draft);
    respond(x, &draft);
    first_request_keep(x);
    sa_set_state(sa, EXPECT_ROUND);
    exchange_skip_rest(x);
    return OK;
}

// RFC 5685 6: both ends prove themselves, and no child is made.
static enum fault auth_redirect(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct draft draft;
    if (!redirect_is_due(sa)) return OK;
    draft_begin(sa->ike, &draft);
    round_write(x, &draft);
    redirect_write(&draft, sa->conn->redirect_to, BYTES_NONE);
    respond(x, &draft);
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "%s [%s] is sent on to %s",
           endpoint_text(sa->ike, &sa->path.remote), identity_text(sa->ike, &sa->remote_id),
           sa->conn->redirect_to);
    redirect_close(sa);
    exchange_skip_rest(x);
    return OK;
}

static enum fault auth_accept_peer(struct exchange *x)
{
    struct notify notify;
    if (is_resumed(x->sa)) resume_replace(x->sa);
    return admit_peer(x, message_notify(&x->in, NOTIFY_INITIAL_CONTACT, &notify));
}

static enum fault auth_answer_write(struct exchange *x)
{
    struct sa *sa = x->sa;
    SECRET(keymat);
    struct draft draft;
    TRY(mobike_agree(x));
    counter_sync_agree(sa, &x->in);
    if (x->child && !x->child_fault) x->child_fault = first_child_keys(x, &keymat);
    draft_begin(sa->ike, &draft);
    round_write(x, &draft);
    qcd_offer(sa, &draft);
    qcd_take(sa, &x->in);
    auth_lifetime_write(sa, &draft);
    config_answer(x, &draft);
    mobike_offer(sa, &draft);
    counter_sync_offer(sa, &draft);
    if (x->child_fault)
        draft_fault(&draft, x, x->child_fault);
    else if (x->child)
        child_write_answer(x, &draft);
    ticket_answer(x, &draft);
    respond(x, &draft);
    sa->after_auth = x->in.header.message_id + 1;
    established(x);
    sa_unconfirmed(sa);
    if (x->child_fault)
        first_child_failed(x);
    else if (x->child)
        child_install(x, &keymat, INSTALL_BOTH);
    return OK;
}

// clang-format off
#define AUTH_JUDGE_STEPS                                                                           \
    WAIT(eap_begin, eap_begun),              /* waits: LOGIN, where there is no AUTH */            \
    HEAR(auth_judge_peer, auth_peer_judged), /* waits: JUDGE, or PROVE for a PSK's MAC */          \
    WAIT(auth_prove, auth_proved),           /* waits: PROVE, if a round of ours is due */         \
    STEP(auth_answer_round),                 /* and waits for the next, until both are through */  \
    STEP(auth_redirect),                     /* the peer is sent elsewhere, and that is all */     \
    STEP(auth_accept_peer),                  /* initial contact, uniqueness */                     \
    STEP(auth_assign),                       /* virtual addresses */                               \
    STEP(auth_choose_child),                 /* proposal and selectors of the first child */       \
    STEP(auth_answer_write),                                                                       \
    END
// clang-format on
static const struct step auth_answer_steps[] = {
    STEP(auth_read),                   // all payloads decoded, none believed yet
    STEP(auth_find_connection),        // by IDi, IDr, address, method, rounds
    WAIT(auth_choose_ppk, ppk_chosen), // waits: PPK
    AUTH_JUDGE_STEPS,
};
static const struct step auth_round_answer_steps[] = {
    STEP(auth_read_round),
    STEP(auth_find_connection),
    AUTH_JUDGE_STEPS,
};
static const struct step eap_answer_steps[] = {
    HEAR(eap_take_message, eap_message_taken), // waits: LOGIN
    STEP(eap_respond),
    END,
};
static const struct step eap_auth_answer_steps[] = {
    STEP(eap_read_auth),
    WAIT(auth_choose_ppk, ppk_chosen), // waits: PPK
    AUTH_JUDGE_STEPS,
};
const struct recipe eap_answer = {"IKE_AUTH", FAILURE_ENDS_SA, eap_answer_steps, NULL};
const struct recipe eap_auth_answer = {"IKE_AUTH", FAILURE_ENDS_SA, eap_auth_answer_steps, NULL};
const struct recipe auth_answer = {"IKE_AUTH", FAILURE_ENDS_SA, auth_answer_steps, NULL};
const struct recipe auth_round_answer = {"IKE_AUTH", FAILURE_ENDS_SA, auth_round_answer_steps,
                                         NULL};

// RFC 7296 2.21.2: between the rounds the initiator may find that it does not accept ours.
static enum fault auth_refused(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    respond(x, &draft);
    report(x->sa->ike, ABOUT_SA(x->sa), IKE_ERROR, FAULT_PEER_REFUSES,
           "the peer does not accept us: %s", fault_sentence(FAULT_PEER_REFUSES));
    sa_end(x->sa, FAULT_PEER_REFUSES, NULL);
    return OK;
}

static const struct step auth_refused_steps[] = {STEP(auth_refused), END};
const struct recipe auth_refused_answer = {"INFORMATIONAL", FAILURE_ENDS_SA, auth_refused_steps,
                                           NULL};
