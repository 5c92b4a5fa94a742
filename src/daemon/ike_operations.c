// SPDX-License-Identifier: Apache-2.0
// Operations that the core wants done elsewhere: key exchange here, proofs by the keys role, judgements by the trust role,
// and the way to a peer: names by the trust role, the source address by the kernel.
#include "crypto/crypto.h"
#include "daemon/ike.h"
#include <stdio.h>

// The core must not be stepped while its outputs are being performed: then the answer waits.
static void answer_give(struct ike_role *role, struct ike_answer *answer)
{
    if (!role->stepping) {
        struct ike_in in = {.kind = IKE_IN_ANSWER, .answer = answer};
        ike_role_step(role, &in);
        secret_wipe(&answer->private);
        secret_wipe(&answer->shared);
        return;
    }
    struct ready_answer *ready = NEW(struct ready_answer);
    ready->answer = *answer;   // secrets move along
    ready->answer.data = mem_copy(answer->data);
    ready->answer.text = mem_text(answer->text);
    *role->ready_last = ready;
    role->ready_last = &ready->next;
}

bool ike_answer_next(struct ike_role *role)
{
    struct ready_answer *ready = role->ready;
    if (!ready) return false;
    role->ready = ready->next;
    if (!role->ready) role->ready_last = &role->ready;
    struct bytes data = ready->answer.data;
    const char *text = ready->answer.text;
    answer_give(role, &ready->answer);
    free((void *)(uintptr_t)data.at);
    free((void *)(uintptr_t)text);
    free(ready);
    return true;
}

// --- key exchange

static void ke_perform(struct ike_role *role, const struct ike_operation *operation)
{
    struct ike_answer answer = {.number = operation->number};
    AUTOFREE_BUF struct buf public = BUF(IKE_DATAGRAM_MAX);
    switch (operation->kind) {
    case IKE_OP_KE_MAKE:
        answer.fault = ke_make(operation->ke, role_rng(), &answer.private, &public);
        break;
    case IKE_OP_KE_SHARE:
        answer.fault = ke_share(operation->ke, operation->private, operation->peer_public, &answer.shared);
        break;
    case IKE_OP_KE_ANSWER:
        answer.fault = ke_answer(operation->ke, role_rng(), operation->peer_public, &public, &answer.shared);
        break;
    }
    answer.data = buf_bytes(&public);
    answer_give(role, &answer);
}

// --- proofs and judgements

static void prove_ask(struct ike_role *role, const struct ike_operation *operation)
{
    const struct auth_conf *auth = operation->prove.auth;
    struct prove_message message = {
        .kind = operation->prove.kind,
        .octets = operation->prove.octets,
        .schemes = auth ? auth->signature_schemes : BYTES_NONE,
        .hashes = operation->prove.hashes,
        .local = operation->prove.local,
        .remote = operation->prove.remote,
        .local_addr = operation->prove.local_addr,
        .remote_addr = operation->prove.remote_addr,
        .expected = operation->prove.expected,
        .own = operation->prove.own,
    };
    for (unsigned i = 0; auth && i < auth->cert_count; i++)
        memcpy(message.key_ids[message.key_count++], auth->certs[i].key_id, 20);
    for (unsigned i = 0; auth && i < auth->pubkey_count && message.key_count < CONN_CERTS_MAX; i++)
        memcpy(message.key_ids[message.key_count++], auth->pubkeys[i].key_id, 20);
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_PROVE, operation->number);
    prove_put(&out, &message);
    link_send(role->keys, &out);
    memory_wipe(role->space, out.size);
}

void ike_operation_proved(struct ike_role *role, uint64_t number, const struct proved_message *proved)
{
    struct ike_answer answer = {.number = number, .fault = proved->fault, .text = proved->text,
                                .method = proved->method, .data = proved->data};
    answer_give(role, &answer);
}

static void ppk_ask(struct ike_role *role, const struct ike_operation *operation)
{
    struct ppk_message message = {.kind = operation->ppk.kind, .prf = operation->ppk.prf, .count = operation->ppk.count,
                                  .octets = operation->ppk.octets};
    memcpy(message.names, operation->ppk.names, sizeof message.names);
    memcpy(message.proofs, operation->ppk.proofs, sizeof message.proofs);
    memcpy(message.keys, operation->ppk.keys, sizeof message.keys);
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_PPK, operation->number);
    ppk_put(&out, &message);
    link_send(role->keys, &out);
    memory_wipe(role->space, out.size);
}

