// SPDX-License-Identifier: Apache-2.0
// Boxes on levels.
#include "base/rng.h"
#include "base/unit.h"
#include "os/guard.h"

static struct range range_of(const char *text)
{
    struct range range;
    CHECK_FAULT(range_parse(text, &range), OK);
    return range;
}

static struct box box_of(const char *local, const char *remote)
{
    return (struct box){.local = range_of(local),
                        .remote = range_of(remote),
                        .protocol_high = 255,
                        .local_port_high = 65535,
                        .remote_port_high = 65535};
}

struct row {
    const char *local, *remote;
    enum guard_verdict verdict;
    uint64_t precedence;
    int level; // expected when all rows are in
};

static void check_levels(const struct row *rows, size_t count)
{
    struct guard guard;
    guard_init(&guard, 1, 2);
    for (size_t i = 0; i < count; i++) {
        struct box box = box_of(rows[i].local, rows[i].remote);
        CHECK_FAULT(guard_add(&guard, GUARD_PAIR, &box, rows[i].verdict, rows[i].precedence), OK);
    }
    for (size_t i = 0; i < count; i++) {
        if (guard.at[i]->level != rows[i].level)
            print_message("row %zu: level %d\n", i, guard.at[i]->level);
        assert_int_equal(guard.at[i]->level, rows[i].level);
    }
    guard_wipe(&guard);
}

static void what_does_not_meet_shares_a_level(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"10.1.0.0/16", "10.2.0.0/16", GUARD_DROP, 5, 0},
        {"10.1.0.0/16", "10.3.0.0/16", GUARD_DROP, 5, 0},
        {"10.2.0.0/16", "10.1.0.0/16", GUARD_PASS, 5, 0},
        {"2001:db8:1::/48", "2001:db8:2::/48", GUARD_DROP, 5, 0},
    };
    check_levels(rows, COUNT(rows));
}

static void what_meets_lies_on_levels_of_its_own(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"10.1.0.0/16", "10.0.0.0/8", GUARD_DROP, 9, 0},
        {"10.1.2.0/24", "10.2.0.0/16", GUARD_DROP, 5, 1},
        {"10.1.2.255-10.1.3.0", "10.2.255.255", GUARD_DROP, 5, 2},
    };
    check_levels(rows, COUNT(rows));
}

static void what_takes_precedence_comes_first_in_whatever_order_it_is_added(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"10.1.0.0/16", "10.0.0.0/8", GUARD_DROP, 30, 1},
        {"10.1.0.0/16", "10.1.0.0/16", GUARD_PASS, 10, 0},
    };
    static const struct row turned[] = {
        {"10.1.0.0/16", "10.1.0.0/16", GUARD_PASS, 10, 0},
        {"10.1.0.0/16", "10.0.0.0/8", GUARD_DROP, 30, 1},
    };
    check_levels(rows, COUNT(rows));
    check_levels(turned, COUNT(turned));
}

static void of_equals_the_one_that_drops_comes_first(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"10.1.0.0/16", "10.0.0.0/8", GUARD_PASS, 10, 1},
        {"10.0.0.0/8", "10.1.0.0/16", GUARD_DROP, 10, 0},
    };
    check_levels(rows, COUNT(rows));
}

static void references_are_counted(void **state)
{
    (void)state;
    struct guard guard;
    struct box box = box_of("10.1.0.0/16", "10.2.0.0/16");
    guard_init(&guard, 1, 2);
    CHECK_FAULT(guard_add(&guard, GUARD_PAIR, &box, GUARD_DROP, 1), OK);
    CHECK_FAULT(guard_add(&guard, GUARD_PAIR, &box, GUARD_DROP, 1), OK);
    assert_int_equal(guard.count, 1);
    guard_settled(&guard);
    guard_del(&guard, GUARD_PAIR, &box, GUARD_DROP, 1);
    assert_int_equal(guard.count, 1);
    assert_null(guard.dirty);
    guard_del(&guard, GUARD_PAIR, &box, GUARD_DROP, 1);
    assert_int_equal(guard.count, 0);
    assert_non_null(guard.dirty);
    assert_int_equal(guard.dirty->placed, 0);
    assert_int_equal(guard.dirty->level, -1);
    guard_settled(&guard);
    assert_null(guard.dirty);
    guard_del(&guard, GUARD_PAIR, &box, GUARD_DROP, 1); // is not there: nothing happens
    assert_int_equal(guard.count, 0);
    guard_wipe(&guard);
}

