// SPDX-License-Identifier: Apache-2.0
// Reads the vectors, and turns names into numbers.
#include "vectors.h"

void vectors_open(struct vector *vector, const char *name)
{
    char path[512];
    *vector = (struct vector){0};
    snprintf(path, sizeof path, "%s/crypto/%s", VECTORS, name);
    vector->file = fopen(path, "r");
    if (!vector->file) fail_msg("no %s", path);
}

bool vector_next(struct vector *vector)
{
    arena_reset(&vector->arena);
    do {
        if (!fgets(vector->line, sizeof vector->line, vector->file)) {
            fclose(vector->file);
            arena_free(&vector->arena);
            return false;
        }
    } while (vector->line[0] == '#');
    char *rest = NULL;
    assert_non_null(strchr(vector->line, '\n'));
    vector->word = strtok_r(vector->line, " \n", &rest);
    vector->count = 0;
    for (char *field; (field = strtok_r(NULL, " \n", &rest));) {
        char *value = strchr(field, '=');
        assert_non_null(value);
        assert_true(vector->count < VECTOR_FIELDS_MAX);
        *value = '\0';
        vector->fields[vector->count].name = field;
        vector->fields[vector->count++].value = value + 1;
    }
    return true;
}

const char *vector_text(const struct vector *vector, const char *name)
{
    for (size_t i = 0; i < vector->count; i++)
        if (strcmp(vector->fields[i].name, name) == 0) return vector->fields[i].value;
    return "";
}

bool vector_is(const struct vector *vector, const char *name, const char *value)
{
    return strcmp(vector_text(vector, name), value) == 0;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct bytes hex_bytes(struct arena *arena, const char *text)
{
    uint8_t *out = arena_new(arena, strlen(text) / 2 + 1);
    size_t digits = 0;
    for (; *text && *text != '-'; text++) {
        if (*text == ' ') continue;
        assert_true(digit(*text) >= 0);
        out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | digit(*text));
        digits++;
    }
    assert_int_equal(digits % 2, 0);
    return bytes_of(out, digits / 2);
}

struct bytes vector_bytes(struct vector *vector, const char *name)
{
    return hex_bytes(&vector->arena, vector_text(vector, name));
}

void check_bytes(struct bytes got, struct bytes expected)
{
    assert_int_equal(got.size, expected.size);
    if (got.size) assert_memory_equal(got.at, expected.at, got.size);
}

static const struct {
    const char *registry, *name;
    unsigned value;
} ids[] = {
#define IANA_ENCR(symbol, value, text) {"ENCR", #symbol, value},
#define IANA_PRF(symbol, value, text) {"PRF", #symbol, value},
#define IANA_INTEG(symbol, value, text) {"INTEG", #symbol, value},
#define IANA_KE(symbol, value, text) {"KE", #symbol, value},
#define IANA_HASH(symbol, value, text) {"HASH", #symbol, value},
#include "model/iana.def"
};

unsigned id_of(const char *registry, const char *name)
{
    for (size_t i = 0; i < COUNT(ids); i++)
        if (strcmp(ids[i].registry, registry) == 0 && strcmp(ids[i].name, name) == 0)
            return ids[i].value;
    fail_msg("no %s %s", registry, name);
    return 0;
}

static void fixed_fill(struct rng *base, void *out, size_t size)
{
    struct rng_fixed *rng = (struct rng_fixed *)base;
    uint8_t *at = out;
    for (size_t i = 0; i < size; i++) at[i] = rng->bytes.at[rng->place++ % rng->bytes.size];
}

void rng_fix(struct rng_fixed *rng, struct bytes bytes)
{
    *rng = (struct rng_fixed){.rng = {fixed_fill}, .bytes = bytes};
}

int crypto_setup(void **state)
{
    (void)state;
    crypto_start();
    return 0;
}
