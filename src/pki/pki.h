// SPDX-License-Identifier: Apache-2.0
// Certificates: reading, judging a chain for IKE, issuing. Time comes in as seconds since 1970. OpenSSL is behind it.
#pragma once
#include "crypto/sig.h"
#include "model/conn.h"

struct cert;
CHECKED enum fault cert_parse(struct bytes in, struct cert **out);            // one, PEM or DER
// All certificates of a file (bundles too); calls add for each. FAULT_NO_CERTIFICATE when there is none.
CHECKED enum fault certs_parse(struct bytes in, void (*add)(void *context, struct cert *cert), void *context);
struct cert *cert_hold(struct cert *cert);
void cert_free(struct cert *cert);
struct bytes cert_der(const struct cert *cert);                        // borrowed
void cert_key_id(const struct cert *cert, uint8_t id[20]);             // SHA-1 of the subjectPublicKey bits
void cert_spki_hash(const struct cert *cert, uint8_t hash[20]);        // SHA-1 of SubjectPublicKeyInfo (CERTREQ, RFC 7296 3.7)
const struct public_key *cert_public_key(const struct cert *cert);      // NULL when IKE cannot use its type; never after a good judgement
struct identity cert_subject(const struct cert *cert);                 // DN, borrowed
struct identity cert_issuer(const struct cert *cert);
bool cert_is_ca(const struct cert *cert);
bool cert_is_self_signed(const struct cert *cert);
int64_t cert_not_before(const struct cert *cert), cert_not_after(const struct cert *cert);
size_t cert_alt_names(const struct cert *cert, struct identity *out, size_t limit, struct arena *arena);
bool cert_has_identity(const struct cert *cert, const struct identity *id);   // RFC 7296 4, RFC 4945 3.1: a DN is the subject, others are in subjectAltName
void cert_print(const struct cert *cert, struct buf *out);             // for people, like `pki --print`
void cert_json(const struct cert *cert, struct buf *out);

// Adds to `out`, which has `count` of at most `limit`, those of the known CAs that stand between a certificate and a root, the
// nearest first, without what is there already; says how many there are then.
size_t certs_above(const struct cert *cert, const struct cert *const *known, size_t known_count, const struct cert **out,
                   size_t count, size_t limit);

// --- judging
struct trust_store;                                                    // anchors, intermediates, trusted end entities, CRLs
struct trust_store *trust_store_new(void);
void trust_store_free(struct trust_store *store);
void trust_store_clear(struct trust_store *store);
void trust_store_add(struct trust_store *store, struct cert *cert, bool anchor);   // takes the reference; a self-signed end entity is trusted by itself
CHECKED enum fault trust_store_add_crl(struct trust_store *store, struct bytes in);
size_t trust_store_count(const struct trust_store *store);
struct cert *trust_store_at(const struct trust_store *store, size_t index, bool *anchor);
size_t trust_store_anchor_hashes(const struct trust_store *store, uint8_t (*hashes)[20], size_t limit);

struct judge_input {
    const struct bytes *certs;       // as the peer sent them, its own first; may be empty when auth->certs has it
    size_t cert_count;
    struct identity id;              // must be in the certificate
    const struct auth_conf *auth;    // the connection's constraints
    int64_t now;
    bool chain_only;                 // only the chain: neither key usage nor identity; for tools, never for a peer
};
// Finds the end entity, builds the chain to an anchor and checks validity, usage, constraints, revocation and identity.
// On a fault text says with names and dates what is wrong. *peer is a reference of the caller's.
CHECKED enum fault trust_judge(const struct trust_store *store, const struct judge_input *in, struct cert **peer, struct buf *text);

// --- issuing
struct issue_request {
    const struct private_key *issuer_key;      // self-signed: the subject's
    const struct cert *issuer;                 // NULL: self-signed
    const struct public_key *subject_key;
    struct identity subject;                   // DN
    const struct identity *alt_names;
    size_t alt_name_count;
    bool ca;
    int path_length;                           // -1: none
    bool server_auth, client_auth, ike_intermediate;
    int64_t not_before, not_after;
    struct bytes serial;                       // empty: random
    uint16_t hash;                             // enum iana_hash; 0: by key
    const char *crl_uri, *ocsp_uri;            // NULL: none
};
CHECKED enum fault cert_issue(const struct issue_request *request, struct cert **out);
CHECKED enum fault cert_pem(const struct cert *cert, struct buf *out);
struct csr_request {
    const struct private_key *key;
    struct identity subject;
    const struct identity *alt_names;
    size_t alt_name_count;
};
CHECKED enum fault csr_make(const struct csr_request *request, bool pem, struct buf *out);
CHECKED enum fault csr_read(struct bytes in, struct public_key **key, struct identity *subject, struct identity *alt_names,
                            size_t limit, size_t *count, struct arena *arena);   // its signature is checked

// --- public keys and revocation lists, for tools
// Of a SubjectPublicKeyInfo, a certificate or a request, in PEM or DER. KEY_UNREADABLE when it is none of them.
CHECKED enum fault public_key_find(struct bytes in, struct public_key **out);
CHECKED enum fault public_key_pem(const struct public_key *key, struct buf *out);
CHECKED enum fault crl_print(struct bytes in, struct buf *out);
