// SPDX-License-Identifier: Apache-2.0
// The configuration of connections as the core sees it: immutable once loaded, counted by reference. Made by conf/options.c
// out of swanctl.conf or VICI sections; times are nanoseconds, 0 means off unless said otherwise.
#pragma once
#include "base/mem.h"
#include "base/nsec.h"
#include "model/identity.h"
#include "model/proposal.h"
#include "model/sa.h"

enum { CONN_HOSTS_MAX = 16, CONN_ROUNDS_MAX = 4, CONN_CERTS_MAX = 8, CONN_CHILDREN_MAX = 1024, CONN_VIPS_MAX = 8, CONN_POOLS_MAX = 8, CONN_POLICIES_MAX = 8, CONN_PPKS_MAX = 8, CONN_GUARDED_MAX = 64 };

enum host_kind { HOST_ANY = 1, HOST_RANGE, HOST_NAME };
struct host_pattern {
    uint8_t kind;        // enum host_kind
    struct range range;  // HOST_RANGE; one address when low equals high
    const char *name;    // HOST_NAME: resolved when needed
};

enum auth_class { AUTH_CLASS_ANY = 0, AUTH_CLASS_PUBKEY, AUTH_CLASS_PSK, AUTH_CLASS_EAP, AUTH_CLASS_XAUTH, AUTH_CLASS_NULL };
enum cert_policy { CERT_IF_ASKED = 0, CERT_ALWAYS, CERT_NEVER };
enum revocation_policy { REVOCATION_RELAXED = 0, REVOCATION_IFURI, REVOCATION_STRICT };

// A certificate of ours: DER, and the SHA-1 of its subjectPublicKey bit string, by which the keys role knows the private key.
struct conn_cert {
    struct bytes der;
    uint8_t key_id[20];
};

struct auth_conf {   // one local or remote round
    const char *name;            // "local", "local-1" …
    uint8_t auth;                // enum auth_class
    struct identity id;          // local: type 0 = take the address in use; remote: a pattern
    struct bytes signature_schemes;  // text of the constraints behind auth ("rsa/pss-sha512" …), empty for none
    uint8_t cert_count, ca_count, pubkey_count;
    struct conn_cert certs[CONN_CERTS_MAX];   // local: to send; remote: the only ones accepted
    struct conn_cert cas[CONN_CERTS_MAX];     // remote: the only anchors accepted
    uint8_t above_count;
    struct bytes above[CONN_CERTS_MAX];       // local: DER of the CAs between `certs` and a root, sent behind them
    struct conn_cert pubkeys[CONN_CERTS_MAX]; // raw keys, DER of subjectPublicKeyInfo; local: the own ones, remote: the only ones accepted
    struct identity ca_id;       // remote: of a CA in the peer's chain; type 0: no matter
    uint8_t policy_count;
    struct bytes policies[CONN_POLICIES_MAX]; // remote: OIDs as text, all of which the peer's chain must give it
    uint8_t revocation;          // enum revocation_policy
};

// The device of if_id N is called cygnetN, and a name has 15 characters. Beyond that are words: a number of its own for each child,
// and for each direction.
enum { IF_ID_MAX = 999999999 };
#define IF_ID_UNIQUE     UINT32_MAX
#define IF_ID_UNIQUE_DIR (UINT32_MAX - 1)

// A firewall mark and which of its bits count; mask 0: none. What the daemon itself sends carries the first of these, with the free bits as a
// child wants them, or the second where no policy protects it.
struct mark { uint32_t value, mask; };
#define MARK_OF_DAEMON UINT32_C(0x43590000)
#define MARK_OF_BYPASS UINT32_C(0xc3590000)
#define MARK_FREE_BITS UINT32_C(0x0000ffff)

enum child_start { START_NONE = 0, START_TRAP = 1, START_START = 2 };  // bits
enum child_after { AFTER_CLEAR = 0, AFTER_TRAP, AFTER_RESTART };       // dpd_action, close_action

enum per_cpu { PER_CPU_NO = 0, PER_CPU_YES, PER_CPU_ENCAP };           // RFC 9611

// Networks that packets reach, and come from, by devices of tunnels only; `spared` ones are left out of them.
struct guarded {
    struct range range;
    bool spared;
};

