// SPDX-License-Identifier: Apache-2.0
// Identities compared: equality, patterns and how well they match, what an index of them is made of,
// and what to say when two do not match.
#include "model/dn.h"
#include "model/identity_text.h"
#include <stdio.h>

enum {
    SCORE_ANY = 1,
    SCORE_REGEX = 100,
    SCORE_WILDCARD = 500, // and up to 400 more, the more of the pattern is given
    SCORE_EXACT = 1000,
    SCORE_STEP_MAX = 400,
};

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
    if (name && (!identity_text_is_visible(id->bytes) || !id->bytes.size)) return false;
    if (name)
        snprintf(text, sizeof text, "%.*s", (int)id->bytes.size, (const char *)id->bytes.at);
    else if (id->type != ID_DER_ASN1_DN)
        identity_print(id, text, sizeof text);
    else if (!dn_print(id->bytes, text, sizeof text))
        return false;
    if (identity_regex(pattern->bytes, &compiled)) return false;
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
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (hints[i].pattern == pattern->type && hints[i].id == id->type) return hints[i].sentence;
    if (pattern->type == ID_DER_ASN1_DN && id->type == ID_DER_ASN1_DN)
        return "the names differ: they must have the same attributes in the same order; a star "
               "stands for any value";
    return "";
}
