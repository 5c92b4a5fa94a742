// SPDX-License-Identifier: Apache-2.0
// What is loaded, shown to VICI clients: connections, certificates, authorities, pools, algorithms.
#include "daemon/control.h"
#include "crypto/crypto.h"
#include <stdio.h>
#include <sys/utsname.h>

static void event_send(struct control *control, uint32_t client, enum vici_event_kind kind, const struct tree *root)
{
    struct wr out = wr_over(control->space, IPC_MESSAGE_MAX);
    message_write(&out, root);
    vici_event_to(control->vici, client, kind, wr_done(&out));
}

static void selectors_list(struct arena *arena, struct tree *to, const char *name, const struct selectors *set, uint32_t dynamic)
{
    struct tree *list = tree_add_list(arena, to, name);
    for (unsigned i = 0; i < set->count; i++) {
        char text[SELECTOR_TEXT];
        bool is_dynamic = dynamic & 1u << i;
        tree_add_item(arena, list, bytes_of_text(is_dynamic ? "dynamic" : selector_print(&set->at[i], text)));
    }
}

static void seconds_add(struct arena *arena, struct tree *to, const char *name, nsec span)
{
    tree_add_printf(arena, to, name, "%lld", (long long)(span / NSEC_PER_SECOND));
}

// --- connections

static const char *class_name(uint8_t auth)
{
    static const char *const names[] = {"any", "public key", "pre-shared key", "EAP", "XAuth", "NULL"};
    return auth < sizeof names / sizeof *names ? names[auth] : "?";
}

static void hosts_add(struct arena *arena, struct tree *to, const char *name, const struct host_pattern *hosts, size_t count)
{
    struct tree *list = tree_add_list(arena, to, name);
    for (size_t i = 0; i < count; i++) {
        char text[RANGE_TEXT];
        const char *word = hosts[i].kind == HOST_ANY ? "%any" : hosts[i].kind == HOST_NAME ? hosts[i].name : range_print(&hosts[i].range, text);
        tree_add_item(arena, list, bytes_of_text(word));
    }
    if (!count) tree_add_item(arena, list, BYTES("%any"));
}

static void certs_add(struct arena *arena, struct tree *to, const char *name, const struct conn_cert *certs, size_t count)
{
    struct tree *list = tree_add_list(arena, to, name);
    for (size_t i = 0; i < count; i++) {
        struct cert *cert;
        if (cert_parse(certs[i].der, &cert)) continue;
        struct identity subject = cert_subject(cert);
        char text[IDENTITY_TEXT];
        tree_add_item(arena, list, bytes_of_text(identity_print(&subject, text, sizeof text)));
        cert_free(cert);
    }
}

static void round_add(struct arena *arena, struct tree *to, const char *side, unsigned number, const struct auth_conf *round)
{
    char name[32], id[IDENTITY_TEXT];
    snprintf(name, sizeof name, "%s-%u", side, number + 1);
    struct tree *section = tree_add_section(arena, to, name);
    tree_add_text(arena, section, "class", class_name(round->auth));
    if (round->id.type != IDENTITY_ANY) tree_add_text(arena, section, "id", identity_print(&round->id, id, sizeof id));
    if (round->cert_count) certs_add(arena, section, "certs", round->certs, round->cert_count);
    if (round->ca_count) certs_add(arena, section, "cacerts", round->cas, round->ca_count);
}

static void guard_list(struct arena *arena, struct tree *to, const struct child_conf *conf)
{
    struct tree *list = conf->guarded_count ? tree_add_list(arena, to, "guard") : NULL;
    for (uint32_t i = 0; i < conf->guarded_count; i++) {
        char text[RANGE_TEXT + 1];
        text[0] = '!';
        range_print(&conf->guarded[i].range, text + 1);
        tree_add_item(arena, list, bytes_of_text(text + !conf->guarded[i].spared));
    }
}

static void child_add(struct arena *arena, struct tree *to, const struct child_conf *child)
{
    static const char *const after[] = {"clear", "trap", "restart"};
    struct tree *section = tree_add_section(arena, to, child->name);
    tree_add_text(arena, section, "mode", child_mode_text(child));
    if (child->label) label_add(arena, section, child->label);
    if (child->rekey_time) seconds_add(arena, section, "rekey_time", child->rekey_time);
    if (child->rekey_bytes) tree_add_printf(arena, section, "rekey_bytes", "%llu", (unsigned long long)child->rekey_bytes);
    if (child->rekey_packets) tree_add_printf(arena, section, "rekey_packets", "%llu", (unsigned long long)child->rekey_packets);
    tree_add_text(arena, section, "dpd_action", after[child->dpd_action]);
    tree_add_text(arena, section, "close_action", after[child->close_action]);
    guard_list(arena, section, child);
    if (child->updown) tree_add_text(arena, section, "updown", child->updown);
    if (child->updown && child->hostaccess) tree_add_text(arena, section, "hostaccess", "yes");
    selectors_list(arena, section, "local-ts", &child->local_ts, child->local_dynamic);
    selectors_list(arena, section, "remote-ts", &child->remote_ts, child->remote_dynamic);
}

