// SPDX-License-Identifier: Apache-2.0
// The SAs of one plane. Run structs lie in one array; an SPI finds its run struct in one step
// (table.c), and the rest of an SA, which packets do not need, hangs from that.
#include "esp/internal.h"

void sad_init(struct sad *sad, size_t sas_max, struct rng *rng)
{
    *sad = (struct sad){.room = (uint32_t)sas_max, .unused_count = (uint32_t)sas_max};
    sad->runs = pages_new(sas_max * sizeof *sad->runs);
    sad->unused = mem_array(sas_max, sizeof *sad->unused);
    for (uint32_t i = 0; i < sad->room; i++) sad->unused[i] = sad->room - 1 - i;
    spi_table_init(&sad->in, rng_u64(rng));
    spi_table_init(&sad->out, rng_u64(rng));
    sad->tag_seed = rng_u64(rng);
}

void sad_widen(struct sad *sad)
{
    pages_widen(sad->runs, sad->room * sizeof *sad->runs);
}

// Addresses as one number: what a packet's sender is compared with. 0 stands for none.
uint64_t endpoint_tag(const struct sad *sad, const struct endpoint *endpoint)
{
    uint64_t half[2];
    memcpy(half, endpoint->addr.at, sizeof half);
    uint64_t tag = mix(half[0] ^ sad->tag_seed,
                       half[1] ^ (uint64_t)endpoint->port << 32 ^ endpoint->addr.family);
    return tag ? tag : 1;
}

// With no address given the SPI has to be enough.
struct sa_run *sad_find_out(const struct sad *sad, uint32_t spi, const struct addr *remote,
                            enum fault *fault)
{
    struct sa_run *found = NULL;
    *fault = FAULT_SA_UNKNOWN;
    uint32_t place = spi_table_place(&sad->out, spi);
    const struct spi_slot *slot;
    while ((slot = spi_table_from(&sad->out, spi, place))) {
        place = ((uint32_t)(slot - sad->out.slots) + 1) & sad->out.mask;
        struct sa_run *run = &sad->runs[slot->number - 1];
        if (remote && !addr_equal(remote, &run->out.remote.addr)) continue;
        if (found) {
            *fault = FAULT_SA_AMBIGUOUS;
            return NULL;
        }
        found = run;
    }
    if (found) *fault = OK;
    return found;
}

static struct sa_run *sad_find(const struct sad *sad, uint32_t spi, enum sa_direction direction,
                               const struct addr *remote, enum fault *fault)
{
    if (direction == SA_OUT) return sad_find_out(sad, spi, remote, fault);
    struct sa_run *run = sad_find_in(sad, spi);
    *fault = run ? OK : FAULT_SA_UNKNOWN;
    return run;
}

// Making and ending an SA -------------------------------------------------------------------------

static bool path_is_usable(const struct path *path)
{
    if (path->remote.addr.family == ADDR_NONE) return false;
    return path->local.addr.family == ADDR_NONE ||
           path->local.addr.family == path->remote.addr.family;
}

static enum fault sa_spec_check(const struct sa_spec *spec)
{
    bool ah = spec->protocol == PROTOCOL_AH;
    const struct esp_mode *mode = mode_of(spec->mode);
    if (!ah && (spec->protocol != PROTOCOL_ESP || !mode)) return FAULT_SA_MODE;
    if (spec->copy_dscp > DSCP_COPY_NONE || spec->copy_df > DF_SET || spec->copy_ecn > ECN_NONE)
        return FAULT_SA_PARAMETERS;
    if (spec->tfc_padding && (ah || spec->mode != MODE_TUNNEL)) return FAULT_SA_PARAMETERS;
    // What hides the size and what makes it tell more do not go together.
    if (spec->cpi && (ah || spec->tfc_padding)) return FAULT_SA_PARAMETERS;
    if (spec->resources > RESOURCES_MAX) return FAULT_SA_PARAMETERS;
    if (spec->spi < SPI_RESERVED || spec->replay_window > REPLAY_WINDOW_MAX)
        return FAULT_SA_PARAMETERS;
    if (spec->direction != SA_IN && spec->direction != SA_OUT) return FAULT_SA_PARAMETERS;
    if (spec->if_id >= PLANE_DEVICES_MAX) return FAULT_SA_PARAMETERS;
    if (spec->direction == SA_OUT && !path_is_usable(&spec->path)) return FAULT_SA_PARAMETERS;
    if (!spec->local.count || !spec->remote.count) return FAULT_SELECTORS_EMPTY;
    if (spec->local.count > SELECTORS_MAX || spec->remote.count > SELECTORS_MAX)
        return FAULT_SA_PARAMETERS;
    if (ah) return ah_check(spec);
    return mode->check ? mode->check(spec) : OK;
}

