// SPDX-License-Identifier: Apache-2.0
// Finding among many loaded connections those that a peer can mean, without looking at all of them.
//
// With the first message only addresses are known. Connections that do not differ in hosts,
// proposals and version are one group there, and groups are found by the prefixes of their remote
// hosts, the longest ones first. With IKE_AUTH the peer's identity is known: connections for one
// identity are found by that, those for "*.example.org" by the ending, and those with any other
// pattern by the address again.
//
//     'A' family bits prefix   -> groups
//     'P' family bits prefix   -> connections with a pattern for the identity
//     'I' identity, folded     -> connections for that identity
//     'S' ending, folded       -> connections for identities with that ending
//     'G' digest               -> the group of that shape
#include "ike/internal.h"
#include <assert.h>

enum { PREFIXES_MAX = 254, KEY_MAX = IDENTITY_FOLDED_MAX + 8, ENDINGS_MAX = 128 };

struct entry { // of a group or of a connection, in one place
    struct list link;
    struct place *place;
    void *what;
};
struct place { // where entries are that have the same key
    struct list entries;
    uint8_t *key; // owned
    size_t key_size;
    uint8_t family, bits; // of a prefix
};
struct entries {
    struct entry **at;
    size_t count;
};
struct conn_group { // connections that the first message cannot tell apart
    struct list members;
    struct entries entries;
    uint8_t digest[20];
};
struct loaded_place { // where a connection is in the index
    struct conn_group *group;
    struct list in_group;
    struct loaded *loaded;
    struct entries entries;
    unsigned wanted; // WANT_…
};

// --- places

static struct bytes prefix_key(char kind, const struct prefix *prefix, uint8_t out[KEY_MAX])
{
    struct wr key = wr_over(out, KEY_MAX);
    wr_u8(&key, (uint8_t)kind);
    wr_u8(&key, prefix->addr.family);
    wr_u8(&key, prefix->bits);
    wr_bytes(&key, addr_bytes(&prefix->addr));
    return wr_done(&key);
}

static struct bytes identity_key(char kind, const struct identity *id, uint8_t out[KEY_MAX])
{
    struct wr key = wr_over(out, KEY_MAX);
    wr_u8(&key, (uint8_t)kind);
    identity_fold(id, &key);
    return wr_done(&key);
}

static void entry_add(struct ike *ike, struct entries *entries, struct bytes key, void *what,
                      const struct prefix *prefix)
{
    struct place *place = map_get(&ike->candidates.places, key);
    if (!place) {
        place = NEW(struct place);
        list_init(&place->entries);
        place->key = (uint8_t *)(uintptr_t)mem_copy(key).at;
        place->key_size = key.size;
        if (prefix) {
            place->family = prefix->addr.family;
            place->bits = prefix->bits;
            ike->candidates.lengths[place->family == ADDR_V6][place->bits]++;
        }
        map_put(&ike->candidates.places, key, place);
    }
    struct entry *entry = NEW(struct entry);
    entry->place = place;
    entry->what = what;
    list_append(&place->entries, &entry->link);
    entries->at = mem_grow(entries->at, entries->count + 1, sizeof(struct entry *));
    entries->at[entries->count++] = entry;
}

static void entries_remove(struct ike *ike, struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        struct place *place = entries->at[i]->place;
        list_remove(&entries->at[i]->link);
        free(entries->at[i]);
        if (!list_is_empty(&place->entries)) continue;
        map_remove(&ike->candidates.places, bytes_of(place->key, place->key_size));
        if (place->family) ike->candidates.lengths[place->family == ADDR_V6][place->bits]--;
        free(place->key);
        free(place);
    }
    free(entries->at);
    *entries = (struct entries){0};
}

