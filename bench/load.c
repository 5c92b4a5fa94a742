// SPDX-License-Identifier: Apache-2.0
// Load for a responder: one host with the addresses of many peers, on the core that the daemon
// runs. It sets up COUNT IKE SAs with a child each, at most K at once, every one with an address
// and an identity of its own, keeps them until its standard input closes, and prints what it saw as
// one line of JSON. It does not know what the responder is.
//
//     bench-load --to ADDR --from ADDR --count N --at-once K
//                (--psk SECRET | --ca-key FILE --ca FILE --key FILE)
//
// Peer n has the address FROM + n below 10.128 (the namespace must take it as its own), behind it
// the host with 128 more in the second octet, and as identity the name pN.load.example. With
// certificates each peer has one for that name, all for the same key; the responder's signature is
// checked as the daemon would, its chain once for all.
#include "base/wr.h"
#include "crypto/crypto.h"
#include "ike/ike.h"
#include "os/udp.h"
#include "pki/pki.h"
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    COUNT_MAX = 100000,
    AT_ONCE_MAX = 1024,
    RECEIVE_AT_ONCE = 64,
    FILE_MAX = 65536,
    WAITING_MAX = 64,
    DAY_SECONDS = 86400
};

struct load {
    struct addr to, from;
    unsigned count, at_once;
    const char *psk;
    struct private_key *ca_key, *key;
    struct public_key *public;
    struct cert *ca;
    struct trust_store *trust;
    struct cert **certs; // one a peer
    struct udp_ports ports;
    struct ike *core;
    struct ike_operation waiting[WAITING_MAX];
    unsigned waiting_count;
    unsigned started, up, failed;
    nsec *began, *took; // by peer; by order of end
    unsigned took_count;
    char failure[256];
};

