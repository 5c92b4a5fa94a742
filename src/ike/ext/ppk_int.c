// SPDX-License-Identifier: Apache-2.0
// Post-quantum pre-shared keys in IKE_INTERMEDIATE and in CREATE_CHILD_SA (RFC 9867). Unlike with RFC
// 8784 all keys of the IKE SA hold the key before anybody shows who it is, and a new key can be taken
// in without a new IKE SA.
//
//     HDR, SAi1, KEi, Ni, N(INTERMEDIATE_EXCHANGE_SUPPORTED), N(USE_PPK_INT)  -->
//                   <--  HDR, SAr1, KEr, Nr, N(INTERMEDIATE_EXCHANGE_SUPPORTED), N(USE_PPK_INT)
//     HDR, SK{[KEi(n),] N(PPK_IDENTITY_KEY)(id, proof) …}  -->      the last one before IKE_AUTH
//                   <--  HDR, SK{[KEr(n),] [N(PPK_IDENTITY)(id)]}
//
//     HDR, SK{SA, Ni …, N(PPK_IDENTITY_KEY)(id, proof) …}  -->      CREATE_CHILD_SA
//                   <--  HDR, SK{SA, Nr …, [N(PPK_IDENTITY)(id)]}
//
// A proof is the beginning of prf(PPK, nonces | SPIs). The keys role makes and compares them, and
// mixes; what it takes is what it has compared, so that a key which is replaced meanwhile is missed
// instead of taken for the other.
#include "ike/internal.h"

enum { PPK_ID_FIXED = 2 };

bool ppk_int_is_offered(const struct sa *sa)
{
    return sa->handshake->ppk.state == PPK_OFFERED && sa->conn->ppk_int != PPK_INT_NEVER;
}

bool ppk_int_is_due(const struct sa *sa)
{
    return sa->handshake->ppk.state == PPK_INT_AGREED;
}

// --- what both uses share

// RFC 9867 3.1: Ni | Nr | SPIi | SPIr. RFC 9867 3.2: in CREATE_CHILD_SA Ni of the request | SPIi |
// SPIr of the IKE SA in which it is sent.
static struct bytes octets_of(struct exchange *x)
{
    const struct sa *sa = x->sa;
    const struct handshake *handshake = sa->handshake;
    uint8_t space[2 * NONCE_SIZE_MAX + 16];
    struct wr out = wr_over(space, sizeof space);
    if (handshake) {
        wr_bytes(&out, bytes_of(handshake->ni, handshake->ni_size));
        wr_bytes(&out, bytes_of(handshake->nr, handshake->nr_size));
    } else {
        wr_bytes(&out, exchange_ni(x));
    }
    wr_u64(&out, sa->spi_i);
    wr_u64(&out, sa->spi_r);
    return arena_copy(&x->arena, wr_done(&out));
}

static struct ike_operation *names_wait(struct exchange *x, enum ike_ppk_kind kind)
{
    struct ike_operation *operation = ppk_wait(x, kind);
    operation->ppk.count = x->ppks->count;
    memcpy(operation->ppk.names, x->ppks->at, sizeof x->ppks->at);
    operation->ppk.octets = octets_of(x);
    return operation;
}

static void names_mix(struct exchange *x, struct bytes d)
{
    struct ike_operation *operation = names_wait(x, IKE_PPK_MIX);
    memcpy(operation->ppk.proofs, x->ppks->proofs, sizeof x->ppks->proofs);
    operation->ppk.keys[0] = d;
}

static void names_begin(struct exchange *x)
{
    x->ppks = arena_new(&x->arena, sizeof *x->ppks);
    x->ppks->count = ppk_names_of(x->sa->conn, x->ppks->at);
    // A gateway for many peers knows by the first time which one's it is.
    if (!x->ppks->count && x->sa->ppk_name.size) x->ppks->at[x->ppks->count++] = x->sa->ppk_name;
}

static const char *first_text(const struct exchange *x)
{
    return x->ppks && x->ppks->count ? ppk_text(x->sa, x->ppks->at[0]) : "none";
}

