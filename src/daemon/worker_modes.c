// SPDX-License-Identifier: Apache-2.0
// Packets that have their own header when they leave: those of transport mode, which keep the one
// that they had, and those of AH, which protects the one that it makes.
//
//     an ordinary header, from us to the peer   as payload of the ESP or UDP socket, in one system
//                                               call with others; the kernel writes it again, and
//                                               cuts a packet that is too large for the path
//     any other                                 whole, by a raw socket, which cuts nothing: we do
//
// Transport mode between gateways: its packets are addressed to the hosts behind us. Routing brings
// them to the TUN device, among the packets that are to be sealed.
#include "daemon/worker_send.h"
#include "esp/ip.h"
#include "esp/pmtu.h"
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

static int socket_of(const struct worker *worker, const struct packet *packet)
{
    return packet->to.addr.family == ADDR_V6 ? worker->whole6 : worker->whole4;
}

// The destination leads the way, the header says whom it is for: between gateways they differ.
static int whole_try(struct worker *worker, const struct packet *packet)
{
    struct endpoint to = {.addr = packet->to.addr};
    union sockaddr_any name;
    socklen_t size = sockaddr_of(&to, &name);
    ssize_t sent = sendto(socket_of(worker, packet), packet->at, packet->size,
                          MSG_DONTWAIT | MSG_NOSIGNAL, &name.any, size);
    return sent < 0 ? errno : 0;
}

void worker_send_pieces(struct worker *worker, struct packet *const *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int error = whole_try(worker, pieces[i]);
        if (error) worker->dropped[send_fault(error)]++;
    }
}

// The device became narrower than the path was; the SA will hear of it.
static void cut_least(struct worker *worker, struct packet *packet)
{
    packet->limit = packet->at[0] >> 4 == 4 ? MTU_LEAST_V4 : MTU_LEAST_V6;
    worker_cut(worker, packet, worker_send_pieces);
}

void worker_send_whole(struct worker *worker, struct packet *packet)
{
    if (packet->head) {
        header_drop(packet);
        sending_add(worker, packet);
        return;
    }
    if (socket_of(worker, packet) < 0) {
        worker->dropped[FAULT_NO_ROUTE]++;
        return;
    }
    if (worker_is_cut(packet)) {
        worker_cut(worker, packet, worker_send_pieces);
        return;
    }
    int error = whole_try(worker, packet);
    bool may_be_cut = packet->at[0] >> 4 == 4 || packet->joined || packet->oversize;
    if (error == EMSGSIZE && may_be_cut && !packet->piece)
        cut_least(worker, packet);
    else if (error)
        worker->dropped[send_fault(error)]++;
}

// What is no one of ours is outward: ESP of a host behind us, or for one.
unsigned worker_sort_opened(struct worker *worker, struct packet *const *opened, unsigned count)
{
    struct packet *inward[BURST_MAX];
    unsigned outward_count = 0, inward_count = 0;
    for (unsigned i = 0; i < count; i++) {
        bool passes = opened[i]->transit && opened[i]->verdict == VERDICT_BYPASS;
        if (passes) opened[i]->transit = false;
        if (passes)
            worker->list[outward_count++] = opened[i];
        else
            inward[inward_count++] = opened[i];
    }
    memcpy(worker->list + outward_count, inward, inward_count * sizeof *inward);
    return outward_count;
}

// What was dropped or is kept stays in the list, as what has its verdict does.
unsigned worker_open_transit(struct worker *worker, unsigned count)
{
    struct packet *inward[BURST_MAX], *outward[BURST_MAX], *done[BURST_MAX];
    unsigned inward_count = 0, outward_count = 0, done_count = 0;
    for (unsigned i = 0; i < count; i++) {
        struct packet *packet = worker->list[i];
        packet->follows = false;
        plane_transit(worker->plane, role_now(), packet);
        if (packet->verdict == VERDICT_SEND)
            outward[outward_count++] = packet;
        else if (packet->verdict == VERDICT_DELIVER)
            inward[inward_count++] = packet;
        else
            done[done_count++] = packet;
    }
    plane_open(worker->plane, role_now(), inward, inward_count);
    unsigned passes = worker_sort_opened(worker, inward, inward_count);
    memcpy(outward + outward_count, worker->list, inward_count * sizeof *outward);
    outward_count += inward_count;
    memcpy(outward + outward_count, done, done_count * sizeof *done);
    memcpy(worker->list, outward, count * sizeof *outward);
    return outward_count - inward_count + passes;
}
