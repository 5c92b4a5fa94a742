// SPDX-License-Identifier: Apache-2.0
// Requests that cross, seen on the wire: which of two rekeyings goes, what comes too late, and what
// becomes of ends that do not have the same.
#include "tap.h"
#include <stdio.h>

static struct {
    struct tap tap;
    size_t late;    // the host whose requests are lost for a while, or that is told something else
    uint32_t asked; // the message id of what was
} scene;

static void scene_begin(struct sim *sim, uint64_t seed,
                        void (*meet)(struct sim *, struct said *, struct tapped *))
{
    memset(&scene, 0, sizeof scene);
    scene.late = seed % 2;
    play_up_tapped(sim, seed, &scene.tap, meet);
}

static const struct said *said_by(size_t from, bool request, const char *words)
{
    return tap_find(&scene.tap, from, request, words, 0);
}

static bool creates(const struct said *said)
{
    return said->request && said->header.exchange == EXCHANGE_CREATE_CHILD_SA;
}

// Eight digits of an SPI behind these words.
static const char *spi_behind(const struct said *said, const char *words)
{
    const char *at = said ? strstr(said->text, words) : NULL;
    return at ? at + strlen(words) : "        ";
}

static bool spi_same(const char *a, const char *b)
{
    return strncmp(a, b, 8) == 0 && a[0] != ' ';
}

// --- the lowest nonce

struct attempt { // one of two crossing requests, with its answer
    const struct said *request, *answer;
    const uint8_t *low;
};

static bool attempt_read(size_t from, const char *words, struct attempt *out)
{
    out->request = said_by(from, true, words);
    out->answer = out->request ? tap_answer(&scene.tap, out->request) : NULL;
    if (!out->answer || !out->request->nonce_size ||
        out->request->nonce_size != out->answer->nonce_size)
        return false;
    const uint8_t *ni = out->request->nonce, *nr = out->answer->nonce;
    out->low = memcmp(ni, nr, out->request->nonce_size) < 0 ? ni : nr;
    return true;
}

static bool attempts_read(struct sim *sim, const char *words, struct attempt attempts[2],
                          size_t *loser)
{
    bool both = attempt_read(0, words, &attempts[0]) && attempt_read(1, words, &attempts[1]);
    CHECK(sim, both);
    if (both)
        *loser = memcmp(attempts[0].low, attempts[1].low, attempts[0].request->nonce_size) > 0;
    return both;
}

static void both_rekey(struct sim *sim, uint64_t seed, const char *command)
{
    scene_begin(sim, seed, NULL);
    sim->traffic = true;
    sim_command(&sim->hosts[scene.late], command);
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 19)));
    sim_command(&sim->hosts[!scene.late], command);
    sim_run(sim, nsec_seconds(30));
    sim_quiesce(sim);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    play_one_of_all(sim);
}

// RFC 7296 2.8.1 test: who made the one with the lowest of the four nonces closes it, the other
// closes the old one.
static void of_two_new_children_the_one_of_the_lowest_nonce_goes(struct sim *sim, uint64_t seed)
{
    struct attempt attempts[2];
    size_t loser;
    both_rekey(sim, seed, "rekey lan");
    if (!attempts_read(sim, "N(REKEY_SA", attempts, &loser)) return;
    const struct said *redundant = said_by(loser, true, "D[ESP"),
                      *old = said_by(!loser, true, "D[ESP");
    CHECK(sim, redundant && old);
    CHECK(sim, spi_same(spi_behind(redundant, "D[ESP "),
                        spi_behind(attempts[loser].request, "SA[#1 ESP ")));
    CHECK(sim, spi_same(spi_behind(old, "D[ESP "),
                        spi_behind(attempts[!loser].request, "N(REKEY_SA ESP ")));
}

// RFC 7296 2.8.2 test: so it is with IKE SAs, and the one that stays has the child.
static void of_two_new_ike_sas_the_one_of_the_lowest_nonce_goes(struct sim *sim, uint64_t seed)
{
    struct attempt attempts[2];
    size_t loser;
    both_rekey(sim, seed, "rekey ike");
    if (!attempts_read(sim, "SA[#1 IKE", attempts, &loser)) return;
    const struct said *redundant = said_by(loser, true, "D[IKE]"),
                      *old = said_by(!loser, true, "D[IKE]");
    CHECK(sim, redundant && old);
    if (!redundant || !old) return;
    char made[17];
    snprintf(made, sizeof made, "%016llx", (unsigned long long)redundant->header.spi_i);
    CHECK(sim, strncmp(spi_behind(attempts[loser].request, "SA[#1 IKE "), made, 16) == 0);
    CHECK(sim, old->header.spi_i == attempts[0].request->header.spi_i);
}

// --- what comes too late

