// SPDX-License-Identifier: Apache-2.0
// Complaints about a configuration: collected while it is read, printed together with the lines
// they are about. They keep copies of what they show, so they may outlive the tree.
#include "conf/settings.h"
#include <assert.h>
#include <ctype.h>

enum { LINE_SHOWN = 160, COMPLAINTS_MAX = 1000 };

static size_t line_size(const char *text)
{
    return strcspn(text, "\r\n");
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool names_secret(const char *text, size_t size)
{
    static const char *const words[] = {"secret", "pin"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if (size >= length && memcmp(text + size - length, words[i], length) == 0) return true;
    }
    return false;
}

// How much of a line may be shown: what stands behind "secret =" never is.
static size_t line_public(const char *text)
{
    size_t size = line_size(text);
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '=') continue;
        size_t end = i;
        while (end > 0 && is_blank(text[end - 1])) end--;
        if (names_secret(text, end)) return i + 1;
    }
    return size;
}

// One allocation holds the complaint and the texts its place points to.
static struct complaint *complaint_new(struct place place)
{
    size_t file = place.file ? strlen(place.file) + 1 : 0;
    size_t line = place.text ? line_public(place.text) : 0;
    struct complaint *complaint = mem_new(sizeof *complaint + file + line + 1);
    char *copy = (char *)(complaint + 1);
    complaint->place = place;
    if (place.file) complaint->place.file = memcpy(copy, place.file, file);
    if (place.text) {
        memcpy(copy + file, place.text, line);
        complaint->place.text = copy + file;
    }
    return complaint;
}

static bool is_same(const struct complaint *complaint, const struct place *place, const char *text)
{
    const struct place *there = &complaint->place;
    return there->file && place->file && there->line == place->line &&
           there->column == place->column && strcmp(there->file, place->file) == 0 &&
           strcmp(complaint->text, text) == 0;
}

// What is wrong in a section is found again in each that inherits from it, and is said once.
static bool is_known(const struct complaints *complaints, const struct place *place,
                     const char *text)
{
    for (const struct complaint *c = complaints->first; c; c = c->next)
        if (is_same(c, place, text)) return true;
    return false;
}

__attribute__((format(printf, 5, 0))) static void complain_v(struct complaints *complaints,
                                                             enum fault fault, struct place place,
                                                             bool warning, const char *format,
                                                             va_list args)
{
    unsigned *count = warning ? &complaints->warnings : &complaints->errors;
    AUTOFREE_MEM char *text = mem_vprintf(format, args);
    if (is_known(complaints, &place, text)) {
        complaints->repeated++;
        return;
    }
    if (++*count > COMPLAINTS_MAX) return;
    struct complaint *complaint = complaint_new(place);
    complaint->fault = fault;
    complaint->warning = warning;
    complaint->text = text;
    text = NULL;
    if (complaints->last)
        complaints->last->next = complaint;
    else
        complaints->first = complaint;
    complaints->last = complaint;
}

void complain(struct complaints *complaints, enum fault fault, struct place place,
              const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain_v(complaints, fault, place, false, format, args);
    va_end(args);
}

void complain_warning(struct complaints *complaints, enum fault fault, struct place place,
                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain_v(complaints, fault, place, true, format, args);
    va_end(args);
}

void complaints_free(struct complaints *complaints)
{
    for (struct complaint *complaint = complaints->first, *next; complaint; complaint = next) {
        next = complaint->next;
        free(complaint->text);
        free(complaint);
    }
    *complaints = (struct complaints){0};
}

// What is not printable would upset terminals; UTF-8 passes.
static char shown(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f ? '?' : c;
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static void line_print(const struct place *place, struct buf *out)
{
    size_t size = line_size(place->text);
    if (size > LINE_SHOWN) size = LINE_SHOWN;
    buf_add_text(out, "    ");
    for (size_t i = 0; i < size; i++)
        buf_printf(out, "%c", place->text[i] == '\t' ? '\t' : shown(place->text[i]));
    buf_add_text(out, "\n");
    if (place->column == 0 || place->column > size + 1) return;
    buf_add_text(out, "    ");
    for (size_t i = 0; i + 1 < place->column; i++) {
        if (is_continuation(place->text[i])) continue;
        buf_add_text(out, place->text[i] == '\t' ? "\t" : " ");
    }
    buf_add_text(out, "^\n");
}

static void complaint_print(const struct complaint *complaint, struct buf *out)
{
    const struct place *place = &complaint->place;
    if (place->file) buf_printf(out, "%s:", place->file);
    if (place->file && place->line) buf_printf(out, "%u:", place->line);
    if (place->file && place->line && place->column) buf_printf(out, "%u:", place->column);
    if (place->file) buf_add_text(out, " ");
    if (complaint->warning) buf_add_text(out, "warning: ");
    buf_printf(out, "%s\n", complaint->text);
    if (place->text) line_print(place, out);
}

void complaints_print(const struct complaints *complaints, struct buf *out)
{
    unsigned printed = 0;
    for (const struct complaint *c = complaints->first; c; c = c->next, printed++)
        complaint_print(c, out);
    unsigned all = complaints->errors + complaints->warnings;
    if (all > printed) buf_printf(out, "… and %u more\n", all - printed);
}
