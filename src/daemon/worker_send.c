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
    RUN_COUNT = 64,    // as many segments as every kernel takes
    FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL,
};

struct sending { // messages for one socket, sent by one system call
    enum socket_kind kind;
    bool df, df_set[SOCKET_KINDS];
    bool whole[SOCKET_KINDS];   // the way out cannot cut messages
    unsigned count, pieces;     // messages, packets
    const struct packet *first; // of the last message
    size_t bytes;               // in the last message
    struct mmsghdr messages[BURST_MAX];
    struct iovec vectors[BURST_MAX];
    union sockaddr_any names[BURST_MAX];
    union pktinfo_control controls[BURST_MAX];
};

struct sending *sending_new(void)
{
    return NEW(struct sending);
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

// A run that could not be sent goes packet by packet: the way out may have no checksum offload
// (EIO), or its MTU is smaller than the packets, which are fragmented then (EINVAL, EMSGSIZE).
static void run_send(struct worker *worker, const struct msghdr *run, int error)
{
    struct sending *sending = worker->sending;
    size_t control = run->msg_controllen - CMSG_SPACE(sizeof(uint16_t));
    if (error == EIO) sending->whole[sending->kind] = true;
    for (size_t i = 0; i < run->msg_iovlen; i++) {
        struct msghdr one = *run;
        one.msg_iov = &run->msg_iov[i];
        one.msg_iovlen = 1;
        one.msg_control = control ? run->msg_control : NULL;
        one.msg_controllen = control;
        error = sendmsg(worker->sockets[sending->kind], &one, FLAGS) < 0 ? errno : 0;
        error = message_try(worker, &one, error);
        if (error) worker->dropped[send_fault(error)]++;
    }
}

static void message_refused(struct worker *worker, const struct msghdr *head, int error)
{
    bool run = head->msg_iovlen > 1;
    // Of a run that is too large for the path each packet is sent on its own, and fragmented.
    if (!run || error != EMSGSIZE) error = message_try(worker, head, error);
    if (!error) return;
    if (run && error != ENETUNREACH && error != EHOSTUNREACH && error != ENETDOWN)
        run_send(worker, head, error);
    else
        worker->dropped[send_fault(error)] += head->msg_iovlen;
}

static void run_close(struct sending *sending)
{
    if (!sending->count) return;
    unsigned last = sending->count - 1;
    struct msghdr *head = &sending->messages[last].msg_hdr;
    if (head->msg_iovlen > 1)
        control_write_segment(head, &sending->controls[last], (uint16_t)sending->first->size);
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
            message_refused(worker, &sending->messages[done++].msg_hdr,
                            fd < 0 ? ENETUNREACH : errno);
    }
    sending->count = sending->pieces = 0;
}

// May the packet be a segment of the last message? Only the last of a run may be shorter. A run is
// of one SA: the receiver may give all of it to the worker of the first packet's SPI.
static bool run_takes(const struct sending *sending, const struct packet *packet)
{
    if (!sending->count || packet->outer != OUTER_UDP || sending->whole[sending->kind])
        return false;
    const struct packet *first = sending->first;
    const struct msghdr *head = &sending->messages[sending->count - 1].msg_hdr;
    return first->outer == OUTER_UDP && packet->size <= first->size &&
           sending->bytes == head->msg_iovlen * first->size && head->msg_iovlen < RUN_COUNT &&
           sending->bytes + packet->size <= RUN_BYTES && packet->spi == first->spi &&
           packet->tos == first->tos && packet->ttl == first->ttl && endpoint_equal(&packet->to, &first->to) &&
           addr_equal(&packet->from.addr, &first->from.addr);
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
    sending->first = packet;
    sending->bytes = 0;
}

void sending_add(struct worker *worker, const struct packet *packet)
{
    struct sending *sending = worker->sending;
    bool v6 = packet->to.addr.family == ADDR_V6;
    enum socket_kind kind = packet->outer == OUTER_UDP ? (v6 ? SOCKET_UDP6 : SOCKET_UDP4)
                                                       : (v6 ? SOCKET_RAW6 : SOCKET_RAW4);
    if (v6 && packet->oversize && worker_send_cut(worker, packet)) return;
    if (sending->pieces == BURST_MAX ||
        (sending->count && (sending->kind != kind || sending->df != packet->df)))
        sending_flush(worker);
    sending->kind = kind;
    sending->df = packet->df;
    if (!run_takes(sending, packet)) {
        run_close(sending);
        message_add(sending, packet);
    }
    sending->vectors[sending->pieces++] =
        (struct iovec){.iov_base = packet->at, .iov_len = packet->size};
    sending->messages[sending->count - 1].msg_hdr.msg_iovlen++;
    sending->bytes += packet->size;
}
