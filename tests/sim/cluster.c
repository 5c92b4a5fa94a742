// SPDX-License-Identifier: Apache-2.0
// A peer that is a cluster (RFC 6311): the member that takes over has the state of some time before, and asks to go on from
// numbers that nobody has used. Host b plays the cluster: its core is set back, and the member's request is made by hand.
#include "ike/internal.h"
#include "sim.h"

enum { NONCE = 4, TRIES = 12 };

static struct {
    uint8_t bytes[1500];
    size_t size;
} answer;

static bool answers_pass_by(struct sim *sim, struct bytes bytes)
{
    struct ike_header header;
    (void)sim;
    bool is_one = ike_header_read(bytes, &header) == OK && header.exchange == EXCHANGE_INFORMATIONAL && !header.message_id &&
                  header.next == PAYLOAD_SK && header.flags & FLAG_RESPONSE && bytes.size <= sizeof answer.bytes;
    if (!is_one) return true;
    memcpy(answer.bytes, bytes.at, bytes.size);
    answer.size = bytes.size;
    return false; // the member's core did not ask
}

static struct sa *newest_sa(struct sim_host *host)
{
    struct sa *sa = NULL;
    for (uint32_t id = 0; (id = ike_sa_after(host->core, id));)
        if (sa_by_id(host->core, id)->state == ESTABLISHED) sa = sa_by_id(host->core, id);
    return sa;
}

// What it knew: fewer of its own requests, fewer of the peer's.
static void state_of_before(struct sim_host *member, uint32_t lag)
{
    struct sa *sa = newest_sa(member);
    sa->send_id -= sa->send_id < lag ? sa->send_id : lag;
    sa->expect_id -= sa->expect_id < lag ? sa->expect_id : lag;
    packets_free(member->core, &sa->response);
}

static void request_send(struct sim *sim, struct sim_host *member, struct sim_host *peer, uint32_t m, uint32_t p)
{
    uint8_t space[NONCE + 8];
    struct wr out = wr_over(space, sizeof space);
    struct draft draft;
    struct sa *sa = newest_sa(member);
    wr_bytes(&out, BYTES("once"));
    wr_u32(&out, m);
    wr_u32(&out, p);
    draft_begin(member->core, &draft);
    draft_notify(&draft, NOTIFY_IKEV2_MESSAGE_ID_SYNC, wr_done(&out));
    draft_notify(&draft, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC, BYTES("\0\x10\0\0"));
    struct packets packets = draft_seal(sa, &draft, EXCHANGE_INFORMATIONAL, MESSAGE_REQUEST, 0);
    bool lost = sim->loss_percent && rng_below(&sim->rng.rng, 100) < sim->loss_percent;
    struct endpoint from = {member->addr, sa->path.local.port};
    if (!lost) sim_inject(peer, &from, bytes_of(packets.at, packets.size));
    packets_free(member->core, &packets);
}

static bool answer_take(struct sim_host *member)
{
    struct arena arena = {0};
    struct message message = {.raw = bytes_of(answer.bytes, answer.size)};
    struct notify notify;
    struct sa *sa = newest_sa(member);
    bool good = ike_header_read(message.raw, &message.header) == OK && message_open(sa, &message, &arena) == OK &&
                message_notify(&message, NOTIFY_IKEV2_MESSAGE_ID_SYNC, &notify);
    struct rd in = rd_over(good ? notify.data : BYTES_NONE);
    rd_skip(&in, NONCE);
    uint32_t send = rd_u32(&in), expect = rd_u32(&in);
    arena_free(&arena);
    if (!good || rd_end(&in)) return false;
    sa->send_id = expect;
    sa->expect_id = send;
    return true;
}

// It asks until it is answered; each try is a new request, as a member makes it that knows nothing of the one before.
static bool takes_over(struct sim *sim, struct sim_host *member, struct sim_host *peer)
{
    struct sa *sa = newest_sa(member);
    uint32_t m = sa->send_id + 8, p = sa->expect_id;
    sim->filter_on = true;
    sim->filter = answers_pass_by;
    answer.size = 0;
    for (unsigned i = 0; i < TRIES && !answer.size; i++) {
        request_send(sim, member, peer, m + 8 * i, p);
        sim_run(sim, nsec_seconds(1));
    }
    sim->filter_on = false;
    return answer.size && answer_take(member);
}

