// SPDX-License-Identifier: Apache-2.0
// Addresses, prefixes, ranges and endpoints: reading and printing them, and the arithmetic between
// them. An address is treated as one big number of 32 or 128 bits, bit 0 the highest.
#include "base/addr.h"
#include <arpa/inet.h>
#include <stdio.h>

static unsigned addr_width(const struct addr *addr)
{
    return (unsigned)addr_size(addr) * 8;
}

static bool addr_bit(const struct addr *addr, unsigned bit)
{
    return addr->at[bit / 8] >> (7 - bit % 8) & 1;
}

// Sets all bits from the given one to the end.
static struct addr addr_fill(struct addr addr, unsigned from, bool ones)
{
    for (unsigned i = 0; i < addr_size(&addr); i++) {
        if (i * 8 + 8 <= from) continue;
        uint8_t mask = from > i * 8 ? (uint8_t)(0xff >> (from - i * 8)) : 0xff;
        addr.at[i] = ones ? addr.at[i] | mask : addr.at[i] & (uint8_t)~mask;
    }
    return addr;
}

// How many leading bits two addresses of one family share.
static unsigned addr_common(const struct addr *a, const struct addr *b)
{
    unsigned bits = 0;
    while (bits < addr_width(a) && addr_bit(a, bits) == addr_bit(b, bits)) bits++;
    return bits;
}

struct addr addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return (struct addr){ADDR_V4, {a, b, c, d}};
}

struct addr addr_any(enum addr_family family)
{
    return (struct addr){.family = (uint8_t)family};
}

enum fault addr_from_bytes(struct bytes in, struct addr *addr)
{
    *addr = addr_any(in.size == 4 ? ADDR_V4 : in.size == 16 ? ADDR_V6 : ADDR_NONE);
    if (addr->family == ADDR_NONE) return FAULT_ADDRESS_SYNTAX;
    memcpy(addr->at, in.at, in.size);
    return OK;
}

enum fault addr_parse(const char *text, struct addr *addr)
{
    *addr = addr_any(ADDR_NONE);
    if (!text) return FAULT_ADDRESS_SYNTAX;
    struct addr read = addr_any(strchr(text, ':') ? ADDR_V6 : ADDR_V4);
    if (inet_pton(read.family == ADDR_V6 ? AF_INET6 : AF_INET, text, read.at) != 1)
        return FAULT_ADDRESS_SYNTAX;
    *addr = read;
    return OK;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    return addr_compare(a, b) == 0;
}

int addr_compare(const struct addr *a, const struct addr *b)
{
    if (a->family != b->family) return a->family < b->family ? -1 : 1;
    return memcmp(a->at, b->at, addr_size(a));
}

bool addr_is_any(const struct addr *addr)
{
    struct addr any = addr_any((enum addr_family)addr->family);
    return addr_equal(addr, &any);
}

bool addr_next(struct addr *addr)
{
    struct addr last = addr_fill(*addr, 0, true);
    if (addr_equal(addr, &last)) return false;
    for (size_t i = addr_size(addr); i-- > 0;)
        if (++addr->at[i]) break;
    return true;
}

// RFC 5952 4: lower case, no leading zeros, the first longest run of zero groups as "::"; inet_ntop
// does just that.
char *addr_print(const struct addr *addr, char out[ADDR_TEXT])
{
    int family = addr->family == ADDR_V6 ? AF_INET6 : AF_INET;
    if (addr->family == ADDR_NONE || !inet_ntop(family, addr->at, out, ADDR_TEXT))
        memcpy(out, "%any", sizeof "%any");
    return out;
}

// Copies the part of a text before a separator out, where an address can be as long.
static enum fault addr_parse_before(const char *text, const char *end, struct addr *addr)
{
    char part[ADDR_TEXT];
    size_t size = (size_t)(end - text);
    *addr = addr_any(ADDR_NONE);
    if (size >= sizeof part) return FAULT_ADDRESS_SYNTAX;
    memcpy(part, text, size);
    part[size] = '\0';
    return addr_parse(part, addr);
}

// Decimal without sign or leading zeros, at most most.
static enum fault prefix_length_parse(const char *text, unsigned most, uint8_t *bits)
{
    unsigned value = 0;
    if (!*text || (text[0] == '0' && text[1])) return FAULT_PREFIX_SYNTAX;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return FAULT_PREFIX_SYNTAX;
        value = value * 10 + (unsigned)(*text - '0');
        if (value > most) return FAULT_PREFIX_SYNTAX;
    }
    *bits = (uint8_t)value;
    return OK;
}

