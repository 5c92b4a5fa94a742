// SPDX-License-Identifier: Apache-2.0
// Signatures of AUTH payloads: published vectors, those of real daemons, our own in every
// combination, and what is refused.
#include "crypto/scheme.h"
#include "crypto/sig.h"
#include "vectors.h"

#define OCTETS PIECES(BYTES("message"), BYTES("nonce"), BYTES("mac of the identity"))
enum {
    ALL_HASHES = 1 << HASH_SHA1 | 1 << HASH_SHA2_256 | 1 << HASH_SHA2_384 | 1 << HASH_SHA2_512 |
                 1 << HASH_IDENTITY
};

static const char *fault_of(enum fault fault)
{
    return fault_name(fault);
}

static enum scheme_kind kind_of(const char *name)
{
    static const char *const names[] = {"RSA_PKCS1", "RSA_PSS", "ECDSA", "ED25519", "ED448"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], name) == 0) return (enum scheme_kind)i;
    fail_msg("no kind %s", name);
    return SCHEME_ECDSA;
}

// The signature as the AUTH payload has it.
static void auth_data_make(struct vector *vector, uint16_t hash, uint8_t *method, struct buf *data)
{
    struct bytes sig = vector_bytes(vector, "sig");
    buf_clear(data);
    if (vector_is(vector, "kind", "RAW")) {
        *method = (uint8_t)(hash == HASH_SHA2_256   ? AUTH_ECDSA_256
                            : hash == HASH_SHA2_384 ? AUTH_ECDSA_384
                                                    : AUTH_ECDSA_521);
    } else {
        const struct scheme *scheme = scheme_find(kind_of(vector_text(vector, "kind")), hash);
        const uint8_t length = (uint8_t)scheme->algorithm.size;
        *method = AUTH_SIGNATURE;
        buf_add(data, bytes_of(&length, 1));
        buf_add(data, scheme->algorithm);
    }
    buf_add(data, sig);
}

static void signatures_give_the_published_results(void **state)
{
    (void)state;
    struct vector vector;
    struct public_key *key = NULL;
    unsigned good = 0, bad = 0;
    AUTOFREE_BUF struct buf data = BUF(65536);
    vectors_open(&vector, "signature.txt");
    while (vector_next(&vector)) {
        uint8_t method;
        const char *name;
        if (strcmp(vector.word, "key") == 0) {
            public_key_free(key);
            CHECK_FAULT(public_key_read_spki(vector_bytes(&vector, "spki"), &key), OK);
            continue;
        }
        auth_data_make(&vector, (uint16_t)id_of("HASH", vector_text(&vector, "hash")), &method,
                       &data);
        enum fault fault = auth_verify(key, method, buf_bytes(&data), BYTES_NONE,
                                       PIECES(vector_bytes(&vector, "msg")), &name);
        *(fault ? &bad : &good) += 1;
        if (vector_is(&vector, "result", "acceptable")) continue;
        if (vector_is(&vector, "result", "valid") != (fault == OK))
            fail_msg("%s: %s", vector_text(&vector, "id"), fault_of(fault));
        if (fault) assert_string_equal(fault_of(fault), "SIGNATURE_WRONG");
    }
    public_key_free(key);
    assert_true(good > 1000 && bad > 1000);
}

// RFC 7427 3 test, RFC 7296 2.15 test
static void recorded_signatures_verify(void **state)
{
    (void)state;
    struct vector vector;
    unsigned count = 0, pss = 0;
    vectors_open(&vector, "auth.txt");
    while (vector_next(&vector)) {
        struct public_key *key;
        const char *name;
        uint8_t method = (uint8_t)atoi(vector_text(&vector, "method"));
        struct bytes octets = vector_bytes(&vector, "octets"), data = vector_bytes(&vector, "data");
        CHECK_FAULT(public_key_read_spki(vector_bytes(&vector, "spki"), &key), OK);
        enum fault fault = auth_verify(key, method, data, BYTES_NONE, PIECES(octets), &name);
        if (fault) fail_msg("%s: %s", vector_text(&vector, "id"), fault_of(fault));
        CHECK_FAULT(auth_verify(key, method, data, BYTES_NONE,
                                PIECES(bytes_of(octets.at, octets.size - 1)), &name),
                    FAULT_SIGNATURE_WRONG);
        pss += strcmp(name, "RSA_EMSA_PSS_SHA2_256") == 0;
        public_key_free(key);
        count++;
    }
    assert_true(count >= 19 && pss == 2);
}

