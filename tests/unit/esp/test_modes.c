// SPDX-License-Identifier: Apache-2.0
// Transport mode, between hosts, gateways and through NATs, and BEET: what is sealed opens to the
// same, what lies on the wire is what the documents say, and what cannot be carried is refused.
#include "rig.h"

static struct box box_a, box_b;
static uint8_t inner_space[65536], outer_space[65536];

enum { V4_ID = 0x1234 };

static void set_v4_sum(uint8_t *ip)
{
    put_u16(ip + 10, 0);
    put_u16(ip + 10, ipv4_sum(ip));
}

// Word by word, as RFC 1071 1 has it.
static uint16_t naive_sum(const uint8_t *ip, const uint8_t *at, size_t size, uint8_t protocol)
{
    uint64_t sum = 0;
    bool v4 = ip[0] >> 4 == 4;
    for (size_t i = 0; i < (v4 ? 8u : 32u); i += 2) sum += get_u16(ip + (v4 ? 12 : 8) + i);
    sum += protocol + size;
    for (size_t i = 0; i + 1 < size; i += 2) sum += get_u16(at + i);
    if (size & 1) sum += (uint64_t)at[size - 1] << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

// A packet with an identification and good checksums.
static struct bytes inner_of(int v6, uint8_t protocol, size_t size)
{
    struct inner inner = {"10.1.0.5", "10.2.0.9", protocol, 0x68, 1000, 2000, true, size};
    if (v6) {
        inner.source = "2001:db8:1::5";
        inner.destination = "2001:db8:2::9";
    }
    (void)inner_make(&inner, inner_space);
    uint8_t *ip = inner_space;
    size_t head = v6 ? 40 : 20;
    if (!v6) {
        put_u16(ip + 4, V4_ID);
        ip[8] = 61;
        set_v4_sum(ip);
    } else {
        ip[7] = 61;
    }
    size_t sum = protocol == IPPROTO_NUMBER_UDP ? 6 : protocol == IPPROTO_NUMBER_TCP ? 16 : 0;
    if (protocol == IPPROTO_NUMBER_UDP && size >= head + 8)
        put_u16(ip + head + 4, (uint16_t)(size - head));
    if (sum && size >= head + sum + 4) {
        put_u16(ip + head + sum, 0);
        put_u16(ip + head + sum, naive_sum(ip, ip + head, size - head, protocol));
    }
    return bytes_of(inner_space, size);
}

static void rig_mode(struct rig *rig, const struct cipher *cipher, enum sa_mode mode)
{
    rig_open(rig, cipher);
    rig->spec.mode = (uint8_t)mode;
    if (mode == MODE_BEET) {
        rig->spec.local = selectors_of("10.1.0.5/32");
        rig->spec.remote = selectors_of("10.2.0.9/32");
    }
}

static struct packet *seal_bytes(struct rig *rig, struct bytes inner)
{
    struct packet *packet = box_put(&box_a, inner);
    seal_one(rig->a, packet);
    return packet;
}

// What the kernel shows of a packet at the other end: by a raw socket with the header, or by a UDP
// socket without.
static struct packet *arrive(struct rig *rig, const struct packet *sent, bool transit)
{
    struct packet *packet = box_put(&box_b, packet_bytes(sent));
    if (sent->outer == OUTER_WHOLE && !(rig->spec.path.encap)) {
        CHECK_FAULT(packet_split(packet), OK);
    } else if (sent->outer == OUTER_WHOLE) {
        uint32_t head = sent->at[0] >> 4 == 4 ? 20 : 40;
        ip_addrs(sent->at, &packet->from.addr, &packet->to.addr);
        packet->from.port = get_u16(sent->at + head);
        packet->tos = tos_get(sent->at);
        packet->ttl = ip_ttl(sent->at);
        packet->df = sent->df;
        packet->at += head + UDP_HEADER;
        packet->size -= head + UDP_HEADER;
    } else {
        packet->from = sent->from;
        packet->to = sent->to;
        packet->tos = sent->tos;
        packet->ttl = sent->ttl;
        packet->df = sent->df;
    }
    packet->transit = transit;
    return packet;
}

static void check_same(const struct packet *packet, struct bytes inner)
{
    CHECK_FAULT(packet->fault, OK);
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    assert_int_equal(packet->size, inner.size);
    if (packet->at[0] >> 4 == 4) assert_int_equal(ipv4_sum(packet->at), 0);
    assert_memory_equal(packet->at, inner.at, inner.size);
}

// An IPv4 header that was made anew has another identification.
static void check_like(const struct packet *packet, struct bytes inner)
{
    uint8_t like[9216];
    memcpy(like, inner.at, inner.size);
    if (like[0] >> 4 == 4 && packet->size >= 20) {
        assert_int_equal(ipv4_sum(packet->at), 0);
        memcpy(like + 4, packet->at + 4, 2);
        set_v4_sum(like);
    }
    check_same(packet, bytes_of(like, inner.size));
}

// Transport ---------------------------------------------------------------------------------------

static void a_transport_packet_opens_to_what_it_was(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ciphers); i++)
        for (int encap = 0; encap < 2; encap++) {
            struct rig rig;
            rig_mode(&rig, &ciphers[i], MODE_TRANSPORT);
            rig.spec.path.encap = encap;
            rig_add_sa(&rig);
            for (size_t size = 61; size < 1500; size += 13)
                for (int v6 = 0; v6 < 2; v6++) {
                    uint8_t protocol = size & 1 ? IPPROTO_NUMBER_TCP : IPPROTO_NUMBER_UDP;
                    struct bytes inner = inner_of(v6, protocol, size);
                    struct packet *sent = seal_bytes(&rig, inner);
                    assert_int_equal(sent->verdict, VERDICT_SEND);
                    assert_int_equal(sent->outer, OUTER_WHOLE);
                    assert_int_equal(sent->at[v6 ? 6 : 9], encap ? 17 : 50);
                    struct sa_spec spec = rig.spec;
                    if (v6) spec.remote = selectors_of("2001:db8:2::/48");
                    assert_int_equal(plane_overhead(&spec, size), sent->size - size);
                    uint32_t total;
                    CHECK_FAULT(ip_check(sent->at, sent->size, &total), OK);
                    assert_int_equal(total, sent->size);
                    if (!v6) assert_int_equal(ipv4_sum(sent->at), 0);
                    struct packet *got = arrive(&rig, sent, false);
                    open_one(rig.b, got);
                    if (encap)
                        check_like(got, inner);
                    else
                        check_same(got, inner);
                }
            rig_close(&rig);
        }
}

