// SPDX-License-Identifier: Apache-2.0
// The esp role: child keys and packets. It gets SAs and policies from the ike role, tells it what
// packets bring about (an acquire, a peer that moved, counters), and knows nothing of IKE.
#include "daemon/devices.h"
#include "daemon/streams.h"
#include "daemon/worker.h"
#include <assert.h>
#include <event2/event.h>

enum {
    SAS_MAX = 131072,
    POLICIES_MAX = 131072,
    TICK_SECONDS = 1,
    HELD_SECONDS = 5,
    DROP_LOG_SECONDS = 60,
    UNKNOWN_A_TICK = 16, // reports of unknown SPIs, which anybody can cause
    USAGE_AT_ONCE = sizeof((struct usage_message *)0)->at / sizeof(struct sa_usage),
};

struct drop_log {
    uint64_t counted; // when last logged
    nsec logged;      // 0: never
};

struct esp_role {
    const struct role_options *options;
    struct event_base *base;
    struct link *ike;
    struct batch_backend *backend;
    struct plane *plane;
    struct worker worker;
    struct streams *streams;
    struct devices *devices;
    struct event *tick, *release, *due;
    nsec due_at; // when `due` is called; NSEC_NEVER: not
    struct drop_log drops[FAULT_COUNT];
    unsigned unknown_reported;
    uint64_t sync;   // to be answered; 0: none
    nsec usage_told; // SAs used since then have news
    struct usage_message usage;
    uint8_t *space;
};

// --- to the ike role

static void plane_send(struct esp_role *role, const struct ike_plane *event)
{
    struct plane_message message = {.event = *event};
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_PLANE, 0);
    plane_put(&out, &message);
    link_send(role->ike, &out);
}

static void events_tell(struct esp_role *role)
{
    static const uint8_t kinds[] = {
        [PLANE_ACQUIRE] = IKE_PLANE_ACQUIRE,
        [PLANE_EXPIRE_SOFT_SEQUENCE] = IKE_PLANE_SEQUENCE_LOW,
        [PLANE_PEER_MOVED] = IKE_PLANE_PEER_MOVED,
        [PLANE_UNKNOWN_SPI] = IKE_PLANE_UNKNOWN_SPI,
    };
    struct plane_event event;
    while (plane_event(role->plane, &event)) {
        assert(event.kind < sizeof kinds);
        if (event.kind == PLANE_UNKNOWN_SPI && role->unknown_reported++ >= UNKNOWN_A_TICK) continue;
        struct ike_plane out = {.kind = kinds[event.kind],
                                .policy = event.policy,
                                .flow = event.flow,
                                .resource = event.resource,
                                .spi = event.spi,
                                .from = event.from};
        plane_send(role, &out);
    }
}

static void failure_tell(struct esp_role *role, enum fault fault, uint32_t spi, uint32_t policy,
                         const char *what)
{
    if (!fault) return;
    role_log(ROLE_ESP, IKE_ERROR, fault, "cannot %s (SPI %08x, policy %u)", what, spi, policy);
    struct ike_plane out = {.kind = IKE_PLANE_FAILED, .spi = spi, .policy = policy, .fault = fault};
    plane_send(role, &out);
}

static void usage_send(struct esp_role *role, uint64_t number)
{
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_USAGE, number);
    usage_put(&out, &role->usage);
    link_send(role->ike, &out);
    role->usage.count = 0;
}

// Asked with a number, all SAs are told; without, those in use since the last time.
static void usage_tell(struct esp_role *role, uint64_t number)
{
    nsec now = role_now();
    size_t cursor = 0;
    struct sa_usage usage;
    role->usage = (struct usage_message){0};
    while (plane_usage_next(role->plane, &cursor, &usage)) {
        if (!number && usage.last_used < role->usage_told) continue;
        if (role->usage.count == USAGE_AT_ONCE) usage_send(role, number);
        role->usage.at[role->usage.count++] = usage;
    }
    role->usage.last = true;
    if (number || role->usage.count) usage_send(role, number);
    role->usage_told = now;
}

