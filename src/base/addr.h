// SPDX-License-Identifier: Apache-2.0
// Addresses as values. IPv4 lives in the first four bytes; unused bytes are zero so that values compare with memcmp.
#pragma once
#include "base/bytes.h"
#include "base/fault.h"

enum addr_family { ADDR_NONE = 0, ADDR_V4 = 4, ADDR_V6 = 6 };

struct addr {
    uint8_t family;  // enum addr_family
    uint8_t at[16];
};
struct prefix {
    struct addr addr;
    uint8_t bits;
};
struct range {  // inclusive; both of one family, low <= high
    struct addr low, high;
};
struct endpoint {
    struct addr addr;
    uint16_t port;  // host order
};
struct path {  // how two hosts reach each other
    struct endpoint local, remote;
    bool encap;  // ESP in UDP (RFC 3948), or in a stream
    bool stream; // all of it over TCP (RFC 9329)
};

enum { ADDR_TEXT = 46, ENDPOINT_TEXT = 54, RANGE_TEXT = 96 };

static inline size_t addr_size(const struct addr *addr) { return addr->family == ADDR_V4 ? 4 : addr->family == ADDR_V6 ? 16 : 0; }
static inline struct bytes addr_bytes(const struct addr *addr) { return bytes_of(addr->at, addr_size(addr)); }
struct addr addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
struct addr addr_any(enum addr_family family);                     // all zero
CHECKED enum fault addr_from_bytes(struct bytes in, struct addr *addr);  // 4 or 16 bytes
CHECKED enum fault addr_parse(const char *text, struct addr *addr);
bool addr_equal(const struct addr *a, const struct addr *b);
int  addr_compare(const struct addr *a, const struct addr *b);     // family first
bool addr_is_any(const struct addr *addr);                         // 0.0.0.0, :: or none
bool addr_next(struct addr *addr);                                 // the address after it; false at the family's last
char *addr_print(const struct addr *addr, char out[ADDR_TEXT]);    // "%any" for none
CHECKED enum fault prefix_parse(const char *text, struct prefix *prefix);  // "10.0.0.0/8", or an address alone
bool prefix_has(const struct prefix *prefix, const struct addr *addr);
struct range prefix_range(const struct prefix *prefix);
CHECKED enum fault range_parse(const char *text, struct range *range);  // "a-b", "a/n" or "a"
bool range_has(const struct range *range, const struct addr *addr);
bool range_is_prefix(const struct range *range, struct prefix *prefix);  // true and the prefix when it is exactly one
// Cuts a range into the fewest prefixes; at most 254 for IPv6. Returns how many; writes at most limit.
size_t range_prefixes(const struct range *range, struct prefix *out, size_t limit);
char *range_print(const struct range *range, char out[RANGE_TEXT]);  // as prefix where it is one
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
char *endpoint_print(const struct endpoint *endpoint, char out[ENDPOINT_TEXT]);  // "192.0.2.1:500", "[2001:db8::1]:500"
bool path_equal(const struct path *a, const struct path *b);
