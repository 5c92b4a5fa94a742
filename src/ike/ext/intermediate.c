// SPDX-License-Identifier: Apache-2.0
// IKE_INTERMEDIATE (RFC 9242): exchanges between the first one and IKE_AUTH, here one for each
// additional key exchange (RFC 9370 2.2.2), and for a post-quantum pre-shared key (RFC 9867), which
// goes along with the last of them. They are sealed and, unlike IKE_SA_INIT, can be fragmented, so
// that large values of post-quantum methods go through.
//
//     HDR, SK{KEi(n) …}  -->
//                        <--  HDR, SK{KEr(n) …}      both then go on with keys that hold secret n
//
// What went through is authenticated in IKE_AUTH: each side's messages are summed up with SK_p, and
// the sums are signed with the rest.
#include "ike/internal.h"

enum { GENERIC_SIZE = 4, SUM_MAX = 64 };

bool intermediate_rounds_left(const struct sa *sa)
{
    return sa->handshake && round_after(&sa->suite, sa->handshake->round) != 0;
}

bool intermediate_is_due(const struct sa *sa)
{
    return intermediate_rounds_left(sa) || (sa->handshake && ppk_int_is_due(sa));
}

// RFC 9370 2.2.1: without the exchange for them no additional key exchange is chosen. Where NONE is
// offered beside them, that is what is left; else the whole proposal is of no use.
void intermediate_withdraw(struct proposals *offered)
{
    uint8_t kept = 0;
    for (unsigned i = 0; i < offered->count; i++) {
        struct proposal proposal = offered->at[i];
        uint32_t types = 0, nones = 0;
        uint8_t count = 0;
        for (unsigned j = 0; j < proposal.count; j++) {
            struct transform at = proposal.at[j];
            bool additional = at.type >= TRANSFORM_ADDKE1 && at.type <= TRANSFORM_ADDKE7;
            if (additional) *(at.id == KE_NONE ? &nones : &types) |= UINT32_C(1) << at.type;
            if (!additional || at.id == KE_NONE) proposal.at[count++] = at;
        }
        proposal.count = count;
        if (!(types & ~nones)) offered->at[kept++] = proposal;
    }
    offered->count = kept;
}

// --- what is authenticated

// RFC 9242 3.3.2: prf(SK_p, sum so far | IKE header and header of the encrypted payload as if it
// held plain text in one piece | payloads).
enum fault intermediate_sum(struct sa *sa, bool of_initiator, const struct ike_header *message,
                            uint8_t first, struct bytes plain)
{
    struct handshake *handshake = sa->handshake;
    struct secret *sum = of_initiator ? &handshake->int_auth_i : &handshake->int_auth_r;
    const struct secret *key = of_initiator ? &handshake->sk_pi : &handshake->sk_pr;
    struct ike_header header = *message;
    uint8_t space[IKE_HEADER_SIZE + GENERIC_SIZE];
    struct wr out = wr_over(space, sizeof space);
    SECRET(next);
    header.next = PAYLOAD_SK;
    header.length = (uint32_t)(sizeof space + plain.size);
    ike_header_write(&out, &header);
    wr_u8(&out, first);
    wr_u8(&out, 0);
    wr_u16(&out, (uint16_t)(GENERIC_SIZE + plain.size));
    TRY(prf(sa->suite.prf, secret_bytes(key), PIECES(secret_bytes(sum), wr_done(&out), plain),
            &next));
    secret_move(sum, &next);
    return OK;
}

// Of a message of ours that is about to be sealed.
static enum fault sum_own(struct sa *sa, const struct draft *draft, uint32_t message_id)
{
    struct ike_header header = {.spi_i = sa->spi_i,
                                .spi_r = sa->spi_r,
                                .major = 2,
                                .exchange = EXCHANGE_IKE_INTERMEDIATE,
                                .flags = sa->initiator ? FLAG_INITIATOR : FLAG_RESPONSE,
                                .message_id = message_id};
    return intermediate_sum(sa, sa->initiator, &header, draft->out.at[0],
                            bytes_of(draft->out.at + 1, draft->out.size - 1));
}

// RFC 9242 3.3.2: IntAuth_i | IntAuth_r | message ID of the first IKE_AUTH.
struct bytes int_auth(const struct sa *sa)
{
    const struct handshake *handshake = sa->handshake;
    if (!handshake->intermediates) return BYTES_NONE;
    uint8_t space[2 * SUM_MAX + 4];
    struct wr out = wr_over(space, sizeof space);
    wr_bytes(&out, secret_bytes(&handshake->int_auth_i));
    wr_bytes(&out, secret_bytes(&handshake->int_auth_r));
    wr_u32(&out, 1u + handshake->intermediates);
    return arena_copy(&sa->ike->arena, wr_done(&out));
}

// --- both sides

static void round_begin(struct exchange *x)
{
    x->suite = x->sa->suite;
    x->round = round_after(&x->suite, x->sa->handshake->round);
}

