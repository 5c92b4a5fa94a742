// SPDX-License-Identifier: Apache-2.0
// Configuration payloads (RFC 7296 2.19, 3.15): a client asks for virtual addresses and takes them,
// a server gives them out of its pools, with what else the pools say.
//
//     CP(CFG_REQUEST: INTERNAL_IP4_ADDRESS, INTERNAL_IP4_DNS)                  -->
//                    <--  CP(CFG_REPLY: INTERNAL_IP4_ADDRESS(10.0.0.7), INTERNAL_IP4_DNS(10.0.0.1))
#include "ike/internal.h"

enum {
    IP6_WITH_PREFIX = 17,
    DNS_MAX = 8,
    POOLS_TEXT_MAX = 1024,
    DOMAINS_MAX = 16,
};

static uint8_t address_family(uint16_t type)
{
    return type == ATTR_INTERNAL_IP4_ADDRESS   ? ADDR_V4
           : type == ATTR_INTERNAL_IP6_ADDRESS ? ADDR_V6
                                               : ADDR_NONE;
}

static uint8_t dns_family(uint16_t type)
{
    return type == ATTR_INTERNAL_IP4_DNS   ? ADDR_V4
           : type == ATTR_INTERNAL_IP6_DNS ? ADDR_V6
                                           : ADDR_NONE;
}

// Without a value it is any address of the family. An IPv6 address has its prefix length behind it.
static bool value_addr(const struct cp_attribute *attribute, uint8_t family, struct addr *addr)
{
    size_t size = family == ADDR_V4 ? 4 : family == ADDR_V6 ? 16 : 0;
    if (!size) return false;
    *addr = addr_any((enum addr_family)family);
    if (!attribute->value.size) return true;
    if (attribute->value.size < size) return false;
    return addr_from_bytes(bytes_of(attribute->value.at, size), addr) == OK;
}

// RFC 7296 3.15.1: an empty attribute asks for any address, one with a value for that one again.
static struct cp_attribute attribute_of(const struct addr *addr, struct arena *arena)
{
    bool v6 = addr->family == ADDR_V6;
    struct cp_attribute attribute = {.type = v6 ? ATTR_INTERNAL_IP6_ADDRESS
                                                : ATTR_INTERNAL_IP4_ADDRESS};
    if (addr_is_any(addr)) return attribute;
    uint8_t *value = arena_new(arena, IP6_WITH_PREFIX);
    memcpy(value, addr->at, addr_size(addr));
    value[16] = v6 ? 128 : 0;
    attribute.value = bytes_of(value, v6 ? IP6_WITH_PREFIX : 4);
    return attribute;
}

static void cp_put(struct draft *draft, const struct cp_payload *cp)
{
    cp_write(draft_open(draft, PAYLOAD_CP), cp);
    draft_close(draft);
}

static void cp_add(struct cp_payload *cp, struct cp_attribute attribute)
{
    for (unsigned i = 0; i < cp->count; i++)
        if (cp->at[i].type == attribute.type && bytes_equal(cp->at[i].value, attribute.value))
            return;
    if (cp->count < CP_ATTRIBUTES_MAX) cp->at[cp->count++] = attribute;
}

// --- client

// An SA that replaces another one asks for what that one has.
static const struct addr *wanted_vip(const struct sa *sa, const struct sa *former, unsigned number)
{
    const struct addr *vip = &sa->conn->vips[number];
    bool same = former && former->conn->vip_count == sa->conn->vip_count &&
                number < former->vip_count && former->vips[number].family == vip->family;
    return addr_is_any(vip) && same ? &former->vips[number] : vip;
}

void config_offer(struct exchange *x, struct draft *draft)
{
    const struct sa *sa = x->sa, *former = sa_by_id(sa->ike, sa->reauth_of);
    const struct conn *conn = sa->conn;
    if (!conn->vip_count) return;
    struct cp_payload *cp = arena_new(&x->arena, sizeof *cp);
    cp->type = CFG_REQUEST;
    for (unsigned i = 0; i < conn->vip_count; i++)
        cp->at[cp->count++] = attribute_of(wanted_vip(sa, former, i), &x->arena);
    for (unsigned i = 0; i < conn->vip_count; i++)
        cp_add(cp, (struct cp_attribute){.type = conn->vips[i].family == ADDR_V6
                                                     ? ATTR_INTERNAL_IP6_DNS
                                                     : ATTR_INTERNAL_IP4_DNS});
    // RFC 8598 3.1: asked for together with name servers; empty, for we suggest none.
    cp_add(cp, (struct cp_attribute){.type = ATTR_INTERNAL_DNS_DOMAIN});
    cp_put(draft, cp);
}