// --- from the ike role

// RFC 9347 2.4.1: what every path takes that takes our packets at all.
static uint16_t packet_size_of(const struct esp_role *role)
{
    return role->options->mtu < IPTFS_PACKET_SIZE_MIN ? IPTFS_PACKET_SIZE_MIN
                                                      : (uint16_t)role->options->mtu;
}

// The plane's own timers, of IP-TFS.
static void due_set(struct esp_role *role)
{
    nsec at = plane_deadline(role->plane);
    if (at == role->due_at) return;
    role->due_at = at;
    if (at == NSEC_NEVER) {
        event_del(role->due);
        return;
    }
    nsec now = role_now(), wait = at > now ? at - now : 0;
    struct timeval time = {.tv_sec = wait / NSEC_PER_SECOND,
                           .tv_usec = wait % NSEC_PER_SECOND / 1000};
    event_add(role->due, &time);
}

static void sa_add(struct esp_role *role, struct rd *fields, struct arena *arena)
{
    struct sa_message message;
    if (sa_get(fields, arena, &message) != OK) return;
    struct sa_spec *spec = &message.spec;
    if (spec->tfc_padding == TFC_MTU) spec->tfc_padding = (uint16_t)role->options->mtu;
    if (!spec->iptfs.packet_size) spec->iptfs.packet_size = packet_size_of(role);
    enum fault fault = devices_number(role->devices, &spec->if_id);
    if (!fault) fault = plane_sa_add(role->plane, spec);
    failure_tell(role, fault, spec->spi, spec->policy,
                 spec->direction == SA_IN ? "take the inbound SA" : "take the outbound SA");
    if (!fault && spec->mode == MODE_GATEWAY_TRANSPORT) role->worker.transit = true;
    due_set(role);
    // Not at once: this may have been called for by a worker that has a burst in its hands.
    if (!fault && spec->direction == SA_OUT) event_active(role->release, EV_TIMEOUT, 0);
}

static void sa_move(struct esp_role *role, struct rd *fields, struct arena *arena)
{
    struct sa_move_message message;
    if (sa_move_get(fields, arena, &message) != OK) return;
    const struct addr *remote = message.direction == SA_OUT && message.former.remote.addr.family
                                    ? &message.former.remote.addr
                                    : NULL;
    enum fault fault =
        plane_sa_move_of(role->plane, message.spi, message.direction, remote, &message.path);
    failure_tell(role, fault, message.spi, 0, "move the SA");
}

static void sa_del(struct esp_role *role, struct rd *fields, struct arena *arena)
{
    struct sa_del_message message;
    if (sa_del_get(fields, arena, &message) != OK) return;
    const struct addr *remote =
        message.direction == SA_OUT && message.remote.family ? &message.remote : NULL;
    enum fault fault = plane_sa_del_of(role->plane, message.spi, message.direction, remote);
    if (fault)
        role_log(ROLE_ESP, IKE_DETAIL, fault, "cannot delete the SA with SPI %08x", message.spi);
}

static void sa_skip(struct esp_role *role, struct rd *fields, struct arena *arena)
{
    struct sa_skip_message message;
    if (sa_skip_get(fields, arena, &message) != OK) return;
    const struct addr *remote = message.remote.family ? &message.remote : NULL;
    enum fault fault = plane_sa_skip(role->plane, message.spi, remote, message.delta);
    if (fault)
        role_log(ROLE_ESP, IKE_DETAIL, fault, "cannot skip numbers of the SA with SPI %08x", message.spi);
}

