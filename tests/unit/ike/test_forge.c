// SPDX-License-Identifier: Apache-2.0
// Messages that a good peer would not send: forged ones change nothing; genuine ones that are wrong
// get the right answer.
#include "ike/internal.h"
#include "pair.h"

// --- one end's keys in the hands of the test

static struct sa *sa_of(struct host *host)
{
    return LIST_FIRST(struct sa, link, &host->core->sas);
}

typedef void (*writer)(struct draft *draft);

static void deliver_packets(struct pair *p, struct packets packets)
{
    struct path path = {{p->b.addr, 500}, {p->a.addr, 500}, false};
    datagram(p, &p->b, &path, packets.at, packets.size);
    free(packets.at);
}

// a's end seals a request that b gets at once.
static void send_request(struct pair *p, uint8_t exchange, writer write)
{
    struct sa *sa = sa_of(&p->a);
    struct draft draft;
    draft_begin(p->a.core, &draft);
    if (write) write(&draft);
    deliver_packets(p, draft_seal(sa, &draft, exchange, MESSAGE_REQUEST, sa->send_id++));
}

static void assert_answer(struct pair *p, uint16_t notify_type)
{
    // The last thing that b sent is on its way to a.
    assert_true(p->flight_count > 0);
    struct flight *flight = &p->flights[p->flight_count - 1];
    struct message message = {.raw = bytes_of(flight->bytes, flight->size)};
    struct arena arena = {0};
    struct notify notify = {0};
    assert_int_equal(ike_header_read(message.raw, &message.header), OK);
    assert_int_equal(message_open(sa_of(&p->a), &message, &arena), OK);
    bool error = message_error(&message, &notify);
    assert_int_equal(error ? notify.type : 0, notify_type);
    arena_free(&arena);
    free(flight->bytes);
    p->flight_count--;
}

static void ask_version(struct draft *draft)
{
    static const struct cp_payload cp = {
        .type = CFG_REQUEST, .count = 1, .at = {{.type = ATTR_APPLICATION_VERSION}}};
    cp_write(draft_open(draft, PAYLOAD_CP), &cp);
    draft_close(draft);
}

// RFC 7296 2.20 test
static void a_peer_may_ask_for_the_version(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    send_request(p, EXCHANGE_INFORMATIONAL, ask_version);
    struct flight *flight = &p->flights[p->flight_count - 1];
    struct message message = {.raw = bytes_of(flight->bytes, flight->size)};
    struct arena arena = {0};
    struct cp_payload cp;
    assert_int_equal(ike_header_read(message.raw, &message.header), OK);
    assert_int_equal(message_open(sa_of(&p->a), &message, &arena), OK);
    const struct payload *payload = message_first(&message, PAYLOAD_CP);
    assert_non_null(payload);
    assert_int_equal(cp_read(payload->body, &cp), OK);
    assert_int_equal(cp.type, CFG_REPLY);
    assert_int_equal(cp.count, 1);
    assert_true(bytes_equal(cp.at[0].value, BYTES("cygnet " CYGNET_VERSION)));
    arena_free(&arena);
    pair_free(p);
}

static void write_sa_payload(struct draft *draft, uint32_t spi, uint8_t protocol)
{
    static struct proposals proposals;
    struct bytes bad;
    memset(&proposals, 0, sizeof proposals);
    proposals.count = 1;
    assert_int_equal(proposal_parse("aes128gcm16", PROTOCOL_ESP, &proposals.at[0], &bad), OK);
    proposals.at[0].protocol = protocol;
    proposals.at[0].spi_size = 4;
    struct wr out = wr_over(proposals.at[0].spi, 4);
    wr_u32(&out, spi);
    sa_write(draft_open(draft, PAYLOAD_SA), &proposals);
    draft_close(draft);
}

static void write_ts(struct draft *draft, uint8_t type, const char *text)
{
    struct selectors set = {.count = 1};
    assert_int_equal(selector_parse(text, &set.at[0]), OK);
    ts_write(draft_open(draft, type), &set);
    draft_close(draft);
}

