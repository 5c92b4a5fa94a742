// SPDX-License-Identifier: Apache-2.0
// A whole configuration: every connection compiled, every section checked, and whether the sections
// fit together.
#include "conf/options_internal.h"
#include <stdio.h>

struct conn *options_conn(const struct tree *section, struct complaints *complaints)
{
    if (section->kind != TREE_SECTION) {
        complain(complaints, FAULT_OPTION_VALUE, section->place,
                 "a connection is a section, \"%s\" is not", section->name);
        return NULL;
    }
    return conn_compile(section, FORM_VICI, section->name, complaints);
}

struct marked { // connections that use marks
    struct conn_source *at;
    size_t count;
};

static void marked_keep(struct marked *marked, struct conn *conn, const struct tree *section,
                        struct complaints *complaints)
{
    struct conn_source source = {conn, section};
    for (size_t i = 0; i < marked->count; i++)
        options_marks_check(&source, &marked->at[i], complaints);
    marked->at = mem_grow(marked->at, marked->count + 1, sizeof *marked->at);
    marked->at[marked->count++] = source;
}

static void marked_free(struct marked *marked)
{
    for (size_t i = 0; i < marked->count; i++) conn_release(marked->at[i].conn);
    free(marked->at);
}

static void connections_check(const struct tree *connections, struct complaints *complaints)
{
    struct marked marked = {0};
    TREE_EACH(item, connections)
    {
        if (item->kind != TREE_SECTION) {
            option_complain(
                complaints, FAULT_OPTION_UNKNOWN, "", item->place,
                "unknown option \"%s\": connections holds a section for each connection",
                item->name);
            continue;
        }
        AUTOFREE_MEM char *where = mem_printf("connections.%s", item->name);
        struct conn *conn = conn_compile(item, FORM_FILE, where, complaints);
        if (conn && options_has_marks(conn))
            marked_keep(&marked, conn, item, complaints);
        else
            conn_release(conn);
    }
    marked_free(&marked);
}

// What a section of some kind cannot do without; the second name may stand for the first.
struct need {
    const char *section, *beginning, *option, *instead;
};

static void need_check(const struct tree *root, const struct need *need,
                       struct complaints *complaints)
{
    TREE_EACH(item, tree_section(root, need->section))
    {
        if (!is_named(item, need->beginning) || tree_find(item, need->option)) continue;
        if (need->instead && tree_find(item, need->instead)) continue;
        option_complain(complaints, FAULT_OPTION_MISSING, "", item->place, "%s.%s needs %s",
                        need->section, item->name, need->option);
    }
}

static void needs_check(const struct tree *root, struct complaints *complaints)
{
    static const struct need needs[] = {
        {"secrets", "ike", "secret", NULL},    {"secrets", "private", "secret", NULL},
        {"secrets", "private", "file", NULL},  {"secrets", "rsa", "secret", NULL},
        {"secrets", "rsa", "file", NULL},      {"secrets", "ecdsa", "secret", NULL},
        {"secrets", "ecdsa", "file", NULL},    {"secrets", "pkcs8", "secret", NULL},
        {"secrets", "pkcs8", "file", NULL},    {"pools", "", "addrs", NULL},
        {"authorities", "", "cacert", "file"}, {"secrets", "ppk", "secret", NULL},
    };
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        need_check(root, &needs[i], complaints);
}

// Pools may also have been loaded by somebody else, so that an unknown one is no error.
static void pools_check(const struct tree *root, const struct tree *conn,
                        struct complaints *complaints)
{
    const struct tree *item = tree_find(conn, "pools");
    for (struct parts parts = parts_of(item); parts_next(&parts);)
        if (!tree_section(tree_section(root, "pools"), parts.text))
            complain_warning(complaints, FAULT_CONF_REFERENCE, value_place(item, parts.offset),
                             "there is no pool \"%s\" in this configuration", parts.text);
}

static bool ppk_has(const struct tree *secret, struct bytes name)
{
    struct arena arena = {0};
    struct identity id;
    struct wrong wrong;
    bool found = false;
    TREE_EACH(item, secret)
    {
        bool names = item->kind == TREE_VALUE && strncmp(item->name, "id", 2) == 0;
        if (names && convert_identity((const char *)item->value.at, &arena, &id, &wrong))
            found |= bytes_equal(id.bytes, name);
    }
    arena_free(&arena);
    return found;
}

// Is there a secret of that name? Patterns name none: those are for who answers.
static bool ppk_is_there(const struct tree *root, const char *text, bool *is_pattern)
{
    struct arena arena = {0};
    struct identity id;
    struct wrong wrong;
    bool found = false;
    *is_pattern = !convert_identity(text, &arena, &id, &wrong) || id.type == IDENTITY_ANY ||
                  id.regex || memchr(id.bytes.at, '*', id.bytes.size);
    TREE_EACH(item, *is_pattern ? NULL : tree_section(root, "secrets"))
    if (is_named(item, "ppk")) found |= ppk_has(item, id.bytes);
    arena_free(&arena);
    return found;
}

// Keys may have been loaded by somebody else, too, and some of ppk_ids may be there one day.
static void ppks_check(const struct tree *root, const struct tree *conn,
                       struct complaints *complaints)
{
    const struct tree *one = tree_find(conn, "ppk_id"), *more = tree_find(conn, "ppk_ids");
    const struct tree *first = NULL;
    bool is_pattern = true, found = one && ppk_is_there(root, tree_text(conn, "ppk_id", ""), &is_pattern);
    if (!is_pattern) first = one;
    for (struct parts parts = parts_of(more); parts_next(&parts);) {
        found |= ppk_is_there(root, parts.text, &is_pattern);
        if (!first && !is_pattern) first = more;
    }
    if (first && !found)
        complain_warning(complaints, FAULT_CONF_REFERENCE, value_place(first, 0),
                         "no secrets.ppk section of this configuration has the id of a key that %s names",
                         first->name);
}

// A section at the top that is no known one is there for others to inherit from.
static void top_check(const struct tree *item, struct complaints *complaints)
{
    if (item->kind == TREE_SECTION && item->inherited_from) return;
    const char *nearest = options_nearest("", item->name);
    if (nearest)
        complain(complaints, FAULT_OPTION_UNKNOWN, item->place,
                 "unknown section \"%s\": did you mean %s?", item->name, nearest);
    else if (item->kind == TREE_SECTION)
        complain_warning(complaints, FAULT_OPTION_UNKNOWN, item->place,
                         "section \"%s\" is without effect: nothing inherits from it", item->name);
    else
        complain(complaints, FAULT_OPTION_UNKNOWN, item->place,
                 "option \"%s\" stands in no section", item->name);
}

void options_check(const struct tree *root, struct complaints *complaints)
{
    TREE_EACH(item, root)
    {
        const struct option *row = option_find("", item->name);
        if (row && row->type == TYPE_INCLUDE)
            complain(complaints, FAULT_CONF_SYNTAX, item->place,
                     "include is written without an equals sign: include FILES");
        else if (!row)
            top_check(item, complaints);
        else if (item->kind != TREE_SECTION)
            complain(complaints, FAULT_OPTION_VALUE, item->place,
                     "\"%s\" is a section: write %s { … }", item->name, item->name);
        else if (strcmp(item->name, "connections") == 0)
            connections_check(item, complaints);
        else
            section_check(item, item->name, item->name, FORM_FILE, complaints);
    }
    needs_check(root, complaints);
    TREE_EACH(conn, tree_section(root, "connections"))
    {
        pools_check(root, conn, complaints);
        ppks_check(root, conn, complaints);
    }
}
