// SPDX-License-Identifier: Apache-2.0
// The life of a connection's configuration. It is counted by reference because SAs outlive a
// reload.
#include "model/conn.h"
#include <assert.h>

struct conn *conn_hold(struct conn *conn)
{
    assert(conn->references > 0 && conn->references < UINT32_MAX);
    conn->references++;
    return conn;
}

// The connection itself is not in its arena: it came from NEW().
void conn_release(struct conn *conn)
{
    if (!conn) return;
    assert(conn->references > 0);
    if (--conn->references) return;
    arena_free(&conn->arena);
    free(conn);
}

const struct child_conf *conn_child(const struct conn *conn, const char *name)
{
    for (uint32_t i = 0; i < conn->child_count; i++)
        if (strcmp(conn->children[i].name, name) == 0) return &conn->children[i];
    return NULL;
}

const char *mode_text(uint8_t mode)
{
    static const char *const texts[] = {
        [MODE_TUNNEL] = "TUNNEL", [MODE_TRANSPORT] = "TRANSPORT",
        [MODE_BEET] = "BEET",     [MODE_IPTFS] = "IPTFS",
        [MODE_GATEWAY_TRANSPORT] = "GATEWAY-TRANSPORT",
    };
    return mode && mode < sizeof texts / sizeof *texts ? texts[mode] : "?";
}

const char *child_mode_text(const struct child_conf *child)
{
    return child->action == POLICY_BYPASS    ? "PASS"
           : child->action == POLICY_DISCARD ? "DROP"
                                             : mode_text(child->mode);
}
