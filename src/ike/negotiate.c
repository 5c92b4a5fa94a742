// SPDX-License-Identifier: Apache-2.0
// What a child is to be: proposals (RFC 7296 2.7), traffic selectors (2.9) and mode (1.3.1),
// offered, chosen and agreed.
#include "ike/internal.h"

enum { SPI_SIZE = 4, EXPLAIN_MAX = 4096 };

const struct proposals *conf_proposals(const struct child_conf *conf)
{
    return conf->esp.count ? &conf->esp : &conf->ah;
}

static uint16_t proposal_ke(const struct proposal *proposal)
{
    for (unsigned i = 0; i < proposal->count; i++)
        if (proposal->at[i].type == TRANSFORM_KE && proposal->at[i].id != KE_NONE)
            return proposal->at[i].id;
    return KE_NONE;
}

uint16_t proposals_first_ke(const struct proposals *proposals)
{
    return proposals->count ? proposal_ke(&proposals->at[0]) : KE_NONE;
}

bool proposals_offer_ke(const struct proposals *proposals, uint16_t ke)
{
    for (unsigned i = 0; i < proposals->count; i++)
        for (unsigned j = 0; j < proposals->at[i].count; j++)
            if (proposals->at[i].at[j].type == TRANSFORM_KE && proposals->at[i].at[j].id == ke)
                return true;
    return false;
}

// --- selectors

// A "dynamic" selector is the address in use: a virtual one if there is any, else that of the path.
static void dynamic_add(struct selectors *set, const struct selector *pattern,
                        const struct addr *addrs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!addrs[i].family) continue;
        struct selector selector = *pattern;
        selector.range = (struct range){addrs[i], addrs[i]};
        selectors_add(set, &selector);
    }
}

static void side_selectors(const struct selectors *conf, uint32_t dynamic, const struct addr *addrs,
                           size_t count, struct selectors *out)
{
    *out = (struct selectors){0};
    for (unsigned i = 0; i < conf->count; i++) {
        if (dynamic >> i & 1)
            dynamic_add(out, &conf->at[i], addrs, count);
        else
            selectors_add(out, &conf->at[i]);
    }
}

// RFC 7296 2.19: who asks for a virtual address does not know it yet and offers all; the answer is
// narrowed to it.
static void every_address(const struct selectors *conf, uint32_t dynamic, const struct conn *conn,
                          struct selectors *out)
{
    *out = (struct selectors){0};
    for (unsigned i = 0; i < conf->count; i++) {
        if (!(dynamic >> i & 1)) selectors_add(out, &conf->at[i]);
        for (unsigned j = 0; j < conn->vip_count && dynamic >> i & 1; j++) {
            struct selector selector = conf->at[i];
            selector.range = selector_any((enum addr_family)conn->vips[j].family).range;
            selectors_add(out, &selector);
        }
    }
}

void conf_selectors(const struct sa *sa, const struct child_conf *conf, struct selectors *local,
                    struct selectors *remote)
{
    const struct addr *own = sa->vip_count ? sa->vips : &sa->path.local.addr;
    if (sa->conn && sa->conn->vip_count && !sa->vip_count)
        every_address(&conf->local_ts, conf->local_dynamic, sa->conn, local);
    else
        side_selectors(&conf->local_ts, conf->local_dynamic, own, sa->vip_count ? sa->vip_count : 1,
                       local);
    const struct addr *peer = sa->lease_count ? sa->remote_vips : &sa->path.remote.addr;
    side_selectors(&conf->remote_ts, conf->remote_dynamic, peer,
                   sa->lease_count ? sa->lease_count : 1, remote);
}

// RFC 7296 2.9: the packet that called for the child stands first, so that a responder that narrows
// keeps it.
static void packet_first(struct selectors *set, const struct addr *addr, const struct flow *flow,
                         uint16_t port)
{
    struct selectors all = *set;
    struct selector packet = selector_of_addr(addr);
    packet.protocol = flow->protocol;
    if (flow->ports_known && flow->protocol) packet.port_low = packet.port_high = port;
    bool covered = false;
    for (unsigned i = 0; i < all.count; i++) covered |= selector_within(&packet, &all.at[i]);
    if (!covered || all.count >= SELECTORS_MAX) return;
    set->at[0] = packet;
    set->count = 1;
    for (unsigned i = 0; i < all.count; i++) set->at[set->count++] = all.at[i];
}

// A selector that lies within another one says nothing.
static void tidy(struct selectors *set)
{
    struct selectors all = *set;
    set->count = 0;
    for (unsigned i = 0; i < all.count; i++) {
        bool covered = false;
        for (unsigned j = 0; j < all.count && !covered; j++)
            covered = j != i && selector_within(&all.at[i], &all.at[j]) &&
                      (j < i || !selector_equal(&all.at[i], &all.at[j]));
        if (!covered) set->at[set->count++] = all.at[i];
    }
}

