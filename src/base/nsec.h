// SPDX-License-Identifier: Apache-2.0
// Time: nanoseconds on a clock that only goes forward (its zero is arbitrary), handed in as a parameter everywhere.
#pragma once
#include <stdint.h>

typedef int64_t nsec;

#define NSEC_NEVER INT64_MAX
#define NSEC_PER_SECOND INT64_C(1000000000)
#define NSEC_PER_MS INT64_C(1000000)

static inline nsec nsec_seconds(int64_t seconds) { return seconds * NSEC_PER_SECOND; }
static inline nsec nsec_ms(int64_t ms) { return ms * NSEC_PER_MS; }
