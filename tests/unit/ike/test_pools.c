// SPDX-License-Identifier: Apache-2.0
// Virtual addresses: b has pools, a asks for addresses out of them.
#include "pair.h"

enum { RANGE_OF_TWO = 2 };

static struct range range_make(const char *text)
{
    struct range range;
    assert_int_equal(range_parse(text, &range), OK);
    return range;
}

static void pool_in(struct pair *p, const char *name, const char *addrs)
{
    static const uint8_t dns[] = {10, 2, 0, 53};
    struct pool_conf pool = {.name = name, .range = range_make(addrs), .attribute_count = 4};
    pool.base = pool.range.low;
    pool.attributes[0] = (struct pool_attribute){ATTR_INTERNAL_IP4_DNS, BYTES_ARRAY(dns)};
    pool.attributes[1] =
        (struct pool_attribute){ATTR_INTERNAL_DNS_DOMAIN, BYTES("corp.example.org")};
    pool.attributes[2] =
        (struct pool_attribute){ATTR_INTERNAL_DNS_DOMAIN, BYTES("bad\nnameserver 1.2.3.4")};
    pool.attributes[3] = (struct pool_attribute){ATTR_INTERNAL_DNS_DOMAIN, BYTES("lab.example.org")};
    struct ike_in in = {.kind = IKE_IN_POOL_LOAD, .pool = &pool};
    step_in(&p->b, &in);
}

static void pool_out(struct pair *p, const char *name)
{
    struct ike_in in = {.kind = IKE_IN_POOL_UNLOAD, .name = name};
    step_in(&p->b, &in);
}

static struct conf_text client(void)
{
    return (struct conf_text){.vip = "0.0.0.0", .local_ts = {"dynamic"}};
}

static struct conf_text server(void)
{
    return (struct conf_text){
        .remote_ts = {"dynamic"}, .any_remote_id = true, .pools = {"office", "more"}};
}

static struct pair *pair_with_pool(const char *addrs)
{
    struct conf_text a = client(), b = server();
    struct pair *p = pair_new();
    if (addrs) pool_in(p, "office", addrs);
    load_both(p, &a, &b);
    return p;
}

static void up(struct pair *p)
{
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
}

static void down(struct pair *p)
{
    command(&p->a, IKE_TERMINATE, "office", NULL);
    run_for(p, nsec_seconds(1));
    assert_int_equal(sas_all(&p->b), 0);
}

// Another client behind the same core: it has another identity.
static void become(struct pair *p, const char *id)
{
    struct conf_text a = client();
    a.local_id = id;
    load(&p->a, conn_make(&p->a, &p->b, &a));
}

static void assert_vip(const struct pair *p, const char *text)
{
    struct ike_sa_info ours, theirs;
    struct addr addr;
    assert_int_equal(addr_parse(text, &addr), OK);
    assert_true(sa_first(&p->a, &ours) && sa_first(&p->b, &theirs));
    assert_int_equal(ours.vip_count, 1);
    assert_true(addr_equal(&ours.vips[0], &addr));
    assert_int_equal(theirs.remote_vip_count, 1);
    assert_true(addr_equal(&theirs.remote_vips[0], &addr));
}

static void assert_pool(const struct pair *p, uint32_t online, uint32_t offline)
{
    struct ike_pool_info pool;
    assert_true(ike_pool_after(p->b.core, NULL, &pool));
    assert_int_equal(pool.online, online);
    assert_int_equal(pool.offline, offline);
}

// RFC 7296 2.19 test
static void a_client_gets_an_address_and_selectors_are_narrowed_to_it(void **state)
{
    (void)state;
    struct pair *p = pair_with_pool("10.3.0.1-10.3.0.9");
    struct ike_child_info child;
    struct ike_sa_info sa;
    up(p);
    assert_up(p, 1);
    assert_vip(p, "10.3.0.1");
    assert_pool(p, 1, 0);
    assert_int_equal(p->a.vip_count, 1);
    assert_true(child_first(&p->b, &child));
    assert_int_equal(child.remote->count, 1);
    assert_true(addr_equal(&child.remote->at[0].range.low, &p->a.vips[0]));
    assert_true(addr_equal(&child.remote->at[0].range.high, &p->a.vips[0]));
    assert_true(sa_first(&p->a, &sa));
    assert_int_equal(sa.dns_count, 1);
    assert_int_equal(sa.dns[0].at[3], 53);
    assert_string_equal(sa.domains, "corp.example.org lab.example.org"); // not the bad one
    pair_free(p);
}

