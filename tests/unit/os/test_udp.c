// SPDX-License-Identifier: Apache-2.0
// UDP sockets: who gets what, from and to which address, and who has the port.
#include "namespace.h"
#include "os/sockaddr.h"
#include "os/udp.h"

enum { MARK = 0x43590000, PORT = 500, PORT_NAT = 4500, WORKERS = 3 };

static const struct family {
    enum addr_family family;
    const char *loopback;
} families[] = {{ADDR_V4, "127.0.0.1"}, {ADDR_V6, "::1"}};

static struct endpoint endpoint_of(const char *text, uint16_t port)
{
    struct endpoint endpoint = {.port = port};
    CHECK_FAULT(addr_parse(text, &endpoint.addr), OK);
    return endpoint;
}

static struct udp_ports ports_open(enum addr_family family)
{
    struct udp_ports ports;
    const char *text;
    CHECK_FAULT(udp_open(family, PORT, PORT_NAT, WORKERS, MARK, &ports, &text), OK);
    return ports;
}

static void ports_close(const struct udp_ports *ports)
{
    close(ports->ike);
    close(ports->ike_nat);
    for (unsigned i = 0; i < WORKERS; i++) close(ports->esp[i]);
}

static int client_open(const struct family *family, uint16_t port)
{
    union sockaddr_any to;
    struct endpoint endpoint = endpoint_of(family->loopback, port);
    int fd = socket(family->family == ADDR_V6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &to.any, sockaddr_of(&endpoint, &to)), 0);
    return fd;
}

static bool arrives(int fd, struct bytes expected)
{
    uint8_t space[2048];
    struct datagram datagram;
    if (!udp_receive(fd, PORT_NAT, space, sizeof space, &datagram)) return false;
    check_bytes(bytes_of(space, datagram.size), expected);
    assert_int_equal(datagram.local.port, PORT_NAT);
    return true;
}

// RFC 3948 2.2 test
static void the_first_four_bytes_choose_the_reader(void **state)
{
    (void)state;
    enum { IKE = -1 };
    static const struct {
        const char *bytes;
        size_t size;
        int reader;
    } rows[] = {
        {"\0\0\0\0IKE", 7, IKE},
        {"\0\0\0\0", 4, IKE},
        {"\xff", 1, 0},   // a keepalive
        {"\0\0\0", 3, 0}, // too short for a marker
        {"\0\0\0\x03"
         "ESP",
         7, 0},
        {"\0\0\0\x01"
         "ESP",
         7, 1},
        {"\0\0\0\x02"
         "ESP",
         7, 2},
        {"\xff\xff\xff\xff"
         "ESP",
         7, (int)(0xffffffffu % WORKERS)},
        {"\x80\0\0\0"
         "ESP",
         7, (int)(0x80000000u % WORKERS)},
    };
    NEEDS_NAMESPACE();
    for (size_t f = 0; f < COUNT(families); f++) {
        struct udp_ports ports = ports_open(families[f].family);
        // Many senders: the usual choice of the kernel, a hash over the addresses, would not follow
        // the table.
        for (unsigned sender = 0; sender < 8; sender++) {
            int client = client_open(&families[f], PORT_NAT);
            for (size_t i = 0; i < COUNT(rows); i++) {
                struct bytes out = bytes_of(rows[i].bytes, rows[i].size);
                assert_int_equal(send(client, out.at, out.size, 0), out.size);
                assert_int_equal(arrives(ports.ike_nat, out), rows[i].reader == IKE);
                for (int worker = 0; worker < WORKERS; worker++)
                    assert_int_equal(arrives(ports.esp[worker], out), rows[i].reader == worker);
            }
            close(client);
        }
        ports_close(&ports);
    }
}

// Four datagrams of eight bytes, numbered, and a shorter one, in one message as the kernel joins what
// a network card brings.
static void run_send(const struct family *family, const char *first)
{
    union sockaddr_any to;
    struct endpoint endpoint = endpoint_of(family->loopback, PORT_NAT);
    uint8_t space[4 * 8 + 5];
    for (unsigned i = 0; i < sizeof space; i++) space[i] = (uint8_t)(i % 8 == 7 ? i / 8 : 1);
    memcpy(space, first, 4);
    struct iovec vector = {.iov_base = space, .iov_len = sizeof space};
    struct msghdr head = {.msg_name = &to, .msg_iov = &vector, .msg_iovlen = 1};
    head.msg_namelen = sockaddr_of(&endpoint, &to);
    union pktinfo_control control;
    struct addr any = addr_any(family->family);
    int fd = client_open(family, PORT_NAT);
    control_write(&head, &control, &any, 0);
    control_write_segment(&head, &control, 8);
    assert_int_equal(sendmsg(fd, &head, 0), sizeof space);
    close(fd);
}

