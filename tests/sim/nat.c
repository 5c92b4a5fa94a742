// SPDX-License-Identifier: Apache-2.0
// A NAT box between the hosts (RFC 7296 2.23, RFC 3948).
#include "sim.h"

static void up_behind_nat(struct sim *sim, uint64_t seed, const char *a_conn)
{
    sim_pair_nat(sim, seed, a_conn, "");
    play_up(sim);
    play_one_of_all(sim);
    CHECK(sim, SIM_A(sim)->sas[0].spec.path.encap && SIM_B(sim)->sas[0].spec.path.encap);
}

static void it_comes_up_behind_a_nat(struct sim *sim, uint64_t seed)
{
    up_behind_nat(sim, seed, "");
    sim->traffic = true;
    sim_run(sim, nsec_seconds(5));
    sim->traffic = false;
    sim_run(sim, nsec_seconds(1));
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
}

static void keepalives_hold_the_mapping(struct sim *sim, uint64_t seed)
{
    up_behind_nat(sim, seed, "");
    sim->nats[0].timeout = nsec_seconds(25);
    sim_run(sim, nsec_seconds(500));
    uint64_t before = SIM_B(sim)->received;
    sim_command(SIM_B(sim), "rekey lan");   // finds its way in
    sim_run(sim, nsec_seconds(2));
    CHECK(sim, SIM_B(sim)->received > before);
    sim_quiesce(sim);
    play_one_of_all(sim);
}

// The box forgets its mappings: b follows a to the new port, by IKE or by ESP.
static void rebinds(struct sim *sim, uint64_t seed, const char *conn, const struct addr *outside, bool by_esp)
{
    up_behind_nat(sim, seed, conn);
    sim->jitter = nsec_ms(10);
    sim_nat_forget(SIM_A(sim), outside);
    if (by_esp) sim->traffic = true;
    else sim_command(SIM_A(sim), "rekey lan");
    sim_run(sim, nsec_seconds(strstr(conn, "dpd_delay") ? 12 : 2));
    uint64_t lost = sim->packets_lost;
    CHECK(sim, SIM_B(sim)->events[IKE_EVENT_IKE_UPDATED] >= 1);
    sim_command(SIM_B(sim), "rekey ike");
    sim_run(sim, nsec_seconds(2));
    sim->traffic = false;
    sim_quiesce(sim);
    CHECK(sim, sim->packets_lost == lost && sim->packets_without_sa == 0);
    CHECK(sim, SIM_B(sim)->events[IKE_EVENT_IKE_REKEYED] == 1);
    play_one_of_all(sim);
}

static void a_rebinding_nat_is_followed_by_ike(struct sim *sim, uint64_t seed) { rebinds(sim, seed, "mobike = no", NULL, false); }
static void a_rebinding_nat_is_followed_by_esp(struct sim *sim, uint64_t seed) { rebinds(sim, seed, seed % 2 ? "" : "mobike = no", NULL, true); }
// RFC 4555 3.8 test: a liveness check shows the new mapping, and the host behind the NAT says so.
static void a_rebinding_nat_is_told_by_mobike(struct sim *sim, uint64_t seed) { rebinds(sim, seed, "dpd_delay = 5s", NULL, false); }

static void a_nat_with_a_new_address_is_followed(struct sim *sim, uint64_t seed)
{
    struct addr outside = addr_v4(198, 51, 100, 77);
    rebinds(sim, seed, seed % 3 ? "mobike = no" : "dpd_delay = 5s", &outside, seed % 2);
}

static void a_nat_that_rebinds_all_the_time_is_followed(struct sim *sim, uint64_t seed)
{
    up_behind_nat(sim, seed, "dpd_delay = 5s");
    for (unsigned i = 0; i < 20; i++) {
        sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 20000)));
        sim_nat_forget(SIM_A(sim), NULL);
    }
    sim_run(sim, nsec_seconds(60));
    sim_quiesce(sim);
    play_one_of_all(sim);
}

static void it_comes_up_behind_a_nat_under_loss(struct sim *sim, uint64_t seed)
{
    sim_pair_nat(sim, seed, "", "");
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_storm(sim, &(struct weather){.loss = 20, .duplicates = 10, .jitter = nsec_ms(200)}, nsec_seconds(300));
    sim_quiesce(sim);
    play_one_of_all(sim);
}

static void several_behind_nats_share_a_hub(struct sim *sim, uint64_t seed)
{
    sim_star(sim, seed, 3, "", "", "");
    for (size_t i = 1; i <= 3; i++) sim_nat_put(sim, &sim->hosts[i], addr_v4(198, 51, 100, (uint8_t)i));
    sim_start(sim);
    for (size_t i = 1; i <= 3; i++) sim_command(&sim->hosts[i], "up lan");
    sim_run(sim, nsec_seconds(3));
    CHECK(sim, sim_children(&sim->hosts[0], "lan") == 3);
    sim->traffic = true;
    sim_run(sim, nsec_seconds(2));
    sim_nat_forget(&sim->hosts[1 + seed % 3], NULL);
    sim_run(sim, nsec_seconds(10));
    sim->traffic = false;
    sim_quiesce(sim);
    CHECK(sim, sim_children(&sim->hosts[0], "lan") == 3);
}

const struct scenario scenarios_nat[] = {
    SCENARIO(it_comes_up_behind_a_nat),
    SCENARIO(keepalives_hold_the_mapping),
    SCENARIO(a_rebinding_nat_is_followed_by_ike),
    SCENARIO(a_rebinding_nat_is_followed_by_esp),
    SCENARIO(a_rebinding_nat_is_told_by_mobike),
    SCENARIO(a_nat_with_a_new_address_is_followed),
    SCENARIO(a_nat_that_rebinds_all_the_time_is_followed),
    SCENARIO(it_comes_up_behind_a_nat_under_loss),
    SCENARIO(several_behind_nats_share_a_hub),
    {NULL, NULL},
};
