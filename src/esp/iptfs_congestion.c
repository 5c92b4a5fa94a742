// SPDX-License-Identifier: Apache-2.0
// IP-TFS with reports on congestion (RFC 9347 2.4.2, 3). The two SAs of a child share the work: the
// inbound one finds out what was lost and holds the peer's clock, the outbound one tells the peer,
// and sends as fast as the peer's own reports allow:
//
//     in:  sequence numbers, CE --> loss events      \   out: the header of each payload
//          TVal, when it came                        /
//          TEcho, LossEventRate of the peer  -------->   out: round-trip time, rate
//
// Both are with the same worker. Who only reports, because the peer wants it, sends when there is
// something to send, and otherwise once for each round-trip time in which something came.
#include "esp/internal.h"

// RFC 9347 2.4.2: at least once in a round-trip time, and often while none is known.
enum { REPORT_UNKNOWN_MS = 20, REPORT_LEAST_MS = 2, REPORT_MOST_MS = 1000 };
enum { NSEC_PER_USEC = 1000, ROUND_TRIP_MAX = 60000000 };

struct iptfs_reporter *reporter_new(const struct sa_spec *spec)
{
    struct iptfs_reporter *reporter = NEW(struct iptfs_reporter);
    reporter->partner = spec->partner_spi;
    reporter->adapts = spec->iptfs.congestion;
    reporter->due_at = reporter->report_at = NSEC_NEVER;
    uint32_t most = spec->iptfs.rate ? spec->iptfs.rate : IPTFS_RATE_MAX;
    tfrc_sender_init(&reporter->sender, spec->iptfs.packet_size, most);
    return reporter;
}

static struct iptfs_reporter *reporter_of(const struct sa_run *run)
{
    struct iptfs *iptfs = run ? run->sa->iptfs : NULL;
    return iptfs ? iptfs->reporter : NULL;
}

static struct iptfs_reporter *reporter_in(const struct plane *plane, uint32_t spi)
{
    return reporter_of(sad_find_in(&plane->sad, spi));
}

// A clock of microseconds that is never 0, which would be none.
static uint32_t clock_of(nsec now)
{
    uint32_t value = (uint32_t)(now / NSEC_PER_USEC);
    return value ? value : 1;
}