// RFC 3948 2.1 test: ports and length; over IPv6 a checksum (RFC 8200 8.1).
static void the_udp_header_is_right(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct rig rig;
        rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
        rig.spec.path.encap = true;
        rig.spec.path.remote.port = 4711;
        rig_add_sa(&rig);
        for (size_t size = 61; size < 80; size++) {
            struct packet *sent = seal_bytes(&rig, inner_of(v6, IPPROTO_NUMBER_UDP, size));
            const uint8_t *udp = sent->at + (v6 ? 40 : 20);
            size_t left = sent->size - (v6 ? 40 : 20);
            assert_int_equal(get_u16(udp), 4500);
            assert_int_equal(get_u16(udp + 2), 4711);
            assert_int_equal(get_u16(udp + 4), left);
            if (v6) {
                assert_int_not_equal(get_u16(udp + 6), 0);
                assert_int_equal(naive_sum(sent->at, udp, left, 17), 0);
            } else {
                assert_int_equal(get_u16(udp + 6), 0);
            }
        }
        rig_close(&rig);
    }
}

// RFC 3948 3.1.2 test: behind a NAT the sender's address is another; the checksum holds for it.
static void checksums_are_made_anew_behind_a_nat(void **state)
{
    (void)state;
    static const uint8_t protocols[] = {IPPROTO_NUMBER_TCP, IPPROTO_NUMBER_UDP};
    for (int v6 = 0; v6 < 2; v6++)
        for (size_t i = 0; i < COUNT(protocols); i++) {
            struct rig rig;
            rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
            rig.spec.path.encap = true;
            rig_add_sa(&rig);
            struct bytes inner = inner_of(v6, protocols[i], 99);
            struct packet *got = arrive(&rig, seal_bytes(&rig, inner), false);
            got->from = endpoint_of(v6 ? "2001:db8:1:9::77" : "10.1.9.77", 61234);
            open_one(rig.b, got);
            assert_int_equal(got->verdict, VERDICT_DELIVER);
            size_t head = v6 ? 40 : 20;
            assert_memory_equal(got->at + (v6 ? 8 : 12), got->from.addr.at, v6 ? 16 : 4);
            assert_int_equal(naive_sum(got->at, got->at + head, 99 - head, protocols[i]), 0);
            assert_memory_not_equal(got->at + head, inner.at + head, 99 - head);
            rig_close(&rig);
        }
}

