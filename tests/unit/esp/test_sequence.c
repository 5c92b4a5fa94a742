// SPDX-License-Identifier: Apache-2.0
// Sequence numbers: they run out, pass the wrap of their lower half, and are taken once.
#include "tunnel.h"

// RFC 4303 3.3.3 test: the last number is used, the next is refused, and there was a warning
// before.
static void sequence_numbers_run_out(void **state)
{
    (void)state;
    struct rig rig;
    struct plane_event event;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig);
    run_out(&rig)->out.sequence = SEQUENCE_SOFT(false) - 2;
    check_delivered(&rig, inner_v4(100, inner_space));
    assert_false(plane_event(rig.a, &event));
    check_delivered(&rig, inner_v4(100, inner_space));
    check_delivered(&rig, inner_v4(100, inner_space));
    assert_true(plane_event(rig.a, &event));
    assert_int_equal(event.kind, PLANE_EXPIRE_SOFT_SEQUENCE);
    assert_int_equal(event.spi, SPI_AB);
    assert_false(plane_event(rig.a, &event));

    run_out(&rig)->out.sequence = UINT32_MAX - 1;
    check_delivered(&rig, inner_v4(100, inner_space));
    assert_int_equal(get_u32(outer_space + 4), UINT32_MAX);
    assert_int_equal(rig_seal(&rig, inner_v4(100, inner_space)).size, 0);
    CHECK_FAULT(box_a.packet.fault, FAULT_SEQUENCE_EXHAUSTED);
    rig_close(&rig);
}

// RFC 6311 5.2 test: numbers jump, at most to their end; that it is time to rekey is said at once.
static void sequence_numbers_skip(void **state)
{
    (void)state;
    for (unsigned esn = 0; esn < 2; esn++) {
        struct rig rig;
        struct plane_event event;
        rig_open(&rig, &ciphers[0]);
        rig.spec.esn = esn;
        rig_add_sa(&rig);
        check_delivered(&rig, inner_v4(100, inner_space));
        CHECK_FAULT(plane_sa_skip(rig.a, SPI_AB, NULL, 1 << 20), OK);
        assert_int_equal(run_out(&rig)->out.sequence, (1 << 20) + 1);
        check_delivered(&rig, inner_v4(100, inner_space));
        assert_int_equal(get_u32(outer_space + 4), (1 << 20) + 2);
        assert_false(plane_event(rig.a, &event));
        CHECK_FAULT(plane_sa_skip(rig.a, SPI_AB, NULL, UINT64_MAX), OK);
        assert_true(run_out(&rig)->out.sequence == SEQUENCE_LAST(esn));
        assert_true(plane_event(rig.a, &event));
        assert_int_equal(event.kind, PLANE_EXPIRE_SOFT_SEQUENCE);
        CHECK_FAULT(plane_sa_skip(rig.a, SPI_AB, NULL, 5), OK);
        assert_true(run_out(&rig)->out.sequence == SEQUENCE_LAST(esn));
        assert_int_equal(rig_seal(&rig, inner_v4(100, inner_space)).size, 0);
        CHECK_FAULT(box_a.packet.fault, FAULT_SEQUENCE_EXHAUSTED);
        CHECK_FAULT(plane_sa_skip(rig.a, 12345678, NULL, 5), FAULT_SA_UNKNOWN);
        rig_close(&rig);
    }
}

// RFC 4303 2.2.1 test, RFC 4303 A2.2 test.
static void extended_numbers_pass_the_wrap_of_the_lower_half(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ciphers); i++) {
        struct rig rig;
        rig_open(&rig, &ciphers[i]);
        rig.spec.esn = true;
        rig_add_sa(&rig);
        check_delivered(&rig, inner_v4(100, inner_space));
        uint64_t start = UINT32_MAX - UINT64_C(5);
        run_out(&rig)->out.sequence = start;
        sad_find_in(&rig.b->sad, SPI_AB)->in.replay.top = start;
        for (int n = 0; n < 12; n++) check_delivered(&rig, inner_v4(100, inner_space));
        assert_true(run_out(&rig)->out.sequence == start + 12);
        assert_true(sad_find_in(&rig.b->sad, SPI_AB)->in.replay.top == start + 12);
        run_out(&rig)->out.sequence = UINT64_MAX;
        assert_int_equal(rig_seal(&rig, inner_v4(100, inner_space)).size, 0);
        CHECK_FAULT(box_a.packet.fault, FAULT_SEQUENCE_EXHAUSTED);
        rig_close(&rig);
    }
}

