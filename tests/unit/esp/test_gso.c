// SPDX-License-Identifier: Apache-2.0
// Segmentation offload: what is cut is right packet by packet, by checksums summed here in another
// way; what is joined and cut again is what it was; what differs in anything that counts stays
// apart.
#include "esp/gso.h"
#include "esp/octets.h"
#include "rig.h"

enum { TCP = 6, UDP = 17, ACK = 0x10, PSH = 0x08, FIN = 0x01, SYN = 0x02, CWR = 0x80, DF = 0x40 };

// --- packets

struct shape {
    const char *name;
    uint8_t version, protocol, options; // options: bytes of TCP options
    uint16_t segment;
    uint32_t payload;
    uint8_t flags;
};

static const struct shape shapes[] = {
    {"TCP over IPv4", 4, TCP, 0, 1360, 5000, ACK | PSH},
    {"TCP with time stamps", 4, TCP, 12, 1348, 1348 * 4, ACK},
    {"TCP over IPv6", 6, TCP, 12, 1328, 20000, ACK | PSH},
    {"odd sizes", 4, TCP, 0, 1, 7, ACK},
    {"as large as it can be", 4, TCP, 0, 1460, 65535 - 40, ACK},
    {"as many as are joined", 6, TCP, 0, 100, 6400, ACK | PSH},
    {"UDP over IPv4", 4, UDP, 0, 64, 64 * 10, 0},
    {"UDP over IPv6", 6, UDP, 0, 1200, 1200 * 3 + 17, 0},
};

static uint32_t ip_size(const struct shape *shape)
{
    return shape->version == 6 ? 40 : 20;
}

static uint32_t header_size(const struct shape *shape)
{
    return ip_size(shape) + (shape->protocol == UDP ? 8 : 20u + shape->options);
}

