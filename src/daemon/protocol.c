// SPDX-License-Identifier: Apache-2.0
// Messages between our processes, each described once: a shape function walks the fields of a struct and either writes or
// reads them, so that the two directions cannot drift apart.
#include "daemon/protocol.h"

struct row {
    uint8_t from, to;
    uint16_t type;
    uint32_t limit;
};

static const struct row rows[] = {
#define MESSAGE(from, to, name, limit) {ROLE_##from, ROLE_##to, MESSAGE_##name, limit},
#include "daemon/protocol.def"
#undef MESSAGE
};

const char *role_name(enum role role)
{
    static const char *const names[ROLE_COUNT] = {"main", "net", "ike", "keys", "trust", "esp", "control"};
    return role < ROLE_COUNT ? names[role] : "?";
}

enum fault message_accept(struct bytes message, enum role from, enum role to,
                          struct message_head *head, struct rd *fields)
{
    struct rd in = rd_over(message);
    head->type = rd_u16(&in);
    rd_skip(&in, 2);
    head->number = rd_u64(&in);
    TRY(rd_so_far(&in));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        if (row->type != head->type || row->from != from || row->to != to) continue;
        if (message.size > row->limit) return FAULT_MESSAGE_TOO_LARGE;
        *fields = in;
        return OK;
    }
    return FAULT_MESSAGE_NOT_PERMITTED;
}

struct wr message_begin(void *space, size_t room, enum message_type type, uint64_t number)
{
    struct wr out = wr_over(space, room);
    wr_u16(&out, (uint16_t)type);
    wr_u16(&out, 0);
    wr_u64(&out, number);
    return out;
}

// --- fields: exactly one of out and in is set

struct codec {
    struct wr *out;
    struct rd *in;
    struct arena *arena;
    bool failed;
};

static void field_u8(struct codec *c, uint8_t *value)
{
    if (c->out) wr_u8(c->out, *value);
    else *value = rd_u8(c->in);
}

static void field_bool(struct codec *c, bool *value)
{
    uint8_t byte = *value;
    field_u8(c, &byte);
    *value = byte != 0;
}

static void field_u16(struct codec *c, uint16_t *value)
{
    if (c->out) wr_u16(c->out, *value);
    else *value = rd_u16(c->in);
}

static void field_u32(struct codec *c, uint32_t *value)
{
    if (c->out) wr_u32(c->out, *value);
    else *value = rd_u32(c->in);
}

static void field_u64(struct codec *c, uint64_t *value)
{
    if (c->out) wr_u64(c->out, *value);
    else *value = rd_u64(c->in);
}

static void field_nsec(struct codec *c, nsec *value)
{
    uint64_t bits = (uint64_t)*value;
    field_u64(c, &bits);
    *value = (nsec)bits;
}

static void field_fault(struct codec *c, enum fault *fault)
{
    uint32_t number = (uint32_t)*fault;
    field_u32(c, &number);
    if (number >= FAULT_COUNT) c->failed = true;
    else *fault = (enum fault)number;
}

static void field_bytes(struct codec *c, struct bytes *bytes)
{
    uint32_t size = (uint32_t)bytes->size;
    field_u32(c, &size);
    if (c->out) wr_bytes(c->out, *bytes);
    else *bytes = rd_bytes(c->in, size);
}

// A text may be absent: NULL comes out as NULL.
static void field_text(struct codec *c, const char **text)
{
    bool there = *text != NULL;
    field_bool(c, &there);
    struct bytes bytes = there ? bytes_of_text(*text) : BYTES_NONE;
    if (there) field_bytes(c, &bytes);
    if (c->in) *text = there ? arena_text(c->arena, bytes) : NULL;
}

static void field_raw(struct codec *c, void *at, size_t size)
{
    if (c->out) wr_bytes(c->out, bytes_of(at, size));
    else rd_copy(c->in, at, size);
}

static void field_addr(struct codec *c, struct addr *addr)
{
    field_u8(c, &addr->family);
    if (addr->family != ADDR_NONE && addr->family != ADDR_V4 && addr->family != ADDR_V6) {
        c->failed = true;
        addr->family = ADDR_NONE;
    }
    if (c->in) memset(addr->at, 0, sizeof addr->at);
    field_raw(c, addr->at, addr_size(addr));
}

