// SPDX-License-Identifier: Apache-2.0
// The userspace data plane: ESP and AH over arrays of packets. One struct plane belongs to one thread and shares nothing.
// Nothing here blocks, reads a clock or makes a system call; nothing allocates in seal and open.
//
//   seal:  inner packets -> policy, SA -> sequence number, header, padding -> cipher batch -> outer header -> verdict SEND
//   open:  ESP packets -> SA by SPI -> window pre-check -> cipher batch -> window commit -> strip, inner check -> verdict DELIVER
#pragma once
#include "base/addr.h"
#include "base/fault.h"
#include "base/nsec.h"
#include "base/rng.h"
#include "crypto/batch.h"
#include "model/sa.h"

enum { PACKET_HEAD = 128, PACKET_TAIL = 320, PACKET_MAX = 65535, PACKET_BUFFER = PACKET_HEAD + PACKET_MAX + PACKET_TAIL,
       BURST_MAX = 128, HELD_PACKETS_MAX = 32, PLANE_DEVICES_MAX = 1024 };

enum verdict {
    VERDICT_DROP = 0,     // fault says why; counted
    VERDICT_SEND,         // outer packet is ready: see `outer`
    VERDICT_DELIVER,      // inner IP packet is ready for the TUN device (seal: an ICMP error for the sender)
    VERDICT_BYPASS,       // send on as it is, unprotected (policy says so, or no policy covers it)
    VERDICT_FRAGMENT,     // cut it into packets of at most `limit` bytes (esp/pmtu.h) and seal those
    VERDICT_HELD,         // the plane copied it and waits, for an SA or for other fragments; the buffer is free again
    VERDICT_SEAL_ELSEWHERE, // as it is, to the plane of `worker`, which is to seal it
    VERDICT_OPEN_ELSEWHERE, // likewise, to open it
    VERDICT_GATHERED,     // IP-TFS: what it holds comes from plane_more(); until that has no more, the buffer is in use
};

// RAW: `at` is ESP, the kernel writes the IP header before it. UDP: likewise, and the UDP header. WHOLE: a complete IP packet, for a
// raw socket to which we give headers, too: transport mode keeps the header that a packet has, and AH protects the one it makes.
enum outer_kind { OUTER_RAW = 1, OUTER_UDP, OUTER_WHOLE, OUTER_STREAM };

// A packet with head and tail room. The plane moves at and size; before seal, at points at the inner IP header; before open
// at the ESP header (SPI) or AH, with `from`/`to` set from the socket. What the modes need of the outer header when they open:
//   tunnel, ESP        tos
//   BEET, transport    from, to, tos and, where they are known, ttl and df; or the header itself, in `head`
//   AH                 the header itself over IPv4; over IPv6 it is needed when there are extension headers
//   gateway transport  the header itself, and `transit`
struct packet {
    uint8_t *at;
    uint8_t *space;         // start of the buffer; PACKET_HEAD bytes of room before at, PACKET_TAIL behind
    uint8_t *spare;         // not NULL: `space` and `room` are a part of a buffer that others stand in, without room to either side;
                            // this one, of PACKET_BUFFER bytes, is the packet's own, and it goes there when it needs more
    uint32_t size;
    uint32_t room;
    enum fault fault;
    uint32_t spi;           // for logs
    uint32_t policy;        // number of the policy that matched; 0: none
    uint32_t way;           // sealed: the same in packets of one burst that have spi, `from` and `to` in common; 0: not known
    uint8_t verdict;        // enum verdict
    uint8_t outer;          // enum outer_kind: raw = protocol 50 to `to`, UDP = payload to `to`
    uint8_t tos;            // outer DSCP and ECN to set (seal), outer TOS received (open)
    uint8_t ttl;            // outer TTL or hop limit to set (seal; 0: the system's own), received (open; 0: not known)
    bool df;                // outer DF to set (seal), received (open)
    uint8_t protocol;       // open: PROTOCOL_AH, or PROTOCOL_ESP or 0: what stands at `at`
    uint16_t device;        // seal: of which the packet came; open: which it is to come out of (see plane_policy_add)
    bool oversize;          // seal: larger than the path takes; whoever sends it cuts it (then df is false)
    uint16_t limit;         // VERDICT_FRAGMENT. Joined: the largest fragment that it came in. WHOLE, DELIVER and BYPASS: where it is
                            // larger than this it is to be cut, and the pieces go the same way; 0: it stays as it is
    bool joined;            // it was put together from fragments, so it may be cut, or what is made of it
    uint32_t fragment_id;   // joined: what the fragments of IPv6 had in common
    bool follows;           // seal: a whole packet of the same flow as the one before it in the burst, as those cut from one frame are
    bool piece;             // seal: of such a packet: it is not joined with the others again
    bool transit;           // open: it was on its way through us to somebody else: what is not ours becomes VERDICT_BYPASS, unchanged
    uint16_t head;          // open: so many bytes before `at` are the outer IP header with what extends it; 0: they are not there
                            // seal, WHOLE: so many bytes are headers that the kernel would write alike, from `from`, `to`, tos, ttl
                            // and df; 0: they must leave as they are
    uint8_t worker;         // VERDICT_…_ELSEWHERE
    uint8_t hands;          // the caller's: how many workers it has gone through
    bool asked;             // open: worker 0, which hears first what SAs there are, knows no other that it could be for
    struct endpoint from, to;   // outer
};

