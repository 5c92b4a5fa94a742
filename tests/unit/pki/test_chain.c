// SPDX-License-Identifier: Apache-2.0
// RFC 5280 6, RFC 4945 3.1, 5.1.3 test: every way in which a peer's certificate can be wrong, with the exact words for it.
#include "pki_test.h"
#include <openssl/core_names.h>

static struct made root, other_root, between, peer;
static struct trust_store *store;

static int world_make(void **state)
{
    (void)state;
    crypto_start();
    root = make(&(struct made_spec){.subject = "C=CH, O=Lab, CN=Root", .extensions = {CA_EXTENSIONS}});
    other_root = make(&(struct made_spec){.subject = "CN=Other Root", .extensions = {CA_EXTENSIONS}});
    between = make(&(struct made_spec){.subject = "CN=Between", .issuer = &root, .serial = 7, .extensions = {CA_EXTENSIONS}});
    peer = make(&(struct made_spec){.subject = "CN=moon", .issuer = &root, .serial = 42,
                                    .extensions = {"subjectAltName=DNS:moon.example.org,IP:192.0.2.1"}});
    assert_non_null(peer.cert);
    return 0;
}

// Chains of Ed25519 may be verified by another library.
static int world_make_ed25519(void **state)
{
    made_kind = KEY_ED25519;
    return world_make(state);
}

static int world_free(void **state)
{
    (void)state;
    made_free(&root);
    made_free(&other_root);
    made_free(&between);
    made_free(&peer);
    return 0;
}

static int store_make(void **state)
{
    (void)state;
    store = trust_store_new();
    trust_store_add(store, cert_hold(root.cert), true);
    return 0;
}

static int store_free(void **state)
{
    (void)state;
    trust_store_free(store);
    return 0;
}

static void expect(struct judged judged, enum fault fault, const char *text)
{
    if (judged.fault != fault) printf("%s: %s\n", fault_name(judged.fault), judged.text);
    CHECK_FAULT(judged.fault, fault);
    assert_string_equal(judged.text, text);
    cert_free(judged.peer);
}

// One certificate alone.
static void expect_alone(const struct made *made, const char *id, enum fault fault, const char *text)
{
    assert_non_null(made->cert);
    expect(judge(store, &made->der, 1, id, NULL), fault, text);
}

// --- good ones

static void a_certificate_of_a_trusted_ca_is_good(void **state)
{
    (void)state;
    struct judged judged = judge(store, &peer.der, 1, "moon.example.org", NULL);
    CHECK_FAULT(judged.fault, OK);
    check_bytes(cert_der(judged.peer), peer.der);
    cert_free(judged.peer);
    expect_alone(&peer, "MOON.example.ORG", OK, "");
    expect_alone(&peer, "192.0.2.1", OK, "");
    expect_alone(&peer, "CN=MOON", OK, "");
}

static void a_chain_is_built_from_what_the_peer_sent_and_from_what_is_loaded(void **state)
{
    (void)state;
    struct made deep = make(&(struct made_spec){.subject = "CN=deep", .issuer = &between});
    struct bytes sent[] = {deep.der, BYTES("not a certificate"), other_root.der, between.der};
    expect(judge(store, sent, 4, "CN=deep", NULL), OK, "");
    expect(judge(store, sent, 3, "CN=deep", NULL), FAULT_CERT_UNTRUSTED,
           "certificate of CN=deep is issued by CN=Between, which is not a trusted CA here (loaded: C=CH, O=Lab, CN=Root)");
    trust_store_add(store, cert_hold(between.cert), false);
    expect(judge(store, sent, 1, "CN=deep", NULL), OK, "");
    made_free(&deep);
}

// RFC 4945 3.3 test
static void the_way_up_ends_below_the_root(void **state)
{
    (void)state;
    struct made crossed = make(&(struct made_spec){.subject = "CN=Between", .issuer = &other_root, .key = between.key,
                                                   .extensions = {CA_EXTENSIONS}});
    struct made namesake = make(&(struct made_spec){.subject = "CN=Between", .issuer = &root, .extensions = {"basicConstraints=critical,CA:TRUE"}});
    struct made lower = make(&(struct made_spec){.subject = "CN=lower", .issuer = &between, .extensions = {CA_EXTENSIONS}});
    struct made deep = make(&(struct made_spec){.subject = "CN=deep", .issuer = &lower});
    const struct cert *known[] = {root.cert, between.cert, namesake.cert, peer.cert, lower.cert, crossed.cert, other_root.cert};
    const struct cert *out[8] = {deep.cert};
    assert_int_equal(certs_above(deep.cert, known, 7, out, 0, 8), 3);
    check_bytes(cert_der(out[0]), lower.der);
    check_bytes(cert_der(out[1]), between.der);   // both of its certificates: a peer may have either root
    check_bytes(cert_der(out[2]), crossed.der);
    assert_int_equal(certs_above(peer.cert, known, 7, out, 0, 8), 0);    // issued by the root itself
    assert_int_equal(certs_above(root.cert, known, 7, out, 0, 8), 0);
    out[0] = lower.cert;                                                   // there already, in our own file
    assert_int_equal(certs_above(deep.cert, known, 7, out, 1, 8), 1);    // … and followed by whoever put it there
    assert_int_equal(certs_above(lower.cert, known, 7, out, 1, 8), 3);
    assert_int_equal(certs_above(deep.cert, known, 7, out, 0, 2), 2);    // no more than asked for
    assert_int_equal(certs_above(deep.cert, known, 4, out, 0, 8), 0);    // its issuer is not known
    made_free(&deep), made_free(&lower), made_free(&namesake), made_free(&crossed);
}