// A UDP checksum of zero stays: there is none (RFC 768).
static void no_checksum_stays_none(void **state)
{
    (void)state;
    struct rig rig;
    rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
    rig.spec.path.encap = true;
    rig_add_sa(&rig);
    struct bytes inner = inner_of(0, IPPROTO_NUMBER_UDP, 99);
    put_u16(inner_space + 26, 0);
    struct packet *got = arrive(&rig, seal_bytes(&rig, inner), false);
    open_one(rig.b, got);
    assert_int_equal(got->verdict, VERDICT_DELIVER);
    assert_int_equal(get_u16(got->at + 26), 0);
    rig_close(&rig);
}

// Extension headers of 8 bytes each, by number; the last number is what follows them.
static struct bytes chain_make(const uint8_t *chain, size_t count, size_t payload)
{
    struct inner inner = {"2001:db8:1::5", "2001:db8:2::9", 0, 0, 0, 0, false, 40};
    inner.size = 40 + (count - 1) * 8 + payload;
    (void)inner_make(&inner, inner_space);
    inner_space[6] = chain[0];
    for (size_t i = 0; i + 1 < count; i++) {
        uint8_t *at = inner_space + 40 + 8 * i;
        memset(at, 0, 8);
        at[0] = chain[i + 1];
        if (chain[i] == 60 || chain[i] == 0) at[2] = 1, at[3] = 4; // PadN
    }
    return bytes_of(inner_space, inner.size);
}

// RFC 4303 3.1.1 test: what routers read stays in front, what only the end reads goes behind.
static void esp_goes_in_behind_what_routers_read(void **state)
{
    (void)state;
    static const struct {
        uint8_t chain[6];
        size_t count;
        uint32_t head;
    } rows[] = {
        {{17}, 1, 40},
        {{0, 17}, 2, 48},
        {{60, 17}, 2, 40},
        {{43, 17}, 2, 48},
        {{0, 60, 17}, 3, 48},
        {{0, 60, 43, 17}, 4, 64},
        {{0, 60, 43, 60, 17}, 5, 64},
        {{43, 60, 17}, 3, 48},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig rig;
        rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
        rig_add_sa(&rig);
        struct bytes inner = chain_make(rows[i].chain, rows[i].count, 40);
        struct packet *sent = seal_bytes(&rig, inner);
        assert_int_equal(get_u32(sent->at + rows[i].head), SPI_AB);
        struct packet *got = arrive(&rig, sent, false);
        assert_int_equal(got->head, rows[i].head);
        open_one(rig.b, got);
        check_same(got, inner);
        rig_close(&rig);
    }
}

// RFC 6946 4 test: a fragment header that cuts nothing is taken away, wherever it stands.
static void a_fragment_header_that_cuts_nothing_goes(void **state)
{
    (void)state;
    static const struct {
        uint8_t chain[6], without[6];
        size_t count;
    } rows[] = {
        {{44, 17}, {17}, 2},
        {{0, 44, 17}, {0, 17}, 3},
        {{60, 44, 17}, {60, 17}, 3},
        {{0, 43, 44, 60, 17}, {0, 43, 60, 17}, 5},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig rig;
        rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
        rig_add_sa(&rig);
        struct packet *sent = seal_bytes(&rig, chain_make(rows[i].chain, rows[i].count, 40));
        struct packet *got = arrive(&rig, sent, false);
        open_one(rig.b, got);
        // Payloads are made of their place: that of 8 bytes more in front is the other's.
        struct bytes like = chain_make(rows[i].without, rows[i].count - 1, 48);
        size_t headers = like.size - 48;
        memmove(inner_space + headers, inner_space + headers + 8, 40);
        put_u16(inner_space + 4, (uint16_t)(like.size - 8 - 40));
        check_same(got, bytes_of(inner_space, like.size - 8));
        rig_close(&rig);
    }
}

static struct bytes with_options(size_t options, size_t size)
{
    struct bytes inner = inner_of(0, IPPROTO_NUMBER_UDP, size);
    memmove(inner_space + 20 + options, inner_space + 20, size - 20);
    inner_space[0] = (uint8_t)(0x40 | (20 + options) / 4);
    memset(inner_space + 20, 1, options);
    if (options) inner_space[20] = 148, inner_space[21] = 4, inner_space[22] = inner_space[23] = 0;
    put_u16(inner_space + 2, (uint16_t)(size + options));
    set_v4_sum(inner_space);
    return bytes_of(inner.at, size + options);
}

static void ipv4_options_stay_in_front(void **state)
{
    (void)state;
    struct rig rig;
    rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
    rig_add_sa(&rig);
    for (size_t options = 0; options <= 40; options += 4) {
        struct bytes inner = with_options(options, 90);
        struct packet *sent = seal_bytes(&rig, inner);
        assert_int_equal(get_u32(sent->at + 20 + options), SPI_AB);
        struct packet *got = arrive(&rig, sent, false);
        open_one(rig.b, got);
        check_same(got, inner);
    }
    rig_close(&rig);
}

