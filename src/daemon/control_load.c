// SPDX-License-Identifier: Apache-2.0
// Loading: connections to the ike role, secrets to keys, certificates to trust; from VICI clients and from our own file alike, which
// is turned into the same requests first. Connections from the file wait until all credentials have arrived where they belong.
#include "daemon/control.h"
#include <stdio.h>
#include <sys/stat.h>

enum { POOL_SIZE_MAX = 65000 };

// --- sending

static struct wr send_begin(struct control *control, enum message_type type, const struct pending *pending)
{
    return message_begin(control->space, IPC_MESSAGE_MAX, type, pending->number);
}

// A credential: connections that come after it wait for it.
static struct pending *credential_new(struct control *control, uint32_t client, enum pending_kind kind, const char *what)
{
    struct pending *pending = pending_new(control, client, kind);
    if (!pending) return NULL;
    pending->credential = true;
    pending->what = mem_text(what);
    control->credentials_waiting++;
    return pending;
}

// --- certificates and keys

static bool hex_to_id(const char *hex, uint8_t id[20])
{
    for (unsigned i = 0; i < 20; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) return false;
        id[i] = (uint8_t)byte;
    }
    return true;
}

void key_id_note(struct control *control, const char *hex)
{
    uint8_t id[20];
    if (strlen(hex) != 40 || !hex_to_id(hex, id)) return;
    for (size_t i = 0; i < control->key_count; i++)
        if (memcmp(control->key_ids[i], id, 20) == 0) return;
    control->key_ids = mem_grow(control->key_ids, control->key_count + 1, sizeof *control->key_ids);
    memcpy(control->key_ids[control->key_count++], id, 20);
}

static bool cert_is_loaded(const struct control *control, const struct cert *cert)
{
    for (size_t i = 0; i < control->cert_count; i++)
        if (bytes_equal(cert_der(control->certs[i].cert), cert_der(cert))) return true;
    return false;
}

static void cert_send(struct control *control, uint32_t client, struct bytes der, const char *type, const char *flag)
{
    struct pending *pending = credential_new(control, client, PENDING_SUCCESS, "certificate");
    if (!pending) return;
    struct cert_message message = {.der = der, .type = type, .flag = flag};
    struct wr out = send_begin(control, MESSAGE_CERT_LOAD, pending);
    cert_put(&out, &message);
    link_send(control->trust, &out);
}

// A raw key belongs to the connections that name it in pubkeys, which bring it along; by itself it says nothing.
static void pubkey_check(struct control *control, uint32_t client, struct bytes data)
{
    struct public_key *key = NULL;
    enum fault fault = public_key_find(data, &key);
    if (!fault) public_key_free(key);
    success_respond(control, client, fault, NULL, "public key");
}

void control_load_cert(struct control *control, uint32_t client, const struct tree *message)
{
    const char *type = tree_text(message, "type", "X509"), *flag = tree_text(message, "flag", "NONE");
    struct bytes data = tree_value(message, "data");
    if (strcasecmp(type, "X509_CRL") == 0) {
        cert_send(control, client, data, type, flag);
        return;
    }
    if (strcasecmp(type, "PUBKEY") == 0) {
        pubkey_check(control, client, data);
        return;
    }
    struct cert *cert = NULL;
    enum fault fault = strcasecmp(type, "X509") == 0 ? cert_parse(data, &cert) : FAULT_CERT_TYPE;
    if (fault) {
        success_respond(control, client, fault, NULL, "certificate");
        return;
    }
    cert_send(control, client, cert_der(cert), "X509", flag);
    if (cert_is_loaded(control, cert)) {
        cert_free(cert);
        return;
    }
    control->certs = mem_grow(control->certs, control->cert_count + 1, sizeof *control->certs);
    control->certs[control->cert_count++] =
        (struct loaded_cert){.cert = cert, .ca = strcasecmp(flag, "CA") == 0, .from_file = control->loading_file};
}

void control_load_key(struct control *control, uint32_t client, const struct tree *message)
{
    struct pending *pending = credential_new(control, client, PENDING_KEY, "private key");
    if (!pending) return;
    struct key_message key = {.key = tree_value(message, "data"), .passphrase = tree_value(message, "secret"),
                              .type = tree_text(message, "type", "any")};
    struct wr out = send_begin(control, MESSAGE_KEY_LOAD, pending);
    key_put(&out, &key);
    link_send(control->keys, &out);
    memory_wipe(control->space, out.size);
}

