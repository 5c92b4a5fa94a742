// SPDX-License-Identifier: Apache-2.0
// Puts the fragments of a packet together again, for SAs that can only carry whole packets.
#pragma once
#include "esp/esp.h"

enum {
    REASSEMBLIES_MAX = 32, // packets at a time; of a new one the oldest gives way
    REASSEMBLY_SECONDS = 15,
};

struct reassembler;
struct reassembler *reassembler_new(void); // all of its memory, which is used as it is needed
void reassembler_free(struct reassembler *reassembly);

// Is it a fragment, of IPv4 or IPv6? The packet has been checked by ip_check().
bool is_fragment(const uint8_t *ip, uint32_t size);
// Takes a fragment of a packet, of `size` bytes as ip_check() says. *whole: it was the last one
// missing, and all of the packet stands in its place, joined; else it is kept. A fault: drop it.
CHECKED enum fault reassembler_take(struct reassembler *reassembly, nsec now, struct packet *packet,
                                   bool *whole);
