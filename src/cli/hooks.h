// SPDX-License-Identifier: Apache-2.0
// cygnet hooks: runs the commands of updown. hooks.c follows the daemon, hooks_env.c says what a
// command is told, hooks_jobs.c runs it.
#pragma once
#include "base/mem.h"
#include "base/nsec.h"
#include "conf/tree.h"
#include "model/selector.h"

enum { HOOK_WORDS_MAX = 128, HOOK_JOBS_MAX = 20000, HOOK_RUNNING_MAX = 16 };

// --- hooks_env.c: pure but for the name of a network interface, which is given

struct hook { // a child, as list-sas has it, and what is to be said of it
    const struct tree *sa, *child;
    bool up, hostaccess;
    const char *interface; // that has the local address
};

struct hook_words { // of an environment, NULL at the end; in an arena
    char *at[HOOK_WORDS_MAX + 1];
    size_t count;
};

// For one local and one remote selector. What comes from the peer is here and nowhere else:
// addresses and numbers as such, identities without control characters.
void hook_environment(const struct hook *hook, const struct selector *local,
                      const struct selector *remote, struct arena *arena, struct hook_words *out);
// The selectors of a child's list; those that cannot be read are left out.
void hook_selectors(const struct tree *child, const char *name, struct selectors *out);
// Without control characters, and no longer than a line may be.
char *hook_text(struct bytes text, struct arena *arena);

// --- hooks_jobs.c

struct hook_jobs;
struct hook_jobs *hook_jobs_new(unsigned timeout_seconds);
void hook_jobs_free(struct hook_jobs *jobs);
// Commands of one key run one after the other, in order; of several keys a few at once.
void hook_jobs_add(struct hook_jobs *jobs, const char *key, const char *what, const char *command,
                   const struct hook_words *environment);
size_t hook_jobs_count(const struct hook_jobs *jobs); // that wait or run
// Waits for what commands say and for their end, for `fd` (-1: none) and until `at`; true: fd has
// something.
bool hook_jobs_wait(struct hook_jobs *jobs, int fd, nsec at);
bool hook_jobs_stop_ordered(const struct hook_jobs *jobs); // SIGTERM, SIGINT
nsec hook_now(void);
