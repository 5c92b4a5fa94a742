// SPDX-License-Identifier: Apache-2.0
// The data plane's own structs, shared by its files and by its tests.
//
//   struct sa      what is rarely looked at: selectors, counters of faults, the way to its policy
//   struct sa_run  what every packet touches: two cache lines, in one array, found by SPI (table.c)
//   struct policy  selectors and action, the SAs that serve it, packets that wait for one
#pragma once
#include "base/heap.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pages.h"
#include "crypto/icv.h"
#include "esp/esp.h"
#include "esp/flow.h"
#include "esp/ip.h"
#include "esp/iptfs.h"
#include "esp/tfrc.h"
#include "esp/pmtu.h"
#include "esp/octets.h"
#include "esp/reassemble.h"
#include "esp/replay.h"
#include "model/iana.h"
#include <assert.h>

enum {
    SPI_RESERVED = 256, // RFC 4303 2.1: 1 to 255 are IANA's, 0 is for local use
    ESP_HEADER = 8,
    ESP_TRAILER = 2,
    ESP_ALIGN_MAX = 16,
    AH_FIXED = 12,
    IP_SIZE_MAX = 65535,
    EVENTS_MAX = 256,
    EVENTS_UNKNOWN_MAX = 16, // of them at most these for unknown SPIs: anybody can send those
    FLOW_WAYS = 4,
    SAS_WIDE = 4096, // so many SAs are worth large pages for the tables
    // Groups of a burst that are asked for ahead of their turn, in groups.
    AHEAD_FAR = 6,
    AHEAD_NEAR = 3,
    AHEAD_NEXT = 1,
    BURST_PLACES = 256,
    HELD_MAX = 1024,     // packets that wait, of all policies
    TRANSIT_SIZE = 9216, // a longer packet in transit is not given back when it is not ours
    HELD_CHUNK = 2048,   // bytes; a packet takes as many chunks as it needs
};

// When the last quarter of the sequence numbers begins it is time to rekey: at ten million packets
// a second without ESN that leaves a hundred seconds.
#define SEQUENCE_LAST(esn) ((esn) ? UINT64_MAX : UINT64_C(0xffffffff))
#define SEQUENCE_SOFT(esn) (SEQUENCE_LAST(esn) / 4 * 3)
// An acquire that brought no SA is repeated after this time at the earliest.
#define ACQUIRE_AGAIN (10 * NSEC_PER_SECOND)

// --- traffic.c: selectors in the size that they need
struct traffic {
    uint8_t local_count, remote_count;
    struct selector at[]; // local ones, then remote ones
};
struct traffic *traffic_new(const struct selectors *local, const struct selectors *remote);
// Is all that inner has in outer, too?
bool traffic_within(const struct traffic *inner, const struct traffic *outer);
enum traffic_ports { PORTS_ANY, PORTS_SOME, PORTS_OPAQUE }; // of one of the selectors at least
// Of selectors of that family; ADDR_NONE: of both.
enum traffic_ports traffic_ports(const struct traffic *traffic, uint8_t family);
// Does a packet from `local` to `remote` match?
bool traffic_match(const struct traffic *traffic, const struct flow *flow);
bool selector_pair_match(const struct selector *source, const struct selector *destination,
                         const struct flow *flow);

// An inbound SA for one range of IPv4 addresses on each side, any protocol and ports, is checked
// without reading ports.
struct gate {
    uint32_t remote_low, remote_high, local_low, local_high;
};
bool traffic_gate(const struct traffic *traffic, struct gate *gate);

// --- the two structs of an SA
enum sa_flag { SA_ESN = 1, SA_ENCAP = 2, SA_GATE = 4, SA_AH = 8, SA_GATEWAY = 16, SA_STREAM = 32, SA_KEPT = 64, SA_IPCOMP = 128 }; // KEPT: its key may not be expanded yet

