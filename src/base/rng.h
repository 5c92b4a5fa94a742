// SPDX-License-Identifier: Apache-2.0
// Randomness as an injected value: the daemon passes the system's, tests pass a seed.
#pragma once
#include "base/bytes.h"

struct rng {
    void (*fill)(struct rng *rng, void *out, size_t size);
};

struct rng_seeded {  // deterministic, for tests and the simulator only
    struct rng rng;
    uint64_t state[4];
};

void rng_fill(struct rng *rng, void *out, size_t size);
uint32_t rng_u32(struct rng *rng);
uint64_t rng_u64(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t limit);  // uniform in [0, limit); limit > 0
void rng_seed(struct rng_seeded *rng, uint64_t seed);
