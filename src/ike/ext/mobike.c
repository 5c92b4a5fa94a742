// SPDX-License-Identifier: Apache-2.0
// MOBIKE (RFC 4555): what the ends say to each other about their addresses. Where this end wants to
// be is found out in roam.c.
//
//     IKE_AUTH       N(MOBIKE_SUPPORTED), N(ADDITIONAL_*_ADDRESS)…, both ways
//     initiator      N(UPDATE_SA_ADDRESSES), N(NAT_DETECTION_*)…, N(COOKIE2)  -->
//                                    <--  N(NAT_DETECTION_*)…, N(COOKIE2)
//     the other end                  <--  N(COOKIE2), when the address is new to it
//                    N(COOKIE2)           -->            … and now its packets go there, too
//     either end     N(ADDITIONAL_*_ADDRESS)… or N(NO_ADDITIONAL_ADDRESSES)  -->
#include "ike/internal.h"
#include "ike/roam.h"

enum { COOKIE2_SIZE = 32, COOKIE2_MIN = 8, COOKIE2_MAX = 64, REFUSED_RETRY_SECONDS = 2 };

// --- NO_NATS_ALLOWED (3.9)

struct places {
    uint8_t at[36];
    size_t size;
};

static struct bytes places_of(const struct endpoint *from, const struct endpoint *to,
                              struct places *space)
{
    struct wr out = wr_over(space->at, sizeof space->at);
    wr_bytes(&out, addr_bytes(&from->addr));
    wr_bytes(&out, addr_bytes(&to->addr));
    wr_u16(&out, from->port);
    wr_u16(&out, to->port);
    return wr_done(&out);
}

// RFC 4555 3.9: without NAT traversal all that can change addresses names them. RFC 9329 7.1: over TCP
// this has no meaning.
static void no_nats_write(const struct sa *sa, const struct path *path, struct draft *draft)
{
    struct places space;
    if (sa->bits & NAT_SEEN || path->stream) return;
    draft_notify(draft, NOTIFY_NO_NATS_ALLOWED, places_of(&path->local, &path->remote, &space));
}

static enum fault no_nats_check(const struct message *message)
{
    struct notify notify;
    struct places space;
    if (message->path.stream || !message_notify(message, NOTIFY_NO_NATS_ALLOWED, &notify))
        return OK;
    if (notify.data.size != 12 && notify.data.size != 36) return FAULT_MOBIKE_SYNTAX;
    struct bytes seen = places_of(&message->path.remote, &message->path.local, &space);
    return bytes_equal(seen, notify.data) ? OK : FAULT_NAT_UNEXPECTED;
}

// --- our addresses for the peer (3.4, 3.6)

static void own_digest(const struct sa *sa, uint8_t out[20])
{
    struct addr own[OWN_ADDRS_MAX];
    size_t count = own_addresses(sa, own);
    uint8_t space[OWN_ADDRS_MAX * 17];
    struct wr text = wr_over(space, sizeof space);
    for (size_t i = 0; i < count; i++) {
        wr_u8(&text, own[i].family);
        wr_bytes(&text, addr_bytes(&own[i]));
    }
    sha1(PIECES(wr_done(&text)), out);
}

static unsigned addresses_write(const struct sa *sa, struct draft *draft)
{
    struct addr own[OWN_ADDRS_MAX];
    size_t count = own_addresses(sa, own);
    unsigned written = 0;
    for (size_t i = 0; i < count && written < PEER_ADDRS_MAX; i++) {
        if (addr_equal(&own[i], &sa->path.local.addr)) continue;
        draft_notify(draft,
                     own[i].family == ADDR_V4 ? NOTIFY_ADDITIONAL_IP4_ADDRESS
                                              : NOTIFY_ADDITIONAL_IP6_ADDRESS,
                     addr_bytes(&own[i]));
        written++;
    }
    return written;
}

// The whole list, as there is no other way to change it.
static void addresses_tell(struct sa *sa, struct draft *draft)
{
    own_digest(sa, sa->mobility->told);
    if (!addresses_write(sa, draft))
        draft_notify(draft, NOTIFY_NO_ADDITIONAL_ADDRESSES, BYTES_NONE);
}

static bool knows_addresses(const struct sa *sa)
{
    uint8_t digest[20];
    own_digest(sa, digest);
    return memcmp(digest, sa->mobility->told, sizeof digest) == 0;
}

// --- the peer's addresses

static bool lists_addresses(const struct message *message)
{
    struct notify notify;
    return message_notify(message, NOTIFY_ADDITIONAL_IP4_ADDRESS, &notify) ||
           message_notify(message, NOTIFY_ADDITIONAL_IP6_ADDRESS, &notify) ||
           message_notify(message, NOTIFY_NO_ADDITIONAL_ADDRESSES, &notify);
}

