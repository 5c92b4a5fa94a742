// SPDX-License-Identifier: Apache-2.0
// The life of an IKE SA: made, established, inherited from, ended; and its timers.
#include "ike/internal.h"
#include "ike/roam.h"
#include <assert.h>

enum { REKEY_RETRY_SECONDS = 30 };

// --- making

struct sa *sa_new(struct ike *ike, struct conn *conn, bool initiator)
{
    struct sa *sa = NEW(struct sa);
    sa->ike = ike;
    sa->id = ++ike->last_sa_id;
    sa->initiator = initiator;
    sa->state = EXPECT_SA_INIT;
    sa->alarm.owner = ALARM_SA;
    sa->handshake = NEW(struct handshake);
    sa->handshake->began = ike->now;
    list_init(&sa->tasks);
    list_init(&sa->children);
    sa->waiter.kind = WAITER_SA;
    for (unsigned i = 0; i < SA_TIMERS; i++) sa->timers[i] = NSEC_NEVER;
    uint64_t spi = spi_new(ike);
    *(initiator ? &sa->spi_i : &sa->spi_r) = spi;
    list_append(&ike->sas, &sa->link);
    map_put(&ike->by_spi, map_key_u64(&spi), sa);
    map_put(&ike->by_id, map_key_u32(&sa->id), sa);
    ike->stats.sas++;
    if (conn) sa_set_conn(sa, conn);
    return sa;
}

void sa_set_conn(struct sa *sa, struct conn *conn)
{
    if (sa->conn == conn) return;
    conn_later(sa->ike, sa->conn);
    sa->conn = conn_hold(conn);
    list_remove(&sa->of_loaded);
    struct loaded *loaded = loaded_find(sa->ike, conn->name);
    if (loaded) list_append(&loaded->sas, &sa->of_loaded);
}

void sa_set_state(struct sa *sa, enum sa_state state)
{
    sa->state = (uint8_t)state;
}

uint64_t sa_own_spi(const struct sa *sa)
{
    return sa->initiator ? sa->spi_i : sa->spi_r;
}

uint64_t sa_peer_spi(const struct sa *sa)
{
    return sa->initiator ? sa->spi_r : sa->spi_i;
}

void handshake_free(struct handshake *handshake)
{
    if (!handshake) return;
    mem_drop(&handshake->own_init);
    mem_drop(&handshake->peer_init);
    mem_drop(&handshake->cookie);
    mem_drop(&handshake->id_local);
    mem_drop(&handshake->id_remote);
    mem_drop(&handshake->ke_public);
    identity_free(&handshake->first_id);
    arena_free(&handshake->first_arena);
    secret_wipe(&handshake->ke_private);
    secret_wipe(&handshake->sk_pi);
    secret_wipe(&handshake->sk_pr);
    secret_wipe(&handshake->int_auth_i);
    secret_wipe(&handshake->int_auth_r);
    ppk_wipe(&handshake->ppk);
    eap_wipe(&handshake->eap);
    ticket_free(handshake->ticket);
    redirect_free(handshake);
    free(handshake);
}

// --- timers

void sa_set_timer(struct sa *sa, enum sa_timer timer, nsec at)
{
    sa->timers[timer] = at;
    if (sa->state != DEAD) alarm_set(sa->ike, &sa->alarm, sa->timers, SA_TIMERS);
}

nsec jitter(struct ike *ike, nsec span, nsec random)
{
    if (random > span) random = span;
    return random > 0 ? span - (nsec)rng_below(ike->rng, (uint64_t)random + 1) : span;
}

// RFC 7296 2.8: each end has lifetimes of its own; a random part keeps both from rekeying at the
// same time.
static void lifetimes_start(struct sa *sa)
{
    struct ike *ike = sa->ike;
    const struct conn *conn = sa->conn;
    nsec least = NSEC_NEVER;
    sa->established = ike->now;
    sa->last_heard = sa->last_sent = ike->now;
    if (conn->rekey_time) {
        sa_set_timer(sa, TIMER_REKEY, ike->now + jitter(ike, conn->rekey_time, conn->rand_time));
        least = conn->rekey_time;
    }
    if (conn->reauth_time && sa->timers[TIMER_REAUTH] == NSEC_NEVER)
        sa_set_timer(sa, TIMER_REAUTH, ike->now + jitter(ike, conn->reauth_time, conn->rand_time));
    if (sa->timers[TIMER_REAUTH] != NSEC_NEVER && sa->timers[TIMER_REAUTH] - ike->now < least)
        least = sa->timers[TIMER_REAUTH] - ike->now;
    if (least != NSEC_NEVER && conn->over_time)
        sa_set_timer(sa, TIMER_EXPIRE, ike->now + least + conn->over_time);
    if (conn->dpd_delay) sa_set_timer(sa, TIMER_DPD, ike->now + conn->dpd_delay);
    if (sa->bits & NAT_LOCAL && ike->settings.keepalive)
        sa_set_timer(sa, TIMER_KEEPALIVE, ike->now + ike->settings.keepalive);
}

