// SPDX-License-Identifier: Apache-2.0
// The IKE core: one deterministic value. It has no socket, clock, randomness, private key, file or
// thread; everything comes in as values and goes out as values, and the daemon, the simulator and
// the fuzzers run this same code:
//
//     struct ike_out out;
//     ike_step(ike, &in);                        // one input …
//     while (ike_next(ike, &out)) perform(&out); // … then outputs until there are none …
//     sleep_until(ike_deadline(ike));            // … then sleep, and step with IKE_IN_TIMER
//
// Everything that an output points to is borrowed from the core and valid until the next
// ike_step().
#pragma once
#include "base/addr.h"
#include "base/fault.h"
#include "base/nsec.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/wr.h"
#include "model/conn.h"
#include "model/pool.h"
#include "model/sa.h"

struct ike;

// --- inputs
enum ike_in_kind {
    IKE_IN_TIMER = 1,
    IKE_IN_DATAGRAM,
    IKE_IN_COMMAND,
    IKE_IN_ANSWER,
    IKE_IN_PLANE,
    IKE_IN_ADDRESS,
    IKE_IN_CONN_LOAD, // adds or replaces by name; the core holds a reference
    IKE_IN_CONN_UNLOAD,
    IKE_IN_ANCHORS,     // hashes of trust anchors for CERTREQ
    IKE_IN_POOL_LOAD,   // adds or replaces by name; leases stay
    IKE_IN_POOL_UNLOAD, // addresses that are held stay so until their holders go
    IKE_IN_LEASE,       // who had which address before; after POOL_LOAD
    IKE_IN_PATH_MTU,    // of the way out to the peer of an outbound SA: after SA_ADD and SA_MOVE
    IKE_IN_ICMP,        // as a raw socket gave it; anybody may have sent it
};

enum ike_command_kind {
    IKE_INITIATE = 1, // conn (optional), child (empty: the IKE SA alone)
    IKE_TERMINATE,    // by any of conn, child, ike_id, child_id
    IKE_REKEY,        // likewise; reauth
    IKE_INSTALL,      // the trap policy of conn's child
    IKE_UNINSTALL,
    IKE_REDIRECT, // peers of conn, ike_id, peer_ip, peer_id to the gateway
};
struct ike_command {
    uint32_t number; // chosen by the caller, comes back in IKE_OUT_DONE and in reports
    uint8_t kind;
    const char *conn, *child;  // NULL: any
    uint32_t ike_id, child_id; // unique numbers; 0: any
    bool force, reauth;
    const char *peer_ip, *peer_id, *gateway; // REDIRECT; NULL: any
};

enum ike_plane_kind {
    IKE_PLANE_ACQUIRE = 1,
    IKE_PLANE_USAGE,
    IKE_PLANE_SEQUENCE_LOW,
    IKE_PLANE_PEER_MOVED,
    IKE_PLANE_UNKNOWN_SPI,
    IKE_PLANE_FAILED,
    IKE_PLANE_STREAM_CLOSED // a TCP connection that we opened, from local to `from`
};
struct ike_plane {
    uint8_t kind;
    uint32_t policy;
    struct flow flow;
    uint16_t resource; // ACQUIRE: which lacks an SA of its own; 0: the policy has none at all
    uint32_t spi;
    struct endpoint from, local;
    struct sa_usage usage; // USAGE: counters of one SA; the daemon sends them every few seconds
                           // when they changed, and before lists
    enum fault fault;      // FAILED: the data plane refused the SA or policy of that spi/policy
};

struct ike_answer {
    uint64_t number;  // of the operation
    enum fault fault; // OK, or why it failed; then `text` may tell more
    const char *text;
    struct secret private, shared; // KE_MAKE; KE_SHARE. The core moves them out.
    struct bytes data;             // KE_MAKE, KE_ANSWER: public value; PROVE: AUTH data
    uint8_t method;                // PROVE: AUTH method
    struct bytes cert;             // JUDGE: the peer's certificate
    const char *scheme;            // JUDGE: what signature was used
    struct path path;              // RESOLVE: where to send from and to
    bool more;                     // RESOLVE: there is a candidate behind this one
    bool found;                    // PPK: there is such a key; MIX: then `shared` has the mixed keys
    uint8_t chosen;                // PPK, MIX: which of the names
    uint16_t names; // PPK, 1 << each: those that are there; MIX: those that are, but do not fit
                    // CONFIRM: `data` has a proof for each name, of nothing for those that are not
    uint8_t login; // LOGIN: enum ike_login_state; data: EAP message to send; DONE: `shared` is the
                   // MSK, if the method makes one, and `scheme` says which it was
    bool mutual;   // LOGIN, DONE: both ends were proved
};

