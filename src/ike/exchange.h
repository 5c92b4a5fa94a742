// SPDX-License-Identifier: Apache-2.0
// Messages, exchanges and the recipes that they follow.
#pragma once
#include "base/list.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "ike/ike.h"
#include "wire/payload.h"

enum {
    NONCE_SIZE = 32, // RFC 7296 2.10: at least half the key of any PRF that we know
    CERTS_MAX = 16,  // CERT payloads of one message that are looked at
    GONE_MAX = 4,    // the latest of them: the peer deletes one child in a message, mostly
};

// --- who waits for the answer to an operation

enum waiter_kind { WAITER_EXCHANGE = 1, WAITER_POLICY, WAITER_SA };
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
    bool sealed;        // it was, and the SA's keys opened it
    uint8_t first;      // of a sealed message: type of the first payload inside …
    struct bytes plain; // … and all of them in clear
    uint64_t hash;      // of the datagram, of a fragmented message's first one
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
    bool takes_faults; // `after` gets those answers, too, that are a fault
};
// clang-format off
#define STEP(function)            {#function, function, NULL, false}
#define WAIT(function, answered)  {#function, function, answered, false}
#define HEAR(function, answered)  {#function, function, answered, true} // as WAIT, faults included
#define END                       {NULL, NULL, NULL, false}
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

// Did the peer close the child that we rekey, meanwhile?
enum old_closed {
    OLD_IS_THERE,
    OLD_CLOSED,   // if there is no new one, what close_action says follows
    OLD_UNWANTED, // and we were to close it, too: the new one is not wanted, either
    OLD_REPLACED, // the peer's own rekeying, which crossed ours, stands
};

// RFC 9867: post-quantum keys by name, with proofs that they are there.
struct ppk_names {
    uint8_t count;
    struct bytes at[IKE_PPK_NAMES_MAX], proofs[IKE_PPK_NAMES_MAX];
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
    struct bytes plain;    // … before it was sealed, where it may be sent under another number
    struct packets probe;  // path MTU: the request with a filling
    uint16_t probe_size;   // of the packet with it; 0: it is no probe
    bool probe_lost;       // it was sent again
    unsigned tries, retries;
    nsec first_sent, last_sent;
    nsec due;         // when the next try that counts is
    bool is_hastened; // once more before that …
    bool is_again;    // … has been
    bool is_sent, is_over; // over: there is nothing to ask any more
    bool peer_asks_too;    // again and again: it is there but does not have our answer
    bool is_rumoured;      // an unprotected error came: the path is good, the peer may be not
    bool has_via, sprayed; // sprayed: it went along several paths
    struct path via;       // where the request goes, when not along the SA's path
    uint32_t path_serial;  // of the SA's path when it was asked
    struct bytes cookie;   // RFC 4555 3.7: what the answer must show, in the arena
    bool updates_path;     // answering: UPDATE_SA_ADDRESSES …
    bool lists_addresses;  // … and the peer's addresses,
    enum fault path_fault; // … or why not

    uint8_t ni[NONCE_SIZE_MAX], nr[NONCE_SIZE_MAX];
    uint16_t ni_size, nr_size;
    uint16_t ke;            // method of the KE payload, ours or the peer's
    struct bytes ke_public; // ours, in the arena
    struct bytes ke_peer;   // the peer's, in the arena
    struct secret ke_private, ke_shared;
    struct secret next_keys;     // IKE_INTERMEDIATE: of the SA behind it
    uint8_t round;               // of the additional key exchanges: 1 to 7; 0: the first one
    struct secret ke_more;       // secrets of the rounds so far, one behind the other
    struct bytes link;           // what ties its rounds together, in the arena
    const struct recipe *resume; // answering: parked until the peer's IKE_FOLLOWUP_KE comes
    struct proposals *offered;   // by whoever asked
    struct suite suite;
    struct child *child;              // being made; owned until it is installed
    uint32_t gone[GONE_MAX];          // SPIs that the peer deleted and we did not know, meanwhile
    uint8_t gone_count;
    struct selectors *local, *remote; // of that child, in the arena
    struct ts_labels *labels_i, *labels_r; // that the peer has sent, in the arena
    uint8_t mode;                     // of that child, enum sa_mode
    const char *mode_why;             // why it is not the mode asked for; NULL: it is
    uint16_t cpi_in, cpi_out;         // of that child
    bool per_resource;                // of that child, as in struct child
    uint16_t resource;
    bool takes_no_padding;            // the peer does not take traffic flow padding off
    bool peer_takes_whole;            // RFC 9347: it takes no fragments
    bool peer_wants_reports;          // RFC 9347: on congestion
    struct addr nat_local, nat_remote; // answering: what the peer calls our address and its own
    uint32_t old_id;                  // of the child that is rekeyed or deleted
    uint8_t old_closed;               // enum old_closed
    uint8_t auth_method;
    struct bytes auth_data;        // AUTH payload, ours or the peer's, in the arena
    struct bytes own_id, own_mac;  // our ID payload and what is proved by it, where the check of
                                   // the peer's proof brought it along; in the arena
    struct bytes certs[CERTS_MAX]; // of the peer, in the message
    uint8_t cert_count;
    struct bytes ppk_id;       // RFC 8784: what the peer calls its key, in the arena
    struct ppk_names *ppks;    // RFC 9867: keys that are named in it, in the arena
    struct bytes ppk_taken;    // … and the one that both have
    struct secret ppk_d;       // CREATE_CHILD_SA: SK_d with that one in it
    enum fault first_fault;    // of the first connection that did not fit the peer
    const char *first_why;     // in the arena
    bool another_follows;      // the peer says that this is not the last of its rounds
    bool wants_eap;            // the peer's round comes without AUTH
    bool asks_eap;             // our request leaves AUTH out
    uint8_t eap_code;          // of the EAP message that came
    bool eap_failed;           // answering: the login failed, which is told by EAP itself
    struct bytes eap_out;      // our EAP message, in the arena or the step
    struct bytes raw_key;      // subjectPublicKeyInfo of the peer (RFC 7670), in the message
    struct identity wanted_id; // who the peer wants us to be; type 0: no matter
    struct sa *fresh;          // IKE SA that a rekey makes; owned until it is entered
    uint16_t group_wanted;     // FAULT_KE_GROUP_OTHER: what INVALID_KE_PAYLOAD says
    struct bytes notify_spi;   // CHILD_SA_NOT_FOUND: which
    uint8_t notify_critical;   // UNSUPPORTED_CRITICAL_PAYLOAD: which
};
