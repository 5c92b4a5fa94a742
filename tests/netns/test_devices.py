# SPDX-License-Identifier: Apache-2.0
"""Route-based tunnels: devices of their own for if_id, whatever the selectors; routing decides, also by BGP; no leak when daemons die."""
import shutil
import time

from cases import HOSTS, NETS, case, config, gateways
from lab import Skip, check, run, wait_for
from test_cygnet import crash

ALL = {"a": "0.0.0.0/0", "b": "0.0.0.0/0"}


def devices(number, way="both"):
    return f"if_id_in = {number}\nif_id_out = {number}" if way == "both" else f"if_id_{way} = {number}"


def has_device(host, name):
    return f" {name}:" in host.run("ip", "-o", "link")


def routed(lab, a_child=devices(7), b_child=devices(7), a_start="none"):
    """Two gateways, 0.0.0.0/0 on both sides; a's and b's devices have addresses and routes where they are cygnet7."""
    a, b = gateways(lab)
    there = b.cygnet(config("b", "a", nets=ALL, child=b_child))
    here = a.cygnet(config("a", "b", nets=ALL, child=a_child, start=a_start))
    return (a, b), here, there


def route(host, peer, device, inner):
    host.address(inner, device)
    host.run("ip", "route", "add", NETS[4][peer], "dev", device, "src", HOSTS[4][host.name])


def plain(capture):
    return [line for line in capture.lines() if "10.1.0.1" in line or "10.2.0.1" in line or "10.255." in line]


@case
def a_device_carries_what_is_routed_into_it(lab):
    (a, b), here, there = routed(lab)
    wait_for("the device before the tunnel", lambda: has_device(a, "cygnet7") and has_device(b, "cygnet7"))
    capture = a.capture("to-b")
    route(a, "b", "cygnet7", "10.255.0.1/30")
    route(b, "a", "cygnet7", "10.255.0.2/30")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 0, "pings came back without a tunnel")
    here.cygnet("up", "net4")
    check(a.pings("10.255.0.2") == 3, "the device's own addresses do not reach each other")
    check(b.pings(HOSTS[4]["a"], source=HOSTS[4]["b"]) == 3, "what is routed into the device does not come back")
    check(a.pings("192.0.2.2") == 3, "0.0.0.0/0 catches what is not routed into the device")
    child = here.children()[0]
    check(child.get("if-id-in") == child.get("if-id-out") == "00000007", f"if_id is not told: {child}")
    capture.stop()
    check(not plain(capture), f"plaintext on the wire: {plain(capture)[:1]}")
    there.stop()
    wait_for("the device to go with the daemon", lambda: not has_device(b, "cygnet7"))


@case
def everything_on_several_tunnels_at_once(lab):
    hub, b, c = lab.host("a"), lab.host("b"), lab.host("c")
    ends = {}
    for number, spoke in ((2, b), (3, c)):
        lab.link(hub, f"192.0.{number}.1/24", spoke, f"192.0.{number}.2/24")
        spoke.address(f"10.{number}.0.1/24", "lo")
        text = config("b", "a", nets=ALL, child=devices("%unique"))
        ends[spoke.name] = spoke.cygnet(text.replace("192.0.2.2", f"192.0.{number}.2").replace("192.0.2.1", f"192.0.{number}.1")
                                        .replace("b.example", f"{spoke.name}.example"))
    hub.address("10.1.0.1/24", "lo")
    hub.forward()
    texts = [config("a", "b", nets=ALL, child=devices(number), name=f"gw{number}", start="start").replace("192.0.2.", f"192.0.{number}.")
             .replace("b.example", f"{name}.example").replace("ike-gw", f"ike-{name}") for number, name in ((2, "b"), (3, "c"))]
    here = hub.cygnet("\n".join(texts))
    wait_for("both tunnels", lambda: len(here.children()) == 2)
    for number, spoke in ((2, b), (3, c)):
        wait_for("the spoke's device", lambda: has_device(spoke, "cygnet1"))
        hub.run("ip", "route", "add", f"10.{number}.0.0/24", "dev", f"cygnet{number}")
        spoke.run("ip", "route", "add", "10.0.0.0/8", "dev", "cygnet1", "src", f"10.{number}.0.1")
    check(hub.pings("10.2.0.1", source="10.1.0.1") == 3, "hub to b")
    check(hub.pings("10.3.0.1", source="10.1.0.1") == 3, "hub to c")
    check(b.pings("10.3.0.1", source="10.2.0.1") == 3, "b to c by way of the hub")
    here.cygnet("down", "--ike", "gw2")
    check(b.pings("10.1.0.1", source="10.2.0.1", count=1) == 0, "a tunnel that is down carries")
    check(c.pings("10.1.0.1", source="10.3.0.1") == 3, "the other tunnel went with it")
    wait_for("a device of a number of its own to go with its child", lambda: not has_device(b, "cygnet1"))
    check(has_device(hub, "cygnet2"), "a device of the configuration went with its child")


