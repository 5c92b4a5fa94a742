// SPDX-License-Identifier: Apache-2.0
// The ike role: it gives the core its inputs (datagrams, messages of other roles, time) and performs its outputs. It holds
// the keys of live SAs and reads what peers send; it has no private key, no file and no capability.
#include "daemon/ike.h"
#include "conf/options.h"
#include "crypto/crypto.h"
#include "os/rtnl.h"
#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

// Peers wait that long for a configuration at most. A peer asks for minutes before it gives up.
enum { DATAGRAMS_AT_ONCE = 64, USAGE_SECONDS = 1, STOP_MS = 1500, DEAF_SECONDS = 10 };

static const uint8_t non_esp_marker[4];   // RFC 3948 2.2: four zero bytes before IKE on the port of ESP in UDP

#define SEND_BY(send, to, role, TYPE, shape, number_, ...)                                       \
    do {                                                                                         \
        struct shape##_message message_ = __VA_ARGS__;                                           \
        struct wr out_ = message_begin((role)->space, IPC_MESSAGE_MAX, MESSAGE_##TYPE, number_); \
        shape##_put(&out_, &message_);                                                           \
        send(to, &out_);                                                                         \
    } while (0)
#define SEND(role, link, TYPE, shape, number_, ...) SEND_BY(link_send, link, role, TYPE, shape, number_, __VA_ARGS__)
// To the data plane, whose messages keep their order when some wait for the net role.
#define SEND_ESP(role, TYPE, shape, number_, how, ...) SEND_BY(how, role, role, TYPE, shape, number_, __VA_ARGS__)

// --- sending to peers

static int socket_for(const struct ike_role *role, const struct path *path)
{
    const struct udp_ports *ports =
        path->remote.addr.family == ADDR_V6 ? &role->options->udp6 : &role->options->udp4;
    return path->encap ? ports->ike_nat : ports->ike;
}

// RFC 9329 3: the esp role has the connections.
static void stream_out(struct ike_role *role, const struct path *path, struct bytes bytes)
{
    uint8_t space[DATAGRAM_MESSAGE_MAX];
    struct wr marked = wr_over(space, sizeof space);
    wr_bytes(&marked, BYTES_ARRAY(non_esp_marker));
    wr_bytes(&marked, bytes);
    if (marked.failed) return;
    SEND(role, role->esp, STREAM, datagram, 0, {.local = path->local, .remote = path->remote, .stream = true, .bytes = wr_done(&marked)});
}

static void datagram_out(struct ike_role *role, const struct path *path, struct bytes bytes, uint8_t dscp, bool uncut)
{
    if (path->stream) {
        stream_out(role, path, bytes);
        return;
    }
    int fd = socket_for(role, path);
    if (fd < 0) return;
    struct wr datagram = wr_over(role->space, IPC_MESSAGE_MAX);
    if (path->encap) wr_bytes(&datagram, BYTES_ARRAY(non_esp_marker));
    wr_bytes(&datagram, bytes);
    enum fault fault = (uncut ? udp_send_uncut : udp_send)(fd, &path->local, &path->remote, (uint8_t)(dscp << 2),
                                                           wr_done(&datagram));
    // RFC 8899 4.1: a probe that does not leave this host is one that got no answer.
    if (uncut && fault == FAULT_SEND_TOO_LARGE) return;
    if (fault) {
        char to[ENDPOINT_TEXT];
        role_log(ROLE_IKE, IKE_DETAIL, fault, "cannot send to %s", endpoint_print(&path->remote, to));
    }
}

// --- what waits for the data plane and the kernel

// All that was withheld in a turn waits for one SYNC behind everything the turn has sent.
static void turn_ended(void *context)
{
    struct ike_role *role = context;
    if (!role->sync_wanted) return;
    role->sync_wanted = false;
    role->last_sync++;
    uint8_t space[64];
    struct wr out = message_begin(space, sizeof space, MESSAGE_SYNC, role->last_sync);
    ike_esp_send(role, &out);
    link_send(role->net, &out);
}

static struct withheld *withhold(struct ike_role *role, struct bytes message)
{
    struct withheld *withheld = NEW(struct withheld);
    *withheld = (struct withheld){.number = role->last_sync + 1, .message = mem_copy(message)};
    *role->withheld_last = withheld;
    role->withheld_last = &withheld->next;
    role->unsynced = false;
    role->sync_wanted = true;
    return withheld;
}

// Sends a message to control, now or when the policies and SAs sent before are in force.
static void tell_when_done(struct ike_role *role, const struct wr *message)
{
    if (role->unsynced || role->withheld) withhold(role, wr_done(message));
    else link_send(role->control, message);
}

static void withheld_perform(struct ike_role *role, const struct withheld *withheld)
{
    if (withheld->to_peer) {
        datagram_out(role, &withheld->path, withheld->message, withheld->dscp, withheld->uncut);
        return;
    }
    struct wr out = wr_over((void *)(uintptr_t)withheld->message.at, withheld->message.size);
    out.size = withheld->message.size;
    link_send(role->control, &out);
}

// Each of the two answers in order, so that the number says that all before is done as well.
static void synced(struct ike_role *role, uint64_t *answered, uint64_t number)
{
    *answered = number;
    uint64_t done = role->esp_synced < role->net_synced ? role->esp_synced : role->net_synced;
    while (role->withheld && role->withheld->number <= done) {
        struct withheld *first = role->withheld;
        role->withheld = first->next;
        if (!role->withheld) role->withheld_last = &role->withheld;
        withheld_perform(role, first);
        mem_drop(&first->message);
        free(first);
    }
}

// A peer that is told of a new SA may use it at once, and our answer to its first packet must find its way into the SA: so a
// message that goes with a new policy waits for the policy's route, and any other leaves behind what the data plane has to know.
static void sends_perform(struct ike_role *role)
{
    if (role->send_count && role->unsynced && !role->policies_came) links_flush();
    for (size_t i = 0; i < role->send_count; i++) {
        const struct ike_out *out = &role->sends[i];
        if (!role->policies_came) {
            datagram_out(role, &out->send.path, out->send.bytes, out->send.dscp, out->send.uncut);
            continue;
        }
        struct withheld *withheld = withhold(role, out->send.bytes);
        withheld->to_peer = true;
        withheld->path = out->send.path;
        withheld->dscp = out->send.dscp;
        withheld->uncut = out->send.uncut;
    }
    role->send_count = 0;
}

static void out_send(struct ike_role *role, const struct ike_out *out)
{
    if (role->send_count == role->send_room) {
        role->send_room = role->send_room ? role->send_room * 2 : 16;
        role->sends = mem_grow(role->sends, role->send_room, sizeof *role->sends);
    }
    role->sends[role->send_count++] = *out;
}

// --- outputs

static void out_policy(struct ike_role *role, const struct ike_out *out)
{
    struct policy_message message = {.spec = out->policy.spec, .path = out->policy.path};
    if (out->kind == IKE_OUT_POLICY_ADD) {
        SEND_ESP(role, POLICY_ADD, policy, 0, ike_esp_send, message);
        SEND(role, role->net, POLICY_ADD, policy, 0, message);
    } else {
        SEND_ESP(role, POLICY_DEL, policy_del, 0, ike_esp_send, {.number = message.spec.number});
        SEND(role, role->net, POLICY_DEL, policy_del, 0, {.number = message.spec.number});
    }
}

// The mark of sealed packets, before the SA is used. Nothing can be said of single packets in a TCP connection.
static bool mark_send(struct ike_role *role, uint32_t spi, const struct path *path, uint32_t mark)
{
    if (!mark) return false;
    if (path->stream) {
        role_log(ROLE_IKE, IKE_AUDIT, OK, "SA %08x: its packets go through IKE's TCP connection and get no set_mark_out", spi);
        return false;
    }
    SEND(role, role->net, SA_MARK, sa_mark, 0, {.spi = spi, .remote = path->remote.addr, .mark = mark});
    role->policies_came = true;
    return true;
}

static void out_sa_add(struct ike_role *role, const struct ike_out *out)
{
    struct sa_spec spec = out->sa_add;
    uint16_t mtu = spec.direction == SA_OUT ? ike_mtu_ask(role, spec.spi, &spec.path, spec.mark) : 0;
    if (!spec.path_mtu) spec.path_mtu = mtu;
    bool marked = mark_send(role, spec.spi, &spec.path, spec.mark);
    SEND_ESP(role, SA_ADD, sa, 0, (marked ? ike_esp_send_behind_net : ike_esp_send), {.spec = spec});
}

static void out_sa_move(struct ike_role *role, const struct ike_out *out)
{
    bool marked = mark_send(role, out->sa_move.spi, &out->sa_move.path, out->sa_move.mark);
    SEND_ESP(role, SA_MOVE, sa_move, 0, (marked ? ike_esp_send_behind_net : ike_esp_send),
             {.spi = out->sa_move.spi, .direction = out->sa_move.direction,
              .path = out->sa_move.path, .former = out->sa_move.former});
    bool elsewhere = !addr_equal(&out->sa_move.path.remote.addr, &out->sa_move.former.remote.addr);
    if (out->sa_move.mark && elsewhere)
        SEND(role, role->net, SA_UNMARK, sa_mark, 0, {.spi = out->sa_move.spi, .remote = out->sa_move.former.remote.addr});
    if (out->sa_move.direction == SA_OUT)
        (void)ike_mtu_ask(role, out->sa_move.spi, &out->sa_move.path, out->sa_move.mark);
}

static void out_sa_del(struct ike_role *role, const struct ike_out *out)
{
    SEND_ESP(role, SA_DEL, sa_del, 0, ike_esp_send,
             {.spi = out->sa_del.spi, .direction = out->sa_del.direction, .remote = out->sa_del.remote});
    if (out->sa_del.mark) SEND(role, role->net, SA_UNMARK, sa_mark, 0, {.spi = out->sa_del.spi, .remote = out->sa_del.remote});
}

static void out_done(struct ike_role *role, const struct ike_out *out)
{
    struct done_message done = {.command = out->done.command, .fault = out->done.fault, .text = out->done.text,
                                .matches = out->done.matches, .terminated = out->done.terminated};
    struct wr message = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_DONE, 0);
    done_put(&message, &done);
    tell_when_done(role, &message);
}