static const uint8_t nonce[32] = {1, 2, 3};

static void write_nonce(struct draft *draft)
{
    draft_bytes(draft, PAYLOAD_NONCE, BYTES_ARRAY(nonce));
}

static void write_child(struct draft *draft)
{
    write_sa_payload(draft, 0x12345678, PROTOCOL_ESP);
    write_nonce(draft);
    write_ts(draft, PAYLOAD_TSI, "10.1.0.0/16");
    write_ts(draft, PAYLOAD_TSR, "10.2.0.0/16");
}

// --- wrong requests, one a row: what is sent, the fault, the notify, and whether the IKE SA lives
// on

static void critical(struct draft *draft)
{
    static const uint8_t body[] = {1, 2, 3, 4};
    draft_bytes(draft, 200, BYTES_ARRAY(body));
    draft->out.at[2] = 0x80;
}
static void twice(struct draft *draft)
{
    write_child(draft);
    write_nonce(draft);
}
static void without_nonce(struct draft *draft)
{
    write_sa_payload(draft, 0x12345678, PROTOCOL_ESP);
    write_ts(draft, PAYLOAD_TSI, "10.1.0.0/16");
    write_ts(draft, PAYLOAD_TSR, "10.2.0.0/16");
}
static void reserved_spi(struct draft *draft)
{
    write_sa_payload(draft, 255, PROTOCOL_ESP);
    write_nonce(draft);
    write_ts(draft, PAYLOAD_TSI, "10.1.0.0/16");
    write_ts(draft, PAYLOAD_TSR, "10.2.0.0/16");
}
static void rekey_of_nothing(struct draft *draft)
{
    static const uint8_t spi[] = {9, 9, 9, 9};
    draft_notify_spi(draft, PROTOCOL_ESP, BYTES_ARRAY(spi), NOTIFY_REKEY_SA, BYTES_NONE);
    write_child(draft);
}
static void other_selectors(struct draft *draft)
{
    write_sa_payload(draft, 0x12345678, PROTOCOL_ESP);
    write_nonce(draft);
    write_ts(draft, PAYLOAD_TSI, "172.16.0.0/16");
    write_ts(draft, PAYLOAD_TSR, "10.2.0.0/16");
}
static void broken_ts(struct draft *draft)
{
    static const uint8_t body[] = {1, 0, 0, 0, 7, 0, 0, 16};
    write_sa_payload(draft, 0x12345678, PROTOCOL_ESP);
    write_nonce(draft);
    draft_bytes(draft, PAYLOAD_TSI, BYTES_ARRAY(body));
    write_ts(draft, PAYLOAD_TSR, "10.2.0.0/16");
}
static void broken_delete(struct draft *draft)
{
    static const uint8_t body[] = {PROTOCOL_ESP, 8, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8};
    draft_bytes(draft, PAYLOAD_DELETE, BYTES_ARRAY(body));
}
static void delete_of_nothing(struct draft *draft)
{
    static const uint8_t body[] = {PROTOCOL_ESP, 4, 0, 1, 9, 9, 9, 9};
    draft_bytes(draft, PAYLOAD_DELETE, BYTES_ARRAY(body));
}
static void unknown_things(struct draft *draft)
{
    static const uint8_t body[] = {1, 2, 3};
    draft_notify(draft, 40999, BYTES_ARRAY(body));
    draft_notify(draft, 16500, BYTES_NONE);
    draft_bytes(draft, 201, BYTES_ARRAY(body));
    draft_bytes(draft, PAYLOAD_VENDOR, BYTES_ARRAY(body));
}

