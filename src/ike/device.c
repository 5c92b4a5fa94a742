// SPDX-License-Identifier: Apache-2.0
// Which devices the packets of a policy come from and go to (route-based tunnels), and who else
// wants the same packets.
//
// A number in the configuration names a device; children may share it. %unique takes a number for
// each child of each peer, %unique-dir one for each direction; where the connection says so and not
// the child, all children of one peer have the same. Numbers are the peer's, not the SA's: they
// outlive rekeying and reauthentication.
#include "ike/internal.h"

static bool is_unique(uint32_t if_id)
{
    return if_id == IF_ID_UNIQUE || if_id == IF_ID_UNIQUE_DIR;
}

bool devices_are_unique(const struct child_conf *conf)
{
    return is_unique(conf->if_id_in) || is_unique(conf->if_id_out);
}

// --- numbers

enum { IF_IDS = 65536 }; // among which one is looked for; there can be no more devices by far

static void mark(uint8_t taken[IF_IDS / 8], uint32_t if_id)
{
    if (if_id < IF_IDS) taken[if_id / 8] |= (uint8_t)(1 << if_id % 8);
}

static void mark_conn(uint8_t taken[IF_IDS / 8], const struct conn *conn)
{
    for (uint32_t i = 0; i < conn->child_count; i++) {
        mark(taken, conn->children[i].if_id_in);
        mark(taken, conn->children[i].if_id_out);
    }
}

// The lowest that nobody has: a tunnel that comes back gets the same when nothing else has changed.
static uint32_t if_id_new(const struct ike *ike)
{
    uint8_t taken[IF_IDS / 8] = {1};
    size_t cursor = 0;
    for (const struct policy *policy; (policy = map_next(&ike->policies, &cursor));) {
        mark(taken, policy->if_id_in);
        mark(taken, policy->if_id_out);
    }
    LIST_EACH (const struct loaded, link, loaded, &ike->loaded) mark_conn(taken, loaded->conn);
    uint32_t if_id = 1;
    while (if_id < IF_IDS && taken[if_id / 8] >> if_id % 8 & 1) if_id++;
    return if_id;
}

// Another child of the same peer, when the connection's children share their numbers.
static const struct policy *sibling(const struct policy *policy)
{
    size_t cursor = 0;
    if (!policy->conf->if_id_shared) return NULL;
    for (const struct policy *at; (at = map_next(&policy->ike->policies, &cursor));)
        if (at != policy && at->unique && at->conf->if_id_shared &&
            strcmp(at->conn->name, policy->conn->name) == 0 &&
            memcmp(at->peer, policy->peer, sizeof at->peer) == 0)
            return at;
    return NULL;
}

void policy_devices(struct policy *policy, const struct identity *peer)
{
    const struct child_conf *conf = policy->conf;
    struct ike *ike = policy->ike;
    policy->if_id_in = conf->if_id_in;
    policy->if_id_out = conf->if_id_out;
    policy->unique = devices_are_unique(conf);
    if (!policy->unique) return;
    policy->if_id_in = policy->if_id_out = 0;
    devices_peer_key(peer, policy->peer);
    const struct policy *other = sibling(policy);
    if (other) {
        policy->if_id_in = other->if_id_in;
        policy->if_id_out = other->if_id_out;
        return;
    }
    policy->if_id_in = is_unique(conf->if_id_in) ? if_id_new(ike) : conf->if_id_in;
    bool same = conf->if_id_in == IF_ID_UNIQUE && conf->if_id_out == IF_ID_UNIQUE;
    policy->if_id_out = same                         ? policy->if_id_in
                        : is_unique(conf->if_id_out) ? if_id_new(ike)
                                                     : conf->if_id_out;
}

void devices_peer_key(const struct identity *peer, uint8_t out[20])
{
    uint8_t type = peer ? peer->type : 0;
    sha1(PIECES(bytes_of(&type, 1), peer ? peer->bytes : BYTES_NONE), out);
}

// --- overlaps
// RFC 4301 4.4.1: policies are ordered. Of two that are for the very same packets the newer one
// comes first, and the other one's peer gets none: that is said.

static struct bytes traffic_key(const struct policy *policy, uint8_t out[20])
{
    struct selectors local, remote;
    uint32_t numbers[] = {policy->if_id_out, policy->conf->priority};
    policy_sides(policy, &local, &remote);
    sha1(PIECES(bytes_of(numbers, sizeof numbers),
                bytes_of_text(selectors_text(policy->ike, &local)), BYTES("/"),
                bytes_of_text(selectors_text(policy->ike, &remote))),
         out);
    return bytes_of(out, 20);
}

// A peer that may choose among many addresses may choose those of another one, and has their
// packets then, since the narrower policy comes first. What the configuration says of both is meant
// so.
enum { OVERLAP_LOOKS = 1024 }; // policies; with more it would take too long

