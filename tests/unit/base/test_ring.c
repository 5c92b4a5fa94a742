// SPDX-License-Identifier: Apache-2.0
// Places that go round between two threads.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ring.h"
#include <pthread.h>

enum { SIZE = 8, ROUNDS = 200000 };

struct lane {
    struct ring ring;
    uint32_t slots[SIZE];
};

static void a_full_ring_takes_no_more_until_a_place_is_done(void **state)
{
    (void)state;
    struct lane lane;
    uint32_t place = SIZE;
    ring_init(&lane.ring, SIZE);
    assert_int_equal(ring_filled(&lane.ring), 0);
    for (uint32_t i = 0; i < SIZE; i++) {
        assert_true(ring_write(&lane.ring, &place));
        assert_int_equal(place, i);
        lane.slots[place] = i;
        ring_written(&lane.ring);
    }
    assert_false(ring_write(&lane.ring, &place));
    assert_int_equal(ring_filled(&lane.ring), SIZE);
    assert_int_equal(lane.slots[ring_read(&lane.ring)], 0);
    ring_done(&lane.ring);
    assert_true(ring_write(&lane.ring, &place));
    assert_int_equal(place, 0);
    assert_int_equal(ring_filled(&lane.ring), SIZE - 1);
}

static void counts_may_pass_their_largest_value(void **state)
{
    (void)state;
    struct lane lane;
    uint32_t place = SIZE;
    ring_init(&lane.ring, SIZE);
    atomic_store(&lane.ring.writer.written, UINT32_MAX - 2);
    atomic_store(&lane.ring.reader.done, UINT32_MAX - 2);
    lane.ring.writer.done_seen = UINT32_MAX - 2;
    for (uint32_t i = 0; i < 3 * SIZE; i++) {
        assert_true(ring_write(&lane.ring, &place));
        lane.slots[place] = i;
        ring_written(&lane.ring);
        assert_int_equal(ring_filled(&lane.ring), 1);
        assert_int_equal(lane.slots[ring_read(&lane.ring)], i);
        ring_done(&lane.ring);
    }
}

static void *write_all(void *context)
{
    struct lane *lane = context;
    for (uint32_t i = 0; i < ROUNDS;) {
        uint32_t place;
        if (!ring_write(&lane->ring, &place)) continue;
        lane->slots[place] = i++;
        ring_written(&lane->ring);
    }
    return NULL;
}

static void another_thread_reads_all_in_order(void **state)
{
    (void)state;
    static struct lane lane;
    pthread_t writer;
    ring_init(&lane.ring, SIZE);
    assert_int_equal(pthread_create(&writer, NULL, write_all, &lane), 0);
    for (uint32_t i = 0; i < ROUNDS;) {
        for (uint32_t filled = ring_filled(&lane.ring); filled; filled--) {
            assert_int_equal(lane.slots[ring_read(&lane.ring)], i++);
            ring_done(&lane.ring);
        }
    }
    pthread_join(writer, NULL);
    assert_int_equal(ring_filled(&lane.ring), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_ring_takes_no_more_until_a_place_is_done),
        cmocka_unit_test(counts_may_pass_their_largest_value),
        cmocka_unit_test(another_thread_reads_all_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
