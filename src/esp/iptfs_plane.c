// SPDX-License-Identifier: Apache-2.0
// IP-TFS (RFC 9347) in the plane: SAs in aggregation and fragmentation mode. What is sealed or
// opened is only gathered by plane_seal() and plane_open(); plane_more() makes of it what goes out,
// in packets of our own:
//
//     seal            the burst's packets of one SA --> payloads, full but the last
//     seal, a delay   copied into the SA's queue    --> the same, when there is a full one or soon
//     seal, a rate    copied into the SA's queue    --> at each tick one payload, always full
//     seal, reports   a rate that follows the peer's reports, or reports alone: iptfs_congestion.c
//     open            payloads in their order       --> inner packets
//
// A child of constant rate sends at its SA's pace from the first moment on, padding when there is
// nothing to send. When keys are replaced the old SA sends what it has queued and falls silent.
#include "esp/internal.h"
#include <stddef.h>

enum { QUEUE_SIZE = 256 * 1024, QUEUE_SPACE = 2 * QUEUE_SIZE };

// In the heap and never due: so no timer needs memory while packets are under way.
#define TIMER_IDLE (NSEC_NEVER - 1)

// --- making and ending

static void made_room(struct plane *plane)
{
    struct iptfs_plane *own = &plane->iptfs;
    if (own->made) return;
    own->made = mem_array(BURST_MAX, sizeof *own->made);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        own->made[i].space = mem_new(IPTFS_BUFFER);
        own->made[i].room = IPTFS_BUFFER;
    }
    plane->stats.bytes_memory += BURST_MAX * (sizeof *own->made + IPTFS_BUFFER);
}

static size_t iptfs_memory(const struct iptfs *iptfs)
{
    size_t slots = iptfs->in.window ? iptfs->in.window + 1 : 0;
    return sizeof *iptfs + (iptfs->in.space ? IPTFS_BUFFER : 0) + slots * IPTFS_KEPT_MAX +
           (iptfs->queue ? QUEUE_SPACE : 0) + (iptfs->reporter ? sizeof *iptfs->reporter : 0);
}

void iptfs_new(struct plane *plane, struct sa_run *run, const struct sa_spec *spec)
{
    struct iptfs *iptfs = run->sa->iptfs = NEW(struct iptfs);
    made_room(plane);
    iptfs->run = run;
    iptfs->packet_size = iptfs->wanted_size = spec->iptfs.packet_size;
    iptfs->whole = spec->iptfs.whole;
    iptfs->dscp = spec->iptfs.dscp;
    iptfs->flush_at = TIMER_IDLE;
    if (spec->iptfs.reports) iptfs->reporter = reporter_new(spec);
    nsec at = TIMER_IDLE;
    if (spec->direction == SA_IN) {
        iptfs->patience = nsec_ms(spec->iptfs.drop_time);
        iptfs_in_init(&iptfs->in, spec->iptfs.reorder_window);
    } else if (spec->iptfs.rate || spec->iptfs.init_delay || spec->iptfs.reports) {
        iptfs->rate = spec->iptfs.rate;
        iptfs->patience = (nsec)spec->iptfs.init_delay * 1000;
        iptfs->queue = mem_new(QUEUE_SPACE);
        if (iptfs->rate) at = 0;
    }
    heap_set(&plane->iptfs.timers, &iptfs->timer, at);
    plane->stats.bytes_memory += iptfs_memory(iptfs);
}

void iptfs_free(struct plane *plane, struct sa_run *run)
{
    struct iptfs *iptfs = run->sa->iptfs;
    struct iptfs_plane *own = &plane->iptfs;
    if (!iptfs) return;
    plane->stats.bytes_memory -= iptfs_memory(iptfs);
    heap_set(&own->timers, &iptfs->timer, NSEC_NEVER);
    for (unsigned i = own->work_next; i < own->work_count; i++)
        if (own->work[i].run == run) own->work[i].run = NULL;
    iptfs_in_wipe(&iptfs->in);
    if (iptfs->queue) memory_wipe(iptfs->queue, QUEUE_SPACE);
    free(iptfs->queue);
    free(iptfs->reporter);
    free(iptfs);
    run->sa->iptfs = NULL;
}

void iptfs_wipe(struct plane *plane)
{
    struct iptfs_plane *own = &plane->iptfs;
    for (unsigned i = 0; own->made && i < BURST_MAX; i++) {
        memory_wipe(own->made[i].space, IPTFS_BUFFER);
        free(own->made[i].space);
    }
    free(own->made);
    heap_wipe(&own->timers);
}

