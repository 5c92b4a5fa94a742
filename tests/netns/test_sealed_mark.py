# SPDX-License-Identifier: Apache-2.0
"""set_mark_out: sealed packets carry a mark, and a rule of routing has them take another uplink than IKE; no packet before, while keys change, or after."""
import time

import test_mobike as mobike
from cases import HOSTS, OUTER, case, cases, config
from lab import check, run, wait_for
from test_cygnet import crash

SECOND = {4: {"a": "198.51.100.1", "b": "198.51.100.2"}, 6: {"a": "2001:db8:2::1", "b": "2001:db8:2::2"}}
MARKED = "set_mark_out = 42"
SEALED = ("esp or ah or (udp port 4500 and udp[8:4] != 0) or (ip6 and udp port 4500 and ip6[48:4] != 0) "
          "or ip6[6] == 44")   # fragments of IPv6, too


def two_links(lab):
    """a and b have two links; a's rule has what carries mark 42 take the second."""
    a, b = lab.host("a"), lab.host("b")
    lab.link(a, ["192.0.2.1/24", "2001:db8::1/64"], b, ["192.0.2.2/24", "2001:db8::2/64"], "first", "to-first")
    lab.link(a, ["198.51.100.1/24", "2001:db8:2::1/64"], b, ["198.51.100.2/24", "2001:db8:2::2/64"], "second", "to-second")
    for host, net in ((a, 1), (b, 2)):
        for addr in (f"10.{net}.0.1/24", f"fd0{net}::1/64"):
            host.address(addr, "lo")
    for family in (4, 6):
        a.run("ip", f"-{family}", "route", "add", OUTER[family]["b"], "via", SECOND[family]["b"], "dev", "second", "table", "100")
        a.run("ip", f"-{family}", "rule", "add", "pref", "300", "fwmark", "42/0xffff", "lookup", "100")
    return a, b


def ways(a):
    return {device: a.capture(device, SEALED) for device in ("first", "second")}


def check_ways(captures, source, least=3):
    """All sealed packets of ours took the second way."""
    seen = {}
    for device, capture in captures.items():
        capture.stop()
        seen[device] = [line for line in capture.lines() if f" {source}" in line.split(">")[0]]
    check(not seen["first"], f"without a mark: {seen['first'][:2]}")
    check(len(seen["second"]) >= least, f"with a mark: {seen['second']}")


FORMS = {
    "esp": {},
    "udp": {"conn": "encap = yes"},
    "ah": {"protocol": "ah", "esp": "sha256"},
    "v6": {"outer": 6},
    "v6 in udp": {"outer": 6, "conn": "encap = yes"},
    "ah over v6": {"outer": 6, "protocol": "ah", "esp": "sha256"},
    "transport": {"nets": {"a": "192.0.2.1", "b": "192.0.2.2"}, "mode": "transport"},
}


@cases(FORMS.items())
def a_mark_chooses_the_uplink(lab, form):
    a, b = two_links(lab)
    more = dict(form)
    mode = f"mode = {more.pop('mode', 'tunnel')}"
    outer = more.get("outer", 4)
    b.cygnet(config("b", "a", child=mode, **more))
    here = a.cygnet(config("a", "b", child=f"{MARKED}\n{mode}", **more))
    captures = ways(a)
    whole = a.capture("first", "udp port 500 or udp port 4500")
    here.cygnet("up", "net4")
    target, source = (HOSTS[4]["b"], HOSTS[4]["a"]) if "nets" not in form else (OUTER[4]["b"], OUTER[4]["a"])
    check(a.pings(target, source=source) == 3, "pings do not come back")
    whole.stop()
    check(len(whole.lines()) >= 4, "IKE took another way")
    check_ways(captures, OUTER[outer]["a"])
    text = here.cygnet("list") + here.cygnet("explain", "net4")
    check("sealed with mark 0x4359002a" in text and "fwmark 0x2a/0xffff" in text, text)
    check(here.children()[0]["set-mark-out"] == "4359002a", here.children()[0])


