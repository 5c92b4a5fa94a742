// SPDX-License-Identifier: Apache-2.0
// Reads the syntax of swanctl.conf:
//
//     # comment
//     section {                          sections nest; those of one name are merged
//         key = words until the line ends, # or }
//         other = "quoted: \n \t \" \\, and lines that are joined by a \ at their end"
//         cleared =                      an empty value takes back what is inherited
//         include more/*.conf            as if the files stood here
//     }
//     name : section, other.section { }  inherits
//
// After an error reading goes on at the next line, so that all errors of a file come out at once.
#include "conf/files.h"
#include "conf/settings_internal.h"
#include <errno.h>
#include <glob.h>
#include <sys/stat.h>

enum {
    INCLUDE_DEPTH_MAX = 10,
    INCLUDE_FILES_MAX = 10000, // in one run
    VALUE_MAX = 1024 * 1024,
};

struct source { // a file being read
    const char *file;
    const char *at, *end, *line_start;
    unsigned line;
    bool hidden;    // the line begins inside a quoted string, which may be a secret
    bool abandoned; // nothing more can be made of it
    dev_t device;
    ino_t inode;
    struct source *outer; // the one that includes it
    unsigned depth;
};

struct run {
    struct settings settings;
    unsigned files;
};

// Characters
// ---------------------------------------------------------------------------------------------------

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}
static bool at_end(const struct source *in)
{
    return in->at >= in->end;
}
static char peek(const struct source *in)
{
    return at_end(in) ? '\0' : *in->at;
}

static void step(struct source *in)
{
    if (at_end(in)) return;
    if (*in->at++ != '\n') return;
    in->line++;
    in->line_start = in->at;
    in->hidden = false;
}

static struct place place_here(const struct source *in)
{
    unsigned column = (unsigned)(in->at - in->line_start) + 1;
    return (struct place){.file = in->file,
                          .line = in->line,
                          .column = column,
                          .text = in->hidden ? NULL : in->line_start};
}

static void skip_blanks(struct source *in)
{
    while (is_blank(peek(in))) step(in);
}

static void skip_line(struct source *in)
{
    while (!at_end(in) && *in->at != '\n') step(in);
}

// Blanks, comments and empty lines.
static void skip_space(struct source *in)
{
    for (;;) {
        skip_blanks(in);
        if (peek(in) == '#')
            skip_line(in);
        else if (peek(in) == '\n')
            step(in);
        else
            return;
    }
}

// A run of characters up to one of `ends` or a blank; never empty unless it stands before one of
// those.
static struct bytes word_read(struct source *in, const char *ends)
{
    const char *start = in->at;
    while (!at_end(in) && !is_blank(*in->at) && *in->at != '\n' && !strchr(ends, *in->at)) step(in);
    return bytes_of(start, (size_t)(in->at - start));
}

static const char name_ends[] = "#{}:,=\"";
static const char value_ends[] = "#}\"";

// Values
// ---------------------------------------------------------------------------------------------------

