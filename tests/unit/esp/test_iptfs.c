// SPDX-License-Identifier: Apache-2.0
// IP-TFS (RFC 9347): whatever is put together and cut comes out as it was, however outer packets
// overtake each other; what is lost takes with it only what it carried; and no payload that a
// broken peer may send does more than be dropped with a fault.
#include "rig.h"

enum { STREAM_MAX = 300, PAYLOADS_MAX = 6000, ROOM_MAX = 1400 };

static uint8_t inner_space[65536];
static struct packet taken_packet;

static void taken_room(void)
{
    if (!taken_packet.space) taken_packet.space = mem_new(IPTFS_BUFFER);
    taken_packet.room = IPTFS_BUFFER;
}

// --- the transform alone: a stream of packets in payloads

struct stream {
    struct bytes packet[STREAM_MAX];
    unsigned first[STREAM_MAX], last[STREAM_MAX]; // payloads that carry it
    unsigned count, payloads;
    uint8_t payload[PAYLOADS_MAX][IPTFS_HEADER + ROOM_MAX];
    uint32_t size[PAYLOADS_MAX];
};
static struct stream stream;

static uint32_t below(struct rng_seeded *rng, uint32_t limit)
{
    return (uint32_t)(rng_u64(&rng->rng) % limit);
}

static struct bytes packet_make(struct rng_seeded *rng, unsigned number)
{
    bool v6 = below(rng, 2);
    size_t least = v6 ? 44 : 24;
    size_t size = least + (below(rng, 4) ? below(rng, 100) : below(rng, 4000));
    struct bytes made = v6 ? inner_v6(size, inner_space) : inner_v4(size, inner_space);
    put_u32(inner_space + size - 4, number);
    uint8_t *copy = mem_new(size);
    memcpy(copy, made.at, size);
    return bytes_of(copy, size);
}

static uint8_t *payload_new(void)
{
    assert_true(stream.payloads < PAYLOADS_MAX);
    return stream.payload[stream.payloads];
}

static void pad_alone(uint32_t room)
{
    struct iptfs_payload payload;
    iptfs_begin(&payload, payload_new(), room, false, 0);
    iptfs_pad(&payload);
    stream.size[stream.payloads++] = IPTFS_HEADER + payload.size;
}

static void stream_fill(struct rng_seeded *rng, bool whole)
{
    uint32_t done = 0;
    for (unsigned next = 0; next < stream.count;) {
        struct iptfs_payload payload;
        uint32_t room = 41 + below(rng, ROOM_MAX - 41);
        if (whole && stream.packet[next].size > room) room = (uint32_t)stream.packet[next].size;
        if (room > ROOM_MAX) room = ROOM_MAX;
        if (below(rng, 8) == 0) pad_alone(room);
        uint32_t left = done ? (uint32_t)stream.packet[next].size - done : 0;
        iptfs_begin(&payload, payload_new(), room, whole, left);
        while (next < stream.count) {
            struct bytes packet = stream.packet[next];
            struct bytes rest = bytes_of(packet.at + done, packet.size - done);
            uint32_t took = iptfs_add(&payload, rest, done);
            if (took && !done) stream.first[next] = stream.payloads;
            if (took) stream.last[next] = stream.payloads;
            done += took;
            if (!took || done < packet.size) break;
            done = 0;
            next++;
        }
        if (below(rng, 4) == 0 || next < stream.count) iptfs_pad(&payload);
        stream.size[stream.payloads++] = IPTFS_HEADER + payload.size;
    }
}

static void stream_make(struct rng_seeded *rng, bool whole)
{
    stream.payloads = 0;
    stream.count = 1 + below(rng, STREAM_MAX - 1);
    for (unsigned i = 0; i < stream.count; i++) {
        stream.packet[i] = packet_make(rng, i);
        while (whole && stream.packet[i].size > ROOM_MAX) {
            free((void *)(uintptr_t)stream.packet[i].at);
            stream.packet[i] = packet_make(rng, i);
        }
    }
    stream_fill(rng, whole);
}

static void stream_free(void)
{
    for (unsigned i = 0; i < stream.count; i++) free((void *)(uintptr_t)stream.packet[i].at);
}