static unsigned count_of(const struct addr *addrs, size_t count, uint8_t family)
{
    unsigned of_family = 0;
    for (size_t i = 0; i < count; i++) of_family += addrs[i].family == family;
    return of_family;
}

// No more addresses than were asked for are put on this host, and none of another family.
static void vip_take(struct sa *sa, const struct addr *addr)
{
    char text[ADDR_TEXT];
    const struct conn *conn = sa->conn;
    if (count_of(sa->vips, sa->vip_count, addr->family) >=
        count_of(conn->vips, conn->vip_count, addr->family))
        return;
    if (!sa->vips) sa->vips = mem_array(CONN_VIPS_MAX, sizeof *sa->vips);
    sa->vips[sa->vip_count++] = *addr;
    out_new(sa->ike, IKE_OUT_ADDRESS_ADD)->address.addr = *addr;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "virtual address %s is ours",
           addr_print(addr, text));
}

static void dns_take(struct sa *sa, const struct addr *addr)
{
    char text[ADDR_TEXT];
    if (!sa->dns) sa->dns = mem_array(DNS_MAX, sizeof *sa->dns);
    if (sa->dns_count == DNS_MAX) return;
    sa->dns[sa->dns_count++] = *addr;
    struct ike_out *out = out_new(sa->ike, IKE_OUT_NAME_SERVER);
    out->address.addr = *addr;
    out->address.came = true;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "the peer's name server is %s",
           addr_print(addr, text));
}

static void domains_take(struct sa *sa, const struct cp_payload *cp)
{
    char *text = arena_new(&sa->ike->arena, DOMAINS_MAX * (DOMAIN_NAME_MAX + 1) + 1);
    size_t size = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < cp->count && count < DOMAINS_MAX; i++) {
        const struct cp_attribute *at = &cp->at[i];
        if (at->type != ATTR_INTERNAL_DNS_DOMAIN || !domain_name_is_good(at->value)) continue;
        if (count++) text[size++] = ' ';
        memcpy(text + size, at->value.at, at->value.size);
        size += at->value.size;
    }
    // RFC 8598 3.2: names without servers that know them say nothing.
    if (!count || !sa->dns_count) return;
    sa->domains = mem_text(text);
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "names that are known there: %s", text);
}

void names_release(struct sa *sa)
{
    for (unsigned i = 0; i < sa->dns_count; i++)
        out_new(sa->ike, IKE_OUT_NAME_SERVER)->address.addr = sa->dns[i];
    free_later(sa->ike, sa->dns);
    free_later(sa->ike, sa->domains);
    sa->dns = NULL;
    sa->domains = NULL;
    sa->dns_count = 0;
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
        const struct cp_attribute *at = &cp->at[i];
        struct addr addr;
        if (value_addr(at, address_family(at->type), &addr) && !addr_is_any(&addr))
            vip_take(sa, &addr);
        if (value_addr(at, dns_family(at->type), &addr) && !addr_is_any(&addr)) dns_take(sa, &addr);
    }
    if (cp->type == CFG_REPLY) domains_take(sa, cp);
    if (!sa->vip_count) x->child_fault = FAULT_PEER_ADDRESS;
    return OK;
}

// --- server

static enum fault request_read(struct exchange *x, struct cp_payload **out)
{
    const struct payload *payload = message_first(&x->in, PAYLOAD_CP);
    *out = arena_new(&x->arena, sizeof **out);
    if (payload) TRY(cp_read(payload->body, *out));
    // RFC 7296 2.19: only a request is answered.
    if ((*out)->type != CFG_REQUEST) (*out)->count = 0;
    return OK;
}

// The fault when nothing of a family was given: no pool has it, or none has any left.
static enum fault none_left(struct exchange *x, uint8_t family)
{
    const struct conn *conn = x->sa->conn;
    char *text = arena_new(&x->arena, POOLS_TEXT_MAX + 1);
    struct wr out = wr_over(text, POOLS_TEXT_MAX);
    struct ike_pool_info pool;
    bool serves = false;
    wr_printf(&out, "%s asks for an IPv%u address; ", identity_text(x->sa->ike, &x->sa->remote_id),
              family);
    if (!conn->pool_count) wr_printf(&out, "connection %s names no pool", conn->name);
    for (unsigned i = 0; i < conn->pool_count; i++) {
        const char *name = conn->pools[i], *comma = i ? ", " : "";
        bool there = pool_info(x->sa->ike, name, &pool);
        if (!there)
            wr_printf(&out, "%spool %s is not loaded", comma, name);
        else if (pool.base.family != family)
            wr_printf(&out, "%spool %s has IPv%u addresses", comma, name, pool.base.family);
        else
            wr_printf(&out, "%spool %s has %u addresses, %u are in use", comma, name, pool.size,
                      pool.online);
        serves |= there && pool.base.family == family;
    }
    x->why = text;
    return serves ? FAULT_POOLS_EXHAUSTED : FAULT_POOLS_NONE;
}

