# SPDX-License-Identifier: Apache-2.0
"""IP-TFS (RFC 9347): packets are put together and cut on their way, in agreement with the peer."""
import re
import time

from cases import HOSTS, case, cases, config, gateways
from lab import check, wait_for

MODE = "mode = iptfs"


def pair(lab, here=MODE, there=MODE, mtu=1500, **more):
    a, b = gateways(lab, mtu=mtu)
    far = b.cygnet(config("b", "a", child=there, **more))
    near = a.cygnet(config("a", "b", child=here, **more))
    near.cygnet("up", "net4")
    return a, b, near, far


def sizes(capture):
    """Of the ESP packets in it, with what tcpdump counts."""
    return [int(found.group(1)) for found in (re.search(r"length (\d+)$", line) for line in capture.lines() if "ESP(" in line) if found]


def all_sizes(a, b, inner=4):
    """A ping of each of many sizes, both ways: alone in a packet, full to the last byte, in several."""
    for host, peer in ((a, "b"), (b, "a")):
        source = HOSTS[inner]["a" if peer == "b" else "b"]
        script = "".join(f"ping -q -n -c 1 -W 2 -s {size} -I {source} {HOSTS[inner][peer]} >/dev/null || echo {size}; "
                         for size in [*range(0, 60, 7), *range(1290, 1420, 3), 1472, 1500, 2000, 2900, 5000, 9000])
        lost = host.run("sh", "-c", script, timeout=120).split()
        check(not lost, f"pings of these sizes to {peer} did not come back: {lost}")


@cases([(f"outer{outer}-inner{inner}-{esp}{'-udp' if conn else ''}", outer, inner, esp, conn) for outer, inner, esp, conn in (
    (4, 4, "aes128gcm16", ""), (4, 4, "aes256-sha256", "encap = yes"), (6, 4, "aes128gcm16", "encap = yes"), (4, 6, "aes256gcm16", ""))])
def every_size_arrives(lab, outer, inner, esp, conn):
    a, b = gateways(lab)
    far = b.cygnet(config("b", "a", child=MODE, outer=outer, inner=(inner,), esp=esp, conn=conn))
    near = a.cygnet(config("a", "b", child=MODE, outer=outer, inner=(inner,), esp=esp, conn=conn))
    near.cygnet("up", f"net{inner}")
    for daemon in (near, far):
        check("IPTFS" in daemon.cygnet("list"), daemon.cygnet("list"))
        check("mode asked" not in daemon.log(), "a fall-back is reported that was none")
    all_sizes(a, b, inner)
    near.cygnet("rekey", f"net{inner}")
    check(a.pings(HOSTS[inner]["b"], source=HOSTS[inner]["a"]) == 3, "pings are lost after rekeying")
    check("IPTFS" in near.cygnet("list"), "rekeying has changed the mode")
    speed = a.iperf(b, HOSTS[inner]["b"], seconds=1, extra=("-B", HOSTS[inner]["a"]))
    check(speed > 10e6, f"TCP reaches {speed:.0f} bit/s only")


@cases([("ours", "iptfs_dont_frag = yes", ""), ("theirs", "", "iptfs_accept_fragments = no")])
def packets_are_not_cut(lab, here, there):
    """Nor is anything lost: IP itself cuts an outer packet that is too large."""
    a, b, near, far = pair(lab, f"{MODE}\n{here}", f"{MODE}\n{there}")
    all_sizes(a, b)
    check("IPTFS" in near.cygnet("list"), near.cygnet("list"))


def burst(a, b, child, count, size):
    """How many ESP packets it takes to send so many UDP datagrams at once, and how many of them arrive."""
    far = b.cygnet(config("b", "a", child=child))
    near = a.cygnet(config("a", "b", child=child))
    near.cygnet("up", "net4")
    counter = b.start("python3", "-c", f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
s.bind(("{HOSTS[4]['b']}", 7000))
s.settimeout(2)
n = 0
try:
    while True: n += s.recv(2000)[:4] == b"data"
except OSError: print(n, flush=True)
""", log=b.lab.directory / f"counted-{len(b.lab.processes)}")
    log = b.lab.directory / f"counted-{len(b.lab.processes) - 1}"
    wait_for("listening", lambda: ":7000" in b.run("ss", "-Hlun"))
    a.run("python3", "-c", f"""
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("{HOSTS[4]['a']}", 0))
for i in range({count}):
    s.sendto(b"data".ljust({size}, b"."), ("{HOSTS[4]['b']}", 7000))
    if i % 200 == 199: time.sleep(0.005)