// The choices of enum sa_dscp, sa_df and sa_ecn in one byte; 0: all as usual.
static inline uint8_t copy_pack(unsigned dscp, unsigned df, unsigned ecn)
{
    return (uint8_t)(dscp | df << 2 | ecn << 4);
}
static inline enum sa_dscp copy_dscp(uint8_t copy)
{
    return copy & 3;
}
static inline enum sa_df copy_df(uint8_t copy)
{
    return copy >> 2 & 3;
}
static inline enum sa_ecn copy_ecn(uint8_t copy)
{
    return copy >> 4 & 1;
}

struct sa_run {
    struct batch_key *key; // NULL with AH
    struct sa *sa;
    uint64_t bytes, packets;
    nsec last_used;
    uint32_t spi, policy;
    uint8_t flags; // enum sa_flag
    uint8_t mode;  // enum sa_mode
    uint8_t iv_size, icv_size, align;
    uint8_t copy; // copy_pack()
    uint8_t worker; // outbound: whose it is
    uint16_t tfc; // padded to this size at least
    uint16_t device; // inbound: which packets come out of
    union {
        struct {
            struct replay replay;
            uint64_t words[REPLAY_SMALL_WORDS]; // the ring when it is that small
            uint64_t peer;                      // endpoint_tag() of where the peer is
            struct gate gate;
        } in;
        struct {
            uint64_t sequence; // the last that was used
            uint64_t soft;
            struct endpoint local, remote;
            uint16_t mtu; // largest packet that fits the path once it is sealed
        } out;
    };
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct sa_run) <= 128,
               "what a packet touches of its SA fits two cache lines");

struct sa {
    struct sa_run *run;
    struct iptfs *iptfs;      // NULL but in that mode
    struct traffic *traffic;
    struct policy *policy;    // outbound: the one it serves
    struct sa *older, *newer; // in that policy's list
    struct icv_key *icv;      // AH
    uint64_t *ring;           // owned, when the window does not fit the run struct
    struct path path;
    struct mtu_parts parts;
    uint16_t path_mtu, tfc, tcp_mss; // as in sa_spec
    uint16_t mtu;                    // what the path leaves for a packet
    uint8_t fragments;               // enum sa_fragments
    bool icmp;                       // errors about its packets go with it
    uint64_t moved; // tag of the place that was reported last; 0: none
    uint64_t dropped_replay, dropped_auth, dropped_selector;
    uint16_t resource, resources; // outbound, as in struct sa_spec
    uint16_t cpi;                 // IPComp; 0: none
    uint16_t comp_rest, comp_rest_next; // packets that are not tried; how many the next time
    uint8_t comp_failures;              // in a row
    uint8_t direction;
};

// --- table.c: SPI to slot
// Open addressing with seeded hash, at most half full: on average one cache line is read. Outbound
// an SPI may be there several times, since peers choose them.
struct spi_slot {
    uint32_t spi, number; // number + 1 in the array of run structs; 0: empty
    batch_near near;      // of the SA's key, once that is expanded
};
struct spi_table {
    struct spi_slot *slots;
    uint32_t mask, count;
    uint64_t seed;
};
void spi_table_init(struct spi_table *table, uint64_t seed);
void spi_table_wipe(struct spi_table *table);
void spi_table_add(struct spi_table *table, uint32_t spi, uint32_t number);
void spi_table_remove(struct spi_table *table, uint32_t spi, uint32_t number);
static inline size_t spi_table_size(const struct spi_table *table)
{
    return (table->mask + (size_t)1) * sizeof *table->slots;
}
static inline uint32_t spi_table_place(const struct spi_table *table, uint32_t spi)
{
    return (uint32_t)mix(spi, table->seed) & table->mask;
}
// The slot at or after a place that holds the SPI; NULL when there is none.
static inline struct spi_slot *spi_table_from(const struct spi_table *table, uint32_t spi,
                                              uint32_t place)
{
    for (;; place = (place + 1) & table->mask) {
        struct spi_slot *slot = &table->slots[place];
        if (slot->number == 0) return NULL;
        if (slot->spi == spi) return slot;
    }
}