static void ts_put(struct draft *draft, uint8_t type, const struct selectors *set,
                   struct bytes label)
{
    ts_write_labelled(draft_open(draft, type), set, label);
    draft_close(draft);
}

// Of the two TS payloads TSi is always the side of whoever asked.
static void ts_pair_put(struct draft *draft, const struct child_conf *conf,
                        const struct selectors *initiator, const struct selectors *responder)
{
    ts_put(draft, PAYLOAD_TSI, initiator, label_wire(conf));
    ts_put(draft, PAYLOAD_TSR, responder, label_wire(conf));
}

static enum fault ts_pair_get(struct exchange *x, struct selectors *initiator,
                              struct selectors *responder)
{
    TRY(ts_read(message_first(&x->in, PAYLOAD_TSI)->body, initiator));
    TRY(labels_take(x));
    return ts_read(message_first(&x->in, PAYLOAD_TSR)->body, responder);
}

// --- proposals with our SPI in them

static void spi_set(struct proposals *proposals, uint32_t spi)
{
    for (unsigned i = 0; i < proposals->count; i++) {
        struct wr out = wr_over(proposals->at[i].spi, SPI_SIZE);
        wr_u32(&out, spi);
        proposals->at[i].spi_size = SPI_SIZE;
        proposals->at[i].number = (uint8_t)(i + 1);
    }
}

// RFC 7296 1.2: the first child has no key exchange of its own, so none is offered in IKE_AUTH.
static void ke_drop(struct proposals *proposals)
{
    for (unsigned i = 0; i < proposals->count; i++) {
        struct proposal *proposal = &proposals->at[i];
        uint8_t kept = 0;
        for (unsigned j = 0; j < proposal->count; j++)
            if (proposal->at[j].type != TRANSFORM_KE && proposal->at[j].type < TRANSFORM_ADDKE1)
                proposal->at[kept++] = proposal->at[j];
        proposal->count = kept;
    }
}

// RFC 7296 3.3.1: an ESP or AH SPI has four bytes; those below 256 are reserved.
static enum fault spi_get(const struct proposal *proposal, uint32_t *spi)
{
    struct rd in = rd_over(bytes_of(proposal->spi, proposal->spi_size));
    *spi = rd_u32(&in);
    if (rd_end(&in) != OK || *spi < SPI_MIN) return FAULT_SPI_WRONG;
    return OK;
}

static enum fault sa_payload_get(struct exchange *x, struct proposals **out)
{
    *out = arena_new(&x->arena, sizeof **out);
    return sa_read(message_first(&x->in, PAYLOAD_SA)->body, *out);
}

// --- asking

void child_offer(struct exchange *x, struct draft *draft, const struct flow *flow,
                 enum proposal_ke with_ke)
{
    struct child *child = x->child;
    const struct child_conf *conf = child->conf;
    const struct child *old = child_by_id(x->sa->ike, x->old_id), *like = old ? old : percpu_first(x);
    x->offered = arena_new(&x->arena, sizeof *x->offered);
    x->local = arena_new(&x->arena, sizeof *x->local);
    x->remote = arena_new(&x->arena, sizeof *x->remote);
    *x->offered = *conf_proposals(conf);
    spi_set(x->offered, child->spi_in);
    if (with_ke == PROPOSAL_WITHOUT_KE) ke_drop(x->offered);
    sa_write(draft_open(draft, PAYLOAD_SA), x->offered);
    draft_close(draft);
    if (with_ke == PROPOSAL_WITH_KE) draft_bytes(draft, PAYLOAD_NONCE, exchange_ni(x));
    if (with_ke == PROPOSAL_WITH_KE && x->ke != KE_NONE) {
        ke_write(draft_open(draft, PAYLOAD_KE), x->ke, x->ke_public);
        draft_close(draft);
    }
    if (like) { // RFC 7296 2.9.2: what is rekeyed is asked for as it was agreed
        policy_sides(like->policy, x->local, x->remote);
    } else {
        conf_selectors(x->sa, conf, x->local, x->remote);
    }
    bool pair = flow && conf->mode == MODE_BEET && !(x->sa->bits & BEET_DECLINED) &&
                mode_pair_of(flow, x->local, x->remote);
    if (flow && !pair) {
        packet_first(x->local, &flow->source, flow, flow->source_port);
        packet_first(x->remote, &flow->destination, flow, flow->destination_port);
    }
    ts_pair_put(draft, conf, x->local, x->remote);
    mode_offer(x, conf, like);
    mode_write(x, draft);
    ipcomp_offer(x, conf);
    ipcomp_write(x, draft);
    percpu_offer(x, conf, old);
    percpu_write(x, draft);
}

