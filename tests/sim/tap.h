// SPDX-License-Identifier: Apache-2.0
// What the hosts of the simulated world say to each other, behind the encryption: messages are
// opened with the keys of the hosts' key logs, looked at or changed, and sealed again.
#pragma once
#include "crypto/crypto.h"
#include "sim.h"
#include "wire/payload.h"

enum { TAP_KEYS_MAX = 64, TAP_TEXT = 512, TAP_SAID_MAX = 512 };

struct tap_key { // of one IKE SA, aes128gcm16
    uint64_t spi_i, spi_r;
    uint8_t of_initiator[20], of_responder[20];
};

struct tapped {
    struct ike_header header;
    bool sealed;
    struct sealer key;
    uint8_t iv[8];
    uint8_t first;    // type of the first payload
    struct buf chain; // decrypted
};

// A message that was sent, retransmissions too.
struct said {
    nsec at;
    size_t from; // which host
    bool request, lost;
    struct ike_header header;
    uint8_t nonce[NONCE_SIZE_MAX];
    size_t nonce_size;
    char text[TAP_TEXT]; // as logs have it: "SA[#1 ESP c0ffee01 …] N(REKEY_SA ESP c0ffee02)"
};

struct tap {
    struct ike_keylog log; // the first: what it is given is the whole
    struct tap_key keys[TAP_KEYS_MAX];
    size_t key_count;
    struct said said[TAP_SAID_MAX];
    size_t said_count;
    // Sees each message before it is on the link, and may lose or change it; NULL: nobody does.
    void (*meet)(struct sim *sim, struct said *said, struct tapped *message);
};

// Knows the keys of all hosts that start from now on.
void tap_begin(struct tap *tap, struct sim *sim);
// Writes down what is said from now on.
void tap_record(struct tap *tap, struct sim *sim);
// The first of these, or NULL: whose text has these words in it, from message number `since` on.
const struct said *tap_find(const struct tap *tap, size_t from, bool request, const char *words,
                            size_t since);
// The response to a request; NULL while there is none.
const struct said *tap_answer(const struct tap *tap, const struct said *request);

// False: it is not IKE, a fragment, or of a key that is not known. Else the chain is the caller's.
bool tap_open(const struct tap *tap, struct bytes datagram, struct tapped *out);
// The message again, as it is now, sealed under the same IV.
void tap_write(const struct tapped *message, struct buf *datagram);
// Takes out the payloads of a type.
void tap_remove(struct tapped *message, uint8_t type);
// It is of another exchange then, and has nothing in it but a notify without data; 0: nothing at
// all.
void tap_replace(struct tapped *message, uint8_t exchange, uint16_t notify);

// A pair whose child "lan" is up; what it says from now on is written down, and met (setup.c).
void play_up_tapped(struct sim *sim, uint64_t seed, struct tap *tap,
                    void (*meet)(struct sim *, struct said *, struct tapped *));
