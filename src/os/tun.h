// SPDX-License-Identifier: Apache-2.0
// The TUN device: where the kernel hands us packets that a policy covers, and where opened ones
// come out. It lives as long as a descriptor of it is open.
#pragma once
#include "base/fault.h"
#include <stddef.h>

enum { TUN_NAME_MAX = 15 };

// Frames of several segments that the kernel hands out and takes, all or none of a line: TCP is there
// everywhere, UDP since Linux 6.2.
enum tun_offload { TUN_NO_OFFLOAD, TUN_OFFLOAD_TCP, TUN_OFFLOAD_UDP };

// Makes the device with that many queues, non-blocking, with whatever offload the kernel has. After a
// fault *text says what the kernel said (static).
CHECKED enum fault tun_open(const char *name, unsigned queues, int *fds, const char **text);
// Asks for offload up to `most`; returns what there is now, for all queues.
enum tun_offload tun_offload(int fd, enum tun_offload most);
// A device with one queue that stays when the queue is closed, made or taken over from a process that is gone.
CHECKED enum fault tun_keep(const char *name, int *fd, const char **text);
void tun_let_go(int fd); // it goes with its last descriptor
// Throws away what waits in the queues; returns how many packets that were.
size_t tun_drain(const int *fds, unsigned queues);
