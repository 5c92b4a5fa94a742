// SPDX-License-Identifier: Apache-2.0
#include "conf.h"
#include "conf/options_internal.h"

// RFC 4648 10 test
static const struct {
    const char *text, *bytes;
} base64[] = {
    {"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYg==", "foob"}, {"Zm9vYmE=", "fooba"}, {"Zm9vYmFy", "foobar"},
    {"Zg", "f"}, {"Zm8", "fo"}, {" Z m\n9\tv\r\n", "foo"}, {"+/+/", "\xfb\xff\xbf"},
};
static const char *const not_base64[] = {"Z", "Zm9vY", "Zg=", "Zm8==", "Zg===", "Z=g=", "Zg==Zg==", "Zm9-", "Zm9*", "="};

static void base64_is_read_to_the_byte(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct bytes out;
    for (size_t i = 0; i < COUNT(base64); i++) {
        CHECK_FAULT(base64_read(bytes_of_text(base64[i].text), &arena, &out), OK);
        check_bytes(out, bytes_of_text(base64[i].bytes));
    }
    for (size_t i = 0; i < COUNT(not_base64); i++)
        CHECK_FAULT(base64_read(bytes_of_text(not_base64[i]), &arena, &out), FAULT_PEM_SYNTAX);
    arena_free(&arena);
}

#define BLOCK(label, body) "-----BEGIN " label "-----\n" body "-----END " label "-----\n"

static void blocks_are_found_among_other_text(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct pem_block blocks[4];
    size_t count;
    struct bytes in = BYTES("subject=x\n" BLOCK("CERTIFICATE", "MAMC\nAQU=\n") "more\n" BLOCK("PRIVATE KEY", "MAA=\n"));
    CHECK_FAULT(pem_read(in, &arena, blocks, 4, &count), OK);
    assert_int_equal(count, 2);
    assert_string_equal(blocks[0].label, "CERTIFICATE");
    check_bytes(blocks[0].der, BYTES("\x30\x03\x02\x01\x05"));
    assert_string_equal(blocks[1].label, "PRIVATE KEY");
    check_bytes(blocks[1].der, BYTES("\x30\x00"));
    assert_false(blocks[1].encrypted);
    CHECK_FAULT(pem_read(in, &arena, blocks, 1, &count), FAULT_CONF_LIMIT);
    arena_free(&arena);
}

static void encrypted_keys_are_told_from_open_ones(void **state)
{
    (void)state;
    const struct {
        struct bytes in;
        bool encrypted;
    } keys[] = {
        {BYTES(BLOCK("ENCRYPTED PRIVATE KEY", "MAA=\n")), true},
        {BYTES(BLOCK("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMAA=\n")), true},
        {BYTES(BLOCK("RSA PRIVATE KEY", "MAA=\n")), false},
        {BYTES("\x30\x07\x02\x01\x00\x04\x02xx"), false},
        {BYTES("\x30\x06\x30\x00\x04\x02xx"), true},
        {BYTES("\x30\x81\x06\x30\x00\x04\x02xx"), true},
    };
    for (size_t i = 0; i < COUNT(keys); i++) {
        struct arena arena = {0};
        struct pem_block block;
        size_t count;
        CHECK_FAULT(pem_read(keys[i].in, &arena, &block, 1, &count), OK);
        assert_int_equal(block.encrypted, keys[i].encrypted);
        arena_free(&arena);
    }
}

static void damaged_blocks_are_refused(void **state)
{
    (void)state;
    const struct bytes damaged[] = {
        BYTES(""), BYTES("hello"), BYTES("-----BEGIN CERTIFICATE"), BYTES("-----BEGIN CERTIFICATE-----\nMAA=\n"),
        BYTES("-----BEGIN CERTIFICATE-----\nMAA=\n-----END X-----\n"), BYTES(BLOCK("CERTIFICATE", "M*A=\n")),
        BYTES("\x30\x05\x00"), BYTES("\x30\x00\x00"), BYTES("\x30\x85\x00\x00\x00\x00\x00"), BYTES("\x31\x00"), BYTES("\x30\x80"),
    };
    for (size_t i = 0; i < COUNT(damaged); i++) {
        struct arena arena = {0};
        struct pem_block blocks[2];
        size_t count;
        CHECK_FAULT(pem_read(damaged[i], &arena, blocks, 2, &count), FAULT_PEM_SYNTAX);
        arena_free(&arena);
    }
}

static void every_truncation_is_read_without_harm(void **state)
{
    (void)state;
    struct bytes in = BYTES(BLOCK("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\n\nMAA=\n"));
    for (size_t size = 0; size < in.size - 1; size++) {
        struct arena arena = {0};
        struct pem_block blocks[2];
        size_t count;
        uint8_t *copy = mem_new(size);
        if (size) memcpy(copy, in.at, size);
        CHECK_FAULT(pem_read(bytes_of(copy, size), &arena, blocks, 2, &count), FAULT_PEM_SYNTAX);
        free(copy);
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_is_read_to_the_byte),
        cmocka_unit_test(blocks_are_found_among_other_text),
        cmocka_unit_test(encrypted_keys_are_told_from_open_ones),
        cmocka_unit_test(damaged_blocks_are_refused),
        cmocka_unit_test(every_truncation_is_read_without_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
