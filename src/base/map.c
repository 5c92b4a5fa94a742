// SPDX-License-Identifier: Apache-2.0
// Hash map with open addressing: a key is looked for from its hash's slot onwards until an empty
// slot. A removed key leaves a mark that look-ups pass over, so that walking the map while removing
// from it works; marks go away when the slots are rebuilt, and at once where an empty slot follows.
#include "base/map.h"
#include "base/mem.h"
#include <assert.h>

enum { MAP_ROOM = 16, KEY_INSIDE = 24 };

struct map_slot {
    void *value; // NULL: empty, or the mark of a removed key
    bool removed;
    uint64_t hash;
    size_t size;
    union { // most keys are SPIs and addresses and fit inside
        uint8_t inside[KEY_INSIDE];
        uint8_t *outside;
    } key;
};

// --- SipHash-2-4 (Aumasson and Bernstein, 2012)

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static void sip_add(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

static uint64_t sip_word(const uint8_t *at, size_t size)
{
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++) word |= (uint64_t)at[i] << (8 * i);
    return word;
}

uint64_t map_hash(const struct map *map, struct bytes key)
{
    uint64_t v[4] = {
        map->seed[0] ^ UINT64_C(0x736f6d6570736575),
        map->seed[1] ^ UINT64_C(0x646f72616e646f6d),
        map->seed[0] ^ UINT64_C(0x6c7967656e657261),
        map->seed[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t whole = key.size - key.size % 8;
    for (size_t i = 0; i < whole; i += 8) sip_add(v, sip_word(key.at + i, 8));
    uint64_t last = key.size % 8 ? sip_word(key.at + whole, key.size % 8) : 0;
    sip_add(v, last | (uint64_t)key.size << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

// --- Slots

static struct bytes slot_key(const struct map_slot *slot)
{
    return bytes_of(slot->size > KEY_INSIDE ? slot->key.outside : slot->key.inside, slot->size);
}

static void slot_set_key(struct map_slot *slot, struct bytes key)
{
    slot->size = key.size;
    if (key.size > KEY_INSIDE) slot->key.outside = mem_new(key.size);
    uint8_t *at = key.size > KEY_INSIDE ? slot->key.outside : slot->key.inside;
    if (key.size) memcpy(at, key.at, key.size);
}

static void slot_free_key(struct map_slot *slot)
{
    if (slot->value && slot->size > KEY_INSIDE) free(slot->key.outside);
}

static size_t slot_after(const struct map *map, size_t place)
{
    return (place + 1) & (map->room - 1);
}

// There is always an empty slot, at which the search ends.
static struct map_slot *map_find(const struct map *map, struct bytes key, uint64_t hash)
{
    if (map->room == 0) return NULL;
    for (size_t place = hash & (map->room - 1);; place = slot_after(map, place)) {
        struct map_slot *slot = &map->slots[place];
        if (!slot->value && !slot->removed) return NULL;
        if (slot->value && slot->hash == hash && bytes_equal(slot_key(slot), key)) return slot;
    }
}

static struct map_slot *map_free_slot(const struct map *map, uint64_t hash)
{
    size_t place = hash & (map->room - 1);
    while (map->slots[place].value) place = slot_after(map, place);
    return &map->slots[place];
}

// Gives the map as much room as its keys need, twice, which also drops the marks of removed ones.
static void map_rebuild(struct map *map)
{
    struct map old = *map;
    map->room = MAP_ROOM;
    while (map->room / 2 <= map->count) map->room *= 2;
    map->slots = mem_array(map->room, sizeof *map->slots);
    map->removed = 0;
    for (size_t i = 0; i < old.room; i++)
        if (old.slots[i].value) *map_free_slot(map, old.slots[i].hash) = old.slots[i];
    free(old.slots);
}

static bool map_is_crowded(const struct map *map)
{
    return map->count + map->removed >= map->room / 4 * 3;
}

// After a flood has passed the room is given back.
static bool map_is_deserted(const struct map *map)
{
    return map->room > MAP_ROOM && map->count < map->room / 16;
}

// --- The map

void map_init(struct map *map, uint64_t seed0, uint64_t seed1)
{
    *map = (struct map){.seed = {seed0, seed1}};
}

void *map_get(const struct map *map, struct bytes key)
{
    struct map_slot *slot = map_find(map, key, map_hash(map, key));
    return slot ? slot->value : NULL;
}

void *map_put(struct map *map, struct bytes key, void *value)
{
    assert(value);
    uint64_t hash = map_hash(map, key);
    struct map_slot *slot = map_find(map, key, hash);
    if (slot) {
        void *former = slot->value;
        slot->value = value;
        return former;
    }
    if (map_is_crowded(map) || map_is_deserted(map)) map_rebuild(map);
    slot = map_free_slot(map, hash);
    if (slot->removed) map->removed--;
    *slot = (struct map_slot){.value = value, .hash = hash};
    slot_set_key(slot, key);
    map->count++;
    return NULL;
}

// A mark is needed only where a look-up may have to go on behind it.
static void map_drop_marks(struct map *map, size_t place)
{
    const struct map_slot *after = &map->slots[slot_after(map, place)];
    if (after->value || after->removed) return;
    for (; map->slots[place].removed; place = (place - 1) & (map->room - 1)) {
        map->slots[place].removed = false;
        map->removed--;
    }
}

void *map_remove(struct map *map, struct bytes key)
{
    struct map_slot *slot = map_find(map, key, map_hash(map, key));
    if (!slot) return NULL;
    void *value = slot->value;
    slot_free_key(slot);
    *slot = (struct map_slot){.removed = true};
    map->count--;
    map->removed++;
    map_drop_marks(map, (size_t)(slot - map->slots));
    return value;
}

void *map_next(const struct map *map, size_t *cursor)
{
    while (*cursor < map->room) {
        void *value = map->slots[(*cursor)++].value;
        if (value) return value;
    }
    return NULL;
}

void map_wipe(struct map *map)
{
    for (size_t i = 0; i < map->room; i++) slot_free_key(&map->slots[i]);
    free(map->slots);
    map_init(map, map->seed[0], map->seed[1]);
}