static void made_reset(struct packet *packet)
{
    *packet = (struct packet){
        .space = packet->space, .room = packet->room, .at = packet->space + PACKET_HEAD};
}

// --- the mode

// RFC 9347 2.2.5: a payload holds packets of several kinds, so nothing of theirs is copied to the
// outer header; its DS field is the user's choice.
static enum fault iptfs_wrap(const struct sa_run *run, struct packet *packet, uint8_t *next_header)
{
    packet->tos = (uint8_t)(run->sa->iptfs->dscp << 2);
    packet->df = copy_df(run->copy) == DF_SET;
    *next_header = IPPROTO_NUMBER_AGGFRAG;
    return OK;
}

static enum fault iptfs_check(const struct sa_spec *spec)
{
    const struct sa_iptfs *iptfs = &spec->iptfs;
    if (spec->direction == SA_IN)
        return iptfs->reorder_window > IPTFS_REORDER_MAX || iptfs->drop_time > IPTFS_DROP_TIME_MAX
                   ? FAULT_SA_PARAMETERS
                   : OK;
    bool adapts_alone = iptfs->congestion && !(iptfs->reports && iptfs->rate);
    return iptfs->packet_size < IPTFS_PACKET_SIZE_MIN || iptfs->rate > IPTFS_RATE_MAX ||
                   iptfs->init_delay > IPTFS_INIT_DELAY_MAX || adapts_alone || iptfs->dscp > 63
               ? FAULT_SA_PARAMETERS
               : OK;
}

const struct esp_mode iptfs_mode = {.wrap = iptfs_wrap, .check = iptfs_check};

// --- sealing

static uint32_t head_size(const struct iptfs *iptfs)
{
    return iptfs->reporter ? IPTFS_HEADER_CC : IPTFS_HEADER;
}

uint32_t iptfs_room(const struct sa_run *run)
{
    uint32_t around = ip_header_size(run->out.remote.addr.family) + ESP_HEADER + run->iv_size +
                      run->icv_size + (run->flags & SA_ENCAP ? (uint32_t)UDP_HEADER : 0);
    uint32_t room = (run->sa->iptfs->packet_size - around) & ~(run->align - 1u);
    room -= ESP_TRAILER + head_size(run->sa->iptfs);
    assert(room > IPTFS_FRAGMENT_MIN);
    return room;
}

static struct iptfs_work *work_add(struct plane *plane, struct sa_run *run, struct packet *packet)
{
    struct iptfs_plane *own = &plane->iptfs;
    if (own->work_next == own->work_count) own->work_next = own->work_count = 0;
    assert(own->work_count < BURST_MAX);
    struct iptfs_work *work = &own->work[own->work_count++];
    *work = (struct iptfs_work){.run = run, .packet = packet};
    packet->verdict = VERDICT_GATHERED;
    return work;
}

static enum fault queue_add(struct iptfs *iptfs, const struct packet *packet)
{
    uint32_t queued = iptfs->last - iptfs->first;
    bool fixed = iptfs->whole && iptfs->rate;
    if (fixed && packet->size > iptfs_room(iptfs->run)) return FAULT_PACKET_TOO_LARGE;
    if (queued + packet->size > QUEUE_SIZE) return FAULT_IPTFS_QUEUE_FULL;
    if (iptfs->last + packet->size > QUEUE_SPACE) {
        memcpy(iptfs->queue, iptfs->queue + iptfs->first, queued);
        iptfs->first = 0;
        iptfs->last = queued;
    }
    memcpy(iptfs->queue + iptfs->last, packet->at, packet->size);
    iptfs->last += packet->size;
    return OK;
}

static bool queue_is_full(const struct iptfs *iptfs)
{
    return iptfs->last - iptfs->first >= iptfs_room(iptfs->run);
}

// Without a rate the timer says until when others are waited for.
static void delay_set(struct plane *plane, nsec now, struct iptfs *iptfs)
{
    if (iptfs->flush_at == TIMER_IDLE) iptfs->flush_at = now + iptfs->patience;
    nsec at = queue_is_full(iptfs) ? now : iptfs->flush_at;
    if (iptfs->reporter && iptfs->reporter->report_at < at) at = iptfs->reporter->report_at;
    if (at != iptfs->timer.at) heap_set(&plane->iptfs.timers, &iptfs->timer, at);
}

