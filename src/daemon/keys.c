// SPDX-License-Identifier: Apache-2.0
// The keys role: the only process that holds private keys and pre-shared secrets. It never shows one; it puts together by itself
// what it signs (RFC 7296 2.15), so that whoever takes over the ike role cannot have arbitrary bytes signed.
#include "conf/message.h"
#include "crypto/sig.h"
#include "daemon/role.h"
#include "daemon/secrets.h"
#include <assert.h>
#include <event2/event.h>
#include <stdio.h>

enum { KEYS_MAX = 4096, SHARED_MAX = 100000, PPK_KEYS_MAX = 3 * 64 };

struct stored_key {
    uint8_t id[20];
    struct private_key *key;
};

struct keys_role {
    struct link *control, *ike;
    struct stored_key *keys;
    size_t key_count;
    struct secrets *secrets;
    uint8_t *space;
};

// --- what is stored

static void result_send(struct keys_role *role, uint64_t number, enum fault fault, const char *text, struct bytes tree)
{
    struct result_message message = {.fault = fault, .text = text, .tree = tree};
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_RESULT, number);
    result_put(&out, &message);
    link_send(role->control, &out);
}

static struct stored_key *key_find(struct keys_role *role, const uint8_t id[20])
{
    for (size_t i = 0; i < role->key_count; i++)
        if (memcmp(role->keys[i].id, id, 20) == 0) return &role->keys[i];
    return NULL;
}

static void key_load(struct keys_role *role, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct key_message message;
    struct stored_key fresh = {0};
    enum fault fault = key_get(fields, &arena, &message);
    if (!fault && role->key_count >= KEYS_MAX) fault = FAULT_TOO_MANY_SECRETS;
    if (!fault) fault = private_key_read(message.key, message.passphrase, &fresh.key);
    char hex[41] = "";
    if (!fault) {
        struct public_key *public = private_key_public(fresh.key);
        public_key_id(public, fresh.id);
        public_key_free(public);
        bytes_hex(bytes_of(fresh.id, 20), hex, sizeof hex);
        struct stored_key *there = key_find(role, fresh.id);
        if (there) {
            private_key_free(there->key);
            *there = fresh;
        } else {
            role->keys = mem_grow(role->keys, role->key_count + 1, sizeof *role->keys);
            role->keys[role->key_count++] = fresh;
        }
    }
    result_send(role, number, fault, fault ? NULL : hex, BYTES_NONE);
    arena_free(&arena);
}

static enum fault secret_read(const struct tree *tree, struct arena *arena, struct stored_secret *out)
{
    const struct tree *owners = tree_find(tree, "owners");
    TREE_EACH(owner, owners) {
        struct identity id;
        if (out->owner_count == SECRET_OWNERS_MAX) return FAULT_TOO_MANY_SECRETS;
        TRY(identity_parse(arena_text(arena, owner->value), arena, &id));
        out->owners[out->owner_count++] = identity_copy(&id);
    }
    secret_set(&out->secret, tree_value(tree, "data"));
    out->id = mem_text(tree_text(tree, "id", ""));
    return OK;
}

static void shared_load(struct keys_role *role, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct load_message message;
    struct tree *tree = NULL;
    struct stored_secret fresh = {0};
    enum fault fault = load_get(fields, &arena, &message);
    if (!fault) fault = message_read(message.tree, &arena, &tree);
    if (!fault && secrets_count(role->secrets) >= SHARED_MAX) fault = FAULT_TOO_MANY_SECRETS;
    if (!fault) fresh.is_ppk = strcasecmp(tree_text(tree, "type", ""), "ppk") == 0;
    if (!fault && !fresh.is_ppk && strcasecmp(tree_text(tree, "type", ""), "ike") != 0) fault = FAULT_SECRET_TYPE;
    if (!fault) fault = secret_read(tree, &arena, &fresh);
    if (!fault) secrets_add(role->secrets, &fresh);
    stored_secret_wipe(&fresh);
    result_send(role, number, fault, NULL, BYTES_NONE);
    if (message.tree.size) memory_wipe((void *)(uintptr_t)message.tree.at, message.tree.size);
    arena_free(&arena);
}

static void key_drop_hex(struct keys_role *role, const char *wanted)
{
    for (size_t i = role->key_count; i-- > 0;) {
        char hex[41];
        if (strcasecmp(bytes_hex(bytes_of(role->keys[i].id, 20), hex, sizeof hex), wanted) != 0) continue;
        private_key_free(role->keys[i].key);
        role->keys[i] = role->keys[--role->key_count];
    }
}

