// SPDX-License-Identifier: Apache-2.0
// What key.c and sig.c share.
#pragma once
#include "crypto/sig.h"
#include <openssl/evp.h>

struct private_key {
    EVP_PKEY *pkey;
};
struct public_key {
    EVP_PKEY *pkey;
};
// A reference more to one that has been read already; reading costs as much as a signature.
CHECKED enum fault public_key_hold(EVP_PKEY *pkey, struct public_key **out);
bool key_is_pss_only(const EVP_PKEY *pkey); // RFC 4055: a key whose certificate says id-RSASSA-PSS
