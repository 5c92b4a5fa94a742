// SPDX-License-Identifier: Apache-2.0
// The anti-replay window of an inbound SA (RFC 4303 3.4.3, Appendix A2) over 64-bit sequence
// numbers; without ESN the upper half is zero. The bits are a ring of words, so that moving the
// window on clears words and shifts nothing.
#pragma once
#include "base/fault.h"
#include <stdbool.h>
#include <stdint.h>

enum { REPLAY_WINDOW_MAX = 65536, REPLAY_SMALL_WORDS = 2 };

struct replay {
    uint64_t top;    // the highest number that was authenticated; 0: none yet
    uint64_t *ring;  // word_mask + 1 words
    uint32_t window; // numbers that are remembered; 0: everything passes
    uint32_t word_mask;
};

// Words that a window needs: it, and one word more, rounded up to a power of two.
uint32_t replay_words(uint32_t window);
// ring: replay_words(window) zeroed words, borrowed.
void replay_init(struct replay *replay, uint32_t window, uint64_t *ring);
// RFC 4303 A2.2: the whole number of which a packet carries the lower half.
CHECKED enum fault replay_infer(const struct replay *replay, uint32_t low, uint64_t *sequence);
// Before authentication: may the number be accepted? FAULT_REPLAY_OLD, FAULT_REPLAY_SEEN.
CHECKED enum fault replay_check(const struct replay *replay, uint64_t sequence);
// After authentication: the same question once more (the same packet may be in one burst twice),
// then it is marked.
CHECKED enum fault replay_commit(struct replay *replay, uint64_t sequence);
