// SPDX-License-Identifier: Apache-2.0
// cygnet hooks: follows the daemon and runs the commands of updown when children come and go.
//
// The daemon starts no programs, and what reads from peers must not say what is run with root's
// rights: events tell names only, and the command comes from the configuration that the control
// role has loaded (list-conns). See docs/decisions/0022.
#include "cli/client.h"
#include "cli/hooks.h"
#include <getopt.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

enum { TIMEOUT_SECONDS = 60, RETRY_SECONDS = 1, STOP_SECONDS = 45, EVENTS_MAX = 20000, KEY_MAX = 1024 };

struct event { // as it came
    struct bytes tree;
    bool listed; // by list-sas: it was up before
    struct event *next;
};

struct up { // a child whose command has been run
    uint32_t id;
    struct bytes tree;
    char *command;
    bool hostaccess;
    struct up *next;
};

struct hooks {
    const char *vici;
    struct client *client; // NULL: not connected
    struct hook_jobs *jobs;
    struct event *events, **last_event;
    size_t event_count;
    struct up *ups;
    bool told; // that the daemon is not there
};

// --- events as they come

static void event_keep(struct hooks *hooks, const struct tree *message, bool listed)
{
    if (hooks->event_count == EVENTS_MAX) {
        puts("more events than can be kept: some children get no updown");
        return;
    }
    AUTOFREE_MEM uint8_t *space = mem_new(VICI_MESSAGE_MAX);
    struct wr out = wr_over(space, VICI_MESSAGE_MAX);
    message_write(&out, message);
    struct event *event = NEW(struct event);
    *event = (struct event){.tree = mem_copy(wr_done(&out)), .listed = listed};
    *hooks->last_event = event;
    hooks->last_event = &event->next;
    hooks->event_count++;
}

struct asked { // for the configuration of a connection
    struct hooks *hooks;
    const char *child;
    char *command;
    bool hostaccess;
};

static void conn_take(struct asked *asked, const struct tree *message)
{
    TREE_EACH(conn, message)
    {
        const struct tree *child = tree_section(tree_section(conn, "children"), asked->child);
        const char *command = tree_text(child, "updown", NULL);
        if (!command || asked->command) continue;
        asked->command = mem_text(command);
        asked->hostaccess = tree_text(child, "hostaccess", NULL) != NULL;
    }
}

static void event_take(void *context, const char *name, const struct tree *message)
{
    struct asked *asked = context;
    if (strcmp(name, "child-hook") == 0) event_keep(asked->hooks, message, false);
    if (strcmp(name, "list-sa") == 0) event_keep(asked->hooks, message, true);
    if (strcmp(name, "list-conn") == 0 && asked->child) conn_take(asked, message);
}

// --- running

// The network interface that has an address; programs of updown know "unknown" for none.
static void interface_of(const char *text, char out[64])
{
    struct ifaddrs *all = NULL;
    struct addr wanted, addr;
    snprintf(out, 64, "unknown");
    if (addr_parse(text, &wanted) || getifaddrs(&all) < 0) return;
    for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
        if (!at->ifa_addr) continue;
        const struct sockaddr_in *v4 = (const void *)at->ifa_addr;
        const struct sockaddr_in6 *v6 = (const void *)at->ifa_addr;
        struct bytes bytes = at->ifa_addr->sa_family == AF_INET    ? bytes_of(&v4->sin_addr, 4)
                             : at->ifa_addr->sa_family == AF_INET6 ? bytes_of(&v6->sin6_addr, 16)
                                                                   : BYTES_NONE;
        if (bytes.size && addr_from_bytes(bytes, &addr) == OK && addr_equal(&addr, &wanted))
            snprintf(out, 64, "%s", at->ifa_name);
    }
    freeifaddrs(all);
}

// Once for each pair of a local and a remote network.
static void command_run(struct hooks *hooks, const struct tree *sa, const struct tree *child,
                        const struct up *up, bool comes)
{
    struct arena arena = {0};
    struct selectors local, remote;
    struct hook_words *words = NEW(struct hook_words);
    char interface[64];
    const char *name = tree_text(child, "name", "?");
    interface_of(tree_text(sa, "local-host", ""), interface);
    struct hook hook = {sa, child, comes, up->hostaccess, interface};
    hook_selectors(child, "local-ts", &local);
    hook_selectors(child, "remote-ts", &remote);
    AUTOFREE_MEM char *key = mem_printf("%s/%s", sa->name, name);
    AUTOFREE_MEM char *what = mem_printf("%s[%s] %s", key, tree_text(sa, "uniqueid", "?"), comes ? "up" : "down");
    for (unsigned i = 0; i < local.count; i++)
        for (unsigned j = 0; j < remote.count; j++) {
            if (local.at[i].range.low.family != remote.at[j].range.low.family) continue;
            hook_environment(&hook, &local.at[i], &remote.at[j], &arena, words);
            hook_jobs_add(hooks->jobs, key, what, up->command, words);
        }
    free(words);
    arena_free(&arena);
}

// --- children that are up

