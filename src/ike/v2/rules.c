// SPDX-License-Identifier: Apache-2.0
// Which message is allowed in which state, with which payloads, and what is done with it.
#include "ike/internal.h"

// clang-format off
#define IN(state)  (1u << (state))
#define SA_        PAYLOAD_BIT(PAYLOAD_SA)
#define KE_        PAYLOAD_BIT(PAYLOAD_KE)
#define NONCE_     PAYLOAD_BIT(PAYLOAD_NONCE)
#define IDI_       PAYLOAD_BIT(PAYLOAD_IDI)
#define IDR_       PAYLOAD_BIT(PAYLOAD_IDR)
#define CERT_      PAYLOAD_BIT(PAYLOAD_CERT)
#define CERTREQ_   PAYLOAD_BIT(PAYLOAD_CERTREQ)
#define AUTH_      PAYLOAD_BIT(PAYLOAD_AUTH)
#define CP_        PAYLOAD_BIT(PAYLOAD_CP)
#define TS_        (PAYLOAD_BIT(PAYLOAD_TSI) | PAYLOAD_BIT(PAYLOAD_TSR))
#define N_         PAYLOAD_BIT(PAYLOAD_NOTIFY)
#define D_         PAYLOAD_BIT(PAYLOAD_DELETE)
#define EAP_       PAYLOAD_BIT(PAYLOAD_EAP)
#define V_         PAYLOAD_BIT(PAYLOAD_VENDOR)
#define UP_        (IN(ESTABLISHED) | IN(REKEYED) | IN(DELETING))
// clang-format on

// RFC 7296 1.3.1 to 1.3.3: the three uses of CREATE_CHILD_SA differ in what they hold.
static bool asks_for_rekey_of_ike(const struct message *message)
{
    return !message_first(message, PAYLOAD_TSI);
}

static bool asks_for_rekey_of_child(const struct message *message)
{
    struct notify notify;
    return message_notify(message, NOTIFY_REKEY_SA, &notify);
}

// RFC 7296 2.16: AUTH ends a login, EAP messages come before it.
static bool has_eap(const struct message *message)
{
    return message_first(message, PAYLOAD_EAP);
}

static bool refuses_us(const struct message *message)
{
    struct notify notify;
    return message_notify(message, NOTIFY_AUTHENTICATION_FAILED, &notify);
}

