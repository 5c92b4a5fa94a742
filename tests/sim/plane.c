// SPDX-License-Identifier: Apache-2.0
// The data plane's stand-in: SAs, policies and traffic.
#include "world.h"

void plane_clear(struct sim_host *host)
{
    for (size_t i = 0; i < host->sa_count; i++) {
        secret_wipe(&host->sas[i].encr_key);
        secret_wipe(&host->sas[i].integ_key);
    }
    host->sa_count = host->policy_count = 0;
}

struct sim_sa *plane_find(struct sim_host *host, uint32_t spi, uint8_t direction)
{
    for (size_t i = 0; i < host->sa_count; i++)
        if (host->sas[i].spec.spi == spi && host->sas[i].spec.direction == direction) return &host->sas[i];
    return NULL;
}

void plane_add(struct sim_host *host, const struct sa_spec *spec)
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
    CHECK(sim, (sim->hostile && spec->direction == SA_OUT) || !plane_find(host, spec->spi, spec->direction));
    struct sim_sa *sa = &host->sas[host->sa_count++];
    *sa = (struct sim_sa){.spec = *spec, .usage = {.spi = spec->spi, .direction = spec->direction}};
    secret_set(&sa->encr_key, spec->encr_key);
    secret_set(&sa->integ_key, spec->integ_key);
    sa->spec.encr_key = secret_bytes(&sa->encr_key);
    sa->spec.integ_key = secret_bytes(&sa->integ_key);
}

void plane_del(struct sim_host *host, uint32_t spi, uint8_t direction)
{
    struct sim_sa *sa = plane_find(host, spi, direction);
    CHECK(host->sim, sa);
    if (!sa) return;
    secret_wipe(&sa->encr_key);
    secret_wipe(&sa->integ_key);
    memmove(sa, sa + 1, (size_t)(&host->sas[host->sa_count] - (sa + 1)) * sizeof *sa);
    host->sa_count--;
}

void plane_policy_set(struct sim_host *host, const struct policy_spec *spec)
{
    for (size_t i = 0; i < host->policy_count; i++) {
        if (host->policies[i].number != spec->number) continue;
        host->policies[i] = *spec;
        return;
    }
    CHECK(host->sim, host->policy_count < SIM_POLICIES_MAX);
    if (host->policy_count < SIM_POLICIES_MAX) host->policies[host->policy_count++] = *spec;
}

void plane_policy_drop(struct sim_host *host, uint32_t number)
{
    for (size_t i = 0; i < host->policy_count; i++)
        if (host->policies[i].number == number) host->policies[i] = host->policies[--host->policy_count];
}

// The outbound SA that a policy uses: the newest.
struct sim_sa *plane_current(struct sim_host *host, uint32_t policy)
{
    for (size_t i = host->sa_count; i-- > 0;)
        if (host->sas[i].spec.direction == SA_OUT && host->sas[i].spec.policy == policy) return &host->sas[i];
    return NULL;
}

static void usage_tell_outbound(struct sim_host *host);

void plane_send(struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        struct sim_host *host = &sim->hosts[i];
        for (size_t j = 0; j < host->policy_count; j++) {
            struct sim_sa *sa = plane_current(host, host->policies[j].number);
            if (!sa) {
                sim->packets_without_sa++;
                continue;
            }
            struct path there;
            struct sim_host *to = link_route(host, &sa->spec.path, &there);
            sa->usage.packets++;
            sa->usage.bytes += 100;
            sa->usage.last_used = sim->now;
            sim->packets_sent++;
            if (to && !host->cut && !to->cut) link_fly(sim, to, &there, BYTES_NONE, sa->spec.spi);
        }
        usage_tell_outbound(host);
    }
}

static void usage_tell(struct sim_host *host, const struct sim_sa *sa)
{
    struct ike_in in = {.kind = IKE_IN_PLANE};
    in.plane = (struct ike_plane){.kind = IKE_PLANE_USAGE, .spi = sa->spec.spi, .usage = sa->usage};
    host_input(host, &in);
}

static void usage_tell_outbound(struct sim_host *host)
{
    for (size_t i = 0; i < host->sa_count; i++) {
        struct sim_sa *sa = &host->sas[i];
        if (sa->spec.direction == SA_OUT && sa->usage.packets % 10 == 1) usage_tell(host, sa);
    }
}

void plane_arrived(struct sim_host *host, uint32_t spi, const struct endpoint *from)
{
    struct sim_sa *sa = plane_find(host, spi, SA_IN);
    if (!sa) {
        struct ike_in in = {.kind = IKE_IN_PLANE};
        in.plane = (struct ike_plane){.kind = IKE_PLANE_UNKNOWN_SPI, .spi = spi, .from = *from};
        if (from->port == host->settings.port) in.plane.from.port = 0;   // ESP itself
        host->sim->packets_lost++;
        link_received(host, from, 100);
        host_input(host, &in);
        return;
    }
    host->sim->packets_arrived++;
    sa->usage.packets++;
    sa->usage.bytes += 100;
    sa->usage.last_used = host->sim->now;
    if (!endpoint_equal(from, &sa->spec.path.remote)) {   // authentic, from elsewhere
        struct ike_in moved = {.kind = IKE_IN_PLANE};
        moved.plane = (struct ike_plane){.kind = IKE_PLANE_PEER_MOVED, .spi = spi, .from = *from};
        host_input(host, &moved);
        if (!(sa = plane_find(host, spi, SA_IN))) return;
    }
    if (sa->usage.packets % 10 == 1) usage_tell(host, sa);
}
