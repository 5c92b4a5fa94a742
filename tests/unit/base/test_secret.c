// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"
#include "unit.h"

static void a_new_secret_is_zero(void **state)
{
    (void)state;
    SECRET(key);
    secret_new(&key, 32);
    uint8_t zeros[32] = {0};
    check_bytes(secret_bytes(&key), BYTES_ARRAY(zeros));
    secret_new(&key, 0);
    assert_null(key.at);
    assert_int_equal(key.size, 0);
}

static void setting_copies_and_replaces(void **state)
{
    (void)state;
    SECRET(key);
    uint8_t value[] = {1, 2, 3};
    secret_set(&key, BYTES_ARRAY(value));
    value[0] = 9;
    check_bytes(secret_bytes(&key), BYTES("\x01\x02\x03"));
    secret_set(&key, BYTES("longer than before"));
    check_bytes(secret_bytes(&key), BYTES("longer than before"));
    secret_set(&key, BYTES_NONE);
    assert_int_equal(key.size, 0);
}

static void a_secret_can_be_set_to_a_part_of_itself(void **state)
{
    (void)state;
    SECRET(key);
    secret_set(&key, BYTES("0123456789"));
    secret_set(&key, bytes_of(key.at + 3, 4));
    check_bytes(secret_bytes(&key), BYTES("3456"));
}

static void moving_leaves_nothing_behind(void **state)
{
    (void)state;
    SECRET(from);
    SECRET(to);
    secret_set(&from, BYTES("key"));
    secret_set(&to, BYTES("former"));
    const uint8_t *at = from.at;
    secret_move(&to, &from);
    assert_ptr_equal(to.at, at);
    check_bytes(secret_bytes(&to), BYTES("key"));
    assert_null(from.at);
    assert_int_equal(from.size, 0);
    secret_move(&to, &to);
    check_bytes(secret_bytes(&to), BYTES("key"));
}

static void wiping_empties_and_is_harmless_when_empty(void **state)
{
    (void)state;
    struct secret key = {0};
    secret_wipe(&key);
    secret_set(&key, BYTES("key"));
    secret_wipe(&key);
    assert_null(key.at);
    assert_int_equal(key.size, 0);
    secret_wipe(&key);
}

static void wiped_memory_is_zero(void **state)
{
    (void)state;
    uint8_t at[5] = {1, 2, 3, 4, 5};
    memory_wipe(at + 1, 3);
    assert_memory_equal(at, "\x01\x00\x00\x00\x05", 5);
    memory_wipe(at, 0);
    memory_wipe(NULL, 0);
    assert_int_equal(at[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_secret_is_zero),
        cmocka_unit_test(setting_copies_and_replaces),
        cmocka_unit_test(a_secret_can_be_set_to_a_part_of_itself),
        cmocka_unit_test(moving_leaves_nothing_behind),
        cmocka_unit_test(wiping_empties_and_is_harmless_when_empty),
        cmocka_unit_test(wiped_memory_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
