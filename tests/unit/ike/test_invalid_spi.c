// SPDX-License-Identifier: Apache-2.0
// Packets for children that are not there (RFC 7296 1.5, 2.21.4): who is told, what follows, and
// what anybody can make of it.
#include "ike/internal.h"
#include "pair.h"

static struct sa *sa_of(struct host *host)
{
    return LIST_FIRST(struct sa, link, &host->core->sas);
}

static struct child *child_of(struct host *host)
{
    return LIST_FIRST(struct child, link, &sa_of(host)->children);
}

static void unknown(struct host *host, uint32_t spi, struct endpoint from)
{
    struct ike_in in = {.kind = IKE_IN_PLANE};
    in.plane = (struct ike_plane){.kind = IKE_PLANE_UNKNOWN_SPI, .spi = spi, .from = from};
    step_in(host, &in);
}

// b loses its child without a word, as by a bug; what a sends to it goes nowhere.
static uint32_t child_is_lost(struct pair *p)
{
    uint32_t spi = child_of(&p->b)->spi_in;
    child_end(child_of(&p->b), OK);
    p->b.sa_count = p->b.policy_count = 0;
    return spi;
}

// RFC 7296 2.21.4 test: the peer forgets the child; told by INVALID_SPI it gets another one.
static void a_lost_child_is_made_anew(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    uint32_t spi = child_is_lost(p);
    unknown(&p->b, spi, (struct endpoint){.addr = p->a.addr});
    run_for(p, nsec_seconds(5));
    assert_non_null(said(&p->a, FAULT_CHILD_SPI_UNKNOWN));
    assert_non_null(said(&p->b, FAULT_CHILD_SPI_UNKNOWN));
    assert_up(p, 1);
    assert_ends_agree(p);
    pair_free(p);
}

// It is said once in a while only, however many packets come.
static void packets_in_masses_make_few_messages(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    uint64_t sent = p->b.sent;
    for (unsigned i = 0; i < 1000; i++) {
        unknown(&p->b, 0x1000 + i, (struct endpoint){.addr = p->a.addr});
        run_for(p, nsec_ms(10));
    }
    assert_in_range(p->b.sent - sent, 1, 2);
    assert_up(p, 1);
    assert_null(said(&p->a, FAULT_CHILD_SPI_UNKNOWN)); // none of its own
    pair_free(p);
}

// A child that is there, or is being made, is none of these.
static void packets_that_were_quicker_are_nothing(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    uint64_t sent = p->b.sent;
    unknown(&p->b, child_of(&p->b)->spi_in, (struct endpoint){.addr = p->a.addr});
    unknown(&p->b, 0x1234, (struct endpoint){0});
    run_for(p, nsec_seconds(2));
    assert_int_equal(p->b.sent, sent);
    pair_free(p);
}

// A stranger, over UDP or not: a hint of forty bytes, and not often.
static void a_stranger_gets_a_hint(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    uint64_t sent = p->b.sent, bytes = p->b.sent_bytes;
    struct endpoint stranger = {.addr = addr_v4(203, 0, 113, 9)};
    p->lose_all_of_b = true;
    unknown(&p->b, 0x1234, stranger);
    assert_int_equal(p->b.sent - sent, 1);
    assert_int_equal(p->b.sent_bytes - bytes, 40);
    stranger.port = 4711;
    run_for(p, nsec_seconds(1));
    unknown(&p->b, 0x1234, stranger);
    assert_int_equal(p->b.sent - sent, 2);
    for (unsigned i = 0; i < 1000; i++) unknown(&p->b, 0x1234 + i, stranger);
    assert_int_equal(p->b.sent - sent, 2);
    pair_free(p);
}

static void hint(struct pair *p, uint32_t spi, struct addr from)
{
    uint8_t space[40];
    struct wr out = wr_over(space, sizeof space);
    wr_zeros(&out, 16);
    wr_u32(&out, (uint32_t)PAYLOAD_NOTIFY << 24 | 0x20 << 16 | EXCHANGE_INFORMATIONAL << 8 |
                     FLAG_INITIATOR);
    wr_u32(&out, 0);
    wr_u32(&out, sizeof space);
    wr_u32(&out, 12);
    wr_u16(&out, 0);
    wr_u16(&out, NOTIFY_INVALID_SPI);
    wr_u32(&out, spi);
    const struct path path = {{p->a.addr, 500}, {from, 500}, false};
    datagram(p, &p->a, &path, space, sizeof space);
}

// RFC 7296 1.5 test: a hint is never answered and ends nothing; of a child that we send to it makes
// us ask the peer, and not often.
static void a_hint_makes_us_ask(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    uint32_t spi = child_of(&p->a)->spi_out;
    run_for(p, nsec_seconds(30));
    uint64_t sent = p->a.sent;
    hint(p, spi, addr_v4(203, 0, 113, 9)); // from elsewhere
    hint(p, spi ^ 1, p->b.addr);           // of no child
    run_for(p, nsec_seconds(2));
    assert_int_equal(p->a.sent, sent);
    for (unsigned i = 0; i < 100; i++) {
        hint(p, spi, p->b.addr);
        run_for(p, nsec_ms(50));
    }
    assert_int_equal(p->a.sent, sent + 1);
    assert_up(p, 1);
    pair_free(p);
}

// Both together: the peer restarted and only hears packets; the hint makes us ask, and we learn it.
static void a_restarted_peer_is_found_by_packets(void **state)
{
    (void)state;
    const struct conf_text restarts = {.dpd_action = AFTER_RESTART};
    struct pair *p = pair_new();
    p->settings.qcd_secret = BYTES("a secret of at least thirty-two b.");
    ike_free(p->b.core);
    p->b.core = ike_new(&p->b.rng.rng, &p->settings);
    load_both(p, &restarts, &restarts);
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(30));
    assert_up(p, 1);
    uint32_t spi = child_of(&p->b)->spi_in;
    ike_free(p->b.core);
    p->b.core = ike_new(&p->b.rng.rng, &p->settings);
    p->b.sa_count = p->b.policy_count = 0;
    struct conf_text text = restarts;
    text.local_ts[0] = "10.2.0.0/16";
    text.remote_ts[0] = "10.1.0.0/16";
    load(&p->b, conn_make(&p->b, &p->a, &text));
    unknown(&p->b, spi, (struct endpoint){.addr = p->a.addr});
    run_for(p, nsec_seconds(2));
    assert_non_null(said(&p->a, FAULT_PEER_RESTARTED));
    assert_up(p, 1);
    assert_ends_agree(p);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_child_is_made_anew),
        cmocka_unit_test(packets_in_masses_make_few_messages),
        cmocka_unit_test(packets_that_were_quicker_are_nothing),
        cmocka_unit_test(a_stranger_gets_a_hint),
        cmocka_unit_test(a_hint_makes_us_ask),
        cmocka_unit_test(a_restarted_peer_is_found_by_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
