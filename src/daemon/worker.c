// SPDX-License-Identifier: Apache-2.0
// The packet worker.
#include "daemon/worker.h"
#include "esp/ip.h"
#include "os/sockaddr.h"
#include <assert.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER_SIZE = PACKET_HEAD + PACKET_MAX + PACKET_TAIL,
    ESP_SIZE_MIN = 8, // RFC 4303 2: SPI and sequence number
    RELEASES_MAX = 64,
    SEND_WAIT_MS = 5,
};

struct sending { // messages for one socket, sent by one system call
    enum socket_kind kind;
    bool df, df_set[SOCKET_KINDS];
    unsigned count;
    struct mmsghdr messages[BURST_MAX];
    struct iovec vectors[BURST_MAX];
    union sockaddr_any names[BURST_MAX];
    union pktinfo_control controls[BURST_MAX];
};

void worker_init(struct worker *worker, const struct role_options *options, unsigned index,
                 struct plane *plane, struct link *ike)
{
    *worker = (struct worker){
        .plane = plane,
        .ike = ike,
        .tun = options->tun[index],
        .bypass4 = options->bypass4,
        .bypass6 = options->bypass6,
        .sockets = {[SOCKET_UDP4] = options->udp4.esp[index],
                    [SOCKET_UDP6] = options->udp6.esp[index],
                    // Raw sockets cannot be shared by SPI: the first worker reads them.
                    [SOCKET_RAW4] = index ? -1 : options->raw4,
                    [SOCKET_RAW6] = index ? -1 : options->raw6},
        .port_nat = options->port_nat,
        .sending = NEW(struct sending),
    };
    for (unsigned i = 0; i < BURST_MAX; i++) {
        worker->packets[i].space = mem_new(BUFFER_SIZE);
        worker->packets[i].room = BUFFER_SIZE;
    }
}

void worker_wipe(struct worker *worker)
{
    for (unsigned i = 0; i < BURST_MAX; i++) {
        memory_wipe(worker->packets[i].space, BUFFER_SIZE);
        free(worker->packets[i].space);
    }
    free(worker->sending);
}

// An empty packet in the buffer of its place, to be filled behind the head room.
static struct packet *packet_reset(struct worker *worker, unsigned place)
{
    struct packet *packet = &worker->packets[place];
    *packet = (struct packet){
        .space = packet->space, .room = packet->room, .at = packet->space + PACKET_HEAD};
    return packet;
}

// --- sending

static enum fault send_fault(int error)
{
    switch (error) {
    case EMSGSIZE:
        return FAULT_SEND_TOO_LARGE;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
        return FAULT_NO_ROUTE;
    default:
        return FAULT_SEND_REFUSED;
    }
}

// RFC 4301 8.1: whether the outer header forbids fragmentation is the SA's choice. Only IPv4
// headers can say so.
static void df_apply(struct worker *worker, enum socket_kind kind, bool df)
{
    struct sending *sending = worker->sending;
    if ((kind != SOCKET_UDP4 && kind != SOCKET_RAW4) || sending->df_set[kind] == df) return;
    int value = df ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;
    setsockopt(worker->sockets[kind], IPPROTO_IP, IP_MTU_DISCOVER, &value, sizeof value);
    sending->df_set[kind] = df;
}

// What to do about a message that the kernel did not take: true to try it again.
static bool send_again(struct worker *worker, enum socket_kind kind, int error)
{
    struct sending *sending = worker->sending;
    if (error == EINTR) return true;
    if (error == EAGAIN) {
        struct pollfd at = {.fd = worker->sockets[kind], .events = POLLOUT};
        return poll(&at, 1, SEND_WAIT_MS) > 0;
    }
    // The path is narrower than the packet, and the kernel knows. Cut, it arrives; refused, it
    // would vanish without a word.
    if (error == EMSGSIZE && sending->df_set[kind]) {
        df_apply(worker, kind, false);
        worker->cut++;
        return true;
    }
    return false;
}

static void sending_flush(struct worker *worker)
{
    struct sending *sending = worker->sending;
    int fd = worker->sockets[sending->kind];
    unsigned done = 0, tries = 0;
    if (sending->count) df_apply(worker, sending->kind, sending->df);
    while (done < sending->count) {
        int sent = fd < 0 ? -1
                          : sendmmsg(fd, sending->messages + done, sending->count - done,
                                     MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            done += (unsigned)sent;
            tries = 0;
            continue;
        }
        int error = fd < 0 ? ENETUNREACH : errno;
        if (tries++ < 3 && send_again(worker, sending->kind, error)) continue;
        worker->dropped[send_fault(error)]++;
        done++;
        tries = 0;
    }
    sending->count = 0;
}

