// SPDX-License-Identifier: Apache-2.0
// How SAs are found: by our SPI, by their number, half-open ones by the peer's first message, by
// both identities. Every look-up is one in a keyed hash map, so that its cost does not grow with
// the number of SAs.
#include "ike/internal.h"
#include <assert.h>

struct source { // one address and its half-open SAs
    unsigned count;
};

// All of them, so that none is forgotten when they are made or freed.
enum { MAPS = 16 };
static void maps_of(struct ike *ike, struct map *out[MAPS])
{
    struct map *const maps[MAPS] = {
        &ike->by_spi,
        &ike->by_id,
        &ike->half_open,
        &ike->sources,
        &ike->by_ids,
        &ike->children_by_id,
        &ike->children_in,
        &ike->children_out,
        &ike->policies,
        &ike->policies_by_key,
        &ike->policies_by_traffic,
        &ike->operations,
        &ike->loaded_by_name,
        &ike->tickets_spent,
        &ike->candidates.places,
        &ike->candidates.groups,
    };
    memcpy(out, maps, sizeof maps);
}

void tables_init(struct ike *ike)
{
    uint64_t seed[2] = {rng_u64(ike->rng), rng_u64(ike->rng)};
    struct map *maps[MAPS];
    maps_of(ike, maps);
    for (size_t i = 0; i < MAPS; i++) map_init(maps[i], seed[0], seed[1] + i);
}

void tables_free(struct ike *ike)
{
    struct map *maps[MAPS];
    maps_of(ike, maps);
    size_t cursor = 0;
    for (struct source *source; (source = map_next(&ike->sources, &cursor));) free(source);
    for (size_t i = 0; i < MAPS; i++) map_wipe(maps[i]);
}

struct sa *sa_by_spi(const struct ike *ike, uint64_t spi)
{
    return map_get(&ike->by_spi, map_key_u64(&spi));
}

struct sa *sa_by_id(const struct ike *ike, uint32_t id)
{
    return id ? map_get(&ike->by_id, map_key_u32(&id)) : NULL;
}

struct child *child_by_id(const struct ike *ike, uint32_t id)
{
    return id ? map_get(&ike->children_by_id, map_key_u32(&id)) : NULL;
}

uint64_t spi_new(struct ike *ike)
{
    uint64_t spi;
    do spi = rng_u64(ike->rng);
    while (spi == 0 || sa_by_spi(ike, spi));
    return spi;
}

// RFC 4303 2.1: SPIs up to 255 are reserved. Ours are unique in this host, whoever the peer is.
uint32_t spi_new_child(struct ike *ike)
{
    uint32_t spi;
    do spi = rng_u32(ike->rng);
    while (spi < SPI_MIN || map_get(&ike->children_in, map_key_u32(&spi)));
    return spi;
}

// --- half-open: found by the SPI that the peer chose and where it sits, counted by its address

static struct bytes half_open_key(uint64_t peer_spi, const struct endpoint *from, uint8_t out[32])
{
    struct wr key = wr_over(out, 32);
    wr_u64(&key, peer_spi);
    wr_u16(&key, from->port);
    wr_bytes(&key, addr_bytes(&from->addr));
    return wr_done(&key);
}

struct sa *half_open_find(const struct ike *ike, uint64_t peer_spi, const struct endpoint *from)
{
    uint8_t key[32];
    return map_get(&ike->half_open, half_open_key(peer_spi, from, key));
}

unsigned half_open_of_source(const struct ike *ike, const struct addr *source)
{
    const struct source *found = map_get(&ike->sources, addr_bytes(source));
    return found ? found->count : 0;
}

void half_open_enter(struct sa *sa, uint64_t peer_spi, const struct endpoint *from)
{
    struct ike *ike = sa->ike;
    struct handshake *handshake = sa->handshake;
    struct bytes key = half_open_key(peer_spi, from, handshake->half_open_key);
    handshake->half_open_key_size = (uint8_t)key.size;
    handshake->source = from->addr;
    map_put(&ike->half_open, key, sa);
    struct source *source = map_get(&ike->sources, addr_bytes(&from->addr));
    if (!source) {
        source = NEW(struct source);
        map_put(&ike->sources, addr_bytes(&from->addr), source);
    }
    source->count++;
    ike->stats.half_open++;
    sa->bits |= IN_HALF_OPEN;
}

void half_open_leave(struct sa *sa)
{
    if (!(sa->bits & IN_HALF_OPEN)) return;
    struct ike *ike = sa->ike;
    struct handshake *handshake = sa->handshake;
    struct bytes key = bytes_of(handshake->half_open_key, handshake->half_open_key_size);
    if (map_get(&ike->half_open, key) == sa) map_remove(&ike->half_open, key);
    struct source *source = map_get(&ike->sources, addr_bytes(&handshake->source));
    assert(source && source->count && ike->stats.half_open);
    if (--source->count == 0) {
        map_remove(&ike->sources, addr_bytes(&handshake->source));
        free(source);
    }
    ike->stats.half_open--;
    sa->bits &= ~(uint32_t)IN_HALF_OPEN;
}

// --- identities: SAs with the same pair are chained

// A peer may write its name in another case, or encode it in another way, and is the same.
static struct bytes ids_key(const struct sa *sa, uint8_t out[20])
{
    uint8_t space[2 * IDENTITY_FOLDED_MAX + 4];
    struct wr both = wr_over(space, sizeof space);
    size_t mark = wr_mark_u16(&both);
    identity_fold(&sa->local_id, &both);
    wr_fill_u16(&both, mark, 0);
    identity_fold(&sa->remote_id, &both);
    sha1(PIECES(wr_done(&both)), out);
    return bytes_of(out, 20);
}

struct sa *ids_find(const struct sa *sa)
{
    uint8_t key[20];
    return map_get(&sa->ike->by_ids, ids_key(sa, key));
}

void ids_enter(struct sa *sa)
{
    if (sa->bits & IN_IDS) return;
    uint8_t key[20];
    sa->same_ids = map_put(&sa->ike->by_ids, ids_key(sa, key), sa);
    sa->bits |= IN_IDS;
}

void ids_leave(struct sa *sa)
{
    if (!(sa->bits & IN_IDS)) return;
    uint8_t space[20];
    struct bytes key = ids_key(sa, space);
    struct sa *first = map_get(&sa->ike->by_ids, key);
    if (first == sa) {
        if (sa->same_ids)
            map_put(&sa->ike->by_ids, key, sa->same_ids);
        else
            map_remove(&sa->ike->by_ids, key);
    } else {
        for (struct sa *at = first; at; at = at->same_ids)
            if (at->same_ids == sa) at->same_ids = sa->same_ids;
    }
    sa->same_ids = NULL;
    sa->bits &= ~(uint32_t)IN_IDS;
}
