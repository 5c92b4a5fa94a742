// SPDX-License-Identifier: Apache-2.0
#include "esp/stream.h"
#include <assert.h>
#include <string.h>

const uint8_t stream_prefix[STREAM_PREFIX_SIZE] = {'I', 'K', 'E', 'T', 'C', 'P'};

void stream_reader_free(struct stream_reader *reader)
{
    free(reader->space);
    *reader = (struct stream_reader){0};
}

struct stream_space stream_space(struct stream_reader *reader)
{
    if (!reader->space) reader->space = mem_new(STREAM_ROOM);
    memmove(reader->space, reader->space + reader->begin, reader->end - reader->begin);
    reader->end -= reader->begin;
    reader->begin = 0;
    return (struct stream_space){reader->space + reader->end, STREAM_ROOM - reader->end};
}

void stream_came(struct stream_reader *reader, size_t size)
{
    assert(size <= STREAM_ROOM - reader->end);
    reader->end += size;
}

// RFC 9329 6.1: nothing is looked at before the whole prefix is there; what cannot become one is
// seen at once.
static enum stream_result prefix_take(struct stream_reader *reader)
{
    size_t there = reader->end - reader->begin;
    size_t size = there < STREAM_PREFIX_SIZE ? there : STREAM_PREFIX_SIZE;
    if (memcmp(reader->space + reader->begin, stream_prefix, size) != 0) return STREAM_BROKEN;
    if (there < STREAM_PREFIX_SIZE) return STREAM_MORE;
    reader->begin += STREAM_PREFIX_SIZE;
    reader->awaits_prefix = false;
    return STREAM_MESSAGE;
}

enum stream_result stream_next(struct stream_reader *reader, struct bytes *message)
{
    if (reader->end == reader->begin) return STREAM_MORE;
    enum stream_result prefix = reader->awaits_prefix ? prefix_take(reader) : STREAM_MESSAGE;
    if (prefix != STREAM_MESSAGE) return prefix;
    while (reader->end - reader->begin >= STREAM_HEAD) {
        const uint8_t *at = reader->space + reader->begin;
        size_t size = (size_t)(at[0] << 8 | at[1]);
        // RFC 9329 3.1, 3.2: 0 and 1 are fatal errors.
        if (size < STREAM_HEAD) return STREAM_BROKEN;
        if (reader->end - reader->begin < size) return STREAM_MORE;
        reader->begin += size;
        *message = bytes_of(at + STREAM_HEAD, size - STREAM_HEAD);
        // RFC 9329 3, 6.6: empty messages and keepalives are dropped without a word.
        bool keepalive = message->size == 1 && message->at[0] == 0xff;
        if (message->size && !keepalive) return STREAM_MESSAGE;
    }
    return STREAM_MORE;
}
