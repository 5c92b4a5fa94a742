// SPDX-License-Identifier: Apache-2.0
// The highest rate of small UDP datagrams that a path carries while losing at most one of a
// hundred: a paced sender in one network namespace, a receiver in another, a ladder of rates.
//
//     bench-pace FROM-NAMESPACE FROM-ADDRESS TO-NAMESPACE TO-ADDRESS [SIZE [SEGMENTS [FLOWS]]]
//
// SEGMENTS is how many datagrams the sender hands to the kernel in one message (UDP_SEGMENT); 1 is
// what an ordinary sender does. The last line is "best N most N": datagrams a second at no more
// than one per cent of loss, and the most that arrived at any rate.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PORT = 7777,
    FLOWS_MAX = 256,
    MESSAGES = 32, // at most in one system call
    BUFFER_BYTES = 16 * 1024 * 1024,
    RATE_FIRST = 20000,
    RATE_LAST = 8000000,
    FAILURES = 3, // rungs in a row
    HALVINGS = 3, // of the last rung's width
    RECEIVE_ROOM = 65536,
};
#define RUNG_SECONDS 0.4
#define SETTLE_US 150000
#define STEP 1.25
#define LOSS_MOST 0.01

struct bench {
    uint16_t size, segments, flows;
    int senders[FLOWS_MAX], receiver;
    atomic_uint_fast64_t received;
    atomic_bool stop;
};

struct rung {
    double sent, received, loss;
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void namespace_enter(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) fail(path);
    close(fd);
}

static struct sockaddr_in address(const char *text, uint16_t port)
{
    struct sockaddr_in out = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, text, &out.sin_addr) == 1) return out;
    fprintf(stderr, "%s is no IPv4 address\n", text);
    exit(1);
}

static int socket_open(const struct sockaddr_in *at, int buffer)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), bytes = BUFFER_BYTES;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, buffer, &bytes, sizeof bytes) < 0) fail("socket");
    if (bind(fd, (const struct sockaddr *)at, sizeof *at) < 0) fail("bind");
    return fd;
}

