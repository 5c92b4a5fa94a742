// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

#define CHAIN "28 00 0006 0102   29 80 0008 a1a2a3a4   00 7f 0004"  // SA, Nonce (critical), N

// RFC 7296 3.2 test: each payload's type stands in the one before it; only the critical bit is
// looked at.
static void a_chain_is_walked_by_the_next_type(void **state)
{
    (void)state;
    struct payloads p;
    uint8_t sealed = 99;
    CHECK_FAULT(payloads_read(PAYLOAD_SA, HEX(CHAIN), &p, &sealed), OK);
    assert_int_equal(p.count, 3);
    assert_int_equal(sealed, PAYLOAD_NONE);
    assert_int_equal(p.at[0].type, PAYLOAD_SA);
    check_bytes(p.at[0].body, HEX("0102"));
    check_bytes(p.at[0].whole, HEX("28000006 0102"));
    assert_int_equal(p.at[1].type, PAYLOAD_NONCE);
    assert_true(p.at[1].critical);
    check_bytes(p.at[1].body, HEX("a1a2a3a4"));
    assert_int_equal(p.at[2].type, PAYLOAD_NOTIFY);
    assert_false(p.at[2].critical);
    assert_int_equal(p.at[2].body.size, 0);
}

static void every_truncation_is_a_fault(void **state)
{
    (void)state;
    struct bytes good = HEX(CHAIN);
    struct payloads p;
    uint8_t sealed;
    for (size_t size = 0; size < good.size; size++) {
        struct bytes cut = exact_copy(bytes_of(good.at, size));
        assert_int_not_equal(payloads_read(PAYLOAD_SA, cut, &p, &sealed), OK);
        exact_drop(cut);
    }
}

static void chain_check_written_back(const struct payloads *p)
{
    uint8_t space[256] = {0};
    struct wr out = wr_over(space, sizeof space);
    wr_u8(&out, 0);
    struct chain chain = chain_begin(&out, 0);
    for (size_t i = 0; i < p->count; i++) {
        chain_open(&chain, p->at[i].type);
        wr_bytes(&out, p->at[i].body);
        chain_close(&chain);
    }
    assert_int_equal(wr_end(&out), OK);
    struct payloads again;
    uint8_t sealed;
    struct bytes written = wr_done(&out);
    CHECK_FAULT(
        payloads_read(written.at[0], bytes_of(written.at + 1, written.size - 1), &again, &sealed),
        OK);
    assert_int_equal(again.count, p->count);
    for (size_t i = 0; i < p->count; i++) {
        assert_int_equal(again.at[i].type, p->at[i].type);
        check_bytes(again.at[i].body, p->at[i].body);
    }
}

static void every_changed_byte_is_a_fault_or_written_back(void **state)
{
    (void)state;
    struct bytes good = HEX(CHAIN);
    for (size_t i = 0; i < good.size * 256; i++) {
        uint8_t *changed = malloc(good.size);
        assert_non_null(changed);
        memcpy(changed, good.at, good.size);
        changed[i / 256] = (uint8_t)i;
        struct payloads p;
        uint8_t sealed;
        if (payloads_read(PAYLOAD_SA, bytes_of(changed, good.size), &p, &sealed) == OK)
            chain_check_written_back(&p);
        free(changed);
    }
}

struct chain_case {
    const char *name;
    uint8_t first;
    const char *hex;
    enum fault fault;
};

