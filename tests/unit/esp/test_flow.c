// SPDX-License-Identifier: Apache-2.0
// What is read from packets: ports where they are, none where they cannot be seen, and a fault for
// what is no packet.
#include "rig.h"

struct flow_case {
    const char *name, *packet; // hexadecimal
    const char *source, *destination;
    uint8_t protocol;
    bool known;
    uint16_t source_port, destination_port;
};

// clang-format off
#define V4(total, offset, protocol) "4500" total "0001" offset "40" protocol "0000" "0a010005" "0a020009"
#define V6(payload, next) "60000000" payload next "40" "20010db8000100000000000000000005" "20010db8000200000000000000000009"

static const struct flow_case flows[] = {
    {"udp", V4("001c", "0000", "11") "03e807d000080000", "10.1.0.5", "10.2.0.9", 17, true, 1000, 2000},
    {"tcp with only its ports", V4("0018", "4000", "06") "005001bb", "10.1.0.5", "10.2.0.9", 6, true, 80, 443},
    {"udp cut before its ports", V4("0017", "0000", "11") "005001", "10.1.0.5", "10.2.0.9", 17, false, 0, 0},
    {"first fragment", V4("001c", "2000", "11") "03e807d000080000", "10.1.0.5", "10.2.0.9", 17, true, 1000, 2000},
    {"later fragment", V4("001c", "2001", "11") "03e807d000080000", "10.1.0.5", "10.2.0.9", 17, false, 0, 0},
    {"last fragment", V4("001c", "0001", "11") "03e807d000080000", "10.1.0.5", "10.2.0.9", 17, false, 0, 0},
    {"icmp echo", V4("001c", "0000", "01") "0800000000000000", "10.1.0.5", "10.2.0.9", 1, true, 0x800, 0x800},
    {"gre has no ports", V4("001c", "0000", "2f") "0800000000000000", "10.1.0.5", "10.2.0.9", 47, false, 0, 0},
    {"esp hides its ports", V4("001c", "0000", "32") "0800000000000000", "10.1.0.5", "10.2.0.9", 50, false, 0, 0},
    {"ipv4 options are stepped over", "4700002400010000401100000a0100050a020009" "0101010101010101" "03e807d000080000", "10.1.0.5",
     "10.2.0.9", 17, true, 1000, 2000},
    {"udp6", V6("0008", "11") "03e807d000080000", "2001:db8:1::5", "2001:db8:2::9", 17, true, 1000, 2000},
    {"icmp6", V6("0004", "3a") "87000000", "2001:db8:1::5", "2001:db8:2::9", 58, true, 0x8700, 0x8700},
    {"hop by hop, routing, options, then tcp", V6("0024", "00") "2b00000000000000" "3c01000000000000" "0000000000000000"
     "0600000000000000" "00160017", "2001:db8:1::5", "2001:db8:2::9", 6, true, 22, 23},
    {"fragment header, first", V6("000c", "2c") "1100000100000001" "03e807d0", "2001:db8:1::5", "2001:db8:2::9", 17, true, 1000, 2000},
    {"fragment header, later", V6("000c", "2c") "1100000900000001" "03e807d0", "2001:db8:1::5", "2001:db8:2::9", 17, false, 0, 0},
    {"authentication header", V6("001c", "33") "1104000000000001" "00000002" "000000000000000000000000" "03e807d0",
     "2001:db8:1::5", "2001:db8:2::9", 17, true, 1000, 2000},
    {"mobility header", V6("0008", "87") "3b00050000000000", "2001:db8:1::5", "2001:db8:2::9", 135, true, 0x500, 0x500},
    {"extension that goes beyond the end", V6("0008", "3c") "11ff000000000000", "2001:db8:1::5", "2001:db8:2::9", 17, false, 0, 0},
    {"extension that is cut", V6("0004", "3c") "11000000", "2001:db8:1::5", "2001:db8:2::9", 60, false, 0, 0},
    {"no payload at all", V6("0000", "11"), "2001:db8:1::5", "2001:db8:2::9", 17, false, 0, 0},
    {"nine option headers are too many", V6("004c", "3c") "3c00000000000000" "3c00000000000000" "3c00000000000000" "3c00000000000000"
     "3c00000000000000" "3c00000000000000" "3c00000000000000" "3c00000000000000" "1100000000000000" "03e807d0",
     "2001:db8:1::5", "2001:db8:2::9", 60, false, 0, 0},
};
// clang-format on

