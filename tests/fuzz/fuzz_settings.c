// SPDX-License-Identifier: Apache-2.0
// Configurations in the syntax of swanctl.conf, without includes. The input is the text.
//
// Must reach: every branch of src/conf/settings.c, inherit.c, options.c, check.c and compile.c that needs no file. Holds
// against every input: a tree written with all its values quoted is read as the same tree; complaints are printable and say
// where they stand.
#include "conf/options.h"
#include "fuzz.h"
#include <stdio.h>

static void demand(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "fuzz_settings: %s\n", what);
    abort();
}

static void value_write(struct bytes value, struct buf *out)
{
    buf_add_text(out, "\"");
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] == '"' || value.at[i] == '\\') buf_add_text(out, "\\");
        buf_printf(out, "%c", value.at[i]);
    }
    buf_add_text(out, "\"\n");
}

static void tree_write(const struct tree *section, struct buf *out)
{
    TREE_EACH(item, section)
    {
        if (item->kind == TREE_SECTION) {
            buf_printf(out, "%s {\n", item->name);
            tree_write(item, out);
            buf_add_text(out, "}\n");
        } else {
            demand(item->value.at[item->value.size] == '\0', "a value does not end with a NUL");
            buf_printf(out, "%s = ", item->name);
            value_write(item->value, out);
        }
    }
}

static void check_written(const struct tree *root)
{
    struct arena arena = {0};
    struct complaints complaints = {0};
    struct buf first = BUF(64u << 20), second = BUF(64u << 20);
    tree_write(root, &first);
    const struct tree *again = settings_parse(NULL, buf_bytes(&first), &arena, &complaints);
    demand(complaints.errors == 0, "what is written cannot be read");
    tree_write(again, &second);
    demand(bytes_equal(buf_bytes(&first), buf_bytes(&second)), "what is written is read as something else");
    buf_free(&first);
    buf_free(&second);
    complaints_free(&complaints);
    arena_free(&arena);
}

static void check_complaints(const struct complaints *complaints)
{
    struct buf text = BUF(64u << 20);
    complaints_print(complaints, &text);
    demand(!text.failed, "complaints do not end");
    demand((complaints->errors + complaints->warnings == 0) == (text.size == 0), "a complaint has no text");
    for (const struct complaint *c = complaints->first; c; c = c->next)
        demand(c->fault != OK && *c->text, "a complaint says nothing");
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct complaints complaints = {0};
    const struct tree *root = settings_parse(NULL, bytes_of(data, size), &arena, &complaints);
    demand(root, "a text gives no tree");
    if (!complaints.errors) check_written(root);
    options_check(root, &complaints);
    check_complaints(&complaints);
    complaints_free(&complaints);
    arena_free(&arena);
    return 0;
}