static void sending_add(struct worker *worker, const struct packet *packet)
{
    struct sending *sending = worker->sending;
    bool v6 = packet->to.addr.family == ADDR_V6;
    enum socket_kind kind = packet->outer == OUTER_UDP ? (v6 ? SOCKET_UDP6 : SOCKET_UDP4)
                                                       : (v6 ? SOCKET_RAW6 : SOCKET_RAW4);
    if (sending->count == BURST_MAX ||
        (sending->count && (sending->kind != kind || sending->df != packet->df)))
        sending_flush(worker);
    unsigned i = sending->count++;
    sending->kind = kind;
    sending->df = packet->df;
    struct endpoint to = packet->to;
    if (packet->outer == OUTER_RAW) to.port = 0;
    struct msghdr *head = &sending->messages[i].msg_hdr;
    *head = (struct msghdr){
        .msg_name = &sending->names[i], .msg_iov = &sending->vectors[i], .msg_iovlen = 1};
    head->msg_namelen = sockaddr_of(&to, &sending->names[i]);
    sending->vectors[i] = (struct iovec){.iov_base = packet->at, .iov_len = packet->size};
    control_write(head, &sending->controls[i], &packet->from.addr, packet->tos);
}

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

static void deliver(struct worker *worker, const struct packet *packet)
{
    if (write(worker->tun, packet->at, packet->size) < 0) worker->dropped[FAULT_TUN_REFUSED]++;
}

static void packets_dispatch(struct worker *worker, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct packet *packet = worker->list[i];
        switch (packet->verdict) {
        case VERDICT_SEND:
            if (packet->outer == OUTER_WHOLE)
                send_whole(worker, packet);
            else
                sending_add(worker, packet);
            break;
        case VERDICT_DELIVER:
            deliver(worker, packet);
            break;
        case VERDICT_BYPASS:
            // No policy protects the packet: it goes out as if the TUN device had not been there.
            send_whole(worker, packet);
            break;
        case VERDICT_DROP: // counted by the plane, as is what it holds
        case VERDICT_HELD:
            break;
        }
    }
    sending_flush(worker);
}

// --- outward

void worker_outward(struct worker *worker)
{
    unsigned count = 0;
    while (count < BURST_MAX) {
        struct packet *packet = packet_reset(worker, count);
        ssize_t size = read(worker->tun, packet->at, PACKET_MAX);
        if (size <= 0) break;
        packet->size = (uint32_t)size;
        worker->list[count++] = packet;
    }
    if (!count) return;
    // The ike role tells us of a policy before it tells the net role, which makes the route: so
    // whatever packet came by that route, its policy is waiting here by now.
    link_poll(worker->ike);
    plane_seal(worker->plane, role_now(), worker->list, count);
    packets_dispatch(worker, count);
}

void worker_release(struct worker *worker, nsec oldest)
{
    for (unsigned i = 0; i < RELEASES_MAX; i++) {
        for (unsigned j = 0; j < BURST_MAX; j++) worker->list[j] = packet_reset(worker, j);
        size_t count = plane_released(worker->plane, oldest, worker->list, BURST_MAX);
        if (!count) return;
        plane_seal(worker->plane, role_now(), worker->list, count);
        packets_dispatch(worker, (unsigned)count);
    }
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

// True when there is an ESP packet for the plane.
static bool packet_received(struct worker *worker, enum socket_kind kind, struct packet *packet,
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
    // RFC 3948 2.3: a keepalive is one byte of ones.
    if (udp && size == 1 && packet->at[0] == 0xff) {
        worker->keepalives++;
        return false;
    }
    if (head->msg_flags & MSG_TRUNC || (kind == SOCKET_RAW4 && !header_strip(packet)) ||
        packet->size < ESP_SIZE_MIN) {
        worker->dropped[FAULT_TRUNCATED]++;
        return false;
    }
    return true;
}

void worker_inward(struct worker *worker, enum socket_kind kind)
{
    struct sending *space =
        worker->sending; // empty between bursts: its arrays serve for receiving as well
    assert(space->count == 0);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        struct packet *packet = packet_reset(worker, i);
        space->vectors[i] = (struct iovec){.iov_base = packet->at, .iov_len = PACKET_MAX};
        space->messages[i].msg_hdr = (struct msghdr){.msg_name = &space->names[i],
                                                     .msg_namelen = sizeof space->names[i],
                                                     .msg_iov = &space->vectors[i],
                                                     .msg_iovlen = 1,
                                                     .msg_control = &space->controls[i],
                                                     .msg_controllen = sizeof space->controls[i]};
    }
    int got = recvmmsg(worker->sockets[kind], space->messages, BURST_MAX, MSG_DONTWAIT, NULL);
    unsigned count = 0;
    for (int i = 0; i < got; i++)
        if (packet_received(worker, kind, &worker->packets[i], &space->messages[i].msg_hdr,
                            space->messages[i].msg_len))
            worker->list[count++] = &worker->packets[i];
    if (!count) return;
    // The answer that makes an SA may be on its way to us while the peer uses it already.
    link_poll(worker->ike);
    plane_open(worker->plane, role_now(), worker->list, count);
    packets_dispatch(worker, count);
}
