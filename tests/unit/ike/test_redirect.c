// SPDX-License-Identifier: Apache-2.0
// Redirect (RFC 5685): at its three times, loops, forgeries, and who is not sent elsewhere. The
// second gateway is b at another address.
#include "pair.h"

#define ELSEWHERE "192.0.2.99"
static const struct conf_text client = {0};

static bool is_at(const struct host *host, const char *where)
{
    struct ike_sa_info info;
    struct addr addr;
    assert_int_equal(addr_parse(where, &addr), OK);
    return sa_first(host, &info) && addr_equal(&info.path.remote.addr, &addr);
}

static struct pair *sent_on(const struct conf_text *a, const struct conf_text *b)
{
    struct pair *p = pair_new();
    load_both(p, a, b);
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(5));
    return p;
}

// RFC 5685 3 test: nothing is kept for whoever is sent on with the first answer.
static void the_first_answer_sends_on(void **state)
{
    (void)state;
    const struct conf_text gateway = {.redirect_to = ELSEWHERE, .redirect_early = true};
    struct pair *p = sent_on(&client, &gateway);
    assert_up(p, 1);
    assert_ends_agree(p);
    assert_true(is_at(&p->a, ELSEWHERE));
    assert_int_equal(p->b.sent, 3);
    assert_int_equal(p->a.done_fault, OK);
    assert_int_equal(sas_all(&p->a) + sas_all(&p->b), 2);
    pair_free(p);
}

// RFC 5685 6 test: behind both proofs, and no child is made; the client deletes the SA.
static void a_proved_client_is_sent_on(void **state)
{
    (void)state;
    const struct conf_text gateway = {.redirect_to = ELSEWHERE};
    struct pair *p = sent_on(&client, &gateway);
    assert_up(p, 1);
    assert_true(is_at(&p->a, ELSEWHERE));
    assert_int_equal(p->a.done_fault, OK);
    assert_int_equal(p->a.events[IKE_EVENT_IKE_UP], 1);
    assert_int_equal(p->b.events[IKE_EVENT_IKE_DOWN], 0);
    assert_int_equal(sas_all(&p->a) + sas_all(&p->b), 2);
    pair_free(p);
}

// The gateway does not wait for ever for the deletion.
static void a_client_that_does_not_delete_leaves_nothing(void **state)
{
    (void)state;
    const struct conf_text gateway = {.redirect_to = ELSEWHERE};
    struct pair *p = pair_new();
    load_both(p, &client, &gateway);
    command(&p->a, IKE_INITIATE, "office", NULL);
    run_for(p, nsec_ms(25)); // IKE_AUTH is on its way
    p->lose_all_of_a = true;
    run_for(p, nsec_seconds(200));
    assert_int_equal(sas_all(&p->b), 0);
    pair_free(p);
}

static uint32_t redirect(struct host *host, const char *conn, const char *peer_ip,
                         const char *peer_id, const char *gateway)
{
    struct ike_in in = {.kind = IKE_IN_COMMAND};
    in.command = (struct ike_command){.number = ++host->last_command,
                                      .kind = IKE_REDIRECT,
                                      .conn = conn,
                                      .peer_ip = peer_ip,
                                      .peer_id = peer_id,
                                      .gateway = gateway};
    step_in(host, &in);
    return in.command.number;
}

// RFC 5685 5 test: the children are made at the other gateway before the old SA goes.
static void a_session_moves(void **state)
{
    (void)state;
    struct pair *p = sent_on(&client, &client);
    assert_up(p, 1);
    redirect(&p->b, "office", "192.0.2.0/24", "*.example", ELSEWHERE);
    assert_int_equal(p->b.done_fault, OK);
    run_for(p, nsec_seconds(20));
    assert_up(p, 1);
    assert_ends_agree(p);
    assert_true(is_at(&p->a, ELSEWHERE));
    pair_free(p);
}

static bool first_messages(struct pair *p, const struct host *from, const uint8_t *bytes,
                           size_t size)
{
    (void)size;
    return from == &p->a && bytes[18] == EXCHANGE_IKE_SA_INIT;
}

