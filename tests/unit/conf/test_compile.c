// SPDX-License-Identifier: Apache-2.0
#include "conf.h"

// The DER of an empty sequence passes for a certificate: nobody here looks inside.
static const char frame_start[] = "office {\n", frame_end[] = "local { auth = psk } remote { auth = psk } }";

struct compiled {
    struct read_conf read;
    struct conn *conn;
};

static struct compiled compile(const char *start, const char *inside, const char *end)
{
    AUTOFREE_MEM char *text = mem_printf("%s%s\n%s", start, inside, end);
    struct compiled compiled = {.read = conf_read(text)};
    assert_string_equal(conf_complaints(&compiled.read), "");
    compiled.conn = options_conn(compiled.read.root->first, &compiled.read.complaints);
    return compiled;
}

static struct compiled compile_good(const char *start, const char *inside, const char *end)
{
    struct compiled compiled = compile(start, inside, end);
    assert_string_equal(conf_complaints(&compiled.read), "");
    assert_non_null(compiled.conn);
    return compiled;
}

static struct compiled conn_of(const char *inside)
{
    return compile_good(frame_start, inside, frame_end);
}

static struct compiled child_of(const char *inside)
{
    return compile_good("office { remote_addrs = 192.0.2.1\n children { lan {\n", inside,
                        "} } local { auth = psk } remote { auth = psk } }");
}

static void compiled_free(struct compiled *compiled)
{
    conn_release(compiled->conn);
    conf_free(&compiled->read);
}

#define SECONDS(n) ((int64_t)(n) * NSEC_PER_SECOND)

static void a_connection_has_the_defaults_of_the_table(void **state)
{
    (void)state;
    struct compiled c = conn_of("");
    const struct conn *conn = c.conn;
    assert_string_equal(conn->name, "office");
    assert_int_equal(conn->references, 1);
    assert_int_equal(conn->version, 0);
    assert_int_equal(conn->local_count, 1);
    assert_int_equal(conn->remote_count, 1);
    assert_int_equal(conn->local_hosts[0].kind, HOST_ANY);
    assert_int_equal(conn->remote_hosts[0].kind, HOST_ANY);
    assert_int_equal(conn->local_port, 500);
    assert_int_equal(conn->remote_port, 500);
    assert_true(conn->ike.count > 0);
    assert_int_equal(conn->ike.at[0].protocol, PROTOCOL_IKE);
    assert_false(conn->encap);
    assert_true(conn->mobike);
    assert_true(conn->send_certreq);
    assert_false(conn->aggressive);
    assert_true(conn->pull);
    assert_int_equal(conn->send_cert, CERT_IF_ASKED);
    assert_int_equal(conn->fragmentation, FRAGMENTATION_YES);
    assert_int_equal(conn->childless, CHILDLESS_ALLOW);
    assert_int_equal(conn->unique, UNIQUE_NO);
    assert_int_equal(conn->dscp, 0);
    assert_int_equal(conn->keyingtries, 1);
    assert_int_equal(conn->dpd_delay, 0);
    assert_int_equal(conn->reauth_time, 0);
    assert_int_equal(conn->rekey_time, SECONDS(4 * 3600));
    assert_int_equal(conn->over_time, SECONDS(1440));
    assert_int_equal(conn->rand_time, SECONDS(1440));
    assert_int_equal(conn->vip_count + conn->pool_count, 0);
    assert_int_equal(conn->child_count, 0);
    assert_int_equal(conn->local_rounds, 1);
    assert_int_equal(conn->remote_rounds, 1);
    assert_int_equal(conn->remote[0].id.type, IDENTITY_ANY);
    assert_int_equal(conn->remote[0].revocation, REVOCATION_RELAXED);
    compiled_free(&c);
}

