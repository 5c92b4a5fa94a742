// SPDX-License-Identifier: Apache-2.0
// From sections to configuration. options.def has a row for every option of swanctl.conf: path, type, default, whether it is
// supported yet, help. From it come the parser, the checks, `cygnet check`, shell completion and the manual page.
#pragma once
#include "conf/settings.h"
#include "model/conn.h"
#include "model/pool.h"

// Checks a whole swanctl.conf tree: unknown options (with the nearest known name), options that are not supported yet (refused by name),
// types, ranges, references between sections. Complaints carry places. `connections` are compiled on the way.
void options_check(const struct tree *root, struct complaints *complaints);

// Compiles one connection section (from a file or from VICI load-conn, where certs are lists of DER or PEM blobs and cert key ids come
// as "cert-keyids"). Returns NULL when there was an error. The reference is the caller's.
struct conn *options_conn(const struct tree *section, struct complaints *complaints);

// Complains where children of the first, or one of them and one of the other (which may be the first itself), do not agree on the marks of
// their devices; where neither has marks there is nothing to ask.
struct conn_source {
    struct conn *conn;
    const struct tree *section; // NULL: not known any more
};
bool options_has_marks(const struct conn *conn);
void options_marks_check(const struct conn_source *one, const struct conn_source *other, struct complaints *complaints);

// Compiles one section of pools likewise; what it points to is in the section and in the arena. False when there was an error.
bool options_pool(const struct tree *section, struct arena *arena, struct pool_conf *out, struct complaints *complaints);

// Turns what files say into what VICI says: reads certificates and keys named in the tree or found in the usual directories below
// `directory` (x509, x509ca, private, rsa, ecdsa, pkcs8 …), and calls request(command, message) once for each VICI command that swanctl
// --load-all would send, in an order that works: load-cert, load-key, load-shared, load-authority, load-pool, load-conn.
struct loader {
    void *context;
    void (*request)(void *context, const char *command, const struct tree *message);
};
void options_load(const struct tree *root, const char *directory, const struct loader *loader, struct complaints *complaints);

// The nearest known option name for a misspelt one, or NULL.
const char *options_nearest(const char *path_of_section, const char *name);
// Table rows for the manual page, completion and tests.
struct option_row {
    const char *path;      // "connections.<conn>.children.<child>.esp_proposals"
    const char *type, *otherwise, *help;
    bool supported;
};
size_t options_rows(const struct option_row **rows);
