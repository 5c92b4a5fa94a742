// SPDX-License-Identifier: Apache-2.0
// The proofs of IKE_AUTH (RFC 7296 2.15): ours made, the peer's judged. Each belongs to a round of
// its side (RFC 4739); what is signed is, in every round,
//
//     the first message of the signer | the other side's nonce | prf(SK_p, this round's ID payload)
//
// and the sum of all IKE_INTERMEDIATEs if there were any. A key or secret is somebody else's: PROVE
// and JUDGE ask for what needs one. NULL authentication (RFC 7619) needs none.
#include "ike/internal.h"
#include "ike/v2/auth.h"
#include <stdio.h>

// --- rounds

bool local_is_due(const struct sa *sa)
{
    return sa->handshake->local_done < sa->conn->local_rounds;
}

const struct auth_conf *local_round(const struct sa *sa)
{
    unsigned done = sa->handshake ? sa->handshake->local_done : 0;
    return &sa->conn->local[done < sa->conn->local_rounds ? done : 0];
}

const struct auth_conf *remote_round(const struct sa *sa)
{
    unsigned done = sa->handshake ? sa->handshake->remote_done : 0;
    return &sa->conn->remote[done < sa->conn->remote_rounds ? done : 0];
}

static bool class_is_done(uint8_t class)
{
    return class <= AUTH_CLASS_EAP || class == AUTH_CLASS_NULL;
}

// RFC 4739 2.1: further rounds are only for peers that have said to know of them.
enum fault rounds_check(struct exchange *x)
{
    const struct sa *sa = x->sa;
    const struct conn *conn = sa->conn;
    for (unsigned i = 0; i < conn->local_rounds; i++)
        if (!class_is_done(conn->local[i].auth)) return FAULT_AUTH_UNSUPPORTED;
    for (unsigned i = 0; i < conn->remote_rounds; i++)
        if (!class_is_done(conn->remote[i].auth)) return FAULT_AUTH_UNSUPPORTED;
    bool several = conn->local_rounds > 1 || conn->remote_rounds > 1;
    if (several && !(sa->bits & PEER_ROUNDS))
        return exchange_why(x, FAULT_AUTH_ROUNDS_PEER, "connection %s has %u local and %u remote",
                            conn->name, conn->local_rounds, conn->remote_rounds);
    return eap_check_rounds(x);
}

// --- what is signed

static struct bytes sk_p(const struct sa *sa, bool of_initiator)
{
    const struct handshake *handshake = sa->handshake;
    return secret_bytes(of_initiator ? &handshake->sk_pi : &handshake->sk_pr);
}

struct auth_octets octets_of(const struct sa *sa, bool ours)
{
    const struct handshake *handshake = sa->handshake;
    bool of_initiator = ours == sa->initiator;
    return (struct auth_octets){
        .prf = sa->suite.prf,
        .message = ours ? handshake->own_init : handshake->peer_init,
        .nonce = of_initiator ? bytes_of(handshake->nr, handshake->nr_size)
                              : bytes_of(handshake->ni, handshake->ni_size),
        .sk_p = sk_p(sa, of_initiator),
        .id_body = ours ? handshake->id_local : handshake->id_remote,
        .int_auth = int_auth(sa),
    };
}

// RFC 7296 2.15: AUTH = prf(prf(shared key, "Key Pad for IKEv2"), octets).
enum fault keyed_auth(const struct auth_octets *octets, struct bytes key, struct secret *out)
{
    SECRET(id_mac);
    SECRET(pad);
    TRY(prf(octets->prf, octets->sk_p, PIECES(octets->id_body), &id_mac));
    TRY(prf(octets->prf, key, PIECES(BYTES("Key Pad for IKEv2")), &pad));
    return prf(octets->prf, secret_bytes(&pad),
               PIECES(octets->message, octets->nonce, secret_bytes(&id_mac), octets->int_auth),
               out);
}

// --- ours

// The body of our ID payload, which is signed and sent.
static void own_id_set(struct sa *sa)
{
    struct identity id = own_identity(sa, &sa->ike->arena);
    uint8_t space[IDENTITY_SIZE_MAX + 8];
    struct wr out = wr_over(space, sizeof space);
    id_write(&out, &id);
    struct identity copy = identity_copy(&id); // it may be the one that is let go
    identity_free(&sa->local_id);
    sa->local_id = copy;
    mem_drop(&sa->handshake->id_local);
    sa->handshake->id_local = mem_copy(wr_done(&out));
}

