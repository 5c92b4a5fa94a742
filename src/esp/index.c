// SPDX-License-Identifier: Apache-2.0
// Which policy covers a packet, among any number of them: tuple-space search.
//
// Each pair of a policy's selectors is stored under its two prefixes. All entries whose prefixes
// have the same two lengths form a tuple; a look-up masks the packet's addresses to the lengths of
// one tuple after the other and asks one hash table. Configurations have a handful of such pairs of
// lengths however many tunnels they have. Tuples are visited in the order of the best entry that
// they hold, so most look-ups end at the first hit.
#include "esp/internal.h"

enum {
    BUCKETS_MIN = 64,
    PREFIXES_MAX = 8, // a range of more is stored under the one prefix that covers it; entries are
                      // compared exactly
    SERIAL_MASK = (1 << 29) - 1,
    PRIORITY_COMPUTED = 200000, // strongSwan's computed priorities lie around here: smaller ones
                                // that people write win
};

struct tuple {
    uint8_t family, source_bits, destination_bits;
    size_t count;
    uint64_t rank; // no entry's is lower
};

struct wide_addr {
    uint64_t high, low; // IPv4 in the upper half of high
};

static struct wide_addr addr_wide(const struct addr *addr)
{
    return (struct wide_addr){get_u64(addr->at), get_u64(addr->at + 8)};
}

static struct wide_addr wide_mask(struct wide_addr addr, unsigned bits)
{
    uint64_t high = bits == 0 ? 0 : bits >= 64 ? UINT64_MAX : UINT64_MAX << (64 - bits);
    uint64_t low = bits <= 64 ? 0 : bits >= 128 ? UINT64_MAX : UINT64_MAX << (128 - bits);
    return (struct wide_addr){addr.high & high, addr.low & low};
}

static uint64_t index_hash(const struct policy_index *index, const struct tuple *tuple,
                           const uint64_t address[4])
{
    uint64_t lengths =
        (uint64_t)tuple->family << 16 | (uint64_t)tuple->source_bits << 8 | tuple->destination_bits;
    uint64_t hash = mix(lengths ^ index->seed, address[0]);
    hash = mix(hash ^ address[2], index->seed);
    return address[1] | address[3] ? mix(hash ^ address[1], address[3]) : hash;
}

static void index_address(const struct tuple *tuple, struct wide_addr source,
                          struct wide_addr destination, uint64_t address[4])
{
    source = wide_mask(source, tuple->source_bits);
    destination = wide_mask(destination, tuple->destination_bits);
    address[0] = source.high;
    address[1] = source.low;
    address[2] = destination.high;
    address[3] = destination.low;
}

// Ranks -------------------------------------------------------------------------------------------

static unsigned selector_width(const struct selector *selector)
{
    struct wide_addr low = addr_wide(&selector->range.low), high = addr_wide(&selector->range.high);
    unsigned bits = (unsigned)addr_size(&selector->range.low) * 8;
    uint64_t differ = low.high ^ high.high;
    unsigned common = differ               ? (unsigned)__builtin_clzll(differ)
                      : low.low ^ high.low ? 64 + (unsigned)__builtin_clzll(low.low ^ high.low)
                                           : 128;
    return common < bits ? common : bits;
}

static bool selector_has_ports(const struct selector *selector)
{
    return selector->port_low != 0 || selector->port_high != UINT16_MAX;
}

// The narrower one wins: first by addresses, then by protocol, then by ports.
static uint32_t pair_priority(const struct selector *local, const struct selector *remote)
{
    unsigned narrow = (selector_width(local) + selector_width(remote)) * 8;
    narrow += local->protocol || remote->protocol ? 4 : 0;
    narrow += selector_has_ports(local) + selector_has_ports(remote);
    return PRIORITY_COMPUTED - narrow;
}

// Among equals: what passes before what drops before what protects, an SA's own policy before a
// trap, the later before the earlier one, so that a new connection for the same traffic takes over.
static uint64_t pair_rank(const struct policy *policy, const struct selector *local,
                          const struct selector *remote)
{
    static const uint8_t order[] = {
        [POLICY_BYPASS] = 0, [POLICY_DISCARD] = 1, [POLICY_PROTECT] = 2};
    uint32_t priority = policy->priority ? policy->priority : pair_priority(local, remote);
    uint32_t late = ~policy->serial & SERIAL_MASK;
    return (uint64_t)priority << 32 | (uint64_t)order[policy->action] << 30 |
           (uint64_t)(policy->trap == POLICY_TRAP) << 29 | late;
}

