// SPDX-License-Identifier: Apache-2.0
// The SA payload: proposals, in them transforms, in them attributes. Each level states lengths or
// counts of its own, and all of them must agree to the byte:
//
//     body      = proposal, proposal …
//     proposal  = 2|0, -, length, number, protocol, SPI size, count, SPI, transform, transform …
//     transform = 3|0, -, length, type, -, id, attribute, attribute …
//     attribute = 1 + type, value      or      0 + type, length, value
//
// What is not understood stays in place so that its presence counts: see transform_spoil().
#include "wire/payload.h"
#include <assert.h>

enum {
    MORE_PROPOSALS = 2,
    MORE_TRANSFORMS = 3,
    PROPOSAL_HEAD = 8,
    TRANSFORM_HEAD = 8,
    ATTRIBUTE_SHORT = 0x8000,  // the AF bit: type and value, no length
    ATTRIBUTE_KEY_LENGTH = 14 | ATTRIBUTE_SHORT,
};

// RFC 7296 3.3.6: a transform with an attribute that is not understood is unacceptable, the others
// of its type are not. It is not dropped, for then a proposal that asks for one more type would
// look like one that does not: it matches nothing instead.
static void transform_spoil(struct transform *transform)
{
    transform->key_bits = TRANSFORM_UNUSABLE;
}

// RFC 7296 3.3.5: the key length is the one attribute there is, its format is the short one, and it
// comes at most once. A length of 0 is spoilt as well: here it would pass for none at all.
static void attribute_take(struct transform *transform, uint16_t type, uint16_t value)
{
    if (type == ATTRIBUTE_KEY_LENGTH && transform->key_bits == 0 && value != 0)
        transform->key_bits = value;
    else
        transform_spoil(transform);
}

static enum fault attributes_read(struct rd *in, struct transform *transform)
{
    while (in->left) {
        uint16_t type = rd_u16(in);
        uint16_t value = rd_u16(in);
        if (!(type & ATTRIBUTE_SHORT)) rd_skip(in, value);
        TRY(rd_so_far(in));
        attribute_take(transform, type, value);
    }
    return OK;
}

// Is the mark at the head of a substructure the one for its place? RFC 7296 3.3.1, 3.3.2: 0 on the
// last one, else 2 in front of proposals and 3 in front of transforms.
static bool mark_is_right(uint8_t mark, uint8_t more, bool last)
{
    return mark == (last ? 0 : more);
}

static enum fault transform_read(struct rd *in, bool last, struct transform *out)
{
    uint8_t mark = rd_u8(in);
    rd_skip(in, 1);
    size_t length = rd_u16(in);
    *out = (struct transform){.type = rd_u8(in)};
    rd_skip(in, 1);
    out->id = rd_u16(in);
    TRY(rd_so_far(in));
    if (!mark_is_right(mark, MORE_TRANSFORMS, last)) return FAULT_SA_CHAIN;
    if (length < TRANSFORM_HEAD || length - TRANSFORM_HEAD > in->left) return FAULT_SA_LENGTH;
    struct rd attributes = rd_sub(in, length - TRANSFORM_HEAD);
    return attributes_read(&attributes, out);
}

// Beyond the maximum a transform is left out, which takes away one alternative of its type. Where
// it is the first of its type, leaving it out would change what is asked for: there it takes the
// last place, spoilt, and the proposal matches nothing.
static void proposal_take(struct proposal *proposal, struct transform transform)
{
    if (proposal->count < PROPOSAL_TRANSFORMS_MAX) {
        proposal->at[proposal->count++] = transform;
        return;
    }
    for (size_t i = 0; i < proposal->count; i++)
        if (proposal->at[i].type == transform.type) return;
    transform_spoil(&transform);
    proposal->at[PROPOSAL_TRANSFORMS_MAX - 1] = transform;
}

static enum fault transforms_read(struct rd *in, size_t count, struct proposal *out)
{
    if (count == 0) return FAULT_SA_EMPTY;
    for (size_t i = 0; i < count; i++) {
        struct transform transform;
        TRY(transform_read(in, i + 1 == count, &transform));
        proposal_take(out, transform);
    }
    return in->left ? FAULT_SA_LENGTH : OK;
}

