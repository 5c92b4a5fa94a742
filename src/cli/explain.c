// SPDX-License-Identifier: Apache-2.0
// cygnet explain CHILD: how large packets through a child may be, and why; the sum is written out.
#include "cli/client.h"
#include <getopt.h>
#include <stdio.h>

struct explained {
    const char *child;
    unsigned count;
    struct arena *arena;
    struct tree *guards; // a list for each connection whose child of that name guards networks
};

static unsigned number(const struct tree *child, const char *name)
{
    return (unsigned)strtoul(tree_text(child, name, "0"), NULL, 10);
}

static const char *source_text(const struct tree *child)
{
    static const struct {
        const char *word, *text;
    } texts[] = {
        {"device", "the way out of this host takes it; the path beyond has not refused it"},
        {"icmp", "a router on the path said so"},
        {"probe", "the peer answered a message of this size"},
        {"assumed", "a larger message got no answer; a better value is looked for"},
    };
    const char *source = tree_text(child, "path-mtu-source", "");
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(source, texts[i].word) == 0) return texts[i].text;
    return source;
}

static void part_print(const struct tree *child, const char *name, const char *label)
{
    if (number(child, name)) printf("  %-28s - %5u\n", label, number(child, name));
}

// Cipher blocks: what is left is rounded down to a multiple.
static void rounding_print(const struct tree *child)
{
    unsigned left = number(child, "path-mtu"), align = number(child, "mtu-align");
    static const char *const fixed[] = {"mtu-ip", "mtu-udp", "mtu-header", "mtu-iv", "mtu-icv"};
    for (unsigned i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        unsigned part = number(child, fixed[i]);
        left = left > part ? left - part : 0;
    }
    if (align < 2 || left % align == 0) return;
    char label[40];
    snprintf(label, sizeof label, "to a multiple of %u", align);
    printf("  %-28s - %5u\n", label, left % align);
}

static void segments_print(const struct tree *child)
{
    unsigned mtu = number(child, "mtu");
    const char *wanted = tree_text(child, "tcp-mss", "0");
    if (strcmp(wanted, "auto") == 0)
        printf("  TCP segments                   %5u over IPv4, %u over IPv6 (tcp_mss = auto)\n", mtu > 40 ? mtu - 40 : 0,
               mtu > 60 ? mtu - 60 : 0);
    else if (strcmp(wanted, "0") == 0)
        printf("  TCP segments                   as the ends agree (tcp_mss = no)\n");
    else
        printf("  TCP segments                   %5s (tcp_mss)\n", wanted);
}

// Routes into a device are the operator's, or BGP's, and may go away: then others are taken, and
// nothing stands in the way of what goes there in the clear, unless the child guards it.
static void device_explain(const struct tree *child, const struct tree *guard)
{
    const char *if_id = tree_text(child, "if-id-out", NULL);
    if (!if_id) return;
    const char *mark = tree_text(child, "mark-out", NULL);
    if (mark)
        printf("  Packets come from what carries mark 0x%lx/0x%s, which a rule routes into the device of if_id %lu;\n"
               "  nftables or an application gives it to them. Others may be routed there, too. Without mark or route\n",
               strtoul(mark, NULL, 16), tree_text(child, "mark-mask-out", "ffffffff"), strtoul(if_id, NULL, 16));
    else
        printf("  Packets come from what is routed into the device of if_id %lu. Without such a route\n",
               strtoul(if_id, NULL, 16));
    if (!guard) {
        puts("  they take another one, in the clear; `guard = yes` or `guard = NETWORK, ...` in the\n"
             "  child has them dropped instead.");
        return;
    }
    puts("  they are dropped where the child guards networks (! are left out of them):");
    TREE_EACH(network, guard)
        printf("    %.*s\n", (int)network->value.size, (const char *)network->value.at);
}

