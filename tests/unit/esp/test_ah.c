// SPDX-License-Identifier: Apache-2.0
// AH: what may change on the way may, what may not is found, in both modes and families, with every
// algorithm.
#include "rig.h"

static struct box box_a, box_b;
static uint8_t inner_space[65536];

static const struct integrity {
    const char *name;
    uint16_t integ;
    uint8_t key_size, field;
} integrities[] = {
    {"md5", INTEG_HMAC_MD5_96, 16, 12},          {"sha1", INTEG_HMAC_SHA1_96, 20, 12},
    {"sha256", INTEG_HMAC_SHA2_256_128, 32, 16}, {"sha384", INTEG_HMAC_SHA2_384_192, 48, 24},
    {"sha512", INTEG_HMAC_SHA2_512_256, 64, 32}, {"aesxcbc", INTEG_AES_XCBC_96, 16, 12},
    {"aescmac", INTEG_AES_CMAC_96, 16, 12},      {"aes128gmac", INTEG_AES_128_GMAC, 20, 24},
    {"aes192gmac", INTEG_AES_192_GMAC, 28, 24},  {"aes256gmac", INTEG_AES_256_GMAC, 36, 24},
};

static void rig_ah(struct rig *rig, const struct integrity *integrity, enum sa_mode mode, int v6)
{
    rig_open(rig, &ciphers[0]);
    rig->spec.protocol = PROTOCOL_AH;
    rig->spec.mode = (uint8_t)mode;
    rig->spec.encr = 0;
    rig->spec.key_bits = 0;
    rig->spec.encr_key.size = 0;
    rig->spec.integ = integrity->integ;
    rig->spec.integ_key = bytes_of(key_bytes[0], integrity->key_size);
    if (v6) {
        rig->spec.path.local = endpoint_of("2001:db8:ffff::1", 0);
        rig->spec.path.remote = endpoint_of("2001:db8:ffff::2", 0);
        rig->spec.remote = selectors_of("2001:db8:2::/48 10.2.0.0/16");
    }
}

static struct bytes inner_of(int v6, size_t size)
{
    struct inner inner = {"10.1.0.5", "10.2.0.9", 17, 0x68, 1000, 2000, true, size};
    if (v6) {
        inner.source = "2001:db8:1::5";
        inner.destination = "2001:db8:2::9";
    }
    (void)inner_make(&inner, inner_space);
    if (!v6) {
        put_u16(inner_space + 4, 0x1234);
        put_u16(inner_space + 10, 0);
        put_u16(inner_space + 10, ipv4_sum(inner_space));
    }
    return bytes_of(inner_space, size);
}

static struct packet *seal_bytes(struct rig *rig, struct bytes inner)
{
    struct packet *packet = box_put(&box_a, inner);
    seal_one(rig->a, packet);
    return packet;
}

static struct packet *open_bytes(struct rig *rig, struct bytes whole)
{
    struct packet *packet = box_put(&box_b, whole);
    enum fault fault = packet_split(packet);
    if (fault) {
        packet->verdict = VERDICT_DROP;
        packet->fault = fault;
    } else {
        open_one(rig->b, packet);
    }
    return packet;
}

static void check_same(const struct packet *packet, struct bytes inner)
{
    CHECK_FAULT(packet->fault, OK);
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    assert_int_equal(packet->size, inner.size);
    assert_memory_equal(packet->at, inner.at, inner.size);
}

static void ah_opens_to_what_it_was(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(integrities); i++)
        for (int options = 0; options < 8; options++) {
            int v6 = options & 1;
            enum sa_mode mode = options & 2 ? MODE_TUNNEL : MODE_TRANSPORT;
            struct rig rig;
            rig_ah(&rig, &integrities[i], mode, v6);
            rig.spec.esn = options & 4;
            rig_add_sa(&rig);
            if (rig.spec.esn) {
                enum fault fault;
                sad_find_out(&rig.a->sad, SPI_AB, NULL, &fault)->out.sequence = UINT32_MAX - 7;
                sad_find_in(&rig.b->sad, SPI_AB)->in.replay.top = UINT32_MAX - 7;
            }
            for (size_t size = 60; size < 1400; size += 89) {
                struct bytes inner = inner_of(v6, size);
                struct packet *sent = seal_bytes(&rig, inner);
                assert_int_equal(sent->verdict, VERDICT_SEND);
                assert_int_equal(sent->outer, OUTER_WHOLE);
                assert_int_equal(sent->size - size, plane_overhead(&rig.spec, size));
                uint32_t head = v6 ? 40 : 20, unit = v6 ? 8 : 4;
                uint32_t whole = (12u + integrities[i].field + unit - 1) / unit * unit;
                assert_int_equal(sent->at[v6 ? 6 : 9], 51);
                assert_int_equal((sent->at[head + 1] + 2) * 4, whole);
                assert_int_equal(get_u16(sent->at + head + 2), 0);
                assert_int_equal(get_u32(sent->at + head + 4), SPI_AB);
                if (!v6) assert_int_equal(ipv4_sum(sent->at), 0);
                check_same(open_bytes(&rig, packet_bytes(sent)), inner);
            }
            rig_close(&rig);
        }
}

