// SPDX-License-Identifier: Apache-2.0
#include "pair.h"
#include "base/mem.h"

// --- recording outputs

static struct host *other(struct host *host)
{
    return host == &host->pair->a ? &host->pair->b : &host->pair->a;
}

static void plane_add(struct host *host, const struct sa_spec *spec)
{
    assert_true(host->sa_count < HOST_SAS_MAX);
    struct plane_sa *sa = &host->sas[host->sa_count++];
    sa->spec = *spec;
    assert_true(spec->encr_key.size <= sizeof sa->encr_key &&
                spec->integ_key.size <= sizeof sa->integ_key);
    memcpy(sa->encr_key, spec->encr_key.at, spec->encr_key.size);
    if (spec->integ_key.size) memcpy(sa->integ_key, spec->integ_key.at, spec->integ_key.size);
    sa->spec.encr_key.at = NULL;
    sa->spec.integ_key.at = NULL;
    bool has_policy = false;
    for (size_t i = 0; i < host->policy_count; i++)
        has_policy |= host->policies[i].number == spec->policy;
    assert_true(has_policy); // the policy comes before its SAs
}

static void plane_del(struct host *host, uint32_t spi, uint8_t direction)
{
    for (size_t i = 0; i < host->sa_count; i++) {
        if (host->sas[i].spec.spi != spi || host->sas[i].spec.direction != direction) continue;
        memmove(&host->sas[i], &host->sas[i + 1],
                (--host->sa_count - i) * sizeof *host->sas); // their order counts
        return;
    }
    fail_msg("%s deletes SA %08x that is not there", host->name, spi);
}

static void plane_mtu(struct host *host, uint32_t spi, uint8_t direction, uint16_t path_mtu)
{
    for (size_t i = 0; i < host->sa_count; i++)
        if (host->sas[i].spec.spi == spi && host->sas[i].spec.direction == direction) {
            host->sas[i].spec.path_mtu = path_mtu;
            return;
        }
    fail_msg("%s tells the MTU of SA %08x that is not there", host->name, spi);
}

static void policy_add(struct host *host, const struct policy_spec *spec)
{
    assert_true(spec->local.count && spec->remote.count);
    for (size_t i = 0; i < host->policy_count; i++) {
        if (host->policies[i].number != spec->number) continue;
        host->policies[i] = *spec;
        return;
    }
    assert_true(host->policy_count < HOST_POLICIES_MAX);
    host->policies[host->policy_count++] = *spec;
}

static void policy_del(struct host *host, uint32_t number)
{
    for (size_t i = 0; i < host->policy_count; i++) {
        if (host->policies[i].number != number) continue;
        host->policies[i] = host->policies[--host->policy_count];
        return;
    }
    fail_msg("%s deletes policy %u that is not there", host->name, number);
}

static void plane_move(struct host *host, uint32_t spi, uint8_t direction, const struct path *path)
{
    for (size_t i = 0; i < host->sa_count; i++)
        if (host->sas[i].spec.spi == spi && host->sas[i].spec.direction == direction)
            host->sas[i].spec.path = *path;
}

static void line_add(struct host *host, const struct ike_report *report)
{
    struct line *line = &host->lines[host->line_count % HOST_LINES_MAX];
    host->line_count++;
    line->fault = report->fault;
    line->level = report->level;
    snprintf(line->text, sizeof line->text, "%s%s%s: %s", report->conn ? report->conn : "-",
             report->child ? "/" : "", report->child ? report->child : "", report->text);
    if (getenv("PAIR_VERBOSE"))
        printf("%8.3f %s %s\n", (double)host->pair->now / 1e9, host->name, line->text);
}

// --- the link

