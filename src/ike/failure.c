// SPDX-License-Identifier: Apache-2.0
// The one place where a fault becomes a notify to the peer, a sentence for people and a consequence
// for the SA.
#include "ike/internal.h"

// --- fault -> notify: out of the catalogue

static const uint16_t notify_of_fault[] = {
    [OK] = NOTIFY_NONE,
#define FAULT(symbol, notify, sentence, remedy, source) [FAULT_##symbol] = NOTIFY_##notify,
#include "base/fault.def"
#undef FAULT
};

uint16_t fault_notify(enum fault fault)
{
    return notify_of_fault[fault];
}

// --- notify -> fault: what the peer's error means to us

static const struct {
    uint16_t notify;
    enum fault fault;
} fault_of_notify[] = {
    {NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD, FAULT_PEER_SYNTAX},
    {NOTIFY_INVALID_MAJOR_VERSION, FAULT_PEER_VERSION},
    {NOTIFY_INVALID_SYNTAX, FAULT_PEER_SYNTAX},
    {NOTIFY_NO_PROPOSAL_CHOSEN, FAULT_PEER_NO_PROPOSAL},
    {NOTIFY_AUTHENTICATION_FAILED, FAULT_PEER_REFUSES},
    {NOTIFY_NO_ADDITIONAL_SAS, FAULT_PEER_NO_MORE},
    {NOTIFY_INTERNAL_ADDRESS_FAILURE, FAULT_PEER_ADDRESS},
    {NOTIFY_FAILED_CP_REQUIRED, FAULT_PEER_ADDRESS},
    {NOTIFY_TS_UNACCEPTABLE, FAULT_PEER_TS_UNACCEPTABLE},
    {NOTIFY_TS_MAX_QUEUE, FAULT_PEER_RESOURCES},
    {NOTIFY_TEMPORARY_FAILURE, FAULT_PEER_BUSY},
    {NOTIFY_CHILD_SA_NOT_FOUND, FAULT_PEER_CHILD_GONE},
    {NOTIFY_STATE_NOT_FOUND, FAULT_PEER_STATE_GONE},
    {NOTIFY_UNEXPECTED_NAT_DETECTED, FAULT_PEER_NAT_UNEXPECTED},
    {NOTIFY_UNACCEPTABLE_ADDRESSES, FAULT_PEER_PATH_REFUSED},
};

enum fault notify_fault(uint16_t notify)
{
    for (size_t i = 0; i < sizeof fault_of_notify / sizeof *fault_of_notify; i++)
        if (fault_of_notify[i].notify == notify) return fault_of_notify[i].fault;
    return FAULT_PEER_ERROR;
}

// --- what strongSwan's clients call it

static const struct {
    enum fault fault;
    const char *word;
} alerts[] = {
    {FAULT_PEER_REFUSES, "local-auth-failed"},   {FAULT_PSK_WRONG, "peer-auth-failed"},
    {FAULT_SIGNATURE_WRONG, "peer-auth-failed"}, {FAULT_CONN_FOR_IDENTITIES, "peer-auth-failed"},
    {FAULT_IDENTITY_OTHER, "peer-auth-failed"},  {FAULT_AUTH_METHOD, "peer-auth-failed"},
    {FAULT_TS_UNACCEPTABLE, "ts-mismatch"},      {FAULT_PEER_TS_UNACCEPTABLE, "ts-mismatch"},
    {FAULT_EAP_LOGIN, "peer-auth-failed"},       {FAULT_EAP_AUTH_WRONG, "peer-auth-failed"},
    {FAULT_EAP_FAILED, "local-auth-failed"},     {FAULT_UNIQUE_KEPT, "unique-keep"},
    {FAULT_PEER_ADDRESS, "vip-failure"},
};

static void alert_fault(const struct exchange *x, enum fault fault)
{
    bool proposal = fault == FAULT_NO_PROPOSAL_CHOSEN || fault == FAULT_PEER_NO_PROPOSAL;
    if (proposal)
        alert(x->sa->ike, x->sa,
              x->recipe->consequence == FAILURE_FORGETS ? "proposal-mismatch-ike"
                                                        : "proposal-mismatch-child");
    for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++)
        if (alerts[i].fault == fault) alert(x->sa->ike, x->sa, alerts[i].word);
}

