// SPDX-License-Identifier: Apache-2.0
// How a child's packets are carried. Whoever asks names the mode by a notify, and it is taken when
// the answer repeats it; without it the child is in tunnel mode:
//
//     transport            USE_TRANSPORT_MODE (RFC 7296 1.3.1), between the two hosts themselves
//     BEET                 USE_BEET_MODE, for one inner address on each side
//     IP-TFS               USE_AGGFRAG (RFC 9347 5.1), see iptfs.c
//     gateway transport    USE_GATEWAY_TRANSPORT with our mark in it: mode = transport with
//     networks
//                          as selectors. Only a cygnet knows what is meant, so nothing else is
//                          taken.
//
// What was asked for and what has come of it are said wherever a child is shown.
#include "ike/internal.h"

// Others may use the same private number for something else: this is how ours is known.
static const char gateway_mark[] = "cygnet gateway transport 1";

// clang-format off
static const struct mode_row {
    uint8_t mode;
    uint16_t notify;
    const char *data;
} mode_rows[] = {
    {MODE_TRANSPORT,         NOTIFY_USE_TRANSPORT_MODE,    ""},
    {MODE_BEET,              NOTIFY_USE_BEET_MODE,         ""},
    {MODE_IPTFS,             NOTIFY_USE_AGGFRAG,           ""},
    {MODE_GATEWAY_TRANSPORT, NOTIFY_USE_GATEWAY_TRANSPORT, gateway_mark},
};
// clang-format on

// RFC 7296 3.12: private numbers mean what the maker named by a vendor ID means by them. That of
// USE_BEET_MODE is strongSwan's, which takes it from those only that send this: MD5("strongSwan").
static const uint8_t beet_vendor[] = {0x88, 0x2f, 0xe5, 0x6d, 0x6f, 0xd2, 0x0d, 0xbc,
                                      0x22, 0x51, 0x61, 0x3b, 0x2e, 0xbe, 0x5b, 0xeb};

static const char declined[] = "the peer did not take it",
                  not_asked[] = "the peer did not ask for it",
                  not_pair[] = "its selectors are not one address on each side",
                  not_ah[] = "AH has no such mode";

// --- which mode

static bool is_host(const struct selectors *set, const struct addr *addr)
{
    for (unsigned i = 0; i < set->count; i++)
        if (!addr_equal(&set->at[i].range.low, addr) || !addr_equal(&set->at[i].range.high, addr))
            return false;
    return set->count > 0;
}

static bool is_pair(const struct selectors *local, const struct selectors *remote)
{
    return is_host(local, &local->at[0].range.low) && is_host(remote, &remote->at[0].range.low) &&
           local->at[0].range.low.family == remote->at[0].range.low.family;
}

// The peer has shown that it does not take part: then it is one tunnel for all.
static bool is_declined(const struct exchange *x)
{
    return x->sa->bits & BEET_DECLINED;
}

// What the configured mode means for these selectors.
static uint8_t mode_meant(const struct exchange *x, const struct child_conf *conf, const char **why)
{
    const struct path *path = &x->sa->path;
    *why = NULL;
    switch (conf->mode) {
    case MODE_TRANSPORT:
        return is_host(x->local, &path->local.addr) && is_host(x->remote, &path->remote.addr)
                   ? MODE_TRANSPORT
                   : MODE_GATEWAY_TRANSPORT;
    case MODE_BEET:
        *why = !is_pair(x->local, x->remote) ? (is_declined(x) ? declined : not_pair)
               : !conf->esp.count            ? not_ah
                                             : NULL;
        return *why ? MODE_TUNNEL : MODE_BEET;
    case MODE_IPTFS:
        *why = conf->esp.count ? NULL : not_ah;
        return *why ? MODE_TUNNEL : MODE_IPTFS;
    default:
        return conf->mode;
    }
}

static enum fault mode_possible(const struct exchange *x, const struct child_conf *conf,
                                uint8_t mode, uint8_t protocol)
{
    bool encap = nat_encap(x->sa);
    if (protocol == PROTOCOL_AH && encap) return FAULT_AH_NAT;
    bool gateway = mode == MODE_GATEWAY_TRANSPORT;
    if (gateway && conf->mark_sealed) return FAULT_GATEWAY_TRANSPORT_MARK;
    return gateway && (encap || protocol == PROTOCOL_AH) ? FAULT_GATEWAY_TRANSPORT_WAY : OK;
}

