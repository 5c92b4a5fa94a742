// SPDX-License-Identifier: Apache-2.0
// The hostile twin: two IKE cores in one simulated world, one of whom lies. What either sends is
// opened with the keys of its key log, edited as the fuzzer's bytes say, and sealed again: so what
// is fuzzed lies behind the encryption, and is genuine, in every state of an SA.
//
// The input is a seed for the world, of which three bits say what both ends use, then records of
// five bytes: what is done (an edit of the n-th message, or a command), and what with. After all
// records the liar's editing ends, both ends are told to take everything down, and nothing may be
// left.
#include "../sim/tap.h"
#include "fuzz.h"
#include <stdio.h>

enum { RECORD = 5, RECORDS_MAX = 64, OPS_EDIT = 12, GENERIC = 4 };

static struct {
    struct tap tap;
    const uint8_t *records;
    size_t record_count, next;
    struct bytes former; // plaintext of a message before: spare parts
} twin;

// --- edits of a chain of payloads; `place` finds the payload, `value` says what with

struct edit {
    uint8_t op, place, value, more;
};

static void splice(struct buf *chain, size_t at, size_t gone, struct bytes put)
{
    AUTOFREE_BUF struct buf rest = BUF(65536);
    buf_add(&rest, bytes_of(chain->at + at + gone, chain->size - at - gone));
    chain->size = at;
    buf_add(chain, put);
    buf_add(chain, buf_bytes(&rest));
}

static void length_set(struct buf *chain, size_t at, size_t size)
{
    chain->at[at + 2] = (uint8_t)(size >> 8);
    chain->at[at + 3] = (uint8_t)size;
}

// The n-th payload, where its type stands (SIZE_MAX: before the chain).
struct found {
    size_t at, size, type_at;
};

static bool payload_find(uint8_t first, const struct buf *chain, unsigned n, struct found *found)
{
    size_t at = 0, type_at = SIZE_MAX, count = 0;
    struct found all[32];
    for (uint8_t type = first; type && at + GENERIC <= chain->size && count < 32;) {
        size_t size = (size_t)(chain->at[at + 2] << 8 | chain->at[at + 3]);
        if (size < GENERIC || size > chain->size - at) break;
        all[count++] = (struct found){at, size, type_at};
        type = chain->at[at];
        type_at = at;
        at += size;
    }
    if (!count) return false;
    *found = all[n % count];
    return true;
}

static void edit_chain(const struct edit *edit, uint8_t *first, struct buf *chain)
{
    struct found found;
    if (!payload_find(*first, chain, edit->place, &found)) return;
    size_t body = found.size - GENERIC, in = body ? edit->value % body : 0;
    uint8_t *type = found.type_at == SIZE_MAX ? first : &chain->at[found.type_at];
    switch (edit->op) {
    case 0: // a byte of the body
        if (body) chain->at[found.at + GENERIC + in] = edit->more;
        break;
    case 1: // a bit of it
        if (body) chain->at[found.at + GENERIC + in] ^= (uint8_t)(1u << edit->more % 8);
        break;
    case 2: // the type
        *type = edit->value;
        break;
    case 3: // the critical bit and the reserved ones
        chain->at[found.at + 1] = edit->value;
        break;
    case 4: // a wrong length
        length_set(chain, found.at, found.size + edit->value - 128);
        break;
    case 5: { // it is left out
        uint8_t next = chain->at[found.at];
        *type = next;
        splice(chain, found.at, found.size, BYTES_NONE);
        break;
    }
    case 6: { // it stands there twice
        AUTOFREE_BUF struct buf copy = BUF(65536);
        buf_add(&copy, bytes_of(chain->at + found.at, found.size));
        copy.at[0] = *type;
        splice(chain, found.at, 0, buf_bytes(&copy));
        break;
    }
    case 7: { // its body is cut
        splice(chain, found.at + GENERIC + in, body - in, BYTES_NONE);
        length_set(chain, found.at, GENERIC + in);
        break;
    }
    case 8: { // something is put into it
        uint8_t put[8] = {edit->more, edit->value, 0, 8, 0, 0, 0, edit->more};
        splice(chain, found.at + GENERIC + in, 0, bytes_of(put, 1 + edit->more % 8u));
        length_set(chain, found.at, found.size + 1 + edit->more % 8u);
        break;
    }
    case 9: { // a notify before it, any type
        uint8_t put[8] = {*type, 0, 0, 8, 0, 0, edit->value, edit->more};
        *type = PAYLOAD_NOTIFY;
        splice(chain, found.at, 0, BYTES_ARRAY(put));
        break;
    }
    case 10: { // a Delete before it: of the IKE SA, or of a child
        uint8_t put[12] = {*type, 0, 0, 8, edit->value & 1 ? PROTOCOL_IKE : PROTOCOL_ESP, 0, 0, 0};
        *type = PAYLOAD_DELETE;
        splice(chain, found.at, 0, bytes_of(put, 8));
        break;
    }
    default: // the body of something before
        if (!twin.former.size) break;
        splice(chain, found.at + GENERIC, body, twin.former);
        length_set(chain, found.at, GENERIC + twin.former.size);
    }
}

