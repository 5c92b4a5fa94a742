// SPDX-License-Identifier: Apache-2.0
// Path MTU: the arithmetic against what sealing really makes, what the sender of a packet that is
// too large gets, segments of TCP, fragments.
#include "esp/gso.h"
#include "rig.h"

static struct box box;
static uint8_t inner_space[16384];

// What the kernel or the plane puts before what is sealed.
static size_t outer_size(const struct rig *rig, const struct packet *packet)
{
    if (packet->outer == OUTER_WHOLE) return packet->size;
    return packet->size + ip_header_size(rig->spec.path.remote.addr.family) +
           (rig->spec.path.encap ? 8u : 0u);
}

static const struct inner may_not_be_cut = {
    "10.1.0.5", "10.2.0.9", IPPROTO_NUMBER_UDP, 0, 1000, 2000, true, 0};

static struct packet *seal_df(struct rig *rig, size_t size)
{
    struct inner inner = may_not_be_cut;
    inner.size = size;
    struct packet *packet = box_put(&box, inner_make(&inner, inner_space));
    seal_one(rig->a, packet);
    return packet;
}

// RFC 4301 8.2 test: for each cipher, each family outside, with and without UDP: the largest packet
// that is let in fits the path, and one byte more would not have.
static void the_largest_packet_fits_and_one_byte_more_does_not(void **state)
{
    (void)state;
    static const uint16_t paths[] = {576, 1280, 1399, 1400, 1401, 1402, 1403, 1492, 1500, 9000};
    for (size_t i = 0; i < COUNT(ciphers); i++)
        for (unsigned way = 0; way < 4; way++)
            for (size_t j = 0; j < COUNT(paths); j++) {
                struct rig rig;
                rig_open(&rig, &ciphers[i]);
                if (way & 1)
                    rig.spec.path = (struct path){endpoint_of("2001:db8::1", 1),
                                                  endpoint_of("2001:db8::2", 2), false};
                rig.spec.path.encap = way & 2;
                rig.spec.path_mtu = paths[j];
                rig_add_sa(&rig);
                struct mtu_parts parts = mtu_parts(&rig.spec);
                uint32_t most = mtu_inner(&parts, paths[j]);
                struct packet *packet = seal_df(&rig, most);
                assert_int_equal(packet->verdict, VERDICT_SEND);
                assert_true(outer_size(&rig, packet) <= paths[j]);
                assert_true(most + 1 + plane_overhead(&rig.spec, most + 1) > paths[j]);
                CHECK_FAULT(seal_df(&rig, most + 1)->fault, FAULT_PATH_MTU);
                rig_close(&rig);
            }
}

static void known_sums(void **state)
{
    (void)state;
    struct sa_spec spec = spec_of(&ciphers[0], SA_OUT, 1000); // AES-GCM-16
    struct mtu_parts parts = mtu_parts(&spec);
    assert_int_equal(mtu_inner(&parts, 1500), 1446); // 20, 8, 8, 16; 2
    assert_int_equal(mtu_inner(&parts, 1400), 1346);
    spec.path.encap = true;
    parts = mtu_parts(&spec);
    assert_int_equal(mtu_inner(&parts, 1400), 1338);
    assert_int_equal(mtu_mss(1338, ADDR_V4), 1298);
    assert_int_equal(mtu_mss(1338, ADDR_V6), 1278);
    assert_int_equal(mtu_inner(&parts, 20), 68); // RFC 791 3.2 test
}

static void rig_narrow(struct rig *rig, uint16_t path_mtu)
{
    rig_open(rig, &ciphers[0]);
    rig->spec.path_mtu = path_mtu;
    rig->spec.tcp_mss = MSS_AUTO;
    rig_add_sa(rig);
}

