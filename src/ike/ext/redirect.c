// SPDX-License-Identifier: Apache-2.0
// Redirect (RFC 5685): a gateway sends whoever began an IKE SA with it to another gateway, at three
// times:
//
//     HDR, SAi1, KEi, Ni, N(REDIRECT_SUPPORTED)  -->
//                           <--  HDR, N(REDIRECT)(gateway, Ni)               nothing is kept
//     HDR, SK{IDi, AUTH, SAi2, TSi, TSr}  -->
//                           <--  HDR, SK{IDr, AUTH, N(REDIRECT)(gateway)}    no child is made
//                           <--  HDR, SK{N(REDIRECT)(gateway)}               a session moves
//     HDR, SK{}  -->
//
// The new gateway hears N(REDIRECTED_FROM)(the former one's address). Connection, identities and
// selectors stay what they are: whoever sends a client elsewhere cannot make it trust anybody else.
#include "ike/internal.h"
#include "ike/roam.h"
#include "ike/v2/auth.h"

enum {
    GATEWAY_IPV4 = 1,
    GATEWAY_IPV6 = 2,
    GATEWAY_FQDN = 3,
    GATEWAY_NAME_MAX = 253,
    REDIRECTS_MAX = 5,         // RFC 5685 7: MAX_REDIRECTS …
    LOOP_PERIOD_SECONDS = 300, // … in REDIRECT_LOOP_DETECT_PERIOD
};

// --- on the wire

static void gateway_write(struct wr *out, const char *gateway)
{
    struct addr addr;
    bool is_addr = addr_parse(gateway, &addr) == OK;
    struct bytes body = is_addr ? addr_bytes(&addr) : bytes_of_text(gateway);
    wr_u8(out, !is_addr ? GATEWAY_FQDN : addr.family == ADDR_V4 ? GATEWAY_IPV4 : GATEWAY_IPV6);
    wr_u8(out, (uint8_t)body.size);
    wr_bytes(out, body);
}

// What goes to the resolver is a name of letters, digits, dots and dashes.
static bool is_host_name(struct bytes name)
{
    if (name.size == 0 || name.size > GATEWAY_NAME_MAX || name.at[0] == '-') return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t at = name.at[i], letter = at | 0x20;
        bool good = (letter >= 'a' && letter <= 'z') || (at >= '0' && at <= '9') || at == '-' ||
                    at == '.' || at == '_';
        if (!good) return false;
    }
    return true;
}

// The gateway and the nonce behind it; *name is in the step.
static enum fault gateway_read(struct ike *ike, struct bytes data, const char **name,
                               struct bytes *nonce)
{
    struct rd in = rd_over(data);
    uint8_t type = rd_u8(&in);
    struct bytes body = rd_bytes(&in, rd_u8(&in));
    *nonce = rd_bytes(&in, in.left);
    TRY(rd_end(&in));
    struct addr addr = {0};
    char text[ADDR_TEXT];
    switch (type) {
    case GATEWAY_IPV4:
    case GATEWAY_IPV6:
        if (body.size != (type == GATEWAY_IPV4 ? 4u : 16u) || addr_from_bytes(body, &addr) ||
            addr_is_any(&addr))
            return FAULT_REDIRECT_UNREADABLE;
        *name = arena_text(&ike->arena, bytes_of_text(addr_print(&addr, text)));
        return OK;
    case GATEWAY_FQDN:
        if (!is_host_name(body)) return FAULT_REDIRECT_UNREADABLE;
        *name = arena_text(&ike->arena, body);
        return OK;
    default:
        return FAULT_REDIRECT_UNREADABLE;
    }
}

bool redirect_gateway_is_good(const char *gateway)
{
    struct addr addr;
    return addr_parse(gateway, &addr) == OK || is_host_name(bytes_of_text(gateway));
}

void redirect_write(struct draft *draft, const char *gateway, struct bytes nonce)
{
    uint8_t space[2 + UINT8_MAX + NONCE_SIZE_MAX];
    struct wr out = wr_over(space, sizeof space);
    gateway_write(&out, gateway);
    wr_bytes(&out, nonce);
    draft_notify(draft, NOTIFY_REDIRECT, wr_done(&out));
}

// --- the client