static void keep_part(const struct buf *chain, uint8_t first, unsigned n)
{
    struct found found;
    if (!payload_find(first, chain, n, &found) || found.size - GENERIC > 1024) return;
    mem_drop(&twin.former);
    if (found.size > GENERIC) twin.former = mem_copy(bytes_of(chain->at + found.at + GENERIC, found.size - GENERIC));
}

// The hook: the record that is next says whether this message is edited.
static void datagram_edit(struct sim *sim, struct sim_host *from, struct buf *datagram)
{
    (void)sim;
    (void)from;
    struct ike_header header;
    struct tapped message;
    if (twin.next >= twin.record_count || ike_header_read(buf_bytes(datagram), &header) != OK) return;
    const uint8_t *record = twin.records + twin.next * RECORD;
    if (record[0] >= 200) return; // a command: not here
    twin.next++;
    if (record[0] % 3 == 0) return; // this message goes as it is
    struct edit edit = {record[1] % OPS_EDIT, record[2], record[3], record[4]};
    if (!tap_open(&twin.tap, buf_bytes(datagram), &message)) return;
    edit_chain(&edit, &message.first, &message.chain);
    if (message.sealed) keep_part(&message.chain, message.first, edit.more);
    tap_write(&message, datagram);
    buf_free(&message.chain);
}

// --- the play

static const char *const commands[] = {
    "up lan", "up other", "rekey lan", "rekey ike", "down lan", "reauth ike", "down ike", "up ike", "redirect 192.0.2.2", "restart",
};

static void command_next(struct sim *sim)
{
    const uint8_t *record = twin.records + twin.next++ * RECORD;
    struct sim_host *host = &sim->hosts[record[1] % 2];
    const char *command = commands[record[2] % (sizeof commands / sizeof *commands)];
    if (strcmp(command, "restart") == 0) {
        sim_reload(host);
    } else if (host->command_count + 8 < SIM_COMMANDS_MAX) {
        sim_command(host, command);
    }
    sim_run(sim, nsec_ms(record[3] * 4));
}

#define LINES "dpd_delay = 60s\n  resumption = yes\n  "
#define ROUND(side, of, number) \
    side "-" of number " {\n   round = " number "\n   auth = psk\n   id = " of number ".example.org\n  }\n  "

