// SPDX-License-Identifier: Apache-2.0
// IKE_SA_INIT (RFC 7296 1.2, 2.6, 2.7, 2.10, 2.14): the only exchange without protection.
//
//     initiator                                               responder
//     HDR, [N(COOKIE),] SAi1, KEi, Ni, N(…)  -->
//                                            <--  HDR, SAr1, KEr, Nr, [CERTREQ,] N(…)
//                                        or  <--  HDR, N(COOKIE) | N(INVALID_KE_PAYLOAD) | N(error)
//
// The responder keeps nothing until a peer has passed the limits, the cookie where one is wanted,
// and the choice of a suite.
#include "ike/internal.h"
#include <assert.h>

enum { CERTREQ_ROOM = 4 + 1 };

static const uint16_t hashes[] = {HASH_SHA2_256, HASH_SHA2_384, HASH_SHA2_512, HASH_IDENTITY};

// --- payloads that both sides write and read

static void hashes_write(struct draft *draft)
{
    uint8_t space[sizeof hashes];
    struct wr out = wr_over(space, sizeof space);
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) wr_u16(&out, hashes[i]);
    draft_notify(draft, NOTIFY_SIGNATURE_HASH_ALGORITHMS, wr_done(&out));
}

// RFC 7427 4: what the peer can verify. Numbers that we do not know are passed over.
static uint32_t hashes_read(const struct message *message)
{
    struct notify notify;
    uint32_t mask = 0;
    if (!message_notify(message, NOTIFY_SIGNATURE_HASH_ALGORITHMS, &notify)) return 0;
    struct rd in = rd_over(notify.data);
    while (in.left >= 2) {
        uint16_t hash = rd_u16(&in);
        if (hash > 0 && hash < 32) mask |= UINT32_C(1) << hash;
    }
    return mask;
}

// What an end that is to judge signatures has to ask for.
unsigned certs_wanted(const struct conn *conn)
{
    unsigned wanted = 0;
    for (unsigned i = 0; i < conn->remote_rounds && conn->send_certreq; i++) {
        const struct auth_conf *remote = &conn->remote[i];
        if (!auth_class_allows(remote, AUTH_SIGNATURE)) continue;
        if (remote->pubkey_count) wanted |= WANT_RAW_KEYS;
        if (!remote->pubkey_count || remote->cert_count || remote->ca_count) wanted |= WANT_CERTS;
    }
    return wanted;
}

// The responder asks before it knows which connection is meant: for what any of them may need.
static unsigned certs_wanted_now(const struct sa *sa)
{
    const struct candidates *all = &sa->ike->candidates;
    if (sa->initiator) return certs_wanted(sa->conn);
    return (all->want_certs ? WANT_CERTS : 0) | (all->want_raw_keys ? WANT_RAW_KEYS : 0);
}

// RFC 7296 3.7: SHA-1 of the subjectPublicKeyInfo of each anchor, one behind the other. RFC 7670 3:
// raw keys are asked for without naming an authority.
void certreq_write(const struct sa *sa, struct draft *draft, size_t limit)
{
    const struct ike *ike = sa->ike;
    unsigned wanted = certs_wanted_now(sa);
    if (wanted & WANT_RAW_KEYS && limit >= CERTREQ_ROOM) {
        cert_write(draft_open(draft, PAYLOAD_CERTREQ), CERT_RAW_KEY, BYTES_NONE);
        draft_close(draft);
        limit -= CERTREQ_ROOM;
    }
    if (!(wanted & WANT_CERTS) || limit < CERTREQ_ROOM + 20) return;
    size_t fit = (limit - CERTREQ_ROOM) / 20;
    size_t count = ike->anchor_count < fit ? ike->anchor_count : fit;
    if (!count) return;
    cert_write(draft_open(draft, PAYLOAD_CERTREQ), CERT_X509_SIGNATURE,
               bytes_of(ike->anchors, count * 20));
    draft_close(draft);
}

void certreqs_heed(struct sa *sa, const struct message *message)
{
    for (size_t i = 0; i < message->payloads->count; i++) {
        const struct payload *payload = &message->payloads->at[i];
        uint8_t encoding;
        struct bytes data;
        if (payload->type != PAYLOAD_CERTREQ || cert_read(payload->body, &encoding, &data))
            continue;
        sa->bits |= encoding == CERT_RAW_KEY ? RAW_KEY_WANTED : CERT_WANTED;
    }
}

