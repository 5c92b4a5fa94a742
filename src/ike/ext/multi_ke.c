// SPDX-License-Identifier: Apache-2.0
// Further key exchanges of CREATE_CHILD_SA (RFC 9370 2.2.4), one IKE_FOLLOWUP_KE each:
//
//     HDR, SK{SA, Ni, KEi(0) …}  -->
//                                <--  HDR, SK{SA, Nr, KEr(0) …, N(ADDITIONAL_KEY_EXCHANGE)(link)}
//     HDR, SK{KEi(n), N(ADDITIONAL_KEY_EXCHANGE)(link)}  -->
//                                <--  HDR, SK{KEr(n)[, N(ADDITIONAL_KEY_EXCHANGE)(link)]}
//
// Whoever asks goes through all rounds within one exchange; whoever answers parks it between the
// rounds, one of an SA and not for long. What is asked for is made after the last round, with the
// secrets of all of them.
#include "ike/internal.h"

enum { LINK_SIZE = 8, LINK_MAX = 256, PARKED_SECONDS = 180 };

// --- rounds: those of the suite whose method is not NONE, in the order of the transform types

uint8_t round_after(const struct suite *suite, uint8_t round)
{
    for (unsigned next = round; next < SUITE_ADDKE_MAX; next++)
        if (suite->addke[next] != KE_NONE) return (uint8_t)(next + 1);
    return 0;
}

bool suite_has_rounds(const struct suite *suite)
{
    return round_after(suite, 0) != 0;
}

bool proposals_have_rounds(const struct proposals *proposals)
{
    for (unsigned i = 0; i < proposals->count; i++)
        for (unsigned j = 0; j < proposals->at[i].count; j++) {
            const struct transform *at = &proposals->at[i].at[j];
            if (at->type >= TRANSFORM_ADDKE1 && at->type <= TRANSFORM_ADDKE7 && at->id != KE_NONE)
                return true;
        }
    return false;
}

uint16_t round_method(const struct exchange *x)
{
    return x->suite.addke[x->round - 1];
}

static void more_add(struct exchange *x, struct secret *shared)
{
    SECRET(all);
    secret_new(&all, x->ke_more.size + shared->size);
    if (x->ke_more.size) memcpy(all.at, x->ke_more.at, x->ke_more.size);
    if (shared->size) memcpy(all.at + x->ke_more.size, shared->at, shared->size);
    secret_move(&x->ke_more, &all);
    secret_later(x->sa->ike, shared);
}

static enum fault value_read(struct exchange *x)
{
    TRY(exchange_read_ke(x));
    return x->ke == round_method(x) ? OK : FAULT_KE_ROUND;
}

static enum fault link_read(struct exchange *x)
{
    struct notify notify;
    if (!message_notify(&x->in, NOTIFY_ADDITIONAL_KEY_EXCHANGE, &notify) ||
        notify.data.size > LINK_MAX)
        return FAULT_KE_ROUND;
    x->link = arena_copy(&x->arena, notify.data);
    return OK;
}

// --- ask

static enum fault followup_make_key(struct exchange *x)
{
    exchange_wait(x, IKE_OP_KE_MAKE)->ke = round_method(x);
    return OK;
}

static enum fault followup_ask(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    ke_write(draft_open(&draft, PAYLOAD_KE), round_method(x), x->ke_public);
    draft_close(&draft);
    draft_notify(&draft, NOTIFY_ADDITIONAL_KEY_EXCHANGE, x->link);
    request(x, &draft);
    return OK;
}

const struct step followup_ask_steps[] = {
    WAIT(followup_make_key, ke_make_done), // waits: KE_MAKE
    STEP(followup_ask),
    END,
};

// --- conclude

static enum fault next_round(struct exchange *x)
{
    uint8_t round = round_after(&x->suite, x->round);
    if (!round) return OK;
    TRY(link_read(x));
    x->round = round;
    exchange_restart(x, followup_ask_steps);
    return OK;
}

enum fault followup_begin(struct exchange *x)
{
    if (!suite_has_rounds(&x->suite)) return OK;
    x->plan = x->plan->followup;
    return next_round(x);
}

enum fault followup_heed(struct exchange *x)
{
    struct notify notify;
    if (!message_error(&x->in, &notify)) return OK;
    const char *name = iana_notify_name(notify.type);
    return exchange_why(x, notify_fault(notify.type), "it answers %s (%u)",
                        name ? name : "an error", notify.type);
}

enum fault followup_read(struct exchange *x)
{
    return value_read(x);
}

