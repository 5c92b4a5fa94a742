// SPDX-License-Identifier: Apache-2.0
// Traffic selectors: text, comparison, narrowing, matching packets. A selector is a box in the
// space address x protocol x port; all set operations work on boxes.
//
//     10.1.0.0/16[tcp/80-443]     range [ protocol / ports ]
//
// "Ports" of ICMP are type and code in one number, OPAQUE is the empty range 65535 to 0 (RFC 7296
// 3.13.1): only packets whose ports cannot be seen.
#include "model/selector.h"
#include "model/iana.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { PORT_LAST = 65535, WORD_MAX = 32 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct {
    const char *name;
    uint8_t number;
} protocol_names[] = {
#define IANA_IPPROTO(symbol, number, text) {text, number},
#include "model/iana.def"
    {"icmpv6", IPPROTO_NUMBER_ICMPV6},
    {"icmp6", IPPROTO_NUMBER_ICMPV6},
    {"ipip", IPPROTO_NUMBER_IPIP},
    {"mh", IPPROTO_NUMBER_MH},
};

// Names that are usual in selectors. The system's own list is not asked: that would make the
// meaning of a configuration depend on the host.
static const struct {
    const char *name;
    uint16_t port;
} service_names[] = {
    {"ftp-data", 20},      {"ftp", 21},           {"ssh", 22},      {"telnet", 23},
    {"smtp", 25},          {"domain", 53},        {"bootps", 67},   {"bootpc", 68},
    {"tftp", 69},          {"http", 80},          {"kerberos", 88}, {"pop3", 110},
    {"sunrpc", 111},       {"ntp", 123},          {"imap", 143},    {"imap2", 143},
    {"snmp", 161},         {"snmp-trap", 162},    {"bgp", 179},     {"ldap", 389},
    {"https", 443},        {"submission", 587},   {"ldaps", 636},   {"microsoft-ds", 445},
    {"isakmp", 500},       {"syslog", 514},       {"imaps", 993},   {"pop3s", 995},
    {"openvpn", 1194},     {"ms-sql-s", 1433},    {"l2f", 1701},    {"l2tp", 1701},
    {"radius", 1812},      {"radius-acct", 1813}, {"nfs", 2049},    {"mysql", 3306},
    {"postgresql", 5432},  {"ipsec-nat-t", 4500}, {"sip", 5060},    {"sips", 5061},
    {"xmpp-client", 5222}, {"http-alt", 8080},
};

// --- Properties of one selector

static bool ports_are_any(const struct selector *selector)
{
    return selector->port_low == 0 && selector->port_high == PORT_LAST;
}

static bool ports_are_opaque(const struct selector *selector)
{
    return selector->port_low == PORT_LAST && selector->port_high == 0;
}

static bool protocol_is_icmp(uint8_t protocol)
{
    return protocol == IPPROTO_NUMBER_ICMP || protocol == IPPROTO_NUMBER_ICMPV6;
}

struct selector selector_any(enum addr_family family)
{
    struct prefix all = {.addr = addr_any(family), .bits = 0};
    return (struct selector){.range = prefix_range(&all), .port_high = PORT_LAST};
}

struct selector selector_of_addr(const struct addr *addr)
{
    return (struct selector){.range = {*addr, *addr}, .port_high = PORT_LAST};
}

bool selector_equal(const struct selector *a, const struct selector *b)
{
    return addr_equal(&a->range.low, &b->range.low) && addr_equal(&a->range.high, &b->range.high) &&
           a->protocol == b->protocol && a->port_low == b->port_low && a->port_high == b->port_high;
}

bool selectors_equal(const struct selectors *a, const struct selectors *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (!selector_equal(&a->at[i], &b->at[i])) return false;
    return true;
}

// --- Reading

static bool word_is(struct bytes word, const char *name)
{
    return word.size == strlen(name) && strncasecmp((const char *)word.at, name, word.size) == 0;
}

static bool number_parse(struct bytes word, unsigned most, unsigned *out)
{
    unsigned value = 0;
    if (word.size == 0 || word.size > 5) return false;
    for (size_t i = 0; i < word.size; i++) {
        if (word.at[i] < '0' || word.at[i] > '9') return false;
        value = value * 10 + (unsigned)(word.at[i] - '0');
    }
    *out = value;
    return value <= most;
}

static bool word_is_any(struct bytes word)
{
    return word.size == 0 || word_is(word, "%any") || word_is(word, "any");
}

static enum fault protocol_parse(struct bytes word, uint8_t *protocol)
{
    unsigned number = 0;
    if (!word_is_any(word) && !number_parse(word, 255, &number)) {
        size_t i = 0;
        while (i < COUNT(protocol_names) && !word_is(word, protocol_names[i].name)) i++;
        if (i == COUNT(protocol_names)) return FAULT_SELECTOR_PROTOCOL;
        number = protocol_names[i].number;
    }
    *protocol = (uint8_t)number;
    return OK;
}

