// SPDX-License-Identifier: Apache-2.0
// Transport mode, between hosts, gateways and through NATs: what is sealed opens to the same, what
// lies on the wire is what the documents say, and what cannot be carried is refused.
#include "modes.h"

static uint8_t outer_space[65536];

// Transport ---------------------------------------------------------------------------------------

static void a_transport_packet_opens_to_what_it_was(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ciphers); i++)
        for (int encap = 0; encap < 2; encap++) {
            struct rig rig;
            rig_mode(&rig, &ciphers[i], MODE_TRANSPORT);
            rig.spec.path.encap = encap;
            rig_add_sa(&rig);
            for (size_t size = 61; size < 1500; size += 13)
                for (int v6 = 0; v6 < 2; v6++) {
                    uint8_t protocol = size & 1 ? IPPROTO_NUMBER_TCP : IPPROTO_NUMBER_UDP;
                    struct bytes inner = inner_of(v6, protocol, size);
                    struct packet *sent = seal_bytes(&rig, inner);
                    assert_int_equal(sent->verdict, VERDICT_SEND);
                    assert_int_equal(sent->outer, OUTER_WHOLE);
                    assert_int_equal(sent->at[v6 ? 6 : 9], encap ? 17 : 50);
                    struct sa_spec spec = rig.spec;
                    if (v6) spec.remote = selectors_of("2001:db8:2::/48");
                    assert_int_equal(plane_overhead(&spec, size), sent->size - size);
                    uint32_t total;
                    CHECK_FAULT(ip_check(sent->at, sent->size, &total), OK);
                    assert_int_equal(total, sent->size);
                    if (!v6) assert_int_equal(ipv4_sum(sent->at), 0);
                    struct packet *got = arrive(&rig, sent, false);
                    open_one(rig.b, got);
                    if (encap)
                        check_like(got, inner);
                    else
                        check_same(got, inner);
                }
            rig_close(&rig);
        }
}

// RFC 3948 2.1 test: ports and length; over IPv6 a checksum (RFC 8200 8.1).
static void the_udp_header_is_right(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct rig rig;
        rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
        rig.spec.path.encap = true;
        rig.spec.path.remote.port = 4711;
        rig_add_sa(&rig);
        for (size_t size = 61; size < 80; size++) {
            struct packet *sent = seal_bytes(&rig, inner_of(v6, IPPROTO_NUMBER_UDP, size));
            const uint8_t *udp = sent->at + (v6 ? 40 : 20);
            size_t left = sent->size - (v6 ? 40 : 20);
            assert_int_equal(get_u16(udp), 4500);
            assert_int_equal(get_u16(udp + 2), 4711);
            assert_int_equal(get_u16(udp + 4), left);
            if (v6) {
                assert_int_not_equal(get_u16(udp + 6), 0);
                assert_int_equal(naive_sum(sent->at, udp, left, 17), 0);
            } else {
                assert_int_equal(get_u16(udp + 6), 0);
            }
        }
        rig_close(&rig);
    }
}

// RFC 3948 3.1.2 test: behind a NAT the sender's address is another; the checksum holds for it.
static void checksums_are_made_anew_behind_a_nat(void **state)
{
    (void)state;
    static const uint8_t protocols[] = {IPPROTO_NUMBER_TCP, IPPROTO_NUMBER_UDP};
    for (int v6 = 0; v6 < 2; v6++)
        for (size_t i = 0; i < COUNT(protocols); i++) {
            struct rig rig;
            rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
            rig.spec.path.encap = true;
            rig_add_sa(&rig);
            struct bytes inner = inner_of(v6, protocols[i], 99);
            struct packet *got = arrive(&rig, seal_bytes(&rig, inner), false);
            got->from = endpoint_of(v6 ? "2001:db8:1:9::77" : "10.1.9.77", 61234);
            open_one(rig.b, got);
            assert_int_equal(got->verdict, VERDICT_DELIVER);
            size_t head = v6 ? 40 : 20;
            assert_memory_equal(got->at + (v6 ? 8 : 12), got->from.addr.at, v6 ? 16 : 4);
            assert_int_equal(naive_sum(got->at, got->at + head, 99 - head, protocols[i]), 0);
            assert_memory_not_equal(got->at + head, inner.at + head, 99 - head);
            rig_close(&rig);
        }
}

// A UDP checksum of zero stays: there is none (RFC 768).
static void no_checksum_stays_none(void **state)
{
    (void)state;
    struct rig rig;
    rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
    rig.spec.path.encap = true;
    rig_add_sa(&rig);
    struct bytes inner = inner_of(0, IPPROTO_NUMBER_UDP, 99);
    put_u16(inner_space + 26, 0);
    struct packet *got = arrive(&rig, seal_bytes(&rig, inner), false);
    open_one(rig.b, got);
    assert_int_equal(got->verdict, VERDICT_DELIVER);
    assert_int_equal(get_u16(got->at + 26), 0);
    rig_close(&rig);
}