// RFC 5685 3: to a gateway that it was sent to, the client says by whom; that means as well that it
// can be sent on.
void redirect_offer(const struct sa *sa, struct draft *draft)
{
    uint8_t space[2 + 16];
    struct wr out = wr_over(space, sizeof space);
    char text[ADDR_TEXT];
    if (!sa->conn->follow_redirects) return;
    if (!sa->handshake->gateway.kind) {
        draft_notify(draft, NOTIFY_REDIRECT_SUPPORTED, BYTES_NONE);
        return;
    }
    gateway_write(&out, addr_print(&sa->redirects.from, text));
    draft_notify(draft, NOTIFY_REDIRECTED_FROM, wr_done(&out));
}

// RFC 5685 3: without our nonce, or not asked for, an unprotected one is dropped without a word,
// and the right answer may still come.
bool redirect_is_forged(const struct sa *sa, const struct message *message)
{
    struct notify notify;
    const char *gateway;
    struct bytes nonce;
    if (!message_notify(message, NOTIFY_REDIRECT, &notify)) return false;
    return !sa->conn->follow_redirects || gateway_read(sa->ike, notify.data, &gateway, &nonce) ||
           !bytes_equal_secret(nonce, exchange_ni(sa->asking));
}

// RFC 5685 7: so many in so short a time are a loop.
static bool once_more(struct sa *sa)
{
    struct redirects *redirects = &sa->redirects;
    if (sa->ike->now - redirects->since >= nsec_seconds(LOOP_PERIOD_SECONDS))
        *redirects = (struct redirects){.since = sa->ike->now};
    return redirects->count < REDIRECTS_MAX;
}

static void send_on(const struct sa *sa, struct sa *fresh, const char *gateway)
{
    struct host_pattern *to = &fresh->handshake->gateway;
    fresh->redirects = sa->redirects;
    fresh->redirects.count++;
    fresh->redirects.from = sa->path.remote.addr;
    *to = (struct host_pattern){.kind = HOST_RANGE};
    if (addr_parse(gateway, &to->range.low) == OK)
        to->range.high = to->range.low;
    else
        *to = (struct host_pattern){.kind = HOST_NAME, .name = mem_text(gateway)};
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "%s sends us on to %s",
           endpoint_text(sa->ike, &sa->path.remote), gateway);
}

void redirect_free(struct handshake *handshake)
{
    free((void *)(uintptr_t)handshake->gateway.name);
}

// Where a redirected attempt goes instead of the connection's remote addresses.
void redirect_resolve(const struct sa *sa, struct ike_operation *operation)
{
    if (!sa->handshake->gateway.kind) return;
    operation->resolve.remote = &sa->handshake->gateway;
    operation->resolve.remote_count = 1;
    operation->resolve.try = 0;
}

// The attempt goes on with another SA at the other gateway; as many tries are left as before.
static enum fault attempt_redirect(struct exchange *x, const char *gateway)
{
    struct sa *sa = x->sa;
    const struct handshake *handshake = sa->handshake;
    if (!once_more(sa)) return exchange_why(x, FAULT_REDIRECTS, "the last one names %s", gateway);
    struct sa *fresh = initiate_again(sa, 0);
    fresh->handshake->attempts = handshake->attempts;
    fresh->handshake->candidate = handshake->candidate;
    send_on(sa, fresh, gateway);
    return OK;
}

// In the first response; redirect_is_forged() has seen it.
enum fault redirect_heed_first(struct exchange *x)
{
    struct notify notify;
    const char *gateway;
    struct bytes nonce;
    if (!message_notify(&x->in, NOTIFY_REDIRECT, &notify)) return OK;
    TRY(gateway_read(x->sa->ike, notify.data, &gateway, &nonce));
    TRY(attempt_redirect(x, gateway));
    sa_end(x->sa, OK, NULL);
    return OK;
}

// RFC 5685 6: only in the first or the last response, and only of a gateway that has proved itself.
// Behind the last one the IKE SA is there, and is deleted.
enum fault redirect_heed_auth(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct notify notify;
    const char *gateway;
    struct bytes nonce;
    bool is_last = sa->handshake->remote_stops && !local_is_due(sa);
    if (!message_notify(&x->in, NOTIFY_REDIRECT, &notify) || !sa->conn->follow_redirects ||
        !(sa->bits & PEER_AUTHENTICATED) || (!is_last && sa->state != EXPECT_AUTH))
        return OK;
    TRY(gateway_read(sa->ike, notify.data, &gateway, &nonce));
    // RFC 5685 9.2: here no nonce belongs to it.
    if (nonce.size) return FAULT_REDIRECT_UNREADABLE;
    TRY(attempt_redirect(x, gateway));
    if (!is_last) {
        sa_end(sa, OK, NULL);
        return OK;
    }
    redirect_close(sa);
    sa_set_state(sa, ESTABLISHED);
    task_add(sa, TASK_DELETE_IKE);
    exchange_skip_rest(x);
    return OK;
}

