// SPDX-License-Identifier: Apache-2.0
// Quick crash detection (RFC 6290): hosts that restart, wrong tokens, and tokens that must not be
// had.
#include "ike/internal.h"
#include "pair.h"

#define SECRET_OF_B "one secret of thirty-two bytes .."
static const struct conf_text restarts = {.dpd_delay = 20 * NSEC_PER_SECOND,
                                          .dpd_action = AFTER_RESTART};
static const struct conf_text closes = {.dpd_delay = 20 * NSEC_PER_SECOND,
                                        .close_action = AFTER_RESTART};
static const struct conf_text nothing = {.dpd_delay = 20 * NSEC_PER_SECOND};

static struct sa *sa_of(struct host *host)
{
    return LIST_FIRST(struct sa, link, &host->core->sas);
}

static void host_begins(struct host *host, const char *secret)
{
    host->pair->settings.qcd_secret = secret ? bytes_of_text(secret) : BYTES_NONE;
    ike_free(host->core);
    host->core = ike_new(&host->rng.rng, &host->pair->settings);
    host->sa_count = host->policy_count = 0;
}

static void load_again(struct pair *p, struct host *host)
{
    struct conf_text text = nothing;
    text.local_ts[0] = "10.2.0.0/16";
    text.remote_ts[0] = "10.1.0.0/16";
    if (host == &p->a) {
        text.local_ts[0] = "10.1.0.0/16";
        text.remote_ts[0] = "10.2.0.0/16";
    }
    load(host, conn_make(host, host == &p->a ? &p->b : &p->a, &text));
}

static struct pair *tokens_up(const struct conf_text *a)
{
    struct pair *p = pair_new();
    host_begins(&p->a, "the other secret of thirty-two ..");
    host_begins(&p->b, SECRET_OF_B);
    load_both(p, a, &nothing);
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(3));
    assert_up(p, 1);
    return p;
}

static void b_restarts(struct pair *p, const char *secret)
{
    host_begins(&p->b, secret);
    load_again(p, &p->b);
}

// RFC 6290 3 test: with the first request that comes the old SA is gone and another one is there.
static void a_restarted_responder_is_found_at_once(void **state)
{
    (void)state;
    const struct conf_text *const ways[] = {&restarts, &closes};
    for (unsigned i = 0; i < 2; i++) {
        struct pair *p = tokens_up(ways[i]);
        b_restarts(p, SECRET_OF_B);
        run_for(p, nsec_seconds(21));
        assert_non_null(said(&p->a, FAULT_PEER_RESTARTED));
        assert_up(p, 1);
        assert_ends_agree(p);
        pair_free(p);
    }
    struct pair *p = tokens_up(&nothing);
    b_restarts(p, SECRET_OF_B);
    run_for(p, nsec_seconds(21));
    assert_int_equal(sas_all(&p->a), 0);
    assert_int_equal(children(&p->a), 0);
    pair_free(p);
}

// RFC 6290 3 test: the initiator makes tokens, too.
static void a_restarted_initiator_is_found_at_once(void **state)
{
    (void)state;
    struct pair *p = tokens_up(&nothing);
    host_begins(&p->a, "the other secret of thirty-two ..");
    load_again(p, &p->a);
    run_for(p, nsec_seconds(21));
    assert_int_equal(sas_all(&p->b), 0);
    assert_non_null(said(&p->b, FAULT_PEER_RESTARTED));
    pair_free(p);
}

// RFC 6290 4.3 test: after a rekeying by either end both have the token of the new SA.
static void tokens_follow_a_rekeying(void **state)
{
    (void)state;
    for (unsigned by_a = 0; by_a < 2; by_a++) {
        struct pair *p = tokens_up(&restarts);
        struct bytes before = mem_copy(sa_of(&p->a)->qcd_token);
        command(by_a ? &p->a : &p->b, IKE_REKEY, "office", NULL);
        run_for(p, nsec_seconds(10));
        assert_up(p, 1);
        assert_int_equal(sa_of(&p->a)->qcd_token.size, 32);
        assert_int_equal(sa_of(&p->b)->qcd_token.size, 32);
        assert_false(bytes_equal(before, sa_of(&p->a)->qcd_token));
        mem_drop(&before);
        b_restarts(p, SECRET_OF_B);
        run_for(p, nsec_seconds(31));
        assert_non_null(said(&p->a, FAULT_PEER_RESTARTED));
        assert_up(p, 1);
        pair_free(p);
    }
}