// --- sad.c
struct sad {
    struct sa_run *runs; // sas_max of them, aligned
    uint32_t *unused; // numbers of runs that are not in use
    uint32_t unused_count, room;
    uint32_t begun; // runs that were in use once: those behind have never been written
    struct spi_table in, out;
    uint64_t tag_seed;
};
void sad_init(struct sad *sad, size_t sas_max, struct rng *rng);
void sad_widen(struct sad *sad);
void sad_wipe(struct plane *plane);
uint64_t endpoint_tag(const struct sad *sad, const struct endpoint *endpoint);
struct sa_run *sad_find_out(const struct sad *sad, uint32_t spi, const struct addr *remote,
                            enum fault *fault);
static inline struct spi_slot *sad_slot_in(const struct sad *sad, uint32_t spi)
{
    return spi_table_from(&sad->in, spi, spi_table_place(&sad->in, spi));
}
static inline struct sa_run *sad_find_in(const struct sad *sad, uint32_t spi)
{
    const struct spi_slot *slot = sad_slot_in(sad, spi);
    return slot ? &sad->runs[slot->number - 1] : NULL;
}

// --- index.c: which policies may match an address pair
struct tuple; // policies with the same two prefix lengths
struct index_entry {
    struct index_entry *next;    // in the bucket, by rank
    struct index_entry *sibling; // of the same policy
    struct tuple *tuple;
    uint64_t address[4];
    uint64_t rank; // the lowest wins
    struct policy *policy;
    const struct selector *local, *remote;
    bool exact; // the prefixes say all that the selectors say
};
struct policy_index {
    struct index_entry **buckets;
    size_t bucket_count, count;
    struct tuple **tuples; // by the lowest rank in each
    size_t tuple_count;
    uint64_t seed;
};
void policy_index_init(struct policy_index *index, uint64_t seed);
void policy_index_wipe(struct policy_index *index);
void policy_index_add(struct policy_index *index, struct policy *policy);
void policy_index_remove(struct policy_index *index, struct policy *policy);
struct policy *policy_index_find(const struct policy_index *index, const struct flow *flow);
// Is any policy between these addresses, whatever its protocol and ports, of that kind?
bool policy_index_any(const struct policy_index *index, const struct flow *flow,
                      bool (*is_such)(const struct policy *policy, uint8_t family));
size_t policy_index_memory(const struct policy_index *index);

// --- spd.c
struct held_queue {
    uint32_t first, last, count; // numbers of held packets, from 1; 0: none
};
struct policy {
    uint32_t number;
    bool defined; // an SA may come before the policy that it serves, and stay after it
    uint8_t action, trap;
    uint16_t device; // only packets that came from it
    uint32_t priority;
    uint32_t serial; // order of arrival
    struct traffic *traffic;
    struct index_entry *entries;
    struct sa *newest;
    struct sa_run
        *run; // the newest's, when that is for all of the policy's traffic; NULL otherwise
    struct held_queue held;
    struct policy *ready_next; // waits to hand out its held packets
    bool ready;
    bool acquiring;
    nsec acquired_at;
    // RFC 9611: flows are spread over the SAs of so many resources; 0: the newest SA has all.
    uint16_t resources;
    uint64_t resources_asked; // bit n: an SA for resource n + 1 was asked for
    nsec resources_asked_at;
};

struct flow_slot {
    struct flow_key key;
    struct sa_run *run;    // NULL: none serves it now
    union {
        struct policy *policy; // without `run`; NULL: none covers it
        batch_near near;       // with it: of its key, once that is expanded
    };
    uint32_t generation;   // of the tables when this was found; 0: empty
    uint32_t number;       // of the policy, so that a packet need not look there
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct flow_slot) == 64, "a look-up in the flow cache reads one cache line");

