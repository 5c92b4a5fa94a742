// SPDX-License-Identifier: Apache-2.0
// Requests are sent again until their response comes (RFC 7296 2.1, 2.4); the waits grow: 4, 7.2,
// 13, 23 and 42 seconds, and after 76 seconds more the peer is given up. Between these a request
// may go out once more without counting: when the peer is heard, so that what is lost on a bad link
// does not wait for a minute, and when an unprotected error came, which is believed when it comes
// again.
#include "ike/internal.h"
#include "ike/roam.h"

enum {
    TRIES_OF_THE_LIVING = 3,
    TRIES_OF_A_TICKET = 2,
    TRIES_OF_A_CANDIDATE = 2,
    TRIES_OF_THE_MOBILE = 3,
    HEARD_WAIT_SECONDS = 8,
    RUMOUR_WAIT_MS = 500,
};

static nsec wait_of_try(const struct ike_settings *settings, unsigned tries)
{
    if (tries > settings->retransmit_tries) tries = settings->retransmit_tries;
    double wait = (double)settings->retransmit_timeout;
    for (unsigned i = 0; i < tries && wait < 1e18; i++) wait *= settings->retransmit_base;
    return wait < 1e18 ? (nsec)wait : (nsec)1e18;
}

static void request_wait(struct exchange *x, nsec wait)
{
    x->is_hastened = false;
    x->due = x->sa->ike->now + wait;
    sa_set_timer(x->sa, TIMER_RETRANSMIT, x->due);
}

// Once more, beside the tries that count.
static void request_hasten(struct exchange *x, nsec at)
{
    if (x->is_hastened || at >= x->due || x->sa->path.stream) return;
    x->is_hastened = true;
    sa_set_timer(x->sa, TIMER_RETRANSMIT, at);
}

void request_rumoured(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (!x->is_again && !x->tries) request_hasten(x, sa->ike->now + nsec_ms(RUMOUR_WAIT_MS));
}

void request_heard(struct sa *sa)
{
    struct exchange *x = sa->asking;
    if (!x || !x->is_sent) return;
    nsec at = x->last_sent + nsec_seconds(HEARD_WAIT_SECONDS);
    request_hasten(x, at > sa->ike->now ? at : sa->ike->now);
}

void request_sent(struct exchange *x)
{
    struct sa *sa = x->sa;
    x->is_sent = true;
    x->tries = 0;
    x->first_sent = x->last_sent = sa->ike->now;
    x->is_again = x->sprayed = false;
    sa->last_sent = sa->ike->now;
    if (pmtu_probe_send(x)) return;
    packets_send(sa->ike, sa, exchange_path(x), &x->sent);
    request_wait(x, wait_of_try(&sa->ike->settings, 0));
}

void request_resend(struct sa *sa)
{
    struct exchange *x = sa->asking;
    if (!x || !x->is_sent) return;
    x->has_via = false;
    request_sent(x);
}

// RFC 7296 2.4: a peer that still sends genuine messages is not dead, though it may be hard to
// reach; it gets more tries.
static unsigned tries_of(const struct sa *sa, const struct exchange *x)
{
    unsigned tries = sa->ike->settings.retransmit_tries;
    // Another address of the peer may answer sooner.
    if (sa->handshake && sa->handshake->has_more && x->plan->exchange == EXCHANGE_IKE_SA_INIT)
        return tries < TRIES_OF_A_CANDIDATE ? tries : TRIES_OF_A_CANDIDATE;
    if (x->plan == &plan_resume) return tries < TRIES_OF_A_TICKET ? tries : TRIES_OF_A_TICKET;
    // RFC 4555 3.11: the end that does not decide gives the other one time to find a path.
    bool patient = sa->mobility && !path_decides(sa) && sa->state == ESTABLISHED;
    bool lives = sa->last_heard > x->first_sent || x->peer_asks_too;
    bool waits = task_find(sa, TASK_DELETE_IKE, 0) != NULL; // the end must not wait long
    if (patient && !waits && !x->is_rumoured) tries += TRIES_OF_THE_MOBILE;
    return lives && !waits ? tries + TRIES_OF_THE_LIVING : tries;
}