static void output_perform(struct ike_role *role, const struct ike_out *out)
{
    if (out->kind >= IKE_OUT_SA_ADD && out->kind <= IKE_OUT_ADDRESS_DEL) role->unsynced = true;
    if (out->kind == IKE_OUT_POLICY_ADD) role->policies_came = true;
    switch (out->kind) {
    case IKE_OUT_SEND: out_send(role, out); break;
    case IKE_OUT_SA_ADD: out_sa_add(role, out); break;
    case IKE_OUT_SA_MOVE: out_sa_move(role, out); break;
    case IKE_OUT_SA_SKIP:
        SEND_ESP(role, SA_SKIP, sa_skip, 0, ike_esp_send,
             {.spi = out->sa_skip.spi, .remote = out->sa_skip.remote, .delta = out->sa_skip.delta});
        break;
    case IKE_OUT_SA_MTU:
        SEND_ESP(role, SA_MTU, sa_mtu, 0, ike_esp_send,
             {.spi = out->sa_mtu.spi, .direction = out->sa_mtu.direction, .remote = out->sa_mtu.remote,
              .path_mtu = out->sa_mtu.path_mtu});
        break;
    case IKE_OUT_SA_DEL: out_sa_del(role, out); break;
    case IKE_OUT_POLICY_ADD:
    case IKE_OUT_POLICY_DEL: out_policy(role, out); break;
    case IKE_OUT_ADDRESS_ADD:
        SEND(role, role->net, ADDRESS_ADD, address, 0, {.addr = out->address.addr, .came = true});
        break;
    case IKE_OUT_ADDRESS_DEL:
        SEND(role, role->net, ADDRESS_DEL, address, 0, {.addr = out->address.addr});
        break;
    case IKE_OUT_NAME_SERVER:
        SEND(role, role->net, NAME_SERVER, address, 0, {.addr = out->address.addr, .came = out->address.came});
        break;
    case IKE_OUT_LEASE:
        SEND(role, role->control, LEASE, lease, 0, {out->lease.pool, out->lease.addr, *out->lease.id});
        break;
    case IKE_OUT_OPERATION: ike_operation_start(role, &out->operation); break;
    case IKE_OUT_REPORT: ike_view_report(role, &out->report); break;
    case IKE_OUT_EVENT: ike_view_event(role, &out->event); break;
    case IKE_OUT_DONE: out_done(role, out); break;
    }
    memory_wipe(role->space, 1024);   // SA_ADD and PROVE carried keys
}

