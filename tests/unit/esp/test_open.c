// SPDX-License-Identifier: Apache-2.0
// What is not as it was sealed, or was sealed wrongly, is dropped with its fault.
#include "tunnel.h"

static enum fault fault_of_change(size_t at)
{
    return at < 4 ? FAULT_ESP_SPI_UNKNOWN : FAULT_ESP_ICV;
}

// RFC 4303 3.4.4 test: a single changed byte, wherever it is.
static void every_changed_byte_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ciphers); i++) {
        struct rig rig;
        rig_open(&rig, &ciphers[i]);
        rig_add_sa(&rig);
        for (int n = 0; n < 100; n++) (void)rig_seal(&rig, inner_v4(100, inner_space));
        struct bytes esp = rig_seal(&rig, inner_v4(100, inner_space));
        uint8_t good[256], bad[256];
        memcpy(good, esp.at, esp.size);
        for (size_t at = 0; at < esp.size; at++)
            for (unsigned flip = 1; flip < 256; flip = flip < 128 ? flip * 2 : 256) {
                memcpy(bad, good, esp.size);
                bad[at] ^= (uint8_t)flip;
                if (get_u32(bad) < SPI_RESERVED) continue;
                check_dropped(&rig, bytes_of(bad, esp.size), fault_of_change(at));
            }
        assert_int_equal(rig_receive(&rig, bytes_of(good, esp.size))->verdict, VERDICT_DELIVER);
        check_dropped(&rig, bytes_of(good, esp.size), FAULT_REPLAY_SEEN);
        rig_close(&rig);
    }
}

static void every_truncation_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ciphers); i++) {
        struct rig rig;
        rig_open(&rig, &ciphers[i]);
        rig_add_sa(&rig);
        struct bytes esp = rig_seal(&rig, inner_v4(100, inner_space));
        uint8_t good[256];
        memcpy(good, esp.at, esp.size);
        for (size_t cut = 0; cut < esp.size; cut++) {
            struct packet *packet = rig_receive(&rig, bytes_of(good, cut));
            assert_int_equal(packet->verdict, VERDICT_DROP);
            assert_true(packet->fault == FAULT_ESP_TOO_SHORT || packet->fault == FAULT_ESP_LENGTH ||
                        packet->fault == FAULT_ESP_ICV);
            if (cut < ESP_HEADER) CHECK_FAULT(packet->fault, FAULT_ESP_TOO_SHORT);
        }
        assert_int_equal(rig_receive(&rig, bytes_of(good, esp.size))->verdict, VERDICT_DELIVER);
        rig_close(&rig);
    }
}

// RFC 4303 2.1 test.
static void reserved_and_unknown_spis_are_dropped(void **state)
{
    (void)state;
    struct rig rig;
    struct plane_event event;
    rig_open(&rig, &ciphers[0]);
    uint8_t esp[64] = {0};
    for (uint32_t spi = 0; spi < 256; spi += 51) {
        put_u32(esp, spi);
        check_dropped(&rig, BYTES_ARRAY(esp), FAULT_ESP_SPI_RESERVED);
    }
    assert_false(plane_event(rig.b, &event));
    put_u32(esp, 256);
    check_dropped(&rig, BYTES_ARRAY(esp), FAULT_ESP_SPI_UNKNOWN);
    assert_true(plane_event(rig.b, &event));
    assert_int_equal(event.kind, PLANE_UNKNOWN_SPI);
    assert_int_equal(event.spi, 256);
    assert_true(endpoint_equal(&event.from, &rig.spec.path.local));
    rig_close(&rig);
}

// A flood of unknown SPIs leaves room for the events that matter.
static void unknown_spis_cannot_fill_the_event_queue(void **state)
{
    (void)state;
    struct rig rig;
    struct plane_event event;
    rig_open(&rig, &ciphers[0]);
    uint8_t esp[64] = {0};
    for (uint32_t spi = 1000; spi < 2000; spi++) {
        put_u32(esp, spi);
        (void)rig_receive(&rig, BYTES_ARRAY(esp));
    }
    size_t events = 0;
    while (plane_event(rig.b, &event)) events++;
    assert_int_equal(events, EVENTS_UNKNOWN_MAX);
    assert_int_equal(plane_stats(rig.b)->events_lost, 1000 - EVENTS_UNKNOWN_MAX);
    (void)rig_receive(&rig, BYTES_ARRAY(esp));
    assert_true(plane_event(rig.b, &event));
    rig_close(&rig);
}

