// SPDX-License-Identifier: Apache-2.0
// The latched reader: all of a peer's bytes are read through it. A read past the end latches a failure and returns
// zeros or empty views, so that a parser is straight-line code with one check at its end:
//
//     struct rd in = rd_over(body);
//     ke->group = rd_u16(&in);
//     rd_skip(&in, 2);
//     ke->value = rd_rest(&in);
//     TRY(rd_end(&in));
#pragma once
#include "base/bytes.h"
#include "base/fault.h"

struct rd {
    const uint8_t *at;
    size_t left;
    bool failed;
};

struct rd rd_over(struct bytes in);

uint8_t  rd_u8(struct rd *in);
uint16_t rd_u16(struct rd *in);  // network byte order, like all below
uint32_t rd_u24(struct rd *in);
uint32_t rd_u32(struct rd *in);
uint64_t rd_u64(struct rd *in);
struct bytes rd_bytes(struct rd *in, size_t size);  // borrowed from the input
struct bytes rd_rest(struct rd *in);
void rd_skip(struct rd *in, size_t size);
void rd_copy(struct rd *in, void *out, size_t size);  // zeros when there is not enough
struct rd rd_sub(struct rd *in, size_t size);         // a reader over the next size bytes; failed if they are not there

// OK when nothing failed and nothing is left.
CHECKED enum fault rd_end(const struct rd *in);
// OK when nothing failed so far.
CHECKED enum fault rd_so_far(const struct rd *in);