static void joined_datagrams_come_as_one_only_to_who_asked(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    for (size_t f = 0; f < COUNT(families); f++) {
        struct udp_ports ports = ports_open(families[f].family);
        uint8_t space[128];
        union sockaddr_any from;
        union pktinfo_control control;
        struct iovec vector = {.iov_base = space, .iov_len = sizeof space};
        struct msghdr head = {.msg_name = &from,
                              .msg_namelen = sizeof from,
                              .msg_iov = &vector,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof control};
        run_send(&families[f], "\0\0\0\x03");
        assert_int_equal(recvmsg(ports.esp[0], &head, 0), 4 * 8 + 5);
        assert_int_equal(control_read_segment(&head), 8);
        struct addr local;
        uint8_t tos;
        control_read(&head, &local, &tos);
        assert_int_equal(local.family, families[f].family);
        struct datagram datagram;
        run_send(&families[f], "\0\0\0\0");
        for (unsigned i = 0; i < 5; i++) {
            assert_true(udp_receive(ports.ike_nat, PORT_NAT, space, sizeof space, &datagram));
            assert_int_equal(datagram.size, i < 4 ? 8 : 5);
            if (i < 4) assert_int_equal(space[7], i);
        }
        assert_false(udp_receive(ports.ike_nat, PORT_NAT, space, sizeof space, &datagram));
        ports_close(&ports);
    }
}

static void a_datagram_tells_where_it_came_to_and_answers_go_from_there(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    struct udp_ports ports = ports_open(ADDR_V4);
    struct endpoint from = endpoint_of("127.0.0.7", PORT), to = endpoint_of("127.0.0.9", PORT);
    struct datagram datagram;
    uint8_t space[16];
    CHECK_FAULT(udp_send(ports.ike, &from, &to, 0xb8, BYTES("hello")), OK);
    assert_true(udp_receive(ports.ike, PORT, space, sizeof space, &datagram));
    check_bytes(bytes_of(space, datagram.size), BYTES("hello"));
    assert_true(endpoint_equal(&datagram.remote, &from));
    assert_true(endpoint_equal(&datagram.local, &to));
    assert_int_equal(datagram.tos, 0xb8);
    assert_false(udp_receive(ports.ike, PORT, space, sizeof space, &datagram));
    ports_close(&ports);
}

static void a_datagram_larger_than_the_room_is_dropped(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    struct udp_ports ports = ports_open(ADDR_V4);
    struct endpoint here = endpoint_of("127.0.0.1", PORT);
    struct datagram datagram;
    uint8_t space[4];
    CHECK_FAULT(udp_send(ports.ike, &here, &here, 0, BYTES("large")), OK);
    CHECK_FAULT(udp_send(ports.ike, &here, &here, 0, BYTES("fits")), OK);
    assert_true(udp_receive(ports.ike, PORT, space, sizeof space, &datagram));
    check_bytes(bytes_of(space, datagram.size), BYTES("fits"));
    ports_close(&ports);
}

static void no_route_and_too_large_are_faults_of_their_own(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    static uint8_t large[65535];
    struct udp_ports ports = ports_open(ADDR_V4);
    struct endpoint none = {0}, far = endpoint_of("192.0.2.1", PORT),
                    near = endpoint_of("127.0.0.1", PORT);
    CHECK_FAULT(udp_send(ports.ike, &none, &far, 0, BYTES("x")), FAULT_NO_ROUTE);
    CHECK_FAULT(udp_send(ports.ike, &none, &near, 0, BYTES_ARRAY(large)), FAULT_SEND_TOO_LARGE);
    ports_close(&ports);
}

static void a_port_in_use_is_told_with_its_user(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    char process[32];
    struct udp_ports ports = ports_open(ADDR_V4), other;
    const char *text;
    snprintf(process, sizeof process, "process %ld", (long)getpid());
    CHECK_FAULT(udp_open(ADDR_V4, PORT, PORT_NAT + 1, 1, MARK, &other, &text), FAULT_PORT_IN_USE);
    assert_non_null(strstr(text, "port 500 "));
    assert_non_null(strstr(text, process));
    // The shared port, too: a second daemon must not become one more reader of it.
    CHECK_FAULT(udp_open(ADDR_V4, PORT + 1, PORT_NAT, 1, MARK, &other, &text), FAULT_PORT_IN_USE);
    assert_non_null(strstr(text, "port 4500 "));
    assert_int_equal(other.ike, -1);
    assert_int_equal(other.ike_nat, -1);
    ports_close(&ports);
}

static void the_families_do_not_disturb_each_other(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    struct udp_ports v4 = ports_open(ADDR_V4), v6 = ports_open(ADDR_V6);
    ports_close(&v4);
    ports_close(&v6);
}

static void the_source_is_the_kernels_choice(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    struct addr source, near = endpoint_of("127.0.0.5", 0).addr, near6 = endpoint_of("::1", 0).addr,
                        far = endpoint_of("192.0.2.1", 0).addr;
    CHECK_FAULT(udp_source(&near, MARK, &source), OK);
    assert_true(
        range_has(&(struct range){addr_v4(127, 0, 0, 1), addr_v4(127, 255, 255, 255)}, &source));
    CHECK_FAULT(udp_source(&near6, MARK, &source), OK);
    assert_true(addr_equal(&source, &near6));
    CHECK_FAULT(udp_source(&far, MARK, &source), FAULT_NO_ROUTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_four_bytes_choose_the_reader),
        cmocka_unit_test(joined_datagrams_come_as_one_only_to_who_asked),
        cmocka_unit_test(a_datagram_tells_where_it_came_to_and_answers_go_from_there),
        cmocka_unit_test(a_datagram_larger_than_the_room_is_dropped),
        cmocka_unit_test(no_route_and_too_large_are_faults_of_their_own),
        cmocka_unit_test(a_port_in_use_is_told_with_its_user),
        cmocka_unit_test(the_families_do_not_disturb_each_other),
        cmocka_unit_test(the_source_is_the_kernels_choice),
    };
    return cmocka_run_group_tests(tests, namespace_make, NULL);
}