static void transport_checks_its_selectors(void **state)
{
    (void)state;
    struct rig rig;
    rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
    struct sa_spec in = spec_turned(&rig.spec);
    in.remote = selectors_of("10.1.0.0/16[udp/999]");
    in.local = selectors_of("10.2.0.0/16");
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), OK);
    CHECK_FAULT(plane_sa_add(rig.b, &in), OK);
    struct packet *got = arrive(&rig, seal_bytes(&rig, inner_of(0, 17, 100)), false);
    open_one(rig.b, got);
    assert_int_equal(got->verdict, VERDICT_DROP);
    CHECK_FAULT(got->fault, FAULT_INNER_SELECTOR);
    rig_close(&rig);
}

static void every_changed_byte_of_esp_is_found(void **state)
{
    (void)state;
    static const uint8_t modes[] = {MODE_TRANSPORT, MODE_BEET};
    for (size_t mode = 0; mode < COUNT(modes); mode++)
        for (size_t i = 0; i < COUNT(ciphers); i++) {
            struct rig rig;
            rig_mode(&rig, &ciphers[i], modes[mode]);
            rig_add_sa(&rig);
            struct packet *sent = seal_bytes(&rig, inner_of(0, 17, 60));
            uint32_t head = sent->outer == OUTER_WHOLE ? 20 : 0;
            for (uint32_t at = head + 4; at < sent->size; at++) {
                sent->at[at] ^= 0x10;
                struct packet *got = arrive(&rig, sent, false);
                open_one(rig.b, got);
                assert_int_equal(got->verdict, VERDICT_DROP);
                CHECK_FAULT(got->fault, FAULT_ESP_ICV);
                sent->at[at] ^= 0x10;
            }
            struct packet *got = arrive(&rig, sent, false);
            open_one(rig.b, got);
            assert_int_equal(got->verdict, VERDICT_DELIVER);
            rig_close(&rig);
        }
}

static void both_back_ends_make_the_same(void **state)
{
    (void)state;
    static const uint8_t modes[] = {MODE_TRANSPORT, MODE_GATEWAY_TRANSPORT, MODE_BEET};
    struct batch_backend *mb = batch_backend_new(BATCH_MB);
    if (!mb) skip();
    batch_backend_free(mb);
    for (size_t mode = 0; mode < COUNT(modes); mode++)
        for (size_t i = 0; i < COUNT(ciphers); i++) {
            struct rig evp, other;
            rig_mode(&evp, &ciphers[i], modes[mode]);
            assert_true(rig_start(&other, BATCH_MB));
            other.spec = evp.spec;
            rig_add_sa(&evp);
            rig_add_sa(&other);
            for (size_t size = 61; size < 1500; size += 97) {
                struct bytes inner = inner_of(0, 17, size);
                struct packet *sent = seal_bytes(&evp, inner);
                memcpy(outer_space, sent->at, sent->size);
                struct bytes first = bytes_of(outer_space, sent->size);
                sent = seal_bytes(&other, inner);
                assert_int_equal(sent->size, first.size);
                assert_memory_equal(sent->at, first.at, first.size);
                struct packet *got = arrive(&evp, sent, modes[mode] == MODE_GATEWAY_TRANSPORT);
                open_one(other.b, got);
                check_like(got, inner);
            }
            rig_close(&evp);
            rig_close(&other);
        }
}

// Between gateways --------------------------------------------------------------------------------

static void gateways_keep_the_hosts_header(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct rig rig, tunnel;
        rig_mode(&rig, &ciphers[0], MODE_GATEWAY_TRANSPORT);
        rig_add_sa(&rig);
        rig_mode(&tunnel, &ciphers[0], MODE_TUNNEL);
        if (v6)
            tunnel.spec.path =
                (struct path){endpoint_of("2001:db8::1", 0), endpoint_of("2001:db8::2", 0), false};
        for (size_t size = 100; size < 1400; size += 4) {
            struct bytes inner = inner_of(v6, 17, size);
            struct packet *sent = seal_bytes(&rig, inner);
            assert_int_equal(sent->outer, OUTER_WHOLE);
            assert_memory_equal(sent->at + (v6 ? 8 : 12), inner.at + (v6 ? 8 : 12), v6 ? 32 : 8);
            size_t saved = v6 ? 40 : 20;
            assert_int_equal(sent->size - size, plane_overhead(&tunnel.spec, size) - saved);
            struct packet *got = arrive(&rig, sent, true);
            open_one(rig.b, got);
            check_same(got, inner);
        }
        rig_close(&rig);
        rig_close(&tunnel);
    }
}