// RFC 9370 2.2.4 test: a link that leads to nothing.
static void followup_of_nothing(struct draft *draft)
{
    static const uint8_t link[] = {1, 2, 3, 4, 5, 6, 7, 8}, value[32] = {9};
    ke_write(draft_open(draft, PAYLOAD_KE), KE_CURVE_25519, BYTES_ARRAY(value));
    draft_close(draft);
    draft_notify(draft, NOTIFY_ADDITIONAL_KEY_EXCHANGE, BYTES_ARRAY(link));
}
static void followup_without_link(struct draft *draft)
{
    static const uint8_t value[32] = {9};
    ke_write(draft_open(draft, PAYLOAD_KE), KE_CURVE_25519, BYTES_ARRAY(value));
    draft_close(draft);
}
static void intermediate_late(struct draft *draft)
{
    followup_without_link(draft);
}

enum after { LIVES, ENDS };
static const struct {
    const char *name;
    uint8_t exchange;
    writer write;
    enum fault fault;
    uint16_t notify;
    enum after after;
} wrong[] = {
    {"unknown critical payload", EXCHANGE_INFORMATIONAL, critical, FAULT_PAYLOAD_CRITICAL,
     NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD, LIVES},
    {"payload twice", EXCHANGE_CREATE_CHILD_SA, twice, FAULT_PAYLOAD_TWICE, NOTIFY_INVALID_SYNTAX,
     ENDS},
    {"no nonce", EXCHANGE_CREATE_CHILD_SA, without_nonce, FAULT_PAYLOAD_MISSING,
     NOTIFY_INVALID_SYNTAX, ENDS},
    {"IKE_AUTH again", EXCHANGE_IKE_AUTH, write_child, FAULT_MESSAGE_UNEXPECTED,
     NOTIFY_INVALID_SYNTAX, ENDS},
    {"reserved SPI", EXCHANGE_CREATE_CHILD_SA, reserved_spi, FAULT_SPI_WRONG, NOTIFY_INVALID_SYNTAX,
     ENDS},
    {"rekey of nothing", EXCHANGE_CREATE_CHILD_SA, rekey_of_nothing, FAULT_CHILD_NOT_FOUND,
     NOTIFY_CHILD_SA_NOT_FOUND, LIVES},
    {"other selectors", EXCHANGE_CREATE_CHILD_SA, other_selectors, FAULT_TS_UNACCEPTABLE,
     NOTIFY_TS_UNACCEPTABLE, LIVES},
    {"broken selectors", EXCHANGE_CREATE_CHILD_SA, broken_ts, FAULT_TS_LENGTH,
     NOTIFY_INVALID_SYNTAX, ENDS},
    {"broken delete", EXCHANGE_INFORMATIONAL, broken_delete, FAULT_DELETE_SPI_SIZE,
     NOTIFY_INVALID_SYNTAX, ENDS},
    {"followup of nothing", EXCHANGE_IKE_FOLLOWUP_KE, followup_of_nothing, FAULT_KE_LINK,
     NOTIFY_STATE_NOT_FOUND, LIVES},
    {"followup without a link", EXCHANGE_IKE_FOLLOWUP_KE, followup_without_link, FAULT_KE_LINK,
     NOTIFY_STATE_NOT_FOUND, LIVES},
    {"IKE_INTERMEDIATE late", EXCHANGE_IKE_INTERMEDIATE, intermediate_late,
     FAULT_MESSAGE_UNEXPECTED, NOTIFY_INVALID_SYNTAX, ENDS},
    {"delete of nothing", EXCHANGE_INFORMATIONAL, delete_of_nothing, OK, 0, LIVES},
    {"unknown things", EXCHANGE_INFORMATIONAL, unknown_things, OK, 0, LIVES},
};

// RFC 7296 2.5, 2.21.3 test
static void wrong_requests_get_the_right_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct pair *p = pair_up();
        send_request(p, wrong[i].exchange, wrong[i].write);
        if (wrong[i].fault && !said(&p->b, wrong[i].fault)) {
            print_error("%s\n", wrong[i].name);
            print_lines(&p->b);
        }
        if (wrong[i].fault) assert_non_null(said(&p->b, wrong[i].fault));
        assert_answer(p, wrong[i].notify);
        assert_int_equal(sas_up(&p->b), wrong[i].after == LIVES ? 1 : 0);
        assert_int_equal(children(&p->b), wrong[i].after == LIVES ? 1 : 0);
        pair_free(p);
    }
}