struct plane;

struct plane_limits {
    size_t sas_max, policies_max;
    // Planes of several workers: each has all policies and all outbound SAs, seals with those that are its own and knows of the others
    // whose they are; inbound SAs it has its own only. What a plane has no answer to goes to that of worker 0. 0 workers: there is one.
    unsigned worker, workers;
    uint64_t flow_seed;     // 0: a random one; the same in all of them, since it says which flow goes to which resource (RFC 9611)
};
// Whose an SA is. The kernel brings packets by the same rule (os/udp.c); the two directions of a child are different workers' if it can be.
static inline unsigned worker_of_spi(uint32_t spi, unsigned workers) { return spi % workers; }
static inline unsigned worker_partner(unsigned worker, unsigned workers) { return (worker + workers / 2) % workers; }

enum plane_event_kind { PLANE_ACQUIRE = 1, PLANE_EXPIRE_SOFT_SEQUENCE, PLANE_PEER_MOVED, PLANE_UNKNOWN_SPI };
struct plane_event {
    uint8_t kind;
    uint32_t policy;          // ACQUIRE; of the SA otherwise
    struct flow flow;         // ACQUIRE: the packet
    uint16_t resource;        // ACQUIRE: the one that has no SA of its own yet; 0: the policy has none at all
    uint32_t spi;
    struct endpoint from;     // PEER_MOVED (an authenticated packet came from elsewhere), UNKNOWN_SPI; EXPIRE_SOFT_SEQUENCE: the peer
};

// rng: for IV keys and hash seeds. The backend is borrowed and must outlive the plane.
struct plane *plane_new(struct batch_backend *backend, struct rng *rng, const struct plane_limits *limits);
void plane_free(struct plane *plane);

// An outbound SA becomes the one that its policy uses; the former stays until it is deleted. Adding an SPI that is there replaces it.
CHECKED enum fault plane_sa_add(struct plane *plane, const struct sa_spec *spec);
CHECKED enum fault plane_sa_move(struct plane *plane, uint32_t spi, enum sa_direction direction, const struct path *path);
CHECKED enum fault plane_sa_del(struct plane *plane, uint32_t spi, enum sa_direction direction);
// Replaces one of the same number. To the plane devices are numbers below PLANE_DEVICES_MAX, which the caller chooses and puts into
// if_id and if_id_out of the specs; 0 is the ordinary device. Each has policies of its own. What comes from another than 0 and no policy
// is for is dropped, never let pass.
CHECKED enum fault plane_policy_add(struct plane *plane, const struct policy_spec *spec);
CHECKED enum fault plane_policy_del(struct plane *plane, uint32_t number);
CHECKED enum fault plane_usage(const struct plane *plane, uint32_t spi, enum sa_direction direction, struct sa_usage *usage);
// Outbound SAs are known by (SPI, remote address), since peers choose those SPIs; without the address, as above, the SPI must be
// enough, else FAULT_SA_AMBIGUOUS. remote: where the SA leads now; NULL as above. Inbound SPIs are ours and unique: any random number
// of at least 256 will do, the plane looks them up in one step.
CHECKED enum fault plane_sa_move_of(struct plane *plane, uint32_t spi, enum sa_direction direction, const struct addr *remote,
                                    const struct path *path);
