// SPDX-License-Identifier: Apache-2.0
// The trust role: it reads peers' certificates, judges them and their signatures, and asks for names. It holds trust anchors and no
// private key.
#include "conf/message.h"
#include "daemon/role.h"
#include "pki/pki.h"
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

enum { ANCHORS_MAX = 1024, RESOLVING_MAX = 256 };

// Files that say how names are looked up; they change when the host gets to another network.
static const char *const name_files[] = {"/etc/resolv.conf", "/etc/hosts"};
enum { NAME_FILES = sizeof name_files / sizeof *name_files };
struct file_state {
    struct timespec changed;
    ino_t inode;
    off_t size;
};

struct trust_role {
    struct event_base *base;
    struct evdns_base *dns;
    struct link *control, *ike;
    struct trust_store *store;
    struct file_state names[NAME_FILES];
    unsigned resolving;
    uint8_t *space;
};

// --- loading

static void result_send(struct trust_role *role, uint64_t number, enum fault fault, const char *text)
{
    struct result_message message = {.fault = fault, .text = text};
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_RESULT, number);
    result_put(&out, &message);
    link_send(role->control, &out);
}

// The ike role names our anchors to peers in CERTREQ.
static void anchors_send(struct trust_role *role)
{
    struct anchors_message *message = NEW(struct anchors_message);
    message->count = (uint16_t)trust_store_anchor_hashes(role->store, message->hashes, ANCHORS_MAX);
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_ANCHORS, 0);
    anchors_put(&out, message);
    link_send(role->ike, &out);
    free(message);
}

static void cert_load(struct trust_role *role, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct cert_message message;
    struct cert *cert = NULL;
    enum fault fault = cert_get(fields, &arena, &message);
    bool crl = !fault && message.type && strcasecmp(message.type, "X509_CRL") == 0;
    if (!fault && crl) fault = trust_store_add_crl(role->store, message.der);
    else if (!fault) fault = cert_parse(message.der, &cert);
    if (cert) {
        bool anchor = (message.flag && strcasecmp(message.flag, "CA") == 0) || cert_is_self_signed(cert);
        trust_store_add(role->store, cert, anchor);
        if (anchor) anchors_send(role);
    }
    result_send(role, number, fault, NULL);
    arena_free(&arena);
}

static void from_control(void *context, const struct message_head *head, struct rd *fields)
{
    struct trust_role *role = context;
    if (head->type == MESSAGE_CERT_LOAD) {
        cert_load(role, head->number, fields);
    } else if (head->type == MESSAGE_TRUST_CLEAR) {
        trust_store_clear(role->store);
        anchors_send(role);
        result_send(role, head->number, OK, NULL);
    }
}

// --- judging

struct judged_peer {
    struct cert *cert;
    const char *scheme;
};

static enum fault signature_check(const struct judge_message *message, const struct public_key *key, const char **scheme)
{
    SECRET(id_mac);
    const struct auth_octets *octets = &message->octets;
    TRY(prf(octets->prf, octets->sk_p, PIECES(octets->id_body), &id_mac));
    return auth_verify(key, message->method, message->data, message->schemes,
                       PIECES(octets->message, octets->nonce, secret_bytes(&id_mac), octets->int_auth), scheme);
}

static void auth_conf_rebuild(const struct judge_message *message, struct auth_conf *auth)
{
    auth->id = message->id;
    auth->revocation = message->revocation;
    auth->signature_schemes = message->schemes;
    auth->ca_id = message->ca_id;
    auth->policy_count = message->policy_count;
    memcpy(auth->policies, message->policies, sizeof auth->policies);
    auth->cert_count = message->only_count;
    auth->ca_count = message->ca_count;
    for (unsigned i = 0; i < message->only_count; i++) auth->certs[i].der = message->only[i];
    for (unsigned i = 0; i < message->ca_count; i++) auth->cas[i].der = message->cas[i];
}