// clang-format off
static const struct chain_case chain_cases[] = {
    {"nothing at all",                   PAYLOAD_NONE,  "",                          OK},
    {"bytes that no payload owns",       PAYLOAD_NONE,  "00",                        FAULT_TRAILING_BYTES},
    {"a length of 0",                    PAYLOAD_NONCE, "00000000",                  FAULT_PAYLOAD_LENGTH},
    {"a length of 3",                    PAYLOAD_NONCE, "00000003",                  FAULT_PAYLOAD_LENGTH},
    {"a length beyond the message",      PAYLOAD_NONCE, "00000005",                  FAULT_PAYLOAD_LENGTH},
    {"a type named but not there",       PAYLOAD_NONCE, "29000004",                  FAULT_TRUNCATED},
    {"bytes after the last payload",     PAYLOAD_NONCE, "00000004 00",               FAULT_TRAILING_BYTES},
    {"a sealed payload at the end",      PAYLOAD_NONCE, "2e000004 23000006 aaaa",    OK},
    {"a sealed fragment at the end",     PAYLOAD_SKF,   "23000006 aaaa",             OK},
    {"a payload after the sealed one",   PAYLOAD_SK,    "23000006 aaaa 00000004",    FAULT_SEALED_NOT_LAST},
    {"bytes after the sealed fragment",  PAYLOAD_SKF,   "23000006 aaaa 00",          FAULT_SEALED_NOT_LAST},
    {"an unknown type is passed over",   200,           "c9000005 aa 00800004",      OK},
};
// clang-format on

static void chains_are_judged_by_these_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(chain_cases); i++) {
        const struct chain_case *c = &chain_cases[i];
        uint8_t space[64], sealed;
        struct payloads p;
        struct bytes chain = hex_into(c->hex, strlen(c->hex), space);
        enum fault fault = payloads_read(c->first, chain, &p, &sealed);
        if (fault != c->fault) fail_msg("%s: %s", c->name, fault_name(fault));
    }
}

// RFC 7296 3.2 test: the sealed payload names the first one inside it.
static void a_sealed_payload_tells_the_type_inside(void **state)
{
    (void)state;
    struct payloads p;
    uint8_t sealed = 0;
    CHECK_FAULT(payloads_read(PAYLOAD_NOTIFY, HEX("2e000004 23000006 aabb"), &p, &sealed), OK);
    assert_int_equal(sealed, PAYLOAD_IDI);
    assert_int_equal(p.count, 2);
    check_bytes(payloads_first(&p, PAYLOAD_SK)->body, HEX("aabb"));
}

// RFC 7296 3.1 test: an encrypted payload must not hold another one.
static void a_sealed_payload_inside_a_sealed_one_is_a_fault(void **state)
{
    (void)state;
    struct payloads p;
    CHECK_FAULT(payloads_read(PAYLOAD_SK, HEX("23000006 aabb"), &p, NULL), FAULT_SEALED_NESTED);
    CHECK_FAULT(payloads_read(PAYLOAD_SKF, HEX("23000006 aabb"), &p, NULL), FAULT_SEALED_NESTED);
    CHECK_FAULT(payloads_read(PAYLOAD_NONCE, HEX("00000006 aabb"), &p, NULL), OK);
}

static struct bytes many_payloads(size_t count, uint8_t *space, size_t limit)
{
    struct wr out = wr_over(space, limit);
    for (size_t i = 0; i < count; i++) {
        wr_u8(&out, i + 1 < count ? PAYLOAD_NOTIFY : PAYLOAD_NONE);
        wr_u8(&out, 0);
        wr_u16(&out, 4);
    }
    return wr_done(&out);
}

static void more_payloads_than_the_maximum_are_a_fault(void **state)
{
    (void)state;
    struct payloads p;
    uint8_t sealed, space[1024];
    struct bytes most = many_payloads(PAYLOADS_MAX, space, sizeof space);
    CHECK_FAULT(payloads_read(PAYLOAD_NOTIFY, most, &p, &sealed), OK);
    assert_int_equal(p.count, PAYLOADS_MAX);
    assert_int_equal(payloads_count(&p, PAYLOAD_NOTIFY), PAYLOADS_MAX);
    struct bytes more = many_payloads(PAYLOADS_MAX + 1, space, sizeof space);
    CHECK_FAULT(payloads_read(PAYLOAD_NOTIFY, more, &p, &sealed), FAULT_PAYLOADS_TOO_MANY);
}

