// SPDX-License-Identifier: Apache-2.0
// cygnet list and cygnet status: what is up, what is loaded, for people and, with --json, for programs.
#include "cli/client.h"
#include <getopt.h>
#include <stdio.h>

enum list_kind { LIST_SAS, LIST_CONNS, LIST_CERTS, LIST_ALGS, LIST_POOLS, LIST_AUTHORITIES, LIST_POLICIES, LIST_COUNTERS };

struct list_words {
    const char *vici;
    enum list_kind kind;
    bool json, leases;
};

struct collected {             // the events of a list, kept in one tree
    struct arena arena;
    struct tree *root;
    const struct list_words *words;
    unsigned count;
};

static const struct {
    const char *command, *event;   // event NULL: the response is the list
} questions[] = {
    [LIST_SAS] = {"list-sas", "list-sa"},
    [LIST_CONNS] = {"list-conns", "list-conn"},
    [LIST_CERTS] = {"list-certs", "list-cert"},
    [LIST_ALGS] = {"get-algorithms", NULL},
    [LIST_POOLS] = {"get-pools", NULL},
    [LIST_AUTHORITIES] = {"list-authorities", "list-authority"},
    [LIST_POLICIES] = {"list-policies", "list-policy"},
    [LIST_COUNTERS] = {"get-counters", NULL},
};

// --- spans and sizes for people

static void span_print(const char *seconds_text, char out[32])
{
    long s = strtol(seconds_text, NULL, 10);
    if (s >= 86400) snprintf(out, 32, "%ldd %ldh", s / 86400, s % 86400 / 3600);
    else if (s >= 3600) snprintf(out, 32, "%ldh %ldm", s / 3600, s % 3600 / 60);
    else if (s >= 60) snprintf(out, 32, "%ldm %lds", s / 60, s % 60);
    else snprintf(out, 32, "%lds", s);
}

static void size_print(const char *bytes_text, char out[32])
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double size = strtod(bytes_text, NULL);
    unsigned unit = 0;
    while (size >= 1000 && unit < 4) {
        size /= 1000;
        unit++;
    }
    snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
}

static void list_print(const char *label, const struct tree *section, const char *name)
{
    const struct tree *list = tree_find(section, name);
    printf("%s", label);
    TREE_EACH(item, list) printf(" %.*s", (int)item->value.size, (const char *)item->value.at);
}

// A security label is text with a NUL behind it, in hexadecimal.
static void label_print(const struct tree *child)
{
    const char *hex = tree_text(child, "label", NULL);
    unsigned value;
    if (!hex) return;
    printf(", label ");
    for (; sscanf(hex, "%2x", &value) == 1 && strlen(hex) >= 2; hex += 2)
        if (value) printf(value >= ' ' && value <= '~' ? "%c" : "\\x%02x", value);
}

// --- SAs

static void suite_print(const struct tree *sa)
{
    const char *size = tree_text(sa, "encr-keysize", NULL), *integ = tree_text(sa, "integ-alg", NULL);
    const char *prf = tree_text(sa, "prf-alg", NULL), *ke = tree_text(sa, "dh-group", NULL);
    printf("%s%s%s", tree_text(sa, "encr-alg", "NULL"), size ? "-" : "", size ? size : "");
    if (integ) printf("/%s", integ);
    if (prf) printf("/%s", prf);
    if (ke) printf("/%s", ke);
}

static void usage_print(const struct tree *child, const char *way)
{
    char bytes[16], packets[16], use[16], text[32], span[32];
    snprintf(bytes, sizeof bytes, "bytes-%s", way);
    snprintf(packets, sizeof packets, "packets-%s", way);
    snprintf(use, sizeof use, "use-%s", way);
    size_print(tree_text(child, bytes, "0"), text);
    printf("%s %s, %s packets", way, text, tree_text(child, packets, "0"));
    if (!tree_text(child, use, NULL)) return;
    span_print(tree_text(child, use, "0"), span);
    printf(", %s ago", span);
}

// IP-TFS with congestion control: how fast it sends, and why.
static void rate_print(const struct tree *child)
{
    const char *rate = tree_text(child, "iptfs-rate", NULL), *rtt = tree_text(child, "iptfs-rtt", NULL);
    const char *distance = tree_text(child, "iptfs-loss-distance", NULL);
    if (!rate) return;
    printf("\n    sends %s of at most %s packets/s", rate, tree_text(child, "iptfs-rate-most", "?"));
    if (!rtt) printf(", the peer has not reported yet");
    else printf(", RTT %.1f ms", strtod(rtt, NULL) / 1000);
    if (distance) printf(", a loss about every %s packets", distance);
}