static void secret_unload(struct keys_role *role, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct name_message message;
    enum fault fault = name_get(fields, &arena, &message);
    if (!fault && message.name && strncmp(message.name, "key:", 4) == 0) key_drop_hex(role, message.name + 4);
    if (!fault && message.name && strncmp(message.name, "shared:", 7) == 0) secrets_drop(role->secrets, message.name + 7);
    result_send(role, number, fault, NULL, BYTES_NONE);
    arena_free(&arena);
}

static void all_clear(struct keys_role *role, uint64_t number)
{
    secrets_clear(role->secrets);
    while (role->key_count) private_key_free(role->keys[--role->key_count].key);
    result_send(role, number, OK, NULL, BYTES_NONE);
}

// Names only: "keys" and "shared" as VICI's get-keys and get-shared want them.
static void secrets_list(struct keys_role *role, uint64_t number)
{
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    struct tree *keys = tree_add_list(&arena, root, "keys");
    for (size_t i = 0; i < role->key_count; i++) {
        char hex[41];
        tree_add_item(&arena, keys, bytes_of_text(bytes_hex(bytes_of(role->keys[i].id, 20), hex, sizeof hex)));
    }
    struct tree *shared = tree_add_list(&arena, root, "shared");
    for (size_t i = 0; i < secrets_count(role->secrets); i++)
        tree_add_item(&arena, shared, bytes_of_text(secrets_at(role->secrets, i)->id));
    AUTOFREE_MEM uint8_t *space = mem_new(IPC_MESSAGE_MAX);
    struct wr out = wr_over(space, IPC_MESSAGE_MAX);
    message_write(&out, root);
    result_send(role, number, OK, NULL, wr_done(&out));
    arena_free(&arena);
}

static void from_control(void *context, const struct message_head *head, struct rd *fields)
{
    struct keys_role *role = context;
    switch (head->type) {
    case MESSAGE_KEY_LOAD: key_load(role, head->number, fields); break;
    case MESSAGE_SHARED_LOAD: shared_load(role, head->number, fields); break;
    case MESSAGE_SECRET_UNLOAD: secret_unload(role, head->number, fields); break;
    case MESSAGE_SECRETS_CLEAR: all_clear(role, head->number); break;
    case MESSAGE_SECRETS_LIST: secrets_list(role, head->number); break;
    }
}

// --- proofs

// The octets to sign: message | nonce | prf(SK_p, ID body) | what went through IKE_INTERMEDIATE.
struct signed_octets {
    struct bytes pieces[4];
    struct secret id_mac;
};

static enum fault octets_make(const struct auth_octets *in, struct signed_octets *out)
{
    TRY(prf(in->prf, in->sk_p, PIECES(in->id_body), &out->id_mac));
    out->pieces[0] = in->message;
    out->pieces[1] = in->nonce;
    out->pieces[2] = secret_bytes(&out->id_mac);
    out->pieces[3] = in->int_auth;
    return OK;
}

static enum fault sign(struct keys_role *role, const struct prove_message *prove, uint8_t *method, struct buf *data, struct buf *text)
{
    struct signed_octets octets = {0};
    struct stored_key *key = NULL;
    for (unsigned i = 0; i < prove->key_count && !key; i++) key = key_find(role, prove->key_ids[i]);
    if (!key) {
        char hex[41] = "";
        if (prove->key_count) bytes_hex(bytes_of(prove->key_ids[0], 20), hex, sizeof hex);
        buf_printf(text, prove->key_count ? "no private key is loaded for the certificate whose key id is %s"
                                          : "the connection names no certificate%s, so there is nothing to sign with", hex);
        return FAULT_PRIVATE_KEY_MISSING;
    }
    enum fault fault = octets_make(&prove->octets, &octets);
    if (!fault)
        fault = auth_sign(key->key, prove->hashes, prove->schemes, (struct bytes_list){octets.pieces, 4}, method, data);
    secret_wipe(&octets.id_mac);
    return fault;
}

static const struct stored_secret *secret_choose(const struct keys_role *role, const struct prove_message *prove)
{
    struct secret_ends ends = {&prove->local, &prove->remote, &prove->local_addr, &prove->remote_addr};
    return secrets_choose(role->secrets, &ends);
}

