// SPDX-License-Identifier: Apache-2.0
// cygnet pki: which commands there are, which options each takes, and how they are read. Options are close to those of
// strongSwan's pki tool; `cygnet pki --gen` works as well as `cygnet pki gen`.
#include "cli/pki.h"
#include <getopt.h>
#include <stdio.h>
#include <time.h>

// --- the options

enum option_id {
    OPTION_IN = 1, OPTION_OUT, OPTION_OUTFORM, OPTION_FORCE, OPTION_TYPE, OPTION_SIZE, OPTION_DN, OPTION_SAN, OPTION_CA,
    OPTION_PATHLEN, OPTION_LIFETIME, OPTION_NOT_BEFORE, OPTION_NOT_AFTER, OPTION_SERIAL, OPTION_FLAG, OPTION_DIGEST, OPTION_CRL_URI, OPTION_CRL_FILE, OPTION_OCSP,
    OPTION_CACERT, OPTION_CAKEY, OPTION_ID, OPTION_JSON, OPTION_PASSPHRASE, OPTION_HELP, OPTION_COUNT
};
#define BIT(name) (1u << OPTION_##name)
#define OUTPUT (BIT(OUT) | BIT(OUTFORM) | BIT(FORCE))
#define CONTENT (BIT(DN) | BIT(SAN))
#define ISSUING (BIT(CA) | BIT(PATHLEN) | BIT(LIFETIME) | BIT(NOT_BEFORE) | BIT(NOT_AFTER) | BIT(SERIAL) | BIT(FLAG) | BIT(DIGEST) | BIT(CRL_URI) | BIT(OCSP))

static const struct option_row {
    enum option_id id;
    const char *name, *value, *help;
} option_rows[] = {
    {OPTION_TYPE,     "type",     "TYPE",  "ed25519 (default of gen), ed448, ecdsa or rsa: the key's type"},
    {OPTION_SIZE,     "size",     "BITS",  "rsa: 2048 to 16384, default 3072; ecdsa: 256, 384 or 521, default 256"},
    {OPTION_IN,       "in",       "FILE",  "what to read; standard input without it"},
    {OPTION_PASSPHRASE, "passphrase-file", "FILE", "its first line opens an encrypted private key"},
    {OPTION_DN,       "dn",       "NAME",  "subject, as in \"C=CH, O=Example, CN=host.example.org\""},
    {OPTION_SAN,      "san",      "NAME",  "alternative name: host name, address or e-mail address; repeatable"},
    {OPTION_CA,       "ca",       NULL,    "make a certificate that may issue others"},
    {OPTION_PATHLEN,  "pathlen",  "COUNT", "how many CAs may stand below this one"},
    {OPTION_LIFETIME, "lifetime", "DAYS",  "days until it expires; without it 1095, but not longer than the CA"},
    {OPTION_NOT_BEFORE, "not-before", "DATE", "day from which it is valid, as 2026-11-21 (UTC); today without it"},
    {OPTION_NOT_AFTER, "not-after", "DATE", "day on which it expires, instead of --lifetime"},
    {OPTION_CACERT,   "cacert",   "FILE",  "the CA's certificate; verify: repeatable"},
    {OPTION_CAKEY,    "cakey",    "FILE",  "the CA's private key"},
    {OPTION_SERIAL,   "serial",   "HEX",   "serial number; random without it"},
    {OPTION_FLAG,     "flag",     "NAME",  "serverAuth, clientAuth or ikeIntermediate; repeatable. ipsecIKE is added"},
    {OPTION_DIGEST,   "digest",   "NAME",  "sha256, sha384 or sha512; by the key without it"},
    {OPTION_CRL_URI,  "crl",      "URI",   "where the CA's revocation list is found"},
    {OPTION_CRL_FILE, "crl",      "FILE",  "a revocation list; repeatable. With one, all of the chain must be covered"},
    {OPTION_OCSP,     "ocsp",     "URI",   "where the CA's OCSP responder is found"},
    {OPTION_ID,       "id",       "NAME",  "verify: an identity that must be in the certificate; keyid: spk or spki only"},
    {OPTION_JSON,     "json",     NULL,    "print as JSON"},
    {OPTION_OUT,      "out",      "FILE",  "what to write; standard output without it. Private keys get mode 0600"},
    {OPTION_OUTFORM,  "outform",  "FORM",  "pem (default) or der"},
    {OPTION_FORCE,    "force",    NULL,    "overwrite an existing file"},
    {OPTION_HELP,     "help",     NULL,    "print this"},
};
#define OPTION_ROWS (sizeof option_rows / sizeof *option_rows)

