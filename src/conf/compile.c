// SPDX-License-Identifier: Apache-2.0
// A connection's section into a struct conn. By then the values have been checked one by one; here
// they are converted, what is not said is filled in, and what contradicts itself is refused.
#include "conf/options_internal.h"
#include <stdio.h>
#include <strings.h>

enum { CERT_BLOCKS_MAX = 16, POLICY_TEXT_MAX = 250, TENTH = 10, MARGIN_SECONDS = 10 };

struct compiling {
    struct complaints *complaints;
    enum option_form form;
    struct conn *conn;
    struct arena *arena;
    const char *where;
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

bool is_named(const struct tree *item, const char *beginning)
{
    return item->kind == TREE_SECTION && strncmp(item->name, beginning, strlen(beginning)) == 0;
}

// Values of a section, or what holds when they are not there (or wrong, which has been complained
// about)
// ---------------------------------------------------------------------------------------------------

static bool bool_of(const struct tree *section, const char *name, bool otherwise)
{
    struct wrong wrong;
    bool value;
    const char *text = tree_text(section, name, NULL);
    return text && convert_bool(text, &value, &wrong) ? value : otherwise;
}

static uint64_t number_of(const struct tree *section, const char *name, uint64_t high,
                          uint64_t otherwise)
{
    struct wrong wrong;
    uint64_t value;
    const char *text = tree_text(section, name, NULL);
    return text && convert_number(text, 0, high, &value, &wrong) ? value : otherwise;
}

static uint8_t word_of(const struct tree *section, const char *name, const struct word *words,
                       size_t count)
{
    uint8_t value;
    return word_value(words, count, tree_text(section, name, ""), &value) ? value : words[0].value;
}

// Several words joined by |, as bits.
static uint8_t words_of(const struct tree *section, const char *name, const struct word *words,
                        size_t count)
{
    AUTOFREE_MEM char *text = mem_text(tree_text(section, name, ""));
    uint8_t all = 0, value;
    char *rest = text;
    for (char *word = strsep(&rest, "|"); word; word = strsep(&rest, "|"))
        if (word_value(words, count, word, &value)) all |= value;
    return all;
}

// A limit: a time in nanoseconds, bytes or packets.
struct amount {
    uint64_t value;
    bool given;
};

static struct amount amount_of(const struct tree *section, const char *name, enum option_type type)
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

static struct place place_of(const struct tree *section, const char *name)
{
    const struct tree *item = tree_find(section, name);
    return item ? item->place : section->place;
}

// Too many parts of a list, or too many sections.
static bool fits(struct compiling *c, size_t count, size_t limit, const struct tree *item)
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

static void proposals_compile(struct compiling *c, const struct tree *item,
                              enum iana_protocol protocol, struct proposals *out)
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
static void margin_check(struct compiling *c, struct place place, const char *what, uint64_t margin)
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
    conn->path_mtu_probes = bool_of(section, "path_mtu_probes", true);
    conn->ppk_required = bool_of(section, "ppk_required", false);
    if (!convert_identity(tree_text(section, "ppk_id", "%any"), c->arena, &conn->ppk_id, &wrong))
        conn->ppk_id = (struct identity){.type = IDENTITY_ANY};
    if (!convert_dscp(tree_text(section, "dscp", "000000"), &conn->dscp, &wrong)) conn->dscp = 0;
    conn->keyingtries = (uint32_t)number_of(section, "keyingtries", UINT32_MAX, 1);
    conn->dpd_delay = (nsec)amount_of(section, "dpd_delay", TYPE_TIME).value;
    conn_times_compile(c, section);
    redirect_compile(c, section);
    vips_compile(c, section);
    pools_compile(c, section);
}

// Rounds of authentication
// ---------------------------------------------------------------------------------------------------

// In a file there are names only; how many certificates they hold is seen when they are loaded.
static void certs_add(struct compiling *c, const struct tree *item, struct bytes value,
                      struct conn_cert *certs, uint8_t *count)
{
    if (c->form == FORM_FILE) {
        if (fits(c, *count, CONN_CERTS_MAX, item)) (*count)++;
        return;
    }
    struct pem_block blocks[CERT_BLOCKS_MAX];
    size_t block_count;
    if (pem_read(value, c->arena, blocks, CERT_BLOCKS_MAX, &block_count)) return;
    for (size_t i = 0; i < block_count; i++) {
        if (!fits(c, *count, CONN_CERTS_MAX, item)) return;
        certs[(*count)++].der = arena_copy(c->arena, blocks[i].der);
    }
}

