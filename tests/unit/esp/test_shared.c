// SPDX-License-Identifier: Apache-2.0
// Packets that stand one behind the other in one buffer, without room to either side: what is
// sealed and opened there is what is sealed and opened in buffers of their own, no packet touches
// its neighbour, and one that needs more room goes to its own buffer.
#include "rig.h"

enum { PACKETS = 7, SIZE_MAX_INNER = 1300, GUARD = 0xa5 };

struct shelf {
    struct packet packets[PACKETS], *list[PACKETS];
    uint8_t shared[PACKETS * 1500 + 2], own[PACKETS][PACKET_BUFFER];
};

static const uint32_t sizes[PACKETS] = {1300, 1300, 1300, 61, 28, 999, 1300};

static struct bytes inner_of(unsigned number, uint8_t *space)
{
    struct bytes inner = inner_v4(sizes[number], space);
    space[inner.size - 1] = (uint8_t)number;
    return inner;
}

static struct plane_room room_of(const struct rig *rig)
{
    uint8_t space[SIZE_MAX_INNER];
    struct bytes inner = inner_of(0, space);
    return plane_room_of(rig->a, 1000, 0, inner.at, (uint32_t)inner.size);
}

// As a frame of the TUN device is cut: exactly the room that sealing is said to need.
static uint8_t *shelf_fill(struct shelf *shelf, const struct plane_room *room)
{
    memset(shelf->shared, GUARD, sizeof shelf->shared);
    uint8_t *at = shelf->shared + 1;
    for (unsigned i = 0; i < PACKETS; i++) {
        uint8_t space[SIZE_MAX_INNER];
        struct bytes inner = inner_of(i, space);
        uint32_t whole = plane_room_size(room, sizes[i]);
        shelf->packets[i] = (struct packet){.space = at,
                                            .spare = shelf->own[i],
                                            .room = whole,
                                            .at = at + room->head,
                                            .follows = i > 0,
                                            .size = sizes[i]};
        memcpy(at + room->head, inner.at, inner.size);
        shelf->list[i] = &shelf->packets[i];
        at += whole;
    }
    return at;
}

// The same packets, sealed by a plane of the same keys in buffers with room.
static void assert_sealed_alike(const struct cipher *cipher, const struct shelf *shelf)
{
    struct rig rig;
    rig_open(&rig, cipher);
    rig_add_sa(&rig);
    static struct box box;
    for (unsigned i = 0; i < PACKETS; i++) {
        uint8_t space[SIZE_MAX_INNER];
        struct packet *packet = box_put(&box, inner_of(i, space));
        seal_one(rig.a, packet);
        assert_int_equal(shelf->packets[i].verdict, VERDICT_SEND);
        assert_int_equal(shelf->packets[i].size, packet->size);
        if (cipher->encr != ENCR_AES_CBC && cipher->encr != ENCR_3DES) // whose IVs are secret
            assert_memory_equal(shelf->packets[i].at, packet->at, packet->size);
    }
    rig_close(&rig);
}

static void assert_opened(struct rig *rig, struct shelf *shelf)
{
    for (unsigned i = 0; i < PACKETS; i++) {
        struct packet *packet = &shelf->packets[i];
        *packet = (struct packet){.space = packet->at,
                                  .spare = shelf->own[i],
                                  .room = packet->size,
                                  .at = packet->at,
                                  .size = packet->size,
                                  .outer = OUTER_UDP,
                                  .from = rig->spec.path.local,
                                  .to = rig->spec.path.remote};
    }
    plane_open(rig->b, 2000, shelf->list, PACKETS);
    for (unsigned i = 0; i < PACKETS; i++) {
        uint8_t space[SIZE_MAX_INNER];
        struct bytes inner = inner_of(i, space);
        assert_int_equal(shelf->packets[i].verdict, VERDICT_DELIVER);
        assert_int_equal(shelf->packets[i].size, inner.size);
        assert_memory_equal(shelf->packets[i].at, inner.at, inner.size);
    }
}

static void neighbours_are_sealed_and_opened_as_they_are_alone(void **state)
{
    (void)state;
    static struct shelf shelf;
    for (size_t i = 0; i < COUNT(ciphers); i++) {
        struct rig rig;
        rig_open(&rig, &ciphers[i]);
        rig_add_sa(&rig);
        struct plane_room room = room_of(&rig);
        assert_true(room.head > 0);
        uint8_t *end = shelf_fill(&shelf, &room);
        plane_seal(rig.a, 1000, shelf.list, PACKETS);
        // One run, without a gap, and nothing written beyond it.
        const uint8_t *at = shelf.shared + 1;
        for (unsigned n = 0; n < PACKETS; n++) {
            assert_ptr_equal(shelf.packets[n].at, at);
            assert_non_null(shelf.packets[n].spare);
            at += shelf.packets[n].size;
        }
        assert_ptr_equal(at, end);
        assert_int_equal(shelf.shared[0], GUARD);
        assert_int_equal(*end, GUARD);
        assert_sealed_alike(&ciphers[i], &shelf);
        assert_opened(&rig, &shelf);
        rig_close(&rig);
    }
}

