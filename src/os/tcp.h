// SPDX-License-Identifier: Apache-2.0
// TCP sockets for IKE and ESP in a stream (RFC 9329). They carry our routing mark, like the UDP ones. Setting a mark needs a capability that
// the process which uses them does not have, so they are made before: one that listens, and some to connect with, which can be used
// again and again.
#pragma once
#include "base/addr.h"
#include "base/fault.h"

enum { TCP_BACKLOG = 128 };

CHECKED enum fault tcp_listen(enum addr_family family, uint16_t port, uint32_t mark, int *out);
int tcp_make(enum addr_family family, uint32_t mark);   // not connected; -1: refused
// Begins to connect; writable when that is over, then tcp_error() tells how. local: the address, its port is not taken.
CHECKED enum fault tcp_connect(int fd, const struct addr *local, const struct endpoint *remote);
int tcp_error(int fd);     // an errno; 0: connected
void tcp_reset(int fd);    // ends the connection at once; the socket may connect anew
int tcp_accept(int listening, struct endpoint *local, struct endpoint *remote);   // -1: nothing now
