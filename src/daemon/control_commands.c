// SPDX-License-Identifier: Apache-2.0
// The VICI commands: a table of names and what they do. Each answers exactly once, now or when another role has answered.
#include "daemon/control.h"
#include <event2/event.h>

typedef void handler(struct control *control, uint32_t client, const struct tree *message);

static uint32_t number_of(const struct tree *message, const char *name)
{
    return (uint32_t)strtoul(tree_text(message, name, "0"), NULL, 10);
}

static bool flag_of(const struct tree *message, const char *name)
{
    const char *text = tree_text(message, name, "no");
    return strcasecmp(text, "yes") == 0 || strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0;
}

static void refuse(struct control *control, uint32_t client, const char *text)
{
    success_respond(control, client, FAULT_NOT_SUPPORTED, text, NULL);
}

// --- commands to the core

static void timed_out(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct pending *pending = context;
    success_respond(pending->control, pending->client, FAULT_COMMAND_TIMEOUT,
                    "not finished in the given time; it goes on in the background", NULL);
    pending_free(pending);
}

// timeout in milliseconds: 0 waits for ever, below 0 answers at once.
static void timeout_start(struct control *control, struct pending *pending, const char *text)
{
    long ms = text ? strtol(text, NULL, 10) : 0;
    if (ms < 0) {
        success_respond(control, pending->client, OK, NULL, NULL);
        pending_free(pending);
    } else if (ms > 0) {
        pending->timeout = evtimer_new(control->base, timed_out, pending);
        struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
        evtimer_add(pending->timeout, &wait);
    }
}

static void command_send(struct control *control, uint32_t client, const struct tree *message, enum ike_command_kind kind)
{
    struct pending *pending = pending_new(control, client, PENDING_COMMAND);
    if (!pending) return;
    pending->level = (uint8_t)strtoul(tree_text(message, "loglevel", "1"), NULL, 10);
    struct command_message command = {.command = {.number = (uint32_t)pending->number,
                                                  .kind = (uint8_t)kind,
                                                  .conn = tree_text(message, "ike", NULL),
                                                  .child = tree_text(message, "child", NULL),
                                                  .ike_id = number_of(message, "ike-id"),
                                                  .child_id = number_of(message, "child-id"),
                                                  .force = flag_of(message, "force"),
                                                  .reauth = flag_of(message, "reauth"),
                                                  .peer_ip = tree_text(message, "peer-ip", NULL),
                                                  .peer_id = tree_text(message, "peer-id", NULL),
                                                  .gateway = tree_text(message, "gateway", NULL)}};
    struct wr out = message_begin(control->space, IPC_MESSAGE_MAX, MESSAGE_COMMAND, pending->number);
    command_put(&out, &command);
    link_send(control->ike, &out);
    timeout_start(control, pending, tree_text(message, "timeout", NULL));
}

static void on_initiate(struct control *c, uint32_t client, const struct tree *m) { command_send(c, client, m, IKE_INITIATE); }
static void on_terminate(struct control *c, uint32_t client, const struct tree *m) { command_send(c, client, m, IKE_TERMINATE); }
static void on_rekey(struct control *c, uint32_t client, const struct tree *m) { command_send(c, client, m, IKE_REKEY); }
static void on_install(struct control *c, uint32_t client, const struct tree *m) { command_send(c, client, m, IKE_INSTALL); }
static void on_uninstall(struct control *c, uint32_t client, const struct tree *m) { command_send(c, client, m, IKE_UNINSTALL); }
static void on_redirect(struct control *c, uint32_t client, const struct tree *m) { command_send(c, client, m, IKE_REDIRECT); }

// --- questions to the core

// The ike role knows; it gets the client's own words.
static void core_ask(struct control *control, uint32_t client, const struct tree *message, enum message_type type, enum pending_kind kind)
{
    struct pending *pending = pending_new(control, client, kind);
    if (!pending) return;
    uint8_t space[1024];
    struct wr words = wr_over(space, sizeof space);
    message_write(&words, message);
    struct load_message load = {.tree = words.failed ? BYTES_NONE : wr_done(&words)};
    struct wr out = message_begin(control->space, IPC_MESSAGE_MAX, type, pending->number);
    load_put(&out, &load);
    link_send(control->ike, &out);
}

static void on_list_sas(struct control *c, uint32_t client, const struct tree *m) { core_ask(c, client, m, MESSAGE_LIST_SAS, PENDING_ITEMS); }
static void on_list_policies(struct control *c, uint32_t client, const struct tree *m) { core_ask(c, client, m, MESSAGE_LIST_POLICIES, PENDING_ITEMS); }
static void on_get_pools(struct control *c, uint32_t client, const struct tree *m) { core_ask(c, client, m, MESSAGE_LIST_POOLS, PENDING_TREE); }
static void on_get_counters(struct control *c, uint32_t client, const struct tree *m) { core_ask(c, client, m, MESSAGE_COUNTERS, PENDING_TREE); }

static void on_reset_counters(struct control *control, uint32_t client, const struct tree *message)
{
    struct arena arena = {0};
    struct tree *words = tree_new(&arena);
    const char *name = tree_text(message, "name", NULL);
    if (name) tree_add_text(&arena, words, "name", name);
    if (flag_of(message, "all")) tree_add_text(&arena, words, "all", "yes");
    tree_add_text(&arena, words, "reset", "yes");
    core_ask(control, client, words, MESSAGE_COUNTERS, PENDING_TREE);
    arena_free(&arena);
}

