// SPDX-License-Identifier: Apache-2.0
// What the files of the core share. Everything hangs on one tree of owners:
//
//     ike ── loaded connections ── policies of their children
//      └──── IKE SAs ── tasks to do, exchanges under way (one each way)
//                └───── children (pairs of ESP SAs)
//
// Whatever dies is buried: it is taken out of all tables at once but freed only when the next step
// begins, so that outputs, events and reports may point to it, and no function has to fear that its
// SA vanishes under it.
#pragma once
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "ike/ike.h"
#include "wire/payload.h"

enum {
    NONCE_SIZE = 32,          // RFC 7296 2.10: at least half the key of any PRF that we know
    EXCHANGE_RETRIES_MAX = 5, // of one request because of INVALID_KE_PAYLOAD or COOKIE
    TASKS_MAX = 4096,         // of one SA
    CERTS_MAX = 16,           // CERT payloads of one message that are looked at
    SPI_MIN = 256,            // RFC 4303 2.1: those below are reserved
};

// --- time: one heap of alarms; each alarm is the least of its owner's named timers

enum alarm_owner { ALARM_SA = 1, ALARM_CHILD, ALARM_POLICY };
struct alarm {
    struct heap_item item;
    uint8_t owner;
};

enum sa_timer {
    TIMER_START,      // a further attempt begins
    TIMER_RETRANSMIT, // of our request
    TIMER_HALF_OPEN,  // the peer did not finish what it began
    TIMER_TASKS,      // a task that had to wait may go on
    TIMER_REKEY,
    TIMER_REAUTH,
    TIMER_EXPIRE, // rekeying or reauthentication did not come about
    TIMER_DPD,
    TIMER_KEEPALIVE,
    TIMER_PARKED, // the peer did not go on with the further key exchanges of a request
    SA_TIMERS,
};
enum child_timer {
    CHILD_TIMER_REKEY,
    CHILD_TIMER_EXPIRE,
    CHILD_TIMER_OUTBOUND, // the outbound half of a rekeyed child is used now
    CHILD_TIMER_GONE,     // the inbound half of a replaced child goes
    CHILD_TIMER_INACTIVE,
    CHILD_TIMERS,
};

// --- who waits for the answer to an operation

enum waiter_kind { WAITER_EXCHANGE = 1, WAITER_POLICY };
struct waiter {
    uint64_t number; // 0: nobody waits
    uint8_t kind;
};

// --- messages

enum message_kind { MESSAGE_REQUEST = 1, MESSAGE_RESPONSE };

// One message as it came: header, and the payloads that count (decrypted where they were sealed).
struct message {
    struct ike_header header;
    struct path path;
    struct bytes raw; // the datagram; of a sealed message the first one
    struct payloads *payloads;
    bool sealed;   // it was, and the SA's keys opened it
    uint8_t first;      // of a sealed message: type of the first payload inside …
    struct bytes plain; // … and all of them in clear
    uint64_t hash; // of the datagram, of a fragmented message's first one
};

// One message as it is being written, in the core's scratch space.
struct draft {
    struct wr out;
    struct chain chain;
};

// Datagrams one behind the other, each with its length in its IKE header.
struct packets {
    uint8_t *at;
    size_t size;
};

// --- exchanges

struct exchange;
typedef enum fault (*step_run)(struct exchange *x);
typedef enum fault (*step_after)(struct exchange *x, struct ike_answer *answer);

// A named step of a recipe. One that may wait for an operation has a second half that takes the
// answer.
struct step {
    const char *name;
    step_run run;
    step_after after;
};
// clang-format off
#define STEP(function)            {#function, function, NULL}
#define WAIT(function, answered)  {#function, function, answered}
#define END                       {NULL, NULL, NULL}
// clang-format on

// What becomes of things when a step finds a fault.
enum consequence {
    FAILURE_FORGETS, // answering a first message: a notify at most, and no state is left
    FAILURE_ENDS_SA, // the IKE SA cannot be
    FAILURE_STAYS,   // the exchange failed, the IKE SA goes on
};

struct recipe {
    const char *name;    // "IKE_AUTH", for people
    uint8_t consequence; // enum consequence
    const struct step *steps;
    // Undoes what the steps did, before the consequence; may be NULL.
    void (*failed)(struct exchange *x, enum fault fault);
};

// An exchange that we begin: what is asked, and what is done with the response.
struct plan {
    uint8_t exchange; // enum iana_exchange
    struct recipe ask, conclude;
    const struct plan *followup; // its further key exchanges (RFC 9370); NULL: it has none
};

enum exchange_part { PART_ASK = 1, PART_CONCLUDE, PART_ANSWER };

