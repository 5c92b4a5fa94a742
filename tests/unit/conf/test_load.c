// SPDX-License-Identifier: Apache-2.0
// EXAMPLES is the directory of configurations that must load; it comes from meson.
#include "conf.h"
#include <dirent.h>
#include <sys/stat.h>

static char place[] = "/tmp/cygnet-load-XXXXXX";

static void file_write(const char *name, const char *text)
{
    AUTOFREE_MEM char *path = mem_printf("%s/%s", place, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void file_remove(const char *name)
{
    AUTOFREE_MEM char *path = mem_printf("%s/%s", place, name);
    assert_int_equal(unlink(path), 0);
}

static int directory_make(void **state)
{
    (void)state;
    static const char *const folders[] = {"x509", "x509ca", "private", "pkcs8", "pkcs12", "x509crl", "pubkey"};
    if (!mkdtemp(place)) return -1;
    for (size_t i = 0; i < COUNT(folders); i++) {
        AUTOFREE_MEM char *path = mem_printf("%s/%s", place, folders[i]);
        if (mkdir(path, 0700)) return -1;
    }
    return 0;
}

static int directory_remove(void **state)
{
    (void)state;
    AUTOFREE_MEM char *command = mem_printf("rm -r '%s'", place);
    return system(command);
}

struct notes {
    struct buf text;
};

static void note(void *context, const char *command, const struct tree *message)
{
    struct notes *notes = context;
    buf_printf(&notes->text, "%s ", command);
    tree_dump(message, &notes->text);
    buf_add_text(&notes->text, "\n");
}

// Loads a configuration given as text from the test's directory; both texts are the caller's.
static void check_load(const char *text, const char *messages, const char *complaints)
{
    struct notes notes = {.text = BUF(1 << 20)};
    struct loader loader = {&notes, note};
    struct read_conf conf = conf_read(text);
    options_load(conf.root, place, &loader, &conf.complaints);
    assert_string_equal(buf_text(&notes.text), messages);
    const char *said = conf_complaints(&conf);
    size_t size = strlen(place);
    for (char *at; (at = strstr(said, place));) memmove(at, at + size, strlen(at + size) + 1);
    assert_string_equal(said, complaints);
    buf_free(&notes.text);
    conf_free(&conf);
}

// "0" and a letter pass for DER: 0x30, a length, contents.
#define PEM(label, body) "-----BEGIN " label "-----\n" body "\n-----END " label "-----\n"
#define CERT_A PEM("CERTIFICATE", "MAFh")     // "0\1a"
#define CERT_B PEM("CERTIFICATE", "MAFi")     // "0\1b"
#define OFFICE(round) "connections { office { local { auth = psk } " round " } }"

static void lists_and_files_of_a_connection_are_resolved(void **state)
{
    (void)state;
    file_write("x509/a.pem", CERT_A);
    file_write("x509ca/b.pem", CERT_B);
    check_load("connections { office { version = 2\n local_addrs = 192.0.2.1, 192.0.2.2\n local { certs = a.pem }\n"
               "remote { cacerts = b.pem\n id = x }\n children { lan { local_ts = 10.0.0.0/8 } } } }",
               "load-cert type=X509;flag=NONE;data=0\1a;\n"
               "load-cert type=X509;flag=CA;data=0\1b;\n"
               "load-conn office{version=2;local_addrs[192.0.2.1,192.0.2.2]local{certs[0\1a]}"
               "remote{cacerts[0\1b]id=x;}children{lan{local_ts[10.0.0.0/8]}}}\n", "");
    file_remove("x509/a.pem");
    file_remove("x509ca/b.pem");
}

static void a_bundle_is_all_sent_for_us_and_only_its_first_taken_for_the_peer(void **state)
{
    (void)state;
    file_write("x509/bundle.pem", CERT_A "-- its issuer\n" CERT_B PEM("EC PRIVATE KEY", "MAFj"));
    check_load("connections { office { local { cert1 { file = bundle.pem } } remote { certs = bundle.pem } } }",
               "load-cert type=X509;flag=NONE;data=0\1a;\n"
               "load-cert type=X509;flag=NONE;data=0\1b;\n"
               "load-conn office{local{certs[0\1a,0\1b]}remote{certs[0\1a]}}\n", "");
    file_remove("x509/bundle.pem");
}

static void absolute_paths_are_taken_as_they_are(void **state)
{
    (void)state;
    file_write("elsewhere.pem", CERT_B);
    AUTOFREE_MEM char *text = mem_printf(OFFICE("remote { certs = %s/elsewhere.pem }"), place);
    check_load(text, "load-conn office{local{auth=psk;}remote{certs[0\1b]}}\n", "");
    file_remove("elsewhere.pem");
}

static void files_that_cannot_be_used_are_named_and_the_connection_left_out(void **state)
{
    (void)state;
    file_write("x509/key.pem", PEM("PRIVATE KEY", "MAFj"));
    check_load(OFFICE("remote {\n certs = a.pem, key.pem\n }"), "",
               "/x509/key.pem: cannot use \"/x509/key.pem\": there is no certificate\n"
               "test.conf:2:10: cannot use \"/x509/a.pem\": No such file or directory\n     certs = a.pem, key.pem\n             ^\n"
               "test.conf:2:17: cannot use \"/x509/key.pem\": there is no certificate\n     certs = a.pem, key.pem\n"
               "                    ^\n");
    file_remove("x509/key.pem");
    file_write("x509/bad.pem", "no PEM and no DER");
    check_load("", "", "/x509/bad.pem: cannot use \"/x509/bad.pem\": a PEM block is damaged\n");
    file_remove("x509/bad.pem");
}

static void keys_are_loaded_with_their_passphrase_beside_them(void **state)
{
    (void)state;
    file_write("private/1.pem", PEM("EC PARAMETERS", "MAFh") PEM("EC PRIVATE KEY", "MAFj"));
    file_write("pkcs8/2.pem", PEM("ENCRYPTED PRIVATE KEY", "MAFj"));
    check_load("secrets { pkcs8-x { file = 2.pem\n secret = \"open sesame\" } }",
               "load-key type=any;data=0\1c;\n"
               "load-key type=any;data=-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAFj\n-----END ENCRYPTED PRIVATE KEY-----;"
               "secret=open sesame;\n", "");
    check_load("secrets { private-x { file = 2.pem\n secret = \"open sesame\" } }", "load-key type=any;data=0\1c;\n",
               "/pkcs8/2.pem: the key is encrypted: give its passphrase in a section secrets.pkcs8 with file = 2.pem\n");
    file_remove("private/1.pem");
    file_remove("pkcs8/2.pem");
}

static void shared_secrets_are_decoded_and_have_owners(void **state)
{
    (void)state;
    check_load("secrets { ike-1 { secret = 0x6162\n id = a\n id-2 = b.example.org } ike { secret = 0sY2Q= } }",
               "load-shared id=ike-1;type=ike;data=ab;owners[a,b.example.org]\n"
               "load-shared id=ike;type=ike;data=cd;owners[]\n", "");
}

static void what_is_not_supported_is_refused_and_not_passed_over(void **state)
{
    (void)state;
    file_write("pkcs12/x.p12", "x");
    check_load("", "", "/pkcs12/x.p12: PKCS#12 containers are not supported yet\n");
    file_remove("pkcs12/x.p12");
}

static void crls_public_keys_authorities_and_pools_are_loaded(void **state)
{
    (void)state;
    file_write("x509crl/c.pem", PEM("X509 CRL", "MAFh"));
    file_write("pubkey/p.pem", PEM("PUBLIC KEY", "MAFi"));
    file_write("x509ca/ca.pem", CERT_A);
    check_load("authorities { root { cacert = ca.pem\n crl_uris = http://a, http://b } }\npools { lab { addrs = 10.3.0.0/24\n"
               "dns = 10.0.0.1, 10.0.0.2 } }",
               "load-cert type=X509;flag=CA;data=0\1a;\n"
               "load-cert type=X509_CRL;data=0\1a;\n"
               "load-cert type=PUBKEY;data=0\1b;\n"
               "load-authority root{cacert=0\1a;crl_uris[http://a,http://b]}\n"
               "load-pool lab{addrs=10.3.0.0/24;dns[10.0.0.1,10.0.0.2]}\n", "");
    file_remove("x509crl/c.pem");
    file_remove("pubkey/p.pem");
    file_remove("x509ca/ca.pem");
}

// What is wrong has been complained about by options_check().
static void wrong_sections_are_left_out_and_the_others_loaded(void **state)
{
    (void)state;
    check_load("connections { bad { encap = x\n local { auth = psk } remote { auth = psk } }\n"
               "good { local { auth = psk } remote { auth = psk } } }\npools { bad { addrs = x } }\nsecrets { ike { secret = 0xa } }",
               "load-conn good{local{auth=psk;}remote{auth=psk;}}\n", "");
}

// What options_load() makes of a connection is what options_conn() takes.
static void conn_take(void *context, const char *command, const struct tree *message)
{
    struct complaints *complaints = context;
    if (strcmp(command, "load-conn") == 0) conn_release(options_conn(message->first, complaints));
}

static void what_is_loaded_compiles(void **state)
{
    (void)state;
    struct complaints complaints = {0};
    struct loader loader = {&complaints, conn_take};
    file_write("x509/a.pem", CERT_A CERT_B);
    struct read_conf conf = conf_read("connections { office { local { certs = a.pem } remote { id = %any } children { lan { } } } }");
    options_load(conf.root, place, &loader, &conf.complaints);
    assert_int_equal(conf.complaints.errors + complaints.errors, 0);
    complaints_free(&complaints);
    conf_free(&conf);
    file_remove("x509/a.pem");
}

static void every_example_is_good(void **state)
{
    (void)state;
    size_t count = 0;
    DIR *directory = opendir(EXAMPLES);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (!strstr(entry->d_name, ".conf")) continue;
        AUTOFREE_MEM char *path = mem_printf("%s/%s", EXAMPLES, entry->d_name);
        struct read_conf conf = {.text = BUF(1 << 20)};
        conf.root = settings_load(path, &conf.arena, &conf.complaints);
        assert_non_null(conf.root);
        options_check(conf.root, &conf.complaints);
        if (conf.complaints.errors) print_message("%s", conf_complaints(&conf));
        assert_int_equal(conf.complaints.errors, 0);
        conf_free(&conf);
        count++;
    }
    closedir(directory);
    assert_true(count >= 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_and_files_of_a_connection_are_resolved),
        cmocka_unit_test(a_bundle_is_all_sent_for_us_and_only_its_first_taken_for_the_peer),
        cmocka_unit_test(absolute_paths_are_taken_as_they_are),
        cmocka_unit_test(files_that_cannot_be_used_are_named_and_the_connection_left_out),
        cmocka_unit_test(keys_are_loaded_with_their_passphrase_beside_them),
        cmocka_unit_test(shared_secrets_are_decoded_and_have_owners),
        cmocka_unit_test(what_is_not_supported_is_refused_and_not_passed_over),
        cmocka_unit_test(crls_public_keys_authorities_and_pools_are_loaded),
        cmocka_unit_test(wrong_sections_are_left_out_and_the_others_loaded),
        cmocka_unit_test(what_is_loaded_compiles),
        cmocka_unit_test(every_example_is_good),
    };
    return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