struct spd {
    struct map policies; // number -> struct policy, defined or not
    struct policy_index *indexes[PLANE_DEVICES_MAX]; // of each device; NULL: it has no policies
    struct flow_slot *flows; // sets of FLOW_WAYS neighbours; a flow may be in any slot of its set
    uint32_t flow_mask;  // leads to the first of a set
    uint32_t generation; // every change of policies or outbound SAs makes what the cache holds void
    uint64_t flow_seed, index_seed;
    size_t defined, policies_max;
    uint32_t serial;
    size_t memory;
};
void spd_init(struct spd *spd, size_t policies_max, struct rng *rng);
void spd_widen(struct spd *spd);
void spd_wipe(struct plane *plane);
void spd_changed(struct spd *spd);
struct policy *spd_policy(struct spd *spd, uint32_t number); // made when it is not there
void spd_policy_done(struct plane *plane,
                     struct policy *policy);              // freed when nothing needs it any more
void policy_sa_add(struct policy *policy, struct sa *sa); // it becomes the newest
void policy_sa_remove(struct policy *policy, struct sa *sa);
// The slots of a set in the order in which a flow looks at them: with half as many flows as slots
// most are where they look first, and nearly all others in the line next to it.
static inline struct flow_slot *flow_slot_at(const struct spd *spd, uint64_t hash, size_t way)
{
    return &spd->flows[(hash & spd->flow_mask) + (((hash >> 32) ^ way) & (FLOW_WAYS - 1))];
}
const struct flow_slot *spd_find(struct plane *plane, nsec now, const struct flow_key *key,
                                 uint64_t hash);

// --- quoted.c: ICMP errors and the packets that they quote
bool quoted_flow(const uint8_t *at, uint32_t size, struct flow_key *quoted);
void flow_key_turn(struct flow_key *key); // as the answer's
bool quoted_fits(const struct sa *sa, const uint8_t *at, uint32_t size);
const struct flow_slot *quoted_find(struct plane *plane, nsec now, const struct packet *packet);
static inline uint64_t flow_hash(const struct spd *spd, const struct flow_key *key)
{
    const uint64_t *word = key->word;
    uint64_t hash = mix(word[0] ^ spd->flow_seed, word[4]);
    return word[1] | word[2] | word[3] ? mix(mix(word[1] ^ hash, word[2]), word[3] ^ spd->flow_seed)
                                       : hash;
}

// --- hold.c: packets that wait for an SA
struct held_packet {
    struct policy *policy;
    nsec at;
    uint32_t size, chunk;    // its first chunk
    uint32_t fragment_id;
    uint16_t limit;
    bool joined;
    uint32_t next;           // in the policy's queue, or in the list of unused ones
    uint32_t later, earlier; // in order of time
};
struct hold {
    struct held_packet *packets; // [0] is not used
    uint8_t (*chunks)[HELD_CHUNK];
    uint32_t *chunk_next;
    uint32_t unused, chunk_unused, chunk_left;
    uint32_t earliest, latest;
    struct policy *ready_first, *ready_last;
};
void hold_init(struct hold *hold);
void hold_wipe(struct hold *hold);
// What becomes of a packet that must be protected while no SA serves it: held, or dropped with a
// fault.
void hold_packet(struct plane *plane, nsec now, struct policy *policy, const struct flow_key *key,
                 struct packet *packet);
void hold_ready(struct plane *plane, struct policy *policy); // an SA has come
void hold_drop_all(struct plane *plane, struct policy *policy, enum fault fault);

// --- event.c
struct events {
    struct plane_event at[EVENTS_MAX];
    uint32_t first, count, unknown;
};
// False when there was no room; it is counted.
bool plane_event_add(struct plane *plane, const struct plane_event *event);

