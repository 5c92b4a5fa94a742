// SPDX-License-Identifier: Apache-2.0
// The simulated world: an event queue of datagrams and deadlines, and for each host a stand-in for the other processes.
#include "sim.h"
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

static void input(struct sim_host *host, struct ike_in *in);

static void conn_in(struct sim_host *host)
{
    struct arena arena = {0};
    struct complaints complaints = {0};
    struct tree *root = settings_parse("sim", bytes_of_text(host->config), &arena, &complaints);
    const struct tree *connections = root ? tree_section(root, "connections") : NULL;
    TREE_EACH(section, connections) {
        struct conn *conn = options_conn(section, &complaints);
        if (!conn) continue;
        struct ike_in in = {.kind = IKE_IN_CONN_LOAD, .conn = conn};
        input(host, &in);
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

static void host_init(struct sim *sim, const char *name, struct addr addr, char *config)
{
    assert(sim->host_count < SIM_HOSTS_MAX);
    struct sim_host *host = &sim->hosts[sim->host_count++];
    *host = (struct sim_host){.sim = sim, .name = name, .addr = addr, .config = config, .secret = "simulated secret",
                              .settings = ike_settings_default(), .log = BUF(1024 * 1024)};
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

void sim_start(struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        sim->hosts[i].core = ike_new(&sim->hosts[i].rng.rng, &sim->hosts[i].settings);
        conn_in(&sim->hosts[i]);
    }
}

void sim_pool(struct sim_host *host, const char *name, const char *addrs)
{
    struct pool_conf pool = {.name = name};
    if (range_parse(addrs, &pool.range)) sim_fail(host->sim, __FILE__, __LINE__, "the range is good");
    pool.base = pool.range.low;
    struct ike_in in = {.kind = IKE_IN_POOL_LOAD, .pool = &pool};
    input(host, &in);
}

static void plane_clear(struct sim_host *host)
{
    for (size_t i = 0; i < host->sa_count; i++) {
        secret_wipe(&host->sas[i].encr_key);
        secret_wipe(&host->sas[i].integ_key);
    }
    host->sa_count = host->policy_count = 0;
}

void sim_reload(struct sim_host *host)
{
    ike_free(host->core);
    plane_clear(host);
    host->core = ike_new(&host->rng.rng, &host->settings);
    conn_in(host);
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

// --- the link

static bool chance(struct sim *sim, unsigned percent)
{
    return percent && rng_below(&sim->rng.rng, 100) < percent;
}

static void fly(struct sim *sim, struct sim_host *to, const struct path *path, struct bytes bytes, uint32_t spi)
{
    struct sim_flight *flight = NEW(struct sim_flight), **at = &sim->flights;
    nsec extra = sim->jitter ? (nsec)rng_below(&sim->rng.rng, (uint64_t)sim->jitter) : 0;
    *flight = (struct sim_flight){.at = sim->now + sim->delay + extra, .order = sim->order++, .to = to, .path = *path, .spi = spi};
    if (bytes.size) flight->bytes = mem_copy(bytes);
    while (*at && (*at)->at <= flight->at) at = &(*at)->next;
    flight->next = *at;
    *at = flight;
}

static struct sim_host *host_at(struct sim *sim, const struct addr *addr)
{
    for (size_t i = 0; i < sim->host_count; i++)
        if (addr_equal(&sim->hosts[i].addr, addr)) return &sim->hosts[i];
    return NULL;
}

static bool mapping_lives(const struct sim *sim, const struct sim_nat *nat, size_t i)
{
    return nat->mappings[i].port && sim->now - nat->mappings[i].used < nat->timeout;
}

// A packet goes out: its source becomes the box's.
static void nat_outward(struct sim *sim, struct sim_nat *nat, struct endpoint *source)
{
    size_t place = SIM_MAPPINGS_MAX;
    for (size_t i = 0; i < SIM_MAPPINGS_MAX && place == SIM_MAPPINGS_MAX; i++)
        if (mapping_lives(sim, nat, i) && endpoint_equal(&nat->mappings[i].inner, source)) place = i;
    for (size_t i = 0; i < SIM_MAPPINGS_MAX && place == SIM_MAPPINGS_MAX; i++) {
        if (mapping_lives(sim, nat, i)) continue;
        nat->mappings[i].inner = *source;
        nat->mappings[i].port = nat->port_next++;
        place = i;
    }
    assert(place < SIM_MAPPINGS_MAX);
    nat->mappings[place].used = sim->now;
    *source = (struct endpoint){nat->outside, nat->mappings[place].port};
}

// A packet comes in: whom is it for?
static struct sim_host *nat_inward(struct sim *sim, struct sim_nat *nat, struct endpoint *target)
{
    for (size_t i = 0; i < SIM_MAPPINGS_MAX; i++) {
        if (!mapping_lives(sim, nat, i) || nat->mappings[i].port != target->port) continue;
        nat->mappings[i].used = sim->now;
        *target = nat->mappings[i].inner;
        return nat->inside;
    }
    return NULL;
}

// Who gets what is sent along this path, and how the path looks there.
static struct sim_host *route(struct sim_host *from, const struct path *path, struct path *there)
{
    struct sim *sim = from->sim;
    *there = (struct path){path->remote, path->local, path->encap};
    if (from->nat) nat_outward(sim, from->nat, &there->remote);
    for (size_t i = 0; i < sim->nat_count; i++)
        if (addr_equal(&sim->nats[i].outside, &path->remote.addr)) return nat_inward(sim, &sim->nats[i], &there->local);
    struct sim_host *to = host_at(sim, &path->remote.addr);
    return to && to->nat ? NULL : to;
}

void sim_nat_put(struct sim *sim, struct sim_host *inside, struct addr outside)
{
    struct sim_nat *nat = &sim->nats[sim->nat_count++];
    *nat = (struct sim_nat){.inside = inside, .outside = outside, .timeout = nsec_seconds(60), .port_next = 40000};
    inside->nat = nat;
}

void sim_nat_forget(struct sim_host *host, const struct addr *outside)
{
    memset(host->nat->mappings, 0, sizeof host->nat->mappings);
    if (outside) host->nat->outside = *outside;
}

// --- RFC 7296 2.6 and 2.21.4: how much an address is sent that nobody has proven to be there

static struct sim_place *place_of(struct sim_host *host, const struct endpoint *at)
{
    for (size_t i = 0; i < host->place_count; i++)
        if (endpoint_equal(&host->places[i].at, at)) return &host->places[i];
    if (host->place_count == SIM_PLACES_MAX) return NULL;
    struct sim_place *place = &host->places[host->place_count++];
    *place = (struct sim_place){.at = *at};
    return place;
}

// Who begins sends to an address of its configuration; only answers are limited.
static bool begins(struct bytes message)
{
    return message.size >= 20 && message.at[18] == EXCHANGE_IKE_SA_INIT && (message.at[19] & 0x28) == 0x08;
}

static void place_sent(struct sim_host *host, const struct endpoint *to, struct bytes message)
{
    struct sim_place *place = place_of(host, to);
    if (!place) return;
    if (!place->in || begins(message)) place->proven = true;
    place->out += message.size;
}

static void place_received(struct sim_host *host, const struct endpoint *from, size_t size)
{
    struct sim_place *place = place_of(host, from);
    if (place) place->in += size;
}

static void digest_add(struct sim *sim, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) sim->digest = (sim->digest ^ bytes.at[i]) * UINT64_C(1099511628211);
}

// What is under way for the moment: a burst is a run of packets that are late together or come again and again.
static void burst_step(struct sim *sim)
{
    if (sim->burst_left) {
        if (--sim->burst_left == 0) sim->burst_delay = sim->burst_copies = 0;
    } else if (chance(sim, sim->burst_percent)) {
        sim->burst_left = 2 + (unsigned)rng_below(&sim->rng.rng, 6);
        if (chance(sim, 50)) sim->burst_delay = nsec_ms((int64_t)rng_below(&sim->rng.rng, 900));
        else sim->burst_copies = 2;
    }
}

static void datagram_out(struct sim_host *from, const struct path *path, struct bytes bytes, bool keepalive)
{
    struct sim *sim = from->sim;
    struct path there;
    struct sim_host *to = route(from, path, &there);
    AUTOFREE_BUF struct buf edited = BUF(4 * 65536);
    if (sim->edit && !keepalive) {
        buf_add(&edited, bytes);
        sim->edit(sim, from, &edited);
        bytes = buf_bytes(&edited);
        if (!bytes.size) return;
    }
    from->sent++;
    from->sent_bytes += bytes.size;
    place_sent(from, &path->remote, bytes);
    digest_add(sim, bytes);
    if (!to || keepalive || from->cut || to->cut || chance(sim, sim->loss_percent)) return;
    if (sim->filter_on && !sim->filter(sim, bytes)) return;
    burst_step(sim);
    fly(sim, to, &there, bytes, 0);
    for (unsigned i = 0; i < sim->burst_copies; i++) fly(sim, to, &there, bytes, 0);
    if (chance(sim, sim->duplicate_percent)) fly(sim, to, &there, bytes, 0);
}

void sim_inject(struct sim_host *to, const struct endpoint *from, struct bytes bytes)
{
    struct path there = {{to->addr, 500}, *from, false};
    fly(to->sim, to, &there, bytes, 0);
}

// --- the data plane's stand-in

static struct sim_sa *sa_find(struct sim_host *host, uint32_t spi, uint8_t direction)
{
    for (size_t i = 0; i < host->sa_count; i++)
        if (host->sas[i].spec.spi == spi && host->sas[i].spec.direction == direction) return &host->sas[i];
    return NULL;
}

static void sa_add(struct sim_host *host, const struct sa_spec *spec)
{
    struct sim *sim = host->sim;
    if (host->sa_count == SIM_SAS_MAX) {
        sim_fail(sim, __FILE__, __LINE__, "SAs do not pile up");
        return;
    }
    if (spec->direction == SA_OUT) {   // no key may ever be used for two SAs: its counter would start anew
        uint8_t key[8 + 64] = {0};
        size_t size = spec->encr_key.size < 64 ? spec->encr_key.size : 64;
        memcpy(key, spec->encr_key.at, size);
        if (map_put(&sim->keys_seen, bytes_of(key, sizeof key), host)) sim_fail(sim, __FILE__, __LINE__, "no key is used twice");
    }
    // The peer chooses the outbound SPI, and one that lies may choose the same twice.
    CHECK(sim, (sim->hostile && spec->direction == SA_OUT) || !sa_find(host, spec->spi, spec->direction));
    struct sim_sa *sa = &host->sas[host->sa_count++];
    *sa = (struct sim_sa){.spec = *spec, .usage = {.spi = spec->spi, .direction = spec->direction}};
    secret_set(&sa->encr_key, spec->encr_key);
    secret_set(&sa->integ_key, spec->integ_key);
    sa->spec.encr_key = secret_bytes(&sa->encr_key);
    sa->spec.integ_key = secret_bytes(&sa->integ_key);
}

static void sa_del(struct sim_host *host, uint32_t spi, uint8_t direction)
{
    struct sim_sa *sa = sa_find(host, spi, direction);
    CHECK(host->sim, sa);
    if (!sa) return;
    secret_wipe(&sa->encr_key);
    secret_wipe(&sa->integ_key);
    memmove(sa, sa + 1, (size_t)(&host->sas[host->sa_count] - (sa + 1)) * sizeof *sa);
    host->sa_count--;
}

static void policy_set(struct sim_host *host, const struct policy_spec *spec)
{
    for (size_t i = 0; i < host->policy_count; i++) {
        if (host->policies[i].number != spec->number) continue;
        host->policies[i] = *spec;
        return;
    }
    CHECK(host->sim, host->policy_count < SIM_POLICIES_MAX);
    if (host->policy_count < SIM_POLICIES_MAX) host->policies[host->policy_count++] = *spec;
}

static void policy_drop(struct sim_host *host, uint32_t number)
{
    for (size_t i = 0; i < host->policy_count; i++)
        if (host->policies[i].number == number) host->policies[i] = host->policies[--host->policy_count];
}

// The outbound SA that a policy uses: the newest.
static struct sim_sa *sa_current(struct sim_host *host, uint32_t policy)
{
    for (size_t i = host->sa_count; i-- > 0;)
        if (host->sas[i].spec.direction == SA_OUT && host->sas[i].spec.policy == policy) return &host->sas[i];
    return NULL;
}

static void usage_tell_outbound(struct sim_host *host);

static void traffic_send(struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        struct sim_host *host = &sim->hosts[i];
        for (size_t j = 0; j < host->policy_count; j++) {
            struct sim_sa *sa = sa_current(host, host->policies[j].number);
            if (!sa) {
                sim->packets_without_sa++;
                continue;
            }
            struct path there;
            struct sim_host *to = route(host, &sa->spec.path, &there);
            sa->usage.packets++;
            sa->usage.bytes += 100;
            sa->usage.last_used = sim->now;
            sim->packets_sent++;
            if (to && !host->cut && !to->cut) fly(sim, to, &there, BYTES_NONE, sa->spec.spi);
        }
        usage_tell_outbound(host);
    }
}

static void usage_tell(struct sim_host *host, const struct sim_sa *sa)
{
    struct ike_in in = {.kind = IKE_IN_PLANE};
    in.plane = (struct ike_plane){.kind = IKE_PLANE_USAGE, .spi = sa->spec.spi, .usage = sa->usage};
    input(host, &in);
}

static void usage_tell_outbound(struct sim_host *host)
{
    for (size_t i = 0; i < host->sa_count; i++) {
        struct sim_sa *sa = &host->sas[i];
        if (sa->spec.direction == SA_OUT && sa->usage.packets % 10 == 1) usage_tell(host, sa);
    }
}

static void traffic_arrived(struct sim_host *host, uint32_t spi, const struct endpoint *from)
{
    struct sim_sa *sa = sa_find(host, spi, SA_IN);
    if (!sa) {
        host->sim->packets_lost++;
        return;
    }
    sa->usage.packets++;
    sa->usage.bytes += 100;
    sa->usage.last_used = host->sim->now;
    if (!endpoint_equal(from, &sa->spec.path.remote)) {   // authentic, from elsewhere
        struct ike_in moved = {.kind = IKE_IN_PLANE};
        moved.plane = (struct ike_plane){.kind = IKE_PLANE_PEER_MOVED, .spi = spi, .from = *from};
        input(host, &moved);
        if (!(sa = sa_find(host, spi, SA_IN))) return;
    }
    if (sa->usage.packets % 10 == 1) usage_tell(host, sa);
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
}

static void resolve(struct sim_host *host, const struct ike_operation *operation, struct ike_answer *answer)
{
    answer->fault = FAULT_NO_REMOTE_ADDRESS;
    for (size_t i = 0; i < operation->resolve.remote_count; i++) {
        const struct host_pattern *remote = &operation->resolve.remote[i];
        if (remote->kind != HOST_RANGE) continue;
        answer->fault = OK;
        answer->path = (struct path){{host->addr, operation->resolve.local_port}, {remote->range.low, operation->resolve.remote_port}, false};
        return;
    }
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
    default: answer->fault = FAULT_NO_PROPOSAL_CHOSEN;
    }
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
    case IKE_OUT_SEND: datagram_out(host, &out->send.path, out->send.bytes, out->send.keepalive); break;
    case IKE_OUT_SA_ADD: sa_add(host, &out->sa_add); break;
    case IKE_OUT_SA_DEL: sa_del(host, out->sa_del.spi, out->sa_del.direction); break;
    case IKE_OUT_SA_MOVE: {
        struct sim_sa *sa = sa_find(host, out->sa_move.spi, out->sa_move.direction);
        CHECK(host->sim, sa);
        if (sa) sa->spec.path = out->sa_move.path;
        break;
    }
    case IKE_OUT_POLICY_ADD: policy_set(host, &out->policy.spec); break;
    case IKE_OUT_POLICY_DEL: policy_drop(host, out->policy.spec.number); break;
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

static void input(struct sim_host *host, struct ike_in *in)
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
    if (!flight->to->cut && !flight->bytes.size) {
        traffic_arrived(flight->to, flight->spi, &flight->path.remote);
    } else if (!flight->to->cut) {
        struct ike_in in = {.kind = IKE_IN_DATAGRAM};
        in.datagram.path = flight->path;
        in.datagram.bytes = flight->bytes;
        flight->to->received++;
        place_received(flight->to, &flight->path.remote, flight->bytes.size);
        input(flight->to, &in);
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
            traffic_send(sim);
        } else {
            bool due = false;
            for (size_t i = 0; i < sim->host_count && !due; i++) {
                if (ike_deadline(sim->hosts[i].core) > sim->now) continue;
                struct ike_in in = {.kind = IKE_IN_TIMER};
                input(&sim->hosts[i], &in);
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
        input(host, &in);
    }
    return number;
}

void sim_acquire(struct sim_host *host, uint32_t policy, const struct flow *flow)
{
    struct ike_in in = {.kind = IKE_IN_PLANE};
    in.plane = (struct ike_plane){.kind = IKE_PLANE_ACQUIRE, .policy = policy, .flow = *flow};
    input(host, &in);
}

bool sim_done(const struct sim_host *host, uint32_t command, enum fault *fault)
{
    *fault = host->commands[command - 1].fault;
    return host->commands[command - 1].done;
}

static bool child_next(const struct sim_host *host, uint32_t *ike, uint32_t *child, struct ike_child_info *info)
{
    for (;;) {
        if (*ike && (*child = ike_child_after(host->core, *ike, *child))) {
            if (ike_child_info(host->core, *ike, *child, info)) return true;
            continue;
        }
        *child = 0;
        if (!(*ike = ike_sa_after(host->core, *ike))) return false;
    }
}

static bool child_in_use(const struct ike_child_info *info)
{
    return strcmp(info->state, "INSTALLED") == 0 || strcmp(info->state, "REKEYING") == 0;
}

unsigned sim_children(const struct sim_host *host, const char *name)
{
    uint32_t ike = 0, child = 0;
    unsigned count = 0;
    struct ike_child_info info;
    while (child_next(host, &ike, &child, &info)) count += child_in_use(&info) && strcmp(info.name, name) == 0;
    return count;
}

unsigned sim_sas(const struct sim_host *host)
{
    unsigned count = 0;
    for (uint32_t id = 0; (id = ike_sa_after(host->core, id));) {
        struct ike_sa_info info;
        if (ike_sa_info(host->core, id, &info)) count += strcmp(info.state, "ESTABLISHED") == 0;
    }
    return count;
}

// Only one end of the pair of hosts is known by the SPIs: behind a NAT an address tells nothing.
static struct sim_sa *peer_sa(struct sim_host *host, uint32_t spi, uint8_t direction)
{
    struct sim *sim = host->sim;
    for (size_t i = 0; i < sim->host_count; i++) {
        struct sim_sa *found = &sim->hosts[i] == host ? NULL : sa_find(&sim->hosts[i], spi, direction);
        if (found) return found;
    }
    return NULL;
}

static bool keys_agree(const struct sim_sa *one, const struct sim_sa *other)
{
    return bytes_equal(one->spec.encr_key, other->spec.encr_key) && bytes_equal(one->spec.integ_key, other->spec.integ_key) &&
           one->spec.encr == other->spec.encr && one->spec.esn == other->spec.esn && one->spec.mode == other->spec.mode &&
           selectors_equal(&one->spec.local, &other->spec.remote) && selectors_equal(&one->spec.remote, &other->spec.local);
}

static bool being_closed(const struct sim_host *host, uint32_t ike)
{
    struct ike_sa_info info;
    return ike_sa_info(host->core, ike, &info) && strcmp(info.state, "DELETING") == 0;
}

// Of two children that serve one policy only one sends; both receive.
static bool paired(struct sim_host *host)
{
    uint32_t ike = 0, child = 0;
    struct ike_child_info info;
    while (child_next(host, &ike, &child, &info)) {
        if (!child_in_use(&info) || being_closed(host, ike)) continue;
        struct sim_sa *in = sa_find(host, info.spi_in, SA_IN), *out = sa_find(host, info.spi_out, SA_OUT);
        struct sim_sa *peer_out = peer_sa(host, info.spi_in, SA_OUT), *peer_in = peer_sa(host, info.spi_out, SA_IN);
        if (!in || !peer_in || !sa_current(host, info.policy)) return false;
        if ((peer_out && !keys_agree(in, peer_out)) || (out && !keys_agree(out, peer_in))) return false;
        if (!selectors_equal(&in->spec.local, &peer_in->spec.remote)) return false;
    }
    return true;
}

bool sim_paired(struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++)
        if (!paired(&sim->hosts[i])) return false;
    return true;
}

