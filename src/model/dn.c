// SPDX-License-Identifier: Apache-2.0
// Distinguished names by hand, because they come from peers and from configuration and are small:
//
//     SEQUENCE { SET { SEQUENCE { OBJECT IDENTIFIER, string } … } … }
//       Name       RDN   attribute and value, mostly one an RDN
//
// Reading DER is strict and refuses what is longer than two length bytes can say.
#include "model/dn.h"
#include "base/rd.h"
#include <stdio.h>
#include <strings.h>

enum {
    TAG_OID = 0x06,
    TAG_UTF8 = 0x0c,
    TAG_NUMERIC = 0x12,
    TAG_PRINTABLE = 0x13,
    TAG_T61 = 0x14,
    TAG_IA5 = 0x16,
    TAG_VISIBLE = 0x1a,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
    DN_SIZE_MAX = 4096,
    VALUES_MAX = 8, // in one RDN, when reading text
    OID_TEXT = 128,
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define OID(literal)                                                                               \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }
// The first name of an identifier is the one that is printed.
static const struct attribute {
    const char *name;
    struct bytes oid;
    uint8_t tag; // TAG_IA5 where the standard says so; else by content
} attributes[] = {
    {"CN", OID("\x55\x04\x03"), 0},
    {"SN", OID("\x55\x04\x04"), 0},
    {"S", OID("\x55\x04\x04"), 0},
    {"surname", OID("\x55\x04\x04"), 0},
    {"serialNumber", OID("\x55\x04\x05"), 0},
    {"C", OID("\x55\x04\x06"), 0},
    {"L", OID("\x55\x04\x07"), 0},
    {"ST", OID("\x55\x04\x08"), 0},
    {"STREET", OID("\x55\x04\x09"), 0},
    {"O", OID("\x55\x04\x0a"), 0},
    {"OU", OID("\x55\x04\x0b"), 0},
    {"T", OID("\x55\x04\x0c"), 0},
    {"title", OID("\x55\x04\x0c"), 0},
    {"D", OID("\x55\x04\x0d"), 0},
    {"description", OID("\x55\x04\x0d"), 0},
    {"businessCategory", OID("\x55\x04\x0f"), 0},
    {"postalAddress", OID("\x55\x04\x10"), 0},
    {"postalCode", OID("\x55\x04\x11"), 0},
    {"N", OID("\x55\x04\x29"), 0},
    {"name", OID("\x55\x04\x29"), 0},
    {"G", OID("\x55\x04\x2a"), 0},
    {"GN", OID("\x55\x04\x2a"), 0},
    {"givenName", OID("\x55\x04\x2a"), 0},
    {"I", OID("\x55\x04\x2b"), 0},
    {"initials", OID("\x55\x04\x2b"), 0},
    {"generationQualifier", OID("\x55\x04\x2c"), 0},
    {"ID", OID("\x55\x04\x2d"), 0},
    {"dnQualifier", OID("\x55\x04\x2e"), 0},
    {"dmdName", OID("\x55\x04\x36"), 0},
    {"pseudonym", OID("\x55\x04\x41"), 0},
    {"organizationIdentifier", OID("\x55\x04\x61"), 0},
    {"E", OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"), TAG_IA5},
    {"Email", OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"), TAG_IA5},
    {"emailAddress", OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"), TAG_IA5},
    {"unstructuredName", OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x02"), 0},
    {"UN", OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x02"), 0},
    {"unstructuredAddress", OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x08"), 0},
    {"UA", OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x08"), 0},
    {"UID", OID("\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01"), 0},
    {"DC", OID("\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19"), TAG_IA5},
    {"EN", OID("\x60\x86\x48\x01\x86\xf8\x42\x03\x01\x03"), 0},
    {"employeeNumber", OID("\x60\x86\x48\x01\x86\xf8\x42\x03\x01\x03"), 0},
};
#undef OID

static const char escaped_always[] = ",\\\"";

// --- Reading DER

struct value {
    uint8_t tag;
    struct bytes content, whole;
};

// X.690 10.1: definite lengths in the fewest bytes. Tags of several bytes do not occur in names.
static bool der_read(struct rd *in, struct value *out)
{
    const uint8_t *begin = in->at;
    *out = (struct value){.tag = rd_u8(in)};
    size_t size = rd_u8(in);
    if (size == 0x81) {
        size = rd_u8(in);
        if (size < 0x80) return false;
    } else if (size == 0x82) {
        size = rd_u16(in);
        if (size < 0x100) return false;
    } else if (size >= 0x80) {
        return false;
    }
    out->content = rd_bytes(in, size);
    if (in->failed || (out->tag & 0x1f) == 0x1f) return false;
    out->whole = bytes_of(begin, (size_t)(in->at - begin));
    return true;
}

static bool der_expect(struct rd *in, uint8_t tag, struct bytes *content)
{
    struct value value;
    if (!der_read(in, &value) || value.tag != tag) return false;
    *content = value.content;
    return true;
}

struct walk { // over all values of a name
    struct rd rdns, rdn;
};
struct entry {
    struct bytes oid;
    struct value value;
    bool joined; // in one RDN with the entry before
};
enum walked { WALK_ENTRY, WALK_END, WALK_BAD };

static bool walk_begin(struct walk *walk, struct bytes der)
{
    struct rd in = rd_over(der);
    struct bytes content;
    if (der.size > DN_SIZE_MAX || !der_expect(&in, TAG_SEQUENCE, &content) || in.left) return false;
    *walk = (struct walk){.rdns = rd_over(content), .rdn = rd_over(BYTES_NONE)};
    return true;
}

static enum walked walk_next(struct walk *walk, struct entry *entry)
{
    struct bytes content;
    *entry = (struct entry){.joined = walk->rdn.left > 0};
    if (!entry->joined) {
        if (!walk->rdns.left) return WALK_END;
        // X.501 9.3: an RDN has one value at least.
        if (!der_expect(&walk->rdns, TAG_SET, &content) || !content.size) return WALK_BAD;
        walk->rdn = rd_over(content);
    }
    if (!der_expect(&walk->rdn, TAG_SEQUENCE, &content)) return WALK_BAD;
    struct rd in = rd_over(content);
    if (!der_expect(&in, TAG_OID, &entry->oid) || !entry->oid.size) return WALK_BAD;
    return der_read(&in, &entry->value) && !in.left ? WALK_ENTRY : WALK_BAD;
}

// --- Object identifiers

static const struct attribute *attribute_of(struct bytes oid)
{
    for (size_t i = 0; i < COUNT(attributes); i++)
        if (bytes_equal(attributes[i].oid, oid)) return &attributes[i];
    return NULL;
}

static bool arc_read(struct rd *in, uint32_t *arc)
{
    uint32_t value = 0;
    for (unsigned count = 0;; count++) {
        uint8_t byte = rd_u8(in);
        if (in->failed || value >> 25 || (count == 0 && byte == 0x80)) return false;
        value = value << 7 | (byte & 0x7f);
        if (!(byte & 0x80)) break;
    }
    *arc = value;
    return true;
}

// "2.5.4.97"; the first number on the wire holds two.
static bool oid_print(struct bytes oid, char out[OID_TEXT])
{
    struct rd in = rd_over(oid);
    uint32_t arc;
    if (!arc_read(&in, &arc)) return false;
    uint32_t first = arc < 40 ? 0 : arc < 80 ? 1 : 2;
    size_t used = (size_t)snprintf(out, OID_TEXT, "%u.%u", first, arc - first * 40);
    while (in.left) {
        if (!arc_read(&in, &arc) || used + 12 > OID_TEXT) return false;
        used += (size_t)snprintf(out + used, OID_TEXT - used, ".%u", arc);
    }
    return true;
}

static void arc_write(struct wr *out, uint64_t arc)
{
    unsigned shift = 0;
    while (arc >> shift >= 0x80) shift += 7;
    for (; shift; shift -= 7) wr_u8(out, (uint8_t)(arc >> shift | 0x80));
    wr_u8(out, arc & 0x7f);
}

static bool number_read(struct bytes text, size_t *at, uint32_t *number)
{
    uint64_t value = 0;
    size_t begin = *at;
    for (; *at < text.size && text.at[*at] >= '0' && text.at[*at] <= '9'; ++*at) {
        value = value * 10 + (unsigned)(text.at[*at] - '0');
        if (value > UINT32_MAX) return false;
    }
    *number = (uint32_t)value;
    return *at > begin;
}

static bool oid_parse(struct bytes text, struct wr *out)
{
    size_t at = 0, arcs = 0;
    uint32_t first = 0, number;
    for (bool more = true; more; arcs++) {
        if (!number_read(text, &at, &number)) return false;
        if (arcs == 0) first = number;
        if (arcs == 0 && first > 2) return false;
        if (arcs == 1 && first < 2 && number > 39) return false;
        if (arcs) arc_write(out, arcs == 1 ? (uint64_t)first * 40 + number : number);
        more = at < text.size;
        if (more && text.at[at++] != '.') return false;
    }
    return arcs > 1 && !out->failed;
}

// --- Printing

struct printer {
    char *out;
    size_t size, used;
    bool failed;
};

static void print_char(struct printer *to, char c)
{
    if (to->used + 1 >= to->size)
        to->failed = true;
    else
        to->out[to->used++] = c;
}

static void print_text(struct printer *to, const char *text)
{
    for (; *text; text++) print_char(to, *text);
}

static void print_hex(struct printer *to, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        print_char(to, "0123456789abcdef"[bytes.at[i] >> 4]);
        print_char(to, "0123456789abcdef"[bytes.at[i] & 15]);
    }
}

static bool tag_is_text(uint8_t tag)
{
    return tag == TAG_UTF8 || tag == TAG_PRINTABLE || tag == TAG_IA5 || tag == TAG_T61 ||
           tag == TAG_VISIBLE || tag == TAG_NUMERIC;
}

// How many bytes of well-formed UTF-8 begin here, 0 for none (RFC 3629 4).
static size_t utf8_size(struct bytes text)
{
    uint8_t first = text.at[0];
    size_t size = first < 0x80   ? 1
                  : first < 0xc2 ? 0
                  : first < 0xe0 ? 2
                  : first < 0xf0 ? 3
                  : first < 0xf5 ? 4
                                 : 0;
    if (size > text.size) return 0;
    for (size_t i = 1; i < size; i++)
        if ((text.at[i] & 0xc0) != 0x80) return 0;
    if (size < 3) return size;
    uint8_t second = text.at[1];
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return 0;
    if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return 0;
    return size;
}

static void print_escaped_byte(struct printer *to, const uint8_t *at)
{
    print_char(to, '\\');
    print_hex(to, bytes_of(at, 1));
}

static bool attribute_follows(struct bytes text);

// RFC 4514 2.4: separators, a leading "#", blanks at the ends and what cannot be seen are escaped.
static void print_string(struct printer *to, struct bytes text)
{
    for (size_t i = 0; i < text.size;) {
        struct bytes rest = bytes_of(text.at + i, text.size - i);
        char c = (char)rest.at[0];
        size_t size = utf8_size(rest);
        bool hidden = size == 0 || (size == 1 && (c < ' ' || c == 0x7f)) ||
                      (size == 2 && rest.at[0] == 0xc2 && rest.at[1] < 0xa0);
        bool edge = c == ' ' && (i == 0 || i + 1 == text.size);
        bool joiner = c == '+' && attribute_follows(bytes_of(rest.at + 1, rest.size - 1));
        if (hidden) {
            print_escaped_byte(to, rest.at);
            i++;
            continue;
        }
        if (edge || joiner || (c == '#' && i == 0) || strchr(escaped_always, c))
            print_char(to, '\\');
        for (size_t j = 0; j < size; j++) print_char(to, (char)rest.at[j]);
        i += size;
    }
}

static bool print_entry(struct printer *to, const struct entry *entry)
{
    const struct attribute *attribute = attribute_of(entry->oid);
    char oid[OID_TEXT];
    if (!attribute && !oid_print(entry->oid, oid)) return false;
    print_text(to, attribute ? attribute->name : oid);
    print_char(to, '=');
    if (tag_is_text(entry->value.tag)) {
        print_string(to, entry->value.content);
    } else {
        print_char(to, '#');
        print_hex(to, entry->value.whole);
    }
    return true;
}

bool dn_print(struct bytes der, char *out, size_t out_size)
{
    struct printer to = {out, out_size, 0, false};
    struct walk walk;
    struct entry entry;
    enum walked walked = WALK_BAD;
    if (!out_size) return false;
    if (walk_begin(&walk, der)) {
        while ((walked = walk_next(&walk, &entry)) == WALK_ENTRY) {
            if (to.used) print_text(&to, entry.joined ? " + " : ", ");
            if (!print_entry(&to, &entry)) to.failed = true;
        }
    }
    bool good = walked == WALK_END && !to.failed && to.used;
    out[good ? to.used : 0] = '\0';
    return good;
}

// --- Comparing

static bool text_equal(struct bytes a, struct bytes b)
{
    if (a.size != b.size) return false;
    for (size_t i = 0; i < a.size; i++) {
        uint8_t x = a.at[i], y = b.at[i];
        if (x >= 'A' && x <= 'Z') x = (uint8_t)(x + 32);
        if (y >= 'A' && y <= 'Z') y = (uint8_t)(y + 32);
        if (x != y) return false;
    }
    return true;
}

static bool value_equal(const struct value *a, const struct value *b)
{
    if (tag_is_text(a->tag) && tag_is_text(b->tag)) return text_equal(a->content, b->content);
    return bytes_equal(a->whole, b->whole);
}

static bool value_is_wildcard(const struct value *value)
{
    return tag_is_text(value->tag) && bytes_equal(value->content, BYTES("*"));
}

// With wildcards NULL a "*" is like any other value.
static bool names_match(struct bytes pattern, struct bytes name, unsigned *wildcards)
{
    struct walk wanted, given;
    if (!walk_begin(&wanted, pattern) || !walk_begin(&given, name))
        return bytes_equal(pattern, name);
    for (;;) {
        struct entry a, b;
        enum walked at_a = walk_next(&wanted, &a), at_b = walk_next(&given, &b);
        if (at_a == WALK_BAD || at_b == WALK_BAD) return bytes_equal(pattern, name);
        if (at_a != at_b) return false;
        if (at_a == WALK_END) return true;
        if (a.joined != b.joined || !bytes_equal(a.oid, b.oid)) return false;
        if (wildcards && value_is_wildcard(&a.value)) {
            ++*wildcards;
            continue;
        }
        if (!value_equal(&a.value, &b.value)) return false;
    }
}

bool dn_equal(struct bytes a, struct bytes b)
{
    return names_match(a, b, NULL);
}

static void text_fold(struct bytes text, struct wr *out)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.at[i];
        wr_u8(out, c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c);
    }
}

void dn_fold(struct bytes der, struct wr *out)
{
    struct walk walk;
    struct entry entry;
    enum walked walked = WALK_BAD;
    size_t begin = out->size;
    if (walk_begin(&walk, der)) {
        while ((walked = walk_next(&walk, &entry)) == WALK_ENTRY) {
            bool text = tag_is_text(entry.value.tag);
            struct bytes value = text ? entry.value.content : entry.value.whole;
            wr_u8(out, entry.joined);
            wr_u8(out, text);
            wr_u16(out, (uint16_t)entry.oid.size);
            wr_bytes(out, entry.oid);
            wr_u16(out, (uint16_t)value.size);
            if (text)
                text_fold(value, out);
            else
                wr_bytes(out, value);
        }
    }
    if (walked != WALK_BAD) return;
    out->size = begin; // names that cannot be read are equal byte by byte
    wr_bytes(out, der);
}

bool dn_matches(struct bytes pattern, struct bytes name, unsigned *wildcards)
{
    *wildcards = 0;
    return names_match(pattern, name, wildcards);
}

// --- Reading text

struct reader {
    struct bytes text;
    size_t at;
    char separator;
};

static int reader_peek(const struct reader *in)
{
    return in->at < in->text.size ? in->text.at[in->at] : -1;
}

static void reader_skip_blanks(struct reader *in)
{
    while (reader_peek(in) == ' ' || reader_peek(in) == '\t') in->at++;
}

static bool name_char(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-';
}

// "CN=" or "2.5.4.3=": leaves the reader behind the equals sign.
static bool attribute_read(struct reader *in, struct wr *oid, uint8_t *tag)
{
    reader_skip_blanks(in);
    size_t begin = in->at;
    while (name_char(reader_peek(in))) in->at++;
    struct bytes name = bytes_of(in->text.at + begin, in->at - begin);
    reader_skip_blanks(in);
    if (!name.size || reader_peek(in) != '=') return false;
    in->at++;
    *tag = 0;
    for (size_t i = 0; i < COUNT(attributes); i++) {
        if (!text_equal(name, bytes_of_text(attributes[i].name))) continue;
        *tag = attributes[i].tag;
        wr_bytes(oid, attributes[i].oid);
        return true;
    }
    if (name.size > 4 && text_equal(bytes_of(name.at, 4), BYTES("OID.")))
        name = bytes_of(name.at + 4, name.size - 4);
    return oid_parse(name, oid);
}

static bool attribute_follows(struct bytes text)
{
    struct reader in = {.text = text};
    uint8_t space[64], tag;
    struct wr oid = wr_over(space, sizeof space);
    return attribute_read(&in, &oid, &tag);
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Behind a backslash: two hexadecimal digits, or the character itself.
static bool escape_read(struct reader *in, struct wr *value)
{
    int c = reader_peek(in);
    if (c < 0) return false;
    int high = hex_digit(c),
        low = in->at + 1 < in->text.size ? hex_digit(in->text.at[in->at + 1]) : -1;
    bool hex = high >= 0 && low >= 0;
    wr_u8(value, (uint8_t)(hex ? high << 4 | low : c));
    in->at += hex ? 2 : 1;
    return true;
}

static bool quoted_read(struct reader *in, struct wr *value)
{
    for (in->at++; reader_peek(in) != '"';) {
        int c = reader_peek(in);
        if (c < 0) return false;
        in->at++;
        if (c != '\\')
            wr_u8(value, (uint8_t)c);
        else if (!escape_read(in, value))
            return false;
    }
    in->at++;
    reader_skip_blanks(in);
    return true;
}

static bool value_ends(const struct reader *in)
{
    int c = reader_peek(in);
    if (c < 0 || c == in->separator) return true;
    return c == '+' &&
           attribute_follows(bytes_of(in->text.at + in->at + 1, in->text.size - in->at - 1));
}

// Blanks at the end do not belong to the value unless they are escaped.
static bool plain_read(struct reader *in, struct wr *value)
{
    size_t kept = 0;
    while (!value_ends(in)) {
        int c = reader_peek(in);
        in->at++;
        if (c != '\\')
            wr_u8(value, (uint8_t)c);
        else if (!escape_read(in, value))
            return false;
        if (c != ' ' && c != '\t') kept = value->size;
    }
    value->size = kept;
    return true;
}

// "#" and the DER of one value. False, with nothing read, when it is ordinary text.
static bool hex_read(struct reader *in, struct wr *whole)
{
    struct reader ahead = *in;
    for (ahead.at++; hex_digit(reader_peek(&ahead)) >= 0; ahead.at += 2) {
        int high = hex_digit(reader_peek(&ahead));
        int low = ahead.at + 1 < ahead.text.size ? hex_digit(ahead.text.at[ahead.at + 1]) : -1;
        if (low < 0) return false;
        wr_u8(whole, (uint8_t)(high << 4 | low));
    }
    reader_skip_blanks(&ahead);
    if (!value_ends(&ahead)) return false;
    struct rd der = rd_over(wr_done(whole));
    struct value value;
    if (!der_read(&der, &value) || der.left) return false;
    *in = ahead;
    return true;
}

// X.680 41.4: the characters of a PrintableString.
static bool is_printable_string(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        int c = text.at[i];
        bool plain = name_char(c) || (c && strchr(" '()+,/:=?", c));
        if (!plain) return false;
    }
    return true;
}

static bool is_ascii(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] >= 0x80) return false;
    return true;
}

// RFC 5280 4.1.2.4: PrintableString or UTF8String; IA5String where the attribute asks for it.
static uint8_t tag_of(uint8_t wanted, struct bytes text)
{
    if (wanted == TAG_IA5 && is_ascii(text)) return TAG_IA5;
    return is_printable_string(text) ? TAG_PRINTABLE : TAG_UTF8;
}

static enum fault entry_read(struct reader *in, struct wr *out)
{
    uint8_t oid_space[64], value_space[DN_SIZE_MAX / 4], tlv_space[DN_SIZE_MAX / 4], tag;
    struct wr oid = wr_over(oid_space, sizeof oid_space),
              value = wr_over(value_space, sizeof value_space);
    struct wr tlvs = wr_over(tlv_space, sizeof tlv_space);
    if (!attribute_read(in, &oid, &tag)) return FAULT_DN_SYNTAX;
    wr_der(&tlvs, TAG_OID, wr_done(&oid));
    reader_skip_blanks(in);
    if (reader_peek(in) == '#' && hex_read(in, &value)) {
        wr_bytes(&tlvs, wr_done(&value));
    } else {
        value = wr_over(value_space, sizeof value_space);
        bool read = reader_peek(in) == '"' ? quoted_read(in, &value) : plain_read(in, &value);
        if (!read) return FAULT_DN_SYNTAX;
        TRY(wr_end(&value));
        wr_der(&tlvs, tag_of(tag, wr_done(&value)), wr_done(&value));
    }
    TRY(wr_end(&tlvs));
    wr_der(out, TAG_SEQUENCE, wr_done(&tlvs));
    return wr_end(out);
}

// X.690 11.6: the values of a SET OF stand in ascending order.
static void entries_sort(struct bytes *entries, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t j = i; j > 0 && bytes_compare(entries[j], entries[j - 1]) < 0; j--) {
            struct bytes swap = entries[j];
            entries[j] = entries[j - 1];
            entries[j - 1] = swap;
        }
    }
}