static uint8_t certs_compile(struct compiling *c, const struct tree *round, const char *list,
                             const char *sections, struct conn_cert *certs)
{
    uint8_t count = 0;
    const struct tree *item = tree_find(round, list);
    for (struct parts parts = parts_of(item); parts_next(&parts);)
        certs_add(c, item, parts.value, certs, &count);
    TREE_EACH(section, round)
    {
        if (!is_named(section, sections)) continue;
        if (c->form == FORM_VICI)
            option_complain(c->complaints, FAULT_OPTION_UNSUPPORTED, c->where, section->place,
                            "%s: the daemon reads no files for clients: send the certificate in %s",
                            section->name, list);
        else if (!tree_text(section, "file", NULL))
            option_complain(c->complaints, FAULT_OPTION_MISSING, c->where, section->place,
                            "%s needs a file", section->name);
        else
            certs_add(c, section, BYTES_NONE, certs, &count);
    }
    return count;
}

static void key_ids_compile(const struct tree *round, const char *name, struct conn_cert *certs,
                            uint8_t count)
{
    uint8_t i = 0;
    for (struct parts parts = parts_of(tree_find(round, name)); parts_next(&parts); i++) {
        if (i >= count || strlen(parts.text) != 40) continue;
        for (size_t at = 0; at < 20; at++) {
            char byte[3] = {parts.text[2 * at], parts.text[2 * at + 1], '\0'};
            certs[i].key_id[at] = (uint8_t)strtoul(byte, NULL, 16);
        }
    }
}

// What a chain must have besides an anchor. An OID has two numbers at least, with dots between.
static bool oid_fits(const char *text)
{
    size_t dots = 0, size = strlen(text);
    for (const char *at = text; *at; at++) {
        dots += *at == '.';
        if (*at == '.' ? at == text || at[1] == '.' || !at[1] : *at < '0' || *at > '9') return false;
    }
    return dots > 0 && size <= POLICY_TEXT_MAX;
}

static void chain_compile(struct compiling *c, const struct tree *round, struct auth_conf *auth)
{
    struct wrong wrong;
    const char *ca_id = tree_text(round, "ca_id", NULL);
    const struct tree *policies = tree_find(round, "cert_policy");
    if (ca_id && !convert_identity(ca_id, c->arena, &auth->ca_id, &wrong))
        auth->ca_id = (struct identity){.type = ID_KEY_ID, .bytes = BYTES("nobody")};
    for (struct parts parts = parts_of(policies); parts_next(&parts);) {
        if (!fits(c, auth->policy_count, CONN_POLICIES_MAX, policies)) return;
        auth->policies[auth->policy_count++] = arena_copy(c->arena, bytes_of_text(parts.text));
        if (!oid_fits(parts.text))
            option_complain(c->complaints, FAULT_OPTION_VALUE, c->where, policies->place,
                            "cert_policy: \"%s\" is no OID: write numbers with dots between", parts.text);
    }
    if ((ca_id || policies) && auth->auth != AUTH_CLASS_PUBKEY)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, (policies ? policies : round)->place,
                        "%s has ca_id or cert_policy, which are of no use with another auth than pubkey",
                        round->name);
}

// As control sends them: those that it found, never too many.
static void above_compile(struct compiling *c, const struct tree *round, struct auth_conf *auth)
{
    for (struct parts parts = parts_of(tree_find(round, "certs-above")); parts_next(&parts);)
        if (auth->above_count < CONN_CERTS_MAX)
            auth->above[auth->above_count++] = arena_copy(c->arena, parts.value);
}

