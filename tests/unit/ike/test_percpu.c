// SPDX-License-Identifier: Apache-2.0
// Children for single resources (RFC 9611).
#include "pair.h"

static struct pair *pair_with(uint8_t per_cpu_of_a, uint8_t per_cpu_of_b)
{
    struct conf_text a = {.per_cpu = per_cpu_of_a}, b = {.per_cpu = per_cpu_of_b};
    struct pair *p = pair_new();
    p->settings.resources = 4;
    p->settings.resource_sas_max = 6;
    ike_free(p->a.core);
    ike_free(p->b.core);
    p->a.core = ike_new(&p->a.rng.rng, &p->settings);
    p->b.core = ike_new(&p->b.rng.rng, &p->settings);
    load_both(p, &a, &b);
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(2));
    assert_up(p, 1);
    return p;
}

static void want(struct host *host, uint16_t resource)
{
    struct ike_in in = {.kind = IKE_IN_PLANE};
    struct ike_child_info first;
    assert_true(child_first(host, &first));
    in.plane =
        (struct ike_plane){.kind = IKE_PLANE_ACQUIRE, .policy = first.policy, .resource = resource};
    step_in(host, &in);
}

static bool child_of_resource(const struct host *host, uint16_t resource,
                              struct ike_child_info *info)
{
    uint32_t ike = ike_sa_after(host->core, 0);
    for (uint32_t id = 0; (id = ike_child_after(host->core, ike, id));)
        if (ike_child_info(host->core, ike, id, info) && info->resource == resource &&
            strcmp(info->state, "INSTALLED") == 0)
            return true;
    return false;
}

static void use_all(struct host *host)
{
    for (size_t i = 0; i < host->sa_count; i++)
        if (host->sas[i].spec.direction == SA_IN) usage(host, host->sas[i].spec.spi, SA_IN, 1, 100);
}

// RFC 9611 3 test
static void children_for_resources_stand_beside_the_first(void **state)
{
    (void)state;
    struct pair *p = pair_with(PER_CPU_YES, PER_CPU_YES);
    struct ike_child_info first, more;
    assert_true(child_of_resource(&p->a, 0, &first));
    assert_true(first.per_resource);
    for (uint16_t i = 1; i <= 4; i++) {
        want(&p->a, i);
        want(&p->a, i); // the same again makes no second one
    }
    run_for(p, nsec_seconds(2));
    use_all(&p->b);
    assert_up(p, 5);
    assert_ends_agree(p);
    for (uint16_t i = 1; i <= 4; i++) {
        assert_true(child_of_resource(&p->a, i, &more));
        assert_int_equal(more.policy, first.policy);
        assert_true(child_of_resource(&p->b, i, &more));
    }
    assert_int_equal(p->a.policy_count, 1);
    assert_int_equal(p->b.policy_count, 1);
    assert_int_equal(halves(&p->b, SA_OUT), 5);
    want(&p->b, 3); // by now it is there
    want(&p->a, 5); // a host has no more than it has
    run_for(p, nsec_seconds(2));
    assert_up(p, 5);
    pair_free(p);
}

// RFC 9611 3 test: each is rekeyed and deleted by itself, and stays for what it is for.
static void each_is_rekeyed_and_deleted_by_itself(void **state)
{
    (void)state;
    struct pair *p = pair_with(PER_CPU_YES, PER_CPU_YES);
    struct ike_child_info second, rekeyed;
    for (uint16_t i = 1; i <= 2; i++) want(&p->a, i);
    run_for(p, nsec_seconds(2));
    use_all(&p->b);
    assert_true(child_of_resource(&p->a, 2, &second));
    struct ike_in in = {.kind = IKE_IN_COMMAND};
    in.command = (struct ike_command){.number = 77, .kind = IKE_REKEY, .child_id = second.id};
    step_in(&p->a, &in);
    run_for(p, nsec_seconds(10));
    assert_up(p, 3);
    assert_ends_agree(p);
    assert_true(child_of_resource(&p->a, 2, &rekeyed));
    assert_int_not_equal(rekeyed.spi_in, second.spi_in);
    assert_int_equal(rekeyed.policy, second.policy);
    in.command = (struct ike_command){.number = 78, .kind = IKE_TERMINATE, .child_id = rekeyed.id};
    step_in(&p->a, &in);
    run_for(p, nsec_seconds(10));
    assert_up(p, 2);
    assert_false(child_of_resource(&p->a, 2, &rekeyed));
    assert_true(child_of_resource(&p->a, 0, &rekeyed) && child_of_resource(&p->a, 1, &rekeyed));
    want(&p->b, 2); // the peer has closed it: it is let be for a while
    run_for(p, nsec_seconds(2));
    assert_up(p, 2);
    run_for(p, nsec_seconds(60));
    want(&p->b, 2);
    run_for(p, nsec_seconds(2));
    assert_up(p, 3);
    pair_free(p);
}

static void a_peer_without_them_has_one_child(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct pair *p =
            i ? pair_with(PER_CPU_NO, PER_CPU_YES) : pair_with(PER_CPU_YES, PER_CPU_NO);
        struct ike_child_info info;
        assert_true(child_first(&p->a, &info) && !info.per_resource);
        assert_true(child_first(&p->b, &info) && !info.per_resource);
        assert_non_null(said_text(i ? &p->b : &p->a, "takes no children for single processors"));
        want(&p->a, 1);
        want(&p->b, 1);
        run_for(p, nsec_seconds(2));
        assert_up(p, 1);
        pair_free(p);
    }
}

