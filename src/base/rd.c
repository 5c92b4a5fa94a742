// SPDX-License-Identifier: Apache-2.0
// The latched reader. The latch empties the reader too, so that a loop "while something is left"
// ends by itself.
#include "base/rd.h"

struct rd rd_over(struct bytes in)
{
    return (struct rd){.at = in.at, .left = in.size};
}

// Moves past size bytes and returns where they begin; NULL, with the latch set, when they are not
// there. All reads pass here. NULL is also the place of zero bytes in an empty view: callers go by
// the size, not by the pointer.
static const uint8_t *rd_take(struct rd *in, size_t size)
{
    if (in->failed || size > in->left) {
        in->failed = true;
        in->left = 0;
        return NULL;
    }
    const uint8_t *at = in->at;
    if (size) in->at += size;
    in->left -= size;
    return at;
}

static uint64_t rd_number(struct rd *in, size_t size)
{
    const uint8_t *at = rd_take(in, size);
    if (!at) return 0;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) value = value << 8 | at[i];
    return value;
}

uint8_t rd_u8(struct rd *in)
{
    return (uint8_t)rd_number(in, 1);
}

uint16_t rd_u16(struct rd *in)
{
    return (uint16_t)rd_number(in, 2);
}

uint32_t rd_u24(struct rd *in)
{
    return (uint32_t)rd_number(in, 3);
}

uint32_t rd_u32(struct rd *in)
{
    return (uint32_t)rd_number(in, 4);
}

uint64_t rd_u64(struct rd *in)
{
    return rd_number(in, 8);
}

struct bytes rd_bytes(struct rd *in, size_t size)
{
    const uint8_t *at = rd_take(in, size);
    return at ? bytes_of(at, size) : BYTES_NONE;
}

struct bytes rd_rest(struct rd *in)
{
    return rd_bytes(in, in->left);
}

void rd_skip(struct rd *in, size_t size)
{
    rd_take(in, size);
}

void rd_copy(struct rd *in, void *out, size_t size)
{
    const uint8_t *at = rd_take(in, size);
    if (!size) return;
    if (at)
        memcpy(out, at, size);
    else
        memset(out, 0, size);
}

struct rd rd_sub(struct rd *in, size_t size)
{
    struct bytes part = rd_bytes(in, size);
    return (struct rd){.at = part.at, .left = part.size, .failed = in->failed};
}

enum fault rd_end(const struct rd *in)
{
    if (in->failed) return FAULT_TRUNCATED;
    return in->left ? FAULT_TRAILING_BYTES : OK;
}

enum fault rd_so_far(const struct rd *in)
{
    return in->failed ? FAULT_TRUNCATED : OK;
}
