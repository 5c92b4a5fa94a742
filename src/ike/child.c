// SPDX-License-Identifier: Apache-2.0
// Children: pairs of ESP SAs in the data plane, their lifetimes and their end.
//
// A child that replaces another by rekeying comes in by halves, so that no packet is lost
// (RFC 7296 2.8):
//
//     who asked:     both halves at once, then it deletes the old child
//     who answered:  inbound at once; outbound when the peer has deleted the old child, or has
//                    sent through the new one, or when the peer must have our answer by now
//     both:          the old inbound half is kept for a while after the old child is deleted
#include "ike/internal.h"
#include "ike/roam.h"
#include <assert.h>

enum { REKEY_RETRY_SECONDS = 20 };

struct child *child_new(struct sa *sa, struct conn *conn, const struct child_conf *conf)
{
    struct ike *ike = sa->ike;
    struct child *child = NEW(struct child);
    child->sa = sa;
    child->id = ++ike->last_child_id;
    child->state = CHILD_CREATED;
    child->alarm.owner = ALARM_CHILD;
    child->conf = conf;
    child->conn = conn_hold(conn);
    child->protocol = conf->ah.count && !conf->esp.count ? PROTOCOL_AH : PROTOCOL_ESP;
    child->mode = MODE_TUNNEL;
    child->spi_in = spi_new_child(ike);
    for (unsigned i = 0; i < CHILD_TIMERS; i++) child->timers[i] = NSEC_NEVER;
    map_put(&ike->children_by_id, map_key_u32(&child->id), child);
    map_put(&ike->children_in, map_key_u32(&child->spi_in), child);
    return child;
}

void child_set_timer(struct child *child, enum child_timer timer, nsec at)
{
    child->timers[timer] = at;
    if (child->state != CHILD_GONE)
        alarm_set(child->sa->ike, &child->alarm, child->timers, CHILD_TIMERS);
}

// --- outbound SPIs are the peers' and may be the same for several of them

static void spi_out_enter(struct child *child)
{
    child->same_spi_out =
        map_put(&child->sa->ike->children_out, map_key_u32(&child->spi_out), child);
}

static void spi_out_leave(struct child *child)
{
    struct map *map = &child->sa->ike->children_out;
    struct child *first = map_get(map, map_key_u32(&child->spi_out));
    if (first == child) {
        if (child->same_spi_out)
            map_put(map, map_key_u32(&child->spi_out), child->same_spi_out);
        else
            map_remove(map, map_key_u32(&child->spi_out));
    }
    for (struct child *at = first; at && at != child; at = at->same_spi_out)
        if (at->same_spi_out == child) at->same_spi_out = child->same_spi_out;
    child->same_spi_out = NULL;
}

struct child *child_by_spi_out(const struct sa *sa, uint8_t protocol, uint32_t spi)
{
    struct child *at = map_get(&sa->ike->children_out, map_key_u32(&spi));
    while (at && (at->sa != sa || at->protocol != protocol)) at = at->same_spi_out;
    return at;
}

struct child *child_by_spi_in(const struct sa *sa, uint8_t protocol, uint32_t spi)
{
    struct child *child = map_get(&sa->ike->children_in, map_key_u32(&spi));
    return child && child->sa == sa && child->protocol == protocol ? child : NULL;
}

struct child *child_by_name(const struct sa *sa, const char *name)
{
    LIST_EACH (struct child, link, child, &sa->children) {
        bool in_use = child->state == CHILD_INSTALLED || child->state == CHILD_REKEYING;
        if (in_use && strcmp(child->conf->name, name) == 0) return child;
    }
    return NULL;
}

// --- into the data plane

void policy_child_path(const struct child *child, struct path *path)
{
    const struct sa *sa = child->sa;
    *path = sa->mobility ? sa->mobility->carried : sa->path;
    path->encap = nat_encap(sa);
}

static uint8_t dscp_of(uint8_t bits)
{
    static const uint8_t of[] = {DSCP_COPY_NONE, DSCP_COPY_OUT, DSCP_COPY_IN, DSCP_COPY_BOTH};
    return of[bits & 3];
}

// RFC 4303 2.7: only an inner packet that says how long it is can be told from what follows it.
static uint16_t padding_of(const struct child *child)
{
    bool possible = child->mode == MODE_TUNNEL && child->protocol == PROTOCOL_ESP;
    return possible && !child->takes_no_padding ? child->conf->tfc_padding : 0;
}

