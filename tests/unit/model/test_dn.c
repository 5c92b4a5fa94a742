// SPDX-License-Identifier: Apache-2.0
#include "model.h"

enum { SPACE = 2048 };

static struct bytes der_of(const char *text, uint8_t space[SPACE])
{
    struct wr out = wr_over(space, SPACE);
    CHECK_FAULT(dn_parse(bytes_of_text(text), &out), OK);
    return wr_done(&out);
}

#define DER(text) der_of(text, (uint8_t[SPACE]){0})

// X.690 by hand: C=CH as PrintableString, CN with an umlaut as UTF8String, an e-mail address as
// IA5String.
static void names_encode_like_this(void **state)
{
    (void)state;
    check_bytes(DER("C=CH"), BYTES("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02\x43\x48"));
    check_bytes(DER("CN=\xc3\xbc"),
                BYTES("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02\xc3\xbc"));
    check_bytes(DER("E=a@b"), BYTES("\x30\x14\x31\x12\x30\x10\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01"
                                    "\x09\x01\x16\x03\x61\x40\x62"));
    check_bytes(DER("DC=x"), BYTES("\x30\x13\x31\x11\x30\x0f\x06\x0a\x09\x92\x26\x89\x93\xf2\x2c"
                                   "\x64\x01\x19\x16\x01\x78"));
    check_bytes(DER("2.999.1=x"),
                BYTES("\x30\x0c\x31\x0a\x30\x08\x06\x03\x88\x37\x01\x13\x01\x78"));
    check_bytes(DER("CN=*"), BYTES("\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01*"));
    // Two values in one RDN stand in the order of their encodings.
    check_bytes(DER("OU=b+CN=a"), BYTES("\x30\x16\x31\x14\x30\x08\x06\x03\x55\x04\x03\x13\x01\x61"
                                        "\x30\x08\x06\x03\x55\x04\x0b\x13\x01\x62"));
}

static void lengths_take_as_many_bytes_as_they_need(void **state)
{
    (void)state;
    for (size_t size = 100; size < 300; size++) {
        char text[512] = "CN=", printed[512];
        memset(text + 3, 'x', size);
        struct bytes der = DER(text);
        assert_true(dn_print(der, printed, sizeof printed));
        assert_string_equal(printed, text);
    }
}

static void texts_of_one_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *printed;
    } rows[] = {
        {"C=CH, O=strongSwan, CN=moon", "C=CH, O=strongSwan, CN=moon"},
        {"C=CH,O=strongSwan,CN=moon", "C=CH, O=strongSwan, CN=moon"},
        {"/C=CH/O=strongSwan/CN=moon", "C=CH, O=strongSwan, CN=moon"},
        {"  c = CH ,  cn =  moon base  ", "C=CH, CN=moon base"},
        {"E=a@b.org", "E=a@b.org"},
        {"emailAddress=a@b.org", "E=a@b.org"},
        {"Email=a@b.org", "E=a@b.org"},
        {"DC=org, DC=example, UID=fred", "DC=org, DC=example, UID=fred"},
        {"serialNumber=12, GN=Fred, SN=Fox, T=Dr, S=Bar, ST=Bern, L=Bern, OU=R&D",
         "serialNumber=12, G=Fred, SN=Fox, T=Dr, SN=Bar, ST=Bern, L=Bern, OU=R&D"},
        {"O=\"Foo, Inc.\", CN=x", "O=Foo\\, Inc., CN=x"},
        {"O=Foo\\, Inc., CN=x", "O=Foo\\, Inc., CN=x"},
        {"O=\"say \\\"hi\\\"\"", "O=say \\\"hi\\\""},
        {"O=back\\\\slash", "O=back\\\\slash"},
        {"CN=C++, O=x", "CN=C++, O=x"},
        {"CN=a+OU=b", "CN=a + OU=b"},
        {"CN=a + OU=b", "CN=a + OU=b"},
        {"CN=a\\+OU=b", "CN=a\\+OU=b"},
        {"CN=a+b", "CN=a+b"},
        {"CN=a+b=c", "CN=a+b=c"},
        {"CN=", "CN="},
        {"CN=, O=x", "CN=, O=x"},
        {"CN=\\ x \\ ", "CN=\\ x \\ "},
        {"CN=#1", "CN=\\#1"},
        {"CN=#1 company", "CN=\\#1 company"},
        {"CN=#0c0178", "CN=x"},
        {"CN=#04020102", "CN=#04020102"},
        {"CN=#04020102 + OU=x, O=y", "OU=x + CN=#04020102, O=y"},
        {"2.5.4.3=x", "CN=x"},
        {"OID.1.2.3.4=x", "1.2.3.4=x"},
        {"1.3.6.1.4.1.4294967295=x", "1.3.6.1.4.1.4294967295=x"},
        {"CN=a\\0ab", "CN=a\\0ab"},
        {"CN=a/b", "CN=a/b"},
        {"/CN=a\\/b", "CN=a/b"},
        {"/CN=a, b", "CN=a\\, b"},
        {"CN=\xc3\xbcnal", "CN=\xc3\xbcnal"},
        {"CN=\\c3\\bcnal", "CN=\xc3\xbcnal"},
        {"CN=bad\\ff", "CN=bad\\ff"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char printed[512];
        print_message("%s\n", rows[i].text);
        struct bytes der = DER(rows[i].text);
        assert_true(dn_print(der, printed, sizeof printed));
        assert_string_equal(printed, rows[i].printed);
        struct bytes again = DER(printed);
        assert_true(dn_equal(der, again));
    }
}