struct exchange {
    struct sa *sa;
    const struct plan *plan; // ours; NULL when answering
    const struct recipe *recipe;
    const struct step *at, *next; // next: set by a step that goes on elsewhere
    uint8_t part;                 // enum exchange_part
    struct waiter waiter;
    struct arena arena;         // lives as long as the exchange
    struct arena message_arena; // concluding: the response's
    struct message in;          // request or response being worked on
    struct task *task;          // what it is done for; owned
    const char *why;            // says more than the fault's sentence; in the arena or the step's
    enum fault child_fault;     // the child failed, the IKE SA goes on
    const char *child_why;

    uint32_t message_id;
    struct packets sent; // ask: the request
    unsigned tries, retries;
    nsec first_sent;
    bool is_sent, is_over; // over: there is nothing to ask any more

    uint8_t ni[NONCE_SIZE_MAX], nr[NONCE_SIZE_MAX];
    uint16_t ni_size, nr_size;
    uint16_t ke;            // method of the KE payload, ours or the peer's
    struct bytes ke_public; // ours, in the arena
    struct bytes ke_peer;   // the peer's, in the arena
    struct secret ke_private, ke_shared;
    uint8_t round;         // of the additional key exchanges: 1 to 7; 0: the first one
    struct secret ke_more; // secrets of the rounds so far, one behind the other
    struct bytes link;     // what ties its rounds together, in the arena
    const struct recipe *resume; // answering: parked until the peer's IKE_FOLLOWUP_KE comes
    struct proposals *offered; // by whoever asked
    struct suite suite;
    struct child *child;              // being made; owned until it is installed
    struct selectors *local, *remote; // of that child, in the arena
    uint8_t mode;                     // of that child, enum sa_mode
    uint32_t old_id;                  // of the child that is rekeyed or deleted
    uint8_t auth_method;
    struct bytes auth_data;        // AUTH payload, ours or the peer's, in the arena
    struct bytes certs[CERTS_MAX]; // of the peer, in the message
    uint8_t cert_count;
    struct identity wanted_id; // who the peer wants us to be; type 0: no matter
    struct sa *fresh;          // IKE SA that a rekey makes; owned until it is entered
    uint16_t group_wanted;     // FAULT_KE_GROUP_OTHER: what INVALID_KE_PAYLOAD says
    struct bytes notify_spi;   // CHILD_SA_NOT_FOUND: which
    uint8_t notify_critical;   // UNSUPPORTED_CRITICAL_PAYLOAD: which
};

// --- what an IKE SA still has to do

enum task_kind {
    TASK_CHILD = 1, // create a child
    TASK_REKEY_CHILD,
    TASK_DELETE_CHILD,
    TASK_REKEY_IKE,
    TASK_DELETE_IKE,
    TASK_LIVENESS,
    TASK_DELETE_SPI, // a child that the peer has and we could not take
};
struct task {
    struct list link;
    uint8_t kind;
    uint8_t tries;
    uint32_t spi; // DELETE_SPI
    uint8_t protocol;
    uint32_t command;              // for whom; 0: nobody
    uint32_t child_id;             // REKEY_CHILD, DELETE_CHILD
    const struct child_conf *conf; // CHILD: in the SA's conn, or in the one it holds
    struct conn *conn;             // held
    struct flow *flow;             // CHILD: the packet that triggered it; owned
    nsec not_before;
    uint16_t ke; // the group that the peer asked for, 0: the first one
};

// Both sides' selectors in no more memory than they need; most have one each.
struct packed_sides {
    uint8_t local_count, remote_count;
    struct selector at[]; // local ones, then remote ones
};

// --- policies: what the data plane protects for one child of one connection (or of one peer)

struct policy {
    struct list link; // of the connection's, or of itself
    struct ike *ike;
    struct alarm alarm;
    struct waiter waiter; // RESOLVE: a trap whose selectors depend on our address
    uint32_t number;
    struct conn *conn; // held
    const struct child_conf *conf;
    uint8_t key[20]; // digest of names and selectors: equal ones share a policy
    bool trap;       // stays without children: of the configuration
    bool installed;
    uint32_t users;  // children whose SAs serve it
    uint32_t coming; // id of a child whose outbound half is not in use yet
    uint32_t
        guard; // number of the policy that blocks what a narrowed child leaves of a trap; 0: none
    struct packed_sides *sides;      // in force; owned
    struct packed_sides *trap_sides; // of the trap; NULL: as in force
    struct path path;
    nsec retry_at;  // acquires are not heeded before
    uint32_t sa_id; // of the SA that was asked for a child; 0: none
};

// --- children

enum child_state {
    CHILD_CREATED = 1,
    CHILD_INSTALLED,
    CHILD_REKEYING,
    CHILD_REKEYED,
    CHILD_DELETING,
    CHILD_GONE
};
enum { CHILD_HAS_IN = 1, CHILD_HAS_OUT = 2 };

// A rekey by the peer that crossed ours: the exchange with the lowest nonce loses (RFC
// 7296 2.8.1, 2.8.2).
struct rival {
    uint32_t id;                   // of the child or IKE SA that the peer's exchange made
    uint8_t nonce[NONCE_SIZE_MAX]; // the lower one of its two
    uint16_t nonce_size;
};

