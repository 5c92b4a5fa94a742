// SPDX-License-Identifier: Apache-2.0
// Which connection a peer means, and whether it may come in.
//
// With the first message only addresses are known; the best connection for them whose proposals fit
// is taken for the time being. With IKE_AUTH the identities are known, and the choice is made anew
// among all that fit addresses, suite, identities and way of authentication.
#include "ike/internal.h"

enum { EXPLAIN_MAX = 8192, HOST_SCORES = 8 };

// --- addresses

// How closely does a list of patterns name an address? 0: not at all.
static unsigned hosts_score(const struct host_pattern *hosts, size_t count, const struct addr *addr)
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

enum fault conn_by_addresses(struct ike *ike, const struct path *path,
                             const struct proposals *offered, uint16_t ke,
                             struct first_choice *choice)
{
    unsigned best = 0, nearest_score = 0;
    const struct conn *nearest = NULL;
    LIST_EACH (struct loaded, link, loaded, &ike->loaded) {
        struct suite suite;
        size_t index;
        unsigned score = path_score(loaded->conn, path);
        if (score > nearest_score) {
            nearest_score = score;
            nearest = loaded->conn;
        }
        if (score <= best || proposals_choose(&loaded->conn->ike, offered, PROPOSAL_WITH_KE, ke,
                                              &suite, &index) != OK)
            continue;
        best = score;
        choice->conn = loaded->conn;
        choice->suite = suite;
    }
    if (choice->conn) return OK;
    if (!nearest) return FAULT_CONN_FOR_ADDRESSES;
    char *text = arena_new(&ike->arena, EXPLAIN_MAX + 1);
    struct wr out = wr_over(text, EXPLAIN_MAX);
    wr_printf(&out, "connection %s\n", nearest->name);
    proposals_explain(&nearest->ike, offered, PROPOSAL_WITH_KE, &out);
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
    default:
        return false;
    }
}

struct identity own_identity(const struct sa *sa, struct arena *arena)
{
    const struct identity *configured = &sa->conn->local[0].id;
    return configured->type ? *configured : identity_of_addr(&sa->path.local.addr, arena);
}

static bool suite_fits(const struct conn *conn, const struct suite *suite)
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

struct candidate {
    struct conn *conn;
    unsigned score;
    bool id_fits, method_fits;
};

static struct candidate candidate_of(const struct exchange *x, struct conn *conn,
                                     const struct identity *peer, uint8_t method)
{
    struct candidate result = {.conn = conn};
    unsigned path = path_score(conn, &x->sa->path);
    if (!path || !conn->remote_rounds || !conn->local_rounds || !suite_fits(conn, &x->sa->suite))
        return result;
    unsigned id = identity_matches(&conn->remote[0].id, peer);
    result.id_fits = id && local_id_fits(x, conn);
    result.method_fits = auth_class_allows(&conn->remote[0], method);
    result.score = (result.id_fits ? 4096 : 0) + (result.method_fits ? 2048 : 0) +
                   (id > 15 ? 15 : id) * 64 + path + 1;
    return result;
}

static enum fault identities_fault(struct exchange *x, const struct candidate *nearest,
                                   const struct identity *peer)
{
    struct ike *ike = x->sa->ike;
    const char *who = identity_text(ike, peer);
    if (!nearest->conn) return exchange_why(x, FAULT_CONN_FOR_IDENTITIES, "the peer is %s", who);
    const struct auth_conf *remote = &nearest->conn->remote[0];
    if (nearest->id_fits)
        return exchange_why(
            x, FAULT_AUTH_METHOD, "%s authenticates with %s, connection %s wants %s", who,
            x->auth_method == AUTH_PSK ? "a pre-shared key" : "a signature", nearest->conn->name,
            remote->auth == AUTH_CLASS_PSK ? "a pre-shared key" : "a signature");
    if (identity_matches(&remote->id, peer))
        return exchange_why(x, FAULT_CONN_FOR_IDENTITIES, "%s asks for %s, connection %s is %s",
                            who, identity_text(ike, &x->wanted_id), nearest->conn->name,
                            identity_text(ike, &nearest->conn->local[0].id));
    const char *hint = identity_hint(&remote->id, peer);
    return exchange_why(x, FAULT_CONN_FOR_IDENTITIES,
                        "the peer is %s, connection %s expects %s%s%s", who, nearest->conn->name,
                        identity_text(ike, &remote->id), *hint ? "; " : "", hint);
}

enum fault conn_by_identities(struct exchange *x, const struct identity *peer, uint8_t method)
{
    struct candidate best = {0};
    LIST_EACH (struct loaded, link, loaded, &x->sa->ike->loaded) {
        struct candidate candidate = candidate_of(x, loaded->conn, peer, method);
        if (candidate.score > best.score) best = candidate;
    }
    if (!best.score) best.conn = NULL;
    if (!best.conn || !best.id_fits || !best.method_fits) return identities_fault(x, &best, peer);
    sa_set_conn(x->sa, best.conn);
    return OK;
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
    if (unique == UNIQUE_NEVER) return OK;
    for (struct sa *other = ids_find(sa), *next; other; other = next) {
        next = other->same_ids;
        if (other == sa || other->replaced_by || other->state != ESTABLISHED) continue;
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
