// SPDX-License-Identifier: Apache-2.0
// IP-TFS with congestion control (RFC 9347 2.4.2, 3) between two planes over a line that delays,
// loses, has no room for more, or is cut.
#include "rig.h"

enum { SIZE = 600, FLIGHT = 4096, DELAY_MS = 20, CEILING = 2000 };

struct line { // one direction
    struct {
        nsec at;
        uint32_t size;
        uint8_t bytes[SIZE];
    } flight[FLIGHT];
    unsigned first, last;
    unsigned loss; // of a thousand
    bool cut;
    nsec each, free_at; // a packet takes so long; 0: no time
    unsigned room;      // and so many may wait
    uint64_t sent, arrived;
    uint32_t spi; // of what was sent last
};

struct ends {
    struct rig rig;
    struct line line[2]; // from a, from b
    struct box box;
    nsec now;
    uint64_t delivered[2];
};

static void sas_add(struct ends *ends, uint32_t spi, const struct sa_iptfs *a,
                    const struct sa_iptfs *b)
{
    struct sa_spec out = ends->rig.spec, back = spec_turned(&ends->rig.spec);
    out.mode = back.mode = MODE_IPTFS;
    out.spi = back.partner_spi = spi;
    back.spi = out.partner_spi = spi + 1;
    back.direction = SA_OUT;
    out.iptfs = *a, back.iptfs = *b;
    struct sa_spec out_in = spec_turned(&out), back_in = spec_turned(&back);
    CHECK_FAULT(plane_sa_add(ends->rig.b, &out_in), OK);
    CHECK_FAULT(plane_sa_add(ends->rig.a, &back_in), OK);
    CHECK_FAULT(plane_sa_add(ends->rig.a, &out), OK);
    CHECK_FAULT(plane_sa_add(ends->rig.b, &back), OK);
}

static const struct sa_iptfs adapting = {.packet_size = SIZE,
                                         .rate = CEILING,
                                         .reports = true,
                                         .congestion = true,
                                         .reorder_window = 3,
                                         .drop_time = 100};
static const struct sa_iptfs reporting = {
    .packet_size = SIZE, .reports = true, .reorder_window = 3, .drop_time = 100};

static struct ends *ends_new(const struct sa_iptfs *a, const struct sa_iptfs *b)
{
    struct ends *ends = NEW(struct ends);
    rig_open(&ends->rig, &ciphers[0]);
    struct policy_spec policy = policy_of(POLICY, POLICY_PROTECT, "10.2.0.0/16 2001:db8:2::/48",
                                          "10.1.0.0/16 2001:db8:1::/48");
    CHECK_FAULT(plane_policy_add(ends->rig.b, &policy), OK);
    ends->now = nsec_seconds(1);
    sas_add(ends, SPI_AB, a, b);
    return ends;
}

static void ends_free(struct ends *ends)
{
    rig_close(&ends->rig);
    free(ends);
}

static void line_put(struct ends *ends, struct line *line, const struct packet *packet)
{
    line->sent++;
    line->spi = get_u32(packet->at);
    bool unlucky = rng_u64(&ends->rig.rng.rng) % 1000 < line->loss;
    nsec leaves = ends->now > line->free_at ? ends->now : line->free_at;
    if (line->cut || unlucky || leaves - ends->now > line->room * line->each) return;
    line->free_at = leaves + line->each;
    unsigned at = line->last++ % FLIGHT;
    assert_true(line->last - line->first <= FLIGHT && packet->size <= SIZE);
    line->flight[at].at = line->free_at + nsec_ms(DELAY_MS);
    line->flight[at].size = packet->size;
    memcpy(line->flight[at].bytes, packet->at, packet->size);
}

// What an end has to send or has opened.
static void end_drain(struct ends *ends, unsigned which)
{
    struct plane *plane = which ? ends->rig.b : ends->rig.a;
    struct packet *more[BURST_MAX];
    size_t count;
    while ((count = plane_more(plane, ends->now, more)))
        for (size_t i = 0; i < count; i++)
            if (more[i]->verdict == VERDICT_SEND)
                line_put(ends, &ends->line[which], more[i]);
            else if (more[i]->verdict == VERDICT_DELIVER)
                ends->delivered[which]++;
}

static void line_take(struct ends *ends, unsigned from)
{
    struct line *line = &ends->line[from];
    unsigned at = line->first++ % FLIGHT;
    struct packet *packet =
        box_put(&ends->box, bytes_of(line->flight[at].bytes, line->flight[at].size));
    line->arrived++;
    plane_open(from ? ends->rig.a : ends->rig.b, ends->now, &packet, 1);
    end_drain(ends, !from);
}