static void child_with_offers(struct draft *draft)
{
    static const uint16_t offers[] = {NOTIFY_NON_FIRST_FRAGMENTS_ALSO, NOTIFY_USE_WESP_MODE};
    for (size_t i = 0; i < 2; i++) draft_notify(draft, offers[i], BYTES_NONE);
    write_child(draft);
}

// RFC 7296 3.10.1 test, RFC 4301 7.2 test, RFC 5840 2.3 test: later fragments in an SA for ports, and
// wrapped ESP, are declined by silence; the child comes without.
static void what_is_not_done_is_not_agreed_to(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    send_request(p, EXCHANGE_CREATE_CHILD_SA, child_with_offers);
    assert_int_equal(children(&p->b), 2);
    struct flight *flight = &p->flights[p->flight_count - 1];
    struct message message = {.raw = bytes_of(flight->bytes, flight->size)};
    struct arena arena = {0};
    struct notify notify;
    assert_int_equal(ike_header_read(message.raw, &message.header), OK);
    assert_int_equal(message_open(sa_of(&p->a), &message, &arena), OK);
    assert_non_null(message_first(&message, PAYLOAD_TSR));
    assert_false(message_notify(&message, NOTIFY_NON_FIRST_FRAGMENTS_ALSO, &notify));
    assert_false(message_notify(&message, NOTIFY_USE_WESP_MODE, &notify));
    arena_free(&arena);
    pair_free(p);
}

// --- forged and damaged

// RFC 7296 2.21.4 test: nothing that is not protected changes an established SA.
static void what_is_not_sealed_changes_nothing(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    struct sa *sa = sa_of(&p->a);
    static const uint16_t types[] = {NOTIFY_INVALID_IKE_SPI, NOTIFY_AUTHENTICATION_FAILED,
                                     NOTIFY_INVALID_SYNTAX};
    for (unsigned response = 0; response < 2; response++) {
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            struct ike_header header = {.spi_i = sa->spi_i,
                                        .spi_r = sa->spi_r,
                                        .major = 2,
                                        .exchange = EXCHANGE_INFORMATIONAL,
                                        .flags = FLAG_INITIATOR | (response ? FLAG_RESPONSE : 0),
                                        .message_id = sa->send_id};
            struct draft draft;
            draft_begin_clear(p->a.core, &draft, &header);
            draft_notify(&draft, types[i], BYTES_NONE);
            deliver_packets(p, draft_finish_clear(&draft));
        }
    }
    assert_non_null(said(&p->b, FAULT_NOT_SEALED));
    assert_up(p, 1);
    command(&p->a, IKE_REKEY, NULL, "lan");
    run_for(p, nsec_seconds(10));
    assert_up(p, 1);
    pair_free(p);
}

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    struct sa *sa = sa_of(&p->a);
    struct draft draft;
    draft_begin(p->a.core, &draft);
    write_child(&draft);
    struct packets packets =
        draft_seal(sa, &draft, EXCHANGE_CREATE_CHILD_SA, MESSAGE_REQUEST, sa->send_id);
    struct path path = {{p->b.addr, 500}, {p->a.addr, 500}, false};
    uint64_t answers = ike_stats(p->b.core)->counters[COUNT_CREATE_CHILD_SA + COUNT_OUT_RESPONSE];
    for (size_t bit = 0; bit < packets.size * 8; bit++) {
        packets.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        datagram(p, &p->b, &path, packets.at, packets.size);
        packets.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t size = 0; size < packets.size; size++) datagram(p, &p->b, &path, packets.at, size);
    assert_int_equal(ike_stats(p->b.core)->counters[COUNT_CREATE_CHILD_SA + COUNT_OUT_RESPONSE],
                     answers);
    assert_int_equal(children(&p->b), 1);
    datagram(p, &p->b, &path, packets.at, packets.size); // and as it was it is good
    assert_int_equal(ike_stats(p->b.core)->counters[COUNT_CREATE_CHILD_SA + COUNT_OUT_RESPONSE],
                     answers + 1);
    assert_int_equal(children(&p->b), 2);
    free(packets.at);
    pair_free(p);
}

