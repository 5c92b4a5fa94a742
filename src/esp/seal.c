// SPDX-License-Identifier: Apache-2.0
// Outbound: a burst of inner packets becomes a burst of ESP packets, in stages, each a loop over
// the array.
//
//   flows_read      the flow of each packet, put together where it must be whole, and its place in the flow cache
//   policies_find   policy and SA; packets that need none, or that must wait, leave here; packets
//                   of one SA are chained
//   group_seal      sequence number, header, padding; one cipher call for the group; destination;
//                   AH has its own (ah.c), and in IP-TFS packets are gathered (iptfs_plane.c);
//                   packets for an SA of another worker leave here
#include "esp/internal.h"

// 1, 2, 3 …: RFC 4303 2.4.
static const uint8_t padding[ESP_ALIGN_MAX] = {1, 2,  3,  4,  5,  6,  7,  8,
                                               9, 10, 11, 12, 13, 14, 15, 16};

static void flows_read(struct plane *plane, nsec now, struct packet *const *packets, size_t count)
{
    const struct spd *spd = &plane->spd;
    for (size_t i = 0; i < count; i++) {
        struct packet *packet = packets[i];
        uint32_t total;
        packet->verdict = VERDICT_SEND;
        packet->fault = OK;
        packet->spi = packet->policy = packet->way = 0;
        packet->head = packet->ttl = 0;
        packet->oversize = false;
        bool led = packet->follows && i > 0 && packets[i - 1]->verdict == VERDICT_SEND;
        plane->leaders[i] = led ? plane->leaders[i - 1] : (uint8_t)i;
        if (led) continue;
        if (plane->reassembly && !packet->piece && !packet_join(plane, now, packet)) continue;
        enum fault fault = flow_key_read(packet->at, packet->size, &plane->keys[i], &total);
        if (fault) {
            packet_drop(plane, packet, fault);
            continue;
        }
        packet->size = total;
        flow_key_set_device(&plane->keys[i], packet->device);
        plane->hashes[i] = flow_hash(spd, &plane->keys[i]);
        __builtin_prefetch(flow_slot_at(spd, plane->hashes[i], 0));
    }
}

// RFC 4301 5.1: the policy says what becomes of a packet; here a packet that no policy covers is
// not ours; but what was routed into a tunnel's own device was meant for the tunnel. A policy or an
// SA that is new may be known to worker 0 only: the others leave it to that one to say that there is none.
//
// Returns true when the policy of the flow has an SA.
static bool policy_apply(struct plane *plane, nsec now, size_t number, struct packet *packet)
{
    const struct flow_key *key = &plane->keys[plane->leaders[number]];
    const struct flow_slot *slot =
        spd_find(plane, now, key, plane->hashes[plane->leaders[number]]);
    packet->policy = slot->number;
    if (slot->run) {
        burst_join(&plane->burst, slot->run, slot->near, (uint8_t)number);
        return true;
    }
    struct policy *policy = slot->policy;
    bool passes = !policy || policy->action == POLICY_BYPASS;
    const struct flow_slot *quoted = policy ? NULL : quoted_find(plane, now, packet);
    if (quoted) {
        packet->policy = quoted->number;
        burst_join(&plane->burst, quoted->run, quoted->near, (uint8_t)number);
        return false; // another may quote another
    }
    if (plane->worker) {
        packet_elsewhere(packet, VERDICT_SEAL_ELSEWHERE, 0);
    } else if (passes && packet->device) {
        packet_drop(plane, packet, FAULT_DEVICE_POLICY);
    } else if (passes) {
        packet->verdict = VERDICT_BYPASS;
        plane->stats.bypassed++;
    } else if (policy->action == POLICY_DISCARD) {
        packet_drop(plane, packet, FAULT_POLICY_DISCARD);
    } else {
        hold_packet(plane, now, policy, key, packet);
    }
    return false;
}

static void policies_find(struct plane *plane, nsec now, struct packet *const *packets,
                          size_t count)
{
    struct burst *burst = &plane->burst;
    bool joined = false; // the packet before is in the group that was added to last
    burst_begin(burst);
    for (size_t i = 0; i < count; i++) {
        if (packets[i]->verdict != VERDICT_SEND) {
            joined = false;
        } else if (joined && packets[i]->follows) {
            packets[i]->policy = packets[i - 1]->policy;
            group_add(burst, &burst->groups[burst->latest], (uint8_t)i);
        } else {
            joined = policy_apply(plane, now, i, packets[i]);
        }
    }
}

void sequence_watch(struct plane *plane, struct sa_run *run)
{
    if (run->out.sequence < run->out.soft) return;
    struct plane_event event = {.kind = PLANE_EXPIRE_SOFT_SEQUENCE,
                                .spi = run->spi,
                                .policy = run->policy,
                                .from = run->out.remote};
    if (plane_event_add(plane, &event)) run->out.soft = UINT64_MAX;
}

// RFC 4303 3.3.3: a sequence number is never used twice; when they are used up the SA is.
enum fault sequence_next(struct plane *plane, struct sa_run *run)
{
    if (run->out.sequence >= SEQUENCE_LAST(run->flags & SA_ESN)) return FAULT_SEQUENCE_EXHAUSTED;
    run->out.sequence++;
    if (run->out.sequence >= run->out.soft) sequence_watch(plane, run);
    return OK;
}

