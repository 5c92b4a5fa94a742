// SPDX-License-Identifier: Apache-2.0
// ECN, cell by cell, and the overhead of each suite against what sealing really adds.
#include "rig.h"

static struct box box;
static uint8_t inner_space[16384];

// RFC 6040 4.2 test: Figure 4, rows inner, columns outer, both in the order Not-ECT, ECT(0),
// ECT(1), CE; -1: dropped.
static void ecn_is_combined_as_figure_4_says(void **state)
{
    (void)state;
    static const uint8_t names[4] = {0, 2, 1, 3};
    static const int figure[4][4] = {
        {0, 0, 0, -1},
        {2, 2, 1, 3},
        {1, 1, 1, 3},
        {3, 3, 3, 3},
    };
    for (int inner = 0; inner < 4; inner++)
        for (int outer = 0; outer < 4; outer++) {
            bool drop;
            uint8_t result = ecn_combine(names[inner], names[outer], &drop);
            assert_int_equal(drop, figure[inner][outer] < 0);
            if (!drop) assert_int_equal(result, figure[inner][outer]);
        }
}

// RFC 1624 3 test: every TOS, every change of ECN, and headers for which a naive sum gives the
// other zero.
static void the_checksum_follows_a_change_of_ecn(void **state)
{
    (void)state;
    for (unsigned tos = 0; tos < 256; tos++)
        for (unsigned id = 0; id < 65536; id += 257)
            for (uint8_t ecn = 0; ecn < 4; ecn++) {
                struct inner inner = {"10.1.0.5", "10.2.0.9", 17, (uint8_t)tos, 1, 2, false, 28};
                uint8_t packet[28];
                static uint8_t base[48]; // as large as any that inner_make() makes
                if (!base[0]) (void)inner_make(&inner, base);
                memcpy(packet, base, sizeof packet);
                packet[1] = (uint8_t)tos;
                put_u16(packet + 4, (uint16_t)id);
                put_u16(packet + 10, 0);
                put_u16(packet + 10, ipv4_sum(packet));
                ecn_set(packet, ecn);
                assert_int_equal(packet[1], (tos & 0xfc) | ecn);
                assert_int_equal(ipv4_sum(packet), 0);
            }
}

static void the_overhead_is_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ciphers); i++)
        for (int v6 = 0; v6 < 2; v6++)
            for (int encap = 0; encap < 2; encap++) {
                struct rig rig;
                rig_open(&rig, &ciphers[i]);
                rig.spec.path =
                    (struct path){endpoint_of(v6 ? "2001:db8::1" : "192.0.2.1", 1),
                                  endpoint_of(v6 ? "2001:db8::2" : "192.0.2.2", 2), encap};
                rig_add_sa(&rig);
                for (size_t size = 28; size < 128; size++) {
                    struct packet *packet = box_put(&box, inner_v4(size, inner_space));
                    seal_one(rig.a, packet);
                    size_t whole = (v6 ? 40 : 20) + (encap ? 8 : 0) + packet->size;
                    assert_int_equal(plane_overhead(&rig.spec, size), whole - size);
                }
                rig_close(&rig);
            }
}

// Worked by hand: AES-GCM-16 over IPv4, raw: 20 + 8 + 8 + 16 = 52, and 2 bytes of trailer with
// padding to 4.
static void known_overheads(void **state)
{
    (void)state;
    struct sa_spec spec = spec_of(&ciphers[0], SA_OUT, 1000);
    assert_int_equal(plane_overhead(&spec, 1438), 54);
    assert_int_equal(plane_overhead(&spec, 1440), 56);
    spec.path.encap = true;
    assert_int_equal(plane_overhead(&spec, 1438), 62);
    spec = spec_of(&ciphers[6], SA_OUT, 1000); // AES-CBC, SHA-256: 20 + 8 + 16 + 16, padding to 16
    assert_int_equal(plane_overhead(&spec, 1438), 62);
    assert_int_equal(plane_overhead(&spec, 1439), 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ecn_is_combined_as_figure_4_says),
        cmocka_unit_test(the_checksum_follows_a_change_of_ecn),
        cmocka_unit_test(the_overhead_is_exact),
        cmocka_unit_test(known_overheads),
    };
    crypto_start();
    return cmocka_run_group_tests_name("outer", tests, NULL, NULL);
}
