// SPDX-License-Identifier: Apache-2.0
// Packets through two planes: what is sealed is opened to the same, its outer header is as it should
// be, and SAs come, move and go.
#include "tunnel.h"

// Round trips -------------------------------------------------------------------------------------

static void what_is_sealed_opens_to_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ciphers); i++) {
        struct rig rig;
        rig_open(&rig, &ciphers[i]);
        rig_add_sa(&rig);
        for (size_t size = 20; size <= 9000; size += size < 200 ? 1 : 61) {
            check_delivered(&rig, inner_v4(size, inner_space));
            if (size >= 40) check_delivered(&rig, inner_v6(size, inner_space));
        }
        assert_int_equal(plane_stats(rig.a)->sealed, plane_stats(rig.b)->opened);
        assert_int_equal(plane_stats(rig.a)->sealed_bytes, plane_stats(rig.b)->opened_bytes);
        rig_close(&rig);
    }
}

// Inner IPv4 and IPv6 within outer IPv4 and IPv6, raw and in UDP: the ESP part is the same, where
// it goes is not.
static void all_families_travel_in_all_families(void **state)
{
    (void)state;
    static const char *const outer[2][2] = {{"192.0.2.1", "192.0.2.2"},
                                            {"2001:db8:ffff::1", "2001:db8:ffff::2"}};
    for (int family = 0; family < 2; family++)
        for (int encap = 0; encap < 2; encap++) {
            struct rig rig;
            rig_open(&rig, &ciphers[0]);
            rig.spec.path = (struct path){endpoint_of(outer[family][0], 4500),
                                          endpoint_of(outer[family][1], 4501), encap};
            rig_add_sa(&rig);
            check_delivered(&rig, inner_v4(100, inner_space));
            check_delivered(&rig, inner_v6(100, inner_space));
            assert_int_equal(box_a.packet.outer, encap ? OUTER_UDP : OUTER_RAW);
            assert_true(endpoint_equal(&box_a.packet.to, &rig.spec.path.remote));
            assert_true(endpoint_equal(&box_a.packet.from, &rig.spec.path.local));
            assert_int_equal(box_a.packet.spi, SPI_AB);
            assert_int_equal(box_a.packet.policy, POLICY);
            rig_close(&rig);
        }
}

// One end uses one back end, the other the other; and what they seal are the same bytes.
static void both_back_ends_make_and_understand_the_same_packets(void **state)
{
    (void)state;
    struct batch_backend *mb = batch_backend_new(BATCH_MB);
    if (!mb) skip();
    for (size_t i = 0; i < COUNT(ciphers); i++) {
        struct rig evp, other;
        rig_open(&evp, &ciphers[i]);
        assert_true(rig_start(&other, BATCH_MB));
        other.spec = evp.spec;
        rig_add_sa(&evp);
        rig_add_sa(&other);
        for (size_t size = 20; size < 1600; size += 13) {
            struct bytes inner = inner_v4(size, inner_space);
            struct bytes esp = rig_seal(&evp, inner);
            struct packet *packet = box_put(&box_b, inner);
            seal_one(other.a, packet);
            assert_int_equal(packet->size, esp.size);
            assert_memory_equal(packet->at, esp.at, esp.size);
            packet = rig_receive(&other, esp);
            assert_int_equal(packet->verdict, VERDICT_DELIVER);
            assert_memory_equal(packet->at, inner.at, inner.size);
        }
        rig_close(&evp);
        rig_close(&other);
    }
    batch_backend_free(mb);
}

