// SPDX-License-Identifier: Apache-2.0
// A connection's section into a struct conn. By then the values have been checked one by one; here
// they are converted, what is not said is filled in, and what contradicts itself is refused.
#include "conf/compile.h"

enum { MARGIN_SECONDS = 10 };

bool is_named(const struct tree *item, const char *beginning)
{
    return item->kind == TREE_SECTION && strncmp(item->name, beginning, strlen(beginning)) == 0;
}

// Values of a section, or what holds when they are not there (or wrong, which has been complained
// about)
// ---------------------------------------------------------------------------------------------------

bool bool_of(const struct tree *section, const char *name, bool otherwise)
{
    struct wrong wrong;
    bool value;
    const char *text = tree_text(section, name, NULL);
    return text && convert_bool(text, &value, &wrong) ? value : otherwise;
}

uint64_t number_of(const struct tree *section, const char *name, uint64_t high, uint64_t otherwise)
{
    struct wrong wrong;
    uint64_t value;
    const char *text = tree_text(section, name, NULL);
    return text && convert_number(text, 0, high, &value, &wrong) ? value : otherwise;
}

uint8_t word_of(const struct tree *section, const char *name, const struct word *words,
                size_t count)
{
    uint8_t value;
    return word_value(words, count, tree_text(section, name, ""), &value) ? value : words[0].value;
}

// Several words joined by |, as bits.
uint8_t words_of(const struct tree *section, const char *name, const struct word *words,
                 size_t count)
{
    AUTOFREE_MEM char *text = mem_text(tree_text(section, name, ""));
    uint8_t all = 0, value;
    char *rest = text;
    for (char *word = strsep(&rest, "|"); word; word = strsep(&rest, "|"))
        if (word_value(words, count, word, &value)) all |= value;
    return all;
}

struct amount amount_of(const struct tree *section, const char *name, enum option_type type)
{
    struct wrong wrong;
    struct amount amount = {0};
    nsec time = 0;
    const char *text = tree_text(section, name, NULL);
    if (!text) return amount;
    if (type == TYPE_TIME)
        amount.given = convert_time(text, &time, &wrong);
    else if (type == TYPE_BYTES)
        amount.given = convert_bytes(text, &amount.value, &wrong);
    else
        amount.given = convert_number(text, 0, UINT64_MAX / 4, &amount.value, &wrong);
    if (type == TYPE_TIME) amount.value = (uint64_t)time;
    return amount;
}

struct place place_of(const struct tree *section, const char *name)
{
    const struct tree *item = tree_find(section, name);
    return item ? item->place : section->place;
}

// Too many parts of a list, or too many sections.
bool fits(struct compiling *c, size_t count, size_t limit, const struct tree *item)
{
    if (count < limit) return true;
    option_complain(c->complaints, FAULT_OPTION_RANGE, c->where, item->place,
                    "%s: at most %zu are possible", item->name, limit);
    return false;
}

// The connection itself
// ---------------------------------------------------------------------------------------------------

static uint8_t hosts_compile(struct compiling *c, const struct tree *section, const char *name,
                             struct host_pattern *hosts)
{
    const struct tree *item = tree_find(section, name);
    struct wrong wrong;
    uint8_t count = 0;
    for (struct parts parts = parts_of(item); parts_next(&parts);) {
        if (!fits(c, count, CONN_HOSTS_MAX, item)) {
            parts_end(&parts);
            break;
        }
        if (convert_host(parts.text, c->arena, &hosts[count], &wrong)) count++;
    }
    if (count == 0) hosts[count++].kind = HOST_ANY;
    return count;
}

static bool proposals_take(struct proposals *out, const struct proposals *more)
{
    for (size_t i = 0; i < more->count; i++) {
        if (out->count == PROPOSALS_MAX) return false;
        out->at[out->count++] = more->at[i];
    }
    return true;
}

