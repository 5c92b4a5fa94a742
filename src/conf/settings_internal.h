// SPDX-License-Identifier: Apache-2.0
// What reading a file (settings.c) and resolving references (inherit.c) share.
#pragma once
#include "base/map.h"
#include "conf/settings.h"

enum { NAME_MAX_SIZE = 255 };

struct references {             // "name : one, two": of one section, in the order of the file
    struct tree *section;
    struct references *next;
    struct place place;
    const char *target;         // dotted, absolute
};

struct settings {
    struct arena *arena;
    struct complaints *complaints;
    struct tree *root;
    struct map index;           // section and name -> item: files have sections with thousands of items
    struct map referring;       // section -> struct references
    unsigned items;
    bool full;                  // the limit was complained about
};

void settings_init(struct settings *settings, struct arena *arena, struct complaints *complaints);
void settings_wipe(struct settings *settings);
struct tree *settings_find(const struct settings *settings, const struct tree *section, const char *name);
// Both find what is there or add it; NULL when the limit is reached.
struct tree *settings_section(struct settings *settings, struct tree *parent, const char *name, struct place place);
struct tree *settings_value(struct settings *settings, struct tree *parent, const char *name, struct place place);
// A value without any text clears what would be inherited; it is an item with no bytes at all until inheritance is done.
static inline bool is_cleared(const struct tree *item) { return item->kind == TREE_VALUE && !item->value.at; }

void settings_refer(struct settings *settings, struct tree *section, const char *target, struct place place);
// Copies into each section what it inherits, then drops the cleared values.
void settings_inherit(struct settings *settings);
