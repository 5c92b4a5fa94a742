// SPDX-License-Identifier: Apache-2.0
// What all roles share: their event loop, the channels on it, time and randomness.
#include "base/secret.h"
#include "daemon/start.h"
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    QUEUE_MAX =
        256 * 1024 * 1024, // what may wait for a role that is busy: a large configuration at once
    PACK_FULL = 64 * 1024, // bytes; a pack of messages is sent as soon as it is larger
    PACK_HEAD = 4,
    LINKS_MAX = ROLE_COUNT,
    REFUSALS_LOGGED = 10,
    STOCK_SIZE = 256, // bytes of randomness
    STOCK_PIECE_MAX = 16,
    STOP_WAIT_MS = 3000, // how long roles without a hook wait for the ike role
};

struct link {
    struct ipc *ipc;
    struct event *readable, *writable;
    enum role self, other;
    void (*handle)(void *context, const struct message_head *head, struct rd *fields);
    void *context;
    unsigned refused;
    bool closed, reading;
    int fd; // came with the pack that is being read; -1: none
    uint8_t *pack; // messages that go in one packet, each behind its 32-bit size
    size_t pack_size;
};

static struct {
    struct event_base *base;
    int alive;
    struct event *alive_event, *limit;
    void (*stop)(void *context);
    void *stop_context;
    void (*turn)(void *context);
    void *turn_context;
    bool stopping, ordered, left;
    struct link *links[LINKS_MAX]; // in the order they were made
    unsigned link_count;
} loop = {.alive = -1};

// --- stopping

void role_leave(void)
{
    loop.left = true;
}

static void limit_over(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what, (void)context;
    role_leave();
}

static void stop_begin(void)
{
    char word = 0;
    if (loop.stopping) return;
    loop.stopping = true;
    // main writes one byte when it was told to stop; an end without it means that main is gone.
    loop.ordered = read(loop.alive, &word, 1) == 1;
    event_del(loop.alive_event);
    int ms = loop.stop ? STOP_LIMIT_MS : STOP_WAIT_MS;
    loop.limit = evtimer_new(loop.base, limit_over, NULL);
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    evtimer_add(loop.limit, &wait);
    if (loop.stop) loop.stop(loop.stop_context);
}

static void alive_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what, (void)context;
    stop_begin();
}

// The news that a neighbour is gone may come before the news that all shall stop.
static bool is_stopping(void)
{
    struct pollfd at = {.fd = loop.alive, .events = POLLIN};
    if (!loop.stopping && loop.alive >= 0 && poll(&at, 1, 0) > 0) stop_begin();
    return loop.stopping;
}

bool role_stop_ordered(void)
{
    return loop.ordered;
}

void role_on_stop(void (*stop)(void *context), void *context)
{
    loop.stop = stop;
    loop.stop_context = context;
}

void role_on_turn(void (*turn)(void *context), void *context)
{
    loop.turn = turn;
    loop.turn_context = context;
}

static void turn_end(void)
{
    if (loop.turn) loop.turn(loop.turn_context);
    links_flush();
    role_log_flush();
}

// A turn handles all that is ready; then the other roles get what it has brought about.
int role_loop(struct event_base *base, int alive)
{
    loop.base = base;
    loop.alive = alive;
    loop.alive_event = event_new(base, alive, EV_READ | EV_PERSIST, alive_readable, NULL);
    event_add(loop.alive_event, NULL);
    role_log_gather(true);
    turn_end();
    while (!loop.left && event_base_loop(base, EVLOOP_ONCE) == 0) turn_end();
    role_log_gather(false);
    event_free(loop.alive_event);
    if (loop.limit) event_free(loop.limit);
    loop.alive_event = loop.limit = NULL;
    return loop.stopping ? 0 : 1;
}

// --- channels

static void link_closed(struct link *link)
{
    link->closed = true;
    event_del(link->readable);
    event_del(link->writable);
    if (!is_stopping()) {
        role_log_flush();
        _exit(EXIT_NEIGHBOUR);
    }
    if (link->other == ROLE_IKE) role_leave();
}

__attribute__((noreturn)) static void link_fail(struct link *link, enum fault fault,
                                                const char *what)
{
    role_log(link->self, IKE_ERROR, fault, "%s the %s process", what, role_name(link->other));
    _exit(1);
}

static void message_refused(struct link *link, enum fault fault)
{
    if (link->refused++ < REFUSALS_LOGGED)
        role_log(link->self, IKE_ERROR, fault, "a message from the %s process is dropped",
                 role_name(link->other));
}

static void message_handle(struct link *link, struct bytes message)
{
    struct message_head head;
    struct rd fields;
    enum fault fault = message_accept(message, link->other, link->self, &head, &fields);
    if (fault)
        message_refused(link, fault);
    else
        link->handle(link->context, &head, &fields);
}

static void pack_handle(struct link *link, struct bytes pack)
{
    struct rd in = rd_over(pack);
    while (in.left && !link->closed) {
        struct bytes message = rd_bytes(&in, rd_u32(&in));
        if (rd_so_far(&in) != OK) {
            message_refused(link, FAULT_MESSAGE_MALFORMED);
            return;
        }
        message_handle(link, message);
    }
}

