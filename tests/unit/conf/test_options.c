// SPDX-License-Identifier: Apache-2.0
#include "conf.h"
#include "base/mem.h"

// Where a line under test stands; it is always the third of its file.
enum where { CONN, CHILD, IPTFS, LOCAL, REMOTE, SECRETS, IKE_SECRET, POOL, AUTHORITY, TOP };

static const char *const frames[] = {
    [CONN] = "connections {\n office {\n%s\n local { auth = psk }\n remote { auth = psk }\n }\n}\n",
    [CHILD] = "connections { a { remote_addrs = 192.0.2.1\n local { auth = psk } remote { auth = psk } children { b {\n%s\n } } } }",
    [IPTFS] = "connections { a { remote_addrs = 192.0.2.1\n local { auth = psk } remote { auth = psk } children { b { mode = iptfs\n%s\n } } } }",
    [LOCAL] = "connections { office { remote { auth = psk }\n local {\n%s\n auth = psk } } }\n",
    [REMOTE] = "connections { office { local { auth = psk }\n remote {\n%s\n } } }\n",
    [SECRETS] = "\nsecrets {\n%s\n}\n",
    [IKE_SECRET] = "secrets {\n ike-1 {\n%s\n } }\n",
    [POOL] = "pools {\n lab { addrs = 10.3.0.0/24\n%s\n } }\n",
    [AUTHORITY] = "authorities {\n ca { cacert = ca.pem\n%s\n } }\n",
    [TOP] = "\n\n%s\n",
};

static struct read_conf framed(enum where where, const char *line)
{
    struct buf text = BUF(10000);
    const char *frame = frames[where], *at = strstr(frame, "%s");
    buf_add(&text, bytes_of(frame, (size_t)(at - frame)));
    buf_add_text(&text, line);
    buf_add_text(&text, at + 2);
    struct read_conf conf = conf_read(buf_text(&text));
    options_check(conf.root, &conf.complaints);
    buf_free(&text);
    return conf;
}

