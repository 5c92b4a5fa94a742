// SPDX-License-Identifier: Apache-2.0
// The surface of the core: one input a step, outputs in the order in which they came about, one
// deadline.
//
//     ike_step:  bury what died in the last step -> take the input -> run alarms that are due
//
// Outputs and what they point to live in the arena of the step.
#include "ike/internal.h"
#include "ike/roam.h"
#include <assert.h>

enum { SPENT_MAX = 1 << 27, ALARMS_AT_ONCE = 4096 }; // a host with all its SAs may end in one step

struct ike_settings ike_settings_default(void)
{
    return (struct ike_settings){
        .retransmit_timeout = nsec_seconds(4),
        .retransmit_base = 1.8,
        .retransmit_tries = 5,
        .half_open_timeout = nsec_seconds(30),
        .half_open_max = 4096,
        .half_open_per_source_max = 256,
        .cookie_threshold = 30,
        .keepalive = nsec_seconds(20),
        .delete_delay = nsec_seconds(5),
        .port = 500,
        .port_nat = 4500,
        .sas_max = 200000,
        .children_per_sa_max = 4096,
        .resources = 1,
        .resource_sas_max = 2 * RESOURCES_MAX,
    };
}

struct ike *ike_new(struct rng *rng, const struct ike_settings *settings)
{
    struct ike *ike = NEW(struct ike);
    ike->rng = rng;
    ike->settings = *settings;
    ike->outs_last = &ike->outs;
    ike->spent = BUF((size_t)SPENT_MAX * sizeof(void *));
    ike->plain = mem_new(IKE_MESSAGE_MAX);
    ike->sealed = mem_new(2 * IKE_MESSAGE_MAX);
    ike->shown = mem_array(2, sizeof *ike->shown);
    list_init(&ike->buried_sas);
    list_init(&ike->buried_children);
    list_init(&ike->buried_policies);
    list_init(&ike->sas);
    list_init(&ike->loaded);
    list_init(&ike->pools);
    list_init(&ike->commands);
    list_init(&ike->tickets_spent_list);
    if (settings->ticket_secret.size) secret_set(&ike->ticket_secret, settings->ticket_secret);
    ike->settings.ticket_secret = BYTES_NONE;
    if (settings->qcd_secret.size) secret_set(&ike->qcd_secret, settings->qcd_secret);
    ike->settings.qcd_secret = BYTES_NONE;
    tables_init(ike);
    return ike;
}

// --- what ends with a step

static void spent_free(struct ike *ike)
{
    for (size_t i = 0; i < ike->spent.size / sizeof(void *); i++) {
        void *at;
        memcpy(&at, ike->spent.at + i * sizeof at, sizeof at);
        free(at);
    }
    buf_clear(&ike->spent);
    for (size_t i = 0; i < ike->spent_secret_count; i++) secret_wipe(&ike->spent_secrets[i]);
    ike->spent_secret_count = 0;
    for (size_t i = 0; i < ike->spent_conn_count; i++) conn_release(ike->spent_conns[i]);
    ike->spent_conn_count = 0;
}

static void step_clean(struct ike *ike)
{
    LIST_EACH (struct child, link, child, &ike->buried_children) child_free(child);
    LIST_EACH (struct sa, link, sa, &ike->buried_sas) sa_free(sa);
    LIST_EACH (struct policy, link, policy, &ike->buried_policies) policy_free(policy);
    spent_free(ike);
    ike->outs = NULL;
    ike->outs_last = &ike->outs;
    arena_reset(&ike->arena);
}

void free_later(struct ike *ike, void *at)
{
    if (at) buf_add(&ike->spent, bytes_of(&at, sizeof at));
    assert(!ike->spent.failed);
}

void secret_later(struct ike *ike, struct secret *secret)
{
    if (!secret->at) return;
    size_t count = ike->spent_secret_count + 1;
    ike->spent_secrets = mem_grow(ike->spent_secrets, count, sizeof *ike->spent_secrets);
    ike->spent_secrets[ike->spent_secret_count] = (struct secret){0};
    secret_move(&ike->spent_secrets[ike->spent_secret_count], secret);
    ike->spent_secret_count = count;
}