// RFC 1191 4 test, RFC 1812 4.3.2.3 test
static void the_sender_is_told_over_ipv4(void **state)
{
    (void)state;
    struct rig rig;
    rig_narrow(&rig, 1400);
    struct packet *packet = seal_df(&rig, 1400);
    const uint8_t *ip = packet->at;
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    assert_int_equal(packet->size, 576);
    assert_int_equal(get_u16(ip + 2), 576);
    assert_int_equal(ipv4_sum(ip), 0);
    assert_int_equal(ip[9], 1);
    assert_memory_equal(ip + 12, inner_space + 16, 4); // from where it was to go …
    assert_memory_equal(ip + 16, inner_space + 12, 4); // … to where it came from
    assert_int_equal(ip[20], 3);
    assert_int_equal(ip[21], 4);
    assert_int_equal(get_u32(ip + 24), 1346);
    assert_int_equal(sum_end(sum_add(0, ip + 20, 556)), 0);
    assert_memory_equal(ip + 28, inner_space, 548);
    assert_int_equal(plane_stats(rig.a)->dropped[FAULT_PATH_MTU], 1);
    rig_close(&rig);
}

// RFC 4443 3.2 test, RFC 4443 2.4 test
static void the_sender_is_told_over_ipv6(void **state)
{
    (void)state;
    struct rig rig;
    rig_narrow(&rig, 1400);
    struct packet *packet = box_put(&box, inner_v6(1347, inner_space));
    seal_one(rig.a, packet);
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    assert_int_equal(packet->size, 1280);
    assert_int_equal(packet->at[6], 58);
    assert_int_equal(packet->at[40], 2);
    assert_int_equal(get_u32(packet->at + 44), 1346);
    uint32_t sum = ip_pseudo_sum(packet->at, 58, 1240);
    assert_int_equal(sum_end(sum_add(sum, packet->at + 40, 1240)), 0);
    rig_close(&rig);
}

// RFC 8200 5 test: packets of 1280 bytes go, whatever the path; larger ones are refused with that
// size.
static void ipv6_never_hears_of_less_than_1280(void **state)
{
    (void)state;
    struct rig rig;
    rig_narrow(&rig, 1280);
    struct packet *packet = box_put(&box, inner_v6(1280, inner_space));
    seal_one(rig.a, packet);
    assert_int_equal(packet->verdict, VERDICT_SEND);
    assert_true(packet->oversize);
    assert_false(packet->df);
    packet = box_put(&box, inner_v6(1281, inner_space));
    seal_one(rig.a, packet);
    assert_int_equal(get_u32(packet->at + 44), 1280);
    rig_close(&rig);
}

// RFC 1122 3.2.2 test, RFC 4443 2.4 test: what must not be answered is dropped in silence.
static void some_packets_are_not_answered(void **state)
{
    (void)state;
    static const struct {
        size_t place;
        uint8_t value;
        bool v6, answered;
    } rows[] = {
        {13, 1, false, true},    // another source
        {12, 0, false, false},   // from nowhere
        {12, 224, false, false}, // from a group
        {16, 224, false, false}, // to a group
        {7, 1, false, false},    // a later fragment
        {6, 0x60, false, true},  // the first one
        {8, 0xff, true, false},  // from a group
        {24, 0xff, true, false}, // to a group
        {9, 1, true, true},      // another source
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct inner inner = may_not_be_cut;
        inner.size = 1400;
        struct bytes bytes =
            rows[i].v6 ? inner_v6(1400, inner_space) : inner_make(&inner, inner_space);
        inner_space[rows[i].place] = rows[i].value;
        struct packet *packet = box_put(&box, bytes);
        assert_int_equal(icmp_too_big(&packet->at, &packet->size, PACKET_HEAD, 1300),
                         rows[i].answered);
    }
    for (unsigned type = 0; type < 256; type++) {
        struct inner inner = may_not_be_cut;
        bool error = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
        inner.size = 1400;
        inner.protocol = IPPROTO_NUMBER_ICMP;
        struct packet *packet = box_put(&box, inner_make(&inner, inner_space));
        packet->at[20] = (uint8_t)type;
        assert_int_equal(icmp_too_big(&packet->at, &packet->size, PACKET_HEAD, 1300), !error);
        packet = box_put(&box, inner_v6(1400, inner_space));
        packet->at[6] = IPPROTO_NUMBER_ICMPV6;
        packet->at[40] = (uint8_t)type;
        assert_int_equal(icmp_too_big(&packet->at, &packet->size, PACKET_HEAD, 1300), type >= 128);
    }
}