// Which payloads arrive, in which order: none before one that is more than `window` ahead of it.
static unsigned order_make(struct rng_seeded *rng, uint32_t window, unsigned lost_percent,
                           unsigned *order, bool *lost)
{
    static bool gone[PAYLOADS_MAX];
    unsigned count = 0, lowest = 0;
    memset(gone, 0, sizeof gone);
    while (lowest < stream.payloads) {
        unsigned at = lowest + (below(rng, 3) ? 0 : below(rng, window + 1));
        if (at >= stream.payloads || gone[at]) continue;
        gone[at] = true;
        lost[at] = below(rng, 100) < lost_percent;
        if (!lost[at]) order[count++] = at;
        while (lowest < stream.payloads && gone[lowest]) lowest++;
    }
    return count;
}

struct seen {
    unsigned next, packets, faults;
    bool got[STREAM_MAX];
};

static void take_all(struct iptfs_in *in, struct seen *seen)
{
    enum fault fault = OK;
    enum iptfs_taken taken;
    while ((taken = iptfs_take(in, &taken_packet, &fault))) {
        if (taken == IPTFS_FAULT) {
            assert_int_equal(fault, FAULT_IPTFS_LOST);
            seen->faults++;
            continue;
        }
        assert_true(taken_packet.size >= 4);
        unsigned number = get_u32(taken_packet.at + taken_packet.size - 4);
        assert_true(number >= seen->next && number < stream.count);
        assert_int_equal(taken_packet.size, stream.packet[number].size);
        assert_memory_equal(taken_packet.at, stream.packet[number].at, taken_packet.size);
        seen->got[number] = true;
        seen->next = number + 1;
        seen->packets++;
    }
}

static bool arrives(unsigned number, const bool *lost)
{
    for (unsigned i = stream.first[number]; i <= stream.last[number]; i++)
        if (lost[i]) return false;
    return true;
}

static void stream_run(struct rng_seeded *rng, bool whole, uint32_t window, unsigned lost_percent)
{
    static unsigned order[PAYLOADS_MAX];
    static bool lost[PAYLOADS_MAX];
    struct iptfs_in in;
    struct seen seen = {0};
    taken_room();
    stream_make(rng, whole);
    unsigned count = order_make(rng, window, lost_percent, order, lost);
    iptfs_in_init(&in, window);
    for (unsigned i = 0; i < count; i++) {
        iptfs_put(&in, order[i] + 1, bytes_of(stream.payload[order[i]], stream.size[order[i]]));
        take_all(&in, &seen);
    }
    iptfs_give_up(&in);
    take_all(&in, &seen);
    for (unsigned i = 0; i < stream.count; i++) assert_int_equal(seen.got[i], arrives(i, lost));
    if (!lost_percent) assert_int_equal(seen.faults, 0);
    iptfs_in_wipe(&in);
    stream_free();
}

// RFC 9347 2.2.3 test
static void what_is_cut_comes_out_as_it_was(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct rng_seeded rng;
        rng_seed(&rng, seed);
        stream_run(&rng, seed % 3 == 0, seed % 5 ? 3 : IPTFS_WINDOW_MAX, 0);
    }
}

static void what_is_lost_takes_only_its_own_with_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct rng_seeded rng;
        rng_seed(&rng, seed);
        stream_run(&rng, seed % 3 == 0, (uint32_t)(seed % 8), (unsigned)(1 + seed % 40));
    }
}

// --- payloads of a broken peer