// RFC 7296 2.1, 2.3 test
static void an_old_request_is_answered_as_before_or_not_at_all(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    struct sa *sa = sa_of(&p->a);
    struct path path = {{p->b.addr, 500}, {p->a.addr, 500}, false};
    struct packets kept[2];
    for (unsigned i = 0; i < 2; i++) {
        struct draft draft;
        draft_begin(p->a.core, &draft);
        kept[i] = draft_seal(sa, &draft, EXCHANGE_INFORMATIONAL, MESSAGE_REQUEST, sa->send_id++);
        datagram(p, &p->b, &path, kept[i].at, kept[i].size);
    }
    uint64_t sent = p->b.sent;
    datagram(p, &p->b, &path, kept[1].at, kept[1].size); // the last one: the same response again
    assert_int_equal(p->b.sent, sent + 1);
    datagram(p, &p->b, &path, kept[0].at, kept[0].size); // the one before: nothing
    assert_int_equal(p->b.sent, sent + 1);
    assert_non_null(said(&p->b, FAULT_MESSAGE_ID_WRONG));
    kept[1].at[kept[1].size - 1] ^= 1; // like the last one, but not the same
    datagram(p, &p->b, &path, kept[1].at, kept[1].size);
    assert_int_equal(p->b.sent, sent + 1);
    for (unsigned i = 0; i < 2; i++) free(kept[i].at);
    pair_free(p);
}

// RFC 7296 2.21.4 test
static void without_an_sa_answers_are_few(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    struct ike_header header = {.spi_i = 1,
                                .spi_r = 2,
                                .major = 2,
                                .exchange = EXCHANGE_INFORMATIONAL,
                                .flags = FLAG_INITIATOR,
                                .message_id = 5};
    for (unsigned i = 0; i < 200; i++) {
        struct draft draft;
        draft_begin_clear(p->a.core, &draft, &header);
        deliver_packets(p, draft_finish_clear(&draft));
    }
    assert_non_null(said(&p->b, FAULT_IKE_SPI_UNKNOWN));
    assert_in_range(p->b.sent, 1, 20);
    assert_in_range(p->b.line_count, 1, 20); // nor does anybody fill the log
    header.flags |= FLAG_RESPONSE;
    uint64_t sent = p->b.sent;
    p->now += nsec_seconds(5);
    struct draft draft;
    draft_begin_clear(p->a.core, &draft, &header);
    deliver_packets(p, draft_finish_clear(&draft));
    assert_int_equal(p->b.sent, sent);
    pair_free(p);
}

// RFC 7296 2.5 test
static void other_versions_are_told(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    for (uint8_t major = 1; major < 4; major += 2) {
        struct ike_header header = {
            .spi_i = 1, .major = major, .exchange = EXCHANGE_IKE_SA_INIT, .flags = FLAG_INITIATOR};
        struct draft draft;
        draft_begin_clear(p->a.core, &draft, &header);
        deliver_packets(p, draft_finish_clear(&draft));
    }
    assert_non_null(said(&p->b, FAULT_VERSION_1));
    assert_non_null(said(&p->b, FAULT_VERSION_HIGHER));
    assert_int_equal(p->b.sent, 1);
    assert_int_equal(p->flights[0].bytes[17], 0x20);
    pair_free(p);
}

// --- fragments that do not fit

