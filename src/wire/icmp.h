// SPDX-License-Identifier: Apache-2.0
// What routers say of packets that were too large.
#pragma once
#include "base/addr.h"
#include "base/bytes.h"

struct icmp_quote {
    struct addr local, remote; // of the packet that was refused, which was ours
    uint16_t remote_port;      // of UDP; 0: it was ESP or AH
    bool ike;                  // it was IKE: spi_i and spi_r are its SPIs; else spi is
    uint64_t spi_i, spi_r;
    uint32_t spi;
    uint16_t mtu;              // the largest packet that would have passed; smaller than the one that was refused
};
// The message as a raw socket gives it: with its header over IPv4, without over IPv6. False: it is another message, it quotes too
// little to tell whose packet it was, or what it says cannot be.
bool icmp_quote_read(uint8_t family, struct bytes message, struct icmp_quote *out);
