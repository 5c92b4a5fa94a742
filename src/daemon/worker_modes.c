// SPDX-License-Identifier: Apache-2.0
// Packets that have their own header when they leave: those of transport mode, which keep the one
// that they had, and those of AH, which protects the one that it makes.
//
//     an ordinary header, from us to the peer   as payload of the ESP or UDP socket, in one system
//                                               call with others; the kernel writes it again, and
//                                               cuts a packet that is too large for the path
//     any other                                 whole, by a raw socket
#include "daemon/worker_send.h"
#include "esp/ip.h"
#include "os/sockaddr.h"
#include <errno.h>

// What was before the payload is known from the packet's other fields.
static void header_drop(struct packet *packet)
{
    uint32_t ip = ip_header_size(packet->to.addr.family);
    bool udp = packet->head > ip;
    packet->outer = udp ? OUTER_UDP : OUTER_RAW;
    if (udp) packet->to.port = get_u16(packet->at + ip + 2);
    packet->at += packet->head;
    packet->size -= packet->head;
}

void worker_send_whole(struct worker *worker, struct packet *packet)
{
    if (packet->head) {
        header_drop(packet);
        sending_add(worker, packet);
        return;
    }
    // The destination leads the way, the header says whom it is for: between gateways they differ.
    struct endpoint to = {.addr = packet->to.addr};
    union sockaddr_any name;
    socklen_t size = sockaddr_of(&to, &name);
    int fd = to.addr.family == ADDR_V6 ? worker->whole6 : worker->whole4;
    if (fd < 0)
        worker->dropped[FAULT_NO_ROUTE]++;
    else if (sendto(fd, packet->at, packet->size, MSG_DONTWAIT | MSG_NOSIGNAL, &name.any, size) < 0)
        worker->dropped[send_fault(errno)]++;
}
