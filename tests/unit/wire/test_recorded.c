// SPDX-License-Identifier: Apache-2.0
// Exchanges recorded between real daemons: every chain is decoded, and every body written again to
// the same bytes. The lines of the file are described in the README beside it.
#include "wire.h"

enum { PARTS_MAX = 64, MESSAGES_LEAST = 500, BODIES_LEAST = 2000 };

struct parts {  // what another program found in a chain
    size_t count;
    struct {
        uint8_t type;
        size_t size;
    } at[PARTS_MAX];
};

struct tally {
    char run[64];
    unsigned messages, bodies, of_type[256];
};

// Security labels (RFC 9478) are selectors that are passed over, so what is written lacks them.
static bool loses_a_label(const struct tally *tally, uint8_t type)
{
    return strcmp(tally->run, "fake-label") == 0 && (type == PAYLOAD_TSI || type == PAYLOAD_TSR);
}

static void body_check(const struct tally *tally, uint8_t type, struct bytes body)
{
    uint8_t space[IKE_MESSAGE_MAX];
    struct wr out = wr_over(space, sizeof space);
    enum fault fault = body_rewrite(type, body, &out);
    if (fault == OK && bytes_equal(wr_done(&out), body)) return;
    if (fault == OK && loses_a_label(tally, type) && out.size && out.size < body.size) return;
    char text[4096];
    fail_msg("%s, message %u: payload %u, %s, body %s", tally->run, tally->messages + 1, type,
             fault_name(fault), bytes_hex(body, text, sizeof text));
}

// What stands behind the line's first word, or NULL when that is another one.
static char *line_rest(char *line, const char *word)
{
    size_t size = strlen(word);
    if (strncmp(line, word, size) != 0 || line[size] != ' ') return NULL;
    line[strcspn(line, "\n")] = '\0';
    return line + size + 1;
}

static struct parts parts_of(const char *text)
{
    struct parts parts = {0};
    if (strcmp(text, "-") == 0) return parts;
    for (char *at = (char *)(uintptr_t)text, *end; *at; at = end) {
        assert_true(parts.count < PARTS_MAX);
        parts.at[parts.count].type = (uint8_t)strtoul(at, &end, 10);
        assert_int_equal(*end, '/');
        parts.at[parts.count++].size = strtoul(end + 1, &end, 10);
    }
    return parts;
}

static struct bytes hex_of(const char *text, uint8_t *space)
{
    if (strcmp(text, "-") == 0) return BYTES_NONE;
    return hex_into(text, strlen(text), space);
}

static void check_bodies(const struct payloads *payloads, struct tally *tally)
{
    for (size_t i = 0; i < payloads->count; i++) {
        const struct payload *payload = &payloads->at[i];
        body_check(tally, payload->type, payload->body);
        tally->of_type[payload->type]++;
        tally->bodies++;
    }
}

static void check_parts(const struct payloads *payloads, const struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        assert_int_equal(payloads->at[i].type, parts->at[i].type);
        assert_int_equal(payloads->at[i].body.size, parts->at[i].size);
    }
}

// The chain is the parts, and behind them at most the payload that is sealed, which is no part.
static void check_message(struct bytes message, const struct parts *clear, struct tally *tally)
{
    struct ike_header header;
    struct payloads payloads;
    uint8_t sealed_next, space[IKE_HEADER_SIZE];
    CHECK_FAULT(ike_header_read(message, &header), OK);
    struct wr out = wr_over(space, sizeof space);
    ike_header_write(&out, &header);
    check_bytes(wr_done(&out), bytes_of(message.at, IKE_HEADER_SIZE));

    struct bytes chain = bytes_of(message.at + IKE_HEADER_SIZE, message.size - IKE_HEADER_SIZE);
    CHECK_FAULT(payloads_read(header.next, chain, &payloads, &sealed_next), OK);
    bool sealed = payloads_first(&payloads, PAYLOAD_SK) || payloads_first(&payloads, PAYLOAD_SKF);
    assert_int_equal(payloads.count, clear->count + sealed);
    assert_int_equal(payloads_unknown_critical(&payloads), 0);
    check_parts(&payloads, clear);
    check_bodies(&payloads, tally);
    tally->messages++;
}