static void fly(struct host *from, const struct ike_out *out)
{
    struct pair *p = from->pair;
    struct path path = out->send.path;
    from->sent++;
    from->sent_bytes += out->send.bytes.size;
    if (out->send.keepalive) {
        from->keepalives++;
        return;
    }
    if ((from == &p->a && p->lose_all_of_a) || (from == &p->b && p->lose_all_of_b)) return;
    if (p->stops_udp && !path.stream) return;
    size_t whole = out->send.bytes.size + 28 + (path.encap ? 4 : 0);
    if (p->narrow && out->send.uncut && whole > p->narrow) {
        p->too_large++;
        return;
    }
    if (p->lose && p->lose(p, from, out->send.bytes.at, out->send.bytes.size)) return;
    for (size_t i = 0; i < p->dead_count; i++)
        if (addr_equal(&p->dead[i], &path.local.addr) || addr_equal(&p->dead[i], &path.remote.addr))
            return;
    if (addr_is_any(&path.local.addr)) path.local.addr = from->addr; // the kernel chooses
    struct path seen = {.local = path.remote, .remote = path.local, .encap = path.encap, .stream = path.stream};
    struct host *to = other(from);
    if (path.stream && p->stream_port && from == &p->a) seen.remote.port = p->stream_port;
    if (p->nat.on && from == &p->a) {
        seen.remote.addr = p->nat.outside;
        seen.remote.port = path.local.port == 4500 ? p->nat.port_4500 : p->nat.port_500;
    } else if (p->nat.on) {
        if (!addr_equal(&path.remote.addr, &p->nat.outside)) return;
        bool is_4500 = path.remote.port == p->nat.port_4500;
        if (!is_4500 && path.remote.port != p->nat.port_500) return;
        seen.local = (struct endpoint){to->addr, is_4500 ? 4500 : 500};
    }
    assert_true(p->flight_count < FLIGHT_MAX);
    struct bytes copy = mem_copy(out->send.bytes);
    p->flights[p->flight_count++] =
        (struct flight){p->now + p->delay, seen, to, (uint8_t *)(uintptr_t)copy.at, copy.size};
}

// --- operations

static void answer_give(struct host *host, struct ike_answer *answer)
{
    struct ike_in in = {.kind = IKE_IN_ANSWER, .answer = answer};
    step_in(host, &in);
    secret_wipe(&answer->private);
    secret_wipe(&answer->shared);
}

static void mac(const char *key, const struct auth_octets *octets, struct secret *out)
{
    SECRET(id_mac);
    SECRET(pad);
    assert_int_equal(prf(octets->prf, octets->sk_p, PIECES(octets->id_body), &id_mac), OK);
    assert_int_equal(prf(octets->prf, bytes_of_text(key), PIECES(BYTES("Key Pad for IKEv2")), &pad),
                     OK);
    assert_int_equal(prf(octets->prf, secret_bytes(&pad),
                         PIECES(octets->message, octets->nonce, secret_bytes(&id_mac), octets->int_auth), out),
                     OK);
}

static const char *ppk_of(const struct host *host, struct bytes name)
{
    if (host->ppk && (!name.size || bytes_equal(name, bytes_of_text(host->ppk_id)))) return host->ppk;
    return host->ppk2 && bytes_equal(name, bytes_of_text(host->ppk2_id)) ? host->ppk2 : NULL;
}

static void ppk_mix(const char *key, const struct ike_operation *operation, struct ike_answer *answer)
{
    AUTOFREE_BUF struct buf all = BUF(256);
    for (unsigned i = 0; i < 3 && operation->ppk.keys[i].size; i++) {
        SECRET(mixed);
        struct bytes piece = operation->ppk.keys[i];
        assert_int_equal(prf_plus(operation->ppk.prf, bytes_of_text(key), PIECES(piece), piece.size, &mixed), OK);
        buf_add(&all, secret_bytes(&mixed));
    }
    secret_set(&answer->shared, buf_bytes(&all));
    answer->found = true;
}

static void ppk_do(struct host *host, const struct ike_operation *operation, struct ike_answer *answer,
                   struct buf *proofs)
{
    if (operation->ppk.kind == IKE_PPK_MIX && operation->ppk.octets.size) {
        host->ppk_octets_size = operation->ppk.octets.size;
        memcpy(host->ppk_octets, operation->ppk.octets.at, host->ppk_octets_size);
        host->ppk_key_size = operation->ppk.keys[0].size;
        memcpy(host->ppk_key, operation->ppk.keys[0].at, host->ppk_key_size);
    }
    if (operation->ppk.kind == IKE_PPK_FIND && !operation->ppk.count) answer->found = host->ppk;
    for (unsigned i = 0; i < operation->ppk.count && !answer->shared.at; i++) {
        SECRET(tag);
        const char *key = ppk_of(host, operation->ppk.names[i]);
        struct bytes proof = operation->ppk.proofs[i];
        if (operation->ppk.octets.size)
            assert_int_equal(prf(operation->ppk.prf, bytes_of_text(key ? key : ""),
                                 PIECES(operation->ppk.octets), &tag),
                             OK);
        bool fits = key && (!proof.size || bytes_equal(proof, bytes_of(tag.at, IKE_PPK_PROOF_SIZE)));
        if (operation->ppk.kind == IKE_PPK_CONFIRM) buf_add(proofs, bytes_of(tag.at, IKE_PPK_PROOF_SIZE));
        if (operation->ppk.kind != IKE_PPK_MIX ? key != NULL : key && !fits)
            answer->names |= (uint16_t)(1 << i);
        answer->chosen = (uint8_t)i;
        if (operation->ppk.kind == IKE_PPK_MIX && fits) ppk_mix(key, operation, answer);
    }
}

