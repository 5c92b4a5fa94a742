// SPDX-License-Identifier: Apache-2.0
// Each rule of RFC 7296 2.25.1 and 2.25.2: one end is asked for something while it does something
// else that this touches. Each is played in four ways:
//
//     NAME               either end begins, the other up to three one-way trips later
//     NAME_crossing      the two requests pass each other on the way, whichever is first
//     NAME_unseen        the request of the end that is asked is lost until it has answered, so the
//                        other knows nothing of it
//     NAME_under_loss    as NAME, in bad weather
//
// In two of them what it answers is certain, and is read behind the encryption.
#include "tap.h"

// OUT_NOTHING_OLD: a command may come so late that it begins anew.
enum outcome { OUT_ONE, OUT_NO_CHILD, OUT_NOTHING, OUT_NOTHING_OLD, OUT_BOTH_CHILDREN };

struct row {
    const char *asks;    // the other end
    const char *does;    // the end that is asked
    const char *answers; // is in what it answers; "": that is empty
    enum outcome outcome;
};

static const struct weather storm = {.loss = 20, .bursts = 10, .jitter = NSEC_PER_SECOND / 60};

static bool host_came_out(const struct sim_host *host, enum outcome outcome)
{
    unsigned lan = sim_children(host, "lan"), other = sim_children(host, "other"),
             ike = sim_sas(host);
    switch (outcome) {
    case OUT_ONE:
        return ike == 1 && lan == 1 && other == 0;
    case OUT_NO_CHILD:
        return lan + other == 0 && host->sa_count == 0;
    case OUT_BOTH_CHILDREN:
        return ike == 1 && lan == 1 && other >= 1;
    case OUT_NOTHING_OLD:
        return lan == 0 && ike == other && host->sa_count == 2 * other;
    case OUT_NOTHING:
        break;
    }
    return sim_clean(host);
}

static bool came_out(struct sim *sim, enum outcome outcome)
{
    return host_came_out(SIM_A(sim), outcome) && host_came_out(SIM_B(sim), outcome) &&
           sim_sas(SIM_A(sim)) == sim_sas(SIM_B(sim));
}

// Two commands, the second so much later.
static void both_begin(struct sim *sim, const struct row *row, size_t asked, bool asked_first,
                       nsec later)
{
    size_t first = asked_first ? asked : !asked;
    sim_command(&sim->hosts[first], asked_first ? row->does : row->asks);
    sim_run(sim, later);
    sim_command(&sim->hosts[!first], asked_first ? row->asks : row->does);
}

static void row_any(struct sim *sim, uint64_t seed, const struct row *row)
{
    sim_pair(sim, seed, "", "");
    sim->jitter = nsec_ms(15);
    play_up(sim);
    both_begin(sim, row, seed % 2, seed / 2 % 2, nsec_ms((int64_t)rng_below(&sim->rng.rng, 60)));
    sim_run(sim, nsec_seconds(20));
    sim_quiesce(sim);
    CHECK(sim, came_out(sim, row->outcome));
}

static void row_under_loss(struct sim *sim, uint64_t seed, const struct row *row)
{
    sim_pair(sim, seed, "", "");
    sim->jitter = nsec_ms(15);
    play_up(sim);
    sim->loss_percent = storm.loss;
    sim->burst_percent = storm.bursts;
    both_begin(sim, row, seed % 2, seed / 2 % 2, nsec_ms((int64_t)rng_below(&sim->rng.rng, 60)));
    sim_storm(sim, &storm, nsec_seconds(400));
    sim_quiesce(sim);
    CHECK(sim, came_out(sim, row->outcome));
}

// --- what is answered

static struct {
    struct tap tap;
    size_t asked;
    const struct said *request, *answer; // of the other end, to it
} stage;

static bool is_of_the_row(const struct said *said)
{
    return said->header.exchange == EXCHANGE_CREATE_CHILD_SA ||
           said->header.exchange == EXCHANGE_INFORMATIONAL;
}

static void note(const struct said *said)
{
    if (!is_of_the_row(said)) return;
    if (said->from != stage.asked && said->request && !stage.request) stage.request = said;
    if (stage.request && !stage.answer) stage.answer = tap_answer(&stage.tap, stage.request);
}

static void note_only(struct sim *sim, struct said *said, struct tapped *message)
{
    (void)sim;
    (void)message;
    note(said);
}

