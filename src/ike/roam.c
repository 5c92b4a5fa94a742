// SPDX-License-Identifier: Apache-2.0
// The addresses of this host, and the way from them to the peers whose SAs can move (RFC 4555;
// what is said to the peer is in ext/mobike.c):
//
//     news of the kernel --> a moment's wait --> look: RESOLVE for one address of the peer after
//                                                the other, until one can be reached
//         by the present path           nothing
//         our address has gone          the SA moves at once, and the peer is told
//         the kernel has another way    it is probed, and the SA moves when it answers
//         there is none                 the SA waits for an address
//
// A request that is not answered on the present path is sent along the other paths, too; the one on
// which the answer comes is taken.
#include "ike/internal.h"
#include "ike/roam.h"

enum {
    SETTLE_MS = 100,       // addresses and routes come and go together
    STRANDED_SECONDS = 5,  // so often a way is looked for where there is none
    SPRAY_TRIES = 2,       // retransmissions before other paths are tried
    REMOTES_MAX = PEER_ADDRS_MAX + CONN_HOSTS_MAX + 1,
};

// --- our addresses

// Those that a peer elsewhere can be reached from.
static bool reaches_far(const struct addr *addr)
{
    static const struct prefix near[] = {
        {{ADDR_V4, {127}}, 8},          {{ADDR_V4, {224}}, 3},       {{ADDR_V4, {0}}, 8},
        {{ADDR_V6, {0xfe, 0x80}}, 10},  {{ADDR_V6, {0xff}}, 8},      {{ADDR_V6, {[15] = 1}}, 128},
        {{ADDR_V6, {0}}, 128},
    };
    if (addr->family == ADDR_NONE) return false;
    for (size_t i = 0; i < sizeof near / sizeof *near; i++)
        if (prefix_has(&near[i], addr)) return false;
    return true;
}

bool addr_reaches_far(const struct addr *addr)
{
    return reaches_far(addr);
}

// Before the kernel's list has come nothing is known to be gone.
bool own_address(const struct ike *ike, const struct addr *addr)
{
    for (size_t i = 0; i < ike->own_count; i++)
        if (addr_equal(&ike->own[i], addr)) return true;
    return !ike->own_known;
}

static bool own_changed(struct ike *ike, const struct addr *addr, bool came)
{
    size_t at = 0;
    while (at < ike->own_count && !addr_equal(&ike->own[at], addr)) at++;
    bool there = at < ike->own_count;
    ike->own_known = true;
    if (there == came || (came && at == OWN_ADDRS_MAX)) return false;
    if (came) {
        ike->own[ike->own_count++] = *addr;
    } else {
        ike->own_count--;
        memmove(&ike->own[at], &ike->own[at + 1], (ike->own_count - at) * sizeof *ike->own);
    }
    return true;
}

// Without an address it is only that routes or links have changed.
void address_in(struct ike *ike, const struct addr *addr, bool came)
{
    bool far = reaches_far(addr);
    if (addr->family && (!far || !own_changed(ike, addr, came))) return;
    attempts_heed_address(ike, addr, came);
    policies_heed_address(ike);
    LIST_EACH (struct sa, link, sa, &ike->sas)
        if (sa->mobility) path_look_soon(sa);
}

// An address within what the tunnel protects is not where the tunnel's end is looked for, unless the
// address in use lies there, too.
static bool is_behind(const struct conn *conn, bool local, const struct addr *addr,
                      const struct addr *in_use)
{
    for (uint32_t i = 0; i < conn->child_count; i++) {
        const struct child_conf *child = &conn->children[i];
        const struct selectors *set = local ? &child->local_ts : &child->remote_ts;
        uint32_t dynamic = local ? child->local_dynamic : child->remote_dynamic;
        for (unsigned j = 0; j < set->count; j++)
            if (!(dynamic >> j & 1) && range_has(&set->at[j].range, addr) &&
                !range_has(&set->at[j].range, in_use))
                return true;
    }
    return false;
}

