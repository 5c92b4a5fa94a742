// SPDX-License-Identifier: Apache-2.0
// The packet worker without the plane: the same TUN device, cutting, sockets and joining, but
// packets go on as they are behind eight bytes where ESP would have SPI and sequence number. What
// it carries is what a data plane in user space could carry at most; the rest of the way is policy
// and ciphers.
//
//     bench-forward DEVICE LOCAL-ADDRESS REMOTE-ADDRESS
#include "daemon/streams.h"
#include "daemon/worker_send.h"
#include "esp/octets.h"
#include "os/tun.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>

enum { PORT = 4600, PORT_NAT = 4601, HEADER = 8, SPI = 0x1000 };

static struct endpoint local = {.port = PORT_NAT}, remote = {.port = PORT_NAT};

// --- in place of the plane

void plane_seal(struct plane *plane, nsec now, struct packet *const *packets, size_t count)
{
    (void)plane, (void)now;
    for (size_t i = 0; i < count; i++) {
        struct packet *packet = packets[i];
        packet->at -= HEADER;
        packet->size += HEADER;
        put_u32(packet->at, SPI);
        put_u32(packet->at + 4, 0);
        packet->spi = SPI;
        packet->verdict = VERDICT_SEND;
        packet->outer = OUTER_UDP;
        packet->from = local;
        packet->to = remote;
    }
}

void plane_open(struct plane *plane, nsec now, struct packet *const *packets, size_t count)
{
    (void)plane, (void)now;
    for (size_t i = 0; i < count; i++) {
        packets[i]->at += HEADER;
        packets[i]->size -= HEADER;
        packets[i]->verdict = VERDICT_DELIVER;
    }
}

size_t plane_more(struct plane *plane, nsec now, struct packet **packets)
{
    (void)plane, (void)now, (void)packets;
    return 0;
}

struct plane_room plane_room_of(struct plane *plane, nsec now, uint16_t device, const uint8_t *ip, uint32_t size)
{
    (void)plane, (void)now, (void)device, (void)ip, (void)size;
    return (struct plane_room){.mtu = UINT32_MAX, .head = HEADER, .align = 1};
}

void worker_cut(struct worker *worker, const struct packet *whole, worker_way *way)
{
    (void)worker, (void)whole, (void)way; // no packet is too large
}

void worker_seal_pieces(struct worker *worker, struct packet *const *pieces, size_t count)
{
    (void)worker, (void)pieces, (void)count;
}

bool worker_send_cut(struct worker *worker, const struct packet *packet)
{
    (void)worker, (void)packet;
    return false;
}

void worker_cut_free(struct worker *worker)
{
    (void)worker;
}

size_t plane_released(struct plane *plane, nsec oldest, struct packet *const *packets, size_t count)
{
    (void)plane, (void)oldest, (void)packets, (void)count;
    return 0;
}

// --- in place of the daemon

void worker_hand(struct worker *worker, struct packet *packet, unsigned to, enum hand kind)
{
    (void)worker, (void)packet, (void)to, (void)kind; // there is one worker
}

void worker_hand_copy(struct worker *worker, const struct packet *packet, unsigned to, enum hand kind)
{
    (void)worker, (void)packet, (void)to, (void)kind;
}

void worker_hand_done(struct worker *worker)
{
    (void)worker;
}

unsigned worker_sort_opened(struct worker *worker, struct packet *const *opened, unsigned count)
{
    (void)worker, (void)opened, (void)count;
    return 0;
}

void link_send(struct link *link, const struct wr *message)
{
    (void)link, (void)message;
}

struct wr message_begin(void *space, size_t room, enum message_type type, uint64_t number)
{
    (void)type, (void)number;
    return wr_over(space, room);
}

void datagram_put(struct wr *out, const struct datagram_message *message)
{
    (void)out, (void)message;
}

nsec role_now(void)
{
    return 1;
}

void streams_send_esp(struct streams *streams, const struct packet *packet)
{
    (void)streams, (void)packet;
}

void worker_send_whole(struct worker *worker, struct packet *packet)
{
    (void)worker, (void)packet;
}

unsigned worker_open_transit(struct worker *worker, unsigned count)
{
    (void)worker;
    return count;
}

static void must(bool good, const char *what, const char *text)
{
    if (good) return;
    fprintf(stderr, "bench-forward: %s: %s\n", what, text ? text : "refused");
    exit(1);
}

static struct addr address(const char *text)
{
    uint8_t at[4];
    must(inet_pton(AF_INET, text, at) == 1, text, "no IPv4 address");
    return addr_v4(at[0], at[1], at[2], at[3]);
}

int main(int count, char **words)
{
    static struct worker worker;
    const char *text = NULL;
    struct role_options options = {
        .workers = 1, .port_nat = PORT_NAT, .bypass4 = -1, .bypass6 = -1};
    must(count == 4, "usage", "bench-forward DEVICE LOCAL-ADDRESS REMOTE-ADDRESS");
    local.addr = address(words[2]);
    remote.addr = address(words[3]);
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        options.udp6.esp[i] = options.raw4[i] = options.raw6[i] = options.ah4[i] = options.ah6[i] = -1;
    must(tun_open(words[1], 1, options.tun, &text) == OK, words[1], text);
    must(udp_open(ADDR_V4, PORT, PORT_NAT, 1, ROUTING_MARK, &options.udp4, &text) == OK, "ports",
         text);
    worker_init(&worker, &options, 0, NULL);
    struct pollfd at[] = {{.fd = worker.devices[0].fd, .events = POLLIN},
                          {.fd = worker.sockets[SOCKET_UDP4], .events = POLLIN}};
    for (;;) {
        if (poll(at, 2, -1) < 0) return 1;
        if (at[0].revents) worker_outward(&worker, 0);
        if (at[1].revents) worker_inward(&worker, SOCKET_UDP4);
    }
}
