// SPDX-License-Identifier: Apache-2.0
// IKE fragmentation (RFC 7383): a large message goes as several, each sealed for itself; message.c
// writes them. Here they are put together again. Only genuine fragments of the message that is
// awaited are kept, one set at a time, so that nobody without the keys can make us hold anything.
#include "ike/internal.h"

enum { FRAGMENT_SIZE = 1280, FRAGMENTS_MAX = 255, REASSEMBLED_MAX = 65000 };
enum { IPV4_UDP = 20 + 8, IPV6_UDP = 40 + 8, MARKER = 4, SKF_HEADERS = 28 + 4 + 4 };

struct reassembly {
    uint32_t message_id;
    bool is_response;
    uint16_t total, have;
    uint8_t first; // type of the first payload, from fragment 1
    uint64_t hash; // of fragment 1
    size_t size;
    struct bytes pieces[FRAGMENTS_MAX]; // owned, plain
};

void reassembly_free(struct sa *sa)
{
    struct reassembly *all = sa->reassembly;
    if (!all) return;
    for (unsigned i = 0; i < FRAGMENTS_MAX; i++) mem_drop(&all->pieces[i]);
    free(all);
    sa->reassembly = NULL;
}

// How many bytes of payloads fit one fragment so that its packet has 1280 bytes; 0: the peer does
// not do it.
size_t fragment_limit(const struct sa *sa)
{
    bool allowed = sa->conn->fragmentation == FRAGMENTATION_YES ||
                   sa->conn->fragmentation == FRAGMENTATION_FORCE;
    // RFC 9329 7.5: a stream has no need of it.
    if (!(sa->bits & PEER_FRAGMENTS) || !allowed || sa->path.stream) return 0;
    struct sealer key = sa_sealer(sa, true);
    size_t outer = (sa->path.remote.addr.family == ADDR_V6 ? IPV6_UDP : IPV4_UDP) +
                   (sa->path.encap ? MARKER : 0);
    size_t around = outer + SKF_HEADERS + sealer_iv_size(&key) + sealer_icv_size(&key) + 1;
    size_t block = sealer_block_size(&key);
    return (FRAGMENT_SIZE - around + 1) / block * block - 1;
}

static struct reassembly *reassembly_of(struct sa *sa, const struct message *message,
                                        uint16_t total)
{
    struct reassembly *all = sa->reassembly;
    bool is_response = message->header.flags & FLAG_RESPONSE;
    bool same =
        all && all->message_id == message->header.message_id && all->is_response == is_response;
    // RFC 7383 2.6: a larger total means that the peer has begun anew with smaller fragments.
    if (same && total > all->total) same = false;
    if (same) return all;
    reassembly_free(sa);
    sa->reassembly = NEW(struct reassembly);
    sa->reassembly->message_id = message->header.message_id;
    sa->reassembly->is_response = is_response;
    sa->reassembly->total = total;
    return sa->reassembly;
}

static struct bytes join(const struct reassembly *all, struct arena *arena)
{
    uint8_t *whole = arena_new(arena, all->size + 1);
    size_t at = 0;
    for (unsigned i = 0; i < all->total; i++) {
        if (all->pieces[i].size) memcpy(whole + at, all->pieces[i].at, all->pieces[i].size);
        at += all->pieces[i].size;
    }
    return bytes_of(whole, at);
}

enum fault fragment_join(struct sa *sa, struct message *message, uint16_t number, uint16_t total,
                         uint8_t *first, struct bytes *plain, struct arena *arena)
{
    if (total > FRAGMENTS_MAX) return FAULT_FRAGMENTS_TOO_MANY;
    struct reassembly *all = reassembly_of(sa, message, total);
    if (total != all->total || number == 0 || number > total) return FAULT_FRAGMENT_OTHER;
    if (all->pieces[number - 1].at) return FAULT_FRAGMENT_WAITS; // it came before
    if (all->size + plain->size > REASSEMBLED_MAX) {
        reassembly_free(sa);
        return FAULT_FRAGMENTS_TOO_MANY;
    }
    all->pieces[number - 1] = plain->size ? mem_copy(*plain) : bytes_of(mem_new(1), 0);
    all->size += plain->size;
    if (number == 1) {
        all->first = *first;
        all->hash = map_hash(&sa->ike->by_spi, message->raw);
    }
    if (++all->have < total) return FAULT_FRAGMENT_WAITS;
    *plain = join(all, arena);
    *first = all->first;
    message->hash = all->hash;
    reassembly_free(sa);
    return OK;
}