static void timer_set(struct ike_role *role)
{
    nsec at = ike_deadline(role->core);
    if (at == NSEC_NEVER) {
        evtimer_del(role->timer);
        return;
    }
    nsec left = at - role_now();
    if (left < 0) left = 0;
    struct timeval wait = {.tv_sec = left / NSEC_PER_SECOND, .tv_usec = left % NSEC_PER_SECOND / 1000 + 1};
    evtimer_add(role->timer, &wait);
}

void ike_role_step(struct ike_role *role, struct ike_in *in)
{
    assert(!role->stepping);
    role->stepping = true;
    in->now = role_now();
    ike_step(role->core, in);
    struct ike_out out;
    role->policies_came = false;
    while (ike_next(role->core, &out)) output_perform(role, &out);
    sends_perform(role);
    role->stepping = false;
    ike_mtu_tell(role);
    ike_answer_next(role);   // steps again, and so on until none is ready
    timer_set(role);
    if (role->stopping && ike_stats(role->core)->sas == 0) role_leave();
}

// --- inputs: time and datagrams

static void timer_fired(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct ike_in in = {.kind = IKE_IN_TIMER};
    ike_role_step(context, &in);
}

static void usage_fired(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct ike_role *role = context;
    if (!ike_stats(role->core)->children) return;
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_USAGE_ASK, 0);
    link_send(role->esp, &out);
}

