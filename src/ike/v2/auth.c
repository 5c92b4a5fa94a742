// SPDX-License-Identifier: Apache-2.0
// IKE_AUTH (RFC 7296 1.2, 2.15, 2.16): both ends prove who they are, and the first child is made
// with it.
//
//     initiator                                                            responder
//     HDR, SK{IDi, [CERT,] [CERTREQ,] [IDr,] AUTH, [CP,] SAi2, TSi, TSr}  -->
//                                   <--  HDR, SK{IDr, [CERT,] AUTH, [CP,] SAr2, TSi, TSr}
//
// What is signed: the first message of the signer | the other side's nonce | prf(SK_p, ID payload),
// and the sum of all IKE_INTERMEDIATEs if there were any
#include "ike/internal.h"
#include <stdio.h>

// --- what both sides do

static struct bytes sk_p(const struct sa *sa, bool of_initiator)
{
    const struct handshake *handshake = sa->handshake;
    return secret_bytes(of_initiator ? &handshake->sk_pi : &handshake->sk_pr);
}

static struct auth_octets octets_of(const struct sa *sa, bool ours)
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

static enum fault rounds_check(struct exchange *x)
{
    const struct conn *conn = x->sa->conn;
    bool simple = conn->local_rounds == 1 && conn->remote_rounds == 1 &&
                  conn->local[0].auth <= AUTH_CLASS_PSK;
    return simple ? OK : FAULT_AUTH_ROUNDS;
}

// The body of our ID payload, which is signed and sent.
static void own_id_set(struct sa *sa)
{
    struct identity id = own_identity(sa, &sa->ike->arena);
    uint8_t space[IDENTITY_SIZE_MAX + 8];
    struct wr out = wr_over(space, sizeof space);
    id_write(&out, &id);
    identity_free(&sa->local_id);
    sa->local_id = identity_copy(&id);
    mem_drop(&sa->handshake->id_local);
    sa->handshake->id_local = mem_copy(wr_done(&out));
}

static enum fault auth_prove(struct exchange *x)
{
    struct sa *sa = x->sa;
    const struct auth_conf *auth = &sa->conn->local[0];
    TRY(rounds_check(x));
    own_id_set(sa);
    struct ike_operation *operation = exchange_wait(x, IKE_OP_PROVE);
    operation->prove.kind = auth->auth == AUTH_CLASS_PSK ? IKE_PROVE_MAC : IKE_PROVE_SIGN;
    operation->prove.octets = octets_of(sa, true);
    operation->prove.auth = auth;
    operation->prove.hashes = sa->handshake->peer_hashes;
    operation->prove.local = sa->local_id;
    operation->prove.remote = sa->remote_id.type ? sa->remote_id : sa->conn->remote[0].id;
    operation->prove.local_addr = sa->path.local.addr;
    operation->prove.remote_addr = sa->path.remote.addr;
    return OK;
}

// Once with the keys as they are, before a post-quantum pre-shared key goes into them.
static enum fault auth_prove_without(struct exchange *x)
{
    return ppk_wants_two_proofs(x->sa) ? auth_prove(x) : OK;
}

static enum fault auth_proved(struct exchange *x, struct ike_answer *answer)
{
    x->auth_method = answer->method;
    x->auth_data = arena_copy(&x->arena, answer->data);
    x->sa->bits |= SELF_PROVED;
    return OK;
}

static enum fault auth_proved_without(struct exchange *x, struct ike_answer *answer)
{
    TRY(auth_proved(x, answer));
    return ppk_proved_without(x);
}

static void certs_write(const struct sa *sa, struct draft *draft)
{
    const struct auth_conf *auth = &sa->conn->local[0];
    bool wanted = sa->conn->send_cert == CERT_ALWAYS ||
                  (sa->conn->send_cert == CERT_IF_ASKED && sa->bits & CERT_WANTED);
    if (!wanted || auth->auth == AUTH_CLASS_PSK) return;
    for (unsigned i = 0; i < auth->cert_count; i++) {
        cert_write(draft_open(draft, PAYLOAD_CERT), CERT_X509_SIGNATURE, auth->certs[i].der);
        draft_close(draft);
    }
}

