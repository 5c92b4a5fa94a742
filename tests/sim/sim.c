// SPDX-License-Identifier: Apache-2.0
// The simulated world: hosts, a stand-in for the other processes, an event
// queue of datagrams and deadlines, commands.
#include "world.h"
#include "conf/options.h"
#include "crypto/crypto.h"
#include <assert.h>
#include <stdio.h>

static const char config_form[] =
    "connections {\n gw {\n  version = 2\n  local_addrs = %s\n  remote_addrs = %s\n  proposals = aes128gcm16-prfsha256-curve25519\n%s\n"
    "  local {\n   auth = psk\n   id = %s.example.org\n  }\n  remote {\n   auth = psk\n   id = %s.example.org\n  }\n  children {\n"
    "   lan {\n    local_ts = 10.%d.0.0/24\n    remote_ts = 10.%d.0.0/24\n    esp_proposals = aes128gcm16\n%s\n   }\n"
    "   other {\n    local_ts = 10.%d.1.0/24\n    remote_ts = 10.%d.1.0/24\n    esp_proposals = aes128gcm16\n%s\n   }\n  }\n }\n}\n";

void sim_fail(struct sim *sim, const char *file, int line, const char *claim)
{
    if (sim->failure) return;
    snprintf(sim->failure_text, sizeof sim->failure_text, "%s:%d: %s", file, line, claim);
    sim->failure = sim->failure_text;
}

// --- hosts

static void conn_in(struct sim_host *host)
{
    struct arena arena = {0};
    struct complaints complaints = {0};
    struct tree *root = settings_parse("sim", bytes_of_text(host->config), &arena, &complaints);
    const struct tree *connections = root ? tree_section(root, "connections") : NULL;
    TREE_EACH(section, connections) {
        struct conn *conn = options_conn(section, &complaints);
        if (!conn) continue;
        if (host->eap) conn->local[0].auth = conn->remote[0].auth = AUTH_CLASS_EAP;
        struct ike_in in = {.kind = IKE_IN_CONN_LOAD, .conn = conn};
        host_input(host, &in);
        conn_release(conn);
    }
    if (complaints.errors) {
        AUTOFREE_BUF struct buf text = BUF(65536);
        complaints_print(&complaints, &text);
        fprintf(stderr, "%s", buf_text(&text));
        sim_fail(host->sim, __FILE__, __LINE__, "the configuration is good");
    }
    complaints_free(&complaints);
    arena_free(&arena);
}

