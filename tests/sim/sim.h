// SPDX-License-Identifier: Apache-2.0
// The simulator: IKE cores in virtual time, joined by a link that delays, loses, reorders and duplicates. It is the production core; the
// world around it (clock, network, data plane, keys) is made of what is below. All follows from one seed.
#pragma once
#include "base/map.h"
#include "base/mem.h"
#include "ike/ike.h"

enum {
    SIM_HOSTS_MAX = 10,
    SIM_SAS_MAX = 256,
    SIM_POLICIES_MAX = 64,
    SIM_EVENTS_MAX = 16,
    SIM_MAPPINGS_MAX = 16,
    SIM_PLACES_MAX = 64,
    SIM_COMMANDS_MAX = 256,
    SIM_ADDRS_MAX = 4,
};

struct sim;

struct sim_sa {                 // what the data plane would hold
    struct sa_spec spec;        // keys point into copies
    struct secret encr_key, integ_key;
    struct sa_usage usage;
    bool reported;
};

// Where messages came from or went to, for the limit of what an unproven address is sent.
struct sim_place {
    struct endpoint at;
    uint64_t in, out;
    bool proven;   // or we spoke first
};

// A NAT box before one host. A mapping that is not used for `timeout` is forgotten; the next packet
// out gets another port.
struct sim_nat {
    struct sim_host *inside;
    struct addr outside;
    nsec timeout;
    uint16_t port_next;
    struct {
        struct endpoint inner;
        uint16_t port;   // outside; 0: free
        nsec used;
    } mappings[SIM_MAPPINGS_MAX];
};

struct sim_host {
    struct sim *sim;
    struct sim_nat *nat;         // before it, or NULL
    struct sim_place places[SIM_PLACES_MAX];
    size_t place_count;
    const char *name;
    struct addr addr;
    struct addr held[SIM_ADDRS_MAX];   // of a host whose addresses come and go; the first of a family is preferred
    size_t held_count;
    bool moves;
    struct ike *core;
    struct rng_seeded rng;
    struct ike_settings settings;
    char *config;
    const char *secret;          // pre-shared with everybody
    const char *ppk;             // of the one id that everybody uses (RFC 8784); NULL: there is none
    bool cut;                    // its cable is out
    bool eap;                    // both ends prove themselves by EAP alone, with a made-up method
    uint16_t broken_ke;          // its values of this method are cut short; 0: none
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
    } commands[SIM_COMMANDS_MAX];
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
    struct sim_nat nats[SIM_HOSTS_MAX];
    size_t nat_count;
    size_t host_count;
    nsec delay, jitter;
    unsigned loss_percent, duplicate_percent;
    unsigned burst_percent;      // so often a burst begins: its packets are late, or come three times
    unsigned burst_left, burst_copies;
    nsec burst_delay;
    bool hostile;                // one end lies: what needs two honest ends is not asked for
    // Changes what is sent, before it is on the link; NULL: nothing does.
    void (*edit)(struct sim *sim, struct sim_host *from, struct buf *datagram);
    struct ike_keylog *keylog;   // of all hosts that start from now on
    bool filter_on;
    bool (*filter)(struct sim *sim, struct bytes bytes);   // false: lost; for scenarios that lose a certain message
    struct sim_flight *flights;
    uint64_t order, steps;
    uint64_t digest;             // of everything sent: the same seed gives the same
    bool traffic;                // data packets every 10 ms both ways
    nsec next_traffic;
    uint64_t packets_sent, packets_arrived, packets_lost, packets_without_sa;
    struct addr dead;            // nothing gets to or from it; family 0: none
    struct map keys_seen;        // SPI and key of every outbound SA ever
    bool verbose;
    const char *failure;         // first claim that did not hold
    char failure_text[512];
};

// A pair "a" and "b" with connection "gw" and children "lan" and "other", nothing initiated. `more` are lines for each connection section.
void sim_pair(struct sim *sim, uint64_t seed, const char *conn_lines, const char *child_lines);
// The same with different lines for the two.
void sim_pair_of(struct sim *sim, uint64_t seed, const char *a_conn, const char *a_child, const char *b_conn, const char *b_child);
// One hub and `count` spokes that know only the hub: "hub" is hosts[0], the spokes are the others.
void sim_star(struct sim *sim, uint64_t seed, size_t count, const char *hub_conn, const char *spoke_conn,
              const char *spoke_child);
