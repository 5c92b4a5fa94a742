// SPDX-License-Identifier: Apache-2.0
// The VICI server: framing, clients and subscriptions. What the commands do is in control_commands.c.
#include "daemon/vici.h"
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <unistd.h>

enum { CLIENTS_MAX = 64, UNREAD_MAX = 16 * 1024 * 1024, LENGTH_SIZE = 4 };

static const char *const event_names[VICI_EVENT_COUNT] = {
    [VICI_LOG] = "log",
    [VICI_CONTROL_LOG] = "control-log",
    [VICI_LIST_SA] = "list-sa",
    [VICI_LIST_POLICY] = "list-policy",
    [VICI_LIST_CONN] = "list-conn",
    [VICI_LIST_CERT] = "list-cert",
    [VICI_LIST_AUTHORITY] = "list-authority",
    [VICI_IKE_UPDOWN] = "ike-updown",
    [VICI_IKE_REKEY] = "ike-rekey",
    [VICI_IKE_UPDATE] = "ike-update",
    [VICI_CHILD_UPDOWN] = "child-updown",
    [VICI_CHILD_REKEY] = "child-rekey",
    [VICI_ALERT] = "alert",
    [VICI_CHILD_HOOK] = "child-hook",
};

struct vici_client {
    struct vici *vici;
    uint32_t number;         // 0: the place is free
    uint32_t subscribed;     // bits of enum vici_event_kind
    struct bufferevent *stream;
};

struct vici {
    struct vici_handler handler;
    struct evconnlistener *listener;
    struct event_base *base;
    struct vici_client clients[CLIENTS_MAX];
    uint32_t next_number, listeners;
    uint8_t *space;          // VICI_MESSAGE_MAX
};

int vici_event_number(const char *name)
{
    for (int i = 0; i < VICI_EVENT_COUNT; i++)
        if (strcmp(event_names[i], name) == 0) return i;
    return -1;
}

static struct vici_client *client_find(struct vici *vici, uint32_t number)
{
    for (unsigned i = 0; number && i < CLIENTS_MAX; i++)
        if (vici->clients[i].number == number) return &vici->clients[i];
    return NULL;
}

static void listeners_tell(struct vici *vici)
{
    uint32_t events = 0;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) events |= vici->clients[i].subscribed;
    if (events == vici->listeners) return;
    vici->listeners = events;
    vici->handler.listeners(vici->handler.context, events);
}

static void client_close(struct vici_client *client)
{
    struct vici *vici = client->vici;
    if (client->stream) bufferevent_free(client->stream);
    *client = (struct vici_client){.vici = vici};
    if (vici) listeners_tell(vici);
}

// --- sending

// A packet: 32-bit length, type, perhaps a name, and an encoded message.
static void packet_send(struct vici_client *client, uint8_t type, const char *name, struct bytes message)
{
    struct evbuffer *out = bufferevent_get_output(client->stream);
    uint8_t head[LENGTH_SIZE + 2];
    size_t name_size = name ? strlen(name) : 0;
    struct wr wr = wr_over(head, sizeof head);
    wr_u32(&wr, (uint32_t)(1 + (name ? 1 + name_size : 0) + message.size));
    wr_u8(&wr, type);
    if (name) wr_u8(&wr, (uint8_t)name_size);
    evbuffer_add(out, head, wr.size);
    evbuffer_add(out, name, name_size);
    evbuffer_add(out, message.at, message.size);
    if (evbuffer_get_length(out) <= UNREAD_MAX) return;
    role_log(ROLE_CONTROL, IKE_ERROR, FAULT_CLIENT_SLOW, "a client on the VICI socket was disconnected");
    client_close(client);
}

// As strongSwan shows security labels: in hexadecimal, with the NUL that is sent to peers.
void label_add(struct arena *arena, struct tree *to, const char *label)
{
    size_t size = strlen(label) + 1;
    char *hex = arena_new(arena, 2 * size + 3);
    tree_add_text(arena, to, "label", bytes_hex(bytes_of(label, size), hex, 2 * size + 3));
}

void vici_respond_bytes(struct vici *vici, uint32_t number, struct bytes message)
{
    struct vici_client *client = client_find(vici, number);
    if (client) packet_send(client, VICI_CMD_RESPONSE, NULL, message);
}

void vici_respond(struct vici *vici, uint32_t number, const struct tree *message)
{
    struct wr out = wr_over(vici->space, VICI_MESSAGE_MAX);
    if (message) message_write(&out, message);
    vici_respond_bytes(vici, number, wr_done(&out));
}

void vici_event_to(struct vici *vici, uint32_t number, enum vici_event_kind kind, struct bytes message)
{
    struct vici_client *client = client_find(vici, number);
    if (client && (client->subscribed & 1u << kind)) packet_send(client, VICI_EVENT, event_names[kind], message);
}

void vici_event_all(struct vici *vici, enum vici_event_kind kind, struct bytes message)
{
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        if (vici->clients[i].number) vici_event_to(vici, vici->clients[i].number, kind, message);
}

