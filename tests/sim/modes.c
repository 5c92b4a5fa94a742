// SPDX-License-Identifier: Apache-2.0
// How children are carried: transport mode between hosts, through a NAT and between gateways, BEET,
// and what becomes of it where the other end wants something else.
#include "sim.h"

#define HOSTS "local_ts = dynamic\n remote_ts = dynamic\n mode = transport"
#define PAIR_A "local_ts = 10.1.0.5/32\n remote_ts = 10.2.0.9/32\n mode = beet"
#define PAIR_B "local_ts = 10.2.0.9/32\n remote_ts = 10.1.0.5/32\n mode = beet"

static const struct weather bad = {.loss = 20, .duplicates = 10, .jitter = NSEC_PER_SECOND / 5};

static void all_are(struct sim *sim, enum sa_mode mode)
{
    for (struct sim_host *host = SIM_A(sim); host <= SIM_B(sim); host++)
        for (size_t i = 0; i < host->sa_count; i++) CHECK(sim, host->sas[i].spec.mode == mode);
}

static void rekeyed_by_each(struct sim *sim, enum sa_mode mode)
{
    for (struct sim_host *host = SIM_A(sim); host <= SIM_B(sim); host++) {
        sim_command(host, "rekey lan");
        sim_quiesce(sim);
        play_one_of_all(sim);
        all_are(sim, mode);
    }
}

static void comes_up_as(struct sim *sim, enum sa_mode mode)
{
    play_up(sim);
    play_one_of_all(sim);
    all_are(sim, mode);
    rekeyed_by_each(sim, mode);
}

static void comes_up_under_loss_as(struct sim *sim, enum sa_mode mode)
{
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_storm(sim, &bad, nsec_seconds(300));
    sim_quiesce(sim);
    play_one_of_all(sim);
    all_are(sim, mode);
    sim_command(SIM_B(sim), "rekey lan");
    sim_storm(sim, &bad, nsec_seconds(300));
    sim_quiesce(sim);
    play_one_of_all(sim);
    all_are(sim, mode);
}

static void transport_between_hosts(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", HOSTS);
    comes_up_as(sim, MODE_TRANSPORT);
}

static void transport_between_hosts_under_loss(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", HOSTS);
    comes_up_under_loss_as(sim, MODE_TRANSPORT);
}

// RFC 7296 2.23.1 test: the address that b sees is not the one that a has.
static void behind_nat(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", HOSTS, "remote_addrs = %any", HOSTS);
    sim_nat_put(sim, SIM_A(sim), addr_v4(198, 51, 100, 1));
}

static void check_translated(struct sim *sim)
{
    struct addr outside = addr_v4(198, 51, 100, 1), inside = addr_v4(192, 0, 2, 1);
    CHECK(sim, addr_equal(&SIM_A(sim)->sas[0].spec.local.at[0].range.low, &inside));
    CHECK(sim, addr_equal(&SIM_B(sim)->sas[0].spec.remote.at[0].range.low, &outside));
}

static void transport_through_a_nat(struct sim *sim, uint64_t seed)
{
    behind_nat(sim, seed);
    comes_up_as(sim, MODE_TRANSPORT);
    check_translated(sim);
}

static void transport_through_a_nat_under_loss(struct sim *sim, uint64_t seed)
{
    behind_nat(sim, seed);
    comes_up_under_loss_as(sim, MODE_TRANSPORT);
    check_translated(sim);
}

static void transport_between_gateways(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "mode = transport\n strict = mode");
    comes_up_as(sim, MODE_GATEWAY_TRANSPORT);
}

static void transport_between_gateways_under_loss(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "mode = transport");
    comes_up_under_loss_as(sim, MODE_GATEWAY_TRANSPORT);
}

static void beet_for_a_pair(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", PAIR_A, "", PAIR_B);
    comes_up_as(sim, MODE_BEET);
}

static void beet_for_a_pair_under_loss(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", PAIR_A, "", PAIR_B);
    comes_up_under_loss_as(sim, MODE_BEET);
}

// Every pair of addresses that packets are between gets a child, however often they call; a trap
// hears one call in five seconds.
static void beet_between_networks_is_on_demand(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "mode = beet");
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_ms(10));
    CHECK(sim, SIM_A(sim)->policy_count == 1 && sim_children(SIM_A(sim), "lan") == 0);
    uint32_t trap = SIM_A(sim)->policies[0].number;
    for (uint8_t i = 0; i < 9; i++) {
        struct flow flow = {.source = addr_v4(10, 1, 0, (uint8_t)(5 + i % 3)), .destination = addr_v4(10, 2, 0, 9), .protocol = 17};
        sim_acquire(SIM_A(sim), trap, &flow);
        sim_run(sim, nsec_seconds(6));
    }
    sim_run(sim, nsec_seconds(5));
    sim_quiesce(sim);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 3);
    CHECK(sim, sim_paired(sim));
    all_are(sim, MODE_BEET);
}

// Whoever declines gets a tunnel, and the other end is told that it is one.
static void falls_back(struct sim *sim, uint64_t seed, const char *asking, const char *answering)
{
    sim_pair_of(sim, seed, "", asking, "", answering);
    comes_up_as(sim, MODE_TUNNEL);
    CHECK(sim, SIM_A(sim)->fault_counts[FAULT_MODE_FALLBACK] >= 1);
}

static void transport_falls_back_to_a_tunnel(struct sim *sim, uint64_t seed)
{
    falls_back(sim, seed, HOSTS, "local_ts = dynamic\n remote_ts = dynamic");
}

static void beet_falls_back_to_a_tunnel(struct sim *sim, uint64_t seed)
{
    falls_back(sim, seed, PAIR_A, "local_ts = 10.2.0.9/32\n remote_ts = 10.1.0.5/32");
}

// What is strict, on either side, or between gateways, has no child rather than one in another mode.
static void refused(struct sim *sim, uint64_t seed, const char *asking, const char *answering, enum fault why)
{
    sim_pair_of(sim, seed, "", asking, "", answering);
    play_refused(sim);
    CHECK(sim, SIM_A(sim)->fault_counts[why] + SIM_B(sim)->fault_counts[why] >= 1);
}

static void strict_refuses_another_mode(struct sim *sim, uint64_t seed)
{
    const char *strict = HOSTS "\n strict = mode", *loose = "local_ts = dynamic\n remote_ts = dynamic";
    bool asking = seed % 2;
    refused(sim, seed, asking ? strict : loose, asking ? loose : strict, FAULT_MODE_REFUSED);
}

static void gateways_of_another_mode_are_refused(struct sim *sim, uint64_t seed)
{
    bool asking = seed % 2;
    refused(sim, seed, asking ? "mode = transport" : "", asking ? "" : "mode = transport", FAULT_GATEWAY_TRANSPORT_PEER);
}

const struct scenario scenarios_modes[] = {
    SCENARIO(transport_between_hosts),
    SCENARIO(transport_between_hosts_under_loss),
    SCENARIO(transport_through_a_nat),
    SCENARIO(transport_through_a_nat_under_loss),
    SCENARIO(transport_between_gateways),
    SCENARIO(transport_between_gateways_under_loss),
    SCENARIO(beet_for_a_pair),
    SCENARIO(beet_for_a_pair_under_loss),
    SCENARIO(beet_between_networks_is_on_demand),
    SCENARIO(transport_falls_back_to_a_tunnel),
    SCENARIO(beet_falls_back_to_a_tunnel),
    SCENARIO(strict_refuses_another_mode),
    SCENARIO(gateways_of_another_mode_are_refused),
    {NULL, NULL},
};