void control_load_shared(struct control *control, uint32_t client, const struct tree *message)
{
    struct pending *pending = credential_new(control, client, PENDING_SUCCESS, "secret");
    if (!pending) return;
    AUTOFREE_MEM uint8_t *space = mem_new(65536);
    struct wr encoded = wr_over(space, 65536);
    message_write(&encoded, message);
    struct load_message load = {.tree = wr_done(&encoded)};
    struct wr out = send_begin(control, MESSAGE_SHARED_LOAD, pending);
    load_put(&out, &load);
    link_send(control->keys, &out);
    memory_wipe(control->space, out.size);
    memory_wipe(space, encoded.size);
}

void control_clear_creds(struct control *control, uint32_t client)
{
    struct pending *secrets = credential_new(control, 0, PENDING_SUCCESS, "clearing of secrets");
    struct pending *trust = credential_new(control, client, PENDING_SUCCESS, "clearing of certificates");
    if (!secrets || !trust) return;
    struct wr out = send_begin(control, MESSAGE_SECRETS_CLEAR, secrets);
    link_send(control->keys, &out);
    out = send_begin(control, MESSAGE_TRUST_CLEAR, trust);
    link_send(control->trust, &out);
    while (control->cert_count) cert_free(control->certs[--control->cert_count].cert);
    control->key_count = 0;
}

// --- connections

static void item_copy(struct arena *arena, const struct tree *item, struct tree *to);

static void section_copy(struct arena *arena, const struct tree *from, struct tree *to)
{
    TREE_EACH(item, from) item_copy(arena, item, to);
}

static void item_copy(struct arena *arena, const struct tree *item, struct tree *to)
{
    struct tree *copy;
    if (item->kind == TREE_SECTION) {
        copy = tree_add_section(arena, to, item->name);
        section_copy(arena, item, copy);
    } else if (item->kind == TREE_LIST) {
        copy = tree_add_list(arena, to, item->name);
        TREE_EACH(value, item) tree_add_item(arena, copy, value->value);
    } else {
        copy = tree_add_value(arena, to, item->name, item->value);
    }
    copy->place = item->place;
}

struct own_certs {   // of a round, with what stands behind them in their files
    struct cert *at[CONN_CERTS_MAX];
    size_t count;
};

static void own_cert_add(void *context, struct cert *cert)
{
    struct own_certs *own = context;
    if (own->count < CONN_CERTS_MAX) own->at[own->count++] = cert;
    else cert_free(cert);
}

// Of those that are loaded, the CAs between a round's own certificates and a root.
static enum fault round_above_add(const struct control *control, const struct tree *certs, struct arena *arena, struct tree *to)
{
    const struct cert *found[2 * CONN_CERTS_MAX], **known = arena_array(arena, control->cert_count + 1, sizeof *known);
    struct own_certs own = {.count = 0};
    enum fault fault = OK;
    for (size_t i = 0; i < control->cert_count; i++) known[i] = control->certs[i].cert;
    for (const struct tree *item = certs->first; item && !fault; item = item->next)
        fault = certs_parse(item->value, own_cert_add, &own);
    for (size_t i = 0; i < own.count; i++) found[i] = own.at[i];
    size_t count = own.count;
    for (size_t i = 0; i < own.count; i++)
        count = certs_above(own.at[i], known, control->cert_count, found, count, own.count + CONN_CERTS_MAX);
    struct tree *above = count > own.count ? tree_add_list(arena, to, "certs-above") : NULL;
    for (size_t i = own.count; i < count; i++) tree_add_item(arena, above, cert_der(found[i]));
    while (own.count) cert_free(own.at[--own.count]);
    return fault;
}

// What the core must know of a round's own certificates: the key ids, and the identity when none is configured. It cannot read
// certificates itself.
static enum fault round_certs_add(const struct control *control, const struct tree *round, struct arena *arena, struct tree *to)
{
    const struct tree *certs = tree_find(round, "certs");
    if (!certs) return OK;
    TRY(round_above_add(control, certs, arena, to));
    struct tree *ids = tree_add_list(arena, to, "cert-keyids");
    bool named = tree_find(round, "id") != NULL;
    TREE_EACH(item, certs) {
        struct cert *cert;
        uint8_t id[20];
        char hex[41];
        TRY(cert_parse(item->value, &cert));
        cert_key_id(cert, id);
        tree_add_item(arena, ids, bytes_of_text(bytes_hex(BYTES_ARRAY(id), hex, sizeof hex)));
        if (!named) {
            struct identity subject = cert_subject(cert);
            char *der = arena_new(arena, subject.bytes.size * 2 + 1);
            bytes_hex(subject.bytes, der, subject.bytes.size * 2 + 1);
            tree_add_printf(arena, to, "id", "asn1dn:#%s", der);
            named = true;
        }
        cert_free(cert);
    }
    return OK;
}