static struct up **up_find(struct hooks *hooks, uint32_t id)
{
    struct up **at = &hooks->ups;
    while (*at && (*at)->id != id) at = &(*at)->next;
    return at;
}

static void up_remove(struct up **at)
{
    struct up *up = *at;
    *at = up->next;
    mem_drop(&up->tree);
    free(up->command);
    free(up);
}

static enum fault command_ask(struct hooks *hooks, const char *conn, struct asked *asked)
{
    struct arena arena = {0};
    struct tree *response, *request = tree_new(&arena);
    struct client_events events = {asked, event_take};
    tree_add_text(&arena, request, "ike", conn);
    enum fault fault = client_ask(hooks->client, "list-conns", request, &arena, &events, &response);
    arena_free(&arena);
    return fault;
}

static void flat_copy(struct arena *arena, struct tree *to, const struct tree *from)
{
    TREE_EACH(item, from)
    {
        struct tree *list = item->kind == TREE_LIST ? tree_add_list(arena, to, item->name) : NULL;
        if (item->kind == TREE_VALUE) tree_add_value(arena, to, item->name, item->value);
        if (list) TREE_EACH(value, item) tree_add_item(arena, list, value->value);
    }
}

// The SA with that child alone, for when it goes without a word.
static struct bytes one_encode(const struct tree *sa, const struct tree *child)
{
    struct arena arena = {0};
    struct tree *root = tree_new(&arena), *of = tree_add_section(&arena, root, sa->name);
    flat_copy(&arena, of, sa);
    flat_copy(&arena, tree_add_section(&arena, tree_add_section(&arena, of, "child-sas"), child->name), child);
    AUTOFREE_MEM uint8_t *space = mem_new(VICI_MESSAGE_MAX);
    struct wr out = wr_over(space, VICI_MESSAGE_MAX);
    message_write(&out, root);
    struct bytes encoded = mem_copy(wr_done(&out));
    arena_free(&arena);
    return encoded;
}

static enum fault child_up(struct hooks *hooks, const struct tree *sa, const struct tree *child)
{
    uint32_t id = (uint32_t)strtoul(tree_text(child, "uniqueid", "0"), NULL, 10);
    if (*up_find(hooks, id)) return OK;
    struct asked asked = {.hooks = hooks, .child = tree_text(child, "name", "")};
    TRY(command_ask(hooks, sa->name, &asked));
    if (!asked.command) return OK; // unloaded meanwhile
    struct up *up = NEW(struct up);
    *up = (struct up){.id = id, .tree = one_encode(sa, child), .command = asked.command,
                      .hostaccess = asked.hostaccess, .next = hooks->ups};
    hooks->ups = up;
    command_run(hooks, sa, child, up, true);
    return OK;
}

// The command is told the same as when the child came, so that it finds what it has done then.
static void down_run(struct hooks *hooks, struct up **at)
{
    struct up *up = *at;
    struct arena arena = {0};
    struct tree *message;
    if (message_read(up->tree, &arena, &message) == OK && message->first) {
        const struct tree *children = tree_section(message->first, "child-sas");
        if (children && children->first)
            command_run(hooks, message->first, children->first, up, false);
    }
    arena_free(&arena);
    up_remove(at);
}

static void child_down(struct hooks *hooks, const struct tree *message)
{
    struct up **at = up_find(hooks, (uint32_t)strtoul(tree_text(message, "uniqueid", "0"), NULL, 10));
    if (*at) down_run(hooks, at);
}

static void child_rekeyed(struct hooks *hooks, const struct tree *message, const struct tree *child)
{
    struct up *up = *up_find(hooks, (uint32_t)strtoul(tree_text(message, "old-uniqueid", "0"), NULL, 10));
    if (up) up->id = (uint32_t)strtoul(tree_text(child, "uniqueid", "0"), NULL, 10);
}

static enum fault child_happens(struct hooks *hooks, const struct event *event,
                                const struct tree *message, const struct tree *sa,
                                const struct tree *child)
{
    const char *verb = tree_text(message, "verb", ""), *state = tree_text(child, "state", "");
    // RFC 9611: one for a single processor is beside another, whose command has been run.
    if (tree_text(child, "cpu", NULL)) return OK;
    bool stands = strcmp(state, "INSTALLED") == 0 || strcmp(state, "REKEYING") == 0;
    if (event->listed ? stands && tree_text(child, "updown", NULL) : strcmp(verb, "up") == 0)
        return child_up(hooks, sa, child);
    if (strcmp(verb, "rekeyed") == 0) child_rekeyed(hooks, message, child);
    return OK;
}

static enum fault children_visit(struct hooks *hooks, const struct event *event)
{
    struct arena arena = {0};
    struct tree *message;
    enum fault fault = message_read(event->tree, &arena, &message);
    const struct tree *top = fault ? NULL : message;
    if (!event->listed && strcmp(tree_text(top, "verb", ""), "down") == 0) child_down(hooks, message);
    TREE_EACH(sa, top)
    {
        if (sa->kind != TREE_SECTION) continue;
        TREE_EACH(child, tree_section(sa, "child-sas"))
            if (child->kind == TREE_SECTION && !fault) fault = child_happens(hooks, event, message, sa, child);
    }
    arena_free(&arena);
    return fault;
}

