// SPDX-License-Identifier: Apache-2.0
// Packets that wait for an SA: reported once, kept in order and within limits, handed out when the
// SA is there, dropped when none comes.
#include "rig.h"

static struct box box, boxes[BURST_MAX];
static uint8_t inner_space[65536];

static void trap(struct rig *rig, uint32_t number, const char *local, const char *remote)
{
    struct policy_spec policy = policy_of(number, POLICY_PROTECT, local, remote);
    policy.trap = POLICY_TRAP;
    CHECK_FAULT(plane_policy_add(rig->a, &policy), OK);
}

static struct packet *send(struct rig *rig, nsec now, const char *source, uint16_t port,
                           size_t size)
{
    const struct inner inner = {source, "10.2.0.9", 17, 0, 1000, port, false, size};
    struct packet *packet = box_put(&box, inner_make(&inner, inner_space));
    plane_seal(rig->a, now, &packet, 1);
    return packet;
}

static size_t release(struct rig *rig, nsec oldest, size_t count)
{
    struct packet *packets[BURST_MAX];
    for (size_t i = 0; i < count; i++) {
        boxes[i].packet = (struct packet){.space = boxes[i].space, .room = BOX_ROOM};
        packets[i] = &boxes[i].packet;
    }
    return plane_released(rig->a, oldest, packets, count);
}

static size_t events(struct rig *rig, enum plane_event_kind kind)
{
    struct plane_event event;
    size_t count = 0;
    while (plane_event(rig->a, &event)) count += event.kind == kind;
    return count;
}

static void held_packets_come_back_in_order_when_the_sa_is_there(void **state)
{
    (void)state;
    struct rig rig;
    struct plane_event event;
    rig_open(&rig, &ciphers[0]);
    trap(&rig, POLICY, "10.1.0.0/16", "10.2.0.0/16");
    for (uint16_t i = 0; i < 10; i++)
        assert_int_equal(send(&rig, 100 + i, "10.1.0.5", i, 60 + i * 1000u)->verdict, VERDICT_HELD);
    assert_int_equal(plane_stats(rig.a)->held, 10);
    assert_true(plane_event(rig.a, &event));
    assert_int_equal(event.kind, PLANE_ACQUIRE);
    assert_int_equal(event.policy, POLICY);
    assert_int_equal(event.flow.destination_port, 0);
    assert_int_equal(event.flow.protocol, 17);
    assert_false(plane_event(rig.a, &event));
    assert_int_equal(release(&rig, 0, BURST_MAX), 0);

    rig_add_sa(&rig);
    assert_int_equal(release(&rig, 0, 4), 4);
    for (uint16_t i = 0; i < 4; i++) assert_int_equal(get_u16(boxes[i].packet.at + 22), i);
    assert_int_equal(release(&rig, 0, BURST_MAX), 6);
    for (uint16_t i = 0; i < 6; i++) {
        struct packet *packet = &boxes[i].packet;
        assert_int_equal(packet->size, 60 + (i + 4) * 1000);
        assert_int_equal(get_u16(packet->at + 22), i + 4);
        for (size_t at = 28; at < packet->size; at++)
            assert_int_equal(packet->at[at], (uint8_t)(at * 7));
        plane_seal(rig.a, 200, &packet, 1);
        assert_int_equal(packet->verdict, VERDICT_SEND);
    }
    assert_int_equal(release(&rig, 0, BURST_MAX), 0);
    rig_close(&rig);
}

static void an_acquire_is_repeated_when_no_sa_came_for_long(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    trap(&rig, POLICY, "10.1.0.0/16", "10.2.0.0/16");
    for (nsec now = 0; now < ACQUIRE_AGAIN; now += ACQUIRE_AGAIN / 20)
        (void)send(&rig, now, "10.1.0.5", 1, 60);
    assert_int_equal(events(&rig, PLANE_ACQUIRE), 1);
    (void)send(&rig, ACQUIRE_AGAIN, "10.1.0.5", 1, 60);
    assert_int_equal(events(&rig, PLANE_ACQUIRE), 1);
    rig_add_sa(&rig);
    CHECK_FAULT(plane_sa_del(rig.a, SPI_AB, SA_OUT), OK);
    (void)send(&rig, ACQUIRE_AGAIN + 1, "10.1.0.5", 1, 60);
    assert_int_equal(events(&rig, PLANE_ACQUIRE), 1);
    rig_close(&rig);
}

static void a_policy_keeps_its_latest_packets(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    trap(&rig, POLICY, "10.1.0.0/16", "10.2.0.0/16");
    for (uint16_t i = 0; i < HELD_PACKETS_MAX + 10; i++)
        assert_int_equal(send(&rig, 1, "10.1.0.5", i, 60)->verdict, VERDICT_HELD);
    assert_int_equal(plane_stats(rig.a)->dropped[FAULT_HELD_TOO_MANY], 10);
    rig_add_sa(&rig);
    assert_int_equal(release(&rig, 0, BURST_MAX), HELD_PACKETS_MAX);
    for (uint16_t i = 0; i < HELD_PACKETS_MAX; i++)
        assert_int_equal(get_u16(boxes[i].packet.at + 22), i + 10);
    rig_close(&rig);
}

