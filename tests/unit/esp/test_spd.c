// SPDX-License-Identifier: Apache-2.0
// Policies: which one covers a packet, against a model that looks at all of them; priorities; the
// flow cache never remembers what has changed.
#include "rig.h"

static struct box box;
static uint8_t inner_space[2048];

static struct packet *send(struct rig *rig, const char *source, const char *destination,
                           uint8_t protocol, uint16_t port)
{
    const struct inner inner = {source, destination, protocol, 0, 1000, port, false, 64};
    struct packet *packet = box_put(&box, inner_make(&inner, inner_space));
    seal_one(rig->a, packet);
    return packet;
}

static void add(struct rig *rig, uint32_t number, enum policy_action action, const char *local,
                const char *remote)
{
    struct policy_spec policy = policy_of(number, action, local, remote);
    CHECK_FAULT(plane_policy_add(rig->a, &policy), OK);
}

// Random policies against all of them -------------------------------------------------------------

enum { POLICIES = 40, FLOWS = 400 };

static struct addr random_addr(struct rng *rng, bool v6)
{
    struct addr addr = addr_v4(10, (uint8_t)rng_below(rng, 2), (uint8_t)rng_below(rng, 3),
                               (uint8_t)rng_below(rng, 6));
    if (!v6) return addr;
    struct addr wide = {.family = ADDR_V6, .at = {0x20, 1, 0xd, 0xb8}};
    memcpy(wide.at + 4, addr.at + 1, 2);
    memcpy(wide.at + 14, addr.at + 2, 2);
    return wide;
}

static struct range random_range(struct rng *rng, bool v6)
{
    struct range range = {random_addr(rng, v6), random_addr(rng, v6)};
    if (rng_below(rng, 3) == 0) {
        if (addr_compare(&range.low, &range.high) <= 0) return range;
        return (struct range){range.high, range.low};
    }
    static const uint8_t v4_bits[] = {0, 8, 15, 16, 24, 29, 32},
                         v6_bits[] = {0, 32, 47, 48, 64, 120, 128};
    struct prefix prefix = {range.low,
                            v6 ? v6_bits[rng_below(rng, 7)] : v4_bits[rng_below(rng, 7)]};
    return prefix_range(&prefix);
}

static void random_ports(struct rng *rng, struct selector *selector)
{
    selector->port_high = UINT16_MAX;
    if (!selector->protocol) return;
    switch (rng_below(rng, 4)) {
    case 0:
        selector->port_low = selector->port_high = (uint16_t)rng_below(rng, 4);
        break;
    case 1:
        selector->port_high = (uint16_t)rng_below(rng, 4);
        break;
    case 2:
        selector->port_low = UINT16_MAX, selector->port_high = 0;
        break; // OPAQUE
    default:
        break;
    }
}

static struct selectors random_selectors(struct rng *rng)
{
    static const uint8_t protocols[] = {0, 0, 6, 17};
    struct selectors set = {.count = (uint8_t)(1 + rng_below(rng, 3))};
    for (size_t i = 0; i < set.count; i++) {
        set.at[i] = (struct selector){.range = random_range(rng, rng_below(rng, 3) == 0),
                                      .protocol = protocols[rng_below(rng, 4)]};
        random_ports(rng, &set.at[i]);
    }
    return set;
}

static struct flow random_flow(struct rng *rng)
{
    bool v6 = rng_below(rng, 3) == 0;
    struct flow flow = {.source = random_addr(rng, v6), .protocol = rng_below(rng, 2) ? 6 : 17};
    flow.destination = random_addr(rng, v6);
    flow.ports_known = rng_below(rng, 4);
    if (!flow.ports_known) return flow;
    flow.source_port = (uint16_t)rng_below(rng, 5);
    flow.destination_port = (uint16_t)rng_below(rng, 5);
    return flow;
}

