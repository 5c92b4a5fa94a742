// SPDX-License-Identifier: Apache-2.0
// Pools of virtual addresses and their leases (RFC 7296 2.19). Leases are kept in memory; whoever wants
// them to outlive it keeps what IKE_OUT_LEASE says, and tells it after the next start.
//
//     pool ── leases, in the order in which they were made
//      ├───── of them those that nobody holds, the longest free first
//      ├───── by address
//      └───── by identity: one may have several
//
// An identity that comes again takes what it had before, as long as nobody else needed it:
// addresses that never belonged to anybody go first, then the one that has been free for longest.
#include "ike/internal.h"

enum { LEASES_MAX = 1 << 20, KEY_MAX = IDENTITY_SIZE_MAX + 1 };

struct pool {
    struct list link; // of the core's
    char *name;
    struct addr base;
    struct range range;
    struct addr unused; // never given out; none: there is no such address left
    bool retired;       // unloaded, but addresses are still held
    uint8_t attribute_count;
    struct pool_attribute *attributes; // owned, as are their values
    struct list leases, idle;
    struct map by_addr, by_identity;
    uint32_t lease_count, online;
};

struct lease {
    struct list link, idle; // of its pool's lists
    struct pool *pool;
    struct addr addr, peer; // peer: where its holder is
    struct identity id;     // owned
    struct lease *same_id;  // next one of the identity
    unsigned holders;       // IKE SAs
};

// --- tables

static struct bytes identity_key(const struct identity *id, uint8_t space[KEY_MAX])
{
    size_t size = id->bytes.size < IDENTITY_SIZE_MAX ? id->bytes.size : IDENTITY_SIZE_MAX;
    space[0] = id->type;
    if (size) memcpy(space + 1, id->bytes.at, size);
    return bytes_of(space, size + 1);
}

static struct lease *leases_of(const struct pool *pool, const struct identity *id)
{
    uint8_t space[KEY_MAX];
    return map_get(&pool->by_identity, identity_key(id, space));
}

static void identity_enter(struct lease *lease, const struct identity *id)
{
    uint8_t space[KEY_MAX];
    struct bytes key = identity_key(id, space);
    lease->id = identity_copy(id);
    lease->same_id = map_get(&lease->pool->by_identity, key);
    map_put(&lease->pool->by_identity, key, lease);
}

static void identity_leave(struct lease *lease)
{
    uint8_t space[KEY_MAX];
    struct bytes key = identity_key(&lease->id, space);
    struct lease *first = map_get(&lease->pool->by_identity, key);
    if (first == lease && lease->same_id)
        map_put(&lease->pool->by_identity, key, lease->same_id);
    else if (first == lease)
        map_remove(&lease->pool->by_identity, key);
    for (struct lease *at = first; at && at != lease; at = at->same_id)
        if (at->same_id == lease) at->same_id = lease->same_id;
    lease->same_id = NULL;
    identity_free(&lease->id);
}

static struct lease *lease_new(struct pool *pool, const struct addr *addr,
                               const struct identity *id)
{
    struct lease *lease = NEW(struct lease);
    lease->pool = pool;
    lease->addr = *addr;
    list_append(&pool->leases, &lease->link);
    list_append(&pool->idle, &lease->idle);
    map_put(&pool->by_addr, addr_bytes(&lease->addr), lease);
    identity_enter(lease, id);
    pool->lease_count++;
    return lease;
}

static void lease_free(struct lease *lease)
{
    struct pool *pool = lease->pool;
    identity_leave(lease);
    map_remove(&pool->by_addr, addr_bytes(&lease->addr));
    list_remove(&lease->link);
    list_remove(&lease->idle);
    pool->lease_count--;
    free(lease);
}

// --- pools come and go

static struct pool *pool_find(const struct ike *ike, const char *name)
{
    LIST_EACH (struct pool, link, pool, &ike->pools)
        if (strcmp(pool->name, name) == 0) return pool;
    return NULL;
}

static void attributes_free(struct pool *pool)
{
    for (unsigned i = 0; i < pool->attribute_count; i++) mem_drop(&pool->attributes[i].value);
    free(pool->attributes);
    pool->attributes = NULL;
    pool->attribute_count = 0;
}

static void attributes_copy(struct pool *pool, const struct pool_conf *conf)
{
    attributes_free(pool);
    pool->attributes = mem_array(POOL_ATTRIBUTES_MAX, sizeof *pool->attributes);
    for (unsigned i = 0; i < conf->attribute_count && i < POOL_ATTRIBUTES_MAX; i++) {
        struct bytes value = conf->attributes[i].value;
        pool->attributes[pool->attribute_count++] =
            (struct pool_attribute){conf->attributes[i].type, mem_copy(value)};
    }
}

static void pool_free(struct pool *pool)
{
    LIST_EACH (struct lease, link, lease, &pool->leases) lease_free(lease);
    list_remove(&pool->link);
    attributes_free(pool);
    map_wipe(&pool->by_addr);
    map_wipe(&pool->by_identity);
    free(pool->name);
    free(pool);
}

