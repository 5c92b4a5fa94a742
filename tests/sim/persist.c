// SPDX-License-Identifier: Apache-2.0
// What is to be up is tried until it is: the peer is down, cannot be reached, has forgotten, refuses.
#include "sim.h"

#define START "start_action = start"
#define ANYWHERE "local_addrs = %any"

static void is_up(struct sim *sim)
{
    sim_quiesce(sim);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 1 && sim_children(SIM_B(sim), "lan") == 1);
    CHECK(sim, sim_paired(sim));
}

static unsigned lines_with(struct sim_host *host, const char *part)
{
    unsigned count = 0;
    for (const char *at = buf_text(&host->log); (at = strstr(at, part)); at++) count++;
    return count;
}

static uint64_t sent_until(struct sim *sim, nsec span)
{
    uint64_t before = SIM_A(sim)->sent;
    sim_run(sim, span);
    return SIM_A(sim)->sent - before;
}

// The order in which two gateways are switched on is no matter.
static void a_peer_that_is_started_later_is_reached(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", START, "", "");
    SIM_B(sim)->cut = true;
    sim_start(sim);
    sim_run(sim, nsec_seconds(600 + (int64_t)rng_below(&sim->rng.rng, 36000)));
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 0 && ike_stats(SIM_A(sim)->core)->sas >= 1);
    SIM_B(sim)->cut = false;
    sim_run(sim, nsec_seconds(400));   // the longest wait and a try
    is_up(sim);
}

static void it_is_tried_less_and_less_often(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", START, "", "");
    SIM_B(sim)->cut = true;
    sim_start(sim);
    sim_run(sim, nsec_seconds(4 * 3600));
    // 165 s of tries and 225 to 300 s of waiting: 7 to 10 times an hour, six messages each, for two children that share an SA.
    uint64_t sent = sent_until(sim, nsec_seconds(3600));
    CHECK(sim, sent >= 36 && sent <= 66);
    CHECK(sim, ike_stats(SIM_A(sim)->core)->sas <= 2);
    unsigned said = lines_with(SIM_A(sim), "still not connected");
    CHECK(sim, said >= 2 && said <= 5);
}

static void without_an_address_it_waits_for_one(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, ANYWHERE, START, "", "");
    sim_start(sim);
    sim_address(SIM_A(sim), "192.0.2.1", false);
    sim_run(sim, nsec_seconds(3600 + (int64_t)rng_below(&sim->rng.rng, 600)));
    CHECK(sim, SIM_A(sim)->sent <= 1 && sim_sas(SIM_A(sim)) == 0);
    sim_address(SIM_A(sim), "192.0.2.1", true);
    sim_run(sim, nsec_seconds(3));   // at once, not when the wait is over
    is_up(sim);
}

// The address goes in the midst of a handshake.
static void its_address_goes_while_it_is_tried(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, ANYWHERE, START, "remote_addrs = %any", "");
    SIM_B(sim)->cut = true;
    sim_start(sim);
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 100000)));
    sim_address(SIM_A(sim), "192.0.2.77", true);
    sim_address(SIM_A(sim), "192.0.2.1", false);
    SIM_B(sim)->cut = false;
    sim_run(sim, nsec_seconds(10));
    is_up(sim);
}

static void refused(struct sim *sim, uint64_t seed, const char *conn)
{
    sim_pair_of(sim, seed, conn, START, "", "");
    SIM_B(sim)->secret = "another secret";
    sim_start(sim);
    sim_run(sim, nsec_seconds(1800));
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 0);
}

// A wrong secret does not get right by trying, and accounts could be locked.
static void a_refusal_ends_it(struct sim *sim, uint64_t seed)
{
    refused(sim, seed, "");
    CHECK(sim, lines_with(SIM_A(sim), "it is not tried again") >= 1);
    CHECK(sim, sent_until(sim, nsec_seconds(36000)) == 0 && ike_stats(SIM_A(sim)->core)->sas == 0);
}

static void a_refusal_is_overcome_when_always_is_said(struct sim *sim, uint64_t seed)
{
    refused(sim, seed, "persist = always");
    uint64_t sent = sent_until(sim, nsec_seconds(3600));
    CHECK(sim, sent >= 20 && sent <= 3600 / 45 * 6);
    SIM_B(sim)->secret = SIM_A(sim)->secret;
    sim_run(sim, nsec_seconds(310));
    is_up(sim);
}

// Whoever says how often means it.
static void keyingtries_limits_it(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "keyingtries = 2", START, "", "");
    SIM_B(sim)->cut = true;
    sim_start(sim);
    sim_run(sim, nsec_seconds(1000));
    CHECK(sim, SIM_A(sim)->sent == 12);
    CHECK(sim, ike_stats(SIM_A(sim)->core)->sas == 0);
}

