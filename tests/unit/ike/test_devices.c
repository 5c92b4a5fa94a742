// SPDX-License-Identifier: Apache-2.0
// Devices of children (if_id), and children that are for the same packets.
#include "pair.h"

static struct conf_text everything(void)
{
    return (struct conf_text){
        .child = {"lan"}, .local_ts = {"0.0.0.0/0"}, .remote_ts = {"0.0.0.0/0"}};
}

static struct conn *with_devices(struct host *own, struct host *other, const struct conf_text *text,
                                 uint32_t in, uint32_t out, bool shared)
{
    struct conn *conn = conn_make(own, other, text);
    for (uint32_t i = 0; i < conn->child_count; i++) {
        conn->children[i].if_id_in = in;
        conn->children[i].if_id_out = out;
        conn->children[i].if_id_shared = shared;
    }
    return conn;
}

static const struct policy_spec *policy_at(const struct host *host, size_t i)
{
    assert_true(i < host->policy_count);
    return &host->policies[i];
}

static const struct sa_spec *inbound(const struct host *host)
{
    for (size_t i = 0; i < host->sa_count; i++)
        if (host->sas[i].spec.direction == SA_IN) return &host->sas[i].spec;
    fail_msg("no inbound SA");
    return NULL;
}

static struct pair *up_with(const struct conf_text *text, uint32_t in, uint32_t out, bool shared)
{
    struct pair *p = pair_new();
    load(&p->b, conn_make(&p->b, &p->a, text));
    load(&p->a, with_devices(&p->a, &p->b, text, in, out, shared));
    command(&p->a, IKE_INITIATE, NULL, text->child[0]);
    run_for(p, nsec_seconds(2));
    return p;
}

static void numbers_reach_the_data_plane(void **state)
{
    (void)state;
    struct conf_text text = everything();
    struct pair *p = up_with(&text, 42, 43, false);
    assert_int_equal(policy_at(&p->a, 0)->if_id_in, 42);
    assert_int_equal(policy_at(&p->a, 0)->if_id_out, 43);
    assert_false(policy_at(&p->a, 0)->if_unique);
    assert_int_equal(inbound(&p->a)->if_id, 42);
    assert_int_equal(policy_at(&p->b, 0)->if_id_out, 0);
    pair_free(p);
}

static void unique_numbers_outlive_rekeying(void **state)
{
    (void)state;
    struct conf_text text = everything();
    struct pair *p = up_with(&text, IF_ID_UNIQUE, IF_ID_UNIQUE, false);
    uint32_t if_id = policy_at(&p->a, 0)->if_id_out;
    assert_int_equal(if_id, 1);
    assert_int_equal(policy_at(&p->a, 0)->if_id_in, if_id);
    assert_true(policy_at(&p->a, 0)->if_unique);
    command(&p->a, IKE_REKEY, NULL, "lan");
    run_for(p, nsec_seconds(10));
    command(&p->a, IKE_REKEY, "office", NULL);
    run_for(p, nsec_seconds(10));
    assert_int_equal(p->a.policy_count, 1);
    assert_int_equal(inbound(&p->a)->if_id, if_id);
    pair_free(p);
}

static void directions_may_have_numbers_of_their_own(void **state)
{
    (void)state;
    struct conf_text text = everything();
    struct pair *p = up_with(&text, IF_ID_UNIQUE_DIR, IF_ID_UNIQUE_DIR, false);
    assert_int_equal(policy_at(&p->a, 0)->if_id_in, 1);
    assert_int_equal(policy_at(&p->a, 0)->if_id_out, 2);
    pair_free(p);
}

// Whether the word stands in the connection or in each child.
static void children_share_a_number_or_not(void **state)
{
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        struct conf_text text = {.child = {"lan", "dmz"},
                                 .local_ts = {"10.1.0.0/16", "10.3.0.0/16"},
                                 .remote_ts = {"10.2.0.0/16", "10.4.0.0/16"}};
        struct conf_text mirrored = text;
        for (int i = 0; i < 2; i++) {
            mirrored.local_ts[i] = text.remote_ts[i];
            mirrored.remote_ts[i] = text.local_ts[i];
        }
        struct pair *p = pair_new();
        load(&p->b, conn_make(&p->b, &p->a, &mirrored));
        load(&p->a, with_devices(&p->a, &p->b, &text, IF_ID_UNIQUE, IF_ID_UNIQUE, shared));
        command(&p->a, IKE_INITIATE, NULL, "lan");
        run_for(p, nsec_seconds(2));
        command(&p->a, IKE_INITIATE, NULL, "dmz");
        run_for(p, nsec_seconds(2));
        assert_int_equal(p->a.policy_count, 2);
        bool same = policy_at(&p->a, 0)->if_id_out == policy_at(&p->a, 1)->if_id_out;
        assert_int_equal(same, shared);
        pair_free(p);
    }
}

static void unique_numbers_leave_out_those_of_the_configuration(void **state)
{
    (void)state;
    struct conf_text text = everything(), other = everything();
    other.name = "branch";
    struct pair *p = pair_new();
    load(&p->b, conn_make(&p->b, &p->a, &text));
    load(&p->a, with_devices(&p->a, &p->b, &other, 1, 2, false));
    load(&p->a, with_devices(&p->a, &p->b, &text, IF_ID_UNIQUE, IF_ID_UNIQUE, false));
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(2));
    assert_int_equal(policy_at(&p->a, 0)->if_id_out, 3);
    pair_free(p);
}

