// SPDX-License-Identifier: Apache-2.0
// The path MTU of an SA: probes on links of any width, lost ones, what routers say and forgers.
#include "base/wr.h"
#include "pair.h"

static const struct conf_text usual;

static const struct sa_spec *out_of(const struct host *host)
{
    const struct sa_spec *last = NULL;
    for (size_t i = 0; i < host->sa_count; i++)
        if (host->sas[i].spec.direction == SA_OUT) last = &host->sas[i].spec;
    assert_non_null(last);
    return last;
}

static unsigned mtu(const struct host *host)
{
    struct ike_child_info info;
    assert_true(child_first(host, &info));
    assert_int_equal(out_of(host)->path_mtu, info.path_mtu); // what the plane has is what is shown
    return info.path_mtu;
}

static uint8_t source(const struct host *host)
{
    struct ike_child_info info;
    assert_true(child_first(host, &info));
    return info.mtu_source;
}

// As the daemon does when an outbound SA is there.
static void device(struct host *host, uint16_t mtu_)
{
    struct ike_in in = {.kind = IKE_IN_PATH_MTU};
    in.path_mtu.spi = out_of(host)->spi;
    in.path_mtu.remote = out_of(host)->path.remote.addr;
    in.path_mtu.mtu = mtu_;
    step_in(host, &in);
}

static struct pair *narrow_pair(const struct conf_text *text, size_t narrow, uint16_t device_)
{
    struct pair *p = pair_up_with(text, text);
    p->narrow = narrow;
    device(&p->a, device_);
    return p;
}

static void a_wide_path_takes_one_message(void **state)
{
    (void)state;
    struct pair *p = narrow_pair(&usual, 1500, 1500);
    uint64_t sent = p->a.sent;
    assert_int_equal(mtu(&p->a), 1500); // taken for granted until it is known
    assert_int_equal(source(&p->a), IKE_MTU_DEVICE);
    run_for(p, nsec_seconds(1));
    assert_int_equal(source(&p->a), IKE_MTU_PROBE);
    assert_int_equal(p->a.sent, sent); // step_in() sent it
    run_for(p, nsec_seconds(500));
    assert_int_equal(p->a.sent, sent); // nothing more while the SA is not used
    pair_free(p);
}

// RFC 8899 5.3 test: on every link the largest usual size that fits is found, and soon.
static void the_width_of_any_link_is_found(void **state)
{
    (void)state;
    static const struct {
        uint16_t device, narrow, found;
    } rows[] = {{1500, 1500, 1500}, {1500, 1499, 1492}, {1500, 1400, 1400}, {1500, 1399, 1380},
                {1500, 1301, 1300}, {1500, 1280, 1280}, {1500, 1279, 1006}, {1500, 600, 576},
                {9000, 1500, 1500}, {9000, 9000, 9000}, {1420, 1420, 1420}, {1420, 1400, 1400}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pair *p = narrow_pair(&usual, rows[i].narrow, rows[i].device);
        run_for(p, nsec_seconds(25));
        assert_int_equal(mtu(&p->a), rows[i].found);
        bool floor = rows[i].found == 576; // which is not tried
        assert_int_equal(source(&p->a), floor ? IKE_MTU_ASSUMED : IKE_MTU_PROBE);
        assert_up(p, 1);
        pair_free(p);
    }
}

// RFC 8899 4.3 test: not for longer than a second is too much let out.
static void while_it_is_looked_for_packets_pass(void **state)
{
    (void)state;
    struct pair *p = narrow_pair(&usual, 1400, 1500);
    run_for(p, nsec_seconds(1) + NSEC_PER_SECOND / 2);
    for (unsigned i = 0; i < 60; i++) {
        assert_in_range(mtu(&p->a), 1280, 1400);
        run_for(p, NSEC_PER_SECOND / 4);
    }
    assert_int_equal(mtu(&p->a), 1400);
    pair_free(p);
}

