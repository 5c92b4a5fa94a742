// SPDX-License-Identifier: Apache-2.0
// The tool `cygnet`: finds the subcommand and hands it its words.
#include "cli/cli.h"
#include <stdio.h>

static const struct subcommand subcommands[] = {
    {"up",     cli_up,     "bring up a child SA, or an IKE SA"},
    {"down",   cli_down,   "delete a child SA, or an IKE SA with its children"},
    {"rekey",  cli_rekey,  "give a child SA or an IKE SA new keys"},
    {"redirect", cli_redirect, "send peers on to another gateway"},
    {"list",   cli_list,   "show SAs, connections, certificates, pools"},
    {"status", cli_status, "the daemon's state in a few lines, and its SAs"},
    {"explain", cli_explain, "how large packets through a child may be, and why"},
    {"log",    cli_log,    "follow what happens in the daemon"},
    {"reload", cli_reload, "have the daemon read its configuration again"},
    {"hooks",  cli_hooks,  "run the programs of updown when children come and go"},
    {"check",  cli_check,  "check a configuration without a daemon"},
    {"pki",    cli_pki,    "make and look at keys, certificates and requests"},
};

static void usage_print(FILE *to)
{
    fputs("usage: cygnet COMMAND [OPTION ...]\n\n", to);
    for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++)
        fprintf(to, "  %-8s %s\n", subcommands[i].name, subcommands[i].help);
    fputs("\n`cygnet COMMAND --help` tells more; see also cygnet(1).\n", to);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";
    for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++)
        if (strcmp(name, subcommands[i].name) == 0) return subcommands[i].run(argc - 1, argv + 1);
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        puts("cygnet " CYGNET_VERSION);
        return EXIT_DONE;
    }
    if (argc > 1 && (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)) {
        usage_print(stdout);
        return EXIT_DONE;
    }
    if (argc > 1) fprintf(stderr, "cygnet: no command \"%s\"\n\n", name);
    usage_print(stderr);
    return EXIT_USAGE;
}