// RFC 1071 4.1: sixteen bits at a time, in network byte order.
static uint32_t sum16(uint32_t sum, const uint8_t *at, size_t size)
{
    for (size_t i = 0; i < size; i++) sum += (uint32_t)at[i] << (i % 2 ? 0 : 8);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static uint32_t pseudo16(const uint8_t *packet, uint32_t size)
{
    bool v6 = packet[0] >> 4 == 6;
    uint32_t ip = v6 ? 40 : 20;
    uint32_t sum = v6 ? sum16(0, packet + 8, 32) : sum16(0, packet + 12, 8);
    uint8_t tail[4] = {0, packet[v6 ? 6 : 9], (uint8_t)((size - ip) >> 8), (uint8_t)(size - ip)};
    return sum16(sum, tail, sizeof tail);
}

static uint8_t *checksum_at(uint8_t *packet)
{
    bool v6 = packet[0] >> 4 == 6;
    return packet + (v6 ? 40 : 20) + (packet[v6 ? 6 : 9] == UDP ? 6 : 16);
}

static void checksums_make(uint8_t *packet, uint32_t size)
{
    uint32_t ip = packet[0] >> 4 == 6 ? 40 : 20;
    if (ip == 20) {
        put_u16(packet + 10, 0);
        put_u16(packet + 10, (uint16_t)~sum16(0, packet, 20));
    }
    put_u16(checksum_at(packet), 0);
    uint16_t sum = (uint16_t)~sum16(pseudo16(packet, size), packet + ip, size - ip);
    put_u16(checksum_at(packet), sum ? sum : 0xffff);
}

static void checksums_check(const uint8_t *packet, uint32_t size)
{
    uint32_t ip = packet[0] >> 4 == 6 ? 40 : 20;
    if (ip == 20) assert_int_equal(sum16(0, packet, 20), 0xffff);
    assert_int_equal(sum16(pseudo16(packet, size), packet + ip, size - ip), 0xffff);
}

static uint8_t payload_byte(uint32_t at)
{
    return (uint8_t)(at * 7 + (at >> 8));
}

// The IP packet of a shape, all payload in one; returns its size.
static uint32_t packet_make(const struct shape *shape, uint8_t *at)
{
    uint32_t ip = ip_size(shape), header = header_size(shape), size = header + shape->payload;
    memset(at, 0, header);
    if (shape->version == 6) {
        put_u32(at, 0x6b812345);
        put_u16(at + 4, (uint16_t)(size - 40));
        at[6] = shape->protocol;
        at[7] = 61;
        for (unsigned i = 0; i < 32; i++) at[8 + i] = (uint8_t)(0x20 + i);
    } else {
        at[0] = 0x45;
        at[1] = 0xb8;
        put_u16(at + 2, (uint16_t)size);
        put_u16(at + 4, 0xfffe); // counts over the end
        at[8] = 61;
        at[9] = shape->protocol;
        put_u32(at + 12, 0x0a010001);
        put_u32(at + 16, 0x0a020001);
    }
    uint8_t *l4 = at + ip;
    put_u16(l4, 40000);
    put_u16(l4 + 2, 5201);
    if (shape->protocol == UDP) {
        put_u16(l4 + 4, (uint16_t)(size - ip));
    } else {
        put_u32(l4 + 4, 0xfffffff0); // wraps
        put_u32(l4 + 8, 0x01020304);
        l4[12] = (uint8_t)((20 + shape->options) / 4 << 4);
        l4[13] = shape->flags;
        put_u16(l4 + 14, 512);
        for (unsigned i = 0; i < shape->options; i++) l4[20 + i] = (uint8_t)(1 + i);
    }
    for (uint32_t i = 0; i < shape->payload; i++) at[header + i] = payload_byte(i);
    checksums_make(at, size);
    return size;
}

struct head { // VIRTIO 1.2 5.1.6
    uint8_t flags, type;
    uint16_t header, segment, start, offset;
};

static struct head head_of(const struct shape *shape)
{
    bool udp = shape->protocol == UDP;
    return (struct head){.flags = 1,
                         .type = udp                   ? 5
                                 : shape->version == 6 ? 4
                                                       : 1,
                         .header = (uint16_t)header_size(shape),
                         .segment = shape->segment,
                         .start = (uint16_t)ip_size(shape),
                         .offset = udp ? 6 : 16};
}

// A frame as the kernel gives it: the checksum field has the sum over the pseudo header.
static size_t frame_make(const struct shape *shape, uint8_t *frame)
{
    struct head head = head_of(shape);
    uint32_t size = packet_make(shape, frame + GSO_HEAD);
    put_u16(checksum_at(frame + GSO_HEAD), (uint16_t)pseudo16(frame + GSO_HEAD, size));
    memcpy(frame, &head, GSO_HEAD);
    return GSO_HEAD + size;
}

// --- what is used by all

static uint8_t frame[GSO_FRAME_MAX], again[GSO_FRAME_MAX];
static uint8_t spaces[BURST_MAX][2048];
static struct packet packets[BURST_MAX];
static struct packet *list[BURST_MAX];
static struct gso_join join;

static unsigned cut_all(size_t size, unsigned most)
{
    struct gso_cut cut;
    unsigned count = 0;
    CHECK_FAULT(gso_cut_start(&cut, frame, size), OK);
    for (;;) {
        static uint8_t out[PACKET_MAX];
        uint32_t got = gso_cut_next(&cut, out);
        if (!got) return count;
        assert_true(count < most && got <= sizeof spaces[0]);
        memcpy(spaces[count], out, got);
        packets[count] = (struct packet){.at = spaces[count], .size = got};
        list[count] = &packets[count];
        count++;
    }
}

// Frame as it would be written to the TUN device; returns its size.
static size_t assemble(unsigned number, uint8_t *out)
{
    struct bytes parts[BURST_MAX];
    unsigned count = gso_parts(&join, &join.frames[number], list, parts);
    memcpy(out, join.frames[number].head, GSO_HEAD);
    size_t size = GSO_HEAD;
    for (unsigned i = 0; i < count; i++) {
        memcpy(out + size, parts[i].at, parts[i].size);
        size += parts[i].size;
    }
    return size;
}

// --- tests

// RFC 9293 3.1 test, RFC 3168 6.1.2 test
static void every_packet_of_a_frame_is_complete(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        struct shape shape = shapes[s];
        if (shape.protocol == TCP) shape.flags |= FIN | CWR;
        uint32_t header = header_size(&shape), ip = ip_size(&shape), at = 0, number = 0;
        struct gso_cut cut;
        CHECK_FAULT(gso_cut_start(&cut, frame, frame_make(&shape, frame)), OK);
        for (uint32_t size; (size = gso_cut_next(&cut, again)); number++) {
            uint32_t payload = size - header, left = shape.payload - at;
            assert_int_equal(payload, left < shape.segment ? left : shape.segment);
            checksums_check(again, size);
            for (uint32_t i = 0; i < payload; i++)
                assert_int_equal(again[header + i], payload_byte(at + i));
            if (shape.version == 4) {
                assert_int_equal(get_u16(again + 2), size);
                assert_int_equal(get_u16(again + 4), (uint16_t)(0xfffe + number));
            } else {
                assert_int_equal(get_u16(again + 4), size - 40);
            }
            bool first = at == 0, last = payload == left;
            if (shape.protocol == UDP) {
                assert_int_equal(get_u16(again + ip + 4), size - ip);
            } else {
                uint8_t flags = shape.flags;
                if (!first) flags &= (uint8_t)~CWR;
                if (!last) flags &= (uint8_t) ~(FIN | PSH);
                assert_int_equal(again[ip + 13], flags);
                assert_int_equal(get_u32(again + ip + 4), 0xfffffff0 + at);
            }
            at += payload;
        }
        assert_int_equal(at, shape.payload);
    }
}

