// SPDX-License-Identifier: Apache-2.0
// The path MTU of an IKE SA and of its children: how large a packet the way to the peer takes.
//
//     device     the way out of this host; the daemon tells
//     ICMP       a router could not pass a packet on, and said so (RFC 1191, RFC 8201)
//     probe      the peer has answered a message of that size, or has not (RFC 8899)
//
// Routers' messages are often filtered, so they are not waited for: when an SA is up a message as
// large as the device takes is sent, which nobody on the way may cut. Without an answer the SA goes
// down at once to a size that hardly any path refuses, and up again by what further probes show.
//
// A probe is a liveness check with a filling (RFC 7296 1.4). Lost because it is too large it must
// still be answered, for the window is one. So it is sent again, the same to the last bit, in a way
// that lets it be cut; that answer says nothing of the path. Where fragments are dropped, too, the
// check comes without its filling. RFC 7296 2.1 wants requests repeated bit by bit so that they get
// what they asked for: both ask for the same empty answer, and one of them at most was received.
#include "ike/internal.h"
#include "wire/icmp.h"

enum {
    IPV4_UDP = 20 + 8,
    IPV6_UDP = 40 + 8,
    MARKER = 4,
    MTU_LEAST_V4 = 576,
    MTU_LEAST_V6 = 1280,
    MTU_BASE = 1280, // RFC 8899 5.1.2: what is taken to pass while nothing better is known
    MTU_MOST = 9216,
    NOTIFY_HEADER = 8, // generic header, protocol, SPI size, type
    TRIES_OF_A_SIZE = 2,
    PROBE_WAIT_MS = 1000,
    ANSWER_MS = 250, // in which the answer that made the SA leaves this host, before a probe can
    CONFIRM_SECONDS = 60, // RFC 8899 5.1.1: as long as packets go that way
    RAISE_SECONDS = 600,  // RFC 1191 6.3, RFC 8899 5.1.1: a learned MTU may have become wrong
};

// RFC 1191 7.1: sizes that links have. The search looks for the largest of them that passes.
static const uint16_t sizes[] = {576,  1006, 1280, 1300, 1320, 1340, 1360, 1380, 1400,
                                 1420, 1440, 1454, 1460, 1472, 1480, 1492, 1500, 2002,
                                 2304, 4352, 4464, 7981, 8166, 8500, 8900, 9000};
enum { SIZES = sizeof sizes / sizeof *sizes };

static uint16_t least_of(const struct sa *sa)
{
    return sa->path.remote.addr.family == ADDR_V6 ? MTU_LEAST_V6 : MTU_LEAST_V4;
}

static bool may_probe(const struct sa *sa)
{
    return sa->state == ESTABLISHED && sa->conn->path_mtu_probes &&
           !sa->path.stream && sa->pmtu.device > least_of(sa);
}

// --- telling the data plane

static void half_tell(const struct child *child, enum sa_direction direction, uint8_t half)
{
    if (!(child->halves & half)) return;
    struct ike_out *out = out_new(child->sa->ike, IKE_OUT_SA_MTU);
    out->sa_mtu.spi = direction == SA_IN ? child->spi_in : child->spi_out;
    out->sa_mtu.direction = (uint8_t)direction;
    out->sa_mtu.remote = child->sa->path.remote.addr;
    out->sa_mtu.path_mtu = child->sa->pmtu.current;
}

// Inbound, too: what the other end's TCP is told of segments goes by that SA.
static void children_tell(const struct sa *sa)
{
    LIST_EACH (const struct child, link, child, &sa->children) {
        half_tell(child, SA_OUT, CHILD_HAS_OUT);
        half_tell(child, SA_IN, CHILD_HAS_IN);
    }
}

static void set(struct sa *sa, uint16_t mtu, enum ike_mtu_source source)
{
    struct path_mtu *at = &sa->pmtu;
    static const char *const texts[] = {[IKE_MTU_DEVICE] = "as the device says",
                                        [IKE_MTU_ICMP] = "as a router says",
                                        [IKE_MTU_PROBE] = "as the peer's answer shows",
                                        [IKE_MTU_ASSUMED] = "since a larger message got no answer"};
    uint16_t former = at->current;
    at->current = mtu;
    at->source = (uint8_t)source;
    at->learned = sa->ike->now;
    if (former == mtu) return;
    report(sa->ike, ABOUT_SA(sa), IKE_DETAIL, OK, "path MTU to %s is %u, %s",
           endpoint_text(sa->ike, &sa->path.remote), mtu, texts[source]);
    children_tell(sa);
}