static const struct {
    enum where where;
    const char *line;
    unsigned caret;            // column
    const char *sentence;
} refused[] = {
    // unknown ones
    {CONN, "remote_adrs = 192.0.2.1", 1, "unknown option \"remote_adrs\": did you mean remote_addrs?"},
    {CONN, "  proposal = default", 3, "unknown option \"proposal\": did you mean proposals?"},
    {CONN, "rekey-time = 1h", 1, "unknown option \"rekey-time\": did you mean rekey_time?"},
    {CONN, "local_adrs = 192.0.2.1", 1, "unknown option \"local_adrs\": did you mean local_addrs?"},
    {CONN, "frobnicate = yes", 1, "unknown option \"frobnicate\""},
    {CONN, "frobnicate { }", 1, "unknown section \"frobnicate\""},
    {CONN, "childrens { }", 1, "unknown section \"childrens\": did you mean children?"},
    {CONN, "esp_proposals = default", 1,
     "unknown option \"esp_proposals\" here: it belongs into connections.<conn>.children.<child>"},
    {CONN, "start_action = start", 1,
     "unknown option \"start_action\" here: it belongs into connections.<conn>.children.<child>"},
    {CHILD, "mod = tunnel", 1, "unknown option \"mod\": did you mean mode?"},
    {CHILD, "modes = tunnel", 1, "unknown option \"modes\": did you mean mode?"},
    {REMOTE, "cert_polcy = x", 1, "unknown option \"cert_polcy\": did you mean cert_policy?"},
    {REMOTE, "cert_policy = 1.3.6.1, 1..2", 1, "cert_policy: \"1..2\" is no OID: write numbers with dots between"},
    {REMOTE, "cert_policy = 1.2\nauth = psk", 0, NULL},
    {LOCAL, "cert-keyids = 0011", 1, "unknown option \"cert-keyids\""},
    {SECRETS, "foo { }", 1, "unknown section \"foo\""},
    {SECRETS, "ike = x", 1, "unknown option \"ike\""},
    {IKE_SECRET, "secret = x\nfile = y", 0, NULL},
    {POOL, "dnss = 192.0.2.1", 1, "unknown option \"dnss\""},
    {POOL, "0 = x", 1, "unknown option \"0\""},
    {POOL, "70000 = x", 1, "unknown option \"70000\""},
    {TOP, "conections { }", 1, "unknown section \"conections\": did you mean connections?"},
    {TOP, "version = 2", 1, "option \"version\" stands in no section"},
    {TOP, "include = x", 1, "include is written without an equals sign: include FILES"},
    // of the wrong kind
    {CONN, "proposals { }", 1, "\"proposals\" is an option, not a section: write proposals = …"},
    {CONN, "children = x", 1, "\"children\" is a section: write children { … }"},
    {TOP, "secrets = x", 1, "\"secrets\" is a section: write secrets { … }"},
    {TOP, "connections { x = 1 }", 15, "unknown option \"x\": connections holds a section for each connection"},
    // not supported yet
    {CONN, "mediation = yes", 1, "option \"mediation\" is known but not supported yet"},
    {CONN, "version = 1", 11, "version = 1 is known but not supported yet"},
    {CONN, "pull = no", 1, "option \"pull\" is known but not supported yet"},
    {CONN, "fragmentation = force", 17, "fragmentation = force is known but not supported yet"},
    {CHILD, "mode = transport_proxy", 8, "mode = transport_proxy is known but not supported yet"},
    {CHILD, "label = a:b:c", 1, "label needs label_mode = simple: the system's labels of packets (SELinux) do not reach the data plane, so they could not be enforced"},
    {CHILD, "label = a:b:c\nlabel_mode = system", 1, NULL},
    {CHILD, "label = a:b:c\nlabel_mode = simple", 0, ""},
    {CHILD, "label_mode = system", 0, ""},
    {CHILD, "label_mode = selinux", 14, "label_mode = selinux is known but not supported yet: the data plane sees no labels of packets: write label_mode = simple"},
    {CHILD, "reqid = 42", 0, ""},
    {CHILD, "hostaccess = yes\nupdown = \"/etc/up 1\"", 0, ""},
    {CHILD, "hw_offload = packet", 14, "hw_offload = packet is known but not supported yet: the data plane is a process and gives no keys to network cards"},
    {LOCAL, "pubkeys = a.pem", 1, "local has pubkeys, which are of no use with another auth than pubkey"},
    {REMOTE, "auth = eap-mschapv2", 8, "auth = eap-mschapv2 is known but not supported yet: use pubkey or psk"},
    {REMOTE, "auth = xauth", 8, "auth = xauth is known but not supported yet: use pubkey or psk"},
    {REMOTE, "auth = rsa-3072-sha256", 8,
     "auth = rsa-3072-sha256 is known but constraints on certificates are not supported yet: begin with ike: to mean IKE's alone"},
    {SECRETS, "eap-carol { secret = x }", 1, "option \"eap-carol\" is known but not supported yet"},
    {SECRETS, "xauth { secret = x }", 1, "option \"xauth\" is known but not supported yet"},
    {SECRETS, "pkcs12-a { file = x }", 1, "option \"pkcs12-a\" is known but not supported yet"},
    {SECRETS, "token { pin = 1 }", 1, "option \"token\" is known but not supported yet"},
    {CHILD, "mark_in = %unique", 11, "mark_in = %unique: expected a mark like 42 or 0x2a/0xff: a number, for its device has it"},
    {CHILD, "mark_out = 0x12a/0xff", 12, "mark_out = 0x12a/0xff: the mark has bits that its mask leaves out"},
    {CHILD, "mark_out = 0x43590000", 12, "mark_out = 0x43590000: packets of the daemon itself carry 0x43590000, which is such a mark"},
    {CHILD, "mark_out = 0x590000/0xff0000", 12, "mark_out = 0x590000/0xff0000: packets of the daemon itself carry 0x43590000, which is such a mark"},
    {CHILD, "mark_in = 42\nmark_out = 0x2a/0xff\nset_mark_in = %same", 0, ""},
    {CHILD, "mark_in = 0\nmark_out = 0/0x00000000", 0, ""},
    {CHILD, "set_mark_out = 7", 0, ""},
    {CHILD, "icmp = yes", 0, ""},
    {CHILD, "set_mark_out = 0x2a/0xff", 0, ""},
    {CHILD, "interface = eth0", 1,
     "option \"interface\" is not supported: a packet that comes to the data plane has left by no interface yet: write mark_out, and have nftables mark what goes out by that one (cygnet.conf(5), mark_out)"},
    {CHILD, "policies = no", 1,
     "option \"policies\" is not supported: without a policy no packet finds the child: for routes of your own name a device with if_id_out"},
    {CHILD, "policies_fwd_out = yes", 0, ""},
    {CHILD, "if_id_in = 0x2a\nif_id_out = %unique-dir", 0, ""},
    {CONN, "if_id_in = %unique\nif_id_out = 42", 0, ""},
    {CHILD, "if_id_in = %same", 12, "if_id_in = %same: expected a number up to 999999999, %unique or %unique-dir"},
    {CHILD, "if_id_out = 1000000000", 13, "if_id_out = 1000000000: expected a number up to 999999999, %unique or %unique-dir"},
    {CHILD, "if_id_out = 0x", 13, "if_id_out = 0x: expected a number up to 999999999, %unique or %unique-dir"},
    {CHILD, "if_id_out = 5\nmode = transport", 0, NULL},
    {CHILD, "guard = yes", 1, "guard is for children with a device (if_id_out or mark_out): what the others' selectors hold is guarded in any case"},
    {CHILD, "if_id_out = 5\nguard = 10.2.0.0/24, !10.2.0.1", 0, ""},
    {CHILD, "if_id_out = 5\nremote_ts = 10.2.0.0/24, 10.3.0.1-10.3.0.9\nguard = yes", 0, ""},
    // values
    {CONN, "version = 3", 11, "version = 3: expected one of 0, 2"},
    {CONN, "encap = perhaps", 9, "encap = perhaps: expected yes or no"},
    {CONN, "mobike = on", 10, "mobike = on: expected yes or no"},
    {CONN, "local_port = 70000", 14, "local_port = 70000: must be from 0 to 65535"},
    {CONN, "local_port = 5k", 14, "local_port = 5k: expected a number from 0 to 65535"},
    {CONN, "local_port = -1", 14, "local_port = -1: expected a number from 0 to 65535"},
    {CONN, "local_port = 99999999999999999999", 14, "local_port = 99999999999999999999: expected a number from 0 to 65535"},
    {CONN, "dpd_delay = soon", 13, "dpd_delay = soon: expected a time like 30s, 5m, 4h or 1d"},
    {CONN, "dpd_delay = 5w", 13, "dpd_delay = 5w: expected a time like 30s, 5m, 4h or 1d"},
    {CONN, "dpd_delay = 1h30m", 13, "dpd_delay = 1h30m: expected a time like 30s, 5m, 4h or 1d"},
    {CONN, "dpd_delay = \"\"", 13, "dpd_delay = : expected a time like 30s, 5m, 4h or 1d"},
    {CONN, "dscp = 10111", 8, "dscp = 10111: expected six binary digits like 101110"},
    {CONN, "dscp = 101112", 8, "dscp = 101112: expected six binary digits like 101110"},
    {CONN, "local_addrs = 192.0.2.1, 1.2.3.400/8", 26,
     "local_addrs = 1.2.3.400/8: expected an address, a name, a prefix or a range"},
    {CONN, "remote_addrs = 192.0.2.9-192.0.2.1", 16,
     "remote_addrs = 192.0.2.9-192.0.2.1: expected an address, a name, a prefix or a range"},
    {CONN, "unique = maybe", 10, "unique = maybe: expected one of no, never, keep, replace"},
    {CHILD, "local_ts = 10.0.0.0/8, 10.1.0.0/99", 24, NULL},
    {CHILD, "rekey_bytes = 10x", 15, "rekey_bytes = 10x: expected a number of bytes like 500000, 64k, 500m or 2g"},
    {CHILD, "rekey_packets = 1k", 17, "rekey_packets = 1k: expected a number from 0 to 4611686018427387903"},
    {CHILD, "replay_window = 100000", 17, "replay_window = 100000: must be from 0 to 65536"},
    {CHILD, "start_action = trap|now", 21, "start_action = trap|now: expected one of none, clear, trap, route, start, restart"},
    {REMOTE, "auth = frob", 8, "auth = frob: expected pubkey or psk, or constraints like ike:rsa/pss-sha512"},
    {REMOTE, "auth = ike:rsa-sha256-md5", 23, "auth = ike:rsa-sha256-md5: \"md5\" is no kind of key, hash or key size"},
    {CHILD, "copy_dscp = both", 13, "copy_dscp = both: expected one of out, in, yes, no"},
    {CHILD, "iptfs_dscp = 101110", 1, "iptfs_dscp has no effect without mode = iptfs"},
    {IPTFS, "iptfs_packet_size = 255", 1, "iptfs_packet_size = 255 is less than 256"},
    {IPTFS, "iptfs_rate = 1000001", 14, "iptfs_rate = 1000001: must be from 0 to 1000000"},
    {IPTFS, "iptfs_reorder_window = 32", 24, "iptfs_reorder_window = 32: must be from 0 to 31"},
    {IPTFS, "iptfs_drop_time = 0", 19, "iptfs_drop_time = 0: must be from 1 to 10000"},
    {IPTFS, "iptfs_congestion_control = yes", 1, "iptfs_congestion_control needs iptfs_rate: the most that is sent"},
    {IPTFS, "iptfs_accept_fragments = some", 26, "iptfs_accept_fragments = some: expected yes or no"},
    {CHILD, "tfc_padding = much", 1, "tfc_padding = much is neither a number of bytes below 65535 nor mtu"},
    {CHILD, "strict = yes", 10, "strict = yes: expected one of no, mode"},
    {REMOTE, "revocation = never", 14, "revocation = never: expected one of relaxed, ifuri, strict"},
    {IKE_SECRET, "secret = 0xabc", 10, "secret: expected pairs of hexadecimal digits behind 0x"},
    {IKE_SECRET, "secret = 0s***", 10, "secret: expected Base64 behind 0s"},
    {IKE_SECRET, "secret = \"\"", 10, "secret is empty"},
    {POOL, "addrs = 10.3.0.0/33", 9, "addrs = 10.3.0.0/33: expected a prefix or a range like 10.3.0.0/24 or 10.3.0.1-10.3.0.99"},
    {POOL, "dns = 10.0.0.1, 10.0.0.0/8", 17, "dns = 10.0.0.0/8: expected an address"},
    // what contradicts itself
    {CHILD, "rekey_time = 1h\nlife_time = 1h", 0, NULL},
    {CONN, "rand_time = 4h", 1,
     "rand_time must be less than rekey_time and reauth_time, or keys could be replaced all the time"},
    {CHILD, "life_time = 0s", 0, ""},
    {CHILD, "life_time = 1h rekey_time = 2h", 13, NULL},
    {CHILD, "rand_time = 2h", 1, "rand_time must be less than rekey_time, or keys could be replaced all the time"},
};

