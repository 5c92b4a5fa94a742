// SPDX-License-Identifier: Apache-2.0
// Whole exchanges recorded between real daemons, from the cryptography's side: keys are derived
// from what is on the wire and the shared secret, every sealed message is opened with them to what
// another program found inside, and every AUTH payload is verified over octets put together here.
#include "crypto/sig.h"
#include "vectors.h"
#include "wire/payload.h"

enum { SETS_MAX = 6, SECRETS_MAX = 6, CHAIN_MAX = 65536 };
enum side { INITIATOR, RESPONDER };

// One IKE SA's keys, or those of one step on the way to it (RFC 9370); by side where there are two.
struct key_set {
    uint16_t encr, bits, integ, prf;
    struct bytes ke, nonces, d, a[2], e[2], p[2], ppk_p[2];
    bool used;
};

struct recording {
    char run[64];
    struct arena arena;
    size_t set_count, secret_count, signer_count;
    struct key_set sets[SETS_MAX];
    struct bytes secrets[SECRETS_MAX], signers[SECRETS_MAX];
    // The IKE SA that was begun last.
    struct ike_header init_header;
    struct bytes init[2], nonce[2], id[2], int_auth[2];
    uint32_t auth_message_id;
    // The message that was read last.
    struct ike_header header;
    struct bytes message;
    uint8_t sealed_first; // type of the first payload inside
    struct key_set *set;
    uint8_t plain[CHAIN_MAX]; // of fragments: all so far
    size_t plain_size;
};

static struct tally {
    unsigned opened, unopened, derived, macs, signatures;
} tally;

// --- keys.txt

static void key_set_read(struct vector *vector, struct recording *to)
{
    static const struct {
        const char *name;
        size_t place;
    } fields[] = {
        {"ke", offsetof(struct key_set, ke)},
        {"nonces", offsetof(struct key_set, nonces)},
        {"sk_d", offsetof(struct key_set, d)},
        {"sk_ai", offsetof(struct key_set, a[INITIATOR])},
        {"sk_ar", offsetof(struct key_set, a[RESPONDER])},
        {"sk_ei", offsetof(struct key_set, e[INITIATOR])},
        {"sk_er", offsetof(struct key_set, e[RESPONDER])},
        {"sk_pi", offsetof(struct key_set, p[INITIATOR])},
        {"sk_pr", offsetof(struct key_set, p[RESPONDER])},
        {"ppk_pi", offsetof(struct key_set, ppk_p[INITIATOR])},
        {"ppk_pr", offsetof(struct key_set, ppk_p[RESPONDER])},
    };
    assert_true(to->set_count < SETS_MAX);
    struct key_set *set = &to->sets[to->set_count++];
    set->encr = (uint16_t)id_of("ENCR", vector_text(vector, "encr"));
    set->bits = (uint16_t)atoi(vector_text(vector, "bits"));
    set->integ = (uint16_t)id_of("INTEG", vector_text(vector, "integ"));
    set->prf = (uint16_t)id_of("PRF", vector_text(vector, "prf"));
    for (size_t i = 0; i < COUNT(fields); i++) {
        struct bytes *field = (void *)((char *)set + fields[i].place);
        *field = hex_bytes(&to->arena, vector_text(vector, fields[i].name));
    }
}

static void keys_read(struct recording *to)
{
    struct vector vector;
    vectors_open(&vector, "../exchanges/keys.txt");
    while (vector_next(&vector)) {
        if (!vector_is(&vector, "run", to->run)) continue;
        if (strcmp(vector.word, "keys") == 0)
            key_set_read(&vector, to);
        else if (strcmp(vector.word, "secret") == 0) {
            assert_true(to->secret_count < SECRETS_MAX);
            to->secrets[to->secret_count++] = hex_bytes(&to->arena, vector_text(&vector, "value"));
        } else {
            assert_true(to->signer_count < SECRETS_MAX);
            to->signers[to->signer_count++] = hex_bytes(&to->arena, vector_text(&vector, "spki"));
        }
    }
}

// --- derivation

