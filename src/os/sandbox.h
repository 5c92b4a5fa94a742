// SPDX-License-Identifier: Apache-2.0
// A process gives up what its role does not need: user, file system, capabilities, new programs,
// traces by others.
#pragma once
#include "base/fault.h"
#include <stdbool.h>

struct sandbox {
    const char *empty_root; // directory to be locked into; NULL: stays where it is
    bool net_admin;         // keeps CAP_NET_ADMIN
    bool read_all;          // keeps CAP_DAC_READ_SEARCH: configuration and keys belong to root
    bool lock_memory;       // nothing is ever swapped out
    bool no_files; // system calls that open files, run programs or look into others are refused
};

// The user that processes change to: "cygnet" where it exists, else "nobody". False when this
// process is not root.
bool sandbox_user(unsigned *uid, unsigned *gid, const char **name);
// *text says what could not be done, also where that is no fault (NULL: nothing). Started by
// another user than root it drops what there is and says so.
CHECKED enum fault sandbox_enter(const struct sandbox *sandbox, const char **text);
