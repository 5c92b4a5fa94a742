// SPDX-License-Identifier: Apache-2.0
// The way between the ends: NAT, forced encapsulation, fragments, cookies, other key exchange
// groups, and traps that call.
#include "pair.h"

// --- NAT

static struct pair *pair_behind_nat(const struct conf_text *a, const struct conf_text *b)
{
    struct pair *p = pair_new();
    p->nat = (struct nat){
        .on = true, .outside = addr_v4(198, 51, 100, 7), .port_500 = 1500, .port_4500 = 14500};
    load_both(p, a, b);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    return p;
}

static const struct conf_text anybody = {.responder_only = true};

// RFC 7296 2.23 test
static void behind_a_nat_ports_change_to_4500(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct pair *p = pair_behind_nat(&text, &anybody);
    struct ike_sa_info a, b;
    assert_up(p, 1);
    assert_true(sa_first(&p->a, &a));
    assert_true(sa_first(&p->b, &b));
    assert_true(a.nat_local && !a.nat_remote && a.nat_any);
    assert_true(!b.nat_local && b.nat_remote);
    assert_int_equal(a.path.local.port, 4500);
    assert_int_equal(a.path.remote.port, 4500);
    assert_int_equal(b.path.remote.port, 14500);
    assert_true(a.path.encap && b.path.encap);
    for (size_t i = 0; i < p->b.sa_count; i++) assert_true(p->b.sas[i].spec.path.encap);
    // RFC 3948 4 test: only the end behind the NAT keeps it open
    run_for(p, nsec_seconds(100));
    assert_in_range(p->a.keepalives, 4, 5);
    assert_int_equal(p->b.keepalives, 0);
    pair_free(p);
}

// RFC 7296 2.23 test: the NAT forgets and gives another port.
static void a_peer_behind_a_nat_is_followed(void **state)
{
    (void)state;
    struct conf_text text = {.dpd_delay = nsec_seconds(30)};
    struct pair *p = pair_behind_nat(&text, &anybody);
    struct ike_sa_info b;
    p->nat.port_4500 = 24500;
    run_for(p, nsec_seconds(35));
    assert_true(sa_first(&p->b, &b));
    assert_int_equal(b.path.remote.port, 24500);
    assert_int_equal(p->b.events[IKE_EVENT_IKE_UPDATED], 1);
    for (size_t i = 0; i < p->b.sa_count; i++)
        assert_int_equal(p->b.sas[i].spec.path.remote.port, 24500);
    assert_up(p, 1);
    pair_free(p);
}

// A replayed message from elsewhere moves nobody.
static uint8_t kept[2000];
static size_t kept_size;
static bool keep_liveness(struct pair *p, const struct host *from, const uint8_t *bytes,
                          size_t size)
{
    if (from == &p->a && bytes[18] == EXCHANGE_INFORMATIONAL && size < sizeof kept) {
        memcpy(kept, bytes, size);
        kept_size = size;
    }
    return false;
}

static void a_replay_from_elsewhere_moves_nobody(void **state)
{
    (void)state;
    struct conf_text text = {.dpd_delay = nsec_seconds(30)};
    struct pair *p = pair_behind_nat(&text, &anybody);
    struct ike_sa_info b;
    p->lose = keep_liveness;
    run_for(p, nsec_seconds(35));
    assert_true(kept_size > 0);
    struct path elsewhere = {{p->b.addr, 4500}, {addr_v4(203, 0, 113, 9), 4500}, true};
    datagram(p, &p->b, &elsewhere, kept, kept_size);
    assert_true(sa_first(&p->b, &b));
    assert_int_equal(b.path.remote.port, 14500);
    kept[kept_size - 1] ^= 1; // forged, and as new as the next one
    kept[23]++;
    datagram(p, &p->b, &elsewhere, kept, kept_size);
    assert_true(sa_first(&p->b, &b));
    assert_int_equal(b.path.remote.port, 14500);
    run_for(p, nsec_seconds(60));
    assert_up(p, 1);
    pair_free(p);
}

static void encap_is_forced_without_a_nat(void **state)
{
    (void)state;
    struct conf_text a = {.encap = true}, b = {0};
    struct pair *p = pair_up_with(&a, &b);
    struct ike_sa_info of_a, of_b;
    assert_true(sa_first(&p->a, &of_a));
    assert_true(sa_first(&p->b, &of_b));
    assert_true(of_a.nat_any && of_b.nat_any && !of_a.nat_local);
    assert_int_equal(of_a.path.remote.port, 4500);
    for (size_t i = 0; i < p->a.sa_count; i++) assert_true(p->a.sas[i].spec.path.encap);
    pair_free(p);
}

// --- size