static void what_is_wrong_is_said_exactly(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct read_conf conf = framed(refused[i].where, refused[i].line);
        if (!refused[i].sentence || !*refused[i].sentence) {
            assert_int_equal(conf.complaints.errors == 0, refused[i].sentence != NULL);
            conf_free(&conf);
            continue;
        }
        bool secret = refused[i].where == IKE_SECRET || refused[i].where == SECRETS;
        struct buf expected = BUF(2000);
        buf_printf(&expected, "test.conf:3:%u: %s\n    %s\n    %*s^\n", refused[i].caret, refused[i].sentence,
                   refused[i].line, (int)refused[i].caret - 1, "");
        const char *got = conf_complaints(&conf);
        if (secret) {   // the line is shown up to the secret only
            assert_memory_equal(got, buf_text(&expected), strcspn(got, "\n"));
            assert_null(strstr(got, "secret = x"));
        }
        if (!secret) assert_string_equal(got, buf_text(&expected));
        buf_free(&expected);
        conf_free(&conf);
    }
}

static const struct {
    enum where where;
    const char *line;
} taken[] = {
    {CONN, "mobike = yes"}, {CONN, "mobike = no"}, {CONN, "mediation = no"}, {CONN, "mediation = false"}, {CONN, "pull = yes"},
    {CONN, "fragmentation = accept"}, {CONN, "ocsp = never"}, {CONN, "dpd_timeout = 0"}, {CONN, "if_id_in = 0"}, {CONN, "ppk_id ="}, {CONN, "ppk_id = *@ppk.example.org\nppk_required = yes"},
    {CONN, "version = 2"}, {CONN, "encap = YES"}, {CONN, "encap = enabled"}, {CONN, "dscp = 101110"}, {CONN, "local_addrs = %any"},
    {CONN, "local_addrs = 192.0.2.1, 2001:db8::/32, 10.0.0.1-10.0.0.9, gw.example.org"}, {CONN, "keyingtries = 0"},
    {CONN, "proposals = aes256gcm16-prfsha384-x25519, aes128-sha256-modp2048, default"}, {CONN, "children { }"},
    {CHILD, "mode = tunnel"}, {CHILD, "hw_offload = auto"}, {CHILD, "ipcomp = no"}, {CHILD, "updown = \"\""}, {CHILD, "reqid = 0"},
    {CHILD, "mark_in = 0/0x00000000"}, {CHILD, "start_action = trap|start"}, {CHILD, "rekey_bytes = 500m"}, {CHILD, "life_time = 2h"},
    {CHILD, "local_ts = dynamic, 10.0.0.0/8[tcp/443], 2001:db8::/32"}, {CHILD, "policies = yes"},
    {REMOTE, "id = \"C=CH, O=Acme, CN=*\""}, {REMOTE, "id = %any"}, {REMOTE, "cacert-1 { file = a.pem }"}, {LOCAL, "round = 1"},
    {IKE_SECRET, "secret = 0x00ff"}, {IKE_SECRET, "secret = 0sAAEC\nid-a = 192.0.2.1\nid-b = gw.example.org"},
    {SECRETS, "private-a { file = a.pem\n secret = x }"}, {SECRETS, "rsa { file = a.pem\n secret = x }"},
    {CONN, "vips = 0.0.0.0, ::"}, {POOL, "dns = 192.0.2.1, 192.0.2.2"}, {POOL, "28673 = x"}, {POOL, "split_include = 10.0.0.0/8"},
    {REMOTE, "auth = ike:rsa/pss-sha512"}, {REMOTE, "auth = ecdsa"}, {CHILD, "mode = pass\nstart_action = trap"}, {CHILD, "mode = drop\nstart_action = trap"},
    {CHILD, "copy_df = no"}, {CHILD, "mode = iptfs\niptfs_rate = 100"}, {CHILD, "mode = iptfs\niptfs_rate = 100\niptfs_congestion_control = yes"}, {CHILD, "tfc_padding = mtu"}, {CHILD, "strict = mode\nmode = transport"}, {CONN, "reauth_time = 1d"}, {TOP, ""},
};

