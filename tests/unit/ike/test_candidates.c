// SPDX-License-Identifier: Apache-2.0
// Which of many connections a peer means: by addresses, identities and authentication; switching
// when the first guess was wrong; and that it does not take longer when there are many.
#include "pair.h"
#include <time.h>

struct other { // a connection of b's
    const char *name, *remote_addrs, *remote_id, *local_id, *auth, *proposals;
};

static struct conn *conn_other(struct pair *p, const struct other *other)
{
    struct conf_text text = {.name = other->name,
                             .remote_id = other->remote_id,
                             .local_id = other->local_id,
                             .auth = other->auth,
                             .proposals = other->proposals,
                             .local_ts = {"10.2.0.0/16"},
                             .remote_ts = {"10.1.0.0/16"}};
    struct conn *conn = conn_make(&p->b, &p->a, &text);
    const char *addrs = other->remote_addrs ? other->remote_addrs : "%any";
    struct host_pattern *host = &conn->remote_hosts[0];
    *host = (struct host_pattern){.kind = HOST_ANY};
    if (strcmp(addrs, "name") == 0)
        *host = (struct host_pattern){.kind = HOST_NAME, .name = "gw.example.org"};
    else if (strcmp(addrs, "%any") != 0) {
        host->kind = HOST_RANGE;
        assert_int_equal(range_parse(addrs, &host->range), OK);
    }
    return conn;
}

static void assert_chosen(struct pair *p, const char *name)
{
    struct ike_sa_info info;
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    if (!name) {
        assert_int_equal(sas_up(&p->b), 0);
        return;
    }
    assert_true(sa_first(&p->b, &info));
    assert_string_equal(info.conn->name, name);
    assert_string_equal(info.state, "ESTABLISHED");
    assert_up(p, 1);
}

static void load_initiator(struct pair *p, const char *auth, const char *local_id)
{
    struct conf_text text = {.auth = auth, .local_id = local_id, .any_remote_id = true};
    load(&p->a, conn_make(&p->a, &p->b, &text));
}

static void the_nearest_connection_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct other others[4];
        const char *id, *chosen;
    } rows[] = {
        {"address before network before any",
         {{"any"}, {"net", "192.0.2.0/24"}, {"one", "192.0.2.1"}, {"else", "192.0.2.9"}},
         NULL,
         "one"},
        {"a range that is no prefix",
         {{"any"}, {"range", "192.0.2.1-192.0.2.6"}, {"else", "192.0.2.2-192.0.2.9"}},
         NULL,
         "range"},
        {"a name comes before any", {{"any"}, {"name", "name"}}, NULL, "name"},
        {"the first of equals", {{"first"}, {"second"}}, NULL, "first"},
        {"identity before address",
         {{"one", "192.0.2.1", "x.example"}, {"any", NULL, "road.example"}},
         "road.example",
         "any"},
        {"identity in another case",
         {{"x", NULL, "x"}, {"y", NULL, "Road.Example"}},
         "rOAD.eXAMPLE",
         "y"},
        {"a name of another encoding",
         {{"x", NULL, "C=CH, CN=x"}, {"y", NULL, "C=CH, O=Org, CN=road"}},
         "c=ch, o=ORG, cn=ROAD",
         "y"},
        {"ending before any",
         {{"any", NULL, "%any"}, {"wild", NULL, "*.example"}},
         "a.b.example",
         "wild"},
        {"the longer ending",
         {{"wild", NULL, "*.example"}, {"wilder", NULL, "*.b.example"}},
         "a.b.example",
         "wilder"},
        {"one identity before an ending",
         {{"wild", NULL, "*.example"}, {"one", NULL, "a.example"}},
         "a.example",
         "one"},
        {"an ending behind @",
         {{"wild", NULL, "*@example"}, {"x", NULL, "y@example"}},
         "a@example",
         "wild"},
        {"a name with a star",
         {{"x", NULL, "C=CH, CN=x"}, {"y", NULL, "C=CH, CN=*"}},
         "C=CH, CN=b",
         "y"},
        {"authentication", {{"psk"}, {"cert", NULL, NULL, NULL, "pubkey"}}, NULL, "psk"},
        {"nothing fits", {{"x", NULL, "x.example"}, {"y", NULL, "*.org"}}, "a.example", NULL},
        {"proposals",
         {{"other", "192.0.2.1", NULL, NULL, NULL, "aes128gcm16-prfsha256-x25519"}, {"any"}},
         NULL,
         "any"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pair *p = pair_new();
        printf("%s\n", rows[i].what);
        for (unsigned j = 0; j < 4 && rows[i].others[j].name; j++)
            load(&p->b, conn_other(p, &rows[i].others[j]));
        load_initiator(p, "psk", rows[i].id);
        assert_chosen(p, rows[i].chosen);
        pair_free(p);
    }
}

static void authentication_decides_where_identities_do_not(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    load(&p->b, conn_other(p, &(struct other){"psk"}));
    load(&p->b, conn_other(p, &(struct other){"cert", .auth = "pubkey"}));
    load_initiator(p, "pubkey", NULL);
    assert_chosen(p, "cert");
    pair_free(p);
}

static void the_identity_that_is_asked_for_decides(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    struct conf_text text = {.remote_id = "two.example"};
    load(&p->b, conn_other(p, &(struct other){"one", .local_id = "one.example"}));
    load(&p->b, conn_other(p, &(struct other){"two", .local_id = "two.example"}));
    load(&p->a, conn_make(&p->a, &p->b, &text));
    assert_chosen(p, "two");
    pair_free(p);
}