static bool mode_named(const struct message *message, const struct mode_row *row)
{
    struct notify notify;
    if (row->mode == MODE_IPTFS) return iptfs_named(message);
    if (!message_notify(message, row->notify, &notify)) return false;
    return row->data[0] == 0 || bytes_equal(notify.data, bytes_of_text(row->data));
}

// The first that the message names; MODE_TUNNEL: none.
static uint8_t message_mode(const struct message *message)
{
    for (size_t i = 0; i < sizeof mode_rows / sizeof *mode_rows; i++)
        if (mode_named(message, &mode_rows[i])) return mode_rows[i].mode;
    return MODE_TUNNEL;
}

static enum fault mode_settle(struct exchange *x, const struct child_conf *conf)
{
    struct notify notify;
    x->takes_no_padding = message_notify(&x->in, NOTIFY_ESP_TFC_PADDING_NOT_SUPPORTED, &notify);
    TRY(mode_possible(x, conf, x->mode, x->suite.protocol));
    return conf->strict_mode && x->mode_why ? exchange_why(x, FAULT_MODE_REFUSED, "%s", x->mode_why)
                                            : OK;
}

// --- ask

void mode_offer(struct exchange *x, const struct child_conf *conf, const struct child *old)
{
    x->mode = mode_meant(x, conf, &x->mode_why);
    if (old) { // RFC 7296 2.9.2: what is rekeyed is asked for as it was agreed
        x->mode = old->mode;
        x->mode_why = old->mode_why;
    }
    enum fault fault = mode_possible(x, conf, x->mode, conf->esp.count ? PROTOCOL_ESP : PROTOCOL_AH);
    if (fault)
        report(x->sa->ike, (struct subject){.sa = x->sa, .child = conf->name}, IKE_ERROR, fault,
               "the child will not come up: %s", fault_sentence(fault));
}

void mode_write(const struct exchange *x, struct draft *draft)
{
    for (size_t i = 0; i < sizeof mode_rows / sizeof *mode_rows; i++)
        if (mode_rows[i].mode == x->mode && x->mode != MODE_IPTFS)
            draft_notify(draft, mode_rows[i].notify, bytes_of_text(mode_rows[i].data));
    if (x->mode == MODE_IPTFS) iptfs_write(x, draft);
    // RFC 4303 2.7: only where whole packets are carried do those say themselves how long they are.
    bool whole = x->mode == MODE_TUNNEL || x->mode == MODE_IPTFS;
    bool padding = whole && x->child->protocol == PROTOCOL_ESP;
    if (!padding) draft_notify(draft, NOTIFY_ESP_TFC_PADDING_NOT_SUPPORTED, BYTES_NONE);
}

bool mode_has_beet(const struct conn *conn)
{
    for (size_t i = 0; i < conn->child_count; i++)
        if (conn->children[i].mode == MODE_BEET) return true;
    return false;
}

// Which connection is meant the responder does not know yet.
void mode_vendor_write(const struct sa *sa, struct draft *draft)
{
    bool beet = sa->initiator ? mode_has_beet(sa->conn) : sa->ike->candidates.want_beet > 0;
    if (beet) draft_bytes(draft, PAYLOAD_VENDOR, BYTES_ARRAY(beet_vendor));
}

bool mode_pair_of(const struct flow *flow, struct selectors *local, struct selectors *remote)
{
    struct selectors here = {1, {selector_of_addr(&flow->source)}},
                     there = {1, {selector_of_addr(&flow->destination)}};
    struct selectors here_part, there_part;
    if (!selectors_narrow(local, &here, &here_part) ||
        !selectors_narrow(remote, &there, &there_part))
        return false;
    *local = here_part;
    *remote = there_part;
    return true;
}

// --- BEET for networks: a child for each pair of addresses

enum { BEET_PAIRS_MAX = 256, BEET_IDLE_SECONDS = 600 };

