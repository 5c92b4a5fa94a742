// SPDX-License-Identifier: Apache-2.0
// The bounded writer. Once it has latched nothing more is written, not even what would fit.
#include "base/wr.h"
#include "base/mem.h"
#include <assert.h>
#include <stdarg.h>

struct wr wr_over(void *space, size_t limit)
{
    return (struct wr){.at = space, .limit = limit};
}

// All writes pass here.
uint8_t *wr_space(struct wr *out, size_t size)
{
    if (out->failed || size > out->limit - out->size) {
        out->failed = true;
        return NULL;
    }
    uint8_t *at = out->size ? out->at + out->size : out->at;
    out->size += size;
    return at;
}

static void number_store(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = size; i-- > 0; value >>= 8) at[i] = (uint8_t)value;
}

static void wr_number(struct wr *out, uint64_t value, size_t size)
{
    uint8_t *at = wr_space(out, size);
    if (at) number_store(at, value, size);
}

void wr_u8(struct wr *out, uint8_t value)
{
    wr_number(out, value, 1);
}

void wr_u16(struct wr *out, uint16_t value)
{
    wr_number(out, value, 2);
}

void wr_u24(struct wr *out, uint32_t value)
{
    assert(value < 1u << 24);
    wr_number(out, value, 3);
}

void wr_u32(struct wr *out, uint32_t value)
{
    wr_number(out, value, 4);
}

void wr_u64(struct wr *out, uint64_t value)
{
    wr_number(out, value, 8);
}

void wr_bytes(struct wr *out, struct bytes bytes)
{
    uint8_t *at = wr_space(out, bytes.size);
    if (at && bytes.size) memcpy(at, bytes.at, bytes.size);
}

void wr_zeros(struct wr *out, size_t count)
{
    uint8_t *at = wr_space(out, count);
    if (at && count) memset(at, 0, count);
}

void wr_der(struct wr *out, uint8_t tag, struct bytes content)
{
    wr_u8(out, tag);
    if (content.size >= 0x100) {
        wr_u8(out, 0x82);
        wr_u16(out, (uint16_t)content.size);
    } else {
        if (content.size >= 0x80) wr_u8(out, 0x81);
        wr_u8(out, (uint8_t)content.size);
    }
    wr_bytes(out, content);
    if (content.size > UINT16_MAX) out->failed = true;
}

void wr_text(struct wr *out, const char *text)
{
    wr_bytes(out, bytes_of_text(text));
}

// Formatted aside, because printf wants room for a NUL that the output need not have.
void wr_printf(struct wr *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    AUTOFREE_MEM char *text = mem_vprintf(format, args);
    va_end(args);
    wr_text(out, text);
}

static size_t wr_mark(struct wr *out, size_t width)
{
    size_t mark = out->size;
    wr_zeros(out, width);
    return mark;
}

// A length that does not fit its field latches, like bytes that do not fit the space.
static void wr_fill(struct wr *out, size_t mark, size_t extra, size_t width)
{
    if (out->failed) return;
    assert(mark <= out->size && width <= out->size - mark);
    uint64_t most = (UINT64_C(1) << (8 * width)) - 1;
    size_t after = out->size - mark - width;
    if (after > most || extra > most - after) {
        out->failed = true;
        return;
    }
    number_store(out->at + mark, (uint64_t)after + extra, width);
}

size_t wr_mark_u16(struct wr *out)
{
    return wr_mark(out, 2);
}

void wr_fill_u16(struct wr *out, size_t mark, size_t extra)
{
    wr_fill(out, mark, extra, 2);
}

size_t wr_mark_u32(struct wr *out)
{
    return wr_mark(out, 4);
}

void wr_fill_u32(struct wr *out, size_t mark, size_t extra)
{
    wr_fill(out, mark, extra, 4);
}

void wr_patch_u8(struct wr *out, size_t place, uint8_t value)
{
    if (out->failed) return;
    assert(place < out->size);
    out->at[place] = value;
}

struct bytes wr_done(const struct wr *out)
{
    return out->failed ? BYTES_NONE : bytes_of(out->at, out->size);
}

enum fault wr_end(const struct wr *out)
{
    return out->failed ? FAULT_NO_ROOM : OK;
}