struct bytes secret_for_step(struct ike *ike, struct bytes value)
{
    struct secret copy = {0};
    secret_set(&copy, value);
    struct bytes view = secret_bytes(&copy);
    secret_later(ike, &copy);
    return view;
}

void conn_later(struct ike *ike, struct conn *conn)
{
    if (!conn) return;
    size_t count = ike->spent_conn_count + 1;
    ike->spent_conns = mem_grow(ike->spent_conns, count, sizeof *ike->spent_conns);
    ike->spent_conns[ike->spent_conn_count] = conn;
    ike->spent_conn_count = count;
}

void ike_free(struct ike *ike)
{
    if (!ike) return;
    while (!list_is_empty(&ike->sas)) sa_end(LIST_FIRST(struct sa, link, &ike->sas), OK, NULL);
    while (!list_is_empty(&ike->loaded)) {
        const struct loaded *loaded = LIST_FIRST(struct loaded, link, &ike->loaded);
        conn_unload(ike, loaded->conn->name);
    }
    LIST_EACH (struct command_wait, link, wait, &ike->commands) free(wait);
    step_clean(ike);
    pools_free(ike);
    heap_wipe(&ike->alarms);
    tickets_free(ike);
    secret_wipe(&ike->qcd_secret);
    tables_free(ike);
    for (unsigned i = 0; i < 2; i++) secret_wipe(&ike->cookie_secret[i]);
    memory_wipe(ike->plain, IKE_MESSAGE_MAX);
    free(ike->plain);
    free(ike->sealed);
    free(ike->shown);
    free(ike->anchors);
    free(ike->spent_secrets);
    free(ike->spent_conns);
    buf_free(&ike->spent);
    arena_free(&ike->arena);
    free(ike);
}

// --- outputs

struct ike_out *out_new(struct ike *ike, enum ike_out_kind kind)
{
    struct out_item *item = arena_new(&ike->arena, sizeof *item);
    item->out.kind = (uint8_t)kind;
    *ike->outs_last = item;
    ike->outs_last = &item->next;
    return &item->out;
}

bool ike_next(struct ike *ike, struct ike_out *out)
{
    struct out_item *item = ike->outs;
    if (!item) return false;
    *out = item->out;
    ike->outs = item->next;
    if (!ike->outs) ike->outs_last = &ike->outs;
    return true;
}

// --- operations: who waits is named by a number, so that an answer which comes too late finds
// nobody

struct ike_operation *operation_new(struct ike *ike, struct waiter *waiter,
                                    enum ike_operation_kind kind)
{
    assert(!waiter->number);
    waiter->number = ++ike->last_operation;
    map_put(&ike->operations, map_key_u64(&waiter->number), waiter);
    struct ike_operation *operation = &out_new(ike, IKE_OUT_OPERATION)->operation;
    operation->number = waiter->number;
    operation->kind = (uint8_t)kind;
    return operation;
}

void operation_resolve(struct ike_operation *operation, const struct conn *conn)
{
    operation->resolve.local = conn->local_hosts;
    operation->resolve.local_count = conn->local_count;
    operation->resolve.remote = conn->remote_hosts;
    operation->resolve.remote_count = conn->remote_count;
    operation->resolve.local_port = conn->local_port;
    operation->resolve.remote_port = conn->remote_port;
}

void waiter_forget(struct ike *ike, struct waiter *waiter)
{
    if (waiter->number) map_remove(&ike->operations, map_key_u64(&waiter->number));
    waiter->number = 0;
}

#define OWNER(type, member, at) ((type *)(void *)((char *)(at)-offsetof(type, member)))

static void answer_in(struct ike *ike, struct ike_answer *answer)
{
    struct waiter *waiter = map_get(&ike->operations, map_key_u64(&answer->number));
    if (!waiter) return; // whoever asked is gone
    waiter_forget(ike, waiter);
    switch (waiter->kind) {
    case WAITER_EXCHANGE:
        exchange_answered(OWNER(struct exchange, waiter, waiter), answer);
        break;
    case WAITER_POLICY:
        policy_answered(OWNER(struct policy, waiter, waiter), answer);
        break;
    case WAITER_SA:
        path_answered(OWNER(struct sa, waiter, waiter), answer);
        break;
    }
}

// --- time

