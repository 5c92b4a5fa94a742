// SPDX-License-Identifier: Apache-2.0
// Segmentation offload at the TUN device: the kernel hands us TCP and UDP data in frames of up to
// 64 KiB and takes them back like that. A frame is an IP packet behind a virtio header that says
// how large the segments are and what of the checksum is missing. The network wants whole packets,
// so a frame is cut on its way out, and what arrived is joined on its way in: one system call moves
// dozens of packets.
//
//                 | virtio | IP | TCP | payload . . . . . . . . . . . |
//     cut:      | IP | TCP | payload |  | IP | TCP | payload |  | IP | TCP | load |
//
// Nothing here allocates or makes a system call.
#pragma once
#include "esp/esp.h"

enum {
    GSO_HEAD = 10, // bytes of the virtio header
    GSO_FRAME_MAX = GSO_HEAD + PACKET_MAX,
};

// What the kernel takes in one frame.
enum gso_kinds { GSO_TAKES_TCP = 1, GSO_TAKES_UDP = 2 };

// --- outward

struct gso_cut {
    const uint8_t *at; // the IP packet in the frame, borrowed
    uint32_t size;     // of it
    uint32_t l4;       // where TCP or UDP begins
    uint32_t header;   // where the payload begins; 0: the packet is whole and stays so
    uint32_t segment;  // payload bytes of each packet but the last
    uint32_t next;     // payload that comes next
    uint32_t count;    // packets so far
    // Sums of what is the same in all packets, so that none is read again: the IPv4 header, and the
    // pseudo header with that of TCP or UDP.
    uint32_t ip_sum, l4_sum;
    bool udp;
};

// Begins with a frame as read from the TUN device; writes a missing checksum into it. Room for the
// frame stays until the last packet is out. FAULT_GSO_FRAME when the header does not fit the
// packet.
CHECKED enum fault gso_cut_start(struct gso_cut *cut, uint8_t *frame, size_t size);
// No packet becomes larger than `mtu` bytes: the bounds of TCP's segments mean nothing, so they are put elsewhere. Those of UDP
// datagrams do; they stay.
void gso_cut_limit(struct gso_cut *cut, uint32_t mtu);
// How large the next packet is; 0: there is none left.
uint32_t gso_cut_size(const struct gso_cut *cut);
// The next packet, complete, into `out`, which has room for that many bytes; returns its size, 0
// when there is none left.
uint32_t gso_cut_next(struct gso_cut *cut, uint8_t *out);

// --- inward

struct gso_frame {
    uint8_t head[GSO_HEAD]; // goes before the first packet
    uint8_t first, last;    // places in the burst
    uint8_t count;          // packets
    bool open;              // more may be joined
    bool flow;              // the fields below are known: TCP or UDP, not a fragment
    bool udp;
    uint8_t l4, header;
    uint32_t hash;
    uint32_t size;     // of the joined packet
    uint32_t segment;  // payload of each but the last
    uint32_t sequence; // of the TCP byte that comes next
};

struct gso_join {
    unsigned count;
    struct gso_frame frames[BURST_MAX]; // in the order in which they go to the TUN device
    uint8_t next[BURST_MAX];            // of each packet, the one that follows in its frame
};

// Joins at most BURST_MAX IP packets of a burst to frames; packets of one flow keep their order.
// The headers of packets are changed in place. Only packets that segmentation would make again are
// joined, but for an identification that means nothing: a wrong checksum, an odd flag or a changed
// option stays as it is.
void gso_join(struct gso_join *join, struct packet *const *packets, size_t count, unsigned takes);
// The pieces of a frame in their order, without the virtio header; returns how many.
unsigned gso_parts(const struct gso_join *join, const struct gso_frame *frame,
                   struct packet *const *packets, struct bytes parts[BURST_MAX]);
