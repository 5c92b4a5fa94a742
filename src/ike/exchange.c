// SPDX-License-Identifier: Apache-2.0
// The runner of recipes. An exchange is a table of named steps; a step does its part at once, or
// starts an operation that is done elsewhere and has a second half that takes the answer:
//
//     ours:        ask steps … -> request -> (retransmission) -> response -> conclude steps …
//     the peer's:  request -> answer steps … -> response
//
// A step that returns a fault ends the recipe; failure.c says what becomes of it.
#include "ike/internal.h"
#include <assert.h>
#include <stdarg.h>

static const struct step end_of_recipe = END;

struct exchange *exchange_new(struct sa *sa)
{
    struct exchange *x = NEW(struct exchange);
    x->sa = sa;
    x->waiter.kind = WAITER_EXCHANGE;
    return x;
}

void exchange_free(struct exchange *x)
{
    if (!x) return;
    struct ike *ike = x->sa->ike;
    waiter_forget(ike, &x->waiter);
    packets_free(ike, &x->sent);
    packets_free(ike, &x->probe);
    secret_later(ike, &x->ke_private);
    secret_later(ike, &x->ke_shared);
    secret_later(ike, &x->ke_more);
    secret_later(ike, &x->next_keys);
    secret_later(ike, &x->ppk_d);
    if (x->child) child_end(x->child, OK);
    if (x->fresh) sa_end(x->fresh, OK, NULL);
    if (x->task) task_free(x->task);
    arena_free(&x->arena);
    arena_free(&x->message_arena);
    free(x);
}

// --- running

static void exchange_finish(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (x->part == PART_ANSWER)
        sa->answering = NULL;
    else
        sa->asking = NULL;
    if (x != sa->parked) exchange_free(x);
    sa_pump(sa);
}

static void step_done(struct exchange *x)
{
    x->at = x->next ? x->next : x->at + 1;
    x->next = NULL;
}

void exchange_run(struct exchange *x)
{
    while (x->at->name) {
        enum fault fault = x->at->run(x);
        if (x->sa->state == DEAD) return; // buried, with this exchange
        if (fault) {
            exchange_fail(x, fault);
            return;
        }
        if (x->waiter.number) return;
        step_done(x);
    }
    if (x->part == PART_ASK && !x->is_over) return; // the response will go on
    exchange_finish(x);
}

void exchange_answered(struct exchange *x, struct ike_answer *answer)
{
    const struct sa *sa = x->sa;
    enum fault fault = answer->fault;
    if (fault && answer->text) x->why = arena_text(&sa->ike->arena, bytes_of_text(answer->text));
    if (!fault || x->at->takes_faults) fault = x->at->after(x, answer);
    if (sa->state == DEAD) return;
    if (fault) {
        exchange_fail(x, fault);
        return;
    }
    if (x->waiter.number) return;
    step_done(x);
    exchange_run(x);
}

static void recipe_begin(struct exchange *x, const struct recipe *recipe, enum exchange_part part)
{
    x->recipe = recipe;
    x->part = (uint8_t)part;
    x->at = recipe->steps;
    x->next = NULL;
}

void exchange_ask(struct sa *sa, const struct plan *plan, struct task *task)
{
    assert(!sa->asking);
    struct exchange *x = exchange_new(sa);
    x->plan = plan;
    x->task = task;
    sa->asking = x;
    recipe_begin(x, &plan->ask, PART_ASK);
    exchange_run(x);
}

void exchange_conclude(struct exchange *x)
{
    request_answered(x);
    recipe_begin(x, &x->plan->conclude, PART_CONCLUDE);
    exchange_run(x);
}

void exchange_answer(struct sa *sa, const struct recipe *recipe, struct exchange *x)
{
    assert(!sa->answering);
    sa->answering = x;
    recipe_begin(x, recipe, PART_ANSWER);
    exchange_run(x);
}

void exchange_restart(struct exchange *x, const struct step *at)
{
    x->part = PART_ASK;
    x->recipe = &x->plan->ask;
    x->next = at;
}

void exchange_skip_rest(struct exchange *x)
{
    x->next = &end_of_recipe;
}

void exchange_give_up(struct exchange *x)
{
    exchange_skip_rest(x);
    x->is_over = true;
}