void ike_operation_ppk(struct ike_role *role, uint64_t number, const struct ppk_answer_message *ppk)
{
    struct ike_answer answer = {.number = number, .fault = ppk->fault, .found = ppk->found, .chosen = ppk->chosen,
                                .names = ppk->names, .data = ppk->proofs};
    if (ppk->mixed.size) secret_set(&answer.shared, ppk->mixed);
    answer_give(role, &answer);
}

static void login_ask(struct ike_role *role, const struct ike_operation *operation)
{
    struct login_message message = {.kind = operation->login.kind, .server = operation->login.server,
                                    .session = operation->login.session, .methods = operation->login.auth->signature_schemes,
                                    .local = operation->login.local, .remote = operation->login.remote,
                                    .message = operation->login.message};
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_LOGIN, operation->number);
    login_put(&out, &message);
    link_send(role->trust, &out);
}

static void judge_ask(struct ike_role *role, const struct ike_operation *operation)
{
    const struct auth_conf *auth = operation->judge.auth;
    struct judge_message message = {
        .octets = operation->judge.octets,
        .id = operation->judge.id,
        .method = operation->judge.method,
        .revocation = auth->revocation,
        .data = operation->judge.data,
        .schemes = auth->signature_schemes,
        .hashes = operation->judge.hashes,
        .only_count = auth->cert_count,
        .ca_count = auth->ca_count,
        .pubkey_count = auth->pubkey_count,
        .raw_key = operation->judge.raw_key,
        .ca_id = auth->ca_id,
        .policy_count = auth->policy_count,
    };
    memcpy(message.policies, auth->policies, sizeof message.policies);
    for (size_t i = 0; i < operation->judge.cert_count && i < CONN_CERTS_MAX * 2; i++)
        message.certs[message.cert_count++] = operation->judge.certs[i];
    for (unsigned i = 0; i < auth->cert_count; i++) message.only[i] = auth->certs[i].der;
    for (unsigned i = 0; i < auth->ca_count; i++) message.cas[i] = auth->cas[i].der;
    for (unsigned i = 0; i < auth->pubkey_count; i++) message.pubkeys[i] = auth->pubkeys[i].der;
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_JUDGE, operation->number);
    judge_put(&out, &message);
    if (out.failed) {   // certificates beyond what may pass between processes
        struct ike_answer answer = {.number = operation->number, .fault = FAULT_MESSAGE_TOO_LARGE};
        answer_give(role, &answer);
        return;
    }
    link_send(role->trust, &out);
}

// The core keeps the name of a signature scheme as static text; there are few of them.
static const char *scheme_static(const char *name)
{
    static char *known[32];
    for (size_t i = 0; name && i < sizeof known / sizeof *known; i++) {
        if (!known[i]) known[i] = mem_text(name);
        if (strcmp(known[i], name) == 0) return known[i];
    }
    return name ? "signature" : NULL;
}

void ike_operation_login(struct ike_role *role, uint64_t number, const struct login_answer_message *login)
{
    struct ike_answer answer = {.number = number, .fault = login->fault, .text = login->text, .login = login->state,
                                .mutual = login->mutual, .scheme = scheme_static(login->scheme), .data = login->data};
    if (login->key.size) secret_set(&answer.shared, login->key);
    answer_give(role, &answer);
}

void ike_operation_judged(struct ike_role *role, uint64_t number, const struct judged_message *judged)
{
    struct ike_answer answer = {.number = number, .fault = judged->fault, .text = judged->text,
                                .scheme = scheme_static(judged->scheme), .cert = judged->cert};
    answer_give(role, &answer);
}

// --- the way to a peer

// Our address for a remote one: the first local pattern that has it; the kernel's choice when nothing is prescribed.
static enum fault local_choose(const struct host_pattern *local, size_t count, const struct addr *remote, struct addr *out)
{
    TRY(udp_source(remote, ROUTING_MARK, out));
    if (count == 0) return OK;
    for (size_t i = 0; i < count; i++) {
        if (local[i].kind == HOST_ANY) return OK;
        if (local[i].kind == HOST_RANGE && range_has(&local[i].range, out)) return OK;
    }
    for (size_t i = 0; i < count; i++) {
        if (local[i].kind != HOST_RANGE || local[i].range.low.family != remote->family) continue;
        if (!addr_equal(&local[i].range.low, &local[i].range.high)) continue;
        *out = local[i].range.low;
        return OK;
    }
    return FAULT_NO_LOCAL_ADDRESS;
}

static void resolving_fail(struct resolving *resolving, enum fault fault, char *text)
{
    if (resolving->fault) {
        free(text);
        return;
    }
    resolving->fault = fault;
    resolving->text = text;
}

