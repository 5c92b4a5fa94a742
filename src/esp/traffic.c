// SPDX-License-Identifier: Apache-2.0
// Selectors of SAs and policies as the data plane keeps them: only as many as there are, since
// there may be 100,000 SAs.
#include "esp/internal.h"

struct traffic *traffic_new(const struct selectors *local, const struct selectors *remote)
{
    size_t count = (size_t)local->count + remote->count;
    struct traffic *traffic = mem_new(sizeof *traffic + count * sizeof traffic->at[0]);
    traffic->local_count = local->count;
    traffic->remote_count = remote->count;
    memcpy(traffic->at, local->at, local->count * sizeof traffic->at[0]);
    memcpy(traffic->at + local->count, remote->at, remote->count * sizeof traffic->at[0]);
    return traffic;
}

static bool selector_is_opaque(const struct selector *selector)
{
    return selector->port_low == UINT16_MAX && selector->port_high == 0;
}

// RFC 4301 4.4.1.1: OPAQUE stands for ports that cannot be seen, ANY for those and for all others.
static bool port_match(const struct selector *selector, uint16_t port, bool known)
{
    if (selector->port_low == 0 && selector->port_high == UINT16_MAX) return true;
    if (selector_is_opaque(selector)) return !known;
    return known && selector->port_low <= port && port <= selector->port_high;
}

static bool selector_match(const struct selector *selector, const struct addr *addr, uint16_t port,
                           const struct flow *flow)
{
    return (selector->protocol == 0 || selector->protocol == flow->protocol) &&
           port_match(selector, port, flow->ports_known) && range_has(&selector->range, addr);
}

bool selector_pair_match(const struct selector *source, const struct selector *destination,
                         const struct flow *flow)
{
    return selector_match(source, &flow->source, flow->source_port, flow) &&
           selector_match(destination, &flow->destination, flow->destination_port, flow);
}

bool traffic_match(const struct traffic *traffic, const struct flow *flow)
{
    bool source = false, destination = false;
    for (size_t i = 0; i < traffic->local_count && !source; i++)
        source = selector_match(&traffic->at[i], &flow->source, flow->source_port, flow);
    for (size_t i = 0; i < traffic->remote_count && source && !destination; i++)
        destination = selector_match(&traffic->at[traffic->local_count + i], &flow->destination,
                                     flow->destination_port, flow);
    return destination;
}

static bool selector_within_any(const struct selector *inner, const struct selector *outer,
                                size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (selector_within(inner, &outer[i])) return true;
    return false;
}

enum traffic_ports traffic_ports(const struct traffic *traffic, uint8_t family)
{
    unsigned count = (unsigned)traffic->local_count + traffic->remote_count;
    enum traffic_ports found = PORTS_ANY;
    for (unsigned i = 0; i < count; i++) {
        const struct selector *selector = &traffic->at[i];
        if (family && selector->range.low.family != family) continue;
        if (selector_is_opaque(selector)) return PORTS_OPAQUE;
        if (selector->port_low != 0 || selector->port_high != UINT16_MAX) found = PORTS_SOME;
    }
    return found;
}

bool traffic_within(const struct traffic *inner, const struct traffic *outer)
{
    const struct selector *remote = outer->at + outer->local_count;
    for (size_t i = 0; i < inner->local_count; i++)
        if (!selector_within_any(&inner->at[i], outer->at, outer->local_count)) return false;
    for (size_t i = 0; i < inner->remote_count; i++)
        if (!selector_within_any(&inner->at[inner->local_count + i], remote, outer->remote_count))
            return false;
    return true;
}

static bool selector_is_plain_v4(const struct selector *selector)
{
    return selector->range.low.family == ADDR_V4 && selector->protocol == 0 &&
           selector->port_low == 0 && selector->port_high == UINT16_MAX;
}

bool traffic_gate(const struct traffic *traffic, struct gate *gate)
{
    if (traffic->local_count != 1 || traffic->remote_count != 1) return false;
    const struct selector *local = &traffic->at[0], *remote = &traffic->at[1];
    if (!selector_is_plain_v4(local) || !selector_is_plain_v4(remote)) return false;
    *gate = (struct gate){
        .remote_low = get_u32(remote->range.low.at),
        .remote_high = get_u32(remote->range.high.at),
        .local_low = get_u32(local->range.low.at),
        .local_high = get_u32(local->range.high.at),
    };
    return true;
}
