// SPDX-License-Identifier: Apache-2.0
// Rounds of authentication (RFC 4739), hybrids of secret and signature, raw public keys (RFC 7670),
// NULL authentication (RFC 7619).
#include "rounds.h"

static struct conn *conn_with(const struct host *local, const struct host *remote, const char *name,
                              const char *ours, const char *theirs)
{
    return conn_of_rounds(local, remote, (struct conf_text){.name = name}, ours, theirs);
}

static struct pair *pair_with(const char *of_a, const char *of_b)
{
    struct pair *p = pair_new();
    load(&p->b, conn_with(&p->b, &p->a, "office", of_b, of_a));
    load(&p->a, conn_with(&p->a, &p->b, "office", of_a, of_b));
    return p;
}

// RFC 4739 2.1, 2.4, 2.5 test
static void rounds_of_both_ends_come_up_however_many(void **state)
{
    (void)state;
    static const char *const kinds[] = {"p", "c", "pc", "cp", "cc", "pcp", "cpcc"};
    enum { COUNT = sizeof kinds / sizeof *kinds };
    for (unsigned i = 0; i < COUNT; i++) {
        for (unsigned j = 0; j < COUNT; j++) {
            struct pair *p = pair_with(kinds[i], kinds[j]);
            struct ike_sa_info info;
            char last[32];
            go(p);
            assert_up(p, 1);
            assert_ends_agree(p);
            assert_true(sa_first(&p->b, &info));
            snprintf(last, sizeof last, "a%zu.example", strlen(kinds[i]));
            assert_memory_equal(info.remote_id->bytes.at, last, strlen(last)); // of the last round
            assert_string_equal(info.state, "ESTABLISHED");
            pair_free(p);
        }
    }
}

// RFC 4739 2.4 test: one exchange a round, whichever end has more of them.
static void each_round_is_an_exchange(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned exchanges;
    } rows[] = {{"p", "p", 1}, {"pc", "p", 2}, {"p", "pc", 2}, {"pc", "pc", 2}, {"pcc", "pc", 3}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pair *p = pair_with(rows[i].a, rows[i].b);
        go(p);
        assert_up(p, 1);
        assert_int_equal(ike_stats(p->a.core)->counters[COUNT_IKE_AUTH + COUNT_OUT_REQUEST],
                         rows[i].exchanges);
        pair_free(p);
    }
}

static void schemes_of_all_rounds_are_told(void **state)
{
    (void)state;
    struct pair *p = pair_with("pc", "c");
    struct ike_sa_info info;
    go(p);
    assert_true(sa_first(&p->b, &info));
    assert_string_equal(info.peer_scheme, "pre-shared key + MADE_UP");
    pair_free(p);
}

static void a_round_too_few_or_too_many_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *a_has, *b_wants, *b_has, *a_wants;
        enum fault on_a, on_b;
    } rows[] = {
        {"p", "pc", "p", "p", FAULT_PEER_REFUSES, FAULT_AUTH_ROUNDS},
        {"pc", "p", "p", "p", FAULT_PEER_REFUSES, FAULT_AUTH_ROUNDS},
        {"p", "p", "pc", "p", FAULT_AUTH_ROUNDS, OK},
        {"p", "p", "p", "pc", FAULT_AUTH_ROUNDS, OK},
        {"pc", "pp", "p", "p", FAULT_PEER_REFUSES, FAULT_AUTH_METHOD},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pair *p = pair_new();
        load(&p->b, conn_with(&p->b, &p->a, "office", rows[i].b_has, rows[i].b_wants));
        load(&p->a, conn_with(&p->a, &p->b, "office", rows[i].a_has, rows[i].a_wants));
        go(p);
        assert_int_equal(p->a.done_fault, rows[i].on_a);
        if (rows[i].on_b) assert_non_null(said(&p->b, rows[i].on_b));
        assert_int_equal(children(&p->a) + sas_up(&p->a), 0);
        run_for(p, nsec_seconds(60));
        assert_int_equal(sas_all(&p->b) + children(&p->b), 0);
        pair_free(p);
    }
}

static void a_wrong_proof_in_any_round_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct pair *p = pair_with(i ? "pc" : "cp", i ? "p" : "c");
        if (i)
            p->b.refuse_judge = true;
        else
            p->a.psk = "another one";
        go(p);
        assert_int_equal(sas_up(&p->a) + sas_up(&p->b) + children(&p->b), 0);
        assert_non_null(said(&p->b, i ? FAULT_SIGNATURE_WRONG : FAULT_PSK_WRONG));
        pair_free(p);
    }
}

static void rounds_survive_loss(void **state)
{
    (void)state;
    struct pair *p = pair_with("pcc", "cp");
    p->lose = lose_a_third;
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(60));
    assert_up(p, 1);
    pair_free(p);
}

static void the_peer_is_not_established_before_its_last_round(void **state)
{
    (void)state;
    struct pair *p = pair_with("pc", "p");
    p->delay = nsec_ms(100);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_ms(350)); // the first IKE_AUTH is answered
    assert_int_equal(ike_stats(p->b.core)->counters[COUNT_IKE_AUTH + COUNT_IN_REQUEST], 1);
    assert_int_equal(ike_stats(p->b.core)->counters[COUNT_IKE_AUTH + COUNT_OUT_RESPONSE], 1);
    assert_int_equal(sas_up(&p->b) + children(&p->b) + sas_up(&p->a), 0);
    p->lose_all_of_a = true; // and the initiator stops there
    run_for(p, nsec_seconds(60));
    assert_int_equal(sas_all(&p->b), 0);
    assert_non_null(said(&p->b, FAULT_HALF_OPEN_TIMEOUT));
    pair_free(p);
}