// Several SAs, packets in disorder, some not to be sealed at all, in one burst; each keeps its
// place and its content.
static void a_burst_of_many_sas_keeps_its_order(void **state)
{
    (void)state;
    enum { SAS = 5 };
    static struct box boxes[BURST_MAX];
    struct packet *packets[BURST_MAX];
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    for (uint32_t i = 0; i < SAS; i++) {
        char local[32];
        snprintf(local, sizeof local, "10.1.%u.0/24", i);
        struct policy_spec policy = policy_of(100 + i, POLICY_PROTECT, local, "10.2.0.0/16");
        CHECK_FAULT(plane_policy_add(rig.a, &policy), OK);
        rig.spec.spi = 1000 + i;
        rig.spec.policy = 100 + i;
        rig_add_sa(&rig);
    }
    for (unsigned burst = 0; burst < 20; burst++) {
        for (unsigned i = 0; i < BURST_MAX; i++) {
            char source[32];
            snprintf(source, sizeof source, "10.%d.%u.7", i % 13 == 5 ? 9 : 1,
                     (i * 7 + burst) % SAS);
            const struct inner inner = {source,      "10.2.3.4",      17,    0,
                                        (uint16_t)i, (uint16_t)burst, false, 60 + i};
            packets[i] = box_put(&boxes[i], inner_make(&inner, inner_space));
        }
        plane_seal(rig.a, 1, packets, BURST_MAX);
        size_t sent = 0;
        for (unsigned i = 0; i < BURST_MAX; i++) {
            assert_int_equal(packets[i]->verdict, i % 13 == 5 ? VERDICT_BYPASS : VERDICT_SEND);
            if (i % 13 == 5) continue;
            assert_int_equal(get_u32(packets[i]->at), 1000 + (i * 7 + burst) % SAS);
            packets[i]->from = rig.spec.path.local;
            packets[sent++] = packets[i];
        }
        plane_open(rig.b, 2, packets, sent);
        for (size_t i = 0; i < sent; i++) {
            assert_int_equal(packets[i]->verdict, VERDICT_DELIVER);
            assert_int_equal(get_u16(packets[i]->at + 22), burst);
            assert_int_equal(packets[i]->size, 60 + get_u16(packets[i]->at + 20));
            assert_int_equal(packets[i]->at[14], packets[i]->spi - 1000);
        }
    }
    rig_close(&rig);
}

// The outer header --------------------------------------------------------------------------------

// RFC 6040 4.1 test, RFC 4301 8.1 test.
static void tos_and_df_are_those_of_the_inner_packet(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig);
    for (unsigned tos = 0; tos < 256; tos++) {
        struct inner inner = {"10.1.0.5", "10.2.0.9", 17, (uint8_t)tos, 1, 2, tos & 1, 60};
        assert_true(rig_seal(&rig, inner_make(&inner, inner_space)).size > 0);
        assert_int_equal(box_a.packet.tos, tos);
        assert_int_equal(box_a.packet.df, tos & 1);
        inner.source = "2001:db8:1::5";
        inner.destination = "2001:db8:2::9";
        assert_true(rig_seal(&rig, inner_make(&inner, inner_space)).size > 0);
        assert_int_equal(box_a.packet.tos, tos);
        assert_true(box_a.packet.df);
    }
    rig_close(&rig);
}

// RFC 6040 4.2 test: what the outer header learned of congestion reaches the inner one, with its
// checksum.
static void congestion_on_the_way_reaches_the_inner_header(void **state)
{
    (void)state;
    static const struct {
        uint8_t inner, outer, result;
        bool drop;
    } cases[] = {{0x28, 0x00, 0x28, false}, {0x28, 0x02, 0x28, false}, {0x28, 0x03, 0, true},
                 {0x2a, 0x28, 0x2a, false}, {0x2a, 0x03, 0x2b, false}, {0x2a, 0x01, 0x29, false},
                 {0x29, 0x03, 0x2b, false}, {0x2b, 0x00, 0x2b, false}};
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig);
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int v6 = 0; v6 < 2; v6++) {
            struct inner inner = {"10.1.0.5", "10.2.0.9", 17, cases[i].inner, 1, 2, false, 60};
            if (v6) {
                inner.source = "2001:db8:1::5";
                inner.destination = "2001:db8:2::9";
            }
            struct packet *packet =
                box_put(&box_b, rig_seal(&rig, inner_make(&inner, inner_space)));
            packet->tos = cases[i].outer;
            open_one(rig.b, packet);
            assert_int_equal(packet->verdict, cases[i].drop ? VERDICT_DROP : VERDICT_DELIVER);
            if (cases[i].drop) {
                CHECK_FAULT(packet->fault, FAULT_INNER_ECN);
                continue;
            }
            assert_int_equal(v6 ? get_u16(packet->at) >> 4 & 0xff : packet->at[1], cases[i].result);
            if (!v6) assert_int_equal(ipv4_sum(packet->at), 0);
        }
    rig_close(&rig);
}