// What moves stays where it is when the other gateway is not there.
static void a_session_stays_when_the_other_gateway_is_not_there(void **state)
{
    (void)state;
    struct pair *p = sent_on(&client, &client);
    p->lose = first_messages;
    redirect(&p->b, NULL, NULL, NULL, "gone.example.org");
    run_for(p, nsec_seconds(400));
    assert_up(p, 1);
    assert_non_null(said(&p->a, FAULT_PEER_UNREACHABLE));
    assert_false(is_at(&p->a, ELSEWHERE));
    pair_free(p);
}

// RFC 5685 10 test: only who began can be sent on, and only if it said that it follows.
static void who_is_not_sent_on(void **state)
{
    (void)state;
    struct pair *p = sent_on(&client, &client);
    redirect(&p->a, NULL, NULL, NULL, ELSEWHERE); // a began
    assert_int_equal(p->a.done_fault, FAULT_NOTHING_MATCHES);
    redirect(&p->b, "other", NULL, NULL, ELSEWHERE);
    assert_int_equal(p->b.done_fault, FAULT_NOTHING_MATCHES);
    redirect(&p->b, NULL, "198.51.100.0/24", NULL, ELSEWHERE);
    assert_int_equal(p->b.done_fault, FAULT_NOTHING_MATCHES);
    redirect(&p->b, NULL, NULL, "*.elsewhere", ELSEWHERE);
    assert_int_equal(p->b.done_fault, FAULT_NOTHING_MATCHES);
    redirect(&p->b, NULL, NULL, NULL, "no name");
    assert_int_equal(p->b.done_fault, FAULT_REDIRECT_COMMAND);
    redirect(&p->b, NULL, NULL, NULL, NULL);
    assert_int_equal(p->b.done_fault, FAULT_REDIRECT_COMMAND);
    redirect(&p->b, NULL, "nowhere", NULL, ELSEWHERE);
    assert_int_equal(p->b.done_fault, FAULT_REDIRECT_COMMAND);
    pair_free(p);

    const struct conf_text stays = {.stays = true};
    const struct conf_text gateway = {.redirect_to = ELSEWHERE, .redirect_early = true};
    p = sent_on(&stays, &gateway);
    assert_up(p, 1);
    assert_false(is_at(&p->a, ELSEWHERE));
    redirect(&p->b, NULL, NULL, NULL, ELSEWHERE);
    assert_int_equal(p->b.done_fault, FAULT_NOTHING_MATCHES);
    assert_non_null(strstr(p->b.done_text, "do not let themselves"));
    pair_free(p);
}

// RFC 5685 7 test: a name is never where the peer came to, so this goes round.
static void a_loop_ends(void **state)
{
    (void)state;
    for (unsigned early = 0; early < 2; early++) {
        const struct conf_text gateway = {.redirect_to = "gw.example.org",
                                          .redirect_early = early != 0};
        struct pair *p = sent_on(&client, &gateway);
        run_for(p, nsec_seconds(30));
        assert_int_equal(p->a.done_fault, FAULT_REDIRECTS);
        assert_non_null(said(&p->a, FAULT_REDIRECTS));
        assert_int_equal(p->a.resolve_tries, 6);
        run_for(p, nsec_seconds(200));
        assert_int_equal(sas_all(&p->a) + sas_all(&p->b), 0);
        pair_free(p);
    }
}

static void what_names_no_gateway_is_not_followed(void **state)
{
    (void)state;
    static const char *const wrong[] = {"two words", "-rf", "a/b", "0.0.0.0", "::"};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct conf_text gateway = {.redirect_to = wrong[i]};
        struct pair *p = sent_on(&client, &gateway);
        assert_int_equal(p->a.done_fault, FAULT_REDIRECT_UNREADABLE);
        assert_int_equal(sas_all(&p->a), 0);
        pair_free(p);
    }
}

// --- forgeries

static unsigned forge_nonce; // 0: none, 1: another one, 2: the right one