static const uint8_t qcd_secrets[SIM_HOSTS_MAX][32] = {{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, {10}};

static void host_init(struct sim *sim, const char *name, struct addr addr, char *config)
{
    assert(sim->host_count < SIM_HOSTS_MAX);
    struct sim_host *host = &sim->hosts[sim->host_count++];
    *host = (struct sim_host){.sim = sim, .name = name, .addr = addr, .config = config, .secret = "simulated secret",
                              .settings = ike_settings_default(), .log = BUF(1024 * 1024)};
    // RFC 6290 9.2: hosts that are there at the same time have different ones.
    host->settings.qcd_secret = BYTES_ARRAY(qcd_secrets[sim->host_count - 1]);
    rng_seed(&host->rng, sim->seed * 31 + sim->host_count);
}

static void world_init(struct sim *sim, uint64_t seed)
{
    bool verbose = sim->verbose;
    memset(sim, 0, sizeof *sim);
    sim->seed = seed;
    sim->delay = nsec_ms(20);
    sim->verbose = verbose;
    rng_seed(&sim->rng, seed);
    map_init(&sim->keys_seen, seed, 1);
}

void sim_pair_of(struct sim *sim, uint64_t seed, const char *a_conn, const char *a_child, const char *b_conn, const char *b_child)
{
    world_init(sim, seed);
    const char *a = "192.0.2.1", *b = "192.0.2.2";
    host_init(sim, "a", addr_v4(192, 0, 2, 1), mem_printf(config_form, a, b, a_conn, "a", "b", 1, 2, a_child, 1, 2, a_child));
    host_init(sim, "b", addr_v4(192, 0, 2, 2), mem_printf(config_form, b, a, b_conn, "b", "a", 2, 1, b_child, 2, 1, b_child));
}

void sim_pair(struct sim *sim, uint64_t seed, const char *conn_lines, const char *child_lines)
{
    sim_pair_of(sim, seed, conn_lines, child_lines, conn_lines, child_lines);
}

void sim_pair_nat(struct sim *sim, uint64_t seed, const char *a_conn, const char *b_conn)
{
    world_init(sim, seed);
    const char *a = "10.9.0.1", *b = "192.0.2.2";
    host_init(sim, "a", addr_v4(10, 9, 0, 1), mem_printf(config_form, a, b, a_conn, "a", "b", 1, 2, "", 1, 2, ""));
    host_init(sim, "b", addr_v4(192, 0, 2, 2), mem_printf(config_form, b, "%any", b_conn, "b", "a", 2, 1, "", 2, 1, ""));
    sim_nat_put(sim, SIM_A(sim), addr_v4(198, 51, 100, 1));
}

void sim_group(struct sim *sim, uint64_t seed, const char *a_conn, const char *b_conn, const char *c_conn)
{
    sim_pair_of(sim, seed, a_conn, "", b_conn, "");
    host_init(sim, "c", addr_v4(192, 0, 2, 3), mem_printf(config_form, "192.0.2.3", "192.0.2.1", c_conn, "b", "a", 2, 1, "", 2, 1, ""));
}

static const char hub_form[] =
    "connections {\n gw {\n  version = 2\n  local_addrs = 192.0.2.254\n  remote_addrs = %%any\n"
    "  proposals = aes128gcm16-prfsha256-curve25519\n%s\n"
    "  local {\n   auth = psk\n   id = hub.example.org\n  }\n  remote {\n   auth = psk\n   id = *.example.org\n  }\n"
    "  children {\n   lan {\n    local_ts = 10.0.0.0/24\n    remote_ts = 10.0.0.0/8\n    esp_proposals = aes128gcm16\n   }\n  }\n }\n}\n";

void sim_star(struct sim *sim, uint64_t seed, size_t count, const char *hub_conn, const char *spoke_conn,
              const char *spoke_child)
{
    static const char *const names[SIM_HOSTS_MAX] = {"hub", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"};
    world_init(sim, seed);
    host_init(sim, names[0], addr_v4(192, 0, 2, 254), mem_printf(hub_form, hub_conn));
    for (size_t i = 1; i <= count; i++) {
        char addr[ADDR_TEXT];
        struct addr at = addr_v4(192, 0, 2, (uint8_t)i);
        addr_print(&at, addr);
        int net = (int)i;
        host_init(sim, names[i], at, mem_printf(config_form, addr, "192.0.2.254", spoke_conn, names[i], "hub", net, 0,
                                                 spoke_child, net, 0, spoke_child));
    }
}

static void host_start(struct sim_host *host)
{
    host->core = ike_new(&host->rng.rng, &host->settings);
    ike_set_keylog(host->core, host->sim->keylog);
    conn_in(host);
}

void sim_start(struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) host_start(&sim->hosts[i]);
}

void sim_pool(struct sim_host *host, const char *name, const char *addrs)
{
    struct pool_conf pool = {.name = name};
    if (range_parse(addrs, &pool.range)) sim_fail(host->sim, __FILE__, __LINE__, "the range is good");
    pool.base = pool.range.low;
    struct ike_in in = {.kind = IKE_IN_POOL_LOAD, .pool = &pool};
    host_input(host, &in);
}

void sim_reload(struct sim_host *host)
{
    ike_free(host->core);
    plane_clear(host);
    host_start(host);
}

void sim_free(struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        struct sim_host *host = &sim->hosts[i];
        if (host->core) ike_free(host->core);
        plane_clear(host);
        buf_free(&host->log);
        free(host->config);
    }
    while (sim->flights) {
        struct sim_flight *flight = sim->flights;
        sim->flights = flight->next;
        mem_drop(&flight->bytes);
        free(flight);
    }
    map_wipe(&sim->keys_seen);
}
// --- the other processes' stand-in