// RFC 1812 4.3.2.8 test
static void answers_are_limited(void **state)
{
    (void)state;
    struct rig rig;
    unsigned answers = 0;
    rig_narrow(&rig, 1400);
    for (unsigned i = 0; i < 1000; i++) answers += seal_df(&rig, 1400)->verdict == VERDICT_DELIVER;
    assert_int_equal(answers, 256);
    assert_int_equal(plane_stats(rig.a)->dropped[FAULT_PATH_MTU], 1000);
    rig_close(&rig);
}

// RFC 4301 8.1 test: who clears DF outside wants packets cut there.
static void with_df_cleared_nothing_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig.spec.path_mtu = 1400;
    rig.spec.copy_df = DF_CLEAR;
    rig_add_sa(&rig);
    struct packet *packet = seal_df(&rig, 1400);
    assert_int_equal(packet->verdict, VERDICT_SEND);
    assert_true(packet->oversize);
    assert_false(packet->df);
    rig_close(&rig);
}

// --- fragments

// Puts a packet together again from fragments in their order.
static size_t rejoin(const uint8_t *piece, size_t size, uint8_t *whole, size_t *most)
{
    if (piece[0] >> 4 == 6) {
        uint32_t at = get_u16(piece + 42) & 0xfff8u;
        assert_int_equal(get_u16(piece + 4), size - 40);
        assert_int_equal(piece[6], 44);
        assert_int_equal(piece[40], 17);
        assert_int_equal(get_u32(piece + 44), 0x12345678);
        memcpy(whole + at, piece + 48, size - 48);
        if (!(get_u16(piece + 42) & 1)) *most = at + size - 48;
        return size;
    }
    assert_int_equal(get_u16(piece + 4), 0x68ad); // the packet has none of its own
    uint32_t offset = (get_u16(piece + 6) & 0x1fffu) * 8, header = (piece[0] & 15u) * 4;
    assert_int_equal(get_u16(piece + 2), size);
    assert_int_equal(ipv4_sum(piece), 0);
    memcpy(whole + offset, piece + header, size - header);
    if (!(get_u16(piece + 6) & 0x2000)) *most = offset + size - header;
    return size;
}

// RFC 791 3.2 test, RFC 8200 4.5 test: for all sizes; put together they are the packet.
static void fragments_make_up_the_packet(void **state)
{
    (void)state;
    static uint8_t piece[16384], whole[16384];
    for (unsigned v6 = 0; v6 < 2; v6++)
        for (uint32_t mtu = 68; mtu < 1600; mtu += 61)
            for (uint32_t size = 100; size < 9000; size += 211) {
                struct bytes bytes = v6 ? inner_v6(size, inner_space) : inner_v4(size, inner_space);
                struct fragmenting at;
                size_t got, most = 0, head = v6 ? 40 : 20;
                assert_true(fragment_start(&at, bytes.at, (uint32_t)bytes.size, mtu, 0x12345678));
                while ((got = fragment_next(&at, piece))) {
                    assert_true(got <= mtu);
                    (void)rejoin(piece, got, whole, &most);
                }
                assert_int_equal(most, size - head);
                assert_memory_equal(whole, inner_space + head, most);
            }
}