// Makes an ESP packet with any trailer, as a broken or hostile peer that has the keys could.
static struct bytes forge(struct rig *rig, struct bytes payload, uint32_t sequence)
{
    struct batch_key *key;
    CHECK_FAULT(batch_key_new(rig->backend, rig->spec.encr, rig->spec.key_bits, rig->spec.integ,
                              rig->spec.encr_key, rig->spec.integ_key, true, &key),
                OK);
    size_t head = ESP_HEADER + batch_key_iv_size(key);
    put_u32(outer_space, rig->spec.spi);
    put_u32(outer_space + 4, sequence);
    memcpy(outer_space + head, payload.at, payload.size);
    struct batch_packet packet = {.esp = outer_space, .payload_size = (uint32_t)payload.size};
    batch_seal(key, &packet, 1);
    size_t size = head + payload.size + batch_key_icv_size(key);
    batch_key_free(key);
    return bytes_of(outer_space, size);
}

static struct bytes trailer_make(uint8_t *space, size_t size, uint8_t pad, uint8_t next_header)
{
    (void)inner_v4(50, space);
    for (size_t i = 50; i < size - 2; i++) space[i] = (uint8_t)(i - 50 + 1);
    space[size - 2] = pad;
    space[size - 1] = next_header;
    return bytes_of(space, size);
}

// RFC 4303 2.4 test, RFC 4303 2.6 test.
static void trailers_are_checked(void **state)
{
    (void)state;
    static const struct {
        uint8_t pad, next_header;
        int spoiled; // index of the padding byte that is wrong, -1: none
        enum fault fault;
    } cases[] = {
        {12, 4, -1, OK},
        {12, 4, 0, FAULT_ESP_PADDING},
        {12, 4, 11, FAULT_ESP_PADDING},
        {63, 4, -1, FAULT_ESP_PADDING},
        {255, 4, -1, FAULT_ESP_PADDING},
        {12, 6, -1, FAULT_ESP_NEXT_HEADER},
        {12, 0, -1, FAULT_ESP_NEXT_HEADER},
        {12, 41, -1, FAULT_INNER_NOT_IP},
        {12, 59, -1, FAULT_ESP_DUMMY},
    };
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig);
    for (uint32_t i = 0; i < COUNT(cases); i++) {
        struct bytes payload = trailer_make(inner_space, 64, cases[i].pad, cases[i].next_header);
        if (cases[i].spoiled >= 0) inner_space[50 + cases[i].spoiled] ^= 1;
        struct packet *packet = rig_receive(&rig, forge(&rig, payload, i + 1));
        assert_int_equal(packet->verdict, cases[i].fault ? VERDICT_DROP : VERDICT_DELIVER);
        CHECK_FAULT(packet->fault, cases[i].fault);
    }
    rig_close(&rig);
}

// RFC 4303 2.7 test: bytes behind the inner packet hide its size and are cut off.
static void traffic_flow_padding_is_cut_off(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig);
    uint8_t payload[512] = {0};
    (void)inner_v4(50, payload);
    payload[sizeof payload - 1] = IPPROTO_NUMBER_IPIP;
    struct packet *packet = rig_receive(&rig, forge(&rig, BYTES_ARRAY(payload), 1));
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    assert_int_equal(packet->size, 50);

    put_u16(payload + 2, 511); // the inner length goes beyond what is there
    packet = rig_receive(&rig, forge(&rig, BYTES_ARRAY(payload), 2));
    assert_int_equal(packet->verdict, VERDICT_DROP);
    CHECK_FAULT(packet->fault, FAULT_INNER_LENGTH);
    rig_close(&rig);
}

static void a_payload_off_its_alignment_is_dropped(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig);
    struct bytes esp = rig_seal(&rig, inner_v4(100, inner_space));
    for (size_t less = 1; less < 4; less++)
        check_dropped(&rig, bytes_of(esp.at, esp.size - less), FAULT_ESP_LENGTH);
    rig_close(&rig);
}

