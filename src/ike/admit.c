// SPDX-License-Identifier: Apache-2.0
// Which connection a peer means, and whether it may come in.
//
// With the first message only addresses are known; the best connection for them whose proposals fit
// is taken for the time being. With IKE_AUTH the identities are known, and the choice is made anew
// among all that fit addresses, suite, identities and way of authentication.
#include "ike/internal.h"
#include "ike/v2/auth.h"

enum { EXPLAIN_MAX = 8192, HOST_SCORES = 8 };

// --- addresses

unsigned hosts_score(const struct host_pattern *hosts, size_t count, const struct addr *addr)
{
    unsigned best = count ? 0 : 1;
    for (size_t i = 0; i < count; i++) {
        const struct host_pattern *host = &hosts[i];
        unsigned score = 0;
        if (host->kind == HOST_ANY)
            score = 1;
        else if (host->kind == HOST_NAME)
            score = 2; // what it stands for now is not looked up for everybody who knocks
        else if (range_has(&host->range, addr))
            score = addr_equal(&host->range.low, &host->range.high) ? 4 : 3;
        if (score > best) best = score;
    }
    return best;
}

static unsigned path_score(const struct conn *conn, const struct path *path)
{
    if (conn->version == 1) return 0;
    unsigned remote = hosts_score(conn->remote_hosts, conn->remote_count, &path->remote.addr);
    unsigned local = hosts_score(conn->local_hosts, conn->local_count, &path->local.addr);
    return remote && local ? remote * HOST_SCORES + local : 0;
}

// By addresses and proposals, while they are being looked at.
struct first_search {
    const struct path *path;
    const struct proposals *offered;
    uint16_t ke;
    struct first_choice *choice;
    unsigned best, nearest_score;
    uint64_t order, nearest_order;
    const struct conn *nearest;
};

// The higher score counts, then who was loaded first.
static bool is_better(unsigned score, uint64_t order, unsigned best, uint64_t best_order)
{
    return score > best || (score && score == best && order < best_order);
}

static void first_look(void *context, const struct loaded *loaded)
{
    struct first_search *search = context;
    struct suite suite;
    size_t index;
    unsigned score = path_score(loaded->conn, search->path);
    if (is_better(score, loaded->order, search->nearest_score, search->nearest_order)) {
        search->nearest_score = score;
        search->nearest_order = loaded->order;
        search->nearest = loaded->conn;
    }
    if (!is_better(score, loaded->order, search->best, search->order) ||
        proposals_choose(&loaded->conn->ike, search->offered, PROPOSAL_WITH_KE, search->ke, &suite,
                         &index) != OK)
        return;
    search->best = score;
    search->order = loaded->order;
    search->choice->conn = loaded->conn;
    search->choice->suite = suite;
}

enum fault conn_by_addresses(struct ike *ike, const struct path *path,
                             const struct proposals *offered, uint16_t ke,
                             struct first_choice *choice)
{
    struct first_search search = {.path = path, .offered = offered, .ke = ke, .choice = choice};
    candidates_by_address(ike, &path->remote.addr, first_look, &search);
    if (choice->conn) return OK;
    if (!search.nearest) return FAULT_CONN_FOR_ADDRESSES;
    char *text = arena_new(&ike->arena, EXPLAIN_MAX + 1);
    struct wr out = wr_over(text, EXPLAIN_MAX);
    wr_printf(&out, "connection %s\n", search.nearest->name);
    proposals_explain(&search.nearest->ike, offered, PROPOSAL_WITH_KE, &out);
    choice->why = text;
    return FAULT_NO_PROPOSAL_CHOSEN;
}

// --- identities

bool auth_class_allows(const struct auth_conf *auth, uint8_t method)
{
    switch (auth->auth) {
    case AUTH_CLASS_ANY:
        return method != AUTH_NULL;
    case AUTH_CLASS_PSK:
        return method == AUTH_PSK;
    case AUTH_CLASS_PUBKEY:
        return method != AUTH_PSK && method != AUTH_NULL;
    // RFC 7619 2.4: only where it is asked for by its name.
    case AUTH_CLASS_NULL:
        return method == AUTH_NULL;
    default:
        return false;
    }
}