static size_t largest;
static bool measure(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    (void)p, (void)from, (void)bytes;
    if (size > largest) largest = size;
    return false;
}

// RFC 7383 2.5 test
static void large_messages_go_in_fragments(void **state)
{
    (void)state;
    struct conf_text text = {.auth = "pubkey", .cert_size = 7000};
    struct pair *p = pair_new();
    p->lose = measure;
    largest = 0;
    load_both(p, &text, &text);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    assert_in_range(largest, 1200, 1280 - 28);
    pair_free(p);
}

static bool lose_the_third_fragment_once(struct pair *p, const struct host *from,
                                         const uint8_t *bytes, size_t size)
{
    (void)from;
    bool third = size > 36 && bytes[16] == PAYLOAD_SKF && bytes[33] == 3;
    return third && p->lose_count++ < 2;
}

// RFC 7383 2.6.1 test
static void a_lost_fragment_is_sent_again(void **state)
{
    (void)state;
    struct conf_text text = {.auth = "pubkey", .cert_size = 7000};
    struct pair *p = pair_new();
    p->lose = lose_the_third_fragment_once;
    load_both(p, &text, &text);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(30));
    assert_up(p, 1);
    assert_int_equal(p->lose_count >= 2, 1);
    pair_free(p);
}

static void without_fragmentation_a_message_goes_whole(void **state)
{
    (void)state;
    struct conf_text a = {.auth = "pubkey", .cert_size = 7000, .no_fragmentation = true},
                     b = {.auth = "pubkey", .cert_size = 7000};
    struct pair *p = pair_new();
    p->lose = measure;
    largest = 0;
    load_both(p, &a, &b);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    assert_true(largest > 7000);
    pair_free(p);
}

// --- before a peer is known

// RFC 7296 2.6 test
static void under_load_a_cookie_comes_first(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct pair *p = pair_new();
    ike_free(p->b.core);
    p->settings.cookie_threshold = 0;
    p->b.core = ike_new(&p->b.rng.rng, &p->settings);
    load_both(p, &text, &text);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_ms(15));
    assert_int_equal(sas_all(&p->b), 0); // nothing is kept yet
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    assert_non_null(said_text(&p->a, "with the cookie that it wants"));
    pair_free(p);
}

// RFC 7296 1.2 test
static void the_group_that_the_responder_wants_is_taken(void **state)
{
    (void)state;
    struct conf_text a = {.proposals = "aes256gcm16-prfsha384-ecp256-x25519"},
                     b = {.proposals = "aes256gcm16-prfsha384-x25519"};
    struct pair *p = pair_up_with(&a, &b);
    struct ike_sa_info info;
    assert_true(sa_first(&p->a, &info));
    assert_int_equal(info.suite.ke, KE_CURVE_25519);
    assert_int_equal(ike_stats(p->b.core)->faults[FAULT_KE_GROUP_OTHER], 1);
    pair_free(p);
}

static void both_a_cookie_and_another_group(void **state)
{
    (void)state;
    struct conf_text a = {.proposals = "aes256gcm16-prfsha384-ecp256-x25519"},
                     b = {.proposals = "aes256gcm16-prfsha384-x25519"};
    struct pair *p = pair_new();
    ike_free(p->b.core);
    p->settings.cookie_threshold = 0;
    p->b.core = ike_new(&p->b.rng.rng, &p->settings);
    load_both(p, &a, &b);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    pair_free(p);
}

static uint8_t first_message[1000];
static size_t first_size;
static bool keep_first(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    if (from == &p->a && bytes[18] == EXCHANGE_IKE_SA_INIT && size < sizeof first_message) {
        memcpy(first_message, bytes, size);
        first_size = size;
    }
    return true;
}

// A flood of first messages: with cookies nothing is kept beyond the threshold, and no more than
// three bytes go out for each that comes in.
static void a_flood_leaves_nothing_behind(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct pair *p = pair_new();
    load_both(p, &text, &anybody);
    p->lose = keep_first;
    command(&p->a, IKE_INITIATE, NULL, "lan");
    assert_true(first_size > 0);
    uint64_t sent = p->b.sent_bytes, received = 0;
    for (unsigned i = 0; i < 5000; i++) {
        struct path path = {
            {p->b.addr, 500}, {addr_v4(203, 0, (uint8_t)(i >> 8), (uint8_t)i), 500}, false};
        first_message[7] = (uint8_t)i;
        first_message[6] = (uint8_t)(i >> 8);
        received += first_size;
        datagram(p, &p->b, &path, first_message, first_size);
    }
    assert_in_range(ike_stats(p->b.core)->half_open, 1, p->settings.cookie_threshold);
    assert_true(p->b.sent_bytes - sent <= 3 * received);
    run_for(p, nsec_seconds(40));
    assert_int_equal(ike_stats(p->b.core)->half_open, 0);
    assert_int_equal(ike_stats(p->b.core)->sas, 0);
    pair_free(p);
}

