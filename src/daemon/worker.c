// SPDX-License-Identifier: Apache-2.0
// The packet worker.
#include "daemon/worker.h"
#include "daemon/streams.h"
#include "daemon/worker_send.h"
#include "esp/gso.h"
#include "esp/ip.h"
#include "os/sockaddr.h"
#include "os/tun.h"
#include <assert.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    ESP_SIZE_MIN = 8, // RFC 4303 2: SPI and sequence number
    RELEASES_MAX = 64,
    FRAME_LARGE = 16384, // bytes: from here on a frame is a burst of its own
    // Received at once while they are joined ones, so that what is received stays in the cache.
    MESSAGES_JOINED = 16,
    MESSAGES_LARGE = 4,
    MESSAGE_LARGE = 32768, // bytes
    MARKED_A_TICK = 64,
    SHARED_SIZE = PACKET_MAX + 128 * BURST_MAX,
};

struct receiving { // what one system call receives
    struct mmsghdr messages[BURST_MAX];
    struct iovec vectors[BURST_MAX];
    union sockaddr_any names[BURST_MAX];
    union pktinfo_control controls[BURST_MAX];
    uint8_t frame[GSO_FRAME_MAX];    // from the TUN device
    struct gso_join join;            // to it
    uint8_t gathered[GSO_FRAME_MAX]; // likewise: a frame of small packets
    // Packets of frames of the burst, laid out so that they stand one behind the other once they are sealed: the kernel then gathers
    // a run of them from one piece.
    uint8_t shared[SHARED_SIZE];
    uint32_t shared_used;
};

void worker_init(struct worker *worker, const struct role_options *options, unsigned index,
                 struct plane *plane)
{
    *worker = (struct worker){
        .index = index,
        .workers = options->workers,
        .plane = plane,
        .bypass4 = options->bypass4,
        .bypass6 = options->bypass6,
        .whole4 = options->whole4,
        .whole6 = options->whole6,
        .sockets = {[SOCKET_UDP4] = options->udp4.esp[index],
                    [SOCKET_UDP6] = options->udp6.esp[index],
                    [SOCKET_RAW4] = options->raw4[index],
                    [SOCKET_RAW6] = options->raw6[index],
                    [SOCKET_AH4] = options->ah4[index],
                    [SOCKET_AH6] = options->ah6[index]},
        .port_nat = options->port_nat,
        .received_most = BURST_MAX,
        .sending = sending_new(),
        .receiving = NEW(struct receiving),
    };
    for (unsigned i = 0; i < BURST_MAX; i++) {
        worker->packets[i].space = mem_new(PACKET_BUFFER);
        worker->pieces[i].space = mem_new(PACKET_BUFFER);
    }
    for (unsigned i = 0; i < PLANE_DEVICES_MAX; i++) worker->devices[i].fd = -1;
    worker_device_set(worker, 0, options->tun[index]);
    // The kernel gives answers of a flow to the queue that the flow came out of: of the worker who
    // is to seal them.
    worker->devices[0].out = options->tun[worker_partner(index, options->workers)];
}

void worker_device_set(struct worker *worker, uint16_t number, int fd)
{
    struct worker_device *device = &worker->devices[number];
    *device = (struct worker_device){.fd = fd, .out = fd};
    enum tun_offload offload = fd < 0 ? TUN_NO_OFFLOAD : tun_offload(fd, TUN_OFFLOAD_UDP);
    if (offload >= TUN_OFFLOAD_TCP) device->joins |= GSO_TAKES_TCP;
    if (offload >= TUN_OFFLOAD_UDP) device->joins |= GSO_TAKES_UDP;
}

static void buffer_wipe(struct packet *packet)
{
    uint8_t *own = packet_buffer(packet);
    memory_wipe(own, PACKET_BUFFER);
    free(own);
}

void worker_wipe(struct worker *worker)
{
    for (unsigned i = 0; i < BURST_MAX; i++) {
        buffer_wipe(&worker->packets[i]);
        buffer_wipe(&worker->pieces[i]);
    }
    memory_wipe(worker->receiving, sizeof *worker->receiving);
    free(worker->receiving);
    free(worker->sending);
    worker_cut_free(worker);
}

