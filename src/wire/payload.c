// SPDX-License-Identifier: Apache-2.0
// The chain of payloads. Each names the type of the next one, so a chain is read with the type of
// the first in hand:
//
//     header     | next = SA |
//                      +--> | next = KE | length | SA body | --> | next = 0 | length | KE body |
//
// An encrypted payload ends the chain: what it names as next lies sealed inside it.
#include "wire/payload.h"
#include <assert.h>

enum { GENERIC_SIZE = 4, CRITICAL = 0x80 };

static bool type_is_sealed(uint8_t type)
{
    return type == PAYLOAD_SK || type == PAYLOAD_SKF;
}

// One payload of the type that its predecessor named; *next is the type that it names.
static enum fault payload_read(struct rd *in, uint8_t type, struct payload *out, uint8_t *next)
{
    const uint8_t *start = in->at;
    *next = rd_u8(in);
    out->type = type;
    out->critical = rd_u8(in) & CRITICAL;  // RFC 7296 3.2: the other seven bits are ignored.
    size_t length = rd_u16(in);
    TRY(rd_so_far(in));

    // RFC 7296 3.2: the length counts the generic header too, so it is never below 4.
    if (length < GENERIC_SIZE || length - GENERIC_SIZE > in->left) return FAULT_PAYLOAD_LENGTH;
    out->body = rd_bytes(in, length - GENERIC_SIZE);
    out->whole = bytes_of(start, length);
    return OK;
}

// RFC 7296 3.14: an encrypted payload is the last one of its message and holds no other encrypted
// payload.
static enum fault sealed_check(const struct rd *in, uint8_t inner, uint8_t *sealed_next)
{
    if (!sealed_next) return FAULT_SEALED_NESTED;
    *sealed_next = inner;
    return in->left ? FAULT_SEALED_NOT_LAST : OK;
}

enum fault payloads_read(uint8_t first, struct bytes chain, struct payloads *out,
                         uint8_t *sealed_next)
{
    struct rd in = rd_over(chain);
    out->count = 0;
    if (sealed_next) *sealed_next = PAYLOAD_NONE;
    for (uint8_t type = first, next; type != PAYLOAD_NONE; type = next) {
        if (out->count == PAYLOADS_MAX) return FAULT_PAYLOADS_TOO_MANY;
        TRY(payload_read(&in, type, &out->at[out->count], &next));
        out->count++;
        if (type_is_sealed(type)) return sealed_check(&in, next, sealed_next);
    }
    return rd_end(&in);
}

const struct payload *payloads_first(const struct payloads *payloads, uint8_t type)
{
    for (size_t i = 0; i < payloads->count; i++)
        if (payloads->at[i].type == type) return &payloads->at[i];
    return NULL;
}

size_t payloads_count(const struct payloads *payloads, uint8_t type)
{
    size_t count = 0;
    for (size_t i = 0; i < payloads->count; i++) count += payloads->at[i].type == type;
    return count;
}

// The types of RFC 7296 and the encrypted fragment. That others have names does not make us
// understand them.
static bool type_is_known(uint8_t type)
{
    return (type >= PAYLOAD_SA && type <= PAYLOAD_EAP) || type == PAYLOAD_SKF;
}

// RFC 7296 3.2: in a payload whose type is understood the critical bit is ignored.
uint8_t payloads_unknown_critical(const struct payloads *payloads)
{
    for (size_t i = 0; i < payloads->count; i++)
        if (payloads->at[i].critical && !type_is_known(payloads->at[i].type))
            return payloads->at[i].type;
    return PAYLOAD_NONE;
}

struct chain chain_begin(struct wr *out, size_t first_type_place)
{
    return (struct chain){.out = out, .next_place = first_type_place};
}

// RFC 7296 3.2: the critical bit stays clear, as all that we write is defined in RFCs that peers
// must know or asked for.
void chain_open(struct chain *chain, uint8_t type)
{
    assert(type != PAYLOAD_NONE);
    wr_patch_u8(chain->out, chain->next_place, type);
    chain->next_place = chain->out->size;
    wr_u8(chain->out, PAYLOAD_NONE);
    wr_u8(chain->out, 0);
    chain->length_mark = wr_mark_u16(chain->out);
}

void chain_close(struct chain *chain)
{
    wr_fill_u16(chain->out, chain->length_mark, GENERIC_SIZE);
}
