// SPDX-License-Identifier: Apache-2.0
// Rekeying of children and IKE SAs, one-sided and from both ends at once, and rekeying that meets
// deletion.
#include "pair.h"

// --- what the tests below check over and over: a packet sealed by one end can be opened by the
// other

static bool direction_works(const struct host *from, const struct host *to,
                            const uint32_t *spi_used)
{
    return plane_find(to, *spi_used, SA_IN) != NULL && plane_find(from, *spi_used, SA_OUT) != NULL;
}

// The outbound SA that a plane uses: the one that was added last.
static const struct plane_sa *outbound(const struct host *host)
{
    const struct plane_sa *last = NULL;
    for (size_t i = 0; i < host->sa_count; i++)
        if (host->sas[i].spec.direction == SA_OUT) last = &host->sas[i];
    return last;
}

// Runs in small steps; at each both ends must be able to send.
static void run_without_loss(struct pair *p, nsec span)
{
    for (nsec done = 0; done < span; done += nsec_ms(5)) {
        run_for(p, nsec_ms(5));
        const struct plane_sa *of_a = outbound(&p->a), *of_b = outbound(&p->b);
        assert_non_null(of_a);
        assert_non_null(of_b);
        assert_true(direction_works(&p->a, &p->b, &of_a->spec.spi));
        assert_true(direction_works(&p->b, &p->a, &of_b->spec.spi));
    }
}

static struct conf_text with_pfs(void)
{
    return (struct conf_text){.esp = "aes256gcm16-ecp256-x25519"};
}

// RFC 7296 1.3.3 test
static void a_child_is_rekeyed_without_loss(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    struct ike_child_info before, after;
    assert_true(child_first(&p->a, &before));
    command(&p->a, IKE_REKEY, NULL, "lan");
    run_without_loss(p, nsec_seconds(10));
    assert_up(p, 1);
    assert_true(child_first(&p->a, &after));
    assert_int_not_equal(before.spi_in, after.spi_in);
    assert_int_equal(before.policy, after.policy);
    assert_int_equal(p->a.policy_count, 1);
    assert_int_equal(p->a.sa_count, 2);
    assert_int_equal(p->b.sa_count, 2);
    assert_int_equal(p->a.events[IKE_EVENT_CHILD_REKEYED], 1);
    assert_int_equal(p->a.events[IKE_EVENT_CHILD_DOWN], 0);
    assert_int_equal(p->b.events[IKE_EVENT_CHILD_DOWN], 0);
    pair_free(p);
}

static void the_responder_rekeys_as_well(void **state)
{
    (void)state;
    struct conf_text text = with_pfs();
    struct pair *p = pair_up_with(&text, &text);
    command(&p->b, IKE_REKEY, NULL, "lan");
    run_without_loss(p, nsec_seconds(10));
    assert_up(p, 1);
    struct ike_child_info info;
    assert_true(child_first(&p->b, &info));
    assert_int_equal(info.suite.ke, KE_ECP_256);
    assert_int_equal(p->b.sa_count, 2);
    pair_free(p);
}

// RFC 7296 2.8 test: the one who answers a rekeying sends through the old child until the new one
// is in use.
static void the_answerer_switches_when_traffic_comes(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    p->lose_all_of_b = true; // the answer gets lost for the time being
    command(&p->a, IKE_REKEY, NULL, "lan");
    run_for(p, nsec_ms(100));
    assert_int_equal(halves(&p->b, SA_IN), 2);
    assert_int_equal(halves(&p->b, SA_OUT), 1);
    for (size_t i = 0; i < p->b.sa_count; i++)
        if (p->b.sas[i].spec.direction == SA_IN) usage(&p->b, p->b.sas[i].spec.spi, SA_IN, 1, 100);
    assert_int_equal(halves(&p->b, SA_OUT), 2);
    pair_free(p);
}

// RFC 7296 2.17 test: the group of the second exchange is one that the peer asks for.
static void another_group_costs_one_round_trip(void **state)
{
    (void)state;
    struct conf_text a = {.esp = "aes256gcm16-ecp256-x25519"}, b = {.esp = "aes256gcm16-x25519"};
    struct pair *p = pair_up_with(&a, &b);
    command(&p->a, IKE_REKEY, NULL, "lan");
    run_without_loss(p, nsec_seconds(10));
    assert_up(p, 1);
    struct ike_child_info info;
    assert_true(child_first(&p->a, &info));
    assert_int_equal(info.suite.ke, KE_CURVE_25519);
    pair_free(p);
}