// An unprotected error that came meanwhile is the best explanation there is.
static void peer_given_up(struct sa *sa, struct exchange *x)
{
    struct ike *ike = sa->ike;
    // The gateway may have been replaced by one that does not know the exchange.
    if (x->plan == &plan_resume) {
        resume_fall_back(sa, "the gateway does not answer");
        return;
    }
    enum fault rumour = sa->handshake ? sa->handshake->rumour : OK;
    const char *why =
        arena_printf(&ike->arena, "%s to %s was sent %u times without an answer", x->plan->ask.name,
                     endpoint_text(ike, &sa->path.remote), x->tries + 1);
    alert(ike, sa, sa->handshake ? "peer-init-unreachable" : "retransmit-send-timeout");
    if (rumour)
        attempt_failed(sa, rumour, "its answer was not protected, and no other came");
    else if (sa->handshake)
        attempt_failed(sa, FAULT_PEER_UNREACHABLE, why);
    else
        sa_gone(sa, x->plan == &plan_liveness ? FAULT_PEER_LIVES_NOT : FAULT_PEER_UNREACHABLE, why);
}

// Without any way to the peer nothing is learnt from its silence, unless the SA shall go.
static bool waits_for_a_path(const struct sa *sa)
{
    return sa->mobility && sa->mobility->stranded && sa->state == ESTABLISHED &&
           !task_find(sa, TASK_DELETE_IKE, 0);
}

// An SA that was replaced does not look for ways itself.
static void path_of_the_heir(struct sa *sa)
{
    const struct sa *heir = sa->replaced_by ? sa_by_id(sa->ike, sa->replaced_by) : NULL;
    // RFC 5685: the heir may be with another gateway.
    bool same_peer = heir && heir->redirects.count == sa->redirects.count;
    if (sa->mobility && same_peer && heir->mobility && heir->state != DEAD) sa->path = heir->path;
}

// The try that counts comes when it is due all the same, so that a peer is given up no sooner and
// no later.
static void request_again(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct ike *ike = sa->ike;
    x->is_hastened = false;
    x->is_again = true;
    ike->stats.retransmits_sent++;
    report(ike, ABOUT_SA(sa), IKE_DETAIL, OK,
           "%s request is sent to %s again, as something is heard from there", x->plan->ask.name,
           endpoint_text(ike, &sa->path.remote));
    x->probe_lost = x->probe_size != 0; // this answer says nothing of its size
    packets_send(ike, sa, exchange_path(x), &x->sent);
    sa->last_sent = x->last_sent = ike->now;
    sa_set_timer(sa, TIMER_RETRANSMIT, x->due);
}

void request_retransmit(struct sa *sa)
{
    struct exchange *x = sa->asking;
    struct ike *ike = sa->ike;
    sa_set_timer(sa, TIMER_RETRANSMIT, NSEC_NEVER);
    if (!x || !x->is_sent) return;
    if (stream_fall_back(sa, x->tries)) return;
    if (waits_for_a_path(sa)) {
        request_wait(x, wait_of_try(&ike->settings, 0));
        return;
    }
    path_of_the_heir(sa);
    if (x->is_hastened) {
        request_again(x);
        return;
    }
    // RFC 7296 2.21.1: an unprotected error is not believed at once; when it has been repeated it
    // is.
    bool rumoured = sa->handshake && sa->handshake->rumour && x->tries >= 1;
    if (rumoured || x->tries >= tries_of(sa, x)) {
        peer_given_up(sa, x);
        return;
    }
    if (pmtu_probe_again(x)) return;
    x->tries++;
    ike->stats.retransmits_sent++;
    report(ike, ABOUT_SA(sa), IKE_DETAIL, OK, "%s request is sent to %s again (%u of %u)",
           x->plan->ask.name, endpoint_text(ike, &sa->path.remote), x->tries, tries_of(sa, x));
    if (x->tries == 1) alert(ike, sa, "retransmit-send");
    packets_send(ike, sa, exchange_path(x), pmtu_probe_packets(x));
    request_spray(x);
    sa->last_sent = x->last_sent = ike->now;
    request_wait(x, wait_of_try(&ike->settings, x->tries));
}

void request_answered(struct exchange *x)
{
    if (x->tries) alert(x->sa->ike, x->sa, "retransmit-send-cleared");
    x->is_sent = false;
    sa_set_timer(x->sa, TIMER_RETRANSMIT, NSEC_NEVER);
}
