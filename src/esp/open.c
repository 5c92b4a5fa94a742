// SPDX-License-Identifier: Apache-2.0
// Inbound: a burst of ESP packets becomes a burst of inner packets, in stages, each a loop over the
// array.
//
//   spis_find     the SA of each packet; packets of one SA are chained
//   group_check   sizes and, before any cipher runs, the window
//   group_open    one cipher call for the group; then each packet: window for good, trailer, mode
#include "esp/internal.h"

static void packet_begin(struct packet *packet)
{
    packet->verdict = VERDICT_DELIVER;
    packet->fault = OK;
    packet->spi = packet->policy = 0;
}

// RFC 4303 3.4.2: a packet without an SA is dropped; ike may want to tell the sender (RFC
// 7296 1.5).
static void spi_unknown(struct plane *plane, struct packet *packet)
{
    struct plane_event event = {
        .kind = PLANE_UNKNOWN_SPI, .spi = packet->spi, .from = packet->from};
    packet_drop(plane, packet, FAULT_ESP_SPI_UNKNOWN);
    (void)plane_event_add(plane, &event); // lost ones are counted there
}

// A packet for somebody else, which happens to look like one of ours, goes on as it came.
static void transit_pass(struct plane *plane, struct packet *packet)
{
    packet->verdict = VERDICT_BYPASS;
    packet->at -= packet->head;
    packet->size += packet->head;
    packet->head = 0;
    plane->stats.bypassed++;
}

// AH has next header, length and reserved bytes before its SPI.
static uint32_t spi_offset(const struct packet *packet)
{
    return packet->protocol == PROTOCOL_AH ? 4 : 0;
}

// The SA may be another worker's, or so new that only worker 0 has heard of it, who hears first.
static bool is_elsewhere(const struct plane *plane, const struct packet *packet, unsigned *worker)
{
    *worker = worker_of_spi(packet->spi, plane->workers);
    if (*worker != plane->worker) return true;
    *worker = 0;
    return plane->worker && !packet->asked;
}

static void not_ours(struct plane *plane, struct packet *packet)
{
    unsigned worker;
    if (is_elsewhere(plane, packet, &worker)) {
        packet->asked = !plane->worker;
        packet_elsewhere(packet, VERDICT_OPEN_ELSEWHERE, worker);
    } else if (packet->transit) {
        transit_pass(plane, packet);
    } else {
        spi_unknown(plane, packet);
    }
}

// The SPI is known; is the packet of its SA's kind, too? What is in transit can only be for
// gateways in transport mode. Those get what is for an address of their own inner side, too.
static bool is_ours(const struct sa_run *run, const struct packet *packet)
{
    if ((run->flags & SA_AH) != (packet->protocol == PROTOCOL_AH ? SA_AH : 0u)) return false;
    return run->flags & SA_GATEWAY ? gateway_takes(run, packet) : !packet->transit;
}

static enum fault spi_read(struct packet *packet)
{
    uint32_t least = packet->protocol == PROTOCOL_AH ? AH_FIXED : ESP_HEADER;
    if (packet->size < least) return FAULT_ESP_TOO_SHORT;
    packet->spi = get_u32(packet->at + spi_offset(packet));
    return packet->spi < SPI_RESERVED ? FAULT_ESP_SPI_RESERVED : OK;
}

static void spis_read(struct plane *plane, struct packet *const *packets, size_t count)
{
    const struct spi_table *table = &plane->sad.in;
    for (size_t i = 0; i < count; i++) {
        packet_begin(packets[i]);
        enum fault fault = spi_read(packets[i]);
        if (fault && packets[i]->transit)
            transit_pass(plane, packets[i]);
        else if (fault)
            packet_drop(plane, packets[i], fault);
        else
            __builtin_prefetch(&table->slots[spi_table_place(table, packets[i]->spi)]);
    }
}

static void spis_find(struct plane *plane, struct packet *const *packets, size_t count)
{
    burst_begin(&plane->burst);
    for (size_t i = 0; i < count; i++) {
        if (packets[i]->verdict != VERDICT_DELIVER) continue;
        const struct spi_slot *slot = sad_slot_in(&plane->sad, packets[i]->spi);
        if (slot)
            burst_join(&plane->burst, &plane->sad.runs[slot->number - 1], slot->near, (uint8_t)i);
        else
            not_ours(plane, packets[i]);
    }
}

// Before the cipher -------------------------------------------------------------------------------

