// SPDX-License-Identifier: Apache-2.0
// What routers say of packets that were too large, and what must not be believed.
#include "wire.h"
#include "wire/icmp.h"

#define V4_HEAD "4500 0024 0000 0000 40 01 0000 c0000263 c0000201 "
#define TOO_BIG4 "03 04 0000 0000 0578 " // 1400
#define QUOTE4(protocol) "45 00 05dc 0000 4000 3f " protocol " 0000 c0000201 c0000202 "
#define TOO_BIG6 "02 00 0000 00000578 "
#define QUOTE6(protocol)                                                                           \
    "60000000 05b4 " protocol " 3f 20010db8000000000000000000000001 "                              \
    "20010db8000000000000000000000002 "

// clang-format off
static const struct row {
    const char *name, *text;
    uint8_t family;
    bool good, ike;
    uint32_t spi;
    uint16_t mtu;
} rows[] = {
    {"ESP over IPv4",         V4_HEAD TOO_BIG4 QUOTE4("32") "c0ffee01 00000007", ADDR_V4, true, false, 0xc0ffee01, 1400},
    {"AH over IPv4",          V4_HEAD TOO_BIG4 QUOTE4("33") "04040000 c0ffee01", ADDR_V4, true, false, 0xc0ffee01, 1400},
    {"ESP in UDP",            V4_HEAD TOO_BIG4 QUOTE4("11") "1194 1194 05c8 0000 c0ffee01", ADDR_V4, true, false, 0xc0ffee01, 1400},
    {"IKE behind the marker", V4_HEAD TOO_BIG4 QUOTE4("11") "1194 1194 05c8 0000 00000000 0102030405060708 1112131415161718", ADDR_V4, true, true, 0, 1400},
    {"IKE",                   V4_HEAD TOO_BIG4 QUOTE4("11") "01f4 01f4 05c8 0000 0102030405060708 1112131415161718", ADDR_V4, true, true, 0, 1400},
    {"ESP over IPv6",         TOO_BIG6 QUOTE6("32") "c0ffee01 00000007", ADDR_V6, true, false, 0xc0ffee01, 1400},
    // RFC 1191 5 test: an old router says nothing of the size.
    {"no size",               V4_HEAD "03 04 0000 0000 0000 " QUOTE4("32") "c0ffee01 00000007", ADDR_V4, true, false, 0xc0ffee01, 1492},
    // RFC 792 test: eight bytes of what was behind the header do not tell whose ESP in UDP it was.
    {"UDP and no more",       V4_HEAD TOO_BIG4 QUOTE4("11") "1194 1194 05c8 0000", ADDR_V4, false, false, 0, 0},
    {"TCP",                   V4_HEAD TOO_BIG4 QUOTE4("06") "01bb 01bb 00000000", ADDR_V4, false, false, 0, 0},
    {"port unreachable",      V4_HEAD "03 03 0000 0000 0578 " QUOTE4("32") "c0ffee01 00000007", ADDR_V4, false, false, 0, 0},
    {"as large as the packet", V4_HEAD "03 04 0000 0000 05dc " QUOTE4("32") "c0ffee01 00000007", ADDR_V4, false, false, 0, 0},
    {"larger",                TOO_BIG6 "60000000 0100 32 3f 20010db8000000000000000000000001 20010db8000000000000000000000002 c0ffee01", ADDR_V6, false, false, 0, 0},
    {"a later fragment",      V4_HEAD TOO_BIG4 "45 00 05dc 0000 0010 3f 32 0000 c0000201 c0000202 c0ffee01 00000007", ADDR_V4, false, false, 0, 0},
    {"no size over IPv6",     "02 00 0000 00000000 " QUOTE6("32") "c0ffee01 00000007", ADDR_V6, false, false, 0, 0},
};
// clang-format on

static bool read_text(const struct row *row, size_t drop, struct icmp_quote *out)
{
    static uint8_t space[512];
    struct bytes whole = hex_into(row->text, strlen(row->text), space);
    struct bytes copy = exact_copy(bytes_of(whole.at, whole.size - drop));
    bool good = icmp_quote_read(row->family, copy, out);
    exact_drop(copy);
    return good;
}

static void messages_are_read_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct icmp_quote quote;
        bool good = read_text(&rows[i], 0, &quote);
        if (good != rows[i].good) fail_msg("%s", rows[i].name);
        if (!good) continue;
        assert_int_equal(quote.mtu, rows[i].mtu);
        assert_int_equal(quote.ike, rows[i].ike);
        if (quote.ike) assert_int_equal(quote.spi_r, 0x1112131415161718);
        else assert_int_equal(quote.spi, rows[i].spi);
        assert_int_equal(quote.local.at[rows[i].family == ADDR_V4 ? 3 : 15], 1);
        assert_int_equal(quote.remote.at[rows[i].family == ADDR_V4 ? 3 : 15], 2);
    }
}

static void no_truncation_and_no_change_does_harm(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t space[512];
        struct icmp_quote quote;
        struct bytes whole = hex_into(rows[i].text, strlen(rows[i].text), space);
        for (size_t drop = 9; drop <= whole.size; drop++)
            assert_false(read_text(&rows[i], drop, &quote) && !rows[i].good);
        for (size_t place = 0; place < whole.size; place++)
            for (unsigned value = 0; value < 256; value++) {
                uint8_t before = space[place];
                space[place] = (uint8_t)value;
                struct bytes copy = exact_copy(whole);
                if (icmp_quote_read(rows[i].family, copy, &quote)) assert_true(quote.mtu > 0);
                exact_drop(copy);
                space[place] = before;
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_read_or_refused),
        cmocka_unit_test(no_truncation_and_no_change_does_harm),
    };
    return cmocka_run_group_tests_name("icmp", tests, NULL, NULL);
}
