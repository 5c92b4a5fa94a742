// SPDX-License-Identifier: Apache-2.0
// Giving up rights, in an order in which each step is still permitted: memory, root directory,
// user, capabilities, system calls.
#include "os/sandbox.h"
#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

bool sandbox_user(unsigned *uid, unsigned *gid, const char **name)
{
    if (geteuid() != 0) return false;
    const struct passwd *user = getpwnam("cygnet");
    if (!user) user = getpwnam("nobody");
    *uid = user ? user->pw_uid : 65534;
    *gid = user ? user->pw_gid : 65534;
    *name = user && strcmp(user->pw_name, "cygnet") == 0 ? "cygnet" : "nobody";
    return true;
}

// Capability or not, locking is counted against a limit once root is gone: then every later
// allocation beyond it would fail. Where the limit cannot be raised, what is there now is locked
// and what comes later is not.
static bool memory_lock(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    bool unlimited = setrlimit(RLIMIT_MEMLOCK, &limit) == 0;
    return mlockall(unlimited ? MCL_CURRENT | MCL_FUTURE : MCL_CURRENT) == 0 && unlimited;
}

static bool root_change(const char *empty_root)
{
    return chdir(empty_root) == 0 && chroot(".") == 0;
}

// Kept across the change of user; all others go, for programs started later as well.
static void capabilities_choose(const struct sandbox *sandbox)
{
    static const capng_type_t both = CAPNG_EFFECTIVE | CAPNG_PERMITTED;
    capng_clear(CAPNG_SELECT_BOTH);
    if (sandbox->net_admin) capng_update(CAPNG_ADD, both, CAP_NET_ADMIN);
    if (sandbox->read_all) capng_update(CAPNG_ADD, both, CAP_DAC_READ_SEARCH);
}

static bool user_change(unsigned uid, unsigned gid, const struct sandbox *sandbox)
{
    capabilities_choose(sandbox);
    return capng_change_id((int)uid, (int)gid,
                           CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING | CAPNG_CLEAR_AMBIENT) == 0;
}

static bool capabilities_drop(const struct sandbox *sandbox)
{
    capabilities_choose(sandbox);
    return capng_apply(CAPNG_SELECT_CAPS) == 0;
}

// clang-format off
static const int refused[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2),
    SCMP_SYS(creat), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(mount), SCMP_SYS(umount2),
    SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open), SCMP_SYS(init_module), SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load), SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key),
    SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup),
};
// clang-format on

static bool calls_refuse(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter) return false;
    bool good = true;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        // A call that this architecture lacks needs no rule.
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0) < 0 && refused[i] >= 0)
            good = false;
    if (seccomp_load(filter) < 0) good = false;
    seccomp_release(filter);
    return good;
}

enum fault sandbox_enter(const struct sandbox *sandbox, const char **text)
{
    static char problems[200];
    size_t used = 0;
    unsigned uid = 0, gid = 0;
    const char *name = "";
    *text = NULL;
    problems[0] = 0;
#define NOTE(what)                                                                                 \
    used += (size_t)snprintf(problems + used, sizeof problems - used, "%scannot %s: %s",           \
                             used ? "; " : "", what, strerror(errno))
    bool root = sandbox_user(&uid, &gid, &name);
    if (sandbox->lock_memory && !memory_lock()) NOTE("lock later memory");
    if (root && sandbox->empty_root && !root_change(sandbox->empty_root))
        NOTE("change the root directory");
    if (root && !user_change(uid, gid, sandbox)) {
        NOTE("change the user");
        if (!capabilities_drop(sandbox)) NOTE("drop capabilities");
    }
    if (!root)
        used += (size_t)snprintf(problems + used, sizeof problems - used,
                                 "not started as root: the user stays");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return FAULT_SANDBOX_REFUSED;
    if (sandbox->no_files && !calls_refuse()) NOTE("refuse system calls");
#undef NOTE
    if (problems[0]) *text = problems;
    return OK;
}
