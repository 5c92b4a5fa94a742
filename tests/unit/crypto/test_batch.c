// SPDX-License-Identifier: Apache-2.0
// Batches of packets: both back ends give the same bytes, and these are the bytes of the message
// cipher, which is held against published vectors elsewhere. Known packets are tested with the data
// plane.
#include "crypto/batch.h"
#include "vectors.h"

enum { PACKETS = 200, PACKET_ROOM = 2304, PAYLOAD_MAX = 2048 };

static const struct pair {
    uint16_t encr, key_bits, integ;
    bool mb; // is it done by ipsec-mb?
} pairs[] = {
    // clang-format off
    {ENCR_AES_GCM_16, 128, INTEG_NONE, true},  {ENCR_AES_GCM_16, 192, INTEG_NONE, true},  {ENCR_AES_GCM_16, 256, INTEG_NONE, true},
    {ENCR_AES_GCM_12, 128, INTEG_NONE, true},  {ENCR_AES_GCM_12, 256, INTEG_NONE, true},
    {ENCR_AES_GCM_8, 128, INTEG_NONE, true},   {ENCR_AES_GCM_8, 192, INTEG_NONE, true},
    {ENCR_CHACHA20_POLY1305, 0, INTEG_NONE, true},
    {ENCR_AES_CBC, 128, INTEG_HMAC_SHA2_256_128, true}, {ENCR_AES_CBC, 192, INTEG_HMAC_SHA2_384_192, true},
    {ENCR_AES_CBC, 256, INTEG_HMAC_SHA2_512_256, true}, {ENCR_AES_CBC, 128, INTEG_HMAC_SHA1_96, true},
    {ENCR_AES_CBC, 256, INTEG_HMAC_SHA1_160, true},
    {ENCR_AES_CTR, 128, INTEG_HMAC_SHA2_256_128, true}, {ENCR_AES_CTR, 192, INTEG_HMAC_SHA2_512_256, true},
    {ENCR_AES_CTR, 256, INTEG_HMAC_SHA1_96, true},
    {ENCR_NULL, 0, INTEG_HMAC_SHA2_256_128, true},      {ENCR_NULL, 0, INTEG_HMAC_SHA2_384_192, true},
    {ENCR_AES_CCM_8, 128, INTEG_NONE, false},  {ENCR_AES_CCM_12, 192, INTEG_NONE, false}, {ENCR_AES_CCM_16, 256, INTEG_NONE, false},
    {ENCR_NULL_AES_GMAC, 128, INTEG_NONE, false},       {ENCR_3DES, 0, INTEG_HMAC_SHA2_256_128, false},
    {ENCR_CAMELLIA_CBC, 256, INTEG_HMAC_SHA2_256_128, false}, {ENCR_AES_CBC, 128, INTEG_AES_XCBC_96, false},
    {ENCR_AES_CTR, 128, INTEG_AES_CMAC_96, false},      {ENCR_NULL, 0, INTEG_HMAC_MD5_96, false},
    // clang-format on
};

struct bench {
    struct batch_backend *evp, *mb;
    struct rng_seeded rng;
    uint8_t *space[2];
    struct batch_packet packets[2][PACKETS];
    uint8_t *plain;
};

static int bench_new(void **state)
{
    static struct bench bench;
    crypto_start();
    bench.evp = batch_backend_new(BATCH_EVP);
    bench.mb = batch_backend_new(BATCH_MB);
    assert_non_null(bench.evp);
    if (!bench.mb) print_message("ipsec-mb is not to be had here: compared with itself\n");
    for (size_t i = 0; i < 2; i++) bench.space[i] = mem_array(PACKETS, PACKET_ROOM);
    bench.plain = mem_array(PACKETS, PACKET_ROOM);
    rng_seed(&bench.rng, 20261121);
    *state = &bench;
    return 0;
}

