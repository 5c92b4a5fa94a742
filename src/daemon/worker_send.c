// SPDX-License-Identifier: Apache-2.0
// Sending of sealed packets.
#include "daemon/worker_send.h"
#include "os/sockaddr.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

enum {
    SEND_WAIT_MS = 5,
    TRIES = 3,
    RUN_BYTES = 65000, // in one message; IP ends at 65,535 with its headers
    RUN_COUNT = 128,   // segments; kernels before 6.9 take half of that
    RUN_COUNT_OLD = 64,
    FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL,
};

struct sending { // messages for one socket, sent by one system call
    enum socket_kind kind;
    bool df, df_set[SOCKET_KINDS];
    bool whole[SOCKET_KINDS];        // the way out cannot cut messages
    unsigned run_count;              // segments that the kernel takes in one message
    unsigned count, packets, pieces; // messages, what is in them, vectors
    const struct packet *first;      // of the last message
    size_t bytes;                    // in the last message
    struct mmsghdr messages[BURST_MAX];
    struct segments {
        unsigned count;
        uint16_t size;     // of each but the last
    } segments[BURST_MAX]; // of each message
    struct iovec vectors[BURST_MAX];
    uint8_t small[BURST_MAX * PIECE_SMALL], *small_end;
    union sockaddr_any names[BURST_MAX];
    union pktinfo_control controls[BURST_MAX];
};

struct sending *sending_new(void)
{
    struct sending *sending = NEW(struct sending);
    sending->run_count = RUN_COUNT;
    sending->small_end = sending->small;
    return sending;
}

