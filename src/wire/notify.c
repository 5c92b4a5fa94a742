// SPDX-License-Identifier: Apache-2.0
// Notifications and deletions: the two payloads that name SAs by protocol and SPI.
#include "wire/payload.h"
#include <assert.h>

enum { CHILD_SPI_SIZE = 4 };

// Notifications whose data has a fixed form. Data beside the form would be misread by whoever uses
// it, so it is refused here; types that are not in the table may carry anything.
struct notify_rule {
    uint16_t type;
    uint16_t least, most;  // bytes of data
    uint8_t multiple;      // the size is a multiple of this
};

// clang-format off
static const struct notify_rule notify_rules[] = {
    {NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD, 1, 1,               1},  // RFC 7296 2.5: the type of the payload.
    {NOTIFY_INVALID_KE_PAYLOAD,           2, 2,               1},  // RFC 7296 1.2: the group that is wanted.
    {NOTIFY_SET_WINDOW_SIZE,              4, 4,               1},  // RFC 7296 2.3: how many requests may be open.
    {NOTIFY_IPCOMP_SUPPORTED,             3, UINT16_MAX,      1},  // RFC 7296 2.22: CPI, algorithm and its attributes.
    {NOTIFY_COOKIE,                       1, COOKIE_SIZE_MAX, 1},  // RFC 7296 2.6: 1 to 64 bytes.
    {NOTIFY_SIGNATURE_HASH_ALGORITHMS,    2, UINT16_MAX,      2},  // RFC 7427 4: two bytes each.
};
// clang-format on

static enum fault notify_data_check(uint16_t type, size_t size)
{
    for (size_t i = 0; i < sizeof notify_rules / sizeof notify_rules[0]; i++) {
        const struct notify_rule *rule = &notify_rules[i];
        if (rule->type != type) continue;
        if (size < rule->least || size > rule->most || size % rule->multiple)
            return FAULT_NOTIFY_DATA_SIZE;
    }
    return OK;
}

// RFC 7296 3.10: an IKE SA is never named by an SPI here; an AH or ESP SA has one of four bytes.
static bool notify_spi_is_right(uint8_t protocol, size_t size)
{
    if (protocol == PROTOCOL_IKE) return false;
    return (protocol != PROTOCOL_AH && protocol != PROTOCOL_ESP) || size == CHILD_SPI_SIZE;
}

enum fault notify_read(struct bytes body, struct notify *notify)
{
    struct rd in = rd_over(body);
    notify->protocol = rd_u8(&in);
    size_t spi_size = rd_u8(&in);
    notify->type = rd_u16(&in);
    notify->spi = rd_bytes(&in, spi_size);
    notify->data = rd_rest(&in);
    TRY(rd_end(&in));

    if (!spi_size)
        notify->protocol = PROTOCOL_NONE;  // RFC 7296 3.10: without an SPI the protocol is ignored.
    else if (!notify_spi_is_right(notify->protocol, spi_size))
        return FAULT_NOTIFY_SPI_SIZE;
    return notify_data_check(notify->type, notify->data.size);
}

void notify_write(struct wr *out, const struct notify *notify)
{
    assert(notify->spi.size <= UINT8_MAX);
    wr_u8(out, notify->spi.size ? notify->protocol : PROTOCOL_NONE);
    wr_u8(out, (uint8_t)notify->spi.size);
    wr_u16(out, notify->type);
    wr_bytes(out, notify->spi);
    wr_bytes(out, notify->data);
}

// RFC 7296 3.11: the IKE SA is deleted with no SPIs, of size zero; AH and ESP SPIs have four bytes.
// Too many are a fault and not cut off: the peer would believe SAs deleted that we keep.
static enum fault delete_check(uint8_t protocol, size_t spi_size, size_t count)
{
    switch (protocol) {
    case PROTOCOL_IKE:
        return spi_size == 0 && count == 0 ? OK : FAULT_DELETE_SPI_SIZE;
    case PROTOCOL_AH:
    case PROTOCOL_ESP:
        if (spi_size != CHILD_SPI_SIZE) return FAULT_DELETE_SPI_SIZE;
        return count <= DELETE_SPIS_MAX ? OK : FAULT_DELETE_TOO_MANY;
    default:
        return FAULT_DELETE_PROTOCOL;
    }
}

enum fault delete_read(struct bytes body, struct delete_payload *out)
{
    struct rd in = rd_over(body);
    *out = (struct delete_payload){.protocol = rd_u8(&in)};
    size_t spi_size = rd_u8(&in);
    size_t count = rd_u16(&in);
    TRY(rd_so_far(&in));
    TRY(delete_check(out->protocol, spi_size, count));
    out->count = (uint16_t)count;
    for (size_t i = 0; i < count; i++) out->spis[i] = rd_u32(&in);
    return rd_end(&in);
}

void delete_write(struct wr *out, const struct delete_payload *delete)
{
    assert(delete->count <= DELETE_SPIS_MAX);
    assert(delete->protocol != PROTOCOL_IKE || delete->count == 0);
    wr_u8(out, delete->protocol);
    wr_u8(out, delete->protocol == PROTOCOL_IKE ? 0 : CHILD_SPI_SIZE);
    wr_u16(out, delete->count);
    for (size_t i = 0; i < delete->count; i++) wr_u32(out, delete->spis[i]);
}