@case
def the_mark_stays_while_keys_change(lab):
    """Twenty new SAs under a stream of pings: none leaves by the other device, and marks of former SAs go."""
    a, b = two_links(lab)
    b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b", child=MARKED))
    captures = ways(a)
    here.cygnet("up", "net4")
    pings = a.start("ping", "-q", "-i", "0.005", "-I", HOSTS[4]["a"], HOSTS[4]["b"])
    for _ in range(20):
        here.swanctl("--rekey", "--child", "net4")
        time.sleep(0.1)
    pings.terminate()
    pings.wait(timeout=5)
    check_ways(captures, OUTER[4]["a"], least=200)

    def elements():
        return a.run("nft", "list", "map", "inet", "cygnet_cygnet0", "sealed4").count("0x4359002a")
    wait_for("former SAs' marks to go", lambda: elements() == 1)
    here.cygnet("down", "net4")
    wait_for("the last one to go", lambda: elements() == 0)


@case
def the_mark_stays_when_the_daemon_is_killed_or_its_table_flushed(lab):
    a, b = two_links(lab)
    b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b", child=MARKED, start="start"))
    wait_for("the child", lambda: here.children())
    crash(here)
    captures = ways(a)
    here = a.cygnet(config("a", "b", child=MARKED, start="start"))
    wait_for("the child of the next life", lambda: here.children(), 20)
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "pings do not come back after a crash")
    check_ways(captures, OUTER[4]["a"])
    a.run("nft", "flush", "ruleset")
    wait_for("the mark to be there again", lambda: "0x4359002a" in a.run("nft", "list", "ruleset"), 15)
    captures = ways(a)
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "pings do not come back after a flush")
    check_ways(captures, OUTER[4]["a"])


@case
def fragments_of_what_is_sealed_take_the_same_way(lab):
    """The daemon itself cuts sealed packets of IPv6 that are larger than the device; only the first piece shows the SPI."""
    a, b = two_links(lab)
    for host, device in ((a, "second"), (b, "to-second")):
        host.run("ip", "link", "set", device, "mtu", "1400")
    more = {"outer": 6, "conn": "path_mtu_probes = no"}
    b.cygnet(config("b", "a", child="fragments = outer\ncopy_df = no", **more))
    here = a.cygnet(config("a", "b", child=f"{MARKED}\nfragments = outer\ncopy_df = no", **more))
    here.cygnet("up", "net4")
    captures = ways(a)
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"], size=2500) == 3, "large pings do not come back")
    check_ways(captures, OUTER[6]["a"], least=6)
    pieces = [line for line in captures["second"].lines() if "frag" in line and f" {OUTER[6]['a']}" in line.split(">")[0]]
    check(len(pieces) >= 6, f"nothing was cut: {captures['second'].lines()}")


@case
def what_goes_through_a_tcp_connection_has_no_mark_and_the_log_says_so(lab):
    a, b = two_links(lab)
    b.cygnet(config("b", "a"), options=("--port-tcp", "4500"))
    here = a.cygnet(config("a", "b", conn="tcp = yes", child=MARKED), options=("--retransmit", "0.5/1.5/5"))
    here.cygnet("up", "net4")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "pings do not come back")
    check("get no set_mark_out" in here.log() and "sealed with mark" not in here.cygnet("list"), here.log())


@case
def transport_between_gateways_is_refused(lab):
    """Its packets go to hosts behind the peer, so that the peer's address says nothing of them."""
    a, b = two_links(lab)
    b.cygnet(config("b", "a", child="mode = transport"))
    here = a.cygnet(config("a", "b", child=f"{MARKED}\nmode = transport"))
    text = here.cygnet("up", "net4", check_status=False)
    check("GATEWAY_TRANSPORT_MARK" in here.log() and not here.children(), text + here.log())


@case
def children_without_a_mark_cost_and_change_nothing(lab):
    a, b = two_links(lab)
    b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b"))
    here.cygnet("up", "net4")
    captures = ways(a)
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "pings do not come back")
    seen = {device: (capture.stop(), capture.lines())[1] for device, capture in captures.items()}
    check(seen["first"] and not [line for line in seen["second"] if OUTER[4]["a"] in line.split(">")[0]], seen)
    check("sealed" not in a.run("nft", "list", "ruleset"), "the chain is there for nobody")