// Extension headers of 8 bytes each, by number; the last number is what follows them.
static struct bytes chain_make(const uint8_t *chain, size_t count, size_t payload)
{
    struct inner inner = {"2001:db8:1::5", "2001:db8:2::9", 0, 0, 0, 0, false, 40};
    inner.size = 40 + (count - 1) * 8 + payload;
    (void)inner_make(&inner, inner_space);
    inner_space[6] = chain[0];
    for (size_t i = 0; i + 1 < count; i++) {
        uint8_t *at = inner_space + 40 + 8 * i;
        memset(at, 0, 8);
        at[0] = chain[i + 1];
        if (chain[i] == 60 || chain[i] == 0) at[2] = 1, at[3] = 4; // PadN
    }
    return bytes_of(inner_space, inner.size);
}

// RFC 4303 3.1.1 test: what routers read stays in front, what only the end reads goes behind.
static void esp_goes_in_behind_what_routers_read(void **state)
{
    (void)state;
    static const struct {
        uint8_t chain[6];
        size_t count;
        uint32_t head;
    } rows[] = {
        {{17}, 1, 40},
        {{0, 17}, 2, 48},
        {{60, 17}, 2, 40},
        {{43, 17}, 2, 48},
        {{0, 60, 17}, 3, 48},
        {{0, 60, 43, 17}, 4, 64},
        {{0, 60, 43, 60, 17}, 5, 64},
        {{43, 60, 17}, 3, 48},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig rig;
        rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
        rig_add_sa(&rig);
        struct bytes inner = chain_make(rows[i].chain, rows[i].count, 40);
        struct packet *sent = seal_bytes(&rig, inner);
        assert_int_equal(get_u32(sent->at + rows[i].head), SPI_AB);
        struct packet *got = arrive(&rig, sent, false);
        assert_int_equal(got->head, rows[i].head);
        open_one(rig.b, got);
        check_same(got, inner);
        rig_close(&rig);
    }
}

// RFC 6946 4 test: a fragment header that cuts nothing is taken away, wherever it stands.
static void a_fragment_header_that_cuts_nothing_goes(void **state)
{
    (void)state;
    static const struct {
        uint8_t chain[6], without[6];
        size_t count;
    } rows[] = {
        {{44, 17}, {17}, 2},
        {{0, 44, 17}, {0, 17}, 3},
        {{60, 44, 17}, {60, 17}, 3},
        {{0, 43, 44, 60, 17}, {0, 43, 60, 17}, 5},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig rig;
        rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
        rig_add_sa(&rig);
        struct packet *sent = seal_bytes(&rig, chain_make(rows[i].chain, rows[i].count, 40));
        struct packet *got = arrive(&rig, sent, false);
        open_one(rig.b, got);
        // Payloads are made of their place: that of 8 bytes more in front is the other's.
        struct bytes like = chain_make(rows[i].without, rows[i].count - 1, 48);
        size_t headers = like.size - 48;
        memmove(inner_space + headers, inner_space + headers + 8, 40);
        put_u16(inner_space + 4, (uint16_t)(like.size - 8 - 40));
        check_same(got, bytes_of(inner_space, like.size - 8));
        rig_close(&rig);
    }
}

static void ipv4_options_stay_in_front(void **state)
{
    (void)state;
    struct rig rig;
    rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
    rig_add_sa(&rig);
    for (size_t options = 0; options <= 40; options += 4) {
        struct bytes inner = with_options(options, 90);
        struct packet *sent = seal_bytes(&rig, inner);
        assert_int_equal(get_u32(sent->at + 20 + options), SPI_AB);
        struct packet *got = arrive(&rig, sent, false);
        open_one(rig.b, got);
        check_same(got, inner);
    }
    rig_close(&rig);
}

static void transport_checks_its_selectors(void **state)
{
    (void)state;
    struct rig rig;
    rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
    struct sa_spec in = spec_turned(&rig.spec);
    in.remote = selectors_of("10.1.0.0/16[udp/999]");
    in.local = selectors_of("10.2.0.0/16");
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), OK);
    CHECK_FAULT(plane_sa_add(rig.b, &in), OK);
    struct packet *got = arrive(&rig, seal_bytes(&rig, inner_of(0, 17, 100)), false);
    open_one(rig.b, got);
    assert_int_equal(got->verdict, VERDICT_DROP);
    CHECK_FAULT(got->fault, FAULT_INNER_SELECTOR);
    rig_close(&rig);
}

