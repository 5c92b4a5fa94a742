// SPDX-License-Identifier: Apache-2.0
// Which shared secret is meant: by rule, and the same as when all of them are looked at one by one.
#include "base/mem.h"
#include "base/rng.h"
#include "daemon/secrets.h"
#include "base/unit.h"
#include <string.h>

static struct identity id_of(const char *text)
{
    static struct arena arena;
    struct identity id;
    assert_int_equal(identity_parse(text, &arena, &id), OK);
    return id;
}

static void add(struct secrets *secrets, const char *id, bool ppk, const char *const *owners)
{
    struct stored_secret fresh = {.id = mem_text(id), .is_ppk = ppk};
    for (; *owners; owners++) {
        struct identity owner = id_of(*owners);
        fresh.owners[fresh.owner_count++] = identity_copy(&owner);
    }
    secret_set(&fresh.secret, bytes_of_text(id));
    secrets_add(secrets, &fresh);
}
#define OWNERS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const char *chosen_from(const struct secrets *secrets, const char *local, const char *remote, const char *remote_addr)
{
    struct identity us = id_of(local), them = id_of(remote);
    struct addr none = {0}, from = {0};
    if (remote_addr) assert_int_equal(addr_parse(remote_addr, &from), OK);
    struct secret_ends ends = {&us, &them, &none, &from};
    const struct stored_secret *found = secrets_choose(secrets, &ends);
    return found ? found->id : "none";
}

static void the_closest_owners_win_and_the_peer_counts_more(void **state)
{
    (void)state;
    struct secrets *secrets = secrets_new();
    assert_string_equal(chosen_from(secrets, "gw", "moon", NULL), "none");
    add(secrets, "both", false, OWNERS("gw", "moon"));
    add(secrets, "peer", false, OWNERS("sun"));
    add(secrets, "own", false, OWNERS("gw"));
    add(secrets, "star", false, OWNERS("*.example.org"));
    add(secrets, "exact", false, OWNERS("a.example.org", "someone"));
    add(secrets, "address", false, OWNERS("192.0.2.7"));
    add(secrets, "net", false, OWNERS("198.51.100.0/24"));
    assert_string_equal(chosen_from(secrets, "gw", "moon", NULL), "both");
    assert_string_equal(chosen_from(secrets, "gw", "MOON", NULL), "both");
    assert_string_equal(chosen_from(secrets, "gw", "sun", NULL), "peer");
    assert_string_equal(chosen_from(secrets, "gw", "b.example.org", NULL), "star");
    assert_string_equal(chosen_from(secrets, "gw", "a.example.org", NULL), "exact");
    assert_string_equal(chosen_from(secrets, "gw", "mars", NULL), "own");
    assert_string_equal(chosen_from(secrets, "gw", "mars", "192.0.2.7"), "address");
    assert_string_equal(chosen_from(secrets, "gw", "mars", "198.51.100.3"), "net");
    assert_string_equal(chosen_from(secrets, "venus", "mars", NULL), "none");
    add(secrets, "all", false, (const char *const[]){NULL});
    assert_string_equal(chosen_from(secrets, "venus", "mars", NULL), "all");
    secrets_free(secrets);
}

static void of_equal_ones_the_first_counts_and_an_id_is_there_once(void **state)
{
    (void)state;
    struct secrets *secrets = secrets_new();
    add(secrets, "one", false, OWNERS("moon"));
    add(secrets, "two", false, OWNERS("moon"));
    add(secrets, "", false, OWNERS("gw"));
    add(secrets, "", false, OWNERS("gw"));
    assert_int_equal(secrets_count(secrets), 4);
    assert_string_equal(chosen_from(secrets, "gw", "moon", NULL), "one");
    add(secrets, "one", false, OWNERS("moon")); // loaded anew: it is the last now
    assert_int_equal(secrets_count(secrets), 4);
    assert_string_equal(chosen_from(secrets, "gw", "moon", NULL), "two");
    secrets_drop(secrets, "two");
    assert_string_equal(chosen_from(secrets, "gw", "moon", NULL), "one");
    secrets_drop(secrets, "two");
    secrets_drop(secrets, "");
    assert_int_equal(secrets_count(secrets), 3);
    secrets_clear(secrets);
    assert_string_equal(chosen_from(secrets, "gw", "moon", NULL), "none");
    secrets_free(secrets);
}

static void post_quantum_keys_are_apart(void **state)
{
    (void)state;
    struct secrets *secrets = secrets_new();
    assert_null(secrets_ppk(secrets, BYTES_NONE));
    add(secrets, "ike", false, OWNERS("group"));
    assert_null(secrets_ppk(secrets, BYTES("group")));
    add(secrets, "ppk", true, OWNERS("group", "other"));
    add(secrets, "later", true, OWNERS("other"));
    assert_string_equal(secrets_ppk(secrets, BYTES("group"))->id, "ppk");
    assert_string_equal(secrets_ppk(secrets, BYTES("other"))->id, "ppk");
    assert_null(secrets_ppk(secrets, BYTES("Group")));
    assert_string_equal(secrets_ppk(secrets, BYTES_NONE)->id, "ppk");
    secrets_drop(secrets, "ppk");
    assert_string_equal(secrets_ppk(secrets, BYTES_NONE)->id, "later");
    assert_string_equal(chosen_from(secrets, "x", "group", NULL), "ike");
    assert_string_equal(chosen_from(secrets, "x", "other", NULL), "none");
    secrets_free(secrets);
}

