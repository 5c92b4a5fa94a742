// SPDX-License-Identifier: Apache-2.0
#include "model.h"

static struct arena arena;

static int arena_end(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct identity id_of(const char *text)
{
    struct identity id;
    CHECK_FAULT(identity_parse(text, &arena, &id), OK);
    return id;
}

static struct identity raw(uint8_t type, struct bytes bytes)
{
    return (struct identity){.type = type, .bytes = bytes};
}

static void texts_are_read_as_this(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t type;
        const char *printed;
    } rows[] = {
        {"%any", IDENTITY_ANY, "%any"},
        {"", IDENTITY_ANY, "%any"},
        {"*", IDENTITY_ANY, "%any"},
        {"0.0.0.0", IDENTITY_ANY, "%any"},
        {"::", IDENTITY_ANY, "%any"},
        {"%any6", IDENTITY_ANY, "%any"},
        {"moon.strongswan.org", ID_FQDN, "moon.strongswan.org"},
        {"@moon.strongswan.org", ID_FQDN, "moon.strongswan.org"},
        {"fqdn:moon", ID_FQDN, "moon"},
        {"dns:moon", ID_FQDN, "moon"},
        {"FQDN:Moon", ID_FQDN, "Moon"},
        {"*.example.org", ID_FQDN, "*.example.org"},
        {"fqdn:192.0.2.1", ID_FQDN, "fqdn:192.0.2.1"},
        {"fqdn:a@b", ID_FQDN, "fqdn:a@b"},
        {"fqdn:a=b", ID_FQDN, "fqdn:a=b"},
        {"fqdn:a:b", ID_FQDN, "fqdn:a:b"},
        {"fqdn:*", ID_FQDN, "fqdn:*"},
        {"fqdn:%any", ID_FQDN, "fqdn:%any"},
        {"fqdn:#0161", ID_FQDN, "fqdn:#0161"},
        {"@10.0.0.1", ID_FQDN, "fqdn:10.0.0.1"},
        {"moon-7", ID_FQDN, "moon-7"},
        {"1.2.3", ID_FQDN, "1.2.3"},
        {"a/b", ID_FQDN, "a/b"},
        {"carol@strongswan.org", ID_RFC822_ADDR, "carol@strongswan.org"},
        {"@@carol@strongswan.org", ID_RFC822_ADDR, "carol@strongswan.org"},
        {"email:carol@x", ID_RFC822_ADDR, "carol@x"},
        {"rfc822:carol", ID_RFC822_ADDR, "email:carol"},
        {"userfqdn:carol@x", ID_RFC822_ADDR, "carol@x"},
        {"*@example.org", ID_RFC822_ADDR, "*@example.org"},
        {"email:@x", ID_RFC822_ADDR, "email:@x"},
        {"192.0.2.1", ID_IPV4_ADDR, "192.0.2.1"},
        {"ipv4:192.0.2.1", ID_IPV4_ADDR, "192.0.2.1"},
        {"ipv4:0.0.0.0", ID_IPV4_ADDR, "ipv4:0.0.0.0"},
        {"ipv4:#c0000201", ID_IPV4_ADDR, "192.0.2.1"},
        {"2001:DB8::1", ID_IPV6_ADDR, "2001:db8::1"},
        {"ipv6:2001:db8::1", ID_IPV6_ADDR, "2001:db8::1"},
        {"ipv6:::", ID_IPV6_ADDR, "ipv6:::"},
        {"192.0.2.0/24", ID_IPV4_SUBNET, "192.0.2.0/24"},
        {"ipv4net:192.0.2.7/24", ID_IPV4_SUBNET, "192.0.2.0/24"},
        {"ipv4net:192.0.2.7", ID_IPV4_SUBNET, "192.0.2.7/32"},
        {"192.0.2.7-192.0.2.9", ID_IPV4_RANGE, "192.0.2.7-192.0.2.9"},
        {"ipv4range:192.0.2.0/31", ID_IPV4_RANGE, "192.0.2.0-192.0.2.1"},
        {"2001:db8::/32", ID_IPV6_SUBNET, "2001:db8::/32"},
        {"ipv6range:2001:db8::-2001:db8::7", ID_IPV6_RANGE, "2001:db8::-2001:db8::7"},
        {"C=CH, O=strongSwan, CN=moon", ID_DER_ASN1_DN, "C=CH, O=strongSwan, CN=moon"},
        {"/C=CH/O=strongSwan/CN=moon", ID_DER_ASN1_DN, "C=CH, O=strongSwan, CN=moon"},
        {"asn1dn:CN=moon", ID_DER_ASN1_DN, "CN=moon"},
        {"asn1dn:#300f310d300b06035504031304", ID_DER_ASN1_DN,
         "asn1dn:#300f310d300b06035504031304"},
        {"CN=a@b, O=x:y", ID_DER_ASN1_DN, "CN=a@b, O=x:y"},
        {"C=CH, CN=*", ID_DER_ASN1_DN, "C=CH, CN=*"},
        {"keyid:some key", ID_KEY_ID, "keyid:some key"},
        {"keyid:#00ff", ID_KEY_ID, "keyid:#00ff"},
        {"keyid:#00:fF", ID_KEY_ID, "keyid:#00ff"},
        {"@#00ff", ID_KEY_ID, "keyid:#00ff"},
        {"keyid:#2361", ID_KEY_ID, "keyid:#2361"},
        {"keyid:fqdn:x", ID_KEY_ID, "keyid:fqdn:x"},
        {"asn1gn:#8201", ID_DER_ASN1_GN, "asn1gn:#8201"},
        {"uri:http://example.org/", ID_DER_ASN1_GN, "uri:http://example.org/"},
        {"xmppaddr:a@b", ID_DER_ASN1_GN, "asn1gn:#a01106082b06010505070805a0050c03614062"},
        {"{2}:moon", ID_FQDN, "moon"},
        {"{1}:192.0.2.1", ID_IPV4_ADDR, "192.0.2.1"},
        {"{11}:#0102", ID_KEY_ID, "keyid:#0102"},
        {"{12}:abc", ID_FC_NAME, "{12}:#616263"},
        {"{13}:", ID_NULL, "{13}:"},
        {"{201}:#ff", 201, "{201}:#ff"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[IDENTITY_TEXT];
        print_message("%s\n", rows[i].text);
        struct identity id = id_of(rows[i].text);
        assert_int_equal(id.type, rows[i].type);
        assert_false(id.regex);
        assert_string_equal(identity_print(&id, text, sizeof text), rows[i].printed);
        struct identity again = id_of(text);
        assert_true(identity_equal(&id, &again));
    }
}

static void bytes_are_those_of_the_wire(void **state)
{
    (void)state;
    check_bytes(id_of("192.0.2.1").bytes, BYTES("\xc0\x00\x02\x01"));
    check_bytes(id_of("@moon").bytes, BYTES("moon"));
    check_bytes(id_of("a@b").bytes, BYTES("a@b"));
    check_bytes(id_of("keyid:#00ff").bytes, BYTES("\x00\xff"));
    check_bytes(id_of("10.0.0.0/9").bytes,
                BYTES("\x0a\x00\x00\x00\xff\x80\x00\x00")); // RFC 2407 4.6.2.5 test
    check_bytes(id_of("uri:x").bytes, BYTES("\x86\x01x"));  // RFC 5280 4.2.1.6 test
    assert_int_equal(id_of("2001:db8::1").bytes.size, 16);
    assert_int_equal(id_of("%any").bytes.size, 0);
    struct addr addr = addr_v4(192, 0, 2, 1);
    struct identity id = identity_of_addr(&addr, &arena), same = id_of("192.0.2.1");
    assert_true(identity_equal(&id, &same));
    addr = addr_any(ADDR_V6);
    assert_int_equal(identity_of_addr(&addr, &arena).type, ID_IPV6_ADDR);
    addr = addr_any(ADDR_NONE);
    assert_int_equal(identity_of_addr(&addr, &arena).type, IDENTITY_ANY);
}

static void what_is_no_identity_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum fault fault;
    } rows[] = {
        {"foo:bar", FAULT_IDENTITY_PREFIX},
        {"2001:db8::zz", FAULT_IDENTITY_PREFIX},
        {"ipv4:2001:db8::1", FAULT_IDENTITY_SYNTAX},
        {"ipv4:moon", FAULT_IDENTITY_SYNTAX},
        {"ipv4:192.0.2.0/24", FAULT_IDENTITY_SYNTAX},
        {"ipv6:192.0.2.1", FAULT_IDENTITY_SYNTAX},
        {"ipv4net:192.0.2.1-192.0.2.9", FAULT_IDENTITY_SYNTAX},
        {"fqdn:", FAULT_IDENTITY_SYNTAX},
        {"keyid:", FAULT_IDENTITY_SYNTAX},
        {"@", FAULT_IDENTITY_SYNTAX},
        {"fqdn:a\nb", FAULT_IDENTITY_SYNTAX},
        {"a\x7f@b", FAULT_IDENTITY_SYNTAX},
        {"keyid:#0", FAULT_IDENTITY_SYNTAX},
        {"keyid:#0g", FAULT_IDENTITY_SYNTAX},
        {"keyid:#00:", FAULT_IDENTITY_SYNTAX},
        {"asn1gn:foo", FAULT_IDENTITY_SYNTAX},
        {"{13}:x", FAULT_IDENTITY_SYNTAX},
        {"{0}:x", FAULT_IDENTITY_PREFIX},
        {"{256}:x", FAULT_IDENTITY_PREFIX},
        {"{1x}:x", FAULT_IDENTITY_PREFIX},
        {"C=CH, strongSwan", FAULT_DN_SYNTAX},
        {"FOO=bar", FAULT_DN_SYNTAX},
        {"fqdn:^(moon$", FAULT_IDENTITY_PATTERN},
        {"^[$", FAULT_IDENTITY_PATTERN},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct identity id = {.type = 99};
        print_message("%s\n", rows[i].text);
        CHECK_FAULT(identity_parse(rows[i].text, &arena, &id), rows[i].fault);
        assert_int_equal(id.type, 99);
    }
}

