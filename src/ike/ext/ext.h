// SPDX-License-Identifier: Apache-2.0
// Extensions of IKEv2, a file each.
#pragma once
#include "ike/state.h"

bool cookie_wanted(const struct ike *ike);
void cookie_make(struct ike *ike, unsigned which, const struct message *message, struct bytes ni,
                 uint8_t out[33]);
bool cookie_is_good(struct ike *ike, const struct message *message, struct bytes ni,
                    struct bytes cookie);
void nat_offer(const struct sa *sa, struct draft *draft, uint64_t spi_i, uint64_t spi_r,
               const struct path *path);
void nat_agree(struct sa *sa, const struct message *message);
bool nat_is_asked(const struct message *message); // both hashes are there
void nat_agree_again(struct sa *sa, const struct message *message);
void nat_first_path(struct sa *sa); // which port and marker the first message takes
void nat_float(struct sa *sa);
bool nat_encap(const struct sa *sa); // do its children go in UDP?
void nat_keepalive(struct sa *sa);
void nat_child_moved(struct child *child, const struct endpoint *from);
void nat_heard_from(struct sa *sa,
                    const struct path *path); // an authentic message came along this path
// Keeps a fragment; OK when it was the last one missing: then *plain is the whole and *first its
// first payload's type.
enum fault fragment_join(struct sa *sa, struct message *message, uint16_t number, uint16_t total,
                         uint8_t *first, struct bytes *plain, struct arena *arena);
size_t fragment_limit(const struct sa *sa);
void reassembly_free(struct sa *sa);
void config_offer(struct exchange *x, struct draft *draft);
enum fault config_agree(struct exchange *x);
enum fault config_assign(struct exchange *x); // answers: takes leases; a fault is one of the child
void config_answer(struct exchange *x, struct draft *draft);
void config_inform(struct exchange *x, struct draft *draft); // answers an INFORMATIONAL request
// ext/stream.c
bool stream_first_path(struct sa *sa);                     // true: the first message goes over TCP
bool stream_fall_back(struct sa *sa, unsigned tries);      // true: sa has ended, TCP is tried
bool stream_heard(struct sa *sa, const struct path *path); // true: sa goes over TCP
void stream_closed(struct ike *ike, const struct endpoint *local, const struct endpoint *remote);
void names_release(struct sa *sa); // name servers that came with virtual addresses
void pool_load(struct ike *ike, const struct pool_conf *conf);
void pool_unload(struct ike *ike, const char *name);
void pools_free(struct ike *ike);
void lease_restore(struct ike *ike, const struct ike_lease *known);
bool pool_info(const struct ike *ike, const char *name, struct ike_pool_info *out);
// An address of the connection's pools in the family of `wanted`, that very one if it can be; NULL
// when none is left.
const struct addr *lease_take(struct sa *sa, const struct addr *wanted);
void leases_release(struct sa *sa);
void leases_move(struct sa *from, struct sa *to);
// What the nth pool of the connection tells the peer, if its addresses come from there or it has
// none; false when there is no nth.
bool pool_attributes(const struct sa *sa, unsigned number, const struct pool_attribute **out,
                     unsigned *count);

// ext/mode.c
// Asking: which mode the child's selectors make of the configured one; the notifies for it.
void mode_offer(struct exchange *x, const struct child_conf *conf, const struct child *old);
void mode_write(const struct exchange *x, struct draft *draft);
// In the first messages: which meaning our private numbers have, where a child is for BEET mode.
void mode_vendor_write(const struct sa *sa, struct draft *draft);
bool mode_has_beet(const struct conn *conn);
// Answering: the peer's name for an address that a NAT changes becomes ours, and in the answer its
// own again.
bool mode_translate(struct exchange *x, struct selectors *theirs, struct selectors *ours);
void mode_translate_back(const struct exchange *x, struct selectors *theirs,
                         struct selectors *ours);