static enum fault proposal_read(struct rd *in, struct proposal *out)
{
    uint8_t mark = rd_u8(in);
    rd_skip(in, 1);
    size_t length = rd_u16(in);
    TRY(rd_so_far(in));
    if (length < PROPOSAL_HEAD || length - 4 > in->left) return FAULT_SA_LENGTH;
    struct rd inside = rd_sub(in, length - 4);
    // RFC 7296 3.3: every length and count is checked against what is really there.
    if (!mark_is_right(mark, MORE_PROPOSALS, in->left == 0)) return FAULT_SA_CHAIN;

    *out = (struct proposal){.number = rd_u8(&inside)};
    out->protocol = rd_u8(&inside);
    out->spi_size = rd_u8(&inside);
    size_t count = rd_u8(&inside);
    if (out->spi_size > sizeof out->spi) return FAULT_SA_SPI_SIZE;
    rd_copy(&inside, out->spi, out->spi_size);
    TRY(rd_so_far(&inside));
    return transforms_read(&inside, count, out);
}

// RFC 7296 3.3.1: offers are numbered from 1 without gaps. An answer is one proposal with the
// number of the chosen offer, which has the same form as an offer, so a single proposal may have
// any number.
static bool number_is_right(const struct proposal *proposal, unsigned place, bool only)
{
    return only ? proposal->number != 0 : proposal->number == place;
}

// Proposals beyond the maximum are checked and left out: they are alternatives, and the least
// preferred ones.
enum fault sa_read(struct bytes body, struct proposals *out)
{
    struct rd in = rd_over(body);
    out->count = 0;
    if (!in.left) return FAULT_SA_EMPTY;
    for (unsigned place = 1; in.left; place++) {
        struct proposal proposal;
        TRY(proposal_read(&in, &proposal));
        if (!number_is_right(&proposal, place, place == 1 && !in.left)) return FAULT_SA_NUMBER;
        if (out->count < PROPOSALS_MAX) out->at[out->count++] = proposal;
    }
    return rd_end(&in);
}

static void transform_write(struct wr *out, const struct transform *transform, bool last)
{
    wr_u8(out, last ? 0 : MORE_TRANSFORMS);
    wr_u8(out, 0);
    wr_u16(out, transform->key_bits ? TRANSFORM_HEAD + 4 : TRANSFORM_HEAD);
    wr_u8(out, transform->type);
    wr_u8(out, 0);
    wr_u16(out, transform->id);
    if (!transform->key_bits) return;
    wr_u16(out, ATTRIBUTE_KEY_LENGTH);
    wr_u16(out, transform->key_bits);
}

static void proposal_write(struct wr *out, const struct proposal *proposal, uint8_t number,
                           bool last)
{
    assert(proposal->count && proposal->count <= PROPOSAL_TRANSFORMS_MAX);
    assert(proposal->spi_size <= sizeof proposal->spi);
    wr_u8(out, last ? 0 : MORE_PROPOSALS);
    wr_u8(out, 0);
    size_t length = wr_mark_u16(out);
    wr_u8(out, number);
    wr_u8(out, proposal->protocol);
    wr_u8(out, proposal->spi_size);
    wr_u8(out, proposal->count);
    wr_bytes(out, bytes_of(proposal->spi, proposal->spi_size));
    for (size_t i = 0; i < proposal->count; i++)
        transform_write(out, &proposal->at[i], i + 1 == proposal->count);
    wr_fill_u16(out, length, 4);
}

void sa_write(struct wr *out, const struct proposals *proposals)
{
    assert(proposals->count && proposals->count <= PROPOSALS_MAX);
    for (size_t i = 0; i < proposals->count; i++) {
        const struct proposal *proposal = &proposals->at[i];
        uint8_t number = proposal->number ? proposal->number : (uint8_t)(i + 1);
        proposal_write(out, proposal, number, i + 1 == proposals->count);
    }
}