// The chain is also written as a whole.
static void check_inner(uint8_t first, struct bytes chain, const struct parts *parts,
                        struct tally *tally)
{
    struct payloads payloads;
    CHECK_FAULT(payloads_read(first, chain, &payloads, NULL), OK);
    assert_int_equal(payloads.count, parts->count);
    check_parts(&payloads, parts);
    check_bodies(&payloads, tally);

    static uint8_t space[1 + IKE_MESSAGE_MAX];
    struct wr out = wr_over(space, sizeof space);
    wr_u8(&out, PAYLOAD_NONE);
    struct chain written = chain_begin(&out, 0);
    for (size_t i = 0; i < payloads.count; i++) {
        chain_open(&written, payloads.at[i].type);
        if (loses_a_label(tally, payloads.at[i].type))
            wr_bytes(&out, payloads.at[i].body);
        else
            assert_int_equal(body_rewrite(payloads.at[i].type, payloads.at[i].body, &out), OK);
        chain_close(&written);
    }
    assert_int_equal(space[0], first);
    check_bytes(bytes_of(space + 1, out.size - 1), chain);
}

static void check_recording(FILE *file, struct tally *tally)
{
    char *line = NULL, *rest;
    size_t room = 0;
    uint8_t first = 0;
    static uint8_t message_space[IKE_MESSAGE_MAX], inner_space[IKE_MESSAGE_MAX];
    struct bytes message = BYTES_NONE, inner = BYTES_NONE;
    while (getline(&line, &room, file) > 0) {
        if ((rest = line_rest(line, "message"))) {
            message = hex_of(rest, message_space);
        } else if ((rest = line_rest(line, "clear"))) {
            struct parts parts = parts_of(rest);
            check_message(message, &parts, tally);
        } else if ((rest = line_rest(line, "inner"))) {
            first = (uint8_t)strtoul(rest, &rest, 10);
            inner = hex_of(rest + 1, inner_space);
        } else if ((rest = line_rest(line, "parts"))) {
            struct parts parts = parts_of(rest);
            check_inner(first, inner, &parts, tally);
        } else if ((rest = line_rest(line, "run"))) {
            snprintf(tally->run, sizeof tally->run, "%s", rest);
        } else {
            assert_int_equal(line[0], '#');
        }
    }
    free(line);
}

// RFC 7296 3 test
static void recorded_messages_are_decoded_and_written_to_the_same_bytes(void **state)
{
    (void)state;
    FILE *file = fopen(VECTORS "/exchanges/ikev2.txt", "r");
    assert_non_null(file);
    struct tally tally = {0};
    check_recording(file, &tally);
    fclose(file);

    assert_true(tally.messages >= MESSAGES_LEAST && tally.bodies >= BODIES_LEAST);
    static const uint8_t seen[] = {PAYLOAD_SA,   PAYLOAD_KE,      PAYLOAD_IDI,    PAYLOAD_IDR,
                                   PAYLOAD_CERT, PAYLOAD_CERTREQ, PAYLOAD_AUTH,   PAYLOAD_NONCE,
                                   PAYLOAD_TSI,  PAYLOAD_NOTIFY,  PAYLOAD_DELETE, PAYLOAD_TSR,
                                   PAYLOAD_SK,   PAYLOAD_CP,      PAYLOAD_EAP,    PAYLOAD_SKF};
    for (size_t i = 0; i < COUNT(seen); i++)
        if (!tally.of_type[seen[i]]) fail_msg("no payload of type %u", seen[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_messages_are_decoded_and_written_to_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