enum fault mode_choose(struct exchange *x, const struct child_conf *conf);
enum fault mode_agree(struct exchange *x); // concluding
void mode_announce(const struct child *child);
// iptfs.c
void iptfs_write(const struct exchange *x, struct draft *draft);
bool iptfs_named(const struct message *message);
const char *iptfs_agree(struct exchange *x); // why we cannot; NULL: we can
void iptfs_spec(const struct child *child, enum sa_direction direction, struct sa_iptfs *spec);
// BEET with networks as selectors: a child for each pair of addresses, when a packet calls for it.
bool mode_is_on_demand(const struct child_conf *conf);
void mode_wait_for_packets(struct ike *ike, struct loaded *loaded, const struct child_conf *conf,
                           uint32_t command);
// Has the pair that the packet is between a child or a task? May it get one?
bool mode_pair_is_there(const struct sa *sa, const struct child_conf *conf, const struct flow *flow);
bool mode_pair_may_come(const struct sa *sa, const struct child_conf *conf);
struct flow mode_pair_flow(const struct child *child); // one that calls for a child like this
nsec mode_inactivity(const struct child *child);       // 0: it may be idle for ever
// BEET: the one pair of addresses that a packet is between. False when the selectors lack it.
bool mode_pair_of(const struct flow *flow, struct selectors *local, struct selectors *remote);

// ext/label.c
struct bytes label_wire(const struct child_conf *conf); // as it is sent; empty: there is none
enum fault labels_take(struct exchange *x);
bool label_fits(const struct exchange *x, const struct child_conf *conf);
enum fault label_fault(struct exchange *x, const struct child_conf *conf);
enum fault label_agree(struct exchange *x);

// ext/ipcomp.c
void ipcomp_offer(struct exchange *x, const struct child_conf *conf);
void ipcomp_write(const struct exchange *x, struct draft *draft);
enum fault ipcomp_agree(struct exchange *x);
void ipcomp_choose(struct exchange *x, const struct child_conf *conf);
void ipcomp_announce(const struct child *child);

// ext/percpu.c: children for single resources (RFC 9611)
void percpu_acquire(struct ike *ike, uint32_t policy, uint16_t resource);
bool percpu_makes_sense(const struct sa *sa, const struct task *task);
const struct child *percpu_first(const struct exchange *x); // beside which another one is made
void percpu_offer(struct exchange *x, const struct child_conf *conf, const struct child *old);
void percpu_write(const struct exchange *x, struct draft *draft);
enum fault percpu_agree(struct exchange *x);
void percpu_failed(const struct exchange *x, enum fault fault);
enum fault percpu_choose(struct exchange *x, const struct child_conf *conf,
                         const struct child *old);
unsigned percpu_spread(const struct child *child); // over how many; 0: it has all packets
bool percpu_is_needed(const struct child *child);  // by others that stand beside it
void percpu_announce(const struct child *child);
void percpu_gone(struct child *child);

// ext/intermediate.c
extern const struct plan plan_intermediate;
extern const struct recipe intermediate_answer;
bool intermediate_is_due(const struct sa *sa);
bool intermediate_rounds_left(const struct sa *sa); // without which IKE_AUTH is not taken         // before IKE_AUTH
void intermediate_withdraw(struct proposals *offered); // what needs it, where the peer lacks it
// Adds a message to what IKE_AUTH authenticates; first, plain: the payloads inside.
enum fault intermediate_sum(struct sa *sa, bool of_initiator, const struct ike_header *message,
                            uint8_t first, struct bytes plain);
struct bytes int_auth(const struct sa *sa); // the end of what is signed; in the step

// ext/auth_lifetime.c
void auth_lifetime_write(struct sa *sa, struct draft *draft); // responder
void auth_lifetime_heed(struct sa *sa, const struct message *message); // initiator

// ext/ticket.c
void ticket_free(struct ticket *ticket);
void tickets_free(struct ike *ike);
void ticket_answer(struct exchange *x, struct draft *draft); // where x->in asks for one
void ticket_withdraw(struct sa *sa);                         // what was given does not count any more
void ticket_spend(struct ike *ike, const uint8_t number[TICKET_NUMBER_SIZE], nsec expires);
enum fault ticket_open(struct ike *ike, struct bytes opaque, struct ticket **out); // the caller's