static unsigned common_bits(const struct range *range)
{
    unsigned bits = 0, all = (unsigned)addr_size(&range->low) * 8;
    while (bits < all &&
           !((range->low.at[bits / 8] ^ range->high.at[bits / 8]) >> (7 - bits % 8) & 1))
        bits++;
    return bits;
}

static uint32_t model_priority(const struct selector *local, const struct selector *remote)
{
    bool ports[2] = {local->port_low || local->port_high != 65535,
                     remote->port_low || remote->port_high != 65535};
    return 200000 - (common_bits(&local->range) + common_bits(&remote->range)) * 8 -
           (local->protocol || remote->protocol ? 4 : 0) - ports[0] - ports[1];
}

// The model tries each pair of selectors of each policy by the selectors' own function; later
// policies have higher numbers.
static uint32_t model_find(const struct policy_spec *specs, size_t count, const struct flow *flow)
{
    uint32_t best = 0, best_priority = UINT32_MAX, best_action = 9, best_number = 0;
    static const uint8_t order[] = {
        [POLICY_BYPASS] = 0, [POLICY_DISCARD] = 1, [POLICY_PROTECT] = 2};
    for (size_t i = 0; i < count; i++)
        for (size_t l = 0; l < specs[i].local.count; l++)
            for (size_t r = 0; r < specs[i].remote.count; r++) {
                struct selectors local = {1, {specs[i].local.at[l]}},
                                 remote = {1, {specs[i].remote.at[r]}};
                if (!selectors_match(&local, &remote, flow)) continue;
                uint32_t priority = specs[i].priority ? specs[i].priority
                                                      : model_priority(&local.at[0], &remote.at[0]);
                uint32_t action = order[specs[i].action], number = specs[i].number;
                if (priority > best_priority) continue;
                if (priority == best_priority && action > best_action) continue;
                if (priority == best_priority && action == best_action && number < best_number)
                    continue;
                best = number;
                best_priority = priority;
                best_action = action;
                best_number = number;
            }
    return best;
}

static uint32_t plane_find(struct plane *plane, const struct flow *flow)
{
    const struct policy_index *index = plane->spd.indexes[0];
    struct policy *policy = index ? policy_index_find(index, flow) : NULL;
    return policy ? policy->number : 0;
}

static struct policy_spec random_policy(struct rng *rng, uint32_t number)
{
    return (struct policy_spec){
        .number = number,
        .action = (uint8_t)(1 + rng_below(rng, 3)),
        .trap = POLICY_BLOCK,
        .priority = rng_below(rng, 4) ? 0 : 199000 + (uint32_t)rng_below(rng, 1000),
        .local = random_selectors(rng),
        .remote = random_selectors(rng),
    };
}

static void the_index_finds_what_a_look_at_all_policies_finds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct rig rig;
        struct rng_seeded rng;
        rng_seed(&rng, seed);
        rig_open(&rig, &ciphers[0]);
        CHECK_FAULT(plane_policy_del(rig.a, POLICY), OK);
        struct policy_spec specs[POLICIES];
        for (uint32_t i = 0; i < POLICIES; i++) {
            specs[i] = random_policy(&rng.rng, 100 + i);
            CHECK_FAULT(plane_policy_add(rig.a, &specs[i]), OK);
        }
        for (size_t count = POLICIES; count > 0; count -= POLICIES / 4) {
            for (size_t i = 0; i < FLOWS; i++) {
                struct flow flow = random_flow(&rng.rng);
                uint32_t expected = model_find(specs, count, &flow);
                uint32_t found = plane_find(rig.a, &flow);
                if (found != expected)
                    fail_msg("seed %lu: policy %u, expected %u", (unsigned long)seed, found,
                             expected);
            }
            for (size_t i = count - POLICIES / 4; i < count; i++)
                CHECK_FAULT(plane_policy_del(rig.a, specs[i].number), OK);
        }
        assert_null(rig.a->spd.indexes[0]);
        rig_close(&rig);
    }
}