// What contradicts itself, or cannot be done.
static void round_check(struct compiling *c, const struct tree *round, bool local,
                        const struct auth_conf *auth)
{
    const struct tree *pubkeys = tree_find(round, "pubkeys");
    bool signs = auth->auth == AUTH_CLASS_PUBKEY;
    if (local && signs && auth->cert_count == 0 && auth->pubkey_count == 0)
        option_complain(c->complaints, FAULT_OPTION_MISSING, c->where, round->place,
                        "%s needs certs or pubkeys to prove its identity with, or auth = psk",
                        round->name);
    if (pubkeys && !signs)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, pubkeys->place,
                        "%s has pubkeys, which are of no use with another auth than pubkey",
                        round->name);
    // RFC 7619 2.2: an identity that nobody proves must not decide anything.
    if (!local && auth->auth == AUTH_CLASS_NULL && auth->id.type != IDENTITY_ANY)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(round, "id"),
                        "%s has auth = null and an id, which nobody proves: leave the id out",
                        round->name);
}

static void round_compile(struct compiling *c, const struct tree *round, bool local,
                          struct auth_conf *auth)
{
    static const struct word revocations[] = {{"relaxed", REVOCATION_RELAXED},
                                              {"ifuri", REVOCATION_IFURI},
                                              {"strict", REVOCATION_STRICT}};
    struct wrong wrong;
    auth->name = arena_text(c->arena, bytes_of_text(round->name));
    if (!convert_auth(tree_text(round, "auth", "pubkey"), !local, &auth->auth,
                      &auth->signature_schemes, &wrong))
        auth->auth = AUTH_CLASS_ANY;
    auth->signature_schemes = arena_copy(c->arena, auth->signature_schemes);
    const char *id = tree_text(round, "id", "%any");
    if (!convert_identity(id, c->arena, &auth->id, &wrong))
        auth->id = (struct identity){.type = IDENTITY_ANY};
    auth->cert_count = certs_compile(c, round, "certs", "cert", auth->certs);
    if (!local) auth->ca_count = certs_compile(c, round, "cacerts", "cacert", auth->cas);
    auth->pubkey_count = certs_compile(c, round, "pubkeys", "pubkey", auth->pubkeys);
    key_ids_compile(round, "cert-keyids", auth->certs, auth->cert_count);
    above_compile(c, round, auth);
    if (!local) chain_compile(c, round, auth);
    key_ids_compile(round, "pubkey-keyids", auth->pubkeys, auth->pubkey_count);
    auth->revocation = word_of(round, "revocation", revocations, COUNT(revocations));
    round_check(c, round, local, auth);
}

// Sections that begin with `beginning`, ordered by their number and then as they stand.
static size_t rounds_collect(struct compiling *c, const struct tree *section, const char *beginning,
                             const struct tree **rounds)
{
    size_t count = 0;
    TREE_EACH(item, section)
    {
        if (!is_named(item, beginning)) continue;
        if (!fits(c, count, CONN_ROUNDS_MAX, item)) break;
        uint64_t number = number_of(item, "round", 255, 0);
        size_t at = count++;
        for (; at > 0 && number_of(rounds[at - 1], "round", 255, 0) > number; at--)
            rounds[at] = rounds[at - 1];
        rounds[at] = item;
    }
    return count;
}

// Children that only let packets pass or drop them need no IKE SA, and their connection nobody to
// authenticate.
static bool needs_rounds(const struct tree *section)
{
    size_t count = 0;
    TREE_EACH(child, tree_section(section, "children"))
    {
        const char *mode = tree_text(child, "mode", "tunnel");
        if (strcasecmp(mode, "pass") != 0 && strcasecmp(mode, "drop") != 0) return true;
        count++;
    }
    return count == 0;
}

// A round that nobody can pass, so that no peer can make an SA of such a connection either.
static uint8_t round_closed(struct auth_conf *auth, const char *name)
{
    *auth = (struct auth_conf){.name = name,
                               .auth = AUTH_CLASS_PUBKEY,
                               .id = {.type = ID_KEY_ID, .bytes = BYTES("nobody")}};
    return 1;
}