// Whose an address of a pool is; it stays so when its holder goes, until another one needs it.
struct ike_lease {
    const char *pool;
    struct addr addr;
    const struct identity *id;
};

struct ike_in {
    uint8_t kind; // enum ike_in_kind
    nsec now;
    union {
        struct {
            struct path path; // encap: it came with the non-ESP marker (which is stripped)
            struct bytes bytes;
        } datagram;
        struct ike_command command;
        struct ike_answer *answer;
        struct ike_plane plane;
        struct {
            struct addr addr; // family 0: only routes or links have changed
            bool came;        // or went
        } address;
        struct conn *conn;            // CONN_LOAD
        const char *name;             // CONN_UNLOAD, POOL_UNLOAD
        const struct pool_conf *pool; // POOL_LOAD; copied
        struct ike_lease lease;       // LEASE
        struct {
            uint32_t spi;
            struct addr remote;
            uint16_t mtu;
        } path_mtu;
        struct {
            uint8_t family;
            struct bytes bytes;
        } icmp;
        struct {
            const uint8_t (
                *hashes)[20]; // SHA-1 of each anchor's subjectPublicKeyInfo (RFC 7296 3.7)
            size_t count;
        } anchors;
    };
};

// --- outputs
enum ike_out_kind {
    IKE_OUT_SEND = 1,
    IKE_OUT_SA_ADD,
    IKE_OUT_SA_MOVE,
    IKE_OUT_SA_DEL,
    IKE_OUT_POLICY_ADD,
    IKE_OUT_POLICY_DEL,
    IKE_OUT_ADDRESS_ADD, // a virtual address of ours
    IKE_OUT_ADDRESS_DEL,
    IKE_OUT_NAME_SERVER, // the peer told a client of one (came), or it is no more
    IKE_OUT_LEASE, // was taken or given back: to be kept for the next start
    IKE_OUT_OPERATION,
    IKE_OUT_REPORT, // a log line
    IKE_OUT_EVENT,  // something that clients may subscribe to
    IKE_OUT_DONE,   // a command is finished
    IKE_OUT_SA_SKIP, // sequence numbers of an outbound SA jump forward (RFC 6311)
    IKE_OUT_SA_MTU, // how large a packet of an SA the way to the peer takes
};

enum ike_operation_kind {
    IKE_OP_KE_MAKE = 1,
    IKE_OP_KE_SHARE,
    IKE_OP_KE_ANSWER,
    IKE_OP_PROVE,
    IKE_OP_JUDGE,
    IKE_OP_RESOLVE,
    IKE_OP_PPK,
    IKE_OP_LOGIN
};
enum ike_prove_kind { IKE_PROVE_SIGN = 1, IKE_PROVE_MAC, IKE_PROVE_MAC_CHECK };
enum ike_ppk_kind { IKE_PPK_FIND = 1, IKE_PPK_CONFIRM, IKE_PPK_MIX };
enum { IKE_PPK_NAMES_MAX = CONN_PPKS_MAX + 1, IKE_PPK_PROOF_SIZE = 8 };
// BEGIN: the server's first message is wanted; MESSAGE: one of the peer's came. Whoever does these
// forgets a session for which nothing comes any more.
enum ike_login_kind { IKE_LOGIN_BEGIN = 1, IKE_LOGIN_MESSAGE };
enum ike_login_state { IKE_LOGIN_GOES_ON = 1, IKE_LOGIN_DONE };

// RFC 7296 2.15: what is signed is message | nonce | prf(sk_p, id_body) | int_auth; the one who
// signs puts it together.
struct auth_octets {
    uint16_t prf;
    struct bytes message;  // the signer's first message as it was on the wire
    struct bytes nonce;    // the other side's
    struct bytes sk_p;     // the signer's
    struct bytes id_body;  // the signer's ID payload behind its generic header
    struct bytes int_auth; // RFC 9242: of the IKE_INTERMEDIATEs; empty without any
};

