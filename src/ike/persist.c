// SPDX-License-Identifier: Apache-2.0
// What becomes of an attempt that failed.
//
//     an address of the peer is left        it is tried at once
//     keyingtries is not used up            tried again
//     a child is to be up (persist)         tried until it is: after 1, 2, 4 … 300 s, less a random
//                                           part; sooner when this host gets an address or a route,
//                                           when a packet calls, or when the operator says so
//     the peer or this host refuses         given up, unless persist = always
//
// That a child is to be up is a mark of its task, which goes from an SA to the next one. While it
// is tried little is said: of the first failure all, then when another one comes, and at the 8th,
// 16th, 32nd … attempt.
#include "ike/internal.h"

enum {
    WAIT_SECONDS_MAX = 300,
    REFUSED_SECONDS_MIN = 60,
    BEGUN_ANEW_MAX = 2,
    CANDIDATES_MAX = 64,
    SAID_AGAIN_AFTER = 8,
    NEWS_SETTLE_MS = 500,
};

// --- what may pass by itself

// What else fails is a matter of configuration or of credentials.
static const enum fault passing[] = {
    FAULT_PEER_UNREACHABLE,    FAULT_NO_ROUTE,
    FAULT_NO_LOCAL_ADDRESS,    FAULT_NAME_UNKNOWN,
    FAULT_SEND_REFUSED,        FAULT_PEER_BUSY,
    FAULT_PEER_RESOURCES,      FAULT_PEER_NO_MORE,
    FAULT_PEER_STATE_GONE,     FAULT_PEER_ADDRESS,
    FAULT_PEER_ERROR,          FAULT_BUSY,
    FAULT_REDIRECTS,           FAULT_REDIRECT_UNREADABLE,
    FAULT_PEER_PATH_REFUSED,   FAULT_TOO_MANY_REQUESTS,
    FAULT_RETRIES_TOO_MANY,    FAULT_KE_ROUND,
    FAULT_PEER_NAT_UNEXPECTED, FAULT_CERT_NOT_YET_VALID,
};

static bool may_pass(enum fault fault)
{
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (passing[i] == fault) return true;
    return false;
}

// RFC 7296 2.21.1: everybody can have sent an unprotected error, and none may end what is to be up.
static bool attempt_may_pass(const struct sa *sa, enum fault fault)
{
    return may_pass(fault) || (sa->handshake && sa->handshake->rumour == fault);
}

bool child_is_to_be_up(const struct child_conf *conf)
{
    return (conf->start_action & START_START || conf->dpd_action == AFTER_RESTART) &&
           conf->conn->persist != PERSIST_NO;
}

static nsec wait_after(struct ike *ike, unsigned tries, bool passes)
{
    unsigned seconds = tries < 9 ? 1U << tries : WAIT_SECONDS_MAX;
    if (seconds > WAIT_SECONDS_MAX) seconds = WAIT_SECONDS_MAX;
    if (!passes && seconds < REFUSED_SECONDS_MIN) seconds = REFUSED_SECONDS_MIN;
    nsec wait = nsec_seconds(seconds);
    return jitter(ike, wait, wait / 4);
}

// --- a further attempt

struct sa *initiate_again(struct sa *sa, nsec delay)
{
    static const struct handshake none;
    const struct loaded *loaded = loaded_find(sa->ike, sa->conn->name);
    struct sa *fresh = sa_new(sa->ike, sa->conn, true);
    const struct handshake *before = sa->handshake ? sa->handshake : &none;
    struct handshake *handshake = fresh->handshake;
    struct exchange *x = sa->asking;
    handshake->attempts = before->attempts + 1;
    handshake->candidate = before->candidate + 1;
    handshake->command = before->command;
    handshake->is_quiet = before->is_quiet;
    handshake->last_fault = before->last_fault;
    handshake->failing_since = before->failing_since;
    if (sa->handshake) sa->handshake->command = 0;
    fresh->reauth_of = sa->reauth_of;
    fresh->redirects = sa->redirects; // RFC 5685 7: several attempts may be one loop
    if (x && x->task && x->task->kind == TASK_CHILD) { // the child that came with IKE_AUTH
        list_append(&fresh->tasks, &x->task->link);
        fresh->task_count++;
        x->task = NULL;
    }
    tasks_move(sa, fresh);
    if (loaded && loaded->conn != sa->conn && delay) attempt_rebind(fresh, loaded->conn);
    sa_set_timer(fresh, TIMER_START, sa->ike->now + delay);
    return fresh;
}