// Whoever limits the tries gets what he asks for; who does not gets what is to be up.
static void tries_and_persistence_go_together(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        uint32_t tries;
        uint8_t persist;
    } rows[] = {
        {"", 1, PERSIST_YES},
        {"keyingtries = 0\n", 0, PERSIST_YES},
        {"keyingtries = 1\n", 1, PERSIST_NO},
        {"keyingtries = 3\n", 3, PERSIST_NO},
        {"keyingtries = 3\npersist = yes\n", 3, PERSIST_YES},
        {"persist = no\n", 1, PERSIST_NO},
        {"persist = always\n", 1, PERSIST_ALWAYS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTOFREE_MEM char *text =
            mem_printf("remote_addrs = 192.0.2.1\n %s children {\n s { start_action = start\n }\n n { }\n"
                       "c { start_action = start\n close_action = none\n } }\n",
                       rows[i].lines);
        struct compiled c = conn_of(text);
        const struct conn *conn = c.conn;
        bool always = rows[i].persist == PERSIST_ALWAYS;
        assert_int_equal(conn->keyingtries, rows[i].tries);
        assert_int_equal(conn->persist, rows[i].persist);
        assert_int_equal(conn->children[0].dpd_action, always ? AFTER_RESTART : AFTER_CLEAR);
        assert_int_equal(conn->children[0].close_action, always ? AFTER_RESTART : AFTER_CLEAR);
        assert_int_equal(conn->children[1].close_action, AFTER_CLEAR);
        assert_int_equal(conn->children[2].close_action, AFTER_CLEAR);
        compiled_free(&c);
    }
}

static void a_child_has_the_defaults_of_the_table(void **state)
{
    (void)state;
    struct compiled c = child_of("");
    const struct child_conf *child = &c.conn->children[0];
    assert_int_equal(c.conn->child_count, 1);
    assert_string_equal(child->name, "lan");
    assert_ptr_equal(child->conn, c.conn);
    assert_ptr_equal(conn_child(c.conn, "lan"), child);
    assert_true(child->esp.count > 0);
    assert_int_equal(child->ah.count, 0);
    assert_int_equal(child->local_ts.count, 1);
    assert_int_equal(child->local_dynamic, 1);
    assert_int_equal(child->remote_ts.count, 1);
    assert_int_equal(child->remote_dynamic, 1);
    assert_int_equal(child->mode, MODE_TUNNEL);
    assert_int_equal(child->action, POLICY_PROTECT);
    assert_int_equal(child->start_action, START_NONE);
    assert_int_equal(child->dpd_action, AFTER_CLEAR);
    assert_int_equal(child->close_action, AFTER_CLEAR);
    assert_int_equal(child->rekey_time, SECONDS(3600));
    assert_int_equal(child->life_time, SECONDS(3960));
    assert_int_equal(child->rand_time, SECONDS(360));
    assert_int_equal(child->rekey_bytes + child->life_bytes + child->rand_bytes, 0);
    assert_int_equal(child->rekey_packets + child->life_packets + child->rand_packets, 0);
    assert_int_equal(child->inactivity, 0);
    assert_int_equal(child->replay_window, 32);
    assert_int_equal(child->priority + child->reqid, 0);
    assert_null(child->updown);
    assert_true(child->copy_df && child->copy_ecn && child->policies);
    assert_false(child->hostaccess || child->sha256_96 || child->ipcomp);
    assert_int_equal(child->copy_dscp, 1);
    compiled_free(&c);
}

static const struct {
    const char *lines;
    int64_t rekey, reauth, over, rand;
} conn_times[] = {
    {"rekey_time = 1h", 3600, 0, 360, 360},
    {"rekey_time = 0", 0, 0, 0, 0},
    {"reauth_time = 10h", 0, 36000, 3600, 3600},
    {"reauth_time = 10h\nrekey_time = 1h", 3600, 36000, 3600, 360},
    {"over_time = 5m", 14400, 0, 300, 300},
    {"rand_time = 1m", 14400, 0, 1440, 60},
    {"rekey_time = 100\nrand_time = 0", 100, 0, 10, 0},
    {"rekey_time = 1d", 86400, 0, 8640, 8640},
    {"rekey_time = 10\nover_time = 20", 10, 0, 20, 1},   // rekeying must not come at once
};