// RFC 7670: of raw keys, too; they are looked at here so that a bad one is told when it is loaded.
static enum fault round_pubkeys_add(const struct tree *round, struct arena *arena, struct tree *to)
{
    const struct tree *keys = tree_find(round, "pubkeys");
    if (!keys) return OK;
    struct tree *ids = tree_add_list(arena, to, "pubkey-keyids");
    TREE_EACH(item, keys) {
        struct public_key *key;
        uint8_t id[20];
        char hex[41];
        TRY(public_key_read_spki(item->value, &key));
        public_key_id(key, id);
        public_key_free(key);
        tree_add_item(arena, ids, bytes_of_text(bytes_hex(BYTES_ARRAY(id), hex, sizeof hex)));
    }
    return OK;
}

static enum fault conn_complete(const struct control *control, const struct tree *section, struct arena *arena, struct tree *to)
{
    TREE_EACH(item, section) {
        bool local = strncmp(item->name, "local", 5) == 0, remote = strncmp(item->name, "remote", 6) == 0;
        if (item->kind != TREE_SECTION || (!local && !remote)) {
            item_copy(arena, item, to);
            continue;
        }
        struct tree *round = tree_add_section(arena, to, item->name);
        round->place = item->place;
        section_copy(arena, item, round);
        TRY(round_pubkeys_add(item, arena, round));
        if (local) TRY(round_certs_add(control, item, arena, round));
    }
    return OK;
}

static struct loaded_conn *conn_find(struct control *control, const char *name)
{
    for (size_t i = 0; i < control->conn_count; i++)
        if (strcmp(control->conns[i].name, name) == 0) return &control->conns[i];
    return NULL;
}

static void conn_send(struct control *control, uint32_t client, const char *name, struct bytes encoded)
{
    struct pending *pending = pending_new(control, client, PENDING_CONN);
    if (!pending) return;
    pending->what = mem_printf("connection %s", name);
    struct load_message message = {.tree = encoded};
    struct wr out = send_begin(control, MESSAGE_CONN_LOAD, pending);
    load_put(&out, &message);
    link_send(control->ike, &out);
}

static void conn_keep(struct control *control, uint32_t client, struct conn *conn, struct bytes encoded)
{
    struct loaded_conn *loaded = conn_find(control, conn->name);
    if (loaded && bytes_equal(loaded->encoded, encoded)) {
        loaded->seen = true;
        conn_release(conn);
        success_respond(control, client, OK, NULL, NULL);   // nothing changed: its SAs are not touched
        return;
    }
    if (!loaded) {
        control->conns = mem_grow(control->conns, control->conn_count + 1, sizeof *control->conns);
        loaded = &control->conns[control->conn_count++];
        *loaded = (struct loaded_conn){.name = mem_text(conn->name)};
    } else {
        conn_release(loaded->conn);
        free((void *)(uintptr_t)loaded->encoded.at);
    }
    loaded->conn = conn;
    loaded->encoded = mem_copy(encoded);
    loaded->from_file = control->loading_file;
    loaded->seen = true;
    conn_send(control, client, conn->name, encoded);
    if (client) client_loaded(control);
}

// Those of one file have been compared when it was read, and take each other's place only now.
static bool marks_agree(const struct control *control, uint32_t client, struct conn_source *source,
                        struct complaints *complaints)
{
    for (size_t i = 0; i < control->conn_count && options_has_marks(source->conn); i++) {
        const struct loaded_conn *loaded = &control->conns[i];
        if (strcmp(loaded->name, source->conn->name) == 0 || (!client && loaded->from_file)) continue;
        options_marks_check(source, &(struct conn_source){loaded->conn, NULL}, complaints);
    }
    return complaints->errors == 0;
}

