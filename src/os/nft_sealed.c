// SPDX-License-Identifier: Apache-2.0
// Marks of sealed packets (set_mark_out): a chain that the table has only when a child wants one.
//
//     output, before routing is asked again: destination . SPI -> mark
//
// An outbound SA is known by the peer's address and the SPI, which stands at the beginning of ESP,
// behind four bytes in AH, and behind the header of UDP. IPv6 that the daemon has cut shows the SPI
// in the first fragment alone, so its identification (at byte 44) is remembered for those that
// follow.
#include "os/nft.h"
#include <inttypes.h>

// The half of the mark that stays.
static const char ours[] = "meta mark & 0xffff0000 ==";

void nft_write_sealed_chain(const struct nft_settings *settings, struct buf *out)
{
    static const struct {
        char family;
        const char *address;
    } families[] = {{'4', "ip daddr"}, {'6', "ip6 daddr"}};
    static const struct {
        unsigned protocol;
        const char *spi;
    } places[] = {{50, "esp spi"}, {51, "ah spi"}, {17, "@th,64,32"}};
    const char *table = settings->table;
    for (unsigned i = 0; i < 2; i++)
        buf_printf(out, "add map inet %s sealed%c { typeof %s . esp spi : meta mark; }\n", table,
                   families[i].family, families[i].address);
    buf_printf(out,
               "add map inet %s sealed_cut { typeof frag id : meta mark; flags dynamic; timeout "
               "2s; size 8192; }\n"
               "add chain inet %s sealed { type route hook output priority -150; policy accept; }\n"
               "flush chain inet %s sealed\n"
               "add rule inet %s sealed meta mark != 0x%08" PRIx32 " accept\n"
               "add rule inet %s sealed frag frag-off != 0 meta mark set @nh,352,32 map @sealed_cut\n",
               table, table, table, table, settings->mark, table);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned j = 0; j < 3; j++)
            buf_printf(out, "add rule inet %s sealed meta l4proto %u meta mark set %s . %s map @sealed%c\n",
                       table, places[j].protocol, families[i].address, places[j].spi,
                       families[i].family);
    buf_printf(out,
               "add rule inet %s sealed meta mark != 0x%08" PRIx32 " frag frag-off 0 add @sealed_cut "
               "{ frag id : meta mark }\n",
               table, settings->mark);
}

void nft_write_sealed(const struct nft_settings *settings, const struct nft_sealed *sealed,
                      bool add, struct buf *out)
{
    char addr[ADDR_TEXT];
    buf_printf(out, "%s element inet %s sealed%c { %s . 0x%08" PRIx32, add ? "add" : "delete",
               settings->table, sealed->remote.family == ADDR_V6 ? '6' : '4',
               addr_print(&sealed->remote, addr), sealed->spi);
    if (add) buf_printf(out, " : 0x%08" PRIx32, settings->mark | sealed->mark);
    buf_add_text(out, " }\n");
}

void nft_write_own(const struct nft_settings *settings, const char *chain, struct buf *out)
{
    buf_printf(out, "add rule inet %s %s %s 0x%08" PRIx32 " accept\n", settings->table, chain, ours,
               settings->mark);
}