// --- the search

static uint64_t packets_out(const struct sa *sa)
{
    uint64_t count = 0;
    LIST_EACH (const struct child, link, child, &sa->children) count += child->out.packets;
    return count;
}

static void probe_soon(struct sa *sa, uint16_t size)
{
    sa->pmtu.probing = size;
    sa_set_timer(sa, TIMER_PMTU, sa->ike->now);
}

static void rest(struct sa *sa)
{
    struct path_mtu *at = &sa->pmtu;
    at->probing = 0;
    at->losses = 0;
    at->packets = packets_out(sa);
    sa_set_timer(sa, TIMER_PMTU, sa->ike->now + nsec_seconds(CONFIRM_SECONDS));
}

// The middle one of the sizes above what passed and below what did not; 0: there is none.
static uint16_t size_between(uint16_t low, uint16_t high)
{
    unsigned first = 0, behind;
    while (first < SIZES && sizes[first] <= low) first++;
    for (behind = first; behind < SIZES && sizes[behind] < high;) behind++;
    return first < behind ? sizes[first + (behind - first) / 2] : 0;
}

static void search_on(struct sa *sa)
{
    struct path_mtu *at = &sa->pmtu;
    at->losses = 0;
    uint16_t size = size_between(at->low, at->high);
    if (size && may_probe(sa)) {
        probe_soon(sa, size);
        return;
    }
    if (at->low > at->current) set(sa, at->low, IKE_MTU_PROBE);
    rest(sa);
}

// From the largest size: nearly always it is the right one.
static void search_begin(struct sa *sa, uint16_t low)
{
    struct path_mtu *at = &sa->pmtu;
    at->low = low;
    at->high = (uint16_t)(at->device + 1);
    at->losses = 0;
    at->raise = sa->ike->now + nsec_seconds(RAISE_SECONDS);
    if (may_probe(sa) && at->device > low)
        probe_soon(sa, at->device);
    else
        rest(sa);
}

static void probe_passed(struct sa *sa, uint16_t size)
{
    struct path_mtu *at = &sa->pmtu;
    if (size > at->low) at->low = size;
    if (size >= at->high) at->high = (uint16_t)(size + 1);
    if (size >= at->current) set(sa, size, IKE_MTU_PROBE);
    search_on(sa);
}

// RFC 8899 4.3: what is relied upon does not pass any more.
static void fall_back(struct sa *sa, uint16_t size)
{
    uint16_t base = size > MTU_BASE ? MTU_BASE : least_of(sa);
    if (base >= sa->pmtu.current) return;
    sa->pmtu.low = least_of(sa);
    set(sa, base, IKE_MTU_ASSUMED);
}

// What has never passed is given up at once, what has when two messages were lost: one may have
// been lost for any reason. So a size that counts is tried twice.
static void probe_lost(struct sa *sa, uint16_t size)
{
    struct path_mtu *at = &sa->pmtu;
    bool relied = size <= at->current, counts = relied || size == at->device;
    bool last = ++at->losses >= TRIES_OF_A_SIZE;
    if (relied && (last || at->source != IKE_MTU_PROBE)) fall_back(sa, size);
    if (!last && counts) {
        probe_soon(sa, size);
        return;
    }
    if (size < at->high) at->high = size;
    if (at->low >= at->high) at->low = least_of(sa);
    search_on(sa);
}

// --- the exchange

// How much filling makes the datagram so large; 0: it cannot be that small.
static size_t filling_of(const struct sa *sa, uint16_t size)
{
    struct sealer key = sa_sealer(sa, true);
    size_t outer = (sa->path.remote.addr.family == ADDR_V6 ? IPV6_UDP : IPV4_UDP) +
                   (sa->path.encap ? MARKER : 0u) + IKE_HEADER_SIZE + 4 + sealer_iv_size(&key) +
                   sealer_icv_size(&key);
    size_t block = sealer_block_size(&key);
    if (size <= outer) return 0;
    size_t plain = (size - outer) / block * block;
    return plain > NOTIFY_HEADER + 1 ? plain - NOTIFY_HEADER - 1 : 0;
}