struct ike_operation {
    uint64_t number;
    uint8_t kind;
    uint16_t ke;                  // KE_*
    const struct secret *private; // KE_SHARE
    struct bytes peer_public;     // KE_SHARE, KE_ANSWER
    struct {                      // PROVE
        uint8_t kind;             // enum ike_prove_kind
        struct auth_octets octets;
        const struct auth_conf *auth;  // SIGN: certificates' key ids, schemes
        uint32_t hashes;               // SIGN: 1 << HASH_… that the peer announced
        struct identity local, remote; // MAC: whose secret
        struct addr local_addr, remote_addr;
        struct bytes expected; // MAC_CHECK: the AUTH data that came
        // MAC_CHECK: if it is good, our own MAC by the same secret is wanted as well; without a
        // message: not, and who gives none is asked for it by a PROVE of its own.
        struct auth_octets own;
    } prove;
    struct { // JUDGE
        struct auth_octets octets;
        const struct auth_conf *auth; // the remote round: certs, cas, revocation, schemes
        struct identity id;           // as claimed; must be in the certificate
        uint8_t method;
        struct bytes data;         // AUTH data
        const struct bytes *certs; // DER of CERT payloads, the end entity's first
        size_t cert_count;
        struct bytes raw_key; // subjectPublicKeyInfo of a CERT payload (RFC 7670); empty: none came
        uint32_t hashes;      // those we announced
    } judge;
    struct { // RESOLVE: where is the peer, and from which address do we reach it?
        const struct host_pattern *local, *remote;
        size_t local_count, remote_count;
        uint16_t local_port, remote_port;
        uint32_t try; // 0, 1, …: the nth candidate: addresses as they are named, and those of names
    } resolve;
    struct {              // PPK: a post-quantum pre-shared key (RFC 8784, RFC 9867)
        uint8_t kind;     // enum ike_ppk_kind
        uint16_t prf;     // CONFIRM, MIX
        uint8_t count;    // of names; FIND: 0 for any key at all
        struct bytes names[IKE_PPK_NAMES_MAX]; // MIX: the first that is there and fits is taken
        struct bytes octets; // what is proved by a key: CONFIRM, and MIX with proofs
        struct bytes proofs[IKE_PPK_NAMES_MAX]; // MIX: prf(PPK, octets) of each must begin with it
        struct bytes keys[3]; // MIX: each becomes prf+(PPK, it) of the same size, in one secret
    } ppk;
    struct {              // LOGIN: a step of EAP (RFC 3748)
        uint8_t kind;     // enum ike_login_kind
        bool server;      // we let the peer log in; else we log in there
        uint64_t session; // the same one in all steps of a login
        const struct auth_conf *auth; // the round
        struct identity local, remote; // of the ID payloads
        struct bytes message;          // EAP packet that came
    } login;
};

enum ike_level { IKE_AUDIT = 0, IKE_ERROR, IKE_INFO, IKE_DETAIL, IKE_DEBUG };
struct ike_report {
    uint8_t level;
    enum fault fault; // OK for good news; name, sentence, remedy and source come from the catalogue
    uint32_t command; // the command this happened for, or 0
    uint32_t ike_id;  // 0: no SA yet
    const char *conn, *child; // NULL: none
    struct endpoint remote;   // family 0: none
    const char *text;         // what happened, a sentence; may have several lines (explanations)
};

enum ike_event_kind {
    IKE_EVENT_IKE_UP = 1,
    IKE_EVENT_IKE_DOWN,
    IKE_EVENT_IKE_REKEYED,
    IKE_EVENT_IKE_UPDATED,
    IKE_EVENT_CHILD_UP,
    IKE_EVENT_CHILD_DOWN,
    IKE_EVENT_CHILD_REKEYED,
    IKE_EVENT_ALERT
};
struct ike_event {
    uint8_t kind;
    uint32_t ike_id, child_id; // of what is new or went; for *_DOWN ike_sa_info() still answers
                               // until the next step
    uint32_t old_ike_id, old_child_id;
    struct path path, former; // IKE_UPDATED
    const char *alert; // strongSwan's word for it ("proposal-mismatch-ike")
};