struct child {
    struct list link; // of the SA's
    struct sa *sa;
    struct alarm alarm;
    uint32_t id;
    uint8_t state; // enum child_state
    uint8_t protocol, mode;
    uint8_t halves;    // CHILD_HAS_…: what the data plane has
    bool doomed;       // lost a collision: the peer deletes it
    bool awaits_rival; // whether it stands is known when our own rekeying ends
    uint32_t spi_in, spi_out;
    uint32_t replaces; // id of the child that this one rekeyed
    uint32_t replaced_by;
    uint32_t command; // of a terminate that waits for its end
    struct suite suite;
    struct conn *conn; // held; conf lives in it
    const struct child_conf *conf;
    struct policy *policy;
    struct child *same_spi_out; // of another peer
    struct secret
        keys_out; // cipher's, then integrity's: of an outbound half that is not installed yet
    struct rival *rival;
    nsec installed;
    nsec timers[CHILD_TIMERS];
    uint64_t rekey_bytes, rekey_packets; // this child's soft limits; 0: none
    struct sa_usage in, out;
};

// --- IKE SAs

enum sa_state {
    NOTHING = 0,
    EXPECT_SA_INIT,
    EXPECT_AUTH,
    ESTABLISHED,
    REKEYED,
    DELETING,
    DEAD,
    SA_STATES
};

enum sa_bits {
    PEER_FRAGMENTS = 1 << 0, // RFC 7383
    PEER_CHILDLESS = 1 << 1, // RFC 6023
    NAT_LOCAL = 1 << 2,
    NAT_REMOTE = 1 << 3,
    NAT_SEEN = 1 << 4,    // NAT detection took place
    CERT_WANTED = 1 << 5, // the peer sent CERTREQ
    INITIAL_CONTACT_SENT = 1 << 6,
    REKEY_ANSWERING = 1 << 7, // the peer's rekey of the IKE SA is being answered
    IN_HALF_OPEN = 1 << 8,    // counted as half-open
    IN_IDS = 1 << 9,          // found by its identities
    WAS_ESTABLISHED = 1 << 10,
    BY_PEER = 1 << 11,      // the peer began the first exchange of this SA's line
    REAUTH_ASKED = 1 << 12, // it is being replaced by reauthentication
    PEER_AUTHENTICATED = 1 << 13,
    SELF_PROVED = 1 << 14,
    ENCAP_FORCED = 1 << 15, // the connection wants ESP in UDP without a NAT
    PEER_INTERMEDIATE = 1 << 16, // RFC 9242
};

// What is needed only until the SA is established.
struct handshake {
    nsec began;
    struct bytes own_init, peer_init; // first messages as they were on the wire; owned
    uint8_t ni[NONCE_SIZE_MAX], nr[NONCE_SIZE_MAX];
    uint16_t ni_size, nr_size;
    struct secret sk_pi, sk_pr;
    struct secret int_auth_i, int_auth_r; // RFC 9242: sums of what went through IKE_INTERMEDIATE
    uint8_t round, intermediates;         // additional key exchanges done; IKE_INTERMEDIATEs
    struct bytes cookie;    // to be sent first; owned
    struct bytes ke_public; // kept for a retry with the cookie; owned
    struct secret ke_private;
    uint16_t ke;          // method of our KE payload
    uint16_t ke_wanted;   // what INVALID_KE_PAYLOAD asked for
    uint32_t peer_hashes; // 1 << HASH_…
    unsigned attempts;    // of keyingtries
    uint32_t candidate;   // of the remote addresses
    uint32_t command;     // of an initiate without a child
    enum fault rumour;    // an unprotected error that came; believed when nothing better follows
    bool path_known;      // nothing is to be resolved
    struct bytes id_local, id_remote; // bodies of the ID payloads; owned
    struct addr source;               // half-open: who is counted
    uint8_t half_open_key[32];
    uint8_t half_open_key_size;
};

// Keys of an established SA, one behind the other in one secret.
struct sa_keys {
    struct secret all;
    uint16_t d, a, e; // sizes of SK_d, of one SK_a, of one SK_e
};

struct reassembly; // RFC 7383: pieces that came so far

