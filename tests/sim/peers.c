// SPDX-License-Identifier: Apache-2.0
// Many peers on one responder: what each costs in memory and core time, and that this does not grow
// with their number. The responder is one core; the peers live in cores of GROUP each, so that what
// is measured is the responder's alone. All peers share one connection, whose identity and selector
// are the peer's address; a peer costs its core no more than its SAs. Time is the process's, spent within the responder's steps;
// key exchange and authentication are other processes' work in the daemon and are left out.
#include "sim.h"
#include "conf/options.h"
#include "crypto/crypto.h"
#include <malloc.h>
#include <stdio.h>
#include <time.h>

enum { GROUP = 250, RESPONDER = 0 };

struct flying {
    size_t to; // RESPONDER, or 1 + number of the group
    struct path path;
    struct bytes bytes;
};

struct cost {
    double memory;                      // bytes per IKE SA with its child
    double handshake, rekey, liveness;  // microseconds of core time each
};

struct crowd {
    unsigned count;
    size_t core_count;
    struct ike **cores; // the responder, then the groups
    struct rng_seeded *rngs;
    struct ike_settings settings;
    nsec now;
    struct flying *flying; // a ring
    size_t ring, first, waiting;
    uint64_t responder_time; // within its steps, nanoseconds
    unsigned beginning;      // the peer that resolves its address
    uint64_t rekeyed, up, failed;
};

