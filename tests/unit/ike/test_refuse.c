// SPDX-License-Identifier: Apache-2.0
// What goes wrong between two ends: the fault, what each side says, and what is left.
#include "pair.h"

static struct pair *pair_tried(const struct conf_text *a, const struct conf_text *b, nsec span)
{
    struct pair *p = pair_new();
    load_both(p, a, b);
    command(&p->a, IKE_INITIATE, NULL, a->child[0] ? a->child[0] : "lan");
    run_for(p, span);
    return p;
}

static void assert_nothing_left(struct pair *p)
{
    assert_int_equal(sas_all(&p->a), 0);
    assert_int_equal(sas_all(&p->b), 0);
    assert_int_equal(p->a.sa_count, 0);
    assert_int_equal(p->b.sa_count, 0);
    assert_int_equal(p->a.policy_count, 0);
    assert_int_equal(p->b.policy_count, 0);
    assert_int_equal(ike_stats(p->a.core)->half_open, 0);
    assert_int_equal(ike_stats(p->b.core)->half_open, 0);
    assert_int_equal(ike_stats(p->a.core)->sas, 0);
    assert_int_equal(ike_deadline(p->a.core), NSEC_NEVER);
    assert_int_equal(ike_deadline(p->b.core), NSEC_NEVER);
}

static void assert_says(const struct host *host, enum fault fault, const char *part)
{
    const struct line *line = said(host, fault);
    if (!line || !strstr(line->text, part)) print_lines(host);
    assert_non_null(line);
    assert_non_null(strstr(line->text, part));
}

static void assert_done(const struct host *host, enum fault fault)
{
    if (host->done_count != 1 || host->done_fault != fault) print_lines(host);
    assert_int_equal(host->done_count, 1);
    assert_string_equal(fault_name(host->done_fault), fault_name(fault));
}

// RFC 7296 2.7 test
static void no_common_proposal_is_explained(void **state)
{
    (void)state;
    struct conf_text a = {.proposals = "aes256gcm16-prfsha384-x25519"},
                     b = {.proposals = "aes128-sha256-x25519"};
    struct pair *p = pair_tried(&a, &b, nsec_seconds(30));
    assert_done(&p->a, FAULT_PEER_NO_PROPOSAL);
    assert_says(&p->b, FAULT_NO_PROPOSAL_CHOSEN, "IKE_SA_INIT of 192.0.2.1:500 failed: ");
    assert_says(&p->b, FAULT_NO_PROPOSAL_CHOSEN, "aes256gcm16");
    assert_says(&p->b, FAULT_NO_PROPOSAL_CHOSEN, "aes128");
    assert_nothing_left(p);
    pair_free(p);
}

// RFC 7296 2.21.1 test: an unprotected error is not believed before it has been repeated.
static bool errors_from_nowhere(struct pair *p, const struct host *from, const uint8_t *bytes,
                                size_t size)
{
    if (from != &p->a || bytes[18] != EXCHANGE_IKE_SA_INIT || p->lose_count++) return false;
    uint8_t forged[36];
    memcpy(forged, bytes, 28);
    memset(forged + 8, 7, 8);
    forged[16] = PAYLOAD_NOTIFY;
    forged[19] = FLAG_RESPONSE;
    static const uint8_t rest[] = {0, 0, 0, 36, 0, 0, 0, 8, 0, 0, 0, NOTIFY_NO_PROPOSAL_CHOSEN};
    memcpy(forged + 24, rest, sizeof rest);
    struct flight *flight = &p->flights[p->flight_count++];
    *flight = (struct flight){
        p->now + nsec_ms(1), {{p->a.addr, 500}, {p->b.addr, 500}, false}, &p->a, malloc(36), 36};
    memcpy(flight->bytes, forged, 36);
    (void)size;
    return false;
}

static void a_forged_error_does_not_stop_the_exchange(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct pair *p = pair_new();
    p->lose = errors_from_nowhere;
    load_both(p, &text, &text);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_non_null(said(&p->a, FAULT_PEER_NO_PROPOSAL));
    assert_up(p, 1);
    pair_free(p);
}

