// SPDX-License-Identifier: Apache-2.0
// Identities: text, equality, patterns. What a text without a type in front means is decided in one
// place, text_guess(), which the printer asks too: it leaves the type out only where reading finds
// the same one again.
#include "model/identity.h"
#include "model/dn.h"
#include <regex.h>
#include <stdio.h>
#include <strings.h>

enum {
    GN_URI = 0x86,   // RFC 5280 4.2.1.6: GeneralName [6]
    GN_OTHER = 0xa0, // GeneralName [0]
    HEX_TEXT = 2 * IDENTITY_SIZE_MAX + 1,
    SCORE_ANY = 1,
    SCORE_REGEX = 100,
    SCORE_WILDCARD = 500, // and up to 400 more, the more of the pattern is given
    SCORE_EXACT = 1000,
    SCORE_STEP_MAX = 400,
    GUESS_NOTHING = 255,
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

// The first prefix of a type is the one that is printed.
static const struct prefix_row {
    const char *name;
    uint8_t type;
} prefix_rows[] = {
    {"fqdn", ID_FQDN},
    {"dns", ID_FQDN},
    {"email", ID_RFC822_ADDR},
    {"rfc822", ID_RFC822_ADDR},
    {"userfqdn", ID_RFC822_ADDR},
    {"keyid", ID_KEY_ID},
    {"asn1dn", ID_DER_ASN1_DN},
    {"asn1gn", ID_DER_ASN1_GN},
    {"ipv4", ID_IPV4_ADDR},
    {"ipv6", ID_IPV6_ADDR},
    {"ipv4net", ID_IPV4_SUBNET},
    {"ipv6net", ID_IPV6_SUBNET},
    {"ipv4range", ID_IPV4_RANGE},
    {"ipv6range", ID_IPV6_RANGE},
};

static const char *const any_words[] = {"", "%any", "%any4", "%any6", "*", "0.0.0.0", "::", "0::0"};

// --- Texts

static bool text_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size &&
           (!a.size || strncasecmp((const char *)a.at, (const char *)b.at, a.size) == 0);
}

static bool text_has(struct bytes text, char what)
{
    return text.size && memchr(text.at, what, text.size);
}

static bool text_is_visible(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] < ' ' || text.at[i] > '~') return false;
    return true;
}

static bool text_has_control(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] < ' ' || text.at[i] == 0x7f) return true;
    return false;
}

static bool text_is_regex(struct bytes text)
{
    return text.size >= 2 && text.at[0] == '^' && text.at[text.size - 1] == '$';
}

static struct bytes text_from(struct bytes text, size_t at)
{
    return bytes_of(text.at + at, text.size - at);
}

static bool range_of_text(struct bytes text, struct range *range)
{
    char copy[RANGE_TEXT];
    if (text.size >= sizeof copy || text_has(text, '\0')) return false;
    if (text.size) memcpy(copy, text.at, text.size);
    copy[text.size] = '\0';
    return range_parse(copy, range) == OK;
}

static uint8_t range_type(struct bytes text, const struct range *range)
{
    bool v4 = range->low.family == ADDR_V4;
    if (text_has(text, '/')) return v4 ? ID_IPV4_SUBNET : ID_IPV6_SUBNET;
    if (text_has(text, '-')) return v4 ? ID_IPV4_RANGE : ID_IPV6_RANGE;
    return v4 ? ID_IPV4_ADDR : ID_IPV6_ADDR;
}

// The type before a colon, GUESS_NOTHING when that is no type; *value is what is behind.
static uint8_t prefix_find(struct bytes text, struct bytes *value)
{
    const uint8_t *colon = text.size ? memchr(text.at, ':', text.size) : NULL;
    if (!colon) return GUESS_NOTHING;
    struct bytes name = bytes_of(text.at, (size_t)(colon - text.at));
    *value = text_from(text, name.size + 1);
    for (size_t i = 0; i < COUNT(prefix_rows); i++)
        if (text_equal(name, bytes_of_text(prefix_rows[i].name))) return prefix_rows[i].type;
    return GUESS_NOTHING;
}

