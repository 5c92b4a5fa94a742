// SPDX-License-Identifier: Apache-2.0
// What a data plane needs to know: one half of a child SA, and one policy. The three back ends (the userspace plane, XFRM, the
// tests' recorder) take these and nothing else.
#pragma once
#include "base/addr.h"
#include "base/nsec.h"
#include "model/selector.h"

enum sa_direction { SA_IN = 1, SA_OUT = 2 };
enum sa_mode { MODE_TUNNEL = 1, MODE_TRANSPORT, MODE_BEET, MODE_IPTFS, MODE_GATEWAY_TRANSPORT };
// What tunnel mode copies between inner and outer header. In each, 0 is what is done unless something else is asked for.
enum sa_dscp { DSCP_COPY_OUT = 0, DSCP_COPY_IN, DSCP_COPY_BOTH, DSCP_COPY_NONE };  // out: from inner to outer, when sealing
enum sa_df { DF_COPY = 0, DF_CLEAR, DF_SET };        // RFC 4301 8.1; of the outer IPv4 header
enum { TFC_MTU = 65535 };  // tfc_padding: the largest packet that the TUN device gives
enum sa_ecn { ECN_COPY = 0, ECN_NONE };              // copy: RFC 6040; none: outer headers say nothing of congestion, nor are they asked
// RFC 9611: a policy's packets may be spread over SAs for single resources (processors, queues).
enum { RESOURCES_MAX = 64 };
enum { MSS_AUTO = 65535 };  // tcp_mss: what the path takes
// An IPv4 packet that may be cut and is too large for the path: it is cut before it is sealed, or the sealed one is.
enum sa_fragments { FRAGMENTS_INNER = 0, FRAGMENTS_OUTER };
enum policy_action { POLICY_PROTECT = 1, POLICY_BYPASS, POLICY_DISCARD };
// What a packet that matches a PROTECT policy without an SA does: it is dropped, or held (a few per policy) and an acquire reported.
enum policy_trap { POLICY_BLOCK = 1, POLICY_TRAP };

// RFC 9347, of one direction.
struct sa_iptfs {
    uint16_t packet_size;    // out: largest outer packet; 0: as large as the packets that the TUN device gives
    uint32_t rate;           // out: packets of just that size a second; 0: when there is something to send
    uint32_t init_delay;     // out: microseconds that a packet waits for others to go with it
    bool whole;              // out: no inner packet is cut
    uint8_t dscp;            // out: of each outer packet
    bool reports;            // both: each payload has a report on congestion
    bool congestion;         // out: `rate` is the most that is sent, the peer's reports say how much
    uint8_t reorder_window;  // in: packets that may overtake one
    uint16_t drop_time;      // in: milliseconds that they wait for it
};
enum {
    IPTFS_PACKET_SIZE_MIN = 256,
    IPTFS_RATE_MAX = 1000000,
    IPTFS_INIT_DELAY_MAX = 1000000,
    IPTFS_REORDER_MAX = 31,
    IPTFS_DROP_TIME_MAX = 10000
};

struct sa_spec {
    uint32_t spi;            // host order. Inbound: any number from 256 on that is not in use
    uint8_t direction;       // enum sa_direction
    uint8_t protocol;        // PROTOCOL_ESP, PROTOCOL_AH
    uint8_t mode;            // enum sa_mode
    bool esn;
    uint16_t encr, key_bits, integ;
    uint32_t policy;         // number of the policy that it serves
    uint32_t replay_window;  // packets; 0: no check
    uint32_t partner_spi;    // the SPI of the other direction; 0 when unknown
    uint32_t if_id;          // of the device that opened packets come out of; 0: the ordinary one
    uint8_t copy_dscp, copy_df, copy_ecn;  // enum sa_dscp, sa_df, sa_ecn
    uint16_t tfc_padding;    // inner packets are padded to this size at least; tunnel mode and ESP only; 0: not padded; TFC_MTU
    uint16_t cpi;            // RFC 3173: of compressed packets in this SA; ESP only; 0: they are not compressed
    uint16_t resource;       // outbound: for which resource it is, from 1; 0: for any
    uint16_t resources;      // outbound: over how many the policy's packets are spread, RESOURCES_MAX at most; 0: they are not
    struct sa_iptfs iptfs;   // MODE_IPTFS
    uint16_t path_mtu;       // largest outer packet that the way to the peer takes; 0: not known, nothing is held back
    uint16_t tcp_mss;        // largest segment that TCP may agree on: bytes, MSS_AUTO, or 0: TCP is left alone
    uint8_t fragments;       // enum sa_fragments
    bool icmp;               // ICMP errors go with it that quote a packet of it (RFC 4301 6.2); tunnels only
    uint32_t mark;           // outbound: of sealed packets, beside the daemon's own; 0: none
    struct path path;        // local and remote outer endpoints
    struct bytes encr_key;   // with the salt at its end; borrowed
    struct bytes integ_key;
    struct selectors local, remote;  // checked inbound on the inner packet
};

// Outbound packets from `local` to `remote` (and the reverse inbound).
struct policy_spec {
    uint32_t number;       // ours; unique in one host
    uint8_t action;        // enum policy_action
    uint8_t trap;          // enum policy_trap
    uint8_t mode;          // enum sa_mode of the SAs that serve it; 0: not known yet
    uint32_t priority;     // lower wins; 0: computed from how narrow the selectors are
    struct selectors local, remote;
    // Route-based: the policy is for packets that were routed into the device of if_id_out, and for no others; what its SAs open
    // comes out of the device of if_id_in. 0: the ordinary device, which routes of ours lead to.
    uint32_t if_id_in, if_id_out;
    bool if_unique;        // the devices are this policy's own and go with it
};

struct sa_usage {
    uint32_t spi;
    uint8_t direction;
    uint64_t bytes, packets;   // since the SA was added
    nsec last_used;            // 0 when never
    uint64_t dropped_replay, dropped_auth, dropped_selector;
    uint32_t rate;             // outbound, IP-TFS with congestion control: packets a second; 0: it has none
    uint32_t rtt, distance;    // of its path: microseconds; packets for each loss event, 0: there was none
};
