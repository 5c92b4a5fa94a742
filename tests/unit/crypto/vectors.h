// SPDX-License-Identifier: Apache-2.0
// What the tests of this folder share: cmocka, checks in our words, and the reader of
// tests/vectors/crypto/*.txt.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "crypto/crypto.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define CHECK_FAULT(expression, expected)                                                          \
    assert_string_equal(fault_name(expression), fault_name(expected))

enum { VECTOR_FIELDS_MAX = 16, VECTOR_LINE_MAX = 16384 };

// One line: its word, and its fields as text.
struct vector {
    FILE *file;
    char line[VECTOR_LINE_MAX];
    const char *word;
    size_t count;
    struct {
        const char *name, *value;
    } fields[VECTOR_FIELDS_MAX];
    struct arena arena; // of the bytes of this line
};
void vectors_open(struct vector *vector, const char *name);
bool vector_next(struct vector *vector); // closes the file at its end
const char *vector_text(const struct vector *vector,
                        const char *name); // "" when there is no such field
bool vector_is(const struct vector *vector, const char *name, const char *value);
struct bytes vector_bytes(struct vector *vector, const char *name);

struct bytes hex_bytes(struct arena *arena, const char *text); // spaces are skipped
void check_bytes(struct bytes got, struct bytes expected);
unsigned id_of(const char *registry, const char *name); // "PRF", "HMAC_SHA1" -> PRF_HMAC_SHA1

// A source of randomness that gives these bytes, over and over.
struct rng_fixed {
    struct rng rng;
    struct bytes bytes;
    size_t place;
};
void rng_fix(struct rng_fixed *rng, struct bytes bytes);
int crypto_setup(void **state); // crypto_start() as a cmocka group's setup