void first_extensions(struct sa *sa, const struct message *message)
{
    struct notify notify;
    sa->handshake->peer_hashes = hashes_read(message);
    if (sa->conn->fragmentation != FRAGMENTATION_NO &&
        message_notify(message, NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, &notify))
        sa->bits |= PEER_FRAGMENTS;
    if (message_notify(message, NOTIFY_CHILDLESS_IKEV2_SUPPORTED, &notify))
        sa->bits |= PEER_CHILDLESS;
    if (message_notify(message, NOTIFY_INTERMEDIATE_EXCHANGE_SUPPORTED, &notify))
        sa->bits |= PEER_INTERMEDIATE;
    certreqs_heed(sa, message);
    if (message_notify(message, NOTIFY_MULTIPLE_AUTH_SUPPORTED, &notify)) sa->bits |= PEER_ROUNDS;
    redirect_agree(sa, message);
    nat_agree(sa, message);
}

void first_nonces(const struct exchange *x)
{
    struct handshake *handshake = x->sa->handshake;
    memcpy(handshake->ni, x->ni, x->ni_size);
    memcpy(handshake->nr, x->nr, x->nr_size);
    handshake->ni_size = x->ni_size;
    handshake->nr_size = x->nr_size;
}

static enum fault sa_init_derive(struct exchange *x)
{
    struct sa *sa = x->sa;
    sa->suite = x->suite;
    first_nonces(x);
    TRY(keymat_ike(x, sa, exchange_ni(x), exchange_nr(x), &x->ke_shared, NULL));
    secret_later(sa->ike, &x->ke_shared);
    return OK;
}

// --- ask

enum fault sa_init_resolve(struct exchange *x)
{
    const struct sa *sa = x->sa;
    const struct conn *conn = sa->conn;
    if (sa->handshake->path_known) return OK;
    struct ike_operation *operation = exchange_wait(x, IKE_OP_RESOLVE);
    operation_resolve(operation, conn);
    operation->resolve.try = sa->handshake->candidate;
    redirect_resolve(sa, operation);
    return OK;
}

enum fault sa_init_resolved(struct exchange *x, struct ike_answer *answer)
{
    x->sa->path = answer->path;
    x->sa->handshake->has_more = answer->more && !x->sa->handshake->gateway.kind;
    nat_first_path(x->sa);
    return OK;
}

static enum fault sa_init_make_key(struct exchange *x)
{
    struct handshake *handshake = x->sa->handshake;
    uint16_t ke =
        handshake->ke_wanted ? handshake->ke_wanted : proposals_first_ke(&x->sa->conn->ike);
    if (ke == handshake->ke && handshake->ke_private.at) return OK; // again, with a cookie
    handshake->ke = ke;
    exchange_wait(x, IKE_OP_KE_MAKE)->ke = ke;
    return OK;
}

static enum fault sa_init_key_made(struct exchange *x, struct ike_answer *answer)
{
    struct handshake *handshake = x->sa->handshake;
    secret_move(&handshake->ke_private, &answer->private);
    mem_drop(&handshake->ke_public);
    handshake->ke_public = mem_copy(answer->data);
    return OK;
}

static void first_request_fill(struct exchange *x, struct draft *draft)
{
    const struct sa *sa = x->sa;
    const struct handshake *handshake = sa->handshake;
    // RFC 7296 2.6: the cookie goes first and the rest stays as it was.
    if (handshake->cookie.at) draft_notify(draft, NOTIFY_COOKIE, handshake->cookie);
    sa_write(draft_open(draft, PAYLOAD_SA), &sa->conn->ike);
    draft_close(draft);
    ke_write(draft_open(draft, PAYLOAD_KE), handshake->ke, handshake->ke_public);
    draft_close(draft);
    draft_bytes(draft, PAYLOAD_NONCE, exchange_ni(x));
    nat_offer(sa, draft, sa->spi_i, 0, &sa->path);
    if (sa->conn->fragmentation != FRAGMENTATION_NO)
        draft_notify(draft, NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, BYTES_NONE);
    // RFC 9370 2.2.1: whoever offers additional key exchanges says that it does the exchange for
    // them.
    if (proposals_have_rounds(&sa->conn->ike) || ppk_int_is_offered(sa))
        draft_notify(draft, NOTIFY_INTERMEDIATE_EXCHANGE_SUPPORTED, BYTES_NONE);
    hashes_write(draft);
    redirect_offer(sa, draft);
    ppk_offer(sa, draft);
    mode_vendor_write(sa, draft);
}

