// SPDX-License-Identifier: Apache-2.0
// Texts of a configuration into values. Each conversion either takes the whole text or says what it
// had expected.
#include "base/secret.h"
#include "conf/options_internal.h"
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

bool wrong_say(struct wrong *wrong, enum fault fault, size_t at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    wrong->fault = fault;
    wrong->at = at;
    vsnprintf(wrong->why, sizeof wrong->why, format, args);
    va_end(args);
    return false;
}

bool word_value(const struct word *words, size_t count, const char *text, uint8_t *value)
{
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(words[i].text, text) != 0) continue;
        *value = words[i].value;
        return true;
    }
    return false;
}

bool convert_bool(const char *text, bool *out, struct wrong *wrong)
{
    static const struct word words[] = {{"yes", 1}, {"true", 1},  {"enabled", 1},  {"1", 1},
                                        {"no", 0},  {"false", 0}, {"disabled", 0}, {"0", 0}};
    uint8_t value;
    if (!word_value(words, sizeof words / sizeof *words, text, &value))
        return wrong_say(wrong, FAULT_OPTION_VALUE, 0, "expected yes or no");
    *out = value;
    return true;
}

// Numbers
// ---------------------------------------------------------------------------------------------------

static unsigned hex_digit(unsigned char c)
{
    return isdigit(c) ? c - (unsigned)'0' : (unsigned)tolower(c) - 'a' + 10;
}

// Digits, or 0x and hexadecimal ones; *end is what follows. False when there are none or they are
// too many.
static bool digits_read(const char *text, uint64_t *out, const char **end)
{
    unsigned base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
    const char *at = base == 16 ? text + 2 : text;
    const char *first = at;
    uint64_t value = 0;
    for (;; at++) {
        unsigned char c = (unsigned char)*at;
        if (!(base == 16 ? isxdigit(c) : isdigit(c))) break;
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, hex_digit(c), &value))
            return false;
    }
    *out = value;
    *end = at;
    return at > first;
}

bool convert_number(const char *text, uint64_t low, uint64_t high, uint64_t *out,
                    struct wrong *wrong)
{
    const char *end;
    uint64_t value;
    if (!digits_read(text, &value, &end) || *end)
        return wrong_say(wrong, FAULT_OPTION_VALUE, 0, "expected a number from %llu to %llu",
                         (unsigned long long)low, (unsigned long long)high);
    if (value < low || value > high)
        return wrong_say(wrong, FAULT_OPTION_RANGE, 0, "must be from %llu to %llu",
                         (unsigned long long)low, (unsigned long long)high);
    *out = value;
    return true;
}

struct unit {
    char letter;
    uint64_t size;
};

// A number and a unit letter, blanks between them allowed. *out is multiplied out; the largest is
// `high`.
static bool amount_read(const char *text, const struct unit *units, size_t count, uint64_t high,
                        uint64_t *out)
{
    const char *end;
    uint64_t value, factor = 1;
    if (!digits_read(text, &value, &end)) return false;
    while (*end == ' ') end++;
    if (*end) {
        size_t i = 0;
        while (i < count && units[i].letter != *end) i++;
        if (i == count || end[1]) return false;
        factor = units[i].size;
    }
    return !__builtin_mul_overflow(value, factor, out) && *out <= high;
}

bool convert_time(const char *text, nsec *out, struct wrong *wrong)
{
    static const struct unit units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    uint64_t seconds;
    // A hundred years are more than enough, and no sum of such times overflows.
    if (!amount_read(text, units, sizeof units / sizeof *units, UINT64_C(100) * 366 * 86400,
                     &seconds))
        return wrong_say(wrong, FAULT_OPTION_VALUE, 0, "expected a time like 30s, 5m, 4h or 1d");
    *out = nsec_seconds((int64_t)seconds);
    return true;
}

bool convert_bytes(const char *text, uint64_t *out, struct wrong *wrong)
{
    static const struct unit units[] = {{'k', 1u << 10}, {'K', 1u << 10}, {'m', 1u << 20},
                                        {'M', 1u << 20}, {'g', 1u << 30}, {'G', 1u << 30}};
    if (!amount_read(text, units, sizeof units / sizeof *units, UINT64_MAX / 4, out))
        return wrong_say(wrong, FAULT_OPTION_VALUE, 0,
                         "expected a number of bytes like 500000, 64k, 500m or 2g");
    return true;
}

