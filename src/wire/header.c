// SPDX-License-Identifier: Apache-2.0
// The 28 bytes in front of every IKE message.
#include "wire/header.h"

enum { FLAGS_KNOWN = FLAG_INITIATOR | FLAG_VERSION | FLAG_RESPONSE, MAJOR_IKEV2 = 2 };

// The version is the caller's matter: a message of a higher major version is answered, one of
// version 1 goes another way. So are the SPIs.
// RFC 7296 1.5: in a message outside an IKE SA they may be anything, zero too.
enum fault ike_header_read(struct bytes message, struct ike_header *header)
{
    struct rd in = rd_over(message);
    header->spi_i = rd_u64(&in);
    header->spi_r = rd_u64(&in);
    header->next = rd_u8(&in);
    uint8_t version = rd_u8(&in);
    header->major = version >> 4;
    header->minor = version & 0x0f;
    header->exchange = rd_u8(&in);
    header->flags = rd_u8(&in);
    header->message_id = rd_u32(&in);
    header->length = rd_u32(&in);
    TRY(rd_so_far(&in));

    // RFC 7296 3.1: bits of the flags that have no meaning are ignored. Those of version 1 mean
    // something else.
    if (header->major >= MAJOR_IKEV2) header->flags &= FLAGS_KNOWN;
    // RFC 7296 3.1: the length is that of the whole message, and one datagram carries one message.
    return header->length == message.size ? OK : FAULT_HEADER_LENGTH;
}

void ike_header_write(struct wr *out, const struct ike_header *header)
{
    wr_u64(out, header->spi_i);
    wr_u64(out, header->spi_r);
    wr_u8(out, header->next);
    wr_u8(out, (uint8_t)(header->major << 4 | (header->minor & 0x0f)));
    wr_u8(out, header->exchange);
    wr_u8(out, header->flags);
    wr_u32(out, header->message_id);
    wr_u32(out, header->length);
}
