// SPDX-License-Identifier: Apache-2.0
// Known answers: packets made elsewhere (tests/vectors/esp/README) open to their inner packets on
// both back ends, and what we seal from those opens again; where nothing in a packet is ours to
// choose it is the same to the byte.
#include "rig.h"

enum { TUNNEL_PACKETS = 100, TRANSPORT_PACKETS = 39, AH_PACKETS = 30 };

struct vector {
    char mode[16], encr[32], integ[32];
    struct bytes key, integ_key, inner, esp;
    uint32_t spi;
    uint64_t sequence;
    bool esn, encap;
};

static const struct {
    const char *name;
    uint16_t number;
    uint8_t salt;
} encr_names[] = {
    {"AES_CBC", ENCR_AES_CBC, 0},
    {"3DES_CBC", ENCR_3DES, 0},
    {"AES_CTR", ENCR_AES_CTR, 4},
    {"AES_GCM_16", ENCR_AES_GCM_16, 4},
    {"AES_CCM_16", ENCR_AES_CCM_16, 3},
    {"CHACHA20_POLY1305", ENCR_CHACHA20_POLY1305, 4},
    {"NULL", ENCR_NULL, 0},
};
static const struct {
    const char *name;
    uint16_t number;
} integ_names[] = {
    {"-", INTEG_NONE},
    {"HMAC_MD5_96", INTEG_HMAC_MD5_96},
    {"HMAC_SHA1_96", INTEG_HMAC_SHA1_96},
    {"AES_CMAC_96", INTEG_AES_CMAC_96},
    {"HMAC_SHA2_256_128", INTEG_HMAC_SHA2_256_128},
    {"HMAC_SHA2_384_192", INTEG_HMAC_SHA2_384_192},
    {"HMAC_SHA2_512_256", INTEG_HMAC_SHA2_512_256},
};

static struct bytes unhex(struct arena *arena, const char *text)
{
    size_t size = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;
    uint8_t *out = arena_new(arena, size ? size : 1);
    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return bytes_of(out, size);
}

static void vector_read(char *line, struct arena *arena, struct vector *out)
{
    char *field[12], *save = NULL;
    for (size_t i = 0; i < COUNT(field); i++)
        assert_non_null(field[i] = strtok_r(i ? NULL : line, "\t\n", &save));
    *out =
        (struct vector){.encap = strcmp(field[8], "udp") == 0, .esn = strcmp(field[7], "-") != 0};
    snprintf(out->mode, sizeof out->mode, "%s", field[0]);
    snprintf(out->encr, sizeof out->encr, "%s", field[1]);
    snprintf(out->integ, sizeof out->integ, "%s", field[2]);
    out->key = unhex(arena, field[3]);
    out->integ_key = unhex(arena, field[4]);
    out->spi = (uint32_t)strtoul(field[5], NULL, 16);
    out->sequence =
        strtoull(field[6], NULL, 10) | (out->esn ? strtoull(field[7], NULL, 10) << 32 : 0);
    out->inner = unhex(arena, field[10]);
    out->esp = unhex(arena, field[11]);
}

static struct sa_spec vector_spec(const struct vector *vector)
{
    struct sa_spec spec = spec_of(&ciphers[0], SA_OUT, vector->spi);
    spec.encr = UINT16_MAX;
    spec.integ = UINT16_MAX;
    uint8_t salt = 0;
    for (size_t i = 0; i < COUNT(encr_names); i++)
        if (strcmp(encr_names[i].name, vector->encr) == 0) {
            spec.encr = encr_names[i].number;
            salt = encr_names[i].salt;
        }
    for (size_t i = 0; i < COUNT(integ_names); i++)
        if (strcmp(integ_names[i].name, vector->integ) == 0) spec.integ = integ_names[i].number;
    assert_true(spec.encr != UINT16_MAX && spec.integ != UINT16_MAX);
    bool sized = strncmp(vector->encr, "AES", 3) == 0;
    spec.key_bits = sized ? (uint16_t)((vector->key.size - salt) * 8) : 0;
    spec.esn = vector->esn;
    spec.encr_key = vector->key;
    spec.integ_key = vector->integ_key;
    spec.path.encap = vector->encap;
    spec.local = spec.remote = selectors_of("0.0.0.0/0 ::/0");
    return spec;
}

static struct box box;