static bool text_is_any(struct bytes text)
{
    for (size_t i = 0; i < COUNT(any_words); i++)
        if (bytes_equal(text, bytes_of_text(any_words[i]))) return true;
    return false;
}

// What a text without a type in front is; *value is the part that counts.
static uint8_t text_guess(struct bytes text, struct bytes *value)
{
    struct range range;
    *value = text;
    if (text_is_any(text)) return IDENTITY_ANY;
    if (text_has(text, '=')) return ID_DER_ASN1_DN;
    if (text.at[0] == '@') {
        size_t skip = text.size > 1 && (text.at[1] == '@' || text.at[1] == '#') ? 2 : 1;
        *value = text_from(text, skip);
        if (skip == 1) return ID_FQDN;
        if (text.at[1] == '@') return ID_RFC822_ADDR;
        *value = text_from(text, 1); // with its "#": hexadecimal
        return ID_KEY_ID;
    }
    if (text_is_regex(text)) return text_has(text, '@') ? ID_RFC822_ADDR : ID_FQDN;
    if (text_has(text, '@')) return ID_RFC822_ADDR;
    if (range_of_text(text, &range)) return range_type(text, &range);
    return text_has(text, ':') ? GUESS_NOTHING : ID_FQDN;
}

// --- Reading

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// "0a:1b" and "0a1b" alike.
static enum fault hex_read(struct bytes text, struct wr *out)
{
    for (size_t i = 0; i < text.size; i += 2) {
        if (i && text.at[i] == ':') i++;
        int high = i < text.size ? hex_digit(text.at[i]) : -1;
        int low = i + 1 < text.size ? hex_digit(text.at[i + 1]) : -1;
        if (high < 0 || low < 0) return FAULT_IDENTITY_SYNTAX;
        wr_u8(out, (uint8_t)(high << 4 | low));
    }
    return OK;
}

// RFC 2407 4.6.2.5: a subnet is an address and its mask.
static void mask_write(struct wr *out, const struct prefix *prefix)
{
    for (size_t i = 0; i < addr_size(&prefix->addr); i++) {
        unsigned bits = prefix->bits > i * 8 ? prefix->bits - (unsigned)i * 8 : 0;
        wr_u8(out, bits >= 8 ? 0xff : (uint8_t)(0xff00 >> bits));
    }
}

static enum fault addresses_read(struct bytes text, uint8_t type, struct wr *out)
{
    struct range range;
    struct prefix prefix;
    bool v4 = type == ID_IPV4_ADDR || type == ID_IPV4_SUBNET || type == ID_IPV4_RANGE;
    if (!range_of_text(text, &range) || (range.low.family == ADDR_V4) != v4)
        return FAULT_IDENTITY_SYNTAX;
    bool one = addr_equal(&range.low, &range.high);
    if (type == ID_IPV4_ADDR || type == ID_IPV6_ADDR) {
        if (!one) return FAULT_IDENTITY_SYNTAX;
        wr_bytes(out, addr_bytes(&range.low));
    } else if (type == ID_IPV4_SUBNET || type == ID_IPV6_SUBNET) {
        if (!range_is_prefix(&range, &prefix)) return FAULT_IDENTITY_SYNTAX;
        wr_bytes(out, addr_bytes(&prefix.addr));
        mask_write(out, &prefix);
    } else {
        wr_bytes(out, addr_bytes(&range.low));
        wr_bytes(out, addr_bytes(&range.high));
    }
    return OK;
}

static enum fault regex_compile(struct bytes text, regex_t *compiled)
{
    char copy[IDENTITY_SIZE_MAX + 1];
    if (text.size > IDENTITY_SIZE_MAX || text_has(text, '\0')) return FAULT_IDENTITY_PATTERN;
    memcpy(copy, text.at, text.size);
    copy[text.size] = '\0';
    return regcomp(compiled, copy, REG_EXTENDED | REG_ICASE | REG_NOSUB) ? FAULT_IDENTITY_PATTERN
                                                                         : OK;
}

