// SPDX-License-Identifier: Apache-2.0
// AGGFRAG payloads (RFC 9347 6.1): inner packets one behind the other as one stream of bytes, cut
// wherever an outer packet ends. No keys, no SAs, no time: iptfs_plane.c has those.
//
//     sub-type 0 | 0 | BlockOffset | rest of a packet begun before | packet | packet | begin of one
//
// BlockOffset says how much of the payload belongs to the packet that was begun before, so that a
// receiver which has lost that finds the next one.
#pragma once
#include "esp/esp.h"

enum {
    IPTFS_HEADER = 4,
    IPTFS_HEADER_CC = 24, // with congestion control
    IPTFS_FRAGMENT_MIN = 40,
    IPTFS_WINDOW_MAX = IPTFS_REORDER_MAX,
    IPTFS_KEPT_MAX = 9216, // a larger payload that comes too early is not waited with
    IPTFS_BUFFER = PACKET_HEAD + PACKET_MAX + PACKET_TAIL,
};

// --- sending

struct iptfs_payload {
    uint8_t *at;
    uint32_t room, size; // of data blocks: behind the header
    bool whole;          // the receiver takes no fragments
};
// left: what comes of a packet that an earlier payload began.
void iptfs_begin(struct iptfs_payload *payload, uint8_t *at, uint32_t room, bool whole,
                 uint32_t left);
// The same with room for a report behind the BlockOffset: IPTFS_HEADER_CC bytes before the blocks.
void iptfs_begin_report(struct iptfs_payload *payload, uint8_t *at, uint32_t room, bool whole,
                        uint32_t left);
// Adds a packet, or with `begun` what is left of one; returns how many of its bytes, 0 when there
// is no room for it.
uint32_t iptfs_add(struct iptfs_payload *payload, struct bytes packet, bool begun);
void iptfs_pad(struct iptfs_payload *payload); // to its full size

// --- reports on congestion (RFC 9347 6.1.2)

struct iptfs_report {
    bool marked;             // CE counted as loss
    uint32_t distance;       // packets for each loss event; 0: no loss
    uint32_t rtt;            // microseconds, all of them; a larger value than fits is cut
    uint32_t echo_delay;     // since what is echoed came
    uint32_t transmit_delay; // from one packet to the next
    uint32_t value, echo;    // of a clock; 0: none
};
enum { IPTFS_RTT_LIMIT = 0x3fffff, IPTFS_DELAY_LIMIT = 0x1fffff };
void iptfs_report_write(uint8_t *at, const struct iptfs_report *report); // into the header at `at`
// False: the payload has none.
bool iptfs_report_read(struct bytes payload, struct iptfs_report *report);

// --- receiving

struct iptfs_slot {
    uint64_t sequence; // 0: empty
    uint8_t *at;
    uint32_t size;
    uint8_t tos;
};

struct iptfs_in {
    uint64_t next;   // the sequence number whose turn it is
    uint32_t window; // so many may come before it
    uint32_t waiting;
    struct iptfs_slot slots[IPTFS_WINDOW_MAX + 1]; // window + 1 of them are used
    struct iptfs_slot came; // the payload that came last, not yet looked at; borrowed
    uint8_t *space;         // IPTFS_BUFFER bytes: the packet that is put together
    uint32_t have, want;    // of it; want 0: not known. have 0: there is none
    bool complete, lost, impatient;
    const uint8_t *walk; // data blocks that are being read
    uint32_t walk_size;
};

enum iptfs_taken {
    IPTFS_NONE, // all that can be had by now is taken
    IPTFS_PACKET,
    IPTFS_FAULT, // something was dropped; there may be more to take
};

void iptfs_in_init(struct iptfs_in *in, uint32_t window);
void iptfs_in_wipe(struct iptfs_in *in);
// What ESP carried under this number; an empty payload only takes its turn. Borrowed until
// everything is taken, which must be done before the next one is put.
void iptfs_put(struct iptfs_in *in, uint64_t sequence, struct bytes payload);
// The next inner packet, of a believable length, into the packet's own buffer of IPTFS_BUFFER
// bytes, which may be exchanged for another.
enum iptfs_taken iptfs_take(struct iptfs_in *in, struct packet *packet, enum fault *fault);
// What has not come by now is lost: what waits for it does no longer.
void iptfs_give_up(struct iptfs_in *in);
