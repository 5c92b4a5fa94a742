// SPDX-License-Identifier: Apache-2.0
// Connections whose ends prove themselves in rounds, one letter each: p is a secret, c a signature,
// k a raw key's, e EAP, 0 nothing.
#pragma once
#include "pair.h"

static inline uint8_t round_class(char kind)
{
    switch (kind) {
    case 'p':
        return AUTH_CLASS_PSK;
    case 'e':
        return AUTH_CLASS_EAP;
    case '0':
        return AUTH_CLASS_NULL;
    default:
        return AUTH_CLASS_PUBKEY;
    }
}

static inline void rounds_set(struct conn *conn, struct auth_conf *rounds, uint8_t *count,
                              const char *kinds, const char *name)
{
    *count = 0;
    for (const char *kind = kinds; *kind; kind++, ++*count) {
        struct auth_conf *round = &rounds[*count];
        char text[64];
        *round = (struct auth_conf){.name = "round", .auth = round_class(*kind)};
        snprintf(text, sizeof text, "%s%u.example", name, *count + 1u);
        if (*kind != '0') assert_int_equal(identity_parse(text, &conn->arena, &round->id), OK);
        if (*kind != 'k') continue;
        round->pubkeys[0].der = bytes_of_text("a key in DER");
        round->pubkey_count = 1;
    }
}

static inline struct conn *conn_of_rounds(const struct host *local, const struct host *remote,
                                          struct conf_text text, const char *ours,
                                          const char *theirs)
{
    bool is_a = local == &local->pair->a;
    text.local_ts[0] = is_a ? "10.1.0.0/16" : "10.2.0.0/16";
    text.remote_ts[0] = is_a ? "10.2.0.0/16" : "10.1.0.0/16";
    struct conn *conn = conn_make(local, remote, &text);
    rounds_set(conn, conn->local, &conn->local_rounds, ours, is_a ? "a" : "b");
    rounds_set(conn, conn->remote, &conn->remote_rounds, theirs, is_a ? "b" : "a");
    return conn;
}

static inline void go(struct pair *p)
{
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(2));
}
