// SPDX-License-Identifier: Apache-2.0
// Judging a peer's certificate for IKE. In this order: it is one that the connection allows, in date, strong enough and meant
// for signing; a chain leads to an anchor, or the certificate itself is one of those loaded here; no certificate of the
// chain is revoked, as far as the policy asks; and the peer's identity is in it. The chain is OpenSSL's work, at a time that
// is handed in.
#include "pki/internal.h"
#include <openssl/err.h>
#include <stdio.h>

enum { SECURITY_BITS_MIN = 112, SECURITY_LEVEL = 2, NAMED_MAX = 12 };  // OpenSSL's level 2 is 112 bits

struct held_cert {
    struct cert *cert;
    bool anchor;
};

struct trust_store {
    struct held_cert *certs;
    size_t cert_count;
    STACK_OF(X509_CRL) *crls;
    X509_STORE *x509;          // the anchors once more, as OpenSSL wants them
    STACK_OF(X509) *anchors;   // borrowed
};

// --- the store

static void store_fill_new(struct trust_store *store)
{
    store->x509 = X509_STORE_new();
    store->anchors = sk_X509_new_null();
    store->crls = sk_X509_CRL_new_null();
}

static void store_empty(struct trust_store *store)
{
    while (store->cert_count) cert_free(store->certs[--store->cert_count].cert);
    X509_STORE_free(store->x509);
    sk_X509_free(store->anchors);
    sk_X509_CRL_pop_free(store->crls, X509_CRL_free);
}

struct trust_store *trust_store_new(void)
{
    struct trust_store *store = NEW(struct trust_store);
    store_fill_new(store);
    return store;
}

void trust_store_free(struct trust_store *store)
{
    if (!store) return;
    store_empty(store);
    free(store->certs);
    free(store);
}

void trust_store_clear(struct trust_store *store)
{
    store_empty(store);
    store_fill_new(store);
}

static struct held_cert *store_find(const struct trust_store *store, struct bytes der)
{
    for (size_t i = 0; i < store->cert_count; i++)
        if (bytes_equal(store->certs[i].cert->der, der)) return &store->certs[i];
    return NULL;
}

void trust_store_add(struct trust_store *store, struct cert *cert, bool anchor)
{
    struct held_cert *held = store_find(store, cert->der);
    if (held) {
        cert_free(cert);
        if (held->anchor || !anchor) return;
        held->anchor = true;
    } else {
        store->certs = mem_grow(store->certs, store->cert_count + 1, sizeof *store->certs);
        held = &store->certs[store->cert_count++];
        *held = (struct held_cert){cert, anchor};
    }
    if (!anchor) return;
    X509_STORE_add_cert(store->x509, held->cert->x509);
    sk_X509_push(store->anchors, held->cert->x509);
}

static bool crl_extension_equal(const X509_CRL *a, const X509_CRL *b, int kind)
{
    int at_a = X509_CRL_get_ext_by_NID(a, kind, -1), at_b = X509_CRL_get_ext_by_NID(b, kind, -1);
    if (at_a < 0 || at_b < 0) return at_a < 0 && at_b < 0;
    return ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(X509_CRL_get_ext(a, at_a)),
                                 X509_EXTENSION_get_data(X509_CRL_get_ext(b, at_b))) == 0;
}

// RFC 5280 5.2.3: lists of one issuer and one scope follow each other. Deltas stand beside their base.
static bool crl_same_series(const X509_CRL *a, const X509_CRL *b)
{
    return X509_NAME_cmp(X509_CRL_get_issuer(a), X509_CRL_get_issuer(b)) == 0 &&
           crl_extension_equal(a, b, NID_issuing_distribution_point) && crl_extension_equal(a, b, NID_delta_crl) &&
           crl_extension_equal(a, b, NID_authority_key_identifier);
}

enum fault trust_store_add_crl(struct trust_store *store, struct bytes in)
{
    X509_CRL *crl = crl_read(in);
    if (!crl) return FAULT_CRL_SYNTAX;
    for (int i = 0; i < sk_X509_CRL_num(store->crls); i++) {
        X509_CRL *held = sk_X509_CRL_value(store->crls, i);
        if (!crl_same_series(held, crl)) continue;
        bool newer = time_of_asn1(X509_CRL_get0_lastUpdate(crl)) > time_of_asn1(X509_CRL_get0_lastUpdate(held));
        X509_CRL_free(newer ? held : crl);
        if (newer) sk_X509_CRL_set(store->crls, i, crl);
        return OK;
    }
    sk_X509_CRL_push(store->crls, crl);
    return OK;
}

