// SPDX-License-Identifier: Apache-2.0
// IP-TFS: the mode in which packets are aggregated and cut (RFC 9347 5.1). Who asks says
// USE_AGGFRAG with an octet of demands on the other's sending, and the answer repeats it with its
// own:
//
//     D    it takes no fragments: no packet is cut for it
//     C    it wants reports on congestion, which then go with each payload of ours
//
// Which notify means which mode is in mode.c; here is what is particular to this one.
#include "ike/internal.h"

enum { AGGFRAG_DONT_FRAGMENT = 1, AGGFRAG_CONGESTION = 2, AGGFRAG_KNOWN = 3 };

void iptfs_write(const struct exchange *x, struct draft *draft)
{
    const struct child_conf *conf = x->child->conf;
    uint8_t flags = (uint8_t)((conf->iptfs_accept_fragments ? 0 : AGGFRAG_DONT_FRAGMENT) |
                              (conf->iptfs_congestion ? AGGFRAG_CONGESTION : 0));
    draft_notify(draft, NOTIFY_USE_AGGFRAG, bytes_of(&flags, 1));
}

// RFC 9347 5.1: it must not be combined with USE_TRANSPORT_MODE. Without its octet it says nothing.
static bool flags_of(const struct message *message, uint8_t *flags)
{
    struct notify notify;
    if (message_notify(message, NOTIFY_USE_TRANSPORT_MODE, &notify) ||
        !message_notify(message, NOTIFY_USE_AGGFRAG, &notify) || notify.data.size != 1)
        return false;
    *flags = notify.data.at[0];
    return true;
}

bool iptfs_named(const struct message *message)
{
    uint8_t flags;
    return flags_of(message, &flags);
}

// RFC 9347 5.1: with demands that are not understood or cannot be met the mode is not taken.
const char *iptfs_agree(struct exchange *x)
{
    uint8_t flags;
    if (!flags_of(&x->in, &flags)) return NULL;
    if (flags & ~AGGFRAG_KNOWN) return "the peer demands something unknown of it";
    x->peer_takes_whole = flags & AGGFRAG_DONT_FRAGMENT;
    x->peer_wants_reports = flags & AGGFRAG_CONGESTION;
    return NULL;
}

void iptfs_spec(const struct child *child, enum sa_direction direction, struct sa_iptfs *spec)
{
    const struct child_conf *conf = child->conf;
    if (child->mode != MODE_IPTFS) return;
    // RFC 9347 3: to hear of its own direction each end needs the clock of the other.
    spec->reports = child->peer_wants_reports || conf->iptfs_congestion;
    if (direction == SA_IN) {
        spec->reorder_window = conf->iptfs_reorder_window;
        spec->drop_time = conf->iptfs_drop_time;
        return;
    }
    spec->packet_size = conf->iptfs_packet_size;
    spec->rate = conf->iptfs_rate;
    spec->congestion = conf->iptfs_congestion;
    spec->dscp = conf->iptfs_dscp;
    spec->init_delay = conf->iptfs_init_delay;
    spec->whole = child->peer_takes_whole || conf->iptfs_dont_frag;
}
