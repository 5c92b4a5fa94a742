// SPDX-License-Identifier: Apache-2.0
// Private and public keys: reading, writing, what they are.
#include "crypto/key.h"
#include "crypto/internal.h"
#include <assert.h>
#include <openssl/bio.h>
#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static const struct key_row {
    int id; // OpenSSL's
    enum key_type type;
} key_rows[] = {
    {EVP_PKEY_RSA, KEY_RSA},         {EVP_PKEY_RSA_PSS, KEY_RSA}, {EVP_PKEY_EC, KEY_ECDSA},
    {EVP_PKEY_ED25519, KEY_ED25519}, {EVP_PKEY_ED448, KEY_ED448},
};

static const struct key_row *key_row(const EVP_PKEY *pkey)
{
    int id = EVP_PKEY_get_base_id(pkey);
    for (size_t i = 0; i < sizeof key_rows / sizeof key_rows[0]; i++)
        if (key_rows[i].id == id) return &key_rows[i];
    return NULL;
}

bool key_is_pss_only(const EVP_PKEY *pkey)
{
    return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA_PSS;
}

struct passphrase {
    struct bytes text;
    bool asked;
};

static int passphrase_give(char *out, int room, int writing, void *of)
{
    struct passphrase *passphrase = of;
    (void)writing;
    passphrase->asked = true;
    if (room < 0 || passphrase->text.size > (size_t)room) return -1;
    if (passphrase->text.size) memcpy(out, passphrase->text.at, passphrase->text.size);
    return (int)passphrase->text.size;
}

static EVP_PKEY *private_read_der(struct bytes in, struct passphrase *passphrase)
{
    EVP_PKEY *pkey = NULL;
    const unsigned char *at = in.at;
    size_t left = in.size;
    OSSL_DECODER_CTX *ctx =
        OSSL_DECODER_CTX_new_for_pkey(&pkey, "DER", NULL, NULL, EVP_PKEY_KEYPAIR, NULL, NULL);
    crypto_must(ctx && OSSL_DECODER_CTX_set_pem_password_cb(ctx, passphrase_give, passphrase) == 1);
    bool worked = OSSL_DECODER_from_data(ctx, &at, &left) == 1;
    OSSL_DECODER_CTX_free(ctx);
    if (worked) return pkey;
    EVP_PKEY_free(pkey);
    return NULL;
}

// PEM goes through the older function, since that looks past other blocks, such as EC PARAMETERS,
// in front of the key.
static EVP_PKEY *private_read(struct bytes in, struct passphrase *passphrase)
{
    if (!memmem(in.at, in.size, "-----BEGIN", 10)) return private_read_der(in, passphrase);
    BIO *bio = BIO_new_mem_buf(in.at, (int)in.size);
    crypto_must(bio != NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, passphrase_give, passphrase);
    BIO_free(bio);
    return pkey;
}

enum fault private_key_read(struct bytes in, struct bytes passphrase, struct private_key **out)
{
    struct passphrase given = {.text = passphrase};
    if (in.size == 0 || in.size > INT32_MAX) return FAULT_KEY_UNREADABLE;
    EVP_PKEY *pkey = private_read(in, &given);
    ERR_clear_error();
    if (!pkey) return given.asked ? FAULT_KEY_PASSPHRASE : FAULT_KEY_UNREADABLE;
    if (!key_row(pkey)) {
        EVP_PKEY_free(pkey);
        return FAULT_KEY_TYPE;
    }
    *out = NEW(struct private_key);
    (*out)->pkey = pkey;
    return OK;
}

static EVP_PKEY *private_make(enum key_type type, unsigned bits)
{
    switch (type) {
    case KEY_RSA:
        return bits >= 2048 && bits <= 16384 ? EVP_RSA_gen(bits) : NULL;
    case KEY_ECDSA:
        return bits == 256   ? EVP_EC_gen("P-256")
               : bits == 384 ? EVP_EC_gen("P-384")
               : bits == 521 ? EVP_EC_gen("P-521")
                             : NULL;
    case KEY_ED25519:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    case KEY_ED448:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
    }
    return NULL;
}