static bool is_address(const struct notify *notify)
{
    return notify->type == NOTIFY_ADDITIONAL_IP4_ADDRESS ||
           notify->type == NOTIFY_ADDITIONAL_IP6_ADDRESS;
}

static enum fault address_take(struct mobility *mobility, const struct notify *notify)
{
    struct addr addr;
    size_t size = notify->type == NOTIFY_ADDITIONAL_IP4_ADDRESS ? 4 : 16;
    if (notify->data.size != size || addr_from_bytes(notify->data, &addr) != OK)
        return FAULT_MOBIKE_SYNTAX;
    if (!addr_reaches_far(&addr) || mobility->peer_count == PEER_ADDRS_MAX) return OK;
    mobility->peers[mobility->peer_count++] = addr;
    return OK;
}

// RFC 4555 3.6: a new list replaces the former one; the address in the IP header belongs to it.
static enum fault addresses_take(struct mobility *mobility, const struct message *message)
{
    mobility->peers[0] = message->path.remote.addr;
    mobility->peer_count = 1;
    mobility->changes++;
    for (size_t i = 0; i < message->payloads->count; i++) {
        struct notify notify;
        const struct payload *payload = &message->payloads->at[i];
        if (payload->type != PAYLOAD_NOTIFY || notify_read(payload->body, &notify) != OK) continue;
        if (is_address(&notify)) TRY(address_take(mobility, &notify));
    }
    return OK;
}

static bool peer_is_at(const struct mobility *mobility, const struct addr *addr)
{
    for (unsigned i = 0; i < mobility->peer_count; i++)
        if (addr_equal(&mobility->peers[i], addr)) return true;
    return false;
}

// --- IKE_AUTH (3.2)

// Over TCP (RFC 9329) a new connection says where the peer is.
static bool may_move(const struct sa *sa)
{
    return sa->conn->mobike && !sa->path.stream;
}

void mobike_offer(struct sa *sa, struct draft *draft)
{
    if (!may_move(sa) || (!sa->initiator && !sa->mobility)) return;
    draft_notify(draft, NOTIFY_MOBIKE_SUPPORTED, BYTES_NONE);
    addresses_write(sa, draft);
    if (sa->initiator) no_nats_write(sa, &sa->path, draft);
    own_digest(sa, sa->mobility ? sa->mobility->told : sa->handshake->told);
}

// RFC 4555 3.3: the children's first path is that of IKE_AUTH.
enum fault mobike_agree(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct notify notify;
    if (!may_move(sa) || !message_notify(&x->in, NOTIFY_MOBIKE_SUPPORTED, &notify)) return OK;
    if (!sa->initiator) TRY(no_nats_check(&x->in));
    sa->bits |= PEER_MOBIKE;
    sa->mobility = NEW(struct mobility);
    sa->mobility->carried = sa->path;
    sa->mobility->carried.encap = nat_encap(sa);
    memcpy(sa->mobility->told, sa->handshake->told, sizeof sa->mobility->told);
    path_look_soon(sa); // our addresses may have changed since it was asked
    return addresses_take(sa->mobility, &x->in);
}

// --- tasks

static bool queued(const struct sa *sa, enum task_kind kind)
{
    LIST_EACH (const struct task, link, task, &sa->tasks)
        if (task->kind == kind) return true;
    return false;
}

static void wanted(struct sa *sa, enum task_kind kind)
{
    if (!queued(sa, kind)) task_add(sa, kind);
    sa_pump(sa);
}

void mobike_update_wanted(struct sa *sa)
{
    wanted(sa, TASK_UPDATE);
}

void mobike_addresses_wanted(struct sa *sa)
{
    wanted(sa, TASK_ADDRESSES);
}

void mobike_addresses_check(struct sa *sa)
{
    if (!sa->mobility->stranded && !queued(sa, TASK_UPDATE) && !knows_addresses(sa))
        wanted(sa, TASK_ADDRESSES);
}

void mobike_probe(struct sa *sa, const struct path *path)
{
    if (sa->asking && sa->asking->plan == &plan_probe && path_same(&sa->asking->via, path)) return;
    sa->mobility->other = *path;
    wanted(sa, TASK_PROBE);
}

