// SPDX-License-Identifier: Apache-2.0
// IKE messages. The first byte of the input is 0 for a whole message, else it is the type of the
// first payload of a chain as it lies inside an encrypted payload; the rest is the message or the
// chain.
//
// Must reach: every branch of src/wire but those that end in an assert. Holds against every input:
// what is accepted can be written, read again and written to the same bytes; what is printed is
// printable and keeps to its room.
#include "fuzz.h"
#include "rewrite.h"
#include <stdio.h>
#include <stdlib.h>

static void demand(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "fuzz_message: %s\n", what);
    abort();
}

static void check_print(const struct payloads *payloads)
{
    static const size_t limits[] = {4, 16, 100, 4000, 100000};
    static uint8_t text[100000];
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct wr out = wr_over(text, limits[i]);
        payloads_print(payloads, &out);
        demand(wr_end(&out) == OK, "the line does not fit its room");
        for (size_t k = 0; k < out.size; k++)
            demand(text[k] >= ' ' && text[k] <= '~', "something unprintable is printed");
    }
}

// Writes the chain of what was understood; it must be a chain of the same types again.
static void check_chain_written(const struct payloads *payloads)
{
    static uint8_t space[1 + IKE_MESSAGE_MAX];
    struct wr out = wr_over(space, sizeof space);
    wr_u8(&out, PAYLOAD_NONE);
    struct chain chain = chain_begin(&out, 0);
    for (size_t i = 0; i < payloads->count; i++) {
        chain_open(&chain, payloads->at[i].type);
        struct wr before = out;
        if (body_rewrite(payloads->at[i].type, payloads->at[i].body, &out) != OK) {
            out = before;
            wr_bytes(&out, payloads->at[i].body);
        }
        chain_close(&chain);
    }
    demand(wr_end(&out) == OK, "a chain is written longer than it came");
    struct payloads again;
    uint8_t sealed_next;
    struct bytes written = bytes_of(space + 1, out.size - 1);
    demand(payloads_read(space[0], written, &again, &sealed_next) == OK,
           "a written chain is not read");
    demand(again.count == payloads->count, "a written chain has other payloads");
    for (size_t i = 0; i < again.count; i++)
        demand(again.at[i].type == payloads->at[i].type, "a written chain has other types");
}

static void check_chain(uint8_t first, struct bytes chain, uint8_t *sealed_next)
{
    struct payloads payloads;
    if (payloads_read(first, chain, &payloads, sealed_next) != OK) return;
    for (size_t i = 0; i < payloads.count; i++) {
        const struct payload *payload = &payloads.at[i];
        demand(payload->whole.size == payload->body.size + 4, "a payload has two sizes");
        const char *complaint = body_complaint(payload->type, payload->body);
        demand(!complaint, complaint);
    }
    uint8_t critical = payloads_unknown_critical(&payloads);
    demand(!critical || payloads_first(&payloads, critical),
           "a payload is reported that is not there");
    check_print(&payloads);
    check_chain_written(&payloads);
}

// The length in the header hardly survives a mutation, so a message with a wrong one is looked at
// all the same.
static void check_message(struct bytes message)
{
    struct ike_header header, again;
    enum fault fault = ike_header_read(message, &header);
    if (fault != OK && fault != FAULT_HEADER_LENGTH) return;
    uint8_t space[IKE_HEADER_SIZE], twice[IKE_HEADER_SIZE];
    struct wr out = wr_over(space, sizeof space);
    ike_header_write(&out, &header);
    enum fault written = ike_header_read(wr_done(&out), &again);
    demand(written == OK || written == FAULT_HEADER_LENGTH, "a written header is not read");
    struct wr out_twice = wr_over(twice, sizeof twice);
    ike_header_write(&out_twice, &again);
    demand(bytes_equal(wr_done(&out), wr_done(&out_twice)), "a header is written in two ways");

    uint8_t sealed_next;
    check_chain(header.next, bytes_of(message.at + IKE_HEADER_SIZE, message.size - IKE_HEADER_SIZE),
                &sealed_next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > IKE_MESSAGE_MAX) return 0;
    struct bytes rest = bytes_of(data + 1, size - 1);
    if (data[0] == PAYLOAD_NONE)
        check_message(rest);
    else
        check_chain(data[0], rest, NULL);
    return 0;
}
