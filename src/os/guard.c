// SPDX-License-Identifier: Apache-2.0
// Boxes on levels.
#include "os/guard.h"
#include "base/mem.h"
#include "base/wr.h"
#include <assert.h>

enum { KEY_MAX = 96 };

void guard_init(struct guard *guard, uint64_t seed0, uint64_t seed1)
{
    *guard = (struct guard){0};
    map_init(&guard->items, seed0, seed1);
}

void guard_wipe(struct guard *guard)
{
    guard_settled(guard);
    for (size_t i = 0; i < guard->count; i++) free(guard->at[i]);
    free(guard->at);
    map_wipe(&guard->items);
    *guard = (struct guard){0};
}

static struct bytes item_key(uint8_t space[KEY_MAX], enum guard_kind kind, const struct box *box,
                             enum guard_verdict verdict, uint64_t precedence)
{
    struct wr out = wr_over(space, KEY_MAX);
    wr_u8(&out, (uint8_t)kind);
    wr_u8(&out, (uint8_t)verdict);
    wr_u64(&out, precedence);
    wr_u8(&out, box->local.low.family);
    wr_bytes(&out, addr_bytes(&box->local.low));
    wr_bytes(&out, addr_bytes(&box->local.high));
    wr_bytes(&out, addr_bytes(&box->remote.low));
    wr_bytes(&out, addr_bytes(&box->remote.high));
    wr_u8(&out, box->protocol_low);
    wr_u8(&out, box->protocol_high);
    wr_u16(&out, box->local_port_low);
    wr_u16(&out, box->local_port_high);
    wr_u16(&out, box->remote_port_low);
    wr_u16(&out, box->remote_port_high);
    struct bytes key = wr_done(&out);
    assert(key.size > 0);
    return key;
}

static bool ranges_meet(const struct range *a, const struct range *b)
{
    return addr_compare(&a->low, &b->high) <= 0 && addr_compare(&b->low, &a->high) <= 0;
}

static bool boxes_meet(const struct box *a, const struct box *b)
{
    return a->local.low.family == b->local.low.family && a->protocol_low <= b->protocol_high &&
           b->protocol_low <= a->protocol_high && a->local_port_low <= b->local_port_high &&
           b->local_port_low <= a->local_port_high && a->remote_port_low <= b->remote_port_high &&
           b->remote_port_low <= a->remote_port_high && ranges_meet(&a->local, &b->local) &&
           ranges_meet(&a->remote, &b->remote);
}

// Fragments have maps of their own, so they never meet the others.
static bool items_meet(const struct guard_item *a, const struct guard_item *b)
{
    return (a->kind == GUARD_FRAGMENT) == (b->kind == GUARD_FRAGMENT) &&
           boxes_meet(&a->box, &b->box);
}

// Does a go before b? Of equals the one that drops.
static int items_order(const struct guard_item *a, const struct guard_item *b)
{
    if (a->precedence != b->precedence) return a->precedence < b->precedence ? -1 : 1;
    return (int)a->verdict - (int)b->verdict;
}

struct gap { // levels that are free for an item
    uint64_t used;
    int low, high;
};

static void gap_narrow(struct gap *gap, const struct guard_item *item,
                       const struct guard_item *other, int level)
{
    if (level < 0 || !items_meet(item, other)) return;
    gap->used |= UINT64_C(1) << level;
    if (item->verdict == other->verdict) return;
    if (items_order(other, item) < 0) {
        if (level + 1 > gap->low) gap->low = level + 1;
    } else if (level < gap->high) {
        gap->high = level;
    }
}

struct gap_for {
    struct gap *gap;
    const struct guard_item *item;
};

static void gap_narrow_for(void *context, const struct guard_item *other)
{
    struct gap_for *to = context;
    gap_narrow(to->gap, to->item, other, other->level);
}

static int gap_first(const struct gap *gap)
{
    for (int level = gap->low; level < gap->high; level++)
        if (!(gap->used >> level & 1)) return level;
    return -1;
}

static void item_touch(struct guard *guard, struct guard_item *item)
{
    if (item->dirty) return;
    item->dirty = true;
    item->next_dirty = guard->dirty;
    guard->dirty = item;
}

static void item_set_level(struct guard *guard, struct guard_item *item, int level)
{
    if (item->level == level) return;
    item->level = (int8_t)level;
    item_touch(guard, item);
}

static int item_compare(const void *a, const void *b)
{
    return items_order(*(struct guard_item *const *)a, *(struct guard_item *const *)b);
}

// All anew, the most important first: each goes to the first level behind those that must come
// before it.
static bool levels_rebuild(struct guard *guard)
{
    struct guard_item **order = mem_array(guard->count, sizeof *order);
    int8_t *level = mem_array(guard->count, sizeof *level);
    bool fits = true;
    memcpy(order, guard->at, guard->count * sizeof *order);
    qsort(order, guard->count, sizeof *order, item_compare);
    for (size_t i = 0; i < guard->count && fits; i++) {
        struct gap gap = {.high = GUARD_LEVELS_MAX};
        for (size_t j = 0; j < i; j++) gap_narrow(&gap, order[i], order[j], level[j]);
        level[i] = (int8_t)gap_first(&gap);
        fits = level[i] >= 0;
    }
    for (size_t i = 0; i < guard->count && fits; i++) item_set_level(guard, order[i], level[i]);
    free(order);
    free(level);
    return fits;
}

