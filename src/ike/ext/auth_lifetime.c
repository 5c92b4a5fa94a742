// SPDX-License-Identifier: Apache-2.0
// AUTH_LIFETIME (RFC 4478): the responder says how long it believes an authentication, and the
// initiator authenticates anew before that is over.
//
//     <--  HDR, SK{… AUTH …, N(AUTH_LIFETIME)(seconds)}     with IKE_AUTH, or later by itself
#include "ike/internal.h"

enum { MARGIN_PARTS = 10, MARGIN_LEAST_SECONDS = 10, SOONEST_SECONDS = 2 };

// As responder, with the last response of IKE_AUTH. The time at which we would begin ourselves is
// fixed now, so that it is the same one that the peer hears of.
void auth_lifetime_write(struct sa *sa, struct draft *draft)
{
    struct ike *ike = sa->ike;
    const struct conn *conn = sa->conn;
    uint8_t space[4];
    struct wr out = wr_over(space, sizeof space);
    if (!conn->reauth_time) return;
    nsec left = jitter(ike, conn->reauth_time, conn->rand_time);
    // RFC 5723 5: resuming a session does not put off its next authentication.
    nsec due = sa->timers[TIMER_REAUTH];
    if (is_resumed(sa) && due != NSEC_NEVER && due - ike->now < left) left = due - ike->now;
    sa_set_timer(sa, TIMER_REAUTH, ike->now + left);
    uint64_t seconds = (uint64_t)left / NSEC_PER_SECOND;
    wr_u32(&out, seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds);
    draft_notify(draft, NOTIFY_AUTH_LIFETIME, wr_done(&out));
}

// RFC 4478 3: the initiator authenticates anew before the time is over. It takes effect only where
// it shortens what is configured here, and never makes us run in circles.
void auth_lifetime_heed(struct sa *sa, const struct message *message)
{
    struct notify notify;
    if (sa->bits & BY_PEER || !message_notify(message, NOTIFY_AUTH_LIFETIME, &notify)) return;
    struct rd in = rd_over(notify.data);
    uint32_t seconds = rd_u32(&in);
    if (rd_end(&in) != OK) return;
    nsec lifetime = nsec_seconds(seconds), margin = lifetime / MARGIN_PARTS;
    if (margin < nsec_seconds(MARGIN_LEAST_SECONDS)) margin = nsec_seconds(MARGIN_LEAST_SECONDS);
    if (margin > lifetime / 2) margin = lifetime / 2;
    nsec left = jitter(sa->ike, lifetime - margin, margin / 2);
    if (left < nsec_seconds(SOONEST_SECONDS)) left = nsec_seconds(SOONEST_SECONDS);
    if (sa->ike->now + left >= sa->timers[TIMER_REAUTH]) return;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK,
           "the peer believes the authentication for %u s; it is done anew in %d s", seconds,
           (int)(left / NSEC_PER_SECOND));
    sa_set_timer(sa, TIMER_REAUTH, sa->ike->now + left);
}
