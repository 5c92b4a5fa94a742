// SPDX-License-Identifier: Apache-2.0
// What a service manager hears, at a path and in the abstract namespace.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/notify.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static int listen_at(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t size = strlen(name);
    memcpy(at.sun_path, name, size);
    if (*name == '@') at.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)), 0);
    return fd;
}

static void assert_hears(const char *name)
{
    char text[64] = {0};
    int fd = listen_at(name);
    setenv("NOTIFY_SOCKET", name, 1);
    notify_service("READY=1");
    assert_int_equal(recv(fd, text, sizeof text - 1, 0), 7);
    assert_string_equal(text, "READY=1");
    close(fd);
}

static void it_is_heard_at_a_path(void **state)
{
    (void)state;
    char directory[] = "/tmp/cygnet-notify-XXXXXX", path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/socket", directory);
    assert_hears(path);
    unlink(path);
    rmdir(directory);
}

static void it_is_heard_in_the_abstract_namespace(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof name, "@cygnet-notify-%ld", (long)getpid());
    assert_hears(name);
}

static void nobody_wants_to_know(void **state)
{
    (void)state;
    static const char *const strange[] = {"", "x", "relative/path", "/tmp/nobody-listens-here"};
    char longest[200];
    memset(longest, '/', sizeof longest);
    longest[sizeof longest - 1] = 0;
    unsetenv("NOTIFY_SOCKET");
    notify_service("READY=1");
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        setenv("NOTIFY_SOCKET", strange[i], 1);
        notify_service("READY=1");
    }
    setenv("NOTIFY_SOCKET", longest, 1);
    notify_service("READY=1");   // no more than a socket's name can hold
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_heard_at_a_path),
        cmocka_unit_test(it_is_heard_in_the_abstract_namespace),
        cmocka_unit_test(nobody_wants_to_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
