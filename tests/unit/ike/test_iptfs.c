// SPDX-License-Identifier: Apache-2.0
// IP-TFS is negotiated (RFC 9347 5.1): taken by both or by none, with what each end demands of the
// other.
#include "ike/internal.h"
#include "pair.h"

static const struct conf_text iptfs = {.iptfs = true}, whole = {.iptfs = true, .takes_whole = true},
                              reporting = {.iptfs = true, .reports = true}, tunnel = {0}, strict = {.iptfs = true, .strict_mode = true};

static void assert_mode(struct host *host, uint8_t mode, const char *why)
{
    struct ike_child_info info;
    assert_true(child_first(host, &info));
    assert_int_equal(info.mode, mode);
    if (why)
        assert_string_equal(info.mode_why, why);
    else
        assert_null(info.mode_why);
}

static void assert_halves(const struct host *host, uint8_t mode, bool cuts)
{
    assert_true(host->sa_count > 0);
    for (size_t i = 0; i < host->sa_count; i++) {
        const struct sa_spec *spec = &host->sas[i].spec;
        assert_int_equal(spec->mode, mode);
        if (spec->direction == SA_OUT && mode == MODE_IPTFS) {
            assert_int_equal(spec->iptfs.packet_size, 1000);
            assert_int_equal(spec->iptfs.whole, !cuts);
        } else if (mode == MODE_IPTFS) {
            assert_int_equal(spec->iptfs.reorder_window, 3);
        }
    }
}

// RFC 9347 5.1 test
static void both_want_it_and_get_it(void **state)
{
    (void)state;
    struct pair *p = pair_up_with(&iptfs, &iptfs);
    for (unsigned round = 0; round < 3; round++) {
        assert_up(p, 1);
        assert_mode(&p->a, MODE_IPTFS, NULL);
        assert_mode(&p->b, MODE_IPTFS, NULL);
        assert_halves(&p->a, MODE_IPTFS, true);
        assert_halves(&p->b, MODE_IPTFS, true);
        command(round ? &p->a : &p->b, IKE_REKEY, NULL, "lan");
        run_for(p, nsec_seconds(10));
    }
    pair_free(p);
}

// RFC 9347 6.1.4 test: who asks for reports with C gets them; for that it must report, too. Only its
// own rate follows them.
static void who_asks_for_reports_gets_them(void **state)
{
    (void)state;
    for (unsigned asks = 0; asks < 2; asks++) {
        struct pair *p = pair_up_with(asks ? &iptfs : &reporting, asks ? &reporting : &iptfs);
        struct host *hosts[] = {&p->a, &p->b};
        command(&p->a, IKE_REKEY, NULL, "lan");
        run_for(p, nsec_seconds(10));
        for (unsigned i = 0; i < 2; i++)
            for (size_t j = 0; j < hosts[i]->sa_count; j++) {
                const struct sa_spec *spec = &hosts[i]->sas[j].spec;
                assert_true(spec->iptfs.reports);
                assert_int_equal(spec->iptfs.congestion, spec->direction == SA_OUT && i == asks);
            }
        pair_free(p);
    }
}

// RFC 9347 6.1.4 test: D is about what its sender receives.
static void who_takes_no_fragments_gets_none(void **state)
{
    (void)state;
    struct pair *p = pair_up_with(&whole, &iptfs);
    assert_halves(&p->a, MODE_IPTFS, true);
    assert_halves(&p->b, MODE_IPTFS, false);
    command(&p->b, IKE_REKEY, NULL, "lan");
    run_for(p, nsec_seconds(10));
    assert_halves(&p->a, MODE_IPTFS, true);
    assert_halves(&p->b, MODE_IPTFS, false);
    pair_free(p);
}

static void what_only_one_wants_is_a_tunnel(void **state)
{
    (void)state;
    struct pair *p = pair_up_with(&iptfs, &tunnel);
    assert_mode(&p->a, MODE_TUNNEL, "the peer did not take it");
    assert_mode(&p->b, MODE_TUNNEL, NULL);
    assert_non_null(said(&p->a, FAULT_MODE_FALLBACK));
    pair_free(p);
    p = pair_up_with(&tunnel, &iptfs);
    assert_mode(&p->a, MODE_TUNNEL, NULL);
    assert_mode(&p->b, MODE_TUNNEL, "the peer did not ask for it");
    assert_halves(&p->b, MODE_TUNNEL, true);
    pair_free(p);
}

static void strict_refuses_the_tunnel(void **state)
{
    (void)state;
    const struct conf_text *sides[][2] = {{&strict, &tunnel}, {&tunnel, &strict}};
    for (size_t i = 0; i < 2; i++) {
        struct pair *p = pair_new();
        load_both(p, sides[i][0], sides[i][1]);
        command(&p->a, IKE_INITIATE, NULL, "lan");
        run_for(p, nsec_seconds(5));
        assert_int_equal(children(&p->a), 0);
        assert_int_equal(children(&p->b), 0);
        assert_non_null(said(i ? &p->b : &p->a, FAULT_MODE_REFUSED));
        pair_free(p);
    }
}

// --- a peer of another make

static struct sa *sa_of_host(struct host *host)
{
    return LIST_FIRST(struct sa, link, &host->core->sas);
}

