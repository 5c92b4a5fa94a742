// SPDX-License-Identifier: Apache-2.0
// What a worker sends through its sockets: sealed packets are gathered, those of one SA and size in
// one message that the kernel cuts again (UDP_SEGMENT), and go out by one system call.
#pragma once
#include "daemon/worker.h"

struct sending *sending_new(void);
// Borrows the packet until the next flush.
void sending_add(struct worker *worker, const struct packet *packet);
// Sends a packet that is larger than an IPv6 path takes, in fragments; false when it is not, or when
// we do not know of our own address (worker_mtu.c).
bool worker_send_cut(struct worker *worker, const struct packet *packet);
// Fragments of a packet with their headers, where the packet's way leads (worker_modes.c).
worker_way worker_send_pieces;
void sending_flush(struct worker *worker);
// What a system call's errno means for a packet.
enum fault send_fault(int error);