static enum fault regex_check(struct bytes text)
{
    regex_t compiled;
    TRY(regex_compile(text, &compiled));
    regfree(&compiled);
    return OK;
}

static enum fault value_read(struct bytes text, uint8_t type, struct wr *out)
{
    if (text.size && text.at[0] == '#') return hex_read(text_from(text, 1), out);
    switch (type) {
    case ID_IPV4_ADDR:
    case ID_IPV6_ADDR:
    case ID_IPV4_SUBNET:
    case ID_IPV6_SUBNET:
    case ID_IPV4_RANGE:
    case ID_IPV6_RANGE:
        return addresses_read(text, type, out);
    case ID_DER_ASN1_DN:
        return dn_parse(text, out);
    case ID_DER_ASN1_GN:
        return FAULT_IDENTITY_SYNTAX; // there is no text for all of them
    case ID_FQDN:
    case ID_RFC822_ADDR:
        if (text_has_control(text)) return FAULT_IDENTITY_SYNTAX;
        break;
    default:
        break;
    }
    // RFC 7619 2.1: the null identity has no bytes.
    if ((type == ID_NULL) != (text.size == 0)) return FAULT_IDENTITY_SYNTAX;
    wr_bytes(out, text);
    return OK;
}

// RFC 6120 13.7.1.4: an otherName of type id-on-xmppAddr with a UTF8String.
static void xmpp_write(struct wr *out, struct bytes text)
{
    uint8_t string_space[IDENTITY_SIZE_MAX], wrapped_space[IDENTITY_SIZE_MAX],
        name_space[IDENTITY_SIZE_MAX];
    struct wr string = wr_over(string_space, sizeof string_space);
    struct wr wrapped = wr_over(wrapped_space, sizeof wrapped_space);
    struct wr name = wr_over(name_space, sizeof name_space);
    wr_der(&string, 0x0c, text);
    wr_der(&wrapped, GN_OTHER, wr_done(&string));
    wr_bytes(&name, BYTES("\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x05"));
    wr_bytes(&name, wr_done(&wrapped));
    wr_der(out, GN_OTHER, wr_done(&name));
    if (string.failed || wrapped.failed || name.failed) out->failed = true;
}

// "uri:" and "xmppaddr:" have no identity type of their own; they travel as a GeneralName.
static bool general_name_read(struct bytes text, struct wr *out)
{
    if (text.size > 4 && text_equal(bytes_of(text.at, 4), BYTES("uri:")))
        wr_der(out, GN_URI, text_from(text, 4));
    else if (text.size > 9 && text_equal(bytes_of(text.at, 9), BYTES("xmppaddr:")))
        xmpp_write(out, text_from(text, 9));
    else
        return false;
    return true;
}

// "{11}:value" names the type by number.
static bool numbered_find(struct bytes text, uint8_t *type, struct bytes *value)
{
    unsigned number = 0;
    size_t at = 1;
    if (text.size < 4 || text.at[0] != '{') return false;
    for (; at < text.size && at <= 3 && text.at[at] >= '0' && text.at[at] <= '9'; at++)
        number = number * 10 + (unsigned)(text.at[at] - '0');
    if (at == 1 || number == 0 || number > 255 || at + 2 > text.size) return false;
    if (text.at[at] != '}' || text.at[at + 1] != ':') return false;
    *type = (uint8_t)number;
    *value = text_from(text, at + 2);
    return true;
}

static enum fault type_find(struct bytes text, uint8_t *type, struct bytes *value)
{
    if (numbered_find(text, type, value)) return OK;
    *type = prefix_find(text, value);
    if (*type == GUESS_NOTHING) *type = text_guess(text, value);
    return *type == GUESS_NOTHING ? FAULT_IDENTITY_PREFIX : OK;
}