// Another secret, or none: the token is wrong or missing, and the SA ends in the usual way only.
static void a_wrong_token_says_nothing(void **state)
{
    (void)state;
    const char *const secrets[] = {"a third secret, also of thirty-two", NULL};
    for (unsigned i = 0; i < 2; i++) {
        struct pair *p = tokens_up(&nothing);
        b_restarts(p, secrets[i]);
        run_for(p, nsec_seconds(25));
        assert_int_equal(sas_up(&p->a), 1);
        assert_null(said(&p->a, FAULT_PEER_RESTARTED));
        assert_int_equal(said(&p->a, FAULT_QCD_WRONG) != NULL, i == 0);
        pair_free(p);
    }
}

// --- what others can do

static struct bytes message_of(uint64_t spi_i, uint64_t spi_r, uint8_t flags, uint8_t *space,
                               const struct bytes *tokens, size_t count)
{
    struct wr out = wr_over(space, 1024);
    wr_u64(&out, spi_i);
    wr_u64(&out, spi_r);
    wr_u8(&out, PAYLOAD_NOTIFY);
    wr_u8(&out, 0x20);
    wr_u8(&out, EXCHANGE_INFORMATIONAL);
    wr_u8(&out, flags);
    wr_u32(&out, 7);
    size_t length = wr_mark_u32(&out);
    wr_u8(&out, count ? PAYLOAD_NOTIFY : PAYLOAD_NONE);
    wr_u8(&out, 0);
    wr_u16(&out, 8);
    wr_u16(&out, 0);
    wr_u16(&out, NOTIFY_INVALID_IKE_SPI);
    for (size_t i = 0; i < count; i++) {
        wr_u8(&out, i + 1 < count ? PAYLOAD_NOTIFY : PAYLOAD_NONE);
        wr_u8(&out, 0);
        wr_u16(&out, (uint16_t)(8 + tokens[i].size));
        wr_u8(&out, PROTOCOL_IKE);
        wr_u8(&out, 0);
        wr_u16(&out, NOTIFY_QUICK_CRASH_DETECTION);
        wr_bytes(&out, tokens[i]);
    }
    wr_fill_u32(&out, length, 28);
    return wr_done(&out);
}

// RFC 6290 4.5 test: one of up to four counts, from any address, whatever the message ID;
// truncated, changed, of another SA or as the fifth it does not.
static void only_the_right_token_ends_an_sa(void **state)
{
    (void)state;
    struct pair *p = tokens_up(&nothing);
    struct pair *others = tokens_up(&nothing);
    const struct sa *sa = sa_of(&p->a);
    struct bytes good = mem_copy(sa->qcd_token);
    uint8_t changed[32], space[1024];
    const struct path path = {{p->a.addr, 500}, {addr_v4(203, 0, 113, 9), 4711}, false};
    uint64_t spi_i = sa->spi_i, spi_r = sa->spi_r;
    memcpy(changed, good.at, 32);
    changed[31] ^= 1;
    const struct bytes wrong = BYTES_ARRAY(changed), part = bytes_of(good.at, 16);
    const struct bytes of_other = sa_of(&p->b)->qcd_token;
    const struct bytes rows[][5] = {
        {wrong}, {part}, {of_other}, {BYTES_NONE}, {wrong, wrong, wrong, wrong, good},
    };
    const size_t counts[] = {1, 1, 1, 1, 5};
    for (unsigned i = 0; i < 5; i++) {
        struct bytes bytes = message_of(spi_i, spi_r, FLAG_RESPONSE, space, rows[i], counts[i]);
        datagram(p, &p->a, &path, bytes.at, bytes.size);
        assert_int_equal(sas_up(&p->a), 1);
    }
    const struct bytes fourth[] = {wrong, part, wrong, good};
    struct bytes bytes = message_of(spi_i, spi_r ^ 1, FLAG_RESPONSE, space, fourth, 4);
    datagram(p, &p->a, &path, bytes.at, bytes.size); // another SA's SPI
    assert_int_equal(sas_up(&p->a), 1);
    bytes = message_of(spi_i, spi_r, FLAG_RESPONSE, space, fourth, 4);
    datagram(p, &p->a, &path, bytes.at, bytes.size);
    assert_int_equal(sas_all(&p->a), 0);
    mem_drop(&good);
    pair_free(p);
    pair_free(others);
}