// An empty packet in the buffer of its place, to be filled behind the head room.
static struct packet *packet_reset(struct packet *packet)
{
    uint8_t *own = packet_buffer(packet);
    *packet = (struct packet){.space = own, .room = PACKET_BUFFER, .at = own + PACKET_HEAD};
    return packet;
}

// To a place among others, of `room` bytes; `at` is in it.
static void packet_share(struct packet *packet, uint8_t *space, uint32_t room, uint8_t *at)
{
    packet->spare = packet->space;
    packet->space = space;
    packet->room = room;
    packet->at = at;
}

// There is one set of buffers. What is called while a burst is under way (messages of the ike role
// are handled then) must not begin another.
static void hands_fill(struct worker *worker)
{
    assert(!worker->busy);
    worker->busy = true;
}

static void hands_empty(struct worker *worker)
{
    assert(worker->busy);
    worker->busy = false;
}

// --- packets that go on

// Destinations that mean the link a packet is on, or a group: what the kernel itself sends into any
// device that comes up.
static bool is_link_scope4(const uint8_t *to)
{
    return to[0] >= 224;
}

static bool is_link_scope6(const uint8_t *to)
{
    return to[0] == 0xff || (to[0] == 0xfe && (to[1] & 0xc0) == 0x80);
}

// A complete IP packet goes out by its own header.
static void send_whole(struct worker *worker, const struct packet *packet)
{
    union sockaddr_any to = {0};
    socklen_t size;
    int fd;
    if (packet->size >= sizeof(struct iphdr) && packet->at[0] >> 4 == 4) {
        const uint8_t *destination = packet->at + offsetof(struct iphdr, daddr);
        if (is_link_scope4(destination)) return;
        to.v4.sin_family = AF_INET;
        memcpy(&to.v4.sin_addr, destination, 4);
        size = sizeof to.v4;
        fd = worker->bypass4;
    } else if (packet->size >= sizeof(struct ip6_hdr) && packet->at[0] >> 4 == 6) {
        const uint8_t *destination = packet->at + offsetof(struct ip6_hdr, ip6_dst);
        if (is_link_scope6(destination)) return;
        to.v6.sin6_family = AF_INET6;
        memcpy(&to.v6.sin6_addr, destination, 16);
        size = sizeof to.v6;
        fd = worker->bypass6;
    } else {
        return;
    }
    if (fd < 0)
        worker->dropped[FAULT_NO_ROUTE]++;
    else if (sendto(fd, packet->at, packet->size, MSG_DONTWAIT | MSG_NOSIGNAL, &to.any, size) < 0)
        worker->dropped[send_fault(errno)]++;
}

// Small packets, copied together.
static ssize_t parts_write(struct worker *worker, int fd, const struct gso_frame *frame,
                           const struct bytes *parts, unsigned count)
{
    uint8_t *gathered = worker->receiving->gathered;
    size_t size = sizeof frame->head;
    memcpy(gathered, frame->head, size);
    for (unsigned i = 0; i < count; i++) {
        memcpy(gathered + size, parts[i].at, parts[i].size);
        size += parts[i].size;
    }
    return write(fd, gathered, size);
}

static ssize_t parts_writev(int fd, struct gso_frame *frame, const struct bytes *parts,
                            unsigned count)
{
    struct iovec vectors[1 + BURST_MAX];
    vectors[0] = (struct iovec){.iov_base = frame->head, .iov_len = sizeof frame->head};
    for (unsigned i = 0; i < count; i++)
        vectors[1 + i] =
            (struct iovec){.iov_base = (void *)(uintptr_t)parts[i].at, .iov_len = parts[i].size};
    return writev(fd, vectors, (int)count + 1);
}

static void frame_write(struct worker *worker, int fd, struct gso_frame *frame,
                        struct packet *const *packets)
{
    struct bytes parts[BURST_MAX];
    unsigned count = gso_parts(&worker->receiving->join, frame, packets, parts);
    ssize_t written = frame->size <= count * PIECE_SMALL
                          ? parts_write(worker, fd, frame, parts, count)
                          : parts_writev(fd, frame, parts, count);
    if (written < 0) worker->dropped[FAULT_TUN_REFUSED] += count;
}

