// SPDX-License-Identifier: Apache-2.0
// Reading and writing the command line.
#include "daemon/arguments.h"
#include <assert.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

enum letter {
    FOREGROUND = 256,
    CONFIG,
    VICI,
    RUN_DIR,
    STATE_DIR,
    RESOLV_CONF,
    TUN,
    MTU,
    WORKERS,
    PORT,
    PORT_NAT,
    PORT_TCP,
    KEYLOG,
    LOG_JSON,
    DEBUG,
    RETRANSMIT,
    VERSION,
    HELP,
    ROLE,
    FDS,
    SYSLOG,
    LIFE,
};

// clang-format off
static const struct row {
    const char *name;
    enum letter letter;
    const char *value, *help; // no help: for our own processes
} rows[] = {
    {"foreground", FOREGROUND, NULL,            "stay in the foreground and log to standard error"},
    {"config",     CONFIG,     "FILE-OR-DIR",   "swanctl.conf or its directory, or none (/etc/swanctl)"},
    {"vici",       VICI,       "unix:///PATH",  "where control programs connect (unix:///run/cygnet/cygnet.vici)"},
    {"run-dir",    RUN_DIR,    "DIR",           "for what lives as long as the daemon (/run/cygnet)"},
    {"state-dir",  STATE_DIR,  "DIR",           "for what outlives the daemon: leases of virtual addresses; or none (/var/lib/cygnet)"},
    {"resolv-conf", RESOLV_CONF, "FILE",         "where name servers go that peers tell a client of; or none (/etc/resolv.conf)"},
    {"tun",        TUN,        "NAME",          "name of the TUN device (cygnet0)"},
    {"mtu",        MTU,        "BYTES",         "largest packet into the TUN device, 576 to 9000 (1400)"},
    {"workers",    WORKERS,    "N",             "threads that move packets, 1 to 16, or auto: one for each processor, on two one (auto)"},
    {"port",       PORT,       "N",             "UDP port of IKE (500)"},
    {"port-nat",   PORT_NAT,   "N",             "UDP port of IKE and ESP behind NAT (4500)"},
    {"port-tcp",   PORT_TCP,   "N",             "TCP port where peers may connect that cannot use UDP, usually 4500; 0: none (0)"},
    {"keylog",     KEYLOG,     "FILE",          "append all session keys to FILE: for the analysis of captures only"},
    {"log-json",   LOG_JSON,   NULL,            "log one JSON object a line"},
    {"debug",      DEBUG,      NULL,            "log details too"},
    {"retransmit", RETRANSMIT, "T/B/N",         "first wait in seconds, growth, tries of requests (4/1.8/5)"},
    {"version",    VERSION,    NULL,            "print the version"},
    {"help",       HELP,       NULL,            "print this"},
    {"role",       ROLE,       "NAME",          NULL},
    {"fds",        FDS,        "NAME=N,...",    NULL},
    {"syslog",     SYSLOG,     NULL,            NULL},
    {"life",       LIFE,       "N",             NULL},
};

// Descriptors: how they are called on the command line, where they are kept, who gets them.
#define AT(member) offsetof(struct role_options, member)
#define TO(role) (1u << ROLE_##role)
static const struct fd_row {
    const char *name;
    size_t offset;
    unsigned count, roles;
} fd_rows[] = {
    {"alive",        AT(alive),        1,           ~0u},
    {"channel",      AT(channel),      ROLE_COUNT,  ~0u},
    {"udp4.ike",     AT(udp4.ike),     1,           TO(IKE)},
    {"udp4.ike_nat", AT(udp4.ike_nat), 1,           TO(IKE)},
    {"udp4.esp",     AT(udp4.esp),     WORKERS_MAX, TO(ESP)},
    {"udp6.ike",     AT(udp6.ike),     1,           TO(IKE)},
    {"udp6.ike_nat", AT(udp6.ike_nat), 1,           TO(IKE)},
    {"udp6.esp",     AT(udp6.esp),     WORKERS_MAX, TO(ESP)},
    {"tun",          AT(tun),          WORKERS_MAX, TO(ESP)},
    {"raw4",         AT(raw4),         WORKERS_MAX, TO(ESP)},
    {"raw6",         AT(raw6),         WORKERS_MAX, TO(ESP)},
    {"ah4",          AT(ah4),          WORKERS_MAX, TO(ESP)},
    {"ah6",          AT(ah6),          WORKERS_MAX, TO(ESP)},
    {"whole4",       AT(whole4),       1,           TO(ESP)},
    {"whole6",       AT(whole6),       1,           TO(ESP)},
    {"bypass4",      AT(bypass4),      1,           TO(ESP)},
    {"bypass6",      AT(bypass6),      1,           TO(ESP)},
    {"tcp4.listen",  AT(tcp4_listen),  1,           TO(ESP)},
    {"tcp6.listen",  AT(tcp6_listen),  1,           TO(ESP)},
    {"tcp4",         AT(tcp4),         TCP_SPARES,  TO(ESP)},
    {"tcp6",         AT(tcp6),         TCP_SPARES,  TO(ESP)},
    {"icmp4",        AT(icmp4),        1,           TO(IKE)},
    {"icmp6",        AT(icmp6),        1,           TO(IKE)},
    {"vici",         AT(vici),         1,           TO(CONTROL)},
};
// clang-format on