void alarm_set(struct ike *ike, struct alarm *alarm, const nsec *timers, size_t count)
{
    nsec least = NSEC_NEVER;
    for (size_t i = 0; i < count; i++)
        if (timers[i] < least) least = timers[i];
    heap_set(&ike->alarms, &alarm->item, least);
}

nsec ike_deadline(const struct ike *ike)
{
    const struct heap_item *first = heap_first(&ike->alarms);
    return first ? first->at : NSEC_NEVER;
}

// Each owner moves its alarm on, or it would be found here again; the bound is for the case that
// one does not.
static void alarms_run(struct ike *ike)
{
    for (unsigned i = 0; i < ALARMS_AT_ONCE; i++) {
        struct heap_item *first = heap_first(&ike->alarms);
        if (!first || first->at > ike->now) return;
        struct alarm *alarm = OWNER(struct alarm, item, first);
        switch (alarm->owner) {
        case ALARM_SA:
            sa_timer_fired(OWNER(struct sa, alarm, alarm));
            break;
        case ALARM_CHILD:
            child_timer_fired(OWNER(struct child, alarm, alarm));
            break;
        case ALARM_POLICY:
            policy_timer_fired(OWNER(struct policy, alarm, alarm));
            break;
        }
    }
}

// --- inputs

static void plane_in(struct ike *ike, const struct ike_plane *plane)
{
    switch (plane->kind) {
    case IKE_PLANE_ACQUIRE:
        if (plane->resource)
            percpu_acquire(ike, plane->policy, plane->resource);
        else
            policy_acquire(ike, plane->policy, &plane->flow);
        break;
    case IKE_PLANE_USAGE:
    case IKE_PLANE_SEQUENCE_LOW:
    case IKE_PLANE_PEER_MOVED:
        child_usage(ike, plane);
        break;
    case IKE_PLANE_UNKNOWN_SPI:
        invalid_spi_seen(ike, plane->spi, &plane->from);
        break;
    case IKE_PLANE_FAILED:
        child_plane_failed(ike, plane);
        break;
    case IKE_PLANE_STREAM_CLOSED:
        stream_closed(ike, &plane->local, &plane->from);
        break;
    }
}

static void anchors_in(struct ike *ike, const uint8_t (*hashes)[20], size_t count)
{
    free(ike->anchors);
    ike->anchors = count ? mem_array(count, 20) : NULL;
    ike->anchor_count = count;
    if (count) memcpy(ike->anchors, hashes, count * 20);
}

void ike_step(struct ike *ike, struct ike_in *in)
{
    step_clean(ike);
    if (in->now > ike->now) ike->now = in->now;
    switch (in->kind) {
    case IKE_IN_TIMER:
        break;
    case IKE_IN_DATAGRAM:
        datagram_in(ike, &in->datagram.path, in->datagram.bytes);
        break;
    case IKE_IN_COMMAND:
        command_run(ike, &in->command);
        break;
    case IKE_IN_ANSWER:
        answer_in(ike, in->answer);
        break;
    case IKE_IN_PLANE:
        plane_in(ike, &in->plane);
        break;
    case IKE_IN_ADDRESS:
        address_in(ike, &in->address.addr, in->address.came);
        break;
    case IKE_IN_CONN_LOAD:
        conn_load(ike, in->conn);
        break;
    case IKE_IN_CONN_UNLOAD:
        conn_unload(ike, in->name);
        break;
    case IKE_IN_ANCHORS:
        anchors_in(ike, in->anchors.hashes, in->anchors.count);
        break;
    case IKE_IN_POOL_LOAD:
        pool_load(ike, in->pool);
        break;
    case IKE_IN_POOL_UNLOAD:
        pool_unload(ike, in->name);
        break;
    case IKE_IN_LEASE:
        lease_restore(ike, &in->lease);
        break;
    case IKE_IN_PATH_MTU:
        pmtu_device(ike, in->path_mtu.spi, &in->path_mtu.remote, in->path_mtu.mtu);
        break;
    case IKE_IN_ICMP:
        pmtu_icmp(ike, in->icmp.family, in->icmp.bytes);
        break;
    }
    alarms_run(ike);
}

const struct ike_stats *ike_stats(const struct ike *ike)
{
    return &ike->stats;
}

void ike_set_keylog(struct ike *ike, struct ike_keylog *log)
{
    ike->keylog = log;
}