static void check_passed(struct rig *rig, struct bytes whole)
{
    uint64_t before = plane_stats(rig->b)->bypassed;
    struct packet *got = box_put(&box_b, whole);
    CHECK_FAULT(packet_split(got), OK);
    got->transit = true;
    open_one(rig->b, got);
    assert_int_equal(got->verdict, VERDICT_BYPASS);
    assert_int_equal(got->size, whole.size);
    assert_memory_equal(got->at, whole.at, whole.size);
    assert_int_equal(plane_stats(rig->b)->bypassed, before + 1);
    struct plane_event event;
    assert_false(plane_event(rig->b, &event));
}

// A LAN host that speaks IPsec itself, with whatever SPI, gets its packets.
static void what_is_not_the_gateways_passes_untouched(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(backend_kinds); i++) {
        struct rig rig;
        if (!rig_start(&rig, backend_kinds[i])) continue;
        for (size_t cipher = 0; cipher < COUNT(ciphers); cipher++) {
            rig.spec = spec_of(&ciphers[cipher], SA_OUT, SPI_AB);
            rig.spec.mode = MODE_GATEWAY_TRANSPORT;
            rig.spec.esn = cipher & 1;
            rig_add_sa(&rig);
            struct packet *sent = seal_bytes(&rig, inner_of(0, 17, 200));
            memcpy(outer_space, sent->at, sent->size);
            struct bytes whole = bytes_of(outer_space, sent->size);
            put_u32(outer_space + 20, SPI_AB + 1); // no SA
            check_passed(&rig, whole);
            put_u32(outer_space + 20, 17); // reserved
            check_passed(&rig, whole);
            put_u32(outer_space + 20, SPI_AB);
            put_u32(outer_space + 12, 0x0a630001); // not between these networks
            set_v4_sum(outer_space);
            check_passed(&rig, whole);
            put_u32(outer_space + 12, 0x0a010005);
            set_v4_sum(outer_space);
            outer_space[60] ^= 1; // of another SA
            check_passed(&rig, whole);
            outer_space[60] ^= 1;
            struct packet *got = box_put(&box_b, whole);
            CHECK_FAULT(packet_split(got), OK);
            open_one(rig.b, got); // to an address of the gateway's own inner side
            assert_int_equal(got->verdict, VERDICT_DELIVER);
            got = box_put(&box_b, whole);
            CHECK_FAULT(packet_split(got), OK);
            got->transit = true;
            open_one(rig.b, got);
            CHECK_FAULT(got->fault, FAULT_REPLAY_SEEN);
        }
        rig_close(&rig);
    }
}

static void what_is_in_transit_is_for_no_tunnel(void **state)
{
    (void)state;
    struct rig rig;
    rig_mode(&rig, &ciphers[0], MODE_TRANSPORT);
    rig_add_sa(&rig);
    struct packet *sent = seal_bytes(&rig, inner_of(0, 17, 200));
    memcpy(outer_space, sent->at, sent->size);
    check_passed(&rig, bytes_of(outer_space, sent->size));
    rig_close(&rig);
}

// BEET --------------------------------------------------------------------------------------------

static void beet_carries_all_in_all(void **state)
{
    (void)state;
    static const char *const outer[2][2] = {{"192.0.2.1", "192.0.2.2"},
                                            {"2001:db8:ffff::1", "2001:db8:ffff::2"}};
    for (size_t i = 0; i < COUNT(ciphers); i++)
        for (int v6 = 0; v6 < 2; v6++)
            for (int family = 0; family < 2; family++)
                for (int encap = 0; encap < 2; encap++) {
                    struct rig rig;
                    rig_mode(&rig, &ciphers[i], MODE_BEET);
                    if (v6) {
                        rig.spec.local = selectors_of("2001:db8:1::5/128");
                        rig.spec.remote = selectors_of("2001:db8:2::9/128");
                    }
                    rig.spec.path = (struct path){endpoint_of(outer[family][0], 4500),
                                                  endpoint_of(outer[family][1], 4501), encap};
                    rig_add_sa(&rig);
                    for (size_t size = 61; size < 1400; size += 89) {
                        struct bytes inner = inner_of(v6, 17, size);
                        struct packet *sent = seal_bytes(&rig, inner);
                        assert_int_equal(sent->verdict, VERDICT_SEND);
                        assert_int_equal(sent->outer, encap ? OUTER_UDP : OUTER_RAW);
                        assert_int_equal(sent->ttl, 61);
                        assert_int_equal(sent->tos, 0x68);
                        assert_true(endpoint_equal(&sent->to, &rig.spec.path.remote));
                        size_t whole = sent->size + (family ? 40 : 20) + (encap ? 8 : 0);
                        assert_int_equal(whole - size, plane_overhead(&rig.spec, size));
                        struct packet *got = arrive(&rig, sent, false);
                        open_one(rig.b, got);
                        check_like(got, inner);
                    }
                    rig_close(&rig);
                }
}