// RFC 7296 2.21.1 test: a truthful answer comes again at once, and is named in time.
static void an_error_that_comes_again_is_believed_soon(void **state)
{
    (void)state;
    struct conf_text a = {.proposals = "aes128gcm16-prfsha256-ecp256"},
                     b = {.proposals = "aes256gcm16-prfsha384-ecp384"};
    struct pair *p = pair_tried(&a, &b, nsec_ms(900));
    assert_done(&p->a, FAULT_PEER_NO_PROPOSAL);
    assert_int_equal(p->a.sent, 2);
    pair_free(p);
}

// The tries that count come when they would have come without the error.
static void an_error_that_does_not_come_again_changes_nothing(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct pair *p = pair_new();
    p->lose = errors_from_nowhere;
    p->lose_all_of_b = true;
    load_both(p, &text, &text);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_ms(450));
    assert_int_equal(p->a.sent, 1);
    run_for(p, nsec_ms(100));
    assert_int_equal(p->a.sent, 2);
    run_for(p, nsec_ms(3400));
    assert_int_equal(p->a.sent, 2);
    run_for(p, nsec_ms(100)); // 4 s
    assert_int_equal(p->a.sent, 3);
    run_for(p, nsec_seconds(8)); // believed, as nothing better has come
    assert_int_equal(p->a.done_fault, FAULT_PEER_NO_PROPOSAL);
    pair_free(p);
}

static void a_wrong_psk_is_refused(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct pair *p = pair_new();
    p->b.psk = "another secret";
    load_both(p, &text, &text);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_says(&p->b, FAULT_PSK_WRONG, "IKE_AUTH of 192.0.2.1:500 failed");
    assert_done(&p->a, FAULT_PEER_REFUSES);
    assert_says(&p->a, FAULT_PEER_REFUSES, "AUTHENTICATION_FAILED");
    assert_nothing_left(p);
    pair_free(p);
}

// RFC 7296 2.21.2 test: the initiator refuses, and says so.
static void an_initiator_refuses_and_the_responder_forgets(void **state)
{
    (void)state;
    struct conf_text text = {.auth = "pubkey"};
    struct pair *p = pair_new();
    p->a.refuse_judge = true;
    load_both(p, &text, &text);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_done(&p->a, FAULT_SIGNATURE_WRONG);
    assert_non_null(said(&p->b, FAULT_PEER_REFUSES));
    assert_nothing_left(p);
    pair_free(p);
}

static void a_missing_key_ends_the_attempt(void **state)
{
    (void)state;
    struct conf_text text = {.auth = "pubkey"};
    struct pair *p = pair_new();
    p->a.refuse_sign = true;
    load_both(p, &text, &text);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(60));
    assert_done(&p->a, FAULT_PRIVATE_KEY_MISSING);
    assert_non_null(said(&p->b, FAULT_HALF_OPEN_TIMEOUT));
    assert_nothing_left(p);
    pair_free(p);
}

static void another_identity_is_named(void **state)
{
    (void)state;
    struct conf_text a = {.local_id = "somebody.example"}, b = {0};
    struct pair *p = pair_tried(&a, &b, nsec_seconds(1));
    assert_says(&p->b, FAULT_CONN_FOR_IDENTITIES,
                "the peer is somebody.example, connection office expects a.example");
    assert_done(&p->a, FAULT_PEER_REFUSES);
    assert_nothing_left(p);
    pair_free(p);
}

static void a_responder_with_another_identity_is_refused(void **state)
{
    (void)state;
    struct conf_text a = {.remote_id = "*.example"}, b = {.local_id = "b.elsewhere"};
    struct pair *p = pair_tried(&a, &b, nsec_seconds(1));
    assert_done(&p->a, FAULT_IDENTITY_OTHER);
    assert_says(&p->a, FAULT_IDENTITY_OTHER, "it is b.elsewhere, not *.example");
    assert_nothing_left(p);
    pair_free(p);
}

static void another_way_of_authentication_is_named(void **state)
{
    (void)state;
    struct conf_text a = {.auth = "psk"}, b = {.auth = "pubkey"};
    struct pair *p = pair_tried(&a, &b, nsec_seconds(1));
    assert_says(&p->b, FAULT_AUTH_METHOD, "connection office wants a signature");
    assert_nothing_left(p);
    pair_free(p);
}

