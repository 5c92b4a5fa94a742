// SPDX-License-Identifier: Apache-2.0
// The VICI server: clients on a UNIX socket, their requests, and the events they have subscribed to. A client can never hold up
// the daemon: what it does not read is bounded, and beyond that it is disconnected.
#pragma once
#include "conf/message.h"
#include "daemon/role.h"

struct vici;
struct vici_client;

enum vici_event_kind {
    VICI_LOG, VICI_CONTROL_LOG, VICI_LIST_SA, VICI_LIST_POLICY, VICI_LIST_CONN, VICI_LIST_CERT, VICI_LIST_AUTHORITY, VICI_IKE_UPDOWN,
    VICI_IKE_REKEY, VICI_IKE_UPDATE, VICI_CHILD_UPDOWN, VICI_CHILD_REKEY, VICI_ALERT,
    VICI_CHILD_HOOK,   // ours: children with updown, for `cygnet hooks`
    VICI_EVENT_COUNT
};

// request() is called once a complete request is there; known: does that command exist? The client is named by a number since it may
// be gone when the answer comes.
struct vici_handler {
    void *context;
    bool (*known)(void *context, const char *command);
    void (*request)(void *context, uint32_t client, const char *command, const struct tree *message);
    void (*listeners)(void *context, uint32_t events);   // bits of enum vici_event_kind: others than before are subscribed to
};
struct vici *vici_new(struct event_base *base, int listening_fd, const struct vici_handler *handler);
// Clients are let in only from now on: what they ask for is there.
void vici_open(struct vici *vici);
void vici_free(struct vici *vici);
void vici_respond(struct vici *vici, uint32_t client, const struct tree *message);   // NULL: empty
void label_add(struct arena *arena, struct tree *to, const char *label);
void vici_respond_bytes(struct vici *vici, uint32_t client, struct bytes message);
void vici_event_to(struct vici *vici, uint32_t client, enum vici_event_kind kind, struct bytes message);  // if it subscribed
void vici_event_all(struct vici *vici, enum vici_event_kind kind, struct bytes message);
int vici_event_number(const char *name);    // -1: unknown
