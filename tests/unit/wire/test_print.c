// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

enum { LINE = 4096 };

static char *print_chain(uint8_t first, struct bytes chain, char *line, size_t limit)
{
    struct payloads payloads;
    uint8_t sealed_next;
    CHECK_FAULT(payloads_read(first, chain, &payloads, &sealed_next), OK);
    struct wr out = wr_over(line, limit);
    payloads_print(&payloads, &out);
    CHECK_FAULT(wr_end(&out), OK);
    line[out.size] = '\0';
    return line;
}

// clang-format off
static const struct {
    uint8_t first;
    const char *hex, *line;
} lines[] = {
    {PAYLOAD_NONE, "", ""},
    {PAYLOAD_SA, "00000030 0000002c 01010004 0300000c0100000c800e0080 030000080300000c 0300000802000005 0000000804000013",
     "SA[#1 IKE aes128-sha256-prfsha256-ecp256]"},
    {PAYLOAD_SA, "00000044 02000020 01030402 c0ffee01 0300000c01000014800e0080 0000000805000000"
                 "         00000020 02030402 c0ffee02 0300000c01000014800e0100 0000000805000000",
     "SA[#1 ESP c0ffee01 aes128gcm16-noesn, #2 ESP c0ffee02 aes256gcm16-noesn]"},
    {PAYLOAD_KE, "2800000a 001f 0000 a1a2 00000014 000102030405060708090a0b0c0d0e0f", "KE[curve25519] No"},
    {PAYLOAD_KE, "00000009 7abc 0000 a1", "KE[31420]"},
    {PAYLOAD_IDI, "27000011 02000000 612e6578616d706c65 00000009 0e000000 a1", "IDi[a.example] AUTH[DIGITAL_SIGNATURE]"},
    {PAYLOAD_IDR, "0000000c 01000000 0a000001", "IDr[10.0.0.1]"},
    {PAYLOAD_CERT, "26000007 04 3082 00000005 04", "CERT[X509_SIGNATURE 2 bytes] CERTREQ[X509_SIGNATURE 0 bytes]"},
    {PAYLOAD_NOTIFY, "29000009 00004006 aa 2900000c 03044009 c0ffee01 2900000a 00000011 0013 00000008 00009c40",
     "N(COOKIE) N(REKEY_SA ESP c0ffee01) N(INVALID_KE_PAYLOAD ecp256) N(40000)"},
    {PAYLOAD_DELETE, "2a000008 01000000 00000010 03040002 c0ffee01 00000002", "D[IKE] D[ESP c0ffee01 00000002]"},
    {PAYLOAD_VENDOR, "2b000007 616263 00000006 00ff", "V[abc] V[00ff]"},
    {PAYLOAD_TSI, "2d000018 01000000 07000010 0000ffff 0a000000 0affffff 00000018 01000000 07060010 01bb01bb 0a010001 0a010001",
     "TSi[10.0.0.0/8] TSr[10.1.0.1[tcp/443]]"},
    {PAYLOAD_CP, "00000029 02000000 00010004 0a030001 00030000 00080011 20010db800000000000000000000000140",
     "CP[REPLY INTERNAL_IP4_ADDRESS 10.3.0.1, INTERNAL_IP4_DNS, INTERNAL_IP6_ADDRESS 2001:db8::1/64]"},
    {PAYLOAD_CP, "0000000e 01000000 7abc0002 a1a2", "CP[REQUEST 31420 2 bytes]"},
    {PAYLOAD_EAP, "00000005 a1", "EAP[1 byte]"},
    {PAYLOAD_SK, "23000006 a1a2", "SK[2 bytes]"},
    {PAYLOAD_SKF, "2300000a 0001 0003 a1a2", "SKF[1/3 2 bytes]"},
    {49, "c8000004 c9800004 00000004", "GSPM[unknown] 200[unknown, critical] 201[unknown]"},
    {PAYLOAD_NONCE, "21000005 00 00000004", "No[bad: NONCE_SIZE] SA[bad: SA_EMPTY]"},
};
// clang-format on

static void payloads_print_like_this(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        uint8_t space[512];
        char line[LINE];
        struct bytes chain = hex_into(lines[i].hex, strlen(lines[i].hex), space);
        assert_string_equal(print_chain(lines[i].first, chain, line, LINE - 1), lines[i].line);
    }
}

// Escape sequences in names must not reach a terminal.
static void nothing_unprintable_is_printed(void **state)
{
    (void)state;
    static const uint8_t types[] = {ID_FQDN, ID_RFC822_ADDR, ID_DER_ASN1_DN, ID_KEY_ID, 200};
    for (size_t i = 0; i < COUNT(types) * 256; i++) {
        // An identity, then a vendor ID.
        uint8_t chain[] = {PAYLOAD_VENDOR, 0, 0, 11, 0, 0, 0, 0, 'a', 0, 'c', 0, 0, 0, 6, 'b', 0};
        chain[4] = types[i / 256];
        chain[9] = chain[16] = (uint8_t)i;
        char line[LINE];
        print_chain(PAYLOAD_IDI, BYTES_ARRAY(chain), line, LINE - 1);
        for (const char *at = line; *at; at++) assert_true(*at >= ' ' && *at <= '~');
    }
}

// Neither keys nor passwords are in these, but EAP may carry them and AUTH data proves them.
static void data_of_secrets_is_not_printed(void **state)
{
    (void)state;
    char line[LINE];
    print_chain(PAYLOAD_NONCE,
                HEX("27000014 abababababababababababababababab"
                    "30000014 02000000 cdcdcdcdcdcdcdcdcdcdcdcd 0000000c efefefefefefefef"),
                line, LINE - 1);
    assert_string_equal(line, "No AUTH[SHARED_KEY_MIC] EAP[8 bytes]");
}

static void a_long_payload_is_cut(void **state)
{
    (void)state;
    uint8_t chain[4 + 4 + 4 * DELETE_SPIS_MAX];
    struct wr out = wr_over(chain, sizeof chain);
    wr_bytes(&out, HEX("00 00"));
    wr_u16(&out, sizeof chain);
    wr_bytes(&out, HEX("03 04"));
    wr_u16(&out, DELETE_SPIS_MAX);
    for (uint32_t i = 0; i < DELETE_SPIS_MAX; i++) wr_u32(&out, i);
    char line[LINE];
    print_chain(PAYLOAD_DELETE, wr_done(&out), line, LINE - 1);
    size_t size = strlen(line);
    assert_true(size > 500 && size < 800);
    assert_memory_equal(line, "D[ESP 00000000 00000001 ", 24);
    assert_string_equal(line + size - 4, "...]");
}

static void a_line_keeps_to_its_room(void **state)
{
    (void)state;
    struct bytes chain = HEX("29000008 00004014 29000008 00004016 00000008 00004014");
    char whole[LINE];
    print_chain(PAYLOAD_NOTIFY, chain, whole, LINE - 1);
    size_t size = strlen(whole);
    for (size_t limit = 3; limit <= size; limit++) {
        char line[LINE];
        print_chain(PAYLOAD_NOTIFY, chain, line, limit);
        size_t got = strlen(line);
        assert_true(got <= limit);
        if (limit == size) {
            assert_string_equal(line, whole);
        } else {
            assert_string_equal(line + got - 3, "...");
            assert_memory_equal(line, whole, got - 3);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payloads_print_like_this),
        cmocka_unit_test(nothing_unprintable_is_printed),
        cmocka_unit_test(data_of_secrets_is_not_printed),
        cmocka_unit_test(a_long_payload_is_cut),
        cmocka_unit_test(a_line_keeps_to_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
