// SPDX-License-Identifier: Apache-2.0
// An SA goes from process to process with all that it has, and a message that is cut is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/protocol.h"
#include "model/iana.h"

static const uint8_t keys[36] = {1, 2, 3, 4, 5, 6, 7};

static struct sa_spec spec_full(void)
{
    struct sa_spec spec = {
        .spi = 0x12345678,
        .direction = SA_OUT,
        .protocol = PROTOCOL_ESP,
        .mode = MODE_TUNNEL,
        .esn = true,
        .encr = ENCR_AES_GCM_16,
        .key_bits = 256,
        .integ = INTEG_NONE,
        .policy = 77,
        .replay_window = 4096,
        .partner_spi = 0x87654321,
        .if_id = 5,
        .copy_dscp = DSCP_COPY_BOTH,
        .copy_df = DF_SET,
        .copy_ecn = ECN_NONE,
        .tfc_padding = 1400,
        .path = {.local = {addr_v4(192, 0, 2, 1), 4500},
                 .remote = {addr_v4(192, 0, 2, 2), 4501},
                 .encap = true},
        .encr_key = bytes_of(keys, sizeof keys),
        .integ_key = bytes_of(keys, 3),
        .local = {.count = 1},
        .remote = {.count = 2},
    };
    spec.local.at[0] = selector_any(ADDR_V4);
    spec.remote.at[0] = selector_any(ADDR_V4);
    spec.remote.at[1] = selector_any(ADDR_V6);
    return spec;
}

static struct bytes spec_write(const struct sa_spec *spec, uint8_t space[4096])
{
    struct sa_message message = {.spec = *spec};
    struct wr out = wr_over(space, 4096);
    sa_put(&out, &message);
    assert_int_equal(wr_end(&out), OK);
    return wr_done(&out);
}

static void an_sa_arrives_as_it_was_sent(void **state)
{
    (void)state;
    uint8_t space[4096];
    struct sa_spec sent = spec_full();
    struct rd in = rd_over(spec_write(&sent, space));
    struct arena arena = {0};
    struct sa_message message;
    assert_int_equal(sa_get(&in, &arena, &message), OK);
    const struct sa_spec *got = &message.spec;
    assert_int_equal(got->spi, sent.spi);
    assert_int_equal(got->direction, sent.direction);
    assert_int_equal(got->protocol, sent.protocol);
    assert_int_equal(got->mode, sent.mode);
    assert_int_equal(got->esn, sent.esn);
    assert_int_equal(got->encr, sent.encr);
    assert_int_equal(got->key_bits, sent.key_bits);
    assert_int_equal(got->integ, sent.integ);
    assert_int_equal(got->policy, sent.policy);
    assert_int_equal(got->replay_window, sent.replay_window);
    assert_int_equal(got->partner_spi, sent.partner_spi);
    assert_int_equal(got->if_id, sent.if_id);
    assert_int_equal(got->copy_dscp, sent.copy_dscp);
    assert_int_equal(got->copy_df, sent.copy_df);
    assert_int_equal(got->copy_ecn, sent.copy_ecn);
    assert_int_equal(got->tfc_padding, sent.tfc_padding);
    assert_true(path_equal(&got->path, &sent.path));
    assert_int_equal(got->encr_key.size, sizeof keys);
    assert_memory_equal(got->encr_key.at, keys, sizeof keys);
    assert_int_equal(got->integ_key.size, 3);
    assert_int_equal(got->local.count, 1);
    assert_int_equal(got->remote.count, 2);
    assert_true(selector_within(&got->remote.at[1], &sent.remote.at[1]));
    arena_free(&arena);
}

static void a_cut_sa_is_refused(void **state)
{
    (void)state;
    uint8_t space[4096];
    struct sa_spec sent = spec_full();
    struct bytes whole = spec_write(&sent, space);
    for (size_t size = 0; size < whole.size; size++) {
        struct rd in = rd_over(bytes_of(whole.at, size));
        struct arena arena = {0};
        struct sa_message message;
        assert_int_not_equal(sa_get(&in, &arena, &message), OK);
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_sa_arrives_as_it_was_sent),
        cmocka_unit_test(a_cut_sa_is_refused),
    };
    return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}
