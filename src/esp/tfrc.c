// SPDX-License-Identifier: Apache-2.0
// TCP-friendly rate control: the loss history of a receiver, and the rate of a sender that hears of
// it (RFC 5348). All packets are of one size, and are always sent at the rate that is allowed, so
// nothing is needed for senders that have less to send than they might.
#include "esp/tfrc.h"
#include <math.h>
#include <string.h>

#define RTT_ASSUMED NSEC_PER_SECOND // RFC 6298 2.1: while none was measured
#define SILENCE_LEAST (NSEC_PER_SECOND / 10)
#define RTT_LEAST (100 * NSEC_PER_SECOND / 1000000)

static double seconds(nsec time)
{
    return (double)time / (double)NSEC_PER_SECOND;
}

// RFC 5348 3.1: the throughput of a TCP that acknowledges each packet and whose timeout is four
// round-trip times.
double tfrc_fair(double p, nsec rtt)
{
    double f = sqrt(2 * p / 3) + 12 * sqrt(3 * p / 8) * p * (1 + 32 * p * p);
    return 1 / (seconds(rtt) * f);
}

// --- receiver

// RFC 5348 6.3.1: what came before the first loss event says nothing of how far they are apart. The
// distance is assumed with which the sender would have half the rate that it had.
static uint64_t first_interval(nsec rtt, double rate)
{
    double least = 1e-9, most = 1;
    for (unsigned i = 0; i < 60; i++) {
        double middle = sqrt(least * most);
        if (tfrc_fair(middle, rtt) > rate / 2)
            least = middle;
        else
            most = middle;
    }
    return (uint64_t)(1 / most);
}

static nsec *came_at(struct tfrc_receiver *receiver, uint64_t sequence)
{
    return &receiver->came[sequence % TFRC_SEEN];
}

static void interval_close(struct tfrc_receiver *receiver, uint64_t packets)
{
    for (unsigned i = TFRC_INTERVALS - 1; i > 0; i--) receiver->closed[i] = receiver->closed[i - 1];
    receiver->closed[0] = packets ? packets : 1;
    if (receiver->count < TFRC_INTERVALS) receiver->count++;
}

// RFC 5348 5.2: losses within one round-trip time are one event.
static void lost(struct tfrc_receiver *receiver, uint64_t sequence, nsec time, nsec rtt,
                 double rate)
{
    nsec apart = rtt ? rtt : RTT_ASSUMED;
    if (receiver->event_at && time <= receiver->event_time + apart) return;
    if (receiver->event_at)
        interval_close(receiver, sequence - receiver->event_at);
    else
        interval_close(receiver, rate > 0 ? first_interval(apart, rate) : sequence);
    receiver->event_at = sequence;
    receiver->event_time = time;
}

// RFC 5348 5.2: a lost packet would have come, in proportion, between the ones around it.
static nsec lost_time(struct tfrc_receiver *receiver, uint64_t sequence)
{
    uint64_t after = sequence + 1, before = sequence;
    while (after < receiver->high && !*came_at(receiver, after)) after++;
    nsec later = *came_at(receiver, after), earlier = 0;
    while (before > 1 && !earlier && receiver->high - (before - 1) < TFRC_SEEN)
        earlier = *came_at(receiver, --before);
    if (!earlier || earlier >= later) return later;
    return earlier + (later - earlier) * (nsec)(sequence - before) / (nsec)(after - before);
}

// What has come after the number, up to as many as are asked for.
static bool has_followers(struct tfrc_receiver *receiver, uint64_t sequence)
{
    unsigned followers = 0;
    if (receiver->high - sequence >= TFRC_SEEN - 1) return true;
    for (uint64_t i = receiver->high; i > sequence && followers < TFRC_DUPLICATES; i--)
        followers += *came_at(receiver, i) != 0;
    return followers == TFRC_DUPLICATES;
}

static void decide(struct tfrc_receiver *receiver, nsec rtt, double rate)
{
    while (receiver->decided < receiver->high) {
        uint64_t next = receiver->decided + 1;
        nsec came = *came_at(receiver, next);
        bool marked = came && receiver->marked[next % TFRC_SEEN];
        if (!came && !has_followers(receiver, next)) return;
        receiver->decided = next;
        if (marked) receiver->by_mark = true;
        if (!came)
            lost(receiver, next, lost_time(receiver, next), rtt, rate);
        else if (marked)
            lost(receiver, next, came, rtt, rate);
    }
}

// All that was not decided before a gap larger than what is remembered is one loss.
static void leap(struct tfrc_receiver *receiver, nsec now, uint64_t sequence, nsec rtt, double rate)
{
    uint64_t first = receiver->decided + 1;
    lost(receiver, first, now, rtt, rate);
    memset(receiver->came, 0, sizeof receiver->came);
    receiver->high = receiver->decided = sequence - 1;
}