// RFC 7296 2.21.2 test: an initiator that does not accept a round of ours says so, and we listen.
static void a_refusal_between_rounds_ends_the_sa(void **state)
{
    (void)state;
    struct pair *p = pair_with("pc", "c");
    p->a.refuse_judge = true;
    go(p);
    assert_int_equal(p->a.done_fault, FAULT_SIGNATURE_WRONG);
    assert_non_null(said(&p->b, FAULT_PEER_REFUSES));
    assert_int_equal(sas_all(&p->b), 0);
    pair_free(p);
}

// RFC 7670 3 test: the key goes in a CERT payload when the peer asks for it.
static void raw_public_keys_are_sent_and_judged(void **state)
{
    (void)state;
    struct pair *p = pair_with("k", "k");
    go(p);
    assert_up(p, 1);
    assert_int_equal(p->b.raw_keys_judged, 1);
    assert_int_equal(p->a.raw_keys_judged, 1);
    pair_free(p);
}

// RFC 7619 2.1 test
static void null_authentication_goes_where_it_is_asked_for(void **state)
{
    (void)state;
    static const char *const kinds[][2] = {{"0", "p"}, {"0", "c"}, {"p", "0"}, {"0", "0"}};
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct pair *p = pair_with(kinds[i][0], kinds[i][1]);
        struct ike_sa_info info;
        go(p);
        assert_up(p, 1);
        if (kinds[i][0][0] == '0') {
            assert_true(sa_first(&p->b, &info));
            assert_int_equal(info.remote_id->type, ID_NULL);
            assert_string_equal(info.peer_scheme, "nothing (NULL)");
            assert_non_null(said_text(&p->b, "nobody knows who the peer is"));
        }
        pair_free(p);
    }
}

// RFC 7619 2.4 test: never instead of anything else, and nothing else instead of it.
static void null_authentication_takes_no_other_place(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"0", "p"}, {"0", "c"}, {"p", "0"}, {"c", "0"}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pair *p = pair_new();
        load(&p->b, conn_with(&p->b, &p->a, "office", "p", rows[i][1]));
        load(&p->a, conn_with(&p->a, &p->b, "office", rows[i][0], "p"));
        go(p);
        assert_int_equal(sas_up(&p->a) + sas_up(&p->b), 0);
        assert_int_equal(p->a.done_fault, FAULT_PEER_REFUSES);
        pair_free(p);
        // and the responder that wants to stay unknown
        p = pair_new();
        load(&p->b, conn_with(&p->b, &p->a, "office", rows[i][0], "p"));
        load(&p->a, conn_with(&p->a, &p->b, "office", "p", rows[i][1]));
        go(p);
        assert_int_equal(sas_up(&p->a), 0);
        assert_non_null(
            said(&p->a, rows[i][0][0] == '0' ? FAULT_NULL_AUTH_UNWANTED : FAULT_AUTH_METHOD));
        pair_free(p);
    }
}

// RFC 7619 2.3 test: two unknown peers are two, whatever they say.
static void unknown_peers_do_not_replace_each_other(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    struct conn *conn = conn_with(&p->b, &p->a, "office", "p", "0");
    conn->unique = UNIQUE_REPLACE;
    load(&p->b, conn);
    load(&p->a, conn_with(&p->a, &p->b, "one", "0", "p"));
    load(&p->a, conn_with(&p->a, &p->b, "two", "0", "p"));
    command(&p->a, IKE_INITIATE, "one", "lan");
    run_for(p, nsec_seconds(1));
    command(&p->a, IKE_INITIATE, "two", "lan");
    run_for(p, nsec_seconds(10));
    assert_int_equal(sas_up(&p->b), 2);
    pair_free(p);
}

// RFC 4478 3 test: the responder wants it; the initiator does it, in time and by itself.
static void the_initiator_authenticates_anew_when_the_responder_says_so(void **state)
{
    (void)state;
    for (unsigned shorter = 0; shorter < 2; shorter++) {
        struct pair *p = pair_new();
        struct conf_text a = {.reauth_time = shorter ? nsec_seconds(100) : 0},
                         b = {.reauth_time = nsec_seconds(600)};
        struct ike_sa_info info;
        load_both(p, &a, &b);
        go(p);
        assert_true(sa_first(&p->a, &info));
        nsec left = info.reauth_at - p->now;
        if (shorter)
            assert_true(left > nsec_seconds(90) && left <= nsec_seconds(100));
        else
            assert_true(left > nsec_seconds(500) && left <= nsec_seconds(540));
        uint32_t before = info.id;
        run_for(p, left + nsec_seconds(10));
        assert_true(sa_first(&p->a, &info));
        assert_int_not_equal(info.id, before);
        assert_true(info.initiator);
        assert_up(p, 1);
        pair_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_of_both_ends_come_up_however_many),
        cmocka_unit_test(each_round_is_an_exchange),
        cmocka_unit_test(schemes_of_all_rounds_are_told),
        cmocka_unit_test(a_round_too_few_or_too_many_is_refused),
        cmocka_unit_test(a_wrong_proof_in_any_round_is_refused),
        cmocka_unit_test(rounds_survive_loss),
        cmocka_unit_test(the_peer_is_not_established_before_its_last_round),
        cmocka_unit_test(a_refusal_between_rounds_ends_the_sa),
        cmocka_unit_test(raw_public_keys_are_sent_and_judged),
        cmocka_unit_test(null_authentication_goes_where_it_is_asked_for),
        cmocka_unit_test(null_authentication_takes_no_other_place),
        cmocka_unit_test(the_initiator_authenticates_anew_when_the_responder_says_so),
        cmocka_unit_test(unknown_peers_do_not_replace_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
