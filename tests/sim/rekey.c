// SPDX-License-Identifier: Apache-2.0
// Keys change: by command, by time, bytes and packets; IKE SAs are authenticated anew.
#include "sim.h"

static const struct weather storm = {.loss = 20, .duplicates = 10, .jitter = NSEC_PER_SECOND / 20};

static void rekey_of(struct sim *sim, uint64_t seed, struct sim_host *(*end)(struct sim *), const char *command, bool lossy)
{
    sim_pair(sim, seed, "", "");
    play_up(sim);
    sim->traffic = true;
    sim_run(sim, nsec_seconds(1));
    uint64_t before = SIM_A(sim)->events[IKE_EVENT_CHILD_REKEYED] + SIM_A(sim)->events[IKE_EVENT_IKE_REKEYED];
    sim_command(end(sim), command);
    if (lossy) sim_storm(sim, &storm, nsec_seconds(100));
    else sim_run(sim, nsec_seconds(100));
    sim_quiesce(sim);
    CHECK(sim, SIM_A(sim)->events[IKE_EVENT_CHILD_REKEYED] + SIM_A(sim)->events[IKE_EVENT_IKE_REKEYED] > before);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    play_one_of_all(sim);
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

static void lifetimes_rekey_by_themselves(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "rekey_time = 300s", "rekey_time = 100s");
    play_up(sim);
    sim->traffic = true;
    sim_run(sim, nsec_seconds(1000));
    sim->traffic = false;
    sim_run(sim, nsec_seconds(7));
    CHECK(sim, SIM_A(sim)->events[IKE_EVENT_CHILD_REKEYED] >= 8 && SIM_A(sim)->events[IKE_EVENT_IKE_REKEYED] >= 2);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    CHECK(sim, sim_sas(SIM_A(sim)) == 1 && sim_children(SIM_A(sim), "lan") == 1 && sim_children(SIM_B(sim), "lan") == 1);
}

static void limits(struct sim *sim, uint64_t seed, const char *child_lines)
{
    sim_pair_of(sim, seed, "", child_lines, "", "");
    play_up(sim);
    sim->traffic = true;
    sim_run(sim, nsec_seconds(60));
    sim->traffic = false;
    sim_quiesce(sim);
    CHECK(sim, SIM_A(sim)->events[IKE_EVENT_CHILD_REKEYED] >= 3);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    play_one_of_all(sim);
}

static void so_many_bytes_rekey_the_child(struct sim *sim, uint64_t seed)
{
    limits(sim, seed, "rekey_bytes = 100000\n life_bytes = 200000\n rand_bytes = 10000");
}

static void so_many_packets_rekey_the_child(struct sim *sim, uint64_t seed)
{
    limits(sim, seed, "rekey_packets = 1000\n life_packets = 2000\n rand_packets = 100");
}

static void both_ends_have_limits(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "rekey_time = 50s", "rekey_packets = 500\n life_packets = 1000\n rand_packets = 100");
    sim->jitter = nsec_ms(15);
    play_up(sim);
    sim->traffic = true;
    sim_run(sim, nsec_seconds(200));
    sim->traffic = false;
    sim_quiesce(sim);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 1 && sim_children(SIM_B(sim), "lan") == 1);
}

static void a_child_without_traffic_goes(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", "inactivity = 30s", "", "");
    play_up(sim);
    sim_run(sim, nsec_seconds(100));
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 0 && sim_children(SIM_B(sim), "lan") == 0);
    CHECK(sim, SIM_A(sim)->sa_count == 0 && SIM_B(sim)->sa_count == 0);
}

static void a_child_with_traffic_stays(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", "inactivity = 30s", "", "");
    play_up(sim);
    sim->traffic = true;
    sim_run(sim, nsec_seconds(100));
    play_one_of_all(sim);
}