static struct subject subject_of(const struct exchange *x)
{
    struct subject subject = ABOUT_SA(x->sa);
    if (x->task) subject.command = x->task->command;
    if (x->child)
        subject.child = x->child->conf->name;
    else if (x->task && x->task->conf)
        subject.child = x->task->conf->name;
    if (x->part == PART_ANSWER) subject.remote = &x->in.path.remote;
    return subject;
}

// What is temporary is tried again and no matter for an operator.
static enum ike_level level_of(enum fault fault)
{
    switch (fault) {
    case FAULT_BUSY:
    case FAULT_PEER_BUSY:
    case FAULT_KE_GROUP_OTHER:
    case FAULT_CHILD_NOT_FOUND:
    case FAULT_PEER_CHILD_GONE:
    case FAULT_PEER_STATE_GONE:
    case FAULT_PEER_RESOURCES:
    case FAULT_RESOURCES_TOO_MANY:
        return IKE_DETAIL;
    default:
        return IKE_ERROR;
    }
}

static void tell_people(const struct exchange *x, enum fault fault)
{
    const char *why = x->why ? x->why : "";
    const struct endpoint *peer = x->part == PART_ANSWER ? &x->in.path.remote : &x->sa->path.remote;
    report(x->sa->ike, subject_of(x), level_of(fault), fault, "%s %s %s failed: %s%s%s",
           x->recipe->name, x->part == PART_ANSWER ? "of" : "with",
           peer->addr.family ? endpoint_text(x->sa->ike, peer) : "the peer", fault_sentence(fault),
           *why ? ": " : "", why);
    alert_fault(x, fault);
}

// --- notifies

// The notify of a fault with the data that its type has.
void draft_fault(struct draft *draft, const struct exchange *x, enum fault fault)
{
    uint8_t data[2] = {(uint8_t)(x->group_wanted >> 8), (uint8_t)x->group_wanted};
    switch (fault_notify(fault)) {
    case NOTIFY_NONE:
        break;
    case NOTIFY_INVALID_KE_PAYLOAD:
        draft_notify(draft, NOTIFY_INVALID_KE_PAYLOAD, BYTES_ARRAY(data));
        break;
    case NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD:
        draft_notify(draft, NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD, bytes_of(&x->notify_critical, 1));
        break;
    case NOTIFY_CHILD_SA_NOT_FOUND:
        draft_notify_spi(draft, PROTOCOL_ESP, x->notify_spi, NOTIFY_CHILD_SA_NOT_FOUND, BYTES_NONE);
        break;
    default:
        draft_notify(draft, fault_notify(fault), BYTES_NONE);
    }
}

// An unprotected answer to an unprotected request, which leaves no state behind.
void draft_fault_clear(struct ike *ike, const struct message *message, enum fault fault,
                       struct bytes data)
{
    if (fault_notify(fault) == NOTIFY_NONE || message->header.flags & FLAG_RESPONSE) return;
    struct draft draft;
    draft_begin_answer_clear(ike, &draft, message);
    draft_notify(&draft, fault_notify(fault), data);
    struct packets packets = draft_finish_clear(&draft);
    packets_send(ike, NULL, &message->path, &packets);
    packets_free(ike, &packets);
}

static void respond_fault(struct exchange *x, enum fault fault)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    if (x->eap_failed)
        eap_write_failure(x, &draft);
    else
        draft_fault(&draft, x, fault);
    respond(x, &draft);
}

// RFC 7296 2.21.2: an initiator that does not accept the responder may say so in an exchange of its
// own. It does not wait for the response.
static void tell_peer(struct sa *sa, enum fault fault)
{
    uint16_t notify = fault_notify(fault);
    if (notify == NOTIFY_NONE || !sa->keys.all.at) return;
    struct draft draft;
    draft_begin(sa->ike, &draft);
    draft_notify(&draft, NOTIFY_AUTHENTICATION_FAILED, BYTES_NONE);
    struct packets packets =
        draft_seal(sa, &draft, EXCHANGE_INFORMATIONAL, MESSAGE_REQUEST, sa->send_id++);
    packets_send(sa->ike, sa, &sa->path, &packets);
    packets_free(sa->ike, &packets);
}

