// SPDX-License-Identifier: Apache-2.0
// Descriptors, files and directories of the daemon.
#include "daemon/open.h"
#include "daemon/leases.h"
#include "os/raw.h"
#include "os/rtnl.h"
#include "os/sandbox.h"
#include "os/tcp.h"
#include "os/tun.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 64, PATH_LIMIT = 400 };

static int pid_file = -1;

static void path_in(const struct role_options *options, const char *name, char out[PATH_LIMIT])
{
    snprintf(out, PATH_LIMIT, "%s/%s", options->run_dir, name);
}

// --- run directory

// mkdir -p, at most as many levels as a path can have.
static bool directory_make(const char *path)
{
    char part[PATH_LIMIT];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof part) return false;
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0755) < 0 && errno != EEXIST) return false;
    }
    return true;
}

static bool run_dir_open(struct role_options *options)
{
    char path[PATH_LIMIT];
    path_in(options, "empty", path);
    if (strlen(options->run_dir) > 256 || !directory_make(options->run_dir) ||
        (mkdir(path, 0555) < 0 && errno != EEXIST)) {
        role_log(ROLE_MAIN, IKE_ERROR, FAULT_RUN_DIR_REFUSED, "%s: %s", options->run_dir,
                 strerror(errno));
        return false;
    }
    path_in(options, "cygnetd.pid", path);
    pid_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (pid_file < 0) {
        role_log(ROLE_MAIN, IKE_ERROR, FAULT_RUN_DIR_REFUSED, "%s: %s", path, strerror(errno));
        return false;
    }
    if (flock(pid_file, LOCK_EX | LOCK_NB) < 0) {
        role_log(ROLE_MAIN, IKE_ERROR, FAULT_RUN_DIR_IN_USE, "%s", options->run_dir);
        return false;
    }
    return true;
}

// The directory stays root's, with the secrets that are read before rights are given up; the part for leases belongs to the
// user that the processes change to. Nothing but leases is lost without it.
static void state_dir_make(const struct role_options *options)
{
    unsigned uid, gid;
    const char *user;
    char path[PATH_LIMIT];
    if (strcmp(options->state_dir, "none") == 0) return;
    snprintf(path, sizeof path, "%s/" LEASES_DIR, options->state_dir);
    bool good = directory_make(path) && chmod(path, 0700) == 0;
    if (good && sandbox_user(&uid, &gid, &user)) good = chown(path, uid, gid) == 0;
    if (!good) role_log(ROLE_MAIN, IKE_ERROR, FAULT_LEASES_REFUSED, "%s: %s", path, strerror(errno));
}

void open_write_pid(void)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(pid_file, 0) < 0 || pwrite(pid_file, text, (size_t)size, 0) != size)
        role_log(ROLE_MAIN, IKE_ERROR, FAULT_RUN_DIR_REFUSED, "cannot write cygnetd.pid: %s",
                 strerror(errno));
}

// --- VICI socket

static bool vici_somebody_listens(const struct sockaddr_un *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    // A full backlog (EAGAIN) means somebody, too.
    bool listens =
        fd >= 0 && (connect(fd, (const struct sockaddr *)at, sizeof *at) == 0 || errno == EAGAIN);
    if (fd >= 0) close(fd);
    return listens;
}

static bool vici_refused(const char *path, enum fault fault)
{
    role_log(ROLE_MAIN, IKE_ERROR, fault, "%s%s%s", path, fault == FAULT_VICI_REFUSED ? ": " : "",
             fault == FAULT_VICI_REFUSED ? strerror(errno) : "");
    return false;
}

static bool vici_open(const char *path, int *out)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat there;
    memcpy(at.sun_path, path, strlen(path));
    if (lstat(path, &there) == 0) {
        if (vici_somebody_listens(&at)) return vici_refused(path, FAULT_VICI_IN_USE);
        errno = EEXIST;
        if (!S_ISSOCK(there.st_mode) || unlink(path) < 0)
            return vici_refused(path, FAULT_VICI_REFUSED);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0117);
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
    umask(mask);
    if (!bound || listen(fd, LISTEN_BACKLOG) < 0) {
        if (fd >= 0) close(fd);
        return vici_refused(path, FAULT_VICI_REFUSED);
    }
    unsigned uid, gid;
    const char *user;
    // Members of the group cygnet may control the daemon, where there is one.
    if (sandbox_user(&uid, &gid, &user) && strcmp(user, "cygnet") == 0 && chown(path, 0, gid) < 0)
        role_log(ROLE_MAIN, IKE_ERROR, OK, "cannot give %s to the group cygnet: %s", path,
                 strerror(errno));
    *out = fd;
    return true;
}

// --- network

