// SPDX-License-Identifier: Apache-2.0
// What the catalogue in fault.def says of a fault, in words.
#include "base/fault.h"
#include <stddef.h>

struct fault_row {
    const char *name, *sentence, *remedy, *source;
};

static const struct fault_row fault_rows[FAULT_COUNT] = {
    [OK] = {"OK", "no fault", "", ""},
#define FAULT(symbol, notify, sentence, remedy, source)                                            \
    [FAULT_##symbol] = {#symbol, sentence, remedy, source},
#include "base/fault.def"
#undef FAULT
};

// A number may have come from another process, so one outside the catalogue gets a row as well.
static const struct fault_row *fault_row(enum fault fault)
{
    static const struct fault_row outside = {"UNKNOWN", "a fault that is not in the catalogue", "",
                                             ""};
    return (size_t)fault < FAULT_COUNT ? &fault_rows[fault] : &outside;
}

const char *fault_name(enum fault fault)
{
    return fault_row(fault)->name;
}

const char *fault_sentence(enum fault fault)
{
    return fault_row(fault)->sentence;
}

const char *fault_remedy(enum fault fault)
{
    return fault_row(fault)->remedy;
}

const char *fault_source(enum fault fault)
{
    return fault_row(fault)->source;
}
