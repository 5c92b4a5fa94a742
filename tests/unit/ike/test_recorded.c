// SPDX-License-Identifier: Apache-2.0
// Exchanges that were recorded between other daemons: our key schedule derives their keys, and our
// messages open with them.
#include "../crypto/vectors.h"
#include "ike/internal.h"

enum { LINE_MAX_SIZE = 400000, MESSAGES_MAX = 400 };

struct recorded {
    struct bytes raw, inner;
    uint8_t inner_type;
    bool has_inner;
};

struct run {
    char name[64];
    struct recorded messages[MESSAGES_MAX];
    size_t count;
    struct arena arena;
};

// Reads the messages of one run out of ikev2.txt.
static bool run_load(const char *name, struct run *run)
{
    static char line[LINE_MAX_SIZE];
    FILE *file = fopen(VECTORS "/exchanges/ikev2.txt", "r");
    bool inside = false;
    assert_non_null(file);
    memset(run, 0, sizeof *run);
    snprintf(run->name, sizeof run->name, "%s", name);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "run ", 4) == 0) inside = strcmp(line + 4, name) == 0;
        if (!inside) continue;
        if (strncmp(line, "message ", 8) == 0) {
            assert_true(run->count < MESSAGES_MAX);
            run->messages[run->count++].raw = hex_bytes(&run->arena, line + 8);
        } else if (strncmp(line, "inner ", 6) == 0) {
            struct recorded *last = &run->messages[run->count - 1];
            char *end;
            last->inner_type = (uint8_t)strtoul(line + 6, &end, 10);
            last->has_inner = true;
            last->inner = end[1] == '-' ? BYTES_NONE : hex_bytes(&run->arena, end + 1);
        }
    }
    fclose(file);
    return run->count > 0;
}

// The SPIs whose first messages have these nonces in them.
static bool spis_find(const struct run *run, struct bytes nonces, uint64_t *spi_i, uint64_t *spi_r,
                      size_t *ni_size)
{
    for (size_t r = 0; r < run->count; r++) {
        struct ike_header header, first;
        struct payloads ours, theirs;
        uint8_t next;
        if (ike_header_read(run->messages[r].raw, &header) != OK ||
            header.exchange != EXCHANGE_IKE_SA_INIT || !header.spi_r)
            continue;
        struct bytes raw = run->messages[r].raw;
        if (payloads_read(header.next, bytes_of(raw.at + 28, raw.size - 28), &theirs, &next) != OK)
            continue;
        const struct payload *nr = payloads_first(&theirs, PAYLOAD_NONCE);
        for (size_t i = 0; i < r && nr; i++) {
            struct bytes before = run->messages[i].raw;
            if (ike_header_read(before, &first) != OK || first.spi_i != header.spi_i || first.spi_r)
                continue;
            if (payloads_read(first.next, bytes_of(before.at + 28, before.size - 28), &ours,
                              &next) != OK)
                continue;
            const struct payload *ni = payloads_first(&ours, PAYLOAD_NONCE);
            if (!ni || ni->body.size + nr->body.size != nonces.size) continue;
            if (memcmp(ni->body.at, nonces.at, ni->body.size) != 0) continue;
            *spi_i = header.spi_i;
            *spi_r = header.spi_r;
            *ni_size = ni->body.size;
            return true;
        }
    }
    return false;
}

static void check_key(struct vector *vector, const char *name, struct bytes ours)
{
    struct bytes expected = vector_bytes(vector, name);
    if (!bytes_equal(expected, ours)) print_error("%s of %s\n", name, vector_text(vector, "run"));
    check_bytes(ours, expected);
}

static void check_keys(struct vector *vector, const struct sa *i, const struct sa *r)
{
    struct sealer of_i = sa_sealer(i, true), of_r = sa_sealer(r, true);
    check_key(vector, "sk_d", sk_d(i));
    check_key(vector, "sk_ei", of_i.encr_key);
    check_key(vector, "sk_er", of_r.encr_key);
    if (i->suite.integ != INTEG_NONE) {
        check_key(vector, "sk_ai", of_i.integ_key);
        check_key(vector, "sk_ar", of_r.integ_key);
    }
    check_key(vector, "sk_pi", secret_bytes(&i->handshake->sk_pi));
    check_key(vector, "sk_pr", secret_bytes(&i->handshake->sk_pr));
}

