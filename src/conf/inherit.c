// SPDX-License-Identifier: Apache-2.0
// Inheritance between sections: "name : first, second { … }". What a section says itself comes
// first and wins, then what the first reference has, then the second; sections that both have are
// merged in the same way. Since a reference may point to what stands later in the file, all of it
// happens when everything has been read.
#include "conf/settings_internal.h"
#include <stdio.h>

enum { REFERENCE_DEPTH_MAX = 64 };

void settings_init(struct settings *settings, struct arena *arena, struct complaints *complaints)
{
    *settings =
        (struct settings){.arena = arena, .complaints = complaints, .root = tree_new(arena)};
    // The names are the operator's own, so nothing needs to be hidden from whoever might want
    // collisions.
    map_init(&settings->index, 1, 2);
    map_init(&settings->referring, 3, 4);
}

void settings_wipe(struct settings *settings)
{
    map_wipe(&settings->index);
    map_wipe(&settings->referring);
}

struct key {
    uint8_t at[sizeof(void *) + NAME_MAX_SIZE];
    size_t size;
};

static struct bytes key_of(struct key *key, const struct tree *section, const char *name)
{
    size_t size = strnlen(name, NAME_MAX_SIZE);
    memcpy(key->at, &section, sizeof section);
    memcpy(key->at + sizeof section, name, size);
    return bytes_of(key->at, sizeof section + size);
}

struct tree *settings_find(const struct settings *settings, const struct tree *section,
                           const char *name)
{
    struct key key;
    return map_get(&settings->index, key_of(&key, section, name));
}

static bool has_room(struct settings *settings, struct place place)
{
    if (settings->items < TREE_ITEMS_MAX) {
        settings->items++;
        return true;
    }
    if (!settings->full)
        complain(settings->complaints, FAULT_CONF_LIMIT, place,
                 "more than %d settings and sections", TREE_ITEMS_MAX);
    settings->full = true;
    return false;
}

static void index_add(struct settings *settings, const struct tree *parent, struct tree *item)
{
    struct key key;
    map_put(&settings->index, key_of(&key, parent, item->name), item);
}

struct tree *settings_section(struct settings *settings, struct tree *parent, const char *name,
                              struct place place)
{
    struct tree *there = settings_find(settings, parent, name);
    if (there && there->kind == TREE_SECTION) return there;
    if (there) {
        complain(settings->complaints, FAULT_CONF_SYNTAX, place,
                 "\"%s\" is a setting already, in line %u", name, there->place.line);
        return NULL;
    }
    if (!has_room(settings, place)) return NULL;
    struct tree *section = tree_add_section(settings->arena, parent, name);
    section->place = place;
    index_add(settings, parent, section);
    return section;
}

struct tree *settings_value(struct settings *settings, struct tree *parent, const char *name,
                            struct place place)
{
    struct tree *there = settings_find(settings, parent, name);
    if (there && there->kind == TREE_SECTION) {
        complain(settings->complaints, FAULT_CONF_SYNTAX, place,
                 "\"%s\" is a section already, in line %u", name, there->place.line);
        return NULL;
    }
    if (!there) {
        if (!has_room(settings, place)) return NULL;
        there = tree_add_value(settings->arena, parent, name, BYTES_NONE);
        index_add(settings, parent, there);
    }
    there->place = place;
    there->value = BYTES_NONE;
    return there;
}

// References
// ---------------------------------------------------------------------------------------------------

static struct bytes section_key(struct tree *const *section)
{
    return bytes_of(section, sizeof *section);
}

void settings_refer(struct settings *settings, struct tree *section, const char *target,
                    struct place place)
{
    struct references *added = arena_new(settings->arena, sizeof *added);
    *added = (struct references){.section = section, .place = place, .target = target};
    struct references *last = map_get(&settings->referring, section_key(&section));
    if (!last) {
        map_put(&settings->referring, section_key(&section), added);
        return;
    }
    while (last->next) last = last->next;
    last->next = added;
}

