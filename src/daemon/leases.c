// SPDX-License-Identifier: Apache-2.0
// Leases of virtual addresses in an SQLite file, so that a peer has its address again when the daemon has been away. The core decides;
// here is only kept what it said. Writes are gathered for a moment: a thousand peers at once are one transaction.
#include "daemon/leases.h"
#include "base/mem.h"
#include "daemon/role.h"
#include <event2/event.h>
#include <sqlite3.h>
#include <time.h>

enum { GATHER_MS = 200, BUSY_MS = 1000 };

struct leases {
    sqlite3 *file;
    sqlite3_stmt *note, *of_pool;
    struct event *commit;
    bool gathering;
};

static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "CREATE TABLE IF NOT EXISTS lease ("
    "  pool TEXT NOT NULL, address TEXT NOT NULL,"
    "  identity_type INTEGER NOT NULL, identity BLOB NOT NULL,"   // as in an ID payload
    "  identity_text TEXT NOT NULL,"                              // for people
    "  changed INTEGER NOT NULL,"                                 // when it was taken or given back, seconds since 1970
    "  PRIMARY KEY (pool, address)) WITHOUT ROWID;";
static const char note_text[] = "INSERT OR REPLACE INTO lease VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
static const char of_pool_text[] = "SELECT address, identity_type, identity FROM lease WHERE pool = ?1 ORDER BY changed";

static void refused(const struct leases *leases, const char *what)
{
    role_log(ROLE_CONTROL, IKE_ERROR, FAULT_LEASES_REFUSED, "%s: %s", what, sqlite3_errmsg(leases->file));
}

static bool run(struct leases *leases, const char *text)
{
    if (sqlite3_exec(leases->file, text, NULL, NULL, NULL) == SQLITE_OK) return true;
    refused(leases, text);
    return false;
}

static void commit(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct leases *leases = context;
    if (leases->gathering) run(leases, "COMMIT");
    leases->gathering = false;
}

struct leases *leases_open(const char *directory, struct event_base *base)
{
    AUTOFREE_MEM char *path = mem_printf("%s/leases.sqlite", directory);
    struct leases *leases = NEW(struct leases);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW;
    bool good = sqlite3_open_v2(path, &leases->file, flags, NULL) == SQLITE_OK;
    if (!good) refused(leases, path);
    good = good && sqlite3_busy_timeout(leases->file, BUSY_MS) == SQLITE_OK && run(leases, schema);
    if (good && (sqlite3_prepare_v2(leases->file, note_text, -1, &leases->note, NULL) != SQLITE_OK ||
                 sqlite3_prepare_v2(leases->file, of_pool_text, -1, &leases->of_pool, NULL) != SQLITE_OK)) {
        refused(leases, path);
        good = false;
    }
    if (good) {
        leases->commit = evtimer_new(base, commit, leases);
        return leases;
    }
    leases_close(leases);
    return NULL;
}

void leases_close(struct leases *leases)
{
    if (!leases) return;
    if (leases->commit) {
        commit(-1, 0, leases);
        event_free(leases->commit);
    }
    sqlite3_finalize(leases->note);
    sqlite3_finalize(leases->of_pool);
    sqlite3_close(leases->file);
    free(leases);
}

void leases_note(struct leases *leases, const struct lease_message *lease)
{
    char addr[ADDR_TEXT], id[IDENTITY_TEXT];
    if (!leases->gathering) {
        leases->gathering = run(leases, "BEGIN");
        struct timeval wait = {.tv_usec = GATHER_MS * 1000};
        evtimer_add(leases->commit, &wait);
    }
    sqlite3_stmt *note = leases->note;
    sqlite3_bind_text(note, 1, lease->pool, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(note, 2, addr_print(&lease->addr, addr), -1, SQLITE_TRANSIENT);
    sqlite3_bind_int(note, 3, lease->id.type);
    sqlite3_bind_blob(note, 4, lease->id.bytes.size ? (const void *)lease->id.bytes.at : "", (int)lease->id.bytes.size, SQLITE_TRANSIENT);
    sqlite3_bind_text(note, 5, identity_print(&lease->id, id, sizeof id), -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(note, 6, (sqlite3_int64)time(NULL));
    if (sqlite3_step(note) != SQLITE_DONE) refused(leases, "a lease is not kept");
    sqlite3_reset(note);
    sqlite3_clear_bindings(note);
}

void leases_of_pool(struct leases *leases, const char *pool, void *context, void (*take)(void *context, const struct lease_message *lease))
{
    sqlite3_stmt *of_pool = leases->of_pool;
    sqlite3_bind_text(of_pool, 1, pool, -1, SQLITE_TRANSIENT);
    int state;
    while ((state = sqlite3_step(of_pool)) == SQLITE_ROW) {
        const unsigned char *addr = sqlite3_column_text(of_pool, 0);
        int size = sqlite3_column_bytes(of_pool, 2), type = sqlite3_column_int(of_pool, 1);
        struct lease_message lease = {.pool = pool, .id.type = (uint8_t)type};
        lease.id.bytes = bytes_of(sqlite3_column_blob(of_pool, 2), (size_t)size);
        // Somebody may have written into the file.
        if (!addr || addr_parse((const char *)addr, &lease.addr) != OK || type <= 0 || type > UINT8_MAX || size > IDENTITY_SIZE_MAX) continue;
        take(context, &lease);
    }
    if (state != SQLITE_DONE) refused(leases, "the leases of a pool are not read");
    sqlite3_reset(of_pool);
}
