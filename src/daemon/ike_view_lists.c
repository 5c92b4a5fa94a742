// SPDX-License-Identifier: Apache-2.0
// What the core has beside SAs, for VICI clients: pools and their leases, policies of the configuration, counters, statistics.
#include "daemon/ike_view.h"
#include "daemon/vici.h"
#include <stdio.h>
#include <time.h>

enum { LEASES_ROOM = 200000, LEASE_TEXT = 140 };   // bytes of one answer, and of a lease beside its identity
enum { COUNTERS_TEXT = 1000, COUNTERS_ROOM = 250000 };   // bytes of one connection's counters, of all in one answer

static void result_send(struct ike_role *role, uint64_t number, const struct tree *tree)
{
    AUTOFREE_MEM uint8_t *space = mem_new(IPC_MESSAGE_MAX);
    struct wr encoded = wr_over(space, IPC_MESSAGE_MAX);
    message_write(&encoded, tree);
    struct result_message result = {.tree = wr_done(&encoded)};
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_RESULT, number);
    result_put(&out, &result);
    link_send(role->control, &out);
}

// --- pools

// As many leases as fit one message; how many were left out is said.
static void leases_add(struct ike_role *role, const char *pool, struct arena *arena, struct tree *to, unsigned *room)
{
    struct tree *list = tree_add_section(arena, to, "leases");
    struct ike_lease_info lease;
    struct addr at;
    unsigned number = 0, left_out = 0;
    for (const struct addr *after = NULL; ike_lease_after(role->core, pool, after, &lease); after = &at) {
        at = lease.addr;
        char key[16], text[ADDR_TEXT], id[IDENTITY_TEXT];
        identity_print(lease.id, id, sizeof id);
        unsigned size = (unsigned)strlen(id) + LEASE_TEXT;
        if (*room < size) {
            left_out++;
            continue;
        }
        *room -= size;
        snprintf(key, sizeof key, "%u", number++);
        struct tree *section = tree_add_section(arena, list, key);
        tree_add_text(arena, section, "address", addr_print(&lease.addr, text));
        tree_add_text(arena, section, "identity", id);
        tree_add_text(arena, section, "status", lease.online ? "online" : "offline");
    }
    if (left_out) number_add(arena, to, "leases-left-out", left_out);
}

void ike_view_pools(struct ike_role *role, uint64_t number, const struct tree *filter)
{
    const char *only = tree_text(filter, "name", NULL);
    bool leases = strcmp(tree_text(filter, "leases", "no"), "no") != 0;
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    struct ike_pool_info pool;
    unsigned room = LEASES_ROOM;
    for (const char *at = NULL; ike_pool_after(role->core, at, &pool); at = pool.name) {
        if (only && strcmp(only, pool.name) != 0) continue;
        struct tree *section = tree_add_section(&arena, root, pool.name);
        host_add(&arena, section, "base", &pool.base);
        number_add(&arena, section, "size", pool.size);
        number_add(&arena, section, "online", pool.online);
        number_add(&arena, section, "offline", pool.offline);
        if (leases) leases_add(role, pool.name, &arena, section, &room);
    }
    result_send(role, number, root);
    arena_free(&arena);
}

void ike_view_stats(struct ike_role *role, uint64_t number)
{
    const struct ike_stats *stats = ike_stats(role->core);
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    struct tree *uptime = tree_add_section(&arena, root, "uptime");
    uint64_t now = (uint64_t)time(NULL);
    tree_add_printf(&arena, uptime, "running", "%llu seconds", (unsigned long long)(now - role->started));
    char since[32];
    time_t started = (time_t)role->started;
    struct tm tm;
    strftime(since, sizeof since, "%b %d %H:%M:%S %Y", gmtime_r(&started, &tm));
    tree_add_text(&arena, uptime, "since", since);
    struct tree *sas = tree_add_section(&arena, root, "ikesas");
    number_add(&arena, sas, "total", stats->sas);
    number_add(&arena, sas, "half-open", stats->half_open);
    number_add(&arena, root, "children", stats->children);
    struct tree *faults = tree_add_section(&arena, root, "faults");
    for (unsigned i = 1; i < FAULT_COUNT; i++)
        if (stats->faults[i]) number_add(&arena, faults, fault_name((enum fault)i), stats->faults[i]);
    tree_send(role, MESSAGE_ITEM, number, "stats", root, true);
    arena_free(&arena);
}