// RFC 7619 2.1: with NULL authentication SK_p is the shared key, so that AUTH still ties the
// messages of this exchange to the first ones.
static enum fault prove_null(struct exchange *x)
{
    struct auth_octets octets = octets_of(x->sa, true);
    SECRET(auth);
    TRY(keyed_auth(&octets, octets.sk_p, &auth));
    x->auth_method = AUTH_NULL;
    x->auth_data = arena_copy(&x->arena, secret_bytes(&auth));
    return OK;
}

static enum fault prove_resumed(struct exchange *x)
{
    own_id_set(x->sa);
    struct auth_octets octets = octets_of(x->sa, true);
    return resume_prove(x, &octets);
}

// It came with the check of the peer's, for the identity that it turned out to be.
static bool own_mac_is_there(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (!x->own_mac.size || !bytes_equal(x->own_id, sa->handshake->id_local)) return false;
    x->auth_method = AUTH_PSK;
    x->auth_data = x->own_mac;
    sa->bits |= SELF_PROVED;
    return true;
}

enum fault auth_prove(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (eap_is_through(sa)) return eap_prove(x);
    if (!local_is_due(sa)) return OK;
    if (is_resumed(sa)) return prove_resumed(x);
    TRY(rounds_check(x));
    own_id_set(sa);
    const struct auth_conf *auth = local_round(sa);
    if (auth->auth == AUTH_CLASS_EAP) return OK; // when the login is through
    if (auth->auth == AUTH_CLASS_NULL) return prove_null(x);
    if (auth->auth == AUTH_CLASS_PSK && own_mac_is_there(x)) return OK;
    struct ike_operation *operation = exchange_wait(x, IKE_OP_PROVE);
    operation->prove.kind = auth->auth == AUTH_CLASS_PSK ? IKE_PROVE_MAC : IKE_PROVE_SIGN;
    operation->prove.octets = octets_of(sa, true);
    operation->prove.auth = auth;
    operation->prove.hashes = sa->handshake->peer_hashes;
    operation->prove.local = sa->local_id;
    operation->prove.remote = sa->remote_id.type ? sa->remote_id : remote_round(sa)->id;
    operation->prove.local_addr = sa->path.local.addr;
    operation->prove.remote_addr = sa->path.remote.addr;
    return OK;
}

enum fault auth_proved(struct exchange *x, struct ike_answer *answer)
{
    x->auth_method = answer->method;
    x->auth_data = arena_copy(&x->arena, answer->data);
    x->sa->bits |= SELF_PROVED;
    return OK;
}

static void cert_add(struct draft *draft, uint8_t encoding, struct bytes data)
{
    cert_write(draft_open(draft, PAYLOAD_CERT), encoding, data);
    draft_close(draft);
}

// RFC 7670 3: a raw key is its subjectPublicKeyInfo. Peers that have it anyway need not ask for it.
static void certs_write(const struct sa *sa, struct draft *draft)
{
    const struct auth_conf *auth = local_round(sa);
    // RFC 5723 4.3.3: a resumed session takes no certificate along.
    if (is_resumed(sa)) return;
    bool always = sa->conn->send_cert == CERT_ALWAYS,
         if_asked = sa->conn->send_cert == CERT_IF_ASKED;
    if (auth->auth != AUTH_CLASS_PUBKEY && auth->auth != AUTH_CLASS_ANY) return;
    if (auth->cert_count == 0 && auth->pubkey_count &&
        (always || (if_asked && sa->bits & RAW_KEY_WANTED)))
        cert_add(draft, CERT_RAW_KEY, auth->pubkeys[0].der);
    if (!always && !(if_asked && sa->bits & CERT_WANTED)) return;
    for (unsigned i = 0; i < auth->cert_count; i++)
        cert_add(draft, CERT_X509_SIGNATURE, auth->certs[i].der);
    // RFC 4945 3.3: the CAs in between go along, as a peer need not have more than the root.
    for (unsigned i = 0; i < auth->above_count; i++)
        cert_add(draft, CERT_X509_SIGNATURE, auth->above[i]);
}

void proof_write(struct exchange *x, struct draft *draft, uint8_t id_type)
{
    draft_bytes(draft, id_type, x->sa->handshake->id_local);
    certs_write(x->sa, draft);
}

// RFC 4739 2.1: whoever has more to prove says so beside AUTH.
void proof_write_auth(struct exchange *x, struct draft *draft)
{
    struct sa *sa = x->sa;
    auth_write_payload(draft_open(draft, PAYLOAD_AUTH), x->auth_method, x->auth_data);
    draft_close(draft);
    sa->handshake->local_done++;
    if (local_is_due(sa)) draft_notify(draft, NOTIFY_ANOTHER_AUTH_FOLLOWS, BYTES_NONE);
}

