// SPDX-License-Identifier: Apache-2.0
// The plane as a whole: making and ending it, its events and counters, and what seal and open
// share.
#include "esp/internal.h"

static size_t plane_memory(const struct plane *plane)
{
    const struct sad *sad = &plane->sad;
    size_t tables = spi_table_size(&sad->in) + spi_table_size(&sad->out);
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
    plane->worker = limits->worker;
    plane->workers = limits->workers ? limits->workers : 1;
    sad_init(&plane->sad, limits->sas_max, rng);
    spd_init(&plane->spd, limits->policies_max, rng);
    if (limits->flow_seed) plane->spd.flow_seed = limits->flow_seed;
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

void packet_spread_out(struct packet *packet)
{
    uint8_t *at = packet->spare + PACKET_HEAD;
    memcpy(at, packet->at, packet->size);
    packet->at = at;
    packet->space = packet->spare;
    packet->room = PACKET_BUFFER;
    packet->spare = NULL;
}

void packet_elsewhere(struct packet *packet, enum verdict verdict, unsigned worker)
{
    packet->follows = false;
    packet->verdict = (uint8_t)verdict;
    packet->worker = (uint8_t)worker;
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
    burst->group_count = 0;
    memset(burst->places, 0, sizeof burst->places);
}

void group_add(struct burst *burst, struct group *group, uint8_t packet)
{
    if (group->count++)
        burst->next[group->last] = packet;
    else
        group->first = packet;
    group->last = packet;
}

// What the run struct itself says is not looked at: it may be on its way.
void burst_join(struct burst *burst, struct sa_run *run, batch_near near, uint8_t packet)
{
    struct group *latest = &burst->groups[burst->latest];
    if (burst->group_count && latest->run == run) {
        group_add(burst, latest, packet);
        return;
    }
    uint32_t place = (uint32_t)((uintptr_t)run / sizeof *run) * 2654435761u >> 24;
    for (; burst->places[place]; place = (place + 1) % BURST_PLACES) {
        struct group *group = &burst->groups[burst->places[place] - 1];
        if (group->run != run) continue;
        burst->latest = burst->places[place] - 1u;
        group_add(burst, group, packet);
        return;
    }
    burst->latest = (unsigned)burst->group_count;
    struct group *group = &burst->groups[burst->group_count++];
    burst->places[place] = (uint8_t)burst->group_count;
    *group = (struct group){.run = run, .near = near};
    group_add(burst, group, packet);
}

void group_spread(const struct burst *burst, const struct group *group,
                  struct packet *const *packets)
{
    for (unsigned i = 0, number = group->first; i < group->count; i++, number = burst->next[number])
        packet_spread(packets[number]);
}

batch_near run_expand_key(struct plane *plane, struct sa_run *run)
{
    if (run->flags & SA_KEPT) run->key = batch_key_expanded(run->key);
    run->flags &= (uint8_t)~SA_KEPT;
    batch_near near = run->key ? batch_key_near(run->key) : 0;
    if (run->sa->direction == SA_IN) sad_slot_in(&plane->sad, run->spi)->near = near;
    return near;
}

_Static_assert(BURST_PLACES == 256, "a place is the upper eight bits of a hash");

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