// RFC 8200 4.5 test: what routers read goes with each fragment, and a fragment is not cut again.
static void headers_for_routers_go_with_every_fragment(void **state)
{
    (void)state;
    uint8_t packet[1000], piece[1000];
    (void)inner_v6(sizeof packet, packet);
    static const uint8_t headers[24] = {43, 0, 1, 4, 0, 0, 0,  0, 60, 0,
                                        4,  0, 0, 0, 0, 0, 50, 0, 1,  4};
    packet[6] = 0; // hop-by-hop, routing, and options for the end
    memcpy(packet + 40, headers, sizeof headers);
    struct fragmenting at;
    assert_true(fragment_start(&at, packet, sizeof packet, 500, 7));
    uint32_t total = 0;
    for (uint32_t size; (size = fragment_next(&at, piece)); total += size - 64) {
        assert_memory_equal(piece + 7, packet + 7, 41);
        assert_int_equal(piece[48], 44);
        assert_int_equal(piece[56], 60);
    }
    assert_int_equal(total, sizeof packet - 56);
    assert_true(fragment_start(&at, packet, sizeof packet, 500, 7));
    uint32_t size = fragment_next(&at, piece);
    struct fragmenting again;
    assert_false(fragment_start(&again, piece, size, 300, 8));
    // IPv4: not where its sender forbids it.
    (void)inner_v4(sizeof packet, packet);
    put_u16(packet + 6, IPV4_DONT_FRAGMENT);
    assert_false(fragment_start(&again, packet, sizeof packet, 500, 8));
}

// RFC 791 3.1 test: the second option is marked to be copied, the first is not.
static void only_some_options_go_with_every_fragment(void **state)
{
    (void)state;
    static const uint8_t options[12] = {7, 7, 4, 0, 0, 0, 0, 0x83, 3, 4, 1, 1};
    uint8_t packet[132] = {0x48, 0, 0, 132}, piece[132];
    struct fragmenting at;
    memset(packet + 32, 0xaa, 100);
    memcpy(packet + 20, options, 12);
    put_u16(packet + 10, ipv4_sum(packet));
    packet[0] = 0x48;
    assert_true(fragment_start(&at, packet, 132, 80, 3));
    assert_int_equal(fragment_next(&at, piece), 80);
    assert_memory_equal(piece + 20, options, 12);
    assert_true(fragment_next(&at, piece) > 0);
    assert_memory_equal(piece + 20, "\1\1\1\1\1\1\1\x83\3\4\1\1", 12);
}

static void a_packet_that_may_be_cut_is(void **state)
{
    (void)state;
    struct rig rig;
    rig_narrow(&rig, 1400);
    struct packet *packet = box_put(&box, inner_v4(1400, inner_space));
    seal_one(rig.a, packet);
    assert_int_equal(packet->verdict, VERDICT_FRAGMENT);
    assert_int_equal(packet->limit, 1346);
    rig_close(&rig);
    // Fragments show no ports, so an SA that asks for them gets the packet whole.
    rig_open(&rig, &ciphers[0]);
    rig.spec.path_mtu = 1400;
    rig.spec.local = selectors_of("10.1.0.0/16[udp/1000]");
    rig_add_sa(&rig);
    packet = box_put(&box, inner_v4(1400, inner_space));
    seal_one(rig.a, packet);
    assert_int_equal(packet->verdict, VERDICT_SEND);
    assert_true(packet->oversize);
    rig_close(&rig);
}

// --- TCP

static struct bytes syn(bool v6, const uint8_t *options, size_t option_size, uint8_t flags)
{
    size_t ip = v6 ? 40 : 20;
    struct inner inner = may_not_be_cut;
    inner.protocol = IPPROTO_NUMBER_TCP;
    inner.size = ip + 20 + option_size;
    if (v6) inner.source = "2001:db8:1::5", inner.destination = "2001:db8:2::9";
    struct bytes bytes = inner_make(&inner, inner_space);
    uint8_t *tcp = inner_space + ip;
    tcp[12] = (uint8_t)((20 + option_size) / 4 << 4);
    tcp[13] = flags;
    memcpy(tcp + 20, options, option_size);
    put_u16(tcp + 16, 0);
    uint32_t sum = ip_pseudo_sum(inner_space, IPPROTO_NUMBER_TCP, (uint32_t)(20 + option_size));
    put_u16(tcp + 16, sum_end(sum_add(sum, tcp, 20 + option_size)));
    return bytes;
}