static void rounds_compile(struct compiling *c, const struct tree *section)
{
    bool needed = needs_rounds(section);
    const struct tree *rounds[CONN_ROUNDS_MAX];
    struct conn *conn = c->conn;
    conn->local_rounds = (uint8_t)rounds_collect(c, section, "local", rounds);
    for (size_t i = 0; i < conn->local_rounds; i++)
        round_compile(c, rounds[i], true, &conn->local[i]);
    if (conn->local_rounds == 0 && !needed)
        conn->local_rounds = round_closed(&conn->local[0], "local");
    if (conn->local_rounds == 0)
        option_complain(
            c->complaints, FAULT_OPTION_MISSING, c->where, section->place,
            "connection \"%s\" has no local section that says how to prove our identity",
            section->name);
    conn->remote_rounds = (uint8_t)rounds_collect(c, section, "remote", rounds);
    for (size_t i = 0; i < conn->remote_rounds; i++)
        round_compile(c, rounds[i], false, &conn->remote[i]);
    if (conn->remote_rounds == 0 && !needed)
        conn->remote_rounds = round_closed(&conn->remote[0], "remote");
    if (conn->remote_rounds == 0)
        option_complain(
            c->complaints, FAULT_OPTION_MISSING, c->where, section->place,
            "connection \"%s\" has no remote section that says how the peer proves its identity",
            section->name);
}

// Children
// ---------------------------------------------------------------------------------------------------

static void ts_compile(struct compiling *c, const struct tree *section, const char *name,
                       struct selectors *set, uint32_t *dynamic)
{
    const struct tree *item = tree_find(section, name);
    struct wrong wrong;
    bool is_dynamic;
    for (struct parts parts = parts_of(item); parts_next(&parts);) {
        if (!fits(c, set->count, SELECTORS_MAX, item)) {
            parts_end(&parts);
            break;
        }
        if (!convert_ts(parts.text, &set->at[set->count], &is_dynamic, &wrong)) continue;
        if (is_dynamic) *dynamic |= UINT32_C(1) << set->count;
        set->count++;
    }
    if (set->count || !convert_ts("dynamic", &set->at[0], &is_dynamic, &wrong)) return;
    set->count = 1;
    *dynamic = 1;
}

struct limits {
    uint64_t rekey, life, rand;
};

// Of rekey, life and rand what is not given follows from the others: life is a tenth more than
// rekey, and rand their difference, but never so much that rekeying could come at once.
static struct limits limits_compile(struct compiling *c, const struct tree *child, const char *kind,
                                    enum option_type type, uint64_t usual)
{
    char names[3][24];
    static const char *const parts[3] = {"rekey", "life", "rand"};
    struct amount amounts[3];
    for (size_t i = 0; i < 3; i++) {
        snprintf(names[i], sizeof names[i], "%s_%s", parts[i], kind);
        amounts[i] = amount_of(child, names[i], type);
    }
    struct amount *rekey = &amounts[0], *life = &amounts[1], *rand = &amounts[2];
    if (!rekey->given) rekey->value = life->given ? life->value - life->value / TENTH : usual;
    if (!life->given) life->value = rekey->value + rekey->value / TENTH;
    if (life->value && life->value <= rekey->value)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(child, names[1]),
                        "%s must be more than %s, or the SA ends before it is rekeyed", names[1],
                        names[0]);
    if (rand->given && rekey->value && rand->value >= rekey->value)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(child, names[2]),
                        "%s must be less than %s, or keys could be replaced all the time", names[2],
                        names[0]);
    if (!rand->given) rand->value = life->value > rekey->value ? life->value - rekey->value : 0;
    if (!rand->given && rand->value > rekey->value / 2) rand->value = rekey->value / 2;
    return (struct limits){rekey->value, life->value, rand->value};
}

static void child_limits_compile(struct compiling *c, const struct tree *section,
                                 struct child_conf *child)
{
    struct limits time =
        limits_compile(c, section, "time", TYPE_TIME, (uint64_t)nsec_seconds(3600));
    if (time.rekey && time.life > time.rekey)
        margin_check(
            c, place_of(section, tree_find(section, "life_time") ? "life_time" : "rekey_time"),
            "life_time - rekey_time", time.life - time.rekey);
    struct limits bytes = limits_compile(c, section, "bytes", TYPE_BYTES, 0);
    struct limits packets = limits_compile(c, section, "packets", TYPE_BIGNUMBER, 0);
    child->rekey_time = (nsec)time.rekey, child->life_time = (nsec)time.life,
    child->rand_time = (nsec)time.rand;
    child->rekey_bytes = bytes.rekey, child->life_bytes = bytes.life,
    child->rand_bytes = bytes.rand;
    child->rekey_packets = packets.rekey, child->life_packets = packets.life,
    child->rand_packets = packets.rand;
}

