// SPDX-License-Identifier: Apache-2.0
// cygnet pki print, pub, keyid, verify: what looks at something.
#include "cli/pki.h"
#include <stdio.h>
#include <time.h>

enum { SECONDS_A_DAY = 86400, SHA1_HEX = 41 };

// --- any kind of key

// The public half of whatever the file holds: a private or public key, a certificate, a request.
static bool any_key_load(const struct pki_words *words, struct public_key **out, bool *is_private)
{
    SECRET(passphrase);
    struct private_key *private = NULL;
    struct buf in = {0}, line = {0};
    bool good = pki_file_read(words->in, &in);
    if (good && words->passphrase_file) good = pki_file_read(words->passphrase_file, &line);
    if (good) {
        const uint8_t *end = line.size ? memchr(line.at, '\n', line.size) : NULL;
        secret_set(&passphrase, bytes_of(line.at, end ? (size_t)(end - line.at) : line.size));
        enum fault fault = public_key_find(buf_bytes(&in), out);
        *is_private = false;
        if (fault == FAULT_KEY_UNREADABLE) fault = private_key_read(buf_bytes(&in), secret_bytes(&passphrase), &private);
        if (private) {
            *out = private_key_public(private);
            *is_private = true;
        }
        if (fault) pki_file_fault(words->in, "a key, a certificate or a certificate request", fault, buf_bytes(&in));
        good = !fault;
    }
    private_key_free(private);
    memory_wipe(in.at, in.size);
    memory_wipe(line.at, line.size);
    buf_free(&in);
    buf_free(&line);
    return good;
}

static void spki_sha1(const struct public_key *key, uint8_t hash[20])
{
    AUTOFREE_BUF struct buf der = BUF(PKI_FILE_SIZE_MAX);
    if (public_key_write_spki(key, &der) == OK) sha1(PIECES(buf_bytes(&der)), hash);
}

struct key_ids {
    char spk[SHA1_HEX], spki[SHA1_HEX];
};

static void key_ids_fill(const struct public_key *key, struct key_ids *ids)
{
    uint8_t id[20] = {0};
    public_key_id(key, id);
    bytes_hex(BYTES_ARRAY(id), ids->spk, sizeof ids->spk);
    spki_sha1(key, id);
    bytes_hex(BYTES_ARRAY(id), ids->spki, sizeof ids->spki);
}

// --- pub, keyid

int pki_pub(const struct pki_words *words)
{
    struct public_key *key;
    bool is_private;
    AUTOFREE_BUF struct buf out = BUF(PKI_FILE_SIZE_MAX);
    if (!any_key_load(words, &key, &is_private)) return EXIT_FAILED;
    enum fault fault = words->der ? public_key_write_spki(key, &out) : public_key_pem(key, &out);
    public_key_free(key);
    return !fault && pki_file_write(words, FILE_PUBLIC, buf_bytes(&out)) ? EXIT_DONE : EXIT_FAILED;
}

int pki_keyid(const struct pki_words *words)
{
    struct public_key *key;
    struct key_ids ids;
    bool is_private, spk = words->id && strcmp(words->id, "spk") == 0, spki = words->id && strcmp(words->id, "spki") == 0;
    if (words->id && !spk && !spki) {
        fprintf(stderr, "--id \"%s\" is not possible: take spk or spki\n", words->id);
        return EXIT_USAGE;
    }
    if (!any_key_load(words, &key, &is_private)) return EXIT_FAILED;
    key_ids_fill(key, &ids);
    public_key_free(key);
    if (spk || spki) printf("%s\n", spk ? ids.spk : ids.spki);
    else printf("SHA-1 of subjectPublicKeyInfo: %s\nSHA-1 of subjectPublicKey:     %s\n", ids.spki, ids.spk);
    return EXIT_DONE;
}

// --- print

struct printing {
    const struct pki_words *words;
    struct buf out;
    unsigned count;
};