static void no_connection_for_these_addresses(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct pair *p = pair_new();
    load(&p->a, conn_make(&p->a, &p->b, &text));
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(60));
    assert_non_null(said(&p->b, FAULT_CONN_FOR_ADDRESSES));
    assert_done(&p->a, FAULT_PEER_NO_PROPOSAL);
    assert_nothing_left(p);
    pair_free(p);
}

// RFC 7296 2.9 test
static void selectors_that_do_not_meet_leave_the_ike_sa(void **state)
{
    (void)state;
    struct conf_text a = {.remote_ts = {"10.77.0.0/16"}}, b = {0};
    struct pair *p = pair_tried(&a, &b, nsec_seconds(1));
    assert_done(&p->a, FAULT_PEER_TS_UNACCEPTABLE);
    assert_says(&p->b, FAULT_TS_UNACCEPTABLE, "10.77.0.0/16");
    assert_says(&p->b, FAULT_TS_UNACCEPTABLE, "10.2.0.0/16");
    assert_int_equal(sas_up(&p->a), 1);
    assert_int_equal(sas_up(&p->b), 1);
    assert_int_equal(p->a.sa_count, 0);
    assert_int_equal(p->b.policy_count, 0);
    pair_free(p);
}

static void child_proposals_that_do_not_meet_leave_the_ike_sa(void **state)
{
    (void)state;
    struct conf_text a = {.esp = "aes256gcm16"}, b = {.esp = "chacha20poly1305"};
    struct pair *p = pair_tried(&a, &b, nsec_seconds(1));
    assert_done(&p->a, FAULT_PEER_NO_PROPOSAL);
    assert_says(&p->b, FAULT_NO_PROPOSAL_CHOSEN, "chacha20poly1305");
    assert_int_equal(sas_up(&p->b), 1);
    pair_free(p);
}

// RFC 7296 2.9 test: the responder takes the part that it can.
static void selectors_are_narrowed(void **state)
{
    (void)state;
    struct conf_text a = {.remote_ts = {"10.0.0.0/8"}}, b = {.local_ts = {"10.2.3.0/24"}};
    struct pair *p = pair_up_with(&a, &b);
    struct ike_child_info info;
    struct selector narrow;
    assert_int_equal(selector_parse("10.2.3.0/24", &narrow), OK);
    assert_true(child_first(&p->a, &info));
    assert_int_equal(info.remote->count, 1);
    assert_true(selector_equal(&info.remote->at[0], &narrow));
    pair_free(p);
}

// RFC 7296 2.4 test: 4, 7.2, 13, 23, 42, 76 seconds
static void a_peer_that_does_not_answer_is_given_up(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct pair *p = pair_new();
    load_both(p, &text, &text);
    p->lose_all_of_b = true;
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(164));
    assert_int_equal(p->a.sent, 6);
    assert_int_equal(p->a.done_count, 0);
    run_for(p, nsec_seconds(2));
    assert_done(&p->a, FAULT_PEER_UNREACHABLE);
    assert_says(&p->a, FAULT_PEER_UNREACHABLE,
                "IKE_SA_INIT to 192.0.2.2:500 was sent 6 times without an answer");
    run_for(p, nsec_seconds(60));
    assert_nothing_left(p);
    pair_free(p);
}

static void it_is_tried_as_often_as_keyingtries_says(void **state)
{
    (void)state;
    struct conf_text text = {.keyingtries = 3};
    struct pair *p = pair_new();
    load_both(p, &text, &text);
    p->lose_all_of_a = true;
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(400));
    assert_int_equal(p->a.done_count, 0);
    run_for(p, nsec_seconds(200));
    assert_done(&p->a, FAULT_PEER_UNREACHABLE);
    assert_int_equal(p->a.sent, 18);
    assert_int_equal(p->a.resolve_tries, 3);
    assert_nothing_left(p);
    pair_free(p);
}

