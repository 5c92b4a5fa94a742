// SPDX-License-Identifier: Apache-2.0
// cygnetd: main opens what needs root, starts the roles as processes of their own, and keeps them
// together. It reads nothing from them. When one ends, all are ended and started again: they hold
// one state together, and half of it is worth nothing.
//
//     open sockets, TUN, VICI --> start roles --> one ended? end all, TUN down, wait 0.2 s … 30 s
//     --> start roles …
//                                             --> told to stop: a byte on each `alive`, the roles
//                                             take leave, files are removed
#include "daemon/arguments.h"
#include "daemon/open.h"
#include "daemon/start.h"
#include "os/notify.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const nsec wait_first = 200 * NSEC_PER_MS, wait_longest = 30 * NSEC_PER_SECOND,
                  life_good = 60 * NSEC_PER_SECOND, stop_longest = 5 * NSEC_PER_SECOND,
                  cause_longest = 200 * NSEC_PER_MS;

struct daemon {
    struct arguments arguments;
    pid_t pids[ROLE_COUNT]; // 0: not running
    int alive[ROLE_COUNT];  // our end
    sigset_t signals;
    nsec started, wait;
    unsigned life;
    bool told_to_stop;
};

// --- starting

// Which roles talk to each other, from the table of messages.
static bool roles_talk(enum role a, enum role b)
{
    static const struct {
        uint8_t from, to;
    } pairs[] = {
#define MESSAGE(from, to, name, limit) {ROLE_##from, ROLE_##to},
#include "daemon/protocol.def"
#undef MESSAGE
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if ((pairs[i].from == a && pairs[i].to == b) || (pairs[i].from == b && pairs[i].to == a))
            return true;
    return false;
}

static bool channels_open(int channels[ROLE_COUNT][ROLE_COUNT])
{
    for (unsigned a = 0; a < ROLE_COUNT; a++)
        for (unsigned b = 0; b < ROLE_COUNT; b++) channels[a][b] = -1;
    for (unsigned a = ROLE_NET; a < ROLE_COUNT; a++) {
        for (unsigned b = a + 1; b < ROLE_COUNT; b++) {
            int fds[2];
            if (!roles_talk(a, b)) continue;
            enum fault fault = ipc_pair(fds);
            if (fault) {
                role_log(ROLE_MAIN, IKE_ERROR, fault, "channel between %s and %s", role_name(a),
                         role_name(b));
                return false;
            }
            channels[a][b] = fds[0];
            channels[b][a] = fds[1];
        }
    }
    return true;
}

static void channels_close(int channels[ROLE_COUNT][ROLE_COUNT])
{
    for (unsigned a = 0; a < ROLE_COUNT; a++)
        for (unsigned b = 0; b < ROLE_COUNT; b++)
            if (channels[a][b] >= 0) close(channels[a][b]);
}

__attribute__((noreturn)) static void role_exec(struct daemon *daemon, struct role_options *options)
{
    struct arena arena = {0};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    char **argv = arguments_for_role(&daemon->arguments, options, &arena);
    execv("/proc/self/exe", argv);
    role_log(ROLE_MAIN, IKE_ERROR, OK, "cannot start the %s process: %s", role_name(options->role),
             strerror(errno));
    _exit(1);
}

static bool role_run(struct daemon *daemon, enum role role, const int channel[ROLE_COUNT])
{
    int alive[2];
    if (pipe2(alive, O_CLOEXEC | O_NONBLOCK) < 0) return false;
    struct role_options options = daemon->arguments.options;
    options.role = role;
    options.alive = alive[0];
    options.life = daemon->life;
    memcpy(options.channel, channel, sizeof options.channel);
    pid_t pid = fork();
    if (pid == 0) role_exec(daemon, &options);
    close(alive[0]);
    daemon->alive[role] = alive[1];
    daemon->pids[role] = pid > 0 ? pid : 0;
    return pid > 0;
}

static bool roles_run(struct daemon *daemon)
{
    // net first: what must not leave is guarded before anything can be sent.
    static const enum role order[] = {ROLE_NET, ROLE_KEYS, ROLE_TRUST,
                                      ROLE_ESP, ROLE_IKE,  ROLE_CONTROL};
    int channels[ROLE_COUNT][ROLE_COUNT];
    bool good = channels_open(channels);
    for (size_t i = 0; good && i < sizeof order / sizeof *order; i++)
        good = role_run(daemon, order[i], channels[order[i]]);
    channels_close(channels);
    daemon->started = role_now();
    daemon->life++;
    if (!good)
        role_log(ROLE_MAIN, IKE_ERROR, OK, "not all processes could be started: %s",
                 strerror(errno));
    return good;
}

// --- ending

static void alive_close(struct daemon *daemon)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        if (daemon->alive[role] >= 0) close(daemon->alive[role]);
        daemon->alive[role] = -1;
    }
}