static char unescaped(char c)
{
    return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

static void escape_read(struct source *in, struct buf *out)
{
    step(in);
    if (peek(in) == '\r' && in->at + 1 < in->end && in->at[1] == '\n') step(in);
    char c = peek(in);
    bool joins = c == '\n';
    step(in);
    if (joins)
        in->hidden = true;
    else
        buf_printf(out, "%c", unescaped(c));
}

// Reads behind an opening quote up to the closing one. False when there is none.
static bool string_read(struct source *in, struct buf *out)
{
    step(in);
    while (!at_end(in)) {
        char c = *in->at;
        if (c == '\\' && in->at + 1 < in->end) {
            escape_read(in, out);
            continue;
        }
        step(in);
        if (c == '"') return true;
        if (c == '\n') in->hidden = true;
        buf_printf(out, "%c", c);
    }
    return false;
}

static void part_read(struct run *run, struct source *in, struct buf *out)
{
    if (peek(in) != '"') {
        buf_add(out, word_read(in, value_ends));
        return;
    }
    struct place start = place_here(in);
    if (!string_read(in, out))
        complain(run->settings.complaints, FAULT_CONF_SYNTAX, start, "this quote is not closed");
}

// The words and strings of a value, with one blank between them. False when there are none.
static bool value_read(struct run *run, struct source *in, struct buf *out)
{
    bool any = false;
    for (;; any = true) {
        skip_blanks(in);
        char c = peek(in);
        if (at_end(in) || c == '\n' || c == '#' || c == '}') return any;
        if (any) buf_add_text(out, " ");
        part_read(run, in, out);
    }
}

static void setting_read(struct run *run, struct source *in, struct tree *section, const char *name,
                         struct place place)
{
    step(in);
    skip_blanks(in);
    struct place value_place = place_here(in);
    place.value_column = value_place.column;
    AUTOFREE_BUF struct buf text = BUF(VALUE_MAX);
    bool any = value_read(run, in, &text);
    if (text.failed) {
        complain(run->settings.complaints, FAULT_CONF_LIMIT, place,
                 "the value of \"%s\" is longer than %d bytes", name, VALUE_MAX);
        return;
    }
    struct tree *item = settings_value(&run->settings, section, name, place);
    if (item && any)
        item->value = bytes_of(arena_text(run->settings.arena, buf_bytes(&text)), text.size);
}

// Includes
// ---------------------------------------------------------------------------------------------------

static void items_read(struct run *run, struct source *in, struct tree *section, unsigned depth,
                       const struct place *opened);

// The pattern's path when it is absolute, else beside the file that includes.
static char *include_path(const struct source *in, const char *pattern)
{
    const char *slash = in->file ? strrchr(in->file, '/') : NULL;
    if (pattern[0] == '/' || !slash) return mem_text(pattern);
    return mem_printf("%.*s/%s", (int)(slash - in->file), in->file, pattern);
}

static bool is_open(const struct source *in, const struct stat *status)
{
    for (; in; in = in->outer)
        if (in->inode == status->st_ino && in->device == status->st_dev) return true;
    return false;
}

// The text is copied into the arena, where complaints find its lines.
static void text_open(struct run *run, struct source *in, const char *file, struct bytes text)
{
    struct arena *arena = run->settings.arena;
    const char *copy = arena_text(arena, text);
    *in = (struct source){.file = file ? arena_text(arena, bytes_of_text(file)) : NULL,
                          .at = copy,
                          .line_start = copy,
                          .end = copy + text.size,
                          .line = 1};
    if (text.size >= 3 && memcmp(copy, "\xef\xbb\xbf", 3) == 0) in->at = in->line_start = copy + 3;
    const char *nul = memchr(in->at, '\0', (size_t)(in->end - in->at));
    if (!nul) return;
    in->end = nul;
    struct place place = {.file = in->file, .line = 1};
    for (const char *c = in->at; c < nul; c++) place.line += *c == '\n';
    complain(run->settings.complaints, FAULT_CONF_SYNTAX, place,
             "a NUL byte: this is not a text file");
}

// False when the file cannot be read.
static bool file_parse(struct run *run, const char *path, struct source *outer, struct place place,
                       struct tree *section, unsigned depth)
{
    AUTOFREE_BUF struct buf text = BUF(FILE_SIZE_MAX);
    struct stat status;
    const char *why = file_read(path, &text, &status);
    if (!why && is_open(outer, &status)) why = "it includes itself";
    if (why) {
        complain(run->settings.complaints, FAULT_CONF_UNREADABLE, place, "cannot read \"%s\": %s",
                 path, why);
        return false;
    }
    struct source in;
    text_open(run, &in, path, buf_bytes(&text));
    in.device = status.st_dev;
    in.inode = status.st_ino;
    in.outer = outer;
    in.depth = outer ? outer->depth + 1 : 0;
    items_read(run, &in, section, depth, NULL);
    return true;
}

static bool has_wildcard(const char *pattern)
{
    return strpbrk(pattern, "*?[") != NULL;
}

static void include_glob(struct run *run, struct source *in, struct tree *section, unsigned depth,
                         const char *path, struct place place)
{
    glob_t found;
    int result = glob(path, GLOB_ERR, NULL, &found);
    if (result == GLOB_ABORTED && errno == ENOENT) result = GLOB_NOMATCH;
    if (result == GLOB_NOMATCH && !has_wildcard(path))
        complain_warning(run->settings.complaints, FAULT_CONF_UNREADABLE, place,
                         "there is no file \"%s\"", path);
    else if (result != 0 && result != GLOB_NOMATCH)
        complain(run->settings.complaints, FAULT_CONF_UNREADABLE, place,
                 "cannot look for \"%s\": %s", path, strerror(errno));
    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++) {
        if (++run->files > INCLUDE_FILES_MAX) {
            complain(run->settings.complaints, FAULT_CONF_LIMIT, place,
                     "more than %d files are included", INCLUDE_FILES_MAX);
            break;
        }
        file_parse(run, found.gl_pathv[i], in, place, section, depth);
    }
    if (result != GLOB_NOSPACE) globfree(&found);
}

static void pattern_read(struct run *run, struct source *in, struct buf *out)
{
    if (peek(in) == '"') {
        part_read(run, in, out);
        return;
    }
    buf_add(out, word_read(in, "#{}=\""));
}

static void include_read(struct run *run, struct source *in, struct tree *section, unsigned depth)
{
    skip_blanks(in);
    struct place place = place_here(in);
    AUTOFREE_BUF struct buf pattern = BUF(4096);
    pattern_read(run, in, &pattern);
    if (pattern.failed || pattern.size == 0) {
        complain(run->settings.complaints, FAULT_CONF_SYNTAX, place,
                 "expected the name of a file after include");
        skip_line(in);
        return;
    }
    if (!in->file) {
        complain(run->settings.complaints, FAULT_CONF_SYNTAX, place,
                 "a text that is in no file cannot include files");
        return;
    }
    if (in->depth + 1 >= INCLUDE_DEPTH_MAX) {
        complain(run->settings.complaints, FAULT_CONF_LIMIT, place,
                 "files include files more than %d deep", INCLUDE_DEPTH_MAX);
        return;
    }
    AUTOFREE_MEM char *path = include_path(in, buf_text(&pattern));
    include_glob(run, in, section, depth, path, place);
}

