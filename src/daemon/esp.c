// SPDX-License-Identifier: Apache-2.0
// The esp role: child keys and packets. It gets SAs and policies from the ike role, tells it what
// packets bring about (an acquire, a peer that moved, counters), and knows nothing of IKE. This is
// the side towards the other roles; packets are moved by shards (shard.c), one for each worker.
#include "daemon/devices.h"
#include "daemon/shard.h"
#include "daemon/streams.h"
#include <assert.h>

enum {
    TICK_SECONDS = 1,
    DROP_LOG_SECONDS = 60,
    UNKNOWN_A_TICK = 16, // reports of unknown SPIs, which anybody can cause
};

struct drop_log {
    uint64_t counted; // when last logged
    nsec logged;      // 0: never
};

struct esp_role {
    const struct role_options *options;
    struct event_base *base;
    struct link *ike;
    struct shard *shards;
    struct streams *streams;
    struct devices *devices;
    struct event *tick;
    struct drop_log drops[FAULT_COUNT];
    unsigned unknown_reported;
    uint64_t sync;                   // to be answered; 0: none
    struct shard_counters *counters; // of each shard, as it has told
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

static void event_tell(struct esp_role *role, const struct plane_event *event)
{
    static const uint8_t kinds[] = {
        [PLANE_ACQUIRE] = IKE_PLANE_ACQUIRE,
        [PLANE_EXPIRE_SOFT_SEQUENCE] = IKE_PLANE_SEQUENCE_LOW,
        [PLANE_PEER_MOVED] = IKE_PLANE_PEER_MOVED,
        [PLANE_UNKNOWN_SPI] = IKE_PLANE_UNKNOWN_SPI,
    };
    assert(event->kind < sizeof kinds);
    if (event->kind == PLANE_UNKNOWN_SPI && role->unknown_reported++ >= UNKNOWN_A_TICK) return;
    struct ike_plane out = {.kind = kinds[event->kind],
                            .policy = event->policy,
                            .flow = event->flow,
                            .resource = event->resource,
                            .spi = event->spi,
                            .from = event->from};
    plane_send(role, &out);
}

static void failure_tell(struct esp_role *role, enum fault fault, uint32_t spi, uint32_t policy,
                         const char *what)
{
    if (!fault) return;
    role_log(ROLE_ESP, IKE_ERROR, fault, "cannot %s (SPI %08x, policy %u)", what, spi, policy);
    struct ike_plane out = {.kind = IKE_PLANE_FAILED, .spi = spi, .policy = policy, .fault = fault};
    plane_send(role, &out);
}

// The last part of the last shard is the last.
static void usage_forward(struct esp_role *role, const struct report *report)
{
    struct usage_message *usage = report->usage;
    struct order *order = report->order;
    bool complete = usage->last;
    usage->last = complete && --order->awaited == 0;
    if (usage->count || (usage->last && order->number)) {
        struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_USAGE, order->number);
        usage_put(&out, usage);
        link_send(role->ike, &out);
    }
    free(usage);
    if (complete) order_free(order);
}

static void counters_keep(struct esp_role *role, const struct report *report)
{
    role->counters[report->shard] = *report->counters;
    free(report->counters);
}

// From a shard.
static void reported(void *context, const struct report *report)
{
    struct esp_role *role = context;
    switch (report->kind) {
    case REPORT_EVENT:
        event_tell(role, &report->event);
        break;
    case REPORT_FAILURE:
        failure_tell(role, report->failure.fault, report->failure.spi, report->failure.policy,
                     report->failure.what);
        break;
    case REPORT_USAGE:
        usage_forward(role, report);
        break;
    case REPORT_PROVEN:
        streams_prove(role->streams, &report->local, &report->remote);
        break;
    case REPORT_COUNTERS:
        counters_keep(role, report);
        break;
    }
}

// --- from the ike role

// RFC 9347 4.2: the largest that a tunnel would send for what the TUN device gives.
static uint16_t packet_size_of(const struct esp_role *role, const struct sa_spec *spec)
{
    size_t size = role->options->mtu + plane_overhead(spec, role->options->mtu);
    if (size < IPTFS_PACKET_SIZE_MIN) return IPTFS_PACKET_SIZE_MIN;
    return size > UINT16_MAX ? UINT16_MAX : (uint16_t)size;
}

static enum fault sa_complete(struct esp_role *role, struct sa_spec *spec)
{
    if (spec->tfc_padding == TFC_MTU) spec->tfc_padding = (uint16_t)role->options->mtu;
    if (!spec->iptfs.packet_size) spec->iptfs.packet_size = packet_size_of(role, spec);
    return devices_number(role->devices, &spec->if_id);
}

// What shards cannot know by themselves. False when it cannot be done.
static bool order_complete(struct esp_role *role, struct order *order)
{
    struct sa_spec *sa = &order->sa.spec;
    struct policy_spec *policy = &order->policy.spec;
    enum fault fault = OK;
    if (order->type == MESSAGE_SA_ADD) {
        fault = sa_complete(role, sa);
        failure_tell(role, fault, sa->spi, sa->policy, "take the SA");
    } else if (order->type == MESSAGE_POLICY_ADD) {
        fault = devices_number(role->devices, &policy->if_id_out);
        failure_tell(role, fault, 0, policy->number, "take the policy");
    }
    return !fault;
}

static void order_pass(struct esp_role *role, const struct message_head *head, struct rd *fields)
{
    struct order *order = order_read(head, fields);
    if (!order) return;
    order->awaited = role->options->workers;
    if (order_complete(role, order)) shards_order(role->shards, order);
    order_free(order);
}

