// SPDX-License-Identifier: Apache-2.0
// Tests that need sockets with privileges run in a network namespace of their own, with its
// loopback device up.
#pragma once
#include "base/unit.h"
#include "os/rtnl.h"
#include <sched.h>

// The group set-up of such tests. It never fails: each test asks in_namespace().
static bool namespace_made;

static int namespace_make(void **state)
{
    (void)state;
    namespace_made = unshare(CLONE_NEWNET) == 0;
    if (!namespace_made) return 0;
    struct rtnl *rtnl = rtnl_new();
    assert_non_null(rtnl);
    CHECK_FAULT(rtnl_link(rtnl, 1, true, 0), OK);
    rtnl_free(rtnl);
    return 0;
}

#define NEEDS_NAMESPACE()                                                                          \
    do {                                                                                           \
        if (!namespace_made) {                                                                     \
            print_message("skipped: no right to make a network namespace\n");                      \
            skip();                                                                                \
        }                                                                                          \
    } while (0)
