// SPDX-License-Identifier: Apache-2.0
// Pseudorandom functions, key expansion and integrity tags, by their IANA numbers.
#include "crypto/internal.h"
#include <assert.h>

static const struct {
    uint16_t prf;
    enum mac_kind mac;
} prf_macs[] = {
    {PRF_HMAC_MD5, MAC_HMAC_MD5},           {PRF_HMAC_SHA1, MAC_HMAC_SHA1},
    {PRF_AES128_XCBC, MAC_AES_XCBC},        {PRF_HMAC_SHA2_256, MAC_HMAC_SHA2_256},
    {PRF_HMAC_SHA2_384, MAC_HMAC_SHA2_384}, {PRF_HMAC_SHA2_512, MAC_HMAC_SHA2_512},
    {PRF_AES128_CMAC, MAC_AES_CMAC},
};

static const struct {
    uint16_t integ;
    enum mac_kind mac;
} integ_macs[] = {
    {INTEG_HMAC_MD5_96, MAC_HMAC_MD5},
    {INTEG_HMAC_MD5_128, MAC_HMAC_MD5},
    {INTEG_HMAC_SHA1_96, MAC_HMAC_SHA1},
    {INTEG_HMAC_SHA1_160, MAC_HMAC_SHA1},
    {INTEG_AES_XCBC_96, MAC_AES_XCBC},
    {INTEG_AES_CMAC_96, MAC_AES_CMAC},
    {INTEG_HMAC_SHA2_256_128, MAC_HMAC_SHA2_256},
    {INTEG_HMAC_SHA2_384_192, MAC_HMAC_SHA2_384},
    {INTEG_HMAC_SHA2_512_256, MAC_HMAC_SHA2_512},
};

enum mac_kind prf_mac(uint16_t prf)
{
    for (size_t i = 0; i < sizeof prf_macs / sizeof prf_macs[0]; i++)
        if (prf_macs[i].prf == prf) return prf_macs[i].mac;
    return MAC_NONE;
}

enum mac_kind integ_mac(uint16_t integ)
{
    for (size_t i = 0; i < sizeof integ_macs / sizeof integ_macs[0]; i++)
        if (integ_macs[i].integ == integ) return integ_macs[i].mac;
    return MAC_NONE;
}

static void mac_add_all(struct mac *mac, struct bytes_list data)
{
    for (size_t i = 0; i < data.count; i++) mac_add(mac, data.at[i]);
}

static void mac_once(enum mac_kind kind, struct bytes key, struct bytes_list data,
                     uint8_t tag[PRF_OUTPUT_MAX])
{
    struct mac mac;
    mac_init(&mac, kind, MAC_ONCE, key);
    mac_begin(&mac);
    mac_add_all(&mac, data);
    mac_end(&mac, tag);
    mac_wipe(&mac);
}

// The AES PRFs take keys of any size, each in its own way:
// RFC 4434 2: a key shorter than 128 bits is padded with zeros, a longer one is replaced by its PRF
// under a key of zeros. RFC 4615 3: a key of any other size than 128 bits is replaced by its CMAC
// under a key of zeros.
static void prf_init(struct mac *mac, enum mac_kind kind, enum mac_use use, struct bytes key)
{
    uint8_t fixed[PRF_OUTPUT_MAX] = {0};
    bool aes = kind == MAC_AES_XCBC || kind == MAC_AES_CMAC;
    if (!aes || key.size == 16) {
        mac_init(mac, kind, use, key);
        return;
    }
    if (kind == MAC_AES_XCBC && key.size < 16) {
        if (key.size) memcpy(fixed, key.at, key.size);
    } else {
        static const uint8_t zeros[16];
        mac_once(kind, BYTES_ARRAY(zeros), PIECES(key), fixed);
    }
    mac_init(mac, kind, use, bytes_of(fixed, 16));
    memory_wipe(fixed, sizeof fixed);
}

enum fault prf(uint16_t prf, struct bytes key, struct bytes_list data, struct secret *out)
{
    enum mac_kind kind = prf_mac(prf);
    if (!mac_has(kind)) return FAULT_UNSUPPORTED_PRF;
    struct mac mac;
    uint8_t tag[PRF_OUTPUT_MAX];
    prf_init(&mac, kind, MAC_ONCE, key);
    mac_begin(&mac);
    mac_add_all(&mac, data);
    mac_end(&mac, tag);
    secret_set(out, bytes_of(tag, mac.size)); // data may lie in what out held before
    mac_wipe(&mac);
    memory_wipe(tag, sizeof tag);
    return OK;
}

// RFC 7296 2.13: T1 = prf(K, S | 01), Tn = prf(K, Tn-1 | S | n); the count is one octet, so there
// are at most 255 blocks.
enum fault prf_plus(uint16_t prf, struct bytes key, struct bytes_list seed, size_t size,
                    struct secret *out)
{
    enum mac_kind kind = prf_mac(prf);
    if (!mac_has(kind)) return FAULT_UNSUPPORTED_PRF;
    struct mac mac;
    uint8_t tag[PRF_OUTPUT_MAX];
    SECRET(stream);
    prf_init(&mac, kind, MAC_MANY, key);
    bool fits = size <= 255 * mac.size;
    if (fits) secret_new(&stream, size);
    size_t done = 0;
    for (unsigned n = 1; fits && done < size; n++) {
        uint8_t count = (uint8_t)n;
        mac_begin(&mac);
        if (n > 1) mac_add(&mac, bytes_of(tag, mac.size));
        mac_add_all(&mac, seed);
        mac_add(&mac, bytes_of(&count, 1));
        mac_end(&mac, tag);
        size_t part = size - done < mac.size ? size - done : mac.size;
        memcpy(stream.at + done, tag, part);
        done += part;
    }
    mac_wipe(&mac);
    memory_wipe(tag, sizeof tag);
    if (!fits) return FAULT_PRF_TOO_LONG;
    secret_move(out, &stream);
    return OK;
}

enum fault integ_tag(uint16_t integ, struct bytes key, struct bytes_list data,
                     uint8_t tag[INTEG_TAG_MAX])
{
    enum mac_kind kind = integ_mac(integ);
    struct integ_info info;
    if (!mac_has(kind) || !integ_info(integ, &info)) return FAULT_UNSUPPORTED_INTEGRITY;
    if (key.size != info.key) return FAULT_KEY_WRONG_SIZE;
    uint8_t whole[PRF_OUTPUT_MAX];
    mac_once(kind, key, data, whole);
    assert(info.icv <= INTEG_TAG_MAX);
    memcpy(tag, whole, info.icv);
    memory_wipe(whole, sizeof whole);
    return OK;
}
