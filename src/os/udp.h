// SPDX-License-Identifier: Apache-2.0
// UDP sockets for IKE and for ESP in UDP (RFC 3948). On port 4500 two kinds of reader share the
// port by SO_REUSEPORT: a socket filter in the kernel gives datagrams that begin with the non-ESP
// marker (four zero bytes) to the ike role and all others to an esp worker, so no process forwards
// for another. All sockets carry our routing mark so that what they send is never routed into the
// tunnel device.
#pragma once
#include "base/addr.h"
#include "base/fault.h"

enum { UDP_BATCH_MAX = 64 };

struct udp_ports { // one family; -1 where it could not be had
    int ike;       // port 500
    int ike_nat;   // port 4500, non-ESP marker
    int esp[16];   // port 4500, the rest; one a worker
};
// Opens and binds. FAULT_PORT_IN_USE tells which port and, where /proc tells, by which process in
// *text (static buffer).
CHECKED enum fault udp_open(enum addr_family family, uint16_t port, uint16_t port_nat,
                            unsigned workers, uint32_t mark, struct udp_ports *out,
                            const char **text);
// Receives one datagram with the address it was sent to (IP_PKTINFO) and its TOS. false: nothing
// now.
struct datagram {
    struct endpoint local, remote;
    uint8_t tos;
    size_t size;
};
bool udp_receive(int fd, uint16_t local_port, void *space, size_t room, struct datagram *out);
// The same, but neither this host nor a router may fragment it, whatever the kernel believes of the path.
CHECKED enum fault udp_send_uncut(int fd, const struct endpoint *local, const struct endpoint *remote, uint8_t tos, struct bytes bytes);
CHECKED enum fault udp_send(int fd, const struct endpoint *local, const struct endpoint *remote,
                            uint8_t tos, struct bytes bytes);
// The address from which the kernel would send to remote (honours our mark).
CHECKED enum fault udp_source(const struct addr *remote, uint32_t mark, struct addr *source);
