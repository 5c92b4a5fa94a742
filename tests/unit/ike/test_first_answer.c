// SPDX-License-Identifier: Apache-2.0
// An initiator that is played with: anybody can answer a first message, which nothing protects.
#include "pair.h"

static uint16_t answer_type;
static uint8_t answer_data[64];
static size_t answer_size;

// Each first message gets the same notify in answer.
static bool answer_with_notify(struct pair *p, const struct host *from, const uint8_t *bytes,
                               size_t size)
{
    (void)size;
    if (from != &p->a || bytes[18] != EXCHANGE_IKE_SA_INIT) return true;
    uint8_t space[200];
    struct wr wr = forged_begin(space, sizeof space, bytes, PAYLOAD_NOTIFY);
    wr_u16(&wr, 0);
    wr_u16(&wr, (uint16_t)(8 + answer_size));
    wr_u16(&wr, 0);
    wr_u16(&wr, answer_type);
    wr_bytes(&wr, bytes_of(answer_data, answer_size));
    forged_fly(p, &wr);
    return true;
}

static void assert_first_answer(uint16_t type, const void *data, size_t size, enum fault fault,
                                uint64_t sent_at_most)
{
    struct conf_text text = {0};
    struct pair *p = pair_new();
    answer_type = type;
    answer_size = size;
    if (size) memcpy(answer_data, data, size);
    p->lose = answer_with_notify;
    load_both(p, &text, &text);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(200));
    if (p->a.done_count != 1 || p->a.done_fault != fault) print_lines(&p->a);
    assert_int_equal(p->a.done_count, 1);
    assert_string_equal(fault_name(p->a.done_fault), fault_name(fault));
    assert_in_range(p->a.sent, 1, sent_at_most);
    pair_free(p);
}

// RFC 7296 2.6, 2.21.1, 1.2 test
static void nobody_leads_an_initiator_round_in_circles(void **state)
{
    (void)state;
    static const uint8_t cookie[] = "biscuit", group_same[] = {0, KE_CURVE_25519},
                         group_other[] = {0, KE_MODP_1024}, short_group[] = {1};
    assert_first_answer(NOTIFY_COOKIE, cookie, sizeof cookie, FAULT_RETRIES_TOO_MANY, 12);
    assert_first_answer(NOTIFY_COOKIE, NULL, 0, FAULT_PEER_UNREACHABLE, 6); // cannot be one
    assert_first_answer(NOTIFY_INVALID_KE_PAYLOAD, group_same, 2, FAULT_KE_GROUP_NOT_OFFERED, 6);
    assert_first_answer(NOTIFY_INVALID_KE_PAYLOAD, group_other, 2, FAULT_KE_GROUP_NOT_OFFERED, 6);
    assert_first_answer(NOTIFY_INVALID_MAJOR_VERSION, NULL, 0, FAULT_PEER_VERSION, 6);
    assert_first_answer(NOTIFY_INVALID_SYNTAX, NULL, 0, FAULT_PEER_SYNTAX, 6);
    assert_first_answer(9999, NULL, 0, FAULT_PEER_ERROR, 6);
    assert_first_answer(NOTIFY_AUTHENTICATION_FAILED, NULL, 0, FAULT_PEER_REFUSES, 6);
    // Not even readable: it is as if nobody had answered.
    assert_first_answer(NOTIFY_INVALID_KE_PAYLOAD, short_group, 1, FAULT_PEER_UNREACHABLE, 6);
}

// RFC 7296 2.6 test
static void a_wrong_cookie_gets_another_one(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct ike_settings settings = ike_settings_default();
    settings.cookie_threshold = 0;
    struct pair *p = pair_new();
    ike_free(p->b.core);
    p->b.core = ike_new(&p->b.rng.rng, &settings);
    load_both(p, &text, &text);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_ms(15));
    assert_int_equal(p->flight_count, 1);
    p->flights[0].bytes[p->flights[0].size - 1] ^= 1;
    run_for(p, nsec_seconds(1));
    assert_non_null(said(&p->b, FAULT_COOKIE_WRONG));
    assert_up(p, 1);
    pair_free(p);
}

// --- a responder that answers what was not asked

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_leads_an_initiator_round_in_circles),
        cmocka_unit_test(a_wrong_cookie_gets_another_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
