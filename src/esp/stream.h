// SPDX-License-Identifier: Apache-2.0
// IKE and ESP in a stream (RFC 9329 3, 4): each message has its length in two bytes before it, and
// whoever opened the connection says IKETCP first. A message that begins with four zero bytes is
// IKE, any other ESP.
//
//     "IKETCP" | length | non-ESP marker | IKE | length | ESP | length | ESP …
#pragma once
#include "base/bytes.h"
#include "base/mem.h"

enum {
    STREAM_PREFIX_SIZE = 6,
    STREAM_HEAD = 2, // the length before a message; it counts itself
    STREAM_MESSAGE_MAX = 65533,
    STREAM_ROOM = STREAM_MESSAGE_MAX + STREAM_HEAD,
};
extern const uint8_t stream_prefix[STREAM_PREFIX_SIZE];

struct stream_reader {
    uint8_t *space;    // owned; STREAM_ROOM bytes, made when the first ones come
    size_t begin, end; // what came and was not taken yet
    bool awaits_prefix;
};

enum stream_result {
    STREAM_MESSAGE = 1,
    STREAM_MORE,   // is needed
    STREAM_BROKEN, // another protocol, or lengths that cannot be: the connection is to be closed
};

void stream_reader_free(struct stream_reader *reader);
// Where the next bytes of the connection go; never empty when stream_next() said STREAM_MORE.
struct stream_space {
    uint8_t *at;
    size_t size;
} stream_space(struct stream_reader *reader);
void stream_came(struct stream_reader *reader, size_t size);
// The next message, valid until stream_space() is called. Empty messages and keepalives are left
// out.
enum stream_result stream_next(struct stream_reader *reader, struct bytes *message);
