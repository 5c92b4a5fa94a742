// SPDX-License-Identifier: Apache-2.0
#include "daemon/shard.h"
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    SAS_MAX = 131072,
    POLICIES_MAX = 131072,
    HELD_SECONDS = 5,
    UNKNOWN_A_TICK = 16, // reports of unknown SPIs, which anybody can cause
    USAGE_AT_ONCE = sizeof((struct usage_message *)0)->at / sizeof(struct sa_usage),
};

// --- to shard 0

static void report(struct shard *shard, struct report *in)
{
    struct shard *first = &shard->all[0];
    in->shard = shard->index;
    if (shard == first) {
        first->report(first->context, in);
        return;
    }
    struct report *copy = NEW(struct report);
    *copy = *in;
    post_letter(&first->post, copy);
    post_call(&first->post);
}

static void events_tell(struct shard *shard)
{
    struct report out = {.kind = REPORT_EVENT};
    while (plane_event(shard->plane, &out.event))
        if (out.event.kind != PLANE_UNKNOWN_SPI || shard->unknown++ < UNKNOWN_A_TICK)
            report(shard, &out);
}

static void failure_tell(struct shard *shard, enum fault fault, uint32_t spi, uint32_t policy,
                         const char *what)
{
    struct report out = {.kind = REPORT_FAILURE, .failure = {fault, spi, policy, what}};
    if (fault) report(shard, &out);
}

static void proven(void *context, const struct packet *packet)
{
    struct report out = {.kind = REPORT_PROVEN, .local = packet->to, .remote = packet->from};
    report(context, &out);
}

// Asked with a number, all SAs are told; without, those in use since the last time.
static void usage_tell(struct shard *shard, struct order *order)
{
    nsec now = role_now();
    size_t cursor = 0;
    struct sa_usage usage;
    struct report out = {.kind = REPORT_USAGE, .order = order, .usage = NEW(struct usage_message)};
    while (plane_usage_next(shard->plane, &cursor, &usage)) {
        if (!order->number && usage.last_used < shard->usage_told) continue;
        if (out.usage->count == USAGE_AT_ONCE) {
            report(shard, &out);
            out.usage = NEW(struct usage_message);
        }
        out.usage->at[out.usage->count++] = usage;
    }
    out.usage->last = true;
    order_hold(order);
    report(shard, &out);
    shard->usage_told = now;
}

void shard_counters(const struct shard *shard, struct shard_counters *out)
{
    out->stats = *plane_stats(shard->plane);
    out->keepalives = shard->worker.keepalives;
    out->cut = shard->worker.cut;
    for (unsigned fault = 0; fault < FAULT_COUNT; fault++)
        out->dropped[fault] = out->stats.dropped[fault] + shard->worker.dropped[fault];
}

static void counters_tell(struct shard *shard)
{
    struct report out = {.kind = REPORT_COUNTERS, .counters = NEW(struct shard_counters)};
    shard_counters(shard, out.counters);
    report(shard, &out);
}

// --- time

// The plane's own timers, of IP-TFS.
static void due_set(struct shard *shard)
{
    nsec at = plane_deadline(shard->plane);
    if (at == shard->due_at) return;
    shard->due_at = at;
    if (at == NSEC_NEVER) {
        event_del(shard->due);
        return;
    }
    nsec now = role_now(), wait = at > now ? at - now : 0;
    struct timeval time = {.tv_sec = wait / NSEC_PER_SECOND,
                           .tv_usec = wait % NSEC_PER_SECOND / 1000};
    event_add(shard->due, &time);
}

void shard_after(struct shard *shard)
{
    due_set(shard);
    events_tell(shard);
}

static void due(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct shard *shard = context;
    shard->due_at = NSEC_NEVER;
    worker_due(&shard->worker);
    shard_after(shard);
}

static void release(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct shard *shard = context;
    worker_release(&shard->worker, role_now() - nsec_seconds(HELD_SECONDS));
    shard_after(shard);
}

void shard_seconds(struct shard *shard)
{
    shard->unknown = 0;
    worker_tick(&shard->worker);
    release(-1, 0, shard);
}

static void tick(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    shard_seconds(context);
    counters_tell(context);
}

// --- orders

static void sa_add(struct shard *shard, const struct sa_spec *spec)
{
    enum fault fault = plane_sa_add(shard->plane, spec);
    failure_tell(shard, fault, spec->spi, spec->policy,
                 spec->direction == SA_IN ? "take the inbound SA" : "take the outbound SA");
    if (!fault && spec->mode == MODE_GATEWAY_TRANSPORT) shard->worker.transit = true;
    due_set(shard);
    // Not at once: this may have been called for by a worker that has a burst in its hands.
    if (!fault && spec->direction == SA_OUT) event_active(shard->release, EV_TIMEOUT, 0);
}

