// SPDX-License-Identifier: Apache-2.0
// Identities as text. What a text without a type in front means is decided in one
// place, text_guess(), which the printer asks too: it leaves the type out only where reading finds
// the same one again.
#include "model/dn.h"
#include "model/identity_text.h"
#include <regex.h>
#include <stdio.h>
#include <strings.h>

enum {
    GN_URI = 0x86,   // RFC 5280 4.2.1.6: GeneralName [6]
    GN_OTHER = 0xa0, // GeneralName [0]
    HEX_TEXT = 2 * IDENTITY_SIZE_MAX + 1,
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

static bool text_has(struct bytes text, char what)
{
    return text.size && memchr(text.at, what, text.size);
}

bool identity_text_is_visible(struct bytes text)
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

enum fault identity_regex(struct bytes text, regex_t *compiled)
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
    TRY(identity_regex(text, &compiled));
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
    bool hidden = !identity_text_is_visible(id->bytes) || !id->bytes.size;
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
bool identity_range(const struct identity *id, struct range *range)
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
    if (!bytes_equal(wr_done(&again), der) || !identity_text_is_visible(text))
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