// Identifiers count the requests. The answer's data go into out.
static void login_do(struct host *host, const struct ike_operation *operation,
                     struct ike_answer *answer, struct buf *out)
{
    enum { REQUEST = 1, RESPONSE, SUCCESS, METHOD = 255 };
    bool begins = operation->login.kind == IKE_LOGIN_BEGIN;
    const uint8_t *came = begins ? NULL : operation->login.message.at;
    uint8_t identifier = begins ? 0 : came[1];
    unsigned requests = host->eap_requests ? host->eap_requests : 2;
    bool ends = (operation->login.server ? !begins : came[0] == SUCCESS) && identifier >= requests;
    host->eap_begun += begins;
    host->eap_heard += !begins;
    assert_int_equal(operation->login.auth->auth, AUTH_CLASS_EAP);
    assert_true(operation->login.local.type && operation->login.remote.type);
    if (host->eap_unknown) answer->fault = FAULT_EAP_UNSUPPORTED;
    if (operation->login.server && ends && host->eap_refuses) answer->fault = FAULT_EAP_LOGIN;
    answer->login = ends ? IKE_LOGIN_DONE : IKE_LOGIN_GOES_ON;
    if (ends) {
        answer->scheme = "EAP-MADE-UP";
        answer->mutual = !host->eap_one_sided;
        if (host->eap_key) secret_set(&answer->shared, bytes_of_text(host->eap_key));
    }
    if (ends && operation->login.server)
        buf_add(out, BYTES_ARRAY(((const uint8_t[]){SUCCESS, identifier, 0, 4})));
    else if (operation->login.server)
        buf_add(out, BYTES_ARRAY(((const uint8_t[]){REQUEST, (uint8_t)(identifier + 1), 0, 6, METHOD, 7})));
    else if (!ends)
        buf_add(out, BYTES_ARRAY(((const uint8_t[]){RESPONSE, identifier, 0, 6, METHOD, 8})));
    if (host->eap_garbled) out->at[3]++;
}