// RFC 7296 2.8.1 test
static void both_ends_rekey_the_child_at_once(void **state)
{
    (void)state;
    unsigned won_by_a = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct pair *p = pair_up();
        rng_seed(&p->a.rng, 7000 + seed);
        rng_seed(&p->b.rng, 8000 + seed);
        command(&p->a, IKE_REKEY, NULL, "lan");
        command(&p->b, IKE_REKEY, NULL, "lan");
        run_without_loss(p, nsec_seconds(12));
        assert_up(p, 1);
        assert_int_equal(p->a.sa_count, 2);
        assert_int_equal(p->b.sa_count, 2);
        assert_int_equal(p->a.events[IKE_EVENT_CHILD_DOWN], 0);
        assert_int_equal(p->b.events[IKE_EVENT_CHILD_DOWN], 0);
        won_by_a += said_text(&p->a, "ours stands") != NULL;
        assert_true((said_text(&p->a, "ours stands") != NULL) !=
                    (said_text(&p->b, "ours stands") != NULL));
        pair_free(p);
    }
    assert_in_range(won_by_a, 5, 35); // both outcomes were seen
}

static bool lose_first_rekey_of_a(struct pair *p, const struct host *from, const uint8_t *bytes,
                                  size_t size)
{
    (void)size;
    return from == &p->a && bytes[18] == EXCHANGE_CREATE_CHILD_SA && !(bytes[19] & FLAG_RESPONSE) &&
           p->lose_count++ == 0;
}

// RFC 7296 2.8.1 test: the second sequence there, in which one end does not see the collision.
static void a_lost_request_to_rekey_finds_the_child_gone(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    p->lose = lose_first_rekey_of_a;
    command(&p->a, IKE_REKEY, NULL, "lan");
    command(&p->b, IKE_REKEY, NULL, "lan");
    run_without_loss(p, nsec_seconds(20));
    assert_up(p, 1);
    assert_int_equal(p->a.sa_count, 2);
    assert_non_null(said(&p->a, FAULT_PEER_CHILD_GONE));
    pair_free(p);
}

// RFC 7296 1.3.2, 2.18 test
static void the_ike_sa_is_rekeyed_and_keeps_its_children(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    struct ike_sa_info before, after;
    assert_true(sa_first(&p->a, &before));
    uint64_t spi_before = before.spi_i;
    command(&p->a, IKE_REKEY, "office", NULL);
    run_without_loss(p, nsec_seconds(2));
    assert_up(p, 1);
    assert_int_equal(sas_all(&p->a), 1);
    assert_int_equal(sas_all(&p->b), 1);
    assert_true(sa_first(&p->a, &after));
    assert_true(after.spi_i != spi_before);
    assert_int_equal(p->a.events[IKE_EVENT_IKE_REKEYED], 1);
    assert_int_equal(p->a.events[IKE_EVENT_IKE_DOWN], 0);
    assert_int_equal(p->b.events[IKE_EVENT_IKE_DOWN], 0);
    // The new one works: a child can be rekeyed in it, by the former responder, too.
    command(&p->b, IKE_REKEY, NULL, "lan");
    run_without_loss(p, nsec_seconds(10));
    command(&p->b, IKE_REKEY, "office", NULL);
    run_without_loss(p, nsec_seconds(2));
    assert_up(p, 1);
    pair_free(p);
}

// RFC 7296 2.8.2 test
static void both_ends_rekey_the_ike_sa_at_once(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct pair *p = pair_up();
        rng_seed(&p->a.rng, 17000 + seed);
        rng_seed(&p->b.rng, 18000 + seed);
        command(&p->a, IKE_REKEY, "office", NULL);
        command(&p->b, IKE_REKEY, "office", NULL);
        run_without_loss(p, nsec_seconds(12));
        assert_up(p, 1);
        assert_int_equal(sas_all(&p->a), 1);
        assert_int_equal(sas_all(&p->b), 1);
        assert_int_equal(p->a.events[IKE_EVENT_IKE_DOWN], 0);
        assert_int_equal(p->b.events[IKE_EVENT_IKE_DOWN], 0);
        command(&p->a, IKE_REKEY, NULL, "lan");
        run_without_loss(p, nsec_seconds(10));
        assert_up(p, 1);
        pair_free(p);
    }
}

// RFC 7296 2.8.2 test: one end finishes before it sees that the other rekeys, too.
static void a_lost_request_to_rekey_the_ike_sa_is_forgotten(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    p->lose = lose_first_rekey_of_a;
    command(&p->a, IKE_REKEY, "office", NULL);
    command(&p->b, IKE_REKEY, "office", NULL);
    run_without_loss(p, nsec_seconds(200));
    assert_up(p, 1);
    assert_int_equal(sas_all(&p->a), 1);
    assert_int_equal(sas_all(&p->b), 1);
    pair_free(p);
}

