// SPDX-License-Identifier: Apache-2.0
// Extensions that change how an IKE SA comes to be: post-quantum pre-shared keys, rounds, tickets.
#include "sim.h"

static bool ppk_used(const struct sim_host *host)
{
    struct ike_sa_info info;
    return ike_sa_info(host->core, ike_sa_after(host->core, 0), &info) && info.ppk;
}

#define PPK_LINES "ppk_id = ppk@example.org"

static void a_ppk_is_mixed_in(struct sim *sim, uint64_t seed)
{
    bool early = seed % 2;
    sim_pair(sim, seed, early ? PPK_LINES "\n  ppk_required = yes" : PPK_LINES "\n  ppk_required = yes\n  ppk_int = never", "");
    SIM_A(sim)->ppk = SIM_B(sim)->ppk = "a key of both";
    play_up(sim);
    play_one_of_all(sim);
    CHECK(sim, ppk_used(SIM_A(sim)) && ppk_used(SIM_B(sim)));
    // RFC 8784 3 test: no further message. RFC 9867 3.1 test: one more, when nothing else needs it.
    CHECK(sim, SIM_A(sim)->sent == 2u + early && SIM_B(sim)->sent == 2u + early);
}

// RFC 8784 3 test: where it is optional and one end lacks it, both go on without.
static void a_ppk_that_one_end_lacks_is_left_out(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, PPK_LINES, "");
    (seed % 2 ? SIM_A(sim) : SIM_B(sim))->ppk = "a key of one";
    play_up(sim);
    play_one_of_all(sim);
    CHECK(sim, !ppk_used(SIM_A(sim)) && !ppk_used(SIM_B(sim)));
}

static void a_ppk_meets_loss(struct sim *sim, uint64_t seed)
{
    static const char *const lines[] = {PPK_LINES, PPK_LINES "\n  ppk_int = never",
                                        PPK_LINES "\n  proposals = aes128gcm16-prfsha256-curve25519-ke1_mlkem512",
                                        PPK_LINES "\n  ppk_rekey = yes\n  proposals = aes128gcm16-prfsha256-curve25519-ke1_mlkem512"};
    sim_pair(sim, seed, lines[seed % 4], "");
    SIM_A(sim)->ppk = SIM_B(sim)->ppk = "a key of both";
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    if (seed % 3 == 0) sim_command(SIM_B(sim), "up lan");
    sim_storm(sim, &(struct weather){.loss = 20, .duplicates = 10, .jitter = nsec_ms(200)}, nsec_seconds(150));
    sim_command(SIM_A(sim), "rekey ike");
    sim_run(sim, nsec_seconds(60));
    sim_quiesce(sim);
    CHECK(sim, sim_paired(sim) && ppk_used(SIM_A(sim)) && ppk_used(SIM_B(sim)));
}

// RFC 9867 3.2 test: keys are replaced while the connection is up, and both ends rekey at once, whatever gets lost.
static void keys_are_replaced_while_up(struct sim *sim, uint64_t seed)
{
    static const char *const keys[] = {"the first key", "the second key", "the third key", "the fourth key"};
    static const char *const commands[] = {"rekey lan", "rekey ike"};
    bool lossy = seed % 2;
    sim_pair(sim, seed, PPK_LINES "\n  ppk_required = yes\n  ppk_rekey = required", "");
    SIM_A(sim)->ppk = SIM_B(sim)->ppk = keys[0];
    play_up(sim);
    for (unsigned i = 1; i < 4; i++) {
        SIM_A(sim)->ppk = SIM_B(sim)->ppk = keys[i];
        sim->loss_percent = lossy ? 20 : 0;
        sim->jitter = nsec_ms(100);
        sim_command(SIM_A(sim), commands[i % 2]);
        if (seed % 3) sim_command(SIM_B(sim), commands[seed % 3 == 1 ? i % 2 : 1 - i % 2]);
        sim_run(sim, nsec_seconds(60));
        sim->loss_percent = 0;
        sim_run(sim, nsec_seconds(60));
    }
    sim_quiesce(sim);
    play_one_of_all(sim);
    CHECK(sim, ppk_used(SIM_A(sim)) && ppk_used(SIM_B(sim)));
}