@case
def a_mark_that_leads_into_a_device_does_not_lead_sealed_packets_back(lab):
    """mark_out and set_mark_out may be the same number."""
    a, b = two_links(lab)
    b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b", nets={"a": "0.0.0.0/0", "b": "0.0.0.0/0"}, child="mark_out = 42/0xffff\nset_mark_out = %same"))
    a.route("default", "via", "192.0.2.2")
    wait_for("the device", lambda: " cygnet42:" in a.run("ip", "-o", "link"))
    a.run("nft", "-f", "-", input="""table ip chooses {
        chain out { type route hook output priority mangle; ip daddr 10.2.0.1 icmp type echo-request meta mark set 42; }
    }""")
    here.cygnet("up", "net4")
    captures = ways(a)
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "pings do not come back")
    check_ways(captures, OUTER[4]["a"])
    here.stop()
    check("218:" not in a.run("ip", "rule"), a.run("ip", "rule"))


@case
def the_mark_goes_with_a_peer_that_moves(lab):
    """The server's sealed packets leave by its second link before and after the peer has changed networks (RFC 4555)."""
    a, r, b = mobike.networks(lab, server_links=2)
    mobike.attach(a, "wifi")
    b.run("ip", "route", "add", "default", "via", "203.0.113.129", "dev", "net2", "table", "100")
    b.run("ip", "rule", "add", "pref", "300", "fwmark", "42/0xffff", "lookup", "100")
    b.cygnet(mobike.conf("b", "a", child=MARKED).replace("local_addrs = %any", f"local_addrs = {mobike.SERVER}"), options=mobike.FAST)
    here = a.cygnet(mobike.conf("a", "b", remote=mobike.SERVER), options=mobike.FAST)
    first = b.capture("net", SEALED)
    here.cygnet("up", "net4")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "pings do not come back")
    mobike.attach(a, "lte")
    second = b.capture("net2", SEALED)
    mobike.detach(a, "wifi")
    wait_for("the tunnel by lte", lambda: a.pings(HOSTS[4]["b"], count=1, source=HOSTS[4]["a"]) == 1, 20)
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "pings do not come back after the move")
    for capture in (first, second):
        capture.stop()
    lost = [line for line in first.lines() if mobike.SERVER in line.split(">")[0]]
    check(not lost, f"without a mark: {lost[:2]}")
    check(len([line for line in second.lines() if mobike.LTE in line.split(">")[-1]]) >= 3, second.lines())


@case
def nftables_may_choose_by_interface(lab):
    """What cygnet.conf(5) says under mark_out: packets of a host and of one behind it go through the tunnel while their way would be by one interface, and in the
    clear by the other."""
    a, b = two_links(lab)
    h = lab.host("h")
    lab.link(a, "10.1.9.1/24", h, "10.1.9.2/24")
    h.route("default", "via", "10.1.9.1")
    a.forward()
    nets = {"a": "10.1.0.0/16", "b": "10.2.0.0/24"}
    b.cygnet(config("b", "a", nets=nets, child="if_id_in = 7\nif_id_out = 7"))
    here = a.cygnet(config("a", "b", nets=nets, child="mark_in = 42\nmark_out = 42"))
    a.run("nft", "-f", "-", input="""table inet chooses {
        chain own { type route hook output priority mangle; oifname first ip daddr 10.2.0.0/24 meta mark set 42; }
        chain others { type filter hook prerouting priority mangle; ip daddr 10.2.0.0/24 fib daddr oifname first meta mark set 42; }
    }""")
    wait_for("devices", lambda: " cygnet42:" in a.run("ip", "-o", "link") and " cygnet7:" in b.run("ip", "-o", "link"))
    b.route("10.1.0.0/16", "dev", "cygnet7")
    here.cygnet("up", "net4")
    for device, hop in (("first", "192.0.2.2"), ("second", "198.51.100.2"), ("first", "192.0.2.2")):
        a.run("ip", "route", "replace", "10.2.0.0/24", "via", hop, "dev", device)
        captures = [a.capture(link) for link in ("first", "second")]
        check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, f"{device}: pings of a do not come back")
        check(h.pings(HOSTS[4]["b"]) == 3, f"{device}: pings of h do not come back")
        [capture.stop() for capture in captures]
        lines = [line for capture in captures for line in capture.lines()]
        plain, sealed = [line for line in lines if "echo request" in line], [line for line in lines if "192.0.2.1 > 192.0.2.2: ESP" in line]
        check((len(plain), len(sealed) >= 6) == ((0, True) if device == "first" else (6, False)), f"{device}: {plain}")
