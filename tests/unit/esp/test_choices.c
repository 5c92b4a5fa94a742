// SPDX-License-Identifier: Apache-2.0
// What an SA in tunnel mode is asked to copy, to clear and to pad.
#include "modes.h"

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
        cmocka_unit_test(dscp_and_ecn_are_copied_as_asked),
        cmocka_unit_test(df_is_as_asked),
        cmocka_unit_test(tfc_padding_hides_the_size),
    };
    crypto_start();
    return cmocka_run_group_tests_name("choices", tests, NULL, NULL);
}