static void check_tcp_sum(const uint8_t *ip, size_t size)
{
    size_t header = ip[0] >> 4 == 6 ? 40 : 20;
    uint32_t sum = ip_pseudo_sum(ip, IPPROTO_NUMBER_TCP, (uint32_t)(size - header));
    assert_int_equal(sum_end(sum_add(sum, ip + header, size - header)), 0);
}

// RFC 9293 3.7.1 test: at even and odd places, from every size; the checksum stays right.
static void segments_are_limited(void **state)
{
    (void)state;
    static const uint8_t places[] = {0, 1, 2, 3};
    for (int v6 = 0; v6 < 2; v6++)
        for (size_t i = 0; i < COUNT(places); i++)
            for (unsigned offered = 0; offered < 65536; offered += 97) {
                uint8_t options[8];
                memset(options, 1, sizeof options);
                options[places[i]] = 2;
                options[places[i] + 1] = 4;
                put_u16(options + places[i] + 2, (uint16_t)offered);
                struct bytes bytes = syn(v6, options, 8, 0x02);
                assert_true(tcp_is_syn(bytes.at, (uint32_t)bytes.size));
                tcp_clamp(inner_space, (uint32_t)bytes.size, 1298);
                unsigned now = get_u16(inner_space + (v6 ? 60 : 40) + places[i] + 2);
                assert_int_equal(now, offered < 1298 ? offered : 1298);
                check_tcp_sum(inner_space, bytes.size);
            }
}

// RFC 5925 7.3 test: options that are signed; those that are broken; none at all.
static void some_segments_stay_as_they_are(void **state)
{
    (void)state;
    static const uint8_t rows[][8] = {
        {2, 4, 5, 180, 29, 4, 1, 1}, {2, 4, 5, 180, 8, 9, 0, 0}, {2, 4, 5, 180, 8, 1, 0, 0},
        {0, 2, 4, 5, 180, 0, 0, 0},  {2, 3, 5, 1, 1, 1, 1, 1},   {1, 1, 1, 1, 1, 1, 1, 2},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t before[64];
        struct bytes bytes = syn(false, rows[i], 8, 0x02);
        memcpy(before, bytes.at, bytes.size);
        tcp_clamp(inner_space, (uint32_t)bytes.size, 1000);
        assert_memory_equal(before, inner_space, bytes.size);
    }
    assert_false(tcp_is_syn(inner_space, (uint32_t)syn(false, rows[0], 8, 0x10).size));
    assert_false(tcp_is_syn(inner_space, (uint32_t)syn(false, rows[0], 8, 0x06).size));
    for (uint32_t size = 20; size < 40; size++)
        assert_false(tcp_is_syn(syn(false, rows[0], 0, 0x02).at, size));
}

static uint16_t mss_after(struct rig *rig, bool open)
{
    static const uint8_t options[4] = {2, 4, 5, 180}; // 1460
    struct packet *packet = box_put(&box, syn(false, options, 4, 0x12));
    seal_one(rig->a, packet);
    assert_int_equal(packet->verdict, VERDICT_SEND);
    if (!open) return 0;
    open_one(rig->b, packet);
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    check_tcp_sum(packet->at, packet->size);
    return get_u16(packet->at + 42);
}

static void a_connection_through_an_sa_learns_of_it(void **state)
{
    (void)state;
    struct rig rig;
    rig_narrow(&rig, 1400);
    assert_int_equal(mss_after(&rig, true), 1306);
    CHECK_FAULT(plane_sa_mtu(rig.a, rig.spec.spi, SA_OUT, NULL, 1300), OK);
    assert_int_equal(mss_after(&rig, true), 1206);
    CHECK_FAULT(plane_sa_mtu(rig.b, rig.spec.spi, SA_IN, NULL, 1280), OK); // the other way, too
    assert_int_equal(mss_after(&rig, true), 1186);
    rig_close(&rig);
    rig_open(&rig, &ciphers[0]);
    rig.spec.path_mtu = 1400;
    rig_add_sa(&rig); // tcp_mss = no
    assert_int_equal(mss_after(&rig, true), 1460);
    rig_close(&rig);
}

