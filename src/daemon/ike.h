// SPDX-License-Identifier: Apache-2.0
// The ike role from inside: the core, its links to the other roles, and what waits for their answers.
#pragma once
#include "conf/message.h"
#include "daemon/role.h"

enum { LISTS_MAX = 32, REPORT_MAX = 60000, IKE_DATAGRAM_MAX = 65535 };

struct event;
struct rtnl;

// A RESOLVE that waits for names, or for nothing.
enum { RESOLVED_MAX = 64 };   // addresses of a peer

struct host_source {   // a candidate, or a name that may have several
    struct addr addr;
    char *name;        // NULL: the address
};
struct resolving {
    uint64_t number;
    struct host_pattern local[CONN_HOSTS_MAX];
    size_t local_count;
    uint16_t local_port, remote_port;
    uint32_t try;
    struct host_source sources[CONN_HOSTS_MAX];
    size_t source_count, at;
    struct path usable[RESOLVED_MAX];   // candidates that can be reached from here
    size_t usable_count;
    enum fault fault;   // the first one
    char *text;
    struct resolving *next;
};

// An answer that was ready at once: the core gets it when all outputs of the present step are performed.
struct ready_answer {
    struct ike_answer answer;   // data, text owned
    struct ready_answer *next;
};

// What is true only when the data plane and the kernel have what was asked of them before: news for control, and messages that
// tell a peer that an SA is there.
struct withheld {
    uint64_t number;      // of the SYNC that it waits for
    bool to_peer;
    struct path path;     // to_peer
    uint8_t dscp;
    bool uncut;
    struct bytes message; // owned
    struct withheld *next;
};

// A message for the esp role that waits, with all that come behind it, until the net role has done what an SA needs beforehand.
struct held {
    uint64_t number;      // of the SYNC of the net role that it waits for; 0: only for those before it
    struct bytes message; // owned; wiped, for it may have keys
    struct held *next;
};

// What the ways out to peers of new SAs take; the core gets it when all outputs of the present step are performed.
struct mtu_news {
    uint32_t spi;
    struct addr remote;
    uint16_t mtu;
};

struct list_request {   // a list-sas that waits for fresh counters
    uint64_t number;
    struct arena arena;
    const struct tree *filter;
};

struct ike_role {
    const struct role_options *options;
    struct event_base *base;
    struct ike *core;
    struct ike_settings settings;
    struct link *control, *keys, *trust, *esp, *net;
    struct event *timer, *usage_timer, *deaf_timer, *hooks_timer;
    bool hooks_missed;  // has been told
    bool hears;   // peers
    uint32_t listeners;   // bits of enum vici_event_kind: what clients have subscribed to
    struct resolving *resolving;
    struct ready_answer *ready, **ready_last;
    bool stepping;
    struct list_request *lists[LISTS_MAX];
    struct withheld *withheld, **withheld_last;
    struct held *held, **held_last;
    uint64_t last_sync, esp_synced, net_synced;
    bool sync_wanted;   // at the end of this turn
    bool unsynced;      // policies or SAs were sent since the last SYNC
    bool policies_came; // in this step; or something else that messages to peers must wait for
    struct ike_out *sends;   // of this step: they go out when all else is performed
    size_t send_count, send_room;
    struct mtu_news *mtus;
    size_t mtu_count, mtu_room;
    struct rtnl *rtnl;  // asks for routes; made at its first use
    uint64_t started;   // seconds since 1970
    bool stopping;
    uint8_t *space;     // IPC_MESSAGE_MAX bytes to write a message into
};

// Runs one input through the core and performs all outputs, and those of the inputs they cause.
void ike_role_step(struct ike_role *role, struct ike_in *in);

// ike_mtu.c
uint16_t ike_mtu_ask(struct ike_role *role, uint32_t spi, const struct path *path, uint32_t mark);   // of an outbound SA
void ike_mtu_tell(struct ike_role *role);
void ike_mtu_watch(struct ike_role *role);   // ICMP
// ike_held.c: messages for the esp role, in order, and at the latest when the net role is ready for them
void ike_esp_send(struct ike_role *role, const struct wr *message);
void ike_esp_send_behind_net(struct ike_role *role, const struct wr *message);
void ike_esp_release(struct ike_role *role);   // the net role has answered
void ike_esp_drop(struct ike_role *role);
// ike_operations.c
bool ike_answer_next(struct ike_role *role);   // gives the core one ready answer; false when there is none
void ike_operation_start(struct ike_role *role, const struct ike_operation *operation);
void ike_operation_login(struct ike_role *role, uint64_t number, const struct login_answer_message *login);
void ike_operation_ppk(struct ike_role *role, uint64_t number, const struct ppk_answer_message *ppk);
void ike_operation_proved(struct ike_role *role, uint64_t number, const struct proved_message *proved);
void ike_operation_judged(struct ike_role *role, uint64_t number, const struct judged_message *judged);
void ike_operation_resolved(struct ike_role *role, uint64_t number, const struct resolved_message *resolved);

// ike_view.c, ike_view_lists.c: SAs and the rest as VICI sections
void ike_view_sa(struct ike_role *role, uint32_t id, const struct tree *filter, struct arena *arena, struct tree *parent);
void ike_view_list(struct ike_role *role, uint64_t number, const struct tree *filter);
void ike_view_pools(struct ike_role *role, uint64_t number, const struct tree *filter);
void ike_view_policies(struct ike_role *role, uint64_t number, const struct tree *request);
void ike_view_counters(struct ike_role *role, uint64_t number, const struct tree *request);
void ike_view_stats(struct ike_role *role, uint64_t number);
// The SA and those of its children that `only_child` (0: all) and the filter (NULL: all) let through.
struct tree *ike_view_section(struct ike_role *role, const struct ike_sa_info *sa, const struct tree *filter,
                              uint32_t only_child, struct arena *arena, struct tree *parent);
// ike_hooks.c: programs of updown, which `cygnet hooks` runs
bool ike_hooks_run(const struct ike_role *role);   // does anybody?
void ike_hooks_event(struct ike_role *role, const struct ike_event *event);
void ike_view_event(struct ike_role *role, const struct ike_event *event);
void ike_view_report(struct ike_role *role, const struct ike_report *report);