static void mark_explain(const struct tree *child)
{
    const char *text = tree_text(child, "set-mark-out", NULL);
    if (!text) return;
    unsigned long mark = strtoul(text, NULL, 16);
    printf("  Sealed packets carry mark 0x%08lx (set_mark_out): rules that choose their way ask for\n"
           "  fwmark 0x%lx/0xffff; IKE's own packets carry 0x%04lx0000 and do not match.\n",
           mark, mark & 0xffff, mark >> 16);
}

// RFC 4301 7: fragments behind the first show no ports.
static void ports_explain(const struct tree *child)
{
    static const char *const sides[] = {"local-ts", "remote-ts"};
    bool ports = false;
    for (unsigned i = 0; i < 2; i++)
    {
        TREE_EACH(selector, tree_find(child, sides[i]))
        {
            const char *bracket = memchr(selector->value.at, '[', selector->value.size);
            ports |= bracket && strchr(bracket, '/');
        }
    }
    if (ports)
        puts("  The selectors name ports: what comes in fragments is put together first. In the clear, later fragments\n"
             "  of the same protocol between these hosts are dropped whatever their ports, unless connections are tracked.");
}

static void updown_explain(const struct tree *child)
{
    const char *updown = tree_text(child, "updown", NULL);
    if (!updown) return;
    printf("  updown = %s\n", updown);
    puts(tree_text(child, "updown-missing", NULL)
             ? "  Nobody runs it: the daemon starts no programs. This has it run, now and at each start:\n"
               "    systemctl enable --now cygnet-hooks"
             : "  It is run by `cygnet hooks`, whose log has what it says: journalctl -u cygnet-hooks");
}

static void mtu_explain(const struct tree *child, bool ah)
{
    if (!number(child, "path-mtu")) {
        printf("  the path MTU is not known: packets of any size are let in\n");
        return;
    }
    printf("  path MTU                       %5u  %s (%s s ago)\n", number(child, "path-mtu"), source_text(child),
           tree_text(child, "path-mtu-age", "?"));
    part_print(child, "mtu-ip", "outer IP header");
    part_print(child, "mtu-udp", "UDP header");
    part_print(child, "mtu-header", ah ? "AH with its ICV" : "ESP header");
    part_print(child, "mtu-iv", "IV");
    part_print(child, "mtu-icv", "ICV");
    rounding_print(child);
    part_print(child, "mtu-trailer", "ESP trailer");
    if (number(child, "mtu-kept"))
        printf("  %-28s + %5u\n", "own header, not sent twice", number(child, "mtu-kept"));
    printf("  largest packet               = %5u\n", number(child, "mtu"));
    segments_print(child);
    printf("  The device takes %u. %s\n", number(child, "device-mtu"),
           strcmp(tree_text(child, "path-mtu-probes", ""), "yes") == 0
               ? "The path is probed, so filtered ICMP does no harm."
               : "The path is not probed (path_mtu_probes = no).");
}

// docs/PERFORMANCE.md: raw sockets have no segmentation offload.
static void encap_explain(const struct tree *sa, const struct tree *child)
{
    bool udp = strcmp(tree_text(child, "encap", "no"), "yes") == 0, tcp = strcmp(tree_text(sa, "tcp", "no"), "yes") == 0;
    if (udp || tcp || strcmp(tree_text(child, "mode", ""), "TUNNEL") != 0) return;
    puts("  ESP goes as protocol 50, packet by packet. With encap = yes at either end it goes in UDP, where the kernel\n"
         "  moves dozens at once: several times as much gets through, for 8 bytes a packet.");
}

static void child_explain(const struct tree *sa, const struct tree *child, const struct tree *guard)
{
    const char *encr = tree_text(child, "encr-alg", "NULL"), *integ = tree_text(child, "integ-alg", NULL);
    bool ah = strcmp(tree_text(child, "protocol", ""), "AH") == 0;
    printf("%s #%s of %s, with %s: %s, %s%s%s%s%s\n", tree_text(child, "name", "?"), tree_text(child, "uniqueid", "?"), sa->name,
           tree_text(sa, "remote-host", "?"), tree_text(child, "mode", "?"), ah ? "AH" : encr, ah ? "" : "-",
           ah ? "" : tree_text(child, "encr-keysize", ""), integ ? " " : "", integ ? integ : "");
    mtu_explain(child, ah);
    if (!ah) encap_explain(sa, child);
    mark_explain(child);
    ports_explain(child);
    if (tree_text(child, "icmp", NULL))
        puts("  ICMP errors that quote a packet of this child go with it, whoever sends them (icmp = yes).");
    updown_explain(child);
    device_explain(child, guard);
}