// The receiver takes joined datagrams whatever the sender does, so that it costs little.
static void receiver_open(struct bench *bench, const char *text)
{
    struct sockaddr_in at = address(text, PORT);
    struct timeval wait = {.tv_usec = 100000};
    int one = 1;
    bench->receiver = socket_open(&at, SO_RCVBUFFORCE);
    if (setsockopt(bench->receiver, SOL_UDP, UDP_GRO, &one, sizeof one) < 0 ||
        setsockopt(bench->receiver, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0)
        fail("setsockopt");
}

static void senders_open(struct bench *bench, const char *from, const char *to)
{
    struct sockaddr_in local = address(from, 0), remote = address(to, PORT);
    int segment = bench->size;
    for (unsigned i = 0; i < bench->flows; i++) {
        int fd = bench->senders[i] = socket_open(&local, SO_SNDBUFFORCE);
        if (connect(fd, (const struct sockaddr *)&remote, sizeof remote) < 0) fail("connect");
        if (bench->segments > 1 &&
            setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0)
            fail("UDP_SEGMENT");
    }
}

static void *receive(void *context)
{
    struct bench *bench = context;
    static uint8_t space[MESSAGES][RECEIVE_ROOM];
    struct mmsghdr messages[MESSAGES] = {0};
    struct iovec vectors[MESSAGES];
    for (unsigned i = 0; i < MESSAGES; i++) {
        vectors[i] = (struct iovec){space[i], RECEIVE_ROOM};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    while (!bench->stop) {
        int got = recvmmsg(bench->receiver, messages, MESSAGES, MSG_WAITFORONE, NULL);
        uint64_t count = 0;
        for (int i = 0; i < got; i++) count += messages[i].msg_len / bench->size;
        bench->received += count;
    }
    return NULL;
}

// Sends up to `most` messages of one flow; returns the datagrams that the kernel took.
static uint64_t send_some(const struct bench *bench, int fd, unsigned most)
{
    static uint8_t payload[RECEIVE_ROOM];
    struct iovec vector = {payload, (size_t)bench->size * bench->segments};
    struct mmsghdr messages[MESSAGES] = {0};
    for (unsigned i = 0; i < most; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vector, .msg_iovlen = 1};
    int sent = sendmmsg(fd, messages, most, 0);
    if (sent < 0 && errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED) fail("sendmmsg");
    return sent > 0 ? (uint64_t)sent * bench->segments : 0;
}

static struct rung climb(struct bench *bench, double rate)
{
    const struct timespec pause = {.tv_nsec = 20000};
    uint64_t before = bench->received, sent = 0;
    unsigned flow = 0;
    double begin = now(), passed;
    while ((passed = now() - begin) < RUNG_SECONDS) {
        double due = passed * rate - (double)sent;
        unsigned messages = due > 0 ? (unsigned)(due / bench->segments) : 0;
        if (messages == 0) {
            nanosleep(&pause, NULL);
            continue;
        }
        // Ordinary senders take turns after a few datagrams, so that their flows mix.
        unsigned most = bench->flows > 1 ? 4 : MESSAGES / bench->segments + 1;
        sent += send_some(bench, bench->senders[flow], messages < most ? messages : most);
        flow = (flow + 1) % bench->flows;
    }
    usleep(SETTLE_US);
    double received = (double)(bench->received - before);
    return (struct rung){.sent = (double)sent / passed,
                         .received = received / passed,
                         .loss = sent ? 1 - received / (double)sent : 1};
}

struct found {
    double rung, best, most; // datagrams a second: offered and received at the best rung, and the
                             // most that was received
};

// True when the rung was carried.
static bool try_rung(struct bench *bench, double rate, struct found *found, bool *sender_able)
{
    struct rung rung = climb(bench, rate);
    printf("offered %.0f sent %.0f received %.0f loss %.2f %%\n", rate, rung.sent, rung.received,
           rung.loss * 100);
    bool carried = rung.loss <= LOSS_MOST;
    *sender_able = rung.sent >= rate * 0.8;
    if (rung.received > found->most) found->most = rung.received;
    if (!carried || rung.received <= found->best) return carried;
    found->best = rung.received;
    found->rung = rate;
    return true;
}

// A ladder with wide rungs, then the place between the best rung and the one above it.
static void ladder(struct bench *bench)
{
    struct found found = {0};
    bool able;
    unsigned failures = 0;
    for (double rate = RATE_FIRST; rate < RATE_LAST && failures < FAILURES; rate *= STEP) {
        bool carried = try_rung(bench, rate, &found, &able);
        // Also when the sender itself cannot go on, there is nothing more to learn.
        failures = !carried || !able ? failures + 1 : 0;
    }
    double low = found.rung, high = found.rung * STEP;
    for (unsigned i = 0; low > 0 && i < HALVINGS; i++) {
        double middle = (low + high) / 2;
        *(try_rung(bench, middle, &found, &able) ? &low : &high) = middle;
    }
    printf("best %.0f most %.0f\n", found.best, found.most);
}

static uint16_t number(int count, char **words, int place, uint16_t otherwise, unsigned most)
{
    if (place >= count) return otherwise;
    char *end;
    unsigned long value = strtoul(words[place], &end, 10);
    if (!*words[place] || *end || value == 0 || value > most) {
        fprintf(stderr, "%s: a number from 1 to %u is wanted\n", words[place], most);
        exit(2);
    }
    return (uint16_t)value;
}

int main(int count, char **words)
{
    static struct bench bench;
    pthread_t receiver;
    if (count < 5) {
        fprintf(stderr,
                "usage: %s FROM-NAMESPACE FROM-ADDRESS TO-NAMESPACE TO-ADDRESS "
                "[SIZE [SEGMENTS [FLOWS]]]\n",
                words[0]);
        return 2;
    }
    bench.size = number(count, words, 5, 64, 1400);
    bench.segments =
        number(count, words, 6, 1, 60000u / bench.size > 64 ? 64 : 60000u / bench.size);
    bench.flows = number(count, words, 7, 1, FLOWS_MAX);
    namespace_enter(words[3]);
    receiver_open(&bench, words[4]);
    namespace_enter(words[1]);
    senders_open(&bench, words[2], words[4]);
    if (pthread_create(&receiver, NULL, receive, &bench)) fail("pthread_create");
    for (unsigned i = 0; i < bench.flows; i++) send_some(&bench, bench.senders[i], 1);
    usleep(SETTLE_US);
    ladder(&bench);
    bench.stop = true;
    pthread_join(receiver, NULL);
    return 0;
}