// RFC 7296 2.25.2 test: a child is rekeyed while the peer rekeys the IKE SA.
static void a_child_rekey_crosses_a_rekey_of_the_ike_sa(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    command(&p->a, IKE_REKEY, NULL, "lan");
    command(&p->b, IKE_REKEY, "office", NULL);
    run_without_loss(p, nsec_seconds(60));
    assert_up(p, 1);
    assert_int_equal(sas_all(&p->a), 1);
    assert_int_equal(p->a.sa_count, 2);
    assert_non_null(said(&p->a, FAULT_BUSY));
    assert_non_null(said(&p->b, FAULT_PEER_BUSY));
    pair_free(p);
}

// RFC 7296 2.25.1 test: a child is deleted by one end while the other rekeys it.
static void a_rekey_crosses_a_deletion_of_the_child(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    command(&p->a, IKE_REKEY, NULL, "lan");
    command(&p->b, IKE_TERMINATE, NULL, "lan");
    run_for(p, nsec_seconds(30));
    assert_int_equal(sas_up(&p->a), 1);
    assert_int_equal(children(&p->a), 0);
    assert_int_equal(children(&p->b), 0);
    assert_int_equal(p->a.sa_count, 0);
    assert_int_equal(p->b.sa_count, 0);
    assert_int_equal(p->b.done_fault, OK);
    pair_free(p);
}

// RFC 7296 1.4.1 test
static void both_ends_delete_the_child_at_once(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    command(&p->a, IKE_TERMINATE, NULL, "lan");
    command(&p->b, IKE_TERMINATE, NULL, "lan");
    run_for(p, nsec_seconds(10));
    assert_int_equal(p->a.sa_count, 0);
    assert_int_equal(p->b.sa_count, 0);
    assert_int_equal(p->a.done_count, 2);
    assert_int_equal(p->b.done_count, 1);
    assert_int_equal(p->a.policy_count, 0);
    pair_free(p);
}

// RFC 7296 2.25.2 test
static void a_rekey_of_the_ike_sa_crosses_its_deletion(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    command(&p->a, IKE_REKEY, "office", NULL);
    command(&p->b, IKE_TERMINATE, "office", NULL);
    run_for(p, nsec_seconds(10));
    assert_int_equal(sas_all(&p->a), 0);
    assert_int_equal(sas_all(&p->b), 0);
    assert_int_equal(p->a.sa_count, 0);
    assert_int_equal(p->b.sa_count, 0);
    pair_free(p);
}

static void both_ends_delete_the_ike_sa_at_once(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    command(&p->a, IKE_TERMINATE, "office", NULL);
    command(&p->b, IKE_TERMINATE, "office", NULL);
    run_for(p, nsec_seconds(10));
    assert_int_equal(sas_all(&p->a), 0);
    assert_int_equal(sas_all(&p->b), 0);
    assert_int_equal(p->a.sa_count, 0);
    assert_int_equal(p->a.events[IKE_EVENT_IKE_DOWN], 1);
    assert_int_equal(p->b.events[IKE_EVENT_IKE_DOWN], 1);
    pair_free(p);
}

// RFC 7296 2.8 test: by time, and with a random part of each end's own.
static void children_and_ike_sas_are_rekeyed_by_time(void **state)
{
    (void)state;
    struct conf_text text = {.child_rekey_time = nsec_seconds(100),
                             .child_life_time = nsec_seconds(110),
                             .rekey_time = nsec_seconds(260),
                             .over_time = nsec_seconds(26)};
    struct pair *p = pair_up_with(&text, &text);
    run_without_loss(p, nsec_seconds(1200));
    assert_up(p, 1);
    const uint64_t *counters = ike_counters(p->a.core, NULL);
    assert_in_range(counters[COUNT_CHILD_REKEY], 8, 40);
    assert_in_range(counters[COUNT_IKE_REKEY_INIT] + counters[COUNT_IKE_REKEY_RESP], 3, 12);
    assert_null(said(&p->a, FAULT_CHILD_EXPIRED));
    assert_null(said(&p->a, FAULT_IKE_EXPIRED));
    assert_int_equal(p->a.events[IKE_EVENT_CHILD_DOWN], 0);
    pair_free(p);
}

static void a_child_is_rekeyed_by_bytes(void **state)
{
    (void)state;
    struct conf_text text = {.rekey_bytes = 1000000};
    struct pair *p = pair_up_with(&text, &text);
    struct ike_child_info before, after;
    assert_true(child_first(&p->a, &before));
    usage(&p->a, before.spi_in, SA_IN, 10, 999999);
    run_for(p, nsec_seconds(1));
    assert_true(child_first(&p->a, &after));
    assert_int_equal(before.id, after.id);
    usage(&p->a, before.spi_out, SA_OUT, 11, 1000000);
    run_without_loss(p, nsec_seconds(10));
    assert_true(child_first(&p->a, &after));
    assert_int_not_equal(before.id, after.id);
    assert_up(p, 1);
    pair_free(p);
}

