// SPDX-License-Identifier: Apache-2.0
// Configuration payloads: attributes that a client asks for and a gateway hands out.
#include "wire/payload.h"
#include <assert.h>

enum { RESERVED_BIT = 0x8000, ATTRIBUTE_TYPE = 0x7fff };

// RFC 7296 3.15.1: an attribute that we use is empty (asked for) or has its one size. Others are
// passed on as they are, to be ignored.
struct cp_rule {
    uint16_t type;
    uint16_t size;
};

// clang-format off
static const struct cp_rule cp_rules[] = {
    {ATTR_INTERNAL_IP4_ADDRESS, 4},
    {ATTR_INTERNAL_IP4_NETMASK, 4},
    {ATTR_INTERNAL_IP4_DNS,     4},
    {ATTR_INTERNAL_IP4_NBNS,    4},
    {ATTR_INTERNAL_IP6_ADDRESS, 17},
    {ATTR_INTERNAL_IP6_DNS,     16},
};
// clang-format on

static bool cp_size_is_right(uint16_t type, size_t size)
{
    for (size_t i = 0; i < sizeof cp_rules / sizeof cp_rules[0]; i++)
        if (cp_rules[i].type == type) return size == 0 || size == cp_rules[i].size;
    return true;
}

enum fault cp_read(struct bytes body, struct cp_payload *out)
{
    struct rd in = rd_over(body);
    out->type = rd_u8(&in);
    out->count = 0;
    rd_skip(&in, 3);
    TRY(rd_so_far(&in));
    while (in.left) {
        struct cp_attribute attribute = {.type = rd_u16(&in) & ATTRIBUTE_TYPE};
        size_t size = rd_u16(&in);
        attribute.value = rd_bytes(&in, size);
        TRY(rd_so_far(&in));
        if (!cp_size_is_right(attribute.type, size)) return FAULT_CP_ATTRIBUTE_SIZE;
        if (out->count < CP_ATTRIBUTES_MAX) out->at[out->count++] = attribute;
    }
    return rd_end(&in);
}

void cp_write(struct wr *out, const struct cp_payload *cp)
{
    assert(cp->count <= CP_ATTRIBUTES_MAX);
    wr_u8(out, cp->type);
    wr_zeros(out, 3);
    for (size_t i = 0; i < cp->count; i++) {
        const struct cp_attribute *attribute = &cp->at[i];
        assert(attribute->type < RESERVED_BIT && attribute->value.size <= UINT16_MAX);
        wr_u16(out, attribute->type);
        wr_u16(out, (uint16_t)attribute->value.size);
        wr_bytes(out, attribute->value);
    }
}