static void conn_add(struct arena *arena, struct tree *root, const struct conn *conn)
{
    static const char *const versions[] = {"IKEv1/2", "IKEv1", "IKEv2"};
    static const char *const unique[] = {"UNIQUE_NO", "UNIQUE_NEVER", "UNIQUE_KEEP", "UNIQUE_REPLACE"};
    struct tree *section = tree_add_section(arena, root, conn->name);
    hosts_add(arena, section, "local_addrs", conn->local_hosts, conn->local_count);
    hosts_add(arena, section, "remote_addrs", conn->remote_hosts, conn->remote_count);
    tree_add_printf(arena, section, "local_port", "%u", conn->local_port);
    tree_add_printf(arena, section, "remote_port", "%u", conn->remote_port);
    tree_add_text(arena, section, "version", versions[conn->version <= 2 ? conn->version : 0]);
    seconds_add(arena, section, "reauth_time", conn->reauth_time);
    seconds_add(arena, section, "rekey_time", conn->rekey_time);
    tree_add_text(arena, section, "unique", unique[conn->unique]);
    if (conn->dpd_delay) seconds_add(arena, section, "dpd_delay", conn->dpd_delay);
    for (unsigned i = 0; i < conn->local_rounds; i++) round_add(arena, section, "local", i, &conn->local[i]);
    for (unsigned i = 0; i < conn->remote_rounds; i++) round_add(arena, section, "remote", i, &conn->remote[i]);
    struct tree *children = tree_add_section(arena, section, "children");
    for (uint32_t i = 0; i < conn->child_count; i++) child_add(arena, children, &conn->children[i]);
}

void control_list_conns(struct control *control, uint32_t client, const struct tree *message)
{
    const char *only = tree_text(message, "ike", NULL);
    for (size_t i = 0; i < control->conn_count; i++) {
        if (only && strcmp(only, control->conns[i].name) != 0) continue;
        struct arena arena = {0};
        struct tree *root = tree_new(&arena);
        conn_add(&arena, root, control->conns[i].conn);
        event_send(control, client, VICI_LIST_CONN, root);
        arena_free(&arena);
    }
    vici_respond(control->vici, client, NULL);
}

void control_get_names(struct control *control, uint32_t client, const char *list_name)
{
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    struct tree *list = tree_add_list(&arena, root, list_name);
    if (strcmp(list_name, "conns") == 0)
        for (size_t i = 0; i < control->conn_count; i++) tree_add_item(&arena, list, bytes_of_text(control->conns[i].name));
    else
        for (size_t i = 0; i < control->authorities.count; i++)
            tree_add_item(&arena, list, bytes_of_text(control->authorities.at[i]->tree->name));
    vici_respond(control->vici, client, root);
    arena_free(&arena);
}

// --- certificates

static bool key_is_loaded(const struct control *control, const struct cert *cert)
{
    uint8_t id[20];
    cert_key_id(cert, id);
    for (size_t i = 0; i < control->key_count; i++)
        if (memcmp(control->key_ids[i], id, 20) == 0) return true;
    return false;
}

static bool cert_wanted(const struct loaded_cert *loaded, const struct tree *message)
{
    const char *flag = tree_text(message, "flag", "ANY"), *type = tree_text(message, "type", "ANY");
    const char *subject = tree_text(message, "subject", "");
    if (strcasecmp(type, "ANY") != 0 && strcasecmp(type, "X509") != 0) return false;
    if (strcasecmp(flag, "CA") == 0 && !loaded->ca) return false;
    if (strcasecmp(flag, "NONE") == 0 && loaded->ca) return false;
    if (!*subject) return true;
    struct arena arena = {0};
    struct identity wanted;
    bool good = identity_parse(subject, &arena, &wanted) == OK && cert_has_identity(loaded->cert, &wanted);
    arena_free(&arena);
    return good;
}

