// SPDX-License-Identifier: Apache-2.0
#include "conf.h"

static void items_keep_their_order_and_are_found_by_name(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct buf out = BUF(1000);
    struct tree *root = tree_new(&arena);
    struct tree *section = tree_add_section(&arena, root, "office");
    tree_add_text(&arena, section, "version", "2");
    tree_add_printf(&arena, section, "port", "%d", 500);
    struct tree *list = tree_add_list(&arena, section, "addrs");
    tree_add_item(&arena, list, BYTES("192.0.2.1"));
    tree_add_item(&arena, list, BYTES("192.0.2.2"));
    tree_add_section(&arena, root, "empty");
    tree_dump(root, &out);
    assert_string_equal(buf_text(&out), "office{version=2;port=500;addrs[192.0.2.1,192.0.2.2]}empty{}");

    assert_ptr_equal(tree_section(root, "office"), section);
    assert_null(tree_section(root, "offic"));
    assert_ptr_equal(tree_find(section, "addrs"), list);
    assert_string_equal(tree_text(section, "version", "0"), "2");
    assert_string_equal(tree_text(section, "missing", "0"), "0");
    assert_string_equal(tree_text(section, "addrs", "none"), "none");   // a list is no text
    check_bytes(tree_value(section, "port"), BYTES("500"));
    assert_null(tree_value(section, "missing").at);
    buf_free(&out);
    arena_free(&arena);
}

static void values_are_copied_and_end_with_a_nul(void **state)
{
    (void)state;
    struct arena arena = {0};
    char text[] = "abcd", name[] = "n";
    struct tree *root = tree_new(&arena);
    struct tree *item = tree_add_value(&arena, root, name, bytes_of(text, 2));
    text[0] = name[0] = 'x';
    assert_string_equal((const char *)item->value.at, "ab");
    assert_string_equal(item->name, "n");
    assert_int_equal(item->value.size, 2);
    arena_free(&arena);
}

static void nothing_is_found_in_no_section(void **state)
{
    (void)state;
    assert_null(tree_find(NULL, "a"));
    assert_null(tree_section(NULL, "a"));
    assert_string_equal(tree_text(NULL, "a", "b"), "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_keep_their_order_and_are_found_by_name),
        cmocka_unit_test(values_are_copied_and_end_with_a_nul),
        cmocka_unit_test(nothing_is_found_in_no_section),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
