// SPDX-License-Identifier: Apache-2.0
// What the core says to people and to programs that subscribe: sentences, events, alerts, ends of
// commands, key log.
#include "ike/internal.h"
#include <stdarg.h>
#include <stdio.h>

enum { BUDGET_PER_SECOND = 20 };

static uint32_t subject_command(const struct subject *subject)
{
    if (subject->command || !subject->sa) return subject->command;
    const struct sa *sa = subject->sa;
    if (sa->command) return sa->command;
    const struct task *task = sa->asking && sa->asking->task
                                  ? sa->asking->task
                                  : LIST_FIRST(struct task, link, &sa->tasks);
    if (task && task->command) return task->command;
    return sa->handshake ? sa->handshake->command : 0;
}

// The same was said of attempts before.
static bool is_known(const struct subject *subject, enum fault fault)
{
    const struct sa *sa = subject->sa;
    return sa && sa->handshake && sa->handshake->is_quiet &&
           (fault || sa->state == EXPECT_SA_INIT);
}

void report(struct ike *ike, struct subject subject, enum ike_level level, enum fault fault,
            const char *format, ...)
{
    uint32_t command = subject_command(&subject);
    unsigned least = ike->settings.report_level;
    if (!command && level != IKE_AUDIT && level < IKE_DETAIL && is_known(&subject, fault))
        level = IKE_DETAIL;
    if (fault) ike->stats.faults[fault]++;
    if (least && level > least && !command) return;
    va_list args;
    va_start(args, format);
    char *text = mem_vprintf(format, args);
    va_end(args);
    for (size_t end = strlen(text); end && text[end - 1] == '\n';) text[--end] = '\0';
    struct ike_report *out = &out_new(ike, IKE_OUT_REPORT)->report;
    out->level = (uint8_t)level;
    out->fault = fault;
    out->command = command;
    const struct sa *sa = subject.sa;
    if (sa) {
        out->ike_id = sa->id;
        out->conn = sa->conn ? sa->conn->name : NULL;
        out->remote = sa->path.remote;
    }
    if (subject.conn) out->conn = subject.conn->name;
    if (subject.remote) out->remote = *subject.remote;
    out->child = subject.child;
    out->text = text;
    free_later(ike, text);
}

// RFC 7296 2.21.4: what is sent in answer to unprotected messages is limited in rate; so is what is
// said about them, or anybody could fill the log.
bool budget_allows(struct ike *ike, struct budget *budget)
{
    if (ike->now - budget->since >= NSEC_PER_SECOND) *budget = (struct budget){.since = ike->now};
    return ++budget->spent <= BUDGET_PER_SECOND;
}

void event(struct ike *ike, struct ike_event value)
{
    out_new(ike, IKE_OUT_EVENT)->event = value;
}

void alert(struct ike *ike, const struct sa *sa, const char *word)
{
    event(ike,
          (struct ike_event){.kind = IKE_EVENT_ALERT, .ike_id = sa ? sa->id : 0, .alert = word});
}

void command_done(struct ike *ike, uint32_t command, enum fault fault, const char *why)
{
    if (!command) return;
    struct ike_out *out = out_new(ike, IKE_OUT_DONE);
    out->done.command = command;
    out->done.fault = fault;
    out->done.text = why     ? arena_text(&ike->arena, bytes_of_text(why))
                     : fault ? fault_sentence(fault)
                             : NULL;
}

// --- values as text, for the length of a step

const char *suite_text(struct ike *ike, const struct suite *suite)
{
    char *out = arena_new(&ike->arena, 128);
    return suite_print(suite, out, 128);
}

const char *identity_text(struct ike *ike, const struct identity *id)
{
    if (id->type == ID_NULL) return "somebody unknown"; // RFC 7619
    char *out = arena_new(&ike->arena, IDENTITY_TEXT);
    return identity_print(id, out, IDENTITY_TEXT);
}

const char *endpoint_text(struct ike *ike, const struct endpoint *endpoint)
{
    char *out = arena_new(&ike->arena, ENDPOINT_TEXT);
    return endpoint_print(endpoint, out);
}

const char *selectors_text(struct ike *ike, const struct selectors *set)
{
    size_t room = (size_t)(SELECTORS_MAX + 1) * SELECTOR_TEXT;
    char *out = arena_new(&ike->arena, room);
    struct wr text = wr_over(out, room - 1);
    selectors_print(set, &text);
    return out;
}

// --- key log: lines as Wireshark's tables ikev2_decryption_table and esp_sa have them

struct cipher_name {
    uint16_t encr, key_bits;
    const char *ike, *esp;
};