static void a_first_message_that_gets_lost_is_repeated(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct pair *p = pair_new();
    load_both(p, &text, &text);
    p->lose_all_of_b = true;
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    p->lose_all_of_b = false;
    run_for(p, nsec_seconds(5));
    assert_up(p, 1);
    assert_int_equal(ike_stats(p->b.core)->retransmits_received, 1); // answered from what was kept
    assert_int_equal(ike_stats(p->b.core)->sas, 1);
    pair_free(p);
}

// RFC 7296 2.4 test
static void liveness_finds_a_dead_peer(void **state)
{
    (void)state;
    struct conf_text a = {.dpd_delay = nsec_seconds(30)}, b = {0};
    struct pair *p = pair_up_with(&a, &b);
    run_for(p, nsec_seconds(200));
    assert_int_equal(sas_up(&p->a), 1);
    uint64_t sent = p->a.sent;
    assert_in_range(sent, 6, 10); // one check each 30 seconds
    p->lose_all_of_b = true;
    run_for(p, nsec_seconds(240));
    assert_int_equal(sas_all(&p->a), 0);
    assert_non_null(said(&p->a, FAULT_PEER_LIVES_NOT));
    assert_int_equal(p->a.sa_count, 0);
    assert_int_equal(p->a.events[IKE_EVENT_CHILD_DOWN], 1);
    pair_free(p);
}

static void traffic_is_a_sign_of_life(void **state)
{
    (void)state;
    struct conf_text a = {.dpd_delay = nsec_seconds(30)}, b = {0};
    struct pair *p = pair_up_with(&a, &b);
    struct ike_child_info info;
    assert_true(child_first(&p->a, &info));
    uint64_t sent = p->a.sent;
    for (unsigned i = 0; i < 20; i++) {
        usage(&p->a, info.spi_in, SA_IN, i + 1, 100 * (i + 1));
        usage(&p->b, info.spi_out, SA_IN, i + 1, 100 * (i + 1));
        run_for(p, nsec_seconds(10));
    }
    assert_int_equal(p->a.sent, sent);
    pair_free(p);
}

// dpd_action = restart
static void a_dead_peer_is_called_again(void **state)
{
    (void)state;
    struct conf_text a = {.dpd_delay = nsec_seconds(30), .dpd_action = AFTER_RESTART}, b = {0};
    struct pair *p = pair_up_with(&a, &b);
    p->lose_all_of_b = true;
    run_for(p, nsec_seconds(200));
    p->lose_all_of_b = false;
    run_for(p, nsec_seconds(60));
    assert_int_equal(sas_up(&p->a), 1);
    assert_int_equal(children(&p->a), 1);
    // RFC 7296 2.4 test: INITIAL_CONTACT makes the other end forget the SA from before.
    assert_up(p, 1);
    assert_non_null(said(&p->b, FAULT_SUPERSEDED));
    pair_free(p);
}

// close_action = restart
static void a_child_closed_by_the_peer_is_made_again(void **state)
{
    (void)state;
    struct conf_text a = {.close_action = AFTER_RESTART}, b = {0};
    struct pair *p = pair_up_with(&a, &b);
    command(&p->b, IKE_TERMINATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    command(&p->b, IKE_TERMINATE, "office", NULL);
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    pair_free(p);
}

static void unique_keep_refuses_the_second(void **state)
{
    (void)state;
    struct conf_text a = {.unique = UNIQUE_NEVER}, b = {.unique = UNIQUE_KEEP};
    struct pair *p = pair_up_with(&a, &b);
    // a loses its memory without telling
    ike_free(p->a.core);
    p->a.core = ike_new(&p->a.rng.rng, &p->settings);
    p->a.sa_count = p->a.policy_count = p->a.done_count = 0;
    load(&p->a, conn_make(&p->a, &p->b, &a));
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(2));
    assert_non_null(said(&p->b, FAULT_UNIQUE_KEPT));
    assert_done(&p->a, FAULT_PEER_REFUSES);
    pair_free(p);
}

static void terminate_ends_everything(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    p->a.done_count = 0;
    command(&p->a, IKE_TERMINATE, "office", NULL);
    run_for(p, nsec_seconds(1));
    assert_done(&p->a, OK);
    assert_nothing_left(p);
    assert_int_equal(p->b.events[IKE_EVENT_IKE_DOWN], 1);
    assert_non_null(said(&p->b, FAULT_PEER_CLOSED));
    pair_free(p);
}