static void a_ca_above_the_peer_is_the_one_asked_for(void **state)
{
    (void)state;
    struct made named = make(&(struct made_spec){.subject = "CN=Named", .issuer = &root, .extensions = {CA_EXTENSIONS, "subjectAltName=DNS:ca.example.org"}});
    struct made deep = make(&(struct made_spec){.subject = "CN=deep", .issuer = &between});
    struct made other = make(&(struct made_spec){.subject = "CN=other", .issuer = &named});
    struct bytes sent[] = {deep.der, between.der}, sent_other[] = {other.der, named.der};
    static const struct {
        const char *ca_id;
        enum fault deep, other;
    } rows[] = {
        {"CN=Between", OK, FAULT_CERT_CA_OTHER},       {"CN=B*", FAULT_CERT_CA_OTHER, FAULT_CERT_CA_OTHER},
        {"C=CH, O=Lab, CN=Root", OK, OK},              {"C=CH, O=Lab, CN=*", OK, OK},
        {"ca.example.org", FAULT_CERT_CA_OTHER, OK},   {"CN=deep", FAULT_CERT_CA_OTHER, FAULT_CERT_CA_OTHER},
        {"CN=Nobody", FAULT_CERT_CA_OTHER, FAULT_CERT_CA_OTHER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct auth_conf conf = {.ca_id = id_of(rows[i].ca_id)};
        struct judged of_deep = judge(store, sent, 2, "CN=deep", &conf), of_other = judge(store, sent_other, 2, "CN=other", &conf);
        CHECK_FAULT(of_deep.fault, rows[i].deep);
        CHECK_FAULT(of_other.fault, rows[i].other);
        cert_free(of_deep.peer), cert_free(of_other.peer);
    }
    struct auth_conf nobody = {.ca_id = id_of("CN=Nobody")};
    expect(judge(store, sent, 2, "CN=deep", &nobody), FAULT_CERT_CA_OTHER, "no CA above the certificate of CN=deep is CN=Nobody");
    trust_store_add(store, cert_hold(deep.cert), false);   // trusted by itself it would do without a CA
    expect(judge(store, sent, 2, "CN=deep", &nobody), FAULT_CERT_CA_OTHER, "no CA above the certificate of CN=deep is CN=Nobody");
    made_free(&named), made_free(&deep), made_free(&other);
}

// RFC 5280 6.1 test: the CA has 1.2.3.4 and 1.2.3.5, those below it 1.2.3.4 and 1.2.3.6.
static void policies_hold_by_the_whole_chain(void **state)
{
    (void)state;
    struct made ca = make(&(struct made_spec){.subject = "CN=ca", .issuer = &root, .extensions = {CA_EXTENSIONS, "certificatePolicies=DER:30:0e:30:05:06:03:2a:03:04:30:05:06:03:2a:03:05"}});
    struct made leaf = make(&(struct made_spec){.subject = "CN=x", .issuer = &ca, .extensions = {"certificatePolicies=DER:30:0e:30:05:06:03:2a:03:04:30:05:06:03:2a:03:06"}});
    struct made direct = make(&(struct made_spec){.subject = "CN=y", .issuer = &root, .extensions = {"certificatePolicies=DER:30:0e:30:05:06:03:2a:03:04:30:05:06:03:2a:03:06"}});
    struct made under = make(&(struct made_spec){.subject = "CN=z", .issuer = &between, .extensions = {"certificatePolicies=DER:30:07:30:05:06:03:2a:03:04"}});
    struct bytes sent[] = {leaf.der, ca.der}, sent_under[] = {under.der, between.der};
    struct auth_conf one = {.policy_count = 1, .policies = {BYTES("1.2.3.4")}}, two = {.policy_count = 2, .policies = {BYTES("1.2.3.4"), BYTES("1.2.3.6")}},
                     of_ca = {.policy_count = 1, .policies = {BYTES("1.2.3.5")}};
    expect(judge(store, sent, 2, "CN=x", &one), OK, "");
    expect(judge(store, sent, 2, "CN=x", &two), FAULT_CERT_POLICY_MISSING, "certificate of CN=x does not have the policy 1.2.3.6 by its chain");
    expect(judge(store, sent, 2, "CN=x", &of_ca), FAULT_CERT_POLICY_MISSING, "certificate of CN=x does not have the policy 1.2.3.5 by its chain");
    expect(judge(store, &direct.der, 1, "CN=y", &two), OK, "");
    expect(judge(store, sent_under, 2, "CN=z", &one), FAULT_CERT_POLICY_MISSING, "certificate of CN=z does not have the policy 1.2.3.4 by its chain");
    expect(judge(store, &peer.der, 1, "CN=moon", &one), FAULT_CERT_POLICY_MISSING, "certificate of CN=moon does not have the policy 1.2.3.4 by its chain");
    made_free(&ca), made_free(&leaf), made_free(&direct), made_free(&under);
}

// --- dates

static void dates_are_told_with_their_distance(void **state)
{
    (void)state;
    static const struct {
        int64_t begin, end;
        enum fault fault;
        const char *text;
    } rows[] = {
        {0, NOW - 2 * DAY - 5, FAULT_CERT_EXPIRED, "certificate of CN=x expired on 2027-01-13 07:59:55 UTC (2 days ago)"},
        {0, NOW - 1, FAULT_CERT_EXPIRED, "certificate of CN=x expired on 2027-01-15 07:59:59 UTC (1 second ago)"},
        {0, NOW, OK, ""},
        {NOW, 0, OK, ""},
        {NOW + 1, 0, FAULT_CERT_NOT_YET_VALID, "certificate of CN=x is not valid before 2027-01-15 08:00:01 UTC (in 1 second)"},
        {NOW + 7200, 0, FAULT_CERT_NOT_YET_VALID, "certificate of CN=x is not valid before 2027-01-15 10:00:00 UTC (in 2 hours)"},
        {1, NOW - 900 * (int64_t)DAY, FAULT_CERT_EXPIRED, "certificate of CN=x expired on 2024-07-29 08:00:00 UTC (2 years ago)"},
        {1, NOW - 600 * (int64_t)DAY, FAULT_CERT_EXPIRED, "certificate of CN=x expired on 2025-05-25 08:00:00 UTC (600 days ago)"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct made made = make(&(struct made_spec){.subject = "CN=x", .issuer = &root, .begin = rows[i].begin, .end = rows[i].end});
        expect_alone(&made, "CN=x", rows[i].fault, rows[i].text);
        made_free(&made);
    }
}

static void a_ca_in_between_that_has_expired_is_named(void **state)
{
    (void)state;
    struct made old = make(&(struct made_spec){.subject = "CN=Old", .issuer = &root, .end = NOW - 3600, .extensions = {CA_EXTENSIONS}});
    struct made leaf = make(&(struct made_spec){.subject = "CN=leaf", .issuer = &old});
    struct bytes sent[] = {leaf.der, old.der};
    expect(judge(store, sent, 2, "CN=leaf", NULL), FAULT_CERT_EXPIRED,
           "certificate of CN=Old expired on 2027-01-15 07:00:00 UTC (1 hour ago)");
    made_free(&leaf);
    made_free(&old);
}

// --- trust

static void an_unknown_issuer_is_told_with_what_is_loaded(void **state)
{
    (void)state;
    struct made leaf = make(&(struct made_spec){.subject = "CN=x", .issuer = &other_root});
    expect_alone(&leaf, "CN=x", FAULT_CERT_UNTRUSTED,
                 "certificate of CN=x is issued by CN=Other Root, which is not a trusted CA here (loaded: C=CH, O=Lab, CN=Root)");
    struct bytes sent[] = {leaf.der, other_root.der};
    expect(judge(store, sent, 2, "CN=x", NULL), FAULT_CERT_UNTRUSTED,
           "certificate of CN=Other Root is self-signed and is neither a trusted CA nor a trusted peer here "
           "(loaded: C=CH, O=Lab, CN=Root)");
    trust_store_clear(store);
    expect_alone(&leaf, "CN=x", FAULT_CERT_UNTRUSTED,
                 "certificate of CN=x is issued by CN=Other Root, which is not a trusted CA here (none is loaded)");
    made_free(&leaf);
}

static void many_anchors_are_cut_short(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        char name[16];
        snprintf(name, sizeof name, "CN=R%u", i);
        struct made made = make(&(struct made_spec){.subject = name, .extensions = {CA_EXTENSIONS}});
        trust_store_add(store, cert_hold(made.cert), true);
        made_free(&made);
    }
    struct made leaf = make(&(struct made_spec){.subject = "CN=x", .issuer = &other_root});
    expect_alone(&leaf, "CN=x", FAULT_CERT_UNTRUSTED,
                 "certificate of CN=x is issued by CN=Other Root, which is not a trusted CA here (loaded: C=CH, O=Lab, CN=Root; "
                 "CN=R0; CN=R1; CN=R2; CN=R3; CN=R4; CN=R5; CN=R6; and 2 more)");
    made_free(&leaf);
}

static void a_ca_of_the_same_name_with_another_key_does_not_pass(void **state)
{
    (void)state;
    struct made twin = make(&(struct made_spec){.subject = "C=CH, O=Lab, CN=Root", .extensions = {"basicConstraints=critical,CA:TRUE"}});
    struct made leaf = make(&(struct made_spec){.subject = "CN=x", .issuer = &twin});
    expect_alone(&leaf, "CN=x", FAULT_CERT_SIGNATURE,
                 "certificate of CN=x is not signed by the key of its issuer C=CH, O=Lab, CN=Root that we have");
    made_free(&leaf);
    leaf = make(&(struct made_spec){.subject = "CN=x", .issuer = &root, .extensions = {"authorityKeyIdentifier=keyid:always"}});
    struct made twin_id = make(&(struct made_spec){.subject = "C=CH, O=Lab, CN=Root", .extensions = {CA_EXTENSIONS}});
    struct made other = make(&(struct made_spec){.subject = "CN=x", .issuer = &twin_id,
                                                 .extensions = {"authorityKeyIdentifier=keyid:always"}});
    expect_alone(&leaf, "CN=x", OK, "");
    expect_alone(&other, "CN=x", FAULT_CERT_UNTRUSTED,
                 "certificate of CN=x is issued by C=CH, O=Lab, CN=Root, but by another key than that of the trusted CA of this name "
                 "(loaded: C=CH, O=Lab, CN=Root)");
    made_free(&other);
    made_free(&twin_id);
    made_free(&leaf);
    made_free(&twin);
}

static void a_self_signed_certificate_is_trusted_when_it_is_loaded(void **state)
{
    (void)state;
    struct made self = make(&(struct made_spec){.subject = "CN=sun", .extensions = {"subjectAltName=DNS:sun.example.org"}});
    struct made impostor = make(&(struct made_spec){.subject = "CN=sun", .extensions = {"subjectAltName=DNS:sun.example.org"}});
    expect_alone(&self, "sun.example.org", FAULT_CERT_UNTRUSTED,
                 "certificate of CN=sun is self-signed and is neither a trusted CA nor a trusted peer here "
                 "(loaded: C=CH, O=Lab, CN=Root)");
    trust_store_add(store, cert_hold(self.cert), true);
    expect_alone(&self, "sun.example.org", OK, "");
    expect_alone(&impostor, "sun.example.org", FAULT_CERT_UNTRUSTED,
                 "certificate of CN=sun is self-signed and is neither a trusted CA nor a trusted peer here "
                 "(loaded: C=CH, O=Lab, CN=Root; CN=sun)");
    struct made below = make(&(struct made_spec){.subject = "CN=below", .issuer = &self});
    expect_alone(&below, "CN=below", FAULT_CERT_CHAIN,
                 "certificate of CN=sun issues certificates but is not a CA's: it needs CA:TRUE and key usage keyCertSign");
    made_free(&below);
    made_free(&impostor);
    made_free(&self);
}

static void a_loaded_certificate_of_an_unknown_ca_is_trusted_by_itself(void **state)
{
    (void)state;
    struct made leaf = make(&(struct made_spec){.subject = "CN=x", .issuer = &other_root});
    struct made old = make(&(struct made_spec){.subject = "CN=old", .issuer = &other_root, .end = NOW - 60});
    trust_store_add(store, cert_hold(leaf.cert), false);
    trust_store_add(store, cert_hold(old.cert), false);
    expect_alone(&leaf, "CN=x", OK, "");
    expect_alone(&leaf, "CN=y", FAULT_CERT_IDENTITY, "certificate of CN=x is not for CN=y; it has no name besides the subject");
    expect_alone(&old, "CN=old", FAULT_CERT_EXPIRED, "certificate of CN=old expired on 2027-01-15 07:59:00 UTC (1 minute ago)");
    struct auth_conf strict = {.revocation = REVOCATION_STRICT};
    struct judged judged = judge(store, &leaf.der, 1, "CN=x", &strict);
    CHECK_FAULT(judged.fault, FAULT_CERT_UNTRUSTED);  // nobody here can say whether it is revoked
    made_free(&old);
    made_free(&leaf);
}

// --- what CAs may do

static void only_a_ca_may_issue(void **state)
{
    (void)state;
    static const struct {
        const char *extensions[2];
        enum fault fault;
        const char *text;
    } rows[] = {
        {{NULL}, FAULT_CERT_CHAIN, "certificate of CN=Mid issues certificates but is not a CA's: it needs CA:TRUE and key usage keyCertSign"},
        {{"keyUsage=keyCertSign"}, FAULT_CERT_CHAIN,
         "certificate of CN=Mid issues certificates but is not a CA's: it needs CA:TRUE and key usage keyCertSign"},
        {{"basicConstraints=CA:FALSE"}, FAULT_CERT_CHAIN,
         "certificate of CN=Mid issues certificates but is not a CA's: it needs CA:TRUE and key usage keyCertSign"},
        {{"basicConstraints=CA:TRUE", "keyUsage=digitalSignature"}, FAULT_CERT_CHAIN,
         "certificate of CN=Mid issues certificates but is not a CA's: it needs CA:TRUE and key usage keyCertSign"},
        {{"basicConstraints=CA:TRUE"}, OK, ""},
        {{"basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=keyCertSign"}, OK, ""},
        {{"basicConstraints=critical,CA:TRUE", "nameConstraints=critical,permitted;DNS:example.com"}, FAULT_CERT_CONSTRAINTS,
         "certificate of CN=x, issued by CN=Mid, has a name that a CA above may not issue for"},
        {{"basicConstraints=critical,CA:TRUE", "nameConstraints=critical,permitted;DNS:example.org"}, OK, ""},
        {{"basicConstraints=critical,CA:TRUE", "policyConstraints=critical,requireExplicitPolicy:0"}, FAULT_CERT_POLICY,
         "certificate of CN=x, issued by CN=Mid, has not the certificate policy that its CAs demand"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct made_spec spec = {.subject = "CN=Mid", .issuer = &root, .extensions = {rows[i].extensions[0], rows[i].extensions[1]}};
        struct made mid = make(&spec);
        struct made leaf = make(&(struct made_spec){.subject = "CN=x", .issuer = &mid, .extensions = {"subjectAltName=DNS:x.example.org"}});
        struct bytes sent[] = {leaf.der, mid.der};
        expect(judge(store, sent, 2, "x.example.org", NULL), rows[i].fault, rows[i].text);
        made_free(&leaf);
        made_free(&mid);
    }
}

static void a_path_length_is_kept(void **state)
{
    (void)state;
    struct made flat = make(&(struct made_spec){.subject = "CN=Flat", .issuer = &root, .extensions = {"basicConstraints=CA:TRUE,pathlen:0"}});
    struct made below = make(&(struct made_spec){.subject = "CN=Below", .issuer = &flat, .extensions = {CA_EXTENSIONS}});
    struct made leaf = make(&(struct made_spec){.subject = "CN=x", .issuer = &below});
    struct bytes sent[] = {leaf.der, below.der, flat.der};
    expect(judge(store, sent, 3, "CN=x", NULL), FAULT_CERT_CHAIN,
           "certificate of CN=Flat has more CAs below it than its path length allows");
    made_free(&leaf);
    made_free(&below);
    made_free(&flat);
}

static void a_chain_is_not_longer_than_its_limit(void **state)
{
    (void)state;
    enum { LENGTH = 13 };
    struct made chain[LENGTH];
    struct bytes sent[LENGTH];
    for (int i = LENGTH - 1; i >= 0; i--) {
        char name[16];
        snprintf(name, sizeof name, "CN=c%d", i);
        chain[i] = make(&(struct made_spec){.subject = name, .issuer = i + 1 < LENGTH ? &chain[i + 1] : &root, .extensions = {CA_EXTENSIONS}});
        sent[i] = chain[i].der;
    }
    struct judged judged = judge(store, sent, LENGTH, "", NULL);
    expect(judged, FAULT_CERT_CHAIN,
           "the certificate chain is too long at CN=c11: at most 10 CAs may stand between a peer and an anchor");
    expect(judge(store, sent + 4, LENGTH - 4, "", NULL), OK, "");
    for (size_t i = 0; i < LENGTH; i++) made_free(&chain[i]);
}

static void too_many_certificates_are_refused_before_they_are_read(void **state)
{
    (void)state;
    struct bytes sent[33];
    for (size_t i = 0; i < COUNT(sent); i++) sent[i] = peer.der;
    expect(judge(store, sent, 33, "CN=moon", NULL), FAULT_CERT_TOO_MANY, "the peer sent 33 certificates; at most 32 are taken");
    expect(judge(store, sent, 32, "CN=moon", NULL), OK, "");
}

static void crossed_cas_come_to_an_end(void **state)
{
    (void)state;
    struct made a = make(&(struct made_spec){.subject = "CN=A", .extensions = {CA_EXTENSIONS}});
    struct made b = make(&(struct made_spec){.subject = "CN=B", .issuer = &a, .extensions = {CA_EXTENSIONS}});
    struct made a_by_b = make(&(struct made_spec){.subject = "CN=A", .issuer = &b, .key = a.key, .extensions = {CA_EXTENSIONS}});
    struct made leaf = make(&(struct made_spec){.subject = "CN=x", .issuer = &b});
    struct bytes sent[] = {leaf.der, b.der, a_by_b.der};
    struct judged judged = judge(store, sent, 3, "CN=x", NULL);
    CHECK_FAULT(judged.fault, FAULT_CERT_UNTRUSTED);
    made_free(&leaf);
    made_free(&a_by_b);
    made_free(&b);
    made_free(&a);
}

static void an_unknown_critical_extension_is_named(void **state)
{
    (void)state;
    struct made leaf = make(&(struct made_spec){.subject = "CN=x", .issuer = &root, .unknown_critical = "1.3.6.1.4.1.99999.1"});
    expect_alone(&leaf, "CN=x", FAULT_CERT_CRITICAL,
                 "certificate of CN=x has a critical extension that is not known here: 1.3.6.1.4.1.99999.1");
    made_free(&leaf);
}

// --- strength and use

static void weak_keys_and_signatures_are_refused(void **state)
{
    (void)state;
    EVP_PKEY *rsa1024 = EVP_RSA_gen(1024), *rsa2048 = EVP_RSA_gen(2048), *p192 = EVP_EC_gen("P-192");
    struct made short_rsa = make(&(struct made_spec){.subject = "CN=x", .issuer = &root, .key = rsa1024});
    struct made short_ec = make(&(struct made_spec){.subject = "CN=x", .issuer = &root, .key = p192});
    struct made good_rsa = make(&(struct made_spec){.subject = "CN=x", .issuer = &root, .key = rsa2048});
    struct made by_sha1 = make(&(struct made_spec){.subject = "CN=x", .issuer = &root, .md = EVP_sha1()});
    struct made short_ca = make(&(struct made_spec){.subject = "CN=Short", .issuer = &root, .key = rsa1024, .extensions = {CA_EXTENSIONS}});
    struct made below = make(&(struct made_spec){.subject = "CN=x", .issuer = &short_ca});
    struct bytes sent[] = {below.der, short_ca.der};
    expect_alone(&short_rsa, "CN=x", FAULT_CERT_WEAK, "certificate of CN=x has a key that is too weak: 1024 bits");
    expect_alone(&short_ec, "CN=x", FAULT_CERT_WEAK, "certificate of CN=x has a key that is too weak: 192 bits");
    expect_alone(&good_rsa, "CN=x", OK, "");
    expect_alone(&by_sha1, "CN=x", FAULT_CERT_WEAK,
                 "certificate of CN=x is signed by C=CH, O=Lab, CN=Root with ecdsa-with-SHA1, which is too weak");
    expect(judge(store, sent, 2, "CN=x", NULL), FAULT_CERT_WEAK, "certificate of CN=Short has a key that is too weak: 1024 bits");
    struct made *all[] = {&short_rsa, &short_ec, &good_rsa, &by_sha1, &below, &short_ca};
    for (size_t i = 0; i < COUNT(all); i++) made_free(all[i]);
    EVP_PKEY_free(rsa1024);
    EVP_PKEY_free(rsa2048);
    EVP_PKEY_free(p192);
}

// RFC 5480 2.1.1 test
static void a_curve_without_a_name_is_refused(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert_int_equal(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"), 1);
    struct made leaf = make(&(struct made_spec){.subject = "CN=x", .issuer = &root, .key = key});
    expect_alone(&leaf, "CN=x", FAULT_CERT_REJECTED,
                 "certificate of CN=x, issued by C=CH, O=Lab, CN=Root: Certificate public key has explicit ECC parameters");
    made_free(&leaf);
    EVP_PKEY_free(key);
}

static void a_key_that_ike_cannot_use_is_named(void **state)
{
    (void)state;
    struct cert *ca = cert_of_file("openssl/ml-dsa-44-ca.crt"), *ee = cert_of_file("openssl/ml-dsa-44-ee.crt");
    trust_store_add(store, ca, true);
    struct bytes der = cert_der(ee);
    struct judged judged = judge(store, &der, 1, "ml-dsa-44.example", NULL);
    CHECK_FAULT(judged.fault, FAULT_KEY_TYPE);
    static const char begin[] = "certificate of C=XX, O=Test data, CN=ml-dsa-44.example has a key that IKE cannot use (";
    assert_memory_equal(judged.text, begin, sizeof begin - 1);
    cert_free(ee);
}

// RFC 4945 5.1.3.2 test
// RFC 4945 5.1.3.12 test
static void the_usage_has_to_be_one_for_ike(void **state)
{
    (void)state;
    static const char no_signatures[] = "certificate of CN=x is not for signatures: its key usage lacks digitalSignature";
    static const char not_ike[] = "certificate of CN=x is not for IKE: its extended key usage has neither ipsecIKE nor serverAuth, "
                                  "clientAuth or any";
    static const struct {
        const char *extension;
        const char *text;   // NULL: good
    } rows[] = {
        {"keyUsage=digitalSignature", NULL},
        {"keyUsage=nonRepudiation", NULL},
        {"keyUsage=keyEncipherment,digitalSignature", NULL},
        {"keyUsage=keyEncipherment", no_signatures},
        {"keyUsage=keyCertSign,cRLSign", no_signatures},
        {"extendedKeyUsage=1.3.6.1.5.5.7.3.17", NULL},
        {"extendedKeyUsage=anyExtendedKeyUsage", NULL},
        {"extendedKeyUsage=serverAuth", NULL},
        {"extendedKeyUsage=clientAuth", NULL},
        {"extendedKeyUsage=1.3.6.1.5.5.8.2.2", NULL},
        {"extendedKeyUsage=codeSigning,serverAuth", NULL},
        {"extendedKeyUsage=critical,codeSigning", not_ike},
        {"extendedKeyUsage=emailProtection,OCSPSigning", not_ike},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct made leaf = make(&(struct made_spec){.subject = "CN=x", .issuer = &root, .extensions = {rows[i].extension}});
        expect_alone(&leaf, "CN=x", rows[i].text ? FAULT_CERT_KEY_USAGE : OK, rows[i].text ? rows[i].text : "");
        made_free(&leaf);
    }
}

// --- identity

static void a_wrong_identity_is_told_with_the_right_ones(void **state)
{
    (void)state;
    expect_alone(&peer, "sun.example.org", FAULT_CERT_IDENTITY,
                 "certificate of CN=moon is not for sun.example.org; its names besides the subject: moon.example.org, 192.0.2.1");
    expect_alone(&peer, "192.0.2.2", FAULT_CERT_IDENTITY,
                 "certificate of CN=moon is not for 192.0.2.2; its names besides the subject: moon.example.org, 192.0.2.1");
    expect_alone(&peer, "moon", FAULT_CERT_IDENTITY,
                 "certificate of CN=moon is not for moon; its names besides the subject: moon.example.org, 192.0.2.1");
}

static void no_identity_at_all_is_never_good_for_a_peer(void **state)
{
    (void)state;
    struct auth_conf conf = {.auth = AUTH_CLASS_PUBKEY};
    struct judge_input in = {.certs = &peer.der, .cert_count = 1, .auth = &conf, .now = NOW};  // IDENTITY_ANY
    AUTOFREE_BUF struct buf text = BUF(4096);
    struct cert *got = NULL;
    CHECK_FAULT(trust_judge(store, &in, &got, &text), FAULT_CERT_IDENTITY);
    assert_null(got);
}

// --- what the connection allows

static void only_the_named_certificates_are_allowed(void **state)
{
    (void)state;
    struct made leaf = make(&(struct made_spec){.subject = "CN=x", .issuer = &root});
    struct made pinned = make(&(struct made_spec){.subject = "CN=pinned", .issuer = &other_root});
    struct auth_conf conf = {.cert_count = 2, .certs = {{.der = peer.der}, {.der = pinned.der}}};
    expect(judge(store, &leaf.der, 1, "CN=x", &conf), FAULT_CERT_NOT_ALLOWED,
           "certificate of CN=x is not one of those that the connection allows: CN=moon; CN=pinned");
    expect(judge(store, &peer.der, 1, "CN=moon", &conf), OK, "");
    expect(judge(store, &pinned.der, 1, "CN=pinned", &conf), OK, "");
    made_free(&pinned);
    made_free(&leaf);
}

static void only_the_named_cas_are_allowed(void **state)
{
    (void)state;
    struct made deep = make(&(struct made_spec){.subject = "CN=deep", .issuer = &between});
    struct bytes sent[] = {deep.der, between.der};
    struct auth_conf by_between = {.ca_count = 1, .cas = {{.der = between.der}}};
    struct auth_conf by_other = {.ca_count = 1, .cas = {{.der = other_root.der}}};
    expect(judge(store, sent, 2, "CN=deep", &by_between), OK, "");
    expect(judge(store, sent, 1, "CN=deep", &by_between), OK, "");
    expect(judge(store, &peer.der, 1, "CN=moon", &by_between), FAULT_CERT_UNTRUSTED,
           "certificate of C=CH, O=Lab, CN=Root is self-signed and is neither a trusted CA nor a trusted peer here (loaded: CN=Between)");
    expect(judge(store, sent, 2, "CN=deep", &by_other), FAULT_CERT_UNTRUSTED,
           "certificate of C=CH, O=Lab, CN=Root is self-signed and is neither a trusted CA nor a trusted peer here (loaded: CN=Other Root)");
    trust_store_add(store, cert_hold(peer.cert), false);  // being loaded does not help here
    CHECK_FAULT(judge(store, &peer.der, 1, "CN=moon", &by_other).fault, FAULT_CERT_UNTRUSTED);
    made_free(&deep);
}

static void a_peer_without_certificate_is_found_among_those_here(void **state)
{
    (void)state;
    struct auth_conf conf = {.cert_count = 1, .certs = {{.der = peer.der}}};
    expect(judge(store, NULL, 0, "moon.example.org", NULL), FAULT_CERT_MISSING,
           "the peer moon.example.org sent no certificate, and none that is loaded is for it");
    expect(judge(store, NULL, 0, "moon.example.org", &conf), OK, "");
    expect(judge(store, NULL, 0, "sun.example.org", &conf), FAULT_CERT_IDENTITY,
           "certificate of CN=moon is not for sun.example.org; its names besides the subject: moon.example.org, 192.0.2.1");
    trust_store_add(store, cert_hold(peer.cert), false);
    expect(judge(store, NULL, 0, "moon.example.org", NULL), OK, "");
}

static void what_cannot_be_read_is_refused(void **state)
{
    (void)state;
    struct bytes junk = BYTES("\x30\x03\x02\x01");
    expect(judge(store, &junk, 1, "CN=x", NULL), FAULT_CERT_SYNTAX, "the peer's certificate: a certificate that cannot be decoded");
}

// --- revocation

static void crl_load(const struct made_crl *spec)
{
    AUTOFREE_BUF struct buf crl = make_crl(spec);
    CHECK_FAULT(trust_store_add_crl(store, buf_bytes(&crl)), OK);
}

static const struct auth_conf relaxed = {.revocation = REVOCATION_RELAXED}, ifuri = {.revocation = REVOCATION_IFURI},
                              strict = {.revocation = REVOCATION_STRICT};
#define UNKNOWN "whether the certificate of CN=moon is revoked is unknown: "

static void a_revoked_certificate_is_refused_whatever_the_policy(void **state)
{
    (void)state;
    static const char text[] = "certificate of CN=moon, serial number 2a, was revoked by C=CH, O=Lab, CN=Root on 2027-01-05 08:00:00 UTC";
    crl_load(&(struct made_crl){.issuer = &root, .serials = {1000, 42}});
    expect(judge(store, &peer.der, 1, "CN=moon", &relaxed), FAULT_CERT_REVOKED, text);
    expect(judge(store, &peer.der, 1, "CN=moon", &ifuri), FAULT_CERT_REVOKED, text);
    expect(judge(store, &peer.der, 1, "CN=moon", &strict), FAULT_CERT_REVOKED, text);
    trust_store_add(store, cert_hold(peer.cert), false);  // being loaded does not help here
    expect(judge(store, &peer.der, 1, "CN=moon", &relaxed), FAULT_CERT_REVOKED, text);
}

static void a_revoked_ca_takes_its_certificates_along(void **state)
{
    (void)state;
    struct made deep = make(&(struct made_spec){.subject = "CN=deep", .issuer = &between});
    struct bytes sent[] = {deep.der, between.der};
    crl_load(&(struct made_crl){.issuer = &root, .serials = {7}});
    expect(judge(store, sent, 2, "CN=deep", &relaxed), FAULT_CERT_REVOKED,
           "certificate of CN=Between, serial number 07, was revoked by C=CH, O=Lab, CN=Root on 2027-01-05 08:00:00 UTC");
    made_free(&deep);
}

static void without_a_list_the_policy_decides(void **state)
{
    (void)state;
    static const char text[] = UNKNOWN "no usable CRL of C=CH, O=Lab, CN=Root is loaded";
    struct made uri = make(&(struct made_spec){.subject = "CN=moon", .issuer = &root, .serial = 42,
                                               .extensions = {"crlDistributionPoints=URI:http://crl.example.org/"}});
    struct made ocsp = make(&(struct made_spec){.subject = "CN=moon", .issuer = &root, .serial = 42,
                                                .extensions = {"authorityInfoAccess=OCSP;URI:http://ocsp.example.org/"}});
    expect(judge(store, &peer.der, 1, "CN=moon", &relaxed), OK, "");
    expect(judge(store, &peer.der, 1, "CN=moon", &ifuri), OK, "");
    expect(judge(store, &peer.der, 1, "CN=moon", &strict), FAULT_CERT_STATUS_UNKNOWN, text);
    expect(judge(store, &uri.der, 1, "CN=moon", &relaxed), OK, "");
    expect(judge(store, &uri.der, 1, "CN=moon", &ifuri), FAULT_CERT_STATUS_UNKNOWN, text);
    expect(judge(store, &ocsp.der, 1, "CN=moon", &ifuri), FAULT_CERT_STATUS_UNKNOWN, text);
    crl_load(&(struct made_crl){.issuer = &root, .serials = {1000}});
    expect(judge(store, &peer.der, 1, "CN=moon", &strict), OK, "");
    expect(judge(store, &uri.der, 1, "CN=moon", &ifuri), OK, "");
    made_free(&uri);
    made_free(&ocsp);
}

static void an_old_list_is_no_list_but_still_revokes(void **state)
{
    (void)state;
    crl_load(&(struct made_crl){.issuer = &root, .update = NOW - 9 * DAY, .next = NOW - 3 * DAY, .serials = {1000}});
    expect(judge(store, &peer.der, 1, "CN=moon", &relaxed), OK, "");
    expect(judge(store, &peer.der, 1, "CN=moon", &strict), FAULT_CERT_STATUS_UNKNOWN,
           UNKNOWN "the CRL of C=CH, O=Lab, CN=Root was to be renewed by 2027-01-12 08:00:00 UTC (3 days ago)");
    crl_load(&(struct made_crl){.issuer = &root, .update = NOW - 8 * DAY, .next = NOW - 2 * DAY, .serials = {42}});
    CHECK_FAULT(judge(store, &peer.der, 1, "CN=moon", &relaxed).fault, FAULT_CERT_REVOKED);
    // An older one does not take its place.
    crl_load(&(struct made_crl){.issuer = &root, .update = NOW - 9 * DAY, .next = NOW + 2 * DAY, .serials = {1000}});
    CHECK_FAULT(judge(store, &peer.der, 1, "CN=moon", &relaxed).fault, FAULT_CERT_REVOKED);
}

static void a_list_that_its_issuer_has_not_signed_says_nothing(void **state)
{
    (void)state;
    crl_load(&(struct made_crl){.issuer = &root, .serials = {42}, .key = other_root.key});
    expect(judge(store, &peer.der, 1, "CN=moon", &relaxed), OK, "");
    expect(judge(store, &peer.der, 1, "CN=moon", &strict), FAULT_CERT_STATUS_UNKNOWN,
           UNKNOWN "no usable CRL of C=CH, O=Lab, CN=Root is loaded");
}

static void a_list_that_cannot_be_read_is_refused(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf der = file_of("openssl/p256-ca.crl"), pem = file_of("openssl/p256-ca.crl.pem");
    CHECK_FAULT(trust_store_add_crl(store, buf_bytes(&der)), OK);
    CHECK_FAULT(trust_store_add_crl(store, buf_bytes(&pem)), OK);
    CHECK_FAULT(trust_store_add_crl(store, BYTES_NONE), FAULT_CRL_SYNTAX);
    CHECK_FAULT(trust_store_add_crl(store, peer.der), FAULT_CRL_SYNTAX);
    for (size_t size = 0; size < der.size; size++)
        CHECK_FAULT(trust_store_add_crl(store, bytes_of(der.at, size)), FAULT_CRL_SYNTAX);
}

static void openssls_own_lists_are_understood(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf crl = file_of("openssl/p256-ca.crl");
    struct cert *bad = cert_of_file("openssl/p256-1002.crt"), *good = cert_of_file("openssl/p256-1003.crt");
    struct bytes bad_der = cert_der(bad), good_der = cert_der(good);
    trust_store_add(store, cert_of_file("openssl/p256-ca.crt"), true);
    CHECK_FAULT(trust_store_add_crl(store, buf_bytes(&crl)), OK);
    expect(judge(store, &bad_der, 1, "s1002.example", &relaxed), FAULT_CERT_REVOKED,
           "certificate of C=XX, O=Test data, CN=serial 1002, serial number 10:02, was revoked by C=XX, O=Test data, CN=CA p256 "
           "on 2025-01-01 00:00:00 UTC");
    expect(judge(store, &good_der, 1, "s1003@example", &strict), OK, "");
    cert_free(bad);
    cert_free(good);
}

static void every_kind_of_key_is_judged(void **state)
{
    (void)state;
    static const char *const kinds[] = {"rsa2048", "rsa3072pss", "p256", "p384", "p521", "bp256", "ed25519", "ed448"};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        char ca[64], ee[64], id[64];
        snprintf(ca, sizeof ca, "openssl/%s-ca.crt", kinds[i]);
        snprintf(ee, sizeof ee, "openssl/%s-ee.crt", kinds[i]);
        snprintf(id, sizeof id, "%s.example", kinds[i]);
        struct cert *cert = cert_of_file(ee);
        struct bytes der = cert_der(cert);
        CHECK_FAULT(judge(store, &der, 1, id, NULL).fault, FAULT_CERT_UNTRUSTED);
        trust_store_add(store, cert_of_file(ca), true);
        expect(judge(store, &der, 1, id, NULL), OK, "");
        cert_free(cert);
    }
}

// --- the store

static void the_store_keeps_each_certificate_once(void **state)
{
    (void)state;
    uint8_t hashes[4][20], expected[20];
    bool anchor;
    struct cert *again;
    CHECK_FAULT(cert_parse(peer.der, &again), OK);
    trust_store_add(store, cert_hold(peer.cert), false);
    trust_store_add(store, again, false);
    assert_int_equal(trust_store_count(store), 2);
    assert_ptr_equal(trust_store_at(store, 1, &anchor), peer.cert);
    assert_false(anchor);
    assert_int_equal(trust_store_anchor_hashes(store, hashes, 4), 1);
    cert_spki_hash(root.cert, expected);
    assert_memory_equal(hashes[0], expected, 20);
    trust_store_add(store, cert_hold(peer.cert), true);
    assert_int_equal(trust_store_count(store), 2);
    assert_int_equal(trust_store_anchor_hashes(store, hashes, 4), 2);
    assert_int_equal(trust_store_anchor_hashes(store, hashes, 1), 1);
    trust_store_clear(store);
    assert_int_equal(trust_store_count(store), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, store_make, store_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_certificate_of_a_trusted_ca_is_good),
        CASE(a_chain_is_built_from_what_the_peer_sent_and_from_what_is_loaded),
        CASE(the_way_up_ends_below_the_root),
        CASE(a_ca_above_the_peer_is_the_one_asked_for),
        CASE(policies_hold_by_the_whole_chain),
        CASE(dates_are_told_with_their_distance),
        CASE(a_ca_in_between_that_has_expired_is_named),
        CASE(an_unknown_issuer_is_told_with_what_is_loaded),
        CASE(many_anchors_are_cut_short),
        CASE(a_ca_of_the_same_name_with_another_key_does_not_pass),
        CASE(a_self_signed_certificate_is_trusted_when_it_is_loaded),
        CASE(a_loaded_certificate_of_an_unknown_ca_is_trusted_by_itself),
        CASE(only_a_ca_may_issue),
        CASE(a_path_length_is_kept),
        CASE(a_chain_is_not_longer_than_its_limit),
        CASE(too_many_certificates_are_refused_before_they_are_read),
        CASE(crossed_cas_come_to_an_end),
        CASE(an_unknown_critical_extension_is_named),
        CASE(weak_keys_and_signatures_are_refused),
        CASE(a_curve_without_a_name_is_refused),
        CASE(a_key_that_ike_cannot_use_is_named),
        CASE(the_usage_has_to_be_one_for_ike),
        CASE(a_wrong_identity_is_told_with_the_right_ones),
        CASE(no_identity_at_all_is_never_good_for_a_peer),
        CASE(only_the_named_certificates_are_allowed),
        CASE(only_the_named_cas_are_allowed),
        CASE(a_peer_without_certificate_is_found_among_those_here),
        CASE(what_cannot_be_read_is_refused),
        CASE(a_revoked_certificate_is_refused_whatever_the_policy),
        CASE(a_revoked_ca_takes_its_certificates_along),
        CASE(without_a_list_the_policy_decides),
        CASE(an_old_list_is_no_list_but_still_revokes),
        CASE(a_list_that_its_issuer_has_not_signed_says_nothing),
        CASE(a_list_that_cannot_be_read_is_refused),
        CASE(openssls_own_lists_are_understood),
        CASE(every_kind_of_key_is_judged),
        CASE(the_store_keeps_each_certificate_once),
    };
    struct CMUnitTest ed25519[COUNT(tests)];
    size_t count = 0;
    for (size_t i = 0; i < COUNT(tests); i++)   // of digests it has only one
        if (tests[i].test_func != weak_keys_and_signatures_are_refused) ed25519[count++] = tests[i];
    int failed = cmocka_run_group_tests(tests, world_make, world_free);
    return failed + _cmocka_run_group_tests("ed25519", ed25519, count, world_make_ed25519, world_free);
}
