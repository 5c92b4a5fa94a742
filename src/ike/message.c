// SPDX-License-Identifier: Apache-2.0
// Messages between payloads and datagrams: the header, the encrypted payload, and its opening.
//
//     plain:   | first type | payload … payload |          the first type goes into the SK header
//     sealed:  | IKE header | SK header | IV | payloads, padding, its length | ICV |
//              '------ authenticated --------'---------- encrypted ----------'
#include "ike/internal.h"
#include <assert.h>

enum { FIRST_TYPE_PLACE = 0, HEADER_NEXT_PLACE = 16, HEADER_LENGTH_PLACE = 24, GENERIC_SIZE = 4 };

// --- writing payloads

void draft_begin(struct ike *ike, struct draft *draft)
{
    draft->out = wr_over(ike->plain, IKE_MESSAGE_MAX - 1024); // the rest is for what sealing adds
    wr_u8(&draft->out, PAYLOAD_NONE);
    draft->chain = chain_begin(&draft->out, FIRST_TYPE_PLACE);
}

void draft_begin_clear(struct ike *ike, struct draft *draft, const struct ike_header *header)
{
    draft->out = wr_over(ike->plain, IKE_MESSAGE_MAX);
    ike_header_write(&draft->out, header);
    draft->chain = chain_begin(&draft->out, HEADER_NEXT_PLACE);
}

void draft_begin_answer_clear(struct ike *ike, struct draft *draft, const struct message *request)
{
    struct ike_header header = request->header;
    header.flags = FLAG_RESPONSE | (header.flags & FLAG_INITIATOR ? 0 : FLAG_INITIATOR);
    header.major = 2;
    header.minor = 0;
    header.next = PAYLOAD_NONE;
    draft_begin_clear(ike, draft, &header);
}

struct wr *draft_open(struct draft *draft, uint8_t type)
{
    chain_open(&draft->chain, type);
    return &draft->out;
}

void draft_close(struct draft *draft)
{
    chain_close(&draft->chain);
}

void draft_bytes(struct draft *draft, uint8_t type, struct bytes body)
{
    wr_bytes(draft_open(draft, type), body);
    draft_close(draft);
}

void draft_notify_spi(struct draft *draft, uint8_t protocol, struct bytes spi, uint16_t type,
                      struct bytes data)
{
    struct notify notify = {.protocol = protocol, .spi = spi, .type = type, .data = data};
    notify_write(draft_open(draft, PAYLOAD_NOTIFY), &notify);
    draft_close(draft);
}

void draft_notify(struct draft *draft, uint16_t type, struct bytes data)
{
    draft_notify_spi(draft, PROTOCOL_NONE, BYTES_NONE, type, data);
}

struct packets draft_finish_clear(struct draft *draft)
{
    assert(!draft->out.failed);
    struct wr length = wr_over(draft->out.at + HEADER_LENGTH_PLACE, 4);
    wr_u32(&length, (uint32_t)draft->out.size);
    struct bytes copy = mem_copy(wr_done(&draft->out));
    return (struct packets){(uint8_t *)(uintptr_t)copy.at, copy.size};
}

// --- sealing

struct sealer sa_sealer(const struct sa *sa, bool outbound)
{
    const struct sa_keys *keys = &sa->keys;
    bool of_initiator = outbound == sa->initiator;
    const uint8_t *a = keys->all.at + keys->d, *e = a + 2 * (size_t)keys->a;
    return (struct sealer){
        .encr = sa->suite.encr,
        .key_bits = sa->suite.key_bits,
        .integ = sa->suite.integ,
        .encr_key = bytes_of(e + (of_initiator ? 0 : keys->e), keys->e),
        .integ_key = bytes_of(a + (of_initiator ? 0 : keys->a), keys->a),
    };
}

// RFC 5282 3: with an AEAD the IV only has to be new for each message, so it counts; for CBC it is
// unpredictable.
static void iv_make(struct sa *sa, uint8_t *iv, size_t size)
{
    struct encr_info info;
    bool counts = encr_info(sa->suite.encr, sa->suite.key_bits, &info) &&
                  (info.aead || info.stream) && size == 8;
    if (!counts) {
        rng_fill(sa->ike->rng, iv, size);
        return;
    }
    struct wr out = wr_over(iv, size);
    wr_u64(&out, ++sa->iv_counter);
}