static void the_same_identity_gets_the_same_address(void **state)
{
    (void)state;
    struct pair *p = pair_with_pool("10.3.0.1-10.3.0.9");
    up(p);
    down(p);
    assert_int_equal(p->a.vip_count, 0);
    assert_pool(p, 0, 1);
    become(p, "c.example");
    up(p);
    assert_vip(p, "10.3.0.2");
    down(p);
    become(p, "a.example");
    up(p);
    assert_vip(p, "10.3.0.1");
    assert_pool(p, 1, 1);
    pair_free(p);
}

static void the_longest_free_address_goes_to_another_identity(void **state)
{
    (void)state;
    static const char *const ids[] = {"a.example", "c.example", "d.example"};
    static const char *const given[] = {"10.3.0.1", "10.3.0.2", "10.3.0.1"};
    struct pair *p = pair_with_pool("10.3.0.1-10.3.0.2");
    for (unsigned i = 0; i < 3; i++) {
        become(p, ids[i]);
        up(p);
        assert_vip(p, given[i]);
        down(p);
    }
    assert_pool(p, 0, RANGE_OF_TWO);
    pair_free(p);
}

static void the_address_that_is_asked_for_is_given_when_it_is_free(void **state)
{
    (void)state;
    struct pair *p = pair_with_pool("10.3.0.1-10.3.0.9");
    struct conf_text a = client();
    a.vip = "10.3.0.7";
    load(&p->a, conn_make(&p->a, &p->b, &a));
    up(p);
    assert_vip(p, "10.3.0.7");
    pair_free(p);
}

static void an_address_beyond_the_pool_is_not_given(void **state)
{
    (void)state;
    struct pair *p = pair_with_pool("10.3.0.1-10.3.0.9");
    struct conf_text a = client();
    a.vip = "10.9.9.9";
    load(&p->a, conn_make(&p->a, &p->b, &a));
    up(p);
    assert_vip(p, "10.3.0.1");
    pair_free(p);
}

// RFC 7296 3.15.4 test: there is no child, and the client closes the IKE SA.
static void a_full_pool_is_told(void **state)
{
    (void)state;
    struct pair *p = pair_with_pool("10.3.0.1-10.3.0.1");
    up(p);
    become(p, "c.example");
    up(p);
    assert_int_equal(p->a.done_fault, FAULT_PEER_ADDRESS);
    assert_int_equal(sas_up(&p->b), 1);
    assert_int_equal(children(&p->b), 1);
    const struct line *line = said(&p->b, FAULT_POOLS_EXHAUSTED);
    assert_non_null(line);
    assert_non_null(strstr(line->text, "c.example asks for an IPv4 address; pool office has 1 "
                                       "addresses, 1 are in use, pool more is not loaded"));
    assert_pool(p, 1, 0);
    pair_free(p);
}

static void whoever_got_no_address_may_ask_again(void **state)
{
    (void)state;
    struct pair *p = pair_with_pool(NULL);
    up(p);
    assert_int_equal(p->a.done_fault, FAULT_PEER_ADDRESS);
    assert_int_equal(sas_all(&p->a), 0);
    pool_in(p, "office", "10.3.0.1-10.3.0.1");
    up(p);
    assert_up(p, 1);
    assert_vip(p, "10.3.0.1");
    pair_free(p);
}

static void a_second_pool_is_taken_when_the_first_is_full(void **state)
{
    (void)state;
    struct pair *p = pair_with_pool("10.3.0.1-10.3.0.1");
    pool_in(p, "more", "10.4.0.1-10.4.0.2");
    up(p);
    become(p, "c.example");
    up(p);
    struct ike_pool_info pool;
    assert_int_equal(children(&p->b), 2);
    assert_true(ike_pool_after(p->b.core, "office", &pool));
    assert_int_equal(pool.online, 1);
    pair_free(p);
}

static void without_a_pool_of_the_family_nothing_is_given(void **state)
{
    (void)state;
    struct pair *p = pair_with_pool("fd03::1-fd03::9");
    up(p);
    assert_int_equal(p->a.done_fault, FAULT_PEER_ADDRESS);
    assert_non_null(said(&p->b, FAULT_POOLS_NONE));
    assert_int_equal(children(&p->b), 0);
    pair_free(p);
}

static void a_rekeyed_ike_sa_keeps_the_address(void **state)
{
    (void)state;
    for (unsigned end = 0; end < 2; end++) {
        struct pair *p = pair_with_pool("10.3.0.1-10.3.0.9");
        up(p);
        command(end ? &p->b : &p->a, IKE_REKEY, "office", NULL);
        run_for(p, nsec_seconds(20));
        assert_up(p, 1);
        assert_vip(p, "10.3.0.1");
        assert_pool(p, 1, 0);
        assert_int_equal(p->a.vip_count, 1);
        down(p);
        assert_pool(p, 0, 1);
        pair_free(p);
    }
}