// RFC 4301 5.2 test: who has one SA's keys cannot speak for addresses that it was not made for.
static void inner_packets_outside_the_selectors_are_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *local, *remote; // of the SA as its receiver has it
        struct inner inner;
        bool delivered;
    } cases[] = {
        {"10.2.0.0/16", "10.1.0.0/16", {"10.1.0.5", "10.2.0.9", 17, 0, 1, 2, false, 60}, true},
        {"10.2.0.0/16", "10.1.0.0/16", {"10.3.0.5", "10.2.0.9", 17, 0, 1, 2, false, 60}, false},
        {"10.2.0.0/16", "10.1.0.0/16", {"10.1.0.5", "10.3.0.9", 17, 0, 1, 2, false, 60}, false},
        {"10.2.0.0/16", "10.1.0.0/16", {"10.2.0.9", "10.1.0.5", 17, 0, 1, 2, false, 60}, false},
        {"10.2.0.0/16", "10.1.0.0/16", {"10.0.255.255", "10.2.0.9", 17, 0, 1, 2, false, 60}, false},
        {"10.2.0.0/16", "10.1.0.0/16", {"10.1.0.5", "10.1.255.255", 17, 0, 1, 2, false, 60}, false},
        {"10.2.0.0/16",
         "10.1.0.0/16",
         {"10.1.255.255", "10.2.255.255", 17, 0, 1, 2, false, 60},
         true},
        {"10.2.0.0/16",
         "10.1.0.0/16",
         {"2001:db8::1", "2001:db8::2", 17, 0, 1, 2, false, 60},
         false},
        // where IPv4 has its addresses there is 10.1.0.5 and 10.2.0.9
        {"10.2.0.0/16",
         "10.1.0.0/16",
         {"2001:db8:a01:5:a02:9::1", "2001:db8::2", 17, 0, 1, 2, false, 60},
         false},
        {"10.2.0.0/16[udp]", "10.1.0.0/16", {"10.1.0.5", "10.2.0.9", 6, 0, 1, 2, false, 60}, false},
        {"10.2.0.0/16[udp/2]",
         "10.1.0.0/16[udp]",
         {"10.1.0.5", "10.2.0.9", 17, 0, 1, 2, false, 60},
         true},
        {"10.2.0.0/16[udp/2]",
         "10.1.0.0/16[udp]",
         {"10.1.0.5", "10.2.0.9", 17, 0, 2, 1, false, 60},
         false},
        {"10.2.0.0/16[udp/2]",
         "10.1.0.0/16[udp]",
         {"10.1.0.5", "10.2.0.9", 6, 0, 1, 2, false, 60},
         false},
        {"10.2.0.0-10.2.0.9", "10.1.0.5", {"10.1.0.5", "10.2.0.9", 6, 0, 1, 2, false, 60}, true},
        {"10.2.0.0-10.2.0.9", "10.1.0.5", {"10.1.0.5", "10.2.0.10", 6, 0, 1, 2, false, 60}, false},
        {"10.2.0.0/16 2001:db8:2::/48",
         "2001:db8:1::/48 10.1.0.0/16",
         {"2001:db8:1::5", "2001:db8:2::9", 6, 0, 1, 2, false, 60},
         true},
        {"10.2.0.0/16 2001:db8:2::/48",
         "2001:db8:1::/48 10.1.0.0/16",
         {"2001:db8:3::5", "2001:db8:2::9", 6, 0, 1, 2, false, 60},
         false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rig rig;
        rig_open(&rig, &ciphers[0]);
        struct sa_spec in = spec_turned(&rig.spec);
        rig.spec.local = rig.spec.remote = selectors_of("0.0.0.0/0 ::/0");
        struct policy_spec policy =
            policy_of(POLICY, POLICY_PROTECT, "0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0");
        CHECK_FAULT(plane_policy_add(rig.a, &policy), OK);
        CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), OK);
        in.local = selectors_of(cases[i].local);
        in.remote = selectors_of(cases[i].remote);
        CHECK_FAULT(plane_sa_add(rig.b, &in), OK);
        struct packet *packet =
            rig_receive(&rig, rig_seal(&rig, inner_make(&cases[i].inner, inner_space)));
        if (packet->verdict != (cases[i].delivered ? VERDICT_DELIVER : VERDICT_DROP))
            fail_msg("case %zu", i);
        if (!cases[i].delivered) CHECK_FAULT(packet->fault, FAULT_INNER_SELECTOR);
        struct sa_usage usage;
        CHECK_FAULT(plane_usage(rig.b, SPI_AB, SA_IN, &usage), OK);
        assert_int_equal(usage.dropped_selector, !cases[i].delivered);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_changed_byte_is_found),
        cmocka_unit_test(every_truncation_is_found),
        cmocka_unit_test(reserved_and_unknown_spis_are_dropped),
        cmocka_unit_test(unknown_spis_cannot_fill_the_event_queue),
        cmocka_unit_test(trailers_are_checked),
        cmocka_unit_test(traffic_flow_padding_is_cut_off),
        cmocka_unit_test(a_payload_off_its_alignment_is_dropped),
        cmocka_unit_test(inner_packets_outside_the_selectors_are_dropped),
    };
    crypto_start();
    return cmocka_run_group_tests_name("open", tests, NULL, NULL);
}