static void field_endpoint(struct codec *c, struct endpoint *endpoint)
{
    field_addr(c, &endpoint->addr);
    field_u16(c, &endpoint->port);
}

static void field_path(struct codec *c, struct path *path)
{
    field_endpoint(c, &path->local);
    field_endpoint(c, &path->remote);
    field_bool(c, &path->encap);
    field_bool(c, &path->stream);
}

static void field_identity(struct codec *c, struct identity *id)
{
    field_u8(c, &id->type);
    field_bool(c, &id->regex);
    field_bytes(c, &id->bytes);
    if (id->bytes.size > IDENTITY_SIZE_MAX) c->failed = true;
}

static void field_selectors(struct codec *c, struct selectors *set)
{
    field_u8(c, &set->count);
    if (set->count > SELECTORS_MAX) {
        c->failed = true;
        set->count = 0;
    }
    for (unsigned i = 0; i < set->count; i++) {
        struct selector *at = &set->at[i];
        field_addr(c, &at->range.low);
        field_addr(c, &at->range.high);
        field_u8(c, &at->protocol);
        field_u16(c, &at->port_low);
        field_u16(c, &at->port_high);
    }
}

static void field_octets(struct codec *c, struct auth_octets *octets)
{
    field_u16(c, &octets->prf);
    field_bytes(c, &octets->message);
    field_bytes(c, &octets->nonce);
    field_bytes(c, &octets->sk_p);
    field_bytes(c, &octets->id_body);
    field_bytes(c, &octets->int_auth);
}

static void field_flow(struct codec *c, struct flow *flow)
{
    field_addr(c, &flow->source);
    field_addr(c, &flow->destination);
    field_u8(c, &flow->protocol);
    field_u16(c, &flow->source_port);
    field_u16(c, &flow->destination_port);
    field_bool(c, &flow->ports_known);
}

static void field_usage(struct codec *c, struct sa_usage *usage)
{
    field_u32(c, &usage->spi);
    field_u8(c, &usage->direction);
    field_u64(c, &usage->bytes);
    field_u64(c, &usage->packets);
    field_nsec(c, &usage->last_used);
    field_u64(c, &usage->dropped_replay);
    field_u64(c, &usage->dropped_auth);
    field_u64(c, &usage->dropped_selector);
    field_u32(c, &usage->rate);
    field_u32(c, &usage->rtt);
    field_u32(c, &usage->distance);
}

static void field_blobs(struct codec *c, uint8_t *count, struct bytes *blobs, uint8_t limit)
{
    field_u8(c, count);
    if (*count > limit) {
        c->failed = true;
        *count = 0;
    }
    for (unsigned i = 0; i < *count; i++) field_bytes(c, &blobs[i]);
}

// --- shapes

static void shape_load(struct codec *c, struct load_message *m) { field_bytes(c, &m->tree); }

static void shape_name(struct codec *c, struct name_message *m) { field_text(c, &m->name); }

static void shape_pool_unload(struct codec *c, struct pool_unload_message *m)
{
    field_text(c, &m->name);
    field_bool(c, &m->in_use_too);
}

static void shape_lease(struct codec *c, struct lease_message *m)
{
    field_text(c, &m->pool);
    field_addr(c, &m->addr);
    field_identity(c, &m->id);
    if (!m->pool) c->failed = true;
}

static void shape_command(struct codec *c, struct command_message *m)
{
    struct ike_command *command = &m->command;
    field_u32(c, &command->number);
    field_u8(c, &command->kind);
    field_text(c, &command->conn);
    field_text(c, &command->child);
    field_u32(c, &command->ike_id);
    field_u32(c, &command->child_id);
    field_bool(c, &command->force);
    field_bool(c, &command->reauth);
    field_text(c, &command->peer_ip);
    field_text(c, &command->peer_id);
    field_text(c, &command->gateway);
}

static void shape_key(struct codec *c, struct key_message *m)
{
    field_bytes(c, &m->key);
    field_bytes(c, &m->passphrase);
    field_text(c, &m->type);
}

static void shape_cert(struct codec *c, struct cert_message *m)
{
    field_bytes(c, &m->der);
    field_text(c, &m->type);
    field_text(c, &m->flag);
}

