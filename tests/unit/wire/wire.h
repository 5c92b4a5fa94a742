// SPDX-License-Identifier: Apache-2.0
// What the tests of wire share: bytes written in hexadecimal, and what every payload's reader must
// stand.
#pragma once
#include "../../fuzz/rewrite.h"
#include "../base/unit.h"
#include <ctype.h>

static inline unsigned hex_digit(char c)
{
    return isdigit((unsigned char)c) ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

// Fills space, which has room for half the text's characters, with the digits; blanks do not count.
static inline struct bytes hex_into(const char *text, size_t text_size, uint8_t *space)
{
    size_t digits = 0;
    for (size_t i = 0; i < text_size; i++) {
        if (text[i] == ' ') continue;
        assert_true(isxdigit((unsigned char)text[i]) && !isupper((unsigned char)text[i]));
        unsigned digit = hex_digit(text[i]);
        space[digits / 2] = (uint8_t)(digits % 2 ? space[digits / 2] | digit : digit << 4);
        digits++;
    }
    assert_int_equal(digits % 2, 0);
    return bytes_of(space, digits / 2);
}

#define HEX(text) hex_into(text, sizeof(text) - 1, (uint8_t[sizeof(text) / 2 + 1]){0})

// A copy in memory of exactly its size, so that a sanitizer sees a read beyond it.
static inline struct bytes exact_copy(struct bytes in)
{
    assert_true(in.size < SIZE_MAX / 2);
    uint8_t *at = malloc(in.size ? in.size : 1);
    assert_non_null(at);
    if (in.size) memcpy(at, in.at, in.size);
    return bytes_of(at, in.size);
}

static inline void exact_drop(struct bytes copy)
{
    union {
        const void *constant;
        void *heap;
    } at = {.constant = copy.at};
    free(at.heap);
}

static inline enum fault body_read(uint8_t type, struct bytes body)
{
    uint8_t space[IKE_MESSAGE_MAX];
    struct wr out = wr_over(space, sizeof space);
    return body_rewrite(type, body, &out);
}

static inline void check_rewritten(uint8_t type, struct bytes body, struct bytes expected)
{
    uint8_t space[IKE_MESSAGE_MAX];
    struct wr out = wr_over(space, sizeof space);
    CHECK_FAULT(body_rewrite(type, body, &out), OK);
    check_bytes(wr_done(&out), expected);
}

static inline void check_sane(uint8_t type, struct bytes body)
{
    const char *complaint = body_complaint(type, body);
    if (!complaint) return;
    char text[512];
    fail_msg("payload %u, body %s: %s", type, bytes_hex(body, text, sizeof text), complaint);
}

// `good` is accepted and written back unchanged; each of its beginnings shorter than `least` is a
// fault; no other beginning and no change of a single byte does harm.
static inline void check_robust(uint8_t type, struct bytes good, size_t least)
{
    check_rewritten(type, good, good);
    for (size_t size = 0; size < good.size; size++) {
        struct bytes cut = exact_copy(bytes_of(good.at, size));
        if (size < least) assert_int_not_equal(body_read(type, cut), OK);
        check_sane(type, cut);
        exact_drop(cut);
    }
    for (size_t i = 0; i < good.size * 256; i++) {
        uint8_t *changed = malloc(good.size);
        assert_non_null(changed);
        memcpy(changed, good.at, good.size);
        changed[i / 256] = (uint8_t)i;
        check_sane(type, bytes_of(changed, good.size));
        free(changed);
    }
}

// A body and what reading it says.
struct body_case {
    const char *name;
    const char *hex;
    enum fault fault;
};

static inline void check_cases(uint8_t type, const struct body_case *cases, size_t count)
{
    uint8_t space[2048];
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(cases[i].hex);
        assert_true(size / 2 <= sizeof space);
        struct bytes body = hex_into(cases[i].hex, size, space);
        enum fault fault = body_read(type, body);
        if (fault != cases[i].fault)
            fail_msg("%s: %s, not %s", cases[i].name, fault_name(fault),
                     fault_name(cases[i].fault));
        check_sane(type, body);
    }
}