enum fault identity_parse(const char *text, struct arena *arena, struct identity *identity)
{
    struct bytes all = bytes_of_text(text), value;
    struct identity read = {0};
    uint8_t space[IDENTITY_SIZE_MAX];
    struct wr out = wr_over(space, sizeof space);
    if (all.size > HEX_TEXT + 16) return FAULT_IDENTITY_TOO_LONG;
    if (general_name_read(all, &out)) {
        read.type = ID_DER_ASN1_GN;
    } else {
        TRY(type_find(all, &read.type, &value));
        read.regex = read.type != IDENTITY_ANY && text_is_regex(value);
        if (read.regex) {
            TRY(regex_check(value));
            wr_bytes(&out, value);
        } else if (read.type != IDENTITY_ANY) {
            enum fault fault = value_read(value, read.type, &out);
            if (fault) return fault == FAULT_NO_ROOM ? FAULT_IDENTITY_TOO_LONG : fault;
        }
    }
    if (out.failed) return FAULT_IDENTITY_TOO_LONG;
    read.bytes = arena_copy(arena, wr_done(&out));
    *identity = read;
    return OK;
}

// --- Printing

static const char *prefix_of(uint8_t type)
{
    for (size_t i = 0; i < COUNT(prefix_rows); i++)
        if (prefix_rows[i].type == type) return prefix_rows[i].name;
    return NULL;
}

// Copies what fits; what does not ends in dots.
static char *text_put(char *out, size_t out_size, const char *prefix, struct bytes text)
{
    if (!out_size) return out;
    int used = snprintf(out, out_size, "%s", prefix);
    size_t at = used < 0 ? 0 : (size_t)used < out_size ? (size_t)used : out_size - 1;
    size_t room = out_size - 1 - at, size = text.size < room ? text.size : room;
    if (size) memcpy(out + at, text.at, size);
    out[at + size] = '\0';
    if (size < text.size && out_size > 4) memcpy(out + out_size - 4, "...", 4);
    return out;
}

static char *hex_put(const struct identity *id, char *out, size_t out_size)
{
    char prefix[24], hex[HEX_TEXT];
    const char *name = prefix_of(id->type);
    struct bytes shown = id->bytes;
    if (shown.size > IDENTITY_SIZE_MAX) shown.size = IDENTITY_SIZE_MAX;
    if (name)
        snprintf(prefix, sizeof prefix, "%s:#", name);
    else
        snprintf(prefix, sizeof prefix, "{%u}:#", id->type);
    bytes_hex(shown, hex, sizeof hex);
    return text_put(out, out_size, prefix, bytes_of_text(hex));
}

// True when the text without a prefix is read as this type, with all of it as the value.
static bool guess_is(struct bytes text, uint8_t type, bool regex)
{
    struct bytes value;
    uint8_t numbered;
    if (numbered_find(text, &numbered, &value) || prefix_find(text, &value) != GUESS_NOTHING)
        return false;
    if (text.size > 4 && text_equal(bytes_of(text.at, 4), BYTES("uri:"))) return false;
    if (text.size > 9 && text_equal(bytes_of(text.at, 9), BYTES("xmppaddr:"))) return false;
    uint8_t guess = text_guess(text, &value);
    if (guess != type || value.size != text.size || text_is_regex(text) != regex) return false;
    return regex || text.at[0] != '#';
}

static char *name_put(const struct identity *id, char *out, size_t out_size)
{
    char prefix[24];
    const char *name = prefix_of(id->type);
    bool hidden = !text_is_visible(id->bytes) || !id->bytes.size;
    if (hidden || (!id->regex && (id->bytes.at[0] == '#' || text_is_regex(id->bytes))))
        return hex_put(id, out, out_size);
    if (guess_is(id->bytes, id->type, id->regex)) return text_put(out, out_size, "", id->bytes);
    if (name)
        snprintf(prefix, sizeof prefix, "%s:", name);
    else
        snprintf(prefix, sizeof prefix, "{%u}:", id->type);
    return text_put(out, out_size, prefix, id->bytes);
}

