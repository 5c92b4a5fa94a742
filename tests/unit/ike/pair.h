// SPDX-License-Identifier: Apache-2.0
// Two cores in one process: a link with delay and loss, virtual time, a data plane that only
// remembers, and operations that are answered at once. Sentences of a test read like
//
//     struct pair *p = pair_up();
//     command(&p->a, IKE_TERMINATE, "office", NULL);
//     run_for(p, nsec_seconds(1));
//     assert_int_equal(children(&p->a), 0);
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "ike/ike.h"
#include "wire/payload.h"

enum {
    HOST_SAS_MAX = 512,
    HOST_POLICIES_MAX = 1200,
    HOST_LINES_MAX = 2048,
    FLIGHT_MAX = 512,
    ANSWERS_MAX = 64
};

struct plane_sa {
    struct sa_spec spec;
    uint8_t encr_key[64], integ_key[64];
    uint64_t skipped; // sequence numbers
};

struct line { // a report
    enum fault fault;
    uint8_t level;
    char text[1024];
};

struct host {
    const char *name;
    struct pair *pair;
    struct ike *core;
    struct rng_seeded rng;
    struct addr addr;
    const char *psk; // of PROVE with a MAC
    const char *ppk_id, *ppk; // a post-quantum pre-shared key; NULL: none
    const char *ppk2_id, *ppk2; // another one
    uint8_t ppk_octets[640], ppk_key[64]; // of the last operation that mixed one with a proof
    size_t ppk_octets_size, ppk_key_size;
    bool refuse_sign, refuse_judge;
    // A made-up method of EAP: the server asks so many times (0: twice) and believes every answer.
    unsigned eap_requests;
    const char *eap_key; // MSK; NULL: the method makes none
    bool eap_unknown, eap_refuses, eap_one_sided; // no method; wrong password; only the client
    bool eap_garbled;                             // its messages say another length than they have
    unsigned eap_begun, eap_heard;
    const char *authority; // of JUDGE: only connections for it fit; NULL: no matter
    unsigned judged, raw_keys_judged;
    unsigned proved;    // questions for proofs
    bool proves_singly; // our MAC does not come with the check of the peer's
    bool hold_operations; // operations wait until released
    struct plane_sa sas[HOST_SAS_MAX];
    size_t sa_count;
    struct policy_spec policies[HOST_POLICIES_MAX];
    size_t policy_count;
    struct line *lines;
    size_t line_count;
    unsigned events[16]; // by kind
    unsigned leases_told;
    unsigned alerts;
    uint32_t done_command, first_done_command;
    enum fault done_fault, first_done_fault;
    char done_text[512];
    unsigned done_count;
    uint32_t last_command;
    struct addr vips[4];
    size_t vip_count;
    uint64_t sent, sent_bytes, received_bytes, keepalives;
    struct ike_operation waiting[ANSWERS_MAX];
    size_t waiting_count;
    struct path resolved; // what RESOLVE answers; family 0: the other host
    uint32_t resolve_tries;
    struct path routes[8]; // what RESOLVE finds for each remote address; nothing else, if there are any
    size_t route_count;
    bool no_route;
};

struct flight { // a datagram under way
    nsec at;
    struct path path; // as the receiver sees it
    struct host *to;
    uint8_t *bytes;
    size_t size;
};

struct nat { // before host a
    bool on;
    struct addr outside;
    uint16_t port_500, port_4500;
};

struct pair {
    struct host a, b;
    nsec now, delay;
    struct flight flights[FLIGHT_MAX];
    size_t flight_count;
    struct nat nat;
    // Says true for a datagram that gets lost. `size` and bytes may be looked at.
    bool (*lose)(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size);
    unsigned lose_count;
    int lose_exchange;
    bool lose_all_of_a, lose_all_of_b;
    uint16_t stream_port; // what b sees of a's TCP connections; 0: as a sends
    bool stops_udp; // only what goes over TCP arrives
    struct addr dead[4]; // nothing comes from them or gets to them
    size_t dead_count;
    size_t narrow; // the link takes no larger packets; what may be cut passes all the same. 0: it does
    unsigned too_large; // so many were lost because of that
    struct ike_settings settings;
};

// --- making
struct pair *pair_new(void);
void pair_free(struct pair *p);
// Configuration of one side as text; what is NULL takes the usual value.
struct conf_text {
    const char *name; // "office"
    const char *local_id, *remote_id;
    const char *proposals, *esp;
    const char *auth; // "psk" or "pubkey"
    const char *child[4], *local_ts[4], *remote_ts[4];
    uint8_t start_action, dpd_action, close_action;
    nsec rekey_time, child_rekey_time, child_life_time, dpd_delay, reauth_time, over_time;
    uint64_t rekey_bytes;
    uint32_t keyingtries;
    uint8_t unique, childless, mode, tcp;
    bool mobike, break_before_make, encap, no_fragmentation, responder_only, transport, iptfs, takes_whole, reports, strict_mode;
    bool any_remote_id, no_child;
    nsec inactivity;
    uint8_t per_cpu;
    bool ipcomp;
    const char *vip, *pools[2];
    const char *ppk_id;
    const char *ppk_ids[4];
    uint8_t ppk_int, ppk_rekey;
    const char *remote_range; // instead of the other host's address
    const char *redirect_to;
    bool redirect_early, stays; // stays: follows no redirection
    bool ppk_required, resumption, no_probes, cluster_peer;
    uint32_t mark_sealed;
    size_t cert_size; // a made-up certificate of that size is sent
};
struct conn *conn_make(const struct host *local, const struct host *remote,
                       const struct conf_text *text);
void load(struct host *host, struct conn *conn); // gives the reference away
void load_both(struct pair *p, const struct conf_text *a, const struct conf_text *b);
// Loaded on both sides with the usual values and the first child up.
struct pair *pair_up(void);
struct pair *pair_up_with(const struct conf_text *a, const struct conf_text *b);

// --- doing
void run_for(struct pair *p, nsec span);
uint32_t command(struct host *host, enum ike_command_kind kind, const char *conn,
                 const char *child);
void step_in(struct host *host, struct ike_in *in);
void datagram(struct pair *p, struct host *to, const struct path *path, const uint8_t *bytes,
              size_t size);
void usage(struct host *host, uint32_t spi, enum sa_direction direction, uint64_t packets,
           uint64_t bytes);
void release_operations(struct host *host);

// --- looking
size_t sas_up(const struct host *host); // established IKE SAs
size_t sas_all(const struct host *host);
size_t children(const struct host *host); // installed ones
size_t halves(const struct host *host, enum sa_direction direction);
const struct plane_sa *plane_find(const struct host *host, uint32_t spi,
                                  enum sa_direction direction);
void assert_ends_agree(struct pair *p); // each outbound half has its inbound twin, keys and all
const struct line *said(const struct host *host,
                        enum fault fault); // the last report with that fault
const struct line *said_text(const struct host *host, const char *part);
void assert_up(struct pair *p, size_t child_count);
bool child_first(const struct host *host, struct ike_child_info *info);
bool sa_first(const struct host *host, struct ike_sa_info *info);
void print_lines(const struct host *host);
// An answer to a first message of a's that anybody could make: header, then what is written behind it, which a gets at once.
struct wr forged_begin(void *space, size_t size, const uint8_t *request, uint8_t first);
void forged_fly(struct pair *p, struct wr *out);
// For `lose`: each third datagram.
bool lose_a_third(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size);