// RFC 7402 B.1.7 test: next header, length in units of 8 less one, padding of 0 or 4 in front.
static void beet_options_lie_in_a_pseudo_header(void **state)
{
    (void)state;
    static const struct cipher null = {"null", ENCR_NULL, 0, INTEG_HMAC_SHA2_256_128, 0, 32};
    for (size_t options = 0; options <= 40; options += 4) {
        struct rig rig;
        rig_mode(&rig, &null, MODE_BEET);
        rig_add_sa(&rig);
        struct bytes inner = with_options(options, 64);
        struct packet *sent = seal_bytes(&rig, inner);
        const uint8_t *pseudo = sent->at + ESP_HEADER;
        uint32_t pad = options % 8 ? 0 : 4, all = options ? 4 + pad + (uint32_t)options : 0;
        if (options) {
            assert_int_equal(pseudo[0], 17);
            assert_int_equal(pseudo[1], (options + pad + 4) / 8 - 1);
            assert_int_equal(pseudo[2], pad);
            assert_int_equal(pseudo[3], 0);
            for (uint32_t i = 0; i < pad; i++) assert_int_equal(pseudo[4 + i], 1);
            assert_memory_equal(pseudo + 4 + pad, inner.at + 20, options);
        }
        assert_memory_equal(pseudo + all, inner.at + 20 + options, 44);
        uint32_t end = sent->size - 16;
        assert_int_equal(sent->at[end - 1], options ? 94 : 17);
        struct packet *got = arrive(&rig, sent, false);
        open_one(rig.b, got);
        check_like(got, inner);
        rig_close(&rig);
    }
}

// A peer with the right key that lays out its options wrongly.
static void wrong_pseudo_headers_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[4];
        uint32_t size; // of all that is carried
        enum fault fault;
    } rows[] = {
        {{17, 0, 0, 0}, 32, OK},
        {{17, 0, 4, 0}, 32, OK},
        {{17, 1, 4, 0}, 32, OK},
        {{17, 0, 0, 0}, 4, FAULT_BEET_HEADER},
        {{17, 4, 0, 0}, 32, FAULT_BEET_HEADER},
        {{17, 255, 0, 0}, 32, FAULT_BEET_HEADER},
        {{17, 0, 1, 0}, 32, FAULT_BEET_HEADER},
        {{17, 0, 8, 0}, 32, FAULT_BEET_HEADER},
        {{17, 1, 255, 0}, 32, FAULT_BEET_HEADER},
        {{17, 5, 0, 0}, 64, FAULT_BEET_HEADER},
        {{17, 0, 0, 64}, 32, OK},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig rig;
        rig_mode(&rig, &ciphers[0], MODE_BEET);
        rig_add_sa(&rig);
        struct batch_key *key;
        CHECK_FAULT(batch_key_new(rig.backend, rig.spec.encr, rig.spec.key_bits, rig.spec.integ,
                                  rig.spec.encr_key, rig.spec.integ_key, true, &key),
                    OK);
        uint8_t bytes[128] = {0};
        put_u32(bytes, SPI_AB);
        put_u32(bytes + 4, 1);
        memcpy(bytes + 16, rows[i].bytes, 4);
        bytes[16 + rows[i].size + 2] = 2;
        bytes[16 + rows[i].size + 3] = 94;
        bytes[16 + rows[i].size] = 1;
        bytes[16 + rows[i].size + 1] = 2;
        struct batch_packet batch = {.esp = bytes, .payload_size = rows[i].size + 4};
        batch_seal(key, &batch, 1);
        struct packet *got = box_put(&box_b, bytes_of(bytes, 16 + rows[i].size + 4 + 16));
        got->from = rig.spec.path.local;
        open_one(rig.b, got);
        CHECK_FAULT(got->fault, rows[i].fault);
        batch_key_free(key);
        rig_close(&rig);
    }
}

