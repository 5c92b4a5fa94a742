# SPDX-License-Identifier: Apache-2.0
"""Path MTU: a narrow link in the middle, whose routers may say so or not."""
import time

from cases import HOSTS, OUTER, Skip, case, cases, config
from lab import check, wait_for
from strongswan import present

NARROW = 1400
FILTER = """table inet filtered {
    chain output { type filter hook output priority 0; policy accept;
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
    }
}
"""


def path(lab, icmp=True, narrow=NARROW):
    """a - r - s - b with a narrow link between r and s; b and a as in gateways(). Without icmp the routers do not tell of it."""
    a, r, s, b = (lab.host(name) for name in "arsb")
    lab.link(a, ["198.51.100.1/30", "2001:db8:a::1/64"], r, ["198.51.100.2/30", "2001:db8:a::2/64"])
    lab.link(r, ["198.51.100.5/30", "2001:db8:b::1/64"], s, ["198.51.100.6/30", "2001:db8:b::2/64"], mtu=narrow)
    lab.link(s, ["198.51.100.9/30", "2001:db8:c::1/64"], b, ["198.51.100.10/30", "2001:db8:c::2/64"])
    for host, net, gateway4, gateway6, own in ((a, 1, "198.51.100.2", "2001:db8:a::2", "a"), (b, 2, "198.51.100.9", "2001:db8:c::1", "b")):
        for addr in (OUTER[4][own] + "/32", OUTER[6][own] + "/128", f"10.{net}.0.1/24", f"fd0{net}::1/64"):
            host.address(addr, "lo")
        host.route("default", "via", gateway4, "src", OUTER[4][own])
        host.route("default", "via", gateway6, "src", OUTER[6][own])
    for host, to_a, to_b in ((r, ("198.51.100.1", "2001:db8:a::1"), ("198.51.100.6", "2001:db8:b::2")),
                             (s, ("198.51.100.5", "2001:db8:b::1"), ("198.51.100.10", "2001:db8:c::2"))):
        host.forward()
        for i, family in enumerate((4, 6)):
            host.route(OUTER[family]["a"], "via", to_a[i])
            host.route(OUTER[family]["b"], "via", to_b[i])
        if not icmp:
            host.run("nft", "-f", "-", input=FILTER)
    return a, b


def connect(lab, outer, conn="", child="", icmp=True):
    a, b = path(lab, icmp)
    one = a.cygnet(config("a", "b", outer=outer, inner=(4, 6), conn=conn, child=child))
    other = b.cygnet(config("b", "a", outer=outer, inner=(4, 6), conn=conn, child=child))
    for family in (4, 6):
        one.swanctl("--initiate", "--child", f"net{family}")
    return a, b, one, other


def mtu_of(daemon, key="mtu"):
    return next((child.get(key) for child in daemon.children() if child["name"] == "net4"), None)


def df_pings(host, inner, size):
    """How many of three pings, packets of `size` bytes that must not be cut, are answered."""
    payload = size - (28 if inner == 4 else 48)
    out = host.run("ping", "-6" if inner == 6 else "-4", "-n", "-q", "-M", "do", "-c", "3", "-i", "0.2", "-W", "1", "-s", payload,
                   "-I", HOSTS[inner]["a"], HOSTS[inner]["b"], check_status=False)
    return int(out.split(" received")[0].split()[-1]) if " received" in out else 0


def transfer(a, b, inner, size=3000000, seconds=20, names=None):
    """Bytes over TCP from b's network to a's and back, by a small program on either side; how long it took. names: other addresses of a and b."""
    port, family = 4321, "AF_INET6" if inner == 6 else "AF_INET"
    source, to = names or (HOSTS[inner]["a"], HOSTS[inner]["b"])
    serve = (f"import socket\ns=socket.socket(socket.{family})\ns.setsockopt(1,2,1)\ns.bind(('{to}',{port}))\ns.listen(4)\n"
             f"while True:\n c,_=s.accept()\n n=0\n while n<{size}:\n  d=c.recv(65536)\n  if not d: break\n  n+=len(d)\n"
             f" c.sendall(b'x'*{size})\n c.close()\n")
    ask = (f"import socket\ns=socket.socket(socket.{family})\ns.bind(('{source}',0))\ns.settimeout({seconds})\n"
           f"s.connect(('{to}',{port}))\ns.sendall(b'y'*{size})\nn=0\n"
           f"while n<{size}:\n d=s.recv(65536)\n assert d\n n+=len(d)\nprint(n)\n")
    server = b.start("python3", "-c", serve)
    begun = time.monotonic()
    try:
        time.sleep(0.3)
        out = a.run("python3", "-c", ask, timeout=seconds + 5)
        check(out.strip() == str(size), f"transfer of {size} bytes over IPv{inner}: {out}")
    finally:
        server.terminate()
        server.wait()
    return time.monotonic() - begun