void first_request_send(struct exchange *x, struct draft *draft)
{
    struct sa *sa = x->sa;
    packets_free(sa->ike, &x->sent);
    x->sent = draft_finish_clear(draft);
    x->message_id = 0;
    sa->send_id = 1;
    mem_drop(&sa->handshake->own_init);
    sa->handshake->own_init = mem_copy(bytes_of(x->sent.at, x->sent.size));
    count_message(sa->ike, sa, x->plan->exchange, COUNT_OUT_REQUEST);
    request_sent(x);
}

static enum fault sa_init_ask(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct ike *ike = sa->ike;
    struct ike_header header = {
        .spi_i = sa->spi_i, .major = 2, .exchange = EXCHANGE_IKE_SA_INIT, .flags = FLAG_INITIATOR};
    struct draft draft;
    if (!x->ni_size) exchange_nonce(x, true);
    draft_begin_clear(ike, &draft, &header);
    first_request_fill(x, &draft);
    report(ike, ABOUT_SA(sa), IKE_INFO, OK, "connecting from %s to %s%s",
           endpoint_text(ike, &sa->path.local), endpoint_text(ike, &sa->path.remote),
           sa->handshake->cookie.at ? " with the cookie that it wants" : "");
    first_request_send(x, &draft);
    return OK;
}

static const struct step sa_init_ask_steps[] = {
    WAIT(sa_init_resolve, sa_init_resolved),  // waits: RESOLVE
    WAIT(sa_init_make_key, sa_init_key_made), // waits: KE_MAKE
    WAIT(ppk_find, ppk_found),                // waits: PPK
    STEP(sa_init_ask),
    END,
};

// --- conclude

// RFC 7296 1.2: the group in INVALID_KE_PAYLOAD; 0 when it is none that we offered or that we have
// tried already.
static uint16_t group_asked_for(const struct sa *sa, const struct notify *notify)
{
    struct rd in = rd_over(notify->data);
    uint16_t group = rd_u16(&in);
    if (rd_end(&in) != OK || group == sa->handshake->ke) return KE_NONE;
    return proposals_offer_ke(&sa->conn->ike, group) ? group : KE_NONE;
}

// RFC 7296 2.21.1: everybody can have sent an error. Those that can be set right are; the others
// are only remembered.
bool sa_init_is_rumour(const struct sa *sa, const struct message *message)
{
    struct notify notify;
    const struct exchange *x = sa->asking;
    if (message_notify(message, NOTIFY_COOKIE, &notify)) return x->retries >= EXCHANGE_RETRIES_MAX;
    // Whatever comes instead of a resumed session, forged or not, a full handshake follows.
    if (x->plan == &plan_resume) return false;
    if (!message_error(message, &notify)) return false;
    if (notify.type != NOTIFY_INVALID_KE_PAYLOAD || x->retries >= EXCHANGE_RETRIES_MAX) return true;
    return group_asked_for(sa, &notify) == KE_NONE;
}

void sa_init_rumour(struct sa *sa, const struct message *message)
{
    struct notify notify;
    struct handshake *handshake = sa->handshake;
    enum fault fault = FAULT_RETRIES_TOO_MANY;
    if (message_error(message, &notify))
        fault = notify.type == NOTIFY_INVALID_KE_PAYLOAD ? FAULT_KE_GROUP_NOT_OFFERED
                                                         : notify_fault(notify.type);
    bool again = handshake->rumour == fault && (sa->asking->tries || sa->asking->is_again);
    handshake->rumour = fault;
    // RFC 9329 6.4: over a stream no other answer can come.
    if (again || message->path.stream) {
        attempt_failed(sa, fault, again ? "it said so repeatedly" : "it said so over TCP");
        return;
    }
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, fault,
           "%s answers: %s; it is asked once more, as such an answer can be forged",
           endpoint_text(sa->ike, &message->path.remote), fault_sentence(fault));
    request_rumoured(sa->asking);
}

static enum fault sa_init_heed(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct handshake *handshake = sa->handshake;
    struct notify notify;
    handshake->rumour = OK;
    if (message_notify(&x->in, NOTIFY_COOKIE, &notify)) {
        mem_drop(&handshake->cookie);
        handshake->cookie = mem_copy(notify.data);
    } else if (message_notify(&x->in, NOTIFY_INVALID_KE_PAYLOAD, &notify)) {
        handshake->ke_wanted = group_asked_for(sa, &notify);
    } else {
        return redirect_heed_first(x);
    }
    x->retries++;
    exchange_restart(x, &sa_init_ask_steps[1]);
    return OK;
}