// Sections
// ---------------------------------------------------------------------------------------------------

static void references_read(struct run *run, struct source *in, struct tree *section)
{
    do {
        step(in);
        skip_space(in);
        struct place place = place_here(in);
        struct bytes target = word_read(in, name_ends);
        if (target.size == 0 || target.size > VALUE_MAX) {
            complain(run->settings.complaints, FAULT_CONF_SYNTAX, place,
                     "expected the name of a section to inherit from");
            return;
        }
        if (section)
            settings_refer(&run->settings, section, arena_text(run->settings.arena, target), place);
        skip_space(in);
    } while (peek(in) == ',');
}

// A section that cannot be added is read all the same, into nowhere, so that what follows is read
// right.
static void section_read(struct run *run, struct source *in, struct tree *parent, unsigned depth,
                         const char *name, struct place place)
{
    if (depth >= TREE_DEPTH_MAX) {
        complain(run->settings.complaints, FAULT_CONF_LIMIT, place,
                 "sections are nested deeper than %d", TREE_DEPTH_MAX);
        in->at = in->end;
        in->abandoned = true;
        return;
    }
    struct tree *section = settings_section(&run->settings, parent, name, place);
    if (!section) section = tree_new(run->settings.arena);
    if (peek(in) == ':') references_read(run, in, section);
    skip_space(in);
    if (peek(in) != '{') {
        complain(run->settings.complaints, FAULT_CONF_SYNTAX, at_end(in) ? place : place_here(in),
                 "expected \"{\" to begin the section \"%s\"", name);
        skip_line(in);
        return;
    }
    step(in);
    items_read(run, in, section, depth + 1, &place);
}

static const char *name_of(struct run *run, struct bytes word, struct place place)
{
    if (word.size <= NAME_MAX_SIZE) return arena_text(run->settings.arena, word);
    complain(run->settings.complaints, FAULT_CONF_LIMIT, place, "a name is longer than %d bytes",
             NAME_MAX_SIZE);
    return NULL;
}

static bool is_include(const struct source *in, struct bytes word)
{
    if (!bytes_equal(word, BYTES("include")) || !is_blank(peek(in))) return false;
    struct source ahead = *in;
    skip_blanks(&ahead);
    return peek(&ahead) != '=' && peek(&ahead) != '{' && peek(&ahead) != ':';
}

static void item_read(struct run *run, struct source *in, struct tree *section, unsigned depth)
{
    struct place place = place_here(in);
    struct bytes word = word_read(in, name_ends);
    if (word.size && is_include(in, word)) {
        include_read(run, in, section, depth);
        return;
    }
    const char *name = word.size ? name_of(run, word, place) : NULL;
    if (word.size) skip_space(in);
    char c = peek(in);
    if (name && c == '=') {
        setting_read(run, in, section, name, place);
    } else if (name && (c == '{' || c == ':')) {
        section_read(run, in, section, depth, name, place);
    } else {
        if (name)
            complain(run->settings.complaints, FAULT_CONF_SYNTAX, place,
                     "expected \"=\" or \"{\" after \"%s\"", name);
        else if (!word.size)
            complain(run->settings.complaints, FAULT_CONF_SYNTAX, place,
                     "expected a name here, not %c%c%c", c == '"' ? '\'' : '"', c,
                     c == '"' ? '\'' : '"');
        if (in->line == place.line) skip_line(in);
    }
}

// Reads up to the brace that closes the section, or to the end of the file at its top.
static void items_read(struct run *run, struct source *in, struct tree *section, unsigned depth,
                       const struct place *opened)
{
    for (;;) {
        skip_space(in);
        if (at_end(in)) break;
        if (*in->at != '}') {
            item_read(run, in, section, depth);
            continue;
        }
        struct place place = place_here(in);
        step(in);
        if (opened) return;
        complain(run->settings.complaints, FAULT_CONF_SYNTAX, place,
                 "this \"}\" closes no section");
    }
    if (opened && !in->abandoned)
        complain(run->settings.complaints, FAULT_CONF_SYNTAX, *opened,
                 "the section that begins here is not closed with \"}\"");
}

// The two ways in
// ---------------------------------------------------------------------------------------------------

struct tree *settings_load(const char *path, struct arena *arena, struct complaints *complaints)
{
    struct run run = {0};
    settings_init(&run.settings, arena, complaints);
    bool readable =
        file_parse(&run, path, NULL, (struct place){.file = path}, run.settings.root, 0);
    if (readable) settings_inherit(&run.settings);
    settings_wipe(&run.settings);
    return readable ? run.settings.root : NULL;
}

struct tree *settings_parse(const char *file_name, struct bytes text, struct arena *arena,
                            struct complaints *complaints)
{
    struct run run = {0};
    settings_init(&run.settings, arena, complaints);
    struct source in;
    text_open(&run, &in, file_name, text);
    items_read(&run, &in, run.settings.root, 0, NULL);
    settings_inherit(&run.settings);
    settings_wipe(&run.settings);
    return run.settings.root;
}
