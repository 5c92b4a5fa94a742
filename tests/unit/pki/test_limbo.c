// SPDX-License-Identifier: Apache-2.0
// x509-limbo's cases. They are made for the web, so some are judged otherwise for IKE; each of those is listed with its
// reason, and the test fails when one is no longer so.
#include "pki_test.h"
#include <jansson.h>

static const struct exception {
    const char *id, *reason;
} exceptions[] = {
    {"pathlen::validation-ignores-pathlen-in-leaf",
     "RFC 4945 5.1.3.2: the leaf's key usage has no signatures"},
    {"pathlen::max-chain-depth-0-exhausted",
     "the limit of a chain's length is fixed"},
    {"pathlen::max-chain-depth-1-exhausted",
     "the limit of a chain's length is fixed"},
    {"rfc5280::aki::leaf-missing-aki",
     "RFC 4945 5.1.3.1: key identifiers are not relied on"},
    {"rfc5280::aki::intermediate-missing-aki",
     "RFC 4945 5.1.3.1: key identifiers are not relied on"},
    {"rfc5280::aki::cross-signed-root-missing-aki",
     "RFC 4945 5.1.3.1: key identifiers are not relied on"},
    {"rfc5280::ski::root-missing-ski",
     "RFC 4945 5.1.3.1: key identifiers are not relied on"},
    {"rfc5280::ski::intermediate-missing-ski",
     "RFC 4945 5.1.3.1: key identifiers are not relied on"},
    {"rfc5280::eku::ee-wrong-eku",
     "clientAuth is as good as serverAuth for IKE"},
    {"rfc5280::nc::permitted-dns-match-noncritical",
     "RFC 4945 5.1.3: criticality of a known extension is ignored"},
    {"rfc5280::nc::permitted-dn-match",
     "asks for a host name that is not in the certificate"},
    {"rfc5280::nc::not-allowed-in-ee-noncritical",
     "name constraints of an end entity constrain nothing"},
    {"rfc5280::nc::not-allowed-in-ee-critical",
     "name constraints of an end entity constrain nothing"},
    {"rfc5280::nc::nc-permits-invalid-dns-san",
     "the odd name is no identity; the one asked for is right"},
    {"rfc5280::san::noncritical-with-empty-subject",
     "RFC 4945 5.1.3: criticality of a known extension is ignored"},
    {"rfc5280::serial::too-long",
     "RFC 5280 4.1.2.2: odd serial numbers are handled gracefully"},
    {"rfc5280::serial::zero",
     "RFC 5280 4.1.2.2: odd serial numbers are handled gracefully"},
    {"rfc5280::serial::negative",
     "RFC 5280 4.1.2.2: odd serial numbers are handled gracefully"},
    {"rfc5280::root-non-critical-basic-constraints",
     "RFC 4945 5.1.3: criticality of a known extension is ignored"},
    {"rfc5280::leaf-ku-keycertsign",
     "keyCertSign without CA:TRUE gives no right"},
    {"webpki::aki::root-with-aki-missing-keyidentifier",
     "a rule of the web for roots"},
    {"webpki::aki::root-with-aki-authoritycertissuer",
     "a rule of the web for roots"},
    {"webpki::aki::root-with-aki-authoritycertserialnumber",
     "a rule of the web for roots"},
    {"webpki::aki::root-with-aki-all-fields",
     "a rule of the web for roots"},
    {"webpki::aki::root-with-aki-ski-mismatch",
     "a rule of the web for roots"},
    {"webpki::eku::ee-anyeku",
     "RFC 4945 5.1.3.12: anyExtendedKeyUsage is taken"},
    {"webpki::eku::ee-critical-eku",
     "RFC 4945 5.1.3: criticality of a known extension is ignored"},
    {"webpki::eku::ee-without-eku",
     "RFC 4945 5.1.3.12: none is the rule"},
    {"webpki::eku::root-has-eku",
     "a rule of the web for roots"},
    {"webpki::nc::intermediate-permitted-excluded-subtrees-both-null",
     "an empty constraint constrains nothing"},
    {"webpki::nc::intermediate-permitted-excluded-subtrees-both-empty-sequences",
     "an empty constraint constrains nothing"},
    {"webpki::san::leftmost-wildcard-san",
     "RFC 4945 3.1.2: no wildcards"},
    {"webpki::san::san-critical-with-nonempty-subject",
     "RFC 4945 5.1.3: criticality of a known extension is ignored"},
    {"webpki::forbidden-signature-algorithm-in-root",
     "an anchor's own signature proves nothing"},
    {"webpki::ee-basicconstraints-ca",
     "a CA may speak IKE with its own key when key usage lets it"},
};

