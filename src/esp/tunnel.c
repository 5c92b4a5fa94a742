// SPDX-License-Identifier: Apache-2.0
// Tunnel mode: ESP carries a whole IP packet, of either family within either (RFC 4303 3.1.2, RFC
// 4301 5.1.2, 5.2).
#include "esp/internal.h"

enum { IPV4_DONT_FRAGMENT = 0x4000 };

// RFC 4301 5.1.2: the outer DSCP is the inner one. RFC 6040 4.1: and so is the ECN field, in normal
// mode. RFC 4301 8.1: DF is copied; an IPv6 packet is never fragmented on its way, so outside IPv4
// it has DF set.
static enum fault tunnel_wrap(const struct sa_run *run, struct packet *packet, uint8_t *next_header)
{
    const uint8_t *ip = packet->at;
    (void)run;
    if (ip[0] >> 4 == 4) {
        packet->tos = ip[1];
        packet->df = get_u16(ip + 6) & IPV4_DONT_FRAGMENT;
        *next_header = IPPROTO_NUMBER_IPIP;
    } else {
        packet->tos = (uint8_t)(get_u16(ip) >> 4);
        packet->df = true;
        *next_header = IPPROTO_NUMBER_IPV6;
    }
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

// RFC 4301 5.2 step 4: the packet must be one that this SA was negotiated for.
static enum fault tunnel_check(const struct sa_run *run, const struct packet *packet)
{
    if (run->flags & SA_GATE)
        return packet->at[0] >> 4 == 4 && gate_has(&run->in.gate, packet->at)
                   ? OK
                   : FAULT_INNER_SELECTOR;
    struct flow flow;
    TRY(flow_read(bytes_of(packet->at, packet->size), &flow));
    struct flow turned = flow_turned(&flow);
    return traffic_match(run->sa->traffic, &turned) ? OK : FAULT_INNER_SELECTOR;
}

static uint8_t inner_ecn(const uint8_t *ip)
{
    return ip[0] >> 4 == 4 ? ip[1] & 3 : ip[1] >> 4 & 3;
}

// RFC 6040 4.2.
static enum fault tunnel_ecn(struct packet *packet)
{
    bool drop;
    uint8_t inner = inner_ecn(packet->at);
    uint8_t ecn = ecn_combine(inner, packet->tos & 3, &drop);
    if (drop) return FAULT_INNER_ECN;
    if (ecn != inner) ecn_set(packet->at, ecn);
    return OK;
}

// RFC 4303 2.7: what follows the inner packet's own length is padding that hides its size; it is
// cut off.
static enum fault tunnel_unwrap(const struct sa_run *run, struct packet *packet,
                                uint8_t next_header)
{
    unsigned version = next_header == IPPROTO_NUMBER_IPIP   ? 4
                       : next_header == IPPROTO_NUMBER_IPV6 ? 6
                                                            : 0;
    if (!version) return FAULT_ESP_NEXT_HEADER;
    uint32_t total;
    TRY(ip_check(packet->at, packet->size, &total));
    if (packet->at[0] >> 4 != version) return FAULT_INNER_NOT_IP;
    packet->size = total;
    TRY(tunnel_check(run, packet));
    return tunnel_ecn(packet);
}

const struct esp_mode tunnel_mode = {.wrap = tunnel_wrap, .unwrap = tunnel_unwrap};
