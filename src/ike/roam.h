// SPDX-License-Identifier: Apache-2.0
// Our addresses and the paths of SAs that can move (roam.c), and what is said about them to peers
// that do MOBIKE (ext/mobike.c, RFC 4555).
#pragma once
#include "ike/state.h"

// --- roam.c
void address_in(struct ike *ike, const struct addr *addr, bool came);
bool own_address(const struct ike *ike, const struct addr *addr);
bool addr_reaches_far(const struct addr *addr); // neither of this host nor of a link or a group
size_t own_addresses(const struct sa *sa,
                     struct addr out[OWN_ADDRS_MAX]); // those that the connection may use
bool path_decides(const struct sa *sa);               // we do, not the peer
bool path_same(const struct path *a, const struct path *b); // but for encapsulation
bool path_is_proven(const struct sa *sa); // the peer receives where the SA's path leads
void path_set(struct sa *sa, const struct path *path, const char *why); // of IKE alone
void path_event(struct sa *sa, const struct path *former);
void path_children_follow(struct sa *sa);
void path_changed(struct sa *sa, const struct path *former); // by what was heard, and proven by it
void path_look_soon(struct sa *sa);
void path_due(struct sa *sa); // TIMER_PATH
void path_answered(struct sa *sa, const struct ike_answer *answer);
void path_heard(struct sa *sa, const struct path *by); // an authentic answer came by this one
void path_inherit(struct sa *to, struct sa *from);
void path_hand_over(struct sa *from, struct sa *to);
void request_spray(struct exchange *x);                        // a retransmission, along other paths
const struct path *exchange_path(const struct exchange *x); // where its request goes

// --- ext/mobike.c: messages
extern const struct plan plan_update, plan_addresses, plan_routability, plan_probe;
void mobike_offer(struct sa *sa, struct draft *draft); // in IKE_AUTH, with the SA payload
enum fault mobike_agree(struct exchange *x);
void mobike_update_wanted(struct sa *sa);
void mobike_addresses_wanted(struct sa *sa);
void mobike_addresses_check(struct sa *sa); // does the peer know of our addresses?
void mobike_probe(struct sa *sa, const struct path *path);
void mobike_ask_again(struct sa *sa, const struct exchange *x); // in the SA that replaces x's
void mobike_liveness_write(const struct exchange *x, struct draft *draft);
void mobike_liveness_heed(struct exchange *x);
// The peer's INFORMATIONAL request: read, written into the answer, done.
enum fault mobike_read(struct exchange *x);
void mobike_answer(const struct exchange *x, struct draft *draft);
void mobike_act(struct exchange *x);