static enum fault events_handle(struct hooks *hooks)
{
    enum fault fault = OK;
    while (hooks->events && !fault) {
        struct event *event = hooks->events;
        hooks->events = event->next;
        if (!hooks->events) hooks->last_event = &hooks->events;
        hooks->event_count--;
        fault = children_visit(hooks, event);
        mem_drop(&event->tree);
        free(event);
    }
    return fault;
}

// --- the daemon

static enum fault follow(struct hooks *hooks)
{
    struct arena arena = {0};
    struct asked asked = {.hooks = hooks};
    struct client_events events = {&asked, event_take};
    struct tree *response;
    enum fault fault = client_subscribe(hooks->client, "child-hook");
    if (!fault) fault = client_subscribe(hooks->client, "list-conn");
    if (!fault) fault = client_subscribe(hooks->client, "list-sa");
    if (!fault) fault = client_ask(hooks->client, "list-sas", NULL, &arena, &events, &response);
    arena_free(&arena);
    return fault ? fault : events_handle(hooks);
}

// All children go with the daemon, or are to be left in peace when we end.
static void all_down(struct hooks *hooks)
{
    while (hooks->ups) down_run(hooks, &hooks->ups);
}

static void events_forget(struct hooks *hooks)
{
    while (hooks->events) {
        struct event *event = hooks->events;
        hooks->events = event->next;
        mem_drop(&event->tree);
        free(event);
    }
    hooks->last_event = &hooks->events;
    hooks->event_count = 0;
}

static void daemon_lost(struct hooks *hooks)
{
    printf("the daemon is gone; %s\n", hooks->ups ? "updown is run for all children that were up" : "it is waited for");
    client_close(hooks->client);
    hooks->client = NULL;
    events_forget(hooks);
    all_down(hooks);
}

static void daemon_try(struct hooks *hooks)
{
    hooks->client = client_try(hooks->vici, !hooks->told);
    if (!hooks->client) {
        hooks->told = true;
        return;
    }
    enum fault fault = follow(hooks);
    if (fault == FAULT_NOT_SUPPORTED) { // by who has not got it, or has given it to somebody
        if (!hooks->told) puts("somebody else runs the commands for this daemon, or it is of another version: waits");
        hooks->told = true;
        client_close(hooks->client);
        hooks->client = NULL;
        return;
    }
    hooks->told = false;
    if (fault) daemon_lost(hooks);
    else puts("follows the daemon");
}

static void run(struct hooks *hooks)
{
    struct asked asked = {.hooks = hooks};
    struct client_events events = {&asked, event_take};
    while (!hook_jobs_stop_ordered(hooks->jobs)) {
        if (!hooks->client) daemon_try(hooks);
        fflush(stdout);
        nsec at = hooks->client ? NSEC_NEVER : hook_now() + nsec_seconds(RETRY_SECONDS);
        int fd = hooks->client ? client_fd(hooks->client) : -1;
        if (!hook_jobs_wait(hooks->jobs, fd, at)) continue;
        enum fault fault = client_event(hooks->client, &events);
        if (!fault) fault = events_handle(hooks);
        if (fault) daemon_lost(hooks);
    }
    all_down(hooks);
    nsec end = hook_now() + nsec_seconds(STOP_SECONDS);
    while (hook_jobs_count(hooks->jobs) && hook_now() < end) (void)hook_jobs_wait(hooks->jobs, -1, end);
}

static const char usage[] =
    "usage: cygnet hooks [--timeout SECONDS] [--uri URI]\n"
    "  Runs the commands of updown when children come and go, as long as it is not ended: the daemon starts no\n"
    "  programs. The service is cygnet-hooks: systemctl enable --now cygnet-hooks\n"
    "  -t, --timeout SECONDS  a command that runs longer is ended (60)\n"
    "  -u, --uri URI          the daemon's socket\n";

static bool words_parse(int argc, char **argv, const char **vici, unsigned *timeout)
{
    static const struct option options[] = {
        {"timeout", required_argument, NULL, 't'}, {"uri", required_argument, NULL, 'u'}, {0}};
    for (int letter; (letter = getopt_long(argc, argv, "t:u:", options, NULL)) != -1;) {
        char *end = NULL;
        if (letter == 'u') *vici = optarg;
        else if (letter == 't') *timeout = (unsigned)strtoul(optarg, &end, 10);
        else return false;
        if (letter == 't' && (*end || *timeout == 0 || *timeout > 3600)) return false;
    }
    return optind == argc;
}

int cli_hooks(int argc, char **argv)
{
    unsigned timeout = TIMEOUT_SECONDS;
    struct hooks hooks = {0};
    if (!words_parse(argc, argv, &hooks.vici, &timeout)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    hooks.last_event = &hooks.events;
    hooks.jobs = hook_jobs_new(timeout);
    run(&hooks);
    if (hooks.client) client_close(hooks.client);
    events_forget(&hooks);
    hook_jobs_free(hooks.jobs);
    return EXIT_DONE;
}
