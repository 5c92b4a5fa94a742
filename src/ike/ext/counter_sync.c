// SPDX-License-Identifier: Apache-2.0
// The peer of a cluster (RFC 6311): the member that takes over may not know the last message IDs and
// sequence numbers of the one before. It asks, outside the order of messages, to go on from numbers
// that nobody has used:
//
//     member                                                              we
//     HDR(message ID 0), SK{N(IKEV2_MESSAGE_ID_SYNC)(nonce, M1, P1)
//                           [, N(IPSEC_REPLAY_COUNTER_SYNC)(delta)]}  -->
//                      <--  HDR(message ID 0), SK{N(IKEV2_MESSAGE_ID_SYNC)(nonce, P2, M2)}
//
// M: of the member's requests, P: of ours. M1 above all that was seen makes it new; what is repeated
// is passed over. A request of ours that is under way is sealed and sent again under its new number,
// since the answer to the old one may never come.
//
// We are never a member ourselves.
#include "ike/internal.h"

enum {
    NONCE = 4,
    SYNC_SIZE = NONCE + 4 + 4,
    // Nobody gets there by counting: that is a broken member, which would use the numbers up.
    ID_MAX = 0x7fffffff,
};

struct counter_sync {
    uint32_t seen;          // the highest M1
    uint64_t hash;          // of the last request …
    struct packets answer;  // … and what was answered
};

void counter_sync_free(struct sa *sa)
{
    if (!sa->sync) return;
    packets_free(sa->ike, &sa->sync->answer);
    free(sa->sync);
    sa->sync = NULL;
}

// --- agreeing

static void both_write(struct draft *draft, uint32_t bits)
{
    if (bits & PEER_SYNCS_IDS)
        draft_notify(draft, NOTIFY_IKEV2_MESSAGE_ID_SYNC_SUPPORTED, BYTES_NONE);
    if (bits & PEER_SYNCS_REPLAY)
        draft_notify(draft, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED, BYTES_NONE);
}

// RFC 6311 5: in IKE_AUTH; the responder says only what the initiator has said.
void counter_sync_offer(const struct sa *sa, struct draft *draft)
{
    if (!sa->conn->cluster_peer) return;
    both_write(draft, sa->initiator ? PEER_SYNCS_IDS | PEER_SYNCS_REPLAY : sa->bits);
}

void counter_sync_agree(struct sa *sa, const struct message *message)
{
    struct notify notify;
    if (!sa->conn->cluster_peer) return;
    if (message_notify(message, NOTIFY_IKEV2_MESSAGE_ID_SYNC_SUPPORTED, &notify))
        sa->bits |= PEER_SYNCS_IDS;
    if (message_notify(message, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED, &notify))
        sa->bits |= PEER_SYNCS_REPLAY;
}

// --- replay counters

// RFC 6311 6.4: four octets, or eight where sequence numbers are extended.
static enum fault delta_read(struct bytes data, uint64_t *delta)
{
    struct rd in = rd_over(data);
    *delta = data.size == 4 ? rd_u32(&in) : rd_u64(&in);
    return rd_end(&in) ? FAULT_NOTIFY_DATA_SIZE : OK;
}

// RFC 6311 5.2: what we send jumps forward, in all children; the data plane knows where each ends.
static void children_skip(const struct sa *sa, uint64_t delta)
{
    LIST_EACH (const struct child, link, child, &sa->children) {
        if (!(child->halves & CHILD_HAS_OUT)) continue;
        struct ike_out *out = out_new(sa->ike, IKE_OUT_SA_SKIP);
        out->sa_skip.spi = child->spi_out;
        out->sa_skip.remote = child->sa->path.remote.addr;
        out->sa_skip.delta = delta;
    }
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK,
           "the peer's cluster asks for it: sequence numbers of all children skip %llu",
           (unsigned long long)delta);
}

// RFC 6311 5: for these alone an INFORMATIONAL in its order is enough.
enum fault counter_sync_heed(struct exchange *x)
{
    struct notify notify;
    uint64_t delta;
    if (!(x->sa->bits & PEER_SYNCS_REPLAY) ||
        !message_notify(&x->in, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC, &notify))
        return OK;
    TRY(delta_read(notify.data, &delta));
    children_skip(x->sa, delta);
    return OK;
}

// --- message IDs

struct sync_request {
    uint8_t nonce[NONCE];
    uint32_t m, p;
    uint64_t delta;
    bool has_delta;
};

// RFC 6311 5.1: nothing else is in it.
static enum fault request_read(const struct sa *sa, const struct message *message,
                               struct sync_request *out)
{
    struct notify notify;
    size_t place = 0, notifies = 0;
    if (!message_notify(message, NOTIFY_IKEV2_MESSAGE_ID_SYNC, &notify)) return FAULT_MESSAGE_ID_WRONG;
    struct rd in = rd_over(notify.data);
    rd_copy(&in, out->nonce, NONCE);
    out->m = rd_u32(&in);
    out->p = rd_u32(&in);
    if (rd_end(&in)) return FAULT_COUNTERS_SYNTAX;
    out->has_delta = message_notify(message, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC, &notify);
    if (out->has_delta && (!(sa->bits & PEER_SYNCS_REPLAY) || delta_read(notify.data, &out->delta)))
        return FAULT_COUNTERS_SYNTAX;
    while (message_notify_next(message, &place, &notify)) notifies++;
    if (notifies != 1u + out->has_delta || message->payloads->count != notifies)
        return FAULT_COUNTERS_SYNTAX;
    return out->m > ID_MAX || out->p > ID_MAX ? FAULT_COUNTERS_FAR : OK;
}

