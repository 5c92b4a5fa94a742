// SPDX-License-Identifier: Apache-2.0
// RFC 4301 6.2 test: an ICMP error whose addresses no selector has goes by the packet that it quotes.
#include "tunnel.h"

struct error_case {
    const char *name;
    uint8_t type;
    const char *source, *destination;    // of the error
    const char *of_source, *of_destination; // of what it quotes
    size_t quoted;                       // bytes of it
    bool belongs;
};

static const struct error_case errors[] = {
    {"a router says unreachable", 3, "172.16.0.1", "10.2.0.9", "10.2.0.9", "10.1.0.5", 28, true},
    {"a router says time exceeded", 11, "172.16.0.1", "10.2.0.9", "10.2.0.9", "10.1.0.5", 28, true},
    {"a parameter is wrong", 12, "172.16.0.1", "10.2.0.9", "10.2.0.9", "10.1.0.5", 100, true},
    {"a header alone is quoted", 3, "172.16.0.1", "10.2.0.9", "10.2.0.9", "10.1.0.5", 20, true},
    {"half a header", 3, "172.16.0.1", "10.2.0.9", "10.2.0.9", "10.1.0.5", 19, false},
    {"nothing", 3, "172.16.0.1", "10.2.0.9", "10.2.0.9", "10.1.0.5", 0, false},
    {"a redirect", 5, "172.16.0.1", "10.2.0.9", "10.2.0.9", "10.1.0.5", 28, false},
    {"an echo request that looks like it", 8, "172.16.0.1", "10.2.0.9", "10.2.0.9", "10.1.0.5", 28, false},
    {"for somebody else", 3, "172.16.0.1", "10.2.0.9", "10.2.0.8", "10.1.0.5", 28, false},
    {"about another network of ours", 3, "172.16.0.1", "10.2.0.9", "10.2.0.9", "10.7.0.5", 28, false},
    {"about a packet from elsewhere", 3, "172.16.0.1", "10.9.0.9", "10.9.0.9", "10.1.0.5", 28, false},
    {"not turned round", 3, "172.16.0.1", "10.1.0.5", "10.1.0.5", "10.2.0.9", 28, false},
    {"IPv6: too big", 2, "2001:db8:f::1", "2001:db8:2::9", "2001:db8:2::9", "2001:db8:1::5", 48, true},
    {"IPv6: unreachable", 1, "2001:db8:f::1", "2001:db8:2::9", "2001:db8:2::9", "2001:db8:1::5", 40, true},
    {"IPv6: half a header", 1, "2001:db8:f::1", "2001:db8:2::9", "2001:db8:2::9", "2001:db8:1::5", 39, false},
    {"IPv6: an advertisement", 134, "2001:db8:f::1", "2001:db8:2::9", "2001:db8:2::9", "2001:db8:1::5", 48, false},
    {"IPv6 quotes IPv4", 1, "2001:db8:f::1", "2001:db8:2::9", "10.2.0.9", "10.1.0.5", 48, false},
};

static struct bytes error_make(const struct error_case *row, uint8_t *out)
{
    uint8_t quoted[200];
    bool v6 = strchr(row->source, ':');
    size_t header = v6 ? 40 : 20;
    struct inner of = {.source = row->of_source, .destination = row->of_destination, .protocol = 17,
                       .source_port = 1000, .destination_port = 2000, .size = 120};
    struct inner error = {.source = row->source, .destination = row->destination,
                          .protocol = v6 ? 58 : 1, .size = header + 8 + row->quoted};
    inner_make(&of, quoted);
    inner_make(&error, out);
    memset(out + header, 0, 8);
    out[header] = row->type;
    memcpy(out + header + 8, quoted, row->quoted);
    return bytes_of(out, error.size);
}

static void errors_about_packets_of_the_child_go_with_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(errors); i++) {
        struct rig rig;
        rig_open(&rig, &ciphers[0]);
        rig.spec.icmp = true;
        rig_add_sa(&rig);
        struct bytes inner = error_make(&errors[i], inner_space);
        struct packet *packet = box_put(&box_a, inner);
        seal_one(rig.a, packet);
        if ((packet->verdict == VERDICT_SEND) != errors[i].belongs) print_error("%s\n", errors[i].name);
        assert_int_equal(packet->verdict, errors[i].belongs ? VERDICT_SEND : VERDICT_BYPASS);
        if (errors[i].belongs) check_delivered(&rig, inner);
        rig_close(&rig);
    }
}