// SAs come, move and go ---------------------------------------------------------------------------

// Only authenticated packets with the latest number say where the peer is.
static void a_peer_that_moved_is_reported_once(void **state)
{
    (void)state;
    struct rig rig;
    struct plane_event event;
    rig_open(&rig, &ciphers[0]);
    rig.spec.path.encap = true;
    rig_add_sa(&rig);
    check_delivered(&rig, inner_v4(100, inner_space));
    assert_false(plane_event(rig.b, &event));

    uint8_t late[256];
    struct bytes esp = rig_seal(&rig, inner_v4(100, inner_space));
    size_t late_size = esp.size;
    memcpy(late, esp.at, esp.size);
    struct endpoint elsewhere = endpoint_of("203.0.113.5", 61000);
    for (int i = 0; i < 3; i++) {
        struct packet *packet = box_put(&box_b, rig_seal(&rig, inner_v4(100, inner_space)));
        packet->from = elsewhere;
        if (i == 0) packet->at[packet->size - 1] ^= 1; // not authentic
        open_one(rig.b, packet);
        assert_int_equal(packet->verdict, i == 0 ? VERDICT_DROP : VERDICT_DELIVER);
        assert_int_equal(plane_event(rig.b, &event), i == 1);
    }
    assert_int_equal(event.kind, PLANE_PEER_MOVED);
    assert_int_equal(event.spi, SPI_AB);
    assert_true(endpoint_equal(&event.from, &elsewhere));

    struct packet *packet =
        box_put(&box_b, bytes_of(late, late_size)); // in the window, but not the latest
    packet->from = endpoint_of("203.0.113.99", 1);
    open_one(rig.b, packet);
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    assert_false(plane_event(rig.b, &event));

    packet = box_put(&box_b, rig_seal(&rig, inner_v4(100, inner_space))); // taken out of its UDP
    packet->from = endpoint_of("203.0.113.99", 0);
    open_one(rig.b, packet);
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    assert_false(plane_event(rig.b, &event));

    struct path path = {rig.spec.path.remote, elsewhere, true};
    CHECK_FAULT(plane_sa_move(rig.b, SPI_AB, SA_IN, &path), OK);
    packet = box_put(&box_b, rig_seal(&rig, inner_v4(100, inner_space)));
    packet->from = elsewhere;
    open_one(rig.b, packet);
    assert_false(plane_event(rig.b, &event));

    path.remote.port++; // ike did not believe it, and it comes again
    packet = box_put(&box_b, rig_seal(&rig, inner_v4(100, inner_space)));
    packet->from = path.remote;
    open_one(rig.b, packet);
    assert_true(plane_event(rig.b, &event));
    CHECK_FAULT(plane_sa_move(rig.b, SPI_AB, SA_IN, &(struct path){path.local, elsewhere, true}),
                OK);
    packet = box_put(&box_b, rig_seal(&rig, inner_v4(100, inner_space)));
    packet->from = path.remote;
    open_one(rig.b, packet);
    assert_true(plane_event(rig.b, &event));
    rig_close(&rig);
}

