// SPDX-License-Identifier: Apache-2.0
// Session resumption (RFC 5723): a client that lost its gateway comes back with a ticket, without a
// key exchange and without authentication by keys or people.
//
//     client                                                       gateway
//     HDR, [N(COOKIE),] Ni, N(TICKET_OPAQUE) …  -->
//                                               <--  HDR, Nr …           or N(TICKET_NACK)
//     HDR, SK{IDi, [IDr,] AUTH, SAi2, TSi, TSr, N(TICKET_REQUEST)}  -->
//                          <--  HDR, SK{IDr, AUTH, SAr2, TSi, TSr, N(TICKET_LT_OPAQUE)}
//
// Whatever comes instead of the answer, the client goes on with a full handshake by a new SA.
#include "ike/internal.h"

bool is_resumed(const struct sa *sa)
{
    return sa->handshake && sa->handshake->ticket;
}

// --- the client's tickets: with the IKE SA while it lives, then with the connection

void ticket_request(const struct sa *sa, struct draft *draft)
{
    if (sa->conn->resumption) draft_notify(draft, NOTIFY_TICKET_REQUEST, BYTES_NONE);
}

void ticket_take(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct notify notify;
    if (!sa->conn->resumption || sa->bits & PEER_UNKNOWN ||
        !message_notify(&x->in, NOTIFY_TICKET_LT_OPAQUE, &notify))
        return;
    struct rd in = rd_over(notify.data);
    uint32_t seconds = rd_u32(&in);
    struct bytes opaque = rd_bytes(&in, in.left);
    if (opaque.size == 0 || opaque.size > TICKET_TAKEN_MAX) {
        report(sa->ike, ABOUT_SA(sa), IKE_DETAIL, OK,
               "the gateway's ticket of %zu bytes is not kept", opaque.size);
        return;
    }
    struct ticket *ticket = NEW(struct ticket);
    ticket->opaque = mem_copy(opaque);
    ticket->expires = sa->ike->now + nsec_seconds(seconds);
    ticket->reauth_at = sa->timers[TIMER_REAUTH];
    ticket->ppk = sa->bits & PPK_USED;
    ticket->ppk_early = sa->bits & PPK_EARLY;
    ticket->peer_ppk_int = sa->bits & PEER_PPK_INT;
    ticket->suite = sa->suite;
    ticket->local = identity_copy(&sa->local_id);
    ticket->remote = identity_copy(&sa->remote_id);
    secret_set(&ticket->d, sk_d(sa));
    memcpy(ticket->scheme, sa->peer_scheme, sizeof ticket->scheme);
    ticket_free(sa->ticket);
    sa->ticket = ticket;
}

// RFC 5723 6.2: with the end of an IKE SA that was meant the ticket ends, too; it is for sessions
// that broke. At the gateway likewise.
void ticket_after(struct sa *sa, enum fault fault)
{
    bool broke = fault == FAULT_PEER_UNREACHABLE || fault == FAULT_PEER_LIVES_NOT ||
                 fault == FAULT_PEER_RESTARTED;
    if (!broke) ticket_withdraw(sa);
    struct loaded *loaded = sa->conn ? loaded_find(sa->ike, sa->conn->name) : NULL;
    if (!sa->ticket || !broke || sa->replaced_by || !loaded) return;
    ticket_free(loaded->ticket);
    loaded->ticket = sa->ticket;
    sa->ticket = NULL;
}

// RFC 5723 6.2: with rekeying a ticket ends; the client asks for another one.
void ticket_renew(const struct sa *from, struct sa *to)
{
    if (from->ticket && !task_find(to, TASK_TICKET, 0)) task_add(to, TASK_TICKET);
}

static bool still_fits(const struct ticket *ticket, const struct conn *conn)
{
    const struct identity *own = &conn->local[conn->local_rounds - 1].id;
    const struct identity *theirs = &conn->remote[conn->remote_rounds - 1].id;
    bool own_fits = own->type == IDENTITY_ANY || identity_equal(own, &ticket->local);
    return conn->resumption && own_fits && identity_matches(theirs, &ticket->remote) &&
           conn_allows_suite(conn, &ticket->suite) && (ticket->ppk || !conn->ppk_required) &&
           (ticket->peer_ppk_int || conn->ppk_rekey != PPK_REKEY_REQUIRED);
}

