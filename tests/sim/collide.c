// SPDX-License-Identifier: Apache-2.0
// Both ends begin something at the same time: no packet is lost by it, and whoever gives way has its turn. Who answers what
// to whom is in rows.c, what comes too late in crossed.c.
#include "sim.h"

static void both_do(struct sim *sim, uint64_t seed, const char *a, const char *b)
{
    sim_pair(sim, seed, "", "");
    sim->jitter = nsec_ms(15);
    play_up(sim);
    sim->traffic = true;
    sim_run(sim, nsec_seconds(1));
    sim_command(SIM_A(sim), a);
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 60)));
    sim_command(SIM_B(sim), b);
    sim_run(sim, nsec_seconds(30));
    sim_quiesce(sim);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    play_one_of_all(sim);
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
    play_up(sim);
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
    play_up(sim);
    sim_command(SIM_A(sim), "down lan");
    sim_command(SIM_B(sim), "down lan");
    sim_quiesce(sim);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 0 && sim_children(SIM_B(sim), "lan") == 0);
    CHECK(sim, SIM_A(sim)->sa_count == 0 && SIM_B(sim)->sa_count == 0);
}

static void both_ends_take_the_ike_sa_down(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim->jitter = nsec_ms(30);
    play_up(sim);
    sim_command(SIM_A(sim), "down ike");
    sim_command(SIM_B(sim), "down ike");
    sim_quiesce(sim);
    play_nothing_of_all(sim);
}

// One end both rekeys and closes: whoever wants a child closed means what it is by then.
static void a_child_is_rekeyed_and_closed_by_one_end(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim->jitter = nsec_ms(15);
    play_up(sim);
    struct sim_host *end = &sim->hosts[seed % 2];
    sim_command(end, "rekey lan");
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 100)));
    uint32_t command = sim_command(end, "down lan");
    sim_run(sim, nsec_seconds(20));
    sim_quiesce(sim);
    enum fault fault;
    CHECK(sim, sim_done(end, command, &fault) && !fault);
    for (size_t i = 0; i < 2; i++) CHECK(sim, sim_children(&sim->hosts[i], "lan") == 0 && sim->hosts[i].sa_count == 0);
}

// RFC 7296 2.25 test: TEMPORARY_FAILURE is heeded: not at once, and in the end both have what they wanted.
static void who_is_told_to_wait_waits_and_has_its_turn(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    play_up(sim);
    sim_command(SIM_A(sim), "rekey ike");
    sim_command(SIM_B(sim), "rekey lan");
    sim_run(sim, nsec_ms(500));
    CHECK(sim, SIM_A(sim)->fault_counts[FAULT_BUSY] == 1 && SIM_B(sim)->fault_counts[FAULT_BUSY] == 1);
    CHECK(sim, SIM_A(sim)->events[IKE_EVENT_IKE_REKEYED] == 0 && SIM_B(sim)->events[IKE_EVENT_CHILD_REKEYED] == 0);
    sim_run(sim, nsec_seconds(60));
    sim_quiesce(sim);
    CHECK(sim, SIM_A(sim)->events[IKE_EVENT_IKE_REKEYED] == 1 && SIM_B(sim)->events[IKE_EVENT_CHILD_REKEYED] == 1);
    play_one_of_all(sim);
}

const struct scenario scenarios_collide[] = {
    SCENARIO(both_ends_rekey_the_child_at_once),
    SCENARIO(both_ends_rekey_the_ike_sa_at_once),
    SCENARIO(a_child_is_rekeyed_while_the_ike_sa_is),
    SCENARIO(rekey_against_delete),
    SCENARIO(both_ends_delete_the_child_at_once),
    SCENARIO(both_ends_take_the_ike_sa_down),
    SCENARIO(a_child_is_rekeyed_and_closed_by_one_end),
    SCENARIO(who_is_told_to_wait_waits_and_has_its_turn),
    {NULL, NULL},
};
