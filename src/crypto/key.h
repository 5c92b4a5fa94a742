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
bool key_is_pss_only(const EVP_PKEY *pkey); // RFC 4055: a key whose certificate says id-RSASSA-PSS
