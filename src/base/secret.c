// SPDX-License-Identifier: Apache-2.0
// Key material that is wiped when it ends.
#include "base/secret.h"
#include "base/mem.h"

void memory_wipe(void *at, size_t size)
{
    if (size) explicit_bzero(at, size);
}

void secret_wipe(struct secret *secret)
{
    memory_wipe(secret->at, secret->size);
    free(secret->at);
    *secret = (struct secret){0};
}

void secret_new(struct secret *secret, size_t size)
{
    secret_wipe(secret);
    if (size) *secret = (struct secret){mem_new(size), size};
}

// The value may be a part of the former one, so that is wiped last.
void secret_set(struct secret *secret, struct bytes value)
{
    struct secret fresh = {0};
    secret_new(&fresh, value.size);
    if (value.size) memcpy(fresh.at, value.at, value.size);
    secret_move(secret, &fresh);
}

void secret_move(struct secret *to, struct secret *from)
{
    if (to == from) return;
    secret_wipe(to);
    *to = *from;
    *from = (struct secret){0};
}