// Adds one sealed message (or fragment of one, when total is not 0) to `datagrams`.
static void piece_seal(struct sa *sa, const struct ike_header *header, uint8_t next,
                       uint16_t number, uint16_t total, struct bytes plain, struct buf *datagrams)
{
    struct sealer key = sa_sealer(sa, true);
    size_t iv = sealer_iv_size(&key), icv = sealer_icv_size(&key), block = sealer_block_size(&key);
    size_t padded = (plain.size + 1 + block - 1) / block * block;
    size_t prefix = IKE_HEADER_SIZE + GENERIC_SIZE + (total ? 4u : 0u);
    size_t size = prefix + iv + padded + icv;

    struct wr out = wr_over(buf_space(datagrams, size), size);
    struct ike_header full = *header;
    full.next = total ? PAYLOAD_SKF : PAYLOAD_SK;
    full.length = (uint32_t)size;
    ike_header_write(&out, &full);
    wr_u8(&out, next);
    wr_u8(&out, 0);
    wr_u16(&out, (uint16_t)(size - IKE_HEADER_SIZE));
    if (total) {
        wr_u16(&out, number);
        wr_u16(&out, total);
    }
    uint8_t iv_space[32];
    assert(iv <= sizeof iv_space);
    iv_make(sa, iv_space, iv);

    // RFC 7296 3.14: any padding will do; its length is the last byte that is encrypted.
    uint8_t *space = sa->ike->sealed;
    memcpy(space, plain.at, plain.size);
    memset(space + plain.size, 0, padded - plain.size);
    space[padded - 1] = (uint8_t)(padded - plain.size - 1);
    enum fault fault = sealer_seal(&key, bytes_of(out.at, prefix), bytes_of(iv_space, iv),
                                   bytes_of(space, padded), out.at + prefix);
    assert(!fault); // our own suite and keys
    memory_wipe(space, padded);
}

static struct packets seal(struct sa *sa, struct draft *draft, uint8_t exchange,
                           enum message_kind kind, uint32_t message_id, size_t limit)
{
    assert(!draft->out.failed);
    struct ike_header header = {
        .spi_i = sa->spi_i,
        .spi_r = sa->spi_r,
        .major = 2,
        .exchange = exchange,
        .flags = (uint8_t)((sa->initiator ? FLAG_INITIATOR : 0) |
                           (kind == MESSAGE_RESPONSE ? FLAG_RESPONSE : 0)),
        .message_id = message_id,
    };
    uint8_t first = draft->out.at[FIRST_TYPE_PLACE];
    struct bytes plain = bytes_of(draft->out.at + 1, draft->out.size - 1);
    AUTOFREE_BUF struct buf datagrams = BUF(2 * IKE_MESSAGE_MAX);
    if (limit && plain.size > limit) {
        // RFC 7383 2.5: only the first fragment names the type of the first payload; all but the
        // last have one size.
        uint16_t total = (uint16_t)((plain.size + limit - 1) / limit);
        for (uint16_t i = 0; i < total; i++) {
            size_t from = i * limit, size = plain.size - from < limit ? plain.size - from : limit;
            piece_seal(sa, &header, i ? PAYLOAD_NONE : first, i + 1, total,
                       bytes_of(plain.at + from, size), &datagrams);
        }
    } else {
        piece_seal(sa, &header, first, 0, 0, plain, &datagrams);
    }
    struct bytes copy = mem_copy(buf_bytes(&datagrams));
    return (struct packets){(uint8_t *)(uintptr_t)copy.at, copy.size};
}

struct packets draft_seal(struct sa *sa, struct draft *draft, uint8_t exchange,
                          enum message_kind kind, uint32_t message_id)
{
    return seal(sa, draft, exchange, kind, message_id, fragment_limit(sa));
}

struct packets draft_seal_uncut(struct sa *sa, struct draft *draft, uint8_t exchange,
                                enum message_kind kind, uint32_t message_id)
{
    return seal(sa, draft, exchange, kind, message_id, 0);
}

// --- sending

void packets_free(struct ike *ike, struct packets *packets)
{
    free_later(ike, packets->at);
    *packets = (struct packets){0};
}

void packets_send(struct ike *ike, const struct sa *sa, const struct path *path,
                  const struct packets *packets)
{
    for (size_t at = 0; at < packets->size;) {
        struct rd length = rd_over(bytes_of(packets->at + at, packets->size - at));
        rd_skip(&length, HEADER_LENGTH_PLACE);
        size_t size = rd_u32(&length);
        assert(size >= IKE_HEADER_SIZE && size <= packets->size - at);
        struct ike_out *out = out_new(ike, IKE_OUT_SEND);
        out->send.path = *path;
        out->send.bytes = bytes_of(packets->at + at, size);
        out->send.dscp = sa && sa->conn ? sa->conn->dscp : 0;
        at += size;
    }
}

void packets_send_uncut(struct ike *ike, const struct sa *sa, const struct path *path,
                        const struct packets *packets)
{
    struct ike_out *out = out_new(ike, IKE_OUT_SEND);
    out->send.path = *path;
    out->send.bytes = bytes_of(packets->at, packets->size);
    out->send.dscp = sa->conn ? sa->conn->dscp : 0;
    out->send.uncut = true;
}

// --- opening