static struct ike_answer *answer_new(struct sim_host *host, uint64_t number)
{
    struct ike_answer *answer = NEW(struct ike_answer);
    answer->number = number;
    if (host->answer_count < sizeof host->answers / sizeof *host->answers) host->answers[host->answer_count++] = answer;
    else sim_fail(host->sim, __FILE__, __LINE__, "operations are few at once");
    return answer;
}

static enum fault mac_make(const struct sim_host *host, const struct auth_octets *octets, struct secret *out)
{
    SECRET(padded);
    SECRET(id_mac);
    TRY(prf(octets->prf, bytes_of_text(host->secret), PIECES(BYTES("Key Pad for IKEv2")), &padded));
    TRY(prf(octets->prf, octets->sk_p, PIECES(octets->id_body), &id_mac));
    return prf(octets->prf, secret_bytes(&padded), PIECES(octets->message, octets->nonce, secret_bytes(&id_mac), octets->int_auth), out);
}

static void prove(struct sim_host *host, const struct ike_operation *operation, struct ike_answer *answer)
{
    SECRET(tag);
    answer->method = AUTH_PSK;
    answer->fault = operation->prove.kind == IKE_PROVE_SIGN ? FAULT_NO_PROPOSAL_CHOSEN : mac_make(host, &operation->prove.octets, &tag);
    if (!answer->fault && operation->prove.kind == IKE_PROVE_MAC) answer->data = mem_copy(secret_bytes(&tag));
    if (!answer->fault && operation->prove.kind == IKE_PROVE_MAC_CHECK &&
        !bytes_equal_secret(secret_bytes(&tag), operation->prove.expected))
        answer->fault = FAULT_PSK_WRONG;
    if (!answer->fault && operation->prove.own.message.size) {
        answer->fault = mac_make(host, &operation->prove.own, &tag);
        answer->data = mem_copy(secret_bytes(&tag));
    }
}

// Every name is that of the host's one key.
static void ppk(const struct sim_host *host, const struct ike_operation *operation, struct ike_answer *answer)
{
    uint16_t all = (uint16_t)((1u << operation->ppk.count) - 1);
    struct bytes key = bytes_of_text(host->ppk ? host->ppk : "");
    SECRET(tag);
    SECRET(mixed);
    AUTOFREE_BUF struct buf out = BUF(256);
    answer->found = host->ppk != NULL;
    if (operation->ppk.octets.size) answer->fault = prf(operation->ppk.prf, key, PIECES(operation->ppk.octets), &tag);
    struct bytes proof = bytes_of(tag.at, tag.size ? IKE_PPK_PROOF_SIZE : 0);
    if (operation->ppk.kind != IKE_PPK_MIX) {
        answer->names = answer->found ? all : 0;
        if (operation->ppk.kind == IKE_PPK_FIND) return;
        for (unsigned i = 0; i < operation->ppk.count; i++) buf_add(&out, proof);
        answer->data = mem_copy(buf_bytes(&out));
        return;
    }
    if (answer->found && operation->ppk.proofs[0].size && !bytes_equal(proof, operation->ppk.proofs[0])) {
        answer->found = false;
        answer->names = 1;
    }
    for (unsigned i = 0; i < 3 && operation->ppk.keys[i].size && answer->found && !answer->fault; i++) {
        struct bytes piece = operation->ppk.keys[i];
        answer->fault = prf_plus(operation->ppk.prf, key, PIECES(piece), piece.size, &mixed);
        buf_add(&out, secret_bytes(&mixed));
    }
    if (answer->found) secret_set(&answer->shared, buf_bytes(&out));
}