static void secrets_explain(struct keys_role *role, const struct prove_message *prove, struct buf *text)
{
    char local[IDENTITY_TEXT], remote[IDENTITY_TEXT], owner[IDENTITY_TEXT];
    buf_printf(text, "no pre-shared key for %s and %s", identity_print(&prove->local, local, sizeof local),
               identity_print(&prove->remote, remote, sizeof remote));
    if (!secrets_count(role->secrets)) buf_add_text(text, "; no ike secret is loaded at all");
    for (size_t i = 0; i < secrets_count(role->secrets) && i < 8; i++) {
        const struct stored_secret *secret = secrets_at(role->secrets, i);
        buf_printf(text, "%s \"%s\" is for", i ? ";" : "; the secret", secret->id);
        for (unsigned j = 0; j < secret->owner_count; j++)
            buf_printf(text, " %s", identity_print(&secret->owners[j], owner, sizeof owner));
    }
}

// RFC 7296 2.15: AUTH = prf(prf(secret, "Key Pad for IKEv2"), octets).
static enum fault mac(const struct stored_secret *secret, const struct auth_octets *in, struct secret *out)
{
    SECRET(padded);
    struct signed_octets octets = {0};
    enum fault fault = prf(in->prf, secret_bytes(&secret->secret), PIECES(BYTES("Key Pad for IKEv2")), &padded);
    if (!fault) fault = octets_make(in, &octets);
    if (!fault) fault = prf(in->prf, secret_bytes(&padded), (struct bytes_list){octets.pieces, 4}, out);
    secret_wipe(&octets.id_mac);
    return fault;
}

// Ours, or the peer's checked; ours is made after the check only where the peer's is good.
static enum fault mac_prove(struct keys_role *role, const struct prove_message *prove, struct secret *out, struct buf *text)
{
    const struct stored_secret *secret = secret_choose(role, prove);
    SECRET(wanted);
    if (!secret) {
        secrets_explain(role, prove, text);
        return FAULT_PSK_MISSING;
    }
    if (prove->kind == IKE_PROVE_MAC) return mac(secret, &prove->octets, out);
    TRY(mac(secret, &prove->octets, &wanted));
    if (bytes_equal_secret(secret_bytes(&wanted), prove->expected))
        return prove->own.message.size ? mac(secret, &prove->own, out) : OK;
    buf_printf(text, "the peer's pre-shared key is not the one we have for it (secret \"%s\")", secret->id);
    return FAULT_PSK_WRONG;
}

static void prove(struct keys_role *role, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct prove_message message;
    AUTOFREE_BUF struct buf data = BUF(8192), text = BUF(4096);
    SECRET(tag);
    uint8_t method = AUTH_PSK;
    enum fault fault = prove_get(fields, &arena, &message);
    if (!fault && message.kind == IKE_PROVE_SIGN) fault = sign(role, &message, &method, &data, &text);
    else if (!fault) fault = mac_prove(role, &message, &tag, &text);
    if (tag.size) buf_add(&data, secret_bytes(&tag));
    struct proved_message answer = {.fault = fault, .text = text.size ? buf_text(&text) : NULL, .method = method,
                                    .data = fault ? BYTES_NONE : buf_bytes(&data)};
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_PROVED, number);
    proved_put(&out, &answer);
    link_send(role->ike, &out);
    arena_free(&arena);
}

// --- post-quantum pre-shared keys (RFC 8784, RFC 9867)

// RFC 8784 3: prf+(PPK, key) for each of the keys, as long as they were.
static enum fault ppk_mix(const struct stored_secret *ppk, const struct ppk_message *in, struct secret *out)
{
    size_t at = 0, total = in->keys[0].size + in->keys[1].size + in->keys[2].size;
    if (total > PPK_KEYS_MAX) return FAULT_MESSAGE_MALFORMED;
    secret_new(out, total);
    for (unsigned i = 0; i < 3; i++) {
        SECRET(mixed);
        if (!in->keys[i].size) continue;
        TRY(prf_plus(in->prf, secret_bytes(&ppk->secret), PIECES(in->keys[i]), in->keys[i].size, &mixed));
        memcpy(out->at + at, mixed.at, mixed.size);
        at += mixed.size;
    }
    return OK;
}