struct identity own_identity(const struct sa *sa, struct arena *arena)
{
    const struct auth_conf *round = local_round(sa);
    if (is_resumed(sa)) return sa->handshake->ticket->local;
    if (round->id.type) return round->id;
    // RFC 7619 2.2: who does not prove an identity need not have one.
    if (round->auth == AUTH_CLASS_NULL) return (struct identity){.type = ID_NULL};
    return identity_of_addr(&sa->path.local.addr, arena);
}

bool conn_allows_suite(const struct conn *conn, const struct suite *suite)
{
    struct proposals one = {.count = 1};
    struct suite chosen;
    size_t index;
    suite_proposal(suite, &one.at[0]);
    one.at[0].number = 1;
    return proposals_choose(&conn->ike, &one, PROPOSAL_WITH_KE, suite->ke, &chosen, &index) == OK;
}

static bool local_id_fits(const struct exchange *x, const struct conn *conn)
{
    const struct identity *own = &conn->local[0].id;
    if (!x->wanted_id.type || !own->type)
        return true; // any, or the address, which NAT may have changed
    return identity_matches(own, &x->wanted_id) || identity_equal(own, &x->wanted_id);
}

// Rounds that are done cannot be done again under another connection: it must have the same ones.
static bool certs_alike(const struct conn_cert *a, size_t a_count, const struct conn_cert *b,
                        size_t b_count)
{
    if (a_count != b_count) return false;
    for (size_t i = 0; i < a_count; i++)
        if (!bytes_equal(a[i].der, b[i].der)) return false;
    return true;
}

static bool rounds_alike(const struct auth_conf *a, const struct auth_conf *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool same = a[i].auth == b[i].auth && identity_equal(&a[i].id, &b[i].id) &&
                    a[i].revocation == b[i].revocation &&
                    bytes_equal(a[i].signature_schemes, b[i].signature_schemes) &&
                    certs_alike(a[i].certs, a[i].cert_count, b[i].certs, b[i].cert_count) &&
                    certs_alike(a[i].cas, a[i].ca_count, b[i].cas, b[i].ca_count) &&
                    certs_alike(a[i].pubkeys, a[i].pubkey_count, b[i].pubkeys, b[i].pubkey_count);
        same = same && identity_equal(&a[i].ca_id, &b[i].ca_id) && a[i].policy_count == b[i].policy_count;
        for (unsigned j = 0; same && j < a[i].policy_count; j++)
            same = bytes_equal(a[i].policies[j], b[i].policies[j]);
        if (!same) return false;
    }
    return true;
}

static bool has_done_rounds(const struct sa *sa, const struct conn *conn)
{
    const struct handshake *handshake = sa->handshake;
    return conn == sa->conn ||
           (conn->local_rounds >= handshake->local_done &&
            conn->remote_rounds >= handshake->remote_done &&
            rounds_alike(sa->conn->local, conn->local, handshake->local_done) &&
            rounds_alike(sa->conn->remote, conn->remote, handshake->remote_done));
}

// RFC 8784 3: which post-quantum key goes in was decided for the first connection.
static bool ppk_alike(const struct conn *a, const struct conn *b)
{
    bool same = a->ppk_required == b->ppk_required && identity_equal(&a->ppk_id, &b->ppk_id) &&
                a->ppk_int == b->ppk_int && a->ppk_count == b->ppk_count;
    for (unsigned i = 0; same && i < a->ppk_count; i++)
        same = identity_equal(&a->ppk_ids[i], &b->ppk_ids[i]);
    return same;
}

static bool was_tried(const struct handshake *handshake, uint64_t order)
{
    for (unsigned i = 0; i < handshake->tried_count; i++)
        if (handshake->tried[i] == order) return true;
    return false;
}