static void half_add(struct child *child, enum sa_direction direction, struct bytes keys)
{
    struct ike *ike = child->sa->ike;
    size_t encr, integ;
    keymat_child_sizes(&child->suite, &encr, &integ);
    assert(keys.size == encr + integ);
    struct sa_spec *spec = &out_new(ike, IKE_OUT_SA_ADD)->sa_add;
    struct bytes kept = secret_for_step(ike, keys);
    bool in = direction == SA_IN;
    *spec = (struct sa_spec){
        .spi = in ? child->spi_in : child->spi_out,
        .direction = (uint8_t)direction,
        .protocol = child->protocol,
        .mode = child->mode,
        .esn = child->suite.sn == SN_EXTENDED,
        .encr = child->suite.encr,
        .key_bits = child->suite.key_bits,
        .integ = child->suite.integ,
        .policy = child->policy->number,
        .replay_window = child->conf->replay_window,
        .copy_dscp = dscp_of(child->conf->copy_dscp),
        .copy_df = child->conf->copy_df ? DF_COPY : DF_CLEAR,
        .copy_ecn = child->conf->copy_ecn ? ECN_COPY : ECN_NONE,
        .tfc_padding = in ? 0 : padding_of(child),
        .cpi = in ? child->cpi_in : child->cpi_out,
        .resource = in ? 0 : child->resource,
        .resources = in ? 0 : (uint16_t)percpu_spread(child),
        .if_id = in ? child->policy->if_id_in : 0,
        .path_mtu = child->sa->pmtu.current,
        .tcp_mss = child->conf->tcp_mss,
        .fragments = child->conf->fragments,
        .icmp = child->conf->icmp && (child->mode == MODE_TUNNEL || child->mode == MODE_IPTFS),
        .mark = in ? 0 : child->conf->mark_sealed,
        .partner_spi = in ? child->spi_out : child->spi_in,
        .encr_key = bytes_of(kept.at, encr),
        .integ_key = bytes_of(kept.at + encr, integ),
    };
    iptfs_spec(child, direction, &spec->iptfs);
    policy_sides(child->policy, &spec->local, &spec->remote);
    policy_child_path(child, &spec->path);
    keylog_child(child, direction, spec->encr_key, spec->integ_key);
    child->halves |= in ? CHILD_HAS_IN : CHILD_HAS_OUT;
    if (!in && mode_is_on_demand(child->conf)) policy_waken(child->policy);
}

static void half_del(struct child *child, enum sa_direction direction)
{
    uint8_t half = direction == SA_IN ? CHILD_HAS_IN : CHILD_HAS_OUT;
    if (!(child->halves & half)) return;
    child->halves &= (uint8_t)~half;
    struct ike_out *out = out_new(child->sa->ike, IKE_OUT_SA_DEL);
    out->sa_del.spi = direction == SA_IN ? child->spi_in : child->spi_out;
    out->sa_del.direction = (uint8_t)direction;
    struct path path;
    policy_child_path(child, &path);
    out->sa_del.remote = path.remote.addr;
    out->sa_del.mark = direction == SA_OUT ? child->conf->mark_sealed : 0;
}

static uint64_t soft_limit(struct ike *ike, uint64_t limit, uint64_t random)
{
    return (uint64_t)jitter(ike, (nsec)(limit > INT64_MAX ? INT64_MAX : limit),
                            (nsec)(random > INT64_MAX ? INT64_MAX : random));
}

static void lifetimes_start(struct child *child)
{
    struct ike *ike = child->sa->ike;
    const struct child_conf *conf = child->conf;
    child->installed = ike->now;
    child->rekey_bytes = soft_limit(ike, conf->rekey_bytes, conf->rand_bytes);
    child->rekey_packets = soft_limit(ike, conf->rekey_packets, conf->rand_packets);
    if (conf->rekey_time)
        child_set_timer(child, CHILD_TIMER_REKEY,
                        ike->now + jitter(ike, conf->rekey_time, conf->rand_time));
    if (conf->life_time) child_set_timer(child, CHILD_TIMER_EXPIRE, ike->now + conf->life_time);
    nsec inactivity = mode_inactivity(child);
    if (inactivity) child_set_timer(child, CHILD_TIMER_INACTIVE, ike->now + inactivity);
}

