// SPDX-License-Identifier: Apache-2.0
#include "conf.h"
#include "conf/message.h"

// One of each: a value, a list with two items, a section within a section.
static const uint8_t sample[] =
    "\x03\x04"                          "key1"      "\x00\x06"      "value1"
    "\x01\x08"                          "section1"
    "\x01\x0b"                          "sub-section"
    "\x03\x04"                          "key2"      "\x00\x06"      "value2"
    "\x02"
    "\x04\x05"                          "list1"
    "\x05\x00\x05"                      "item1"
    "\x05\x00\x05"                      "item2"
    "\x06"
    "\x02";
enum { SAMPLE_SIZE = sizeof sample - 1 };
static const char sample_text[] = "key1=value1;section1{sub-section{key2=value2;}list1[item1,item2]}";

static void check_reads(struct bytes in, const char *text)
{
    struct arena arena = {0};
    struct buf out = BUF(10000);
    struct tree *root = NULL;
    CHECK_FAULT(message_read(in, &arena, &root), OK);
    tree_dump(root, &out);
    assert_string_equal(buf_text(&out), text);
    buf_free(&out);
    arena_free(&arena);
}

// What can be read is written as the same bytes.
static bool writes_back(struct bytes in)
{
    struct arena arena = {0};
    struct tree *root = NULL;
    enum fault fault = message_read(in, &arena, &root);
    if (!fault) {
        uint8_t *space = mem_new(in.size + 1);
        struct wr out = wr_over(space, in.size);
        message_write(&out, root);
        assert_false(out.failed);
        check_bytes(wr_done(&out), in);
        free(space);
    }
    arena_free(&arena);
    return !fault;
}

static void elements_are_read_and_written_alike(void **state)
{
    (void)state;
    check_reads(bytes_of(sample, SAMPLE_SIZE), sample_text);
    assert_true(writes_back(bytes_of(sample, SAMPLE_SIZE)));
    check_reads(BYTES_NONE, "");
    assert_true(writes_back(BYTES("\x03\x00\x00\x00")));   // an empty name and an empty value
}

// Only where a message happens to be whole a shorter one is good: in front of the outermost elements.
static void every_truncation_is_refused_or_whole(void **state)
{
    (void)state;
    for (size_t size = 0; size < SAMPLE_SIZE; size++) {
        uint8_t *copy = mem_new(size);
        if (size) memcpy(copy, sample, size);
        assert_int_equal(writes_back(bytes_of(copy, size)), size == 0 || size == 14);
        free(copy);
    }
}

static void every_changed_byte_is_refused_or_read_back(void **state)
{
    (void)state;
    uint8_t copy[SAMPLE_SIZE];
    for (size_t at = 0; at < SAMPLE_SIZE; at++) {
        for (unsigned value = 0; value < 256; value++) {
            memcpy(copy, sample, SAMPLE_SIZE);
            copy[at] = (uint8_t)value;
            (void)writes_back(bytes_of(copy, SAMPLE_SIZE));
        }
    }
}

static const struct {
    const char *name;
    struct bytes in;
    enum fault fault;
} refused[] = {
    {"an element that does not exist", {(const uint8_t *)"\x07", 1}, FAULT_VICI_SYNTAX},
    {"element 0", {(const uint8_t *)"\x00", 1}, FAULT_VICI_SYNTAX},
    {"an end without a beginning", {(const uint8_t *)"\x02", 1}, FAULT_VICI_SYNTAX},
    {"an item outside a list", {(const uint8_t *)"\x05\x00\x01x", 4}, FAULT_VICI_SYNTAX},
    {"a list that ends at the top", {(const uint8_t *)"\x06", 1}, FAULT_VICI_SYNTAX},
    {"a section in a list", {(const uint8_t *)"\x04\x01l\x01\x01s\x02\x06", 8}, FAULT_VICI_SYNTAX},
    {"a list that ends a section", {(const uint8_t *)"\x01\x01s\x06", 4}, FAULT_VICI_SYNTAX},
    {"a section without its end", {(const uint8_t *)"\x01\x01s", 3}, FAULT_TRUNCATED},
    {"a list without its end", {(const uint8_t *)"\x04\x01l", 3}, FAULT_TRUNCATED},
    {"a NUL in a name", {(const uint8_t *)"\x03\x03" "a\0b\x00\x00", 7}, FAULT_VICI_SYNTAX},
    {"a value longer than the message", {(const uint8_t *)"\x03\x01" "a\xff\xff" "b", 6}, FAULT_TRUNCATED},
};

static void what_is_not_a_message_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct arena arena = {0};
        struct tree *root;
        enum fault fault = message_read(refused[i].in, &arena, &root);
        if (fault != refused[i].fault) print_message("%s\n", refused[i].name);
        CHECK_FAULT(fault, refused[i].fault);
        arena_free(&arena);
    }
}

static enum fault nested_read(size_t depth)
{
    struct arena arena = {0};
    struct buf in = BUF(10000);
    struct tree *root;
    for (size_t i = 0; i < depth; i++) buf_add(&in, BYTES("\x01\x01s"));
    for (size_t i = 0; i < depth; i++) buf_add(&in, BYTES("\x02"));
    enum fault fault = message_read(buf_bytes(&in), &arena, &root);
    arena_free(&arena);
    buf_free(&in);
    return fault;
}

