// SPDX-License-Identifier: Apache-2.0
// Tickets (RFC 5723 6) as the gateway makes them: all that it needs to go on with an IKE SA, sealed
// so that only it can read them, and kept by the client.
//
//     ticket = version (1) | day (4) | IV (8) | sealed { expiry, number, SPI, reauthentication,
//     suite,
//              SK_d, both identities, connection, how the peer was authenticated } | tag (16)
//
// The key of a day is derived from a secret that the daemon keeps for as long as the clock runs
// that the expiry is counted by. A number that was used, or whose SA was closed, is remembered
// until then.
#include "ike/internal.h"
#include <stdio.h>

enum {
    VERSION = 1,
    OUTER_SIZE = 5,
    KEY_SIZE = 36,
    SECRET_SIZE = 32,
    DAY_SECONDS = 24 * 3600,
    LIFETIME_SECONDS_MAX = 7 * DAY_SECONDS,
    NAME_MAX = 255,
    SPENT_MAX = 65536
};

static uint32_t day_of(const struct ike *ike)
{
    return (uint32_t)(ike->now / nsec_seconds(DAY_SECONDS));
}

static enum fault day_key(struct ike *ike, uint32_t day, struct secret *out)
{
    uint8_t number[4];
    struct wr text = wr_over(number, sizeof number);
    wr_u32(&text, day);
    if (!ike->ticket_secret.at) {
        secret_new(&ike->ticket_secret, SECRET_SIZE);
        rng_fill(ike->rng, ike->ticket_secret.at, SECRET_SIZE);
    }
    return prf_plus(PRF_HMAC_SHA2_256, secret_bytes(&ike->ticket_secret),
                    PIECES(BYTES("cygnet ticket"), wr_done(&text)), KEY_SIZE, out);
}

static struct sealer sealer_of(const struct secret *key)
{
    return (struct sealer){.encr = ENCR_AES_GCM_16, .key_bits = 256, .encr_key = secret_bytes(key)};
}

void ticket_free(struct ticket *ticket)
{
    if (!ticket) return;
    mem_drop(&ticket->opaque);
    secret_wipe(&ticket->d);
    identity_free(&ticket->local);
    identity_free(&ticket->remote);
    free(ticket);
}

// --- numbers that do not count any more

static void mark_free(struct ike *ike, struct ticket_mark *mark)
{
    map_remove(&ike->tickets_spent, bytes_of(mark->number, sizeof mark->number));
    list_remove(&mark->link);
    ike->tickets_spent_count--;
    free(mark);
}

static bool is_spent(struct ike *ike, const uint8_t number[TICKET_NUMBER_SIZE])
{
    return map_get(&ike->tickets_spent, bytes_of(number, TICKET_NUMBER_SIZE)) != NULL;
}

// When there are too many the oldest is forgotten.
void ticket_spend(struct ike *ike, const uint8_t number[TICKET_NUMBER_SIZE], nsec expires)
{
    LIST_EACH (struct ticket_mark, link, old, &ike->tickets_spent_list) {
        if (old->expires > ike->now && ike->tickets_spent_count < SPENT_MAX) break;
        mark_free(ike, old);
    }
    if (expires <= ike->now || is_spent(ike, number)) return;
    struct ticket_mark *mark = NEW(struct ticket_mark);
    memcpy(mark->number, number, sizeof mark->number);
    mark->expires = expires;
    map_put(&ike->tickets_spent, bytes_of(mark->number, sizeof mark->number), mark);
    list_append(&ike->tickets_spent_list, &mark->link);
    ike->tickets_spent_count++;
}

void tickets_free(struct ike *ike)
{
    LIST_EACH (struct ticket_mark, link, mark, &ike->tickets_spent_list) mark_free(ike, mark);
    secret_wipe(&ike->ticket_secret);
}

// --- writing

static void suite_put(struct wr *out, const struct suite *suite)
{
    wr_u16(out, suite->encr);
    wr_u16(out, suite->key_bits);
    wr_u16(out, suite->integ);
    wr_u16(out, suite->prf);
    wr_u16(out, suite->ke);
    wr_u16(out, suite->nones);
    for (unsigned i = 0; i < SUITE_ADDKE_MAX; i++) wr_u16(out, suite->addke[i]);
}

