// SPDX-License-Identifier: Apache-2.0
// AGGFRAG payloads: filling them with inner packets, and taking those out again in the order of the
// ESP sequence numbers (RFC 9347 2.2).
//
// Receiving is a machine that gives one packet a call, since a payload may hold dozens:
//
//     came, or a slot whose turn it is --> walk over its data blocks --> a packet
//                                                                    --> the begin of one: `space`
#include "esp/iptfs.h"
#include "base/mem.h"
#include "esp/ip.h"
#include <assert.h>
#include <string.h>

enum { SUBTYPE_PLAIN = 0, SUBTYPE_CONGESTION = 1, TYPE_PAD = 0 };
enum { REPORT_MARKED = 1, RTT_SHIFT = 42, ECHO_SHIFT = 21 };

// --- sending

// RFC 9347 6.1.1: BlockOffset counts what belongs to the packet begun before, even beyond this
// payload.
void iptfs_begin(struct iptfs_payload *payload, uint8_t *at, uint32_t room, bool whole,
                 uint32_t left)
{
    *payload = (struct iptfs_payload){.at = at + IPTFS_HEADER, .room = room, .whole = whole};
    at[0] = SUBTYPE_PLAIN;
    at[1] = 0;
    put_u16(at + 2, (uint16_t)left);
}

void iptfs_begin_report(struct iptfs_payload *payload, uint8_t *at, uint32_t room, bool whole,
                        uint32_t left)
{
    iptfs_begin(payload, at, room, whole, left);
    payload->at = at + IPTFS_HEADER_CC;
    at[0] = SUBTYPE_CONGESTION;
}

uint32_t iptfs_add(struct iptfs_payload *payload, struct bytes packet, bool begun)
{
    uint32_t room = payload->room - payload->size;
    uint32_t size = packet.size < room ? (uint32_t)packet.size : room;
    // RFC 9347 2.2.3.1: a sender may pad rather than cut. A begin so short that it does not even
    // have the packet's addresses is worth nothing.
    if (!begun && size < packet.size && (payload->whole || room < IPTFS_FRAGMENT_MIN)) return 0;
    memcpy(payload->at + payload->size, packet.at, size);
    payload->size += size;
    return size;
}

// RFC 9347 6.1.3.3: a pad data block begins with a zero nibble and extends to the end.
void iptfs_pad(struct iptfs_payload *payload)
{
    memset(payload->at + payload->size, 0, payload->room - payload->size);
    payload->size = payload->room;
}

// --- reports

static uint64_t cut(uint32_t value, uint32_t limit)
{
    return value < limit ? value : limit;
}

// RFC 9347 6.1.2: 22 bits of RTT and 21 of each delay lie in eight octets.
void iptfs_report_write(uint8_t *at, const struct iptfs_report *report)
{
    at[1] = report->marked ? REPORT_MARKED : 0;
    put_u32(at + 4, report->distance);
    put_u64(at + 8, cut(report->rtt, IPTFS_RTT_LIMIT) << RTT_SHIFT |
                        cut(report->echo_delay, IPTFS_DELAY_LIMIT) << ECHO_SHIFT |
                        cut(report->transmit_delay, IPTFS_DELAY_LIMIT));
    put_u32(at + 16, report->value);
    put_u32(at + 20, report->echo);
}

bool iptfs_report_read(struct bytes payload, struct iptfs_report *report)
{
    const uint8_t *at = payload.at;
    if (payload.size < IPTFS_HEADER_CC || at[0] != SUBTYPE_CONGESTION) return false;
    uint64_t times = get_u64(at + 8);
    *report = (struct iptfs_report){
        .marked = at[1] & REPORT_MARKED,
        .distance = get_u32(at + 4),
        .rtt = (uint32_t)(times >> RTT_SHIFT),
        .echo_delay = (uint32_t)(times >> ECHO_SHIFT) & IPTFS_DELAY_LIMIT,
        .transmit_delay = (uint32_t)times & IPTFS_DELAY_LIMIT,
        .value = get_u32(at + 16),
        .echo = get_u32(at + 20),
    };
    return true;
}

// --- receiving: the order of payloads

void iptfs_in_init(struct iptfs_in *in, uint32_t window)
{
    *in = (struct iptfs_in){.next = 1, .window = window}; // RFC 4303 2.2: the first number is 1
    assert(window <= IPTFS_WINDOW_MAX);
    in->space = mem_new(IPTFS_BUFFER);
    for (uint32_t i = 0; window && i <= window; i++) in->slots[i].at = mem_new(IPTFS_KEPT_MAX);
}