// The addresses that an identity stands for; false when its bytes are not as long as its type says.
static bool identity_range(const struct identity *id, struct range *range)
{
    bool v4 = id->type == ID_IPV4_ADDR || id->type == ID_IPV4_SUBNET || id->type == ID_IPV4_RANGE;
    size_t size = v4 ? 4 : 16;
    bool one = id->type == ID_IPV4_ADDR || id->type == ID_IPV6_ADDR;
    if (id->regex || id->bytes.size != (one ? size : 2 * size)) return false;
    if (addr_from_bytes(bytes_of(id->bytes.at, size), &range->low)) return false;
    range->high = range->low;
    if (one) return true;
    if (addr_from_bytes(bytes_of(id->bytes.at + size, size), &range->high)) return false;
    if (id->type == ID_IPV4_SUBNET || id->type == ID_IPV6_SUBNET) {
        for (size_t i = 0; i < size; i++) {
            uint8_t mask = range->high.at[i];
            range->high.at[i] = range->low.at[i] | (uint8_t)~mask;
            range->low.at[i] &= mask;
        }
    }
    return addr_compare(&range->low, &range->high) <= 0;
}

// A subnet keeps its length even where it holds one address, a range its dash.
static char *addresses_put(const struct identity *id, char *out, size_t out_size)
{
    struct range range;
    struct prefix prefix;
    char low[ADDR_TEXT], high[ADDR_TEXT], text[RANGE_TEXT];
    if (!identity_range(id, &range)) return hex_put(id, out, out_size);
    addr_print(&range.low, low);
    addr_print(&range.high, high);
    if (id->type == ID_IPV4_ADDR || id->type == ID_IPV6_ADDR) {
        bool bare = guess_is(bytes_of_text(low), id->type, false);
        return text_put(out, out_size,
                        bare                       ? ""
                        : id->type == ID_IPV4_ADDR ? "ipv4:"
                                                   : "ipv6:",
                        bytes_of_text(low));
    }
    bool net = id->type == ID_IPV4_SUBNET || id->type == ID_IPV6_SUBNET;
    if (net && !range_is_prefix(&range, &prefix)) return hex_put(id, out, out_size);
    if (net)
        snprintf(text, sizeof text, "%s/%u", low, prefix.bits);
    else
        snprintf(text, sizeof text, "%s-%s", low, high);
    return text_put(out, out_size, "", bytes_of_text(text));
}

static char *general_name_put(const struct identity *id, char *out, size_t out_size)
{
    struct bytes der = id->bytes;
    size_t head = der.size > 1 && der.at[1] == 0x81 ? 3 : der.size > 1 && der.at[1] == 0x82 ? 4 : 2;
    if (der.size <= head || der.at[0] != GN_URI) return hex_put(id, out, out_size);
    uint8_t space[IDENTITY_SIZE_MAX];
    struct wr again = wr_over(space, sizeof space);
    struct bytes text = text_from(der, head);
    wr_der(&again, GN_URI, text);
    if (!bytes_equal(wr_done(&again), der) || !text_is_visible(text))
        return hex_put(id, out, out_size);
    return text_put(out, out_size, "uri:", text);
}

static char *dn_put(const struct identity *id, char *out, size_t out_size)
{
    char text[4 * IDENTITY_SIZE_MAX];
    if (!dn_print(id->bytes, text, sizeof text)) return hex_put(id, out, out_size);
    return text_put(out, out_size, "", bytes_of_text(text));
}

