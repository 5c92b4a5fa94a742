// SPDX-License-Identifier: Apache-2.0
// RFC 5280 6 test: NIST's path validation suite (tests/vectors/x509/pkits.txt), each test a row of the file.
#include "pki_test.h"
#include "base/map.h"

enum { LINE_WORDS_MAX = 24, PKITS_NOW = 1577836800 };  // 2020-01-01

// Where we answer otherwise, and why.
static const struct exception {
    const char *test, *reason;  // the reason is for the reader
} exceptions[] = {
    {"40104_valid_dsa_signatures_test4", "IKE does not sign with DSA"},
    {"40105_valid_dsa_parameter_inheritance_test5", "IKE does not sign with DSA"},
    {"41430_valid_crlissuer_test30", "the list's own issuer is covered by that list only"},
};

struct pkits {
    struct buf file;
    struct map items;   // name -> struct bytes
    unsigned tests, wrong;
};

static struct bytes decode(const char *base64)
{
    size_t size = strlen(base64);
    uint8_t *out = mem_new(size);
    int got = EVP_DecodeBlock(out, (const uint8_t *)base64, (int)size);
    assert_true(got > 0);
    while (base64[--size] == '=') got--;
    return bytes_of(out, (size_t)got);
}

static struct bytes item(const struct pkits *suite, const char *name)
{
    const struct bytes *at = map_get(&suite->items, bytes_of_text(name));
    if (!at) fail_msg("%s is not in the file", name);
    return *at;
}

static bool is_exception(const char *test)
{
    for (size_t i = 0; i < COUNT(exceptions); i++)
        if (strcmp(exceptions[i].test, test) == 0) return true;
    return false;
}

static void anchor_load(const struct pkits *suite, struct trust_store *store)
{
    struct cert *anchor;
    CHECK_FAULT(cert_parse(item(suite, "TrustAnchorRootCertificate.crt"), &anchor), OK);
    trust_store_add(store, anchor, true);
    CHECK_FAULT(trust_store_add_crl(store, item(suite, "TrustAnchorRootCRL.crl")), OK);
}

// test NAME EXPECTED STATUS END-ENTITY OTHER …
static void test_run(struct pkits *suite, char **words, size_t count)
{
    struct bytes certs[LINE_WORDS_MAX];
    struct trust_store *store = trust_store_new();
    struct auth_conf conf = {.revocation = REVOCATION_STRICT};
    AUTOFREE_BUF struct buf text = BUF(65536);
    struct cert *peer = NULL;
    size_t cert_count = 0;
    anchor_load(suite, store);
    for (size_t i = 4; i < count; i++) {
        struct bytes content = item(suite, words[i]);
        if (strstr(words[i], ".crl")) CHECK_FAULT(trust_store_add_crl(store, content), OK);
        else certs[cert_count++] = content;
    }
    struct judge_input in = {.certs = certs, .cert_count = cert_count, .auth = &conf, .now = PKITS_NOW, .chain_only = true};
    enum fault fault = trust_judge(store, &in, &peer, &text);
    bool good = fault == OK, expected = strcmp(words[2], "valid") == 0;
    suite->tests++;
    if (good != expected) {
        bool known = is_exception(words[1]);
        printf("%s: expected %s, got %s: %s%s\n", words[1], words[2], fault_name(fault), buf_text(&text),
               known ? " (known)" : "");
        if (!known) suite->wrong++;
    } else if (is_exception(words[1])) {
        printf("%s: is no exception any more\n", words[1]);
        suite->wrong++;
    }
    if (!good) assert_true(text.size > 0);
    cert_free(peer);
    trust_store_free(store);
}

static void line_take(struct pkits *suite, char *line)
{
    char *words[LINE_WORDS_MAX], *save = NULL;
    size_t count = 0;
    for (char *word = strtok_r(line, " ", &save); word && count < LINE_WORDS_MAX; word = strtok_r(NULL, " ", &save))
        words[count++] = word;
    if (count < 3 || words[0][0] == '#') return;
    if (strcmp(words[0], "test") == 0) {
        test_run(suite, words, count);
        return;
    }
    struct bytes *content = NEW(struct bytes);
    *content = decode(words[2]);
    map_put(&suite->items, bytes_of_text(words[1]), content);
}

static void every_path_is_judged_as_nist_says(void **state)
{
    (void)state;
    struct pkits suite = {.file = file_of("pkits.txt")};
    char *save = NULL;
    size_t cursor = 0;
    struct bytes *content;
    map_init(&suite.items, 1, 2);
    buf_text(&suite.file);
    for (char *line = strtok_r((char *)suite.file.at, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        line_take(&suite, line);
    assert_int_equal(suite.tests, 174);
    assert_int_equal(suite.wrong, 0);
    while ((content = map_next(&suite.items, &cursor))) {
        free((void *)(uintptr_t)content->at);
        free(content);
    }
    map_wipe(&suite.items);
    buf_free(&suite.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_path_is_judged_as_nist_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
