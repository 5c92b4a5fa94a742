// SPDX-License-Identifier: Apache-2.0
// Channels between processes.
#include "base/mem.h"
#include "base/unit.h"
#include "os/ipc.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

struct pair {
    struct ipc *a, *b;
};

static struct pair pair_open(size_t queue_max)
{
    int fds[2];
    CHECK_FAULT(ipc_pair(fds), OK);
    return (struct pair){ipc_new(fds[0], queue_max), ipc_new(fds[1], queue_max)};
}

static void pair_close(struct pair *pair)
{
    ipc_free(pair->a);
    ipc_free(pair->b);
}

static uint8_t *pattern(size_t size, uint8_t seed)
{
    uint8_t *at = mem_new(size);
    for (size_t i = 0; i < size; i++) at[i] = (uint8_t)(seed + i * 7);
    return at;
}

static void messages_of_every_size_arrive_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 1000, 65536, IPC_MESSAGE_MAX - 1, IPC_MESSAGE_MAX};
    struct pair pair = pair_open(0);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        AUTOFREE_MEM uint8_t *out = pattern(sizes[i], (uint8_t)i);
        struct bytes in;
        CHECK_FAULT(ipc_send(pair.a, bytes_of(out, sizes[i]), NULL, 0), OK);
        CHECK_FAULT(ipc_receive(pair.b, &in, NULL, NULL), OK);
        check_bytes(in, bytes_of(out, sizes[i]));
    }
    pair_close(&pair);
}

static void one_byte_too_much_is_refused_by_the_sender(void **state)
{
    (void)state;
    struct pair pair = pair_open(SIZE_MAX);
    AUTOFREE_MEM uint8_t *out = pattern(IPC_MESSAGE_MAX + 1, 0);
    CHECK_FAULT(ipc_send(pair.a, bytes_of(out, IPC_MESSAGE_MAX + 1), NULL, 0),
                FAULT_MESSAGE_TOO_LARGE);
    pair_close(&pair);
}

static void one_byte_too_much_is_refused_by_the_receiver(void **state)
{
    (void)state;
    int fds[2], buffer = 4 * IPC_MESSAGE_MAX;
    struct bytes in;
    CHECK_FAULT(ipc_pair(fds), OK);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    struct ipc *receiver = ipc_new(fds[1], 0);
    AUTOFREE_MEM uint8_t *out = pattern(IPC_MESSAGE_MAX + 1, 0);
    assert_int_equal(send(fds[0], out, IPC_MESSAGE_MAX + 1, MSG_DONTWAIT), IPC_MESSAGE_MAX + 1);
    CHECK_FAULT(ipc_receive(receiver, &in, NULL, NULL), FAULT_MESSAGE_TOO_LARGE);
    assert_int_equal(in.size, 0);
    CHECK_FAULT(ipc_receive(receiver, &in, NULL, NULL), FAULT_IPC_EMPTY);
    ipc_free(receiver);
    close(fds[0]);
}

static void what_the_kernel_does_not_take_waits_in_order(void **state)
{
    (void)state;
    enum { MESSAGES = 3000 };
    struct pair pair = pair_open(64 * 1024 * 1024);
    uint8_t out[2048] = {0};
    for (uint32_t i = 0; i < MESSAGES; i++) {
        memcpy(out, &i, sizeof i);
        CHECK_FAULT(ipc_send(pair.a, BYTES_ARRAY(out), NULL, 0), OK);
    }
    assert_true(ipc_wants_write(pair.a));
    for (uint32_t i = 0; i < MESSAGES; i++) {
        struct bytes in;
        enum fault fault = ipc_receive(pair.b, &in, NULL, NULL);
        if (fault == FAULT_IPC_EMPTY) {
            CHECK_FAULT(ipc_flush(pair.a), OK);
            fault = ipc_receive(pair.b, &in, NULL, NULL);
        }
        CHECK_FAULT(fault, OK);
        assert_int_equal(in.size, sizeof out);
        assert_memory_equal(in.at, &i, sizeof i);
    }
    assert_false(ipc_wants_write(pair.a));
    pair_close(&pair);
}