static struct sa *attempt_repeat(struct sa *sa, nsec delay)
{
    struct sa *fresh = initiate_again(sa, delay);
    fresh->handshake->attempts = sa->handshake->attempts;
    fresh->handshake->candidate = sa->handshake->candidate;
    fresh->handshake->by_stream = sa->handshake->by_stream;
    fresh->handshake->begun_anew = (uint8_t)(sa->handshake->begun_anew + 1);
    return fresh;
}

// The peer says that it does not know what was begun: it gave it up as half-open, or was restarted.
// Everybody can say so who sees our SPIs; so it is believed when it is said again, and not often.
void attempt_forgotten(struct sa *sa)
{
    if (sa->handshake->begun_anew >= BEGUN_ANEW_MAX || !loaded_find(sa->ike, sa->conn->name))
        return;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, FAULT_PEER_STATE_GONE,
           "%s does not know what was begun; it is begun anew",
           endpoint_text(sa->ike, &sa->path.remote));
    attempt_repeat(sa, NSEC_PER_SECOND);
    sa_end(sa, FAULT_PEER_STATE_GONE, NULL);
}

// The address that it was begun from is not there any more.
static void attempt_uprooted(struct sa *sa)
{
    if (sa->handshake->begun_anew >= BEGUN_ANEW_MAX || !loaded_find(sa->ike, sa->conn->name))
        return;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK,
           "%s has gone, from where this was begun; it is begun anew",
           endpoint_text(sa->ike, &sa->path.local));
    attempt_repeat(sa, nsec_ms(NEWS_SETTLE_MS));
    sa_end(sa, FAULT_NO_LOCAL_ADDRESS, NULL);
}

// --- the next of the peer's addresses

static bool candidate_next(struct sa *sa, enum fault fault)
{
    const struct handshake *handshake = sa->handshake;
    bool other_may_do = may_pass(fault) || handshake->rumour == fault;
    if (!handshake->has_more || !other_may_do || handshake->candidate + 1 >= CANDIDATES_MAX ||
        !loaded_find(sa->ike, sa->conn->name))
        return false;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "the next of the peer's addresses is tried");
    struct sa *fresh = initiate_again(sa, 0);
    fresh->handshake->attempts = handshake->attempts;
    sa_end(sa, fault, NULL);
    return true;
}

// --- what is to be up

static struct task *running_task(const struct sa *sa)
{
    return sa->asking ? sa->asking->task : NULL;
}

static bool has_wishes(const struct sa *sa)
{
    const struct task *running = running_task(sa);
    if (running && running->wish) return true;
    LIST_EACH (const struct task, link, task, &sa->tasks)
        if (task->wish) return true;
    return false;
}

// Reauthentication: while the old SA stands nothing is missing.
static bool is_missed(const struct sa *sa)
{
    const struct sa *old = sa->reauth_of ? sa_by_id(sa->ike, sa->reauth_of) : NULL;
    return has_wishes(sa) && !(old && old->state == ESTABLISHED);
}

// Commands have their answer; what only they wanted is dropped.
static void commands_answer(struct sa *sa, enum fault fault, const char *why)
{
    struct ike *ike = sa->ike;
    struct task *running = running_task(sa);
    command_done(ike, sa->handshake->command, fault, why);
    sa->handshake->command = 0;
    if (running && running->wish) {
        command_done(ike, running->command, fault, why);
        running->command = 0;
    }
    LIST_EACH (struct task, link, task, &sa->tasks) {
        if (task->kind != TASK_CHILD) continue;
        if (!task->wish) {
            task_failed(sa, task, fault, why);
            task_drop(sa, task);
            continue;
        }
        command_done(ike, task->command, fault, why);
        task->command = 0;
    }
    if (!running || running->wish) return;
    task_failed(sa, running, fault, why);
    sa->asking->task = NULL;
    conn_later(ike, running->conn ? conn_hold(running->conn) : NULL);
    task_free(running);
}