enum arrival { AT_PORT, AT_PORT_NAT, IN_STREAM };

static void datagram_in(struct ike_role *role, const struct datagram *datagram, struct bytes bytes, enum arrival arrival)
{
    if (arrival != AT_PORT) {
        // RFC 3948 2.2, 2.3: what does not begin with the marker is ESP or a keepalive and not for us.
        if (bytes.size < 4 || memcmp(bytes.at, non_esp_marker, 4) != 0) return;
        bytes = bytes_of(bytes.at + 4, bytes.size - 4);
    }
    struct ike_in in = {.kind = IKE_IN_DATAGRAM};
    in.datagram.path = (struct path){datagram->local, datagram->remote, arrival != AT_PORT, arrival == IN_STREAM};
    in.datagram.bytes = bytes;
    ike_role_step(role, &in);
}

static void socket_readable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    static uint8_t space[IKE_DATAGRAM_MAX];
    struct ike_role *role = context;
    const struct role_options *options = role->options;
    bool nat_port = fd == options->udp4.ike_nat || fd == options->udp6.ike_nat;
    struct datagram datagram;
    for (unsigned i = 0; i < DATAGRAMS_AT_ONCE; i++) {
        uint16_t port = nat_port ? options->port_nat : options->port;
        if (!udp_receive(fd, port, space, sizeof space, &datagram)) return;
        datagram_in(role, &datagram, bytes_of(space, datagram.size), nat_port ? AT_PORT_NAT : AT_PORT);
    }
}

// Peers are heard only when the configuration is there (control says so) or has not come for long.
// What they sent meanwhile has waited in the sockets.
static void sockets_watch(struct ike_role *role)
{
    const struct udp_ports *ports[] = {&role->options->udp4, &role->options->udp6};
    if (role->hears) return;
    role->hears = true;
    evtimer_del(role->deaf_timer);
    for (unsigned i = 0; i < 2; i++) {
        int fds[] = {ports[i]->ike, ports[i]->ike_nat};
        for (unsigned j = 0; j < 2; j++)
            if (fds[j] >= 0)
                event_add(event_new(role->base, fds[j], EV_READ | EV_PERSIST, socket_readable, role), NULL);
    }
}

static void deaf_fired(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    role_log(ROLE_IKE, IKE_INFO, OK, "no configuration has come for %d seconds: peers are answered without", DEAF_SECONDS);
    sockets_watch(context);
}

// --- inputs: control

// Devices are there before their tunnels are: the operator's addresses and routing protocols need them.
static void device_want(struct ike_role *role, uint32_t if_id, struct mark leads, struct mark opened)
{
    if (if_id && if_id <= IF_ID_MAX)
        SEND(role, role->net, DEVICE, device, 0,
             {.if_id = if_id, .leads = leads, .opened = opened});
}

static void devices_want(struct ike_role *role, const struct conn *conn)
{
    for (uint32_t i = 0; i < conn->child_count; i++) {
        const struct child_conf *child = &conn->children[i];
        device_want(role, child->if_id_in, (struct mark){0}, child->mark_opened);
        device_want(role, child->if_id_out, child->mark_out, (struct mark){0});
    }
}