static void what_was_cut_is_joined_to_what_it_was(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        size_t size = frame_make(&shapes[s], frame);
        unsigned count = cut_all(size, BURST_MAX);
        gso_join(&join, list, count, GSO_TAKES_TCP | GSO_TAKES_UDP);
        if (join.count != 1) print_message("%s: %u frames\n", shapes[s].name, join.count);
        assert_int_equal(join.count, 1);
        frame_make(&shapes[s], frame);
        assert_int_equal(assemble(0, again), size);
        assert_memory_equal(again, frame, size);
    }
}

static void what_the_kernel_does_not_take_is_not_joined(void **state)
{
    (void)state;
    static const struct {
        const struct shape *shape;
        unsigned takes;
        bool one;
    } rows[] = {
        {&shapes[0], 0, false},
        {&shapes[0], GSO_TAKES_UDP, false},
        {&shapes[0], GSO_TAKES_TCP, true},
        {&shapes[6], GSO_TAKES_TCP, false},
        {&shapes[6], GSO_TAKES_UDP, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned count = cut_all(frame_make(rows[i].shape, frame), BURST_MAX);
        gso_join(&join, list, count, rows[i].takes);
        assert_int_equal(join.count, rows[i].one ? 1 : count);
    }
}

enum repair { AS_IT_IS, CHECKSUMS };

static const struct {
    const char *what;
    unsigned shape, offset;
    uint8_t flip;
    enum repair repair;
} differences[] = {
    {"payload changed, checksum wrong", 0, 60, 1, AS_IT_IS},
    {"IPv4 checksum wrong", 0, 10, 1, AS_IT_IS},
    {"DSCP", 0, 1, 4, CHECKSUMS},
    {"ECN", 0, 1, 3, CHECKSUMS},
    {"identification", 0, 4, 1, CHECKSUMS},
    {"DF", 0, 6, DF, CHECKSUMS},
    {"a fragment", 0, 6, 0x20, CHECKSUMS},
    {"the end of a fragmented packet", 0, 7, 1, CHECKSUMS},
    {"TTL", 0, 8, 1, CHECKSUMS},
    {"source", 0, 15, 1, CHECKSUMS},
    {"destination", 0, 19, 1, CHECKSUMS},
    {"source port", 0, 21, 1, CHECKSUMS},
    {"destination port", 0, 23, 1, CHECKSUMS},
    {"sequence number", 0, 27, 1, CHECKSUMS},
    {"acknowledgement", 0, 31, 1, CHECKSUMS},
    {"reserved bit", 0, 32, 1, CHECKSUMS},
    {"FIN", 0, 33, FIN, CHECKSUMS},
    {"SYN", 0, 33, SYN, CHECKSUMS},
    {"no ACK", 0, 33, ACK, CHECKSUMS},
    {"CWR", 0, 33, CWR, CHECKSUMS},
    {"window", 0, 35, 1, CHECKSUMS},
    {"urgent pointer", 0, 39, 1, CHECKSUMS},
    {"an option", 1, 45, 1, CHECKSUMS},
    {"traffic class", 2, 1, 0x10, CHECKSUMS},
    {"flow label", 2, 3, 1, CHECKSUMS},
    {"hop limit", 2, 7, 1, CHECKSUMS},
    {"IPv6 source", 2, 20, 1, CHECKSUMS},
    {"IPv6 destination", 2, 39, 1, CHECKSUMS},
    {"UDP checksum wrong", 6, 30, 1, AS_IT_IS},
    {"UDP port", 6, 21, 1, CHECKSUMS},
};

static void what_differs_stays_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(differences); i++) {
        const struct shape *shape = &shapes[differences[i].shape];
        cut_all(frame_make(shape, frame), BURST_MAX);
        uint8_t copy[2][2048];
        packets[1].at[differences[i].offset] ^= differences[i].flip;
        if (differences[i].repair == CHECKSUMS) checksums_make(packets[1].at, packets[1].size);
        for (unsigned p = 0; p < 2; p++) memcpy(copy[p], packets[p].at, packets[p].size);
        gso_join(&join, list, 2, GSO_TAKES_TCP | GSO_TAKES_UDP);
        if (join.count != 2) print_message("joined although different: %s\n", differences[i].what);
        assert_int_equal(join.count, 2);
        static const uint8_t none[GSO_HEAD];
        for (unsigned p = 0; p < 2; p++) {
            assert_int_equal(assemble(p, again), GSO_HEAD + packets[p].size);
            assert_memory_equal(again, none, GSO_HEAD);
            assert_memory_equal(again + GSO_HEAD, copy[p], packets[p].size);
        }
    }
}