static bool all_single(const struct selectors *set, uint32_t dynamic)
{
    for (unsigned i = 0; i < set->count; i++)
        if (!(dynamic >> i & 1) && !addr_equal(&set->at[i].range.low, &set->at[i].range.high))
            return false;
    return true;
}

bool mode_is_on_demand(const struct child_conf *conf)
{
    return conf->mode == MODE_BEET && conf->action <= POLICY_PROTECT && conf->esp.count &&
           !(all_single(&conf->local_ts, conf->local_dynamic) &&
             all_single(&conf->remote_ts, conf->remote_dynamic));
}

void mode_wait_for_packets(struct ike *ike, struct loaded *loaded, const struct child_conf *conf,
                           uint32_t command)
{
    report(ike, (struct subject){.conn = loaded->conn, .child = conf->name, .command = command},
           IKE_INFO, OK,
           "BEET mode between networks: each pair of addresses gets its child when a packet calls");
    policy_trap(ike, loaded, conf);
    command_done(ike, command, OK, NULL);
}

static bool is_in_use(const struct child *child)
{
    return child->state == CHILD_INSTALLED || child->state == CHILD_REKEYING;
}

static bool child_covers(const struct child *child, const struct flow *flow)
{
    struct selectors local, remote;
    policy_sides(child->policy, &local, &remote);
    return selectors_match(&local, &remote, flow);
}

bool mode_pair_is_there(const struct sa *sa, const struct child_conf *conf, const struct flow *flow)
{
    LIST_EACH (const struct child, link, child, &sa->children)
        if (is_in_use(child) && strcmp(child->conf->name, conf->name) == 0 &&
            child_covers(child, flow))
            return true;
    const struct task *running = sa->asking ? sa->asking->task : NULL;
    if (running && running->kind == TASK_CHILD && running->flow &&
        addr_equal(&running->flow->source, &flow->source) &&
        addr_equal(&running->flow->destination, &flow->destination))
        return true;
    LIST_EACH (const struct task, link, task, &sa->tasks)
        if (task->kind == TASK_CHILD && task->flow &&
            addr_equal(&task->flow->source, &flow->source) &&
            addr_equal(&task->flow->destination, &flow->destination))
            return true;
    return false;
}

bool mode_pair_may_come(const struct sa *sa, const struct child_conf *conf)
{
    unsigned count = 0;
    LIST_EACH (const struct child, link, child, &sa->children)
        count += is_in_use(child) && strcmp(child->conf->name, conf->name) == 0;
    return count < BEET_PAIRS_MAX;
}

struct flow mode_pair_flow(const struct child *child)
{
    struct selectors local, remote;
    policy_sides(child->policy, &local, &remote);
    return (struct flow){.source = local.at[0].range.low, .destination = remote.at[0].range.low};
}

nsec mode_inactivity(const struct child *child)
{
    const struct child_conf *conf = child->conf;
    if (conf->inactivity || child->mode != MODE_BEET || !mode_is_on_demand(conf))
        return conf->inactivity;
    return nsec_seconds(BEET_IDLE_SECONDS);
}

// --- conclude

// RFC 7296 1.3.1: without the notify in the answer it is tunnel mode, which is taken where another
// was offered.
enum fault mode_agree(struct exchange *x)
{
    uint8_t got = message_mode(&x->in);
    if (got != MODE_TUNNEL && got != x->mode) return FAULT_MODE_OTHER;
    // RFC 9347 5.1: the peer has it in use; without it there can be no child.
    const char *why = got == MODE_IPTFS ? iptfs_agree(x) : NULL;
    if (why) return exchange_why(x, FAULT_IPTFS_DEMANDS, "%s", why);
    if (got != x->mode) {
        if (x->mode == MODE_GATEWAY_TRANSPORT) return FAULT_GATEWAY_TRANSPORT_PEER;
        if (x->mode == MODE_BEET) x->sa->bits |= BEET_DECLINED;
        x->mode = MODE_TUNNEL;
        x->mode_why = declined;
    }
    return mode_settle(x, x->child->conf);
}

// --- answer: addresses that a NAT changes