static void child_mode_compile(const struct tree *section, struct child_conf *child)
{
    static const struct word modes[] = {{"tunnel", MODE_TUNNEL},
                                        {"transport", MODE_TRANSPORT},
                                        {"beet", MODE_BEET},
                                        {"iptfs", MODE_IPTFS},
                                        {"pass", 0},
                                        {"drop", 0}};
    static const struct word policies[] = {
        {"", POLICY_PROTECT}, {"pass", POLICY_BYPASS}, {"drop", POLICY_DISCARD}};
    child->mode = word_of(section, "mode", modes, COUNT(modes));
    child->action = word_of(section, "mode", policies, COUNT(policies));
}

static void child_words_compile(const struct tree *section, struct child_conf *child)
{
    static const struct word starts[] = {{"none", START_NONE},   {"clear", START_NONE},
                                         {"trap", START_TRAP},   {"route", START_TRAP},
                                         {"start", START_START}, {"restart", START_START}};
    static const struct word afters[] = {{"clear", AFTER_CLEAR},     {"none", AFTER_CLEAR},
                                         {"trap", AFTER_TRAP},       {"route", AFTER_TRAP},
                                         {"restart", AFTER_RESTART}, {"start", AFTER_RESTART}};
    static const struct word dscp[] = {{"out", 1}, {"in", 2}, {"yes", 3}, {"no", 0}};
    child->start_action = words_of(section, "start_action", starts, COUNT(starts));
    child->dpd_action = word_of(section, "dpd_action", afters, COUNT(afters));
    child->close_action = word_of(section, "close_action", afters, COUNT(afters));
    static const struct word per_cpu[] = {{"no", PER_CPU_NO}, {"yes", PER_CPU_YES}};
    child->copy_dscp = word_of(section, "copy_dscp", dscp, COUNT(dscp));
    child->per_cpu = word_of(section, "per_cpu_sas", per_cpu, COUNT(per_cpu));
    child_mode_compile(section, child);
}

static bool offers_null(const struct proposals *proposals)
{
    for (unsigned i = 0; i < proposals->count; i++)
        for (unsigned j = 0; j < proposals->at[i].count; j++) {
            const struct transform *at = &proposals->at[i].at[j];
            if (at->type == TRANSFORM_ENCR && (at->id == ENCR_NULL || at->id == ENCR_NULL_AES_GMAC))
                return true;
        }
    return false;
}

static void child_proposals_compile(struct compiling *c, const struct tree *section,
                                    struct child_conf *child)
{
    const struct tree *ah = tree_find(section, "ah_proposals"),
                      *esp = tree_find(section, "esp_proposals");
    proposals_compile(c, ah, PROTOCOL_AH, &child->ah);
    proposals_compile(c, esp, PROTOCOL_ESP, &child->esp);
    if (child->ah.count && child->esp.count)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, ah->place,
                        "a child has either ah_proposals or esp_proposals");
    if (offers_null(&child->esp))
        complain_warning(c->complaints, FAULT_NOT_ENCRYPTED, esp->place, "%s: a proposal says so",
                         fault_sentence(FAULT_NOT_ENCRYPTED));
    if (!child->ah.count && !child->esp.count) proposals_default(PROTOCOL_ESP, &child->esp);
}

static bool has_peer(const struct conn *conn)
{
    for (size_t i = 0; i < conn->remote_count; i++) {
        const struct host_pattern *host = &conn->remote_hosts[i];
        if (host->kind == HOST_NAME) return true;
        if (host->kind == HOST_RANGE && addr_equal(&host->range.low, &host->range.high))
            return true;
    }
    return false;
}

// Who is to initiate must know where to.
static void child_start_check(struct compiling *c, const struct tree *section,
                              const struct child_conf *child)
{
    if (child->action != POLICY_PROTECT || !child->start_action || has_peer(c->conn)) return;
    option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where,
                    place_of(section, "start_action"),
                    "start_action = %s needs an address or a name in remote_addrs to go to",
                    tree_text(section, "start_action", ""));
}

