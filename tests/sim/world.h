// SPDX-License-Identifier: Apache-2.0
// What the files of the simulated world do for each other.
#pragma once
#include "sim.h"

// sim.c
void host_input(struct sim_host *host, struct ike_in *in);

// link.c
bool link_has(const struct sim_host *host, const struct addr *addr);
void link_fly(struct sim *sim, struct sim_host *to, const struct path *path, struct bytes bytes, uint32_t spi);
// Who gets what is sent along this path, and how the path looks there.
struct sim_host *link_route(struct sim_host *from, const struct path *path, struct path *there);
void link_send(struct sim_host *from, const struct path *path, struct bytes bytes, bool keepalive);
void link_received(struct sim_host *host, const struct endpoint *from, size_t size);

// plane.c
struct sim_sa *plane_find(struct sim_host *host, uint32_t spi, uint8_t direction);
struct sim_sa *plane_current(struct sim_host *host, uint32_t policy);
void plane_add(struct sim_host *host, const struct sa_spec *spec);
void plane_del(struct sim_host *host, uint32_t spi, uint8_t direction);
void plane_policy_set(struct sim_host *host, const struct policy_spec *spec);
void plane_policy_drop(struct sim_host *host, uint32_t number);
void plane_clear(struct sim_host *host);
void plane_send(struct sim *sim);   // a packet for each policy
void plane_arrived(struct sim_host *host, uint32_t spi, const struct endpoint *from);