""")
    counter.wait(timeout=20)
    near.stop(), far.stop()
    return int(re.search(r"IP-TFS: (\d+) outer packets sent", near.log()).group(1)), int(log.read_text().split()[-1])


@case
def small_packets_share_one(lab):
    a, b = gateways(lab)
    count = 4000
    shared, arrived = burst(a, b, f"{MODE}\niptfs_init_delay = 5000", count, 60)
    print(f"    {arrived} of {count} datagrams of 60 bytes came, in {shared} packets")
    check(arrived > count * 0.9, f"{arrived} of {count} datagrams came")
    check(shared < arrived / 10, f"{arrived} datagrams took {shared} packets")


@case
def a_constant_rate_shows_nothing(lab):
    """As many packets, all of one size, with traffic and without."""
    child = f"{MODE}\niptfs_rate = 200\niptfs_packet_size = 1000"
    a, b, near, far = pair(lab, child, child)
    seen = []
    for busy in (False, True):
        capture = a.capture("to-b", "esp and src host 192.0.2.1")
        start = time.monotonic()
        if busy:
            check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"], count=20, size=1400, interval=0.1) == 20, "pings are lost")
        else:
            time.sleep(2)
        took = time.monotonic() - start
        capture.stop()
        found = sizes(capture)
        seen.append(len(found) / took)
        check(len(set(found)) == 1, f"packets of sizes {set(found)}")
    print(f"    packets a second: {seen[0]:.0f} idle, {seen[1]:.0f} busy")
    check(all(150 < rate < 260 for rate in seen), f"{seen} packets a second are not 200")
    near.cygnet("rekey", "net4")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "pings are lost after rekeying")
    time.sleep(1)
    capture = a.capture("to-b", "esp and src host 192.0.2.1")
    time.sleep(2)
    capture.stop()
    check(len(sizes(capture)) < 2 * 260, f"{len(sizes(capture))} packets in two seconds: the old keys are still in use")


@case
def a_rate_follows_what_the_path_takes(lab):
    """RFC 9347 2.4.2 test: while two of three packets are lost an end sends fewer of them, and as many as before afterwards; the other end, which only
    reports, is not held back. The link has next to no delay, so it takes so much loss until fewer packets are fair."""
    child = f"{MODE}\niptfs_packet_size = 600\nstrict = mode\n"
    a, b, near, far = pair(lab, f"{child}iptfs_rate = 1000\niptfs_dscp = 101110\niptfs_congestion_control = yes", child)
    seen = []
    for loss in (0, 65, 0):
        if loss:
            b.run("nft", "add table inet loss; add chain inet loss input { type filter hook input priority -400; }; "
                         f"add rule inet loss input meta l4proto esp numgen random mod 100 < {loss} drop")
        elif seen:
            b.run("nft", "delete table inet loss")
        time.sleep(2 if loss or not seen else 10)
        capture = a.capture("to-b", "esp", size=128)
        time.sleep(3)
        capture.stop()
        check(("a loss about every" in near.cygnet("list")) == bool(seen), near.cygnet("list"))
        heads = [line for line in capture.lines("-v", "src host 192.0.2.1") if "proto ESP" in line]
        check(heads and all("tos 0xb8" in line for line in heads), f"the code point is not on each packet: {heads[:3]}")
        lines = [line for line in capture.lines() if "ESP(" in line]
        seen.append([sum(f"IP {source} >" in line for line in lines) / 3 for source in ("192.0.2.1", "192.0.2.2")])
    print("    packets a second of each end: " + "; ".join(f"{mine:.0f} and {reports:.0f}" for mine, reports in seen))
    check(seen[0][0] > 900 and seen[2][0] > 800, f"{seen}: not what the line takes")
    check(seen[1][0] < seen[0][0] * 0.6, f"{seen}: losses do not slow it down")
    check(all(0 < reports < 600 for _, reports in seen), f"{seen}: reports are not what they should be")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"], size=1400) == 3, "pings are lost")
    near.cygnet("rekey", "net4")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"], size=1400) == 3, "pings are lost after rekeying")


@case
def loss_is_survived(lab):
    """One ESP packet of a hundred is lost."""
    a, b, near, far = pair(lab)
    for host in (a, b):
        host.run("nft", "add table inet loss; add chain inet loss input { type filter hook input priority -400; }; "
                        "add rule inet loss input meta l4proto esp numgen random mod 100 < 1 drop")
    got = a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"], count=60, size=3000, interval=0.02)
    check(got > 40, f"{got} of 60 pings came back")
    speed = a.iperf(b, HOSTS[4]["b"], seconds=2, extra=("-B", HOSTS[4]["a"]))
    check(speed > 1e5, f"TCP reaches {speed:.0f} bit/s only")
    check("broken" not in far.log(), "what the network does is taken for a broken peer")


@cases([("asking", "a"), ("answering", "b")])
def another_mode_is_said_or_refused(lab, which):
    a, b = gateways(lab)
    far = b.cygnet(config("b", "a", child=MODE if which == "b" else "mode = tunnel"))
    near = a.cygnet(config("a", "b", child=MODE if which == "a" else "mode = tunnel"))
    near.cygnet("up", "net4")
    told = near if which == "a" else far
    told.wait_log("mode asked IPTFS, mode got TUNNEL: the peer did not " + ("take it" if which == "a" else "ask for it"))
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "pings are lost")


@case
def strict_refuses_the_tunnel(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    near = a.cygnet(config("a", "b", child=f"{MODE}\nstrict = mode"))
    near.cygnet("up", "net4", check_status=False)
    near.wait_log("would not be carried in the mode that was asked for")
