// SPDX-License-Identifier: Apache-2.0
// The way of a datagram, from the header to the recipe that deals with it:
//
//     header, version -> first message? -> SA by our SPI -> message ID
//                     -> opened with the SA's keys -> allowed now? -> recipe
//
// Up to the opening nothing is believed and nothing changes.
#include "ike/internal.h"

enum { MAJOR_2 = 2 };

static void unwanted(struct ike *ike, struct sa *sa, const struct message *message,
                     enum fault fault)
{
    count(ike, sa, COUNT_INVALID);
    if (!budget_allows(ike, &ike->lines)) {
        ike->stats.faults[fault]++;
        return;
    }
    struct subject subject = {.sa = sa, .remote = &message->path.remote};
    report(ike, subject, IKE_DEBUG, fault, "a message from %s is dropped: %s",
           endpoint_text(ike, &message->path.remote), fault_sentence(fault));
}

static void version_other(struct ike *ike, const struct message *message)
{
    enum fault fault = message->header.major < MAJOR_2 ? FAULT_VERSION_1 : FAULT_VERSION_HIGHER;
    unwanted(ike, NULL, message, fault);
    if (fault == FAULT_VERSION_HIGHER && budget_allows(ike, &ike->answers))
        draft_fault_clear(ike, message, fault, BYTES_NONE);
}

// RFC 7296 2.21.4: for a request without an SA there may be an answer, for a response never.
static void sa_missing(struct ike *ike, const struct message *message)
{
    unwanted(ike, NULL, message, FAULT_IKE_SPI_UNKNOWN);
    if (!budget_allows(ike, &ike->answers)) return;
    if (!(message->header.flags & FLAG_RESPONSE)) alert(ike, NULL, "invalid-ike-spi");
    if (!qcd_present(ike, message))
        draft_fault_clear(ike, message, FAULT_IKE_SPI_UNKNOWN, BYTES_NONE);
}

// The sender set the initiator flag if it began this SA; the SPI that we chose is the other one.
static struct sa *sa_of(const struct ike *ike, const struct ike_header *header)
{
    bool from_initiator = header->flags & FLAG_INITIATOR;
    struct sa *sa = sa_by_spi(ike, from_initiator ? header->spi_r : header->spi_i);
    if (!sa || sa->initiator == from_initiator) return NULL;
    uint64_t theirs = from_initiator ? header->spi_i : header->spi_r;
    // The responder's SPI is unknown until its first answer has come.
    bool unknown = sa->initiator && sa->spi_r == 0;
    return unknown || theirs == sa_peer_spi(sa) ? sa : NULL;
}

// RFC 7296 2.21.4: a hint only; whether the peer still has the SA is found out in a protected
// exchange, and not often.
static void hint_taken(struct sa *sa, const struct message *message)
{
    unwanted(sa->ike, sa, message, FAULT_NOT_SEALED);
    bool is_error = message->header.flags & FLAG_RESPONSE && message->header.next == PAYLOAD_NOTIFY;
    if (is_error && sa->asking) sa->asking->is_rumoured = true;
    if (is_error && sa->state == EXPECT_AUTH && sa->asking && sa->asking->tries > 1) {
        attempt_forgotten(sa);
        return;
    }
    // An SA that is being closed: whoever does not know it has closed it, and its answer was lost.
    // Forging this twice needs our SPIs, and whoever sees those can as well drop the answers.
    if (is_error && sa->state == DELETING && sa->asking && sa->asking->tries) {
        if (sa->asking->tries > 1) sa_end(sa, OK, NULL);
        return;
    }
    if (!is_error || sa->state != ESTABLISHED || sa->asking || task_find(sa, TASK_LIVENESS, 0))
        return;
    if (sa->ike->now - sa->last_heard < nsec_seconds(10)) return;
    task_add(sa, TASK_LIVENESS);
    sa_pump(sa);
}

// --- message IDs

enum window { WINDOW_NEW, WINDOW_AGAIN, WINDOW_OUTSIDE };