size_t trust_store_count(const struct trust_store *store)
{
    return store->cert_count;
}

struct cert *trust_store_at(const struct trust_store *store, size_t index, bool *anchor)
{
    *anchor = store->certs[index].anchor;
    return store->certs[index].cert;
}

size_t trust_store_anchor_hashes(const struct trust_store *store, uint8_t (*hashes)[20], size_t limit)
{
    size_t count = 0;
    for (size_t i = 0; i < store->cert_count && count < limit; i++)
        if (store->certs[i].anchor) cert_spki_hash(store->certs[i].cert, hashes[count++]);
    return count;
}

// --- one judgement

struct judging {
    const struct trust_store *store;
    const struct judge_input *in;
    struct buf *text;
    struct cert *peer;                        // owned
    struct cert *cas[CONN_CERTS_MAX];         // owned: the only anchors
    size_t ca_count;
    STACK_OF(X509) *anchors;                  // owned; borrowed certificates
    STACK_OF(X509) *between;                  // owned, with its certificates
    struct finding found;                     // what the verification stopped at; `at` and `crl` are owned
    bool ca_fits;                             // a CA of the chain is the one that is asked for
    const struct bytes *policy_missing;       // borrowed: one that is asked for; NULL: all are there
    X509_STORE_CTX_verify_fn openssl_end;     // the last step of a chain as OpenSSL does it
    X509_CRL *crl_unproven;                   // borrowed: its signature is wrong or its issuer unknown
};

static enum fault judge_find(struct judging *judging, int error, const X509 *at)
{
    struct finding finding = {.error = error, .at = at, .now = judging->in->now, .anchors = judging->anchors};
    return finding_explain(&finding, judging->text);
}

static enum fault peer_check_dates(struct judging *judging)
{
    const struct cert *peer = judging->peer;
    if (judging->in->now > peer->not_after) return judge_find(judging, X509_V_ERR_CERT_HAS_EXPIRED, peer->x509);
    if (judging->in->now < peer->not_before) return judge_find(judging, X509_V_ERR_CERT_NOT_YET_VALID, peer->x509);
    return OK;
}

static enum fault peer_check_key(struct judging *judging)
{
    const struct cert *peer = judging->peer;
    char subject[IDENTITY_TEXT], kind[80] = "unknown";
    if (!peer->key) {
        ASN1_OBJECT *algorithm;
        X509_PUBKEY_get0_param(&algorithm, NULL, NULL, NULL, X509_get_X509_PUBKEY(peer->x509));
        OBJ_obj2txt(kind, sizeof kind, algorithm, 0);
        buf_printf(judging->text, "certificate of %s has a key that IKE cannot use (%s)", subject_text(peer->x509, subject),
                   kind);
        return FAULT_KEY_TYPE;
    }
    // RFC 8247 4: RSA below 2048 bits is not taken; the others accordingly.
    if (EVP_PKEY_get_security_bits(X509_get0_pubkey(peer->x509)) < SECURITY_BITS_MIN)
        return judge_find(judging, X509_V_ERR_EE_KEY_TOO_SMALL, peer->x509);
    return OK;
}

// RFC 4945 5.1.3.12: an extended key usage, where there is one, has to name IKE or any purpose. Certificates for TLS are taken
// as well, since the clients that come with Windows and Apple's systems demand that purpose of a gateway; so are the older
// purposes that were meant for IPsec.
static bool purpose_fits(const ASN1_OBJECT *purpose)
{
    static const char *const fitting[] = {
        "1.3.6.1.5.5.7.3.17",  // ipsecIKE
        "2.5.29.37.0",         // any
        "1.3.6.1.5.5.7.3.1",   // serverAuth
        "1.3.6.1.5.5.7.3.2",   // clientAuth
        "1.3.6.1.5.5.8.2.2",   // iKEIntermediate
        "1.3.6.1.5.5.7.3.5",   // ipsecEndSystem
        "1.3.6.1.5.5.7.3.6",   // ipsecTunnel
        "1.3.6.1.5.5.7.3.7",   // ipsecUser
    };
    char oid[80];
    OBJ_obj2txt(oid, sizeof oid, purpose, 1);
    for (size_t i = 0; i < sizeof fitting / sizeof *fitting; i++)
        if (strcmp(oid, fitting[i]) == 0) return true;
    return false;
}

