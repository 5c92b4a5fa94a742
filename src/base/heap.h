// SPDX-License-Identifier: Apache-2.0
// Binary min-heap of deadlines. An item knows its place, so moving or removing one is O(log n).
#pragma once
#include "base/nsec.h"
#include <stddef.h>

struct heap_item {
    nsec at;       // read only; NSEC_NEVER when not in the heap
    size_t place;  // 1-based; 0 when not in the heap
};

struct heap {
    struct heap_item **items;
    size_t count, room;
};

void heap_set(struct heap *heap, struct heap_item *item, nsec at);  // insert, move, or (NSEC_NEVER) remove
struct heap_item *heap_first(const struct heap *heap);              // NULL when empty
void heap_wipe(struct heap *heap);