static void traffic_matches_as_selectors_do(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seed(&rng, 77);
    for (int i = 0; i < 20000; i++) {
        struct selectors local = random_selectors(&rng.rng), remote = random_selectors(&rng.rng);
        struct traffic *traffic = traffic_new(&local, &remote);
        for (int j = 0; j < 5; j++) {
            struct flow flow = random_flow(&rng.rng);
            assert_int_equal(traffic_match(traffic, &flow),
                             selectors_match(&local, &remote, &flow));
        }
        free(traffic);
    }
}

// What is asked for by hand -----------------------------------------------------------------------

static void the_narrower_policy_wins(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig);
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 53)->verdict, VERDICT_SEND);
    add(&rig, 20, POLICY_DISCARD, "10.0.0.0/8", "10.0.0.0/8");
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 53)->verdict, VERDICT_SEND);
    assert_int_equal(send(&rig, "10.3.0.5", "10.2.0.9", 17, 53)->verdict, VERDICT_DROP);
    CHECK_FAULT(box.packet.fault, FAULT_POLICY_DISCARD);
    assert_int_equal(box.packet.policy, 20);
    add(&rig, 21, POLICY_BYPASS, "10.1.0.0/16[udp]", "10.2.0.0/16[udp/53]");
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 53)->verdict, VERDICT_BYPASS);
    assert_int_equal(box.packet.policy, 21);
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 54)->verdict, VERDICT_SEND);
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 6, 53)->verdict, VERDICT_SEND);
    rig_close(&rig);
}

static void a_priority_that_is_given_wins_over_narrowness(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig);
    struct policy_spec drop = policy_of(20, POLICY_DISCARD, "0.0.0.0/0", "0.0.0.0/0");
    drop.priority = 1;
    CHECK_FAULT(plane_policy_add(rig.a, &drop), OK);
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 53)->verdict, VERDICT_DROP);
    drop.priority = 300000; // the same number: replaced
    CHECK_FAULT(plane_policy_add(rig.a, &drop), OK);
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 53)->verdict, VERDICT_SEND);
    assert_int_equal(plane_stats(rig.a)->policies, 2);
    rig_close(&rig);
}

// So a new connection for the same traffic takes over, and one that is loaded again does not take
// it back.
static void of_equal_policies_the_later_one_wins(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    for (uint32_t i = 0; i < 20; i++)
        add(&rig, 100 + i, POLICY_DISCARD, "10.9.0.0/16", "10.8.0.0/16");
    (void)send(&rig, "10.9.0.5", "10.8.0.9", 17, 53);
    assert_int_equal(box.packet.policy, 119);
    add(&rig, 100, POLICY_DISCARD, "10.9.0.0/16", "10.8.0.0/16");
    (void)send(&rig, "10.9.0.5", "10.8.0.9", 17, 53);
    assert_int_equal(box.packet.policy, 119);
    struct policy_spec trap = policy_of(200, POLICY_PROTECT, "10.9.0.0/16", "10.8.0.0/16");
    add(&rig, 201, POLICY_PROTECT, "10.7.0.0/16", "10.8.0.0/16");
    trap.local = selectors_of("10.7.0.0/16");
    trap.trap = POLICY_TRAP;
    CHECK_FAULT(plane_policy_add(rig.a, &trap), OK);
    (void)send(&rig, "10.7.0.5", "10.8.0.9", 17, 53);
    assert_int_equal(box.packet.policy, 201);
    rig_close(&rig);
}

static void what_no_policy_covers_passes(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    struct packet *packet = send(&rig, "172.16.0.1", "172.16.0.2", 17, 53);
    assert_int_equal(packet->verdict, VERDICT_BYPASS);
    assert_int_equal(packet->policy, 0);
    assert_int_equal(plane_stats(rig.a)->bypassed, 1);
    rig_close(&rig);
}

