// SPDX-License-Identifier: Apache-2.0
// Known answers of every algorithm, computed by other code (selftest.def): a machine or library
// that miscalculates is found before a key is made with it.
#include "crypto/internal.h"
#include "crypto/sig.h"
#include <assert.h>

static const struct prf_test {
    uint16_t prf;
    const char *name, *key, *data, *out;
} prf_tests[] = {
#define TEST_PRF(symbol, key, data, out) {PRF_##symbol, "PRF_" #symbol, key, data, out},
#define TEST_INTEG(...)
#define TEST_SEALER(...)
#define TEST_KE(...)
#define TEST_SIGNATURE(...)
#include "crypto/selftest.def"
#undef TEST_PRF
#undef TEST_INTEG
};

static const struct integ_test {
    uint16_t integ;
    const char *name, *key, *data, *tag;
} integ_tests[] = {
#define TEST_PRF(...)
#define TEST_INTEG(symbol, key, data, tag) {INTEG_##symbol, #symbol, key, data, tag},
#include "crypto/selftest.def"
#undef TEST_INTEG
#undef TEST_SEALER
#define TEST_INTEG(...)
};

static const struct sealer_test {
    uint16_t encr, key_bits;
    const char *name, *key, *associated, *iv, *plain, *sealed;
} sealer_tests[] = {
#define TEST_SEALER(symbol, bits, key, associated, iv, plain, sealed)                              \
    {ENCR_##symbol, bits, #symbol, key, associated, iv, plain, sealed},
#include "crypto/selftest.def"
#undef TEST_SEALER
#undef TEST_KE
#define TEST_SEALER(...)
};

static const struct ke_test {
    uint16_t ke;
    const char *name, *private, *peer, *shared_sha256;
} ke_tests[] = {
#define TEST_KE(symbol, private, peer, shared) {KE_##symbol, #symbol, private, peer, shared},
#include "crypto/selftest.def"
#undef TEST_KE
#undef TEST_SIGNATURE
#define TEST_KE(...)
};

static const struct signature_test {
    const char *name, *spki, *data, *auth;
} signature_tests[] = {
#define TEST_SIGNATURE(name, spki, data, auth) {name, spki, data, auth},
#include "crypto/selftest.def"
#undef TEST_SIGNATURE
};
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { OCTETS_MAX = 1568 };
struct octets {
    uint8_t at[OCTETS_MAX];
    size_t size;
};

static uint8_t digit(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

// The table is ours, so there is nothing to refuse.
static struct bytes octets_read(const char *text, struct octets *out)
{
    out->size = strlen(text) / 2;
    assert(out->size <= sizeof out->at);
    for (size_t i = 0; i < out->size; i++)
        out->at[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
    return bytes_of(out->at, out->size);
}

static bool prf_works(const struct prf_test *test)
{
    struct octets key, data, expected;
    SECRET(out);
    if (prf(test->prf, octets_read(test->key, &key), PIECES(octets_read(test->data, &data)), &out))
        return false;
    return bytes_equal_secret(secret_bytes(&out), octets_read(test->out, &expected));
}

static bool integ_works(const struct integ_test *test)
{
    struct octets key, data, expected;
    uint8_t tag[INTEG_TAG_MAX];
    struct bytes wanted = octets_read(test->tag, &expected);
    if (integ_tag(test->integ, octets_read(test->key, &key), PIECES(octets_read(test->data, &data)),
                  tag))
        return false;
    return bytes_equal_secret(bytes_of(tag, wanted.size), wanted);
}

// Seals to the known bytes, opens them again, and refuses them with one bit changed.
static bool sealer_works(const struct sealer_test *test)
{
    // The integrity key beside ciphers that are no AEAD: SHA-256 of "integ" and a zero octet.
    static const uint8_t integ_label[] = {'i', 'n', 't', 'e', 'g', 0};
    struct octets key, associated, iv, plain, sealed;
    struct encr_info info;
    uint8_t integ_key[DIGEST_MAX], out[OCTETS_MAX];
    size_t size;
    if (digest(HASH_SHA2_256, PIECES(BYTES_ARRAY(integ_label)), integ_key, &size)) return false;
    if (!encr_info(test->encr, test->key_bits, &info)) return false;
    struct sealer sealer = {
        .encr = test->encr, .key_bits = test->key_bits, .encr_key = octets_read(test->key, &key)};
    if (!info.aead) {
        sealer.integ = INTEG_HMAC_SHA2_256_128;
        sealer.integ_key = bytes_of(integ_key, 32);
    }
    struct bytes wanted = octets_read(test->sealed, &sealed),
                 aad = octets_read(test->associated, &associated);
    struct bytes text = octets_read(test->plain, &plain);
    if (sealer_seal(&sealer, aad, octets_read(test->iv, &iv), text, out)) return false;
    if (!bytes_equal(bytes_of(out, wanted.size), wanted)) return false;
    if (sealer_open(&sealer, aad, wanted, out, &size) || !bytes_equal(bytes_of(out, size), text))
        return false;
    sealed.at[sealed.size / 2] ^= 1;
    return sealer_open(&sealer, aad, wanted, out, &size) == FAULT_ICV_WRONG;
}

static bool ke_works(const struct ke_test *test)
{
    struct octets private_octets, peer, expected;
    SECRET(private);
    SECRET(shared);
    uint8_t hash[DIGEST_MAX];
    size_t size;
    secret_set(&private, octets_read(test->private, &private_octets));
    if (ke_share(test->ke, &private, octets_read(test->peer, &peer), &shared)) return false;
    if (digest(HASH_SHA2_256, PIECES(secret_bytes(&shared)), hash, &size)) return false;
    return bytes_equal(bytes_of(hash, size), octets_read(test->shared_sha256, &expected));
}

static bool signature_works(const struct signature_test *test)
{
    struct octets spki, data, auth;
    struct public_key *key;
    const char *name;
    struct bytes_list signed_octets = PIECES(octets_read(test->data, &data));
    if (public_key_read_spki(octets_read(test->spki, &spki), &key)) return false;
    struct bytes payload = octets_read(test->auth, &auth);
    bool works =
        auth_verify(key, AUTH_SIGNATURE, payload, BYTES_NONE, signed_octets, &name) == OK &&
        strcmp(name, test->name) == 0;
    data.at[0] ^= 1;
    works = works && auth_verify(key, AUTH_SIGNATURE, payload, BYTES_NONE, signed_octets, &name) ==
                         FAULT_SIGNATURE_WRONG;
    public_key_free(key);
    return works;
}

// Each gives the name of the first algorithm that fails, or NULL.
static const char *prf_failing(void)
{
    for (size_t i = 0; i < COUNT(prf_tests); i++)
        if (crypto_has_prf(prf_tests[i].prf) && !prf_works(&prf_tests[i])) return prf_tests[i].name;
    return NULL;
}

static const char *integ_failing(void)
{
    for (size_t i = 0; i < COUNT(integ_tests); i++)
        if (crypto_has_integ(integ_tests[i].integ) && !integ_works(&integ_tests[i]))
            return integ_tests[i].name;
    return NULL;
}

static const char *sealer_failing(void)
{
    for (size_t i = 0; i < COUNT(sealer_tests); i++) {
        const struct sealer_test *test = &sealer_tests[i];
        if (crypto_has_encr(test->encr, test->key_bits) && !sealer_works(test)) return test->name;
    }
    return NULL;
}

static const char *ke_failing(void)
{
    for (size_t i = 0; i < COUNT(ke_tests); i++)
        if (crypto_has_ke(ke_tests[i].ke) && !ke_works(&ke_tests[i])) return ke_tests[i].name;
    return NULL;
}

static const char *signature_failing(void)
{
    for (size_t i = 0; i < COUNT(signature_tests); i++)
        if (!signature_works(&signature_tests[i])) return signature_tests[i].name;
    return NULL;
}

enum fault crypto_self_test(const char **which)
{
    static const char *(*const failing[])(void) = {prf_failing, integ_failing, sealer_failing,
                                                   ke_failing, signature_failing};
    for (size_t i = 0; i < COUNT(failing); i++)
        if ((*which = failing[i]())) return FAULT_SELF_TEST;
    *which = "";
    return OK;
}