// --- modes: what is done to the packet within ESP and around it. Framing, sequence numbers and
// ciphers are the same for all.
struct esp_mode {
    // Leaves at and size on what ESP is to carry, and sets tos, ttl, df. FAULT_… drops the packet.
    enum fault (*wrap)(const struct sa_run *run, struct packet *packet, uint8_t *next_header);
    // When all is sealed: what stands before ESP, and destination; NULL: outer_set() is enough.
    void (*finish)(const struct sa_run *run, struct packet *packet);
    // at and size are what ESP carried, without padding: makes the inner packet of it and checks it
    // against the SA.
    enum fault (*unwrap)(const struct sa_run *run, struct packet *packet, uint8_t next_header);
    // What this mode asks of an SA beyond what all do; NULL: nothing.
    enum fault (*check)(const struct sa_spec *spec);
};
extern const struct esp_mode tunnel_mode, transport_mode, gateway_mode, beet_mode, iptfs_mode;
const struct esp_mode *mode_of(uint8_t mode); // of ESP; NULL: not known
// tunnel.c
void tunnel_outer(const struct sa_run *run, struct packet *packet); // sets tos and df
enum fault tunnel_unwrap(const struct sa_run *run, struct packet *packet, uint8_t next_header);
// RFC 4301 5.2 step 4: the packet must be one that this SA was negotiated for.
enum fault inner_check(const struct sa_run *run, const struct packet *packet);
// transport.c
// at is on what was carried; `gap` bytes before it ends the outer header, if it is there: puts it
// back, or a new one, and leaves at on that.
enum fault header_return(struct packet *packet, uint32_t gap, uint8_t protocol, uint8_t next_header,
                         uint16_t id);
bool gateway_takes(const struct sa_run *run, const struct packet *packet); // is it this SA's?
// outer.c
void ecn_set(uint8_t *ip, uint8_t ecn);
uint8_t ecn_combine(uint8_t inner, uint8_t outer, bool *drop);   // RFC 6040 4.2
void tos_set(uint8_t *ip, uint8_t tos);                          // with the IPv4 checksum
void outer_set(const struct sa_run *run, struct packet *packet); // verdict SEND
void outer_set_whole(struct packet *packet);                     // verdict SEND, by its own header

// --- the plane
// Packets of one SA within one burst, chained by number.
struct group {
    struct sa_run *run;
    batch_near near;
    uint8_t first, last, count;
};
struct burst {
    size_t group_count;
    unsigned latest; // place of the group that a packet was added to
    uint8_t places[BURST_PLACES]; // by run struct: number of its group + 1; 0: empty
    struct group groups[BURST_MAX];
    uint8_t next[BURST_MAX];
    uint64_t sequence[BURST_MAX];
    uint8_t next_header[BURST_MAX];
    // of the group at work
    struct batch_packet batch[BURST_MAX];
    uint8_t member[BURST_MAX];
};
void burst_begin(struct burst *burst);
void burst_join(struct burst *burst, struct sa_run *run, batch_near near, uint8_t packet);
void group_add(struct burst *burst, struct group *group, uint8_t packet);
void group_spread(const struct burst *burst, const struct group *group,
                  struct packet *const *packets);
// Packets of these may stand in one buffer without room around: what is put before and behind them
// is known, and what they become on their way in is smaller.
static inline bool run_shares(const struct sa_run *run)
{
    return run->mode == MODE_TUNNEL && !run->tfc &&
           !(run->flags & (SA_AH | SA_IPCOMP | SA_STREAM | SA_GATEWAY));
}
batch_near run_expand_key(struct plane *plane, struct sa_run *run); // it is used for the first time

