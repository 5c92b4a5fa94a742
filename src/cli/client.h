// SPDX-License-Identifier: Apache-2.0
// A VICI client: connects, asks, and takes events as they come.
#pragma once
#include "cli/cli.h"
#include "conf/message.h"

struct client;

// "unix:///run/cygnet/cygnet.vici" or a path; NULL: $CYGNET_VICI or the usual place. Prints why when it fails, and returns NULL.
struct client *client_connect(const char *uri);
struct client *client_try(const char *uri, bool explain);   // says why only when told to
void client_close(struct client *client);
// Sends a request (message may be NULL) and reads until its response; events on the way go to on_event (may be NULL).
struct client_events {
    void *context;
    void (*event)(void *context, const char *name, const struct tree *message);
};
CHECKED enum fault client_ask(struct client *client, const char *command, const struct tree *message, struct arena *arena,
                              const struct client_events *events, struct tree **response);
CHECKED enum fault client_subscribe(struct client *client, const char *event);
// Waits for events until the daemon closes the connection.
// The descriptor that becomes readable when the daemon says something, and one event of it.
int client_fd(const struct client *client);
CHECKED enum fault client_event(struct client *client, const struct client_events *events);
CHECKED enum fault client_listen(struct client *client, const struct client_events *events);
// The response says success = no: prints errmsg. Returns the exit status.
int client_verdict(const struct tree *response);

// Prints a tree as JSON: sections are objects, lists arrays; values that are numbers stay strings as VICI has them, binary ones are hex.
void tree_json(const struct tree *section, struct buf *out);