static bool forge(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    if (from != &p->a || bytes[18] != EXCHANGE_IKE_SA_INIT) return false;
    struct payloads payloads;
    struct bytes nonce = BYTES_NONE;
    assert_int_equal(payloads_read(bytes[16], bytes_of(bytes + 28, size - 28), &payloads, NULL),
                     OK);
    const struct payload *ni = payloads_first(&payloads, PAYLOAD_NONCE);
    if (forge_nonce) nonce = ni->body;
    uint8_t space[512];
    struct wr out = forged_begin(space, sizeof space, bytes, PAYLOAD_NOTIFY);
    wr_u16(&out, 0);
    wr_u16(&out, (uint16_t)(8 + 6 + nonce.size));
    wr_u16(&out, 0);
    wr_u16(&out, NOTIFY_REDIRECT);
    wr_u8(&out, 1);
    wr_u8(&out, 4);
    wr_bytes(&out, BYTES("\xc6\x33\x64\x01"));
    wr_bytes(&out, nonce);
    if (forge_nonce == 1) space[out.size - 1] ^= 1;
    forged_fly(p, &out);
    p->lose = NULL;
    return false;
}

// RFC 5685 3 test: without the nonce it is dropped, and the right answer counts.
static void a_forged_first_answer_is_passed_over(void **state)
{
    (void)state;
    const struct conf_text stays = {.stays = true};
    for (unsigned i = 0; i < 3; i++) {
        struct pair *p = pair_new();
        load_both(p, i == 2 ? &stays : &client, &client);
        forge_nonce = i;
        p->lose = forge;
        command(&p->a, IKE_INITIATE, "office", "lan");
        run_for(p, nsec_seconds(3));
        assert_non_null(said(&p->a, FAULT_REDIRECT_FORGED));
        assert_up(p, 1);
        assert_int_equal(p->a.resolve_tries, 1);
        pair_free(p);
    }
}

static uint8_t seen_type;

static bool look(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    struct payloads payloads;
    if (from != &p->a || bytes[18] != EXCHANGE_IKE_SA_INIT) return false;
    assert_int_equal(payloads_read(bytes[16], bytes_of(bytes + 28, size - 28), &payloads, NULL),
                     OK);
    for (size_t i = 0; i < payloads.count; i++) {
        struct notify notify;
        if (payloads.at[i].type != PAYLOAD_NOTIFY || notify_read(payloads.at[i].body, &notify))
            continue;
        if (notify.type == NOTIFY_REDIRECT_SUPPORTED) seen_type |= 1;
        if (notify.type != NOTIFY_REDIRECTED_FROM) continue;
        seen_type |= 2;
        assert_int_equal(notify.data.size, 6);
        assert_memory_equal(notify.data.at, "\x01\x04", 2);
        assert_memory_equal(notify.data.at + 2, p->b.addr.at, 4);
    }
    return false;
}

// RFC 5685 9.3 test: the new gateway hears who sent the client.
static void the_new_gateway_hears_of_the_former(void **state)
{
    (void)state;
    const struct conf_text gateway = {.redirect_to = ELSEWHERE, .redirect_early = true};
    struct pair *p = pair_new();
    load_both(p, &client, &gateway);
    seen_type = 0;
    p->lose = look;
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(3));
    assert_int_equal(seen_type, 3);
    assert_up(p, 1);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_answer_sends_on),
        cmocka_unit_test(a_proved_client_is_sent_on),
        cmocka_unit_test(a_client_that_does_not_delete_leaves_nothing),
        cmocka_unit_test(a_session_moves),
        cmocka_unit_test(a_session_stays_when_the_other_gateway_is_not_there),
        cmocka_unit_test(who_is_not_sent_on),
        cmocka_unit_test(a_loop_ends),
        cmocka_unit_test(what_names_no_gateway_is_not_followed),
        cmocka_unit_test(a_forged_first_answer_is_passed_over),
        cmocka_unit_test(the_new_gateway_hears_of_the_former),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