static void one_source_has_a_limit(void **state)
{
    (void)state;
    struct conf_text text = {0};
    struct pair *p = pair_new();
    ike_free(p->b.core);
    p->settings.cookie_threshold = 1000;
    p->settings.half_open_per_source_max = 10;
    p->b.core = ike_new(&p->b.rng.rng, &p->settings);
    load_both(p, &text, &text);
    p->lose = keep_first;
    command(&p->a, IKE_INITIATE, NULL, "lan");
    for (unsigned i = 0; i < 100; i++) {
        struct path path = {{p->b.addr, 500}, {p->a.addr, (uint16_t)(1000 + i)}, false};
        first_message[7] = (uint8_t)i;
        datagram(p, &p->b, &path, first_message, first_size);
    }
    assert_int_equal(ike_stats(p->b.core)->half_open, 10);
    assert_int_equal(ike_stats(p->b.core)->faults[FAULT_SOURCE_LIMIT], 90);
    pair_free(p);
}

// --- traps

static struct flow flow_to(uint8_t network)
{
    return (struct flow){.source = addr_v4(10, 1, 0, 5),
                         .destination = addr_v4(10, 2, network, 9),
                         .protocol = 6,
                         .source_port = 1234,
                         .destination_port = 80,
                         .ports_known = true};
}

static void acquire(struct host *host, uint32_t policy, struct flow flow)
{
    struct ike_in in = {.kind = IKE_IN_PLANE};
    in.plane = (struct ike_plane){.kind = IKE_PLANE_ACQUIRE, .policy = policy, .flow = flow};
    step_in(host, &in);
}

static void unload(struct host *host, const char *name)
{
    struct ike_in in = {.kind = IKE_IN_CONN_UNLOAD, .name = name};
    step_in(host, &in);
}

static void a_trap_calls_and_stays(void **state)
{
    (void)state;
    struct conf_text a = {.start_action = START_TRAP}, b = {0};
    struct pair *p = pair_new();
    load_both(p, &a, &b);
    assert_int_equal(p->a.policy_count, 1);
    assert_int_equal(p->a.policies[0].trap, POLICY_TRAP);
    assert_int_equal(p->a.sent, 0);
    uint32_t number = p->a.policies[0].number;
    acquire(&p->a, number, flow_to(0));
    acquire(&p->a, number, flow_to(0));
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    struct ike_child_info info;
    assert_true(child_first(&p->a, &info));
    assert_int_equal(info.policy, number);
    command(&p->a, IKE_TERMINATE, "office", NULL);
    run_for(p, nsec_seconds(6));
    assert_int_equal(p->a.policy_count, 1); // what must be protected is still held back
    assert_int_equal(p->a.policies[0].number, number);
    assert_int_equal(p->b.policy_count, 0);
    acquire(&p->a, number, flow_to(0));
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    unload(&p->a, "office");
    assert_int_equal(p->a.policy_count, 1); // of the child
    command(&p->a, IKE_TERMINATE, "office", NULL);
    run_for(p, nsec_seconds(1));
    assert_int_equal(p->a.policy_count, 0);
    pair_free(p);
}

