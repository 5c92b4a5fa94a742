# SPDX-License-Identifier: Apache-2.0
"""Packets that are larger than the path, in every mode, behind a narrow link whose routers do not say so."""
import sys

from cases import HOSTS, OUTER, cases, config, gateways
from lab import check, wait_for
from test_modes import four_hosts, hosts_config
from test_mtu import path, transfer

SIZES = (1200, 1400, 1472, 1500, 4000, 9000)

# Sends a datagram of each size, whose bytes depend on their place, and counts what comes back as it went.
ASK = """
import socket, sys
source, to, sizes = sys.argv[1], sys.argv[2], [int(size) for size in sys.argv[3:]]
s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((source, 0))
s.settimeout(1)
if ":" not in to:
    s.setsockopt(socket.IPPROTO_IP, 10, 0)   # IP_MTU_DISCOVER: never DF
block = bytes((i * 7 + (i >> 8)) & 255 for i in range(65000))
good = []
for size in sizes:
    for _ in range(4):
        s.sendto(block[:size], (to, 4444))
        try:
            if s.recv(70000) == block[:size]:
                good.append(size)
                break
        except TimeoutError:
            pass
print(*good)
"""
ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 4444))
if ":" not in sys.argv[1]:
    s.setsockopt(socket.IPPROTO_IP, 10, 0)
while True:
    data, who = s.recvfrom(70000)
    s.sendto(data, who)
"""


def datagrams(asker, server, source, to, sizes=SIZES):
    """A datagram of each size goes there and comes back; the first ones may be lost while kernels learn of a size."""
    echo = server.start(sys.executable, "-c", ECHO, to)
    try:
        wait_for("the echo", lambda: ":4444" in server.run("ss", "-Hlun"))
        good = asker.run(sys.executable, "-c", ASK, source, to, *sizes, timeout=4 * len(sizes) + 10).split()
    finally:
        echo.terminate()
        echo.wait()
    lost = [size for size in map(str, sizes) if size not in good]
    check(not lost, f"datagrams of {lost} bytes did not arrive over IPv{6 if ':' in to else 4}")


def text_of(mode, me, peer, family, udp):
    """A configuration; in modes of networks net4 and net6, in those of hosts net<family>."""
    protocol = dict(protocol="ah", esp="sha256") if mode.startswith("ah") else {}
    conn = "encap = yes" if udp else ""
    if mode.endswith("transport") and mode != "gateway-transport":
        return hosts_config(me, peer, outer=family, inner=(family,), conn=conn, child="mode = transport\nstrict = mode", **protocol)
    asked = {"ah-tunnel": "tunnel", "gateway-transport": "transport"}.get(mode, mode)
    inner = (family,) if mode == "gateway-transport" else (4, 6)
    return config(me, peer, outer=family, inner=inner, conn=conn, child=f"mode = {asked}\nstrict = mode", start="trap" if mode == "beet" else "none",
                  **protocol)


def lans(lab, a, b):
    """A host behind each of the gateways."""
    hosts = []
    for gateway, net in ((a, 1), (b, 2)):
        gateway.run("ip", "address", "flush", "dev", "lo", "to", f"10.{net}.0.1/24")
        gateway.run("ip", "-6", "address", "flush", "dev", "lo", "to", f"fd0{net}::1/64")
        host = lab.host(f"h{net}")
        lab.link(host, [f"10.{net}.0.5/24", f"fd0{net}::5/64"], gateway, [f"10.{net}.0.1/24", f"fd0{net}::1/64"])
        host.route("default", "via", f"10.{net}.0.1")
        host.route("default", "via", f"fd0{net}::1")
        gateway.forward()
        hosts.append(host)
    return hosts


def known(daemon):
    """The path's MTU has been found out by a probe."""
    return any(child.get("path-mtu-source") == "probe" and child.get("path-mtu") == "1400" for child in daemon.children())


MODES = [("tunnel", 4, False), ("tunnel", 4, True), ("tunnel", 6, False), ("tunnel", 6, True), ("transport", 4, False), ("transport", 4, True),
         ("transport", 6, False), ("transport", 6, True), ("beet", 4, False), ("beet", 4, True), ("beet", 6, False), ("ah-tunnel", 4, False),
         ("ah-tunnel", 6, False), ("ah-transport", 4, False), ("ah-transport", 6, False), ("gateway-transport", 4, False),
         ("gateway-transport", 6, False)]