enum fault first_answer_take(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (x->in.header.spi_r == 0) return FAULT_SPI_WRONG;
    sa->spi_r = x->in.header.spi_r;
    first_extensions(sa, &x->in);
    mem_drop(&sa->handshake->peer_init);
    sa->handshake->peer_init = mem_copy(x->in.raw);
    return OK;
}

static enum fault sa_init_agree(struct exchange *x)
{
    struct sa *sa = x->sa;
    size_t index;
    struct proposals *answer = arena_new(&x->arena, sizeof *answer);
    TRY(sa_read(message_first(&x->in, PAYLOAD_SA)->body, answer));
    TRY(proposals_accept(&sa->conn->ike, answer, PROPOSAL_WITH_KE, &x->suite, &index));
    TRY(exchange_read_nonce(x, false));
    TRY(exchange_read_ke(x));
    if (x->ke != x->suite.ke || x->ke != sa->handshake->ke)
        return exchange_why(x, FAULT_PROPOSAL_NOT_OFFERED,
                            "its key exchange value is not of the method that we began with");
    TRY(first_answer_take(x));
    if (suite_has_rounds(&x->suite) && !(sa->bits & PEER_INTERMEDIATE))
        return exchange_why(x, FAULT_PROPOSAL_NOT_OFFERED,
                            "it chose additional key exchanges without the exchange for them");
    TRY(ppk_agree(x));
    secret_move(&x->ke_private, &sa->handshake->ke_private);
    return OK;
}

static enum fault sa_init_go_on(struct exchange *x)
{
    struct sa *sa = x->sa;
    sa_set_state(sa, EXPECT_AUTH);
    nat_float(sa);
    return OK; // IKE_INTERMEDIATE or IKE_AUTH follows
}

static const struct step sa_init_conclude_steps[] = {
    STEP(sa_init_heed), // COOKIE, INVALID_KE_PAYLOAD: asks again
    STEP(sa_init_agree),
    WAIT(ke_share_start, ke_share_done), // waits: KE_SHARE
    STEP(sa_init_derive),
    STEP(sa_init_go_on),
    END,
};

const struct plan plan_sa_init = {
    .exchange = EXCHANGE_IKE_SA_INIT,
    .ask = {"IKE_SA_INIT", FAILURE_ENDS_SA, sa_init_ask_steps, NULL},
    .conclude = {"IKE_SA_INIT", FAILURE_ENDS_SA, sa_init_conclude_steps, NULL},
};

// --- answer: before anything is kept

static void refuse_first(struct ike *ike, const struct message *message, enum fault fault,
                         struct bytes data, const char *why)
{
    enum ike_level level = fault == FAULT_KE_GROUP_OTHER ? IKE_DETAIL
                           : fault_notify(fault)         ? IKE_ERROR
                                                         : IKE_DEBUG;
    draft_fault_clear(ike, message, fault, data);
    if (!budget_allows(ike, &ike->lines)) {
        ike->stats.faults[fault]++;
        return;
    }
    report(ike, ABOUT_REMOTE(&message->path.remote), level, fault, "%s of %s failed: %s%s%s",
           iana_exchange_name(message->header.exchange), endpoint_text(ike, &message->path.remote),
           fault_sentence(fault), why ? ": " : "", why ? why : "");
    if (fault == FAULT_NO_PROPOSAL_CHOSEN) alert(ike, NULL, "proposal-mismatch-ike");
}

static enum fault first_limits(struct ike *ike, const struct message *message)
{
    if (ike->stats.half_open >= ike->settings.half_open_max) return FAULT_HALF_OPEN_LIMIT;
    if (half_open_of_source(ike, &message->path.remote.addr) >=
        ike->settings.half_open_per_source_max)
        return FAULT_SOURCE_LIMIT;
    return ike->stats.sas >= ike->settings.sas_max ? FAULT_SA_LIMIT : OK;
}