// ext/resume.c
extern const struct plan plan_resume, plan_ticket;
extern const struct recipe resume_answer;
bool is_resumed(const struct sa *sa); // or is about to be
void ticket_request(const struct sa *sa, struct draft *draft);
void ticket_take(struct exchange *x);
void ticket_after(struct sa *sa, enum fault fault); // the IKE SA ends
void ticket_renew(const struct sa *from, struct sa *to);
void resume_prepare(struct loaded *loaded, struct sa *sa); // takes the connection's ticket
const struct plan *first_plan(const struct sa *sa);
void resume_receive(struct ike *ike, struct message *message);
void resume_fall_back(struct sa *sa, const char *why); // ends it: a new one begins from scratch
enum fault resume_prove(struct exchange *x, const struct auth_octets *octets);
enum fault resume_judge(struct exchange *x, const struct auth_octets *octets);
void resume_replace(struct sa *sa); // the IKE SA that it goes on from ends

// ext/qcd.c
extern const struct plan plan_qcd;
void qcd_offer(const struct sa *sa, struct draft *draft);
void qcd_renew(struct sa *sa); // after a rekeying of ours
bool qcd_present(struct ike *ike, const struct message *message); // false: the answer has no token
void qcd_take(struct sa *sa, const struct message *message);
bool qcd_heed(struct sa *sa, const struct message *message); // true: the SA has ended

// ext/invalid_spi.c
extern const struct plan plan_invalid_spi;
void invalid_spi_seen(struct ike *ike, uint32_t spi, const struct endpoint *from);
void invalid_spi_heed(struct exchange *x); // of an INFORMATIONAL request
bool invalid_spi_hint(struct ike *ike, const struct message *message);

// ext/redirect.c
extern const struct plan plan_redirect;
void redirect_offer(const struct sa *sa, struct draft *draft); // initiator, in its first message
void redirect_agree(struct sa *sa, const struct message *message); // responder
bool redirect_is_forged(const struct sa *sa, const struct message *message); // a first response
enum fault redirect_heed_first(struct exchange *x); // of a first response; ends the SA
enum fault redirect_heed_auth(struct exchange *x);  // of an IKE_AUTH response; ends the recipe
void redirect_heed(struct exchange *x);             // of an INFORMATIONAL request
void redirect_resolve(const struct sa *sa, struct ike_operation *operation);
void redirect_free(struct handshake *handshake);
bool redirect_first(struct ike *ike, const struct message *message, const struct conn *conn);
bool redirect_is_due(const struct sa *sa); // with the IKE_AUTH that is being answered
void redirect_write(struct draft *draft, const char *gateway, struct bytes nonce);
void redirect_close(struct sa *sa); // what is left of an IKE SA whose peer is sent elsewhere
bool redirect_gateway_is_good(const char *gateway);
void command_redirect(struct ike *ike, const struct ike_command *command);

// ext/counter_sync.c
void counter_sync_offer(const struct sa *sa, struct draft *draft);
void counter_sync_agree(struct sa *sa, const struct message *message);
bool counter_sync_receive(struct sa *sa, const struct message *message); // true: it was that
enum fault counter_sync_heed(struct exchange *x); // of an INFORMATIONAL request
void counter_sync_free(struct sa *sa);

// ext/ppk.c
enum fault ppk_find(struct exchange *x); // initiator, before its first message
enum fault ppk_found(struct exchange *x, struct ike_answer *answer);
enum fault ppk_find_any(struct exchange *x); // responder, with the first message
enum fault ppk_found_any(struct exchange *x, struct ike_answer *answer);
void ppk_offer(const struct sa *sa, struct draft *draft);
void ppk_agree_write(const struct sa *sa, struct draft *draft);
enum fault ppk_agree(struct exchange *x);
// Names that an initiator can say, in the order in which they are preferred.
uint8_t ppk_names_of(const struct conn *conn, struct bytes names[IKE_PPK_NAMES_MAX]);
bool ppk_allowed(const struct conn *conn, struct bytes id);
const char *ppk_text(const struct sa *sa, struct bytes id);
struct ike_operation *ppk_wait(struct exchange *x, enum ike_ppk_kind kind);
void ppk_used(struct sa *sa, struct bytes name);
bool ppk_wants_two_proofs(const struct sa *sa);
enum fault ppk_proved_without(struct exchange *x); // keeps x->auth_data as that proof
enum fault ppk_ask_mix(struct exchange *x);        // from here on the SA's keys hold it
enum fault ppk_ask_mixed(struct exchange *x, struct ike_answer *answer);
void ppk_write(struct sa *sa, struct draft *draft); // beside our first AUTH
enum fault ppk_heed(struct exchange *x);
enum fault ppk_choose(struct exchange *x); // before the peer is judged: with which keys?
enum fault ppk_chosen(struct exchange *x, struct ike_answer *answer);
void ppk_answer(const struct sa *sa, struct draft *draft);
void ppk_wipe(struct ppk_use *ppk);