struct sa {
    struct list link;      // of all
    struct list of_loaded; // of its connection's
    struct ike *ike;
    struct alarm alarm;
    uint32_t id;
    uint8_t state;     // enum sa_state
    bool initiator;    // of this IKE SA's first exchange: whose keys are whose
    uint32_t bits;     // enum sa_bits
    struct conn *conn; // held; NULL until chosen
    uint64_t spi_i, spi_r;
    struct path path;
    struct identity local_id, remote_id; // owned
    struct suite suite;
    struct sa_keys keys;
    uint64_t iv_counter;
    uint32_t send_id, expect_id; // message IDs of our next request and the peer's
    struct packets response;     // to the peer's last request
    uint64_t request_hash;       // of that request
    struct exchange *asking, *answering;
    struct exchange *parked; // the peer's, between its rounds (RFC 9370 2.2.4)
    struct reassembly *reassembly;
    struct handshake *handshake; // NULL once established
    struct list tasks;
    uint32_t task_count;
    struct list children;
    uint32_t child_count;
    struct rival *rival;
    struct sa *same_ids;  // next one with the same identities
    uint32_t replaced_by; // id of the SA that inherited
    uint32_t reauth_of;   // id of the SA that goes when this one has its children
    uint32_t command;     // of a terminate that waits for its end
    char peer_scheme[32]; // how the peer was authenticated; "" when not yet
    struct addr *vips;    // owned
    struct addr *dns;     // name servers that came with them; owned
    uint8_t vip_count, dns_count;
    uint8_t lease_count;      // virtual addresses of the peer
    struct lease **leases;    // owned array
    struct addr *remote_vips; // theirs; owned
    nsec established, last_heard, last_sent, troubled_since;
    nsec timers[SA_TIMERS];
};

// --- the host

struct loaded { // a connection as it was loaded
    struct list link;
    struct conn *conn;    // held
    struct list sas;      // those that belong to it by name
    struct list policies; // traps
};

// So many a second, and no more.
struct budget {
    nsec since;
    unsigned spent;
};

struct command_wait { // a terminate that waits until all is gone
    struct list link;
    uint32_t number;
    uint32_t matches, left;
};

struct out_item {
    struct ike_out out;
    struct out_item *next;
};

struct ike {
    struct rng *rng;
    struct ike_settings settings;
    struct ike_keylog *keylog;
    nsec now;
    struct arena arena; // of one step
    struct out_item *outs, **outs_last;
    struct list buried_sas, buried_children, buried_policies;
    struct buf spent; // pointers to free when the next step begins
    struct secret *spent_secrets;
    size_t spent_secret_count;
    struct conn **spent_conns;
    size_t spent_conn_count;
    uint8_t *plain, *sealed; // scratch: messages being written
    struct selectors *shown; // both sides of the child that was looked at last

    struct heap alarms;
    struct map by_spi;    // our IKE SPI -> sa
    struct map by_id;     // unique number -> sa
    struct map half_open; // the peer's SPI and endpoint -> sa
    struct map sources;   // address -> struct source
    struct map by_ids;    // digest of both identities -> sa, chained
    struct map children_by_id, children_in, children_out;
    struct map policies, policies_by_key;
    struct map operations; // number -> struct waiter
    struct list sas;       // by unique number
    struct list loaded;    // in the order of loading
    struct list pools;     // likewise
    struct map loaded_by_name;
    struct list commands;
    uint32_t last_sa_id, last_child_id, last_policy;
    uint64_t last_operation;
    struct secret cookie_secret[2]; // the current one and the one before
    uint8_t cookie_version;
    nsec cookie_changed;
    struct budget answers, lines; // for what anybody can make us send, and say
    uint8_t (*anchors)[20];
    size_t anchor_count;
    struct ike_stats stats;
};

// core.c: outputs, operations, memory that lives until the next step
struct ike_out *out_new(struct ike *ike, enum ike_out_kind kind);
void free_later(struct ike *ike, void *at);
void secret_later(struct ike *ike, struct secret *secret); // moved
struct bytes secret_for_step(struct ike *ike,
                             struct bytes value); // a copy that is wiped when the next step begins
void conn_later(struct ike *ike, struct conn *conn);
struct ike_operation *operation_new(struct ike *ike, struct waiter *waiter,
                                    enum ike_operation_kind kind);
void waiter_forget(struct ike *ike, struct waiter *waiter);
void alarm_set(struct ike *ike, struct alarm *alarm, const nsec *timers, size_t count);

// report.c: sentences, events, statistics. `sa` may be NULL where there is none yet.
struct subject {
    const struct sa *sa;
    const struct conn *conn;
    const char *child;
    uint32_t command;
    const struct endpoint *remote;
};
__attribute__((format(printf, 5, 6))) void report(struct ike *ike, struct subject subject,
                                                  enum ike_level level, enum fault fault,
                                                  const char *format, ...);
#define ABOUT_SA(sa_) ((struct subject){.sa = (sa_)})
#define ABOUT_CHILD(child_)                                                                        \
    ((struct subject){.sa = (child_)->sa, .conn = (child_)->conn, .child = (child_)->conf->name})
#define ABOUT_REMOTE(endpoint_) ((struct subject){.remote = (endpoint_)})
bool budget_allows(struct ike *ike, struct budget *budget);
void event(struct ike *ike, struct ike_event event);
void alert(struct ike *ike, const struct sa *sa, const char *word);
void command_done(struct ike *ike, uint32_t command, enum fault fault, const char *why);
const char *suite_text(struct ike *ike, const struct suite *suite);
const char *identity_text(struct ike *ike, const struct identity *id);
const char *selectors_text(struct ike *ike, const struct selectors *set);
const char *endpoint_text(struct ike *ike, const struct endpoint *endpoint);
void keylog_ike(const struct sa *sa);
void keylog_child(const struct child *child, enum sa_direction direction, struct bytes encr_key,
                  struct bytes integ_key);

