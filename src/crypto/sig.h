// SPDX-License-Identifier: Apache-2.0
// Private and public keys and signatures as IKE uses them (RFC 7296 3.8, RFC 4754, RFC 7427, RFC 8420).
#pragma once
#include "crypto/crypto.h"

struct private_key;  // owns an OpenSSL key
struct public_key;
enum key_type { KEY_RSA = 1, KEY_ECDSA, KEY_ED25519, KEY_ED448 };

// PEM or DER; PKCS#8 (also encrypted), PKCS#1, SEC 1. passphrase may be empty.
CHECKED enum fault private_key_read(struct bytes in, struct bytes passphrase, struct private_key **out);
CHECKED enum fault private_key_make(enum key_type type, unsigned bits, struct private_key **out);  // from the system's randomness
CHECKED enum fault private_key_write(const struct private_key *key, bool pem, struct secret *out); // PKCS#8
void private_key_free(struct private_key *key);
enum key_type private_key_type(const struct private_key *key);
unsigned private_key_bits(const struct private_key *key);
struct public_key *private_key_public(const struct private_key *key);
CHECKED enum fault public_key_read_spki(struct bytes der, struct public_key **out);
CHECKED enum fault public_key_write_spki(const struct public_key *key, struct buf *out);
enum key_type public_key_type(const struct public_key *key);
unsigned public_key_bits(const struct public_key *key);
void public_key_id(const struct public_key *key, uint8_t id[20]);   // SHA-1 of the subjectPublicKey bit string
void public_key_free(struct public_key *key);

// What one AUTH payload holds: the method, and for method 14 the data begin with length and AlgorithmIdentifier (RFC 7427 3).
// hashes: bit mask (1 << HASH_…) of what the peer announced with SIGNATURE_HASH_ALGORITHMS; 0: none announced, so the
// old methods 1, 9, 10, 11 are used (RFC 7427 4); Ed25519/Ed448 then cannot be used. schemes: constraint text from the
// configuration ("rsa/pss-sha512", "" for none).
CHECKED enum fault auth_sign(const struct private_key *key, uint32_t hashes, struct bytes schemes, struct bytes_list octets,
                             uint8_t *method, struct buf *data);
// Verifies; *scheme_name (static text, "ED25519", "RSA_EMSA_PSS_SHA2_256") says what was used. SHA-1 is refused unless schemes names it.
CHECKED enum fault auth_verify(const struct public_key *key, uint8_t method, struct bytes data, struct bytes schemes,
                               struct bytes_list octets, const char **scheme_name);
