// SPDX-License-Identifier: Apache-2.0
#include "model.h"

static struct conn *conn_made(void)
{
    struct conn *conn = NEW(struct conn);
    conn->references = 1;
    conn->name = arena_text(&conn->arena, BYTES("office"));
    conn->child_count = 2;
    conn->children = arena_array(&conn->arena, 2, sizeof *conn->children);
    conn->children[0] = (struct child_conf){.name = "lan", .conn = conn};
    conn->children[1] = (struct child_conf){.name = "voice", .conn = conn};
    return conn;
}

// That all of it is freed, and not before, is what the sanitizer and valgrind see.
static void the_last_release_frees(void **state)
{
    (void)state;
    struct conn *conn = conn_made();
    assert_ptr_equal(conn_hold(conn), conn);
    assert_int_equal(conn->references, 2);
    conn_release(conn);
    assert_int_equal(conn->references, 1);
    assert_string_equal(conn->name, "office");
    conn_release(conn);
    conn_release(NULL);
}

static void children_are_found_by_name(void **state)
{
    (void)state;
    struct conn *conn = conn_made();
    assert_ptr_equal(conn_child(conn, "voice"), &conn->children[1]);
    assert_null(conn_child(conn, "Voice"));
    assert_null(conn_child(conn, ""));
    conn_release(conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_release_frees),
        cmocka_unit_test(children_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