static void times_of_a_connection_follow_from_each_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(conn_times); i++) {
        struct compiled c = conn_of(conn_times[i].lines);
        assert_int_equal(c.conn->rekey_time, SECONDS(conn_times[i].rekey));
        assert_int_equal(c.conn->reauth_time, SECONDS(conn_times[i].reauth));
        assert_int_equal(c.conn->over_time, SECONDS(conn_times[i].over));
        assert_int_equal(c.conn->rand_time, SECONDS(conn_times[i].rand));
        compiled_free(&c);
    }
}

static const struct {
    const char *lines;
    int64_t rekey, life, rand;
} child_times[] = {
    {"rekey_time = 10m", 600, 660, 60},
    {"life_time = 100", 90, 100, 10},
    {"rekey_time = 100\nlife_time = 120", 100, 120, 20},
    {"rekey_time = 100\nlife_time = 1000", 100, 1000, 50},   // not more than half
    {"rekey_time = 100\nrand_time = 5", 100, 110, 5},
    {"rekey_time = 0", 0, 0, 0},
    {"rekey_time = 0\nlife_time = 100", 0, 100, 0},
};

static void times_of_a_child_follow_from_each_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(child_times); i++) {
        struct compiled c = child_of(child_times[i].lines);
        assert_int_equal(c.conn->children[0].rekey_time, SECONDS(child_times[i].rekey));
        assert_int_equal(c.conn->children[0].life_time, SECONDS(child_times[i].life));
        assert_int_equal(c.conn->children[0].rand_time, SECONDS(child_times[i].rand));
        compiled_free(&c);
    }
}

static void limits_of_bytes_and_packets_follow_from_each_other(void **state)
{
    (void)state;
    struct compiled c = child_of("rekey_bytes = 10m\nlife_packets = 1000");
    const struct child_conf *child = &c.conn->children[0];
    assert_int_equal(child->rekey_bytes, 10485760);
    assert_int_equal(child->life_bytes, 11534336);
    assert_int_equal(child->rand_bytes, 1048576);
    assert_int_equal(child->rekey_packets, 900);
    assert_int_equal(child->life_packets, 1000);
    assert_int_equal(child->rand_packets, 100);
    compiled_free(&c);
}

struct enum_case {
    const char *line;
    size_t offset;
    uint8_t value;
};

#define CONN_WORD(line, field, value) {line, offsetof(struct conn, field), value}
static const struct enum_case conn_words[] = {
    CONN_WORD("version = 0", version, 0), CONN_WORD("version = 2", version, 2),
    CONN_WORD("encap = yes", encap, 1), CONN_WORD("mobike = no", mobike, 0), CONN_WORD("send_certreq = no", send_certreq, 0),
    CONN_WORD("send_cert = always", send_cert, CERT_ALWAYS), CONN_WORD("send_cert = never", send_cert, CERT_NEVER),
    CONN_WORD("send_cert = IfAsked", send_cert, CERT_IF_ASKED),
    CONN_WORD("fragmentation = no", fragmentation, FRAGMENTATION_NO),
    CONN_WORD("fragmentation = accept", fragmentation, FRAGMENTATION_ACCEPT),
    CONN_WORD("childless = never", childless, CHILDLESS_NEVER),
    CONN_WORD("unique = never", unique, UNIQUE_NEVER), CONN_WORD("unique = no", unique, UNIQUE_NO),
    CONN_WORD("dscp = 101110", dscp, 46),
};

