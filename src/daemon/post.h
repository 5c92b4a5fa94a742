// SPDX-License-Identifier: Apache-2.0
// Where a packet worker is reached by the others, each in a thread of its own: packets by a ring
// for each pair of workers, with the buffers they are in, and letters (what is no packet: what the
// ike role says, what a worker has to tell) by a list with a lock. Nobody ever waits for another,
// and nobody is woken who is awake.
//
//     writer: post_hand() …, post_letter() …, then post_call()
//     reader: looks whenever it has done something else; before it sleeps, post_rest()
//
// Letters first: a packet may have been handed over because of a letter, so whoever has seen the
// packet in its ring sees the letter, too, when he looks then.
#pragma once
#include "base/ring.h"
#include "daemon/role.h"
#include "esp/esp.h"
#include <pthread.h>

enum hand {
    HAND_SEAL,
    HAND_OPEN,
    HAND_STREAM, // a sealed one for a connection over TCP
    HAND_MARKED, // not ESP but IKE
};

enum { HANDED_MAX = 8 * BURST_MAX }; // about what the queue of a TUN device holds

struct handed {
    struct packet
        packet; // its buffer belongs to the place; none until it is used for the first time
    enum hand kind;
};
struct handing { // from one worker to another
    struct ring ring;
    struct handed at[HANDED_MAX];
};

struct post {
    unsigned self, workers;
    int wake; // eventfd
    _Atomic bool asleep;
    _Atomic size_t waiting; // letters
    pthread_mutex_t lock;
    void **letters;
    size_t room;
    struct handing *from[WORKERS_MAX];
};

void post_init(struct post *post, unsigned self, unsigned workers);
void post_wipe(struct post *post); // there are no letters any more

// Gives the packet away and takes an empty buffer for it. False when there is no place.
bool post_hand(struct post *post, unsigned from, struct packet *packet, enum hand kind);
// Likewise, but what is in the buffer is copied.
bool post_hand_copy(struct post *post, unsigned from, const struct packet *packet, enum hand kind);
void post_letter(struct post *post, void *letter);
void post_call(struct post *post); // somebody has written

// Takes all letters; the array is the caller's then. 0: there are none.
size_t post_letters(struct post *post, void ***letters);
// A few packets of one kind that `from` has handed over, into `packets`, whose empty buffers it
// gets; 0: there are none.
unsigned post_packets(struct post *post, unsigned from, unsigned most, struct packet *packets,
                      enum hand *kind);
// False when something has come meanwhile: then whoever would sleep must look again. The descriptor
// becomes readable when something comes.
bool post_rest(struct post *post);
void post_awake(struct post *post);