// clang-format off
static const struct cipher_name cipher_names[] = {
    {ENCR_NULL,              0,   "NULL [RFC2410]",                          "NULL"},
    {ENCR_3DES,              0,   "3DES [RFC2451]",                          "TripleDES-CBC [RFC2451]"},
    {ENCR_AES_CBC,           128, "AES-CBC-128 [RFC3602]",                   "AES-CBC [RFC3602]"},
    {ENCR_AES_CBC,           192, "AES-CBC-192 [RFC3602]",                   "AES-CBC [RFC3602]"},
    {ENCR_AES_CBC,           256, "AES-CBC-256 [RFC3602]",                   "AES-CBC [RFC3602]"},
    {ENCR_AES_CTR,           128, "AES-CTR-128 [RFC5930]",                   "AES-CTR [RFC3686]"},
    {ENCR_AES_CTR,           192, "AES-CTR-192 [RFC5930]",                   "AES-CTR [RFC3686]"},
    {ENCR_AES_CTR,           256, "AES-CTR-256 [RFC5930]",                   "AES-CTR [RFC3686]"},
    {ENCR_AES_GCM_8,         128, "AES-GCM-128 with 8 octet ICV [RFC5282]",  "AES-GCM with 8 octet ICV [RFC4106]"},
    {ENCR_AES_GCM_8,         256, "AES-GCM-256 with 8 octet ICV [RFC5282]",  "AES-GCM with 8 octet ICV [RFC4106]"},
    {ENCR_AES_GCM_12,        128, "AES-GCM-128 with 12 octet ICV [RFC5282]", "AES-GCM with 12 octet ICV [RFC4106]"},
    {ENCR_AES_GCM_12,        256, "AES-GCM-256 with 12 octet ICV [RFC5282]", "AES-GCM with 12 octet ICV [RFC4106]"},
    {ENCR_AES_GCM_16,        128, "AES-GCM-128 with 16 octet ICV [RFC5282]", "AES-GCM with 16 octet ICV [RFC4106]"},
    {ENCR_AES_GCM_16,        192, "AES-GCM-192 with 16 octet ICV [RFC5282]", "AES-GCM with 16 octet ICV [RFC4106]"},
    {ENCR_AES_GCM_16,        256, "AES-GCM-256 with 16 octet ICV [RFC5282]", "AES-GCM with 16 octet ICV [RFC4106]"},
    {ENCR_CHACHA20_POLY1305, 0,   "CHACHA20-POLY1305 [RFC7634]",             "ChaCha20 with Poly1305 [RFC7634]"},
    {ENCR_CHACHA20_POLY1305, 256, "CHACHA20-POLY1305 [RFC7634]",             "ChaCha20 with Poly1305 [RFC7634]"},
};
static const struct {
    uint16_t integ;
    const char *ike, *esp;
} integ_names[] = {
    {INTEG_NONE,              "NONE [RFC4306]",               "NULL"},
    {INTEG_HMAC_MD5_96,       "HMAC_MD5_96 [RFC2403]",        "HMAC-MD5-96 [RFC2403]"},
    {INTEG_HMAC_SHA1_96,      "HMAC_SHA1_96 [RFC2404]",       "HMAC-SHA-1-96 [RFC2404]"},
    {INTEG_HMAC_SHA2_256_128, "HMAC_SHA2_256_128 [RFC4868]",  "HMAC-SHA-256-128 [RFC4868]"},
    {INTEG_HMAC_SHA2_384_192, "HMAC_SHA2_384_192 [RFC4868]",  "HMAC-SHA-384-192 [RFC4868]"},
    {INTEG_HMAC_SHA2_512_256, "HMAC_SHA2_512_256 [RFC4868]",  "HMAC-SHA-512-256 [RFC4868]"},
};
// clang-format on

static const char *cipher_name(const struct suite *suite, bool ike)
{
    for (size_t i = 0; i < sizeof cipher_names / sizeof *cipher_names; i++) {
        const struct cipher_name *row = &cipher_names[i];
        if (row->encr == suite->encr && row->key_bits == suite->key_bits)
            return ike ? row->ike : row->esp;
    }
    return "unknown";
}

static const char *integ_name(uint16_t integ, bool ike)
{
    for (size_t i = 0; i < sizeof integ_names / sizeof *integ_names; i++)
        if (integ_names[i].integ == integ) return ike ? integ_names[i].ike : integ_names[i].esp;
    return "unknown";
}

enum { KEY_HEX = 2 * 80 + 1 };

static void keylog_line(struct ike *ike, char *line)
{
    ike->keylog->line(ike->keylog, line);
    memory_wipe(line, strlen(line));
    free(line);
}

void keylog_ike(const struct sa *sa)
{
    if (!sa->ike->keylog) return;
    struct sealer i = sa_sealer(sa, sa->initiator), r = sa_sealer(sa, !sa->initiator);
    char hex[4][KEY_HEX];
    keylog_line(
        sa->ike,
        mem_printf("ike %016llx,%016llx,%s,%s,\"%s\",%s,%s,\"%s\"", (unsigned long long)sa->spi_i,
                   (unsigned long long)sa->spi_r, bytes_hex(i.encr_key, hex[0], KEY_HEX),
                   bytes_hex(r.encr_key, hex[1], KEY_HEX), cipher_name(&sa->suite, true),
                   bytes_hex(i.integ_key, hex[2], KEY_HEX), bytes_hex(r.integ_key, hex[3], KEY_HEX),
                   integ_name(sa->suite.integ, true)));
    memory_wipe(hex, sizeof hex);
}

void keylog_child(const struct child *child, enum sa_direction direction, struct bytes encr_key,
                  struct bytes integ_key)
{
    const struct sa *sa = child->sa;
    if (!sa->ike->keylog) return;
    bool in = direction == SA_IN;
    char hex[2][KEY_HEX], from[ADDR_TEXT], to[ADDR_TEXT];
    addr_print(in ? &sa->path.remote.addr : &sa->path.local.addr, from);
    addr_print(in ? &sa->path.local.addr : &sa->path.remote.addr, to);
    keylog_line(sa->ike,
                mem_printf("esp \"%s\",\"%s\",\"%s\",\"0x%08x\",\"%s\",\"0x%s\",\"%s\",\"%s%s\"",
                           sa->path.local.addr.family == ADDR_V6 ? "IPv6" : "IPv4", from, to,
                           in ? child->spi_in : child->spi_out, cipher_name(&child->suite, false),
                           bytes_hex(encr_key, hex[0], KEY_HEX),
                           integ_name(child->suite.integ, false), integ_key.size ? "0x" : "",
                           bytes_hex(integ_key, hex[1], KEY_HEX)));
    memory_wipe(hex, sizeof hex);
}
