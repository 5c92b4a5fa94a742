// SPDX-License-Identifier: Apache-2.0
// Bad links, hosts that crash, clocks that jump.
#include "sim.h"
#include <stdio.h>

#define UP_LIMIT nsec_seconds(120)

// RFC 7296 2.1 test: lost messages are sent again.
static void it_comes_up_under_loss(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_storm(sim, &(struct weather){.loss = 30, .duplicates = 10, .jitter = nsec_ms(200)}, nsec_seconds(300));
    sim_quiesce(sim);
    play_one_of_all(sim);
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
    play_nothing_of_all(sim);
}

// RFC 7296 2.4 test: liveness finds out that the peer is gone.
static void a_dead_peer_is_noticed(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "dpd_delay = 10s", "", "", "");
    play_up(sim);
    SIM_B(sim)->cut = true;
    sim_run(sim, nsec_seconds(200));
    CHECK(sim, sim_sas(SIM_A(sim)) == 0 && SIM_A(sim)->sa_count == 0);
}

static void a_restarted_peer_replaces_its_sa(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    play_up(sim);
    sim_reload(SIM_A(sim));
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(2));
    sim_quiesce(sim);
    play_one_of_all(sim);   // RFC 7296 2.4 test: INITIAL_CONTACT took the old one away
}

static void it_comes_up_through_bursts(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim->burst_percent = 50;
    sim->jitter = nsec_ms(100);
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, UP_LIMIT);
    sim_quiesce(sim);
    play_one_of_all(sim);
}

static void it_lives_on_a_bad_link(struct sim *sim, uint64_t seed)
{
    // There is time for the retransmissions of a rekeying, and of one that it has to wait for.
    sim_pair(sim, seed, "rekey_time = 100s\n over_time = 100s\n rand_time = 10s\n dpd_delay = 20s",
             "rekey_time = 60s\n life_time = 160s\n rand_time = 10s");
    play_up(sim);
    sim->burst_percent = 20;
    sim->loss_percent = 10;
    sim->duplicate_percent = 10;
    sim->jitter = nsec_ms(300);
    sim_run(sim, nsec_seconds(1000));
    sim->burst_percent = sim->loss_percent = 0;
    sim_run(sim, nsec_seconds(400));
    sim_quiesce(sim);
    // At the end one may just be rekeyed.
    for (size_t i = 0; i < 2; i++)
        CHECK(sim, ike_stats(sim->hosts[i].core)->sas >= 1 && sim_children(&sim->hosts[i], "lan") >= 1);
}

// RFC 7383 test: the first messages of a large proposal are cut, fragments are lost and come out of order.
static void fragments_are_lost(struct sim *sim, uint64_t seed)
{
    static char lines[8192];
    size_t size = (size_t)snprintf(lines, sizeof lines, "local_ts = 10.1.0.0/24");
    for (unsigned i = 0; i < 15; i++)
        size += (size_t)snprintf(lines + size, sizeof lines - size, ",2001:db8:%x:1::/64", i);
    size += (size_t)snprintf(lines + size, sizeof lines - size, "\n remote_ts = 10.2.0.0/24");
    for (unsigned i = 0; i < 15; i++)
        size += (size_t)snprintf(lines + size, sizeof lines - size, ",2001:db8:%x:2::/64", i);
    size += (size_t)snprintf(lines + size, sizeof lines - size,
                             "\n esp_proposals = aes128-sha256,aes192-sha256,aes256-sha256,aes128-sha384,aes192-sha384,"
                             "aes256-sha384,aes128-sha512,aes192-sha512,aes256-sha512,aes128gcm16,aes256gcm16,aes192gcm16,"
                             "aes128ctr-sha256,aes256ctr-sha256,chacha20poly1305");
    sim_pair_of(sim, seed, "", lines, "", "remote_ts = 10.1.0.0/24,2001:db8::/32\n local_ts = 10.2.0.0/24,2001:db8::/32");
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_storm(sim, &(struct weather){.loss = 20, .duplicates = 20, .jitter = nsec_ms(100)}, nsec_seconds(300));
    sim_quiesce(sim);
    play_one_of_all(sim);
    CHECK(sim, SIM_A(sim)->sent >= 3);
}

// A host crashes at any moment of the life of its SAs, comes back and begins again.
static void crash(struct sim *sim, uint64_t seed, struct sim_host *(*who)(struct sim *), bool begins)
{
    sim_pair(sim, seed, "dpd_delay = 10s", "");
    sim->jitter = nsec_ms(20);
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 300)));
    sim_command(SIM_B(sim), "rekey lan");
    sim_command(SIM_A(sim), "rekey ike");
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 300)));
    sim_reload(who(sim));
    if (begins) sim_command(who(sim), "up lan");
    sim_run(sim, nsec_seconds(700));
    if (begins) {
        sim_quiesce(sim);
        CHECK(sim, sim_children(who(sim), "lan") >= 1);
    } else {
        // What came up after the crash stays; what came up before is found out.
        CHECK(sim, sim_sas(SIM_A(sim)) == sim_sas(SIM_B(sim)));
        CHECK(sim, sim_children(SIM_A(sim), "lan") == sim_children(SIM_B(sim), "lan"));
    }
}