// Under each prefix that the remote hosts are made of. Any host, and a name, which is not looked
// up for everybody who knocks, are the prefixes of length 0.
static void entries_by_hosts(struct ike *ike, char kind, const struct conn *conn,
                             struct entries *entries, void *what)
{
    uint8_t key[KEY_MAX];
    bool any = conn->remote_count == 0;
    for (unsigned i = 0; i < conn->remote_count; i++) {
        struct prefix prefixes[PREFIXES_MAX];
        const struct host_pattern *host = &conn->remote_hosts[i];
        any |= host->kind != HOST_RANGE;
        if (host->kind != HOST_RANGE) continue;
        size_t count = range_prefixes(&host->range, prefixes, PREFIXES_MAX);
        for (size_t j = 0; j < count && j < PREFIXES_MAX; j++)
            entry_add(ike, entries, prefix_key(kind, &prefixes[j], key), what, &prefixes[j]);
    }
    if (!any) return;
    const struct prefix all[] = {{.addr = addr_any(ADDR_V4)}, {.addr = addr_any(ADDR_V6)}};
    for (unsigned i = 0; i < 2; i++)
        entry_add(ike, entries, prefix_key(kind, &all[i], key), what, &all[i]);
}

// --- groups

static void hosts_write(struct wr *out, const struct host_pattern *hosts, size_t count)
{
    wr_u8(out, (uint8_t)count);
    for (size_t i = 0; i < count; i++) {
        wr_u8(out, hosts[i].kind);
        if (hosts[i].kind == HOST_RANGE) {
            wr_u8(out, hosts[i].range.low.family);
            wr_bytes(out, addr_bytes(&hosts[i].range.low));
            wr_bytes(out, addr_bytes(&hosts[i].range.high));
        } else if (hosts[i].kind == HOST_NAME) {
            wr_text(out, hosts[i].name);
            wr_u8(out, 0);
        }
    }
}

static void group_digest(struct ike *ike, const struct conn *conn, uint8_t out[20])
{
    struct wr shape = wr_over(ike->plain, IKE_MESSAGE_MAX);
    wr_u8(&shape, conn->version);
    hosts_write(&shape, conn->local_hosts, conn->local_count);
    hosts_write(&shape, conn->remote_hosts, conn->remote_count);
    sa_write(&shape, &conn->ike);
    sha1(PIECES(BYTES("G"), shape.failed ? bytes_of_text(conn->name) : wr_done(&shape)), out);
}

static void group_join(struct ike *ike, struct loaded *loaded, struct loaded_place *place)
{
    uint8_t digest[20];
    group_digest(ike, loaded->conn, digest);
    struct conn_group *group = map_get(&ike->candidates.groups, BYTES_ARRAY(digest));
    if (!group) {
        group = NEW(struct conn_group);
        list_init(&group->members);
        memcpy(group->digest, digest, sizeof digest);
        map_put(&ike->candidates.groups, BYTES_ARRAY(digest), group);
        entries_by_hosts(ike, 'A', loaded->conn, &group->entries, group);
    }
    place->group = group;
    // In the order of loading, which a connection keeps when it is loaded anew.
    struct list *at = group->members.prev;
    while (at != &group->members &&
           LIST_OWNER(struct loaded_place, in_group, at)->loaded->order > loaded->order)
        at = at->prev;
    list_prepend(at, &place->in_group);
}

static void group_leave(struct ike *ike, struct loaded_place *place)
{
    struct conn_group *group = place->group;
    list_remove(&place->in_group);
    if (!list_is_empty(&group->members)) return;
    map_remove(&ike->candidates.groups, BYTES_ARRAY(group->digest));
    entries_remove(ike, &group->entries);
    free(group);
}

// --- connections come and go

static void wanted_count(struct ike *ike, const struct loaded_place *place, int by)
{
    if (place->wanted & WANT_CERTS) ike->candidates.want_certs += (uint32_t)by;
    if (place->wanted & WANT_RAW_KEYS) ike->candidates.want_raw_keys += (uint32_t)by;
    if (place->wanted & WANT_BEET) ike->candidates.want_beet += (uint32_t)by;
}

// Only with version 1 is a connection of no use here.
void candidates_add(struct ike *ike, struct loaded *loaded)
{
    const struct conn *conn = loaded->conn;
    uint8_t key[KEY_MAX];
    if (conn->version == 1 || !conn->remote_rounds || !conn->local_rounds) return;
    const struct auth_conf *remote = &conn->remote[0];
    struct loaded_place *place = NEW(struct loaded_place);
    place->loaded = loaded;
    place->wanted = certs_wanted(conn) | (mode_has_beet(conn) ? WANT_BEET : 0u);
    wanted_count(ike, place, +1);
    loaded->place = place;
    group_join(ike, loaded, place);
    struct bytes suffix = identity_suffix(&remote->id);
    bool by_id = remote->auth != AUTH_CLASS_NULL; // RFC 7619 2.4: else the identity counts nothing
    if (by_id && identity_is_one(&remote->id)) {
        entry_add(ike, &place->entries, identity_key('I', &remote->id, key), loaded, NULL);
    } else if (by_id && suffix.size) {
        struct identity ending = {.type = remote->id.type, .bytes = suffix};
        entry_add(ike, &place->entries, identity_key('S', &ending, key), loaded, NULL);
    } else {
        entries_by_hosts(ike, 'P', conn, &place->entries, loaded);
    }
}