#define CHILD_WORD(line, field, value) {line, offsetof(struct child_conf, field), value}
static const struct enum_case child_words[] = {
    CHILD_WORD("start_action = none", start_action, START_NONE), CHILD_WORD("start_action = clear", start_action, START_NONE),
    CHILD_WORD("start_action = trap", start_action, START_TRAP), CHILD_WORD("start_action = route", start_action, START_TRAP),
    CHILD_WORD("start_action = start", start_action, START_START), CHILD_WORD("start_action = restart", start_action, START_START),
    CHILD_WORD("start_action = trap|start", start_action, START_TRAP | START_START),
    CHILD_WORD("dpd_action = clear", dpd_action, AFTER_CLEAR), CHILD_WORD("dpd_action = none", dpd_action, AFTER_CLEAR),
    CHILD_WORD("dpd_action = trap", dpd_action, AFTER_TRAP), CHILD_WORD("dpd_action = route", dpd_action, AFTER_TRAP),
    CHILD_WORD("dpd_action = restart", dpd_action, AFTER_RESTART), CHILD_WORD("dpd_action = start", dpd_action, AFTER_RESTART),
    CHILD_WORD("close_action = trap", close_action, AFTER_TRAP), CHILD_WORD("close_action = start", close_action, AFTER_RESTART),
    CHILD_WORD("close_action = none", close_action, AFTER_CLEAR),
    CHILD_WORD("mode = tunnel", mode, MODE_TUNNEL), CHILD_WORD("mode = iptfs", mode, MODE_IPTFS),
    CHILD_WORD("mode = iptfs", iptfs_reorder_window, 3), CHILD_WORD("mode = iptfs\niptfs_reorder_window = 9", iptfs_reorder_window, 9),
    CHILD_WORD("mode = iptfs", iptfs_drop_time, 100), CHILD_WORD("mode = iptfs\niptfs_rate = 77", iptfs_rate, 77),
    CHILD_WORD("mode = iptfs\niptfs_init_delay = 99", iptfs_init_delay, 99), CHILD_WORD("mode = iptfs", iptfs_accept_fragments, true),
    CHILD_WORD("mode = iptfs\niptfs_accept_fragments = no", iptfs_accept_fragments, false), CHILD_WORD("mode = iptfs\niptfs_rate = 1\niptfs_congestion_control = yes", iptfs_congestion, true),
    CHILD_WORD("mode = iptfs\niptfs_dscp = 101110", iptfs_dscp, 46),
    CHILD_WORD("mode = iptfs\niptfs_dont_frag = yes", iptfs_dont_frag, true),
    CHILD_WORD("mode = tunnel", action, POLICY_PROTECT), CHILD_WORD("mode = pass\nstart_action = trap", action, POLICY_BYPASS),
    CHILD_WORD("mode = drop\nstart_action = trap", action, POLICY_DISCARD), CHILD_WORD("copy_dscp = out", copy_dscp, 1),
};

static void words_become_their_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(conn_words); i++) {
        struct compiled c = conn_of(conn_words[i].line);
        assert_int_equal(((const uint8_t *)c.conn)[conn_words[i].offset], conn_words[i].value);
        compiled_free(&c);
    }
    for (size_t i = 0; i < COUNT(child_words); i++) {
        struct compiled c = child_of(child_words[i].line);
        assert_int_equal(((const uint8_t *)&c.conn->children[0])[child_words[i].offset], child_words[i].value);
        compiled_free(&c);
    }
}

static void hosts_are_addresses_ranges_and_names(void **state)
{
    (void)state;
    struct compiled c = conn_of("local_addrs = 192.0.2.1, 2001:db8::/32, gw.example.org, %any, 0.0.0.0\nremote_addrs = 10.0.0.1-10.0.0.9");
    const struct host_pattern *hosts = c.conn->local_hosts;
    char text[RANGE_TEXT];
    assert_int_equal(c.conn->local_count, 5);
    assert_int_equal(hosts[0].kind, HOST_RANGE);
    assert_string_equal(range_print(&hosts[0].range, text), "192.0.2.1");
    assert_string_equal(range_print(&hosts[1].range, text), "2001:db8::/32");
    assert_int_equal(hosts[2].kind, HOST_NAME);
    assert_string_equal(hosts[2].name, "gw.example.org");
    assert_int_equal(hosts[3].kind, HOST_ANY);
    assert_int_equal(hosts[4].kind, HOST_ANY);
    assert_string_equal(range_print(&c.conn->remote_hosts[0].range, text), "10.0.0.1-10.0.0.9");
    compiled_free(&c);
}