static void shape_result(struct codec *c, struct result_message *m)
{
    field_fault(c, &m->fault);
    field_text(c, &m->text);
    field_bytes(c, &m->tree);
}

static void shape_item(struct codec *c, struct item_message *m)
{
    field_text(c, &m->name);
    field_bytes(c, &m->tree);
    field_bool(c, &m->last);
}

static void shape_listeners(struct codec *c, struct listeners_message *m) { field_u32(c, &m->events); }

static void shape_log(struct codec *c, struct log_message *m)
{
    field_u8(c, &m->level);
    field_fault(c, &m->fault);
    field_u32(c, &m->command);
    field_u32(c, &m->ike_id);
    field_text(c, &m->conn);
    field_text(c, &m->child);
    field_text(c, &m->text);
}

static void shape_done(struct codec *c, struct done_message *m)
{
    field_u32(c, &m->command);
    field_fault(c, &m->fault);
    field_text(c, &m->text);
    field_u32(c, &m->matches);
    field_u32(c, &m->terminated);
}

static void shape_prove(struct codec *c, struct prove_message *m)
{
    field_u8(c, &m->kind);
    field_octets(c, &m->octets);
    field_u8(c, &m->key_count);
    if (m->key_count > CONN_CERTS_MAX) {
        c->failed = true;
        m->key_count = 0;
    }
    field_raw(c, m->key_ids, m->key_count * sizeof *m->key_ids);
    field_bytes(c, &m->schemes);
    field_u32(c, &m->hashes);
    field_identity(c, &m->local);
    field_identity(c, &m->remote);
    field_addr(c, &m->local_addr);
    field_addr(c, &m->remote_addr);
    field_bytes(c, &m->expected);
    field_octets(c, &m->own);
}

static void shape_proved(struct codec *c, struct proved_message *m)
{
    field_fault(c, &m->fault);
    field_text(c, &m->text);
    field_u8(c, &m->method);
    field_bytes(c, &m->data);
}

static void shape_ppk(struct codec *c, struct ppk_message *m)
{
    field_u8(c, &m->kind);
    field_u16(c, &m->prf);
    field_u8(c, &m->count);
    if (m->count > IKE_PPK_NAMES_MAX) {
        c->failed = true;
        m->count = 0;
    }
    for (unsigned i = 0; i < m->count; i++) {
        field_bytes(c, &m->names[i]);
        field_bytes(c, &m->proofs[i]);
    }
    field_bytes(c, &m->octets);
    for (unsigned i = 0; i < 3; i++) field_bytes(c, &m->keys[i]);
}

static void shape_ppk_answer(struct codec *c, struct ppk_answer_message *m)
{
    field_fault(c, &m->fault);
    field_bool(c, &m->found);
    field_u8(c, &m->chosen);
    field_u16(c, &m->names);
    field_bytes(c, &m->proofs);
    field_bytes(c, &m->mixed);
}

static void shape_login(struct codec *c, struct login_message *m)
{
    field_u8(c, &m->kind);
    field_bool(c, &m->server);
    field_u64(c, &m->session);
    field_bytes(c, &m->methods);
    field_identity(c, &m->local);
    field_identity(c, &m->remote);
    field_bytes(c, &m->message);
}

static void shape_login_answer(struct codec *c, struct login_answer_message *m)
{
    field_fault(c, &m->fault);
    field_text(c, &m->text);
    field_u8(c, &m->state);
    field_bool(c, &m->mutual);
    field_text(c, &m->scheme);
    field_bytes(c, &m->data);
    field_bytes(c, &m->key);
}

static void shape_judge(struct codec *c, struct judge_message *m)
{
    field_octets(c, &m->octets);
    field_identity(c, &m->id);
    field_u8(c, &m->method);
    field_u8(c, &m->revocation);
    field_bytes(c, &m->data);
    field_bytes(c, &m->schemes);
    field_u32(c, &m->hashes);
    field_blobs(c, &m->cert_count, m->certs, CONN_CERTS_MAX * 2);
    field_blobs(c, &m->only_count, m->only, CONN_CERTS_MAX);
    field_blobs(c, &m->ca_count, m->cas, CONN_CERTS_MAX);
    field_blobs(c, &m->pubkey_count, m->pubkeys, CONN_CERTS_MAX);
    field_bytes(c, &m->raw_key);
    field_identity(c, &m->ca_id);
    field_blobs(c, &m->policy_count, m->policies, CONN_POLICIES_MAX);
}

