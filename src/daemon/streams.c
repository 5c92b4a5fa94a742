// SPDX-License-Identifier: Apache-2.0
#include "daemon/streams.h"
#include "base/list.h"
#include "base/map.h"
#include "esp/stream.h"
#include "model/iana.h"
#include "os/tcp.h"
#include <errno.h>
#include <event2/buffer.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    STREAMS_MAX = 4096,
    STREAMS_OF_SOURCE_MAX = 64,
    PROOF_SECONDS = 30,          // so long may one be open whose other end we do not know
    IDLE_SECONDS = 3600,         // and so long one that says nothing
    CONNECT_SECONDS = 20,
    QUEUE_ESP_MAX = 128 * 1024,  // what waits in a connection that is slow: beyond that ESP is dropped …
    QUEUE_IKE_MAX = 512 * 1024,  // … and IKE is
    READS_AT_ONCE = 8,
    KEY_SIZE = 38,
};

struct stream {
    struct list link;
    struct streams *all;
    int fd;
    bool ours;                   // we opened it; fd is one of those that were made for that
    bool connected, proven;
    struct endpoint local, remote;
    uint8_t key[KEY_SIZE];
    struct stream_reader reader;
    struct evbuffer *queue;
    struct event *readable, *writable;
    nsec heard, since;
};

struct spare {                   // a socket to connect with
    int fd;
    bool used;
};

struct streams {
    struct event_base *base;
    const struct role_options *options;
    struct worker *worker;
    struct link *ike;
    struct list open;
    struct map by_ends;
    unsigned count;
    struct spare spares[2 * TCP_SPARES];
    struct event *listening[2];
    bool refusal_logged;
};

// --- who is who

static struct bytes key_make(const struct endpoint *local, const struct endpoint *remote, uint8_t out[KEY_SIZE])
{
    const struct endpoint *ends[] = {local, remote};
    memset(out, 0, KEY_SIZE);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *at = out + i * (KEY_SIZE / 2);
        at[0] = ends[i]->addr.family;
        memcpy(at + 1, ends[i]->addr.at, addr_size(&ends[i]->addr));
        at[17] = (uint8_t)(ends[i]->port >> 8), at[18] = (uint8_t)ends[i]->port;
    }
    return bytes_of(out, KEY_SIZE);
}

static struct stream *stream_find(const struct streams *all, const struct endpoint *local, const struct endpoint *remote)
{
    uint8_t key[KEY_SIZE];
    return map_get(&all->by_ends, key_make(local, remote, key));
}

static void stream_log(const struct stream *stream, enum ike_level level, const char *what, const char *why)
{
    char remote[ENDPOINT_TEXT];
    role_log(ROLE_ESP, level, OK, "TCP connection %s %s %s%s%s", stream->ours ? "to" : "from", endpoint_print(&stream->remote, remote), what,
             *why ? ": " : "", why);
}

static void lost_tell(const struct stream *stream)
{
    struct plane_message message = {.event = {.kind = IKE_PLANE_STREAM_CLOSED, .from = stream->remote, .local = stream->local}};
    uint8_t space[512];
    struct wr out = message_begin(space, sizeof space, MESSAGE_PLANE, 0);
    plane_put(&out, &message);
    link_send(stream->all->ike, &out);
}

static void stream_close(struct stream *stream, const char *why)
{
    struct streams *all = stream->all;
    stream_log(stream, IKE_DETAIL, "is closed", why);
    if (stream->ours && stream->connected) lost_tell(stream);
    event_free(stream->readable);
    event_free(stream->writable);
    evbuffer_free(stream->queue);
    stream_reader_free(&stream->reader);
    map_remove(&all->by_ends, bytes_of(stream->key, KEY_SIZE));
    list_remove(&stream->link);
    all->count--;
    if (stream->ours) tcp_reset(stream->fd);
    else close(stream->fd);
    for (unsigned i = 0; i < 2 * TCP_SPARES; i++)
        if (all->spares[i].fd == stream->fd) all->spares[i].used = false;
    free(stream);
}

// --- reading

static void ike_forward(struct stream *stream, struct bytes message)
{
    struct datagram_message datagram = {.local = stream->local, .remote = stream->remote, .stream = true, .bytes = message};
    if (message.size > DATAGRAM_MESSAGE_MAX) {
        stream_log(stream, IKE_INFO, "brought an IKE message that is too long", "");
        return;
    }
    uint8_t space[DATAGRAM_MESSAGE_MAX + 256];
    struct wr out = message_begin(space, sizeof space, MESSAGE_DATAGRAM, 0);
    datagram_put(&out, &datagram);
    link_send(stream->all->ike, &out);
}

