// SPDX-License-Identifier: Apache-2.0
#include "conf.h"
#include "conf/message.h"
#include <sys/stat.h>

static const struct {
    const char *in, *out;
} good[] = {
    {"", ""},
    {"\n\n  \t\r\n", ""},
    {"# only a comment", ""},
    {"a=b", "a=b;"},
    {"a = b", "a=b;"},
    {"  a\t=\tb  \n", "a=b;"},
    {"a = b\r\nc = d\r\n", "a=b;c=d;"},
    {"\xef\xbb\xbf" "a = b", "a=b;"},
    {"a = b # comment\nc = d", "a=b;c=d;"},
    {"a = b#comment", "a=b;"},
    {"a = b c   d", "a=b c d;"},
    {"a = x{y,z=1:2", "a=x{y,z=1:2;"},
    {"a = 10.0.0.0/8[tcp/80], 10.1.0.0/16", "a=10.0.0.0/8[tcp/80], 10.1.0.0/16;"},
    {"a = \"b\"", "a=b;"},
    {"a = \"b  c # } {\"", "a=b  c # } {;"},
    {"a = \"\"", "a=;"},
    {"a = \"x\" \"y\"", "a=x y;"},
    {"a = x\"y\"z", "a=x y z;"},
    {"a = \"1\\n2\\t3\\\"4\\\\5\\r6\\q\"", "a=1\n2\t3\"4\\5\r6q;"},
    {"a = \"one \\\ntwo\"", "a=one two;"},
    {"a = \"one \\\r\ntwo\"", "a=one two;"},
    {"a = \"one\ntwo\"\nb = c", "a=one\ntwo;b=c;"},
    {"a\n=\nb = c", "b=c;"},             // as for strongSwan, the value ends with the line of the equals sign
    {"a {}", "a{}"},
    {"a { b = c }", "a{b=c;}"},
    {"a { b = c } d = e", "a{b=c;}d=e;"},
    {"a\n{\nb = c\n}\n", "a{b=c;}"},
    {"a{b{c{d=e}}}", "a{b{c{d=e;}}}"},
    {"a { # comment }\n b = c\n}", "a{b=c;}"},
    {"a.b-c_d/e%*@+ { }", "a.b-c_d/e%*@+{}"},
    {"include = x", "include=x;"},
    {"include { }", "include{}"},
    {"includes x = y", NULL},
    // merging
    {"a { b = 1 } a { c = 2 }", "a{b=1;c=2;}"},
    {"a { b = 1 } a { b = 2 }", "a{b=2;}"},
    {"a { s { x = 1 } } a { s { y = 2 } }", "a{s{x=1;y=2;}}"},
    {"a = 1\nb = 2\na = 3", "a=3;b=2;"},
    {"a = 1\na =", ""},
    {"a =\na = 1", "a=1;"},
    // inheritance
    {"a { x = 1 } b : a { }", "a{x=1;}b{x=1;}"},
    {"b : a { } a { x = 1 }", "b{x=1;}a{x=1;}"},
    {"a { x = 1 } b:a{y=2}", "a{x=1;}b{y=2;x=1;}"},
    {"a { x = 1 } b : a { x = 2 }", "a{x=1;}b{x=2;}"},
    {"a { x = 1 } b : a { x = }", "a{x=1;}b{}"},
    {"a { x = 1 } b : a { x = } c : b { }", "a{x=1;}b{}c{}"},
    {"a { x = 1 } b { x = 2\n y = 3 } c : a, b { }", "a{x=1;}b{x=2;y=3;}c{x=1;y=3;}"},
    {"a { x = 1 } b { x = 2 } c : a\n, b\n { }", "a{x=1;}b{x=2;}c{x=1;}"},
    {"a { s { x = 1\n y = 1 } } b : a { s { x = 2 } }", "a{s{x=1;y=1;}}b{s{x=2;y=1;}}"},
    {"a { s { x = 1 } } b : a { s = }", "a{s{x=1;}}b{}"},
    {"t { s { x = 1 } } b : t.s { }", "t{s{x=1;}}b{x=1;}"},
    {"t { s.u { x = 1 } } b : t.s.u { }", "t{s.u{x=1;}}b{x=1;}"},
    {"a { x = 1 } b : a { y = 1 } c : b { z = 1 }", "a{x=1;}b{y=1;x=1;}c{z=1;y=1;x=1;}"},
    {"c { a { x = 1 } b : c.a { } d : c.b { } }", "c{a{x=1;}b{x=1;}d{x=1;}}"},
    {"t { s { x = 1 } } a { s : t.s { y = 2 } } b : a { }", "t{s{x=1;}}a{s{y=2;x=1;}}b{s{y=2;x=1;}}"},
    {"a { x = 1 } b : a { } a { y = 2 }", "a{x=1;y=2;}b{x=1;y=2;}"},
    {"a { x = 1 } b : a { } b : a { }", "a{x=1;}b{x=1;}"},
};

