// SPDX-License-Identifier: Apache-2.0
// IKE and ESP over TCP (RFC 9329), for networks that let no UDP through. The connections belong to
// the data plane; here a path that says `stream` is one of them:
//
//     tcp = yes        the initiator connects to port 4500 of the peer at once
//     tcp = fallback   it does when IKE_SA_INIT was sent by UDP and sent again without an answer
//
// The local port of such a path is a label, for the kernel chooses the real one; so nobody learns
// of NATs, and with TCP nobody needs to.
#include "ike/internal.h"
#include "ike/roam.h"

enum {
    PORT_IKE = 500,
    PORT_STREAM = 4500,
    UDP_TRIES = 2,
    AGAIN_AFTER_MS = 1000,
    PORT_LABELS = 65535
};

bool stream_first_path(struct sa *sa)
{
    struct path *path = &sa->path;
    bool wanted = sa->conn->tcp == TCP_ALWAYS || (sa->handshake && sa->handshake->by_stream);
    if (!wanted) return false;
    if (!path->remote.port || path->remote.port == PORT_IKE) path->remote.port = PORT_STREAM;
    path->stream = path->encap = true;
    // RFC 9329 6.1: two IKE SAs do not share a connection.
    path->local.port = (uint16_t)(1 + rng_u64(sa->ike->rng) % PORT_LABELS);
    return true;
}

// RFC 9329 5.1: UDP first, and at least once more; then a new IKE SA begins, with an SPI of its
// own.
bool stream_fall_back(struct sa *sa, unsigned tries)
{
    bool may = sa->conn && sa->conn->tcp == TCP_FALLBACK && sa->state == EXPECT_SA_INIT &&
               !sa->path.stream;
    if (!may || tries < UDP_TRIES || sa->handshake->rumour) return false;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "%s does not answer by UDP; TCP is tried",
           endpoint_text(sa->ike, &sa->path.remote));
    struct sa *fresh = initiate_again(sa, 0);
    fresh->handshake->by_stream = true;
    fresh->handshake->candidate = sa->handshake->candidate;
    fresh->handshake->attempts = sa->handshake->attempts;
    sa_end(sa, OK, NULL);
    return true;
}

// RFC 9329 6.1: the end that others connect to follows the connection on which the last genuine
// message came.
bool stream_heard(struct sa *sa, const struct path *path)
{
    if (!sa->path.stream) return false;
    if (path->stream && sa->bits & BY_PEER && !path_equal(&sa->path, path)) {
        struct path former = sa->path;
        sa->path = *path;
        report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "peer goes on over a TCP connection from %s",
               endpoint_text(sa->ike, &path->remote));
        // Whoever opened a connection receives at its address: no further proof is needed to move.
        path_changed(sa, &former);
    }
    return true;
}

// RFC 9329 6.1, 6.2: whoever opened the connection opens it anew: what waits for an answer is sent
// again, else the peer is asked whether it lives, and learns of the new connection by that.
static void connection_lost(struct sa *sa)
{
    struct ike *ike = sa->ike;
    if (sa->bits & BY_PEER || sa->state != ESTABLISHED ||
        ike->now - sa->last_sent < AGAIN_AFTER_MS * NSEC_PER_MS)
        return;
    report(ike, ABOUT_SA(sa), IKE_INFO, OK, "the TCP connection to %s is lost and opened again",
           endpoint_text(ike, &sa->path.remote));
    if (sa->asking && sa->asking->is_sent) {
        packets_send(ike, sa, &sa->path, &sa->asking->sent);
        sa->last_sent = ike->now;
    } else if (!task_find(sa, TASK_LIVENESS, 0)) {
        task_add(sa, TASK_LIVENESS);
        sa_pump(sa);
    }
}

void stream_closed(struct ike *ike, const struct endpoint *local, const struct endpoint *remote)
{
    LIST_EACH (struct sa, link, sa, &ike->sas) {
        bool over_it = sa->path.stream && endpoint_equal(&sa->path.local, local) &&
                       endpoint_equal(&sa->path.remote, remote);
        if (over_it) connection_lost(sa);
    }
}