// With many SAs in a burst all that belongs to one comes from memory: it is asked for some groups
// ahead, while the ciphers of those before run. A processor that waits for many lines already drops
// what else is asked of it, so it is asked again. Compilers drop calls of functions that only
// prefetch, so these are none.
__attribute__((always_inline)) static inline void
group_prefetch(const struct burst *burst, size_t group, struct packet *const *packets)
{
    if (group >= burst->group_count) return;
    const struct group *at = &burst->groups[group];
    __builtin_prefetch(at->run);
    __builtin_prefetch((const char *)at->run + 64);
    batch_prefetch(at->near, packets[at->first]->size);
}
__attribute__((always_inline)) static inline void
burst_prefetch(const struct burst *burst, size_t group, struct packet *const *packets)
{
    if (group == 0)
        for (size_t i = 0; i < AHEAD_FAR; i++) group_prefetch(burst, i, packets);
    group_prefetch(burst, group + AHEAD_FAR, packets);
    group_prefetch(burst, group + AHEAD_NEAR, packets);
    group_prefetch(burst, group + AHEAD_NEXT, packets);
}
void packet_elsewhere(struct packet *packet, enum verdict verdict, unsigned worker);

// --- seal.c, open.c: what ESP and AH share
enum fault sequence_next(struct plane *plane, struct sa_run *run);
void sequence_watch(struct plane *plane, struct sa_run *run); // is it time to rekey?
void group_sealed(struct plane *plane, nsec now, struct sa_run *run, uint64_t bytes,
                  uint64_t packets);
void group_opened(struct plane *plane, nsec now, struct sa_run *run, uint64_t bytes,
                  uint64_t packets, bool alive);
enum fault packet_commit(struct plane *plane, struct sa_run *run, const struct packet *packet,
                         uint64_t sequence);
void packet_refuse(struct plane *plane, struct sa_run *run, struct packet *packet,
                   enum fault fault);
// ipcomp.c
struct ipcomp *ipcomp_new(void); // one of a plane: streams of zlib and room for a packet
void ipcomp_free(struct ipcomp *ipcomp);
size_t ipcomp_memory(void);
void ipcomp_wrap(struct plane *plane, const struct sa_run *run, struct packet *packet,
                 uint8_t *next_header);
enum fault ipcomp_unwrap(struct plane *plane, const struct sa_run *run, struct packet *packet,
                         uint8_t *next_header);
// Puts header and trailer around what is at `at`, and says to the cipher where everything is.
enum fault packet_frame(struct plane *plane, struct sa_run *run, const struct esp_mode *mode,
                        struct packet *packet, struct batch_packet *batch);
// iptfs_plane.c
struct iptfs_reporter { // of an SA whose payloads carry reports
    uint32_t partner; // the SPI of the other direction
    bool adapts;      // out: its rate does
    // in
    struct tfrc_receiver receiver;
    uint32_t value; // the peer's TVal, to be sent back; 0: none
    nsec value_at;  // when it came
    nsec round, spacing; // as the peer tells them
    // out
    struct tfrc_sender sender;
    nsec due_at;    // where the rate adapts; NSEC_NEVER: nothing was sent
    nsec report_at; // where nothing but reports may be to be sent
};
struct iptfs { // of one SA
    struct heap_item timer; // in: when what waits is given up; out: when the next packet is due
    struct sa_run *run;
    struct iptfs_in in;
    struct iptfs_reporter *reporter; // NULL: there are no reports
    nsec patience; // in: for what is missing; out: for more to go with what is there
    nsec flush_at;    // out: when what waits for more goes without
    uint64_t awaited; // in: the number for which the timer runs
    uint32_t packet_size, rate;
    uint32_t wanted_size; // of packets, where the path takes them
    bool whole;
    uint8_t dscp; // out
    nsec started;   // out: when the rate began to be kept
    uint64_t slots; // out: packets that were due since then
    uint8_t *queue; // with a rate or a delay: inner packets, one behind the other
    uint32_t first, last;
    uint32_t left; // of the first packet of the queue, which has been begun
};
struct iptfs_work { // a packet of the caller's burst
    struct sa_run *run; // NULL: the SA is gone
    struct packet *packet;
    uint64_t sequence; // open
    struct bytes payload;
};
struct iptfs_plane {
    struct heap timers;
    struct packet *made; // BURST_MAX packets of our own; NULL until there is such an SA
    struct iptfs_work work[BURST_MAX];
    unsigned work_count, work_next;
    uint32_t work_done; // seal: so much of the packet at work_next has gone
};
void iptfs_new(struct plane *plane, struct sa_run *run, const struct sa_spec *spec);
void iptfs_free(struct plane *plane, struct sa_run *run);
void iptfs_wipe(struct plane *plane);
void iptfs_seal(struct plane *plane, nsec now, struct sa_run *run, struct packet *packet);
// iptfs_congestion.c
struct iptfs_reporter *reporter_new(const struct sa_spec *spec);
void congestion_tell(struct plane *plane, nsec now, struct iptfs *iptfs, uint8_t *at);
void congestion_hear(struct plane *plane, nsec now, const struct sa_run *run, const struct iptfs_work *work);
void congestion_usage(const struct iptfs *iptfs, struct sa_usage *usage);
size_t congestion_due(struct iptfs *iptfs, nsec now, nsec *next); // and when the next one is
uint32_t iptfs_room(const struct sa_run *run); // of an outer packet, without AGGFRAG's own header
enum fault iptfs_collect(struct plane *plane, struct sa_run *run, struct packet *packet,
                         uint8_t next_header, uint64_t sequence);
