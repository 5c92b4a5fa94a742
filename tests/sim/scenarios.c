// SPDX-License-Identifier: Apache-2.0
// What may happen between two hosts, each scenario named after what it claims. They are played with many seeds.
#include "sim.h"
#include <stdio.h>

#define UP_LIMIT nsec_seconds(120)

static void up(struct sim *sim)
{
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    enum fault fault;
    sim_run(sim, nsec_seconds(1));
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && !fault);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 1 && sim_children(SIM_B(sim), "lan") == 1);
    CHECK(sim, sim_paired(sim));
}

// One child, one IKE SA, agreed on by both, and no SA of the data plane left over.
static void one_of_all(struct sim *sim)
{
    CHECK(sim, sim_sas(SIM_A(sim)) == 1 && sim_sas(SIM_B(sim)) == 1);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 1 && sim_children(SIM_B(sim), "lan") == 1);
    CHECK(sim, sim_paired(sim));
    CHECK(sim, SIM_A(sim)->sa_count == 2 && SIM_B(sim)->sa_count == 2);
}

static void nothing_of_all(struct sim *sim)
{
    for (size_t i = 0; i < 2; i++) {
        CHECK(sim, sim_sas(&sim->hosts[i]) == 0 && ike_sa_after(sim->hosts[i].core, 0) == 0);
        CHECK(sim, sim->hosts[i].sa_count == 0 && sim->hosts[i].policy_count == 0);
    }
}

static void a_child_comes_up(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    up(sim);
    one_of_all(sim);
    CHECK(sim, SIM_A(sim)->sent == 2 && SIM_B(sim)->sent == 2);   // RFC 7296 1.2 test: two exchanges
}

// RFC 7296 2.1 test: lost messages are sent again.
static void it_comes_up_under_loss(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim->loss_percent = 30;
    sim->jitter = nsec_ms(200);
    sim->duplicate_percent = 10;
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, UP_LIMIT);
    sim_quiesce(sim);
    // Either it is up at both ends or, when all tries of a request were lost, at none for long.
    if (sim_children(SIM_A(sim), "lan")) one_of_all(sim);
}

static void both_ends_initiate_at_once(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim->jitter = nsec_ms(30);
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_command(SIM_B(sim), "up lan");
    sim_run(sim, nsec_seconds(5));
    sim_quiesce(sim);
    CHECK(sim, sim_children(SIM_A(sim), "lan") >= 1 && sim_paired(sim));
}

static void two_children_share_an_ike_sa(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    up(sim);
    sim_command(SIM_A(sim), "up other");
    sim_run(sim, nsec_seconds(1));
    CHECK(sim, sim_sas(SIM_A(sim)) == 1 && sim_children(SIM_A(sim), "other") == 1 && sim_children(SIM_B(sim), "other") == 1);
    CHECK(sim, sim_paired(sim));
}

static void rekey_of(struct sim *sim, uint64_t seed, struct sim_host *(*end)(struct sim *), const char *command, bool lossy)
{
    sim_pair(sim, seed, "", "");
    up(sim);
    sim->traffic = true;
    sim_run(sim, nsec_seconds(1));
    if (lossy) {
        sim->loss_percent = 20;
        sim->jitter = nsec_ms(50);
        sim->duplicate_percent = 10;
    }
    uint64_t before = SIM_A(sim)->events[IKE_EVENT_CHILD_REKEYED] + SIM_A(sim)->events[IKE_EVENT_IKE_REKEYED];
    sim_command(end(sim), command);
    sim_run(sim, nsec_seconds(100));
    sim_quiesce(sim);
    CHECK(sim, SIM_A(sim)->events[IKE_EVENT_CHILD_REKEYED] + SIM_A(sim)->events[IKE_EVENT_IKE_REKEYED] > before);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    one_of_all(sim);
}

static struct sim_host *end_a(struct sim *sim) { return SIM_A(sim); }
static struct sim_host *end_b(struct sim *sim) { return SIM_B(sim); }

// RFC 7296 2.8 test: traffic goes on while keys change.
static void the_initiator_rekeys_the_child(struct sim *sim, uint64_t seed) { rekey_of(sim, seed, end_a, "rekey lan", false); }
static void the_responder_rekeys_the_child(struct sim *sim, uint64_t seed) { rekey_of(sim, seed, end_b, "rekey lan", false); }
static void the_initiator_rekeys_the_ike_sa(struct sim *sim, uint64_t seed) { rekey_of(sim, seed, end_a, "rekey ike", false); }
static void the_responder_rekeys_the_ike_sa(struct sim *sim, uint64_t seed) { rekey_of(sim, seed, end_b, "rekey ike", false); }
static void a_child_is_rekeyed_under_loss(struct sim *sim, uint64_t seed) { rekey_of(sim, seed, end_a, "rekey lan", true); }
static void an_ike_sa_is_rekeyed_under_loss(struct sim *sim, uint64_t seed) { rekey_of(sim, seed, end_b, "rekey ike", true); }

