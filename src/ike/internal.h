// SPDX-License-Identifier: Apache-2.0
// What the files of the core do for each other; what they work on is in state.h.
#pragma once
#include "ike/ext/ext.h"
#include "ike/state.h"
#include "ike/v2/v2.h"

// core.c: outputs, operations, memory that lives until the next step
struct ike_out *out_new(struct ike *ike, enum ike_out_kind kind);
void free_later(struct ike *ike, void *at);
void secret_later(struct ike *ike, struct secret *secret); // moved
struct bytes secret_for_step(struct ike *ike,
                             struct bytes value); // a copy that is wiped when the next step begins
void conn_later(struct ike *ike, struct conn *conn);
struct ike_operation *operation_new(struct ike *ike, struct waiter *waiter,
                                    enum ike_operation_kind kind);
void operation_resolve(struct ike_operation *operation, const struct conn *conn); // its hosts
void waiter_forget(struct ike *ike, struct waiter *waiter);
void alarm_set(struct ike *ike, struct alarm *alarm, const nsec *timers, size_t count);

// report.c: sentences, events, statistics. `sa` may be NULL where there is none yet.
struct subject {
    const struct sa *sa;
    const struct conn *conn;
    const char *child;
    uint32_t command;
    const struct endpoint *remote;
};
__attribute__((format(printf, 5, 6))) void report(struct ike *ike, struct subject subject,
                                                  enum ike_level level, enum fault fault,
                                                  const char *format, ...);
#define ABOUT_SA(sa_) ((struct subject){.sa = (sa_)})
#define ABOUT_CHILD(child_)                                                                        \
    ((struct subject){.sa = (child_)->sa, .conn = (child_)->conn, .child = (child_)->conf->name})
#define ABOUT_REMOTE(endpoint_) ((struct subject){.remote = (endpoint_)})
bool budget_allows(struct ike *ike, struct budget *budget);
void event(struct ike *ike, struct ike_event event);
void alert(struct ike *ike, const struct sa *sa, const char *word);
void command_done(struct ike *ike, uint32_t command, enum fault fault, const char *why);
const char *suite_text(struct ike *ike, const struct suite *suite);
const char *identity_text(struct ike *ike, const struct identity *id);
const char *selectors_text(struct ike *ike, const struct selectors *set);
const char *endpoint_text(struct ike *ike, const struct endpoint *endpoint);
void keylog_ike(const struct sa *sa);
void keylog_child(const struct child *child, enum sa_direction direction, struct bytes encr_key,
                  struct bytes integ_key);

// count.c; `sa` may be NULL
void count(struct ike *ike, const struct sa *sa, unsigned counter);
void count_message(struct ike *ike, const struct sa *sa, uint8_t exchange,
                   enum ike_counted_message which);

// table.c: SAs by SPI, number, source and identities
void tables_init(struct ike *ike);
void tables_free(struct ike *ike);
struct sa *sa_by_spi(const struct ike *ike, uint64_t spi);
struct sa *sa_by_id(const struct ike *ike, uint32_t id);
struct child *child_by_id(const struct ike *ike, uint32_t id);
void half_open_enter(struct sa *sa, uint64_t peer_spi, const struct endpoint *from);
void half_open_leave(struct sa *sa);
struct sa *half_open_find(const struct ike *ike, uint64_t peer_spi, const struct endpoint *from);
unsigned half_open_of_source(const struct ike *ike, const struct addr *source);
void ids_enter(struct sa *sa);
void ids_leave(struct sa *sa);
struct sa *
ids_find(const struct sa *sa); // first one with the same identities (maybe itself); follow same_ids
uint64_t spi_new(struct ike *ike); // for an IKE SA
uint32_t spi_new_child(struct ike *ike);

// sa.c: the life of an IKE SA
struct sa *sa_new(struct ike *ike, struct conn *conn, bool initiator);
void sa_set_conn(struct sa *sa, struct conn *conn);
void sa_set_state(struct sa *sa, enum sa_state state);
void sa_set_timer(struct sa *sa, enum sa_timer timer, nsec at);
void sa_timer_fired(struct sa *sa);
void sa_established(struct sa *sa); // from now on it carries children; handshake data are dropped
void sa_inherit(struct sa *fresh, struct sa *old); // identities, path, settings: not children
// One of two ends deletes it, and the other waits for that; should it never come, it goes all the
// same.
void sa_linger(struct sa *sa, const struct sa *by);
void sa_move_children(struct sa *from,
                      struct sa *to); // and all else that is not doubled: tasks, virtual addresses