static bool udp_open_all(struct role_options *options)
{
    const char *text = NULL;
    enum fault fault = udp_open(ADDR_V4, options->port, options->port_nat, options->workers,
                                ROUTING_MARK, &options->udp4, &text);
    if (fault) {
        role_log(ROLE_MAIN, IKE_ERROR, fault, "IPv4: %s", text);
        return false;
    }
    fault = udp_open(ADDR_V6, options->port, options->port_nat, options->workers, ROUTING_MARK,
                     &options->udp6, &text);
    if (fault == FAULT_PORT_IN_USE) {
        role_log(ROLE_MAIN, IKE_ERROR, fault, "IPv6: %s", text);
        return false;
    }
    if (fault) role_log(ROLE_MAIN, IKE_AUDIT, OK, "goes on without IPv6: %s", text);
    return true;
}

static bool raw_open_all(struct role_options *options)
{
    struct raw_sockets raw;
    const char *text;
    enum fault fault = raw_open(ROUTING_MARK, BYPASS_MARK, options->workers, &raw, &text);
    if (fault) {
        role_log(ROLE_MAIN, IKE_ERROR, fault, "raw socket: %s", text);
        return false;
    }
    _Static_assert(sizeof raw.esp4 == sizeof options->raw4, "one for each worker");
    memcpy(options->raw4, raw.esp4, sizeof options->raw4);
    memcpy(options->raw6, raw.esp6, sizeof options->raw6);
    memcpy(options->ah4, raw.ah4, sizeof options->ah4);
    memcpy(options->ah6, raw.ah6, sizeof options->ah6);
    options->whole4 = raw.whole4;
    options->whole6 = raw.whole6;
    options->bypass4 = raw.bypass4;
    options->bypass6 = raw.bypass6;
    options->icmp4 = raw.icmp4;
    options->icmp6 = raw.icmp6;
    return true;
}

// Those to connect with are few and cost nothing; a port to connect to is opened only when it is asked for.
static bool tcp_open_all(struct role_options *options)
{
    for (unsigned i = 0; i < TCP_SPARES; i++) {
        options->tcp4[i] = tcp_make(ADDR_V4, ROUTING_MARK);
        options->tcp6[i] = options->udp6.ike < 0 ? -1 : tcp_make(ADDR_V6, ROUTING_MARK);
    }
    if (!options->port_tcp) return true;
    enum fault fault = tcp_listen(ADDR_V4, options->port_tcp, ROUTING_MARK, &options->tcp4_listen);
    if (!fault && options->udp6.ike >= 0)
        fault = tcp_listen(ADDR_V6, options->port_tcp, ROUTING_MARK, &options->tcp6_listen);
    if (fault) role_log(ROLE_MAIN, IKE_ERROR, fault, "TCP port %u: %s", options->port_tcp, strerror(errno));
    return !fault;
}

static bool tun_open_all(struct role_options *options)
{
    const char *text;
    enum fault fault = tun_open(options->tun_name, options->workers, options->tun, &text);
    if (fault) role_log(ROLE_MAIN, IKE_ERROR, fault, "%s: %s", options->tun_name, text ? text : "");
    return !fault;
}

// Said before anything else is done: a key log that cannot be written is a mistake to mend first.
static bool keylog_make(const struct role_options *options)
{
    if (!options->keylog) return true;
    int fd = open(options->keylog, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        role_log(ROLE_MAIN, IKE_ERROR, OK, "cannot make the key log %s: %s", options->keylog,
                 strerror(errno));
    else
        close(fd);
    return fd >= 0;
}

bool open_all(struct arguments *arguments)
{
    struct role_options *options = &arguments->options;
    if (geteuid() != 0)
        role_log(ROLE_MAIN, IKE_AUDIT, OK,
                 "not started as root: needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE");
    state_dir_make(options);
    return run_dir_open(options) && vici_open(arguments->vici_path, &options->vici) &&
           udp_open_all(options) && raw_open_all(options) && tcp_open_all(options) && tun_open_all(options) &&
           keylog_make(options);
}

void close_all(const struct arguments *arguments)
{
    char path[PATH_LIMIT];
    unlink(arguments->vici_path);
    path_in(&arguments->options, "empty", path);
    rmdir(path);
    path_in(&arguments->options, "cygnetd.pid", path);
    unlink(path);
}

void tun_quiet(const struct role_options *options)
{
    struct rtnl *rtnl = rtnl_new();
    enum fault fault =
        rtnl ? rtnl_link(rtnl, if_nametoindex(options->tun_name), false, 0) : FAULT_SOCKET_REFUSED;
    if (fault)
        role_log(ROLE_MAIN, IKE_ERROR, fault, "%s cannot be set down: %s", options->tun_name,
                 rtnl ? rtnl_reason(rtnl) : strerror(errno));
    rtnl_free(rtnl);
    tun_drain(options->tun, options->workers);
}
