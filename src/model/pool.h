// SPDX-License-Identifier: Apache-2.0
// A pool of virtual addresses as the core sees it, and what peers are told along with an address (RFC 7296 3.15.1).
#pragma once
#include "base/addr.h"

enum { POOL_ATTRIBUTES_MAX = 48, POOL_VALUE_MAX = 1024, DOMAIN_NAME_MAX = 253 };

struct pool_attribute {
    uint16_t type;        // enum iana_attr, or a number of private use
    struct bytes value;   // as it stands in a configuration payload
};

struct pool_conf {        // everything is borrowed
    const char *name;
    struct addr base;     // as configured, for people
    struct range range;   // that may be given out
    uint8_t attribute_count;
    struct pool_attribute attributes[POOL_ATTRIBUTES_MAX];
};

// Labels of letters, digits, hyphens and underscores with dots between: what may be shown, and given to a resolver.
bool domain_name_is_good(struct bytes name);