// Ends it at once, with its children and without a message. fault and why go to those who wait for
// it; OK: it was asked for.
void sa_end(struct sa *sa, enum fault fault, const char *why);
void sa_gone(struct sa *sa, enum fault fault,
             const char *why); // the same, and then what close_action or dpd_action says
void sa_free(struct sa *sa);   // only of buried ones
void sa_unconfirmed(struct sa *sa); // the peer makes an SA or child by our answer, if it gets it
void sa_confirmed(struct sa *sa);
void sa_heard(struct sa *sa, const struct message *message,
              enum message_kind kind); // an authentic, fresh message came
struct exchange *sa_busy(const struct sa *sa);
uint64_t sa_own_spi(const struct sa *sa);
uint64_t sa_peer_spi(const struct sa *sa);
const char *sa_state_text(const struct sa *sa);
nsec jitter(struct ike *ike, nsec span, nsec random); // span less a random part of `random`
void handshake_free(struct handshake *handshake);

// task.c: what is to be asked, one after the other
struct task *task_add(struct sa *sa, enum task_kind kind);
void task_free(struct task *task);
void task_drop(struct sa *sa, struct task *task); // out of the queue, then freed
void task_failed(struct sa *sa, struct task *task, enum fault fault,
                 const char *why);                             // tells who waits; does not free
void task_again(struct sa *sa, struct task *task, nsec delay); // takes it back into the queue
bool task_retry(
    struct sa *sa,
    struct task *task); // the peer is busy: again later; false when it has been so for minutes
void task_done(struct sa *sa, struct task *task); // tells who waits; does not free
void tasks_move(struct sa *from, struct sa *to);
struct task *task_find(const struct sa *sa, enum task_kind kind, uint32_t child_id);
struct task *task_find_conf(const struct sa *sa, const char *child);
void sa_pump(struct sa *sa); // begins the next exchange if it may

// command.c, start.c
void command_run(struct ike *ike, const struct ike_command *command);
void command_gone(struct ike *ike, uint32_t command); // one of what a terminate waits for is gone
// Brings up a child (conf NULL: the IKE SA alone) with the SA that is there or a new one.
void initiate(struct ike *ike, struct conn *conn, const struct child_conf *conf, uint32_t command,
              const struct flow *flow);
// A child to be brought up by that SA; the flow is copied.
struct task *task_child(struct sa *sa, struct conn *conn, const struct child_conf *conf,
                        uint32_t command, const struct flow *flow);
void conn_load(struct ike *ike, struct conn *conn);
void conn_unload(struct ike *ike, const char *name);
struct loaded *loaded_find(const struct ike *ike, const char *name);

// persist.c: attempts that failed, and what is to be up all the same
// The same as initiate(), and tried until it is up if the connection says so.
void keep_up(struct ike *ike, struct loaded *loaded, const struct child_conf *conf);
bool child_is_to_be_up(const struct child_conf *conf);
struct sa *initiate_again(struct sa *sa,
                          nsec delay); // a further attempt by a new SA that takes over its tasks
void attempt_failed(struct sa *sa, enum fault fault, const char *why);
void attempt_forgotten(struct sa *sa);
void attempt_succeeded(const struct sa *sa);
void attempt_hasten(struct sa *sa, nsec delay); // one that waits is made that soon
void attempts_heed_address(struct ike *ike, const struct addr *addr, bool came);
void attempt_rebind(struct sa *sa, struct conn *conn);
void attempts_rebind(struct loaded *loaded, struct conn *conn); // those that wait
void attempts_cancel(struct loaded *loaded);
size_t tasks_cancel(struct sa *sa, const char *child); // how many there were of that child
// The child of a task that failed in an SA that stands is tried again there; then the task is taken.
bool wish_again(struct sa *sa, struct task *task, enum fault fault, const char *why);
void wishes_leave(struct sa *sa, enum fault fault); // … in a new SA
bool attempt_is_needless(struct sa *sa); // then it has ended
bool sa_is_waiting(const struct sa *sa); // for the next attempt