static void operation_do(struct host *host, const struct ike_operation *operation)
{
    struct ike_answer answer = {.number = operation->number};
    AUTOFREE_BUF struct buf public = BUF(8192);
    SECRET(tag);
    switch (operation->kind) {
    case IKE_OP_KE_MAKE:
        answer.fault = ke_make(operation->ke, &host->rng.rng, &answer.private, &public);
        break;
    case IKE_OP_KE_SHARE:
        answer.fault =
            ke_share(operation->ke, operation->private, operation->peer_public, &answer.shared);
        break;
    case IKE_OP_KE_ANSWER:
        answer.fault = ke_answer(operation->ke, &host->rng.rng, operation->peer_public, &public,
                                 &answer.shared);
        break;
    case IKE_OP_PROVE: {
        bool sign = operation->prove.kind == IKE_PROVE_SIGN;
        bool check = operation->prove.kind == IKE_PROVE_MAC_CHECK;
        host->proved++;
        mac(sign ? "made-up signature" : host->psk, &operation->prove.octets, &tag);
        answer.method = sign ? AUTH_SIGNATURE : AUTH_PSK;
        if (sign && host->refuse_sign) answer.fault = FAULT_PRIVATE_KEY_MISSING;
        if (check &&
            !bytes_equal_secret(secret_bytes(&tag), operation->prove.expected))
            answer.fault = FAULT_PSK_WRONG;
        if (operation->prove.own.message.size) mac(host->psk, &operation->prove.own, &tag);
        if (!check || (operation->prove.own.message.size && !host->proves_singly))
            buf_add(&public, secret_bytes(&tag));
        break;
    }
    case IKE_OP_JUDGE:
        mac("made-up signature", &operation->judge.octets, &tag);
        answer.scheme = "MADE_UP";
        if (host->refuse_judge || !bytes_equal_secret(secret_bytes(&tag), operation->judge.data))
            answer.fault = FAULT_SIGNATURE_WRONG;
        if (host->authority && !bytes_equal(operation->judge.auth->cas[0].der,
                                            bytes_of_text(host->authority)))
            answer.fault = FAULT_CERT_UNTRUSTED;
        host->judged++;
        if (!operation->judge.raw_key.size) break;
        host->raw_keys_judged++;
        if (!bytes_equal(operation->judge.raw_key, operation->judge.auth->pubkeys[0].der))
            answer.fault = FAULT_RAW_KEY_UNKNOWN;
        break;
    case IKE_OP_LOGIN:
        login_do(host, operation, &answer, &public);
        break;
    case IKE_OP_PPK:
        ppk_do(host, operation, &answer, &public);
        break;
    case IKE_OP_RESOLVE:
        host->resolve_tries++;
        answer.path = host->resolved;
        if (host->no_route || host->route_count) answer.fault = FAULT_NO_ROUTE;
        for (size_t i = 0; i < host->route_count && !host->no_route; i++) {
            if (!range_has(&operation->resolve.remote[0].range, &host->routes[i].remote.addr)) continue;
            answer.path = host->routes[i];
            answer.fault = OK;
            break;
        }
        if (!answer.path.remote.addr.family) {
            answer.path.local = (struct endpoint){host->addr, 500};
            const struct host_pattern *to = operation->resolve.remote;
            bool given = operation->resolve.remote_count == 1 && to->kind == HOST_RANGE;
            answer.path.remote =
                (struct endpoint){given ? to->range.low : other(host)->addr, 500};
        }
        break;
    }
    answer.data = buf_bytes(&public);
    answer_give(host, &answer);
}

// What an operation points to is borrowed until the next step, so it is done before; those that are
// held copy nothing as the tests hold only key exchanges, whose parts live in the exchange.
static void take_operation(struct host *host, const struct ike_operation *operation)
{
    assert_true(host->waiting_count < ANSWERS_MAX);
    host->waiting[host->waiting_count++] = *operation;
}

void release_operations(struct host *host)
{
    while (host->waiting_count) {
        struct ike_operation operation = host->waiting[0];
        memmove(host->waiting, host->waiting + 1, --host->waiting_count * sizeof *host->waiting);
        operation_do(host, &operation);
    }
}

static void plane_skip(struct host *host, uint32_t spi, uint64_t delta)
{
    struct plane_sa *sa = (struct plane_sa *)(uintptr_t)plane_find(host, spi, SA_OUT);
    assert_non_null(sa);
    sa->skipped += delta;
}

// The kernel knows an SA's mark as long as there is the SA: it must hear of each change.
static void mark_check(const struct host *host, uint32_t spi, enum sa_direction direction, uint32_t mark)
{
    const struct plane_sa *at = plane_find(host, spi, direction);
    if (at) assert_int_equal(mark, at->spec.mark);
}

static void perform(struct host *host, const struct ike_out *out)
{
    switch (out->kind) {
    case IKE_OUT_SEND:
        fly(host, out);
        break;
    case IKE_OUT_SA_ADD:
        plane_add(host, &out->sa_add);
        break;
    case IKE_OUT_SA_MOVE:
        mark_check(host, out->sa_move.spi, out->sa_move.direction, out->sa_move.mark);
        plane_move(host, out->sa_move.spi, out->sa_move.direction, &out->sa_move.path);
        break;
    case IKE_OUT_SA_DEL:
        mark_check(host, out->sa_del.spi, out->sa_del.direction, out->sa_del.mark);
        plane_del(host, out->sa_del.spi, out->sa_del.direction);
        break;
    case IKE_OUT_POLICY_ADD:
        policy_add(host, &out->policy.spec);
        break;
    case IKE_OUT_POLICY_DEL:
        policy_del(host, out->policy.spec.number);
        break;
    case IKE_OUT_ADDRESS_ADD:
        host->vips[host->vip_count++] = out->address.addr;
        break;
    case IKE_OUT_ADDRESS_DEL:
        host->vip_count--;
        break;
    case IKE_OUT_SA_SKIP:
        plane_skip(host, out->sa_skip.spi, out->sa_skip.delta);
        break;
    case IKE_OUT_SA_MTU:
        plane_mtu(host, out->sa_mtu.spi, out->sa_mtu.direction, out->sa_mtu.path_mtu);
        break;
    case IKE_OUT_LEASE:
        host->leases_told++;
        break;
    case IKE_OUT_OPERATION:
        take_operation(host, &out->operation);
        break;
    case IKE_OUT_REPORT:
        line_add(host, &out->report);
        break;
    case IKE_OUT_EVENT:
        host->events[out->event.kind]++;
        break;
    case IKE_OUT_DONE:
        if (host->done_count == 0) {
            host->first_done_command = out->done.command;
            host->first_done_fault = out->done.fault;
        }
        host->done_command = out->done.command;
        host->done_fault = out->done.fault;
        host->done_count++;
        snprintf(host->done_text, sizeof host->done_text, "%s",
                 out->done.text ? out->done.text : "");
        break;
    }
}

