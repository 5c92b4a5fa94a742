// SPDX-License-Identifier: Apache-2.0
// The control role: operators talk to it. It reads the configuration, hands each part to the role that needs it, and answers VICI
// clients. A request that another role must answer waits under a number; the client may go away meanwhile.
#include "daemon/control.h"
#include "crypto/crypto.h"
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>

enum { QUIET_MS = 200 };

// --- what waits

struct pending *pending_new(struct control *control, uint32_t client, enum pending_kind kind)
{
    if (control->pending_count >= PENDING_MAX) {
        success_respond(control, client, FAULT_TOO_MANY_REQUESTS, NULL, NULL);
        return NULL;
    }
    struct pending *pending = NEW(struct pending);
    *pending = (struct pending){.number = ++control->next_number, .client = client, .kind = (uint8_t)kind,
                                .control = control, .next = control->pending, .level = 1};
    control->pending = pending;
    control->pending_count++;
    return pending;
}

static void peers_ready(struct control *control)
{
    if (control->peers_ready) return;
    control->peers_ready = true;
    struct wr out = message_begin(control->space, IPC_MESSAGE_MAX, MESSAGE_READY, 0);
    link_send(control->ike, &out);
}

static void quiet_fired(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    peers_ready(context);
}

void client_loaded(struct control *control)
{
    const struct timeval wait = {.tv_usec = QUIET_MS * 1000};
    if (!control->peers_ready) evtimer_add(control->quiet, &wait);
}

// At start clients wait until all of the configuration is where it belongs, and so do peers: whoever
// asks while it is being loaded would be refused for what comes a moment later.
static void ready_check(struct control *control)
{
    if (control->ready || control->starting || control->pending) return;
    control->ready = true;
    vici_open(control->vici);
    if (control_has_file(control)) peers_ready(control);
}

struct pending *pending_find(struct control *control, uint64_t number)
{
    for (struct pending *at = control->pending; at; at = at->next)
        if (at->number == number) return at;
    return NULL;
}

void pending_free(struct pending *pending)
{
    struct control *control = pending->control;
    for (struct pending **at = &control->pending; *at; at = &(*at)->next) {
        if (*at != pending) continue;
        *at = pending->next;
        break;
    }
    control->pending_count--;
    bool credential = pending->credential;
    if (pending->timeout) event_free(pending->timeout);
    free(pending->what);
    free(pending);
    if (credential && --control->credentials_waiting == 0) deferred_flush(control);
    ready_check(control);
}

// The usual response, or for ourselves a log line when it went wrong.
void success_respond(struct control *control, uint32_t client, enum fault fault, const char *text, const char *what)
{
    if (!client) {
        if (fault) role_log(ROLE_CONTROL, IKE_ERROR, fault, "%s%s%s", what ? what : "configuration", text ? ": " : "", text ? text : "");
        return;
    }
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    tree_add_text(&arena, root, "success", fault ? "no" : "yes");
    if (fault) tree_add_printf(&arena, root, "errmsg", "%s", text ? text : fault_sentence(fault));
    vici_respond(control->vici, client, root);
    arena_free(&arena);
}

// --- from the other roles

static void key_respond(struct control *control, const struct pending *pending, const struct result_message *result)
{
    if (!result->fault && result->text) key_id_note(control, result->text);
    if (result->fault || !pending->client) {
        success_respond(control, pending->client, result->fault, result->text, pending->what);
        return;
    }
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    tree_add_text(&arena, root, "success", "yes");
    tree_add_text(&arena, root, "id", result->text ? result->text : "");
    vici_respond(control->vici, pending->client, root);
    arena_free(&arena);
}

static void result_in(struct control *control, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct result_message result;
    struct pending *pending = pending_find(control, number);
    if (pending && result_get(fields, &arena, &result) == OK) {
        if (pending->kind == PENDING_KEY) key_respond(control, pending, &result);
        else if (pending->kind == PENDING_TREE) vici_respond_bytes(control->vici, pending->client, result.tree);
        else success_respond(control, pending->client, result.fault, result.text, pending->what);
        pending_free(pending);
    }
    arena_free(&arena);
}

static void item_in(struct control *control, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct item_message item;
    struct pending *pending = pending_find(control, number);
    if (pending && item_get(fields, &arena, &item) == OK) {
        if (pending->kind == PENDING_STATS) {
            vici_respond_bytes(control->vici, pending->client, item.tree);
        } else {
            int kind = item.name ? vici_event_number(item.name) : -1;
            if (kind >= 0 && item.tree.size)
                vici_event_to(control->vici, pending->client, (enum vici_event_kind)kind, item.tree);
            if (item.last) vici_respond(control->vici, pending->client, NULL);
        }
        if (item.last) pending_free(pending);
    }
    arena_free(&arena);
}

// "the peer does not answer: IKE_SA_INIT was sent 4 times … (PEER_SILENT, RFC 7296 2.4); see whether it runs …"
static void fault_add(struct arena *arena, struct tree *root, enum fault fault, const char *text)
{
    const char *sentence = fault_sentence(fault), *source = fault_source(fault), *remedy = fault_remedy(fault);
    bool more = text && strcmp(text, sentence) != 0;
    tree_add_printf(arena, root, "errmsg", "%s%s%s (%s%s%s)%s%s", sentence, more ? ": " : "", more ? text : "", fault_name(fault),
                    *source ? ", " : "", source, *remedy ? "; " : "", remedy);
}