void iptfs_seal(struct plane *plane, nsec now, struct sa_run *run, struct packet *packet)
{
    struct iptfs *iptfs = run->sa->iptfs;
    packet->spi = run->spi;
    if (!iptfs->queue) {
        (void)work_add(plane, run, packet);
        return;
    }
    enum fault fault = queue_add(iptfs, packet);
    if (fault) {
        packet_drop(plane, packet, fault);
        return;
    }
    packet->verdict = VERDICT_GATHERED;
    if (!iptfs->rate)
        delay_set(plane, now, iptfs);
    else if (iptfs->timer.at == TIMER_IDLE)
        heap_set(&plane->iptfs.timers, &iptfs->timer, now);
}

struct filled { // inner packets that have gone for good
    uint64_t bytes, packets;
};

static bool work_goes_on(const struct iptfs_plane *own, const struct sa_run *run)
{
    return own->work_next < own->work_count && own->work[own->work_next].run == run;
}

// One payload from the packets of a burst. RFC 9347 2.2.3: fragments go in payloads that follow
// each other.
static void work_fill(struct iptfs_plane *own, const struct sa_run *run, struct packet *packet,
                      struct filled *filled)
{
    struct iptfs_payload payload;
    const struct packet *inner = own->work[own->work_next].packet;
    uint32_t room = iptfs_room(run), left = own->work_done ? inner->size - own->work_done : 0;
    // To a peer that takes no fragments a large packet goes in one that is cut by IP itself.
    bool whole = run->sa->iptfs->whole;
    if (whole && inner->size > room) room = inner->size;
    iptfs_begin(&payload, packet->at, room, whole, left);
    while (work_goes_on(own, run)) {
        inner = own->work[own->work_next].packet;
        struct bytes rest = bytes_of(inner->at + own->work_done, inner->size - own->work_done);
        uint32_t took = iptfs_add(&payload, rest, own->work_done);
        own->work_done += took;
        if (!took || own->work_done < inner->size) break;
        filled->bytes += inner->size;
        filled->packets++;
        own->work_done = 0;
        own->work_next++;
    }
    if (!whole && work_goes_on(own, run)) iptfs_pad(&payload);
    packet->size = IPTFS_HEADER + payload.size;
}

// To a peer that takes no fragments a large packet goes in one that is cut by IP itself, unless all
// are of one size: then it cannot go, since the path has become narrower when it was queued.
static uint32_t queue_room(struct plane *plane, struct iptfs *iptfs)
{
    uint32_t room = iptfs_room(iptfs->run);
    while (iptfs->whole && iptfs->first < iptfs->last) {
        uint32_t total = ip_total(iptfs->queue + iptfs->first);
        if (total <= room) break;
        if (!iptfs->rate) return total;
        plane->stats.dropped[FAULT_PACKET_TOO_LARGE]++;
        iptfs->first += total;
    }
    return room;
}

static void queue_begin(struct plane *plane, nsec now, struct iptfs *iptfs,
                        struct iptfs_payload *payload, uint8_t *at)
{
    uint32_t room = queue_room(plane, iptfs);
    if (!iptfs->reporter) {
        iptfs_begin(payload, at, room, iptfs->whole, iptfs->left);
        return;
    }
    iptfs_begin_report(payload, at, room, iptfs->whole, iptfs->left);
    congestion_tell(plane, now, iptfs, at);
}

// One payload from the queue; where a rate is kept always a full one.
static void queue_fill(struct plane *plane, nsec now, struct iptfs *iptfs, struct packet *packet,
                       struct filled *filled)
{
    struct iptfs_payload payload;
    queue_begin(plane, now, iptfs, &payload, packet->at);
    while (iptfs->first < iptfs->last) {
        const uint8_t *at = iptfs->queue + iptfs->first;
        bool begun = iptfs->left;
        uint32_t total = ip_total(at), size = begun ? iptfs->left : total;
        uint32_t took = iptfs_add(&payload, bytes_of(at, size), begun);
        iptfs->first += took;
        iptfs->left = took ? size - took : 0;
        if (!took || iptfs->left) break;
        filled->bytes += size;
        filled->packets++;
    }
    bool more = iptfs->first < iptfs->last && !iptfs->whole;
    // RFC 9347 2.2.3: what only reports is a block of padding all the same.
    if (!payload.size && !iptfs->rate) payload.room = 1;
    if (iptfs->rate || more || !payload.size) iptfs_pad(&payload);
    packet->size = head_size(iptfs) + payload.size;
}

static bool report_is_due(const struct iptfs *iptfs, nsec now)
{
    return iptfs->reporter && now >= iptfs->reporter->report_at;
}