// What the plane's backend lacks is done by OpenSSL.
static enum fault sa_key_new(struct plane *plane, const struct sa_spec *spec,
                             struct batch_key **key)
{
    bool seal = spec->direction == SA_OUT;
    enum fault fault = batch_key_keep(plane->backend, spec->encr, spec->key_bits, spec->integ,
                                      spec->encr_key, spec->integ_key, seal, key);
    if (fault != FAULT_UNSUPPORTED_CIPHER && fault != FAULT_UNSUPPORTED_INTEGRITY) return fault;
    if (!plane->fallback) plane->fallback = batch_backend_new(BATCH_EVP);
    return batch_key_keep(plane->fallback, spec->encr, spec->key_bits, spec->integ, spec->encr_key,
                          spec->integ_key, seal, key);
}

static size_t sa_memory(const struct sa *sa)
{
    size_t selectors = (size_t)sa->traffic->local_count + sa->traffic->remote_count;
    size_t ring = sa->ring ? replay_words(sa->run->in.replay.window) * sizeof *sa->ring : 0;
    return sizeof *sa + sizeof *sa->traffic + selectors * sizeof sa->traffic->at[0] + ring;
}

static void run_set_path(const struct sad *sad, struct sa_run *run, const struct path *path)
{
    run->sa->path = *path;
    mtu_parts_path(&run->sa->parts, path);
    run_set_mtu(run, run->sa->path_mtu);
    run->sa->moved = 0;
    // RFC 9329 6.1: over a stream IKE says where the peer is, not each packet.
    unsigned encap = path->stream ? SA_STREAM : path->encap ? SA_ENCAP : 0;
    run->flags = (uint8_t)((run->flags & ~(SA_ENCAP | SA_STREAM)) | encap);
    if (run->sa->direction == SA_IN) {
        run->in.peer = endpoint_tag(sad, &path->remote);
    } else {
        run->out.local = path->local;
        run->out.remote = path->remote;
    }
}

static void run_set_in(struct sa_run *run, const struct sa_spec *spec)
{
    uint64_t *ring = run->in.words;
    uint32_t words = replay_words(spec->replay_window);
    if (words > REPLAY_SMALL_WORDS) ring = run->sa->ring = mem_array(words, sizeof *ring);
    replay_init(&run->in.replay, spec->replay_window, ring);
    if (traffic_gate(run->sa->traffic, &run->in.gate)) run->flags |= SA_GATE;
}

static void run_set_out(struct sa_run *run, const struct sa_spec *spec)
{
    run->out.sequence = 0;
    run->out.soft = SEQUENCE_SOFT(spec->esn);
}

// A key for ESP or for AH: the other is NULL.
struct sa_key {
    struct batch_key *batch;
    struct icv_key *icv;
};

static void run_set_key(struct sa_run *run, const struct sa_key *key)
{
    run->key = key->batch;
    if (key->batch) run->flags |= SA_KEPT;
    run->sa->icv = key->icv;
    if (key->icv) {
        run->flags |= SA_AH;
        run->icv_size = (uint8_t)icv_key_size(key->icv);
        return;
    }
    run->iv_size = (uint8_t)batch_key_iv_size(key->batch);
    run->icv_size = (uint8_t)batch_key_icv_size(key->batch);
    run->align = (uint8_t)batch_key_align(key->batch);
    assert(run->align >= 4 && run->align <= ESP_ALIGN_MAX && (run->align & (run->align - 1)) == 0);
}

// The other direction is at work at the same time: TCP sends ACKs while it receives.
static unsigned sa_worker(const struct plane *plane, const struct sa_spec *spec)
{
    if (spec->direction == SA_IN) return plane->worker;
    uint32_t seed = spec->partner_spi ? spec->partner_spi : spec->policy;
    // RFC 9347 3: each direction reports on the other.
    if (spec->mode == MODE_IPTFS && spec->iptfs.reports) return worker_of_spi(seed, plane->workers);
    return worker_partner(worker_of_spi(seed, plane->workers), plane->workers);
}

static enum fault sa_keys_new(struct plane *plane, const struct sa_spec *spec, struct sa_key *key)
{
    if (sa_worker(plane, spec) != plane->worker) return OK;
    return spec->protocol == PROTOCOL_AH ? icv_key_new(spec->integ, spec->integ_key, &key->icv)
                                         : sa_key_new(plane, spec, &key->batch);
}