static enum window window_of(const struct sa *sa, const struct ike_header *header)
{
    if (header->flags & FLAG_RESPONSE) {
        const struct exchange *x = sa->asking;
        bool awaited = x && x->is_sent && x->message_id == header->message_id &&
                       x->plan->exchange == header->exchange;
        return awaited ? WINDOW_NEW : WINDOW_OUTSIDE;
    }
    if (header->message_id == sa->expect_id) return WINDOW_NEW;
    return header->message_id + 1 == sa->expect_id ? WINDOW_AGAIN : WINDOW_OUTSIDE;
}

// RFC 7296 2.1: a request that comes again, the same to the last bit, gets the same response. RFC
// 7383 2.6.1: of a fragmented one the first fragment stands for all. It may come
// again in other pieces; then it is enough that the peer made it.
static void request_again(struct sa *sa, const struct message *message)
{
    struct ike *ike = sa->ike;
    if (sa->answering || !sa->response.at) return;
    if (map_hash(&ike->by_spi, message->raw) != sa->request_hash &&
        !message_is_genuine(sa, message))
        return;
    ike->stats.retransmits_received++;
    report(
        ike, ABOUT_SA(sa), IKE_DETAIL, OK, "%s request %u came again; its response is sent again",
        iana_exchange_name(message->header.exchange) ? iana_exchange_name(message->header.exchange)
                                                     : "a",
        message->header.message_id);
    packets_send(ike, sa, &message->path, &sa->response);
    // It may not be able to answer us before it has our answer: it is given more time, once.
    if (sa->asking) sa->asking->peer_asks_too = true;
    request_heard(sa);
}

// --- genuine messages

static void request_in(struct sa *sa, const struct rule *rule, struct exchange *x)
{
    sa->expect_id++;
    if (rule->recipe == &followup_answer && followup_continues(sa, &x->in)) {
        x = followup_resume(sa, x);
        exchange_answer(sa, x->resume, x);
        return;
    }
    exchange_answer(sa, rule->recipe, x);
}

static void response_in(struct sa *sa, const struct message *message, struct arena *arena)
{
    struct exchange *x = sa->asking;
    arena_free(&x->message_arena);
    x->message_arena = *arena;
    *arena = (struct arena){0};
    x->in = *message;
    exchange_conclude(x);
}

// The message has been opened with the SA's keys. It is taken, refused with an answer, or ends the
// SA.
static void genuine_in(struct sa *sa, struct message *message, struct arena *arena,
                       enum fault fault)
{
    struct ike *ike = sa->ike;
    bool is_response = message->header.flags & FLAG_RESPONSE;
    const struct rule *rule = NULL;
    count_message(ike, sa, message->header.exchange,
                  is_response ? COUNT_IN_RESPONSE : COUNT_IN_REQUEST);
    sa_heard(sa, message, is_response ? MESSAGE_RESPONSE : MESSAGE_REQUEST);
    if (!is_response) sa->request_hash = message->hash;
    if (!fault) fault = rule_find((enum sa_state)sa->state, message, &rule);
    if (fault) {
        if (is_response) {
            request_answered(sa->asking);
            exchange_fail(sa->asking, fault);
        } else {
            sa->expect_id++;
            message_refused(ike, sa, message, fault);
        }
        return;
    }
    if (is_response) {
        response_in(sa, message, arena);
        return;
    }
    struct exchange *x = exchange_new(sa);
    x->arena = *arena;
    *arena = (struct arena){0};
    x->in = *message;
    request_in(sa, rule, x);
}

static void sealed_in(struct sa *sa, struct message *message)
{
    struct arena arena = {0};
    enum fault fault = message_open(sa, message, &arena);
    if (fault == FAULT_NOT_SEALED)
        hint_taken(sa, message);
    else if (fault && !message->sealed && fault != FAULT_FRAGMENT_WAITS)
        unwanted(sa->ike, sa, message, fault);
    else if (fault != FAULT_FRAGMENT_WAITS)
        genuine_in(sa, message, &arena, fault);
    arena_free(&arena);
}

