// SPDX-License-Identifier: Apache-2.0
// Exchanges with ML-KEM that were recorded between other daemons, played message by message through
// the core's key schedule and sums: every message opens under the keys of its round, and both AUTH
// payloads are what we would have made.
#include "../crypto/vectors.h"
#include "ike/internal.h"

enum { LINE_SIZE = 400000, ROUNDS_MAX = 8 };

struct play {
    const char *run;
    struct ike *core;
    struct arena arena;
    struct sa *sa[2];                   // initiator's view, responder's view
    struct bytes ke[ROUNDS_MAX], secret; // shared secrets in the order of the rounds; the PSK
    struct bytes nonces, init[2];        // of the first exchange; by sender
    uint16_t encr, bits, prf, integ;
    unsigned set_count, round;
    unsigned intermediates, proved;
};

static void keys_load(struct play *play)
{
    struct vector vector;
    vectors_open(&vector, "../exchanges/keys.txt");
    while (vector_next(&vector)) {
        if (!vector_is(&vector, "run", play->run)) continue;
        if (strcmp(vector.word, "secret") == 0)
            play->secret = arena_copy(&play->arena, vector_bytes(&vector, "value"));
        if (strcmp(vector.word, "keys") != 0 || play->set_count == ROUNDS_MAX) continue;
        const char *integ = vector_text(&vector, "integ");
        play->encr = (uint16_t)id_of("ENCR", vector_text(&vector, "encr"));
        play->bits = (uint16_t)strtoul(vector_text(&vector, "bits"), NULL, 10);
        play->prf = (uint16_t)id_of("PRF", vector_text(&vector, "prf"));
        play->integ = strcmp(integ, "NONE") ? (uint16_t)id_of("INTEG", integ) : INTEG_NONE;
        if (!play->set_count)
            play->nonces = arena_copy(&play->arena, vector_bytes(&vector, "nonces"));
        play->ke[play->set_count++] = arena_copy(&play->arena, vector_bytes(&vector, "ke"));
    }
}

// Keys of the next round at both ends.
static void round_begin(struct play *play)
{
    assert_true(play->round < play->set_count);
    for (unsigned e = 0; e < 2; e++) {
        struct sa *sa = play->sa[e];
        struct exchange x = {0};
        SECRET(shared);
        secret_set(&shared, play->ke[play->round]);
        assert_int_equal(keymat_ike(&x, sa, bytes_of(sa->handshake->ni, sa->handshake->ni_size),
                                    bytes_of(sa->handshake->nr, sa->handshake->nr_size), &shared,
                                    play->round ? sa : NULL),
                         OK);
        sa->handshake->intermediates = (uint8_t)play->round;
    }
    play->round++;
}

static void first_in(struct play *play, const struct ike_header *header, struct bytes raw)
{
    bool from_initiator = header->flags & FLAG_INITIATOR;
    struct payloads payloads;
    struct bytes chain = bytes_of(raw.at + IKE_HEADER_SIZE, raw.size - IKE_HEADER_SIZE);
    assert_int_equal(payloads_read(header->next, chain, &payloads, NULL), OK);
    const struct payload *nonce = payloads_first(&payloads, PAYLOAD_NONCE);
    if (!nonce) return; // a cookie or another group is asked for
    play->init[!from_initiator] = arena_copy(&play->arena, raw);
    for (unsigned e = 0; e < 2; e++) {
        struct handshake *handshake = play->sa[e]->handshake;
        play->sa[e]->spi_i = header->spi_i;
        play->sa[e]->spi_r = header->spi_r;
        memcpy(from_initiator ? handshake->ni : handshake->nr, nonce->body.at, nonce->body.size);
        *(from_initiator ? &handshake->ni_size : &handshake->nr_size) = (uint16_t)nonce->body.size;
    }
    if (!from_initiator) round_begin(play);
}

// RFC 9242 3.3.2 test, RFC 7296 2.15 test
static void auth_in(struct play *play, const struct message *message, bool from_initiator)
{
    const struct payload *id = message_first(message, from_initiator ? PAYLOAD_IDI : PAYLOAD_IDR);
    const struct payload *auth = message_first(message, PAYLOAD_AUTH);
    const struct handshake *handshake = play->sa[0]->handshake;
    uint8_t method;
    struct bytes data;
    SECRET(id_mac);
    SECRET(padded);
    SECRET(mac);
    assert_non_null(id);
    assert_non_null(auth);
    assert_int_equal(auth_read_payload(auth->body, &method, &data), OK);
    assert_int_equal(method, AUTH_PSK);
    const struct secret *key = from_initiator ? &handshake->sk_pi : &handshake->sk_pr;
    struct bytes nonce = from_initiator ? bytes_of(handshake->nr, handshake->nr_size)
                                        : bytes_of(handshake->ni, handshake->ni_size);
    struct bytes sums = int_auth(play->sa[from_initiator]);
    assert_true(sums.size > 4);
    assert_int_equal(prf(play->prf, secret_bytes(key), PIECES(id->body), &id_mac), OK);
    assert_int_equal(prf(play->prf, play->secret, PIECES(BYTES("Key Pad for IKEv2")), &padded), OK);
    assert_int_equal(prf(play->prf, secret_bytes(&padded),
                         PIECES(play->init[!from_initiator], nonce, secret_bytes(&id_mac), sums),
                         &mac),
                     OK);
    check_bytes(secret_bytes(&mac), data);
    play->proved++;
}