// What can be edited differs between these: exchanges that there are not otherwise, or what they hold.
static const struct setting {
    const char *a_conn, *a_child, *b_conn, *b_child; // of b, NULL: as of a
    bool ppk, eap, pool;
} settings[] = {
    {.a_conn = LINES, .a_child = "close_action = none"},
    {.a_conn = LINES "proposals = aes128gcm16-prfsha256-curve25519-ke1_mlkem512-ke2_ecp256",
     .a_child = "esp_proposals = aes128gcm16-curve25519-ke1_mlkem512-ke3_ecp256"},
    {.a_conn = "dpd_delay = 60s\n  ppk_id = ppk@example.org\n  ppk_ids = other@example.org\n  ppk_rekey = yes\n  cluster_peer = yes",
     .a_child = "close_action = none",
     .ppk = true},
    {.a_conn = LINES, .a_child = "per_cpu_sas = yes", .eap = true},
    {.a_conn = LINES ROUND("local", "a", "2") ROUND("local", "a", "3") ROUND("remote", "b", "2"),
     .a_child = "mode = transport",
     .b_conn = LINES ROUND("remote", "a", "2") ROUND("remote", "a", "3") ROUND("local", "b", "2")},
    {.a_conn = LINES "vips = 0.0.0.0",
     .a_child = "local_ts = dynamic\n  ipcomp = yes",
     .b_conn = LINES "pools = office",
     .b_child = "remote_ts = dynamic\n  ipcomp = yes",
     .pool = true},
    {.a_conn = LINES "childless = force\n  unique = replace", .a_child = "mode = iptfs"},
    {.a_conn = LINES "reauth_time = 30s\n  make_before_break = no\n  mobike = no",
     .a_child = "rekey_time = 20s\n  life_time = 40s\n  inactivity = 15s"},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

static void world_make(struct sim *sim, uint8_t seed)
{
    const struct setting *setting = &settings[seed / (256 / SETTINGS)];
    const char *b_conn = setting->b_conn ? setting->b_conn : setting->a_conn;
    const char *b_child = setting->b_child ? setting->b_child : setting->a_child;
    sim_pair_of(sim, seed, setting->a_conn, setting->a_child, b_conn, b_child);
    for (size_t i = 0; i < 2; i++) {
        sim->hosts[i].eap = setting->eap;
        if (setting->ppk) sim->hosts[i].ppk = "a key of both";
    }
    tap_begin(&twin.tap, sim);
    sim_start(sim);
    if (setting->pool) sim_pool(SIM_B(sim), "office", "10.9.0.1-10.9.0.9");
}

static void play(struct sim *sim, uint8_t seed)
{
    world_make(sim, seed);
    sim->hostile = true;
    sim->jitter = nsec_ms(10);
    sim->edit = datagram_edit;
    sim_command(SIM_A(sim), "up lan");
    sim_run(sim, nsec_ms(500));
    for (unsigned guard = 0; twin.next < twin.record_count && guard < RECORDS_MAX; guard++) {
        if (twin.records[twin.next * RECORD] >= 200) command_next(sim);
        else sim_command(&sim->hosts[guard % 2], guard % 3 ? "rekey lan" : "up other");
        sim_run(sim, nsec_ms(300));
    }
    sim->edit = NULL;
    sim_run(sim, nsec_seconds(400));
    // What is half done is over now; the rest goes on command.
    for (size_t i = 0; i < 2; i++) sim_command(&sim->hosts[i], "down ike");
    sim_run(sim, nsec_seconds(400));
    for (size_t i = 0; i < 2; i++) CHECK(sim, sim_clean(&sim->hosts[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sim sim;
    crypto_start();
    if (size < 1) return 0;
    memset(&twin, 0, sizeof twin);
    twin.records = data + 1;
    twin.record_count = (size - 1) / RECORD < RECORDS_MAX ? (size - 1) / RECORD : RECORDS_MAX;
    sim.verbose = getenv("TWIN_VERBOSE") != NULL;
    play(&sim, data[0]);
    mem_drop(&twin.former);
    if (sim.failure) {
        fprintf(stderr, "%s\n", sim.failure_text);
        abort();
    }
    sim_free(&sim);
    return 0;
}