static unsigned roles_running(const struct daemon *daemon)
{
    unsigned count = 0;
    for (unsigned role = 0; role < ROLE_COUNT; role++) count += daemon->pids[role] > 0;
    return count;
}

static void roles_kill(struct daemon *daemon)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        if (daemon->pids[role] > 0) kill(daemon->pids[role], SIGKILL);
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        while (daemon->pids[role] > 0 && waitpid(daemon->pids[role], NULL, 0) < 0 && errno == EINTR)
            continue;
        daemon->pids[role] = 0;
    }
    alive_close(daemon);
}

static void end_describe(int status, char *out, size_t room)
{
    if (WIFSIGNALED(status))
        snprintf(out, room, "signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(out, room, "status %d", WEXITSTATUS(status));
}

// Takes note of processes that ended; true when there was one. Of several the first is the cause:
// neighbours of one that is gone end with a status of their own.
static bool roles_reap(struct daemon *daemon, enum role *first, int *first_status)
{
    bool any = false, found = false;
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        for (unsigned role = 0; role < ROLE_COUNT; role++) {
            if (daemon->pids[role] != pid) continue;
            daemon->pids[role] = 0;
            any = true;
            bool follows = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NEIGHBOUR;
            if (found || (follows && *first != ROLE_MAIN)) continue;
            *first = role;
            *first_status = status;
            found = !follows;
        }
    }
    return any;
}

// --- the two states: running and stopping

static bool is_stop(int signal)
{
    return signal == SIGTERM || signal == SIGINT;
}

static int signal_wait(struct daemon *daemon, nsec until)
{
    nsec left = until == NSEC_NEVER ? NSEC_NEVER : until - role_now();
    if (left < 0) left = 0;
    struct timespec wait = {.tv_sec = left / NSEC_PER_SECOND, .tv_nsec = left % NSEC_PER_SECOND};
    int signal = until == NSEC_NEVER ? sigwaitinfo(&daemon->signals, NULL)
                                     : sigtimedwait(&daemon->signals, NULL, &wait);
    if (is_stop(signal)) daemon->told_to_stop = true;
    return signal < 0 ? 0 : signal;
}

static void all_ended(struct daemon *daemon, enum role first, int status)
{
    char how[80];
    end_describe(status, how, sizeof how);
    roles_kill(daemon);
    tun_quiet(&daemon->arguments.options);
    if (role_now() - daemon->started > life_good) daemon->wait = wait_first;
    role_log(ROLE_MAIN, IKE_ERROR, FAULT_ROLE_ENDED,
             "the %s process ended (%s); all start again in %.1f s", role_name(first), how,
             (double)daemon->wait / (double)NSEC_PER_SECOND);
}

// True when the time is over, false when the daemon is to stop.
static bool wait_out(struct daemon *daemon)
{
    nsec until = role_now() + daemon->wait;
    daemon->wait = daemon->wait * 2 < wait_longest ? daemon->wait * 2 : wait_longest;
    while (role_now() < until && !daemon->told_to_stop) signal_wait(daemon, until);
    return !daemon->told_to_stop;
}

// A process's channels close before the news of its end comes, so neighbours that follow it may be
// reported first.
static void cause_find(struct daemon *daemon, enum role *first, int *status)
{
    nsec until = role_now() + cause_longest;
    while (WIFEXITED(*status) && WEXITSTATUS(*status) == EXIT_NEIGHBOUR && role_now() < until)
        if (signal_wait(daemon, until) == SIGCHLD) roles_reap(daemon, first, status);
}

// Returns when the daemon is to stop.
static void run(struct daemon *daemon)
{
    for (;;) {
        int signal = signal_wait(daemon, NSEC_NEVER);
        if (daemon->told_to_stop) return;
        if (signal == SIGHUP && daemon->pids[ROLE_CONTROL] > 0)
            kill(daemon->pids[ROLE_CONTROL], SIGHUP);
        enum role first = ROLE_MAIN;
        int status = 0;
        if (signal != SIGCHLD || !roles_reap(daemon, &first, &status)) continue;
        cause_find(daemon, &first, &status);
        all_ended(daemon, first, status);
        do {
            if (!wait_out(daemon)) return;
        } while (!roles_run(daemon));
    }
}