// ext/ppk_int.c
bool ppk_int_is_offered(const struct sa *sa);
bool ppk_int_is_due(const struct sa *sa);
enum fault ppk_int_confirm(struct exchange *x); // initiator, before its last IKE_INTERMEDIATE
enum fault ppk_names_confirmed(struct exchange *x, struct ike_answer *answer);
void ppk_names_write(const struct exchange *x, struct draft *draft);
enum fault ppk_int_agree(struct exchange *x);
enum fault ppk_int_mixed(struct exchange *x, struct ike_answer *answer);
enum fault ppk_int_choose(struct exchange *x); // responder, behind the key exchange of that one
enum fault ppk_int_chosen(struct exchange *x, struct ike_answer *answer);
void ppk_taken_write(const struct exchange *x, struct draft *draft);
enum fault ppk_int_check(struct exchange *x);     // … when the connection is known
enum fault ppk_rekey_confirm(struct exchange *x); // makes the nonce, too
enum fault ppk_rekey_agree(struct exchange *x);
enum fault ppk_rekey_mixed(struct exchange *x, struct ike_answer *answer);
void ppk_rekey_close(const struct exchange *x, struct sa *fresh);
enum fault ppk_rekey_choose(struct exchange *x);
enum fault ppk_rekey_chosen(struct exchange *x, struct ike_answer *answer);

// ext/multi_ke.c
uint8_t round_after(const struct suite *suite, uint8_t round); // 0: there is none
bool suite_has_rounds(const struct suite *suite);
bool proposals_have_rounds(const struct proposals *proposals);
uint16_t round_method(const struct exchange *x);
extern const struct step followup_ask_steps[];
extern const struct recipe followup_answer; // of one that belongs to nothing
enum fault
followup_begin(struct exchange *x); // after the response: the first further round, if any
enum fault followup_heed(struct exchange *x);
enum fault followup_read(struct exchange *x);
enum fault followup_share(struct exchange *x);
enum fault followup_shared(struct exchange *x, struct ike_answer *answer);
enum fault followup_more(struct exchange *x); // asks for the next round, or goes on
// Answers with a link to the rounds that follow, writes, and parks the exchange.
void followup_park(struct exchange *x, struct draft *draft, const struct recipe *resume);
enum fault followup_answer_start(struct exchange *x);
enum fault followup_answer_done(struct exchange *x, struct ike_answer *answer);
enum fault followup_answer_more(struct exchange *x); // answers and waits for the next round
void followup_write(struct exchange *x, struct draft *draft);
bool followup_continues(const struct sa *sa, const struct message *message);
struct exchange *followup_resume(struct sa *sa, struct exchange *x);
void parked_drop(struct sa *sa);
bool parked_wins(struct exchange *ours); // over ours that it crossed; dropped when it does not

// ext/pmtu.c
extern const struct plan plan_path_mtu;
// A probe is sent for the first time, and once more so that it may be cut; then it is as any request, with
// and without its filling by turns. False: it is none, or that is done.
bool pmtu_probe_send(struct exchange *x);
bool pmtu_probe_again(struct exchange *x);
const struct packets *pmtu_probe_packets(const struct exchange *x);
void pmtu_due(struct sa *sa);
// What the daemon says of the way out to a child's peer; what an ICMP message says, if it is ours.
void pmtu_device(struct ike *ike, uint32_t spi, const struct addr *remote, uint16_t mtu);
void pmtu_icmp(struct ike *ike, uint8_t family, struct bytes message);
void pmtu_inherit(struct sa *fresh, const struct sa *old);