// A made-up method of EAP: three requests, whose identifiers count them, and then the ends' secret is the key.
static void login(const struct sim_host *host, const struct ike_operation *operation, struct ike_answer *answer)
{
    enum { REQUEST = 1, RESPONSE, SUCCESS, METHOD = 255, REQUESTS = 3 };
    bool begins = operation->login.kind == IKE_LOGIN_BEGIN, server = operation->login.server;
    const uint8_t *came = begins ? (const uint8_t[4]){0} : operation->login.message.at;
    bool ends = server ? came[1] >= REQUESTS : came[0] == SUCCESS;
    const uint8_t goes_on[] = {server ? REQUEST : RESPONSE, server ? (uint8_t)(came[1] + 1) : came[1], 0, 5, METHOD};
    const uint8_t success[] = {SUCCESS, came[1], 0, 4};
    answer->login = ends ? IKE_LOGIN_DONE : IKE_LOGIN_GOES_ON;
    if (!ends) answer->data = mem_copy(BYTES_ARRAY(goes_on));
    if (ends && server) answer->data = mem_copy(BYTES_ARRAY(success));
    if (!ends) return;
    answer->mutual = true;
    answer->scheme = "EAP-MADE-UP";
    secret_set(&answer->shared, bytes_of_text(host->secret));
}

static bool source_choose(const struct sim_host *host, const struct addr *remote, struct addr *out)
{
    *out = host->addr;
    for (size_t i = 0; i < host->held_count; i++) {
        *out = host->held[i];
        if (out->family == remote->family) return true;
    }
    return !host->moves && out->family == remote->family;
}

static void resolve(struct sim_host *host, const struct ike_operation *operation, struct ike_answer *answer)
{
    struct path usable[16];
    uint32_t count = 0;
    answer->fault = FAULT_NO_REMOTE_ADDRESS;
    for (size_t i = 0; i < operation->resolve.remote_count && count < 16; i++) {
        const struct host_pattern *remote = &operation->resolve.remote[i];
        struct addr from;
        if (remote->kind != HOST_RANGE) continue;
        answer->fault = FAULT_NO_ROUTE;
        if (!source_choose(host, &remote->range.low, &from)) continue;
        usable[count++] = (struct path){{from, operation->resolve.local_port}, {remote->range.low, operation->resolve.remote_port}, false};
    }
    if (!count) return;
    answer->fault = OK;
    answer->path = usable[operation->resolve.try % count];
    answer->more = operation->resolve.try + 1 < count;
}

static void operation_perform(struct sim_host *host, const struct ike_operation *operation)
{
    struct ike_answer *answer = answer_new(host, operation->number);
    AUTOFREE_BUF struct buf public = BUF(65536);
    switch (operation->kind) {
    case IKE_OP_KE_MAKE: answer->fault = ke_make(operation->ke, &host->rng.rng, &answer->private, &public); break;
    case IKE_OP_KE_SHARE: answer->fault = ke_share(operation->ke, operation->private, operation->peer_public, &answer->shared); break;
    case IKE_OP_KE_ANSWER:
        answer->fault = ke_answer(operation->ke, &host->rng.rng, operation->peer_public, &public, &answer->shared);
        break;
    case IKE_OP_PROVE: prove(host, operation, answer); break;
    case IKE_OP_RESOLVE: resolve(host, operation, answer); break;
    case IKE_OP_PPK: ppk(host, operation, answer); break;
    case IKE_OP_LOGIN: login(host, operation, answer); break;
    default: answer->fault = FAULT_NO_PROPOSAL_CHOSEN;
    }
    if (operation->ke == host->broken_ke && public.size) public.size--;
    if (public.size) answer->data = mem_copy(buf_bytes(&public));
}

static void report(struct sim_host *host, const struct ike_report *report)
{
    if (report->fault) {
        host->last_fault = report->fault;
        host->fault_counts[report->fault]++;
    }
    buf_printf(&host->log, "%s\n", report->text);
    if (host->sim->verbose)
        printf("%10.3f %s: %s%s%s\n", (double)host->sim->now / 1e9, host->name, report->text, report->fault ? " -- " : "",
               report->fault ? fault_name(report->fault) : "");
}

