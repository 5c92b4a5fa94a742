// SPDX-License-Identifier: Apache-2.0
// The integrity algorithms of AH, one packet at a time: an HMAC, AES-XCBC-MAC, AES-CMAC or AES-GMAC. Nothing here allocates once the
// key is made.
#pragma once
#include "crypto/crypto.h"

enum { ICV_FIELD_MAX = 32 };

struct icv_key;  // of one SA; used by one thread

// FAULT_UNSUPPORTED_INTEGRITY, FAULT_KEY_WRONG_SIZE. With GMAC the key has its salt at the end (RFC 4543 5.4).
CHECKED enum fault icv_key_new(uint16_t integ, struct bytes key, struct icv_key **out);
void icv_key_free(struct icv_key *key);
// Bytes of the field. RFC 4543 4: with GMAC the IV stands in it before the tag.
size_t icv_key_size(const struct icv_key *key);
// The data must have zeros where the field is. The IV of GMAC is the sequence number, which no other packet of this key has.
void icv_make(struct icv_key *key, uint64_t sequence, struct bytes_list data, uint8_t field[ICV_FIELD_MAX]);
// Is `field`, as it was received, right for the data with zeros in its place? In a time that does not depend on the bytes.
bool icv_right(struct icv_key *key, struct bytes_list data, const uint8_t *field);