static void terminate_ends_what_is_still_connecting(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct pair *p = pair_new();
    load_both(p, &text, &text);
    p->lose_all_of_b = true;
    uint32_t number = command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_int_equal(p->a.done_count, 0);
    command(&p->a, IKE_TERMINATE, "office", NULL);
    assert_int_equal(p->a.done_count, 2);   // both are done
    assert_int_equal(p->a.first_done_command, number);
    assert_int_equal(p->a.first_done_fault, FAULT_TERMINATED);
    run_for(p, nsec_seconds(40));
    assert_nothing_left(p);
    pair_free(p);
}

static void terminate_of_nothing_says_so(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    command(&p->a, IKE_TERMINATE, "office", NULL);
    assert_done(&p->a, FAULT_NOTHING_MATCHES);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    assert_int_equal(p->a.done_fault, FAULT_CONN_UNKNOWN);
    pair_free(p);
}

// RFC 6023 3 test
static void an_ike_sa_comes_up_without_a_child(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct pair *p = pair_new();
    load_both(p, &text, &text);
    command(&p->a, IKE_INITIATE, "office", NULL);
    run_for(p, nsec_seconds(1));
    assert_done(&p->a, OK);
    assert_up(p, 0);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    pair_free(p);
}

static void a_peer_without_childless_is_named(void **state)
{
    (void)state;
    struct conf_text a = {0}, b = {.childless = CHILDLESS_NEVER};
    struct pair *p = pair_new();
    load_both(p, &a, &b);
    command(&p->a, IKE_INITIATE, "office", NULL);
    run_for(p, nsec_seconds(1));
    assert_done(&p->a, FAULT_CHILDLESS_UNSUPPORTED);
    pair_free(p);
}

static void further_children_join_the_ike_sa(void **state)
{
    (void)state;
    struct conf_text a = {.child = {"one", "two", "six"},
                          .local_ts = {"10.1.0.0/24", "10.1.1.0/24", "fd01::/64"},
                          .remote_ts = {"10.2.0.0/24", "10.2.1.0/24", "fd02::/64"},
                          .start_action = START_START};
    struct conf_text b = {.child = {"one", "two", "six"},
                          .local_ts = {"10.2.0.0/24", "10.2.1.0/24", "fd02::/64"},
                          .remote_ts = {"10.1.0.0/24", "10.1.1.0/24", "fd01::/64"}};
    struct pair *p = pair_new();
    load_both(p, &a, &b);
    run_for(p, nsec_seconds(2));
    assert_up(p, 3);
    assert_int_equal(p->a.policy_count, 3);
    pair_free(p);
}

static void an_inactive_child_is_closed(void **state)
{
    (void)state;
    struct conf_text a = {.inactivity = nsec_seconds(60)}, b = {0};
    struct pair *p = pair_up_with(&a, &b);
    run_for(p, nsec_seconds(59));
    assert_up(p, 1);
    run_for(p, nsec_seconds(5));
    assert_up(p, 0);
    assert_non_null(said(&p->a, FAULT_CHILD_INACTIVE));
    pair_free(p);
}

static void a_child_may_be_unwanted(void **state)
{
    (void)state;
    struct conf_text a = {0}, b = {.childless = CHILDLESS_FORCE};
    struct pair *p = pair_new();
    load_both(p, &a, &b);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_non_null(said(&p->b, FAULT_CHILD_UNWANTED));
    assert_int_equal(sas_up(&p->b), 1);
    pair_free(p);
}

static void a_virtual_address_that_is_not_given_fails_the_child(void **state)
{
    (void)state;
    struct conf_text a = {.vip = "0.0.0.0", .local_ts = {"dynamic"}},
                     b = {.remote_ts = {"10.9.0.0/24"}};
    struct pair *p = pair_new();
    load_both(p, &a, &b);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_int_equal(p->a.done_fault, FAULT_PEER_ADDRESS);
    assert_int_equal(sas_all(&p->a), 0);  // and no child without it can be made later
    assert_int_equal(children(&p->b), 0); // b has made it and is told
    pair_free(p);
}

