// SPDX-License-Identifier: Apache-2.0
// Post-quantum pre-shared keys (RFC 8784): a key that both ends have beforehand goes into SK_d,
// SK_pi and SK_pr, so that whoever breaks the key exchange one day still lacks it.
//
//     HDR, SAi1, KEi, Ni, N(USE_PPK)  -->
//                                     <--  HDR, SAr1, KEr, Nr, N(USE_PPK)
//     HDR, SK{… AUTH …, N(PPK_IDENTITY)(id) [, N(NO_PPK_AUTH)(AUTH without it)]}  -->
//                                     <--  HDR, SK{… AUTH …, N(PPK_IDENTITY)}
//
// The key itself stays with the keys role. The core names it and gives SK_d', SK_pi' and SK_pr'; it
// gets the mixed ones back and keeps the others until it is known which of them count.
#include "ike/internal.h"

enum { PPK_ID_OPAQUE = 1, PPK_ID_FIXED = 2 };

// --- which key

// As initiator only a single identity says which key it is.
static bool names_one(const struct identity *id)
{
    return id->type != IDENTITY_ANY && !id->regex && id->bytes.size &&
           !memchr(id->bytes.at, '*', id->bytes.size);
}

static struct ike_operation *ppk_wait(struct exchange *x, enum ike_ppk_kind kind, struct bytes id)
{
    struct ike_operation *operation = exchange_wait(x, IKE_OP_PPK);
    operation->ppk.kind = (uint8_t)kind;
    operation->ppk.prf = x->sa->suite.prf;
    operation->ppk.id = id;
    return operation;
}

// Before the first message: is the key there that the connection names? RFC 8784 3: whoever says
// USE_PPK must name one later.
enum fault ppk_find(struct exchange *x)
{
    const struct conn *conn = x->sa->conn;
    struct ppk_use *ppk = &x->sa->handshake->ppk;
    if (ppk->state != PPK_UNKNOWN) return OK; // the same request, with a cookie
    ppk->state = PPK_ABSENT;
    if (names_one(&conn->ppk_id)) {
        ppk_wait(x, IKE_PPK_FIND, conn->ppk_id.bytes);
        return OK;
    }
    if (!conn->ppk_required) return OK;
    return exchange_why(x, FAULT_PPK_MISSING, "ppk_required needs a ppk_id that names one key");
}

enum fault ppk_found(struct exchange *x, struct ike_answer *answer)
{
    struct sa *sa = x->sa;
    const char *name = identity_text(sa->ike, &sa->conn->ppk_id);
    if (answer->found) {
        sa->handshake->ppk.state = PPK_OFFERED;
        return OK;
    }
    if (sa->conn->ppk_required)
        return exchange_why(x, FAULT_PPK_MISSING, "no ppk secret has the id %s", name);
    report(
        sa->ike, ABOUT_SA(sa), IKE_INFO, FAULT_PPK_MISSING,
        "no ppk secret has the id %s; the connection goes on without, as it does not require one",
        name);
    return OK;
}

void ppk_offer(const struct sa *sa, struct draft *draft)
{
    if (sa->handshake->ppk.state >= PPK_OFFERED) draft_notify(draft, NOTIFY_USE_PPK, BYTES_NONE);
}

// RFC 8784 3: a responder that has no such key at all passes USE_PPK over.
enum fault ppk_find_any(struct exchange *x)
{
    struct notify notify;
    struct ppk_use *ppk = &x->sa->handshake->ppk;
    ppk->state = PPK_ABSENT;
    if (message_notify(&x->in, NOTIFY_USE_PPK, &notify)) ppk_wait(x, IKE_PPK_FIND, BYTES_NONE);
    return OK;
}

enum fault ppk_found_any(struct exchange *x, struct ike_answer *answer)
{
    if (answer->found) x->sa->handshake->ppk.state = PPK_AGREED;
    return OK;
}

// Does the responder want one, too? RFC 8784 3: else it is done without, or not at all.
enum fault ppk_agree(struct exchange *x)
{
    struct notify notify;
    struct ppk_use *ppk = &x->sa->handshake->ppk;
    if (ppk->state != PPK_OFFERED) return OK;
    bool agreed = message_notify(&x->in, NOTIFY_USE_PPK, &notify);
    ppk->state = agreed ? PPK_AGREED : PPK_ABSENT;
    if (agreed || !x->sa->conn->ppk_required) return OK;
    return exchange_why(x, FAULT_PPK_REQUIRED, "it does not answer USE_PPK");
}