char *identity_print(const struct identity *id, char *out, size_t out_size)
{
    if (id->regex) return name_put(id, out, out_size);
    switch (id->type) {
    case IDENTITY_ANY:
        return text_put(out, out_size, "%any", BYTES_NONE);
    case ID_IPV4_ADDR:
    case ID_IPV6_ADDR:
    case ID_IPV4_SUBNET:
    case ID_IPV6_SUBNET:
    case ID_IPV4_RANGE:
    case ID_IPV6_RANGE:
        return addresses_put(id, out, out_size);
    case ID_DER_ASN1_DN:
        return dn_put(id, out, out_size);
    case ID_DER_ASN1_GN:
        return general_name_put(id, out, out_size);
    case ID_FQDN:
    case ID_RFC822_ADDR:
    case ID_KEY_ID:
        return name_put(id, out, out_size);
    case ID_NULL:
        if (!id->bytes.size) return text_put(out, out_size, "{13}:", BYTES_NONE);
        break;
    default:
        break;
    }
    return hex_put(id, out, out_size);
}

// --- Comparing

bool identity_equal(const struct identity *a, const struct identity *b)
{
    if (a->type != b->type || a->regex != b->regex) return false;
    if (a->regex) return bytes_equal(a->bytes, b->bytes);
    switch (a->type) {
    case IDENTITY_ANY:
        return true;
    // RFC 4343 2: names of hosts are the same in either case; user names are taken so as well.
    case ID_FQDN:
    case ID_RFC822_ADDR:
        return text_equal(a->bytes, b->bytes);
    case ID_DER_ASN1_DN:
        return dn_equal(a->bytes, b->bytes);
    default:
        return bytes_equal(a->bytes, b->bytes);
    }
}

// The text that a regular expression sees: names as they are, the others as they are printed.
static bool regex_matches(const struct identity *pattern, const struct identity *id)
{
    char text[4 * IDENTITY_SIZE_MAX];
    regex_t compiled;
    bool name = id->type == ID_FQDN || id->type == ID_RFC822_ADDR || id->type == ID_KEY_ID;
    if (id->regex || id->type == IDENTITY_ANY || id->bytes.size > IDENTITY_SIZE_MAX) return false;
    if (pattern->type != IDENTITY_ANY && pattern->type != id->type) return false;
    if (name && (!text_is_visible(id->bytes) || !id->bytes.size)) return false;
    if (name)
        text_put(text, sizeof text, "", id->bytes);
    else if (id->type != ID_DER_ASN1_DN)
        identity_print(id, text, sizeof text);
    else if (!dn_print(id->bytes, text, sizeof text))
        return false;
    if (regex_compile(pattern->bytes, &compiled)) return false;
    bool matches = regexec(&compiled, text, 0, NULL, 0) == 0;
    regfree(&compiled);
    return matches;
}

static unsigned score(unsigned base, size_t step)
{
    return base + (step < SCORE_STEP_MAX ? (unsigned)step : SCORE_STEP_MAX);
}

// "*.example.org" and "*@example.org": one thing at least stands for the star.
static unsigned name_matches(struct bytes pattern, struct bytes name)
{
    if (!pattern.size || pattern.at[0] != '*' || name.size < pattern.size) return 0;
    struct bytes ending = text_from(pattern, 1);
    return text_equal(ending, text_from(name, name.size - ending.size))
               ? score(SCORE_WILDCARD, ending.size)
               : 0;
}

static size_t common_bits(const struct range *range)
{
    size_t bits = 0, size = addr_size(&range->low) * 8;
    while (bits < size &&
           !((range->low.at[bits / 8] ^ range->high.at[bits / 8]) >> (7 - bits % 8) & 1))
        bits++;
    return bits;
}

static unsigned addresses_match(const struct identity *pattern, const struct identity *id)
{
    struct range outer, inner;
    if (id->type != ID_IPV4_ADDR && id->type != ID_IPV6_ADDR) return 0;
    if (!identity_range(pattern, &outer) || !identity_range(id, &inner)) return 0;
    return range_has(&outer, &inner.low) ? score(SCORE_WILDCARD, common_bits(&outer)) : 0;
}

