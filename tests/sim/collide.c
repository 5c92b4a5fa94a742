// SPDX-License-Identifier: Apache-2.0
// Both ends begin something at the same time: each row of RFC 7296 2.25.1 and 2.25.2, also when messages are lost.
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

enum outcome { OUT_ONE, OUT_NO_CHILD, OUT_NOTHING, OUT_BOTH_CHILDREN };

struct collision {
    const char *a, *b;
    enum outcome outcome;
};

static unsigned count_of(struct sim_host *host)
{
    return sim_children(host, "lan") + sim_children(host, "other");
}

static bool came_out(struct sim *sim, enum outcome outcome)
{
    for (size_t i = 0; i < 2; i++) {
        struct sim_host *host = &sim->hosts[i];
        unsigned children = count_of(host), ike = sim_sas(host);
        bool good = outcome == OUT_ONE             ? ike == 1 && children == 1
                    : outcome == OUT_NO_CHILD      ? children == 0 && host->sa_count == 0
                    : outcome == OUT_BOTH_CHILDREN ? ike == 1 && children >= 2
                                                   : sim_clean(host);
        if (!good) return false;
    }
    return true;
}

static const struct weather storm = {.loss = 20, .bursts = 10, .jitter = NSEC_PER_SECOND / 60};

static void collide(struct sim *sim, uint64_t seed, const struct collision *collision, bool lossy)
{
    sim_pair(sim, seed, "", "");
    sim->jitter = nsec_ms(15);
    play_up(sim);
    if (lossy) sim->loss_percent = storm.loss, sim->burst_percent = storm.bursts;
    // Either end may be first, by up to three one-way trips.
    size_t first = seed % 2;
    sim_command(&sim->hosts[first], first ? collision->b : collision->a);
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 60)));
    sim_command(&sim->hosts[!first], first ? collision->a : collision->b);
    if (lossy) sim_storm(sim, &storm, nsec_seconds(400));
    else sim_run(sim, nsec_seconds(20));
    sim_quiesce(sim);
    CHECK(sim, came_out(sim, collision->outcome));
}

#define COLLISION_CLEAN(name, a, b, outcome)                                     \
    static void name(struct sim *sim, uint64_t seed)                             \
    {                                                                            \
        collide(sim, seed, &(struct collision){a, b, outcome}, false);           \
    }
#define COLLISION(name, a, b, outcome)                                           \
    COLLISION_CLEAN(name, a, b, outcome)                                         \
    static void name##_under_loss(struct sim *sim, uint64_t seed)                \
    {                                                                            \
        collide(sim, seed, &(struct collision){a, b, outcome}, true);            \
    }

// RFC 7296 2.25.1 test: both rekey; rekey and close; both close.
COLLISION(a_child_is_rekeyed_and_rekeyed, "rekey lan", "rekey lan", OUT_ONE)
COLLISION(a_child_is_rekeyed_and_closed, "rekey lan", "down lan", OUT_NO_CHILD)
COLLISION(a_child_is_closed_and_rekeyed, "down lan", "rekey lan", OUT_NO_CHILD)
COLLISION(a_child_is_closed_and_closed, "down lan", "down lan", OUT_NO_CHILD)
// RFC 7296 2.25.2 test: both rekey; rekey and close; both close.
COLLISION(an_ike_sa_is_rekeyed_and_rekeyed, "rekey ike", "rekey ike", OUT_ONE)
COLLISION(an_ike_sa_is_rekeyed_and_closed, "rekey ike", "down ike", OUT_NOTHING)
COLLISION(an_ike_sa_is_closed_and_closed, "down ike", "down ike", OUT_NOTHING)
// RFC 7296 2.25.2 test: children meet a change of the IKE SA.
COLLISION(a_child_is_created_while_the_ike_sa_is_rekeyed, "up other", "rekey ike", OUT_BOTH_CHILDREN)
COLLISION(a_child_is_rekeyed_while_the_ike_sa_is_rekeyed, "rekey lan", "rekey ike", OUT_ONE)
COLLISION(a_child_is_closed_while_the_ike_sa_is_rekeyed, "down lan", "rekey ike", OUT_NO_CHILD)
COLLISION(a_child_is_rekeyed_while_the_ike_sa_is_closed, "rekey lan", "down ike", OUT_NOTHING)
COLLISION(a_child_is_closed_while_the_ike_sa_is_closed, "down lan", "down ike", OUT_NOTHING)
COLLISION(a_child_is_created_while_one_is_rekeyed, "up other", "rekey lan", OUT_BOTH_CHILDREN)
COLLISION(a_child_is_created_at_both_ends, "up other", "up other", OUT_BOTH_CHILDREN)

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
    CHECK(sim, came_out(sim, OUT_NO_CHILD));
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

#define BOTH(name) SCENARIO(name), SCENARIO(name##_under_loss)
const struct scenario scenarios_collide[] = {
    SCENARIO(both_ends_rekey_the_child_at_once),
    SCENARIO(both_ends_rekey_the_ike_sa_at_once),
    SCENARIO(a_child_is_rekeyed_while_the_ike_sa_is),
    SCENARIO(rekey_against_delete),
    SCENARIO(both_ends_delete_the_child_at_once),
    SCENARIO(both_ends_take_the_ike_sa_down),
    SCENARIO(a_child_is_rekeyed_and_closed_by_one_end),
    SCENARIO(who_is_told_to_wait_waits_and_has_its_turn),
    BOTH(a_child_is_rekeyed_and_rekeyed),
    BOTH(a_child_is_rekeyed_and_closed),
    BOTH(a_child_is_closed_and_rekeyed),
    BOTH(a_child_is_closed_and_closed),
    BOTH(an_ike_sa_is_rekeyed_and_rekeyed),
    BOTH(an_ike_sa_is_rekeyed_and_closed),
    BOTH(an_ike_sa_is_closed_and_closed),
    BOTH(a_child_is_created_while_the_ike_sa_is_rekeyed),
    BOTH(a_child_is_rekeyed_while_the_ike_sa_is_rekeyed),
    BOTH(a_child_is_closed_while_the_ike_sa_is_rekeyed),
    BOTH(a_child_is_rekeyed_while_the_ike_sa_is_closed),
    BOTH(a_child_is_closed_while_the_ike_sa_is_closed),
    BOTH(a_child_is_created_while_one_is_rekeyed),
    BOTH(a_child_is_created_at_both_ends),
    {NULL, NULL},
};