static void child_print(const struct tree *child)
{
    char rekey[32];
    bool encap = strcmp(tree_text(child, "encap", "no"), "yes") == 0;
    printf("  %s #%s, %s, %s%s, ", tree_text(child, "name", "?"), tree_text(child, "uniqueid", "?"), tree_text(child, "state", "?"),
           tree_text(child, "mode", "?"), encap ? " in UDP" : "");
    suite_print(child);
    if (tree_text(child, "cpi-out", NULL)) printf(", compressed");
    label_print(child);
    if (tree_text(child, "cpu", NULL)) printf(", processor %s", tree_text(child, "cpu", ""));
    if (tree_text(child, "mode-asked", NULL)) 
        printf("  (asked for: %s; %s)", tree_text(child, "mode-asked", ""), tree_text(child, "mode-reason", ""));
    if (tree_text(child, "rekey-time", NULL)) {
        span_print(tree_text(child, "rekey-time", "0"), rekey);
        printf(", rekeyed in %s", rekey);
    }
    printf("\n    ");
    list_print("local ", child, "local-ts");
    list_print("  remote ", child, "remote-ts");
    printf("\n    SPI in %s out %s; ", tree_text(child, "spi-in", "?"), tree_text(child, "spi-out", "?"));
    usage_print(child, "in");
    printf("; ");
    usage_print(child, "out");
    rate_print(child);
    if (tree_text(child, "set-mark-out", NULL)) printf("; sealed with mark 0x%s", tree_text(child, "set-mark-out", ""));
    if (tree_text(child, "mtu", NULL)) printf("; MTU %s", tree_text(child, "mtu", ""));
    printf("\n");
    if (tree_text(child, "updown", NULL))
        printf("    updown: %s%s\n", tree_text(child, "updown", ""),
               tree_text(child, "updown-missing", NULL) ? "  (NOBODY RUNS IT: systemctl enable --now cygnet-hooks)" : "");
}

// One that is still to come.
static void attempts_print(const struct tree *sa)
{
    char span[32];
    if (tree_find(sa, "waiting-children")) list_print("\n  waits for it:", sa, "waiting-children");
    if (tree_text(sa, "attempts-failed", NULL))
        printf("\n  %s attempts failed; the last one: %s", tree_text(sa, "attempts-failed", ""), tree_text(sa, "last-failure", "?"));
    if (!tree_text(sa, "next-attempt", NULL)) return;
    span_print(tree_text(sa, "next-attempt", "0"), span);
    printf("; next one in %s", span);
}