// RFC 7296 3.10.1: who does not know a status notify ignores it.
static enum fault probe_ask(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct draft draft;
    size_t filling = sa->pmtu.probing ? filling_of(sa, sa->pmtu.probing) : 0;
    if (!filling || !may_probe(sa)) {
        rest(sa);
        exchange_give_up(x);
        return OK;
    }
    draft_begin(sa->ike, &draft);
    struct bytes zeros = bytes_of(arena_new(&x->arena, filling), filling);
    draft_notify(&draft, NOTIFY_PATH_MTU_PROBE, zeros);
    x->probe_size = sa->pmtu.probing;
    x->probe =
        draft_seal_uncut(sa, &draft, EXCHANGE_INFORMATIONAL, MESSAGE_REQUEST, sa->send_id);
    draft_begin(sa->ike, &draft);
    request(x, &draft);
    return OK;
}

static enum fault probe_conclude(struct exchange *x)
{
    struct sa *sa = x->sa;
    sa->last_heard = sa->ike->now;
    // The path or the search may be another one by now.
    if (!x->probe_size || x->probe_size != sa->pmtu.probing) return OK;
    if (x->probe_lost)
        probe_lost(sa, x->probe_size);
    else
        probe_passed(sa, x->probe_size);
    return OK;
}

static void probe_failed(struct exchange *x, enum fault fault)
{
    (void)fault;
    rest(x->sa);
}

static const struct step probe_ask_steps[] = {STEP(probe_ask), END};
static const struct step probe_conclude_steps[] = {STEP(probe_conclude), END};
const struct plan plan_path_mtu = {
    .exchange = EXCHANGE_INFORMATIONAL,
    .ask = {"path MTU probe", FAILURE_STAYS, probe_ask_steps, probe_failed},
    .conclude = {"path MTU probe", FAILURE_STAYS, probe_conclude_steps, probe_failed},
};

static void probe_wait(struct exchange *x)
{
    x->due = x->sa->ike->now + PROBE_WAIT_MS * (NSEC_PER_SECOND / 1000);
    sa_set_timer(x->sa, TIMER_RETRANSMIT, x->due);
}

bool pmtu_probe_send(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (!x->probe.at) return false;
    packets_send_uncut(sa->ike, sa, &sa->path, &x->probe);
    probe_wait(x);
    return true;
}

bool pmtu_probe_again(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (!x->probe.at || x->probe_lost) return false;
    x->probe_lost = true;
    packets_send(sa->ike, sa, &sa->path, &x->probe);
    probe_wait(x);
    return true;
}

const struct packets *pmtu_probe_packets(const struct exchange *x)
{
    return x->probe.at && x->tries % 2 == 0 ? &x->probe : &x->sent;
}

// --- time

// A search goes on, or what is known is confirmed while it is of use, or a wider path is looked for.
void pmtu_due(struct sa *sa)
{
    struct path_mtu *at = &sa->pmtu;
    if (sa->state != ESTABLISHED || !at->device) return;
    bool used = packets_out(sa) != at->packets;
    if (!at->probing && used && at->raise <= sa->ike->now) {
        if (!may_probe(sa) && at->current < at->device) set(sa, at->device, IKE_MTU_DEVICE);
        search_begin(sa, at->source == IKE_MTU_PROBE ? at->current : least_of(sa));
        return;
    }
    if (!at->probing && (!used || !may_probe(sa) || at->current <= MTU_BASE)) {
        rest(sa);
        return;
    }
    if (!at->probing) at->probing = at->current;
    if (!task_find(sa, TASK_PATH_MTU, 0)) task_add(sa, TASK_PATH_MTU);
    sa_pump(sa);
}

// --- what is learned from outside