bool convert_dscp(const char *text, uint8_t *out, struct wrong *wrong)
{
    if (strlen(text) != 6 || strspn(text, "01") != 6)
        return wrong_say(wrong, FAULT_OPTION_VALUE, 0, "expected six binary digits like 101110");
    *out = (uint8_t)strtoul(text, NULL, 2);
    return true;
}

bool convert_if_id(const char *text, uint32_t *out, struct wrong *wrong)
{
    uint64_t number = 0;
    bool hex = text[0] == '0' && (text[1] | 32) == 'x' && text[2] && strspn(text + 2, "0123456789abcdefABCDEF") == strlen(text + 2) && strlen(text) <= 10;
    if (strcasecmp(text, "%unique") == 0) {
        *out = IF_ID_UNIQUE;
        return true;
    }
    if (strcasecmp(text, "%unique-dir") == 0) {
        *out = IF_ID_UNIQUE_DIR;
        return true;
    }
    if (hex) number = strtoul(text, NULL, 16);
    if ((hex || convert_number(text, 0, UINT32_MAX, &number, wrong)) && number <= IF_ID_MAX) {
        *out = (uint32_t)number;
        return true;
    }
    return wrong_say(wrong, FAULT_OPTION_VALUE, 0, "expected a number up to %u, %%unique or %%unique-dir", IF_ID_MAX);
}

static bool mark_part(const char *text, size_t size, uint32_t *out)
{
    char copy[16], *end;
    if (!size || size >= sizeof copy || !strchr("0123456789", text[0])) return false;
    memcpy(copy, text, size);
    copy[size] = 0;
    unsigned long long number = strtoull(copy, &end, 0);
    *out = (uint32_t)number;
    return *end == 0 && number <= UINT32_MAX;
}

bool convert_mark(const char *text, struct mark *out, struct wrong *wrong)
{
    size_t size = strcspn(text, "/");
    *out = (struct mark){.mask = UINT32_MAX};
    bool good = mark_part(text, size, &out->value) &&
                (!text[size] || mark_part(text + size + 1, strlen(text + size + 1), &out->mask));
    if (!good)
        return wrong_say(wrong, FAULT_OPTION_VALUE, 0,
                         "expected a mark like 42 or 0x2a/0xff: a number, for its device has it");
    if (out->value & ~out->mask)
        return wrong_say(wrong, FAULT_OPTION_VALUE, 0, "the mark has bits that its mask leaves out");
    if (!out->value) *out = (struct mark){0};
    static const uint32_t own[] = {MARK_OF_DAEMON, MARK_OF_BYPASS};
    for (unsigned i = 0; i < 2 && out->mask; i++)
        if ((own[i] & out->mask) == out->value)
            return wrong_say(wrong, FAULT_OPTION_VALUE, 0,
                             "packets of the daemon itself carry 0x%x, which is such a mark",
                             own[i]);
    return true;
}

// Addresses and selectors
// ---------------------------------------------------------------------------------------------------

static bool is_name(const char *text)
{
    size_t size = strlen(text);
    if (size == 0 || size > 253 || text[0] == '-' || text[0] == '.') return false;
    bool letter = false;
    for (const char *c = text; *c; c++) {
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '.' && *c != '_') return false;
        letter |= isalpha((unsigned char)*c) != 0;
    }
    return letter;
}

bool convert_host(const char *text, struct arena *arena, struct host_pattern *out,
                  struct wrong *wrong)
{
    *out = (struct host_pattern){.kind = HOST_RANGE};
    if (strcmp(text, "%any") == 0 || strcmp(text, "%any4") == 0 || strcmp(text, "%any6") == 0) {
        out->kind = HOST_ANY;
        if (text[4] == '\0') return true;
        struct prefix all = {.addr = addr_any(text[4] == '4' ? ADDR_V4 : ADDR_V6)};
        out->kind = HOST_RANGE;
        out->range = prefix_range(&all);
        return true;
    }
    enum fault fault = range_parse(text, &out->range);
    if (!fault) {
        bool any = addr_is_any(&out->range.low) && addr_equal(&out->range.low, &out->range.high);
        if (any) out->kind = HOST_ANY;
        return true;
    }
    if (!is_name(text) || strchr(text, '/'))
        return wrong_say(wrong, fault, 0, "expected an address, a name, a prefix or a range");
    out->kind = HOST_NAME;
    out->name = arena_text(arena, bytes_of_text(text));
    return true;
}