// RFC 7296 2.14 test. key, data: what SKEYSEED is made of.
static void check_keys(const struct recording *rec, const struct key_set *set, struct bytes key,
                       struct bytes_list data)
{
    struct prf_info prf_sizes;
    struct encr_info encr;
    struct integ_info integ = {0};
    uint8_t spis[2 * IKE_SPI_SIZE];
    SECRET(skeyseed);
    SECRET(keys);
    assert_true(prf_info(set->prf, &prf_sizes) && encr_info(set->encr, set->bits, &encr));
    if (!encr.aead) assert_true(integ_info(set->integ, &integ));
    memcpy(spis, rec->message.at, sizeof spis);
    const struct {
        const struct bytes *expected;
        size_t size;
    } cuts[] = {
        {&set->d, prf_sizes.key},
        {&set->a[INITIATOR], integ.key},
        {&set->a[RESPONDER], integ.key},
        {&set->e[INITIATOR], (size_t)encr.key + encr.salt},
        {&set->e[RESPONDER], (size_t)encr.key + encr.salt},
        {&set->p[INITIATOR], prf_sizes.key},
        {&set->p[RESPONDER], prf_sizes.key},
    };
    size_t size = 0, place = 0;
    for (size_t i = 0; i < COUNT(cuts); i++) size += cuts[i].size;
    CHECK_FAULT(prf(set->prf, key, data, &skeyseed), OK);
    CHECK_FAULT(prf_plus(set->prf, secret_bytes(&skeyseed),
                         PIECES(rec->nonce[INITIATOR], rec->nonce[RESPONDER], BYTES_ARRAY(spis)),
                         size, &keys),
                OK);
    for (size_t i = 0; i < COUNT(cuts); place += cuts[i++].size)
        if (!bytes_equal(bytes_of(keys.at + place, cuts[i].size), *cuts[i].expected))
            fail_msg("%s: key set %zu is not derived", rec->run, (size_t)(set - rec->sets));
    tally.derived++;
}

// RFC 4434 2, RFC 4615 3: PRFs with keys of fixed size take the first half of it from each nonce.
static void check_first_keys(struct recording *rec)
{
    uint8_t nonces[2 * NONCE_SIZE_MAX];
    struct prf_info info;
    size_t size = 0;
    const struct key_set *set = &rec->sets[0];
    assert_true(prf_info(set->prf, &info));
    for (size_t side = 0; side < 2; side++) {
        size_t part = info.fixed_key ? info.key / 2u : rec->nonce[side].size;
        memcpy(nonces + size, rec->nonce[side].at, part);
        size += part;
    }
    check_keys(rec, set, bytes_of(nonces, size), PIECES(set->ke));
}

// RFC 9370 2.2.2 test: each additional key exchange mixes its secret in.
static void check_next_keys(struct recording *rec, const struct key_set *set)
{
    check_keys(rec, set, set[-1].d, PIECES(set->ke, rec->nonce[INITIATOR], rec->nonce[RESPONDER]));
}

// --- sealed messages

static enum side side_of(const struct ike_header *header)
{
    return header->flags & FLAG_INITIATOR ? INITIATOR : RESPONDER;
}

static struct sealer sealer_of(const struct key_set *set, enum side side)
{
    return (struct sealer){.encr = set->encr,
                           .key_bits = set->bits,
                           .integ = set->integ,
                           .encr_key = set->e[side],
                           .integ_key = set->a[side]};
}

static bool set_opens(struct recording *rec, struct key_set *set, struct bytes sealed)
{
    static uint8_t changed[CHAIN_MAX], plain[CHAIN_MAX];
    struct sealer sealer = sealer_of(set, side_of(&rec->header));
    struct bytes associated = bytes_of(rec->message.at, (size_t)(sealed.at - rec->message.at));
    size_t size = 0;
    if (sealed.size > sizeof plain || sealer_open(&sealer, associated, sealed, plain, &size))
        return false;
    // RFC 7296 3.14: padding, and its length at the end.
    assert_true(size >= 1 && plain[size - 1] < size);
    size -= 1u + plain[size - 1];
    assert_true(rec->plain_size + size <= sizeof rec->plain);
    memcpy(rec->plain + rec->plain_size, plain, size);
    rec->plain_size += size;
    memcpy(changed, sealed.at, sealed.size);
    changed[tally.opened % sealed.size] ^= (uint8_t)(1 << tally.opened % 8);
    CHECK_FAULT(sealer_open(&sealer, associated, bytes_of(changed, sealed.size), plain, &size),
                FAULT_ICV_WRONG);
    return true;
}

// RFC 7383 2.5 test: fragments are sealed one by one; here they come in order.
static struct bytes sealed_of(struct recording *rec, const struct payload *payload, uint8_t next)
{
    uint16_t number = 1, total;
    struct bytes sealed = payload->body;
    if (payload->type == PAYLOAD_SKF)
        CHECK_FAULT(skf_read(payload->body, &number, &total, &sealed), OK);
    if (number == 1) {
        rec->plain_size = 0;
        rec->sealed_first = next;
    }
    return sealed;
}

