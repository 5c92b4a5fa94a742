// SPDX-License-Identifier: Apache-2.0
// Leases on disk: what is noted is there after the next start, in the order in which it changed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/leases.h"
#include "daemon/role.h"
#include <event2/event.h>

static unsigned faults;

void role_log(enum role role, int level, enum fault fault, const char *format, ...)
{
    (void)role, (void)level, (void)format;
    faults += fault != OK;
}

struct world {
    struct event_base *base;
    char directory[64];
};

static int world_make(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->base = event_base_new();
    strcpy(world->directory, "/tmp/cygnet-leases-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    faults = 0;
    *state = world;
    return 0;
}

static int world_end(void **state)
{
    struct world *world = *state;
    static const char *const names[] = {"leases.sqlite", "leases.sqlite-wal", "leases.sqlite-shm"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", world->directory, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(world->directory), 0);
    event_base_free(world->base);
    free(world);
    return 0;
}

static struct lease_message lease(const char *pool, const char *addr, const char *id)
{
    struct lease_message out = {.pool = pool, .id = {.type = ID_FQDN, .bytes = bytes_of_text(id)}};
    assert_int_equal(addr_parse(addr, &out.addr), OK);
    return out;
}

static void note(struct leases *leases, const char *pool, const char *addr, const char *id)
{
    struct lease_message message = lease(pool, addr, id);
    leases_note(leases, &message);
}

static void collect(void *context, const struct lease_message *message)
{
    char addr[ADDR_TEXT], *text = context;
    sprintf(text + strlen(text), "%s=%.*s ", addr_print(&message->addr, addr), (int)message->id.bytes.size,
            (const char *)message->id.bytes.at);
}

static void assert_pool(struct leases *leases, const char *pool, const char *expected)
{
    char text[1000] = "";
    leases_of_pool(leases, pool, text, collect);
    assert_string_equal(text, expected);
}

static void what_is_noted_is_there_after_the_next_start(void **state)
{
    struct world *world = *state;
    struct leases *leases = leases_open(world->directory, world->base);
    assert_non_null(leases);
    note(leases, "office", "10.3.0.1", "a.example.org");
    note(leases, "six", "fd03::1", "a.example.org");
    note(leases, "office", "10.3.0.2", "b.example.org");
    note(leases, "office", "10.3.0.1", "c.example.org"); // it goes to somebody else
    leases_close(leases);
    leases = leases_open(world->directory, world->base);
    assert_pool(leases, "office", "10.3.0.1=c.example.org 10.3.0.2=b.example.org ");
    assert_pool(leases, "six", "fd03::1=a.example.org ");
    assert_pool(leases, "other", "");
    leases_close(leases);
    assert_int_equal(faults, 0);
}

static void what_was_gathered_is_written_after_a_moment(void **state)
{
    struct world *world = *state;
    struct leases *leases = leases_open(world->directory, world->base);
    note(leases, "office", "10.3.0.1", "a.example.org");
    event_base_dispatch(world->base); // until the timer has fired
    struct leases *reader = leases_open(world->directory, world->base);
    assert_pool(reader, "office", "10.3.0.1=a.example.org ");
    leases_close(reader);
    leases_close(leases);
    assert_int_equal(faults, 0);
}

static void a_file_that_is_none_is_refused(void **state)
{
    struct world *world = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/leases.sqlite", world->directory);
    FILE *file = fopen(path, "w");
    for (unsigned i = 0; i < 100; i++) fputs("this is no database\n", file);
    fclose(file);
    assert_null(leases_open(world->directory, world->base));
    assert_true(faults > 0);
}

static void a_directory_that_is_not_there_is_refused(void **state)
{
    struct world *world = *state;
    assert_null(leases_open("/nowhere/at/all", world->base));
    assert_true(faults > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_make, world_end)
    const struct CMUnitTest tests[] = {
        TEST(what_is_noted_is_there_after_the_next_start),
        TEST(what_was_gathered_is_written_after_a_moment),
        TEST(a_file_that_is_none_is_refused),
        TEST(a_directory_that_is_not_there_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