// Opens what the two ends sent; returns how many messages were compared.
static size_t messages_open(const struct run *run, struct sa *i, struct sa *r, size_t *refused)
{
    size_t compared = 0;
    for (size_t m = 0; m < run->count; m++) {
        const struct recorded *recorded = &run->messages[m];
        struct message message = {.raw = recorded->raw};
        if (!recorded->has_inner || ike_header_read(recorded->raw, &message.header) != OK) continue;
        if (message.header.spi_i != i->spi_i || message.header.spi_r != i->spi_r) continue;
        struct arena arena = {0};
        struct sa *receiver = message.header.flags & FLAG_INITIATOR ? r : i;
        enum fault fault = message_open(receiver, &message, &arena);
        if (fault == OK) {
            size_t at = 0;
            for (size_t p = 0; p < message.payloads->count; p++) {
                struct bytes whole = message.payloads->at[p].whole;
                assert_true(at + whole.size <= recorded->inner.size);
                assert_memory_equal(whole.at, recorded->inner.at + at, whole.size);
                at += whole.size;
            }
            assert_int_equal(at, recorded->inner.size);
            if (message.payloads->count)
                assert_int_equal(message.payloads->at[0].type, recorded->inner_type);
            compared++;
        } else if (fault != FAULT_FRAGMENT_WAITS) {
            ++*refused;
        }
        arena_free(&arena);
    }
    return compared;
}

static bool fragments_feed(const struct run *run, struct sa *i, struct sa *r)
{
    for (size_t m = 0; m < run->count; m++) {
        struct message message = {.raw = run->messages[m].raw};
        struct arena arena = {0};
        if (ike_header_read(message.raw, &message.header) != OK ||
            message.header.next != PAYLOAD_SKF || message.header.spi_r != i->spi_r)
            continue;
        struct sa *receiver = message.header.flags & FLAG_INITIATOR ? r : i;
        enum fault fault = message_open(receiver, &message, &arena);
        arena_free(&arena);
        if (fault == OK) return true;
    }
    return false;
}

// RFC 7296 2.13, 2.14, 3.14 test
static void recorded_exchanges_open_with_our_key_schedule(void **state)
{
    (void)state;
    crypto_start();
    static struct vector vector;
    static struct run run;
    struct rng_seeded rng;
    size_t sets = 0, opened = 0, refused = 0, joined = 0;
    rng_seed(&rng, 1);
    struct ike_settings settings = ike_settings_default();
    struct ike *core = ike_new(&rng.rng, &settings);
    struct sa before = {0}; // RFC 9370 2.2.2: a further key exchange goes on from the SK_d before,
                            // as a rekeying does
    char run_before[64] = "";
    vectors_open(&vector, "../exchanges/keys.txt");
    while (vector_next(&vector)) {
        if (strcmp(vector.word, "keys") != 0) continue;
        struct bytes nonces = vector_bytes(&vector, "nonces");
        uint64_t spi_i, spi_r;
        size_t ni_size;
        if (!run_load(vector_text(&vector, "run"), &run)) continue;
        if (!spis_find(&run, nonces, &spi_i, &spi_r,
                       &ni_size)) { // keys of a rekeyed SA or of a further key exchange
            arena_free(&run.arena);
            continue;
        }
        struct sa ends[2];
        struct exchange x = {0};
        bool goes_on = strcmp(run_before, run.name) == 0 && before.spi_r == spi_r;
        SECRET(shared);
        secret_set(&shared, vector_bytes(&vector, "ke"));
        for (unsigned e = 0; e < 2; e++) {
            struct sa *sa = &ends[e];
            *sa = (struct sa){.ike = core,
                              .initiator = e == 0,
                              .spi_i = spi_i,
                              .spi_r = spi_r,
                              .handshake = NEW(struct handshake)};
            sa->suite.encr = (uint16_t)id_of("ENCR", vector_text(&vector, "encr"));
            sa->suite.key_bits = (uint16_t)strtoul(vector_text(&vector, "bits"), NULL, 10);
            sa->suite.prf = (uint16_t)id_of("PRF", vector_text(&vector, "prf"));
            const char *integ = vector_text(&vector, "integ");
            sa->suite.integ = *integ && *integ != '-' && strcmp(integ, "NONE") != 0
                                  ? (uint16_t)id_of("INTEG", integ)
                                  : INTEG_NONE;
            assert_int_equal(keymat_ike(&x, sa, bytes_of(nonces.at, ni_size),
                                        bytes_of(nonces.at + ni_size, nonces.size - ni_size),
                                        &shared, goes_on ? &before : NULL),
                             OK);
        }
        check_keys(&vector, &ends[0], &ends[1]);
        opened += messages_open(&run, &ends[0], &ends[1], &refused);
        joined += fragments_feed(&run, &ends[0], &ends[1]);
        sets++;
        for (unsigned e = 0; e < 2; e++) {
            reassembly_free(&ends[e]);
            handshake_free(ends[e].handshake);
            ends[e].handshake = NULL;
        }
        secret_wipe(&before.keys.all);
        secret_wipe(&ends[1].keys.all);
        before = ends[0];
        snprintf(run_before, sizeof run_before, "%s", run.name);
        arena_free(&run.arena);
    }
    secret_wipe(&before.keys.all);
    ike_free(core);
    print_message(
        "%zu key sets, %zu messages opened, %zu under later keys, %zu runs with fragments\n", sets,
        opened, refused, joined);
    assert_true(sets >= 40);
    assert_true(opened >= 150);
    assert_true(refused * 4 < opened);
    assert_true(joined >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_exchanges_open_with_our_key_schedule)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