static void what_is_right_is_taken_without_a_word(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(taken); i++) {
        struct read_conf conf = framed(taken[i].where, taken[i].line);
        assert_string_equal(conf_complaints(&conf), "");
        conf_free(&conf);
    }
}

static void check_whole(const char *text, const char *complaints)
{
    struct read_conf conf = conf_read(text);
    options_check(conf.root, &conf.complaints);
    assert_string_equal(conf_complaints(&conf), complaints);
    conf_free(&conf);
}

static void sections_that_lack_something_are_pointed_at(void **state)
{
    (void)state;
    check_whole("connections {\n a { remote { auth = psk } }\n}\n",
                "test.conf:2:2: connection \"a\" has no local section that says how to prove our identity\n"
                "     a { remote { auth = psk } }\n     ^\n");
    check_whole("connections {\n a { local { auth = psk } }\n}\n",
                "test.conf:2:2: connection \"a\" has no remote section that says how the peer proves its identity\n"
                "     a { local { auth = psk } }\n     ^\n");
    check_whole("connections {\n a { remote { auth = psk }\n local { } }\n}\n",
                "test.conf:3:2: local needs certs or pubkeys to prove its identity with, or auth = psk\n     local { } }\n     ^\n");
    check_whole("secrets {\n ike-1 { id = a }\n}\n",
                "test.conf:2:2: secrets.ike-1 needs secret\n     ike-1 { id = a }\n     ^\n");
    check_whole("connections { a { ppk_rekey = yes\n ppk_int = never\n local { auth = psk } remote { auth = psk } } }",
                "test.conf:1:19: ppk_rekey needs what ppk_int = never leaves out\n"
                "    connections { a { ppk_rekey = yes\n                      ^\n");
    check_whole("connections { a { ppk_ids = a@example.org, %any\n local { auth = psk } remote { auth = psk } } }\n"
                "secrets { ppk-a { id = a@example.org\n secret = k } }",
                "test.conf:1:19: ppk_ids: \"%any\" names no key\n"
                "    connections { a { ppk_ids = a@example.org, %any\n                      ^\n");
    check_whole("pools { lab { dns = 192.0.2.1 } }",
                "test.conf:1:9: pools.lab needs addrs\n    pools { lab { dns = 192.0.2.1 } }\n            ^\n");
    check_whole("authorities { ca { } }",
                "test.conf:1:15: authorities.ca needs cacert\n    authorities { ca { } }\n                  ^\n");
    check_whole("connections { a { local { auth = psk } remote { auth = psk }\n children { b { start_action = trap\n} } } }",
                "test.conf:2:17: start_action = trap needs an address or a name in remote_addrs to go to\n"
                "     children { b { start_action = trap\n                    ^\n");
}