void proposals_compile(struct compiling *c, const struct tree *item, enum iana_protocol protocol,
                       struct proposals *out)
{
    struct wrong wrong;
    for (struct parts parts = parts_of(item); parts_next(&parts);) {
        struct proposals more = {.count = 1};
        if (strcmp(parts.text, "default") == 0)
            proposals_default(protocol, &more);
        else if (!convert_proposal(parts.text, protocol, &more.at[0], &wrong))
            continue;
        if (proposals_take(out, &more)) continue;
        (void)fits(c, PROPOSALS_MAX, PROPOSALS_MAX, item);
        parts_end(&parts);
        return;
    }
}

static void vips_compile(struct compiling *c, const struct tree *section)
{
    const struct tree *item = tree_find(section, "vips");
    struct conn *conn = c->conn;
    for (struct parts parts = parts_of(item); parts_next(&parts);) {
        if (!fits(c, conn->vip_count, CONN_VIPS_MAX, item)) {
            parts_end(&parts);
            return;
        }
        struct addr *vip = &conn->vips[conn->vip_count];
        if (strcmp(parts.text, "%any") == 0)
            *vip = addr_any(ADDR_V4);
        else if (addr_parse(parts.text, vip))
            continue;
        conn->vip_count++;
    }
}

static void pools_compile(struct compiling *c, const struct tree *section)
{
    const struct tree *item = tree_find(section, "pools");
    for (struct parts parts = parts_of(item); parts_next(&parts);) {
        if (!fits(c, c->conn->pool_count, CONN_POOLS_MAX, item)) {
            parts_end(&parts);
            return;
        }
        c->conn->pools[c->conn->pool_count++] = arena_text(c->arena, parts.value);
    }
}

// Two ends that rekey at once may refuse each other and wait for seconds: an SA that is not kept
// for that long after its time can end while it is being rekeyed.
void margin_check(struct compiling *c, struct place place, const char *what, uint64_t margin)
{
    if (margin >= (uint64_t)nsec_seconds(MARGIN_SECONDS)) return;
    complain_warning(c->complaints, FAULT_OPTION_RANGE, place,
                     "%s%s%s is less than %d seconds: when both ends rekey at the same moment that "
                     "may not be enough",
                     place.file ? "" : c->where, place.file || !*c->where ? "" : ": ", what,
                     MARGIN_SECONDS);
}

// rekey_time is off by default when reauth_time is on; over_time is a tenth of the longer;
// rand_time is over_time.
static void conn_times_compile(struct compiling *c, const struct tree *section)
{
    struct conn *conn = c->conn;
    struct amount rekey = amount_of(section, "rekey_time", TYPE_TIME),
                  reauth = amount_of(section, "reauth_time", TYPE_TIME);
    struct amount over = amount_of(section, "over_time", TYPE_TIME),
                  rand = amount_of(section, "rand_time", TYPE_TIME);
    if (!rekey.given) rekey.value = reauth.value ? 0 : (uint64_t)nsec_seconds(4 * 3600);
    uint64_t longer = rekey.value > reauth.value ? rekey.value : reauth.value;
    uint64_t shorter =
        !rekey.value || (reauth.value && reauth.value < rekey.value) ? reauth.value : rekey.value;
    if (!over.given) over.value = longer / TENTH;
    if (rand.given && shorter && rand.value >= shorter)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where,
                        place_of(section, "rand_time"),
                        "rand_time must be less than rekey_time and reauth_time, or keys could be "
                        "replaced all the time");
    if (rekey.value && over.value)
        margin_check(c, place_of(section, over.given ? "over_time" : "rekey_time"), "over_time",
                     over.value);
    if (!rand.given) rand.value = over.value < shorter ? over.value : shorter / TENTH;
    conn->rekey_time = (nsec)rekey.value;
    conn->reauth_time = (nsec)reauth.value;
    conn->over_time = (nsec)over.value;
    conn->rand_time = (nsec)rand.value;
}