static struct bytes bytes_before(struct bytes text, const uint8_t *at)
{
    return bytes_of(text.at, (size_t)(at - text.at));
}

static struct bytes bytes_after(struct bytes text, const uint8_t *at)
{
    return bytes_of(at + 1, text.size - (size_t)(at - text.at) - 1);
}

static const uint8_t *bytes_find(struct bytes text, char what)
{
    return text.size ? memchr(text.at, what, text.size) : NULL;
}

struct port_span {
    unsigned low, high;
};

// "8" is the type with all its codes, "8(0)" one code, and a number from 256 on is both in one, as
// in the selector itself.
static bool icmp_parse(struct bytes word, struct port_span *span)
{
    unsigned type, code;
    const uint8_t *open = bytes_find(word, '(');
    if (open) {
        struct bytes inside = bytes_after(word, open);
        if (inside.size == 0 || inside.at[--inside.size] != ')') return false;
        if (!number_parse(bytes_before(word, open), 255, &type) ||
            !number_parse(inside, 255, &code))
            return false;
        *span = (struct port_span){type << 8 | code, type << 8 | code};
        return true;
    }
    if (!number_parse(word, PORT_LAST, &type)) return false;
    *span = type < 256 ? (struct port_span){type << 8, type << 8 | 255}
                       : (struct port_span){type, type};
    return true;
}

static bool port_parse(struct bytes word, struct port_span *span)
{
    unsigned port;
    if (number_parse(word, PORT_LAST, &port)) {
        *span = (struct port_span){port, port};
        return true;
    }
    for (size_t i = 0; i < COUNT(service_names); i++) {
        if (!word_is(word, service_names[i].name)) continue;
        *span = (struct port_span){service_names[i].port, service_names[i].port};
        return true;
    }
    return false;
}

// RFC 7296 3.13.1: the type of a Mobility Header is in the upper eight bits.
static bool mobility_parse(struct bytes word, struct port_span *span)
{
    unsigned type;
    if (!number_parse(word, PORT_LAST, &type)) return false;
    if (type < 256) type <<= 8;
    *span = (struct port_span){type, type};
    return true;
}

static bool span_parse(struct bytes word, uint8_t protocol, struct port_span *span)
{
    if (protocol == IPPROTO_NUMBER_MH) return mobility_parse(word, span);
    return protocol_is_icmp(protocol) ? icmp_parse(word, span) : port_parse(word, span);
}

// Service names may have a dash themselves, so the whole word is tried first.
static enum fault ports_parse(struct bytes word, struct selector *selector)
{
    struct port_span first, last;
    if (word_is_any(word)) return OK;
    // RFC 7296 3.13.1: without a protocol there are no ports.
    if (selector->protocol == 0) return FAULT_SELECTOR_PORT;
    if (word_is(word, "opaque")) {
        selector->port_low = PORT_LAST;
        selector->port_high = 0;
        return OK;
    }
    if (span_parse(word, selector->protocol, &first)) {
        last = first;
    } else {
        const uint8_t *dash = bytes_find(word, '-');
        if (!dash || !span_parse(bytes_before(word, dash), selector->protocol, &first) ||
            !span_parse(bytes_after(word, dash), selector->protocol, &last))
            return FAULT_SELECTOR_PORT;
    }
    if (first.low > last.high) return FAULT_SELECTOR_PORT;
    selector->port_low = (uint16_t)first.low;
    selector->port_high = (uint16_t)last.high;
    return OK;
}

// What stands between the brackets.
static enum fault restriction_parse(struct bytes inside, struct selector *selector)
{
    const uint8_t *slash = bytes_find(inside, '/');
    TRY(protocol_parse(slash ? bytes_before(inside, slash) : inside, &selector->protocol));
    return slash ? ports_parse(bytes_after(inside, slash), selector) : OK;
}

// "a..b" is another way to write "a-b".
static enum fault selector_range_parse(struct bytes text, struct range *range)
{
    char copy[RANGE_TEXT];
    if (text.size == 0 || text.size >= sizeof copy || bytes_find(text, '\0'))
        return FAULT_SELECTOR_SYNTAX;
    memcpy(copy, text.at, text.size);
    copy[text.size] = '\0';
    char *dots = strstr(copy, "..");
    if (dots) {
        dots[0] = '-';
        memmove(dots + 1, dots + 2, strlen(dots + 2) + 1);
    }
    return range_parse(copy, range);
}