static void every_changed_byte_of_esp_is_found(void **state)
{
    (void)state;
    static const uint8_t modes[] = {MODE_TRANSPORT, MODE_BEET};
    for (size_t mode = 0; mode < COUNT(modes); mode++)
        for (size_t i = 0; i < COUNT(ciphers); i++) {
            struct rig rig;
            rig_mode(&rig, &ciphers[i], modes[mode]);
            rig_add_sa(&rig);
            struct packet *sent = seal_bytes(&rig, inner_of(0, 17, 60));
            uint32_t head = sent->outer == OUTER_WHOLE ? 20 : 0;
            for (uint32_t at = head + 4; at < sent->size; at++) {
                sent->at[at] ^= 0x10;
                struct packet *got = arrive(&rig, sent, false);
                open_one(rig.b, got);
                assert_int_equal(got->verdict, VERDICT_DROP);
                CHECK_FAULT(got->fault, FAULT_ESP_ICV);
                sent->at[at] ^= 0x10;
            }
            struct packet *got = arrive(&rig, sent, false);
            open_one(rig.b, got);
            assert_int_equal(got->verdict, VERDICT_DELIVER);
            rig_close(&rig);
        }
}

static void both_back_ends_make_the_same(void **state)
{
    (void)state;
    static const uint8_t modes[] = {MODE_TRANSPORT, MODE_GATEWAY_TRANSPORT, MODE_BEET};
    struct batch_backend *mb = batch_backend_new(BATCH_MB);
    if (!mb) skip();
    batch_backend_free(mb);
    for (size_t mode = 0; mode < COUNT(modes); mode++)
        for (size_t i = 0; i < COUNT(ciphers); i++) {
            struct rig evp, other;
            rig_mode(&evp, &ciphers[i], modes[mode]);
            assert_true(rig_start(&other, BATCH_MB));
            other.spec = evp.spec;
            rig_add_sa(&evp);
            rig_add_sa(&other);
            for (size_t size = 61; size < 1500; size += 97) {
                struct bytes inner = inner_of(0, 17, size);
                struct packet *sent = seal_bytes(&evp, inner);
                memcpy(outer_space, sent->at, sent->size);
                struct bytes first = bytes_of(outer_space, sent->size);
                sent = seal_bytes(&other, inner);
                assert_int_equal(sent->size, first.size);
                assert_memory_equal(sent->at, first.at, first.size);
                struct packet *got = arrive(&evp, sent, modes[mode] == MODE_GATEWAY_TRANSPORT);
                open_one(other.b, got);
                check_like(got, inner);
            }
            rig_close(&evp);
            rig_close(&other);
        }
}

// Between gateways --------------------------------------------------------------------------------

static void gateways_keep_the_hosts_header(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct rig rig, tunnel;
        rig_mode(&rig, &ciphers[0], MODE_GATEWAY_TRANSPORT);
        rig_add_sa(&rig);
        rig_mode(&tunnel, &ciphers[0], MODE_TUNNEL);
        if (v6)
            tunnel.spec.path =
                (struct path){endpoint_of("2001:db8::1", 0), endpoint_of("2001:db8::2", 0), false};
        for (size_t size = 100; size < 1400; size += 4) {
            struct bytes inner = inner_of(v6, 17, size);
            struct packet *sent = seal_bytes(&rig, inner);
            assert_int_equal(sent->outer, OUTER_WHOLE);
            assert_memory_equal(sent->at + (v6 ? 8 : 12), inner.at + (v6 ? 8 : 12), v6 ? 32 : 8);
            size_t saved = v6 ? 40 : 20;
            assert_int_equal(sent->size - size, plane_overhead(&tunnel.spec, size) - saved);
            struct packet *got = arrive(&rig, sent, true);
            open_one(rig.b, got);
            check_same(got, inner);
        }
        rig_close(&rig);
        rig_close(&tunnel);
    }
}

static void check_passed(struct rig *rig, struct bytes whole)
{
    uint64_t before = plane_stats(rig->b)->bypassed;
    struct packet *got = box_put(&box_b, whole);
    CHECK_FAULT(packet_split(got), OK);
    got->transit = true;
    open_one(rig->b, got);
    assert_int_equal(got->verdict, VERDICT_BYPASS);
    assert_int_equal(got->size, whole.size);
    assert_memory_equal(got->at, whole.at, whole.size);
    assert_int_equal(plane_stats(rig->b)->bypassed, before + 1);
    struct plane_event event;
    assert_false(plane_event(rig->b, &event));
}