enum fault prefix_parse(const char *text, struct prefix *prefix)
{
    *prefix = (struct prefix){0};
    const char *slash = text ? strchr(text, '/') : NULL;
    struct prefix read = {0};
    if (slash) {
        TRY(addr_parse_before(text, slash, &read.addr));
        TRY(prefix_length_parse(slash + 1, addr_width(&read.addr), &read.bits));
    } else {
        TRY(addr_parse(text, &read.addr));
        read.bits = (uint8_t)addr_width(&read.addr);
    }
    *prefix = read;
    return OK;
}

bool prefix_has(const struct prefix *prefix, const struct addr *addr)
{
    return addr->family == prefix->addr.family && addr_common(&prefix->addr, addr) >= prefix->bits;
}

struct range prefix_range(const struct prefix *prefix)
{
    return (struct range){
        .low = addr_fill(prefix->addr, prefix->bits, false),
        .high = addr_fill(prefix->addr, prefix->bits, true),
    };
}

enum fault range_parse(const char *text, struct range *range)
{
    *range = (struct range){0};
    const char *dash = text ? strchr(text, '-') : NULL;
    if (!dash) {
        struct prefix prefix;
        TRY(prefix_parse(text, &prefix));
        *range = prefix_range(&prefix);
        return OK;
    }
    struct range read;
    TRY(addr_parse_before(text, dash, &read.low));
    TRY(addr_parse(dash + 1, &read.high));
    if (read.low.family != read.high.family || addr_compare(&read.low, &read.high) > 0)
        return FAULT_RANGE_ORDER;
    *range = read;
    return OK;
}

bool range_has(const struct range *range, const struct addr *addr)
{
    return addr_compare(&range->low, addr) <= 0 && addr_compare(addr, &range->high) <= 0;
}

bool range_is_prefix(const struct range *range, struct prefix *prefix)
{
    unsigned bits = addr_common(&range->low, &range->high);
    struct prefix only = {.addr = range->low, .bits = (uint8_t)bits};
    struct range whole = prefix_range(&only);
    if (!addr_equal(&whole.low, &range->low) || !addr_equal(&whole.high, &range->high))
        return false;
    *prefix = only;
    return true;
}

// The largest prefix that begins at an address and does not go beyond another.
static struct prefix prefix_within(const struct addr *from, const struct addr *last)
{
    struct prefix prefix = {.addr = *from, .bits = (uint8_t)addr_width(from)};
    while (prefix.bits > 0 && !addr_bit(from, prefix.bits - 1u)) {
        struct addr end = addr_fill(*from, prefix.bits - 1u, true);
        if (addr_compare(&end, last) > 0) break;
        prefix.bits--;
    }
    return prefix;
}

// Taking the largest each time gives the fewest: a prefix that holds the first address cannot be
// larger than that.
size_t range_prefixes(const struct range *range, struct prefix *out, size_t limit)
{
    if (range->low.family == ADDR_NONE) return 0;
    struct addr from = range->low;
    size_t count = 0;
    do {
        struct prefix prefix = prefix_within(&from, &range->high);
        if (count < limit) out[count] = prefix;
        count++;
        from = prefix_range(&prefix).high;
    } while (addr_next(&from) && addr_compare(&from, &range->high) <= 0);
    return count;
}

char *range_print(const struct range *range, char out[RANGE_TEXT])
{
    char low[ADDR_TEXT], high[ADDR_TEXT];
    struct prefix prefix;
    addr_print(&range->low, low);
    if (addr_equal(&range->low, &range->high))
        snprintf(out, RANGE_TEXT, "%s", low);
    else if (range_is_prefix(range, &prefix))
        snprintf(out, RANGE_TEXT, "%s/%u", low, prefix.bits);
    else
        snprintf(out, RANGE_TEXT, "%s-%s", low, addr_print(&range->high, high));
    return out;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return addr_equal(&a->addr, &b->addr) && a->port == b->port;
}

char *endpoint_print(const struct endpoint *endpoint, char out[ENDPOINT_TEXT])
{
    char text[ADDR_TEXT];
    const char *format = endpoint->addr.family == ADDR_V6 ? "[%s]:%u" : "%s:%u";
    addr_print(&endpoint->addr, text);
    snprintf(out, ENDPOINT_TEXT, format, text, endpoint->port);
    return out;
}

bool path_equal(const struct path *a, const struct path *b)
{
    return endpoint_equal(&a->local, &b->local) && endpoint_equal(&a->remote, &b->remote) &&
           a->encap == b->encap && a->stream == b->stream;
}