static void children_of_one_device_agree_on_its_marks(void **state)
{
    (void)state;
#define MARKED(name, line) " " name " { remote_addrs = 192.0.2.1\n local { auth = psk } remote { auth = psk } children { net {\n" line "\n} } }\n"
    check_whole("connections {\n" MARKED("a", "if_id_out = 7\n mark_out = 1") MARKED("b", "if_id_out = 7\n mark_out = 1") MARKED("c", "if_id_out = 7") "}", "");
    check_whole("connections {\n" MARKED("a", "if_id_out = 7\n mark_out = 1") MARKED("b", "if_id_out = 7\n mark_out = 2") "}",
                "test.conf:10:2: b.net has mark_out = 0x2 and a.net (test.conf:5) 0x1, for one device (if_id 7): give each a device of "
                "its own, or both the same mark\n     mark_out = 2\n     ^\n");
    check_whole("connections {\n" MARKED("a", "if_id_in = 7\n set_mark_in = 1") MARKED("b", "mark_in = 7\n set_mark_in = %same") "}",
                "test.conf:10:2: b.net has set_mark_in = 0x7 and a.net (test.conf:5) 0x1, for one device (if_id 7): give each a device "
                "of its own, or both the same mark\n     set_mark_in = %same\n     ^\n");
    check_whole("connections {\n" MARKED("a", "if_id_out = 7\n mark_out = 0x2a") MARKED("b", "if_id_out = 8\n mark_out = 0xa/0xf") "}",
                "test.conf:10:2: packets with the mark 0xa are to go to the device of if_id 8 (b.net) and to that of if_id 7 (a.net "
                "(test.conf:5)): a mark leads to one device\n     mark_out = 0xa/0xf\n     ^\n");
    check_whole("connections {\n" MARKED("a", "if_id_out = 7\n mark_out = 0x2a } other { mark_out = 0x2a") "}",
                "test.conf:5:28: packets with the mark 0x2a are to go to the device of if_id 42 (a.other) and to that of if_id 7 (a.net "
                "(test.conf:5)): a mark leads to one device\n     mark_out = 0x2a } other { mark_out = 0x2a\n                               ^\n");
#undef MARKED
}