static void auth_payload_write(const struct exchange *x, struct draft *draft)
{
    auth_write_payload(draft_open(draft, PAYLOAD_AUTH), x->auth_method, x->auth_data);
    draft_close(draft);
}

// RFC 7296 3.6: the first certificate is the one whose key signs; the order of the others does not
// matter.
static void certs_read(struct exchange *x)
{
    for (size_t i = 0; i < x->in.payloads->count && x->cert_count < CERTS_MAX; i++) {
        const struct payload *payload = &x->in.payloads->at[i];
        uint8_t encoding;
        struct bytes data;
        if (payload->type != PAYLOAD_CERT || cert_read(payload->body, &encoding, &data) != OK)
            continue;
        if (encoding == CERT_X509_SIGNATURE) x->certs[x->cert_count++] = data;
    }
}

static enum fault proof_read(struct exchange *x, uint8_t id_type)
{
    struct sa *sa = x->sa;
    struct identity id;
    const struct payload *id_payload = message_first(&x->in, id_type),
                         *auth = message_first(&x->in, PAYLOAD_AUTH);
    if (!id_payload) return FAULT_PAYLOAD_MISSING;
    TRY(id_read(id_payload->body, &id));
    if (!auth)
        return exchange_why(x, FAULT_AUTH_METHOD, "%s wants EAP, which is not supported yet",
                            identity_text(sa->ike, &id));
    TRY(auth_read_payload(auth->body, &x->auth_method, &x->auth_data));
    certs_read(x);
    mem_drop(&sa->handshake->id_remote);
    sa->handshake->id_remote = mem_copy(id_payload->body);
    identity_free(&sa->remote_id);
    sa->remote_id = identity_copy(&id);
    return OK;
}

static void prove_check(struct exchange *x)
{
    const struct sa *sa = x->sa;
    struct ike_operation *operation = exchange_wait(x, IKE_OP_PROVE);
    operation->prove.kind = IKE_PROVE_MAC_CHECK;
    operation->prove.octets = octets_of(sa, false);
    operation->prove.auth = &sa->conn->remote[0];
    operation->prove.local = sa->local_id.type ? sa->local_id : own_identity(sa, &sa->ike->arena);
    operation->prove.remote = sa->remote_id;
    operation->prove.local_addr = sa->path.local.addr;
    operation->prove.remote_addr = sa->path.remote.addr;
    operation->prove.expected = x->auth_data;
}

static void judge(struct exchange *x)
{
    const struct sa *sa = x->sa;
    struct ike_operation *operation = exchange_wait(x, IKE_OP_JUDGE);
    operation->judge.octets = octets_of(sa, false);
    operation->judge.auth = &sa->conn->remote[0];
    operation->judge.id = sa->remote_id;
    operation->judge.method = x->auth_method;
    operation->judge.data = x->auth_data;
    operation->judge.certs = x->certs;
    operation->judge.cert_count = x->cert_count;
    operation->judge.hashes =
        1u << HASH_SHA2_256 | 1u << HASH_SHA2_384 | 1u << HASH_SHA2_512 | 1u << HASH_IDENTITY;
}

static enum fault auth_judge_peer(struct exchange *x)
{
    TRY(rounds_check(x));
    if (!auth_class_allows(&x->sa->conn->remote[0], x->auth_method)) return FAULT_AUTH_METHOD;
    if (x->auth_method == AUTH_PSK)
        prove_check(x);
    else
        judge(x);
    return OK;
}

static enum fault auth_peer_judged(struct exchange *x, struct ike_answer *answer)
{
    struct sa *sa = x->sa;
    const char *scheme = x->auth_method == AUTH_PSK ? "pre-shared key"
                         : answer->scheme           ? answer->scheme
                                                    : "signature";
    snprintf(sa->peer_scheme, sizeof sa->peer_scheme, "%s", scheme);
    sa->bits |= PEER_AUTHENTICATED;
    return OK;
}

