// SPDX-License-Identifier: Apache-2.0
// Steps of IKE_AUTH that its files share. A round is one proof of one end (RFC 4739); most
// connections have one each way.
#pragma once
#include "ike/state.h"

// auth_proof.c: our own proofs
bool local_is_due(const struct sa *sa);                    // do we owe the peer a proof?
const struct auth_conf *local_round(const struct sa *sa);  // the one that is due
const struct auth_conf *remote_round(const struct sa *sa); // likewise of the peer's
enum fault auth_prove(struct exchange *x);                 // waits: PROVE
enum fault auth_proved(struct exchange *x, struct ike_answer *answer);
void proof_write(struct exchange *x, struct draft *draft, uint8_t id_type); // ID, CERTs, and …
void proof_write_auth(struct exchange *x, struct draft *draft); // … AUTH; then the round is done

// auth_proof.c: what both kinds of proof need
enum fault rounds_check(struct exchange *x);
struct auth_octets octets_of(const struct sa *sa, bool ours);
enum fault keyed_auth(const struct auth_octets *octets, struct bytes key, struct secret *out);
enum fault peer_accept(struct exchange *x, const char *scheme); // the peer's round is good

// auth_eap.c: rounds of the initiator by EAP
enum fault eap_check_rounds(struct exchange *x); // can the connection's rounds be?
bool eap_is_due(const struct sa *sa);            // are we to log in?
bool eap_is_through(const struct sa *sa);        // AUTH with the login's key follows
enum fault eap_prove(struct exchange *x);        // … that one
enum fault eap_judge(struct exchange *x);        // … and the peer's
void eap_end(struct sa *sa);
void eap_write(const struct exchange *x, struct draft *draft);
void eap_offer(struct sa *sa, struct draft *draft); // client
enum fault eap_read_first(struct exchange *x);
enum fault eap_relay(struct exchange *x); // waits: LOGIN, until AUTH comes
enum fault eap_relayed(struct exchange *x, struct ike_answer *answer);
enum fault eap_ask(struct exchange *x);
enum fault eap_begin(struct exchange *x); // gateway; waits: LOGIN
enum fault eap_begun(struct exchange *x, struct ike_answer *answer);
enum fault eap_take_message(struct exchange *x); // waits: LOGIN
enum fault eap_message_taken(struct exchange *x, struct ike_answer *answer);
enum fault eap_respond(struct exchange *x);
enum fault eap_read_auth(struct exchange *x);
void eap_write_auth(struct exchange *x, struct draft *draft);

// auth_proof.c: the peer's
enum fault proof_read(struct exchange *x, uint8_t id_type);
enum fault auth_judge_peer(struct exchange *x); // waits: JUDGE, or PROVE for a PSK's MAC
enum fault auth_peer_judged(struct exchange *x, struct ike_answer *answer);

// auth_child.c: the child that is made along with the IKE SA
enum fault auth_take_child(struct exchange *x);
enum fault auth_agree_child(struct exchange *x);
enum fault auth_assign(struct exchange *x);
enum fault auth_choose_child(struct exchange *x);
enum fault first_child_keys(const struct exchange *x, struct secret *keymat);
void first_child_failed(struct exchange *x);
void close_without_address(struct sa *sa);