// RFC 9867 3.1 test: another key of the same name is told by its name; who does not insist goes on without.
static void a_ppk_that_differs_is_named(struct sim *sim, uint64_t seed)
{
    bool insists = seed % 2;
    sim_pair(sim, seed, insists ? PPK_LINES "\n  ppk_required = yes" : PPK_LINES, "");
    SIM_A(sim)->ppk = "a key";
    SIM_B(sim)->ppk = "another key";
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(60));
    enum fault fault;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && (fault == FAULT_PPK_REQUIRED) == insists);
    CHECK(sim, SIM_B(sim)->fault_counts[FAULT_PPK_DIFFERS] == 1);
    if (insists) {
        play_nothing_of_all(sim);
        return;
    }
    sim_quiesce(sim);
    play_one_of_all(sim);
    CHECK(sim, !ppk_used(SIM_A(sim)) && !ppk_used(SIM_B(sim)));
}

// An end that loses its state, or its key with it, in the middle of it comes up again, as far as the keys let it.
static void a_ppk_meets_a_crash(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, PPK_LINES "\n  dpd_delay = 10s\n  ppk_rekey = yes", "dpd_action = start");
    SIM_A(sim)->ppk = SIM_B(sim)->ppk = "a key of both";
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_ms(10 + (nsec)(seed % 40) * 10));
    sim_reload(seed % 2 ? SIM_B(sim) : SIM_A(sim));
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(200));
    if (seed % 3 == 0) SIM_B(sim)->ppk = NULL;
    sim_reload(SIM_B(sim));
    sim_run(sim, nsec_seconds(300));
    sim_quiesce(sim);
    play_one_of_all(sim);
    CHECK(sim, ppk_used(SIM_A(sim)) == (seed % 3 != 0) && ppk_used(SIM_B(sim)) == (seed % 3 != 0));
}

static void eap_pair(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, seed % 4 == 3 ? PPK_LINES : "", "");
    for (size_t i = 0; i < 2; i++) {
        sim->hosts[i].eap = true;
        sim->hosts[i].ppk = "a key of both";
    }
}

// RFC 7296 2.16, RFC 5998 3 test
static void a_login_by_eap_comes_up(struct sim *sim, uint64_t seed)
{
    eap_pair(sim, seed);
    play_up(sim);
    play_one_of_all(sim);
    unsigned sent = seed % 4 == 3 ? 7 : 6;   // IDi, three answers, AUTH; before them the key's own
    CHECK(sim, SIM_A(sim)->sent == sent && SIM_B(sim)->sent == sent);
    CHECK(sim, ppk_used(SIM_A(sim)) == (seed % 4 == 3) && ppk_used(SIM_B(sim)) == (seed % 4 == 3));
}

static void a_login_by_eap_meets_loss(struct sim *sim, uint64_t seed)
{
    eap_pair(sim, seed);
    sim->loss_percent = 20;
    sim->jitter = nsec_ms(200);
    sim->duplicate_percent = 10;
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    if (seed % 3 == 0) sim_command(SIM_B(sim), "up lan");
    sim_run(sim, nsec_seconds(400));
    sim->loss_percent = 0;
    sim_command(SIM_A(sim), "rekey ike");
    sim_run(sim, nsec_seconds(60));
    sim_quiesce(sim);
    if (sim_children(SIM_A(sim), "lan")) CHECK(sim, sim_paired(sim));
}

// Keys that do not agree are found out at the end, whichever end has begun.
static void a_login_with_another_key_stays_down(struct sim *sim, uint64_t seed)
{
    eap_pair(sim, seed);
    SIM_A(sim)->secret = "another";
    sim_start(sim);
    sim_command(seed % 2 ? SIM_A(sim) : SIM_B(sim), "up lan");
    sim_run(sim, nsec_seconds(100));
    sim_quiesce(sim);
    CHECK(sim, !sim_children(SIM_A(sim), "lan") && !sim_children(SIM_B(sim), "lan"));
    CHECK(sim, SIM_A(sim)->fault_counts[FAULT_EAP_AUTH_WRONG] + SIM_B(sim)->fault_counts[FAULT_EAP_AUTH_WRONG] > 0);
}

#define MORE_OF_A(side) side "-2 {\n round = 2\n auth = psk\n id = a2.example.org\n }\n " side "-3 {\n round = 3\n auth = psk\n id = a3.example.org\n }"
#define MORE_OF_B(side) side "-4 {\n round = 2\n auth = psk\n id = b2.example.org\n }"

