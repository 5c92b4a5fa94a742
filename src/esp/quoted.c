// SPDX-License-Identifier: Apache-2.0
// RFC 4301 6.2: ICMP errors that no selector covers, since a router sends them or a protocol is
// selected. They quote the packet that they are about, and belong to the SA that its answers have.
// This is asked for by `icmp = yes`, and runs for packets alone that would not pass otherwise.
#include "esp/flow.h"
#include "esp/internal.h"
#include "esp/octets.h"
#include "model/iana.h"

enum { ICMP_HEADER = 8 };

// Errors are about a packet; queries and their answers are not, nor do redirects belong here: they
// change routes.
static bool is_error(uint8_t protocol, uint8_t type)
{
    if (protocol == IPPROTO_NUMBER_ICMPV6) return type >= 1 && type <= 4;
    return protocol == IPPROTO_NUMBER_ICMP && (type == 3 || type == 11 || type == 12);
}

bool quoted_flow(const uint8_t *at, uint32_t size, struct flow_key *quoted)
{
    struct flow_key whole;
    uint32_t total, offset;
    uint8_t protocol;
    if (flow_key_read(at, size, &whole, &total)) return false;
    if (!flow_transport(at, total, &protocol, &offset)) return false;
    if (offset + ICMP_HEADER > total || !is_error(protocol, at[offset])) return false;
    if (!flow_key_read_part(at + offset + ICMP_HEADER, total - offset - ICMP_HEADER, quoted))
        return false;
    // RFC 1122 3.2.2, RFC 4443 2.2: it goes to where the packet came from.
    unsigned family = whole.word[4] & 15;
    if ((quoted->word[4] & 15) != family) return false;
    const uint8_t *addrs = (const uint8_t *)whole.word, *of = (const uint8_t *)quoted->word;
    size_t length = family == ADDR_V4 ? 4 : 16;
    return memcmp(addrs + length, of, length) == 0;
}

void flow_key_turn(struct flow_key *key)
{
    struct flow_key from = *key;
    size_t length = (key->word[4] & 15) == ADDR_V4 ? 4 : 16;
    memcpy(key->word, (const uint8_t *)from.word + length, length);
    memcpy((uint8_t *)key->word + length, from.word, length);
    uint64_t source = from.word[4] >> 32 & 0xffff, destination = from.word[4] >> 48;
    key->word[4] = (from.word[4] & 0xffffffff) | destination << 32 | source << 48;
}

// What the error quotes went out of here, from our side to the peer's.
bool quoted_fits(const struct sa *sa, const uint8_t *at, uint32_t size)
{
    struct flow_key quoted;
    struct flow flow;
    if (!sa->icmp || !quoted_flow(at, size, &quoted)) return false;
    flow_of_key(&quoted, &flow);
    return traffic_match(sa->traffic, &flow);
}

// The SA that answers to what the error quotes go through.
const struct flow_slot *quoted_find(struct plane *plane, nsec now, const struct packet *packet)
{
    struct flow_key key;
    if (!quoted_flow(packet->at, packet->size, &key)) return NULL;
    flow_key_turn(&key);
    flow_key_set_device(&key, packet->device);
    const struct flow_slot *slot = spd_find(plane, now, &key, flow_hash(&plane->spd, &key));
    return slot->run && slot->run->sa->icmp ? slot : NULL;
}