// A number of bytes, or the word mtu.
static uint16_t padding_of(struct compiling *c, const struct tree *section)
{
    const char *text = tree_text(section, "tfc_padding", "0");
    char *end;
    unsigned long bytes = strtoul(text, &end, 10);
    if (strcasecmp(text, "mtu") == 0) return TFC_MTU;
    if (*text >= '0' && *text <= '9' && *end == 0 && bytes < TFC_MTU) return (uint16_t)bytes;
    option_complain(c->complaints, FAULT_OPTION_VALUE, c->where, place_of(section, "tfc_padding"),
                    "tfc_padding = %s is neither a number of bytes below %u nor mtu", text,
                    (unsigned)TFC_MTU);
    return 0;
}

// Route-based: what does not say which device has the connection's.
static uint32_t if_id_of(const struct tree *section, const char *name, uint32_t otherwise)
{
    struct wrong wrong;
    uint32_t if_id;
    const char *text = tree_text(section, name, NULL);
    return text && convert_if_id(text, &if_id, &wrong) && if_id ? if_id : otherwise;
}

static void devices_compile(struct compiling *c, const struct tree *conn, const struct tree *section,
                            struct child_conf *child)
{
    uint32_t in = if_id_of(conn, "if_id_in", 0), out = if_id_of(conn, "if_id_out", 0);
    child->if_id_in = if_id_of(section, "if_id_in", in);
    child->if_id_out = if_id_of(section, "if_id_out", out);
    child->if_id_shared = !if_id_of(section, "if_id_in", 0) &&
                          !if_id_of(section, "if_id_out", 0);
    if (!child->if_id_in && !child->if_id_out) return;
    const char *mode = tree_text(section, "mode", "tunnel");
    if (child->mode != MODE_TUNNEL && child->action != POLICY_DISCARD)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(section, "mode"),
                        "mode = %s does not go with if_id_in and if_id_out: a device's packets go through a tunnel",
                        mode);
}

static void ipcomp_check(struct compiling *c, const struct tree *section,
                         const struct child_conf *child)
{
    if (!child->ipcomp || (!child->ah.count && !child->tfc_padding)) return;
    option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(section, "ipcomp"),
                    child->ah.count ? "ipcomp goes with esp_proposals only"
                                    : "ipcomp makes sizes tell of what tfc_padding hides");
}

static uint16_t packet_size_of(struct compiling *c, const struct tree *section)
{
    uint64_t size = number_of(section, "iptfs_packet_size", UINT16_MAX, 0);
    if (size && size < IPTFS_PACKET_SIZE_MIN)
        option_complain(c->complaints, FAULT_OPTION_VALUE, c->where,
                        place_of(section, "iptfs_packet_size"),
                        "iptfs_packet_size = %u is less than %u", (unsigned)size,
                        (unsigned)IPTFS_PACKET_SIZE_MIN);
    return (uint16_t)size;
}

static void child_iptfs_compile(struct compiling *c, const struct tree *section,
                                struct child_conf *child)
{
    child->iptfs_packet_size = packet_size_of(c, section);
    child->iptfs_rate = (uint32_t)number_of(section, "iptfs_rate", IPTFS_RATE_MAX, 0);
    child->iptfs_init_delay =
        (uint32_t)number_of(section, "iptfs_init_delay", IPTFS_INIT_DELAY_MAX, 0);
    child->iptfs_reorder_window =
        (uint8_t)number_of(section, "iptfs_reorder_window", IPTFS_REORDER_MAX, 3);
    child->iptfs_drop_time =
        (uint16_t)number_of(section, "iptfs_drop_time", IPTFS_DROP_TIME_MAX, 100);
    child->iptfs_accept_fragments = bool_of(section, "iptfs_accept_fragments", true);
    child->iptfs_dont_frag = bool_of(section, "iptfs_dont_frag", false);
    if (child->mode == MODE_IPTFS && child->ipcomp)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(section, "ipcomp"),
                        "ipcomp does not go with mode = iptfs: a payload is no single packet");
}