// A LAN host that speaks IPsec itself, with whatever SPI, gets its packets.
static void what_is_not_the_gateways_passes_untouched(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(backend_kinds); i++) {
        struct rig rig;
        if (!rig_start(&rig, backend_kinds[i])) continue;
        for (size_t cipher = 0; cipher < COUNT(ciphers); cipher++) {
            rig.spec = spec_of(&ciphers[cipher], SA_OUT, SPI_AB);
            rig.spec.mode = MODE_GATEWAY_TRANSPORT;
            rig.spec.esn = cipher & 1;
            rig_add_sa(&rig);
            struct packet *sent = seal_bytes(&rig, inner_of(0, 17, 200));
            memcpy(outer_space, sent->at, sent->size);
            struct bytes whole = bytes_of(outer_space, sent->size);
            put_u32(outer_space + 20, SPI_AB + 1); // no SA
            check_passed(&rig, whole);
            put_u32(outer_space + 20, 17); // reserved
            check_passed(&rig, whole);
            put_u32(outer_space + 20, SPI_AB);
            put_u32(outer_space + 12, 0x0a630001); // not between these networks
            set_v4_sum(outer_space);
            check_passed(&rig, whole);
            put_u32(outer_space + 12, 0x0a010005);
            set_v4_sum(outer_space);
            outer_space[60] ^= 1; // of another SA
            check_passed(&rig, whole);
            outer_space[60] ^= 1;
            struct packet *got = box_put(&box_b, whole);
            CHECK_FAULT(packet_split(got), OK);
            open_one(rig.b, got); // to an address of the gateway's own inner side
            assert_int_equal(got->verdict, VERDICT_DELIVER);
            got = box_put(&box_b, whole);
            CHECK_FAULT(packet_split(got), OK);
            got->transit = true;
            open_one(rig.b, got);
            CHECK_FAULT(got->fault, FAULT_REPLAY_SEEN);
        }
        rig_close(&rig);
    }
}

static void what_is_in_transit_is_for_no_tunnel(void **state)
{
    (void)state;
    struct rig rig;
    rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
    rig_add_sa(&rig);
    struct packet *sent = seal_bytes(&rig, inner_of(0, 17, 200));
    memcpy(outer_space, sent->at, sent->size);
    check_passed(&rig, bytes_of(outer_space, sent->size));
    rig_close(&rig);
}

static void what_a_mode_cannot_be_given_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_mode(&rig, &ciphers[0], MODE_GATEWAY_TRANSPORT);
    rig.spec.path.encap = true;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), FAULT_SA_PARAMETERS);
    rig.spec.mode = MODE_TRANSPORT;
    rig.spec.path.local.port = 0;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), FAULT_SA_PARAMETERS);
    rig.spec.path.local.port = 4500;
    rig.spec.tfc_padding = 1;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), FAULT_SA_PARAMETERS);
    rig.spec.tfc_padding = 0;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), OK);
    rig_close(&rig);
}

static void packets_without_room_are_dropped(void **state)
{
    (void)state;
    static const uint8_t modes[] = {MODE_TRANSPORT, MODE_GATEWAY_TRANSPORT};
    for (size_t i = 0; i < COUNT(modes); i++) {
        struct rig rig;
        rig_mode(&rig, &ciphers[0], modes[i]);
        rig_add_sa(&rig);
        struct bytes inner = inner_of(0, 17, 100);
        struct packet *packet = box_put(&box_a, inner);
        packet->at = packet->space + 15;
        memcpy(packet->at, inner.at, inner.size);
        seal_one(rig.a, packet);
        CHECK_FAULT(packet->fault, FAULT_NO_ROOM);
        packet = box_put(&box_a, inner);
        packet->at = packet->space + 16;
        memcpy(packet->at, inner.at, inner.size);
        seal_one(rig.a, packet);
        CHECK_FAULT(packet->fault, OK);
        inner = inner_of(0, 17, 65530);
        CHECK_FAULT(seal_bytes(&rig, inner)->fault, FAULT_PACKET_TOO_LARGE);
        rig_close(&rig);
    }
}



int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transport_packet_opens_to_what_it_was),
        cmocka_unit_test(the_udp_header_is_right),
        cmocka_unit_test(checksums_are_made_anew_behind_a_nat),
        cmocka_unit_test(no_checksum_stays_none),
        cmocka_unit_test(esp_goes_in_behind_what_routers_read),
        cmocka_unit_test(a_fragment_header_that_cuts_nothing_goes),
        cmocka_unit_test(ipv4_options_stay_in_front),
        cmocka_unit_test(transport_checks_its_selectors),
        cmocka_unit_test(every_changed_byte_of_esp_is_found),
        cmocka_unit_test(both_back_ends_make_the_same),
        cmocka_unit_test(gateways_keep_the_hosts_header),
        cmocka_unit_test(what_is_not_the_gateways_passes_untouched),
        cmocka_unit_test(what_is_in_transit_is_for_no_tunnel),
        cmocka_unit_test(what_a_mode_cannot_be_given_is_refused),
        cmocka_unit_test(packets_without_room_are_dropped),
    };
    crypto_start();
    return cmocka_run_group_tests_name("modes", tests, NULL, NULL);
}