void iptfs_in_wipe(struct iptfs_in *in)
{
    for (uint32_t i = 0; in->window && i <= in->window; i++) {
        memory_wipe(in->slots[i].at, IPTFS_KEPT_MAX);
        free(in->slots[i].at);
    }
    if (in->space) memory_wipe(in->space, IPTFS_BUFFER);
    free(in->space);
    *in = (struct iptfs_in){0};
}

static struct iptfs_slot *slot_of(struct iptfs_in *in, uint64_t sequence)
{
    return &in->slots[sequence % (in->window + 1)];
}

void iptfs_put(struct iptfs_in *in, uint64_t sequence, struct bytes payload)
{
    assert(!in->came.sequence && !in->walk_size && sequence);
    in->came = (struct iptfs_slot){.sequence = sequence,
                                   .at = (uint8_t *)(uintptr_t)payload.at,
                                   .size = (uint32_t)payload.size};
}

void iptfs_give_up(struct iptfs_in *in)
{
    in->impatient = true;
}

static bool part_drop(struct iptfs_in *in)
{
    bool was = in->have;
    in->have = in->want = 0;
    return was;
}

static uint64_t slots_lowest(const struct iptfs_in *in, uint64_t lowest)
{
    for (uint32_t i = 0; i <= in->window; i++) {
        uint64_t sequence = in->slots[i].sequence;
        if (sequence && sequence < lowest) lowest = sequence;
    }
    return lowest;
}

// RFC 9347 2.2.3: what the window has passed by is lost, and with it the packet of which it was a
// part.
static enum iptfs_taken hole_pass(struct iptfs_in *in, uint64_t next, enum fault *fault)
{
    in->next = next;
    in->lost = true;
    *fault = FAULT_IPTFS_LOST;
    return part_drop(in) ? IPTFS_FAULT : IPTFS_NONE;
}

static void slot_keep(struct iptfs_in *in)
{
    struct iptfs_slot *slot = slot_of(in, in->came.sequence);
    memcpy(slot->at, in->came.at, in->came.size);
    slot->sequence = in->came.sequence;
    slot->size = in->came.size;
    in->came.sequence = 0;
    in->waiting++;
}

// The payload that came is early: it is kept, or whatever is before it in time is given up.
static enum iptfs_taken came_early(struct iptfs_in *in, enum fault *fault)
{
    uint64_t sequence = in->came.sequence;
    if (slot_of(in, sequence)->sequence == sequence) { // a window that takes repetitions
        in->came.sequence = 0;
        return IPTFS_NONE;
    }
    bool fits = in->came.size <= IPTFS_KEPT_MAX;
    if (sequence - in->next <= in->window && fits) {
        slot_keep(in);
        return IPTFS_NONE;
    }
    uint64_t next = fits ? sequence - in->window : sequence;
    return hole_pass(in, slots_lowest(in, next), fault);
}

// --- receiving: data blocks

// What an inner packet says of its own length; 0 when so little of it is there that this is not
// known.
static uint32_t block_total(const uint8_t *at, uint32_t size)
{
    if (at[0] >> 4 == 4) return size < 4 ? 0 : get_u16(at + 2);
    return size < 6 ? 0 : (uint32_t)IPV6_HEADER + get_u16(at + 4);
}

static bool block_is_sane(const uint8_t *at, uint32_t total)
{
    return total >= (at[0] >> 4 == 4 ? IPV4_HEADER : IPV6_HEADER) && total <= PACKET_MAX;
}

static void walk_on(struct iptfs_in *in, uint32_t size)
{
    in->walk += size;
    in->walk_size -= size;
}

static void part_add(struct iptfs_in *in, uint32_t size)
{
    memcpy(in->space + PACKET_HEAD + in->have, in->walk, size);
    in->have += size;
    walk_on(in, size);
}

// The payload goes on with `offset` bytes of a packet that was begun before. RFC 9347 2.2.3:
// BlockOffset must be what that packet's own length says.
static enum fault part_go_on(struct iptfs_in *in, uint32_t offset)
{
    uint32_t here = offset < in->walk_size ? offset : in->walk_size;
    uint32_t promised = in->have + offset;
    if (!in->have) { // its begin was lost
        walk_on(in, here);
        bool known = in->lost || !offset;
        in->lost = offset > here;
        return known ? OK : FAULT_IPTFS_OFFSET;
    }
    if (!offset || promised > PACKET_MAX || (in->want && in->want != promised)) {
        (void)part_drop(in);
        in->lost = offset > here;
        walk_on(in, here);
        return FAULT_IPTFS_OFFSET;
    }
    part_add(in, here);
    const uint8_t *packet = in->space + PACKET_HEAD;
    uint32_t total = block_total(packet, in->have);
    bool sane = total ? total == promised && block_is_sane(packet, total) : in->have < promised;
    if (!sane) {
        (void)part_drop(in);
        in->lost = offset > here;
        return FAULT_IPTFS_OFFSET;
    }
    in->want = promised;
    in->complete = in->have == in->want;
    return OK;
}