// RFC 9867 3.1: that we have the key: the first octets of prf(PPK, nonces | SPIs).
static enum fault ppk_prove(const struct stored_secret *ppk, const struct ppk_message *in, uint8_t proof[IKE_PPK_PROOF_SIZE])
{
    SECRET(tag);
    TRY(prf(in->prf, secret_bytes(&ppk->secret), PIECES(in->octets), &tag));
    if (tag.size < IKE_PPK_PROOF_SIZE) return FAULT_UNSUPPORTED_PRF;
    memcpy(proof, tag.at, IKE_PPK_PROOF_SIZE);
    return OK;
}

static enum fault ppk_find(const struct keys_role *role, const struct ppk_message *in, struct ppk_answer_message *out)
{
    for (unsigned i = 0; i < in->count; i++)
        if (secrets_ppk(role->secrets, in->names[i])) out->names |= (uint16_t)(1 << i);
    out->found = in->count ? out->names != 0 : secrets_ppk(role->secrets, BYTES_NONE) != NULL;
    return OK;
}

static enum fault ppk_confirm(const struct keys_role *role, const struct ppk_message *in, struct ppk_answer_message *out,
                              struct buf *proofs)
{
    for (unsigned i = 0; i < in->count; i++) {
        uint8_t proof[IKE_PPK_PROOF_SIZE] = {0};
        const struct stored_secret *ppk = secrets_ppk(role->secrets, in->names[i]);
        if (ppk) TRY(ppk_prove(ppk, in, proof));
        if (ppk) out->names |= (uint16_t)(1 << i);
        buf_add(proofs, BYTES_ARRAY(proof));
    }
    out->found = out->names != 0;
    return OK;
}

// The first that is there, and is the peer's, too, where it has shown what it has.
static enum fault ppk_take(const struct keys_role *role, const struct ppk_message *in, struct ppk_answer_message *out,
                           struct secret *mixed)
{
    for (unsigned i = 0; i < in->count; i++) {
        uint8_t proof[IKE_PPK_PROOF_SIZE];
        const struct stored_secret *ppk = secrets_ppk(role->secrets, in->names[i]);
        if (!ppk) continue;
        if (in->proofs[i].size) TRY(ppk_prove(ppk, in, proof));
        out->found = !in->proofs[i].size || bytes_equal_secret(BYTES_ARRAY(proof), in->proofs[i]);
        out->chosen = (uint8_t)i;
        if (out->found) return ppk_mix(ppk, in, mixed);
        out->names |= (uint16_t)(1 << i);
    }
    return OK;
}

static void ppk(struct keys_role *role, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct ppk_message message;
    struct ppk_answer_message answer = {0};
    AUTOFREE_BUF struct buf proofs = BUF(IKE_PPK_NAMES_MAX * IKE_PPK_PROOF_SIZE);
    SECRET(mixed);
    answer.fault = ppk_get(fields, &arena, &message);
    if (!answer.fault && message.kind == IKE_PPK_FIND) answer.fault = ppk_find(role, &message, &answer);
    else if (!answer.fault && message.kind == IKE_PPK_CONFIRM) answer.fault = ppk_confirm(role, &message, &answer, &proofs);
    else if (!answer.fault) answer.fault = ppk_take(role, &message, &answer, &mixed);
    answer.found = answer.found && !answer.fault;
    answer.proofs = buf_bytes(&proofs);
    answer.mixed = answer.found ? secret_bytes(&mixed) : BYTES_NONE;
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_PPK_ANSWER, number);
    ppk_answer_put(&out, &answer);
    link_send(role->ike, &out);
    memory_wipe(role->space, out.size);
    arena_free(&arena);
}

static void from_ike(void *context, const struct message_head *head, struct rd *fields)
{
    if (head->type == MESSAGE_PROVE) prove(context, head->number, fields);
    if (head->type == MESSAGE_PPK) ppk(context, head->number, fields);
}

int role_keys(const struct role_options *options)
{
    crypto_start();
    struct keys_role role = {.space = mem_new(IPC_MESSAGE_MAX), .secrets = secrets_new()};
    struct event_base *base = event_base_new();
    role.control = link_new(base, options->channel[ROLE_CONTROL], ROLE_KEYS, ROLE_CONTROL, from_control, &role);
    role.ike = link_new(base, options->channel[ROLE_IKE], ROLE_KEYS, ROLE_IKE, from_ike, &role);
    int code = role_loop(base, options->alive);
    secrets_free(role.secrets);
    while (role.key_count) private_key_free(role.keys[--role.key_count].key);
    return code;
}