static void what_a_child_guards_are_networks(void **state)
{
    (void)state;
#define CONN_OF(lines) "connections { a { local { auth = psk } remote { auth = psk } children { net {\n" lines "\n} } } }"
    static const char *const selectors[] = {"0.0.0.0/0", "dynamic", "10.2.0.0/24[tcp]", "10.2.0.0/24[tcp/80]", "10.2.0.0/24, ::/0"};
    for (size_t i = 0; i < sizeof selectors / sizeof *selectors; i++) {
        AUTOFREE_MEM char *text = mem_printf(CONN_OF("guard = yes\nif_id_out = 5\nremote_ts = %s"), selectors[i]);
        check_whole(text, "test.conf:2:1: guard = yes needs networks in remote_ts, not all addresses, dynamic or ports: name the networks here "
                          "instead\n    guard = yes\n    ^\n");
    }
    check_whole(CONN_OF("mark_out = 5\nguard = 10.2.0.0/24, lan"),
                "test.conf:3:22: guard = lan: expected yes, no, or networks like 10.0.0.0/8, some with a ! before them\n"
                "    guard = 10.2.0.0/24, lan\n                         ^\n");
    check_whole(CONN_OF("mark_out = 5\nguard = !10.2.0.0/24"),
                "test.conf:3:1: guard only leaves networks out: name those, too, that they lie in\n    guard = !10.2.0.0/24\n    ^\n");
    check_whole(CONN_OF("mark_out = 5\nmode = drop\nstart_action = trap\nguard = 10.2.0.0/24"),
                "test.conf:5:1: guard is for children with a device (if_id_out or mark_out): what the others' selectors hold is guarded in any "
                "case\n    guard = 10.2.0.0/24\n    ^\n");
#undef CONN_OF
}

