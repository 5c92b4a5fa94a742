// SPDX-License-Identifier: Apache-2.0
// cygnet up, down, rekey, reload, log: an operator's verbs. What happens is printed as it happens.
#include "cli/client.h"
#include <getopt.h>
#include <stdio.h>

struct words {                 // what the verbs share
    const char *vici;
    const char *ike, *child;
    const char *ike_id, *child_id;
    long timeout_ms;
    bool force, json, quiet, reauth;
};

static const char verb_usage[] =
    "usage: cygnet up|down|rekey [options] [CHILD]\n"
    "  CHILD             name of the child (see `cygnet list --conns`); without one use --ike\n"
    "  -i, --ike NAME    the connection, or the one CHILD belongs to\n"
    "  -I, --ike-id N    the IKE SA with this number (down, rekey)\n"
    "  -C, --child-id N  the child SA with this number (down, rekey)\n"
    "  -t, --timeout S   give up waiting after S seconds; the daemon goes on (up, down)\n"
    "  -f, --force       do not wait for the peer's answer (down)\n"
    "  -r, --reauth      authenticate anew instead of only rekeying (rekey)\n"
    "  -q, --quiet       do not print what happens meanwhile\n"
    "  -u, --uri URI     the daemon's socket; else $CYGNET_VICI or unix:///run/cygnet/cygnet.vici\n";

static bool words_parse(int argc, char **argv, struct words *words)
{
    static const struct option options[] = {
        {"ike", required_argument, NULL, 'i'},     {"ike-id", required_argument, NULL, 'I'},
        {"child", required_argument, NULL, 'c'},   {"child-id", required_argument, NULL, 'C'},
        {"timeout", required_argument, NULL, 't'}, {"force", no_argument, NULL, 'f'},
        {"reauth", no_argument, NULL, 'r'},        {"quiet", no_argument, NULL, 'q'},
        {"uri", required_argument, NULL, 'u'},     {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},          {0},
    };
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "i:I:c:C:t:frqu:jh", options, NULL)) != -1) {
        switch (option) {
        case 'i': words->ike = optarg; break;
        case 'I': words->ike_id = optarg; break;
        case 'c': words->child = optarg; break;
        case 'C': words->child_id = optarg; break;
        case 't': words->timeout_ms = strtol(optarg, NULL, 10) * 1000; break;
        case 'f': words->force = true; break;
        case 'r': words->reauth = true; break;
        case 'q': words->quiet = true; break;
        case 'u': words->vici = optarg; break;
        case 'j': words->json = true; break;
        default: return false;
        }
    }
    if (optind < argc) words->child = argv[optind++];
    if (optind < argc) fprintf(stderr, "one child at a time: \"%s\" is too much\n", argv[optind]);
    return optind == argc;
}

static struct tree *request_of(const struct words *words, struct arena *arena)
{
    struct tree *request = tree_new(arena);
    if (words->ike) tree_add_text(arena, request, "ike", words->ike);
    if (words->child) tree_add_text(arena, request, "child", words->child);
    if (words->ike_id) tree_add_text(arena, request, "ike-id", words->ike_id);
    if (words->child_id) tree_add_text(arena, request, "child-id", words->child_id);
    if (words->timeout_ms) tree_add_printf(arena, request, "timeout", "%ld", words->timeout_ms);
    if (words->force) tree_add_text(arena, request, "force", "yes");
    if (words->reauth) tree_add_text(arena, request, "reauth", "yes");
    tree_add_text(arena, request, "loglevel", "1");
    return request;
}

static void line_print(void *context, const char *name, const struct tree *message)
{
    (void)context;
    if (strcmp(name, "control-log") == 0 || strcmp(name, "log") == 0) printf("%s\n", tree_text(message, "msg", ""));
    fflush(stdout);
}

static int fault_say(enum fault fault)
{
    fprintf(stderr, "failed: %s; %s\n", fault_sentence(fault), fault_remedy(fault));
    return EXIT_FAILED;
}

static int verb(int argc, char **argv, const char *command)
{
    struct words words = {0};
    if (!words_parse(argc, argv, &words) || (!words.ike && !words.child && !words.ike_id && !words.child_id)) {
        fputs(verb_usage, stderr);
        return EXIT_USAGE;
    }
    struct client *client = client_connect(words.vici);
    if (!client) return EXIT_FAILED;
    struct arena arena = {0};
    struct client_events events = {NULL, line_print};
    struct tree *response = NULL;
    enum fault fault = words.quiet ? OK : client_subscribe(client, "control-log");
    if (!fault) fault = client_ask(client, command, request_of(&words, &arena), &arena, &events, &response);
    int status = fault ? fault_say(fault) : client_verdict(response);
    if (status == EXIT_DONE && !words.quiet) {
        const char *matches = tree_text(response, "matches", NULL);
        if (matches) printf("done: %s\n", matches);
    }
    arena_free(&arena);
    client_close(client);
    return status;
}

