// SPDX-License-Identifier: Apache-2.0
// The beginning of a role's process: which rights it keeps, and what runs.
#include "daemon/start.h"
#include "crypto/crypto.h"
#include "os/resolv.h"
#include "os/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAP_KEPT = 128 * 1024 }; // bytes
enum root { ROOT_STAYS, ROOT_EMPTY };

// clang-format off
static const struct start {
    int (*run)(const struct role_options *options);
    enum root root;
    bool net_admin, read_all, lock_memory, no_files;
} starts[ROLE_COUNT] = {
    //                run            root        net_admin read_all lock_memory no_files
    [ROLE_NET]     = {role_net,      ROOT_STAYS, true,     false,   false,      false},
    [ROLE_IKE]     = {role_ike,      ROOT_EMPTY, false,    false,   false,      true},
    [ROLE_KEYS]    = {role_keys,     ROOT_EMPTY, false,    false,   true,       true},
    [ROLE_TRUST]   = {role_trust,    ROOT_STAYS, false,    false,   false,      false},
    [ROLE_ESP]     = {role_esp,      ROOT_EMPTY, false,    false,   false,      true},
    [ROLE_CONTROL] = {role_control,  ROOT_STAYS, false,    true,    false,      false},
};
// clang-format on

static bool rights_drop(const struct role_options *options, const struct start *start)
{
    char empty[300];
    snprintf(empty, sizeof empty, "%s/empty", options->run_dir);
    struct sandbox sandbox = {
        .empty_root = start->root == ROOT_EMPTY ? empty : NULL,
        .net_admin = start->net_admin,
        .read_all = start->read_all,
        .lock_memory = start->lock_memory,
        .no_files = start->no_files,
    };
    const char *text;
    enum fault fault = sandbox_enter(&sandbox, &text);
    if (text && options->life == 0)
        role_log(options->role, IKE_AUDIT, OK, "keeps rights that it should not have: %s", text);
    if (fault) role_log(options->role, IKE_ERROR, fault, "%s", "");
    return !fault;
}

// The only file that the ike role writes is opened while it still has files, and rights to that one.
static int keylog_open(const struct role_options *options)
{
    if (options->role != ROLE_IKE || !options->keylog) return -1;
    int fd = open(options->keylog, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) role_log(options->role, IKE_ERROR, OK, "cannot open the key log %s: %s", options->keylog, strerror(errno));
    return fd;
}

// Likewise net and the one that it changes.
static int resolv_conf_open(const struct role_options *options)
{
    bool wanted = options->role == ROLE_NET && strcmp(options->resolv_conf, "none") != 0;
    return wanted ? resolv_open(options->resolv_conf) : -1;
}

// A secret that outlives the process: made by the first one that needs it. Whatever else is in the file is replaced.
static bool secret_file_read(const char *path, uint8_t *out, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0 && flock(fd, LOCK_EX) == 0 && fchmod(fd, 0600) == 0;
    if (good && pread(fd, out, size, 0) != (ssize_t)size)
        good = getrandom(out, size, 0) == (ssize_t)size && ftruncate(fd, 0) == 0 && pwrite(fd, out, size, 0) == (ssize_t)size;
    if (!good) role_log(ROLE_IKE, IKE_ERROR, FAULT_SECRET_FILE, "%s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return good;
}

// See decisions/0010-tickets-live-as-long-as-the-host-is-up.md.
static void secrets_read(struct role_options *options)
{
    char path[300];
    if (options->role != ROLE_IKE) return;
    snprintf(path, sizeof path, "%s/ticket.secret", options->run_dir);
    options->ticket_secret_known = secret_file_read(path, options->ticket_secret, sizeof options->ticket_secret);
    // Of use after a reboot, too; a host without a place for that has it until then.
    const char *place = strcmp(options->state_dir, "none") == 0 ? options->run_dir : options->state_dir;
    snprintf(path, sizeof path, "%s/qcd.secret", place);
    options->qcd_secret_known = secret_file_read(path, options->qcd_secret, sizeof options->qcd_secret);
}

int role_start(const struct role_options *given)
{
    struct role_options with_log = *given;
    const struct role_options *options = &with_log;
    const struct start *start = &starts[options->role];
    // main alone listens to the terminal and the service manager; control takes SIGHUP for itself.
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
    char name[16];
    snprintf(name, sizeof name, "cygnet-%s", role_name(options->role));
    prctl(PR_SET_NAME, name, 0, 0, 0);
    // What was needed for a moment (a large configuration, a transaction of the packet filter) is given back.
    mallopt(M_MMAP_THRESHOLD, HEAP_KEPT);
    mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
    // Reads its modules while there still are files.
    crypto_start();
    with_log.keylog_fd = keylog_open(options);
    with_log.resolv_fd = resolv_conf_open(options);
    secrets_read(&with_log);
    if (!rights_drop(options, start)) return 1;
    return start->run(options);
}