static void beet_wants_one_pair_of_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *local, *remote;
        enum fault fault;
    } rows[] = {
        {"10.1.0.5/32", "10.2.0.9/32", OK},
        {"10.1.0.5/32[udp/1] 10.1.0.5/32[tcp/1]", "10.2.0.9/32", OK},
        {"10.1.0.0/31", "10.2.0.9/32", FAULT_SA_PARAMETERS},
        {"10.1.0.5/32 10.1.0.6/32", "10.2.0.9/32", FAULT_SA_PARAMETERS},
        {"10.1.0.5/32", "10.2.0.9/32 2001:db8::1/128", FAULT_SA_PARAMETERS},
        {"10.1.0.5/32", "2001:db8::1/128", FAULT_SA_PARAMETERS},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig rig;
        rig_mode(&rig, &ciphers[0], MODE_BEET);
        rig.spec.local = selectors_of(rows[i].local);
        rig.spec.remote = selectors_of(rows[i].remote);
        CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), rows[i].fault);
        rig_close(&rig);
    }
}

static void what_a_mode_cannot_be_given_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_mode(&rig, &ciphers[0], MODE_GATEWAY_TRANSPORT);
    rig.spec.path.encap = true;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), FAULT_SA_PARAMETERS);
    rig.spec.mode = MODE_TRANSPORT;
    rig.spec.path.local.port = 0;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), FAULT_SA_PARAMETERS);
    rig.spec.path.local.port = 4500;
    rig.spec.tfc_padding = 1;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), FAULT_SA_PARAMETERS);
    rig.spec.tfc_padding = 0;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), OK);
    rig_close(&rig);
}

static void packets_without_room_are_dropped(void **state)
{
    (void)state;
    static const uint8_t modes[] = {MODE_TRANSPORT, MODE_GATEWAY_TRANSPORT};
    for (size_t i = 0; i < COUNT(modes); i++) {
        struct rig rig;
        rig_mode(&rig, &ciphers[0], modes[i]);
        rig_add_sa(&rig);
        struct bytes inner = inner_of(0, 17, 100);
        struct packet *packet = box_put(&box_a, inner);
        packet->at = packet->space + 15;
        memcpy(packet->at, inner.at, inner.size);
        seal_one(rig.a, packet);
        CHECK_FAULT(packet->fault, FAULT_NO_ROOM);
        packet = box_put(&box_a, inner);
        packet->at = packet->space + 16;
        memcpy(packet->at, inner.at, inner.size);
        seal_one(rig.a, packet);
        CHECK_FAULT(packet->fault, OK);
        inner = inner_of(0, 17, 65530);
        CHECK_FAULT(seal_bytes(&rig, inner)->fault, FAULT_PACKET_TOO_LARGE);
        rig_close(&rig);
    }
}

// Choices of tunnel mode --------------------------------------------------------------------------

static uint8_t sealed_tos(uint8_t dscp, uint8_t ecn, int v6)
{
    struct rig rig;
    rig_mode(&rig, &ciphers[0], MODE_TUNNEL);
    rig.spec.copy_dscp = dscp;
    rig.spec.copy_ecn = ecn;
    rig_add_sa(&rig);
    (void)inner_of(v6, 17, 100);
    tos_set(inner_space, 0xb9); // DSCP 46, ECT(1)
    uint8_t tos = seal_bytes(&rig, bytes_of(inner_space, 100))->tos;
    rig_close(&rig);
    return tos;
}

static int opened_tos(uint8_t dscp, uint8_t ecn, uint8_t inner, uint8_t outer)
{
    struct rig rig;
    rig_mode(&rig, &ciphers[0], MODE_TUNNEL);
    rig.spec.copy_dscp = dscp;
    rig.spec.copy_ecn = ecn;
    rig_add_sa(&rig);
    (void)inner_of(0, 17, 100);
    tos_set(inner_space, inner);
    struct packet *got = arrive(&rig, seal_bytes(&rig, bytes_of(inner_space, 100)), false);
    got->tos = outer;
    open_one(rig.b, got);
    int tos = got->verdict == VERDICT_DELIVER ? got->at[1] : -1;
    if (tos >= 0) assert_int_equal(ipv4_sum(got->at), 0);
    rig_close(&rig);
    return tos;
}

