// SPDX-License-Identifier: Apache-2.0
// Signature schemes of RFC 7427: their algorithm identifiers, and what the configuration allows of
// them.
#pragma once
#include "base/bytes.h"
#include "base/fault.h"
#include "model/iana.h"

enum scheme_kind {
    SCHEME_RSA_PKCS1,
    SCHEME_RSA_PSS,
    SCHEME_ECDSA,
    SCHEME_ED25519,
    SCHEME_ED448,
    SCHEME_KINDS
};

struct scheme {
    enum scheme_kind kind;
    uint16_t hash; // enum iana_hash
    const char *name;
    struct bytes algorithm; // AlgorithmIdentifier in DER
};
const struct scheme *scheme_find(enum scheme_kind kind, uint16_t hash);
// Reads an AlgorithmIdentifier, also in the variants of encoding that peers use. *salt_size is for
// RSA_PSS.
CHECKED enum fault scheme_read(struct bytes algorithm, const struct scheme **scheme,
                               int *salt_size);

// What the option says: which kinds, with which hashes (bit 1 << HASH_…; 0: any but SHA-1), from
// which key size up.
struct scheme_rules {
    bool kind_named[SCHEME_KINDS];
    uint32_t hashes[SCHEME_KINDS];
    unsigned bits[SCHEME_KINDS];
};
// "rsa/pss-sha512", "ecdsa-sha384", "pubkey-sha256-sha384", "ike:rsa-4096-sha256"; empty: no wish.
CHECKED enum fault scheme_rules_read(struct bytes text, struct scheme_rules *rules);
bool scheme_rules_allow(const struct scheme_rules *rules, enum scheme_kind kind, uint16_t hash);
bool scheme_rules_name_hash(const struct scheme_rules *rules, enum scheme_kind kind, uint16_t hash);