static void proposals_keep_their_order_and_default_may_be_among_them(void **state)
{
    (void)state;
    char text[200];
    struct compiled c = conn_of("proposals = aes256-sha256-modp2048, default");
    assert_true(c.conn->ike.count > 1);
    assert_string_equal(proposal_print(&c.conn->ike.at[0], text, sizeof text), "aes256-sha256-prfsha256-modp2048");
    compiled_free(&c);
    c = child_of("esp_proposals = chacha20poly1305-sha384-curve25519");
    assert_int_equal(c.conn->children[0].esp.count, 1);
    assert_string_equal(proposal_print(&c.conn->children[0].esp.at[0], text, sizeof text), "chacha20poly1305-curve25519-noesn");
    compiled_free(&c);
}

static void selectors_keep_their_order_and_dynamic_ones_are_marked(void **state)
{
    (void)state;
    char text[SELECTOR_TEXT];
    struct compiled c = child_of("local_ts = 10.1.0.0/16, dynamic, 10.1.2.0/24[tcp/443]\nremote_ts = ::/0");
    const struct child_conf *child = &c.conn->children[0];
    assert_int_equal(child->local_ts.count, 3);
    assert_int_equal(child->local_dynamic, 2);
    assert_string_equal(selector_print(&child->local_ts.at[0], text), "10.1.0.0/16");
    assert_int_equal(child->local_ts.at[1].range.low.family, ADDR_NONE);
    assert_string_equal(selector_print(&child->local_ts.at[2], text), "10.1.2.0/24[tcp/443]");
    assert_int_equal(child->remote_dynamic, 0);
    compiled_free(&c);
}

static void rounds_are_ordered_by_their_number(void **state)
{
    (void)state;
    struct compiled c = compile_good("office { local-b { round = 2\n auth = psk }\n local-a { round = 1\n auth = psk\n id = first }\n"
                                     "local-c { round = 2\n auth = psk }\n", "remote { auth = psk\n id = fqdn:gw.example.org }", "}");
    char text[IDENTITY_TEXT];
    assert_int_equal(c.conn->local_rounds, 3);
    assert_string_equal(c.conn->local[0].name, "local-a");
    assert_string_equal(c.conn->local[1].name, "local-b");
    assert_string_equal(c.conn->local[2].name, "local-c");
    assert_int_equal(c.conn->local[0].auth, AUTH_CLASS_PSK);
    assert_int_equal(c.conn->local[1].id.type, 0);
    assert_string_equal(identity_print(&c.conn->local[0].id, text, sizeof text), "first");
    assert_string_equal(identity_print(&c.conn->remote[0].id, text, sizeof text), "gw.example.org");
    compiled_free(&c);
}