// Both ends are proved: from here on the SA is there, whatever becomes of the child.
static void established(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct ike *ike = sa->ike;
    uint32_t command = sa->handshake->command;
    sa->handshake->command = 0;
    sa_established(sa);
    report(ike, (struct subject){.sa = sa, .command = command}, IKE_INFO, OK,
           "IKE SA established with %s [%s] (%s), authenticated by %s",
           endpoint_text(ike, &sa->path.remote), identity_text(ike, &sa->remote_id),
           suite_text(ike, &sa->suite), sa->peer_scheme);
    event(ike, (struct ike_event){.kind = IKE_EVENT_IKE_UP, .ike_id = sa->id});
    command_done(ike, command, OK, NULL);
}

static void child_failed_report(struct exchange *x)
{
    struct sa *sa = x->sa;
    const char *name = x->child                   ? x->child->conf->name
                       : x->task && x->task->conf ? x->task->conf->name
                                                  : NULL;
    struct subject subject = {.sa = sa, .child = name, .command = x->task ? x->task->command : 0};
    report(sa->ike, subject, IKE_ERROR, x->child_fault, "IKE SA is up without a child: %s%s%s",
           fault_sentence(x->child_fault), x->child_why ? ": " : "",
           x->child_why ? x->child_why : "");
    if (x->child_fault == FAULT_NO_PROPOSAL_CHOSEN || x->child_fault == FAULT_PEER_NO_PROPOSAL)
        alert(sa->ike, sa, "proposal-mismatch-child");
    if (x->child_fault == FAULT_TS_UNACCEPTABLE || x->child_fault == FAULT_PEER_TS_UNACCEPTABLE)
        alert(sa->ike, sa, "ts-mismatch");
    if (x->child_fault == FAULT_POOLS_EXHAUSTED || x->child_fault == FAULT_POOLS_NONE ||
        x->child_fault == FAULT_PEER_ADDRESS)
        alert(sa->ike, sa, "vip-failure");
    alert(sa->ike, sa, "keep-on-child-sa-failure");
}

static enum fault first_child_keys(const struct exchange *x, struct secret *keymat)
{
    const struct handshake *handshake = x->sa->handshake;
    struct bytes ni = bytes_of(handshake->ni, handshake->ni_size),
                 nr = bytes_of(handshake->nr, handshake->nr_size);
    return keymat_child(x->sa, &x->suite, BYTES_NONE, ni, nr, BYTES_NONE, keymat);
}

// --- ask

// Which child comes with it: the first that waits. None: the IKE SA alone (RFC 6023).
static enum fault auth_take_child(struct exchange *x)
{
    struct sa *sa = x->sa;
    LIST_EACH (struct task, link, task, &sa->tasks) {
        if (task->kind != TASK_CHILD) continue;
        list_remove(&task->link);
        sa->task_count--;
        x->task = task;
        x->child = child_new(sa, task->conn, task->conf);
        return OK;
    }
    if (!(sa->bits & PEER_CHILDLESS)) return FAULT_CHILDLESS_UNSUPPORTED;
    return OK;
}

// Whom we want to speak to: only said when it is one identity and not a pattern.
static bool is_one_identity(const struct identity *id)
{
    return id->type && !id->regex &&
           !memchr(id->bytes.at ? id->bytes.at : (const uint8_t *)"", '*', id->bytes.size);
}

// RFC 7296 2.4: this host knows of no other SA with the peer, so the peer may drop what it still
// has.
static void initial_contact_write(struct sa *sa, struct draft *draft)
{
    const struct identity *remote = &sa->conn->remote[0].id;
    if (sa->conn->unique == UNIQUE_NEVER || sa->reauth_of || !is_one_identity(remote)) return;
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
    draft_bytes(&draft, PAYLOAD_IDI, sa->handshake->id_local);
    certs_write(sa, &draft);
    initial_contact_write(sa, &draft);
    certreq_write(sa, &draft, 4096);
    if (is_one_identity(remote)) {
        id_write(draft_open(&draft, PAYLOAD_IDR), remote);
        draft_close(&draft);
    }
    auth_payload_write(x, &draft);
    ppk_write(sa, &draft);
    config_offer(x, &draft);
    if (x->child) child_offer(x, &draft, x->task->flow, PROPOSAL_WITHOUT_KE);
    request(x, &draft);
    return OK;
}