// RFC 6864 4.1 test
static void with_df_the_identification_means_nothing(void **state)
{
    (void)state;
    cut_all(frame_make(&shapes[0], frame), BURST_MAX);
    for (unsigned i = 0; i < 2; i++) {
        packets[i].at[6] = DF;
        put_u16(packets[i].at + 4, 0);
        checksums_make(packets[i].at, packets[i].size);
    }
    gso_join(&join, list, 2, GSO_TAKES_TCP);
    assert_int_equal(join.count, 1);
}

static void flows_are_joined_side_by_side_in_their_order(void **state)
{
    (void)state;
    // Four packets of a flow, every other of them made one of another flow.
    struct shape shape = {"", 4, TCP, 0, 100, 400, ACK};
    cut_all(frame_make(&shape, frame), BURST_MAX);
    struct packet *first[] = {&packets[0], &packets[2], &packets[1], &packets[3]};
    for (unsigned i = 2; i < 4; i++) {
        put_u16(first[i]->at + 20, 40001);
        put_u16(first[i]->at + 4, (uint16_t)(i - 2));
        put_u32(first[i]->at + 24, (i - 2) * 100);
    }
    put_u16(packets[2].at + 4, 0xffff);
    put_u32(packets[2].at + 24, 0xfffffff0 + 100);
    for (unsigned i = 0; i < 4; i++) checksums_make(packets[i].at, packets[i].size);
    gso_join(&join, list, 4, GSO_TAKES_TCP);
    assert_int_equal(join.count, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(join.frames[i].first, i);
        assert_int_equal(join.frames[i].last, i + 2);
    }
}

static void nothing_overtakes_in_a_flow(void **state)
{
    (void)state;
    static const struct {
        unsigned offset;
        uint8_t flip;
    } rows[] = {{33, FIN},
                {7, 1}}; // the packet in the middle: odd, or of a flow that cannot be seen
    for (size_t i = 0; i < COUNT(rows); i++) {
        cut_all(frame_make(&shapes[0], frame), BURST_MAX);
        // The third would fit behind the first.
        put_u32(packets[2].at + 24, get_u32(packets[1].at + 24));
        put_u16(packets[2].at + 4, get_u16(packets[1].at + 4));
        checksums_make(packets[2].at, packets[2].size);
        packets[1].at[rows[i].offset] ^= rows[i].flip;
        checksums_make(packets[1].at, packets[1].size);
        gso_join(&join, list, 3, GSO_TAKES_TCP);
        assert_int_equal(join.count, 3);
        for (unsigned k = 0; k < 3; k++) assert_int_equal(join.frames[k].first, k);
    }
}

static void a_pushed_or_short_packet_ends_its_frame(void **state)
{
    (void)state;
    struct shape shape = {"", 4, TCP, 0, 100, 500, ACK};
    cut_all(frame_make(&shape, frame), BURST_MAX);
    packets[1].at[33] |= PSH;
    checksums_make(packets[1].at, packets[1].size);
    gso_join(&join, list, 5, GSO_TAKES_TCP);
    assert_int_equal(join.count, 2);
    assert_int_equal(join.frames[0].count, 2);
    assert_int_equal(packets[0].at[33], ACK | PSH);
    assert_int_equal(join.frames[1].count, 3);
    assert_int_equal(packets[2].at[33], ACK);
    // Two runs, the first of which ends with less.
    shape.payload = 250;
    cut_all(frame_make(&shape, frame), BURST_MAX);
    uint8_t *more = spaces[3];
    memcpy(more, packets[0].at, packets[0].size);
    packets[3] = (struct packet){.at = more, .size = packets[0].size};
    list[3] = &packets[3];
    put_u32(more + 24, 0xfffffff0 + 250);
    put_u16(more + 4, (uint16_t)(0xfffe + 3));
    checksums_make(more, packets[3].size);
    gso_join(&join, list, 4, GSO_TAKES_TCP);
    assert_int_equal(join.count, 2);
    assert_int_equal(join.frames[0].count, 3);
}