// By identities and the way of authentication, while they are being looked at.
struct candidate {
    const struct loaded *loaded;
    unsigned score;
    bool id_fits, method_fits, count_fits;
};
struct search {
    const struct exchange *x;
    struct candidate best;
};

static struct candidate candidate_of(const struct exchange *x, const struct loaded *loaded)
{
    enum { ID_FITS = 1 << 30, METHOD_FITS = 1 << 29, COUNT_FITS = 1 << 28 };
    const struct sa *sa = x->sa;
    const struct conn *conn = loaded->conn;
    struct candidate result = {.loaded = loaded};
    unsigned round = sa->handshake->remote_done, path = path_score(conn, &sa->path);
    if (!path || round >= conn->remote_rounds || !conn->local_rounds ||
        was_tried(sa->handshake, loaded->order) || !conn_allows_suite(conn, &sa->suite) ||
        !has_done_rounds(sa, conn))
        return result;
    if ((round > 0 || sa->handshake->tried_count) && !ppk_alike(sa->conn, conn)) return result;
    const struct auth_conf *remote = &conn->remote[round];
    // RFC 7619 2.2: what an unproven identity says must not count.
    unsigned id =
        remote->auth == AUTH_CLASS_NULL ? 1 : identity_matches(&remote->id, &sa->remote_id);
    result.id_fits = id && (round > 0 || local_id_fits(x, conn));
    result.method_fits = x->wants_eap ? remote->auth == AUTH_CLASS_EAP
                                      : auth_class_allows(remote, x->auth_method);
    // Whether a login is the last round is said at its end.
    result.count_fits = x->wants_eap || (round + 1u < conn->remote_rounds) == x->another_follows;
    result.score = (result.id_fits ? ID_FITS : 0) + (result.method_fits ? METHOD_FITS : 0) +
                   (result.count_fits ? COUNT_FITS : 0) + (id << 8) + path + 1;
    return result;
}

static void candidate_look(void *context, const struct loaded *loaded)
{
    struct search *search = context;
    struct candidate candidate = candidate_of(search->x, loaded);
    uint64_t order = search->best.loaded ? search->best.loaded->order : 0;
    if (is_better(candidate.score, loaded->order, search->best.score, order))
        search->best = candidate;
}

static struct candidate candidate_best(const struct exchange *x)
{
    struct sa *sa = x->sa;
    struct search search = {.x = x};
    candidates_by_identity(sa->ike, &sa->path.remote.addr, &sa->handshake->first_id, candidate_look,
                           &search);
    // What the first message led to is what is compared with when nothing fits.
    const struct loaded *first = loaded_find(sa->ike, sa->conn->name);
    if (!search.best.score && first) candidate_look(&search, first);
    return search.best;
}

static const char *method_text(const struct exchange *x)
{
    uint8_t method = x->auth_method;
    return x->wants_eap          ? "EAP"
           : method == AUTH_PSK    ? "a pre-shared key"
           : method == AUTH_NULL ? "nothing (NULL)"
                                 : "a signature";
}

static const char *class_text(const struct auth_conf *auth)
{
    return auth->auth == AUTH_CLASS_PSK    ? "a pre-shared key"
           : auth->auth == AUTH_CLASS_NULL ? "none (NULL)"
           : auth->auth == AUTH_CLASS_EAP  ? "EAP"
                                           : "a signature";
}