// --- conclude

static enum fault auth_heed(struct exchange *x)
{
    struct notify notify;
    if (!message_error(&x->in, &notify) || message_first(&x->in, PAYLOAD_AUTH)) return OK;
    const char *name = iana_notify_name(notify.type);
    return exchange_why(x, notify_fault(notify.type), "it answers %s (%u)",
                        name ? name : "an error", notify.type);
}

static enum fault auth_read_answer(struct exchange *x)
{
    TRY(proof_read(x, PAYLOAD_IDR));
    const struct identity *pattern = &x->sa->conn->remote[0].id;
    if (identity_matches(pattern, &x->sa->remote_id)) return OK;
    const char *hint = identity_hint(pattern, &x->sa->remote_id);
    return exchange_why(x, FAULT_IDENTITY_OTHER, "it is %s, not %s%s%s",
                        identity_text(x->sa->ike, &x->sa->remote_id),
                        identity_text(x->sa->ike, pattern), *hint ? "; " : "", hint);
}

// The child may have failed while the rest is good (RFC 7296 2.21.2).
static enum fault auth_agree_child(struct exchange *x)
{
    struct notify notify;
    TRY(config_agree(x));
    if (!x->child || x->child_fault) return OK;
    bool complete = message_first(&x->in, PAYLOAD_SA) && message_first(&x->in, PAYLOAD_TSI) &&
                    message_first(&x->in, PAYLOAD_TSR);
    if (message_error(&x->in, &notify))
        x->child_fault = notify_fault(notify.type);
    else if (!complete)
        x->child_fault = FAULT_PAYLOAD_MISSING;
    else
        x->child_fault = child_agree(x, PROPOSAL_WITHOUT_KE);
    return OK;
}

// RFC 7296 3.15.4: whoever lacks the address that it must have may close the IKE SA. A child made
// in it later would use another address, and a new IKE SA is what asks again.
static void close_without_address(struct sa *sa)
{
    LIST_EACH (struct task, link, task, &sa->tasks) {
        if (task->kind != TASK_CHILD) continue;
        task_failed(sa, task, FAULT_PEER_ADDRESS, NULL);
        task_drop(sa, task);
    }
    report(sa->ike, ABOUT_SA(sa), IKE_ERROR, FAULT_PEER_ADDRESS, "IKE SA is closed: %s",
           fault_sentence(FAULT_PEER_ADDRESS));
    task_add(sa, TASK_DELETE_IKE);
}

static enum fault auth_go_on(struct exchange *x)
{
    struct sa *sa = x->sa;
    SECRET(keymat);
    if (x->child && !x->child_fault) x->child_fault = first_child_keys(x, &keymat);
    established(x);
    if (x->child && x->child_fault) {
        child_failed_report(x);
        task_failed(sa, x->task, x->child_fault, x->child_why);
        child_abandon(x);
    } else if (x->child) {
        child_install(x, &keymat, INSTALL_BOTH);
        task_done(sa, x->task);
    }
    if (sa->conn->vip_count && !sa->vip_count) close_without_address(sa);
    return OK;
}

