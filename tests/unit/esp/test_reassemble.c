// SPDX-License-Identifier: Apache-2.0
// Fragments before SAs that carry whole packets: in any order they become what was cut, and what
// does not fit together, comes too late or is too much is not kept.
#include "rig.h"

enum { PIECES_MAX = 64, PAYLOAD_MAX = 65535 };

struct piece { // bytes of the packet behind its header
    uint32_t at, size;
    bool more;
};

static struct box box;
static uint8_t original[65536], cut_space[65536];

static uint32_t head_of(void)
{
    return original[0] >> 4 == 4 ? IPV4_HEADER : IPV6_HEADER;
}

// A whole packet in `original`; IPv4 headers may be cut.
static void original_make(int v6, size_t size)
{
    (void)(v6 ? inner_v6(size, original) : inner_v4(size, original));
    if (v6) return;
    put_u16(original + 4, 0x4321);
    put_u16(original + 10, 0);
    put_u16(original + 10, ipv4_sum(original));
}

// The piece as a fragment, as RFC 791 3.2 and RFC 8200 4.5 have it.
static struct bytes cut(const struct piece *piece, uint32_t id)
{
    uint32_t head = head_of(), more = head == IPV4_HEADER ? 0 : 8;
    memcpy(cut_space, original, head);
    memcpy(cut_space + head + more, original + head + piece->at, piece->size);
    uint32_t size = head + more + piece->size;
    if (head == IPV4_HEADER) {
        put_u16(cut_space + 2, (uint16_t)size);
        put_u16(cut_space + 4, (uint16_t)id);
        put_u16(cut_space + 6, (uint16_t)(piece->at / 8 | (piece->more ? 0x2000 : 0)));
    } else {
        uint8_t *header = cut_space + head;
        put_u16(cut_space + 4, (uint16_t)(size - head));
        header[0] = cut_space[6];
        header[1] = 0;
        put_u16(header + 2, (uint16_t)(piece->at | piece->more));
        put_u32(header + 4, id);
        cut_space[6] = 44;
    }
    return bytes_of(cut_space, size);
}

static enum fault take_at(struct reassembler *reassembly, nsec now, struct bytes fragment,
                          bool *whole)
{
    struct packet *packet = box_put(&box, fragment);
    assert_true(is_fragment(packet->at, packet->size));
    return reassembler_take(reassembly, now, packet, whole);
}

static enum fault take(struct reassembler *reassembly, const struct piece *piece, uint32_t id,
                       bool *whole)
{
    return take_at(reassembly, 0, cut(piece, id), whole);
}

static void check_original(void)
{
    uint8_t like[65536];
    size_t size = head_of() + 0u;
    size = original[0] >> 4 == 4 ? get_u16(original + 2) : size + get_u16(original + 4);
    memcpy(like, original, size);
    assert_int_equal(box.packet.size, size);
    if (like[0] >> 4 == 4) assert_int_equal(ipv4_sum(box.packet.at), 0);
    if (like[0] >> 4 == 4)
        memcpy(like + 4, box.packet.at + 4, 2), memcpy(like + 10, box.packet.at + 10, 2);
    assert_memory_equal(box.packet.at, like, size);
}

static unsigned pieces_make(uint32_t payload, uint32_t step, struct piece *out)
{
    unsigned count = 0;
    for (uint32_t at = 0; at < payload; at += step, count++)
        out[count] =
            (struct piece){at, payload - at < step ? payload - at : step, payload - at > step};
    return count;
}