static int bench_end(void **state)
{
    struct bench *bench = *state;
    batch_backend_free(bench->evp);
    batch_backend_free(bench->mb);
    for (size_t i = 0; i < 2; i++) free(bench->space[i]);
    free(bench->plain);
    return 0;
}

struct keys {
    uint8_t encr[40], integ[64];
    struct bytes encr_key, integ_key;
};

static void keys_make(struct bench *bench, const struct pair *pair, struct keys *keys)
{
    struct encr_info encr;
    struct integ_info integ = {0};
    assert_true(encr_info(pair->encr, pair->key_bits, &encr));
    if (pair->integ) assert_true(integ_info(pair->integ, &integ));
    rng_fill(&bench->rng.rng, keys->encr, sizeof keys->encr);
    rng_fill(&bench->rng.rng, keys->integ, sizeof keys->integ);
    keys->encr_key = bytes_of(keys->encr, (size_t)encr.key + encr.salt);
    keys->integ_key = bytes_of(keys->integ, integ.key);
}

// One that seals is expanded later, as those of SAs are.
static struct batch_key *key_make_kept(struct batch_backend *backend, const struct pair *pair,
                                       const struct keys *keys)
{
    struct batch_key *kept = NULL;
    CHECK_FAULT(batch_key_keep(backend, pair->encr, pair->key_bits, pair->integ, keys->encr_key,
                               keys->integ_key, true, &kept),
                OK);
    size_t iv = batch_key_iv_size(kept), icv = batch_key_icv_size(kept), align = batch_key_align(kept);
    struct batch_key *key = batch_key_expanded(kept);
    assert_ptr_equal(batch_key_expanded(key), key);
    assert_int_equal(batch_key_iv_size(key), iv);
    assert_int_equal(batch_key_icv_size(key), icv);
    assert_int_equal(batch_key_align(key), align);
    return key;
}

static struct batch_key *key_make(struct batch_backend *backend, const struct pair *pair,
                                  const struct keys *keys, bool seal)
{
    if (seal) return key_make_kept(backend, pair, keys);
    struct batch_key *key = NULL;
    CHECK_FAULT(batch_key_new(backend, pair->encr, pair->key_bits, pair->integ, keys->encr_key,
                              keys->integ_key, seal, &key),
                OK);
    return key;
}

// The same packets twice: random sizes, sequence numbers, with and without ESN.
static size_t packets_make(struct bench *bench, const struct batch_key *key)
{
    size_t count = 1 + rng_below(&bench->rng.rng, PACKETS), align = batch_key_align(key);
    rng_fill(&bench->rng.rng, bench->space[0], PACKETS * (size_t)PACKET_ROOM);
    for (size_t i = 0; i < count; i++) {
        size_t blocks = 1 + rng_below(&bench->rng.rng, i % 3 ? 8 : PAYLOAD_MAX / align);
        struct batch_packet packet = {.payload_size = (uint32_t)(blocks * align),
                                      .seq_high = rng_u32(&bench->rng.rng),
                                      .esn = rng_below(&bench->rng.rng, 2)};
        for (size_t k = 0; k < 2; k++) {
            packet.esp = bench->space[k] + i * PACKET_ROOM;
            bench->packets[k][i] = packet;
        }
    }
    memcpy(bench->space[1], bench->space[0], PACKETS * (size_t)PACKET_ROOM);
    memcpy(bench->plain, bench->space[0], PACKETS * (size_t)PACKET_ROOM);
    return count;
}

static size_t packet_size(const struct batch_key *key, const struct batch_packet *packet)
{
    return 8 + batch_key_iv_size(key) + packet->payload_size + batch_key_icv_size(key);
}

static void check_plain(struct bench *bench, size_t which, size_t i, const struct batch_key *key)
{
    struct batch_packet *packet = &bench->packets[which][i];
    size_t start = 8 + batch_key_iv_size(key);
    assert_true(packet->good);
    assert_memory_equal(packet->esp + start, bench->plain + i * PACKET_ROOM + start,
                        packet->payload_size);
}