static void vector_check(const struct vector *vector, enum batch_kind kind)
{
    struct rig rig;
    assert_true(rig_start(&rig, kind));
    rig.spec = vector_spec(vector);
    struct policy_spec policy =
        policy_of(POLICY, POLICY_PROTECT, "0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0");
    CHECK_FAULT(plane_policy_add(rig.a, &policy), OK);
    rig_add_sa(&rig);
    struct sa_run *in = sad_find_in(&rig.b->sad, vector->spi);
    in->in.replay.top = vector->sequence - 1;

    struct packet *packet = box_put(&box, vector->esp);
    open_one(rig.b, packet);
    CHECK_FAULT(packet->fault, OK);
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    assert_int_equal(packet->size, vector->inner.size);
    assert_memory_equal(packet->at, vector->inner.at, vector->inner.size);

    enum fault fault;
    sad_find_out(&rig.a->sad, vector->spi, NULL, &fault)->out.sequence = vector->sequence - 1;
    packet = box_put(&box, vector->inner);
    seal_one(rig.a, packet);
    assert_int_equal(packet->verdict, VERDICT_SEND);
    assert_int_equal(packet->size, vector->esp.size);
    assert_memory_equal(packet->at, vector->esp.at, ESP_HEADER);
    if (rig.spec.encr == ENCR_NULL)
        assert_memory_equal(packet->at, vector->esp.at, vector->esp.size);
    in->in.replay.ring[vector->sequence / 64 & in->in.replay.word_mask] =
        0; // as if it had not come yet
    open_one(rig.b, packet);
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    assert_int_equal(packet->size, vector->inner.size);
    assert_memory_equal(packet->at, vector->inner.at, vector->inner.size);
    rig_close(&rig);
}

// Transport
// -----------------------------------------------------------------------------------------

// What the sender of a transport packet put on the wire: the inner packet's header, and ESP.
static struct bytes whole_of(const struct vector *vector, uint8_t *space)
{
    const uint8_t *ip = vector->inner.at;
    bool v4 = ip[0] >> 4 == 4;
    uint32_t head = v4 ? (ip[0] & 0xfu) * 4 : 40, size = head + (uint32_t)vector->esp.size;
    memcpy(space, ip, head);
    memcpy(space + head, vector->esp.at, vector->esp.size);
    space[v4 ? 9 : 6] = IPPROTO_NUMBER_ESP;
    ip_set_size(space, size);
    return bytes_of(space, size);
}

// From a raw socket with its header, or from a UDP socket without.
static struct packet *transport_arrive(const struct vector *vector, struct bytes whole)
{
    struct packet *packet = box_put(&box, whole);
    CHECK_FAULT(packet_split(packet), OK);
    if (vector->encap) packet->head = 0;
    return packet;
}

static void check_inner(const struct packet *packet, struct bytes inner, bool made_anew)
{
    CHECK_FAULT(packet->fault, OK);
    assert_int_equal(packet->verdict, VERDICT_DELIVER);
    assert_int_equal(packet->size, inner.size);
    bool v4 = inner.at[0] >> 4 == 4;
    if (!made_anew || !v4) {
        assert_memory_equal(packet->at, inner.at, inner.size);
        return;
    }
    // a header that is made anew has an identification and with it a checksum of its own
    assert_int_equal(ipv4_sum(packet->at), 0);
    assert_memory_equal(packet->at, inner.at, 4);
    assert_memory_equal(packet->at + 6, inner.at + 6, 4);
    assert_memory_equal(packet->at + 12, inner.at + 12, inner.size - 12);
}

static void transport_check(const struct vector *vector, enum batch_kind kind)
{
    static uint8_t space[BOX_ROOM];
    struct rig rig;
    assert_true(rig_start(&rig, kind));
    rig.spec = vector_spec(vector);
    rig.spec.mode = MODE_TRANSPORT;
    struct policy_spec policy =
        policy_of(POLICY, POLICY_PROTECT, "0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0");
    CHECK_FAULT(plane_policy_add(rig.a, &policy), OK);
    rig.spec.replay_window = 0;
    rig_add_sa(&rig);
    sad_find_in(&rig.b->sad, vector->spi)->in.replay.top = vector->sequence - 1;

    struct bytes whole = whole_of(vector, space);
    struct packet *packet = transport_arrive(vector, whole);
    open_one(rig.b, packet);
    check_inner(packet, vector->inner, vector->encap);

    enum fault fault;
    sad_find_out(&rig.a->sad, vector->spi, NULL, &fault)->out.sequence = vector->sequence - 1;
    packet = box_put(&box, vector->inner);
    seal_one(rig.a, packet);
    assert_int_equal(packet->verdict, VERDICT_SEND);
    assert_int_equal(packet->size, whole.size + (vector->encap ? UDP_HEADER : 0));
    uint32_t head = (uint32_t)(whole.size - vector->esp.size);
    const uint8_t *esp = packet->at + head + (vector->encap ? UDP_HEADER : 0);
    assert_memory_equal(esp, vector->esp.at, ESP_HEADER);
    if (!vector->encap) assert_memory_equal(packet->at, whole.at, head);
    if (rig.spec.encr == ENCR_NULL) assert_memory_equal(esp, vector->esp.at, vector->esp.size);
    rig_close(&rig);
}

