// SPDX-License-Identifier: Apache-2.0
// Puzzles (RFC 8019) of a responder under attack: we do not solve them, and say so by returning the
// cookie alone.
#include "pair.h"

static unsigned asked, with_cookie;

static const struct payload *notify_of(const struct payloads *payloads, uint16_t type,
                                       struct notify *notify)
{
    for (size_t i = 0; i < payloads->count; i++)
        if (payloads->at[i].type == PAYLOAD_NOTIFY &&
            notify_read(payloads->at[i].body, notify) == OK && notify->type == type)
            return &payloads->at[i];
    return NULL;
}

static void notify_put(struct wr *out, uint8_t next, uint16_t type, struct bytes data)
{
    wr_u8(out, next);
    wr_u8(out, 0);
    wr_u16(out, (uint16_t)(8 + data.size));
    wr_u16(out, 0);
    wr_u16(out, type);
    wr_bytes(out, data);
}

// The first request gets N(COOKIE), N(PUZZLE); the second one goes to b.
static bool puzzle(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    struct payloads payloads;
    struct notify notify;
    if (from != &p->a || bytes[18] != EXCHANGE_IKE_SA_INIT) return false;
    assert_int_equal(payloads_read(bytes[16], bytes_of(bytes + 28, size - 28), &payloads, NULL), OK);
    if (notify_of(&payloads, NOTIFY_COOKIE, &notify)) {
        with_cookie++;
        assert_true(bytes_equal(notify.data, BYTES("a cookie")));
        return false;
    }
    asked++;
    uint8_t space[256];
    struct wr out = forged_begin(space, sizeof space, bytes, PAYLOAD_NOTIFY);
    notify_put(&out, PAYLOAD_NOTIFY, NOTIFY_COOKIE, BYTES("a cookie"));
    notify_put(&out, PAYLOAD_NONE, NOTIFY_PUZZLE, BYTES("\x00\x02\x14")); // HMAC-SHA-256, 20 bits
    forged_fly(p, &out);
    return true;
}

// RFC 8019 7.1.2 test: without the solution, so that the responder ranks us among those who cannot.
static void a_puzzle_is_passed_over_and_its_cookie_returned(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    const struct conf_text usual = {0};
    load_both(p, &usual, &usual);
    asked = with_cookie = 0;
    p->lose = puzzle;
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(5));
    assert_int_equal(asked, 1);
    assert_int_equal(with_cookie, 1);
    assert_up(p, 1);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_puzzle_is_passed_over_and_its_cookie_returned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
