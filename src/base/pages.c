// SPDX-License-Identifier: Apache-2.0
// Pages from the system, large ones where it has them; and pieces of one size in them.
//
//   chunk, as large as a large page and aligned like one, so that a piece finds its chunk:
//   | next | previous | used | fresh | unused -> piece -> piece | piece | piece | … |
//
// The first piece's room is the chunk's own, so that pieces of 1 KiB do not cross small pages.
#include "base/pages.h"
#include "base/mem.h"
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 // Linux 6.1; before that it is refused, and pages grow together by and by
#endif

// Where addresses are checked each piece stays on its own.
#if defined __SANITIZE_ADDRESS__
enum { PAGES_CHECKED = 1 };
#elif defined __has_feature
#if __has_feature(address_sanitizer)
enum { PAGES_CHECKED = 1 };
#else
enum { PAGES_CHECKED = 0 };
#endif
#else
enum { PAGES_CHECKED = 0 };
#endif

enum { LINE = 64, PAGE_LEAST = 4096 };

static size_t pages_round(size_t size)
{
    assert(size <= SIZE_MAX / 2);
    return (size + PAGES_WIDE - 1) / PAGES_WIDE * PAGES_WIDE;
}

// The system aligns to small pages only: more is taken, and what is too much given back.
void *pages_new(size_t size)
{
    size_t room = pages_round(size);
    uint8_t *at = mmap(NULL, room + PAGES_WIDE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) mem_end("out of memory");
    size_t before = -(uintptr_t)at & (PAGES_WIDE - 1);
    if (before) munmap(at, before);
    munmap(at + before + room, PAGES_WIDE - before);
    return at + before;
}

// Has anything been written where a large page would be?
static bool is_begun(void *at)
{
    unsigned char there[PAGES_WIDE / PAGE_LEAST] = {0};
    if (mincore(at, PAGES_WIDE, there) != 0) return true;
    for (size_t i = 0; i < sizeof there; i++)
        if (there[i] & 1) return true;
    return false;
}

// Refused where the system has none: then all stays as it is. What is empty becomes a large page
// when its first byte is written, and takes no memory until then.
void pages_widen(void *at, size_t size)
{
    size_t room = pages_round(size);
    if (madvise(at, room, MADV_HUGEPAGE) != 0) return;
    for (size_t done = 0; done < room; done += PAGES_WIDE) {
        uint8_t *wide = (uint8_t *)at + done;
        if (is_begun(wide)) (void)madvise(wide, PAGES_WIDE, MADV_COLLAPSE);
    }
}

void pages_free(void *at, size_t size)
{
    if (at) munmap(at, pages_round(size));
}

// --- pieces

struct slab_chunk {
    struct slab_chunk *next, *previous;
    struct slab_piece *unused; // given back
    uint32_t used, fresh;      // pieces; fresh: so many were taken ever, the others are zero
};

struct slab_piece {
    struct slab_piece *next;
};

static size_t slab_room(const struct slab *slab)
{
    return PAGES_WIDE / slab->size - 1;
}

_Static_assert(sizeof(struct slab_chunk) <= LINE, "a chunk begins with one cache line");

static void chunk_unlink(struct slab *slab, struct slab_chunk *chunk)
{
    if (chunk->next) chunk->next->previous = chunk->previous;
    if (chunk->previous)
        chunk->previous->next = chunk->next;
    else
        slab->chunks = chunk->next;
}

static void chunk_link(struct slab *slab, struct slab_chunk *chunk)
{
    chunk->previous = NULL;
    chunk->next = slab->chunks;
    if (chunk->next) chunk->next->previous = chunk;
    slab->chunks = chunk;
}

// One chunk may hold little, more than one are full but for the last.
static struct slab_chunk *chunk_new(struct slab *slab)
{
    struct slab_chunk *chunk = pages_new(PAGES_WIDE);
    if (slab->chunk_count++) pages_widen(chunk, PAGES_WIDE);
    chunk_link(slab, chunk);
    return chunk;
}

void slab_init(struct slab *slab, size_t size)
{
    assert(size > 0 && size <= PAGES_WIDE / 2);
    *slab = (struct slab){.size = (size + LINE - 1) / LINE * LINE};
}

// Full chunks are not in the list: the first one has room.
void *slab_take(struct slab *slab)
{
    if (PAGES_CHECKED) {
        void *piece = aligned_alloc(LINE, slab->size);
        if (!piece) mem_end("out of memory");
        return memset(piece, 0, slab->size);
    }
    struct slab_chunk *chunk = slab->chunks ? slab->chunks : chunk_new(slab);
    struct slab_piece *piece = chunk->unused;
    if (piece)
        chunk->unused = piece->next;
    else
        piece = (void *)((uint8_t *)chunk + ++chunk->fresh * slab->size);
    if (++chunk->used == slab_room(slab)) chunk_unlink(slab, chunk);
    return piece;
}

static void chunk_free(struct slab *slab, struct slab_chunk *chunk)
{
    chunk_unlink(slab, chunk);
    slab->chunk_count--;
    pages_free(chunk, PAGES_WIDE);
}

void slab_give(struct slab *slab, void *at)
{
    if (PAGES_CHECKED) {
        free(at);
        return;
    }
    struct slab_chunk *chunk = (void *)((uintptr_t)at & ~(uintptr_t)(PAGES_WIDE - 1));
    struct slab_piece *piece = at;
    piece->next = chunk->unused;
    chunk->unused = piece;
    if (chunk->used-- == slab_room(slab)) chunk_link(slab, chunk);
    // Another one with room has to be there, lest a piece that comes and goes
    // costs a chunk each time.
    bool spare = chunk->next || chunk->previous;
    if (chunk->used == 0 && spare) chunk_free(slab, chunk);
}

// All pieces have been given back.
void slab_wipe(struct slab *slab)
{
    while (slab->chunks) {
        assert(slab->chunks->used == 0);
        chunk_free(slab, slab->chunks);
    }
    assert(slab->chunk_count == 0);
}
