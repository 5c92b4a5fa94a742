# SPDX-License-Identifier: Apache-2.0
"""IP-TFS (RFC 9347) with strongSwan 6.1 and Linux's own xfrm_iptfs."""
import time

import aggfrag
from cases import HOSTS, OUTER, case, cases
from lab import check, wait_for
from test_modes_in_kernel import both_rekey, crossing, outer_of
from together import both, together

MODE = "mode = iptfs"


def pair(lab, ours, here="", theirs="", **settings):
    """`here` are lines for our child, `theirs` settings of strongSwan's own `iptfs` section. Linux sizes its packets as if there
    were no UDP around them."""
    theirs += "\npacket_size = 1400" if settings.get("conn") else ""
    result = together(lab, "strongswan61", ours, child=MODE, daemon=f"iptfs {{\n{theirs}\n}}", ours={"child": f"{MODE}\nstrict = mode\n{here}"},
                      **settings)
    for shown in (result[2].cygnet("list"), result[3].swanctl("--list-sas")):
        check("IPTFS" in shown, f"not IP-TFS:\n{shown}")
    return result


SERVER = """use IO::Socket::IP; my $s = IO::Socket::IP->new(LocalHost => "%s", LocalPort => 7007, Listen => 1, ReuseAddr => 1) or die;
my $c = $s->accept; my ($n, $part) = 0; while (sysread $c, $part, 65536) { $n += length $part } syswrite $c, "all $n";"""
CLIENT = """use IO::Socket::IP; my $c = IO::Socket::IP->new(LocalHost => "%s", PeerHost => "%s", PeerPort => 7007) or die;
for (1 .. 30) { my $part = "x" x 10000; while (length $part) { substr $part, 0, syswrite($c, $part), "" } }
$c->shutdown(1); alarm 20; sysread $c, my $answer, 100; print $answer;"""


def stream(client, server, source, target):
    """300,000 bytes by TCP; true when all arrived. In Perl, which every Debian root has."""
    server.start("perl", "-e", SERVER % target)
    wait_for("a listener", lambda: ":7007" in server.run("ss", "-Hltn"))
    return "all 300000" in client.run("perl", "-e", CLIENT % (source, target), check_status=False, timeout=30)


@cases([(f"outer{outer}-inner{inner}-{esp}{'-udp' if conn else ''}-{name}", outer, inner, esp, conn, ours) for outer, inner, esp, conn in (
    (4, 4, "aes128gcm16", ""), (6, 6, "aes256gcm16-esn", ""), (4, 6, "aes128-sha256", "encap = yes"), (6, 4, "aes128gcm16", "encap = yes"))
        for name, ours in both("strongswan")])
def every_size_arrives(lab, outer, inner, esp, conn, ours):
    a, b, here, peer = pair(lab, ours, outer=outer, inner=(inner,), esp=esp, conn=conn)
    hosts = HOSTS[inner]["a"], HOSTS[inner]["b"]
    crossing(a, b, hosts, hosts, sizes=(1, 56, 1200, 1372, 1400, 1472, 2000, 5000, 9000))
    for client, server, source, target in ((a, b, *hosts), (b, a, *hosts[::-1])):
        check(stream(client, server, source, target), f"TCP from {client.name} to {server.name} carries nothing")


@cases([("ipv4", 4, ""), ("ipv6-udp", 6, "encap = yes")])
def rekeying_under_traffic(lab, outer, conn):
    """RFC 9347 2.2.3 test: a packet is cut within one SA only."""
    a, b, here, peer = pair(lab, True, outer=outer, esp="aes128gcm16-curve25519", conn=conn)
    flows = [host.start("ping", "-q", "-n", "-i", "0.02", "-c", "500", "-s", "3000", "-I", HOSTS[4][me], HOSTS[4][far], log=lab.directory / f"flow-{me}")
             for host, me, far in ((a, "a", "b"), (b, "b", "a"))]
    hosts = HOSTS[4]["a"], HOSTS[4]["b"]
    both_rekey(here, peer, lambda: crossing(a, b, hosts, hosts, sizes=(56, 2000), count=2))
    check("IPTFS" in here.cygnet("list") and "IPTFS" in peer.swanctl("--list-sas"), "rekeying has changed the mode")
    flows[0].wait(timeout=30)
    said = lab.directory / "flow-b"
    wait_for("the peer's pings", lambda: "received" in said.read_text(), 30)
    for me in ("a", "b"):
        out = (lab.directory / f"flow-{me}").read_text()
        got = int(out.split(" received")[0].split()[-1])
        print(f"    {got} of 500 pings of {me} came back through four rekeyings")
        check(got >= 490, f"{got} of 500 pings of {me} came back:\n{out}")