// All to one device.
static void deliver(struct worker *worker, struct packet *const *packets, size_t count)
{
    const struct worker_device *device = &worker->devices[packets[0]->device];
    struct gso_join *join = &worker->receiving->join;
    if (device->fd < 0) {
        worker->dropped[FAULT_DEVICE_MISSING] += count;
        return;
    }
    gso_join(join, packets, count, device->joins);
    for (unsigned i = 0; i < join->count; i++)
        frame_write(worker, device->out, &join->frames[i], packets);
}

static void bypass(struct worker *worker, struct packet *const *packets, size_t count)
{
    for (size_t i = 0; i < count; i++) send_whole(worker, packets[i]);
}

static void packets_pass(struct worker *worker, struct packet *const *packets, size_t count)
{
    struct packet *inner[BURST_MAX];
    size_t delivered = 0;
    for (size_t i = 0; i < count; i++) {
        struct packet *packet = packets[i];
        switch (packet->verdict) {
        case VERDICT_SEND:
            if (packet->outer == OUTER_WHOLE)
                worker_send_whole(worker, packet);
            else if (packet->outer == OUTER_STREAM && worker->index)
                worker_hand_copy(worker, packet, 0, HAND_STREAM);
            else if (packet->outer == OUTER_STREAM)
                streams_send_esp(worker->streams, packet);
            else
                sending_add(worker, packet);
            break;
        case VERDICT_DELIVER:
            if (delivered && (inner[0]->device != packet->device || worker_is_cut(packet))) {
                deliver(worker, inner, delivered);
                delivered = 0;
            }
            if (worker_is_cut(packet))
                worker_cut(worker, packet, deliver);
            else
                inner[delivered++] = packet;
            break;
        case VERDICT_FRAGMENT:
            sending_flush(worker); // in their order
            worker_cut(worker, packet, worker_seal_pieces);
            break;
        case VERDICT_SEAL_ELSEWHERE:
            worker_hand(worker, packet, packet->worker, HAND_SEAL);
            break;
        case VERDICT_OPEN_ELSEWHERE:
            worker_hand(worker, packet, packet->worker, HAND_OPEN);
            break;
        case VERDICT_BYPASS:
            // No policy protects the packet: it goes out as if the TUN device had not been there.
            if (worker_is_cut(packet))
                worker_cut(worker, packet, bypass);
            else
                send_whole(worker, packet);
            break;
        case VERDICT_DROP: // counted by the plane, as is what it holds
        case VERDICT_HELD:
        case VERDICT_GATHERED: // comes in another form
            break;
        }
    }
    sending_flush(worker);
    if (delivered) deliver(worker, inner, delivered);
}

static void packets_dispatch(struct worker *worker, unsigned count)
{
    struct packet *more[BURST_MAX];
    size_t more_count;
    packets_pass(worker, worker->list, count);
    nsec now = role_now();
    while ((more_count = plane_more(worker->plane, now, more)))
        packets_pass(worker, more, more_count);
    worker_hand_done(worker);
}

void worker_due(struct worker *worker)
{
    hands_fill(worker);
    packets_dispatch(worker, 0);
    hands_empty(worker);
}

// --- outward

static void hear(struct worker *worker)
{
    if (worker->hear) worker->hear(worker->hear_context);
}

static void burst_seal(struct worker *worker, unsigned count)
{
    if (!count) return;
    // The ike role tells us of a policy before it tells the net role, which makes the route: so
    // whatever packet came by that route, its policy is waiting here by now.
    hear(worker);
    unsigned outward = worker->transit && !worker->source ? worker_open_transit(worker, count) : count;
    plane_seal(worker->plane, role_now(), worker->list, outward);
    packets_dispatch(worker, count);
}

// A place for the next packet of a frame.
static void packet_place(struct worker *worker, struct packet *packet, const struct plane_room *room,
                         uint32_t size)
{
    struct receiving *space = worker->receiving;
    uint32_t whole = room->head ? plane_room_size(room, size) : 0;
    if (!whole || whole > SHARED_SIZE - space->shared_used) return;
    uint8_t *at = space->shared + space->shared_used;
    packet_share(packet, at, whole, at + room->head);
    space->shared_used += whole;
}

