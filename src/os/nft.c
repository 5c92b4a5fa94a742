// SPDX-License-Identifier: Apache-2.0
// The guard's table:
//
//     output, postrouting, forward --(not by the TUN)--> check_out: local . remote = source .
//     destination input, forward              --(not from the TUN)-> check_in:  local . remote =
//     destination . source
//
//     check_*: for each level   f4_N, f6_N  flows: addresses, protocol, ports
//                               p4_N, p6_N  pairs: addresses only
//                               h4_N, h6_N  fragments that show no ports: addresses, protocol
//                               s4_N_K, s6_N_K  remote addresses before the K-th front, each with
//                               a chain for both ways that asks for the front's local range
//
// Both forward and postrouting are checked, so that a packet is stopped by its addresses before and
// after address translation. What our own sockets send carries the mark and is let through; what
// they send on as unprotected carries another and is checked.
#include "os/nft.h"
#include <assert.h>
#include <inttypes.h>
#include <nftables/libnftables.h>

enum { COMMANDS_MAX = 64 * 1024 * 1024, TOLD_MANY = 16384 }; // bytes

struct nft {
    struct nft_ctx *context;
    char reason[256];
    size_t told; // bytes of commands since the context is new
};

// clang-format off
static const struct { const char *name, *hook; int priority; } chains[] = {
    {"input",       "input",       0},
    {"forward",     "forward",     0},
    {"output",      "output",      0},
    {"postrouting", "postrouting", 150},   // behind source address translation
};
// clang-format on

// RFC 4861 4, RFC 3810 5: neighbours are found and groups joined before anything can be protected.
static const char neighbours[] =
    "icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 137, 143 } ip6 hoplimit { 1, 255 } accept";

static void rule(struct buf *out, const struct nft_settings *settings, const char *chain,
                 const char *text)
{
    buf_printf(out, "add rule inet %s %s %s\n", settings->table, chain, text);
}

__attribute__((format(printf, 4, 5))) static void rule_printf(struct buf *out,
                                                              const struct nft_settings *settings,
                                                              const char *chain, const char *format,
                                                              ...)
{
    va_list args;
    va_start(args, format);
    AUTOFREE_MEM char *text = mem_vprintf(format, args);
    va_end(args);
    rule(out, settings, chain, text);
}

// What tunnels are full of comes first, compared one by one: a comparison costs the kernel less than
// a set of two.
void nft_write_own_out(const struct nft_settings *settings, const char *chain, struct buf *out)
{
    nft_write_own(settings, chain, out);
    rule_printf(out, settings, chain, "oifname \"%s\" accept", settings->tun);
    rule(out, settings, chain, "oifname \"lo\" accept");
    rule(out, settings, chain, neighbours);
}

void nft_write_own_in(const struct nft_settings *settings, const char *chain, struct buf *out)
{
    rule_printf(out, settings, chain, "iifname \"%s\" accept", settings->tun);
    rule_printf(out, settings, chain, "udp dport %u accept", settings->port_nat);
    rule(out, settings, chain, "iifname \"lo\" accept");
    rule(out, settings, chain, "meta l4proto { 50, 51 } accept");
    // RFC 8200 4.5: the kernel judges fragments of IPv6 before it joins them. Those behind the
    // first show no ports, and are of no use to anybody when the first, which does, is dropped.
    rule(out, settings, chain, "frag nexthdr { 17, 50, 51 } frag frag-off != 0 accept");
    rule_printf(out, settings, chain, "udp dport %u accept", settings->port);
    rule(out, settings, chain, neighbours);
}

// Before routing, so that it can go by the mark.
void nft_write_marks(const struct nft_settings *settings, struct buf *out)
{
    buf_printf(
        out,
        "add chain inet %s marks { type filter hook prerouting priority -150; policy accept; }\n"
        "flush chain inet %s marks\n",
        settings->table, settings->table);
    for (size_t i = 0; i < settings->device_count; i++)
        if (settings->devices[i].mark)
            rule_printf(out, settings, "marks", "iifname \"%s\" meta mark set 0x%08" PRIx32,
                        settings->devices[i].name, settings->devices[i].mark);
}