static void message_open_any(struct recording *rec, struct bytes sealed)
{
    for (size_t i = rec->set_count; i-- > 0;) {
        struct key_set *set = &rec->sets[i];
        if (!set_opens(rec, set, sealed)) continue;
        bool same_sa = rec->header.spi_i == rec->init_header.spi_i;
        if (!set->used && i > 0 && same_sa) check_next_keys(rec, set);
        set->used = true;
        rec->set = set;
        tally.opened++;
        return;
    }
    print_message("%s: message %u of exchange %u does not open\n", rec->run,
                  (unsigned)rec->header.message_id, rec->header.exchange);
    tally.unopened++;
}

// --- the first messages

// Some SAs were begun only to be in the way: there are no keys of them.
static bool nonces_recorded(const struct recording *rec)
{
    struct bytes recorded = rec->sets[0].nonces;
    size_t half = rec->nonce[INITIATOR].size;
    return rec->set_count && half + rec->nonce[RESPONDER].size == recorded.size &&
           memcmp(recorded.at, rec->nonce[INITIATOR].at, half) == 0 &&
           memcmp(recorded.at + half, rec->nonce[RESPONDER].at, recorded.size - half) == 0;
}

static void init_read(struct recording *rec, const struct payloads *payloads)
{
    enum side side = side_of(&rec->header);
    const struct payload *nonce = payloads_first(payloads, PAYLOAD_NONCE);
    if (!nonce || !payloads_first(payloads, PAYLOAD_SA))
        return; // a cookie, or another group is wanted
    rec->init[side] = arena_copy(&rec->arena, rec->message);
    rec->nonce[side] = arena_copy(&rec->arena, nonce->body);
    rec->init_header = rec->header;
    if (side == RESPONDER && nonces_recorded(rec)) check_first_keys(rec);
}

static void message_read(struct recording *rec, struct bytes message)
{
    struct payloads payloads;
    uint8_t next;
    rec->message = message;
    CHECK_FAULT(ike_header_read(message, &rec->header), OK);
    struct bytes chain = bytes_of(message.at + IKE_HEADER_SIZE, message.size - IKE_HEADER_SIZE);
    CHECK_FAULT(payloads_read(rec->header.next, chain, &payloads, &next), OK);
    if (rec->header.exchange == EXCHANGE_IKE_SA_INIT) init_read(rec, &payloads);
    if (!payloads.count) return;
    const struct payload *last = &payloads.at[payloads.count - 1];
    if (last->type == PAYLOAD_SK || last->type == PAYLOAD_SKF)
        message_open_any(rec, sealed_of(rec, last, next));
}

// --- authentication

// RFC 9242 3.3.2 test: prf over what was before, the headers as if there were no fragments, and the
// chain.
static void int_auth_add(struct recording *rec, struct bytes chain)
{
    enum side side = side_of(&rec->header);
    uint8_t head[IKE_HEADER_SIZE + 4];
    struct wr out = wr_over(head, sizeof head);
    SECRET(sum);
    struct ike_header header = rec->header;
    header.next = PAYLOAD_SK;
    header.length = (uint32_t)(sizeof head + chain.size);
    ike_header_write(&out, &header);
    wr_u8(&out, rec->sealed_first);
    wr_u8(&out, 0);
    wr_u16(&out, (uint16_t)(4 + chain.size));
    CHECK_FAULT(prf(rec->set->prf, rec->set->p[side],
                    PIECES(rec->int_auth[side], BYTES_ARRAY(head), chain), &sum),
                OK);
    rec->int_auth[side] = arena_copy(&rec->arena, secret_bytes(&sum));
}

// RFC 7296 2.15 test
static bool secret_made(const struct key_set *set, struct bytes secret, struct bytes_list octets,
                        struct bytes data)
{
    SECRET(padded);
    SECRET(mac);
    CHECK_FAULT(prf(set->prf, secret, PIECES(BYTES("Key Pad for IKEv2")), &padded), OK);
    CHECK_FAULT(prf(set->prf, secret_bytes(&padded), octets, &mac), OK);
    return bytes_equal_secret(secret_bytes(&mac), data);
}

static bool signer_made(struct bytes spki, uint8_t method, struct bytes_list octets,
                        struct bytes data)
{
    struct public_key *key;
    const char *name;
    CHECK_FAULT(public_key_read_spki(spki, &key), OK);
    enum fault fault = auth_verify(key, method, data, BYTES_NONE, octets, &name);
    public_key_free(key);
    return fault == OK;
}

