// SPDX-License-Identifier: Apache-2.0
// IPComp (RFC 3173) with DEFLATE (RFC 2394): what ESP is to carry is compressed where that makes it
// smaller.
//
//   carried       IP packet, TCP …
//   compressed    next header | 0 | CPI | DEFLATE of it
//
// Packets that are short go as they are, and so do those that would not become smaller; after
// several of these compression rests for some packets, for more and more of them (RFC 3173 2.2). A
// packet that comes may be of either form. What it becomes has at most the size of an IP packet.
#include "esp/internal.h"
#include <zlib.h>

enum {
    HEADER = 4,
    THRESHOLD = 90,   // bytes: fewer hardly ever become less
    FAILURES_MAX = 3, // in a row, then it rests
    REST_FIRST = 8,   // packets
    REST_MAX = 1024,
    // A window of 2 KiB is what other makers' receivers provide for. It and a small table of hashes
    // make it cheap to begin anew with each packet.
    WINDOW_BITS = 11,
    TABLE_LEVEL = 5,
};

struct ipcomp {
    z_stream deflate, inflate;
    uint8_t space[IP_SIZE_MAX];
};

static void *stream_alloc(void *context, unsigned count, unsigned size)
{
    (void)context;
    return mem_array(count, size);
}

static void stream_free(void *context, void *at)
{
    (void)context;
    free(at);
}

struct ipcomp *ipcomp_new(void)
{
    struct ipcomp *ipcomp = NEW(struct ipcomp);
    ipcomp->deflate.zalloc = ipcomp->inflate.zalloc = stream_alloc;
    ipcomp->deflate.zfree = ipcomp->inflate.zfree = stream_free;
    int made = deflateInit2(&ipcomp->deflate, Z_BEST_SPEED, Z_DEFLATED, -WINDOW_BITS, TABLE_LEVEL,
                            Z_DEFAULT_STRATEGY);
    assert(made == Z_OK);
    made = inflateInit2(&ipcomp->inflate, -MAX_WBITS);
    assert(made == Z_OK);
    return ipcomp;
}

void ipcomp_free(struct ipcomp *ipcomp)
{
    if (!ipcomp) return;
    deflateEnd(&ipcomp->deflate);
    inflateEnd(&ipcomp->inflate);
    memory_wipe(ipcomp->space, sizeof ipcomp->space); // what packets carried
    free(ipcomp);
}

size_t ipcomp_memory(void)
{
    return sizeof(struct ipcomp);
}

// 0: it does not become smaller than `room`.
static uint32_t squeeze(struct ipcomp *ipcomp, uint8_t *at, uint32_t size, uint32_t room)
{
    z_stream *stream = &ipcomp->deflate;
    deflateReset(stream);
    stream->next_in = at;
    stream->avail_in = size;
    stream->next_out = ipcomp->space;
    stream->avail_out = room;
    return deflate(stream, Z_FINISH) == Z_STREAM_END ? room - stream->avail_out : 0;
}

// RFC 3173 2.2: what does not compress, such as films and what is encrypted already, comes in long
// rows.
static void tried(struct sa *sa, bool success)
{
    if (success) {
        sa->comp_failures = 0;
        sa->comp_rest_next = REST_FIRST;
    } else if (++sa->comp_failures >= FAILURES_MAX) {
        sa->comp_rest = sa->comp_rest_next ? sa->comp_rest_next : REST_FIRST;
        sa->comp_rest_next =
            (uint16_t)(sa->comp_rest < REST_MAX / 2 ? 2 * sa->comp_rest : REST_MAX);
    }
}

void ipcomp_wrap(struct plane *plane, const struct sa_run *run, struct packet *packet,
                 uint8_t *next_header)
{
    struct sa *sa = run->sa;
    if (packet->size < THRESHOLD) return;
    if (sa->comp_rest) {
        sa->comp_rest--;
        return;
    }
    // RFC 3173 2.2: header and data must be less than what they stand for.
    uint32_t size = squeeze(plane->ipcomp, packet->at, packet->size, packet->size - HEADER - 1);
    tried(sa, size);
    if (!size) return;
    packet->at[0] = *next_header;
    packet->at[1] = 0;
    put_u16(packet->at + 2, sa->cpi);
    memcpy(packet->at + HEADER, plane->ipcomp->space, size);
    packet->size = HEADER + size;
    *next_header = IPPROTO_NUMBER_IPCOMP;
}

enum fault ipcomp_unwrap(struct plane *plane, const struct sa_run *run, struct packet *packet,
                         uint8_t *next_header)
{
    z_stream *stream = &plane->ipcomp->inflate;
    if (packet->size <= HEADER || get_u16(packet->at + 2) != run->sa->cpi)
        return FAULT_IPCOMP_HEADER;
    if (packet->at[0] == IPPROTO_NUMBER_IPCOMP) return FAULT_IPCOMP_HEADER; // one of them is enough
    *next_header = packet->at[0];
    inflateReset(stream);
    stream->next_in = packet->at + HEADER;
    stream->avail_in = packet->size - HEADER;
    stream->next_out = plane->ipcomp->space;
    stream->avail_out = sizeof plane->ipcomp->space;
    if (inflate(stream, Z_FINISH) != Z_STREAM_END) return FAULT_IPCOMP_DATA;
    uint32_t size = (uint32_t)sizeof plane->ipcomp->space - stream->avail_out;
    if ((size_t)(packet->at - packet->space) + size > packet->room) return FAULT_NO_ROOM;
    memcpy(packet->at, plane->ipcomp->space, size);
    packet->size = size;
    return OK;
}