CHECKED enum fault plane_sa_del_of(struct plane *plane, uint32_t spi, enum sa_direction direction, const struct addr *remote);
// All SAs one after the other: start with *cursor = 0; false at the end.
bool plane_usage_next(const struct plane *plane, size_t *cursor, struct sa_usage *usage);

// Of a packet on its way through us, for gateways in transport mode. SEND: it carries no ESP, and is to be sealed. DELIVER: ESP, split
// and whole, for open. HELD: a fragment of such a one, which is kept. DROP.
void plane_transit(struct plane *plane, nsec now, struct packet *packet);
static inline uint8_t *packet_buffer(const struct packet *packet) { return packet->spare ? packet->spare : packet->space; }
// Into its own buffer, with room around.
void packet_spread_out(struct packet *packet);
static inline void packet_spread(struct packet *packet)
{
    if (packet->spare) packet_spread_out(packet);
}
// For open, from an IP packet at `at` that carries ESP or AH: sets head, protocol, from, to, tos, ttl and df, and moves at.
CHECKED enum fault packet_split(struct packet *packet);

// At most BURST_MAX packets a call. `now` is for usage times, and for how long packets are held and acquires are not repeated.
void plane_seal(struct plane *plane, nsec now, struct packet *const *packets, size_t count);
void plane_open(struct plane *plane, nsec now, struct packet *const *packets, size_t count);
// IP-TFS (RFC 9347), where packets do not come out as they went in: outer packets that carry several, or parts, of those that
// were sealed or that it is time for, and inner packets of those that were opened. To be called after each seal and open, and at
// plane_deadline(), until it returns 0. At most BURST_MAX at once, with a verdict each; they are the plane's, until the next call.
size_t plane_more(struct plane *plane, nsec now, struct packet **packets);
nsec plane_deadline(const struct plane *plane);  // NSEC_NEVER: nothing waits
// Packets that were held for a policy which now has an SA: fills up to count packets of the caller's (with buffers), returns how many;
// they are inner packets to be sealed again. Held packets older than a few seconds (given as `oldest`) are dropped.
size_t plane_released(struct plane *plane, nsec oldest, struct packet *const *packets, size_t count);
bool plane_event(struct plane *plane, struct plane_event *event);   // events of the calls so far; bounded queue, the rest is counted

struct plane_stats {
    uint64_t sealed, opened, sealed_bytes, opened_bytes, bypassed, held, events_lost;  // bytes: of inner packets
    uint64_t iptfs_sealed, iptfs_opened;  // outer packets of IP-TFS; sealed and opened count the inner ones
    uint64_t dropped[FAULT_COUNT];
    size_t sas, policies, bytes_memory;  // memory without the keys of the cipher back end
};
const struct plane_stats *plane_stats(const struct plane *plane);
// Bytes that a packet grows by in this SA for an inner packet of inner_size (outer header, UDP, ESP, IV, padding, ICV). In BEET and
// transport mode it is one without options and extension headers.
size_t plane_overhead(const struct sa_spec *spec, size_t inner_size);

// The sequence numbers of an outbound SA jump forward, at most to their end (RFC 6311 5.2).
CHECKED enum fault plane_sa_skip(struct plane *plane, uint32_t spi, const struct addr *remote, uint64_t delta);
// The path MTU of an SA has changed. 0: not known. `remote` as with plane_sa_del_of.
CHECKED enum fault plane_sa_mtu(struct plane *plane, uint32_t spi, enum sa_direction direction, const struct addr *remote,
                                uint16_t path_mtu);
// What the SA that a packet would go by makes of packets: the largest that it takes, UINT32_MAX when there is no SA or it takes all;
// and what it needs around each, so that packets can be laid out one right behind the other. head 0: that is not known.
struct plane_room {
    uint32_t mtu;
    uint8_t head, trailer, align, icv;
};
struct plane_room plane_room_of(struct plane *plane, nsec now, uint16_t device, const uint8_t *ip, uint32_t size);
static inline uint32_t plane_room_size(const struct plane_room *room, uint32_t inner)
{
    uint32_t mask = room->align - 1u;
    return room->head + ((inner + room->trailer + mask) & ~mask) + room->icv;
}
