// SPDX-License-Identifier: Apache-2.0
// What the commands of `cygnet pki` share: their options, read once from one table, and files.
#pragma once
#include "cli/cli.h"
#include "base/secret.h"
#include "pki/pki.h"

enum { PKI_NAMES_MAX = 64, PKI_FILES_MAX = 32, PKI_FILE_SIZE_MAX = 1 << 20 };

struct pki_words {
    const char *command;
    const char *in, *out, *type, *dn, *cakey, *serial, *crl_uri, *ocsp_uri, *digest, *id, *passphrase_file;
    const char *cacerts[PKI_FILES_MAX], *crls[PKI_FILES_MAX];
    unsigned cacert_count, crl_count;
    const char *sans[PKI_NAMES_MAX];
    unsigned san_count;
    unsigned bits, lifetime_days;   // 0: not given
    int64_t not_before, not_after;  // seconds since 1970; 0: not given
    int path_length;
    bool ca, force, json, der, server_auth, client_auth, ike_intermediate;
};

// --- files (pki_files.c). All print what is wrong, with the file's name.
bool pki_file_read(const char *name, struct buf *out);     // "-" or NULL: standard input
enum file_kind { FILE_PUBLIC, FILE_PRIVATE };          // private: readable for its owner only
bool pki_file_write(const struct pki_words *words, enum file_kind kind, struct bytes content);
int  pki_file_fault(const char *name, const char *expected, enum fault fault, struct bytes content);  // returns EXIT_FAILED
bool pki_key_load(const struct pki_words *words, const char *name, struct private_key **out);
bool pki_cert_load(const char *name, struct cert **out);

// --- commands
int pki_gen(const struct pki_words *words);
int pki_self(const struct pki_words *words);
int pki_issue(const struct pki_words *words);
int pki_req(const struct pki_words *words);
int pki_print(const struct pki_words *words);
int pki_pub(const struct pki_words *words);
int pki_keyid(const struct pki_words *words);
int pki_verify(const struct pki_words *words);
const char *key_type_name(enum key_type type);