enum fault selector_parse(const char *text, struct selector *selector)
{
    struct bytes all = bytes_of_text(text);
    const uint8_t *open = bytes_find(all, '[');
    struct bytes where = open ? bytes_before(all, open) : all;
    struct selector read = {.port_high = PORT_LAST};
    if (!word_is(where, "dynamic")) TRY(selector_range_parse(where, &read.range));
    if (open) {
        struct bytes inside = bytes_after(all, open);
        if (inside.size == 0 || inside.at[--inside.size] != ']') return FAULT_SELECTOR_SYNTAX;
        TRY(restriction_parse(inside, &read));
    }
    *selector = read;
    return OK;
}

// --- Printing

static void port_print(uint8_t protocol, uint16_t port, char out[WORD_MAX])
{
    if (protocol_is_icmp(protocol))
        snprintf(out, WORD_MAX, "%u(%u)", port >> 8, port & 255u);
    else if (protocol == IPPROTO_NUMBER_MH && (port & 255) == 0)
        snprintf(out, WORD_MAX, "%u", port >> 8);
    else
        snprintf(out, WORD_MAX, "%u", port);
}

static void ports_print(const struct selector *selector, char out[WORD_MAX])
{
    unsigned low = selector->port_low, high = selector->port_high;
    if (ports_are_opaque(selector)) {
        snprintf(out, WORD_MAX, "opaque");
    } else if (protocol_is_icmp(selector->protocol) && low >> 8 == high >> 8 && (low & 255) == 0 &&
               (high & 255) == 255) {
        snprintf(out, WORD_MAX, "%u", low >> 8);
    } else {
        char first[WORD_MAX], last[WORD_MAX];
        port_print(selector->protocol, selector->port_low, first);
        port_print(selector->protocol, selector->port_high, last);
        snprintf(out, WORD_MAX, low == high ? "%.12s" : "%.12s-%.12s", first, last);
    }
}

char *selector_print(const struct selector *selector, char out[SELECTOR_TEXT])
{
    char range[RANGE_TEXT] = "dynamic", protocol[WORD_MAX] = "any", ports[WORD_MAX] = "";
    if (selector->range.low.family) range_print(&selector->range, range);
    if (selector->protocol == 0 && ports_are_any(selector)) {
        snprintf(out, SELECTOR_TEXT, "%s", range);
        return out;
    }
    const char *name = iana_ipproto_name(selector->protocol);
    if (selector->protocol && name)
        snprintf(protocol, sizeof protocol, "%s", name);
    else if (selector->protocol)
        snprintf(protocol, sizeof protocol, "%u", selector->protocol);
    bool any = ports_are_any(selector);
    if (!any) ports_print(selector, ports);
    snprintf(out, SELECTOR_TEXT, "%.92s[%.15s%s%.17s]", range, protocol, any ? "" : "/", ports);
    return out;
}

void selectors_print(const struct selectors *selectors, struct wr *out)
{
    for (size_t i = 0; i < selectors->count; i++) {
        char text[SELECTOR_TEXT];
        if (i) wr_text(out, " ");
        wr_text(out, selector_print(&selectors->at[i], text));
    }
}

// --- Sets

static bool ports_within(const struct selector *inner, const struct selector *outer)
{
    if (ports_are_any(outer)) return true;
    if (ports_are_opaque(inner) || ports_are_opaque(outer))
        return ports_are_opaque(inner) && ports_are_opaque(outer);
    return inner->port_low >= outer->port_low && inner->port_high <= outer->port_high;
}

bool selector_within(const struct selector *inner, const struct selector *outer)
{
    return addr_compare(&outer->range.low, &inner->range.low) <= 0 &&
           addr_compare(&inner->range.high, &outer->range.high) <= 0 &&
           inner->range.low.family == outer->range.low.family &&
           (outer->protocol == 0 || inner->protocol == outer->protocol) &&
           ports_within(inner, outer);
}

// RFC 4301 4.4.1.1: ANY holds OPAQUE; a range of ports does not.
static bool ports_intersect(const struct selector *a, const struct selector *b,
                            struct selector *out)
{
    const struct selector *narrow = ports_within(a, b) ? a : ports_within(b, a) ? b : NULL;
    if (narrow) {
        out->port_low = narrow->port_low;
        out->port_high = narrow->port_high;
        return true;
    }
    if (ports_are_opaque(a) || ports_are_opaque(b)) return false;
    out->port_low = a->port_low > b->port_low ? a->port_low : b->port_low;
    out->port_high = a->port_high < b->port_high ? a->port_high : b->port_high;
    return out->port_low <= out->port_high;
}

