// SPDX-License-Identifier: Apache-2.0
// Commands of the operator, connections that are loaded and unloaded, and how a child is brought
// up.
#include "ike/internal.h"

struct loaded *loaded_find(const struct ike *ike, const char *name)
{
    return map_get(&ike->loaded_by_name, bytes_of_text(name));
}

// --- bringing up

static bool hosts_same(const struct host_pattern *a, size_t a_count, const struct host_pattern *b,
                       size_t b_count)
{
    if (a_count != b_count) return false;
    for (size_t i = 0; i < a_count; i++) {
        if (a[i].kind != b[i].kind) return false;
        if (a[i].kind == HOST_RANGE && (!addr_equal(&a[i].range.low, &b[i].range.low) ||
                                        !addr_equal(&a[i].range.high, &b[i].range.high)))
            return false;
        if (a[i].kind == HOST_NAME && strcmp(a[i].name, b[i].name) != 0) return false;
    }
    return true;
}

static bool rounds_same(const struct auth_conf *a, size_t a_count, const struct auth_conf *b,
                        size_t b_count)
{
    if (a_count != b_count) return false;
    for (size_t i = 0; i < a_count; i++)
        if (a[i].auth != b[i].auth || !identity_equal(&a[i].id, &b[i].id)) return false;
    return true;
}

// A connection that was loaded anew without a change in whom it reaches keeps its SAs.
static bool conn_same_peer(const struct conn *a, const struct conn *b)
{
    return a == b ||
           (hosts_same(a->local_hosts, a->local_count, b->local_hosts, b->local_count) &&
            hosts_same(a->remote_hosts, a->remote_count, b->remote_hosts, b->remote_count) &&
            a->remote_port == b->remote_port &&
            rounds_same(a->local, a->local_rounds, b->local, b->local_rounds) &&
            rounds_same(a->remote, a->remote_rounds, b->remote, b->remote_rounds));
}

// An SA of the connection that can carry a further child.
static struct sa *sa_to_use(const struct loaded *loaded, const struct conn *conn)
{
    LIST_EACH (struct sa, of_loaded, sa, &loaded->sas) {
        bool connecting =
            sa->initiator && (sa->state >= EXPECT_SA_INIT && sa->state < ESTABLISHED);
        if (sa->state != ESTABLISHED && !connecting) continue;
        if (sa->bits & REAUTH_ASKED || task_find(sa, TASK_DELETE_IKE, 0) ||
            !conn_same_peer(sa->conn, conn))
            continue;
        return sa;
    }
    return NULL;
}

struct task *task_child(struct sa *sa, struct conn *conn, const struct child_conf *conf,
                        uint32_t command, const struct flow *flow)
{
    struct task *task = task_add(sa, TASK_CHILD);
    task->conf = conf;
    task->conn = conn_hold(conn);
    task->command = command;
    if (!flow) return task;
    task->flow = NEW(struct flow);
    *task->flow = *flow;
    return task;
}

// BEET: a child for the pair of addresses that the packet is between.
static void pair_initiate(struct sa *sa, struct conn *conn, const struct child_conf *conf,
                          const struct flow *flow)
{
    if (mode_pair_is_there(sa, conf, flow)) return;
    if (sa->task_count >= TASKS_MAX || !mode_pair_may_come(sa, conf)) {
        report(sa->ike, (struct subject){.sa = sa, .child = conf->name}, IKE_ERROR,
               FAULT_BEET_PAIRS, "no further child: %s", fault_sentence(FAULT_BEET_PAIRS));
        return;
    }
    task_child(sa, conn, conf, 0, flow);
    if (sa->state == ESTABLISHED) sa_pump(sa);
}

