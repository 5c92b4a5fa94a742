// SPDX-License-Identifier: Apache-2.0
// Marks and devices belong together: a mark leads into one device, and what comes out of a device
// has one mark. Children that share a device must agree, or whoever is loaded last would win.
#include "conf/compile.h"

struct claim {
    uint32_t device;
    struct mark mark;
    const char *option, *child;
    struct place place;
};

static struct place claim_place(const struct tree *section, const char *child, const char *option)
{
    const struct tree *at = tree_section(tree_section(section, "children"), child);
    return at ? place_of(at, option) : section ? section->place : (struct place){0};
}

static void claim_add(const struct conn_source *of, const struct child_conf *child,
                      const char *option, struct claim **next)
{
    bool leads = strcmp(option, "mark_out") == 0;
    const struct mark *mark = leads ? &child->mark_out : &child->mark_opened;
    if (!mark->mask) return;
    *(*next)++ = (struct claim){leads ? child->if_id_out : child->if_id_in, *mark, option,
                                child->name, claim_place(of->section, child->name, option)};
}

static struct claim *claims_of(const struct conn_source *of, size_t *count)
{
    struct claim *all = mem_array(2 * (size_t)of->conn->child_count + 1, sizeof *all), *next = all;
    for (uint32_t i = 0; i < of->conn->child_count; i++) {
        claim_add(of, &of->conn->children[i], "mark_out", &next);
        claim_add(of, &of->conn->children[i], "set_mark_in", &next);
    }
    *count = (size_t)(next - all);
    return all;
}

// Is there a packet that carries both?
static bool marks_meet(const struct mark *a, const struct mark *b)
{
    return ((a->value ^ b->value) & a->mask & b->mask) == 0;
}

static void claims_check(const struct conn_source *one, const struct claim *a,
                         const struct conn_source *other, const struct claim *b,
                         struct complaints *complaints)
{
    if (a->option[0] != b->option[0]) return;
    bool same_device = a->device == b->device, leads = a->option[0] == 'm';
    bool equal = a->mark.value == b->mark.value && a->mark.mask == b->mark.mask;
    if (same_device ? equal : !leads || !marks_meet(&a->mark, &b->mark)) return;
    AUTOFREE_MEM char *line =
        b->place.file ? mem_printf(" (%s:%u)", b->place.file, b->place.line) : mem_text("");
    const char *conn = one->conn->name, *there = other->conn->name;
    if (same_device)
        option_complain(complaints, FAULT_OPTION_CONFLICT, "", a->place,
                        "%s.%s has %s = 0x%x and %s.%s%s 0x%x, for one device (if_id %u): give "
                        "each a device of its own, or both the same mark",
                        conn, a->child, a->option, a->mark.value, there, b->child, line,
                        b->mark.value, a->device);
    else
        option_complain(complaints, FAULT_OPTION_CONFLICT, "", a->place,
                        "packets with the mark 0x%x are to go to the device of if_id %u (%s.%s) "
                        "and to that of if_id %u (%s.%s%s): a mark leads to one device",
                        a->mark.value, a->device, conn, a->child, b->device, there, b->child, line);
}

void options_marks_check(const struct conn_source *one, const struct conn_source *other,
                         struct complaints *complaints)
{
    size_t count, others;
    AUTOFREE_MEM struct claim *a = claims_of(one, &count), *b = claims_of(other, &others);
    bool itself = one->conn == other->conn;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < (itself ? i : others); j++)
            claims_check(one, &a[i], other, &b[j], complaints);
}

bool options_has_marks(const struct conn *conn)
{
    for (uint32_t i = 0; i < conn->child_count; i++)
        if (conn->children[i].mark_out.mask || conn->children[i].mark_opened.mask) return true;
    return false;
}
