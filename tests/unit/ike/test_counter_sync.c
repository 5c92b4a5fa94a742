// SPDX-License-Identifier: Apache-2.0
// A cluster's member takes over with older counters (RFC 6311). Host b plays the cluster: its core is
// set back to counters of before, and its requests are made by hand.
#include "ike/internal.h"
#include "pair.h"

enum { NONCE = 4 };

static struct {
    bool came;
    struct bytes nonce;
    uint32_t send, expect; // in the answer: EXPECTED_SEND_REQ_MESSAGE_ID, EXPECTED_RECV_REQ_MESSAGE_ID
    uint8_t bytes[1024];
    size_t size;
    unsigned count;
} answer;

static bool listen(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    struct ike_header header;
    if (from != &p->a || ike_header_read(bytes_of(bytes, size), &header)) return false;
    if (header.exchange != EXCHANGE_INFORMATIONAL || header.message_id ||
        header.next != PAYLOAD_SK || !(header.flags & FLAG_RESPONSE))
        return false;
    assert_true(size <= sizeof answer.bytes);
    memcpy(answer.bytes, bytes, size);
    answer.size = size;
    answer.count++;
    return true; // b's core does not expect it
}

static struct sa *first_sa(struct host *host)
{
    return sa_by_id(host->core, ike_sa_after(host->core, 0));
}

static const struct conf_text with_cluster = {.cluster_peer = true};

static struct pair *cluster_up_by(bool cluster_begins)
{
    struct pair *p = pair_new();
    load_both(p, &with_cluster, &with_cluster);
    command(cluster_begins ? &p->b : &p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(2));
    assert_up(p, 1);
    memset(&answer, 0, sizeof answer);
    p->lose = listen;
    return p;
}

static struct pair *cluster_up(void)
{
    return cluster_up_by(false);
}

// Some requests of each end, which a member that takes over has not heard of.
static void requests_pass(struct pair *p)
{
    for (unsigned i = 0; i < 3; i++) {
        command(&p->a, IKE_REKEY, "office", "lan");
        run_for(p, nsec_seconds(10));
        command(&p->b, IKE_REKEY, "office", "lan");
        run_for(p, nsec_seconds(10));
    }
    assert_up(p, 1);
}

static void set_back(struct host *host, uint32_t send, uint32_t expect)
{
    struct sa *sa = first_sa(host);
    sa->send_id -= send;
    sa->expect_id -= expect;
    packets_free(host->core, &sa->response);
}

struct sent {
    struct bytes nonce, delta;
    uint32_t m, p;
    bool more; // payloads that must not be there
    size_t cut;
};

static struct packets request_make(struct pair *p, const struct sent *sent)
{
    struct sa *sa = first_sa(&p->b);
    uint8_t space[16];
    struct wr out = wr_over(space, sizeof space);
    struct draft draft;
    wr_bytes(&out, sent->nonce.size ? sent->nonce : BYTES("abcd"));
    wr_u32(&out, sent->m);
    wr_u32(&out, sent->p);
    draft_begin(p->b.core, &draft);
    draft_notify(&draft, NOTIFY_IKEV2_MESSAGE_ID_SYNC, bytes_of(space, out.size - sent->cut));
    if (sent->delta.size) draft_notify(&draft, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC, sent->delta);
    if (sent->more) draft_notify(&draft, NOTIFY_INITIAL_CONTACT, BYTES_NONE);
    return draft_seal(sa, &draft, EXCHANGE_INFORMATIONAL, MESSAGE_REQUEST, 0);
}

static void request_give(struct pair *p, const struct packets *packets)
{
    const struct sa *sa = first_sa(&p->a);
    struct path path = sa->path; // as a sees it
    datagram(p, &p->a, &path, packets->at, packets->size);
}

static void answer_read(struct pair *p)
{
    struct arena arena = {0};
    struct message message = {.raw = bytes_of(answer.bytes, answer.size)};
    struct notify notify;
    assert_int_equal(ike_header_read(message.raw, &message.header), OK);
    assert_int_equal(message_open(first_sa(&p->b), &message, &arena), OK);
    assert_int_equal(message.payloads->count, 1);
    assert_true(message_notify(&message, NOTIFY_IKEV2_MESSAGE_ID_SYNC, &notify));
    struct rd in = rd_over(notify.data);
    assert_memory_equal(rd_bytes(&in, NONCE).at, "abcd", NONCE);
    answer.send = rd_u32(&in);
    answer.expect = rd_u32(&in);
    assert_int_equal(rd_end(&in), OK);
    arena_free(&arena);
}

