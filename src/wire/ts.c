// SPDX-License-Identifier: Apache-2.0
// Traffic selector payloads: address ranges, and security labels beside them; other types are passed
// over by their length.
#include "wire/payload.h"
#include <assert.h>

enum { TS_HEAD = 4, PORT_LAST = 65535 };

static size_t ts_address_size(uint8_t type)
{
    return type == TS_IPV4_RANGE ? 4 : type == TS_IPV6_RANGE ? 16 : 0;
}

// RFC 7296 3.13.1: 0 to 65535 is any port and the only choice without a protocol; 65535 to 0 is
// OPAQUE; else the first port is not above the last.
static bool ports_are_right(const struct selector *selector)
{
    if (selector->protocol == 0) return selector->port_low == 0 && selector->port_high == PORT_LAST;
    bool opaque = selector->port_low == PORT_LAST && selector->port_high == 0;
    return opaque || selector->port_low <= selector->port_high;
}

static enum fault range_read(struct rd *in, size_t address_size, struct range *range)
{
    struct bytes low = rd_bytes(in, address_size), high = rd_bytes(in, address_size);
    TRY(rd_end(in));
    TRY(addr_from_bytes(low, &range->low));
    TRY(addr_from_bytes(high, &range->high));
    // RFC 7296 3.13.1: the starting address is the smallest of the range.
    return addr_compare(&range->low, &range->high) <= 0 ? OK : FAULT_TS_RANGE;
}

// One selector. Of one whose type is not understood, *known is false and nothing but the length has
// been looked at.
static enum fault selector_read(struct rd *in, struct selector *out, bool *known)
{
    uint8_t type = rd_u8(in);
    *out = (struct selector){.protocol = rd_u8(in)};
    size_t length = rd_u16(in);
    TRY(rd_so_far(in));
    if (length < TS_HEAD || length - TS_HEAD > in->left) return FAULT_TS_LENGTH;
    struct rd inside = rd_sub(in, length - TS_HEAD);
    size_t address_size = ts_address_size(type);
    *known = address_size != 0;
    if (!*known) return OK;

    // RFC 7296 3.13.1: two ports and two addresses, nothing else.
    if (inside.left != 4 + 2 * address_size) return FAULT_TS_LENGTH;
    out->port_low = rd_u16(&inside);
    out->port_high = rd_u16(&inside);
    TRY(range_read(&inside, address_size, &out->range));
    return ports_are_right(out) ? OK : FAULT_TS_PORTS;
}

enum fault ts_read(struct bytes body, struct selectors *out)
{
    struct rd in = rd_over(body);
    *out = (struct selectors){0};
    size_t count = rd_u8(&in);
    rd_skip(&in, 3);
    TRY(rd_so_far(&in));
    if (!count) return FAULT_TS_EMPTY;  // RFC 7296 3.13: one or more selectors.
    for (size_t i = 0; i < count; i++) {
        struct selector selector;
        bool known;
        TRY(selector_read(&in, &selector, &known));
        if (known && out->count < SELECTORS_MAX) out->at[out->count++] = selector;
    }
    return rd_end(&in);
}

static void selector_write(struct wr *out, const struct selector *selector)
{
    const struct range *range = &selector->range;
    assert(range->low.family == range->high.family && addr_size(&range->low));
    wr_u8(out, range->low.family == ADDR_V4 ? TS_IPV4_RANGE : TS_IPV6_RANGE);
    wr_u8(out, selector->protocol);
    wr_u16(out, (uint16_t)(TS_HEAD + 4 + 2 * addr_size(&range->low)));
    wr_u16(out, selector->port_low);
    wr_u16(out, selector->port_high);
    wr_bytes(out, addr_bytes(&range->low));
    wr_bytes(out, addr_bytes(&range->high));
}

// RFC 9478 2.1: what is sent has at least one byte; an empty one is passed over, as what it may mean
// is not said.
enum fault ts_labels_read(struct bytes body, struct ts_labels *out)
{
    struct rd in = rd_over(body);
    *out = (struct ts_labels){0};
    size_t count = rd_u8(&in);
    rd_skip(&in, 3);
    for (size_t i = 0; i < count; i++) {
        uint8_t type = rd_u8(&in);
        rd_skip(&in, 1); // reserved
        size_t length = rd_u16(&in);
        TRY(rd_so_far(&in));
        if (length < TS_HEAD || length - TS_HEAD > in.left) return FAULT_TS_LENGTH;
        struct bytes label = rd_bytes(&in, length - TS_HEAD);
        if (type == TS_SECLABEL && label.size && out->count < TS_LABELS_MAX)
            out->at[out->count++] = label;
    }
    return rd_end(&in);
}

// RFC 9478 2.2: never alone, always beside addresses.
void ts_write_labelled(struct wr *out, const struct selectors *selectors, struct bytes label)
{
    assert(selectors->count && selectors->count <= SELECTORS_MAX);
    wr_u8(out, (uint8_t)(selectors->count + (label.size ? 1 : 0)));
    wr_zeros(out, 3);
    for (size_t i = 0; i < selectors->count; i++) selector_write(out, &selectors->at[i]);
    if (!label.size) return;
    wr_u8(out, TS_SECLABEL);
    wr_zeros(out, 1);
    wr_u16(out, (uint16_t)(TS_HEAD + label.size));
    wr_bytes(out, label);
}

void ts_write(struct wr *out, const struct selectors *selectors)
{
    ts_write_labelled(out, selectors, BYTES_NONE);
}
