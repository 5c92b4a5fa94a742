// SPDX-License-Identifier: Apache-2.0
// Opens, records, changes and seals what hosts say to each other.
#include "tap.h"
#include <assert.h>
#include <stdio.h>

// --- keys

static bool hex_in(const char **text, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned value;
        if (sscanf(*text, "%2x", &value) != 1) return false;
        out[i] = (uint8_t)value;
        *text += 2;
    }
    return *(*text)++ == ',';
}

// "ike SPIi,SPIr,SK_ei,SK_er,…": the newest keys take the place of the oldest.
static void key_learn(struct ike_keylog *log, const char *line)
{
    struct tap *tap = (struct tap *)log;
    struct tap_key key;
    uint8_t spis[2][IKE_SPI_SIZE];
    if (strncmp(line, "ike ", 4) != 0) return;
    line += 4;
    if (!hex_in(&line, spis[0], IKE_SPI_SIZE) || !hex_in(&line, spis[1], IKE_SPI_SIZE)) return;
    if (!hex_in(&line, key.of_initiator, sizeof key.of_initiator)) return;
    if (!hex_in(&line, key.of_responder, sizeof key.of_responder)) return;
    struct rd in = rd_over(bytes_of(spis, sizeof spis));
    key.spi_i = rd_u64(&in);
    key.spi_r = rd_u64(&in);
    tap->keys[tap->key_count++ % TAP_KEYS_MAX] = key;
}

void tap_begin(struct tap *tap, struct sim *sim)
{
    *tap = (struct tap){.log.line = key_learn};
    sim->keylog = &tap->log;
}

static bool key_fits(const struct tap_key *key, const struct ike_header *header, struct sealer *out)
{
    bool initiator = header->flags & FLAG_INITIATOR;
    *out = (struct sealer){.encr = ENCR_AES_GCM_16,
                           .key_bits = 128,
                           .encr_key = bytes_of(initiator ? key->of_initiator : key->of_responder, 20)};
    return key->spi_i == header->spi_i && key->spi_r == header->spi_r;
}

// --- opening and sealing

// SK: header | next, 0, length | IV | sealed, with the padding's length last.
enum { GENERIC = 4, PREFIX = IKE_HEADER_SIZE + GENERIC, ICV = 16 };

static bool sealed_open(struct bytes datagram, struct tapped *out)
{
    size_t size;
    if (datagram.size < PREFIX + sizeof out->iv + ICV) return false;
    struct bytes body = bytes_of(datagram.at + PREFIX, datagram.size - PREFIX);
    uint8_t *plain = mem_array(body.size, 1);
    bool good = sealer_open(&out->key, bytes_of(datagram.at, PREFIX), body, plain, &size) == OK &&
                size && plain[size - 1] < size;
    if (good) {
        memcpy(out->iv, body.at, sizeof out->iv);
        out->first = datagram.at[IKE_HEADER_SIZE];
        buf_add(&out->chain, bytes_of(plain, size - 1 - plain[size - 1]));
    }
    free(plain);
    return good;
}

// An IKE SA has others behind each IKE_INTERMEDIATE, whose response is sealed with those of before.
static bool sealed_open_by_any(const struct tap *tap, struct bytes datagram, struct tapped *out)
{
    for (size_t i = 0; i < TAP_KEYS_MAX && i < tap->key_count; i++)
        if (key_fits(&tap->keys[i], &out->header, &out->key) && sealed_open(datagram, out))
            return true;
    return false;
}

bool tap_open(const struct tap *tap, struct bytes datagram, struct tapped *out)
{
    *out = (struct tapped){.chain = BUF(65536)};
    if (ike_header_read(datagram, &out->header) != OK) return false;
    out->first = out->header.next;
    out->sealed = out->first == PAYLOAD_SK;
    bool good = out->first != PAYLOAD_SKF;
    if (out->sealed)
        good = sealed_open_by_any(tap, datagram, out);
    else if (good)
        buf_add(&out->chain,
                bytes_of(datagram.at + IKE_HEADER_SIZE, datagram.size - IKE_HEADER_SIZE));
    if (!good) buf_free(&out->chain);
    return good;
}

static void number_put(uint8_t *at, size_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) at[i] = (uint8_t)(value >> 8 * (size - 1 - i));
}

enum { HEADER_NEXT = 16, HEADER_EXCHANGE = 18, HEADER_LENGTH = 24 };