static void sa_mtu(struct esp_role *role, struct rd *fields, struct arena *arena)
{
    struct sa_mtu_message message;
    if (sa_mtu_get(fields, arena, &message) != OK) return;
    const struct addr *remote =
        message.direction == SA_OUT && message.remote.family ? &message.remote : NULL;
    enum fault fault =
        plane_sa_mtu(role->plane, message.spi, message.direction, remote, message.path_mtu);
    if (fault)
        role_log(ROLE_ESP, IKE_DETAIL, fault, "cannot set the path MTU of SPI %08x", message.spi);
}

static void policy_add(struct esp_role *role, struct rd *fields, struct arena *arena)
{
    struct policy_message message;
    if (policy_get(fields, arena, &message) != OK) return;
    enum fault fault = devices_number(role->devices, &message.spec.if_id_out);
    if (!fault) fault = plane_policy_add(role->plane, &message.spec);
    failure_tell(role, fault, 0, message.spec.number, "take the policy");
    if (message.spec.trap == POLICY_TRAP) event_active(role->release, EV_TIMEOUT, 0);
}

static void policy_del(struct esp_role *role, struct rd *fields, struct arena *arena)
{
    struct policy_del_message message;
    if (policy_del_get(fields, arena, &message) != OK) return;
    enum fault fault = plane_policy_del(role->plane, message.number);
    if (fault) role_log(ROLE_ESP, IKE_DETAIL, fault, "cannot delete policy %u", message.number);
}

static void stream_out(struct esp_role *role, struct rd *fields, struct arena *arena)
{
    struct datagram_message message;
    if (datagram_get(fields, arena, &message) == OK)
        streams_send_ike(role->streams, &message.local, &message.remote, message.bytes);
}

// The last number answers for all before.
static void turn_ended(void *context)
{
    struct esp_role *role = context;
    if (!role->sync) return;
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_SYNC, role->sync);
    link_send(role->ike, &out);
    role->sync = 0;
}

static void from_ike(void *context, const struct message_head *head, struct rd *fields)
{
    struct esp_role *role = context;
    struct arena arena = {0};
    switch (head->type) {
    case MESSAGE_SA_ADD:
        sa_add(role, fields, &arena);
        break;
    case MESSAGE_SA_MOVE:
        sa_move(role, fields, &arena);
        break;
    case MESSAGE_SA_DEL:
        sa_del(role, fields, &arena);
        break;
    case MESSAGE_SA_SKIP:
        sa_skip(role, fields, &arena);
        break;
    case MESSAGE_SA_MTU:
        sa_mtu(role, fields, &arena);
        break;
    case MESSAGE_POLICY_ADD:
        policy_add(role, fields, &arena);
        break;
    case MESSAGE_POLICY_DEL:
        policy_del(role, fields, &arena);
        break;
    case MESSAGE_USAGE_ASK:
        usage_tell(role, head->number);
        break;
    case MESSAGE_STREAM:
        stream_out(role, fields, &arena);
        break;
    case MESSAGE_SYNC:
        role->sync = head->number;
        break;
    }
    arena_free(&arena);
}

// --- packets and time

static void tun_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct esp_role *role = context;
    worker_outward(&role->worker, 0);
    due_set(role);
    events_tell(role);
}

static void device_done(void *context)
{
    events_tell(context);
}

static void socket_readable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct esp_role *role = context;
    for (unsigned kind = 0; kind < SOCKET_KINDS; kind++)
        if (role->worker.sockets[kind] == fd) worker_inward(&role->worker, kind);
    due_set(role);
    events_tell(role);
}

// Each reason is logged when it is new and then once a minute with how many there were.
static void drops_log(struct esp_role *role, nsec now)
{
    const struct plane_stats *stats = plane_stats(role->plane);
    for (unsigned fault = 1; fault < FAULT_COUNT; fault++) {
        struct drop_log *drop = &role->drops[fault];
        uint64_t count = stats->dropped[fault] + role->worker.dropped[fault];
        if (count == drop->counted ||
            (drop->logged && now - drop->logged < nsec_seconds(DROP_LOG_SECONDS)))
            continue;
        role_log(ROLE_ESP, IKE_INFO, fault, "%llu packets dropped",
                 (unsigned long long)(count - drop->counted));
        *drop = (struct drop_log){count, now};
    }
}