// RFC 2410, RFC 4543: only who asks for it by name gets it, and is told.
static void encryption_announce(const struct child *child)
{
    uint16_t encr = child->suite.encr;
    if (child->protocol != PROTOCOL_ESP) return; // AH never does
    if (encr != ENCR_NULL && encr != ENCR_NULL_AES_GMAC) return;
    report(child->sa->ike, ABOUT_CHILD(child), IKE_INFO, FAULT_NOT_ENCRYPTED, "%s",
           fault_sentence(FAULT_NOT_ENCRYPTED));
}

static void announce(struct child *child)
{
    struct ike *ike = child->sa->ike;
    const struct child *old = child_by_id(ike, child->replaces);
    struct path path;
    struct selectors local, remote;
    policy_sides(child->policy, &local, &remote);
    policy_child_path(child, &path);
    report(ike, ABOUT_CHILD(child), IKE_INFO, OK,
           "child %s with SPIs %08x_i %08x_o (%s, %s%s) for %s === %s",
           old ? "rekeyed" : "established", child->spi_in, child->spi_out,
           suite_text(ike, &child->suite), mode_text(child->mode), path.stream ? ", over TCP" : path.encap ? ", in UDP" : "",
           selectors_text(ike, &local), selectors_text(ike, &remote));
    if (!old) encryption_announce(child);
    if (!old) mode_announce(child);
    if (!old) ipcomp_announce(child);
    if (!old) percpu_announce(child);
    event(ike, (struct ike_event){
                   .kind = old ? IKE_EVENT_CHILD_REKEYED : IKE_EVENT_CHILD_UP,
                   .ike_id = child->sa->id,
                   .child_id = child->id,
                   .old_ike_id = old ? child->sa->id : 0,
                   .old_child_id = old ? old->id : 0,
               });
    if (old) count(ike, child->sa, COUNT_CHILD_REKEY);
}

// Keys of what the exchange's initiator sends come first.
void child_install(struct exchange *x, struct secret *keymat, enum child_install how)
{
    struct child *child = x->child;
    struct sa *sa = x->sa;
    size_t half = keymat->size / 2;
    bool we_asked = x->part != PART_ANSWER;
    struct bytes first = bytes_of(keymat->at, half), second = bytes_of(keymat->at + half, half);
    struct child *old = child_by_id(sa->ike, child->replaces);
    struct path path;

    x->child = NULL;
    child->mode = x->mode;
    child->mode_why = x->mode_why;
    child->takes_no_padding = x->takes_no_padding;
    child->cpi_in = x->cpi_in;
    child->cpi_out = x->cpi_out;
    child->per_resource = x->per_resource;
    child->resource = x->resource;
    child->peer_takes_whole = x->peer_takes_whole;
    child->peer_wants_reports = x->peer_wants_reports;
    child->suite = x->suite;
    list_append(&sa->children, &child->link);
    sa->child_count++;
    sa->ike->stats.children++;
    spi_out_enter(child);
    policy_child_path(child, &path);
    child->policy = old ? old->policy
                        : policy_for(sa, child->conn, child->conf, x->local, x->remote);
    // Where another child is in use for the same traffic (reauthentication) the change is made
    // without loss as in rekeying.
    if (child->policy->users && !we_asked) how = INSTALL_INBOUND;
    policy_taken_over(child->policy, sa);
    policy_use(child->policy, x->local, x->remote, &path, x->mode);

    child->state = CHILD_INSTALLED;
    half_add(child, SA_IN, we_asked ? second : first);
    if (how == INSTALL_BOTH) {
        half_add(child, SA_OUT, we_asked ? first : second);
    } else {
        secret_set(&child->keys_out, we_asked ? first : second);
        if (!child->resource) child->policy->coming = child->id;
        if (!child->awaits_rival)
            child_set_timer(child, CHILD_TIMER_OUTBOUND,
                            sa->ike->now + nsec_seconds(PEER_TRIES_SECONDS));
    }
    lifetimes_start(child);
    announce(child);
}

void child_install_outbound(struct child *child)
{
    child_set_timer(child, CHILD_TIMER_OUTBOUND, NSEC_NEVER);
    if (!child->keys_out.at || child->doomed) return;
    half_add(child, SA_OUT, secret_bytes(&child->keys_out));
    secret_wipe(&child->keys_out);
}

void child_rival_settled(struct child *child)
{
    child->awaits_rival = false;
    if (child->keys_out.at)
        child_set_timer(child, CHILD_TIMER_OUTBOUND,
                        child->sa->ike->now + nsec_seconds(PEER_TRIES_SECONDS));
}

// --- out of it

static void child_delete(struct child *child);