static bool is_ike(struct bytes message)
{
    static const uint8_t marker[4];
    return message.size >= sizeof marker && memcmp(message.at, marker, sizeof marker) == 0;
}

// False when the stream is broken.
static bool messages_take(struct stream *stream)
{
    struct bytes message;
    enum stream_result result;
    while ((result = stream_next(&stream->reader, &message)) == STREAM_MESSAGE) {
        stream->heard = role_now();
        if (is_ike(message)) ike_forward(stream, message);
        else worker_take(stream->all->worker, &stream->remote, &stream->local, message);
    }
    if (worker_open_taken(stream->all->worker)) stream->proven = true;
    return result == STREAM_MORE;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct stream *stream = context;
    for (unsigned i = 0; i < READS_AT_ONCE; i++) {
        struct stream_space space = stream_space(&stream->reader);
        ssize_t size = recv(fd, space.at, space.size, 0);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (size <= 0) {
            // RFC 9329 6.1: the SAs stay; whoever opened the connection opens it again.
            stream_close(stream, size ? strerror(errno) : "the peer has closed it");
            return;
        }
        stream_came(&stream->reader, (size_t)size);
        if (!messages_take(stream)) {
            stream_close(stream, "what it brings is no stream of IKE and ESP");
            return;
        }
    }
}

// --- writing

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct stream *stream = context;
    if (!stream->connected) {
        int error = tcp_error(fd);
        if (error) {
            stream_log(stream, IKE_INFO, "cannot be opened", strerror(error));
            stream_close(stream, strerror(error));
            return;
        }
        stream->connected = true;
        event_add(stream->readable, NULL);
        stream_log(stream, IKE_DETAIL, "is open", "");
    }
    if (evbuffer_get_length(stream->queue) && evbuffer_write(stream->queue, fd) < 0 && errno != EAGAIN) {
        stream_close(stream, strerror(errno));
        return;
    }
    if (!evbuffer_get_length(stream->queue)) event_del(stream->writable);
}

static void stream_send(struct stream *stream, struct bytes message, size_t queue_max)
{
    uint8_t head[STREAM_HEAD] = {(uint8_t)((message.size + STREAM_HEAD) >> 8), (uint8_t)(message.size + STREAM_HEAD)};
    if (message.size > STREAM_MESSAGE_MAX || evbuffer_get_length(stream->queue) > queue_max) return;
    evbuffer_add(stream->queue, head, sizeof head);
    evbuffer_add(stream->queue, message.at, message.size);
    event_add(stream->writable, NULL);
}

// --- opening

static struct stream *stream_new(struct streams *all, int fd, bool ours, const struct endpoint *local, const struct endpoint *remote)
{
    struct stream *stream = NEW(struct stream);
    *stream = (struct stream){.all = all, .fd = fd, .ours = ours, .connected = !ours, .local = *local, .remote = *remote};
    stream->reader.awaits_prefix = !ours;
    stream->heard = stream->since = role_now();
    stream->queue = evbuffer_new();
    stream->readable = event_new(all->base, fd, EV_READ | EV_PERSIST, on_readable, stream);
    stream->writable = event_new(all->base, fd, EV_WRITE | EV_PERSIST, on_writable, stream);
    map_put(&all->by_ends, key_make(local, remote, stream->key), stream);
    list_append(&all->open, &stream->link);
    all->count++;
    event_add(ours ? stream->writable : stream->readable, NULL);
    return stream;
}

static struct spare *spare_find(struct streams *all, const struct addr *remote)
{
    struct spare *first = all->spares + (remote->family == ADDR_V6 ? TCP_SPARES : 0);
    for (unsigned i = 0; i < TCP_SPARES; i++)
        if (!first[i].used && first[i].fd >= 0) return &first[i];
    return NULL;
}

// RFC 9329 4: whoever opens says the prefix, also when it opens anew for SAs that are there.
static struct stream *stream_open(struct streams *all, const struct endpoint *local, const struct endpoint *remote)
{
    struct spare *spare = spare_find(all, &remote->addr);
    char to[ENDPOINT_TEXT];
    if (!spare) {
        role_log(ROLE_ESP, IKE_ERROR, OK, "no TCP connection to %s: %d are open already", endpoint_print(remote, to), TCP_SPARES);
        return NULL;
    }
    if (tcp_connect(spare->fd, &local->addr, remote) != OK) {
        role_log(ROLE_ESP, IKE_INFO, OK, "no TCP connection to %s: %s", endpoint_print(remote, to), strerror(errno));
        tcp_reset(spare->fd);
        return NULL;
    }
    spare->used = true;
    struct stream *stream = stream_new(all, spare->fd, true, local, remote);
    evbuffer_add(stream->queue, stream_prefix, sizeof stream_prefix);
    return stream;
}