// uproot.c
void children_uproot(struct sa *sa); // those that its path has left behind

// reauth.c
void sa_replace(struct sa *sa); // it ends, and what is to be up comes up anew
void reauthenticate(struct sa *sa);
// A new one that takes its place when it has its children; NULL: there is none to be now.
struct sa *sa_successor(struct sa *sa);
void reauthenticated(struct sa *sa); // its children are there: the SA that it is for goes
void reauthentication_failed(const struct sa *sa);
void reauthentication_begins(const struct sa *ended); // make_before_break = no

// device.c
bool devices_are_unique(const struct child_conf *conf);
void devices_peer_key(const struct identity *peer, uint8_t out[20]); // NULL: nobody's yet
void policy_devices(struct policy *policy, const struct identity *peer); // chooses them
void policy_claim(struct policy *policy); // it is in force for its selectors; says who else is
void policy_disclaim(struct policy *policy);
void policy_taken_over(struct policy *policy, const struct sa *sa); // a child of that SA comes

// policy.c
struct policy *policy_new(struct ike *ike, struct conn *conn, const struct child_conf *conf,
                          const struct identity *peer);
struct policy *policy_for(struct sa *sa, struct conn *conn, const struct child_conf *conf,
                          const struct selectors *local, const struct selectors *remote);
void policy_use(struct policy *policy, const struct selectors *local,
                const struct selectors *remote, const struct path *path, uint8_t mode);
// Packets that wait for the trap beside it are looked at again: some are for this policy now.
void policy_waken(const struct policy *policy);
void policy_child_path(const struct child *child, struct path *path); // of its packets
void policy_sides(const struct policy *policy, struct selectors *local,
                  struct selectors *remote); // those in force
void policy_follow(struct policy *policy, const struct selectors *local,
                   const struct selectors *remote); // a trap that is in use: when it is free again
void policies_heed_address(struct ike *ike); // "dynamic" ones are looked up anew
void policy_release(struct policy *policy);  // one child less
void policy_trap(struct ike *ike, struct loaded *loaded, const struct child_conf *conf);
void policy_untrap(struct policy *policy);
struct policy *policy_find_trap(const struct loaded *loaded, const char *child);
void policy_acquire(struct ike *ike, uint32_t number, const struct flow *flow);
void policy_settled(struct policy *policy, bool success); // what an acquire or a start has led to
void policy_answered(struct policy *policy, const struct ike_answer *answer);
void policy_timer_fired(struct policy *policy);
void policy_free(struct policy *policy);

// child.c
struct child *child_new(struct sa *sa, struct conn *conn, const struct child_conf *conf);
enum child_install { INSTALL_BOTH, INSTALL_INBOUND };
void child_set_timer(struct child *child, enum child_timer timer, nsec at);
void child_install(struct exchange *x, struct secret *keymat,
                   enum child_install how); // x->child: then owned by its SA
void child_install_outbound(struct child *child);
void child_rival_settled(struct child *child);            // the collision is decided in its favour
void child_replaced(struct child *old, struct child *by); // its outbound half is used no more
void child_deleting(struct child *child);
void child_deleted(struct child *child);
void child_linger(struct child *child); // gone for the peer; inbound is kept for a moment
void child_end(struct child *child, enum fault fault); // removes both halves at once and buries it
void child_closed(struct child *child);                // the same, and then what close_action says
void child_act_closed(struct ike *ike, const struct conn *conn, const struct child_conf *conf);
void child_free(struct child *child);
void child_abandon(struct exchange *x); // x->child failed; if the peer made its half it is told
void child_moved(struct child *child, const struct path *former);
void child_usage(struct ike *ike, const struct ike_plane *plane);
void child_timer_fired(struct child *child);
void child_plane_failed(struct ike *ike, const struct ike_plane *plane);
struct child *child_by_spi_out(const struct sa *sa, uint8_t protocol, uint32_t spi);
struct child *child_by_spi_in(const struct sa *sa, uint8_t protocol, uint32_t spi);
struct child *child_by_name(const struct sa *sa, const char *name); // one that is in use
const char *child_state_text(const struct child *child);