// One that is not up: it is tried, or will be.
static void waiting_explain(const struct tree *sa, const char *child)
{
    const char *failed = tree_text(sa, "attempts-failed", NULL), *next = tree_text(sa, "next-attempt", NULL);
    printf("%s of %s is not up yet; ", child, sa->name);
    if (strcmp(tree_text(sa, "state", ""), "CONNECTING") != 0)
        printf("IKE SA #%s is, and the child is to come\n", tree_text(sa, "uniqueid", "?"));
    else
        printf("%s\n", next ? "it is tried again and again" : "it is being connected");
    if (!failed) return;
    printf("  attempts that failed           %5s\n", failed);
    printf("  the last one                   %s\n", tree_text(sa, "last-failure", "?"));
    printf("  what to do                     %s\n", tree_text(sa, "remedy", "look at the log"));
    if (next) printf("  next attempt                   in %s s; `cygnet up %s` makes it now\n", next, child);
}

static void sa_take(void *context, const char *event, const struct tree *message)
{
    struct explained *explained = context;
    (void)event;
    TREE_EACH(sa, message)
    {
        TREE_EACH(waiting, tree_find(sa, "waiting-children"))
        {
            if (!bytes_equal(waiting->value, bytes_of_text(explained->child))) continue;
            waiting_explain(sa, explained->child);
            explained->count++;
        }
        TREE_EACH(child, tree_section(sa, "child-sas"))
        {
            if (child->kind != TREE_SECTION || strcmp(tree_text(child, "name", ""), explained->child) != 0) continue;
            child_explain(sa, child, tree_find(explained->guards, sa->name));
            explained->count++;
        }
    }
}

// What is guarded is the loaded connection's matter, and not the SA's, which may be older.
static void guard_take(void *context, const char *event, const struct tree *message)
{
    struct explained *explained = context;
    (void)event;
    TREE_EACH(conn, message)
    {
        const struct tree *child = tree_section(tree_section(conn, "children"), explained->child);
        const struct tree *guard = tree_find(child, "guard");
        if (!guard) continue;
        struct tree *list = tree_add_list(explained->arena, explained->guards, conn->name);
        TREE_EACH(network, guard)
            tree_add_item(explained->arena, list, arena_copy(explained->arena, network->value));
    }
}

// Nothing is up: is there such a child at all?
struct searched {
    const char *child;
    bool found, in_force; // in force: a policy of the configuration is
    unsigned others;
    struct arena *arena;
    struct tree *policies; // mode by connection, of children of that name
};

static void policy_take(void *context, const char *event, const struct tree *message)
{
    struct searched *searched = context;
    (void)event;
    TREE_EACH(policy, message)
        tree_add_text(searched->arena, searched->policies, tree_text(policy, "ike", ""), tree_text(policy, "mode", ""));
}

static void loaded_explain(struct searched *searched, const char *conn, const struct tree *child)
{
    const char *mode = tree_text(child, "mode", ""), *policy = tree_text(searched->policies, conn, NULL);
    bool pass = strcmp(mode, "PASS") == 0, drop = strcmp(mode, "DROP") == 0;
    printf("%s of %s ", child->name, conn);
    searched->found = true;
    searched->in_force |= policy != NULL;
    if (policy && (pass || drop))
        puts(pass ? "has no SA: it lets its packets pass unprotected" : "has no SA: it drops its packets");
    else if (pass || drop)
        puts("is loaded and without effect: start_action = trap puts it in force");
    else if (policy)
        puts("is not up: it is tried when a packet calls for it, and the log says what became of that");
    else
        printf("is loaded, but neither up nor being tried: `cygnet up %s` does that and says what hinders it\n", child->name);
}