static bool lose_large(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    (void)p, (void)from, (void)bytes;
    return size > 1000;
}

// RFC 7296 2.1 test: where fragments are dropped, too, the exchange still ends, and the SA lives.
static void a_path_without_fragments_ends_no_sa(void **state)
{
    (void)state;
    struct pair *p = pair_up_with(&usual, &usual);
    p->lose = lose_large;
    device(&p->a, 1500);
    run_for(p, nsec_seconds(400));
    assert_up(p, 1);
    assert_int_equal(mtu(&p->a), 1006);
    pair_free(p);
}

static void a_lost_message_costs_a_second(void **state)
{
    (void)state;
    struct pair *p = pair_up_with(&usual, &usual);
    p->lose_count = 1;
    p->lose_exchange = EXCHANGE_INFORMATIONAL;
    p->narrow = 1500;
    device(&p->a, 1500);
    run_for(p, nsec_seconds(5));
    assert_int_equal(mtu(&p->a), 1500);
    pair_free(p);
}

static void a_path_that_becomes_narrow_is_noticed(void **state)
{
    (void)state;
    struct pair *p = narrow_pair(&usual, 1500, 1500);
    run_for(p, nsec_seconds(10));
    p->narrow = 1380;
    for (unsigned i = 1; i <= 80; i++) {
        usage(&p->a, out_of(&p->a)->spi, SA_OUT, i * 100, i * 100000);
        run_for(p, NSEC_PER_SECOND);
    }
    assert_int_equal(mtu(&p->a), 1380);
    // RFC 1191 6.3 test: and a wider one after ten minutes.
    p->narrow = 1500;
    for (unsigned i = 1; i <= 800; i++) {
        usage(&p->a, out_of(&p->a)->spi, SA_OUT, 8000 + i * 100, 8000000 + i * 100000);
        run_for(p, NSEC_PER_SECOND);
    }
    assert_int_equal(mtu(&p->a), 1500);
    pair_free(p);
}

static void without_probes_the_device_counts(void **state)
{
    (void)state;
    const struct conf_text quiet = {.no_probes = true};
    struct pair *p = narrow_pair(&quiet, 1400, 1500);
    run_for(p, nsec_seconds(60));
    assert_int_equal(mtu(&p->a), 1500);
    assert_int_equal(p->too_large, 0);
    pair_free(p);
}

// --- ICMP

struct said {
    uint16_t mtu;
    uint32_t spi;
    uint8_t remote; // the last byte of the address is changed by so much
};

// A router about an ESP packet of 1500 bytes.
static void router(struct host *host, const struct said *said)
{
    const struct path *path = &out_of(host)->path;
    uint8_t space[128];
    struct wr out = wr_over(space, sizeof space);
    static const uint8_t head[20] = {0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1};
    static const uint8_t quoted[12] = {0x45, 0, 1500 >> 8, 1500 & 255, 0, 0, 0x40, 0, 63, 50};
    struct addr remote = path->remote.addr;
    remote.at[3] = (uint8_t)(remote.at[3] + said->remote);
    wr_bytes(&out, BYTES_ARRAY(head));
    wr_u16(&out, 0x0304);
    wr_u32(&out, 0);
    wr_u16(&out, said->mtu);
    wr_bytes(&out, BYTES_ARRAY(quoted));
    wr_bytes(&out, bytes_of(path->local.addr.at, 4));
    wr_bytes(&out, bytes_of(remote.at, 4));
    wr_u32(&out, said->spi);
    wr_u32(&out, 1);
    struct ike_in in = {.kind = IKE_IN_ICMP};
    in.icmp.family = ADDR_V4;
    in.icmp.bytes = wr_done(&out);
    step_in(host, &in);
}

