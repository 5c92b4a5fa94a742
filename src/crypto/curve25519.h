// SPDX-License-Identifier: Apache-2.0
// X25519 (RFC 7748) and Ed25519 (RFC 8032) by a library that is faster at them than OpenSSL is. They are most of what a set-up costs.
#pragma once
#include "crypto/crypto.h"

enum { CURVE25519_KEY = 32, ED25519_SIGNATURE = 64 };

struct curve25519 {
    void (*make_public)(const uint8_t private[CURVE25519_KEY], uint8_t public[CURVE25519_KEY]);   // X25519
    // False where the result is zero, which a point of small order gives.
    CHECKED bool (*share)(const uint8_t private[CURVE25519_KEY], const uint8_t peer[CURVE25519_KEY], uint8_t shared[CURVE25519_KEY]);
    // Ed25519; `public` is what belongs to the seed.
    void (*sign)(const uint8_t seed[CURVE25519_KEY], const uint8_t public[CURVE25519_KEY], struct bytes octets,
                 uint8_t signature[ED25519_SIGNATURE]);
    CHECKED bool (*verify)(const uint8_t public[CURVE25519_KEY], struct bytes octets, struct bytes signature);
};
const struct curve25519 *curve25519(void);   // NULL: the build has none, and OpenSSL does it
void curve25519_start(void);                 // crypto_start() calls it
