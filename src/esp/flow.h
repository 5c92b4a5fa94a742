// SPDX-License-Identifier: Apache-2.0
// What an IP packet shows to selectors: addresses, protocol, ports. The walk through extension
// headers is bounded.
#pragma once
#include "base/fault.h"
#include "esp/ip.h"
#include "model/selector.h"

// A flow packed into five words, so that it is hashed and compared without branches. Addresses are
// in network order: IPv4 has both in word 0, IPv6 the source in 0 and 1, the destination in 2
// and 3. See flow.c for word 4.
struct flow_key {
    uint64_t word[5];
};
// A packet shows no device; flow_key_read() leaves 0.
static inline void flow_key_set_device(struct flow_key *key, uint16_t device)
{
    key->word[4] |= (uint64_t)device << 16;
}
static inline uint16_t flow_key_device(const struct flow_key *key)
{
    return (uint16_t)(key->word[4] >> 16);
}

// Checks that the bytes begin with a whole IP packet and says how long it is; what follows it is
// padding.
CHECKED enum fault ip_check(const uint8_t *at, uint32_t size, uint32_t *total);
CHECKED enum fault flow_key_read(const uint8_t *at, uint32_t size, struct flow_key *key,
                                 uint32_t *total);
// The same of the beginning of a packet whose end is cut off; false where not even its header is
// there.
bool flow_key_read_part(const uint8_t *at, uint32_t size, struct flow_key *key);
// Where what IP carries begins; false when the packet does not have its beginning.
bool flow_transport(const uint8_t *at, uint32_t size, uint8_t *protocol, uint32_t *offset);
void flow_of_key(const struct flow_key *key, struct flow *flow);
CHECKED enum fault flow_read(struct bytes packet, struct flow *flow);
