// SPDX-License-Identifier: Apache-2.0
// Devices of route-based tunnels, in the esp role.
#pragma once
#include "daemon/role.h"

struct devices;
// came(): a descriptor, to write to and to read from; -1: there is none any more. readable(): there is something to read.
struct devices *devices_new(struct event_base *base, const struct role_options *options,
                            void (*came)(void *context, uint16_t number, int fd),
                            void (*readable)(void *context, uint16_t number), void *context);
void devices_free(struct devices *devices);
// The plane's number of a device in place of its if_id, whether or not the device is there already.
CHECKED enum fault devices_number(struct devices *devices, uint32_t *if_id);