static const char *exception_reason(const char *id)
{
    for (size_t i = 0; i < COUNT(exceptions); i++)
        if (strcmp(exceptions[i].id, id) == 0) return exceptions[i].reason;
    return NULL;
}

static int64_t time_of(const char *text)
{
    struct tm tm = {0};
    if (!text) return INT64_C(1704067200);  // 2024-01-01
    assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%S", &tm));
    return timegm(&tm);
}

static void anchor_add(void *store, struct cert *cert)
{
    trust_store_add(store, cert, true);
}

static enum fault case_judge(json_t *test, struct buf *text)
{
    struct trust_store *store = trust_store_new();
    struct auth_conf conf = {.revocation = REVOCATION_RELAXED};
    struct arena arena = {0};
    struct bytes certs[32];
    size_t count = 0, i;
    json_t *item, *name = json_object_get(test, "expected_peer_name");
    struct cert *peer = NULL;
    certs[count++] = bytes_of_text(json_string_value(json_object_get(test, "peer_certificate")));
    json_array_foreach(json_object_get(test, "untrusted_intermediates"), i, item)
        certs[count++] = bytes_of_text(json_string_value(item));
    enum fault fault = OK;
    json_array_foreach(json_object_get(test, "trusted_certs"), i, item)
        if (certs_parse(bytes_of_text(json_string_value(item)), anchor_add, store)) fault = FAULT_CERT_SYNTAX;
    const char *kind = json_string_value(json_object_get(name, "kind")), *value = json_string_value(json_object_get(name, "value"));
    struct judge_input in = {.certs = certs, .cert_count = count, .auth = &conf,
                             .now = time_of(json_string_value(json_object_get(test, "validation_time"))), .chain_only = !kind};
    if (kind) {
        const char *typed = strcmp(kind, "DNS") == 0 ? arena_printf(&arena, "fqdn:%s", value) : value;
        if (identity_parse(typed, &arena, &in.id)) fault = FAULT_IDENTITY_SYNTAX;
    }
    if (!fault) fault = trust_judge(store, &in, &peer, text);
    cert_free(peer);
    arena_free(&arena);
    trust_store_free(store);
    return fault;
}

static void cases_are_judged_as_limbo_says_or_for_a_reason(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf file = file_of("x509-limbo-2023-12.json");
    json_t *root = json_loadb((const char *)file.at, file.size, 0, NULL), *test;
    size_t i, count = 0, wrong = 0;
    assert_non_null(root);
    json_array_foreach(json_object_get(root, "testcases"), i, test) {
        const char *id = json_string_value(json_object_get(test, "id"));
        const char *expected = json_string_value(json_object_get(test, "expected_result")), *reason = exception_reason(id);
        AUTOFREE_BUF struct buf text = BUF(65536);
        enum fault fault = case_judge(test, &text);
        bool agrees = (fault == OK) == (strcmp(expected, "SUCCESS") == 0);
        count++;
        if (agrees == (reason == NULL)) continue;
        printf("%s: expected %s%s%s, got %s: %s\n", id, expected, reason ? " but listed: " : "", reason ? reason : "",
               fault_name(fault), text.size ? buf_text(&text) : "");
        wrong++;
    }
    assert_int_equal(count, 121);
    assert_int_equal(wrong, 0);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cases_are_judged_as_limbo_says_or_for_a_reason)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
