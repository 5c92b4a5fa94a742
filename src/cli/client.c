// SPDX-License-Identifier: Apache-2.0
// A VICI client over a UNIX socket, blocking: what a command line tool needs.
#include "cli/client.h"
#include "base/rd.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char usual_uri[] = "unix:///run/cygnet/cygnet.vici";

struct client {
    int fd;
    uint8_t *space;     // VICI_MESSAGE_MAX
};

static void connect_explain(const char *path)
{
    int error = errno;
    fprintf(stderr, "cannot reach the daemon at %s: %s\n", path, strerror(error));
    if (error == ENOENT) fprintf(stderr, "  is cygnetd running? start it with: systemctl start cygnetd (or cygnetd --foreground)\n");
    if (error == ECONNREFUSED) fprintf(stderr, "  the socket is there but nobody listens: the daemon has ended\n");
    if (error == EACCES) fprintf(stderr, "  you may not talk to it: run this as root or join the socket's group\n");
}

struct client *client_connect(const char *uri) { return client_try(uri, true); }

struct client *client_try(const char *uri, bool explain)
{
    if (!uri) uri = getenv("CYGNET_VICI");
    if (!uri) uri = usual_uri;
    const char *path = strncmp(uri, "unix://", 7) == 0 ? uri + 7 : uri;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "the socket's path is too long: %s\n", path);
        return NULL;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        if (explain) connect_explain(path);
        if (fd >= 0) close(fd);
        return NULL;
    }
    struct client *client = NEW(struct client);
    client->fd = fd;
    client->space = mem_new(VICI_MESSAGE_MAX);
    return client;
}

void client_close(struct client *client)
{
    close(client->fd);
    free(client->space);
    free(client);
}

// --- packets

static enum fault all_write(int fd, struct bytes bytes)
{
    while (bytes.size) {
        ssize_t done = send(fd, bytes.at, bytes.size, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return FAULT_DAEMON_GONE;
        bytes = bytes_of(bytes.at + done, bytes.size - (size_t)done);
    }
    return OK;
}

static enum fault all_read(int fd, uint8_t *at, size_t size)
{
    while (size) {
        ssize_t done = recv(fd, at, size, 0);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return FAULT_DAEMON_GONE;
        at += done;
        size -= (size_t)done;
    }
    return OK;
}

static enum fault packet_send(struct client *client, uint8_t type, const char *name, const struct tree *message)
{
    struct wr out = wr_over(client->space, VICI_MESSAGE_MAX);
    size_t mark = wr_mark_u32(&out);
    packet_write(&out, type, name, message);
    wr_fill_u32(&out, mark, 0);
    TRY(wr_end(&out));
    return all_write(client->fd, wr_done(&out));
}

static enum fault packet_receive(struct client *client, struct arena *arena, uint8_t *type, const char **name, struct tree **message)
{
    uint8_t head[4];
    struct bytes body;
    TRY(all_read(client->fd, head, sizeof head));
    struct rd in = rd_over(BYTES_ARRAY(head));
    uint32_t size = rd_u32(&in);
    if (size > VICI_MESSAGE_MAX) return FAULT_MESSAGE_TOO_LARGE;
    uint8_t *packet = arena_new(arena, size ? size : 1);
    TRY(all_read(client->fd, packet, size));
    *name = NULL;
    TRY(packet_read(bytes_of(packet, size), arena, type, name, &body));
    return message_read(body, arena, message);
}

// --- asking and listening

enum fault client_ask(struct client *client, const char *command, const struct tree *message, struct arena *arena,
                      const struct client_events *events, struct tree **response)
{
    TRY(packet_send(client, VICI_CMD_REQUEST, command, message));
    for (;;) {
        uint8_t type;
        const char *name;
        struct tree *tree;
        TRY(packet_receive(client, arena, &type, &name, &tree));
        if (type == VICI_EVENT) {
            if (events) events->event(events->context, name, tree);
            continue;
        }
        if (type == VICI_CMD_UNKNOWN) return FAULT_NOT_SUPPORTED;
        *response = tree;
        return type == VICI_CMD_RESPONSE ? OK : FAULT_MESSAGE_MALFORMED;
    }
}

enum fault client_subscribe(struct client *client, const char *event)
{
    struct arena arena = {0};
    uint8_t type = 0;
    const char *name;
    struct tree *tree;
    enum fault fault = packet_send(client, VICI_EVENT_REGISTER, event, NULL);
    do {
        if (!fault) fault = packet_receive(client, &arena, &type, &name, &tree);
    } while (!fault && type == VICI_EVENT);
    arena_free(&arena);
    if (!fault && type != VICI_EVENT_CONFIRM) fault = FAULT_NOT_SUPPORTED;
    return fault;
}

int client_fd(const struct client *client) { return client->fd; }

enum fault client_event(struct client *client, const struct client_events *events)
{
    struct arena arena = {0};
    uint8_t type;
    const char *name;
    struct tree *tree;
    enum fault fault = packet_receive(client, &arena, &type, &name, &tree);
    if (!fault && type == VICI_EVENT) events->event(events->context, name, tree);
    arena_free(&arena);
    return fault;
}

enum fault client_listen(struct client *client, const struct client_events *events)
{
    for (;;) TRY(client_event(client, events));
}

int client_verdict(const struct tree *response)
{
    if (strcmp(tree_text(response, "success", "yes"), "yes") == 0) return EXIT_DONE;
    fprintf(stderr, "failed: %s\n", tree_text(response, "errmsg", "the daemon gives no reason"));
    return EXIT_FAILED;
}

// --- JSON

static json_t *value_json(struct bytes value)
{
    json_t *text = json_stringn((const char *)value.at, value.size);
    if (text) return text;
    AUTOFREE_MEM char *hex = mem_new(value.size * 2 + 1);   // not UTF-8: binary
    return json_string(bytes_hex(value, hex, value.size * 2 + 1));
}

static json_t *section_json(const struct tree *section)
{
    json_t *object = json_object();
    TREE_EACH(item, section) {
        json_t *json;
        if (item->kind == TREE_SECTION) {
            json = section_json(item);
        } else if (item->kind == TREE_LIST) {
            json = json_array();
            TREE_EACH(value, item) json_array_append_new(json, value_json(value->value));
        } else {
            json = value_json(item->value);
        }
        json_object_set_new(object, item->name, json);
    }
    return object;
}

void tree_json(const struct tree *section, struct buf *out)
{
    json_t *json = section_json(section);
    char *text = json_dumps(json, JSON_INDENT(2));
    buf_add_text(out, text ? text : "{}");
    free(text);
    json_decref(json);
}
