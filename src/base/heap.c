// SPDX-License-Identifier: Apache-2.0
// Binary min-heap of deadlines. Places count from 1: the parent of place n is n / 2, its children
// 2n and 2n + 1.
#include "base/heap.h"
#include "base/mem.h"
#include <assert.h>

static void heap_place(struct heap *heap, struct heap_item *item, size_t place)
{
    heap->items[place - 1] = item;
    item->place = place;
}

static struct heap_item *heap_at(const struct heap *heap, size_t place)
{
    return heap->items[place - 1];
}

static void heap_rise(struct heap *heap, struct heap_item *item, size_t place)
{
    for (; place > 1 && heap_at(heap, place / 2)->at > item->at; place /= 2)
        heap_place(heap, heap_at(heap, place / 2), place);
    heap_place(heap, item, place);
}

static void heap_sink(struct heap *heap, struct heap_item *item, size_t place)
{
    for (size_t child; (child = place * 2) <= heap->count; place = child) {
        if (child < heap->count && heap_at(heap, child + 1)->at < heap_at(heap, child)->at) child++;
        if (heap_at(heap, child)->at >= item->at) break;
        heap_place(heap, heap_at(heap, child), place);
    }
    heap_place(heap, item, place);
}

// Lets an item find its place from one that is free.
static void heap_settle(struct heap *heap, struct heap_item *item, size_t place)
{
    if (place > 1 && heap_at(heap, place / 2)->at > item->at)
        heap_rise(heap, item, place);
    else
        heap_sink(heap, item, place);
}

static void heap_remove(struct heap *heap, struct heap_item *item)
{
    size_t place = item->place;
    struct heap_item *last = heap_at(heap, heap->count--);
    item->place = 0;
    if (last != item) heap_settle(heap, last, place);
}

static void heap_insert(struct heap *heap, struct heap_item *item)
{
    if (heap->count == heap->room) {
        heap->room = heap->room ? heap->room * 2 : 16;
        heap->items = mem_grow(heap->items, heap->room, sizeof *heap->items);
    }
    heap_rise(heap, item, ++heap->count);
}

void heap_set(struct heap *heap, struct heap_item *item, nsec at)
{
    assert(item->place == 0 || heap_at(heap, item->place) == item);
    item->at = at;
    if (at == NSEC_NEVER) {
        if (item->place) heap_remove(heap, item);
    } else if (item->place) {
        heap_settle(heap, item, item->place);
    } else {
        heap_insert(heap, item);
    }
}

struct heap_item *heap_first(const struct heap *heap)
{
    return heap->count ? heap->items[0] : NULL;
}

// Items are not touched: their owners may be gone already.
void heap_wipe(struct heap *heap)
{
    free(heap->items);
    *heap = (struct heap){0};
}
