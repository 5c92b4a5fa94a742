// SPDX-License-Identifier: Apache-2.0
// What an IKE SA still has to ask its peer. The window is one, so tasks wait in a queue until the
// exchange under way has ended; closing the SA goes before all else.
#include "ike/internal.h"
#include "ike/roam.h"
#include <assert.h>

enum { BUSY_RETRY_SECONDS = 2, BUSY_RETRY_MAX = 16, BUSY_LIMIT_SECONDS = 240 };

static const struct plan *const plans[] = {
    [TASK_CHILD] = &plan_child,
    [TASK_REKEY_CHILD] = &plan_rekey_child,
    [TASK_DELETE_CHILD] = &plan_delete_child,
    [TASK_REKEY_IKE] = &plan_rekey_ike,
    [TASK_DELETE_IKE] = &plan_delete_ike,
    [TASK_LIVENESS] = &plan_liveness,
    [TASK_DELETE_SPI] = &plan_delete_spi,
    [TASK_TICKET] = &plan_ticket,
    [TASK_UPDATE] = &plan_update,
    [TASK_ADDRESSES] = &plan_addresses,
    [TASK_ROUTABILITY] = &plan_routability,
    [TASK_PROBE] = &plan_probe,
    [TASK_REDIRECT] = &plan_redirect,
    [TASK_QCD] = &plan_qcd,
    [TASK_INVALID_SPI] = &plan_invalid_spi,
    [TASK_PATH_MTU] = &plan_path_mtu,
};

// RFC 4555 3.5: as soon as the window allows.
static bool is_of_path(unsigned kind)
{
    return kind == TASK_UPDATE || kind == TASK_ROUTABILITY || kind == TASK_PROBE;
}

struct task *task_add(struct sa *sa, enum task_kind kind)
{
    struct task *task = NEW(struct task);
    task->kind = (uint8_t)kind;
    if (kind == TASK_DELETE_IKE || is_of_path(kind))
        list_prepend(&sa->tasks, &task->link);
    else
        list_append(&sa->tasks, &task->link);
    sa->task_count++;
    return task;
}

void task_free(struct task *task)
{
    conn_release(task->conn);
    free(task->flow);
    free(task->gateway);
    free(task);
}

static void task_take(struct sa *sa, struct task *task)
{
    list_remove(&task->link);
    sa->task_count--;
}

void task_drop(struct sa *sa, struct task *task)
{
    task_take(sa, task);
    // Reports and outputs of this step may name what its connection holds.
    if (task->conn) conn_later(sa->ike, conn_hold(task->conn));
    task_free(task);
}

// Only tasks that make a child have somebody who waits for them; whoever waits for an end waits for
// the SA or the child.
static void task_settle(struct ike *ike, struct task *task, enum fault fault, const char *why)
{
    if (task->kind != TASK_CHILD) return;
    command_done(ike, task->command, fault, why);
    task->command = 0;
    struct loaded *loaded = task->conn ? loaded_find(ike, task->conn->name) : NULL;
    struct policy *policy = loaded ? policy_find_trap(loaded, task->conf->name) : NULL;
    if (policy) policy_settled(policy, fault == OK);
}

void task_done(struct sa *sa, struct task *task)
{
    task_settle(sa->ike, task, OK, NULL);
}

void task_failed(struct sa *sa, struct task *task, enum fault fault, const char *why)
{
    task_settle(sa->ike, task, fault, why);
}

void task_again(struct sa *sa, struct task *task, nsec delay)
{
    task->not_before = sa->ike->now + delay;
    task->tries++;
    list_append(&sa->tasks, &task->link);
    sa->task_count++;
}

// RFC 7296 2.25: never at once; and who is busy for several minutes has lost the common state.
bool task_retry(struct sa *sa, struct task *task)
{
    struct ike *ike = sa->ike;
    if (!sa->troubled_since) sa->troubled_since = ike->now;
    if (ike->now - sa->troubled_since > nsec_seconds(BUSY_LIMIT_SECONDS)) {
        report(ike, ABOUT_SA(sa), IKE_ERROR, FAULT_PEER_BUSY,
               "IKE SA is closed: the peer has been busy for %d seconds", BUSY_LIMIT_SECONDS);
        sa_replace(sa);
        return false;
    }
    // The first wait is short, so that two ends that met do not run out of lifetime; it differs at
    // both, and doubles.
    unsigned seconds = BUSY_RETRY_SECONDS << (task->tries < 3 ? task->tries : 3);
    nsec wait = nsec_seconds(seconds < BUSY_RETRY_MAX ? seconds : BUSY_RETRY_MAX);
    task_again(sa, task, jitter(ike, wait, wait / 2));
    return true;
}