// Without a round there is none, which is the case of a pre-shared key alone.
static enum fault value_read(struct exchange *x)
{
    if (!x->round) return message_first(&x->in, PAYLOAD_KE) ? FAULT_KE_ROUND : OK;
    if (!message_first(&x->in, PAYLOAD_KE)) return FAULT_PAYLOAD_MISSING;
    TRY(exchange_read_ke(x));
    // RFC 9370 2.2.2: the method of the payload is the one that was agreed for this round.
    return x->ke == round_method(x) ? OK : FAULT_KE_ROUND;
}

static void value_write(const struct exchange *x, struct draft *draft)
{
    if (!x->round) return;
    ke_write(draft_open(draft, PAYLOAD_KE), round_method(x), x->ke_public);
    draft_close(draft);
}

// RFC 9370 2.2.2: SKEYSEED(n) = prf(SK_d(n-1), SK(n) | Ni | Nr), and all keys anew out of it. They
// are in use behind the response.
static enum fault keys_derive(struct exchange *x)
{
    const struct sa *sa = x->sa;
    const struct handshake *handshake = sa->handshake;
    struct bytes ni = bytes_of(handshake->ni, handshake->ni_size),
                 nr = bytes_of(handshake->nr, handshake->nr_size);
    SECRET(seed);
    if (!x->round) return OK;
    TRY(keymat_seed(x, sa, ni, nr, &x->ke_shared, &seed));
    secret_later(sa->ike, &x->ke_shared);
    return keymat_expand(sa, ni, nr, &seed, &x->next_keys);
}

static enum fault keys_update(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (x->next_keys.size) TRY(keymat_take(sa, &x->next_keys));
    secret_later(sa->ike, &x->next_keys);
    if (x->round) sa->handshake->round = x->round;
    sa->handshake->intermediates++;
    return OK;
}

// --- ask

static enum fault intermediate_make_key(struct exchange *x)
{
    round_begin(x);
    if (x->round) exchange_wait(x, IKE_OP_KE_MAKE)->ke = round_method(x);
    return OK;
}

static enum fault intermediate_ask(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    value_write(x, &draft);
    ppk_names_write(x, &draft);
    TRY(sum_own(x->sa, &draft, x->sa->send_id));
    request(x, &draft);
    return OK;
}

static const struct step intermediate_ask_steps[] = {
    WAIT(intermediate_make_key, ke_make_done),   // waits: KE_MAKE, in a round
    WAIT(ppk_int_confirm, ppk_names_confirmed),  // waits: PPK, in the last one
    STEP(intermediate_ask),
    END,
};

// --- conclude

static enum fault intermediate_agree(struct exchange *x)
{
    TRY(value_read(x));
    return intermediate_sum(x->sa, false, &x->in.header, x->in.first, x->in.plain);
}

static enum fault intermediate_share(struct exchange *x)
{
    return x->round ? followup_share(x) : OK;
}

static const struct step intermediate_conclude_steps[] = {
    STEP(followup_heed), // errors
    STEP(intermediate_agree),
    WAIT(intermediate_share, ke_share_done), // waits: KE_SHARE
    STEP(keys_derive),
    WAIT(ppk_int_agree, ppk_int_mixed), // waits: PPK
    STEP(keys_update),                  // the next round or IKE_AUTH follows
    END,
};

const struct plan plan_intermediate = {
    .exchange = EXCHANGE_IKE_INTERMEDIATE,
    .ask = {"IKE_INTERMEDIATE", FAILURE_ENDS_SA, intermediate_ask_steps, NULL},
    .conclude = {"IKE_INTERMEDIATE", FAILURE_ENDS_SA, intermediate_conclude_steps, NULL},
};

// --- answer

static enum fault intermediate_read(struct exchange *x)
{
    struct sa *sa = x->sa;
    round_begin(x);
    if (!intermediate_is_due(sa)) return FAULT_KE_ROUND;
    sa->path = x->in.path; // RFC 7296 2.23: the initiator may have changed ports
    TRY(value_read(x));
    return intermediate_sum(sa, true, &x->in.header, x->in.first, x->in.plain);
}

static enum fault intermediate_answer_start(struct exchange *x)
{
    return x->round ? followup_answer_start(x) : OK;
}

static enum fault intermediate_answer_write(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    value_write(x, &draft);
    ppk_taken_write(x, &draft);
    TRY(sum_own(x->sa, &draft, x->in.header.message_id));
    respond(x, &draft);
    return keys_update(x);
}

static const struct step intermediate_answer_steps[] = {
    STEP(intermediate_read),
    WAIT(intermediate_answer_start, ke_answer_done), // waits: KE_ANSWER
    STEP(keys_derive),
    WAIT(ppk_int_choose, ppk_int_chosen), // waits: PPK, if the peer names some
    STEP(intermediate_answer_write),      // still with the keys of before
    END,
};
const struct recipe intermediate_answer = {"IKE_INTERMEDIATE", FAILURE_ENDS_SA,
                                           intermediate_answer_steps, NULL};