static void sa_new(struct plane *plane, struct sa_run *run, const struct sa_spec *spec,
                   const struct sa_key *key)
{
    struct sa *sa = NEW(struct sa);
    sa->run = run;
    sa->direction = spec->direction;
    sa->cpi = spec->cpi;
    sa->resource = spec->resource;
    sa->resources = spec->resources;
    sa->traffic = traffic_new(&spec->local, &spec->remote);
    *run = (struct sa_run){
        .sa = sa,
        .spi = spec->spi,
        .policy = spec->policy,
        .mode = spec->mode,
        .flags = (uint8_t)((spec->esn ? SA_ESN : 0) |
                           (spec->mode == MODE_GATEWAY_TRANSPORT ? SA_GATEWAY : 0) |
                           (spec->cpi ? SA_IPCOMP : 0)),
        .copy = copy_pack(spec->copy_dscp, spec->copy_df, spec->copy_ecn),
        .device = (uint16_t)spec->if_id,
        .worker = (uint8_t)sa_worker(plane, spec),
    };
    sa->parts = mtu_parts(spec);
    sa->path_mtu = spec->path_mtu;
    sa->tfc = spec->tfc_padding;
    sa->tcp_mss = spec->tcp_mss;
    sa->fragments = spec->fragments;
    sa->icmp = spec->icmp;
    if (run->worker == plane->worker) run_set_key(run, key);
    if (spec->direction == SA_IN)
        run_set_in(run, spec);
    else
        run_set_out(run, spec);
    run_set_path(&plane->sad, run, &spec->path);
    if (spec->mode == MODE_IPTFS && run->worker == plane->worker) iptfs_new(plane, run, spec);
    run_set_mtu(run, spec->path_mtu);
    if (++plane->stats.sas == SAS_WIDE) {
        sad_widen(&plane->sad);
        spd_widen(&plane->spd);
    }
    plane->stats.bytes_memory += sa_memory(sa);
}

static void sa_free(struct plane *plane, struct sa_run *run)
{
    struct sa *sa = run->sa;
    iptfs_free(plane, run);
    plane->stats.bytes_memory -= sa_memory(sa);
    plane->stats.sas--;
    batch_key_free(run->key);
    icv_key_free(sa->icv);
    free(sa->traffic);
    free(sa->ring);
    free(sa);
    memset(run, 0, sizeof *run);
}

static void sa_remove(struct plane *plane, struct sa_run *run)
{
    struct sad *sad = &plane->sad;
    uint32_t number = (uint32_t)(run - sad->runs);
    struct policy *policy = run->sa->policy;
    spi_table_remove(run->sa->direction == SA_IN ? &sad->in : &sad->out, run->spi, number + 1);
    if (policy) {
        policy_sa_remove(policy, run->sa);
        spd_changed(&plane->spd);
    }
    sa_free(plane, run);
    sad->unused[sad->unused_count++] = number;
    if (policy) spd_policy_done(plane, policy);
}

static void transit_room(struct plane *plane)
{
    if (plane->transit) return;
    plane->transit = mem_array(BURST_MAX, sizeof *plane->transit);
    plane->stats.bytes_memory += BURST_MAX * sizeof *plane->transit;
}

static void ipcomp_room(struct plane *plane)
{
    if (plane->ipcomp) return;
    plane->ipcomp = ipcomp_new();
    plane->stats.bytes_memory += ipcomp_memory();
}

static void sa_serve(struct plane *plane, struct sa *sa, uint32_t number)
{
    sa->policy = spd_policy(&plane->spd, number);
    policy_sa_add(sa->policy, sa);
    spd_changed(&plane->spd);
    hold_ready(plane, sa->policy);
}

enum fault plane_sa_add(struct plane *plane, const struct sa_spec *spec)
{
    struct sad *sad = &plane->sad;
    TRY(sa_spec_check(spec));
    enum fault fault;
    struct sa_run *former =
        sad_find(sad, spec->spi, spec->direction, &spec->path.remote.addr, &fault);
    if (!former && sad->unused_count == 0) return FAULT_SAS_TOO_MANY;
    struct sa_key key = {0};
    TRY(sa_keys_new(plane, spec, &key));
    if (former) sa_remove(plane, former);