static const struct pki_command {
    const char *name;
    int (*run)(const struct pki_words *words);
    uint32_t takes;
    const char *help;
} commands[] = {
    {"gen",    pki_gen,    BIT(TYPE) | BIT(SIZE) | OUTPUT, "make a private key"},
    {"self",   pki_self,   BIT(IN) | BIT(PASSPHRASE) | CONTENT | ISSUING | OUTPUT,
     "make a self-signed certificate for a private key"},
    {"issue",  pki_issue,  BIT(IN) | BIT(PASSPHRASE) | BIT(CACERT) | BIT(CAKEY) | CONTENT | ISSUING | OUTPUT,
     "issue a certificate for a public key, a request or a private key"},
    {"req",    pki_req,    BIT(IN) | BIT(PASSPHRASE) | CONTENT | OUTPUT, "make a certificate request for a private key"},
    {"print",  pki_print,  BIT(IN) | BIT(PASSPHRASE) | BIT(JSON),
     "print certificates, a revocation list, a request, or what a key is"},
    {"pub",    pki_pub,    BIT(IN) | BIT(PASSPHRASE) | OUTPUT, "take the public key out of a key, a certificate or a request"},
    {"keyid",  pki_keyid,  BIT(IN) | BIT(PASSPHRASE) | BIT(ID), "print the identifiers of a key"},
    {"verify", pki_verify, BIT(IN) | BIT(CACERT) | BIT(CRL_FILE) | BIT(ID), "judge a certificate and its chain as IKE would"},
};
#define COMMANDS (sizeof commands / sizeof *commands)

static bool command_takes(const struct pki_command *command, enum option_id id)
{
    return id == OPTION_HELP || (command->takes >> id & 1);
}

static void commands_print(FILE *to)
{
    fputs("usage: cygnet pki COMMAND [OPTION ...]\n\n", to);
    for (size_t i = 0; i < COMMANDS; i++) fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
    fputs("\n`cygnet pki COMMAND --help` lists the options; see also cygnet-pki(1).\n", to);
}

static void command_print(const struct pki_command *command, FILE *to)
{
    fprintf(to, "usage: cygnet pki %s [OPTION ...]\n  %s\n\n", command->name, command->help);
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        const struct option_row *row = &option_rows[i];
        char left[40];
        if (!command_takes(command, row->id)) continue;
        snprintf(left, sizeof left, "--%s%s%s", row->name, row->value ? " " : "", row->value ? row->value : "");
        fprintf(to, "  %-24s %s\n", left, row->help);
    }
}

// --- reading them

static bool value_refuse(const struct option_row *row, const char *value)
{
    fprintf(stderr, "--%s \"%s\" is not possible: %s\n", row->name, value, row->help);
    return false;
}

static bool number_read(const struct option_row *row, const char *value, unsigned limit, unsigned *out)
{
    char *end;
    unsigned long number = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || number > limit) return value_refuse(row, value);
    *out = (unsigned)number;
    return true;
}

static bool list_add(const struct option_row *row, const char *value, const char **list, unsigned *count, unsigned limit)
{
    if (*count == limit) {
        fprintf(stderr, "--%s may be given %u times\n", row->name, limit);
        return false;
    }
    list[(*count)++] = value;
    return true;
}

static bool flag_set(struct pki_words *words, const struct option_row *row, const char *value)
{
    if (strcmp(value, "serverAuth") == 0) words->server_auth = true;
    else if (strcmp(value, "clientAuth") == 0) words->client_auth = true;
    else if (strcmp(value, "ikeIntermediate") == 0) words->ike_intermediate = true;
    else return value_refuse(row, value);
    return true;
}

static bool outform_set(struct pki_words *words, const struct option_row *row, const char *value)
{
    words->der = strcmp(value, "der") == 0;
    return words->der || strcmp(value, "pem") == 0 || value_refuse(row, value);
}

