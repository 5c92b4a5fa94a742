// SPDX-License-Identifier: Apache-2.0
// resolv.conf: our lines at the top, everything else as it was.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/resolv.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define BEGIN "# cygnet: name servers of tunnels, removed with them\n"
#define END "# cygnet: end\n"

static struct addr addr_of(const char *text)
{
    struct addr addr;
    assert_int_equal(addr_parse(text, &addr), OK);
    return addr;
}

static void assert_edit(const char *text, unsigned count, const char *expected)
{
    struct addr servers[] = {addr_of("10.2.0.53"), addr_of("fd02::53")};
    AUTOFREE_BUF struct buf out = BUF(4096);
    resolv_edit(bytes_of_text(text), servers, count, &out);
    assert_string_equal(buf_text(&out), expected);
}

static void servers_go_to_the_top_and_out_again(void **state)
{
    (void)state;
    assert_edit("nameserver 192.0.2.1\n", 0, "nameserver 192.0.2.1\n");
    assert_edit("nameserver 192.0.2.1\n", 1,
                BEGIN "nameserver 10.2.0.53\n" END "nameserver 192.0.2.1\n");
    assert_edit(BEGIN "nameserver 10.2.0.53\n" END "nameserver 192.0.2.1\n", 2,
                BEGIN "nameserver 10.2.0.53\nnameserver fd02::53\n" END "nameserver 192.0.2.1\n");
    assert_edit(BEGIN "nameserver 10.2.0.53\n" END "nameserver 192.0.2.1\n", 0,
                "nameserver 192.0.2.1\n");
    assert_edit("search a\n" BEGIN "nameserver 10.2.0.53\n" END, 0,
                "search a\n"); // somebody wrote above us
    assert_edit("", 0, "");
}

static void what_is_not_whole_is_left_alone(void **state)
{
    (void)state;
    assert_edit(BEGIN "nameserver 10.2.0.53\n", 0, BEGIN "nameserver 10.2.0.53\n");
    assert_edit(END "x\n" BEGIN, 0, END "x\n" BEGIN);
    assert_edit("; " BEGIN END, 0, "; " BEGIN END); // within a line
}

static void file_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

static void assert_file(const char *path, const char *expected)
{
    char text[400] = "";
    FILE *file = fopen(path, "r");
    assert_true(fread(text, 1, sizeof text - 1, file) == strlen(expected));
    fclose(file);
    assert_string_equal(text, expected);
}

static void the_file_is_changed_and_changed_back(void **state)
{
    (void)state;
    char directory[] = "/tmp/cygnet-resolv-XXXXXX", path[64], other[64], link[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/resolv.conf", directory);
    snprintf(other, sizeof other, "%s/new", directory);
    snprintf(link, sizeof link, "%s/link", directory);
    file_write(path, "nameserver 192.0.2.1\n");
    struct addr server = addr_of("10.2.0.53");
    int fd = resolv_open(path);
    assert_true(fd >= 0);
    assert_int_equal(resolv_set(fd, path, &server, 1), OK);
    assert_file(path, BEGIN "nameserver 10.2.0.53\n" END "nameserver 192.0.2.1\n");
    assert_int_equal(resolv_set(fd, path, NULL, 0), OK);
    assert_file(path, "nameserver 192.0.2.1\n");
    file_write(other, "nameserver 192.0.2.2\n");
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(resolv_set(fd, path, &server, 1), FAULT_RESOLV_REPLACED);
    assert_file(path, "nameserver 192.0.2.2\n");
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(resolv_open(link), -1);
    close(fd);
    unlink(link), unlink(path), rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_go_to_the_top_and_out_again),
        cmocka_unit_test(what_is_not_whole_is_left_alone),
        cmocka_unit_test(the_file_is_changed_and_changed_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
