// SPDX-License-Identifier: Apache-2.0
// The table of options: looking a name up, finding the nearest to a misspelt one, and checking that
// what a section says is known, supported and well-formed. Whether options go together is the
// matter of compile.c.
#include "conf/options_internal.h"
#include <stdio.h>
#include <strings.h>

enum { WHERE_MAX = 1024, NAME_COMPARED = 64, PEM_BLOCKS_MAX = 16 };

static const struct option options[] = {
#define OPTION(path, type, words, otherwise, support, help)                                        \
    {path, TYPE_##type, SUPPORT_##support, words, otherwise, help},
#include "conf/options.def"
#undef OPTION
};
enum { OPTION_COUNT = sizeof options / sizeof *options };

// Sections that have no row of their own, because there is nothing to say about them.
static const struct option children = {
    "connections.<conn>.children", TYPE_SECTION, SUPPORT_YES, "", "", ""};
// What only our own control process adds to VICI sections: the key ids of certificates and raw
// keys, and the CAs above our certificates.
static const struct option additions[] = {{"cert-keyids", TYPE_NAMES, SUPPORT_YES, "", "", ""},
                                         {"pubkey-keyids", TYPE_NAMES, SUPPORT_YES, "", "", ""},
                                         {"certs-above", TYPE_FILES, SUPPORT_YES, "", "", ""}};

size_t options_rows(const struct option_row **rows)
{
    static const struct option_row table[] = {
#define OPTION(path, type, words, otherwise, support, help)                                        \
    {path, #type, otherwise, help, SUPPORT_##support == SUPPORT_YES},
#include "conf/options.def"
#undef OPTION
    };
    *rows = table;
    return sizeof table / sizeof *table;
}

// Looking up
// ---------------------------------------------------------------------------------------------------

// The name part of a row that stands directly in the section with that path; NULL for all others.
static const char *row_name(const struct option *row, const char *path)
{
    size_t size = strlen(path);
    const char *name = row->path;
    if (size) {
        if (strncmp(row->path, path, size) != 0 || row->path[size] != '.') return NULL;
        name += size + 1;
    }
    return strchr(name, '.') ? NULL : name;
}

static bool is_exact(const char *pattern)
{
    return !strchr(pattern, '<');
}

// "local<suffix>" takes every name that begins with local, "<conn>" every name.
static bool name_fits(const char *pattern, const char *name)
{
    size_t fixed = strcspn(pattern, "<");
    return pattern[fixed] ? strncmp(name, pattern, fixed) == 0 : strcmp(name, pattern) == 0;
}

// Names that are written out win over patterns, and long beginnings over short ones: pkcs12 is not
// a pkcs1.
static const struct option *option_match(const char *path, const char *name, bool sections)
{
    const struct option *best = NULL;
    size_t best_size = 0;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const char *pattern = row_name(&options[i], path);
        if (!pattern || !name_fits(pattern, name)) continue;
        if (is_exact(pattern)) return &options[i];
        if (sections && options[i].type != TYPE_SECTION) continue;
        size_t size = strcspn(pattern, "<") + 1;
        if (size > best_size) best = &options[i], best_size = size;
    }
    return best;
}

const struct option *option_find(const char *path, const char *name)
{
    if (strcmp(path, "connections.<conn>") == 0 && strcmp(name, "children") == 0) return &children;
    return option_match(path, name, false);
}

// Nearest names
// ---------------------------------------------------------------------------------------------------

static size_t least(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

static char plain(char c)
{
    return c == '-' ? '_' : (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

// Insertions, deletions and replacements that make one of the other; dashes and upper case are no
// differences.
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_COMPARED + 1], size = strlen(b);
    if (strlen(a) > NAME_COMPARED || size > NAME_COMPARED) return SIZE_MAX;
    for (size_t j = 0; j <= size; j++) row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= size; j++) {
            size_t above = row[j];
            row[j] =
                least(row[j] + 1, row[j - 1] + 1, diagonal + (plain(a[i - 1]) != plain(b[j - 1])));
            diagonal = above;
        }
    }
    return row[size];
}

