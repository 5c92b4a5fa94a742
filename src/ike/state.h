// SPDX-License-Identifier: Apache-2.0
// The state of the core. Everything hangs on one tree of owners:
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
#include "base/map.h"
#include "ike/exchange.h"

enum {
    EXCHANGE_RETRIES_MAX = 5, // of one request because of INVALID_KE_PAYLOAD or COOKIE
    TASKS_MAX = 4096,         // of one SA
    CANDIDATES_TRIED_MAX = 8, // connections that are tried for one peer
    SPI_MIN = 256,            // RFC 4303 2.1: those below are reserved
    OWN_ADDRS_MAX = 64,       // addresses of this host that are kept
    PEER_ADDRS_MAX = 16,      // addresses of a peer that are kept, and of ours that it is told
    PATHS_MAX = 16,           // along which one request is sent at once
    // A peer that does not have our answer asks again for about 165 seconds; then it has it or has
    // given up.
    PEER_TRIES_SECONDS = 180,
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
    TIMER_PATH,   // a way to the peer is looked for
    TIMER_PARKED, // the peer did not go on with the further key exchanges of a request
    TIMER_PMTU,    // the path MTU is probed
    TIMER_CONFIRM, // the peer must have had our answer by now
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

// --- what an IKE SA still has to do

enum task_kind {
    TASK_CHILD = 1, // create a child
    TASK_REKEY_CHILD,
    TASK_DELETE_CHILD,
    TASK_REKEY_IKE,
    TASK_DELETE_IKE,
    TASK_LIVENESS,
    TASK_TICKET,     // ask for a ticket (RFC 5723)
    TASK_PATH_MTU,   // send a probe
    TASK_DELETE_SPI, // a child that the peer has and we could not take
    TASK_UPDATE,      // RFC 4555: the peer is told of our path
    TASK_ADDRESSES,   // … of our addresses
    TASK_ROUTABILITY, // … shows that it receives at its new address
    TASK_PROBE,       // … is asked along another path
    TASK_REDIRECT,   // RFC 5685
    TASK_QCD,        // RFC 6290: the peer gets a new token
    TASK_INVALID_SPI, // … is told that it sends to a child that is not there
};
struct task {
    struct list link;
    uint8_t kind;
    uint8_t tries;
    uint32_t spi; // DELETE_SPI, INVALID_SPI
    uint8_t protocol;
    uint32_t command;              // for whom; 0: nobody
    uint32_t child_id;             // REKEY_CHILD, DELETE_CHILD
    const struct child_conf *conf; // CHILD: in the SA's conn, or in the one it holds
    struct conn *conn;             // held
    struct flow *flow;             // CHILD: the packet that triggered it; owned
    char *gateway;                 // REDIRECT: address or name; owned
    nsec not_before;
    uint16_t ke; // the group that the peer asked for, 0: the first one
    uint16_t resource; // CHILD: it is for this one alone (RFC 9611); 0: for any
    uint32_t policy;   // CHILD for a resource: number of the one that it serves
    bool wish; // CHILD: it is tried until it is up
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
    uint8_t mode;    // enum sa_mode of its children; 0: none yet
    bool installed;
    uint32_t users;  // children whose SAs serve it
    uint32_t coming; // id of a child whose outbound half is not in use yet
    uint32_t
        guard; // number of the policy that blocks what a narrowed child leaves of a trap; 0: none
    struct packed_sides *sides;      // in force; owned
    struct packed_sides *trap_sides; // of the trap; NULL: as in force
    struct path path;
    nsec retry_at;  // acquires are not heeded before
    nsec resource_at;    // those for single resources
    bool resources_full; // the peer takes no further child for a resource
    uint32_t if_id_in, if_id_out; // devices; 0: the ordinary one
    bool unique;                  // they are this policy's, or its peer's, own
    uint8_t peer[20];             // digest of whose they are then
    uint8_t holder[20];           // … of the peer of its newest child
    uint8_t traffic[20];          // digest of what it is for
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
    bool takes_no_padding; // RFC 4303 2.7: the peer
    bool ppk;              // RFC 9867
    uint16_t cpi_in, cpi_out; // RFC 3173: of compressed packets; 0: there are none
    bool per_resource;     // RFC 9611: there may be further ones like it
    uint16_t resource;     // for which it is; 0: for any
    bool peer_takes_whole; // RFC 9347 6.1.4: no fragments
    bool peer_wants_reports; // RFC 9347 6.1.4: on congestion
    const char *mode_why;  // why it is not the mode asked for; NULL: it is
    uint8_t halves;    // CHILD_HAS_…: what the data plane has
    bool doomed;       // lost a collision: the peer deletes it
    bool awaits_rival; // whether it stands is known when our own rekeying ends
    bool strayed;      // RFC 4555 3.12: the peer sends from where it should not be
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
    EXPECT_ROUND, // a further IKE_AUTH (RFC 4739)
    EXPECT_EAP,   // a login's next message, or AUTH at its end (RFC 7296 2.16)
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
    ENCAP_FORCED = 1 << 15,      // the connection wants ESP in UDP without a NAT
    PEER_SYNCS_IDS = 1 << 26,    // RFC 6311: so do both ends
    PEER_SYNCS_REPLAY = 1 << 27,
    BEET_DECLINED = 1 << 29,     // the peer answered an offer of BEET mode with a tunnel
    PEER_INTERMEDIATE = 1 << 16, // RFC 9242
    UNCONFIRMED = 1 << 17, // made by the peer's rekeying; it has not shown yet that it has it, too
    PEER_ROUNDS = 1 << 20,       // RFC 4739
    RAW_KEY_WANTED = 1 << 18,    // RFC 7670: the peer sent CERTREQ for a raw public key
    PEER_UNKNOWN = 1 << 19,      // RFC 7619: in one of its rounds it did not prove who it is
    PEER_MOBIKE = 1 << 21,       // RFC 4555
    PPK_USED = 1 << 24,          // RFC 8784
    PPK_EARLY = 1 << 22,         // RFC 9867: before IKE_AUTH
    PEER_PPK_INT = 1 << 23,      // … it does that, and so in CREATE_CHILD_SA
    SENT_FROM_HERE = 1 << 26,    // RFC 5685: … and this host was what sent it here
    PEER_REDIRECTS = 1 << 25,    // RFC 5685: the peer, who began, lets itself be sent elsewhere
};

// RFC 8784, RFC 9867: what became of the post-quantum pre-shared key.
enum ppk_state {
    PPK_UNKNOWN = 0,
    PPK_ABSENT,
    PPK_OFFERED,
    PPK_AGREED, // RFC 8784: with IKE_AUTH
    PPK_MIXED,
    PPK_INT_AGREED, // RFC 9867: in the last IKE_INTERMEDIATE
    PPK_INT_DONE,   // … with or without
};
struct ppk_use {
    uint8_t state;           // enum ppk_state
    uint16_t there;          // 1 << each of the names of the connection whose key is there
    bool differs;            // INT_DONE: the peer has another key of the name
    bool is_named;           // in the request that is under way
    struct secret d, pi, pr; // MIXED: the keys without it
    struct bytes without;    // our AUTH data without it; owned
};

// RFC 7296 2.16: a login by EAP that is under way.
struct eap_use {
    bool is_offered;    // RFC 5998: the responder need not sign
    bool is_through;    // EAP(Success): AUTH follows
    bool mutual;        // the method has proved both ends
    uint8_t messages;   // of the peer's
    uint8_t identifier; // of its last one
    const char *scheme; // "EAP-TLS"
    struct secret key;  // MSK; empty: the method makes none
};

// RFC 5723: what an end knows of a ticket.
enum { TICKET_NUMBER_SIZE = 16, TICKET_SIZE_MAX = 4096, TICKET_TAKEN_MAX = 16384 };
struct ticket {
    struct bytes opaque; // client: as it was given; owned
    nsec expires, reauth_at;
    struct secret d; // SK_d
    struct suite suite;
    struct identity local, remote; // owned
    char scheme[32];               // how the peer was authenticated
    bool ppk, ppk_early, peer_ppk_int;
    uint8_t number[TICKET_NUMBER_SIZE]; // gateway: by which it is known
    uint64_t spi;                       // gateway: our SPI of the IKE SA that it is of
    const char *conn;                   // gateway: in the step
};
struct ticket_mark { // of one that was given, or does not count any more
    struct list link;
    uint8_t number[TICKET_NUMBER_SIZE];
    nsec expires;
};

// RFC 5685: where this end was sent on from, to find loops.
struct redirects {
    struct addr from;
    uint8_t count;
    nsec since;
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
    struct bytes cookie;                  // to be sent first; owned
    struct bytes ke_public;               // kept for a retry with the cookie; owned
    struct secret ke_private;
    uint16_t ke;          // method of our KE payload
    uint16_t ke_wanted;   // what INVALID_KE_PAYLOAD asked for
    uint32_t peer_hashes; // 1 << HASH_…
    unsigned attempts;    // of keyingtries
    uint8_t begun_anew;   // because the peer had forgotten what was begun
    uint32_t candidate;   // of the remote addresses
    bool has_more;        // there are further ones
    bool is_quiet;        // the same was said of the attempts before
    enum fault last_fault; // of the attempt before
    nsec failing_since;
    struct host_pattern gateway; // RFC 5685: where this end was sent to; kind 0: nowhere; owned
    uint32_t command;     // of an initiate without a child
    enum fault rumour;    // an unprotected error that came; believed when nothing better follows
    bool by_stream;       // UDP was tried in vain
    bool path_known;      // nothing is to be resolved
    struct bytes id_local, id_remote; // bodies of the ID payloads of the last rounds; owned
    uint8_t local_done, remote_done;  // rounds of authentication
    bool remote_stops;                // the peer has said that none of its rounds follows
    struct identity first_id;         // of the peer's first round, by which connections are found; owned
    struct message first;             // answering: the first IKE_AUTH, which asks for the child …
    struct arena first_arena;         // … and where it is kept until all rounds are done
    uint64_t tried[CANDIDATES_TRIED_MAX]; // connections that did not fit, by their order
    uint8_t tried_count;
    uint8_t told[20];                 // digest of our addresses as IKE_AUTH told them
    struct addr source;               // half-open: who is counted
    struct ppk_use ppk;
    struct eap_use eap;
    struct ticket *ticket; // by which the session is resumed; owned
    uint8_t half_open_key[32];
    uint8_t half_open_key_size;
};

// Keys of an established SA, one behind the other in one secret.
struct sa_keys {
    struct secret all;
    uint16_t d, a, e; // sizes of SK_d, of one SK_a, of one SK_e
};

// What is known of the path's MTU, and the search for it (ext/pmtu.c).
struct path_mtu {
    struct addr local, remote;
    uint16_t device;    // of the way out; 0: not known yet
    uint16_t current;   // what the data plane goes by
    uint16_t low, high; // what has passed, what has not
    uint16_t probing;   // being tried; 0: none
    uint8_t source;     // enum ike_mtu_source
    uint8_t losses;     // of that size, one after the other
    nsec learned, raise; // raise: when a larger one is tried
    uint64_t packets;   // sent by the children when the search came to rest
};

struct reassembly; // RFC 7383: pieces that came so far

// RFC 4555: of an SA whose ends may change their addresses.
struct mobility {
    struct addr peers[PEER_ADDRS_MAX]; // that it announced; the first one stood in the IP header
    uint8_t peer_count;
    struct path carried; // of the children: the peer is known to receive there
    struct path other;   // to be probed
    uint32_t serial;     // counts changes of the SA's path
    uint32_t changes;    // … and of anything here
    uint8_t look;        // number of the peer's address that RESOLVE is asked for
    bool look_again;     // there were news meanwhile
    bool stranded;       // there is no way to the peer
    bool uproots;        // children of a former address are to be made anew
    bool place_known;
    uint8_t place[20];   // RFC 4555 3.8: digest of where the peer saw us
    uint8_t told[20];    // digest of our addresses as it knows them
    uint8_t refusals;    // of our path, one behind the other
};

struct counter_sync; // RFC 6311: what another member of the peer's cluster has asked for

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
    struct bytes ppk_name;               // of the post-quantum key that went in last; owned
    struct suite suite;
    struct sa_keys keys;
    uint64_t iv_counter;
    uint32_t after_auth;         // message ID of the request behind IKE_AUTH, as responder; else 0
    uint32_t send_id, expect_id; // message IDs of our next request and the peer's
    struct packets response;     // to the peer's last request
    uint64_t request_hash;       // of that request
    struct exchange *asking, *answering;
    struct exchange *parked; // the peer's, between its rounds (RFC 9370 2.2.4)
    struct reassembly *reassembly;
    struct mobility *mobility; // NULL: it does not move
    struct waiter waiter;      // RESOLVE: the way to the peer
    struct path_mtu pmtu;
    struct handshake *handshake; // NULL once established
    struct list tasks;
    uint32_t task_count;
    struct list children;
    uint32_t child_count;
    struct rival *rival;
    struct sa *same_ids;  // next one with the same identities
    uint32_t replaced_by; // id of the SA that inherited
    uint32_t then_begins; // id of the SA that begins when this one has ended; 0: none
    uint32_t reauth_of;   // id of the SA that goes when this one has its children
    uint32_t command;     // of a terminate that waits for its end
    char peer_scheme[32]; // how the peer was authenticated; "" when not yet
    struct redirects redirects;
    struct bytes qcd_token; // RFC 6290: the peer's; owned
    struct counter_sync *sync; // NULL: none has
    nsec spi_told, spi_heeded; // when unknown SPIs of children were spoken of; 0: never
    struct addr *vips;    // owned
    struct addr *dns;     // name servers that came with them; owned
    char *domains;        // RFC 8598: what these know, a blank between; owned
    uint8_t vip_count, dns_count;
    uint8_t lease_count;      // virtual addresses of the peer
    struct lease **leases;    // owned array
    struct addr *remote_vips; // theirs; owned
    struct ticket *ticket;            // client: to come back by; owned
    struct ticket_mark *ticket_given; // gateway: the last one; owned
    nsec established, last_heard, last_sent, troubled_since;
    nsec timers[SA_TIMERS];
};

