// SPDX-License-Identifier: Apache-2.0
// Identities (RFC 7296 3.5) and patterns for them.
#pragma once
#include "base/fault.h"
#include "base/addr.h"
#include "base/mem.h"
#include "base/wr.h"
#include "model/iana.h"

enum { IDENTITY_ANY = 0, IDENTITY_SIZE_MAX = 1024, IDENTITY_TEXT = 512 };

struct identity {
    uint8_t type;        // enum iana_id; IDENTITY_ANY matches every identity
    bool regex;          // a pattern "^…$" over the printed form
    struct bytes bytes;  // borrowed or owned as the holder says
};

// Parses as strongSwan does: prefixes (fqdn: email: keyid: ipv4: asn1dn: …), "@name", addresses, DNs ("C=CH, O=x, CN=y" or
// "/C=CH/…"), "%any", "{type}:value"; anything else is an FQDN or, with an @ inside, an RFC822 address. Bytes go into arena.
CHECKED enum fault identity_parse(const char *text, struct arena *arena, struct identity *identity);
// The form that identity_parse() reads; DNs as "C=CH, O=x, CN=y". Returns out, always NUL-terminated.
char *identity_print(const struct identity *identity, char *out, size_t out_size);
bool identity_equal(const struct identity *a, const struct identity *b);   // DNs: regardless of string type and case
// Is it one identity, and not a pattern for several?
bool identity_is_one(const struct identity *id);
// Writes bytes that are the same for identities that are equal; room for IDENTITY_FOLDED_MAX is enough.
enum { IDENTITY_FOLDED_MAX = 3 * IDENTITY_SIZE_MAX };
void identity_fold(const struct identity *id, struct wr *out);
// Of "*.example.org" and "*@example.org" what stands behind the star; empty for every other identity.
struct bytes identity_suffix(const struct identity *pattern);
// Does id match pattern? 0: no; the higher the closer: exact > wildcard inside > regex > any. Wildcards: "*.example.org", "*@example.org", DN
// with "*" values, %any.
unsigned identity_matches(const struct identity *pattern, const struct identity *id);
struct identity identity_copy(const struct identity *id);     // owned bytes; identity_free
void identity_free(struct identity *id);
struct identity identity_of_addr(const struct addr *addr, struct arena *arena);
// When two do not match, one sentence why ("FQDN against DN: write fqdn:…", "same but for upper case"), or "".
const char *identity_hint(const struct identity *pattern, const struct identity *id);
