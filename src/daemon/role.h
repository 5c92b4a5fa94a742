// SPDX-License-Identifier: Apache-2.0
// A role: one process of the daemon. main starts each as `cygnetd --role NAME` with its descriptors at fixed numbers that are listed in
// the environment-free argument --fds "ike=5,udp4=6,…"; the role runs a libevent loop until its channel to main closes.
#pragma once
#include "daemon/protocol.h"
#include "os/ipc.h"
#include "os/udp.h"

// What carries the routing mark goes by the main table, past our routes. Packets that no policy protects leave with the bypass mark,
// so that the packet filter can still stop one that should have been protected. The lower half of the mark is for who chooses an uplink.
#define ROUTING_MARK MARK_OF_DAEMON
#define BYPASS_MARK  MARK_OF_BYPASS
enum { ROUTING_MARK_MASK = 0x7fff0000, ROUTING_TABLE = 220, TRANSIT_TABLE = 221, WORKERS_MAX = 16, TCP_SPARES = 8 };

struct role_options {             // what every role is told
    enum role role;
    int channel[ROLE_COUNT];      // descriptor of the channel to each other role; -1: none
    int alive;                    // closes when main is gone
    struct udp_ports udp4, udp6;
    int tun[WORKERS_MAX];         // queues of the TUN device; -1: none
    int raw4[WORKERS_MAX], raw6[WORKERS_MAX];   // protocol 50; each receives the SPIs of its worker
    int ah4[WORKERS_MAX], ah6[WORKERS_MAX];     // protocol 51; likewise
    int whole4, whole6;           // protected packets that have their own header
    int bypass4, bypass6;         // whole packets that no policy protects
    int tcp4_listen, tcp6_listen;  // IKE over TCP (esp); -1: none
    int tcp4[TCP_SPARES], tcp6[TCP_SPARES];   // to connect with
    int icmp4, icmp6;             // what routers say of packets that are too large (ike)
    int vici;                     // listening UNIX socket (control)
    unsigned workers;             // threads that move packets, each with a queue of the TUN device
    uint16_t port, port_nat;
    uint16_t port_tcp;            // 0: nobody may connect
    const char *tun_name;
    const char *config;           // path, or "none"
    const char *state_dir;        // path, or "none"
    const char *run_dir, *vici_uri, *keylog;
    const char *resolv_conf;      // path, or "none"
    int resolv_fd;                // open for reading and writing; -1: none
    int keylog_fd;                // open for appending; -1: none
    uint8_t ticket_secret[32];    // of the ike role: from a file in run_dir …
    bool ticket_secret_known;     // … unless there is none
    uint8_t qcd_secret[32];       // likewise, from state_dir
    bool qcd_secret_known;
    bool json_log, debug;
    const char *retransmit;       // "timeout/base/tries" for tests; NULL: the usual
    unsigned mtu;                 // of the TUN device
    unsigned life;                // how often the processes were started before
};

int role_net(const struct role_options *options);
int role_ike(const struct role_options *options);
int role_keys(const struct role_options *options);
int role_trust(const struct role_options *options);
int role_esp(const struct role_options *options);
int role_control(const struct role_options *options);

// A channel on the event loop: checks each message against the table and calls handle(); ends the process when the other side is gone.
struct event_base;
struct link;
struct link *link_new(struct event_base *base, int fd, enum role self, enum role other,
                      void (*handle)(void *context, const struct message_head *head, struct rd *fields), void *context);
// Messages are gathered and leave at the end of the turn, in one packet a link and in the order of link_new(); a message that does not fit or
// cannot be queued ends the process with a log line. See decisions/0012-one-packet-a-turn.md.
void link_send_fd(struct link *link, const struct wr *message, int fd);   // with a copy of a descriptor; -1: none
int link_take_fd(struct link *link);   // while a message is handled: the descriptor that came with it, the caller's now; -1: none
void link_send(struct link *link, const struct wr *message);
// Sends what is gathered now: before the process does something long, or what others must not see sooner.
void links_flush(void);
// The loop of a role. When `alive` closes the daemon stops: a role with a hook (role_on_stop) gets it called and may go on until it
// leaves the loop itself or STOP_LIMIT_MS are over; the others go on until the ike role is gone, so that it can say goodbye through them.
enum { STOP_LIMIT_MS = 2000 };
int role_loop(struct event_base *base, int alive);
void role_leave(void);            // the loop ends with this turn
// Called at the end of each turn, before what it has gathered for the others is sent.
void role_on_turn(void (*turn)(void *context), void *context);
void role_on_stop(void (*stop)(void *context), void *context);
bool role_stop_ordered(void);     // the loop was left because main was told to stop, not because main is gone
// Handles messages that have come already, for a role that must know them before it goes on.
void link_poll(struct link *link);
// Log line to standard error: "2026-11-21T09:00:00Z ike[office] message (FAULT, RFC 7296 2.15): remedy"; level as in ike_report.
__attribute__((format(printf, 4, 5))) void role_log(enum role role, int level, enum fault fault, const char *format, ...);
enum log_format { LOG_FORMAT_TEXT = 0, LOG_FORMAT_JSON };
// From now on ordinary lines wait for role_log_flush(); not so those of other threads.
void role_log_gather(bool wanted);
void role_log_flush(void);
void role_log_setup(enum log_format format, bool debug, bool to_syslog);
nsec role_now(void);              // CLOCK_BOOTTIME
struct rng *role_rng(void);       // the system's randomness
