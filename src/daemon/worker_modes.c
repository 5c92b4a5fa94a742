// SPDX-License-Identifier: Apache-2.0
// Packets that have their own header when they leave: those of transport mode, which keep the one
// that they had, and those of AH, which protects the one that it makes.
//
//     an ordinary header, from us to the peer   as payload of the ESP or UDP socket, in one system
//                                               call with others; the kernel writes it again, and
//                                               cuts a packet that is too large for the path
//     any other                                 whole, by a raw socket
//
// Transport mode between gateways: its packets are addressed to the hosts behind us. Routing brings
// them to the TUN device, among the packets that are to be sealed.
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

static bool is_transit(struct packet *packet)
{
    const uint8_t *ip = packet->at;
    uint32_t least = packet->size && ip[0] >> 4 == 6 ? IPV6_HEADER : IPV4_HEADER;
    if (packet->size < least) return false;
    uint8_t protocol = least == IPV6_HEADER ? ip[6] : ip[9];
    if (protocol != IPPROTO_NUMBER_ESP) return false;
    if (packet_split(packet) != OK) return false;
    packet->transit = true;
    return true;
}

// What is no one of ours is outward: ESP of a host behind us, or for one.
unsigned worker_open_transit(struct worker *worker, unsigned count)
{
    struct packet *opened[BURST_MAX], *outward[BURST_MAX];
    unsigned opened_count = 0, outward_count = 0, inward_count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (is_transit(worker->list[i]))
            opened[opened_count++] = worker->list[i];
        else
            outward[outward_count++] = worker->list[i];
    }
    if (!opened_count) return count;
    plane_open(worker->plane, role_now(), opened, opened_count);
    for (unsigned i = 0; i < opened_count; i++) {
        if (opened[i]->verdict != VERDICT_BYPASS) {
            opened[inward_count++] = opened[i];
            continue;
        }
        opened[i]->transit = false;
        outward[outward_count++] = opened[i];
    }
    memcpy(worker->list, outward, outward_count * sizeof *outward);
    memcpy(worker->list + outward_count, opened, inward_count * sizeof *opened);
    return outward_count;
}
