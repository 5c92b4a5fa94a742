// SPDX-License-Identifier: Apache-2.0
// An SA of any mode with both ends in one process, and inner packets whose checksums are looked at.
#pragma once
#include "rig.h"

static struct box box_a, box_b;
static uint8_t inner_space[65536];

enum { V4_ID = 0x1234 };

static inline void set_v4_sum(uint8_t *ip)
{
    put_u16(ip + 10, 0);
    put_u16(ip + 10, ipv4_sum(ip));
}

// Word by word, as RFC 1071 1 has it.
static inline uint16_t naive_sum(const uint8_t *ip, const uint8_t *at, size_t size, uint8_t protocol)
{
    uint64_t sum = 0;
    bool v4 = ip[0] >> 4 == 4;
    for (size_t i = 0; i < (v4 ? 8u : 32u); i += 2) sum += get_u16(ip + (v4 ? 12 : 8) + i);
    sum += protocol + size;
    for (size_t i = 0; i + 1 < size; i += 2) sum += get_u16(at + i);
    if (size & 1) sum += (uint64_t)at[size - 1] << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

// A packet with an identification and good checksums.
static inline struct bytes inner_of(int v6, uint8_t protocol, size_t size)
{
    struct inner inner = {"10.1.0.5", "10.2.0.9", protocol, 0x68, 1000, 2000, true, size};
    if (v6) {
        inner.source = "2001:db8:1::5";
        inner.destination = "2001:db8:2::9";
    }
    (void)inner_make(&inner, inner_space);
    uint8_t *ip = inner_space;
    size_t head = v6 ? 40 : 20;
    if (!v6) {
        put_u16(ip + 4, V4_ID);
        ip[8] = 61;
        set_v4_sum(ip);
    } else {
        ip[7] = 61;
    }
    size_t sum = protocol == IPPROTO_NUMBER_UDP ? 6 : protocol == IPPROTO_NUMBER_TCP ? 16 : 0;
    if (protocol == IPPROTO_NUMBER_UDP && size >= head + 8)
        put_u16(ip + head + 4, (uint16_t)(size - head));
    if (sum && size >= head + sum + 4) {
        put_u16(ip + head + sum, 0);
        put_u16(ip + head + sum, naive_sum(ip, ip + head, size - head, protocol));
    }
    return bytes_of(inner_space, size);
}

static inline void rig_mode(struct rig *rig, const struct cipher *cipher, enum sa_mode mode)
{
    rig_open(rig, cipher);
    rig->spec.mode = (uint8_t)mode;
    if (mode == MODE_BEET) {
        rig->spec.local = selectors_of("10.1.0.5/32");
        rig->spec.remote = selectors_of("10.2.0.9/32");
    }
}

static inline struct packet *seal_bytes(struct rig *rig, struct bytes inner)
{
    struct packet *packet = box_put(&box_a, inner);
    seal_one(rig->a, packet);
    return packet;
}

// What the kernel shows of a packet at the other end: by a raw socket with the header, or by a UDP
// socket without.
static inline struct packet *arrive(struct rig *rig, const struct packet *sent, bool transit)
{
    struct packet *packet = box_put(&box_b, packet_bytes(sent));
    if (sent->outer == OUTER_WHOLE && !(rig->spec.path.encap)) {
        CHECK_FAULT(packet_split(packet), OK);
    } else if (sent->outer == OUTER_WHOLE) {
        uint32_t head = sent->at[0] >> 4 == 4 ? 20 : 40;
        ip_addrs(sent->at, &packet->from.addr, &packet->to.addr);
        packet->from.port = get_u16(sent->at + head);
        packet->tos = tos_get(sent->at);
        packet->ttl = ip_ttl(sent->at);
        packet->df = sent->df;
        packet->at += head + UDP_HEADER;
        packet->size -= head + UDP_HEADER;
    } else {
        packet->from = sent->from;
        packet->to = sent->to;
        packet->tos = sent->tos;
        packet->ttl = sent->ttl;
        packet->df = sent->df;
    }
    packet->transit = transit;
    return packet;
}

static inline void check_same(const struct packet *packet, struct bytes inner)
{
    CHECK_FAULT(packet->fault, OK);
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    assert_int_equal(packet->size, inner.size);
    if (packet->at[0] >> 4 == 4) assert_int_equal(ipv4_sum(packet->at), 0);
    assert_memory_equal(packet->at, inner.at, inner.size);
}

// An IPv4 header that was made anew has another identification.
static inline void check_like(const struct packet *packet, struct bytes inner)
{
    uint8_t like[9216];
    memcpy(like, inner.at, inner.size);
    if (like[0] >> 4 == 4 && packet->size >= 20) {
        assert_int_equal(ipv4_sum(packet->at), 0);
        memcpy(like + 4, packet->at + 4, 2);
        set_v4_sum(like);
    }
    check_same(packet, bytes_of(like, inner.size));
}

static inline struct bytes with_options(size_t options, size_t size)
{
    struct bytes inner = inner_of(0, IPPROTO_NUMBER_UDP, size);
    memmove(inner_space + 20 + options, inner_space + 20, size - 20);
    inner_space[0] = (uint8_t)(0x40 | (20 + options) / 4);
    memset(inner_space + 20, 1, options);
    if (options) inner_space[20] = 148, inner_space[21] = 4, inner_space[22] = inner_space[23] = 0;
    put_u16(inner_space + 2, (uint16_t)(size + options));
    set_v4_sum(inner_space);
    return bytes_of(inner.at, size + options);
}