@cases([(f"{mode}-ipv{family}{'-udp' if udp else ''}", mode, family, udp) for mode, family, udp in MODES])
def larger_than_the_path(lab, mode, family, udp):
    """RFC 4301 8.2 test, RFC 4302 3.3.4 test, RFC 4303 3.3.4 test: datagrams of all sizes and TCP go through, though nobody tells of the narrow link."""
    a, b = path(lab, icmp=False)
    gateway = mode == "gateway-transport"
    if gateway:   # ESP keeps the addresses of the hosts, so the routers must know them
        for router, to_a, to_b in ((lab.hosts[1], ("198.51.100.1", "2001:db8:a::1"), ("198.51.100.6", "2001:db8:b::2")),
                                   (lab.hosts[2], ("198.51.100.5", "2001:db8:b::1"), ("198.51.100.10", "2001:db8:c::2"))):
            for i, net in enumerate(("10.{}.0.0/24", "fd0{}::/64")):
                router.route(net.format(1), "via", to_a[i])
                router.route(net.format(2), "via", to_b[i])
        h1, h2 = lans(lab, a, b)
    there = b.cygnet(text_of(mode, "b", "a", family, udp))
    here = a.cygnet(text_of(mode, "a", "b", family, udp))
    hosts = mode.endswith("transport") and not gateway
    for inner in ((family,) if hosts or gateway else (4, 6)):
        names = OUTER[inner] if hosts else HOSTS[inner]
        if mode == "beet":
            wait_for("BEET", lambda: a.pings(names["b"], count=1, source=names["a"]) == 1, 20)
        else:
            here.cygnet("up", f"net{inner}")
    for daemon in (here, there):
        wait_for("the path's MTU", lambda: known(daemon), 30)
    for inner in ((family,) if hosts or gateway else (4, 6)):
        if gateway:
            one, other = ("10.1.0.5", "10.2.0.5") if inner == 4 else ("fd01::5", "fd02::5")
            datagrams(h1, h2, one, other)
            datagrams(h2, h1, other, one)
            transfer(h1, h2, inner, size=500000, names=(one, other))
        else:
            names = OUTER[inner] if hosts else HOSTS[inner]
            datagrams(a, b, names["a"], names["b"])
            datagrams(b, a, names["b"], names["a"])
            transfer(a, b, inner, size=500000, names=(names["a"], names["b"]))


@cases([("ipv4", 4), ("ipv6", 6)])
def what_no_policy_is_for_is_cut_again(lab, family):
    """A policy for ICMP between hosts has their fragments put together; those of UDP turn out to be none of it and go on, unprotected, as they came."""
    a, b = gateways(lab)
    protocol = "icmp" if family == 4 else "ipv6-icmp"
    there = b.cygnet(hosts_config("b", "a", outer=family, inner=(family,), ts=f"dynamic[{protocol}]"))
    here = a.cygnet(hosts_config("a", "b", outer=family, inner=(family,), ts=f"dynamic[{protocol}]"))
    here.cygnet("up", f"net{family}")
    capture = a.capture("to-b")
    names = OUTER[family]
    check(a.pings(names["b"], count=2, size=3000) == 2, "pings in fragments are lost")
    datagrams(a, b, names["a"], names["b"], (1000, 4000, 9000))
    capture.stop()
    icmp = [line for line in capture.lines("proto 1" if family == 4 else "icmp6 and (ip6[40] == 128 or ip6[40] == 129)") if " > " in line]
    check(not icmp, f"pings in the clear: {icmp[:2]}")
    udp = capture.lines("udp and host " + names["a"])
    check(len(udp) >= 6, f"UDP was protected, though no policy is for it: {udp}")


@cases([("ipv4", 4), ("ipv6", 6)])
def esp_of_a_lan_host_in_fragments_passes_gateways(lab, family):
    """What gateways in transport mode put together to look at, and is not theirs, goes on in the fragments that it came in."""
    h1, a, b, h2 = four_hosts(lab)
    b.cygnet(config("b", "a", child="mode = transport", outer=family, inner=(family,)))
    here = a.cygnet(config("a", "b", child="mode = transport", outer=family, inner=(family,)))
    here.cygnet("up", f"net{family}")
    to, kind = ("10.2.0.5", "AF_INET") if family == 4 else ("fd02::5", "AF_INET6")
    outside = lab.host("x")
    lab.link(outside, ["198.51.100.9/24", "2001:db8:9::9/64"], b, ["198.51.100.1/24", "2001:db8:9::1/64"])
    outside.route("default", "via", "198.51.100.1" if family == 4 else "2001:db8:9::1")
    capture = h2.capture("to-b", "ip proto 50 or ip6")
    code = f"""
import socket, struct
s = socket.socket(socket.{kind}, socket.SOCK_RAW, 50)
s.sendto(struct.pack("!II", 0x12345678, 7) + bytes(range(250)) * 12, ("{to}", 0))
"""
    outside.run("python3", "-c", code)
    capture.stop()
    lines = [line for line in capture.lines("-v") if "frag" in line or "offset" in line]
    parts = [line for line in lines if "offset 0, flags [none]" not in line and ("ESP" in line or "frag" in line)]
    check(len(parts) == 3, "three fragments were sent, these came:\n" + "\n".join(capture.lines("-v")))