struct child_conf {
    const char *name;
    const struct conn *conn;
    struct proposals esp, ah;
    struct selectors local_ts, remote_ts;
    uint32_t local_dynamic, remote_dynamic;  // bit i: selector i is "dynamic": its range is the address in use (host or virtual)
    uint8_t mode;                            // enum sa_mode
    uint8_t start_action, dpd_action, close_action;
    uint8_t action;                          // enum policy_action: mode = pass, drop
    nsec rekey_time, life_time, rand_time, inactivity;
    uint64_t rekey_bytes, life_bytes, rand_bytes, rekey_packets, life_packets, rand_packets;
    uint32_t replay_window, priority, reqid;
    const char *updown;                      // NULL: none
    const char *label;                       // RFC 9478, compared as it is; NULL: none
    bool icmp;                               // RFC 4301 6.2
    bool hostaccess, copy_df, copy_ecn, policies, sha256_96, ipcomp;
    bool strict_mode;                        // refused rather than carried in another mode than the one asked for
    uint16_t tfc_padding;                    // bytes, or TFC_MTU
    uint8_t per_cpu;                         // enum per_cpu
    uint16_t iptfs_packet_size;              // RFC 9347; 0: what the largest of the TUN device's packets needs
    uint32_t iptfs_rate;                     // packets a second; 0: when there is something to send
    uint32_t iptfs_init_delay;               // microseconds
    uint8_t iptfs_reorder_window;
    uint16_t iptfs_drop_time;                // milliseconds
    bool iptfs_accept_fragments, iptfs_dont_frag;
    uint8_t iptfs_dscp;                      // of outer packets, which have none of those that they hold
    bool iptfs_congestion;                   // iptfs_rate is the most that is sent, and follows the peer's reports
    uint16_t tcp_mss;                        // bytes, MSS_AUTO, or 0: TCP is left alone
    uint8_t fragments;                       // enum sa_fragments
    uint8_t copy_dscp;                       // bit 0: out, bit 1: in
    uint32_t if_id_in, if_id_out;            // devices; 0: the ordinary one; or one of the two below
    bool if_id_shared;                       // unique ones come from the connection, for all its children
    struct mark mark_in;                     // shown; it has chosen the device of if_id_in
    struct mark mark_out;                    // packets that carry it are led into the device of if_id_out
    struct mark mark_opened;                 // what packets out of the device of if_id_in carry
    uint32_t guarded_count;                  // of a child with a device
    struct guarded *guarded;
    uint32_t mark_sealed;                    // MARK_FREE_BITS of what leaves sealed; 0: none
};

enum conn_tcp { TCP_NEVER = 0, TCP_FALLBACK, TCP_ALWAYS };   // RFC 9329, of initiators
enum fragmentation { FRAGMENTATION_NO = 0, FRAGMENTATION_YES, FRAGMENTATION_ACCEPT, FRAGMENTATION_FORCE };
enum childless { CHILDLESS_ALLOW = 0, CHILDLESS_PREFER, CHILDLESS_FORCE, CHILDLESS_NEVER };
enum persist { PERSIST_NO = 0, PERSIST_YES, PERSIST_ALWAYS };       // what is to be up is tried until it is; ALWAYS: whatever fails
enum ppk_int { PPK_INT_PREFER = 0, PPK_INT_ONLY, PPK_INT_NEVER };       // RFC 9867 instead of RFC 8784
enum ppk_rekey { PPK_REKEY_NO = 0, PPK_REKEY_YES, PPK_REKEY_REQUIRED };  // RFC 9867: in CREATE_CHILD_SA as well
enum unique { UNIQUE_NO = 0, UNIQUE_NEVER, UNIQUE_KEEP, UNIQUE_REPLACE };

struct conn {
    unsigned references;         // conn_hold, conn_release
    struct arena arena;          // all that is below lives here
    const char *name;
    uint8_t version;             // 0: any, 1, 2
    uint8_t local_count, remote_count;
    struct host_pattern local_hosts[CONN_HOSTS_MAX], remote_hosts[CONN_HOSTS_MAX];
    uint16_t local_port, remote_port;
    struct proposals ike;
    bool encap, mobike, send_certreq, aggressive, pull, ppk_required, resumption;
    bool follow_redirects;       // RFC 5685: as initiator
    bool redirect_early;         // as responder: in the first answer, before anybody is known
    const char *redirect_to;     // as responder: address or name of another gateway; NULL: peers stay here
    bool path_mtu_probes;
    bool cluster_peer;           // RFC 6311
    struct identity ppk_id;      // RFC 8784: of the key to use; as responder a pattern, type 0 for any
    uint8_t ppk_int, ppk_rekey, ppk_count;
    struct identity ppk_ids[CONN_PPKS_MAX];  // further keys, in the order in which they are preferred
    uint8_t send_cert, fragmentation, childless, unique, dscp, tcp;
    bool break_before_make;
    uint32_t keyingtries;        // 0: for ever
    uint8_t persist;             // enum persist
    nsec dpd_delay, reauth_time, rekey_time, over_time, rand_time;
    uint8_t vip_count, pool_count;
    struct addr vips[CONN_VIPS_MAX];       // requested virtual addresses; all zero: any of that family
    const char *pools[CONN_POOLS_MAX];
    uint8_t local_rounds, remote_rounds;
    struct auth_conf local[CONN_ROUNDS_MAX], remote[CONN_ROUNDS_MAX];
    uint32_t child_count;
    struct child_conf *children;
};

struct conn *conn_hold(struct conn *conn);
void conn_release(struct conn *conn);   // frees at the last one
const struct child_conf *conn_child(const struct conn *conn, const char *name);  // NULL when absent
const char *mode_text(uint8_t mode);                        // "TUNNEL"; enum sa_mode
const char *child_mode_text(const struct child_conf *child);  // the same, "PASS" or "DROP"