static void guard_want(struct ike_role *role, const struct conn *conn)
{
    for (uint32_t i = 0; i < conn->child_count; i++) {
        const struct child_conf *child = &conn->children[i];
        struct guard_message message = {.conn = conn->name, .count = (uint8_t)child->guarded_count};
        if (!message.count) continue;
        memcpy(message.at, child->guarded, message.count * sizeof message.at[0]);
        SEND(role, role->net, GUARD, guard, 0, message);
    }
    SEND(role, role->net, GUARD, guard, 0, {.conn = conn->name, .last = true});
}

static void conn_load(struct ike_role *role, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct complaints complaints = {0};
    struct load_message message;
    struct tree *root = NULL;
    enum fault fault = load_get(fields, &arena, &message);
    if (!fault) fault = message_read(message.tree, &arena, &root);
    struct conn *conn = fault || !root->first ? NULL : options_conn(root->first, &complaints);
    if (!fault && !conn) fault = complaints.first ? complaints.first->fault : FAULT_MESSAGE_MALFORMED;
    if (conn) {
        devices_want(role, conn);
        guard_want(role, conn);
        struct ike_in in = {.kind = IKE_IN_CONN_LOAD, .conn = conn};
        ike_role_step(role, &in);
        conn_release(conn);
    }
    struct result_message result = {.fault = fault, .text = complaints.first ? complaints.first->text : NULL};
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_RESULT, number);
    result_put(&out, &result);
    tell_when_done(role, &out);
    complaints_free(&complaints);
    arena_free(&arena);
}

static void conn_unload(struct ike_role *role, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct name_message message;
    enum fault fault = name_get(fields, &arena, &message);
    if (!fault && message.name) {
        struct ike_in in = {.kind = IKE_IN_CONN_UNLOAD, .name = message.name};
        ike_role_step(role, &in);
        SEND(role, role->net, GUARD, guard, 0, {.conn = message.name, .last = true});
    }
    SEND(role, role->control, RESULT, result, number, {.fault = fault});
    arena_free(&arena);
}

static void pool_load(struct ike_role *role, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct complaints complaints = {0};
    struct load_message message;
    struct tree *root = NULL;
    struct pool_conf pool;
    enum fault fault = load_get(fields, &arena, &message);
    if (!fault) fault = message_read(message.tree, &arena, &root);
    if (!fault && !root->first) fault = FAULT_MESSAGE_MALFORMED;
    if (!fault && !options_pool(root->first, &arena, &pool, &complaints))
        fault = complaints.first ? complaints.first->fault : FAULT_CONFIGURATION;
    if (!fault) {
        struct ike_in in = {.kind = IKE_IN_POOL_LOAD, .pool = &pool};
        ike_role_step(role, &in);
    }
    SEND(role, role->control, RESULT, result, number,
         {.fault = fault, .text = complaints.first ? complaints.first->text : NULL});
    complaints_free(&complaints);
    arena_free(&arena);
}

static bool pool_find(const struct ike_role *role, const char *name, struct ike_pool_info *out)
{
    for (const char *at = NULL; ike_pool_after(role->core, at, out); at = out->name)
        if (strcmp(out->name, name) == 0) return true;
    return false;
}

static void pool_unload(struct ike_role *role, uint64_t number, struct rd *fields)
{
    struct arena arena = {0};
    struct pool_unload_message message;
    struct ike_pool_info pool;
    AUTOFREE_MEM char *text = NULL;
    enum fault fault = pool_unload_get(fields, &arena, &message);
    bool there = !fault && message.name && pool_find(role, message.name, &pool);
    if (!fault && !there && !message.in_use_too) {
        fault = FAULT_CONN_UNKNOWN;
        text = mem_printf("no pool \"%s\" is loaded", message.name ? message.name : "");
    } else if (there && pool.online && !message.in_use_too) {
        fault = FAULT_POOL_IN_USE;
        text = mem_printf("%u addresses of pool \"%s\" are in use", pool.online, message.name);
    }
    if (!fault && there) {
        struct ike_in in = {.kind = IKE_IN_POOL_UNLOAD, .name = message.name};
        ike_role_step(role, &in);
    }
    SEND(role, role->control, RESULT, result, number, {.fault = fault, .text = text});
    arena_free(&arena);
}

