// SPDX-License-Identifier: Apache-2.0
// Additional key exchanges (RFC 9370): coming up, rekeying, crossing, and a peer that knows nothing of them.
#include "sim.h"

#define HYBRID       "proposals = aes128gcm16-prfsha256-curve25519-ke1_mlkem768"
#define HYBRID_TWO   "proposals = aes128gcm16-prfsha256-curve25519-ke1_mlkem512-ke2_ecp256"
#define HYBRID_CHILD "esp_proposals = aes128gcm16-curve25519-ke1_mlkem768"
#define CHILD_TWO    "esp_proposals = aes128gcm16-curve25519-ke1_mlkem512-ke3_ecp256"

// RFC 9370 2.2.2 test, RFC 9242 3.2 test: one further exchange for each of them, before IKE_AUTH.
static void hybrids_come_up(struct sim *sim, uint64_t seed)
{
    bool two = seed % 2;
    sim_pair(sim, seed, two ? HYBRID_TWO : HYBRID, two ? CHILD_TWO : HYBRID_CHILD);
    play_up(sim);
    play_one_of_all(sim);
    struct ike_sa_info info;
    CHECK(sim, ike_sa_info(SIM_A(sim)->core, ike_sa_after(SIM_A(sim)->core, 0), &info));
    CHECK(sim, info.suite.addke[0] == (two ? KE_ML_KEM_512 : KE_ML_KEM_768));
    CHECK(sim, info.suite.addke[1] == (two ? KE_ECP_256 : KE_NONE));
}

static void a_hybrid_comes_up_under_loss(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, HYBRID_TWO, HYBRID_CHILD);
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_storm(sim, &(struct weather){.loss = 15, .duplicates = 10, .jitter = nsec_ms(200)}, nsec_seconds(300));
    sim_quiesce(sim);
    play_one_of_all(sim);
}

// RFC 9370 2.2.1 test: who knows nothing of it takes the proposal without, and nobody is asked for more.
static void a_hybrid_meets_a_peer_without(struct sim *sim, uint64_t seed)
{
    const char *both = HYBRID ", aes128gcm16-prfsha256-curve25519", *none = "";
    const char *child = HYBRID_CHILD ", aes128gcm16-curve25519", *plain = "esp_proposals = aes128gcm16-curve25519";
    if (seed % 2) sim_pair_of(sim, seed, both, child, none, plain);
    else sim_pair_of(sim, seed, none, plain, both, child);
    play_up(sim);
    play_one_of_all(sim);
    CHECK(sim, SIM_A(sim)->sent == 2 && SIM_B(sim)->sent == 2);
    sim_command(SIM_A(sim), "rekey lan");
    sim_command(SIM_B(sim), "rekey ike");
    sim_run(sim, nsec_seconds(40));
    sim_quiesce(sim);
    play_one_of_all(sim);
}

static void hybrid_rekey_of(struct sim *sim, uint64_t seed, const char *a, const char *b, unsigned loss)
{
    sim_pair(sim, seed, HYBRID_TWO, seed % 3 ? HYBRID_CHILD : CHILD_TWO);
    play_up(sim);
    sim->traffic = loss == 0;
    sim->jitter = seed % 2 ? nsec_ms(30) : 0;
    if (a) sim_command(SIM_A(sim), a);
    if (a && b) sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 200)));
    if (b) sim_command(SIM_B(sim), b);
    if (loss) sim_storm(sim, &(struct weather){.loss = loss, .jitter = nsec_ms(30)}, nsec_seconds(300));
    else sim_run(sim, nsec_seconds(40));
    sim->traffic = false;
    sim_quiesce(sim);
    CHECK(sim, SIM_A(sim)->events[IKE_EVENT_CHILD_REKEYED] + SIM_A(sim)->events[IKE_EVENT_IKE_REKEYED] >= 1);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    play_one_of_all(sim);
}

// RFC 9370 2.2.4 test
static void a_hybrid_child_is_rekeyed(struct sim *sim, uint64_t seed) { hybrid_rekey_of(sim, seed, "rekey lan", NULL, 0); }
static void a_hybrid_ike_sa_is_rekeyed(struct sim *sim, uint64_t seed) { hybrid_rekey_of(sim, seed, NULL, "rekey ike", 0); }
static void hybrid_rekeying_meets_loss(struct sim *sim, uint64_t seed)
{
    hybrid_rekey_of(sim, seed, seed % 2 ? "rekey lan" : "rekey ike", NULL, 15);
}
static void hybrid_rekeyings_cross(struct sim *sim, uint64_t seed)
{
    hybrid_rekey_of(sim, seed, "rekey lan", "rekey lan", 0);
}
static void hybrid_ike_rekeyings_cross(struct sim *sim, uint64_t seed)
{
    hybrid_rekey_of(sim, seed, "rekey ike", "rekey ike", 0);
}
static void hybrid_rekeyings_of_both_kinds_cross(struct sim *sim, uint64_t seed)
{
    hybrid_rekey_of(sim, seed, "rekey ike", "rekey lan", 0);
}

// RFC 9370 2.2.2 test: a value that is none, of either end, ends the handshake; nothing is left.
static void a_broken_value_in_a_round_ends_the_handshake(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, HYBRID, "");
    sim->hosts[seed % 2].broken_ke = KE_ML_KEM_768;
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(300));
    enum fault fault;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && fault);
    CHECK(sim, sim_sas(SIM_A(sim)) == 0 && sim_sas(SIM_B(sim)) == 0);
    CHECK(sim, sim_clean(SIM_A(sim)) && sim_clean(SIM_B(sim)));
}

// RFC 9370 2.2.4 test: the same in a rekeying. Whatever becomes of the IKE SA, both ends agree on it; where the value is the
// last answer's, what was made of it goes and the old child is used further.
static void a_broken_value_in_a_round_ends_the_rekeying(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", HYBRID_CHILD);
    play_up(sim);
    sim->hosts[seed % 2].broken_ke = KE_ML_KEM_768;
    sim_command(SIM_A(sim), "rekey lan");
    sim_run(sim, nsec_seconds(10));
    sim_checks_settled(sim);
    CHECK(sim, SIM_A(sim)->events[IKE_EVENT_CHILD_REKEYED] == 0);
    CHECK(sim, sim_sas(SIM_A(sim)) == sim_sas(SIM_B(sim)));
    if (seed % 2 == 0) return;
    play_one_of_all(sim);
    SIM_B(sim)->broken_ke = KE_NONE;
    sim_command(sim->hosts + seed / 2 % 2, "rekey lan");
    sim_run(sim, nsec_seconds(10));
    sim_quiesce(sim);
    CHECK(sim, SIM_A(sim)->events[IKE_EVENT_CHILD_REKEYED] >= 1);
    play_one_of_all(sim);
}

const struct scenario scenarios_hybrid[] = {
    SCENARIO(hybrids_come_up),
    SCENARIO(a_hybrid_comes_up_under_loss),
    SCENARIO(a_hybrid_meets_a_peer_without),
    SCENARIO(a_hybrid_child_is_rekeyed),
    SCENARIO(a_hybrid_ike_sa_is_rekeyed),
    SCENARIO(hybrid_rekeying_meets_loss),
    SCENARIO(hybrid_rekeyings_cross),
    SCENARIO(hybrid_ike_rekeyings_cross),
    SCENARIO(hybrid_rekeyings_of_both_kinds_cross),
    SCENARIO(a_broken_value_in_a_round_ends_the_handshake),
    SCENARIO(a_broken_value_in_a_round_ends_the_rekeying),
    {NULL, NULL},
};