// RFC 791 3.2 test, RFC 8200 4.5 test: whatever order they come in.
static void in_any_order_they_become_what_was_cut(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seed(&rng, 7);
    print_message("seed 7\n");
    struct reassembler *reassembly = reassembler_new();
    for (unsigned round = 0; round < 400; round++) {
        int v6 = round & 1;
        uint8_t random[4];
        rng_fill(&rng.rng, random, sizeof random);
        uint32_t payload = 100 + get_u32(random) % 20000, step = 8 * (50 + random[0]);
        struct piece pieces[PIECES_MAX];
        original_make(v6, payload + (v6 ? 40u : 20u));
        unsigned count = pieces_make(payload, step, pieces);
        if (count < 2) continue;
        for (unsigned i = 0; i < count; i++) {
            rng_fill(&rng.rng, random, sizeof random);
            unsigned j = i + get_u32(random) % (count - i);
            struct piece piece = pieces[j];
            pieces[j] = pieces[i];
            bool whole;
            CHECK_FAULT(take(reassembly, &piece, round, &whole), OK);
            assert_int_equal(whole, i == count - 1);
        }
        check_original();
    }
    reassembler_free(reassembly);
}

// RFC 6946 4 test: a packet in one fragment is whole, whatever else waits under its identification.
static void a_lone_fragment_is_whole_at_once(void **state)
{
    (void)state;
    struct reassembler *reassembly = reassembler_new();
    bool whole;
    original_make(1, 1000);
    CHECK_FAULT(take(reassembly, &(struct piece){0, 480, true}, 1, &whole), OK);
    CHECK_FAULT(take(reassembly, &(struct piece){0, 960, false}, 1, &whole), OK);
    assert_true(whole);
    check_original();
    CHECK_FAULT(take(reassembly, &(struct piece){480, 480, false}, 1, &whole), OK);
    assert_true(whole);
    check_original();
    reassembler_free(reassembly);
}

// RFC 5722 4 test, RFC 8200 4.5 test: each row's last piece is refused, and all that come after it.
static void what_does_not_fit_together_is_refused(void **state)
{
    (void)state;
    static const struct piece rows[][3] = {
        {{0, 480, true}, {0, 480, true}},        // twice
        {{0, 480, true}, {472, 480, true}},      // overlaps the end
        {{480, 480, true}, {0, 488, true}},      // and the beginning
        {{0, 960, true}, {480, 8, true}},        // inside
        {{480, 480, false}, {0, 1200, true}},    // around
        {{480, 480, false}, {960, 240, true}},   // behind the end
        {{960, 240, true}, {480, 480, false}},   // an end before what came
        {{480, 480, false}, {1200, 100, false}}, // two ends
        {{0, 480, true}, {480, 481, true}},      // no whole units
        {{0, 480, true}, {960, 0, true}},        // nothing
    };
    for (int v6 = 0; v6 < 2; v6++)
        for (size_t i = 0; i < COUNT(rows); i++) {
            struct reassembler *reassembly = reassembler_new();
            bool whole;
            original_make(v6, 3000);
            CHECK_FAULT(take(reassembly, &rows[i][0], 5, &whole), OK);
            assert_false(whole);
            CHECK_FAULT(take(reassembly, &rows[i][1], 5, &whole), FAULT_INNER_FRAGMENT);
            assert_false(whole);
            // Overlapping, it is lost for good; only malformed, the others remain good.
            bool malformed = rows[i][1].size % 8 == 1 || !rows[i][1].size;
            struct piece rest = {480, 480, false};
            enum fault fault = take(reassembly, &rest, 5, &whole);
            CHECK_FAULT(fault, malformed ? OK : FAULT_INNER_FRAGMENT);
            assert_int_equal(whole, malformed);
            reassembler_free(reassembly);
        }
}

static void beyond_the_largest_packet_is_refused(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct reassembler *reassembly = reassembler_new();
        bool whole;
        uint32_t head = v6 ? 40 : 20;
        original_make(v6, 200);
        // 65,535 bytes with their header are a packet, one more are none.
        struct piece last = {65504 - (v6 ? 16 : 0), 0, false};
        last.size = 65535 - head - last.at;
        uint8_t *ip = box.space + PACKET_HEAD;
        struct piece small = {0, last.size, false};
        struct bytes bytes = cut(&small, 9);
        put_u16(cut_space + (v6 ? 42 : 6), (uint16_t)(v6 ? last.at : last.at / 8));
        CHECK_FAULT(take_at(reassembly, 0, bytes, &whole), OK);
        small.size++;
        bytes = cut(&small, 10);
        put_u16(cut_space + (v6 ? 42 : 6), (uint16_t)(v6 ? last.at : last.at / 8));
        CHECK_FAULT(take_at(reassembly, 0, bytes, &whole), FAULT_INNER_FRAGMENT);
        assert_ptr_equal(box.packet.at, ip);
        reassembler_free(reassembly);
    }
}

