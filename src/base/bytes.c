// SPDX-License-Identifier: Apache-2.0
// Comparing and printing borrowed bytes.
#include "base/bytes.h"

// The accumulator is volatile so that a compiler cannot turn the loop into one that stops early.
bool bytes_equal_secret(struct bytes a, struct bytes b)
{
    if (a.size != b.size) return false;
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < a.size; i++) difference = difference | (uint8_t)(a.at[i] ^ b.at[i]);
    return difference == 0;
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.at, b.at, common) : 0;
    if (order) return order;
    return (a.size > b.size) - (a.size < b.size);
}

char *bytes_hex(struct bytes in, char *out, size_t out_size)
{
    static const char digits[] = "0123456789abcdef";
    if (out_size == 0) return out;
    size_t fits = (out_size - 1) / 2;
    size_t count = in.size < fits ? in.size : fits;
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[in.at[i] >> 4];
        out[2 * i + 1] = digits[in.at[i] & 15];
    }
    out[2 * count] = '\0';
    return out;
}