static const struct {
    enum scheme_kind kind;
    uint16_t hash;
    const char *der;
} algorithms[] = {
    // RFC 7427 A, RFC 8420 A
    {SCHEME_RSA_PKCS1, HASH_SHA1, "300d 0609 2a86 4886 f70d 0101 0505 00"},
    {SCHEME_RSA_PKCS1, HASH_SHA2_256, "300d 0609 2a86 4886 f70d 0101 0b05 00"},
    {SCHEME_RSA_PKCS1, HASH_SHA2_384, "300d 0609 2a86 4886 f70d 0101 0c05 00"},
    {SCHEME_RSA_PKCS1, HASH_SHA2_512, "300d 0609 2a86 4886 f70d 0101 0d05 00"},
    {SCHEME_ECDSA, HASH_SHA1, "3009 0607 2a86 48ce 3d04 01"},
    {SCHEME_ECDSA, HASH_SHA2_256, "300a 0608 2a86 48ce 3d04 0302"},
    {SCHEME_ECDSA, HASH_SHA2_384, "300a 0608 2a86 48ce 3d04 0303"},
    {SCHEME_ECDSA, HASH_SHA2_512, "300a 0608 2a86 48ce 3d04 0304"},
    {SCHEME_RSA_PSS, HASH_SHA2_256,
     "3041 0609 2a86 4886 f70d 0101 0a30 34a0 0f30 0d06 0960 8648 0165 0304 0201 0500 a11c 301a "
     "0609 2a86 4886 f70d 0101 0830"
     "0d06 0960 8648 0165 0304 0201 0500 a203 0201 20"},
    {SCHEME_ED25519, HASH_IDENTITY, "3005 0603 2b65 70"},
    {SCHEME_ED448, HASH_IDENTITY, "3005 0603 2b65 71"},
};

// RFC 7427 A test, RFC 8420 A test; RFC 4055 3.1 test: the trailer field is left out.
static void algorithm_identifiers_are_those_of_the_rfcs(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        const struct scheme *scheme = scheme_find(algorithms[i].kind, algorithms[i].hash), *read;
        int salt;
        check_bytes(scheme->algorithm, hex_bytes(&arena, algorithms[i].der));
        CHECK_FAULT(scheme_read(scheme->algorithm, &read, &salt), OK);
        assert_ptr_equal(read, scheme);
    }
    arena_free(&arena);
}

static const struct {
    const char *der;
    enum scheme_kind kind;
    uint16_t hash;
    int salt;
    bool good;
} variants[] = {
    // No parameters instead of NULL.
    {"300b 0609 2a86 4886 f70d 0101 0b", SCHEME_RSA_PKCS1, HASH_SHA2_256, 0, true},
    // RFC 7427 A.4.3: with the default trailer.
    {"3046 0609 2a86 4886 f70d 0101 0a30 39a0 0f30 0d06 0960 8648 0165 0304 0201 0500 a11c 301a "
     "0609 2a86 4886 f70d 0101 0830"
     "0d06 0960 8648 0165 0304 0201 0500 a203 0201 20a3 0302 0101",
     SCHEME_RSA_PSS, HASH_SHA2_256, 32, true},
    // PSS without the default trailer, and hashes without NULL.
    {"303d 0609 2a86 4886 f70d 0101 0a30 30a0 0d30 0b06 0960 8648 0165 0304 0202 a11a 3018 0609 "
     "2a86 4886 f70d 0101 0830"
     "0b06 0960 8648 0165 0304 0202 a203 0201 30",
     SCHEME_RSA_PSS, HASH_SHA2_384, 48, true},
    // PSS with SHA-1 by default, with SHA-1 in full, and with two different hashes.
    {"300d 0609 2a86 4886 f70d 0101 0a30 00", SCHEME_RSA_PSS, 0, 0, false},
    {"303e 0609 2a86 4886 f70d 0101 0a30 31a0 0b30 0906 052b 0e03 021a 0500 a118 3016 0609 2a86 "
     "4886 f70d 0101 0830 0906 052b"
     "0e03 021a 0500 a203 0201 14a3 0302 0101",
     SCHEME_RSA_PSS, 0, 0, false},
    {"303d 0609 2a86 4886 f70d 0101 0a30 30a0 0d30 0b06 0960 8648 0165 0304 0202 a11a 3018 0609 "
     "2a86 4886 f70d 0101 0830"
     "0b06 0960 8648 0165 0304 0201 a203 0201 30",
     SCHEME_RSA_PSS, 0, 0, false},
    // DSA with SHA-256, MD5 with RSA, something behind the end.
    {"300b 0609 6086 4801 6503 0403 02", SCHEME_RSA_PSS, 0, 0, false},
    {"300d 0609 2a86 4886 f70d 0101 0405 00", SCHEME_RSA_PSS, 0, 0, false},
    {"3005 0603 2b65 7000", SCHEME_RSA_PSS, 0, 0, false},
    {"", SCHEME_RSA_PSS, 0, 0, false},
};