static void sa_move(struct shard *shard, const struct sa_move_message *message)
{
    const struct addr *remote = message->direction == SA_OUT && message->former.remote.addr.family
                                    ? &message->former.remote.addr
                                    : NULL;
    enum fault fault =
        plane_sa_move_of(shard->plane, message->spi, message->direction, remote, &message->path);
    failure_tell(shard, fault, message->spi, 0, "move the SA");
}

static const struct addr *known(uint8_t direction, const struct addr *remote)
{
    return direction == SA_OUT && remote->family ? remote : NULL;
}

static void sa_del(struct shard *shard, const struct sa_del_message *message)
{
    enum fault fault = plane_sa_del_of(shard->plane, message->spi, message->direction,
                                       known(message->direction, &message->remote));
    if (fault)
        role_log(ROLE_ESP, IKE_DETAIL, fault, "cannot delete the SA with SPI %08x", message->spi);
}

static void sa_skip(struct shard *shard, const struct sa_skip_message *message)
{
    enum fault fault = plane_sa_skip(shard->plane, message->spi, known(SA_OUT, &message->remote),
                                     message->delta);
    if (fault)
        role_log(ROLE_ESP, IKE_DETAIL, fault, "cannot skip numbers of the SA with SPI %08x",
                 message->spi);
}

static void sa_mtu(struct shard *shard, const struct sa_mtu_message *message)
{
    enum fault fault = plane_sa_mtu(shard->plane, message->spi, message->direction,
                                    known(message->direction, &message->remote), message->path_mtu);
    if (fault)
        role_log(ROLE_ESP, IKE_DETAIL, fault, "cannot set the path MTU of SPI %08x", message->spi);
}

static void policy_add(struct shard *shard, const struct policy_spec *spec)
{
    failure_tell(shard, plane_policy_add(shard->plane, spec), 0, spec->number, "take the policy");
    if (spec->trap == POLICY_TRAP) event_active(shard->release, EV_TIMEOUT, 0);
}

static void policy_del(struct shard *shard, uint32_t number)
{
    enum fault fault = plane_policy_del(shard->plane, number);
    if (fault) role_log(ROLE_ESP, IKE_DETAIL, fault, "cannot delete policy %u", number);
}

// The descriptor is this shard's own.
static void device_set(struct shard *shard, uint16_t number, int fd)
{
    int former = shard->worker.devices[number].fd;
    worker_device_set(&shard->worker, number, fd);
    if (former >= 0) close(former);
}

static void carry_out(struct shard *shard, struct order *order)
{
    switch (order->type) {
    case MESSAGE_SA_ADD:
        sa_add(shard, &order->sa.spec);
        break;
    case MESSAGE_SA_MOVE:
        sa_move(shard, &order->sa_move);
        break;
    case MESSAGE_SA_DEL:
        sa_del(shard, &order->sa_del);
        break;
    case MESSAGE_SA_SKIP:
        sa_skip(shard, &order->sa_skip);
        break;
    case MESSAGE_SA_MTU:
        sa_mtu(shard, &order->sa_mtu);
        break;
    case MESSAGE_POLICY_ADD:
        policy_add(shard, &order->policy.spec);
        break;
    case MESSAGE_POLICY_DEL:
        policy_del(shard, order->policy_del.number);
        break;
    case MESSAGE_USAGE_ASK:
        usage_tell(shard, order);
        break;
    case ORDER_DEVICE:
        device_set(shard, order->device, order->fd);
        break;
    case ORDER_STOP:
        shard->stopped = true;
        break;
    }
}

static void order_give(struct shard *shard, struct order *order)
{
    post_letter(&shard->post, order_hold(order));
    post_call(&shard->post);
}

void shards_order(struct shard *shards, struct order *order)
{
    unsigned count = shards->options->workers;
    uint32_t spi;
    bool inbound = order_is_inbound(order, &spi);
    unsigned only = inbound ? worker_of_spi(spi, count) : count;
    for (unsigned i = 1; i < count; i++)
        if (!inbound || i == only) order_give(&shards[i], order);
    if (!inbound || only == 0) carry_out(shards, order);
}

void shards_device(struct shard *shards, uint16_t number, int fd)
{
    worker_device_set(&shards->worker, number, fd);
    for (unsigned i = 1; i < shards->options->workers; i++) {
        struct order *order = order_new(ORDER_DEVICE);
        order->device = number;
        order->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
        order_give(&shards[i], order);
        order_free(order);
    }
}

// Shard 0 gets reports, the others orders.
static void letter_read(struct shard *shard, void *letter)
{
    if (shard->index) {
        carry_out(shard, letter);
        order_free(letter);
        return;
    }
    shard->report(shard->context, letter);
    free(letter);
}

static void letters_read(struct shard *shard)
{
    void **letters = NULL;
    size_t count = post_letters(&shard->post, &letters);
    for (size_t i = 0; i < count; i++) letter_read(shard, letters[i]);
    free(letters);
}

static void hear(void *context)
{
    letters_read(context);
}

// --- packets

static void device_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct shard *shard = context;
    post_awake(&shard->post);
    worker_outward(&shard->worker, 0);
    shard_after(shard);
}

