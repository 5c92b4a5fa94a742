// SPDX-License-Identifier: Apache-2.0
// EAP inside IKE_AUTH (RFC 7296 2.16): an initiator that leaves AUTH out proves itself in a round
// by EAP, and both ends then prove with the key that the method has made (MSK) that they were the
// ones.
//
//     HDR, SK{IDi, [CERTREQ,] [IDr,] SAi2, TSi, TSr}  -->
//                                   <--  HDR, SK{IDr, [CERT,] AUTH, EAP(Request)}
//     HDR, SK{EAP(Response)}  -->
//                                   <--  HDR, SK{EAP(Request)}              … as often as needed
//                                   <--  HDR, SK{EAP(Success)}
//     HDR, SK{AUTH}  -->
//                                   <--  HDR, SK{AUTH, SAr2, TSi, TSr}
//
// With EAP_ONLY_AUTHENTICATION (RFC 5998) the responder's first AUTH is left out where the method
// proves both ends. What is in the messages is read and written elsewhere (LOGIN), here only their
// frame and their number.
#include "ike/internal.h"
#include "ike/v2/auth.h"

enum {
    EAP_REQUEST = 1,
    EAP_RESPONSE,
    EAP_SUCCESS,
    EAP_FAILURE,
    EAP_HEADER_SIZE = 4,
    EAP_SIZE_MAX = 8192,    // of one message; methods cut what is longer
    EAP_MESSAGES_MAX = 100, // of the peer's in one login; RFC 7296 2.16 wants ten at least
};

// --- who is to log in

bool eap_is_due(const struct sa *sa)
{
    return sa->initiator && !is_resumed(sa) && local_is_due(sa) &&
           local_round(sa)->auth == AUTH_CLASS_EAP && !sa->handshake->eap.is_through;
}

bool eap_is_through(const struct sa *sa)
{
    return sa->handshake->eap.is_through;
}

static unsigned rounds_of_class(const struct auth_conf *rounds, unsigned count, uint8_t class)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) found += rounds[i].auth == class;
    return found;
}

// RFC 7296 2.16: whoever asks for a password proves itself with a signature first, unless the
// method proves both ends (RFC 5998). RFC 7619 2: never with NULL authentication. A gateway's
// rounds after its first one would have no place between the messages of a login.
enum fault eap_check_rounds(struct exchange *x)
{
    const struct conn *conn = x->sa->conn;
    bool ours = x->sa->initiator;
    const struct auth_conf *client = ours ? conn->local : conn->remote,
                           *gateway = ours ? conn->remote : conn->local;
    unsigned clients = ours ? conn->local_rounds : conn->remote_rounds,
             gateways = ours ? conn->remote_rounds : conn->local_rounds;
    bool eap = rounds_of_class(client, clients, AUTH_CLASS_EAP) > 0,
         only = rounds_of_class(gateway, gateways, AUTH_CLASS_EAP) > 0,
         first = clients && client[0].auth == AUTH_CLASS_EAP;
    bool signs =
        gateways && (gateway[0].auth == AUTH_CLASS_PUBKEY || gateway[0].auth == AUTH_CLASS_ANY);
    bool known = gateways && gateway[0].auth == AUTH_CLASS_PSK && !first; // RFC 4739 2.3
    if (!eap && !only) return OK;
    if (eap && gateways == 1 && (only ? first : signs || known)) return OK;
    return exchange_why(x, FAULT_EAP_ALONE, "connection %s", conn->name);
}

static struct ike_operation *login_wait(struct exchange *x, enum ike_login_kind kind,
                                        struct bytes message)
{
    struct sa *sa = x->sa;
    struct ike_operation *operation = exchange_wait(x, IKE_OP_LOGIN);
    operation->login.kind = (uint8_t)kind;
    operation->login.server = !sa->initiator;
    operation->login.session = (uint64_t)sa->id << 8 | (sa->initiator ? sa->handshake->local_done
                                                                      : sa->handshake->remote_done);
    operation->login.auth = sa->initiator ? local_round(sa) : remote_round(sa);
    operation->login.local = sa->local_id.type ? sa->local_id : own_identity(sa, &sa->ike->arena);
    operation->login.remote = sa->remote_id;
    operation->login.message = message;
    return operation;
}

// --- messages

