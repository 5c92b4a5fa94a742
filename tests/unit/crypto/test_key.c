// SPDX-License-Identifier: Apache-2.0
// Keys: every format that people have them in, what is refused, identifiers.
#include "crypto/sig.h"
#include "vectors.h"
#include <openssl/evp.h>
#include <openssl/pem.h>

static const struct {
    const char *name;
    enum key_type type;
    unsigned bits;
} kinds[] = {
    {"RSA", KEY_RSA, 2048},    {"P-256", KEY_ECDSA, 256},           {"P-384", KEY_ECDSA, 384},
    {"P-521", KEY_ECDSA, 521}, {"brainpoolP256r1", KEY_ECDSA, 256}, {"ED25519", KEY_ED25519, 253},
    {"ED448", KEY_ED448, 448},
};

static EVP_PKEY *openssl_key(size_t i)
{
    EVP_PKEY *pkey = kinds[i].type == KEY_RSA     ? EVP_RSA_gen(kinds[i].bits)
                     : kinds[i].type == KEY_ECDSA ? EVP_EC_gen(kinds[i].name)
                                                  : EVP_PKEY_Q_keygen(NULL, NULL, kinds[i].name);
    assert_non_null(pkey);
    return pkey;
}

enum format {
    PKCS8_PEM,
    PKCS8_DER,
    PKCS8_PEM_LOCKED,
    PKCS8_DER_LOCKED,
    OLD_PEM,
    OLD_DER,
    OLD_PEM_LOCKED,
    FORMATS
};

// Writes in the format; false when the key type has it not.
static bool key_written(EVP_PKEY *pkey, enum format format, BIO *bio)
{
    bool edwards = EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519 ||
                   EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED448;
    static unsigned char phrase[] = "test";
    switch (format) {
    case PKCS8_PEM:
        return PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1;
    case PKCS8_DER:
        return i2d_PKCS8PrivateKey_bio(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1;
    case PKCS8_PEM_LOCKED:
        return PEM_write_bio_PKCS8PrivateKey(bio, pkey, EVP_aes_256_cbc(), "test", 4, NULL, NULL) ==
               1;
    case PKCS8_DER_LOCKED:
        return i2d_PKCS8PrivateKey_bio(bio, pkey, EVP_aes_256_cbc(), "test", 4, NULL, NULL) == 1;
    case OLD_PEM:
        return !edwards &&
               PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1;
    case OLD_PEM_LOCKED:
        return !edwards && PEM_write_bio_PrivateKey_traditional(bio, pkey, EVP_aes_128_cbc(),
                                                                phrase, 4, NULL, NULL) == 1;
    case OLD_DER:
        return !edwards && i2d_PrivateKey_bio(bio, pkey) == 1;
    case FORMATS:
        break;
    }
    return false;
}

static struct bytes bio_bytes(BIO *bio)
{
    char *at;
    long size = BIO_get_mem_data(bio, &at);
    return bytes_of(at, (size_t)size);
}

static void check_same_key(EVP_PKEY *pkey, const struct private_key *key)
{
    unsigned char *der = NULL;
    AUTOFREE_BUF struct buf spki = BUF(8192);
    int size = i2d_PUBKEY(pkey, &der);
    struct public_key *public = private_key_public(key);
    CHECK_FAULT(public_key_write_spki(public, &spki), OK);
    check_bytes(buf_bytes(&spki), bytes_of(der, (size_t)size));
    public_key_free(public);
    OPENSSL_free(der);
}

static void keys_are_read_in_every_format(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        EVP_PKEY *pkey = openssl_key(i);
        for (int format = 0; format < FORMATS; format++) {
            struct private_key *key = NULL;
            BIO *bio = BIO_new(BIO_s_mem());
            bool locked = format == PKCS8_PEM_LOCKED || format == PKCS8_DER_LOCKED ||
                          format == OLD_PEM_LOCKED;
            if (key_written(pkey, (enum format)format, bio)) {
                struct bytes in = bio_bytes(bio);
                CHECK_FAULT(private_key_read(in, locked ? BYTES("test") : BYTES_NONE, &key), OK);
                assert_int_equal(private_key_type(key), kinds[i].type);
                if (kinds[i].type != KEY_ED25519 && kinds[i].type != KEY_ED448)
                    assert_int_equal(private_key_bits(key), kinds[i].bits);
                check_same_key(pkey, key);
                private_key_free(key);
                if (locked) {
                    CHECK_FAULT(private_key_read(in, BYTES("wrong"), &key), FAULT_KEY_PASSPHRASE);
                    CHECK_FAULT(private_key_read(in, BYTES_NONE, &key), FAULT_KEY_PASSPHRASE);
                }
            }
            BIO_free(bio);
        }
        EVP_PKEY_free(pkey);
    }
}