// table.c: SAs by SPI, number, source and identities
void tables_init(struct ike *ike);
void tables_free(struct ike *ike);
struct sa *sa_by_spi(const struct ike *ike, uint64_t spi);
struct sa *sa_by_id(const struct ike *ike, uint32_t id);
struct child *child_by_id(const struct ike *ike, uint32_t id);
void half_open_enter(struct sa *sa, uint64_t peer_spi, const struct endpoint *from);
void half_open_leave(struct sa *sa);
struct sa *half_open_find(const struct ike *ike, uint64_t peer_spi, const struct endpoint *from);
unsigned half_open_of_source(const struct ike *ike, const struct addr *source);
void ids_enter(struct sa *sa);
void ids_leave(struct sa *sa);
struct sa *
ids_find(const struct sa *sa); // first one with the same identities (maybe itself); follow same_ids
uint64_t spi_new(struct ike *ike); // for an IKE SA
uint32_t spi_new_child(struct ike *ike);

// sa.c: the life of an IKE SA
struct sa *sa_new(struct ike *ike, struct conn *conn, bool initiator);
void sa_set_conn(struct sa *sa, struct conn *conn);
void sa_set_state(struct sa *sa, enum sa_state state);
void sa_set_timer(struct sa *sa, enum sa_timer timer, nsec at);
void sa_timer_fired(struct sa *sa);
void sa_established(struct sa *sa); // from now on it carries children; handshake data are dropped
void sa_inherit(struct sa *fresh, struct sa *old); // identities, path, settings: not children
// One of two ends deletes it, and the other waits for that; should it never come, it goes all the
// same.
void sa_linger(struct sa *sa, const struct sa *by);
void sa_move_children(struct sa *from,
                      struct sa *to); // and all else that is not doubled: tasks, virtual addresses
// Ends it at once, with its children and without a message. fault and why go to those who wait for
// it; OK: it was asked for.
void sa_end(struct sa *sa, enum fault fault, const char *why);
void sa_gone(struct sa *sa, enum fault fault,
             const char *why); // the same, and then what close_action or dpd_action says
void sa_free(struct sa *sa);   // only of buried ones
void sa_heard(struct sa *sa, const struct message *message,
              enum message_kind kind); // an authentic, fresh message came
struct exchange *sa_busy(const struct sa *sa);
uint64_t sa_own_spi(const struct sa *sa);
uint64_t sa_peer_spi(const struct sa *sa);
const char *sa_state_text(const struct sa *sa);
nsec jitter(struct ike *ike, nsec span, nsec random); // span less a random part of `random`
void handshake_free(struct handshake *handshake);

// task.c: what is to be asked, one after the other
struct task *task_add(struct sa *sa, enum task_kind kind);
void task_free(struct task *task);
void task_drop(struct sa *sa, struct task *task); // out of the queue, then freed
void task_failed(struct sa *sa, struct task *task, enum fault fault,
                 const char *why);                             // tells who waits; does not free
void task_again(struct sa *sa, struct task *task, nsec delay); // takes it back into the queue
bool task_retry(
    struct sa *sa,
    struct task *task); // the peer is busy: again later; false when it has been so for minutes
void task_done(struct sa *sa, struct task *task); // tells who waits; does not free
void tasks_move(struct sa *from, struct sa *to);
struct task *task_find(const struct sa *sa, enum task_kind kind, uint32_t child_id);
struct task *task_find_conf(const struct sa *sa, const char *child);
void sa_pump(struct sa *sa); // begins the next exchange if it may

// command.c, start.c
void command_run(struct ike *ike, const struct ike_command *command);
void command_gone(struct ike *ike, uint32_t command); // one of what a terminate waits for is gone
// Brings up a child (conf NULL: the IKE SA alone) with the SA that is there or a new one.
void initiate(struct ike *ike, struct conn *conn, const struct child_conf *conf, uint32_t command,
              const struct flow *flow);
void initiate_again(struct sa *sa,
                    nsec delay); // a further attempt by a new SA that takes over its tasks
void reauthenticate(struct sa *sa);
void reauthenticated(struct sa *sa); // its children are there: the SA that it is for goes
void conn_load(struct ike *ike, struct conn *conn);
void conn_unload(struct ike *ike, const char *name);
struct loaded *loaded_find(const struct ike *ike, const char *name);

// policy.c
struct policy *policy_new(struct ike *ike, struct conn *conn, const struct child_conf *conf);
struct policy *policy_for(struct ike *ike, struct conn *conn, const struct child_conf *conf,
                          const struct selectors *local, const struct selectors *remote,
                          const struct path *path);
