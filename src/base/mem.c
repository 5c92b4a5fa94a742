// SPDX-License-Identifier: Apache-2.0
// Memory. Buffers and arenas are wiped when they give memory back, because configuration, control
// messages and decrypted payloads pass through them; that also lets an arena hand out zeroed memory
// without clearing it again.
#include "base/mem.h"
#include "base/secret.h"
#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>

enum { BUF_FIRST = 64, ARENA_BLOCK = 8192 };

_Noreturn void mem_end(const char *why)
{
    fprintf(stderr, "cygnet: %s\n", why);
    abort();
}

static size_t mem_product(size_t count, size_t size)
{
    size_t product;
    if (__builtin_mul_overflow(count, size, &product)) mem_end("an allocation's size overflows");
    return product;
}

void *mem_new(size_t size)
{
    void *at = calloc(1, size ? size : 1);
    if (!at) mem_end("out of memory");
    return at;
}

void *mem_array(size_t count, size_t size)
{
    return mem_new(mem_product(count, size));
}

void *mem_grow(void *at, size_t count, size_t size)
{
    size_t wanted = mem_product(count, size);
    void *grown = realloc(at, wanted ? wanted : 1);
    if (!grown) mem_end("out of memory");
    return grown;
}

char *mem_text(const char *text)
{
    return text ? mem_text_of(bytes_of_text(text)) : NULL;
}

static size_t mem_with_nul(size_t size)
{
    if (size == SIZE_MAX) mem_end("an allocation's size overflows");
    return size + 1;
}

char *mem_text_of(struct bytes text)
{
    char *copy = mem_new(mem_with_nul(text.size));
    if (text.size) memcpy(copy, text.at, text.size);
    return copy;
}

struct bytes mem_copy(struct bytes in)
{
    uint8_t *copy = mem_new(in.size);
    if (in.size) memcpy(copy, in.at, in.size);
    return bytes_of(copy, in.size);
}

void mem_drop(struct bytes *copy)
{
    // The view is constant for its readers; its owner may still free what is below.
    union {
        const uint8_t *borrowed;
        void *owned;
    } at = {copy->at};
    free(at.owned);
    *copy = BYTES_NONE;
}

static size_t text_size(const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    assert(size >= 0);
    return (size_t)size;
}

char *mem_vprintf(const char *format, va_list args)
{
    size_t room = text_size(format, args) + 1;
    char *text = mem_new(room);
    vsnprintf(text, room, format, args);
    return text;
}

char *mem_printf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_vprintf(format, args);
    va_end(args);
    return text;
}

// --- Buffers

// Moves the bytes to a larger place. There is always room for one byte more than the size, a NUL.
static void buf_move(struct buf *buf, size_t room)
{
    uint8_t *at = mem_new(room);
    if (buf->size) memcpy(at, buf->at, buf->size);
    memory_wipe(buf->at, buf->room);
    free(buf->at);
    buf->at = at;
    buf->room = room;
}

static bool buf_reserve(struct buf *buf, size_t size)
{
    if (buf->failed || buf->size > buf->max || size > buf->max - buf->size) {
        buf->failed = true;
        return false;
    }
    size_t wanted = mem_with_nul(buf->size + size);
    if (wanted <= buf->room) return true;
    size_t doubled = buf->room > SIZE_MAX / 2 ? SIZE_MAX : buf->room * 2;
    size_t room = doubled > wanted ? doubled : wanted;
    buf_move(buf, room > BUF_FIRST ? room : BUF_FIRST);
    return true;
}

uint8_t *buf_space(struct buf *buf, size_t size)
{
    if (!buf_reserve(buf, size)) return NULL;
    uint8_t *at = buf->at + buf->size;
    memset(at, 0, size);
    buf->size += size;
    return at;
}

void buf_add(struct buf *buf, struct bytes bytes)
{
    if (!buf_reserve(buf, bytes.size)) return;
    if (bytes.size) memcpy(buf->at + buf->size, bytes.at, bytes.size);
    buf->size += bytes.size;
}