// --- consequences

static void fail_answer(struct exchange *x, enum fault fault)
{
    struct sa *sa = x->sa;
    uint8_t data[2] = {(uint8_t)(x->group_wanted >> 8), (uint8_t)x->group_wanted};
    bool with_group = fault_notify(fault) == NOTIFY_INVALID_KE_PAYLOAD;
    switch (x->recipe->consequence) {
    case FAILURE_FORGETS:
        draft_fault_clear(sa->ike, &x->in, fault, with_group ? BYTES_ARRAY(data) : BYTES_NONE);
        sa_end(sa, fault, x->why);
        return;
    case FAILURE_ENDS_SA:
        respond_fault(x, fault);
        sa_end(sa, fault, x->why);
        return;
    case FAILURE_STAYS:
        respond_fault(x, fault);
        // RFC 7296 2.21.3: a request that cannot be read ends the IKE SA on both sides.
        if (fault_notify(fault) == NOTIFY_INVALID_SYNTAX) {
            sa_gone(sa, fault, x->why);
            return;
        }
        sa->answering = NULL;
        exchange_free(x);
        sa_pump(sa);
    }
}

static void fail_own(struct exchange *x, enum fault fault)
{
    struct sa *sa = x->sa;
    if (x->recipe->consequence != FAILURE_STAYS) {
        if (x->part == PART_CONCLUDE && x->plan->exchange == EXCHANGE_IKE_AUTH) tell_peer(sa, fault);
        if (is_resumed(sa))
            resume_fall_back(sa, x->why ? x->why : fault_sentence(fault));
        else
            attempt_failed(sa, fault, x->why);
        return;
    }
    // RFC 9370 2.2.4: a peer that has forgotten the first rounds is asked from the beginning.
    bool again = fault == FAULT_PEER_BUSY || fault == FAULT_PEER_STATE_GONE;
    if (again && x->task && task_retry(sa, x->task)) x->task = NULL;
    if (sa->state == ESTABLISHED && x->task && wish_again(sa, x->task, fault, x->why))
        x->task = NULL;
    if (sa->state == DEAD) return;
    // RFC 7296 2.21.3: whoever answers INVALID_SYNTAX has dropped the IKE SA.
    if (fault == FAULT_PEER_SYNTAX) {
        sa_gone(sa, fault, x->why);
        return;
    }
    if (x->task) task_failed(sa, x->task, fault, x->why);
    sa_set_timer(sa, TIMER_RETRANSMIT, NSEC_NEVER);
    sa->asking = NULL;
    exchange_free(x);
    sa_pump(sa);
}

void exchange_fail(struct exchange *x, enum fault fault)
{
    tell_people(x, fault);
    if (x->recipe->failed) x->recipe->failed(x, fault);
    if (x->sa->state == DEAD) return;
    if (x->part == PART_ANSWER)
        fail_answer(x, fault);
    else
        fail_own(x, fault);
}

// A message that is genuine but has no place, or cannot be read: a request is answered, a response
// is not.
void message_refused(struct ike *ike, struct sa *sa, const struct message *message,
                     enum fault fault)
{
    bool is_request = !(message->header.flags & FLAG_RESPONSE);
    report(ike, ABOUT_SA(sa), IKE_ERROR, fault, "%s %s is refused: %s",
           iana_exchange_name(message->header.exchange)
               ? iana_exchange_name(message->header.exchange)
               : "message of an unknown exchange",
           is_request ? "request" : "response", fault_sentence(fault));
    count(ike, sa, COUNT_INVALID);
    alert(ike, sa, "parse-error-body");
    if (!is_request || !message->sealed || fault_notify(fault) == NOTIFY_NONE) return;
    struct exchange *x = exchange_new(sa);
    x->in = *message;
    if (fault == FAULT_PAYLOAD_CRITICAL)
        x->notify_critical = payloads_unknown_critical(message->payloads);
    respond_fault(x, fault);
    exchange_free(x);
    if (fault_notify(fault) == NOTIFY_INVALID_SYNTAX) sa_gone(sa, fault, NULL);
}
