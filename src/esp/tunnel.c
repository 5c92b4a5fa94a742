// SPDX-License-Identifier: Apache-2.0
// Tunnel mode: ESP carries a whole IP packet, of either family within either (RFC 4303 3.1.2, RFC
// 4301 5.1.2, 5.2).
#include "esp/internal.h"

static bool inner_df(const uint8_t *ip)
{
    return ip[0] >> 4 == 6 || get_u16(ip + 6) & IPV4_DONT_FRAGMENT;
}

// What an SA has been told to do otherwise.
static void outer_choose(const struct sa_run *run, struct packet *packet)
{
    enum sa_dscp dscp = copy_dscp(run->copy);
    enum sa_df df = copy_df(run->copy);
    if (dscp == DSCP_COPY_IN || dscp == DSCP_COPY_NONE) packet->tos &= 3;
    if (copy_ecn(run->copy) == ECN_NONE) packet->tos &= (uint8_t)~3u;
    if (df != DF_COPY) packet->df = df == DF_SET;
}

// RFC 4301 5.1.2: the outer DSCP is the inner one. RFC 6040 4.1: and so is the ECN field, in normal
// mode. RFC 4301 8.1: DF is copied; an IPv6 packet is never fragmented on its way, so outside IPv4
// it has DF set.
void tunnel_outer(const struct sa_run *run, struct packet *packet)
{
    packet->tos = tos_get(packet->at);
    packet->df = inner_df(packet->at);
    if (run->copy) outer_choose(run, packet);
}

static enum fault tunnel_wrap(const struct sa_run *run, struct packet *packet, uint8_t *next_header)
{
    tunnel_outer(run, packet);
    *next_header = packet->at[0] >> 4 == 4 ? IPPROTO_NUMBER_IPIP : IPPROTO_NUMBER_IPV6;
    return OK;
}

static bool gate_has(const struct gate *gate, const uint8_t *ip)
{
    uint32_t source = get_u32(ip + 12), destination = get_u32(ip + 16);
    return gate->remote_low <= source && source <= gate->remote_high &&
           gate->local_low <= destination && destination <= gate->local_high;
}

// The packet came from the side `remote`: seen the other way round it goes from local to remote.
static struct flow flow_turned(const struct flow *flow)
{
    struct flow turned = *flow;
    turned.source = flow->destination;
    turned.destination = flow->source;
    turned.source_port = flow->destination_port;
    turned.destination_port = flow->source_port;
    return turned;
}

static enum fault quoted_check(const struct sa_run *run, const struct packet *packet)
{
    return quoted_fits(run->sa, packet->at, packet->size) ? OK : FAULT_INNER_SELECTOR;
}

enum fault inner_check(const struct sa_run *run, const struct packet *packet)
{
    if (run->flags & SA_GATE)
        return packet->at[0] >> 4 == 4 && gate_has(&run->in.gate, packet->at)
                   ? OK
                   : quoted_check(run, packet);
    struct flow flow;
    TRY(flow_read(bytes_of(packet->at, packet->size), &flow));
    struct flow turned = flow_turned(&flow);
    return traffic_match(run->sa->traffic, &turned) ? OK : quoted_check(run, packet);
}

// RFC 4301 5.1.2.1: an inner DSCP that the outer one changes.
static uint8_t inner_tos(const struct sa_run *run, const struct packet *packet, uint8_t ecn)
{
    enum sa_dscp dscp = copy_dscp(run->copy);
    bool in = dscp == DSCP_COPY_IN || dscp == DSCP_COPY_BOTH;
    return (uint8_t)(((in ? packet->tos : tos_get(packet->at)) & ~3u) | ecn);
}

// RFC 6040 4.2.
static enum fault tunnel_tos(const struct sa_run *run, struct packet *packet)
{
    bool drop = false;
    uint8_t inner = tos_get(packet->at), ecn = inner & 3;
    if (copy_ecn(run->copy) == ECN_COPY) ecn = ecn_combine(ecn, packet->tos & 3, &drop);
    if (drop) return FAULT_INNER_ECN;
    uint8_t tos = inner_tos(run, packet, ecn);
    if (tos != inner) tos_set(packet->at, tos);
    return OK;
}

// An SA for ports gets packets of IPv6 whole that came to the other gateway in fragments (join.c),
// and no router behind us may cut them. Nothing else in it is larger than the path takes.
static uint16_t tunnel_limit(const struct sa_run *run, const struct packet *packet)
{
    const struct sa *sa = run->sa;
    bool large = packet->at[0] >> 4 == 6 && packet->size > MTU_LEAST_V6 && sa->path_mtu &&
                 packet->size > sa->mtu;
    return large && traffic_ports(sa->traffic, ADDR_V6) == PORTS_SOME ? MTU_LEAST_V6 : 0;
}

// RFC 4303 2.7: what follows the inner packet's own length is padding that hides its size; it is
// cut off.
enum fault tunnel_unwrap(const struct sa_run *run, struct packet *packet, uint8_t next_header)
{
    unsigned version = next_header == IPPROTO_NUMBER_IPIP   ? 4
                       : next_header == IPPROTO_NUMBER_IPV6 ? 6
                                                            : 0;
    if (!version) return FAULT_ESP_NEXT_HEADER;
    uint32_t total;
    TRY(ip_check(packet->at, packet->size, &total));
    if (packet->at[0] >> 4 != version) return FAULT_INNER_NOT_IP;
    packet->size = total;
    TRY(inner_check(run, packet));
    packet->limit = tunnel_limit(run, packet);
    return tunnel_tos(run, packet);
}

const struct esp_mode tunnel_mode = {.wrap = tunnel_wrap, .unwrap = tunnel_unwrap};
