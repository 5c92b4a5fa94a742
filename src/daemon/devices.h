// SPDX-License-Identifier: Apache-2.0
// Devices of route-based tunnels, in the esp role.
#pragma once
#include "daemon/role.h"

struct devices;
struct worker;
// after() is called when a burst of a device was sealed.
struct devices *devices_new(struct event_base *base, const struct role_options *options,
                            struct worker *worker, void (*after)(void *context), void *context);
void devices_free(struct devices *devices);
// The plane's number of a device in place of its if_id, whether or not the device is there already.
CHECKED enum fault devices_number(struct devices *devices, uint32_t *if_id);