// Cuts the frame into packets and adds them to the burst, which is sealed whenever it is full.
static unsigned frame_cut(struct worker *worker, nsec now, size_t size, unsigned count)
{
    struct gso_cut cut;
    enum fault fault = gso_cut_start(&cut, worker->receiving->frame, size);
    if (fault) {
        worker->dropped[fault]++;
        return count;
    }
    struct plane_room room = {0};
    if (cut.header) {
        room = plane_room_of(worker->plane, now, worker->source, cut.at, cut.size);
        gso_cut_limit(&cut, room.mtu);
    }
    bool follows = false;
    for (uint32_t next; (next = gso_cut_size(&cut)); follows = cut.header) {
        if (count == BURST_MAX) {
            burst_seal(worker, count);
            count = 0;
        }
        if (!count) {
            worker->receiving->shared_used = 0;
            follows = false;
        }
        struct packet *packet = packet_reset(&worker->packets[count]);
        packet->device = worker->source;
        packet->follows = follows;
        packet_place(worker, packet, &room, next);
        packet->size = gso_cut_next(&cut, packet->at);
        worker->list[count++] = packet;
    }
    if (size < FRAME_LARGE) return count;
    burst_seal(worker, count);
    return 0;
}

void worker_outward(struct worker *worker, uint16_t device)
{
    unsigned count = 0;
    nsec now = role_now();
    hands_fill(worker);
    worker->source = device;
    for (unsigned i = 0; i < BURST_MAX; i++) {
        ssize_t size = read(worker->devices[device].fd, worker->receiving->frame, GSO_FRAME_MAX);
        if (size <= 0) break;
        count = frame_cut(worker, now, (size_t)size, count);
    }
    burst_seal(worker, count);
    hands_empty(worker);
}

// One burst of those that waited; false when there are no more.
static bool held_seal(struct worker *worker, nsec oldest)
{
    for (unsigned i = 0; i < BURST_MAX; i++) worker->list[i] = packet_reset(&worker->packets[i]);
    size_t count = plane_released(worker->plane, oldest, worker->list, BURST_MAX);
    if (!count) return false;
    plane_seal(worker->plane, role_now(), worker->list, count);
    packets_dispatch(worker, (unsigned)count);
    return true;
}

void worker_release(struct worker *worker, nsec oldest)
{
    hands_fill(worker);
    for (unsigned i = 0; i < RELEASES_MAX && held_seal(worker, oldest); i++) continue;
    hands_empty(worker);
}

// --- inward

// RFC 791 3.1: raw IPv4 sockets hand out the IP header too.
static bool header_strip(struct packet *packet)
{
    uint32_t size =
        packet->size >= sizeof(struct iphdr) ? (uint32_t)(packet->at[0] & 15) * 4 : UINT32_MAX;
    if (size < sizeof(struct iphdr) || size > packet->size) return false;
    packet->ttl = ip_ttl(packet->at);
    packet->df = get_u16(packet->at + 6) & IPV4_DONT_FRAGMENT;
    packet->head = (uint16_t)size;
    packet->at += size;
    packet->size -= size;
    return true;
}

// A datagram for the ike role, which the kernel had joined to a run of ESP. That happens seldom,
// and anybody can make it happen: what is too much is lost, as datagrams are.
void worker_forward(struct worker *worker, const struct packet *packet)
{
    if (worker->index) {
        worker_hand_copy(worker, packet, 0, HAND_MARKED);
        return;
    }
    struct datagram_message message = {.local = packet->to,
                                       .remote = packet->from,
                                       .tos = packet->tos,
                                       .bytes = bytes_of(packet->at, packet->size)};
    if (packet->size > DATAGRAM_MESSAGE_MAX || worker->marked++ >= MARKED_A_TICK) return;
    uint8_t space[DATAGRAM_MESSAGE_MAX + 256];
    struct wr out = message_begin(space, sizeof space, MESSAGE_DATAGRAM, 0);
    datagram_put(&out, &message);
    link_send(worker->ike, &out);
}