// In a session: what it has is made at the other gateway, then the SA with this one goes. Should
// the other one not take us, all stays as it is. RFC 5685 10: only who began can be sent elsewhere.
void redirect_heed(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct ike *ike = sa->ike;
    struct notify notify;
    const char *gateway;
    struct bytes nonce;
    if (sa->state != ESTABLISHED || sa->bits & BY_PEER || !sa->conn->follow_redirects ||
        !message_notify(&x->in, NOTIFY_REDIRECT, &notify))
        return;
    enum fault fault = gateway_read(ike, notify.data, &gateway, &nonce);
    if (!fault && nonce.size) fault = FAULT_REDIRECT_UNREADABLE;
    if (!fault && !once_more(sa)) fault = FAULT_REDIRECTS;
    struct sa *fresh = fault ? NULL : sa_successor(sa);
    if (fault)
        report(ike, ABOUT_SA(sa), IKE_ERROR, fault, "a redirection is not followed: %s",
               fault_sentence(fault));
    if (!fresh) return;
    fresh->path = (struct path){0};
    fresh->handshake->path_known = false;
    send_on(sa, fresh, gateway);
    exchange_ask(fresh, &plan_sa_init, NULL);
}

// --- the gateway

// RFC 5685 3: the client says by whom it was sent. When that was this host, by a name, the client has
// come to where it was meant to.
static bool is_sent_from_here(struct ike *ike, const struct message *message)
{
    struct notify notify;
    struct bytes nonce;
    struct addr from;
    const char *gateway;
    if (!message_notify(message, NOTIFY_REDIRECTED_FROM, &notify) ||
        gateway_read(ike, notify.data, &gateway, &nonce) || addr_parse(gateway, &from))
        return false;
    return ike->own_known && own_address(ike, &from);
}

void redirect_agree(struct sa *sa, const struct message *message)
{
    struct notify notify;
    if (sa->initiator) return;
    if (is_sent_from_here(sa->ike, message)) sa->bits |= SENT_FROM_HERE;
    if (message_notify(message, NOTIFY_REDIRECT_SUPPORTED, &notify) ||
        message_notify(message, NOTIFY_REDIRECTED_FROM, &notify))
        sa->bits |= PEER_REDIRECTS;
}

// RFC 5685 4: whoever came by an address of a group and is sent to the one that it came to is here
// already.
static bool is_elsewhere(const char *gateway, const struct path *path, bool sent_from_here)
{
    struct addr addr;
    if (addr_parse(gateway, &addr) != OK) return !sent_from_here;
    return !addr_equal(&addr, &path->local.addr);
}

// RFC 5685 3: the answer to a first message, with nothing kept. False: it is to go on here.
bool redirect_first(struct ike *ike, const struct message *message, const struct conn *conn)
{
    struct notify notify;
    struct bytes nonce;
    bool supported = message_notify(message, NOTIFY_REDIRECT_SUPPORTED, &notify) ||
                     message_notify(message, NOTIFY_REDIRECTED_FROM, &notify);
    if (!conn->redirect_to || !conn->redirect_early || !supported ||
        !is_elsewhere(conn->redirect_to, &message->path, is_sent_from_here(ike, message)) ||
        nonce_read(message_first(message, PAYLOAD_NONCE)->body, &nonce) != OK)
        return false;
    struct ike_header header = message->header;
    struct draft draft;
    header.flags = FLAG_RESPONSE;
    draft_begin_clear(ike, &draft, &header);
    redirect_write(&draft, conn->redirect_to, nonce);
    struct packets packets = draft_finish_clear(&draft);
    packets_send(ike, NULL, &message->path, &packets);
    packets_free(ike, &packets);
    if (budget_allows(ike, &ike->lines))
        report(ike, ABOUT_REMOTE(&message->path.remote), IKE_INFO, OK, "%s is sent on to %s",
               endpoint_text(ike, &message->path.remote), conn->redirect_to);
    return true;
}