static bool more_goes(const struct iptfs_plane *own, const struct iptfs *iptfs, nsec now)
{
    if (!iptfs->queue) return work_goes_on(own, iptfs->run);
    if (iptfs->rate || report_is_due(iptfs, now)) return true;
    return now >= iptfs->flush_at ? iptfs->first < iptfs->last : queue_is_full(iptfs);
}

// Fills up to `most` packets and seals them; returns how many.
static size_t made_seal(struct plane *plane, nsec now, struct sa_run *run, size_t most,
                        struct packet **packets)
{
    struct iptfs_plane *own = &plane->iptfs;
    struct iptfs *iptfs = run->sa->iptfs;
    struct filled filled = {0};
    size_t count = 0;
    for (size_t i = 0; i < most && more_goes(own, iptfs, now); i++) {
        struct packet *packet = packets[count] = &own->made[count];
        made_reset(packet);
        if (iptfs->queue)
            queue_fill(plane, now, iptfs, packet, &filled);
        else
            work_fill(own, run, packet, &filled);
        packet->spi = run->spi;
        packet->policy = run->policy;
        enum fault fault =
            packet_frame(plane, run, &iptfs_mode, packet, &plane->burst.batch[count]);
        if (fault) {
            packet_drop(plane, packet, fault);
            continue;
        }
        outer_set(run, packet);
        count++;
    }
    // Padding is sealed, too, where no inner packet has led here yet.
    if (count) {
        if (run->flags & SA_KEPT) (void)run_expand_key(plane, run);
        batch_seal(run->key, plane->burst.batch, count);
    }
    group_sealed(plane, now, run, filled.bytes, filled.packets);
    plane->stats.iptfs_sealed += count;
    return count;
}

// --- the constant rate

// How many packets are due; those that could not be sent in time are not made up for later.
static size_t paced_due(struct iptfs *iptfs, nsec now, nsec *next)
{
    if (iptfs->slots >= iptfs->rate) {
        iptfs->started += NSEC_PER_SECOND;
        iptfs->slots -= iptfs->rate;
    }
    nsec passed = now - iptfs->started;
    uint64_t due = passed > NSEC_PER_SECOND * 2
                       ? UINT64_MAX
                       : (uint64_t)passed * iptfs->rate / (uint64_t)NSEC_PER_SECOND + 1;
    if (!iptfs->started || due > iptfs->slots + BURST_MAX) {
        iptfs->started = now;
        iptfs->slots = 0;
        due = 1;
    }
    size_t count = due > iptfs->slots ? (size_t)(due - iptfs->slots) : 0;
    iptfs->slots += count;
    uint64_t after = (iptfs->slots * (uint64_t)NSEC_PER_SECOND + iptfs->rate - 1) / iptfs->rate;
    *next = iptfs->started + (nsec)after;
    return count;
}

static size_t paced_seal(struct plane *plane, nsec now, struct iptfs *iptfs,
                         struct packet **packets)
{
    const struct sa *sa = iptfs->run->sa;
    bool retired = sa->policy && sa->policy->newest != sa && iptfs->first == iptfs->last;
    if (retired) {
        heap_set(&plane->iptfs.timers, &iptfs->timer, TIMER_IDLE);
        return 0;
    }
    nsec next;
    size_t due = iptfs->reporter && iptfs->reporter->adapts ? congestion_due(iptfs, now, &next)
                                                            : paced_due(iptfs, now, &next);
    heap_set(&plane->iptfs.timers, &iptfs->timer, next);
    return made_seal(plane, now, iptfs->run, due, packets);
}

// Full packets go at once, the rest when its time has come.
static size_t delayed_seal(struct plane *plane, nsec now, struct iptfs *iptfs,
                           struct packet **packets)
{
    size_t count = made_seal(plane, now, iptfs->run, BURST_MAX, packets);
    if (more_goes(&plane->iptfs, iptfs, now)) return count;
    iptfs->flush_at = iptfs->first == iptfs->last ? TIMER_IDLE : now + iptfs->patience;
    bool sooner = iptfs->reporter && iptfs->reporter->report_at < iptfs->flush_at;
    heap_set(&plane->iptfs.timers, &iptfs->timer,
             sooner ? iptfs->reporter->report_at : iptfs->flush_at);
    return count;
}

// --- opening