// --- against looking at all of them

static unsigned score_of(const struct stored_secret *secret, const struct identity *id, const struct addr *addr)
{
    unsigned best = 0;
    struct arena arena = {0};
    struct identity by_addr = identity_of_addr(addr, &arena);
    for (unsigned i = 0; i < secret->owner_count; i++) {
        unsigned score = identity_matches(&secret->owners[i], id);
        if (!score && addr->family) score = identity_matches(&secret->owners[i], &by_addr) ? 1 : 0;
        if (score > best) best = score;
    }
    arena_free(&arena);
    return best;
}

static const struct stored_secret *choose_slowly(const struct secrets *secrets, const struct secret_ends *ends)
{
    const struct stored_secret *best = NULL;
    uint64_t best_score = 0;
    for (size_t i = 0; i < secrets_count(secrets); i++) {
        const struct stored_secret *secret = secrets_at(secrets, i);
        uint64_t score = 1;
        if (secret->is_ppk) continue;
        if (secret->owner_count) {
            unsigned remote = score_of(secret, ends->remote, ends->remote_addr), local = score_of(secret, ends->local, ends->local_addr);
            if (!remote && !(local && secret->owner_count == 1)) continue;
            score = 2 + ((uint64_t)remote << 32) + local;
        }
        if (score < best_score || (score == best_score && secret->order > best->order)) continue;
        best = secret;
        best_score = score;
    }
    return best;
}

static const char *const names[] = {"gw", "moon", "MOON", "a.example.org", "*.example.org", "b.example.org", "c@example.org", "*@example.org",
                                    "%any", "192.0.2.1", "192.0.2.0/24", "2001:db8::1", "CN=moon", "CN=*", "keyid:abc", "C=CH, CN=sun"};
enum { NAMES = sizeof names / sizeof *names };

static const char *any_name(struct rng *rng)
{
    return names[rng_below(rng, NAMES)];
}

static void the_choice_is_that_of_looking_at_all(void **state)
{
    (void)state;
    static const char *const addrs[] = {NULL, "192.0.2.1", "192.0.2.9", "2001:db8::1", "203.0.113.1"};
    struct rng_seeded rng;
    uint64_t seed = 20261121;
    print_message("seed %llu\n", (unsigned long long)seed);
    rng_seed(&rng, seed);
    for (unsigned world = 0; world < 200; world++) {
        struct secrets *secrets = secrets_new();
        for (unsigned i = (unsigned)rng_below(&rng.rng, 40); i > 0; i--) {
            const char *owners[4] = {NULL};
            char id[8];
            for (unsigned j = 0, count = (unsigned)rng_below(&rng.rng, 4); j < count; j++) owners[j] = any_name(&rng.rng);
            snprintf(id, sizeof id, "%u", (unsigned)rng_below(&rng.rng, 30));
            add(secrets, id, rng_below(&rng.rng, 10) == 0, owners);
            if (rng_below(&rng.rng, 4) == 0) secrets_drop(secrets, id);
        }
        for (unsigned i = 0; i < 50; i++) {
            struct identity local = id_of(any_name(&rng.rng)), remote = id_of(any_name(&rng.rng));
            struct addr ours = {0}, theirs = {0};
            const char *at = addrs[rng_below(&rng.rng, 5)], *from = addrs[rng_below(&rng.rng, 5)];
            if (at) assert_int_equal(addr_parse(at, &ours), OK);
            if (from) assert_int_equal(addr_parse(from, &theirs), OK);
            struct secret_ends ends = {&local, &remote, &ours, &theirs};
            assert_ptr_equal(secrets_choose(secrets, &ends), choose_slowly(secrets, &ends));
        }
        secrets_free(secrets);
    }
}

// One for each of many clients, all with our own name beside it, as large gateways have them.
static void many_are_as_good_as_few(void **state)
{
    (void)state;
    enum { COUNT = 30000 };
    struct secrets *secrets = secrets_new();
    for (unsigned i = 0; i < COUNT; i++) {
        char id[16], client[32];
        snprintf(id, sizeof id, "%u", i);
        snprintf(client, sizeof client, "c%u.example.org", i);
        add(secrets, id, false, OWNERS("gw.example.org", client));
    }
    for (unsigned i = 0; i < COUNT; i++) {
        char id[16], client[32];
        snprintf(id, sizeof id, "%u", i);
        snprintf(client, sizeof client, "c%u.example.org", i);
        assert_string_equal(chosen_from(secrets, "gw.example.org", client, "192.0.2.1"), id);
    }
    secrets_free(secrets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_closest_owners_win_and_the_peer_counts_more),
        cmocka_unit_test(of_equal_ones_the_first_counts_and_an_id_is_there_once),
        cmocka_unit_test(post_quantum_keys_are_apart),
        cmocka_unit_test(the_choice_is_that_of_looking_at_all),
        cmocka_unit_test(many_are_as_good_as_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