static const struct step auth_ask_steps[] = {
    WAIT(auth_prove_without, auth_proved_without), // waits: PROVE, where a PPK is optional
    WAIT(ppk_ask_mix, ppk_ask_mixed),              // waits: PPK
    WAIT(auth_prove, auth_proved),                 // waits: PROVE
    STEP(auth_take_child),
    STEP(auth_ask),
    END,
};
static const struct step auth_conclude_steps[] = {
    STEP(auth_heed),
    STEP(ppk_heed),
    STEP(auth_read_answer),                  // all payloads decoded, none believed yet
    WAIT(auth_judge_peer, auth_peer_judged), // waits: JUDGE, or PROVE for a PSK's MAC
    STEP(auth_agree_child),
    STEP(auth_go_on),
    END,
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
    if (intermediate_is_due(x->sa)) return FAULT_KE_ROUND;
    x->sa->path = x->in.path; // RFC 7296 2.23: the initiator may have changed ports
    if (message_first(&x->in, PAYLOAD_CERTREQ)) x->sa->bits |= CERT_WANTED;
    if (wanted) TRY(id_read(wanted->body, &x->wanted_id));
    return proof_read(x, PAYLOAD_IDI);
}

static enum fault auth_find_connection(struct exchange *x)
{
    return conn_by_identities(x, &x->sa->remote_id, x->auth_method);
}

static enum fault auth_accept_peer(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct notify notify;
    own_id_set(sa);
    return admit_peer(x, message_notify(&x->in, NOTIFY_INITIAL_CONTACT, &notify));
}

// What fails in these two fails the child only (RFC 7296 2.21.2).
static enum fault auth_assign(struct exchange *x)
{
    x->child_fault = config_assign(x);
    // RFC 7296 2.21.2: what cannot be read is not a matter of the child alone.
    if (fault_notify(x->child_fault) == NOTIFY_INVALID_SYNTAX) return x->child_fault;
    x->child_why = x->why;
    x->why = NULL;
    return OK;
}

static enum fault auth_choose_child(struct exchange *x)
{
    bool complete = message_first(&x->in, PAYLOAD_SA) && message_first(&x->in, PAYLOAD_TSI) &&
                    message_first(&x->in, PAYLOAD_TSR);
    if (!complete) return x->sa->conn->childless == CHILDLESS_NEVER ? FAULT_PAYLOAD_MISSING : OK;
    if (x->child_fault) return OK;
    x->why = NULL;
    x->child_fault = x->sa->conn->childless == CHILDLESS_FORCE
                         ? FAULT_CHILD_UNWANTED
                         : child_choose(x, NULL, PROPOSAL_WITHOUT_KE);
    x->child_why = x->why;
    x->why = NULL;
    return OK;
}

static enum fault auth_answer_write(struct exchange *x)
{
    struct sa *sa = x->sa;
    SECRET(keymat);
    struct draft draft;
    if (x->child && !x->child_fault) x->child_fault = first_child_keys(x, &keymat);
    draft_begin(sa->ike, &draft);
    draft_bytes(&draft, PAYLOAD_IDR, sa->handshake->id_local);
    certs_write(sa, &draft);
    auth_payload_write(x, &draft);
    ppk_answer(sa, &draft);
    config_answer(x, &draft);
    if (x->child_fault)
        draft_fault(&draft, x, x->child_fault);
    else if (x->child)
        child_write_answer(x, &draft);
    respond(x, &draft);
    established(x);
    sa_unconfirmed(sa);
    if (x->child_fault)
        child_failed_report(x);
    else if (x->child)
        child_install(x, &keymat, INSTALL_BOTH);
    return OK;
}

static const struct step auth_answer_steps[] = {
    STEP(auth_read),                         // all payloads decoded, none believed yet
    STEP(auth_find_connection),              // by IDi, IDr, address, method
    WAIT(ppk_choose, ppk_chosen),            // waits: PPK
    WAIT(auth_judge_peer, auth_peer_judged), // waits: JUDGE, or PROVE for a PSK's MAC
    STEP(auth_accept_peer),                  // initial contact, uniqueness
    WAIT(auth_prove, auth_proved),           // waits: PROVE
    STEP(auth_assign),                       // virtual addresses
    STEP(auth_choose_child),                 // proposal and selectors of the first child
    STEP(auth_answer_write),
    END,
};
const struct recipe auth_answer = {"IKE_AUTH", FAILURE_ENDS_SA, auth_answer_steps, NULL};
