// SPDX-License-Identifier: Apache-2.0
// What is agreed on, and what is refused: secrets, proposals, selectors, traps, uniqueness.
#include "sim.h"

static void a_wrong_secret_is_refused(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    SIM_B(sim)->secret = "another";
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(200));
    enum fault fault;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && fault);
    CHECK(sim, SIM_B(sim)->fault_counts[FAULT_PSK_WRONG] == 1);
    play_nothing_of_all(sim);
}

static void a_packet_triggers_the_trap(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", "start_action = trap", "", "");
    sim_start(sim);
    CHECK(sim, SIM_A(sim)->policy_count == 2 && SIM_B(sim)->policy_count == 0);
    // The plane of a reports a packet; the core must make the SA for the very policy.
    sim_run(sim, nsec_ms(10));
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(1));
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 1);
    CHECK(sim, SIM_A(sim)->policy_count == 2);
    sim_command(SIM_A(sim), "down ike");
    sim_quiesce(sim);
    CHECK(sim, SIM_A(sim)->policy_count == 2);   // the trap stays: nothing may leak
}

// RFC 7296 2.9 test: the responder takes the part that it allows.
static void narrowed(struct sim *sim, uint64_t seed, const char *a, const char *b)
{
    sim_pair_of(sim, seed, "", a, "", b);
    play_up(sim);
    play_one_of_all(sim);
    sim_command(SIM_B(sim), "rekey lan");
    sim_quiesce(sim);
    play_one_of_all(sim);
}

static void the_responder_narrows(struct sim *sim, uint64_t seed)
{
    narrowed(sim, seed, "local_ts = 10.1.0.0/16\n remote_ts = 0.0.0.0/0", "");
    CHECK(sim, SIM_A(sim)->sas[0].spec.local.count == 1);
}

static void ports_and_protocols_are_narrowed(struct sim *sim, uint64_t seed)
{
    narrowed(sim, seed, "remote_ts = 10.2.0.0/24", "local_ts = 10.2.0.0/24[tcp/80]");
}

static void several_selectors_are_narrowed(struct sim *sim, uint64_t seed)
{
    narrowed(sim, seed, "remote_ts = 10.2.0.0/24,10.3.0.0/24,2001:db8::/32", "local_ts = 10.2.0.0/25,10.3.0.128/25");
    CHECK(sim, SIM_A(sim)->sas[0].spec.remote.count == 2);
}

// The child is refused; the IKE SA stays where there is one.
static void child_refused(struct sim *sim, uint64_t seed, const char *a, const char *b)
{
    sim_pair_of(sim, seed, "", a, "", b);
    play_refused(sim);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 0 && sim_children(SIM_B(sim), "lan") == 0);
}

static void selectors_that_do_not_fit_are_refused(struct sim *sim, uint64_t seed)
{
    child_refused(sim, seed, "remote_ts = 10.77.0.0/24", "");
}

static void esp_proposals_that_do_not_fit_are_refused(struct sim *sim, uint64_t seed)
{
    child_refused(sim, seed, "esp_proposals = aes256gcm16", "esp_proposals = chacha20poly1305");
}

static void ike_proposals_that_do_not_fit_are_refused(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "proposals = aes256-sha384-ecp384", "", "", "");
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(200));
    enum fault fault;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && fault);
    play_nothing_of_all(sim);
}

static void a_trap_is_sprung(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "");
    sim_start(sim);
    sim_command(SIM_A(sim), "install lan");
    CHECK(sim, SIM_A(sim)->policy_count == 1);
    struct flow flow = {.source = addr_v4(10, 1, 0, 5), .destination = addr_v4(10, 2, 0, 9), .protocol = 17,
                        .source_port = 4000, .destination_port = 53, .ports_known = true};
    for (unsigned i = 0; i < 3; i++) sim_acquire(SIM_A(sim), SIM_A(sim)->policies[0].number, &flow);
    sim_run(sim, nsec_seconds(2));
    sim_quiesce(sim);
    play_one_of_all(sim);
    sim_command(SIM_A(sim), "uninstall lan");
    sim_command(SIM_A(sim), "down ike");
    sim_quiesce(sim);
    play_nothing_of_all(sim);
}

static void a_trap_is_sprung_at_both_ends(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "start_action = trap");
    sim->jitter = nsec_ms(15);
    sim_start(sim);
    struct flow there = {.source = addr_v4(10, 1, 0, 5), .destination = addr_v4(10, 2, 0, 9), .protocol = 1};
    struct flow back = {.source = addr_v4(10, 2, 0, 9), .destination = addr_v4(10, 1, 0, 5), .protocol = 1};
    sim_acquire(SIM_A(sim), SIM_A(sim)->policies[0].number, &there);
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 60)));
    sim_acquire(SIM_B(sim), SIM_B(sim)->policies[0].number, &back);
    sim_run(sim, nsec_seconds(10));
    sim_quiesce(sim);
    CHECK(sim, sim_children(SIM_A(sim), "lan") >= 1 && sim_children(SIM_B(sim), "lan") >= 1);
}

// A second initiator with the identity of the first.
static void unique(struct sim *sim, uint64_t seed, const char *policy, unsigned expected)
{
    sim_pair_of(sim, seed, "", "", policy, "");
    SIM_A(sim)->settings.qcd_secret = BYTES_NONE;   // by a token b would know at once
    play_up(sim);
    SIM_A(sim)->cut = true;   // a is gone and knows nothing of what was
    sim_reload(SIM_A(sim));
    sim_run(sim, nsec_seconds(1));
    SIM_A(sim)->cut = false;
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(200));
    CHECK(sim, sim_sas(SIM_B(sim)) == expected);
}