static void depth_and_size_are_limited(void **state)
{
    (void)state;
    CHECK_FAULT(nested_read(TREE_DEPTH_MAX), OK);
    CHECK_FAULT(nested_read(TREE_DEPTH_MAX + 1), FAULT_VICI_LIMIT);
    CHECK_FAULT(nested_read(2000), FAULT_VICI_LIMIT);

    struct arena arena = {0};
    struct tree *root;
    uint8_t *large = mem_new(VICI_MESSAGE_MAX + 1);
    CHECK_FAULT(message_read(bytes_of(large, VICI_MESSAGE_MAX + 1), &arena, &root), FAULT_VICI_LIMIT);
    free(large);
    arena_free(&arena);
}

static void names_and_values_that_do_not_fit_are_not_written(void **state)
{
    (void)state;
    struct arena arena = {0};
    char name[257] = {0};
    memset(name, 'n', 256);
    uint8_t *space = mem_new(200000), *value = mem_new(65536);
    struct tree *root = tree_new(&arena);
    tree_add_text(&arena, root, name, "x");
    struct wr out = wr_over(space, 200000);
    message_write(&out, root);
    CHECK_FAULT(wr_end(&out), FAULT_NO_ROOM);

    root = tree_new(&arena);
    tree_add_value(&arena, root, "a", bytes_of(value, 65535));
    out = wr_over(space, 200000);
    message_write(&out, root);
    CHECK_FAULT(wr_end(&out), OK);
    tree_add_value(&arena, root, "a", bytes_of(value, 65536));
    out = wr_over(space, 200000);
    message_write(&out, root);
    CHECK_FAULT(wr_end(&out), FAULT_NO_ROOM);
    free(space);
    free(value);
    arena_free(&arena);
}

static const struct {
    struct bytes in;
    enum fault fault;
    const char *name;
    size_t message;
} packets[] = {
    {{(const uint8_t *)"\x00\x07version", 9}, OK, "version", 0},
    {{(const uint8_t *)"\x00\x01v\x03\x01" "a\x00\x00", 8}, OK, "v", 5},
    {{(const uint8_t *)"\x01\x03\x01" "a\x00\x00", 6}, OK, NULL, 5},
    {{(const uint8_t *)"\x01", 1}, OK, NULL, 0},
    {{(const uint8_t *)"\x02", 1}, OK, NULL, 0},
    {{(const uint8_t *)"\x02x", 2}, FAULT_TRAILING_BYTES, NULL, 0},
    {{(const uint8_t *)"\x03\x03log", 5}, OK, "log", 0},
    {{(const uint8_t *)"\x03\x03logx", 6}, FAULT_TRAILING_BYTES, NULL, 0},
    {{(const uint8_t *)"\x04\x03log", 5}, OK, "log", 0},
    {{(const uint8_t *)"\x05", 1}, OK, NULL, 0},
    {{(const uint8_t *)"\x06", 1}, OK, NULL, 0},
    {{(const uint8_t *)"\x07\x03log\x03\x01" "a\x00\x00", 10}, OK, "log", 5},
    {{(const uint8_t *)"\x08", 1}, FAULT_VICI_SYNTAX, NULL, 0},
    {{(const uint8_t *)"\x00\x05log", 5}, FAULT_TRUNCATED, NULL, 0},
    {{(const uint8_t *)"\x00\x03l\0g", 5}, FAULT_VICI_SYNTAX, NULL, 0},
    {{(const uint8_t *)"", 0}, FAULT_TRUNCATED, NULL, 0},
};

static void packets_have_the_parts_of_their_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(packets); i++) {
        struct arena arena = {0};
        uint8_t type;
        const char *name;
        struct bytes message;
        enum fault fault = packet_read(packets[i].in, &arena, &type, &name, &message);
        CHECK_FAULT(fault, packets[i].fault);
        if (!fault) {
            assert_int_equal(type, packets[i].in.at[0]);
            assert_int_equal(message.size, packets[i].message);
            assert_int_equal(name == NULL, packets[i].name == NULL);
            if (name) assert_string_equal(name, packets[i].name);
        }
        arena_free(&arena);
    }
}

static void packets_are_written_as_they_are_read(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (size_t i = 0; i < COUNT(packets); i++) {
        uint8_t type, space[64];
        const char *name;
        struct bytes message;
        struct tree *root;
        if (packet_read(packets[i].in, &arena, &type, &name, &message)) continue;
        CHECK_FAULT(message_read(message, &arena, &root), OK);
        struct wr out = wr_over(space, sizeof space);
        packet_write(&out, type, name, root);
        check_bytes(wr_done(&out), packets[i].in);
    }
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_read_and_written_alike),
        cmocka_unit_test(every_truncation_is_refused_or_whole),
        cmocka_unit_test(every_changed_byte_is_refused_or_read_back),
        cmocka_unit_test(what_is_not_a_message_is_refused),
        cmocka_unit_test(depth_and_size_are_limited),
        cmocka_unit_test(names_and_values_that_do_not_fit_are_not_written),
        cmocka_unit_test(packets_have_the_parts_of_their_type),
        cmocka_unit_test(packets_are_written_as_they_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
