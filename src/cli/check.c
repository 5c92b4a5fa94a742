// SPDX-License-Identifier: Apache-2.0
// cygnet check FILE: every error of a configuration at once, each with its place, without a daemon.
#include "cli/cli.h"
#include "conf/options.h"
#include <stdio.h>
#include <sys/stat.h>

struct counts {
    unsigned connections, credentials;
};

static void request_count(void *context, const char *command, const struct tree *message)
{
    (void)message;
    struct counts *counts = context;
    if (strcmp(command, "load-conn") == 0) counts->connections++;
    else if (strncmp(command, "load-", 5) == 0) counts->credentials++;
}

static char *directory_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? mem_text_of(bytes_of(file, (size_t)(slash - file))) : mem_text(".");
}

int cli_check(int argc, char **argv)
{
    struct stat status;
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        fputs("usage: cygnet check [FILE-OR-DIRECTORY]\n  Checks a swanctl.conf, the keys and certificates it needs included; without a word "
              "/etc/swanctl/swanctl.conf.\n", stderr);
        return EXIT_USAGE;
    }
    AUTOFREE_MEM char *file = mem_text(argc == 2 ? argv[1] : "/etc/swanctl/swanctl.conf");
    if (stat(file, &status) == 0 && S_ISDIR(status.st_mode)) {
        char *inside = mem_printf("%s/swanctl.conf", file);
        free(file);
        file = inside;
    }
    AUTOFREE_MEM char *directory = directory_of(file);
    struct arena arena = {0};
    struct complaints complaints = {0};
    struct counts counts = {0};
    struct loader loader = {&counts, request_count};
    AUTOFREE_BUF struct buf text = BUF(4 * 1024 * 1024);
    struct tree *root = settings_load(file, &arena, &complaints);
    if (root) options_check(root, &complaints);
    if (root) options_load(root, directory, &loader, &complaints);
    complaints_print(&complaints, &text);
    fputs(buf_text(&text), stderr);
    bool good = root && !complaints.errors;
    if (good) printf("%s: good: %u connections, %u credentials, authorities and pools\n", file, counts.connections, counts.credentials);
    else fprintf(stderr, "%s: %u error%s\n", file, complaints.errors, complaints.errors == 1 ? "" : "s");
    complaints_free(&complaints);
    arena_free(&arena);
    return good ? EXIT_DONE : EXIT_FAILED;
}