void child_replaced(struct child *old, struct child *by)
{
    old->replaced_by = by->id;
    if (old->state == CHILD_INSTALLED || old->state == CHILD_REKEYING) old->state = CHILD_REKEYED;
    child_set_timer(old, CHILD_TIMER_REKEY, NSEC_NEVER);
    child_set_timer(old, CHILD_TIMER_INACTIVE, NSEC_NEVER);
    if (!old->command) return;
    by->command = old->command; // whoever wants it closed means what it is now
    old->command = 0;
    child_delete(by);
}

// We have asked the peer to delete it: nothing is sent through it any more.
void child_deleting(struct child *child)
{
    struct child *by = child_by_id(child->sa->ike, child->replaced_by);
    if (by) child_install_outbound(by);
    half_del(child, SA_OUT);
    child->state = CHILD_DELETING;
    for (unsigned i = 0; i < CHILD_TIMERS; i++) child->timers[i] = NSEC_NEVER;
    child_set_timer(child, CHILD_TIMER_GONE, NSEC_NEVER);
}

// The peer has deleted it at our request.
void child_deleted(struct child *child)
{
    report(child->sa->ike, ABOUT_CHILD(child), IKE_INFO, OK, "child is closed");
    child_end(child, OK);
}

// Packets that were under way when the peer stopped using it are still taken.
void child_linger(struct child *child)
{
    struct child *by = child_by_id(child->sa->ike, child->replaced_by);
    if (by) child_install_outbound(by);
    half_del(child, SA_OUT);
    child->state = CHILD_DELETING;
    for (unsigned i = 0; i < CHILD_TIMERS; i++) child->timers[i] = NSEC_NEVER;
    child_set_timer(child, CHILD_TIMER_GONE,
                    child->sa->ike->now + child->sa->ike->settings.delete_delay);
}

// The policy's next child is not used yet and this one goes: now it is.
static void coming_install(const struct child *child)
{
    struct child *next = child->policy ? child_by_id(child->sa->ike, child->policy->coming) : NULL;
    if (next && next != child && next->state == CHILD_INSTALLED && !next->awaits_rival &&
        child->halves & CHILD_HAS_OUT && !child->resource)
        child_install_outbound(next);
}

void child_end(struct child *child, enum fault fault)
{
    if (child->state == CHILD_GONE) return;
    struct ike *ike = child->sa->ike;
    bool was_up = child->policy && !child->replaced_by && !child->doomed;
    if (was_up && fault)
        report(ike, ABOUT_CHILD(child), IKE_ERROR, fault, "child is closed: %s",
               fault_sentence(fault));
    coming_install(child);
    half_del(child, SA_OUT);
    half_del(child, SA_IN);
    heap_set(&ike->alarms, &child->alarm.item, NSEC_NEVER);
    map_remove(&ike->children_in, map_key_u32(&child->spi_in));
    if (child->policy) {
        spi_out_leave(child);
        policy_release(child->policy);
        child->sa->child_count--;
        ike->stats.children--;
        list_remove(&child->link);
    }
    child->state = CHILD_GONE;
    list_append(&ike->buried_children, &child->link);
    if (was_up)
        event(ike, (struct ike_event){.kind = IKE_EVENT_CHILD_DOWN,
                                      .ike_id = child->sa->id,
                                      .child_id = child->id});
    if (child->command) command_gone(ike, child->command);
}

void child_act_closed(struct ike *ike, const struct conn *conn, const struct child_conf *conf)
{
    struct loaded *loaded = loaded_find(ike, conn->name);
    conf = loaded ? conn_child(loaded->conn, conf->name) : NULL;
    if (!conf) return;
    if (conf->close_action == AFTER_TRAP) policy_trap(ike, loaded, conf);
    if (conf->close_action == AFTER_RESTART) keep_up(ike, loaded, conf);
}

// A new child goes before the old one went: whoever asked for it could not use it, and goes on with
// the old one.
static void old_restore(const struct child *fresh)
{
    struct child *old = child_by_id(fresh->sa->ike, fresh->replaces);
    if (fresh->doomed || !old || old->replaced_by != fresh->id || old->state != CHILD_REKEYED)
        return;
    old->replaced_by = 0;
    old->state = CHILD_INSTALLED;
    child_set_timer(old, CHILD_TIMER_REKEY, old->sa->ike->now + nsec_seconds(REKEY_RETRY_SECONDS));
}