// What comes out of a device was opened by an SA whose selectors it matches, as what comes out of the
// ordinary one; only policies that have a device for one direction alone are guarded, too.
static void write_openers(const struct nft_settings *settings, struct buf *out)
{
    const char *table = settings->table, *before = "{ ";
    buf_printf(out, "add set inet %s openers { type ifname; }\nflush set inet %s openers\n", table,
               table);
    for (size_t i = 0; i < settings->device_count; i++) {
        if (!settings->devices[i].opens) continue;
        if (*before == '{') buf_printf(out, "add element inet %s openers ", table);
        buf_printf(out, "%s\"%s\"", before, settings->devices[i].name);
        before = ", ";
    }
    if (*before == ',') buf_add_text(out, " }\n");
}

static const char opener_rule[] = "iifname @openers return";

void nft_write_table(const struct nft_settings *settings, struct buf *out)
{
    const char *table = settings->table;
    buf_printf(out, "add table inet %s\n", table);
    buf_printf(out, "add chain inet %s check_out\nadd chain inet %s check_in\n", table, table);
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++)
        buf_printf(out,
                   "add chain inet %s %s { type filter hook %s priority %d; policy accept; }\n",
                   table, chains[i].name, chains[i].hook, chains[i].priority);
    nft_write_own_out(settings, "output", out);
    rule(out, settings, "output", "jump check_out");
    nft_write_own_out(settings, "postrouting", out);
    rule(out, settings, "postrouting", "jump check_out");
    nft_write_own_in(settings, "input", out);
    rule(out, settings, "input", "jump check_in");
    rule_printf(out, settings, "forward", "oifname != \"%s\" jump check_out", settings->tun);
    // Between gateways in transport mode sealed packets have addresses of policies.
    rule_printf(out, settings, "forward", "oifname \"%s\" meta l4proto 50 accept", settings->tun);
    rule_printf(out, settings, "forward", "iifname != \"%s\" jump check_in", settings->tun);
    if (settings->opened) {
        write_openers(settings, out);
        rule(out, settings, "check_in", opener_rule);
    }
    if (settings->marked) nft_write_marks(settings, out);
    if (settings->guarded_count) nft_write_guarded(settings, out);
}

// --- levels

// clang-format off
static const struct {
    char family;
    const char *type, *local_out, *remote_out, *fragment, *protocol;
} families[] = {
    {'4', "ipv4_addr", "ip saddr",  "ip daddr",  "ip frag-off & 0x1fff != 0", "ip protocol"},
    {'6', "ipv6_addr", "ip6 saddr", "ip6 daddr", "frag frag-off != 0",        "frag nexthdr"},
};
// clang-format on

void nft_write_range(struct buf *out, const struct range *range)
{
    char low[ADDR_TEXT], high[ADDR_TEXT];
    struct prefix prefix;
    addr_print(&range->low, low);
    if (range_is_prefix(range, &prefix))
        buf_printf(out, "%s/%u", low, prefix.bits);
    else
        buf_printf(out, "%s-%s", low, addr_print(&range->high, high));
}

// The chains are empty as long as a front has no range.
static void write_level_fronts(struct buf *out, const struct nft_settings *settings, unsigned level,
                               unsigned which)
{
    const char *table = settings->table;
    char family = families[which].family;
    for (unsigned i = 0; i < GUARD_FRONTS_MAX; i++) {
        buf_printf(out, "add set inet %s s%c_%u_%u { type %s; }\n", table, family, level, i,
                   families[which].type);
        for (unsigned in = 0; in < 2; in++) {
            const char *way = in ? "in" : "out";
            buf_printf(out, "add chain inet %s s%c_%u_%u_%s\n", table, family, level, i, way);
            buf_printf(out, "add rule inet %s check_%s jump s%c_%u_%u_%s\n", table, way, family,
                       level, i, way);
        }
    }
}