bool sim_clean(const struct sim_host *host)
{
    const struct ike_stats *stats = ike_stats(host->core);
    return ike_sa_after(host->core, 0) == 0 && host->sa_count == 0 && host->policy_count == 0 && stats->sas == 0 &&
           stats->half_open == 0 && stats->children == 0;
}

// --- the standing checks

// Whatever two ends both hold under one SPI is the same.
static bool halves_agree(struct sim_host *host)
{
    for (size_t i = 0; i < host->sa_count; i++) {
        const struct sim_sa *sa = &host->sas[i];
        const struct sim_sa *other = sa->spec.direction == SA_OUT ? peer_sa(host, sa->spec.spi, SA_IN) : NULL;
        if (other && !keys_agree(sa, other)) return false;
    }
    return true;
}

static bool address_is_proven(const struct sim_host *host, const struct endpoint *at)
{
    for (uint32_t id = 0; (id = ike_sa_after(host->core, id));) {
        struct ike_sa_info info;
        if (!ike_sa_info(host->core, id, &info) || strcmp(info.state, "CONNECTING") == 0) continue;
        if (endpoint_equal(&info.path.remote, at)) return true;
    }
    return false;
}

static bool amplifies(struct sim_host *host)
{
    for (size_t i = 0; i < host->place_count; i++) {
        struct sim_place *place = &host->places[i];
        if (place->proven || place->out <= 3 * place->in) continue;
        if (!address_is_proven(host, &place->at)) return true;
        place->proven = true;
    }
    return false;
}

void sim_checks(struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        struct sim_host *host = &sim->hosts[i];
        const struct ike_stats *stats = ike_stats(host->core);
        CHECK(sim, stats->half_open <= host->settings.half_open_max);
        CHECK(sim, stats->sas <= host->settings.sas_max);
        CHECK(sim, !amplifies(host));
        if (!sim->hostile) CHECK(sim, halves_agree(host));
    }
}

// Each SA of the plane belongs to a child, each child in use has its SAs, and the other end has them too.
void sim_checks_settled(struct sim *sim)
{
    if (sim->hostile) return;
    CHECK(sim, sim_paired(sim));
    for (size_t i = 0; i < sim->host_count; i++) {
        struct sim_host *host = &sim->hosts[i];
        uint32_t ike = 0, child = 0;
        struct ike_child_info info;
        size_t halves = 0;
        while (child_next(host, &ike, &child, &info))
            halves += (sa_find(host, info.spi_in, SA_IN) != NULL) + (sa_find(host, info.spi_out, SA_OUT) != NULL);
        CHECK(sim, halves == host->sa_count);
    }
}
