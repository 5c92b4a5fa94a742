// SPDX-License-Identifier: Apache-2.0
// Packets and letters between packet workers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "daemon/post.h"
#include <poll.h>
#include <unistd.h>

enum { PACKETS = 60000, LETTERS = 2000 };

static void packet_make(struct packet *packet)
{
    *packet = (struct packet){.space = mem_new(PACKET_BUFFER), .room = PACKET_BUFFER};
    packet->at = packet->space + PACKET_HEAD;
}

static void a_packet_changes_hands_with_its_buffer(void **state)
{
    (void)state;
    struct post post;
    struct packet given, got;
    enum hand kind;
    post_init(&post, 0, 2);
    packet_make(&given);
    packet_make(&got);
    uint8_t *buffer = given.space, *other = got.space;
    given.at[0] = 42;
    given.size = 1;
    assert_true(post_hand(&post, 1, &given, HAND_OPEN));
    assert_non_null(given.space);
    assert_ptr_not_equal(given.space, buffer);
    assert_int_equal(post_packets(&post, 1, 1, &got, &kind), 1);
    assert_int_equal(kind, HAND_OPEN);
    assert_ptr_equal(got.space, buffer);
    assert_int_equal(got.at[0], 42);
    // What the reader had is the place's now: it comes back when the ring has gone round.
    for (unsigned i = 0; i < HANDED_MAX - 1; i++) {
        assert_true(post_hand(&post, 1, &given, HAND_SEAL));
        assert_int_equal(post_packets(&post, 1, 1, &got, &kind), 1);
    }
    assert_true(post_hand(&post, 1, &given, HAND_SEAL));
    assert_ptr_equal(given.space, other);
    assert_int_equal(post_packets(&post, 1, 1, &got, &kind), 1);
    free(given.space);
    free(got.space);
    post_wipe(&post);
}

// A place in a buffer that others stand in, too, is nothing to give away, nor to be given.
static void what_stands_among_others_changes_hands_alone(void **state)
{
    (void)state;
    static uint8_t shared[100];
    struct post post;
    struct packet given, got;
    enum hand kind;
    post_init(&post, 0, 2);
    packet_make(&given);
    packet_make(&got);
    uint8_t *others[] = {given.space, got.space};
    struct packet *both[] = {&given, &got};
    for (unsigned i = 0; i < 2; i++)
        *both[i] = (struct packet){
            .space = shared, .spare = others[i], .room = 10, .at = shared + 2, .size = 5};
    memset(shared, 42, sizeof shared);
    assert_true(post_hand(&post, 1, &given, HAND_OPEN));
    assert_int_equal(post_packets(&post, 1, 1, &got, &kind), 1);
    assert_ptr_equal(got.space, others[0]);
    assert_null(got.spare);
    assert_int_equal(got.room, PACKET_BUFFER);
    assert_memory_equal(got.at, shared, 5);
    for (unsigned i = 0; i < HANDED_MAX; i++) {
        assert_ptr_not_equal(given.space, shared);
        assert_true(post_hand(&post, 1, &given, HAND_SEAL));
        assert_int_equal(post_packets(&post, 1, 1, &got, &kind), 1);
    }
    free(given.space);
    free(got.space);
    post_wipe(&post);
}

static void a_copy_leaves_the_buffer_where_it_is(void **state)
{
    (void)state;
    struct post post;
    struct packet given, got;
    enum hand kind;
    post_init(&post, 0, 2);
    packet_make(&given);
    packet_make(&got);
    uint8_t *buffer = given.space;
    memset(given.at, 7, 100);
    given.size = 100;
    assert_true(post_hand_copy(&post, 1, &given, HAND_STREAM));
    assert_ptr_equal(given.space, buffer);
    assert_int_equal(post_packets(&post, 1, 1, &got, &kind), 1);
    assert_memory_equal(got.at, given.at, 100);
    given.size = PACKET_MAX + 1;
    assert_false(post_hand_copy(&post, 1, &given, HAND_STREAM));
    free(given.space);
    free(got.space);
    post_wipe(&post);
}

static void a_full_ring_refuses_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct post post;
    struct packet given;
    post_init(&post, 0, 2);
    packet_make(&given);
    for (unsigned i = 0; i < HANDED_MAX; i++) assert_true(post_hand(&post, 1, &given, HAND_SEAL));
    uint8_t *buffer = given.space;
    assert_false(post_hand(&post, 1, &given, HAND_SEAL));
    assert_ptr_equal(given.space, buffer);
    free(given.space);
    post_wipe(&post);
}