static void lease_in(struct ike_role *role, struct rd *fields)
{
    struct arena arena = {0};
    struct lease_message message;
    if (lease_get(fields, &arena, &message) == OK) {
        struct ike_in in = {.kind = IKE_IN_LEASE, .lease = {message.pool, message.addr, &message.id}};
        ike_role_step(role, &in);
    }
    arena_free(&arena);
}

static void listeners_in(struct ike_role *role, struct rd *fields)
{
    struct arena arena = {0};
    struct listeners_message message;
    if (listeners_get(fields, &arena, &message) == OK) role->listeners = message.events;
}

typedef void view(struct ike_role *role, uint64_t number, const struct tree *request);

// A question that is answered at once; one that cannot be read is answered like one that asks for nothing in particular.
static void view_ask(struct ike_role *role, uint64_t number, struct rd *fields, view *show)
{
    struct arena arena = {0};
    struct load_message message;
    struct tree *request = NULL;
    enum fault fault = load_get(fields, &arena, &message);
    if (!fault) fault = message_read(message.tree, &arena, &request);
    show(role, number, fault ? tree_new(&arena) : request);
    arena_free(&arena);
}

static void command(struct ike_role *role, struct rd *fields)
{
    struct arena arena = {0};
    struct command_message message;
    if (command_get(fields, &arena, &message) == OK) {
        struct ike_in in = {.kind = IKE_IN_COMMAND, .command = message.command};
        ike_role_step(role, &in);
    }
    arena_free(&arena);
}

// Counters come from the data plane first; the list follows when they are there.
static void list_sas(struct ike_role *role, uint64_t number, struct rd *fields)
{
    struct list_request **free_place = NULL;
    for (unsigned i = 0; i < LISTS_MAX; i++)
        if (!role->lists[i]) free_place = &role->lists[i];
    struct list_request *list = NEW(struct list_request);
    struct load_message message;
    struct tree *filter = NULL;
    list->number = number;
    enum fault fault = load_get(fields, &list->arena, &message);
    struct bytes tree = fault ? BYTES_NONE : arena_copy(&list->arena, message.tree);
    if (!fault) fault = message_read(tree, &list->arena, &filter);
    list->filter = filter;
    if (fault || !free_place) {
        SEND(role, role->control, ITEM, item, number, {.last = true});
        arena_free(&list->arena);
        free(list);
        return;
    }
    *free_place = list;
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_USAGE_ASK, number);
    link_send(role->esp, &out);
}

static void list_answer(struct ike_role *role, uint64_t number)
{
    for (unsigned i = 0; i < LISTS_MAX; i++) {
        struct list_request *list = role->lists[i];
        if (!list || list->number != number) continue;
        ike_view_list(role, number, list->filter);
        arena_free(&list->arena);
        free(list);
        role->lists[i] = NULL;
    }
}

static void from_control(void *context, const struct message_head *head, struct rd *fields)
{
    struct ike_role *role = context;
    switch (head->type) {
    case MESSAGE_CONN_LOAD: conn_load(role, head->number, fields); break;
    case MESSAGE_CONN_UNLOAD: conn_unload(role, head->number, fields); break;
    case MESSAGE_POOL_LOAD: pool_load(role, head->number, fields); break;
    case MESSAGE_POOL_UNLOAD: pool_unload(role, head->number, fields); break;
    case MESSAGE_LEASE: lease_in(role, fields); break;
    case MESSAGE_LIST_POOLS: view_ask(role, head->number, fields, ike_view_pools); break;
    case MESSAGE_LIST_POLICIES: view_ask(role, head->number, fields, ike_view_policies); break;
    case MESSAGE_COUNTERS: view_ask(role, head->number, fields, ike_view_counters); break;
    case MESSAGE_COMMAND: command(role, fields); break;
    case MESSAGE_LIST_SAS: list_sas(role, head->number, fields); break;
    case MESSAGE_STATS: ike_view_stats(role, head->number); break;
    case MESSAGE_LISTENERS: listeners_in(role, fields); break;
    case MESSAGE_READY: sockets_watch(role); break;
    }
}

// --- inputs: the other roles

static void from_keys(void *context, const struct message_head *head, struct rd *fields)
{
    struct arena arena = {0};
    struct proved_message proved;
    struct ppk_answer_message ppk;
    if (head->type == MESSAGE_PROVED && proved_get(fields, &arena, &proved) == OK)
        ike_operation_proved(context, head->number, &proved);
    if (head->type == MESSAGE_PPK_ANSWER && ppk_answer_get(fields, &arena, &ppk) == OK)
        ike_operation_ppk(context, head->number, &ppk);
    arena_free(&arena);
}

