// SPDX-License-Identifier: Apache-2.0
// IPComp within ESP: what is sealed opens to the same in every mode, what would not become smaller
// goes as it is, and what a peer sends is bounded.
#include "rig.h"
#include <zlib.h>

enum { CPI = 0x7a21, GCM_AROUND = 8 + 8 + 2 + 16 };

static struct box box_a, box_b;
static uint8_t space[65536], crafted[65536];

static void rig_comp(struct rig *rig, enum sa_mode mode)
{
    rig_open(rig, &ciphers[0]);
    rig->spec.mode = (uint8_t)mode;
    rig->spec.cpi = CPI;
    if (mode == MODE_BEET) {
        rig->spec.local = selectors_of("10.1.0.5/32");
        rig->spec.remote = selectors_of("10.2.0.9/32");
    }
}

static struct packet *seal(struct rig *rig, struct bytes inner)
{
    struct packet *packet = box_put(&box_a, inner);
    seal_one(rig->a, packet);
    assert_int_equal(packet->verdict, VERDICT_SEND);
    return packet;
}

static struct packet *open_at_b(struct rig *rig, const struct packet *sent)
{
    struct packet *packet = box_put(&box_b, packet_bytes(sent));
    packet->from = sent->from;
    packet->to = sent->to;
    packet->ttl = sent->ttl;
    packet->tos = sent->tos;
    if (sent->outer == OUTER_WHOLE) CHECK_FAULT(packet_split(packet), OK);
    open_one(rig->b, packet);
    return packet;
}

// RFC 3173 2 test: lossless, in each mode.
static void what_is_compressed_opens_to_the_same(void **state)
{
    (void)state;
    static const enum sa_mode modes[] = {MODE_TUNNEL, MODE_TRANSPORT, MODE_BEET};
    for (size_t i = 0; i < COUNT(modes); i++) {
        struct rig rig;
        rig_comp(&rig, modes[i]);
        rig_add_sa(&rig);
        unsigned smaller = 0;
        for (size_t size = 40; size < 9000; size += size < 400 ? 1 : 97) {
            struct bytes inner = inner_v4(size, space);
            const struct packet *sent = seal(&rig, inner);
            smaller += sent->size < size;
            const struct packet *got = open_at_b(&rig, sent);
            CHECK_FAULT(got->fault, OK);
            assert_int_equal(got->size, size);
            if (modes[i] == MODE_BEET) memcpy(space + 4, got->at + 4, 2); // its own identification
            if (modes[i] == MODE_BEET) memcpy(space + 10, got->at + 10, 2);
            assert_memory_equal(got->at, space, size);
        }
        assert_true(smaller > 100);
        rig_close(&rig);
    }
}

static void the_largest_packets_fit(void **state)
{
    (void)state;
    struct rig rig;
    rig_comp(&rig, MODE_TUNNEL);
    rig_add_sa(&rig);
    struct bytes inner = inner_v4(65535, space);
    const struct packet *sent = seal(&rig, inner);
    assert_true(sent->size < 16000);
    const struct packet *got = open_at_b(&rig, sent);
    CHECK_FAULT(got->fault, OK);
    assert_int_equal(got->size, 65535);
    assert_memory_equal(got->at, space, 65535);
    rig_close(&rig);
}

static void noise_make(size_t size, uint64_t seed)
{
    struct rng_seeded rng;
    rng_seed(&rng, seed);
    (void)inner_v4(size, space);
    for (size_t i = 28; i < size; i++) space[i] = (uint8_t)rng_below(&rng.rng, 256);
}

// RFC 3173 2.2 test: no packet becomes larger, and after some that did not compress it is not tried
// for a while.
static void what_does_not_compress_goes_as_it_is(void **state)
{
    (void)state;
    struct rig rig;
    rig_comp(&rig, MODE_TUNNEL);
    rig_add_sa(&rig);
    struct sa *sa = rig.a->spd.policies.count ? spd_policy(&rig.a->spd, POLICY)->newest : NULL;
    assert_non_null(sa);
    unsigned tried = 0;
    for (unsigned i = 0; i < 2000; i++) {
        noise_make(1000, i);
        bool rests = sa->comp_rest;
        tried += !rests;
        const struct packet *sent = seal(&rig, bytes_of(space, 1000));
        assert_in_range(sent->size, 1000 + GCM_AROUND, 1000 + GCM_AROUND + 3);
        const struct packet *got = open_at_b(&rig, sent);
        CHECK_FAULT(got->fault, OK);
        assert_memory_equal(got->at, space, 1000);
    }
    assert_in_range(tried, 3, 20);
    unsigned plain =
        0; // now what compresses is found out again, at the latest after the longest rest
    while (seal(&rig, inner_v4(1000, space))->size > 900) assert_true(++plain <= 1024);
    assert_true(seal(&rig, inner_v4(1000, space))->size < 900);
    for (size_t size = 40; size < 90; size++) // too short to be tried
        assert_true(seal(&rig, inner_v4(size, space))->size >= size + GCM_AROUND);
    rig_close(&rig);
}