// Tuples ------------------------------------------------------------------------------------------

static void tuples_sort(struct policy_index *index, size_t place)
{
    struct tuple **at = index->tuples;
    for (; place > 0 && at[place - 1]->rank > at[place]->rank; place--) {
        struct tuple *tuple = at[place];
        at[place] = at[place - 1];
        at[place - 1] = tuple;
    }
}

static struct tuple *tuple_take(struct policy_index *index, const struct prefix *source,
                                const struct prefix *destination, uint64_t rank)
{
    size_t place = 0;
    for (; place < index->tuple_count; place++) {
        struct tuple *tuple = index->tuples[place];
        if (tuple->family == source->addr.family && tuple->source_bits == source->bits &&
            tuple->destination_bits == destination->bits)
            break;
    }
    if (place == index->tuple_count) {
        index->tuples = mem_grow(index->tuples, ++index->tuple_count, sizeof *index->tuples);
        index->tuples[place] = NEW(struct tuple);
        *index->tuples[place] =
            (struct tuple){source->addr.family, source->bits, destination->bits, 0, rank};
    }
    struct tuple *tuple = index->tuples[place];
    tuple->count++;
    if (rank < tuple->rank) tuple->rank = rank;
    tuples_sort(index, place);
    return tuple;
}

static void tuple_give_back(struct policy_index *index, struct tuple *tuple)
{
    if (--tuple->count) return;
    size_t place = 0;
    while (index->tuples[place] != tuple) place++;
    index->tuple_count--;
    memmove(&index->tuples[place], &index->tuples[place + 1],
            (index->tuple_count - place) * sizeof(struct tuple *));
    free(tuple);
}

// Entries -----------------------------------------------------------------------------------------

static struct index_entry **index_bucket(const struct policy_index *index,
                                         const struct index_entry *entry)
{
    return &index->buckets[index_hash(index, entry->tuple, entry->address) &
                           (index->bucket_count - 1)];
}

static void index_link(struct policy_index *index, struct index_entry *entry)
{
    struct index_entry **at = index_bucket(index, entry);
    while (*at && (*at)->rank <= entry->rank) at = &(*at)->next;
    entry->next = *at;
    *at = entry;
}

static void index_grow(struct policy_index *index)
{
    struct index_entry **old = index->buckets;
    size_t old_count = index->bucket_count;
    index->bucket_count *= 2;
    index->buckets = mem_array(index->bucket_count, sizeof(struct index_entry *));
    for (size_t i = 0; i < old_count; i++) {
        for (struct index_entry *entry = old[i], *next; entry; entry = next) {
            next = entry->next;
            index_link(index, entry);
        }
    }
    free(old);
}

// Any protocol and ports of one prefix: then the place under which it is stored says it all.
static bool selector_is_prefix(const struct selector *selector)
{
    struct prefix whole;
    return !selector->protocol && !selector_has_ports(selector) &&
           range_is_prefix(&selector->range, &whole);
}

static void index_add_pair(struct policy_index *index, struct policy *policy,
                           const struct selector *local, const struct selector *remote,
                           const struct prefix *source, const struct prefix *destination)
{
    if (++index->count > index->bucket_count) index_grow(index);
    struct index_entry *entry = NEW(struct index_entry);
    *entry = (struct index_entry){
        .sibling = policy->entries,
        .policy = policy,
        .local = local,
        .remote = remote,
        .rank = pair_rank(policy, local, remote),
        .exact = selector_is_prefix(local) && selector_is_prefix(remote),
    };
    entry->tuple = tuple_take(index, source, destination, entry->rank);
    index_address(entry->tuple, addr_wide(&source->addr), addr_wide(&destination->addr),
                  entry->address);
    policy->entries = entry;
    index_link(index, entry);
}

static size_t selector_prefixes(const struct selector *selector, struct prefix out[PREFIXES_MAX])
{
    size_t count = range_prefixes(&selector->range, out, PREFIXES_MAX);
    if (count <= PREFIXES_MAX) return count;
    out[0] =
        (struct prefix){.addr = selector->range.low, .bits = (uint8_t)selector_width(selector)};
    return 1;
}

static bool selectors_pair(const struct selector *local, const struct selector *remote)
{
    if (local->range.low.family != remote->range.low.family) return false;
    return !local->protocol || !remote->protocol || local->protocol == remote->protocol;
}