struct script { // payloads under numbers 1, 2, 3 …; S and D: begin and rest of an IPv4 packet of 60
    const char *hex[3];
    enum fault fault;
    unsigned packets;
};
#define IP4_24 "45000018000000004011000001020304050607080909090a"
static const struct script scripts[] = {
    {{"00000000" IP4_24}, OK, 1},
    {{"00ff0000" IP4_24}, OK, 1}, // the reserved octet is ignored
    {{"0100000000000000000000000000000000000000000000"
      "00" IP4_24},
     OK,
     1},
    {{"00000000" IP4_24 IP4_24 "00ffff"}, OK, 2},
    {{"00000000"
      "450000",
      "00000015"
      "18000000004011000001020304050607080909090a"},
     OK,
     1},
    {{"00000000"
      "45",
      "00000017"
      "00",
      "00000016"
      "0018000000004011000001020304050607080909090a"},
     OK,
     1},
    {{"00000000"
      "450000",
      "00000000"
      "00000000",
      "00000015"
      "18000000004011000001020304050607080909090a"},
     OK,
     1},
    {{"00000000"
      "450000",
      "00000000",
      "00000015"
      "18000000004011000001020304050607080909090a"},
     OK,
     1},
    {{"00000000"
      "000000"},
     OK,
     0},
    {{"00000000"}, OK, 0},
    {{""}, OK, 0},
    {{"000000"}, FAULT_IPTFS_HEADER, 0},
    {{"02000000" IP4_24}, FAULT_IPTFS_HEADER, 0},
    {{"01000000" IP4_24 "10"}, OK, 0}, // most of the packet is header, the rest begins with a zero
    {{"01000000000000000000"}, FAULT_IPTFS_HEADER, 0},
    {{"00000000"
      "55000018"},
     FAULT_IPTFS_BLOCK,
     0},
    {{"00000000" IP4_24 "10"}, FAULT_IPTFS_BLOCK, 1},
    {{"00000000"
      "45000013"},
     FAULT_IPTFS_BLOCK,
     0},
    {{"00000000"
      "60000000ffff"},
     FAULT_IPTFS_BLOCK,
     0}, // with its header more than IP carries
    {{"00000003"
      "ffffff" IP4_24},
     FAULT_IPTFS_OFFSET,
     1},
    {{"00000000"
      "45000018",
      "00000000" IP4_24},
     FAULT_IPTFS_OFFSET,
     1},
    {{"00000000"
      "45000018",
      "00000013"
      "00000000401100000102030405060708090909" IP4_24},
     FAULT_IPTFS_OFFSET,
     1},
    {{"00000000"
      "45",
      "00000002"
      "0000" IP4_24},
     FAULT_IPTFS_OFFSET,
     1},
    {{"00000000"
      "45",
      "00000020"
      "000018",
      "0000001d"
      "00"},
     FAULT_IPTFS_OFFSET,
     0},
    {{"00000000"
      "4500",
      "0000ffff"
      "00"},
     FAULT_IPTFS_OFFSET,
     0},
    {{"00000000"
      "45",
      "00000001"
      "00"},
     FAULT_IPTFS_OFFSET,
     0},
};

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t count = 0;
    for (; *hex; hex += 2) {
        char two[3] = {hex[0], hex[1], 0};
        out[count++] = (uint8_t)strtoul(two, NULL, 16);
    }
    return count;
}

static void script_run(const struct script *script)
{
    struct iptfs_in in;
    unsigned packets = 0;
    enum fault first = OK, fault = OK;
    enum iptfs_taken taken;
    iptfs_in_init(&in, 3);
    for (unsigned i = 0; i < COUNT(script->hex) && script->hex[i]; i++) {
        uint8_t bytes[256];
        iptfs_put(&in, i + 1, bytes_of(bytes, unhex(script->hex[i], bytes)));
        while ((taken = iptfs_take(&in, &taken_packet, &fault))) {
            packets += taken == IPTFS_PACKET;
            if (taken == IPTFS_FAULT && !first) first = fault;
        }
    }
    CHECK_FAULT(first, script->fault);
    assert_int_equal(packets, script->packets);
    iptfs_in_wipe(&in);
}

// RFC 9347 6.1 test
static void payloads_of_a_broken_peer_are_dropped(void **state)
{
    (void)state;
    taken_room();
    for (size_t i = 0; i < COUNT(scripts); i++) {
        script_run(&scripts[i]);
    }
}

static void what_comes_after_it_was_given_up_is_late(void **state)
{
    (void)state;
    struct iptfs_in in;
    enum fault fault = OK;
    uint8_t pad[8] = {0};
    taken_room();
    iptfs_in_init(&in, 2);
    for (uint64_t sequence = 2; sequence <= 4; sequence++) {
        iptfs_put(&in, sequence, bytes_of(pad, sizeof pad));
        assert_int_equal(iptfs_take(&in, &taken_packet, &fault), IPTFS_NONE);
        assert_int_equal(in.waiting, sequence < 4 ? sequence - 1 : 0);
    }
    iptfs_put(&in, 1, bytes_of(pad, sizeof pad));
    assert_int_equal(iptfs_take(&in, &taken_packet, &fault), IPTFS_FAULT);
    CHECK_FAULT(fault, FAULT_IPTFS_LATE);
    iptfs_put(&in, UINT64_C(1) << 60, bytes_of(pad, sizeof pad)); // a leap takes no time
    assert_int_equal(iptfs_take(&in, &taken_packet, &fault), IPTFS_NONE);
    iptfs_in_wipe(&in);
}