struct ike_out {
    uint8_t kind;
    union {
        struct {
            struct path path; // encap: put the non-ESP marker before it
            struct bytes bytes;
            uint8_t dscp;
            bool uncut;     // nobody may fragment it
            bool keepalive; // goes as it is, without the marker (RFC 3948 2.3)
        } send;
        struct sa_spec sa_add;
        struct {
            uint32_t spi;
            uint8_t direction;
            struct path path, former;
            uint32_t mark; // as in sa_spec
        } sa_move;
        struct {
            uint32_t spi;
            uint8_t direction;
            struct addr remote;
            uint32_t mark;
        } sa_del;
        struct {
            uint32_t spi;
            uint8_t direction;
            struct addr remote;
            uint16_t path_mtu;
        } sa_mtu;
        struct {
            uint32_t spi;
            struct addr remote;
            uint64_t delta;
        } sa_skip;
        struct {
            struct policy_spec spec;
            const struct child_conf *child;
            struct path path; // of the SA, addresses may be 0 for a trap
        } policy;             // POLICY_ADD; POLICY_DEL: spec.number only
        struct {
            struct addr addr;
            bool came; // NAME_SERVER
        } address;     // ADDRESS_*, NAME_SERVER
        struct ike_lease lease;
        struct ike_operation operation;
        struct ike_report report;
        struct ike_event event;
        struct {
            uint32_t command;
            enum fault fault;
            const char *text; // why, when fault
            uint32_t matches, terminated;
        } done;
    };
};

// Where the path MTU is known from.
enum ike_mtu_source {
    IKE_MTU_UNKNOWN = 0,
    IKE_MTU_DEVICE,  // of the way out of this host
    IKE_MTU_ICMP,    // a router said so
    IKE_MTU_PROBE,   // the peer answered a message of this size
    IKE_MTU_ASSUMED, // it did not answer a larger one
};

// --- the surface
struct ike_settings {          // ike_settings_default() gives the field's usual values
    uint8_t report_level; // enum ike_level; what matters less is reported for commands only. 0: all is reported
    nsec retransmit_timeout;   // 4 s, then times base each try
    double retransmit_base;    // 1.8
    unsigned retransmit_tries; // 5
    nsec half_open_timeout;    // 30 s
    unsigned half_open_max;    // global limit
    unsigned half_open_per_source_max;
    unsigned cookie_threshold; // 30 half-open SAs: answer with a cookie first (RFC 7296 2.6)
    nsec keepalive;            // 20 s (RFC 3948 4)
    nsec delete_delay;         // 5 s: a replaced inbound SA is kept that long
    uint16_t port, port_nat;   // 500, 4500
    size_t sas_max, children_per_sa_max;
    // RFC 9611: processors that this host has; children for single ones with the same selectors.
    unsigned resources, resource_sas_max;
    struct bytes qcd_secret;    // RFC 6290: for tokens that outlive the core; empty: none are made
    struct bytes ticket_secret; // RFC 5723: for tickets that outlive the core; empty: a random one
};
struct ike_settings ike_settings_default(void);

struct ike *ike_new(struct rng *rng, const struct ike_settings *settings);
void ike_free(struct ike *ike);
void ike_step(struct ike *ike, struct ike_in *in);
bool ike_next(struct ike *ike, struct ike_out *out);
nsec ike_deadline(const struct ike *ike); // NSEC_NEVER when nothing is due

// --- looking at it (for lists, events, tests)
struct ike_child_info {
    uint32_t id, spi_in, spi_out, policy, if_id_in, if_id_out;
    const char *name;
    const char *state; // "INSTALLED", "REKEYING", "REKEYED", "DELETING", "CREATED"
    uint8_t mode, protocol, mode_asked;
    const char *mode_why; // why it is not the mode asked for; NULL: it is
    bool encap, esn;
    uint16_t cpi_in, cpi_out; // RFC 3173; 0: packets are not compressed
    bool ppk;          // RFC 9867: a post-quantum pre-shared key of its own went into its keys
    bool per_resource; // RFC 9611: it may have others like it beside it
    uint16_t resource; // for which it is, from 1; 0: for any
    struct path path;    // of its packets
    uint16_t path_mtu, device_mtu; // 0: not known
    uint8_t mtu_source;            // enum ike_mtu_source
    nsec mtu_learned;
    bool mtu_probed; // probes are sent to this peer
    struct suite suite; // with ke: what PFS used
    nsec installed, rekey_at, life_ends;
    struct sa_usage in, out;                // as last reported
    const struct selectors *local, *remote; // until the next call or step
    const struct child_conf *conf;
};
struct ike_sa_info {
    uint32_t id;
    const struct conn *conn;
    const char *state; // "CONNECTING", "ESTABLISHED", "REKEYING", "REKEYED", "DELETING"
    bool initiator;
    uint64_t spi_i, spi_r;
    struct path path;
    const struct identity *local_id, *remote_id;
    bool nat_local, nat_remote, nat_any;
    bool cluster_peer; // RFC 6311: another member of the peer's cluster may take over
    bool ppk; // a post-quantum pre-shared key is in its keys
    bool ppk_early;          // RFC 9867: before IKE_AUTH, so that identities are protected by it
    const char *ppk_name;    // NULL: none, or it came with a session that was resumed
    struct suite suite;
    nsec established, rekey_at, reauth_at;
    uint8_t vip_count, remote_vip_count, dns_count;
    const struct addr *vips, *remote_vips; // virtual addresses: ours, and what we gave the peer
    const struct addr *dns;                // name servers that the peer told us of
    const char *domains; // names that they know (RFC 8598), a blank between; NULL: none
    const char *peer_scheme;               // how the peer was authenticated
    uint32_t children;
    unsigned attempts;       // to connect that failed
    enum fault last_failure; // why the last one did
    nsec next_attempt;       // 0: none is waited for
};
uint32_t ike_sa_after(const struct ike *ike,
                      uint32_t id); // smallest unique number above id; 0: none