static const char *span_text(struct ike *ike, nsec span)
{
    unsigned long long seconds = (unsigned long long)(span / NSEC_PER_SECOND);
    if (seconds < 120) return arena_printf(&ike->arena, "%llu s", seconds);
    if (seconds < 7200) return arena_printf(&ike->arena, "%llu min", seconds / 60);
    return arena_printf(&ike->arena, "%llu h", seconds / 3600);
}

static void tell_of_failure(const struct sa *sa, enum fault fault, const char *why, nsec delay)
{
    struct ike *ike = sa->ike;
    const struct handshake *handshake = sa->handshake;
    unsigned count = handshake->attempts + 1;
    const char *next = span_text(ike, delay + NSEC_PER_SECOND / 2);
    if (!handshake->is_quiet) {
        report(ike, ABOUT_SA(sa), IKE_INFO, OK,
               "it is tried again in %s, and then until it is up, less and less often", next);
        return;
    }
    bool again = count >= SAID_AGAIN_AFTER && (count & (count - 1)) == 0;
    if (fault == handshake->last_fault && !again) return;
    report(ike, (struct subject){.conn = sa->conn, .remote = &sa->path.remote}, IKE_INFO, fault,
           "still not connected after %u attempts in %s: %s%s%s; tried again in %s", count,
           span_text(ike, ike->now - (handshake->failing_since ? handshake->failing_since
                                                               : handshake->began)),
           fault_sentence(fault), why ? ": " : "", why ? why : "", next);
}

static void attempt_later(struct sa *sa, enum fault fault, nsec delay)
{
    bool has_tasks = sa->task_count || running_task(sa);
    struct sa *fresh = initiate_again(sa, delay);
    struct handshake *handshake = fresh->handshake;
    fresh->path = sa->path; // to be seen, until it is looked up anew
    handshake->candidate = 0;
    handshake->last_fault = fault;
    if (!handshake->failing_since) handshake->failing_since = sa->handshake->began;
    if (has_tasks && !fresh->task_count && !handshake->command && !fresh->reauth_of)
        sa_end(fresh, FAULT_TERMINATED, NULL); // nothing is wanted any more
}

static void wish_postpone(struct sa *sa, enum fault fault, const char *why)
{
    struct handshake *handshake = sa->handshake;
    nsec delay = wait_after(sa->ike, handshake->attempts, attempt_may_pass(sa, fault));
    commands_answer(sa, fault, why);
    tell_of_failure(sa, fault, why, delay);
    handshake->is_quiet = true;
    attempt_later(sa, fault, delay);
}

void keep_up(struct ike *ike, struct loaded *loaded, const struct child_conf *conf)
{
    struct conn *conn = loaded->conn;
    initiate(ike, conn, conf, 0, NULL);
    if (conn->persist == PERSIST_NO) return;
    LIST_EACH (struct sa, of_loaded, sa, &loaded->sas) {
        struct task *task = task_find_conf(sa, conf->name);
        if (task) task->wish = true;
    }
}

static bool wish_goes_on(const struct sa *sa, bool passes)
{
    uint8_t persist = sa->conn->persist;
    return loaded_find(sa->ike, sa->conn->name) &&
           (persist == PERSIST_ALWAYS || (persist == PERSIST_YES && passes));
}

bool wish_again(struct sa *sa, struct task *task, enum fault fault, const char *why)
{
    struct ike *ike = sa->ike;
    bool passes = may_pass(fault);
    if (!task->wish || !wish_goes_on(sa, passes)) return false;
    nsec delay = wait_after(ike, task->tries, passes);
    command_done(ike, task->command, fault, why);
    task->command = 0;
    report(ike, (struct subject){.sa = sa, .conn = task->conn, .child = task->conf->name},
           task->tries ? IKE_DETAIL : IKE_INFO, OK,
           "the child is tried again in %s, until it is up",
           span_text(ike, delay + NSEC_PER_SECOND / 2));
    if (task->tries == UINT8_MAX) task->tries--;
    task_again(sa, task, delay);
    return true;
}