static void conn_load_now(struct control *control, uint32_t client, const struct tree *section)
{
    struct arena arena = {0};
    struct complaints complaints = {0};
    struct tree *root = tree_new(&arena);
    struct tree *complete = tree_add_section(&arena, root, section->name);
    complete->place = section->place;
    enum fault fault = conn_complete(control, section, &arena, complete);
    struct conn *conn = fault ? NULL : options_conn(complete, &complaints);
    if (conn && !marks_agree(control, client, &(struct conn_source){conn, complete}, &complaints)) {
        conn_release(conn);
        conn = NULL;
    }
    AUTOFREE_MEM uint8_t *space = mem_new(IPC_MESSAGE_MAX);
    struct wr encoded = wr_over(space, IPC_MESSAGE_MAX);
    message_write(&encoded, root);
    if (conn && encoded.failed) {
        conn_release(conn);
        conn = NULL;
        fault = FAULT_MESSAGE_TOO_LARGE;
    }
    if (conn) {
        conn_keep(control, client, conn, wr_done(&encoded));
    } else {
        AUTOFREE_MEM char *what = mem_printf("connection %s", section->name);
        if (!fault) fault = complaints.first ? complaints.first->fault : FAULT_CONFIGURATION;
        success_respond(control, client, fault, complaints.first ? complaints.first->text : NULL, what);
    }
    complaints_free(&complaints);
    arena_free(&arena);
}

// The file's text is gone when a deferred connection's turn comes; what is wrong with it has been said.
static void places_forget(struct tree *item)
{
    item->place = (struct place){0};
    for (struct tree *inner = item->first; inner; inner = inner->next) places_forget(inner);
}

void control_load_conn(struct control *control, uint32_t client, const struct tree *section)
{
    if (client || !control->credentials_waiting) {
        conn_load_now(control, client, section);
        return;
    }
    struct deferred_conn *deferred = NEW(struct deferred_conn);
    struct tree *root = tree_new(&deferred->arena);
    item_copy(&deferred->arena, section, root);
    places_forget(root->first);
    deferred->section = root->first;
    *control->deferred_last = deferred;
    control->deferred_last = &deferred->next;
}

void deferred_flush(struct control *control)
{
    struct deferred_conn *at = control->deferred;
    control->deferred = NULL;
    control->deferred_last = &control->deferred;
    bool loading = control->loading_file;
    control->loading_file = true;
    while (at) {
        struct deferred_conn *next = at->next;
        conn_load_now(control, 0, at->section);
        arena_free(&at->arena);
        free(at);
        at = next;
    }
    control->loading_file = loading;
}

static void conn_drop(struct control *control, struct loaded_conn *loaded)
{
    conn_release(loaded->conn);
    free((void *)(uintptr_t)loaded->encoded.at);
    free(loaded->name);
    *loaded = control->conns[--control->conn_count];
}

void control_unload_conn(struct control *control, uint32_t client, const char *name)
{
    struct loaded_conn *loaded = conn_find(control, name);
    if (!loaded) {
        AUTOFREE_MEM char *text = mem_printf("no connection \"%s\" is loaded", name);
        success_respond(control, client, FAULT_CONN_UNKNOWN, text, NULL);
        return;
    }
    struct pending *pending = pending_new(control, client, PENDING_SUCCESS);
    if (!pending) return;
    struct name_message message = {.name = name};
    struct wr out = send_begin(control, MESSAGE_CONN_UNLOAD, pending);
    name_put(&out, &message);
    link_send(control->ike, &out);
    conn_drop(control, loaded);
}

// --- authorities and pools

static void section_keep(struct control *control, struct loaded_sections *to, const struct tree *section)
{
    struct loaded_section *loaded = NEW(struct loaded_section);
    struct tree *root = tree_new(&loaded->arena);
    item_copy(&loaded->arena, section, root);
    loaded->tree = root->first;
    loaded->from_file = control->loading_file;
    for (size_t i = 0; i < to->count; i++) {
        if (strcmp(to->at[i]->tree->name, section->name) != 0) continue;
        arena_free(&to->at[i]->arena);
        free(to->at[i]);
        to->at[i] = loaded;
        return;
    }
    to->at = mem_grow(to->at, to->count + 1, sizeof *to->at);
    to->at[to->count++] = loaded;
}

void control_unload_section(struct control *control, uint32_t client, struct loaded_sections *from, const char *name)
{
    for (size_t i = 0; i < from->count; i++) {
        if (strcmp(from->at[i]->tree->name, name) != 0) continue;
        arena_free(&from->at[i]->arena);
        free(from->at[i]);
        from->at[i] = from->at[--from->count];
        success_respond(control, client, OK, NULL, NULL);
        return;
    }
    AUTOFREE_MEM char *text = mem_printf("\"%s\" is not loaded", name);
    success_respond(control, client, FAULT_CONN_UNKNOWN, text, NULL);
}

