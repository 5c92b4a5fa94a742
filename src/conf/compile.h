// SPDX-License-Identifier: Apache-2.0
// What the files share that make a struct conn out of its section: the connection itself
// (compile.c), its rounds of authentication (compile_auth.c), its children (compile_child.c).
#pragma once
#include "conf/options_internal.h"

enum { TENTH = 10 }; // of the time of rekeying: what a life is longer

struct compiling {
    struct complaints *complaints;
    enum option_form form;
    struct conn *conn;
    struct arena *arena;
    const char *where;
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

// A limit: a time in nanoseconds, bytes or packets.
struct amount {
    uint64_t value;
    bool given;
};

// Values of a section, or what holds when they are not there (or wrong, which has been complained
// about)
bool bool_of(const struct tree *section, const char *name, bool otherwise);
uint64_t number_of(const struct tree *section, const char *name, uint64_t high, uint64_t otherwise);
uint8_t word_of(const struct tree *section, const char *name, const struct word *words,
                size_t count);
// Several words joined by |, as bits.
uint8_t words_of(const struct tree *section, const char *name, const struct word *words,
                 size_t count);
struct amount amount_of(const struct tree *section, const char *name, enum option_type type);
struct place place_of(const struct tree *section, const char *name);
// Too many parts of a list, or too many sections: complained about.
bool fits(struct compiling *c, size_t count, size_t limit, const struct tree *item);
void proposals_compile(struct compiling *c, const struct tree *item, enum iana_protocol protocol,
                       struct proposals *out);
void margin_check(struct compiling *c, struct place place, const char *what, uint64_t margin);

void rounds_compile(struct compiling *c, const struct tree *section);
void children_compile(struct compiling *c, const struct tree *section);
