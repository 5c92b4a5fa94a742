// SPDX-License-Identifier: Apache-2.0
// NAT traversal (RFC 7296 2.23, RFC 3948): whether there is a NAT, the change to port 4500, and
// following a peer behind one.
//
//     NAT_DETECTION_SOURCE_IP       SHA-1(SPIi | SPIr | address | port), of where the sender thinks
//                                   to send from
//     NAT_DETECTION_DESTINATION_IP  the same, of where it sends to
#include "ike/internal.h"
#include "ike/roam.h"

static void place_hash(uint64_t spi_i, uint64_t spi_r, const struct endpoint *place,
                       uint8_t out[20])
{
    uint8_t spis[16], port[2] = {(uint8_t)(place->port >> 8), (uint8_t)place->port};
    struct wr spis_out = wr_over(spis, sizeof spis);
    wr_u64(&spis_out, spi_i);
    wr_u64(&spis_out, spi_r);
    sha1(PIECES(BYTES_ARRAY(spis), addr_bytes(&place->addr), BYTES_ARRAY(port)), out);
}

// With encap = yes the source is one that nobody has, so that the peer sees a NAT where there is
// none.
void nat_offer(const struct sa *sa, struct draft *draft, uint64_t spi_i, uint64_t spi_r,
               const struct path *path)
{
    uint8_t source[20], destination[20];
    struct endpoint nowhere = {.addr = addr_any((enum addr_family)path->local.addr.family)};
    place_hash(spi_i, spi_r, sa->conn->encap ? &nowhere : &path->local, source);
    place_hash(spi_i, spi_r, &path->remote, destination);
    draft_notify(draft, NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_ARRAY(source));
    draft_notify(draft, NOTIFY_NAT_DETECTION_DESTINATION_IP, BYTES_ARRAY(destination));
}

enum found { NOT_SENT, DIFFERS, SAME };

// RFC 7296 2.23: there may be several source hashes; one that fits is enough.
static enum found notify_compare(const struct message *message, uint16_t type,
                                 const struct endpoint *place)
{
    enum found found = NOT_SENT;
    uint8_t hash[20];
    place_hash(message->header.spi_i, message->header.spi_r, place, hash);
    for (size_t i = 0; i < message->payloads->count; i++) {
        struct notify notify;
        const struct payload *payload = &message->payloads->at[i];
        if (payload->type != PAYLOAD_NOTIFY || notify_read(payload->body, &notify) != OK ||
            notify.type != type)
            continue;
        if (bytes_equal(notify.data, BYTES_ARRAY(hash))) return SAME;
        found = DIFFERS;
    }
    return found;
}

void nat_agree(struct sa *sa, const struct message *message)
{
    // RFC 9329 6.5: over TCP nothing depends on it, and our port is not what the message came to.
    if (message->path.stream) return;
    enum found remote =
        notify_compare(message, NOTIFY_NAT_DETECTION_SOURCE_IP, &message->path.remote);
    enum found local =
        notify_compare(message, NOTIFY_NAT_DETECTION_DESTINATION_IP, &message->path.local);
    sa->bits &= ~(uint32_t)(NAT_LOCAL | NAT_REMOTE | NAT_SEEN | ENCAP_FORCED);
    if (remote == NOT_SENT && local == NOT_SENT) return; // the peer does not do NAT traversal
    sa->bits |= NAT_SEEN;
    if (remote == DIFFERS) sa->bits |= NAT_REMOTE;
    if (local == DIFFERS) sa->bits |= NAT_LOCAL;
    if (sa->conn->encap) sa->bits |= ENCAP_FORCED;
}

bool nat_is_asked(const struct message *message)
{
    struct notify notify;
    return message_notify(message, NOTIFY_NAT_DETECTION_SOURCE_IP, &notify) &&
           message_notify(message, NOTIFY_NAT_DETECTION_DESTINATION_IP, &notify);
}

// RFC 4555 3.5: on another path there may be a NAT, or none.
void nat_agree_again(struct sa *sa, const struct message *message)
{
    if (!nat_is_asked(message)) return;
    nat_agree(sa, message);
    bool keeps = sa->bits & NAT_LOCAL && sa->ike->settings.keepalive;
    if (!keeps)
        sa_set_timer(sa, TIMER_KEEPALIVE, NSEC_NEVER);
    else if (sa->timers[TIMER_KEEPALIVE] == NSEC_NEVER)
        sa_set_timer(sa, TIMER_KEEPALIVE, sa->ike->now + sa->ike->settings.keepalive);
}