// --- established

void sa_established(struct sa *sa)
{
    half_open_leave(sa);
    sa_set_timer(sa, TIMER_HALF_OPEN, NSEC_NEVER);
    sa_set_state(sa, ESTABLISHED);
    lifetimes_start(sa);
    sa->bits |= WAS_ESTABLISHED;
    ids_enter(sa);
    if (sa->handshake) {
        secret_later(sa->ike, &sa->handshake->sk_pi);
        secret_later(sa->ike, &sa->handshake->sk_pr);
        handshake_free(sa->handshake);
        sa->handshake = NULL;
    }
}

// RFC 7296 2.18: a rekeyed IKE SA goes on with the authentication, the identities and the path of
// the one before.
void sa_inherit(struct sa *fresh, struct sa *old)
{
    uint32_t kept = PEER_FRAGMENTS | PEER_CHILDLESS | NAT_LOCAL | NAT_REMOTE | NAT_SEEN |
                    ENCAP_FORCED | BY_PEER | PEER_MOBIKE | PEER_AUTHENTICATED | SELF_PROVED |
                    PPK_USED | PPK_EARLY | PEER_PPK_INT | PEER_UNKNOWN | PEER_REDIRECTS |
                    PEER_SYNCS_IDS | PEER_SYNCS_REPLAY;
    fresh->bits |= old->bits & kept;
    fresh->path = old->path;
    path_inherit(fresh, old);
    pmtu_inherit(fresh, old);
    sa_set_conn(fresh, old->conn);
    fresh->local_id = identity_copy(&old->local_id);
    fresh->remote_id = identity_copy(&old->remote_id);
    memcpy(fresh->peer_scheme, old->peer_scheme, sizeof fresh->peer_scheme);
    fresh->redirects = old->redirects;
    mem_drop(&fresh->ppk_name);
    if (old->ppk_name.size) fresh->ppk_name = mem_copy(old->ppk_name);
}

void sa_linger(struct sa *sa, const struct sa *by)
{
    sa->replaced_by = by->id;
    for (unsigned i = 0; i < SA_TIMERS; i++)
        if (i != TIMER_RETRANSMIT && i != TIMER_TASKS) sa->timers[i] = NSEC_NEVER;
    sa_set_timer(sa, TIMER_HALF_OPEN, sa->ike->now + nsec_seconds(PEER_TRIES_SECONDS));
}

void sa_move_children(struct sa *from, struct sa *to)
{
    LIST_EACH (struct child, link, child, &from->children) {
        list_remove(&child->link);
        list_append(&to->children, &child->link);
        child->sa = to;
    }
    to->child_count += from->child_count;
    from->child_count = 0;
    tasks_move(from, to);
    ticket_renew(from, to);
    path_hand_over(from, to);
    sa_set_timer(to, TIMER_TASKS, to->ike->now); // those that had to wait do so there
    free_later(to->ike, to->vips);
    to->vips = from->vips;
    to->vip_count = from->vip_count;
    from->vips = NULL;
    from->vip_count = 0;
    names_release(to);
    to->dns = from->dns;
    to->dns_count = from->dns_count;
    to->domains = from->domains;
    from->dns = NULL;
    from->dns_count = 0;
    from->domains = NULL;
    leases_move(from, to);
    if (from->timers[TIMER_REAUTH] != NSEC_NEVER)
        sa_set_timer(to, TIMER_REAUTH, from->timers[TIMER_REAUTH]);
    to->command = from->command ? from->command : to->command;
    from->command = 0;
    sa_linger(from, to);
    from->troubled_since = 0;
}