// Devices: what is routed into a tunnel's own ----------------------------------------------------

static struct packet *send_by(struct rig *rig, uint16_t device, const char *source,
                              const char *destination)
{
    const struct inner inner = {source, destination, 17, 0, 1000, 53, false, 64};
    struct packet *packet = box_put(&box, inner_make(&inner, inner_space));
    packet->device = device;
    seal_one(rig->a, packet);
    return packet;
}

static void add_to_device(struct rig *rig, uint32_t number, uint32_t device, const char *selector)
{
    struct policy_spec policy = policy_of(number, POLICY_PROTECT, selector, selector);
    policy.if_id_out = device;
    policy.trap = POLICY_TRAP;
    CHECK_FAULT(plane_policy_add(rig->a, &policy), OK);
}

static void each_device_has_policies_of_its_own(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig_add_sa(&rig); // of the ordinary device
    add_to_device(&rig, 20, 1, "0.0.0.0/0");
    add_to_device(&rig, 21, 2, "0.0.0.0/0");
    // The same flow, which the cache holds for each of them.
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send_by(&rig, 0, "10.1.0.5", "10.2.0.9")->verdict, VERDICT_SEND);
        assert_int_equal(box.packet.policy, POLICY);
        assert_int_equal(send_by(&rig, 1, "10.1.0.5", "10.2.0.9")->verdict, VERDICT_HELD);
        assert_int_equal(box.packet.policy, 20);
        assert_int_equal(send_by(&rig, 2, "10.1.0.5", "10.2.0.9")->verdict, VERDICT_HELD);
        assert_int_equal(box.packet.policy, 21);
    }
    // What the ordinary device gets is not theirs, however wide they are.
    assert_int_equal(send_by(&rig, 0, "172.16.0.1", "172.16.0.2")->verdict, VERDICT_BYPASS);
    CHECK_FAULT(plane_policy_del(rig.a, 20), OK);
    assert_int_equal(send_by(&rig, 1, "10.1.0.5", "10.2.0.9")->verdict, VERDICT_DROP);
    CHECK_FAULT(box.packet.fault, FAULT_DEVICE_POLICY);
    assert_int_equal(send_by(&rig, 2, "10.1.0.5", "10.2.0.9")->verdict, VERDICT_HELD);
    rig_close(&rig);
}

static void what_is_routed_into_a_device_never_passes(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    assert_int_equal(send_by(&rig, 9, "172.16.0.1", "172.16.0.2")->verdict, VERDICT_DROP);
    CHECK_FAULT(box.packet.fault, FAULT_DEVICE_POLICY);
    struct policy_spec pass = policy_of(30, POLICY_BYPASS, "172.16.0.0/16", "172.16.0.0/16");
    pass.if_id_out = 9;
    CHECK_FAULT(plane_policy_add(rig.a, &pass), OK);
    assert_int_equal(send_by(&rig, 9, "172.16.0.1", "172.16.0.2")->verdict, VERDICT_DROP);
    pass.if_id_out = PLANE_DEVICES_MAX;
    CHECK_FAULT(plane_policy_add(rig.a, &pass), FAULT_SA_PARAMETERS);
    rig_close(&rig);
}

static void held_packets_are_sealed_for_their_own_device(void **state)
{
    (void)state;
    static struct box back;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    CHECK_FAULT(plane_policy_del(rig.a, POLICY), OK);
    add_to_device(&rig, POLICY, 3, "0.0.0.0/0");
    assert_int_equal(send_by(&rig, 3, "10.1.0.5", "10.2.0.9")->verdict, VERDICT_HELD);
    rig.spec.local = rig.spec.remote = selectors_of("0.0.0.0/0");
    struct sa_spec in = spec_turned(&rig.spec);
    in.if_id = 5;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), OK);
    CHECK_FAULT(plane_sa_add(rig.b, &in), OK);
    struct packet *packet = &back.packet;
    *packet = (struct packet){.space = back.space, .room = BOX_ROOM};
    assert_int_equal(plane_released(rig.a, 0, &packet, 1), 1);
    assert_int_equal(packet->device, 3);
    plane_seal(rig.a, 1, &packet, 1);
    assert_int_equal(packet->verdict, VERDICT_SEND);
    // The other end's device is the one of its own SA.
    packet->device = 0;
    plane_open(rig.b, 1, &packet, 1);
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    assert_int_equal(packet->device, 5);
    in.if_id = PLANE_DEVICES_MAX;
    CHECK_FAULT(plane_sa_add(rig.b, &in), FAULT_SA_PARAMETERS);
    rig_close(&rig);
}