static nsec soonest(const struct ends *ends)
{
    nsec at = plane_deadline(ends->rig.a), b = plane_deadline(ends->rig.b);
    if (b < at) at = b;
    for (unsigned i = 0; i < 2; i++) {
        const struct line *line = &ends->line[i];
        if (line->first == line->last) continue;
        nsec here = line->flight[line->first % FLIGHT].at;
        if (here < at) at = here;
    }
    return at;
}

static void run_for(struct ends *ends, nsec time)
{
    nsec end = ends->now + time;
    end_drain(ends, 0);
    end_drain(ends, 1);
    for (nsec next; (next = soonest(ends)) < end;) {
        if (next > ends->now) ends->now = next;
        end_drain(ends, 0);
        end_drain(ends, 1);
        for (unsigned i = 0; i < 2; i++) {
            struct line *line = &ends->line[i];
            while (line->first != line->last && line->flight[line->first % FLIGHT].at <= ends->now)
                line_take(ends, i);
        }
    }
    ends->now = end;
}

// Packets a second that a sends.
static double rate_over(struct ends *ends, nsec time)
{
    uint64_t before = ends->line[0].sent;
    run_for(ends, time);
    return (double)(ends->line[0].sent - before) * 1e9 / (double)time;
}

// RFC 9347 2.4.2 test, RFC 5348 3.1 test
static void losses_slow_it_down_and_it_recovers(void **state)
{
    (void)state;
    struct ends *ends = ends_new(&adapting, &adapting);
    run_for(ends, nsec_seconds(10));
    double before = rate_over(ends, nsec_seconds(2));
    ends->line[0].loss = 50;
    run_for(ends, nsec_seconds(20));
    double during = rate_over(ends, nsec_seconds(30));
    double back = (double)ends->line[1].sent;
    ends->line[0].loss = 0;
    run_for(ends, nsec_seconds(60));
    double after = rate_over(ends, nsec_seconds(2));
    double fair = tfrc_fair(0.05, nsec_ms(2 * DELAY_MS));
    print_message(
        "    packets a second: %.0f, with one of twenty lost %.0f (fair %.0f), then %.0f\n", before,
        during, fair, after);
    assert_true(before > CEILING * 0.98 && before < CEILING * 1.02);
    assert_true(during > fair * 0.5 && during < fair * 1.6);
    assert_true(after > CEILING * 0.95);
    assert_true(back > CEILING * 60 * 0.9); // the other direction loses nothing
    ends_free(ends);
}

static void a_narrow_line_is_filled_and_not_flooded(void **state)
{
    (void)state;
    struct ends *ends = ends_new(&adapting, &adapting);
    ends->line[0].each = NSEC_PER_SECOND / 300;
    ends->line[0].room = 30;
    run_for(ends, nsec_seconds(30));
    uint64_t sent = ends->line[0].sent, arrived = ends->line[0].arrived;
    run_for(ends, nsec_seconds(30));
    double offered = (double)(ends->line[0].sent - sent) / 30;
    double carried = (double)(ends->line[0].arrived - arrived) / 30;
    print_message("    a line for 300 packets a second: %.0f offered, %.0f carried\n", offered,
                  carried);
    assert_true(carried > 200 && offered < 330);
    ends_free(ends);
}

// RFC 5348 4.4 test
static void silence_slows_it_down_and_it_recovers(void **state)
{
    (void)state;
    struct ends *ends = ends_new(&adapting, &adapting);
    run_for(ends, nsec_seconds(10));
    ends->line[1].cut = true;
    run_for(ends, nsec_seconds(10));
    double silent = rate_over(ends, nsec_seconds(5));
    ends->line[1].cut = false;
    run_for(ends, nsec_seconds(30));
    double after = rate_over(ends, nsec_seconds(2));
    print_message("    packets a second: %.1f without reports, then %.0f\n", silent, after);
    assert_true(silent < 3);
    assert_true(after > CEILING * 0.95);
    ends_free(ends);
}