@case
def in_and_out_may_be_two_devices(lab):
    (a, b), here, there = routed(lab, a_child="if_id_in = %unique-dir\nif_id_out = %unique-dir")
    here.cygnet("up", "net4")
    wait_for("two devices", lambda: has_device(a, "cygnet1") and has_device(a, "cygnet2"))
    child = here.children()[0]
    came, goes = (f"cygnet{int(child[key], 16)}" for key in ("if-id-in", "if-id-out"))
    check(came != goes, f"one device for both directions: {child}")
    a.run("ip", "route", "add", NETS[4]["b"], "dev", goes, "src", HOSTS[4]["a"])
    b.run("ip", "route", "add", NETS[4]["a"], "dev", "cygnet7", "src", HOSTS[4]["b"])
    capture = a.capture(came)
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "no answers")
    capture.stop()
    seen = capture.lines()
    check(any("reply" in line for line in seen) and not any("request" in line for line in seen), f"the inbound device has {seen}")


@case
def without_a_route_packets_are_dropped_when_guarded(lab):
    """explain says what becomes of packets whose route into the device goes away; a guard has them dropped, in both directions, and from others, too."""
    a, b = gateways(lab)
    b.cygnet(config("b", "a", child=devices(7)))
    here = a.cygnet(config("a", "b", child=devices(7)))
    here.cygnet("up", "net4")
    a.route("default", "via", "192.0.2.2")
    route(a, "b", "cygnet7", "10.255.0.1/30")
    route(b, "a", "cygnet7", "10.255.0.2/30")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "pings do not come back")
    text = here.cygnet("explain", "net4")
    check("device of if_id 7" in text and "guard = yes" in text, text)
    here.configure(config("a", "b", child=devices(7) + "\nguard = 10.2.0.0/24, !10.2.0.77", start="start"))
    here.cygnet("reload")
    wait_for("the tunnel after a reload", lambda: here.children())
    text = here.cygnet("explain", "net4")
    check("10.2.0.0/24\n    !10.2.0.77\n" in text, text)
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "the guard stops what goes through the device")
    b.address("10.2.0.77/32", "lo")
    capture = a.capture("to-b")
    a.run("ip", "route", "del", NETS[4]["b"], "dev", "cygnet7")
    check(a.pings(HOSTS[4]["b"], count=1, source=HOSTS[4]["a"]) == 0, "a ping came back in the clear")
    check(a.pings("10.2.0.77") == 3, "what is left out of the guard is guarded")
    b.run("ip", "route", "replace", NETS[4]["a"], "via", "192.0.2.1", "src", HOSTS[4]["b"])
    check(b.pings(HOSTS[4]["a"], count=1, source=HOSTS[4]["b"]) == 0, "a ping in the clear was answered")
    capture.stop()
    leaked = [line for line in plain(capture) if " 10.1.0.1 > " in line]
    check(not leaked, f"plaintext on the wire: {leaked[:1]}")
    here.configure(config("a", "b", child=devices(7)))
    here.cygnet("reload")
    check(b.pings(HOSTS[4]["a"], source=HOSTS[4]["b"]) == 3, "a guard stays when its connection does not ask for it any more")