static bool is_chosen(const struct policy *policy, const struct selectors *remote)
{
    const struct child_conf *conf = policy->conf;
    return policy->users && !conf->remote_dynamic && !selectors_equal(remote, &conf->remote_ts);
}

static bool is_anothers(const struct policy *policy, const struct policy *other)
{
    static const uint8_t nobody[sizeof other->holder];
    bool same_peer = memcmp(other->holder, policy->holder, sizeof nobody) == 0;
    bool unused = memcmp(other->holder, nobody, sizeof nobody) == 0;
    return other != policy && other->installed && !same_peer &&
           (!unused || other->conn != policy->conn) && other->if_id_out == policy->if_id_out;
}

static bool sets_meet(const struct selectors *a, const struct selectors *b)
{
    struct selector both;
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            if (selector_intersect(&a->at[i], &b->at[j], &both)) return true;
    return false;
}

static void reach_say(const struct policy *policy, const struct policy *other,
                      const struct selectors *remote, const struct selectors *other_remote)
{
    struct ike *ike = policy->ike;
    report(
        ike, (struct subject){.conn = policy->conn, .child = policy->conf->name}, IKE_AUDIT,
        FAULT_POLICY_OVERLAP,
        "%s, which the peer chose, reaches into %s of connection %s, child %s, and another peer; "
        "the narrower one gets the packets",
        selectors_text(ike, remote), selectors_text(ike, other_remote), other->conn->name,
        other->conf->name);
}

static void unseen_say(const struct policy *policy, const struct selectors *remote)
{
    struct ike *ike = policy->ike;
    if (ike->overlaps_unseen) return;
    ike->overlaps_unseen = true;
    report(ike, (struct subject){.conn = policy->conn, .child = policy->conf->name}, IKE_AUDIT, OK,
           "there are more than %d policies: it is not looked any more whether what peers choose, "
           "like %s here, reaches into networks of other peers; narrow remote_ts where that matters",
           OVERLAP_LOOKS, selectors_text(ike, remote));
}

static void reach_look(const struct policy *policy)
{
    const struct map *all = &policy->ike->policies;
    struct selectors local, remote, other_local, other_remote;
    size_t cursor = 0;
    policy_sides(policy, &local, &remote);
    if (!is_chosen(policy, &remote)) return;
    if (all->count > OVERLAP_LOOKS) {
        unseen_say(policy, &remote);
        return;
    }
    for (const struct policy *other; (other = map_next(all, &cursor));) {
        if (!is_anothers(policy, other)) continue;
        policy_sides(other, &other_local, &other_remote);
        if (!sets_meet(&local, &other_local) || !sets_meet(&remote, &other_remote)) continue;
        reach_say(policy, other, &remote, &other_remote);
        return;
    }
}

void policy_claim(struct policy *policy)
{
    struct ike *ike = policy->ike;
    uint8_t space[20];
    struct bytes key = traffic_key(policy, space);
    const struct policy *other = map_get(&ike->policies_by_traffic, key);
    if (other == policy) return;
    policy_disclaim(policy);
    memcpy(policy->traffic, key.at, key.size);
    map_put(&ike->policies_by_traffic, BYTES_ARRAY(policy->traffic), policy);
    if (!other) {
        reach_look(policy);
        return;
    }
    struct selectors local, remote;
    policy_sides(policy, &local, &remote);
    report(ike, (struct subject){.conn = policy->conn, .child = policy->conf->name}, IKE_AUDIT,
           FAULT_POLICY_OVERLAP,
           "%s === %s is of connection %s, child %s, as well; the newer one, this one, gets the "
           "packets",
           selectors_text(ike, &local), selectors_text(ike, &remote), other->conn->name,
           other->conf->name);
}

void policy_disclaim(struct policy *policy)
{
    struct map *claims = &policy->ike->policies_by_traffic;
    if (map_get(claims, BYTES_ARRAY(policy->traffic)) == policy)
        map_remove(claims, BYTES_ARRAY(policy->traffic));
}

// Peers of one connection may ask for the same packets, too: they share the policy then, and the
// one that came last gets them.
void policy_taken_over(struct policy *policy, const struct sa *sa)
{
    uint8_t digest[20];
    devices_peer_key(&sa->remote_id, digest);
    if (policy->users && memcmp(digest, policy->holder, sizeof digest) != 0)
        report(policy->ike, ABOUT_SA(sa), IKE_AUDIT, FAULT_POLICY_OVERLAP,
               "child %s is for the same packets as that of another peer of this connection; the "
               "newer one, this one, gets them",
               policy->conf->name);
    memcpy(policy->holder, digest, sizeof digest);
}
