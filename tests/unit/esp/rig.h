// SPDX-License-Identifier: Apache-2.0
// What the tests of the data plane share: two planes with a pair of SAs between them, packets with
// room, inner packets.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "esp/internal.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define CHECK_FAULT(expression, expected)                                                          \
    assert_string_equal(fault_name(expression), fault_name(expected))

enum { SPI_AB = 0x2bcd1234, SPI_BA = 0x10203040, POLICY = 7 };

struct cipher {
    const char *name;
    uint16_t encr, key_bits, integ;
    uint8_t key_size, integ_size; // with the salt
};
static const struct cipher ciphers[] = {
    {"aes128gcm16", ENCR_AES_GCM_16, 128, INTEG_NONE, 20, 0},
    {"aes256gcm16", ENCR_AES_GCM_16, 256, INTEG_NONE, 36, 0},
    {"aes192gcm12", ENCR_AES_GCM_12, 192, INTEG_NONE, 28, 0},
    {"aes128gcm8", ENCR_AES_GCM_8, 128, INTEG_NONE, 20, 0},
    {"aes128ccm16", ENCR_AES_CCM_16, 128, INTEG_NONE, 19, 0},
    {"chacha20poly1305", ENCR_CHACHA20_POLY1305, 0, INTEG_NONE, 36, 0},
    {"aes128-sha256", ENCR_AES_CBC, 128, INTEG_HMAC_SHA2_256_128, 16, 32},
    {"aes256-sha512", ENCR_AES_CBC, 256, INTEG_HMAC_SHA2_512_256, 32, 64},
    {"aes128-sha1", ENCR_AES_CBC, 128, INTEG_HMAC_SHA1_96, 16, 20},
    {"aes128ctr-sha256", ENCR_AES_CTR, 128, INTEG_HMAC_SHA2_256_128, 20, 32},
    {"3des-sha1", ENCR_3DES, 0, INTEG_HMAC_SHA1_96, 24, 20},
    {"aes256-xcbc", ENCR_AES_CBC, 256, INTEG_AES_XCBC_96, 32, 16},
    {"aes128gmac", ENCR_NULL_AES_GMAC, 128, INTEG_NONE, 20, 0},
    {"null-sha256", ENCR_NULL, 0, INTEG_HMAC_SHA2_256_128, 0, 32},
};

static const enum batch_kind backend_kinds[] = {BATCH_EVP, BATCH_MB};

static const uint8_t key_bytes[2][64] = {
    {1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11,  12, 13, 14, 15, 16,
     23, 42, 99, 21, 31, 74, 33, 81, 7, 9,  101, 66, 77, 78, 79, 80},
    {200, 2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,
     61,  62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75},
};

static inline struct selectors selectors_of(const char *text)
{
    struct selectors set = {0};
    char copy[1024], *save = NULL;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        CHECK_FAULT(selector_parse(word, &set.at[set.count++]), OK);
    return set;
}

static inline struct endpoint endpoint_of(const char *addr, uint16_t port)
{
    struct endpoint endpoint = {.port = port};
    CHECK_FAULT(addr_parse(addr, &endpoint.addr), OK);
    return endpoint;
}

static inline struct sa_spec spec_of(const struct cipher *cipher, enum sa_direction direction,
                                     uint32_t spi)
{
    return (struct sa_spec){
        .spi = spi,
        .direction = (uint8_t)direction,
        .protocol = PROTOCOL_ESP,
        .mode = MODE_TUNNEL,
        .encr = cipher->encr,
        .key_bits = cipher->key_bits,
        .integ = cipher->integ,
        .policy = POLICY,
        .replay_window = 64,
        .path = {.local = endpoint_of("192.0.2.1", 4500), .remote = endpoint_of("192.0.2.2", 4500)},
        .encr_key = bytes_of(key_bytes[0], cipher->key_size),
        .integ_key = bytes_of(key_bytes[1], cipher->integ_size),
        .local = selectors_of("10.1.0.0/16 2001:db8:1::/48"),
        .remote = selectors_of("10.2.0.0/16 2001:db8:2::/48"),
    };
}

// The other end's view of an SA.
static inline struct sa_spec spec_turned(const struct sa_spec *spec)
{
    struct sa_spec turned = *spec;
    turned.direction = spec->direction == SA_OUT ? SA_IN : SA_OUT;
    turned.local = spec->remote;
    turned.remote = spec->local;
    turned.path.local = spec->path.remote;
    turned.path.remote = spec->path.local;
    return turned;
}

static inline struct policy_spec policy_of(uint32_t number, enum policy_action action,
                                           const char *local, const char *remote)
{
    return (struct policy_spec){
        .number = number,
        .action = (uint8_t)action,
        .trap = POLICY_BLOCK,
        .local = selectors_of(local),
        .remote = selectors_of(remote),
    };
}

// Plane a seals, plane b opens.
struct rig {
    struct batch_backend *backend;
    struct rng_seeded rng;
    struct plane *a, *b;
    struct sa_spec spec; // of the SA from a to b, as a has it
};