static void shape_judged(struct codec *c, struct judged_message *m)
{
    field_fault(c, &m->fault);
    field_text(c, &m->text);
    field_text(c, &m->scheme);
    field_bytes(c, &m->cert);
}

static void shape_resolved(struct codec *c, struct resolved_message *m)
{
    field_fault(c, &m->fault);
    field_u8(c, &m->count);
    if (m->count > 16) {
        c->failed = true;
        m->count = 0;
    }
    for (unsigned i = 0; i < m->count; i++) field_addr(c, &m->addrs[i]);
}

static void shape_anchors(struct codec *c, struct anchors_message *m)
{
    field_u16(c, &m->count);
    if (m->count > 1024) {
        c->failed = true;
        m->count = 0;
    }
    field_raw(c, m->hashes, m->count * sizeof *m->hashes);
}

static void shape_sa(struct codec *c, struct sa_message *m)
{
    struct sa_spec *spec = &m->spec;
    field_u32(c, &spec->spi);
    field_u8(c, &spec->direction);
    field_u8(c, &spec->protocol);
    field_u8(c, &spec->mode);
    field_bool(c, &spec->esn);
    field_u16(c, &spec->encr);
    field_u16(c, &spec->key_bits);
    field_u16(c, &spec->integ);
    field_u32(c, &spec->policy);
    field_u32(c, &spec->replay_window);
    field_u32(c, &spec->partner_spi);
    field_u32(c, &spec->if_id);
    field_u8(c, &spec->copy_dscp);
    field_u8(c, &spec->copy_df);
    field_u8(c, &spec->copy_ecn);
    field_u16(c, &spec->tfc_padding);
    field_u16(c, &spec->cpi);
    field_u16(c, &spec->resource);
    field_u16(c, &spec->resources);
    field_u16(c, &spec->iptfs.packet_size);
    field_u32(c, &spec->iptfs.rate);
    field_u32(c, &spec->iptfs.init_delay);
    field_bool(c, &spec->iptfs.whole);
    field_u8(c, &spec->iptfs.dscp);
    field_bool(c, &spec->iptfs.reports);
    field_bool(c, &spec->iptfs.congestion);
    field_u8(c, &spec->iptfs.reorder_window);
    field_u16(c, &spec->iptfs.drop_time);
    field_u16(c, &spec->path_mtu);
    field_u16(c, &spec->tcp_mss);
    field_u8(c, &spec->fragments);
    field_bool(c, &spec->icmp);
    field_path(c, &spec->path);
    field_bytes(c, &spec->encr_key);
    field_bytes(c, &spec->integ_key);
    field_selectors(c, &spec->local);
    field_selectors(c, &spec->remote);
}

static void shape_sa_move(struct codec *c, struct sa_move_message *m)
{
    field_u32(c, &m->spi);
    field_u8(c, &m->direction);
    field_path(c, &m->path);
    field_path(c, &m->former);
}

static void shape_sa_del(struct codec *c, struct sa_del_message *m)
{
    field_u32(c, &m->spi);
    field_u8(c, &m->direction);
    field_addr(c, &m->remote);
}

static void shape_sa_skip(struct codec *c, struct sa_skip_message *m)
{
    field_u32(c, &m->spi);
    field_addr(c, &m->remote);
    field_u64(c, &m->delta);
}

static void shape_sa_mark(struct codec *c, struct sa_mark_message *m)
{
    field_u32(c, &m->spi);
    field_addr(c, &m->remote);
    field_u32(c, &m->mark);
}

static void shape_sa_mtu(struct codec *c, struct sa_mtu_message *m)
{
    field_u32(c, &m->spi);
    field_u8(c, &m->direction);
    field_addr(c, &m->remote);
    field_u16(c, &m->path_mtu);
}