bool convert_range(const char *text, struct range *out, struct wrong *wrong)
{
    enum fault fault = range_parse(text, out);
    return !fault ||
           wrong_say(wrong, fault, 0,
                     "expected a prefix or a range like 10.3.0.0/24 or 10.3.0.1-10.3.0.99");
}

bool convert_ts(const char *text, struct selector *out, bool *dynamic, struct wrong *wrong)
{
    enum fault fault = selector_parse(text, out);
    *dynamic = !fault && out->range.low.family == ADDR_NONE;
    return !fault ||
           wrong_say(wrong, fault, 0,
                     "expected a prefix, a range or dynamic, as in 10.1.0.0/16[tcp/443] (%s)",
                     fault_sentence(fault));
}

// What identities, proofs and proposals are
// ---------------------------------------------------------------------------------------------------

bool convert_identity(const char *text, struct arena *arena, struct identity *out,
                      struct wrong *wrong)
{
    enum fault fault = identity_parse(text, arena, out);
    return !fault || wrong_say(wrong, fault, 0, "%s", fault_sentence(fault));
}

static bool begins_with(const char *text, const char *beginning)
{
    size_t size = strlen(beginning);
    return strncmp(text, beginning, size) == 0 &&
           (text[size] == '\0' || text[size] == '-' || text[size] == ':');
}

static bool word_is_one(struct bytes word, const char *const *words)
{
    for (; *words; words++)
        if (bytes_equal(word, bytes_of_text(*words))) return true;
    return false;
}

static bool word_is_number(struct bytes word)
{
    for (size_t i = 0; i < word.size; i++)
        if (!isdigit(word.at[i])) return false;
    return word.size > 0 && word.size < 6;
}

// What may stand behind "ike:", joined by dashes: kinds of keys, hashes, sizes of keys. *hashes:
// not only kinds.
static bool schemes_check(const char *text, bool *hashes, struct wrong *wrong)
{
    static const char *const kinds[] = {"pubkey", "rsa",     "rsa/pkcs1", "rsa/pss",
                                        "ecdsa",  "ed25519", "ed448",     NULL};
    static const char *const names[] = {"sha1",     "sha256",   "sha384",   "sha512", "sha2_256",
                                        "sha2_384", "sha2_512", "identity", NULL};
    const char *at = text;
    for (bool first = true;; first = false) {
        struct bytes word = bytes_of(at, strcspn(at, "-"));
        bool kind = word_is_one(word, kinds);
        if (!kind && (first || !(word_is_one(word, names) || word_is_number(word))))
            return wrong_say(wrong, FAULT_OPTION_VALUE, (size_t)(at - text),
                             first
                                 ? "expected pubkey or psk, or constraints like ike:rsa/pss-sha512"
                                 : "\"%.*s\" is no kind of key, hash or key size",
                             (int)word.size, at);
        *hashes |= !kind;
        at += word.size;
        if (!*at++) return true;
    }
}

bool convert_auth(const char *text, bool remote, uint8_t *out, struct bytes *schemes,
                  struct wrong *wrong)
{
    *schemes = BYTES_NONE;
    *out = strcmp(text, "psk") == 0    ? AUTH_CLASS_PSK
           : strcmp(text, "null") == 0 ? AUTH_CLASS_NULL
                                       : AUTH_CLASS_PUBKEY;
    if (*out != AUTH_CLASS_PUBKEY || strcmp(text, "pubkey") == 0) return true;
    if (begins_with(text, "eap") || begins_with(text, "xauth"))
        return wrong_say(wrong, FAULT_OPTION_UNSUPPORTED, 0,
                         "is known but not supported yet: use pubkey or psk");
    bool ike = strncmp(text, "ike:", 4) == 0, hashes = false;
    if (!schemes_check(ike ? text + 4 : text, &hashes, wrong)) {
        wrong->at += ike ? 4 : 0;
        return false;
    }
    *schemes = bytes_of_text(text);
    if (remote && hashes && !ike)
        return wrong_say(wrong, FAULT_OPTION_UNSUPPORTED, 0,
                         "is known but constraints on certificates are not supported yet: begin "
                         "with ike: to mean IKE's alone");
    return true;
}

