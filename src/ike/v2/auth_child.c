// SPDX-License-Identifier: Apache-2.0
// The first child, which is made along with the IKE SA (RFC 7296 1.2), or not at all (RFC 6023).
// Whatever becomes of it, the IKE SA stands (RFC 7296 2.21.2).
#include "ike/internal.h"
#include "ike/v2/auth.h"

enum fault first_child_keys(const struct exchange *x, struct secret *keymat)
{
    const struct handshake *handshake = x->sa->handshake;
    struct bytes ni = bytes_of(handshake->ni, handshake->ni_size),
                 nr = bytes_of(handshake->nr, handshake->nr_size);
    return keymat_child(x->sa, &x->suite, sk_d(x->sa), BYTES_NONE, ni, nr, BYTES_NONE, keymat);
}

void first_child_failed(struct exchange *x)
{
    struct sa *sa = x->sa;
    const char *name = x->child                   ? x->child->conf->name
                       : x->task && x->task->conf ? x->task->conf->name
                                                  : NULL;
    struct subject subject = {.sa = sa, .child = name, .command = x->task ? x->task->command : 0};
    report(sa->ike, subject, IKE_ERROR, x->child_fault, "IKE SA is up without a child: %s%s%s",
           fault_sentence(x->child_fault), x->child_why ? ": " : "",
           x->child_why ? x->child_why : "");
    if (x->child_fault == FAULT_NO_PROPOSAL_CHOSEN || x->child_fault == FAULT_PEER_NO_PROPOSAL)
        alert(sa->ike, sa, "proposal-mismatch-child");
    if (x->child_fault == FAULT_TS_UNACCEPTABLE || x->child_fault == FAULT_PEER_TS_UNACCEPTABLE)
        alert(sa->ike, sa, "ts-mismatch");
    if (x->child_fault == FAULT_POOLS_EXHAUSTED || x->child_fault == FAULT_POOLS_NONE ||
        x->child_fault == FAULT_PEER_ADDRESS)
        alert(sa->ike, sa, "vip-failure");
    alert(sa->ike, sa, "keep-on-child-sa-failure");
}

// --- ask

// RFC 6023 3: a first child can be left for an exchange of its own if the peer does without.
static bool is_childless(const struct sa *sa)
{
    bool wanted = sa->conn->childless == CHILDLESS_PREFER || sa->conn->childless == CHILDLESS_FORCE;
    return wanted && sa->bits & PEER_CHILDLESS;
}

// Which child comes with it: the first that waits. None: the IKE SA alone (RFC 6023).
enum fault auth_take_child(struct exchange *x)
{
    struct sa *sa = x->sa;
    if (is_childless(sa)) return OK;
    if (sa->conn->childless == CHILDLESS_FORCE) return FAULT_CHILDLESS_UNSUPPORTED;
    LIST_EACH (struct task, link, task, &sa->tasks) {
        if (task->kind != TASK_CHILD) continue;
        list_remove(&task->link);
        sa->task_count--;
        x->task = task;
        x->child = child_new(sa, task->conn, task->conf);
        return OK;
    }
    if (!(sa->bits & PEER_CHILDLESS)) return FAULT_CHILDLESS_UNSUPPORTED;
    return OK;
}

// --- conclude

// The child may have failed while the rest is good (RFC 7296 2.21.2).
enum fault auth_agree_child(struct exchange *x)
{
    struct notify notify;
    TRY(config_agree(x));
    if (!x->child || x->child_fault) return OK;
    bool complete = message_first(&x->in, PAYLOAD_SA) && message_first(&x->in, PAYLOAD_TSI) &&
                    message_first(&x->in, PAYLOAD_TSR);
    if (message_error(&x->in, &notify))
        x->child_fault = notify_fault(notify.type);
    else if (!complete)
        x->child_fault = FAULT_PAYLOAD_MISSING;
    else
        x->child_fault = child_agree(x, PROPOSAL_WITHOUT_KE);
    return OK;
}

// RFC 7296 3.15.4: whoever lacks the address that it must have may close the IKE SA. A child made
// in it later would use another address, and a new IKE SA is what asks again.
void close_without_address(struct sa *sa)
{
    wishes_leave(sa, FAULT_PEER_ADDRESS);
    LIST_EACH (struct task, link, task, &sa->tasks) {
        if (task->kind != TASK_CHILD) continue;
        task_failed(sa, task, FAULT_PEER_ADDRESS, NULL);
        task_drop(sa, task);
    }
    report(sa->ike, ABOUT_SA(sa), IKE_ERROR, FAULT_PEER_ADDRESS, "IKE SA is closed: %s",
           fault_sentence(FAULT_PEER_ADDRESS));
    task_add(sa, TASK_DELETE_IKE);
}

// --- answer

// What fails in these two fails the child only (RFC 7296 2.21.2).
enum fault auth_assign(struct exchange *x)
{
    x->child_fault = config_assign(x);
    // RFC 7296 2.21.2: what cannot be read is not a matter of the child alone.
    if (fault_notify(x->child_fault) == NOTIFY_INVALID_SYNTAX) return x->child_fault;
    x->child_why = x->why;
    x->why = NULL;
    return OK;
}

enum fault auth_choose_child(struct exchange *x)
{
    bool complete = message_first(&x->in, PAYLOAD_SA) && message_first(&x->in, PAYLOAD_TSI) &&
                    message_first(&x->in, PAYLOAD_TSR);
    if (!complete) return x->sa->conn->childless == CHILDLESS_NEVER ? FAULT_PAYLOAD_MISSING : OK;
    if (x->child_fault) return OK;
    x->why = NULL;
    x->child_fault = x->sa->conn->childless == CHILDLESS_FORCE
                         ? FAULT_CHILD_UNWANTED
                         : child_choose(x, NULL, PROPOSAL_WITHOUT_KE);
    x->child_why = x->why;
    x->why = NULL;
    return OK;
}