// Without the header, as an IPv6 socket gives it.
static void an_ipv6_header_need_not_be_there(void **state)
{
    (void)state;
    for (int tunnel = 0; tunnel < 2; tunnel++) {
        struct rig rig;
        rig_ah(&rig, &integrities[2], tunnel ? MODE_TUNNEL : MODE_TRANSPORT, 1);
        rig_add_sa(&rig);
        struct bytes inner = inner_of(1, 100);
        struct packet *packet = box_put(&box_b, packet_bytes(seal_bytes(&rig, inner)));
        CHECK_FAULT(packet_split(packet), OK);
        packet->head = 0;
        open_one(rig.b, packet);
        check_same(packet, inner);
        struct packet *again = box_put(&box_b, packet_bytes(seal_bytes(&rig, inner)));
        CHECK_FAULT(packet_split(again), OK);
        again->head = 0;
        again->to.addr.at[15] ^= 1;
        open_one(rig.b, again);
        CHECK_FAULT(again->fault, FAULT_ESP_ICV);
        rig_close(&rig);
    }
    struct rig rig;
    rig_ah(&rig, &integrities[2], MODE_TRANSPORT, 0);
    rig_add_sa(&rig);
    struct packet *packet = box_put(&box_b, packet_bytes(seal_bytes(&rig, inner_of(0, 100))));
    CHECK_FAULT(packet_split(packet), OK);
    packet->head = 0;
    open_one(rig.b, packet);
    CHECK_FAULT(packet->fault, FAULT_AH_HEADERS);
    rig_close(&rig);
}

// RFC 4302 3.3.3.1.1.1, 3.3.3.1.2.1 test: which bits of the header in front may change.
static uint8_t may_change(int v6, size_t at)
{
    if (v6) return at == 0 ? 0x0f : at < 4 || at == 7 ? 0xff : 0;
    if (at == 6) return 0xc0; // not: more fragments and offset, which make it a fragment
    return at == 1 || at == 8 || at == 10 || at == 11 ? 0xff : 0;
}

static void every_bit_that_must_not_change_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(integrities); i++)
        for (int options = 0; options < 4; options++) {
            int v6 = options & 1;
            struct rig rig;
            rig_ah(&rig, &integrities[i], options & 2 ? MODE_TUNNEL : MODE_TRANSPORT, v6);
            rig.spec.replay_window = 0;
            rig_add_sa(&rig);
            struct bytes inner = inner_of(v6, 60);
            struct packet *sent = seal_bytes(&rig, inner);
            uint32_t head = v6 ? 40 : 20;
            for (uint32_t at = 0; at < sent->size; at++)
                for (unsigned flip = 1; flip < 256; flip *= 2) {
                    sent->at[at] ^= (uint8_t)flip;
                    struct packet *got = open_bytes(&rig, packet_bytes(sent));
                    bool may = at < head && (may_change(v6, at) & flip);
                    bool drops = options & 2 && at == (v6 ? 1u : 1u); // ECN may tell to drop
                    if (!may)
                        assert_int_equal(got->verdict, VERDICT_DROP);
                    else if (!drops)
                        assert_int_equal(got->verdict, VERDICT_DELIVER);
                    sent->at[at] ^= (uint8_t)flip;
                }
            check_same(open_bytes(&rig, packet_bytes(sent)), inner);
            rig_close(&rig);
        }
}

static void ah_packets_are_taken_once(void **state)
{
    (void)state;
    struct rig rig;
    rig_ah(&rig, &integrities[2], MODE_TRANSPORT, 0);
    rig_add_sa(&rig);
    struct bytes inner = inner_of(0, 100);
    struct packet *sent = seal_bytes(&rig, inner);
    check_same(open_bytes(&rig, packet_bytes(sent)), inner);
    CHECK_FAULT(open_bytes(&rig, packet_bytes(sent))->fault, FAULT_REPLAY_SEEN);
    struct packet *packet = box_put(&box_b, packet_bytes(sent)); // as if it were ESP
    packet->at += 24;
    packet->size -= 24;
    packet->from = rig.spec.path.local;
    open_one(rig.b, packet);
    CHECK_FAULT(packet->fault, FAULT_ESP_SPI_UNKNOWN);
    rig_close(&rig);
}