// RFC 4055 5 test
static void variants_of_identifiers_are_read_or_refused(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (size_t i = 0; i < COUNT(variants); i++) {
        const struct scheme *scheme;
        int salt = 0;
        struct bytes der = hex_bytes(&arena, variants[i].der);
        CHECK_FAULT(scheme_read(der, &scheme, &salt),
                    variants[i].good ? OK : FAULT_SIGNATURE_ALGORITHM);
        if (!variants[i].good) continue;
        assert_int_equal(scheme->kind, variants[i].kind);
        assert_int_equal(scheme->hash, variants[i].hash);
        assert_int_equal(salt, variants[i].salt);
        for (size_t size = 0; size < der.size; size++)
            CHECK_FAULT(scheme_read(bytes_of(der.at, size), &scheme, &salt),
                        FAULT_SIGNATURE_ALGORITHM);
    }
    arena_free(&arena);
}

// --- our own signatures
enum { RSA_KEY, P256_KEY, P384_KEY, P521_KEY, ED25519_KEY, ED448_KEY, KEYS };
struct keyring {
    struct private_key *private[KEYS];
    struct public_key *public[KEYS];
};

static int keyring_new(void **state)
{
    static struct keyring ring;
    static const struct {
        enum key_type type;
        unsigned bits;
    } kinds[KEYS] = {{KEY_RSA, 2048},  {KEY_ECDSA, 256}, {KEY_ECDSA, 384},
                     {KEY_ECDSA, 521}, {KEY_ED25519, 0}, {KEY_ED448, 0}};
    crypto_start();
    for (size_t i = 0; i < KEYS; i++) {
        CHECK_FAULT(private_key_make(kinds[i].type, kinds[i].bits, &ring.private[i]), OK);
        ring.public[i] = private_key_public(ring.private[i]);
    }
    *state = &ring;
    return 0;
}

static int keyring_end(void **state)
{
    struct keyring *ring = *state;
    for (size_t i = 0; i < KEYS; i++) {
        private_key_free(ring->private[i]);
        public_key_free(ring->public[i]);
    }
    return 0;
}