static enum fault rdn_read(struct reader *in, struct wr *out)
{
    uint8_t space[DN_SIZE_MAX / 2], sorted_space[DN_SIZE_MAX / 2];
    struct wr all = wr_over(space, sizeof space),
              sorted = wr_over(sorted_space, sizeof sorted_space);
    struct bytes entries[VALUES_MAX];
    size_t count = 0;
    for (bool more = true; more;) {
        size_t begin = all.size;
        if (count == VALUES_MAX) return FAULT_DN_SYNTAX;
        TRY(entry_read(in, &all));
        entries[count++] = bytes_of(space + begin, all.size - begin);
        more = reader_peek(in) == '+';
        if (more) in->at++;
    }
    entries_sort(entries, count);
    for (size_t i = 0; i < count; i++) wr_bytes(&sorted, entries[i]);
    wr_der(out, TAG_SET, wr_done(&sorted));
    return wr_end(out);
}

enum fault dn_parse(struct bytes text, struct wr *out)
{
    uint8_t space[DN_SIZE_MAX];
    struct wr rdns = wr_over(space, sizeof space);
    struct reader in = {.text = text, .separator = ','};
    if (reader_peek(&in) == '/') {
        in.separator = '/';
        in.at++;
    }
    for (bool more = true; more;) {
        TRY(rdn_read(&in, &rdns));
        more = reader_peek(&in) == in.separator;
        if (more) in.at++;
    }
    if (in.at != text.size) return FAULT_DN_SYNTAX;
    wr_der(out, TAG_SEQUENCE, wr_done(&rdns));
    return wr_end(out);
}