@case
def what_is_forwarded_is_guarded_too(lab):
    """A hub whose route to one of two spokes goes away sends nothing that came from the other one in the clear."""
    a, b = gateways(lab)
    lan = lab.host("lan")
    lab.link(a, "10.1.1.1/24", lan, "10.1.1.2/24")
    lan.route("default", "via", "10.1.1.1")
    a.forward()
    b.cygnet(config("b", "a", nets=ALL, child=devices(7)))
    here = a.cygnet(config("a", "b", nets=ALL, child=devices(7) + "\nguard = 10.2.0.0/16", start="start"))
    wait_for("the tunnel", lambda: here.children())
    route(a, "b", "cygnet7", "10.255.0.1/30")
    b.run("ip", "route", "add", "10.1.0.0/16", "dev", "cygnet7", "src", HOSTS[4]["b"])
    a.route("default", "via", "192.0.2.2")
    check(lan.pings(HOSTS[4]["b"]) == 3, "packets of the LAN do not go through the tunnel")
    wire = a.capture("to-b")
    a.run("ip", "route", "del", NETS[4]["b"], "dev", "cygnet7")
    check(lan.pings(HOSTS[4]["b"], count=2) == 0, "pings came back in the clear")
    crash(here)
    check(lan.pings(HOSTS[4]["b"], count=2) == 0, "pings came back in the clear behind a crash")
    wire.stop()
    leaked = [line for line in wire.lines() if "10.1.1.2" in line]
    check(not leaked, f"plaintext on the wire: {leaked[:1]}")


def marked(lab):
    """a has a default route to b in the clear, and gives packets for b's network a mark; what comes in with another mark is counted."""
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b", nets=ALL, child="mark_in = 42\nmark_out = 42/0xffff\nset_mark_in = 0x77"))
    wait_for("the device before the tunnel", lambda: has_device(a, "cygnet42"))
    a.route("default", "via", "192.0.2.2")
    a.run("nft", "-f", "-", input="""table ip chooses {
        counter opened { }
        chain out { type route hook output priority mangle; ip daddr 10.2.0.1 icmp type echo-request meta mark set 0x1002a; }
        chain in { type filter hook input priority 0; meta mark 0x77 counter name opened; }
    }""")
    return a, b, here


@case
def a_mark_leads_into_the_tunnel(lab):
    """What nftables has marked goes through the tunnel and nothing else does; it stays so when the daemon is killed, and ends when it is stopped."""
    a, b, here = marked(lab)
    capture = a.capture("to-b")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 0, "pings came back without a tunnel")
    here.cygnet("up", "net4")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "what is marked does not go through the tunnel")
    check(a.pings("192.0.2.2") == 3, "what is not marked is caught")
    capture.stop()
    child = here.children()[0]
    check((child["mark-in"], child["mark-out"], child["mark-mask-out"]) == ("0000002a", "0000002a", "0000ffff"), f"marks are not told: {child}")
    check(not plain(capture), f"plaintext on the wire: {plain(capture)[:1]}")
    check("packets 3 " in a.run("nft", "list", "counter", "ip", "chooses", "opened"), "what was opened has no mark:\n" + a.run("nft", "list", "ruleset"))
    for family in ((), ("-6",)):
        check("219:\tfrom all fwmark 0x2a/0xffff lookup" in a.run("ip", *family, "rule"), a.run("ip", *family, "rule"))
    crash(here)
    capture = a.capture("to-b")
    check(a.pings(HOSTS[4]["b"], count=1, source=HOSTS[4]["a"]) == 0, "pings come back without the daemon")
    capture.stop()
    check(not plain(capture), f"plaintext on the wire behind a crash: {plain(capture)[:1]}")
    here = a.cygnet(config("a", "b", nets=ALL, child="mark_in = 42\nmark_out = 42/0xffff\nset_mark_in = 0x77"))
    here.cygnet("up", "net4")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "what is marked does not go through the tunnel of the next life")
    check("packets 6 " in a.run("nft", "list", "counter", "ip", "chooses", "opened"), "what was opened has no mark in the next life")
    here.stop()
    check("fwmark 0x2a" not in a.run("ip", "rule"), a.run("ip", "rule"))