static void some_requests(struct sim *sim)
{
    static const char *const commands[] = {"rekey lan", "rekey lan", "rekey lan"};
    for (unsigned i = 0; i < 3; i++) {
        sim_command(i % 2 ? SIM_B(sim) : SIM_A(sim), commands[i]);
        sim_run(sim, nsec_seconds(10));
    }
}

#define CLUSTER "cluster_peer = yes"

// RFC 6311 5.1 test: with lag or without, once or several times, all goes on afterwards and no packet is lost.
static void a_member_with_older_counters_takes_over(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, CLUSTER, "");
    play_up(sim);
    some_requests(sim);
    for (unsigned i = 0; i <= seed % 3; i++) {
        state_of_before(SIM_B(sim), (uint32_t)(seed % 4));
        CHECK(sim, takes_over(sim, SIM_B(sim), SIM_A(sim)));
        sim_command(SIM_A(sim), seed % 2 ? "rekey lan" : "rekey ike");
        sim_run(sim, nsec_seconds(10));
        sim_command(SIM_B(sim), seed % 2 ? "rekey ike" : "rekey lan");
        sim_run(sim, nsec_seconds(10));
    }
    sim_quiesce(sim);
    play_one_of_all(sim);
    CHECK(sim, !sim->packets_lost);
}

// RFC 6311 9 test: our request was on its way to the member that died. The line loses packets, too.
static void a_request_waits_for_a_member_that_died(struct sim *sim, uint64_t seed)
{
    static const char *const commands[] = {"rekey lan", "rekey ike", "up other"};
    sim_pair(sim, seed, CLUSTER, "");
    play_up(sim);
    some_requests(sim);
    SIM_B(sim)->cut = true;
    sim_command(SIM_A(sim), commands[seed % 3]);
    sim_run(sim, nsec_seconds(2 + (nsec)(seed % 7)));
    SIM_B(sim)->cut = false;
    sim->loss_percent = seed % 2 ? 25 : 0;
    bool done = takes_over(sim, SIM_B(sim), SIM_A(sim));
    sim_run(sim, nsec_seconds(40));
    sim->loss_percent = 0;
    sim_run(sim, nsec_seconds(100));
    sim_quiesce(sim);
    CHECK(sim, done && sim_paired(sim));
    CHECK(sim, sim_children(SIM_A(sim), "other") == (seed % 3 == 2));
}

// RFC 6311 11 test: somebody repeats what a member said before; numbers never go back.
static void a_takeover_that_is_repeated_changes_nothing(struct sim *sim, uint64_t seed)
{
    sim_pair(sim, seed, CLUSTER, "");
    play_up(sim);
    some_requests(sim);
    const struct sa *ours = newest_sa(SIM_A(sim));
    uint32_t old = ours->expect_id + 2;
    CHECK(sim, takes_over(sim, SIM_B(sim), SIM_A(sim)));
    some_requests(sim);
    uint32_t send = ours->send_id, expect = ours->expect_id;
    sim->filter_on = true;
    sim->filter = answers_pass_by;
    answer.size = 0;
    for (unsigned i = 0; i < 10; i++) {
        request_send(sim, SIM_B(sim), SIM_A(sim), old + i % 3, 1);
        sim_run(sim, nsec_ms(100));
    }
    sim->filter_on = false;
    CHECK(sim, !answer.size && ours->send_id == send && ours->expect_id == expect);
    CHECK(sim, SIM_A(sim)->fault_counts[FAULT_COUNTERS_REPLAYED] > 0);
    some_requests(sim);
    sim_quiesce(sim);
    play_one_of_all(sim);
}

const struct scenario scenarios_cluster[] = {
    SCENARIO(a_member_with_older_counters_takes_over),
    SCENARIO(a_request_waits_for_a_member_that_died),
    SCENARIO(a_takeover_that_is_repeated_changes_nothing),
    {0},
};
