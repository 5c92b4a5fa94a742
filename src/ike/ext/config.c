// SPDX-License-Identifier: Apache-2.0
// Configuration payloads (RFC 7296 2.19, 3.15), the client's side: a virtual address is asked for
// and taken.
//
//     CP(CFG_REQUEST: INTERNAL_IP4_ADDRESS)  -->
//                                       <--  CP(CFG_REPLY: INTERNAL_IP4_ADDRESS(10.0.0.7))
#include "ike/internal.h"

enum { IP6_WITH_PREFIX = 17 };

// RFC 7296 3.15.1: an empty attribute asks for any address, one with a value for that one again.
static struct cp_attribute attribute_of(const struct addr *addr)
{
    bool v6 = addr->family == ADDR_V6;
    struct cp_attribute attribute = {.type = v6 ? ATTR_INTERNAL_IP6_ADDRESS
                                                : ATTR_INTERNAL_IP4_ADDRESS};
    if (!addr_is_any(addr)) attribute.value = addr_bytes(addr);
    return attribute;
}

void config_offer(struct exchange *x, struct draft *draft)
{
    const struct conn *conn = x->sa->conn;
    if (!conn->vip_count) return;
    struct cp_payload *cp = arena_new(&x->arena, sizeof *cp);
    cp->type = CFG_REQUEST;
    for (unsigned i = 0; i < conn->vip_count; i++) {
        struct cp_attribute attribute = attribute_of(&conn->vips[i]);
        if (attribute.type == ATTR_INTERNAL_IP6_ADDRESS && attribute.value.size) {
            uint8_t *with_prefix = arena_new(&x->arena, IP6_WITH_PREFIX);
            memcpy(with_prefix, attribute.value.at, 16);
            with_prefix[16] = 128;
            attribute.value = bytes_of(with_prefix, IP6_WITH_PREFIX);
        }
        cp->at[cp->count++] = attribute;
    }
    cp_write(draft_open(draft, PAYLOAD_CP), cp);
    draft_close(draft);
}

static bool vip_of(const struct cp_attribute *attribute, struct addr *addr)
{
    size_t size = attribute->type == ATTR_INTERNAL_IP4_ADDRESS   ? 4
                  : attribute->type == ATTR_INTERNAL_IP6_ADDRESS ? 16
                                                                 : 0;
    if (!size || attribute->value.size < size) return false;
    return addr_from_bytes(bytes_of(attribute->value.at, size), addr) == OK && !addr_is_any(addr);
}

static void vip_take(struct sa *sa, const struct addr *addr)
{
    char text[ADDR_TEXT];
    if (!sa->vips) sa->vips = mem_array(CONN_VIPS_MAX, sizeof *sa->vips);
    if (sa->vip_count == CONN_VIPS_MAX) return;
    sa->vips[sa->vip_count++] = *addr;
    out_new(sa->ike, IKE_OUT_ADDRESS_ADD)->address.addr = *addr;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "virtual address %s is ours",
           addr_print(addr, text));
}

// Without the address that was asked for the child makes no sense (RFC 7296 3.15.4); the IKE SA
// stays.
enum fault config_agree(struct exchange *x)
{
    struct sa *sa = x->sa;
    const struct payload *payload = message_first(&x->in, PAYLOAD_CP);
    if (!sa->conn->vip_count) return OK;
    struct cp_payload *cp = arena_new(&x->arena, sizeof *cp);
    if (payload) TRY(cp_read(payload->body, cp));
    for (unsigned i = 0; i < cp->count && cp->type == CFG_REPLY; i++) {
        struct addr addr;
        if (vip_of(&cp->at[i], &addr)) vip_take(sa, &addr);
    }
    if (!sa->vip_count) x->child_fault = FAULT_PEER_ADDRESS;
    return OK;
}