static bool purposes_fit(const X509 *x509)
{
    EXTENDED_KEY_USAGE *purposes = X509_get_ext_d2i(x509, NID_ext_key_usage, NULL, NULL);
    bool fits = purposes == NULL;
    for (int i = 0; !fits && i < sk_ASN1_OBJECT_num(purposes); i++) fits = purpose_fits(sk_ASN1_OBJECT_value(purposes, i));
    EXTENDED_KEY_USAGE_free(purposes);
    return fits;
}

// RFC 4945 5.1.3.2: with key usage there is digitalSignature or nonRepudiation in it.
static enum fault peer_check_usage(struct judging *judging)
{
    X509 *x509 = judging->peer->x509;
    char subject[IDENTITY_TEXT];
    subject_text(x509, subject);
    if (!(X509_get_key_usage(x509) & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION))) {
        buf_printf(judging->text, "certificate of %s is not for signatures: its key usage lacks digitalSignature", subject);
        return FAULT_CERT_KEY_USAGE;
    }
    if (purposes_fit(x509)) return OK;
    buf_printf(judging->text, "certificate of %s is not for IKE: its extended key usage has neither ipsecIKE nor serverAuth, "
               "clientAuth or any", subject);
    return FAULT_CERT_KEY_USAGE;
}

static enum fault peer_check_allowed(struct judging *judging)
{
    const struct auth_conf *auth = judging->in->auth;
    char name[IDENTITY_TEXT];
    if (auth->cert_count == 0) return OK;
    for (unsigned i = 0; i < auth->cert_count; i++)
        if (bytes_equal(auth->certs[i].der, judging->peer->der)) return OK;
    buf_printf(judging->text, "certificate of %s is not one of those that the connection allows: ",
               subject_text(judging->peer->x509, name));
    for (unsigned i = 0; i < auth->cert_count; i++) {
        struct cert *allowed;
        if (cert_parse(auth->certs[i].der, &allowed)) continue;
        buf_printf(judging->text, "%s%s", i ? "; " : "", subject_text(allowed->x509, name));
        cert_free(allowed);
    }
    return FAULT_CERT_NOT_ALLOWED;
}

static enum fault peer_check_identity(struct judging *judging)
{
    const struct cert *peer = judging->peer;
    char name[IDENTITY_TEXT];
    if (cert_has_identity(peer, &judging->in->id)) return OK;
    buf_printf(judging->text, "certificate of %s is not for %s; ", subject_text(peer->x509, name),
               identity_print(&judging->in->id, (char[IDENTITY_TEXT]){0}, IDENTITY_TEXT));
    buf_add_text(judging->text, peer->name_count ? "its names besides the subject: " : "it has no name besides the subject");
    for (size_t i = 0; i < peer->name_count && i < NAMED_MAX; i++)
        buf_printf(judging->text, "%s%s", i ? ", " : "", identity_print(&peer->names[i], name, sizeof name));
    if (peer->name_count > NAMED_MAX) buf_printf(judging->text, ", and %zu more", peer->name_count - NAMED_MAX);
    return FAULT_CERT_IDENTITY;
}

// --- revocation

static bool error_is_no_status(int error)
{
    switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR: return true;
    default: return false;
    }
}

// Those that leave open whether the CRL's issuer has said what is in it.
static bool error_is_unproven_crl(int error)
{
    return error == X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER || error == X509_V_ERR_CRL_SIGNATURE_FAILURE ||
           error == X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE || error == X509_V_ERR_KEYUSAGE_NO_CRL_SIGN ||
           error == X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION || error == X509_V_ERR_CRL_PATH_VALIDATION_ERROR;
}

static bool cert_says_where(X509 *x509)
{
    if (X509_get_ext_by_NID(x509, NID_crl_distribution_points, -1) >= 0) return true;
    STACK_OF(OPENSSL_STRING) *uris = X509_get1_ocsp(x509);
    bool any = uris && sk_OPENSSL_STRING_num(uris) > 0;
    X509_email_free(uris);
    return any;
}

static bool status_is_needed(const struct judging *judging, X509 *x509)
{
    switch (judging->in->auth->revocation) {
    case REVOCATION_STRICT: return true;
    case REVOCATION_IFURI: return cert_says_where(x509);
    default: return false;
    }
}

// --- the chain

static void finding_keep(struct judging *judging, X509_STORE_CTX *ctx, int error)
{
    X509 *at = X509_STORE_CTX_get_current_cert(ctx);
    X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);
    if (judging->found.at) return;  // the first one counts
    if (!at) at = judging->peer->x509;
    X509_up_ref(at);
    if (crl) X509_CRL_up_ref(crl);
    judging->found = (struct finding){.error = error, .at = at, .crl = crl, .now = judging->in->now,
                                      .anchors = judging->anchors};
}