static uint32_t usec(nsec time)
{
    nsec value = time / NSEC_PER_USEC;
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static nsec spacing(const struct iptfs *iptfs)
{
    if (iptfs->reporter->adapts) return tfrc_interval(&iptfs->reporter->sender);
    return iptfs->rate ? NSEC_PER_SECOND / iptfs->rate : 0;
}

// --- what we tell

// RFC 9347 3: what has been heard of the other direction, with a time of ours to be sent back.
void congestion_tell(struct plane *plane, nsec now, struct iptfs *iptfs, uint8_t *at)
{
    struct iptfs_reporter *reporter = iptfs->reporter;
    const struct iptfs_reporter *in = reporter_in(plane, reporter->partner);
    struct iptfs_report report = {
        .rtt = usec(reporter->sender.round),
        .transmit_delay = usec(spacing(iptfs)),
        .value = clock_of(now),
    };
    if (in) {
        report.marked = in->receiver.by_mark;
        report.distance = tfrc_distance(&in->receiver);
        report.echo = in->value;
        report.echo_delay = in->value ? usec(now - in->value_at) : 0;
    }
    iptfs_report_write(at, &report);
    reporter->report_at = NSEC_NEVER;
}

// --- what we hear

static void report_schedule(struct plane *plane, nsec now, struct iptfs *out, nsec round)
{
    nsec wait = round ? round / 2 : nsec_ms(REPORT_UNKNOWN_MS);
    if (wait < nsec_ms(REPORT_LEAST_MS)) wait = nsec_ms(REPORT_LEAST_MS);
    if (wait > nsec_ms(REPORT_MOST_MS)) wait = nsec_ms(REPORT_MOST_MS);
    if (out->rate || out->reporter->report_at != NSEC_NEVER) return;
    out->reporter->report_at = now + wait;
    if (out->timer.at > out->reporter->report_at)
        heap_set(&plane->iptfs.timers, &out->timer, out->reporter->report_at);
}

// RFC 9347 3: the time that the echo took, without what it lay with the peer. The equation takes
// it as it is; the spacing of both directions, which counts where it is longer, would have it that
// who sends slowly must send more slowly still. See decision 0025.
static void feedback(struct plane *plane, nsec now, struct iptfs *out,
                     const struct iptfs_report *report)
{
    struct iptfs_reporter *reporter = out->reporter;
    uint32_t took = clock_of(now) - report->echo - report->echo_delay;
    bool known = report->echo_delay < IPTFS_DELAY_LIMIT && took < ROUND_TRIP_MAX;
    if (!report->echo || (!known && !reporter->sender.rtt)) return;
    nsec rtt = known ? (nsec)took * NSEC_PER_USEC : reporter->sender.rtt;
    nsec apart = spacing(out) + (nsec)report->transmit_delay * NSEC_PER_USEC;
    tfrc_report(&reporter->sender, now, rtt, apart, report->distance);
    nsec due = now + tfrc_interval(&reporter->sender);
    if (!reporter->adapts || reporter->due_at <= due || reporter->due_at == NSEC_NEVER) return;
    reporter->due_at = due;
    heap_set(&plane->iptfs.timers, &out->timer, due);
}

static void report_take(struct plane *plane, nsec now, const struct sa_run *run,
                        const struct iptfs_report *report)
{
    struct iptfs_reporter *in = run->sa->iptfs->reporter;
    enum fault fault;
    in->round = (nsec)report->rtt * NSEC_PER_USEC;
    in->spacing = (nsec)report->transmit_delay * NSEC_PER_USEC;
    // RFC 9347 3: a value that comes again keeps the time when it came first.
    if (report->value != in->value) {
        in->value = report->value;
        in->value_at = now;
    }
    struct sa_run *out = sad_find_out(&plane->sad, in->partner, &run->sa->path.remote.addr, &fault);
    if (!reporter_of(out)) return;
    feedback(plane, now, out->sa->iptfs, report);
    report_schedule(plane, now, out->sa->iptfs, in->round);
}

void congestion_hear(struct plane *plane, nsec now, const struct sa_run *run,
                     const struct iptfs_work *work)
{
    struct iptfs_reporter *in = run->sa->iptfs->reporter;
    struct iptfs_report report;
    bool marked = (work->packet->tos & 3) == 3; // RFC 9347 3.1
    double rate = in->spacing ? (double)NSEC_PER_SECOND / (double)in->spacing : 0;
    if (iptfs_report_read(work->payload, &report)) report_take(plane, now, run, &report);
    tfrc_arrived(&in->receiver, now, work->sequence, marked, in->round, rate);
}

// --- how fast we send

// Keys are replaced, the path stays the same: so does what is known of it.
static void inherit(struct iptfs *iptfs)
{
    const struct sa *older = iptfs->run->sa->older;
    const struct iptfs_reporter *former = older ? reporter_of(older->run) : NULL;
    if (!former || !former->adapts || !former->sender.rtt) return;
    tfrc_sender_follow(&iptfs->reporter->sender, &former->sender);
}

// How many packets are due; those that could not be sent in time are not made up for later.
size_t congestion_due(struct iptfs *iptfs, nsec now, nsec *next)
{
    struct iptfs_reporter *reporter = iptfs->reporter;
    if (reporter->due_at == NSEC_NEVER) {
        inherit(iptfs);
        reporter->due_at = now;
    }
    tfrc_wait(&reporter->sender, now);
    nsec interval = tfrc_interval(&reporter->sender);
    nsec due = now < reporter->due_at ? 0 : (now - reporter->due_at) / interval + 1;
    if (due > BURST_MAX) {
        reporter->due_at = now;
        due = 1;
    }
    *next = reporter->due_at += due * interval;
    return (size_t)due;
}

void congestion_usage(const struct iptfs *iptfs, struct sa_usage *usage)
{
    const struct iptfs_reporter *reporter = iptfs->reporter;
    if (!reporter || !reporter->adapts) return;
    usage->rate = reporter->sender.rate < 1 ? 1 : (uint32_t)reporter->sender.rate;
    usage->rtt = usec(reporter->sender.rtt);
    usage->distance = reporter->sender.distance;
}