static void socket_readable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct shard *shard = context;
    post_awake(&shard->post);
    for (unsigned kind = 0; kind < SOCKET_KINDS; kind++)
        if (shard->worker.sockets[kind] == fd) worker_inward(&shard->worker, kind);
    shard_after(shard);
}

// Others have something for this shard.
static void called(evutil_socket_t fd, short what, void *context)
{
    struct shard *shard = context;
    uint64_t calls;
    post_awake(&shard->post);
    if (what & EV_READ && read(fd, &calls, sizeof calls) < 0) calls = 0; // whatever it says
    letters_read(shard);
    worker_handed(&shard->worker);
    shard_after(shard);
}

void shard_turn(struct shard *shard)
{
    if (!post_rest(&shard->post)) event_active(shard->called, EV_TIMEOUT, 0);
}

// --- making and ending

static void watch(struct shard *shard, int fd, event_callback_fn call)
{
    if (fd >= 0) event_add(event_new(shard->base, fd, EV_READ | EV_PERSIST, call, shard), NULL);
}

static void shard_init(struct shard *shard, const struct role_options *options, uint64_t flow_seed)
{
    struct plane_limits limits = {.sas_max = SAS_MAX,
                                  .policies_max = POLICIES_MAX,
                                  .worker = shard->index,
                                  .workers = options->workers,
                                  .flow_seed = flow_seed};
    shard->options = options;
    shard->backend = batch_backend_best();
    shard->plane = plane_new(shard->backend, role_rng(), &limits);
    shard->due_at = NSEC_NEVER;
    post_init(&shard->post, shard->index, options->workers);
    worker_init(&shard->worker, options, shard->index, shard->plane);
    shard->worker.hear_context = shard->worker.proven_context = shard;
    shard->worker.proven = proven;
    shard->worker.hear = hear;
}

static void events_init(struct shard *shard)
{
    watch(shard, shard->worker.devices[0].fd, device_readable);
    for (unsigned kind = 0; kind < SOCKET_KINDS; kind++)
        watch(shard, shard->worker.sockets[kind], socket_readable);
    shard->called = event_new(shard->base, shard->post.wake, EV_READ | EV_PERSIST, called, shard);
    event_add(shard->called, NULL);
    shard->release = event_new(shard->base, -1, 0, release, shard);
    shard->due = event_new(shard->base, -1, 0, due, shard);
    if (!shard->index) return; // shard 0's second is the role's
    shard->tick = event_new(shard->base, -1, EV_PERSIST, tick, shard);
    event_add(shard->tick, &(struct timeval){.tv_sec = 1});
}

static void *shard_run(void *context)
{
    struct shard *shard = context;
    char name[16];
    snprintf(name, sizeof name, "cygnet-esp-%u", shard->index);
    prctl(PR_SET_NAME, name, 0, 0, 0);
    while (!shard->stopped) {
        shard_turn(shard);
        if (event_base_loop(shard->base, EVLOOP_ONCE) != 0) break;
    }
    return NULL;
}

struct shard *shards_new(const struct role_options *options, struct event_base *base,
                         void (*reported)(void *context, const struct report *report),
                         void *context)
{
    struct shard *shards = mem_array(options->workers, sizeof *shards);
    uint64_t flow_seed = rng_u64(role_rng()) | 1;
    for (unsigned i = 0; i < options->workers; i++) {
        shards[i].index = i;
        shards[i].all = shards;
        shards[i].base = i ? event_base_new() : base;
        shard_init(&shards[i], options, flow_seed);
    }
    shards->report = reported;
    shards->context = context;
    for (unsigned i = 0; i < options->workers; i++) {
        for (unsigned to = 0; to < options->workers; to++)
            shards[i].worker.posts[to] = &shards[to].post;
        events_init(&shards[i]);
    }
    for (unsigned i = 1; i < options->workers; i++) {
        int error = pthread_create(&shards[i].thread, NULL, shard_run, &shards[i]);
        assert(error == 0);
    }
    return shards;
}

void shards_stop(struct shard *shards)
{
    struct order *order = order_new(ORDER_STOP);
    for (unsigned i = 1; i < shards->options->workers; i++) {
        order_give(&shards[i], order);
        pthread_join(shards[i].thread, NULL);
    }
    order_free(order);
    // What they did not come to; shard 0 last, since others may have something to tell.
    for (unsigned i = shards->options->workers; i-- > 0;) letters_read(&shards[i]);
}

void shards_free(struct shard *shards)
{
    for (unsigned i = 0; i < shards->options->workers; i++) {
        struct shard *shard = &shards[i];
        for (unsigned number = 1; i && number < PLANE_DEVICES_MAX; number++)
            if (shard->worker.devices[number].fd >= 0) close(shard->worker.devices[number].fd);
        post_wipe(&shard->post);
        worker_wipe(&shard->worker);
        plane_free(shard->plane);
        batch_backend_free(shard->backend);
    }
    free(shards);
}