// RFC 7296 2.8.3 test: the new IKE SA asks for the address of the old one while both are there.
static void reauthentication_keeps_the_address(void **state)
{
    (void)state;
    struct pair *p = pair_with_pool("10.3.0.1-10.3.0.9");
    struct conf_text a = client();
    a.reauth_time = nsec_seconds(100);
    load(&p->a, conn_make(&p->a, &p->b, &a));
    up(p);
    run_for(p, nsec_seconds(150));
    assert_int_equal(p->a.events[IKE_EVENT_IKE_REKEYED], 1);
    assert_up(p, 1);
    assert_vip(p, "10.3.0.1");
    assert_pool(p, 1, 0);
    assert_int_equal(p->a.vip_count, 1);
    pair_free(p);
}

static void an_unloaded_pool_lives_until_its_addresses_are_free(void **state)
{
    (void)state;
    struct ike_pool_info pool;
    struct pair *p = pair_with_pool("10.3.0.1-10.3.0.9");
    up(p);
    pool_out(p, "office");
    assert_pool(p, 1, 0);
    become(p, "c.example");
    up(p);
    assert_int_equal(p->a.done_fault, FAULT_PEER_ADDRESS);
    command(&p->a, IKE_TERMINATE, "office", NULL);
    run_for(p, nsec_seconds(1));
    assert_false(ike_pool_after(p->b.core, NULL, &pool));
    pair_free(p);
}

static void a_pool_with_another_range_drops_what_lies_outside(void **state)
{
    (void)state;
    struct pair *p = pair_with_pool("10.3.0.1-10.3.0.9");
    up(p);
    pool_in(p, "office", "10.5.0.1-10.5.0.9");
    assert_pool(p, 1, 0); // it is held
    down(p);
    assert_pool(p, 0, 0);
    up(p);
    assert_vip(p, "10.5.0.1");
    pair_free(p);
}

static void lease_in(struct pair *p, const char *pool, const char *addr, const char *id)
{
    struct identity identity = {.type = ID_FQDN, .bytes = bytes_of_text(id)};
    struct ike_in in = {.kind = IKE_IN_LEASE, .lease = {.pool = pool, .id = &identity}};
    assert_int_equal(addr_parse(addr, &in.lease.addr), OK);
    step_in(&p->b, &in);
}

static void who_had_which_address_before_the_start_has_it_again(void **state)
{
    (void)state;
    struct pair *p = pair_with_pool("10.3.0.1-10.3.0.6");
    lease_in(p, "office", "10.3.0.1", "somebody.example.org");
    lease_in(p, "office", "10.3.0.5", "a.example");
    lease_in(p, "office", "10.3.0.5", "somebody.example.org"); // it is taken
    lease_in(p, "office", "10.9.0.1", "a.example");        // beyond the pool
    lease_in(p, "other", "10.3.0.2", "a.example");
    assert_pool(p, 0, 2);
    up(p);
    assert_vip(p, "10.3.0.5");
    assert_int_equal(p->b.leases_told, 1);
    down(p);
    assert_int_equal(p->b.leases_told, 2);
    become(p, "c.example.org");
    up(p);
    assert_vip(p, "10.3.0.2");
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_gets_an_address_and_selectors_are_narrowed_to_it),
        cmocka_unit_test(the_same_identity_gets_the_same_address),
        cmocka_unit_test(the_longest_free_address_goes_to_another_identity),
        cmocka_unit_test(the_address_that_is_asked_for_is_given_when_it_is_free),
        cmocka_unit_test(an_address_beyond_the_pool_is_not_given),
        cmocka_unit_test(a_full_pool_is_told),
        cmocka_unit_test(whoever_got_no_address_may_ask_again),
        cmocka_unit_test(a_second_pool_is_taken_when_the_first_is_full),
        cmocka_unit_test(without_a_pool_of_the_family_nothing_is_given),
        cmocka_unit_test(a_rekeyed_ike_sa_keeps_the_address),
        cmocka_unit_test(reauthentication_keeps_the_address),
        cmocka_unit_test(an_unloaded_pool_lives_until_its_addresses_are_free),
        cmocka_unit_test(a_pool_with_another_range_drops_what_lies_outside),
        cmocka_unit_test(who_had_which_address_before_the_start_has_it_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