// True: there was an answer, and b goes on with what it says.
static bool takes_over(struct pair *p, const struct sent *sent)
{
    unsigned before = answer.count;
    struct packets packets = request_make(p, sent);
    request_give(p, &packets);
    run_for(p, nsec_ms(100));
    packets_free(p->b.core, &packets);
    if (answer.count == before) return false;
    answer_read(p);
    struct sa *sa = first_sa(&p->b);
    sa->send_id = answer.expect;
    sa->expect_id = answer.send;
    return true;
}

static void go_on_with(struct pair *p, size_t count)
{
    command(&p->a, IKE_REKEY, "office", "lan");
    run_for(p, nsec_seconds(20));
    command(&p->b, IKE_REKEY, "office", "lan");
    run_for(p, nsec_seconds(20));
    command(&p->b, IKE_REKEY, "office", NULL);
    run_for(p, nsec_seconds(20));
    command(&p->a, IKE_REKEY, "office", NULL);
    run_for(p, nsec_seconds(20));
    assert_up(p, count);
    assert_ends_agree(p);
}

static void goes_on(struct pair *p)
{
    go_on_with(p, 1);
}

// RFC 6311 5.1 test: M2 is the received M1, P2 what both know of ours; everything goes on with them.
static void older_counters_are_set_right(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 6; n++) {
        unsigned i = n % 3;
        struct pair *p = cluster_up_by(n / 3);
        requests_pass(p);
        const struct sa *sa = first_sa(&p->a);
        uint32_t ours = sa->send_id, theirs = sa->expect_id;
        if (i) set_back(&p->b, 2, 2);
        assert_true(takes_over(p, &(struct sent){.m = theirs + 4, .p = i == 2 ? ours + 7 : ours - 2}));
        assert_int_equal(answer.expect, theirs + 4);
        assert_int_equal(answer.send, i == 2 ? ours + 7 : ours);
        goes_on(p);
        pair_free(p);
    }
}

// RFC 6311 5.1 test: what was seen before, or is behind what was seen, is dropped without a word.
static void what_is_repeated_is_passed_over(void **state)
{
    (void)state;
    struct pair *p = cluster_up();
    requests_pass(p);
    uint32_t theirs = first_sa(&p->a)->expect_id;
    assert_false(takes_over(p, &(struct sent){.m = theirs - 1, .p = 1}));
    assert_non_null(said(&p->a, FAULT_COUNTERS_REPLAYED));
    assert_true(takes_over(p, &(struct sent){.m = theirs + 3, .p = 1}));
    assert_false(takes_over(p, &(struct sent){.m = theirs + 3, .p = 2})); // as high as the one before
    assert_false(takes_over(p, &(struct sent){.m = theirs + 2, .p = 9}));
    assert_true(takes_over(p, &(struct sent){.m = theirs + 4, .p = 1})); // a second failover
    goes_on(p);
    pair_free(p);
}

// The answer was lost: the same request has the same answer, until it is forgotten for a newer one.
static void the_same_request_has_the_same_answer(void **state)
{
    (void)state;
    struct pair *p = cluster_up();
    requests_pass(p);
    uint32_t theirs = first_sa(&p->a)->expect_id;
    struct packets packets = request_make(p, &(struct sent){.m = theirs + 3, .p = 1});
    request_give(p, &packets);
    uint8_t first[1024];
    size_t size = answer.size;
    memcpy(first, answer.bytes, size);
    for (unsigned i = 0; i < 3; i++) request_give(p, &packets);
    assert_int_equal(answer.count, 4);
    assert_int_equal(answer.size, size);
    assert_memory_equal(answer.bytes, first, size);
    assert_int_equal(first_sa(&p->a)->expect_id, theirs + 3);
    // Not without end: anybody can repeat it.
    for (unsigned i = 0; i < 2000; i++) request_give(p, &packets);
    assert_true(answer.count < 1000);
    packets_free(p->b.core, &packets);
    pair_free(p);
}

