// SPDX-License-Identifier: Apache-2.0
// What main opens with the rights of root before any role runs, and keeps for all their lives.
#pragma once
#include "daemon/arguments.h"

// Fills the descriptors of options. Logs what failed and why; false: the daemon cannot run.
bool open_all(struct arguments *arguments);
// Writes the process number into the file that open_all() locked.
void open_write_pid(void);
// At the end: removes the files.
void close_all(const struct arguments *arguments);
// Stops the flow into the TUN device between two lives: its routes go with its being down, what
// waits in it is dropped.
void tun_quiet(const struct role_options *options);