static void they_do_not_wait_for_ever(void **state)
{
    (void)state;
    struct reassembler *reassembly = reassembler_new();
    struct piece first = {0, 480, true}, last = {480, 480, false};
    bool whole;
    original_make(0, 980);
    CHECK_FAULT(take_at(reassembly, 0, cut(&first, 1), &whole), OK);
    CHECK_FAULT(take_at(reassembly, nsec_seconds(REASSEMBLY_SECONDS) + 1, cut(&last, 1), &whole),
                OK);
    assert_false(whole);
    CHECK_FAULT(take_at(reassembly, nsec_seconds(REASSEMBLY_SECONDS) + 2, cut(&first, 1), &whole),
                OK);
    assert_true(whole);
    check_original();
    reassembler_free(reassembly);
}

static void only_so_many_are_kept_and_the_oldest_gives_way(void **state)
{
    (void)state;
    struct reassembler *reassembly = reassembler_new();
    struct piece first = {0, 480, true}, last = {480, 480, false};
    bool whole;
    original_make(1, 1000);
    for (uint32_t id = 0; id <= REASSEMBLIES_MAX; id++)
        CHECK_FAULT(take_at(reassembly, id, cut(&first, id), &whole), OK);
    CHECK_FAULT(take_at(reassembly, 100, cut(&last, REASSEMBLIES_MAX), &whole), OK);
    assert_true(whole);
    CHECK_FAULT(take_at(reassembly, 100, cut(&last, 1), &whole), OK);
    assert_true(whole);
    CHECK_FAULT(take_at(reassembly, 100, cut(&last, 0), &whole), OK);
    assert_false(whole);
    reassembler_free(reassembly);
}

static void other_packets_are_kept_apart(void **state)
{
    (void)state;
    struct reassembler *reassembly = reassembler_new();
    struct piece first = {0, 480, true}, last = {480, 480, false};
    for (int v6 = 0; v6 < 2; v6++) {
        original_make(v6, 960 + (v6 ? 40u : 20u));
        bool whole;
        CHECK_FAULT(take(reassembly, &first, 1, &whole), OK);
        (void)cut(&last, 2);
        CHECK_FAULT(take_at(reassembly, 0, cut(&last, 2), &whole), OK);
        assert_false(whole);
        struct bytes other = cut(&last, 1);
        cut_space[v6 ? 39 : 19] ^= 1; // to another host
        CHECK_FAULT(take_at(reassembly, 0, other, &whole), OK);
        assert_false(whole);
        other = cut(&last, 1);
        cut_space[v6 ? 23 : 15] ^= 1;
        CHECK_FAULT(take_at(reassembly, 0, other, &whole), OK);
        assert_false(whole);
        if (!v6) {
            other = cut(&last, 1);
            cut_space[9] ^= 1; // IPv4: of another protocol
            CHECK_FAULT(take_at(reassembly, 0, other, &whole), OK);
            assert_false(whole);
        }
        CHECK_FAULT(take(reassembly, &last, 1, &whole), OK);
        assert_true(whole);
        check_original();
    }
    reassembler_free(reassembly);
}

