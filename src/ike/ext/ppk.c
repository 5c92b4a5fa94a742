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
// gets the mixed ones back and keeps the others until it is known which of them count. The other way,
// before IKE_AUTH (RFC 9867), is in ppk_int.c; which of the two it is, is agreed on here.
#include "ike/internal.h"

enum { PPK_ID_OPAQUE = 1, PPK_ID_FIXED = 2 };

// --- which key

// As initiator only a single identity says which key it is.
static bool names_one(const struct identity *id)
{
    return id->type != IDENTITY_ANY && !id->regex && id->bytes.size &&
           !memchr(id->bytes.at, '*', id->bytes.size);
}

uint8_t ppk_names_of(const struct conn *conn, struct bytes names[IKE_PPK_NAMES_MAX])
{
    uint8_t count = 0;
    if (names_one(&conn->ppk_id)) names[count++] = conn->ppk_id.bytes;
    for (unsigned i = 0; i < conn->ppk_count; i++)
        if (names_one(&conn->ppk_ids[i])) names[count++] = conn->ppk_ids[i].bytes;
    return count;
}

// The first of the connection's names whose key is there, which is the one for RFC 8784.
static struct bytes ppk_first(const struct sa *sa)
{
    struct bytes names[IKE_PPK_NAMES_MAX];
    uint8_t count = ppk_names_of(sa->conn, names);
    for (unsigned i = 0; i < count; i++)
        if (sa->handshake->ppk.there >> i & 1) return names[i];
    return BYTES_NONE;
}

// What a key is called, in the step's memory; only printable bytes are shown.
const char *ppk_text(const struct sa *sa, struct bytes id)
{
    const struct identity name = {.type = ID_KEY_ID, .bytes = id};
    bool plain = id.size > 0;
    for (size_t i = 0; i < id.size; i++) plain &= id.at[i] > ' ' && id.at[i] < 0x7f;
    return plain ? arena_text(&sa->ike->arena, id) : identity_text(sa->ike, &name);
}

bool ppk_allowed(const struct conn *conn, struct bytes id)
{
    const struct identity *own = &conn->ppk_id;
    if (own->type == IDENTITY_ANY && !conn->ppk_count) return true;
    for (unsigned i = 0; i <= conn->ppk_count; i++) {
        const struct identity *pattern = i ? &conn->ppk_ids[i - 1] : own;
        const struct identity claimed = {.type = pattern->type, .bytes = id};
        if (pattern->type != IDENTITY_ANY && identity_matches(pattern, &claimed)) return true;
    }
    return false;
}

struct ike_operation *ppk_wait(struct exchange *x, enum ike_ppk_kind kind)
{
    struct ike_operation *operation = exchange_wait(x, IKE_OP_PPK);
    operation->ppk.kind = (uint8_t)kind;
    operation->ppk.prf = x->sa->suite.prf;
    return operation;
}

// Before the first message: is a key there that the connection names? RFC 8784 3: whoever says
// USE_PPK must name one later.
enum fault ppk_find(struct exchange *x)
{
    const struct conn *conn = x->sa->conn;
    struct ppk_use *ppk = &x->sa->handshake->ppk;
    struct bytes names[IKE_PPK_NAMES_MAX];
    uint8_t count = ppk_names_of(conn, names);
    if (ppk->state != PPK_UNKNOWN) return OK; // the same request, with a cookie
    ppk->state = PPK_ABSENT;
    if (count) {
        struct ike_operation *operation = ppk_wait(x, IKE_PPK_FIND);
        operation->ppk.count = count;
        memcpy(operation->ppk.names, names, sizeof names);
        return OK;
    }
    if (!conn->ppk_required) return OK;
    return exchange_why(x, FAULT_PPK_MISSING, "ppk_required needs a ppk_id that names one key");
}

enum fault ppk_found(struct exchange *x, struct ike_answer *answer)
{
    struct sa *sa = x->sa;
    struct ppk_use *ppk = &sa->handshake->ppk;
    struct bytes names[IKE_PPK_NAMES_MAX];
    uint8_t count = ppk_names_of(sa->conn, names);
    ppk->there = (uint16_t)(answer->names & ((1u << count) - 1));
    if (ppk->there) {
        ppk->state = PPK_OFFERED;
        return OK;
    }
    const char *name = ppk_text(sa, names[0]), *others = count > 1 ? " or one of the others" : "";
    if (sa->conn->ppk_required)
        return exchange_why(x, FAULT_PPK_MISSING, "no ppk secret has the id %s%s", name, others);
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, FAULT_PPK_MISSING,
           "no ppk secret has the id %s%s; the connection goes on without, as it does not require one",
           name, others);
    return OK;
}