static void dscp_and_ecn_are_copied_as_asked(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        assert_int_equal(sealed_tos(DSCP_COPY_OUT, ECN_COPY, v6), 0xb9);
        assert_int_equal(sealed_tos(DSCP_COPY_BOTH, ECN_COPY, v6), 0xb9);
        assert_int_equal(sealed_tos(DSCP_COPY_IN, ECN_COPY, v6), 0x01);
        assert_int_equal(sealed_tos(DSCP_COPY_NONE, ECN_COPY, v6), 0x01);
        assert_int_equal(sealed_tos(DSCP_COPY_OUT, ECN_NONE, v6), 0xb8);
        assert_int_equal(sealed_tos(DSCP_COPY_NONE, ECN_NONE, v6), 0x00);
    }
    assert_int_equal(opened_tos(DSCP_COPY_OUT, ECN_COPY, 0xb8, 0x28), 0xb8);
    assert_int_equal(opened_tos(DSCP_COPY_NONE, ECN_COPY, 0xb8, 0x28), 0xb8);
    assert_int_equal(opened_tos(DSCP_COPY_IN, ECN_COPY, 0xb8, 0x28), 0x28);
    assert_int_equal(opened_tos(DSCP_COPY_BOTH, ECN_COPY, 0xba, 0x2b), 0x2b);
    assert_int_equal(opened_tos(DSCP_COPY_OUT, ECN_COPY, 0xb8, 0x03), -1);
    assert_int_equal(opened_tos(DSCP_COPY_OUT, ECN_NONE, 0xb8, 0x03), 0xb8);
    assert_int_equal(opened_tos(DSCP_COPY_IN, ECN_NONE, 0xba, 0x2b), 0x2a);
}

// RFC 4301 8.1 test: copied, cleared or set.
static void df_is_as_asked(void **state)
{
    (void)state;
    static const uint8_t rows[][3] = {{DF_COPY, false, false}, {DF_COPY, true, true},
                                      {DF_CLEAR, true, false}, {DF_CLEAR, false, false},
                                      {DF_SET, false, true},   {DF_SET, true, true}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig rig;
        rig_mode(&rig, &ciphers[0], MODE_TUNNEL);
        rig.spec.copy_df = rows[i][0];
        rig_add_sa(&rig);
        (void)inner_of(0, 17, 100);
        put_u16(inner_space + 6, rows[i][1] ? 0x4000 : 0);
        assert_int_equal(seal_bytes(&rig, bytes_of(inner_space, 100))->df, rows[i][2]);
        rig_close(&rig);
    }
}

// RFC 4303 2.7 test.
static void tfc_padding_hides_the_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ciphers); i++) {
        struct rig rig;
        rig_mode(&rig, &ciphers[i], MODE_TUNNEL);
        rig.spec.tfc_padding = 1000;
        rig_add_sa(&rig);
        uint32_t size = 0;
        for (size_t inner = 61; inner <= 1100; inner += 47)
            for (int v6 = 0; v6 < 2; v6++) {
                struct bytes bytes = inner_of(v6, 17, inner);
                struct packet *sent = seal_bytes(&rig, bytes);
                if (!size) size = sent->size;
                if (inner <= 1000) assert_int_equal(sent->size, size);
                assert_int_equal(sent->size + 20 - inner, plane_overhead(&rig.spec, inner));
                struct packet *got = arrive(&rig, sent, false);
                open_one(rig.b, got);
                check_same(got, bytes);
            }
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transport_packet_opens_to_what_it_was),
        cmocka_unit_test(the_udp_header_is_right),
        cmocka_unit_test(checksums_are_made_anew_behind_a_nat),
        cmocka_unit_test(no_checksum_stays_none),
        cmocka_unit_test(esp_goes_in_behind_what_routers_read),
        cmocka_unit_test(a_fragment_header_that_cuts_nothing_goes),
        cmocka_unit_test(ipv4_options_stay_in_front),
        cmocka_unit_test(transport_checks_its_selectors),
        cmocka_unit_test(every_changed_byte_of_esp_is_found),
        cmocka_unit_test(both_back_ends_make_the_same),
        cmocka_unit_test(gateways_keep_the_hosts_header),
        cmocka_unit_test(what_is_not_the_gateways_passes_untouched),
        cmocka_unit_test(what_is_in_transit_is_for_no_tunnel),
        cmocka_unit_test(beet_carries_all_in_all),
        cmocka_unit_test(beet_options_lie_in_a_pseudo_header),
        cmocka_unit_test(wrong_pseudo_headers_are_refused),
        cmocka_unit_test(beet_wants_one_pair_of_addresses),
        cmocka_unit_test(what_a_mode_cannot_be_given_is_refused),
        cmocka_unit_test(packets_without_room_are_dropped),
        cmocka_unit_test(dscp_and_ecn_are_copied_as_asked),
        cmocka_unit_test(df_is_as_asked),
        cmocka_unit_test(tfc_padding_hides_the_size),
    };
    crypto_start();
    return cmocka_run_group_tests_name("modes", tests, NULL, NULL);
}
