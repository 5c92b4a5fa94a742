// SPDX-License-Identifier: Apache-2.0
// The table of rules, cell by cell: which message is taken in which state, and what it must hold.
#include "ike/internal.h"
#include "pair.h"

static const uint8_t exchanges[] = {EXCHANGE_IKE_SA_INIT,
                                    EXCHANGE_IKE_AUTH,
                                    EXCHANGE_CREATE_CHILD_SA,
                                    EXCHANGE_INFORMATIONAL,
                                    EXCHANGE_IKE_SESSION_RESUME,
                                    EXCHANGE_IKE_INTERMEDIATE,
                                    EXCHANGE_IKE_FOLLOWUP_KE,
                                    99};

// What is allowed, written down a second time, in another form than the table's.
static bool allowed(uint8_t exchange, bool response, enum sa_state state)
{
    switch (exchange) {
    case EXCHANGE_IKE_SA_INIT:
    case EXCHANGE_IKE_SESSION_RESUME: // RFC 5723 4.3.2 test
        return response ? state == EXPECT_SA_INIT : state == NOTHING;
    case EXCHANGE_IKE_AUTH:
        return state == EXPECT_AUTH || state == EXPECT_ROUND || state == EXPECT_EAP;
    case EXCHANGE_IKE_INTERMEDIATE: // RFC 9242 3.1 test
        return state == EXPECT_AUTH;
    case EXCHANGE_CREATE_CHILD_SA:
    case EXCHANGE_IKE_FOLLOWUP_KE:
    case EXCHANGE_INFORMATIONAL:
        return state == ESTABLISHED || state == REKEYED || state == DELETING;
    default:
        return false;
    }
}

static const uint8_t notify_body[] = {0, 0, 0x40, 0x09, 0,
                                      0, 0, 0}; // REKEY_SA is tested apart; the data do not matter
static struct payloads payloads;
static struct message message;

static void message_begin(uint8_t exchange, bool response)
{
    memset(&payloads, 0, sizeof payloads);
    memset(&message, 0, sizeof message);
    message.header.exchange = exchange;
    message.header.flags = response ? FLAG_RESPONSE : 0;
    message.payloads = &payloads;
}

static void add(uint8_t type)
{
    payloads.at[payloads.count++] =
        (struct payload){.type = type, .body = BYTES_ARRAY(notify_body)};
}

static void add_all(uint32_t bits)
{
    for (unsigned i = 0; i < 32; i++)
        if (bits >> i & 1) add((uint8_t)(PAYLOAD_SA + i));
}

static void every_state_and_exchange_is_decided(void **state_)
{
    (void)state_;
    for (enum sa_state state = NOTHING; state < SA_STATES; state++) {
        for (size_t e = 0; e < sizeof exchanges; e++) {
            for (unsigned response = 0; response < 2; response++) {
                const struct rule *rule = NULL;
                message_begin(exchanges[e], response);
                add_all(0xffff & ~PAYLOAD_BIT(PAYLOAD_NOTIFY));
                enum fault fault = rule_find(state, &message, &rule);
                if (allowed(exchanges[e], response, state)) {
                    assert_int_equal(fault, OK);
                    assert_non_null(rule);
                    assert_true(response || rule->recipe);
                } else {
                    assert_int_equal(fault, FAULT_MESSAGE_UNEXPECTED);
                }
            }
        }
    }
}

static enum sa_state a_state_of(const struct rule *rule)
{
    for (enum sa_state state = NOTHING; state < SA_STATES; state++)
        if (rule->states >> state & 1) return state;
    fail();
    return NOTHING;
}

// RFC 7296 1.2, 1.3, 1.4 test: without one of the payloads that it must have a message is refused,
// with none other.
static void each_payload_that_must_be_there_is_missed(void **state)
{
    (void)state;
    for (size_t i = 0; i < rule_count; i++) {
        const struct rule *found, *rule = &rules[i];
        bool response = rule->kind == MESSAGE_RESPONSE;
        if (rule->when) continue; // by what it holds; below
        for (unsigned bit = 0; bit < 32; bit++) {
            message_begin(rule->exchange, response);
            add_all(rule->must & ~(UINT32_C(1) << bit));
            if (rule->exchange == EXCHANGE_CREATE_CHILD_SA && !response &&
                !message_first(&message, PAYLOAD_TSI))
                continue;
            enum fault expected = rule->must >> bit & 1 ? FAULT_PAYLOAD_MISSING : OK;
            assert_int_equal(rule_find(a_state_of(rule), &message, &found), expected);
        }
    }
}