static int64_t end_of(const X509 *x509)
{
    return time_of_asn1(X509_get0_notAfter(x509));
}

// OpenSSL calls this for every certificate; a CRL that cannot be used is only a fault where the policy makes it one.
static int chain_step(int good, X509_STORE_CTX *ctx)
{
    X509_STORE_CTX *parent = X509_STORE_CTX_get0_parent_ctx(ctx);  // there is one while a CRL's own issuer is verified
    struct judging *judging = X509_STORE_CTX_get_app_data(parent ? parent : ctx);
    if (good || !judging) return good;
    int error = X509_STORE_CTX_get_error(ctx), depth = X509_STORE_CTX_get_error_depth(ctx);
    X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);
    // RFC 5280 4.1.2.5: the last second belongs to the time of validity; OpenSSL sees it otherwise.
    if (error == X509_V_ERR_CERT_HAS_EXPIRED && judging->in->now <= end_of(X509_STORE_CTX_get_current_cert(ctx))) return 1;
    if (error == X509_V_ERR_CERT_REVOKED && crl && crl == judging->crl_unproven) error = X509_V_ERR_CRL_SIGNATURE_FAILURE;
    if (error_is_no_status(error)) {
        // RFC 5280 6.1: the anchor itself is not part of the path.
        bool anchor = depth + 1 == sk_X509_num(X509_STORE_CTX_get0_chain(ctx));
        if (error_is_unproven_crl(error)) judging->crl_unproven = crl;
        if (anchor || !status_is_needed(judging, X509_STORE_CTX_get_current_cert(ctx))) return 1;
    }
    if (!parent) finding_keep(judging, ctx, error);
    return 0;
}

// RFC 4945 5.1.3.9: without basicConstraints nothing is a CA, which OpenSSL sees less strictly.
static bool chain_is_of_cas(struct judging *judging, X509_STORE_CTX *ctx)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    for (int i = 1; i < sk_X509_num(chain); i++) {
        X509 *ca = sk_X509_value(chain, i);
        if (X509_check_ca(ca) == 1) continue;
        X509_up_ref(ca);
        judging->found = (struct finding){.error = X509_V_ERR_INVALID_CA, .at = ca, .now = judging->in->now};
        return false;
    }
    return true;
}

// The CA that is asked for may be anywhere in the chain, by its subject or by another of its names.
static bool ca_has_identity(X509 *ca, const struct identity *wanted)
{
    struct cert *cert;
    X509_up_ref(ca);
    if (cert_of_x509(ca, &cert)) return false;
    bool has = identity_matches(wanted, &cert->subject) > 0;
    for (size_t i = 0; i < cert->name_count && !has; i++) has = identity_matches(wanted, &cert->names[i]) > 0;
    cert_free(cert);
    return has;
}

// RFC 5280 6.1: a policy counts that the certificate has and every CA above it allows.
static bool chain_has_policy(X509_STORE_CTX *ctx, struct bytes wanted)
{
    const X509_POLICY_TREE *tree = X509_STORE_CTX_get0_policy_tree(ctx);
    STACK_OF(X509_POLICY_NODE) *nodes = tree ? X509_policy_tree_get0_user_policies(tree) : NULL;
    char oid[256];
    for (int i = 0; i < sk_X509_POLICY_NODE_num(nodes); i++) {
        OBJ_obj2txt(oid, sizeof oid, X509_policy_node_get0_policy(sk_X509_POLICY_NODE_value(nodes, i)), 1);
        if (bytes_equal(bytes_of_text(oid), wanted)) return true;
    }
    return false;
}

static void chain_constraints(struct judging *judging, X509_STORE_CTX *ctx)
{
    const struct auth_conf *auth = judging->in->auth;
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    judging->ca_fits = !auth->ca_id.type;
    for (int i = 1; i < sk_X509_num(chain) && !judging->ca_fits; i++)
        judging->ca_fits = ca_has_identity(sk_X509_value(chain, i), &auth->ca_id);
    for (unsigned i = 0; i < auth->policy_count && !judging->policy_missing; i++)
        if (!chain_has_policy(ctx, auth->policies[i])) judging->policy_missing = &auth->policies[i];
}

static int chain_end(X509_STORE_CTX *ctx)
{
    const struct judging *judging = X509_STORE_CTX_get_app_data(ctx);
    if (chain_is_ed25519(ctx)) return chain_signatures(ctx, judging->in->now);
    return judging->openssl_end(ctx);
}

