// SPDX-License-Identifier: Apache-2.0
// Memory that is there or the process ends, buffers that grow up to a hard maximum, and an arena that is freed whole.
// Peers cannot reach the end of memory: what they make us keep is budgeted per source and in all.
#pragma once
#include "base/bytes.h"
#include <stdarg.h>
#include <stdlib.h>

_Noreturn void mem_end(const char *why);       // ends the process
void *mem_new(size_t size);                    // zeroed
void *mem_array(size_t count, size_t size);    // zeroed, overflow-checked
void *mem_grow(void *at, size_t count, size_t size);  // realloc, overflow-checked, new bytes not zeroed
char *mem_text(const char *text);              // NULL stays NULL
char *mem_text_of(struct bytes text);          // adds the NUL
struct bytes mem_copy(struct bytes in);        // owned: mem_drop() frees it
void mem_drop(struct bytes *copy);             // frees what mem_copy() gave and empties the view
__attribute__((format(printf, 1, 2))) char *mem_printf(const char *format, ...);
__attribute__((format(printf, 1, 0))) char *mem_vprintf(const char *format, va_list args);

#define NEW(type) ((type *)mem_new(sizeof(type)))

static inline void mem_autofree_(void *at)
{
    free(*(void **)at);
}
#define AUTOFREE_MEM __attribute__((cleanup(mem_autofree_)))

// Growable bytes; at and size may be read, all changes go through the functions.
struct buf {
    uint8_t *at;
    size_t size;
    size_t room;
    size_t max;
    bool failed;  // latched when max was reached
};

#define BUF(limit) ((struct buf){.max = (limit)})
void buf_add(struct buf *buf, struct bytes bytes);
void buf_add_text(struct buf *buf, const char *text);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *buf, const char *format, ...);
uint8_t *buf_space(struct buf *buf, size_t size);  // appends size zero bytes, returns them; NULL when latched
struct bytes buf_bytes(const struct buf *buf);
const char *buf_text(struct buf *buf);  // NUL-terminated, NUL not counted in size
void buf_clear(struct buf *buf);        // keeps the memory
void buf_free(struct buf *buf);
static inline void buf_autofree_(struct buf *buf) { buf_free(buf); }
#define AUTOFREE_BUF __attribute__((cleanup(buf_autofree_)))

// Allocations of one step; every decoded message lives in one.
struct arena {
    struct arena_block *blocks;
    size_t used, limit;  // limit 0: none; beyond it the process ends (sizes are checked before)
};
void *arena_new(struct arena *arena, size_t size);  // zeroed, aligned for any type
void *arena_array(struct arena *arena, size_t count, size_t size);
struct bytes arena_copy(struct arena *arena, struct bytes in);
char *arena_text(struct arena *arena, struct bytes in);
__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *arena, const char *format, ...);
void arena_reset(struct arena *arena);  // frees all but one block for reuse
void arena_free(struct arena *arena);
