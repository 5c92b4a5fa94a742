// SPDX-License-Identifier: Apache-2.0
// TCP-friendly rate control (RFC 5348) for a sender of packets of one size: how many of them a
// second are fair to others on the path. No packets, no clock: times are the caller's.
//
//     receiver: sequence numbers as they arrive --> loss events --> their mean distance, 1/p
//     sender:   1/p and round-trip times as they are reported   --> packets a second
#pragma once
#include "base/nsec.h"
#include <stdbool.h>
#include <stdint.h>

// --- the receiver's half

enum {
    TFRC_INTERVALS = 8,  // RFC 5348 5.4: between loss events, of which the mean is taken
    TFRC_DUPLICATES = 3, // RFC 5348 5.1: so many later ones must have come until one is lost
    TFRC_SEEN = 64,      // sequence numbers of which the arrival is known
};

struct tfrc_receiver {
    uint64_t high;          // the highest sequence number that came; 0: none has
    uint64_t decided;       // what is up to here has come, or is lost
    nsec came[TFRC_SEEN];   // by sequence number; 0: has not
    bool marked[TFRC_SEEN]; // it came with congestion marked
    uint64_t event_at;      // sequence number that the last loss event began with; 0: none has
    nsec event_time;
    uint64_t closed[TFRC_INTERVALS]; // packets from one event to the next, the latest first
    uint32_t count;                  // of those
    bool by_mark;                    // a mark has been taken for a loss
};
// A packet, once. rtt: as the sender tells it. rate: the sender's packets a second, 0 when unknown.
void tfrc_arrived(struct tfrc_receiver *receiver, nsec now, uint64_t sequence, bool marked,
                  nsec rtt, double rate);
// 1/p: packets for each loss event; 0 when there was none.
uint32_t tfrc_distance(const struct tfrc_receiver *receiver);

// --- the sender's half

// RFC 5348 4.3: one packet in so many seconds is always sent.
#define TFRC_INTERVAL_MAX (64 * NSEC_PER_SECOND)

struct tfrc_sender {
    double rate;          // packets a second
    double most;          // the user's limit
    uint32_t packet_size; // bytes
    uint32_t distance;    // 1/p as it was reported last
    nsec rtt;             // of the path; 0: not known
    nsec round;           // until a report of what is sent now may be here
    nsec changed;         // when the rate was last computed
    nsec deadline;        // without a report until then the rate is halved
    uint64_t reports, timeouts;
};
void tfrc_sender_init(struct tfrc_sender *sender, uint32_t packet_size, uint32_t most);
// On the same path as `former`, with limit and packet size of its own.
void tfrc_sender_follow(struct tfrc_sender *sender, const struct tfrc_sender *former);
// A report of the receiver's: the time that the path took there and back, how far apart packets are
// both ways together, and 1/p.
void tfrc_report(struct tfrc_sender *sender, nsec now, nsec rtt, nsec apart, uint32_t distance);
// To be called before something is sent.
void tfrc_wait(struct tfrc_sender *sender, nsec now);
nsec tfrc_interval(const struct tfrc_sender *sender); // from one packet to the next
// RFC 5348 3.1: packets a second at a loss event rate p.
double tfrc_fair(double p, nsec rtt);
