// SPDX-License-Identifier: Apache-2.0
// Giving up rights. Each test gives them up in a process of its own.
#include "base/unit.h"
#include "os/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { PASSED = 0, SKIPPED = 77 };

// Runs a check in a child; its exit status tells.
static void in_child(int (*check)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(check());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED) skip();
    assert_int_equal(WEXITSTATUS(status), PASSED);
}

static unsigned long effective(void)
{
    unsigned long capabilities = ~0ul;
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "CapEff:", 7) == 0) capabilities = strtoul(line + 7, NULL, 16);
    if (file) fclose(file);
    return capabilities;
}

static bool user_can_change(void)
{
    unsigned uid, gid;
    const char *name;
    return sandbox_user(&uid, &gid, &name);
}

static int check_user(void)
{
    const char *text;
    struct sandbox sandbox = {0};
    if (!user_can_change()) return SKIPPED;
    if (sandbox_enter(&sandbox, &text) != OK) return 1;
    if (getuid() == 0 || geteuid() == 0 || getgid() == 0) return 2;
    if (effective() != 0) return 3;
    if (setuid(0) == 0) return 4;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
        return 5;
    return text ? 6 : PASSED;
}

static void a_process_has_no_rights_left(void **state)
{
    (void)state;
    in_child(check_user);
}

static int check_one_capability(void)
{
    const char *text;
    struct sandbox sandbox = {.net_admin = true};
    if (!user_can_change()) return SKIPPED;
    if (sandbox_enter(&sandbox, &text) != OK || getuid() == 0) return 1;
    return effective() == 1ul << 12 ? PASSED : 2;
}

static void a_process_keeps_the_one_right_it_needs(void **state)
{
    (void)state;
    in_child(check_one_capability);
}

static char empty[64];

static int check_root(void)
{
    const char *text;
    if (!user_can_change()) return SKIPPED;
    struct sandbox sandbox = {.empty_root = empty};
    enum fault fault = sandbox_enter(&sandbox, &text);
    int file = open("/etc/passwd", O_RDONLY), error = errno;
    if (fault || file >= 0 || error != ENOENT) return 1;
    return open("/file", O_RDWR | O_CREAT, 0600) < 0 ? PASSED : 2;
}

static void an_empty_root_has_no_files(void **state)
{
    (void)state;
    in_child(check_root);
}

static int check_calls(void)
{
    const char *text;
    struct sandbox sandbox = {.no_files = true};
    static char name[] = "true";
    char *const argv[] = {name, NULL};
    if (sandbox_enter(&sandbox, &text) != OK) return 1;
    if (open("/dev/null", O_RDONLY) >= 0 || errno != EPERM) return 2;
    if (execv("/bin/true", argv) == 0 || errno != EPERM) return 3;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0); // what the roles live by still works
    return fd >= 0 && malloc(10000000) ? PASSED : 4;
}

static int empty_make(void **state)
{
    (void)state;
    snprintf(empty, sizeof empty, "/tmp/cygnet-test-XXXXXX");
    return mkdtemp(empty) && chmod(empty, 0555) == 0 ? 0 : -1;
}

static int empty_remove(void **state)
{
    (void)state;
    return rmdir(empty);
}

static void files_and_programs_are_refused(void **state)
{
    (void)state;
    in_child(check_calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_has_no_rights_left),
        cmocka_unit_test(a_process_keeps_the_one_right_it_needs),
        cmocka_unit_test(an_empty_root_has_no_files),
        cmocka_unit_test(files_and_programs_are_refused),
    };
    return cmocka_run_group_tests(tests, empty_make, empty_remove);
}
