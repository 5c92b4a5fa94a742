// SPDX-License-Identifier: Apache-2.0
// Memory in pages, for tables that are large and read at random: there an address costs more than
// what it leads to, unless it lies in a large page. Large pages are asked for when a table is known
// to fill, since the first byte of one takes it whole.
#pragma once
#include <stddef.h>

enum { PAGES_WIDE = 2 << 20 }; // bytes of a large page

void *pages_new(size_t size);              // zeroed, begins where a large page may
void pages_widen(void *at, size_t size);   // large pages from now on, for what is there already, too
void pages_free(void *at, size_t size);    // NULL is harmless

// Pieces of one size, each on cache lines of its own, that come and go. They lie close together,
// and what holds none any more goes back to the system.
struct slab {
    size_t size; // of a piece
    struct slab_chunk *chunks; // those with room first
    size_t chunk_count;
};
void slab_init(struct slab *slab, size_t size);
void *slab_take(struct slab *slab); // zeroed when it is taken for the first time
void slab_give(struct slab *slab, void *piece); // wiped by the caller, if it has to be
void slab_wipe(struct slab *slab);
