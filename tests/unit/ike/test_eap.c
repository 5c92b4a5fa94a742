// SPDX-License-Identifier: Apache-2.0
// EAP inside IKE_AUTH (RFC 7296 2.16), EAP alone (RFC 5998), and what else goes along with them.
// The method is made up: it has a key or none, and proves both ends or one.
#include "ike/internal.h"
#include "rounds.h"

enum { MESSAGES_MAX = 100 };

static struct conn *conn_with(const struct host *local, const struct host *remote, const char *ours,
                              const char *theirs, const char *ppk_id)
{
    return conn_of_rounds(local, remote, (struct conf_text){.ppk_id = ppk_id}, ours, theirs);
}

static struct pair *pair_of(const char *of_a, const char *of_b, const char *b_of_a,
                            const char *ppk_id)
{
    struct pair *p = pair_new();
    p->a.eap_key = p->b.eap_key =
        "the key that both ends of the made-up method have at its end, MSK";
    load(&p->b, conn_with(&p->b, &p->a, of_b, b_of_a, ppk_id));
    load(&p->a, conn_with(&p->a, &p->b, of_a, of_b, ppk_id));
    return p;
}

// a is the client, b the gateway.
static struct pair *pair_with(const char *of_a, const char *of_b)
{
    return pair_of(of_a, of_b, of_a, NULL);
}

static uint64_t requests_of(const struct host *host)
{
    return ike_stats(host->core)->counters[COUNT_IKE_AUTH + COUNT_OUT_REQUEST];
}

// Nothing is up, and after a while nothing is left.
static void assert_refused(struct pair *p)
{
    assert_int_equal(sas_up(&p->a) + sas_up(&p->b) + children(&p->a) + children(&p->b), 0);
    run_for(p, nsec_seconds(60));
    assert_int_equal(sas_all(&p->b), 0);
}

// RFC 7296 2.16 test
static void a_client_logs_in_to_a_gateway_that_signs(void **state)
{
    (void)state;
    struct pair *p = pair_with("e", "c");
    struct ike_sa_info info;
    go(p);
    assert_up(p, 1);
    assert_ends_agree(p);
    assert_int_equal(requests_of(&p->a), 4); // IDi, two answers, AUTH
    assert_int_equal(p->a.judged, 1);
    assert_int_equal(p->b.judged, 0);
    assert_true(sa_first(&p->b, &info));
    assert_string_equal(info.peer_scheme, "EAP-MADE-UP");
    assert_true(sa_first(&p->a, &info));
    assert_string_equal(info.peer_scheme, "MADE_UP");
    pair_free(p);
}

// RFC 7296 2.16 test: AUTH is made with SK_p then.
static void a_method_without_a_key_goes_with_a_gateway_that_signs(void **state)
{
    (void)state;
    struct pair *p = pair_with("e", "c");
    p->a.eap_key = p->b.eap_key = NULL;
    go(p);
    assert_up(p, 1);
    pair_free(p);
}

// RFC 5998 3 test
static void a_method_that_proves_both_ends_is_enough(void **state)
{
    (void)state;
    struct pair *p = pair_with("e", "e");
    struct ike_sa_info info;
    go(p);
    assert_up(p, 1);
    assert_int_equal(p->a.judged + p->b.judged, 0);
    assert_true(sa_first(&p->a, &info));
    assert_string_equal(info.peer_scheme, "EAP-MADE-UP");
    pair_free(p);
}

// RFC 5998 3 test: a gateway that does not do with EAP alone signs, and is judged.
static void an_offer_of_eap_alone_may_be_passed_over(void **state)
{
    (void)state;
    for (unsigned wrong = 0; wrong < 2; wrong++) {
        struct pair *p = pair_new();
        p->a.eap_key = p->b.eap_key = "key";
        p->a.refuse_judge = wrong;
        load(&p->b, conn_with(&p->b, &p->a, "c", "e", NULL));
        load(&p->a, conn_with(&p->a, &p->b, "e", "e", NULL));
        go(p);
        assert_int_equal(p->a.judged, 1);
        if (wrong) {
            assert_int_equal(p->a.done_fault, FAULT_SIGNATURE_WRONG);
            assert_int_equal(p->a.eap_heard, 0);
            assert_refused(p);
        } else {
            assert_up(p, 1);
        }
        pair_free(p);
    }
}