// --- in the plane

enum { BOXES = BURST_MAX };
static struct box boxes[BOXES];
static uint8_t wire[1024][2048];
static uint32_t wire_size[1024];
static unsigned wire_count;

static void rig_iptfs(struct rig *rig, const struct cipher *cipher, enum batch_kind kind)
{
    assert_true(rig_start(rig, kind));
    rig->spec = spec_of(cipher, SA_OUT, SPI_AB);
    rig->spec.mode = MODE_IPTFS;
    rig->spec.iptfs = (struct sa_iptfs){.packet_size = 600, .reorder_window = 3, .drop_time = 100};
}

static void more_to_wire(struct rig *rig, nsec now)
{
    struct packet *more[BURST_MAX];
    size_t count;
    while ((count = plane_more(rig->a, now, more)))
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(more[i]->verdict, VERDICT_SEND);
            assert_true(wire_count < COUNT(wire) && more[i]->size <= sizeof wire[0]);
            memcpy(wire[wire_count], more[i]->at, more[i]->size);
            wire_size[wire_count++] = more[i]->size;
        }
}

static void seal_sizes(struct rig *rig, nsec now, const size_t *sizes, size_t count)
{
    struct packet *list[BOXES] = {0};
    for (size_t i = 0; i < count; i++) {
        struct bytes inner =
            i % 2 ? inner_v6(sizes[i], inner_space) : inner_v4(sizes[i], inner_space);
        list[i] = box_put(&boxes[i], inner);
    }
    plane_seal(rig->a, now, list, count);
    for (size_t i = 0; i < count; i++) assert_int_equal(list[i]->verdict, VERDICT_GATHERED);
    more_to_wire(rig, now);
}

// Opens the packets of the wire from `first` on; how many inner packets of which sizes came.
static size_t open_wire(struct rig *rig, nsec now, unsigned first, size_t *sizes)
{
    struct packet *more[BURST_MAX];
    size_t got = 0, count;
    for (unsigned at = first; at < wire_count;) {
        struct packet *list[BOXES];
        size_t here = 0;
        while (here < BOXES && at < wire_count) {
            list[here] = box_put(&boxes[here], bytes_of(wire[at], wire_size[at]));
            here++, at++;
        }
        plane_open(rig->b, now, list, here);
        while ((count = plane_more(rig->b, now, more)))
            for (size_t i = 0; i < count; i++) {
                assert_int_equal(more[i]->verdict, VERDICT_DELIVER);
                sizes[got++] = more[i]->size;
            }
    }
    return got;
}

static void every_cipher_carries_it(void **state)
{
    (void)state;
    static const size_t sizes[] = {28, 60, 1300, 48, 100, 2000, 41, 9000, 600, 48, 28};
    for (size_t kind = 0; kind < COUNT(backend_kinds); kind++)
        for (size_t i = 0; i < COUNT(ciphers); i++) {
            struct rig rig;
            size_t got[COUNT(sizes) + 1];
            struct batch_backend *there = batch_backend_new(backend_kinds[kind]);
            if (!there) continue;
            batch_backend_free(there);
            rig_iptfs(&rig, &ciphers[i], backend_kinds[kind]);
            rig_add_sa(&rig);
            wire_count = 0;
            seal_sizes(&rig, 1000, sizes, COUNT(sizes));
            for (unsigned j = 0; j + 1 < wire_count; j++)
                assert_int_equal(wire_size[j], wire_size[0]);
            assert_true(wire_size[0] <= 600 - 20 && wire_size[0] > 600 - 20 - 16);
            assert_int_equal(open_wire(&rig, 1000, 0, got), COUNT(sizes));
            for (size_t j = 0; j < COUNT(sizes); j++) assert_int_equal(got[j], sizes[j]);
            assert_int_equal(plane_stats(rig.b)->opened, COUNT(sizes));
            assert_int_equal(plane_stats(rig.a)->sealed, COUNT(sizes));
            rig_close(&rig);
        }
}