// RFC 7296 2.8.3 test
static void reauthenticated(struct sim *sim, uint64_t seed, struct sim_host *(*end)(struct sim *), bool lossy)
{
    sim_pair(sim, seed, "", "");
    play_up(sim);
    uint32_t former = ike_sa_after(SIM_A(sim)->core, 0);
    sim_command(end(sim), "reauth ike");
    if (lossy) sim_storm(sim, &storm, nsec_seconds(400));
    else sim_run(sim, nsec_seconds(400));
    sim_quiesce(sim);
    CHECK(sim, ike_sa_after(SIM_A(sim)->core, 0) > former);
    play_one_of_all(sim);
}

static void the_initiator_authenticates_anew(struct sim *sim, uint64_t seed) { reauthenticated(sim, seed, end_a, false); }
static void the_responder_authenticates_anew(struct sim *sim, uint64_t seed) { reauthenticated(sim, seed, end_b, false); }
static void it_authenticates_anew_under_loss(struct sim *sim, uint64_t seed) { reauthenticated(sim, seed, end_a, true); }

static void reauthentication_comes_by_itself(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "reauth_time = 100s", "", "", "");
    play_up(sim);
    sim_run(sim, nsec_seconds(450));
    sim_quiesce(sim);
    CHECK(sim, SIM_A(sim)->events[IKE_EVENT_IKE_UP] >= 4);
    play_one_of_all(sim);
}

static void broken_before_made(struct sim *sim, uint64_t seed, bool lossy)
{
    sim_pair_of(sim, seed, "make_before_break = no", "", "", "");
    play_up(sim);
    uint32_t former = ike_sa_after(SIM_A(sim)->core, 0);
    sim_command(SIM_A(sim), "reauth ike");
    if (lossy) sim_storm(sim, &storm, nsec_seconds(400));
    else sim_run(sim, nsec_seconds(400));
    sim_quiesce(sim);
    CHECK(sim, ike_sa_after(SIM_A(sim)->core, 0) > former);
    play_one_of_all(sim);
}

static void it_closes_and_then_authenticates_anew(struct sim *sim, uint64_t seed) { broken_before_made(sim, seed, false); }
static void it_closes_and_then_authenticates_anew_under_loss(struct sim *sim, uint64_t seed) { broken_before_made(sim, seed, true); }

static void no_traffic_is_lost_when_it_authenticates_anew(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    play_up(sim);
    sim->traffic = true;
    sim_command(SIM_A(sim), "reauth ike");
    sim_run(sim, nsec_seconds(30));
    sim->traffic = false;
    sim_quiesce(sim);
    CHECK(sim, sim->packets_without_sa == 0 && sim->packets_lost == 0);
    play_one_of_all(sim);
}

const struct scenario scenarios_rekey[] = {
    SCENARIO(the_initiator_rekeys_the_child),
    SCENARIO(the_responder_rekeys_the_child),
    SCENARIO(the_initiator_rekeys_the_ike_sa),
    SCENARIO(the_responder_rekeys_the_ike_sa),
    SCENARIO(a_child_is_rekeyed_under_loss),
    SCENARIO(an_ike_sa_is_rekeyed_under_loss),
    SCENARIO(lifetimes_rekey_by_themselves),
    SCENARIO(so_many_bytes_rekey_the_child),
    SCENARIO(so_many_packets_rekey_the_child),
    SCENARIO(both_ends_have_limits),
    SCENARIO(a_child_without_traffic_goes),
    SCENARIO(a_child_with_traffic_stays),
    SCENARIO(the_initiator_authenticates_anew),
    SCENARIO(the_responder_authenticates_anew),
    SCENARIO(it_authenticates_anew_under_loss),
    SCENARIO(reauthentication_comes_by_itself),
    SCENARIO(it_closes_and_then_authenticates_anew),
    SCENARIO(it_closes_and_then_authenticates_anew_under_loss),
    SCENARIO(no_traffic_is_lost_when_it_authenticates_anew),
    {NULL, NULL},
};