void policy_index_add(struct policy_index *index, struct policy *policy)
{
    const struct traffic *traffic = policy->traffic;
    for (size_t i = 0; i < traffic->local_count; i++) {
        const struct selector *local = &traffic->at[i];
        struct prefix sources[PREFIXES_MAX], destinations[PREFIXES_MAX];
        size_t source_count = selector_prefixes(local, sources);
        for (size_t j = 0; j < traffic->remote_count; j++) {
            const struct selector *remote = &traffic->at[traffic->local_count + j];
            if (!selectors_pair(local, remote)) continue;
            size_t destination_count = selector_prefixes(remote, destinations);
            for (size_t n = 0; n < source_count * destination_count; n++)
                index_add_pair(index, policy, local, remote, &sources[n / destination_count],
                               &destinations[n % destination_count]);
        }
    }
}

void policy_index_remove(struct policy_index *index, struct policy *policy)
{
    for (struct index_entry *entry = policy->entries, *sibling; entry; entry = sibling) {
        sibling = entry->sibling;
        struct index_entry **at = index_bucket(index, entry);
        while (*at != entry) at = &(*at)->next;
        *at = entry->next;
        tuple_give_back(index, entry->tuple);
        index->count--;
        free(entry);
    }
    policy->entries = NULL;
}

// Look-up -----------------------------------------------------------------------------------------

// From this one of a bucket on, the first of that tuple and address.
static const struct index_entry *entry_from(const struct index_entry *entry,
                                            const struct tuple *tuple, const uint64_t address[4])
{
    while (entry && (entry->tuple != tuple ||
                     memcmp(entry->address, address, sizeof entry->address) != 0))
        entry = entry->next;
    return entry;
}

static const struct index_entry *entry_first(const struct policy_index *index,
                                             const struct tuple *tuple, const struct flow *flow,
                                             uint64_t address[4])
{
    index_address(tuple, addr_wide(&flow->source), addr_wide(&flow->destination), address);
    uint64_t bucket = index_hash(index, tuple, address) & (index->bucket_count - 1);
    return entry_from(index->buckets[bucket], tuple, address);
}

static const struct index_entry *tuple_find(const struct policy_index *index,
                                            const struct tuple *tuple, const struct flow *flow)
{
    uint64_t address[4];
    const struct index_entry *entry = entry_first(index, tuple, flow, address);
    while (entry && !entry->exact && !selector_pair_match(entry->local, entry->remote, flow))
        entry = entry_from(entry->next, tuple, address);
    return entry;
}

static bool tuple_any(const struct policy_index *index, const struct tuple *tuple,
                      const struct flow *flow,
                      bool (*is_such)(const struct policy *policy, uint8_t family))
{
    uint64_t address[4];
    const struct index_entry *entry = entry_first(index, tuple, flow, address);
    for (; entry; entry = entry_from(entry->next, tuple, address))
        if (range_has(&entry->local->range, &flow->source) &&
            range_has(&entry->remote->range, &flow->destination) &&
            is_such(entry->policy, flow->source.family))
            return true;
    return false;
}

bool policy_index_any(const struct policy_index *index, const struct flow *flow,
                      bool (*is_such)(const struct policy *policy, uint8_t family))
{
    for (size_t i = 0; i < index->tuple_count; i++)
        if (index->tuples[i]->family == flow->source.family &&
            tuple_any(index, index->tuples[i], flow, is_such))
            return true;
    return false;
}

struct policy *policy_index_find(const struct policy_index *index, const struct flow *flow)
{
    const struct index_entry *best = NULL;
    for (size_t i = 0; i < index->tuple_count; i++) {
        const struct tuple *tuple = index->tuples[i];
        if (best && best->rank <= tuple->rank) break;
        if (tuple->family != flow->source.family) continue;
        const struct index_entry *entry = tuple_find(index, tuple, flow);
        if (entry && (!best || entry->rank < best->rank)) best = entry;
    }
    return best ? best->policy : NULL;
}

void policy_index_init(struct policy_index *index, uint64_t seed)
{
    *index = (struct policy_index){.bucket_count = BUCKETS_MIN, .seed = seed};
    index->buckets = mem_array(index->bucket_count, sizeof(struct index_entry *));
}

void policy_index_wipe(struct policy_index *index)
{
    assert(index->count == 0);
    free(index->buckets);
    free(index->tuples);
}

size_t policy_index_memory(const struct policy_index *index)
{
    return index->bucket_count * sizeof(struct index_entry *) +
           index->count * sizeof(struct index_entry) +
           index->tuple_count * (sizeof(struct tuple) + sizeof(struct tuple *));
}