static void resolving_free(struct resolving *resolving)
{
    for (size_t i = 0; i < resolving->source_count; i++) free(resolving->sources[i].name);
    free(resolving->text);
    free(resolving);
}

// An address counts when there is a way to it: of a name's the others are passed over.
static void candidate_add(struct resolving *resolving, const struct addr *remote)
{
    struct path *path = &resolving->usable[resolving->usable_count];
    if (resolving->usable_count == RESOLVED_MAX) return;
    *path = (struct path){.remote = {*remote, resolving->remote_port}, .local.port = resolving->local_port};
    enum fault fault = local_choose(resolving->local, resolving->local_count, remote, &path->local.addr);
    char to[ADDR_TEXT];
    if (fault) resolving_fail(resolving, fault, mem_printf("no way to %s from the local addresses", addr_print(remote, to)));
    else resolving->usable_count++;
}

// When there are fewer candidates than tries it begins with the first one again.
static void resolving_answer(struct ike_role *role, struct resolving *resolving)
{
    struct ike_answer answer = {.number = resolving->number};
    if (resolving->usable_count) {
        answer.path = resolving->usable[resolving->try % resolving->usable_count];
        answer.more = resolving->try + 1 < resolving->usable_count || resolving->at < resolving->source_count;
    } else {
        answer.fault = resolving->fault ? resolving->fault : FAULT_NO_REMOTE_ADDRESS;
        answer.text = resolving->text;
    }
    answer_give(role, &answer);
    resolving_free(resolving);
}

// Names are looked up one after the other, as far as the wanted candidate is.
static void resolving_go_on(struct ike_role *role, struct resolving *resolving)
{
    while (resolving->at < resolving->source_count && resolving->usable_count <= resolving->try) {
        const struct host_source *source = &resolving->sources[resolving->at];
        if (source->name) {
            resolving->next = role->resolving;
            role->resolving = resolving;
            struct name_message message = {.name = source->name};
            struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_RESOLVE, resolving->number);
            name_put(&out, &message);
            link_send(role->trust, &out);
            return;
        }
        candidate_add(resolving, &source->addr);
        resolving->at++;
    }
    resolving_answer(role, resolving);
}

// Single addresses and names are candidates; networks and %any tell only who may come to us.
static void resolve_start(struct ike_role *role, const struct ike_operation *operation)
{
    struct resolving *resolving = NEW(struct resolving);
    resolving->number = operation->number;
    resolving->try = operation->resolve.try;
    resolving->local_port = operation->resolve.local_port;
    resolving->remote_port = operation->resolve.remote_port;
    resolving->local_count = operation->resolve.local_count;
    memcpy(resolving->local, operation->resolve.local, resolving->local_count * sizeof *resolving->local);
    for (size_t i = 0; i < operation->resolve.remote_count && i < CONN_HOSTS_MAX; i++) {
        const struct host_pattern *host = &operation->resolve.remote[i];
        bool single = host->kind == HOST_RANGE && addr_equal(&host->range.low, &host->range.high);
        if (!single && host->kind != HOST_NAME) continue;
        struct host_source *source = &resolving->sources[resolving->source_count++];
        if (single) source->addr = host->range.low;
        else source->name = mem_text(host->name);
    }
    resolving_go_on(role, resolving);
}

void ike_operation_resolved(struct ike_role *role, uint64_t number, const struct resolved_message *resolved)
{
    for (struct resolving **at = &role->resolving; *at; at = &(*at)->next) {
        struct resolving *found = *at;
        if (found->number != number) continue;
        *at = found->next;
        const char *name = found->sources[found->at++].name;
        if (resolved->fault || !resolved->count)
            resolving_fail(found, resolved->fault ? resolved->fault : FAULT_NAME_UNKNOWN,
                           mem_printf("the name %s has no address", name));
        for (size_t i = 0; i < resolved->count; i++) candidate_add(found, &resolved->addrs[i]);
        resolving_go_on(role, found);
        return;
    }
}

void ike_operation_start(struct ike_role *role, const struct ike_operation *operation)
{
    switch (operation->kind) {
    case IKE_OP_KE_MAKE:
    case IKE_OP_KE_SHARE:
    case IKE_OP_KE_ANSWER: ke_perform(role, operation); break;
    case IKE_OP_PROVE: prove_ask(role, operation); break;
    case IKE_OP_JUDGE: judge_ask(role, operation); break;
    case IKE_OP_RESOLVE: resolve_start(role, operation); break;
    case IKE_OP_PPK: ppk_ask(role, operation); break;
    case IKE_OP_LOGIN: login_ask(role, operation); break;
    }
}