static void given_report(const struct sa *sa, const struct addr *addr)
{
    char text[ADDR_TEXT];
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, OK, "virtual address %s is given to %s",
           addr_print(addr, text), identity_text(sa->ike, &sa->remote_id));
}

// RFC 7296 3.15.4: when nothing can be given the IKE SA stands all the same, without a child. Some
// of what is asked for is better than nothing.
enum fault config_assign(struct exchange *x)
{
    struct sa *sa = x->sa;
    struct cp_payload *cp;
    enum fault fault = OK;
    TRY(request_read(x, &cp));
    for (unsigned i = 0, asked = 0; i < cp->count && asked < CONN_VIPS_MAX; i++) {
        struct addr wanted;
        if (!value_addr(&cp->at[i], address_family(cp->at[i].type), &wanted)) continue;
        asked++;
        const struct addr *given = lease_take(sa, &wanted);
        if (given)
            given_report(sa, given);
        else
            fault = none_left(x, wanted.family);
    }
    if (!fault || !sa->lease_count) return fault;
    report(sa->ike, ABOUT_SA(sa), IKE_INFO, fault, "%s: %s", fault_sentence(fault), x->why);
    x->why = NULL;
    return OK;
}

// RFC 7296 3.15.1: asked for with SUPPORTED_ATTRIBUTES, all types that are understood are named.
static struct cp_attribute supported(const struct cp_payload *reply, struct arena *arena)
{
    uint8_t *space = arena_new(arena, 2 * (CP_ATTRIBUTES_MAX + 2));
    struct wr out = wr_over(space, 2 * (CP_ATTRIBUTES_MAX + 2));
    wr_u16(&out, ATTR_INTERNAL_IP4_ADDRESS);
    wr_u16(&out, ATTR_INTERNAL_IP6_ADDRESS);
    for (unsigned i = 0; i < reply->count; i++)
        if (!address_family(reply->at[i].type)) wr_u16(&out, reply->at[i].type);
    return (struct cp_attribute){ATTR_SUPPORTED_ATTRIBUTES, wr_done(&out)};
}

static bool asks_for(const struct cp_payload *cp, uint16_t type)
{
    for (unsigned i = 0; i < cp->count; i++)
        if (cp->at[i].type == type) return true;
    return false;
}

// RFC 8598 3.1: who does not ask for domains does not take them, nor their trust anchors.
static bool may_tell(const struct cp_payload *asked, uint16_t type)
{
    bool of_split = type == ATTR_INTERNAL_DNS_DOMAIN || type == ATTR_INTERNAL_DNSSEC_TA;
    return !of_split || asks_for(asked, type);
}

void config_answer(struct exchange *x, struct draft *draft)
{
    const struct sa *sa = x->sa;
    struct cp_payload *asked, *reply = arena_new(&x->arena, sizeof *reply);
    if (request_read(x, &asked) != OK || asked->type != CFG_REQUEST) return;
    if (!sa->conn->pool_count) return;
    reply->type = CFG_REPLY;
    for (unsigned i = 0; i < sa->lease_count; i++)
        cp_add(reply, attribute_of(&sa->remote_vips[i], &x->arena));
    const struct pool_attribute *attributes;
    unsigned count;
    for (unsigned i = 0; pool_attributes(sa, i, &attributes, &count); i++)
        for (unsigned j = 0; j < count; j++)
            if (may_tell(asked, attributes[j].type))
                cp_add(reply, (struct cp_attribute){attributes[j].type, attributes[j].value});
    for (unsigned i = 0; i < asked->count; i++)
        if (asked->at[i].type == ATTR_SUPPORTED_ATTRIBUTES)
            cp_add(reply, supported(reply, &x->arena));
    if (reply->count) cp_put(draft, reply);
}

// RFC 7296 2.20: a peer that is known by now may ask what we are.
void config_inform(struct exchange *x, struct draft *draft)
{
    struct cp_payload *asked, *reply = arena_new(&x->arena, sizeof *reply);
    if (request_read(x, &asked) != OK || asked->type != CFG_REQUEST) return;
    if (!asks_for(asked, ATTR_APPLICATION_VERSION)) return;
    reply->type = CFG_REPLY;
    cp_add(reply, (struct cp_attribute){ATTR_APPLICATION_VERSION, BYTES("cygnet " CYGNET_VERSION)});
    cp_put(draft, reply);
}