// Decrypts what is behind a sealed payload's header; `skip`: bytes of a fragment's numbers.
static enum fault piece_open(struct sa *sa, struct message *message, const struct payload *sealed,
                             size_t skip, struct arena *arena, struct bytes *plain)
{
    if (!sa->keys.all.at) return FAULT_ICV_WRONG;
    if (sealed->body.size < skip) return FAULT_SEALED_WRONG_SIZE;
    struct sealer key = sa_sealer(sa, false);
    struct bytes body = bytes_of(sealed->body.at + skip, sealed->body.size - skip);
    struct bytes associated = bytes_of(message->raw.at, (size_t)(body.at - message->raw.at));
    uint8_t *space = arena_new(arena, body.size + 1);
    size_t size = 0;
    TRY(sealer_open(&key, associated, body, space, &size));
    message->sealed = true;
    if (size == 0) return FAULT_PADDING_WRONG;
    size_t padding = space[size - 1];
    if (padding + 1 > size) return FAULT_PADDING_WRONG;
    *plain = bytes_of(space, size - 1 - padding);
    return OK;
}

static const struct payload *sealed_payload(const struct payloads *payloads)
{
    const struct payload *last = payloads->count ? &payloads->at[payloads->count - 1] : NULL;
    return last && (last->type == PAYLOAD_SK || last->type == PAYLOAD_SKF) ? last : NULL;
}

// FAULT_FRAGMENT_WAITS: genuine, but there is more to come. What stands beside the encrypted
// payload is not looked at.
enum fault message_open(struct sa *sa, struct message *message, struct arena *arena)
{
    struct payloads *outer = arena_new(arena, sizeof *outer);
    uint8_t first;
    struct bytes chain =
        bytes_of(message->raw.at + IKE_HEADER_SIZE, message->raw.size - IKE_HEADER_SIZE);
    TRY(payloads_read(message->header.next, chain, outer, &first));
    const struct payload *sealed = sealed_payload(outer);
    if (!sealed) return FAULT_NOT_SEALED;
    struct bytes plain;
    if (sealed->type == PAYLOAD_SKF) {
        uint16_t number, total;
        struct bytes body;
        TRY(skf_read(sealed->body, &number, &total, &body));
        TRY(piece_open(sa, message, sealed, 4, arena, &plain));
        message->sealed = false; // not before all are there
        TRY(fragment_join(sa, message, number, total, &first, &plain, arena));
    } else {
        TRY(piece_open(sa, message, sealed, 0, arena, &plain));
        message->hash = map_hash(&sa->ike->by_spi, message->raw);
        reassembly_free(sa);
    }
    message->sealed = true;
    message->first = first;
    message->plain = plain;
    message->payloads = arena_new(arena, sizeof *message->payloads);
    return payloads_read(first, plain, message->payloads, NULL);
}

// Was it, or its first fragment, sealed by the peer? Nothing of it is kept.
bool message_is_genuine(struct sa *sa, const struct message *message)
{
    struct arena arena = {0};
    struct payloads *outer = arena_new(&arena, sizeof *outer);
    struct message copy = *message;
    uint8_t first;
    uint16_t number = 1, total;
    struct bytes plain, body;
    struct bytes chain =
        bytes_of(message->raw.at + IKE_HEADER_SIZE, message->raw.size - IKE_HEADER_SIZE);
    bool read = payloads_read(message->header.next, chain, outer, &first) == OK;
    const struct payload *sealed = read ? sealed_payload(outer) : NULL;
    bool fragment = sealed && sealed->type == PAYLOAD_SKF;
    if (fragment && skf_read(sealed->body, &number, &total, &body) != OK) sealed = NULL;
    bool genuine = sealed && number == 1 &&
                   piece_open(sa, &copy, sealed, fragment ? 4 : 0, &arena, &plain) == OK;
    arena_free(&arena);
    return genuine;
}

// --- looking into a message

const struct payload *message_first(const struct message *message, uint8_t type)
{
    return payloads_first(message->payloads, type);
}

bool message_notify_next(const struct message *message, size_t *place, struct notify *notify)
{
    for (; *place < message->payloads->count; ++*place) {
        const struct payload *payload = &message->payloads->at[*place];
        if (payload->type != PAYLOAD_NOTIFY || notify_read(payload->body, notify) != OK) continue;
        ++*place;
        return true;
    }
    return false;
}

bool message_notify(const struct message *message, uint16_t type, struct notify *notify)
{
    size_t place = 0;
    while (message_notify_next(message, &place, notify))
        if (notify->type == type) return true;
    return false;
}

// RFC 7296 3.10.1: types below 16384 are errors; one that is not known means that the request
// failed, too.
bool message_error(const struct message *message, struct notify *notify)
{
    size_t place = 0;
    while (message_notify_next(message, &place, notify))
        if (notify->type > 0 && notify->type < 16384) return true;
    return false;
}
