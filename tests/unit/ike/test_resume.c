// SPDX-License-Identifier: Apache-2.0
// Session resumption (RFC 5723): sessions that broke, gateways that forgot, tickets that do not
// count.
#include "ike/internal.h"
#include "pair.h"

#define SECRET_OF_BOTH "0123456789abcdef0123456789abcdef"

static const struct conf_text with_tickets = {.resumption = true,
                                              .dpd_delay = 10 * NSEC_PER_SECOND,
                                              .rekey_time = 10000 * NSEC_PER_SECOND,
                                              .over_time = 1000 * NSEC_PER_SECOND};

static struct pair *tickets_up(void)
{
    return pair_up_with(&with_tickets, &with_tickets);
}

// The line is cut until a has given up; b may have noticed or not.
static void session_breaks(struct pair *p)
{
    p->lose_all_of_a = p->lose_all_of_b = true;
    run_for(p, nsec_seconds(400));
    assert_int_equal(sas_all(&p->a), 0);
    p->lose_all_of_a = p->lose_all_of_b = false;
}

static void comes_back(struct pair *p)
{
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(3));
}

static unsigned seen_resume, seen_init;
static uint8_t resume_bytes[4096];
static size_t resume_size;

static bool watch(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    if (from != &p->a || bytes[19] & 0x20) return false;
    seen_init += bytes[18] == EXCHANGE_IKE_SA_INIT;
    if (bytes[18] != EXCHANGE_IKE_SESSION_RESUME) return false;
    seen_resume++;
    assert_true(size <= sizeof resume_bytes);
    memcpy(resume_bytes, bytes, size);
    resume_size = size;
    return false;
}

static void watch_from_here(struct pair *p)
{
    seen_resume = seen_init = 0;
    p->lose = watch;
}

// By so many requests of either kind.
static void assert_comes_back(struct pair *p, unsigned resumes, unsigned inits)
{
    watch_from_here(p);
    comes_back(p);
    assert_int_equal(seen_resume, resumes);
    assert_int_equal(seen_init, inits);
    assert_up(p, 1);
}

static void host_restarts(struct host *host, const char *secret)
{
    host->pair->settings.ticket_secret = secret ? bytes_of_text(secret) : BYTES_NONE;
    ike_free(host->core);
    host->core = ike_new(&host->rng.rng, &host->pair->settings);
    host->sa_count = host->policy_count = 0;
}

// RFC 5723 4.3 test: no key exchange, and the gateway's old SA is gone without a word.
static void a_broken_session_is_resumed(void **state)
{
    (void)state;
    struct pair *p = tickets_up();
    for (unsigned i = 0; i < 3; i++) {
        session_breaks(p);
        assert_comes_back(p, 1, 0);
        assert_int_equal(sas_all(&p->b), 1);
        assert_ends_agree(p);
    }
    command(&p->a, IKE_REKEY, "office", NULL);
    run_for(p, nsec_seconds(20));
    assert_up(p, 1);
    pair_free(p);
}

// RFC 5723 4.3.4 test: the gateway has not noticed that the client went.
static void the_gateways_old_sa_is_replaced(void **state)
{
    (void)state;
    struct conf_text patient = with_tickets;
    patient.dpd_delay = 0;
    struct pair *p = pair_up_with(&with_tickets, &patient);
    p->lose_all_of_a = p->lose_all_of_b = true;
    run_for(p, nsec_seconds(180));
    p->lose_all_of_a = p->lose_all_of_b = false;
    assert_int_equal(sas_all(&p->a), 0);
    assert_int_equal(sas_up(&p->b), 1);
    watch_from_here(p);
    uint64_t sent = p->b.sent;
    comes_back(p);
    assert_up(p, 1);
    assert_int_equal(sas_all(&p->b), 1);
    assert_int_equal(p->b.sent - sent, 2); // no deletion
    assert_non_null(said(&p->b, FAULT_SUPERSEDED));
    pair_free(p);
}

static void a_gateway_restarts(const char *before, const char *after, bool resumed)
{
    struct pair *p = pair_new();
    host_restarts(&p->b, before);
    load_both(p, &with_tickets, &with_tickets);
    comes_back(p);
    assert_up(p, 1);
    host_restarts(&p->b, after);
    struct conf_text mirrored = with_tickets;
    mirrored.local_ts[0] = "10.2.0.0/16";
    mirrored.remote_ts[0] = "10.1.0.0/16";
    load(&p->b, conn_make(&p->b, &p->a, &mirrored));
    p->lose_all_of_b = true;
    run_for(p, nsec_seconds(400));
    p->lose_all_of_b = false;
    assert_comes_back(p, 1, !resumed);
    if (!resumed) {
        assert_non_null(said(&p->b, FAULT_TICKET_UNREADABLE));
        assert_non_null(said_text(&p->a, "a full handshake follows"));
    }
    pair_free(p);
}

