// SPDX-License-Identifier: Apache-2.0
// TCP-friendly rate control (RFC 5348) by itself: loss events from sequence numbers, and the rate
// that is fair with them.
#include "esp/tfrc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { RTT_MS = 20 };
#define RTT nsec_ms(RTT_MS)

// Packets 1 to count, one each millisecond, but those for which lost() is true.
static void arrive(struct tfrc_receiver *receiver, uint64_t first, uint64_t count,
                   bool (*lost)(uint64_t sequence))
{
    for (uint64_t i = first; i < first + count; i++)
        if (!lost(i)) tfrc_arrived(receiver, nsec_ms((int64_t)i), i, false, RTT, 1000);
}

static bool none(uint64_t sequence)
{
    return sequence == 0;
}

static bool each_hundredth(uint64_t sequence)
{
    return sequence % 100 == 50;
}

static bool bursts(uint64_t sequence) // of ten, within half a round-trip time
{
    return sequence % 200 >= 100 && sequence % 200 < 110;
}

static bool one(uint64_t sequence)
{
    return sequence == 1000;
}

// RFC 5348 3.1 test: numbers of the equation itself, computed elsewhere.
static void the_equation_gives_what_a_tcp_would_have(void **state)
{
    (void)state;
    static const struct {
        double p, rate;
    } rows[] = {{0.0001, 1223.64}, {0.01, 112.34}, {0.1, 17.70}, {0.5, 0.41736}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double rate = tfrc_fair(rows[i].p, nsec_ms(100));
        assert_true(rate > rows[i].rate * 0.99 && rate < rows[i].rate * 1.01);
    }
}

// RFC 5348 5.2 test, 5.4 test
static void losses_far_apart_are_events_and_near_ones_are_one(void **state)
{
    (void)state;
    struct tfrc_receiver receiver = {0};
    arrive(&receiver, 1, 1000, none);
    assert_int_equal(tfrc_distance(&receiver), 0);
    receiver = (struct tfrc_receiver){0};
    arrive(&receiver, 1, 5000, each_hundredth);
    assert_in_range(tfrc_distance(&receiver), 98, 102);
    receiver = (struct tfrc_receiver){0};
    arrive(&receiver, 1, 5000, bursts);
    assert_in_range(tfrc_distance(&receiver), 195, 205);
}

// RFC 5348 6.3.1 test: the first event is so far from the start that half the rate were fair.
static void the_first_loss_halves_the_rate(void **state)
{
    (void)state;
    struct tfrc_receiver receiver = {0};
    arrive(&receiver, 1, 1010, one);
    double fair = tfrc_fair(1.0 / tfrc_distance(&receiver), RTT);
    assert_true(fair > 490 && fair < 520);
    // Without further ones the open interval counts when it has become long.
    uint32_t before = tfrc_distance(&receiver);
    arrive(&receiver, 1011, 20000, none);
    assert_true(tfrc_distance(&receiver) > 2 * before && tfrc_distance(&receiver) > 9000);
}

// RFC 5348 5.1 test: what is overtaken by fewer than three is not lost.
static void overtaking_is_no_loss(void **state)
{
    (void)state;
    static const uint8_t order[][6] = {{1, 2, 4, 5, 3, 6}, {1, 3, 2, 4, 6, 5}, {3, 2, 1, 5, 4, 6}};
    for (size_t i = 0; i < 3; i++) {
        struct tfrc_receiver receiver = {0};
        tfrc_arrived(&receiver, 1, 1000, false, RTT, 1000);
        for (unsigned at = 0; at < 6; at++)
            tfrc_arrived(&receiver, nsec_ms(at + 1), 1000u + order[i][at], false, RTT, 1000);
        for (unsigned at = 7; at < 100; at++)
            tfrc_arrived(&receiver, nsec_ms(at + 1), 1000u + at, false, RTT, 1000);
        assert_int_equal(tfrc_distance(&receiver), 0);
    }
    struct tfrc_receiver receiver = {0};
    static const uint8_t late[] = {1, 3, 4, 5, 2, 6};
    for (unsigned at = 0; at < 6; at++)
        tfrc_arrived(&receiver, nsec_ms(at + 1), late[at], false, RTT, 1000);
    assert_true(tfrc_distance(&receiver) > 0);
}

// RFC 9347 3.1 test
static void a_mark_is_a_loss(void **state)
{
    (void)state;
    struct tfrc_receiver receiver = {0};
    for (uint64_t i = 1; i < 2000; i++)
        tfrc_arrived(&receiver, nsec_ms((int64_t)i), i, each_hundredth(i), RTT, 1000);
    assert_in_range(tfrc_distance(&receiver), 90, 110);
    assert_true(receiver.by_mark);
}

