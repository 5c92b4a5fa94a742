// SPDX-License-Identifier: Apache-2.0
// VICI packets as clients send them, and the connections in them. The input is a packet without its length.
//
// Must reach: every branch of src/conf/message.c that reads, and of compile.c that takes lists. Holds against every input:
// what is read is written as the same bytes; a connection is made or something is said.
#include "conf/message.h"
#include "conf/options.h"
#include "fuzz.h"
#include <stdio.h>

static void demand(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "fuzz_vici: %s\n", what);
    abort();
}

static void check_conn(const struct tree *section)
{
    struct complaints complaints = {0};
    struct conn *conn = options_conn(section, &complaints);
    demand((conn == NULL) == (complaints.errors > 0), "a connection is refused without a word, or made in spite of one");
    if (conn) {
        demand(conn->local_rounds && conn->remote_rounds && conn->ike.count, "a connection lacks what it needs");
        for (uint32_t i = 0; i < conn->child_count; i++)
            demand(conn->children[i].esp.count + conn->children[i].ah.count && conn->children[i].local_ts.count, "a child is empty");
        conn_release(conn);
    }
    complaints_free(&complaints);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct bytes in = bytes_of(data, size), message;
    uint8_t type;
    const char *name;
    struct tree *root = NULL;
    if (packet_read(in, &arena, &type, &name, &message) == OK && message_read(message, &arena, &root) == OK) {
        uint8_t *space = mem_new(size);
        struct wr out = wr_over(space, size);
        packet_write(&out, type, name, root);
        demand(!out.failed && bytes_equal(wr_done(&out), in), "what is read is written as something else");
        free(space);
        if (root->first) check_conn(root->first);
    }
    arena_free(&arena);
    return 0;
}