// --- answering

// How well does one child of the configuration meet what is asked? 0: not at all; 1: narrowed; 2:
// as asked.
static unsigned child_fits(const struct exchange *x, const struct child_conf *conf,
                           const struct selectors *theirs, const struct selectors *ours,
                           struct selectors *local, struct selectors *remote)
{
    struct selectors own, peer;
    if (conf->action > POLICY_PROTECT || !label_fits(x, conf)) return 0;
    conf_selectors(x->sa, conf, &own, &peer);
    if (!selectors_narrow(&own, ours, local) || !selectors_narrow(&peer, theirs, remote)) return 0;
    tidy(local);
    tidy(remote);
    return selectors_equal(local, ours) && selectors_equal(remote, theirs) ? 2 : 1;
}

// It would fit but for its label.
static bool label_is_all(const struct exchange *x, const struct child_conf *conf,
                         const struct selectors *theirs, const struct selectors *ours)
{
    struct selectors own, peer, local, remote;
    if (conf->action > POLICY_PROTECT || label_fits(x, conf)) return false;
    conf_selectors(x->sa, conf, &own, &peer);
    return selectors_narrow(&own, ours, &local) && selectors_narrow(&peer, theirs, &remote);
}

// No child fits: explains it with the one that comes nearest, the first.
static enum fault selectors_fault(struct exchange *x, const struct selectors *theirs,
                                  const struct selectors *ours)
{
    const struct sa *sa = x->sa;
    if (sa->conn->child_count == 0)
        return exchange_why(x, FAULT_TS_UNACCEPTABLE, "the connection has no children");
    for (uint32_t i = 0; i < sa->conn->child_count; i++)
        if (label_is_all(x, &sa->conn->children[i], theirs, ours))
            return label_fault(x, &sa->conn->children[i]);
    char *text = arena_new(&x->arena, EXPLAIN_MAX + 1);
    struct wr out = wr_over(text, EXPLAIN_MAX);
    struct selectors own, peer;
    conf_selectors(sa, &sa->conn->children[0], &own, &peer);
    wr_printf(&out, "here %s is ", sa->conn->children[0].name);
    selectors_print(&own, &out);
    wr_text(&out, " === ");
    selectors_print(&peer, &out);
    wr_text(&out, ", the peer asks for ");
    selectors_print(ours, &out);
    wr_text(&out, " === ");
    selectors_print(theirs, &out);
    struct selectors rest;
    wr_text(&out, "\n");
    if (!selectors_narrow(&own, ours, &rest))
        selectors_explain(&own, ours, &out);
    else
        selectors_explain(&peer, theirs, &out);
    x->why = text;
    return FAULT_TS_UNACCEPTABLE;
}

static enum fault proposals_fault(struct exchange *x, const struct proposals *mine,
                                  const struct proposals *offered, enum proposal_ke with_ke)
{
    char *text = arena_new(&x->arena, EXPLAIN_MAX + 1);
    struct wr out = wr_over(text, EXPLAIN_MAX);
    proposals_explain(mine, offered, with_ke, &out);
    x->why = text;
    return FAULT_NO_PROPOSAL_CHOSEN;
}

// Takes the best fit whose proposals meet, too; among equals the first in the configuration.
static const struct child_conf *best_child(struct exchange *x, const struct selectors *theirs,
                                           const struct selectors *ours)
{
    const struct conn *conn = x->sa->conn;
    const struct child_conf *best = NULL;
    unsigned best_fit = 0;
    for (uint32_t i = 0; i < conn->child_count; i++) {
        struct selectors local, remote;
        unsigned fit = child_fits(x, &conn->children[i], theirs, ours, &local, &remote);
        if (fit <= best_fit) continue;
        best = &conn->children[i];
        best_fit = fit;
    }
    return best;
}

// RFC 7296 2.23.1: first with the addresses as they are here. When that is not for transport mode,
// with those that the peer has sent.
static const struct child_conf *child_find(struct exchange *x, struct selectors *theirs,
                                           struct selectors *ours)
{
    struct selectors own_theirs = *theirs, own_ours = *ours;
    if (!mode_translate(x, theirs, ours)) return best_child(x, theirs, ours);
    const struct child_conf *conf = best_child(x, theirs, ours);
    if (conf && conf->mode == MODE_TRANSPORT) return conf;
    *theirs = own_theirs;
    *ours = own_ours;
    x->nat_local = x->nat_remote = (struct addr){0};
    return best_child(x, theirs, ours);
}