static void send_fragment(struct pair *p, uint16_t number, uint16_t total, uint32_t message_id)
{
    struct sa *sa = sa_of(&p->a);
    struct sealer key = sa_sealer(sa, true);
    uint8_t bytes[200],
        iv[8] = {0, 0, 0, 0, 0, 0, (uint8_t)total, (uint8_t)(number + message_id * 16)},
        plain[32] = {0};
    struct wr out = wr_over(bytes, sizeof bytes);
    size_t size = 28 + 8 + 8 + sizeof plain + 16;
    struct ike_header header = {.spi_i = sa->spi_i,
                                .spi_r = sa->spi_r,
                                .next = PAYLOAD_SKF,
                                .major = 2,
                                .exchange = EXCHANGE_INFORMATIONAL,
                                .flags = FLAG_INITIATOR,
                                .message_id = message_id,
                                .length = (uint32_t)size};
    ike_header_write(&out, &header);
    wr_u16(&out, 0);
    wr_u16(&out, (uint16_t)(size - 28));
    wr_u16(&out, number);
    wr_u16(&out, total);
    assert_int_equal(sealer_seal(&key, bytes_of(bytes, out.size), BYTES_ARRAY(iv),
                                 BYTES_ARRAY(plain), bytes + out.size),
                     OK);
    struct path path = {{p->b.addr, 500}, {p->a.addr, 500}, false};
    datagram(p, &p->b, &path, bytes, size);
}

// RFC 7383 2.6 test
static void fragments_that_do_not_fit_are_dropped(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    uint32_t id = sa_of(&p->a)->send_id;
    uint64_t sent = p->b.sent;
    send_fragment(p, 1, 300, id);
    assert_non_null(said(&p->b, FAULT_FRAGMENTS_TOO_MANY));
    send_fragment(p, 1, 4, id);
    send_fragment(p, 2, 3, id); // of fewer than the first said
    assert_non_null(said(&p->b, FAULT_FRAGMENT_OTHER));
    assert_int_equal(p->b.sent, sent);
    assert_up(p, 1);
    command(&p->a, IKE_REKEY, NULL, "lan");
    run_for(p, nsec_seconds(10));
    assert_up(p, 1);
    pair_free(p);
}

static bool lose_everything_of_a(struct pair *p, const struct host *from, const uint8_t *bytes,
                                 size_t size)
{
    (void)bytes, (void)size;
    return from == &p->a;
}

static void answer_with(struct pair *p, writer write)
{
    struct sa *sa = sa_of(&p->b);
    struct draft draft;
    draft_begin(p->b.core, &draft);
    write(&draft);
    struct packets packets = draft_seal(sa, &draft, EXCHANGE_CREATE_CHILD_SA, MESSAGE_RESPONSE,
                                        sa_of(&p->a)->send_id - 1);
    struct path path = {{p->a.addr, 500}, {p->b.addr, 500}, false};
    datagram(p, &p->a, &path, packets.at, packets.size);
    free(packets.at);
}

static void wider_selectors(struct draft *draft)
{
    write_sa_payload(draft, 0x12345678, PROTOCOL_ESP);
    write_nonce(draft);
    write_ts(draft, PAYLOAD_TSI, "10.0.0.0/8");
    write_ts(draft, PAYLOAD_TSR, "10.2.0.0/16");
}
static void other_protocol(struct draft *draft)
{
    write_sa_payload(draft, 0x12345678, PROTOCOL_AH);
    write_nonce(draft);
    write_ts(draft, PAYLOAD_TSI, "10.1.0.0/16");
    write_ts(draft, PAYLOAD_TSR, "10.2.0.0/16");
}
static void transport_unasked(struct draft *draft)
{
    write_child(draft);
    draft_notify(draft, NOTIFY_USE_TRANSPORT_MODE, BYTES_NONE);
}
static void iptfs_unasked(struct draft *draft)
{
    write_child(draft);
    draft_notify(draft, NOTIFY_USE_AGGFRAG, bytes_of("", 1));
}
static void no_selectors(struct draft *draft)
{
    write_sa_payload(draft, 0x12345678, PROTOCOL_ESP);
    write_nonce(draft);
}
static void answer_reserved_spi(struct draft *draft)
{
    reserved_spi(draft);
}
static void says_invalid_syntax(struct draft *draft)
{
    draft_notify(draft, NOTIFY_INVALID_SYNTAX, BYTES_NONE);
}