def fits(daemon, udp, outer):
    """The largest inner packet of AES-GCM on the narrow link."""
    return (NARROW - (20 if outer == 4 else 40) - (8 if udp else 0) - 8 - 8 - 16) // 4 * 4 - 2


@cases([(f"ipv{outer}, {'in UDP' if udp else 'raw'}, {'ICMP' if icmp else 'no ICMP'}", outer, udp, icmp)
        for outer in (4, 6) for udp in (False, True) for icmp in (True, False)])
def narrow_link(lab, outer, udp, icmp):
    a, b, one, other = connect(lab, outer, conn="encap = yes" if udp else "", icmp=icmp)
    largest = fits(one, udp, outer)
    # Nobody waits for the search: TCP works from the first moment, both ways.
    took = transfer(a, b, 4)
    check(took < 12, f"TCP took {took:.1f} s right after the start")
    for daemon in (one, other):
        wait_for(f"MTU {largest} at {daemon.host.name} ({mtu_of(daemon)})", lambda: mtu_of(daemon) == str(largest), 30)
    check(transfer(a, b, 6) < 8, "TCP over IPv6 is slow")
    check(df_pings(a, 4, largest) == 3, f"pings of {largest} bytes that must not be cut are lost")
    if largest >= 1280:
        check(df_pings(a, 6, largest) == 3, f"pings of {largest} bytes over IPv6 are lost")
    check(df_pings(a, 4, largest + 1) == 0, "a packet passed that is too large")
    text = one.cygnet("explain", "net4")
    check(f"path MTU                       {NARROW:5}" in text and f"= {largest:5}" in text, text)
    check(("With encap = yes at either end" in text) == ("UDP header" not in text), text)   # what would be faster


@case
def sender_is_told(lab):
    """ICMP comes out of the tunnel, with the size that fits, and packets that may be cut arrive."""
    a, b, one, other = connect(lab, 4)
    largest = fits(one, False, 4)
    wait_for("the path MTU is known", lambda: mtu_of(one) == str(largest), 20)
    out = a.run("ping", "-n", "-M", "do", "-c", "2", "-i", "0.2", "-W", "1", "-s", str(largest + 8 - 28), "-I", HOSTS[4]["a"], HOSTS[4]["b"],
                check_status=False)
    check(f"mtu = {largest}" in out or f"mtu={largest}" in out, out)
    out = a.run("ping", "-6", "-n", "-M", "do", "-c", "2", "-i", "0.2", "-W", "1", "-s", str(largest + 8 - 48), "-I", HOSTS[6]["a"],
                HOSTS[6]["b"], check_status=False)
    check(f"mtu = {largest}" in out or f"mtu={largest}" in out, out)
    out = a.run("ping", "-n", "-q", "-M", "dont", "-c", "3", "-i", "0.2", "-W", "1", "-s", "1372", "-I", HOSTS[4]["a"], HOSTS[4]["b"])
    check("3 received" in out, out)


@cases([("inner", "inner", False), ("outer", "outer", True)])
def fragments(lab, how, cut):
    """They are made before packets are encrypted, so that no router has to, or after."""
    a, b, one, other = connect(lab, 4, child=f"fragments = {how}")
    wait_for("the path MTU is known", lambda: mtu_of(one) == str(fits(one, False, 4)), 20)
    capture = b.capture("any", "src 192.0.2.1")
    out = a.run("ping", "-n", "-q", "-M", "dont", "-c", "3", "-i", "0.2", "-W", "1", "-s", "1372", "-I", HOSTS[4]["a"], HOSTS[4]["b"])
    capture.stop()
    check("3 received" in out, out)
    seen = [line for line in capture.lines("ip proto 50 and ip[6:2] & 0x3fff != 0") if " > " in line]
    check(bool(seen) == cut, f"fragments = {how}: {len(seen)} outer fragments")


@case
def strongswan_behind_filtered_icmp(lab):
    """A peer that knows nothing of probes answers them, and TCP from its side fits, too."""
    if not present():
        raise Skip("strongSwan (charon-systemd, swanctl) is not installed")
    a, b = path(lab, icmp=False)
    one = a.cygnet(config("a", "b", outer=4, inner=(4,), conn="encap = yes"))
    peer = b.strongswan(config("b", "a", outer=4, inner=(4,), conn="encap = yes"))
    one.swanctl("--initiate", "--child", "net4")
    largest = fits(one, True, 4)
    wait_for("the path MTU is known", lambda: mtu_of(one) == str(largest), 30)
    check(mtu_of(one, "path-mtu-source") == "probe", str(mtu_of(one, "path-mtu-source")))
    check(df_pings(a, 4, largest) == 3, f"pings of {largest} bytes are lost")
    check(transfer(a, b, 4, size=1000000) < 10, "TCP is slow")