#define BIT(hash) (1u << HASH_##hash)
static const struct choice {
    int key;
    uint32_t hashes;
    const char *schemes;
    uint8_t method;
    const char *name; // what the verifier says; NULL: cannot be signed
} choices[] = {
    // clang-format off
    {RSA_KEY, ALL_HASHES, "", AUTH_SIGNATURE, "RSA_EMSA_PKCS1_SHA2_256"},
    {RSA_KEY, BIT(SHA2_512) | BIT(SHA2_384), "", AUTH_SIGNATURE, "RSA_EMSA_PKCS1_SHA2_384"},
    {RSA_KEY, BIT(SHA2_512), "", AUTH_SIGNATURE, "RSA_EMSA_PKCS1_SHA2_512"},
    {RSA_KEY, BIT(SHA1), "", 0, NULL},
    {RSA_KEY, BIT(SHA1), "rsa-sha1", AUTH_SIGNATURE, "RSA_EMSA_PKCS1_SHA1"},
    {RSA_KEY, ALL_HASHES, "rsa/pss", AUTH_SIGNATURE, "RSA_EMSA_PSS_SHA2_256"},
    {RSA_KEY, ALL_HASHES, "ike:rsa/pss-sha512", AUTH_SIGNATURE, "RSA_EMSA_PSS_SHA2_512"},
    {RSA_KEY, ALL_HASHES, "rsa/pss-sha384", AUTH_SIGNATURE, "RSA_EMSA_PSS_SHA2_384"},
    {RSA_KEY, ALL_HASHES, "ecdsa", 0, NULL},
    {RSA_KEY, BIT(IDENTITY), "", 0, NULL},
    {RSA_KEY, 0, "", 0, NULL},
    {RSA_KEY, 0, "rsa-sha1", AUTH_RSA, "RSA_EMSA_PKCS1_SHA1"},
    {RSA_KEY, 0, "pubkey-sha256", AUTH_RSA, "RSA_EMSA_PKCS1_SHA2_256"},
    {P256_KEY, ALL_HASHES, "", AUTH_SIGNATURE, "ECDSA_WITH_SHA256_DER"},
    {P384_KEY, ALL_HASHES, "", AUTH_SIGNATURE, "ECDSA_WITH_SHA384_DER"},
    {P521_KEY, ALL_HASHES, "", AUTH_SIGNATURE, "ECDSA_WITH_SHA512_DER"},
    {P256_KEY, BIT(SHA2_384), "", AUTH_SIGNATURE, "ECDSA_WITH_SHA384_DER"},
    {P256_KEY, ALL_HASHES, "ecdsa-sha512", AUTH_SIGNATURE, "ECDSA_WITH_SHA512_DER"},
    {P256_KEY, BIT(IDENTITY), "", AUTH_ECDSA_256, "ECDSA-256"},
    {P256_KEY, 0, "", AUTH_ECDSA_256, "ECDSA-256"},
    {P384_KEY, 0, "", AUTH_ECDSA_384, "ECDSA-384"},
    {P521_KEY, 0, "", AUTH_ECDSA_521, "ECDSA-521"},
    {P256_KEY, 0, "ecdsa-sha384", 0, NULL},
    {ED25519_KEY, ALL_HASHES, "", AUTH_SIGNATURE, "ED25519"},
    {ED25519_KEY, ALL_HASHES, "ed25519", AUTH_SIGNATURE, "ED25519"},
    {ED25519_KEY, ALL_HASHES, "rsa-sha256-ed25519", AUTH_SIGNATURE, "ED25519"},
    {ED25519_KEY, ALL_HASHES, "ed448", 0, NULL},
    {ED25519_KEY, BIT(SHA2_256), "", 0, NULL},
    {ED25519_KEY, 0, "", 0, NULL},
    {ED448_KEY, ALL_HASHES, "", AUTH_SIGNATURE, "ED448"},
    // clang-format on
};

// RFC 7427 4 test, RFC 8420 2 test, RFC 4754 test
static void a_signer_uses_what_peer_and_rules_allow(void **state)
{
    struct keyring *ring = *state;
    for (size_t i = 0; i < COUNT(choices); i++) {
        const struct choice *choice = &choices[i];
        AUTOFREE_BUF struct buf data = BUF(4096);
        uint8_t method = 0;
        const char *name;
        enum fault fault = auth_sign(ring->private[choice->key], choice -> hashes,
                                     bytes_of_text(choice->schemes), OCTETS, &method, &data);
        if (!choice->name) {
            assert_string_equal(fault_of(fault), "HASH_NOT_COMMON");
            continue;
        }
        if (fault) fail_msg("row %zu: %s", i, fault_of(fault));
        assert_int_equal(method, choice->method);
        CHECK_FAULT(auth_verify(ring->public[choice->key], method, buf_bytes(&data),
                                bytes_of_text(choice->schemes), OCTETS, &name),
                    OK);
        assert_string_equal(name, choice->name);
        // Any other octets, and any other key, do not fit.
        CHECK_FAULT(auth_verify(ring->public[choice->key], method, buf_bytes(&data),
                                bytes_of_text(choice->schemes),
                                PIECES(BYTES("message"), BYTES("nonce"), BYTES("mac")), &name),
                    FAULT_SIGNATURE_WRONG);
        for (size_t other = 0; other < KEYS; other++) {
            if ((int)other == choice->key) continue;
            assert_int_not_equal(auth_verify(ring->public[other], method, buf_bytes(&data),
                                             bytes_of_text(choice->schemes), OCTETS, &name),
                                 OK);
        }
    }
}