// A forged packet with a high number must not move the window.
static void only_authenticated_packets_move_the_window(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig);
    struct bytes esp = rig_seal(&rig, inner_v4(100, inner_space));
    uint8_t good[256], bad[256];
    memcpy(good, esp.at, esp.size);
    memcpy(bad, esp.at, esp.size);
    put_u32(bad + 4, 5000);
    check_dropped(&rig, bytes_of(bad, esp.size), FAULT_ESP_ICV);
    struct sa_usage usage;
    CHECK_FAULT(plane_usage(rig.b, SPI_AB, SA_IN, &usage), OK);
    assert_int_equal(usage.last_used, 0);
    assert_int_equal(rig_receive(&rig, bytes_of(good, esp.size))->verdict, VERDICT_DELIVER);
    CHECK_FAULT(plane_usage(rig.b, SPI_AB, SA_IN, &usage), OK);
    assert_int_equal(usage.dropped_auth, 1);
    assert_int_equal(usage.packets, 1);
    assert_int_equal(usage.bytes, 100);
    assert_int_equal(usage.last_used, 2000);
    rig_close(&rig);
}

// RFC 4303 3.4.3 test: twice the same packet, in one burst and in two; and one that is too late.
static void a_packet_is_taken_once(void **state)
{
    (void)state;
    static const uint32_t windows[] = {1, 32, 64, 1024, 65536};
    for (size_t i = 0; i < COUNT(windows); i++) {
        struct rig rig;
        rig_open(&rig, &ciphers[0]);
        rig.spec.replay_window = windows[i];
        rig_add_sa(&rig);
        struct bytes esp = rig_seal(&rig, inner_v4(100, inner_space));
        uint8_t first[256];
        memcpy(first, esp.at, esp.size);
        struct packet *twice[2] = {box_put(&box_a, esp), box_put(&box_b, esp)};
        plane_open(rig.b, 1, twice, 2);
        assert_int_equal(twice[0]->verdict, VERDICT_DELIVER);
        CHECK_FAULT(twice[1]->fault, FAULT_REPLAY_SEEN);
        check_dropped(&rig, bytes_of(first, esp.size), FAULT_REPLAY_SEEN);
        first[esp.size - 1] ^= 1; // the window is asked before the cipher
        check_dropped(&rig, bytes_of(first, esp.size), FAULT_REPLAY_SEEN);
        run_out(&rig)->out.sequence = windows[i];
        check_delivered(&rig, inner_v4(100, inner_space));
        check_dropped(&rig, bytes_of(first, esp.size), FAULT_REPLAY_OLD);
        rig_close(&rig);
    }
}

static void without_a_window_all_numbers_pass(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig.spec.replay_window = 0;
    rig_add_sa(&rig);
    struct bytes esp = rig_seal(&rig, inner_v4(100, inner_space));
    for (int i = 0; i < 3; i++) assert_int_equal(rig_receive(&rig, esp)->verdict, VERDICT_DELIVER);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequence_numbers_run_out),
        cmocka_unit_test(sequence_numbers_skip),
        cmocka_unit_test(extended_numbers_pass_the_wrap_of_the_lower_half),
        cmocka_unit_test(only_authenticated_packets_move_the_window),
        cmocka_unit_test(a_packet_is_taken_once),
        cmocka_unit_test(without_a_window_all_numbers_pass),
    };
    crypto_start();
    return cmocka_run_group_tests_name("sequence", tests, NULL, NULL);
}
