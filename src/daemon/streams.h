// SPDX-License-Identifier: Apache-2.0
// Connections of IKE over TCP (RFC 9329) in the esp role, which has the packets: ESP goes to the plane and comes from it, IKE goes to the ike
// role and comes from there. A connection is known by both its endpoints. The local port of one that we open is a label that the ike
// role has chosen, since the kernel chooses the real one.
#pragma once
#include "daemon/worker.h"
#include <event2/event.h>

struct streams;
struct streams *streams_new(struct event_base *base, const struct role_options *options, struct worker *worker, struct link *ike);
void streams_free(struct streams *streams);
// A message of IKE, behind its marker; opens the connection when there is none and the remote port is one to connect to.
void streams_send_ike(struct streams *streams, const struct endpoint *local, const struct endpoint *remote, struct bytes message);
void streams_send_esp(struct streams *streams, const struct packet *packet);
// A packet of an SA came by the connection and was good.
void streams_prove(struct streams *streams, const struct endpoint *local, const struct endpoint *remote);
// Once a second: those that say nothing are closed.
void streams_tick(struct streams *streams);