enum fault send_fault(int error)
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
// headers can say so. What the kernel believes of the path's MTU is not asked: anybody can tell it
// of raw packets; the SA has its own (esp/pmtu.h).
static void df_apply(struct worker *worker, enum socket_kind kind, bool df)
{
    struct sending *sending = worker->sending;
    if ((kind != SOCKET_UDP4 && kind != SOCKET_RAW4) || sending->df_set[kind] == df) return;
    int value = df ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT;
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

// Tries a message again while that helps; returns the error that remains, 0 for none.
static int message_try(struct worker *worker, const struct msghdr *head, int error)
{
    enum socket_kind kind = worker->sending->kind;
    for (unsigned tries = 0; error && tries < TRIES && send_again(worker, kind, error); tries++)
        error = sendmsg(worker->sockets[kind], head, FLAGS) < 0 ? errno : 0;
    return error;
}

static void segment_send(struct worker *worker, const struct msghdr *run, struct iovec segment)
{
    size_t control = run->msg_controllen - CMSG_SPACE(sizeof(uint16_t));
    struct msghdr one = *run;
    one.msg_iov = &segment;
    one.msg_iovlen = 1;
    one.msg_control = control ? run->msg_control : NULL;
    one.msg_controllen = control;
    int error = sendmsg(worker->sockets[worker->sending->kind], &one, FLAGS) < 0 ? errno : 0;
    error = message_try(worker, &one, error);
    if (error) worker->dropped[send_fault(error)]++;
}

// A run that could not be sent goes packet by packet: the way out may have no checksum offload
// (EIO), its MTU is smaller than the packets, which are fragmented then (EINVAL, EMSGSIZE), or the
// run has more segments than the kernel takes (EINVAL).
static void run_send(struct worker *worker, const struct msghdr *run,
                     const struct segments *segments, int error)
{
    struct sending *sending = worker->sending;
    if (error == EIO) sending->whole[sending->kind] = true;
    if (error == EINVAL && segments->count > RUN_COUNT_OLD) sending->run_count = RUN_COUNT_OLD;
    for (size_t i = 0; i < run->msg_iovlen; i++) {
        struct iovec left = run->msg_iov[i];
        while (left.iov_len > 0) {
            size_t size = left.iov_len < segments->size ? left.iov_len : segments->size;
            segment_send(worker, run, (struct iovec){left.iov_base, size});
            left.iov_base = (uint8_t *)left.iov_base + size;
            left.iov_len -= size;
        }
    }
}

static void message_refused(struct worker *worker, unsigned message, int error)
{
    const struct msghdr *head = &worker->sending->messages[message].msg_hdr;
    const struct segments *segments = &worker->sending->segments[message];
    bool run = segments->count > 1;
    // Of a run that is too large for the path each packet is sent on its own, and fragmented.
    if (!run || error != EMSGSIZE) error = message_try(worker, head, error);
    if (!error) return;
    if (run && error != ENETUNREACH && error != EHOSTUNREACH && error != ENETDOWN)
        run_send(worker, head, segments, error);
    else
        worker->dropped[send_fault(error)] += segments->count;
}

static void run_close(struct sending *sending)
{
    if (!sending->count) return;
    unsigned last = sending->count - 1;
    const struct segments *segments = &sending->segments[last];
    if (segments->count > 1)
        control_write_segment(&sending->messages[last].msg_hdr, &sending->controls[last],
                              segments->size);
}

void sending_flush(struct worker *worker)
{
    struct sending *sending = worker->sending;
    int fd = worker->sockets[sending->kind];
    if (!sending->count) return;
    run_close(sending);
    df_apply(worker, sending->kind, sending->df);
    for (unsigned done = 0; done < sending->count;) {
        int sent =
            fd < 0 ? -1 : sendmmsg(fd, sending->messages + done, sending->count - done, FLAGS);
        if (sent > 0)
            done += (unsigned)sent;
        else
            message_refused(worker, done++, fd < 0 ? ENETUNREACH : errno);
    }
    sending->count = sending->packets = sending->pieces = 0;
    sending->small_end = sending->small;
}

static bool same_way(const struct packet *a, const struct packet *b)
{
    if (a->way && a->way == b->way) return true;
    return a->spi == b->spi && endpoint_equal(&a->to, &b->to) &&
           addr_equal(&a->from.addr, &b->from.addr);
}

// May the packet be a segment of the last message? Only the last of a run may be shorter. A run is
// of one SA: the receiver may give all of it to the worker of the first packet's SPI.
static bool run_takes(const struct sending *sending, const struct packet *packet)
{
    if (!sending->count || packet->outer != OUTER_UDP || sending->whole[sending->kind])
        return false;
    const struct packet *first = sending->first;
    const struct segments *segments = &sending->segments[sending->count - 1];
    return first->outer == OUTER_UDP && packet->size <= segments->size &&
           sending->bytes == (size_t)segments->count * segments->size &&
           segments->count < sending->run_count && sending->bytes + packet->size <= RUN_BYTES &&
           packet->tos == first->tos && packet->ttl == first->ttl && same_way(packet, first);
}

static void message_add(struct sending *sending, const struct packet *packet)
{
    unsigned i = sending->count++;
    struct endpoint to = packet->to;
    if (packet->outer == OUTER_RAW) to.port = 0;
    struct msghdr *head = &sending->messages[i].msg_hdr;
    *head = (struct msghdr){.msg_name = &sending->names[i],
                            .msg_iov = &sending->vectors[sending->pieces]};
    head->msg_namelen = sockaddr_of(&to, &sending->names[i]);
    control_write(head, &sending->controls[i], &packet->from.addr, packet->tos);
    if (packet->ttl)
        control_write_ttl(head, &sending->controls[i], packet->to.addr.family, packet->ttl);
    sending->segments[i] = (struct segments){.size = (uint16_t)packet->size};
    sending->first = packet;
    sending->bytes = 0;
}

// What the kernel gathers from, in as few pieces as there can be.
static void vector_add(struct sending *sending, const struct packet *packet)
{
    struct msghdr *head = &sending->messages[sending->count - 1].msg_hdr;
    const uint8_t *at = packet->at;
    if (packet->size <= PIECE_SMALL && !packet->spare) {
        at = memcpy(sending->small_end, packet->at, packet->size);
        sending->small_end += packet->size;
    }
    struct iovec *last = head->msg_iovlen ? &head->msg_iov[head->msg_iovlen - 1] : NULL;
    if (last && (uint8_t *)last->iov_base + last->iov_len == at) {
        last->iov_len += packet->size;
        return;
    }
    sending->vectors[sending->pieces++] =
        (struct iovec){.iov_base = (void *)(uintptr_t)at, .iov_len = packet->size};
    head->msg_iovlen++;
}

void sending_add(struct worker *worker, const struct packet *packet)
{
    struct sending *sending = worker->sending;
    bool v6 = packet->to.addr.family == ADDR_V6;
    enum socket_kind kind = packet->outer == OUTER_UDP ? (v6 ? SOCKET_UDP6 : SOCKET_UDP4)
                                                       : (v6 ? SOCKET_RAW6 : SOCKET_RAW4);
    if (v6 && packet->oversize && worker_send_cut(worker, packet)) return;
    if (sending->packets == BURST_MAX ||
        (sending->count && (sending->kind != kind || sending->df != packet->df)))
        sending_flush(worker);
    sending->kind = kind;
    sending->df = packet->df;
    if (!run_takes(sending, packet)) {
        run_close(sending);
        message_add(sending, packet);
    }
    vector_add(sending, packet);
    sending->packets++;
    sending->segments[sending->count - 1].count++;
    sending->bytes += packet->size;
}