// Operations point into the core until its next step, and answering one is a step: so they are
// answered one by one, and those that the core has asked for meanwhile come behind. What waits in
// an exchange stays where it is.
void step_in(struct host *host, struct ike_in *in)
{
    struct ike_out out;
    in->now = host->pair->now;
    ike_step(host->core, in);
    while (ike_next(host->core, &out)) perform(host, &out);
    if (!host->hold_operations) release_operations(host);
}

// --- time

static void deliver(struct pair *p, size_t place)
{
    struct flight flight = p->flights[place];
    memmove(&p->flights[place], &p->flights[place + 1],
            (--p->flight_count - place) * sizeof flight);
    struct ike_in in = {.kind = IKE_IN_DATAGRAM};
    in.datagram.path = flight.path;
    in.datagram.bytes = bytes_of(flight.bytes, flight.size);
    flight.to->received_bytes += flight.size;
    step_in(flight.to, &in);
    free(flight.bytes);
}

void run_for(struct pair *p, nsec span)
{
    nsec end = p->now + span;
    for (unsigned guard = 0;; guard++) {
        assert_true(guard < 1000000);
        size_t first = SIZE_MAX;
        nsec at = end;
        for (size_t i = 0; i < p->flight_count; i++) {
            if (p->flights[i].at > at || (first != SIZE_MAX && p->flights[i].at == at)) continue;
            at = p->flights[i].at;
            first = i;
        }
        struct host *hosts[] = {&p->a, &p->b}, *timer = NULL;
        for (unsigned i = 0; i < 2; i++) {
            nsec due = ike_deadline(hosts[i]->core);
            if (due > at || (due == at && first != SIZE_MAX)) continue;
            at = due;
            timer = hosts[i];
        }
        if (first == SIZE_MAX && !timer) break;
        if (at > p->now) p->now = at;
        if (timer) {
            struct ike_in in = {.kind = IKE_IN_TIMER};
            step_in(timer, &in);
        } else {
            deliver(p, first);
        }
    }
    p->now = end;
}

// --- making

static void host_init(struct pair *p, struct host *host, const char *name, uint8_t last)
{
    host->name = name;
    host->pair = p;
    host->addr = addr_v4(192, 0, 2, last);
    host->psk = "the secret of both";
    host->lines = mem_array(HOST_LINES_MAX, sizeof *host->lines);
    rng_seed(&host->rng, 1000 + last);
    host->core = ike_new(&host->rng.rng, &p->settings);
}

struct pair *pair_new(void)
{
    crypto_start();
    struct pair *p = NEW(struct pair);
    p->settings = ike_settings_default();
    p->delay = nsec_ms(10);
    p->now = nsec_seconds(1000);
    host_init(p, &p->a, "a", 1);
    host_init(p, &p->b, "b", 2);
    return p;
}

void pair_free(struct pair *p)
{
    for (size_t i = 0; i < p->flight_count; i++) free(p->flights[i].bytes);
    ike_free(p->a.core);
    ike_free(p->b.core);
    free(p->a.lines);
    free(p->b.lines);
    free(p);
}

static const char * or (const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

static void proposals_make(const char *text, enum iana_protocol protocol, struct proposals *out)
{
    struct bytes bad;
    char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *save = NULL, *one = strtok_r(copy, ",", &save); one;
         one = strtok_r(NULL, ",", &save))
        assert_int_equal(proposal_parse(one, protocol, &out->at[out->count++], &bad), OK);
}