static void a_box_too_many_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct guard guard;
    struct box box = box_of("10.0.0.0/8", "10.0.0.0/8");
    guard_init(&guard, 1, 2);
    for (unsigned i = 0; i < GUARD_LEVELS_MAX; i++) {
        box.local.low.at[3] = (uint8_t)i;
        CHECK_FAULT(guard_add(&guard, GUARD_PAIR, &box, GUARD_DROP, i), OK);
    }
    guard_settled(&guard);
    box.local.low.at[3] = 200;
    CHECK_FAULT(guard_add(&guard, GUARD_PAIR, &box, GUARD_PASS, 7), FAULT_GUARD_FULL);
    assert_int_equal(guard.count, GUARD_LEVELS_MAX);
    assert_null(guard.dirty);
    box.local.low.at[3] = 3;
    guard_del(&guard, GUARD_PAIR, &box, GUARD_DROP, 3);
    box.local.low.at[3] = 200;
    CHECK_FAULT(guard_add(&guard, GUARD_PAIR, &box, GUARD_DROP, 7), OK);
    guard_wipe(&guard);
}

// --- against a model: what the levels say of a packet is what the policy that takes precedence
// says

enum { COORDINATE_MAX = 15, RANDOM_ITEMS = 24, RANDOM_ROUNDS = 200 };

struct random_item {
    bool there;
    enum guard_kind kind;
    struct box box;
    enum guard_verdict verdict;
    uint64_t precedence;
};

static struct range random_range(struct rng *rng)
{
    uint8_t a = (uint8_t)rng_below(rng, COORDINATE_MAX + 1),
            b = (uint8_t)rng_below(rng, COORDINATE_MAX + 1);
    return (struct range){addr_v4(10, 0, 0, a < b ? a : b), addr_v4(10, 0, 0, a < b ? b : a)};
}

static struct random_item random_item(struct rng *rng)
{
    struct random_item item = {.there = true,
                               .kind = rng_below(rng, 2) ? GUARD_PAIR : GUARD_FLOW,
                               .verdict = rng_below(rng, 3) ? GUARD_DROP : GUARD_PASS,
                               .precedence = rng_below(rng, 6)};
    item.box = (struct box){.local = random_range(rng),
                            .remote = random_range(rng),
                            .protocol_high = 255,
                            .local_port_high = 65535,
                            .remote_port_high = 65535};
    if (item.kind == GUARD_FLOW)
        item.box.protocol_low = item.box.protocol_high = rng_below(rng, 2) ? 6 : 17;
    return item;
}

static bool box_has(const struct box *box, const struct addr *local, const struct addr *remote,
                    uint8_t protocol)
{
    return range_has(&box->local, local) && range_has(&box->remote, remote) &&
           protocol >= box->protocol_low && protocol <= box->protocol_high;
}

static int verdict_by_levels(const struct guard *guard, const struct addr *local,
                             const struct addr *remote, uint8_t protocol)
{
    int level = GUARD_LEVELS_MAX, verdict = 0;
    for (size_t i = 0; i < guard->count; i++) {
        const struct guard_item *item = guard->at[i];
        if (!box_has(&item->box, local, remote, protocol)) continue;
        assert_true(item->level >= 0);
        assert_int_not_equal(item->level, level); // two of one level may not meet
        if (item->level > level) continue;
        level = item->level;
        verdict = item->verdict;
    }
    return verdict;
}

static int verdict_by_precedence(const struct random_item *items, const struct addr *local,
                                 const struct addr *remote, uint8_t protocol)
{
    uint64_t best = UINT64_MAX;
    int verdict = 0;
    for (unsigned i = 0; i < RANDOM_ITEMS; i++) {
        const struct random_item *item = &items[i];
        if (!item->there || !box_has(&item->box, local, remote, protocol)) continue;
        if (item->precedence > best || (item->precedence == best && (int)item->verdict >= verdict))
            continue;
        best = item->precedence;
        verdict = (int)item->verdict;
    }
    return verdict;
}