static bool chain_verify(struct judging *judging)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    // RFC 4945 5.1.3.11: policies that the CAs demand are processed; none is demanded by us.
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_POLICY_CHECK |
                          X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL | X509_V_FLAG_EXTENDED_CRL_SUPPORT |
                          X509_V_FLAG_USE_DELTAS;
    bool good = ctx && X509_STORE_CTX_init(ctx, judging->store->x509, judging->peer->x509, judging->between) == 1;
    if (good) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_flags(param, flags);
        X509_VERIFY_PARAM_add0_policy(param, OBJ_nid2obj(NID_any_policy));
        X509_VERIFY_PARAM_set_time(param, (time_t)judging->in->now);
        X509_VERIFY_PARAM_set_depth(param, CHAIN_LENGTH_MAX);
        X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
        X509_STORE_CTX_set0_crls(ctx, judging->store->crls);  // also those that another than the certificate's issuer made
        if (judging->ca_count) X509_STORE_CTX_set0_trusted_stack(ctx, judging->anchors);
        X509_STORE_CTX_set_app_data(ctx, judging);
        X509_STORE_CTX_set_verify_cb(ctx, chain_step);
        judging->openssl_end = X509_STORE_CTX_get_verify(ctx);
        X509_STORE_CTX_set_verify(ctx, chain_end);
        good = X509_verify_cert(ctx) == 1;
        if (!good && !judging->found.at) finding_keep(judging, ctx, X509_STORE_CTX_get_error(ctx));
        good = good && chain_is_of_cas(judging, ctx);
        if (good) chain_constraints(judging, ctx);
    }
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return good;
}

// A certificate that is loaded here is trusted by itself, whoever issued it; not so when the connection wants certain CAs.
static bool peer_is_trusted_itself(const struct judging *judging)
{
    const struct auth_conf *auth = judging->in->auth;
    if (judging->ca_count || auth->ca_id.type || auth->policy_count) return false;
    return auth->cert_count > 0 || store_find(judging->store, judging->peer->der);
}

static enum fault peer_check_constraints(struct judging *judging)
{
    char subject[IDENTITY_TEXT], wanted[IDENTITY_TEXT];
    subject_text(judging->peer->x509, subject);
    if (!judging->ca_fits) {
        buf_printf(judging->text, "no CA above the certificate of %s is %s", subject,
                   identity_print(&judging->in->auth->ca_id, wanted, sizeof wanted));
        return FAULT_CERT_CA_OTHER;
    }
    if (!judging->policy_missing) return OK;
    buf_printf(judging->text, "certificate of %s does not have the policy %.*s by its chain", subject,
               (int)judging->policy_missing->size, (const char *)judging->policy_missing->at);
    return FAULT_CERT_POLICY_MISSING;
}

static enum fault peer_check_chain(struct judging *judging)
{
    if (chain_verify(judging)) return peer_check_constraints(judging);
    bool itself = peer_is_trusted_itself(judging);
    // What its CA says of it counts nevertheless, and with a policy that wants certainty the CA has to say something.
    bool status = judging->found.error == X509_V_ERR_CERT_REVOKED || error_is_no_status(judging->found.error);
    if (itself && (cert_is_self_signed(judging->peer) || (!status && !status_is_needed(judging, judging->peer->x509))))
        return OK;
    return finding_explain(&judging->found, judging->text);
}

// --- gathering

static void between_push(struct judging *judging, X509 *x509)
{
    X509_up_ref(x509);
    sk_X509_push(judging->between, x509);
}

// Most CAs that a peer sends or a connection names are loaded; reading one takes as long as verifying with it.
static enum fault cert_read_known(const struct trust_store *store, struct bytes der, struct cert **out)
{
    const struct held_cert *held = store_find(store, der);
    if (!held) return cert_parse(der, out);
    *out = cert_hold(held->cert);
    return OK;
}