// negotiate.c: proposals and selectors of children
// Asks: the child is made, its SA, TS and notify payloads are written.
void child_offer(struct exchange *x, struct draft *draft, const struct flow *flow,
                 enum proposal_ke with_ke);
// Answers: chooses which child of the connection is meant (rekeying: the old one), its suite and
// selectors, and makes it. A fault and x->why when none fits.
enum fault child_choose(struct exchange *x, const struct child *old, enum proposal_ke with_ke);
enum fault
child_agree(struct exchange *x,
            enum proposal_ke with_ke); // concludes: is the answer out of what we offered?
void child_write_answer(struct exchange *x, struct draft *draft);
void conf_selectors(const struct sa *sa, const struct child_conf *conf, struct selectors *local,
                    struct selectors *remote);
const struct proposals *conf_proposals(const struct child_conf *conf);
uint16_t proposals_first_ke(const struct proposals *proposals);
bool proposals_offer_ke(const struct proposals *proposals, uint16_t ke);

// message.c
void draft_begin(struct ike *ike, struct draft *draft); // of a message that is sealed
void draft_begin_clear(struct ike *ike, struct draft *draft, const struct ike_header *header);
// An unprotected response, whatever state there is.
void draft_begin_answer_clear(struct ike *ike, struct draft *draft, const struct message *request);
struct wr *draft_open(struct draft *draft, uint8_t type);
void draft_close(struct draft *draft);
void draft_bytes(struct draft *draft, uint8_t type, struct bytes body);
void draft_notify(struct draft *draft, uint16_t type, struct bytes data);
void draft_notify_spi(struct draft *draft, uint8_t protocol, struct bytes spi, uint16_t type,
                      struct bytes data);
struct packets draft_finish_clear(struct draft *draft); // owned
struct packets draft_seal(struct sa *sa, struct draft *draft, uint8_t exchange,
                          enum message_kind kind, uint32_t message_id);
// The same, but never as fragments.
struct packets draft_seal_uncut(struct sa *sa, struct draft *draft, uint8_t exchange,
                                enum message_kind kind, uint32_t message_id);
void packets_send_uncut(struct ike *ike, const struct sa *sa, const struct path *path,
                        const struct packets *packets);
bool message_is_genuine(struct sa *sa, const struct message *message);
enum fault message_open(struct sa *sa, struct message *message,
                        struct arena *arena); // decrypts in place of the SK payload
void packets_send(struct ike *ike, const struct sa *sa, const struct path *path,
                  const struct packets *packets);
void packets_free(struct ike *ike, struct packets *packets);
const struct payload *message_first(const struct message *message, uint8_t type);
bool message_notify(const struct message *message, uint16_t type, struct notify *notify);
bool message_notify_next(const struct message *message, size_t *place, struct notify *notify);
bool message_error(const struct message *message, struct notify *notify); // the first error notify
struct sealer sa_sealer(const struct sa *sa, bool outbound);

// keymat.c
enum fault keymat_ike(struct exchange *x, struct sa *sa, struct bytes ni, struct bytes nr,
                      const struct secret *shared, const struct sa *old);
// The same in its parts: the seed that follows from SK_d, all keys out of a seed (SK_d comes first),
// and their taking.
enum fault keymat_seed(const struct exchange *x, const struct sa *old, struct bytes ni,
                       struct bytes nr, const struct secret *shared, struct secret *seed);
enum fault keymat_expand(const struct sa *sa, struct bytes ni, struct bytes nr,
                         const struct secret *seed, struct secret *all);
enum fault keymat_take(struct sa *sa, const struct secret *all);
enum fault keymat_child(const struct sa *sa, const struct suite *suite, struct bytes d,
                        struct bytes shared, struct bytes ni, struct bytes nr, struct bytes more,
                        struct secret *out);
void keymat_child_sizes(const struct suite *suite, size_t *encr, size_t *integ);
struct bytes sk_d(const struct sa *sa);

// retransmit.c
void request_sent(struct exchange *x);  // the first time
void request_retransmit(struct sa *sa); // TIMER_RETRANSMIT
void request_heard(struct sa *sa);          // the peer lives: it is asked again soon
void request_rumoured(struct exchange *x);  // an unprotected error came: does it come again?
void request_resend(struct sa *sa);     // at once, as if it were the first time
void request_answered(struct exchange *x);
struct exchange *half_open_exchange(struct sa *sa);