// --- the host

struct loaded_place;
struct loaded { // a connection as it was loaded
    struct list link;
    struct conn *conn;    // held
    uint64_t order;       // of loading; one that is loaded anew keeps it
    struct loaded_place *place; // in the index; NULL: it cannot be meant by a peer
    struct list sas;      // those that belong to it by name
    struct list policies; // traps
    struct ticket *ticket; // of an IKE SA that broke; owned
    uint64_t counters[IKE_COUNTERS];
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

struct candidates { // candidates.c: which connections a peer can mean
    struct map places, groups;
    uint32_t lengths[2][129]; // how many places there are for IPv4 and IPv6 prefixes of a length
    uint32_t want_certs, want_raw_keys; // connections that ask the peer for some
    uint32_t want_beet;                 // that have a child in BEET mode
    uint64_t last_order;
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
    struct map policies, policies_by_key, policies_by_traffic;
    bool overlaps_unseen;  // said once: there are too many policies to look for them
    struct map operations; // number -> struct waiter
    struct list sas;       // by unique number
    struct list loaded;    // in the order of loading
    struct list pools;     // likewise
    struct map loaded_by_name;
    struct candidates candidates;
    struct list commands;
    uint32_t last_sa_id, last_child_id, last_policy;
    uint64_t last_operation;
    struct secret cookie_secret[2]; // the current one and the one before
    uint8_t cookie_version;
    nsec cookie_changed;
    struct secret ticket_secret;    // RFC 5723: the keys of tickets come from it
    struct secret qcd_secret;       // RFC 6290: tokens come from it; none: none are made
    nsec spi_looked;                // when the sender of an unknown SPI was looked for
    struct map tickets_spent;       // number -> struct ticket_mark
    struct list tickets_spent_list; // the oldest first
    size_t tickets_spent_count;
    struct budget answers, lines; // for what anybody can make us send, and say
    uint8_t (*anchors)[20];
    size_t anchor_count;
    struct addr own[OWN_ADDRS_MAX]; // addresses of this host
    size_t own_count;
    bool own_known;
    struct ike_stats stats;
};