// True when there is an ESP packet for the plane.
static bool packet_accept(struct worker *worker, enum socket_kind kind, struct packet *packet)
{
    bool udp = packet->outer == OUTER_UDP;
    // RFC 3948 2.3: a keepalive is one byte of ones.
    if (udp && packet->size == 1 && packet->at[0] == 0xff) {
        worker->keepalives++;
        return false;
    }
    bool header = kind == SOCKET_RAW4 || kind == SOCKET_AH4;
    if ((header && !header_strip(packet)) || packet->size < ESP_SIZE_MIN) {
        worker->dropped[FAULT_TRUNCATED]++;
        return false;
    }
    // RFC 3948 2.2: four zero bytes are no SPI but the mark of IKE.
    if (udp && get_u32(packet->at) == 0) {
        worker_forward(worker, packet);
        return false;
    }
    return true;
}

// What the socket tells of a message, which may be several packets.
static void packet_received(struct worker *worker, enum socket_kind kind, struct packet *packet,
                            struct msghdr *head, unsigned size)
{
    bool udp = kind == SOCKET_UDP4 || kind == SOCKET_UDP6;
    packet->size = size;
    packet->outer = udp ? OUTER_UDP : OUTER_RAW;
    packet->from = sockaddr_endpoint(head->msg_name);
    control_read(head, &packet->to.addr, &packet->tos);
    if (udp)
        packet->to.port = worker->port_nat;
    else
        packet->from.port = 0;
    if (udp || kind == SOCKET_RAW6) packet->ttl = control_read_hop_limit(head);
    if (kind == SOCKET_AH4 || kind == SOCKET_AH6) packet->protocol = PROTOCOL_AH;
}

static void burst_open(struct worker *worker, unsigned count)
{
    if (!count) return;
    // The answer that makes an SA may be on its way to us while the peer uses it already.
    hear(worker);
    plane_open(worker->plane, role_now(), worker->list, count);
    packets_dispatch(worker, count);
}

// Packets of one message stay where they are, one behind the other, as long as none needs more room.
static unsigned message_split(struct worker *worker, enum socket_kind kind,
                              const struct packet *whole, uint32_t segment, unsigned count)
{
    // They make a burst, so that what belongs together is joined again.
    uint32_t segments = (whole->size + segment - 1) / segment;
    if (count + segments > BURST_MAX) {
        burst_open(worker, count);
        count = 0;
    }
    for (uint32_t at = 0; at < whole->size; at += segment) {
        if (count == BURST_MAX) {
            burst_open(worker, count);
            count = 0;
        }
        struct packet *packet = packet_reset(&worker->pieces[count]);
        packet->size = whole->size - at < segment ? whole->size - at : segment;
        packet->outer = whole->outer;
        packet->tos = whole->tos;
        packet->ttl = whole->ttl;
        packet->from = whole->from;
        packet->to = whole->to;
        packet_share(packet, whole->at + at, packet->size, whole->at + at);
        if (packet_accept(worker, kind, packet)) worker->list[count++] = packet;
    }
    return count;
}

static unsigned message_take(struct worker *worker, enum socket_kind kind, unsigned place,
                             unsigned count)
{
    struct packet *packet = &worker->packets[place];
    struct mmsghdr *message = &worker->receiving->messages[place];
    packet_received(worker, kind, packet, &message->msg_hdr, message->msg_len);
    if (message->msg_hdr.msg_flags & MSG_TRUNC) {
        worker->dropped[FAULT_TRUNCATED]++;
        return count;
    }
    uint32_t segment = packet->outer == OUTER_UDP ? control_read_segment(&message->msg_hdr) : 0;
    if (segment && segment < packet->size) {
        worker->received_most =
            packet->size < MESSAGE_LARGE ? MESSAGES_JOINED : MESSAGES_LARGE;
        return message_split(worker, kind, packet, segment, count);
    }
    if (!packet_accept(worker, kind, packet)) return count;
    if (count == BURST_MAX) {
        burst_open(worker, count);
        count = 0;
    }
    worker->list[count++] = packet;
    return count;
}

