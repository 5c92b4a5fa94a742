// SPDX-License-Identifier: Apache-2.0
// One packet worker: it moves packets between the TUN device, the plane and the sockets, a burst at
// a time.
//
//     TUN --read--> cut --> seal --SEND----> UDP or raw socket    (UDP_SEGMENT, sendmmsg)
//                                --BYPASS--> raw socket, header and all
//     UDP, raw --recvmmsg--> split --> open --DELIVER--> join --> TUN    (UDP_GRO, writev)
//
// Each has a thread, a plane and sockets of its own. A packet whose SA is another worker's is handed
// over to that one (worker_hand.c).
#pragma once
#include "daemon/post.h"

enum socket_kind {
    SOCKET_UDP4,
    SOCKET_UDP6,
    SOCKET_RAW4,
    SOCKET_RAW6,
    SOCKET_AH4,
    SOCKET_AH6,
    SOCKET_KINDS
};

// Bytes. Every piece that the kernel gathers from costs it some 40 ns beside its bytes: up to here
// copying packets together costs less.
enum { PIECE_SMALL = 512 };

struct sending;
struct streams;
struct receiving;

struct worker_device {
    int fd;         // -1: not there
    int out;        // where to write: the queue that the answers are to come from
    unsigned joins; // enum gso_kinds: what it takes in one frame
};

struct worker {
    unsigned index, workers;
    struct plane *plane;
    struct streams *streams; // connections over TCP: worker 0 has them
    struct link *ike;        // worker 0; NULL: another
    // What the ike role has said is heard before packets that came because of it are judged.
    void (*hear)(void *context);
    void *hear_context;
    void (*proven)(void *context, const struct packet *packet); // what came over TCP was good
    void *proven_context;
    struct post *posts[WORKERS_MAX]; // of all workers
    uint32_t called;                 // those to whom something was handed over
    struct worker_device devices[PLANE_DEVICES_MAX]; // by the plane's number; 0: the ordinary one
    uint16_t source; // device of the burst in our hands
    int bypass4, bypass6;
    int whole4, whole6; // for protected packets that have their own header
    int sockets[SOCKET_KINDS]; // -1: none
    uint16_t port_nat;
    struct packet packets[BURST_MAX];
    struct packet pieces[BURST_MAX]; // of messages that the kernel had joined
    struct packet *list[BURST_MAX];
    bool busy; // a burst is in our hands: buffers and list are in use
    struct sending *sending;
    struct receiving *receiving;
    struct cutting *cutting; // NULL until a packet was to be cut
    bool transit;                  // gateways in transport mode: the TUN device brings their ESP, too
    unsigned received_most;        // messages of a socket at once: fewer while the kernel joins them
    unsigned taken;                // messages of a stream that wait in pieces[]
    bool taken_good;
    unsigned marked;               // datagrams for the ike role since the last tick
    uint64_t dropped[FAULT_COUNT]; // here, beside what the plane dropped
    uint64_t keepalives, cut; // cut: sent in fragments because the path is narrower than the packet
};

void worker_init(struct worker *worker, const struct role_options *options, unsigned index,
                 struct plane *plane);
void worker_wipe(struct worker *worker);
// Once a second.
void worker_tick(struct worker *worker);
void worker_device_set(struct worker *worker, uint16_t number, int fd);
// One burst from a TUN device or from a socket. Called when there is something to read.
void worker_outward(struct worker *worker, uint16_t device);
void worker_inward(struct worker *worker, enum socket_kind kind);
// What the plane has to send or to deliver at its deadline.
void worker_due(struct worker *worker);
// A sealed packet that has its own header (worker_modes.c).
void worker_send_whole(struct worker *worker, struct packet *packet);
// A packet that is too large where it goes becomes fragments that go there (worker_mtu.c).
typedef void worker_way(struct worker *worker, struct packet *const *packets, size_t count);
worker_way worker_seal_pieces; // to the SA, each sealed
void worker_cut(struct worker *worker, const struct packet *whole, worker_way *way);
static inline bool worker_is_cut(const struct packet *packet)
{
    return packet->limit && packet->size > packet->limit;
}
void worker_cut_free(struct worker *worker);
// Of a burst from the TUN device, opens what is ESP between gateways and puts it at the end of the
// list; returns how many before it are to be sealed.
unsigned worker_open_transit(struct worker *worker, unsigned count);
// Sends packets that waited for an SA; those that waited since before `oldest` are dropped.
void worker_release(struct worker *worker, nsec oldest);
// One message of a stream, from one end of a connection to the other; as many as there are, then they are opened. True when one
// of them was good.
void worker_take(struct worker *worker, const struct endpoint *from, const struct endpoint *to, struct bytes message);
bool worker_open_taken(struct worker *worker);
// Of opened packets, puts those in transit that are not ours at the beginning of the list; returns how many: they are to be sealed.
unsigned worker_sort_opened(struct worker *worker, struct packet *const *opened, unsigned count);
// A datagram for the ike role that came among ESP.
void worker_forward(struct worker *worker, const struct packet *packet);

// --- other workers (worker_hand.c)
void worker_hand(struct worker *worker, struct packet *packet, unsigned to, enum hand kind);
void worker_hand_copy(struct worker *worker, const struct packet *packet, unsigned to, enum hand kind);
void worker_hand_done(struct worker *worker); // at the end of a burst
// What others have handed over.
void worker_handed(struct worker *worker);
void worker_handed_burst(struct worker *worker, enum hand kind, unsigned count); // in packets[]