static void identities_are_at_most_1024_bytes(void **state)
{
    (void)state;
    static char text[5000];
    struct identity id;
    memset(text, 'x', 1024);
    assert_int_equal(id_of(text).bytes.size, IDENTITY_SIZE_MAX);
    text[1024] = 'x';
    CHECK_FAULT(identity_parse(text, &arena, &id), FAULT_IDENTITY_TOO_LONG);
    memset(text, 'x', sizeof text - 1);
    CHECK_FAULT(identity_parse(text, &arena, &id), FAULT_IDENTITY_TOO_LONG);
    memcpy(text, "CN=", 3);
    text[1500] = '\0';
    CHECK_FAULT(identity_parse(text, &arena, &id), FAULT_IDENTITY_TOO_LONG);
    memcpy(text, "xmppaddr:", 9);
    CHECK_FAULT(identity_parse(text, &arena, &id), FAULT_IDENTITY_TOO_LONG);
    memcpy(text, "email:^xx", 9);
    text[1499] = '$';
    CHECK_FAULT(identity_parse(text, &arena, &id), FAULT_IDENTITY_PATTERN);
}

static void what_does_not_fit_is_printed_with_dots(void **state)
{
    (void)state;
    char text[12];
    struct identity name = id_of("moon.strongswan.org"), key = id_of("keyid:#00ff00ff00ff");
    assert_string_equal(identity_print(&name, text, sizeof text), "moon.str...");
    assert_string_equal(identity_print(&key, text, sizeof text), "keyid:#0...");
    assert_string_equal(identity_print(&name, text, 1), "");
}