// The peer closed it, or it ended by itself. While our rekeying of it is open that decides whether
// it is closed at all.
void child_closed(struct child *child)
{
    struct ike *ike = child->sa->ike;
    const struct child_conf *conf = child->conf;
    const struct conn *conn = child->conn;
    struct exchange *ours = child->sa->asking;
    bool act = !child->replaced_by && !child->doomed && child->state != CHILD_DELETING;
    bool rekeying = act && child->state == CHILD_REKEYING && ours && ours->old_id == child->id;
    if (rekeying) ours->old_closed = child->command ? OLD_UNWANTED : OLD_CLOSED;
    if (rekeying || child->command || child->resource) act = false;
    percpu_gone(child);
    if (!child->command) old_restore(child);
    child_end(child, OK);
    if (act) child_act_closed(ike, conn, conf);
}

void child_abandon(struct exchange *x)
{
    struct child *child = x->child;
    x->child = NULL;
    if (!child) return;
    uint8_t made_by = x->round ? PAYLOAD_KE : PAYLOAD_SA;
    bool last = !round_after(&x->suite, x->round);
    if (x->part == PART_CONCLUDE && x->in.payloads && last && message_first(&x->in, made_by)) {
        struct task *task = task_add(x->sa, TASK_DELETE_SPI);
        task->spi = child->spi_in;
        task->protocol = child->protocol;
    }
    child_end(child, OK);
}

void child_free(struct child *child)
{
    list_remove(&child->link);
    map_remove(&child->sa->ike->children_by_id, map_key_u32(&child->id));
    secret_wipe(&child->keys_out);
    free(child->rival);
    conn_release(child->conn);
    free(child);
}

// --- what the data plane says

void child_moved(struct child *child, const struct path *former)
{
    struct path path;
    policy_child_path(child, &path);
    child->strayed = false;
    if (child->policy) child->policy->path = path;
    for (unsigned i = 0; i < 2; i++) {
        uint8_t direction = i ? SA_OUT : SA_IN;
        if (!(child->halves & (i ? CHILD_HAS_OUT : CHILD_HAS_IN))) continue;
        struct ike_out *out = out_new(child->sa->ike, IKE_OUT_SA_MOVE);
        out->sa_move.spi = i ? child->spi_out : child->spi_in;
        out->sa_move.direction = direction;
        out->sa_move.path = path;
        out->sa_move.former = *former;
        out->sa_move.mark = i ? child->conf->mark_sealed : 0;
    }
}

static void rekey_wanted(struct child *child)
{
    struct sa *sa = child->sa;
    if (child->state != CHILD_INSTALLED || child->replaced_by) return;
    if (!task_find(sa, TASK_REKEY_CHILD, child->id))
        task_add(sa, TASK_REKEY_CHILD)->child_id = child->id;
    sa_pump(sa);
}

static void child_delete(struct child *child)
{
    struct sa *sa = child->sa;
    if (child->state == CHILD_DELETING || task_find(sa, TASK_DELETE_CHILD, child->id)) return;
    task_add(sa, TASK_DELETE_CHILD)->child_id = child->id;
    sa_pump(sa);
}

static bool beyond(uint64_t limit, uint64_t in, uint64_t out)
{
    return limit && (in >= limit || out >= limit);
}

static void limits_check(struct child *child)
{
    const struct child_conf *conf = child->conf;
    if (beyond(conf->life_bytes, child->in.bytes, child->out.bytes) ||
        beyond(conf->life_packets, child->in.packets, child->out.packets)) {
        report(child->sa->ike, ABOUT_CHILD(child), IKE_ERROR, FAULT_CHILD_EXPIRED,
               "child is closed: %s", fault_sentence(FAULT_CHILD_EXPIRED));
        child_delete(child);
    } else if (beyond(child->rekey_bytes, child->in.bytes, child->out.bytes) ||
               beyond(child->rekey_packets, child->in.packets, child->out.packets)) {
        rekey_wanted(child);
    }
}

static struct child *child_of_plane(struct ike *ike, const struct ike_plane *plane)
{
    uint32_t spi = plane->spi ? plane->spi : plane->usage.spi;
    if (plane->usage.direction != SA_OUT) {
        struct child *child = map_get(&ike->children_in, map_key_u32(&spi));
        if (child || plane->usage.direction == SA_IN) return child;
    }
    struct child *at = map_get(&ike->children_out, map_key_u32(&spi));
    while (at && at->same_spi_out && plane->policy && at->policy->number != plane->policy)
        at = at->same_spi_out;
    return at;
}