// RFC 9347 6.1.4 test
static void for_a_peer_that_takes_no_fragments_none_are_made(void **state)
{
    (void)state;
    static const size_t sizes[] = {400, 400, 100, 1500, 60, 60};
    struct rig rig;
    size_t got[COUNT(sizes)];
    rig_iptfs(&rig, &ciphers[0], BATCH_EVP);
    rig.spec.iptfs.whole = true;
    rig_add_sa(&rig);
    wire_count = 0;
    seal_sizes(&rig, 1000, sizes, COUNT(sizes));
    assert_int_equal(wire_count, 4); // 400; 400 + 100; 1500; 60 + 60
    for (unsigned lost = 0; lost < wire_count; lost++) assert_true(wire_size[lost] > 100);
    assert_int_equal(open_wire(&rig, 1000, 2, got), 0); // what came before is waited for
    assert_int_equal(plane_deadline(rig.b), 1000 + nsec_ms(100));
    struct packet *more[BURST_MAX];
    assert_int_equal(plane_more(rig.b, plane_deadline(rig.b) - 1, more), 0);
    assert_int_equal(plane_more(rig.b, plane_deadline(rig.b), more), 3);
    assert_true(plane_deadline(rig.b) == NSEC_NEVER);
    rig_close(&rig);
}

// RFC 9347 2.2.7 test: with a delay they go as without one, each alone if it is large. Where all
// are of one size the sender of a larger one is told, and no number is left out.
static void what_is_too_large_to_be_cut_goes_alone_or_is_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {100, 1500, 100, 60};
    struct rig rig;
    size_t got[COUNT(sizes)];
    rig_iptfs(&rig, &ciphers[0], BATCH_EVP);
    rig.spec.iptfs.whole = true;
    rig.spec.iptfs.init_delay = 1000;
    rig_add_sa(&rig);
    wire_count = 0;
    seal_sizes(&rig, 1000, sizes, COUNT(sizes));
    more_to_wire(&rig, nsec_seconds(1));
    assert_int_equal(wire_count, 3); // 100; 1500; 100 + 60
    assert_int_equal(open_wire(&rig, nsec_seconds(1), 0, got), COUNT(sizes));
    for (size_t i = 0; i < COUNT(sizes); i++) assert_int_equal(got[i], sizes[i]);
    rig_close(&rig);
    rig_iptfs(&rig, &ciphers[0], BATCH_EVP);
    rig.spec.iptfs.whole = true;
    rig.spec.iptfs.rate = 100;
    rig_add_sa(&rig);
    struct inner inner = {
        "10.1.0.5", "10.2.0.9", IPPROTO_NUMBER_UDP, 0, 1000, 2000, true, 600};
    struct packet *packet = box_put(&boxes[0], inner_make(&inner, inner_space));
    plane_seal(rig.a, 1000, &packet, 1);
    assert_int_equal(packet->verdict, VERDICT_DELIVER); // ICMP, with the size that goes
    inner.size = get_u16(packet->at + IPV4_HEADER + 6);
    assert_in_range(inner.size, 500, 560);
    packet = box_put(&boxes[0], inner_make(&inner, inner_space));
    plane_seal(rig.a, 1000, &packet, 1);
    assert_int_equal(packet->verdict, VERDICT_GATHERED);
    rig_close(&rig);
}

// RFC 9347 2.4.1 test
static enum batch_kind best_kind(void)
{
    struct batch_backend *there = batch_backend_new(BATCH_MB);
    if (there) batch_backend_free(there);
    return there ? BATCH_MB : BATCH_EVP;
}