// RFC 9347 2.3: such an SA carries nothing else. RFC 4303 2.6: a dummy packet only takes its turn.
enum fault iptfs_collect(struct plane *plane, struct sa_run *run, struct packet *packet,
                         uint8_t next_header, uint64_t sequence)
{
    bool dummy = next_header == IPPROTO_NUMBER_NO_NEXT;
    bool ours = next_header == IPPROTO_NUMBER_AGGFRAG;
    struct iptfs_work *work = work_add(plane, run, packet);
    work->sequence = sequence;
    work->payload = ours ? bytes_of(packet->at, packet->size) : BYTES_NONE;
    if (dummy) plane->stats.dropped[FAULT_ESP_DUMMY]++;
    plane->stats.iptfs_opened++;
    return ours || dummy ? OK : FAULT_ESP_NEXT_HEADER;
}

static enum fault inner_accept(const struct sa_run *run, const struct packet *packet)
{
    uint32_t total;
    TRY(ip_check(packet->at, packet->size, &total));
    return total == packet->size ? inner_check(run, packet) : FAULT_INNER_LENGTH;
}

// Takes what there is; false when there is no room for more.
static bool in_drain(struct plane *plane, nsec now, struct sa_run *run, struct packet **packets,
                     size_t *count)
{
    while (*count < BURST_MAX) {
        struct packet *packet = &plane->iptfs.made[*count];
        enum fault fault = OK;
        made_reset(packet);
        enum iptfs_taken taken = iptfs_take(&run->sa->iptfs->in, packet, &fault);
        if (taken == IPTFS_NONE) return true;
        packet->spi = run->spi;
        if (!fault) fault = inner_accept(run, packet);
        if (fault) {
            packet_refuse(plane, run, packet, fault);
            continue;
        }
        packet->verdict = VERDICT_DELIVER;
        group_opened(plane, now, run, packet->size, 1, false);
        packets[(*count)++] = packet;
    }
    return false;
}

// RFC 9347 2.2.3: a timer says when a packet is lost, lest what came after it waits for ever.
static void in_timer_set(struct plane *plane, nsec now, struct iptfs *iptfs)
{
    const struct iptfs_in *in = &iptfs->in;
    if (!in->waiting && iptfs->timer.at != TIMER_IDLE)
        heap_set(&plane->iptfs.timers, &iptfs->timer, TIMER_IDLE);
    if (!in->waiting || (iptfs->timer.at != TIMER_IDLE && iptfs->awaited == in->next)) return;
    iptfs->awaited = in->next;
    heap_set(&plane->iptfs.timers, &iptfs->timer, now + iptfs->patience);
}

static void work_open(struct plane *plane, nsec now, struct packet **packets, size_t *count)
{
    struct iptfs_plane *own = &plane->iptfs;
    struct iptfs_work *work = &own->work[own->work_next];
    if (work->sequence && work->run->sa->iptfs->reporter)
        congestion_hear(plane, now, work->run, work);
    if (work->sequence) iptfs_put(&work->run->sa->iptfs->in, work->sequence, work->payload);
    work->sequence = 0;
    if (!in_drain(plane, now, work->run, packets, count)) return;
    own->work_next++;
    in_timer_set(plane, now, work->run->sa->iptfs);
}

// --- both

static size_t timer_run(struct plane *plane, nsec now, struct iptfs *iptfs, struct packet **packets)
{
    if (iptfs->rate) return paced_seal(plane, now, iptfs, packets);
    if (iptfs->queue) return delayed_seal(plane, now, iptfs, packets);
    size_t count = 0;
    iptfs_give_up(&iptfs->in);
    if (in_drain(plane, now, iptfs->run, packets, &count)) in_timer_set(plane, now, iptfs);
    return count;
}

size_t plane_more(struct plane *plane, nsec now, struct packet **packets)
{
    struct iptfs_plane *own = &plane->iptfs;
    size_t count = 0;
    while (own->work_next < own->work_count && count < BURST_MAX) {
        struct sa_run *run = own->work[own->work_next].run;
        if (!run)
            own->work_next++;
        else if (run->sa->direction == SA_IN)
            work_open(plane, now, packets, &count);
        else if (!count)
            count = made_seal(plane, now, run, BURST_MAX, packets);
        else
            break;
    }
    while (!count) {
        struct heap_item *first = heap_first(&own->timers);
        if (!first || first->at > now) break;
        count = timer_run(plane, now, (struct iptfs *)(void *)first, packets);
    }
    return count;
}

nsec plane_deadline(const struct plane *plane)
{
    const struct heap_item *first = heap_first(&plane->iptfs.timers);
    return first && first->at != TIMER_IDLE ? first->at : NSEC_NEVER;
}
