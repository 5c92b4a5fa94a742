// SPDX-License-Identifier: Apache-2.0
// Planes of several workers: what is one's own, and to whom the rest goes.
#include "rig.h"

enum {
    WORKERS = 4,
    OWN_IN = 2,
    OWN_OUT = 0
}; // of the SA pair below: SPI_IN % WORKERS, and its partner
enum { SPI_IN = 0x1002, SPI_OUT = 0x77777777 };

struct crew {
    struct batch_backend *backend;
    struct rng_seeded rng;
    struct plane *planes[WORKERS];
    struct sa_spec in, out;
};

static void crew_open(struct crew *crew)
{
    *crew = (struct crew){.backend = batch_backend_new(BATCH_EVP)};
    rng_seed(&crew->rng, 1);
    crew->out = spec_of(&ciphers[0], SA_OUT, SPI_OUT);
    crew->out.partner_spi = SPI_IN;
    crew->in = spec_of(&ciphers[0], SA_IN, SPI_IN);
    struct policy_spec policy = policy_of(POLICY, POLICY_PROTECT, "10.1.0.0/16", "10.2.0.0/16");
    for (unsigned i = 0; i < WORKERS; i++) {
        const struct plane_limits limits = {64, 64, i, WORKERS, 99};
        crew->planes[i] = plane_new(crew->backend, &crew->rng.rng, &limits);
        CHECK_FAULT(plane_policy_add(crew->planes[i], &policy), OK);
        CHECK_FAULT(plane_sa_add(crew->planes[i], &crew->out), OK);
    }
    CHECK_FAULT(plane_sa_add(crew->planes[OWN_IN], &crew->in), OK);
}

static void crew_close(struct crew *crew)
{
    for (unsigned i = 0; i < WORKERS; i++) plane_free(crew->planes[i]);
    batch_backend_free(crew->backend);
}

// A packet that the peer would send with the SA that we open with.
static struct packet *sealed(struct crew *crew, struct box *box)
{
    uint8_t space[200];
    struct sa_spec theirs = spec_turned(&crew->in);
    struct policy_spec policy = policy_of(POLICY, POLICY_PROTECT, "10.2.0.0/16", "10.1.0.0/16");
    struct plane *peer = plane_new(crew->backend, &crew->rng.rng, &(struct plane_limits){4, 4});
    const struct inner inner = {"10.2.0.9", "10.1.0.5", IPPROTO_NUMBER_UDP, 0, 1, 2, false, 100};
    CHECK_FAULT(plane_policy_add(peer, &policy), OK);
    CHECK_FAULT(plane_sa_add(peer, &theirs), OK);
    struct packet *packet = box_put(box, inner_make(&inner, space));
    seal_one(peer, packet);
    assert_int_equal(packet->verdict, VERDICT_SEND);
    plane_free(peer);
    return packet;
}

static void only_the_owner_of_an_outbound_sa_seals(void **state)
{
    (void)state;
    struct crew crew;
    static struct box box;
    uint8_t space[100];
    crew_open(&crew);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct bytes inner = inner_v4(sizeof space, space);
        struct packet *packet = box_put(&box, inner);
        seal_one(crew.planes[i], packet);
        if (i == OWN_OUT) {
            assert_int_equal(packet->verdict, VERDICT_SEND);
            continue;
        }
        assert_int_equal(packet->verdict, VERDICT_SEAL_ELSEWHERE);
        assert_int_equal(packet->worker, OWN_OUT);
        assert_int_equal(packet->size, inner.size);
        assert_memory_equal(packet->at, inner.at, inner.size);
        seal_one(crew.planes[packet->worker], packet);
        assert_int_equal(packet->verdict, VERDICT_SEND);
        assert_int_equal(get_u32(packet->at + 4), i + 1); // one sequence of numbers
    }
    crew_close(&crew);
}

static void what_nobody_serves_is_for_worker_0_to_judge(void **state)
{
    (void)state;
    struct crew crew;
    static struct box box;
    uint8_t space[100];
    struct plane_event event;
    crew_open(&crew);
    struct policy_spec trap = policy_of(8, POLICY_PROTECT, "10.1.0.0/16", "10.3.0.0/16");
    trap.trap = POLICY_TRAP;
    for (unsigned i = 0; i < WORKERS; i++) CHECK_FAULT(plane_policy_add(crew.planes[i], &trap), OK);
    for (unsigned i = WORKERS; i-- > 0;) {
        struct inner inner = {"10.1.0.5", "10.3.0.9", IPPROTO_NUMBER_UDP, 0, 1, 2, false, 100};
        struct packet *packet = box_put(&box, inner_make(&inner, space));
        seal_one(crew.planes[i], packet);
        assert_int_equal(packet->verdict, i ? VERDICT_SEAL_ELSEWHERE : VERDICT_HELD);
        assert_int_equal(packet->worker, 0);
        assert_int_equal(plane_event(crew.planes[i], &event), i == 0);
        inner.destination = "10.9.0.1"; // no policy
        packet = box_put(&box, inner_make(&inner, space));
        seal_one(crew.planes[i], packet);
        assert_int_equal(packet->verdict, i ? VERDICT_SEAL_ELSEWHERE : VERDICT_BYPASS);
    }
    crew_close(&crew);
}

