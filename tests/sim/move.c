// SPDX-License-Identifier: Apache-2.0
// Hosts that move (RFC 4555): to other addresses, with loss, in the middle of other exchanges, between NATs.
#include "sim.h"
#include <stdio.h>

#define OLD "192.0.2.1"
#define NEXT "198.51.100.9"
#define PEER "192.0.2.2"
#define PEER_OTHER "203.0.113.5"
#define ANYWHERE "local_addrs = %any\n remote_addrs = " PEER
#define ANYBODY "local_addrs = %any\n remote_addrs = %any"

static struct addr addr_of(const char *text)
{
    struct addr addr = {0};
    if (addr_parse(text, &addr)) return (struct addr){0};
    return addr;
}

static bool at(const struct sim_host *host, const char *local, const char *remote)
{
    struct ike_sa_info info;
    for (uint32_t id = 0; (id = ike_sa_after(host->core, id));) {
        if (!ike_sa_info(host->core, id, &info) || strcmp(info.state, "ESTABLISHED") != 0) continue;
        struct addr here = addr_of(local), there = addr_of(remote);
        if (!addr_equal(&info.path.local.addr, &here) || !addr_equal(&info.path.remote.addr, &there)) return false;
    }
    return true;
}

// Where the data plane of both hosts sends to.
static bool plane_at(const struct sim_host *host, const char *local, const char *remote)
{
    struct addr here = addr_of(local), there = addr_of(remote);
    for (size_t i = 0; i < host->sa_count; i++)
        if (!addr_equal(&host->sas[i].spec.path.local.addr, &here) ||
            !addr_equal(&host->sas[i].spec.path.remote.addr, &there))
            return false;
    return true;
}

static void up(struct sim *sim, uint64_t seed, const char *more)
{
    static char a_conn[400], b_conn[400];
    snprintf(a_conn, sizeof a_conn, "%s\n %s", ANYWHERE, more);
    snprintf(b_conn, sizeof b_conn, "%s\n %s", ANYBODY, more);
    sim_pair_of(sim, seed, a_conn, "", b_conn, "");
    play_up(sim);
    play_one_of_all(sim);
}

static void swap(struct sim_host *host, const char *from, const char *to)
{
    sim_address(host, to, true);
    sim_address(host, from, false);
}

static void traffic_flows(struct sim *sim)
{
    sim_run(sim, nsec_seconds(2));
    uint64_t sent = sim->packets_sent, arrived = sim->packets_arrived;
    sim->traffic = true;
    sim_run(sim, nsec_seconds(1));
    sim->traffic = false;
    sim_run(sim, nsec_seconds(2));
    CHECK(sim, sim->packets_sent - sent >= 100 && sim->packets_arrived - arrived == sim->packets_sent - sent);
}

static void moved(struct sim *sim, const char *a, const char *b)
{
    CHECK(sim, at(SIM_A(sim), a, b) && at(SIM_B(sim), b, a));
    CHECK(sim, plane_at(SIM_A(sim), a, b) && plane_at(SIM_B(sim), b, a));
    traffic_flows(sim);
    sim_quiesce(sim);
    play_one_of_all(sim);
}

// RFC 4555 3.5 test
static void a_host_moves(struct sim *sim, uint64_t seed)
{
    up(sim, seed, "");
    sim->traffic = true;
    sim_run(sim, nsec_ms(500));
    swap(SIM_A(sim), OLD, NEXT);
    sim_run(sim, nsec_seconds(1));
    uint64_t gone = sim->packets_sent - sim->packets_arrived;
    sim->traffic = false;
    CHECK(sim, gone < 60);   // of some 300
    moved(sim, NEXT, PEER);
    CHECK(sim, SIM_A(sim)->events[IKE_EVENT_IKE_UPDATED] == 1 && SIM_B(sim)->events[IKE_EVENT_IKE_UPDATED] == 1);
}

static void a_host_moves_under_loss(struct sim *sim, uint64_t seed)
{
    up(sim, seed, "");
    sim->loss_percent = 30;
    sim->duplicate_percent = 10;
    sim->jitter = nsec_ms(100);
    swap(SIM_A(sim), OLD, NEXT);
    sim_run(sim, nsec_seconds(160));
    sim->loss_percent = 0;
    sim_run(sim, nsec_seconds(100));
    if (sim_sas(SIM_A(sim)) && sim_sas(SIM_B(sim))) moved(sim, NEXT, PEER);
}

static void a_host_moves_again_and_again(struct sim *sim, uint64_t seed)
{
    const char *addrs[] = {OLD, NEXT, "203.0.113.77"};
    up(sim, seed, "");
    sim->jitter = nsec_ms(30);
    unsigned place = 0;
    for (unsigned i = 0; i < 12; i++) {
        unsigned next = (place + 1) % 3;
        swap(SIM_A(sim), addrs[place], addrs[next]);
        place = next;
        sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 400)));
    }
    sim_run(sim, nsec_seconds(30));
    moved(sim, addrs[place], PEER);
}