static void anchors_in(struct ike_role *role, struct rd *fields)
{
    struct arena arena = {0};
    struct anchors_message *message = NEW(struct anchors_message);
    if (anchors_get(fields, &arena, message) == OK) {
        struct ike_in in = {.kind = IKE_IN_ANCHORS};
        in.anchors.hashes = (const uint8_t(*)[20])message->hashes;
        in.anchors.count = message->count;
        ike_role_step(role, &in);
    }
    free(message);
    arena_free(&arena);
}

static void from_trust(void *context, const struct message_head *head, struct rd *fields)
{
    struct arena arena = {0};
    if (head->type == MESSAGE_ANCHORS) {
        anchors_in(context, fields);
    } else if (head->type == MESSAGE_JUDGED) {
        struct judged_message judged;
        if (judged_get(fields, &arena, &judged) == OK) ike_operation_judged(context, head->number, &judged);
    } else if (head->type == MESSAGE_LOGIN_ANSWER) {
        struct login_answer_message login;
        if (login_answer_get(fields, &arena, &login) == OK) ike_operation_login(context, head->number, &login);
    } else if (head->type == MESSAGE_RESOLVED) {
        struct resolved_message resolved;
        if (resolved_get(fields, &arena, &resolved) == OK)
            ike_operation_resolved(context, head->number, &resolved);
    }
    arena_free(&arena);
}

static void usage_in(struct ike_role *role, uint64_t number, struct rd *fields)
{
    struct usage_message *message = NEW(struct usage_message);
    struct arena arena = {0};
    bool last = false;
    if (usage_get(fields, &arena, message) == OK) {
        for (unsigned i = 0; i < message->count; i++) {
            struct ike_in in = {.kind = IKE_IN_PLANE};
            in.plane = (struct ike_plane){.kind = IKE_PLANE_USAGE, .spi = message->at[i].spi, .usage = message->at[i]};
            ike_role_step(role, &in);
        }
        last = message->last;
    }
    free(message);
    if (last && number) list_answer(role, number);
}

static void plane_in(struct ike_role *role, struct rd *fields)
{
    struct arena arena = {0};
    struct plane_message message;
    if (plane_get(fields, &arena, &message) == OK) {
        struct ike_in in = {.kind = IKE_IN_PLANE, .plane = message.event};
        ike_role_step(role, &in);
    }
    arena_free(&arena);
}

// It came in a stream; or the kernel joined it to a run of ESP, so that it came to the wrong socket.
static void marked_in(struct ike_role *role, struct rd *fields)
{
    struct arena arena = {0};
    struct datagram_message message;
    if (datagram_get(fields, &arena, &message) == OK) {
        struct datagram datagram = {.local = message.local, .remote = message.remote, .tos = message.tos, .size = message.bytes.size};
        datagram_in(role, &datagram, message.bytes, message.stream ? IN_STREAM : AT_PORT_NAT);
    }
    arena_free(&arena);
}

static void from_esp(void *context, const struct message_head *head, struct rd *fields)
{
    struct ike_role *role = context;
    if (head->type == MESSAGE_USAGE) usage_in(context, head->number, fields);
    else if (head->type == MESSAGE_PLANE) plane_in(context, fields);
    else if (head->type == MESSAGE_SYNC) synced(role, &role->esp_synced, head->number);
    else if (head->type == MESSAGE_DATAGRAM) marked_in(context, fields);
}

static void from_net(void *context, const struct message_head *head, struct rd *fields)
{
    struct ike_role *role = context;
    struct arena arena = {0};
    struct address_message message;
    if (head->type == MESSAGE_PLANE) {
        plane_in(context, fields);
    } else if (head->type == MESSAGE_SYNC) {
        synced(role, &role->net_synced, head->number);
        ike_esp_release(role);
    } else if (head->type == MESSAGE_ADDRESS && address_get(fields, &arena, &message) == OK) {
        struct ike_in in = {.kind = IKE_IN_ADDRESS};
        in.address.addr = message.addr;
        in.address.came = message.came;
        ike_role_step(context, &in);
    }
    arena_free(&arena);
}

// --- start and stop