// Whoever did not agree to it is not asked, in either role; a first request with number 0 is one.
static void without_agreement_it_is_no_such_request(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct conf_text a = {.cluster_peer = i == 1}, b = {.cluster_peer = i == 2};
        struct pair *p = pair_up_with(&a, &b);
        memset(&answer, 0, sizeof answer);
        p->lose = listen;
        uint32_t expect = first_sa(&p->a)->expect_id, send = first_sa(&p->a)->send_id;
        struct packets packets = request_make(p, &(struct sent){.m = 7, .p = 9});
        // a began the IKE SA, so that the first request of b has this number indeed.
        assert_int_equal(expect, 0);
        request_give(p, &packets);
        assert_int_equal(first_sa(&p->a)->expect_id, 1);
        assert_int_equal(first_sa(&p->a)->send_id, send);
        packets_free(p->b.core, &packets);
        pair_free(p);
    }
}

static void the_peers_first_request_is_still_heard(void **state)
{
    (void)state;
    struct pair *p = cluster_up();
    assert_int_equal(first_sa(&p->a)->expect_id, 0);
    command(&p->b, IKE_TERMINATE, "office", "lan"); // INFORMATIONAL with message ID 0
    run_for(p, nsec_seconds(5));
    assert_int_equal(children(&p->a), 0);
    assert_int_equal(first_sa(&p->a)->expect_id, 1);
    pair_free(p);
}