// Commands have an answer when their try has failed; what is to be up goes on.
static void a_command_is_answered_and_the_wish_stays(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", START, "", "");
    SIM_B(sim)->cut = true;
    sim_start(sim);
    sim_run(sim, nsec_seconds(1000 + (int64_t)rng_below(&sim->rng.rng, 3000)));
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(350));
    enum fault fault = OK;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && fault == FAULT_PEER_UNREACHABLE);
    SIM_B(sim)->cut = false;
    command = sim_command(SIM_A(sim), "up lan");   // one that waits is hastened
    sim_run(sim, nsec_seconds(80));
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && !fault);
    is_up(sim);
}

static void a_command_ends_it(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", START, "", "");
    SIM_B(sim)->cut = true;
    sim_start(sim);
    sim_run(sim, nsec_seconds(1000 + (int64_t)rng_below(&sim->rng.rng, 3000)));
    enum fault fault = OK;
    uint32_t lan = sim_command(SIM_A(sim), "down lan"), other = sim_command(SIM_A(sim), "down other");
    CHECK(sim, sim_done(SIM_A(sim), lan, &fault) && !fault && sim_done(SIM_A(sim), other, &fault) && !fault);
    sim_run(sim, nsec_seconds(400));
    CHECK(sim, sent_until(sim, nsec_seconds(36000)) == 0 && ike_stats(SIM_A(sim)->core)->sas == 0);
}

// Liveness finds the peer dead for longer than one attempt takes.
static void a_peer_that_was_dead_for_long_is_found_again(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "dpd_delay = 10s", "dpd_action = restart", "", "");
    play_up(sim);
    SIM_B(sim)->cut = true;
    sim_run(sim, nsec_seconds(3600));
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 0);
    SIM_B(sim)->cut = false;
    sim_run(sim, nsec_seconds(400));
    is_up(sim);
    CHECK(sim, sim_children(SIM_A(sim), "other") == 0);   // it was not up
}

// It is tried while the peer begins itself.
static void the_peer_comes_first(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", START, "", "");
    SIM_B(sim)->cut = true;
    sim_start(sim);
    sim_run(sim, nsec_seconds(2000));
    SIM_B(sim)->cut = false;
    sim_command(SIM_B(sim), "up lan");
    sim_run(sim, nsec_seconds(700));
    sim_quiesce(sim);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 1 && sim_paired(sim));
    CHECK(sim, sim_sas(SIM_A(sim)) <= 2);   // "lan" of the peer's, "other" of ours
}

// Both are to be up: whoever is later by more than a round trip leaves it at what the other has made.
static void both_are_to_be_up(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", START, "", START);
    SIM_A(sim)->cut = true;
    sim_start(sim);
    sim_run(sim, nsec_seconds(400 + (int64_t)rng_below(&sim->rng.rng, 4000)));
    SIM_A(sim)->cut = false;
    sim_run(sim, nsec_seconds(700));
    sim_quiesce(sim);
    CHECK(sim, sim_paired(sim) && sim_sas(SIM_A(sim)) == sim_sas(SIM_B(sim)));
    CHECK(sim, sim_children(SIM_A(sim), "lan") <= 2 && sim_children(SIM_A(sim), "other") <= 2);
    sim_run(sim, nsec_seconds(7000));
    CHECK(sim, sim_sas(SIM_A(sim)) <= 2);
}

// The peer has several addresses: all are tried, the first ones first.
static void the_peers_addresses_are_tried_in_order(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "remote_addrs = 192.0.2.66, 2001:db8::66, 192.0.2.67, 192.0.2.2", "", "", "");
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(100));
    enum fault fault = FAULT_COUNT;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && !fault);
    is_up(sim);
}

const struct scenario scenarios_persist[] = {
    SCENARIO(a_peer_that_is_started_later_is_reached),
    SCENARIO(it_is_tried_less_and_less_often),
    SCENARIO(without_an_address_it_waits_for_one),
    SCENARIO(its_address_goes_while_it_is_tried),
    SCENARIO(a_refusal_ends_it),
    SCENARIO(a_refusal_is_overcome_when_always_is_said),
    SCENARIO(keyingtries_limits_it),
    SCENARIO(a_command_is_answered_and_the_wish_stays),
    SCENARIO(a_command_ends_it),
    SCENARIO(a_peer_that_was_dead_for_long_is_found_again),
    SCENARIO(the_peer_comes_first),
    SCENARIO(both_are_to_be_up),
    SCENARIO(the_peers_addresses_are_tried_in_order),
    {NULL, NULL},
};