size_t own_addresses(const struct sa *sa, struct addr out[OWN_ADDRS_MAX])
{
    const struct ike *ike = sa->ike;
    const struct conn *conn = sa->conn;
    size_t count = 0;
    for (size_t i = 0; i < ike->own_count; i++) {
        bool virtual = false;
        for (unsigned j = 0; j < sa->vip_count; j++)
            virtual |= addr_equal(&sa->vips[j], &ike->own[i]);
        if (!virtual && !is_behind(conn, true, &ike->own[i], &sa->path.local.addr) &&
            hosts_score(conn->local_hosts, conn->local_count, &ike->own[i]))
            out[count++] = ike->own[i];
    }
    return count;
}

// --- the peer's

static void remote_add(struct addr *out, size_t *count, const struct addr *addr)
{
    if (*count == REMOTES_MAX || !reaches_far(addr)) return;
    for (size_t i = 0; i < *count; i++)
        if (addr_equal(&out[i], addr)) return;
    out[(*count)++] = *addr;
}

// The one in use first, then what it announced, then what the configuration names.
static size_t remotes(const struct sa *sa, struct addr out[REMOTES_MAX])
{
    const struct mobility *mobility = sa->mobility;
    size_t count = 1;
    out[0] = sa->path.remote.addr;
    for (unsigned i = 0; i < mobility->peer_count; i++)
        if (!is_behind(sa->conn, false, &mobility->peers[i], &out[0]))
            remote_add(out, &count, &mobility->peers[i]);
    for (unsigned i = 0; i < sa->conn->remote_count; i++) {
        const struct host_pattern *host = &sa->conn->remote_hosts[i];
        if (host->kind == HOST_RANGE && addr_equal(&host->range.low, &host->range.high))
            remote_add(out, &count, &host->range.low);
    }
    return count;
}

// RFC 4555 3.5: the end that began the first exchange decides about paths.
bool path_decides(const struct sa *sa)
{
    return sa->mobility && !(sa->bits & BY_PEER);
}

bool path_same(const struct path *a, const struct path *b)
{
    return endpoint_equal(&a->local, &b->local) && endpoint_equal(&a->remote, &b->remote);
}

static const char *path_text(struct ike *ike, const struct path *path)
{
    return arena_printf(&ike->arena, "%s - %s", endpoint_text(ike, &path->local),
                        endpoint_text(ike, &path->remote));
}

// --- moving

void path_event(struct sa *sa, const struct path *former)
{
    event(sa->ike, (struct ike_event){.kind = IKE_EVENT_IKE_UPDATED,
                                      .ike_id = sa->id,
                                      .path = sa->path,
                                      .former = *former});
}

void path_set(struct sa *sa, const struct path *path, const char *why)
{
    struct path former = sa->path;
    sa->path = *path;
    sa->mobility->serial++;
    sa->mobility->changes++;
    sa->mobility->stranded = false;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "path changes from %s to %s: %s",
           path_text(sa->ike, &former), path_text(sa->ike, path), why);
    path_event(sa, &former);
}

// The data plane takes the SA's path, which the peer has shown to be its own.
void path_children_follow(struct sa *sa)
{
    struct mobility *mobility = sa->mobility;
    struct path former = mobility->carried;
    mobility->carried = sa->path;
    mobility->carried.encap = nat_encap(sa);
    if (path_equal(&former, &mobility->carried)) return;
    mobility->changes++;
    LIST_EACH (struct child, link, child, &sa->children) child_moved(child, &former);
    if (!path_decides(sa)) return;
    mobility->uproots = true;
    sa_set_timer(sa, TIMER_TASKS, sa->ike->now);
}

void path_changed(struct sa *sa, const struct path *former)
{
    if (sa->mobility) {
        sa->mobility->serial++;
        path_children_follow(sa);
    } else {
        LIST_EACH (struct child, link, child, &sa->children) child_moved(child, former);
    }
    path_event(sa, former);
}

// RFC 4555 3.7: to an address that is new nothing flows before the peer has answered from there.
bool path_is_proven(const struct sa *sa)
{
    return addr_equal(&sa->mobility->carried.remote.addr, &sa->path.remote.addr);
}

