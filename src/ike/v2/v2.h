// SPDX-License-Identifier: Apache-2.0
// What the files of v2 share with each other and with the core around them.
#pragma once
#include "ike/state.h"

// v2/rules.c
struct rule {
    uint8_t exchange;
    uint8_t kind;                                // enum message_kind
    uint16_t states;                             // 1 << enum sa_state
    uint32_t must, may;                          // payloads, see PAYLOAD_BIT
    bool (*when)(const struct message *message); // picks among rows of one exchange; NULL: any
    const struct recipe *recipe; // requests; a response belongs to its request's plan
};
#define PAYLOAD_BIT(type) (UINT32_C(1) << ((type)-PAYLOAD_SA))
extern const struct rule rules[];
extern const size_t rule_count;
enum fault rule_find(enum sa_state state, const struct message *message, const struct rule **out);

// v2: recipes and plans
extern const struct plan plan_sa_init, plan_auth, plan_child, plan_rekey_child, plan_rekey_ike,
    plan_delete_child, plan_delete_ike, plan_delete_spi, plan_liveness;
extern const struct recipe eap_answer, eap_auth_answer;
void eap_write_failure(const struct exchange *x, struct draft *draft);
void eap_wipe(struct eap_use *eap);
extern const struct recipe sa_init_answer, auth_answer, auth_round_answer, auth_refused_answer, child_answer, rekey_child_answer,
    rekey_ike_answer, informational_answer;
void child_deleted_early(const struct exchange *x, struct child *child);
void sa_init_receive(struct ike *ike, struct message *message);
bool sa_init_is_rumour(
    const struct sa *sa,
    const struct message *message); // an error that only a protected message could prove
void sa_init_rumour(struct sa *sa, const struct message *message);
// What IKE_SA_INIT and IKE_SESSION_RESUME have in common.
enum fault sa_init_resolve(struct exchange *x);
enum fault sa_init_resolved(struct exchange *x, struct ike_answer *answer);
void first_request_send(struct exchange *x, struct draft *draft);
enum fault first_answer_take(struct exchange *x); // SPI, extensions, the message itself
void first_nonces(const struct exchange *x);
void first_extensions(struct sa *sa, const struct message *message);
bool first_again(struct ike *ike, const struct message *message); // it came before; then that is all
// Reads a first request, and asks for a cookie where that is due: then that is all, and it is false. Else the fault says whether
// it may go on.
bool first_read(struct ike *ike, struct message *message, enum fault *fault);
void first_refuse(struct ike *ike, const struct message *message, enum fault fault);
struct exchange *first_answer_begin(struct ike *ike, const struct message *message,
                                    struct conn *conn);
void first_response_send(struct exchange *x, struct draft *draft);
enum { WANT_CERTS = 1, WANT_RAW_KEYS = 2, WANT_BEET = 4 };
unsigned certs_wanted(const struct conn *conn);
void certreqs_heed(struct sa *sa, const struct message *message);
void certreq_write(const struct sa *sa, struct draft *draft,
                   size_t limit); // as many anchors as fit limit bytes

// v2/collide.c
bool nonces_lose(const struct exchange *ours,
                 const struct rival *rival); // has ours the lowest of the four?
struct rival *rival_new(uint32_t id, const struct exchange *theirs);
enum fault child_may_rekey(struct exchange *x, struct child *old); // the peer asks for it
enum fault ike_may_rekey(struct exchange *x);
enum fault child_may_create(struct exchange *x);