static void both_do(struct sim *sim, uint64_t seed, const char *a, const char *b)
{
    sim_pair(sim, seed, "", "");
    sim->jitter = nsec_ms(15);
    up(sim);
    sim->traffic = true;
    sim_run(sim, nsec_seconds(1));
    sim_command(SIM_A(sim), a);
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 60)));
    sim_command(SIM_B(sim), b);
    sim_run(sim, nsec_seconds(30));
    sim_quiesce(sim);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    one_of_all(sim);
}

// RFC 7296 2.8.1 test
static void both_ends_rekey_the_child_at_once(struct sim *sim, uint64_t seed) { both_do(sim, seed, "rekey lan", "rekey lan"); }
// RFC 7296 2.8.2 test
static void both_ends_rekey_the_ike_sa_at_once(struct sim *sim, uint64_t seed) { both_do(sim, seed, "rekey ike", "rekey ike"); }
// RFC 7296 2.25.1 test
static void a_child_is_rekeyed_while_the_ike_sa_is(struct sim *sim, uint64_t seed) { both_do(sim, seed, "rekey ike", "rekey lan"); }

static void rekey_against_delete(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim->jitter = nsec_ms(15);
    up(sim);
    sim_command(SIM_A(sim), "rekey lan");
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 60)));
    sim_command(SIM_B(sim), "down lan");
    sim_quiesce(sim);
    CHECK(sim, sim_paired(sim));
    CHECK(sim, sim_children(SIM_A(sim), "lan") == sim_children(SIM_B(sim), "lan"));
}

static void both_ends_delete_the_child_at_once(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim->jitter = nsec_ms(15);
    up(sim);
    sim_command(SIM_A(sim), "down lan");
    sim_command(SIM_B(sim), "down lan");
    sim_quiesce(sim);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 0 && sim_children(SIM_B(sim), "lan") == 0);
    CHECK(sim, SIM_A(sim)->sa_count == 0 && SIM_B(sim)->sa_count == 0);
}

static void down_leaves_nothing(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    up(sim);
    uint32_t command = sim_command(seed % 2 ? SIM_A(sim) : SIM_B(sim), "down ike");
    sim_run(sim, nsec_seconds(20));
    enum fault fault;
    CHECK(sim, sim_done(seed % 2 ? SIM_A(sim) : SIM_B(sim), command, &fault) && !fault);
    nothing_of_all(sim);
}

static void both_ends_take_the_ike_sa_down(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim->jitter = nsec_ms(30);
    up(sim);
    sim_command(SIM_A(sim), "down ike");
    sim_command(SIM_B(sim), "down ike");
    sim_quiesce(sim);
    nothing_of_all(sim);
}

static void an_unreachable_peer_is_given_up(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    SIM_B(sim)->cut = true;
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(200));   // 4 s growing by 1.8, five times: 165 s
    enum fault fault;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && fault);
    CHECK(sim, SIM_A(sim)->sent == 6);
    SIM_B(sim)->cut = false;
    nothing_of_all(sim);
}

// RFC 7296 2.4 test: liveness finds out that the peer is gone.
static void a_dead_peer_is_noticed(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "dpd_delay = 10s", "", "", "");
    up(sim);
    SIM_B(sim)->cut = true;
    sim_run(sim, nsec_seconds(200));
    CHECK(sim, sim_sas(SIM_A(sim)) == 0 && SIM_A(sim)->sa_count == 0);
}

static void a_restarted_peer_replaces_its_sa(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    up(sim);
    sim_reload(SIM_A(sim));
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(2));
    sim_quiesce(sim);
    one_of_all(sim);   // RFC 7296 2.4 test: INITIAL_CONTACT took the old one away
}

static void a_wrong_secret_is_refused(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    SIM_B(sim)->secret = "another";
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(200));
    enum fault fault;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && fault);
    CHECK(sim, SIM_B(sim)->fault_counts[FAULT_PSK_WRONG] == 1);
    nothing_of_all(sim);
}

static void a_packet_triggers_the_trap(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", "start_action = trap", "", "");
    sim_start(sim);
    CHECK(sim, SIM_A(sim)->policy_count == 2 && SIM_B(sim)->policy_count == 0);
    // The plane of a reports a packet; the core must make the SA for the very policy.
    sim_run(sim, nsec_ms(10));
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(1));
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 1);
    CHECK(sim, SIM_A(sim)->policy_count == 2);
    sim_command(SIM_A(sim), "down ike");
    sim_quiesce(sim);
    CHECK(sim, SIM_A(sim)->policy_count == 2);   // the trap stays: nothing may leak
}

