// SPDX-License-Identifier: Apache-2.0
// Runs of sealed packets, before a kernel that is made up: what it refuses goes packet by packet,
// and later runs are of a size that it takes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "daemon/worker_send.h"
#include <errno.h>
#include <netinet/udp.h>
#include <sys/socket.h>

enum { SOCKET = 7, FAR_END = 4500 };

static struct {
    unsigned segments_most, largest;
    int refusal;
    unsigned count;
    uint8_t first[4 * BURST_MAX]; // byte of each datagram, as it left
} kernel;

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    static uint8_t all[BURST_MAX * 2048];
    size_t size = 0, segment;
    (void)flags;
    assert_int_equal(fd, SOCKET);
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        memcpy(all + size, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        size += message->msg_iov[i].iov_len;
    }
    segment = size;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item;
         item = CMSG_NXTHDR((struct msghdr *)(uintptr_t)message, item)) {
        uint16_t value;
        if (item->cmsg_level != SOL_UDP || item->cmsg_type != UDP_SEGMENT) continue;
        memcpy(&value, CMSG_DATA(item), sizeof value);
        segment = value;
    }
    unsigned segments = (unsigned)((size + segment - 1) / segment);
    if (segments > kernel.segments_most) {
        errno = kernel.refusal;
        return -1;
    }
    if (segments > kernel.largest) kernel.largest = segments;
    for (size_t at = 0; at < size; at += segment) kernel.first[kernel.count++] = all[at];
    return (ssize_t)size;
}

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    for (unsigned i = 0; i < count; i++)
        if (__wrap_sendmsg(fd, &messages[i].msg_hdr, flags) < 0) return i ? (int)i : -1;
    return (int)count;
}

bool worker_send_cut(struct worker *worker, const struct packet *packet)
{
    (void)worker, (void)packet;
    return false;
}

static void send_all(struct worker *worker, unsigned count, uint32_t size)
{
    static uint8_t space[BURST_MAX][2048];
    static struct packet packets[BURST_MAX];
    kernel.count = kernel.largest = 0;
    for (unsigned i = 0; i < count; i++) {
        memset(space[i], (int)i, sizeof space[i]);
        packets[i] =
            (struct packet){.at = space[i], .size = size, .spi = 0x1000, .outer = OUTER_UDP};
        packets[i].from.addr = addr_v4(192, 0, 2, 1);
        packets[i].to = (struct endpoint){.addr = addr_v4(192, 0, 2, 2), .port = FAR_END};
        sending_add(worker, &packets[i]);
    }
    sending_flush(worker);
    assert_int_equal(kernel.count, count);
    for (unsigned i = 0; i < count; i++) assert_int_equal(kernel.first[i], i);
    assert_int_equal(worker->dropped[FAULT_SEND_REFUSED], 0);
}

static struct worker *worker_make(void)
{
    struct worker *worker = NEW(struct worker);
    for (unsigned i = 0; i < SOCKET_KINDS; i++) worker->sockets[i] = -1;
    worker->sockets[SOCKET_UDP4] = SOCKET;
    worker->sending = sending_new();
    return worker;
}

static void worker_end(struct worker *worker)
{
    free(worker->sending);
    free(worker);
}

static const uint32_t sizes[] = {100, 512, 513}; // copied together, and each from where it is

static void a_burst_is_one_run(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct worker *worker = worker_make();
        kernel.segments_most = BURST_MAX;
        send_all(worker, BURST_MAX, sizes[i]);
        assert_int_equal(kernel.largest, sizes[i] < 512 ? BURST_MAX : 65000 / sizes[i]);
        worker_end(worker);
    }
}

// As before Linux 6.9.
static void runs_become_as_short_as_the_kernel_wants_them(void **state)
{
    (void)state;
    struct worker *worker = worker_make();
    kernel.segments_most = 64;
    kernel.refusal = EINVAL;
    send_all(worker, BURST_MAX, 100);
    assert_int_equal(kernel.largest, 1);
    send_all(worker, BURST_MAX, 100);
    assert_int_equal(kernel.largest, 64);
    send_all(worker, 65, 100);
    assert_int_equal(kernel.largest, 64);
    worker_end(worker);
}

static void where_nothing_can_cut_packets_go_one_by_one(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct worker *worker = worker_make();
        kernel.segments_most = 1;
        kernel.refusal = EIO;
        send_all(worker, 20, sizes[i]);
        send_all(worker, 20, sizes[i]);
        assert_int_equal(kernel.largest, 1);
        worker_end(worker);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_one_run),
        cmocka_unit_test(runs_become_as_short_as_the_kernel_wants_them),
        cmocka_unit_test(where_nothing_can_cut_packets_go_one_by_one),
    };
    return cmocka_run_group_tests_name("worker_send", tests, NULL, NULL);
}
