// SPDX-License-Identifier: Apache-2.0
// BEET: any family in any other, options in a pseudo header, one pair of addresses.
#include "modes.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beet_carries_all_in_all),
        cmocka_unit_test(beet_options_lie_in_a_pseudo_header),
        cmocka_unit_test(wrong_pseudo_headers_are_refused),
        cmocka_unit_test(beet_wants_one_pair_of_addresses),
    };
    crypto_start();
    return cmocka_run_group_tests_name("beet", tests, NULL, NULL);
}
