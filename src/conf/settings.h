// SPDX-License-Identifier: Apache-2.0
// The syntax of swanctl.conf (strongswan.conf(5)): sections, key = value, comments, quotes, include with globs, inheritance with
// "name : reference, reference { … }". Reads files; the result is a tree in which inheritance is resolved and sections are merged.
#pragma once
#include "conf/tree.h"

// Errors of a whole run, so that all can be shown at once.
struct complaint {
    enum fault fault;
    struct place place;
    char *text;                // the sentence, complete
    struct complaint *next;
    bool warning;
};
struct complaints {
    struct complaint *first, *last;
    unsigned errors, warnings;
    unsigned repeated;         // not kept: the same had been said of the same place
};
__attribute__((format(printf, 4, 5))) void complain(struct complaints *complaints, enum fault fault, struct place place, const char *format, ...);
// The same, for what is worth saying but does not keep the configuration from being used.
__attribute__((format(printf, 4, 5))) void complain_warning(struct complaints *complaints, enum fault fault, struct place place, const char *format, ...);
void complaints_free(struct complaints *complaints);
// "file:12:9: unknown option \"remote_adrs\": did you mean remote_addrs?" then the line and a caret.
void complaints_print(const struct complaints *complaints, struct buf *out);

struct tree *settings_load(const char *path, struct arena *arena, struct complaints *complaints);    // NULL only if the file cannot be read
// Without a file_name nothing can be included.
struct tree *settings_parse(const char *file_name, struct bytes text, struct arena *arena, struct complaints *complaints);