// As control sends it: lists of certificates, and their key ids beside them.
static struct conn *certs_compile(struct bytes cert, const char *key_id, struct complaints *complaints)
{
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    struct tree *conn = tree_add_section(&arena, root, "office"), *local = tree_add_section(&arena, conn, "local");
    struct tree *certs = tree_add_list(&arena, local, "certs");
    tree_add_item(&arena, certs, BYTES("\x30\x00"));
    tree_add_item(&arena, certs, cert);
    struct tree *ids = tree_add_list(&arena, local, "cert-keyids");
    tree_add_item(&arena, ids, BYTES("0102030405060708090a0b0c0d0e0f1011121314"));
    tree_add_item(&arena, ids, bytes_of_text(key_id));
    struct tree *above = tree_add_list(&arena, local, "certs-above");
    tree_add_item(&arena, above, BYTES("\x30\x01\x05"));
    struct tree *remote = tree_add_section(&arena, conn, "remote"), *authorities = tree_add_list(&arena, remote, "cacerts");
    tree_add_text(&arena, remote, "revocation", "strict");
    tree_add_text(&arena, remote, "ca_id", "CN=sub");
    tree_add_text(&arena, remote, "cert_policy", "1.3.6.1, 2.5.29");
    tree_add_item(&arena, authorities, cert);
    struct conn *compiled = options_conn(conn, complaints);
    arena_free(&arena);      // the connection keeps nothing of it
    return compiled;
}

static void certificates_come_as_pem_or_der_with_their_key_ids(void **state)
{
    (void)state;
    struct complaints complaints = {0};
    struct conn *conn = certs_compile(BYTES("-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n"),
                                      "ff00000000000000000000000000000000000000", &complaints);
    assert_non_null(conn);
    assert_int_equal(conn->local[0].auth, AUTH_CLASS_PUBKEY);
    assert_int_equal(conn->local[0].cert_count, 2);
    check_bytes(conn->local[0].certs[0].der, BYTES("\x30\x00"));
    check_bytes(conn->local[0].certs[1].der, BYTES("\x30\x03\x02\x01\x05"));
    assert_int_equal(conn->local[0].certs[0].key_id[0], 1);
    assert_int_equal(conn->local[0].certs[0].key_id[19], 0x14);
    assert_int_equal(conn->local[0].certs[1].key_id[0], 0xff);
    assert_int_equal(conn->local[0].above_count, 1);
    check_bytes(conn->local[0].above[0], BYTES("\x30\x01\x05"));
    assert_int_equal(conn->remote[0].ca_count, 1);
    assert_int_equal(conn->remote[0].ca_id.type, ID_DER_ASN1_DN);
    assert_int_equal(conn->remote[0].policy_count, 2);
    check_bytes(conn->remote[0].policies[1], BYTES("2.5.29"));
    assert_int_equal(conn->remote[0].revocation, REVOCATION_STRICT);
    conn_release(conn);
    assert_null(certs_compile(BYTES("moon.pem"), "", &complaints));
    assert_string_equal(complaints.first->text,
                        "office.local: certs: expected certificates in PEM or DER, not the name of a file");
    complaints_free(&complaints);
}

static void constraints_on_signatures_are_kept(void **state)
{
    (void)state;
    struct compiled c = compile_good("office { local { auth = psk }", "remote { auth = ike:rsa/pss-sha512 }", "}");
    assert_int_equal(c.conn->remote[0].auth, AUTH_CLASS_PUBKEY);
    check_bytes(c.conn->remote[0].signature_schemes, BYTES("ike:rsa/pss-sha512"));
    assert_int_equal(c.conn->local[0].signature_schemes.size, 0);
    compiled_free(&c);
}

// RFC 7619 2.4 test: only by its name, and without an identity that nobody proves.
static void null_authentication_goes_by_its_name(void **state)
{
    (void)state;
    struct compiled c = compile_good("office { local { auth = psk }", "remote { auth = null }", "}");
    assert_int_equal(c.conn->remote[0].auth, AUTH_CLASS_NULL);
    compiled_free(&c);
    c = compile("office { local { auth = psk }", "remote { id = a.example.org\n auth = null }", "}");
    assert_null(c.conn);
    assert_non_null(strstr(conf_complaints(&c.read), "which nobody proves"));
    compiled_free(&c);
}

