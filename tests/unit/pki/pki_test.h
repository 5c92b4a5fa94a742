// SPDX-License-Identifier: Apache-2.0
// What the tests of this folder share: files, certificates of any shape made on the spot, and one judgement in a line.
#pragma once
#include "unit/base/unit.h"
#include "pki/pki.h"
#include <openssl/evp.h>
#include <openssl/x509.h>

#define NOW INT64_C(1800000000)  // 2027-01-15 08:00:00 UTC
enum { DAY = 86400 };

struct buf file_of(const char *name);  // below tests/vectors/x509; the test fails when it cannot be read
struct cert *cert_of_file(const char *name);

// A certificate made directly with OpenSSL, so that it may be wrong in any way.
struct made_spec {
    const char *subject;          // "CN=moon", "" for none
    const struct made *issuer;    // NULL: itself
    int64_t begin, end;           // 0: a year before and after NOW
    const char *extensions[10];   // "basicConstraints=critical,CA:TRUE"
    EVP_PKEY *key;                // NULL: a fresh one of made_kind; borrowed
    const EVP_MD *md;             // NULL: SHA-256
    unsigned serial;              // 0: 1
    const char *unknown_critical; // OID of an extension without meaning
};
struct made {
    EVP_PKEY *key;
    X509 *x509;
    struct cert *cert;            // NULL when cert_parse refuses it
    enum fault fault;             // why
    struct bytes der;
};
extern enum key_type made_kind;   // KEY_ECDSA (P-256) or KEY_ED25519
struct made make(const struct made_spec *spec);
void made_free(struct made *made);
#define CA_EXTENSIONS "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash"

struct made_crl {
    const struct made *issuer;
    int64_t update, next;         // 0: a day before and after NOW
    unsigned serials[4];          // revoked ten days before NOW; 0 ends them
    EVP_PKEY *key;                // NULL: the issuer's
};
struct buf make_crl(const struct made_crl *spec);

struct identity id_of(const char *text);  // lives as long as the process

struct judged {
    enum fault fault;
    char text[4096];
    struct cert *peer;
};
// Judges the certificates for an identity ("" asks for the chain only) with a policy; *conf may be NULL.
struct judged judge(const struct trust_store *store, const struct bytes *certs, size_t count, const char *id,
                    const struct auth_conf *conf);