// The same flow is sent before and after each change.
static void the_cache_forgets_what_has_changed(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 53)->fault, FAULT_SA_MISSING);
    rig_add_sa(&rig);
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 53)->verdict, VERDICT_SEND);
    add(&rig, 20, POLICY_BYPASS, "10.1.0.5", "10.2.0.9");
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 53)->verdict, VERDICT_BYPASS);
    CHECK_FAULT(plane_policy_del(rig.a, 20), OK);
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 53)->verdict, VERDICT_SEND);
    CHECK_FAULT(plane_policy_del(rig.a, POLICY), OK);
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 53)->verdict, VERDICT_BYPASS);
    CHECK_FAULT(plane_policy_del(rig.a, POLICY), FAULT_SA_UNKNOWN);
    add(&rig, POLICY, POLICY_PROTECT, "10.1.0.0/16", "10.2.0.0/16"); // the SA is still there
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 53)->verdict, VERDICT_SEND);
    CHECK_FAULT(plane_sa_del(rig.a, SPI_AB, SA_OUT), OK);
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 53)->fault, FAULT_SA_MISSING);
    rig.a->spd.generation = UINT32_MAX; // the counter of changes comes round
    rig_add_sa(&rig);
    assert_int_equal(rig.a->spd.generation, 1);
    assert_int_equal(send(&rig, "10.1.0.5", "10.2.0.9", 17, 53)->verdict, VERDICT_SEND);
    rig_close(&rig);
}

// RFC 9611 ------------------------------------------------------------------------------------------

enum { SPREAD = 4, SPREAD_FLOWS = 64 };

static void resource_add(struct rig *rig, uint16_t resource, uint32_t spi)
{
    struct sa_spec spec = rig->spec;
    spec.spi = spi;
    spec.resource = resource;
    spec.resources = SPREAD;
    CHECK_FAULT(plane_sa_add(rig->a, &spec), OK);
}

static uint32_t spi_of_flow(struct rig *rig, unsigned flow)
{
    struct packet *packet = send(rig, "10.1.0.5", "10.2.0.9", 17, (uint16_t)(4000 + flow));
    assert_int_equal(packet->verdict, VERDICT_SEND);
    return packet->spi;
}

// Which resources are asked for; a bit each.
static unsigned resources_wanted(struct rig *rig)
{
    struct plane_event event;
    unsigned wanted = 0;
    while (plane_event(rig->a, &event)) {
        assert_int_equal(event.kind, PLANE_ACQUIRE);
        assert_int_equal(event.policy, POLICY);
        assert_in_range(event.resource, 1, SPREAD);
        assert_false(wanted >> event.resource & 1);
        wanted |= 1u << event.resource;
    }
    return wanted;
}