// A name may be wrong in a third of its letters, at least in one.
static size_t distance_allowed(const char *name)
{
    size_t size = strlen(name);
    return size < 3 ? 0 : size < 6 ? 1 : size / 3;
}

const char *options_nearest(const char *path_of_section, const char *name)
{
    const char *nearest = NULL;
    size_t best = distance_allowed(name) + 1;
    if (strcmp(path_of_section, "connections.<conn>") == 0 && distance(name, "children") < best)
        return "children";
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const char *pattern = row_name(&options[i], path_of_section);
        if (!pattern || !is_exact(pattern)) continue;
        size_t d = distance(name, pattern);
        if (d < best) nearest = pattern, best = d;
    }
    return nearest;
}

// A section in which the name would be right, or NULL.
static const struct option *option_elsewhere(const char *name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const char *dot = strrchr(options[i].path, '.');
        if (dot && strcmp(dot + 1, name) == 0) return &options[i];
    }
    return NULL;
}

// Complaining
// ---------------------------------------------------------------------------------------------------

struct checking {
    struct complaints *complaints;
    enum option_form form;
    const char *name;   // of the item being checked
    struct arena arena; // likewise
};

// The column of a byte of the value, if the value stands in the line as it is; else of the value's
// beginning.
struct place value_place(const struct tree *item, size_t at)
{
    struct place place = item->place;
    if (!place.value_column) return place;
    place.column = place.value_column;
    if (!place.text || item->kind != TREE_VALUE || at >= item->value.size) return place;
    size_t line = strcspn(place.text, "\r\n");
    size_t start = place.value_column - 1;
    if (start < line && place.text[start] == '"') start++;
    if (start + at >= line || memcmp(place.text + start, item->value.at, at + 1) != 0) return place;
    place.column = (unsigned)(start + at + 1);
    return place;
}

// Without a file the name of the section says where it is.
void option_complain(struct complaints *complaints, enum fault fault, const char *where,
                     struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    AUTOFREE_MEM char *text = mem_vprintf(format, args);
    va_end(args);
    if (place.file || !*where)
        complain(complaints, fault, place, "%s", text);
    else
        complain(complaints, fault, place, "%s: %s", where, text);
}

static void unknown_complain(struct checking *c, const struct tree *item, const char *path,
                             const char *where)
{
    const char *kind = item->kind == TREE_SECTION ? "section" : "option";
    const struct option *elsewhere = option_elsewhere(item->name);
    const char *nearest = elsewhere ? NULL : options_nearest(path, item->name);
    if (nearest)
        option_complain(c->complaints, FAULT_OPTION_UNKNOWN, where, item->place,
                        "unknown %s \"%s\": did you mean %s?", kind, item->name, nearest);
    else if (elsewhere)
        option_complain(c->complaints, FAULT_OPTION_UNKNOWN, where, item->place,
                        "unknown %s \"%s\" here: it belongs into %.*s", kind, item->name,
                        (int)(strrchr(elsewhere->path, '.') - elsewhere->path), elsewhere->path);
    else
        option_complain(c->complaints, FAULT_OPTION_UNKNOWN, where, item->place,
                        "unknown %s \"%s\"", kind, item->name);
}

// Values
// ---------------------------------------------------------------------------------------------------

static bool enum_check(const char *words, const char *text, size_t size, struct wrong *wrong)
{
    char expected[120];
    size_t used = 0;
    for (const char *at = words; *at; at += strspn(at, " ")) {
        size_t word = strcspn(at, " ");
        bool later = at[word - 1] == '!';
        size_t plain_size = word - later;
        if (plain_size == size && strncasecmp(at, text, size) == 0)
            return !later ||
                   wrong_say(wrong, FAULT_OPTION_UNSUPPORTED, 0, "is known but not supported yet");
        if (!later && used + word + 3 < sizeof expected)
            used += (size_t)snprintf(expected + used, sizeof expected - used, "%s%.*s",
                                     used ? ", " : "", (int)word, at);
        at += word;
    }
    return wrong_say(wrong, FAULT_OPTION_VALUE, 0, "expected one of %s",
                     used ? expected : "nothing");
}