// One descriptor may come with a pack; what is not taken is closed.
static void fds_keep(struct link *link, const int *fds, size_t count)
{
    if (link->fd >= 0) close(link->fd);
    link->fd = count ? fds[0] : -1;
    for (size_t i = 1; i < count; i++) close(fds[i]);
}

int link_take_fd(struct link *link)
{
    int fd = link->fd;
    link->fd = -1;
    return fd;
}

// False when there is nothing more to read now.
static bool link_read(struct link *link)
{
    struct bytes pack;
    // The pack is read in place, so the next one must wait until its last message is handled.
    assert(!link->reading);
    if (link->closed) return false;
    int fds[IPC_FDS_MAX];
    size_t fd_count = 0;
    enum fault fault = ipc_receive(link->ipc, &pack, fds, &fd_count);
    fds_keep(link, fds, fd_count);
    if (fault == FAULT_IPC_EMPTY) return false;
    if (fault == FAULT_IPC_CLOSED) {
        link_closed(link);
        return false;
    }
    link->reading = true;
    if (fault)
        message_refused(link, fault);
    else
        pack_handle(link, pack);
    fds_keep(link, NULL, 0);
    link->reading = false;
    ipc_forget(link->ipc);
    return true;
}

// One packet a turn: what else has come makes the socket readable again.
static void link_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    link_read(context);
}

void link_poll(struct link *link)
{
    while (link_read(link)) {}
}

static void link_writable(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct link *link = context;
    if (ipc_flush(link->ipc) != OK)
        link_closed(link);
    else if (!ipc_wants_write(link->ipc))
        event_del(link->writable);
}

struct link *link_new(struct event_base *base, int fd, enum role self, enum role other,
                      void (*handle)(void *context, const struct message_head *head,
                                     struct rd *fields),
                      void *context)
{
    assert(fd >= 0 && loop.link_count < LINKS_MAX);
    struct link *link = NEW(struct link);
    *link = (struct link){.ipc = ipc_new(fd, QUEUE_MAX),
                          .self = self,
                          .other = other,
                          .handle = handle,
                          .context = context,
                          .fd = -1,
                          .pack = mem_new(IPC_MESSAGE_MAX)};
    loop.links[loop.link_count++] = link;
    link->readable = event_new(base, fd, EV_READ | EV_PERSIST, link_readable, link);
    link->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, link_writable, link);
    event_add(link->readable, NULL);
    return link;
}

static void pack_send_fd(struct link *link, int fd)
{
    if (!link->pack_size || link->closed) return;
    enum fault fault = ipc_send(link->ipc, bytes_of(link->pack, link->pack_size), &fd, fd >= 0);
    memory_wipe(link->pack, link->pack_size);
    link->pack_size = 0;
    if (fault == FAULT_IPC_CLOSED)
        link_closed(link);
    else if (fault)
        link_fail(link, fault, "cannot send to");
    else if (ipc_wants_write(link->ipc))
        event_add(link->writable, NULL);
}

static void pack_send(struct link *link)
{
    pack_send_fd(link, -1);
}

void links_flush(void)
{
    for (unsigned i = 0; i < loop.link_count; i++) pack_send(loop.links[i]);
}

void link_send(struct link *link, const struct wr *message)
{
    if (link->closed) return;
    struct bytes bytes = wr_done(message);
    if (wr_end(message) != OK || bytes.size > IPC_MESSAGE_MAX - PACK_HEAD)
        link_fail(link, FAULT_MESSAGE_TOO_LARGE, "cannot send to");
    // All of them, so that what one role is told before another stays in that order.
    if (link->pack_size + PACK_HEAD + bytes.size > IPC_MESSAGE_MAX) links_flush();
    struct wr out = wr_over(link->pack + link->pack_size, IPC_MESSAGE_MAX - link->pack_size);
    wr_u32(&out, (uint32_t)bytes.size);
    wr_bytes(&out, bytes);
    link->pack_size += PACK_HEAD + bytes.size;
    if (link->pack_size > PACK_FULL) links_flush();
}

void link_send_fd(struct link *link, const struct wr *message, int fd)
{
    if (link->closed) return;
    links_flush();
    link_send(link, message);
    pack_send_fd(link, fd);
}

// --- time and randomness

nsec role_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * NSEC_PER_SECOND + now.tv_nsec;
}

static void system_random(void *out, size_t size)
{
    uint8_t *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR) continue;
        // Going on with anything but randomness would be worse than ending.
        assert(got > 0);
        at += got;
        size -= (size_t)got;
    }
}

// Small pieces (SPIs, IVs) come out of a stock that is fetched in one call; what has been given is wiped from it. Keys and nonces
// come fresh from the kernel. A thread has its own stock, and there is none before the loop runs, so nothing that is forked has one.
static void stock_fill(struct rng *rng, void *out, size_t size)
{
    (void)rng;
    static _Thread_local uint8_t stock[STOCK_SIZE];
    static _Thread_local size_t left;
    if (!loop.base || size > STOCK_PIECE_MAX) {
        system_random(out, size);
        return;
    }
    if (size > left) {
        system_random(stock, sizeof stock);
        left = sizeof stock;
    }
    left -= size;
    memcpy(out, stock + left, size);
    memory_wipe(stock + left, size);
}

struct rng *role_rng(void)
{
    static struct rng rng = {.fill = stock_fill};
    return &rng;
}