static void usage_take(struct child *child, const struct sa_usage *usage)
{
    if (usage->direction == SA_OUT) {
        child->out = *usage;
    } else {
        child->in = *usage;
        // The peer uses the new child, so it has both halves.
        if (usage->packets && child->keys_out.at && !child->awaits_rival)
            child_install_outbound(child);
    }
    if (child->state == CHILD_INSTALLED) limits_check(child);
}

void child_usage(struct ike *ike, const struct ike_plane *plane)
{
    struct child *child = child_of_plane(ike, plane);
    if (!child || child->state == CHILD_CREATED || child->state == CHILD_GONE) return;
    // RFC 7296 2.4: packets of a child prove that the peer is there, as messages do.
    bool heard = plane->usage.direction == SA_IN && plane->usage.packets > child->in.packets;
    if (plane->kind == IKE_PLANE_USAGE && heard && !child->strayed) request_heard(child->sa);
    if (plane->kind == IKE_PLANE_USAGE)
        usage_take(child, &plane->usage);
    else if (plane->kind == IKE_PLANE_SEQUENCE_LOW)
        rekey_wanted(child);
    // An authentic packet of ESP came from elsewhere: whether the peer has moved there an exchange
    // shall prove.
    else if (plane->kind == IKE_PLANE_PEER_MOVED)
        nat_child_moved(child, &plane->from);
}

void child_plane_failed(struct ike *ike, const struct ike_plane *plane)
{
    struct child *child = child_of_plane(ike, plane);
    enum fault fault = plane->fault ? plane->fault : FAULT_SA_PARAMETERS;
    if (!child || child->state == CHILD_GONE) {
        report(ike, (struct subject){0}, IKE_ERROR, fault,
               "the data plane refused policy %u or SPI %08x: %s", plane->policy, plane->spi,
               fault_sentence(fault));
        return;
    }
    report(ike, ABOUT_CHILD(child), IKE_ERROR, fault, "the data plane refused the child: %s",
           fault_sentence(fault));
    alert(ike, child->sa, "install-child-sa-failed");
    child_delete(child);
}

// --- time

static void inactive_due(struct child *child)
{
    nsec last = child->installed;
    if (child->in.last_used > last) last = child->in.last_used;
    if (child->out.last_used > last) last = child->out.last_used;
    if (percpu_is_needed(child)) last = child->sa->ike->now;
    nsec due = last + mode_inactivity(child);
    if (due > child->sa->ike->now) {
        child_set_timer(child, CHILD_TIMER_INACTIVE, due);
        return;
    }
    report(child->sa->ike, ABOUT_CHILD(child), IKE_INFO, FAULT_CHILD_INACTIVE,
           "child is closed: %s", fault_sentence(FAULT_CHILD_INACTIVE));
    child_delete(child);
}

static void timer_run(struct child *child, enum child_timer timer)
{
    switch (timer) {
    case CHILD_TIMER_REKEY:
        child_set_timer(child, CHILD_TIMER_REKEY,
                        child->sa->ike->now + nsec_seconds(REKEY_RETRY_SECONDS));
        rekey_wanted(child);
        break;
    case CHILD_TIMER_EXPIRE:
        report(child->sa->ike, ABOUT_CHILD(child), IKE_ERROR, FAULT_CHILD_EXPIRED,
               "child is closed: %s", fault_sentence(FAULT_CHILD_EXPIRED));
        child_delete(child);
        break;
    case CHILD_TIMER_OUTBOUND:
        child_install_outbound(child);
        break;
    case CHILD_TIMER_GONE:
        child_end(child, OK);
        break;
    case CHILD_TIMER_INACTIVE:
        inactive_due(child);
        break;
    case CHILD_TIMERS:
        break;
    }
}

void child_timer_fired(struct child *child)
{
    for (unsigned i = 0; i < CHILD_TIMERS; i++) {
        if (child->timers[i] > child->sa->ike->now) continue;
        child->timers[i] = NSEC_NEVER;
        timer_run(child, (enum child_timer)i);
        if (child->state == CHILD_GONE) return;
    }
    alarm_set(child->sa->ike, &child->alarm, child->timers, CHILD_TIMERS);
}

const char *child_state_text(const struct child *child)
{
    static const char *const texts[] = {"",        "CREATED",  "INSTALLED", "REKEYING",
                                        "REKEYED", "DELETING", "DELETING"};
    return texts[child->state];
}
