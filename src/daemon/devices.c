// SPDX-License-Identifier: Apache-2.0
// The esp role's side of devices. The net role hands their descriptors over; if_ids of policies and
// SAs become the small numbers by which worker and plane know devices. A number is an if_id's for
// the life of the process: there may be SAs that still have it when the device is gone.
#include "daemon/devices.h"
#include "base/map.h"
#include "base/rng.h"
#include "esp/esp.h"
#include <event2/event.h>
#include <unistd.h>

struct device {
    uint32_t if_id;
    uint16_t number;
    struct event *readable; // NULL: not there now
    struct devices *devices;
};

struct devices {
    struct event_base *base;
    struct map by_id;
    uint16_t last;
    void (*came)(void *context, uint16_t number, int fd);
    void (*readable)(void *context, uint16_t number);
    void *context;
    struct link *net;
};

static struct device *device_of(struct devices *devices, uint32_t if_id)
{
    struct device *device = map_get(&devices->by_id, map_key_u32(&if_id));
    if (device || devices->last + 1 == PLANE_DEVICES_MAX) return device;
    device = NEW(struct device);
    *device = (struct device){.if_id = if_id, .number = ++devices->last, .devices = devices};
    map_put(&devices->by_id, map_key_u32(&device->if_id), device);
    return device;
}

enum fault devices_number(struct devices *devices, uint32_t *if_id)
{
    if (*if_id == 0) return OK;
    const struct device *device = device_of(devices, *if_id);
    if (!device) return FAULT_DEVICES_TOO_MANY;
    *if_id = device->number;
    return OK;
}

static void device_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    const struct device *device = context;
    device->devices->readable(device->devices->context, device->number);
}

static void device_close(struct device *device)
{
    if (!device->readable) return;
    int fd = event_get_fd(device->readable);
    device->devices->came(device->devices->context, device->number, -1);
    event_free(device->readable);
    device->readable = NULL;
    close(fd);
}

static void device_take(struct devices *devices, uint32_t if_id, int fd)
{
    struct device *device = device_of(devices, if_id);
    if (!device || fd < 0) {
        role_log(ROLE_ESP, IKE_ERROR, FAULT_DEVICES_TOO_MANY, "if_id %u", if_id);
        if (fd >= 0) close(fd);
        return;
    }
    device_close(device);
    device->readable = event_new(devices->base, fd, EV_READ | EV_PERSIST, device_readable, device);
    event_add(device->readable, NULL);
    devices->came(devices->context, device->number, fd);
}

static void from_net(void *context, const struct message_head *head, struct rd *fields)
{
    struct devices *devices = context;
    struct arena arena = {0};
    struct device_message message;
    int fd = link_take_fd(devices->net);
    enum fault fault = device_get(fields, &arena, &message);
    if (!fault && head->type == MESSAGE_DEVICE) {
        device_take(devices, message.if_id, fd);
    } else if (!fault) {
        struct device *device = map_get(&devices->by_id, map_key_u32(&message.if_id));
        if (device) device_close(device);
    }
    arena_free(&arena);
}

struct devices *devices_new(struct event_base *base, const struct role_options *options,
                            void (*came)(void *context, uint16_t number, int fd),
                            void (*readable)(void *context, uint16_t number), void *context)
{
    struct devices *devices = NEW(struct devices);
    *devices =
        (struct devices){.base = base, .came = came, .readable = readable, .context = context};
    map_init(&devices->by_id, rng_u64(role_rng()), rng_u64(role_rng()));
    devices->net = link_new(base, options->channel[ROLE_NET], ROLE_ESP, ROLE_NET, from_net, devices);
    return devices;
}

void devices_free(struct devices *devices)
{
    size_t cursor = 0;
    for (struct device *device; (device = map_next(&devices->by_id, &cursor));) {
        device_close(device);
        free(device);
    }
    map_wipe(&devices->by_id);
    free(devices);
}