    uint32_t number = sad->unused[--sad->unused_count];
    struct sa_run *run = &sad->runs[number];
    if (number >= sad->begun) sad->begun = number + 1;
    sa_new(plane, run, spec, &key);
    if (spec->mode == MODE_GATEWAY_TRANSPORT) transit_room(plane);
    if (spec->mode != MODE_TUNNEL) reassembly_room(plane);
    if (spec->cpi) ipcomp_room(plane);
    struct spi_table *table = spec->direction == SA_IN ? &sad->in : &sad->out;
    size_t before = spi_table_size(table);
    spi_table_add(table, spec->spi, number + 1);
    plane->stats.bytes_memory += spi_table_size(table) - before;
    if (spec->direction == SA_OUT) sa_serve(plane, run->sa, spec->policy);
    return OK;
}

// What is asked of one SA -------------------------------------------------------------------------

enum fault plane_sa_move_of(struct plane *plane, uint32_t spi, enum sa_direction direction,
                            const struct addr *remote, const struct path *path)
{
    enum fault fault;
    struct sa_run *run = sad_find(&plane->sad, spi, direction, remote, &fault);
    if (!run) return fault;
    if (direction == SA_OUT && !path_is_usable(path)) return FAULT_SA_PARAMETERS;
    run_set_path(&plane->sad, run, path);
    return OK;
}

enum fault plane_sa_mtu(struct plane *plane, uint32_t spi, enum sa_direction direction,
                        const struct addr *remote, uint16_t path_mtu)
{
    enum fault fault;
    struct sa_run *run = sad_find(&plane->sad, spi, direction, remote, &fault);
    if (!run) return fault;
    run_set_mtu(run, path_mtu);
    return OK;
}

enum fault plane_sa_skip(struct plane *plane, uint32_t spi, const struct addr *remote,
                         uint64_t delta)
{
    enum fault fault;
    struct sa_run *run = sad_find(&plane->sad, spi, SA_OUT, remote, &fault);
    if (!run) return fault;
    if (run->worker != plane->worker) return OK; // whoever seals counts
    uint64_t left = SEQUENCE_LAST(run->flags & SA_ESN) - run->out.sequence;
    run->out.sequence += delta < left ? delta : left;
    sequence_watch(plane, run); // with none left no packet would bring it up
    return OK;
}

enum fault plane_sa_move(struct plane *plane, uint32_t spi, enum sa_direction direction,
                         const struct path *path)
{
    return plane_sa_move_of(plane, spi, direction, NULL, path);
}

enum fault plane_sa_del_of(struct plane *plane, uint32_t spi, enum sa_direction direction,
                           const struct addr *remote)
{
    enum fault fault;
    struct sa_run *run = sad_find(&plane->sad, spi, direction, remote, &fault);
    if (run) sa_remove(plane, run);
    return fault;
}

enum fault plane_sa_del(struct plane *plane, uint32_t spi, enum sa_direction direction)
{
    return plane_sa_del_of(plane, spi, direction, NULL);
}

static void run_usage(const struct sa_run *run, struct sa_usage *usage)
{
    *usage = (struct sa_usage){
        .spi = run->spi,
        .direction = run->sa->direction,
        .bytes = run->bytes,
        .packets = run->packets,
        .last_used = run->last_used,
        .dropped_replay = run->sa->dropped_replay,
        .dropped_auth = run->sa->dropped_auth,
        .dropped_selector = run->sa->dropped_selector,
    };
    if (run->sa->iptfs) congestion_usage(run->sa->iptfs, usage);
}

enum fault plane_usage(const struct plane *plane, uint32_t spi, enum sa_direction direction,
                       struct sa_usage *usage)
{
    enum fault fault;
    struct sa_run *run = sad_find(&plane->sad, spi, direction, NULL, &fault);
    if (run) run_usage(run, usage);
    return fault;
}

bool plane_usage_next(const struct plane *plane, size_t *cursor, struct sa_usage *usage)
{
    while (*cursor < plane->sad.begun) {
        const struct sa_run *run = &plane->sad.runs[(*cursor)++];
        if (!run->sa || run->worker != plane->worker) continue;
        run_usage(run, usage);
        return true;
    }
    return false;
}

void sad_wipe(struct plane *plane)
{
    struct sad *sad = &plane->sad;
    for (uint32_t i = 0; i < sad->begun; i++)
        if (sad->runs[i].sa) sa_remove(plane, &sad->runs[i]);
    pages_free(sad->runs, sad->room * sizeof *sad->runs);
    free(sad->unused);
    spi_table_wipe(&sad->in);
    spi_table_wipe(&sad->out);
}