// Another range may have stood there before.
static void write_front(struct buf *out, const struct nft_settings *settings, unsigned level,
                        unsigned which, unsigned place, const struct range *local)
{
    const char *table = settings->table;
    char family = families[which].family;
    struct prefix prefix;
    bool all = range_is_prefix(local, &prefix) && prefix.bits == 0;
    for (unsigned in = 0; in < 2; in++) {
        const char *way = in ? "in" : "out";
        buf_printf(out, "flush chain inet %s s%c_%u_%u_%s\n", table, family, level, place, way);
        buf_printf(out, "add rule inet %s s%c_%u_%u_%s ", table, family, level, place, way);
        if (!all) {
            buf_printf(out, "%s ", in ? families[which].remote_out : families[which].local_out);
            nft_write_range(out, local);
            buf_add_text(out, " ");
        }
        buf_printf(out, "%s @s%c_%u_%u drop\n",
                   in ? families[which].local_out : families[which].remote_out, family, level,
                   place);
    }
}

static void write_level_family(struct buf *out, const struct nft_settings *settings, unsigned level,
                               unsigned which)
{
    const char *table = settings->table, *type = families[which].type;
    char family = families[which].family;
    buf_printf(out, "add map inet %s p%c_%u { type %s . %s : verdict; flags interval; }\n", table,
               family, level, type, type);
    buf_printf(out,
               "add map inet %s h%c_%u { type %s . %s . inet_proto : verdict; flags interval; }\n",
               table, family, level, type, type);
    buf_printf(out,
               "add map inet %s f%c_%u { type %s . %s . inet_proto . inet_service . inet_service : "
               "verdict; flags interval; }\n",
               table, family, level, type, type);
    for (unsigned in = 0; in < 2; in++) {
        const char *chain = in ? "check_in" : "check_out";
        const char *local = in ? families[which].remote_out : families[which].local_out;
        const char *remote = in ? families[which].local_out : families[which].remote_out;
        rule_printf(out, settings, chain,
                    "meta l4proto != { 1, 58 } %s . %s . meta l4proto . th %s . th %s vmap @f%c_%u",
                    local, remote, in ? "dport" : "sport", in ? "sport" : "dport", family, level);
        // RFC 7296 3.13.1: for ICMP, type and code stand in the place of both ports; they are the
        // first two bytes.
        rule_printf(
            out, settings, chain,
            "meta l4proto { 1, 58 } %s . %s . meta l4proto . th sport . th sport vmap @f%c_%u",
            local, remote, family, level);
        rule_printf(out, settings, chain, "%s %s . %s . %s vmap @h%c_%u", families[which].fragment,
                    local, remote, families[which].protocol, family, level);
        rule_printf(out, settings, chain, "%s . %s vmap @p%c_%u", local, remote, family, level);
    }
    write_level_fronts(out, settings, level, which);
}

static void write_numbers(struct buf *out, unsigned low, unsigned high)
{
    if (low == high)
        buf_printf(out, " . %u", low);
    else
        buf_printf(out, " . %u-%u", low, high);
}

static void write_item(struct buf *out, const struct nft_settings *settings,
                       const struct guard_item *item, const char *verb, int level)
{
    static const char kinds[] = {[GUARD_PAIR] = 'p', [GUARD_FLOW] = 'f', [GUARD_FRAGMENT] = 'h'};
    const struct box *box = &item->box;
    char family = box->local.low.family == ADDR_V6 ? '6' : '4';
    buf_printf(out, "%s element inet %s %c%c_%d { ", verb, settings->table, kinds[item->kind],
               family, level);
    nft_write_range(out, &box->local);
    buf_add_text(out, " . ");
    nft_write_range(out, &box->remote);
    if (item->kind != GUARD_PAIR) write_numbers(out, box->protocol_low, box->protocol_high);
    if (item->kind == GUARD_FLOW) {
        write_numbers(out, box->local_port_low, box->local_port_high);
        write_numbers(out, box->remote_port_low, box->remote_port_high);
    }
    buf_printf(out, " : %s }\n", item->verdict == GUARD_PASS ? "return" : "drop");
}