// RFC 4739 test: three rounds of one end, two of the other.
static void rounds_of_both_ends_come_up(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, MORE_OF_A("local") "\n " MORE_OF_B("remote"), "", MORE_OF_A("remote") "\n " MORE_OF_B("local"), "");
    play_up(sim);
    play_one_of_all(sim);
    CHECK(sim, SIM_A(sim)->sent == 4 && SIM_B(sim)->sent == 4);
}

static void rounds_meet_loss(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, MORE_OF_A("local") "\n " MORE_OF_B("remote"), "", MORE_OF_A("remote") "\n " MORE_OF_B("local"), "");
    sim->loss_percent = 20;
    sim->jitter = nsec_ms(200);
    sim->duplicate_percent = 10;
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(150));
    sim->loss_percent = 0;
    sim_quiesce(sim);
    if (sim_children(SIM_A(sim), "lan")) CHECK(sim, sim_paired(sim));
}

static void one_round_too_few_is_refused(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "", "", MORE_OF_A("remote"), "");
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(60));
    enum fault fault;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && fault);
    CHECK(sim, SIM_B(sim)->fault_counts[FAULT_AUTH_ROUNDS] == 1);
    play_nothing_of_all(sim);
}

// RFC 5723 4.3 test: the cable is out until a has given up; then the session goes on, whatever gets lost.
static void a_broken_session_is_resumed(struct sim *sim, uint64_t seed)
{
    sim_pair_of(sim, seed, "resumption = yes\n  dpd_delay = 10s", "",
                seed % 2 ? "resumption = yes\n  dpd_delay = 10s" : "resumption = yes", "");
    play_up(sim);
    SIM_A(sim)->cut = true;
    sim_run(sim, nsec_seconds(400));
    CHECK(sim, sim_sas(SIM_A(sim)) == 0);
    SIM_A(sim)->cut = false;
    sim->jitter = nsec_ms(100);
    sim->loss_percent = seed % 3 ? 20 : 0;
    sim_command(SIM_A(sim), "up lan");
    sim_storm(sim, &(struct weather){.loss = sim->loss_percent, .duplicates = seed % 3 ? 10 : 0, .jitter = sim->jitter}, nsec_seconds(190));
    sim_quiesce(sim);
    if (sim_children(SIM_A(sim), "lan")) play_one_of_all(sim);
    CHECK(sim, seed % 3 || sim_children(SIM_A(sim), "lan") == 1);
}

// A gateway that was restarted does not know the ticket's key any more: a full handshake follows.
static void a_restarted_gateway_refuses_tickets(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "resumption = yes\n  dpd_delay = 5s", "dpd_action = start");
    play_up(sim);
    sim_reload(SIM_B(sim));
    sim_run(sim, nsec_seconds(300));
    sim_quiesce(sim);
    play_one_of_all(sim);
    CHECK(sim, SIM_B(sim)->fault_counts[FAULT_TICKET_UNREADABLE] == 1);
}

// RFC 6290 test: whoever was restarted is found out by the first request that comes, and all is there again; with another
// secret only by silence.
static void a_restarted_peer_is_found_by_its_token(struct sim *sim, uint64_t seed)
{
    bool lossy = seed % 3 == 0, other_secret = seed % 5 == 0;
    struct sim_host *who = seed % 2 ? SIM_A(sim) : SIM_B(sim), *waits = seed % 2 ? SIM_B(sim) : SIM_A(sim);
    sim_pair(sim, seed, "dpd_delay = 10s", "dpd_action = start");
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(20));
    if (seed % 4 == 0) sim_command(waits, "rekey ike");
    sim_run(sim, nsec_seconds(20));
    sim->loss_percent = lossy ? 20 : 0;
    if (other_secret) who->settings.qcd_secret = BYTES("and these come from quite another ");
    sim_reload(who);
    sim_run(sim, nsec_seconds(lossy ? 240 : 12));
    CHECK(sim, lossy || (waits->fault_counts[FAULT_PEER_RESTARTED] == 1) == !other_secret);
    CHECK(sim, lossy || (waits->fault_counts[FAULT_QCD_WRONG] > 0) == other_secret);
    sim->loss_percent = 0;
    sim_run(sim, nsec_seconds(other_secret || lossy ? 300 : 1));
    sim_quiesce(sim);
    if (!lossy || sim_children(waits, "lan")) play_one_of_all(sim);
}

