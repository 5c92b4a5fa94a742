// SPDX-License-Identifier: Apache-2.0
// cygnet pki gen, self, issue, req: what makes something.
#include "cli/pki.h"
#include <stdio.h>
#include <time.h>

enum { SECONDS_A_DAY = 86400, LIFETIME_DAYS = 1095, SERIAL_SIZE_MAX = 32 };

static const struct key_type_row {
    const char *name;
    enum key_type type;
    unsigned bits;      // when no size is given
} key_types[] = {
    {"ed25519", KEY_ED25519, 0}, {"ed448", KEY_ED448, 0}, {"ecdsa", KEY_ECDSA, 256}, {"rsa", KEY_RSA, 3072},
};
#define KEY_TYPES (sizeof key_types / sizeof *key_types)

static int fault_say(const char *what, enum fault fault)
{
    fprintf(stderr, "%s: %s\n", what, fault_sentence(fault));
    if (*fault_remedy(fault)) fprintf(stderr, "  %s\n", fault_remedy(fault));
    return EXIT_FAILED;
}

const char *key_type_name(enum key_type type)
{
    for (size_t i = 0; i < KEY_TYPES; i++)
        if (key_types[i].type == type) return key_types[i].name;
    return "unknown";
}

static const struct key_type_row *key_type_row(const char *name)
{
    for (size_t i = 0; i < KEY_TYPES; i++)
        if (strcmp(key_types[i].name, name) == 0) return &key_types[i];
    return NULL;
}

// --- gen

static bool size_fits(enum key_type type, unsigned bits)
{
    switch (type) {
    case KEY_RSA: return bits >= 2048 && bits <= 16384;
    case KEY_ECDSA: return bits == 256 || bits == 384 || bits == 521;
    default: return bits == 0;
    }
}

int pki_gen(const struct pki_words *words)
{
    SECRET(encoded);
    struct private_key *key;
    const struct key_type_row *row = key_type_row(words->type ? words->type : "ed25519");
    if (!row) {
        fprintf(stderr, "--type \"%s\" is not possible: take ed25519, ed448, ecdsa or rsa\n", words->type);
        return EXIT_USAGE;
    }
    unsigned bits = words->bits ? words->bits : row->bits;
    if (!size_fits(row->type, bits)) {
        fprintf(stderr, "--size %u is not possible for %s keys: rsa takes 2048 to 16384, ecdsa 256, 384 or 521, the others none\n",
                bits, row->name);
        return EXIT_USAGE;
    }
    enum fault fault = private_key_make(row->type, bits, &key);
    if (fault) return fault_say("the key", fault);
    fault = private_key_write(key, !words->der, &encoded);
    private_key_free(key);
    if (fault) return fault_say("the key", fault);
    return pki_file_write(words, FILE_PRIVATE, secret_bytes(&encoded)) ? EXIT_DONE : EXIT_FAILED;
}

// --- what goes into a certificate

struct content {
    struct arena arena;
    struct identity subject;
    struct identity names[PKI_NAMES_MAX];
    size_t name_count;
    uint8_t serial[SERIAL_SIZE_MAX];
};