// RFC 3168 5.3 test.
static void congestion_of_one_fragment_is_that_of_the_whole(void **state)
{
    (void)state;
    static const struct {
        uint8_t first, last, whole; // ECN; 0xff: dropped
    } rows[] = {{0, 0, 0}, {1, 1, 1}, {2, 3, 3}, {3, 1, 3}, {3, 3, 3}, {0, 3, 0xff}, {3, 0, 0xff}};
    for (int v6 = 0; v6 < 2; v6++)
        for (size_t i = 0; i < COUNT(rows); i++) {
            struct reassembler *reassembly = reassembler_new();
            bool whole;
            original_make(v6, 960 + (v6 ? 40u : 20u));
            struct bytes bytes = cut(&(struct piece){0, 480, true}, 1);
            tos_set(cut_space, rows[i].first | 0x28);
            CHECK_FAULT(take_at(reassembly, 0, bytes, &whole), OK);
            bytes = cut(&(struct piece){480, 480, false}, 1);
            tos_set(cut_space, rows[i].last | 0x28);
            enum fault fault = take_at(reassembly, 0, bytes, &whole);
            if (rows[i].whole == 0xff) {
                CHECK_FAULT(fault, FAULT_INNER_ECN);
            } else {
                CHECK_FAULT(fault, OK);
                assert_int_equal(tos_get(box.packet.at), rows[i].whole | 0x28);
                if (!v6) assert_int_equal(ipv4_sum(box.packet.at), 0);
            }
            reassembler_free(reassembly);
        }
}

// Whatever the bytes: what comes out is a packet that its own header describes.
static void hostile_fragments_do_no_harm(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seed(&rng, 11);
    print_message("seed 11\n");
    struct reassembler *reassembly = reassembler_new();
    unsigned wholes = 0;
    for (unsigned round = 0; round < 200000; round++) {
        uint8_t random[16];
        rng_fill(&rng.rng, random, sizeof random);
        original_make(random[0] & 1, 400);
        struct piece piece = {random[1] % 40 * 8u, 1 + random[2] % 80, random[3] & 1};
        struct bytes bytes = cut(&piece, random[4] & 7);
        if (random[5] < 64) cut_space[random[6] % bytes.size] = random[7]; // and one wrong byte
        struct packet *packet = box_put(&box, bytes);
        uint32_t total;
        if (ip_check(packet->at, packet->size, &total) || !is_fragment(packet->at, total)) continue;
        packet->size = total;
        bool whole;
        enum fault fault = reassembler_take(reassembly, (nsec)round * NSEC_PER_MS, packet, &whole);
        if (fault || !whole) continue;
        CHECK_FAULT(ip_check(packet->at, packet->size, &total), OK);
        assert_int_equal(total, packet->size);
        wholes++;
    }
    assert_true(wholes > 100);
    reassembler_free(reassembly);
}

// The plane --------------------------------------------------------------------------------------

static void rig_mode(struct rig *rig, enum sa_mode mode, uint8_t protocol)
{
    rig_open(rig, &ciphers[0]);
    rig->spec.mode = (uint8_t)mode;
    rig->spec.protocol = protocol;
    if (protocol == PROTOCOL_AH) {
        rig->spec.encr_key.size = 0;
        rig->spec.integ = INTEG_HMAC_SHA2_256_128;
        rig->spec.integ_key = bytes_of(key_bytes[0], 32);
    }
    if (mode == MODE_BEET) {
        rig->spec.local = selectors_of("10.1.0.5/32");
        rig->spec.remote = selectors_of("10.2.0.9/32");
    }
    rig_add_sa(rig);
}

// Which of them are joined: those that would be dropped otherwise, and no others.
static void the_plane_joins_what_must_be_whole(void **state)
{
    (void)state;
    static const struct {
        uint8_t mode;
        int v6;
        bool joined;
        uint8_t protocol;
    } rows[] = {
        {MODE_TRANSPORT, 0, true, PROTOCOL_ESP},
        {MODE_TRANSPORT, 1, true, PROTOCOL_ESP},
        {MODE_GATEWAY_TRANSPORT, 0, true, PROTOCOL_ESP},
        {MODE_GATEWAY_TRANSPORT, 1, true, PROTOCOL_ESP},
        {MODE_BEET, 0, true, PROTOCOL_ESP},
        {MODE_TUNNEL, 0, false, PROTOCOL_ESP},
        {MODE_TUNNEL, 1, false, PROTOCOL_ESP},
        {MODE_TRANSPORT, 0, true, PROTOCOL_AH},
        {MODE_TRANSPORT, 1, true, PROTOCOL_AH},
        {MODE_TUNNEL, 0, false, PROTOCOL_AH},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig rig;
        rig_mode(&rig, rows[i].mode, rows[i].protocol);
        original_make(rows[i].v6, 3000);
        uint32_t payload = 3000 - head_of();
        struct piece pieces[] = {{0, 1200, true}, {1200, payload - 1200, false}};
        for (unsigned j = 0; j < 2; j++) {
            struct packet *packet = box_put(&box, cut(&pieces[j], 3));
            seal_one(rig.a, packet);
            assert_int_equal(packet->verdict, rows[i].joined && !j ? VERDICT_HELD : VERDICT_SEND);
        }
        if (rows[i].joined) assert_true(box.packet.size > 2980);
        assert_int_equal(plane_stats(rig.a)->sealed, rows[i].joined ? 1 : 2);
        rig_close(&rig);
    }
}