// The SA may have changed since the room was asked for.
static void a_packet_that_needs_more_room_goes_to_its_own_buffer(void **state)
{
    (void)state;
    static struct shelf shelf;
    const struct plane_room none = {.head = 1, .align = 1};
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig);
    shelf_fill(&shelf, &none);
    plane_seal(rig.a, 1000, shelf.list, PACKETS);
    for (unsigned i = 0; i < PACKETS; i++) {
        assert_null(shelf.packets[i].spare);
        assert_ptr_equal(shelf.packets[i].space, shelf.own[i]);
    }
    assert_sealed_alike(&ciphers[0], &shelf);
    assert_opened(&rig, &shelf);
    rig_close(&rig);
}

// What puts more than a header and a trailer around packets, or takes them apart, is not told of,
// and finds room all the same.
static void modes_that_need_room_find_it(void **state)
{
    (void)state;
    static const enum sa_mode modes[] = {MODE_TRANSPORT, MODE_BEET, MODE_GATEWAY_TRANSPORT};
    static struct shelf shelf;
    const struct plane_room one = {.head = 1, .align = 1};
    for (size_t i = 0; i < COUNT(modes); i++) {
        struct rig rig;
        rig_open(&rig, &ciphers[0]);
        rig.spec.mode = (uint8_t)modes[i];
        rig.spec.local = selectors_of("10.1.0.5");
        rig.spec.remote = selectors_of("10.2.0.9");
        rig_add_sa(&rig);
        assert_int_equal(room_of(&rig).head, 0);
        shelf_fill(&shelf, &one);
        plane_seal(rig.a, 1000, shelf.list, PACKETS);
        for (unsigned n = 0; n < PACKETS; n++) {
            assert_int_equal(shelf.packets[n].verdict, VERDICT_SEND);
            assert_null(shelf.packets[n].spare);
        }
        rig_close(&rig);
    }
}

static void an_answer_of_icmp_does_not_touch_the_neighbour(void **state)
{
    (void)state;
    static struct shelf shelf;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig.spec.path_mtu = 1000;
    rig_add_sa(&rig);
    struct plane_room room = room_of(&rig);
    assert_in_range(room.mtu, 900, 1000);
    shelf_fill(&shelf, &room);
    for (unsigned i = 0; i < PACKETS; i++) {
        put_u16(shelf.packets[i].at + 6, 0x4000); // may not be cut
        put_u16(shelf.packets[i].at + 10, 0);
        put_u16(shelf.packets[i].at + 10, ipv4_sum(shelf.packets[i].at));
    }
    plane_seal(rig.a, 1000, shelf.list, PACKETS);
    for (unsigned i = 0; i < PACKETS; i++) {
        bool large = sizes[i] > room.mtu;
        assert_int_equal(shelf.packets[i].verdict, large ? VERDICT_DELIVER : VERDICT_SEND);
        if (large) assert_null(shelf.packets[i].spare);
        if (large) continue;
        struct packet *packet = &shelf.packets[i];
        packet->outer = OUTER_UDP;
        packet->from = rig.spec.path.local;
        open_one(rig.b, packet);
        assert_int_equal(packet->verdict, VERDICT_DELIVER);
        assert_int_equal(packet->at[packet->size - 1], i);
    }
    rig_close(&rig);
}

// Whatever becomes of the first of a frame becomes of the others.
static void what_follows_goes_the_way_of_the_first(void **state)
{
    (void)state;
    static struct shelf shelf;
    const struct plane_room one = {.head = 1, .align = 1};
    static const struct {
        enum policy_action action;
        const char *local;
        enum verdict verdict;
    } ways[] = {{POLICY_PROTECT, "10.1.0.0/16", VERDICT_HELD},
                {POLICY_DISCARD, "10.1.0.0/16", VERDICT_DROP},
                {POLICY_BYPASS, "10.1.0.0/16", VERDICT_BYPASS},
                {POLICY_PROTECT, "10.9.0.0/16", VERDICT_BYPASS}};
    for (size_t i = 0; i < COUNT(ways); i++) {
        struct rig rig;
        rig_open(&rig, &ciphers[0]);
        struct policy_spec policy = policy_of(POLICY, ways[i].action, ways[i].local, "10.2.0.0/16");
        policy.trap = POLICY_TRAP;
        CHECK_FAULT(plane_policy_add(rig.a, &policy), OK);
        shelf_fill(&shelf, &one);
        shelf.packets[0].at[0] = 0x55; // no IP: the second speaks for the rest
        plane_seal(rig.a, 1000, shelf.list, PACKETS);
        assert_int_equal(shelf.packets[0].verdict, VERDICT_DROP);
        for (unsigned n = 1; n < PACKETS; n++)
            assert_int_equal(shelf.packets[n].verdict, ways[i].verdict);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_are_sealed_and_opened_as_they_are_alone),
        cmocka_unit_test(a_packet_that_needs_more_room_goes_to_its_own_buffer),
        cmocka_unit_test(modes_that_need_room_find_it),
        cmocka_unit_test(what_follows_goes_the_way_of_the_first),
        cmocka_unit_test(an_answer_of_icmp_does_not_touch_the_neighbour),
    };
    crypto_start();
    return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
