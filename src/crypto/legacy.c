// SPDX-License-Identifier: Apache-2.0
// Old algorithms, out of what libcrypto always has: a process without files cannot load OpenSSL's
// legacy module, so DES is triple DES with one key three times, and MD4 is called directly.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/legacy.h"
#include "crypto/internal.h"
#include <openssl/md4.h>

void legacy_md4(struct bytes_list data, uint8_t out[16])
{
    MD4_CTX ctx;
    crypto_must(MD4_Init(&ctx) == 1);
    for (size_t i = 0; i < data.count; i++)
        crypto_must(MD4_Update(&ctx, data.at[i].at, data.at[i].size) == 1);
    crypto_must(MD4_Final(out, &ctx) == 1);
    memory_wipe(&ctx, sizeof ctx);
}

// Decryption with the middle key undoes the first encryption: what is left is one DES.
void legacy_des_block(const uint8_t key[8], const uint8_t in[8], uint8_t out[8])
{
    uint8_t thrice[24], iv[8] = {0};
    for (size_t i = 0; i < sizeof thrice; i += 8) memcpy(thrice + i, key, 8);
    crypto_must(legacy_cbc(ENCR_3DES, 0, BYTES_ARRAY(thrice), LEGACY_ENCRYPT, iv, bytes_of(in, 8),
                           out) == OK);
    memory_wipe(thrice, sizeof thrice);
}

enum fault legacy_cbc(uint16_t encr, uint16_t key_bits, struct bytes key, enum legacy_way way,
                      uint8_t *iv, struct bytes in, uint8_t *out)
{
    struct cipher cipher;
    uint8_t last[16];
    TRY(cipher_init(&cipher, encr, key_bits, key,
                    way == LEGACY_ENCRYPT ? CIPHER_SEAL : CIPHER_OPEN));
    size_t block = cipher_align(&cipher);
    bool fits = cipher.kind == CIPHER_CBC && in.size && in.size % block == 0;
    if (fits) {
        if (way == LEGACY_DECRYPT) memcpy(last, in.at + in.size - block, block);
        cipher_crypt(&cipher, iv, in.at, in.size, out);
        memcpy(iv, way == LEGACY_DECRYPT ? last : out + in.size - block, block);
    }
    cipher_wipe(&cipher);
    return fits ? OK : FAULT_SEALED_WRONG_SIZE;
}
