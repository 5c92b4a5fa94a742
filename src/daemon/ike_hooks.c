// SPDX-License-Identifier: Apache-2.0
// Children whose connection names an updown program: `cygnet hooks`, which runs it, is told when they come and go, and what their
// names are; the program itself it asks the control role for, since this role reads what peers send. Where nobody runs such
// programs the log says so.
#include "daemon/ike_view.h"
#include "daemon/vici.h"
#include <event2/event.h>

enum { HOOKS_WAIT_SECONDS = 10 };   // at start the daemon may be there before them

bool ike_hooks_run(const struct ike_role *role)
{
    return role->listeners & 1u << VICI_CHILD_HOOK;
}

static void missing_say(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct ike_role *role = context;
    if (ike_hooks_run(role)) return;
    role->hooks_missed = true;
    role_log(ROLE_IKE, IKE_ERROR, FAULT_HOOKS_MISSING, "a child is up whose connection has updown");
}

static void missing_note(struct ike_role *role)
{
    if (role->hooks_missed) return;
    if (!role->hooks_timer) role->hooks_timer = evtimer_new(role->base, missing_say, role);
    if (event_pending(role->hooks_timer, EV_TIMEOUT, NULL)) return;
    evtimer_add(role->hooks_timer, &(struct timeval){.tv_sec = HOOKS_WAIT_SECONDS});
}

// Who runs the command knows the child by its number, whatever is left of it here.
static void down_tell(struct ike_role *role, uint32_t child_id)
{
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    tree_add_text(&arena, root, "verb", "down");
    number_add(&arena, root, "uniqueid", child_id);
    tree_send(role, MESSAGE_EVENT, 0, "child-hook", root, true);
    arena_free(&arena);
}

void ike_hooks_event(struct ike_role *role, const struct ike_event *event)
{
    static const char *const verbs[] = {[IKE_EVENT_CHILD_UP] = "up", [IKE_EVENT_CHILD_REKEYED] = "rekeyed"};
    const char *verb = event->kind < sizeof verbs / sizeof *verbs ? verbs[event->kind] : NULL;
    struct ike_sa_info sa;
    struct ike_child_info child;
    if (event->kind == IKE_EVENT_CHILD_DOWN && ike_hooks_run(role)) down_tell(role, event->child_id);
    if (!verb || !ike_sa_info(role->core, event->ike_id, &sa) || !sa.conn) return;
    if (!ike_child_info(role->core, event->ike_id, event->child_id, &child) || !child.conf->updown) return;
    if (!ike_hooks_run(role)) {
        if (event->kind == IKE_EVENT_CHILD_UP) missing_note(role);
        return;
    }
    role->hooks_missed = false;
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    tree_add_text(&arena, root, "verb", verb);
    if (event->kind == IKE_EVENT_CHILD_REKEYED) number_add(&arena, root, "old-uniqueid", event->old_child_id);
    ike_view_section(role, &sa, NULL, event->child_id, &arena, root);
    tree_send(role, MESSAGE_EVENT, 0, "child-hook", root, true);
    arena_free(&arena);
}