static void selectors_make(const char *text, struct selectors *out, uint32_t *dynamic)
{
    char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *save = NULL, *one = strtok_r(copy, ",", &save); one;
         one = strtok_r(NULL, ",", &save)) {
        if (strncmp(one, "dynamic", 7) == 0) *dynamic |= 1u << out->count;
        assert_int_equal(selector_parse(one, &out->at[out->count++]), OK);
    }
}

static void child_make(const struct conf_text *text, unsigned i, struct conn *conn,
                       struct child_conf *child)
{
    child->name = arena_text(&conn->arena, bytes_of_text(or (text->child[i], "lan")));
    child->conn = conn;
    proposals_make(or (text->esp, "aes128gcm16"), PROTOCOL_ESP, &child->esp);
    selectors_make(or (text->local_ts[i], "10.1.0.0/16"), &child->local_ts, &child->local_dynamic);
    selectors_make(or (text->remote_ts[i], "10.2.0.0/16"), &child->remote_ts,
                   &child->remote_dynamic);
    child->mode = text->transport ? MODE_TRANSPORT : text->iptfs ? MODE_IPTFS : MODE_TUNNEL;
    child->strict_mode = text->strict_mode;
    child->iptfs_packet_size = 1000;
    child->iptfs_reorder_window = 3;
    child->iptfs_drop_time = 100;
    child->iptfs_accept_fragments = !text->takes_whole;
    child->iptfs_congestion = text->reports;
    child->iptfs_rate = text->reports ? 100 : 0;
    child->start_action = text->start_action;
    child->dpd_action = text->dpd_action;
    child->close_action = text->close_action;
    child->rekey_time = text->child_rekey_time;
    child->life_time = text->child_life_time;
    child->rekey_bytes = text->rekey_bytes;
    child->inactivity = text->inactivity;
    child->per_cpu = text->per_cpu;
    child->mark_sealed = text->mark_sealed;
    child->ipcomp = text->ipcomp;
    child->replay_window = 32;
    child->policies = true;
}

static void round_make(struct conn *conn, struct auth_conf *round, const char *auth, const char *id)
{
    round->auth = strcmp(auth, "psk") == 0 ? AUTH_CLASS_PSK : AUTH_CLASS_PUBKEY;
    if (id) assert_int_equal(identity_parse(id, &conn->arena, &round->id), OK);
}

