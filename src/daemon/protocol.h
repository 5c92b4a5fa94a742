// SPDX-License-Identifier: Apache-2.0
// The messages between our processes: each begins with a 16-bit type, a 16-bit zero and a 64-bit number (of a request, 0 for none),
// then its fields in the order of the struct, written with wr and read with rd; texts and blobs carry a 32-bit length.
#pragma once
#include "base/mem.h"
#include "base/rd.h"
#include "base/wr.h"
#include "ike/ike.h"
#include "model/sa.h"

enum role { ROLE_MAIN, ROLE_NET, ROLE_IKE, ROLE_KEYS, ROLE_TRUST, ROLE_ESP, ROLE_CONTROL, ROLE_COUNT };
enum message_type {
    MESSAGE_NONE = 0,
    MESSAGE_CONN_LOAD, MESSAGE_CONN_UNLOAD, MESSAGE_COMMAND, MESSAGE_LIST_SAS, MESSAGE_STATS, MESSAGE_READY,
    MESSAGE_KEY_LOAD, MESSAGE_SHARED_LOAD, MESSAGE_SECRET_UNLOAD, MESSAGE_SECRETS_CLEAR, MESSAGE_SECRETS_LIST,
    MESSAGE_CERT_LOAD, MESSAGE_TRUST_CLEAR,
    MESSAGE_RESULT, MESSAGE_ITEM, MESSAGE_EVENT, MESSAGE_LOG, MESSAGE_DONE,
    MESSAGE_PROVE, MESSAGE_PROVED, MESSAGE_JUDGE, MESSAGE_JUDGED, MESSAGE_RESOLVE, MESSAGE_RESOLVED, MESSAGE_ANCHORS,
    MESSAGE_SA_ADD, MESSAGE_SA_MOVE, MESSAGE_SA_DEL, MESSAGE_POLICY_ADD, MESSAGE_POLICY_DEL, MESSAGE_USAGE_ASK, MESSAGE_USAGE, MESSAGE_PLANE,
    MESSAGE_ADDRESS_ADD, MESSAGE_ADDRESS_DEL, MESSAGE_ADDRESS, MESSAGE_SYNC, MESSAGE_DATAGRAM,
    MESSAGE_POOL_LOAD, MESSAGE_POOL_UNLOAD, MESSAGE_LIST_POOLS, MESSAGE_LIST_POLICIES, MESSAGE_COUNTERS, MESSAGE_LEASE,
    MESSAGE_LISTENERS, MESSAGE_PPK, MESSAGE_PPK_ANSWER, MESSAGE_LOGIN, MESSAGE_LOGIN_ANSWER, MESSAGE_NAME_SERVER, MESSAGE_STREAM, MESSAGE_DEVICE, MESSAGE_DEVICE_DEL, MESSAGE_GUARD,
    MESSAGE_SA_MTU, MESSAGE_SA_SKIP, MESSAGE_SA_MARK, MESSAGE_SA_UNMARK,
};
const char *role_name(enum role role);
// OK and the head when the table allows this message from that sender to that receiver.
struct message_head {
    uint16_t type;
    uint64_t number;
};
CHECKED enum fault message_accept(struct bytes message, enum role from, enum role to, struct message_head *head, struct rd *fields);
struct wr message_begin(void *space, size_t room, enum message_type type, uint64_t number);