// RFC 4301 7.3 test: a policy for ports: later fragments show none, whole the packet does, in any
// mode. RFC 4301 7.2 test: not where a policy is for what shows none.
static void the_ports_of_the_whole_are_looked_at(void **state)
{
    (void)state;
    static const struct {
        uint8_t mode, action;
        const char *remote;
        uint8_t first, last; // verdicts; the last fragment comes first
    } rows[] = {
        {MODE_TRANSPORT, POLICY_PROTECT, "10.2.0.0/16[udp/2000]", VERDICT_SEND, VERDICT_HELD},
        {MODE_TRANSPORT, POLICY_PROTECT, "10.2.0.0/16[udp/2001]", VERDICT_BYPASS, VERDICT_HELD},
        {MODE_TUNNEL, POLICY_PROTECT, "10.2.0.0/16[udp/2000]", VERDICT_SEND, VERDICT_HELD},
        {MODE_TUNNEL, POLICY_PROTECT, "10.2.0.0/16[udp/1000-1999]", VERDICT_BYPASS, VERDICT_HELD},
        {MODE_TUNNEL, POLICY_PROTECT, "10.2.0.0/16[udp]", VERDICT_SEND, VERDICT_SEND},
        {MODE_TUNNEL, POLICY_PROTECT, "10.2.0.0/16[tcp]", VERDICT_BYPASS, VERDICT_BYPASS},
        {MODE_TUNNEL, POLICY_PROTECT, "10.2.0.0/16[udp/opaque]", VERDICT_BYPASS, VERDICT_SEND},
        {MODE_TUNNEL, POLICY_BYPASS, "10.2.0.0/16[udp/2000]", VERDICT_BYPASS, VERDICT_HELD},
        {MODE_TUNNEL, POLICY_PROTECT, "10.2.0.0/16 2001:db8:2::/48[udp/2]", VERDICT_SEND, VERDICT_SEND},
        {MODE_TUNNEL, POLICY_DISCARD, "10.2.0.0/16[udp/2000]", VERDICT_DROP, VERDICT_HELD},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig rig;
        assert_true(rig_start(&rig, BATCH_EVP));
        rig.spec = spec_of(&ciphers[0], SA_OUT, SPI_AB);
        rig.spec.mode = rows[i].mode;
        rig.spec.remote = selectors_of(rows[i].remote);
        struct policy_spec policy =
            policy_of(POLICY, rows[i].action, "10.1.0.0/16", rows[i].remote);
        CHECK_FAULT(plane_policy_add(rig.a, &policy), OK);
        rig_add_sa(&rig);
        original_make(0, 3000);
        seal_one(rig.a, box_put(&box, cut(&(struct piece){1200, 1780, false}, 3)));
        assert_int_equal(box.packet.verdict, rows[i].last);
        seal_one(rig.a, box_put(&box, cut(&(struct piece){0, 1200, true}, 3)));
        assert_int_equal(box.packet.verdict, rows[i].first);
        if (rows[i].first == VERDICT_BYPASS && rows[i].last == VERDICT_HELD) {
            check_original();
            assert_true(box.packet.joined); // it goes on as it came
            assert_int_equal(box.packet.limit, head_of() + 1780);
        }
        rig_close(&rig);
    }
}