// With an SA that is there.
static void initiate_in(struct sa *sa, struct conn *conn, const struct child_conf *conf,
                        uint32_t command, const struct flow *flow)
{
    struct ike *ike = sa->ike;
    if (!conf) {
        if (sa->handshake && !sa->handshake->command)
            sa->handshake->command = command;
        else
            command_done(ike, command, OK, NULL);
        return;
    }
    if (flow && mode_is_on_demand(conf)) {
        pair_initiate(sa, conn, conf, flow);
        return;
    }
    if (child_by_name(sa, conf->name)) {
        report(ike, (struct subject){.sa = sa, .child = conf->name, .command = command}, IKE_INFO,
               OK, "child is up already");
        command_done(ike, command, OK, NULL);
        return;
    }
    struct task *task = task_find_conf(sa, conf->name);
    if (task && task->command && command)
        command_done(ike, command, FAULT_BUSY,
                     "the same child is being established for another command");
    else if (task && command)
        task->command = command;
    if (task) return;
    if (sa->task_count >= TASKS_MAX) {
        command_done(ike, command, FAULT_CHILD_LIMIT, NULL);
        return;
    }
    task_child(sa, conn, conf, command, flow);
    if (sa->state == ESTABLISHED) sa_pump(sa);
}

void initiate(struct ike *ike, struct conn *conn, const struct child_conf *conf, uint32_t command,
              const struct flow *flow)
{
    struct loaded *loaded = loaded_find(ike, conn->name);
    if (conf && conf->action > POLICY_PROTECT) {
        command_done(ike, command, FAULT_CHILD_WITHOUT_SA, NULL);
        return;
    }
    if (conn->version == 1) {
        command_done(ike, command, FAULT_NOT_INITIABLE, "IKEv1 is not supported yet");
        return;
    }
    if (conf && !flow && loaded && mode_is_on_demand(conf)) {
        mode_wait_for_packets(ike, loaded, conf, command);
        return;
    }
    struct sa *sa = loaded ? sa_to_use(loaded, conn) : NULL;
    if (sa) {
        initiate_in(sa, conn, conf, command, flow);
        if (command || flow) attempt_hasten(sa, 0);
        if (command && sa->state == EXPECT_SA_INIT) request_resend(sa);
        return;
    }
    if (ike->stats.sas >= ike->settings.sas_max) {
        report(ike, (struct subject){.conn = conn, .command = command}, IKE_ERROR, FAULT_SA_LIMIT,
               "cannot initiate: %s", fault_sentence(FAULT_SA_LIMIT));
        command_done(ike, command, FAULT_SA_LIMIT, NULL);
        return;
    }
    sa = sa_new(ike, conn, true);
    resume_prepare(loaded, sa);
    if (conf)
        task_child(sa, conn, conf, command, flow);
    else
        sa->handshake->command = command;
    exchange_ask(sa, first_plan(sa), NULL);
}

// --- commands

static void command_initiate(struct ike *ike, const struct ike_command *command)
{
    LIST_EACH (struct loaded, link, loaded, &ike->loaded) {
        if (command->conn && strcmp(command->conn, loaded->conn->name) != 0) continue;
        const struct child_conf *conf =
            command->child ? conn_child(loaded->conn, command->child) : NULL;
        if (command->child && !conf) continue;
        if (!command->child && !command->conn) continue;
        initiate(ike, loaded->conn, conf, command->number, NULL);
        return;
    }
    command_done(ike, command->number, FAULT_CONN_UNKNOWN, NULL);
}

static bool sa_matches(const struct sa *sa, const struct ike_command *command)
{
    if (command->conn && (!sa->conn || strcmp(sa->conn->name, command->conn) != 0)) return false;
    return !command->ike_id || sa->id == command->ike_id;
}

static bool child_matches(const struct child *child, const struct ike_command *command)
{
    if (child->replaced_by || child->state == CHILD_GONE || child->doomed) return false;
    if (command->child && strcmp(child->conf->name, command->child) != 0) return false;
    return !command->child_id || child->id == command->child_id;
}

static void terminate_sa(struct sa *sa, const struct ike_command *command)
{
    sa->command = command->number;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "IKE SA is closed by a command");
    if (sa->state < ESTABLISHED) {
        sa_end(sa, FAULT_TERMINATED, NULL);
        return;
    }
    if (!task_find(sa, TASK_DELETE_IKE, 0)) task_add(sa, TASK_DELETE_IKE);
    if (sa->state == ESTABLISHED) sa_pump(sa);
    if (command->force) sa_end(sa, FAULT_TERMINATED, NULL);
}

