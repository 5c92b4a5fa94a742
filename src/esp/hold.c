// SPDX-License-Identifier: Apache-2.0
// Packets that wait for an SA. All memory is made with the plane: a packet is copied into a chain
// of chunks; it is in two queues, that of its policy and that of all in order of time. When a
// policy's queue is full its oldest packet gives way, since what is sent again is worth more; when
// the whole store is full the new one is dropped, so that one policy's packets cannot push out
// another's.
#include "esp/internal.h"

void hold_init(struct hold *hold)
{
    *hold = (struct hold){.unused = 1, .chunk_unused = 1, .chunk_left = HELD_MAX};
    hold->packets = mem_array(HELD_MAX + 1, sizeof *hold->packets);
    hold->chunks = mem_array(HELD_MAX + 1, HELD_CHUNK);
    hold->chunk_next = mem_array(HELD_MAX + 1, sizeof *hold->chunk_next);
    for (uint32_t i = 1; i < HELD_MAX; i++) hold->packets[i].next = hold->chunk_next[i] = i + 1;
}

void hold_wipe(struct hold *hold)
{
    free(hold->packets);
    free(hold->chunks);
    free(hold->chunk_next);
}

static uint32_t chunks_for(uint32_t size)
{
    return (size + HELD_CHUNK - 1) / HELD_CHUNK;
}

static uint32_t chunks_fill(struct hold *hold, const uint8_t *at, uint32_t size)
{
    uint32_t first = 0, *link = &first;
    for (uint32_t done = 0; done < size; done += HELD_CHUNK) {
        uint32_t chunk = hold->chunk_unused,
                 part = size - done < HELD_CHUNK ? size - done : HELD_CHUNK;
        hold->chunk_unused = hold->chunk_next[chunk];
        hold->chunk_left--;
        memcpy(hold->chunks[chunk], at + done, part);
        *link = chunk;
        link = &hold->chunk_next[chunk];
    }
    *link = 0;
    return first;
}

static void chunks_copy(const struct hold *hold, uint32_t chunk, uint8_t *at, uint32_t size)
{
    for (uint32_t done = 0; done < size; done += HELD_CHUNK, chunk = hold->chunk_next[chunk])
        memcpy(at + done, hold->chunks[chunk], size - done < HELD_CHUNK ? size - done : HELD_CHUNK);
}

static void chunks_release(struct hold *hold, uint32_t chunk)
{
    while (chunk) {
        uint32_t next = hold->chunk_next[chunk];
        hold->chunk_next[chunk] = hold->chunk_unused;
        hold->chunk_unused = chunk;
        hold->chunk_left++;
        chunk = next;
    }
}

// Queues ------------------------------------------------------------------------------------------

static void held_append(struct hold *hold, struct policy *policy, uint32_t number)
{
    struct held_queue *queue = &policy->held;
    struct held_packet *held = &hold->packets[number];
    held->policy = policy;
    held->next = held->later = 0;
    held->earlier = hold->latest;
    *(queue->last ? &hold->packets[queue->last].next : &queue->first) = number;
    *(hold->latest ? &hold->packets[hold->latest].later : &hold->earliest) = number;
    queue->last = hold->latest = number;
    queue->count++;
}

// Takes the first of a policy's packets out of everything.
static void held_remove_first(struct hold *hold, struct policy *policy)
{
    struct held_queue *queue = &policy->held;
    uint32_t number = queue->first;
    struct held_packet *held = &hold->packets[number];
    queue->first = held->next;
    if (!queue->first) queue->last = 0;
    queue->count--;
    *(held->earlier ? &hold->packets[held->earlier].later : &hold->earliest) = held->later;
    *(held->later ? &hold->packets[held->later].earlier : &hold->latest) = held->earlier;
    chunks_release(hold, held->chunk);
    *held = (struct held_packet){.next = hold->unused};
    hold->unused = number;
}

static void held_drop_first(struct plane *plane, struct policy *policy, enum fault fault)
{
    held_remove_first(&plane->hold, policy);
    plane->stats.dropped[fault]++;
}