// RFC 1191 6.3 test
static void a_router_is_believed_for_ten_minutes(void **state)
{
    (void)state;
    const struct conf_text quiet = {.no_probes = true};
    struct pair *p = narrow_pair(&quiet, 1500, 1500);
    router(&p->a, &(struct said){1300, out_of(&p->a)->spi, 0});
    assert_int_equal(mtu(&p->a), 1300);
    assert_int_equal(source(&p->a), IKE_MTU_ICMP);
    router(&p->a, &(struct said){1400, out_of(&p->a)->spi, 0}); // no more than that is taken back
    assert_int_equal(mtu(&p->a), 1300);
    for (unsigned i = 1; i <= 700; i++) {
        usage(&p->a, out_of(&p->a)->spi, SA_OUT, i, i);
        run_for(p, NSEC_PER_SECOND);
        if (i == 500) assert_int_equal(mtu(&p->a), 1300);
    }
    assert_int_equal(mtu(&p->a), 1500);
    pair_free(p);
}

// RFC 8201 4 test, RFC 791 3.1 test
static void forgers_are_not_believed_nor_small_sizes(void **state)
{
    (void)state;
    const struct conf_text quiet = {.no_probes = true};
    struct pair *p = narrow_pair(&quiet, 1500, 1500);
    uint32_t spi = out_of(&p->a)->spi;
    router(&p->a, &(struct said){1300, spi + 1, 0});
    assert_int_equal(mtu(&p->a), 1500);
    router(&p->a, &(struct said){1300, spi, 1});
    assert_int_equal(mtu(&p->a), 1500);
    router(&p->a, &(struct said){68, spi, 0});
    assert_int_equal(mtu(&p->a), 576);
    pair_free(p);
}

static void a_lie_is_found_out(void **state)
{
    (void)state;
    struct pair *p = narrow_pair(&usual, 1500, 1500);
    run_for(p, nsec_seconds(5));
    router(&p->a, &(struct said){600, out_of(&p->a)->spi, 0});
    assert_int_equal(mtu(&p->a), 600);
    for (unsigned i = 1; i <= 700; i++) {
        usage(&p->a, out_of(&p->a)->spi, SA_OUT, i, i);
        run_for(p, NSEC_PER_SECOND);
    }
    assert_int_equal(mtu(&p->a), 1500);
    pair_free(p);
}

// --- what goes on while it is looked for

static void a_new_ike_sa_knows_what_the_former_knew(void **state)
{
    (void)state;
    struct pair *p = narrow_pair(&usual, 1400, 1500);
    run_for(p, nsec_seconds(25));
    command(&p->a, IKE_REKEY, "office", NULL);
    run_for(p, nsec_seconds(30));
    assert_int_equal(mtu(&p->a), 1400);
    assert_up(p, 1);
    pair_free(p);
}

static void an_end_does_not_wait_for_the_search(void **state)
{
    (void)state;
    struct pair *p = narrow_pair(&usual, 1400, 1500);
    command(&p->a, IKE_TERMINATE, "office", NULL);
    run_for(p, nsec_seconds(4));
    assert_int_equal(sas_all(&p->a), 0);
    assert_int_equal(sas_all(&p->b), 0);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wide_path_takes_one_message),
        cmocka_unit_test(the_width_of_any_link_is_found),
        cmocka_unit_test(while_it_is_looked_for_packets_pass),
        cmocka_unit_test(a_path_without_fragments_ends_no_sa),
        cmocka_unit_test(a_lost_message_costs_a_second),
        cmocka_unit_test(a_path_that_becomes_narrow_is_noticed),
        cmocka_unit_test(without_probes_the_device_counts),
        cmocka_unit_test(a_router_is_believed_for_ten_minutes),
        cmocka_unit_test(forgers_are_not_believed_nor_small_sizes),
        cmocka_unit_test(a_lie_is_found_out),
        cmocka_unit_test(a_new_ike_sa_knows_what_the_former_knew),
        cmocka_unit_test(an_end_does_not_wait_for_the_search),
    };
    crypto_start();
    return cmocka_run_group_tests_name("pmtu", tests, NULL, NULL);
}