// RFC 9347 2.4.2 test: who only reports does so for each round-trip time, and no more.
static void who_only_reports_sends_little(void **state)
{
    (void)state;
    struct ends *ends = ends_new(&adapting, &reporting);
    run_for(ends, nsec_seconds(10));
    uint64_t reports = ends->line[1].sent;
    double rate = rate_over(ends, nsec_seconds(10));
    double reported = (double)(ends->line[1].sent - reports) / 10;
    print_message("    %.0f packets a second with %.0f reports a second\n", rate, reported);
    assert_true(rate > CEILING * 0.98);
    assert_true(reported >= 1000.0 / (2 * DELAY_MS) && reported < 3 * 1000.0 / (2 * DELAY_MS));
    // What it has to send goes at once, too.
    const struct inner inner = {"10.2.0.1", "10.1.0.1", IPPROTO_NUMBER_UDP, .size = 1000};
    uint8_t bytes[1000];
    struct packet *packet = box_put(&ends->box, inner_make(&inner, bytes));
    plane_seal(ends->rig.b, ends->now, &packet, 1);
    assert_int_equal(packet->verdict, VERDICT_GATHERED);
    run_for(ends, nsec_ms(DELAY_MS + 1));
    assert_int_equal(ends->delivered[0], 1);
    ends_free(ends);
}

static void a_successor_goes_on_at_the_same_rate(void **state)
{
    (void)state;
    struct ends *ends = ends_new(&adapting, &adapting);
    run_for(ends, nsec_seconds(10));
    sas_add(ends, SPI_BA, &adapting, &adapting);
    double rate = rate_over(ends, nsec_ms(200));
    print_message("    %.0f packets a second with new keys\n", rate);
    assert_int_equal(ends->line[0].spi, SPI_BA);
    assert_true(rate > CEILING * 0.95);
    rate = rate_over(ends, nsec_seconds(5));
    assert_true(rate > CEILING * 0.95);
    CHECK_FAULT(plane_sa_del(ends->rig.a, SPI_AB + 1, SA_IN), OK);
    CHECK_FAULT(plane_sa_del(ends->rig.a, SPI_AB, SA_OUT), OK);
    CHECK_FAULT(plane_sa_del(ends->rig.b, SPI_AB + 1, SA_OUT), OK);
    CHECK_FAULT(plane_sa_del(ends->rig.b, SPI_AB, SA_IN), OK);
    run_for(ends, nsec_seconds(1));
    ends_free(ends);
}

// RFC 9347 6.1.2 test
static void a_report_is_read_as_it_was_written(void **state)
{
    (void)state;
    uint8_t at[IPTFS_HEADER_CC] = {1, 0, 0x12, 0x34};
    struct iptfs_report report = {true, 0x01020304, 0x2aaaaa, 0x155555, 0x0fffff, 7, 0xfffffffe},
                        back;
    static const uint8_t wire[] = {1,    1,    0x12, 0x34, 1, 2, 3, 4, 0xaa, 0xaa, 0xaa, 0xaa,
                                   0xaa, 0xaf, 0xff, 0xff, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xfe};
    iptfs_report_write(at, &report);
    assert_memory_equal(at, wire, sizeof wire);
    assert_true(iptfs_report_read(BYTES_ARRAY(at), &back));
    assert_true(back.marked && back.distance == report.distance && back.rtt == report.rtt);
    assert_true(back.echo_delay == report.echo_delay &&
                back.transmit_delay == report.transmit_delay);
    assert_true(back.value == 7 && back.echo == report.echo);
    // What does not fit is as large as fits.
    report = (struct iptfs_report){
        .rtt = UINT32_MAX, .echo_delay = UINT32_MAX, .transmit_delay = UINT32_MAX};
    iptfs_report_write(at, &report);
    assert_true(iptfs_report_read(BYTES_ARRAY(at), &back));
    assert_true(back.rtt == 0x3fffff && back.echo_delay == 0x1fffff &&
                back.transmit_delay == 0x1fffff);
    assert_false(iptfs_report_read(bytes_of(at, sizeof at - 1), &back));
    at[0] = 0;
    assert_false(iptfs_report_read(BYTES_ARRAY(at), &back));
}

static void a_rate_that_adapts_needs_reports(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, &ciphers[0]);
    rig.spec.mode = MODE_IPTFS;
    rig.spec.iptfs = adapting;
    rig.spec.iptfs.reports = false;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), FAULT_SA_PARAMETERS);
    rig.spec.iptfs = adapting;
    rig.spec.iptfs.rate = 0;
    CHECK_FAULT(plane_sa_add(rig.a, &rig.spec), FAULT_SA_PARAMETERS);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_slow_it_down_and_it_recovers),
        cmocka_unit_test(a_narrow_line_is_filled_and_not_flooded),
        cmocka_unit_test(silence_slows_it_down_and_it_recovers),
        cmocka_unit_test(who_only_reports_sends_little),
        cmocka_unit_test(a_successor_goes_on_at_the_same_rate),
        cmocka_unit_test(a_report_is_read_as_it_was_written),
        cmocka_unit_test(a_rate_that_adapts_needs_reports),
    };
    crypto_start();
    return cmocka_run_group_tests_name("congestion", tests, NULL, NULL);
}