// RFC 4302 A1 test: options that stay are found when they change, others are not asked.
static void options_count_as_the_table_says(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        bool stays;
    } rows[] = {{130, true}, {133, true}, {134, true},  {148, true}, {149, true},  {131, false},
                {68, false}, {7, false},  {137, false}, {82, false}, {136, false}, {205, false}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig rig;
        rig_ah(&rig, &integrities[2], MODE_TRANSPORT, 0);
        rig.spec.replay_window = 0;
        rig_add_sa(&rig);
        (void)inner_of(0, 100);
        memmove(inner_space + 28, inner_space + 20, 80);
        inner_space[0] = 0x47;
        const uint8_t option[8] = {rows[i].type, 7, 8, 0xa, 0, 0, 9, 1};
        memcpy(inner_space + 20, option, 8);
        put_u16(inner_space + 2, 108);
        put_u16(inner_space + 10, 0);
        put_u16(inner_space + 10, ipv4_sum(inner_space));
        struct packet *sent = seal_bytes(&rig, bytes_of(inner_space, 108));
        assert_int_equal(sent->verdict, VERDICT_SEND);
        check_same(open_bytes(&rig, packet_bytes(sent)), bytes_of(inner_space, 108));
        sent->at[23] ^= 1;
        assert_int_equal(open_bytes(&rig, packet_bytes(sent))->verdict,
                         rows[i].stays ? VERDICT_DROP : VERDICT_DELIVER);
        sent->at[23] ^= 1;
        sent->at[27] = 0x44; // no padding any more, but an option that is cut
        CHECK_FAULT(open_bytes(&rig, packet_bytes(sent))->fault, FAULT_AH_HEADERS);
        rig_close(&rig);
    }
}

// RFC 4302 3.3.3.1.1.1 test: the ICV is for the route's end.
static void a_source_route_is_authenticated_as_at_its_end(void **state)
{
    (void)state;
    struct rig rig;
    rig_ah(&rig, &integrities[2], MODE_TRANSPORT, 0);
    rig_add_sa(&rig);
    (void)inner_of(0, 100);
    memmove(inner_space + 32, inner_space + 20, 80);
    inner_space[0] = 0x48;
    const uint8_t option[12] = {131, 11, 4, 10, 2, 7, 7, 10, 2, 0, 99, 0};
    memcpy(inner_space + 20, option, sizeof option);
    put_u16(inner_space + 2, 112);
    put_u16(inner_space + 10, 0);
    put_u16(inner_space + 10, ipv4_sum(inner_space));
    struct packet *sent = seal_bytes(&rig, bytes_of(inner_space, 112));
    assert_int_equal(sent->verdict, VERDICT_SEND);
    CHECK_FAULT(open_bytes(&rig, packet_bytes(sent))->fault, FAULT_ESP_ICV); // still on its way
    const uint8_t travelled[12] = {131, 11, 12, 192, 0, 2, 3, 192, 0, 2, 4, 0};
    memcpy(sent->at + 20, travelled, sizeof travelled);
    put_u32(sent->at + 16, 0x0a020063);
    assert_int_equal(open_bytes(&rig, packet_bytes(sent))->verdict, VERDICT_DELIVER);
    rig_close(&rig);
}

// RFC 4302 3.3.3.1.2.2, A2 test: a hop-by-hop option that changes, one that does not, and a routing
// header with two addresses to go.
static void ipv6_extensions_count_as_the_rules_say(void **state)
{
    (void)state;
    struct rig rig;
    rig_ah(&rig, &integrities[2], MODE_TRANSPORT, 1);
    rig.spec.replay_window = 0;
    rig_add_sa(&rig);
    (void)inner_of(1, 100);
    uint8_t *ext = inner_space + 40;
    memmove(ext + 56, ext, 60);
    memset(ext, 0, 56);
    inner_space[6] = 0;
    const uint8_t options[16] = {43, 1, 0x3e, 4, 1, 2, 3, 4, 0x1e, 4, 5, 6, 7, 8, 0, 0};
    memcpy(ext, options, 16);
    const uint8_t route[4] = {17, 4, 0, 2};
    memcpy(ext + 16, route, 4);
    struct addr first = endpoint_of("2001:db8:2::aa", 0).addr,
                last = endpoint_of("2001:db8:2::bb", 0).addr, d = {0};
    memcpy(ext + 24, first.at, 16);
    memcpy(ext + 40, last.at, 16);
    memcpy(d.at, inner_space + 24, 16);
    put_u16(inner_space + 4, 116);
    struct packet *sent = seal_bytes(&rig, bytes_of(inner_space, 156));
    assert_int_equal(sent->verdict, VERDICT_SEND);
    uint8_t *at = sent->at + 40;
    CHECK_FAULT(open_bytes(&rig, packet_bytes(sent))->fault, FAULT_AH_HEADERS); // not there yet
    memcpy(sent->at + 24, last.at, 16); // both nodes have been passed
    memcpy(at + 24, d.at, 16);
    memcpy(at + 40, first.at, 16);
    at[16 + 3] = 0;
    assert_int_equal(open_bytes(&rig, packet_bytes(sent))->verdict, VERDICT_DELIVER);
    at[4] ^= 0xff;
    assert_int_equal(open_bytes(&rig, packet_bytes(sent))->verdict, VERDICT_DELIVER);
    at[10] ^= 0xff;
    CHECK_FAULT(open_bytes(&rig, packet_bytes(sent))->fault, FAULT_ESP_ICV);
    at[10] ^= 0xff;
    at[2] = 0x3f;
    CHECK_FAULT(open_bytes(&rig, packet_bytes(sent))->fault, FAULT_ESP_ICV);
    at[2] = 0x3e;
    at[3] = 200;
    CHECK_FAULT(open_bytes(&rig, packet_bytes(sent))->fault, FAULT_AH_HEADERS);
    at[3] = 4;
    memcpy(at + 24, last.at, 16);
    CHECK_FAULT(open_bytes(&rig, packet_bytes(sent))->fault, FAULT_ESP_ICV);
    rig_close(&rig);
}