unsigned identity_matches(const struct identity *pattern, const struct identity *id)
{
    unsigned wildcards;
    if (pattern->regex) return regex_matches(pattern, id) ? SCORE_REGEX : 0;
    if (pattern->type == IDENTITY_ANY) return SCORE_ANY;
    if (identity_equal(pattern, id)) return SCORE_EXACT;
    switch (pattern->type) {
    case ID_IPV4_SUBNET:
    case ID_IPV6_SUBNET:
    case ID_IPV4_RANGE:
    case ID_IPV6_RANGE:
        return addresses_match(pattern, id);
    default:
        break;
    }
    if (pattern->type != id->type || id->regex) return 0;
    switch (pattern->type) {
    case ID_FQDN:
    case ID_RFC822_ADDR:
        return name_matches(pattern->bytes, id->bytes);
    case ID_DER_ASN1_DN:
        if (!dn_matches(pattern->bytes, id->bytes, &wildcards)) return 0;
        return score(SCORE_WILDCARD, wildcards < SCORE_STEP_MAX ? SCORE_STEP_MAX - wildcards : 0);
    default:
        return 0;
    }
}

// --- Looking up

bool identity_is_one(const struct identity *id)
{
    if (id->regex) return false;
    switch (id->type) {
    case IDENTITY_ANY:
    case ID_IPV4_SUBNET:
    case ID_IPV6_SUBNET:
    case ID_IPV4_RANGE:
    case ID_IPV6_RANGE:
        return false;
    case ID_FQDN:
    case ID_RFC822_ADDR:
    case ID_DER_ASN1_DN:
        return !id->bytes.size || !memchr(id->bytes.at, '*', id->bytes.size);
    default:
        return true;
    }
}

void identity_fold(const struct identity *id, struct wr *out)
{
    wr_u8(out, id->type);
    wr_u8(out, id->regex);
    if (id->type == ID_DER_ASN1_DN && !id->regex) {
        dn_fold(id->bytes, out);
        return;
    }
    bool name = (id->type == ID_FQDN || id->type == ID_RFC822_ADDR) && !id->regex;
    for (size_t i = 0; i < id->bytes.size; i++) {
        uint8_t c = id->bytes.at[i];
        wr_u8(out, name && c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c);
    }
}

struct bytes identity_suffix(const struct identity *pattern)
{
    bool name = (pattern->type == ID_FQDN || pattern->type == ID_RFC822_ADDR) && !pattern->regex;
    if (!name || pattern->bytes.size < 2 || pattern->bytes.at[0] != '*') return BYTES_NONE;
    uint8_t next = pattern->bytes.at[1];
    return next == '.' || next == '@' ? text_from(pattern->bytes, 1) : BYTES_NONE;
}

// --- Making

struct identity identity_copy(const struct identity *id)
{
    return (struct identity){.type = id->type, .regex = id->regex, .bytes = mem_copy(id->bytes)};
}

void identity_free(struct identity *id)
{
    mem_drop(&id->bytes);
    *id = (struct identity){0};
}

struct identity identity_of_addr(const struct addr *addr, struct arena *arena)
{
    if (addr->family == ADDR_NONE) return (struct identity){0};
    return (struct identity){.type = addr->family == ADDR_V4 ? ID_IPV4_ADDR : ID_IPV6_ADDR,
                             .bytes = arena_copy(arena, addr_bytes(addr))};
}

// --- Hints

