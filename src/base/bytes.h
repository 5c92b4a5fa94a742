// SPDX-License-Identifier: Apache-2.0
// A borrowed, constant view of bytes: the type in which everything that is read is passed around.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *at;
    size_t size;
};

#define BYTES_NONE ((struct bytes){0})
#define BYTES(literal) ((struct bytes){(const uint8_t *)(literal), sizeof(literal) - 1})
#define BYTES_ARRAY(array) ((struct bytes){(const uint8_t *)(array), sizeof(array)})

static inline struct bytes bytes_of(const void *at, size_t size)
{
    return (struct bytes){at, size};
}

static inline struct bytes bytes_of_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}

// For what is public. Tags, keys and secrets are compared with bytes_equal_secret().
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

// Takes a time that depends on the sizes only.
bool bytes_equal_secret(struct bytes a, struct bytes b);

// Orders like memcmp, a shorter prefix first.
int bytes_compare(struct bytes a, struct bytes b);

// Writes lower-case hexadecimal and a NUL into out (at most out_size); returns out.
char *bytes_hex(struct bytes in, char *out, size_t out_size);