// --- policies

static bool flag_of(const struct tree *request, const char *name)
{
    return strcmp(tree_text(request, name, "no"), "no") != 0;
}

static bool policy_wanted(const struct ike_policy_info *policy, const struct tree *request)
{
    const char *child = tree_text(request, "child", NULL);
    if (child && strcmp(child, policy->child->name) != 0) return false;
    return flag_of(request, policy->child->action == POLICY_BYPASS    ? "pass"
                            : policy->child->action == POLICY_DISCARD ? "drop"
                                                                      : "trap");
}

static void selectors_list(struct arena *arena, struct tree *to, const char *name, const struct selectors *set)
{
    struct tree *list = tree_add_list(arena, to, name);
    for (unsigned i = 0; i < set->count; i++) {
        char text[SELECTOR_TEXT];
        tree_add_item(arena, list, bytes_of_text(selector_print(&set->at[i], text)));
    }
}

static void policy_send(struct ike_role *role, uint64_t number, const struct ike_policy_info *policy)
{
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    char name[600];
    snprintf(name, sizeof name, "%s/%s", policy->conn->name, policy->child->name);
    struct tree *section = tree_add_section(&arena, root, name);
    tree_add_text(&arena, section, "child", policy->child->name);
    tree_add_text(&arena, section, "ike", policy->conn->name);
    number_add(&arena, section, "reqid", policy->child->reqid ? policy->child->reqid : policy->number);
    if (policy->child->label) label_add(&arena, section, policy->child->label);
    tree_add_text(&arena, section, "mode", child_mode_text(policy->child));
    selectors_list(&arena, section, "local-ts", policy->local);
    selectors_list(&arena, section, "remote-ts", policy->remote);
    tree_send(role, MESSAGE_ITEM, number, "list-policy", root, false);
    arena_free(&arena);
}

void ike_view_policies(struct ike_role *role, uint64_t number, const struct tree *request)
{
    const char *only = tree_text(request, "ike", NULL);
    struct ike_policy_info policy;
    for (const char *conn = NULL; (conn = ike_conn_after(role->core, conn));) {
        if (only && strcmp(only, conn) != 0) continue;
        for (unsigned i = 0; ike_policy_info(role->core, conn, i, &policy); i++)
            if (policy_wanted(&policy, request)) policy_send(role, number, &policy);
    }
    tree_send(role, MESSAGE_ITEM, number, "list-policy", NULL, true);
}

// --- counters

static void counters_add(struct arena *arena, struct tree *to, const char *name, const uint64_t *counters)
{
    struct tree *section = tree_add_section(arena, to, name);
    for (unsigned i = 0; i < IKE_COUNTERS; i++) number_add(arena, section, ike_counter_names[i], counters[i]);
}

// Of the host by default, of one connection by its name, or of all connections; as many as fit one message, the rest is said.
void ike_view_counters(struct ike_role *role, uint64_t number, const struct tree *request)
{
    const char *name = tree_text(request, "name", NULL);
    bool all = flag_of(request, "all"), reset = flag_of(request, "reset");
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    const uint64_t *one = ike_counters(role->core, name);
    tree_add_text(&arena, root, "success", all || one ? "yes" : "no");
    if (!all && !one) tree_add_printf(&arena, root, "errmsg", "there is no connection '%s'", name);
    if (reset && (all || one)) {
        ike_counters_reset(role->core, all ? NULL : name);
    } else {
        struct tree *section = tree_add_section(&arena, root, "counters");
        if (!all && one) counters_add(&arena, section, name ? name : "", one);
        unsigned room = COUNTERS_ROOM, left_out = 0;
        for (const char *conn = NULL; all && (conn = ike_conn_after(role->core, conn));) {
            if (room >= COUNTERS_TEXT) counters_add(&arena, section, conn, ike_counters(role->core, conn));
            else left_out++;
            room -= room >= COUNTERS_TEXT ? COUNTERS_TEXT : 0;
        }
        if (left_out) number_add(&arena, root, "left-out", left_out);
    }
    result_send(role, number, root);
    arena_free(&arena);
}
