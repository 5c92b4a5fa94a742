// SPDX-License-Identifier: Apache-2.0
// Raw sockets: ESP and AH as IP protocols 50 and 51 (RFC 4303 2, RFC 4302 2), and sending of whole
// packets, of those that carry their own header to the peer and of those that no policy protects.
#pragma once
#include "base/addr.h"
#include "base/fault.h"

enum { RAW_WORKERS_MAX = 16 };

struct raw_sockets {
    // Of each worker: a filter lets in what has an SPI whose remainder is the worker's number.
    int esp4[RAW_WORKERS_MAX], esp6[RAW_WORKERS_MAX]; // protocol 50; IPv4 packets are received with their IP header
    int ah4[RAW_WORKERS_MAX], ah6[RAW_WORKERS_MAX];   // protocol 51, likewise
    int whole4, whole6;   // protected packets go out as they are, header included
    int bypass4, bypass6; // packets that no policy protects do
    int icmp4, icmp6;     // receive what routers say of packets that are too large
};

// bypass_mark is set on the bypass sockets, mark on the others; IPv6 ones are -1 where the host has no
// IPv6.
CHECKED enum fault raw_open(uint32_t mark, uint32_t bypass_mark, unsigned workers,
                            struct raw_sockets *out, const char **text);