static void sa_print(const struct tree *sa)
{
    char span[32];
    printf("%s #%s, %s, IKEv%s", sa->name, tree_text(sa, "uniqueid", "?"), tree_text(sa, "state", "?"), tree_text(sa, "version", "2"));
    if (tree_text(sa, "established", NULL)) {
        span_print(tree_text(sa, "established", "0"), span);
        printf(", up for %s", span);
    }
    if (tree_text(sa, "rekey-time", NULL)) {
        span_print(tree_text(sa, "rekey-time", "0"), span);
        printf(", rekeyed in %s", span);
    }
    attempts_print(sa);
    if (strcmp(tree_text(sa, "state", ""), "CONNECTING") == 0 && strcmp(tree_text(sa, "remote-host", "%any"), "%any") == 0) {
        printf("\n");
        return;
    }
    printf("\n  local  %s  %s:%s\n", tree_text(sa, "local-id", "?"), tree_text(sa, "local-host", "?"), tree_text(sa, "local-port", "?"));
    printf("  remote %s  %s:%s", tree_text(sa, "remote-id", "?"), tree_text(sa, "remote-host", "?"), tree_text(sa, "remote-port", "?"));
    if (tree_text(sa, "remote-auth", NULL)) printf("  by %s", tree_text(sa, "remote-auth", ""));
    printf("%s\n  ", tree_text(sa, "tcp", NULL) ? " over TCP" : "");
    suite_print(sa);
    if (tree_text(sa, "ppk", NULL))
        printf(", post-quantum key %s%s", tree_text(sa, "ppk-id", "of the session before"),
               tree_text(sa, "ppk-early", NULL) ? " in all keys" : " in those of children");
    if (tree_text(sa, "nat-local", NULL)) printf(", NAT on this side");
    if (tree_text(sa, "nat-remote", NULL)) printf(", NAT on the peer's side");
    static const char *const lists[][2] = {{"local-vips", "\n  virtual addresses"}, {"dns", ", name servers"}, {"remote-vips", "\n  virtual addresses of the peer"}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (tree_find(sa, lists[i][0])) list_print(lists[i][1], sa, lists[i][0]);
    if (tree_text(sa, "dns-domains", NULL)) printf(" for %s", tree_text(sa, "dns-domains", ""));
    printf("\n");
    TREE_EACH(child, tree_section(sa, "child-sas")) child_print(child);
}

// --- what is loaded

static void conn_print(const struct tree *conn)
{
    printf("%s: %s", conn->name, tree_text(conn, "version", "?"));
    list_print("\n  local ", conn, "local_addrs");
    list_print("\n  remote", conn, "remote_addrs");
    printf("\n");
    TREE_EACH(round, conn) {
        if (round->kind != TREE_SECTION || strcmp(round->name, "children") == 0) continue;
        printf("  %s: %s, id %s\n", round->name, tree_text(round, "class", "?"), tree_text(round, "id", "%any"));
    }
    TREE_EACH(child, tree_section(conn, "children")) {
        printf("  %s: %s", child->name, tree_text(child, "mode", "?"));
        label_print(child);
        list_print(", local", child, "local-ts");
        list_print(", remote", child, "remote-ts");
        if (tree_text(child, "updown", NULL)) printf(", updown: %s", tree_text(child, "updown", ""));
        printf("\n");
    }
}

static void section_print(const struct tree *section, unsigned depth)
{
    TREE_EACH(item, section) {
        printf("%*s%s", (int)depth * 2, "", item->name);
        if (item->kind == TREE_SECTION) {
            printf("\n");
            section_print(item, depth + 1);
        } else if (item->kind == TREE_LIST) {
            list_print(" =", section, item->name);
            printf("\n");
        } else {
            printf(" = %.*s\n", (int)item->value.size, (const char *)item->value.at);
        }
    }
}

static void policies_print(const struct tree *message)
{
    TREE_EACH(policy, message) {
        printf("%s: %s", policy->name, tree_text(policy, "mode", "?"));
        list_print(", local", policy, "local-ts");
        list_print(", remote", policy, "remote-ts");
        printf("\n");
    }
}

static void counters_print(const struct tree *root)
{
    TREE_EACH(of, tree_section(root, "counters")) {
        TREE_EACH(counter, of) printf("%-22s %12s\n", counter->name, tree_text(of, counter->name, "?"));
    }
}

static void algorithms_print(const struct tree *root)
{
    TREE_EACH(kind, root) {
        printf("%s:", kind->name);
        TREE_EACH(algorithm, kind) printf(" %s", algorithm->name);
        printf("\n");
    }
}

static void cert_print_line(const struct tree *cert)
{
    printf("%s%s%s, %zu bytes\n", tree_text(cert, "type", "?"), strcmp(tree_text(cert, "flag", "NONE"), "CA") == 0 ? " CA" : "",
           tree_text(cert, "has_privkey", NULL) ? ", with private key" : "", tree_value(cert, "data").size);
}

// --- asking

static void entry_print(const struct list_words *words, const struct tree *message)
{
    switch (words->kind) {
    case LIST_SAS: TREE_EACH(sa, message) sa_print(sa); break;
    case LIST_CONNS: TREE_EACH(conn, message) conn_print(conn); break;
    case LIST_POLICIES: policies_print(message); break;
    case LIST_COUNTERS: counters_print(message); break;
    case LIST_CERTS: cert_print_line(message); break;
    case LIST_ALGS: algorithms_print(message); break;
    default: section_print(message, 0);
    }
}

static void entry_take(void *context, const char *name, const struct tree *message)
{
    (void)name;
    struct collected *collected = context;
    AUTOFREE_BUF struct buf json = BUF(1024 * 1024);
    collected->count++;
    if (!collected->words->json) {
        entry_print(collected->words, message);
        return;
    }
    tree_json(message, &json);
    printf("%s%s", collected->count > 1 ? ",\n" : "", buf_text(&json));
}

static int list_ask(const struct list_words *words)
{
    struct client *client = client_connect(words->vici);
    if (!client) return EXIT_FAILED;
    struct arena arena = {0};
    struct collected collected = {.words = words};
    struct client_events events = {&collected, entry_take};
    struct tree *response = NULL;
    const char *event = questions[words->kind].event;
    enum fault fault = event ? client_subscribe(client, event) : OK;
    if (words->json) printf("[");
    struct tree *request = tree_new(&arena);
    if (words->leases) tree_add_text(&arena, request, "leases", "yes");
    static const char *const kinds[] = {"trap", "pass", "drop"};
    for (unsigned i = 0; words->kind == LIST_POLICIES && i < 3; i++) tree_add_text(&arena, request, kinds[i], "yes");
    if (!fault) fault = client_ask(client, questions[words->kind].command, request, &arena, &events, &response);
    if (!fault && !event) entry_take(&collected, "", response);
    if (words->json) printf("]\n");
    else if (!fault && !collected.count) printf("none\n");
    if (fault) fprintf(stderr, "failed: %s; %s\n", fault_sentence(fault), fault_remedy(fault));
    arena_free(&arena);
    client_close(client);
    return fault ? EXIT_FAILED : EXIT_DONE;
}

static const char list_usage[] =
    "usage: cygnet list [--sas|--conns|--certs|--algs|--pools [--leases]|--authorities|--policies|--counters]\n"
    "                   [--json] [--uri URI]\n"
    "  SAs that are up by default; what is loaded with the others.\n"
    "  --policies: what is trapped, passed and dropped by the configuration.\n"
    "  --leases: who holds which address of the pools.\n";

static bool list_parse(int argc, char **argv, struct list_words *words)
{
    static const struct option options[] = {
        {"sas", no_argument, NULL, 's'},   {"conns", no_argument, NULL, 'c'}, {"certs", no_argument, NULL, 'x'},
        {"algs", no_argument, NULL, 'a'},  {"pools", no_argument, NULL, 'p'}, {"authorities", no_argument, NULL, 'A'},
        {"policies", no_argument, NULL, 'P'}, {"counters", no_argument, NULL, 'n'},
        {"leases", no_argument, NULL, 'l'}, {"json", no_argument, NULL, 'j'},  {"uri", required_argument, NULL, 'u'}, {"help", no_argument, NULL, 'h'}, {0},
    };
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "ju:h", options, NULL)) != -1) {
        switch (option) {
        case 's': words->kind = LIST_SAS; break;
        case 'c': words->kind = LIST_CONNS; break;
        case 'x': words->kind = LIST_CERTS; break;
        case 'a': words->kind = LIST_ALGS; break;
        case 'p': words->kind = LIST_POOLS; break;
        case 'A': words->kind = LIST_AUTHORITIES; break;
        case 'P': words->kind = LIST_POLICIES; break;
        case 'n': words->kind = LIST_COUNTERS; break;
        case 'l': words->leases = true; break;
        case 'j': words->json = true; break;
        case 'u': words->vici = optarg; break;
        default: return false;
        }
    }
    return optind == argc && (!words->leases || words->kind == LIST_POOLS);
}