// What stands between a peer and an anchor: what the peer sent behind its own certificate, and CAs that are loaded.
// RFC 4945 3.3.10.2, 3.3.10.5: certificates that cannot be decoded or have nothing to do with the chain are passed over.
static enum fault between_gather(struct judging *judging)
{
    if (judging->in->cert_count > CERTS_SENT_MAX) {
        buf_printf(judging->text, "the peer sent %zu certificates; at most %d are taken", judging->in->cert_count, CERTS_SENT_MAX);
        return FAULT_CERT_TOO_MANY;
    }
    for (size_t i = 1; i < judging->in->cert_count; i++) {
        struct cert *cert;
        if (cert_read_known(judging->store, judging->in->certs[i], &cert)) continue;
        between_push(judging, cert->x509);
        cert_free(cert);
    }
    for (size_t i = 0; i < judging->store->cert_count; i++) {
        const struct held_cert *held = &judging->store->certs[i];
        if ((!held->anchor || judging->ca_count) && cert_is_ca(held->cert)) between_push(judging, held->cert->x509);
    }
    return OK;
}

static enum fault anchors_gather(struct judging *judging)
{
    const struct auth_conf *auth = judging->in->auth;
    for (unsigned i = 0; i < auth->ca_count; i++) {
        TRY(cert_read_known(judging->store, auth->cas[i].der, &judging->cas[judging->ca_count]));
        sk_X509_push(judging->anchors, judging->cas[judging->ca_count++]->x509);
    }
    for (int i = 0; auth->ca_count == 0 && i < sk_X509_num(judging->store->anchors); i++)
        sk_X509_push(judging->anchors, sk_X509_value(judging->store->anchors, i));
    return OK;
}

static void judging_wipe(struct judging *judging)
{
    sk_X509_free(judging->anchors);
    sk_X509_pop_free(judging->between, X509_free);
    while (judging->ca_count) cert_free(judging->cas[--judging->ca_count]);
    X509_free((X509 *)(uintptr_t)judging->found.at);
    X509_CRL_free((X509_CRL *)(uintptr_t)judging->found.crl);
    cert_free(judging->peer);
}

static enum fault peer_check(struct judging *judging)
{
    TRY(anchors_gather(judging));
    TRY(between_gather(judging));
    TRY(peer_check_allowed(judging));
    TRY(peer_check_dates(judging));
    TRY(peer_check_key(judging));
    TRY(peer_check_chain(judging));
    if (judging->in->chain_only) return OK;
    TRY(peer_check_usage(judging));
    return peer_check_identity(judging);
}

// Takes the reference of candidate.
static enum fault candidate_judge(const struct trust_store *store, const struct judge_input *in, struct cert *candidate,
                                  struct cert **peer, struct buf *text)
{
    struct judging judging = {.store = store, .in = in, .text = text, .peer = candidate, .anchors = sk_X509_new_null(),
                              .between = sk_X509_new_null()};
    enum fault fault = peer_check(&judging);
    if (!fault) {
        *peer = judging.peer;
        judging.peer = NULL;
    }
    judging_wipe(&judging);
    return fault;
}

// --- without a certificate from the peer

static enum fault allowed_judge(const struct trust_store *store, const struct judge_input *in, struct cert **peer, struct buf *text)
{
    enum fault fault = FAULT_CERT_MISSING;
    for (unsigned i = 0; i < in->auth->cert_count; i++) {
        struct cert *candidate;
        buf_clear(text);
        fault = cert_parse(in->auth->certs[i].der, &candidate);
        if (!fault) fault = candidate_judge(store, in, candidate, peer, text);
        if (!fault) break;
    }
    return fault;
}

static enum fault loaded_judge(const struct trust_store *store, const struct judge_input *in, struct cert **peer, struct buf *text)
{
    char name[IDENTITY_TEXT];
    enum fault fault = FAULT_CERT_MISSING;
    for (size_t i = 0; i < store->cert_count; i++) {
        struct cert *candidate = store->certs[i].cert;
        if (!cert_has_identity(candidate, &in->id)) continue;
        buf_clear(text);
        fault = candidate_judge(store, in, cert_hold(candidate), peer, text);
        if (!fault) return OK;
    }
    if (fault == FAULT_CERT_MISSING)
        buf_printf(text, "the peer %s sent no certificate, and none that is loaded is for it",
                   identity_print(&in->id, name, sizeof name));
    return fault;
}

// RFC 7296 3.6: the first certificate has the key that the signature is checked with.
enum fault trust_judge(const struct trust_store *store, const struct judge_input *in, struct cert **peer, struct buf *text)
{
    struct cert *candidate;
    *peer = NULL;
    if (in->cert_count == 0)
        return in->auth->cert_count ? allowed_judge(store, in, peer, text) : loaded_judge(store, in, peer, text);
    enum fault fault = cert_parse(in->certs[0], &candidate);
    if (!fault) return candidate_judge(store, in, candidate, peer, text);
    buf_printf(text, "the peer's certificate: %s", fault_sentence(fault));
    return fault;
}