enum fault private_key_make(enum key_type type, unsigned bits, struct private_key **out)
{
    EVP_PKEY *pkey = private_make(type, bits);
    if (!pkey) return FAULT_KEY_TYPE;
    *out = NEW(struct private_key);
    (*out)->pkey = pkey;
    return OK;
}

enum fault private_key_write(const struct private_key *key, bool pem, struct secret *out)
{
    char *at;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->pkey);
    BIO *bio = BIO_new(BIO_s_secmem());
    crypto_must(info && bio);
    crypto_must((pem ? PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, info)
                     : i2d_PKCS8_PRIV_KEY_INFO_bio(bio, info)) == 1);
    long size = BIO_get_mem_data(bio, &at);
    secret_set(out, bytes_of(at, (size_t)size));
    memory_wipe(at, (size_t)size);
    BIO_free(bio);
    PKCS8_PRIV_KEY_INFO_free(info);
    return OK;
}

void private_key_free(struct private_key *key)
{
    if (!key) return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

enum key_type private_key_type(const struct private_key *key)
{
    return key_row(key->pkey)->type;
}

unsigned private_key_bits(const struct private_key *key)
{
    return (unsigned)EVP_PKEY_get_bits(key->pkey);
}

// Only the public half goes over, so that the private one is not kept alive by it.
struct public_key *private_key_public(const struct private_key *key)
{
    struct public_key *public = NULL;
    unsigned char *der = NULL;
    int size = i2d_PUBKEY(key->pkey, &der);
    crypto_must(size > 0 && public_key_read_spki(bytes_of(der, (size_t)size), &public) == OK);
    OPENSSL_free(der);
    return public;
}

enum fault public_key_hold(EVP_PKEY *pkey, struct public_key **out)
{
    if (!pkey) return FAULT_KEY_UNREADABLE;
    if (!key_row(pkey)) return FAULT_KEY_TYPE;
    EVP_PKEY_up_ref(pkey);
    *out = NEW(struct public_key);
    (*out)->pkey = pkey;
    return OK;
}

enum fault public_key_read_spki(struct bytes der, struct public_key **out)
{
    const unsigned char *at = der.at;
    if (der.size == 0 || der.size > INT32_MAX) return FAULT_KEY_UNREADABLE;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)der.size);
    ERR_clear_error();
    if (!pkey) return FAULT_KEY_UNREADABLE;
    if (at != der.at + der.size || !key_row(pkey)) {
        EVP_PKEY_free(pkey);
        return at != der.at + der.size ? FAULT_KEY_UNREADABLE : FAULT_KEY_TYPE;
    }
    *out = NEW(struct public_key);
    (*out)->pkey = pkey;
    return OK;
}

enum fault public_key_write_spki(const struct public_key *key, struct buf *out)
{
    unsigned char *der = NULL;
    int size = i2d_PUBKEY(key->pkey, &der);
    crypto_must(size > 0);
    buf_add(out, bytes_of(der, (size_t)size));
    OPENSSL_free(der);
    return out->failed ? FAULT_NO_ROOM : OK;
}

enum key_type public_key_type(const struct public_key *key)
{
    return key_row(key->pkey)->type;
}

unsigned public_key_bits(const struct public_key *key)
{
    return (unsigned)EVP_PKEY_get_bits(key->pkey);
}

// RFC 7296 3.7, RFC 5280 4.2.1.2: the digest of the bit string's value, without tag, length and
// count of unused bits.
void public_key_id(const struct public_key *key, uint8_t id[20])
{
    X509_PUBKEY *spki = NULL;
    const unsigned char *at = NULL;
    int size = 0;
    crypto_must(X509_PUBKEY_set(&spki, key->pkey) == 1 &&
                X509_PUBKEY_get0_param(NULL, &at, &size, NULL, spki) == 1);
    sha1(PIECES(bytes_of(at, (size_t)size)), id);
    X509_PUBKEY_free(spki);
}

void public_key_free(struct public_key *key)
{
    if (!key) return;
    EVP_PKEY_free(key->pkey);
    free(key);
}
