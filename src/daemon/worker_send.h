// SPDX-License-Identifier: Apache-2.0
// What a worker sends through its sockets: sealed packets are gathered, those of one SA and size in
// one message that the kernel cuts again (UDP_SEGMENT), and go out by one system call.
#pragma once
#include "daemon/worker.h"

struct sending *sending_new(void);
// Borrows the packet until the next flush.
void sending_add(struct worker *worker, const struct packet *packet);
void sending_flush(struct worker *worker);
// What a system call's errno means for a packet.
enum fault send_fault(int error);
