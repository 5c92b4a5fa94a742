// SPDX-License-Identifier: Apache-2.0
// Commands of updown as processes: those of one child in order, each with a time-out, and what they
// print as lines of our own output.
#include "cli/hooks.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE_SIZE = 1024, OUTPUT_LINES_MAX = 1000, PATIENCE_SECONDS = 5 };

struct job {
    char *key, *what, *command;
    char **environment;
    pid_t pid;      // 0: it waits
    int output;     // its end of a pipe that is ours to read; -1: closed
    nsec ends;      // then it is told to end
    bool told;      // it was
    bool ended;
    int status;
    unsigned lines;
    size_t size;    // in line
    char line[LINE_SIZE];
    struct job *next;
};

struct hook_jobs {
    struct job *first, **last;
    size_t count, running;
    nsec timeout;
    int signals;
    bool stop;
};

nsec hook_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NSEC_PER_SECOND + now.tv_nsec;
}

struct hook_jobs *hook_jobs_new(unsigned timeout_seconds)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct hook_jobs *jobs = NEW(struct hook_jobs);
    *jobs = (struct hook_jobs){.timeout = nsec_seconds(timeout_seconds),
                               .signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
    jobs->last = &jobs->first;
    return jobs;
}

static void job_free(struct job *job)
{
    if (job->output >= 0) close(job->output);
    for (size_t i = 0; job->environment[i]; i++) free(job->environment[i]);
    free(job->environment);
    free(job->key);
    free(job->what);
    free(job->command);
    free(job);
}

void hook_jobs_free(struct hook_jobs *jobs)
{
    while (jobs->first) {
        struct job *job = jobs->first;
        jobs->first = job->next;
        if (job->pid) kill(-job->pid, SIGKILL);
        job_free(job);
    }
    close(jobs->signals);
    free(jobs);
}

size_t hook_jobs_count(const struct hook_jobs *jobs) { return jobs->count; }
bool hook_jobs_stop_ordered(const struct hook_jobs *jobs) { return jobs->stop; }

void hook_jobs_add(struct hook_jobs *jobs, const char *key, const char *what, const char *command,
                   const struct hook_words *environment)
{
    if (jobs->count == HOOK_JOBS_MAX) {
        printf("%s: not run: %d commands wait already\n", what, HOOK_JOBS_MAX);
        return;
    }
    struct job *job = NEW(struct job);
    *job = (struct job){.key = mem_text(key), .what = mem_text(what), .command = mem_text(command), .output = -1};
    job->environment = mem_array(environment->count + 1, sizeof *job->environment);
    for (size_t i = 0; i < environment->count; i++)
        job->environment[i] = mem_text(environment->at[i]);
    *jobs->last = job;
    jobs->last = &job->next;
    jobs->count++;
}

// --- starting

static _Noreturn void job_become(const struct job *job, int output)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0) dup2(null, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    char *words[] = {(char[]){"sh"}, (char[]){"-c"}, job->command, NULL};
    execve("/bin/sh", words, job->environment);
    _exit(127);
}

static void job_start(struct hook_jobs *jobs, struct job *job)
{
    int ends[2];
    job->ends = hook_now() + jobs->timeout;
    fflush(stdout);
    if (pipe2(ends, O_CLOEXEC) < 0) ends[0] = ends[1] = -1;
    job->pid = ends[0] < 0 ? -1 : fork();
    if (job->pid == 0) job_become(job, ends[1]);
    if (ends[1] >= 0) close(ends[1]);
    job->output = ends[0];
    if (job->pid > 0) {
        fcntl(job->output, F_SETFL, O_NONBLOCK);
        setpgid(job->pid, job->pid);
        jobs->running++;
        return;
    }
    printf("%s: cannot be started: %s\n", job->what, strerror(errno));
    job->pid = 0;
    job->ended = true;
}

// One whose child has no earlier one in the list.
static bool job_may_start(const struct hook_jobs *jobs, const struct job *job)
{
    for (const struct job *at = jobs->first; at != job; at = at->next)
        if (strcmp(at->key, job->key) == 0) return false;
    return true;
}

static void jobs_start(struct hook_jobs *jobs)
{
    for (struct job *at = jobs->first; at && jobs->running < HOOK_RUNNING_MAX; at = at->next)
        if (!at->pid && !at->ended && job_may_start(jobs, at)) job_start(jobs, at);
}

// --- what they say

