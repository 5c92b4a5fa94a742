// SPDX-License-Identifier: Apache-2.0
// Routers' messages, which anybody can send. The first byte chooses the family.
//
// Must reach: ESP, AH, UDP with ESP and with IKE, an MTU of zero. Holds: whatever is taken names a size that the quoted packet exceeded.
#include "fuzz.h"
#include "wire/icmp.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct icmp_quote quote;
    if (size == 0) return 0;
    uint8_t family = data[0] & 1 ? ADDR_V6 : ADDR_V4;
    if (!icmp_quote_read(family, bytes_of(data + 1, size - 1), &quote)) return 0;
    assert(quote.mtu > 0 && quote.local.family == family && quote.remote.family == family);
    assert(!quote.ike || quote.spi == 0);
    return 0;
}