bool ike_sa_info(const struct ike *ike, uint32_t id, struct ike_sa_info *out);
uint32_t ike_child_after(const struct ike *ike, uint32_t ike_id, uint32_t child_id);
bool ike_child_info(const struct ike *ike, uint32_t ike_id, uint32_t child_id,
                    struct ike_child_info *out);
// The nth child that waits for being made; NULL: there are no more.
const char *ike_waiting_child(const struct ike *ike, uint32_t ike_id, unsigned nth);
struct ike_pool_info {
    const char *name;
    struct addr base;
    uint32_t size; // UINT32_MAX: so many or more
    uint32_t online, offline;
};
struct ike_lease_info {
    struct addr addr;
    const struct identity *id;
    bool online;
};
// The pool behind the one of that name, the lease behind that of that address; NULL: the first.
bool ike_pool_after(const struct ike *ike, const char *name, struct ike_pool_info *out);
bool ike_lease_after(const struct ike *ike, const char *pool, const struct addr *addr,
                     struct ike_lease_info *out);
struct ike_policy_info {
    uint32_t number;
    const struct conn *conn;
    const struct child_conf *child;
    const struct selectors *local, *remote; // in force, until the next call or step
};
// The nth of what the configuration of that connection asks for by itself: traps, pass, drop.
bool ike_policy_info(const struct ike *ike, const char *conn, unsigned nth,
                     struct ike_policy_info *out);

// What is counted for the host and for each connection. Messages of an exchange have four in a row.
enum ike_counted_message {
    COUNT_IN_REQUEST,
    COUNT_IN_RESPONSE,
    COUNT_OUT_REQUEST,
    COUNT_OUT_RESPONSE
};
enum { IKE_COUNTED_EXCHANGES = 4 };
enum ike_counter {
    COUNT_IKE_REKEY_INIT,
    COUNT_IKE_REKEY_RESP,
    COUNT_CHILD_REKEY,
    COUNT_INVALID,
    COUNT_INVALID_SPI,
    COUNT_IKE_SA_INIT, // + enum ike_counted_message
    COUNT_IKE_AUTH = COUNT_IKE_SA_INIT + 4,
    COUNT_CREATE_CHILD_SA = COUNT_IKE_AUTH + 4,
    COUNT_INFORMATIONAL = COUNT_CREATE_CHILD_SA + 4,
    IKE_COUNTERS = COUNT_INFORMATIONAL + 4
};
extern const char *const ike_counter_names[IKE_COUNTERS];
const uint64_t *ike_counters(const struct ike *ike,
                             const char *conn); // NULL: of the host; none so named: NULL
void ike_counters_reset(struct ike *ike, const char *conn);          // NULL: all
const char *ike_conn_after(const struct ike *ike, const char *name); // names of what is loaded

struct ike_stats {
    size_t sas, half_open, children;
    uint64_t retransmits_sent, retransmits_received;
    uint64_t counters[IKE_COUNTERS];
    uint64_t faults[FAULT_COUNT];
};
const struct ike_stats *ike_stats(const struct ike *ike);

// Test and trace hook: keys of established SAs for packet decoders; off (NULL) unless the operator
// asks for a key log.
struct ike_keylog {
    void (*line)(struct ike_keylog *log, const char *text);
};
void ike_set_keylog(struct ike *ike, struct ike_keylog *log);