// RFC 7296 1.5 test: nobody asks whether the peer lives; the packets that it cannot open make it say so.
static void a_restarted_peer_is_found_by_packets(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, "", "dpd_action = start");
    play_up(sim);
    sim->traffic = true;
    sim_run(sim, nsec_seconds(30));
    sim_reload(SIM_B(sim));
    sim_run(sim, nsec_seconds(5));
    sim->traffic = false;
    sim_quiesce(sim);
    CHECK(sim, SIM_A(sim)->fault_counts[FAULT_PEER_RESTARTED] == 1);
    play_one_of_all(sim);
}

// RFC 5685 test: in the first answer, with the proof, or in a session; whatever gets lost.
static void a_client_is_sent_on(struct sim *sim, uint64_t seed)
{
    static const char *const ways[] = {"redirect_to = 192.0.2.3\n  redirect_early = yes", "redirect_to = 192.0.2.3", ""};
    const char *way = ways[seed % 3];
    sim_group(sim, seed, "", way, "");
    sim->loss_percent = seed % 2 ? 20 : 0;
    sim->duplicate_percent = seed % 2 ? 10 : 0;
    sim->jitter = nsec_ms(100);
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(200));
    if (!*way && sim_children(SIM_A(sim), "lan")) sim_command(SIM_B(sim), "redirect 192.0.2.3");
    sim_run(sim, nsec_seconds(250));
    sim->loss_percent = sim->duplicate_percent = 0;
    sim_run(sim, nsec_seconds(200));
    sim_quiesce(sim);
    if (seed % 2 && !sim_children(SIM_A(sim), "lan")) return;
    bool moved = sim_sas(&sim->hosts[2]) == 1;
    CHECK(sim, moved || seed % 2);
    CHECK(sim, sim_sas(SIM_A(sim)) == 1 && sim_sas(SIM_B(sim)) == !moved);
    CHECK(sim, sim_children(moved ? &sim->hosts[2] : SIM_B(sim), "lan") == 1);
}

// RFC 5685 7 test: five are followed, then it is a loop.
static void gateways_that_send_on_to_each_other_are_left(struct sim *sim, uint64_t seed)
{
    const char *early = seed % 2 ? "\n  redirect_early = yes" : "";
    AUTOFREE_MEM char *to_c = mem_printf("redirect_to = 192.0.2.3%s", early);
    AUTOFREE_MEM char *to_b = mem_printf("redirect_to = 192.0.2.2%s", early);
    sim_group(sim, seed, "", to_c, to_b);
    sim_start(sim);
    uint32_t command = sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_seconds(60));
    enum fault fault;
    CHECK(sim, sim_done(SIM_A(sim), command, &fault) && fault == FAULT_REDIRECTS);
    CHECK(sim, sim_sas(SIM_A(sim)) == 0);
    sim_run(sim, nsec_seconds(300));
    CHECK(sim, sim_clean(SIM_A(sim)) && sim_clean(SIM_B(sim)) && sim_clean(&sim->hosts[2]));
}

// --- RFC 9611

enum { PROCESSORS = 4 };

static void processors_call(struct sim_host *host)
{
    struct ike_child_info info;
    uint32_t ike = ike_sa_after(host->core, 0), child = ike ? ike_child_after(host->core, ike, 0) : 0;
    if (!child || !ike_child_info(host->core, ike, child, &info)) return;
    for (uint16_t i = 1; i <= PROCESSORS; i++) sim_acquire_for(host, info.policy, i);
}

static void processors_start(struct sim *sim, uint64_t seed, const char *conn_lines)
{
    sim_pair(sim, seed, conn_lines, "per_cpu_sas = yes");
    for (size_t i = 0; i < 2; i++) sim->hosts[i].settings.resources = PROCESSORS;
    play_up(sim);
}

// RFC 9611 3 test
static void children_for_single_processors_come_when_called(struct sim *sim, uint64_t seed)
{
    processors_start(sim, seed, "");
    sim->traffic = true;
    processors_call(SIM_A(sim));
    if (seed % 2) processors_call(SIM_B(sim));
    sim_run(sim, nsec_seconds(20));
    sim_command(SIM_A(sim), "rekey lan");
    sim_run(sim, nsec_seconds(20));
    sim->traffic = false;
    sim_quiesce(sim);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    unsigned count = sim_children(SIM_A(sim), "lan");
    CHECK(sim, count > PROCESSORS && count <= 2 * PROCESSORS);
    CHECK(sim, sim_children(SIM_B(sim), "lan") == count);
    sim_command(seed % 3 ? SIM_A(sim) : SIM_B(sim), "down lan");
    sim_run(sim, nsec_seconds(20));
    sim_quiesce(sim);
    CHECK(sim, sim_children(SIM_A(sim), "lan") == 0 && sim_children(SIM_B(sim), "lan") == 0);
    CHECK(sim, SIM_A(sim)->sa_count == 0 && SIM_B(sim)->sa_count == 0);
}