// RFC 9611 4 test: each flow calls for the SA of its resource once, keeps to it while it is there,
// and has the SA for any resource while it is not.
static void flows_are_spread_over_resources(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    resource_add(&rig, 0, 1000);
    for (unsigned i = 0; i < SPREAD_FLOWS; i++) assert_int_equal(spi_of_flow(&rig, i), 1000);
    assert_int_equal(resources_wanted(&rig), 0x1e);
    for (uint16_t i = 1; i <= SPREAD; i++) resource_add(&rig, i, 1000u + i);
    uint32_t spis[SPREAD_FLOWS];
    unsigned seen[SPREAD + 1] = {0};
    for (unsigned i = 0; i < SPREAD_FLOWS; i++) seen[(spis[i] = spi_of_flow(&rig, i)) - 1000]++;
    for (unsigned i = 1; i <= SPREAD; i++) assert_in_range(seen[i], 4, 40);
    assert_int_equal(seen[0], 0);
    assert_int_equal(resources_wanted(&rig), 0);

    resource_add(&rig, 2, 2002); // rekeyed: the newest of a resource has its flows
    for (unsigned i = 0; i < SPREAD_FLOWS; i++)
        assert_int_equal(spi_of_flow(&rig, i), spis[i] == 1002 ? 2002 : spis[i]);
    CHECK_FAULT(plane_sa_del(rig.a, 1002, SA_OUT), OK);
    CHECK_FAULT(plane_sa_del(rig.a, 2002, SA_OUT), OK); // and when it has gone the first SA has them
    for (unsigned i = 0; i < SPREAD_FLOWS; i++)
        assert_int_equal(spi_of_flow(&rig, i), spis[i] == 1002 ? 1000 : spis[i]);
    assert_int_equal(resources_wanted(&rig), 1u << 2);
    CHECK_FAULT(plane_sa_del(rig.a, 1000, SA_OUT), OK); // without that one any of the others
    for (unsigned i = 0; i < SPREAD_FLOWS; i++) assert_int_not_equal(spi_of_flow(&rig, i), 1000);
    rig_close(&rig);
}

static void resources_have_a_limit(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig.spec.resources = RESOURCES_MAX + 1;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), FAULT_SA_PARAMETERS);
    rig.spec.resources = RESOURCES_MAX;
    rig.spec.resource = UINT16_MAX; // of the peer's many: it receives, and sends when no other does
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), OK);
    assert_int_equal(spi_of_flow(&rig, 1), SPI_AB);
    rig_close(&rig);
}

static void policies_have_a_limit(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    for (uint32_t i = 1; i < 64; i++)
        add(&rig, 1000 + i, POLICY_BYPASS, "10.9.0.0/16", "10.8.0.0/16");
    struct policy_spec more = policy_of(9999, POLICY_BYPASS, "10.9.0.0/16", "10.8.0.0/16");
    CHECK_FAULT(plane_policy_add(rig.a, &more), FAULT_POLICIES_TOO_MANY);
    more.number = 1001;
    CHECK_FAULT(plane_policy_add(rig.a, &more), OK);
    more.local.count = 0;
    CHECK_FAULT(plane_policy_add(rig.a, &more), FAULT_SELECTORS_EMPTY);
    more.local.count = 1;
    more.action = 0;
    CHECK_FAULT(plane_policy_add(rig.a, &more), FAULT_SA_PARAMETERS);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_finds_what_a_look_at_all_policies_finds),
        cmocka_unit_test(traffic_matches_as_selectors_do),
        cmocka_unit_test(the_narrower_policy_wins),
        cmocka_unit_test(a_priority_that_is_given_wins_over_narrowness),
        cmocka_unit_test(of_equal_policies_the_later_one_wins),
        cmocka_unit_test(what_no_policy_covers_passes),
        cmocka_unit_test(the_cache_forgets_what_has_changed),
        cmocka_unit_test(flows_are_spread_over_resources),
        cmocka_unit_test(resources_have_a_limit),
        cmocka_unit_test(policies_have_a_limit),
        cmocka_unit_test(each_device_has_policies_of_its_own),
        cmocka_unit_test(what_is_routed_into_a_device_never_passes),
        cmocka_unit_test(held_packets_are_sealed_for_their_own_device),
    };
    crypto_start();
    return cmocka_run_group_tests_name("spd", tests, NULL, NULL);
}