static void piece_put(struct wr *out, struct bytes piece)
{
    wr_u16(out, (uint16_t)piece.size);
    wr_bytes(out, piece);
}

static void identity_put(struct wr *out, const struct identity *id)
{
    wr_u8(out, id->type);
    piece_put(out, id->bytes);
}

// RFC 5723 6.2: never longer than the IKE SA, nor than the time until the next authentication.
static nsec expiry_of(const struct sa *sa)
{
    const struct conn *conn = sa->conn;
    nsec now = sa->ike->now, at = now + nsec_seconds(LIFETIME_SECONDS_MAX);
    bool runs = sa->state == ESTABLISHED; // else its timers begin with this answer
    nsec ends[] = {
        sa->timers[TIMER_REAUTH],
        sa->timers[TIMER_EXPIRE],
        !runs && conn->reauth_time ? now + conn->reauth_time : NSEC_NEVER,
        !runs && conn->rekey_time ? now + conn->rekey_time + conn->over_time : NSEC_NEVER,
    };
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends[i] < at) at = ends[i];
    return at;
}

// When the peer must authenticate again, which resuming does not put off.
static nsec reauth_of(const struct sa *sa)
{
    bool known = sa->timers[TIMER_REAUTH] != NSEC_NEVER || !sa->conn->reauth_time;
    return known ? sa->timers[TIMER_REAUTH] : sa->ike->now + sa->conn->reauth_time;
}

static void content_put(const struct sa *sa, const struct ticket_mark *mark, struct wr *out)
{
    wr_u64(out, (uint64_t)mark->expires);
    wr_bytes(out, bytes_of(mark->number, sizeof mark->number));
    wr_u64(out, sa_own_spi(sa));
    wr_u64(out, (uint64_t)reauth_of(sa));
    wr_u8(out, (uint8_t)((sa->bits & PPK_USED ? 1 : 0) | (sa->bits & PPK_EARLY ? 2 : 0) |
                         (sa->bits & PEER_PPK_INT ? 4 : 0)));
    suite_put(out, &sa->suite);
    piece_put(out, sk_d(sa));
    identity_put(out, &sa->local_id);
    identity_put(out, &sa->remote_id);
    piece_put(out, bytes_of_text(sa->conn->name));
    piece_put(out, bytes_of_text(sa->peer_scheme));
}

static enum fault ticket_seal(struct sa *sa, const struct ticket_mark *mark, struct wr *out)
{
    struct ike *ike = sa->ike;
    SECRET(key);
    SECRET(plain);
    uint8_t iv[8];
    secret_new(&plain, TICKET_SIZE_MAX);
    struct wr content = wr_over(plain.at, plain.size);
    content_put(sa, mark, &content);
    if (content.failed) return FAULT_NO_ROOM;
    TRY(day_key(ike, day_of(ike), &key));
    rng_fill(ike->rng, iv, sizeof iv);
    struct sealer sealer = sealer_of(&key);
    struct wr outer = *out;
    wr_u8(out, VERSION);
    wr_u32(out, day_of(ike));
    struct bytes associated = bytes_of(outer.at + outer.size, OUTER_SIZE);
    size_t size = sizeof iv + content.size + sealer_icv_size(&sealer);
    uint8_t *space = arena_new(&ike->arena, size);
    TRY(sealer_seal(&sealer, associated, BYTES_ARRAY(iv), wr_done(&content), space));
    wr_bytes(out, bytes_of(space, size));
    return out->failed ? FAULT_NO_ROOM : OK;
}

// RFC 5723 4.1: whoever asks for a ticket gets one, or is told that there is none.
void ticket_answer(struct exchange *x, struct draft *draft)
{
    struct sa *sa = x->sa;
    struct ike *ike = sa->ike;
    struct notify notify;
    if (!message_notify(&x->in, NOTIFY_TICKET_REQUEST, &notify)) return;
    struct ticket_mark *mark = NEW(struct ticket_mark);
    uint8_t space[4 + TICKET_SIZE_MAX];
    struct wr out = wr_over(space, sizeof space);
    mark->expires = expiry_of(sa);
    rng_fill(ike->rng, mark->number, sizeof mark->number);
    wr_u32(&out, (uint32_t)((mark->expires - ike->now) / NSEC_PER_SECOND));
    // RFC 7619 2: nobody comes back as somebody whom nobody knows.
    bool given = sa->conn->resumption && !(sa->bits & PEER_UNKNOWN) && mark->expires > ike->now &&
                 !ticket_seal(sa, mark, &out);
    draft_notify(draft, given ? NOTIFY_TICKET_LT_OPAQUE : NOTIFY_TICKET_NACK,
                 given ? wr_done(&out) : BYTES_NONE);
    if (!given) {
        free(mark);
        return;
    }
    ticket_withdraw(sa); // only the newest counts
    sa->ticket_given = mark;
}

