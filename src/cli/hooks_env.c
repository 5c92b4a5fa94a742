// SPDX-License-Identifier: Apache-2.0
// What a command of updown finds in its environment: the variables that such commands know from
// pluto on.
#include "cli/hooks.h"
#include <stdio.h>

enum { TEXT_MAX = 1024 };

char *hook_text(struct bytes text, struct arena *arena)
{
    size_t size = text.size < TEXT_MAX ? text.size : TEXT_MAX;
    char *out = arena_new(arena, size + 1);
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = text.at[i];
        out[i] = (char)(byte < ' ' || byte == 0x7f ? '?' : byte);
    }
    out[size] = 0;
    return out;
}

__attribute__((format(printf, 3, 4))) static void word_add(struct hook_words *out,
                                                           struct arena *arena, const char *format,
                                                           ...)
{
    va_list args;
    va_start(args, format);
    AUTOFREE_MEM char *text = mem_vprintf(format, args);
    va_end(args);
    if (out->count < HOOK_WORDS_MAX) out->at[out->count++] = arena_text(arena, bytes_of_text(text));
}

static void text_add(struct hook_words *out, struct arena *arena, const char *name,
                     const struct tree *from, const char *key)
{
    const struct tree *item = tree_find(from, key);
    if (item && item->kind == TREE_VALUE)
        word_add(out, arena, "%s=%s", name, hook_text(item->value, arena));
}

static bool addr_of(const struct tree *section, const char *key, struct addr *addr)
{
    return addr_parse(tree_text(section, key, ""), addr) == OK;
}

static void addr_add(struct hook_words *out, struct arena *arena, const char *name,
                     const struct addr *addr)
{
    char text[ADDR_TEXT];
    word_add(out, arena, "%s=%s", name, addr_print(addr, text));
}

// A number as VICI has it, in decimal or hexadecimal.
static void number_add(struct hook_words *out, struct arena *arena, const char *name,
                       const struct tree *from, const char *key, int base)
{
    const char *text = tree_text(from, key, NULL);
    if (text) word_add(out, arena, "%s=%lu", name, strtoul(text, NULL, base));
}

// --- selectors

void hook_selectors(const struct tree *child, const char *name, struct selectors *out)
{
    *out = (struct selectors){0};
    TREE_EACH(item, tree_find(child, name))
    {
        struct selector at;
        if (out->count < SELECTORS_MAX && selector_parse((const char *)item->value.at, &at) == OK)
            out->at[out->count++] = at;
    }
}

// A range that is no network is given as the smallest one that holds it.
static unsigned bits_of(const struct range *range)
{
    unsigned size = (unsigned)addr_size(&range->low) * 8, bits = 0;
    while (bits < size &&
           !((range->low.at[bits / 8] ^ range->high.at[bits / 8]) >> (7 - bits % 8) & 1))
        bits++;
    return bits;
}