int cli_list(int argc, char **argv)
{
    struct list_words words = {.kind = LIST_SAS};
    if (!list_parse(argc, argv, &words)) {
        fputs(list_usage, stderr);
        return EXIT_USAGE;
    }
    return list_ask(&words);
}

// --- status

static void status_print(const struct tree *version, const struct tree *stats)
{
    const struct tree *uptime = tree_section(stats, "uptime"), *sas = tree_section(stats, "ikesas");
    printf("%s %s, running for %s since %s\n", tree_text(version, "daemon", "?"), tree_text(version, "version", "?"),
           tree_text(uptime, "running", "?"), tree_text(uptime, "since", "?"));
    printf("IKE SAs: %s, of which %s half open; children: %s\n", tree_text(sas, "total", "0"), tree_text(sas, "half-open", "0"),
           tree_text(stats, "children", "0"));
    const struct tree *faults = tree_section(stats, "faults");
    if (faults && faults->first) printf("faults so far:");
    TREE_EACH(fault, faults) printf(" %s %s", fault->name, tree_text(faults, fault->name, ""));
    if (faults && faults->first) printf("\n");
}

int cli_status(int argc, char **argv)
{
    struct list_words words = {.kind = LIST_SAS};
    if (!list_parse(argc, argv, &words)) {
        fputs("usage: cygnet status [--json] [--uri URI]\n  The daemon's state in a few lines, and its SAs.\n", stderr);
        return EXIT_USAGE;
    }
    struct client *client = client_connect(words.vici);
    if (!client) return EXIT_FAILED;
    struct arena arena = {0};
    struct tree *version = NULL, *stats = NULL;
    enum fault fault = client_ask(client, "version", NULL, &arena, NULL, &version);
    if (!fault) fault = client_ask(client, "stats", NULL, &arena, NULL, &stats);
    if (!fault && !words.json) {
        status_print(version, stats);
    } else if (!fault) {
        AUTOFREE_BUF struct buf json = BUF(1024 * 1024);
        tree_json(stats, &json);
        puts(buf_text(&json));
    } else {
        fprintf(stderr, "failed: %s; %s\n", fault_sentence(fault), fault_remedy(fault));
    }
    arena_free(&arena);
    client_close(client);
    if (fault) return EXIT_FAILED;
    return words.json ? EXIT_DONE : list_ask(&words);
}