static uint64_t time_used(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static struct addr address_of(unsigned peer)
{
    return addr_v4(11, (uint8_t)(peer >> 16), (uint8_t)(peer >> 8), (uint8_t)peer);
}

static size_t core_at(const struct addr *addr)
{
    unsigned peer = (unsigned)addr->at[1] << 16 | (unsigned)addr->at[2] << 8 | addr->at[3];
    return addr->at[0] == 192 ? RESPONDER : 1 + peer / GROUP;
}

// --- the other processes' part of a handshake, as small as can be

static enum fault prove(const struct ike_operation *operation, struct ike_answer *answer)
{
    const struct auth_octets *octets = &operation->prove.octets;
    SECRET(padded);
    SECRET(id_mac);
    SECRET(tag);
    TRY(prf(octets->prf, BYTES("many"), PIECES(BYTES("Key Pad for IKEv2")), &padded));
    TRY(prf(octets->prf, octets->sk_p, PIECES(octets->id_body), &id_mac));
    TRY(prf(octets->prf, secret_bytes(&padded),
            PIECES(octets->message, octets->nonce, secret_bytes(&id_mac), octets->int_auth), &tag));
    answer->method = AUTH_PSK;
    if (operation->prove.kind == IKE_PROVE_MAC) answer->data = mem_copy(secret_bytes(&tag));
    else if (!bytes_equal_secret(secret_bytes(&tag), operation->prove.expected)) return FAULT_PSK_WRONG;
    return OK;
}

static void perform(struct crowd *crowd, size_t core, const struct ike_operation *operation,
                    struct ike_answer *answer)
{
    struct rng *rng = &crowd->rngs[core].rng;
    AUTOFREE_BUF struct buf public = BUF(65536);
    answer->number = operation->number;
    switch (operation->kind) {
    case IKE_OP_KE_MAKE:
        answer->fault = ke_make(operation->ke, rng, &answer->private, &public);
        break;
    case IKE_OP_KE_SHARE:
        answer->fault = ke_share(operation->ke, operation->private, operation->peer_public, &answer->shared);
        break;
    case IKE_OP_KE_ANSWER:
        answer->fault = ke_answer(operation->ke, rng, operation->peer_public, &public, &answer->shared);
        break;
    case IKE_OP_PROVE:
        answer->fault = prove(operation, answer);
        break;
    case IKE_OP_RESOLVE:
        answer->path = (struct path){{address_of(crowd->beginning), 500}, {addr_v4(192, 0, 2, 1), 500}, false};
        break;
    default:
        answer->fault = FAULT_NO_PROPOSAL_CHOSEN;
    }
    if (public.size) answer->data = mem_copy(buf_bytes(&public));
}

static void answer_free(struct ike_answer *answer)
{
    secret_wipe(&answer->private);
    secret_wipe(&answer->shared);
    mem_drop(&answer->data);
    free(answer);
}

// --- steps

static void fly(struct crowd *crowd, const struct path *path, struct bytes bytes)
{
    if (crowd->waiting == crowd->ring) { // grows, in order
        struct flying *more = mem_array(crowd->ring * 2, sizeof *more);
        for (size_t i = 0; i < crowd->waiting; i++)
            more[i] = crowd->flying[(crowd->first + i) % crowd->ring];
        free(crowd->flying);
        crowd->flying = more;
        crowd->first = 0;
        crowd->ring *= 2;
    }
    crowd->flying[(crowd->first + crowd->waiting++) % crowd->ring] = (struct flying){
        core_at(&path->remote.addr), {path->remote, path->local, path->encap}, mem_copy(bytes)};
}

static void output(struct crowd *crowd, size_t core, const struct ike_out *out,
                   struct ike_answer **answers, size_t *answer_count)
{
    if (out->kind == IKE_OUT_SEND) {
        fly(crowd, &out->send.path, out->send.bytes);
    } else if (out->kind == IKE_OUT_OPERATION && *answer_count < 8) {
        answers[*answer_count] = NEW(struct ike_answer);
        perform(crowd, core, &out->operation, answers[(*answer_count)++]);
    } else if (out->kind == IKE_OUT_DONE) {
        crowd->failed += out->done.fault != OK;
    } else if (out->kind == IKE_OUT_EVENT && core == RESPONDER) {
        crowd->up += out->event.kind == IKE_EVENT_CHILD_UP;
        crowd->rekeyed += out->event.kind == IKE_EVENT_CHILD_REKEYED;
    }
}

static void core_step(struct crowd *crowd, size_t core, struct ike_in *in)
{
    bool measured = core == RESPONDER;
    uint64_t began = measured ? time_used() : 0;
    in->now = crowd->now;
    ike_step(crowd->cores[core], in);
    if (measured) crowd->responder_time += time_used() - began;
}

static void input(struct crowd *crowd, size_t core, struct ike_in *in)
{
    struct ike_answer *answers[8];
    size_t count = 0;
    struct ike_out out;
    core_step(crowd, core, in);
    while (ike_next(crowd->cores[core], &out)) output(crowd, core, &out, answers, &count);
    for (size_t i = 0; i < count; i++) {
        struct ike_in give = {.kind = IKE_IN_ANSWER, .answer = answers[i]};
        input(crowd, core, &give);
        answer_free(answers[i]);
    }
}

// Until nothing is on the way.
static void settle(struct crowd *crowd)
{
    while (crowd->waiting) {
        struct flying flying = crowd->flying[crowd->first];
        crowd->first = (crowd->first + 1) % crowd->ring;
        crowd->waiting--;
        struct ike_in in = {.kind = IKE_IN_DATAGRAM};
        in.datagram.path = flying.path;
        in.datagram.bytes = flying.bytes;
        input(crowd, flying.to, &in);
        mem_drop(&flying.bytes);
    }
}

static void run_until(struct crowd *crowd, nsec end)
{
    for (;;) {
        size_t soonest = 0;
        nsec at = NSEC_NEVER;
        for (size_t i = 0; i < crowd->core_count; i++) {
            nsec due = ike_deadline(crowd->cores[i]);
            if (due < at) at = due, soonest = i;
        }
        if (at > end) break;
        if (at > crowd->now) crowd->now = at;
        struct ike_in in = {.kind = IKE_IN_TIMER};
        input(crowd, soonest, &in);
        settle(crowd);
    }
    crowd->now = end;
}

// --- the run

static const char responder_form[] =
    "connections {\n many {\n  local_addrs = 192.0.2.1\n  remote_addrs = %any\n  dpd_delay = 100s\n"
    "  rekey_time = 0s\n  proposals = aes128gcm16-prfsha256-curve25519\n  local {\n   auth = psk\n   id = hub\n"
    "  }\n  remote {\n   auth = psk\n   id = %any\n  }\n  children {\n   c {\n"
    "    local_ts = 10.0.0.0/16\n    remote_ts = 11.0.0.0/8\n    esp_proposals = aes128gcm16\n"
    "    rekey_time = 1000s\n   }\n  }\n }\n}\n";

static const char peer_form[] =
    "connections {\n peer {\n  local_addrs = 11.0.0.0/8\n  remote_addrs = 192.0.2.1\n  rekey_time = 0s\n"
    "  proposals = aes128gcm16-prfsha256-curve25519\n  local {\n   auth = psk\n  }\n"
    "  remote {\n   auth = psk\n   id = hub\n  }\n  children {\n   c {\n    local_ts = dynamic\n"
    "    remote_ts = 10.0.0.0/16\n    esp_proposals = aes128gcm16\n    rekey_time = 0s\n   }\n  }\n }\n}\n";

static struct conn *conn_of(const char *text)
{
    struct arena arena = {0};
    struct complaints complaints = {0};
    struct tree *root = settings_parse("peers", bytes_of_text(text), &arena, &complaints);
    const struct tree *connections = root ? tree_section(root, "connections") : NULL;
    struct conn *conn = connections ? options_conn(connections->first, &complaints) : NULL;
    complaints_free(&complaints);
    arena_free(&arena);
    return conn;
}

static void load(struct crowd *crowd, size_t core, struct conn *conn)
{
    struct ike_in in = {.kind = IKE_IN_CONN_LOAD, .conn = conn};
    input(crowd, core, &in);
}

static void unload(struct crowd *crowd, size_t core, const char *name)
{
    struct ike_in in = {.kind = IKE_IN_CONN_UNLOAD, .name = name};
    input(crowd, core, &in);
}

static void crowd_init(struct crowd *crowd, unsigned count, uint64_t seed)
{
    *crowd = (struct crowd){.count = count, .core_count = 1 + (count + GROUP - 1) / GROUP, .ring = 1024,
                            .settings = ike_settings_default()};
    crowd->settings.sas_max = count + 16;
    crowd->flying = mem_array(crowd->ring, sizeof *crowd->flying);
    crowd->cores = mem_array(crowd->core_count, sizeof *crowd->cores);
    crowd->rngs = mem_array(crowd->core_count, sizeof *crowd->rngs);
    for (size_t i = 0; i < crowd->core_count; i++) {
        rng_seed(&crowd->rngs[i], seed + i);
        crowd->cores[i] = ike_new(&crowd->rngs[i].rng, &crowd->settings);
    }
}

static void crowd_free(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->core_count; i++) ike_free(crowd->cores[i]);
    for (; crowd->waiting; crowd->waiting--, crowd->first = (crowd->first + 1) % crowd->ring)
        mem_drop(&crowd->flying[crowd->first].bytes);
    free(crowd->flying);
    free(crowd->cores);
    free(crowd->rngs);
}

