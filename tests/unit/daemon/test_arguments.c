// SPDX-License-Identifier: Apache-2.0
// The command line.
#include "base/unit.h"
#include "daemon/arguments.h"
#include <fcntl.h>
#include <getopt.h>

// Reads a blank-separated command line; what it prints is swallowed into *said.
static enum arguments_result read_line(const char *line, struct arguments *out, struct buf *said)
{
    static char words[1024];
    char *argv[40] = {words};
    int argc = 1;
    snprintf(words, sizeof words, "cygnetd%s%s", *line ? " " : "", line);
    for (char *at = words; (at = strchr(at, ' '));) {
        *at++ = 0;
        argv[argc++] = at;
    }
    char space[8192];
    int pipes[2], out_former = dup(1), err_former = dup(2);
    assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
    fflush(NULL);
    dup2(pipes[1], 1);
    dup2(pipes[1], 2);
    optind = 0;
    enum arguments_result result = arguments_read(argc, argv, out);
    fflush(NULL);
    dup2(out_former, 1);
    dup2(err_former, 2);
    for (ssize_t size; (size = read(pipes[0], space, sizeof space)) > 0;)
        buf_add(said, bytes_of(space, (size_t)size));
    close(pipes[0]);
    close(pipes[1]);
    close(out_former);
    close(err_former);
    return result;
}

static void without_options_the_usual_holds(void **state)
{
    (void)state;
    struct arguments arguments;
    AUTOFREE_BUF struct buf said = BUF(10000);
    assert_int_equal(read_line("", &arguments, &said), ARGUMENTS_RUN);
    assert_int_equal(said.size, 0);
    const struct role_options *options = &arguments.options;
    assert_false(arguments.foreground);
    assert_int_equal(options->role, ROLE_MAIN);
    assert_int_equal(options->port, 500);
    assert_int_equal(options->port_nat, 4500);
    assert_int_equal(options->mtu, 1400);
    assert_string_equal(options->tun_name, "cygnet0");
    assert_string_equal(options->config, "/etc/swanctl");
    assert_string_equal(arguments.vici_path, "/run/cygnet/cygnet.vici");
    assert_int_equal(options->udp4.ike, -1);
    assert_int_equal(options->tun[WORKERS_MAX - 1], -1);
}

static void options_are_taken(void **state)
{
    (void)state;
    struct arguments arguments;
    AUTOFREE_BUF struct buf said = BUF(10000);
    assert_int_equal(
        read_line("--foreground --config none --vici unix:///tmp/v --run-dir /tmp/r --tun t_1-x "
                  "--mtu 1300 --port 1500 "
                  "--port-nat 5500 --workers 3 --keylog k --log-json --debug --retransmit 0.1/1.5/3",
                  &arguments, &said),
        ARGUMENTS_RUN);
    const struct role_options *options = &arguments.options;
    assert_true(arguments.foreground && options->json_log && options->debug);
    assert_string_equal(options->config, "none");
    assert_string_equal(arguments.vici_path, "/tmp/v");
    assert_string_equal(options->run_dir, "/tmp/r");
    assert_string_equal(options->tun_name, "t_1-x");
    assert_int_equal(options->mtu, 1300);
    assert_int_equal(options->port, 1500);
    assert_int_equal(options->port_nat, 5500);
    assert_int_equal(options->workers, 3);
    assert_string_equal(options->keylog, "k");
    assert_string_equal(options->retransmit, "0.1/1.5/3");
}

static void mistakes_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *line, *told;
    } rows[] = {
        {"--frobnicate", "--frobnicate"},
        {"--port", "port"},
        {"--port 0", "1 to 65535"},
        {"--port 65536", "\"65536\""},
        {"--port 12x", "\"12x\""},
        {"--port -1", "\"-1\""},
        {"--port 4500", "must differ"},
        {"--mtu 100", "576 to 9000"},
        {"--workers 0", "1 to 16"},
        {"--workers 17", "1 to 16"},
        {"--workers many", "\"many\""},
        {"--tun sixteen-letters-", "--tun"},
        {"--tun a/b", "--tun"},
        {"--vici unix://relative", "absolute"},
        {"--vici tcp://127.0.0.1:4502", "unix:///PATH"},
        {"--retransmit 4/1.8", "4/1.8/5"},
        {"--retransmit 0/1.8/5", "\"0/1.8/5\""},
        {"--retransmit 4/0.5/5", "\"4/0.5/5\""},
        {"stray", "\"stray\""},
        {"--role queen", "\"queen\""},
        {"--fds ike=x", "ike=x"},
        {"--fds nonsense=1", "nonsense=1"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arguments arguments;
        AUTOFREE_BUF struct buf said = BUF(10000);
        assert_int_equal(read_line(rows[i].line, &arguments, &said), ARGUMENTS_END_BAD);
        if (!strstr(buf_text(&said), rows[i].told))
            fail_msg("%s: %s", rows[i].line, buf_text(&said));
    }
}

static void help_and_version_end_well(void **state)
{
    (void)state;
    struct arguments arguments;
    AUTOFREE_BUF struct buf said = BUF(10000);
    assert_int_equal(read_line("--help", &arguments, &said), ARGUMENTS_END_GOOD);
    assert_non_null(strstr(buf_text(&said), "--retransmit T/B/N"));
    assert_null(strstr(buf_text(&said), "--fds"));
    buf_clear(&said);
    assert_int_equal(read_line("--version", &arguments, &said), ARGUMENTS_END_GOOD);
    assert_string_equal(buf_text(&said), "cygnetd " CYGNET_VERSION "\n");
}

// What main writes a role reads, and each role gets its own descriptors only.
static void a_role_reads_what_main_writes(void **state)
{
    (void)state;
    struct arguments arguments, got;
    AUTOFREE_BUF struct buf said = BUF(10000);
    struct arena arena = {0};
    assert_int_equal(
        read_line("--foreground --config /c --tun t0 --mtu 1280 --debug", &arguments, &said),
        ARGUMENTS_RUN);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct role_options options = arguments.options;
    options.role = ROLE_ESP;
    options.life = 3;
    options.alive = options.channel[ROLE_IKE] = options.udp4.ike = options.udp4.esp[0] =
        options.udp6.esp[1] = options.tun[0] = options.vici = fd;
    char **argv = arguments_for_role(&arguments, &options, &arena);
    int argc = 0;
    while (argv[argc]) argc++;
    assert_int_equal(fcntl(fd, F_GETFD), 0);
    optind = 0;
    assert_int_equal(arguments_read(argc, argv, &got), ARGUMENTS_RUN);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(got.options.role, ROLE_ESP);
    assert_int_equal(got.options.life, 3);
    assert_int_equal(got.options.mtu, 1280);
    assert_true(got.options.debug);
    assert_string_equal(got.options.config, "/c");
    assert_int_equal(got.options.alive, fd);
    assert_int_equal(got.options.channel[ROLE_IKE], fd);
    assert_int_equal(got.options.udp4.esp[0], fd);
    assert_int_equal(got.options.udp6.esp[1], fd);
    assert_int_equal(got.options.tun[0], fd);
    assert_int_equal(got.options.udp4.ike, -1); // for the ike role
    assert_int_equal(got.options.vici, -1);     // for the control role
    arena_free(&arena);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_the_usual_holds),
        cmocka_unit_test(options_are_taken),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(help_and_version_end_well),
        cmocka_unit_test(a_role_reads_what_main_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