// What is to be written of the items in sets: the levels of each front, as bits.
struct front_levels {
    uint64_t at[2][GUARD_FRONTS_MAX];
};

static unsigned item_family(const struct guard_item *item)
{
    return item->box.local.low.family == ADDR_V6;
}

enum change { CHANGE_DELETE, CHANGE_ADD };

// The level that is concerned; -1: none.
static int item_change(const struct guard_item *item, enum change change)
{
    if (item->placed == item->level) return -1;
    return change == CHANGE_ADD ? item->level : item->placed;
}

static struct front_levels fronts_touched(const struct guard *guard, enum change change)
{
    struct front_levels levels = {0};
    for (const struct guard_item *item = guard->dirty; item; item = item->next_dirty) {
        int level = item->front < 0 ? -1 : item_change(item, change);
        if (level >= 0) levels.at[item_family(item)][item->front] |= UINT64_C(1) << level;
    }
    return levels;
}

// All addresses that come to one set, or leave it, in one command: each costs a line's parsing
// otherwise.
static void write_set(struct buf *out, const struct nft_settings *settings,
                      const struct guard *guard, enum change change, unsigned which, unsigned place,
                      unsigned level)
{
    const char *before = "";
    buf_printf(out, "%s element inet %s s%c_%u_%u { ", change == CHANGE_ADD ? "add" : "delete",
               settings->table, families[which].family, level, place);
    for (const struct guard_item *item = guard->dirty; item; item = item->next_dirty) {
        char text[ADDR_TEXT];
        if (item->front != (int)place || item_family(item) != which) continue;
        if (item_change(item, change) != (int)level) continue;
        buf_printf(out, "%s%s", before, addr_print(&item->box.remote.low, text));
        before = ", ";
    }
    buf_add_text(out, " }\n");
}

static void write_sets(struct buf *out, const struct nft_settings *settings,
                       const struct guard *guard, enum change change)
{
    struct front_levels touched = fronts_touched(guard, change);
    for (unsigned which = 0; which < 2; which++) {
        for (unsigned place = 0; place < GUARD_FRONTS_MAX; place++) {
            const struct guard_front *front = &guard->fronts[which][place];
            for (unsigned level = 0; level < GUARD_LEVELS_MAX; level++) {
                if (!(touched.at[which][place] >> level & 1)) continue;
                if (change == CHANGE_ADD && !(front->written >> level & 1))
                    write_front(out, settings, level, which, place, &front->local);
                write_set(out, settings, guard, change, which, place, level);
            }
        }
    }
}

static void write_boxes(struct buf *out, const struct nft_settings *settings,
                        const struct guard *guard, enum change change)
{
    const char *verb = change == CHANGE_ADD ? "add" : "delete";
    for (const struct guard_item *item = guard->dirty; item; item = item->next_dirty) {
        int level = item->front < 0 ? item_change(item, change) : -1;
        if (level >= 0) write_item(out, settings, item, verb, level);
    }
}

void nft_write_changes(const struct nft_settings *settings, const struct guard *guard,
                       unsigned *levels, struct buf *out)
{
    int highest = -1;
    for (const struct guard_item *item = guard->dirty; item; item = item->next_dirty)
        if (item->level > highest) highest = item->level;
    for (; (int)*levels <= highest; ++*levels)
        for (unsigned which = 0; which < 2; which++)
            write_level_family(out, settings, *levels, which);
    for (enum change change = CHANGE_DELETE; change <= CHANGE_ADD; change++) {
        write_boxes(out, settings, guard, change);
        write_sets(out, settings, guard, change);
    }
}

// --- running

static bool context_new(struct nft *nft)
{
    nft->context = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!nft->context) return false;
    nft_ctx_buffer_error(nft->context);
    nft_ctx_buffer_output(nft->context);
    return true;
}

struct nft *nft_new(void)
{
    struct nft *nft = NEW(struct nft);
    if (context_new(nft)) return nft;
    free(nft);
    return NULL;
}