// An IKE_SA_INIT response: the only message that is taken without protection.
static void first_response_in(struct sa *sa, struct message *message)
{
    struct arena arena = {0};
    struct bytes raw = arena_copy(&arena, message->raw);
    message->raw = raw;
    message->payloads = arena_new(&arena, sizeof *message->payloads);
    struct bytes chain = bytes_of(raw.at + IKE_HEADER_SIZE, raw.size - IKE_HEADER_SIZE);
    const struct rule *rule;
    count_message(sa->ike, sa, message->header.exchange, COUNT_IN_RESPONSE);
    enum fault fault = payloads_read(message->header.next, chain, message->payloads, NULL);
    if (!fault) fault = rule_find((enum sa_state)sa->state, message, &rule);
    if (fault)
        unwanted(sa->ike, sa, message, fault); // maybe forged: the right one may still come
    else if (redirect_is_forged(sa, message))
        unwanted(sa->ike, sa, message, FAULT_REDIRECT_FORGED);
    else if (sa_init_is_rumour(sa, message))
        sa_init_rumour(sa, message);
    else
        response_in(sa, message, &arena);
    arena_free(&arena);
}

static bool is_first_request(const struct ike_header *header)
{
    bool opens = header->exchange == EXCHANGE_IKE_SA_INIT ||
                 header->exchange == EXCHANGE_IKE_SESSION_RESUME;
    return opens && !(header->flags & FLAG_RESPONSE) &&
           header->flags & FLAG_INITIATOR && header->spi_i != 0 && header->spi_r == 0 &&
           header->message_id == 0;
}

// The peer has answered what makes the IKE SA, and asks; its answer has not come. It will ask again.
static bool is_early(const struct sa *sa, const struct ike_header *header)
{
    bool coming = sa->state >= EXPECT_SA_INIT && sa->state < ESTABLISHED;
    return coming && sa->initiator && !(header->flags & FLAG_RESPONSE);
}

static void message_in(struct ike *ike, struct message *message)
{
    const struct ike_header *header = &message->header;
    if (is_first_request(header)) {
        count_message(ike, NULL, header->exchange, COUNT_IN_REQUEST);
        if (header->exchange == EXCHANGE_IKE_SA_INIT)
            sa_init_receive(ike, message);
        else
            resume_receive(ike, message);
        return;
    }
    struct sa *sa = sa_of(ike, header);
    if (!sa) {
        if (!invalid_spi_hint(ike, message)) sa_missing(ike, message);
        return;
    }
    if (qcd_heed(sa, message) || counter_sync_receive(sa, message)) return;
    switch (window_of(sa, header)) {
    case WINDOW_OUTSIDE:
        unwanted(ike, sa, message, FAULT_MESSAGE_ID_WRONG);
        break;
    case WINDOW_AGAIN:
        request_again(sa, message);
        break;
    case WINDOW_NEW:
        // While an answer is being worked out its request comes again in vain.
        if (sa->answering && !(header->flags & FLAG_RESPONSE)) return;
        if (is_early(sa, header)) {
            unwanted(ike, sa, message, FAULT_REQUEST_EARLY);
            return;
        }
        if (sa->state == EXPECT_SA_INIT)
            first_response_in(sa, message);
        else
            sealed_in(sa, message);
    }
}

void datagram_in(struct ike *ike, const struct path *path, struct bytes bytes)
{
    struct message message = {.path = *path, .raw = bytes};
    enum fault fault = ike_header_read(bytes, &message.header);
    if (fault) {
        if (budget_allows(ike, &ike->answers)) alert(ike, NULL, "parse-error-header");
        unwanted(ike, NULL, &message, fault);
        return;
    }
    if (message.header.major != MAJOR_2)
        version_other(ike, &message);
    else
        message_in(ike, &message);
}
