// SPDX-License-Identifier: Apache-2.0
// Two cores bring up, use, rekey and take down an IKE SA and its children.
#include "pair.h"

// RFC 7296 1.2 test
static void a_pair_with_a_psk_comes_up(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    assert_int_equal(p->a.done_count, 1);
    assert_int_equal(p->a.done_fault, OK);
    assert_non_null(said_text(
        &p->a, "IKE SA established with 192.0.2.2:500 [b.example] (aes256gcm16-prfsha384-"));
    assert_non_null(said_text(&p->a, "authenticated by pre-shared key"));
    assert_int_equal(p->a.events[IKE_EVENT_IKE_UP], 1);
    assert_int_equal(p->b.events[IKE_EVENT_CHILD_UP], 1);
    assert_int_equal(p->a.policy_count, 1);
    pair_free(p);
}

// The answerer's own proof is by the secret that the initiator's is checked with.
static void an_answerer_asks_for_both_proofs_at_once(void **state)
{
    (void)state;
    static const struct conf_text a = {.local_ts = {"10.1.0.0/16"}, .remote_ts = {"10.2.0.0/16"}},
                                  b = {.local_ts = {"10.2.0.0/16"}, .remote_ts = {"10.1.0.0/16"}};
    enum { TOGETHER, SINGLY, WRONG_SECRET, WAYS };
    for (unsigned way = 0; way < WAYS; way++) {
        struct pair *p = pair_new();
        load(&p->a, conn_make(&p->a, &p->b, &a));
        load(&p->b, conn_make(&p->b, &p->a, &b));
        p->b.proves_singly = way == SINGLY;
        if (way == WRONG_SECRET) p->b.psk = "another one";
        command(&p->a, IKE_INITIATE, NULL, "lan");
        run_for(p, nsec_seconds(2));
        if (way != WRONG_SECRET) assert_up(p, 1);
        assert_int_equal(p->a.proved, way == WRONG_SECRET ? 1 : 2);
        assert_int_equal(p->b.proved, way == SINGLY ? 2 : 1);
        pair_free(p);
    }
}

static void a_pair_with_signatures_comes_up(void **state)
{
    (void)state;
    struct conf_text text = {.auth = "pubkey"};
    struct pair *p = pair_up_with(&text, &text);
    assert_non_null(said_text(&p->b, "authenticated by MADE_UP"));
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_with_a_psk_comes_up),
        cmocka_unit_test(an_answerer_asks_for_both_proofs_at_once),
        cmocka_unit_test(a_pair_with_signatures_comes_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