def burst(host, source, target, sizes):
    """UDP datagrams of these sizes, one behind the other."""
    script = """use IO::Socket::IP; my $s = IO::Socket::IP->new(Proto => "udp", LocalHost => "%s", PeerHost => "%s", PeerPort => 7000) or die;
for (%s) { my $d = "x" x $_; $s->send($d) }"""
    host.run("perl", "-e", script % (source, target, ", ".join(map(str, sizes))))


def recorded(lab, ours, here, theirs, sizes, outer=4, inner=4, seconds=1):
    """What each end sent for the same datagrams: our stream, the peer's; and the ends."""
    a, b, daemon, peer = pair(lab, ours, here, theirs, outer=outer, inner=(inner,), esp="null-sha256")
    hosts = HOSTS[inner]["a"], HOSTS[inner]["b"]
    check(a.pings(hosts[1], source=hosts[0], count=2) == 2, "pings are lost")   # then the neighbours know each other
    capture = a.capture("to-b", size=2048)
    for host, source, target in ((a, *hosts), (b, *hosts[::-1])):
        burst(host, source, target, sizes)
    time.sleep(seconds)
    found = aggfrag.streams(capture.stop())
    check([len(sas) for sas in found.values()] == [1, 1], f"not one SA each: {found}")
    return found[OUTER[outer]["a"]][0], found[OUTER[outer]["b"]][0], daemon, peer


@cases([(f"outer{outer}-inner{inner}-{name}", outer, inner, ours) for outer, inner in ((4, 4), (6, 6), (4, 6)) for name, ours in both("strongswan")])
def what_goes_over_the_link(lab, outer, inner, ours):
    """RFC 9347 6.1 test: a reader of its own opens what both ends sent: small packets share a payload, large ones are cut, and every rule is kept."""
    mine, theirs, daemon, peer = recorded(lab, ours, "iptfs_init_delay = 20000", "init_delay = 20000", (3000, *[40] * 60, 1200, 5000, 40), outer, inner)
    for who, found in (("cygnet", mine), ("the kernel", theirs)):
        print(f"    {who}: {len(found.inner)} inner packets in {len(found.payloads)} outer ones; up to {found.shared()} in one, {len(found.cut())} cut")
        check(found.shared() >= 10, f"{who} put at most {found.shared()} packets into one")
        check(len(found.cut()) >= 2, f"{who} cut {len(found.cut())} packets")
        check(found.rest is None, f"the last packet of {who} is not complete")


@cases([("we-ask-for-it", "iptfs_accept_fragments = no", "", "kernel"), ("the-peer-asks-for-it", "", "accept_fragments = no", "cygnet"),
        ("our-own-wish", "iptfs_dont_frag = yes", "", "cygnet"), ("the-peers-own-wish", "", "dont_fragment = yes", "kernel")])
def packets_are_not_cut(lab, here, theirs, bound):
    """RFC 9347 6.1.4 test: bit D of USE_AGGFRAG binds whoever reads it, and only that end."""
    sizes = [700] * 20 + [1472] * 3 + [700] * 20
    mine, kernel, daemon, peer = recorded(lab, True, f"iptfs_init_delay = 20000\n{here}", f"init_delay = 20000\n{theirs}", sizes)
    whole, cut = (mine, kernel) if bound == "cygnet" else (kernel, mine)
    for stream in (whole, cut):
        count = sum(len(inner.packet) == 728 for inner in stream.inner)
        check(count == 40, f"{count} of 40 datagrams are whole")
    check(not whole.cut(), f"{len(whole.cut())} packets were cut")
    check(cut.cut(), "the other direction was not to be bound by it")