// RFC 6311 5.1 test: nothing else is in it.
static void other_forms_are_passed_over(void **state)
{
    (void)state;
    struct pair *p = cluster_up();
    requests_pass(p);
    uint32_t theirs = first_sa(&p->a)->expect_id, ours = first_sa(&p->a)->send_id;
    const struct sent wrong[] = {
        {.m = theirs + 1, .p = 1, .more = true},
        {.m = theirs + 1, .p = 1, .cut = 1},
        {.m = theirs + 1, .p = 1, .cut = 12},
        {.m = theirs + 1, .p = 1, .delta = BYTES("123")},
        {.m = theirs + 1, .p = 1, .delta = BYTES("12345")},
        {.m = theirs + 1, .p = 1, .delta = BYTES("123456789")},
        {.m = 0x80000000, .p = 1},
        {.m = theirs + 1, .p = 0x80000000},
        {.m = UINT32_MAX, .p = UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_false(takes_over(p, &wrong[i]));
    assert_non_null(said(&p->a, FAULT_COUNTERS_SYNTAX));
    assert_non_null(said(&p->a, FAULT_COUNTERS_FAR));
    assert_int_equal(first_sa(&p->a)->expect_id, theirs);
    assert_int_equal(first_sa(&p->a)->send_id, ours);
    goes_on(p);
    pair_free(p);
}

// Every change of a single byte of it is no request of the peer.
static void only_the_peer_can_ask(void **state)
{
    (void)state;
    struct pair *p = cluster_up();
    requests_pass(p);
    uint32_t theirs = first_sa(&p->a)->expect_id;
    struct packets packets = request_make(p, &(struct sent){.m = theirs + 3, .p = 1});
    for (size_t i = 0; i < packets.size; i++) {
        packets.at[i] ^= 1;
        request_give(p, &packets);
        packets.at[i] ^= 1;
    }
    for (size_t size = 0; size < packets.size; size++) {
        struct packets cut = {packets.at, size};
        request_give(p, &cut);
    }
    assert_int_equal(answer.count, 0);
    assert_int_equal(first_sa(&p->a)->expect_id, theirs);
    packets_free(p->b.core, &packets);
    goes_on(p);
    pair_free(p);
}

// RFC 6311 9 test: the answer to what we have asked is not waited for any more; it is asked again.
static void a_request_under_way_goes_out_under_its_new_number(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        static const char *const children_of[] = {"lan", NULL, "lan"};
        struct pair *p = cluster_up();
        requests_pass(p);
        struct sa *sa = first_sa(&p->a);
        uint32_t theirs = sa->expect_id, ours = sa->send_id;
        p->lose_all_of_b = true; // the member that dies does not answer
        p->lose_all_of_a = true;
        command(&p->a, i == 2 ? IKE_TERMINATE : IKE_REKEY, "office", children_of[i]);
        run_for(p, nsec_seconds(1));
        assert_int_equal(sa->send_id, ours + 1);
        p->lose_all_of_a = p->lose_all_of_b = false;
        assert_true(takes_over(p, &(struct sent){.m = theirs + 5, .p = ours}));
        assert_int_equal(answer.send, ours + 1);
        run_for(p, nsec_seconds(20));
        if (i == 2) {
            assert_int_equal(children(&p->a) + children(&p->b), 0);
            assert_int_equal(sas_up(&p->a), 1);
        } else {
            goes_on(p);
        }
        pair_free(p);
    }
}

// RFC 6311 5.2 test: all children skip, with message IDs or alone; what is asked twice counts once.
static void sequence_numbers_skip(void **state)
{
    (void)state;
    struct conf_text two = {.cluster_peer = true, .child = {"lan", "other"}, .local_ts = {NULL, "10.3.0.0/16"},
                            .remote_ts = {NULL, "10.4.0.0/16"}};
    struct conf_text of_b = {.cluster_peer = true, .child = {"lan", "other"}, .local_ts = {"10.2.0.0/16", "10.4.0.0/16"},
                             .remote_ts = {"10.1.0.0/16", "10.3.0.0/16"}};
    struct pair *p = pair_up_with(&two, &of_b);
    memset(&answer, 0, sizeof answer);
    p->lose = listen;
    command(&p->a, IKE_INITIATE, "office", "other");
    run_for(p, nsec_seconds(5));
    assert_up(p, 2);
    struct packets packets =
        request_make(p, &(struct sent){.m = 9, .p = 9, .delta = BYTES("\x40\0\0\0")});
    for (unsigned i = 0; i < 3; i++) request_give(p, &packets);
    packets_free(p->b.core, &packets);
    answer_read(p);
    first_sa(&p->b)->send_id = answer.expect;
    first_sa(&p->b)->expect_id = answer.send;
    size_t out = 0;
    for (size_t i = 0; i < p->a.sa_count; i++) {
        bool outbound = p->a.sas[i].spec.direction == SA_OUT;
        assert_int_equal(p->a.sas[i].skipped, outbound ? 0x40000000 : 0);
        out += outbound;
    }
    assert_int_equal(out, 2);
    // Alone, in its order, and in the form of extended sequence numbers.
    struct sa *sa = first_sa(&p->b);
    struct draft draft;
    draft_begin(p->b.core, &draft);
    draft_notify(&draft, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC, BYTES("\0\0\0\x01\0\0\0\0"));
    packets = draft_seal(sa, &draft, EXCHANGE_INFORMATIONAL, MESSAGE_REQUEST, sa->send_id);
    sa->send_id++;
    request_give(p, &packets);
    packets_free(p->b.core, &packets);
    for (size_t i = 0; i < p->a.sa_count; i++)
        if (p->a.sas[i].spec.direction == SA_OUT)
            assert_true(p->a.sas[i].skipped == UINT64_C(0x140000000));
    go_on_with(p, 2);
    pair_free(p);
}

// Both ends of a resumed or rekeyed session still agree to it.
static void a_rekeyed_ike_sa_still_can(void **state)
{
    (void)state;
    struct pair *p = cluster_up();
    requests_pass(p);
    command(&p->a, IKE_REKEY, "office", NULL);
    run_for(p, nsec_seconds(20));
    assert_int_equal(sas_all(&p->a), 1);
    assert_true(takes_over(p, &(struct sent){.m = 20, .p = 20}));
    goes_on(p);
    struct ike_sa_info info;
    assert_true(sa_first(&p->a, &info) && info.cluster_peer);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(older_counters_are_set_right),
        cmocka_unit_test(what_is_repeated_is_passed_over),
        cmocka_unit_test(the_same_request_has_the_same_answer),
        cmocka_unit_test(without_agreement_it_is_no_such_request),
        cmocka_unit_test(the_peers_first_request_is_still_heard),
        cmocka_unit_test(other_forms_are_passed_over),
        cmocka_unit_test(only_the_peer_can_ask),
        cmocka_unit_test(a_request_under_way_goes_out_under_its_new_number),
        cmocka_unit_test(sequence_numbers_skip),
        cmocka_unit_test(a_rekeyed_ike_sa_still_can),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
