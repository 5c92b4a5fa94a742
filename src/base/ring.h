// SPDX-License-Identifier: Apache-2.0
// Places of an array that go round between one thread that writes and one that reads; neither ever
// waits for the other. Who has been given a place owns what is there until he passes it on.
//
//     writer: ring_write(&ring, &place), fill slots[place], ring_written(&ring)
//     reader: for (count = ring_filled(&ring); count; count--) use slots[ring_read(&ring)],
//     ring_done(&ring)
#pragma once
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    RING_LINE = 64
}; // of a cache: what one thread changes often is not beside what the other does

struct ring {
    uint32_t size; // a power of two
    struct {
        alignas(RING_LINE) _Atomic uint32_t written; // so many ever
        uint32_t done_seen;                          // of the other, when it was last looked at
    } writer;
    struct {
        alignas(RING_LINE) _Atomic uint32_t done;
    } reader;
};

static inline void ring_init(struct ring *ring, uint32_t size)
{
    ring->size = size;
    atomic_init(&ring->writer.written, 0);
    ring->writer.done_seen = 0;
    atomic_init(&ring->reader.done, 0);
}

// The place that is to be filled next; false when all are full.
static inline bool ring_write(struct ring *ring, uint32_t *place)
{
    uint32_t written = atomic_load_explicit(&ring->writer.written, memory_order_relaxed);
    if (written - ring->writer.done_seen == ring->size) {
        ring->writer.done_seen = atomic_load_explicit(&ring->reader.done, memory_order_acquire);
        if (written - ring->writer.done_seen == ring->size) return false;
    }
    *place = written & (ring->size - 1);
    return true;
}

static inline void ring_written(struct ring *ring)
{
    uint32_t written = atomic_load_explicit(&ring->writer.written, memory_order_relaxed);
    atomic_store_explicit(&ring->writer.written, written + 1, memory_order_release);
}

// How many places are full, at least.
static inline uint32_t ring_filled(const struct ring *ring)
{
    return atomic_load_explicit(&ring->writer.written, memory_order_acquire) -
           atomic_load_explicit(&ring->reader.done, memory_order_relaxed);
}

// The first full place.
static inline uint32_t ring_read(const struct ring *ring)
{
    return atomic_load_explicit(&ring->reader.done, memory_order_relaxed) & (ring->size - 1);
}

static inline void ring_done(struct ring *ring)
{
    uint32_t done = atomic_load_explicit(&ring->reader.done, memory_order_relaxed);
    atomic_store_explicit(&ring->reader.done, done + 1, memory_order_release);
}