static size_t unhex(const char *text, uint8_t *out, size_t room)
{
    size_t size = strlen(text) / 2;
    assert_true(size <= room);
    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return size;
}

static void each_packet_shows_its_flow(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(flows); i++) {
        const struct flow_case *want = &flows[i];
        uint8_t packet[512];
        size_t size = unhex(want->packet, packet, sizeof packet);
        struct flow flow;
        enum fault fault = flow_read(bytes_of(packet, size), &flow);
        struct addr source = endpoint_of(want->source, 0).addr,
                    destination = endpoint_of(want->destination, 0).addr;
        bool right = fault == OK && addr_equal(&flow.source, &source) &&
                     addr_equal(&flow.destination, &destination) &&
                     flow.protocol == want->protocol && flow.ports_known == want->known &&
                     flow.source_port == want->source_port &&
                     flow.destination_port == want->destination_port;
        if (!right)
            fail_msg("%s: %s, protocol %u, ports %d %u %u", want->name, fault_name(fault),
                     flow.protocol, flow.ports_known, flow.source_port, flow.destination_port);
    }
}

static void every_truncation_is_a_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(flows); i++) {
        uint8_t packet[512];
        size_t size = unhex(flows[i].packet, packet, sizeof packet);
        for (size_t cut = 0; cut < size; cut++) {
            uint8_t *exact = mem_new(cut ? cut : 1); // a sanitizer sees a read beyond the end
            memcpy(exact, packet, cut);
            struct flow flow;
            CHECK_FAULT(flow_read(bytes_of(exact, cut), &flow), FAULT_INNER_LENGTH);
            free(exact);
        }
    }
}

static void every_changed_byte_is_read_within_bounds(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(flows); i++) {
        uint8_t packet[512];
        size_t size = unhex(flows[i].packet, packet, sizeof packet);
        uint8_t *exact = mem_new(size);
        for (size_t at = 0; at < size; at++)
            for (unsigned value = 0; value < 256; value++) {
                memcpy(exact, packet, size);
                exact[at] = (uint8_t)value;
                uint32_t total = 0;
                struct flow_key key;
                if (flow_key_read(exact, (uint32_t)size, &key, &total) == OK)
                    assert_true(total <= size && total >= 20);
            }
        free(exact);
    }
}

static void what_is_no_ip_is_refused(void **state)
{
    (void)state;
    uint8_t packet[64] = {0};
    struct flow flow;
    for (unsigned version = 0; version < 16; version++) {
        if (version == 4 || version == 6) continue;
        packet[0] = (uint8_t)(version << 4 | 5);
        CHECK_FAULT(flow_read(BYTES_ARRAY(packet), &flow), FAULT_INNER_NOT_IP);
    }
    packet[0] = 0x44; // header of 16 bytes
    packet[3] = 64;
    CHECK_FAULT(flow_read(BYTES_ARRAY(packet), &flow), FAULT_INNER_LENGTH);
    packet[0] = 0x4f; // header of 60 bytes in a packet of 40
    packet[3] = 40;
    CHECK_FAULT(flow_read(BYTES_ARRAY(packet), &flow), FAULT_INNER_LENGTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_packet_shows_its_flow),
        cmocka_unit_test(every_truncation_is_a_fault),
        cmocka_unit_test(every_changed_byte_is_read_within_bounds),
        cmocka_unit_test(what_is_no_ip_is_refused),
    };
    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