// A packet in transit, cut by the gateway before us; no SA of ours has its SPI. It is put together
// to be looked at, and says how it came. Other fragments are left alone.
static void esp_in_transit_is_put_together(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct rig rig;
        rig_mode(&rig, MODE_GATEWAY_TRANSPORT, PROTOCOL_ESP);
        original_make(v6, 3000);
        original[v6 ? 6 : 9] = IPPROTO_NUMBER_ESP;
        if (!v6) put_u16(original + 10, 0), put_u16(original + 10, ipv4_sum(original));
        uint32_t payload = 3000 - head_of(), gap = v6 ? 8 : 0;
        const struct piece pieces[] = {{0, 1200, true}, {1200, payload - 1200, false}};
        plane_transit(rig.b, 0, box_put(&box, cut(&pieces[1], 77)));
        assert_int_equal(box.packet.verdict, VERDICT_HELD);
        plane_transit(rig.b, 0, box_put(&box, cut(&pieces[0], 77)));
        assert_int_equal(box.packet.verdict, VERDICT_DELIVER);
        assert_true(box.packet.transit && box.packet.joined);
        assert_int_equal(box.packet.head, head_of());
        assert_int_equal(box.packet.size, payload);
        assert_int_equal(box.packet.limit, head_of() + gap + payload - 1200);
        assert_int_equal(box.packet.fragment_id, 77);
        open_one(rig.b, &box.packet);
        assert_int_equal(box.packet.verdict, VERDICT_BYPASS);
        check_original();
        original[v6 ? 6 : 9] = IPPROTO_NUMBER_UDP;
        if (!v6) put_u16(original + 10, 0), put_u16(original + 10, ipv4_sum(original));
        plane_transit(rig.b, 0, box_put(&box, cut(&pieces[0], 78)));
        assert_int_equal(box.packet.verdict, VERDICT_SEND);
        rig_close(&rig);
    }
}

// IPv6 that came in fragments leaves so, however wide the path is, and comes out to be cut for
// links of any size; IPv4 may be cut anywhere.
static void gateways_keep_ipv6_in_fragments(void **state)
{
    (void)state;
    static const struct {
        int v6;
        uint16_t path, step, limit; // limit 0: not cut
    } rows[] = {{1, 0, 1448, 1496},    {1, 9000, 1448, 1496}, {1, 1400, 1448, 1400},
                {1, 1500, 1000, 1500}, {0, 9000, 1480, 0},    {0, 1400, 1480, 1400}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig rig;
        rig_mode(&rig, MODE_GATEWAY_TRANSPORT, PROTOCOL_ESP);
        if (rows[i].path) CHECK_FAULT(plane_sa_mtu(rig.a, SPI_AB, SA_OUT, NULL, rows[i].path), OK);
        struct piece pieces[PIECES_MAX];
        original_make(rows[i].v6, 2000);
        unsigned count = pieces_make(2000 - head_of(), rows[i].step, pieces);
        for (unsigned j = 0; j < count; j++) seal_one(rig.a, box_put(&box, cut(&pieces[j], 5)));
        assert_int_equal(box.packet.verdict, VERDICT_SEND);
        assert_int_equal(box.packet.outer, OUTER_WHOLE);
        assert_int_equal(box.packet.limit, rows[i].limit);
        if (rows[i].v6) assert_int_equal(box.packet.fragment_id, 5);
        // As the other gateway has it once it has put it together.
        static struct box other;
        struct packet *got = box_put(&other, packet_bytes(&box.packet));
        got->joined = rows[i].limit;
        plane_transit(rig.b, 0, got);
        open_one(rig.b, got);
        CHECK_FAULT(got->fault, OK);
        assert_int_equal(got->verdict, VERDICT_DELIVER);
        assert_int_equal(got->limit, rows[i].v6 ? 1280 : 0);
        rig_close(&rig);
    }
}