// auto, no, or the number of bytes that a TCP segment has at most.
static uint16_t mss_of(struct compiling *c, const struct tree *section)
{
    enum { LEAST = 216, MOST = 65495 }; // 256 and 65,535 less two headers
    const char *text = tree_text(section, "tcp_mss", "auto");
    char *end;
    unsigned long bytes = strtoul(text, &end, 10);
    if (strcasecmp(text, "auto") == 0) return MSS_AUTO;
    if (strcasecmp(text, "no") == 0) return 0;
    if (*text >= '0' && *text <= '9' && *end == 0 && bytes >= LEAST && bytes <= MOST)
        return (uint16_t)bytes;
    option_complain(c->complaints, FAULT_OPTION_VALUE, c->where, place_of(section, "tcp_mss"),
                    "tcp_mss = %s is neither auto nor no nor a number from %d to %d", text, LEAST,
                    MOST);
    return 0;
}

static void child_compile(struct compiling *c, const struct tree *section, const struct tree *conn,
                          struct child_conf *child)
{
    child->name = arena_text(c->arena, bytes_of_text(section->name));
    child->conn = c->conn;
    child_proposals_compile(c, section, child);
    ts_compile(c, section, "local_ts", &child->local_ts, &child->local_dynamic);
    ts_compile(c, section, "remote_ts", &child->remote_ts, &child->remote_dynamic);
    child_words_compile(section, child);
    child_start_check(c, section, child);
    child_limits_compile(c, section, child);
    child->inactivity = (nsec)amount_of(section, "inactivity", TYPE_TIME).value;
    child->replay_window = (uint32_t)number_of(section, "replay_window", 65536, 32);
    child->priority = (uint32_t)number_of(section, "priority", UINT32_MAX, 0);
    child->reqid = (uint32_t)number_of(section, "reqid", UINT32_MAX, 0);
    const char *updown = tree_text(section, "updown", "");
    if (*updown) child->updown = arena_text(c->arena, bytes_of_text(updown));
    child->hostaccess = bool_of(section, "hostaccess", false);
    child->copy_df = bool_of(section, "copy_df", true);
    child->copy_ecn = bool_of(section, "copy_ecn", true);
    child->policies = bool_of(section, "policies", true);
    child->sha256_96 = bool_of(section, "sha256_96", false);
    child->ipcomp = bool_of(section, "ipcomp", false);
    child->strict_mode = strcasecmp(tree_text(section, "strict", "no"), "mode") == 0;
    child->tfc_padding = padding_of(c, section);
    devices_compile(c, conn, section, child);
    ipcomp_check(c, section, child);
    child_iptfs_compile(c, section, child);
    child->tcp_mss = mss_of(c, section);
    bool outer = strcasecmp(tree_text(section, "fragments", "inner"), "outer") == 0;
    child->fragments = outer ? FRAGMENTS_OUTER : FRAGMENTS_INNER;
}

// A message may name a child twice; a file cannot, since its sections merge.
static bool is_twice(const struct conn *conn, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(conn->children[i].name, name) == 0) return true;
    return false;
}

static void children_compile(struct compiling *c, const struct tree *section)
{
    const struct tree *children = tree_section(section, "children");
    const char *outer = c->where;
    size_t count = 0;
    TREE_EACH(item, children) count += item->kind == TREE_SECTION;
    if (!fits(c, count ? count - 1 : 0, CONN_CHILDREN_MAX, children ? children : section)) return;
    c->conn->children = arena_array(c->arena, count, sizeof *c->conn->children);
    TREE_EACH(item, children)
    {
        if (item->kind != TREE_SECTION) continue;
        AUTOFREE_MEM char *where = mem_printf("%s.children.%s", outer, item->name);
        c->where = where;
        if (is_twice(c->conn, c->conn->child_count, item->name))
            option_complain(c->complaints, FAULT_OPTION_CONFLICT, where, item->place,
                            "there are two children of this name");
        else
            child_compile(c, item, section, &c->conn->children[c->conn->child_count++]);
    }
    c->where = outer;
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
    if (complaints->errors + complaints->repeated == before) return conn;
    conn_release(conn);
    return NULL;
}