static void what_may_be_there_once_is_not_there_twice(void **state)
{
    (void)state;
    uint32_t repeatable = PAYLOAD_BIT(PAYLOAD_NOTIFY) | PAYLOAD_BIT(PAYLOAD_VENDOR) |
                          PAYLOAD_BIT(PAYLOAD_CERT) | PAYLOAD_BIT(PAYLOAD_CERTREQ) |
                          PAYLOAD_BIT(PAYLOAD_DELETE);
    for (size_t i = 0; i < rule_count; i++) {
        const struct rule *found, *rule = &rules[i];
        if (rule->when) continue;
        for (unsigned bit = 0; bit < 32; bit++) {
            if (!((rule->must | rule->may) >> bit & 1)) continue;
            message_begin(rule->exchange, rule->kind == MESSAGE_RESPONSE);
            add_all(rule->must | UINT32_C(1) << bit);
            add((uint8_t)(PAYLOAD_SA + bit));
            enum fault expected = repeatable >> bit & 1 ? OK : FAULT_PAYLOAD_TWICE;
            assert_int_equal(rule_find(a_state_of(rule), &message, &found), expected);
        }
    }
}

// RFC 7296 1.3.1 to 1.3.3 test
static void the_three_uses_of_create_child_sa_are_told_apart(void **state)
{
    (void)state;
    const struct rule *rule;
    uint32_t child = PAYLOAD_BIT(PAYLOAD_SA) | PAYLOAD_BIT(PAYLOAD_NONCE) |
                     PAYLOAD_BIT(PAYLOAD_TSI) | PAYLOAD_BIT(PAYLOAD_TSR);
    message_begin(EXCHANGE_CREATE_CHILD_SA, false);
    add_all(child);
    assert_int_equal(rule_find(ESTABLISHED, &message, &rule), OK);
    assert_ptr_equal(rule->recipe, &child_answer);

    message_begin(EXCHANGE_CREATE_CHILD_SA, false);
    add_all(child);
    static const uint8_t rekey[] = {
        PROTOCOL_ESP, 4, NOTIFY_REKEY_SA >> 8, NOTIFY_REKEY_SA & 0xff, 1, 2, 3, 4};
    payloads.at[payloads.count++] =
        (struct payload){.type = PAYLOAD_NOTIFY, .body = BYTES_ARRAY(rekey)};
    assert_int_equal(rule_find(ESTABLISHED, &message, &rule), OK);
    assert_ptr_equal(rule->recipe, &rekey_child_answer);

    message_begin(EXCHANGE_CREATE_CHILD_SA, false);
    add_all(PAYLOAD_BIT(PAYLOAD_SA) | PAYLOAD_BIT(PAYLOAD_NONCE) | PAYLOAD_BIT(PAYLOAD_KE));
    assert_int_equal(rule_find(ESTABLISHED, &message, &rule), OK);
    assert_ptr_equal(rule->recipe, &rekey_ike_answer);

    message_begin(EXCHANGE_CREATE_CHILD_SA, false);
    add_all(PAYLOAD_BIT(PAYLOAD_SA) | PAYLOAD_BIT(PAYLOAD_NONCE));
    assert_int_equal(rule_find(ESTABLISHED, &message, &rule), FAULT_PAYLOAD_MISSING);
}

// RFC 7296 2.5 test
static void unknown_payloads_are_passed_over_unless_critical(void **state)
{
    (void)state;
    const struct rule *rule;
    message_begin(EXCHANGE_INFORMATIONAL, false);
    add(200);
    assert_int_equal(rule_find(ESTABLISHED, &message, &rule), OK);
    payloads.at[0].critical = true;
    assert_int_equal(rule_find(ESTABLISHED, &message, &rule), FAULT_PAYLOAD_CRITICAL);
}

// RFC 7296 2.21 test
static void a_response_with_an_error_need_not_be_complete(void **state)
{
    (void)state;
    const struct rule *rule;
    static const uint8_t error[] = {0, 0, 0, NOTIFY_NO_PROPOSAL_CHOSEN};
    static const uint8_t status[] = {0, 0, NOTIFY_INITIAL_CONTACT >> 8,
                                     NOTIFY_INITIAL_CONTACT & 0xff};
    message_begin(EXCHANGE_IKE_SA_INIT, true);
    payloads.at[payloads.count++] =
        (struct payload){.type = PAYLOAD_NOTIFY, .body = BYTES_ARRAY(error)};
    assert_int_equal(rule_find(EXPECT_SA_INIT, &message, &rule), OK);
    payloads.at[0].body = BYTES_ARRAY(status);
    assert_int_equal(rule_find(EXPECT_SA_INIT, &message, &rule), FAULT_PAYLOAD_MISSING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_and_exchange_is_decided),
        cmocka_unit_test(each_payload_that_must_be_there_is_missed),
        cmocka_unit_test(what_may_be_there_once_is_not_there_twice),
        cmocka_unit_test(the_three_uses_of_create_child_sa_are_told_apart),
        cmocka_unit_test(unknown_payloads_are_passed_over_unless_critical),
        cmocka_unit_test(a_response_with_an_error_need_not_be_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