void wishes_leave(struct sa *sa, enum fault fault)
{
    unsigned tries = 0;
    if (!has_wishes(sa) || !wish_goes_on(sa, may_pass(fault))) return;
    LIST_EACH (const struct task, link, task, &sa->tasks)
        if (task->wish && task->tries > tries) tries = task->tries;
    struct sa *fresh = sa_new(sa->ike, sa->conn, true);
    fresh->handshake->attempts = tries;
    fresh->handshake->last_fault = fault;
    fresh->handshake->failing_since = sa->ike->now;
    LIST_EACH (struct task, link, task, &sa->tasks) {
        if (!task->wish) continue;
        list_remove(&task->link);
        sa->task_count--;
        task->not_before = 0;
        list_append(&fresh->tasks, &task->link);
        fresh->task_count++;
    }
    sa_set_timer(fresh, TIMER_START, sa->ike->now + wait_after(sa->ike, tries, true));
}

// --- an attempt has failed

static void tell_why(const struct sa *sa, enum fault fault, const char *why)
{
    struct ike *ike = sa->ike;
    if (fault == FAULT_PEER_UNREACHABLE)
        report(ike, ABOUT_SA(sa), IKE_ERROR, fault, "cannot establish an IKE SA: %s: %s",
               fault_sentence(fault), why ? why : "");
    else if (sa->handshake->rumour)
        report(ike, ABOUT_SA(sa), IKE_ERROR, fault, "cannot establish an IKE SA with %s: %s%s%s",
               endpoint_text(ike, &sa->path.remote), fault_sentence(fault), why ? ": " : "",
               why ? why : "");
}

// keyingtries says that there are further ones.
static void attempt_counted(struct sa *sa, enum fault fault, const char *why)
{
    nsec delay = wait_after(sa->ike, sa->handshake->attempts, true);
    bool for_ever = sa->conn->keyingtries == 0;
    if (for_ever)
        tell_of_failure(sa, fault, why, delay);
    else
        report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "connection is tried again in %s",
               span_text(sa->ike, delay + NSEC_PER_SECOND / 2));
    sa->handshake->is_quiet = for_ever;
    attempt_later(sa, fault, delay);
}

void attempt_failed(struct sa *sa, enum fault fault, const char *why)
{
    struct ike *ike = sa->ike;
    uint32_t tries = sa->conn->keyingtries;
    bool passes = attempt_may_pass(sa, fault), loaded = loaded_find(ike, sa->conn->name) != NULL;
    tell_why(sa, fault, why);
    if (candidate_next(sa, fault)) return;
    bool again = passes && (tries == 0 || sa->handshake->attempts + 1 < tries);
    if (again && loaded && !(tries == 0 && is_missed(sa))) {
        attempt_counted(sa, fault, why);
    } else if (is_missed(sa) && wish_goes_on(sa, passes)) {
        wish_postpone(sa, fault, why);
    } else if (is_missed(sa)) {
        report(ike, (struct subject){.conn = sa->conn, .remote = &sa->path.remote}, IKE_ERROR,
               fault,
               "it is not tried again, as this does not pass by itself: mend the cause, then "
               "`cygnet up`;"
               " with persist = always it would be");
    }
    if (sa->reauth_of) reauthentication_failed(sa);
    sa_end(sa, fault, why);
}

void attempt_succeeded(const struct sa *sa)
{
    const struct handshake *handshake = sa->handshake;
    if (!handshake || !handshake->is_quiet) return;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "connected at attempt %u, after %s",
           handshake->attempts + 1, span_text(sa->ike, sa->ike->now - handshake->failing_since));
}

// --- the peer was first

static bool is_up_elsewhere(const struct sa *sa, const char *child)
{
    const struct loaded *loaded = loaded_find(sa->ike, sa->conn->name);
    if (!loaded) return false;
    LIST_EACH (const struct sa, of_loaded, other, &loaded->sas)
        if (other != sa && other->state == ESTABLISHED && !other->replaced_by &&
            !task_find(other, TASK_DELETE_IKE, 0) && child_by_name(other, child))
            return true;
    return false;
}