static struct pool *pool_new(struct ike *ike, const char *name)
{
    struct pool *pool = NEW(struct pool);
    pool->name = mem_text(name);
    list_init(&pool->leases);
    list_init(&pool->idle);
    map_init(&pool->by_addr, rng_u64(ike->rng), rng_u64(ike->rng));
    map_init(&pool->by_identity, rng_u64(ike->rng), rng_u64(ike->rng));
    list_append(&ike->pools, &pool->link);
    return pool;
}

void pool_load(struct ike *ike, const struct pool_conf *conf)
{
    struct pool *pool = pool_find(ike, conf->name);
    if (!pool) pool = pool_new(ike, conf->name);
    pool->retired = false;
    pool->base = conf->base;
    attributes_copy(pool, conf);
    if (addr_equal(&pool->range.low, &conf->range.low) &&
        addr_equal(&pool->range.high, &conf->range.high))
        return;
    pool->range = conf->range;
    pool->unused = conf->range.low;
    LIST_EACH (struct lease, link, lease, &pool->leases)
        if (!lease->holders && !range_has(&pool->range, &lease->addr)) lease_free(lease);
}

void pool_unload(struct ike *ike, const char *name)
{
    struct pool *pool = pool_find(ike, name);
    if (!pool) return;
    pool->retired = true;
    if (!pool->online) pool_free(pool);
}

void pools_free(struct ike *ike)
{
    LIST_EACH (struct pool, link, pool, &ike->pools) pool_free(pool);
}

void lease_restore(struct ike *ike, const struct ike_lease *known)
{
    struct pool *pool = pool_find(ike, known->pool);
    if (!pool || pool->lease_count >= LEASES_MAX || !range_has(&pool->range, &known->addr)) return;
    if (!map_get(&pool->by_addr, addr_bytes(&known->addr))) lease_new(pool, &known->addr, known->id);
}

static void lease_tell(struct ike *ike, const struct lease *lease)
{
    struct ike_out *out = out_new(ike, IKE_OUT_LEASE);
    struct identity *id = arena_new(&ike->arena, sizeof *id);
    *id = lease->id;
    id->bytes = arena_copy(&ike->arena, lease->id.bytes);
    out->lease = (struct ike_lease){arena_text(&ike->arena, bytes_of_text(lease->pool->name)),
                                    lease->addr, id};
}

// --- an address for a peer, in the order of preference

static bool is_held_by(const struct lease *lease, const struct sa *sa)
{
    for (unsigned i = 0; i < sa->lease_count; i++)
        if (sa->leases[i] == lease) return true;
    return false;
}

// Two IKE SAs may hold one address while a peer replaces one by the other: it asks for the address
// that it has, from where it is; or its former SA is about to be closed.
static bool may_share(const struct lease *lease, const struct sa *sa, const struct addr *wanted)
{
    if (is_held_by(lease, sa)) return false;
    if (sa->conn->unique == UNIQUE_REPLACE) return true;
    return addr_equal(&lease->addr, wanted) && addr_equal(&lease->peer, &sa->path.remote.addr);
}

static struct lease *lease_own(struct pool *pool, const struct sa *sa, const struct addr *wanted)
{
    struct lease *best = NULL, *shared = NULL;
    for (struct lease *at = leases_of(pool, &sa->remote_id); at; at = at->same_id) {
        if (!range_has(&pool->range, &at->addr)) continue;
        if (at->holders) {
            if (may_share(at, sa, wanted)) shared = at;
        } else if (!best || addr_equal(&at->addr, wanted)) {
            best = at;
        }
    }
    bool wants_shared = shared && addr_equal(&shared->addr, wanted);
    return wants_shared || !best ? shared : best;
}

static struct lease *lease_unused(struct pool *pool, const struct sa *sa, const struct addr *wanted)
{
    if (pool->lease_count >= LEASES_MAX) return NULL;
    if (range_has(&pool->range, wanted) && !map_get(&pool->by_addr, addr_bytes(wanted)))
        return lease_new(pool, wanted, &sa->remote_id);
    while (pool->unused.family) {
        struct addr addr = pool->unused;
        bool last = addr_equal(&addr, &pool->range.high) || !addr_next(&pool->unused);
        if (last) pool->unused = (struct addr){0};
        if (!map_get(&pool->by_addr, addr_bytes(&addr)))
            return lease_new(pool, &addr, &sa->remote_id);
    }
    return NULL;
}

static struct lease *lease_of_another(struct pool *pool, const struct sa *sa,
                                      const struct addr *wanted)
{
    (void)wanted;
    struct lease *lease = LIST_FIRST(struct lease, idle, &pool->idle);
    if (!lease) return NULL;
    identity_leave(lease);
    identity_enter(lease, &sa->remote_id);
    return lease;
}