static uint32_t packet_payload(const struct sa_run *run, const struct packet *packet)
{
    return packet->size - ESP_HEADER - run->iv_size - run->icv_size;
}

static enum fault packet_sizes(const struct sa_run *run, const struct packet *packet)
{
    if (run->flags & SA_AH) return ah_sizes(run, packet);
    uint32_t around = ESP_HEADER + (uint32_t)run->iv_size + run->icv_size;
    if (packet->size < around + run->align) return FAULT_ESP_TOO_SHORT;
    if (packet->size > IP_SIZE_MAX) return FAULT_PACKET_TOO_LARGE;
    return (packet->size - around) & (run->align - 1u) ? FAULT_ESP_LENGTH : OK;
}

static enum fault packet_sequence(const struct sa_run *run, const struct packet *packet,
                                  uint64_t *sequence)
{
    uint32_t low = get_u32(packet->at + spi_offset(packet) + 4);
    *sequence = low;
    if (run->flags & SA_ESN) TRY(replay_infer(&run->in.replay, low, sequence));
    return replay_check(&run->in.replay, *sequence);
}

void packet_refuse(struct plane *plane, struct sa_run *run, struct packet *packet, enum fault fault)
{
    packet_drop(plane, packet, fault);
    if (fault == FAULT_REPLAY_OLD || fault == FAULT_REPLAY_SEEN) run->sa->dropped_replay++;
    if (fault == FAULT_ESP_ICV) run->sa->dropped_auth++;
    if (fault == FAULT_INNER_SELECTOR) run->sa->dropped_selector++;
}

static bool packet_check(struct plane *plane, struct sa_run *run, struct packet *packet,
                         uint64_t *sequence)
{
    packet->policy = run->policy;
    if (!is_ours(run, packet)) {
        not_ours(plane, packet);
        return false;
    }
    packet->device = run->device;
    enum fault fault = packet_sizes(run, packet);
    if (!fault) fault = packet_sequence(run, packet, sequence);
    if (fault) packet_refuse(plane, run, packet, fault);
    return !fault;
}

// Leaves those in the group that are worth a cipher.
static void group_check(struct plane *plane, struct group *group, struct packet *const *packets)
{
    struct burst *burst = &plane->burst;
    unsigned count = group->count;
    group->count = 0;
    for (uint8_t number = group->first, next; count > 0; count--, number = next) {
        next = burst->next[number];
        if (packet_check(plane, group->run, packets[number], &burst->sequence[number]))
            group_add(burst, group, number);
    }
}

// After it ----------------------------------------------------------------------------------------

// The peer's place is that of its newest packet: one that was late may come from where it was
// before. One that came without UDP shows no port, so it shows no place.
static void peer_follow(struct plane *plane, const struct sa_run *run, const struct packet *packet)
{
    if (!packet->from.port) return;
    uint64_t tag = endpoint_tag(&plane->sad, &packet->from);
    if (tag == run->in.peer) {
        if (run->sa->moved) run->sa->moved = 0;
        return;
    }
    if (tag == run->sa->moved) return;
    struct plane_event event = {
        .kind = PLANE_PEER_MOVED, .spi = run->spi, .policy = run->policy, .from = packet->from};
    if (plane_event_add(plane, &event)) run->sa->moved = tag;
}

// RFC 4303 3.4.3: only now, authenticated, does a packet move the window.
enum fault packet_commit(struct plane *plane, struct sa_run *run, const struct packet *packet,
                         uint64_t sequence)
{
    bool newest = sequence > run->in.replay.top;
    TRY(replay_commit(&run->in.replay, sequence));
    if (!newest || !(run->flags & SA_ENCAP)) return OK;
    peer_follow(plane, run, packet);
    return OK;
}

// RFC 4303 2.4: padding is 1, 2, 3 … and is looked at.
static enum fault trailer_strip(const struct sa_run *run, struct packet *packet,
                                uint8_t *next_header)
{
    uint32_t payload = packet_payload(run, packet);
    uint8_t *at = packet->at + ESP_HEADER + run->iv_size;
    uint32_t pad = at[payload - 2];
    *next_header = at[payload - 1];
    if (pad + ESP_TRAILER > payload) return FAULT_ESP_PADDING;
    packet->at = at;
    packet->size = payload - ESP_TRAILER - pad;
    for (uint32_t i = 0; i < pad; i++)
        if (at[packet->size + i] != (uint8_t)(i + 1)) return FAULT_ESP_PADDING;
    return OK;
}

