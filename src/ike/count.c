// SPDX-License-Identifier: Apache-2.0
// What is counted, for the whole host and for each connection by name.
#include "ike/internal.h"

const char *const ike_counter_names[IKE_COUNTERS] = {
    [COUNT_IKE_REKEY_INIT] = "ike-rekey-init",
    [COUNT_IKE_REKEY_RESP] = "ike-rekey-resp",
    [COUNT_CHILD_REKEY] = "child-rekey",
    [COUNT_INVALID] = "invalid",
    [COUNT_INVALID_SPI] = "invalid-spi",
// clang-format off
#define OF_EXCHANGE(name, first)                                                                   \
    [first + COUNT_IN_REQUEST] = name "-in-req", [first + COUNT_IN_RESPONSE] = name "-in-resp",    \
    [first + COUNT_OUT_REQUEST] = name "-out-req", [first + COUNT_OUT_RESPONSE] = name "-out-resp"
    OF_EXCHANGE("ike-init", COUNT_IKE_SA_INIT),
    OF_EXCHANGE("ike-auth", COUNT_IKE_AUTH),
    OF_EXCHANGE("create-child", COUNT_CREATE_CHILD_SA),
    OF_EXCHANGE("info", COUNT_INFORMATIONAL),
#undef OF_EXCHANGE
    // clang-format on
};

void count(struct ike *ike, const struct sa *sa, unsigned counter)
{
    ike->stats.counters[counter]++;
    struct loaded *loaded = sa && sa->conn ? loaded_find(ike, sa->conn->name) : NULL;
    if (loaded) loaded->counters[counter]++;
}

void count_message(struct ike *ike, const struct sa *sa, uint8_t exchange,
                   enum ike_counted_message which)
{
    unsigned place = (unsigned)exchange - EXCHANGE_IKE_SA_INIT;
    if (place < IKE_COUNTED_EXCHANGES) count(ike, sa, COUNT_IKE_SA_INIT + 4 * place + which);
}

const uint64_t *ike_counters(const struct ike *ike, const char *conn)
{
    if (!conn) return ike->stats.counters;
    const struct loaded *loaded = loaded_find(ike, conn);
    return loaded ? loaded->counters : NULL;
}

void ike_counters_reset(struct ike *ike, const char *conn)
{
    struct loaded *only = conn ? loaded_find(ike, conn) : NULL;
    if (!conn) memset(ike->stats.counters, 0, sizeof ike->stats.counters);
    LIST_EACH (struct loaded, link, loaded, &ike->loaded)
        if (!conn || loaded == only) memset(loaded->counters, 0, sizeof loaded->counters);
}

const char *ike_conn_after(const struct ike *ike, const char *name)
{
    const struct loaded *at = name ? loaded_find(ike, name) : NULL;
    if (name && !at) return NULL;
    struct list *next = at ? at->link.next : ike->loaded.next;
    return next == &ike->loaded ? NULL : LIST_OWNER(struct loaded, link, next)->conn->name;
}
