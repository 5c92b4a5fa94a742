// SPDX-License-Identifier: Apache-2.0
// Packets that are too large where they go, and may be cut: each becomes fragments, which are
// sealed and sent as any packet is, or go on as they are. There are few of them, and they need
// buffers of their own: the burst that they were found in is still in the worker's hands.
#include "daemon/worker_send.h"
#include "esp/ip.h"
#include "esp/pmtu.h"
#include "model/iana.h"
#include <sys/random.h>

enum { PIECES = 16, BUFFER_SIZE = PACKET_HEAD + MTU_BUFFER + PACKET_TAIL };

struct cutting {
    uint8_t space[PIECES][BUFFER_SIZE];
    struct packet packets[PIECES];
    struct packet *list[PIECES];
};

void worker_cut_free(struct worker *worker)
{
    if (worker->cutting) memory_wipe(worker->cutting, sizeof *worker->cutting);
    free(worker->cutting);
}

// A fragment is sent or lost: it is too small to be cut again, and nobody can be told of it.
void worker_seal_pieces(struct worker *worker, struct packet *const *pieces, size_t count)
{
    plane_seal(worker->plane, role_now(), pieces, count);
    for (size_t i = 0; i < count; i++) {
        struct packet *packet = pieces[i];
        // Behind the first piece there are no ports: another SA may have them (RFC 9611).
        if (packet->verdict == VERDICT_SEAL_ELSEWHERE)
            worker_hand_copy(worker, packet, packet->worker, HAND_SEAL);
        if (packet->verdict != VERDICT_SEND) continue;
        if (packet->outer == OUTER_WHOLE)
            worker_send_whole(worker, packet);
        else
            sending_add(worker, packet);
    }
    sending_flush(worker);
}

// RFC 7739 5.3: an identification that nobody can guess; those that a packet came with stay.
static uint32_t id_choose(const struct packet *whole)
{
    uint32_t id = whole->fragment_id;
    if (!whole->joined && getrandom(&id, sizeof id, GRND_NONBLOCK) != sizeof id)
        id = (uint32_t)role_now();
    return id;
}

static void piece_begin(const struct packet *whole, struct packet *piece, uint8_t *space)
{
    *piece = (struct packet){.space = space,
                             .at = space + PACKET_HEAD,
                             .room = BUFFER_SIZE,
                             .device = whole->device,
                             .from = whole->from,
                             .to = whole->to,
                             .verdict = whole->verdict,
                             .piece = true};
}

void worker_cut(struct worker *worker, const struct packet *whole, worker_way *way)
{
    struct fragmenting at;
    uint32_t limit = whole->limit < MTU_BUFFER ? whole->limit : MTU_BUFFER;
    size_t count = 0;
    if (!fragment_start(&at, whole->at, whole->size, limit, id_choose(whole))) {
        worker->dropped[FAULT_PATH_MTU]++;
        return;
    }
    if (!worker->cutting) worker->cutting = NEW(struct cutting);
    struct cutting *cutting = worker->cutting;
    for (;;) {
        struct packet *piece = &cutting->packets[count];
        piece_begin(whole, piece, cutting->space[count]);
        piece->size = fragment_next(&at, piece->at);
        if (!piece->size) break;
        cutting->list[count++] = piece;
        if (count < PIECES) continue;
        way(worker, cutting->list, count);
        count = 0;
    }
    if (count) way(worker, cutting->list, count);
}

// UDP over IPv6 has a checksum: RFC 8200 8.1.
static void udp_write(struct packet *packet)
{
    uint8_t *udp = packet->at + IPV6_HEADER;
    uint32_t size = packet->size - IPV6_HEADER;
    put_u16(udp, packet->from.port);
    put_u16(udp + 2, packet->to.port);
    put_u16(udp + 4, (uint16_t)size);
    put_u16(udp + 6, 0);
    uint32_t sum = ip_pseudo_sum(packet->at, IPPROTO_NUMBER_UDP, size);
    uint16_t field = sum_end(sum_add(sum, udp, size));
    put_u16(udp + 6, field ? field : UINT16_MAX);
}

// The headers that the kernel would write.
static void headers_write(struct packet *packet, bool udp)
{
    uint32_t before = IPV6_HEADER + (udp ? UDP_HEADER : 0u);
    const struct ip_fields fields = {.source = &packet->from.addr,
                                     .destination = &packet->to.addr,
                                     .protocol = udp ? IPPROTO_NUMBER_UDP : IPPROTO_NUMBER_ESP,
                                     .tos = packet->tos,
                                     .ttl = packet->ttl};
    packet->at -= before;
    packet->size += before;
    ip_make(packet->at, &fields, packet->size, 0);
    if (udp) udp_write(packet);
}

// RFC 8200 4.5: packets of IPv6 are cut by who sends them. The kernel cuts those that are larger
// than its device takes, and does not know how narrow the path is when routers cannot tell.
bool worker_send_cut(struct worker *worker, const struct packet *packet)
{
    struct packet whole = *packet;
    bool udp = packet->outer == OUTER_UDP;
    uint32_t before = IPV6_HEADER + (udp ? UDP_HEADER : 0u);
    if (!whole.limit) whole.limit = MTU_LEAST_V6;
    bool fits = before + packet->size <= whole.limit;
    if (fits || packet->piece || packet->from.addr.family != ADDR_V6 || worker->whole6 < 0 ||
        (size_t)(packet->at - packet->space) < before)
        return false;
    sending_flush(worker); // in their order
    if (udp && !whole.from.port) whole.from.port = worker->port_nat;
    headers_write(&whole, udp);
    worker_cut(worker, &whole, worker_send_pieces);
    return true;
}