static size_t check_all(enum batch_kind kind, const char *mode,
                        void (*check)(const struct vector *, enum batch_kind))
{
    FILE *file = fopen(VECTORS "/esp/packets.tsv", "r");
    assert_non_null(file);
    char *line = NULL;
    size_t room = 0, count = 0;
    while (getline(&line, &room, file) > 0) {
        if (*line == '#') continue;
        struct arena arena = {0};
        struct vector vector;
        vector_read(line, &arena, &vector);
        if (strcmp(vector.mode, mode) == 0) {
            check(&vector, kind);
            count++;
        }
        arena_free(&arena);
    }
    free(line);
    fclose(file);
    return count;
}

static void known_packets_open_with_openssl(void **state)
{
    (void)state;
    assert_int_equal(check_all(BATCH_EVP, "tunnel", vector_check), TUNNEL_PACKETS);
    assert_int_equal(check_all(BATCH_EVP, "transport", transport_check), TRANSPORT_PACKETS);
}

static void known_packets_open_with_ipsec_mb(void **state)
{
    (void)state;
    struct batch_backend *backend = batch_backend_new(BATCH_MB);
    if (!backend) skip();
    batch_backend_free(backend);
    assert_int_equal(check_all(BATCH_MB, "tunnel", vector_check), TUNNEL_PACKETS);
    assert_int_equal(check_all(BATCH_MB, "transport", transport_check), TRANSPORT_PACKETS);
}

// AH
// ------------------------------------------------------------------------------------------------

static void ah_check_line(char *line, struct arena *arena)
{
    char *field[8], *save = NULL;
    for (size_t i = 0; i < COUNT(field); i++)
        assert_non_null(field[i] = strtok_r(i ? NULL : line, "\t\n", &save));
    struct rig rig;
    assert_true(rig_start(&rig, BATCH_EVP));
    struct policy_spec policy =
        policy_of(POLICY, POLICY_PROTECT, "0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0");
    CHECK_FAULT(plane_policy_add(rig.a, &policy), OK);
    bool esn = strcmp(field[5], "-") != 0, tunnel = strcmp(field[0], "tunnel") == 0;
    uint32_t spi = (uint32_t)strtoul(field[3], NULL, 16);
    uint64_t sequence =
        strtoull(field[4], NULL, 10) | (esn ? strtoull(field[5], NULL, 10) << 32 : 0);
    rig.spec = spec_of(&ciphers[0], SA_OUT, spi);
    rig.spec.protocol = PROTOCOL_AH;
    rig.spec.mode = tunnel ? MODE_TUNNEL : MODE_TRANSPORT;
    rig.spec.encr_key.size = 0;
    rig.spec.esn = esn;
    for (size_t i = 0; i < COUNT(integ_names); i++)
        if (strcmp(integ_names[i].name, field[1]) == 0) rig.spec.integ = integ_names[i].number;
    rig.spec.integ_key = unhex(arena, field[2]);
    rig.spec.local = rig.spec.remote = selectors_of("0.0.0.0/0 ::/0");
    rig_add_sa(&rig);
    sad_find_in(&rig.b->sad, spi)->in.replay.top = sequence - 1;
    struct bytes inner = unhex(arena, field[6]), whole = unhex(arena, field[7]);

    struct packet *packet = box_put(&box, whole);
    CHECK_FAULT(packet_split(packet), OK);
    open_one(rig.b, packet);
    check_inner(packet, inner, false);

    enum fault fault;
    sad_find_out(&rig.a->sad, spi, NULL, &fault)->out.sequence = sequence - 1;
    packet = box_put(&box, inner);
    seal_one(rig.a, packet);
    assert_int_equal(packet->verdict, VERDICT_SEND);
    if (!tunnel) { // nothing in it is ours to choose
        assert_int_equal(packet->size, whole.size);
        assert_memory_equal(packet->at, whole.at, whole.size);
    }
    rig_close(&rig);
}

static void known_ah_packets_open_and_are_made(void **state)
{
    (void)state;
    FILE *file = fopen(VECTORS "/esp/ah.tsv", "r");
    assert_non_null(file);
    char *line = NULL;
    size_t room = 0, count = 0;
    for (; getline(&line, &room, file) > 0;) {
        if (*line == '#') continue;
        struct arena arena = {0};
        ah_check_line(line, &arena);
        arena_free(&arena);
        count++;
    }
    free(line);
    fclose(file);
    assert_int_equal(count, AH_PACKETS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_packets_open_with_openssl),
        cmocka_unit_test(known_packets_open_with_ipsec_mb),
        cmocka_unit_test(known_ah_packets_open_and_are_made),
    };
    crypto_start();
    return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