// RFC 7296 2.8.3 test: make before break.
static void an_ike_sa_is_authenticated_anew(void **state)
{
    (void)state;
    struct conf_text text = {.reauth_time = nsec_seconds(100)}, plain = {0};
    struct pair *p = pair_up_with(&text, &plain);
    run_without_loss(p, nsec_seconds(110));
    assert_up(p, 1);
    assert_int_equal(sas_all(&p->a), 1);
    assert_int_equal(p->a.events[IKE_EVENT_IKE_UP], 2);
    assert_int_equal(p->a.policy_count, 1);
    pair_free(p);
}

static void an_ike_sa_may_be_closed_before_it_is_authenticated_anew(void **state)
{
    (void)state;
    struct conf_text text = {.reauth_time = nsec_seconds(100), .break_before_make = true},
                     plain = {.unique = UNIQUE_KEEP};
    struct pair *p = pair_up_with(&text, &plain);
    run_for(p, nsec_seconds(110));
    assert_up(p, 1);
    assert_int_equal(sas_all(&p->a), 1);
    assert_int_equal(p->a.events[IKE_EVENT_IKE_DOWN], 1);
    assert_int_equal(p->a.events[IKE_EVENT_IKE_UP], 2);
    assert_int_equal(p->a.policy_count, 1);
    pair_free(p);
}

static bool lose_rekeying(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    (void)size;
    if (from != &p->a || bytes[18] != EXCHANGE_CREATE_CHILD_SA) return false;
    p->lose_count++;
    return true;
}

// RFC 7296 2.4 test: a peer that is heard is asked again soon, beside the tries that count: those
// come when they are due, and the peer is given up no sooner and no later.
static void a_peer_that_is_heard_is_asked_again_soon(void **state)
{
    (void)state;
    static const unsigned seconds = 160;
    for (unsigned heard = 0; heard < 3; heard++) {
        struct conf_text quiet = {0}, asks = {.dpd_delay = nsec_seconds(5)};
        struct pair *p = pair_up_with(&quiet, heard == 1 ? &asks : &quiet);
        p->lose = lose_rekeying;
        struct ike_child_info child;
        assert_true(child_first(&p->a, &child));
        command(&p->a, IKE_REKEY, NULL, "lan");
        for (unsigned i = 0; i < seconds; i++) {
            run_for(p, nsec_seconds(1));
            if (heard == 2)
                usage(&p->a, child.spi_in, SA_IN, i + 1, 100 * (i + 1));
        }
        if (heard)
            assert_in_range(p->lose_count, seconds / 9, seconds / 8 + 6);
        else
            assert_int_equal(p->lose_count, 6);
        assert_int_equal(sas_up(&p->a), 1);
        run_for(p, nsec_seconds(10));
        assert_int_equal(sas_all(&p->a), heard == 1); // one more time for who sends messages
        pair_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_is_rekeyed_without_loss),
        cmocka_unit_test(the_responder_rekeys_as_well),
        cmocka_unit_test(the_answerer_switches_when_traffic_comes),
        cmocka_unit_test(another_group_costs_one_round_trip),
        cmocka_unit_test(both_ends_rekey_the_child_at_once),
        cmocka_unit_test(a_lost_request_to_rekey_finds_the_child_gone),
        cmocka_unit_test(the_ike_sa_is_rekeyed_and_keeps_its_children),
        cmocka_unit_test(both_ends_rekey_the_ike_sa_at_once),
        cmocka_unit_test(a_lost_request_to_rekey_the_ike_sa_is_forgotten),
        cmocka_unit_test(a_child_rekey_crosses_a_rekey_of_the_ike_sa),
        cmocka_unit_test(a_rekey_crosses_a_deletion_of_the_child),
        cmocka_unit_test(both_ends_delete_the_child_at_once),
        cmocka_unit_test(a_rekey_of_the_ike_sa_crosses_its_deletion),
        cmocka_unit_test(both_ends_delete_the_ike_sa_at_once),
        cmocka_unit_test(children_and_ike_sas_are_rekeyed_by_time),
        cmocka_unit_test(a_child_is_rekeyed_by_bytes),
        cmocka_unit_test(an_ike_sa_is_authenticated_anew),
        cmocka_unit_test(an_ike_sa_may_be_closed_before_it_is_authenticated_anew),
        cmocka_unit_test(a_peer_that_is_heard_is_asked_again_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