// RFC 7296 1.2, 1.3.1: a key exchange value for another method than the chosen one costs the peer a
// round trip.
static enum fault ke_check(struct exchange *x)
{
    if (x->suite.ke == KE_NONE || x->suite.ke == x->ke) return OK;
    x->group_wanted = x->suite.ke;
    return FAULT_KE_GROUP_OTHER;
}

enum fault child_choose(struct exchange *x, const struct child *old, enum proposal_ke with_ke)
{
    struct sa *sa = x->sa;
    struct selectors theirs, ours;
    struct proposals *offered;
    size_t index;
    TRY(sa_payload_get(x, &offered));
    TRY(ts_pair_get(x, &theirs, &ours));
    if (sa->child_count >= sa->ike->settings.children_per_sa_max) return FAULT_CHILD_LIMIT;

    x->local = arena_new(&x->arena, sizeof *x->local);
    x->remote = arena_new(&x->arena, sizeof *x->remote);
    const struct child_conf *conf = old ? old->conf : child_find(x, &theirs, &ours);
    if (old && old->mode == MODE_TRANSPORT) mode_translate(x, &theirs, &ours);
    if (!conf || !child_fits(x, conf, &theirs, &ours, x->local, x->remote))
        return selectors_fault(x, &theirs, &ours);
    const struct proposals *mine = conf_proposals(conf);
    enum fault fault = proposals_choose(mine, offered, with_ke, x->ke, &x->suite, &index);
    if (fault == FAULT_NO_PROPOSAL_CHOSEN) return proposals_fault(x, mine, offered, with_ke);
    TRY(fault);
    if (with_ke == PROPOSAL_WITH_KE)
        TRY(ke_check(x));
    else
        x->suite.ke = KE_NONE;

    uint32_t spi;
    TRY(spi_get(&offered->at[index], &spi));
    TRY(mode_choose(x, conf));
    ipcomp_choose(x, conf);
    TRY(percpu_choose(x, conf, old));
    x->child = child_new(sa, old ? old->conn : sa->conn, conf);
    x->child->spi_out = spi;
    x->child->protocol = x->suite.protocol;
    return OK;
}

void child_write_answer(struct exchange *x, struct draft *draft)
{
    struct proposals *answer = arena_new(&x->arena, sizeof *answer);
    answer->count = 1;
    suite_proposal(&x->suite, &answer->at[0]);
    uint8_t number = answer->at[0].number;
    spi_set(answer, x->child->spi_in);
    answer->at[0].number = number; // RFC 7296 3.3.1: that of the proposal that was taken
    sa_write(draft_open(draft, PAYLOAD_SA), answer);
    draft_close(draft);
    if (x->nr_size) draft_bytes(draft, PAYLOAD_NONCE, exchange_nr(x));
    if (x->suite.ke != KE_NONE) {
        ke_write(draft_open(draft, PAYLOAD_KE), x->suite.ke, x->ke_public);
        draft_close(draft);
    }
    struct selectors theirs = *x->remote, ours = *x->local;
    mode_translate_back(x, &theirs, &ours);
    ts_pair_put(draft, x->child->conf, &theirs, &ours);
    mode_write(x, draft);
    ipcomp_write(x, draft);
    percpu_write(x, draft);
}

// --- concluding

enum fault child_agree(struct exchange *x, enum proposal_ke with_ke)
{
    struct selectors ours, theirs;
    struct proposals *answer;
    size_t index;
    TRY(sa_payload_get(x, &answer));
    TRY(ts_pair_get(x, &ours, &theirs));
    TRY(proposals_accept(x->offered, answer, with_ke, &x->suite, &index));
    if (with_ke == PROPOSAL_WITHOUT_KE) x->suite.ke = KE_NONE;
    TRY(spi_get(&answer->at[0], &x->child->spi_out));
    x->child->protocol = x->suite.protocol;
    // RFC 7296 2.9: what comes back lies within what was offered.
    if (ours.count == 0 || theirs.count == 0 || !selectors_within(&ours, x->local) ||
        !selectors_within(&theirs, x->remote))
        return FAULT_TS_NOT_OFFERED;
    tidy(&ours);
    tidy(&theirs);
    TRY(label_agree(x));
    bool narrowed = !selectors_equal(&ours, x->local) || !selectors_equal(&theirs, x->remote);
    if (narrowed && !x->task) alert(x->sa->ike, x->sa, "ts-narrowed");
    *x->local = ours;
    *x->remote = theirs;
    TRY(mode_agree(x));
    TRY(ipcomp_agree(x));
    return percpu_agree(x);
}
