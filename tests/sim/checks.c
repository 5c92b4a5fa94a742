// SPDX-License-Identifier: Apache-2.0
// What is looked at from outside: children in use, pairs of SAs at both ends, and what always holds.
#include "world.h"

static bool child_next(const struct sim_host *host, uint32_t *ike, uint32_t *child, struct ike_child_info *info)
{
    for (;;) {
        if (*ike && (*child = ike_child_after(host->core, *ike, *child))) {
            if (ike_child_info(host->core, *ike, *child, info)) return true;
            continue;
        }
        *child = 0;
        if (!(*ike = ike_sa_after(host->core, *ike))) return false;
    }
}

static bool child_in_use(const struct ike_child_info *info)
{
    return strcmp(info->state, "INSTALLED") == 0 || strcmp(info->state, "REKEYING") == 0;
}

unsigned sim_children(const struct sim_host *host, const char *name)
{
    uint32_t ike = 0, child = 0;
    unsigned count = 0;
    struct ike_child_info info;
    while (child_next(host, &ike, &child, &info)) count += child_in_use(&info) && strcmp(info.name, name) == 0;
    return count;
}

unsigned sim_sas(const struct sim_host *host)
{
    unsigned count = 0;
    for (uint32_t id = 0; (id = ike_sa_after(host->core, id));) {
        struct ike_sa_info info;
        if (ike_sa_info(host->core, id, &info)) count += strcmp(info.state, "ESTABLISHED") == 0;
    }
    return count;
}

// Only one end of the pair of hosts is known by the SPIs: behind a NAT an address tells nothing.
static struct sim_sa *peer_sa(struct sim_host *host, uint32_t spi, uint8_t direction)
{
    struct sim *sim = host->sim;
    for (size_t i = 0; i < sim->host_count; i++) {
        struct sim_sa *found = &sim->hosts[i] == host ? NULL : plane_find(&sim->hosts[i], spi, direction);
        if (found) return found;
    }
    return NULL;
}

// RFC 7296 2.23.1: in transport mode each side of a NAT knows an address by another name.
static bool selectors_agree(const struct sim_sa *one, const struct sim_sa *other)
{
    if (one->spec.mode == MODE_TRANSPORT && one->spec.path.encap) return true;
    return selectors_equal(&one->spec.local, &other->spec.remote) && selectors_equal(&one->spec.remote, &other->spec.local);
}

static bool keys_agree(const struct sim_sa *one, const struct sim_sa *other)
{
    return bytes_equal(one->spec.encr_key, other->spec.encr_key) && bytes_equal(one->spec.integ_key, other->spec.integ_key) &&
           one->spec.encr == other->spec.encr && one->spec.esn == other->spec.esn && one->spec.mode == other->spec.mode &&
           selectors_agree(one, other);
}

static bool being_closed(const struct sim_host *host, uint32_t ike)
{
    struct ike_sa_info info;
    return ike_sa_info(host->core, ike, &info) && strcmp(info.state, "DELETING") == 0;
}

// Of two children that serve one policy only one sends; both receive.
static bool paired(struct sim_host *host)
{
    uint32_t ike = 0, child = 0;
    struct ike_child_info info;
    while (child_next(host, &ike, &child, &info)) {
        if (!child_in_use(&info) || being_closed(host, ike)) continue;
        struct sim_sa *in = plane_find(host, info.spi_in, SA_IN), *out = plane_find(host, info.spi_out, SA_OUT);
        struct sim_sa *peer_out = peer_sa(host, info.spi_in, SA_OUT), *peer_in = peer_sa(host, info.spi_out, SA_IN);
        if (!in || !peer_in || !plane_current(host, info.policy)) return false;
        if ((peer_out && !keys_agree(in, peer_out)) || (out && !keys_agree(out, peer_in))) return false;
        if (!selectors_agree(in, peer_in)) return false;
    }
    return true;
}

bool sim_paired(struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++)
        if (!paired(&sim->hosts[i])) return false;
    return true;
}

bool sim_clean(const struct sim_host *host)
{
    const struct ike_stats *stats = ike_stats(host->core);
    return ike_sa_after(host->core, 0) == 0 && host->sa_count == 0 && host->policy_count == 0 && stats->sas == 0 &&
           stats->half_open == 0 && stats->children == 0;
}
// --- the standing checks

// Whatever two ends both hold under one SPI is the same.
static bool halves_agree(struct sim_host *host)
{
    for (size_t i = 0; i < host->sa_count; i++) {
        const struct sim_sa *sa = &host->sas[i];
        const struct sim_sa *other = sa->spec.direction == SA_OUT ? peer_sa(host, sa->spec.spi, SA_IN) : NULL;
        if (other && !keys_agree(sa, other)) return false;
    }
    return true;
}

static bool address_is_proven(const struct sim_host *host, const struct endpoint *at)
{
    for (uint32_t id = 0; (id = ike_sa_after(host->core, id));) {
        struct ike_sa_info info;
        if (!ike_sa_info(host->core, id, &info) || strcmp(info.state, "CONNECTING") == 0) continue;
        if (endpoint_equal(&info.path.remote, at)) return true;
    }
    return false;
}

static bool amplifies(struct sim_host *host)
{
    for (size_t i = 0; i < host->place_count; i++) {
        struct sim_place *place = &host->places[i];
        if (place->proven || 2 * place->out <= place->in) continue;
        place->proven = address_is_proven(host, &place->at);
        if (!place->proven && place->out > 3 * place->in) return true;
    }
    return false;
}

void sim_checks(struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        struct sim_host *host = &sim->hosts[i];
        const struct ike_stats *stats = ike_stats(host->core);
        CHECK(sim, stats->half_open <= host->settings.half_open_max);
        CHECK(sim, stats->sas <= host->settings.sas_max);
        CHECK(sim, !amplifies(host));
        if (!sim->hostile) CHECK(sim, halves_agree(host));
    }
}

// Each SA of the plane belongs to a child, each child in use has its SAs, and the other end has them too.
void sim_checks_settled(struct sim *sim)
{
    if (sim->hostile) return;
    CHECK(sim, sim_paired(sim));
    for (size_t i = 0; i < sim->host_count; i++) {
        struct sim_host *host = &sim->hosts[i];
        uint32_t ike = 0, child = 0;
        struct ike_child_info info;
        size_t halves = 0;
        while (child_next(host, &ike, &child, &info))
            halves += (plane_find(host, info.spi_in, SA_IN) != NULL) + (plane_find(host, info.spi_out, SA_OUT) != NULL);
        CHECK(sim, halves == host->sa_count);
    }
}