void resume_prepare(struct loaded *loaded, struct sa *sa)
{
    struct ticket *ticket = loaded ? loaded->ticket : NULL;
    if (!ticket) return;
    loaded->ticket = NULL;
    // RFC 5723 4.3.1: an expired ticket is not presented.
    if (ticket->expires > sa->ike->now && still_fits(ticket, sa->conn))
        sa->handshake->ticket = ticket;
    else
        ticket_free(ticket);
}

const struct plan *first_plan(const struct sa *sa)
{
    return is_resumed(sa) ? &plan_resume : &plan_sa_init;
}

// --- keys

// RFC 5723 5.1: SKEYSEED = prf(SK_d of the ticket, "Resumption" | Ni | Nr); that is a rekeying
// whose shared secret is this word.
static enum fault resume_derive(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct ticket *ticket = sa->handshake->ticket;
    SECRET(word);
    struct sa old = {.suite = ticket->suite,
                     .keys = {.all = ticket->d, .d = (uint16_t)ticket->d.size}};
    secret_set(&word, BYTES("Resumption"));
    sa->suite = x->suite = ticket->suite;
    // RFC 5723 5: no further key exchange follows.
    sa->handshake->round = SUITE_ADDKE_MAX;
    // RFC 5723 4.3.3: one proof each way stands for all rounds of the connection.
    sa->handshake->local_done = (uint8_t)(sa->conn->local_rounds - 1);
    sa->handshake->remote_done = (uint8_t)(sa->conn->remote_rounds - 1);
    if (ticket->ppk) sa->bits |= PPK_USED;
    if (ticket->ppk_early) sa->bits |= PPK_EARLY;
    if (ticket->peer_ppk_int) sa->bits |= PEER_PPK_INT;
    first_nonces(x);
    TRY(keymat_ike(x, sa, exchange_ni(x), exchange_nr(x), &word, &old));
    return OK;
}

// --- ask

static enum fault resume_ask(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct ike_header header = {.spi_i = sa->spi_i,
                                .major = 2,
                                .exchange = EXCHANGE_IKE_SESSION_RESUME,
                                .flags = FLAG_INITIATOR};
    struct draft draft;
    if (!x->ni_size) exchange_nonce(x, true);
    draft_begin_clear(sa->ike, &draft, &header);
    if (sa->handshake->cookie.at) draft_notify(&draft, NOTIFY_COOKIE, sa->handshake->cookie);
    draft_bytes(&draft, PAYLOAD_NONCE, exchange_ni(x));
    draft_notify(&draft, NOTIFY_TICKET_OPAQUE, sa->handshake->ticket->opaque);
    nat_offer(sa, &draft, sa->spi_i, 0, &sa->path);
    if (sa->conn->fragmentation != FRAGMENTATION_NO)
        draft_notify(&draft, NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, BYTES_NONE);
    redirect_offer(sa, &draft);
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "resuming the session with %s by its ticket",
           endpoint_text(sa->ike, &sa->path.remote));
    first_request_send(x, &draft);
    return OK;
}

static const struct step resume_ask_steps[] = {
    WAIT(sa_init_resolve, sa_init_resolved), // waits: RESOLVE
    STEP(resume_ask),
    END,
};

// --- conclude

void resume_fall_back(struct sa *sa, const char *why)
{
    struct ike *ike = sa->ike;
    report(ike, ABOUT_SA(sa), IKE_INFO, OK,
           "the session cannot be resumed: %s; a full handshake follows", why);
    struct sa *fresh = initiate_again(sa, 0);
    fresh->handshake->attempts = sa->handshake->attempts;
    fresh->handshake->candidate = sa->handshake->candidate;
    sa_end(sa, OK, NULL);
}

