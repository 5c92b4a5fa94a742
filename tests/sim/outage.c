// SPDX-License-Identifier: Apache-2.0
// One direction is out for longer than a request is tried, or a step of a handshake never comes. One end
// gives up; the other finds out, and in the end both have the same.
#include "sim.h"

static struct {
    size_t silent;   // the host whose messages are lost
    nsec from, until;
    uint8_t exchange;   // only of this exchange; 0: all
} outage;

static void lose(struct sim *sim, struct sim_host *from, struct buf *datagram)
{
    bool out = sim->now >= outage.from && sim->now < outage.until && from == &sim->hosts[outage.silent];
    if (out && (!outage.exchange || datagram->at[18] == outage.exchange)) buf_clear(datagram);
}

static void outage_begin(struct sim *sim, size_t silent, nsec span, uint8_t exchange)
{
    outage.silent = silent;
    outage.from = sim->now;
    outage.until = sim->now + span;
    outage.exchange = exchange;
    sim->edit = lose;
}

static void both_have_the_same(struct sim *sim)
{
    sim_quiesce(sim);
    struct sim_host *a = SIM_A(sim), *b = SIM_B(sim);
    CHECK(sim, sim_sas(a) == sim_sas(b));
    CHECK(sim, sim_children(a, "lan") == sim_children(b, "lan"));
    CHECK(sim, sim_children(a, "other") == sim_children(b, "other"));
    CHECK(sim, a->sa_count == b->sa_count);
}

// Whoever is asked is heard no more, by any exchange of who asks.
static void answers_are_lost(struct sim *sim, uint64_t seed, const char *conn, const char *command)
{
    size_t asks = seed % 2;
    sim_pair(sim, seed, conn, "");
    sim->jitter = nsec_ms(15);
    play_up(sim);
    outage_begin(sim, !asks, nsec_seconds(60 + (int64_t)rng_below(&sim->rng.rng, 400)), 0);
    sim_command(&sim->hosts[asks], command);
    sim_run(sim, nsec_seconds(1400));
    both_have_the_same(sim);
}

#define ANSWERS_LOST(name, conn, command)                    \
    static void name(struct sim *sim, uint64_t seed)         \
    {                                                        \
        answers_are_lost(sim, seed, conn, command);          \
    }

// Nothing is asked of an SA that the peer may not have: it is found out even where liveness is not configured.
ANSWERS_LOST(answers_to_a_child_rekeying_are_lost, "", "rekey lan")
ANSWERS_LOST(answers_to_an_ike_rekeying_are_lost, "", "rekey ike")
ANSWERS_LOST(answers_to_a_further_child_are_lost, "", "up other")
ANSWERS_LOST(answers_to_reauthentication_are_lost, "dpd_delay = 30s", "reauth ike")
ANSWERS_LOST(answers_to_the_end_of_a_child_are_lost, "dpd_delay = 30s", "down lan")
ANSWERS_LOST(answers_to_the_end_of_an_ike_sa_are_lost, "", "down ike")

// Only the last answer is lost: b has an SA, a does not and has given up.
static void answers_to_authentication_are_lost(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim_start(sim);
    outage_begin(sim, 1, nsec_seconds(60 + (int64_t)rng_below(&sim->rng.rng, 400)), EXCHANGE_IKE_AUTH);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(600));
    both_have_the_same(sim);
}

// RFC 9242 test: an IKE_INTERMEDIATE that does not come leaves nothing half open.
static void an_intermediate_exchange_never_comes(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "proposals = aes128gcm16-prfsha256-curve25519-ke1_mlkem768", "");
    sim_start(sim);
    outage_begin(sim, seed % 2, nsec_seconds(1000), EXCHANGE_IKE_INTERMEDIATE);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(10));
    CHECK(sim, ike_stats(SIM_B(sim)->core)->half_open == 1);
    sim_run(sim, nsec_seconds(30));
    CHECK(sim, ike_stats(SIM_B(sim)->core)->half_open == 0);
    sim_run(sim, nsec_seconds(400));
    enum fault fault;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && fault);
    play_nothing_of_all(sim);
}

// RFC 9370 2.2.4 test: a further key exchange of a rekeying never comes; the old child goes on, and is rekeyed later.
static void a_followup_exchange_never_comes(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "esp_proposals = aes128gcm16-curve25519-ke1_mlkem768");
    play_up(sim);
    outage_begin(sim, 0, nsec_seconds(60), EXCHANGE_IKE_FOLLOWUP_KE);
    sim_command(SIM_A(sim), "rekey lan");
    sim_run(sim, nsec_seconds(55));
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 1 && sim_children(SIM_B(sim), "lan") == 1);
    sim_run(sim, nsec_seconds(100));
    sim_quiesce(sim);
    CHECK(sim, SIM_A(sim)->events[IKE_EVENT_CHILD_REKEYED] == 1);
    play_one_of_all(sim);
}

// The responder has forgotten the half-open SA when IKE_AUTH comes at last: it is begun anew.
static void a_half_open_sa_is_forgotten_and_begun_anew(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim_start(sim);
    outage_begin(sim, 0, nsec_seconds(35), EXCHANGE_IKE_AUTH);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(100));
    sim_quiesce(sim);
    CHECK(sim, SIM_A(sim)->fault_counts[FAULT_PEER_STATE_GONE] >= 1);
    play_one_of_all(sim);
}

// b asks before its last answer has come: a passes over it and answers when it comes again.
static void a_request_overtakes_the_answer_before_it(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim_start(sim);
    outage_begin(sim, 1, nsec_seconds(10), EXCHANGE_IKE_AUTH);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(1));
    sim_command(SIM_B(sim), seed % 3 == 0 ? "rekey lan" : seed % 3 == 1 ? "rekey ike" : "up other");
    sim_run(sim, nsec_seconds(120));
    sim_quiesce(sim);
    CHECK(sim, SIM_A(sim)->fault_counts[FAULT_REQUEST_EARLY] >= 1);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 1 && sim_children(SIM_B(sim), "lan") == 1);
    both_have_the_same(sim);
}

// A child that came with IKE_AUTH is not forgotten when that is tried again.
static void a_child_comes_up_at_a_later_attempt(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "keyingtries = 0", "");
    sim_start(sim);
    outage_begin(sim, seed % 2, nsec_seconds(300), EXCHANGE_IKE_AUTH);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(900));
    sim_quiesce(sim);
    play_one_of_all(sim);
}

const struct scenario scenarios_outage[] = {
    SCENARIO(answers_to_a_child_rekeying_are_lost),
    SCENARIO(answers_to_an_ike_rekeying_are_lost),
    SCENARIO(answers_to_a_further_child_are_lost),
    SCENARIO(answers_to_reauthentication_are_lost),
    SCENARIO(answers_to_the_end_of_a_child_are_lost),
    SCENARIO(answers_to_the_end_of_an_ike_sa_are_lost),
    SCENARIO(answers_to_authentication_are_lost),
    SCENARIO(an_intermediate_exchange_never_comes),
    SCENARIO(a_followup_exchange_never_comes),
    SCENARIO(a_half_open_sa_is_forgotten_and_begun_anew),
    SCENARIO(a_request_overtakes_the_answer_before_it),
    SCENARIO(a_child_comes_up_at_a_later_attempt),
    {NULL, NULL},
};
