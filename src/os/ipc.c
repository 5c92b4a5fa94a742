// SPDX-License-Identifier: Apache-2.0
// Channels between our processes. Messages may carry keys, so whatever held one is wiped when it is
// done with.
#include "os/ipc.h"
#include "base/mem.h"
#include "base/secret.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct waiting { // a message that the kernel did not take yet
    struct waiting *next;
    size_t size, fd_count;
    int fds[IPC_FDS_MAX];
    uint8_t at[];
};

struct ipc {
    int fd;
    size_t queue_max, queue_size;
    struct waiting *first, **last;
    uint8_t *space; // IPC_MESSAGE_MAX bytes for what is received
    size_t space_used;
};

union fd_control {
    struct cmsghdr head;
    uint8_t space[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)];
};

struct ipc *ipc_new(int fd, size_t queue_max)
{
    struct ipc *ipc = NEW(struct ipc);
    ipc->fd = fd;
    ipc->queue_max = queue_max;
    ipc->last = &ipc->first;
    ipc->space = mem_new(IPC_MESSAGE_MAX);
    return ipc;
}

static void waiting_free(struct waiting *waiting)
{
    for (size_t i = 0; i < waiting->fd_count; i++) close(waiting->fds[i]);
    memory_wipe(waiting->at, waiting->size);
    free(waiting);
}

static void waiting_drop_first(struct ipc *ipc)
{
    struct waiting *waiting = ipc->first;
    ipc->queue_size -= waiting->size;
    ipc->first = waiting->next;
    if (!ipc->first) ipc->last = &ipc->first;
    waiting_free(waiting);
}

void ipc_free(struct ipc *ipc)
{
    if (!ipc) return;
    while (ipc->first) waiting_drop_first(ipc);
    memory_wipe(ipc->space, ipc->space_used);
    free(ipc->space);
    close(ipc->fd);
    free(ipc);
}

int ipc_fd(const struct ipc *ipc)
{
    return ipc->fd;
}

bool ipc_wants_write(const struct ipc *ipc)
{
    return ipc->first != NULL;
}

static enum fault send_now(int fd, struct bytes message, const int *fds, size_t fd_count)
{
    struct iovec vector = {.iov_base = (void *)(uintptr_t)message.at, .iov_len = message.size};
    struct msghdr head = {.msg_iov = &vector, .msg_iovlen = 1};
    union fd_control control = {0};
    if (fd_count) {
        head.msg_control = &control;
        head.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *item = CMSG_FIRSTHDR(&head);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(item), fds, sizeof(int) * fd_count);
    }
    for (;;) {
        if (sendmsg(fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return OK;
        switch (errno) {
        case EINTR:
            continue;
        case EAGAIN:
        case ENOBUFS:
            return FAULT_IPC_QUEUE_FULL;
        case EMSGSIZE:
            return FAULT_MESSAGE_TOO_LARGE;
        default:
            return FAULT_IPC_CLOSED;
        }
    }
}

static enum fault message_queue(struct ipc *ipc, struct bytes message, const int *fds,
                                size_t fd_count)
{
    if (message.size > ipc->queue_max - ipc->queue_size) return FAULT_IPC_QUEUE_FULL;
    struct waiting *waiting = mem_new(sizeof *waiting + message.size);
    waiting->size = message.size;
    if (message.size) memcpy(waiting->at, message.at, message.size);
    for (size_t i = 0; i < fd_count; i++) {
        int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        if (copy < 0) {
            waiting_free(waiting);
            return FAULT_IPC_QUEUE_FULL;
        }
        waiting->fds[waiting->fd_count++] = copy;
    }
    *ipc->last = waiting;
    ipc->last = &waiting->next;
    ipc->queue_size += message.size;
    return OK;
}

enum fault ipc_send(struct ipc *ipc, struct bytes message, const int *fds, size_t fd_count)
{
    assert(fd_count <= IPC_FDS_MAX);
    // An empty packet would read as the end of the channel.
    assert(message.size > 0);
    if (message.size > IPC_MESSAGE_MAX) return FAULT_MESSAGE_TOO_LARGE;
    if (ipc->first) return message_queue(ipc, message, fds, fd_count);
    enum fault fault = send_now(ipc->fd, message, fds, fd_count);
    if (fault == FAULT_IPC_QUEUE_FULL) return message_queue(ipc, message, fds, fd_count);
    return fault;
}

enum fault ipc_flush(struct ipc *ipc)
{
    while (ipc->first) {
        struct waiting *waiting = ipc->first;
        enum fault fault = send_now(ipc->fd, bytes_of(waiting->at, waiting->size), waiting->fds,
                                    waiting->fd_count);
        if (fault == FAULT_IPC_QUEUE_FULL) return OK;
        if (fault) return fault;
        waiting_drop_first(ipc);
    }
    return OK;
}

// Descriptors beyond those the caller has room for are closed.
static void fds_take(struct msghdr *head, int *fds, size_t *fd_count)
{
    size_t room = fds && fd_count ? IPC_FDS_MAX : 0, count = 0;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(head); item; item = CMSG_NXTHDR(head, item)) {
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
        size_t came = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < came; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(item) + i * sizeof fd, sizeof fd);
            if (count < room)
                fds[count++] = fd;
            else
                close(fd);
        }
    }
    if (fd_count) *fd_count = count;
}

void ipc_forget(struct ipc *ipc)
{
    memory_wipe(ipc->space, ipc->space_used);
    ipc->space_used = 0;
}

enum fault ipc_receive(struct ipc *ipc, struct bytes *message, int *fds, size_t *fd_count)
{
    ipc_forget(ipc);
    *message = BYTES_NONE;
    struct iovec vector = {.iov_base = ipc->space, .iov_len = IPC_MESSAGE_MAX};
    union fd_control control;
    struct msghdr head = {.msg_iov = &vector,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control};
    ssize_t size;
    do {
        size = recvmsg(ipc->fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size < 0) return errno == EAGAIN ? FAULT_IPC_EMPTY : FAULT_IPC_CLOSED;
    fds_take(&head, fds, fd_count);
    if (size == 0) return FAULT_IPC_CLOSED;
    ipc->space_used = (size_t)size;
    if (head.msg_flags & MSG_TRUNC) return FAULT_MESSAGE_TOO_LARGE;
    *message = bytes_of(ipc->space, (size_t)size);
    return OK;
}

// A packet larger than the send buffer could never be sent; what the unprivileged option allows is
// enough on a usual system.
static bool buffer_grow(int fd)
{
    int want = 4 * IPC_MESSAGE_MAX, got = 0;
    socklen_t size = sizeof got;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &want, sizeof want) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof want);
    return getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &got, &size) == 0 && got > IPC_MESSAGE_MAX + 1024;
}

enum fault ipc_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return FAULT_SOCKET_REFUSED;
    if (buffer_grow(fds[0]) && buffer_grow(fds[1])) return OK;
    close(fds[0]);
    close(fds[1]);
    return FAULT_SOCKET_REFUSED;
}
