// SPDX-License-Identifier: Apache-2.0
// A part of the data plane: a thread with its event loop, its plane and its packet worker. Shard 0
// is the role's main thread, which alone hears and tells other roles; it gives orders to the others
// and gets reports from them.
#pragma once
#include "daemon/order.h"
#include "daemon/worker.h"
#include <event2/event.h>
#include <pthread.h>

enum report_kind { REPORT_EVENT = 1, REPORT_FAILURE, REPORT_USAGE, REPORT_PROVEN, REPORT_COUNTERS };

struct shard_counters {
    struct plane_stats stats;
    uint64_t dropped[FAULT_COUNT]; // by worker or plane
    uint64_t keepalives, cut;
};

struct report {
    enum report_kind kind;
    unsigned shard;
    struct plane_event event;
    struct { // what could not be done
        enum fault fault;
        uint32_t spi, policy;
        const char *what; // static
    } failure;
    struct order *order;             // USAGE: that asked; held by the report when it is the last
    struct usage_message *usage;     // freed by whoever gets it
    struct endpoint local, remote;   // PROVEN
    struct shard_counters *counters; // freed by whoever gets it
};

struct shard {
    unsigned index;
    const struct role_options *options;
    struct event_base *base;
    struct batch_backend *backend;
    struct plane *plane;
    struct worker worker;
    struct post post;
    struct shard *all; // as many as there are workers
    struct event *tick, *release, *due, *called;
    nsec due_at;      // when `due` is called; NSEC_NEVER: not
    nsec usage_told;  // SAs used since then have news
    unsigned unknown; // reports of unknown SPIs since the last tick
    bool stopped;
    pthread_t thread;
    // Of shard 0. A report of another is handled in its thread.
    void (*report)(void *context, const struct report *report);
    void *context;
};

// Makes all of them; then shard 0's loop is `base`, and the others run.
struct shard *shards_new(const struct role_options *options, struct event_base *base,
                         void (*reported)(void *context, const struct report *report),
                         void *context);
// The others end; counters stay readable until shards_free().
void shards_stop(struct shard *shards);
void shards_free(struct shard *shards);

// Each that it concerns carries it out, shard 0 at once, the others before any packet that comes
// later.
void shards_order(struct shard *shards, struct order *order);
// Descriptors of devices: the caller keeps its own.
void shards_device(struct shard *shards, uint16_t number, int fd);
void shard_counters(const struct shard *shard, struct shard_counters *out);
void shard_seconds(struct shard *shard); // once a second
// After each turn of the loop.
void shard_turn(struct shard *shard);
// After packets were handled: the plane has to say something, or wants to be called.
void shard_after(struct shard *shard);