static void nobody_passes_the_rounds_of_a_connection_that_only_drops(void **state)
{
    (void)state;
    struct compiled c = compile_good("office {", "children { x { mode = drop\n start_action = trap } }", "}");
    assert_int_equal(c.conn->local_rounds, 1);
    assert_int_equal(c.conn->remote_rounds, 1);
    assert_int_equal(c.conn->remote[0].id.type, ID_KEY_ID);
    assert_int_equal(c.conn->local[0].cert_count, 0);
    compiled_free(&c);
}

static void names_of_files_are_no_business_of_clients(void **state)
{
    (void)state;
    struct compiled c = compile("office { local { cert1 { file = a.pem } }\n", "", "remote { } }");
    assert_null(c.conn);
    assert_non_null(strstr(conf_complaints(&c.read), "cert1: the daemon reads no files for clients: send the certificate in certs"));
    compiled_free(&c);
}

static void complaints_without_a_file_name_the_section(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct complaints complaints = {0};
    struct buf out = BUF(10000);
    struct tree *root = tree_new(&arena);
    struct tree *conn = tree_add_section(&arena, root, "office");
    tree_add_text(&arena, conn, "encap", "perhaps");
    tree_add_text(&arena, tree_add_section(&arena, conn, "local"), "auth", "psk");
    tree_add_text(&arena, tree_add_section(&arena, conn, "remote"), "auth", "psk");
    struct tree *child = tree_add_section(&arena, tree_add_section(&arena, conn, "children"), "lan");
    tree_add_text(&arena, child, "mode", "transport_proxy");
    struct tree *list = tree_add_list(&arena, child, "rekey_time");
    tree_add_item(&arena, list, BYTES("1h"));
    assert_null(options_conn(conn, &complaints));
    complaints_print(&complaints, &out);
    assert_string_equal(buf_text(&out), "office: encap = perhaps: expected yes or no\n"
                                        "office.children.lan: mode = transport_proxy is known but not supported yet\n"
                                        "office.children.lan: rekey_time takes one value, not a list\n");
    complaints_free(&complaints);
    buf_free(&out);
    arena_free(&arena);
}

static void check_mark(struct mark mark, uint32_t value, uint32_t mask)
{
    assert_int_equal(mark.value, value);
    assert_int_equal(mark.mask, mask);
}

static void marks_name_devices(void **state)
{
    (void)state;
    struct compiled c = child_of("mark_in = 0x2a\nmark_out = 0x2b/0xff\nset_mark_in = %same");
    const struct child_conf *child = &c.conn->children[0];
    assert_int_equal(child->if_id_in, 42);
    assert_int_equal(child->if_id_out, 43);
    check_mark(child->mark_out, 0x2b, 0xff);
    check_mark(child->mark_opened, 0x2a, UINT32_MAX);
    assert_int_equal(child->mark_sealed, 0);
    compiled_free(&c);
    static const struct {
        const char *text;
        uint32_t mark;
    } sealed[] = {
        {"set_mark_out = 42", 42},
        {"set_mark_out = 0x2a/0xff", 42},
        {"set_mark_out = 65535", 65535},
        {"set_mark_out = 0/0xffffffff", 0},
        {"mark_out = 43/0xffffffff\nset_mark_out = %same", 43},
    };
    for (size_t i = 0; i < COUNT(sealed); i++) {
        c = child_of(sealed[i].text);
        assert_int_equal(c.conn->children[0].mark_sealed, sealed[i].mark);
        compiled_free(&c);
    }
    c = child_of("mark_out = 4000000000\nif_id_out = 7\nif_id_in = 8\nset_mark_in = 9");
    child = &c.conn->children[0];
    assert_int_equal(child->if_id_in, 8);
    assert_int_equal(child->if_id_out, 7);
    check_mark(child->mark_out, 4000000000, UINT32_MAX);
    check_mark(child->mark_opened, 9, UINT32_MAX);
    compiled_free(&c);
    static const struct {
        const char *text, *complaint;
    } wrong[] = {
        {"set_mark_in = 9", "set_mark_in needs a device of a number: mark_in or if_id_in"},
        {"mark_out = 9\nif_id_out = %unique", "mark_out needs a device of a number: not if_id_out = %unique"},
        {"mark_out = 4000000000", "mark_out = 0xee6b2800 is too large a number for a device: name one with if_id_out"},
        {"mark_in = %same", "mark_in = %same is for set_mark_in and set_mark_out"},
        {"set_mark_out = 65536", "set_mark_out = 65536 wants bits 0x00010000 of the mark, by which the daemon's own packets are known (0x43590000): free are 0x0000ffff, as in 42 or 0x2a/0xff"},
        {"set_mark_out = 42/0xffffffff", "set_mark_out = 42/0xffffffff wants bits 0xffff0000"},
        {"mark_out = 70000\nset_mark_out = %same", "set_mark_out = %same wants bits 0x00010000"},
        {"icmp = yes\nmode = transport", "icmp = yes needs mode = tunnel or iptfs"},
        {"icmp = yes\nmode = beet", "icmp = yes needs mode = tunnel or iptfs"},
        {"mark_in = 5\nmode = transport", "mode = transport does not go with if_id_in and if_id_out"},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        c = compile("office { remote_addrs = 192.0.2.1\n children { lan {\n", wrong[i].text, "} }\n local { auth = psk }\n remote { auth = psk } }");
        if (!strstr(conf_complaints(&c.read), wrong[i].complaint)) print_error("%s\n", conf_complaints(&c.read));
        assert_non_null(strstr(conf_complaints(&c.read), wrong[i].complaint));
        compiled_free(&c);
    }
}