// What was only to be up, and is by now, as the peer has begun, too. True: nothing else is wanted.
bool attempt_is_needless(struct sa *sa)
{
    bool met = false;
    if (!sa->initiator || sa->reauth_of || !sa->conn) return false;
    LIST_EACH (struct task, link, task, &sa->tasks) {
        if (task->kind != TASK_CHILD || !task->wish || task->command ||
            !is_up_elsewhere(sa, task->conf->name))
            continue;
        task_done(sa, task);
        task_drop(sa, task);
        met = true;
    }
    if (!met || sa->task_count || !sa->handshake || sa->handshake->command) return false;
    report(sa->ike, (struct subject){.conn = sa->conn}, IKE_INFO, OK,
           "the peer has connected meanwhile; nothing is to be tried");
    sa_end(sa, OK, NULL);
    return true;
}

// --- those that wait

bool sa_is_waiting(const struct sa *sa)
{
    return sa->state == EXPECT_SA_INIT && sa->initiator && !sa->asking &&
           sa->timers[TIMER_START] != NSEC_NEVER;
}

void attempt_hasten(struct sa *sa, nsec delay)
{
    nsec at = sa->ike->now + delay;
    if (sa_is_waiting(sa) && at < sa->timers[TIMER_START]) sa_set_timer(sa, TIMER_START, at);
}

// News of addresses or routes: what could not be reached may be reached now.
void attempts_heed_address(struct ike *ike, const struct addr *addr, bool came)
{
    LIST_EACH (struct sa, link, sa, &ike->sas) {
        bool begun = sa->initiator && sa->asking && sa->asking->is_sent && sa->handshake &&
                     sa->state <= EXPECT_AUTH;
        nsec settle = nsec_ms(2 * NEWS_SETTLE_MS);
        if (sa_is_waiting(sa))
            attempt_hasten(sa, jitter(ike, settle, settle / 2));
        else if (begun && !came && addr->family && addr_equal(addr, &sa->path.local.addr))
            attempt_uprooted(sa);
    }
}

// A connection was loaded anew: what waits goes by what it says now.
void attempt_rebind(struct sa *sa, struct conn *conn)
{
    sa_set_conn(sa, conn);
    LIST_EACH (struct task, link, task, &sa->tasks) {
        const struct child_conf *conf =
            task->kind == TASK_CHILD ? conn_child(conn, task->conf->name) : NULL;
        if (!conf) {
            task_failed(sa, task, FAULT_CONN_UNKNOWN, NULL);
            task_drop(sa, task);
            continue;
        }
        conn_later(sa->ike, task->conn);
        task->conn = conn_hold(conn);
        task->conf = conf;
        if (!conn->persist) task->wish = false;
    }
}

void attempts_rebind(struct loaded *loaded, struct conn *conn)
{
    LIST_EACH (struct sa, of_loaded, sa, &loaded->sas) {
        if (!sa_is_waiting(sa) || sa->conn == conn) continue;
        attempt_rebind(sa, conn);
        sa->handshake->attempts = 0;
        sa->handshake->is_quiet = false;
        sa->handshake->failing_since = 0;
        if (!sa->task_count && !sa->handshake->command && !sa->reauth_of)
            sa_end(sa, FAULT_TERMINATED, NULL);
        else
            attempt_hasten(sa, 0);
    }
}

void attempts_cancel(struct loaded *loaded)
{
    LIST_EACH (struct sa, of_loaded, sa, &loaded->sas)
        if (sa_is_waiting(sa)) sa_end(sa, FAULT_TERMINATED, NULL);
}

size_t tasks_cancel(struct sa *sa, const char *child)
{
    size_t count = 0;
    struct task *running = running_task(sa);
    if (running && running->kind == TASK_CHILD && strcmp(running->conf->name, child) == 0)
        running->wish = false;
    LIST_EACH (struct task, link, task, &sa->tasks) {
        if (task->kind != TASK_CHILD || strcmp(task->conf->name, child) != 0) continue;
        task_failed(sa, task, FAULT_TERMINATED, NULL);
        task_drop(sa, task);
        count++;
    }
    bool begun = sa->state == EXPECT_SA_INIT && sa->initiator && sa->handshake;
    if (count && begun && !sa->task_count && !sa->handshake->command && !sa->reauth_of)
        sa_end(sa, FAULT_TERMINATED, NULL);
    return count;
}