static struct addr network_of(const struct range *range, unsigned bits)
{
    struct addr net = range->low;
    for (unsigned i = bits; i < addr_size(&net) * 8; i++)
        net.at[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
    return net;
}

static bool is_icmp(uint8_t protocol)
{
    return protocol == 1 || protocol == 58;
}

// ICMP: the type stands on our side and the code on the peer's.
static void port_add(struct hook_words *out, struct arena *arena, const char *side,
                     const struct selector *selector, bool mine)
{
    unsigned low = selector->port_low, high = selector->port_high;
    bool all = low > high || (low == 0 && high == 65535);
    if (!all && is_icmp(selector->protocol))
        word_add(out, arena, "PLUTO_%s_PORT=%u", side, mine ? low >> 8 : low & 0xff);
    else if (all || low == high)
        word_add(out, arena, "PLUTO_%s_PORT=%u", side, all ? 0 : low);
    else
        word_add(out, arena, "PLUTO_%s_PORT=%u:%u", side, low, high);
}

static void side_add(struct hook_words *out, struct arena *arena, const char *side,
                     const struct selector *selector, bool mine)
{
    char text[ADDR_TEXT];
    unsigned bits = bits_of(&selector->range);
    struct addr net = network_of(&selector->range, bits);
    word_add(out, arena, "PLUTO_%s_CLIENT=%s/%u", side, addr_print(&net, text), bits);
    port_add(out, arena, side, selector, mine);
    word_add(out, arena, "PLUTO_%s_PROTOCOL=%u", side, selector->protocol);
}

// --- lists of addresses: the first by its old name, then those of each family, counted from 1

static void addrs_add(struct hook_words *out, struct arena *arena, const char *name, bool old_name,
                      const struct tree *sa, const char *key)
{
    unsigned count[2] = {0, 0};
    bool first = old_name;
    TREE_EACH(item, tree_find(sa, key))
    {
        struct addr addr;
        char text[ADDR_TEXT];
        if (addr_parse((const char *)item->value.at, &addr)) continue;
        bool v6 = addr.family == ADDR_V6;
        addr_print(&addr, text);
        if (first) word_add(out, arena, "PLUTO_%s=%s", name, text);
        first = false;
        word_add(out, arena, "PLUTO_%s%c_%u=%s", name, v6 ? '6' : '4', ++count[v6], text);
    }
}

static void mark_add(struct hook_words *out, struct arena *arena, const char *name,
                     const struct tree *child, const char *value, const char *mask)
{
    const char *text = tree_text(child, value, NULL);
    if (!text) return;
    word_add(out, arena, "%s=%lu/0x%08lx", name, strtoul(text, NULL, 16),
             strtoul(tree_text(child, mask, "ffffffff"), NULL, 16));
}

static void child_add(const struct hook *hook, struct arena *arena, struct hook_words *out)
{
    const struct tree *child = hook->child, *sa = hook->sa;
    bool ah = strcmp(tree_text(child, "protocol", ""), "AH") == 0;
    text_add(out, arena, "PLUTO_CONNECTION", child, "name");
    word_add(out, arena, "PLUTO_INTERFACE=%s", hook->interface);
    number_add(out, arena, "PLUTO_REQID", child, "reqid", 10);
    word_add(out, arena, "PLUTO_PROTO=%s", ah ? "ah" : "esp");
    number_add(out, arena, "PLUTO_UNIQUEID", sa, "uniqueid", 10);
    mark_add(out, arena, "PLUTO_MARK_IN", child, "mark-in", "mark-mask-in");
    mark_add(out, arena, "PLUTO_MARK_OUT", child, "mark-out", "mark-mask-out");
    number_add(out, arena, "PLUTO_IF_ID_IN", child, "if-id-in", 16);
    number_add(out, arena, "PLUTO_IF_ID_OUT", child, "if-id-out", 16);
    if (tree_text(child, "encap", NULL))
        number_add(out, arena, "PLUTO_UDP_ENC", sa, "remote-port", 10);
    if (tree_text(child, "cpi-out", NULL)) word_add(out, arena, "PLUTO_IPCOMP=1");
    if (hook->hostaccess) word_add(out, arena, "PLUTO_HOST_ACCESS=1");
}

void hook_environment(const struct hook *hook, const struct selector *local,
                      const struct selector *remote, struct arena *arena, struct hook_words *out)
{
    struct addr me = {0}, peer = {0};
    *out = (struct hook_words){0};
    bool known = addr_of(hook->sa, "local-host", &me);
    bool host = known && addr_equal(&local->range.low, &me) && addr_equal(&local->range.high, &me);
    word_add(out, arena, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    word_add(out, arena, "PLUTO_VERSION=1.1");
    word_add(out, arena, "PLUTO_VERB=%s-%s%s", hook->up ? "up" : "down", host ? "host" : "client",
             me.family == ADDR_V6 ? "-v6" : "");
    child_add(hook, arena, out);
    if (known) addr_add(out, arena, "PLUTO_ME", &me);
    text_add(out, arena, "PLUTO_MY_ID", hook->sa, "local-id");
    side_add(out, arena, "MY", local, true);
    addrs_add(out, arena, "MY_SOURCEIP", true, hook->sa, "local-vips");
    if (addr_of(hook->sa, "remote-host", &peer)) addr_add(out, arena, "PLUTO_PEER", &peer);
    text_add(out, arena, "PLUTO_PEER_ID", hook->sa, "remote-id");
    side_add(out, arena, "PEER", remote, false);
    addrs_add(out, arena, "PEER_SOURCEIP", true, hook->sa, "remote-vips");
    addrs_add(out, arena, "DNS", false, hook->sa, "dns");
}