// exchange.c
void exchange_ask(struct sa *sa, const struct plan *plan, struct task *task); // task: given
void exchange_answer(struct sa *sa, const struct recipe *recipe, struct exchange *x);
struct exchange *exchange_new(struct sa *sa);
void exchange_conclude(struct exchange *x);
void exchange_run(struct exchange *x);
void exchange_answered(struct exchange *x, struct ike_answer *answer);
void exchange_restart(struct exchange *x,
                      const struct step *at); // from a step of the conclusion back into the asking
void exchange_skip_rest(struct exchange *x);  // this step is the last one
void exchange_give_up(struct exchange *x);    // likewise, and nothing is asked
void exchange_free(struct exchange *x);
struct ike_operation *exchange_wait(struct exchange *x, enum ike_operation_kind kind);
__attribute__((format(printf, 3, 4))) enum fault exchange_why(struct exchange *x, enum fault fault,
                                                              const char *format, ...);
void respond(struct exchange *x, struct draft *draft); // seals, sends and keeps the response
void request(struct exchange *x, struct draft *draft); // likewise the request
struct bytes exchange_ni(const struct exchange *x);
struct bytes exchange_nr(const struct exchange *x);
void exchange_nonce(struct exchange *x, bool initiator);            // makes ours
enum fault exchange_read_nonce(struct exchange *x, bool initiator); // takes the peer's
enum fault exchange_read_ke(struct exchange *x);
enum fault ke_answer_start(struct exchange *x);
enum fault ke_answer_done(struct exchange *x, struct ike_answer *answer);
enum fault ke_share_start(struct exchange *x);
enum fault ke_share_done(struct exchange *x, struct ike_answer *answer);
enum fault ke_make_done(struct exchange *x, struct ike_answer *answer);

// failure.c: the one place where a fault becomes a notify, a sentence and a consequence
void exchange_fail(struct exchange *x, enum fault fault);
void message_refused(struct ike *ike, struct sa *sa, const struct message *message,
                     enum fault fault);
uint16_t fault_notify(enum fault fault); // NOTIFY_NONE: nothing is sent
void draft_fault(struct draft *draft, const struct exchange *x, enum fault fault);
enum fault notify_fault(uint16_t notify); // what the peer's error means to us
void draft_fault_clear(struct ike *ike, const struct message *message, enum fault fault,
                       struct bytes data);

// receive.c: datagrams, before and after they are known to be genuine
void datagram_in(struct ike *ike, const struct path *path, struct bytes bytes);

// candidates.c: those among the loaded connections that a peer can mean; some may be visited twice
typedef void (*candidate_visit)(void *context, const struct loaded *loaded);
void candidates_add(struct ike *ike, struct loaded *loaded);
void candidates_remove(struct ike *ike, struct loaded *loaded);
// Of those that differ in nothing that counts with the first message, the one that was loaded first.
void candidates_by_address(const struct ike *ike, const struct addr *addr, candidate_visit visit,
                           void *context);
void candidates_by_identity(const struct ike *ike, const struct addr *addr,
                            const struct identity *id, candidate_visit visit, void *context);

// admit.c: which connection is meant, who may come in
struct first_choice {
    struct conn *conn;
    struct suite suite;
    const char *why;
};
// How closely a list of patterns names an address; 0: not at all.
unsigned hosts_score(const struct host_pattern *hosts, size_t count, const struct addr *addr);
enum fault conn_by_addresses(struct ike *ike, const struct path *path,
                             const struct proposals *offered, uint16_t ke,
                             struct first_choice *choice);
// Of the connections that were not tried, the one that fits best what is known of the peer by now.
enum fault conn_by_identities(struct exchange *x);
bool conn_try_next(struct exchange *x); // when the one that was chosen turned out not to fit

bool conn_allows_suite(const struct conn *conn, const struct suite *suite);
bool auth_class_allows(const struct auth_conf *auth, uint8_t method);
// In the round that is due; borrowed or in the arena.
struct identity own_identity(const struct sa *sa, struct arena *arena);
enum fault admit_peer(struct exchange *x, bool initial_contact);