def bird(host, own, peer, number, peer_number, network, check_link="yes"):
    path = host.lab.directory / f"bird-{host.name}"
    path.with_suffix(".conf").write_text(f"""
router id {own};
protocol device {{ scan time 1; }}
protocol kernel {{ ipv4 {{ export all; }}; }}
protocol static {{ ipv4; route {network} via "lo"; }}
protocol bgp peer {{
    local {own} as {number};
    neighbor {peer} as {peer_number};
    direct;
    check link {check_link};
    connect delay time 1;
    connect retry time 1;
    error wait time 1, 2;
    hold time 240;
    ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }};
}}
""")
    return host.start("bird", "-f", "-c", path.with_suffix(".conf"), "-s", path.with_suffix(".ctl"), log=path.with_suffix(".log"))


@case
def bgp_runs_over_the_device_and_survives_a_crash(lab):
    if not shutil.which("bird"):
        raise Skip("BIRD is not installed (tools/deps test)")
    (a, b), here, there = routed(lab, a_start="start")
    wire = a.capture("to-b")
    wait_for("the tunnel", lambda: here.children())
    a.address("10.255.0.1/30", "cygnet7")
    b.address("10.255.0.2/30", "cygnet7")
    # without this BIRD takes the routes away as soon as it sees the device without its daemon
    bird(a, "10.255.0.1", "10.255.0.2", 65001, 65002, "10.1.0.0/24", check_link="no")
    bird(b, "10.255.0.2", "10.255.0.1", 65002, 65001, "10.2.0.0/24")

    def learned(host, network):
        return "cygnet7" in host.run("ip", "route", "show", network)
    wait_for("routes by BGP", lambda: learned(a, "10.2.0.0/24") and learned(b, "10.1.0.0/24"), 40)
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "a learned route does not carry")
    here.cygnet("rekey", "--child", "net4")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "no pings after rekeying")

    crash(here)
    check(learned(a, "10.2.0.0/24") and "10.255.0.1" in a.run("ip", "address", "show", "cygnet7"),
          "the device lost its address or routes with the daemon")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"], count=2) == 0, "pings came back without a daemon")
    here = a.cygnet(config("a", "b", nets=ALL, child=devices(7), start="start"))
    wait_for("the tunnel to come back by itself", lambda: here.children(), 20)
    wait_for("pings after the crash", lambda: a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"], count=1) == 1, 20)
    check(learned(a, "10.2.0.0/24"), "the route is gone")
    wire.stop()
    check(not plain(wire), f"plaintext on the wire: {plain(wire)[:1]}")


@case
def a_guard_holds_when_bgp_takes_the_route_away(lab):
    """BIRD ends at the other gateway, then here, then every process of cygnet is killed: the default route takes nothing that is guarded."""
    if not shutil.which("bird"):
        raise Skip("BIRD is not installed (tools/deps test)")
    a, b = gateways(lab)
    b.cygnet(config("b", "a", nets=ALL, child=devices(7)))
    here = a.cygnet(config("a", "b", nets=ALL, child=devices(7) + "\nguard = 10.2.0.0/24", start="start"))
    wait_for("the tunnel", lambda: here.children())
    a.route("default", "via", "192.0.2.2")
    b.route("default", "via", "192.0.2.1")
    a.address("10.255.0.1/30", "cygnet7")
    b.address("10.255.0.2/30", "cygnet7")
    mine = bird(a, "10.255.0.1", "10.255.0.2", 65001, 65002, "10.1.0.0/24")
    other = bird(b, "10.255.0.2", "10.255.0.1", 65002, 65001, "10.2.0.0/24")

    def learned(host, network):
        return "cygnet7" in host.run("ip", "route", "show", network)
    wait_for("routes by BGP", lambda: learned(a, "10.2.0.0/24") and learned(b, "10.1.0.0/24"), 40)
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "a learned route does not carry")
    wire = a.capture("to-b")
    run("kill", "-TERM", other.pid)
    wait_for("the route to go", lambda: not learned(a, "10.2.0.0/24"), 20)
    check(a.pings(HOSTS[4]["b"], count=2, source=HOSTS[4]["a"]) == 0, "pings came back in the clear")
    check(a.pings("192.0.2.2") == 3, "what is not guarded is caught")
    run("kill", "-TERM", mine.pid)
    check(a.pings(HOSTS[4]["b"], count=1, source=HOSTS[4]["a"]) == 0, "pings came back in the clear without BIRD")
    crash(here)
    check(a.pings(HOSTS[4]["b"], count=2, source=HOSTS[4]["a"]) == 0, "pings came back in the clear behind a crash")
    here = a.cygnet(config("a", "b", nets=ALL, child=devices(7) + "\nguard = 10.2.0.0/24", start="start"))
    wait_for("the tunnel to come back by itself", lambda: here.children(), 20)
    check(a.pings(HOSTS[4]["b"], count=1, source=HOSTS[4]["a"]) == 0, "pings came back in the clear in the next life")
    wire.stop()
    leaked = [line for line in plain(wire) if "10.2.0.1" in line]
    check(not leaked, f"plaintext on the wire: {leaked[:1]}")
    here.stop()
    check(a.pings(HOSTS[4]["b"], source="192.0.2.1") == 3, "the guard stays behind a daemon that was told to stop")