void policy_use(struct policy *policy, const struct selectors *local,
                const struct selectors *remote, const struct path *path);
void policy_child_path(const struct child *child, struct path *path); // of its packets
void policy_sides(const struct policy *policy, struct selectors *local,
                  struct selectors *remote); // those in force
void policy_release(struct policy *policy);  // one child less
void policy_trap(struct ike *ike, struct loaded *loaded, const struct child_conf *conf);
void policy_untrap(struct policy *policy);
struct policy *policy_find_trap(const struct loaded *loaded, const char *child);
void policy_acquire(struct ike *ike, uint32_t number, const struct flow *flow);
void policy_settled(struct policy *policy, bool success); // what an acquire or a start has led to
void policy_answered(struct policy *policy, const struct ike_answer *answer);
void policy_timer_fired(struct policy *policy);
void policy_free(struct policy *policy);

// child.c
struct child *child_new(struct sa *sa, struct conn *conn, const struct child_conf *conf);
enum child_install { INSTALL_BOTH, INSTALL_INBOUND };
void child_set_timer(struct child *child, enum child_timer timer, nsec at);
void child_install(struct exchange *x, struct secret *keymat,
                   enum child_install how); // x->child: then owned by its SA
void child_install_outbound(struct child *child);
void child_rival_settled(struct child *child);            // the collision is decided in its favour
void child_replaced(struct child *old, struct child *by); // its outbound half is used no more
void child_deleting(struct child *child);
void child_deleted(struct child *child);
void child_linger(struct child *child); // gone for the peer; inbound is kept for a moment
void child_end(struct child *child, enum fault fault); // removes both halves at once and buries it
void child_closed(struct child *child);                // the same, and then what close_action says
void child_free(struct child *child);
void child_abandon(struct exchange *x); // x->child failed; if the peer made its half it is told
void child_moved(struct child *child, const struct path *former);
void child_usage(struct ike *ike, const struct ike_plane *plane);
void child_timer_fired(struct child *child);
void child_plane_failed(struct ike *ike, const struct ike_plane *plane);
struct child *child_by_spi_out(const struct sa *sa, uint8_t protocol, uint32_t spi);
struct child *child_by_spi_in(const struct sa *sa, uint8_t protocol, uint32_t spi);
struct child *child_by_name(const struct sa *sa, const char *name); // one that is in use
const char *child_state_text(const struct child *child);

// negotiate.c: proposals and selectors of children
// Asks: the child is made, its SA, TS and notify payloads are written.
void child_offer(struct exchange *x, struct draft *draft, const struct flow *flow,
                 enum proposal_ke with_ke);
// Answers: chooses which child of the connection is meant (rekeying: the old one), its suite and
// selectors, and makes it. A fault and x->why when none fits.
enum fault child_choose(struct exchange *x, const struct child *old, enum proposal_ke with_ke);
enum fault
child_agree(struct exchange *x,
            enum proposal_ke with_ke); // concludes: is the answer out of what we offered?
void child_write_answer(struct exchange *x, struct draft *draft);
void conf_selectors(const struct sa *sa, const struct child_conf *conf, struct selectors *local,
                    struct selectors *remote);
const struct proposals *conf_proposals(const struct child_conf *conf);
uint16_t proposals_first_ke(const struct proposals *proposals);
bool proposals_offer_ke(const struct proposals *proposals, uint16_t ke);

// message.c
void draft_begin(struct ike *ike, struct draft *draft); // of a message that is sealed
void draft_begin_clear(struct ike *ike, struct draft *draft, const struct ike_header *header);
struct wr *draft_open(struct draft *draft, uint8_t type);
void draft_close(struct draft *draft);
void draft_bytes(struct draft *draft, uint8_t type, struct bytes body);
void draft_notify(struct draft *draft, uint16_t type, struct bytes data);
void draft_notify_spi(struct draft *draft, uint8_t protocol, struct bytes spi, uint16_t type,
                      struct bytes data);
struct packets draft_finish_clear(struct draft *draft); // owned
struct packets draft_seal(struct sa *sa, struct draft *draft, uint8_t exchange,
                          enum message_kind kind, uint32_t message_id);
enum fault message_open(struct sa *sa, struct message *message,
                        struct arena *arena); // decrypts in place of the SK payload
void packets_send(struct ike *ike, const struct sa *sa, const struct path *path,
                  const struct packets *packets);
void packets_free(struct ike *ike, struct packets *packets);
const struct payload *message_first(const struct message *message, uint8_t type);
bool message_notify(const struct message *message, uint16_t type, struct notify *notify);
bool message_error(const struct message *message, struct notify *notify); // the first error notify
struct sealer sa_sealer(const struct sa *sa, bool outbound);

// keymat.c
enum fault keymat_ike(struct exchange *x, struct sa *sa, struct bytes ni, struct bytes nr,
                      const struct secret *shared, const struct sa *old);
