// SPDX-License-Identifier: Apache-2.0
// Numbers from an injected source of randomness, and the seeded source of tests and simulator. That
// one is xoshiro256**: fast and even, but who sees its output can compute what follows, so it never
// makes a key of a user.
#include "base/rng.h"
#include <assert.h>

void rng_fill(struct rng *rng, void *out, size_t size)
{
    if (size) rng->fill(rng, out, size);
}

// Little-endian on every machine, so that a seed means the same everywhere.
static uint64_t rng_number(struct rng *rng, size_t size)
{
    uint8_t at[8];
    uint64_t value = 0;
    rng_fill(rng, at, size);
    for (size_t i = size; i-- > 0;) value = value << 8 | at[i];
    return value;
}

uint32_t rng_u32(struct rng *rng)
{
    return (uint32_t)rng_number(rng, 4);
}

uint64_t rng_u64(struct rng *rng)
{
    return rng_number(rng, 8);
}

// The lowest 2^64 mod limit values are drawn again; what is left is a multiple of limit.
uint64_t rng_below(struct rng *rng, uint64_t limit)
{
    assert(limit > 0);
    uint64_t uneven = (0 - limit) % limit, value;
    do value = rng_u64(rng);
    while (value < uneven);
    return value % limit;
}

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static uint64_t seeded_next(uint64_t state[4])
{
    uint64_t result = rotate(state[1] * 5, 7) * 9, shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate(state[3], 45);
    return result;
}

// Little-endian as well.
static void seeded_fill(struct rng *rng, void *out, size_t size)
{
    struct rng_seeded *seeded = (struct rng_seeded *)(void *)rng;
    uint8_t *at = out;
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++, word >>= 8) {
        if (i % 8 == 0) word = seeded_next(seeded->state);
        at[i] = (uint8_t)word;
    }
}

// The state comes from splitmix64, which never yields four zeros in a row.
void rng_seed(struct rng_seeded *rng, uint64_t seed)
{
    rng->rng.fill = seeded_fill;
    for (size_t i = 0; i < 4; i++) {
        uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        rng->state[i] = z ^ z >> 31;
    }
}