// RFC 7670: raw keys that the connection names are trusted by that alone. One that was sent must be among them; else the
// signature says which of them it was.
static enum fault judge_raw(const struct judge_message *message, struct judged_peer *peer, struct buf *text)
{
    enum fault fault = FAULT_RAW_KEY_UNKNOWN;
    char hex[41];
    uint8_t id[20];
    for (unsigned i = 0; i < message->pubkey_count && !peer->scheme; i++) {
        struct public_key *key;
        if (message->raw_key.size && !bytes_equal(message->raw_key, message->pubkeys[i])) continue;
        TRY(public_key_read_spki(message->pubkeys[i], &key));
        peer->scheme = NULL;
        fault = signature_check(message, key, &peer->scheme);
        if (fault) peer->scheme = NULL;
        public_key_free(key);
    }
    if (!fault) return OK;
    buf_add_text(text, fault != FAULT_RAW_KEY_UNKNOWN ? "the signature fits none of the raw keys that the connection allows"
                       : message->pubkey_count         ? "the key it sent is not one of those that the connection allows"
                                                       : "the connection names no pubkeys");
    struct public_key *sent;
    if (!message->raw_key.size || public_key_read_spki(message->raw_key, &sent)) return fault;
    public_key_id(sent, id);
    public_key_free(sent);
    buf_printf(text, "; its key has the key id %s", bytes_hex(BYTES_ARRAY(id), hex, sizeof hex));
    return fault;
}

static bool is_about_raw_key(const struct judge_message *message)
{
    bool certs = message->only_count || message->ca_count;
    return (message->raw_key.size && !message->cert_count) || (message->pubkey_count && !(certs && message->cert_count));
}

static enum fault judge(struct trust_role *role, const struct judge_message *message, struct judged_peer *peer, struct buf *text)
{
    struct auth_conf auth = {.auth = AUTH_CLASS_PUBKEY};
    if (is_about_raw_key(message)) return judge_raw(message, peer, text);
    auth_conf_rebuild(message, &auth);
    struct judge_input input = {.certs = message->certs, .cert_count = message->cert_count, .id = message->id,
                                .auth = &auth, .now = (int64_t)time(NULL)};
    TRY(trust_judge(role->store, &input, &peer->cert, text));
    enum fault fault = signature_check(message, cert_public_key(peer->cert), &peer->scheme);
    if (fault) {
        char subject[IDENTITY_TEXT];
        struct identity name = cert_subject(peer->cert);
        buf_printf(text, "the signature does not fit the certificate of %s", identity_print(&name, subject, sizeof subject));
    }
    return fault;
}

static void judge_answer(struct trust_role *role, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct judge_message *message = NEW(struct judge_message);
    struct judged_peer peer = {0};
    AUTOFREE_BUF struct buf text = BUF(8192);
    enum fault fault = judge_get(fields, &arena, message);
    if (!fault) fault = judge(role, message, &peer, &text);
    struct judged_message answer = {.fault = fault, .text = text.size ? buf_text(&text) : NULL, .scheme = peer.scheme,
                                    .cert = peer.cert ? cert_der(peer.cert) : BYTES_NONE};
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_JUDGED, number);
    judged_put(&out, &answer);
    link_send(role->ike, &out);
    if (peer.cert) cert_free(peer.cert);
    free(message);
    arena_free(&arena);
}

// --- logins (EAP)

// Methods have their place here; as long as there is none, a login is refused by name.
static void login_answer(struct trust_role *role, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct login_message message;
    struct login_answer_message answer = {.fault = login_get(fields, &arena, &message)};
    if (!answer.fault) answer.fault = FAULT_EAP_UNSUPPORTED;
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_LOGIN_ANSWER, number);
    login_answer_put(&out, &answer);
    link_send(role->ike, &out);
    arena_free(&arena);
}

// --- names

struct name_question {
    struct trust_role *role;
    uint64_t number;
};

static void resolved_send(struct trust_role *role, uint64_t number, const struct resolved_message *message)
{
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_RESOLVED, number);
    resolved_put(&out, message);
    link_send(role->ike, &out);
}

