// SPDX-License-Identifier: Apache-2.0
// Log lines: one event a line, whatever is in it.
#include "base/unit.h"
#include "daemon/role.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

// The line that one call writes, without its time.
static struct buf logged(enum log_format format, int level, enum fault fault, const char *text)
{
    struct buf out = BUF(100000);
    char space[4096];
    int pipes[2], former = dup(STDERR_FILENO);
    assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
    role_log_setup(format, false, false);
    dup2(pipes[1], STDERR_FILENO);
    role_log(ROLE_NET, level, fault, "%s", text);
    dup2(former, STDERR_FILENO);
    for (ssize_t size; (size = read(pipes[0], space, sizeof space)) > 0;)
        buf_add(&out, bytes_of(space, (size_t)size));
    close(pipes[0]);
    close(pipes[1]);
    close(former);
    return out;
}

static void check_text(enum fault fault, const char *text, const char *expected)
{
    AUTOFREE_BUF struct buf line = logged(LOG_FORMAT_TEXT, IKE_INFO, fault, text);
    assert_true(line.size > 25);
    assert_int_equal(line.at[10], 'T');
    assert_memory_equal(line.at + 23, "Z ", 2);
    assert_string_equal(buf_text(&line) + 25, expected);
}

static void a_line_has_time_role_and_text(void **state)
{
    (void)state;
    check_text(OK, "all is well", "net: all is well\n");
}

static void a_fault_brings_its_sentence_and_remedy(void **state)
{
    (void)state;
    check_text(FAULT_TUN_IN_USE, "swan0",
               "net: swan0: the TUN device's name is taken (TUN_IN_USE); stop the other daemon, or "
               "choose a name with --tun\n");
}

static void what_a_peer_wrote_moves_no_cursor_and_forges_no_line(void **state)
{
    (void)state;
    check_text(OK, "id \033[2J\x7f\r\n2026-01-01T00:00:00Z main: forged",
               "net: id .[2J..\n    2026-01-01T00:00:00Z main: forged\n");
}

static void details_are_for_debugging(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf line = logged(LOG_FORMAT_TEXT, IKE_DETAIL, OK, "detail");
    assert_int_equal(line.size, 0);
}

static void json_is_one_object_a_line(void **state)
{
    (void)state;
    AUTOFREE_BUF struct buf line =
        logged(LOG_FORMAT_JSON, IKE_ERROR, FAULT_TRUNCATED, "a \"quote\"\\\n\x01 \xc3\xa9");
    const char *text = buf_text(&line);
    assert_memory_equal(text, "{\"time\":\"", 9);
    const char *rest = strstr(text, "\",\"role\":");
    assert_non_null(rest);
    assert_string_equal(
        rest,
        "\",\"role\":\"net\",\"level\":\"error\",\"text\":\"a \\\"quote\\\"\\\\\\n\\u0001 "
        "\xc3\xa9\",\"fault\":\"TRUNCATED\","
        "\"sentence\":\"message ends before its fields do\",\"source\":\"RFC 7296 2.21\","
        "\"remedy\":\"the peer is broken or the packet was cut; take a trace\"}\n");
}

// What is in the pipe now; each line without its time.
static struct buf pipe_take(int end)
{
    struct buf out = BUF(100000);
    char space[4096];
    for (ssize_t size; (size = read(end, space, sizeof space - 1)) > 0;) {
        space[size] = 0;
        for (char *at = space, *line; (line = strsep(&at, "\n"));)
            if (*line) buf_printf(&out, "%s\n", line + 25);
    }
    return out;
}

static void ordinary_lines_wait_and_keep_their_order(void **state)
{
    (void)state;
    int pipes[2], former = dup(STDERR_FILENO);
    assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
    role_log_setup(LOG_FORMAT_TEXT, false, false);
    dup2(pipes[1], STDERR_FILENO);
    role_log_gather(true);
    role_log(ROLE_NET, IKE_INFO, OK, "first");
    role_log(ROLE_NET, IKE_INFO, OK, "second");
    struct buf before = pipe_take(pipes[0]);
    role_log(ROLE_NET, IKE_ERROR, OK, "bad");
    role_log(ROLE_NET, IKE_INFO, OK, "third");
    struct buf at_error = pipe_take(pipes[0]);
    role_log_flush();
    struct buf after = pipe_take(pipes[0]);
    pid_t child = fork();   // one that crashes has said what it had to say
    if (child == 0) {
        role_log(ROLE_NET, IKE_INFO, OK, "last words");
        abort();
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    struct buf crash = pipe_take(pipes[0]);
    role_log_gather(false);
    role_log(ROLE_NET, IKE_INFO, OK, "at once");
    struct buf end = pipe_take(pipes[0]);
    dup2(former, STDERR_FILENO);
    assert_int_equal(before.size, 0);
    assert_string_equal(buf_text(&at_error), "net: first\nnet: second\nnet: bad\n");
    assert_string_equal(buf_text(&after), "net: third\n");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_string_equal(buf_text(&crash), "net: last words\n");
    assert_string_equal(buf_text(&end), "net: at once\n");
    struct buf *all[] = {&before, &at_error, &after, &crash, &end};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buf_free(all[i]);
    close(pipes[0]);
    close(pipes[1]);
    close(former);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_role_and_text),
        cmocka_unit_test(a_fault_brings_its_sentence_and_remedy),
        cmocka_unit_test(what_a_peer_wrote_moves_no_cursor_and_forges_no_line),
        cmocka_unit_test(details_are_for_debugging),
        cmocka_unit_test(ordinary_lines_wait_and_keep_their_order),
        cmocka_unit_test(json_is_one_object_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
