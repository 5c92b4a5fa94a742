// SPDX-License-Identifier: Apache-2.0
// The end of SAs: by command, by the peer, by its death; what follows.
#include "sim.h"

static void down_leaves_nothing(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    play_up(sim);
    uint32_t command = sim_command(seed % 2 ? SIM_A(sim) : SIM_B(sim), "down ike");
    sim_run(sim, nsec_seconds(20));
    enum fault fault;
    CHECK(sim, sim_done(seed % 2 ? SIM_A(sim) : SIM_B(sim), command, &fault) && !fault);
    play_nothing_of_all(sim);
}

static void a_close(struct sim *sim, uint64_t seed, const char *action, const char *command)
{
    sim_pair_of(sim, seed, "", action, "", "");
    play_up(sim);
    sim_command(SIM_B(sim), command);
    sim_run(sim, nsec_seconds(10));
    sim_quiesce(sim);
}

static void a_closed_child_is_left_alone(struct sim *sim, uint64_t seed)
{
    a_close(sim, seed, "close_action = none", "down lan");
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 0 && SIM_A(sim)->sa_count == 0);
}

static void a_closed_child_starts_again(struct sim *sim, uint64_t seed)
{
    a_close(sim, seed, "close_action = start", "down lan");
    play_one_of_all(sim);
}

static void a_closed_child_becomes_a_trap(struct sim *sim, uint64_t seed)
{
    a_close(sim, seed, "close_action = trap", "down lan");
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 0 && SIM_A(sim)->policy_count >= 1);
}

static void a_closed_ike_sa_starts_its_child_again(struct sim *sim, uint64_t seed)
{
    a_close(sim, seed, "close_action = start", "down ike");
    play_one_of_all(sim);
}

// RFC 7296 2.4 test: the peer dies and comes back.
static void death(struct sim *sim, uint64_t seed, const char *action)
{
    sim_pair_of(sim, seed, "dpd_delay = 10s", action, "", "");
    play_up(sim);
    SIM_B(sim)->cut = true;
    sim_run(sim, nsec_seconds(190));
    sim_reload(SIM_B(sim));
    SIM_B(sim)->cut = false;
}

static void a_dead_peers_child_is_cleared(struct sim *sim, uint64_t seed)
{
    death(sim, seed, "dpd_action = clear");
    sim_quiesce(sim);
    play_nothing_of_all(sim);
}

static void a_dead_peers_child_is_tried_again(struct sim *sim, uint64_t seed)
{
    death(sim, seed, "dpd_action = restart");
    sim_run(sim, nsec_seconds(300));
    sim_quiesce(sim);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == sim_children(SIM_B(sim), "lan"));
}

static void a_dead_peers_child_becomes_a_trap(struct sim *sim, uint64_t seed)
{
    death(sim, seed, "dpd_action = trap");
    sim_quiesce(sim);
    CHECK(sim, sim_sas(SIM_A(sim)) == 0 && SIM_A(sim)->policy_count >= 1 && SIM_A(sim)->sa_count == 0);
}

static void a_living_peer_is_kept(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "dpd_delay = 10s", "");
    play_up(sim);
    sim->loss_percent = 20;
    sim_run(sim, nsec_seconds(300));
    sim_quiesce(sim);
    play_one_of_all(sim);
}

static void a_child_goes_and_its_ike_sa_stays(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    play_up(sim);
    sim_command(SIM_A(sim), "up other");
    sim_run(sim, nsec_seconds(1));
    sim_command(seed % 2 ? SIM_A(sim) : SIM_B(sim), "down lan");
    sim_quiesce(sim);
    for (size_t i = 0; i < 2; i++) {
        CHECK(sim, sim_children(&sim->hosts[i], "lan") == 0 && sim_children(&sim->hosts[i], "other") == 1);
        CHECK(sim, sim_sas(&sim->hosts[i]) == 1 && sim->hosts[i].sa_count == 2);
    }
}

static void down_under_loss_leaves_nothing(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    play_up(sim);
    sim_command(seed % 2 ? SIM_A(sim) : SIM_B(sim), "down ike");
    sim_storm(sim, &(struct weather){.loss = 30}, nsec_seconds(60));
    CHECK(sim, sim_clean(SIM_A(sim)) && sim_clean(SIM_B(sim)));
}

static void down_while_it_comes_up_leaves_nothing(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "dpd_delay = 10s", "");
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 120)));
    sim_command(SIM_A(sim), "down ike");
    sim_run(sim, nsec_seconds(250));
    CHECK(sim, sim_clean(SIM_A(sim)) && sim_clean(SIM_B(sim)));
}

const struct scenario scenarios_delete[] = {
    SCENARIO(down_leaves_nothing),
    SCENARIO(a_closed_child_is_left_alone),
    SCENARIO(a_closed_child_starts_again),
    SCENARIO(a_closed_child_becomes_a_trap),
    SCENARIO(a_closed_ike_sa_starts_its_child_again),
    SCENARIO(a_dead_peers_child_is_cleared),
    SCENARIO(a_dead_peers_child_is_tried_again),
    SCENARIO(a_dead_peers_child_becomes_a_trap),
    SCENARIO(a_living_peer_is_kept),
    SCENARIO(a_child_goes_and_its_ike_sa_stays),
    SCENARIO(down_under_loss_leaves_nothing),
    SCENARIO(down_while_it_comes_up_leaves_nothing),
    {NULL, NULL},
};