static void both_back_ends_give_the_same_bytes(void **state)
{
    struct bench *bench = *state;
    for (size_t p = 0; p < COUNT(pairs); p++) {
        struct keys keys;
        struct batch_backend *other = bench->mb && pairs[p].mb ? bench->mb : bench->evp;
        keys_make(bench, &pairs[p], &keys);
        struct batch_key *seal_evp = key_make(bench->evp, &pairs[p], &keys, true);
        struct batch_key *seal_other = key_make(other, &pairs[p], &keys, true);
        struct batch_key *open_evp = key_make(bench->evp, &pairs[p], &keys, false);
        struct batch_key *open_other = key_make(other, &pairs[p], &keys, false);
        for (size_t round = 0; round < 6; round++) {
            size_t count = packets_make(bench, seal_evp);
            batch_seal(seal_evp, bench->packets[0], count);
            batch_seal(seal_other, bench->packets[1], count);
            assert_memory_equal(bench->space[0], bench->space[1], PACKETS * (size_t)PACKET_ROOM);
            batch_open(open_evp, bench->packets[1], count);
            batch_open(open_other, bench->packets[0], count);
            for (size_t i = 0; i < count; i++) {
                check_plain(bench, 0, i, seal_evp);
                check_plain(bench, 1, i, seal_evp);
            }
        }
        batch_key_free(seal_evp);
        batch_key_free(seal_other);
        batch_key_free(open_evp);
        batch_key_free(open_other);
    }
}

// RFC 4106 5 test, RFC 4303 2.8.1 test: an own computation of what the batch gives, with the
// message cipher or MAC.
static void check_against_sealer(struct bench *bench, const struct pair *pair,
                                 const struct keys *keys, const struct batch_key *key, size_t i)
{
    const struct batch_packet *packet = &bench->packets[0][i];
    uint8_t expected[PACKET_ROOM], associated[12], high[4];
    size_t iv_size = batch_key_iv_size(key);
    const uint8_t *esp = packet->esp, *plain = bench->plain + i * PACKET_ROOM + 8 + iv_size;
    for (size_t k = 0; k < 4; k++) high[k] = (uint8_t)(packet->seq_high >> (24 - 8 * k));
    memcpy(associated, esp, 4);
    memcpy(associated + 4, high, 4);
    memcpy(associated + 8, esp + 4, 4);
    struct bytes header = packet->esn && !pair->integ ? BYTES_ARRAY(associated) : bytes_of(esp, 8);
    struct sealer sealer = {pair->encr, pair->key_bits, pair->integ, keys->encr_key,
                            keys->integ_key};
    CHECK_FAULT(sealer_seal(&sealer, header, bytes_of(esp + 8, iv_size),
                            bytes_of(plain, packet->payload_size), expected),
                OK);
    size_t until_icv = 8 + iv_size + packet->payload_size, icv_size = batch_key_icv_size(key);
    assert_memory_equal(esp + 8, expected, iv_size + packet->payload_size);
    if (pair->integ && packet->esn) {
        uint8_t tag[INTEG_TAG_MAX];
        CHECK_FAULT(integ_tag(pair->integ, keys->integ_key,
                              PIECES(bytes_of(esp, until_icv), BYTES_ARRAY(high)), tag),
                    OK);
        memcpy(expected + until_icv - 8, tag, icv_size);
    }
    assert_memory_equal(esp + until_icv, expected + until_icv - 8, icv_size);
    assert_memory_equal(esp + until_icv + icv_size,
                        bench->plain + i * PACKET_ROOM + until_icv + icv_size, 8); // nothing beyond
}