// RFC 9611 5.2 test: TS_MAX_QUEUE when there are enough, and then the peer is not asked again.
static void enough_is_enough(void **state)
{
    (void)state;
    struct conf_text text = {.per_cpu = PER_CPU_YES};
    struct pair *p = pair_new();
    p->settings.resources = 4;
    ike_free(p->a.core);
    p->a.core = ike_new(&p->a.rng.rng, &p->settings);
    p->settings.resource_sas_max = 2;
    ike_free(p->b.core);
    p->b.core = ike_new(&p->b.rng.rng, &p->settings);
    load_both(p, &text, &text);
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(2));
    for (uint16_t i = 1; i <= 4; i++) want(&p->a, i);
    run_for(p, nsec_seconds(5));
    assert_up(p, 3);
    assert_non_null(said(&p->b, FAULT_RESOURCES_TOO_MANY));
    assert_non_null(said(&p->a, FAULT_PEER_RESOURCES));
    uint64_t sent = p->a.sent;
    run_for(p, nsec_seconds(70));
    want(&p->a, 4);
    run_for(p, nsec_seconds(1));
    assert_int_equal(p->a.sent, sent);
    pair_free(p);
}

// Both ends' packets call at once: what one has asked for serves the other, too.
static void both_ends_call_at_once(void **state)
{
    (void)state;
    struct pair *p = pair_with(PER_CPU_YES, PER_CPU_YES);
    for (uint16_t i = 1; i <= 4; i++) {
        want(&p->a, i);
        want(&p->b, i);
    }
    run_for(p, nsec_seconds(10));
    use_all(&p->a);
    use_all(&p->b);
    size_t count = children(&p->a);
    assert_in_range(count, 5, 8);
    assert_int_equal(children(&p->b), count);
    assert_ends_agree(p);
    struct ike_child_info info;
    for (uint16_t i = 0; i <= 4; i++)
        assert_true(child_of_resource(&p->a, i, &info) && child_of_resource(&p->b, i, &info));
    pair_free(p);
}

// RFC 9611 3 test: one with other properties is no part of the set.
static void one_that_differs_is_refused(void **state)
{
    (void)state;
    struct conf_text a = {.per_cpu = PER_CPU_YES,
                          .esp = "aes256gcm16",
                          .child = {"lan", "other"},
                          .local_ts = {"10.1.0.0/16", "10.1.0.0/16"},
                          .remote_ts = {"10.2.0.0/16", "10.2.0.0/16"}};
    struct conf_text a_other = a, b = {.per_cpu = PER_CPU_YES, .esp = "aes256gcm16,aes128gcm16"};
    a_other.esp = "aes128gcm16";
    struct pair *p = pair_new();
    load_both(p, &a, &b);
    struct conn *conn = conn_make(&p->a, &p->b, &a), *with = conn_make(&p->a, &p->b, &a_other);
    conn->children[1].esp = with->children[1].esp;
    conn_release(with);
    load(&p->a, conn);
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(2));
    assert_up(p, 1);
    command(&p->a, IKE_INITIATE, "office", "other");
    run_for(p, nsec_seconds(2));
    assert_non_null(said(&p->b, FAULT_RESOURCE_OTHER));
    assert_int_equal(p->a.done_fault, FAULT_PEER_NO_PROPOSAL);
    assert_up(p, 1);
    pair_free(p);
}

// The first child has no packets of its own when all flows have others; it stays for what comes.
static void the_first_stays_while_others_are_used(void **state)
{
    (void)state;
    struct conf_text text = {.per_cpu = PER_CPU_YES, .inactivity = nsec_seconds(20)};
    struct pair *p = pair_new();
    p->settings.resources = 2;
    ike_free(p->a.core);
    p->a.core = ike_new(&p->a.rng.rng, &p->settings);
    load_both(p, &text, &text);
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(2));
    want(&p->a, 1);
    run_for(p, nsec_seconds(2));
    struct ike_child_info info;
    assert_true(child_of_resource(&p->a, 1, &info));
    for (unsigned i = 0; i < 8; i++) {
        run_for(p, nsec_seconds(10));
        usage(&p->a, info.spi_in, SA_IN, i + 1, 100);
        usage(&p->b, info.spi_out, SA_IN, i + 1, 100);
    }
    assert_up(p, 2);
    run_for(p, nsec_seconds(90));
    assert_int_equal(children(&p->a), 0);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_for_resources_stand_beside_the_first),
        cmocka_unit_test(each_is_rekeyed_and_deleted_by_itself),
        cmocka_unit_test(a_peer_without_them_has_one_child),
        cmocka_unit_test(enough_is_enough),
        cmocka_unit_test(both_ends_call_at_once),
        cmocka_unit_test(one_that_differs_is_refused),
        cmocka_unit_test(the_first_stays_while_others_are_used),
    };
    return cmocka_run_group_tests_name("percpu", tests, NULL, NULL);
}