// Those whose keys are there, with their proofs.
enum fault ppk_names_confirmed(struct exchange *x, struct ike_answer *answer)
{
    struct ppk_names *ppks = x->ppks;
    struct rd in = rd_over(answer->data);
    uint8_t count = 0;
    for (unsigned i = 0; i < ppks->count; i++) {
        struct bytes proof = rd_bytes(&in, IKE_PPK_PROOF_SIZE);
        if (!(answer->names >> i & 1)) continue;
        ppks->at[count] = ppks->at[i];
        ppks->proofs[count++] = arena_copy(&x->arena, proof);
    }
    TRY(rd_end(&in));
    bool must = x->sa->handshake ? x->sa->conn->ppk_required
                                 : x->sa->conn->ppk_rekey == PPK_REKEY_REQUIRED;
    if (!count && must)
        return exchange_why(x, FAULT_PPK_MISSING, "no ppk secret has the id %s any more",
                            first_text(x));
    ppks->count = count;
    return OK;
}

// RFC 9867 3.1: type and name as in PPK_IDENTITY, then the proof.
void ppk_names_write(const struct exchange *x, struct draft *draft)
{
    uint8_t space[IDENTITY_SIZE_MAX + 1 + IKE_PPK_PROOF_SIZE];
    for (unsigned i = 0; x->ppks && i < x->ppks->count; i++) {
        struct wr out = wr_over(space, sizeof space);
        wr_u8(&out, PPK_ID_FIXED);
        wr_bytes(&out, x->ppks->at[i]);
        wr_bytes(&out, x->ppks->proofs[i]);
        draft_notify(draft, NOTIFY_PPK_IDENTITY_KEY, wr_done(&out));
    }
}

void ppk_taken_write(const struct exchange *x, struct draft *draft)
{
    uint8_t space[IDENTITY_SIZE_MAX + 1];
    struct wr out = wr_over(space, sizeof space);
    if (!x->ppk_taken.size) return;
    wr_u8(&out, PPK_ID_FIXED);
    wr_bytes(&out, x->ppk_taken);
    draft_notify(draft, NOTIFY_PPK_IDENTITY, wr_done(&out));
}

// What the peer names: RFC 8784 5.1: type 1 is for whatever both ends have agreed on; we have agreed
// on nothing.
static enum fault name_read(struct bytes data, size_t proof_size, struct bytes *name,
                            struct bytes *proof)
{
    struct rd in = rd_over(data);
    uint8_t type = rd_u8(&in);
    if (in.left <= proof_size || in.left - proof_size > IDENTITY_SIZE_MAX)
        return FAULT_NOTIFY_DATA_SIZE;
    *name = rd_bytes(&in, in.left - proof_size);
    *proof = rd_bytes(&in, in.left);
    if (type != PPK_ID_FIXED) *name = BYTES_NONE;
    return OK;
}

// RFC 9867 3.1: there may be several. Those that the connection, as far as it is known, is for go
// first, then the others where `others` says so; more than a connection can have are not looked at.
static enum fault names_read(struct exchange *x, bool others)
{
    struct bytes name, proof;
    struct notify notify;
    x->ppks = arena_new(&x->arena, sizeof *x->ppks);
    for (unsigned pass = 0; pass < (others ? 2 : 1); pass++)
        for (size_t place = 0; message_notify_next(&x->in, &place, &notify);) {
            if (notify.type != NOTIFY_PPK_IDENTITY_KEY) continue;
            TRY(name_read(notify.data, IKE_PPK_PROOF_SIZE, &name, &proof));
            bool allowed = ppk_allowed(x->sa->conn, name);
            if (!name.size || allowed == (pass == 1) || x->ppks->count == IKE_PPK_NAMES_MAX)
                continue;
            x->ppks->at[x->ppks->count] = arena_copy(&x->arena, name);
            x->ppks->proofs[x->ppks->count++] = arena_copy(&x->arena, proof);
        }
    return OK;
}

// A wrong key shows here, while with RFC 8784 it is a wrong proof of who the peer is.
static void differing_report(const struct exchange *x, uint16_t differing)
{
    const struct sa *sa = x->sa;
    for (unsigned i = 0; i < x->ppks->count; i++)
        if (differing >> i & 1)
            report(sa->ike, ABOUT_SA(sa), IKE_ERROR, FAULT_PPK_DIFFERS, "%s: %s",
                   ppk_text(sa, x->ppks->at[i]), fault_sentence(FAULT_PPK_DIFFERS));
}