// What a peer may send never brings a control character into a log, nor a text that reads as
// something else.
static void odd_bytes_print_as_hexadecimal(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        struct bytes bytes;
        const char *printed;
    } rows[] = {
        {ID_FQDN, {(const uint8_t *)"a\nb", 3}, "fqdn:#610a62"},
        {ID_FQDN, {(const uint8_t *)"a\0b", 3}, "fqdn:#610062"},
        {ID_FQDN, {(const uint8_t *)"", 0}, "fqdn:#"},
        {ID_FQDN, {(const uint8_t *)"^a$", 3}, "fqdn:#5e6124"},
        {ID_FQDN, {(const uint8_t *)"keyid:x", 7}, "fqdn:keyid:x"},
        {ID_FQDN, {(const uint8_t *)"{2}:x", 5}, "fqdn:{2}:x"},
        {ID_RFC822_ADDR, {(const uint8_t *)"\xff@x", 3}, "email:#ff4078"},
        {ID_RFC822_ADDR, {(const uint8_t *)"email:a@b", 9}, "email:email:a@b"},
        {ID_RFC822_ADDR, {(const uint8_t *)"uri:a@b", 7}, "email:uri:a@b"},
        {ID_IPV4_ADDR, {(const uint8_t *)"abc", 3}, "ipv4:#616263"},
        {ID_IPV6_ADDR, {(const uint8_t *)"abcd", 4}, "ipv6:#61626364"},
        {ID_IPV4_SUBNET,
         {(const uint8_t *)"\x0a\0\0\0\xff\0\xff\0", 8},
         "ipv4net:#0a000000ff00ff00"},
        {ID_IPV4_RANGE,
         {(const uint8_t *)"\x0a\0\0\2\x0a\0\0\1", 8},
         "ipv4range:#0a0000020a000001"},
        {ID_DER_ASN1_DN, {(const uint8_t *)"junk", 4}, "asn1dn:#6a756e6b"},
        {ID_DER_ASN1_GN, {(const uint8_t *)"\x86\x02x", 3}, "asn1gn:#860278"},
        {ID_NULL, {(const uint8_t *)"x", 1}, "{13}:#78"},
        {99, {(const uint8_t *)"x", 1}, "{99}:#78"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[IDENTITY_TEXT];
        struct identity id = raw(rows[i].type, rows[i].bytes);
        assert_string_equal(identity_print(&id, text, sizeof text), rows[i].printed);
    }
}