// RFC 7296 3.16: the length inside is the payload's, and Success and Failure have nothing behind
// it.
static enum fault eap_read(struct exchange *x, struct bytes body, uint8_t *code)
{
    struct rd in = rd_over(body);
    *code = rd_u8(&in);
    uint8_t identifier = rd_u8(&in);
    uint16_t size = rd_u16(&in);
    bool talk = *code == EAP_REQUEST || *code == EAP_RESPONSE;
    if (in.failed || size != body.size || size > EAP_SIZE_MAX || *code < EAP_REQUEST ||
        *code > EAP_FAILURE)
        return FAULT_EAP_SYNTAX;
    if (talk ? size == EAP_HEADER_SIZE : size != EAP_HEADER_SIZE) return FAULT_EAP_SYNTAX;
    // A gateway asks and ends, a client answers.
    if (x->sa->initiator == (*code == EAP_RESPONSE)) return FAULT_EAP_SYNTAX;
    x->sa->handshake->eap.identifier = identifier;
    if (++x->sa->handshake->eap.messages > EAP_MESSAGES_MAX)
        return exchange_why(x, FAULT_EAP_ENDLESS, "it has sent %u messages", EAP_MESSAGES_MAX);
    return OK;
}

void eap_write(const struct exchange *x, struct draft *draft)
{
    draft_bytes(draft, PAYLOAD_EAP, x->eap_out);
}

// RFC 7296 2.16: a login that failed is told as EAP(Failure).
void eap_write_failure(const struct exchange *x, struct draft *draft)
{
    const uint8_t message[] = {EAP_FAILURE, x->sa->handshake->eap.identifier, 0, EAP_HEADER_SIZE};
    draft_bytes(draft, PAYLOAD_EAP, BYTES_ARRAY(message));
}

// --- what a login has led to

// RFC 5998 3: without a signature the method must prove both ends, and by a key.
static bool eap_suffices(const struct sa *sa)
{
    const struct conn *conn = sa->conn;
    const struct auth_conf *gateway = sa->initiator ? conn->remote : conn->local;
    const struct eap_use *eap = &sa->handshake->eap;
    return gateway[0].auth != AUTH_CLASS_EAP || (eap->mutual && eap->key.size);
}

static enum fault eap_take(struct exchange *x, struct ike_answer *answer)
{
    struct eap_use *eap = &x->sa->handshake->eap;
    secret_move(&eap->key, &answer->shared);
    eap->mutual = answer->mutual;
    eap->scheme = answer->scheme ? answer->scheme : "EAP";
    eap->is_through = true;
    if (eap_suffices(x->sa)) return OK;
    return exchange_why(x, FAULT_EAP_NOT_MUTUAL, "it is %s", eap->scheme);
}

// Both proofs are done; another round may be another login.
void eap_end(struct sa *sa)
{
    struct eap_use *eap = &sa->handshake->eap;
    secret_later(sa->ike, &eap->key);
    *eap = (struct eap_use){.is_offered = eap->is_offered};
}

void eap_wipe(struct eap_use *eap)
{
    secret_wipe(&eap->key);
}

// RFC 7296 2.16: the MSK is the shared secret; a method that makes none leaves SK_p to tie the
// messages together.
static enum fault eap_auth(const struct sa *sa, bool ours, struct secret *out)
{
    struct auth_octets octets = octets_of(sa, ours);
    const struct secret *key = &sa->handshake->eap.key;
    return keyed_auth(&octets, key->size ? secret_bytes(key) : octets.sk_p, out);
}

enum fault eap_prove(struct exchange *x)
{
    SECRET(auth);
    TRY(eap_auth(x->sa, true, &auth));
    x->auth_method = AUTH_PSK;
    x->auth_data = arena_copy(&x->arena, secret_bytes(&auth));
    return OK;
}

// The gateway's signature has come before; by EAP alone it is proved only now.
enum fault eap_judge(struct exchange *x)
{
    struct sa *sa = x->sa;
    SECRET(wanted);
    TRY(eap_auth(sa, false, &wanted));
    if (x->auth_method != AUTH_PSK || !bytes_equal_secret(secret_bytes(&wanted), x->auth_data))
        return FAULT_EAP_AUTH_WRONG;
    const char *scheme = sa->handshake->eap.scheme;
    if (!sa->initiator) return peer_accept(x, scheme);
    // RFC 4739 2.1: the responder has no more rounds than the one that is done.
    if (sa->handshake->remote_stops) return x->another_follows ? FAULT_AUTH_ROUND_UNASKED : OK;
    return peer_accept(x, scheme);
}

static enum fault last_auth_read(struct exchange *x)
{
    const struct payload *auth = message_first(&x->in, PAYLOAD_AUTH);
    struct notify notify;
    if (!auth) return FAULT_PAYLOAD_MISSING;
    x->another_follows = message_notify(&x->in, NOTIFY_ANOTHER_AUTH_FOLLOWS, &notify);
    return auth_read_payload(auth->body, &x->auth_method, &x->auth_data);
}

// --- the client