static void what_is_no_name_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "/",
        "x",
        "CN",
        "=x",
        "CN=x,",
        "CN=x, ",
        ",CN=x",
        "/CN=x/",
        "//CN=x",
        "FOO=x",
        "CN=x, y",
        "O=Foo, Inc., CN=x",
        "CN=\"x",
        "CN=\"x\" y",
        "CN=x\\",
        "CN=\"x\\",
        "1=x",
        "3.1=x",
        "1.40=x",
        "1.2.=x",
        "1.4294967296.1=x",
        ".1.2=x",
        "CN=a+",
        "CN=\"a\"+",
        "2.5.4.3.4294967296=x",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t space[SPACE];
        struct wr out = wr_over(space, sizeof space);
        print_message("%s\n", rows[i]);
        enum fault fault = dn_parse(bytes_of_text(rows[i]), &out);
        // "CN=a+" has no attribute behind the plus sign, which is then a part of the value.
        if (strcmp(rows[i], "CN=a+") == 0)
            CHECK_FAULT(fault, OK);
        else
            CHECK_FAULT(fault, FAULT_DN_SYNTAX);
    }
}

static void a_name_without_room_is_a_fault(void **state)
{
    (void)state;
    uint8_t space[64];
    for (size_t room = 0; room < 15; room++) {
        struct wr out = wr_over(space, room);
        CHECK_FAULT(dn_parse(BYTES("C=CH"), &out), FAULT_NO_ROOM);
    }
    struct wr out = wr_over(space, 15);
    CHECK_FAULT(dn_parse(BYTES("C=CH"), &out), OK);
    char long_text[5000] = "CN=";
    memset(long_text + 3, 'x', sizeof long_text - 4);
    out = wr_over(space, sizeof space);
    CHECK_FAULT(dn_parse(bytes_of_text(long_text), &out), FAULT_NO_ROOM);
}

static void every_truncation_is_no_name(void **state)
{
    (void)state;
    struct bytes der = DER("C=CH, O=Example, CN=host.example.org + OU=x, 1.2.3=y");
    char text[256];
    for (size_t size = 0; size < der.size; size++) {
        uint8_t *exact = malloc(size ? size : 1);
        if (size) memcpy(exact, der.at, size);
        assert_false(dn_print(bytes_of(exact, size), text, sizeof text));
        assert_string_equal(text, "");
        assert_false(dn_equal(bytes_of(exact, size), der));
        free(exact);
    }
    assert_true(dn_print(der, text, sizeof text));
}

