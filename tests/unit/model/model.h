// SPDX-License-Identifier: Apache-2.0
// What the tests of the nouns share: cmocka, a few checks in our words, proposals and selectors
// from text.
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
#include "model/conn.h"
#include "model/dn.h"
#include "model/identity.h"
#include "model/proposal.h"
#include "model/selector.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

// Names both faults when they differ.
#define CHECK_FAULT(expression, expected)                                                          \
    assert_string_equal(fault_name(expression), fault_name(expected))

static inline void check_bytes(struct bytes got, struct bytes expected)
{
    assert_int_equal(got.size, expected.size);
    if (got.size) assert_memory_equal(got.at, expected.at, got.size);
}

// A generator whose seed is printed, so that a failure can be had again.
static inline struct rng_seeded seeded(uint64_t seed)
{
    struct rng_seeded rng;
    print_message("seed %llu\n", (unsigned long long)seed);
    rng_seed(&rng, seed);
    return rng;
}

static inline void check_transforms(const struct proposal *got, const struct proposal *expected)
{
    assert_int_equal(got->count, expected->count);
    for (size_t i = 0; i < got->count; i++) {
        assert_int_equal(got->at[i].type, expected->at[i].type);
        assert_int_equal(got->at[i].id, expected->at[i].id);
        assert_int_equal(got->at[i].key_bits, expected->at[i].key_bits);
    }
}

// Proposals as in a configuration, comma between them; numbered as on the wire.
static inline struct proposals proposals_of(enum iana_protocol protocol, const char *text)
{
    struct proposals set = {0};
    for (const char *at = text; *at;) {
        size_t size = strcspn(at, ",");
        char one[512];
        struct bytes bad;
        assert_true(size < sizeof one && set.count < PROPOSALS_MAX);
        memcpy(one, at, size);
        one[size] = '\0';
        CHECK_FAULT(proposal_parse(one, protocol, &set.at[set.count], &bad), OK);
        set.at[set.count].number = (uint8_t)(set.count + 1);
        set.count++;
        at += size;
        if (*at) at++;
    }
    return set;
}