// Both ends want them, rekey them, close some and authenticate anew, and the link is bad.
static void children_for_single_processors_meet_loss(struct sim *sim, uint64_t seed)
{
    processors_start(sim, seed, "");
    processors_call(SIM_A(sim));
    processors_call(SIM_B(sim));
    sim_command(seed % 2 ? SIM_A(sim) : SIM_B(sim), "rekey lan");
    if (seed % 3 == 0) sim_command(SIM_B(sim), "rekey ike");
    if (seed % 5 == 0) sim_command(SIM_A(sim), "reauth ike");
    sim_storm(sim, &(struct weather){.loss = 20, .duplicates = 10, .jitter = NSEC_PER_SECOND / 20}, nsec_seconds(400));
    sim_quiesce(sim);
    unsigned count = sim_children(SIM_A(sim), "lan");
    CHECK(sim, count >= 1 && count <= 2 * PROCESSORS + 1);
    CHECK(sim, sim_children(SIM_B(sim), "lan") == count);
    CHECK(sim, sim_paired(sim));
}

static bool carried_by(const struct sim_host *host, uint8_t mode)
{
    for (size_t i = 0; i < host->sa_count; i++)
        if (host->sas[i].spec.mode != mode) return false;
    return host->sa_count > 0;
}

// RFC 9347 5.1 test: both get it or none, whoever rekeys, and whatever is lost.
static void packets_share_one_by_agreement(struct sim *sim, uint64_t seed)
{
    static const char *const modes[] = {"mode = iptfs", "mode = iptfs\n iptfs_accept_fragments = no", "mode = tunnel",
                                        "mode = iptfs\n iptfs_rate = 100\n iptfs_congestion_control = yes"};
    const char *a = modes[seed % 4], *b = modes[seed / 4 % 4];
    sim_pair_of(sim, seed, "", a, "", b);
    sim_start(sim);
    sim_command(SIM_A(sim), "up lan");
    sim_storm(sim, &(struct weather){.loss = 20, .duplicates = 10, .jitter = nsec_ms(200)}, nsec_seconds(150));
    sim_command(seed % 2 ? SIM_A(sim) : SIM_B(sim), "rekey lan");
    sim_run(sim, nsec_seconds(60));
    sim_quiesce(sim);
    uint8_t mode = a == modes[2] || b == modes[2] ? MODE_TUNNEL : MODE_IPTFS;
    CHECK(sim, sim_paired(sim) && carried_by(SIM_A(sim), mode) && carried_by(SIM_B(sim), mode));
}

const struct scenario scenarios_extend[] = {
    SCENARIO(packets_share_one_by_agreement),
    SCENARIO(a_restarted_peer_is_found_by_its_token),
    SCENARIO(a_restarted_peer_is_found_by_packets),
    SCENARIO(a_client_is_sent_on),
    SCENARIO(gateways_that_send_on_to_each_other_are_left),
    SCENARIO(a_login_by_eap_comes_up),
    SCENARIO(a_login_by_eap_meets_loss),
    SCENARIO(a_login_with_another_key_stays_down),
    SCENARIO(rounds_of_both_ends_come_up),
    SCENARIO(rounds_meet_loss),
    SCENARIO(one_round_too_few_is_refused),
    SCENARIO(a_broken_session_is_resumed),
    SCENARIO(a_restarted_gateway_refuses_tickets),
    SCENARIO(a_ppk_is_mixed_in),
    SCENARIO(children_for_single_processors_come_when_called),
    SCENARIO(children_for_single_processors_meet_loss),
    SCENARIO(a_ppk_that_one_end_lacks_is_left_out),
    SCENARIO(a_ppk_meets_loss),
    SCENARIO(a_ppk_meets_a_crash),
    SCENARIO(a_ppk_that_differs_is_named),
    SCENARIO(keys_are_replaced_while_up),
    {0},
};