// A signature is refused whole if a byte of it is changed or missing.
static void damaged_signatures_are_refused(void **state)
{
    struct keyring *ring = *state;
    for (int key = 0; key < KEYS; key++) {
        AUTOFREE_BUF struct buf data = BUF(4096);
        uint8_t method;
        const char *name;
        CHECK_FAULT(auth_sign(ring->private[key], ALL_HASHES, BYTES_NONE, OCTETS, &method, &data),
                    OK);
        for (size_t size = 0; size < data.size; size++)
            assert_int_not_equal(auth_verify(ring->public[key], method, bytes_of(data.at, size),
                                             BYTES_NONE, OCTETS, &name),
                                 OK);
        for (size_t i = 0; i < data.size; i++) {
            data.at[i] ^= 0x20;
            assert_int_not_equal(
                auth_verify(ring->public[key], method, buf_bytes(&data), BYTES_NONE, OCTETS, &name),
                OK);
            data.at[i] ^= 0x20;
        }
        buf_add(&data, BYTES("x"));
        assert_int_not_equal(
            auth_verify(ring->public[key], method, buf_bytes(&data), BYTES_NONE, OCTETS, &name),
            OK);
    }
}

static const struct {
    int key;
    const char *sign, *verify;
    uint32_t hashes;
    enum fault fault;
} constraints[] = {
    {RSA_KEY, "rsa-sha1", "", ALL_HASHES, FAULT_SIGNATURE_NOT_ALLOWED},
    {RSA_KEY, "rsa-sha1", "rsa-sha1", ALL_HASHES, OK},
    {RSA_KEY, "rsa-sha1", "", 0, FAULT_SIGNATURE_WRONG}, // method 1: the hash cannot be seen
    {RSA_KEY, "", "rsa/pss", ALL_HASHES, FAULT_SIGNATURE_NOT_ALLOWED},
    {RSA_KEY, "", "rsa", ALL_HASHES, OK},
    {RSA_KEY, "rsa/pss", "rsa", ALL_HASHES, OK},
    {RSA_KEY, "rsa/pss", "rsa/pkcs1", ALL_HASHES, FAULT_SIGNATURE_NOT_ALLOWED},
    {RSA_KEY, "", "rsa-sha512", ALL_HASHES, FAULT_SIGNATURE_NOT_ALLOWED},
    {RSA_KEY, "", "rsa-4096", ALL_HASHES, FAULT_KEY_TOO_WEAK},
    {RSA_KEY, "", "rsa-4096-sha256-ike:rsa-sha256", ALL_HASHES, OK},
    {P256_KEY, "", "ecdsa-384", ALL_HASHES, FAULT_KEY_TOO_WEAK},
    {P256_KEY, "", "ecdsa-sha384", 0, FAULT_SIGNATURE_NOT_ALLOWED},
    {P256_KEY, "", "rsa", ALL_HASHES, FAULT_SIGNATURE_NOT_ALLOWED},
    {ED25519_KEY, "", "pubkey-sha256", ALL_HASHES, OK},
    {ED25519_KEY, "", "ecdsa:ed448", ALL_HASHES, FAULT_SIGNATURE_NOT_ALLOWED},
    {ED25519_KEY, "", "rsa/oaep", ALL_HASHES, FAULT_SIGNATURE_SCHEMES},
    {ED25519_KEY, "", "md5", ALL_HASHES, FAULT_SIGNATURE_SCHEMES},
};