// The beginning of a day in UTC.
static bool date_read(const struct option_row *row, const char *value, int64_t *out)
{
    struct tm day = {0};
    const char *end = strptime(value, "%Y-%m-%d", &day);
    if (!end || *end) return value_refuse(row, value);
    *out = (int64_t)timegm(&day);
    return true;
}

static bool option_set(struct pki_words *words, const struct option_row *row, const char *value)
{
    unsigned number;
    switch (row->id) {
    case OPTION_IN: words->in = value; return true;
    case OPTION_OUT: words->out = value; return true;
    case OPTION_OUTFORM: return outform_set(words, row, value);
    case OPTION_FORCE: return words->force = true;
    case OPTION_TYPE: words->type = value; return true;
    case OPTION_SIZE: return number_read(row, value, 16384, &words->bits);
    case OPTION_DN: words->dn = value; return true;
    case OPTION_SAN: return list_add(row, value, words->sans, &words->san_count, PKI_NAMES_MAX);
    case OPTION_CA: return words->ca = true;
    case OPTION_PATHLEN:
        if (!number_read(row, value, 127, &number)) return false;
        words->path_length = (int)number;
        return true;
    case OPTION_LIFETIME:
        return number_read(row, value, 365 * 1000, &words->lifetime_days) && (words->lifetime_days || value_refuse(row, value));
    case OPTION_NOT_BEFORE: return date_read(row, value, &words->not_before);
    case OPTION_NOT_AFTER: return date_read(row, value, &words->not_after);
    case OPTION_SERIAL: words->serial = value; return true;
    case OPTION_FLAG: return flag_set(words, row, value);
    case OPTION_DIGEST: words->digest = value; return true;
    case OPTION_CRL_URI: words->crl_uri = value; return true;
    case OPTION_CRL_FILE: return list_add(row, value, words->crls, &words->crl_count, PKI_FILES_MAX);
    case OPTION_OCSP: words->ocsp_uri = value; return true;
    case OPTION_CACERT: return list_add(row, value, words->cacerts, &words->cacert_count, PKI_FILES_MAX);
    case OPTION_CAKEY: words->cakey = value; return true;
    case OPTION_ID: words->id = value; return true;
    case OPTION_JSON: return words->json = true;
    case OPTION_PASSPHRASE: words->passphrase_file = value; return true;
    default: return false;
    }
}

// getopt_long's table holds the rows that the command takes; `val` is the row's place, counted from 1.
static void long_options_fill(const struct pki_command *command, struct option *out)
{
    size_t count = 0;
    for (size_t i = 0; i < OPTION_ROWS; i++)
        if (command_takes(command, option_rows[i].id))
            out[count++] = (struct option){option_rows[i].name, option_rows[i].value ? required_argument : no_argument, NULL,
                                           (int)i + 1};
    out[count] = (struct option){0};
}

static int command_run(const struct pki_command *command, int argc, char **argv)
{
    struct option long_options[OPTION_ROWS + 1];
    struct pki_words words = {.command = command->name, .path_length = -1};
    int at;
    long_options_fill(command, long_options);
    optind = 1;
    while ((at = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (at == 'h' || (at > 0 && at <= (int)OPTION_ROWS && option_rows[at - 1].id == OPTION_HELP)) {
            command_print(command, stdout);
            return EXIT_DONE;
        }
        if (at < 1 || at > (int)OPTION_ROWS || !option_set(&words, &option_rows[at - 1], optarg)) {
            fprintf(stderr, "`cygnet pki %s --help` lists the options\n", command->name);
            return EXIT_USAGE;
        }
    }
    if (optind == argc) return command->run(&words);
    fprintf(stderr, "\"%s\" belongs to no option; files are given with --in and --out\n", argv[optind]);
    return EXIT_USAGE;
}

int cli_pki(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    crypto_start();
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        commands_print(stdout);
        return EXIT_DONE;
    }
    const char *plain = strncmp(name, "--", 2) == 0 ? name + 2 : name;
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(plain, commands[i].name) == 0) return command_run(&commands[i], argc - 1, argv + 1);
    if (*name) fprintf(stderr, "cygnet pki: no command \"%s\"\n\n", name);
    commands_print(stderr);
    return EXIT_USAGE;
}
