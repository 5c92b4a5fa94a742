// SPDX-License-Identifier: Apache-2.0
// Networks that packets reach, and come from, by devices of tunnels only, whatever routes say. They
// are few, and written whole; chains of their own stand beside those of the policies, so that
// nobody pays for them who has none.
#include "os/nft.h"
#include <inttypes.h>

// clang-format off
static const struct { const char *name, *hook; int priority; } chains[] = {
    {"guarded_input",       "input",       0},
    {"guarded_forward",     "forward",     0},
    {"guarded_output",      "output",      0},
    {"guarded_postrouting", "postrouting", 150},
};
// clang-format on

static void write_tunnels(const struct nft_settings *settings, struct buf *out)
{
    buf_printf(out, "add set inet %s tunnels { type ifname; }\nflush set inet %s tunnels\n",
               settings->table, settings->table);
    buf_printf(out, "add element inet %s tunnels { \"lo\", \"%s\"", settings->table, settings->tun);
    for (size_t i = 0; i < settings->device_count; i++)
        buf_printf(out, ", \"%s\"", settings->devices[i].name);
    buf_add_text(out, " }\n");
}

static void write_set(const struct nft_settings *settings, struct buf *out, bool spared,
                      uint8_t family)
{
    AUTOFREE_MEM char *name =
        mem_printf("inet %s %s%u", settings->table, spared ? "spared" : "guarded", family);
    const char *before = "{ ";
    buf_printf(out, "add set %s { type ipv%u_addr; flags interval; auto-merge; }\nflush set %s\n",
               name, family, name);
    for (size_t i = 0; i < settings->guarded_count; i++) {
        const struct nft_guarded *guarded = &settings->guarded[i];
        if (guarded->spared != spared || guarded->range.low.family != family) continue;
        if (*before == '{') buf_printf(out, "add element %s ", name);
        buf_add_text(out, before);
        nft_write_range(out, &guarded->range);
        before = ", ";
    }
    if (*before == ',') buf_add_text(out, " }\n");
}

static void write_check(const struct nft_settings *settings, struct buf *out, bool in)
{
    const char *name = in ? "guarded_from" : "guarded_to", *side = in ? "saddr" : "daddr";
    const char *table = settings->table;
    buf_printf(out, "add chain inet %s %s\nflush chain inet %s %s\n", table, name, table, name);
    buf_printf(out, "add rule inet %s %s %s @tunnels return\n", table, name,
               in ? "iifname" : "oifname");
    buf_printf(out, "add rule inet %s %s ip %s @spared4 return\n", table, name, side);
    buf_printf(out, "add rule inet %s %s ip6 %s @spared6 return\n", table, name, side);
    buf_printf(out, "add rule inet %s %s ip %s @guarded4 drop\n", table, name, side);
    buf_printf(out, "add rule inet %s %s ip6 %s @guarded6 drop\n", table, name, side);
}

void nft_write_guarded(const struct nft_settings *settings, struct buf *out)
{
    const char *table = settings->table;
    bool some = settings->guarded_count > 0;
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++)
        buf_printf(out,
                   "add chain inet %s %s { type filter hook %s priority %d; policy accept; }\n"
                   "%s chain inet %s %s\n",
                   table, chains[i].name, chains[i].hook, chains[i].priority,
                   some ? "flush" : "delete", table, chains[i].name);
    if (!some) return;
    write_tunnels(settings, out);
    for (unsigned i = 0; i < 4; i++) write_set(settings, out, i & 1, i & 2 ? ADDR_V6 : ADDR_V4);
    for (unsigned i = 0; i < 2; i++) write_check(settings, out, i);
    nft_write_own_in(settings, "guarded_input", out);
    buf_printf(out, "add rule inet %s guarded_input jump guarded_from\n", table);
    buf_printf(out, "add rule inet %s guarded_forward jump guarded_to\n", table);
    buf_printf(out, "add rule inet %s guarded_forward jump guarded_from\n", table);
    for (unsigned i = 2; i < 4; i++) {
        nft_write_own_out(settings, chains[i].name, out);
        buf_printf(out, "add rule inet %s %s jump guarded_to\n", table, chains[i].name);
    }
}