bool convert_proposal(const char *text, enum iana_protocol protocol, struct proposal *out,
                      struct wrong *wrong)
{
    struct bytes bad = BYTES_NONE;
    enum fault fault = proposal_parse(text, protocol, out, &bad);
    if (!fault) return true;
    if (!bad.at) return wrong_say(wrong, fault, 0, "%s", fault_sentence(fault));
    int shown = bad.size < 40 ? (int)bad.size : 40;
    return wrong_say(wrong, fault, (size_t)(bad.at - (const uint8_t *)text), "\"%.*s\": %s", shown,
                     (const char *)bad.at, fault_sentence(fault));
}

static bool hex_read(struct bytes text, struct arena *arena, struct bytes *out)
{
    uint8_t *bytes = arena_new(arena, text.size / 2 + 1);
    if (text.size % 2) return false;
    for (size_t i = 0; i < text.size; i++) {
        if (!isxdigit(text.at[i])) return false;
        bytes[i / 2] = (uint8_t)(bytes[i / 2] << 4 | hex_digit(text.at[i]));
    }
    *out = bytes_of(bytes, text.size / 2);
    return true;
}

// The sentences say nothing about the secret itself.
bool convert_secret(struct bytes text, struct arena *arena, struct bytes *out, struct wrong *wrong)
{
    *out = text;
    bool marked = text.size >= 2 && text.at[0] == '0';
    struct bytes rest = marked ? bytes_of(text.at + 2, text.size - 2) : text;
    if (marked && tolower(text.at[1]) == 'x' && !hex_read(rest, arena, out))
        return wrong_say(wrong, FAULT_OPTION_VALUE, 0,
                         "expected pairs of hexadecimal digits behind 0x");
    if (marked && tolower(text.at[1]) == 's' && base64_read(rest, arena, out))
        return wrong_say(wrong, FAULT_OPTION_VALUE, 0, "expected Base64 behind 0s");
    if (out->size == 0) return wrong_say(wrong, FAULT_OPTION_VALUE, 0, "is empty");
    return true;
}

// Lists
// ---------------------------------------------------------------------------------------------------

struct parts parts_of(const struct tree *item)
{
    struct parts parts = {.item = item};
    if (item && item->kind == TREE_LIST) parts.next = item->first;
    if (item && item->kind == TREE_VALUE) parts.at = (const char *)item->value.at;
    return parts;
}

// Parts of secrets pass here as well.
static void parts_wipe(struct parts *parts)
{
    if (parts->text) memory_wipe(parts->text, parts->value.size);
    free(parts->text);
}

void parts_end(struct parts *parts)
{
    parts_wipe(parts);
    *parts = (struct parts){0};
}

static bool parts_take(struct parts *parts, struct bytes value)
{
    parts_wipe(parts);
    parts->text = mem_text_of(value);
    parts->value = value;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Commas separate, blanks around the parts and empty parts do not count.
static bool text_next(struct parts *parts)
{
    const char *start = parts->at + strspn(parts->at, ", \t\r\n");
    if (!*start) return false;
    const char *end = start + strcspn(start, ",");
    parts->at = end;
    while (end > start && is_blank(end[-1])) end--;
    parts->offset = (size_t)(start - (const char *)parts->item->value.at);
    return parts_take(parts, bytes_of(start, (size_t)(end - start)));
}

bool parts_next(struct parts *parts)
{
    if (parts->next) {
        struct bytes value = parts->next->value;
        parts->next = parts->next->next;
        return parts_take(parts, value);
    }
    if (parts->at && text_next(parts)) return true;
    parts_end(parts);
    return false;
}