static void a_missing_checksum_is_made(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        size_t size = frame_make(&shapes[s], frame);
        frame[1] = 0; // no segmentation
        frame[4] = frame[5] = 0;
        struct gso_cut cut;
        CHECK_FAULT(gso_cut_start(&cut, frame, size), OK);
        assert_int_equal(gso_cut_next(&cut, again), size - GSO_HEAD);
        checksums_check(again, (uint32_t)(size - GSO_HEAD));
        assert_int_equal(gso_cut_next(&cut, again), 0);
    }
}

// RFC 768 test
static void a_udp_checksum_of_zero_is_sent_as_ones(void **state)
{
    (void)state;
    struct shape shape = {"", 4, UDP, 0, 64, 2, 0};
    size_t size = frame_make(&shape, frame);
    frame[1] = 0;
    uint8_t *payload = frame + GSO_HEAD + 28, *ip = frame + GSO_HEAD;
    // What makes the sum all ones, so that its complement is zero.
    put_u16(payload, 0);
    put_u16(payload, (uint16_t)~sum16(0, ip + 20, 10));
    struct gso_cut cut;
    CHECK_FAULT(gso_cut_start(&cut, frame, size), OK);
    assert_int_equal(gso_cut_next(&cut, again), 30);
    assert_int_equal(get_u16(again + 26), 0xffff);
}

static void a_whole_packet_stays_as_it_is(void **state)
{
    (void)state;
    memset(frame, 0, GSO_HEAD);
    for (uint32_t size = 1; size < 100; size++) {
        memset(frame + GSO_HEAD, (int)size, size);
        assert_int_equal(cut_all(GSO_HEAD + size, 1), 1);
        assert_int_equal(packets[0].size, size);
        assert_memory_equal(packets[0].at, frame + GSO_HEAD, size);
    }
}

static void headers_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    const struct shape *shape = &shapes[0];
    const struct head good = head_of(shape);
    struct head bad[10];
    for (unsigned i = 0; i < COUNT(bad); i++) bad[i] = good;
    bad[0].flags = 0; // a checksum that is said to be there
    bad[1].type = 4;  // TCP over IPv6
    bad[2].type = 3;  // UDP fragments, which nobody makes any more
    bad[3].segment = 0;
    bad[4].start = 19;
    bad[5].start = 24;
    bad[6].start = 5030; // no room for TCP
    bad[7].offset = 6;
    bad[8].start = 0xffff;
    bad[9] = (struct head){.flags = 1, .start = 5038, .offset = 1};
    struct gso_cut cut;
    for (unsigned i = 0; i < COUNT(bad); i++) {
        size_t size = frame_make(shape, frame);
        memcpy(frame, &bad[i], GSO_HEAD);
        CHECK_FAULT(gso_cut_start(&cut, frame, size), FAULT_GSO_FRAME);
    }
    size_t size = frame_make(shape, frame);
    frame[GSO_HEAD + 32] = 0x40; // a TCP header of 16 bytes
    CHECK_FAULT(gso_cut_start(&cut, frame, size), FAULT_GSO_FRAME);
    for (size_t cut_to = 0; cut_to < GSO_HEAD + 40; cut_to++) {
        frame_make(shape, frame);
        CHECK_FAULT(gso_cut_start(&cut, frame, cut_to), FAULT_GSO_FRAME);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_packet_of_a_frame_is_complete),
        cmocka_unit_test(what_was_cut_is_joined_to_what_it_was),
        cmocka_unit_test(what_the_kernel_does_not_take_is_not_joined),
        cmocka_unit_test(what_differs_stays_apart),
        cmocka_unit_test(with_df_the_identification_means_nothing),
        cmocka_unit_test(flows_are_joined_side_by_side_in_their_order),
        cmocka_unit_test(nothing_overtakes_in_a_flow),
        cmocka_unit_test(a_pushed_or_short_packet_ends_its_frame),
        cmocka_unit_test(a_missing_checksum_is_made),
        cmocka_unit_test(a_udp_checksum_of_zero_is_sent_as_ones),
        cmocka_unit_test(a_whole_packet_stays_as_it_is),
        cmocka_unit_test(headers_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
