// SPDX-License-Identifier: Apache-2.0
// Prints what options_load() makes of a configuration, for test_swanctl.py: load_dump FILE DIRECTORY
#include "conf.h"

static void value_print(struct bytes value)
{
    bool text = true;
    for (size_t i = 0; i < value.size; i++) text &= value.at[i] >= 0x20 && value.at[i] < 0x7f;
    if (text) {
        printf("%.*s\n", (int)value.size, (const char *)value.at);
        return;
    }
    AUTOFREE_MEM char *hex = mem_new(value.size * 2 + 1);
    printf("0x%s\n", bytes_hex(value, hex, value.size * 2 + 1));
}

static void section_print(const struct tree *section, const char *path)
{
    TREE_EACH(item, section)
    {
        AUTOFREE_MEM char *name = mem_printf("%s%s%s", path, *path ? "." : "", item->name);
        if (item->kind == TREE_SECTION) {
            printf("  %s {}\n", name);
            section_print(item, name);
        } else if (item->kind == TREE_LIST) {
            printf("  %s []\n", name);
            TREE_EACH(part, item) printf("  %s += ", name), value_print(part->value);
        } else {
            printf("  %s = ", name);
            value_print(item->value);
        }
    }
}

static void message_print(void *context, const char *command, const struct tree *message)
{
    (void)context;
    printf("%s\n", command);
    section_print(message, "");
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    struct read_conf conf = {.text = BUF(1 << 20)};
    struct loader loader = {NULL, message_print};
    conf.root = settings_load(argv[1], &conf.arena, &conf.complaints);
    if (conf.root) options_check(conf.root, &conf.complaints);
    if (conf.root) options_load(conf.root, argv[2], &loader, &conf.complaints);
    fputs(conf_complaints(&conf), stderr);
    int result = conf.complaints.errors ? 1 : 0;
    conf_free(&conf);
    return result;
}