// --- what is learned later

static void the_mtu_follows_the_path(void **state)
{
    (void)state;
    struct rig rig;
    rig_narrow(&rig, 1500);
    assert_int_equal(seal_df(&rig, 1446)->verdict, VERDICT_SEND);
    CHECK_FAULT(plane_sa_mtu(rig.a, rig.spec.spi, SA_OUT, &rig.spec.path.remote.addr, 1400), OK);
    assert_int_equal(seal_df(&rig, 1446)->verdict, VERDICT_DELIVER);
    struct path path = {endpoint_of("2001:db8::1", 1), endpoint_of("2001:db8::2", 2), true};
    CHECK_FAULT(plane_sa_move(rig.a, rig.spec.spi, SA_OUT, &path), OK);
    rig.spec.path = path;
    assert_int_equal(seal_df(&rig, 1318)->verdict, VERDICT_SEND); // 40, 8, 8, 8, 16; 2
    assert_int_equal(seal_df(&rig, 1319)->verdict, VERDICT_DELIVER);
    CHECK_FAULT(plane_sa_mtu(rig.a, 12345678, SA_OUT, NULL, 1400), FAULT_SA_UNKNOWN);
    struct bytes packet = inner_v4(100, inner_space);
    assert_int_equal(plane_room_of(rig.a, 1000, 0, packet.at, (uint32_t)packet.size).mtu, 1318);
    inner_space[16] = 99;
    assert_int_equal(plane_room_of(rig.a, 1000, 0, packet.at, (uint32_t)packet.size).mtu, UINT32_MAX);
    rig_close(&rig);
}

// What hides the sizes of packets must not make one that is too large.
static void padding_ends_where_the_path_does(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig.spec.path_mtu = 1400;
    rig.spec.tfc_padding = 1500;
    rig_add_sa(&rig);
    struct packet *packet = seal_df(&rig, 100);
    assert_int_equal(outer_size(&rig, packet), 1400);
    rig_close(&rig);
}

// A frame of the TUN device whose segments are too large is cut into smaller ones.
static void segments_of_a_frame_become_smaller(void **state)
{
    (void)state;
    struct gso_cut cut = {.header = 40, .segment = 1460};
    gso_cut_limit(&cut, 1338);
    assert_int_equal(cut.segment, 1298);
    gso_cut_limit(&cut, UINT32_MAX);
    assert_int_equal(cut.segment, 1298);
    gso_cut_limit(&cut, 40);
    assert_int_equal(cut.segment, 1298);
    struct gso_cut datagrams = {.header = 28, .segment = 1460, .udp = true};
    gso_cut_limit(&datagrams, 1338);
    assert_int_equal(datagrams.segment, 1460);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_packet_fits_and_one_byte_more_does_not),
        cmocka_unit_test(known_sums),
        cmocka_unit_test(the_sender_is_told_over_ipv4),
        cmocka_unit_test(the_sender_is_told_over_ipv6),
        cmocka_unit_test(ipv6_never_hears_of_less_than_1280),
        cmocka_unit_test(some_packets_are_not_answered),
        cmocka_unit_test(answers_are_limited),
        cmocka_unit_test(with_df_cleared_nothing_is_refused),
        cmocka_unit_test(fragments_make_up_the_packet),
        cmocka_unit_test(headers_for_routers_go_with_every_fragment),
        cmocka_unit_test(only_some_options_go_with_every_fragment),
        cmocka_unit_test(a_packet_that_may_be_cut_is),
        cmocka_unit_test(segments_are_limited),
        cmocka_unit_test(some_segments_stay_as_they_are),
        cmocka_unit_test(a_connection_through_an_sa_learns_of_it),
        cmocka_unit_test(the_mtu_follows_the_path),
        cmocka_unit_test(padding_ends_where_the_path_does),
        cmocka_unit_test(segments_of_a_frame_become_smaller),
    };
    crypto_start();
    return cmocka_run_group_tests_name("pmtu", tests, NULL, NULL);
}
