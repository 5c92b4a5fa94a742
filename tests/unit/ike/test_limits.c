// SPDX-License-Identifier: Apache-2.0
// What is too much is refused, and what is not renewed in time ends.
#include "pair.h"

static struct pair *pair_with_settings(const struct ike_settings *settings,
                                       const struct conf_text *a, const struct conf_text *b)
{
    struct pair *p = pair_new();
    ike_free(p->b.core);
    p->b.core = ike_new(&p->b.rng.rng, settings);
    load_both(p, a, b);
    command(&p->a, IKE_INITIATE, NULL, a->child[0] ? a->child[0] : "lan");
    run_for(p, nsec_seconds(20));
    return p;
}

static void limits_hold(void **state)
{
    (void)state;
    struct conf_text one = {0}, two = {.child = {"one", "two"},
                                       .local_ts = {"10.1.0.0/24", "10.1.1.0/24"},
                                       .remote_ts = {"10.2.0.0/24", "10.2.1.0/24"}};
    struct conf_text mirrored = {.child = {"one", "two"},
                                 .local_ts = {"10.2.0.0/24", "10.2.1.0/24"},
                                 .remote_ts = {"10.1.0.0/24", "10.1.1.0/24"}};
    struct ike_settings settings = ike_settings_default();
    settings.children_per_sa_max = 1;
    struct pair *p = pair_with_settings(&settings, &two, &mirrored);
    command(&p->a, IKE_INITIATE, NULL, "two");
    run_for(p, nsec_seconds(1));
    assert_non_null(said(&p->b, FAULT_CHILD_LIMIT));
    assert_int_equal(p->a.done_fault, FAULT_PEER_NO_MORE);
    assert_up(p, 1);
    pair_free(p);

    settings = ike_settings_default();
    settings.sas_max = 0;
    p = pair_with_settings(&settings, &one, &one);
    assert_non_null(said(&p->b, FAULT_SA_LIMIT));
    assert_int_equal(p->b.sent, 0);
    command(&p->b, IKE_INITIATE, NULL, "lan");
    assert_int_equal(p->b.done_fault, FAULT_SA_LIMIT);
    pair_free(p);

    settings = ike_settings_default();
    settings.half_open_max = 0;
    p = pair_with_settings(&settings, &one, &one);
    assert_non_null(said(&p->b, FAULT_HALF_OPEN_LIMIT));
    pair_free(p);
}

// --- lifetimes that end

static bool lose_rekeying(struct pair *p, const struct host *from, const uint8_t *bytes,
                          size_t size)
{
    (void)p, (void)from, (void)size;
    return bytes[18] == EXCHANGE_CREATE_CHILD_SA;
}

static void what_is_not_rekeyed_in_time_ends(void **state)
{
    (void)state;
    struct conf_text a = {.child_rekey_time = nsec_seconds(100),
                          .child_life_time = nsec_seconds(110)},
                     b = {0};
    struct pair *p = pair_up_with(&a, &b);
    p->lose = lose_rekeying;
    run_for(p, nsec_seconds(115));
    assert_non_null(said(&p->a, FAULT_CHILD_EXPIRED));
    pair_free(p);

    struct conf_text c = {.rekey_time = nsec_seconds(100), .over_time = nsec_seconds(10)};
    p = pair_up_with(&c, &b);
    p->lose = lose_rekeying;
    run_for(p, nsec_seconds(115));
    assert_non_null(said(&p->a, FAULT_IKE_EXPIRED));
    run_for(p, nsec_seconds(300));
    assert_int_equal(sas_all(&p->a), 0);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(what_is_not_rekeyed_in_time_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