static enum fault identities_fault(struct exchange *x, const struct candidate *nearest)
{
    struct sa *sa = x->sa;
    struct ike *ike = sa->ike;
    const struct identity *peer = &sa->remote_id;
    const char *who = identity_text(ike, peer);
    unsigned round = sa->handshake->remote_done;
    if (x->auth_method == AUTH_NULL)
        return exchange_why(x, FAULT_NULL_AUTH_UNWANTED, "no connection for it has auth = null");
    if (!nearest->score) return exchange_why(x, FAULT_CONN_FOR_IDENTITIES, "the peer is %s", who);
    const struct conn *conn = nearest->loaded->conn;
    const struct auth_conf *remote = &conn->remote[round];
    if (nearest->id_fits && nearest->method_fits)
        return exchange_why(x, FAULT_AUTH_ROUNDS,
                            "%s proves itself in %s, connection %s wants %u round%s", who,
                            x->another_follows ? "further rounds" : "no further round", conn->name,
                            conn->remote_rounds, conn->remote_rounds == 1 ? "" : "s");
    if (nearest->id_fits)
        return exchange_why(x, FAULT_AUTH_METHOD,
                            "%s authenticates with %s, connection %s wants %s", who,
                            method_text(x), conn->name, class_text(remote));
    if (identity_matches(&remote->id, peer))
        return exchange_why(x, FAULT_CONN_FOR_IDENTITIES, "%s asks for %s, connection %s is %s",
                            who, identity_text(ike, &x->wanted_id), conn->name,
                            identity_text(ike, &conn->local[0].id));
    const char *hint = identity_hint(&remote->id, peer);
    return exchange_why(x, FAULT_CONN_FOR_IDENTITIES,
                        "the peer is %s, connection %s expects %s%s%s", who, conn->name,
                        identity_text(ike, &remote->id), *hint ? "; " : "", hint);
}

enum fault conn_by_identities(struct exchange *x)
{
    struct candidate best = candidate_best(x);
    if (!best.score || !best.id_fits || !best.method_fits || !best.count_fits)
        return identities_fault(x, &best);
    sa_set_conn(x->sa, best.loaded->conn);
    return OK;
}

bool conn_try_next(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct handshake *handshake = sa->handshake;
    const struct loaded *loaded = loaded_find(sa->ike, sa->conn->name);
    if (!loaded || handshake->tried_count == CANDIDATES_TRIED_MAX) return false;
    handshake->tried[handshake->tried_count++] = loaded->order;
    struct candidate next = candidate_best(x);
    if (!next.score || !next.id_fits || !next.method_fits || !next.count_fits) return false;
    sa_set_conn(sa, next.loaded->conn);
    return true;
}

// --- uniqueness

static void supersede(struct sa *other, const char *why)
{
    report(other->ike, ABOUT_SA(other), IKE_INFO, FAULT_SUPERSEDED, "IKE SA is closed: %s: %s",
           fault_sentence(FAULT_SUPERSEDED), why);
    sa_gone(other, FAULT_SUPERSEDED, why);
}

// RFC 7296 2.4: INITIAL_CONTACT, once it is authenticated, says that no other SA of this pair of
// identities is of use.
enum fault admit_peer(struct exchange *x, bool initial_contact)
{
    struct sa *sa = x->sa;
    uint8_t unique = sa->conn->unique;
    // RFC 7619 2.3: what an unknown peer says about an identity touches nobody else's SA.
    if (unique == UNIQUE_NEVER || sa->bits & PEER_UNKNOWN) return OK;
    for (struct sa *other = ids_find(sa), *next; other; other = next) {
        next = other->same_ids;
        if (other == sa || other->replaced_by || other->state != ESTABLISHED) continue;
        if (other->bits & PEER_UNKNOWN) continue;
        // When both ends initiate at once each says INITIAL_CONTACT, and it was true when it was
        // said: it does not mean an SA that came up meanwhile.
        if (initial_contact && sa->handshake && other->established >= sa->handshake->began)
            continue;
        if (initial_contact) {
            supersede(other, "it sent INITIAL_CONTACT");
        } else if (unique == UNIQUE_KEEP) {
            return exchange_why(x, FAULT_UNIQUE_KEPT, "IKE SA %u", other->id);
        } else if (unique == UNIQUE_REPLACE) {
            alert(sa->ike, other, "unique-replace");
            if (!task_find(other, TASK_DELETE_IKE, 0)) task_add(other, TASK_DELETE_IKE);
            sa_pump(other);
        }
    }
    return OK;
}