static void ts_put(struct draft *draft, uint8_t payload, const char *text)
{
    struct selectors set = {.count = 1};
    assert_int_equal(selector_parse(text, &set.at[0]), OK);
    ts_write(draft_open(draft, payload), &set);
    draft_close(draft);
}

static void child_write(struct draft *draft, struct bytes flags, bool transport)
{
    static const uint8_t nonce[32] = {1, 2, 3};
    static struct proposals proposals;
    struct bytes bad;
    memset(&proposals, 0, sizeof proposals);
    proposals.count = 1;
    assert_int_equal(proposal_parse("aes128gcm16", PROTOCOL_ESP, &proposals.at[0], &bad), OK);
    proposals.at[0].spi_size = 4;
    memcpy(proposals.at[0].spi, "\x12\x34\x56\x78", 4);
    sa_write(draft_open(draft, PAYLOAD_SA), &proposals);
    draft_close(draft);
    draft_bytes(draft, PAYLOAD_NONCE, BYTES_ARRAY(nonce));
    ts_put(draft, PAYLOAD_TSI, "10.1.0.0/16");
    ts_put(draft, PAYLOAD_TSR, "10.2.0.0/16");
    draft_notify(draft, NOTIFY_USE_AGGFRAG, flags);
    if (transport) draft_notify(draft, NOTIFY_USE_TRANSPORT_MODE, BYTES_NONE);
}

static const struct {
    const char *flags;
    size_t size;
    bool transport;
    uint8_t mode;
    const char *why;
} demands[] = {
    {"\0", 1, false, MODE_IPTFS, NULL},
    {"\1", 1, false, MODE_IPTFS, NULL},
    {"\2", 1, false, MODE_IPTFS, NULL},
    {"\3", 1, false, MODE_IPTFS, NULL},
    {"\4", 1, false, MODE_TUNNEL, "the peer demands something unknown of it"},
    {"", 0, false, MODE_TUNNEL, "the peer did not ask for it"},
    {"\0\0", 2, false, MODE_TUNNEL, "the peer did not ask for it"},
    {"\0", 1, true, MODE_TUNNEL, "the peer did not ask for it"},
};

// RFC 9347 5.1 test
static void demands_that_cannot_be_met_mean_a_tunnel(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof demands / sizeof *demands; i++) {
        struct pair *p = pair_up_with(&iptfs, &iptfs);
        struct sa *sa = sa_of_host(&p->a);
        struct draft draft;
        draft_begin(p->a.core, &draft);
        child_write(&draft, bytes_of(demands[i].flags, demands[i].size), demands[i].transport);
        struct packets packets =
            draft_seal(sa, &draft, EXCHANGE_CREATE_CHILD_SA, MESSAGE_REQUEST, sa->send_id++);
        struct path path = {{p->b.addr, 500}, {p->a.addr, 500}, false};
        datagram(p, &p->b, &path, packets.at, packets.size);
        free(packets.at);
        const struct child *child = NULL;
        LIST_EACH (const struct child, link, each, &sa_of_host(&p->b)->children) child = each;
        assert_int_equal(child->spi_out, 0x12345678);
        assert_int_equal(child->mode, demands[i].mode);
        assert_int_equal(child->peer_takes_whole, demands[i].flags[0] & 1);
        assert_int_equal(child->peer_wants_reports, demands[i].flags[0] >> 1 & 1);
        if (demands[i].why) assert_string_equal(child->mode_why, demands[i].why);
        pair_free(p);
    }
}

static bool lose_everything_of_a(struct pair *p, const struct host *from, const uint8_t *bytes,
                                 size_t size)
{
    (void)bytes, (void)size;
    return from == &p->a;
}

// RFC 9347 5.1 test: the answer has put it to use already, so there can be no such child.
static void demands_in_an_answer_end_the_child(void **state)
{
    (void)state;
    struct pair *p = pair_up_with(&iptfs, &iptfs);
    p->lose = lose_everything_of_a;
    command(&p->a, IKE_REKEY, NULL, "lan");
    struct draft draft;
    draft_begin(p->b.core, &draft);
    child_write(&draft, bytes_of("\4", 1), false);
    struct packets packets = draft_seal(sa_of_host(&p->b), &draft, EXCHANGE_CREATE_CHILD_SA,
                                        MESSAGE_RESPONSE, sa_of_host(&p->a)->send_id - 1);
    struct path path = {{p->a.addr, 500}, {p->b.addr, 500}, false};
    datagram(p, &p->a, &path, packets.at, packets.size);
    free(packets.at);
    assert_non_null(said(&p->a, FAULT_IPTFS_DEMANDS));
    assert_int_equal(children(&p->a), 1); // the old one goes on
    assert_mode(&p->a, MODE_IPTFS, NULL);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_want_it_and_get_it),
        cmocka_unit_test(who_asks_for_reports_gets_them),
        cmocka_unit_test(who_takes_no_fragments_gets_none),
        cmocka_unit_test(what_only_one_wants_is_a_tunnel),
        cmocka_unit_test(strict_refuses_the_tunnel),
        cmocka_unit_test(demands_that_cannot_be_met_mean_a_tunnel),
        cmocka_unit_test(demands_in_an_answer_end_the_child),
    };
    crypto_start();
    return cmocka_run_group_tests_name("iptfs", tests, NULL, NULL);
}