// Where the exchange was under way in an SA that has been replaced, its answer is worth nothing.
void mobike_ask_again(struct sa *sa, const struct exchange *x)
{
    static const struct {
        const struct plan *plan;
        enum task_kind kind;
    } kinds[] = {
        {&plan_update, TASK_UPDATE},
        {&plan_addresses, TASK_ADDRESSES},
        {&plan_routability, TASK_ROUTABILITY},
        {&plan_probe, TASK_PROBE},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (x->plan == kinds[i].plan && !queued(sa, kinds[i].kind)) task_add(sa, kinds[i].kind);
}

// --- COOKIE2 (3.7)

static void cookie_write(struct exchange *x, struct draft *draft)
{
    uint8_t cookie[COOKIE2_SIZE];
    rng_fill(x->sa->ike->rng, cookie, sizeof cookie);
    x->cookie = arena_copy(&x->arena, BYTES_ARRAY(cookie));
    draft_notify(draft, NOTIFY_COOKIE2, x->cookie);
}

// RFC 4555 3.7: when the values do not match the IKE SA is closed.
static bool cookie_came_back(struct exchange *x)
{
    struct notify notify;
    struct sa *sa = x->sa;
    if (message_notify(&x->in, NOTIFY_COOKIE2, &notify) &&
        bytes_equal_secret(notify.data, x->cookie))
        return true;
    report(sa->ike, ABOUT_SA(sa), IKE_ERROR, FAULT_COOKIE2_WRONG, "IKE SA is closed: %s",
           fault_sentence(FAULT_COOKIE2_WRONG));
    if (!task_find(sa, TASK_DELETE_IKE, 0)) task_add(sa, TASK_DELETE_IKE);
    return false;
}

// --- ask: UPDATE_SA_ADDRESSES (3.5)

static enum fault update_ask(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct draft draft;
    if (!path_decides(sa)) {
        exchange_give_up(x);
        return OK;
    }
    x->path_serial = sa->mobility->serial;
    draft_begin(sa->ike, &draft);
    draft_notify(&draft, NOTIFY_UPDATE_SA_ADDRESSES, BYTES_NONE);
    if (sa->bits & NAT_SEEN) nat_offer(sa, &draft, sa->spi_i, sa->spi_r, &sa->path);
    no_nats_write(sa, &sa->path, &draft);
    if (!knows_addresses(sa)) addresses_tell(sa, &draft);
    if (!path_is_proven(sa)) cookie_write(x, &draft);
    request(x, &draft);
    return OK;
}

static void place_note(struct sa *sa, const struct message *message)
{
    struct notify notify;
    struct mobility *mobility = sa->mobility;
    if (!message_notify(message, NOTIFY_NAT_DETECTION_DESTINATION_IP, &notify) ||
        notify.data.size != sizeof mobility->place)
        return;
    memcpy(mobility->place, notify.data.at, sizeof mobility->place);
    mobility->place_known = true;
}

// RFC 4555 3.5, 3.9: it may be tried again, as a single message that was tampered with shall not
// make a path useless.
static void update_refused(struct exchange *x, enum fault fault)
{
    struct sa *sa = x->sa;
    struct mobility *mobility = sa->mobility;
    report(sa->ike, ABOUT_SA(sa), IKE_ERROR, fault, "the path to %s is not taken: %s",
           endpoint_text(sa->ike, &sa->path.remote), fault_sentence(fault));
    if (++mobility->refusals > sa->ike->settings.retransmit_tries) return;
    struct task *task = task_add(sa, TASK_UPDATE);
    task->not_before = sa->ike->now + nsec_seconds(REFUSED_RETRY_SECONDS);
}

static struct sa *heir(struct sa *sa)
{
    struct sa *by = sa->replaced_by ? sa_by_id(sa->ike, sa->replaced_by) : NULL;
    return by && by->state != DEAD && by->mobility ? by : NULL;
}

static enum fault update_conclude(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct notify notify;
    if (heir(sa)) {
        mobike_update_wanted(heir(sa));
        return OK;
    }
    bool refused = message_error(&x->in, &notify);
    if (x->cookie.size && !refused && !cookie_came_back(x)) return OK;
    if (x->path_serial != sa->mobility->serial) { // RFC 4555 3.5: it has changed meanwhile
        mobike_update_wanted(sa);
        return OK;
    }
    if (refused) {
        update_refused(x, notify_fault(notify.type));
        return OK;
    }
    sa->mobility->refusals = 0;
    nat_agree_again(sa, &x->in);
    place_note(sa, &x->in);
    path_children_follow(sa);
    report(sa->ike, ABOUT_SA(sa), IKE_DETAIL, OK, "the peer knows our path and sends to %s",
           endpoint_text(sa->ike, &sa->path.local));
    return OK;
}

#define INFORMATIONAL_PLAN(plan_, name_, ask_, conclude_)                                          \
    static const struct step ask_##_steps[] = {STEP(ask_), END};                                   \
    static const struct step conclude_##_steps[] = {STEP(conclude_), END};                         \
    const struct plan plan_ = {.exchange = EXCHANGE_INFORMATIONAL,                                 \
                               .ask = {name_, FAILURE_STAYS, ask_##_steps, NULL},                  \
                               .conclude = {name_, FAILURE_STAYS, conclude_##_steps, NULL}}

INFORMATIONAL_PLAN(plan_update, "change of addresses", update_ask, update_conclude);

// --- ask: our addresses are others now (3.6)

static enum fault addresses_ask(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct draft draft;
    if (!sa->mobility) {
        exchange_give_up(x);
        return OK;
    }
    draft_begin(sa->ike, &draft);
    addresses_tell(sa, &draft);
    no_nats_write(sa, &sa->path, &draft);
    request(x, &draft);
    return OK;
}

// RFC 4555 3.6: what went from several of our addresses said too little, so it is said anew.
static enum fault addresses_conclude(struct exchange *x)
{
    struct notify notify;
    struct sa *to = heir(x->sa) ? heir(x->sa) : x->sa;
    if (message_error(&x->in, &notify))
        report(to->ike, ABOUT_SA(to), IKE_ERROR, notify_fault(notify.type),
               "our addresses are not taken: %s", fault_sentence(notify_fault(notify.type)));
    else if (x->sprayed)
        mobike_addresses_wanted(to);
    return OK;
}

INFORMATIONAL_PLAN(plan_addresses, "list of addresses", addresses_ask, addresses_conclude);

// --- ask: does the peer receive where it says that it is? (3.7)

static enum fault routability_ask(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct draft draft;
    if (!sa->mobility || path_is_proven(sa)) {
        exchange_give_up(x);
        return OK;
    }
    x->path_serial = sa->mobility->serial;
    draft_begin(sa->ike, &draft);
    cookie_write(x, &draft);
    request(x, &draft);
    return OK;
}

static enum fault routability_conclude(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (!cookie_came_back(x)) return OK;
    if (heir(sa) && !path_is_proven(heir(sa))) {
        wanted(heir(sa), TASK_ROUTABILITY);
    } else if (x->path_serial == sa->mobility->serial) {
        report(sa->ike, ABOUT_SA(sa), IKE_DETAIL, OK, "the peer receives at %s; its traffic follows",
               endpoint_text(sa->ike, &sa->path.remote));
        path_children_follow(sa);
    }
    return OK;
}

INFORMATIONAL_PLAN(plan_routability, "check of the peer's address", routability_ask,
                   routability_conclude);

// --- ask: does another path work? (3.10)

static enum fault probe_ask(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct draft draft;
    if (!path_decides(sa) || path_same(&sa->mobility->other, &sa->path) ||
        !own_address(sa->ike, &sa->mobility->other.local.addr)) {
        exchange_give_up(x);
        return OK;
    }
    x->via = sa->mobility->other;
    x->has_via = true;
    draft_begin(sa->ike, &draft);
    if (sa->bits & NAT_SEEN) nat_offer(sa, &draft, sa->spi_i, sa->spi_r, &x->via);
    request(x, &draft);
    return OK;
}

// The answer's way has been heeded when it came.
static enum fault probe_conclude(struct exchange *x)
{
    const struct sa *sa = x->sa;
    if (!path_same(&x->via, &sa->path))
        report(sa->ike, ABOUT_SA(sa), IKE_DETAIL, OK, "the path from %s is not better; it stays",
               endpoint_text(sa->ike, &x->via.local));
    return OK;
}

INFORMATIONAL_PLAN(plan_probe, "probe of a path", probe_ask, probe_conclude);

// --- liveness checks find out about NATs, too (3.8)

void mobike_liveness_write(const struct exchange *x, struct draft *draft)
{
    const struct sa *sa = x->sa;
    if (path_decides(sa) && sa->bits & NAT_LOCAL)
        nat_offer(sa, draft, sa->spi_i, sa->spi_r, &sa->path);
}

void mobike_liveness_heed(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct notify notify;
    if (!path_decides(sa) || !(sa->bits & NAT_LOCAL) || heir(sa) ||
        !message_notify(&x->in, NOTIFY_NAT_DETECTION_DESTINATION_IP, &notify))
        return;
    const struct mobility *mobility = sa->mobility;
    if (mobility->place_known && bytes_equal(notify.data, BYTES_ARRAY(mobility->place))) return;
    report(sa->ike, ABOUT_SA(sa), IKE_DETAIL, OK, "%s; the peer is told",
           mobility->place_known ? "the NAT before us shows another address or port"
                                 : "where the NAT shows us is not known yet");
    mobike_update_wanted(sa);
}

// --- answer

// RFC 4555 3.5: may the peer be where its message came from? A single address in remote_addrs says
// where it is looked for; a range says where it may be.
static bool path_acceptable(const struct sa *sa, const struct path *path)
{
    const struct conn *conn = sa->conn;
    bool ranges = false, within = false;
    for (unsigned i = 0; i < conn->remote_count; i++) {
        const struct host_pattern *host = &conn->remote_hosts[i];
        if (host->kind != HOST_RANGE) return hosts_score(conn->local_hosts, conn->local_count,
                                                         &path->local.addr) > 0;
        ranges |= !addr_equal(&host->range.low, &host->range.high);
        within |= range_has(&host->range, &path->remote.addr);
    }
    return (!ranges || within) &&
           hosts_score(conn->local_hosts, conn->local_count, &path->local.addr);
}

enum fault mobike_read(struct exchange *x)
{
    const struct sa *sa = x->sa;
    struct notify notify;
    if (message_notify(&x->in, NOTIFY_COOKIE2, &notify) &&
        (notify.data.size < COOKIE2_MIN || notify.data.size > COOKIE2_MAX))
        return FAULT_MOBIKE_SYNTAX;
    if (!sa->mobility) return OK;
    x->lists_addresses = lists_addresses(&x->in);
    x->updates_path =
        !path_decides(sa) && message_notify(&x->in, NOTIFY_UPDATE_SA_ADDRESSES, &notify);
    if (!x->lists_addresses && !x->updates_path) return OK;
    x->path_fault = no_nats_check(&x->in);
    if (x->path_fault == FAULT_MOBIKE_SYNTAX) return x->path_fault;
    if (!x->path_fault && x->updates_path && !path_acceptable(sa, &x->in.path))
        x->path_fault = FAULT_PATH_UNACCEPTABLE;
    struct mobility trial = *sa->mobility;
    return x->lists_addresses ? addresses_take(&trial, &x->in) : OK;
}

void mobike_answer(const struct exchange *x, struct draft *draft)
{
    const struct sa *sa = x->sa;
    struct notify notify;
    if (message_notify(&x->in, NOTIFY_COOKIE2, &notify))
        draft_notify(draft, NOTIFY_COOKIE2, notify.data);
    if (x->path_fault) draft_notify(draft, fault_notify(x->path_fault), BYTES_NONE);
    // RFC 4555 3.8: whoever asks about NATs gets an answer.
    if (sa->mobility && nat_is_asked(&x->in))
        nat_offer(sa, draft, sa->spi_i, sa->spi_r, &x->in.path);
}

static void update_take(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct ike *ike = sa->ike;
    struct path former = sa->path;
    sa->path = x->in.path;
    nat_agree_again(sa, &x->in);
    if (!path_same(&former, &sa->path)) {
        sa->mobility->serial++;
        sa->mobility->changes++;
        report(ike, ABOUT_SA(sa), IKE_INFO, OK, "peer has moved from %s to %s%s",
               endpoint_text(ike, &former.remote), endpoint_text(ike, &sa->path.remote),
               endpoint_equal(&former.local, &sa->path.local) ? "" : " and uses another address of ours");
        path_event(sa, &former);
        request_resend(sa);
    }
    // RFC 9329 7.1: a TCP connection shows as much as COOKIE2 does.
    if (path_is_proven(sa) || sa->path.stream)
        path_children_follow(sa);
    else
        wanted(sa, TASK_ROUTABILITY);
}

// RFC 4555 3.5: the peer may have left the address that is in use.
static void addresses_heed(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct mobility *mobility = sa->mobility;
    enum fault fault = addresses_take(mobility, &x->in);
    if (fault || !path_decides(sa) || peer_is_at(mobility, &sa->path.remote.addr)) return;
    struct path path = sa->path;
    path.remote = x->in.path.remote;
    path.local.addr = x->in.path.local.addr;
    report(sa->ike, ABOUT_SA(sa), IKE_DETAIL, OK, "the peer has left %s",
           endpoint_text(sa->ike, &sa->path.remote));
    mobike_probe(sa, &path);
}

void mobike_act(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (x->path_fault) {
        report(sa->ike, ABOUT_SA(sa), IKE_ERROR, x->path_fault,
               "the path from %s to %s is refused: %s", endpoint_text(sa->ike, &x->in.path.remote),
               endpoint_text(sa->ike, &x->in.path.local), fault_sentence(x->path_fault));
        return;
    }
    if (x->updates_path) update_take(x);
    if (x->lists_addresses) addresses_heed(x);
}