void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, bytes_of_text(text));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t size = text_size(format, args);
    if (buf_reserve(buf, size)) {
        vsnprintf((char *)buf->at + buf->size, size + 1, format, args);
        buf->size += size;
    }
    va_end(args);
}

struct bytes buf_bytes(const struct buf *buf)
{
    return bytes_of(buf->at, buf->size);
}

const char *buf_text(struct buf *buf)
{
    if (buf->room == 0) buf_move(buf, BUF_FIRST);
    buf->at[buf->size] = '\0';
    return (const char *)buf->at;
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
    buf->failed = false;
}

void buf_free(struct buf *buf)
{
    memory_wipe(buf->at, buf->room);
    free(buf->at);
    *buf = BUF(buf->max);
}

// --- Arenas
//
//   arena.blocks -> [ next | room | used | data...... free ] -> [ full ] -> [ full ]
//
// Bytes beyond a block's used ones are zero at all times.

struct arena_block {
    struct arena_block *next;
    size_t room, used;
    alignas(max_align_t) uint8_t data[];
};

static struct arena_block *arena_block_new(size_t size)
{
    size_t room = size > ARENA_BLOCK ? size : ARENA_BLOCK, total;
    if (__builtin_add_overflow(sizeof(struct arena_block), room, &total))
        mem_end("an allocation's size overflows");
    struct arena_block *block = mem_new(total);
    block->room = room;
    return block;
}

// A large piece gets a block of its own behind the current one, whose rest stays in use.
static struct arena_block *arena_block_with(struct arena *arena, size_t size)
{
    struct arena_block *first = arena->blocks;
    if (first && size <= first->room - first->used) return first;
    struct arena_block *block = arena_block_new(size);
    if (first && size > ARENA_BLOCK / 4) {
        block->next = first->next;
        first->next = block;
    } else {
        block->next = first;
        arena->blocks = block;
    }
    return block;
}

void *arena_new(struct arena *arena, size_t size)
{
    size_t unit = alignof(max_align_t), rounded;
    if (__builtin_add_overflow(size ? size : 1, unit - 1, &rounded))
        mem_end("an allocation's size overflows");
    rounded -= rounded % unit;
    if (arena->limit && (arena->used > arena->limit || rounded > arena->limit - arena->used))
        mem_end("an arena has reached its limit");
    struct arena_block *block = arena_block_with(arena, rounded);
    void *at = block->data + block->used;
    block->used += rounded;
    arena->used += rounded;
    return at;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    return arena_new(arena, mem_product(count, size));
}

struct bytes arena_copy(struct arena *arena, struct bytes in)
{
    uint8_t *copy = arena_new(arena, in.size);
    if (in.size) memcpy(copy, in.at, in.size);
    return bytes_of(copy, in.size);
}

char *arena_text(struct arena *arena, struct bytes in)
{
    char *copy = arena_new(arena, mem_with_nul(in.size));
    if (in.size) memcpy(copy, in.at, in.size);
    return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = text_size(format, args) + 1;
    char *text = arena_new(arena, room);
    vsnprintf(text, room, format, args);
    va_end(args);
    return text;
}

static void arena_block_free(struct arena_block *block)
{
    memory_wipe(block->data, block->used);
    free(block);
}

// Keeps one block of the usual size: a single large message must not hold its memory for ever.
void arena_reset(struct arena *arena)
{
    struct arena_block *kept = NULL;
    for (struct arena_block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        if (kept || block->room != ARENA_BLOCK) {
            arena_block_free(block);
            continue;
        }
        memory_wipe(block->data, block->used);
        block->used = 0;
        block->next = NULL;
        kept = block;
    }
    arena->blocks = kept;
    arena->used = 0;
}

void arena_free(struct arena *arena)
{
    for (struct arena_block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        arena_block_free(block);
    }
    arena->blocks = NULL;
    arena->used = 0;
}