static nsec now_get(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NSEC_PER_SECOND + now.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static void give_up(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void system_fill(struct rng *rng, void *out, size_t size)
{
    (void)rng;
    if (getrandom(out, size, 0) != (ssize_t)size) give_up("no randomness");
}

static struct rng rng = {.fill = system_fill};

// --- peers

static struct addr peer_addr(const struct load *load, unsigned peer)
{
    struct addr addr = load->from;
    uint32_t number = peer;
    for (unsigned i = 4; i-- > 0; number >>= 8) {
        number += addr.at[i];
        addr.at[i] = (uint8_t)number;
    }
    return addr;
}

static struct identity peer_id(unsigned peer, struct arena *arena)
{
    struct identity id;
    if (identity_parse(arena_printf(arena, "p%u.load.example", peer), arena, &id)) abort();
    return id;
}

static void cert_make(struct load *load, unsigned peer)
{
    struct arena arena = {0};
    struct identity name = peer_id(peer, &arena), subject;
    int64_t now = (int64_t)time(NULL);
    if (identity_parse(arena_printf(&arena, "CN=p%u.load.example", peer), &arena, &subject))
        abort();
    struct issue_request request = {.issuer_key = load->ca_key,
                                    .issuer = load->ca,
                                    .subject_key = load->public,
                                    .subject = subject,
                                    .alt_names = &name,
                                    .alt_name_count = 1,
                                    .path_length = -1,
                                    .not_before = now - DAY_SECONDS,
                                    .not_after = now + DAY_SECONDS};
    enum fault fault = cert_issue(&request, &load->certs[peer]);
    if (fault) give_up("certificate of peer %u: %s", peer, fault_sentence(fault));
    arena_free(&arena);
}

static void proposal_only(struct proposals *out, const char *text, enum iana_protocol protocol)
{
    struct bytes bad;
    if (proposal_parse(text, protocol, &out->at[out->count++], &bad)) abort();
}

static void rounds_make(const struct load *load, unsigned peer, struct conn *conn)
{
    struct auth_conf *local = &conn->local[0], *remote = &conn->remote[0];
    conn->local_rounds = conn->remote_rounds = 1;
    local->auth = remote->auth = load->psk ? AUTH_CLASS_PSK : AUTH_CLASS_PUBKEY;
    local->id = peer_id(peer, &conn->arena);
    if (load->psk) return;
    local->cert_count = 1;
    local->certs[0].der = arena_copy(&conn->arena, cert_der(load->certs[peer]));
    cert_key_id(load->certs[peer], local->certs[0].key_id);
}

static struct conn *conn_make(const struct load *load, unsigned peer)
{
    struct conn *conn = NEW(struct conn);
    struct addr here = peer_addr(load, peer);
    conn->references = 1;
    conn->name = arena_printf(&conn->arena, "p%u", peer);
    conn->version = 2;
    conn->local_count = conn->remote_count = 1;
    conn->local_hosts[0] = (struct host_pattern){.kind = HOST_RANGE, .range = {here, here}};
    conn->remote_hosts[0] =
        (struct host_pattern){.kind = HOST_RANGE, .range = {load->to, load->to}};
    conn->local_port = conn->remote_port = 500;
    proposal_only(&conn->ike, "aes128gcm16-prfsha256-curve25519", PROTOCOL_IKE);
    conn->fragmentation = FRAGMENTATION_YES;
    conn->unique = UNIQUE_NO;
    conn->send_cert = CERT_ALWAYS;
    conn->send_certreq = true;
    conn->keyingtries = 1;
    rounds_make(load, peer, conn);
    struct child_conf *child = arena_new(&conn->arena, sizeof *child);
    conn->children = child;
    conn->child_count = 1;
    child->name = "load";
    child->conn = conn;
    proposal_only(&child->esp, "aes128gcm16", PROTOCOL_ESP);
    child->local_ts.count = child->remote_ts.count = 1;
    struct addr behind = here;
    behind.at[1] |= 0x80;
    child->local_ts.at[0] = selector_of_addr(&behind);
    if (selector_parse("10.1.0.0/16", &child->remote_ts.at[0])) abort();
    child->mode = MODE_TUNNEL;
    child->replay_window = 32;
    child->policies = true;
    return conn;
}

// --- operations of the core

static enum fault octets_make(const struct auth_octets *in, struct secret *id_mac,
                              struct bytes pieces[4])
{
    TRY(prf(in->prf, in->sk_p, PIECES(in->id_body), id_mac));
    pieces[0] = in->message;
    pieces[1] = in->nonce;
    pieces[2] = secret_bytes(id_mac);
    pieces[3] = in->int_auth;
    return OK;
}

static enum fault prove(const struct load *load, const struct ike_operation *operation,
                        struct ike_answer *answer, struct buf *out)
{
    SECRET(id_mac);
    SECRET(pad);
    SECRET(tag);
    struct bytes pieces[4];
    const struct auth_octets *octets = &operation->prove.octets;
    TRY(octets_make(octets, &id_mac, pieces));
    if (operation->prove.kind == IKE_PROVE_SIGN)
        return auth_sign(load->key, operation->prove.hashes, BYTES_NONE,
                         (struct bytes_list){pieces, 4}, &answer->method, out);
    if (!load->psk) return FAULT_PSK_MISSING;
    answer->method = AUTH_PSK;
    TRY(prf(octets->prf, bytes_of_text(load->psk), PIECES(BYTES("Key Pad for IKEv2")), &pad));
    TRY(prf(octets->prf, secret_bytes(&pad), (struct bytes_list){pieces, 4}, &tag));
    buf_add(out, secret_bytes(&tag));
    if (operation->prove.kind == IKE_PROVE_MAC) return OK;
    return bytes_equal_secret(secret_bytes(&tag), operation->prove.expected) ? OK : FAULT_PSK_WRONG;
}

static enum fault judge(const struct load *load, const struct ike_operation *operation,
                        struct ike_answer *answer, struct buf *out)
{
    SECRET(id_mac);
    struct bytes pieces[4];
    struct cert *peer = NULL;
    struct judge_input input = {.certs = operation->judge.certs,
                                .cert_count = operation->judge.cert_count,
                                .id = operation->judge.id,
                                .auth = operation->judge.auth,
                                .now = (int64_t)time(NULL)};
    AUTOFREE_BUF struct buf text = BUF(4096);
    TRY(trust_judge(load->trust, &input, &peer, &text));
    enum fault fault = octets_make(&operation->judge.octets, &id_mac, pieces);
    if (!fault)
        fault = auth_verify(cert_public_key(peer), operation->judge.method, operation->judge.data,
                            BYTES_NONE, (struct bytes_list){pieces, 4}, &answer->scheme);
    buf_add(out, cert_der(peer));
    answer->cert = buf_bytes(out);
    cert_free(peer);
    return fault;
}

static void step(struct load *load, struct ike_in *in);

static void operation_do(struct load *load, const struct ike_operation *operation)
{
    struct ike_answer answer = {.number = operation->number};
    AUTOFREE_BUF struct buf out = BUF(FILE_MAX);
    switch (operation->kind) {
    case IKE_OP_KE_MAKE:
        answer.fault = ke_make(operation->ke, &rng, &answer.private, &out);
        break;
    case IKE_OP_KE_SHARE:
        answer.fault =
            ke_share(operation->ke, operation->private, operation->peer_public, &answer.shared);
        break;
    case IKE_OP_KE_ANSWER:
        answer.fault = ke_answer(operation->ke, &rng, operation->peer_public, &out, &answer.shared);
        break;
    case IKE_OP_PROVE:
        answer.fault = prove(load, operation, &answer, &out);
        break;
    case IKE_OP_JUDGE:
        answer.fault = judge(load, operation, &answer, &out);
        break;
    case IKE_OP_RESOLVE:
        answer.path.local = (struct endpoint){operation->resolve.local[0].range.low, 500};
        answer.path.remote = (struct endpoint){load->to, 500};
        break;
    }
    answer.data = buf_bytes(&out);
    struct ike_in in = {.kind = IKE_IN_ANSWER, .answer = &answer};
    step(load, &in);
    secret_wipe(&answer.private);
    secret_wipe(&answer.shared);
}

// --- outputs

static void send_out(struct load *load, const struct ike_out *out)
{
    int fd = out->send.path.encap ? load->ports.ike_nat : load->ports.ike;
    uint8_t space[4 + 65536];
    struct wr datagram = wr_over(space, sizeof space);
    // RFC 3948 2.2: four zero bytes tell IKE from ESP on port 4500.
    if (out->send.path.encap) wr_u32(&datagram, 0);
    wr_bytes(&datagram, out->send.bytes);
    enum fault fault =
        udp_send(fd, &out->send.path.local, &out->send.path.remote, 0, wr_done(&datagram));
    if (fault) give_up("cannot send: %s (%s)", fault_sentence(fault), strerror(errno));
}

static void peer_done(struct load *load, const struct ike_out *out)
{
    unsigned peer = out->done.command - 1;
    if (out->done.fault) {
        load->failed++;
        if (!load->failure[0])
            snprintf(load->failure, sizeof load->failure, "%s: %.160s", fault_name(out->done.fault),
                     out->done.text ? out->done.text : "");
    } else {
        load->up++;
        load->took[load->took_count++] = now_get() - load->began[peer];
    }
}

static void perform(struct load *load, const struct ike_out *out)
{
    switch (out->kind) {
    case IKE_OUT_SEND:
        if (!out->send.keepalive) send_out(load, out);
        break;
    case IKE_OUT_OPERATION:
        if (load->waiting_count == WAITING_MAX) give_up("too many operations at once");
        load->waiting[load->waiting_count++] = out->operation;
        break;
    case IKE_OUT_DONE:
        if (out->done.command) peer_done(load, out);
        break;
    }
}

// What an operation points to is borrowed until the next step, and answering one is a step; but
// what waits is kept by its exchange, so they are answered one by one, those of a later step
// behind.
static void step(struct load *load, struct ike_in *in)
{
    struct ike_out out;
    in->now = now_get();
    ike_step(load->core, in);
    while (ike_next(load->core, &out)) perform(load, &out);
    while (load->waiting_count) {
        struct ike_operation operation = load->waiting[0];
        memmove(load->waiting, load->waiting + 1, --load->waiting_count * sizeof *load->waiting);
        operation_do(load, &operation);
    }
}

// --- the run

// A connection is known to the core only until its SA holds it.
static void peer_start(struct load *load)
{
    unsigned peer = load->started++;
    struct conn *conn = conn_make(load, peer);
    struct ike_in loading = {.kind = IKE_IN_CONN_LOAD, .conn = conn};
    step(load, &loading);
    load->began[peer] = now_get();
    struct ike_in initiate = {.kind = IKE_IN_COMMAND};
    initiate.command = (struct ike_command){
        .number = peer + 1, .kind = IKE_INITIATE, .conn = conn->name, .child = "load"};
    step(load, &initiate);
    struct ike_in unloading = {.kind = IKE_IN_CONN_UNLOAD, .name = conn->name};
    step(load, &unloading);
    conn_release(conn);
}

static void receive(struct load *load, int fd, uint16_t port)
{
    static uint8_t space[65536];
    struct datagram datagram;
    size_t marker = port == 4500 ? 4 : 0;
    for (unsigned i = 0; i < RECEIVE_AT_ONCE; i++) {
        if (!udp_receive(fd, port, space, sizeof space, &datagram)) return;
        if (datagram.size < marker) continue;
        struct ike_in in = {.kind = IKE_IN_DATAGRAM};
        in.datagram.path = (struct path){datagram.local, datagram.remote, marker > 0};
        in.datagram.bytes = bytes_of(space + marker, datagram.size - marker);
        step(load, &in);
    }
}

// False when standard input closed.
static bool turn(struct load *load, int also)
{
    nsec due = ike_deadline(load->core), now = now_get();
    int wait =
        due == NSEC_NEVER || due - now > NSEC_PER_SECOND ? 1000 : (int)((due - now) / NSEC_PER_MS);
    struct pollfd at[] = {{.fd = load->ports.ike, .events = POLLIN},
                          {.fd = load->ports.ike_nat, .events = POLLIN},
                          {.fd = also, .events = POLLIN}};
    if (poll(at, 3, wait < 0 ? 0 : wait) < 0 && errno != EINTR)
        give_up("poll: %s", strerror(errno));
    if (at[0].revents) receive(load, load->ports.ike, 500);
    if (at[1].revents) receive(load, load->ports.ike_nat, 4500);
    if (ike_deadline(load->core) <= now_get()) {
        struct ike_in in = {.kind = IKE_IN_TIMER};
        step(load, &in);
    }
    return !at[2].revents;
}

static int nsec_compare(const void *a, const void *b)
{
    nsec x = *(const nsec *)a, y = *(const nsec *)b;
    return (x > y) - (x < y);
}

static void report(struct load *load, nsec span)
{
    qsort(load->took, load->took_count, sizeof *load->took, nsec_compare);
    nsec half = 0, nearly_all = 0;
    if (load->took_count) {
        half = load->took[load->took_count / 2];
        nearly_all = load->took[(size_t)load->took_count * 99 / 100];
    }
    printf(
        "{\"up\": %u, \"failed\": %u, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
        "\"retransmits\": %llu, \"failure\": \"%s\"}\n",
        load->up, load->failed, (double)span / 1e9, (double)half / 1e3, (double)nearly_all / 1e3,
        (unsigned long long)ike_stats(load->core)->retransmits_sent, load->failure);
    fflush(stdout);
}

static void run(struct load *load)
{
    struct ike_settings settings = ike_settings_default();
    settings.sas_max = load->count * 2;
    load->core = ike_new(&rng, &settings);
    load->began = mem_array(load->count, sizeof *load->began);
    load->took = mem_array(load->count, sizeof *load->took);
    if (load->ca) { // RFC 7296 3.7: CERTREQ names the anchor, so that certificates are sent
        uint8_t hashes[1][20];
        cert_spki_hash(load->ca, hashes[0]);
        struct ike_in in = {.kind = IKE_IN_ANCHORS};
        in.anchors.hashes = (const uint8_t(*)[20])hashes;
        in.anchors.count = 1;
        step(load, &in);
    }
    nsec start = now_get();
    while (load->up + load->failed < load->count) {
        while (load->started < load->count &&
               load->started - load->up - load->failed < load->at_once)
            peer_start(load);
        turn(load, -1);
    }
    report(load, now_get() - start);
    while (turn(load, STDIN_FILENO)) continue;
}

// --- start

static struct bytes file_read(const char *path)
{
    static uint8_t space[FILE_MAX];
    FILE *file = fopen(path, "re");
    if (!file) give_up("%s: %s", path, strerror(errno));
    size_t size = fread(space, 1, sizeof space, file);
    fclose(file);
    return bytes_of(space, size);
}

static struct private_key *key_read(const char *path)
{
    struct private_key *key = NULL;
    enum fault fault = private_key_read(file_read(path), BYTES_NONE, &key);
    if (fault) give_up("%s: %s", path, fault_sentence(fault));
    return key;
}

static void certs_make(struct load *load, const char *ca_key, const char *ca, const char *key)
{
    load->ca_key = key_read(ca_key);
    load->key = key_read(key);
    load->public = private_key_public(load->key);
    if (cert_parse(file_read(ca), &load->ca)) give_up("%s: no certificate", ca);
    load->trust = trust_store_new();
    trust_store_add(load->trust, cert_hold(load->ca), true);
    load->certs = mem_array(load->count, sizeof(struct cert *));
    for (unsigned peer = 0; peer < load->count; peer++) cert_make(load, peer);
}

static void usage(void)
{
    give_up(
        "usage: bench-load --to ADDR --from ADDR --count N --at-once K (--psk SECRET | "
        "--ca-key FILE --ca FILE --key FILE)");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"to", 1, NULL, 't'},      {"from", 1, NULL, 'f'}, {"count", 1, NULL, 'n'},
        {"at-once", 1, NULL, 'k'}, {"psk", 1, NULL, 'p'},  {"ca-key", 1, NULL, 'K'},
        {"ca", 1, NULL, 'c'},      {"key", 1, NULL, 's'},  {NULL, 0, NULL, 0},
    };
    struct load load = {.count = 1, .at_once = 1};
    const char *ca_key = NULL, *ca = NULL, *key = NULL, *text = NULL;
    for (int word; (word = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (word) {
        case 't':
            if (addr_parse(optarg, &load.to)) usage();
            break;
        case 'f':
            if (addr_parse(optarg, &load.from)) usage();
            break;
        case 'n':
            load.count = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'k':
            load.at_once = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'p':
            load.psk = optarg;
            break;
        case 'K':
            ca_key = optarg;
            break;
        case 'c':
            ca = optarg;
            break;
        case 's':
            key = optarg;
            break;
        default:
            usage();
        }
    if (load.to.family != ADDR_V4 || load.from.family != ADDR_V4 || !load.count ||
        load.count > COUNT_MAX || !load.at_once || load.at_once > AT_ONCE_MAX ||
        !load.psk == !(ca_key && ca && key))
        usage();
    crypto_start();
    if (!load.psk) certs_make(&load, ca_key, ca, key);
    enum fault fault = udp_open(ADDR_V4, 500, 4500, 1, 0, &load.ports, &text);
    if (fault) give_up("%s %s", fault_sentence(fault), text ? text : "");
    run(&load);
    return 0;
}
