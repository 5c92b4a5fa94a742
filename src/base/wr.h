// SPDX-License-Identifier: Apache-2.0
// The bounded writer, the mirror of rd.h: it writes network byte order into a given space and latches when that is full.
// A length that is known only later is marked and filled:
//
//     size_t mark = wr_mark_u16(&out);        // writes 0 and remembers the place
//     ...
//     wr_fill_u16(&out, mark, 2);             // length of what follows the mark, plus 2
#pragma once
#include "base/bytes.h"
#include "base/fault.h"

struct wr {
    uint8_t *at;
    size_t size;   // written so far
    size_t limit;
    bool failed;
};

struct wr wr_over(void *space, size_t limit);

void wr_u8(struct wr *out, uint8_t value);
void wr_u16(struct wr *out, uint16_t value);
void wr_u24(struct wr *out, uint32_t value);
void wr_u32(struct wr *out, uint32_t value);
void wr_u64(struct wr *out, uint64_t value);
void wr_bytes(struct wr *out, struct bytes bytes);
void wr_zeros(struct wr *out, size_t count);
void wr_der(struct wr *out, uint8_t tag, struct bytes content);  // an element of DER, of up to 65,535 bytes
void wr_text(struct wr *out, const char *text);  // without its NUL
__attribute__((format(printf, 2, 3))) void wr_printf(struct wr *out, const char *format, ...);  // without the NUL
uint8_t *wr_space(struct wr *out, size_t size);  // a hole for the caller to fill; NULL (and latched) when there is no room

size_t wr_mark_u16(struct wr *out);
void wr_fill_u16(struct wr *out, size_t mark, size_t extra);  // counts the bytes written after the mark, adds extra
size_t wr_mark_u32(struct wr *out);
void wr_fill_u32(struct wr *out, size_t mark, size_t extra);
void wr_patch_u8(struct wr *out, size_t place, uint8_t value);

struct bytes wr_done(const struct wr *out);  // what was written; empty when latched
CHECKED enum fault wr_end(const struct wr *out);  // FAULT_NO_ROOM when latched