bool selector_intersect(const struct selector *a, const struct selector *b, struct selector *out)
{
    if (a->range.low.family != b->range.low.family) return false;
    if (a->protocol && b->protocol && a->protocol != b->protocol) return false;
    struct selector both = {.protocol = a->protocol ? a->protocol : b->protocol};
    both.range.low = addr_compare(&a->range.low, &b->range.low) > 0 ? a->range.low : b->range.low;
    both.range.high =
        addr_compare(&a->range.high, &b->range.high) < 0 ? a->range.high : b->range.high;
    if (addr_compare(&both.range.low, &both.range.high) > 0) return false;
    if (!ports_intersect(a, b, &both)) return false;
    *out = both;
    return true;
}

bool selectors_add(struct selectors *set, const struct selector *selector)
{
    for (size_t i = 0; i < set->count; i++)
        if (selector_within(selector, &set->at[i])) return true;
    if (set->count == SELECTORS_MAX) return false;
    set->at[set->count++] = *selector;
    return true;
}

// A wider selector takes the place of the first one that lies within it, the others are dropped.
static void selectors_widen(struct selectors *set, const struct selector *selector)
{
    struct selectors kept = {0};
    bool placed = false;
    for (size_t i = 0; i < set->count; i++) {
        if (selector_within(selector, &set->at[i])) return;
        bool covered = selector_within(&set->at[i], selector);
        if (!covered) kept.at[kept.count++] = set->at[i];
        if (covered && !placed) {
            kept.at[kept.count++] = *selector;
            placed = true;
        }
    }
    if (!placed && kept.count < SELECTORS_MAX) kept.at[kept.count++] = *selector;
    *set = kept;
}

// RFC 7296 2.9: the first selector offered may be the packet that asked for the SA. It is looked at
// first, so what holds it comes first and is the last to be lost when there is no room for all.
bool selectors_narrow(const struct selectors *mine, const struct selectors *offered,
                      struct selectors *out)
{
    struct selectors narrowed = {0};
    for (size_t i = 0; i < offered->count; i++) {
        for (size_t j = 0; j < mine->count; j++) {
            struct selector both;
            if (selector_intersect(&offered->at[i], &mine->at[j], &both))
                selectors_widen(&narrowed, &both);
        }
    }
    *out = narrowed;
    return out->count > 0;
}

bool selectors_within(const struct selectors *inner, const struct selectors *outer)
{
    for (size_t i = 0; i < inner->count; i++) {
        size_t j = 0;
        while (j < outer->count && !selector_within(&inner->at[i], &outer->at[j])) j++;
        if (j == outer->count) return false;
    }
    return true;
}

// --- Packets

static bool selectors_have(const struct selectors *set, const struct addr *addr, uint8_t protocol,
                           uint16_t port, bool port_known)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct selector *at = &set->at[i];
        if (at->protocol && at->protocol != protocol) continue;
        if (!range_has(&at->range, addr)) continue;
        if (ports_are_any(at)) return true;
        if (port_known ? port >= at->port_low && port <= at->port_high : ports_are_opaque(at))
            return true;
    }
    return false;
}

bool selectors_match(const struct selectors *local, const struct selectors *remote,
                     const struct flow *flow)
{
    return selectors_have(local, &flow->source, flow->protocol, flow->source_port,
                          flow->ports_known) &&
           selectors_have(remote, &flow->destination, flow->protocol, flow->destination_port,
                          flow->ports_known);
}

// --- Explaining

static const char *apart_why(const struct selector *a, const struct selector *b)
{
    struct selector both;
    if (a->range.low.family != b->range.low.family) return "one is IPv4, the other IPv6";
    if (selector_intersect(a, b, &both)) return "they overlap";
    if (addr_compare(&a->range.low, &b->range.high) > 0 ||
        addr_compare(&b->range.low, &a->range.high) > 0)
        return "the addresses do not overlap";
    if (a->protocol && b->protocol && a->protocol != b->protocol) return "the protocols differ";
    return "the ports do not overlap";
}

void selectors_explain(const struct selectors *mine, const struct selectors *offered,
                       struct wr *out)
{
    size_t pairs = 0;
    if (!mine->count) wr_text(out, "We have no traffic selector on this side.\n");
    if (!offered->count) wr_text(out, "The peer offers no traffic selector on this side.\n");
    for (size_t i = 0; i < offered->count; i++) {
        for (size_t j = 0; j < mine->count; j++) {
            char theirs[SELECTOR_TEXT], ours[SELECTOR_TEXT];
            if (pairs++ == SELECTORS_EXPLAIN_PAIRS) {
                wr_printf(out, "and %u pairs more\n",
                          (unsigned)(mine->count * offered->count) - SELECTORS_EXPLAIN_PAIRS);
                return;
            }
            wr_printf(out, "the peer's %s and our %s: %s\n",
                      selector_print(&offered->at[i], theirs), selector_print(&mine->at[j], ours),
                      apart_why(&offered->at[i], &mine->at[j]));
        }
    }
}