enum fault keymat_child(const struct sa *sa, const struct suite *suite, struct bytes shared,
                        struct bytes ni, struct bytes nr, struct bytes more, struct secret *out);
void keymat_child_sizes(const struct suite *suite, size_t *encr, size_t *integ);
struct bytes sk_d(const struct sa *sa);

// retransmit.c
void request_sent(struct exchange *x);  // the first time
void request_retransmit(struct sa *sa); // TIMER_RETRANSMIT
void request_answered(struct exchange *x);
struct exchange *half_open_exchange(struct sa *sa);

// exchange.c
void exchange_ask(struct sa *sa, const struct plan *plan, struct task *task); // task: given
void exchange_answer(struct sa *sa, const struct recipe *recipe, struct exchange *x);
struct exchange *exchange_new(struct sa *sa);
void exchange_conclude(struct exchange *x);
void exchange_run(struct exchange *x);
void exchange_answered(struct exchange *x, struct ike_answer *answer);
void exchange_restart(struct exchange *x,
                      const struct step *at); // from a step of the conclusion back into the asking
void exchange_skip_rest(struct exchange *x);  // this step is the last one
void exchange_give_up(struct exchange *x);    // likewise, and nothing is asked
void exchange_free(struct exchange *x);
struct ike_operation *exchange_wait(struct exchange *x, enum ike_operation_kind kind);
__attribute__((format(printf, 3, 4))) enum fault exchange_why(struct exchange *x, enum fault fault,
                                                              const char *format, ...);
void respond(struct exchange *x, struct draft *draft); // seals, sends and keeps the response
void request(struct exchange *x, struct draft *draft); // likewise the request
struct bytes exchange_ni(const struct exchange *x);
struct bytes exchange_nr(const struct exchange *x);
void exchange_nonce(struct exchange *x, bool initiator);            // makes ours
enum fault exchange_read_nonce(struct exchange *x, bool initiator); // takes the peer's
enum fault exchange_read_ke(struct exchange *x);
enum fault ke_answer_start(struct exchange *x);
enum fault ke_answer_done(struct exchange *x, struct ike_answer *answer);
enum fault ke_share_start(struct exchange *x);
enum fault ke_share_done(struct exchange *x, struct ike_answer *answer);
enum fault ke_make_done(struct exchange *x, struct ike_answer *answer);

// failure.c: the one place where a fault becomes a notify, a sentence and a consequence
void exchange_fail(struct exchange *x, enum fault fault);
void message_refused(struct ike *ike, struct sa *sa, const struct message *message,
                     enum fault fault);
uint16_t fault_notify(enum fault fault); // NOTIFY_NONE: nothing is sent
void draft_fault(struct draft *draft, const struct exchange *x, enum fault fault);
enum fault notify_fault(uint16_t notify); // what the peer's error means to us
void draft_fault_clear(struct ike *ike, const struct message *message, enum fault fault,
                       struct bytes data);

// receive.c: datagrams, before and after they are known to be genuine
void datagram_in(struct ike *ike, const struct path *path, struct bytes bytes);

// v2/rules.c
struct rule {
    uint8_t exchange;
    uint8_t kind;                                // enum message_kind
    uint8_t states;                              // 1 << enum sa_state
    uint32_t must, may;                          // payloads, see PAYLOAD_BIT
    bool (*when)(const struct message *message); // picks among rows of one exchange; NULL: any
    const struct recipe *recipe; // requests; a response belongs to its request's plan
};
#define PAYLOAD_BIT(type) (UINT32_C(1) << ((type)-PAYLOAD_SA))
extern const struct rule rules[];
extern const size_t rule_count;
enum fault rule_find(enum sa_state state, const struct message *message, const struct rule **out);

// v2: recipes and plans
extern const struct plan plan_sa_init, plan_auth, plan_child, plan_rekey_child, plan_rekey_ike,
    plan_delete_child, plan_delete_ike, plan_delete_spi, plan_liveness;
extern const struct recipe sa_init_answer, auth_answer, child_answer, rekey_child_answer,
    rekey_ike_answer, informational_answer;
void sa_init_receive(struct ike *ike, struct message *message);
bool sa_init_is_rumour(
    const struct sa *sa,
    const struct message *message); // an error that only a protected message could prove
void sa_init_rumour(struct sa *sa, const struct message *message);
void attempt_failed(struct sa *sa, enum fault fault,
                    const char *why); // before it was established: tries again or ends
void certreq_write(const struct sa *sa, struct draft *draft,
                   size_t limit); // as many anchors as fit limit bytes

// v2/collide.c
bool nonces_lose(const struct exchange *ours,
                 const struct rival *rival); // has ours the lowest of the four?
struct rival *rival_new(uint32_t id, const struct exchange *theirs);
enum fault child_may_rekey(struct exchange *x, struct child *old); // the peer asks for it
enum fault ike_may_rekey(struct exchange *x);
enum fault child_may_create(struct exchange *x);