// RFC 6311 5.1: M1 is above the highest that was seen, be it in a request or in one of these.
static bool is_new(const struct sa *sa, const struct sync_request *request)
{
    return request->m >= sa->expect_id && (!sa->sync || request->m > sa->sync->seen);
}

static void answer_write(struct sa *sa, const struct sync_request *request)
{
    uint8_t space[SYNC_SIZE];
    struct wr out = wr_over(space, sizeof space);
    struct draft draft;
    wr_bytes(&out, BYTES_ARRAY(request->nonce));
    wr_u32(&out, sa->send_id);
    wr_u32(&out, sa->expect_id);
    draft_begin(sa->ike, &draft);
    draft_notify(&draft, NOTIFY_IKEV2_MESSAGE_ID_SYNC, wr_done(&out));
    packets_free(sa->ike, &sa->sync->answer);
    sa->sync->answer = draft_seal(sa, &draft, EXCHANGE_INFORMATIONAL, MESSAGE_RESPONSE, 0);
}

// RFC 6311 9: the answer to it is not waited for any more.
static void request_anew(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (x->probe_size || !x->plain.size) { // a path MTU probe, for one: it is made again later
        exchange_fail(x, FAULT_PEER_BUSY);
        return;
    }
    struct draft draft;
    draft_begin(sa->ike, &draft);
    draft.out.size = 0;
    wr_bytes(&draft.out, x->plain);
    packets_free(sa->ike, &x->sent);
    x->message_id = sa->send_id++;
    x->sent = draft_seal(sa, &draft, x->plan->exchange, MESSAGE_REQUEST, x->message_id);
    request_sent(x);
}

static void sync_accept(struct sa *sa, const struct message *message, const struct sync_request *request)
{
    if (!sa->sync) sa->sync = NEW(struct counter_sync);
    sa_heard(sa, message, MESSAGE_REQUEST);
    sa->sync->seen = request->m;
    sa->sync->hash = message->hash;
    sa->expect_id = request->m;
    if (request->p > sa->send_id) sa->send_id = request->p;
    packets_free(sa->ike, &sa->response); // of a request whose number does not count any more
    parked_drop(sa);
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK,
           "another member of the peer's cluster has taken over: its requests go on with %u, ours with %u",
           sa->expect_id, sa->send_id);
    answer_write(sa, request);
    struct path path = message->path;
    packets_send(sa->ike, sa, &path, &sa->sync->answer);
    if (request->has_delta) children_skip(sa, request->delta);
    struct exchange *ours = sa->asking;
    if (ours && ours->part == PART_ASK && ours->is_sent) request_anew(ours);
}

static void pass_over(struct sa *sa, enum fault fault)
{
    struct ike *ike = sa->ike;
    ike->stats.faults[fault]++;
    if (!budget_allows(ike, &ike->lines)) return;
    ike->stats.faults[fault]--; // the report counts it
    report(ike, ABOUT_SA(sa), IKE_DEBUG, fault, "message IDs stay as they are: %s",
           fault_sentence(fault));
}

// The same to the last bit: the answer was lost. Anybody can repeat it, so not too often.
static bool is_again(struct sa *sa, const struct message *message, uint64_t hash)
{
    struct ike *ike = sa->ike;
    if (!sa->sync || !sa->sync->answer.at || sa->sync->hash != hash) return false;
    struct path path = message->path;
    if (budget_allows(ike, &ike->answers)) packets_send(ike, sa, &path, &sa->sync->answer);
    return true;
}

// Of a request with message ID 0, which may as well be the peer's first one. True: that is all.
bool counter_sync_receive(struct sa *sa, const struct message *message)
{
    const struct ike_header *header = &message->header;
    bool possible = sa->bits & PEER_SYNCS_IDS && header->exchange == EXCHANGE_INFORMATIONAL &&
                    !(header->flags & FLAG_RESPONSE) && header->message_id == 0 &&
                    header->next == PAYLOAD_SK && sa->state >= ESTABLISHED && sa->state != DEAD;
    if (!possible) return false;
    uint64_t hash = map_hash(&sa->ike->by_spi, message->raw);
    if (is_again(sa, message, hash)) return true;
    struct arena arena = {0};
    struct message opened = *message;
    struct sync_request request = {0};
    // What is only looked at disturbs no fragments that are being put together.
    struct reassembly *pieces = sa->reassembly;
    sa->reassembly = NULL;
    enum fault fault = message_open(sa, &opened, &arena);
    sa->reassembly = pieces;
    if (!fault) fault = request_read(sa, &opened, &request);
    arena_free(&arena);
    if (fault && fault != FAULT_COUNTERS_SYNTAX && fault != FAULT_COUNTERS_FAR) return false;
    opened.hash = hash;
    // RFC 6311 5.1: silently. While a request is being answered its number still counts; the member
    // asks again.
    if (!fault && !is_new(sa, &request)) fault = FAULT_COUNTERS_REPLAYED;
    if (fault)
        pass_over(sa, fault);
    else if (!sa->answering)
        sync_accept(sa, &opened, &request);
    return true;
}