// One struct a message; X_put writes its fields, X_get reads them (views borrow from the message, texts and arrays are in the arena).
struct load_message { struct bytes tree; };                       // a VICI message
struct name_message { const char *name; };
struct lease_message { const char *pool; struct addr addr; struct identity id; };
struct pool_unload_message { const char *name; bool in_use_too; };   // else it is refused while addresses are in use
struct command_message { struct ike_command command; };
struct key_message { struct bytes key, passphrase; const char *type; };
struct cert_message { struct bytes der; const char *type, *flag; };   // VICI's words: X509, X509_CRL; NONE, CA
struct result_message { enum fault fault; const char *text; struct bytes tree; };
struct listeners_message { uint32_t events; };                    // bits of enum vici_event_kind
struct item_message { const char *name; struct bytes tree; bool last; };
struct log_message { uint8_t level; enum fault fault; uint32_t command, ike_id; const char *conn, *child, *text; };  // text: complete line
struct done_message { uint32_t command; enum fault fault; const char *text; uint32_t matches, terminated; };
struct prove_message {
    uint8_t kind;
    struct auth_octets octets;
    uint8_t key_count;
    uint8_t key_ids[CONN_CERTS_MAX][20];
    struct bytes schemes;
    uint32_t hashes;
    struct identity local, remote;
    struct addr local_addr, remote_addr;
    struct bytes expected;
    struct auth_octets own;   // MAC_CHECK: for our own MAC, where that is wanted
};
struct proved_message { enum fault fault; const char *text; uint8_t method; struct bytes data; };
struct ppk_message {
    uint8_t kind, count;
    uint16_t prf;
    struct bytes names[IKE_PPK_NAMES_MAX], proofs[IKE_PPK_NAMES_MAX], octets, keys[3];
};
struct ppk_answer_message {
    enum fault fault;
    bool found;
    uint8_t chosen;
    uint16_t names;
    struct bytes proofs, mixed;
};
struct login_message {
    uint8_t kind;
    bool server;
    uint64_t session;
    struct bytes methods;   // as behind auth in the configuration
    struct identity local, remote;
    struct bytes message;
};
struct login_answer_message {
    enum fault fault;
    const char *text;
    uint8_t state;
    bool mutual;
    const char *scheme;
    struct bytes data, key;
};
struct judge_message {
    struct auth_octets octets;
    struct identity id;
    uint8_t method, revocation;
    struct bytes data, schemes;
    uint32_t hashes;
    uint8_t cert_count, only_count, ca_count, pubkey_count;
    struct bytes pubkeys[CONN_CERTS_MAX], raw_key;   // the only raw keys accepted; the one that was sent
    struct bytes certs[CONN_CERTS_MAX * 2], only[CONN_CERTS_MAX], cas[CONN_CERTS_MAX];   // sent; the only ones accepted; anchors
    struct identity ca_id;
    uint8_t policy_count;
    struct bytes policies[CONN_POLICIES_MAX];
};
struct judged_message { enum fault fault; const char *text; const char *scheme; struct bytes cert; };
struct resolved_message { enum fault fault; uint8_t count; struct addr addrs[16]; };
struct anchors_message { uint16_t count; uint8_t hashes[1024][20]; };
struct sa_message { struct sa_spec spec; };
struct sa_move_message { uint32_t spi; uint8_t direction; struct path path, former; };
struct sa_del_message { uint32_t spi; uint8_t direction; struct addr remote; };
struct sa_skip_message { uint32_t spi; struct addr remote; uint64_t delta; };
struct sa_mark_message { uint32_t spi; struct addr remote; uint32_t mark; };   // of an outbound SA: its sealed packets
struct sa_mtu_message { uint32_t spi; uint8_t direction; struct addr remote; uint16_t path_mtu; };
struct policy_message { struct policy_spec spec; struct path path; };
struct policy_del_message { uint32_t number; };
struct usage_message { uint16_t count; struct sa_usage at[512]; bool last; };
struct plane_message { struct ike_plane event; };
enum { DATAGRAM_MESSAGE_MAX = 16000 };
struct datagram_message { struct endpoint local, remote; uint8_t tos; bool stream; struct bytes bytes; };   // of port 4500 or of a stream, with its marker
struct address_message { struct addr addr; bool came; };
struct guard_message { const char *conn; bool last; uint8_t count; struct guarded at[CONN_GUARDED_MAX]; };
struct device_message { uint32_t if_id; struct mark leads, opened; }; // of a connection: what leads into it, what comes out with   // from net with the descriptor of its only queue

#define MESSAGE_CODEC(name)                                              \
    void name##_put(struct wr *out, const struct name##_message *message); \
    CHECKED enum fault name##_get(struct rd *in, struct arena *arena, struct name##_message *message);
MESSAGE_CODEC(load)
MESSAGE_CODEC(name)
MESSAGE_CODEC(pool_unload)
MESSAGE_CODEC(lease)
MESSAGE_CODEC(command)
MESSAGE_CODEC(key)
MESSAGE_CODEC(cert)
MESSAGE_CODEC(result)
MESSAGE_CODEC(item)
MESSAGE_CODEC(listeners)
MESSAGE_CODEC(log)
MESSAGE_CODEC(done)
MESSAGE_CODEC(prove)
MESSAGE_CODEC(proved)
MESSAGE_CODEC(ppk)
MESSAGE_CODEC(ppk_answer)
MESSAGE_CODEC(login)
MESSAGE_CODEC(login_answer)
MESSAGE_CODEC(judge)
MESSAGE_CODEC(judged)
MESSAGE_CODEC(resolved)
MESSAGE_CODEC(anchors)
MESSAGE_CODEC(sa)
MESSAGE_CODEC(sa_move)
MESSAGE_CODEC(sa_del)
MESSAGE_CODEC(sa_skip)
MESSAGE_CODEC(sa_mtu)
MESSAGE_CODEC(sa_mark)
MESSAGE_CODEC(policy)
MESSAGE_CODEC(policy_del)
MESSAGE_CODEC(usage)
MESSAGE_CODEC(plane)
MESSAGE_CODEC(datagram)
MESSAGE_CODEC(address)
MESSAGE_CODEC(device)
MESSAGE_CODEC(guard)