void candidates_remove(struct ike *ike, struct loaded *loaded)
{
    struct loaded_place *place = loaded->place;
    if (!place) return;
    loaded->place = NULL;
    wanted_count(ike, place, -1);
    group_leave(ike, place);
    entries_remove(ike, &place->entries);
    free(place);
}

// --- looking

static struct prefix prefix_around(const struct addr *addr, unsigned bits)
{
    struct prefix prefix = {.addr = *addr, .bits = (uint8_t)bits};
    for (unsigned i = 0; i < addr_size(addr); i++) {
        unsigned kept = bits > i * 8 ? bits - i * 8 : 0;
        if (kept < 8) prefix.addr.at[i] &= (uint8_t)(0xff00 >> kept);
    }
    return prefix;
}

typedef void (*place_visit)(void *context, void *what);

static void place_visit_all(const struct ike *ike, struct bytes key, place_visit visit,
                            void *context)
{
    struct place *place = map_get(&ike->candidates.places, key);
    if (!place) return;
    LIST_EACH (struct entry, link, entry, &place->entries) visit(context, entry->what);
}

static void visit_by_address(const struct ike *ike, char kind, const struct addr *addr,
                             place_visit visit, void *context)
{
    uint8_t key[KEY_MAX];
    const uint32_t *lengths = ike->candidates.lengths[addr->family == ADDR_V6];
    for (unsigned bits = (unsigned)addr_size(addr) * 8 + 1; bits-- > 0;) {
        if (!lengths[bits]) continue;
        struct prefix prefix = prefix_around(addr, bits);
        place_visit_all(ike, prefix_key(kind, &prefix, key), visit, context);
    }
}

struct visiting {
    candidate_visit visit;
    void *context;
};

static void group_visit(void *context, void *what)
{
    const struct visiting *visiting = context;
    const struct conn_group *group = what;
    struct loaded_place *first = LIST_FIRST(struct loaded_place, in_group, &group->members);
    visiting->visit(visiting->context, first->loaded);
}

static void loaded_visit(void *context, void *what)
{
    const struct visiting *visiting = context;
    visiting->visit(visiting->context, what);
}

void candidates_by_address(const struct ike *ike, const struct addr *addr, candidate_visit visit,
                           void *context)
{
    struct visiting visiting = {visit, context};
    visit_by_address(ike, 'A', addr, group_visit, &visiting);
}

// "a.b.example.org" has the endings ".b.example.org", ".example.org" and ".org".
static void visit_by_endings(const struct ike *ike, const struct identity *id,
                             struct visiting *visiting)
{
    uint8_t key[KEY_MAX];
    unsigned tried = 0;
    if (id->type != ID_FQDN && id->type != ID_RFC822_ADDR) return;
    for (size_t i = id->bytes.size; i-- > 0 && tried < ENDINGS_MAX;) {
        if (id->bytes.at[i] != '.' && id->bytes.at[i] != '@') continue;
        struct identity ending = {.type = id->type,
                                  .bytes = bytes_of(id->bytes.at + i, id->bytes.size - i)};
        place_visit_all(ike, identity_key('S', &ending, key), loaded_visit, visiting);
        tried++;
    }
}

void candidates_by_identity(const struct ike *ike, const struct addr *addr,
                            const struct identity *id, candidate_visit visit, void *context)
{
    struct visiting visiting = {visit, context};
    uint8_t key[KEY_MAX];
    place_visit_all(ike, identity_key('I', id, key), loaded_visit, &visiting);
    visit_by_endings(ike, id, &visiting);
    visit_by_address(ike, 'P', addr, loaded_visit, &visiting);
}