static void identities_are_equal_like_this(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"moon", "MOON", true},
        {"a@B.org", "A@b.org", true},
        {"keyid:moon", "keyid:MOON", false},
        {"keyid:moon", "fqdn:moon", false},
        {"C=CH, CN=a", "c=ch, cn=A", true},
        {"192.0.2.1", "ipv4:192.0.2.1", true},
        {"192.0.2.1", "fqdn:192.0.2.1", false},
        {"%any", "%any", true},
        {"%any", "moon", false},
        {"moon", "moon2", false},
        {"fqdn:^moon$", "fqdn:^moon$", true},
        {"fqdn:^moon$", "fqdn:^Moon$", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct identity a = id_of(rows[i].a), b = id_of(rows[i].b);
        assert_int_equal(identity_equal(&a, &b), rows[i].equal);
        assert_int_equal(identity_equal(&b, &a), rows[i].equal);
    }
}

static void patterns_match_like_this(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *id;
        bool matches;
    } rows[] = {
        {"%any", "moon", true},
        {"%any", "C=CH", true},
        {"%any", "192.0.2.1", true},
        {"moon", "MOON", true},
        {"moon", "sun", false},
        {"moon", "keyid:moon", false},
        {"*.example.org", "a.example.org", true},
        {"*.example.org", "a.b.EXAMPLE.org", true},
        {"*.example.org", "example.org", false},
        {"*.example.org", ".example.org", false},
        {"*.example.org", "aexample.org", false},
        {"*.example.org", "a.example.org.evil", false},
        {"*.example.org", "email:a.example.org", false},
        {"fqdn:*", "anything", true},
        {"fqdn:*", "a@b", false},
        {"*@example.org", "carol@example.org", true},
        {"*@example.org", "carol@example.com", false},
        {"*@example.org", "fqdn:carol@example.org", false},
        {"a.*.org", "a.b.org", false},
        {"a.example.org", "*.example.org", false},
        {"C=CH, CN=*", "C=CH, CN=moon", true},
        {"C=CH, CN=*", "C=CH, O=x, CN=moon", false},
        {"C=CH, CN=moon", "C=CH, CN=*", false},
        {"192.0.2.0/24", "192.0.2.77", true},
        {"192.0.2.0/24", "192.0.3.77", false},
        {"192.0.2.0/24", "2001:db8::1", false},
        {"192.0.2.7-192.0.2.9", "192.0.2.9", true},
        {"192.0.2.7-192.0.2.9", "192.0.2.10", false},
        {"2001:db8::/32", "2001:db8::1", true},
        {"0.0.0.0/0", "fqdn:192.0.2.1", false},
        {"fqdn:^moon[0-9]\\.org$", "moon7.org", true},
        {"fqdn:^moon[0-9]\\.org$", "MOON7.org", true},
        {"fqdn:^moon[0-9]\\.org$", "moon77.org", false},
        {"fqdn:^moon[0-9]\\.org$", "moonx.org", false},
        {"fqdn:^moon.*$", "email:moon@x", false},
        {"^moon.*$", "moon.org", true},
        {"^.*@example\\.org$", "carol@example.org", true},
        {"asn1dn:^C=CH, .*CN=moon$", "C=CH, O=x, CN=moon", true},
        {"^.*CN=moon$", "C=CH, O=x, CN=moon", true},
        {"^.*CN=moon$", "C=CH, O=x, CN=sun", false},
        {"ipv4:^192\\.0\\.2\\..*$", "192.0.2.9", true},
        {"keyid:^a+$", "keyid:aaa", true},
        {"keyid:^a+$", "keyid:#00", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct identity pattern = id_of(rows[i].pattern), id = id_of(rows[i].id);
        print_message("%s %s\n", rows[i].pattern, rows[i].id);
        assert_int_equal(identity_matches(&pattern, &id) > 0, rows[i].matches);
        if (rows[i].matches) assert_string_equal(identity_hint(&pattern, &id), "");
    }
}