static bool actions_check(const char *words, const char *text, struct wrong *wrong)
{
    const char *at = text;
    for (;;) {
        size_t size = strcspn(at, "|");
        if (!enum_check(words, at, size, wrong)) {
            wrong->at = (size_t)(at - text);
            return false;
        }
        if (!at[size]) return true;
        at += size + 1;
    }
}

static bool number_check(const char *words, const char *text, struct wrong *wrong)
{
    uint64_t low = 0, high = UINT64_MAX, value;
    const char *dots = strstr(words, "..");
    if (dots) low = strtoull(words, NULL, 10), high = strtoull(dots + 2, NULL, 10);
    return convert_number(text, low, high, &value, wrong);
}

static bool addr_check(const char *text, struct wrong *wrong)
{
    struct addr addr;
    enum fault fault = strcmp(text, "%any") == 0 ? OK : addr_parse(text, &addr);
    return !fault ||
           wrong_say(wrong, fault, 0, "expected an address like 10.3.0.1, or 0.0.0.0 or ::");
}

static bool uri_check(const char *text, struct wrong *wrong)
{
    static const char *const schemes[] = {"http://", "https://", "ldap://", "file://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0) return true;
    return wrong_say(wrong, FAULT_OPTION_VALUE, 0,
                     "expected an address that begins with http://, https://, ldap:// or file://");
}

static bool proposal_check(const char *protocol, const char *text, struct wrong *wrong)
{
    struct proposal proposal;
    if (strcmp(text, "default") == 0) return true;
    enum iana_protocol number = protocol[0] == 'i'   ? PROTOCOL_IKE
                                : protocol[0] == 'e' ? PROTOCOL_ESP
                                                     : PROTOCOL_AH;
    return convert_proposal(text, number, &proposal, wrong);
}

static bool auth_check(const char *side, const char *text, struct wrong *wrong)
{
    uint8_t class;
    struct bytes schemes;
    return convert_auth(text, side[0] == 'r', &class, &schemes, wrong);
}

// Certificates in VICI messages are PEM or DER.
static bool blob_check(struct checking *c, struct bytes value, struct wrong *wrong)
{
    struct pem_block blocks[PEM_BLOCKS_MAX];
    size_t count;
    enum fault fault = pem_read(value, &c->arena, blocks, PEM_BLOCKS_MAX, &count);
    return !fault || wrong_say(wrong, fault, 0,
                               "expected certificates in PEM or DER, not the name of a file");
}

static bool ts_check(const char *text, struct wrong *wrong)
{
    struct selector selector;
    bool dynamic;
    return convert_ts(text, &selector, &dynamic, wrong);
}

static bool part_check(struct checking *c, const struct option *row, const struct parts *part,
                       struct wrong *wrong)
{
    union {
        bool yes;
        nsec time;
        uint64_t number;
        uint8_t byte;
        uint32_t if_id;
        struct mark mark;
        struct host_pattern host;
        struct identity identity;
        struct range range;
        struct bytes bytes;
        struct pool_attribute attribute;
    } out;
    const char *text = part->text;
    switch ((enum option_type)row->type) {
    case TYPE_BOOL:
        return convert_bool(text, &out.yes, wrong);
    case TYPE_NUMBER:
        return number_check(row->words, text, wrong);
    case TYPE_BIGNUMBER:
        return convert_number(text, 0, UINT64_MAX / 4, &out.number, wrong);
    case TYPE_TIME:
        return convert_time(text, &out.time, wrong);
    case TYPE_BYTES:
        return convert_bytes(text, &out.number, wrong);
    case TYPE_DSCP:
        return convert_dscp(text, &out.byte, wrong);
    case TYPE_MARK:
        return strcasecmp(text, "%same") == 0 || convert_mark(text, &out.mark, wrong);
    case TYPE_IFID:
        return convert_if_id(text, &out.if_id, wrong);
    case TYPE_ENUM:
        return enum_check(row->words, text, strlen(text), wrong);
    case TYPE_ACTIONS:
        return actions_check(row->words, text, wrong);
    case TYPE_HOSTS:
        return convert_host(text, &c->arena, &out.host, wrong);
    case TYPE_ADDRS:
        return addr_check(text, wrong);
    case TYPE_RANGE:
        return convert_range(text, &out.range, wrong);
    case TYPE_PROPOSALS:
        return proposal_check(row->words, text, wrong);
    case TYPE_TS:
        return ts_check(text, wrong);
    case TYPE_IDENTITY:
        return convert_identity(text, &c->arena, &out.identity, wrong);
    case TYPE_AUTH:
        return auth_check(row->words, text, wrong);
    case TYPE_SECRET:
        return convert_secret(part->value, &c->arena, &out.bytes, wrong);
    case TYPE_ATTRIBUTE:
        return convert_attribute(c->name, text, &c->arena, &out.attribute, wrong);
    case TYPE_URIS:
        return uri_check(text, wrong);
    case TYPE_FILES:
        return c->form == FORM_FILE || blob_check(c, part->value, wrong);
    default:
        return true;
    }
}

static bool is_list(const struct option *row)
{
    static const bool lists[TYPE_COUNT] = {
        [TYPE_HOSTS] = true, [TYPE_ADDRS] = true, [TYPE_PROPOSALS] = true, [TYPE_TS] = true,
        [TYPE_NAMES] = true, [TYPE_FILES] = true, [TYPE_URIS] = true,      [TYPE_ATTRIBUTE] = true};
    return lists[row->type];
}

static void wrong_complain(struct checking *c, const struct option *row, const struct tree *item,
                           const struct parts *part, const struct wrong *wrong, const char *where)
{
    struct place place = value_place(item, part->offset + wrong->at);
    bool hidden = row->type == TYPE_SECRET || row->type == TYPE_FILES;
    const char *joint = strncmp(wrong->why, "is ", 3) == 0 ? "" : ":";
    const char *reason = wrong->fault == FAULT_OPTION_UNSUPPORTED ? refusal_reason(item->name) : NULL;
    if (hidden)
        option_complain(c->complaints, wrong->fault, where, place, "%s%s %s", item->name, joint,
                        wrong->why);
    else
        option_complain(c->complaints, wrong->fault, where, place, "%s = %.100s%s %s%s%s", item->name,
                        part->text, joint, wrong->why, reason ? ": " : "", reason ? reason : "");
}

static void value_check(struct checking *c, const struct option *row, const struct tree *item,
                        const char *where)
{
    struct wrong wrong = {0};
    c->name = item->name;
    if (!is_list(row) && item->kind == TREE_LIST) {
        option_complain(c->complaints, FAULT_OPTION_VALUE, where, item->place,
                        "%s takes one value, not a list", item->name);
        return;
    }
    if (!is_list(row)) {
        struct parts whole = {.text = mem_text_of(item->value), .value = item->value};
        if (!part_check(c, row, &whole, &wrong))
            wrong_complain(c, row, item, &whole, &wrong, where);
        parts_end(&whole);
        return;
    }
    for (struct parts parts = parts_of(item); parts_next(&parts);)
        if (!part_check(c, row, &parts, &wrong))
            wrong_complain(c, row, item, &parts, &wrong, where);
}

// What is not supported may still say what is the case anyway.
static bool is_default(const struct option *row, const struct tree *item)
{
    struct wrong wrong;
    const char *text = (const char *)item->value.at;
    if (item->kind == TREE_LIST) return item->first == NULL;
    if (item->value.size == 0 || strcmp(text, row->otherwise) == 0) return true;
    bool yes, otherwise;
    if (row->type == TYPE_BOOL)
        return convert_bool(text, &yes, &wrong) &&
               convert_bool(row->otherwise, &otherwise, &wrong) && yes == otherwise;
    nsec time, usual;
    if (row->type == TYPE_TIME)
        return convert_time(text, &time, &wrong) && convert_time(row->otherwise, &usual, &wrong) &&
               time == usual;
    uint64_t number;
    if ((row->type == TYPE_NUMBER || row->type == TYPE_IFID) && row->otherwise[0] == '0')
        return convert_number(text, 0, UINT64_MAX, &number, &wrong) && number == 0;
    return false;
}

// Sections
// ---------------------------------------------------------------------------------------------------

static void section_walk(struct checking *c, const struct tree *section, const char *path,
                         const char *where);

static const struct option *item_row(struct checking *c, const struct tree *item, const char *path)
{
    bool round = strstr(path, ".local<suffix>") || strstr(path, ".remote<suffix>");
    for (unsigned i = 0; i < sizeof additions / sizeof *additions && c->form == FORM_VICI && round; i++)
        if (strcmp(item->name, additions[i].path) == 0) return &additions[i];
    const struct option *row =
        item->kind == TREE_SECTION ? option_match(path, item->name, true) : NULL;
    if (!row) row = option_find(path, item->name);
    if (row && row->type == TYPE_ATTRIBUTE && !attribute_is_known(item->name)) return NULL;
    return row;
}

static void item_check(struct checking *c, const struct tree *item, const char *path,
                       const char *where)
{
    const struct option *row = item_row(c, item, path);
    const char *reason = refusal_reason(item->name);
    bool section = item->kind == TREE_SECTION;
    if (!row || (section != (row->type == TYPE_SECTION) &&
                 !is_exact(strrchr(row->path, '.') ? strrchr(row->path, '.') : row->path))) {
        unknown_complain(c, item, path, where);
    } else if (row->type == TYPE_INCLUDE) {
        option_complain(c->complaints, FAULT_CONF_SYNTAX, where, item->place,
                        "include is written without an equals sign: include FILES");
    } else if (section != (row->type == TYPE_SECTION)) {
        option_complain(c->complaints, FAULT_OPTION_VALUE, where, item->place,
                        section ? "\"%s\" is an option, not a section: write %s = …"
                                : "\"%s\" is a section: write %s { … }",
                        item->name, item->name);
    } else if (row->support == SUPPORT_NOT_YET && (section || !is_default(row, item))) {
        option_complain(c->complaints, FAULT_OPTION_UNSUPPORTED, where, item->place,
                        reason ? "option \"%s\" is not supported: %s" : "option \"%s\" is known but not supported yet",
                        item->name, reason);
    } else if (!section) {
        if (row->support == SUPPORT_WARNED)
            complain_warning(c->complaints, FAULT_OPTION_UNSUPPORTED, item->place,
                             "option \"%s\" has no effect yet", item->name);
        if (row->support != SUPPORT_NOT_YET) value_check(c, row, item, where);
    } else {
        AUTOFREE_MEM char *inner = mem_printf("%s%s%s", where, *where ? "." : "", item->name);
        section_walk(c, item, row->path, inner);
    }
}

static void section_walk(struct checking *c, const struct tree *section, const char *path,
                         const char *where)
{
    TREE_EACH(item, section)
    {
        item_check(c, item, path, where);
        arena_reset(&c->arena);
    }
}

void section_check(const struct tree *section, const char *path, const char *where,
                   enum option_form form, struct complaints *complaints)
{
    struct checking c = {.complaints = complaints, .form = form};
    section_walk(&c, section, path, where);
    arena_free(&c.arena);
}