static void done_in(struct control *control, struct rd *fields)
{
    struct arena arena = {0};
    struct done_message done;
    if (done_get(fields, &arena, &done) == OK) {
        struct pending *pending = pending_find(control, done.command);
        if (pending) {
            struct tree *root = tree_new(&arena);
            tree_add_text(&arena, root, "success", done.fault ? "no" : "yes");
            if (done.matches) tree_add_printf(&arena, root, "matches", "%u", done.matches);
            if (done.terminated) tree_add_printf(&arena, root, "terminated", "%u", done.terminated);
            if (done.fault) fault_add(&arena, root, done.fault, done.text);
            vici_respond(control->vici, pending->client, root);
            pending_free(pending);
        }
    }
    arena_free(&arena);
}

// --- log lines and events

// VICI counts from 0 (always) to 4; our audit and error lines are 0, what an operator follows is 1.
static int vici_level(uint8_t level)
{
    return level <= IKE_ERROR ? 0 : level - 1;
}

static struct bytes log_encode(struct control *control, const struct log_message *log, struct arena *arena)
{
    struct tree *root = tree_new(arena);
    tree_add_text(arena, root, "group", "IKE");
    tree_add_printf(arena, root, "level", "%d", vici_level(log->level));
    tree_add_text(arena, root, "thread", "0");
    if (log->conn) tree_add_text(arena, root, "ikesa-name", log->conn);
    if (log->ike_id) tree_add_printf(arena, root, "ikesa-uniqued", "%u", log->ike_id);
    tree_add_text(arena, root, "msg", log->text ? log->text : "");
    struct wr out = wr_over(control->space, IPC_MESSAGE_MAX);
    message_write(&out, root);
    return wr_done(&out);
}

static void log_in(struct control *control, struct rd *fields)
{
    struct arena arena = {0};
    struct log_message log;
    if (log_get(fields, &arena, &log) == OK) {
        struct bytes encoded = log_encode(control, &log, &arena);
        struct pending *pending = log.command ? pending_find(control, log.command) : NULL;
        if (pending && vici_level(log.level) <= pending->level)
            vici_event_to(control->vici, pending->client, VICI_CONTROL_LOG, encoded);
        if (vici_level(log.level) <= 1) vici_event_all(control->vici, VICI_LOG, encoded);
    }
    arena_free(&arena);
}

static void event_in(struct control *control, struct rd *fields)
{
    struct arena arena = {0};
    struct item_message item;
    if (item_get(fields, &arena, &item) == OK && item.name) {
        int kind = vici_event_number(item.name);
        if (kind >= 0) vici_event_all(control->vici, (enum vici_event_kind)kind, item.tree);
    }
    arena_free(&arena);
}

static void lease_in(struct control *control, struct rd *fields)
{
    struct arena arena = {0};
    struct lease_message lease;
    if (lease_get(fields, &arena, &lease) == OK) control_lease(control, &lease);
    arena_free(&arena);
}

static void from_role(void *context, const struct message_head *head, struct rd *fields)
{
    struct control *control = context;
    switch (head->type) {
    case MESSAGE_RESULT: result_in(control, head->number, fields); break;
    case MESSAGE_ITEM: item_in(control, head->number, fields); break;
    case MESSAGE_DONE: done_in(control, fields); break;
    case MESSAGE_LOG: log_in(control, fields); break;
    case MESSAGE_EVENT: event_in(control, fields); break;
    case MESSAGE_LEASE: lease_in(control, fields); break;
    }
}

// --- start

// What nobody listens to is not made.
static void listeners_changed(void *context, uint32_t events)
{
    struct control *control = context;
    struct listeners_message message = {events};
    struct wr out = message_begin(control->space, IPC_MESSAGE_MAX, MESSAGE_LISTENERS, 0);
    listeners_put(&out, &message);
    link_send(control->ike, &out);
}

static void hangup(evutil_socket_t signal, short what, void *context)
{
    (void)signal, (void)what;
    AUTOFREE_BUF struct buf errors = BUF(65536);
    if (!control_reload(context, &errors))
        role_log(ROLE_CONTROL, IKE_ERROR, FAULT_CONFIGURATION, "nothing was reloaded:\n%s", buf_text(&errors));
}

int role_control(const struct role_options *options)
{
    crypto_start();
    struct control control = {.options = options, .base = event_base_new(), .space = mem_new(IPC_MESSAGE_MAX)};
    control.deferred_last = &control.deferred;
    control.quiet = evtimer_new(control.base, quiet_fired, &control);
    const int *channel = options->channel;
    control.ike = link_new(control.base, channel[ROLE_IKE], ROLE_CONTROL, ROLE_IKE, from_role, &control);
    control.keys = link_new(control.base, channel[ROLE_KEYS], ROLE_CONTROL, ROLE_KEYS, from_role, &control);
    control.trust = link_new(control.base, channel[ROLE_TRUST], ROLE_CONTROL, ROLE_TRUST, from_role, &control);
    struct vici_handler handler = {&control, control_command_known, control_command, listeners_changed};
    control.vici = vici_new(control.base, options->vici, &handler);
    struct event *reload = evsignal_new(control.base, SIGHUP, hangup, &control);
    evsignal_add(reload, NULL);
    control.starting = true;
    control_start(&control);
    control.starting = false;
    ready_check(&control);
    int code = role_loop(control.base, options->alive);
    event_free(reload);
    leases_close(control.leases);
    event_free(control.quiet);
    vici_free(control.vici);
    return code;
}