static void check_all_packets(const struct guard *guard, const struct random_item *items)
{
    for (uint8_t a = 0; a <= COORDINATE_MAX; a += 3)
        for (uint8_t b = 0; b <= COORDINATE_MAX; b += 2)
            for (uint8_t protocol = 6; protocol <= 17; protocol += 11) {
                struct addr local = addr_v4(10, 0, 0, a), remote = addr_v4(10, 0, 0, b);
                assert_int_equal(verdict_by_levels(guard, &local, &remote, protocol),
                                 verdict_by_precedence(items, &local, &remote, protocol));
            }
}

static void levels_say_what_precedence_says(void **state)
{
    (void)state;
    struct rng_seeded rng;
    struct random_item items[RANDOM_ITEMS] = {0};
    struct guard guard;
    const char *text = getenv("SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 2006;
    print_message("seed %llu\n", (unsigned long long)seed);
    rng_seed(&rng, seed);
    guard_init(&guard, 3, 4);
    for (unsigned round = 0; round < RANDOM_ROUNDS; round++) {
        struct random_item *item = &items[rng_below(&rng.rng, RANDOM_ITEMS)];
        if (item->there) guard_del(&guard, item->kind, &item->box, item->verdict, item->precedence);
        *item = random_item(&rng.rng);
        CHECK_FAULT(guard_add(&guard, item->kind, &item->box, item->verdict, item->precedence), OK);
        if (rng_below(&rng.rng, 3) == 0) guard_settled(&guard);
        check_all_packets(&guard, items);
    }
    guard_wipe(&guard);
}

struct visited {
    const struct range *remote;
    size_t count;
};

static void visited_count(void *context, const struct guard_item *item)
{
    struct visited *visited = context;
    assert_true(addr_compare(&item->box.remote.low, &visited->remote->high) <= 0);
    assert_true(addr_compare(&visited->remote->low, &item->box.remote.high) <= 0);
    visited->count++;
}

static struct range remote_random(struct rng *rng)
{
    uint32_t low = (uint32_t)rng_below(rng, 4000), width = (uint32_t)rng_below(rng, rng_below(rng, 8) ? 3 : 500);
    uint32_t high = low + width;
    return (struct range){addr_v4(10, 0, (uint8_t)(low >> 8), (uint8_t)low), addr_v4(10, 0, (uint8_t)(high >> 8), (uint8_t)high)};
}

static size_t meeting_count(const struct guard *guard, const struct range *remote)
{
    size_t count = 0;
    for (size_t i = 0; i < guard->count; i++) {
        const struct range *other = &guard->at[i]->box.remote;
        count += addr_compare(&other->low, &remote->high) <= 0 && addr_compare(&remote->low, &other->high) <= 0;
    }
    return count;
}

static void those_that_meet_are_found_without_looking_at_all(void **state)
{
    (void)state;
    struct rng_seeded rng;
    static struct guard_item items[400];
    struct guard guard;
    rng_seed(&rng, 17);
    guard_init(&guard, 5, 6);
    struct guard_item *at[COUNT(items)];
    guard.at = at;
    for (unsigned i = 0; i < COUNT(items); i++) {
        items[i] = (struct guard_item){.serial = i, .weight = rng_u64(&rng.rng), .box.remote = remote_random(&rng.rng)};
        at[guard.count++] = &items[i];
        guard_index_add(&guard.index, &items[i]);
    }
    while (guard.count) {
        struct range wanted = remote_random(&rng.rng);
        struct visited visited = {.remote = &wanted};
        guard_index_visit(guard.index, &wanted, visited_count, &visited);
        assert_int_equal(visited.count, meeting_count(&guard, &wanted));
        size_t gone = rng_below(&rng.rng, guard.count);
        guard_index_remove(&guard.index, at[gone]);
        at[gone] = at[--guard.count];
    }
    assert_null(guard.index);
    guard.at = NULL;
    guard_wipe(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_meet_shares_a_level),
        cmocka_unit_test(what_meets_lies_on_levels_of_its_own),
        cmocka_unit_test(what_takes_precedence_comes_first_in_whatever_order_it_is_added),
        cmocka_unit_test(of_equals_the_one_that_drops_comes_first),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(a_box_too_many_is_refused_and_changes_nothing),
        cmocka_unit_test(levels_say_what_precedence_says),
        cmocka_unit_test(those_that_meet_are_found_without_looking_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
