// SPDX-License-Identifier: Apache-2.0
// What the tests of conf share: trees as text, and configurations given in the test.
#pragma once
#include "../base/unit.h"
#include "conf/options.h"

static inline void tree_dump(const struct tree *tree, struct buf *out)
{
    TREE_EACH(item, tree)
    {
        if (item->kind == TREE_SECTION) {
            buf_printf(out, "%s{", item->name);
            tree_dump(item, out);
            buf_add_text(out, "}");
        } else if (item->kind == TREE_LIST) {
            buf_printf(out, "%s[", item->name);
            TREE_EACH(part, item) buf_printf(out, "%s%s", part == item->first ? "" : ",", (const char *)part->value.at);
            buf_add_text(out, "]");
        } else {
            buf_printf(out, "%s=", item->name);
            buf_add(out, item->value);
            buf_add_text(out, ";");
        }
    }
}

// A configuration given as text, and what there is to complain about it.
struct read_conf {
    struct arena arena;
    struct complaints complaints;
    struct tree *root;
    struct buf text;
};

static inline struct read_conf conf_read(const char *text)
{
    struct read_conf conf = {.text = BUF(1 << 20)};
    conf.root = settings_parse("test.conf", bytes_of_text(text), &conf.arena, &conf.complaints);
    return conf;
}

static inline const char *conf_dump(struct read_conf *conf)
{
    buf_clear(&conf->text);
    tree_dump(conf->root, &conf->text);
    return buf_text(&conf->text);
}

static inline const char *conf_complaints(struct read_conf *conf)
{
    buf_clear(&conf->text);
    complaints_print(&conf->complaints, &conf->text);
    return buf_text(&conf->text);
}

static inline void conf_free(struct read_conf *conf)
{
    complaints_free(&conf->complaints);
    arena_free(&conf->arena);
    buf_free(&conf->text);
}
