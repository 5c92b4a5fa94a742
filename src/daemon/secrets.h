// SPDX-License-Identifier: Apache-2.0
// The shared secrets that the keys role holds, and which of them is meant by two ends. However many there are, a look-up costs
// what the few that come into question do.
#pragma once
#include "base/secret.h"
#include "model/identity.h"

enum { SECRET_OWNERS_MAX = 16 };

struct stored_secret {
    char *id;                // owned; "" for none
    bool is_ppk;
    uint8_t owner_count;
    struct identity owners[SECRET_OWNERS_MAX];   // owned
    struct secret secret;
    uint64_t order;          // of loading
    size_t at;               // in the list
};

struct secret_ends {
    const struct identity *local, *remote;
    const struct addr *local_addr, *remote_addr;   // family 0: unknown
};

struct secrets;
struct secrets *secrets_new(void);
void secrets_free(struct secrets *secrets);
void secrets_add(struct secrets *secrets, struct stored_secret *fresh);   // moves it; one with the same id goes
void secrets_drop(struct secrets *secrets, const char *id);
void secrets_clear(struct secrets *secrets);
size_t secrets_count(const struct secrets *secrets);
const struct stored_secret *secrets_at(const struct secrets *secrets, size_t index);
// The secret whose owners fit both ends best; the peer counts more than ourselves. One without owners fits all, last. Of equal ones
// the one that was loaded first. NULL: none fits.
const struct stored_secret *secrets_choose(const struct secrets *secrets, const struct secret_ends *ends);
// A post-quantum pre-shared key (RFC 8784) by the very bytes of its name; an empty one means any.
const struct stored_secret *secrets_ppk(const struct secrets *secrets, struct bytes id);
void stored_secret_wipe(struct stored_secret *secret);