// RFC 4301 4.4.1 test: policies are ordered; of two for the same packets the newer one comes first.
static void who_is_for_the_same_packets_is_said(void **state)
{
    (void)state;
    struct conf_text text = {.start_action = START_TRAP}, other = text;
    other.name = "branch";
    struct pair *p = pair_new();
    load(&p->a, conn_make(&p->a, &p->b, &text));
    assert_null(said(&p->a, FAULT_POLICY_OVERLAP));
    load(&p->a, conn_make(&p->a, &p->b, &other));
    assert_non_null(said(&p->a, FAULT_POLICY_OVERLAP));
    assert_int_equal(p->a.policy_count, 2);
    pair_free(p);
}

// The peer of one connection chooses a part of what it may have; there are too many others to look at.
static void that_overlaps_are_not_looked_for_is_said_once(void **state)
{
    (void)state;
    enum { MANY = 1100 };
    for (unsigned count = 1; count <= MANY; count += MANY - 1) {
        struct pair *p = pair_new();
        struct conf_text wide = {.local_ts[0] = "10.1.0.0/16", .remote_ts[0] = "10.0.0.0/8"}, narrow = {.local_ts[0] = "10.2.0.0/16", .remote_ts[0] = "10.1.0.0/16"};
        char name[16], network[32];
        load(&p->a, conn_make(&p->a, &p->b, &wide));
        for (unsigned i = 0; i < count; i++) {
            snprintf(name, sizeof name, "c%u", i);
            snprintf(network, sizeof network, "10.200.%u.%u/32", i >> 8, i & 255);
            struct conf_text other = {.name = name, .start_action = START_TRAP, .remote_ts[0] = network, .local_ts[0] = "10.1.0.0/16"};
            load(&p->a, conn_make(&p->a, &p->b, &other));
        }
        load(&p->b, conn_make(&p->b, &p->a, &narrow));
        command(&p->b, IKE_INITIATE, NULL, "lan");
        run_for(p, nsec_seconds(2));
        assert_up(p, 1);
        const struct line *line = said_text(&p->a, "there are more than 1024 policies");
        assert_true((line != NULL) == (count == MANY));
        if (line) assert_non_null(strstr(line->text, "10.2.0.0/16"));
        pair_free(p);
    }
}

static void devices_and_priorities_keep_children_apart(void **state)
{
    (void)state;
    struct conf_text text = {.start_action = START_TRAP}, other = text, third = text;
    other.name = "branch";
    third.name = "archive";
    struct pair *p = pair_new();
    load(&p->a, conn_make(&p->a, &p->b, &text));
    load(&p->a, with_devices(&p->a, &p->b, &other, 7, 7, false));
    struct conn *behind = conn_make(&p->a, &p->b, &third);
    behind->children[0].priority = 500000;
    load(&p->a, behind);
    assert_null(said(&p->a, FAULT_POLICY_OVERLAP));
    pair_free(p);
}

static unsigned marked(const struct host *host, enum sa_direction direction, uint32_t mark)
{
    unsigned count = 0;
    for (size_t i = 0; i < host->sa_count; i++)
        count += host->sas[i].spec.direction == direction && host->sas[i].spec.mark == mark;
    return count;
}

static void sealed_packets_keep_their_mark_while_keys_change(void **state)
{
    (void)state;
    struct conf_text text = everything();
    struct pair *p = pair_new();
    struct conn *conn = conn_make(&p->a, &p->b, &text);
    conn->children[0].mark_sealed = 42;
    load(&p->b, conn_make(&p->b, &p->a, &text));
    load(&p->a, conn);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(2));
    command(&p->a, IKE_REKEY, NULL, "lan");
    run_for(p, nsec_seconds(10));
    command(&p->b, IKE_REKEY, "office", NULL);
    run_for(p, nsec_seconds(10));
    assert_int_equal(marked(&p->a, SA_OUT, 42), 1);
    assert_int_equal(marked(&p->a, SA_IN, 0), 1);
    assert_int_equal(marked(&p->b, SA_OUT, 0), 1);
    command(&p->b, IKE_TERMINATE, NULL, "lan");
    run_for(p, nsec_seconds(10));
    assert_int_equal(p->a.sa_count, 0);
    pair_free(p);
}

static void errors_of_routers_are_for_tunnels(void **state)
{
    (void)state;
    struct conf_text text = everything();
    struct pair *p = pair_new();
    struct conn *conn = conn_make(&p->a, &p->b, &text);
    conn->children[0].icmp = true;
    load(&p->b, conn_make(&p->b, &p->a, &text));
    load(&p->a, conn);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(2));
    assert_int_equal(p->a.sa_count, 2);
    for (size_t i = 0; i < 2; i++) assert_true(p->a.sas[i].spec.icmp && !p->b.sas[i].spec.icmp);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_reach_the_data_plane),
        cmocka_unit_test(unique_numbers_outlive_rekeying),
        cmocka_unit_test(directions_may_have_numbers_of_their_own),
        cmocka_unit_test(children_share_a_number_or_not),
        cmocka_unit_test(unique_numbers_leave_out_those_of_the_configuration),
        cmocka_unit_test(who_is_for_the_same_packets_is_said),
        cmocka_unit_test(that_overlaps_are_not_looked_for_is_said_once),
        cmocka_unit_test(devices_and_priorities_keep_children_apart),
        cmocka_unit_test(sealed_packets_keep_their_mark_while_keys_change),
        cmocka_unit_test(errors_of_routers_are_for_tunnels),
    };
    return cmocka_run_group_tests_name("devices", tests, NULL, NULL);
}