static enum fault packet_finish(struct plane *plane, struct sa_run *run, struct packet *packet,
                                const struct batch_packet *batch, uint64_t sequence)
{
    if (!batch->good) return FAULT_ESP_ICV;
    TRY(packet_commit(plane, run, packet, sequence));
    uint8_t next_header;
    TRY(trailer_strip(run, packet, &next_header));
    if (run->mode == MODE_IPTFS) return iptfs_collect(plane, run, packet, next_header, sequence);
    if (next_header == IPPROTO_NUMBER_NO_NEXT) return FAULT_ESP_DUMMY; // RFC 4303 2.6
    if (next_header == IPPROTO_NUMBER_IPCOMP && run->flags & SA_IPCOMP)
        TRY(ipcomp_unwrap(plane, run, packet, &next_header));
    TRY(mode_of(run->mode)->unwrap(run, packet, next_header));
    if (ip_is_tcp(packet->at) && tcp_is_syn(packet->at, packet->size)) run_clamp_mss(run, packet);
    return OK;
}

static size_t group_gather(struct burst *burst, const struct group *group,
                           struct packet *const *packets)
{
    const struct sa_run *run = group->run;
    for (unsigned i = 0, number = group->first; i < group->count;
         i++, number = burst->next[number]) {
        burst->member[i] = (uint8_t)number;
        burst->batch[i] = (struct batch_packet){
            .esp = packets[number]->at,
            .payload_size = packet_payload(run, packets[number]),
            .seq_high = (uint32_t)(burst->sequence[number] >> 32),
            .esn = run->flags & SA_ESN,
        };
    }
    return group->count;
}

void group_opened(struct plane *plane, nsec now, struct sa_run *run, uint64_t bytes,
                  uint64_t packets, bool alive)
{
    run->bytes += bytes;
    run->packets += packets;
    if (alive) run->last_used = now; // a dummy packet, too, shows that the peer is there
    plane->stats.opened += packets;
    plane->stats.opened_bytes += bytes;
}

// A packet in transit that turns out to be no one of ours must go on as it came, and the cipher
// works in place.
static void transit_keep(struct plane *plane, const struct packet *packet, size_t number)
{
    if (packet->size <= TRANSIT_SIZE) memcpy(plane->transit[number], packet->at, packet->size);
}

static bool transit_give_back(struct plane *plane, struct packet *packet, size_t number)
{
    if (!packet->transit || packet->size > TRANSIT_SIZE) return false;
    memcpy(packet->at, plane->transit[number], packet->size);
    transit_pass(plane, packet);
    return true;
}

static void group_open(struct plane *plane, nsec now, const struct group *group,
                       struct packet *const *packets)
{
    struct burst *burst = &plane->burst;
    struct sa_run *run = group->run;
    size_t count = group_gather(burst, group, packets);
    uint64_t bytes = 0, opened = 0;
    bool alive = false;
    bool gateway = run->flags & SA_GATEWAY;
    for (size_t i = 0; gateway && i < count; i++) transit_keep(plane, packets[burst->member[i]], i);
    batch_open(run->key, burst->batch, count);
    for (size_t i = 0; i < count; i++) {
        size_t number = burst->member[i];
        struct packet *packet = packets[number];
        if (gateway && !burst->batch[i].good && transit_give_back(plane, packet, i)) continue;
        enum fault fault =
            packet_finish(plane, run, packet, &burst->batch[i], burst->sequence[number]);
        alive |= burst->batch[i].good;
        if (fault) {
            packet_refuse(plane, run, packet, fault);
            continue;
        }
        if (packet->verdict == VERDICT_GATHERED) continue;
        bytes += packet->size;
        opened++;
    }
    group_opened(plane, now, run, bytes, opened, alive);
}

void plane_open(struct plane *plane, nsec now, struct packet *const *packets, size_t count)
{
    assert(count <= BURST_MAX);
    spis_read(plane, packets, count);
    spis_find(plane, packets, count);
    for (size_t i = 0; i < plane->burst.group_count; i++) {
        burst_prefetch(&plane->burst, i, packets);
        struct group *group = &plane->burst.groups[i];
        group_check(plane, group, packets);
        if (group->run->flags & SA_KEPT) (void)run_expand_key(plane, group->run);
        if (!run_shares(group->run)) group_spread(&plane->burst, group, packets);
        if (group->run->flags & SA_AH)
            ah_group_open(plane, now, group, packets);
        else
            group_open(plane, now, group, packets);
    }
}