// No crash; and what prints is read back as the same name.
static void every_changed_byte_is_refused_or_printed_and_read_back(void **state)
{
    (void)state;
    struct bytes der = DER("C=CH, O=Ex\xc3\xbc, CN=h + OU=x, 1.2.3=y, E=a@b");
    size_t printed = 0;
    for (size_t place = 0; place < der.size; place++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t changed[256];
            char text[1024];
            memcpy(changed, der.at, der.size);
            changed[place] = (uint8_t)value;
            struct bytes name = bytes_of(changed, der.size);
            unsigned wildcards;
            (void)dn_matches(name, der, &wildcards);
            if (!dn_print(name, text, sizeof text)) continue;
            printed++;
            // A SET whose values are out of order reads back in order.
            uint8_t space[SPACE];
            struct wr out = wr_over(space, sizeof space);
            CHECK_FAULT(dn_parse(bytes_of_text(text), &out), OK);
            char again[1024];
            assert_true(dn_print(wr_done(&out), again, sizeof again));
            assert_int_equal(strlen(again), strlen(text));
        }
    }
    assert_true(printed > 1000);
}

static void der_must_be_strict(void **state)
{
    (void)state;
    static const struct bytes rows[] = {
        {(const uint8_t *)"\x30\x00", 2},         // no RDN
        {(const uint8_t *)"\x30\x02\x31\x00", 4}, // an empty one
        {(const uint8_t *)"\x30\x80\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02\x43\x48\x00\x00",
         17},
        {(const uint8_t *)"\x30\x81\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02\x43\x48",
         16}, // a length too long
        {(const uint8_t *)"\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02\x43\x48\x00",
         16}, // a byte behind
        {(const uint8_t *)"\x30\x0e\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02\x43\x48\x00", 16},
        {(const uint8_t *)"\x30\x0d\x30\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02\x43\x48",
         15}, // no SET
        {(const uint8_t *)"\x30\x0d\x31\x0b\x30\x09\x06\x03\x80\x04\x06\x13\x02\x43\x48",
         15}, // an arc padded
        {(const uint8_t *)"\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x86\x13\x02\x43\x48",
         15}, // an arc cut
        {(const uint8_t *)"\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x1f\x02\x43\x48",
         15}, // a long tag
    };
    char text[128];
    for (size_t i = 0; i < COUNT(rows); i++) assert_false(dn_print(rows[i], text, sizeof text));
}

static void a_text_that_does_not_fit_is_empty(void **state)
{
    (void)state;
    struct bytes der = DER("C=CH, CN=x");
    char text[11];
    assert_true(dn_print(der, text, 11));
    assert_string_equal(text, "C=CH, CN=x");
    for (size_t size = 1; size < 11; size++) {
        assert_false(dn_print(der, text, size));
        assert_string_equal(text, "");
    }
    assert_false(dn_print(der, text, 0));
}

static void names_are_equal_regardless_of_string_type_and_case(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"C=CH, CN=moon", "c=ch, cn=MOON", true},
        {"CN=#0c046d6f6f6e", "CN=moon", true},          // UTF8String
        {"CN=#16046d6f6f6e", "CN=moon", true},          // IA5String
        {"CN=#14046d6f6f6e", "CN=moon", true},          // T61String
        {"CN=#1e08006d006f006f006e", "CN=moon", false}, // BMPString
        {"CN=#04046d6f6f6e", "CN=moon", false},         // OCTET STRING
        {"CN=#04046d6f6f6e", "CN=#04046d6f6f6e", true},
        {"CN=moon", "CN=moon ", true},
        {"CN=moon", "CN=moon\\ ", false},
        {"CN=moon", "OU=moon", false},
        {"CN=moon", "CN=moon, CN=moon", false},
        {"CN=a, OU=b", "OU=b, CN=a", false},
        {"CN=a + OU=b", "OU=b + CN=a", true},
        {"CN=a + OU=b", "CN=a, OU=b", false},
        {"CN=*", "CN=moon", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        print_message("%s %s\n", rows[i].a, rows[i].b);
        assert_int_equal(dn_equal(DER(rows[i].a), DER(rows[i].b)), rows[i].equal);
        assert_int_equal(dn_equal(DER(rows[i].b), DER(rows[i].a)), rows[i].equal);
    }
    assert_true(dn_equal(BYTES("junk"), BYTES("junk")));
    assert_false(dn_equal(BYTES("junk"), BYTES("Junk")));
}