void tfrc_arrived(struct tfrc_receiver *receiver, nsec now, uint64_t sequence, bool marked,
                  nsec rtt, double rate)
{
    if (!receiver->high) receiver->high = receiver->decided = sequence - 1;
    if (sequence <= receiver->decided) return; // too late
    if (sequence - receiver->decided >= TFRC_SEEN) leap(receiver, now, sequence, rtt, rate);
    for (uint64_t i = receiver->high + 1; i < sequence; i++) *came_at(receiver, i) = 0;
    if (sequence > receiver->high) receiver->high = sequence;
    *came_at(receiver, sequence) = now ? now : 1;
    receiver->marked[sequence % TFRC_SEEN] = marked;
    decide(receiver, rtt, rate);
}

// RFC 5348 5.4: the open interval counts only where it makes the mean larger.
uint32_t tfrc_distance(const struct tfrc_receiver *receiver)
{
    static const double weights[TFRC_INTERVALS] = {1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2};
    double closed = 0, open = 0, closed_weight = 0, open_weight = 1;
    if (!receiver->event_at) return 0;
    for (unsigned i = 0; i < receiver->count; i++) {
        closed += (double)receiver->closed[i] * weights[i];
        closed_weight += weights[i];
    }
    open = (double)(receiver->high - receiver->event_at + 1);
    for (unsigned i = 0; i + 1 < TFRC_INTERVALS && i < receiver->count; i++) {
        open += (double)receiver->closed[i] * weights[i + 1];
        open_weight += weights[i + 1];
    }
    double with = open / open_weight, without = closed / closed_weight;
    double mean = with > without ? with : without;
    return mean < 1 ? 1 : mean > UINT32_MAX ? UINT32_MAX : (uint32_t)mean;
}

// --- sender

static double bounded(const struct tfrc_sender *sender, double rate)
{
    double least = 1 / seconds(TFRC_INTERVAL_MAX);
    return rate < least ? least : rate > sender->most ? sender->most : rate;
}

// RFC 5348 4.2: about 4380 bytes in a round-trip time.
static double initial(const struct tfrc_sender *sender, nsec rtt)
{
    uint32_t size = sender->packet_size, window = 2 * size > 4380 ? 2 * size : 4380;
    if (window > 4 * size) window = 4 * size;
    return (double)window / size / seconds(rtt);
}

void tfrc_sender_init(struct tfrc_sender *sender, uint32_t packet_size, uint32_t most)
{
    *sender =
        (struct tfrc_sender){.packet_size = packet_size, .most = most, .deadline = NSEC_NEVER};
    sender->rate = bounded(sender, initial(sender, RTT_ASSUMED));
}

void tfrc_sender_follow(struct tfrc_sender *sender, const struct tfrc_sender *former)
{
    sender->rate = bounded(sender, former->rate);
    sender->rtt = former->rtt;
    sender->round = former->round;
    sender->distance = former->distance;
    sender->changed = former->changed;
}

nsec tfrc_interval(const struct tfrc_sender *sender)
{
    return (nsec)((double)NSEC_PER_SECOND / sender->rate);
}

// RFC 5348 4.3 step 3: four round-trip times, or two packets; and not so short that it were the
// hosts who are too late.
static void deadline_set(struct tfrc_sender *sender, nsec now)
{
    nsec wait = 4 * sender->round, two = 2 * tfrc_interval(sender);
    if (wait < two) wait = two;
    sender->deadline = now + (wait > SILENCE_LEAST ? wait : SILENCE_LEAST);
}

// RFC 5348 4.3 step 4: without losses the rate doubles in each round-trip time; with them it is
// what is fair, and at most doubles, too. Reports come with every packet: the rate is raised once
// in a round-trip time, and lowered at once.
static void rate_set(struct tfrc_sender *sender, nsec now, bool raise)
{
    double limit = raise ? 2 * sender->rate : sender->rate, rate = limit;
    if (sender->distance) {
        double fair = tfrc_fair(1.0 / sender->distance, sender->rtt);
        rate = fair < limit ? fair : limit;
    } else if (raise && rate < initial(sender, sender->rtt)) {
        rate = initial(sender, sender->rtt);
    }
    sender->rate = bounded(sender, rate);
    if (raise) sender->changed = now;
}

void tfrc_report(struct tfrc_sender *sender, nsec now, nsec rtt, nsec apart, uint32_t distance)
{
    bool first = !sender->rtt;
    if (rtt < RTT_LEAST) rtt = RTT_LEAST;
    sender->rtt = first ? rtt : (9 * sender->rtt + rtt) / 10; // RFC 5348 4.3 step 2
    sender->round = sender->rtt > apart ? sender->rtt : apart;
    sender->distance = distance;
    sender->reports++;
    rate_set(sender, now, first || now - sender->changed >= sender->rtt);
    deadline_set(sender, now);
}

// RFC 5348 4.4: who hears nothing of what it sends halves the rate.
void tfrc_wait(struct tfrc_sender *sender, nsec now)
{
    if (sender->deadline == NSEC_NEVER) deadline_set(sender, now);
    if (now < sender->deadline) return;
    sender->timeouts++;
    sender->rate = bounded(sender, sender->rate / 2);
    sender->changed = now;
    deadline_set(sender, now);
}
