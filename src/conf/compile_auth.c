// SPDX-License-Identifier: Apache-2.0
// Rounds of authentication of a connection: who proves what, with which keys and certificates.
#include "conf/compile.h"
#include <strings.h>

enum { CERT_BLOCKS_MAX = 16, POLICY_TEXT_MAX = 250 };

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
        if (*at == '.' ? at == text || at[1] == '.' || !at[1] : *at < '0' || *at > '9')
            return false;
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
                            "cert_policy: \"%s\" is no OID: write numbers with dots between",
                            parts.text);
    }
    if ((ca_id || policies) && auth->auth != AUTH_CLASS_PUBKEY)
        option_complain(
            c->complaints, FAULT_OPTION_CONFLICT, c->where, (policies ? policies : round)->place,
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

void rounds_compile(struct compiling *c, const struct tree *section)
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
