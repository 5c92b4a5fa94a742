// SPDX-License-Identifier: Apache-2.0
// The simulator: IKE cores in virtual time, joined by a link that delays, loses, reorders and duplicates. It is the production core; the
// world around it (clock, network, data plane, keys) is made of what is below. All follows from one seed.
#pragma once
#include "base/map.h"
#include "base/mem.h"
#include "ike/ike.h"

enum { SIM_HOSTS_MAX = 4, SIM_SAS_MAX = 512, SIM_POLICIES_MAX = 64, SIM_EVENTS_MAX = 16 };

struct sim;

struct sim_sa {                 // what the data plane would hold
    struct sa_spec spec;        // keys point into copies
    struct secret encr_key, integ_key;
    struct sa_usage usage;
    bool reported;
};

struct sim_host {
    struct sim *sim;
    const char *name;
    struct addr addr;
    struct ike *core;
    struct rng_seeded rng;
    struct ike_settings settings;
    char *config;
    const char *secret;          // pre-shared with everybody
    bool cut;                    // its cable is out
    struct sim_sa sas[SIM_SAS_MAX];
    size_t sa_count;
    struct policy_spec policies[SIM_POLICIES_MAX];
    size_t policy_count;
    struct ike_answer *answers[64];
    size_t answer_count;
    uint64_t sent, received, sent_bytes;
    unsigned events[SIM_EVENTS_MAX];     // by enum ike_event_kind
    struct {
        uint32_t command;
        enum fault fault;
        bool done;
    } commands[64];
    uint32_t command_count;
    enum fault last_fault;       // of a report
    uint64_t fault_counts[FAULT_COUNT];
    struct buf log;
};

struct sim_flight {              // something on the link
    nsec at;
    uint64_t order;
    struct sim_host *to;
    struct path path;            // as the receiver sees it
    struct bytes bytes;          // owned; empty for a data packet
    uint32_t spi;                // data packet
    struct sim_flight *next;
};

struct sim {
    uint64_t seed;
    struct rng_seeded rng;
    nsec now;
    struct sim_host hosts[SIM_HOSTS_MAX];
    size_t host_count;
    nsec delay, jitter;
    unsigned loss_percent, duplicate_percent;
    bool filter_on;
    bool (*filter)(struct sim *sim, struct bytes bytes);   // false: lost; for scenarios that lose a certain message
    struct sim_flight *flights;
    uint64_t order, steps;
    uint64_t digest;             // of everything sent: the same seed gives the same
    bool traffic;                // data packets every 10 ms both ways
    nsec next_traffic;
    uint64_t packets_sent, packets_lost, packets_without_sa;
    struct map keys_seen;        // SPI and key of every outbound SA ever
    bool verbose;
    const char *failure;         // first claim that did not hold
    char failure_text[512];
};

// A pair "a" and "b" with connection "gw" and children "lan" and "other", nothing initiated. `more` are lines for each connection section.
void sim_pair(struct sim *sim, uint64_t seed, const char *conn_lines, const char *child_lines);
// The same with different lines for the two.
void sim_pair_of(struct sim *sim, uint64_t seed, const char *a_conn, const char *a_child, const char *b_conn, const char *b_child);
void sim_start(struct sim *sim);          // loads the connections; settings may be changed before
void sim_pool(struct sim_host *host, const char *name, const char *addrs);   // after sim_start
void sim_free(struct sim *sim);
void sim_run(struct sim *sim, nsec span);
void sim_quiesce(struct sim *sim);        // until nothing is on the link and no exchange is under way, at most a minute

#define SIM_A(sim) (&(sim)->hosts[0])
#define SIM_B(sim) (&(sim)->hosts[1])
// "up lan", "up ike", "down lan", "down ike", "rekey lan", "rekey ike"; returns the command's number.
uint32_t sim_command(struct sim_host *host, const char *text);
bool sim_done(const struct sim_host *host, uint32_t command, enum fault *fault);
void sim_reload(struct sim_host *host);   // a new core: the host was restarted
unsigned sim_children(const struct sim_host *host, const char *name);   // in use
unsigned sim_sas(const struct sim_host *host);
bool sim_paired(struct sim *sim);         // both ends have the same children with the same SPIs, and SAs for them
void sim_fail(struct sim *sim, const char *file, int line, const char *claim);

#define CHECK(sim, claim)                                              \
    do {                                                               \
        if (!(claim)) sim_fail(sim, __FILE__, __LINE__, #claim);       \
    } while (0)

struct scenario {
    const char *name;
    void (*play)(struct sim *sim, uint64_t seed);
};
extern const struct scenario scenarios[];
extern const size_t scenario_count;
