// SPDX-License-Identifier: Apache-2.0
// Exchanges of both ends that cross (RFC 7296 2.8.1, 2.8.2, 2.25):
//
//     the peer wants to   while we                       it gets
//     rekey a child       delete it                      TEMPORARY_FAILURE
//                         rekey it                       an answer; the lowest nonce loses
//                         do not have it                 CHILD_SA_NOT_FOUND
//                         rekey or delete the IKE SA     TEMPORARY_FAILURE
//     create a child      rekey or delete the IKE SA     TEMPORARY_FAILURE
//     rekey the IKE SA    create, rekey, delete a child  TEMPORARY_FAILURE
//                         rekey it                       an answer; the lowest nonce loses
//                         delete it                      TEMPORARY_FAILURE
//     delete a child      delete it                      an empty answer
//                         rekey it                       an answer; our rekeying comes to nothing
//     delete the IKE SA   anything                       an answer; all else is forgotten
#include "ike/internal.h"

static struct bytes lower(struct bytes a, struct bytes b)
{
    return bytes_compare(a, b) < 0 ? a : b;
}

struct rival *rival_new(uint32_t id, const struct exchange *theirs)
{
    struct rival *rival = NEW(struct rival);
    struct bytes nonce = lower(exchange_ni(theirs), exchange_nr(theirs));
    rival->id = id;
    memcpy(rival->nonce, nonce.at, nonce.size);
    rival->nonce_size = (uint16_t)nonce.size;
    return rival;
}

// RFC 7296 2.8.1: of two redundant SAs the one made with the lowest of the four nonces is closed by
// the end that made it.
bool nonces_lose(const struct exchange *ours, const struct rival *rival)
{
    struct bytes own = lower(exchange_ni(ours), exchange_nr(ours));
    return bytes_compare(own, bytes_of(rival->nonce, rival->nonce_size)) < 0;
}

static const struct plan *plan_under_way(const struct sa *sa)
{
    return sa->asking ? sa->asking->plan : NULL;
}

// RFC 7296 2.25.2: nothing is made in an IKE SA that is about to be replaced or closed.
enum fault child_may_create(struct exchange *x)
{
    const struct sa *sa = x->sa;
    if (sa->state != ESTABLISHED) return exchange_why(x, FAULT_BUSY, "the IKE SA is being closed");
    const struct plan *plan = plan_under_way(sa);
    if (plan == &plan_rekey_ike || plan == plan_rekey_ike.followup)
        return exchange_why(x, FAULT_BUSY, "the IKE SA is being rekeyed");
    if (plan == &plan_delete_ike) return exchange_why(x, FAULT_BUSY, "the IKE SA is being closed");
    return OK;
}

// RFC 7296 2.25.1.
enum fault child_may_rekey(struct exchange *x, struct child *old)
{
    TRY(child_may_create(x));
    if (old->state == CHILD_DELETING || old->state == CHILD_REKEYED || old->replaced_by)
        return exchange_why(x, FAULT_BUSY, "the child is being closed");
    // RFC 9370 2.2.4: which of two crossing requests goes on is settled before the further rounds.
    if (plan_under_way(x->sa) == plan_rekey_child.followup && x->sa->asking->old_id == old->id)
        return exchange_why(x, FAULT_BUSY, "the child is being rekeyed");
    return OK;
}

// RFC 7296 2.25.1, 2.25.2.
enum fault ike_may_rekey(struct exchange *x)
{
    const struct sa *sa = x->sa;
    if (sa->state != ESTABLISHED) return exchange_why(x, FAULT_BUSY, "the IKE SA is being closed");
    const struct plan *plan = plan_under_way(sa);
    if (!plan || plan == &plan_liveness || plan == &plan_path_mtu) return OK;
    if (plan == &plan_rekey_ike && sa->asking->is_sent) return OK;
    if (plan == &plan_delete_ike) return exchange_why(x, FAULT_BUSY, "the IKE SA is being closed");
    if (plan == plan_rekey_ike.followup)
        return exchange_why(x, FAULT_BUSY, "the IKE SA is being rekeyed");
    return exchange_why(x, FAULT_BUSY, "one of its children is being created, rekeyed or closed");
}