static void addr_of_sockaddr(const struct sockaddr *in, struct addr *out)
{
    memset(out, 0, sizeof *out);
    if (in->sa_family == AF_INET) {
        out->family = ADDR_V4;
        memcpy(out->at, &((const struct sockaddr_in *)(const void *)in)->sin_addr, 4);
    } else if (in->sa_family == AF_INET6) {
        out->family = ADDR_V6;
        memcpy(out->at, &((const struct sockaddr_in6 *)(const void *)in)->sin6_addr, 16);
    }
}

static void name_resolved(int error, struct evutil_addrinfo *list, void *context)
{
    struct name_question *question = context;
    struct resolved_message message = {.fault = error ? FAULT_NAME_UNKNOWN : OK};
    for (struct evutil_addrinfo *at = list; at && message.count < 16; at = at->ai_next) {
        addr_of_sockaddr(at->ai_addr, &message.addrs[message.count]);
        if (message.addrs[message.count].family) message.count++;
    }
    if (list) evutil_freeaddrinfo(list);
    question->role->resolving--;
    resolved_send(question->role, question->number, &message);
    free(question);
}

static bool names_changed(struct trust_role *role)
{
    bool changed = false;
    for (unsigned i = 0; i < NAME_FILES; i++) {
        struct stat status;
        struct file_state now = {0};
        if (stat(name_files[i], &status) == 0)
            now = (struct file_state){status.st_mtim, status.st_ino, status.st_size};
        changed |= now.changed.tv_sec != role->names[i].changed.tv_sec || now.changed.tv_nsec != role->names[i].changed.tv_nsec ||
                   now.inode != role->names[i].inode || now.size != role->names[i].size;
        role->names[i] = now;
    }
    return changed;
}

// Questions that are under way go on with the servers that are there now.
static void names_refresh(struct trust_role *role)
{
    if (!names_changed(role)) return;
    evdns_base_clear_nameservers_and_suspend(role->dns);
    evdns_base_clear_host_addresses(role->dns);
    evdns_base_search_clear(role->dns);
    evdns_base_resolv_conf_parse(role->dns, DNS_OPTIONS_ALL, name_files[0]);   // hosts, too
    evdns_base_resume(role->dns);
}

static void resolve(struct trust_role *role, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct name_message message;
    struct resolved_message refused = {.fault = FAULT_NAME_UNKNOWN};
    enum fault fault = name_get(fields, &arena, &message);
    if (fault || !message.name || role->resolving >= RESOLVING_MAX) {
        resolved_send(role, number, &refused);
    } else {
        struct name_question *question = NEW(struct name_question);
        *question = (struct name_question){role, number};
        role->resolving++;
        names_refresh(role);
        struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
        evdns_getaddrinfo(role->dns, message.name, NULL, &hints, name_resolved, question);
    }
    arena_free(&arena);
}

static void from_ike(void *context, const struct message_head *head, struct rd *fields)
{
    if (head->type == MESSAGE_JUDGE) judge_answer(context, head->number, fields);
    else if (head->type == MESSAGE_LOGIN) login_answer(context, head->number, fields);
    else if (head->type == MESSAGE_RESOLVE) resolve(context, head->number, fields);
}

int role_trust(const struct role_options *options)
{
    crypto_start();
    struct trust_role role = {.space = mem_new(IPC_MESSAGE_MAX), .base = event_base_new(), .store = trust_store_new()};
    // resolv.conf and hosts are read when a name is asked for; without them names have no address, which is said then.
    role.dns = evdns_base_new(role.base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    role.control = link_new(role.base, options->channel[ROLE_CONTROL], ROLE_TRUST, ROLE_CONTROL, from_control, &role);
    role.ike = link_new(role.base, options->channel[ROLE_IKE], ROLE_TRUST, ROLE_IKE, from_ike, &role);
    int code = role_loop(role.base, options->alive);
    trust_store_free(role.store);
    return code;
}
