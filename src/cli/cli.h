// SPDX-License-Identifier: Apache-2.0
// The tool `cygnet`: a table of subcommands. Each gets its own argument vector (argv[0] is its name) and returns the exit status:
// 0 done, 1 the thing asked for failed, 2 the words of the call are wrong.
#pragma once
#include "base/mem.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct subcommand {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;      // one line
};

int cli_up(int argc, char **argv);
int cli_down(int argc, char **argv);
int cli_rekey(int argc, char **argv);
int cli_redirect(int argc, char **argv);
int cli_reload(int argc, char **argv);
int cli_list(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_log(int argc, char **argv);
int cli_hooks(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_pki(int argc, char **argv);