static void late_until_the_old_child_is_gone(struct sim *sim, struct said *said,
                                             struct tapped *message)
{
    (void)sim;
    (void)message;
    said->lost = said->from == scene.late && creates(said) && !said_by(scene.late, false, "D[ESP");
}

// RFC 7296 2.8.1 test, 2.25.1 test: the second picture. One end has rekeyed the child and is done
// before it hears that the other wanted that, too.
static void asked_to_rekey_a_child_it_does_not_have(struct sim *sim, uint64_t seed)
{
    scene_begin(sim, seed, late_until_the_old_child_is_gone);
    struct sim_host *late = &sim->hosts[scene.late];
    sim->traffic = true;
    sim_command(late, "rekey lan");
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 2000)));
    sim_command(&sim->hosts[!scene.late], "rekey lan");
    sim_run(sim, nsec_seconds(30));
    const struct said *asked = said_by(scene.late, true, "N(REKEY_SA ESP ");
    const struct said *told = said_by(!scene.late, false, "N(CHILD_SA_NOT_FOUND ESP ");
    CHECK(sim, asked && told);
    CHECK(sim, spi_same(spi_behind(asked, "N(REKEY_SA ESP "),
                        spi_behind(told, "N(CHILD_SA_NOT_FOUND ESP ")));
    sim_quiesce(sim);
    CHECK(sim,
          late->events[IKE_EVENT_CHILD_REKEYED] == 1 && late->events[IKE_EVENT_CHILD_DOWN] == 0);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    play_one_of_all(sim);
}

// The late end is heard before it hears; what the quicker one says about the end of the old SA is
// lost until it has been asked.
static void late_until_refused(struct sim *sim, struct said *said, struct tapped *message)
{
    (void)sim;
    (void)message;
    bool answered = said_by(scene.late, false, "SA[#1 IKE"),
         refused = said_by(!scene.late, false, "N(TEMPORARY_FAILURE)");
    if (said->from == scene.late)
        said->lost = creates(said) && !answered;
    else
        said->lost = said->request && strcmp(said->text, "D[IKE]") == 0 && !refused;
}

// RFC 7296 2.8.2 test: the quicker end closes the old IKE SA already, and says so.
static void asked_to_rekey_an_ike_sa_it_has_rekeyed(struct sim *sim, uint64_t seed)
{
    scene_begin(sim, seed, late_until_refused);
    sim->traffic = true;
    sim_command(&sim->hosts[scene.late], "rekey ike");
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 2000)));
    sim_command(&sim->hosts[!scene.late], "rekey ike");
    sim_run(sim, nsec_seconds(30));
    CHECK(sim, said_by(!scene.late, false, "N(TEMPORARY_FAILURE)"));
    sim_quiesce(sim);
    for (size_t i = 0; i < 2; i++) CHECK(sim, sim->hosts[i].events[IKE_EVENT_IKE_REKEYED] == 1);
    CHECK(sim, sim->packets_lost == 0 && sim->packets_without_sa == 0);
    play_one_of_all(sim);
}

static void late_for_ever(struct sim *sim, struct said *said, struct tapped *message)
{
    (void)sim;
    (void)message;
    said->lost = said->from == scene.late && creates(said);
}

// RFC 7296 2.8.2 test: the picture. Who is asked to close the old IKE SA stops asking for what is
// done already.
static void a_rekeying_that_was_never_seen_is_forgotten(struct sim *sim, uint64_t seed)
{
    scene_begin(sim, seed, late_for_ever);
    sim_command(&sim->hosts[scene.late], "rekey ike");
    sim_run(sim, nsec_ms((int64_t)rng_below(&sim->rng.rng, 2000)));
    sim_command(&sim->hosts[!scene.late], "rekey ike");
    sim_run(sim, nsec_seconds(1));
    size_t so_far = scene.tap.said_count;
    sim_run(sim, nsec_seconds(60));
    sim_quiesce(sim);
    CHECK(sim, !tap_find(&scene.tap, scene.late, true, "SA[#1 IKE", so_far));
    play_one_of_all(sim);
}

// --- the ends do not have the same

static void deletion_unsaid(struct sim *sim, struct said *said, struct tapped *message)
{
    (void)sim;
    if (said->from != scene.late) tap_remove(message, PAYLOAD_DELETE);
}

// The one end closes the child, and the other does not learn of it.
static void one_end_forgets_the_child(struct sim *sim, uint64_t seed)
{
    scene_begin(sim, seed, deletion_unsaid);
    sim_command(&sim->hosts[!scene.late], "down lan");
    sim_run(sim, nsec_seconds(20 + (int64_t)rng_below(&sim->rng.rng, 100)));
    CHECK(sim, sim_children(&sim->hosts[scene.late], "lan") == 1 &&
                   sim_children(&sim->hosts[!scene.late], "lan") == 0);
    scene.tap.meet = NULL;
    scene.tap.said_count = 0;
}

