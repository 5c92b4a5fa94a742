// SPDX-License-Identifier: Apache-2.0
// Key material: one owner, moved and never copied by assignment, wiped when it ends. There is no function that prints one.
#pragma once
#include "base/bytes.h"

struct secret {
    uint8_t *at;
    size_t size;
};

void secret_new(struct secret *secret, size_t size);             // zeroed; a former value is wiped
void secret_set(struct secret *secret, struct bytes value);      // copies value in; a former value is wiped
void secret_move(struct secret *to, struct secret *from);        // from is empty afterwards
void secret_wipe(struct secret *secret);                         // wipes and frees; harmless when empty
static inline struct bytes secret_bytes(const struct secret *secret)
{
    return (struct bytes){secret->at, secret->size};
}
void memory_wipe(void *at, size_t size);  // never optimised away

// A local secret that is wiped however the function is left.
#define SECRET(name) __attribute__((cleanup(secret_wipe))) struct secret name = {0}
