// SPDX-License-Identifier: Apache-2.0
// One map leads from what a look-up starts with to the secrets that can be meant:
//
//     'N' id                -> the one of that id
//     'O' identity, folded  -> those that it is an owner of
//     'S' identity, folded  -> those that it is the only owner of
//     'L'                   -> those without owners, or with a pattern among them
//     'P' name              -> post-quantum keys; without a name: all of them
//
// The peer is looked up among all owners. Our own identity, which thousands of secrets may have, decides only where it stands alone.
#include "daemon/secrets.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/wr.h"
#include <string.h>

enum { KEY_MAX = IDENTITY_FOLDED_MAX + 1 };

struct bucket {
    struct stored_secret **at;
    size_t count;
};

struct secrets {
    struct stored_secret **all;
    size_t count;
    struct map buckets;
    uint64_t last_order;
};

// --- the index

struct key {
    uint8_t space[KEY_MAX];
    struct bytes bytes;
};

static struct bytes key_of(struct key *key, char kind, struct bytes data)
{
    struct wr out = wr_over(key->space, sizeof key->space);
    wr_u8(&out, (uint8_t)kind);
    wr_bytes(&out, data);
    return out.failed ? BYTES_NONE : wr_done(&out);
}

static struct bytes key_of_identity(struct key *key, char kind, const struct identity *id)
{
    struct wr out = wr_over(key->space, sizeof key->space);
    wr_u8(&out, (uint8_t)kind);
    identity_fold(id, &out);
    return out.failed ? BYTES_NONE : wr_done(&out);
}

static void index_add(struct secrets *secrets, struct bytes key, struct stored_secret *secret)
{
    struct bucket *bucket = map_get(&secrets->buckets, key);
    if (!bucket) {
        bucket = NEW(struct bucket);
        map_put(&secrets->buckets, key, bucket);
    }
    bucket->at = mem_grow(bucket->at, bucket->count + 1, sizeof *bucket->at);
    bucket->at[bucket->count++] = secret;
}

static void index_remove(struct secrets *secrets, struct bytes key, struct stored_secret *secret)
{
    struct bucket *bucket = map_get(&secrets->buckets, key);
    for (size_t i = bucket ? bucket->count : 0; i-- > 0;) {   // what came last goes first, mostly
        if (bucket->at[i] != secret) continue;
        bucket->at[i] = bucket->at[--bucket->count];
        break;
    }
    if (!bucket || bucket->count) return;
    map_remove(&secrets->buckets, key);
    free(bucket->at);
    free(bucket);
}

typedef void (*index_change)(struct secrets *secrets, struct bytes key, struct stored_secret *secret);

static void index_ppk(struct secrets *secrets, struct stored_secret *secret, index_change change)
{
    struct key key;
    change(secrets, key_of(&key, 'P', BYTES_NONE), secret);
    for (unsigned i = 0; i < secret->owner_count; i++)
        if (secret->owners[i].bytes.size) change(secrets, key_of(&key, 'P', secret->owners[i].bytes), secret);
}

static void index_all(struct secrets *secrets, struct stored_secret *secret, index_change change)
{
    struct key key;
    bool loose = secret->owner_count == 0;
    if (*secret->id) change(secrets, key_of(&key, 'N', bytes_of_text(secret->id)), secret);
    if (secret->is_ppk) {
        index_ppk(secrets, secret, change);
        return;
    }
    for (unsigned i = 0; i < secret->owner_count; i++) {
        if (!identity_is_one(&secret->owners[i])) {
            loose = true;
            continue;
        }
        change(secrets, key_of_identity(&key, 'O', &secret->owners[i]), secret);
        if (secret->owner_count == 1) change(secrets, key_of_identity(&key, 'S', &secret->owners[i]), secret);
    }
    if (loose) change(secrets, key_of(&key, 'L', BYTES_NONE), secret);
}

// --- what is stored

struct secrets *secrets_new(void)
{
    struct secrets *secrets = NEW(struct secrets);
    map_init(&secrets->buckets, 0, 0);   // only what the operator loads is a key in it
    return secrets;
}

void stored_secret_wipe(struct stored_secret *secret)
{
    secret_wipe(&secret->secret);
    for (unsigned i = 0; i < secret->owner_count; i++) identity_free(&secret->owners[i]);
    secret->owner_count = 0;
    free(secret->id);
    secret->id = NULL;
}

static void secret_remove(struct secrets *secrets, struct stored_secret *secret)
{
    index_all(secrets, secret, index_remove);
    struct stored_secret *last = secrets->all[--secrets->count];
    last->at = secret->at;
    secrets->all[last->at] = last;
    stored_secret_wipe(secret);
    free(secret);
}

