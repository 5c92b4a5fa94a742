// SPDX-License-Identifier: Apache-2.0
// What all roles share: their event loop, the channels on it, time and randomness.
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
    MESSAGES_AT_ONCE = 64,
    REFUSALS_LOGGED = 10,
    STOP_WAIT_MS = 3000, // how long roles without a hook wait for the ike role
};

struct link {
    struct ipc *ipc;
    struct event *readable, *writable;
    enum role self, other;
    void (*handle)(void *context, const struct message_head *head, struct rd *fields);
    void *context;
    unsigned refused;
    bool closed;
};

static struct {
    struct event_base *base;
    int alive;
    struct event *alive_event, *limit;
    void (*stop)(void *context);
    void *stop_context;
    bool stopping, ordered;
} loop = {.alive = -1};

// --- stopping

static void limit_over(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what, (void)context;
    event_base_loopbreak(loop.base);
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

int role_loop(struct event_base *base, int alive)
{
    loop.base = base;
    loop.alive = alive;
    loop.alive_event = event_new(base, alive, EV_READ | EV_PERSIST, alive_readable, NULL);
    event_add(loop.alive_event, NULL);
    event_base_dispatch(base);
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
    if (!is_stopping()) _exit(EXIT_NEIGHBOUR);
    if (link->other == ROLE_IKE) event_base_loopbreak(loop.base);
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

static void link_read(struct link *link, unsigned limit)
{
    for (unsigned i = 0; i < limit && !link->closed; i++) {
        struct bytes message;
        struct message_head head;
        struct rd fields;
        enum fault fault = ipc_receive(link->ipc, &message, NULL, NULL);
        if (fault == FAULT_IPC_EMPTY) return;
        if (fault == FAULT_IPC_CLOSED) {
            link_closed(link);
            return;
        }
        if (!fault) fault = message_accept(message, link->other, link->self, &head, &fields);
        if (fault)
            message_refused(link, fault);
        else
            link->handle(link->context, &head, &fields);
    }
}

static void link_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    link_read(context, MESSAGES_AT_ONCE);
}

void link_poll(struct link *link)
{
    link_read(link, UINT32_MAX);
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
    assert(fd >= 0);
    struct link *link = NEW(struct link);
    *link = (struct link){.ipc = ipc_new(fd, QUEUE_MAX),
                          .self = self,
                          .other = other,
                          .handle = handle,
                          .context = context};
    link->readable = event_new(base, fd, EV_READ | EV_PERSIST, link_readable, link);
    link->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, link_writable, link);
    event_add(link->readable, NULL);
    return link;
}

void link_send(struct link *link, const struct wr *message)
{
    if (link->closed) return;
    enum fault fault = wr_end(message);
    if (!fault) fault = ipc_send(link->ipc, wr_done(message), NULL, 0);
    if (fault == FAULT_IPC_CLOSED)
        link_closed(link);
    else if (fault)
        link_fail(link, fault, "cannot send to");
    else if (ipc_wants_write(link->ipc))
        event_add(link->writable, NULL);
}

// --- time and randomness

nsec role_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * NSEC_PER_SECOND + now.tv_nsec;
}

static void system_fill(struct rng *rng, void *out, size_t size)
{
    (void)rng;
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

struct rng *role_rng(void)
{
    static struct rng rng = {.fill = system_fill};
    return &rng;
}