static void stream_out(struct esp_role *role, struct rd *fields)
{
    struct arena arena = {0};
    struct datagram_message message;
    if (datagram_get(fields, &arena, &message) == OK)
        streams_send_ike(role->streams, &message.local, &message.remote, message.bytes);
    arena_free(&arena);
}

// The last number answers for all before. What other shards are still to carry out they do before
// they look at a packet.
static void turn_ended(void *context)
{
    struct esp_role *role = context;
    shard_turn(role->shards);
    if (!role->sync) return;
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_SYNC, role->sync);
    link_send(role->ike, &out);
    role->sync = 0;
}

static void from_ike(void *context, const struct message_head *head, struct rd *fields)
{
    struct esp_role *role = context;
    switch (head->type) {
    case MESSAGE_STREAM:
        stream_out(role, fields);
        break;
    case MESSAGE_SYNC:
        role->sync = head->number;
        break;
    default:
        order_pass(role, head, fields);
        break;
    }
}

static void hear(void *context)
{
    const struct esp_role *role = context;
    link_poll(role->ike);
}

// --- time

static uint64_t dropped(const struct esp_role *role, unsigned fault)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < role->options->workers; i++) count += role->counters[i].dropped[fault];
    return count;
}

// Each reason is logged when it is new and then once a minute with how many there were.
static void drops_log(struct esp_role *role, nsec now)
{
    for (unsigned fault = 1; fault < FAULT_COUNT; fault++) {
        struct drop_log *drop = &role->drops[fault];
        uint64_t count = dropped(role, fault);
        if (count == drop->counted ||
            (drop->logged && now - drop->logged < nsec_seconds(DROP_LOG_SECONDS)))
            continue;
        role_log(ROLE_ESP, IKE_INFO, fault, "%llu packets dropped",
                 (unsigned long long)(count - drop->counted));
        *drop = (struct drop_log){count, now};
    }
}

static void tick(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct esp_role *role = context;
    role->unknown_reported = 0;
    streams_tick(role->streams);
    shard_seconds(role->shards);
    shard_counters(role->shards, &role->counters[0]);
    drops_log(role, role_now());
}

static void device_came(void *context, uint16_t number, int fd)
{
    const struct esp_role *role = context;
    shards_device(role->shards, number, fd);
}

static void device_burst(void *context, uint16_t number)
{
    const struct esp_role *role = context;
    post_awake(&role->shards->post);
    worker_outward(&role->shards->worker, number);
    shard_after(role->shards);
}

// --- the end

static void stats_log(const struct esp_role *role)
{
    struct shard_counters sum = {0};
    for (unsigned i = 0; i < role->options->workers; i++) {
        const struct shard_counters *one = &role->counters[i];
        sum.stats.sealed += one->stats.sealed;
        sum.stats.sealed_bytes += one->stats.sealed_bytes;
        sum.stats.opened += one->stats.opened;
        sum.stats.opened_bytes += one->stats.opened_bytes;
        sum.stats.bypassed += one->stats.bypassed;
        sum.stats.iptfs_sealed += one->stats.iptfs_sealed;
        sum.stats.iptfs_opened += one->stats.iptfs_opened;
        sum.cut += one->cut;
        sum.keepalives += one->keepalives;
    }
    role_log(ROLE_ESP, IKE_INFO, OK,
             "sealed %llu packets (%llu bytes), opened %llu (%llu bytes), let pass %llu, cut %llu, "
             "keepalives %llu",
             (unsigned long long)sum.stats.sealed, (unsigned long long)sum.stats.sealed_bytes,
             (unsigned long long)sum.stats.opened, (unsigned long long)sum.stats.opened_bytes,
             (unsigned long long)sum.stats.bypassed, (unsigned long long)sum.cut,
             (unsigned long long)sum.keepalives);
    if (sum.stats.iptfs_sealed || sum.stats.iptfs_opened)
        role_log(ROLE_ESP, IKE_INFO, OK, "IP-TFS: %llu outer packets sent, %llu received",
                 (unsigned long long)sum.stats.iptfs_sealed,
                 (unsigned long long)sum.stats.iptfs_opened);
}

static void role_end(struct esp_role *role)
{
    devices_free(role->devices); // of which the shards are told
    shards_stop(role->shards);
    for (unsigned i = 0; i < role->options->workers; i++)
        shard_counters(&role->shards[i], &role->counters[i]);
    drops_log(role, role_now());
    stats_log(role);
    streams_free(role->streams);
    shards_free(role->shards);
    free(role->counters);
    free(role->space);
    free(role);
}

int role_esp(const struct role_options *options)
{
    struct esp_role *role = NEW(struct esp_role);
    role->options = options;
    role->base = event_base_new();
    role->space = mem_new(IPC_MESSAGE_MAX);
    role->counters = mem_array(options->workers, sizeof *role->counters);
    role->ike =
        link_new(role->base, options->channel[ROLE_IKE], ROLE_ESP, ROLE_IKE, from_ike, role);
    role->shards = shards_new(options, role->base, reported, role);
    struct worker *worker = &role->shards->worker;
    worker->ike = role->ike;
    worker->hear = hear;
    worker->hear_context = role;
    role_log(ROLE_ESP, IKE_DETAIL, OK, "ciphers by %s, packets by %u threads",
             batch_backend_name(role->shards->backend), options->workers);
    role->streams = worker->streams = streams_new(role->base, options, worker, role->ike);
    role->devices = devices_new(role->base, options, device_came, device_burst, role);
    role->tick = event_new(role->base, -1, EV_PERSIST, tick, role);
    event_add(role->tick, &(struct timeval){.tv_sec = TICK_SECONDS});
    role_on_turn(turn_ended, role);
    int code = role_loop(role->base, options->alive);
    role_end(role);
    return code;
}