// A packet in transport mode whose protocol is IPComp already: what a peer could send.
static const struct packet *sent_by_peer(struct rig *rig, uint8_t next, uint16_t cpi,
                                         const uint8_t *data, size_t size)
{
    struct inner inner = {"10.1.0.5", "10.2.0.9", IPPROTO_NUMBER_IPCOMP, 0, 0, 0, false, 24 + size};
    (void)inner_make(&inner, space);
    space[20] = next;
    space[21] = 0x55; // RFC 3173 3.3 test: flags are ignored
    put_u16(space + 22, cpi);
    memcpy(space + 24, data, size);
    return open_at_b(rig, seal(rig, bytes_of(space, 24 + size)));
}

static size_t deflated(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (uint8_t *)(uintptr_t)data;
    stream.avail_in = (unsigned)size;
    stream.next_out = out;
    stream.avail_out = (unsigned)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t made = stream.total_out;
    deflateEnd(&stream);
    return made;
}

static void rig_peer(struct rig *rig)
{
    rig_comp(rig, MODE_TRANSPORT);
    struct sa_spec in = spec_turned(&rig->spec);
    CHECK_FAULT(plane_sa_add(rig->b, &in), OK);
    rig->spec.cpi = 0;
    CHECK_FAULT(plane_sa_add(rig->a, &rig->spec), OK);
}

static void what_a_peer_sends_is_checked(void **state)
{
    (void)state;
    struct rig rig;
    rig_peer(&rig);
    uint8_t plain[400];
    for (size_t i = 0; i < sizeof plain; i++) plain[i] = (uint8_t)(i / 9);
    size_t size = deflated(plain, sizeof plain, crafted, sizeof crafted);
    const struct packet *got = sent_by_peer(&rig, IPPROTO_NUMBER_UDP, CPI, crafted, size);
    CHECK_FAULT(got->fault, OK);
    assert_int_equal(got->size, 20 + sizeof plain);
    assert_int_equal(got->at[9], IPPROTO_NUMBER_UDP);
    assert_int_equal(ipv4_sum(got->at), 0);
    assert_memory_equal(got->at + 20, plain, sizeof plain);
    for (size_t i = 0; i < size; i++) // every truncation
        CHECK_FAULT(sent_by_peer(&rig, IPPROTO_NUMBER_UDP, CPI, crafted, i)->fault,
                    i ? FAULT_IPCOMP_DATA : FAULT_IPCOMP_HEADER);
    for (size_t i = 0; i < size; i++) // a change may make sense, but never too much
        for (unsigned bit = 0; bit < 8; bit++) {
            crafted[i] ^= (uint8_t)(1u << bit);
            got = sent_by_peer(&rig, IPPROTO_NUMBER_UDP, CPI, crafted, size);
            assert_true(got->fault || got->size <= IP_SIZE_MAX);
            crafted[i] ^= (uint8_t)(1u << bit);
        }
    CHECK_FAULT(sent_by_peer(&rig, IPPROTO_NUMBER_UDP, CPI + 1, crafted, size)->fault,
                FAULT_IPCOMP_HEADER);
    CHECK_FAULT(sent_by_peer(&rig, IPPROTO_NUMBER_IPCOMP, CPI, crafted, size)->fault,
                FAULT_IPCOMP_HEADER);
    rig_close(&rig);
}

static void a_bomb_is_no_larger_than_a_packet(void **state)
{
    (void)state;
    struct rig rig;
    rig_peer(&rig);
    enum { BOMB = 10 * 1024 * 1024 };
    uint8_t *zeros = mem_array(BOMB, 1);
    size_t size = deflated(zeros, BOMB, crafted, sizeof crafted);
    assert_true(size < 20000);
    CHECK_FAULT(sent_by_peer(&rig, IPPROTO_NUMBER_UDP, CPI, crafted, size)->fault,
                FAULT_IPCOMP_DATA);
    // With the header before it this one is too large, too.
    size = deflated(zeros, 65530, crafted, sizeof crafted);
    CHECK_FAULT(sent_by_peer(&rig, IPPROTO_NUMBER_UDP, CPI, crafted, size)->fault,
                FAULT_PACKET_TOO_LARGE);
    size = deflated(zeros, 65515, crafted, sizeof crafted);
    CHECK_FAULT(sent_by_peer(&rig, IPPROTO_NUMBER_UDP, CPI, crafted, size)->fault, OK);
    free(zeros);
    rig_close(&rig);
}

static void an_sa_without_it_takes_none(void **state)
{
    (void)state;
    struct rig rig;
    rig_comp(&rig, MODE_TUNNEL);
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), OK);
    struct sa_spec in = spec_turned(&rig.spec);
    in.cpi = 0;
    CHECK_FAULT(plane_sa_add(rig.b, &in), OK);
    CHECK_FAULT(open_at_b(&rig, seal(&rig, inner_v4(1000, space)))->fault, FAULT_ESP_NEXT_HEADER);
    in.cpi = CPI;
    in.tfc_padding = 1000;
    CHECK_FAULT(plane_sa_add(rig.b, &in), FAULT_SA_PARAMETERS);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_compressed_opens_to_the_same),
        cmocka_unit_test(the_largest_packets_fit),
        cmocka_unit_test(what_does_not_compress_goes_as_it_is),
        cmocka_unit_test(what_a_peer_sends_is_checked),
        cmocka_unit_test(a_bomb_is_no_larger_than_a_packet),
        cmocka_unit_test(an_sa_without_it_takes_none),
    };
    crypto_start();
    return cmocka_run_group_tests_name("ipcomp", tests, NULL, NULL);
}