// Follows "connections.office" from the root. Names may have dots inside: the longest that fits
// wins.
static struct tree *target_find(const struct settings *settings, struct tree *from,
                                const char *path)
{
    char name[NAME_MAX_SIZE + 1];
    for (size_t size = strnlen(path, NAME_MAX_SIZE); size > 0; size--) {
        if (path[size] != '.' && path[size] != '\0') continue;
        memcpy(name, path, size);
        name[size] = '\0';
        struct tree *item = settings_find(settings, from, name);
        if (!item || item->kind != TREE_SECTION) continue;
        struct tree *found = path[size] ? target_find(settings, item, path + size + 1) : item;
        if (!found) continue;
        item->inherited_from = true;
        return found;
    }
    return NULL;
}

struct visit { // the chain of references being followed
    const struct tree *section;
    const struct visit *outer;
    unsigned depth;
};

static void section_resolve(struct settings *settings, struct tree *section,
                            const struct visit *outer);

static bool is_visited(const struct visit *visit, const struct tree *section)
{
    for (; visit; visit = visit->outer)
        if (visit->section == section) return true;
    return false;
}

static void item_inherit(struct settings *settings, struct tree *to, const struct tree *item,
                         unsigned depth);

static void section_inherit(struct settings *settings, struct tree *to, const struct tree *from,
                            unsigned depth)
{
    if (depth > TREE_DEPTH_MAX) {
        complain(settings->complaints, FAULT_CONF_LIMIT, from->place,
                 "sections are nested deeper than %d after inheritance", TREE_DEPTH_MAX);
        return;
    }
    for (const struct tree *item = from->first; item && !settings->full; item = item->next)
        item_inherit(settings, to, item, depth);
}

static void item_inherit(struct settings *settings, struct tree *to, const struct tree *item,
                         unsigned depth)
{
    struct tree *there = settings_find(settings, to, item->name);
    if (there && (there->kind != TREE_SECTION || item->kind != TREE_SECTION)) return;
    if (item->kind == TREE_SECTION) {
        if (!there) there = settings_section(settings, to, item->name, item->place);
        if (there) section_inherit(settings, there, item, depth + 1);
        return;
    }
    struct tree *value = settings_value(settings, to, item->name, item->place);
    if (value) value->value = item->value;
}

static void reference_resolve(struct settings *settings, struct tree *section,
                              const struct references *reference, const struct visit *visit)
{
    struct tree *target = target_find(settings, settings->root, reference->target);
    if (!target) {
        complain(settings->complaints, FAULT_CONF_REFERENCE, reference->place,
                 "there is no section \"%s\" to inherit from", reference->target);
        return;
    }
    if (visit->depth >= REFERENCE_DEPTH_MAX) {
        complain(settings->complaints, FAULT_CONF_LIMIT, reference->place,
                 "references are followed through more than %d sections", REFERENCE_DEPTH_MAX);
        return;
    }
    if (is_visited(visit, target)) {
        complain(settings->complaints, FAULT_CONF_REFERENCE, reference->place,
                 "the section \"%s\" inherits from itself", reference->target);
        return;
    }
    section_resolve(settings, target, visit);
    section_inherit(settings, section, target, 0);
}

// Each section's references are taken from the map as they are resolved, so it is done once.
static void section_resolve(struct settings *settings, struct tree *section,
                            const struct visit *outer)
{
    struct visit visit = {section, outer, outer ? outer->depth + 1 : 0};
    struct references *reference = map_remove(&settings->referring, section_key(&section));
    for (struct tree *item = section->first; item; item = item->next)
        if (item->kind == TREE_SECTION) section_resolve(settings, item, &visit);
    for (; reference && !settings->full; reference = reference->next)
        reference_resolve(settings, section, reference, &visit);
}

static void section_prune(struct tree *section)
{
    struct tree **link = &section->first;
    section->last = NULL;
    while (*link) {
        struct tree *item = *link;
        if (is_cleared(item)) {
            *link = item->next;
            continue;
        }
        if (item->kind == TREE_SECTION) section_prune(item);
        section->last = item;
        link = &item->next;
    }
}

void settings_inherit(struct settings *settings)
{
    section_resolve(settings, settings->root, NULL);
    section_prune(settings->root);
}