static void unique_no_goes_by_initial_contact(struct sim *sim, uint64_t seed) { unique(sim, seed, "unique = no", 1); }
static void unique_never_keeps_all(struct sim *sim, uint64_t seed) { unique(sim, seed, "unique = never", 2); }
static void unique_keep_believes_initial_contact(struct sim *sim, uint64_t seed) { unique(sim, seed, "unique = keep", 1); }
static void unique_replace_has_one(struct sim *sim, uint64_t seed) { unique(sim, seed, "unique = replace", 1); }

static bool leases_are(const struct sim *sim, uint32_t online, uint32_t offline)
{
    struct ike_pool_info pool;
    return ike_pool_after(sim->hosts[1].core, NULL, &pool) && pool.online == online && pool.offline == offline;
}

static bool both_say_10_3_0_1(struct sim *sim)
{
    struct addr addr = addr_v4(10, 3, 0, 1);
    struct ike_sa_info a, b;
    return ike_sa_info(SIM_A(sim)->core, ike_sa_after(SIM_A(sim)->core, 0), &a) && a.vip_count == 1 && addr_equal(&a.vips[0], &addr) &&
           ike_sa_info(SIM_B(sim)->core, ike_sa_after(SIM_B(sim)->core, 0), &b) && b.remote_vip_count == 1 &&
           addr_equal(&b.remote_vips[0], &addr);
}

// RFC 7296 2.19 test: a client has one address through rekeyings by both ends, and the same when it comes again.
static void a_virtual_address_is_kept(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "vips = 0.0.0.0", "local_ts = dynamic", "pools = office", "remote_ts = dynamic");
    sim_start(sim);
    sim_pool(SIM_B(sim), "office", "10.3.0.1-10.3.0.9");
    for (unsigned round = 0; round < 2; round++) {
        sim_command(SIM_A(sim), "up lan");
        sim_run(sim, nsec_seconds(1));
        play_one_of_all(sim);
        CHECK(sim, both_say_10_3_0_1(sim) && leases_are(sim, 1, 0));
        for (unsigned end = 0; end < 2; end++) {
            sim_command(&sim->hosts[end], "rekey ike");
            sim_storm(sim, &(struct weather){.loss = 20, .jitter = nsec_ms(50)}, nsec_seconds(120));
            sim_quiesce(sim);
        }
        play_one_of_all(sim);
        CHECK(sim, both_say_10_3_0_1(sim) && leases_are(sim, 1, 0));
        sim_command(SIM_A(sim), "down ike");
        sim_quiesce(sim);
        sim_run(sim, nsec_seconds(1));
        play_nothing_of_all(sim);
        CHECK(sim, leases_are(sim, 0, 1));
    }
}

// RFC 9478 test: children for the same packets are told apart by their labels.
static void a_label_chooses_the_child(struct sim *sim, uint64_t seed)
{
    #define LABELLED "esp_proposals = aes256gcm16\n label_mode = simple\n label = lab:secret:"
    sim_pair_of(sim, seed, "", LABELLED "1", "", LABELLED "1");
    play_up(sim);
    play_one_of_all(sim);
    sim_command(SIM_A(sim), "rekey lan");
    sim_command(SIM_B(sim), "rekey ike");
    sim_quiesce(sim);
    play_one_of_all(sim);
    #undef LABELLED
}

static void labels_differ(struct sim *sim, uint64_t seed, const char *a, const char *b)
{
    sim_pair_of(sim, seed, "", a, "", b);
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(2));
    enum fault fault = OK;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && fault == FAULT_PEER_TS_UNACCEPTABLE);
    CHECK(sim, SIM_B(sim)->fault_counts[FAULT_LABEL_OTHER] == 1 && sim_children(SIM_B(sim), "lan") == 0);
}

static void another_label_is_refused(struct sim *sim, uint64_t seed)
{
    labels_differ(sim, seed, "label_mode = simple\n label = one", "label_mode = simple\n label = on");
}

static void a_label_is_refused_where_there_is_none(struct sim *sim, uint64_t seed)
{
    labels_differ(sim, seed, "label_mode = simple\n label = one", "");
}

static void none_is_refused_where_there_is_a_label(struct sim *sim, uint64_t seed)
{
    labels_differ(sim, seed, "", "label_mode = simple\n label = one");
}

const struct scenario scenarios_choice[] = {
    SCENARIO(a_label_chooses_the_child),
    SCENARIO(another_label_is_refused),
    SCENARIO(a_label_is_refused_where_there_is_none),
    SCENARIO(none_is_refused_where_there_is_a_label),
    SCENARIO(a_wrong_secret_is_refused),
    SCENARIO(a_packet_triggers_the_trap),
    SCENARIO(the_responder_narrows),
    SCENARIO(ports_and_protocols_are_narrowed),
    SCENARIO(several_selectors_are_narrowed),
    SCENARIO(selectors_that_do_not_fit_are_refused),
    SCENARIO(esp_proposals_that_do_not_fit_are_refused),
    SCENARIO(ike_proposals_that_do_not_fit_are_refused),
    SCENARIO(a_trap_is_sprung),
    SCENARIO(a_trap_is_sprung_at_both_ends),
    SCENARIO(unique_no_goes_by_initial_contact),
    SCENARIO(unique_never_keeps_all),
    SCENARIO(unique_keep_believes_initial_contact),
    SCENARIO(unique_replace_has_one),
    SCENARIO(a_virtual_address_is_kept),
    {NULL, NULL},
};