@case
def one_role_dies_and_the_device_stays(lab):
    (a, b), here, there = routed(lab, a_start="start")
    wait_for("the tunnel", lambda: here.children())
    route(a, "b", "cygnet7", "10.255.0.1/30")
    route(b, "a", "cygnet7", "10.255.0.2/30")
    wire = a.capture("to-b")
    before = a.run("ip", "-o", "link", "show", "cygnet7").split(":")[0]
    run("kill", "-KILL", *[line.split()[0] for line in run("ps", "-o", "pid=,comm=", "--ppid", here.process.pid).splitlines() if "cygnet-esp" in line])
    end = time.monotonic() + 20
    while time.monotonic() < end and a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"], count=1) == 0:
        pass
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "the tunnel did not come back")
    check(a.run("ip", "-o", "link", "show", "cygnet7").split(":")[0] == before, "it is another device")
    wire.stop()
    check(not plain(wire), f"plaintext on the wire: {plain(wire)[:1]}")


@case
def children_of_one_device_agree_on_its_marks(lab):
    """Whoever is loaded last does not win: not in the file, and not when a client loads another connection beside it."""
    a, _ = gateways(lab)
    first, second = (config("a", "b", name=name, child=f"if_id_out = 7\nmark_out = {mark}").split("secrets {")[0] for name, mark in (("one", 1), ("two", 2)))
    text = config("a", "b").split("secrets {")[1]
    here = a.cygnet(first + "secrets {" + text)
    here.configure(first + second + "secrets {" + text)
    out = here.cygnet("reload", check_status=False)
    check("two.net4 has mark_out = 0x2 and one.net4" in out and "swanctl.conf:" in out, out)
    check("one" in here.cygnet("list", "--conns") and "two" not in here.cygnet("list", "--conns"), "half of the file was taken")
    if not shutil.which("swanctl"):
        raise Skip("swanctl is not installed")
    (lab.directory / "other.conf").write_text(second)
    out = a.run("env", f"SWANCTL_DIR={here.etc}", "swanctl", "--load-conns", "--uri", here.vici, "--file", lab.directory / "other.conf", check_status=False)
    check("two.net4 has mark_out = 0x2 and one.net4 0x1, for one device (if_id 7)" in out, out)