enum { ROW_COUNT = sizeof rows / sizeof *rows, FD_ROW_COUNT = sizeof fd_rows / sizeof *fd_rows };

static int *fd_place(struct role_options *options, const struct fd_row *row, unsigned index)
{
    return (int *)(void *)((char *)options + row->offset) + index;
}

static void options_default(struct role_options *options)
{
    *options = (struct role_options){
        .workers = 1,
        .port = 500,
        .port_nat = 4500,
        .tun_name = "cygnet0",
        .mtu = 1400,
        .config = "/etc/swanctl",
        .run_dir = "/run/cygnet",
        .resolv_conf = "/etc/resolv.conf",
        .state_dir = "/var/lib/cygnet",
        .vici_uri = "unix:///run/cygnet/cygnet.vici",
    };
    for (unsigned i = 0; i < FD_ROW_COUNT; i++)
        for (unsigned j = 0; j < fd_rows[i].count; j++) *fd_place(options, &fd_rows[i], j) = -1;
}

static void help_print(void)
{
    printf(
        "Usage: cygnetd [OPTION]...\nThe IPsec daemon. Without --foreground it goes into the "
        "background and logs to syslog.\n\n");
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        char option[48];
        if (!rows[i].help) continue;
        snprintf(option, sizeof option, "--%s %s", rows[i].name,
                 rows[i].value ? rows[i].value : "");
        printf("  %-24s %s\n", option, rows[i].help);
    }
}

static bool number_read(const char *text, unsigned long low, unsigned long high, const char *option,
                        unsigned *out)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || value < low || value > high) {
        fprintf(stderr, "cygnetd: --%s wants a number from %lu to %lu, not \"%s\"\n", option, low,
                high, text);
        return false;
    }
    *out = (unsigned)value;
    return true;
}

static bool retransmit_good(const char *text)
{
    double wait, growth;
    unsigned tries;
    char more;
    if (sscanf(text, "%lf/%lf/%u%c", &wait, &growth, &tries, &more) == 3 && wait > 0 &&
        wait <= 3600 && growth >= 1 && growth <= 10 && tries <= 100)
        return true;
    fprintf(stderr,
            "cygnetd: --retransmit wants seconds, growth and tries like 4/1.8/5, not \"%s\"\n",
            text);
    return false;
}

static bool role_read(const char *text, enum role *out)
{
    for (unsigned role = ROLE_NET; role < ROLE_COUNT; role++) {
        if (strcmp(role_name(role), text) != 0) continue;
        *out = role;
        return true;
    }
    fprintf(stderr, "cygnetd: no role \"%s\"\n", text);
    return false;
}

// "udp4.esp0=7": the place of the descriptor by its name; NULL when there is none.
static int *fd_find(struct role_options *options, const char *name, size_t size)
{
    for (unsigned i = 0; i < FD_ROW_COUNT; i++) {
        for (unsigned j = 0; j < fd_rows[i].count; j++) {
            char full[40];
            int full_size = fd_rows[i].count > 1
                                ? snprintf(full, sizeof full, "%s%u", fd_rows[i].name, j)
                                : snprintf(full, sizeof full, "%s", fd_rows[i].name);
            if ((size_t)full_size == size && memcmp(full, name, size) == 0)
                return fd_place(options, &fd_rows[i], j);
        }
    }
    return NULL;
}

