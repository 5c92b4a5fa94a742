// SPDX-License-Identifier: Apache-2.0
// What reading, printing and comparing identities have in common.
#pragma once
#include "model/identity.h"
#include <regex.h>
#include <strings.h>

static inline bool text_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size &&
           (!a.size || strncasecmp((const char *)a.at, (const char *)b.at, a.size) == 0);
}

static inline struct bytes text_from(struct bytes text, size_t at)
{
    return bytes_of(text.at + at, text.size - at);
}

bool identity_text_is_visible(struct bytes text);
enum fault identity_regex(struct bytes text, regex_t *compiled);
bool identity_range(const struct identity *id, struct range *range); // false: it has no addresses