// RFC 8247 3.2 test
static void a_verifier_takes_what_the_rules_allow(void **state)
{
    struct keyring *ring = *state;
    for (size_t i = 0; i < COUNT(constraints); i++) {
        AUTOFREE_BUF struct buf data = BUF(4096);
        uint8_t method;
        const char *name;
        CHECK_FAULT(auth_sign(ring->private[constraints[i].key], constraints[i].hashes,
                              bytes_of_text(constraints[i].sign), OCTETS, &method, &data),
                    OK);
        enum fault fault = auth_verify(ring->public[constraints[i].key], method, buf_bytes(&data),
                                       bytes_of_text(constraints[i].verify), OCTETS, &name);
        if (fault != constraints[i].fault) fail_msg("row %zu: %s", i, fault_of(fault));
    }
}

static void methods_that_are_no_signatures_are_refused(void **state)
{
    struct keyring *ring = *state;
    const char *name;
    static const uint8_t methods[] = {0, AUTH_PSK, AUTH_DSS, AUTH_GSPM, AUTH_NULL, 200};
    for (size_t i = 0; i < COUNT(methods); i++)
        CHECK_FAULT(
            auth_verify(ring->public[0], methods[i], BYTES("data"), BYTES_NONE, OCTETS, &name),
            FAULT_SIGNATURE_METHOD);
    CHECK_FAULT(
        auth_verify(ring->public[P256_KEY], AUTH_RSA, BYTES("data"), BYTES_NONE, OCTETS, &name),
        FAULT_SIGNATURE_OTHER_KEY);
    CHECK_FAULT(auth_verify(ring->public[P256_KEY], AUTH_ECDSA_384, BYTES("data"), BYTES_NONE,
                            OCTETS, &name),
                FAULT_SIGNATURE_OTHER_KEY);
    CHECK_FAULT(auth_verify(ring->public[RSA_KEY], AUTH_ECDSA_256, BYTES("data"), BYTES_NONE,
                            OCTETS, &name),
                FAULT_SIGNATURE_OTHER_KEY);
}

// RFC 8247 4.1 test
static void short_rsa_keys_are_refused_unless_named(void **state)
{
    (void)state;
    struct vector vector;
    const char *name;
    vectors_open(&vector, "weak.txt");
    assert_true(vector_next(&vector));
    struct public_key *key;
    CHECK_FAULT(public_key_read_spki(vector_bytes(&vector, "spki"), &key), OK);
    assert_int_equal(public_key_bits(key), 1024);
    struct bytes data = vector_bytes(&vector, "data"), octets = vector_bytes(&vector, "octets");
    CHECK_FAULT(auth_verify(key, AUTH_SIGNATURE, data, BYTES_NONE, PIECES(octets), &name),
                FAULT_KEY_TOO_WEAK);
    CHECK_FAULT(
        auth_verify(key, AUTH_SIGNATURE, data, BYTES("rsa-1024-sha256"), PIECES(octets), &name),
        OK);
    CHECK_FAULT(
        auth_verify(key, AUTH_SIGNATURE, data, BYTES("rsa-2048-sha256"), PIECES(octets), &name),
        FAULT_KEY_TOO_WEAK);
    public_key_free(key);
    assert_false(vector_next(&vector));
    struct private_key *made = NULL;
    CHECK_FAULT(private_key_make(KEY_RSA, 1024, &made), FAULT_KEY_TYPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_give_the_published_results),
        cmocka_unit_test(recorded_signatures_verify),
        cmocka_unit_test(algorithm_identifiers_are_those_of_the_rfcs),
        cmocka_unit_test(variants_of_identifiers_are_read_or_refused),
        cmocka_unit_test(a_signer_uses_what_peer_and_rules_allow),
        cmocka_unit_test(damaged_signatures_are_refused),
        cmocka_unit_test(a_verifier_takes_what_the_rules_allow),
        cmocka_unit_test(methods_that_are_no_signatures_are_refused),
        cmocka_unit_test(short_rsa_keys_are_refused_unless_named),
    };
    return cmocka_run_group_tests(tests, keyring_new, keyring_end);
}