// --- receiving

// Two that run commands would run each of them twice.
static bool is_taken(const struct vici_client *client, int kind, uint8_t type)
{
    uint32_t bit = kind < 0 ? 0 : 1u << kind;
    return kind == VICI_CHILD_HOOK && type == VICI_EVENT_REGISTER &&
           client->vici->listeners & bit && !(client->subscribed & bit);
}

static void subscribe(struct vici_client *client, uint8_t type, const char *name)
{
    int kind = vici_event_number(name);
    if (kind < 0 || is_taken(client, kind, type)) {
        packet_send(client, VICI_EVENT_UNKNOWN, NULL, BYTES_NONE);
        return;
    }
    if (type == VICI_EVENT_REGISTER) client->subscribed |= 1u << kind;
    else client->subscribed &= ~(1u << kind);
    listeners_tell(client->vici);
    packet_send(client, VICI_EVENT_CONFIRM, NULL, BYTES_NONE);
}

static void request(struct vici_client *client, const char *name, struct bytes body, struct arena *arena)
{
    struct vici_handler *handler = &client->vici->handler;
    struct tree *message = NULL;
    if (!handler->known(handler->context, name)) {
        packet_send(client, VICI_CMD_UNKNOWN, NULL, BYTES_NONE);
        return;
    }
    enum fault fault = message_read(body, arena, &message);
    if (fault) {
        role_log(ROLE_CONTROL, IKE_ERROR, fault, "a client's request %s cannot be read", name);
        client_close(client);
        return;
    }
    handler->request(handler->context, client->number, name, message);
}

static void packet_in(struct vici_client *client, struct bytes packet)
{
    struct arena arena = {0};
    uint8_t type = 0;
    const char *name = NULL;
    struct bytes body;
    enum fault fault = packet_read(packet, &arena, &type, &name, &body);
    if (!fault && type == VICI_CMD_REQUEST) {
        request(client, name, body, &arena);
    } else if (!fault && (type == VICI_EVENT_REGISTER || type == VICI_EVENT_UNREGISTER)) {
        subscribe(client, type, name);
    } else {
        role_log(ROLE_CONTROL, IKE_ERROR, fault, "a client on the VICI socket sent a packet that is not VICI");
        client_close(client);
    }
    arena_free(&arena);
}

static void stream_readable(struct bufferevent *stream, void *context)
{
    struct vici_client *client = context;
    struct evbuffer *in = bufferevent_get_input(stream);
    uint8_t head[LENGTH_SIZE];
    while (evbuffer_copyout(in, head, sizeof head) == LENGTH_SIZE) {
        struct rd rd = rd_over(BYTES_ARRAY(head));
        size_t size = rd_u32(&rd);
        if (size > VICI_MESSAGE_MAX) {
            role_log(ROLE_CONTROL, IKE_ERROR, FAULT_MESSAGE_TOO_LARGE, "a client on the VICI socket was disconnected");
            client_close(client);
            return;
        }
        if (evbuffer_get_length(in) < LENGTH_SIZE + size) return;
        evbuffer_drain(in, LENGTH_SIZE);
        AUTOFREE_MEM uint8_t *packet = mem_new(size + 1);
        evbuffer_remove(in, packet, size);
        packet_in(client, bytes_of(packet, size));
        memory_wipe(packet, size);   // it may have carried a secret
        if (client->stream != stream) return;   // closed meanwhile
    }
}

static void stream_event(struct bufferevent *stream, short what, void *context)
{
    (void)stream;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) client_close(context);
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int size, void *context)
{
    (void)listener, (void)from, (void)size;
    struct vici *vici = context;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        struct vici_client *client = &vici->clients[i];
        if (client->number) continue;
        client->vici = vici;
        client->number = vici->next_number++;
        if (!vici->next_number) vici->next_number = 1;
        client->stream = bufferevent_socket_new(vici->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
        bufferevent_setcb(client->stream, stream_readable, NULL, stream_event, client);
        bufferevent_enable(client->stream, EV_READ | EV_WRITE);
        return;
    }
    role_log(ROLE_CONTROL, IKE_ERROR, FAULT_TOO_MANY_CLIENTS, "a client on the VICI socket was turned away");
    close(fd);
}

struct vici *vici_new(struct event_base *base, int listening_fd, const struct vici_handler *handler)
{
    struct vici *vici = NEW(struct vici);
    *vici = (struct vici){.handler = *handler, .base = base, .next_number = 1, .space = mem_new(VICI_MESSAGE_MAX)};
    vici->listener = evconnlistener_new(base, accepted, vici, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_DISABLED, -1, listening_fd);
    return vici;
}

void vici_open(struct vici *vici)
{
    evconnlistener_enable(vici->listener);
}

void vici_free(struct vici *vici)
{
    for (unsigned i = 0; i < CLIENTS_MAX; i++) client_close(&vici->clients[i]);
    if (vici->listener) evconnlistener_free(vici->listener);
    free(vici->space);
    free(vici);
}