// --- the end

static void exchange_abandon(struct sa *sa, struct exchange *x, enum fault fault, const char *why)
{
    if (!x) return;
    waiter_forget(sa->ike, &x->waiter);
    if (x->child) child_end(x->child, OK);
    x->child = NULL;
    struct sa *fresh = x->fresh;
    x->fresh = NULL;
    if (fresh) sa_end(fresh, OK, NULL);
    struct task *task = x->task;
    x->task = NULL;
    if (!task) return;
    task_failed(sa, task, fault ? fault : FAULT_TERMINATED, why);
    task_free(task);
}

static void sa_untable(struct sa *sa)
{
    struct ike *ike = sa->ike;
    uint64_t spi = sa_own_spi(sa);
    half_open_leave(sa);
    ids_leave(sa);
    waiter_forget(ike, &sa->waiter);
    map_remove(&ike->by_spi, map_key_u64(&spi));
    heap_set(&ike->alarms, &sa->alarm.item, NSEC_NEVER);
    list_remove(&sa->of_loaded);
    list_remove(&sa->link);
    list_append(&ike->buried_sas, &sa->link);
    ike->stats.sas--;
}

static void vips_release(struct sa *sa)
{
    for (unsigned i = 0; i < sa->vip_count; i++)
        out_new(sa->ike, IKE_OUT_ADDRESS_DEL)->address.addr = sa->vips[i];
    free_later(sa->ike, sa->vips);
    sa->vips = NULL;
    sa->vip_count = 0;
    names_release(sa);
}

void sa_end(struct sa *sa, enum fault fault, const char *why)
{
    if (sa->state == DEAD) return;
    struct ike *ike = sa->ike;
    bool announce = sa->bits & WAS_ESTABLISHED && !sa->replaced_by;
    sa_set_state(sa, DEAD);
    sa_untable(sa);
    exchange_abandon(sa, sa->asking, fault, why);
    exchange_abandon(sa, sa->answering, fault, why);
    exchange_abandon(sa, sa->parked, fault, why);
    LIST_EACH (struct child, link, child, &sa->children) child_end(child, OK);
    LIST_EACH (struct task, link, task, &sa->tasks) {
        task_failed(sa, task, fault ? fault : FAULT_TERMINATED, why);
        task_drop(sa, task);
    }
    vips_release(sa);
    leases_release(sa);
    ticket_after(sa, fault);
    uint32_t command = sa->handshake ? sa->handshake->command : 0;
    if (command) command_done(ike, command, fault ? fault : FAULT_TERMINATED, why);
    if (announce) event(ike, (struct ike_event){.kind = IKE_EVENT_IKE_DOWN, .ike_id = sa->id});
    if (sa->command) command_gone(ike, sa->command);
    reauthentication_begins(sa);
}

// What is done about a child whose IKE SA went without our doing.
struct revival {
    const struct child_conf *conf;
    struct conn *conn;
    uint8_t action;
};

static void revive(struct ike *ike, const struct revival *revival)
{
    struct loaded *loaded = loaded_find(ike, revival->conn->name);
    if (!loaded) return; // unloaded meanwhile
    const struct child_conf *conf = conn_child(loaded->conn, revival->conf->name);
    if (!conf) return;
    if (revival->action == AFTER_TRAP) policy_trap(ike, loaded, conf);
    if (revival->action == AFTER_RESTART) keep_up(ike, loaded, conf);
}

// Children that are to be up, and were not yet.
static size_t wishes_collect(const struct sa *sa, struct revival *revivals)
{
    size_t count = 0;
    const struct task *running = sa->asking ? sa->asking->task : NULL;
    if (sa->state != ESTABLISHED) return 0;
    if (running && running->wish)
        revivals[count++] = (struct revival){running->conf, running->conn, AFTER_RESTART};
    LIST_EACH (const struct task, link, task, &sa->tasks)
        if (task->wish)
            revivals[count++] = (struct revival){task->conf, task->conn, AFTER_RESTART};
    return count;
}

