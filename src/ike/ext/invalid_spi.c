// SPDX-License-Identifier: Apache-2.0
// Packets for a child that is not there (RFC 7296 1.5, 2.21.4, 3.10.1):
//
//     ESP(SPI)  -->
//                   <--  HDR, SK{N(INVALID_SPI)(SPI)}    there is an IKE SA with the sender
//               or  <--  HDR, N(INVALID_SPI)(SPI)        there is none: a hint, which anybody can
//               send
//
// Told with protection the sender makes the child anew; by a hint it asks whether the peer still
// has the IKE SA.
#include "ike/internal.h"

enum {
    AGAIN_SECONDS = 10,   // an IKE SA speaks of such a thing, or heeds it, once in so long
    LOOKS_PER_SECOND = 4, // for the sender's SAs: that is a walk along all of them
    TOLD_MAX = 4,         // IKE SAs with one address
};

static bool is_rested(const struct sa *sa, nsec since)
{
    return !since || sa->ike->now - since >= nsec_seconds(AGAIN_SECONDS);
}

// --- who gets the packets

// RFC 7296 1.5: where no SA is, SPIs are zero and the sender takes it for an initiator's message.
static void tell_openly(struct ike *ike, uint32_t spi, const struct endpoint *from)
{
    uint8_t data[4];
    struct wr out = wr_over(data, sizeof data);
    bool encap = from->port != 0;
    struct path path = {
        .local = {addr_any((enum addr_family)from->addr.family),
                  encap ? ike->settings.port_nat : ike->settings.port},
        .remote = {from->addr, encap ? from->port : ike->settings.port},
        .encap = encap,
    };
    struct ike_header header = {
        .major = 2, .exchange = EXCHANGE_INFORMATIONAL, .flags = FLAG_INITIATOR};
    struct draft draft;
    wr_u32(&out, spi);
    if (!budget_allows(ike, &ike->answers)) return;
    draft_begin_clear(ike, &draft, &header);
    draft_notify(&draft, NOTIFY_INVALID_SPI, wr_done(&out));
    struct packets packets = draft_finish_clear(&draft);
    packets_send(ike, NULL, &path, &packets);
    packets_free(ike, &packets);
}

static bool is_sender(const struct sa *sa, const struct endpoint *from)
{
    if (!addr_equal(&sa->path.remote.addr, &from->addr)) return false;
    return !from->port || sa->path.remote.port == from->port;
}

static void tell_inside(struct sa *sa, uint32_t spi)
{
    if (sa->state != ESTABLISHED || sa->replaced_by || !is_rested(sa, sa->spi_told)) return;
    sa->spi_told = sa->ike->now;
    task_add(sa, TASK_INVALID_SPI)->spi = spi;
    sa_pump(sa);
}

void invalid_spi_seen(struct ike *ike, uint32_t spi, const struct endpoint *from)
{
    unsigned senders = 0;
    count(ike, NULL, COUNT_INVALID_SPI);
    // A child that is being made or removed: the packets were quicker than the messages.
    if (!from->addr.family || map_get(&ike->children_in, map_key_u32(&spi))) return;
    if (ike->spi_looked && ike->now - ike->spi_looked < NSEC_PER_SECOND / LOOKS_PER_SECOND) return;
    ike->spi_looked = ike->now;
    LIST_EACH (struct sa, link, sa, &ike->sas) {
        if (!is_sender(sa, from)) continue;
        if (++senders <= TOLD_MAX) tell_inside(sa, spi);
    }
    if (!senders) tell_openly(ike, spi, from);
}

static enum fault invalid_spi_ask(struct exchange *x)
{
    struct draft draft;
    uint8_t data[4];
    struct wr out = wr_over(data, sizeof data);
    wr_u32(&out, x->task->spi);
    draft_begin(x->sa->ike, &draft);
    draft_notify(&draft, NOTIFY_INVALID_SPI, wr_done(&out));
    report(x->sa->ike, ABOUT_SA(x->sa), IKE_INFO, FAULT_CHILD_SPI_UNKNOWN,
           "%s sends packets for a child that is not there (SPI %08x); it is told so",
           endpoint_text(x->sa->ike, &x->sa->path.remote), x->task->spi);
    request(x, &draft);
    return OK;
}