void control_load_authority(struct control *control, uint32_t client, const struct tree *message)
{
    const struct tree *section = message->first;
    if (!section || section->kind != TREE_SECTION) {
        success_respond(control, client, FAULT_MESSAGE_MALFORMED, NULL, "authority");
        return;
    }
    struct cert *cert = NULL;
    enum fault fault = cert_parse(tree_value(section, "cacert"), &cert);
    if (fault) {
        success_respond(control, client, fault, NULL, "authority");
        return;
    }
    // A client is told like a file is: these load and are not used yet.
    if (tree_find(section, "crl_uris") || tree_find(section, "ocsp_uris"))
        role_log(ROLE_CONTROL, IKE_ERROR, FAULT_NOT_SUPPORTED,
                 "authority %s: its crl_uris and ocsp_uris are not fetched from yet", section->name);
    section_keep(control, &control->authorities, section);
    cert_send(control, client, cert_der(cert), "X509", "CA");
    cert_free(cert);
}

static void pool_send(struct control *control, uint32_t client, const struct tree *section)
{
    struct pending *pending = pending_new(control, client, PENDING_SUCCESS);
    if (!pending) return;
    pending->what = mem_printf("pool %s", section->name);
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    item_copy(&arena, section, root);
    AUTOFREE_MEM uint8_t *space = mem_new(POOL_SIZE_MAX);
    struct wr encoded = wr_over(space, POOL_SIZE_MAX);
    message_write(&encoded, root);
    struct load_message load = {.tree = wr_done(&encoded)};
    struct wr out = send_begin(control, MESSAGE_POOL_LOAD, pending);
    load_put(&out, &load);
    link_send(control->ike, &out);
    arena_free(&arena);
}

static void lease_send(void *context, const struct lease_message *lease)
{
    struct control *control = context;
    struct wr out = message_begin(control->space, IPC_MESSAGE_MAX, MESSAGE_LEASE, 0);
    lease_put(&out, lease);
    link_send(control->ike, &out);
}

// The file is opened when the first pool comes: hosts without one need none.
static struct leases *leases_of(struct control *control)
{
    const char *state_dir = control->options->state_dir;
    if (!control->leases_tried && strcmp(state_dir, "none") != 0) {
        AUTOFREE_MEM char *directory = mem_printf("%s/" LEASES_DIR, state_dir);
        control->leases = leases_open(directory, control->base);
    }
    control->leases_tried = true;
    return control->leases;
}

void control_lease(struct control *control, const struct lease_message *lease)
{
    if (leases_of(control)) leases_note(control->leases, lease);
}

// What came from the file is kept, so that a reload knows what has gone from it. The ike role has the rest.
void control_load_pool(struct control *control, uint32_t client, const struct tree *message)
{
    const struct tree *section = message->first;
    struct arena arena = {0};
    struct complaints complaints = {0};
    struct pool_conf pool;
    enum fault fault = section ? OK : FAULT_MESSAGE_MALFORMED;
    if (!fault && !options_pool(section, &arena, &pool, &complaints)) fault = FAULT_CONFIGURATION;
    if (!fault) {
        section_keep(control, &control->pools, section);
        pool_send(control, client, section);
        if (leases_of(control)) leases_of_pool(control->leases, section->name, control, lease_send);
    } else {
        success_respond(control, client, fault, complaints.first ? complaints.first->text : NULL, "pool");
    }
    complaints_free(&complaints);
    arena_free(&arena);
}

static void pool_forget(struct control *control, const char *name)
{
    struct loaded_sections *pools = &control->pools;
    for (size_t i = 0; i < pools->count; i++) {
        if (strcmp(pools->at[i]->tree->name, name) != 0) continue;
        arena_free(&pools->at[i]->arena);
        free(pools->at[i]);
        pools->at[i] = pools->at[--pools->count];
        return;
    }
}

// A client is refused while addresses are in use, and then a reload may still find that the pool has gone from the file; what has
// gone from there goes as soon as its addresses are free.
void control_unload_pool(struct control *control, uint32_t client, const char *name)
{
    struct pending *pending = pending_new(control, client, PENDING_SUCCESS);
    if (!pending) return;
    struct pool_unload_message message = {.name = name, .in_use_too = client == 0};
    struct wr out = send_begin(control, MESSAGE_POOL_UNLOAD, pending);
    pool_unload_put(&out, &message);
    link_send(control->ike, &out);
    if (client == 0) pool_forget(control, name);
}

// --- our own file

static void file_request(void *context, const char *command, const struct tree *message)
{
    control_command(context, 0, command, message);
}