// A connection that is loaded anew has no IKE SA yet, so each peer makes one of its own.
static void all_come_up(struct crowd *crowd, struct conn *conn)
{
    for (unsigned i = 0; i < crowd->count; i++) {
        size_t core = 1 + i / GROUP;
        crowd->beginning = i;
        crowd->now += nsec_ms(1);
        load(crowd, core, conn);
        struct ike_in in = {.kind = IKE_IN_COMMAND};
        in.command = (struct ike_command){.number = i + 1, .kind = IKE_INITIATE, .conn = "peer", .child = "c"};
        input(crowd, core, &in);
        settle(crowd);
        unload(crowd, core, "peer");
    }
}

// What the responder holds is what comes back when it ends.
static double responder_memory(struct crowd *crowd)
{
    size_t before = mallinfo2().uordblks;
    ike_free(crowd->cores[RESPONDER]);
    crowd->cores[RESPONDER] = NULL;
    return (double)(before - mallinfo2().uordblks) / crowd->count;
}

static double each(uint64_t nanoseconds, uint64_t count)
{
    return count ? (double)nanoseconds / 1000.0 / (double)count : 0;
}

// False when not all of them did what is measured.
static bool measure(unsigned count, uint64_t seed, struct cost *cost)
{
    struct crowd crowd;
    crowd_init(&crowd, count, seed);
    struct conn *hub = conn_of(responder_form), *peer = conn_of(peer_form);
    bool good = hub && peer;
    if (!good) return false;
    load(&crowd, RESPONDER, hub);
    uint64_t time = crowd.responder_time = 0;
    all_come_up(&crowd, peer);
    good = crowd.up == count && !crowd.failed;
    cost->handshake = each(crowd.responder_time, count);

    const struct ike_stats *stats = ike_stats(crowd.cores[RESPONDER]);
    uint64_t asked = stats->counters[COUNT_INFORMATIONAL + COUNT_OUT_REQUEST];
    time = crowd.responder_time;
    run_until(&crowd, crowd.now + nsec_seconds(250));
    asked = stats->counters[COUNT_INFORMATIONAL + COUNT_OUT_REQUEST] - asked;
    good = good && asked >= count;
    cost->liveness = each(crowd.responder_time - time, asked);

    // Each rekeying is an exchange, the deletion of the old child another; liveness goes on beside.
    time = crowd.responder_time;
    run_until(&crowd, crowd.now + nsec_seconds(1100));
    good = good && crowd.rekeyed >= count;
    cost->rekey = each(crowd.responder_time - time, crowd.rekeyed);
    good = good && stats->sas == count && stats->children >= count;
    cost->memory = responder_memory(&crowd);
    crowd_free(&crowd);
    conn_release(hub);
    conn_release(peer);
    return good;
}

static void print(unsigned count, const struct cost *cost)
{
    printf("%7u peers: %.0f bytes per SA; core time %.1f us per handshake, %.1f per rekey and what is "
           "between, %.1f per liveness check\n",
           count, cost->memory, cost->handshake, cost->rekey, cost->liveness);
    fflush(stdout);
}

// Caches become too small as tables grow; a cost that is linear in the number would be tenfold.
static bool is_flat(const char *what, double few, double many, double factor)
{
    if (many <= few * factor) return true;
    printf("FAIL the %s of a peer grows with their number: %.1f, then %.1f\n", what, few, many);
    return false;
}

int peers_run(unsigned count, uint64_t seed)
{
    struct cost few, many;
    if (count < 100) count = 100;
    if (!measure(count / 10, seed, &few) || !measure(count, seed, &many)) {
        printf("FAIL not all of %u peers were set up, rekeyed and found alive\n", count);
        return 1;
    }
    print(count / 10, &few);
    print(count, &many);
    bool flat = is_flat("memory", few.memory, many.memory, 1.3);
    flat = is_flat("handshake", few.handshake, many.handshake, 3) && flat;
    flat = is_flat("rekeying", few.rekey, many.rekey, 3) && flat;
    return is_flat("liveness check", few.liveness, many.liveness, 3) && flat ? 0 : 1;
}