struct ike_operation *exchange_wait(struct exchange *x, enum ike_operation_kind kind)
{
    return operation_new(x->sa->ike, &x->waiter, kind);
}

enum fault exchange_why(struct exchange *x, enum fault fault, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_vprintf(format, args);
    va_end(args);
    free_later(x->sa->ike, text);
    x->why = text;
    return fault;
}

// --- messages of an exchange

void request(struct exchange *x, struct draft *draft)
{
    struct sa *sa = x->sa;
    packets_free(sa->ike, &x->sent);
    x->message_id = sa->send_id++;
    if (sa->bits & PEER_SYNCS_IDS) x->plain = arena_copy(&x->arena, wr_done(&draft->out));
    x->sent = draft_seal(sa, draft, x->plan->exchange, MESSAGE_REQUEST, x->message_id);
    count_message(sa->ike, sa, x->plan->exchange, COUNT_OUT_REQUEST);
    request_sent(x);
}

void respond(struct exchange *x, struct draft *draft)
{
    struct sa *sa = x->sa;
    packets_free(sa->ike, &sa->response);
    sa->response =
        draft_seal(sa, draft, x->in.header.exchange, MESSAGE_RESPONSE, x->in.header.message_id);
    count_message(sa->ike, sa, x->in.header.exchange, COUNT_OUT_RESPONSE);
    // RFC 7296 2.11: a response goes to where its request came from.
    struct path path = x->in.path;
    packets_send(sa->ike, sa, &path, &sa->response);
    sa->last_sent = sa->ike->now;
}

// --- nonces and key exchange, which the first exchange and both rekeys share

struct bytes exchange_ni(const struct exchange *x)
{
    return bytes_of(x->ni, x->ni_size);
}

struct bytes exchange_nr(const struct exchange *x)
{
    return bytes_of(x->nr, x->nr_size);
}

void exchange_nonce(struct exchange *x, bool initiator)
{
    rng_fill(x->sa->ike->rng, initiator ? x->ni : x->nr, NONCE_SIZE);
    *(initiator ? &x->ni_size : &x->nr_size) = NONCE_SIZE;
}

enum fault exchange_read_nonce(struct exchange *x, bool initiator)
{
    struct bytes nonce;
    TRY(nonce_read(message_first(&x->in, PAYLOAD_NONCE)->body, &nonce));
    memcpy(initiator ? x->ni : x->nr, nonce.at, nonce.size);
    *(initiator ? &x->ni_size : &x->nr_size) = (uint16_t)nonce.size;
    return OK;
}

// The peer's KE payload; without one x->ke becomes KE_NONE.
enum fault exchange_read_ke(struct exchange *x)
{
    const struct payload *payload = message_first(&x->in, PAYLOAD_KE);
    struct ke_payload ke = {0};
    if (payload) TRY(ke_read(payload->body, &ke));
    x->ke = ke.group;
    x->ke_peer = ke.value;
    return OK;
}

enum fault ke_make_done(struct exchange *x, struct ike_answer *answer)
{
    secret_move(&x->ke_private, &answer->private);
    x->ke_public = arena_copy(&x->arena, answer->data);
    return OK;
}

enum fault ke_share_start(struct exchange *x)
{
    if (x->suite.ke == KE_NONE) return OK;
    struct ike_operation *operation = exchange_wait(x, IKE_OP_KE_SHARE);
    operation->ke = x->suite.ke;
    operation->private = &x->ke_private;
    operation->peer_public = x->ke_peer;
    return OK;
}

enum fault ke_share_done(struct exchange *x, struct ike_answer *answer)
{
    secret_move(&x->ke_shared, &answer->shared);
    secret_later(x->sa->ike, &x->ke_private);
    return OK;
}

enum fault ke_answer_start(struct exchange *x)
{
    if (x->suite.ke == KE_NONE) return OK;
    struct ike_operation *operation = exchange_wait(x, IKE_OP_KE_ANSWER);
    operation->ke = x->suite.ke;
    operation->peer_public = x->ke_peer;
    return OK;
}

enum fault ke_answer_done(struct exchange *x, struct ike_answer *answer)
{
    secret_move(&x->ke_shared, &answer->shared);
    x->ke_public = arena_copy(&x->arena, answer->data);
    return OK;
}