static struct child *child_at(const struct ike *ike, uint32_t spi, const struct addr *remote)
{
    struct child *at = map_get(&ike->children_out, map_key_u32(&spi));
    while (at && !addr_equal(&at->sa->path.remote.addr, remote)) at = at->same_spi_out;
    return at;
}

void pmtu_device(struct ike *ike, uint32_t spi, const struct addr *remote, uint16_t mtu)
{
    struct child *child = child_at(ike, spi, remote);
    if (!child) return;
    struct sa *sa = child->sa;
    uint16_t least = least_of(sa);
    if (mtu > MTU_MOST) mtu = MTU_MOST;
    if (mtu < least) mtu = least;
    const struct addr *local = &sa->path.local.addr;
    bool same = sa->pmtu.device == mtu && addr_equal(&sa->pmtu.remote, remote) &&
                addr_equal(&sa->pmtu.local, local);
    if (same && sa->pmtu.current) {
        half_tell(child, SA_OUT, CHILD_HAS_OUT);
        half_tell(child, SA_IN, CHILD_HAS_IN);
        return;
    }
    sa->pmtu = (struct path_mtu){.device = mtu, .local = *local, .remote = *remote};
    set(sa, mtu, IKE_MTU_DEVICE);
    search_begin(sa, least);
    // Whoever answered last waits: the peer can make nothing of a probe before it has the answer.
    if (!sa->initiator && sa->pmtu.probing)
        sa_set_timer(sa, TIMER_PMTU, sa->ike->now + ANSWER_MS * (NSEC_PER_SECOND / 1000));
}

// RFC 1191 4, RFC 8201 4: what a router says counts when it can be no one who only guesses: what it
// quotes has the SPI of an SA with that peer. Whoever stands on the way can do no more harm than by
// dropping packets, and not for longer.
static void router_said(struct sa *sa, uint16_t mtu)
{
    struct path_mtu *at = &sa->pmtu;
    struct exchange *x = sa->asking;
    if (mtu < least_of(sa)) mtu = least_of(sa);
    if (!at->device || mtu >= at->device) return;
    bool probe = x && x->probe_size > mtu && x->is_sent;
    if (mtu < at->high) at->high = (uint16_t)(mtu + 1);
    if (at->low > mtu) at->low = least_of(sa);
    if (mtu < at->current) {
        set(sa, mtu, IKE_MTU_ICMP);
        at->raise = sa->ike->now + nsec_seconds(RAISE_SECONDS);
    }
    at->losses = 0;
    if (may_probe(sa) && at->low < mtu) probe_soon(sa, mtu); // what it says can be tried
    // The probe is lost: what ends its exchange is sent without delay.
    if (probe && !x->probe_lost) sa_set_timer(sa, TIMER_RETRANSMIT, sa->ike->now);
}

static bool quotes_path(const struct sa *sa, const struct icmp_quote *quote)
{
    const struct path *path = &sa->path;
    bool addresses = addr_equal(&path->remote.addr, &quote->remote) &&
                     (addr_is_any(&path->local.addr) || path->local.addr.family == ADDR_NONE ||
                      addr_equal(&path->local.addr, &quote->local));
    return addresses && (!quote->remote_port || quote->remote_port == path->remote.port);
}

void pmtu_icmp(struct ike *ike, uint8_t family, struct bytes message)
{
    struct icmp_quote quote;
    if (!icmp_quote_read(family, message, &quote)) return;
    struct sa *sa = NULL;
    if (quote.ike) {
        sa = sa_by_spi(ike, quote.spi_i);
        if (!sa) sa = sa_by_spi(ike, quote.spi_r);
    } else {
        struct child *child = child_at(ike, quote.spi, &quote.remote);
        sa = child ? child->sa : NULL;
    }
    if (sa && sa->state == ESTABLISHED && quotes_path(sa, &quote)) router_said(sa, quote.mtu);
}

void pmtu_inherit(struct sa *fresh, const struct sa *old)
{
    fresh->pmtu = old->pmtu;
    if (!fresh->pmtu.device) return;
    fresh->pmtu.packets = 0;
    sa_set_timer(fresh, TIMER_PMTU, fresh->ike->now + nsec_seconds(CONFIRM_SECONDS));
}
