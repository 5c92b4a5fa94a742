// SPDX-License-Identifier: Apache-2.0
// How SAs come up: alone, several, many peers, under a flood.
#include "tap.h"

void play_up(struct sim *sim)
{
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    enum fault fault;
    sim_run(sim, nsec_seconds(1));
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && !fault);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 1 && sim_children(SIM_B(sim), "lan") == 1);
    CHECK(sim, sim_paired(sim));
}

void play_up_tapped(struct sim *sim, uint64_t seed, struct tap *tap,
                    void (*meet)(struct sim *, struct said *, struct tapped *))
{
    sim_pair(sim, seed, "", "");
    tap_begin(tap, sim);
    play_up(sim);
    tap_record(tap, sim);
    tap->meet = meet;
}

// One child, one IKE SA, agreed on by both, and no SA of the data plane left over.
void play_one_of_all(struct sim *sim)
{
    CHECK(sim, sim_sas(SIM_A(sim)) == 1 && sim_sas(SIM_B(sim)) == 1);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 1 && sim_children(SIM_B(sim), "lan") == 1);
    CHECK(sim, sim_paired(sim));
    CHECK(sim, SIM_A(sim)->sa_count == 2 && SIM_B(sim)->sa_count == 2);
}

void play_nothing_of_all(struct sim *sim)
{
    for (size_t i = 0; i < 2; i++) {
        CHECK(sim, sim_sas(&sim->hosts[i]) == 0 && ike_sa_after(sim->hosts[i].core, 0) == 0);
        CHECK(sim, sim->hosts[i].sa_count == 0 && sim->hosts[i].policy_count == 0);
    }
}

void play_refused(struct sim *sim)
{
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(5));
    sim_quiesce(sim);
    enum fault fault;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && fault);
    CHECK(sim, SIM_A(sim)->sa_count == 0 && SIM_B(sim)->sa_count == 0);
}

static void a_child_comes_up(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    play_up(sim);
    play_one_of_all(sim);
    CHECK(sim, SIM_A(sim)->sent == 2 && SIM_B(sim)->sent == 2);   // RFC 7296 1.2 test: two exchanges
}

// Each end has one of its own; both work, and traffic goes through.
static void both_initiate(struct sim *sim, uint64_t seed, const char *conn)
{
    sim_pair(sim, seed, conn, "");
    sim->jitter = nsec_ms(30);
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 100)));
    sim_command(SIM_B(sim), "up lan");
    sim_run(sim, nsec_seconds(5));
    sim_quiesce(sim);
    sim->traffic = true;
    sim_run(sim, nsec_seconds(2));
    sim->traffic = false;
    sim_quiesce(sim);
    CHECK(sim, sim_sas(SIM_A(sim)) == sim_sas(SIM_B(sim)) && sim_sas(SIM_A(sim)) >= 1);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == sim_sas(SIM_A(sim)) && sim_paired(sim));
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
}

static void both_ends_initiate_at_once(struct sim *sim, uint64_t seed)
{
    both_initiate(sim, seed, "");
    CHECK(sim, sim_sas(SIM_A(sim)) <= 2);
}

static void both_ends_initiate_and_replace(struct sim *sim, uint64_t seed) { both_initiate(sim, seed, "unique = replace"); }
static void both_ends_initiate_and_keep(struct sim *sim, uint64_t seed) { both_initiate(sim, seed, "unique = keep"); }

static void two_children_share_an_ike_sa(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    play_up(sim);
    sim_command(SIM_A(sim), "up other");
    sim_run(sim, nsec_seconds(1));
    CHECK(sim, sim_sas(SIM_A(sim)) == 1 && sim_children(SIM_A(sim), "other") == 1 && sim_children(SIM_B(sim), "other") == 1);
    CHECK(sim, sim_paired(sim));
}

static void many_half_open_ask_for_cookies(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    SIM_B(sim)->settings.cookie_threshold = 0;   // RFC 7296 2.6 test
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(2));
    play_one_of_all(sim);
    CHECK(sim, SIM_A(sim)->sent == 3);
}