static void conn_take(void *context, const char *event, const struct tree *message)
{
    struct searched *searched = context;
    (void)event;
    TREE_EACH(conn, message)
    {
        TREE_EACH(child, tree_section(conn, "children"))
        {
            if (strcmp(child->name, searched->child) == 0) loaded_explain(searched, conn->name, child);
            searched->others++;
        }
    }
}

static void name_take(void *context, const char *event, const struct tree *message)
{
    (void)context, (void)event;
    TREE_EACH(conn, message)
        TREE_EACH(child, tree_section(conn, "children")) fprintf(stderr, " %s", child->name);
}

static enum fault policies_ask(struct client *client, struct searched *searched)
{
    static const char *const kinds[] = {"trap", "pass", "drop"};
    struct tree *response = NULL, *request = tree_new(searched->arena);
    struct client_events events = {searched, policy_take};
    for (unsigned i = 0; i < 3; i++) tree_add_text(searched->arena, request, kinds[i], "yes");
    tree_add_text(searched->arena, request, "child", searched->child);
    TRY(client_subscribe(client, "list-policy"));
    return client_ask(client, "list-policies", request, searched->arena, &events, &response);
}

// True when there is nothing wrong with it.
static bool absence_explain(struct client *client, const char *name)
{
    struct arena arena = {0};
    struct tree *response = NULL;
    struct searched searched = {.child = name, .arena = &arena, .policies = tree_new(&arena)};
    struct client_events search = {&searched, conn_take}, names = {NULL, name_take};
    if (policies_ask(client, &searched) || client_ask(client, "list-conns", NULL, &arena, &search, &response)) {
        fprintf(stderr, "no child named %s is up; see cygnet list\n", name);
    } else if (!searched.found && !searched.others) {
        fputs("no connection with children is loaded; see cygnet check and cygnet reload\n", stderr);
    } else if (!searched.found) {
        fprintf(stderr, "there is no child named %s; those that are loaded:", name);
        if (client_ask(client, "list-conns", NULL, &arena, &names, &response)) fputs(" ?", stderr);
        fputs("\n", stderr);
    }
    arena_free(&arena);
    return searched.in_force;
}

static int explain(const char *vici, const char *name)
{
    struct client *client = client_connect(vici);
    if (!client) return EXIT_FAILED;
    struct arena arena = {0};
    struct explained explained = {name, 0, &arena, tree_new(&arena)};
    struct client_events events = {&explained, sa_take}, conns = {&explained, guard_take};
    struct tree *response = NULL, *request = tree_new(&arena);
    tree_add_text(&arena, request, "child", name);
    enum fault fault = client_subscribe(client, "list-conn");
    if (!fault) fault = client_ask(client, "list-conns", NULL, &arena, &conns, &response);
    if (!fault) fault = client_subscribe(client, "list-sa");
    if (!fault) fault = client_ask(client, "list-sas", request, &arena, &events, &response);
    if (fault) fprintf(stderr, "failed: %s; %s\n", fault_sentence(fault), fault_remedy(fault));
    bool good = !fault && (explained.count || absence_explain(client, name));
    arena_free(&arena);
    client_close(client);
    return good ? EXIT_DONE : EXIT_FAILED;
}

int cli_explain(int argc, char **argv)
{
    static const struct option options[] = {{"uri", required_argument, NULL, 'u'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *vici = NULL;
    bool good = true;
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "u:h", options, NULL)) != -1) {
        if (option == 'u') vici = optarg;
        else good = false;
    }
    if (!good || optind + 1 != argc) {
        fputs("usage: cygnet explain CHILD [--uri URI]\n"
              "  How large packets through that child may be: the path's MTU, how it is known, and what of it is left.\n", stderr);
        return EXIT_USAGE;
    }
    return explain(vici, argv[optind]);
}