// RFC 5998 3: we would be content with EAP alone.
void eap_offer(struct sa *sa, struct draft *draft)
{
    if (!eap_is_due(sa) || sa->conn->remote[0].auth != AUTH_CLASS_EAP) return;
    draft_notify(draft, NOTIFY_EAP_ONLY_AUTHENTICATION, BYTES_NONE);
    sa->handshake->eap.is_offered = true;
}

// Is the response what was asked for? RFC 5998 3: without AUTH only where EAP alone was offered.
enum fault eap_read_first(struct exchange *x)
{
    const struct sa *sa = x->sa;
    bool eap = message_first(&x->in, PAYLOAD_EAP), auth = message_first(&x->in, PAYLOAD_AUTH);
    if (eap && !x->asks_eap) return FAULT_EAP_UNASKED;
    if (auth || sa->handshake->remote_stops || (eap && sa->handshake->eap.is_offered)) return OK;
    return exchange_why(x, FAULT_AUTH_METHOD, "it does not prove itself at all");
}

enum fault eap_relay(struct exchange *x)
{
    const struct payload *payload = message_first(&x->in, PAYLOAD_EAP);
    if (eap_is_through(x->sa) == (payload != NULL)) return FAULT_EAP_ORDER;
    if (!payload) return last_auth_read(x);
    TRY(eap_read(x, payload->body, &x->eap_code));
    if (x->eap_code == EAP_FAILURE) return FAULT_EAP_FAILED;
    login_wait(x, IKE_LOGIN_MESSAGE, payload->body);
    return OK;
}

enum fault eap_relayed(struct exchange *x, struct ike_answer *answer)
{
    bool success = x->eap_code == EAP_SUCCESS;
    if (success != (answer->login == IKE_LOGIN_DONE))
        return exchange_why(x, FAULT_EAP_ORDER,
                            success ? "Success came before the method's end"
                                    : "the method ended without Success");
    if (success) return eap_take(x, answer);
    x->eap_out = arena_copy(&x->sa->ike->arena, answer->data); // sent in this step
    return OK;
}

enum fault eap_ask(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    eap_write(x, &draft);
    request(x, &draft);
    return OK;
}

// --- the gateway

// The first request came without AUTH. RFC 5998 3: by EAP alone only if the client has offered it.
enum fault eap_begin(struct exchange *x)
{
    struct notify notify;
    if (!x->wants_eap) return OK;
    TRY(rounds_check(x));
    bool only = x->sa->conn->local[0].auth == AUTH_CLASS_EAP;
    if (only && !message_notify(&x->in, NOTIFY_EAP_ONLY_AUTHENTICATION, &notify))
        return FAULT_EAP_ONLY_PEER;
    login_wait(x, IKE_LOGIN_BEGIN, BYTES_NONE);
    return OK;
}

enum fault eap_begun(struct exchange *x, struct ike_answer *answer)
{
    x->eap_out = arena_copy(&x->arena, answer->data);
    return answer->login == IKE_LOGIN_GOES_ON ? OK : FAULT_EAP_LOGIN;
}

enum fault eap_take_message(struct exchange *x)
{
    const struct payload *payload = message_first(&x->in, PAYLOAD_EAP);
    if (eap_is_through(x->sa)) return FAULT_EAP_ORDER;
    TRY(eap_read(x, payload->body, &x->eap_code));
    login_wait(x, IKE_LOGIN_MESSAGE, payload->body);
    return OK;
}

enum fault eap_message_taken(struct exchange *x, struct ike_answer *answer)
{
    enum fault fault = answer->fault;
    if (!fault && answer->login == IKE_LOGIN_DONE) fault = eap_take(x, answer);
    x->eap_failed = fault != OK;
    x->eap_out = arena_copy(&x->arena, answer->data);
    return fault;
}

// A login takes its time; while the client goes on it is not given up.
enum fault eap_respond(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct draft draft;
    draft_begin(sa->ike, &draft);
    eap_write(x, &draft);
    respond(x, &draft);
    sa_set_timer(sa, TIMER_HALF_OPEN, sa->ike->now + sa->ike->settings.half_open_timeout);
    return OK;
}

enum fault eap_read_auth(struct exchange *x)
{
    if (!eap_is_through(x->sa)) return FAULT_EAP_ORDER;
    return last_auth_read(x);
}

// The proof with the key of the login; by EAP alone it is our only one.
void eap_write_auth(struct exchange *x, struct draft *draft)
{
    struct sa *sa = x->sa;
    auth_write_payload(draft_open(draft, PAYLOAD_AUTH), x->auth_method, x->auth_data);
    draft_close(draft);
    if (local_is_due(sa)) sa->handshake->local_done++;
}