static const struct hint {
    uint8_t pattern, id;
    const char *sentence;
} hints[] = {
    {ID_FQDN, ID_DER_ASN1_DN,
     "the peer identifies itself by a distinguished name, we expect a host name: write the whole "
     "name "
     "(\"C=…, CN=…\") as id, or set the peer's own id to fqdn:…"},
    {ID_RFC822_ADDR, ID_DER_ASN1_DN,
     "the peer identifies itself by a distinguished name, we expect an e-mail address: write the "
     "whole "
     "name (\"C=…, CN=…\") as id, or set the peer's own id to email:…"},
    {ID_IPV4_ADDR, ID_DER_ASN1_DN,
     "the peer identifies itself by a distinguished name, we expect an address: write the whole "
     "name "
     "(\"C=…, CN=…\") as id"},
    {ID_IPV6_ADDR, ID_DER_ASN1_DN,
     "the peer identifies itself by a distinguished name, we expect an address: write the whole "
     "name "
     "(\"C=…, CN=…\") as id"},
    {ID_DER_ASN1_DN, ID_FQDN,
     "the peer identifies itself by a host name, we expect a distinguished name: write fqdn:… as "
     "id, or "
     "set the peer's own id to its certificate's subject"},
    {ID_DER_ASN1_DN, ID_RFC822_ADDR,
     "the peer identifies itself by an e-mail address, we expect a distinguished name: write "
     "email:… as "
     "id, or set the peer's own id to its certificate's subject"},
    {ID_FQDN, ID_IPV4_ADDR,
     "the peer identifies itself by its address, we expect a host name: it has no id of its own "
     "set"},
    {ID_FQDN, ID_IPV6_ADDR,
     "the peer identifies itself by its address, we expect a host name: it has no id of its own "
     "set"},
    {ID_RFC822_ADDR, ID_IPV4_ADDR,
     "the peer identifies itself by its address, we expect an e-mail address: it has no id of its "
     "own set"},
    {ID_RFC822_ADDR, ID_IPV6_ADDR,
     "the peer identifies itself by its address, we expect an e-mail address: it has no id of its "
     "own set"},
    {ID_DER_ASN1_DN, ID_IPV4_ADDR,
     "the peer identifies itself by its address, we expect a distinguished name: it has no id of "
     "its own set"},
    {ID_DER_ASN1_DN, ID_IPV6_ADDR,
     "the peer identifies itself by its address, we expect a distinguished name: it has no id of "
     "its own set"},
    {ID_IPV4_ADDR, ID_IPV4_ADDR,
     "the peer names another address than the one we expect: behind a NAT it may name its private "
     "one"},
};

static bool is_text_type(uint8_t type)
{
    return type == ID_FQDN || type == ID_RFC822_ADDR || type == ID_KEY_ID;
}

static struct bytes without_dot(struct bytes text)
{
    if (text.size && text.at[text.size - 1] == '.') text.size--;
    return text;
}

static const char *text_hint(const struct identity *pattern, const struct identity *id)
{
    if (pattern->type != id->type && text_equal(pattern->bytes, id->bytes))
        return "the texts are the same but of two types: put the type in front, like fqdn:, email: "
               "or keyid:";
    if (pattern->type != id->type) return "";
    if (text_equal(pattern->bytes, id->bytes))
        return "the two are the same but for upper and lower case";
    if (text_equal(without_dot(pattern->bytes), without_dot(id->bytes)))
        return "the two are the same but for a dot at the end";
    if (pattern->bytes.size && pattern->bytes.at[0] == '*' &&
        text_equal(text_from(pattern->bytes,
                             pattern->bytes.size > 1 && pattern->bytes.at[1] == '.' ? 2 : 1),
                   id->bytes))
        return "the star stands for one label at least: name the domain itself as well";
    return "";
}

const char *identity_hint(const struct identity *pattern, const struct identity *id)
{
    if (identity_matches(pattern, id)) return "";
    if (pattern->regex)
        return pattern->type != id->type ? "the regular expression is for another type of identity"
                                         : "";
    if (is_text_type(pattern->type) && is_text_type(id->type)) return text_hint(pattern, id);
    for (size_t i = 0; i < COUNT(hints); i++)
        if (hints[i].pattern == pattern->type && hints[i].id == id->type) return hints[i].sentence;
    if (pattern->type == ID_DER_ASN1_DN && id->type == ID_DER_ASN1_DN)
        return "the names differ: they must have the same attributes in the same order; a star "
               "stands for any value";
    return "";
}