// What the peer sends although it does not belong.
static void the_receiver_looks_at_what_is_quoted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(errors); i++) {
        struct rig rig;
        rig_open(&rig, &ciphers[0]);
        struct sa_spec in = spec_turned(&rig.spec);
        in.icmp = true;
        struct policy_spec all = policy_of(POLICY, POLICY_PROTECT, "0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0");
        CHECK_FAULT(plane_policy_add(rig.a, &all), OK);
        rig.spec.local = rig.spec.remote = selectors_of("0.0.0.0/0 ::/0");
        CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), OK);
        CHECK_FAULT(plane_sa_add(rig.b, &in), OK);
        struct bytes esp = rig_seal(&rig, error_make(&errors[i], inner_space));
        assert_true(esp.size > 0);
        if (errors[i].belongs)
            assert_int_equal(rig_receive(&rig, esp)->verdict, VERDICT_DELIVER);
        else
            check_dropped(&rig, esp, FAULT_INNER_SELECTOR);
        rig_close(&rig);
    }
}

static void nothing_of_it_without_being_asked(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig);
    struct packet *packet = box_put(&box_a, error_make(&errors[0], inner_space));
    seal_one(rig.a, packet);
    assert_int_equal(packet->verdict, VERDICT_BYPASS);
    rig_close(&rig);
    rig_open(&rig, &ciphers[0]);
    struct sa_spec in = spec_turned(&rig.spec);
    rig.spec.icmp = true;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), OK);
    CHECK_FAULT(plane_sa_add(rig.b, &in), OK);
    check_dropped(&rig, rig_seal(&rig, error_make(&errors[0], inner_space)), FAULT_INNER_SELECTOR);
    rig_close(&rig);
}

// Ports of what is quoted matter where the child has ports.
static void ports_are_turned_round_too(void **state)
{
    (void)state;
    static const struct {
        const char *local;
        size_t quoted;
        bool belongs;
    } rows[] = {
        {"10.1.0.0/16[udp/2000]", 28, true}, {"10.1.0.0/16[udp/2001]", 28, false},
        {"10.1.0.0/16[udp/2000]", 23, false}, // too little to see them
        {"10.1.0.0/16[udp/2000]", 24, true},  {"10.1.0.0/16[tcp]", 28, false}, {"10.1.0.0/16[udp]", 20, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig rig;
        struct error_case row = errors[0];
        rig_open(&rig, &ciphers[0]);
        rig.spec.icmp = true;
        rig.spec.local = selectors_of(rows[i].local);
        rig.spec.remote = selectors_of("10.2.0.0/16");
        struct policy_spec policy = policy_of(POLICY, POLICY_PROTECT, rows[i].local, "10.2.0.0/16");
        CHECK_FAULT(plane_policy_add(rig.a, &policy), OK);
        rig_add_sa(&rig);
        row.quoted = rows[i].quoted;
        struct packet *packet = box_put(&box_a, error_make(&row, inner_space));
        seal_one(rig.a, packet);
        assert_int_equal(packet->verdict, rows[i].belongs ? VERDICT_SEND : VERDICT_BYPASS);
        rig_close(&rig);
    }
}

// Every beginning of it, at the very end of what may be read.
static void no_byte_beyond_the_end_is_looked_at(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(errors); i++) {
        struct bytes whole = error_make(&errors[i], inner_space);
        for (size_t size = 1; size <= whole.size; size++) {
            uint8_t *exact = malloc(size);
            struct flow_key quoted;
            memcpy(exact, whole.at, size);
            (void)quoted_flow(exact, (uint32_t)size, &quoted);
            if (exact[0] >> 4 == 4 && size >= 20) {
                put_u16(exact + 2, (uint16_t)size);
                (void)quoted_flow(exact, (uint32_t)size, &quoted);
            }
            free(exact);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_about_packets_of_the_child_go_with_it),
        cmocka_unit_test(the_receiver_looks_at_what_is_quoted),
        cmocka_unit_test(nothing_of_it_without_being_asked),
        cmocka_unit_test(ports_are_turned_round_too),
        cmocka_unit_test(no_byte_beyond_the_end_is_looked_at),
    };
    crypto_start();
    return cmocka_run_group_tests_name("quoted", tests, NULL, NULL);
}