static unsigned tokens_seen;

static bool look(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    (void)p, (void)from;
    static const uint8_t type[] = {0x40, 0x23};
    for (size_t i = 28; bytes[16] == PAYLOAD_NOTIFY && i + 2 <= size; i++)
        tokens_seen += memcmp(bytes + i, type, 2) == 0;
    return true;
}

// RFC 6290 9.2 test: whoever knows the SPIs of an SA that is there does not get its token,
// whichever way the SPIs and flags are turned; nor does a message that no peer would send.
static void the_token_of_a_living_sa_is_not_had(void **state)
{
    (void)state;
    struct pair *p = tokens_up(&nothing);
    uint64_t spi_i = sa_of(&p->b)->spi_i, spi_r = sa_of(&p->b)->spi_r;
    const struct path path = {{p->b.addr, 500}, {addr_v4(203, 0, 113, 9), 4711}, false};
    const struct {
        uint64_t spi_i, spi_r;
        uint8_t flags, first;
        bool answered;
    } rows[] = {
        {spi_i, spi_r, 0, PAYLOAD_SK, false},
        {spi_i, spi_r, FLAG_INITIATOR, PAYLOAD_SK, false},
        {spi_r, spi_i, 0, PAYLOAD_SK, false},
        {spi_r, spi_i, FLAG_INITIATOR, PAYLOAD_SK, false},
        {spi_i ^ 1, spi_r, FLAG_INITIATOR, PAYLOAD_SK, false},
        {1, 2, FLAG_RESPONSE | FLAG_INITIATOR, PAYLOAD_SK, false},
        {0, 2, FLAG_INITIATOR, PAYLOAD_SK, false},
        {1, 2, FLAG_INITIATOR, PAYLOAD_NOTIFY, false},
        {1, 2, FLAG_INITIATOR, PAYLOAD_SK, true},
    };
    p->lose = look;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t space[80] = {0};
        struct wr out = wr_over(space, sizeof space);
        tokens_seen = 0;
        wr_u64(&out, rows[i].spi_i);
        wr_u64(&out, rows[i].spi_r);
        wr_u8(&out, rows[i].first);
        wr_u8(&out, 0x20);
        wr_u8(&out, EXCHANGE_INFORMATIONAL);
        wr_u8(&out, rows[i].flags);
        wr_u32(&out, 2);
        wr_u32(&out, sizeof space);
        wr_u32(&out, sizeof space - 28);
        datagram(p, &p->b, &path, space, sizeof space);
        assert_int_equal(tokens_seen, rows[i].answered);
    }
    // and not often
    for (unsigned i = 0; i < 500; i++) {
        uint8_t space[80] = {0};
        struct wr out = wr_over(space, sizeof space);
        wr_u64(&out, 1000 + i);
        wr_u64(&out, 2);
        wr_u32(&out, PAYLOAD_SK << 24 | 0x20 << 16 | EXCHANGE_INFORMATIONAL << 8 | FLAG_INITIATOR);
        wr_u32(&out, 2);
        wr_u32(&out, sizeof space);
        wr_u32(&out, sizeof space - 28);
        datagram(p, &p->b, &path, space, sizeof space);
    }
    assert_in_range(tokens_seen, 2, 100);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restarted_responder_is_found_at_once),
        cmocka_unit_test(a_restarted_initiator_is_found_at_once),
        cmocka_unit_test(tokens_follow_a_rekeying),
        cmocka_unit_test(a_wrong_token_says_nothing),
        cmocka_unit_test(only_the_right_token_ends_an_sa),
        cmocka_unit_test(the_token_of_a_living_sa_is_not_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