// RFC 5723 4.3.2 test
static void a_gateway_that_restarted_takes_tickets_if_it_kept_its_secret(void **state)
{
    (void)state;
    a_gateway_restarts(SECRET_OF_BOTH, SECRET_OF_BOTH, true);
    a_gateway_restarts(SECRET_OF_BOTH, "another secret of the same sizes", false);
    a_gateway_restarts(NULL, NULL, false);
}

static void send_to_b(struct pair *p, const uint8_t *bytes, size_t size)
{
    struct path path = {.local = {p->b.addr, 500}, .remote = {p->a.addr, 500}};
    datagram(p, &p->b, &path, bytes, size);
}

// RFC 5723 4.3.1 test: a ticket serves once. It comes again with another SPI.
static void a_ticket_that_was_used_is_refused(void **state)
{
    (void)state;
    struct pair *p = tickets_up();
    session_breaks(p);
    watch_from_here(p);
    comes_back(p);
    resume_bytes[0] ^= 1;
    send_to_b(p, resume_bytes, resume_size);
    run_for(p, nsec_seconds(1));
    assert_non_null(said(&p->b, FAULT_TICKET_SPENT));
    assert_int_equal(sas_all(&p->b), 1);
    pair_free(p);
}

// Each changed byte of the ticket makes it one that is not ours; nothing is kept for it.
static void a_forged_ticket_is_refused(void **state)
{
    (void)state;
    struct pair *p = tickets_up();
    session_breaks(p);
    watch_from_here(p);
    p->lose_all_of_a = true;
    comes_back(p);
    p->lose_all_of_a = false;
    assert_int_equal(seen_resume, 0);
    pair_free(p);

    p = tickets_up();
    session_breaks(p);
    watch_from_here(p);
    comes_back(p);
    assert_int_equal(seen_resume, 1);
    size_t ticket = IKE_HEADER_SIZE + 4 + 32 + 8;
    for (size_t i = 0; i < 200; i++) {
        uint8_t copy[sizeof resume_bytes];
        memcpy(copy, resume_bytes, resume_size);
        copy[1] = (uint8_t)(i + 1);
        copy[ticket + i] ^= 0x10;
        send_to_b(p, copy, resume_size);
        run_for(p, nsec_ms(200));
        assert_int_equal(sas_all(&p->b), 1);
    }
    assert_non_null(said(&p->b, FAULT_TICKET_UNREADABLE));
    // Cut short, and without one at all.
    for (size_t size = IKE_HEADER_SIZE; size < resume_size; size += 7) {
        send_to_b(p, resume_bytes, size);
        run_for(p, nsec_ms(50));
        assert_int_equal(sas_all(&p->b), 1);
    }
    pair_free(p);
}

// RFC 5723 6.2 test: a session that was closed is not resumed.
static void a_closed_session_leaves_no_ticket(void **state)
{
    (void)state;
    for (unsigned by_b = 0; by_b < 2; by_b++) {
        struct pair *p = tickets_up();
        command(by_b ? &p->b : &p->a, IKE_TERMINATE, "office", NULL);
        run_for(p, nsec_seconds(2));
        assert_comes_back(p, 0, 1);
        pair_free(p);
    }
}

// RFC 5723 4.3.1 test
static void an_expired_ticket_is_not_presented(void **state)
{
    (void)state;
    struct pair *p = tickets_up();
    session_breaks(p);
    run_for(p, nsec_seconds(20000));
    assert_comes_back(p, 0, 1);
    pair_free(p);
}

// RFC 5723 6.2 test: rekeying ends a ticket, and the client asks for another one.
static void a_rekeyed_session_is_resumed_by_a_new_ticket(void **state)
{
    (void)state;
    for (unsigned by_b = 0; by_b < 2; by_b++) {
        struct pair *p = tickets_up();
        command(by_b ? &p->b : &p->a, IKE_REKEY, "office", NULL);
        run_for(p, nsec_seconds(30));
        session_breaks(p);
        assert_comes_back(p, 1, 0);
        assert_ends_agree(p);
        pair_free(p);
    }
}

// The gateway's configuration has changed meanwhile: other algorithms, no tickets at all.
static void a_ticket_counts_only_for_what_is_allowed_now(void **state)
{
    (void)state;
    struct conf_text other = with_tickets, without = with_tickets;
    other.proposals = "aes128-sha256-x25519,aes256gcm16-prfsha384-ecp256";
    without.resumption = false;
    const struct conf_text *now[] = {&other, &without};
    for (unsigned i = 0; i < 2; i++) {
        struct pair *p = tickets_up();
        session_breaks(p);
        load(&p->b, conn_make(&p->b, &p->a, now[i]));
        watch_from_here(p);
        comes_back(p);
        assert_int_equal(seen_resume, 1);
        assert_non_null(said(&p->b, FAULT_TICKET_OUTDATED));
        assert_int_equal(sas_up(&p->b), i);
        pair_free(p);
    }
}

