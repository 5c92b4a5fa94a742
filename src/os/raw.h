// SPDX-License-Identifier: Apache-2.0
// Raw sockets: ESP as IP protocol 50 (RFC 4303 2), and sending of whole packets that no policy
// protects.
#pragma once
#include "base/addr.h"
#include "base/fault.h"

struct raw_sockets {
    int esp4, esp6;       // protocol 50; IPv4 packets are received with their IP header
    int bypass4, bypass6; // packets go out as they are, header included
};

// mark is set on the ESP sockets, bypass_mark on the others; IPv6 ones are -1 where the host has no
// IPv6.
CHECKED enum fault raw_open(uint32_t mark, uint32_t bypass_mark, struct raw_sockets *out,
                            const char **text);