static void moves_while(struct sim *sim, uint64_t seed, const char *a_does, const char *b_does)
{
    up(sim, seed, "");
    sim->jitter = nsec_ms(20);
    if (a_does) sim_command(SIM_A(sim), a_does);
    if (b_does) sim_command(SIM_B(sim), b_does);
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 120)));
    swap(SIM_A(sim), OLD, NEXT);
    sim_run(sim, nsec_seconds(60));
    moved(sim, NEXT, PEER);
}

static void a_host_moves_while_it_rekeys_a_child(struct sim *sim, uint64_t seed) { moves_while(sim, seed, "rekey lan", NULL); }
static void a_host_moves_while_it_rekeys_ike(struct sim *sim, uint64_t seed) { moves_while(sim, seed, "rekey ike", NULL); }
static void a_host_moves_while_the_peer_rekeys_a_child(struct sim *sim, uint64_t seed) { moves_while(sim, seed, NULL, "rekey lan"); }
static void a_host_moves_while_the_peer_rekeys_ike(struct sim *sim, uint64_t seed) { moves_while(sim, seed, NULL, "rekey ike"); }
static void a_host_moves_while_both_rekey_ike(struct sim *sim, uint64_t seed) { moves_while(sim, seed, "rekey ike", "rekey ike"); }
static void a_host_moves_while_both_rekey_a_child(struct sim *sim, uint64_t seed) { moves_while(sim, seed, "rekey lan", "rekey lan"); }

static void a_host_without_address_waits_for_one(struct sim *sim, uint64_t seed)
{
    up(sim, seed, "dpd_delay = 10s");
    sim_address(SIM_A(sim), OLD, false);
    sim_run(sim, nsec_seconds(40 + (int64_t)(seed % 60)));
    CHECK(sim, SIM_A(sim)->fault_counts[FAULT_PATH_NONE] == 1);
    sim_address(SIM_A(sim), NEXT, true);
    sim_run(sim, nsec_seconds(20));
    moved(sim, NEXT, PEER);
}

static void a_host_without_address_can_be_closed(struct sim *sim, uint64_t seed)
{
    up(sim, seed, "dpd_delay = 10s");
    sim_address(SIM_A(sim), OLD, false);
    sim_run(sim, nsec_seconds(30));
    sim_command(SIM_A(sim), "down ike");
    sim_run(sim, nsec_seconds(500));
    CHECK(sim, sim_clean(SIM_A(sim)) && sim_clean(SIM_B(sim)));
}

// RFC 4555 3.10 test: nobody says anything, but one of two links of the peer is dead.
static void the_link_of_one_address_dies(struct sim *sim, uint64_t seed)
{
    up(sim, seed, "dpd_delay = 10s");
    sim_address(SIM_B(sim), PEER_OTHER, true);
    sim_address(SIM_A(sim), NEXT, true);
    sim_run(sim, nsec_seconds(2));
    sim->dead = addr_of(PEER);
    sim_run(sim, nsec_seconds(60));
    CHECK(sim, !at(SIM_A(sim), OLD, PEER));
    traffic_flows(sim);
    sim_quiesce(sim);
    play_one_of_all(sim);
}

static void the_link_of_our_address_dies(struct sim *sim, uint64_t seed)
{
    up(sim, seed, "dpd_delay = 10s");
    sim_address(SIM_A(sim), NEXT, true);
    sim_run(sim, nsec_seconds(2));
    sim->dead = addr_of(OLD);
    sim_run(sim, nsec_seconds(60));
    moved(sim, NEXT, PEER);
}

// RFC 4555 3.6 test
static void the_peer_moves(struct sim *sim, uint64_t seed)
{
    up(sim, seed, "");
    swap(SIM_B(sim), PEER, PEER_OTHER);
    sim_run(sim, nsec_seconds(20));
    moved(sim, OLD, PEER_OTHER);
}

static void both_have_many_addresses_and_lose_the_used_ones(struct sim *sim, uint64_t seed)
{
    up(sim, seed, "dpd_delay = 10s");
    sim_address(SIM_A(sim), NEXT, true);
    sim_address(SIM_B(sim), PEER_OTHER, true);
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 3000)) + nsec_seconds(1));
    sim_address(SIM_A(sim), OLD, false);
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 500)));
    sim_address(SIM_B(sim), PEER, false);
    sim_run(sim, nsec_seconds(90));
    moved(sim, NEXT, PEER_OTHER);
}