// RFC 7296 2.25 test: it is deleted without a word, and made from scratch.
static void a_child_that_only_one_end_has_is_made_anew(struct sim *sim, uint64_t seed)
{
    one_end_forgets_the_child(sim, seed);
    uint32_t command = sim_command(&sim->hosts[scene.late], "rekey lan");
    sim_run(sim, nsec_seconds(30));
    const struct said *asked = said_by(scene.late, true, "N(REKEY_SA ESP ");
    const struct said *told = said_by(!scene.late, false, "N(CHILD_SA_NOT_FOUND ESP ");
    CHECK(sim, asked && told);
    CHECK(sim, spi_same(spi_behind(asked, "N(REKEY_SA ESP "),
                        spi_behind(told, "N(CHILD_SA_NOT_FOUND ESP ")));
    CHECK(sim, !said_by(scene.late, true, "D["));
    bool anew = false;
    for (size_t i = 0; i < scene.tap.said_count; i++) {
        const struct said *said = &scene.tap.said[i];
        anew |= said->from == scene.late && creates(said) && !strstr(said->text, "REKEY_SA") &&
                told && said->at > told->at;
    }
    CHECK(sim, anew);
    enum fault fault;
    CHECK(sim, sim_done(&sim->hosts[scene.late], command, &fault));
    sim_quiesce(sim);
    play_one_of_all(sim);
}

// RFC 7296 2.25.1 test: the answer has no Delete payload, and that is enough.
static void asked_to_close_a_child_it_does_not_have(struct sim *sim, uint64_t seed)
{
    one_end_forgets_the_child(sim, seed);
    sim_command(&sim->hosts[scene.late], "down lan");
    sim_run(sim, nsec_seconds(30));
    const struct said *asked = said_by(scene.late, true, "D[ESP");
    const struct said *answer = asked ? tap_answer(&scene.tap, asked) : NULL;
    CHECK(sim, answer && !answer->text[0]);
    sim_quiesce(sim);
    for (size_t i = 0; i < 2; i++)
        CHECK(sim, sim_sas(&sim->hosts[i]) == 1 && sim_children(&sim->hosts[i], "lan") == 0 &&
                       sim->hosts[i].sa_count == 0);
}

// What one end asks for reaches the other as a liveness check, and the answer comes back as a
// refusal.
static void always_busy(struct sim *sim, struct said *said, struct tapped *message)
{
    (void)sim;
    if (said->from == scene.late && creates(said)) {
        scene.asked = said->header.message_id;
        tap_replace(message, EXCHANGE_INFORMATIONAL, 0);
    } else if (said->from != scene.late && !said->request &&
               said->header.message_id == scene.asked) {
        tap_replace(message, EXCHANGE_CREATE_CHILD_SA, NOTIFY_TEMPORARY_FAILURE);
    }
}

// RFC 7296 2.25 test: it is asked again for minutes, never at once; then the IKE SA is closed.
static void a_peer_that_is_always_busy_is_given_up(struct sim *sim, uint64_t seed)
{
    scene_begin(sim, seed, always_busy);
    sim_command(&sim->hosts[scene.late], seed / 2 % 2 ? "rekey lan" : "rekey ike");
    sim_run(sim, nsec_seconds(120));
    CHECK(sim, !said_by(scene.late, true, "D[IKE]"));
    sim_run(sim, nsec_seconds(600));
    const struct said *former = NULL;
    unsigned asked = 0;
    for (size_t i = 0; i < scene.tap.said_count; i++) {
        const struct said *said = &scene.tap.said[i];
        if (said->from != scene.late || !creates(said)) continue;
        CHECK(sim, !former || said->at - former->at >= NSEC_PER_SECOND / 2);
        former = said;
        asked++;
    }
    CHECK(sim, asked >= 4 && asked <= 60);
    CHECK(sim, said_by(scene.late, true, "D[IKE]"));
    sim_quiesce(sim);
    play_nothing_of_all(sim);
}

const struct scenario scenarios_crossed[] = {
    SCENARIO(of_two_new_children_the_one_of_the_lowest_nonce_goes),
    SCENARIO(of_two_new_ike_sas_the_one_of_the_lowest_nonce_goes),
    SCENARIO(asked_to_rekey_a_child_it_does_not_have),
    SCENARIO(asked_to_rekey_an_ike_sa_it_has_rekeyed),
    SCENARIO(a_rekeying_that_was_never_seen_is_forgotten),
    SCENARIO(a_child_that_only_one_end_has_is_made_anew),
    SCENARIO(asked_to_close_a_child_it_does_not_have),
    SCENARIO(a_peer_that_is_always_busy_is_given_up),
    {NULL, NULL},
};