// The same identities and addresses; only the authority of the certificate tells them apart.
static struct conn *conn_of_authority(struct pair *p, const char *name, const char *authority)
{
    struct conn *conn = conn_other(p, &(struct other){name, .auth = "pubkey"});
    conn->remote[0].cas[0].der = bytes_of_text(authority);
    conn->remote[0].ca_count = 1;
    return conn;
}

static void switching_goes_on_until_a_connection_fits(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    p->b.authority = "C";
    load(&p->b, conn_of_authority(p, "a", "A"));
    load(&p->b, conn_of_authority(p, "b", "B"));
    load(&p->b, conn_of_authority(p, "c", "C"));
    load(&p->b, conn_of_authority(p, "d", "D"));
    load_initiator(p, "pubkey", NULL);
    assert_chosen(p, "c");
    assert_non_null(said_text(&p->b, "connection a does not fit the peer"));
    assert_non_null(said_text(&p->b, "c is tried"));
    pair_free(p);
}

static void switching_ends_and_the_first_fault_is_told(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    char names[40][8];
    p->b.authority = "none of them";
    for (unsigned i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "c%u", i);
        load(&p->b, conn_of_authority(p, names[i], names[i]));
    }
    load_initiator(p, "pubkey", NULL);
    assert_chosen(p, NULL);
    assert_true(p->b.judged > 2 && p->b.judged <= 9);
    assert_int_equal(p->a.done_fault, FAULT_PEER_REFUSES);
    assert_non_null(said(&p->b, FAULT_CERT_UNTRUSTED));
    pair_free(p);
}

static void a_wrong_secret_is_not_tried_on_for_ever(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    p->a.psk = "another one";
    load(&p->b, conn_other(p, &(struct other){"one"}));
    load_initiator(p, "psk", NULL);
    assert_chosen(p, NULL);
    assert_non_null(said(&p->b, FAULT_PSK_WRONG));
    pair_free(p);
}

static void what_is_unloaded_is_not_found(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    load(&p->b, conn_other(p, &(struct other){"one", "192.0.2.1"}));
    load(&p->b, conn_other(p, &(struct other){"net", "192.0.2.0/24", "*.example"}));
    load(&p->b, conn_other(p, &(struct other){"any", NULL, "%any"}));
    load(&p->b, conn_other(p, &(struct other){"net", "192.0.2.0/24", "%any"})); // anew
    static const char *const gone[] = {"one", "net", "any"};
    static const char *const next[] = {"net", "any", NULL};
    load_initiator(p, "psk", NULL);
    for (unsigned i = 0; i < 3; i++) {
        struct ike_in in = {.kind = IKE_IN_CONN_UNLOAD, .name = gone[i]};
        step_in(&p->b, &in);
        assert_chosen(p, next[i]);
        command(&p->a, IKE_TERMINATE, "office", NULL);
        run_for(p, nsec_seconds(10));
    }
    pair_free(p);
}

// --- many

static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

enum many_kind { BY_ADDRESS, BY_NETWORK, BY_IDENTITY, BY_ENDING, MANY_KINDS };

static void load_many(struct pair *p, enum many_kind kind, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char name[32], addr[32] = "%any", id[64] = "%any";
        unsigned n = i + 1;
        snprintf(name, sizeof name, "many%u", n);
        if (kind == BY_ADDRESS) snprintf(addr, sizeof addr, "10.99.%u.%u", n >> 8, n & 255);
        if (kind == BY_NETWORK) snprintf(addr, sizeof addr, "10.%u.%u.0/24", n >> 8, n & 255);
        if (kind == BY_IDENTITY) snprintf(id, sizeof id, "C=CH, O=many, CN=road%u", n);
        if (kind == BY_ENDING) snprintf(id, sizeof id, "*.of%u.example", n);
        load(&p->b, conn_other(p, &(struct other){name, addr, id}));
    }
    load(&p->b, conn_other(p, &(struct other){"last", "192.0.2.1", "a.example"}));
}

// Handshakes, each ended at once; the least of three is told, since others use the processor, too.
static double time_of_handshakes(enum many_kind kind, unsigned count)
{
    struct pair *p = pair_new();
    double best = 1e9;
    load_many(p, kind, count);
    load_initiator(p, "psk", NULL);
    for (unsigned i = 0; i < 3; i++) {
        double begin = processor_seconds();
        for (unsigned j = 0; j < 30; j++) {
            assert_chosen(p, "last");
            command(&p->a, IKE_TERMINATE, "office", NULL);
            run_for(p, nsec_seconds(20));
            assert_int_equal(sas_all(&p->b), 0);
        }
        double spent = processor_seconds() - begin;
        if (spent < best) best = spent;
    }
    pair_free(p);
    return best / 30;
}

static void ten_thousand_cost_no_more_than_ten(void **state)
{
    (void)state;
    static const char *const names[] = {"addresses", "networks", "identities", "endings"};
    for (enum many_kind kind = BY_ADDRESS; kind < MANY_KINDS; kind++) {
        double few = time_of_handshakes(kind, 10), many = time_of_handshakes(kind, 10000);
        printf("%s: %.0f us with 10 connections, %.0f us with 10000\n", names[kind], few * 1e6,
               many * 1e6);
        assert_true(many < few * 1.6 + 300e-6); // a walk over all of them takes more
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_connection_is_taken),
        cmocka_unit_test(authentication_decides_where_identities_do_not),
        cmocka_unit_test(the_identity_that_is_asked_for_decides),
        cmocka_unit_test(switching_goes_on_until_a_connection_fits),
        cmocka_unit_test(switching_ends_and_the_first_fault_is_told),
        cmocka_unit_test(a_wrong_secret_is_not_tried_on_for_ever),
        cmocka_unit_test(what_is_unloaded_is_not_found),
        cmocka_unit_test(ten_thousand_cost_no_more_than_ten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
