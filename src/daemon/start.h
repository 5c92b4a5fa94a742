// SPDX-License-Identifier: Apache-2.0
// The beginning of a role's process.
#pragma once
#include "daemon/role.h"

enum { EXIT_NEIGHBOUR = 3 }; // ended because the process at the other end of a channel did

// Gives up what the role does not need and runs it; returns the process's status.
int role_start(const struct role_options *options);