static bool packet_fits(const struct packet *packet, uint32_t head, uint32_t size)
{
    size_t before = (size_t)(packet->at - packet->space);
    return before >= head && before - head + size <= packet->room;
}

enum fault packet_frame(struct plane *plane, struct sa_run *run, const struct esp_mode *mode,
                        struct packet *packet, struct batch_packet *batch)
{
    uint8_t next_header;
    TRY(mode->wrap(run, packet, &next_header));
    if (run->flags & SA_IPCOMP) ipcomp_wrap(plane, run, packet, &next_header);
    uint32_t carried = packet->size > run->tfc ? packet->size : run->tfc;
    uint32_t head = ESP_HEADER + run->iv_size, mask = run->align - 1u;
    uint32_t payload = (carried + ESP_TRAILER + mask) & ~mask,
             pad = payload - carried - ESP_TRAILER;
    uint32_t size = head + payload + run->icv_size;
    uint32_t before_it = (packet->head ? packet->head : IPV4_HEADER) + (uint32_t)UDP_HEADER;
    if (size > IP_SIZE_MAX - before_it) return FAULT_PACKET_TOO_LARGE;
    if (!packet_fits(packet, head, size)) packet_spread(packet);
    if (!packet_fits(packet, head, size)) return FAULT_NO_ROOM;
    TRY(sequence_next(plane, run));

    // RFC 4303 2.7: what hides the size stands between the inner packet and the padding.
    uint8_t *trailer = packet->at + carried;
    if (carried > packet->size) memset(packet->at + packet->size, 0, carried - packet->size);
    memcpy(trailer, padding, pad);
    trailer[pad] = (uint8_t)pad;
    trailer[pad + 1] = next_header;
    packet->at -= head;
    packet->size = size;
    put_u64(packet->at, (uint64_t)run->spi << 32 | (uint32_t)run->out.sequence);
    *batch = (struct batch_packet){
        .esp = packet->at,
        .payload_size = payload,
        .seq_high = (uint32_t)(run->out.sequence >> 32),
        .esn = run->flags & SA_ESN,
    };
    return OK;
}

void group_sealed(struct plane *plane, nsec now, struct sa_run *run, uint64_t bytes,
                  uint64_t packets)
{
    run->bytes += bytes;
    run->packets += packets;
    if (packets) run->last_used = now;
    plane->stats.sealed += packets;
    plane->stats.sealed_bytes += bytes;
}

static void group_gather(struct plane *plane, nsec now, const struct group *group,
                         struct packet *const *packets)
{
    for (unsigned i = 0, number = group->first; i < group->count;
         i++, number = plane->burst.next[number])
        if (seal_admits(plane, now, group->run, packets[number]))
            iptfs_seal(plane, now, group->run, packets[number]);
}

static void group_seal(struct plane *plane, nsec now, const struct group *group,
                       struct packet *const *packets)
{
    struct burst *burst = &plane->burst;
    struct sa_run *run = group->run;
    const struct esp_mode *mode = mode_of(run->mode);
    size_t count = 0;
    uint64_t bytes = 0;
    for (unsigned i = 0, number = group->first; i < group->count;
         i++, number = burst->next[number]) {
        struct packet *packet = packets[number];
        uint32_t size = packet->size;
        packet->spi = run->spi;
        if (!seal_admits(plane, now, run, packet)) continue;
        enum fault fault = packet_frame(plane, run, mode, packet, &burst->batch[count]);
        if (fault) {
            packet_drop(plane, packet, fault);
            continue;
        }
        bytes += size;
        outer_set(run, packet);
        burst->member[count++] = (uint8_t)number;
    }
    if (count) batch_seal(run->key, burst->batch, count);
    for (size_t i = 0; mode->finish && i < count; i++) mode->finish(run, packets[burst->member[i]]);
    group_sealed(plane, now, run, bytes, count);
}

static void group_elsewhere(const struct plane *plane, const struct group *group,
                            struct packet *const *packets)
{
    for (unsigned i = 0, number = group->first; i < group->count;
         i++, number = plane->burst.next[number])
        packet_elsewhere(packets[number], VERDICT_SEAL_ELSEWHERE, group->run->worker);
}

void plane_seal(struct plane *plane, nsec now, struct packet *const *packets, size_t count)
{
    assert(count <= BURST_MAX);
    flows_read(plane, now, packets, count);
    policies_find(plane, now, packets, count);
    for (size_t i = 0; i < plane->burst.group_count; i++) {
        burst_prefetch(&plane->burst, i, packets);
        const struct group *group = &plane->burst.groups[i];
        if (group->run->worker != plane->worker) {
            group_elsewhere(plane, group, packets);
            continue;
        }
        if (group->run->flags & SA_KEPT) (void)run_expand_key(plane, group->run);
        if (!run_shares(group->run)) group_spread(&plane->burst, group, packets);
        if (group->run->flags & SA_AH)
            ah_group_seal(plane, now, group, packets);
        else if (group->run->mode == MODE_IPTFS)
            group_gather(plane, now, group, packets);
        else
            group_seal(plane, now, group, packets);
    }
}
