// SPDX-License-Identifier: Apache-2.0
// Trees of sections, values and lists, all of whose memory is in an arena.
#include "conf/tree.h"
#include <assert.h>
#include <string.h>

struct tree *tree_new(struct arena *arena)
{
    struct tree *root = arena_new(arena, sizeof *root);
    root->kind = TREE_SECTION;
    root->name = "";
    return root;
}

static struct tree *tree_add(struct arena *arena, struct tree *parent, enum tree_kind kind,
                             const char *name)
{
    assert(parent->kind == TREE_SECTION);
    struct tree *item = arena_new(arena, sizeof *item);
    item->kind = (uint8_t)kind;
    item->name = arena_text(arena, bytes_of_text(name));
    if (parent->last)
        parent->last->next = item;
    else
        parent->first = item;
    parent->last = item;
    return item;
}

// Copies bytes and puts a NUL behind them, so that a value can be read as text.
static struct bytes value_copy(struct arena *arena, struct bytes value)
{
    return bytes_of(arena_text(arena, value), value.size);
}

struct tree *tree_add_section(struct arena *arena, struct tree *parent, const char *name)
{
    return tree_add(arena, parent, TREE_SECTION, name);
}

struct tree *tree_add_value(struct arena *arena, struct tree *parent, const char *name,
                            struct bytes value)
{
    struct tree *item = tree_add(arena, parent, TREE_VALUE, name);
    item->value = value_copy(arena, value);
    return item;
}

struct tree *tree_add_text(struct arena *arena, struct tree *parent, const char *name,
                           const char *text)
{
    return tree_add_value(arena, parent, name, bytes_of_text(text));
}

struct tree *tree_add_printf(struct arena *arena, struct tree *parent, const char *name,
                             const char *format, ...)
{
    va_list args;
    va_start(args, format);
    AUTOFREE_MEM char *text = mem_vprintf(format, args);
    va_end(args);
    return tree_add_text(arena, parent, name, text);
}

struct tree *tree_add_list(struct arena *arena, struct tree *parent, const char *name)
{
    return tree_add(arena, parent, TREE_LIST, name);
}

void tree_add_item(struct arena *arena, struct tree *list, struct bytes value)
{
    assert(list->kind == TREE_LIST);
    struct tree *item = arena_new(arena, sizeof *item);
    item->kind = TREE_VALUE;
    item->name = "";
    item->value = value_copy(arena, value);
    item->place = list->place;
    if (list->last)
        list->last->next = item;
    else
        list->first = item;
    list->last = item;
}

const struct tree *tree_find(const struct tree *section, const char *name)
{
    TREE_EACH(item, section)
    {
        if (strcmp(item->name, name) == 0) return item;
    }
    return NULL;
}

const struct tree *tree_section(const struct tree *section, const char *name)
{
    TREE_EACH(item, section)
    {
        if (item->kind == TREE_SECTION && strcmp(item->name, name) == 0) return item;
    }
    return NULL;
}

static const struct tree *tree_find_value(const struct tree *section, const char *name)
{
    TREE_EACH(item, section)
    {
        if (item->kind == TREE_VALUE && strcmp(item->name, name) == 0) return item;
    }
    return NULL;
}

const char *tree_text(const struct tree *section, const char *name, const char *otherwise)
{
    const struct tree *item = tree_find_value(section, name);
    return item ? (const char *)item->value.at : otherwise;
}

struct bytes tree_value(const struct tree *section, const char *name)
{
    const struct tree *item = tree_find_value(section, name);
    return item ? item->value : BYTES_NONE;
}