static void ups(struct sim *sim, uint64_t seed, const char *conn, const char *child)
{
    sim_pair(sim, seed, conn, child);
    play_up(sim);
    play_one_of_all(sim);
}

static void a_child_has_its_own_key_exchange(struct sim *sim, uint64_t seed)
{
    ups(sim, seed, "", "esp_proposals = aes128gcm16-curve25519");
    sim_command(SIM_B(sim), "rekey lan");
    sim_quiesce(sim);
    play_one_of_all(sim);
}

static void cbc_and_hmac_protect_it(struct sim *sim, uint64_t seed)
{
    ups(sim, seed, "proposals = aes256-sha256-x25519", "esp_proposals = aes256-sha256-esn");
}

static void encapsulation_may_be_forced(struct sim *sim, uint64_t seed)
{
    ups(sim, seed, "encap = yes", "");
    CHECK(sim, SIM_A(sim)->sas[0].spec.path.encap && SIM_B(sim)->sas[0].spec.path.encap);
}

// RFC 7296 1.2 test, 3.4: the group that we guessed is not the peer's.
static void the_first_guess_of_a_group_is_wrong(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "proposals = aes128gcm16-prfsha256-ecp256-curve25519", "",
                "proposals = aes128gcm16-prfsha256-curve25519", "");
    play_up(sim);
    play_one_of_all(sim);
    CHECK(sim, SIM_A(sim)->sent == 3);
}

static void a_cookie_and_another_group_are_asked_for(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "proposals = aes128gcm16-prfsha256-ecp256-curve25519", "",
                "proposals = aes128gcm16-prfsha256-curve25519", "");
    SIM_B(sim)->settings.cookie_threshold = 0;   // RFC 7296 2.6.1 test
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(2));
    play_one_of_all(sim);
}

// RFC 6023 test
static void an_ike_sa_without_a_child_comes_up(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim_start(sim);
    sim_command(SIM_A(sim), "up ike");
    sim_run(sim, nsec_seconds(2));
    CHECK(sim, sim_sas(SIM_A(sim)) == 1 && sim_sas(SIM_B(sim)) == 1);
    CHECK(sim, SIM_A(sim)->sa_count == 0 && SIM_B(sim)->sa_count == 0);
    sim_command(seed % 2 ? SIM_A(sim) : SIM_B(sim), "up lan");
    sim_run(sim, nsec_seconds(2));
    play_one_of_all(sim);
}

static void childless_is_not_begun_where_it_is_not_wanted(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", "", "childless = never", "");
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up ike");
    sim_run(sim, nsec_seconds(200));
    enum fault fault;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && fault);
    CHECK(sim, SIM_B(sim)->sa_count == 0 && sim_sas(SIM_B(sim)) == 0);
}

static void start_action_starts_it(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", "start_action = start", "", "");
    sim_start(sim);
    sim_run(sim, nsec_seconds(2));
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 1 && sim_children(SIM_A(sim), "other") == 1);
    sim_checks_settled(sim);
}

static void star_up(struct sim *sim, size_t count)
{
    sim_start(sim);
    for (size_t i = 1; i <= count; i++) sim_command(&sim->hosts[i], "up lan");
    sim_run(sim, nsec_seconds(2));
}

static void nine_peers_come_up_at_once(struct sim *sim, uint64_t seed)
{
    sim_star(sim, seed, 9, "", "", "");
    sim->jitter = nsec_ms(100);
    star_up(sim, 9);
    CHECK(sim, sim_sas(&sim->hosts[0]) == 9 && sim_children(&sim->hosts[0], "lan") == 9);
    sim_quiesce(sim);
    for (size_t i = 1; i <= 9; i++) sim_command(&sim->hosts[i], "down ike");
    sim_quiesce(sim);
    for (size_t i = 0; i <= 9; i++) CHECK(sim, sim_clean(&sim->hosts[i]));
}