// RFC 5723 4.1 test: who gives none says so, and the client comes by a full handshake.
static void a_gateway_may_give_none(void **state)
{
    (void)state;
    struct conf_text none = with_tickets;
    none.resumption = false;
    struct pair *p = pair_up_with(&with_tickets, &none);
    session_breaks(p);
    watch_from_here(p);
    comes_back(p);
    assert_int_equal(seen_resume, 0);
    assert_up(p, 1);
    pair_free(p);
}

// A gateway in need of cookies, and one that does not know the exchange (it answers nothing).
static void cookies_and_silence(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    p->settings.cookie_threshold = 0;
    host_restarts(&p->b, SECRET_OF_BOTH);
    load_both(p, &with_tickets, &with_tickets);
    comes_back(p);
    session_breaks(p);
    assert_comes_back(p, 2, 0); // RFC 5723 4.3.2 test: once more with the cookie
    pair_free(p);
}

static bool lose_resume(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    (void)watch(p, from, bytes, size);
    return bytes[18] == EXCHANGE_IKE_SESSION_RESUME;
}

static void silence_leads_to_a_full_handshake(void **state)
{
    (void)state;
    struct pair *p = tickets_up();
    session_breaks(p);
    watch_from_here(p);
    p->lose = lose_resume;
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(40));
    assert_true(seen_resume > 1 && seen_init == 1);
    assert_up(p, 1);
    pair_free(p);
}

// RFC 5723 4.3.3 test: either end may find in IKE_AUTH that the other one's proof is wrong; then the client comes by a full
// handshake, and neither keeps anything of the attempt.
static void a_resumption_that_fails_in_ike_auth_falls_back(void **state)
{
    (void)state;
    for (unsigned at_gateway = 0; at_gateway < 2; at_gateway++) {
        struct pair *p = tickets_up();
        session_breaks(p);
        watch_from_here(p);
        p->delay = nsec_ms(100);
        command(&p->a, IKE_INITIATE, "office", "lan");
        run_for(p, nsec_ms(at_gateway ? 150 : 350)); // IKE_SESSION_RESUME is under way; IKE_AUTH is
        struct sa *sa = sa_by_id(p->a.core, ike_sa_after(p->a.core, 0));
        assert_true(is_resumed(sa));
        assert_int_equal(sa->state, at_gateway ? EXPECT_SA_INIT : EXPECT_AUTH);
        // What the client signs, or believes that the gateway signs, is another message.
        struct bytes *message = at_gateway ? &sa->handshake->own_init : &sa->handshake->peer_init;
        ((uint8_t *)(uintptr_t)message->at)[message->size - 1] ^= 1;
        run_for(p, nsec_seconds(10));
        assert_non_null(said(at_gateway ? &p->b : &p->a, FAULT_TICKET_PROOF));
        assert_non_null(said_text(&p->a, "the session cannot be resumed"));
        assert_non_null(said_text(&p->a, at_gateway ? fault_sentence(FAULT_PEER_REFUSES)
                                                    : fault_sentence(FAULT_TICKET_PROOF)));
        assert_true(seen_resume == 1 && seen_init == 1);
        assert_up(p, 1);
        assert_int_equal(sas_all(&p->a), 1);
        assert_int_equal(sas_all(&p->b), 1);
        assert_ends_agree(p);
        pair_free(p);
    }
}

static void a_ppk_stays_in_the_keys(void **state)
{
    (void)state;
    struct conf_text both = with_tickets;
    both.ppk_id = "ppk@example.org";
    both.ppk_required = true;
    struct pair *p = pair_new();
    p->a.ppk_id = p->b.ppk_id = "ppk@example.org";
    p->a.ppk = p->b.ppk = "k";
    load_both(p, &both, &both);
    comes_back(p);
    session_breaks(p);
    watch_from_here(p);
    comes_back(p);
    assert_int_equal(seen_resume, 1);
    struct ike_sa_info info;
    assert_true(sa_first(&p->a, &info) && info.ppk);
    assert_true(sa_first(&p->b, &info) && info.ppk);
    assert_up(p, 1);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_session_is_resumed),
        cmocka_unit_test(the_gateways_old_sa_is_replaced),
        cmocka_unit_test(a_gateway_that_restarted_takes_tickets_if_it_kept_its_secret),
        cmocka_unit_test(a_ticket_that_was_used_is_refused),
        cmocka_unit_test(a_forged_ticket_is_refused),
        cmocka_unit_test(a_closed_session_leaves_no_ticket),
        cmocka_unit_test(an_expired_ticket_is_not_presented),
        cmocka_unit_test(a_rekeyed_session_is_resumed_by_a_new_ticket),
        cmocka_unit_test(a_ticket_counts_only_for_what_is_allowed_now),
        cmocka_unit_test(a_gateway_may_give_none),
        cmocka_unit_test(cookies_and_silence),
        cmocka_unit_test(silence_leads_to_a_full_handshake),
        cmocka_unit_test(a_resumption_that_fails_in_ike_auth_falls_back),
        cmocka_unit_test(a_ppk_stays_in_the_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
