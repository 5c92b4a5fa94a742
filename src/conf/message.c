// SPDX-License-Identifier: Apache-2.0
// VICI messages. Elements, each introduced by a byte:
//
//   1 section start  name length (8), name          4 list start  name length (8), name
//   2 section end                                   5 list item   value length (16), value
//   3 key and value  name length (8), name,         6 list end
//                    value length (16), value
//
// Lists hold items only; sections hold everything but items.
#include "conf/message.h"
#include "base/rd.h"

enum element { SECTION_START = 1, SECTION_END, KEY_VALUE, LIST_START, LIST_ITEM, LIST_END };

enum { NAME_SIZE_MAX = 255, VALUE_SIZE_MAX = 65535 };

struct reading {
    struct rd in;
    struct arena *arena;
    unsigned items;
};

static CHECKED enum fault count_item(struct reading *r)
{
    return ++r->items > TREE_ITEMS_MAX ? FAULT_VICI_LIMIT : OK;
}

// Names become C strings, so a NUL inside one would make two different names look the same.
static CHECKED enum fault name_read(struct rd *in, struct arena *arena, const char **name)
{
    struct bytes text = rd_bytes(in, rd_u8(in));
    TRY(rd_so_far(in));
    if (text.size && memchr(text.at, '\0', text.size)) return FAULT_VICI_SYNTAX;
    *name = arena_text(arena, text);
    return OK;
}

static CHECKED enum fault value_read(struct rd *in, struct bytes *value)
{
    *value = rd_bytes(in, rd_u16(in));
    return rd_so_far(in);
}

static CHECKED enum fault list_read(struct reading *r, struct tree *list)
{
    for (;;) {
        uint8_t element = rd_u8(&r->in);
        TRY(rd_so_far(&r->in));
        if (element == LIST_END) return OK;
        if (element != LIST_ITEM) return FAULT_VICI_SYNTAX;
        struct bytes value;
        TRY(value_read(&r->in, &value));
        TRY(count_item(r));
        tree_add_item(r->arena, list, value);
    }
}

static CHECKED enum fault section_read(struct reading *r, struct tree *section, unsigned depth);

static CHECKED enum fault element_read(struct reading *r, struct tree *section, unsigned depth,
                                       uint8_t element)
{
    if (element != SECTION_START && element != KEY_VALUE && element != LIST_START)
        return FAULT_VICI_SYNTAX;
    const char *name;
    TRY(name_read(&r->in, r->arena, &name));
    TRY(count_item(r));
    if (element == LIST_START) return list_read(r, tree_add_list(r->arena, section, name));
    if (element == SECTION_START)
        return section_read(r, tree_add_section(r->arena, section, name), depth + 1);
    struct bytes value;
    TRY(value_read(&r->in, &value));
    tree_add_value(r->arena, section, name, value);
    return OK;
}

// The root has no end element: it ends with the message.
static CHECKED enum fault section_read(struct reading *r, struct tree *section, unsigned depth)
{
    if (depth > TREE_DEPTH_MAX) return FAULT_VICI_LIMIT;
    for (;;) {
        if (depth == 0 && r->in.left == 0) return OK;
        uint8_t element = rd_u8(&r->in);
        TRY(rd_so_far(&r->in));
        if (depth > 0 && element == SECTION_END) return OK;
        TRY(element_read(r, section, depth, element));
    }
}

enum fault message_read(struct bytes in, struct arena *arena, struct tree **out)
{
    if (in.size > VICI_MESSAGE_MAX) return FAULT_VICI_LIMIT;
    struct reading r = {.in = rd_over(in), .arena = arena};
    struct tree *root = tree_new(arena);
    TRY(section_read(&r, root, 0));
    TRY(rd_end(&r.in));
    *out = root;
    return OK;
}

static void name_write(struct wr *out, const char *name)
{
    size_t size = strlen(name);
    if (size > NAME_SIZE_MAX) out->failed = true;
    wr_u8(out, (uint8_t)size);
    wr_bytes(out, bytes_of(name, size));
}

static void value_write(struct wr *out, struct bytes value)
{
    if (value.size > VALUE_SIZE_MAX) out->failed = true;
    wr_u16(out, (uint16_t)value.size);
    wr_bytes(out, value);
}

static void list_write(struct wr *out, const struct tree *list)
{
    wr_u8(out, LIST_START);
    name_write(out, list->name);
    TREE_EACH(item, list)
    {
        wr_u8(out, LIST_ITEM);
        value_write(out, item->value);
    }
    wr_u8(out, LIST_END);
}

static void item_write(struct wr *out, const struct tree *item)
{
    if (item->kind == TREE_LIST) {
        list_write(out, item);
    } else if (item->kind == TREE_VALUE) {
        wr_u8(out, KEY_VALUE);
        name_write(out, item->name);
        value_write(out, item->value);
    } else {
        wr_u8(out, SECTION_START);
        name_write(out, item->name);
        message_write(out, item);
        wr_u8(out, SECTION_END);
    }
}

void message_write(struct wr *out, const struct tree *tree)
{
    TREE_EACH(item, tree)
    {
        if (out->failed) return;
        item_write(out, item);
    }
}

// Which packets have a name, and which a message behind it.
static const struct {
    bool name, message;
} packet_parts[] = {
    [VICI_CMD_REQUEST] = {true, true},       [VICI_CMD_RESPONSE] = {false, true},
    [VICI_CMD_UNKNOWN] = {false, false},     [VICI_EVENT_REGISTER] = {true, false},
    [VICI_EVENT_UNREGISTER] = {true, false}, [VICI_EVENT_CONFIRM] = {false, false},
    [VICI_EVENT_UNKNOWN] = {false, false},   [VICI_EVENT] = {true, true},
};

enum fault packet_read(struct bytes in, struct arena *arena, uint8_t *type, const char **name,
                       struct bytes *message)
{
    if (in.size > VICI_MESSAGE_MAX) return FAULT_VICI_LIMIT;
    struct rd r = rd_over(in);
    *type = rd_u8(&r);
    *name = NULL;
    *message = BYTES_NONE;
    TRY(rd_so_far(&r));
    if (*type > VICI_EVENT) return FAULT_VICI_SYNTAX;
    if (packet_parts[*type].name) TRY(name_read(&r, arena, name));
    if (packet_parts[*type].message) *message = rd_rest(&r);
    return rd_end(&r);
}

void packet_write(struct wr *out, uint8_t type, const char *name, const struct tree *message)
{
    wr_u8(out, type);
    if (packet_parts[type].name) name_write(out, name);
    if (packet_parts[type].message) message_write(out, message);
}
