// SPDX-License-Identifier: Apache-2.0
// A channel between two of our processes: a SOCK_SEQPACKET socket, non-blocking, with a bounded
// queue for what the kernel does not take at once. One packet is one message; descriptors may
// travel with it.
#pragma once
#include "base/bytes.h"
#include "base/fault.h"

enum { IPC_MESSAGE_MAX = 256 * 1024, IPC_FDS_MAX = 4 };

struct ipc;
// Takes the descriptor. queue_max: bytes that may wait; beyond it ipc_send() fails with
// FAULT_IPC_QUEUE_FULL.
struct ipc *ipc_new(int fd, size_t queue_max);
void ipc_free(struct ipc *ipc);
int ipc_fd(const struct ipc *ipc);
bool ipc_wants_write(const struct ipc *ipc);
CHECKED enum fault ipc_send(struct ipc *ipc, struct bytes message, const int *fds,
                            size_t fd_count);  // queues when it must
CHECKED enum fault ipc_flush(struct ipc *ipc); // when writable
// OK with a message (borrowed until the next call), FAULT_IPC_EMPTY when there is none now,
// FAULT_IPC_CLOSED at the end.
CHECKED enum fault ipc_receive(struct ipc *ipc, struct bytes *message, int *fds, size_t *fd_count);
void ipc_forget(struct ipc *ipc); // wipes what was received last, when no other call will soon
CHECKED enum fault ipc_pair(int fds[2]);