static void options_without_effect_are_warned_of(void **state)
{
    (void)state;
    check_whole("authorities { a { cacert = a.pem\n crl_uris = http://a/x.crl, ftp://b } }",
                "test.conf:2:2: warning: option \"crl_uris\" has no effect yet\n"
                "     crl_uris = http://a/x.crl, ftp://b } }\n     ^\n"
                "test.conf:2:29: crl_uris = ftp://b: expected an address that begins with http://, https://, ldap:// or file://\n"
                "     crl_uris = http://a/x.crl, ftp://b } }\n                                ^\n");
    check_whole("connections { a { children { b { mode = pass } c { mode = drop } } } }",
                "test.conf:1:34: warning: mode = pass has no effect here: start_action = trap puts the policy in force\n"
                "    connections { a { children { b { mode = pass } c { mode = drop } } } }\n                                     ^\n"
                "test.conf:1:52: warning: mode = drop has no effect here: start_action = trap puts the policy in force\n"
                "    connections { a { children { b { mode = pass } c { mode = drop } } } }\n"
                "                                                       ^\n");
}

static void connections_that_only_pass_or_drop_need_nobody_to_authenticate(void **state)
{
    (void)state;
    check_whole("connections { a { children { b { mode = pass\n start_action = trap } c { mode = drop\n start_action = start } } } }", "");
}

static void templates_are_not_options(void **state)
{
    (void)state;
    check_whole("base { version = 2\n local { auth = psk }\n remote { auth = psk } }\nconnections { a : base { } }", "");
#define PPK_CONN(lines) "connections { a { " lines "\n local { auth = psk } remote { auth = psk } } }\n"
#define PPK_SECRET(id) "secrets { ppk-1 { id-1 = " id "\n secret = k } }"
    check_whole(PPK_CONN("ppk_id = x@example.org") PPK_SECRET("y@example.org"),
                "test.conf:1:28: warning: no secrets.ppk section of this configuration has the id of a key that ppk_id names\n"
                "    connections { a { ppk_id = x@example.org\n                               ^\n");
    check_whole(PPK_CONN("ppk_ids = *@example.com, x@example.org") PPK_SECRET("y@example.org"),
                "test.conf:1:29: warning: no secrets.ppk section of this configuration has the id of a key that ppk_ids names\n"
                "    connections { a { ppk_ids = *@example.com, x@example.org\n                                ^\n");
    check_whole(PPK_CONN("ppk_id = x@example.org\nppk_ids = y@example.org") PPK_SECRET("y@example.org"), "");
    check_whole(PPK_CONN("ppk_id = *@example.org"), "");
    check_whole(PPK_CONN("ppk_id = \"C=CH, O=a, CN=b\"") PPK_SECRET("\"C=CH, O=a, CN=b\""), "");
    check_whole("unused { version = 2 }", "test.conf:1:1: warning: section \"unused\" is without effect: nothing inherits from it\n"
                                          "    unused { version = 2 }\n    ^\n");
    // an error in a template is said once
    check_whole("base { local { auth = psk } remote { auth = psk }\n encapp = yes }\nconnections { a : base { } b : base { } }",
                "test.conf:2:2: unknown option \"encapp\": did you mean encap?\n     encapp = yes }\n     ^\n");
}