static enum fault payload_start(struct iptfs_in *in, const struct iptfs_slot *payload)
{
    in->next = payload->sequence + 1;
    if (!payload->size) return OK;
    uint32_t head = payload->at[0] == SUBTYPE_CONGESTION ? IPTFS_HEADER_CC : IPTFS_HEADER;
    if (payload->at[0] > SUBTYPE_CONGESTION || payload->size < head) {
        (void)part_drop(in);
        in->lost = true;
        return FAULT_IPTFS_HEADER;
    }
    uint32_t offset = get_u16(payload->at + 2);
    in->walk = payload->at + head;
    in->walk_size = payload->size - head;
    // RFC 9347 2.2.3: a payload that is all padding, or empty (2.2.4), may stand between fragments.
    if (!in->walk_size || (!offset && in->walk[0] >> 4 == TYPE_PAD)) {
        in->walk_size = 0;
        return OK;
    }
    return part_go_on(in, offset);
}

static enum iptfs_taken part_give(struct iptfs_in *in, struct packet *packet)
{
    uint8_t *space = packet->space;
    packet->space = in->space;
    packet->at = packet->space + PACKET_HEAD;
    packet->size = in->have;
    in->space = space;
    in->complete = false;
    in->have = in->want = 0;
    return IPTFS_PACKET;
}

// RFC 9347 6.1.3: the data block at hand.
static enum iptfs_taken block_take(struct iptfs_in *in, struct packet *packet, enum fault *fault)
{
    unsigned type = in->walk[0] >> 4;
    in->lost = false;
    if (type == TYPE_PAD) {
        in->walk_size = 0;
        return IPTFS_NONE;
    }
    uint32_t total = type == 4 || type == 6 ? block_total(in->walk, in->walk_size) : 1;
    if (total && !block_is_sane(in->walk, total)) {
        in->walk_size = 0;
        in->lost = true;
        *fault = FAULT_IPTFS_BLOCK;
        return IPTFS_FAULT;
    }
    if (!total || total > in->walk_size) {
        part_add(in, in->walk_size);
        in->want = total;
        return IPTFS_NONE;
    }
    packet->at = packet->space + PACKET_HEAD;
    packet->size = total;
    memcpy(packet->at, in->walk, total);
    walk_on(in, total);
    return IPTFS_PACKET;
}

// --- receiving: the machine

static enum iptfs_taken payload_begin(struct iptfs_in *in, struct iptfs_slot *payload,
                                      enum fault *fault)
{
    *fault = payload_start(in, payload);
    payload->sequence = 0;
    return *fault ? IPTFS_FAULT : IPTFS_NONE;
}

// One step towards the next payload. False: there is none whose turn it is.
static bool payload_next(struct iptfs_in *in, enum iptfs_taken *taken, enum fault *fault)
{
    struct iptfs_slot *slot = slot_of(in, in->next), *came = &in->came;
    if (slot->sequence == in->next) {
        in->waiting--;
        *taken = payload_begin(in, slot, fault);
    } else if (came->sequence == in->next) {
        *taken = payload_begin(in, came, fault);
    } else if (came->sequence && came->sequence < in->next) {
        came->sequence = 0;
        *fault = FAULT_IPTFS_LATE;
        *taken = IPTFS_FAULT;
    } else if (came->sequence) {
        *taken = came_early(in, fault);
    } else if (in->impatient && in->waiting) {
        *taken = hole_pass(in, slots_lowest(in, UINT64_MAX), fault);
    } else {
        in->impatient = false;
        return false;
    }
    return true;
}

enum iptfs_taken iptfs_take(struct iptfs_in *in, struct packet *packet, enum fault *fault)
{
    enum iptfs_taken taken = IPTFS_NONE;
    while (!taken) {
        if (in->complete) return part_give(in, packet);
        if (in->walk_size)
            taken = block_take(in, packet, fault);
        else if (!payload_next(in, &taken, fault))
            return IPTFS_NONE;
    }
    return taken;
}
