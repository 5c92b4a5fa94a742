// SPDX-License-Identifier: Apache-2.0
// Fragments that must be whole before they go on: those of packets that are protected whole or by
// their ports, and of ESP between gateways in transport mode, which nobody else puts together since
// it is addressed to the hosts behind us.
#include "esp/internal.h"

void reassembly_room(struct plane *plane)
{
    if (!plane->reassembly) plane->reassembly = reassembler_new();
}

// True when the packet was the last fragment that was missing and is whole now.
static bool fragment_take(struct plane *plane, nsec now, struct packet *packet)
{
    bool whole;
    packet_spread(packet);
    enum fault fault = reassembler_take(plane->reassembly, now, packet, &whole);
    if (fault)
        packet_drop(plane, packet, fault);
    else if (!whole)
        packet->verdict = VERDICT_HELD;
    return !fault && whole;
}

// The SA that serves the policy keeps the packet's header, and that must be a whole packet's. A
// fragment of IPv6 says in a header of its own where it belongs, which BEET carries.
static bool wants_whole(const struct policy *policy, uint8_t family)
{
    const struct sa *sa = policy->newest;
    if (policy->action != POLICY_PROTECT || !sa) return false;
    uint8_t mode = sa->run->mode;
    bool within = mode == MODE_TUNNEL || mode == MODE_IPTFS;
    return !within && (family == ADDR_V4 || mode != MODE_BEET);
}

// RFC 4301 7.3: fragments behind the first show no ports; which policy is theirs the whole packet
// tells. RFC 4301 7.2: where there is a policy for what shows no ports, it is theirs.
static bool wants_ports(const struct policy *policy, uint8_t family)
{
    return traffic_ports(policy->traffic, family) == PORTS_SOME;
}

static bool wants_opaque(const struct policy *policy, uint8_t family)
{
    return traffic_ports(policy->traffic, family) == PORTS_OPAQUE;
}

static bool is_joined(const struct policy_index *index, const struct flow *flow)
{
    if (policy_index_any(index, flow, wants_whole)) return true;
    return policy_index_any(index, flow, wants_ports) &&
           !policy_index_any(index, flow, wants_opaque);
}

bool packet_join(struct plane *plane, nsec now, struct packet *packet)
{
    uint32_t total;
    if (ip_check(packet->at, packet->size, &total) || !is_fragment(packet->at, total)) return true;
    struct flow flow = {0};
    ip_addrs(packet->at, &flow.source, &flow.destination);
    const struct policy_index *index = plane->spd.indexes[packet->device];
    if (!index || !is_joined(index, &flow)) return true;
    packet->size = total;
    return fragment_take(plane, now, packet);
}

// Does the packet carry ESP, behind what routers read?
static bool carries_esp(const uint8_t *ip, uint32_t size)
{
    struct ip_place place;
    if (ip_place_of(ip, size, IPPROTO_NUMBER_ESP, &place) == OK) return true;
    return ip[0] >> 4 == 6 && ip_place_of(ip, size, IPPROTO_NUMBER_IPV6_FRAG, &place) == OK &&
           place.head < size && ip[place.head] == IPPROTO_NUMBER_ESP;
}

void plane_transit(struct plane *plane, nsec now, struct packet *packet)
{
    uint32_t total;
    packet->verdict = VERDICT_SEND;
    if (ip_check(packet->at, packet->size, &total) || !carries_esp(packet->at, total)) return;
    if (plane->reassembly && is_fragment(packet->at, total)) {
        packet->size = total;
        if (!fragment_take(plane, now, packet)) return;
    }
    if (packet_split(packet) != OK) return;
    packet->transit = true;
    packet->verdict = VERDICT_DELIVER;
}
