// SPDX-License-Identifier: Apache-2.0
// The command line of cygnetd, as main and as a role: main hands its settings on by the same
// options.
#pragma once
#include "daemon/role.h"

enum { ROLE_ARGUMENTS_MAX = 40, FDS_TEXT_MAX = 4096 };

struct arguments {
    struct role_options options;
    bool foreground, to_syslog;
    const char *vici_path;
};

enum arguments_result {
    ARGUMENTS_RUN = 1,
    ARGUMENTS_END_GOOD,
    ARGUMENTS_END_BAD
}; // END: something was printed instead
enum arguments_result arguments_read(int argc, char **argv, struct arguments *out);

// The command line for a role: texts live in the arena. Clears close-on-exec of the descriptors
// that this role gets.
char **arguments_for_role(const struct arguments *arguments, const struct role_options *options,
                          struct arena *arena);