static bool fds_read(const char *text, struct role_options *options)
{
    while (*text) {
        const char *equals = strchr(text, '=');
        int *place = equals ? fd_find(options, text, (size_t)(equals - text)) : NULL;
        char *end = NULL;
        if (place) *place = (int)strtol(equals + 1, &end, 10);
        if (!place || end == equals + 1 || (*end && *end != ',') ||
            fcntl(*place, F_SETFD, FD_CLOEXEC) < 0) {
            fprintf(stderr, "cygnetd: bad descriptors \"%s\"\n", text);
            return false;
        }
        text = *end ? end + 1 : end;
    }
    return true;
}

static bool vici_read(struct arguments *out)
{
    const char *uri = out->options.vici_uri;
    if (strncmp(uri, "unix://", 7) == 0) uri += 7;
    out->vici_path = uri;
    if (*uri == '/' && strlen(uri) < 108) return true;
    fprintf(
        stderr,
        "cygnetd: --vici wants unix:///PATH with an absolute path below 108 bytes, not \"%s\"\n",
        out->options.vici_uri);
    return false;
}

static bool tun_name_good(const char *name)
{
    size_t size = strlen(name);
    // The name becomes part of a packet filter table's name.
    bool good =
        size > 0 && size < 16 &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == size &&
        *name != '-';
    if (!good)
        fprintf(stderr, "cygnetd: --tun wants 1 to 15 letters, digits, - or _, not \"%s\"\n", name);
    return good;
}

// On two processors the kernel's part of the work keeps the other one busy: see
// decisions/0019-a-plane-for-each-worker.md.
static unsigned workers_auto(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    if (count <= 2) return 1;
    return count < WORKERS_MAX ? (unsigned)count : WORKERS_MAX;
}

static bool workers_read(const char *text, unsigned *out)
{
    if (strcmp(text, "auto") != 0) return number_read(text, 1, WORKERS_MAX, "workers", out);
    *out = workers_auto();
    return true;
}

static bool option_take(enum letter letter, const char *value, struct arguments *out)
{
    struct role_options *options = &out->options;
    unsigned number = 0;
    bool good = true;
    switch (letter) {
    case FOREGROUND:
        out->foreground = true;
        break;
    case CONFIG:
        options->config = value;
        break;
    case VICI:
        options->vici_uri = value;
        break;
    case RUN_DIR:
        options->run_dir = value;
        break;
    case STATE_DIR:
        options->state_dir = value;
        break;
    case RESOLV_CONF:
        options->resolv_conf = value;
        break;
    case TUN:
        options->tun_name = value;
        break;
    case MTU:
        good = number_read(value, 576, 9000, "mtu", &options->mtu);
        break;
    case WORKERS:
        good = workers_read(value, &options->workers);
        break;
    case PORT:
        good = number_read(value, 1, 65535, "port", &number);
        options->port = (uint16_t)number;
        break;
    case PORT_NAT:
        good = number_read(value, 1, 65535, "port-nat", &number);
        options->port_nat = (uint16_t)number;
        break;
    case PORT_TCP:
        good = number_read(value, 0, 65535, "port-tcp", &number);
        options->port_tcp = (uint16_t)number;
        break;
    case KEYLOG:
        options->keylog = value;
        break;
    case LOG_JSON:
        options->json_log = true;
        break;
    case DEBUG:
        options->debug = true;
        break;
    case RETRANSMIT:
        options->retransmit = value;
        good = retransmit_good(value);
        break;
    case ROLE:
        good = role_read(value, &options->role);
        break;
    case FDS:
        good = fds_read(value, options);
        break;
    case SYSLOG:
        out->to_syslog = true;
        break;
    case LIFE:
        good = number_read(value, 0, UINT32_MAX, "life", &options->life);
        break;
    case VERSION:
    case HELP:
        break;
    }
    return good;
}

