// SPDX-License-Identifier: Apache-2.0
// Traffic selectors (RFC 7296 2.9, 3.13): which packets a child protects. Sets with a fixed maximum, as values.
#pragma once
#include "base/addr.h"
#include "base/wr.h"

enum { SELECTORS_MAX = 16, SELECTOR_TEXT = 128 };

struct selector {
    struct range range;
    uint8_t protocol;           // 0: any
    uint16_t port_low, port_high;  // 0–65535: any. ICMP: type in the high byte, code in the low (RFC 7296 3.13.1).
                                // low 65535, high 0: OPAQUE
};

struct selectors {
    uint8_t count;
    struct selector at[SELECTORS_MAX];
};

// What a packet shows to a selector, as seen from one side.
struct flow {
    struct addr source, destination;
    uint8_t protocol;
    uint16_t source_port, destination_port;  // ICMP: both hold type << 8 | code
    bool ports_known;                        // false in non-first fragments and under encryption
};

// "10.0.0.0/8", "10.1.0.1-10.1.0.9[tcp/443]", "fe80::/10[ipv6-icmp]", "0.0.0.0/0[udp/1024-2048]", "10.0.0.1[udp/opaque]".
// ICMP: "[icmp/8]" is a type with all its codes, "[icmp/8(0)]" one code, "[icmp/2048]" the same as one number.
// "dynamic" is marked by the caller (it depends on the address in use); a text that begins with it gives range family 0.
CHECKED enum fault selector_parse(const char *text, struct selector *selector);
char *selector_print(const struct selector *selector, char out[SELECTOR_TEXT]);   // in the same syntax
void selectors_print(const struct selectors *selectors, struct wr *out);            // blank-separated
bool selector_equal(const struct selector *a, const struct selector *b);
bool selectors_equal(const struct selectors *a, const struct selectors *b);
bool selector_within(const struct selector *inner, const struct selector *outer);
bool selector_intersect(const struct selector *a, const struct selector *b, struct selector *out);
struct selector selector_of_addr(const struct addr *addr);      // that host, any protocol and port
struct selector selector_any(enum addr_family family);
// False when the set is full; a selector within one that is there already is not added.
bool selectors_add(struct selectors *set, const struct selector *selector);

// RFC 7296 2.9: what of `offered` lies within `mine`. When `first_is_packet` the first offered selector is the triggering
// packet and a narrowing that loses it comes last. Returns false when nothing is left.
bool selectors_narrow(const struct selectors *mine, const struct selectors *offered, struct selectors *out);
// True when every selector of inner lies within one of outer.
bool selectors_within(const struct selectors *inner, const struct selectors *outer);
// Does a packet that goes from the side `local` to the side `remote` match?
bool selectors_match(const struct selectors *local, const struct selectors *remote, const struct flow *flow);
// Says pair by pair why nothing is left, a line each, at most SELECTORS_EXPLAIN_PAIRS lines and one more.
enum { SELECTORS_EXPLAIN_PAIRS = 16, SELECTORS_EXPLAIN_MAX = (SELECTORS_EXPLAIN_PAIRS + 1) * (2 * SELECTOR_TEXT + 80) };
void selectors_explain(const struct selectors *mine, const struct selectors *offered, struct wr *out);