static void all_errors_come_at_once(void **state)
{
    (void)state;
    struct read_conf conf = conf_read("connections { a {\n versoin = 2\n encap = x\n local { auth = foo }\n remote { id = }\n"
                                      " children { c { mode = transport_proxy\n life_time = x } } } }\nsecrets { eap { } }\n}\n");
    options_check(conf.root, &conf.complaints);
    assert_int_equal(conf.complaints.errors, 7);
    conf_free(&conf);
}

static void the_table_is_whole_and_every_row_has_its_help(void **state)
{
    (void)state;
    const struct option_row *rows;
    size_t count = options_rows(&rows);
    static const char *const ours[] = {"follow_redirects", "iptfs_accept_fragments", "iptfs_congestion_control", "iptfs_dont_frag", "iptfs_dscp",
                                       "iptfs_drop_time", "iptfs_init_delay", "iptfs_packet_size",
                                       "iptfs_rate", "iptfs_reorder_window", "make_before_break", "redirect_early", "redirect_to",
                                       "cluster_peer", "ppk_ids", "ppk_int", "ppk_rekey", "resumption", "strict", "tcp",
                                       "fragments", "guard", "path_mtu_probes", "persist", "tcp_mss"}; // strongSwan 6 has 165
    size_t own = 0;
    for (size_t i = 0; i < count; i++) {
        const char *dot = strrchr(rows[i].path, '.');
        for (size_t j = 0; dot && j < sizeof ours / sizeof *ours; j++)
            own += strcmp(dot + 1, ours[j]) == 0;
        size_t size = strlen(rows[i].help);
        assert_true(size > 10);
        char last = rows[i].help[size - 1];
        assert_true(last == '.' || last == ')');
        for (size_t j = 0; j < i; j++) assert_string_not_equal(rows[i].path, rows[j].path);
    }
    assert_int_equal(own, sizeof ours / sizeof *ours);
    assert_int_equal(count, 165 + own);
}

static void the_nearest_name_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *section, *name, *nearest;
    } names[] = {
        {"connections.<conn>", "remoteaddrs", "remote_addrs"},
        {"connections.<conn>", "dpd_dely", "dpd_delay"},
        {"connections.<conn>", "Encap", "encap"},
        {"connections.<conn>", "xyz", NULL},
        {"connections.<conn>", "a", NULL},
        {"connections.<conn>.children.<child>", "esp_proposal", "esp_proposals"},
        {"connections.<conn>.children.<child>", "rekey_tme", "rekey_time"},
        {"", "secret", "secrets"},
        {"authorities.<name>", "crl_uri", "crl_uris"},
    };
    for (size_t i = 0; i < COUNT(names); i++) {
        const char *nearest = options_nearest(names[i].section, names[i].name);
        assert_int_equal(nearest == NULL, names[i].nearest == NULL);
        if (nearest) assert_string_equal(nearest, names[i].nearest);
    }
    char longest[300];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(options_nearest("connections.<conn>", longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_said_exactly),
        cmocka_unit_test(what_is_right_is_taken_without_a_word),
        cmocka_unit_test(sections_that_lack_something_are_pointed_at),
        cmocka_unit_test(children_of_one_device_agree_on_its_marks),
        cmocka_unit_test(what_a_child_guards_are_networks),
        cmocka_unit_test(options_without_effect_are_warned_of),
        cmocka_unit_test(connections_that_only_pass_or_drop_need_nobody_to_authenticate),
        cmocka_unit_test(templates_are_not_options),
        cmocka_unit_test(all_errors_come_at_once),
        cmocka_unit_test(the_table_is_whole_and_every_row_has_its_help),
        cmocka_unit_test(the_nearest_name_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