// RFC 4555 3.5: what is under way goes on along the new path.
static void path_move(struct sa *sa, const struct path *path, const char *why)
{
    path_set(sa, path, why);
    if (path_is_proven(sa)) path_children_follow(sa);
    request_resend(sa);
    if (path_decides(sa))
        mobike_update_wanted(sa);
    else
        mobike_addresses_wanted(sa);
}

// --- looking for a way

void path_look_soon(struct sa *sa)
{
    nsec at = sa->ike->now + nsec_ms(SETTLE_MS);
    if (sa->timers[TIMER_PATH] > at) sa_set_timer(sa, TIMER_PATH, at);
}

static void strand(struct sa *sa)
{
    struct ike *ike = sa->ike;
    if (!sa->mobility->stranded)
        report(ike, ABOUT_SA(sa), IKE_INFO, FAULT_PATH_NONE, "the SA waits: %s",
               fault_sentence(FAULT_PATH_NONE));
    sa->mobility->stranded = true;
    sa_set_timer(sa, TIMER_PATH, ike->now + nsec_seconds(STRANDED_SECONDS));
}

// From which addresses we may send, for RESOLVE; none: there is no such address now.
static size_t local_patterns(const struct sa *sa, struct host_pattern *out)
{
    const struct conn *conn = sa->conn;
    struct addr own[OWN_ADDRS_MAX];
    size_t count = sa->ike->own_known ? own_addresses(sa, own) : 0;
    for (unsigned i = 0; i < conn->local_count && count; i++) {
        if (conn->local_hosts[i].kind == HOST_RANGE) continue;
        out[0] = (struct host_pattern){.kind = HOST_ANY};
        return 1;
    }
    if (count > CONN_HOSTS_MAX) count = CONN_HOSTS_MAX;
    for (size_t i = 0; i < count; i++)
        out[i] = (struct host_pattern){.kind = HOST_RANGE, .range = {own[i], own[i]}};
    return count;
}

static void look(struct sa *sa)
{
    struct mobility *mobility = sa->mobility;
    struct ike *ike = sa->ike;
    struct addr peers[REMOTES_MAX];
    if (sa->waiter.number) {
        mobility->look_again = true;
        return;
    }
    struct host_pattern *hosts = arena_array(&ike->arena, CONN_HOSTS_MAX + 1, sizeof *hosts);
    size_t count = local_patterns(sa, hosts + 1);
    if (!count || mobility->look >= remotes(sa, peers)) {
        strand(sa);
        return;
    }
    const struct addr *peer = &peers[mobility->look];
    hosts[0] = (struct host_pattern){.kind = HOST_RANGE, .range = {*peer, *peer}};
    struct ike_operation *operation = operation_new(ike, &sa->waiter, IKE_OP_RESOLVE);
    operation->resolve.remote = hosts;
    operation->resolve.remote_count = 1;
    operation->resolve.local = hosts + 1;
    operation->resolve.local_count = count;
    operation->resolve.local_port = sa->path.local.port;
    operation->resolve.remote_port = sa->path.remote.port;
}

void path_due(struct sa *sa)
{
    struct mobility *mobility = sa->mobility;
    if (!mobility || sa->state != ESTABLISHED || !sa->ike->own_known) return;
    bool stays = own_address(sa->ike, &sa->path.local.addr) && !mobility->stranded;
    if (stays && !path_decides(sa)) {
        mobike_addresses_check(sa);
        return;
    }
    mobility->look = 0;
    look(sa);
}

static void path_found(struct sa *sa, const struct path *path)
{
    struct mobility *mobility = sa->mobility;
    bool gone = !own_address(sa->ike, &sa->path.local.addr), waited = mobility->stranded;
    mobility->stranded = false;
    if (path_same(path, &sa->path)) {
        if (waited) path_move(sa, path, "it is there again");
    } else if (gone) {
        path_move(sa, path, "our address has gone");
    } else if (waited || mobility->look) {
        path_move(sa, path, "there was no way any more");
    } else if (path_decides(sa)) {
        mobike_probe(sa, path);
    }
    mobike_addresses_check(sa);
}

