// SPDX-License-Identifier: Apache-2.0
// IKE over TCP (RFC 9329): which path is taken, and what is different on it.
#include "pair.h"

static struct pair *pair_over(uint8_t tcp, bool stops_udp)
{
    struct conf_text a = {.tcp = tcp}, b = {0};
    struct pair *p = pair_new();
    p->stops_udp = stops_udp;
    load_both(p, &a, &b);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    return p;
}

static void assert_stream(const struct pair *p, bool expected)
{
    struct ike_sa_info a, b;
    assert_true(sa_first(&p->a, &a) && sa_first(&p->b, &b));
    assert_int_equal(a.path.stream, expected);
    assert_int_equal(b.path.stream, expected);
    for (size_t i = 0; i < p->a.sa_count; i++) {
        assert_int_equal(p->a.sas[i].spec.path.stream, expected);
        if (expected) assert_true(p->a.sas[i].spec.path.encap);
    }
}

static void with_yes_all_goes_over_tcp(void **state)
{
    (void)state;
    struct pair *p = pair_over(TCP_ALWAYS, true);
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    assert_stream(p, true);
    struct ike_sa_info a;
    assert_true(sa_first(&p->a, &a));
    assert_int_equal(a.path.remote.port, 4500);
    assert_false(a.nat_local || a.nat_remote || a.nat_any);
    command(&p->a, IKE_REKEY, "office", NULL);
    run_for(p, nsec_seconds(1));
    command(&p->b, IKE_REKEY, NULL, "lan");
    run_for(p, nsec_seconds(20));
    assert_up(p, 1);
    assert_stream(p, true);
    assert_int_equal(p->a.keepalives, 0); // RFC 9329 6.6
    pair_free(p);
}

// RFC 9329 5.1 test
static void with_fallback_udp_comes_first(void **state)
{
    (void)state;
    struct pair *p = pair_over(TCP_FALLBACK, false);
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    assert_stream(p, false);
    pair_free(p);

    p = pair_over(TCP_FALLBACK, true);
    run_for(p, nsec_seconds(10));
    assert_int_equal(sas_up(&p->a), 0); // it is still sent by UDP again
    assert_int_equal(ike_stats(p->a.core)->retransmits_sent, 1);
    run_for(p, nsec_seconds(20));
    assert_up(p, 1);
    assert_stream(p, true);
    assert_int_equal(p->a.first_done_fault, OK); // the command that asked for it lived on
    pair_free(p);
}

static void without_it_tcp_is_never_tried(void **state)
{
    (void)state;
    struct pair *p = pair_over(TCP_NEVER, true);
    run_for(p, nsec_seconds(300));
    assert_int_equal(sas_all(&p->a), 0);
    assert_non_null(said(&p->a, FAULT_PEER_UNREACHABLE));
    pair_free(p);
}

// RFC 9329 6.4 test
static void an_error_over_tcp_is_believed_at_once(void **state)
{
    (void)state;
    struct conf_text a = {.tcp = TCP_ALWAYS, .proposals = "aes256gcm16-prfsha384-ecp384"}, b = {0};
    struct pair *p = pair_new();
    load_both(p, &a, &b);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_int_equal(sas_all(&p->a), 0);
    assert_int_equal(p->a.first_done_fault, FAULT_PEER_NO_PROPOSAL);
    pair_free(p);
}

static void lose_connection(struct pair *p)
{
    struct ike_sa_info a;
    assert_true(sa_first(&p->a, &a));
    struct ike_in in = {.kind = IKE_IN_PLANE};
    in.plane = (struct ike_plane){
        .kind = IKE_PLANE_STREAM_CLOSED, .from = a.path.remote, .local = a.path.local};
    step_in(&p->a, &in);
}

// RFC 9329 6.1 test
static void who_connected_says_so_anew_when_the_connection_is_lost(void **state)
{
    (void)state;
    struct pair *p = pair_over(TCP_ALWAYS, true);
    run_for(p, nsec_seconds(10));
    unsigned sent = p->a.sent;
    lose_connection(p);
    assert_int_equal(p->a.sent, sent + 1); // a liveness check, which opens the connection
    lose_connection(p);                    // at once again: not more than one a second
    assert_int_equal(p->a.sent, sent + 1);
    run_for(p, nsec_seconds(2));
    assert_up(p, 1);
    pair_free(p);
}

// RFC 9329 6.1 test
static void who_was_connected_to_follows_the_connection(void **state)
{
    (void)state;
    struct pair *p = pair_over(TCP_ALWAYS, true);
    run_for(p, nsec_seconds(10));
    struct ike_sa_info a, b;
    assert_true(sa_first(&p->b, &b));
    uint16_t former = b.path.remote.port;
    p->stream_port = (uint16_t)(former + 1); // a new connection comes from another port
    lose_connection(p);
    run_for(p, nsec_seconds(2));
    assert_true(sa_first(&p->a, &a) && sa_first(&p->b, &b));
    assert_int_equal(b.path.remote.port, (uint16_t)(former + 1));
    assert_int_equal(a.path.remote.port, 4500);
    for (size_t i = 0; i < p->b.sa_count; i++)
        assert_int_equal(p->b.sas[i].spec.path.remote.port, (uint16_t)(former + 1));
    assert_up(p, 1);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_yes_all_goes_over_tcp),
        cmocka_unit_test(with_fallback_udp_comes_first),
        cmocka_unit_test(without_it_tcp_is_never_tried),
        cmocka_unit_test(an_error_over_tcp_is_believed_at_once),
        cmocka_unit_test(who_connected_says_so_anew_when_the_connection_is_lost),
        cmocka_unit_test(who_was_connected_to_follows_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