static void conn_words_compile(struct conn *conn, const struct tree *section)
{
    static const struct word versions[] = {{"0", 0}, {"1", 1}, {"2", 2}};
    static const struct word certs[] = {
        {"ifasked", CERT_IF_ASKED}, {"always", CERT_ALWAYS}, {"never", CERT_NEVER}};
    static const struct word fragments[] = {{"yes", FRAGMENTATION_YES},
                                            {"no", FRAGMENTATION_NO},
                                            {"accept", FRAGMENTATION_ACCEPT},
                                            {"force", FRAGMENTATION_FORCE}};
    static const struct word tcp[] = {
        {"no", TCP_NEVER}, {"fallback", TCP_FALLBACK}, {"yes", TCP_ALWAYS}};
    static const struct word childless[] = {{"allow", CHILDLESS_ALLOW},
                                            {"prefer", CHILDLESS_PREFER},
                                            {"force", CHILDLESS_FORCE},
                                            {"never", CHILDLESS_NEVER}};
    static const struct word ppk_int[] = {
        {"prefer", PPK_INT_PREFER}, {"only", PPK_INT_ONLY}, {"never", PPK_INT_NEVER}};
    static const struct word ppk_rekey[] = {
        {"no", PPK_REKEY_NO}, {"yes", PPK_REKEY_YES}, {"required", PPK_REKEY_REQUIRED}};
    static const struct word unique[] = {{"no", UNIQUE_NO},
                                         {"never", UNIQUE_NEVER},
                                         {"keep", UNIQUE_KEEP},
                                         {"replace", UNIQUE_REPLACE}};
    conn->version = word_of(section, "version", versions, COUNT(versions));
    conn->send_cert = word_of(section, "send_cert", certs, COUNT(certs));
    conn->break_before_make = !bool_of(section, "make_before_break", true);
    conn->tcp = word_of(section, "tcp", tcp, COUNT(tcp));
    conn->fragmentation = word_of(section, "fragmentation", fragments, COUNT(fragments));
    conn->childless = word_of(section, "childless", childless, COUNT(childless));
    conn->unique = word_of(section, "unique", unique, COUNT(unique));
    conn->ppk_int = word_of(section, "ppk_int", ppk_int, COUNT(ppk_int));
    conn->ppk_rekey = word_of(section, "ppk_rekey", ppk_rekey, COUNT(ppk_rekey));
}

static void ppks_compile(struct compiling *c, const struct tree *section)
{
    struct conn *conn = c->conn;
    const struct tree *item = tree_find(section, "ppk_ids");
    struct wrong wrong;
    conn->ppk_required = bool_of(section, "ppk_required", false);
    if (!convert_identity(tree_text(section, "ppk_id", "%any"), c->arena, &conn->ppk_id, &wrong))
        conn->ppk_id = (struct identity){.type = IDENTITY_ANY};
    for (struct parts parts = parts_of(item); parts_next(&parts);) {
        struct identity *id = &conn->ppk_ids[conn->ppk_count];
        if (!fits(c, conn->ppk_count, CONN_PPKS_MAX, item)) {
            parts_end(&parts);
            return;
        }
        if (convert_identity(parts.text, c->arena, id, &wrong) && id->type != IDENTITY_ANY)
            conn->ppk_count++;
        else
            option_complain(c->complaints, FAULT_OPTION_VALUE, c->where, item->place,
                            "ppk_ids: \"%s\" names no key", parts.text);
    }
    if (conn->ppk_rekey != PPK_REKEY_NO && conn->ppk_int == PPK_INT_NEVER)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where,
                        place_of(section, "ppk_rekey"),
                        "ppk_rekey needs what ppk_int = never leaves out");
}

// Whoever says how often it is tried means it, unless he says more.
static void tries_compile(struct conn *conn, const struct tree *section)
{
    static const struct word limited[] = {
        {"no", PERSIST_NO}, {"yes", PERSIST_YES}, {"always", PERSIST_ALWAYS}};
    static const struct word unlimited[] = {
        {"yes", PERSIST_YES}, {"no", PERSIST_NO}, {"always", PERSIST_ALWAYS}};
    bool is_limited = tree_text(section, "keyingtries", NULL) != NULL;
    conn->keyingtries = (uint32_t)number_of(section, "keyingtries", UINT32_MAX, 1);
    is_limited &= conn->keyingtries != 0;
    conn->persist = word_of(section, "persist", is_limited ? limited : unlimited, COUNT(limited));
}