static inline struct plane *plane_make(struct rig *rig)
{
    const struct plane_limits limits = {.sas_max = 64, .policies_max = 64};
    return plane_new(rig->backend, &rig->rng.rng, &limits);
}

static inline void rig_add_sa(struct rig *rig)
{
    struct sa_spec in = spec_turned(&rig->spec);
    CHECK_FAULT(plane_sa_add(rig->a, &rig->spec), OK);
    CHECK_FAULT(plane_sa_add(rig->b, &in), OK);
}

// False when the machine has no such back end.
static inline bool rig_start(struct rig *rig, enum batch_kind kind)
{
    *rig = (struct rig){.backend = batch_backend_new(kind)};
    if (!rig->backend) return false;
    rng_seed(&rig->rng, 1);
    rig->a = plane_make(rig);
    rig->b = plane_make(rig);
    struct policy_spec policy = policy_of(POLICY, POLICY_PROTECT, "10.1.0.0/16 2001:db8:1::/48",
                                          "10.2.0.0/16 2001:db8:2::/48");
    CHECK_FAULT(plane_policy_add(rig->a, &policy), OK);
    return true;
}

static inline void rig_open(struct rig *rig, const struct cipher *cipher)
{
    assert_true(rig_start(rig, BATCH_EVP));
    rig->spec = spec_of(cipher, SA_OUT, SPI_AB);
}

static inline void rig_close(struct rig *rig)
{
    plane_free(rig->a);
    plane_free(rig->b);
    batch_backend_free(rig->backend);
}

// Packets -----------------------------------------------------------------------------------------

enum { BOX_ROOM = PACKET_HEAD + 65536 + PACKET_TAIL };
struct box {
    struct packet packet;
    uint8_t space[BOX_ROOM];
};

static inline struct packet *box_put(struct box *box, struct bytes bytes)
{
    assert_true(bytes.size <= 65536);
    box->packet =
        (struct packet){.space = box->space, .room = BOX_ROOM, .at = box->space + PACKET_HEAD};
    box->packet.size = (uint32_t)bytes.size;
    memcpy(box->packet.at, bytes.at, bytes.size);
    return &box->packet;
}

static inline struct bytes packet_bytes(const struct packet *packet)
{
    return bytes_of(packet->at, packet->size);
}

static inline uint16_t ipv4_sum(const uint8_t *ip)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < (ip[0] & 0xfu) * 4u; i += 2) sum += get_u16(ip + i);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

struct inner {
    const char *source, *destination;
    uint8_t protocol, tos;
    uint16_t source_port, destination_port;
    bool df;
    size_t size;
};

// A UDP, TCP or ICMP packet of the given size (at least 28 or 48 to have ports).
static inline struct bytes inner_make(const struct inner *inner, uint8_t *out)
{
    struct addr source = endpoint_of(inner->source, 0).addr,
                destination = endpoint_of(inner->destination, 0).addr;
    memset(out, 0, inner->size);
    size_t header = source.family == ADDR_V4 ? 20 : 40;
    assert_true(inner->size >= header);
    for (size_t i = header; i < inner->size; i++) out[i] = (uint8_t)(i * 7);
    if (header == 20) {
        out[0] = 0x45;
        out[1] = inner->tos;
        put_u16(out + 2, (uint16_t)inner->size);
        put_u16(out + 6, inner->df ? 0x4000 : 0);
        out[8] = 64;
        out[9] = inner->protocol;
        memcpy(out + 12, source.at, 4);
        memcpy(out + 16, destination.at, 4);
        put_u16(out + 10, ipv4_sum(out));
    } else {
        put_u16(out, (uint16_t)(0x6000 | inner->tos << 4));
        put_u16(out + 4, (uint16_t)(inner->size - 40));
        out[6] = inner->protocol;
        out[7] = 64;
        memcpy(out + 8, source.at, 16);
        memcpy(out + 24, destination.at, 16);
    }
    if (inner->size >= header + 4) {
        put_u16(out + header, inner->source_port);
        put_u16(out + header + 2, inner->destination_port);
    }
    return bytes_of(out, inner->size);
}

static inline struct bytes inner_v4(size_t size, uint8_t *out)
{
    const struct inner inner = {"10.1.0.5", "10.2.0.9", IPPROTO_NUMBER_UDP, 0, 1000, 2000,
                                false,      size};
    return inner_make(&inner, out);
}

static inline struct bytes inner_v6(size_t size, uint8_t *out)
{
    const struct inner inner = {
        "2001:db8:1::5", "2001:db8:2::9", IPPROTO_NUMBER_UDP, 0, 1000, 2000, false, size};
    return inner_make(&inner, out);
}

static inline void seal_one(struct plane *plane, struct packet *packet)
{
    plane_seal(plane, 1000, &packet, 1);
}

// As the receiver's socket would give it.
static inline void open_one(struct plane *plane, struct packet *packet)
{
    plane_open(plane, 2000, &packet, 1);
}