void path_answered(struct sa *sa, const struct ike_answer *answer)
{
    struct mobility *mobility = sa->mobility;
    struct addr peers[REMOTES_MAX];
    if (!mobility || sa->state != ESTABLISHED) return;
    if (mobility->look_again) {
        mobility->look_again = false;
        path_due(sa);
        return;
    }
    const struct addr *local = &answer->path.local.addr;
    if (mobility->look >= remotes(sa, peers) || answer->fault || !own_address(sa->ike, local) ||
        !hosts_score(sa->conn->local_hosts, sa->conn->local_count, local)) {
        mobility->look++;
        look(sa);
        return;
    }
    struct path path = sa->path;
    path.local.addr = *local;
    path.remote.addr = peers[mobility->look];
    path_found(sa, &path);
}

// --- a request along several paths

// RFC 4555 3.10, 3.6: whoever decides tries every path; the other end only says where it is.
static bool sprays(const struct sa *sa, const struct exchange *x)
{
    if (!sa->mobility || sa->state != ESTABLISHED) return false;
    if (path_decides(sa)) return x->has_via || !path_is_proven(sa) || x->tries >= SPRAY_TRIES;
    return x->plan == &plan_addresses;
}

static bool spray_one(struct exchange *x, const struct path *path)
{
    const struct sa *sa = x->sa;
    const struct path *sent = exchange_path(x);
    if (path->local.addr.family != path->remote.addr.family || path_same(path, sent)) return false;
    packets_send(sa->ike, sa, path, &x->sent);
    x->sprayed = true;
    return true;
}

void request_spray(struct exchange *x)
{
    const struct sa *sa = x->sa;
    struct addr peers[REMOTES_MAX], own[OWN_ADDRS_MAX];
    if (!sprays(sa, x)) return;
    size_t peer_count = remotes(sa, peers), own_count = own_addresses(sa, own), sent = 0;
    if (x->has_via) spray_one(x, &sa->path);
    for (size_t i = 0; i < peer_count; i++) {
        for (size_t j = 0; j < own_count && sent < PATHS_MAX; j++) {
            struct path path = sa->path;
            path.local.addr = own[j];
            path.remote.addr = peers[i];
            if (x->has_via && path_same(&path, &sa->path)) continue;
            sent += spray_one(x, &path);
        }
    }
}

const struct path *exchange_path(const struct exchange *x)
{
    return x->has_via ? &x->via : &x->sa->path;
}

// An answer came along this path. Was it another one than the SA's?
void path_heard(struct sa *sa, const struct path *by)
{
    const struct exchange *x = sa->asking;
    if (!sa->mobility || sa->state != ESTABLISHED || !x || path_same(by, &sa->path)) return;
    bool tried = x->sprayed || (x->has_via && path_same(by, &x->via));
    if (!tried || !own_address(sa->ike, &by->local.addr)) return;
    struct path path = *by;
    path.encap = sa->path.encap;
    if (x->has_via && path_same(by, &x->via))
        path_set(sa, &path, "it was probed, and the peer answers there");
    else
        path_set(sa, &path, "the peer answers there and not on the former path");
    if (!path_decides(sa)) return;
    if (path_is_proven(sa)) path_children_follow(sa);
    mobike_update_wanted(sa);
}

// --- a new IKE SA goes on in place of an old one (RFC 7296 2.18)

void path_inherit(struct sa *to, struct sa *from)
{
    if (!from->mobility) return;
    if (to->mobility && to->mobility->changes >= from->mobility->changes) return;
    if (!to->mobility) to->mobility = NEW(struct mobility);
    *to->mobility = *from->mobility;
    to->path = from->path;
    uint32_t nat = NAT_LOCAL | NAT_REMOTE | NAT_SEEN | ENCAP_FORCED;
    to->bits = (to->bits & ~nat) | (from->bits & nat);
}

// The children have moved to `to`, and so does what was about to be said about paths.
void path_hand_over(struct sa *from, struct sa *to)
{
    if (!from->mobility || !to->mobility) return;
    struct path former = from->mobility->carried;
    path_inherit(to, from);
    if (!path_equal(&former, &to->mobility->carried))
        LIST_EACH (struct child, link, child, &to->children) child_moved(child, &former);
    if (from->asking) mobike_ask_again(to, from->asking);
    from->mobility->stranded = false;
    path_look_soon(to);
}