// Ids that are too long for a key share one.
void secrets_drop(struct secrets *secrets, const char *id)
{
    struct key key;
    const struct bucket *bucket = *id ? map_get(&secrets->buckets, key_of(&key, 'N', bytes_of_text(id))) : NULL;
    for (size_t i = 0; bucket && i < bucket->count; i++) {
        if (strcmp(bucket->at[i]->id, id) != 0) continue;
        secret_remove(secrets, bucket->at[i]);
        return;
    }
}

void secrets_add(struct secrets *secrets, struct stored_secret *fresh)
{
    struct stored_secret *secret = NEW(struct stored_secret);
    secrets_drop(secrets, fresh->id);
    *secret = *fresh;
    *fresh = (struct stored_secret){0};
    secret->order = ++secrets->last_order;
    secret->at = secrets->count;
    secrets->all = mem_grow(secrets->all, secrets->count + 1, sizeof *secrets->all);
    secrets->all[secrets->count++] = secret;
    index_all(secrets, secret, index_add);
}

void secrets_clear(struct secrets *secrets)
{
    while (secrets->count) secret_remove(secrets, secrets->all[secrets->count - 1]);
}

void secrets_free(struct secrets *secrets)
{
    secrets_clear(secrets);
    map_wipe(&secrets->buckets);
    free(secrets->all);
    free(secrets);
}

size_t secrets_count(const struct secrets *secrets)
{
    return secrets->count;
}

const struct stored_secret *secrets_at(const struct secrets *secrets, size_t index)
{
    return secrets->all[index];
}

// --- choosing

struct choice {
    const struct secret_ends *ends;
    struct identity local_addr, remote_addr;   // type 0: unknown
    const struct stored_secret *best;
    uint64_t score;
};

static unsigned owner_score(const struct stored_secret *secret, const struct identity *id, const struct identity *by_addr)
{
    unsigned best = 0;
    for (unsigned i = 0; i < secret->owner_count; i++) {
        unsigned score = identity_matches(&secret->owners[i], id);
        if (!score && by_addr->type) score = identity_matches(&secret->owners[i], by_addr) ? 1 : 0;
        if (score > best) best = score;
    }
    return best;
}

static void choice_look(struct choice *choice, const struct stored_secret *secret)
{
    uint64_t score = 1;
    if (secret->owner_count) {
        unsigned remote = owner_score(secret, choice->ends->remote, &choice->remote_addr);
        unsigned local = owner_score(secret, choice->ends->local, &choice->local_addr);
        if (!remote && !(local && secret->owner_count == 1)) return;
        score = 2 + ((uint64_t)remote << 32) + local;
    }
    if (score < choice->score || (score == choice->score && secret->order > choice->best->order)) return;
    choice->best = secret;
    choice->score = score;
}

static void bucket_look(const struct secrets *secrets, struct bytes key, struct choice *choice)
{
    const struct bucket *bucket = map_get(&secrets->buckets, key);
    for (size_t i = 0; bucket && i < bucket->count; i++) choice_look(choice, bucket->at[i]);
}

const struct stored_secret *secrets_choose(const struct secrets *secrets, const struct secret_ends *ends)
{
    struct arena arena = {0};
    struct choice choice = {.ends = ends};
    struct key key;
    if (ends->local_addr->family) choice.local_addr = identity_of_addr(ends->local_addr, &arena);
    if (ends->remote_addr->family) choice.remote_addr = identity_of_addr(ends->remote_addr, &arena);
    bucket_look(secrets, key_of_identity(&key, 'O', ends->remote), &choice);
    bucket_look(secrets, key_of_identity(&key, 'S', ends->local), &choice);
    if (choice.remote_addr.type) bucket_look(secrets, key_of_identity(&key, 'O', &choice.remote_addr), &choice);
    if (choice.local_addr.type) bucket_look(secrets, key_of_identity(&key, 'S', &choice.local_addr), &choice);
    bucket_look(secrets, key_of(&key, 'L', BYTES_NONE), &choice);
    arena_free(&arena);
    return choice.best;
}

const struct stored_secret *secrets_ppk(const struct secrets *secrets, struct bytes id)
{
    struct key key;
    const struct bucket *bucket = map_get(&secrets->buckets, key_of(&key, 'P', id));
    const struct stored_secret *first = NULL;
    for (size_t i = 0; bucket && i < bucket->count; i++)
        if (!first || bucket->at[i]->order < first->order) first = bucket->at[i];
    return first;
}