// --- the peer's

// RFC 7296 3.6: the first certificate is the one whose key signs; the order of the others does not
// matter.
static void certs_read(struct exchange *x)
{
    x->cert_count = 0;
    x->raw_key = BYTES_NONE;
    for (size_t i = 0; i < x->in.payloads->count && x->cert_count < CERTS_MAX; i++) {
        const struct payload *payload = &x->in.payloads->at[i];
        uint8_t encoding;
        struct bytes data;
        if (payload->type != PAYLOAD_CERT || cert_read(payload->body, &encoding, &data) != OK)
            continue;
        if (encoding == CERT_X509_SIGNATURE) x->certs[x->cert_count++] = data;
        if (encoding == CERT_RAW_KEY && !x->raw_key.size) x->raw_key = data;
    }
}

enum fault proof_read(struct exchange *x, uint8_t id_type)
{
    struct sa *sa = x->sa;
    struct identity id;
    struct notify notify;
    const struct payload *id_payload = message_first(&x->in, id_type),
                         *auth = message_first(&x->in, PAYLOAD_AUTH);
    if (!id_payload) return FAULT_PAYLOAD_MISSING;
    TRY(id_read(id_payload->body, &id));
    // RFC 7296 2.16: by leaving AUTH out the peer asks for EAP.
    x->wants_eap = !auth;
    x->auth_method = AUTH_NONE;
    if (auth) TRY(auth_read_payload(auth->body, &x->auth_method, &x->auth_data));
    x->another_follows = message_notify(&x->in, NOTIFY_ANOTHER_AUTH_FOLLOWS, &notify);
    certs_read(x);
    mem_drop(&sa->handshake->id_remote);
    sa->handshake->id_remote = mem_copy(id_payload->body);
    identity_free(&sa->remote_id);
    sa->remote_id = identity_copy(&id);
    if (!sa->handshake->remote_done) {
        identity_free(&sa->handshake->first_id);
        sa->handshake->first_id = identity_copy(&id);
    }
    return OK;
}

// The peer's MAC is checked, and then ours is made by the same secret: both are one question.
static bool own_mac_is_next(const struct exchange *x)
{
    const struct sa *sa = x->sa;
    return x->part == PART_ANSWER && !sa->local_id.type && local_is_due(sa) &&
           local_round(sa)->auth == AUTH_CLASS_PSK;
}

static void own_mac_ask(struct exchange *x, struct ike_operation *operation)
{
    struct sa *sa = x->sa;
    uint8_t space[IDENTITY_SIZE_MAX + 8];
    struct wr out = wr_over(space, sizeof space);
    id_write(&out, &operation->prove.local);
    x->own_id = arena_copy(&x->arena, wr_done(&out));
    operation->prove.own = octets_of(sa, true);
    operation->prove.own.id_body = x->own_id;
}

static void prove_check(struct exchange *x)
{
    const struct sa *sa = x->sa;
    struct ike_operation *operation = exchange_wait(x, IKE_OP_PROVE);
    operation->prove.kind = IKE_PROVE_MAC_CHECK;
    operation->prove.octets = octets_of(sa, false);
    operation->prove.auth = remote_round(sa);
    operation->prove.local = sa->local_id.type ? sa->local_id : own_identity(sa, &sa->ike->arena);
    operation->prove.remote = sa->remote_id;
    operation->prove.local_addr = sa->path.local.addr;
    operation->prove.remote_addr = sa->path.remote.addr;
    operation->prove.expected = x->auth_data;
    if (own_mac_is_next(x)) own_mac_ask(x, operation);
}

static void judge(struct exchange *x)
{
    const struct sa *sa = x->sa;
    struct ike_operation *operation = exchange_wait(x, IKE_OP_JUDGE);
    operation->judge.octets = octets_of(sa, false);
    operation->judge.auth = remote_round(sa);
    operation->judge.id = sa->remote_id;
    operation->judge.method = x->auth_method;
    operation->judge.data = x->auth_data;
    operation->judge.certs = x->certs;
    operation->judge.cert_count = x->cert_count;
    operation->judge.raw_key = x->raw_key;
    operation->judge.hashes =
        1u << HASH_SHA2_256 | 1u << HASH_SHA2_384 | 1u << HASH_SHA2_512 | 1u << HASH_IDENTITY;
}

// --- judged

static void scheme_add(struct sa *sa, const char *scheme)
{
    size_t used = strlen(sa->peer_scheme);
    snprintf(sa->peer_scheme + used, sizeof sa->peer_scheme - used, "%s%s", used ? " + " : "",
             scheme);
}