// Forty policies with 32 packets of 2,000 bytes each want more than there is; large ones take
// several chunks.
static void all_policies_together_have_a_limit(void **state)
{
    (void)state;
    for (size_t size = 100; size <= 40000; size = size * 4 + 700) {
        struct rig rig;
        size_t held = 0, chunks = (size + HELD_CHUNK - 1) / HELD_CHUNK;
        rig_open(&rig, &ciphers[0]);
        for (uint32_t i = 0; i < 40; i++) {
            char source[32];
            snprintf(source, sizeof source, "10.1.%u.1", i);
            trap(&rig, 100 + i, source, "10.2.0.0/16");
            for (uint16_t n = 0; n < HELD_PACKETS_MAX; n++) {
                struct packet *packet = send(&rig, 1, source, n, size);
                if (packet->verdict == VERDICT_HELD)
                    held++;
                else
                    CHECK_FAULT(packet->fault, FAULT_HELD_TOO_MANY);
            }
        }
        assert_int_equal(held, HELD_MAX / chunks);
        for (uint32_t i = 0; i < 40; i++) CHECK_FAULT(plane_policy_del(rig.a, 100 + i), OK);
        assert_int_equal(plane_stats(rig.a)->dropped[FAULT_SA_MISSING], held);
        assert_int_equal(rig.a->hold.chunk_left, HELD_MAX);
        assert_int_equal(rig.a->hold.earliest, 0);
        rig_close(&rig);
    }
}

static void packets_that_waited_too_long_are_dropped(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    trap(&rig, POLICY, "10.1.0.0/16", "10.2.0.0/16");
    trap(&rig, 8, "10.5.0.0/16", "10.2.0.0/16");
    for (uint16_t i = 0; i < 10; i++)
        (void)send(&rig, 100 + i, i % 2 ? "10.1.0.5" : "10.5.0.5", i, 60);
    assert_int_equal(release(&rig, 105, BURST_MAX), 0);
    assert_int_equal(plane_stats(rig.a)->dropped[FAULT_HELD_TOO_LONG], 5);
    rig_add_sa(&rig);
    assert_int_equal(release(&rig, 107, BURST_MAX), 2);
    assert_int_equal(get_u16(boxes[0].packet.at + 22), 7);
    assert_int_equal(get_u16(boxes[1].packet.at + 22), 9);
    assert_int_equal(release(&rig, NSEC_NEVER, BURST_MAX), 0);
    assert_int_equal(plane_stats(rig.a)->dropped[FAULT_HELD_TOO_LONG], 8);
    assert_int_equal(rig.a->hold.chunk_left, HELD_MAX);
    rig_close(&rig);
}

static void a_blocking_policy_holds_nothing(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    struct packet *packet = send(&rig, 1, "10.1.0.5", 1, 60);
    assert_int_equal(packet->verdict, VERDICT_DROP);
    CHECK_FAULT(packet->fault, FAULT_SA_MISSING);
    assert_int_equal(events(&rig, PLANE_ACQUIRE), 0);
    rig_close(&rig);
}

static void a_held_packet_that_does_not_fit_its_buffer_is_dropped(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    trap(&rig, POLICY, "10.1.0.0/16", "10.2.0.0/16");
    (void)send(&rig, 1, "10.1.0.5", 1, 1000);
    (void)send(&rig, 1, "10.1.0.5", 2, 100);
    rig_add_sa(&rig);
    box.packet = (struct packet){.space = box.space, .room = PACKET_HEAD + 200 + PACKET_TAIL};
    struct packet *packet = &box.packet;
    assert_int_equal(plane_released(rig.a, 0, &packet, 1), 1);
    assert_int_equal(packet->size, 100);
    assert_int_equal(plane_stats(rig.a)->dropped[FAULT_NO_ROOM], 1);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held_packets_come_back_in_order_when_the_sa_is_there),
        cmocka_unit_test(an_acquire_is_repeated_when_no_sa_came_for_long),
        cmocka_unit_test(a_policy_keeps_its_latest_packets),
        cmocka_unit_test(all_policies_together_have_a_limit),
        cmocka_unit_test(packets_that_waited_too_long_are_dropped),
        cmocka_unit_test(a_blocking_policy_holds_nothing),
        cmocka_unit_test(a_held_packet_that_does_not_fit_its_buffer_is_dropped),
    };
    crypto_start();
    return cmocka_run_group_tests_name("hold", tests, NULL, NULL);
}