void ticket_withdraw(struct sa *sa)
{
    if (!sa->ticket_given) return;
    ticket_spend(sa->ike, sa->ticket_given->number, sa->ticket_given->expires);
    free(sa->ticket_given);
    sa->ticket_given = NULL;
}

// --- reading

static void suite_get(struct rd *in, struct suite *suite)
{
    suite->encr = rd_u16(in);
    suite->key_bits = rd_u16(in);
    suite->integ = rd_u16(in);
    suite->prf = rd_u16(in);
    suite->ke = rd_u16(in);
    suite->nones = rd_u16(in);
    suite->protocol = PROTOCOL_IKE;
    suite->proposal_number = 1;
    for (unsigned i = 0; i < SUITE_ADDKE_MAX; i++) suite->addke[i] = rd_u16(in);
}

static struct bytes piece_get(struct rd *in)
{
    return rd_bytes(in, rd_u16(in));
}

static struct identity identity_get(struct rd *in)
{
    struct identity id = {.type = rd_u8(in)};
    id.bytes = piece_get(in);
    return identity_copy(&id);
}

static enum fault content_get(struct ike *ike, struct bytes plain, struct ticket *out)
{
    struct rd in = rd_over(plain);
    out->expires = (nsec)rd_u64(&in);
    rd_copy(&in, out->number, sizeof out->number);
    out->spi = rd_u64(&in);
    out->reauth_at = (nsec)rd_u64(&in);
    uint8_t ppk = rd_u8(&in);
    out->ppk = ppk & 1;
    out->ppk_early = ppk & 2;
    out->peer_ppk_int = ppk & 4;
    suite_get(&in, &out->suite);
    secret_set(&out->d, piece_get(&in));
    out->local = identity_get(&in);
    out->remote = identity_get(&in);
    struct bytes name = piece_get(&in), scheme = piece_get(&in);
    TRY(rd_end(&in));
    out->conn = arena_text(&ike->arena, name);
    snprintf(out->scheme, sizeof out->scheme, "%.*s", (int)scheme.size, (const char *)scheme.at);
    return OK;
}

static enum fault content_open(struct ike *ike, struct bytes opaque, struct ticket *out)
{
    SECRET(key);
    SECRET(plain);
    size_t size = 0;
    struct rd in = rd_over(opaque);
    uint8_t version = rd_u8(&in);
    uint32_t day = rd_u32(&in), today = day_of(ike);
    bool known = version == VERSION && day <= today &&
                 today - day <= LIFETIME_SECONDS_MAX / DAY_SECONDS &&
                 opaque.size <= TICKET_SIZE_MAX;
    if (!known) return FAULT_TICKET_UNREADABLE;
    TRY(day_key(ike, day, &key));
    struct sealer sealer = sealer_of(&key);
    secret_new(&plain, opaque.size);
    if (sealer_open(&sealer, bytes_of(opaque.at, OUTER_SIZE), rd_bytes(&in, in.left), plain.at,
                    &size) != OK)
        return FAULT_TICKET_UNREADABLE;
    return content_get(ike, bytes_of(plain.at, size), out);
}

// A ticket of ours that still counts; *out is the caller's.
enum fault ticket_open(struct ike *ike, struct bytes opaque, struct ticket **out)
{
    struct ticket *ticket = NEW(struct ticket);
    enum fault fault = content_open(ike, opaque, ticket);
    if (!fault && ticket->expires <= ike->now) fault = FAULT_TICKET_EXPIRED;
    if (!fault && is_spent(ike, ticket->number)) fault = FAULT_TICKET_SPENT;
    if (fault)
        ticket_free(ticket);
    else
        *out = ticket;
    return fault;
}