// What opens from an SA for ports and is larger than its path takes came in fragments, and leaves
// so.
static void tunnels_for_ports_give_ipv6_in_fragments(void **state)
{
    (void)state;
    static const struct {
        const char *ports;
        uint16_t path, limit;
    } rows[] = {{"[udp]", 1500, 0}, {"[udp/2000]", 1500, 1280}, {"[udp/2000]", 9000, 0}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig rig;
        char remote[64];
        snprintf(remote, sizeof remote, "2001:db8:2::/48%s", rows[i].ports);
        rig_open(&rig, &ciphers[0]);
        rig.spec.remote = selectors_of(remote);
        rig_add_sa(&rig);
        CHECK_FAULT(plane_sa_mtu(rig.b, SPI_AB, SA_IN, NULL, rows[i].path), OK);
        original_make(1, 3000);
        struct packet *packet = box_put(&box, bytes_of(original, 3000));
        seal_one(rig.a, packet);
        open_one(rig.b, packet);
        CHECK_FAULT(packet->fault, OK);
        assert_int_equal(packet->limit, rows[i].limit);
        rig_close(&rig);
    }
}

// A packet that waits for its SA is still one that came in fragments.
static void what_waits_remembers_how_it_came(void **state)
{
    (void)state;
    struct rig rig;
    assert_true(rig_start(&rig, BATCH_EVP));
    struct policy_spec policy = policy_of(POLICY, POLICY_PROTECT, "10.1.0.0/16", "10.2.0.0/16");
    policy.trap = POLICY_TRAP;
    CHECK_FAULT(plane_policy_add(rig.a, &policy), OK);
    original_make(0, 1000);
    struct packet *packet = box_put(&box, bytes_of(original, 1000));
    packet->joined = true;
    packet->limit = 600;
    packet->fragment_id = 9;
    seal_one(rig.a, packet);
    assert_int_equal(packet->verdict, VERDICT_HELD);
    rig.spec = spec_of(&ciphers[0], SA_OUT, SPI_AB);
    rig_add_sa(&rig);
    struct packet *released = box_put(&box, bytes_of(original, 0));
    assert_int_equal(plane_released(rig.a, 0, &released, 1), 1);
    assert_true(released->joined);
    assert_int_equal(released->limit, 600);
    assert_int_equal(released->fragment_id, 9);
    rig_close(&rig);
}

static void overlaps_are_counted_by_the_plane(void **state)
{
    (void)state;
    struct rig rig;
    rig_mode(&rig, MODE_TRANSPORT, PROTOCOL_ESP);
    original_make(0, 3000);
    seal_one(rig.a, box_put(&box, cut(&(struct piece){0, 1200, true}, 3)));
    seal_one(rig.a, box_put(&box, cut(&(struct piece){1192, 1788, false}, 3)));
    assert_int_equal(box.packet.verdict, VERDICT_DROP);
    assert_int_equal(plane_stats(rig.a)->dropped[FAULT_INNER_FRAGMENT], 1);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_any_order_they_become_what_was_cut),
        cmocka_unit_test(a_lone_fragment_is_whole_at_once),
        cmocka_unit_test(what_does_not_fit_together_is_refused),
        cmocka_unit_test(beyond_the_largest_packet_is_refused),
        cmocka_unit_test(they_do_not_wait_for_ever),
        cmocka_unit_test(only_so_many_are_kept_and_the_oldest_gives_way),
        cmocka_unit_test(other_packets_are_kept_apart),
        cmocka_unit_test(congestion_of_one_fragment_is_that_of_the_whole),
        cmocka_unit_test(hostile_fragments_do_no_harm),
        cmocka_unit_test(the_plane_joins_what_must_be_whole),
        cmocka_unit_test(the_ports_of_the_whole_are_looked_at),
        cmocka_unit_test(esp_in_transit_is_put_together),
        cmocka_unit_test(gateways_keep_ipv6_in_fragments),
        cmocka_unit_test(tunnels_for_ports_give_ipv6_in_fragments),
        cmocka_unit_test(what_waits_remembers_how_it_came),
        cmocka_unit_test(overlaps_are_counted_by_the_plane),
    };
    crypto_start();
    return cmocka_run_group_tests_name("reassemble", tests, NULL, NULL);
}