struct conn *conn_make(const struct host *local, const struct host *remote,
                       const struct conf_text *text)
{
    struct conn *conn = NEW(struct conn);
    bool is_a = local == &local->pair->a;
    conn->references = 1;
    conn->name = arena_text(&conn->arena, bytes_of_text(or (text->name, "office")));
    conn->local_count = conn->remote_count = 1;
    conn->local_hosts[0] = (struct host_pattern){.kind = HOST_ANY};
    conn->remote_hosts[0] =
        (struct host_pattern){.kind = HOST_RANGE, .range = {remote->addr, remote->addr}};
    if (text->responder_only) conn->remote_hosts[0] = (struct host_pattern){.kind = HOST_ANY};
    conn->local_port = conn->remote_port = 500;
    proposals_make(or (text->proposals, "aes256gcm16-prfsha384-x25519"), PROTOCOL_IKE, &conn->ike);
    conn->encap = text->encap;
    conn->break_before_make = text->break_before_make;
    conn->tcp = text->tcp;
    conn->mobike = text->mobike;
    if (text->remote_range)
        assert_int_equal(range_parse(text->remote_range, &conn->remote_hosts[0].range), OK);
    conn->send_certreq = true;
    conn->send_cert = text->cert_size ? CERT_ALWAYS : CERT_IF_ASKED;
    conn->fragmentation = text->no_fragmentation ? FRAGMENTATION_NO : FRAGMENTATION_YES;
    conn->childless = text->childless;
    conn->unique = text->unique;
    conn->keyingtries = text->keyingtries ? text->keyingtries : 1;
    conn->dpd_delay = text->dpd_delay;
    conn->rekey_time = text->rekey_time;
    conn->reauth_time = text->reauth_time;
    conn->over_time = text->over_time;
    conn->ppk_required = text->ppk_required;
    conn->ppk_int = text->ppk_int;
    conn->ppk_rekey = text->ppk_rekey;
    for (unsigned i = 0; i < 4 && text->ppk_ids[i]; i++)
        assert_int_equal(identity_parse(text->ppk_ids[i], &conn->arena, &conn->ppk_ids[conn->ppk_count++]), OK);
    conn->resumption = text->resumption;
    conn->follow_redirects = !text->stays;
    conn->redirect_to = text->redirect_to;
    conn->redirect_early = text->redirect_early;
    conn->path_mtu_probes = !text->no_probes;
    conn->cluster_peer = text->cluster_peer;
    if (text->ppk_id)
        assert_int_equal(identity_parse(text->ppk_id, &conn->arena, &conn->ppk_id), OK);
    conn->local_rounds = conn->remote_rounds = 1;
    round_make(conn, &conn->local[0], or (text->auth, "psk"),
               or (text->local_id, is_a ? "a.example" : "b.example"));
    round_make(conn, &conn->remote[0], or (text->auth, "psk"),
               text->any_remote_id ? NULL : or (text->remote_id, is_a ? "b.example" : "a.example"));
    if (text->cert_size) {
        uint8_t *der = arena_new(&conn->arena, text->cert_size);
        memset(der, 0x5a, text->cert_size);
        conn->local[0].certs[0].der = bytes_of(der, text->cert_size);
        conn->local[0].cert_count = 1;
    }
    if (text->vip) assert_int_equal(addr_parse(text->vip, &conn->vips[conn->vip_count++]), OK);
    for (unsigned i = 0; i < 2 && text->pools[i]; i++)
        conn->pools[conn->pool_count++] = text->pools[i];
    unsigned count = 1;
    while (count < 4 && text->child[count]) count++;
    if (text->no_child) count = 0;
    conn->child_count = count;
    conn->children = arena_array(&conn->arena, count + 1, sizeof *conn->children);
    for (unsigned i = 0; i < count; i++) child_make(text, i, conn, &conn->children[i]);
    return conn;
}

void load(struct host *host, struct conn *conn)
{
    struct ike_in in = {.kind = IKE_IN_CONN_LOAD, .conn = conn};
    step_in(host, &in);
    conn_release(conn);
}

void load_both(struct pair *p, const struct conf_text *a, const struct conf_text *b)
{
    struct conf_text mirrored = *b;
    for (unsigned i = 0; i < 4; i++) {
        if (!mirrored.local_ts[i]) mirrored.local_ts[i] = "10.2.0.0/16";
        if (!mirrored.remote_ts[i]) mirrored.remote_ts[i] = "10.1.0.0/16";
    }
    load(&p->b, conn_make(&p->b, &p->a, &mirrored));
    load(&p->a, conn_make(&p->a, &p->b, a));
}

struct pair *pair_up_with(const struct conf_text *a, const struct conf_text *b)
{
    struct pair *p = pair_new();
    load_both(p, a, b);
    command(&p->a, IKE_INITIATE, NULL, or (a->child[0], "lan"));
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    return p;
}

struct pair *pair_up(void)
{
    struct conf_text text = {0};
    return pair_up_with(&text, &text);
}

// --- doing

uint32_t command(struct host *host, enum ike_command_kind kind, const char *conn, const char *child)
{
    struct ike_in in = {.kind = IKE_IN_COMMAND};
    in.command = (struct ike_command){
        .number = ++host->last_command, .kind = (uint8_t)kind, .conn = conn, .child = child};
    step_in(host, &in);
    return in.command.number;
}

void datagram(struct pair *p, struct host *to, const struct path *path, const uint8_t *bytes,
              size_t size)
{
    (void)p;
    struct ike_in in = {.kind = IKE_IN_DATAGRAM};
    in.datagram.path = *path;
    in.datagram.bytes = bytes_of(bytes, size);
    step_in(to, &in);
}

void usage(struct host *host, uint32_t spi, enum sa_direction direction, uint64_t packets,
           uint64_t bytes)
{
    struct ike_in in = {.kind = IKE_IN_PLANE};
    in.plane.kind = IKE_PLANE_USAGE;
    in.plane.spi = spi;
    in.plane.usage = (struct sa_usage){.spi = spi,
                                       .direction = (uint8_t)direction,
                                       .packets = packets,
                                       .bytes = bytes,
                                       .last_used = host->pair->now};
    step_in(host, &in);
}
