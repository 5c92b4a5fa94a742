// SPDX-License-Identifier: Apache-2.0
// The anti-replay window as a ring of words.
//
//          |<----------- window ----------->|
//   -------+--------------------------------+---------------> sequence numbers
//   too old                                top    newer: moves the window on
//
// Number n has bit n % 64 of word (n / 64) & word_mask. The ring is at least one word longer than
// the window, so the words that the window enters can be cleared without touching one that it still
// needs.
#include "esp/replay.h"
#include <string.h>

// When nothing is checked ESN still has to guess the upper half: from a distance that no reordering
// exceeds.
enum { INFER_WINDOW_MIN = 4096 };

uint32_t replay_words(uint32_t window)
{
    uint32_t words = REPLAY_SMALL_WORDS;
    while (words * 64 < window + 64) words *= 2;
    return words;
}

void replay_init(struct replay *replay, uint32_t window, uint64_t *ring)
{
    uint32_t words = replay_words(window);
    memset(ring, 0, words * sizeof *ring);
    *replay = (struct replay){.ring = ring, .window = window, .word_mask = words - 1};
}

// RFC 4303 A2.2: a number to the left of the window's lower end belongs to the next 2^32, one that
// lies right of it to the window's own; the two cases of the RFC are whether the window itself
// crosses a multiple of 2^32.
enum fault replay_infer(const struct replay *replay, uint32_t low, uint64_t *sequence)
{
    uint32_t window = replay->window ? replay->window : INFER_WINDOW_MIN;
    uint32_t top_low = (uint32_t)replay->top, top_high = (uint32_t)(replay->top >> 32);
    uint32_t bottom = top_low - window + 1;
    uint64_t high = top_high;
    if (top_low >= window - 1) {
        if (low < bottom) high++;
    } else if (low >= bottom) {
        if (top_high == 0) return FAULT_REPLAY_OLD; // before the first number of all
        high--;
    }
    if (high > UINT32_MAX) return FAULT_REPLAY_OLD; // beyond the last
    *sequence = high << 32 | low;
    return OK;
}

enum fault replay_check(const struct replay *replay, uint64_t sequence)
{
    if (replay->window == 0) return OK;
    if (sequence == 0) return FAULT_REPLAY_OLD; // RFC 4303 2.2: the first packet has number 1
    if (sequence > replay->top) return OK;
    if (replay->top - sequence >= replay->window) return FAULT_REPLAY_OLD;
    uint64_t word = replay->ring[sequence / 64 & replay->word_mask];
    return word >> sequence % 64 & 1 ? FAULT_REPLAY_SEEN : OK;
}

static void replay_advance(struct replay *replay, uint64_t sequence)
{
    uint64_t from = replay->top / 64, words = sequence / 64 - from;
    if (words > replay->word_mask) words = replay->word_mask + UINT64_C(1);
    for (uint64_t i = 1; i <= words; i++) replay->ring[(from + i) & replay->word_mask] = 0;
    replay->top = sequence;
}

enum fault replay_commit(struct replay *replay, uint64_t sequence)
{
    TRY(replay_check(replay, sequence));
    if (sequence > replay->top) replay_advance(replay, sequence);
    if (replay->window)
        replay->ring[sequence / 64 & replay->word_mask] |= UINT64_C(1) << sequence % 64;
    return OK;
}
