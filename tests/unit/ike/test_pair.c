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
        cmocka_unit_test(a_pair_with_signatures_comes_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