enum arguments_result arguments_read(int argc, char **argv, struct arguments *out)
{
    struct option longs[ROW_COUNT + 1] = {0};
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        longs[i].name = rows[i].name;
        longs[i].has_arg = rows[i].value ? required_argument : no_argument;
        longs[i].val = (int)rows[i].letter;
    }
    memset(out, 0, sizeof *out);
    options_default(&out->options);
    out->options.workers = workers_auto();
    int letter;
    while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (letter == HELP) {
            help_print();
            return ARGUMENTS_END_GOOD;
        }
        if (letter == VERSION) {
            printf("cygnetd %s\n", CYGNET_VERSION);
            return ARGUMENTS_END_GOOD;
        }
        if (letter == '?') {
            fprintf(stderr, "cygnetd: see cygnetd --help for all options\n");
            return ARGUMENTS_END_BAD;
        }
        if (!option_take((enum letter)letter, optarg, out)) return ARGUMENTS_END_BAD;
    }
    if (optind < argc) {
        fprintf(stderr, "cygnetd: \"%s\" is no option; see cygnetd --help for all options\n",
                argv[optind]);
        return ARGUMENTS_END_BAD;
    }
    if (out->options.port == out->options.port_nat) {
        fprintf(stderr, "cygnetd: --port and --port-nat must differ\n");
        return ARGUMENTS_END_BAD;
    }
    return tun_name_good(out->options.tun_name) && vici_read(out) ? ARGUMENTS_RUN
                                                                  : ARGUMENTS_END_BAD;
}

// --- for the roles

static char *fds_write(const struct role_options *options, struct arena *arena)
{
    char text[FDS_TEXT_MAX];
    struct wr out = wr_over(text, sizeof text);
    for (unsigned i = 0; i < FD_ROW_COUNT; i++) {
        const struct fd_row *row = &fd_rows[i];
        if (!(row->roles >> options->role & 1)) continue;
        for (unsigned j = 0; j < row->count; j++) {
            int fd = *fd_place((struct role_options *)(uintptr_t)options, row, j);
            if (fd < 0) continue;
            if (row->count > 1)
                wr_printf(&out, "%s%s%u=%d", out.size ? "," : "", row->name, j, fd);
            else
                wr_printf(&out, "%s%s=%d", out.size ? "," : "", row->name, fd);
            fcntl(fd, F_SETFD, 0);
        }
    }
    assert(wr_end(&out) == OK);
    return arena_text(arena, wr_done(&out));
}

struct list_of_arguments {
    char **at;
    size_t count;
    struct arena *arena;
};

static void argument_add(struct list_of_arguments *list, enum letter letter, const char *value)
{
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        if (rows[i].letter != letter) continue;
        assert(list->count + 3 < ROLE_ARGUMENTS_MAX);
        list->at[list->count++] = arena_printf(list->arena, "--%s", rows[i].name);
        if (rows[i].value) list->at[list->count++] = arena_text(list->arena, bytes_of_text(value));
    }
}

static void argument_add_number(struct list_of_arguments *list, enum letter letter, unsigned value)
{
    argument_add(list, letter, arena_printf(list->arena, "%u", value));
}

char **arguments_for_role(const struct arguments *arguments, const struct role_options *options,
                          struct arena *arena)
{
    struct list_of_arguments list = {arena_array(arena, ROLE_ARGUMENTS_MAX, sizeof(char *)), 0,
                                     arena};
    list.at[list.count++] = arena_printf(arena, "cygnetd: %s", role_name(options->role));
    argument_add(&list, ROLE, role_name(options->role));
    argument_add(&list, FDS, fds_write(options, arena));
    argument_add_number(&list, LIFE, options->life);
    argument_add(&list, CONFIG, options->config);
    argument_add(&list, VICI, options->vici_uri);
    argument_add(&list, RUN_DIR, options->run_dir);
    argument_add(&list, STATE_DIR, options->state_dir);
    argument_add(&list, RESOLV_CONF, options->resolv_conf);
    argument_add(&list, TUN, options->tun_name);
    argument_add_number(&list, MTU, options->mtu);
    argument_add_number(&list, WORKERS, options->workers);
    argument_add_number(&list, PORT, options->port);
    argument_add_number(&list, PORT_NAT, options->port_nat);
    argument_add_number(&list, PORT_TCP, options->port_tcp);
    if (options->keylog) argument_add(&list, KEYLOG, options->keylog);
    if (options->retransmit) argument_add(&list, RETRANSMIT, options->retransmit);
    if (options->json_log) argument_add(&list, LOG_JSON, NULL);
    if (options->debug) argument_add(&list, DEBUG, NULL);
    if (arguments->to_syslog) argument_add(&list, SYSLOG, NULL);
    return list.at;
}