static void payloads_are_found_by_type(void **state)
{
    (void)state;
    struct payloads p;
    CHECK_FAULT(payloads_read(PAYLOAD_NOTIFY, HEX("2b000005 01 29000005 02 00000005 03"), &p, NULL),
                OK);
    check_bytes(payloads_first(&p, PAYLOAD_NOTIFY)->body, HEX("01"));
    check_bytes(payloads_first(&p, PAYLOAD_VENDOR)->body, HEX("02"));
    assert_null(payloads_first(&p, PAYLOAD_SA));
    assert_int_equal(payloads_count(&p, PAYLOAD_NOTIFY), 2);
    assert_int_equal(payloads_count(&p, PAYLOAD_SA), 0);
}

// RFC 7296 2.5 test: the first unknown payload with the critical bit counts, whatever comes with
// it.
static void an_unknown_critical_payload_is_reported(void **state)
{
    (void)state;
    struct payloads p;
    CHECK_FAULT(payloads_read(200, HEX("c9000004 ca800004 00800004"), &p, NULL), OK);
    assert_int_equal(payloads_unknown_critical(&p), 201);
}

// RFC 7296 3.2 test: the critical bit is ignored in payloads that are understood.
static void the_critical_bit_of_known_payloads_is_ignored(void **state)
{
    (void)state;
    for (unsigned type = 1; type < 256; type++) {
        bool known = (type >= PAYLOAD_SA && type <= PAYLOAD_EAP) || type == PAYLOAD_SKF;
        struct payloads p;
        uint8_t sealed;
        CHECK_FAULT(payloads_read((uint8_t)type, HEX("00800004"), &p, &sealed), OK);
        assert_int_equal(payloads_unknown_critical(&p), known ? 0 : type);
    }
}

static void a_chain_is_written_as_it_is_read(void **state)
{
    (void)state;
    uint8_t space[64];
    struct wr out = wr_over(space, sizeof space);
    wr_u8(&out, 0xee);  // the byte that names the first payload
    struct chain chain = chain_begin(&out, 0);
    chain_open(&chain, PAYLOAD_SA);
    wr_bytes(&out, HEX("0102"));
    chain_close(&chain);
    chain_open(&chain, PAYLOAD_NONCE);
    chain_close(&chain);
    check_bytes(wr_done(&out), HEX("21 28000006 0102 00000004"));
}

static void a_chain_that_does_not_fit_latches(void **state)
{
    (void)state;
    uint8_t space[64];
    for (size_t limit = 1; limit < 11; limit++) {
        struct wr out = wr_over(space, limit);
        wr_u8(&out, 0);
        struct chain chain = chain_begin(&out, 0);
        chain_open(&chain, PAYLOAD_SA);
        wr_bytes(&out, HEX("0102"));
        chain_close(&chain);
        chain_open(&chain, PAYLOAD_NONCE);
        chain_close(&chain);
        CHECK_FAULT(wr_end(&out), FAULT_NO_ROOM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_is_walked_by_the_next_type),
        cmocka_unit_test(every_truncation_is_a_fault),
        cmocka_unit_test(every_changed_byte_is_a_fault_or_written_back),
        cmocka_unit_test(chains_are_judged_by_these_rules),
        cmocka_unit_test(a_sealed_payload_tells_the_type_inside),
        cmocka_unit_test(a_sealed_payload_inside_a_sealed_one_is_a_fault),
        cmocka_unit_test(more_payloads_than_the_maximum_are_a_fault),
        cmocka_unit_test(payloads_are_found_by_type),
        cmocka_unit_test(an_unknown_critical_payload_is_reported),
        cmocka_unit_test(the_critical_bit_of_known_payloads_is_ignored),
        cmocka_unit_test(a_chain_is_written_as_it_is_read),
        cmocka_unit_test(a_chain_that_does_not_fit_latches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