static void files_are_read_as_trees(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        struct read_conf conf = conf_read(good[i].in);
        if (good[i].out && conf.complaints.errors) print_message("%s\n%s", good[i].in, conf_complaints(&conf));
        assert_int_equal(conf.complaints.errors, good[i].out ? 0 : 1);
        if (good[i].out) assert_string_equal(conf_dump(&conf), good[i].out);
        conf_free(&conf);
    }
}

static const struct {
    const char *in, *complaints, *out;
} bad[] = {
    {"foo bar\na = 1", "test.conf:1:1: expected \"=\" or \"{\" after \"foo\"\n    foo bar\n    ^\n", "a=1;"},
    {"foo", "test.conf:1:1: expected \"=\" or \"{\" after \"foo\"\n    foo\n    ^\n", ""},
    {"foo\na = 1", "test.conf:1:1: expected \"=\" or \"{\" after \"foo\"\n    foo\n    ^\n", "a=1;"},
    {" = x\na = 1", "test.conf:1:2: expected a name here, not \"=\"\n     = x\n     ^\n", "a=1;"},
    {"\"a\" = x", "test.conf:1:1: expected a name here, not '\"'\n    \"a\" = x\n    ^\n", ""},
    {"a = 1\n\t} b = 2", "test.conf:2:2: this \"}\" closes no section\n    \t} b = 2\n    \t^\n", "a=1;b=2;"},
    {"a {\n b {\n c = 1\n }\n",
     "test.conf:1:1: the section that begins here is not closed with \"}\"\n    a {\n    ^\n", "a{b{c=1;}}"},
    {"a = \"x\nb = 2\n", "test.conf:1:5: this quote is not closed\n    a = \"x\n        ^\n", "a=x\nb = 2\n;"},
    {"a = 1\na { }\n", "test.conf:2:1: \"a\" is a setting already, in line 1\n    a { }\n    ^\n", "a=1;"},
    {"a { }\na = 1\n", "test.conf:2:1: \"a\" is a section already, in line 1\n    a = 1\n    ^\n", "a{}"},
    {"a : b\nc = 1", "test.conf:2:1: expected \"{\" to begin the section \"a\"\n    c = 1\n    ^\n"
                        "test.conf:1:5: there is no section \"b\" to inherit from\n    a : b\n        ^\n", "a{}"},
    {"a : { }", "test.conf:1:5: expected the name of a section to inherit from\n    a : { }\n        ^\n", "a{}"},
    {"a : b { }", "test.conf:1:5: there is no section \"b\" to inherit from\n    a : b { }\n        ^\n", "a{}"},
    {"b = 1\na : b { }", "test.conf:2:5: there is no section \"b\" to inherit from\n    a : b { }\n        ^\n", "b=1;a{}"},
    {"a : a { x = 1 }", "test.conf:1:5: the section \"a\" inherits from itself\n    a : a { x = 1 }\n        ^\n",
     "a{x=1;}"},
    {"a : b { x = 1 }\nb : a { }",
     "test.conf:2:5: the section \"a\" inherits from itself\n    b : a { }\n        ^\n", "a{x=1;}b{}"},
    {"a { b : a { } x = 1 }",
     "test.conf:1:9: the section \"a\" inherits from itself\n    a { b : a { } x = 1 }\n            ^\n", "a{b{}x=1;}"},
    {"include\na = 1", "test.conf:1:1: expected \"=\" or \"{\" after \"include\"\n    include\n    ^\n", "a=1;"},
    {"include #x", "test.conf:1:9: expected the name of a file after include\n    include #x\n            ^\n", ""},
    // two at once, and a line that comes with a carriage return
    {"x\r\n}\r\n", "test.conf:1:1: expected \"=\" or \"{\" after \"x\"\n    x\n    ^\n"
                   "test.conf:2:1: this \"}\" closes no section\n    }\n    ^\n", ""},
    // secrets are not shown, neither on their line nor where a quote goes on
    {"a { secret = \"xyz\" }}", "test.conf:1:21: this \"}\" closes no section\n    a { secret =\n", "a{secret=xyz;}"},
    {"a { secret = \"xyz\nabc\" }}", "test.conf:2:7: this \"}\" closes no section\n", "a{secret=xyz\nabc;}"},
    {"pin=\"1234", "test.conf:1:5: this quote is not closed\n    pin=\n        ^\n", "pin=1234;"},
    // the caret stands under letters, not under bytes
    {"a = \xc3\xa4 \"x", "test.conf:1:8: this quote is not closed\n    a = \xc3\xa4 \"x\n          ^\n", "a=\xc3\xa4 x;"},
};