static const char *const too_many[] = {"local_addrs", "proposals"};

static void lists_have_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(too_many); i++) {
        struct buf text = BUF(100000);
        buf_printf(&text, "%s = ", too_many[i]);
        for (size_t n = 0; n < 33; n++) buf_printf(&text, "%s%s", n ? ", " : "", i ? "aes128-sha256-x25519" : "192.0.2.1");
        struct compiled c = compile(frame_start, buf_text(&text), frame_end);
        assert_null(c.conn);
        assert_non_null(strstr(conf_complaints(&c.read), i ? "proposals: at most 32 are possible" : "local_addrs: at most 16 are possible"));
        compiled_free(&c);
        buf_free(&text);
    }
    struct compiled c = compile("office { local-1 { } local-2 { } local-3 { } local-4 { } local-5 { }", "", "remote { } }");
    assert_non_null(strstr(conf_complaints(&c.read), "local-5: at most 4 are possible"));
    compiled_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_has_the_defaults_of_the_table),
        cmocka_unit_test(tries_and_persistence_go_together),
        cmocka_unit_test(a_child_has_the_defaults_of_the_table),
        cmocka_unit_test(times_of_a_connection_follow_from_each_other),
        cmocka_unit_test(times_of_a_child_follow_from_each_other),
        cmocka_unit_test(limits_of_bytes_and_packets_follow_from_each_other),
        cmocka_unit_test(words_become_their_numbers),
        cmocka_unit_test(hosts_are_addresses_ranges_and_names),
        cmocka_unit_test(proposals_keep_their_order_and_default_may_be_among_them),
        cmocka_unit_test(selectors_keep_their_order_and_dynamic_ones_are_marked),
        cmocka_unit_test(rounds_are_ordered_by_their_number),
        cmocka_unit_test(certificates_come_as_pem_or_der_with_their_key_ids),
        cmocka_unit_test(constraints_on_signatures_are_kept),
        cmocka_unit_test(null_authentication_goes_by_its_name),
        cmocka_unit_test(nobody_passes_the_rounds_of_a_connection_that_only_drops),
        cmocka_unit_test(names_of_files_are_no_business_of_clients),
        cmocka_unit_test(complaints_without_a_file_name_the_section),
        cmocka_unit_test(marks_name_devices),
        cmocka_unit_test(lists_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
