// SPDX-License-Identifier: Apache-2.0
// A pool's section into a struct pool_conf: its range, and its attributes as configuration payloads
// have them (RFC 7296 3.15.1).
#include "conf/options_internal.h"

// Numbers that were given out before or beside the registry; peers know them all the same.
enum {
    ATTR_OLD_IP6_NETMASK = 9,
    ATTR_OLD_IP6_NBNS = 11,
    ATTR_PRIVATE_IP4_SERVER = 23456,
    ATTR_PRIVATE_IP6_SERVER = 23457,
    ATTR_UNITY_SPLIT_INCLUDE = 28676,
    ATTR_UNITY_LOCAL_LAN = 28679,
    ATTRIBUTE_TYPE_MAX = 32767, // RFC 7296 3.15.1: 15 bits
};

enum value_form { FORM_ADDRESS = 1, FORM_PREFIX, FORM_PREFIX_PADDED, FORM_DOMAIN, FORM_ANYTHING };

// clang-format off
static const struct known {
    const char *name;
    uint16_t v4, v6;     // 0: there is none for that family
    uint8_t form;        // enum value_form
} attributes[] = {
    {"dns",           ATTR_INTERNAL_IP4_DNS,     ATTR_INTERNAL_IP6_DNS,    FORM_ADDRESS},
    {"nbns",          ATTR_INTERNAL_IP4_NBNS,    ATTR_OLD_IP6_NBNS,        FORM_ADDRESS},
    {"dhcp",          ATTR_INTERNAL_IP4_DHCP,    ATTR_INTERNAL_IP6_DHCP,   FORM_ADDRESS},
    {"netmask",       ATTR_INTERNAL_IP4_NETMASK, ATTR_OLD_IP6_NETMASK,     FORM_ADDRESS},
    {"server",        ATTR_PRIVATE_IP4_SERVER,   ATTR_PRIVATE_IP6_SERVER,  FORM_ADDRESS},
    {"subnet",        ATTR_INTERNAL_IP4_SUBNET,  ATTR_INTERNAL_IP6_SUBNET, FORM_PREFIX},
    {"domain",        ATTR_INTERNAL_DNS_DOMAIN,  ATTR_INTERNAL_DNS_DOMAIN, FORM_DOMAIN},
    {"split_include", ATTR_UNITY_SPLIT_INCLUDE,  0,                        FORM_PREFIX_PADDED},
    {"split_exclude", ATTR_UNITY_LOCAL_LAN,      0,                        FORM_PREFIX_PADDED},
};
// clang-format on

// A name of the table, or a number of the registry (then `space` is filled in).
static const struct known *known_find(const char *name, struct known *space)
{
    struct wrong wrong;
    uint64_t number;
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if (strcmp(attributes[i].name, name) == 0) return &attributes[i];
    if (!convert_number(name, 1, ATTRIBUTE_TYPE_MAX, &number, &wrong)) return NULL;
    *space = (struct known){name, (uint16_t)number, (uint16_t)number, FORM_ANYTHING};
    return space;
}

bool attribute_is_known(const char *name)
{
    struct known space;
    return known_find(name, &space) != NULL;
}

// RFC 7296 3.15.1: an IPv4 subnet is address and mask, an IPv6 one address and prefix length. The
// split lists have six zero bytes behind that.
static struct bytes prefix_value(const struct prefix *prefix, bool padded, struct arena *arena)
{
    uint8_t *space = arena_new(arena, 32);
    struct wr out = wr_over(space, 32);
    struct range range = prefix_range(prefix);
    wr_bytes(&out, addr_bytes(&range.low));
    if (prefix->addr.family == ADDR_V4)
        wr_u32(&out, prefix->bits ? UINT32_MAX << (32 - prefix->bits) : 0);
    else
        wr_u8(&out, prefix->bits);
    for (unsigned i = 0; padded && i < 6; i++) wr_u8(&out, 0);
    return wr_done(&out);
}