static void what_a_peer_sends_is_never_a_pattern(void **state)
{
    (void)state;
    struct identity pattern = id_of("moon.example.org"),
                    sent = raw(ID_FQDN, BYTES("*.example.org")),
                    any = raw(IDENTITY_ANY, BYTES_NONE);
    struct identity regex = raw(ID_FQDN, BYTES("^.*$")),
                    nul = raw(ID_FQDN, BYTES("moon.example.org\0.evil"));
    assert_int_equal(identity_matches(&pattern, &sent), 0);
    assert_int_equal(identity_matches(&pattern, &any), 0);
    assert_int_equal(identity_matches(&pattern, &regex), 0);
    assert_int_equal(identity_matches(&pattern, &nul), 0);
    struct identity expression = id_of("fqdn:^moon.*$");
    assert_int_equal(identity_matches(&expression, &nul), 0);
}

static void the_closer_pattern_scores_higher(void **state)
{
    (void)state;
    static const char *const orders[][6] = {
        {"a.b.example.org", "*.b.example.org", "*.example.org", "fqdn:*", "fqdn:^.*$", "%any"},
        {"c@b.org", "*@b.org", "*b.org", "email:*", "email:^.*$", "%any"},
        {"C=CH, O=x, CN=y", "C=CH, O=x, CN=*", "C=CH, O=*, CN=*", "C=*, O=*, CN=*", "asn1dn:^.*$",
         "%any"},
        {"192.0.2.1", "192.0.2.0/31", "192.0.2.0/24", "ipv4net:0.0.0.0/0", "ipv4:^.*$", "%any"},
    };
    for (size_t i = 0; i < COUNT(orders); i++) {
        struct identity id = id_of(orders[i][0]);
        unsigned before = UINT32_MAX;
        for (size_t j = 0; j < 6; j++) {
            // "*b.org" alone is a host name's pattern.
            char text[64];
            snprintf(text, sizeof text, "%s%s", i == 1 && j == 2 ? "email:" : "", orders[i][j]);
            struct identity pattern = id_of(text);
            unsigned score = identity_matches(&pattern, &id);
            assert_true(score > 0 && score < before);
            before = score;
        }
    }
}

static void regular_expressions_keep_their_type_when_printed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *printed;
        uint8_t type;
    } rows[] = {
        {"fqdn:^a.*$", "^a.*$", ID_FQDN},
        {"^a@.*$", "^a@.*$", ID_RFC822_ADDR},
        {"email:^a.*$", "email:^a.*$", ID_RFC822_ADDR},
        {"^CN=.*$", "^CN=.*$", ID_DER_ASN1_DN},
        {"keyid:^x$", "keyid:^x$", ID_KEY_ID},
        {"ipv4:^1.*$", "ipv4:^1.*$", ID_IPV4_ADDR},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[IDENTITY_TEXT];
        struct identity id = id_of(rows[i].text);
        assert_true(id.regex);
        assert_int_equal(id.type, rows[i].type);
        assert_string_equal(identity_print(&id, text, sizeof text), rows[i].printed);
        struct identity again = id_of(text);
        assert_true(identity_equal(&id, &again));
    }
}