static void packets_are_those_of_the_message_cipher(void **state)
{
    struct bench *bench = *state;
    for (size_t p = 0; p < COUNT(pairs); p++) {
        struct keys keys;
        if (pairs[p].encr == ENCR_NULL || pairs[p].encr == ENCR_NULL_AES_GMAC)
            continue; // protect no messages
        keys_make(bench, &pairs[p], &keys);
        struct batch_key *seal = key_make(bench->evp, &pairs[p], &keys, true);
        size_t count = packets_make(bench, seal);
        batch_seal(seal, bench->packets[0], count);
        for (size_t i = 0; i < count; i++) check_against_sealer(bench, &pairs[p], &keys, seal, i);
        batch_key_free(seal);
    }
}

// RFC 4106 3.1 test, RFC 3602 3 test
static void counter_ivs_are_the_sequence_number_and_cbc_ivs_are_not(void **state)
{
    struct bench *bench = *state;
    for (size_t p = 0; p < COUNT(pairs); p++) {
        struct keys keys;
        keys_make(bench, &pairs[p], &keys);
        struct batch_key *seal = key_make(bench->evp, &pairs[p], &keys, true);
        size_t count = packets_make(bench, seal), iv_size = batch_key_iv_size(seal), same = 0;
        bool cbc = pairs[p].encr == ENCR_AES_CBC || pairs[p].encr == ENCR_3DES ||
                   pairs[p].encr == ENCR_CAMELLIA_CBC;
        batch_seal(seal, bench->packets[0], count);
        for (size_t i = 0; i < count && iv_size; i++) {
            const struct batch_packet *packet = &bench->packets[0][i];
            uint32_t high = packet->esn ? packet->seq_high : 0;
            const uint8_t sequence[8] = {
                (uint8_t)(high >> 24), (uint8_t)(high >> 16), (uint8_t)(high >> 8), (uint8_t)high,
                packet->esp[4],        packet->esp[5],        packet->esp[6],       packet->esp[7]};
            same += memcmp(packet->esp + 8 + iv_size - 8, sequence, 8) == 0;
        }
        assert_int_equal(same, cbc || !iv_size ? 0 : count);
        batch_key_free(seal);
    }
}

static void cbc_ivs_differ_with_packet_and_key(void **state)
{
    struct bench *bench = *state;
    uint8_t space[4][128] = {{0}};
    for (size_t k = 0; k < 2; k++) {
        struct keys keys;
        keys_make(bench, &pairs[8], &keys);
        struct batch_key *seal = key_make(bench->evp, &pairs[8], &keys, true);
        struct batch_packet packets[2] = {{.esp = space[2 * k], .payload_size = 16},
                                          {.esp = space[2 * k + 1], .payload_size = 16}};
        space[2 * k + 1][7] = 1;
        batch_seal(seal, packets, 2);
        batch_key_free(seal);
    }
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < i; k++) assert_memory_not_equal(space[i] + 8, space[k] + 8, 16);
}