void tasks_move(struct sa *from, struct sa *to)
{
    LIST_EACH (struct task, link, task, &from->tasks) {
        if (task->kind == TASK_DELETE_IKE && !from->command) continue; // of the old one itself
        if (task->kind == TASK_REKEY_IKE || task->kind == TASK_LIVENESS || task->kind == TASK_QCD ||
            task->kind == TASK_PATH_MTU) {
            task_drop(from, task);
            continue;
        }
        task_take(from, task);
        list_append(&to->tasks, &task->link);
        to->task_count++;
    }
}

struct task *task_find(const struct sa *sa, enum task_kind kind, uint32_t child_id)
{
    struct task *running = sa->asking ? sa->asking->task : NULL;
    if (running && running->kind == kind && running->child_id == child_id) return running;
    LIST_EACH (struct task, link, task, &sa->tasks)
        if (task->kind == kind && task->child_id == child_id) return task;
    return NULL;
}

struct task *task_find_conf(const struct sa *sa, const char *child)
{
    struct task *running = sa->asking ? sa->asking->task : NULL;
    if (running && running->kind == TASK_CHILD && !running->resource &&
        strcmp(running->conf->name, child) == 0)
        return running;
    LIST_EACH (struct task, link, task, &sa->tasks)
        if (task->kind == TASK_CHILD && !task->resource && strcmp(task->conf->name, child) == 0)
            return task;
    return NULL;
}

// --- the next one

// May it begin now? RFC 7296 2.25.2: while an IKE SA is being rekeyed by the peer nothing is made
// or changed in it.
static bool task_may_run(const struct sa *sa, const struct task *task)
{
    if (task->not_before > sa->ike->now) return false;
    switch (sa->state) {
    case ESTABLISHED:
        // The peer cannot answer on an IKE SA before it has our answer that makes it; but it may have
        // it, and not know where we are now.
        if (sa->bits & UNCONFIRMED && !is_of_path(task->kind)) return false;
        return !(sa->bits & REKEY_ANSWERING) || task->kind == TASK_DELETE_IKE ||
               task->kind == TASK_LIVENESS || is_of_path(task->kind);
    case REKEYED:
    case DELETING:
        return task->kind == TASK_DELETE_IKE;
    default:
        return false;
    }
}

// Is there still something to do? What was meant may have gone or been done by the peer meanwhile.
static bool task_makes_sense(const struct sa *sa, const struct task *task)
{
    const struct child *child = child_by_id(sa->ike, task->child_id);
    switch (task->kind) {
    case TASK_REKEY_CHILD:
        return child && child->sa == sa && child->state == CHILD_INSTALLED && !child->replaced_by;
    case TASK_DELETE_CHILD:
        return child && child->sa == sa && child->state != CHILD_GONE &&
               child->state != CHILD_DELETING;
    case TASK_CHILD:
        return percpu_makes_sense(sa, task);
    default:
        return true;
    }
}

static struct task *next_task(struct sa *sa, nsec *later)
{
    LIST_EACH (struct task, link, task, &sa->tasks) {
        if (!task_makes_sense(sa, task)) {
            task_drop(sa, task);
        } else if (task_may_run(sa, task)) {
            task_take(sa, task);
            return task;
        } else if (task->not_before > sa->ike->now && task->not_before < *later) {
            *later = task->not_before;
        }
    }
    return NULL;
}

void sa_pump(struct sa *sa)
{
    if (sa->state == DEAD || sa->asking) return;
    if (sa->state == EXPECT_AUTH && sa->initiator) {
        if (attempt_is_needless(sa)) return;
        exchange_ask(sa, intermediate_is_due(sa) ? &plan_intermediate : &plan_auth, NULL);
        return;
    }
    if (sa->mobility) children_uproot(sa);
    nsec later = NSEC_NEVER;
    struct task *task = next_task(sa, &later);
    sa_set_timer(sa, TIMER_TASKS, later);
    if (task)
        exchange_ask(sa, plans[task->kind], task);
    else if (later == NSEC_NEVER && sa->state == ESTABLISHED && sa->reauth_of)
        reauthenticated(sa);
}