static enum fault resume_heed(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct notify notify;
    if (message_notify(&x->in, NOTIFY_COOKIE, &notify)) {
        mem_drop(&sa->handshake->cookie);
        sa->handshake->cookie = mem_copy(notify.data);
        x->retries++;
        exchange_restart(x, &resume_ask_steps[1]);
    } else if (message_notify(&x->in, NOTIFY_TICKET_NACK, &notify)) {
        resume_fall_back(sa, "the gateway does not take the ticket");
    } else if (message_error(&x->in, &notify)) {
        const char *name = iana_notify_name(notify.type);
        resume_fall_back(sa, name ? name : "the gateway answers an error");
    } else {
        return redirect_heed_first(x);
    }
    return OK;
}

static enum fault resume_agree(struct exchange *x)
{
    TRY(exchange_read_nonce(x, false));
    return first_answer_take(x);
}

static enum fault resume_go_on(struct exchange *x)
{
    sa_set_state(x->sa, EXPECT_AUTH);
    nat_float(x->sa);
    return OK;
}

static const struct step resume_conclude_steps[] = {
    STEP(resume_heed), STEP(resume_agree), STEP(resume_derive), STEP(resume_go_on), END,
};

const struct plan plan_resume = {
    .exchange = EXCHANGE_IKE_SESSION_RESUME,
    .ask = {"IKE_SESSION_RESUME", FAILURE_ENDS_SA, resume_ask_steps, NULL},
    .conclude = {"IKE_SESSION_RESUME", FAILURE_ENDS_SA, resume_conclude_steps, NULL},
};

// --- answer

static void refuse(struct ike *ike, const struct message *message, enum fault fault)
{
    struct ike_header header = message->header;
    struct draft draft;
    header.flags = FLAG_RESPONSE;
    draft_begin_clear(ike, &draft, &header);
    draft_notify(&draft, NOTIFY_TICKET_NACK, BYTES_NONE);
    struct packets packets = draft_finish_clear(&draft);
    packets_send(ike, NULL, &message->path, &packets);
    packets_free(ike, &packets);
    if (!budget_allows(ike, &ike->lines)) {
        ike->stats.faults[fault]++;
        return;
    }
    report(ike, ABOUT_REMOTE(&message->path.remote), IKE_INFO, fault,
           "%s does not resume its session: %s; it may come by a full handshake",
           endpoint_text(ike, &message->path.remote), fault_sentence(fault));
}

// The connection of the ticket as it is now must still take this peer with these algorithms.
static enum fault ticket_accept(struct ike *ike, const struct message *message,
                                struct ticket **ticket, struct loaded **loaded)
{
    struct notify notify;
    if (!message_notify(message, NOTIFY_TICKET_OPAQUE, &notify)) return FAULT_TICKET_UNREADABLE;
    TRY(ticket_open(ike, notify.data, ticket));
    *loaded = loaded_find(ike, (*ticket)->conn);
    if (*loaded && still_fits(*ticket, (*loaded)->conn)) return OK;
    ticket_free(*ticket);
    return FAULT_TICKET_OUTDATED;
}

void resume_receive(struct ike *ike, struct message *message)
{
    struct ticket *ticket = NULL;
    struct loaded *loaded = NULL;
    enum fault fault;
    if (first_again(ike, message) || !first_read(ike, message, &fault)) return;
    if (fault) {
        first_refuse(ike, message, fault);
        return;
    }
    fault = ticket_accept(ike, message, &ticket, &loaded);
    if (fault) {
        refuse(ike, message, fault);
        return;
    }
    if (redirect_first(ike, message, loaded->conn)) {
        ticket_free(ticket);
        return;
    }
    struct exchange *x = first_answer_begin(ike, message, loaded->conn);
    x->sa->handshake->ticket = ticket;
    exchange_answer(x->sa, &resume_answer, x);
}

static enum fault resume_read(struct exchange *x)
{
    TRY(exchange_read_nonce(x, true));
    first_extensions(x->sa, &x->in);
    exchange_nonce(x, false);
    return OK;
}