static void stop(struct daemon *daemon)
{
    notify_service("STOPPING=1");
    role_log(ROLE_MAIN, IKE_INFO, OK, "stops: peers are told, then routes and rules are removed");
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        if (daemon->alive[role] >= 0 && write(daemon->alive[role], "q", 1) < 0)
            continue; // ended by itself
    alive_close(daemon);
    // Service managers and shells like to say it twice; only who says it again after a while is in a hurry.
    nsec now = role_now(), until = now + stop_longest, patience = now + NSEC_PER_SECOND;
    while (roles_running(daemon) && role_now() < until) {
        enum role first = ROLE_MAIN;
        int status;
        if (is_stop(signal_wait(daemon, until)) && role_now() > patience) break;
        roles_reap(daemon, &first, &status);
    }
    if (roles_running(daemon))
        role_log(ROLE_MAIN, IKE_ERROR, OK, "%u processes did not end in time and are killed",
                 roles_running(daemon));
    roles_kill(daemon);
    close_all(&daemon->arguments);
    role_log(ROLE_MAIN, IKE_INFO, OK, "ended");
}

// --- main

// Paths stay good when the daemon leaves its directory.
static const char *path_absolute(const char *path, struct arena *arena)
{
    char here[PATH_MAX];
    if (*path == '/' || strcmp(path, "none") == 0 || !getcwd(here, sizeof here)) return path;
    return arena_printf(arena, "%s/%s", here, path);
}

static bool background(struct arguments *arguments)
{
    pid_t pid = fork();
    if (pid > 0) _exit(0);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (pid < 0 || setsid() < 0 || null < 0 || chdir("/") < 0) {
        role_log(ROLE_MAIN, IKE_ERROR, OK, "cannot go into the background: %s", strerror(errno));
        return false;
    }
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    arguments->to_syslog = true;
    role_log_setup(arguments->options.json_log ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT,
                   arguments->options.debug, true);
    return true;
}

static void signals_block(struct daemon *daemon)
{
    static const int wanted[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigemptyset(&daemon->signals);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        sigaddset(&daemon->signals, wanted[i]);
    sigprocmask(SIG_BLOCK, &daemon->signals, NULL);
    signal(SIGPIPE, SIG_IGN); // a role that is told to end may have ended
}

static int daemon_main(struct daemon *daemon)
{
    struct arena paths = {0};
    struct role_options *options = &daemon->arguments.options;
    options->config = path_absolute(options->config, &paths);
    options->run_dir = path_absolute(options->run_dir, &paths);
    options->resolv_conf = path_absolute(options->resolv_conf, &paths);
    options->state_dir = path_absolute(options->state_dir, &paths);
    if (options->keylog) options->keylog = path_absolute(options->keylog, &paths);
    for (unsigned role = 0; role < ROLE_COUNT; role++) daemon->alive[role] = -1;
    daemon->wait = wait_first;
    if (!open_all(&daemon->arguments)) return 1;
    if (!daemon->arguments.foreground && !background(&daemon->arguments)) return 1;
    open_write_pid();
    signals_block(daemon);
    if (!roles_run(daemon)) {
        roles_kill(daemon);
        close_all(&daemon->arguments);
        return 1;
    }
    role_log(ROLE_MAIN, IKE_INFO, OK,
             "cygnetd %s runs: ports %u and %u, %s, device %s, control at %s", CYGNET_VERSION,
             options->port, options->port_nat, options->udp6.ike >= 0 ? "IPv4 and IPv6" : "IPv4",
             options->tun_name, options->vici_uri);
    notify_service("READY=1");
    run(daemon);
    stop(daemon);
    arena_free(&paths);
    return 0;
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    enum arguments_result result = arguments_read(argc, argv, &daemon.arguments);
    if (result != ARGUMENTS_RUN) return result == ARGUMENTS_END_GOOD ? 0 : 2;
    const struct role_options *options = &daemon.arguments.options;
    role_log_setup(options->json_log ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT, options->debug,
                   daemon.arguments.to_syslog);
    return options->role == ROLE_MAIN ? daemon_main(&daemon) : role_start(options);
}