static void copies_are_owned(void **state)
{
    (void)state;
    struct identity id = id_of("moon"), copy = identity_copy(&id), none = {0};
    assert_true(identity_equal(&id, &copy));
    assert_ptr_not_equal(id.bytes.at, copy.bytes.at);
    identity_free(&copy);
    assert_int_equal(copy.type, IDENTITY_ANY);
    assert_null(copy.bytes.at);
    identity_free(&copy);
    copy = identity_copy(&none);
    identity_free(&copy);
}

static void hints_say_why_two_do_not_match(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *id, *says;
    } rows[] = {
        {"moon.org", "C=CH, CN=moon.org", "distinguished name, we expect a host name"},
        {"C=CH, CN=moon.org", "moon.org", "host name, we expect a distinguished name"},
        {"C=CH, CN=moon.org", "192.0.2.1", "no id of its own"},
        {"moon.org", "192.0.2.1", "no id of its own"},
        {"192.0.2.1", "10.0.0.1", "behind a NAT"},
        {"moon", "keyid:moon", "of two types"},
        {"keyid:moon", "keyid:MOON", "upper and lower case"},
        {"moon.org", "moon.org.", "a dot at the end"},
        {"*.example.org", "example.org", "one label at least"},
        {"C=CH, CN=a", "CN=a, C=CH", "same order"},
        {"fqdn:^moon$", "email:moon", "another type"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct identity pattern = id_of(rows[i].pattern), id = id_of(rows[i].id);
        assert_non_null(strstr(identity_hint(&pattern, &id), rows[i].says));
    }
    struct identity a = id_of("moon"), b = id_of("sun");
    assert_string_equal(identity_hint(&a, &b), "");
}

static void random_bytes_print_and_read_back(void **state)
{
    (void)state;
    struct rng_seeded rng = seeded(8);
    static const uint8_t types[] = {ID_IPV4_ADDR,
                                    ID_FQDN,
                                    ID_RFC822_ADDR,
                                    ID_IPV4_SUBNET,
                                    ID_IPV6_ADDR,
                                    ID_IPV4_RANGE,
                                    ID_DER_ASN1_DN,
                                    ID_DER_ASN1_GN,
                                    ID_KEY_ID,
                                    ID_FC_NAME,
                                    77};
    static const char alphabet[] = "ab@:#^$={}%*./-0129\\ ,\xff\n";
    for (int round = 0; round < 20000; round++) {
        uint8_t space[20];
        char text[IDENTITY_TEXT];
        size_t size = 1 + rng_below(&rng.rng, sizeof space - 1);
        for (size_t i = 0; i < size; i++)
            space[i] = (uint8_t)alphabet[rng_below(&rng.rng, sizeof alphabet - 1)];
        struct identity id = raw(types[rng_below(&rng.rng, COUNT(types))], bytes_of(space, size)),
                        again;
        identity_print(&id, text, sizeof text);
        for (const char *c = text; *c; c++) assert_true(*c >= ' ' && *c <= '~');
        if (identity_parse(text, &arena, &again)) fail_msg("%s is not read back", text);
        assert_false(again.regex);
        assert_int_equal(again.type, id.type);
        // A subnet reads back without the bits that its mask leaves out.
        if (id.type != ID_IPV4_SUBNET) assert_true(identity_equal(&id, &again));
        arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read_as_this),
        cmocka_unit_test(bytes_are_those_of_the_wire),
        cmocka_unit_test(what_is_no_identity_is_refused),
        cmocka_unit_test(identities_are_at_most_1024_bytes),
        cmocka_unit_test(what_does_not_fit_is_printed_with_dots),
        cmocka_unit_test(odd_bytes_print_as_hexadecimal),
        cmocka_unit_test(identities_are_equal_like_this),
        cmocka_unit_test(patterns_match_like_this),
        cmocka_unit_test(what_a_peer_sends_is_never_a_pattern),
        cmocka_unit_test(the_closer_pattern_scores_higher),
        cmocka_unit_test(regular_expressions_keep_their_type_when_printed),
        cmocka_unit_test(copies_are_owned),
        cmocka_unit_test(hints_say_why_two_do_not_match),
        cmocka_unit_test(random_bytes_print_and_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, arena_end);
}