// admit.c: which connection is meant, who may come in
struct first_choice {
    struct conn *conn;
    struct suite suite;
    const char *why;
};
enum fault conn_by_addresses(struct ike *ike, const struct path *path,
                             const struct proposals *offered, uint16_t ke,
                             struct first_choice *choice);
enum fault conn_by_identities(struct exchange *x, const struct identity *peer, uint8_t method);
bool auth_class_allows(const struct auth_conf *auth, uint8_t method);
struct identity own_identity(const struct sa *sa, struct arena *arena); // borrowed or in the arena
enum fault admit_peer(struct exchange *x, bool initial_contact);

// ext
bool cookie_wanted(const struct ike *ike);
void cookie_make(struct ike *ike, unsigned which, const struct message *message, struct bytes ni,
                 uint8_t out[33]);
bool cookie_is_good(struct ike *ike, const struct message *message, struct bytes ni,
                    struct bytes cookie);
void nat_offer(const struct sa *sa, struct draft *draft, uint64_t spi_i, uint64_t spi_r,
               const struct path *path);
void nat_agree(struct sa *sa, const struct message *message);
void nat_first_path(struct sa *sa); // which port and marker the first message takes
void nat_float(struct sa *sa);
bool nat_encap(const struct sa *sa); // do its children go in UDP?
void nat_keepalive(struct sa *sa);
void nat_child_moved(struct child *child, const struct endpoint *from);
void nat_heard_from(struct sa *sa,
                    const struct path *path); // an authentic message came along this path
// Keeps a fragment; OK when it was the last one missing: then *plain is the whole and *first its
// first payload's type.
enum fault fragment_join(struct sa *sa, struct message *message, uint16_t number, uint16_t total,
                         uint8_t *first, struct bytes *plain, struct arena *arena);
size_t fragment_limit(const struct sa *sa);
void reassembly_free(struct sa *sa);
void config_offer(struct exchange *x, struct draft *draft);
enum fault config_agree(struct exchange *x);
enum fault config_assign(struct exchange *x); // answers: takes leases; a fault is one of the child
void config_answer(struct exchange *x, struct draft *draft);
void pool_load(struct ike *ike, const struct pool_conf *conf);
void pool_unload(struct ike *ike, const char *name);
void pools_free(struct ike *ike);
bool pool_info(const struct ike *ike, const char *name, struct ike_pool_info *out);
// An address of the connection's pools in the family of `wanted`, that very one if it can be; NULL
// when none is left.
const struct addr *lease_take(struct sa *sa, const struct addr *wanted);
void leases_release(struct sa *sa);
void leases_move(struct sa *from, struct sa *to);
// What the nth pool of the connection tells the peer, if its addresses come from there or it has
// none; false when there is no nth.
bool pool_attributes(const struct sa *sa, unsigned number, const struct pool_attribute **out,
                     unsigned *count);

// ext/intermediate.c
extern const struct plan plan_intermediate;
extern const struct recipe intermediate_answer;
bool intermediate_is_due(const struct sa *sa); // before IKE_AUTH
void intermediate_withdraw(struct proposals *offered); // what needs it, where the peer lacks it
// Adds a message to what IKE_AUTH authenticates; first, plain: the payloads inside.
enum fault intermediate_sum(struct sa *sa, bool of_initiator, const struct ike_header *message,
                            uint8_t first, struct bytes plain);
struct bytes int_auth(const struct sa *sa); // the end of what is signed; in the step

// ext/multi_ke.c
uint8_t round_after(const struct suite *suite, uint8_t round); // 0: there is none
bool suite_has_rounds(const struct suite *suite);
bool proposals_have_rounds(const struct proposals *proposals);
uint16_t round_method(const struct exchange *x);
extern const struct step followup_ask_steps[];
extern const struct recipe followup_answer; // of one that belongs to nothing
enum fault followup_begin(struct exchange *x); // after the response: the first further round, if any
enum fault followup_heed(struct exchange *x);
enum fault followup_read(struct exchange *x);
enum fault followup_share(struct exchange *x);
enum fault followup_shared(struct exchange *x, struct ike_answer *answer);
enum fault followup_more(struct exchange *x); // asks for the next round, or goes on
// Answers with a link to the rounds that follow, writes, and parks the exchange.
void followup_park(struct exchange *x, struct draft *draft, const struct recipe *resume);
enum fault followup_answer_start(struct exchange *x);
enum fault followup_answer_done(struct exchange *x, struct ike_answer *answer);
enum fault followup_answer_more(struct exchange *x); // answers and waits for the next round
void followup_write(struct exchange *x, struct draft *draft);
bool followup_continues(const struct sa *sa, const struct message *message);
struct exchange *followup_resume(struct sa *sa, struct exchange *x);
void parked_drop(struct sa *sa);
bool parked_wins(struct exchange *ours); // over ours that it crossed; dropped when it does not
