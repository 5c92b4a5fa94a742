// SPDX-License-Identifier: Apache-2.0
// A tree of sections, values and lists: what a configuration file is after parsing and what every VICI message is.
// Each item remembers where in which file it stands, so that errors can point there.
#pragma once
#include "base/fault.h"
#include "base/mem.h"

enum tree_kind { TREE_SECTION = 1, TREE_VALUE, TREE_LIST };

struct place {             // file NULL: not from a file (VICI)
    const char *file;
    unsigned line, column; // 1-based; of the key
    unsigned value_column; // of the value
    const char *text;      // the line as it stands in the file, up to its line break or NUL; NULL when unknown
};

struct tree {
    uint8_t kind;
    bool inherited_from;   // some section refers to this one, or to one inside it
    const char *name;      // "" for the root
    struct place place;
    struct bytes value;    // VALUE; NUL-terminated too
    struct tree *first;    // SECTION: items in order; LIST: items are VALUEs without name
    struct tree *last;
    struct tree *next;
};

enum { TREE_DEPTH_MAX = 16, TREE_ITEMS_MAX = 1000000 };

// All memory comes from the arena.
struct tree *tree_new(struct arena *arena);
struct tree *tree_add_section(struct arena *arena, struct tree *parent, const char *name);
struct tree *tree_add_value(struct arena *arena, struct tree *parent, const char *name, struct bytes value);
struct tree *tree_add_text(struct arena *arena, struct tree *parent, const char *name, const char *text);
__attribute__((format(printf, 4, 5))) struct tree *tree_add_printf(struct arena *arena, struct tree *parent, const char *name, const char *format, ...);
struct tree *tree_add_list(struct arena *arena, struct tree *parent, const char *name);
void tree_add_item(struct arena *arena, struct tree *list, struct bytes value);
const struct tree *tree_find(const struct tree *section, const char *name);            // direct item or NULL
const struct tree *tree_section(const struct tree *section, const char *name);
const char *tree_text(const struct tree *section, const char *name, const char *otherwise);  // value as text
struct bytes tree_value(const struct tree *section, const char *name);

#define TREE_EACH(var, parent) for (const struct tree *var = (parent) ? (parent)->first : NULL; var; var = var->next)