// As `openssl ecparam -genkey` writes it.
static void blocks_in_front_of_the_key_are_passed_over(void **state)
{
    (void)state;
    struct private_key *key = NULL;
    EVP_PKEY *pkey = openssl_key(1);
    BIO *bio = BIO_new(BIO_s_mem());
    BIO_puts(bio,
             "Some words.\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC "
             "PARAMETERS-----\n");
    assert_true(key_written(pkey, OLD_PEM, bio));
    CHECK_FAULT(private_key_read(bio_bytes(bio), BYTES_NONE, &key), OK);
    check_same_key(pkey, key);
    private_key_free(key);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        EVP_PKEY *pkey = openssl_key(i);
        BIO *bio = BIO_new(BIO_s_mem());
        struct private_key *key = NULL;
        assert_true(key_written(pkey, PKCS8_DER, bio));
        CHECK_FAULT(private_key_read(bio_bytes(bio), BYTES_NONE, &key), OK);
        for (int pem = 0; pem < 2; pem++) {
            SECRET(out);
            struct private_key *again = NULL;
            CHECK_FAULT(private_key_write(key, pem, &out), OK);
            assert_int_equal(memcmp(out.at, "-----BEGIN PRIVATE KEY-----", 27) == 0, pem);
            CHECK_FAULT(private_key_read(secret_bytes(&out), BYTES_NONE, &again), OK);
            check_same_key(pkey, again);
            private_key_free(again);
        }
        private_key_free(key);
        BIO_free(bio);
        EVP_PKEY_free(pkey);
    }
}

static void what_is_no_key_is_refused(void **state)
{
    (void)state;
    struct private_key *key = NULL;
    struct public_key *public = NULL;
    static const char *const texts[] = {
        "", "x", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "0\x03\x02\x01\x00"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        CHECK_FAULT(private_key_read(bytes_of_text(texts[i]), BYTES_NONE, &key),
                    FAULT_KEY_UNREADABLE);
        CHECK_FAULT(public_key_read_spki(bytes_of_text(texts[i]), &public), FAULT_KEY_UNREADABLE);
    }
    assert_null(key);
    assert_null(public);
}

static void keys_that_cannot_sign_are_refused(void **state)
{
    (void)state;
    struct private_key *key = NULL;
    struct public_key *public = NULL;
    unsigned char *der = NULL, *spki = NULL;
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    int size = i2d_PrivateKey(pkey, &der), spki_size = i2d_PUBKEY(pkey, &spki);
    CHECK_FAULT(private_key_read(bytes_of(der, (size_t)size), BYTES_NONE, &key), FAULT_KEY_TYPE);
    CHECK_FAULT(public_key_read_spki(bytes_of(spki, (size_t)spki_size), &public), FAULT_KEY_TYPE);
    OPENSSL_free(der);
    OPENSSL_free(spki);
    EVP_PKEY_free(pkey);
}

static void truncated_and_changed_keys_do_no_harm(void **state)
{
    (void)state;
    for (size_t i = 1; i < COUNT(kinds); i += 4) {
        unsigned char *der = NULL;
        struct public_key *public = NULL;
        EVP_PKEY *pkey = openssl_key(i);
        int size = i2d_PUBKEY(pkey, &der);
        for (int cut = 0; cut < size; cut++)
            CHECK_FAULT(public_key_read_spki(bytes_of(der, (size_t)cut), &public),
                        FAULT_KEY_UNREADABLE);
        for (int at = 0; at < size; at++) {
            der[at] ^= 1;
            if (public_key_read_spki(bytes_of(der, (size_t)size), &public) == OK)
                public_key_free(public);
            der[at] ^= 1;
        }
        uint8_t longer[256];
        memcpy(longer, der, (size_t)size);
        longer[size] = 0;
        CHECK_FAULT(public_key_read_spki(bytes_of(longer, (size_t)size + 1), &public),
                    FAULT_KEY_UNREADABLE);
        OPENSSL_free(der);
        EVP_PKEY_free(pkey);
    }
}

// RFC 7296 3.7 test: the key of RFC 8410 10.1, whose subject key identifier RFC 8410 10.2 does not
// use; SHA-1 of its 32 octets.
static void the_identifier_is_of_the_bit_string(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct public_key *key = NULL;
    uint8_t id[20], expected[20];
    struct bytes spki = hex_bytes(
        &arena,
        "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
    CHECK_FAULT(public_key_read_spki(spki, &key), OK);
    public_key_id(key, id);
    sha1(PIECES(bytes_of(spki.at + 12, 32)), expected);
    assert_memory_equal(id, expected, 20);
    assert_int_equal(public_key_type(key), KEY_ED25519);
    public_key_free(key);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_read_in_every_format),
        cmocka_unit_test(blocks_in_front_of_the_key_are_passed_over),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(keys_that_cannot_sign_are_refused),
        cmocka_unit_test(truncated_and_changed_keys_do_no_harm),
        cmocka_unit_test(the_identifier_is_of_the_bit_string),
    };
    return cmocka_run_group_tests(tests, crypto_setup, NULL);
}