static bool auth_good(const struct recording *rec, struct bytes sk_p, uint8_t method,
                      struct bytes data)
{
    enum side side = side_of(&rec->header);
    uint8_t mid[4];
    struct wr out = wr_over(mid, sizeof mid);
    SECRET(maced_id);
    wr_u32(&out, rec->auth_message_id);
    CHECK_FAULT(prf(rec->set->prf, sk_p, PIECES(rec->id[side]), &maced_id), OK);
    bool intermediate = rec->int_auth[INITIATOR].size > 0;
    struct bytes_list octets = PIECES(rec->init[side], rec->nonce[!side], secret_bytes(&maced_id),
                                      rec->int_auth[INITIATOR], rec->int_auth[RESPONDER],
                                      intermediate ? BYTES_ARRAY(mid) : BYTES_NONE);
    if (method == AUTH_PSK) {
        for (size_t i = 0; i < rec->secret_count; i++)
            if (secret_made(rec->set, rec->secrets[i], octets, data)) return true;
        return false;
    }
    for (size_t i = 0; i < rec->signer_count; i++)
        if (signer_made(rec->signers[i], method, octets, data)) return true;
    return false;
}

static void check_auth(struct recording *rec, const struct payload *payload)
{
    enum side side = side_of(&rec->header);
    uint8_t method;
    struct bytes data;
    CHECK_FAULT(auth_read_payload(payload->body, &method, &data), OK);
    bool good = auth_good(rec, rec->set->p[side], method, data);
    // RFC 8784 3: with a postquantum preshared key SK_p is another one.
    if (!good && rec->set->ppk_p[side].size)
        good = auth_good(rec, rec->set->ppk_p[side], method, data);
    if (!good)
        fail_msg("%s: AUTH of method %u, message %u is not verified", rec->run, method,
                 (unsigned)rec->header.message_id);
    struct bytes nonce = rec->nonce[!side];
    rec->nonce[!side] = rec->nonce[side];
    assert_false(auth_good(rec, rec->set->p[side], method, data));
    rec->nonce[!side] = nonce;
    *(method == AUTH_PSK ? &tally.macs : &tally.signatures) += 1;
}

static void auth_exchange_read(struct recording *rec, const struct payloads *payloads)
{
    static const uint8_t ids[] = {PAYLOAD_IDI, PAYLOAD_IDR};
    enum side side = side_of(&rec->header);
    const struct payload *id = payloads_first(payloads, ids[side]);
    const struct payload *auth = payloads_first(payloads, PAYLOAD_AUTH);
    if (id) rec->id[side] = arena_copy(&rec->arena, id->body);
    if (!rec->auth_message_id) rec->auth_message_id = rec->header.message_id;
    if (auth) check_auth(rec, auth);
}

static void inner_read(struct recording *rec, uint8_t first, struct bytes chain)
{
    struct payloads payloads;
    assert_int_equal(rec->sealed_first, first);
    check_bytes(bytes_of(rec->plain, rec->plain_size), chain);
    CHECK_FAULT(payloads_read(first, chain, &payloads, NULL), OK);
    if (rec->header.exchange == EXCHANGE_IKE_AUTH) auth_exchange_read(rec, &payloads);
    if (rec->header.exchange == EXCHANGE_IKE_INTERMEDIATE) int_auth_add(rec, chain);
}

// --- ikev2.txt

static void line_read(struct recording *rec, char *line)
{
    struct arena arena = {0};
    char *rest = strchr(line, ' ');
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '#') return;
    assert_non_null(rest);
    *rest++ = '\0';
    if (strcmp(line, "run") == 0) {
        arena_free(&rec->arena);
        memset(rec, 0, sizeof *rec);
        snprintf(rec->run, sizeof rec->run, "%s", rest);
        keys_read(rec);
    } else if (strcmp(line, "message") == 0) {
        message_read(rec, arena_copy(&rec->arena, hex_bytes(&arena, rest)));
    } else if (strcmp(line, "inner") == 0) {
        uint8_t first = (uint8_t)strtoul(rest, &rest, 10);
        inner_read(rec, first, hex_bytes(&arena, rest + 1));
    }
    arena_free(&arena);
}

static void recorded_exchanges_open_and_authenticate(void **state)
{
    (void)state;
    static struct recording rec;
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(VECTORS "/exchanges/ikev2.txt", "r");
    assert_non_null(file);
    while (getline(&line, &room, file) > 0) line_read(&rec, line);
    arena_free(&rec.arena);
    free(line);
    fclose(file);
    assert_int_equal(tally.unopened, 0);
    assert_int_equal(tally.opened, 465);
    assert_int_equal(tally.derived, 61);
    assert_int_equal(tally.macs, 101);
    assert_int_equal(tally.signatures, 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_exchanges_open_and_authenticate),
    };
    return cmocka_run_group_tests(tests, crypto_setup, NULL);
}