bool nat_encap(const struct sa *sa)
{
    return sa->path.stream || sa->bits & (NAT_LOCAL | NAT_REMOTE | ENCAP_FORCED);
}

static void take_nat_port(struct sa *sa)
{
    sa->path.local.port = sa->ike->settings.port_nat;
    sa->path.encap = true;
}

// A peer that is not at the usual port understands messages with the marker only.
void nat_first_path(struct sa *sa)
{
    const struct ike_settings *settings = &sa->ike->settings;
    struct path *path = &sa->path;
    if (stream_first_path(sa)) return;
    if (!path->remote.port) path->remote.port = settings->port;
    bool usual = path->remote.port == 500 || path->remote.port == settings->port;
    path->encap = false;
    path->local.port = settings->port;
    if (!usual || sa->conn->local_port == settings->port_nat) take_nat_port(sa);
}

// RFC 7296 2.23: when there is a NAT on the way the initiator goes on from port 4500 to port 4500.
// RFC 4555 3.3: so does one that may move, as there may be a NAT later.
void nat_float(struct sa *sa)
{
    bool may_move = sa->conn->mobike && sa->bits & NAT_SEEN;
    if ((!nat_encap(sa) && !may_move) || sa->path.encap) return;
    take_nat_port(sa);
    sa->path.remote.port = sa->ike->settings.port_nat;
    report(sa->ike, ABOUT_SA(sa), IKE_DETAIL, OK, "%s: ports change to %u",
           sa->bits & NAT_LOCAL && sa->bits & NAT_REMOTE ? "NAT at both ends"
           : sa->bits & NAT_LOCAL                        ? "NAT before us"
           : sa->bits & NAT_REMOTE                       ? "NAT before the peer"
           : sa->bits & ENCAP_FORCED                     ? "NAT pretended (encap = yes)"
                                                         : "no NAT now, but paths may change",
           sa->path.local.port);
}

// RFC 3948 4: without other traffic a host behind a NAT keeps its mapping alive with a byte.
void nat_keepalive(struct sa *sa)
{
    static const uint8_t byte = 0xff;
    struct ike *ike = sa->ike;
    nsec last = sa->last_sent;
    LIST_EACH (const struct child, link, child, &sa->children)
        if (child->out.last_used > last) last = child->out.last_used;
    if (last + ike->settings.keepalive > ike->now) {
        sa_set_timer(sa, TIMER_KEEPALIVE, last + ike->settings.keepalive);
        return;
    }
    struct ike_out *out = out_new(ike, IKE_OUT_SEND);
    out->send.path = sa->path;
    out->send.bytes = bytes_of(&byte, 1);
    out->send.keepalive = true;
    sa->last_sent = ike->now;
    sa_set_timer(sa, TIMER_KEEPALIVE, ike->now + ike->settings.keepalive);
}

// --- a peer whose mapping changes

// RFC 7296 2.23: an end that is not behind a NAT follows the one that is; only messages that are
// authentic and new count.
static bool follows(const struct sa *sa)
{
    return sa->bits & NAT_REMOTE && !(sa->bits & NAT_LOCAL) && sa->path.encap;
}

static void remote_move(struct sa *sa, const struct endpoint *to)
{
    struct ike *ike = sa->ike;
    struct path former = sa->path;
    report(ike, ABOUT_SA(sa), IKE_INFO, OK, "peer has moved from %s to %s",
           endpoint_text(ike, &former.remote), endpoint_text(ike, to));
    sa->path.remote = *to;
    path_changed(sa, &former);
}

// RFC 4555 3.8: IKE alone moves no end of an SA that can be told to move.
void nat_heard_from(struct sa *sa, const struct path *path)
{
    if (stream_heard(sa, path)) return;
    if (!sa->mobility && follows(sa) && !endpoint_equal(&sa->path.remote, &path->remote))
        remote_move(sa, &path->remote);
}

void nat_child_moved(struct child *child, const struct endpoint *from)
{
    struct sa *sa = child->sa;
    if (sa->path.stream || endpoint_equal(&sa->path.remote, from)) return;
    if (follows(sa))
        remote_move(sa, from);
    else
        child->strayed = sa->mobility != NULL;
}