void ppk_offer(const struct sa *sa, struct draft *draft)
{
    if (sa->handshake->ppk.state != PPK_OFFERED) return;
    // RFC 9867 3.1: both may be offered, the responder takes one of them.
    if (sa->conn->ppk_int != PPK_INT_NEVER) draft_notify(draft, NOTIFY_USE_PPK_INT, BYTES_NONE);
    if (sa->conn->ppk_int != PPK_INT_ONLY) draft_notify(draft, NOTIFY_USE_PPK, BYTES_NONE);
}

// RFC 9867 3.1: it goes by IKE_INTERMEDIATE, so both notifies count together.
static bool says_early(const struct sa *sa, const struct message *message)
{
    struct notify notify;
    return sa->bits & PEER_INTERMEDIATE && message_notify(message, NOTIFY_USE_PPK_INT, &notify);
}

static void agree_early(struct sa *sa)
{
    sa->handshake->ppk.state = PPK_INT_AGREED;
    sa->bits |= PEER_PPK_INT;
}

// RFC 8784 3: a responder that has no such key at all passes USE_PPK over.
enum fault ppk_find_any(struct exchange *x)
{
    struct notify notify;
    struct ppk_use *ppk = &x->sa->handshake->ppk;
    ppk->state = PPK_ABSENT;
    if (says_early(x->sa, &x->in) || message_notify(&x->in, NOTIFY_USE_PPK, &notify))
        ppk_wait(x, IKE_PPK_FIND);
    return OK;
}

// RFC 9867 3.1: of what is offered the responder takes one; what protects more goes first.
enum fault ppk_found_any(struct exchange *x, struct ike_answer *answer)
{
    struct sa *sa = x->sa;
    struct notify notify;
    if (!answer->found) return OK;
    if (sa->conn->ppk_int != PPK_INT_NEVER && says_early(sa, &x->in))
        agree_early(sa);
    else if (sa->conn->ppk_int != PPK_INT_ONLY && message_notify(&x->in, NOTIFY_USE_PPK, &notify))
        sa->handshake->ppk.state = PPK_AGREED;
    return OK;
}

void ppk_agree_write(const struct sa *sa, struct draft *draft)
{
    uint8_t state = sa->handshake->ppk.state;
    if (state == PPK_INT_AGREED) draft_notify(draft, NOTIFY_USE_PPK_INT, BYTES_NONE);
    if (state == PPK_AGREED) draft_notify(draft, NOTIFY_USE_PPK, BYTES_NONE);
}

// Does the responder want one, too? RFC 8784 3: else it is done without, or not at all.
enum fault ppk_agree(struct exchange *x)
{
    struct notify notify;
    struct sa *sa = x->sa;
    struct ppk_use *ppk = &sa->handshake->ppk;
    if (ppk->state != PPK_OFFERED) return OK;
    bool early = sa->conn->ppk_int != PPK_INT_NEVER && says_early(sa, &x->in);
    bool late = sa->conn->ppk_int != PPK_INT_ONLY &&
                message_notify(&x->in, NOTIFY_USE_PPK, &notify);
    if (early && late) return FAULT_PPK_BOTH;
    ppk->state = late ? PPK_AGREED : PPK_ABSENT;
    if (early) agree_early(sa);
    if (!early && sa->conn->ppk_rekey == PPK_REKEY_REQUIRED)
        return exchange_why(x, FAULT_PPK_REQUIRED,
                            "it does not answer USE_PPK_INT, which ppk_rekey needs");
    if (early || late || !sa->conn->ppk_required) return OK;
    return exchange_why(x, FAULT_PPK_REQUIRED, "it does not answer USE_PPK%s",
                        sa->conn->ppk_int == PPK_INT_ONLY ? "_INT" : "");
}

// --- mixing