static int messages_receive(struct worker *worker, enum socket_kind kind, unsigned most)
{
    struct receiving *space = worker->receiving;
    for (unsigned i = 0; i < most; i++) {
        struct packet *packet = packet_reset(&worker->packets[i]);
        space->vectors[i] = (struct iovec){.iov_base = packet->at, .iov_len = PACKET_MAX};
        space->messages[i].msg_hdr = (struct msghdr){.msg_name = &space->names[i],
                                                     .msg_namelen = sizeof space->names[i],
                                                     .msg_iov = &space->vectors[i],
                                                     .msg_iovlen = 1,
                                                     .msg_control = &space->controls[i],
                                                     .msg_controllen = sizeof space->controls[i]};
    }
    return recvmmsg(worker->sockets[kind], space->messages, most, MSG_DONTWAIT, NULL);
}

void worker_inward(struct worker *worker, enum socket_kind kind)
{
    hands_fill(worker);
    int got = messages_receive(worker, kind, worker->received_most);
    unsigned count = 0;
    worker->received_most = BURST_MAX;
    for (int i = 0; i < got; i++) count = message_take(worker, kind, (unsigned)i, count);
    burst_open(worker, count);
    worker_hand_done(worker);
    hands_empty(worker);
}

void worker_take(struct worker *worker, const struct endpoint *from, const struct endpoint *to, struct bytes message)
{
    if (message.size < ESP_SIZE_MIN || message.size > PACKET_MAX) {
        worker->dropped[FAULT_TRUNCATED]++;
        return;
    }
    if (worker->taken == BURST_MAX) worker->taken_good = worker_open_taken(worker);
    struct packet *packet = packet_reset(&worker->pieces[worker->taken++]);
    packet->size = (uint32_t)message.size;
    packet->outer = OUTER_STREAM;
    packet->from = *from;
    packet->to = *to;
    memcpy(packet->at, message.at, message.size);
}

bool worker_open_taken(struct worker *worker)
{
    unsigned count = worker->taken;
    bool good = worker->taken_good;
    worker->taken = 0;
    for (unsigned i = 0; i < count; i++) worker->list[i] = &worker->pieces[i];
    burst_open(worker, count);
    for (unsigned i = 0; i < count; i++) {
        uint8_t verdict = worker->pieces[i].verdict;
        good |= verdict == VERDICT_DELIVER || verdict == VERDICT_GATHERED;
    }
    worker->taken_good = false;
    return good;
}

// --- from other workers

// RFC 9329 6.1: a connection that brings packets of our SAs is a peer's.
static void taken_prove(struct worker *worker, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct packet *packet = worker->list[i];
        bool good = packet->verdict == VERDICT_DELIVER || packet->verdict == VERDICT_GATHERED;
        if (packet->outer != OUTER_STREAM || !good) continue;
        worker->proven(worker->proven_context, packet);
        return; // the others follow in other bursts
    }
}

static void handed_open(struct worker *worker, unsigned count)
{
    hear(worker);
    plane_open(worker->plane, role_now(), worker->list, count);
    taken_prove(worker, count);
    unsigned outward = 0;
    if (worker->transit) {
        struct packet *opened[BURST_MAX];
        memcpy(opened, worker->list, count * sizeof *opened);
        outward = worker_sort_opened(worker, opened, count);
    }
    plane_seal(worker->plane, role_now(), worker->list, outward);
    packets_dispatch(worker, count);
}

static void handed_seal(struct worker *worker, unsigned count)
{
    hear(worker);
    plane_seal(worker->plane, role_now(), worker->list, count);
    packets_dispatch(worker, count);
}

void worker_handed_burst(struct worker *worker, enum hand kind, unsigned count)
{
    hands_fill(worker);
    for (unsigned i = 0; i < count; i++) worker->list[i] = &worker->packets[i];
    if (kind == HAND_SEAL) handed_seal(worker, count);
    if (kind == HAND_OPEN) handed_open(worker, count);
    for (unsigned i = 0; i < count && kind == HAND_STREAM; i++)
        streams_send_esp(worker->streams, worker->list[i]);
    for (unsigned i = 0; i < count && kind == HAND_MARKED; i++)
        worker_forward(worker, worker->list[i]);
    hands_empty(worker);
}

void worker_tick(struct worker *worker)
{
    worker->marked = 0;
}