static void terminate_child(struct child *child, const struct ike_command *command)
{
    struct sa *sa = child->sa;
    child->command = command->number;
    report(sa->ike, ABOUT_CHILD(child), IKE_INFO, OK, "child is closed by a command");
    if (!task_find(sa, TASK_DELETE_CHILD, child->id))
        task_add(sa, TASK_DELETE_CHILD)->child_id = child->id;
    sa_pump(sa);
    if (command->force && child->state != CHILD_GONE) child_end(child, OK);
}

// What a command is about, by number, as doing it may end others.
struct found {
    uint32_t sa, child;
};

static size_t command_find(struct ike *ike, const struct ike_command *command, struct found **out)
{
    bool children = command->child || command->child_id;
    struct found *found = NULL;
    size_t count = 0;
    LIST_EACH (struct sa, link, sa, &ike->sas) {
        if (!sa_matches(sa, command)) continue;
        if (!children && (sa->replaced_by || sa->state == DELETING)) continue;
        if (!children) {
            found = mem_grow(found, count + 1, sizeof *found);
            found[count++] = (struct found){sa->id, 0};
            continue;
        }
        LIST_EACH (struct child, link, child, &sa->children) {
            if (!child_matches(child, command)) continue;
            found = mem_grow(found, count + 1, sizeof *found);
            found[count++] = (struct found){sa->id, child->id};
        }
    }
    *out = found;
    return count;
}

// Those that are not up yet and are tried are not tried any more.
static size_t children_cancel(struct ike *ike, const struct ike_command *command)
{
    size_t count = 0;
    if (!command->child || command->child_id) return 0;
    LIST_EACH (struct sa, link, sa, &ike->sas)
        if (sa_matches(sa, command)) count += tasks_cancel(sa, command->child);
    return count;
}

static void command_terminate(struct ike *ike, const struct ike_command *command)
{
    struct found *found;
    size_t waiting = children_cancel(ike, command), count = command_find(ike, command, &found);
    free_later(ike, found);
    if (count == 0) {
        command_done(ike, command->number, waiting ? OK : FAULT_NOTHING_MATCHES, NULL);
        return;
    }
    struct command_wait *wait = NEW(struct command_wait);
    wait->number = command->number;
    wait->matches = wait->left = (uint32_t)count;
    list_append(&ike->commands, &wait->link);
    for (size_t i = 0; i < count; i++) {
        struct child *child = child_by_id(ike, found[i].child);
        struct sa *sa = sa_by_id(ike, found[i].sa);
        if (child && child->state != CHILD_GONE)
            terminate_child(child, command);
        else if (!found[i].child && sa && sa->state != DEAD)
            terminate_sa(sa, command);
        else
            command_gone(ike, command->number);
    }
}

void command_gone(struct ike *ike, uint32_t command)
{
    LIST_EACH (struct command_wait, link, wait, &ike->commands) {
        if (wait->number != command || --wait->left) continue;
        struct ike_out *out = out_new(ike, IKE_OUT_DONE);
        out->done.command = command;
        out->done.matches = out->done.terminated = wait->matches;
        list_remove(&wait->link);
        free_later(ike, wait);
    }
}

static void command_rekey(struct ike *ike, const struct ike_command *command)
{
    struct found *found;
    size_t count = command_find(ike, command, &found);
    free_later(ike, found);
    for (size_t i = 0; i < count; i++) {
        struct sa *sa = sa_by_id(ike, found[i].sa);
        struct child *child = child_by_id(ike, found[i].child);
        if (command->reauth && !child)
            reauthenticate(sa);
        else if (!child && !task_find(sa, TASK_REKEY_IKE, 0))
            task_add(sa, TASK_REKEY_IKE);
        else if (child && !task_find(sa, TASK_REKEY_CHILD, child->id))
            task_add(sa, TASK_REKEY_CHILD)->child_id = child->id;
        if (sa->state == ESTABLISHED) sa_pump(sa);
    }
    struct ike_out *out = out_new(ike, IKE_OUT_DONE);
    out->done.command = command->number;
    out->done.matches = (uint32_t)count;
    out->done.fault = count ? OK : FAULT_NOTHING_MATCHES;
    out->done.text = count ? NULL : fault_sentence(FAULT_NOTHING_MATCHES);
}

