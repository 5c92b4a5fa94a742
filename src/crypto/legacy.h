// SPDX-License-Identifier: Apache-2.0
// What only old protocols want: bare block ciphers and MD4. Nothing here protects anything by
// itself.
#pragma once
#include "crypto/crypto.h"

// MD4 of RFC 1320, for MSCHAPv2 (RFC 2759 8.3).
void legacy_md4(struct bytes_list data, uint8_t out[16]);
// One DES block; the key has its parity bits (RFC 2759 8.6).
void legacy_des_block(const uint8_t key[8], const uint8_t in[8], uint8_t out[8]);

enum legacy_way { LEGACY_ENCRYPT = 1, LEGACY_DECRYPT };
// CBC of IKEv1, whose messages carry no integrity check of their own (RFC 2409 appendix B). `iv` is
// replaced by the last block of ciphertext, from which the next message goes on. in and out may be
// the same place.
CHECKED enum fault legacy_cbc(uint16_t encr, uint16_t key_bits, struct bytes key,
                              enum legacy_way way, uint8_t *iv, struct bytes in, uint8_t *out);
