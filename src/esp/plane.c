// SPDX-License-Identifier: Apache-2.0
// The plane as a whole: making and ending it, its events and counters, and what seal and open
// share.
#include "esp/internal.h"

// Zeroed memory that begins on a cache line. Pages that are not used yet cost nothing.
void *mem_aligned(size_t count, size_t size, void **memory)
{
    enum { LINE = 64 };
    *memory = mem_array(count + LINE / size + 1, size);
    return (void *)(((uintptr_t)*memory + LINE - 1) & ~(uintptr_t)(LINE - 1));
}

static size_t plane_memory(const struct plane *plane)
{
    const struct sad *sad = &plane->sad;
    size_t tables = ((size_t)sad->in.mask + sad->out.mask + 2) * sizeof *sad->in.slots;
    size_t runs = sad->room * (sizeof *sad->runs + sizeof *sad->unused);
    size_t flows = (plane->spd.flow_mask + (size_t)FLOW_WAYS) * sizeof *plane->spd.flows;
    return sizeof *plane + tables + runs + flows +
           HELD_MAX * (HELD_CHUNK + sizeof(struct held_packet));
}

struct plane *plane_new(struct batch_backend *backend, struct rng *rng,
                        const struct plane_limits *limits)
{
    struct plane *plane = NEW(struct plane);
    plane->backend = backend;
    sad_init(&plane->sad, limits->sas_max, rng);
    spd_init(&plane->spd, limits->policies_max, rng);
    hold_init(&plane->hold);
    plane->stats.bytes_memory = plane_memory(plane);
    return plane;
}

void plane_free(struct plane *plane)
{
    if (!plane) return;
    sad_wipe(plane);
    iptfs_wipe(plane);
    spd_wipe(plane);
    hold_wipe(&plane->hold);
    free(plane->transit);
    reassembler_free(plane->reassembly);
    ipcomp_free(plane->ipcomp);
    if (plane->fallback) batch_backend_free(plane->fallback);
    free(plane);
}

const struct plane_stats *plane_stats(const struct plane *plane)
{
    return &plane->stats;
}

void packet_drop(struct plane *plane, struct packet *packet, enum fault fault)
{
    packet->verdict = VERDICT_DROP;
    packet->fault = fault;
    plane->stats.dropped[fault]++;
}

// RFC 4303 and modes ------------------------------------------------------------------------------

const struct esp_mode *mode_of(uint8_t mode)
{
    static const struct esp_mode *const modes[] = {[MODE_TUNNEL] = &tunnel_mode,
                                                   [MODE_TRANSPORT] = &transport_mode,
                                                   [MODE_BEET] = &beet_mode,
                                                   [MODE_IPTFS] = &iptfs_mode,
                                                   [MODE_GATEWAY_TRANSPORT] = &gateway_mode};
    return mode < sizeof modes / sizeof modes[0] ? modes[mode] : NULL;
}

enum fault packet_split(struct packet *packet)
{
    uint8_t *ip = packet->at;
    struct ip_place place;
    uint32_t total;
    TRY(ip_check(ip, packet->size, &total));
    packet->protocol = PROTOCOL_ESP;
    enum fault fault = ip_place_of(ip, total, IPPROTO_NUMBER_ESP, &place);
    if (fault) {
        packet->protocol = PROTOCOL_AH;
        TRY(ip_place_of(ip, total, IPPROTO_NUMBER_AH, &place));
    }
    ip_addrs(ip, &packet->from.addr, &packet->to.addr);
    packet->from.port = packet->to.port = 0;
    packet->tos = tos_get(ip);
    packet->ttl = ip_ttl(ip);
    packet->df = ip[0] >> 4 == 6 || get_u16(ip + 6) & IPV4_DONT_FRAGMENT;
    packet->head = (uint16_t)place.head;
    packet->at += place.head;
    packet->size = total - place.head;
    return OK;
}

// Grouping: within a burst the packets of one SA are chained, in their order, wherever they stand
// ------------------------

void burst_begin(struct burst *burst)
{
    burst->number++;
    burst->group_count = 0;
}

void burst_join(struct burst *burst, struct sa_run *run, size_t packet)
{
    uint8_t number = (uint8_t)packet;
    burst->runs[packet] = run;
    if (run->burst == burst->number && run->group < burst->group_count &&
        burst->groups[run->group].run == run) {
        struct group *group = &burst->groups[run->group];
        burst->next[group->last] = number;
        group->last = number;
        group->count++;
        return;
    }
    run->burst = burst->number;
    run->group = (uint8_t)burst->group_count++;
    burst->groups[run->group] =
        (struct group){.run = run, .first = number, .last = number, .count = 1};
}

// With many SAs in a burst their keys come from memory, each step on the way to a schedule from
// where the one before says. All groups' keys are asked for at once; the schedules, which are
// larger, while the ciphers of the groups before run. An SA that is used for the first time gets its schedule.
void burst_prefetch_keys(const struct burst *burst, struct packet *const *packets)
{
    for (size_t i = 0; i < burst->group_count; i++) {
        struct sa_run *run = burst->groups[i].run;
        if (!(run->flags & SA_KEPT)) continue;
        run->key = batch_key_expanded(run->key);
        run->flags &= (uint8_t)~SA_KEPT;
    }
    for (size_t i = 0; i < burst->group_count; i++)
        if (burst->groups[i].run->key) batch_key_prefetch_head(burst->groups[i].run->key);
    for (size_t i = 0; i < SCHEDULES_AHEAD; i++) burst_prefetch_schedule(burst, i, packets);
}

void burst_prefetch_schedule(const struct burst *burst, size_t group, struct packet *const *packets)
{
    if (group >= burst->group_count) return;
    const struct group *at = &burst->groups[group];
    if (at->run->key) batch_key_prefetch(at->run->key, packets[at->first]->size);
}

// Events ------------------------------------------------------------------------------------------

bool plane_event_add(struct plane *plane, const struct plane_event *event)
{
    struct events *events = &plane->events;
    bool unknown = event->kind == PLANE_UNKNOWN_SPI;
    if (events->count == EVENTS_MAX || (unknown && events->unknown == EVENTS_UNKNOWN_MAX)) {
        plane->stats.events_lost++;
        return false;
    }
    events->at[(events->first + events->count++) % EVENTS_MAX] = *event;
    if (unknown) events->unknown++;
    return true;
}

bool plane_event(struct plane *plane, struct plane_event *event)
{
    struct events *events = &plane->events;
    if (!events->count) return false;
    *event = events->at[events->first];
    events->first = (events->first + 1) % EVENTS_MAX;
    events->count--;
    if (event->kind == PLANE_UNKNOWN_SPI) events->unknown--;
    return true;
}