static void ppk_mix(struct exchange *x, struct bytes id)
{
    const struct sa *sa = x->sa;
    struct ike_operation *operation = ppk_wait(x, IKE_PPK_MIX);
    operation->ppk.count = 1;
    operation->ppk.names[0] = id;
    operation->ppk.keys[0] = sk_d(sa);
    operation->ppk.keys[1] = secret_bytes(&sa->handshake->sk_pi);
    operation->ppk.keys[2] = secret_bytes(&sa->handshake->sk_pr);
}

void ppk_used(struct sa *sa, struct bytes name)
{
    sa->bits |= PPK_USED;
    mem_drop(&sa->ppk_name);
    sa->ppk_name = mem_copy(name);
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
static enum fault ppk_take(struct exchange *x, const struct secret *mixed, struct bytes name)
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
    ppk_used(sa, name);
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
    if (sa->handshake->ppk.state == PPK_AGREED) ppk_mix(x, ppk_first(sa));
    return OK;
}

enum fault ppk_ask_mixed(struct exchange *x, struct ike_answer *answer)
{
    if (!answer->found)
        return exchange_why(x, FAULT_PPK_MISSING, "the ppk secret %s was unloaded meanwhile",
                            ppk_text(x->sa, ppk_first(x->sa)));
    return ppk_take(x, &answer->shared, ppk_first(x->sa));
}

void ppk_write(struct sa *sa, struct draft *draft)
{
    uint8_t space[IDENTITY_SIZE_MAX + 1];
    struct wr out = wr_over(space, sizeof space);
    struct ppk_use *ppk = &sa->handshake->ppk;
    if (ppk->state != PPK_MIXED) return;
    ppk->is_named = true;
    wr_u8(&out, PPK_ID_FIXED);
    wr_bytes(&out, sa->ppk_name);
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
                            ppk_text(sa, sa->ppk_name));
    keys_swap(sa);
    ppk->state = PPK_ABSENT;
    sa->bits &= ~(uint32_t)PPK_USED;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK,
           "the peer has no post-quantum pre-shared key with the id %s; both go on without",
           ppk_text(sa, sa->ppk_name));
    mem_drop(&sa->ppk_name);
    return OK;
}

// --- answer

// RFC 8784 3: without the key that the peer names, its proof without a key counts, if it gave one
// and we do not insist.
static enum fault ppk_do_without(struct exchange *x)
{
    const struct sa *sa = x->sa;
    struct notify notify;
    sa->handshake->ppk.state = PPK_ABSENT;
    if (sa->conn->ppk_required || !message_notify(&x->in, NOTIFY_NO_PPK_AUTH, &notify))
        return exchange_why(x, FAULT_PPK_MISSING, "the peer names %s", ppk_text(x->sa, x->ppk_id));
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK,
           "there is no post-quantum pre-shared key %s for this peer; both go on without",
           ppk_text(x->sa, x->ppk_id));
    x->auth_data = notify.data;
    return OK;
}

enum fault ppk_choose(struct exchange *x)
{
    const struct sa *sa = x->sa;
    struct notify notify;
    uint8_t state = sa->handshake->ppk.state;
    // RFC 8784 3: a resumed session has it in its SK_d, or the ticket would not have been taken.
    if (is_resumed(sa)) return OK;
    if (state == PPK_INT_AGREED || state == PPK_INT_DONE) return ppk_int_check(x);
    if (sa->conn->ppk_rekey == PPK_REKEY_REQUIRED)
        return exchange_why(x, FAULT_PPK_REQUIRED,
                            "USE_PPK_INT, which ppk_rekey needs, was not agreed on");
    if (state != PPK_AGREED)
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
    if (!readable || !ppk_allowed(sa->conn, id) || sa->conn->ppk_int == PPK_INT_ONLY)
        return ppk_do_without(x);
    ppk_mix(x, x->ppk_id);
    return OK;
}

enum fault ppk_chosen(struct exchange *x, struct ike_answer *answer)
{
    if (!answer->found) return ppk_do_without(x);
    TRY(ppk_take(x, &answer->shared, x->ppk_id));
    report(x->sa->ike, ABOUT_SA(x->sa), IKE_DETAIL, OK,
           "the post-quantum pre-shared key %s is mixed in", ppk_text(x->sa, x->ppk_id));
    return OK;
}

void ppk_answer(const struct sa *sa, struct draft *draft)
{
    if (sa->handshake->ppk.state == PPK_MIXED) draft_notify(draft, NOTIFY_PPK_IDENTITY, BYTES_NONE);
}