static void sealed_write(const struct tapped *message, struct buf *datagram)
{
    AUTOFREE_BUF struct buf plain = BUF(65536);
    buf_add(&plain, buf_bytes(&message->chain));
    buf_add(&plain, bytes_of("", 1)); // no padding
    datagram->at[IKE_HEADER_SIZE] = message->first;
    datagram->size = PREFIX;
    uint8_t *room = buf_space(datagram, sizeof message->iv + plain.size + ICV);
    number_put(datagram->at + IKE_HEADER_SIZE + 2, datagram->size - IKE_HEADER_SIZE, 2);
    number_put(datagram->at + HEADER_LENGTH, datagram->size, 4);
    if (sealer_seal(&message->key, bytes_of(datagram->at, PREFIX), BYTES_ARRAY(message->iv),
                    buf_bytes(&plain), room) != OK)
        buf_clear(datagram);
}

void tap_write(const struct tapped *message, struct buf *datagram)
{
    datagram->at[HEADER_EXCHANGE] = message->header.exchange;
    if (message->sealed) {
        sealed_write(message, datagram);
        return;
    }
    datagram->at[HEADER_NEXT] = message->first;
    datagram->size = IKE_HEADER_SIZE;
    buf_add(datagram, buf_bytes(&message->chain));
    number_put(datagram->at + HEADER_LENGTH, datagram->size, 4);
}

// --- changing

static bool chain_read(const struct tapped *message, struct payloads *out)
{
    return payloads_read(message->first, buf_bytes(&message->chain), out, NULL) == OK;
}

static void chain_clear(struct tapped *message)
{
    buf_clear(&message->chain);
    message->first = PAYLOAD_NONE;
}

void tap_remove(struct tapped *message, uint8_t type)
{
    struct payloads payloads;
    AUTOFREE_BUF struct buf former = BUF(65536);
    buf_add(&former, buf_bytes(&message->chain));
    if (payloads_read(message->first, buf_bytes(&former), &payloads, NULL) != OK) return;
    chain_clear(message);
    size_t next = 0; // where the type of the next one goes; at the start, before the chain
    for (size_t i = 0; i < payloads.count; i++) {
        const struct payload *payload = &payloads.at[i];
        if (payload->type == type) continue;
        *(message->chain.size ? &message->chain.at[next] : &message->first) = payload->type;
        next = message->chain.size;
        buf_add(&message->chain, payload->whole);
        message->chain.at[next] = PAYLOAD_NONE;
    }
}

void tap_replace(struct tapped *message, uint8_t exchange, uint16_t notify)
{
    const uint8_t payload[] = {PAYLOAD_NONE,   0, 0, 8, 0, 0, (uint8_t)(notify >> 8),
                               (uint8_t)notify};
    chain_clear(message);
    message->header.exchange = exchange;
    if (!notify) return;
    buf_add(&message->chain, BYTES_ARRAY(payload));
    message->first = PAYLOAD_NOTIFY;
}

// --- writing down

static void said_fill(struct said *said, const struct tapped *message)
{
    struct payloads payloads;
    struct wr line = wr_over(said->text, sizeof said->text - 1);
    said->header = message->header;
    said->request = !(message->header.flags & FLAG_RESPONSE);
    if (!chain_read(message, &payloads)) return;
    payloads_print(&payloads, &line);
    const struct payload *nonce = payloads_first(&payloads, PAYLOAD_NONCE);
    if (!nonce || nonce->body.size > sizeof said->nonce) return;
    said->nonce_size = nonce->body.size;
    memcpy(said->nonce, nonce->body.at, nonce->body.size);
}

static void record(struct sim *sim, struct sim_host *from, struct buf *datagram)
{
    struct tap *tap = (struct tap *)sim->keylog;
    struct tapped message;
    if (!tap_open(tap, buf_bytes(datagram), &message)) return;
    assert(tap->said_count < TAP_SAID_MAX);
    struct said *said = &tap->said[tap->said_count++];
    *said = (struct said){.at = sim->now, .from = (size_t)(from - sim->hosts)};
    said_fill(said, &message);
    if (tap->meet) tap->meet(sim, said, &message);
    if (said->lost)
        buf_clear(datagram);
    else
        tap_write(&message, datagram);
    buf_free(&message.chain);
}

void tap_record(struct tap *tap, struct sim *sim)
{
    assert(sim->keylog == &tap->log);
    sim->edit = record;
}

const struct said *tap_find(const struct tap *tap, size_t from, bool request, const char *words,
                            size_t since)
{
    for (size_t i = since; i < tap->said_count; i++) {
        const struct said *said = &tap->said[i];
        if (said->from == from && said->request == request && strstr(said->text, words))
            return said;
    }
    return NULL;
}

const struct said *tap_answer(const struct tap *tap, const struct said *request)
{
    for (size_t i = 0; i < tap->said_count; i++) {
        const struct said *said = &tap->said[i];
        if (!said->request && said->from != request->from &&
            said->header.spi_i == request->header.spi_i &&
            said->header.message_id == request->header.message_id &&
            (said->header.flags & FLAG_INITIATOR) != (request->header.flags & FLAG_INITIATOR))
            return said;
    }
    return NULL;
}