static void an_spi_leads_to_its_owner(void **state)
{
    (void)state;
    struct crew crew;
    static struct box box;
    crew_open(&crew);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct packet *packet = sealed(&crew, &box);
        open_one(crew.planes[i], packet);
        if (i == OWN_IN) {
            assert_int_equal(packet->verdict, VERDICT_DELIVER);
            CHECK_FAULT(plane_sa_del(crew.planes[OWN_IN], SPI_IN, SA_IN), OK);
            CHECK_FAULT(plane_sa_add(crew.planes[OWN_IN], &crew.in), OK);
            continue;
        }
        assert_int_equal(packet->verdict, VERDICT_OPEN_ELSEWHERE);
        assert_int_equal(packet->worker, OWN_IN);
        open_one(crew.planes[OWN_IN], packet);
        assert_int_equal(packet->verdict, VERDICT_DELIVER);
        CHECK_FAULT(plane_sa_del(crew.planes[OWN_IN], SPI_IN, SA_IN), OK);
        CHECK_FAULT(plane_sa_add(crew.planes[OWN_IN], &crew.in), OK);
    }
    crew_close(&crew);
}

// An unknown SPI is reported once worker 0, which hears first, has had a look.
static void an_unknown_spi_is_judged_when_worker_0_was_asked(void **state)
{
    (void)state;
    struct crew crew;
    static struct box box;
    struct plane_event event;
    crew_open(&crew);
    CHECK_FAULT(plane_sa_del(crew.planes[OWN_IN], SPI_IN, SA_IN), OK);
    struct packet *packet = sealed(&crew, &box);
    open_one(crew.planes[OWN_IN], packet);
    assert_int_equal(packet->verdict, VERDICT_OPEN_ELSEWHERE);
    assert_int_equal(packet->worker, 0);
    assert_false(plane_event(crew.planes[OWN_IN], &event));
    open_one(crew.planes[0], packet);
    assert_int_equal(packet->verdict, VERDICT_OPEN_ELSEWHERE);
    assert_int_equal(packet->worker, OWN_IN);
    open_one(crew.planes[OWN_IN], packet);
    assert_int_equal(packet->verdict, VERDICT_DROP);
    assert_int_equal(packet->fault, FAULT_ESP_SPI_UNKNOWN);
    assert_true(plane_event(crew.planes[OWN_IN], &event));
    assert_int_equal(event.kind, PLANE_UNKNOWN_SPI);
    // One that has come meanwhile is used.
    packet = sealed(&crew, &box);
    open_one(crew.planes[OWN_IN], packet);
    open_one(crew.planes[0], packet);
    CHECK_FAULT(plane_sa_add(crew.planes[OWN_IN], &crew.in), OK);
    open_one(crew.planes[OWN_IN], packet);
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    crew_close(&crew);
}

static void an_sa_is_counted_by_its_owner_alone(void **state)
{
    (void)state;
    struct crew crew;
    struct sa_usage usage;
    crew_open(&crew);
    for (unsigned i = 0; i < WORKERS; i++) {
        size_t cursor = 0, in = 0, out = 0;
        while (plane_usage_next(crew.planes[i], &cursor, &usage))
            *(usage.direction == SA_IN ? &in : &out) += 1;
        assert_int_equal(in, i == OWN_IN);
        assert_int_equal(out, i == OWN_OUT);
    }
    crew_close(&crew);
}

// RFC 9611 4 test: all of them lead a flow to the SA of the same resource.
static void all_choose_the_same_sa_for_a_flow(void **state)
{
    (void)state;
    struct crew crew;
    static struct box box;
    uint8_t space[100];
    unsigned seen[WORKERS] = {0};
    crew_open(&crew);
    for (unsigned r = 1; r <= WORKERS; r++) {
        struct sa_spec spec = crew.out;
        spec.spi = SPI_OUT + r;
        spec.partner_spi = SPI_IN + r;
        spec.resource = (uint16_t)r;
        spec.resources = WORKERS;
        for (unsigned i = 0; i < WORKERS; i++) CHECK_FAULT(plane_sa_add(crew.planes[i], &spec), OK);
    }
    for (uint16_t port = 1; port <= 64; port++) {
        unsigned owner = WORKERS;
        for (unsigned i = 0; i < WORKERS; i++) {
            struct inner inner = {"10.1.0.5", "10.2.0.9", IPPROTO_NUMBER_UDP, 0, port, 2,
                                  false,      100};
            struct packet *packet = box_put(&box, inner_make(&inner, space));
            seal_one(crew.planes[i], packet);
            unsigned at = packet->verdict == VERDICT_SEND ? i : packet->worker;
            if (owner == WORKERS) owner = at;
            assert_int_equal(at, owner);
        }
        seen[owner]++;
    }
    for (unsigned i = 0; i < WORKERS; i++) assert_true(seen[i] > 0);
    crew_close(&crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_owner_of_an_outbound_sa_seals),
        cmocka_unit_test(what_nobody_serves_is_for_worker_0_to_judge),
        cmocka_unit_test(an_spi_leads_to_its_owner),
        cmocka_unit_test(an_unknown_spi_is_judged_when_worker_0_was_asked),
        cmocka_unit_test(an_sa_is_counted_by_its_owner_alone),
        cmocka_unit_test(all_choose_the_same_sa_for_a_flow),
    };
    crypto_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