static const struct {
    const char *name;
    writer write;
    enum fault fault;
    enum after after;
} wrong_answers[] = {
    {"wider selectors", wider_selectors, FAULT_TS_NOT_OFFERED, LIVES},
    {"another protocol", other_protocol, FAULT_PROPOSAL_NOT_OFFERED, LIVES},
    {"transport mode unasked", transport_unasked, FAULT_MODE_OTHER, LIVES},
    {"IP-TFS unasked", iptfs_unasked, FAULT_MODE_OTHER, LIVES},
    {"no selectors", no_selectors, FAULT_PAYLOAD_MISSING, LIVES},
    {"reserved SPI", answer_reserved_spi, FAULT_SPI_WRONG, LIVES},
    {"INVALID_SYNTAX", says_invalid_syntax, FAULT_PEER_SYNTAX, ENDS},
};

// RFC 7296 2.7, 2.9, 2.21 test
static void wrong_answers_are_not_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong_answers / sizeof *wrong_answers; i++) {
        struct pair *p = pair_up();
        p->lose = lose_everything_of_a;
        command(&p->a, IKE_REKEY, NULL, "lan");
        answer_with(p, wrong_answers[i].write);
        if (!said(&p->a, wrong_answers[i].fault)) {
            print_error("%s\n", wrong_answers[i].name);
            print_lines(&p->a);
        }
        assert_non_null(said(&p->a, wrong_answers[i].fault));
        bool lives = wrong_answers[i].after == LIVES;
        assert_int_equal(sas_up(&p->a), lives ? 1 : 0);
        assert_int_equal(halves(&p->a, SA_IN), lives ? 1 : 0); // the old child goes on
        assert_int_equal(halves(&p->a, SA_OUT), lives ? 1 : 0);
        pair_free(p);
    }
}

// RFC 7296 3.14 test: it was sealed with the right key, so it is the peer's fault.
static void padding_beyond_the_payload_ends_the_sa(void **state)
{
    (void)state;
    struct pair *p = pair_up();
    struct sa *sa = sa_of(&p->a);
    struct sealer key = sa_sealer(sa, true);
    uint8_t bytes[100], iv[8] = {0xff}, plain[16];
    struct wr out = wr_over(bytes, sizeof bytes);
    size_t size = 28 + 4 + 8 + sizeof plain + 16;
    struct ike_header header = {.spi_i = sa->spi_i,
                                .spi_r = sa->spi_r,
                                .next = PAYLOAD_SK,
                                .major = 2,
                                .exchange = EXCHANGE_INFORMATIONAL,
                                .flags = FLAG_INITIATOR,
                                .message_id = sa->send_id,
                                .length = (uint32_t)size};
    memset(plain, 0xff, sizeof plain);
    ike_header_write(&out, &header);
    wr_u16(&out, 0);
    wr_u16(&out, (uint16_t)(size - 28));
    assert_int_equal(sealer_seal(&key, bytes_of(bytes, out.size), BYTES_ARRAY(iv),
                                 BYTES_ARRAY(plain), bytes + out.size),
                     OK);
    struct path path = {{p->b.addr, 500}, {p->a.addr, 500}, false};
    datagram(p, &p->b, &path, bytes, size);
    assert_non_null(said(&p->b, FAULT_PADDING_WRONG));
    assert_answer(p, NOTIFY_INVALID_SYNTAX);
    assert_int_equal(sas_all(&p->b), 0);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_may_ask_for_the_version),
        cmocka_unit_test(wrong_requests_get_the_right_answer),
        cmocka_unit_test(what_is_not_done_is_not_agreed_to),
        cmocka_unit_test(what_is_not_sealed_changes_nothing),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(an_old_request_is_answered_as_before_or_not_at_all),
        cmocka_unit_test(without_an_sa_answers_are_few),
        cmocka_unit_test(other_versions_are_told),
        cmocka_unit_test(fragments_that_do_not_fit_are_dropped),
        cmocka_unit_test(wrong_answers_are_not_taken),
        cmocka_unit_test(padding_beyond_the_payload_ends_the_sa),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