// Whatever numbers come, it ends, and the distance is one.
static void any_numbers_may_come(void **state)
{
    (void)state;
    uint64_t seed = 0x9347, sequence = 1;
    struct tfrc_receiver receiver = {0};
    for (unsigned i = 0; i < 200000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned kind = (unsigned)(seed >> 60);
        uint64_t step = kind == 0 ? seed >> 20 & 0xffffffff : kind < 4 ? seed >> 33 & 0x7f : 1;
        sequence += step;
        uint64_t used = kind == 5 && sequence > 90 ? sequence - (seed >> 33 & 63) : sequence;
        tfrc_arrived(&receiver, (nsec)i * 1000, used, kind == 6, kind == 7 ? 0 : RTT, kind * 100);
        assert_true(!receiver.event_at || tfrc_distance(&receiver) >= 1);
    }
    assert_true(receiver.event_at);
}

// --- sender

// RFC 5348 4.3 test: it doubles in each round-trip time, to the user's limit, and is lowered at
// once.
static void the_rate_doubles_until_something_is_lost(void **state)
{
    (void)state;
    struct tfrc_sender sender;
    tfrc_sender_init(&sender, 1460, 100000);
    assert_true(sender.rate > 2.9 && sender.rate < 3.1); // 4380 bytes a second
    nsec now = nsec_seconds(5);
    tfrc_report(&sender, now, RTT, 0, 0);
    double before = sender.rate;
    assert_true(before > 149 && before < 151); // in a round-trip time
    for (unsigned i = 0; i < 10; i++) tfrc_report(&sender, now += nsec_ms(1), RTT, 0, 0);
    assert_true(sender.rate == before);
    tfrc_report(&sender, now += RTT, RTT, 0, 0);
    assert_true(sender.rate == 2 * before);
    for (unsigned i = 0; i < 30; i++) tfrc_report(&sender, now += RTT, RTT, 0, 0);
    assert_true(sender.rate == 100000);
    tfrc_report(&sender, now += nsec_ms(1), RTT, 0, 100);
    assert_true(sender.rate > 561 && sender.rate < 562); // five times that of 100 ms
    tfrc_report(&sender, now += nsec_ms(1), RTT, 0, 1000000);
    assert_true(sender.rate < 562); // raised only when a round-trip time has passed
    tfrc_report(&sender, now += RTT, RTT, 0, 1000000);
    assert_true(sender.rate > 1100 && sender.rate < 1130);
}

// RFC 5348 4.4 test
static void silence_halves_the_rate(void **state)
{
    (void)state;
    struct tfrc_sender sender;
    tfrc_sender_init(&sender, 1460, 1000);
    nsec now = 0;
    for (unsigned i = 0; i < 30; i++) tfrc_report(&sender, now += RTT, RTT, 0, 0);
    assert_true(sender.rate == 1000);
    tfrc_wait(&sender, now + nsec_ms(100) - 1); // 4 RTT are less
    assert_true(sender.rate == 1000);
    tfrc_wait(&sender, now += nsec_ms(100));
    assert_true(sender.rate == 500);
    for (unsigned i = 0; i < 40; i++) tfrc_report(&sender, now += nsec_ms(50), nsec_ms(50), 0, 0);
    nsec four = 4 * sender.rtt;
    assert_true(sender.rate == 1000 && four > nsec_ms(190));
    tfrc_wait(&sender, now + four - 1);
    assert_true(sender.rate == 1000);
    tfrc_wait(&sender, now += four);
    assert_true(sender.rate == 500);
    for (unsigned i = 0; i < 100; i++) tfrc_wait(&sender, now += nsec_seconds(200));
    assert_int_equal(tfrc_interval(&sender), TFRC_INTERVAL_MAX);
    tfrc_report(&sender, now += nsec_ms(60), RTT, 0, 0);
    assert_true(sender.rate > 50); // it begins anew
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_equation_gives_what_a_tcp_would_have),
        cmocka_unit_test(losses_far_apart_are_events_and_near_ones_are_one),
        cmocka_unit_test(the_first_loss_halves_the_rate),
        cmocka_unit_test(overtaking_is_no_loss),
        cmocka_unit_test(a_mark_is_a_loss),
        cmocka_unit_test(any_numbers_may_come),
        cmocka_unit_test(the_rate_doubles_until_something_is_lost),
        cmocka_unit_test(silence_halves_the_rate),
    };
    return cmocka_run_group_tests_name("tfrc", tests, NULL, NULL);
}
