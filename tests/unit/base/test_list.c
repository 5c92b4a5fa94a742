// SPDX-License-Identifier: Apache-2.0
#include "base/list.h"
#include "unit.h"

struct thing {
    int number;
    struct list link;
};

static void check_order(struct list *head, const char *expected)
{
    char got[32] = "";
    size_t count = 0;
    LIST_EACH (struct thing, link, thing, head) got[count++] = (char)('0' + thing->number);
    assert_string_equal(got, expected);
}

static void elements_keep_their_order(void **state)
{
    (void)state;
    struct list head;
    struct thing things[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    list_init(&head);
    assert_true(list_is_empty(&head));
    assert_null(LIST_FIRST(struct thing, link, &head));
    check_order(&head, "");
    list_append(&head, &things[1].link);
    list_append(&head, &things[2].link);
    list_prepend(&head, &things[0].link);
    list_append(&head, &things[3].link);
    check_order(&head, "0123");
    assert_ptr_equal(LIST_FIRST(struct thing, link, &head), &things[0]);
    list_remove(&things[2].link);
    check_order(&head, "013");
    list_remove(&things[2].link);
    check_order(&head, "013");
    list_remove(&things[0].link);
    list_remove(&things[3].link);
    check_order(&head, "1");
}

static void elements_may_be_removed_while_walking(void **state)
{
    (void)state;
    struct list head;
    struct thing things[5];
    list_init(&head);
    for (int i = 0; i < 5; i++) {
        things[i].number = i;
        list_append(&head, &things[i].link);
    }
    LIST_EACH (struct thing, link, thing, &head)
        if (thing->number % 2 == 0) list_remove(&thing->link);
    check_order(&head, "13");
    LIST_EACH (struct thing, link, thing, &head) list_remove(&thing->link);
    assert_true(list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_keep_their_order),
        cmocka_unit_test(elements_may_be_removed_while_walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