static void only_packets_of_one_kind_come_together(void **state)
{
    (void)state;
    struct post post;
    struct packet given, got[4];
    enum hand kind;
    post_init(&post, 0, 2);
    packet_make(&given);
    for (unsigned i = 0; i < 4; i++) {
        packet_make(&got[i]);
        assert_true(post_hand(&post, 1, &given, i < 3 ? HAND_SEAL : HAND_OPEN));
    }
    assert_int_equal(post_packets(&post, 1, 4, got, &kind), 3);
    assert_int_equal(kind, HAND_SEAL);
    assert_int_equal(post_packets(&post, 1, 4, got, &kind), 1);
    assert_int_equal(kind, HAND_OPEN);
    assert_int_equal(post_packets(&post, 1, 4, got, &kind), 0);
    free(given.space);
    for (unsigned i = 0; i < 4; i++) free(got[i].space);
    post_wipe(&post);
}

static bool is_called(const struct post *post)
{
    struct pollfd at = {.fd = post->wake, .events = POLLIN};
    return poll(&at, 1, 0) > 0;
}

static void who_is_awake_is_not_called_and_who_sleeps_is_called_once(void **state)
{
    (void)state;
    struct post post;
    post_init(&post, 0, 1);
    post_letter(&post, &post);
    post_call(&post);
    assert_false(is_called(&post));
    assert_false(post_rest(&post)); // there is a letter
    void **letters;
    assert_int_equal(post_letters(&post, &letters), 1);
    assert_ptr_equal(letters[0], &post);
    free(letters);
    assert_true(post_rest(&post));
    post_call(&post);
    post_call(&post);
    uint64_t calls;
    assert_true(is_called(&post));
    assert_int_equal(read(post.wake, &calls, sizeof calls), sizeof calls);
    assert_int_equal(calls, 1);
    post_wipe(&post);
}

// --- two threads

static void *write_all(void *context)
{
    struct post *post = context;
    struct packet packet;
    packet_make(&packet);
    for (uint32_t i = 0; i < PACKETS;) {
        packet.at = packet.space + PACKET_HEAD;
        packet.size = sizeof i;
        memcpy(packet.at, &i, sizeof i);
        if (i % (PACKETS / LETTERS) == 0) post_letter(post, mem_text("letter"));
        while (!post_hand(post, 1, &packet, HAND_SEAL)) post_call(post);
        i++;
        if (i % 7 == 0) post_call(post);
    }
    post_call(post);
    free(packet.space);
    return NULL;
}

static unsigned letters_count(struct post *post)
{
    void **letters = NULL;
    size_t count = post_letters(post, &letters);
    for (size_t i = 0; i < count; i++) free(letters[i]);
    free(letters);
    return (unsigned)count;
}

static void packets_check(const struct packet *packets, unsigned count, uint32_t *next,
                          unsigned letters)
{
    for (unsigned i = 0; i < count; i++, ++*next) {
        uint32_t number;
        memcpy(&number, packets[i].at, sizeof number);
        assert_int_equal(number, *next);
        assert_true(letters > number / (PACKETS / LETTERS)); // the letter came first
    }
}

static void a_sleeper_misses_nothing_and_letters_come_before_packets(void **state)
{
    (void)state;
    static struct post post;
    struct packet packets[BURST_MAX];
    enum hand kind;
    uint32_t next = 0;
    unsigned letters = 0;
    pthread_t writer;
    post_init(&post, 0, 2);
    for (unsigned i = 0; i < BURST_MAX; i++) packet_make(&packets[i]);
    assert_int_equal(pthread_create(&writer, NULL, write_all, &post), 0);
    while (next < PACKETS) {
        unsigned count = post_packets(&post, 1, BURST_MAX, packets, &kind);
        letters += letters_count(&post);
        packets_check(packets, count, &next, letters);
        struct pollfd at = {.fd = post.wake, .events = POLLIN};
        uint64_t calls;
        if (next == PACKETS || !post_rest(&post)) continue;
        assert_int_equal(poll(&at, 1, 10000), 1); // longer means that a call was lost
        assert_int_equal(read(post.wake, &calls, sizeof calls), sizeof calls);
        post_awake(&post);
    }
    pthread_join(writer, NULL);
    assert_int_equal(letters + letters_count(&post), LETTERS);
    for (unsigned i = 0; i < BURST_MAX; i++) free(packets[i].space);
    post_wipe(&post);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_changes_hands_with_its_buffer),
        cmocka_unit_test(what_stands_among_others_changes_hands_alone),
        cmocka_unit_test(a_copy_leaves_the_buffer_where_it_is),
        cmocka_unit_test(a_full_ring_refuses_and_keeps_what_it_has),
        cmocka_unit_test(only_packets_of_one_kind_come_together),
        cmocka_unit_test(who_is_awake_is_not_called_and_who_sleeps_is_called_once),
        cmocka_unit_test(a_sleeper_misses_nothing_and_letters_come_before_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
