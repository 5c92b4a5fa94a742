// SPDX-License-Identifier: Apache-2.0
// What the unit tests of this folder share: cmocka with what it wants included first, and a few
// checks in our words.
#pragma once
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/fault.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

// Names both faults when they differ.
#define CHECK_FAULT(expression, expected)                                                          \
    assert_string_equal(fault_name(expression), fault_name(expected))

static inline void check_bytes(struct bytes got, struct bytes expected)
{
    assert_int_equal(got.size, expected.size);
    if (got.size) assert_memory_equal(got.at, expected.at, got.size);
}

// Runs a function in a process of its own and says whether that was aborted.
static inline bool aborts(void (*function)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr)) _exit(2);
        function();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