static enum fault invalid_spi_conclude(struct exchange *x)
{
    (void)x;
    return OK;
}

static const struct step invalid_spi_ask_steps[] = {STEP(invalid_spi_ask), END};
static const struct step invalid_spi_conclude_steps[] = {STEP(invalid_spi_conclude), END};
const struct plan plan_invalid_spi = {
    .exchange = EXCHANGE_INFORMATIONAL,
    .ask = {"telling of an unknown SPI", FAILURE_STAYS, invalid_spi_ask_steps, NULL},
    .conclude = {"telling of an unknown SPI", FAILURE_STAYS, invalid_spi_conclude_steps, NULL},
};

// --- who sends them

static bool spi_read(const struct notify *notify, uint32_t *spi)
{
    struct rd in = rd_over(notify->data);
    *spi = rd_u32(&in);
    return rd_end(&in) == OK;
}

// With protection. Requests come in order, so all that we have agreed on before has been done: the
// peer lacks what we send to, and rekeying makes it whole. Where it has forgotten the child
// altogether it says so to that, and a new one is made.
void invalid_spi_heed(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct notify notify;
    uint32_t spi;
    if (sa->state != ESTABLISHED || !message_notify(&x->in, NOTIFY_INVALID_SPI, &notify) ||
        !spi_read(&notify, &spi) || !is_rested(sa, sa->spi_heeded))
        return;
    struct child *child = child_by_spi_out(sa, PROTOCOL_ESP, spi);
    if (!child) child = child_by_spi_out(sa, PROTOCOL_AH, spi);
    if (!child || child->state != CHILD_INSTALLED || child->replaced_by || child->keys_out.at ||
        task_find(sa, TASK_REKEY_CHILD, child->id) || task_find(sa, TASK_DELETE_CHILD, child->id))
        return;
    sa->spi_heeded = sa->ike->now;
    report(sa->ike, ABOUT_CHILD(child), IKE_INFO, FAULT_CHILD_SPI_UNKNOWN,
           "the peer does not know the SPI %08x that we send to; the child is rekeyed", spi);
    task_add(sa, TASK_REKEY_CHILD)->child_id = child->id;
}

// Without protection, from the peer's address: it is asked whether it lives, if it has been silent
// and not often. True: the message was such a hint, right or wrong, and is not answered.
bool invalid_spi_hint(struct ike *ike, const struct message *message)
{
    const struct ike_header *header = &message->header;
    struct notify notify;
    uint32_t spi;
    if (header->exchange != EXCHANGE_INFORMATIONAL || header->flags & FLAG_RESPONSE ||
        header->next != PAYLOAD_NOTIFY)
        return false;
    struct message open = *message;
    open.payloads = arena_new(&ike->arena, sizeof *open.payloads);
    struct bytes chain =
        bytes_of(message->raw.at + IKE_HEADER_SIZE, message->raw.size - IKE_HEADER_SIZE);
    if (payloads_read(header->next, chain, open.payloads, NULL) != OK ||
        !message_notify(&open, NOTIFY_INVALID_SPI, &notify) || !spi_read(&notify, &spi))
        return false;
    struct child *child = map_get(&ike->children_out, map_key_u32(&spi));
    while (child && !addr_equal(&child->sa->path.remote.addr, &message->path.remote.addr))
        child = child->same_spi_out;
    struct sa *sa = child ? child->sa : NULL;
    if (!sa || sa->state != ESTABLISHED || sa->asking || task_find(sa, TASK_LIVENESS, 0) ||
        !is_rested(sa, sa->spi_heeded) || !is_rested(sa, sa->last_heard))
        return true;
    sa->spi_heeded = ike->now;
    report(ike, ABOUT_SA(sa), IKE_DETAIL, FAULT_CHILD_SPI_UNKNOWN,
           "%s may have lost its SAs; it is asked", endpoint_text(ike, &sa->path.remote));
    task_add(sa, TASK_LIVENESS);
    sa_pump(sa);
    return true;
}