static void kinds_of_authentication_that_are_not_supported_are_refused(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct pair *p = pair_new();
    struct conn *conn = conn_make(&p->a, &p->b, &text);
    conn->local[0].auth = AUTH_CLASS_XAUTH;
    load(&p->b, conn_make(&p->b, &p->a, &text));
    load(&p->a, conn);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_int_equal(p->a.done_fault, FAULT_AUTH_UNSUPPORTED);
    pair_free(p);
}

static void what_only_passes_cannot_be_initiated(void **state)
{
    (void)state;
    struct conf_text text = {.start_action = START_TRAP};
    struct pair *p = pair_new();
    struct conn *conn = conn_make(&p->a, &p->b, &text);
    conn->children[0].action = POLICY_BYPASS;
    load(&p->a, conn);
    assert_int_equal(p->a.policy_count, 1);
    assert_int_equal(p->a.policies[0].action, POLICY_BYPASS);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    assert_int_equal(p->a.done_fault, FAULT_CHILD_WITHOUT_SA);
    pair_free(p);
}

static void the_data_plane_may_refuse(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    struct ike_child_info info;
    assert_true(child_first(&p->a, &info));
    struct ike_in in = {.kind = IKE_IN_PLANE};
    in.plane =
        (struct ike_plane){.kind = IKE_PLANE_FAILED, .spi = info.spi_in, .fault = FAULT_SA_MODE};
    step_in(&p->a, &in);
    run_for(p, nsec_seconds(1));
    assert_non_null(said(&p->a, FAULT_SA_MODE));
    assert_up(p, 0);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_common_proposal_is_explained),
        cmocka_unit_test(a_forged_error_does_not_stop_the_exchange),
        cmocka_unit_test(an_error_that_comes_again_is_believed_soon),
        cmocka_unit_test(an_error_that_does_not_come_again_changes_nothing),
        cmocka_unit_test(a_wrong_psk_is_refused),
        cmocka_unit_test(an_initiator_refuses_and_the_responder_forgets),
        cmocka_unit_test(a_missing_key_ends_the_attempt),
        cmocka_unit_test(another_identity_is_named),
        cmocka_unit_test(a_responder_with_another_identity_is_refused),
        cmocka_unit_test(another_way_of_authentication_is_named),
        cmocka_unit_test(no_connection_for_these_addresses),
        cmocka_unit_test(selectors_that_do_not_meet_leave_the_ike_sa),
        cmocka_unit_test(child_proposals_that_do_not_meet_leave_the_ike_sa),
        cmocka_unit_test(selectors_are_narrowed),
        cmocka_unit_test(a_peer_that_does_not_answer_is_given_up),
        cmocka_unit_test(it_is_tried_as_often_as_keyingtries_says),
        cmocka_unit_test(a_first_message_that_gets_lost_is_repeated),
        cmocka_unit_test(liveness_finds_a_dead_peer),
        cmocka_unit_test(traffic_is_a_sign_of_life),
        cmocka_unit_test(a_dead_peer_is_called_again),
        cmocka_unit_test(a_child_closed_by_the_peer_is_made_again),
        cmocka_unit_test(unique_keep_refuses_the_second),
        cmocka_unit_test(terminate_ends_everything),
        cmocka_unit_test(terminate_ends_what_is_still_connecting),
        cmocka_unit_test(terminate_of_nothing_says_so),
        cmocka_unit_test(an_ike_sa_comes_up_without_a_child),
        cmocka_unit_test(a_peer_without_childless_is_named),
        cmocka_unit_test(further_children_join_the_ike_sa),
        cmocka_unit_test(an_inactive_child_is_closed),
        cmocka_unit_test(a_child_may_be_unwanted),
        cmocka_unit_test(a_virtual_address_that_is_not_given_fails_the_child),
        cmocka_unit_test(kinds_of_authentication_that_are_not_supported_are_refused),
        cmocka_unit_test(what_only_passes_cannot_be_initiated),
        cmocka_unit_test(the_data_plane_may_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