static void a_constant_rate_is_kept_with_traffic_and_without(void **state)
{
    (void)state;
    static const size_t sizes[] = {1300, 48, 28};
    struct rig rig;
    size_t got[COUNT(sizes)];
    rig_iptfs(&rig, &ciphers[0], best_kind());
    rig.spec.iptfs.rate = 100;
    rig_add_sa(&rig);
    wire_count = 0;
    nsec now = nsec_seconds(5), end = now + nsec_seconds(3);
    more_to_wire(&rig, now);
    assert_int_equal(wire_count, 1);
    for (; now < end; now += nsec_ms(1)) {
        if (now == nsec_seconds(6)) seal_sizes(&rig, now, sizes, COUNT(sizes));
        unsigned before = wire_count;
        more_to_wire(&rig, now);
        assert_true(wire_count - before <= 1);
    }
    assert_int_equal(wire_count, 300);
    for (unsigned i = 0; i < wire_count; i++) assert_int_equal(wire_size[i], wire_size[0]);
    assert_int_equal(open_wire(&rig, now, 0, got), COUNT(sizes));
    for (size_t i = 0; i < COUNT(sizes); i++) assert_int_equal(got[i], sizes[i]);
    // Who was asleep does not make up for it all at once.
    wire_count = 0;
    more_to_wire(&rig, now + nsec_seconds(60));
    assert_int_equal(wire_count, 1);
    // Its successor takes over.
    rig.spec.spi = SPI_BA;
    rig_add_sa(&rig);
    wire_count = 0;
    now += nsec_seconds(61);
    more_to_wire(&rig, now);
    assert_int_equal(wire_count, 1);
    assert_int_equal(get_u32(wire[0]), SPI_BA);
    rig_close(&rig);
}

static void a_queue_that_is_full_takes_no_more(void **state)
{
    (void)state;
    struct rig rig;
    rig_iptfs(&rig, &ciphers[0], BATCH_EVP);
    rig.spec.iptfs.rate = 1;
    rig_add_sa(&rig);
    for (unsigned i = 0; i < 300; i++) {
        struct packet *packet = box_put(&boxes[0], inner_v4(1000, inner_space));
        plane_seal(rig.a, 1000, &packet, 1);
        CHECK_FAULT(packet->fault, i < 262 ? OK : FAULT_IPTFS_QUEUE_FULL);
    }
    rig_close(&rig);
}

static void a_packet_waits_for_others_and_not_for_long(void **state)
{
    (void)state;
    static const size_t small[] = {100, 100, 100}, large[] = {500};
    struct rig rig;
    rig_iptfs(&rig, &ciphers[0], BATCH_EVP);
    rig.spec.iptfs.init_delay = 2000;
    rig_add_sa(&rig);
    wire_count = 0;
    seal_sizes(&rig, 1000, small, 3);
    assert_int_equal(wire_count, 0);
    seal_sizes(&rig, 2000, large, 1);
    assert_int_equal(wire_count, 1); // a full one; the rest waits on
    more_to_wire(&rig, plane_deadline(rig.a) - 1);
    assert_int_equal(wire_count, 1);
    more_to_wire(&rig, plane_deadline(rig.a));
    assert_int_equal(wire_count, 2);
    assert_true(plane_deadline(rig.a) == NSEC_NEVER);
    size_t got[4];
    assert_int_equal(open_wire(&rig, 3000, 0, got), 4);
    rig_close(&rig);
}

// What ESP carries is made by hand, and sealed as another mode would.
static enum fault open_forged(struct rig *rig, uint8_t next_header, const char *hex)
{
    struct packet *packet = &boxes[0].packet, *more[BURST_MAX];
    uint8_t bytes[256];
    (void)box_put(&boxes[0], bytes_of(bytes, unhex(hex, bytes)));
    struct sa_run *run = sad_find_out(&rig->a->sad, SPI_AB, NULL, &(enum fault){OK});
    struct batch_packet batch;
    CHECK_FAULT(packet_frame(rig->a, run, &iptfs_mode, packet, &batch), OK);
    packet->at[packet->size - run->icv_size - 1] = next_header;
    batch_seal(run->key, &batch, 1);
    open_one(rig->b, packet);
    enum fault fault = packet->verdict == VERDICT_GATHERED ? OK : packet->fault;
    assert_int_equal(plane_more(rig->b, 2000, more), 0);
    return fault;
}

