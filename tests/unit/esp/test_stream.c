// SPDX-License-Identifier: Apache-2.0
// Messages in a stream, however the stream is cut.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "esp/stream.h"

struct heard {
    char text[400];
    enum stream_result last;
};

static void take_all(struct stream_reader *reader, struct heard *heard)
{
    struct bytes message;
    while ((heard->last = stream_next(reader, &message)) == STREAM_MESSAGE) {
        strncat(heard->text, (const char *)message.at, message.size);
        strcat(heard->text, "|");
    }
}

// The stream comes `piece` bytes at a time.
static struct heard hear(bool awaits_prefix, const void *stream, size_t size, size_t piece)
{
    struct stream_reader reader = {.awaits_prefix = awaits_prefix};
    struct heard heard = {.last = STREAM_MORE};
    for (size_t at = 0; at < size && heard.last == STREAM_MORE; at += piece) {
        struct stream_space space = stream_space(&reader);
        size_t part = size - at < piece ? size - at : piece;
        assert_true(space.size >= part);
        memcpy(space.at, (const uint8_t *)stream + at, part);
        stream_came(&reader, part);
        take_all(&reader, &heard);
    }
    stream_reader_free(&reader);
    return heard;
}

// RFC 9329 3, 4, 6.6 test
static void messages_come_out_however_the_stream_is_cut(void **state)
{
    (void)state;
    static const char stream[] = "IKETCP\0\5one\0\2\0\3\xff\0\5two\0\7three";
    for (size_t piece = 1; piece <= sizeof stream - 1; piece++) {
        struct heard heard = hear(true, stream, sizeof stream - 1, piece);
        assert_string_equal(heard.text, "one|two|three|");
        assert_int_equal(heard.last, STREAM_MORE);
        heard = hear(false, stream + 6, sizeof stream - 7, piece);
        assert_string_equal(heard.text, "one|two|three|");
    }
}

// RFC 9329 3.1, 4 test
static void what_is_no_such_stream_is_broken(void **state)
{
    (void)state;
    static const struct {
        const char *stream;
        size_t size;
        const char *heard;
    } rows[] = {
        {"GET / HTTP/1.1\r\n", 16, ""}, {"IKETCQ", 6, ""},     {"I\0", 2, ""},
        {"IKETCP\0\0", 8, ""},          {"IKETCP\0\1", 8, ""}, {"IKETCP\0\5one\0\1", 13, "one|"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t piece = 1; piece <= rows[i].size; piece++) {
            struct heard heard = hear(true, rows[i].stream, rows[i].size, piece);
            assert_int_equal(heard.last, STREAM_BROKEN);
            assert_string_equal(heard.text, rows[i].heard);
        }
    }
}

static void the_longest_message_fits(void **state)
{
    (void)state;
    uint8_t *stream = calloc(2, STREAM_ROOM);
    for (unsigned i = 0; i < 2; i++) stream[i * STREAM_ROOM] = stream[i * STREAM_ROOM + 1] = 0xff;
    struct stream_reader reader = {0};
    size_t at = 0, messages = 0;
    while (at < (size_t)2 * STREAM_ROOM) {
        struct stream_space space = stream_space(&reader);
        size_t part =
            2 * (size_t)STREAM_ROOM - at < space.size ? 2 * (size_t)STREAM_ROOM - at : space.size;
        assert_true(part > 0);
        memcpy(space.at, stream + at, part);
        stream_came(&reader, part);
        at += part;
        struct bytes message;
        while (stream_next(&reader, &message) == STREAM_MESSAGE) {
            assert_int_equal(message.size, STREAM_MESSAGE_MAX);
            messages++;
        }
    }
    assert_int_equal(messages, 2);
    stream_reader_free(&reader);
    free(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_out_however_the_stream_is_cut),
        cmocka_unit_test(what_is_no_such_stream_is_broken),
        cmocka_unit_test(the_longest_message_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