static void validity_print(const struct cert *cert, struct buf *out)
{
    int64_t now = (int64_t)time(NULL), begin = cert_not_before(cert), end = cert_not_after(cert);
    const char *words = now < begin ? "not yet valid, days until then:" : now > end ? "expired, days since:" : "valid, days left:";
    int64_t seconds = now < begin ? begin - now : now > end ? now - end : end - now;
    buf_printf(out, "  state:     %s %lld\n", words, (long long)(seconds / SECONDS_A_DAY));
}

static void cert_show(void *context, struct cert *cert)
{
    struct printing *printing = context;
    if (printing->words->json) {
        buf_add_text(&printing->out, printing->count ? ",\n" : "[\n");
        cert_json(cert, &printing->out);
    } else {
        if (printing->count) buf_add_text(&printing->out, "\n");
        cert_print(cert, &printing->out);
        validity_print(cert, &printing->out);
    }
    printing->count++;
    cert_free(cert);
}

static int key_show(const struct pki_words *words)
{
    struct public_key *key;
    struct key_ids ids;
    bool is_private;
    if (!any_key_load(words, &key, &is_private)) return EXIT_FAILED;
    key_ids_fill(key, &ids);
    const char *name = key_type_name(public_key_type(key)), *half = is_private ? "private" : "public";
    unsigned bits = public_key_bits(key);
    public_key_free(key);
    if (words->json)
        printf("{\n  \"key\": \"%s\",\n  \"type\": \"%s\",\n  \"bits\": %u,\n"
               "  \"spki_sha1\": \"%s\",\n  \"key_sha1\": \"%s\"\n}\n", half, name, bits, ids.spki, ids.spk);
    else
        printf("  %skey:%*s%s %u bits\n  keyid:     %s\n  subjkey:   %s\n", is_private ? "priv" : "pub", is_private ? 3 : 4, "",
               name, bits, ids.spki, ids.spk);
    return EXIT_DONE;
}

static bool request_show(struct bytes in, struct buf *out)
{
    struct arena arena = {0};
    struct identity subject, names[PKI_NAMES_MAX];
    struct public_key *key;
    struct key_ids ids;
    char text[IDENTITY_TEXT];
    size_t count;
    if (csr_read(in, &key, &subject, names, PKI_NAMES_MAX, &count, &arena)) return false;
    key_ids_fill(key, &ids);
    buf_printf(out, "  request:   \"%s\"\n", identity_print(&subject, text, sizeof text));
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%s", i ? ", " : "  altNames:  ", identity_print(&names[i], text, sizeof text));
    if (count) buf_add_text(out, "\n");
    buf_printf(out, "  pubkey:    %s %u bits\n  keyid:     %s\n  subjkey:   %s\n", key_type_name(public_key_type(key)),
               public_key_bits(key), ids.spki, ids.spk);
    public_key_free(key);
    arena_free(&arena);
    return true;
}

