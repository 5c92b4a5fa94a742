// SPDX-License-Identifier: Apache-2.0
// One event a line: to standard error as text or JSON, or to the system's log when the daemon runs
// in the background.
//
// Ordinary lines of one turn of the event loop are written together when the turn's messages are on
// their way, since nobody waits for a line and a peer waits for an answer. What is more than
// ordinary is written at once, with all before it; so is what there is when the process crashes.
#include "base/mem.h"
#include "daemon/role.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX = 61440, GATHERED_MAX = 16384 };

static struct {
    enum log_format format;
    bool debug, to_syslog, to_journal;
} settings;

static struct {
    char at[GATHERED_MAX];
    volatile size_t size;
} gathered;
static _Thread_local bool gathers; // the thread of the loop alone

static const char *const level_names[] = {"audit", "error", "info", "detail", "debug"};
static const int priorities[] = {LOG_NOTICE, LOG_ERR, LOG_INFO, LOG_DEBUG, LOG_DEBUG};

// systemd.exec(5), JOURNAL_STREAM: then standard error is read by the journal, which has the time and takes "<N>" for the priority.
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    unsigned long device, inode;
    return stream && sscanf(stream, "%lu:%lu", &device, &inode) == 2 && fstat(STDERR_FILENO, &status) == 0 &&
           status.st_dev == device && status.st_ino == inode;
}

void role_log_setup(enum log_format format, bool debug, bool to_syslog)
{
    settings.format = format;
    settings.debug = debug;
    settings.to_syslog = to_syslog;
    settings.to_journal = !to_syslog && is_journal();
    // Opened now: later the process may be locked into an empty directory.
    if (to_syslog) openlog("cygnetd", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

static void put_out(const char *at, size_t size)
{
    if (size && write(STDERR_FILENO, at, size) < 0) return; // nobody reads: there is nowhere left to say so
}

void role_log_flush(void)
{
    if (!gathers) return;
    put_out(gathered.at, gathered.size);
    gathered.size = 0;
}

static void crashed(int signal)
{
    put_out(gathered.at, gathered.size);
    gathered.size = 0;
    raise(signal); // its own action is back by SA_RESETHAND
}

void role_log_gather(bool wanted)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    struct sigaction action = {.sa_handler = crashed, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER)};
    role_log_flush();
    gathers = wanted && !settings.to_syslog;
    for (size_t i = 0; gathers && i < sizeof crashes / sizeof *crashes; i++) {
        struct sigaction former;
        // A sanitizer has something better to do with them.
        if (sigaction(crashes[i], NULL, &former) == 0 && former.sa_handler == SIG_DFL)
            sigaction(crashes[i], &action, NULL);
    }
}

static void line_out(const struct buf *line, int level)
{
    bool waits = gathers && level >= IKE_INFO && line->size <= GATHERED_MAX;
    if (!waits || line->size > GATHERED_MAX - gathered.size) role_log_flush();
    if (!waits) {
        put_out((const char *)line->at, line->size);
        return;
    }
    memcpy(gathered.at + gathered.size, line->at, line->size);
    gathered.size += line->size;
}

static void put_time(struct buf *line)
{
    struct timespec now;
    struct tm parts;
    char text[40];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    buf_printf(line, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

// RFC 8259 7: quotes, backslashes and controls are escaped; what is no ASCII is passed on as it is.
static void put_json_text(struct buf *line, const char *text)
{
    buf_add_text(line, "\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            buf_printf(line, "\\%c", c);
        else if (c == '\n')
            buf_add_text(line, "\\n");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(line, "\\u%04x", c);
        else
            buf_add(line, bytes_of(&c, 1));
    }
    buf_add_text(line, "\"");
}

static void put_json_member(struct buf *line, const char *name, const char *text)
{
    if (!*text) return;
    buf_printf(line, ",\"%s\":", name);
    put_json_text(line, text);
}

static void line_json(struct buf *line, enum role role, int level, enum fault fault,
                      const char *text)
{
    buf_add_text(line, "{\"time\":\"");
    put_time(line);
    buf_printf(line, "\",\"role\":\"%s\",\"level\":\"%s\"", role_name(role), level_names[level]);
    put_json_member(line, "text", text);
    if (fault) {
        put_json_member(line, "fault", fault_name(fault));
        put_json_member(line, "sentence", fault_sentence(fault));
        put_json_member(line, "source", fault_source(fault));
        put_json_member(line, "remedy", fault_remedy(fault));
    }
    buf_add_text(line, "}\n");
}

// What peers or files wrote must not move the cursor of a terminal nor forge a line: controls are
// shown as a point, and further lines are set in.
static void put_plain_text(struct buf *line, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\n')
            buf_add_text(line, "\n    ");
        else if ((c < 0x20 && c != '\t') || c == 0x7f)
            buf_add_text(line, ".");
        else
            buf_add(line, bytes_of(&c, 1));
    }
}

// "… the sentence (FAULT, RFC); the remedy": the sentence only where the text does not say it already.
static void put_fault(struct buf *line, enum fault fault, const char *text)
{
    const char *sentence = fault_sentence(fault), *source = fault_source(fault), *remedy = fault_remedy(fault);
    if (!strstr(text, sentence)) buf_printf(line, "%s%s", *text ? ": " : "", sentence);
    buf_printf(line, " (%s%s%s)", fault_name(fault), *source ? ", " : "", source);
    if (*remedy) buf_printf(line, "; %s", remedy);
}

// A text of several lines (an explanation) has the fault behind its first one.
static void line_text(struct buf *line, enum role role, int level, enum fault fault, const char *text)
{
    if (settings.to_journal) {
        buf_printf(line, "<%d>", priorities[level]);
    } else if (!settings.to_syslog) {
        put_time(line);
        buf_add_text(line, " ");
    }
    buf_printf(line, "%s: ", role_name(role));
    const char *rest = strchr(text, '\n');
    AUTOFREE_MEM char *first = rest ? mem_text_of(bytes_of(text, (size_t)(rest - text))) : mem_text(text);
    put_plain_text(line, first);
    if (fault) put_fault(line, fault, first);
    if (rest) put_plain_text(line, rest);
    buf_add_text(line, "\n");
}

void role_log(enum role role, int level, enum fault fault, const char *format, ...)
{
    if (level > IKE_DEBUG) level = IKE_DEBUG;
    if (level < IKE_AUDIT) level = IKE_AUDIT;
    if (level > IKE_INFO && !settings.debug) return;
    va_list args;
    va_start(args, format);
    AUTOFREE_MEM char *text = mem_vprintf(format, args);
    va_end(args);
    AUTOFREE_BUF struct buf line = BUF(LINE_MAX * 7);
    if (settings.format == LOG_FORMAT_JSON)
        line_json(&line, role, level, fault, text);
    else
        line_text(&line, role, level, fault, text);
    if (settings.to_syslog)
        syslog(priorities[level], "%s", buf_text(&line));
    else
        line_out(&line, level);
}