static enum fault taken_as_chosen(struct exchange *x, const struct ike_answer *answer)
{
    if (answer->chosen >= x->ppks->count || answer->shared.size != sk_d(x->sa).size)
        return FAULT_PPK_MISSING;
    x->ppk_taken = x->ppks->at[answer->chosen];
    return OK;
}

// RFC 9867 3.1: the responder's choice is one of those that it was given.
static enum fault choice_read(struct exchange *x, bool *is_there)
{
    struct notify notify;
    struct bytes name, none;
    *is_there = message_notify(&x->in, NOTIFY_PPK_IDENTITY, &notify);
    if (!*is_there) return OK;
    TRY(name_read(notify.data, 0, &name, &none));
    for (unsigned i = 0; x->ppks && i < x->ppks->count; i++) {
        if (!bytes_equal(x->ppks->at[i], name)) continue;
        x->ppks->at[0] = x->ppks->at[i];
        x->ppks->proofs[0] = x->ppks->proofs[i];
        x->ppks->count = 1;
        return OK;
    }
    return exchange_why(x, FAULT_PPK_NOT_OURS, "it is %s",
                        name.size ? ppk_text(x->sa, name) : "of another kind");
}

static enum fault replaced(struct exchange *x)
{
    return exchange_why(x, FAULT_PPK_MISSING, "the ppk secret %s was unloaded or replaced meanwhile",
                        first_text(x));
}

// --- IKE_INTERMEDIATE

// The one after which no additional key exchange is left.
static bool is_last(const struct exchange *x)
{
    return ppk_int_is_due(x->sa) && !round_after(&x->suite, x->round);
}

static struct bytes next_d(const struct exchange *x)
{
    return x->next_keys.size ? bytes_of(x->next_keys.at, sk_d(x->sa).size) : sk_d(x->sa);
}

// RFC 9867 3.1: SKEYSEED' = prf+(PPK, SK_d), and all keys anew out of it.
static enum fault keys_mixed(struct exchange *x, struct ike_answer *answer)
{
    const struct handshake *handshake = x->sa->handshake;
    SECRET(all);
    TRY(taken_as_chosen(x, answer));
    TRY(keymat_expand(x->sa, bytes_of(handshake->ni, handshake->ni_size),
                      bytes_of(handshake->nr, handshake->nr_size), &answer->shared, &all));
    secret_move(&x->next_keys, &all);
    ppk_used(x->sa, x->ppk_taken);
    x->sa->bits |= PPK_EARLY;
    report(x->sa->ike, ABOUT_SA(x->sa), IKE_DETAIL, OK,
           "the post-quantum pre-shared key %s is mixed in, before anybody shows who it is",
           ppk_text(x->sa, x->ppk_taken));
    return OK;
}

enum fault ppk_int_confirm(struct exchange *x)
{
    if (!is_last(x)) return OK;
    names_begin(x);
    names_wait(x, IKE_PPK_CONFIRM);
    return OK;
}

enum fault ppk_int_agree(struct exchange *x)
{
    const struct sa *sa = x->sa;
    bool is_there;
    if (!is_last(x)) return OK;
    sa->handshake->ppk.state = PPK_INT_DONE;
    TRY(choice_read(x, &is_there));
    if (is_there) {
        names_mix(x, next_d(x));
        return OK;
    }
    if (sa->conn->ppk_required)
        return exchange_why(x, FAULT_PPK_REQUIRED, "it has no key %s, or another one of that name",
                            first_text(x));
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK,
           "the peer takes no post-quantum pre-shared key %s: it has none, or another one of that "
           "name; both go on without", first_text(x));
    return OK;
}

enum fault ppk_int_mixed(struct exchange *x, struct ike_answer *answer)
{
    return answer->found ? keys_mixed(x, answer) : replaced(x);
}

// RFC 9867 3.1: nobody knows yet who the peer is, so any key counts; whether it is one of the
// connection is seen with IKE_AUTH.
enum fault ppk_int_choose(struct exchange *x)
{
    if (!is_last(x)) return OK;
    TRY(names_read(x, true));
    if (x->ppks->count)
        names_mix(x, next_d(x));
    else if (!x->round)
        x->sa->handshake->ppk.state = PPK_INT_DONE;
    return OK;
}