static enum fault resume_write(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct ike_header header = {.spi_i = sa->spi_i,
                                .spi_r = sa->spi_r,
                                .major = 2,
                                .exchange = EXCHANGE_IKE_SESSION_RESUME,
                                .flags = FLAG_RESPONSE};
    struct draft draft;
    draft_begin_clear(sa->ike, &draft, &header);
    draft_bytes(&draft, PAYLOAD_NONCE, exchange_nr(x));
    nat_offer(sa, &draft, sa->spi_i, sa->spi_r, &x->in.path);
    if (sa->bits & PEER_FRAGMENTS)
        draft_notify(&draft, NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, BYTES_NONE);
    if (sa->conn->childless != CHILDLESS_NEVER)
        draft_notify(&draft, NOTIFY_CHILDLESS_IKEV2_SUPPORTED, BYTES_NONE);
    first_response_send(x, &draft);
    return OK;
}

static const struct step resume_answer_steps[] = {
    STEP(resume_read),
    STEP(resume_derive),
    STEP(resume_write),
    END,
};
const struct recipe resume_answer = {"IKE_SESSION_RESUME", FAILURE_FORGETS, resume_answer_steps,
                                     NULL};

// --- IKE_AUTH behind it

// RFC 5723 4.3.3: AUTH = prf(SK_p of the signer, what is signed).
static enum fault resume_mac(const struct sa *sa, const struct auth_octets *octets,
                             struct secret *out)
{
    SECRET(id_mac);
    TRY(prf(octets->prf, octets->sk_p, PIECES(octets->id_body), &id_mac));
    return prf(octets->prf, octets->sk_p,
               PIECES(octets->message, octets->nonce, secret_bytes(&id_mac), int_auth(sa)), out);
}

enum fault resume_prove(struct exchange *x, const struct auth_octets *octets)
{
    SECRET(tag);
    TRY(resume_mac(x->sa, octets, &tag));
    x->auth_method = AUTH_PSK;
    x->auth_data = arena_copy(&x->arena, secret_bytes(&tag));
    x->sa->bits |= SELF_PROVED;
    return OK;
}

enum fault resume_judge(struct exchange *x, const struct auth_octets *octets)
{
    struct sa *sa = x->sa;
    const struct ticket *ticket = sa->handshake->ticket;
    SECRET(tag);
    // RFC 5723 4.3.3: the identities are those of the ticket, and nothing else proves them.
    if (!identity_equal(&sa->remote_id, &ticket->remote))
        return exchange_why(x, FAULT_TICKET_PROOF, "it is %s, the ticket is of %s",
                            identity_text(sa->ike, &sa->remote_id),
                            identity_text(sa->ike, &ticket->remote));
    TRY(resume_mac(sa, octets, &tag));
    if (!bytes_equal_secret(secret_bytes(&tag), x->auth_data)) return FAULT_TICKET_PROOF;
    sa_set_timer(sa, TIMER_REAUTH, ticket->reauth_at);
    return OK;
}

// RFC 5723 4.3.4: the IKE SA that the ticket is of goes without a word, and before the new one
// takes its addresses. RFC 5723 4.3.1: a ticket serves once.
void resume_replace(struct sa *sa)
{
    const struct ticket *ticket = sa->handshake->ticket;
    struct sa *old = sa_by_spi(sa->ike, ticket->spi);
    ticket_spend(sa->ike, ticket->number, ticket->expires);
    if (!old || old == sa || old->state < ESTABLISHED ||
        !identity_equal(&old->remote_id, &ticket->remote))
        return;
    report(sa->ike, ABOUT_SA(old), IKE_INFO, FAULT_SUPERSEDED,
           "IKE SA is closed: its session was resumed by IKE SA %u", sa->id);
    sa_end(old, FAULT_SUPERSEDED, NULL);
}

// --- a further ticket, behind a rekeying

static enum fault ticket_ask(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    ticket_request(x->sa, &draft);
    request(x, &draft);
    return OK;
}

static enum fault ticket_conclude(struct exchange *x)
{
    ticket_take(x);
    return OK;
}

static const struct step ticket_ask_steps[] = {STEP(ticket_ask), END};
static const struct step ticket_conclude_steps[] = {STEP(ticket_conclude), END};
const struct plan plan_ticket = {
    .exchange = EXCHANGE_INFORMATIONAL,
    .ask = {"asking for a ticket", FAILURE_STAYS, ticket_ask_steps, NULL},
    .conclude = {"asking for a ticket", FAILURE_STAYS, ticket_conclude_steps, NULL},
};
