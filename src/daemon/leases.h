// SPDX-License-Identifier: Apache-2.0
// Leases of virtual addresses on disk. Faults are logged; without the file leases last as long as the daemon.
#pragma once
#include "daemon/protocol.h"

#define LEASES_DIR "leases"   // below the state directory; writable for the control role

struct event_base;
struct leases *leases_open(const char *directory, struct event_base *base);   // NULL when it cannot be
void leases_close(struct leases *leases);   // writes what is still to be written
void leases_note(struct leases *leases, const struct lease_message *lease);
// Those of one pool, the longest unchanged first.
void leases_of_pool(struct leases *leases, const char *pool, void *context, void (*take)(void *context, const struct lease_message *lease));