static void command_trap(struct ike *ike, const struct ike_command *command)
{
    LIST_EACH (struct loaded, link, loaded, &ike->loaded) {
        if (command->conn && strcmp(command->conn, loaded->conn->name) != 0) continue;
        const struct child_conf *conf =
            command->child ? conn_child(loaded->conn, command->child) : NULL;
        if (!conf) continue;
        struct policy *policy = policy_find_trap(loaded, conf->name);
        if (command->kind == IKE_INSTALL)
            policy_trap(ike, loaded, conf);
        else if (policy)
            policy_untrap(policy);
        else
            continue;
        command_done(ike, command->number, OK, NULL);
        return;
    }
    command_done(ike, command->number, FAULT_CONN_UNKNOWN, NULL);
}

void command_run(struct ike *ike, const struct ike_command *command)
{
    switch (command->kind) {
    case IKE_INITIATE:
        command_initiate(ike, command);
        break;
    case IKE_TERMINATE:
        command_terminate(ike, command);
        break;
    case IKE_REKEY:
        command_rekey(ike, command);
        break;
    case IKE_INSTALL:
    case IKE_UNINSTALL:
        command_trap(ike, command);
        break;
    case IKE_REDIRECT:
        command_redirect(ike, command);
        break;
    }
}

// --- connections

// A trap goes on under its number when the new configuration wants the same one.
static void traps_rebind(struct ike *ike, struct loaded *loaded, struct conn *conn)
{
    LIST_EACH (struct policy, link, policy, &loaded->policies) {
        const struct child_conf *conf = conn_child(conn, policy->conf->name), *old = policy->conf;
        bool same =
            conf && conf->start_action && conf->action == old->action &&
            conf->priority == old->priority && conf->if_id_in == old->if_id_in &&
            conf->if_id_out == old->if_id_out && selectors_equal(&conf->local_ts, &old->local_ts) &&
            selectors_equal(&conf->remote_ts, &old->remote_ts) &&
            conf->local_dynamic == old->local_dynamic &&
            conf->remote_dynamic == old->remote_dynamic && conn_same_peer(conn, policy->conn);
        if (!same) {
            policy_untrap(policy);
            continue;
        }
        conn_later(ike, policy->conn);
        policy->conn = conn_hold(conn);
        policy->conf = conf;
    }
}

static void children_start(struct ike *ike, struct loaded *loaded)
{
    struct conn *conn = loaded->conn;
    for (uint32_t i = 0; i < conn->child_count; i++) {
        const struct child_conf *conf = &conn->children[i];
        // One that is to be up always is a trap, too: until it is up, and when it breaks, nothing
        // leaves unprotected.
        if (conf->start_action) policy_trap(ike, loaded, conf);
        if (conf->start_action & START_START && conf->action <= POLICY_PROTECT)
            keep_up(ike, loaded, conf);
    }
}

void conn_load(struct ike *ike, struct conn *conn)
{
    struct loaded *loaded = loaded_find(ike, conn->name);
    if (loaded) {
        traps_rebind(ike, loaded, conn);
        attempts_rebind(loaded, conn);
        candidates_remove(ike, loaded);
        conn_later(ike, loaded->conn);
    } else {
        loaded = NEW(struct loaded);
        list_init(&loaded->sas);
        list_init(&loaded->policies);
        loaded->order = ++ike->candidates.last_order;
        list_append(&ike->loaded, &loaded->link);
        map_put(&ike->loaded_by_name, bytes_of_text(conn->name), loaded);
    }
    loaded->conn = conn_hold(conn);
    candidates_add(ike, loaded);
    children_start(ike, loaded);
}

void conn_unload(struct ike *ike, const char *name)
{
    struct loaded *loaded = loaded_find(ike, name);
    if (!loaded) return;
    map_remove(&ike->loaded_by_name, bytes_of_text(name));
    candidates_remove(ike, loaded);
    LIST_EACH (struct policy, link, policy, &loaded->policies) policy_untrap(policy);
    attempts_cancel(loaded);
    LIST_EACH (struct sa, of_loaded, sa, &loaded->sas) list_remove(&sa->of_loaded);
    list_remove(&loaded->link);
    ticket_free(loaded->ticket);
    conn_later(ike, loaded->conn);
    free_later(ike, loaded);
}
