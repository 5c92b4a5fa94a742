// SPDX-License-Identifier: Apache-2.0
// What the files of this folder share. Not for other folders.
#pragma once
#include "pki/pki.h"
#include <openssl/x509.h>
#include <openssl/x509v3.h>

enum {
    CERT_SIZE_MAX = 65536,     // bytes of one certificate
    CERT_EXTENSIONS_MAX = 64,  // compared with each other for repetition
    CERT_NAMES_MAX = 256,      // alternative names
    CERTS_SENT_MAX = 32,       // by a peer, in one authentication
    CHAIN_LENGTH_MAX = 10,     // certificates between the peer's and the anchor
    TIME_TEXT = 32,
    SPAN_TEXT = 40,
    SERIAL_TEXT = 64,
};

struct cert {
    unsigned references;
    X509 *x509;
    struct bytes der;              // owned
    struct identity subject, issuer;  // borrowed from x509
    struct public_key *key;        // NULL: of a type that IKE does not use
    int64_t not_before, not_after;
    struct arena arena;            // the names live here
    struct identity *names;
    size_t name_count;
};

// Takes the reference of x509 in every case.
CHECKED enum fault cert_of_x509(X509 *x509, struct cert **out);

// --- x509.c
struct identity identity_of_name(const X509_NAME *name);  // borrowed
CHECKED enum fault names_read(const GENERAL_NAMES *general, struct arena *arena, struct identity **out, size_t *count);
// The DER of the next PEM block whose label is one of `labels` (NULL at its end); FAULT_NO_CERTIFICATE at the text's end.
struct pem_found {
    const char *label;
    unsigned char *der;  // OPENSSL_free
    long size;
};
bool pem_next(BIO *in, const char *const *labels, struct pem_found *found);
bool bytes_are_pem(struct bytes in);
// The DER of what is either DER or PEM with one of the labels, and not larger; BYTES_NONE: it is neither. found->der is to be freed.
struct bytes pem_or_der(struct bytes in, size_t size_max, const char *const *labels, struct pem_found *found);
X509_CRL *crl_read(struct bytes in);  // PEM or DER; NULL when it is none

// --- texts (explain.c)
int64_t time_of_asn1(const ASN1_TIME *time);            // seconds since 1970
char *time_text(int64_t at, char out[TIME_TEXT]);       // "2026-01-02 03:04:05 UTC"
char *span_text(int64_t seconds, char out[SPAN_TEXT]);  // "2 days", the largest unit only
char *serial_text(const ASN1_INTEGER *serial, char out[SERIAL_TEXT]);  // "01:a2:…"
char *subject_text(const X509 *x509, char out[IDENTITY_TEXT]);
char *issuer_text(const X509 *x509, char out[IDENTITY_TEXT]);

// Puts into words what OpenSSL found wrong, with names and dates, and says which fault it is.
struct finding {
    int error;            // X509_V_ERR_…
    const X509 *at;       // the certificate it is about
    const X509_CRL *crl;  // where one is at hand
    int64_t now;
    const STACK_OF(X509) *anchors;
};
enum fault finding_explain(const struct finding *finding, struct buf *text);

// --- signature.c: the last step of verifying a chain
bool chain_is_ed25519(X509_STORE_CTX *ctx);   // all that has to be verified of it, and there is something better than OpenSSL
// What OpenSSL does last with a chain, by its rules; `now` are seconds since 1970.
bool chain_signatures(X509_STORE_CTX *ctx, int64_t now);