static void lose_until_answered(struct sim *sim, struct said *said, struct tapped *message)
{
    (void)sim;
    (void)message;
    note(said);
    said->lost = said->from == stage.asked && said->request && !stage.answer;
}

static void stage_begin(struct sim *sim, uint64_t seed,
                        void (*meet)(struct sim *, struct said *, struct tapped *))
{
    memset(&stage, 0, sizeof stage);
    stage.asked = seed % 2;
    play_up_tapped(sim, seed, &stage.tap, meet);
}

// RFC 7296 2.25: who is told TEMPORARY_FAILURE does not ask again at once.
static bool asked_again_at_once(void)
{
    for (size_t i = 0; i < stage.tap.said_count; i++) {
        const struct said *said = &stage.tap.said[i];
        if (said->from != stage.asked && said->request && said->at > stage.answer->at &&
            said->header.exchange == EXCHANGE_CREATE_CHILD_SA &&
            said->header.message_id != stage.request->header.message_id &&
            said->header.spi_i == stage.request->header.spi_i &&
            said->at < stage.answer->at + NSEC_PER_SECOND / 2)
            return true;
    }
    return false;
}

static void stage_end(struct sim *sim, const struct row *row)
{
    sim_run(sim, nsec_seconds(60));
    sim_quiesce(sim);
    CHECK(sim, stage.answer);
    if (!stage.answer) return;
    const char *text = stage.answer->text;
    CHECK(sim, row->answers[0] ? strstr(text, row->answers) != NULL : !text[0]);
    CHECK(sim, strcmp(row->answers, "TEMPORARY_FAILURE") != 0 || !asked_again_at_once());
    CHECK(sim, came_out(sim, row->outcome));
}

static void row_crossing(struct sim *sim, uint64_t seed, const struct row *row)
{
    stage_begin(sim, seed, note_only);
    both_begin(sim, row, stage.asked, seed / 2 % 2, nsec_ms((int64_t)rng_below(&sim->rng.rng, 19)));
    stage_end(sim, row);
}

static void row_unseen(struct sim *sim, uint64_t seed, const struct row *row)
{
    stage_begin(sim, seed, lose_until_answered);
    both_begin(sim, row, stage.asked, true, nsec_ms((int64_t)rng_below(&sim->rng.rng, 3000)));
    stage_end(sim, row);
}