// --- mixing

static void ppk_mix(struct exchange *x, struct bytes id)
{
    const struct sa *sa = x->sa;
    struct ike_operation *operation = ppk_wait(x, IKE_PPK_MIX, id);
    operation->ppk.keys[0] = sk_d(sa);
    operation->ppk.keys[1] = secret_bytes(&sa->handshake->sk_pi);
    operation->ppk.keys[2] = secret_bytes(&sa->handshake->sk_pr);
}

static void secrets_swap(struct secret *a, struct secret *b)
{
    struct secret former = *a;
    *a = *b;
    *b = former;
}

// Takes the other set of keys: the mixed one, or back again.
static void keys_swap(struct sa *sa)
{
    struct handshake *handshake = sa->handshake;
    SECRET(d);
    secret_set(&d, sk_d(sa));
    memcpy(sa->keys.all.at, handshake->ppk.d.at, sa->keys.d);
    secret_set(&handshake->ppk.d, secret_bytes(&d));
    secrets_swap(&handshake->sk_pi, &handshake->ppk.pi);
    secrets_swap(&handshake->sk_pr, &handshake->ppk.pr);
}

// RFC 8784 3: SK_d = prf+(PPK, SK_d'), and likewise the two SK_p, each as long as before.
static enum fault ppk_take(struct exchange *x, const struct secret *mixed)
{
    struct sa *sa = x->sa;
    struct ppk_use *ppk = &sa->handshake->ppk;
    size_t size = sa->keys.d;
    if (mixed->size != 3 * size) return FAULT_PPK_MISSING;
    secret_set(&ppk->d, bytes_of(mixed->at, size));
    secret_set(&ppk->pi, bytes_of(mixed->at + size, size));
    secret_set(&ppk->pr, bytes_of(mixed->at + 2 * size, size));
    keys_swap(sa);
    ppk->state = PPK_MIXED;
    sa->bits |= PPK_USED;
    return OK;
}

void ppk_wipe(struct ppk_use *ppk)
{
    secret_wipe(&ppk->d);
    secret_wipe(&ppk->pi);
    secret_wipe(&ppk->pr);
    mem_drop(&ppk->without);
}

// --- ask

// RFC 8784 3: where the key is optional the responder must be able to go on without, so we are
// proved without it, too.
bool ppk_wants_two_proofs(const struct sa *sa)
{
    return sa->handshake->ppk.state == PPK_AGREED && !sa->conn->ppk_required;
}

enum fault ppk_proved_without(struct exchange *x)
{
    struct ppk_use *ppk = &x->sa->handshake->ppk;
    mem_drop(&ppk->without);
    ppk->without = mem_copy(x->auth_data);
    return OK;
}

enum fault ppk_ask_mix(struct exchange *x)
{
    const struct sa *sa = x->sa;
    if (sa->handshake->ppk.state == PPK_AGREED) ppk_mix(x, sa->conn->ppk_id.bytes);
    return OK;
}

enum fault ppk_ask_mixed(struct exchange *x, struct ike_answer *answer)
{
    if (!answer->found)
        return exchange_why(x, FAULT_PPK_MISSING, "the ppk secret %s was unloaded meanwhile",
                            identity_text(x->sa->ike, &x->sa->conn->ppk_id));
    return ppk_take(x, &answer->shared);
}

void ppk_write(struct sa *sa, struct draft *draft)
{
    uint8_t space[IDENTITY_SIZE_MAX + 1];
    struct wr out = wr_over(space, sizeof space);
    struct ppk_use *ppk = &sa->handshake->ppk;
    if (ppk->state != PPK_MIXED) return;
    ppk->is_named = true;
    wr_u8(&out, PPK_ID_FIXED);
    wr_bytes(&out, sa->conn->ppk_id.bytes);
    draft_notify(draft, NOTIFY_PPK_IDENTITY, wr_done(&out));
    if (ppk->without.at) draft_notify(draft, NOTIFY_NO_PPK_AUTH, ppk->without);
}