// RFC 7296 2.6: under load nothing is kept or computed before the peer has shown that it receives
// at its address.
static bool cookie_passes(struct ike *ike, const struct message *message)
{
    struct notify notify;
    struct bytes ni;
    // RFC 9329 6.3: a TCP connection has shown that already.
    if (!cookie_wanted(ike) || message->path.stream) return true;
    if (nonce_read(message_first(message, PAYLOAD_NONCE)->body, &ni) != OK) return false;
    bool answered = message_notify(message, NOTIFY_COOKIE, &notify);
    if (answered && cookie_is_good(ike, message, ni, notify.data)) return true;
    if (answered)
        report(ike, ABOUT_REMOTE(&message->path.remote), IKE_DEBUG, FAULT_COOKIE_WRONG,
               "%s sends %s", endpoint_text(ike, &message->path.remote),
               fault_sentence(FAULT_COOKIE_WRONG));
    uint8_t cookie[33];
    cookie_make(ike, 0, message, ni, cookie);
    struct ike_header header = message->header;
    header.flags = FLAG_RESPONSE;
    struct draft draft;
    draft_begin_clear(ike, &draft, &header);
    draft_notify(&draft, NOTIFY_COOKIE, BYTES_ARRAY(cookie));
    struct packets packets = draft_finish_clear(&draft);
    packets_send(ike, NULL, &message->path, &packets);
    packets_free(ike, &packets);
    return false;
}

struct exchange *first_answer_begin(struct ike *ike, const struct message *message,
                                    struct conn *conn)
{
    struct sa *sa = sa_new(ike, conn, false);
    sa->spi_i = message->header.spi_i;
    sa->path = message->path;
    sa->bits |= BY_PEER;
    sa->expect_id = 1;
    sa->request_hash = map_hash(&ike->by_spi, message->raw);
    sa_set_state(sa, EXPECT_AUTH);
    half_open_enter(sa, message->header.spi_i, &message->path.remote);
    sa_set_timer(sa, TIMER_HALF_OPEN, ike->now + ike->settings.half_open_timeout);
    sa->handshake->peer_init = mem_copy(message->raw);

    struct exchange *x = exchange_new(sa);
    x->in = *message;
    x->in.raw = sa->handshake->peer_init;
    x->in.payloads = arena_new(&x->arena, sizeof *x->in.payloads);
    struct bytes chain = bytes_of(x->in.raw.at + IKE_HEADER_SIZE, x->in.raw.size - IKE_HEADER_SIZE);
    enum fault fault = payloads_read(message->header.next, chain, x->in.payloads, NULL);
    assert(!fault); // the same bytes were read before
    return x;
}

static void sa_begin(struct ike *ike, const struct message *message,
                     const struct first_choice *choice, const struct ke_payload *ke)
{
    struct exchange *x = first_answer_begin(ike, message, choice->conn);
    x->suite = choice->suite;
    x->ke = ke->group;
    x->ke_peer = arena_copy(&x->arena, ke->value);
    exchange_answer(x->sa, &sa_init_answer, x);
}

void first_refuse(struct ike *ike, const struct message *message, enum fault fault)
{
    uint8_t type = 0;
    bool critical = fault == FAULT_PAYLOAD_CRITICAL;
    if (critical) type = payloads_unknown_critical(message->payloads);
    refuse_first(ike, message, fault, critical ? bytes_of(&type, 1) : BYTES_NONE, NULL);
}

bool first_read(struct ike *ike, struct message *message, enum fault *fault)
{
    const struct rule *rule;
    struct bytes chain =
        bytes_of(message->raw.at + IKE_HEADER_SIZE, message->raw.size - IKE_HEADER_SIZE);
    message->payloads = arena_new(&ike->arena, sizeof *message->payloads);
    *fault = payloads_read(message->header.next, chain, message->payloads, NULL);
    if (!*fault) *fault = rule_find(NOTHING, message, &rule);
    if (!*fault && !cookie_passes(ike, message)) return false;
    if (!*fault) *fault = first_limits(ike, message);
    return true;
}

static void first_request_in(struct ike *ike, struct message *message)
{
    struct ke_payload ke;
    struct first_choice choice = {0};
    struct proposals *offered = arena_new(&ike->arena, sizeof *offered);
    enum fault fault;
    if (!first_read(ike, message, &fault)) return;
    if (!fault) fault = sa_read(message_first(message, PAYLOAD_SA)->body, offered);
    if (!fault) fault = ke_read(message_first(message, PAYLOAD_KE)->body, &ke);
    struct notify notify;
    if (!fault && !message_notify(message, NOTIFY_INTERMEDIATE_EXCHANGE_SUPPORTED, &notify))
        intermediate_withdraw(offered);
    if (!fault) fault = conn_by_addresses(ike, &message->path, offered, ke.group, &choice);
    if (!fault && ke.group != choice.suite.ke) {
        uint8_t group[2] = {(uint8_t)(choice.suite.ke >> 8), (uint8_t)choice.suite.ke};
        refuse_first(ike, message, FAULT_KE_GROUP_OTHER, BYTES_ARRAY(group), NULL);
        return;
    }
    if (!fault && redirect_first(ike, message, choice.conn)) return;
    if (fault && choice.why)
        refuse_first(ike, message, fault, BYTES_NONE, choice.why);
    else if (fault)
        first_refuse(ike, message, fault);
    else
        sa_begin(ike, message, &choice, &ke);
}