static bool content_read(const struct pki_words *words, struct content *content)
{
    enum fault fault = OK;
    if (words->dn) {
        const char *text = arena_printf(&content->arena, "asn1dn:%s", words->dn);
        fault = identity_parse(text, &content->arena, &content->subject);
        if (fault) fault_say(arena_printf(&content->arena, "--dn \"%s\"", words->dn), fault);
    }
    for (unsigned i = 0; !fault && i < words->san_count; i++) {
        struct identity *name = &content->names[content->name_count++];
        fault = identity_parse(words->sans[i], &content->arena, name);
        if (!fault && (name->type == IDENTITY_ANY || name->regex)) fault = FAULT_ISSUE_NAME;
        if (fault) fault_say(arena_printf(&content->arena, "--san \"%s\"", words->sans[i]), fault);
    }
    return !fault;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool serial_read(const char *text, struct content *content, struct bytes *out)
{
    size_t size = 0;
    *out = BYTES_NONE;
    if (!text) return true;
    AUTOFREE_MEM char *even = mem_printf("%s%s", strlen(text) % 2 ? "0" : "", text);
    for (const char *at = even; *at && size < SERIAL_SIZE_MAX; at += 2) {
        int high = hex_digit(at[0]), low = hex_digit(at[1]);
        if (high < 0 || low < 0) break;
        content->serial[size++] = (uint8_t)(high << 4 | low);
    }
    *out = bytes_of(content->serial, size);
    if (size && size * 2 == strlen(even)) return true;
    fprintf(stderr, "--serial \"%s\" is no hexadecimal number of up to 20 bytes\n", text);
    return false;
}

static bool digest_read(const char *name, uint16_t *hash)
{
    *hash = 0;
    if (!name) return true;
    if (strcmp(name, "sha256") == 0) *hash = HASH_SHA2_256;
    else if (strcmp(name, "sha384") == 0) *hash = HASH_SHA2_384;
    else if (strcmp(name, "sha512") == 0) *hash = HASH_SHA2_512;
    if (!*hash) fprintf(stderr, "--digest \"%s\" is not possible: take sha256, sha384 or sha512\n", name);
    return *hash != 0;
}

static bool request_prepare(const struct pki_words *words, struct content *content, struct issue_request *request)
{
    int64_t from = words->not_before ? words->not_before : (int64_t)time(NULL);
    unsigned days = words->lifetime_days ? words->lifetime_days : LIFETIME_DAYS;
    *request = (struct issue_request){
        .ca = words->ca,
        .path_length = words->path_length,
        .server_auth = words->server_auth,
        .client_auth = words->client_auth,
        .ike_intermediate = words->ike_intermediate,
        .not_before = from,
        .not_after = words->not_after ? words->not_after : from + (int64_t)days * SECONDS_A_DAY,
        .crl_uri = words->crl_uri,
        .ocsp_uri = words->ocsp_uri,
    };
    if (request->not_after <= request->not_before) {
        fputs("the certificate would end before it begins: look at --not-before and --not-after\n", stderr);
        return false;
    }
    if (words->path_length >= 0 && !words->ca) {
        fputs("--pathlen is for CAs: give --ca as well\n", stderr);
        return false;
    }
    return content_read(words, content) && serial_read(words->serial, content, &request->serial) &&
           digest_read(words->digest, &request->hash);
}

static int cert_write(const struct pki_words *words, const struct issue_request *request)
{
    struct cert *cert;
    AUTOFREE_BUF struct buf pem = BUF(PKI_FILE_SIZE_MAX);
    enum fault fault = cert_issue(request, &cert);
    if (fault) return fault_say("the certificate", fault);
    fault = words->der ? OK : cert_pem(cert, &pem);
    int status = fault ? fault_say("the certificate", fault)
                 : pki_file_write(words, FILE_PUBLIC, words->der ? cert_der(cert) : buf_bytes(&pem)) ? EXIT_DONE : EXIT_FAILED;
    cert_free(cert);
    return status;
}

// --- self

int pki_self(const struct pki_words *words)
{
    struct content *content = NEW(struct content);
    struct private_key *key = NULL;
    struct issue_request request;
    int status = EXIT_USAGE;
    if (!words->dn) {
        fputs("--dn is missing: whose certificate is it to be?\n", stderr);
    } else if (request_prepare(words, content, &request)) {
        status = EXIT_FAILED;
        if (pki_key_load(words, words->in, &key)) {
            struct public_key *public = private_key_public(key);
            request.issuer_key = key;
            request.subject_key = public;
            request.subject = content->subject;
            request.alt_names = content->names;
            request.alt_name_count = content->name_count;
            status = cert_write(words, &request);
            public_key_free(public);
            private_key_free(key);
        }
    }
    arena_free(&content->arena);
    free(content);
    return status;
}

// --- issue

// Who is to get the certificate: out of a request comes the name as well, unless the options give another. A private key is
// as good as its public one.
static bool subject_load(const struct pki_words *words, struct content *content, struct public_key **key)
{
    struct identity subject;
    struct identity names[PKI_NAMES_MAX];
    struct private_key *private;
    size_t count = 0;
    struct buf in = {0};
    if (!pki_file_read(words->in, &in)) return false;
    enum fault fault = csr_read(buf_bytes(&in), key, &subject, names, PKI_NAMES_MAX, &count, &content->arena);
    if (!fault) {
        if (!words->dn) content->subject = subject;
        if (!words->san_count) memcpy(content->names, names, (content->name_count = count) * sizeof *names);
    } else if (fault == FAULT_REQUEST_SYNTAX) {
        fault = public_key_find(buf_bytes(&in), key);
        if (fault == FAULT_KEY_UNREADABLE && private_key_read(buf_bytes(&in), BYTES_NONE, &private) == OK) {
            *key = private_key_public(private);
            private_key_free(private);
            fault = OK;
        }
    }
    if (fault) pki_file_fault(words->in, "a public key, a certificate request or a private key", fault, buf_bytes(&in));
    memory_wipe(in.at, in.size);
    buf_free(&in);
    return !fault;
}

static int issue_with(const struct pki_words *words, struct content *content, struct issue_request *request)
{
    struct cert *issuer = NULL;
    struct private_key *issuer_key = NULL;
    struct public_key *subject_key = NULL;
    int status = EXIT_FAILED;
    if (pki_cert_load(words->cacerts[0], &issuer) && pki_key_load(words, words->cakey, &issuer_key) &&
        subject_load(words, content, &subject_key)) {
        request->issuer = issuer;
        request->issuer_key = issuer_key;
        request->subject_key = subject_key;
        request->subject = content->subject;
        request->alt_names = content->names;
        request->alt_name_count = content->name_count;
        if (!words->lifetime_days && !words->not_after && request->not_after > cert_not_after(issuer)) request->not_after = cert_not_after(issuer);
        if (request->not_after > cert_not_after(issuer))
            fputs("warning: the certificate outlives its CA, after whose end it is worth nothing\n", stderr);
        status = cert_write(words, request);
    }
    public_key_free(subject_key);
    private_key_free(issuer_key);
    cert_free(issuer);
    return status;
}

int pki_issue(const struct pki_words *words)
{
    struct content *content = NEW(struct content);
    struct issue_request request;
    int status = EXIT_USAGE;
    if (words->cacert_count != 1 || !words->cakey) {
        fputs("the CA is missing: give its certificate with --cacert FILE and its private key with --cakey FILE, each once\n", stderr);
    } else if (request_prepare(words, content, &request)) {
        status = issue_with(words, content, &request);
    }
    arena_free(&content->arena);
    free(content);
    return status;
}

// --- req

int pki_req(const struct pki_words *words)
{
    struct content *content = NEW(struct content);
    AUTOFREE_BUF struct buf encoded = BUF(PKI_FILE_SIZE_MAX);
    struct private_key *key = NULL;
    int status = EXIT_USAGE;
    if (!words->dn && !words->san_count) {
        fputs("--dn or --san is missing: whose request is it to be?\n", stderr);
    } else if (content_read(words, content)) {
        status = EXIT_FAILED;
        if (pki_key_load(words, words->in, &key)) {
            struct csr_request request = {key, content->subject, content->names, content->name_count};
            enum fault fault = csr_make(&request, !words->der, &encoded);
            if (fault) fault_say("the request", fault);
            else if (pki_file_write(words, FILE_PUBLIC, buf_bytes(&encoded))) status = EXIT_DONE;
            private_key_free(key);
        }
    }
    arena_free(&content->arena);
    free(content);
    return status;
}