static void short_and_wrong_sized_packets_are_dropped(void **state)
{
    (void)state;
    struct rig rig;
    rig_ah(&rig, &integrities[4], MODE_TRANSPORT, 0);
    rig_add_sa(&rig);
    struct packet *sent = seal_bytes(&rig, inner_of(0, 60));
    uint8_t whole[256];
    uint32_t size = sent->size;
    memcpy(whole, sent->at, size);
    for (uint32_t cut = 20; cut < size; cut++) {
        put_u16(whole + 2, (uint16_t)cut);
        put_u16(whole + 10, 0);
        put_u16(whole + 10, ipv4_sum(whole));
        enum fault fault = open_bytes(&rig, bytes_of(whole, cut))->fault;
        CHECK_FAULT(fault, cut < 20 + 44 ? FAULT_ESP_TOO_SHORT : FAULT_ESP_ICV);
    }
    put_u16(whole + 2, (uint16_t)size);
    for (unsigned length = 0; length < 256; length++) {
        if (length == 9) continue;
        whole[21] = (uint8_t)length;
        CHECK_FAULT(open_bytes(&rig, bytes_of(whole, size))->fault, FAULT_ESP_LENGTH);
    }
    whole[21] = 9;
    put_u16(whole + 6, 0x2000);
    CHECK_FAULT(open_bytes(&rig, bytes_of(whole, size))->fault, FAULT_MODE_FRAGMENT);
    rig_close(&rig);
}

static void what_ah_cannot_be_is_refused(void **state)
{
    (void)state;
    static const uint8_t modes[] = {MODE_BEET, MODE_IPTFS, MODE_GATEWAY_TRANSPORT, 0, 99};
    struct rig rig;
    rig_ah(&rig, &integrities[2], MODE_TUNNEL, 0);
    for (size_t i = 0; i < COUNT(modes); i++) {
        struct sa_spec spec = rig.spec;
        spec.mode = modes[i];
        CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_SA_MODE);
    }
    struct sa_spec spec = rig.spec;
    spec.path.encap = true;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_SA_PARAMETERS);
    spec = rig.spec;
    spec.path.local.addr.family = ADDR_NONE;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_SA_PARAMETERS);
    spec = rig.spec;
    spec.tfc_padding = 100;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_SA_PARAMETERS);
    spec = rig.spec;
    spec.integ = INTEG_NONE;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_UNSUPPORTED_INTEGRITY);
    spec = rig.spec;
    spec.integ_key.size--;
    CHECK_FAULT(plane_sa_add(rig.a, &spec), FAULT_KEY_WRONG_SIZE);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ah_opens_to_what_it_was),
        cmocka_unit_test(an_ipv6_header_need_not_be_there),
        cmocka_unit_test(every_bit_that_must_not_change_is_found),
        cmocka_unit_test(ah_packets_are_taken_once),
        cmocka_unit_test(options_count_as_the_table_says),
        cmocka_unit_test(a_source_route_is_authenticated_as_at_its_end),
        cmocka_unit_test(ipv6_extensions_count_as_the_rules_say),
        cmocka_unit_test(short_and_wrong_sized_packets_are_dropped),
        cmocka_unit_test(what_ah_cannot_be_is_refused),
    };
    crypto_start();
    return cmocka_run_group_tests_name("ah", tests, NULL, NULL);
}
