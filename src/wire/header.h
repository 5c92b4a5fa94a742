// SPDX-License-Identifier: Apache-2.0
// The IKE header (RFC 7296 3.1).
#pragma once
#include "base/rd.h"
#include "base/wr.h"
#include "model/iana.h"

enum { IKE_HEADER_SIZE = 28, IKE_MESSAGE_MAX = 65535, IKE_SPI_SIZE = 8 };
enum { FLAG_INITIATOR = 0x08, FLAG_VERSION = 0x10, FLAG_RESPONSE = 0x20 };

struct ike_header {
    uint64_t spi_i, spi_r;
    uint8_t next;      // first payload
    uint8_t major, minor;
    uint8_t exchange;
    uint8_t flags;
    uint32_t message_id;
    uint32_t length;
};

CHECKED enum fault ike_header_read(struct bytes message, struct ike_header *header);  // length must be that of the message
void ike_header_write(struct wr *out, const struct ike_header *header);               // length: patched by message_finish()
