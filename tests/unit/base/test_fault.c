// SPDX-License-Identifier: Apache-2.0
// The catalogue is complete: each row can be told from all others and says something an operator
// can use.
#include "unit.h"
#include <ctype.h>

static void every_fault_has_a_sentence(void **state)
{
    (void)state;
    for (int fault = 1; fault < FAULT_COUNT; fault++) {
        const char *sentence = fault_sentence((enum fault)fault);
        if (!sentence || strlen(sentence) < 5 || strchr(sentence, '\n'))
            fail_msg("%s has no sentence", fault_name((enum fault)fault));
        size_t end = strlen(sentence) - 1;
        if (isupper((unsigned char)sentence[0]) && islower((unsigned char)sentence[1]))
            fail_msg("%s: the sentence follows a colon in the log, so it begins in lower case",
                     fault_name((enum fault)fault));
        if (sentence[end] == '.' || sentence[end] == ' ')
            fail_msg("%s: the sentence ends without a full stop", fault_name((enum fault)fault));
    }
}

static void every_column_is_a_text(void **state)
{
    (void)state;
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        assert_non_null(fault_name((enum fault)fault));
        assert_non_null(fault_remedy((enum fault)fault));
        assert_non_null(fault_source((enum fault)fault));
    }
}

static void a_source_names_a_document(void **state)
{
    static const char *const documents[] = {"RFC ", "FIPS ", "NIST ", "draft-", "IANA ", "X."};
    (void)state;
    for (int fault = 1; fault < FAULT_COUNT; fault++) {
        const char *source = fault_source((enum fault)fault);
        bool known = !*source;
        for (size_t i = 0; i < COUNT(documents); i++)
            known = known || strncmp(source, documents[i], strlen(documents[i])) == 0;
        if (!known) fail_msg("%s: source \"%s\"", fault_name((enum fault)fault), source);
    }
}

static void no_two_faults_share_a_symbol(void **state)
{
    (void)state;
    for (int a = 0; a < FAULT_COUNT; a++)
        for (int b = a + 1; b < FAULT_COUNT; b++)
            assert_string_not_equal(fault_name((enum fault)a), fault_name((enum fault)b));
}

static void no_two_faults_share_a_sentence(void **state)
{
    (void)state;
    for (int a = 0; a < FAULT_COUNT; a++)
        for (int b = a + 1; b < FAULT_COUNT; b++)
            if (!strcmp(fault_sentence((enum fault)a), fault_sentence((enum fault)b)))
                fail_msg("%s and %s say the same", fault_name((enum fault)a),
                         fault_name((enum fault)b));
}

static void a_row_is_found_by_its_symbol(void **state)
{
    (void)state;
    assert_string_equal(fault_name(OK), "OK");
    assert_string_equal(fault_name(FAULT_TRUNCATED), "TRUNCATED");
    assert_string_equal(fault_sentence(FAULT_TRUNCATED), "message ends before its fields do");
    assert_string_equal(fault_source(FAULT_TRUNCATED), "RFC 7296 2.21");
    assert_string_equal(fault_remedy(FAULT_NO_ROOM), "use fewer or shorter values");
}

static void a_number_outside_the_catalogue_is_named_unknown(void **state)
{
    (void)state;
    assert_string_equal(fault_name(FAULT_COUNT), "UNKNOWN");
    assert_string_equal(fault_name((enum fault) ~0u), "UNKNOWN");
    assert_string_equal(fault_remedy(FAULT_COUNT), "");
}

static enum fault try_twice(enum fault first, enum fault second, int *reached)
{
    TRY(first);
    ++*reached;
    TRY(second);
    ++*reached;
    return OK;
}

static void try_hands_up_the_first_fault(void **state)
{
    (void)state;
    int reached = 0;
    CHECK_FAULT(try_twice(FAULT_NO_ROOM, FAULT_TRUNCATED, &reached), FAULT_NO_ROOM);
    assert_int_equal(reached, 0);
    CHECK_FAULT(try_twice(OK, FAULT_TRUNCATED, &reached), FAULT_TRUNCATED);
    assert_int_equal(reached, 1);
    CHECK_FAULT(try_twice(OK, OK, &reached), OK);
    assert_int_equal(reached, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_has_a_sentence),
        cmocka_unit_test(every_column_is_a_text),
        cmocka_unit_test(a_source_names_a_document),
        cmocka_unit_test(no_two_faults_share_a_symbol),
        cmocka_unit_test(no_two_faults_share_a_sentence),
        cmocka_unit_test(a_row_is_found_by_its_symbol),
        cmocka_unit_test(a_number_outside_the_catalogue_is_named_unknown),
        cmocka_unit_test(try_hands_up_the_first_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
