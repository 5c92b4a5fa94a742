// SPDX-License-Identifier: Apache-2.0
// The guard as a table of nftables: plain packets that a policy protects neither leave nor come in
// except through the TUN device, whether the daemon lives or not. libnftables runs within the
// process; no program is started.
#pragma once
#include "base/mem.h"
#include "os/guard.h"

struct nft;

struct nft_device { // of tunnels
    char name[16];
    uint32_t mark; // of what comes in by it; 0: none
    bool opens;    // packets of policies that are guarded come out of it
};

struct nft_guarded {
    struct range range;
    bool spared; // left out of the others
};

struct nft_sealed { // what an SA's sealed packets carry beside the daemon's own mark
    uint32_t spi;
    struct addr remote;
    uint32_t mark;
};

struct nft_settings {
    const char *table;       // name; the family is inet
    const char *tun;         // device whose packets are fine
    uint32_t mark;           // of our own sockets
    uint16_t port, port_nat; // where IKE and ESP in UDP come in
    const struct nft_device *devices;
    size_t device_count;
    bool marked; // some devices have a mark
    bool opened; // some devices open; the table has a rule for them then
    const struct nft_guarded *guarded;
    size_t guarded_count;
};

struct nft *nft_new(void);
void nft_free(struct nft *nft);
const char *nft_reason(const struct nft *nft); // the last error in the library's words

// Commands as text: pure. The table, its chains, and no level yet; and what brings the kernel from
// `placed` to `level`. *levels counts those the table has; more are added as the guard needs them.
void nft_write_table(const struct nft_settings *settings, struct buf *out);
void nft_write_changes(const struct nft_settings *settings, const struct guard *guard,
                       unsigned *levels, struct buf *out);

// Marks of devices and networks that only these may lead to, as they are now; the table has them from its beginning, too.
void nft_write_marks(const struct nft_settings *settings, struct buf *out);
void nft_write_guarded(const struct nft_settings *settings, struct buf *out); // nft_guarded.c
// *ruled: the table has the rule for what devices open; it gets one when it is needed for the first time.
CHECKED enum fault nft_sync_devices(struct nft *nft, const struct nft_settings *settings, bool *ruled);

// What our own sockets send and take, and neighbours, pass.
void nft_write_own_out(const struct nft_settings *settings, const char *chain, struct buf *out);
void nft_write_own_in(const struct nft_settings *settings, const char *chain, struct buf *out);
void nft_write_range(struct buf *out, const struct range *range);

// nft_sealed.c: the chain that marks sealed packets, and an element for one SA.
void nft_write_sealed_chain(const struct nft_settings *settings, struct buf *out);
void nft_write_sealed(const struct nft_settings *settings, const struct nft_sealed *sealed,
                      bool add, struct buf *out);
// A rule that lets pass what the daemon has sent, whatever the lower half of its mark is.
void nft_write_own(const struct nft_settings *settings, const char *chain, struct buf *out);

// One transaction.
CHECKED enum fault nft_commands(struct nft *nft, struct buf *commands);
bool nft_has_table(struct nft *nft, const char *table);
CHECKED enum fault nft_make_table(struct nft *nft,
                                  const struct nft_settings *settings); // replaces one of that name
CHECKED enum fault nft_delete_table(struct nft *nft, const char *table); // fine when there is none
// Brings the kernel up to date in one transaction and settles the guard. Where somebody has removed
// the table (`nft flush ruleset`) it is made again whole, and *restored is set.
CHECKED enum fault nft_sync(struct nft *nft, const struct nft_settings *settings,
                            struct guard *guard, unsigned *levels, bool *restored);