static void a_star_fits_any_value_of_its_attribute(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *name;
        bool matches;
        unsigned wildcards;
    } rows[] = {
        {"C=CH, CN=*", "C=CH, CN=moon", true, 1},
        {"C=*, CN=*", "C=CH, CN=moon", true, 2},
        {"C=CH, CN=moon", "C=CH, CN=moon", true, 0},
        {"C=CH, CN=*", "C=AT, CN=moon", false, 0},
        {"C=CH, CN=*", "C=CH, OU=moon", false, 0},
        {"C=CH, CN=*", "C=CH", false, 0},
        {"C=CH, CN=*", "C=CH, CN=a, CN=b", false, 0},
        {"CN=*.example.org", "CN=a.example.org", false, 0},
        {"CN=moon", "CN=*", false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned wildcards;
        assert_int_equal(dn_matches(DER(rows[i].pattern), DER(rows[i].name), &wildcards),
                         rows[i].matches);
        if (rows[i].matches) assert_int_equal(wildcards, rows[i].wildcards);
    }
}

static void random_names_print_and_read_back_equal(void **state)
{
    (void)state;
    struct rng_seeded rng = seeded(31337);
    static const char *const keys[] = {"CN",  "O",       "OU",           "C",       "E", "DC",
                                       "UID", "1.2.3.4", "serialNumber", "2.5.4.97"};
    static const char alphabet[] = "ab Z09,+=\"\\#/;<>*@.\xc3\xbc\x01\x7f'";
    for (int round = 0; round < 20000; round++) {
        AUTOFREE_BUF struct buf text = BUF(4096);
        uint64_t count = 1 + rng_below(&rng.rng, 5);
        for (uint64_t i = 0; i < count; i++) {
            buf_printf(&text, "%s%s=", i ? rng_below(&rng.rng, 4) ? "," : "+" : "",
                       keys[rng_below(&rng.rng, COUNT(keys))]);
            for (uint64_t size = rng_below(&rng.rng, 12); size; size--)
                buf_printf(&text, "\\%02x",
                           (uint8_t)alphabet[rng_below(&rng.rng, sizeof alphabet - 1)]);
        }
        uint8_t space[SPACE], again_space[SPACE];
        char printed[4096], twice[4096];
        struct wr out = wr_over(space, sizeof space),
                  again = wr_over(again_space, sizeof again_space);
        CHECK_FAULT(dn_parse(buf_bytes(&text), &out), OK);
        assert_true(dn_print(wr_done(&out), printed, sizeof printed));
        for (const char *c = printed; *c; c++) assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
        CHECK_FAULT(dn_parse(bytes_of_text(printed), &again), OK);
        check_bytes(wr_done(&again), wr_done(&out));
        assert_true(dn_print(wr_done(&again), twice, sizeof twice));
        assert_string_equal(twice, printed);
    }
}

static void random_texts_and_bytes_do_no_harm(void **state)
{
    (void)state;
    struct rng_seeded rng = seeded(5);
    static const char alphabet[] = "CNO=,+/\\\"# ax1.2";
    static const uint8_t tags[] = {0x30, 0x31, 0x06, 0x13, 0x0c, 0x03, 0x55,
                                   0x04, 0x02, 0x00, 0x05, 0x81, 0x82};
    for (int round = 0; round < 30000; round++) {
        uint8_t text[40], space[SPACE];
        char printed[512];
        size_t size = rng_below(&rng.rng, sizeof text);
        for (size_t i = 0; i < size; i++)
            text[i] = (uint8_t)alphabet[rng_below(&rng.rng, sizeof alphabet - 1)];
        struct wr out = wr_over(space, sizeof space);
        if (dn_parse(bytes_of(text, size), &out) == OK)
            assert_true(dn_print(wr_done(&out), printed, sizeof printed));
        for (size_t i = 0; i < size; i++) text[i] = tags[rng_below(&rng.rng, COUNT(tags))];
        (void)dn_print(bytes_of(text, size), printed, sizeof printed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_encode_like_this),
        cmocka_unit_test(lengths_take_as_many_bytes_as_they_need),
        cmocka_unit_test(texts_of_one_name),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(a_name_without_room_is_a_fault),
        cmocka_unit_test(every_truncation_is_no_name),
        cmocka_unit_test(every_changed_byte_is_refused_or_printed_and_read_back),
        cmocka_unit_test(der_must_be_strict),
        cmocka_unit_test(a_text_that_does_not_fit_is_empty),
        cmocka_unit_test(names_are_equal_regardless_of_string_type_and_case),
        cmocka_unit_test(a_star_fits_any_value_of_its_attribute),
        cmocka_unit_test(random_names_print_and_read_back_equal),
        cmocka_unit_test(random_texts_and_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