bool redirect_is_due(const struct sa *sa)
{
    return sa->conn->redirect_to && sa->bits & PEER_REDIRECTS &&
           is_elsewhere(sa->conn->redirect_to, &sa->path, sa->bits & SENT_FROM_HERE);
}

// Both ends are proved, and nothing is to come of it; the client deletes it. RFC 5685 6: the SA is
// there only for that.
void redirect_close(struct sa *sa)
{
    sa_established(sa);
    sa_linger(sa, sa);
    sa->bits &= ~(uint32_t)WAS_ESTABLISHED;
    sa_set_state(sa, DELETING);
}

// --- the gateway: in a session

static enum fault redirect_ask(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    // RFC 5685 5: without a nonce, as the SA protects it.
    redirect_write(&draft, x->task->gateway, BYTES_NONE);
    request(x, &draft);
    return OK;
}

static enum fault redirect_conclude(struct exchange *x)
{
    report(x->sa->ike, ABOUT_SA(x->sa), IKE_INFO, OK, "%s was told to go to %s",
           endpoint_text(x->sa->ike, &x->sa->path.remote), x->task->gateway);
    return OK; // the client deletes the SA when it has another
}

static const struct step redirect_ask_steps[] = {STEP(redirect_ask), END};
static const struct step redirect_conclude_steps[] = {STEP(redirect_conclude), END};
const struct plan plan_redirect = {
    .exchange = EXCHANGE_INFORMATIONAL,
    .ask = {"redirecting", FAILURE_STAYS, redirect_ask_steps, NULL},
    .conclude = {"redirecting", FAILURE_STAYS, redirect_conclude_steps, NULL},
};

static bool is_meant(const struct sa *sa, const struct ike_command *command,
                     const struct range *peer_ip, const struct identity *peer_id)
{
    if (sa->state != ESTABLISHED || sa->replaced_by || !(sa->bits & BY_PEER)) return false;
    if (command->conn && strcmp(sa->conn->name, command->conn) != 0) return false;
    if (command->ike_id && sa->id != command->ike_id) return false;
    if (command->peer_ip && !range_has(peer_ip, &sa->path.remote.addr)) return false;
    return !command->peer_id || identity_matches(peer_id, &sa->remote_id);
}

static void done(struct ike *ike, const struct ike_command *command, uint32_t matches,
                 enum fault fault, const char *text)
{
    struct ike_out *out = out_new(ike, IKE_OUT_DONE);
    out->done.command = command->number;
    out->done.matches = matches;
    out->done.fault = fault;
    out->done.text = fault ? text : NULL;
}

// Those that cannot be sent elsewhere stay; when all that match are such, that is why it failed.
void command_redirect(struct ike *ike, const struct ike_command *command)
{
    struct range peer_ip = {0};
    struct identity peer_id = {0};
    uint32_t matches = 0, deaf = 0;
    if (!command->gateway || !redirect_gateway_is_good(command->gateway)) {
        done(ike, command, 0, FAULT_REDIRECT_COMMAND,
             "the gateway is neither an address nor a name");
        return;
    }
    if (command->peer_ip && range_parse(command->peer_ip, &peer_ip)) {
        done(ike, command, 0, FAULT_REDIRECT_COMMAND,
             "peer-ip is neither an address nor a network nor a range");
        return;
    }
    if (command->peer_id && identity_parse(command->peer_id, &ike->arena, &peer_id)) {
        done(ike, command, 0, FAULT_REDIRECT_COMMAND, "peer-id is not an identity");
        return;
    }
    LIST_EACH (struct sa, link, sa, &ike->sas) {
        if (!is_meant(sa, command, &peer_ip, &peer_id)) continue;
        if (!(sa->bits & PEER_REDIRECTS)) {
            deaf++;
            continue;
        }
        matches++;
        if (!task_find(sa, TASK_REDIRECT, 0))
            task_add(sa, TASK_REDIRECT)->gateway = mem_text(command->gateway);
        sa_pump(sa);
    }
    if (matches)
        done(ike, command, matches, OK, NULL);
    else
        done(ike, command, 0, FAULT_NOTHING_MATCHES,
             deaf ? "peers that match do not let themselves be redirected"
                  : fault_sentence(FAULT_NOTHING_MATCHES));
}