// mtu.c
void run_set_mtu(struct sa_run *run, uint16_t path_mtu);
void run_clamp_mss(const struct sa_run *run, struct packet *packet);
// pmtu.c: may the packet be sealed as it is? False: it has its verdict.
bool mtu_admits(struct plane *plane, nsec now, const struct sa_run *run, struct packet *packet);
static inline bool seal_admits(struct plane *plane, nsec now, const struct sa_run *run,
                               struct packet *packet)
{
    if (ip_is_tcp(packet->at) && tcp_is_syn(packet->at, packet->size)) run_clamp_mss(run, packet);
    return packet->size <= run->out.mtu || mtu_admits(plane, now, run, packet);
}
// What a packet with its own header must be cut to; `joined` and `limit` are still as it came.
void whole_limit(const struct sa_run *run, struct packet *packet);
// join.c: true when the packet is to go on: it is no fragment, or is whole now, or may remain one.
// False: it has its verdict.
bool packet_join(struct plane *plane, nsec now, struct packet *packet);
void reassembly_room(struct plane *plane);
// ah.c
enum fault ah_check(const struct sa_spec *spec);
uint32_t ah_size(uint32_t icv_size, uint8_t family); // of the header with its ICV
enum fault ah_sizes(const struct sa_run *run, const struct packet *packet);
void ah_group_seal(struct plane *plane, nsec now, const struct group *group,
                   struct packet *const *packets);
void ah_group_open(struct plane *plane, nsec now, const struct group *group,
                   struct packet *const *packets);

struct plane {
    unsigned worker, workers;
    struct batch_backend *backend;
    struct batch_backend
        *fallback; // own one, for ciphers that the backend lacks; NULL until needed
    struct sad sad;
    struct spd spd;
    struct hold hold;
    struct events events;
    struct burst burst;
    struct flow_key keys[BURST_MAX];
    uint64_t hashes[BURST_MAX];
    uint8_t leaders[BURST_MAX]; // of each packet, the one whose key is its own
    struct ipcomp *ipcomp;            // NULL until needed
    struct iptfs_plane iptfs;
    uint8_t (*transit)[TRANSIT_SIZE]; // packets in transit as they came; NULL until needed
    struct reassembler *reassembly; // NULL until an SA needs it
    struct icmp_budget icmp;
    struct plane_stats stats;
};
void packet_drop(struct plane *plane, struct packet *packet, enum fault fault);
