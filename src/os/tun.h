// SPDX-License-Identifier: Apache-2.0
// The TUN device: where the kernel hands us packets that a policy covers, and where opened ones
// come out. It lives as long as a descriptor of it is open.
#pragma once
#include "base/fault.h"
#include <stddef.h>

enum { TUN_NAME_MAX = 15 };

// Makes the device with that many queues, non-blocking. After a fault *text says what the kernel
// said (static).
CHECKED enum fault tun_open(const char *name, unsigned queues, int *fds, const char **text);
// Throws away what waits in the queues; returns how many packets that were.
size_t tun_drain(const int *fds, unsigned queues);