@cases([("kernel-reads-padding", 0)])
def a_constant_rate(lab, ours):
    """RFC 9347 2.2.3 test: the kernel passes over payloads that are all padding, between those of a packet, too."""
    mine, kernel, daemon, peer = recorded(lab, True, "iptfs_rate = 300\niptfs_packet_size = 600", "", sizes=[40, 3000, 1000, 5000], seconds=2)
    payloads = mine.payloads
    check(len(payloads) > 400 and len({payload.size for payload in payloads}) == 1, f"{len(payloads)} packets of sizes {set(p.size for p in payloads)}")
    check(sum(payload.all_pad for payload in payloads) > 200, "no padding was sent")
    a, b = daemon.host, peer.host
    hosts = HOSTS[4]["a"], HOSTS[4]["b"]
    crossing(a, b, hosts, hosts, sizes=(56, 1400, 3000))


@cases([(f"loses-{who}", who) for who in ("cygnet", "kernel")])
def loss_is_survived(lab, who):
    """One outer packet of twenty is lost on its way to one end; the others' packets still arrive."""
    a, b, here, peer = pair(lab, True, theirs="drop_time = 50000")
    hook = "input" if who == "cygnet" else "output"
    a.run("nft", f"add table inet loss; add chain inet loss x {{ type filter hook {hook} priority 400; }}; "
                 f"add rule inet loss x meta l4proto esp numgen inc mod 20 == 7 drop")
    hosts = HOSTS[4]["a"], HOSTS[4]["b"]
    got = [host.pings(target, source=source, count=60, size=size, interval=0.02) for size in (56, 3000)
           for host, source, target in ((a, *hosts), (b, *hosts[::-1]))]
    print(f"    of 60 pings each came back: {got}")
    check(min(got) >= 35 and min(got[:2]) >= 54, f"of 60 pings each came back only {got}")
    check(stream(a, b, *hosts), "TCP carries nothing")


@cases([(f"{which}-{name}", which, ours) for which in ("only-cygnet", "only-the-peer") for name, ours in both("strongswan")])
def another_mode_is_a_tunnel_for_both(lab, which, ours):
    """RFC 9347 5.1 test: who is not answered in kind has a tunnel."""
    mode = {"only-cygnet": ("mode = tunnel", MODE), "only-the-peer": (MODE, "mode = tunnel")}[which]   # of the peer, and ours
    a, b, here, peer = together(lab, "strongswan61", ours, child=mode[0], ours={"child": mode[1]})
    check("TUNNEL" in here.cygnet("list") and "TUNNEL" in peer.swanctl("--list-sas"), here.cygnet("list") + peer.swanctl("--list-sas"))
    hosts = HOSTS[4]["a"], HOSTS[4]["b"]
    crossing(a, b, hosts, hosts)
    if which == "only-cygnet":
        here.wait_log("mode asked IPTFS, mode got TUNNEL")


@case
def reports_on_congestion_are_refused(lab):
    """RFC 9347 5.1 test: it has no reports. Who demands them of it gets a tunnel; when our answer demands them it closes the child."""
    lines = f"{MODE}\niptfs_rate = 200\niptfs_congestion_control = yes"
    a, b, here, peer = together(lab, "strongswan61", True, child=MODE, ours={"child": lines})
    hosts = HOSTS[4]["a"], HOSTS[4]["b"]
    crossing(a, b, hosts, hosts)
    check("asked for: IPTFS; the peer did not take it" in here.cygnet("list"), here.cygnet("list"))
    here.cygnet("down", "--ike", "gw")
    peer.swanctl("--initiate", "--child", "net4", "--timeout", "10", check_status=False)
    here.wait_log("child is closed by the peer")
    check(not here.children(), here.cygnet("list"))
