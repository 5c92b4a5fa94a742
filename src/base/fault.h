// SPDX-License-Identifier: Apache-2.0
// The fault catalogue: every way in which the peer, the network or the operator can be wrong, once.
// A fault is chosen where it is detected and passed up unchanged; one place turns it into a notify, a log line and a
// consequence. What only we could have got wrong is an assert() instead, kept in release builds.
#pragma once

enum fault {
    OK = 0,
#define FAULT(symbol, notify, sentence, remedy, source) FAULT_##symbol,
#include "base/fault.def"
#undef FAULT
    FAULT_COUNT
};

#define CHECKED __attribute__((warn_unused_result))

// Hands a fault to the caller; the only macro that hides a return.
#define TRY(expression)                       \
    do {                                      \
        enum fault try_fault_ = (expression); \
        if (try_fault_) return try_fault_;    \
    } while (0)

const char *fault_name(enum fault fault);      // "KE_WRONG_LENGTH"; "OK" for none
const char *fault_sentence(enum fault fault);  // what is wrong, for the log
const char *fault_remedy(enum fault fault);    // what the operator can do; "" where there is nothing
const char *fault_source(enum fault fault);    // "RFC 7296 3.4", or "" for faults of our own