// RFC 8784 3: PPK_IDENTITY in the answer says that the key is in use; what is in it does not
// matter. Further rounds hold to that.
enum fault ppk_heed(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct ppk_use *ppk = &sa->handshake->ppk;
    struct notify notify;
    if (!ppk->is_named) return OK;
    ppk->is_named = false;
    if (message_notify(&x->in, NOTIFY_PPK_IDENTITY, &notify)) return OK;
    if (!ppk->without.at)
        return exchange_why(x, FAULT_PPK_REQUIRED, "it has no key with the id %s for us",
                            identity_text(sa->ike, &sa->conn->ppk_id));
    keys_swap(sa);
    ppk->state = PPK_ABSENT;
    sa->bits &= ~(uint32_t)PPK_USED;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK,
           "the peer has no post-quantum pre-shared key with the id %s; both go on without",
           identity_text(sa->ike, &sa->conn->ppk_id));
    return OK;
}

// --- answer

static bool id_allowed(const struct conn *conn, struct bytes id)
{
    const struct identity claimed = {.type = conn->ppk_id.type, .bytes = id};
    return conn->ppk_id.type == IDENTITY_ANY || identity_matches(&conn->ppk_id, &claimed);
}

// What the peer calls its key, in the step's memory; only printable bytes are shown.
static const char *id_text(const struct exchange *x, struct bytes id)
{
    const struct identity name = {.type = ID_KEY_ID, .bytes = id};
    bool plain = id.size > 0;
    for (size_t i = 0; i < id.size; i++) plain &= id.at[i] > ' ' && id.at[i] < 0x7f;
    return plain ? arena_text(&x->sa->ike->arena, id) : identity_text(x->sa->ike, &name);
}

// RFC 8784 3: without the key that the peer names, its proof without a key counts, if it gave one
// and we do not insist.
static enum fault ppk_do_without(struct exchange *x)
{
    const struct sa *sa = x->sa;
    struct notify notify;
    sa->handshake->ppk.state = PPK_ABSENT;
    if (sa->conn->ppk_required || !message_notify(&x->in, NOTIFY_NO_PPK_AUTH, &notify))
        return exchange_why(x, FAULT_PPK_MISSING, "the peer names %s", id_text(x, x->ppk_id));
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK,
           "there is no post-quantum pre-shared key %s for this peer; both go on without",
           id_text(x, x->ppk_id));
    x->auth_data = notify.data;
    return OK;
}

enum fault ppk_choose(struct exchange *x)
{
    const struct sa *sa = x->sa;
    struct notify notify;
    // RFC 8784 3: a resumed session has it in its SK_d, or the ticket would not have been taken.
    if (is_resumed(sa)) return OK;
    if (sa->handshake->ppk.state != PPK_AGREED)
        return sa->conn->ppk_required
                   ? exchange_why(x, FAULT_PPK_REQUIRED, "USE_PPK was not agreed on in IKE_SA_INIT")
                   : OK;
    // RFC 8784 3: who has agreed to use one must name it.
    if (!message_notify(&x->in, NOTIFY_PPK_IDENTITY, &notify)) return FAULT_PPK_UNNAMED;
    struct rd in = rd_over(notify.data);
    uint8_t type = rd_u8(&in);
    struct bytes id = rd_bytes(&in, in.left);
    // RFC 8784 5.1: type 1 is for whatever both ends have agreed on; we have agreed on nothing.
    bool readable = type == PPK_ID_FIXED && id.size > 0 && id.size <= IDENTITY_SIZE_MAX;
    x->ppk_id = readable ? arena_copy(&x->arena, id) : BYTES_NONE;
    if (!readable || !id_allowed(sa->conn, id)) return ppk_do_without(x);
    ppk_mix(x, x->ppk_id);
    return OK;
}

enum fault ppk_chosen(struct exchange *x, struct ike_answer *answer)
{
    if (!answer->found) return ppk_do_without(x);
    TRY(ppk_take(x, &answer->shared));
    report(x->sa->ike, ABOUT_SA(x->sa), IKE_DETAIL, OK,
           "the post-quantum pre-shared key %s is mixed in", id_text(x, x->ppk_id));
    return OK;
}

void ppk_answer(const struct sa *sa, struct draft *draft)
{
    if (sa->handshake->ppk.state == PPK_MIXED) draft_notify(draft, NOTIFY_PPK_IDENTITY, BYTES_NONE);
}