static int print_done(struct printing *printing)
{
    if (printing->words->json && printing->count) buf_add_text(&printing->out, "]\n");
    fwrite(printing->out.at, 1, printing->out.size, stdout);
    buf_free(&printing->out);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

int pki_print(const struct pki_words *words)
{
    struct printing printing = {.words = words, .out = BUF(64 * PKI_FILE_SIZE_MAX)};
    AUTOFREE_BUF struct buf in = {0};
    if (!pki_file_read(words->in, &in)) return EXIT_FAILED;
    enum fault fault = certs_parse(buf_bytes(&in), cert_show, &printing);
    if (!fault) return print_done(&printing);
    if (!words->json && (crl_print(buf_bytes(&in), &printing.out) == OK || request_show(buf_bytes(&in), &printing.out)))
        return print_done(&printing);
    buf_free(&printing.out);
    if (fault != FAULT_NO_CERTIFICATE && fault != FAULT_CERT_SYNTAX)
        return pki_file_fault(words->in, "a certificate", fault, buf_bytes(&in));
    if (!words->in || strcmp(words->in, "-") == 0) {
        fputs("standard input holds no certificate, revocation list or request; give keys with --in FILE\n", stderr);
        return EXIT_FAILED;
    }
    return key_show(words);
}

// --- verify

static void anchor_add(void *context, struct cert *cert)
{
    trust_store_add(context, cert, true);
}

static bool load_failed(const char *name, const char *expected, enum fault fault, const struct buf *in)
{
    if (fault) pki_file_fault(name, expected, fault, buf_bytes(in));
    return fault != OK;
}

static bool store_fill(const struct pki_words *words, struct trust_store *store)
{
    for (unsigned i = 0; i < words->cacert_count; i++) {
        AUTOFREE_BUF struct buf in = {0};
        if (!pki_file_read(words->cacerts[i], &in)) return false;
        enum fault fault = certs_parse(buf_bytes(&in), anchor_add, store);
        if (load_failed(words->cacerts[i], "certificates of CAs in PEM or DER", fault, &in)) return false;
    }
    for (unsigned i = 0; i < words->crl_count; i++) {
        AUTOFREE_BUF struct buf in = {0};
        if (!pki_file_read(words->crls[i], &in)) return false;
        enum fault fault = trust_store_add_crl(store, buf_bytes(&in));
        if (load_failed(words->crls[i], "a certificate revocation list in PEM or DER", fault, &in)) return false;
    }
    return true;
}

enum { CHAIN_FILE_MAX = 32 };

struct chain_file {
    struct cert *certs[CHAIN_FILE_MAX];
    size_t count;
};

static void chain_add(void *context, struct cert *cert)
{
    struct chain_file *chain = context;
    if (chain->count < CHAIN_FILE_MAX) chain->certs[chain->count++] = cert;
    else cert_free(cert);
}

static bool chain_load(const char *name, struct chain_file *chain)
{
    AUTOFREE_BUF struct buf in = {0};
    if (!pki_file_read(name, &in)) return false;
    enum fault fault = certs_parse(buf_bytes(&in), chain_add, chain);
    if (fault) pki_file_fault(name, "a certificate, perhaps with its CAs behind it, in PEM or DER", fault, buf_bytes(&in));
    return !fault;
}

static int chain_judge(const struct pki_words *words, const struct chain_file *chain, struct trust_store *store,
                       const struct identity *id)
{
    AUTOFREE_BUF struct buf text = BUF(65536);
    struct auth_conf *auth = NEW(struct auth_conf);
    struct bytes ders[CHAIN_FILE_MAX];
    struct cert *peer = NULL;
    char subject[IDENTITY_TEXT];
    auth->revocation = words->crl_count ? REVOCATION_STRICT : REVOCATION_RELAXED;
    for (size_t i = 0; i < chain->count; i++) ders[i] = cert_der(chain->certs[i]);
    struct identity name = cert_subject(chain->certs[0]);
    struct judge_input input = {.certs = ders, .cert_count = chain->count, .id = *id, .auth = auth, .now = (int64_t)time(NULL),
                                .chain_only = id->type == IDENTITY_ANY};
    if (!words->cacert_count && cert_is_self_signed(chain->certs[0])) trust_store_add(store, cert_hold(chain->certs[0]), true);
    enum fault fault = trust_judge(store, &input, &peer, &text);
    free(auth);
    if (fault) {
        fprintf(stderr, "not valid: %s\n  %s\n", text.size ? buf_text(&text) : fault_sentence(fault), fault_remedy(fault));
        return EXIT_FAILED;
    }
    printf("valid: certificate of %s%s\n", identity_print(&name, subject, sizeof subject),
           words->cacert_count ? "" : ", which is self-signed");
    cert_free(peer);
    return EXIT_DONE;
}

int pki_verify(const struct pki_words *words)
{
    struct arena arena = {0};
    struct chain_file chain = {.count = 0};
    struct identity id = {.type = IDENTITY_ANY};
    int status = EXIT_FAILED;
    if (words->id && identity_parse(words->id, &arena, &id)) {
        fprintf(stderr, "--id \"%s\" cannot be read as an identity\n", words->id);
        return EXIT_USAGE;
    }
    struct trust_store *store = trust_store_new();
    if (chain_load(words->in, &chain) && store_fill(words, store)) status = chain_judge(words, &chain, store, &id);
    while (chain.count) cert_free(chain.certs[--chain.count]);
    trust_store_free(store);
    arena_free(&arena);
    return status;
}
