// SPDX-License-Identifier: Apache-2.0
// IKE and ESP in a stream (RFC 9329). The first byte says how many bytes come at a time, the second
// whether a prefix is awaited; the rest is the stream.
//
// Must reach: the prefix, right and wrong, messages that are whole and cut, lengths that cannot be.
// Holds: what comes out is the same however the stream is cut, and is never more than what went in.
#include "esp/stream.h"
#include "fuzz.h"
#include <assert.h>
#include <string.h>

struct heard {
    size_t messages, bytes;
    uint64_t sum; // of the messages' bytes, by their place
    enum stream_result last;
};

static struct heard hear(bool awaits_prefix, const uint8_t *data, size_t size, size_t piece)
{
    struct stream_reader reader = {.awaits_prefix = awaits_prefix};
    struct heard heard = {.last = STREAM_MORE};
    for (size_t at = 0; at < size && heard.last == STREAM_MORE;) {
        struct stream_space space = stream_space(&reader);
        size_t part = size - at < piece ? size - at : piece;
        assert(space.size > 0);
        if (part > space.size) part = space.size;
        memcpy(space.at, data + at, part);
        stream_came(&reader, part);
        at += part;
        struct bytes message;
        while ((heard.last = stream_next(&reader, &message)) == STREAM_MESSAGE) {
            assert(message.size > 0 && message.size <= STREAM_MESSAGE_MAX);
            heard.messages++;
            for (size_t i = 0; i < message.size; i++) heard.sum = heard.sum * 31 + message.at[i];
            heard.bytes += message.size;
        }
    }
    stream_reader_free(&reader);
    return heard;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    bool awaits_prefix = data[1] & 1;
    struct heard whole = hear(awaits_prefix, data + 2, size - 2, SIZE_MAX);
    struct heard cut = hear(awaits_prefix, data + 2, size - 2, data[0] ? data[0] : 1);
    assert(whole.bytes + STREAM_HEAD * whole.messages <= size - 2);
    assert(whole.last == cut.last && whole.messages == cut.messages && whole.sum == cut.sum);
    return 0;
}
