// SPDX-License-Identifier: Apache-2.0
// The link between the hosts: it delays, loses, doubles and reorders; NAT boxes; how much strangers are sent.
#include "world.h"
#include <assert.h>

static bool chance(struct sim *sim, unsigned percent)
{
    return percent && rng_below(&sim->rng.rng, 100) < percent;
}

void link_fly(struct sim *sim, struct sim_host *to, const struct path *path, struct bytes bytes, uint32_t spi)
{
    struct sim_flight *flight = NEW(struct sim_flight), **at = &sim->flights;
    nsec extra = sim->jitter ? (nsec)rng_below(&sim->rng.rng, (uint64_t)sim->jitter) : 0;
    *flight = (struct sim_flight){.at = sim->now + sim->delay + extra, .order = sim->order++, .to = to, .path = *path, .spi = spi};
    if (bytes.size) flight->bytes = mem_copy(bytes);
    while (*at && (*at)->at <= flight->at) at = &(*at)->next;
    flight->next = *at;
    *at = flight;
}

bool link_has(const struct sim_host *host, const struct addr *addr)
{
    for (size_t i = 0; i < host->held_count; i++)
        if (addr_equal(&host->held[i], addr)) return true;
    return !host->moves && addr_equal(&host->addr, addr);
}

static struct sim_host *host_at(struct sim *sim, const struct addr *addr)
{
    for (size_t i = 0; i < sim->host_count; i++)
        if (link_has(&sim->hosts[i], addr)) return &sim->hosts[i];
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
struct sim_host *link_route(struct sim_host *from, const struct path *path, struct path *there)
{
    struct sim *sim = from->sim;
    struct path sent = *path;
    if (addr_is_any(&sent.local.addr)) sent.local.addr = from->addr;   // the kernel chooses
    path = &sent;
    *there = (struct path){path->remote, path->local, path->encap};
    if (from->moves && !link_has(from, &path->local.addr)) return NULL;
    if (sim->dead.family && (addr_equal(&sim->dead, &path->local.addr) || addr_equal(&sim->dead, &path->remote.addr))) return NULL;
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

// Who begins sends to an address of its configuration, and goes on at another port; only answers are limited.
static bool begins(struct bytes message)
{
    static const uint8_t exchanges[] = {EXCHANGE_IKE_SA_INIT, EXCHANGE_IKE_SESSION_RESUME, EXCHANGE_IKE_INTERMEDIATE, EXCHANGE_IKE_AUTH};
    return message.size >= 20 && memchr(exchanges, message.at[18], sizeof exchanges) && (message.at[19] & 0x28) == 0x08;
}

static void place_sent(struct sim_host *host, const struct endpoint *to, struct bytes message)
{
    struct sim_place *place = place_of(host, to);
    if (!place) return;
    if (!place->in || begins(message)) place->proven = true;
    place->out += message.size;
}

void link_received(struct sim_host *host, const struct endpoint *from, size_t size)
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

void link_send(struct sim_host *from, const struct path *path, struct bytes bytes, bool keepalive)
{
    struct sim *sim = from->sim;
    struct path there;
    struct sim_host *to = link_route(from, path, &there);
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
    link_fly(sim, to, &there, bytes, 0);
    for (unsigned i = 0; i < sim->burst_copies; i++) link_fly(sim, to, &there, bytes, 0);
    if (chance(sim, sim->duplicate_percent)) link_fly(sim, to, &there, bytes, 0);
}

void sim_inject(struct sim_host *to, const struct endpoint *from, struct bytes bytes)
{
    struct path there = {{to->addr, 500}, *from, false};
    link_fly(to->sim, to, &there, bytes, 0);
}