static void errors_are_said_with_their_line_and_a_caret(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct read_conf conf = conf_read(bad[i].in);
        assert_string_equal(conf_complaints(&conf), bad[i].complaints);
        assert_string_equal(conf_dump(&conf), bad[i].out);
        assert_true(conf.complaints.errors > 0);
        conf_free(&conf);
    }
}

static void a_nul_byte_ends_the_file(void **state)
{
    (void)state;
    struct read_conf conf = {.text = BUF(10000)};
    conf.root = settings_parse("test.conf", BYTES("a = 1\nb\0 = 2\n"), &conf.arena, &conf.complaints);
    assert_non_null(strstr(conf_complaints(&conf), "test.conf:2: a NUL byte: this is not a text file\n"));
    conf_free(&conf);
}

static void places_are_remembered(void **state)
{
    (void)state;
    struct read_conf conf = conf_read("a {\n  key   = value\n}\nb : a { }\n");
    const struct tree *item = tree_find(tree_section(conf.root, "b"), "key");
    assert_int_equal(item->place.line, 2);
    assert_int_equal(item->place.column, 3);
    assert_int_equal(item->place.value_column, 11);
    assert_string_equal(item->place.file, "test.conf");
    assert_true(tree_section(conf.root, "a")->inherited_from);
    assert_false(tree_section(conf.root, "b")->inherited_from);
    conf_free(&conf);
}

static void depth_names_and_copies_are_limited(void **state)
{
    (void)state;
    struct buf deep = BUF(1 << 20);
    for (size_t i = 0; i < 100000; i++) buf_add_text(&deep, "a{");
    struct read_conf conf = conf_read(buf_text(&deep));
    assert_non_null(strstr(conf_complaints(&conf), "sections are nested deeper than 16"));
    assert_int_equal(conf.complaints.errors, 1);
    conf_free(&conf);

    buf_clear(&deep);
    for (size_t i = 0; i < 256; i++) buf_add_text(&deep, "n");
    buf_add_text(&deep, " = 1\nb = 2");
    conf = conf_read(buf_text(&deep));
    assert_non_null(strstr(conf_complaints(&conf), "a name is longer than 255 bytes"));
    conf_free(&conf);

    // Each section holds the one before four times over.
    buf_clear(&deep);
    buf_add_text(&deep, "s0 { x = 1 }\n");
    for (size_t i = 1; i < 15; i++)
        buf_printf(&deep, "s%zu { a : s%zu { } b : s%zu { } c : s%zu { } d : s%zu { } }\n", i, i - 1, i - 1, i - 1, i - 1);
    conf = conf_read(buf_text(&deep));
    assert_non_null(strstr(conf_complaints(&conf), "more than 1000000 settings and sections"));
    conf_free(&conf);

    // References that nest ever deeper.
    buf_clear(&deep);
    buf_add_text(&deep, "s0 { x { } }\n");
    for (size_t i = 1; i < 40; i++) buf_printf(&deep, "s%zu { x : s%zu { } }\n", i, i - 1);
    conf = conf_read(buf_text(&deep));
    assert_non_null(strstr(conf_complaints(&conf), "sections are nested deeper than 16 after inheritance"));
    conf_free(&conf);
    buf_free(&deep);
}

// Files
// ---------------------------------------------------------------------------------------------------

static char place[] = "/tmp/cygnet-settings-XXXXXX";