static void an_sa_that_moved_sends_elsewhere(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig);
    struct path path = {endpoint_of("2001:db8::1", 4500), endpoint_of("2001:db8::77", 4501), true};
    CHECK_FAULT(plane_sa_move(rig.a, SPI_AB, SA_OUT, &path), OK);
    check_delivered(&rig, inner_v4(100, inner_space));
    assert_int_equal(box_a.packet.outer, OUTER_UDP);
    assert_true(endpoint_equal(&box_a.packet.to, &path.remote));
    CHECK_FAULT(plane_sa_move(rig.a, SPI_BA, SA_OUT, &path), FAULT_SA_UNKNOWN);
    rig_close(&rig);
}

// The newest SA is used; when it goes, the one before is.
static void the_newest_sa_serves_its_policy(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    for (uint32_t spi = 1001; spi <= 1003; spi++) {
        rig.spec.spi = spi;
        rig_add_sa(&rig);
        check_delivered(&rig, inner_v4(100, inner_space));
        assert_int_equal(box_a.packet.spi, spi);
    }
    CHECK_FAULT(plane_sa_del(rig.a, 1002, SA_OUT), OK);
    check_delivered(&rig, inner_v4(100, inner_space));
    assert_int_equal(box_a.packet.spi, 1003);
    CHECK_FAULT(plane_sa_del(rig.a, 1003, SA_OUT), OK);
    check_delivered(&rig, inner_v4(100, inner_space));
    assert_int_equal(box_a.packet.spi, 1001);
    CHECK_FAULT(plane_sa_del(rig.a, 1001, SA_OUT), OK);
    CHECK_FAULT(plane_sa_del(rig.a, 1001, SA_OUT), FAULT_SA_UNKNOWN);
    assert_int_equal(rig_seal(&rig, inner_v4(100, inner_space)).size, 0);
    CHECK_FAULT(box_a.packet.fault, FAULT_SA_MISSING);
    assert_int_equal(plane_stats(rig.a)->sas, 0);
    rig_close(&rig);
}

// RFC 4301 4.4.1.2 test: an SA with narrower selectors than its policy carries only what was
// negotiated.
static void a_narrowed_sa_carries_only_its_own_traffic(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig.spec.local = selectors_of("10.1.0.5");
    rig_add_sa(&rig);
    check_delivered(&rig, inner_v4(100, inner_space));
    const struct inner other = {"10.1.0.6", "10.2.0.9", 17, 0, 1, 2, false, 60};
    assert_int_equal(rig_seal(&rig, inner_make(&other, inner_space)).size, 0);
    CHECK_FAULT(box_a.packet.fault, FAULT_SA_MISSING);
    rig.spec.local = selectors_of("10.1.0.6");
    rig.spec.spi = 4711;
    rig_add_sa(&rig);
    check_delivered(&rig, inner_make(&other, inner_space));
    assert_int_equal(box_a.packet.spi, 4711);
    check_delivered(&rig, inner_v4(100, inner_space));
    assert_int_equal(box_a.packet.spi, SPI_AB);
    rig_close(&rig);
}