static struct sim_host *host_a(struct sim *sim) { return SIM_A(sim); }
static struct sim_host *host_b(struct sim *sim) { return SIM_B(sim); }
static void the_initiator_crashes_and_begins_again(struct sim *sim, uint64_t seed) { crash(sim, seed, host_a, true); }
static void the_responder_crashes_and_begins(struct sim *sim, uint64_t seed) { crash(sim, seed, host_b, true); }
static void the_responder_crashes_and_is_found_out(struct sim *sim, uint64_t seed) { crash(sim, seed, host_b, false); }

static void one_of_many_crashes(struct sim *sim, uint64_t seed)
{
    sim_star(sim, seed, 5, "dpd_delay = 10s", "", "");
    sim_start(sim);
    for (size_t i = 1; i <= 5; i++) sim_command(&sim->hosts[i], "up lan");
    sim_run(sim, nsec_ms(500 + (int64_t)rng_below(&sim->rng.rng, 20000)));
    sim_reload(&sim->hosts[1 + seed % 5]);
    sim_run(sim, nsec_seconds(250));
    sim_quiesce(sim);
    CHECK(sim, sim_sas(&sim->hosts[0]) == 4 && sim_children(&sim->hosts[0], "lan") == 4);
}

static void the_hub_of_many_crashes(struct sim *sim, uint64_t seed)
{
    sim_star(sim, seed, 5, "", "dpd_delay = 10s", "dpd_action = restart");
    sim_start(sim);
    for (size_t i = 1; i <= 5; i++) sim_command(&sim->hosts[i], "up lan");
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 20000)));
    sim_reload(&sim->hosts[0]);
    sim_run(sim, nsec_seconds(400));
    sim_quiesce(sim);
    CHECK(sim, sim_sas(&sim->hosts[0]) == 5 && sim_children(&sim->hosts[0], "lan") == 5);
}

// Both were asleep: all that was due is due at once.
static void the_clock_jumps(struct sim *sim, uint64_t seed, nsec span)
{
    sim_pair(sim, seed, "rekey_time = 1h\n dpd_delay = 30s", "rekey_time = 20m");
    play_up(sim);
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 100000)));
    sim_jump(sim, span);
    sim_run(sim, nsec_seconds(60));
    sim_quiesce(sim);
    CHECK(sim, sim_sas(SIM_A(sim)) == sim_sas(SIM_B(sim)));
    CHECK(sim, sim_children(SIM_A(sim), "lan") == sim_children(SIM_B(sim), "lan"));
}

static void the_clock_jumps_a_little(struct sim *sim, uint64_t seed) { the_clock_jumps(sim, seed, nsec_seconds(40)); }
static void the_clock_jumps_past_a_rekey(struct sim *sim, uint64_t seed) { the_clock_jumps(sim, seed, nsec_seconds(1250)); }
static void the_clock_jumps_a_day(struct sim *sim, uint64_t seed) { the_clock_jumps(sim, seed, nsec_seconds(86400)); }

static void a_cut_that_is_short_is_survived(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "dpd_delay = 10s", "");
    play_up(sim);
    SIM_B(sim)->cut = true;
    sim_run(sim, nsec_seconds(60));
    SIM_B(sim)->cut = false;
    sim_run(sim, nsec_seconds(120));
    sim_quiesce(sim);
    play_one_of_all(sim);
}

const struct scenario scenarios_trouble[] = {
    SCENARIO(it_comes_up_under_loss),
    SCENARIO(an_unreachable_peer_is_given_up),
    SCENARIO(a_dead_peer_is_noticed),
    SCENARIO(a_restarted_peer_replaces_its_sa),
    SCENARIO(it_comes_up_through_bursts),
    SCENARIO(it_lives_on_a_bad_link),
    SCENARIO(fragments_are_lost),
    SCENARIO(the_initiator_crashes_and_begins_again),
    SCENARIO(the_responder_crashes_and_begins),
    SCENARIO(the_responder_crashes_and_is_found_out),
    SCENARIO(one_of_many_crashes),
    SCENARIO(the_hub_of_many_crashes),
    SCENARIO(the_clock_jumps_a_little),
    SCENARIO(the_clock_jumps_past_a_rekey),
    SCENARIO(the_clock_jumps_a_day),
    SCENARIO(a_cut_that_is_short_is_survived),
    {NULL, NULL},
};