// clang-format off
#define ROW(name, asks, does, answers, outcome)                                                                             \
    static const struct row name##_row = {asks, does, answers, outcome};                                                    \
    static void name(struct sim *sim, uint64_t seed) { row_any(sim, seed, &name##_row); }                                   \
    static void name##_crossing(struct sim *sim, uint64_t seed) { row_crossing(sim, seed, &name##_row); }                   \
    static void name##_unseen(struct sim *sim, uint64_t seed) { row_unseen(sim, seed, &name##_row); }                       \
    static void name##_under_loss(struct sim *sim, uint64_t seed) { row_under_loss(sim, seed, &name##_row); }

// RFC 7296 2.25.1 test: children.
//  name                                                asks for      while it does  and is answered      in the end there is
ROW(asked_to_rekey_a_child_it_closes,                   "rekey lan",  "down lan",    "TEMPORARY_FAILURE", OUT_NO_CHILD)
ROW(asked_to_rekey_a_child_it_rekeys,                   "rekey lan",  "rekey lan",   "SA[",               OUT_ONE)
ROW(asked_to_close_a_child_it_closes,                   "down lan",   "down lan",    "",                  OUT_NO_CHILD)
ROW(asked_to_close_a_child_it_rekeys,                   "down lan",   "rekey lan",   "D[ESP",             OUT_NO_CHILD)
ROW(asked_to_rekey_the_ike_sa_while_it_creates_a_child, "rekey ike",  "up other",    "TEMPORARY_FAILURE", OUT_BOTH_CHILDREN)
ROW(asked_to_rekey_the_ike_sa_while_it_rekeys_a_child,  "rekey ike",  "rekey lan",   "TEMPORARY_FAILURE", OUT_ONE)
ROW(asked_to_rekey_the_ike_sa_while_it_closes_a_child,  "rekey ike",  "down lan",    "TEMPORARY_FAILURE", OUT_NO_CHILD)
// RFC 7296 2.25.2 test: the IKE SA.
ROW(asked_to_rekey_an_ike_sa_it_rekeys,                 "rekey ike",  "rekey ike",   "SA[",               OUT_ONE)
ROW(asked_to_rekey_an_ike_sa_it_closes,                 "rekey ike",  "down ike",    "TEMPORARY_FAILURE", OUT_NOTHING)
ROW(asked_to_close_an_ike_sa_it_rekeys,                 "down ike",   "rekey ike",   "",                  OUT_NOTHING)
ROW(asked_to_close_an_ike_sa_it_closes,                 "down ike",   "down ike",    "",                  OUT_NOTHING)
ROW(asked_to_create_a_child_while_it_rekeys_the_ike_sa, "up other",   "rekey ike",   "TEMPORARY_FAILURE", OUT_BOTH_CHILDREN)
ROW(asked_to_rekey_a_child_while_it_rekeys_the_ike_sa,  "rekey lan",  "rekey ike",   "TEMPORARY_FAILURE", OUT_ONE)
ROW(asked_to_close_a_child_while_it_rekeys_the_ike_sa,  "down lan",   "rekey ike",   "D[ESP",             OUT_NO_CHILD)
// What the RFC leaves open: nothing is made in an IKE SA that is about to go, and children do not disturb each other.
ROW(asked_to_create_a_child_while_it_closes_the_ike_sa, "up other",   "down ike",    "TEMPORARY_FAILURE", OUT_NOTHING_OLD)
ROW(asked_to_rekey_a_child_while_it_closes_the_ike_sa,  "rekey lan",  "down ike",    "TEMPORARY_FAILURE", OUT_NOTHING)
ROW(asked_to_close_a_child_while_it_closes_the_ike_sa,  "down lan",   "down ike",    "D[ESP",             OUT_NOTHING)
ROW(asked_to_create_a_child_while_it_rekeys_one,        "up other",   "rekey lan",   "SA[",               OUT_BOTH_CHILDREN)
ROW(asked_to_create_a_child_it_creates,                 "up other",   "up other",    "SA[",               OUT_BOTH_CHILDREN)
ROW(asked_to_rekey_a_child_while_it_creates_one,        "rekey lan",  "up other",    "SA[",               OUT_BOTH_CHILDREN)
// clang-format on

#define ALL_WAYS(name)                                                                             \
    SCENARIO(name), SCENARIO(name##_crossing), SCENARIO(name##_unseen), SCENARIO(name##_under_loss)
const struct scenario scenarios_rows[] = {
    ALL_WAYS(asked_to_rekey_a_child_it_closes),
    ALL_WAYS(asked_to_rekey_a_child_it_rekeys),
    ALL_WAYS(asked_to_close_a_child_it_closes),
    ALL_WAYS(asked_to_close_a_child_it_rekeys),
    ALL_WAYS(asked_to_rekey_the_ike_sa_while_it_creates_a_child),
    ALL_WAYS(asked_to_rekey_the_ike_sa_while_it_rekeys_a_child),
    ALL_WAYS(asked_to_rekey_the_ike_sa_while_it_closes_a_child),
    ALL_WAYS(asked_to_rekey_an_ike_sa_it_rekeys),
    ALL_WAYS(asked_to_rekey_an_ike_sa_it_closes),
    ALL_WAYS(asked_to_close_an_ike_sa_it_rekeys),
    ALL_WAYS(asked_to_close_an_ike_sa_it_closes),
    ALL_WAYS(asked_to_create_a_child_while_it_rekeys_the_ike_sa),
    ALL_WAYS(asked_to_rekey_a_child_while_it_rekeys_the_ike_sa),
    ALL_WAYS(asked_to_close_a_child_while_it_rekeys_the_ike_sa),
    ALL_WAYS(asked_to_create_a_child_while_it_closes_the_ike_sa),
    ALL_WAYS(asked_to_rekey_a_child_while_it_closes_the_ike_sa),
    ALL_WAYS(asked_to_close_a_child_while_it_closes_the_ike_sa),
    ALL_WAYS(asked_to_create_a_child_while_it_rekeys_one),
    ALL_WAYS(asked_to_create_a_child_it_creates),
    ALL_WAYS(asked_to_rekey_a_child_while_it_creates_one),
    {NULL, NULL},
};