enum fault ppk_int_chosen(struct exchange *x, struct ike_answer *answer)
{
    struct ppk_use *ppk = &x->sa->handshake->ppk;
    ppk->state = PPK_INT_DONE;
    if (answer->found) return keys_mixed(x, answer);
    ppk->differs = answer->names;
    differing_report(x, answer->names);
    if (!x->sa->conn->ppk_required)
        report(x->sa->ike, ABOUT_SA(x->sa), IKE_INFO, OK,
               "there is no post-quantum pre-shared key %s for this peer; both go on without",
               first_text(x));
    return OK;
}

// RFC 9867 3.1: with IKE_AUTH it is known whose key it would have to be.
enum fault ppk_int_check(struct exchange *x)
{
    const struct sa *sa = x->sa;
    if (sa->bits & PPK_USED && !ppk_allowed(sa->conn, sa->ppk_name))
        return exchange_why(x, FAULT_PPK_OTHER, "it is %s", ppk_text(sa, sa->ppk_name));
    if (sa->bits & PPK_USED || !sa->conn->ppk_required) return OK;
    if (sa->handshake->ppk.differs) return FAULT_PPK_DIFFERS;
    return exchange_why(x, FAULT_PPK_REQUIRED, "it names no key that is here");
}

// --- CREATE_CHILD_SA

static bool insists(const struct exchange *x)
{
    return x->sa->conn->ppk_rekey == PPK_REKEY_REQUIRED;
}

// Before each request that makes a child or an IKE SA; its nonce is in the proof.
enum fault ppk_rekey_confirm(struct exchange *x)
{
    const struct sa *sa = x->sa;
    exchange_nonce(x, true);
    x->ppks = NULL;
    if (sa->conn->ppk_rekey == PPK_REKEY_NO || !(sa->bits & PEER_PPK_INT)) return OK;
    names_begin(x);
    if (x->ppks->count)
        names_wait(x, IKE_PPK_CONFIRM);
    else if (insists(x))
        return exchange_why(x, FAULT_PPK_MISSING, "ppk_rekey needs a ppk_id that names one key");
    return OK;
}

// Where none was taken a child ends at once; an IKE SA is closed when it is there.
enum fault ppk_rekey_agree(struct exchange *x)
{
    bool is_there;
    TRY(choice_read(x, &is_there));
    if (is_there)
        names_mix(x, sk_d(x->sa));
    else if (insists(x) && x->child)
        return exchange_why(x, FAULT_PPK_REKEY, "it takes none of ours");
    return OK;
}

static enum fault d_mixed(struct exchange *x, struct ike_answer *answer)
{
    TRY(taken_as_chosen(x, answer));
    secret_move(&x->ppk_d, &answer->shared);
    report(x->sa->ike, ABOUT_SA(x->sa), IKE_DETAIL, OK,
           "the post-quantum pre-shared key %s is mixed into what is made",
           ppk_text(x->sa, x->ppk_taken));
    return OK;
}

enum fault ppk_rekey_mixed(struct exchange *x, struct ike_answer *answer)
{
    return answer->found ? d_mixed(x, answer) : replaced(x);
}

void ppk_rekey_close(const struct exchange *x, struct sa *fresh)
{
    if (!insists(x) || x->ppk_d.size) return;
    report(fresh->ike, ABOUT_SA(fresh), IKE_ERROR, FAULT_PPK_REKEY, "IKE SA is closed: %s",
           fault_sentence(FAULT_PPK_REKEY));
    task_add(fresh, TASK_DELETE_IKE);
}

enum fault ppk_rekey_choose(struct exchange *x)
{
    if (x->sa->bits & PEER_PPK_INT) TRY(names_read(x, false));
    if (x->ppks && x->ppks->count)
        names_mix(x, sk_d(x->sa));
    else if (insists(x))
        return exchange_why(x, FAULT_PPK_REKEY, "it names no key of the connection");
    return OK;
}

enum fault ppk_rekey_chosen(struct exchange *x, struct ike_answer *answer)
{
    if (answer->found) return d_mixed(x, answer);
    differing_report(x, answer->names);
    return insists(x) ? FAULT_PPK_REKEY : OK;
}