// The peer narrows: what is left of the trap is blocked, and comes back afterwards.
static void a_narrowed_trap_leaks_nothing(void **state)
{
    (void)state;
    struct conf_text a = {.start_action = START_TRAP}, b = {.local_ts = {"10.2.3.0/24"}};
    struct pair *p = pair_new();
    load_both(p, &a, &b);
    uint32_t number = p->a.policies[0].number;
    struct selectors whole = p->a.policies[0].remote;
    acquire(&p->a, number, flow_to(3));
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    assert_int_equal(p->a.policy_count, 2);
    const struct policy_spec *narrow = &p->a.policies[0], *guard = &p->a.policies[1];
    assert_int_equal(
        guard->trap,
        POLICY_BLOCK); // where the policies stand: the first is still the trap's number
    assert_int_equal(narrow->number, number);
    assert_true(selectors_equal(&guard->remote, &whole));
    assert_true(selectors_within(&narrow->remote, &whole) &&
                !selectors_equal(&narrow->remote, &whole));
    command(&p->a, IKE_TERMINATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_int_equal(p->a.policy_count, 1);
    assert_true(selectors_equal(&p->a.policies[0].remote, &whole));
    pair_free(p);
}

static void start_brings_it_up_and_traps(void **state)
{
    (void)state;
    struct conf_text a = {.start_action = START_START}, b = {0};
    struct pair *p = pair_new();
    load_both(p, &a, &b);
    assert_int_equal(p->a.policy_count, 1); // nothing leaves meanwhile
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    assert_int_equal(p->a.policy_count, 1);
    // Loading the same again changes nothing.
    load(&p->a, conn_make(&p->a, &p->b, &a));
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    assert_int_equal(p->a.events[IKE_EVENT_CHILD_UP], 1);
    assert_int_equal(p->a.policy_count, 1);
    pair_free(p);
}

static void dynamic_selectors_are_the_addresses_in_use(void **state)
{
    (void)state;
    struct conf_text a = {.start_action = START_TRAP,
                          .local_ts = {"dynamic"},
                          .remote_ts = {"dynamic"},
                          .transport = true};
    struct conf_text b = {.local_ts = {"dynamic"}, .remote_ts = {"dynamic"}, .transport = true};
    struct pair *p = pair_new();
    load_both(p, &a, &b);
    assert_int_equal(p->a.policy_count, 1);
    acquire(&p->a, p->a.policies[0].number,
            (struct flow){.source = p->a.addr, .destination = p->b.addr, .protocol = 1});
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    struct ike_child_info info;
    assert_true(child_first(&p->b, &info));
    assert_int_equal(info.mode, MODE_TRANSPORT);
    assert_true(range_has(&info.local->at[0].range, &p->b.addr));
    assert_int_equal(info.local->count, 1);
    pair_free(p);
}

// RFC 7296 1.3.1 test
static void transport_mode_needs_both(void **state)
{
    (void)state;
    struct conf_text a = {.local_ts = {"dynamic"}, .remote_ts = {"dynamic"}, .transport = true},
                     b = {.local_ts = {"dynamic"}, .remote_ts = {"dynamic"}};
    struct pair *p = pair_up_with(&a, &b);
    struct ike_child_info info;
    assert_true(child_first(&p->a, &info));
    assert_int_equal(info.mode, MODE_TUNNEL);
    assert_int_equal(info.mode_asked, MODE_TRANSPORT);
    assert_string_equal(info.mode_why, "the peer did not take it");
    assert_true(child_first(&p->b, &info));
    assert_int_equal(info.mode_asked, MODE_TUNNEL);
    assert_null(info.mode_why);
    pair_free(p);
}

static void transport_mode_that_nobody_asked_for_is_said(void **state)
{
    (void)state;
    struct conf_text a = {.local_ts = {"dynamic"}, .remote_ts = {"dynamic"}},
                     b = {.local_ts = {"dynamic"}, .remote_ts = {"dynamic"}, .transport = true};
    struct pair *p = pair_up_with(&a, &b);
    struct ike_child_info info;
    assert_true(child_first(&p->b, &info));
    assert_int_equal(info.mode, MODE_TUNNEL);
    assert_string_equal(info.mode_why, "the peer did not ask for it");
    pair_free(p);
}

static void networks_in_transport_mode_are_for_gateways(void **state)
{
    (void)state;
    struct conf_text both = {.transport = true};
    struct pair *p = pair_up_with(&both, &both);
    struct ike_child_info info;
    assert_true(child_first(&p->a, &info));
    assert_int_equal(info.mode, MODE_GATEWAY_TRANSPORT);
    assert_int_equal(info.mode_asked, MODE_GATEWAY_TRANSPORT);
    assert_true(child_first(&p->b, &info));
    assert_int_equal(info.mode, MODE_GATEWAY_TRANSPORT);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behind_a_nat_ports_change_to_4500),
        cmocka_unit_test(a_peer_behind_a_nat_is_followed),
        cmocka_unit_test(a_replay_from_elsewhere_moves_nobody),
        cmocka_unit_test(encap_is_forced_without_a_nat),
        cmocka_unit_test(large_messages_go_in_fragments),
        cmocka_unit_test(a_lost_fragment_is_sent_again),
        cmocka_unit_test(without_fragmentation_a_message_goes_whole),
        cmocka_unit_test(under_load_a_cookie_comes_first),
        cmocka_unit_test(the_group_that_the_responder_wants_is_taken),
        cmocka_unit_test(both_a_cookie_and_another_group),
        cmocka_unit_test(a_flood_leaves_nothing_behind),
        cmocka_unit_test(one_source_has_a_limit),
        cmocka_unit_test(a_trap_calls_and_stays),
        cmocka_unit_test(a_narrowed_trap_leaks_nothing),
        cmocka_unit_test(start_brings_it_up_and_traps),
        cmocka_unit_test(dynamic_selectors_are_the_addresses_in_use),
        cmocka_unit_test(transport_mode_needs_both),
        cmocka_unit_test(transport_mode_that_nobody_asked_for_is_said),
        cmocka_unit_test(networks_in_transport_mode_are_for_gateways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