void control_list_certs(struct control *control, uint32_t client, const struct tree *message)
{
    for (size_t i = 0; i < control->cert_count; i++) {
        const struct loaded_cert *loaded = &control->certs[i];
        if (!cert_wanted(loaded, message)) continue;
        struct arena arena = {0};
        struct tree *root = tree_new(&arena);
        tree_add_text(&arena, root, "type", "X509");
        tree_add_text(&arena, root, "flag", loaded->ca ? "CA" : "NONE");
        if (key_is_loaded(control, loaded->cert)) tree_add_text(&arena, root, "has_privkey", "yes");
        tree_add_value(&arena, root, "data", cert_der(loaded->cert));
        event_send(control, client, VICI_LIST_CERT, root);
        arena_free(&arena);
    }
    vici_respond(control->vici, client, NULL);
}

// --- authorities, pools

static void list_copy(struct arena *arena, struct tree *to, const struct tree *from, const char *name)
{
    struct tree *list = tree_add_list(arena, to, name);
    const struct tree *items = tree_find(from, name);
    if (items && items->kind == TREE_LIST) TREE_EACH(item, items) tree_add_item(arena, list, item->value);
}

static void text_copy(struct arena *arena, struct tree *to, const struct tree *from, const char *name)
{
    const char *text = tree_text(from, name, NULL);
    if (text) tree_add_text(arena, to, name, text);
}

void control_list_authorities(struct control *control, uint32_t client, const struct tree *message)
{
    const char *only = tree_text(message, "name", NULL);
    for (size_t i = 0; i < control->authorities.count; i++) {
        const struct tree *tree = control->authorities.at[i]->tree;
        struct cert *cert;
        if ((only && strcmp(only, tree->name) != 0) || cert_parse(tree_value(tree, "cacert"), &cert)) continue;
        struct arena arena = {0};
        struct tree *root = tree_new(&arena);
        struct tree *section = tree_add_section(&arena, root, tree->name);
        struct identity subject = cert_subject(cert);
        char text[IDENTITY_TEXT];
        tree_add_text(&arena, section, "cacert", identity_print(&subject, text, sizeof text));
        list_copy(&arena, section, tree, "crl_uris");
        list_copy(&arena, section, tree, "ocsp_uris");
        text_copy(&arena, section, tree, "cert_uri_base");
        event_send(control, client, VICI_LIST_AUTHORITY, root);
        cert_free(cert);
        arena_free(&arena);
    }
    vici_respond(control->vici, client, NULL);
}

// --- what we can do

static void algorithms_add(struct arena *arena, struct tree *root, const char *section_name, const char *prefix,
                           const char *(*name)(unsigned), bool (*has)(unsigned), unsigned limit)
{
    struct tree *section = tree_add_section(arena, root, section_name);
    for (unsigned i = 1; i < limit; i++) {
        if (!name(i) || !has(i)) continue;
        char text[64];
        snprintf(text, sizeof text, "%s%s", prefix, name(i));
        tree_add_text(arena, section, text, "openssl");
    }
}

static bool encr_has(unsigned id, bool aead)
{
    static const uint16_t sizes[] = {0, 128, 192, 256};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct encr_info info;
        if (encr_info((uint16_t)id, sizes[i], &info) && info.aead == aead && crypto_has_encr((uint16_t)id, sizes[i])) return true;
    }
    return false;
}
static bool has_cipher(unsigned id) { return encr_has(id, false); }
static bool has_aead(unsigned id) { return encr_has(id, true); }
static bool has_integ(unsigned id) { return crypto_has_integ((uint16_t)id); }
static bool has_prf(unsigned id) { return crypto_has_prf((uint16_t)id); }
static bool has_ke(unsigned id) { return crypto_has_ke((uint16_t)id); }

void control_get_algorithms(struct control *control, uint32_t client)
{
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    algorithms_add(&arena, root, "encryption", "", iana_encr_name, has_cipher, 64);
    algorithms_add(&arena, root, "integrity", "", iana_integ_name, has_integ, 64);
    algorithms_add(&arena, root, "aead", "", iana_encr_name, has_aead, 64);
    algorithms_add(&arena, root, "prf", "PRF_", iana_prf_name, has_prf, 64);
    algorithms_add(&arena, root, "ke", "", iana_ke_name, has_ke, 64);
    algorithms_add(&arena, root, "dh", "", iana_ke_name, has_ke, 64);
    vici_respond(control->vici, client, root);
    arena_free(&arena);
}

void control_version(struct control *control, uint32_t client)
{
    struct arena arena = {0};
    struct utsname system;
    uname(&system);
    struct tree *root = tree_new(&arena);
    tree_add_text(&arena, root, "daemon", "cygnet");
    tree_add_text(&arena, root, "version", CYGNET_VERSION);
    tree_add_text(&arena, root, "sysname", system.sysname);
    tree_add_text(&arena, root, "release", system.release);
    tree_add_text(&arena, root, "machine", system.machine);
    vici_respond(control->vici, client, root);
    arena_free(&arena);
}