bool convert_attribute(const char *name, const char *text, struct arena *arena,
                       struct pool_attribute *out, struct wrong *wrong)
{
    struct known space;
    struct prefix prefix;
    const struct known *known = known_find(name, &space);
    if (!known) return wrong_say(wrong, FAULT_OPTION_UNKNOWN, 0, "is no attribute");
    bool has_bits = strchr(text, '/') != NULL;
    bool good = prefix_parse(text, &prefix) == OK && !(has_bits && known->form == FORM_ADDRESS);
    struct bytes kept = bytes_of_text(arena_text(arena, bytes_of_text(text)));
    if (known->form == FORM_DOMAIN) {
        *out = (struct pool_attribute){known->v4, kept};
        return domain_name_is_good(kept) || wrong_say(wrong, FAULT_OPTION_VALUE, 0, "expected a name like corp.example.org");
    }
    if (!good && known->form != FORM_ANYTHING)
        return wrong_say(wrong, FAULT_OPTION_VALUE, 0, "expected %s",
                         known->form == FORM_ADDRESS ? "an address" : "a prefix like 10.1.0.0/16");
    if (strlen(text) > POOL_VALUE_MAX)
        return wrong_say(wrong, FAULT_OPTION_VALUE, 0, "is longer than %d bytes", POOL_VALUE_MAX);
    out->type = good && prefix.addr.family == ADDR_V6 ? known->v6 : known->v4;
    if (!out->type) return wrong_say(wrong, FAULT_OPTION_VALUE, 0, "takes IPv4 only");
    if (!good) return convert_secret(kept, arena, &out->value, wrong);
    if (known->form == FORM_ADDRESS || (known->form == FORM_ANYTHING && !has_bits))
        out->value = arena_copy(arena, addr_bytes(&prefix.addr));
    else
        out->value = prefix_value(&prefix, known->form == FORM_PREFIX_PADDED, arena);
    return true;
}

// The first and the last address of a prefix are left out, as they name the net and all its hosts;
// of a range every address is given.
static void range_take(const char *text, struct pool_conf *pool)
{
    struct wrong wrong;
    struct range range;
    if (!convert_range(text, &range, &wrong)) return; // complained about before
    pool->base = range.low;
    pool->range = range;
    struct addr inner = range.low;
    if (!strchr(text, '/') || !addr_next(&inner) || addr_compare(&inner, &range.high) >= 0) return;
    pool->range.low = inner;
    for (size_t i = addr_size(&range.high); i-- > 0;)
        if (pool->range.high.at[i]--) break;
}

static bool attributes_take(const struct tree *item, struct arena *arena, struct pool_conf *pool,
                            struct complaints *complaints)
{
    struct wrong wrong;
    for (struct parts parts = parts_of(item); parts_next(&parts);) {
        if (pool->attribute_count == POOL_ATTRIBUTES_MAX) {
            parts_end(&parts);
            option_complain(complaints, FAULT_OPTION_VALUE, pool->name, item->place,
                            "a pool has at most %d attributes", POOL_ATTRIBUTES_MAX);
            return false;
        }
        struct pool_attribute *attribute = &pool->attributes[pool->attribute_count];
        if (convert_attribute(item->name, parts.text, arena, attribute, &wrong))
            pool->attribute_count++;
    }
    return true;
}

static bool has_attribute(const struct pool_conf *pool, uint16_t v4, uint16_t v6)
{
    for (unsigned i = 0; i < pool->attribute_count; i++)
        if (pool->attributes[i].type == v4 || pool->attributes[i].type == v6) return true;
    return false;
}

bool options_pool(const struct tree *section, struct arena *arena, struct pool_conf *out,
                  struct complaints *complaints)
{
    *out = (struct pool_conf){.name = section->name};
    unsigned errors = complaints->errors;
    if (section->kind != TREE_SECTION || !tree_find(section, "addrs")) {
        option_complain(complaints, FAULT_OPTION_VALUE, section->name, section->place,
                        "a pool needs addrs");
        return false;
    }
    section_check(section, "pools.<name>", section->name, FORM_VICI, complaints);
    if (complaints->errors != errors) return false;
    range_take(tree_text(section, "addrs", ""), out);
    TREE_EACH(item, section)
        if (strcmp(item->name, "addrs") != 0 && !attributes_take(item, arena, out, complaints))
            return false;
    // RFC 8598 3.2: domains come with the servers that know them.
    if (!has_attribute(out, ATTR_INTERNAL_DNS_DOMAIN, ATTR_INTERNAL_DNS_DOMAIN) ||
        has_attribute(out, ATTR_INTERNAL_IP4_DNS, ATTR_INTERNAL_IP6_DNS))
        return true;
    option_complain(complaints, FAULT_OPTION_VALUE, out->name, section->place, "a pool with a domain needs a dns that knows it");
    return false;
}