enum fault followup_share(struct exchange *x)
{
    struct ike_operation *operation = exchange_wait(x, IKE_OP_KE_SHARE);
    operation->ke = round_method(x);
    operation->private = &x->ke_private;
    operation->peer_public = x->ke_peer;
    return OK;
}

enum fault followup_shared(struct exchange *x, struct ike_answer *answer)
{
    more_add(x, &answer->shared);
    secret_later(x->sa->ike, &x->ke_private);
    return OK;
}

enum fault followup_more(struct exchange *x)
{
    return next_round(x);
}

// --- answer

void followup_write(struct exchange *x, struct draft *draft)
{
    ke_write(draft_open(draft, PAYLOAD_KE), round_method(x), x->ke_public);
    draft_close(draft);
}

void parked_drop(struct sa *sa)
{
    struct exchange *parked = sa->parked;
    sa->parked = NULL;
    sa_set_timer(sa, TIMER_PARKED, NSEC_NEVER);
    if (!parked) return;
    if (parked->resume->failed) parked->resume->failed(parked, FAULT_KE_LINK);
    exchange_free(parked);
}

void followup_park(struct exchange *x, struct draft *draft, const struct recipe *resume)
{
    struct sa *sa = x->sa;
    uint8_t link[LINK_SIZE];
    rng_fill(sa->ike->rng, link, sizeof link);
    x->link = arena_copy(&x->arena, BYTES_ARRAY(link));
    draft_notify(draft, NOTIFY_ADDITIONAL_KEY_EXCHANGE, x->link);
    respond(x, draft);
    parked_drop(sa); // one that the peer has not gone on with
    x->resume = resume;
    sa->parked = x;
    sa_set_timer(sa, TIMER_PARKED, sa->ike->now + nsec_seconds(PARKED_SECONDS));
    exchange_skip_rest(x);
}

bool followup_continues(const struct sa *sa, const struct message *message)
{
    struct notify notify;
    return sa->parked && message_notify(message, NOTIFY_ADDITIONAL_KEY_EXCHANGE, &notify) &&
           bytes_equal(notify.data, sa->parked->link);
}

// The parked exchange goes on with the request of `x`, which ends.
struct exchange *followup_resume(struct sa *sa, struct exchange *x)
{
    struct exchange *parked = sa->parked;
    sa->parked = NULL;
    sa_set_timer(sa, TIMER_PARKED, NSEC_NEVER);
    arena_free(&parked->message_arena);
    parked->message_arena = x->arena;
    x->arena = (struct arena){0};
    parked->in = x->in;
    parked->round = round_after(&parked->suite, parked->round);
    exchange_free(x);
    return parked;
}

enum fault followup_answer_start(struct exchange *x)
{
    TRY(value_read(x));
    struct ike_operation *operation = exchange_wait(x, IKE_OP_KE_ANSWER);
    operation->ke = round_method(x);
    operation->peer_public = x->ke_peer;
    return OK;
}

enum fault followup_answer_done(struct exchange *x, struct ike_answer *answer)
{
    more_add(x, &answer->shared);
    x->ke_public = arena_copy(&x->arena, answer->data);
    return OK;
}

enum fault followup_answer_more(struct exchange *x)
{
    struct draft draft;
    if (!round_after(&x->suite, x->round)) return OK;
    draft_begin(x->sa->ike, &draft);
    followup_write(x, &draft);
    followup_park(x, &draft, x->resume);
    return OK;
}

static enum fault followup_unknown(struct exchange *x)
{
    (void)x;
    return FAULT_KE_LINK;
}

static const struct step followup_unknown_steps[] = {STEP(followup_unknown), END};
const struct recipe followup_answer = {"IKE_FOLLOWUP_KE", FAILURE_STAYS, followup_unknown_steps,
                                       NULL};

// --- requests of both ends that cross

static struct bytes lower(const struct exchange *x)
{
    struct bytes ni = exchange_ni(x), nr = exchange_nr(x);
    return bytes_compare(ni, nr) < 0 ? ni : nr;
}

bool parked_wins(struct exchange *ours)
{
    struct exchange *theirs = ours->sa->parked;
    bool crossed = theirs && theirs->old_id == ours->old_id && !theirs->fresh == !ours->fresh &&
                   (theirs->fresh || ours->old_id);
    if (!crossed) return false;
    if (bytes_compare(lower(ours), lower(theirs)) < 0) return true;
    parked_drop(ours->sa);
    return false;
}