static struct lease *lease_choose(const struct sa *sa, const struct addr *wanted)
{
    static struct lease *(*const choices[])(struct pool *, const struct sa *,
                                            const struct addr *) = {lease_own, lease_unused,
                                                                    lease_of_another};
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        for (unsigned j = 0; j < sa->conn->pool_count; j++) {
            struct pool *pool = pool_find(sa->ike, sa->conn->pools[j]);
            if (!pool || pool->retired || pool->range.low.family != wanted->family) continue;
            struct lease *lease = choices[i](pool, sa, wanted);
            if (lease) return lease;
        }
    }
    return NULL;
}

const struct addr *lease_take(struct sa *sa, const struct addr *wanted)
{
    if (sa->lease_count == CONN_VIPS_MAX) return NULL;
    struct lease *lease = lease_choose(sa, wanted);
    if (!lease) return NULL;
    if (!sa->leases) sa->leases = mem_array(CONN_VIPS_MAX, sizeof *sa->leases);
    if (!sa->remote_vips) sa->remote_vips = mem_array(CONN_VIPS_MAX, sizeof *sa->remote_vips);
    if (lease->holders++ == 0) {
        lease->pool->online++;
        list_remove(&lease->idle);
        lease_tell(sa->ike, lease);
    }
    lease->peer = sa->path.remote.addr;
    sa->remote_vips[sa->lease_count] = lease->addr;
    sa->leases[sa->lease_count++] = lease;
    return &sa->remote_vips[sa->lease_count - 1];
}

static void lease_give_back(struct ike *ike, struct lease *lease)
{
    struct pool *pool = lease->pool;
    if (--lease->holders) return;
    lease_tell(ike, lease);
    pool->online--;
    list_append(&pool->idle, &lease->idle);
    if (!range_has(&pool->range, &lease->addr)) lease_free(lease);
    if (pool->retired && !pool->online) pool_free(pool);
}

void leases_release(struct sa *sa)
{
    if (!sa->leases) return;
    for (unsigned i = 0; i < sa->lease_count; i++) lease_give_back(sa->ike, sa->leases[i]);
    free_later(sa->ike, sa->leases);
    sa->leases = NULL; // the addresses stay for those who look at what has ended
}

void leases_move(struct sa *from, struct sa *to)
{
    leases_release(to);
    free_later(to->ike, to->remote_vips);
    to->leases = from->leases;
    to->remote_vips = from->remote_vips;
    to->lease_count = from->lease_count;
    from->leases = NULL;
    from->remote_vips = NULL;
    from->lease_count = 0;
}

bool pool_attributes(const struct sa *sa, unsigned number, const struct pool_attribute **out,
                     unsigned *count)
{
    *count = 0;
    if (number >= sa->conn->pool_count) return false;
    const struct pool *pool = pool_find(sa->ike, sa->conn->pools[number]);
    if (!pool || pool->retired) return true;
    bool used = sa->lease_count == 0;
    for (unsigned i = 0; i < sa->lease_count; i++) used |= sa->leases[i]->pool == pool;
    if (!used) return true;
    *out = pool->attributes;
    *count = pool->attribute_count;
    return true;
}

// --- looking at them

// How many addresses there are, as far as a 32-bit number holds them.
static uint32_t range_size(const struct range *range)
{
    uint64_t size = 0;
    size_t bytes = addr_size(&range->low);
    for (size_t i = 0; i < bytes; i++) {
        size = (uint64_t)((int64_t)(size << 8) + (range->high.at[i] - (int64_t)range->low.at[i]));
        if (size >= UINT32_MAX) return UINT32_MAX;
    }
    return (uint32_t)size + 1;
}

static struct ike_pool_info info_of(const struct pool *pool)
{
    return (struct ike_pool_info){pool->name, pool->base, range_size(&pool->range), pool->online,
                                  pool->lease_count - pool->online};
}

bool pool_info(const struct ike *ike, const char *name, struct ike_pool_info *out)
{
    const struct pool *pool = pool_find(ike, name);
    if (!pool || pool->retired) return false;
    *out = info_of(pool);
    return true;
}

bool ike_pool_after(const struct ike *ike, const char *name, struct ike_pool_info *out)
{
    const struct pool *former = name ? pool_find(ike, name) : NULL;
    if (name && !former) return false;
    struct list *next = former ? former->link.next : ike->pools.next;
    if (next == &ike->pools) return false;
    *out = info_of(LIST_OWNER(struct pool, link, next));
    return true;
}

bool ike_lease_after(const struct ike *ike, const char *name, const struct addr *addr,
                     struct ike_lease_info *out)
{
    const struct pool *pool = pool_find(ike, name);
    const struct lease *former = pool && addr ? map_get(&pool->by_addr, addr_bytes(addr)) : NULL;
    if (!pool || (addr && !former)) return false;
    struct list *next = former ? former->link.next : pool->leases.next;
    if (next == &pool->leases) return false;
    const struct lease *lease = LIST_OWNER(struct lease, link, next);
    *out = (struct ike_lease_info){lease->addr, &lease->id, lease->holders > 0};
    return true;
}