int cli_up(int argc, char **argv) { return verb(argc, argv, "initiate"); }
int cli_down(int argc, char **argv) { return verb(argc, argv, "terminate"); }
int cli_rekey(int argc, char **argv) { return verb(argc, argv, "rekey"); }

// --- redirect

static const char redirect_usage[] =
    "usage: cygnet redirect [options] GATEWAY\n"
    "  Sends peers that are connected on to another gateway, an address or a name (RFC 5685); they must have said that they follow.\n"
    "  -i, --ike NAME       those of this connection\n"
    "  -I, --ike-id N       the one of the IKE SA with this number\n"
    "  -a, --peer-ip ADDR   those at this address, network or range\n"
    "  -p, --peer-id ID     those with this identity, which may be a pattern\n"
    "  -u, --uri URI        the daemon's socket\n";

static bool redirect_parse(int argc, char **argv, struct tree *request, struct arena *arena, const char **vici)
{
    static const struct option options[] = {
        {"ike", required_argument, NULL, 'i'},     {"ike-id", required_argument, NULL, 'I'}, {"peer-ip", required_argument, NULL, 'a'},
        {"peer-id", required_argument, NULL, 'p'}, {"uri", required_argument, NULL, 'u'},    {"help", no_argument, NULL, 'h'},
        {0},
    };
    unsigned chosen = 0;
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "i:I:a:p:u:h", options, NULL)) != -1) {
        const char *key = option == 'i' ? "ike" : option == 'I' ? "ike-id" : option == 'a' ? "peer-ip" : "peer-id";
        if (option == 'h' || option == '?') return false;
        if (option == 'u') *vici = optarg;
        else tree_add_text(arena, request, key, optarg);
        chosen += option != 'u';
    }
    if (optind + 1 != argc) return false;
    if (!chosen) fputs("which peers? name them by --ike, --ike-id, --peer-ip or --peer-id\n", stderr);
    tree_add_text(arena, request, "gateway", argv[optind]);
    return chosen != 0;
}

int cli_redirect(int argc, char **argv)
{
    struct arena arena = {0};
    struct tree *response = NULL, *request = tree_new(&arena);
    const char *vici = NULL;
    if (!redirect_parse(argc, argv, request, &arena, &vici)) {
        fputs(redirect_usage, stderr);
        arena_free(&arena);
        return EXIT_USAGE;
    }
    struct client *client = client_connect(vici);
    enum fault fault = client ? client_ask(client, "redirect", request, &arena, NULL, &response) : OK;
    int status = !client ? EXIT_FAILED : fault ? fault_say(fault) : client_verdict(response);
    if (status == EXIT_DONE) printf("done: %s\n", tree_text(response, "matches", "0"));
    arena_free(&arena);
    if (client) client_close(client);
    return status;
}

int cli_reload(int argc, char **argv)
{
    struct words words = {0};
    if (!words_parse(argc, argv, &words) || words.child) {
        fputs("usage: cygnet reload [--uri URI]\n  The daemon reads its configuration again: all of it or, when there is an error, nothing.\n", stderr);
        return EXIT_USAGE;
    }
    struct client *client = client_connect(words.vici);
    if (!client) return EXIT_FAILED;
    struct arena arena = {0};
    struct tree *response = NULL;
    enum fault fault = client_ask(client, "reload-settings", NULL, &arena, NULL, &response);
    int status = fault ? fault_say(fault) : client_verdict(response);
    if (status == EXIT_DONE) puts("reloaded");
    arena_free(&arena);
    client_close(client);
    return status;
}

int cli_log(int argc, char **argv)
{
    struct words words = {0};
    if (!words_parse(argc, argv, &words) || words.child) {
        fputs("usage: cygnet log [--uri URI]\n  Prints what happens in the daemon from now on, until interrupted.\n", stderr);
        return EXIT_USAGE;
    }
    struct client *client = client_connect(words.vici);
    if (!client) return EXIT_FAILED;
    struct client_events events = {NULL, line_print};
    enum fault fault = client_subscribe(client, "log");
    if (!fault) fault = client_listen(client, &events);
    client_close(client);
    return fault == FAULT_DAEMON_GONE ? (fputs("the daemon has ended\n", stderr), EXIT_DONE) : fault_say(fault);
}
