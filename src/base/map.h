// SPDX-License-Identifier: Apache-2.0
// Hash map from a few bytes to a pointer. The hash is keyed (SipHash) so that peers cannot choose collisions. Keys are
// copied; values are not owned.
#pragma once
#include "base/bytes.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t room, count, removed;
    uint64_t seed[2];
};

void map_init(struct map *map, uint64_t seed0, uint64_t seed1);
void *map_get(const struct map *map, struct bytes key);          // NULL when absent
void *map_put(struct map *map, struct bytes key, void *value);   // returns the value it replaced; value is not NULL
void *map_remove(struct map *map, struct bytes key);             // returns the removed value or NULL
// Walks the map: start with *cursor = 0; NULL at the end. The current element may be removed, nothing may be added.
void *map_next(const struct map *map, size_t *cursor);
void map_wipe(struct map *map);  // frees the keys, not the values
uint64_t map_hash(const struct map *map, struct bytes key);  // SipHash-2-4 under the map's seed

static inline struct bytes map_key_u32(const uint32_t *key) { return bytes_of(key, sizeof *key); }
static inline struct bytes map_key_u64(const uint64_t *key) { return bytes_of(key, sizeof *key); }