// The peer's round is good. Has it said that another one comes, and do we want one?
enum fault peer_accept(struct exchange *x, const char *scheme)
{
    struct sa *sa = x->sa;
    struct handshake *handshake = sa->handshake;
    scheme_add(sa, scheme);
    handshake->remote_done++;
    handshake->remote_stops = !x->another_follows;
    bool wanted = handshake->remote_done < sa->conn->remote_rounds;
    if (wanted == handshake->remote_stops)
        return exchange_why(x, FAULT_AUTH_ROUNDS,
                            "it proves itself in %u round%s%s, connection %s "
                            "wants %u",
                            handshake->remote_done, handshake->remote_done == 1 ? "" : "s",
                            wanted ? "" : " and more", sa->conn->name, sa->conn->remote_rounds);
    if (handshake->remote_stops) sa->bits |= PEER_AUTHENTICATED;
    return OK;
}

// RFC 7619 2.2: the identity that came with it is worth nothing and is only told.
static enum fault judge_null(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct auth_octets octets = octets_of(sa, false);
    SECRET(wanted);
    TRY(keyed_auth(&octets, octets.sk_p, &wanted));
    if (!bytes_equal_secret(secret_bytes(&wanted), x->auth_data)) return FAULT_NULL_AUTH_WRONG;
    if (sa->remote_id.type != ID_NULL)
        report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK,
               "the peer says without proof that it is %s, which does not count",
               identity_text(sa->ike, &sa->remote_id));
    identity_free(&sa->remote_id);
    sa->remote_id = (struct identity){.type = ID_NULL};
    sa->bits |= PEER_UNKNOWN;
    return peer_accept(x, "nothing (NULL)");
}

static enum fault judge_resumed(struct exchange *x)
{
    struct auth_octets octets = octets_of(x->sa, false);
    TRY(resume_judge(x, &octets));
    return peer_accept(x, x->sa->handshake->ticket->scheme);
}

// RFC 5998 3: a gateway that signs though we would do without it is judged all the same; and RFC
// 7296 2.16: whom we log in to, it signs.
static bool is_allowed(const struct exchange *x)
{
    static const struct auth_conf signature = {.auth = AUTH_CLASS_PUBKEY};
    const struct auth_conf *round = remote_round(x->sa);
    bool signs = auth_class_allows(&signature, x->auth_method);
    if (!x->asks_eap) return auth_class_allows(round, x->auth_method);
    return signs && (round->auth == AUTH_CLASS_EAP || auth_class_allows(round, x->auth_method));
}

enum fault auth_judge_peer(struct exchange *x)
{
    x->own_id = x->own_mac = BYTES_NONE;
    if (is_resumed(x->sa)) return judge_resumed(x);
    if (eap_is_through(x->sa)) return eap_judge(x);
    if (x->auth_method == AUTH_NONE) return OK; // no round of the peer's is due, or EAP's
    TRY(rounds_check(x));
    if (!is_allowed(x))
        return x->auth_method == AUTH_NULL ? FAULT_NULL_AUTH_UNWANTED : FAULT_AUTH_METHOD;
    if (x->auth_method == AUTH_NULL) return judge_null(x);
    if (x->auth_method == AUTH_PSK)
        prove_check(x);
    else
        judge(x);
    return OK;
}

// The connection was a guess by identity; another one may be meant, with another authority, key or
// kind of signature. What was wrong with the first is what is told when none fits.
static enum fault next_candidate(struct exchange *x, enum fault fault)
{
    struct sa *sa = x->sa;
    const char *name = sa->conn->name;
    if (!x->first_fault) {
        x->first_fault = fault;
        x->first_why = x->why ? arena_text(&x->arena, bytes_of_text(x->why)) : NULL;
    }
    if (x->part != PART_ANSWER || !conn_try_next(x)) {
        x->why = x->first_why;
        return x->first_fault;
    }
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK,
           "connection %s does not fit the peer (%s), %s is tried", name, fault_sentence(fault),
           sa->conn->name);
    x->why = NULL;
    x->next = x->at;
    return OK;
}

enum fault auth_peer_judged(struct exchange *x, struct ike_answer *answer)
{
    if (answer->fault) return next_candidate(x, answer->fault);
    x->first_fault = OK;
    if (x->own_id.size) x->own_mac = arena_copy(&x->arena, answer->data);
    return peer_accept(x, x->auth_method == AUTH_PSK ? "pre-shared key"
                          : answer->scheme           ? answer->scheme
                                                     : "signature");
}