// Peers choose our outbound SPIs, so two may choose the same.
static void two_peers_may_choose_one_spi(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    struct sa_spec other = rig.spec;
    other.policy = POLICY + 1;
    other.path.remote = endpoint_of("192.0.2.3", 4500);
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), OK);
    CHECK_FAULT(plane_sa_add(rig.a, &other), OK);
    CHECK_FAULT(plane_sa_del(rig.a, SPI_AB, SA_OUT), FAULT_SA_AMBIGUOUS);
    struct path path = other.path;
    path.remote.port = 1;
    CHECK_FAULT(plane_sa_move_of(rig.a, SPI_AB, SA_OUT, &other.path.remote.addr, &path), OK);
    CHECK_FAULT(plane_sa_del_of(rig.a, SPI_AB, SA_OUT, &rig.spec.path.remote.addr), OK);
    CHECK_FAULT(plane_sa_del(rig.a, SPI_AB, SA_OUT), OK);
    rig_close(&rig);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    struct sa_spec spec = rig.spec;
    spec.spi = 255;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_SA_PARAMETERS);
    spec = rig.spec;
    spec.replay_window = REPLAY_WINDOW_MAX + 1;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_SA_PARAMETERS);
    spec = rig.spec;
    spec.direction = 3;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_SA_PARAMETERS);
    spec = rig.spec;
    spec.path.remote.addr.family = ADDR_NONE;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_SA_PARAMETERS);
    spec = rig.spec;
    spec.mode = MODE_GATEWAY_TRANSPORT + 1;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_SA_MODE);
    spec = rig.spec;
    spec.protocol = PROTOCOL_IKE;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_SA_MODE);
    spec = rig.spec;
    spec.copy_dscp = DSCP_COPY_NONE + 1;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_SA_PARAMETERS);
    spec = rig.spec;
    spec.local.count = 0;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_SELECTORS_EMPTY);
    spec = rig.spec;
    spec.encr_key.size--;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_KEY_WRONG_SIZE);
    for (uint32_t i = 0; i < 64; i++) {
        spec = rig.spec;
        spec.spi = 1000 + i;
        CHECK_FAULT(plane_sa_add(rig.a, &spec), OK);
    }
    spec.spi = 2000;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_SAS_TOO_MANY);
    spec.spi = 1000; // replaces
    CHECK_FAULT(plane_sa_add(rig.a, &spec), OK);
    size_t cursor = 0, count = 0;
    struct sa_usage usage;
    while (plane_usage_next(rig.a, &cursor, &usage)) count++;
    assert_int_equal(count, 64);
    rig_close(&rig);
}

static void packets_without_room_or_too_large_are_dropped(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig);
    struct packet *packet = box_put(&box_a, inner_v4(65535, inner_space));
    seal_one(rig.a, packet);
    CHECK_FAULT(packet->fault, FAULT_PACKET_TOO_LARGE);
    uint64_t before = run_out(&rig)->out.sequence;
    packet = box_put(&box_a, inner_v4(100, inner_space));
    packet->space = packet->at - 15;
    packet->room = 1000;
    seal_one(rig.a, packet);
    CHECK_FAULT(packet->fault, FAULT_NO_ROOM);
    packet = box_put(&box_a, inner_v4(100, inner_space));
    packet->room = PACKET_HEAD + 100 + 19; // two of padding, two of trailer, sixteen of ICV
    seal_one(rig.a, packet);
    CHECK_FAULT(packet->fault, FAULT_NO_ROOM);
    assert_true(run_out(&rig)->out.sequence == before);
    packet = box_put(&box_a, inner_v4(100, inner_space));
    packet->space = packet->at - 16;
    packet->room = 16 + 100 + 20;
    seal_one(rig.a, packet);
    assert_int_equal(packet->verdict, VERDICT_SEND);
    rig_close(&rig);
}



int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens_to_the_same),
        cmocka_unit_test(all_families_travel_in_all_families),
        cmocka_unit_test(both_back_ends_make_and_understand_the_same_packets),
        cmocka_unit_test(a_burst_of_many_sas_keeps_its_order),
        cmocka_unit_test(tos_and_df_are_those_of_the_inner_packet),
        cmocka_unit_test(congestion_on_the_way_reaches_the_inner_header),
        cmocka_unit_test(a_peer_that_moved_is_reported_once),
        cmocka_unit_test(an_sa_that_moved_sends_elsewhere),
        cmocka_unit_test(the_newest_sa_serves_its_policy),
        cmocka_unit_test(a_narrowed_sa_carries_only_its_own_traffic),
        cmocka_unit_test(two_peers_may_choose_one_spi),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(packets_without_room_or_too_large_are_dropped),
    };
    crypto_start();
    return cmocka_run_group_tests_name("plane", tests, NULL, NULL);
}