// One gateway, not a pattern of some.
static void redirect_compile(struct compiling *c, const struct tree *section)
{
    struct host_pattern hosts[CONN_HOSTS_MAX];
    char text[ADDR_TEXT];
    const struct tree *item = tree_find(section, "redirect_to");
    c->conn->follow_redirects = bool_of(section, "follow_redirects", true);
    c->conn->redirect_early = bool_of(section, "redirect_early", false);
    if (!item) return;
    uint8_t count = hosts_compile(c, section, "redirect_to", hosts);
    const struct range *range = &hosts[0].range;
    if (count == 1 && hosts[0].kind == HOST_NAME)
        c->conn->redirect_to = hosts[0].name;
    else if (count == 1 && hosts[0].kind == HOST_RANGE && addr_equal(&range->low, &range->high))
        c->conn->redirect_to = arena_text(c->arena, bytes_of_text(addr_print(&range->low, text)));
    else
        option_complain(c->complaints, FAULT_OPTION_VALUE, c->where, item->place,
                        "redirect_to: name one gateway, by its address or name");
}

static void conn_options_compile(struct compiling *c, const struct tree *section)
{
    struct conn *conn = c->conn;
    struct wrong wrong;
    conn->local_count = hosts_compile(c, section, "local_addrs", conn->local_hosts);
    conn->remote_count = hosts_compile(c, section, "remote_addrs", conn->remote_hosts);
    conn->local_port = (uint16_t)number_of(section, "local_port", UINT16_MAX, 500);
    conn->remote_port = (uint16_t)number_of(section, "remote_port", UINT16_MAX, 500);
    proposals_compile(c, tree_find(section, "proposals"), PROTOCOL_IKE, &conn->ike);
    if (conn->ike.count == 0) proposals_default(PROTOCOL_IKE, &conn->ike);
    conn_words_compile(conn, section);
    conn->encap = bool_of(section, "encap", false);
    conn->mobike = bool_of(section, "mobike", true);
    conn->send_certreq = bool_of(section, "send_certreq", true);
    conn->aggressive = bool_of(section, "aggressive", false);
    conn->pull = bool_of(section, "pull", true);
    conn->resumption = bool_of(section, "resumption", false);
    conn->cluster_peer = bool_of(section, "cluster_peer", false);
    conn->path_mtu_probes = bool_of(section, "path_mtu_probes", true);
    ppks_compile(c, section);
    if (!convert_dscp(tree_text(section, "dscp", "000000"), &conn->dscp, &wrong)) conn->dscp = 0;
    tries_compile(conn, section);
    conn->dpd_delay = (nsec)amount_of(section, "dpd_delay", TYPE_TIME).value;
    conn_times_compile(c, section);
    redirect_compile(c, section);
    vips_compile(c, section);
    pools_compile(c, section);
}

struct conn *conn_compile(const struct tree *section, enum option_form form, const char *where,
                          struct complaints *complaints)
{
    unsigned before = complaints->errors + complaints->repeated;
    section_check(section, "connections.<conn>", where, form, complaints);
    struct conn *conn = NEW(struct conn);
    conn->references = 1;
    struct compiling c = {complaints, form, conn, &conn->arena, where};
    conn->name = arena_text(c.arena, bytes_of_text(section->name));
    conn_options_compile(&c, section);
    rounds_compile(&c, section);
    children_compile(&c, section);
    struct conn_source itself = {conn, section};
    options_marks_check(&itself, &itself, complaints);
    if (complaints->errors + complaints->repeated == before) return conn;
    conn_release(conn);
    return NULL;
}