// RFC 5998 3 test: neither end takes a method that lacks a key or proves one end only.
static void alone_a_method_must_prove_both_ends_by_a_key(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct pair *p = pair_with("e", "e");
        struct host *strict = i & 1 ? &p->a : &p->b;
        if (i & 2)
            strict->eap_one_sided = true;
        else
            strict->eap_key = NULL;
        go(p);
        assert_non_null(said(strict, FAULT_EAP_NOT_MUTUAL));
        assert_int_equal(p->a.done_fault, i & 1 ? FAULT_EAP_NOT_MUTUAL : FAULT_EAP_FAILED);
        assert_refused(p);
        pair_free(p);
    }
}

static void a_client_that_wants_a_signature_is_not_served_by_eap_alone(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    load(&p->b, conn_with(&p->b, &p->a, "e", "e", NULL));
    load(&p->a, conn_with(&p->a, &p->b, "e", "c", NULL));
    go(p);
    assert_non_null(said(&p->b, FAULT_EAP_ONLY_PEER));
    assert_int_equal(p->a.done_fault, FAULT_PEER_REFUSES);
    assert_int_equal(p->b.eap_begun, 0);
    assert_refused(p);
    pair_free(p);
}

// RFC 7296 2.16 test: the key is not the same, so somebody is in between. The client is told in
// the same exchange; and it does not believe a gateway with another key either.
static void ends_with_different_keys_do_not_come_up(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct pair *p = pair_with("e", i == 1 ? "e" : "c");
        p->b.eap_key = i == 2 ? NULL : "another";
        go(p);
        assert_non_null(said(&p->b, FAULT_EAP_AUTH_WRONG));
        assert_int_equal(p->a.done_fault, FAULT_PEER_REFUSES);
        assert_refused(p);
        pair_free(p);
    }
}

// RFC 7296 2.16 test: a failure is told by EAP, the session ends on both sides at once.
static void a_login_that_fails_is_told(void **state)
{
    (void)state;
    struct pair *p = pair_with("e", "c");
    p->b.eap_refuses = true;
    go(p);
    assert_non_null(said(&p->b, FAULT_EAP_LOGIN));
    assert_int_equal(p->a.done_fault, FAULT_EAP_FAILED);
    assert_int_equal(sas_all(&p->b), 0);
    assert_refused(p);
    pair_free(p);
}

static void without_a_method_nothing_is_begun(void **state)
{
    (void)state;
    for (unsigned client = 0; client < 2; client++) {
        struct pair *p = pair_with("e", "c");
        (client ? &p->a : &p->b)->eap_unknown = true;
        go(p);
        assert_non_null(said(client ? &p->a : &p->b, FAULT_EAP_UNSUPPORTED));
        assert_non_null(said(client ? &p->b : &p->a, FAULT_PEER_REFUSES));
        assert_int_equal(sas_all(&p->b), 0);
        assert_refused(p);
        pair_free(p);
    }
}

// RFC 7296 2.16 test: ten exchanges at least, and not for ever.
static void so_many_messages_and_no_more(void **state)
{
    (void)state;
    for (unsigned extra = 0; extra < 2; extra++) {
        struct pair *p = pair_with("e", "c");
        p->a.eap_requests = p->b.eap_requests = MESSAGES_MAX - 1 + extra;
        go(p);
        run_for(p, nsec_seconds(10));
        if (extra) {
            assert_int_equal(p->a.done_fault,
                             FAULT_EAP_ENDLESS); // with Success it were one too many
            assert_refused(p);
        } else {
            assert_up(p, 1);
            assert_int_equal(requests_of(&p->a), MESSAGES_MAX + 1);
        }
        pair_free(p);
    }
}

// RFC 7296 3.16 test
static void malformed_messages_are_refused(void **state)
{
    (void)state;
    for (unsigned client = 0; client < 2; client++) {
        struct pair *p = pair_with("e", "c");
        (client ? &p->a : &p->b)->eap_garbled = true;
        go(p);
        assert_non_null(said(client ? &p->b : &p->a, FAULT_EAP_SYNTAX));
        assert_refused(p);
        pair_free(p);
    }
}

static void success_before_the_end_is_not_believed(void **state)
{
    (void)state;
    struct pair *p = pair_with("e", "c");
    p->a.eap_requests = 3; // the client's method is not through yet
    go(p);
    assert_int_equal(p->a.done_fault, FAULT_EAP_ORDER);
    assert_non_null(said(&p->b, FAULT_PEER_REFUSES));
    assert_refused(p);
    pair_free(p);
}

