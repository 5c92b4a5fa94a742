// SPDX-License-Identifier: Apache-2.0
#include "model.h"
#include "model/pool.h"

static void names_of_domains_are_letters_digits_hyphens_and_dots(void **state)
{
    (void)state;
    static const char *const good[] = {"example", "corp.example.org", "_srv.a-b.x9.org", "xn--bcher-kva.example", "a."};
    static const char *const bad[] = {"", ".", ".example", "a..b", "-a", "a b", "a\nb", "b\xc3\xbc", "a/b", "a;b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!domain_name_is_good(bytes_of_text(good[i]))) fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (domain_name_is_good(bytes_of_text(bad[i]))) fail_msg("%s is taken", bad[i]);
    char longest[DOMAIN_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    assert_true(domain_name_is_good(bytes_of(longest, DOMAIN_NAME_MAX)));
    assert_false(domain_name_is_good(bytes_of(longest, DOMAIN_NAME_MAX + 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_domains_are_letters_digits_hyphens_and_dots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
