// SPDX-License-Identifier: Apache-2.0
// The control role from inside: what is loaded, and what waits for other roles.
#pragma once
#include "conf/options.h"
#include "daemon/leases.h"
#include "daemon/vici.h"
#include "pki/pki.h"

enum { PENDING_MAX = 4096, LOADED_MAX = 100000 };

struct loaded_conn {
    char *name;
    struct conn *conn;
    struct bytes encoded;    // as sent to the ike role: an unchanged connection is not sent again
    bool from_file;
    bool seen;               // during a reload: still in the file
};

struct loaded_cert {
    struct cert *cert;
    bool ca;
    bool from_file;
};

struct loaded_section {      // an authority or a pool
    struct arena arena;
    const struct tree *tree; // the section
    bool from_file;
};

struct loaded_sections {
    struct loaded_section **at;
    size_t count;
};

enum pending_kind {
    PENDING_SUCCESS = 1,     // RESULT: success or errmsg
    PENDING_KEY,             // RESULT: success and id
    PENDING_TREE,            // RESULT: the tree is the response
    PENDING_ITEMS,           // ITEM: events, then an empty response
    PENDING_STATS,           // ITEM: the tree is the response
    PENDING_COMMAND,         // DONE
    PENDING_CONN,            // RESULT of CONN_LOAD
};

struct pending {
    uint64_t number;
    uint32_t client;         // 0: ourselves, loading files
    uint8_t kind;
    uint8_t level;           // of control-log lines wanted
    bool credential;         // connections wait for it
    char *what;              // for the log, when client is 0
    struct event *timeout;
    struct control *control;
    struct pending *next;
};

struct deferred_conn {
    struct arena arena;
    const struct tree *section;
    struct deferred_conn *next;
};

struct control {
    const struct role_options *options;
    struct event_base *base;
    struct vici *vici;
    struct link *ike, *keys, *trust;
    struct loaded_conn *conns;
    size_t conn_count;
    struct loaded_cert *certs;
    size_t cert_count;
    uint8_t (*key_ids)[20];
    size_t key_count;
    struct loaded_sections authorities, pools;
    struct leases *leases;   // NULL: not opened, or not kept
    bool leases_tried;
    struct pending *pending;
    unsigned pending_count, credentials_waiting;
    struct deferred_conn *deferred, **deferred_last;
    uint64_t next_number;
    bool starting, ready;    // ready: clients are let in
    bool peers_ready;        // the ike role knows that all is loaded
    struct event *quiet;     // without a file: no connection has come for a moment
    bool loading_file;       // what is requested now comes from our file
    uint8_t *space;
};

// control.c
struct pending *pending_new(struct control *control, uint32_t client, enum pending_kind kind);   // NULL: too many
void pending_free(struct pending *pending);
struct pending *pending_find(struct control *control, uint64_t number);
void success_respond(struct control *control, uint32_t client, enum fault fault, const char *text, const char *what);
void deferred_flush(struct control *control);
bool control_has_file(const struct control *control);
void client_loaded(struct control *control);   // a connection; others may follow

// control_load.c
void control_load_conn(struct control *control, uint32_t client, const struct tree *section);
void control_unload_conn(struct control *control, uint32_t client, const char *name);
void control_load_cert(struct control *control, uint32_t client, const struct tree *message);
void control_load_key(struct control *control, uint32_t client, const struct tree *message);
void control_load_shared(struct control *control, uint32_t client, const struct tree *message);
void control_load_authority(struct control *control, uint32_t client, const struct tree *message);
void control_load_pool(struct control *control, uint32_t client, const struct tree *message);
void control_lease(struct control *control, const struct lease_message *lease);   // to be kept
void control_unload_pool(struct control *control, uint32_t client, const char *name);
void control_clear_creds(struct control *control, uint32_t client);
void control_unload_section(struct control *control, uint32_t client, struct loaded_sections *from, const char *name);
void control_start(struct control *control);                                   // at start: our own file
bool control_reload(struct control *control, struct buf *errors);              // all or nothing
void key_id_note(struct control *control, const char *hex);

// control_list.c
void control_list_conns(struct control *control, uint32_t client, const struct tree *message);
void control_get_names(struct control *control, uint32_t client, const char *list);
void control_list_certs(struct control *control, uint32_t client, const struct tree *message);
void control_list_authorities(struct control *control, uint32_t client, const struct tree *message);
void control_get_algorithms(struct control *control, uint32_t client);
void control_version(struct control *control, uint32_t client);

// control_commands.c
bool control_command_known(void *context, const char *command);
void control_command(void *context, uint32_t client, const char *command, const struct tree *message);