// The first row that fits exchange, kind, state and condition counts. Payloads in neither column
// are passed over.
// clang-format off
const struct rule rules[] = {
//   exchange                  message           state               must have                 may have                              when                     recipe
    {EXCHANGE_IKE_SA_INIT,     MESSAGE_REQUEST,  IN(NOTHING),        SA_ | KE_ | NONCE_,       N_ | V_,                              NULL,                    &sa_init_answer},
    {EXCHANGE_IKE_SA_INIT,     MESSAGE_RESPONSE, IN(EXPECT_SA_INIT), SA_ | KE_ | NONCE_,       N_ | V_ | CERTREQ_,                   NULL,                    NULL},
    {EXCHANGE_IKE_SESSION_RESUME, MESSAGE_REQUEST, IN(NOTHING),      NONCE_,                   N_ | V_,                              NULL,                    &resume_answer},
    {EXCHANGE_IKE_SESSION_RESUME, MESSAGE_RESPONSE, IN(EXPECT_SA_INIT), NONCE_,             N_ | V_,                              NULL,                    NULL},
    {EXCHANGE_IKE_AUTH,        MESSAGE_REQUEST,  IN(EXPECT_AUTH),    IDI_,                     IDR_ | CERT_ | CERTREQ_ | AUTH_ | CP_ | SA_ | TS_ | N_ | V_, NULL, &auth_answer},
    {EXCHANGE_IKE_AUTH,        MESSAGE_RESPONSE, IN(EXPECT_AUTH),    IDR_ | EAP_,              CERT_ | AUTH_ | N_ | V_,              has_eap,                 NULL},
    {EXCHANGE_IKE_AUTH,        MESSAGE_RESPONSE, IN(EXPECT_AUTH),    IDR_ | AUTH_,             CERT_ | CP_ | SA_ | TS_ | N_ | V_,    NULL,                    NULL},
    {EXCHANGE_IKE_AUTH,        MESSAGE_REQUEST,  IN(EXPECT_ROUND),   0,                        IDI_ | CERT_ | AUTH_ | N_ | V_,       NULL,                    &auth_round_answer},
    {EXCHANGE_IKE_AUTH,        MESSAGE_RESPONSE, IN(EXPECT_ROUND),   0,                        IDR_ | CERT_ | AUTH_ | EAP_ | CP_ | SA_ | TS_ | N_ | V_, NULL, NULL},
    {EXCHANGE_IKE_AUTH,        MESSAGE_REQUEST,  IN(EXPECT_EAP),     EAP_,                     N_ | V_,                              has_eap,                 &eap_answer},
    {EXCHANGE_IKE_AUTH,        MESSAGE_REQUEST,  IN(EXPECT_EAP),     AUTH_,                    N_ | V_,                              NULL,                    &eap_auth_answer},
    {EXCHANGE_IKE_AUTH,        MESSAGE_RESPONSE, IN(EXPECT_EAP),     EAP_,                     N_ | V_,                              has_eap,                 NULL},
    {EXCHANGE_IKE_AUTH,        MESSAGE_RESPONSE, IN(EXPECT_EAP),     AUTH_,                    CP_ | SA_ | TS_ | N_ | V_,            NULL,                    NULL},
    {EXCHANGE_IKE_INTERMEDIATE, MESSAGE_REQUEST, IN(EXPECT_AUTH),    0,                        KE_ | N_ | V_,                        NULL,                    &intermediate_answer},
    {EXCHANGE_IKE_INTERMEDIATE, MESSAGE_RESPONSE, IN(EXPECT_AUTH),   0,                        KE_ | N_ | V_,                        NULL,                    NULL},
    {EXCHANGE_IKE_FOLLOWUP_KE, MESSAGE_REQUEST,  UP_,                KE_,                      N_ | V_,                              NULL,                    &followup_answer},
    {EXCHANGE_IKE_FOLLOWUP_KE, MESSAGE_RESPONSE, UP_,                KE_,                      N_ | V_,                              NULL,                    NULL},
    {EXCHANGE_CREATE_CHILD_SA, MESSAGE_REQUEST,  UP_,                SA_ | NONCE_ | KE_,       N_ | V_,                              asks_for_rekey_of_ike,   &rekey_ike_answer},
    {EXCHANGE_CREATE_CHILD_SA, MESSAGE_REQUEST,  UP_,                SA_ | NONCE_ | TS_,       KE_ | CP_ | N_ | V_,                  asks_for_rekey_of_child, &rekey_child_answer},
    {EXCHANGE_CREATE_CHILD_SA, MESSAGE_REQUEST,  UP_,                SA_ | NONCE_ | TS_,       KE_ | CP_ | N_ | V_,                  NULL,                    &child_answer},
    {EXCHANGE_CREATE_CHILD_SA, MESSAGE_RESPONSE, UP_,                SA_ | NONCE_,             KE_ | CP_ | TS_ | N_ | V_,            NULL,                    NULL},
    {EXCHANGE_INFORMATIONAL,   MESSAGE_REQUEST,  IN(EXPECT_ROUND) | IN(EXPECT_EAP), N_,        D_ | V_,                              refuses_us,              &auth_refused_answer},
    {EXCHANGE_INFORMATIONAL,   MESSAGE_REQUEST,  UP_,                0,                        D_ | CP_ | N_ | V_,                   NULL,                    &informational_answer},
    {EXCHANGE_INFORMATIONAL,   MESSAGE_RESPONSE, UP_,                0,                        D_ | CP_ | N_ | V_,                   NULL,                    NULL},
};
// clang-format on
const size_t rule_count = sizeof rules / sizeof *rules;

// These may be there several times; all others once.
static const uint32_t repeatable = N_ | V_ | CERT_ | CERTREQ_ | D_;

static bool rule_fits(const struct rule *rule, enum sa_state state, const struct message *message)
{
    enum message_kind kind =
        message->header.flags & FLAG_RESPONSE ? MESSAGE_RESPONSE : MESSAGE_REQUEST;
    return rule->exchange == message->header.exchange && rule->kind == kind &&
           rule->states >> state & 1 && (!rule->when || rule->when(message));
}

static enum fault payloads_check(const struct rule *rule, const struct message *message)
{
    uint32_t there = 0;
    for (size_t i = 0; i < message->payloads->count; i++) {
        uint8_t type = message->payloads->at[i].type;
        if (type < PAYLOAD_SA || type >= PAYLOAD_SA + 32) continue;
        uint32_t bit = PAYLOAD_BIT(type);
        if (!((rule->must | rule->may) & bit)) continue;
        if (there & bit & ~repeatable) return FAULT_PAYLOAD_TWICE;
        there |= bit;
    }
    // RFC 7296 2.21: a response that says what went wrong need not hold what would have been there
    // otherwise.
    struct notify notify;
    bool excused =
        rule->kind == MESSAGE_RESPONSE &&
        ((rule->states == IN(EXPECT_SA_INIT) && message_notify(message, NOTIFY_REDIRECT, &notify)) ||
         message_error(message, &notify) || message_notify(message, NOTIFY_COOKIE, &notify) ||
         message_notify(message, NOTIFY_TICKET_NACK, &notify));
    return (rule->must & ~there) && !excused ? FAULT_PAYLOAD_MISSING : OK;
}

enum fault rule_find(enum sa_state state, const struct message *message, const struct rule **out)
{
    // RFC 7296 2.5: what is critical and not understood makes the whole message be refused.
    if (payloads_unknown_critical(message->payloads)) return FAULT_PAYLOAD_CRITICAL;
    for (size_t i = 0; i < rule_count; i++) {
        if (!rule_fits(&rules[i], state, message)) continue;
        *out = &rules[i];
        return payloads_check(&rules[i], message);
    }
    return FAULT_MESSAGE_UNEXPECTED;
}