void sa_gone(struct sa *sa, enum fault fault, const char *why)
{
    if (sa->state == DEAD) return;
    struct ike *ike = sa->ike;
    bool restarted = fault == FAULT_PEER_RESTARTED;
    bool dead_peer =
        restarted || fault == FAULT_PEER_UNREACHABLE || fault == FAULT_PEER_LIVES_NOT;
    bool superseded = fault == FAULT_SUPERSEDED || sa->replaced_by || sa->state == DELETING;
    struct revival *revivals =
        arena_array(&ike->arena, sa->child_count + sa->task_count + 1, sizeof *revivals);
    size_t count = wishes_collect(sa, revivals);
    LIST_EACH (struct child, link, child, &sa->children) {
        if (child->state != CHILD_INSTALLED && child->state != CHILD_REKEYING) continue;
        if (child->replaced_by || superseded || child->resource) continue;
        uint8_t action = dead_peer ? child->conf->dpd_action : child->conf->close_action;
        if (restarted && action == AFTER_CLEAR) action = child->conf->close_action;
        revivals[count++] = (struct revival){child->conf, child->conn, action};
    }
    if (sa->bits & WAS_ESTABLISHED && !sa->replaced_by)
        report(ike, ABOUT_SA(sa), superseded || fault == FAULT_PEER_CLOSED ? IKE_INFO : IKE_ERROR,
               fault, "IKE SA with %s is closed: %s%s%s", endpoint_text(ike, &sa->path.remote),
               fault_sentence(fault), why ? ": " : "", why ? why : "");
    sa_end(sa, fault, why);
    for (size_t i = 0; i < count; i++) revive(ike, &revivals[i]);
}

void sa_free(struct sa *sa)
{
    struct ike *ike = sa->ike;
    list_remove(&sa->link);
    map_remove(&ike->by_id, map_key_u32(&sa->id));
    exchange_free(sa->asking);
    exchange_free(sa->answering);
    exchange_free(sa->parked);
    reassembly_free(sa);
    free(sa->mobility);
    handshake_free(sa->handshake);
    secret_wipe(&sa->keys.all);
    free(sa->response.at);
    identity_free(&sa->local_id);
    identity_free(&sa->remote_id);
    free(sa->rival);
    free(sa->vips);
    free(sa->dns);
    free(sa->domains);
    free(sa->remote_vips);
    ticket_free(sa->ticket);
    mem_drop(&sa->qcd_token);
    counter_sync_free(sa);
    mem_drop(&sa->ppk_name);
    free(sa->ticket_given);
    conn_release(sa->conn);
    free(sa);
}

// --- liveness and what else comes with time

void sa_unconfirmed(struct sa *sa)
{
    sa_set_timer(sa, TIMER_CONFIRM, sa->ike->now + nsec_seconds(PEER_TRIES_SECONDS));
}

void sa_confirmed(struct sa *sa)
{
    if (sa->timers[TIMER_CONFIRM] == NSEC_NEVER) return;
    sa_set_timer(sa, TIMER_CONFIRM, NSEC_NEVER);
    if (!(sa->bits & UNCONFIRMED)) return;
    sa->bits &= ~(uint32_t)UNCONFIRMED;
    sa_set_timer(sa, TIMER_TASKS, sa->ike->now); // what had to wait
}

void sa_heard(struct sa *sa, const struct message *message, enum message_kind kind)
{
    sa->last_heard = sa->ike->now;
    sa_confirmed(sa);
    if (kind == MESSAGE_REQUEST) request_heard(sa);
    if (sa->state < ESTABLISHED) return;
    if (kind == MESSAGE_RESPONSE) path_heard(sa, &message->path);
    nat_heard_from(sa, &message->path);
}

// RFC 7296 2.4: traffic through the children proves as well as a message that the peer lives.
static nsec last_sign_of_life(const struct sa *sa)
{
    nsec last = sa->last_heard;
    LIST_EACH (const struct child, link, child, &sa->children)
        if (child->in.last_used > last && !child->strayed) last = child->in.last_used;
    return last;
}

static void liveness_due(struct sa *sa)
{
    nsec due = last_sign_of_life(sa) + sa->conn->dpd_delay;
    if (due > sa->ike->now) {
        sa_set_timer(sa, TIMER_DPD, due);
        return;
    }
    sa_set_timer(sa, TIMER_DPD, sa->ike->now + sa->conn->dpd_delay);
    if (sa->asking || sa->state != ESTABLISHED) return; // that request proves it, too
    if (sa->mobility && sa->mobility->stranded) return;
    task_add(sa, TASK_LIVENESS);
    sa_pump(sa);
}