// "4/1.8/5": first wait in seconds, growth, tries; for tests that cannot wait three minutes.
static void retransmit_parse(const char *text, struct ike_settings *settings)
{
    double wait = 4, growth = 1.8;
    unsigned tries = 5;
    if (!text || sscanf(text, "%lf/%lf/%u", &wait, &growth, &tries) != 3) return;
    settings->retransmit_timeout = (nsec)(wait * (double)NSEC_PER_SECOND);
    settings->retransmit_base = growth;
    settings->retransmit_tries = tries;
}

struct keylog_file {
    struct ike_keylog log;
    FILE *file;
};

static void keylog_line(struct ike_keylog *log, const char *text)
{
    FILE *file = ((struct keylog_file *)log)->file;
    fprintf(file, "%s\n", text);
    fflush(file);
}

static void keylog_start(struct ike_role *role)
{
    if (role->options->keylog_fd < 0) return;
    static struct keylog_file keylog = {.log.line = keylog_line};
    keylog.file = fdopen(role->options->keylog_fd, "a");
    if (!keylog.file) return;
    role_log(ROLE_IKE, IKE_AUDIT, OK, "all session keys are written to %s: for analysis only", role->options->keylog);
    ike_set_keylog(role->core, &keylog.log);
}

// The peers are told that all SAs end; the loop is left when they have answered, or when its own patience is over.
static void stop(void *context)
{
    struct ike_role *role = context;
    role->stopping = true;
    for (uint32_t id = 0; (id = ike_sa_after(role->core, id));) {
        struct ike_in in = {.kind = IKE_IN_COMMAND, .command = {.kind = IKE_TERMINATE, .ike_id = id}};
        ike_role_step(role, &in);
    }
    if (ike_stats(role->core)->sas == 0) role_leave();
}

static void links_open(struct ike_role *role)
{
    const int *channel = role->options->channel;
    role->control = link_new(role->base, channel[ROLE_CONTROL], ROLE_IKE, ROLE_CONTROL, from_control, role);
    role->keys = link_new(role->base, channel[ROLE_KEYS], ROLE_IKE, ROLE_KEYS, from_keys, role);
    role->trust = link_new(role->base, channel[ROLE_TRUST], ROLE_IKE, ROLE_TRUST, from_trust, role);
    role->esp = link_new(role->base, channel[ROLE_ESP], ROLE_IKE, ROLE_ESP, from_esp, role);
    role->net = link_new(role->base, channel[ROLE_NET], ROLE_IKE, ROLE_NET, from_net, role);
}

int role_ike(const struct role_options *options)
{
    crypto_start();
    struct ike_role role = {.options = options, .base = event_base_new(), .space = mem_new(IPC_MESSAGE_MAX)};
    role.settings = ike_settings_default();
    role.settings.port = options->port;
    role.settings.port_nat = options->port_nat;
    role.settings.report_level = options->debug ? 0 : IKE_INFO;
    retransmit_parse(options->retransmit, &role.settings);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (processors > 1) role.settings.resources = processors < RESOURCES_MAX ? (unsigned)processors : RESOURCES_MAX;
    if (options->ticket_secret_known) role.settings.ticket_secret = BYTES_ARRAY(options->ticket_secret);
    role.ready_last = &role.ready;
    role.withheld_last = &role.withheld;
    role.held_last = &role.held;
    if (options->qcd_secret_known) role.settings.qcd_secret = BYTES_ARRAY(options->qcd_secret);
    role.core = ike_new(role_rng(), &role.settings);
    role.started = (uint64_t)time(NULL);
    role.timer = evtimer_new(role.base, timer_fired, &role);
    role.usage_timer = event_new(role.base, -1, EV_PERSIST, usage_fired, &role);
    const struct timeval usage_interval = {.tv_sec = USAGE_SECONDS};
    evtimer_add(role.usage_timer, &usage_interval);
    keylog_start(&role);
    links_open(&role);
    ike_mtu_watch(&role);
    role.deaf_timer = evtimer_new(role.base, deaf_fired, &role);
    const struct timeval deaf = {.tv_sec = DEAF_SECONDS};
    evtimer_add(role.deaf_timer, &deaf);
    role_on_stop(stop, &role);
    role_on_turn(turn_ended, &role);
    int code = role_loop(role.base, options->alive);
    ike_esp_drop(&role);
    ike_free(role.core);
    free(role.mtus);
    rtnl_free(role.rtnl);
    free(role.space);
    return code;
}