static unsigned streams_from(const struct streams *all, const struct addr *source)
{
    unsigned count = 0;
    LIST_EACH (const struct stream, link, stream, &all->open)
        count += addr_equal(&stream->remote.addr, source);
    return count;
}

static void on_connection(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct streams *all = context;
    struct endpoint local, remote;
    int got = tcp_accept(fd, &local, &remote);
    if (got < 0) return;
    if (all->count < STREAMS_MAX && streams_from(all, &remote.addr) < STREAMS_OF_SOURCE_MAX) {
        stream_log(stream_new(all, got, false, &local, &remote), IKE_DETAIL, "is open", "");
        return;
    }
    close(got);
    if (all->refusal_logged) return;
    role_log(ROLE_ESP, IKE_INFO, FAULT_SOURCE_LIMIT, "a TCP connection is refused: %u are open", all->count);
    all->refusal_logged = true;
}

// --- from the rest of the role

// Strangers get answers to first messages; whatever else the ike role sends is for somebody it has begun to know.
static bool is_beyond_first(struct bytes message)
{
    enum { MARKER = 4, EXCHANGE_AT = 18 };   // RFC 7296 3.1
    if (message.size <= MARKER + EXCHANGE_AT) return false;
    uint8_t exchange = message.at[MARKER + EXCHANGE_AT];
    return exchange != EXCHANGE_IKE_SA_INIT && exchange != EXCHANGE_IKE_SESSION_RESUME;
}

void streams_send_ike(struct streams *all, const struct endpoint *local, const struct endpoint *remote, struct bytes message)
{
    struct stream *stream = stream_find(all, local, remote);
    // RFC 9329 6.1: only the end that opened a connection can open it again.
    bool can_open = local->port != all->options->port_tcp || !all->options->port_tcp;
    if (!stream && can_open) stream = stream_open(all, local, remote);
    if (!stream) return;
    stream->proven |= is_beyond_first(message);
    stream_send(stream, message, QUEUE_IKE_MAX);
}

void streams_send_esp(struct streams *all, const struct packet *packet)
{
    struct stream *stream = stream_find(all, &packet->from, &packet->to);
    if (stream) stream_send(stream, bytes_of(packet->at, packet->size), QUEUE_ESP_MAX);
    else all->worker->dropped[FAULT_NO_ROUTE]++;
}

void streams_prove(struct streams *all, const struct endpoint *local, const struct endpoint *remote)
{
    struct stream *stream = stream_find(all, local, remote);
    if (stream) stream->proven = true;
}

void streams_tick(struct streams *all)
{
    nsec now = role_now();
    all->refusal_logged = false;
    LIST_EACH (struct stream, link, stream, &all->open) {
        nsec open = now - stream->since, silent = now - stream->heard;
        if (!stream->connected && open > nsec_seconds(CONNECT_SECONDS)) stream_close(stream, "the peer does not answer");
        else if (!stream->ours && !stream->proven && open > nsec_seconds(PROOF_SECONDS) && silent > nsec_seconds(PROOF_SECONDS))
            stream_close(stream, "nobody that we know uses it");
        else if (silent > nsec_seconds(IDLE_SECONDS)) stream_close(stream, "it was silent for an hour");
    }
}

struct streams *streams_new(struct event_base *base, const struct role_options *options, struct worker *worker, struct link *ike)
{
    struct streams *all = NEW(struct streams);
    struct rng *rng = role_rng();
    *all = (struct streams){.base = base, .options = options, .worker = worker, .ike = ike};
    list_init(&all->open);
    map_init(&all->by_ends, rng_u64(rng), rng_u64(rng));
    for (unsigned i = 0; i < TCP_SPARES; i++) {
        all->spares[i].fd = options->tcp4[i];
        all->spares[TCP_SPARES + i].fd = options->tcp6[i];
        // After a restart of this process they may still be connected.
        if (options->tcp4[i] >= 0) tcp_reset(options->tcp4[i]);
        if (options->tcp6[i] >= 0) tcp_reset(options->tcp6[i]);
    }
    const int listening[] = {options->tcp4_listen, options->tcp6_listen};
    for (unsigned i = 0; i < 2; i++) {
        if (listening[i] < 0) continue;
        all->listening[i] = event_new(base, listening[i], EV_READ | EV_PERSIST, on_connection, all);
        event_add(all->listening[i], NULL);
    }
    return all;
}

void streams_free(struct streams *all)
{
    LIST_EACH (struct stream, link, stream, &all->open) stream_close(stream, "the daemon ends");
    for (unsigned i = 0; i < 2; i++)
        if (all->listening[i]) event_free(all->listening[i]);
    map_wipe(&all->by_ends);
    free(all);
}