static void ready_remove(struct hold *hold, struct policy *policy)
{
    if (!policy->ready) return;
    struct policy *before = NULL, *at = hold->ready_first;
    while (at != policy) {
        before = at;
        at = at->ready_next;
    }
    if (before)
        before->ready_next = policy->ready_next;
    else
        hold->ready_first = policy->ready_next;
    if (hold->ready_last == policy) hold->ready_last = before;
    policy->ready = false;
    policy->ready_next = NULL;
}

void hold_ready(struct plane *plane, struct policy *policy)
{
    struct hold *hold = &plane->hold;
    if (policy->ready || !policy->held.count) return;
    policy->ready = true;
    if (hold->ready_last)
        hold->ready_last->ready_next = policy;
    else
        hold->ready_first = policy;
    hold->ready_last = policy;
}

void hold_drop_all(struct plane *plane, struct policy *policy, enum fault fault)
{
    while (policy->held.count) held_drop_first(plane, policy, fault);
    ready_remove(&plane->hold, policy);
}

// Holding -----------------------------------------------------------------------------------------

// One acquire until an SA comes; again when none has come for long. When the queue of events is
// full the next packet tries.
static void acquire(struct plane *plane, nsec now, struct policy *policy,
                    const struct flow_key *key)
{
    if (policy->acquiring && now - policy->acquired_at < ACQUIRE_AGAIN) return;
    struct plane_event event = {.kind = PLANE_ACQUIRE, .policy = policy->number};
    flow_of_key(key, &event.flow);
    policy->acquiring = plane_event_add(plane, &event);
    policy->acquired_at = now;
}

void hold_packet(struct plane *plane, nsec now, struct policy *policy, const struct flow_key *key,
                 struct packet *packet)
{
    struct hold *hold = &plane->hold;
    if (policy->trap != POLICY_TRAP) {
        packet_drop(plane, packet, FAULT_SA_MISSING);
        return;
    }
    acquire(plane, now, policy, key);
    if (policy->held.count == HELD_PACKETS_MAX) held_drop_first(plane, policy, FAULT_HELD_TOO_MANY);
    if (!hold->unused || hold->chunk_left < chunks_for(packet->size)) {
        packet_drop(plane, packet, FAULT_HELD_TOO_MANY);
        return;
    }
    uint32_t number = hold->unused;
    hold->unused = hold->packets[number].next;
    hold->packets[number] = (struct held_packet){
        .at = now,
        .size = packet->size,
        .chunk = chunks_fill(hold, packet->at, packet->size),
        .joined = packet->joined,
        .limit = packet->limit,
        .fragment_id = packet->fragment_id,
    };
    held_append(hold, policy, number);
    packet->verdict = VERDICT_HELD;
    plane->stats.held++;
}

static void held_expire(struct plane *plane, nsec oldest)
{
    struct hold *hold = &plane->hold;
    while (hold->earliest && hold->packets[hold->earliest].at < oldest) {
        struct policy *policy = hold->packets[hold->earliest].policy;
        held_drop_first(plane, policy, FAULT_HELD_TOO_LONG);
        if (!policy->held.count) ready_remove(hold, policy);
    }
}

static bool held_take(struct hold *hold, struct policy *policy, struct packet *packet)
{
    const struct held_packet *held = &hold->packets[policy->held.first];
    bool fits = packet->room >= PACKET_HEAD + held->size + PACKET_TAIL;
    if (fits) {
        packet->at = packet->space + PACKET_HEAD;
        packet->size = held->size;
        packet->joined = held->joined;
        packet->limit = held->limit;
        packet->fragment_id = held->fragment_id;
        packet->policy = policy->number;
        packet->device = policy->device;
        chunks_copy(hold, held->chunk, packet->at, held->size);
    }
    held_remove_first(hold, policy);
    return fits;
}

size_t plane_released(struct plane *plane, nsec oldest, struct packet *const *packets, size_t count)
{
    struct hold *hold = &plane->hold;
    size_t done = 0;
    held_expire(plane, oldest);
    while (done < count && hold->ready_first) {
        struct policy *policy = hold->ready_first;
        if (held_take(hold, policy, packets[done]))
            done++;
        else
            plane->stats.dropped[FAULT_NO_ROOM]++;
        if (!policy->held.count) ready_remove(hold, policy);
    }
    return done;
}