static void sealed_in(struct play *play, struct message *message)
{
    bool from_initiator = message->header.flags & FLAG_INITIATOR;
    struct arena arena = {0};
    enum fault fault = message_open(play->sa[from_initiator], message, &arena);
    if (fault == FAULT_FRAGMENT_WAITS) {
        arena_free(&arena);
        return;
    }
    assert_int_equal(fault, OK);
    if (message->header.exchange == EXCHANGE_IKE_INTERMEDIATE) {
        for (unsigned e = 0; e < 2; e++)
            assert_int_equal(intermediate_sum(play->sa[e], from_initiator, &message->header,
                                              message->first, message->plain),
                             OK);
        play->intermediates++;
        if (!from_initiator) round_begin(play);
    } else {
        auth_in(play, message, from_initiator);
    }
    arena_free(&arena);
}

static void line_play(struct play *play, char *line)
{
    struct arena arena = {0};
    if (strncmp(line, "message ", 8) != 0 || play->proved == 2) return;
    struct bytes raw = hex_bytes(&arena, line + 8);
    struct message message = {.raw = raw};
    assert_int_equal(ike_header_read(raw, &message.header), OK);
    if (message.header.exchange == EXCHANGE_IKE_SA_INIT)
        first_in(play, &message.header, raw);
    else
        sealed_in(play, &message);
    arena_free(&arena);
}

static void play_begin(struct play *play, struct rng *rng)
{
    static const struct ike_settings none;
    play->core = ike_new(rng, &none);
    keys_load(play);
    for (unsigned e = 0; e < 2; e++) {
        struct sa *sa = NEW(struct sa);
        sa->ike = play->core;
        sa->initiator = e == 0;
        sa->handshake = NEW(struct handshake);
        sa->suite = (struct suite){
            .encr = play->encr, .key_bits = play->bits, .prf = play->prf, .integ = play->integ};
        play->sa[e] = sa;
    }
}

static void play_end(struct play *play)
{
    for (unsigned e = 0; e < 2; e++) {
        reassembly_free(play->sa[e]);
        handshake_free(play->sa[e]->handshake);
        secret_wipe(&play->sa[e]->keys.all);
        free(play->sa[e]);
    }
    ike_free(play->core);
    arena_free(&play->arena);
}

static void recorded_hybrids_are_derived_and_authenticated(void **state)
{
    (void)state;
    static const struct {
        const char *run;
        unsigned intermediates;
    } rows[] = {{"mlkem768", 2}, {"mlkem1024-mlkem768", 4}};
    static char line[LINE_SIZE];
    crypto_start();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct play play = {.run = rows[i].run};
        struct rng_seeded rng;
        bool inside = false;
        rng_seed(&rng, 1);
        play_begin(&play, &rng.rng);
        FILE *file = fopen(VECTORS "/exchanges/ikev2.txt", "r");
        assert_non_null(file);
        while (fgets(line, sizeof line, file)) {
            line[strcspn(line, "\n")] = '\0';
            if (strncmp(line, "run ", 4) == 0) inside = strcmp(line + 4, rows[i].run) == 0;
            if (inside) line_play(&play, line);
        }
        fclose(file);
        assert_int_equal(play.intermediates, rows[i].intermediates);
        assert_int_equal(play.proved, 2);
        play_end(&play);
    }
}

// RFC 9370 2.2.1 test
static void without_the_exchange_no_additional_method_is_left(void **state)
{
    (void)state;
    static const struct transform encr = {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128},
                                  kem = {TRANSFORM_ADDKE1, KE_ML_KEM_768, 0},
                                  none = {TRANSFORM_ADDKE1, KE_NONE, 0};
    struct proposals offered = {.count = 3};
    offered.at[0] = (struct proposal){.number = 1, .count = 2, .at = {encr, kem}};
    offered.at[1] = (struct proposal){.number = 2, .count = 3, .at = {encr, kem, none}};
    offered.at[2] = (struct proposal){.number = 3, .count = 1, .at = {encr}};
    intermediate_withdraw(&offered);
    assert_int_equal(offered.count, 2);
    assert_int_equal(offered.at[0].number, 2);
    assert_int_equal(offered.at[0].count, 2);
    assert_int_equal(offered.at[0].at[1].id, KE_NONE);
    assert_int_equal(offered.at[1].number, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_hybrids_are_derived_and_authenticated),
        cmocka_unit_test(without_the_exchange_no_additional_method_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