static void set_addr(struct selectors *set, const struct addr *addr)
{
    for (unsigned i = 0; i < set->count; i++) set->at[i].range = (struct range){*addr, *addr};
}

// RFC 7296 2.23.1: in transport mode each side names one address, the one that it knows. Behind a
// NAT that is not the one that packets have when they come here.
bool mode_translate(struct exchange *x, struct selectors *theirs, struct selectors *ours)
{
    const struct sa *sa = x->sa;
    struct addr theirs_addr = theirs->at[0].range.low, ours_addr = ours->at[0].range.low;
    x->nat_local = x->nat_remote = (struct addr){0};
    if (!mode_named(&x->in, &mode_rows[0]) || !is_host(theirs, &theirs_addr) ||
        !is_host(ours, &ours_addr))
        return false;
    if (sa->bits & NAT_REMOTE) {
        x->nat_remote = theirs_addr;
        set_addr(theirs, &sa->path.remote.addr);
    }
    if (sa->bits & NAT_LOCAL) {
        x->nat_local = ours_addr;
        set_addr(ours, &sa->path.local.addr);
    }
    return sa->bits & (NAT_REMOTE | NAT_LOCAL);
}

void mode_translate_back(const struct exchange *x, struct selectors *theirs, struct selectors *ours)
{
    if (x->nat_remote.family) set_addr(theirs, &x->nat_remote);
    if (x->nat_local.family) set_addr(ours, &x->nat_local);
}

static bool child_has_selectors(const struct child *child, const struct exchange *x)
{
    struct selectors local, remote;
    policy_sides(child->policy, &local, &remote);
    return selectors_equal(&local, x->local) && selectors_equal(&remote, x->remote);
}

// RFC 7296 2.23.1: hosts behind one NAT look the same from here. What is for one of them must not
// go to another.
static bool nat_taken(const struct exchange *x)
{
    const struct sa *own = x->sa;
    LIST_EACH (const struct sa, link, sa, &own->ike->sas) {
        if (!addr_equal(&sa->path.remote.addr, &own->path.remote.addr)) continue;
        if (identity_equal(&sa->remote_id, &own->remote_id)) continue;
        LIST_EACH (const struct child, link, child, &sa->children)
            if (child->mode == MODE_TRANSPORT && child_has_selectors(child, x)) return true;
    }
    return false;
}

// --- answer

enum fault mode_choose(struct exchange *x, const struct child_conf *conf)
{
    uint8_t asked = message_mode(&x->in);
    x->mode = mode_meant(x, conf, &x->mode_why);
    if (x->mode != asked) {
        if (x->mode == MODE_GATEWAY_TRANSPORT)
            return exchange_why(x, FAULT_GATEWAY_TRANSPORT_PEER, "the peer asks for %s mode",
                                mode_text(asked));
        if (x->mode != MODE_TUNNEL) x->mode_why = not_asked;
        x->mode = MODE_TUNNEL;
    }
    const char *why = x->mode == MODE_IPTFS ? iptfs_agree(x) : NULL;
    if (why) {
        x->mode = MODE_TUNNEL;
        x->mode_why = why;
    }
    bool shared = x->mode == MODE_TRANSPORT && x->nat_remote.family && nat_taken(x);
    return shared ? FAULT_TRANSPORT_NAT_TAKEN : mode_settle(x, conf);
}

// --- to be told

void mode_announce(const struct child *child)
{
    struct ike *ike = child->sa->ike;
    const struct child_conf *conf = child->conf;
    if (child->mode_why) {
        report(ike, ABOUT_CHILD(child), IKE_ERROR, FAULT_MODE_FALLBACK,
               "mode asked %s, mode got %s: %s", mode_text(conf->mode), mode_text(child->mode),
               child->mode_why);
        alert(ike, child->sa, "mode-fallback");
    }
    if (conf->tfc_padding && (child->takes_no_padding || child->mode != MODE_TUNNEL))
        report(ike, ABOUT_CHILD(child), IKE_ERROR, OK, "packets are not padded: %s",
               child->mode != MODE_TUNNEL ? "that is for tunnel mode"
                                          : "the peer does not take padding off");
}