static void the_family_changes(struct sim *sim, uint64_t seed)
{
    up(sim, seed, "");
    sim_address(SIM_B(sim), "2001:db8::2", true);
    sim_run(sim, nsec_seconds(1));
    swap(SIM_A(sim), OLD, "2001:db8::1");
    sim_run(sim, nsec_seconds(10));
    moved(sim, "2001:db8::1", "2001:db8::2");
}

// RFC 4555 2.3, 3.5 test
static void a_nat_appears_and_goes(struct sim *sim, uint64_t seed)
{
    up(sim, seed, "dpd_delay = 10s");
    CHECK(sim, !SIM_A(sim)->sas[0].spec.path.encap);
    sim_nat_put(sim, SIM_A(sim), addr_v4(203, 0, 113, 200));
    swap(SIM_A(sim), OLD, "10.44.0.1");
    sim_run(sim, nsec_seconds(10));
    CHECK(sim, at(SIM_A(sim), "10.44.0.1", PEER) && at(SIM_B(sim), PEER, "203.0.113.200"));
    CHECK(sim, SIM_A(sim)->sas[0].spec.path.encap && SIM_B(sim)->sas[0].spec.path.encap);
    traffic_flows(sim);
    sim_run(sim, nsec_seconds(100));   // keepalives hold the mapping
    traffic_flows(sim);
    sim->nat_count = 0;
    SIM_A(sim)->nat = NULL;
    swap(SIM_A(sim), "10.44.0.1", NEXT);
    sim_run(sim, nsec_seconds(10));
    CHECK(sim, !SIM_A(sim)->sas[0].spec.path.encap && !SIM_B(sim)->sas[0].spec.path.encap);
    moved(sim, NEXT, PEER);
}

static void without_mobike_nothing_moves(struct sim *sim, uint64_t seed)
{
    up(sim, seed, "mobike = no");
    swap(SIM_A(sim), OLD, NEXT);
    sim_run(sim, nsec_seconds(10));
    CHECK(sim, at(SIM_A(sim), OLD, PEER) && at(SIM_B(sim), PEER, OLD));
}

// RFC 4555 1.3 test: selectors that are the hosts' own addresses do not move; the child is made anew, and once.
static void a_child_of_our_own_address_is_made_anew(struct sim *sim, uint64_t seed)
{
    static const char own[] = "local_ts = dynamic\n remote_ts = dynamic\n mode = transport";
    sim_pair_of(sim, seed, ANYWHERE, own, ANYBODY, own);
    sim->loss_percent = seed % 2 ? 20 : 0;
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(200));
    if (sim_children(SIM_A(sim), "lan") != 1) return;   // such a loss
    swap(SIM_A(sim), OLD, NEXT);
    if (seed % 3 == 0) sim_command(SIM_A(sim), "rekey lan");
    sim_run(sim, nsec_seconds(200));
    sim->loss_percent = 0;
    sim_run(sim, nsec_seconds(400));
    sim_quiesce(sim);
    CHECK(sim, sim_paired(sim) && sim_children(SIM_A(sim), "lan") == sim_children(SIM_B(sim), "lan"));
    if (seed % 2 == 0) {
        CHECK(sim, at(SIM_A(sim), NEXT, PEER));
        play_one_of_all(sim);
    }
    struct addr next = addr_of(NEXT);
    for (size_t i = 0; i < SIM_A(sim)->policy_count && sim_children(SIM_A(sim), "lan"); i++)
        CHECK(sim, range_has(&SIM_A(sim)->policies[i].local.at[0].range, &next));
}

const struct scenario scenarios_move[] = {
    SCENARIO(a_child_of_our_own_address_is_made_anew),
    SCENARIO(a_host_moves),
    SCENARIO(a_host_moves_under_loss),
    SCENARIO(a_host_moves_again_and_again),
    SCENARIO(a_host_moves_while_it_rekeys_a_child),
    SCENARIO(a_host_moves_while_it_rekeys_ike),
    SCENARIO(a_host_moves_while_the_peer_rekeys_a_child),
    SCENARIO(a_host_moves_while_the_peer_rekeys_ike),
    SCENARIO(a_host_moves_while_both_rekey_ike),
    SCENARIO(a_host_moves_while_both_rekey_a_child),
    SCENARIO(a_host_without_address_waits_for_one),
    SCENARIO(a_host_without_address_can_be_closed),
    SCENARIO(the_link_of_one_address_dies),
    SCENARIO(the_link_of_our_address_dies),
    SCENARIO(the_peer_moves),
    SCENARIO(both_have_many_addresses_and_lose_the_used_ones),
    SCENARIO(the_family_changes),
    SCENARIO(a_nat_appears_and_goes),
    SCENARIO(without_mobike_nothing_moves),
    {NULL, NULL},
};