static void nothing_else_goes_by_such_an_sa(void **state)
{
    (void)state;
    struct rig rig;
    rig_iptfs(&rig, &ciphers[0], BATCH_EVP);
    rig_add_sa(&rig);
    const struct plane_stats *stats = plane_stats(rig.b);
    CHECK_FAULT(open_forged(&rig, 4, IP4_24), FAULT_ESP_NEXT_HEADER);
    CHECK_FAULT(open_forged(&rig, 59, "00"), OK);
    assert_int_equal(stats->dropped[FAULT_ESP_DUMMY], 1);
    CHECK_FAULT(open_forged(&rig, 144, "00000000" IP4_24), OK); // not of this SA's networks
    assert_int_equal(stats->dropped[FAULT_INNER_SELECTOR], 1);
    CHECK_FAULT(open_forged(&rig, 144, "05000000" IP4_24), OK);
    assert_int_equal(stats->dropped[FAULT_IPTFS_HEADER], 1);
    // None of them has upset the order.
    static const size_t sizes[] = {100, 2000};
    size_t got[2];
    wire_count = 0;
    seal_sizes(&rig, 3000, sizes, 2);
    assert_int_equal(open_wire(&rig, 3000, 0, got), 2);
    rig_close(&rig);
}

static void an_sa_that_ends_takes_what_it_holds_with_it(void **state)
{
    (void)state;
    static const size_t sizes[] = {100, 2000};
    struct rig rig;
    rig_iptfs(&rig, &ciphers[0], BATCH_EVP);
    size_t before = plane_stats(rig.a)->bytes_memory;
    rig.spec.iptfs.init_delay = 1000;
    rig_add_sa(&rig);
    wire_count = 0;
    struct packet *packet = box_put(&boxes[0], inner_v4(sizes[0], inner_space)), *more[BURST_MAX];
    plane_seal(rig.a, 1000, &packet, 1);
    CHECK_FAULT(plane_sa_del(rig.a, SPI_AB, SA_OUT), OK);
    assert_true(plane_deadline(rig.a) == NSEC_NEVER);
    assert_int_equal(plane_more(rig.a, nsec_seconds(9), more), 0);
    rig.spec.iptfs.init_delay = 0;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), OK);
    packet = box_put(&boxes[0], inner_v4(sizes[0], inner_space));
    plane_seal(rig.a, 1000, &packet, 1);
    CHECK_FAULT(plane_sa_del(rig.a, SPI_AB, SA_OUT), OK);
    assert_int_equal(plane_more(rig.a, 1000, more), 0);
    assert_true(plane_stats(rig.a)->bytes_memory >= before);
    rig_close(&rig);
}

static void parameters_out_of_bounds_are_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_iptfs(&rig, &ciphers[0], BATCH_EVP);
    struct sa_spec in = spec_turned(&rig.spec), out = rig.spec;
    in.iptfs.reorder_window = IPTFS_REORDER_MAX + 1;
    CHECK_FAULT(plane_sa_add(rig.b, &in), FAULT_SA_PARAMETERS);
    out.iptfs.packet_size = IPTFS_PACKET_SIZE_MIN - 1;
    CHECK_FAULT(plane_sa_add(rig.a, &out), FAULT_SA_PARAMETERS);
    out = rig.spec;
    out.iptfs.rate = IPTFS_RATE_MAX + 1;
    CHECK_FAULT(plane_sa_add(rig.a, &out), FAULT_SA_PARAMETERS);
    out = rig.spec;
    out.tfc_padding = 100;
    CHECK_FAULT(plane_sa_add(rig.a, &out), FAULT_SA_PARAMETERS);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_cut_comes_out_as_it_was),
        cmocka_unit_test(what_is_lost_takes_only_its_own_with_it),
        cmocka_unit_test(payloads_of_a_broken_peer_are_dropped),
        cmocka_unit_test(what_comes_after_it_was_given_up_is_late),
        cmocka_unit_test(every_cipher_carries_it),
        cmocka_unit_test(for_a_peer_that_takes_no_fragments_none_are_made),
        cmocka_unit_test(what_is_too_large_to_be_cut_goes_alone_or_is_refused),
        cmocka_unit_test(a_constant_rate_is_kept_with_traffic_and_without),
        cmocka_unit_test(a_queue_that_is_full_takes_no_more),
        cmocka_unit_test(a_packet_waits_for_others_and_not_for_long),
        cmocka_unit_test(nothing_else_goes_by_such_an_sa),
        cmocka_unit_test(an_sa_that_ends_takes_what_it_holds_with_it),
        cmocka_unit_test(parameters_out_of_bounds_are_refused),
    };
    crypto_start();
    int failed = cmocka_run_group_tests_name("iptfs", tests, NULL, NULL);
    free(taken_packet.space);
    return failed;
}