static void lifetimes_rekey_by_themselves(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "rekey_time = 300s", "rekey_time = 100s");
    up(sim);
    sim->traffic = true;
    sim_run(sim, nsec_seconds(1000));
    sim->traffic = false;
    sim_run(sim, nsec_seconds(7));
    CHECK(sim, SIM_A(sim)->events[IKE_EVENT_CHILD_REKEYED] >= 8 && SIM_A(sim)->events[IKE_EVENT_IKE_REKEYED] >= 2);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    CHECK(sim, sim_sas(SIM_A(sim)) == 1 && sim_children(SIM_A(sim), "lan") == 1 && sim_children(SIM_B(sim), "lan") == 1);
}

static void many_half_open_ask_for_cookies(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    SIM_B(sim)->settings.cookie_threshold = 0;   // RFC 7296 2.6 test
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(2));
    one_of_all(sim);
    CHECK(sim, SIM_A(sim)->sent == 3);
}

static bool leases_are(const struct sim *sim, uint32_t online, uint32_t offline)
{
    struct ike_pool_info pool;
    return ike_pool_after(sim->hosts[1].core, NULL, &pool) && pool.online == online && pool.offline == offline;
}

static bool both_say_10_3_0_1(struct sim *sim)
{
    struct addr addr = addr_v4(10, 3, 0, 1);
    struct ike_sa_info a, b;
    return ike_sa_info(SIM_A(sim)->core, ike_sa_after(SIM_A(sim)->core, 0), &a) && a.vip_count == 1 && addr_equal(&a.vips[0], &addr) &&
           ike_sa_info(SIM_B(sim)->core, ike_sa_after(SIM_B(sim)->core, 0), &b) && b.remote_vip_count == 1 &&
           addr_equal(&b.remote_vips[0], &addr);
}

// RFC 7296 2.19 test: a client has one address through rekeyings by both ends, and the same when it comes again.
static void a_virtual_address_is_kept(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "vips = 0.0.0.0", "local_ts = dynamic", "pools = office", "remote_ts = dynamic");
    sim_start(sim);
    sim_pool(SIM_B(sim), "office", "10.3.0.1-10.3.0.9");
    for (unsigned round = 0; round < 2; round++) {
        sim_command(SIM_A(sim), "up lan");
        sim_run(sim, nsec_seconds(1));
        one_of_all(sim);
        CHECK(sim, both_say_10_3_0_1(sim) && leases_are(sim, 1, 0));
        sim->loss_percent = 20;
        sim->jitter = nsec_ms(50);
        for (unsigned end = 0; end < 2; end++) {
            sim_command(&sim->hosts[end], "rekey ike");
            sim_run(sim, nsec_seconds(100));
            sim_quiesce(sim);
        }
        sim->loss_percent = 0;
        sim->jitter = 0;
        one_of_all(sim);
        CHECK(sim, both_say_10_3_0_1(sim) && leases_are(sim, 1, 0));
        sim_command(SIM_A(sim), "down ike");
        sim_quiesce(sim);
        sim_run(sim, nsec_seconds(1));
        nothing_of_all(sim);
        CHECK(sim, leases_are(sim, 0, 1));
    }
}

#define ROW(name) {#name, name}
const struct scenario scenarios[] = {
    ROW(a_child_comes_up),
    ROW(it_comes_up_under_loss),
    ROW(both_ends_initiate_at_once),
    ROW(two_children_share_an_ike_sa),
    ROW(the_initiator_rekeys_the_child),
    ROW(the_responder_rekeys_the_child),
    ROW(the_initiator_rekeys_the_ike_sa),
    ROW(the_responder_rekeys_the_ike_sa),
    ROW(a_child_is_rekeyed_under_loss),
    ROW(an_ike_sa_is_rekeyed_under_loss),
    ROW(both_ends_rekey_the_child_at_once),
    ROW(both_ends_rekey_the_ike_sa_at_once),
    ROW(a_child_is_rekeyed_while_the_ike_sa_is),
    ROW(rekey_against_delete),
    ROW(both_ends_delete_the_child_at_once),
    ROW(down_leaves_nothing),
    ROW(both_ends_take_the_ike_sa_down),
    ROW(an_unreachable_peer_is_given_up),
    ROW(a_dead_peer_is_noticed),
    ROW(a_restarted_peer_replaces_its_sa),
    ROW(a_wrong_secret_is_refused),
    ROW(a_packet_triggers_the_trap),
    ROW(lifetimes_rekey_by_themselves),
    ROW(many_half_open_ask_for_cookies),
    ROW(a_virtual_address_is_kept),
};
const size_t scenario_count = sizeof scenarios / sizeof *scenarios;