// The library remembers the elements it was told of, some kilobytes each.
static void context_renew(struct nft *nft)
{
    struct nft_ctx *former = nft->context;
    nft->told = 0;
    if (context_new(nft))
        nft_ctx_free(former);
    else
        nft->context = former;
}

void nft_free(struct nft *nft)
{
    if (!nft) return;
    nft_ctx_free(nft->context);
    free(nft);
}

const char *nft_reason(const struct nft *nft)
{
    return nft->reason;
}

static bool run(struct nft *nft, const char *commands)
{
    if (nft_run_cmd_from_buffer(nft->context, commands) == 0) return true;
    const char *text = nft_ctx_get_error_buffer(nft->context);
    snprintf(nft->reason, sizeof nft->reason, "%.*s", (int)strcspn(text, "\n"), text);
    return false;
}

bool nft_has_table(struct nft *nft, const char *table)
{
    AUTOFREE_MEM char *command = mem_printf("list tables inet\n");
    if (!run(nft, command)) return false;
    AUTOFREE_MEM char *wanted = mem_printf("table inet %s\n", table);
    return strstr(nft_ctx_get_output_buffer(nft->context), wanted) != NULL;
}

enum fault nft_make_table(struct nft *nft, const struct nft_settings *settings)
{
    AUTOFREE_BUF struct buf commands = BUF(COMMANDS_MAX);
    // "add" first, so that "delete" finds one.
    buf_printf(&commands, "add table inet %s\ndelete table inet %s\n", settings->table,
               settings->table);
    nft_write_table(settings, &commands);
    return run(nft, buf_text(&commands)) ? OK : FAULT_NFT_REFUSED;
}

enum fault nft_sync_devices(struct nft *nft, const struct nft_settings *settings, bool *ruled)
{
    AUTOFREE_BUF struct buf commands = BUF(COMMANDS_MAX);
    nft_write_marks(settings, &commands);
    nft_write_guarded(settings, &commands);
    if (settings->opened) write_openers(settings, &commands);
    if (settings->opened && !*ruled)
        buf_printf(&commands, "insert rule inet %s check_in %s\n", settings->table, opener_rule);
    if (!run(nft, buf_text(&commands))) return FAULT_NFT_REFUSED;
    *ruled |= settings->opened;
    return OK;
}

enum fault nft_delete_table(struct nft *nft, const char *table)
{
    AUTOFREE_MEM char *commands =
        mem_printf("add table inet %s\ndelete table inet %s\n", table, table);
    return run(nft, commands) ? OK : FAULT_NFT_REFUSED;
}

static void told(struct nft *nft, size_t bytes)
{
    nft->told += bytes;
    if (nft->told > TOLD_MANY) context_renew(nft);
}

enum fault nft_commands(struct nft *nft, struct buf *commands)
{
    if (commands->failed || !run(nft, buf_text(commands))) return FAULT_NFT_REFUSED;
    told(nft, commands->size);
    return OK;
}

static enum fault changes_run(struct nft *nft, const struct nft_settings *settings,
                              struct guard *guard, unsigned *levels)
{
    AUTOFREE_BUF struct buf commands = BUF(COMMANDS_MAX);
    unsigned wanted = *levels;
    nft_write_changes(settings, guard, &wanted, &commands);
    if (commands.failed) return FAULT_NFT_REFUSED;
    if (commands.size && !run(nft, buf_text(&commands))) return FAULT_NFT_REFUSED;
    *levels = wanted;
    guard_settled(guard);
    told(nft, commands.size);
    return OK;
}

enum fault nft_sync(struct nft *nft, const struct nft_settings *settings, struct guard *guard,
                    unsigned *levels, bool *restored)
{
    enum fault fault = OK;
    *restored = false;
    if (guard->dirty) {
        fault = changes_run(nft, settings, guard, levels);
        if (!fault) return OK;
    }
    if (nft_has_table(nft, settings->table)) return fault;
    TRY(nft_make_table(nft, settings));
    *restored = true;
    *levels = 0;
    guard_lost(guard);
    return changes_run(nft, settings, guard, levels);
}