// One bit anywhere in the packet, or in the half of the sequence number that is not sent, spoils
// it, and it alone.
static void changed_packets_are_found(void **state)
{
    struct bench *bench = *state;
    for (size_t p = 0; p < 2 * COUNT(pairs); p++) {
        const struct pair *pair = &pairs[p / 2];
        struct batch_backend *backend = p % 2 ? bench->mb : bench->evp;
        struct keys keys;
        bool bad[PACKETS] = {0};
        if (!backend || (p % 2 && !pair->mb)) continue;
        keys_make(bench, pair, &keys);
        struct batch_key *seal = key_make(backend, pair, &keys, true),
                         *open = key_make(backend, pair, &keys, false);
        size_t count = packets_make(bench, seal);
        batch_seal(seal, bench->packets[0], count);
        for (size_t i = 0; i < count; i++) {
            struct batch_packet *packet = &bench->packets[0][i];
            size_t bit = rng_below(&bench->rng.rng, 8 * packet_size(seal, packet));
            bad[i] = rng_below(&bench->rng.rng, 2);
            if (bad[i] && packet->esn && i % 4 == 0)
                packet->seq_high ^= 1u << bit % 32;
            else if (bad[i])
                packet->esp[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        batch_open(open, bench->packets[0], count);
        for (size_t i = 0; i < count; i++) {
            if (bad[i])
                assert_false(bench->packets[0][i].good);
            else
                check_plain(bench, 0, i, seal);
        }
        batch_key_free(seal);
        batch_key_free(open);
    }
}

// RFC 4303 3.4.4 test: a payload of no whole blocks, or of nothing, among good ones.
static void payloads_of_a_wrong_size_are_refused(void **state)
{
    struct bench *bench = *state;
    for (size_t p = 0; p < 2 * COUNT(pairs); p++) {
        const struct pair *pair = &pairs[p / 2];
        struct batch_backend *backend = p % 2 ? bench->mb : bench->evp;
        struct keys keys;
        if (!backend || (p % 2 && !pair->mb)) continue;
        keys_make(bench, pair, &keys);
        struct batch_key *seal = key_make(backend, pair, &keys, true),
                         *open = key_make(backend, pair, &keys, false);
        size_t count = packets_make(bench, seal);
        batch_seal(seal, bench->packets[0], count);
        for (size_t i = 0; i < count; i += 2)
            bench->packets[0][i].payload_size = i % 4 ? 0 : bench->packets[0][i].payload_size + 1;
        batch_open(open, bench->packets[0], count);
        for (size_t i = 0; i < count; i++) {
            if (i % 2 == 0)
                assert_false(bench->packets[0][i].good);
            else
                check_plain(bench, 0, i, seal);
        }
        batch_key_free(seal);
        batch_key_free(open);
    }
}

// RFC 4543 3.3 test; the tags were computed with another library.
static void gmac_covers_header_iv_and_payload(void **state)
{
    struct bench *bench = *state;
    static const char *const tags[] = {"ed3462a6c571e33e6d9e4d58486de292",
                                       "8170b3ae13a3ecb33b0bdc1611bd3775"};
    struct arena arena = {0};
    uint8_t key[20], space[80] = {1, 2, 3, 4, 0, 0, 0, 9};
    for (size_t i = 0; i < 16; i++) key[i] = (uint8_t)i;
    for (size_t i = 0; i < 4; i++) key[16 + i] = (uint8_t)(0xa0 + i);
    for (size_t i = 0; i < 32; i++) space[16 + i] = (uint8_t)(0x40 + i);
    struct batch_key *seal = NULL;
    CHECK_FAULT(batch_key_new(bench->evp, ENCR_NULL_AES_GMAC, 128, INTEG_NONE, BYTES_ARRAY(key),
                              BYTES_NONE, true, &seal),
                OK);
    for (size_t esn = 0; esn < 2; esn++) {
        struct batch_packet packet = {.esp = space, .payload_size = 32, .seq_high = 5, .esn = esn};
        batch_seal(seal, &packet, 1);
        check_bytes(bytes_of(space + 48, 16), hex_bytes(&arena, tags[esn]));
        for (size_t i = 0; i < 32; i++) assert_int_equal(space[16 + i], 0x40 + i); // stays readable
    }
    batch_key_free(seal);
    arena_free(&arena);
}

static const struct {
    uint16_t encr, key_bits, integ;
    size_t encr_size, integ_size;
    enum fault fault;
} refused[] = {
    {ENCR_AES_GCM_16, 128, INTEG_HMAC_SHA2_256_128, 20, 32, FAULT_UNSUPPORTED_INTEGRITY},
    {ENCR_AES_CBC, 128, INTEG_NONE, 16, 0, FAULT_UNSUPPORTED_INTEGRITY},
    {ENCR_NULL, 0, INTEG_NONE, 0, 0, FAULT_UNSUPPORTED_INTEGRITY},
    {ENCR_DES, 0, INTEG_HMAC_SHA2_256_128, 8, 32, FAULT_UNSUPPORTED_CIPHER},
    {ENCR_AES_GCM_16, 64, INTEG_NONE, 12, 0, FAULT_UNSUPPORTED_CIPHER},
    {ENCR_AES_GCM_16, 128, INTEG_NONE, 16, 0, FAULT_KEY_WRONG_SIZE},
    {ENCR_AES_CBC, 128, INTEG_HMAC_SHA2_256_128, 16, 31, FAULT_KEY_WRONG_SIZE},
};

static void keys_that_cannot_be_are_refused(void **state)
{
    struct bench *bench = *state;
    static const uint8_t bytes[64];
    for (size_t i = 0; i < 2 * COUNT(refused); i++) {
        struct batch_key *key = NULL;
        struct batch_backend *backend = i % 2 ? bench->mb : bench->evp;
        if (!backend) continue;
        CHECK_FAULT(batch_key_new(backend, refused[i / 2].encr, refused[i / 2].key_bits,
                                  refused[i / 2].integ, bytes_of(bytes, refused[i / 2].encr_size),
                                  bytes_of(bytes, refused[i / 2].integ_size), true, &key),
                    refused[i / 2].fault);
        assert_null(key);
    }
}

static void what_ipsec_mb_lacks_is_left_to_openssl(void **state)
{
    struct bench *bench = *state;
    if (!bench->mb) skip();
    assert_string_equal(batch_backend_name(bench->mb), "ipsec-mb");
    assert_string_equal(batch_backend_name(bench->evp), "openssl");
    for (size_t p = 0; p < COUNT(pairs); p++) {
        struct keys keys;
        struct batch_key *key = NULL;
        keys_make(bench, &pairs[p], &keys);
        CHECK_FAULT(batch_key_new(bench->mb, pairs[p].encr, pairs[p].key_bits, pairs[p].integ,
                                  keys.encr_key, keys.integ_key, true, &key),
                    pairs[p].mb ? OK : FAULT_UNSUPPORTED_CIPHER);
        batch_key_free(key);
        key = NULL;
        CHECK_FAULT(batch_key_keep(bench->mb, pairs[p].encr, pairs[p].key_bits, pairs[p].integ,
                                   keys.encr_key, keys.integ_key, true, &key),
                    pairs[p].mb ? OK : FAULT_UNSUPPORTED_CIPHER);
        batch_key_free(key);   // one that was never expanded
    }
}

// RFC 4303 2.4 test
static void payloads_are_padded_to_four_bytes_at_least(void **state)
{
    struct bench *bench = *state;
    for (size_t p = 0; p < COUNT(pairs); p++) {
        struct keys keys;
        struct encr_info info;
        keys_make(bench, &pairs[p], &keys);
        assert_true(encr_info(pairs[p].encr, pairs[p].key_bits, &info));
        struct batch_key *key = key_make(bench->evp, &pairs[p], &keys, true);
        assert_int_equal(batch_key_align(key), info.block > 4 ? info.block : 4);
        assert_int_equal(batch_key_iv_size(key), info.iv);
        batch_key_free(key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_back_ends_give_the_same_bytes),
        cmocka_unit_test(packets_are_those_of_the_message_cipher),
        cmocka_unit_test(counter_ivs_are_the_sequence_number_and_cbc_ivs_are_not),
        cmocka_unit_test(cbc_ivs_differ_with_packet_and_key),
        cmocka_unit_test(changed_packets_are_found),
        cmocka_unit_test(payloads_of_a_wrong_size_are_refused),
        cmocka_unit_test(gmac_covers_header_iv_and_payload),
        cmocka_unit_test(keys_that_cannot_be_are_refused),
        cmocka_unit_test(what_ipsec_mb_lacks_is_left_to_openssl),
        cmocka_unit_test(payloads_are_padded_to_four_bytes_at_least),
    };
    return cmocka_run_group_tests(tests, bench_new, bench_end);
}