// RFC 4739 2.2, 2.3 test
static void logins_are_rounds_among_others(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *scheme;
    } rows[] = {
        {"ce", "c", "MADE_UP + EAP-MADE-UP"},    {"ee", "c", "EAP-MADE-UP + EAP-MADE-UP"},
        {"ec", "c", "EAP-MADE-UP + MADE_UP"},    {"pe", "p", "pre-shared key + EAP-MADE-UP"},
        {"ep", "e", "EAP-MADE-UP + pre-shared"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pair *p = pair_with(rows[i].a, rows[i].b);
        struct ike_sa_info info;
        go(p);
        assert_up(p, 1);
        assert_true(sa_first(&p->b, &info));
        assert_memory_equal(info.peer_scheme, rows[i].scheme, strlen(rows[i].scheme));
        assert_memory_equal(info.remote_id->bytes.at, "a2.example", 10);
        pair_free(p);
    }
}

// RFC 7296 2.16, RFC 7619 2 test: a gateway that asks for a password has proved itself.
static void rounds_that_do_not_go_together_are_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"e", "p"}, {"e", "0"}, {"e", "cc"}, {"c", "e"}, {"ce", "e"}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pair *p = pair_with(rows[i][0], rows[i][1]);
        go(p);
        assert_int_equal(p->a.done_fault, FAULT_EAP_ALONE);
        assert_refused(p);
        pair_free(p);
    }
    for (unsigned i = 0; i < 2; i++) { // the gateway sees it by itself, too
        struct pair *p = pair_new();
        load(&p->b, conn_with(&p->b, &p->a, i ? "0" : "p", "e", NULL));
        load(&p->a, conn_with(&p->a, &p->b, "e", "c", NULL));
        go(p);
        assert_non_null(said(&p->b, FAULT_EAP_ALONE));
        assert_int_equal(p->b.eap_begun, 0);
        pair_free(p);
    }
}

static void a_client_of_another_kind_is_told_apart(void **state)
{
    (void)state;
    for (unsigned eap = 0; eap < 2; eap++) {
        struct pair *p = pair_of(eap ? "e" : "c", "c", eap ? "c" : "e", NULL);
        go(p);
        assert_non_null(said(&p->b, FAULT_AUTH_METHOD));
        assert_non_null(said_text(&p->b, eap ? "a1.example authenticates with EAP" : "wants EAP"));
        assert_int_equal(p->a.done_fault, FAULT_PEER_REFUSES);
        pair_free(p);
    }
}

// What the client of another kind would do: it says that it has asked for something else.
static void a_response_must_be_what_was_asked_for(void **state)
{
    (void)state;
    for (unsigned eap = 0; eap < 2; eap++) {
        struct pair *p = pair_with(eap ? "e" : "c", "c");
        p->delay = nsec_ms(100);
        command(&p->a, IKE_INITIATE, NULL, "lan");
        run_for(p, nsec_ms(350)); // IKE_AUTH is on its way
        struct sa *sa = LIST_OWNER(struct sa, link, p->a.core->sas.next);
        assert_int_equal(sa->state, EXPECT_AUTH);
        sa->asking->asks_eap = !eap;
        run_for(p, nsec_seconds(1));
        assert_int_equal(p->a.done_fault, eap ? FAULT_EAP_UNASKED : FAULT_EAP_REFUSED);
        assert_int_equal(sas_up(&p->a), 0);
        pair_free(p);
    }
}

// AUTH before Success, and EAP behind it: the client's own state is turned round to make it.
static void auth_comes_behind_success_and_not_before(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        struct pair *p = pair_with("e", "c");
        p->delay = nsec_ms(100);
        command(&p->a, IKE_INITIATE, NULL, "lan");
        run_for(p, nsec_ms(late ? 550 : 750)); // it has answered with a Request, with Success
        struct sa *sa = LIST_OWNER(struct sa, link, p->b.core->sas.next);
        assert_int_equal(sa->state, EXPECT_EAP);
        sa->handshake->eap.is_through = late;
        run_for(p, nsec_seconds(1));
        assert_non_null(said(&p->b, FAULT_EAP_ORDER));
        assert_int_equal(p->a.done_fault, FAULT_PEER_REFUSES);
        assert_refused(p);
        pair_free(p);
    }
}