static const char *config_file(const struct control *control, char *space, size_t size)
{
    const char *path = control->options->config;
    struct stat status;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        snprintf(space, size, "%s/swanctl.conf", path);
        return space;
    }
    return path;
}

static char *config_directory(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? mem_text_of(bytes_of(file, (size_t)(slash - file))) : mem_text(".");
}

// Reads the file; complaints are printed into errors. NULL when it cannot be read.
static struct tree *file_read(struct control *control, struct arena *arena, struct complaints *complaints, char **directory)
{
    char space[4096];
    const char *file = config_file(control, space, sizeof space);
    *directory = config_directory(file);
    struct tree *root = settings_load(file, arena, complaints);
    if (root) options_check(root, complaints);
    return root;
}

// Without the line break at their end, for the log and for messages.
static void errors_trim(struct buf *errors)
{
    while (errors->size && errors->at[errors->size - 1] == '\n') errors->size--;
}

static void file_apply(struct control *control, const struct tree *root, const char *directory, struct complaints *complaints)
{
    struct loader loader = {control, file_request};
    control->loading_file = true;
    options_load(root, directory, &loader, complaints);
    control->loading_file = false;
}

bool control_has_file(const struct control *control)
{
    return control->options->config && strcmp(control->options->config, "none") != 0;
}

void control_start(struct control *control)
{
    if (!control_has_file(control)) {
        role_log(ROLE_CONTROL, IKE_INFO, OK, "no configuration file: waiting for a client to load one");
        return;
    }
    struct arena arena = {0};
    struct complaints complaints = {0};
    AUTOFREE_MEM char *directory = NULL;
    AUTOFREE_BUF struct buf errors = BUF(1024 * 1024);
    struct tree *root = file_read(control, &arena, &complaints, &directory);
    if (root) {
        complaints_free(&complaints);   // loading finds them again, with those of keys and certificates
        complaints = (struct complaints){0};
        options_check(root, &complaints);
        file_apply(control, root, directory, &complaints);
    }
    complaints_print(&complaints, &errors);
    errors_trim(&errors);
    if (complaints.errors)
        role_log(ROLE_CONTROL, IKE_ERROR, FAULT_CONFIGURATION, "the configuration has errors: %u\n%s", complaints.errors, buf_text(&errors));
    else if (complaints.warnings)
        role_log(ROLE_CONTROL, IKE_AUDIT, OK, "the configuration has warnings: %u\n%s", complaints.warnings, buf_text(&errors));
    complaints_free(&complaints);
    arena_free(&arena);
}

static void unseen_unload(struct control *control)
{
    for (size_t i = control->conn_count; i-- > 0;) {
        if (!control->conns[i].from_file || control->conns[i].seen) continue;
        AUTOFREE_MEM char *name = mem_text(control->conns[i].name);
        control_unload_conn(control, 0, name);
    }
}

static void unseen_pools_unload(struct control *control, const struct tree *root)
{
    for (size_t i = control->pools.count; i-- > 0;) {
        const struct loaded_section *pool = control->pools.at[i];
        if (!pool->from_file || tree_section(tree_section(root, "pools"), pool->tree->name)) continue;
        AUTOFREE_MEM char *name = mem_text(pool->tree->name);
        control_unload_pool(control, 0, name);
    }
}

// A connection of the file that is deferred behind its credentials is still there.
static void seen_note(struct control *control, const struct tree *root)
{
    for (size_t i = 0; i < control->conn_count; i++)
        control->conns[i].seen = tree_section(tree_section(root, "connections"), control->conns[i].name) != NULL;
}

bool control_reload(struct control *control, struct buf *errors)
{
    if (!control_has_file(control)) {
        buf_add_text(errors, "there is no configuration file to reload: everything is loaded by clients");
        return false;
    }
    struct arena arena = {0};
    struct complaints complaints = {0};
    AUTOFREE_MEM char *directory = NULL;
    struct tree *root = file_read(control, &arena, &complaints, &directory);
    bool good = root && !complaints.errors;
    if (good) {
        control_clear_creds(control, 0);
        seen_note(control, root);
        unseen_unload(control);
        unseen_pools_unload(control, root);
        file_apply(control, root, directory, &complaints);
        role_log(ROLE_CONTROL, IKE_INFO, OK, "configuration reloaded: %zu connections", control->conn_count);
    }
    complaints_print(&complaints, errors);
    errors_trim(errors);
    complaints_free(&complaints);
    arena_free(&arena);
    return good;
}