static void many_peers_rekey_while_traffic_flows(struct sim *sim, uint64_t seed)
{
    // Who meets an exchange of the other end tries again after some ten seconds: there is time for it.
    sim_star(sim, seed, 4, "rekey_time = 60s\n over_time = 60s", "rekey_time = 80s\n over_time = 60s",
             "rekey_time = 40s\n life_time = 100s\n rand_time = 10s");
    sim->jitter = nsec_ms(5);
    star_up(sim, 4);
    sim->traffic = true;
    sim_run(sim, nsec_seconds(200));
    sim->traffic = false;
    sim_quiesce(sim);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    // At the end one may just be rekeying.
    CHECK(sim, ike_stats(sim->hosts[0].core)->sas >= 4 && sim_children(&sim->hosts[0], "lan") >= 4);
}

// --- first messages from addresses where nobody is

static uint8_t first_message[2048];
static size_t first_size;

static bool keep_first(struct sim *sim, struct bytes bytes)
{
    (void)sim;
    if (!first_size && bytes.size <= sizeof first_message) {
        memcpy(first_message, bytes.at, bytes.size);
        first_size = bytes.size;
    }
    return false;
}

// RFC 7296 2.6 test: half-open SAs stay within limits, and no stranger is sent more than it could have asked for.
static void flood(struct sim *sim, uint64_t seed, unsigned cookies_from, bool one_source)
{
    sim_pair(sim, seed, "", "");
    SIM_B(sim)->settings.half_open_max = 200;
    SIM_B(sim)->settings.cookie_threshold = cookies_from;
    sim_start(sim);
    first_size = 0;
    sim->filter_on = true;
    sim->filter = keep_first;
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_ms(100));
    CHECK(sim, first_size > 0);
    for (unsigned i = 0; i < 1000; i++) {
        struct endpoint from = {addr_v4(203, 0, 113, one_source ? 1 : (uint8_t)i), (uint16_t)(one_source ? 500 : 1000 + i % 50)};
        first_message[0] = (uint8_t)(1 + i / 256);
        first_message[1] = (uint8_t)i;
        sim_inject(SIM_B(sim), &from, bytes_of(first_message, first_size));
    }
    sim_run(sim, nsec_seconds(1));
    const struct ike_settings *limits = &SIM_B(sim)->settings;
    CHECK(sim, ike_stats(SIM_B(sim)->core)->half_open <= (one_source ? limits->half_open_per_source_max : limits->half_open_max));
    sim->filter_on = false;
    sim_run(sim, nsec_seconds(100));
    CHECK(sim, ike_stats(SIM_B(sim)->core)->half_open == 0);
    play_one_of_all(sim);   // a comes in at its next try
}

static void a_flood_meets_the_limit(struct sim *sim, uint64_t seed) { flood(sim, seed, 100000, false); }
static void a_flood_is_asked_for_cookies(struct sim *sim, uint64_t seed) { flood(sim, seed, 20, false); }
static void a_flood_from_one_address_meets_its_limit(struct sim *sim, uint64_t seed) { flood(sim, seed, 100000, true); }

const struct scenario scenarios_setup[] = {
    SCENARIO(a_child_comes_up),
    SCENARIO(both_ends_initiate_at_once),
    SCENARIO(both_ends_initiate_and_replace),
    SCENARIO(both_ends_initiate_and_keep),
    SCENARIO(two_children_share_an_ike_sa),
    SCENARIO(many_half_open_ask_for_cookies),
    SCENARIO(a_child_has_its_own_key_exchange),
    SCENARIO(cbc_and_hmac_protect_it),
    SCENARIO(encapsulation_may_be_forced),
    SCENARIO(the_first_guess_of_a_group_is_wrong),
    SCENARIO(a_cookie_and_another_group_are_asked_for),
    SCENARIO(an_ike_sa_without_a_child_comes_up),
    SCENARIO(childless_is_not_begun_where_it_is_not_wanted),
    SCENARIO(start_action_starts_it),
    SCENARIO(nine_peers_come_up_at_once),
    SCENARIO(many_peers_rekey_while_traffic_flows),
    SCENARIO(a_flood_meets_the_limit),
    SCENARIO(a_flood_is_asked_for_cookies),
    SCENARIO(a_flood_from_one_address_meets_its_limit),
    {NULL, NULL},
};