// RFC 8784 3 test: PPK_IDENTITY comes beside the client's first AUTH, behind EAP.
static void a_post_quantum_key_is_mixed_in_behind_eap(void **state)
{
    (void)state;
    static const char *const rounds[] = {"e", "ce", "ec"};
    for (unsigned i = 0; i < 6; i++) {
        struct pair *p = pair_of(rounds[i / 2], "c", rounds[i / 2], "group");
        bool both = i % 2;
        struct ike_sa_info info;
        p->a.ppk_id = p->b.ppk_id = "group";
        p->a.ppk = "quantum";
        p->b.ppk = "quantum";
        if (!both) p->b.ppk_id = "another group";
        go(p);
        assert_up(p, 1);
        assert_ends_agree(p);
        assert_true(sa_first(&p->a, &info));
        assert_int_equal(info.ppk, both);
        assert_true(sa_first(&p->b, &info));
        assert_int_equal(info.ppk, both);
        pair_free(p);
    }
}

// RFC 5685 6 test: behind the login the client is sent on, and both ends forget the SA.
static void a_client_is_sent_on_behind_its_login(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    p->a.eap_key = p->b.eap_key = "key";
    struct conn *gateway = conn_with(&p->b, &p->a, "c", "e", NULL);
    struct conn *client = conn_with(&p->a, &p->b, "e", "c", NULL);
    gateway->redirect_to = "192.0.2.77";
    client->follow_redirects = true;
    load(&p->b, gateway);
    load(&p->a, client);
    go(p);
    assert_non_null(said_text(&p->b, "is sent on to 192.0.2.77"));
    run_for(p, nsec_seconds(10));
    assert_up(p, 1); // there, which is the same host here
    assert_int_equal(p->b.eap_begun, 2);
    assert_int_equal(sas_all(&p->a) + sas_all(&p->b), 2);
    pair_free(p);
}

static void logins_survive_loss(void **state)
{
    (void)state;
    struct pair *p = pair_with("ec", "c");
    p->lose = lose_a_third;
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(200));
    assert_up(p, 1);
    pair_free(p);
}

// The gateway's half-open time runs anew with each message of the client's, and then it ends.
static void a_client_that_stops_is_forgotten(void **state)
{
    (void)state;
    struct pair *p = pair_with("e", "c");
    p->delay = nsec_ms(100);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_ms(650));
    p->lose_all_of_a = true;
    run_for(p, nsec_seconds(60));
    assert_int_equal(sas_all(&p->b), 0);
    assert_non_null(said(&p->b, FAULT_HALF_OPEN_TIMEOUT));
    pair_free(p);
}

// Only the one who answered is logged in to: an initiator does not become a gateway.
static void rekeying_and_reauthentication_go_on_as_usual(void **state)
{
    (void)state;
    struct pair *p = pair_with("e", "c");
    struct ike_in in = {.kind = IKE_IN_COMMAND};
    go(p);
    in.command =
        (struct ike_command){.number = 77, .kind = IKE_REKEY, .conn = "office", .reauth = true};
    step_in(&p->a, &in);
    run_for(p, nsec_seconds(20));
    assert_up(p, 1);
    assert_int_equal(p->b.eap_begun, 2); // it logs in again
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_logs_in_to_a_gateway_that_signs),
        cmocka_unit_test(a_method_without_a_key_goes_with_a_gateway_that_signs),
        cmocka_unit_test(a_method_that_proves_both_ends_is_enough),
        cmocka_unit_test(an_offer_of_eap_alone_may_be_passed_over),
        cmocka_unit_test(alone_a_method_must_prove_both_ends_by_a_key),
        cmocka_unit_test(a_client_that_wants_a_signature_is_not_served_by_eap_alone),
        cmocka_unit_test(ends_with_different_keys_do_not_come_up),
        cmocka_unit_test(a_login_that_fails_is_told),
        cmocka_unit_test(without_a_method_nothing_is_begun),
        cmocka_unit_test(so_many_messages_and_no_more),
        cmocka_unit_test(malformed_messages_are_refused),
        cmocka_unit_test(success_before_the_end_is_not_believed),
        cmocka_unit_test(logins_are_rounds_among_others),
        cmocka_unit_test(rounds_that_do_not_go_together_are_refused),
        cmocka_unit_test(a_client_of_another_kind_is_told_apart),
        cmocka_unit_test(a_response_must_be_what_was_asked_for),
        cmocka_unit_test(auth_comes_behind_success_and_not_before),
        cmocka_unit_test(a_post_quantum_key_is_mixed_in_behind_eap),
        cmocka_unit_test(a_client_is_sent_on_behind_its_login),
        cmocka_unit_test(logins_survive_loss),
        cmocka_unit_test(a_client_that_stops_is_forgotten),
        cmocka_unit_test(rekeying_and_reauthentication_go_on_as_usual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