static void on_stats(struct control *control, uint32_t client, const struct tree *message)
{
    (void)message;
    struct pending *pending = pending_new(control, client, PENDING_STATS);
    if (!pending) return;
    struct wr out = message_begin(control->space, IPC_MESSAGE_MAX, MESSAGE_STATS, pending->number);
    link_send(control->ike, &out);
}

// --- loading and unloading

static void on_load_conn(struct control *control, uint32_t client, const struct tree *message)
{
    if (message->first && message->first->kind == TREE_SECTION) control_load_conn(control, client, message->first);
    else success_respond(control, client, FAULT_MESSAGE_MALFORMED, NULL, "connection");
}

static void on_unload_conn(struct control *control, uint32_t client, const struct tree *message)
{
    control_unload_conn(control, client, tree_text(message, "name", ""));
}

static void secret_unload(struct control *control, uint32_t client, const char *kind, const char *id)
{
    struct pending *pending = pending_new(control, client, PENDING_SUCCESS);
    if (!pending) return;
    AUTOFREE_MEM char *name = mem_printf("%s:%s", kind, id);
    struct name_message unload = {.name = name};
    struct wr out = message_begin(control->space, IPC_MESSAGE_MAX, MESSAGE_SECRET_UNLOAD, pending->number);
    name_put(&out, &unload);
    link_send(control->keys, &out);
}

static void on_unload_key(struct control *c, uint32_t client, const struct tree *m) { secret_unload(c, client, "key", tree_text(m, "id", "")); }
static void on_unload_shared(struct control *c, uint32_t client, const struct tree *m) { secret_unload(c, client, "shared", tree_text(m, "id", "")); }

static void on_get_secrets(struct control *control, uint32_t client, const struct tree *message)
{
    (void)message;   // keys and shared come together; a client reads its own
    struct pending *pending = pending_new(control, client, PENDING_TREE);
    if (!pending) return;
    struct wr out = message_begin(control->space, IPC_MESSAGE_MAX, MESSAGE_SECRETS_LIST, pending->number);
    link_send(control->keys, &out);
}

static void on_clear_creds(struct control *c, uint32_t client, const struct tree *m) { (void)m; control_clear_creds(c, client); }
// Nothing is fetched, so there is no cache of certificates to flush.
static void on_flush_certs(struct control *c, uint32_t client, const struct tree *m) { (void)m; success_respond(c, client, OK, NULL, NULL); }
static void on_unload_authority(struct control *c, uint32_t client, const struct tree *m) { control_unload_section(c, client, &c->authorities, tree_text(m, "name", "")); }
static void on_unload_pool(struct control *c, uint32_t client, const struct tree *m) { control_unload_pool(c, client, tree_text(m, "name", "")); }

static void on_reload_settings(struct control *control, uint32_t client, const struct tree *message)
{
    (void)message;
    AUTOFREE_BUF struct buf errors = BUF(65536);
    bool good = control_reload(control, &errors);
    success_respond(control, client, good ? OK : FAULT_CONFIGURATION, good ? NULL : buf_text(&errors), NULL);
}

// --- lists of our own

static void on_get_conns(struct control *c, uint32_t client, const struct tree *m) { (void)m; control_get_names(c, client, "conns"); }
static void on_get_authorities(struct control *c, uint32_t client, const struct tree *m) { (void)m; control_get_names(c, client, "authorities"); }
static void on_get_algorithms(struct control *c, uint32_t client, const struct tree *m) { (void)m; control_get_algorithms(c, client); }
static void on_version(struct control *c, uint32_t client, const struct tree *m) { (void)m; control_version(c, client); }
static void on_load_token(struct control *c, uint32_t client, const struct tree *m) { (void)m; refuse(c, client, "keys on tokens are not supported yet"); }

static const struct {
    const char *name;
    handler *handle;
} commands[] = {
    {"version", on_version},
    {"stats", on_stats},
    {"reload-settings", on_reload_settings},
    {"initiate", on_initiate},
    {"terminate", on_terminate},
    {"rekey", on_rekey},
    {"redirect", on_redirect},
    {"install", on_install},
    {"uninstall", on_uninstall},
    {"list-sas", on_list_sas},
    {"list-policies", on_list_policies},
    {"list-conns", control_list_conns},
    {"get-conns", on_get_conns},
    {"list-certs", control_list_certs},
    {"list-authorities", control_list_authorities},
    {"get-authorities", on_get_authorities},
    {"load-conn", on_load_conn},
    {"unload-conn", on_unload_conn},
    {"load-cert", control_load_cert},
    {"load-key", control_load_key},
    {"unload-key", on_unload_key},
    {"get-keys", on_get_secrets},
    {"load-token", on_load_token},
    {"load-shared", control_load_shared},
    {"unload-shared", on_unload_shared},
    {"get-shared", on_get_secrets},
    {"flush-certs", on_flush_certs},
    {"clear-creds", on_clear_creds},
    {"load-authority", control_load_authority},
    {"unload-authority", on_unload_authority},
    {"load-pool", control_load_pool},
    {"unload-pool", on_unload_pool},
    {"get-pools", on_get_pools},
    {"get-algorithms", on_get_algorithms},
    {"get-counters", on_get_counters},
    {"reset-counters", on_reset_counters},
};

static handler *handler_of(const char *command)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, command) == 0) return commands[i].handle;
    return NULL;
}

bool control_command_known(void *context, const char *command)
{
    (void)context;
    return handler_of(command) != NULL;
}

void control_command(void *context, uint32_t client, const char *command, const struct tree *message)
{
    handler *handle = handler_of(command);
    if (handle) handle(context, client, message);
}