// The peer has been silent since we answered: perhaps it never got the answer, has given up, and
// only we have what it asked for. RFC 7296 2.4: that is found out by asking.
static void confirmation_due(struct sa *sa)
{
    sa->bits &= ~(uint32_t)UNCONFIRMED;
    bool heard = sa->ike->now - last_sign_of_life(sa) < nsec_seconds(PEER_TRIES_SECONDS);
    if (!heard && sa->state == ESTABLISHED && !sa->asking && !task_find(sa, TASK_LIVENESS, 0))
        task_add(sa, TASK_LIVENESS);
    sa_pump(sa);
}

static void half_open_due(struct sa *sa)
{
    struct ike *ike = sa->ike;
    if (!sa->replaced_by) {
        report(ike, ABOUT_SA(sa), IKE_DETAIL, FAULT_HALF_OPEN_TIMEOUT,
               "connection attempt of %s is dropped: %s", endpoint_text(ike, &sa->path.remote),
               fault_sentence(FAULT_HALF_OPEN_TIMEOUT));
        alert(ike, sa, "half-open-timeout");
    }
    sa_end(sa, FAULT_HALF_OPEN_TIMEOUT, NULL);
}

static void rekey_due(struct sa *sa)
{
    if (!task_find(sa, TASK_REKEY_IKE, 0)) task_add(sa, TASK_REKEY_IKE);
    sa_set_timer(sa, TIMER_REKEY, sa->ike->now + nsec_seconds(REKEY_RETRY_SECONDS));
    sa_pump(sa);
}

static void expired(struct sa *sa)
{
    report(sa->ike, ABOUT_SA(sa), IKE_ERROR, FAULT_IKE_EXPIRED, "IKE SA is closed: %s",
           fault_sentence(FAULT_IKE_EXPIRED));
    alert(sa->ike, sa, "ike-sa-expired");
    sa_replace(sa);
}

static void timer_run(struct sa *sa, enum sa_timer timer)
{
    switch (timer) {
    case TIMER_START:
        if (attempt_is_needless(sa)) break;
        exchange_ask(sa, first_plan(sa), NULL);
        break;
    case TIMER_RETRANSMIT:
        request_retransmit(sa);
        break;
    case TIMER_HALF_OPEN:
        half_open_due(sa);
        break;
    case TIMER_TASKS:
        sa_pump(sa);
        break;
    case TIMER_REKEY:
        rekey_due(sa);
        break;
    case TIMER_REAUTH:
        reauthenticate(sa);
        break;
    case TIMER_EXPIRE:
        expired(sa);
        break;
    case TIMER_DPD:
        liveness_due(sa);
        break;
    case TIMER_KEEPALIVE:
        nat_keepalive(sa);
        break;
    case TIMER_PATH:
        path_due(sa);
        break;
    case TIMER_PARKED:
        parked_drop(sa);
        break;
    case TIMER_PMTU:
        pmtu_due(sa);
        break;
    case TIMER_CONFIRM:
        confirmation_due(sa);
        break;
    case SA_TIMERS:
        break;
    }
}

void sa_timer_fired(struct sa *sa)
{
    for (unsigned i = 0; i < SA_TIMERS; i++) {
        if (sa->timers[i] > sa->ike->now) continue;
        sa->timers[i] = NSEC_NEVER;
        timer_run(sa, (enum sa_timer)i);
        if (sa->state == DEAD) return;
    }
    alarm_set(sa->ike, &sa->alarm, sa->timers, SA_TIMERS);
}

// --- looking at it

const char *sa_state_text(const struct sa *sa)
{
    static const char *const texts[SA_STATES] = {
        [EXPECT_SA_INIT] = "CONNECTING", [EXPECT_AUTH] = "CONNECTING",
        [EXPECT_ROUND] = "CONNECTING",   [EXPECT_EAP] = "CONNECTING",
        [ESTABLISHED] = "ESTABLISHED",   [REKEYED] = "REKEYED",
        [DELETING] = "DELETING",         [DEAD] = "DELETING",
    };
    if (sa->state == ESTABLISHED && sa->asking &&
        (sa->asking->plan == &plan_rekey_ike || sa->asking->plan == plan_rekey_ike.followup))
        return "REKEYING";
    return texts[sa->state];
}