// A client a, which knows gateway b, and gateway c, which is as b.
void sim_group(struct sim *sim, uint64_t seed, const char *a_conn, const char *b_conn, const char *c_conn);
// A pair with a NAT box before a; b takes anybody.
void sim_pair_nat(struct sim *sim, uint64_t seed, const char *a_conn, const char *b_conn);
void sim_nat_put(struct sim *sim, struct sim_host *inside, struct addr outside);   // sim_start() comes later
void sim_nat_forget(struct sim_host *host, const struct addr *outside);   // it was restarted; perhaps with another address
void sim_start(struct sim *sim);          // loads the connections; settings may be changed before
void sim_pool(struct sim_host *host, const char *name, const char *addrs);   // after sim_start
void sim_free(struct sim *sim);
void sim_run(struct sim *sim, nsec span);
void sim_quiesce(struct sim *sim);        // until nothing is on the link and no exchange is under way, at most a minute


// A minute of bad weather, then the link is good. The last tries of whatever begins in it get through (42 and 76 seconds
// after the ones before), so what both ends come to is certain.
struct weather {
    unsigned loss, duplicates, bursts;   // percent
    nsec jitter;
};
void sim_storm(struct sim *sim, const struct weather *weather, nsec calm);
void sim_address(struct sim_host *host, const char *addr, bool came);   // it has it now, or no more, and knows
void sim_jump(struct sim *sim, nsec span);   // the clocks jump: nobody has run meanwhile
void sim_acquire(struct sim_host *host, uint32_t policy, const struct flow *flow);
void sim_acquire_for(struct sim_host *host, uint32_t policy, uint16_t resource);   // RFC 9611
void sim_inject(struct sim_host *to, const struct endpoint *from, struct bytes bytes);
void sim_checks(struct sim *sim);          // what always holds
void sim_checks_settled(struct sim *sim);  // what holds when nothing is under way
bool sim_clean(const struct sim_host *host);   // nothing is left

#define SIM_A(sim) (&(sim)->hosts[0])
#define SIM_B(sim) (&(sim)->hosts[1])
// "up lan", "up ike", "down lan", "down ike", "rekey lan", "rekey ike", "reauth ike",
// "install lan", "uninstall lan", "redirect 192.0.2.3"; returns the command's number.
uint32_t sim_command(struct sim_host *host, const char *text);
bool sim_done(const struct sim_host *host, uint32_t command, enum fault *fault);
void sim_reload(struct sim_host *host);   // a new core: the host was restarted
unsigned sim_children(const struct sim_host *host, const char *name);   // in use
unsigned sim_sas(const struct sim_host *host);
bool sim_paired(struct sim *sim);         // both ends of all have the same children with the same SPIs, and SAs for them
void sim_fail(struct sim *sim, const char *file, int line, const char *claim);

#define CHECK(sim, claim)                                              \
    do {                                                               \
        if (!(claim)) sim_fail(sim, __FILE__, __LINE__, #claim);       \
    } while (0)

struct scenario {
    const char *name;
    void (*play)(struct sim *sim, uint64_t seed);
};
// Each theme is a file; its table ends with a row without a name.
extern const struct scenario scenarios_setup[], scenarios_rekey[], scenarios_collide[], scenarios_delete[],
    scenarios_trouble[], scenarios_nat[], scenarios_move[], scenarios_choice[], scenarios_hybrid[], scenarios_extend[], scenarios_outage[], scenarios_modes[],
    scenarios_persist[], scenarios_rows[], scenarios_crossed[], scenarios_cluster[];
#define SCENARIO(function) {#function, function}

// What the themes share.
void play_up(struct sim *sim);             // starts, brings up "lan" from a, and it is there
void play_one_of_all(struct sim *sim);     // one IKE SA, one child, at both ends, and nothing else
void play_nothing_of_all(struct sim *sim);
void play_refused(struct sim *sim);        // starts, "up lan" from a fails, and no child is there

// Many peers on one responder (peers.c).
int peers_run(unsigned count, uint64_t seed);