static void due(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct esp_role *role = context;
    role->due_at = NSEC_NEVER;
    worker_due(&role->worker);
    due_set(role);
    events_tell(role);
}

static void release(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct esp_role *role = context;
    worker_release(&role->worker, role_now() - nsec_seconds(HELD_SECONDS));
    due_set(role);
    events_tell(role);
}

static void tick(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct esp_role *role = context;
    nsec now = role_now();
    role->unknown_reported = 0;
    worker_tick(&role->worker);
    streams_tick(role->streams);
    worker_release(&role->worker, now - nsec_seconds(HELD_SECONDS));
    due_set(role);
    events_tell(role);
    drops_log(role, now);
}

static void watch(struct esp_role *role, int fd, event_callback_fn call)
{
    if (fd >= 0) event_add(event_new(role->base, fd, EV_READ | EV_PERSIST, call, role), NULL);
}

static void stats_log(const struct esp_role *role)
{
    const struct plane_stats *stats = plane_stats(role->plane);
    role_log(ROLE_ESP, IKE_INFO, OK,
             "sealed %llu packets (%llu bytes), opened %llu (%llu bytes), let pass %llu, cut %llu, "
             "keepalives %llu",
             (unsigned long long)stats->sealed, (unsigned long long)stats->sealed_bytes,
             (unsigned long long)stats->opened, (unsigned long long)stats->opened_bytes,
             (unsigned long long)stats->bypassed, (unsigned long long)role->worker.cut,
             (unsigned long long)role->worker.keepalives);
    if (stats->iptfs_sealed || stats->iptfs_opened)
        role_log(ROLE_ESP, IKE_INFO, OK, "IP-TFS: %llu outer packets sent, %llu received",
                 (unsigned long long)stats->iptfs_sealed, (unsigned long long)stats->iptfs_opened);
}

int role_esp(const struct role_options *options)
{
    struct esp_role *role = NEW(struct esp_role);
    role->options = options;
    role->base = event_base_new();
    role->space = mem_new(IPC_MESSAGE_MAX);
    role->backend = batch_backend_best();
    role_log(ROLE_ESP, IKE_DETAIL, OK, "ciphers by %s", batch_backend_name(role->backend));
    struct plane_limits limits = {.sas_max = SAS_MAX, .policies_max = POLICIES_MAX};
    role->plane = plane_new(role->backend, role_rng(), &limits);
    role->ike =
        link_new(role->base, options->channel[ROLE_IKE], ROLE_ESP, ROLE_IKE, from_ike, role);
    worker_init(&role->worker, options, 0, role->plane, role->ike);
    role->streams = role->worker.streams = streams_new(role->base, options, &role->worker, role->ike);
    role->devices = devices_new(role->base, options, &role->worker, device_done, role);
    watch(role, role->worker.devices[0].fd, tun_readable);
    for (unsigned kind = 0; kind < SOCKET_KINDS; kind++)
        watch(role, role->worker.sockets[kind], socket_readable);
    role->release = event_new(role->base, -1, 0, release, role);
    role->due = event_new(role->base, -1, 0, due, role);
    role->due_at = NSEC_NEVER;
    role->tick = event_new(role->base, -1, EV_PERSIST, tick, role);
    event_add(role->tick, &(struct timeval){.tv_sec = TICK_SECONDS});
    role_on_turn(turn_ended, role);
    int code = role_loop(role->base, options->alive);
    drops_log(role, role_now());
    stats_log(role);
    devices_free(role->devices);
    streams_free(role->streams);
    worker_wipe(&role->worker);
    plane_free(role->plane);
    batch_backend_free(role->backend);
    free(role);
    return code;
}
