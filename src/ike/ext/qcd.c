// SPDX-License-Identifier: Apache-2.0
// Quick crash detection (RFC 6290): each end gives the other a token that only it can make anew,
// even after it has lost all SAs. Who asks for an IKE SA that is not there gets the token without
// protection, and by it knows at once that the SA is gone:
//
//     HDR, SK{IDi, AUTH, N(QCD_TOKEN), …}  -->
//                                          <--  HDR, SK{IDr, AUTH, N(QCD_TOKEN), …}
//     … the responder restarts …
//     HDR, SK{}  -->
//                                          <--  HDR, N(INVALID_IKE_SPI), N(QCD_TOKEN)
//
//     token = HMAC-SHA-256(secret of the host, SPIi | SPIr)
#include "ike/internal.h"

enum {
    TOKEN_SIZE = 32,
    TOKEN_TAKEN_MIN = 16, // RFC 6290 5
    TOKEN_TAKEN_MAX = 128,
    TOKENS_MAX = 4, // RFC 6290 4.5: so many may be presented at once
};

// --- the maker

static bool token_make(const struct ike *ike, uint64_t spi_i, uint64_t spi_r,
                       uint8_t out[TOKEN_SIZE])
{
    SECRET(mac);
    uint8_t spis[16];
    struct wr of = wr_over(spis, sizeof spis);
    wr_u64(&of, spi_i);
    wr_u64(&of, spi_r);
    if (!ike->qcd_secret.at ||
        prf(PRF_HMAC_SHA2_256, secret_bytes(&ike->qcd_secret), PIECES(wr_done(&of)), &mac) != OK)
        return false;
    memcpy(out, mac.at, TOKEN_SIZE);
    return true;
}

static void token_write(const struct ike *ike, uint64_t spi_i, uint64_t spi_r, struct draft *draft)
{
    uint8_t token[TOKEN_SIZE];
    if (token_make(ike, spi_i, spi_r, token))
        draft_notify_spi(draft, PROTOCOL_IKE, BYTES_NONE, NOTIFY_QUICK_CRASH_DETECTION,
                         BYTES_ARRAY(token));
}

void qcd_offer(const struct sa *sa, struct draft *draft)
{
    token_write(sa->ike, sa->spi_i, sa->spi_r, draft);
}

// The answer to a protected request for an IKE SA that is not there. RFC 6290 9.2: the token of one
// that is there would let anybody end it, so neither SPI may be one of ours, whatever the flags
// say.
bool qcd_present(struct ike *ike, const struct message *message)
{
    const struct ike_header header = message->header;
    bool is_sealed = header.next == PAYLOAD_SK || header.next == PAYLOAD_SKF;
    if (!ike->qcd_secret.at || !is_sealed || header.flags & FLAG_RESPONSE || !header.spi_i ||
        !header.spi_r || sa_by_spi(ike, header.spi_i) || sa_by_spi(ike, header.spi_r))
        return false;
    // RFC 6290 4.5: SPIs and message ID are those of the request.
    struct draft draft;
    draft_begin_answer_clear(ike, &draft, message);
    draft_notify(&draft, NOTIFY_INVALID_IKE_SPI, BYTES_NONE);
    token_write(ike, header.spi_i, header.spi_r, &draft);
    struct packets packets = draft_finish_clear(&draft);
    packets_send(ike, NULL, &message->path, &packets);
    packets_free(ike, &packets);
    return true;
}

// RFC 6290 4.3: who began the rekeying gives the new token by itself, once the SA is there.
static enum fault qcd_ask(struct exchange *x)
{
    struct draft draft;
    draft_begin(x->sa->ike, &draft);
    qcd_offer(x->sa, &draft);
    request(x, &draft);
    return OK;
}

static enum fault qcd_conclude(struct exchange *x)
{
    (void)x;
    return OK;
}

static const struct step qcd_ask_steps[] = {STEP(qcd_ask), END};
static const struct step qcd_conclude_steps[] = {STEP(qcd_conclude), END};
const struct plan plan_qcd = {
    .exchange = EXCHANGE_INFORMATIONAL,
    .ask = {"giving a crash token", FAILURE_STAYS, qcd_ask_steps, NULL},
    .conclude = {"giving a crash token", FAILURE_STAYS, qcd_conclude_steps, NULL},
};

void qcd_renew(struct sa *sa)
{
    if (sa->ike->qcd_secret.at) task_add(sa, TASK_QCD);
}

// --- the taker

// RFC 6290 4.4: in any protected message; the last one counts.
void qcd_take(struct sa *sa, const struct message *message)
{
    struct notify notify;
    if (!message_notify(message, NOTIFY_QUICK_CRASH_DETECTION, &notify) ||
        notify.data.size < TOKEN_TAKEN_MIN || notify.data.size > TOKEN_TAKEN_MAX)
        return;
    mem_drop(&sa->qcd_token);
    sa->qcd_token = mem_copy(notify.data);
}

static bool token_fits(const struct sa *sa, const struct payloads *payloads, bool *any)
{
    unsigned seen = 0;
    for (size_t i = 0; i < payloads->count && seen < TOKENS_MAX; i++) {
        struct notify notify;
        const struct payload *payload = &payloads->at[i];
        if (payload->type != PAYLOAD_NOTIFY || notify_read(payload->body, &notify) != OK ||
            notify.type != NOTIFY_QUICK_CRASH_DETECTION)
            continue;
        seen++;
        *any = true;
        if (sa->qcd_token.size && bytes_equal_secret(notify.data, sa->qcd_token)) return true;
    }
    return false;
}

// RFC 6290 3: from any address. The IKE SA and its children go without a word; what is to follow
// follows. False: there is no token, or a wrong one, which says nothing.
bool qcd_heed(struct sa *sa, const struct message *message)
{
    struct ike *ike = sa->ike;
    bool any = false;
    if (message->header.next != PAYLOAD_NOTIFY || sa->state < ESTABLISHED) return false;
    struct payloads *payloads = arena_new(&ike->arena, sizeof *payloads);
    struct bytes chain =
        bytes_of(message->raw.at + IKE_HEADER_SIZE, message->raw.size - IKE_HEADER_SIZE);
    if (payloads_read(message->header.next, chain, payloads, NULL) != OK) return false;
    if (token_fits(sa, payloads, &any)) {
        sa_gone(sa, FAULT_PEER_RESTARTED, NULL);
        return true;
    }
    if (any && budget_allows(ike, &ike->lines))
        report(ike, ABOUT_SA(sa), IKE_INFO, FAULT_QCD_WRONG, "%s sends %s",
               endpoint_text(ike, &message->path.remote), fault_sentence(FAULT_QCD_WRONG));
    return false;
}
