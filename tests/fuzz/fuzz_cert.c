// SPDX-License-Identifier: Apache-2.0
// Certificates, revocation lists and requests as a peer, a CA or an operator hands them over. The first byte of the input says
// which policy a certificate is judged with; the rest is what is read, as each of the three.
//
// Must reach: all of src/pki but issuing. Holds against every input: a certificate reads back from its own DER as the same; what
// is printed as JSON has no control character inside a text; one that no trusted key has signed is never judged good; each
// refusal has words.
#include "fuzz.h"
#include "pki/pki.h"
#include <stdio.h>

static void demand(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "fuzz_cert: %s\n", what);
    abort();
}

static void check_printed(const struct cert *cert)
{
    struct buf text = BUF(1 << 22), json = BUF(1 << 22);
    cert_print(cert, &text);
    cert_json(cert, &json);
    demand(text.size && json.size && !text.failed && !json.failed, "something is not printed whole");
    for (size_t i = 0; i < json.size; i++) demand(json.at[i] >= ' ' || json.at[i] == '\n', "JSON with a control character");
    buf_free(&text);
    buf_free(&json);
}

static void check_judged(const struct cert *cert, const struct trust_store *store, uint8_t policy)
{
    struct auth_conf auth = {.auth = AUTH_CLASS_PUBKEY, .revocation = policy % 3};
    struct bytes der = cert_der(cert);
    struct judge_input in = {.certs = &der, .cert_count = 1, .auth = &auth, .now = INT64_C(1800000000), .chain_only = true};
    struct buf text = BUF(1 << 20);
    struct cert *peer = NULL;
    demand(trust_judge(store, &in, &peer, &text) != OK && !peer, "an untrusted certificate is judged good");
    demand(text.size > 0, "a refusal without words");
    buf_free(&text);
}

static void check_cert(struct bytes input, const struct trust_store *store, uint8_t policy)
{
    struct cert *cert, *again;
    uint8_t id[20];
    if (cert_parse(input, &cert)) return;
    demand(cert_parse(cert_der(cert), &again) == OK, "a certificate does not read back");
    demand(bytes_equal(cert_der(cert), cert_der(again)), "a certificate reads back as another");
    cert_key_id(cert, id);
    cert_spki_hash(cert, id);
    check_printed(cert);
    check_judged(cert, store, policy);
    cert_free(again);
    cert_free(cert);
}

static void check_request(struct bytes input)
{
    struct arena arena = {0};
    struct identity subject, names[16];
    struct public_key *key;
    size_t count;
    enum fault fault = csr_read(input, &key, &subject, names, 16, &count, &arena);
    demand((fault == OK) == (key != NULL), "a request is refused with a key, or taken without one");
    public_key_free(key);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    if (!started) crypto_start();
    started = true;
    if (size == 0) return 0;
    struct bytes input = bytes_of(data + 1, size - 1);
    struct trust_store *store = trust_store_new();
    struct buf text = BUF(1 << 22);
    bool list = trust_store_add_crl(store, input) == OK;
    demand((crl_print(input, &text) == OK) == list, "a list is printed or loaded, but not both");
    check_cert(input, store, data[0]);
    check_request(input);
    buf_free(&text);
    trust_store_free(store);
    return 0;
}