// --- fronts

struct guard_front *guard_front_of(struct guard *guard, const struct guard_item *item)
{
    if (item->front < 0) return NULL;
    return &guard->fronts[item->box.local.low.family == ADDR_V6][item->front];
}

static bool front_fits(const struct guard_front *front, const struct range *local)
{
    return addr_equal(&front->local.low, &local->low) &&
           addr_equal(&front->local.high, &local->high);
}

// Passing is left to the maps of boxes: their verdict leaves the chain that all levels are in.
static void item_take_front(struct guard *guard, struct guard_item *item)
{
    const struct range *local = &item->box.local, *remote = &item->box.remote;
    struct guard_front *fronts = guard->fronts[local->low.family == ADDR_V6];
    int free_place = -1;
    item->front = -1;
    if (item->kind != GUARD_PAIR || item->verdict != GUARD_DROP) return;
    if (!addr_equal(&remote->low, &remote->high)) return;
    for (int i = GUARD_FRONTS_MAX; i-- > 0 && item->front < 0;) {
        if (!fronts[i].count) free_place = i;
        if (fronts[i].count && front_fits(&fronts[i], local)) item->front = (int8_t)i;
    }
    if (item->front < 0 && free_place >= 0) {
        item->front = (int8_t)free_place;
        fronts[free_place] = (struct guard_front){.local = *local};
    }
    if (item->front >= 0) fronts[item->front].count++;
}

static void item_free(struct guard *guard, struct guard_item *item)
{
    struct guard_front *front = guard_front_of(guard, item);
    if (front) front->count--;
    free(item);
}

// --- items

static void item_append(struct guard *guard, struct guard_item *item)
{
    if (guard->count == guard->room) {
        guard->room = guard->room ? guard->room * 2 : 16;
        guard->at = mem_grow(guard->at, guard->room, sizeof *guard->at);
    }
    item->place = guard->count;
    guard->at[guard->count++] = item;
    item->serial = guard->serial++;
    item->weight = map_hash(&guard->items, map_key_u64(&item->serial));
    guard_index_add(&guard->index, item);
}

static void item_take_out(struct guard *guard, struct guard_item *item)
{
    struct guard_item *last = guard->at[--guard->count];
    guard->at[item->place] = last;
    last->place = item->place;
    guard_index_remove(&guard->index, item);
}

enum fault guard_add(struct guard *guard, enum guard_kind kind, const struct box *box,
                     enum guard_verdict verdict, uint64_t precedence)
{
    uint8_t space[KEY_MAX];
    struct bytes key = item_key(space, kind, box, verdict, precedence);
    struct guard_item *item = map_get(&guard->items, key);
    if (item) {
        item->references++;
        return OK;
    }
    item = NEW(struct guard_item);
    *item = (struct guard_item){.box = *box,
                                .precedence = precedence,
                                .kind = (uint8_t)kind,
                                .verdict = (uint8_t)verdict,
                                .references = 1,
                                .level = -1,
                                .placed = -1};
    item_take_front(guard, item);
    struct gap gap = {.high = GUARD_LEVELS_MAX};
    guard_index_visit(guard->index, &box->remote, gap_narrow_for, &(struct gap_for){&gap, item});
    item_append(guard, item);
    int level = gap_first(&gap);
    if (level >= 0) {
        item_set_level(guard, item, level);
    } else if (!levels_rebuild(guard)) {
        item_take_out(guard, item);
        item_free(guard, item);
        return FAULT_GUARD_FULL;
    }
    map_put(&guard->items, key, item);
    return OK;
}

void guard_del(struct guard *guard, enum guard_kind kind, const struct box *box,
               enum guard_verdict verdict, uint64_t precedence)
{
    uint8_t space[KEY_MAX];
    struct bytes key = item_key(space, kind, box, verdict, precedence);
    struct guard_item *item = map_get(&guard->items, key);
    if (!item || --item->references > 0) return;
    map_remove(&guard->items, key);
    item_take_out(guard, item);
    item->level = -1;
    item_touch(guard, item);
}

void guard_settled(struct guard *guard)
{
    for (struct guard_item *item = guard->dirty, *next; item; item = next) {
        next = item->next_dirty;
        item->dirty = false;
        item->next_dirty = NULL;
        item->placed = item->level;
        struct guard_front *front = guard_front_of(guard, item);
        if (front && item->level >= 0) front->written |= UINT64_C(1) << item->level;
        if (item->references == 0) item_free(guard, item);
    }
    guard->dirty = NULL;
}

void guard_lost(struct guard *guard)
{
    for (size_t i = 0; i < guard->count; i++) {
        guard->at[i]->placed = -1;
        item_touch(guard, guard->at[i]);
    }
    // Those that were to be deleted are gone already.
    for (struct guard_item *item = guard->dirty; item; item = item->next_dirty) item->placed = -1;
    for (unsigned which = 0; which < 2; which++)
        for (unsigned i = 0; i < GUARD_FRONTS_MAX; i++) guard->fronts[which][i].written = 0;
}