static void output(struct sim_host *host, const struct ike_out *out)
{
    switch (out->kind) {
    case IKE_OUT_SEND: link_send(host, &out->send.path, out->send.bytes, out->send.keepalive); break;
    case IKE_OUT_SA_ADD: plane_add(host, &out->sa_add); break;
    case IKE_OUT_SA_DEL: plane_del(host, out->sa_del.spi, out->sa_del.direction); break;
    case IKE_OUT_SA_MOVE: {
        struct sim_sa *sa = plane_find(host, out->sa_move.spi, out->sa_move.direction);
        CHECK(host->sim, sa);
        if (sa) sa->spec.path = out->sa_move.path;
        break;
    }
    case IKE_OUT_POLICY_ADD: plane_policy_set(host, &out->policy.spec); break;
    case IKE_OUT_POLICY_DEL: plane_policy_drop(host, out->policy.spec.number); break;
    case IKE_OUT_OPERATION: operation_perform(host, &out->operation); break;
    case IKE_OUT_REPORT: report(host, &out->report); break;
    case IKE_OUT_EVENT: host->events[out->event.kind]++; break;
    case IKE_OUT_DONE:
        for (uint32_t i = 0; i < host->command_count; i++) {
            if (host->commands[i].command != out->done.command) continue;
            CHECK(host->sim, !host->commands[i].done);
            host->commands[i].done = true;
            host->commands[i].fault = out->done.fault;
        }
        break;
    }
}

static void step(struct sim_host *host, struct ike_in *in)
{
    struct ike_out out;
    in->now = host->sim->now;
    host->sim->steps++;
    ike_step(host->core, in);
    while (ike_next(host->core, &out)) output(host, &out);
}

void host_input(struct sim_host *host, struct ike_in *in)
{
    step(host, in);
    while (host->answer_count) {
        struct ike_answer *answer = host->answers[0];
        memmove(host->answers, host->answers + 1, --host->answer_count * sizeof *host->answers);
        struct ike_in give = {.kind = IKE_IN_ANSWER, .answer = answer};
        step(host, &give);
        secret_wipe(&answer->private);
        secret_wipe(&answer->shared);
        mem_drop(&answer->data);
        free(answer);
    }
}

// --- time

static void arrive(struct sim *sim, struct sim_flight *flight)
{
    bool there = !flight->to->cut && (!flight->to->moves || link_has(flight->to, &flight->path.local.addr));
    if (there && !flight->bytes.size) {
        plane_arrived(flight->to, flight->spi, &flight->path.remote);
    } else if (there) {
        struct ike_in in = {.kind = IKE_IN_DATAGRAM};
        in.datagram.path = flight->path;
        in.datagram.bytes = flight->bytes;
        flight->to->received++;
        link_received(flight->to, &flight->path.remote, flight->bytes.size);
        host_input(flight->to, &in);
    }
    mem_drop(&flight->bytes);
    free(flight);
    (void)sim;
}

static nsec next_at(const struct sim *sim, nsec limit)
{
    nsec at = limit;
    if (sim->flights && sim->flights->at < at) at = sim->flights->at;
    if (sim->traffic && sim->next_traffic < at) at = sim->next_traffic;
    for (size_t i = 0; i < sim->host_count; i++) {
        nsec due = ike_deadline(sim->hosts[i].core);
        if (due < at) at = due;
    }
    return at;
}

void sim_run(struct sim *sim, nsec span)
{
    nsec end = sim->now + span;
    if (sim->traffic && sim->next_traffic < sim->now) sim->next_traffic = sim->now;
    for (uint64_t guard = 0; !sim->failure; guard++) {
        nsec at = next_at(sim, end);
        CHECK(sim, guard < 5000000);
        if (at > sim->now) sim->now = at;
        if (sim->flights && sim->flights->at <= sim->now) {
            struct sim_flight *flight = sim->flights;
            sim->flights = flight->next;
            arrive(sim, flight);
        } else if (sim->traffic && sim->next_traffic <= sim->now) {
            sim->next_traffic += nsec_ms(10);
            plane_send(sim);
        } else {
            bool due = false;
            for (size_t i = 0; i < sim->host_count && !due; i++) {
                if (ike_deadline(sim->hosts[i].core) > sim->now) continue;
                struct ike_in in = {.kind = IKE_IN_TIMER};
                host_input(&sim->hosts[i], &in);
                due = true;
            }
            if (!due && sim->now >= end) return;
        }
        sim_checks(sim);
    }
}