static void shape_policy(struct codec *c, struct policy_message *m)
{
    struct policy_spec *spec = &m->spec;
    field_u32(c, &spec->number);
    field_u8(c, &spec->action);
    field_u8(c, &spec->trap);
    field_u8(c, &spec->mode);
    field_u32(c, &spec->priority);
    field_u32(c, &spec->if_id_in);
    field_u32(c, &spec->if_id_out);
    field_bool(c, &spec->if_unique);
    field_selectors(c, &spec->local);
    field_selectors(c, &spec->remote);
    field_path(c, &m->path);
}

static void shape_policy_del(struct codec *c, struct policy_del_message *m) { field_u32(c, &m->number); }

static void shape_usage(struct codec *c, struct usage_message *m)
{
    field_u16(c, &m->count);
    if (m->count > 512) {
        c->failed = true;
        m->count = 0;
    }
    for (unsigned i = 0; i < m->count; i++) field_usage(c, &m->at[i]);
    field_bool(c, &m->last);
}

static void shape_plane(struct codec *c, struct plane_message *m)
{
    struct ike_plane *event = &m->event;
    field_u8(c, &event->kind);
    field_u32(c, &event->policy);
    field_flow(c, &event->flow);
    field_u16(c, &event->resource);
    field_u32(c, &event->spi);
    field_endpoint(c, &event->from);
    field_endpoint(c, &event->local);
    field_usage(c, &event->usage);
    field_fault(c, &event->fault);
}

static void shape_datagram(struct codec *c, struct datagram_message *m)
{
    field_endpoint(c, &m->local);
    field_endpoint(c, &m->remote);
    field_u8(c, &m->tos);
    field_bool(c, &m->stream);
    field_bytes(c, &m->bytes);
}

static void shape_mark(struct codec *c, struct mark *mark)
{
    field_u32(c, &mark->value);
    field_u32(c, &mark->mask);
}
static void shape_device(struct codec *c, struct device_message *m)
{
    field_u32(c, &m->if_id);
    shape_mark(c, &m->leads);
    shape_mark(c, &m->opened);
}

static void shape_guard(struct codec *c, struct guard_message *m)
{
    field_text(c, &m->conn);
    field_bool(c, &m->last);
    field_u8(c, &m->count);
    if (m->count > CONN_GUARDED_MAX) {
        c->failed = true;
        m->count = 0;
    }
    for (unsigned i = 0; i < m->count; i++) {
        field_addr(c, &m->at[i].range.low);
        field_addr(c, &m->at[i].range.high);
        field_bool(c, &m->at[i].spared);
    }
}

static void shape_address(struct codec *c, struct address_message *m)
{
    field_addr(c, &m->addr);
    field_bool(c, &m->came);
}

// The struct is not changed when it is written: the shape only reads it then.
#define CODEC(name)                                                                                   \
    void name##_put(struct wr *out, const struct name##_message *message)                             \
    {                                                                                                 \
        struct codec codec = {.out = out};                                                            \
        shape_##name(&codec, (struct name##_message *)(uintptr_t)message);                            \
    }                                                                                                 \
    enum fault name##_get(struct rd *in, struct arena *arena, struct name##_message *message)         \
    {                                                                                                 \
        struct codec codec = {.in = in, .arena = arena};                                              \
        memset(message, 0, sizeof *message);                                                          \
        shape_##name(&codec, message);                                                                \
        if (codec.failed) return FAULT_MESSAGE_MALFORMED;                                             \
        return rd_end(in);                                                                            \
    }

CODEC(load)
CODEC(name)
CODEC(pool_unload)
CODEC(lease)
CODEC(command)
CODEC(key)
CODEC(cert)
CODEC(result)
CODEC(item)
CODEC(listeners)
CODEC(log)
CODEC(done)
CODEC(prove)
CODEC(proved)
CODEC(ppk)
CODEC(ppk_answer)
CODEC(login)
CODEC(login_answer)
CODEC(judge)
CODEC(judged)
CODEC(resolved)
CODEC(anchors)
CODEC(sa)
CODEC(sa_move)
CODEC(sa_del)
CODEC(sa_skip)
CODEC(sa_mtu)
CODEC(sa_mark)
CODEC(policy)
CODEC(policy_del)
CODEC(usage)
CODEC(plane)
CODEC(datagram)
CODEC(address)
CODEC(device)
CODEC(guard)