static void file_write(const char *name, const char *text)
{
    AUTOFREE_MEM char *path = mem_printf("%s/%s", place, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static struct read_conf file_load(const char *name)
{
    AUTOFREE_MEM char *path = mem_printf("%s/%s", place, name);
    struct read_conf conf = {.text = BUF(1 << 20)};
    conf.root = settings_load(path, &conf.arena, &conf.complaints);
    return conf;
}

static void check_file(const char *name, const char *out, const char *complaint)
{
    struct read_conf conf = file_load(name);
    assert_string_equal(conf_dump(&conf), out);
    const char *complaints = conf_complaints(&conf);
    if (complaint)
        assert_non_null(strstr(complaints, complaint));
    else
        assert_string_equal(complaints, "");
    conf_free(&conf);
}

static int directory_make(void **state)
{
    (void)state;
    if (!mkdtemp(place)) return -1;
    AUTOFREE_MEM char *inner = mem_printf("%s/conf.d", place);
    return mkdir(inner, 0700);
}

static int directory_remove(void **state)
{
    (void)state;
    AUTOFREE_MEM char *command = mem_printf("rm -r '%s'", place);
    return system(command);
}

static void includes_are_relative_to_their_file_and_may_have_wildcards(void **state)
{
    (void)state;
    file_write("conf.d/10.conf", "a { x = 1 }\ninclude inner.txt\n");
    file_write("conf.d/20.conf", "a { x = 2\n y = 2 }\n");
    file_write("conf.d/inner.txt", "inner = 1\n");
    file_write("wild.conf", "include conf.d/*.conf\nb = 1\n");
    check_file("wild.conf", "a{x=2;y=2;}inner=1;b=1;", NULL);
    file_write("section.conf", "s { include conf.d/inner.txt\n z = 1 }\n");
    check_file("section.conf", "s{inner=1;z=1;}", NULL);
    file_write("quoted.conf", "include \"conf.d/inner.txt\" # comment\nz = 1\n");
    check_file("quoted.conf", "inner=1;z=1;", NULL);
    file_write("none.conf", "include nothing/*.conf\nz = 1\n");
    check_file("none.conf", "z=1;", NULL);
    file_write("reference.conf", "include conf.d/20.conf\nb : a { x = 3 }\n");
    check_file("reference.conf", "a{x=2;y=2;}b{x=3;y=2;}", NULL);
}

static void an_include_that_is_not_there_is_worth_a_warning(void **state)
{
    (void)state;
    file_write("missing.conf", "include not-there.conf\nz = 1\n");
    check_file("missing.conf", "z=1;", "missing.conf:1:9: warning: there is no file");
}

static void loops_and_depth_of_includes_are_refused(void **state)
{
    (void)state;
    file_write("loop.conf", "a = 1\ninclude loop.conf\nb = 2\n");
    check_file("loop.conf", "a=1;b=2;", "loop.conf:2:9: cannot read ");
    file_write("one.conf", "include two.conf\n");
    file_write("two.conf", "include one.conf\nx = 1");
    check_file("one.conf", "x=1;", "it includes itself");
    for (int i = 0; i < 12; i++) {
        AUTOFREE_MEM char *name = mem_printf("d%d.conf", i), *text = mem_printf("k%d = 1\ninclude d%d.conf\n", i, i + 1);
        file_write(name, text);
    }
    check_file("d0.conf", "k0=1;k1=1;k2=1;k3=1;k4=1;k5=1;k6=1;k7=1;k8=1;k9=1;", "files include files more than 10 deep");
}

static void errors_in_included_files_name_those(void **state)
{
    (void)state;
    file_write("inner.conf", "x y\n");
    file_write("outer.conf", "include inner.conf\n");
    check_file("outer.conf", "", "inner.conf:1:1: expected \"=\" or \"{\" after \"x\"\n    x y\n    ^\n");
}

static void a_file_that_cannot_be_read_gives_no_tree(void **state)
{
    (void)state;
    struct read_conf conf = file_load("not-there");
    assert_null(conf.root);
    assert_non_null(strstr(conf_complaints(&conf), "No such file or directory"));
    conf_free(&conf);
    conf = file_load("conf.d");
    assert_null(conf.root);
    assert_non_null(strstr(conf_complaints(&conf), "it is not a regular file"));
    conf_free(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_as_trees),
        cmocka_unit_test(errors_are_said_with_their_line_and_a_caret),
        cmocka_unit_test(a_nul_byte_ends_the_file),
        cmocka_unit_test(places_are_remembered),
        cmocka_unit_test(depth_names_and_copies_are_limited),
        cmocka_unit_test(includes_are_relative_to_their_file_and_may_have_wildcards),
        cmocka_unit_test(an_include_that_is_not_there_is_worth_a_warning),
        cmocka_unit_test(loops_and_depth_of_includes_are_refused),
        cmocka_unit_test(errors_in_included_files_name_those),
        cmocka_unit_test(a_file_that_cannot_be_read_gives_no_tree),
    };
    return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