// A first message that came before gets the answer from before, or waits for it.
bool first_again(struct ike *ike, const struct message *message)
{
    struct sa *sa = half_open_find(ike, message->header.spi_i, &message->path.remote);
    if (!sa) return false;
    bool same =
        map_hash(&ike->by_spi, message->raw) == map_hash(&ike->by_spi, sa->handshake->peer_init);
    if (!same || sa->answering || sa->expect_id != 1 || !sa->response.at) return true;
    ike->stats.retransmits_received++;
    packets_send(ike, sa, &message->path, &sa->response);
    return true;
}

void sa_init_receive(struct ike *ike, struct message *message)
{
    if (!first_again(ike, message)) first_request_in(ike, message);
}

// --- answer: the recipe

static enum fault sa_init_read(struct exchange *x)
{
    TRY(exchange_read_nonce(x, true));
    first_extensions(x->sa, &x->in);
    return OK;
}

void first_response_send(struct exchange *x, struct draft *draft)
{
    struct sa *sa = x->sa;
    sa->response = draft_finish_clear(draft);
    sa->handshake->own_init = mem_copy(bytes_of(sa->response.at, sa->response.size));
    count_message(sa->ike, sa, x->in.header.exchange, COUNT_OUT_RESPONSE);
    packets_send(sa->ike, sa, &x->in.path, &sa->response);
}

static enum fault sa_init_write(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct ike *ike = sa->ike;
    struct ike_header header = {.spi_i = sa->spi_i,
                                .spi_r = sa->spi_r,
                                .major = 2,
                                .exchange = EXCHANGE_IKE_SA_INIT,
                                .flags = FLAG_RESPONSE};
    struct proposals *answer = arena_new(&x->arena, sizeof *answer);
    struct draft draft;
    answer->count = 1;
    suite_proposal(&x->suite, &answer->at[0]);
    answer->at[0].spi_size = 0;
    draft_begin_clear(ike, &draft, &header);
    sa_write(draft_open(&draft, PAYLOAD_SA), answer);
    draft_close(&draft);
    ke_write(draft_open(&draft, PAYLOAD_KE), x->suite.ke, x->ke_public);
    draft_close(&draft);
    draft_bytes(&draft, PAYLOAD_NONCE, exchange_nr(x));
    nat_offer(sa, &draft, sa->spi_i, sa->spi_r, &x->in.path);
    if (sa->bits & PEER_FRAGMENTS)
        draft_notify(&draft, NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, BYTES_NONE);
    if (suite_has_rounds(&x->suite) || ppk_int_is_due(sa))
        draft_notify(&draft, NOTIFY_INTERMEDIATE_EXCHANGE_SUPPORTED, BYTES_NONE);
    if (sa->handshake->peer_hashes) hashes_write(&draft);
    ppk_agree_write(sa, &draft);
    draft_notify(&draft, NOTIFY_MULTIPLE_AUTH_SUPPORTED, BYTES_NONE);
    if (sa->conn->childless != CHILDLESS_NEVER)
        draft_notify(&draft, NOTIFY_CHILDLESS_IKEV2_SUPPORTED, BYTES_NONE);
    mode_vendor_write(sa, &draft);
    // Whoever only pretends to have this address must not make us send much there: three bytes for
    // each of its own.
    size_t room = 3 * x->in.raw.size;
    certreq_write(sa, &draft, room > draft.out.size ? room - draft.out.size : 0);
    first_response_send(x, &draft);
    return OK;
}

static enum fault sa_init_nonce(struct exchange *x)
{
    exchange_nonce(x, false);
    return OK;
}

static const struct step sa_init_answer_steps[] = {
    STEP(sa_init_read),
    WAIT(ppk_find_any, ppk_found_any),     // waits: PPK
    WAIT(ke_answer_start, ke_answer_done), // waits: KE_ANSWER
    STEP(sa_init_nonce),
    STEP(sa_init_derive),
    STEP(sa_init_write),
    END,
};
const struct recipe sa_init_answer = {"IKE_SA_INIT", FAILURE_FORGETS, sa_init_answer_steps, NULL};