static void line_print(struct job *job)
{
    if (!job->size) return;
    struct arena arena = {0};
    if (job->lines < OUTPUT_LINES_MAX)
        printf("%s: %s\n", job->what, hook_text(bytes_of(job->line, job->size), &arena));
    else if (job->lines == OUTPUT_LINES_MAX)
        printf("%s: it says more than %d lines; the rest is not shown\n", job->what, OUTPUT_LINES_MAX);
    job->lines += job->lines <= OUTPUT_LINES_MAX;
    job->size = 0;
    arena_free(&arena);
}

// True when there was something.
static bool output_take(struct job *job)
{
    char space[4096];
    ssize_t size = read(job->output, space, sizeof space);
    for (ssize_t i = 0; i < size; i++) {
        if (space[i] == '\n' || job->size == LINE_SIZE) line_print(job);
        if (space[i] != '\n') job->line[job->size++] = space[i];
    }
    if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR))) return size > 0;
    line_print(job);
    close(job->output);
    job->output = -1;
    return false;
}

// --- ending

static void end_tell(const struct job *job)
{
    if (WIFSIGNALED(job->status))
        printf("%s: ended by signal %d%s\n", job->what, WTERMSIG(job->status), job->told ? " after its time-out" : "");
    else if (WEXITSTATUS(job->status) == 127)
        printf("%s: there is no such program (exit status 127): %s\n", job->what, job->command);
    else if (WEXITSTATUS(job->status) == 126)
        printf("%s: not executable (exit status 126): %s; chmod +x makes it so\n", job->what, job->command);
    else if (WEXITSTATUS(job->status))
        printf("%s: failed with exit status %d\n", job->what, WEXITSTATUS(job->status));
}

static void jobs_reap(struct hook_jobs *jobs)
{
    for (struct job *job = jobs->first; job; job = job->next) {
        if (!job->pid || job->ended || waitpid(job->pid, &job->status, WNOHANG) != job->pid) continue;
        job->ended = true;
        jobs->running--;
        // What it leaves running may keep the pipe open.
        for (unsigned i = 0; i < OUTPUT_LINES_MAX && job->output >= 0 && output_take(job);) i++;
        line_print(job);
        end_tell(job);
    }
    for (struct job **at = &jobs->first; *at;) {
        struct job *job = *at;
        if (!job->ended) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        job_free(job);
        jobs->count--;
    }
    for (jobs->last = &jobs->first; *jobs->last;) jobs->last = &(*jobs->last)->next;
}

static void jobs_hurry(struct hook_jobs *jobs, nsec now)
{
    for (struct job *job = jobs->first; job; job = job->next) {
        if (!job->pid || job->ended || job->ends > now) continue;
        if (!job->told) printf("%s: still runs after %d s and is told to end\n", job->what, (int)(jobs->timeout / NSEC_PER_SECOND));
        kill(-job->pid, job->told ? SIGKILL : SIGTERM);
        job->told = true;
        job->ends = now + nsec_seconds(PATIENCE_SECONDS);
    }
}

// --- waiting

static void signals_take(struct hook_jobs *jobs)
{
    struct signalfd_siginfo info;
    while (read(jobs->signals, &info, sizeof info) == sizeof info)
        jobs->stop |= info.ssi_signo != SIGCHLD;
}

bool hook_jobs_wait(struct hook_jobs *jobs, int fd, nsec at)
{
    struct pollfd polled[HOOK_RUNNING_MAX + 2];
    struct job *of[HOOK_RUNNING_MAX + 2] = {0};
    nfds_t count = 2;
    jobs_start(jobs);
    polled[0] = (struct pollfd){.fd = fd, .events = POLLIN};
    polled[1] = (struct pollfd){.fd = jobs->signals, .events = POLLIN};
    for (struct job *job = jobs->first; job; job = job->next) {
        if (!job->pid || job->ended) continue;
        if (job->ends < at) at = job->ends;
        if (job->output < 0) continue;
        of[count] = job;
        polled[count++] = (struct pollfd){.fd = job->output, .events = POLLIN};
    }
    nsec now = hook_now(), left = at > now ? at - now : 0;
    struct timespec wait = {.tv_sec = left / NSEC_PER_SECOND, .tv_nsec = left % NSEC_PER_SECOND};
    bool some = ppoll(polled, count, &wait, NULL) > 0;
    for (nfds_t i = 2; some && i < count; i++)
        if (polled[i].revents) output_take(of[i]);
    signals_take(jobs);
    jobs_hurry(jobs, hook_now());
    jobs_reap(jobs);
    fflush(stdout);
    return some && fd >= 0 && polled[0].revents;
}