void sim_quiesce(struct sim *sim)
{
    unsigned loss = sim->loss_percent;
    sim->loss_percent = 0;
    sim_run(sim, nsec_seconds(60));
    for (unsigned i = 0; i < 600 && sim->flights && !sim->failure; i++) sim_run(sim, nsec_ms(100));
    sim->loss_percent = loss;
    sim_checks_settled(sim);
}

void sim_storm(struct sim *sim, const struct weather *weather, nsec calm)
{
    nsec jitter = sim->jitter;
    sim->loss_percent = weather->loss;
    sim->duplicate_percent = weather->duplicates;
    sim->burst_percent = weather->bursts;
    sim->jitter = weather->jitter;
    sim_run(sim, nsec_seconds(60));
    sim->loss_percent = sim->duplicate_percent = sim->burst_percent = 0;
    sim->jitter = jitter;
    sim_run(sim, calm);
}

static void address_tell(struct sim_host *host, const struct addr *addr, bool came)
{
    struct ike_in in = {.kind = IKE_IN_ADDRESS};
    in.address.addr = *addr;
    in.address.came = came;
    host_input(host, &in);
}

void sim_address(struct sim_host *host, const char *text, bool came)
{
    struct addr addr;
    if (addr_parse(text, &addr)) sim_fail(host->sim, __FILE__, __LINE__, "an address");
    if (!host->moves) {
        host->moves = true;
        host->held[host->held_count++] = host->addr;
        address_tell(host, &host->addr, true);
    }
    if (came) {
        CHECK(host->sim, host->held_count < SIM_ADDRS_MAX);
        host->held[host->held_count++] = addr;
    }
    for (size_t i = 0; i < host->held_count && !came; i++) {
        if (!addr_equal(&host->held[i], &addr)) continue;
        memmove(&host->held[i], &host->held[i + 1], (--host->held_count - i) * sizeof addr);
        break;
    }
    address_tell(host, &addr, came);
}

void sim_jump(struct sim *sim, nsec span)
{
    sim->now += span;
}

// --- for scenarios

uint32_t sim_command(struct sim_host *host, const char *text)
{
    static const struct {
        const char *word;
        uint8_t kind;
        bool names_conn, reauth;
    } verbs[] = {
        {"up ", IKE_INITIATE, true, false},   {"down ", IKE_TERMINATE, false, false},
        {"rekey ", IKE_REKEY, false, false},  {"reauth ", IKE_REKEY, false, true},
        {"install ", IKE_INSTALL, true, false}, {"uninstall ", IKE_UNINSTALL, true, false},
        {"redirect ", IKE_REDIRECT, false, false},
    };
    assert(host->command_count < SIM_COMMANDS_MAX);
    uint32_t number = ++host->command_count;
    host->commands[number - 1].command = number;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        size_t size = strlen(verbs[i].word);
        if (strncmp(text, verbs[i].word, size) != 0) continue;
        bool ike = strcmp(text + size, "ike") == 0;
        struct ike_in in = {.kind = IKE_IN_COMMAND};
        in.command = (struct ike_command){.number = number, .kind = verbs[i].kind, .reauth = verbs[i].reauth,
                                          .conn = ike || verbs[i].names_conn ? "gw" : NULL, .child = ike ? NULL : text + size};
        if (in.command.kind == IKE_REDIRECT) in.command.gateway = text + size;
        host_input(host, &in);
    }
    return number;
}

void sim_acquire(struct sim_host *host, uint32_t policy, const struct flow *flow)
{
    struct ike_in in = {.kind = IKE_IN_PLANE};
    in.plane = (struct ike_plane){.kind = IKE_PLANE_ACQUIRE, .policy = policy, .flow = *flow};
    host_input(host, &in);
}

void sim_acquire_for(struct sim_host *host, uint32_t policy, uint16_t resource)
{
    struct ike_in in = {.kind = IKE_IN_PLANE};
    in.plane = (struct ike_plane){.kind = IKE_PLANE_ACQUIRE, .policy = policy, .resource = resource};
    host_input(host, &in);
}

bool sim_done(const struct sim_host *host, uint32_t command, enum fault *fault)
{
    *fault = host->commands[command - 1].fault;
    return host->commands[command - 1].done;
}