static void a_full_queue_refuses_and_loses_nothing(void **state)
{
    (void)state;
    enum { QUEUE = 10000 };
    struct pair pair = pair_open(QUEUE);
    uint8_t out[1000] = {0};
    uint32_t sent = 0, received = 0;
    enum fault fault;
    struct bytes in;
    while ((fault = ipc_send(pair.a, BYTES_ARRAY(out), NULL, 0)) == OK) {
        sent++;
        assert_true(sent < 100000);
    }
    CHECK_FAULT(fault, FAULT_IPC_QUEUE_FULL);
    for (;;) {
        while (ipc_receive(pair.b, &in, NULL, NULL) == OK) received++;
        if (!ipc_wants_write(pair.a)) break;
        CHECK_FAULT(ipc_flush(pair.a), OK);
    }
    assert_int_equal(received, sent);
    pair_close(&pair);
}

static unsigned fds_open(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void descriptors_travel_and_close_on_exec(void **state)
{
    (void)state;
    struct pair pair = pair_open(0);
    int pipes[2], fds[IPC_FDS_MAX] = {-1};
    size_t count = 0;
    struct bytes in;
    char byte = 0;
    assert_int_equal(pipe(pipes), 0);
    CHECK_FAULT(ipc_send(pair.a, BYTES("fds"), pipes, 2), OK);
    CHECK_FAULT(ipc_receive(pair.b, &in, fds, &count), OK);
    assert_int_equal(count, 2);
    assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    for (unsigned i = 0; i < 2; i++) {
        close(pipes[i]);
        close(fds[i]);
    }
    pair_close(&pair);
}

static void descriptors_nobody_asked_for_are_closed(void **state)
{
    (void)state;
    struct pair pair = pair_open(0);
    int pipes[2];
    struct bytes in;
    assert_int_equal(pipe(pipes), 0);
    unsigned before = fds_open();
    CHECK_FAULT(ipc_send(pair.a, BYTES("fds"), pipes, 2), OK);
    CHECK_FAULT(ipc_receive(pair.b, &in, NULL, NULL), OK);
    assert_int_equal(fds_open(), before);
    close(pipes[0]);
    close(pipes[1]);
    pair_close(&pair);
}

static void queued_descriptors_are_kept_until_sent(void **state)
{
    (void)state;
    struct pair pair = pair_open(1024 * 1024);
    uint8_t out[60000] = {0};
    int pipes[2], fds[IPC_FDS_MAX];
    size_t count = 0;
    struct bytes in;
    while (!ipc_wants_write(pair.a)) CHECK_FAULT(ipc_send(pair.a, BYTES_ARRAY(out), NULL, 0), OK);
    assert_int_equal(pipe(pipes), 0);
    CHECK_FAULT(ipc_send(pair.a, BYTES("last"), pipes, 1), OK);
    close(pipes[0]);
    for (;;) {
        enum fault fault = ipc_receive(pair.b, &in, fds, &count);
        if (fault == OK && in.size == 4) break;
        if (fault == FAULT_IPC_EMPTY) CHECK_FAULT(ipc_flush(pair.a), OK);
    }
    assert_int_equal(count, 1);
    assert_int_equal(write(pipes[1], "x", 1), 1);
    char byte;
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    close(pipes[1]);
    pair_close(&pair);
}

static void an_end_that_is_gone_is_told_from_silence(void **state)
{
    (void)state;
    struct pair pair = pair_open(0);
    struct bytes in;
    CHECK_FAULT(ipc_receive(pair.a, &in, NULL, NULL), FAULT_IPC_EMPTY);
    ipc_free(pair.b);
    CHECK_FAULT(ipc_receive(pair.a, &in, NULL, NULL), FAULT_IPC_CLOSED);
    CHECK_FAULT(ipc_send(pair.a, BYTES("x"), NULL, 0), FAULT_IPC_CLOSED);
    ipc_free(pair.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_every_size_arrive_whole),
        cmocka_unit_test(one_byte_too_much_is_refused_by_the_sender),
        cmocka_unit_test(one_byte_too_much_is_refused_by_the_receiver),
        cmocka_unit_test(what_the_kernel_does_not_take_waits_in_order),
        cmocka_unit_test(a_full_queue_refuses_and_loses_nothing),
        cmocka_unit_test(descriptors_travel_and_close_on_exec),
        cmocka_unit_test(descriptors_nobody_asked_for_are_closed),
        cmocka_unit_test(queued_descriptors_are_kept_until_sent),
        cmocka_unit_test(an_end_that_is_gone_is_told_from_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
